//! Logon and logout, and when numbers begin again.

use super::{Application, Link, Role, State, reason, stop};
use crate::session::Close;
use crate::session::fix::head::{Head, number as whole};
use crate::session::fix::outgoing::Full;
use crate::session::fix::{HEARTBEAT_S_MAX, time};
use std::fmt::Display;
use tickwire_market::fix::Message;

const NOT_TO_RESET: &str = "the peer resets the sequence numbers, which was not agreed on (set \
    `peer_may_reset` or `reset_on_logon` if it was)";

impl Link {
    /// From whom it is, to whom, and when: of every message, also of one that is early.
    pub(super) fn check_origin(
        &mut self,
        message: &Message<'_>,
        head: &Head<'_>,
        now_ns: u64,
    ) -> Result<(), Close> {
        let begin = message.get(8).unwrap_or_default();
        if begin != self.settings.version.begin_string().as_bytes() {
            let (said, expected) = (begin.escape_ascii(), self.settings.version.begin_string());
            let text = format!("BeginString (8) is {said}, {expected} was agreed on");
            return Err(self.shut_out(now_ns, text));
        }
        let is_first = matches!(self.state, State::Connecting { .. });
        let (sender, target) = self.out.names();
        let is_other = |said: Option<&[u8]>, name: &str| {
            said.is_some_and(|said| !said.is_empty() && said != name.as_bytes())
        };
        let adopts = self.role == Role::Acceptor && is_first;
        if !adopts && (is_other(head.sender, target) || is_other(head.target, sender)) {
            let text = "SenderCompID (49) or TargetCompID (56) are not those agreed on";
            self.reject_and_shut_out(message, head, reason::COMP_ID, now_ns)?;
            return Err(self.shut_out(now_ns, text.to_owned()));
        }
        let sent_ns = head.sending_time.and_then(time::parse);
        let limit_ns = self.settings.sending_time_s_max.map(|s| s.saturating_mul(1_000_000_000));
        let is_off = |(sent_ns, limit_ns): (u64, u64)| sent_ns.abs_diff(now_ns) > limit_ns;
        if sent_ns.zip(limit_ns).is_some_and(is_off) {
            let text = "SendingTime (52) is too far from the time here: synchronise the clocks";
            self.reject_and_shut_out(message, head, reason::SENDING_TIME, now_ns)?;
            return Err(self.shut_out(now_ns, text.to_owned()));
        }
        Ok(())
    }

    pub(super) fn reject_and_shut_out(
        &mut self,
        message: &Message<'_>,
        head: &Head<'_>,
        reason: u16,
        now_ns: u64,
    ) -> Result<(), Close> {
        match (self.state, head.number) {
            (State::Established | State::LoggingOut { .. }, Some(number)) => {
                self.reject(message, number, reason, None, now_ns)
            }
            _ => Ok(()),
        }
    }

    /// The first message of a connection.
    pub(super) fn first(
        &mut self,
        message: &Message<'_>,
        head: &Head<'_>,
        number: u64,
        now_ns: u64,
        application: &mut dyn Application,
    ) -> Result<(), Close> {
        let says = Text(message.get(58));
        match message.msg_type() {
            b"A" => {}
            b"5" | b"3" => {
                return Err(stop(format!(
                    "the peer refuses our Logon{says}: see to names, password and sequence numbers"
                )));
            }
            kind => {
                let kind = kind.escape_ascii();
                return Err(stop(format!("the first message is of type {kind}, and no Logon")));
            }
        }
        let is_reset = message.get(141) == Some(b"Y");
        if message.get(98).is_some_and(|method| method != b"0") {
            return Err(stop("the peer wants encryption, EncryptMethod (98): none is spoken here"));
        }
        let (Some(sender), Some(target)) = (head.sender, head.target) else {
            return Err(stop("the Logon has no SenderCompID (49) or TargetCompID (56)"));
        };
        if self.role == Role::Acceptor {
            // The acceptor of a lab takes whoever comes.
            self.out.set_names(&String::from_utf8_lossy(target), &String::from_utf8_lossy(sender));
        }
        self.state = State::Established;
        if is_reset {
            self.reset_numbers_at_logon(application)?;
        }
        let expected = self.out.expected();
        if number < expected {
            return Err(self.number_too_low(number, now_ns));
        }
        self.counts.logons += 1;
        let heartbeat_s = message.get(108).and_then(whole);
        if let Some(s) = heartbeat_s.filter(|s| (1..=HEARTBEAT_S_MAX.into()).contains(s)) {
            self.heartbeat_ns = s * 1_000_000_000;
        }
        if self.role == Role::Acceptor {
            self.send_logon(now_ns, is_reset)?;
        }
        if number > expected {
            self.ask(number, now_ns)?;
        } else {
            self.out.set_expected(expected.saturating_add(1));
        }
        if self.settings.test_after_logon && self.role == Role::Initiator {
            self.is_synchronising = true;
            self.send_test(now_ns)?;
        }
        Ok(())
    }

    /// A Logon says that numbers begin at 1.
    pub(super) fn reset_numbers_at_logon(
        &mut self,
        application: &mut dyn Application,
    ) -> Result<(), Close> {
        match self.role {
            Role::Acceptor => self.reset(application),
            // Asked for: both directions have been reset.
            Role::Initiator if self.settings.reset_on_logon => {}
            Role::Initiator if self.settings.peer_may_reset => {
                // Our Logon was the first message, whatever its number was.
                self.reset(application);
                self.out.set_next(2);
            }
            Role::Initiator => {
                self.counts.sequence_errors += 1;
                return Err(stop(NOT_TO_RESET));
            }
        }
        Ok(())
    }

    pub(super) fn reset(&mut self, application: &mut dyn Application) {
        self.counts.resets += 1;
        self.out.set_next(1);
        self.out.set_expected(1);
        self.ahead.clear();
        (self.gap, self.answered) = (None, 0);
        application.reset();
    }

    /// A Logon amid a session, by which the peer resets the numbers.
    pub(super) fn reset_by_peer(
        &mut self,
        number: u64,
        now_ns: u64,
        application: &mut dyn Application,
    ) -> Result<(), Close> {
        if number != 1 || (self.role == Role::Initiator && !self.settings.peer_may_reset) {
            self.counts.sequence_errors += 1;
            return Err(self.shut_out(now_ns, NOT_TO_RESET.to_owned()));
        }
        self.reset(application);
        self.out.set_expected(2);
        Ok(self.send_logon(now_ns, true)?)
    }

    pub(super) fn send_logon(&mut self, now_ns: u64, is_reset: bool) -> Result<(), Full> {
        let heartbeat_s = self.heartbeat_ns / 1_000_000_000;
        let mut fields: Vec<(u32, &dyn Display)> = vec![(98, &0), (108, &heartbeat_s)];
        if is_reset {
            fields.push((141, &"Y"));
        }
        let settings = &self.settings;
        fields.extend(settings.username.iter().map(|text| (553, text as &dyn Display)));
        let password = settings.password.as_ref().map(|secret| (554, &secret.0 as &dyn Display));
        fields.extend(password);
        fields.extend(settings.logon_fields.iter().map(|(tag, text)| (*tag, text as &dyn Display)));
        self.out.message(now_ns, "A", &fields)
    }

    /// The peer ends the session, or agrees to the end; whatever its number.
    pub(super) fn logged_out(
        &mut self,
        message: &Message<'_>,
        number: u64,
        now_ns: u64,
    ) -> Result<(), Close> {
        if number == self.out.expected() {
            self.out.set_expected(number.saturating_add(1));
        }
        if let State::LoggingOut { .. } = self.state {
            return Err(stop("logged out"));
        }
        self.out.message(now_ns, "5", &[])?;
        let why = format!("the peer has logged out{}", Text(message.get(58)));
        Err(Close { why, reconnect: true })
    }

    pub fn logout(&mut self, now_ns: u64) {
        match self.state {
            State::Established if self.out.message(now_ns, "5", &[]).is_ok() => {
                self.state = State::LoggingOut { since_ns: now_ns };
            }
            // Nobody to take leave of, or who reads it: the next tick closes.
            State::Established | State::Connecting { .. } => {
                self.state = State::LoggingOut { since_ns: 0 };
            }
            State::Disconnected | State::LoggingOut { .. } => {}
        }
    }

    /// Says why and ends the connection; nobody connects again before a person has looked.
    pub(super) fn shut_out(&mut self, now_ns: u64, text: String) -> Close {
        if let State::Established | State::LoggingOut { .. } = self.state {
            _ = self.out.message(now_ns, "5", &[(58, &text)]);
        }
        self.state = State::Disconnected;
        stop(format!("{text}: ask the peer, then start again"))
    }
}

/// What a peer wrote, where it wrote something.
struct Text<'a>(Option<&'a [u8]>);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Some(text) = self.0 else { return Ok(()) };
        let text = &text[..text.len().min(256)];
        write!(f, " and says \"{}\"", text.escape_ascii())
    }
}
