//! The session layer of FIX (FIX 4.4, volume 2, *FIX Session Protocol*; the same in 4.2), for
//! either side: logon and logout, numbers in both directions, what is missing, heartbeats.
//!
//! What messages of the application mean says an [`Application`]. A message is handled once, in its
//! turn: what comes too early is kept, and what is missing is asked for. Who breaks the rules so
//! that numbers are in doubt is shut out, and a person has to look.

use super::FixCounts;
use super::ahead::Ahead;
use super::head::Head;
use super::outgoing::{Again, Full, Outgoing};
use super::settings::{FixSettings, FixVersion};
use super::time;
use crate::session::Close;
use std::fmt::Display;
use std::str;
use tickwire_market::fix::{BadField, Frames, Message, dictionary::Fault};

/// The longest message of a peer that is waited for.
pub const INPUT_BYTES_MAX: usize = 64 << 10;

/// How long a Logon may stay without an answer.
pub const LOGON_MS_MAX: u64 = 10_000;

/// How long a Logout may stay without an answer.
pub const LOGOUT_MS_MAX: u64 = 2_000;

/// How long what was asked for may be on its way, before it is asked for again.
pub const RESEND_MS_MAX: u64 = 10_000;

/// How often the same is asked for.
pub const RESEND_TRIES_MAX: u32 = 3;

/// The longest TestReqID (112) that is sent back.
const TEST_ID_BYTES_MAX: usize = 512;

/// SessionRejectReason (373).
pub(crate) mod reason {
    pub const INVALID_TAG: u16 = 0;
    pub const MISSING: u16 = 1;
    pub const NO_VALUE: u16 = 4;
    pub const OUT_OF_RANGE: u16 = 5;
    pub const FORMAT: u16 = 6;
    pub const COMP_ID: u16 = 9;
    pub const SENDING_TIME: u16 = 10;
}

/// Why a message of the application was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Reject (35=3), for this SessionRejectReason and this field.
    Reject(u16, u32),
    /// BusinessMessageReject (35=j): of a type that nobody handles.
    Unsupported,
    /// The connection has to end; the message was handled.
    Close(&'static str),
    /// The output is full.
    Full,
}

impl From<Full> for Refusal {
    fn from(Full: Full) -> Self {
        Refusal::Full
    }
}

/// What to send when the peer asks again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// This message; a gap fill for those before it.
    Send(u64),
    /// A gap fill for all.
    Fill,
    /// A gap fill for those before this one, and no more: the peer will ask again if need be.
    StopBefore(u64),
}

/// What the messages mean that are not the session's.
pub(crate) trait Application {
    /// A message in its turn, which comes only once.
    fn message(
        &mut self,
        message: &Message<'_>,
        out: &mut Outgoing,
        now_ns: u64,
    ) -> Result<(), Refusal>;

    /// The peer refused our message of that number (35=3).
    fn rejected(&mut self, number: u64, reason: u16);

    /// What to do about messages `from` to `last`, which the peer asks for. What is sent again has
    /// growing numbers, and for what is before it a gap fill stands. From `doubtful` on the peer
    /// may have got them all the same.
    fn next_again(&mut self, from: u64, last: u64, doubtful: u64, now_ns: u64) -> Next;

    /// Sends that message again.
    fn send_again(&mut self, number: u64, out: &mut Outgoing, now_ns: u64) -> Result<(), Full>;

    /// Numbers begin at 1: what was sent before cannot be sent again.
    fn reset(&mut self);
}

/// Who logs on, and who is logged on to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Initiator,
    Acceptor,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Disconnected,
    /// Our Logon has not been answered, or that of the peer has not come.
    Connecting {
        since_ns: u64,
    },
    Established,
    /// We asked for the end.
    LoggingOut {
        since_ns: u64,
    },
}

/// Messages that are missing have been asked for.
#[derive(Clone, Copy, Debug)]
struct Gap {
    /// The highest number that has come.
    seen: u64,
    asked_ns: u64,
    tries: u32,
}

/// One side of a session.
pub(crate) struct Link {
    role: Role,
    settings: FixSettings,
    pub out: Outgoing,
    state: State,
    input: Vec<u8>,
    gap: Option<Gap>,
    ahead: Ahead,
    heartbeat_ns: u64,
    /// When the peer last sent something.
    heard_ns: u64,
    /// When the TestRequest left that has not been answered, and its number.
    test: Option<(u64, u64)>,
    /// Up to where the peer has been sent again what it missed, on this connection.
    answered: u64,
    /// The answer to the TestRequest behind the Logon is outstanding.
    is_synchronising: bool,
    pub counts: FixCounts,
}

impl Link {
    pub fn new(role: Role, settings: FixSettings, out: Outgoing) -> Self {
        Link {
            role,
            heartbeat_ns: u64::from(settings.heartbeat_s) * 1_000_000_000,
            settings,
            out,
            state: State::Disconnected,
            input: Vec::with_capacity(INPUT_BYTES_MAX),
            gap: None,
            ahead: Ahead::default(),
            heard_ns: 0,
            test: None,
            answered: 0,
            is_synchronising: false,
            counts: FixCounts::default(),
        }
    }

    pub fn settings(&self) -> &FixSettings {
        &self.settings
    }

    /// Logged on, nothing missing, and the peer has said that nothing is missing there.
    #[inline]
    pub fn is_ready(&self) -> bool {
        self.state == State::Established && self.gap.is_none() && !self.is_synchronising
    }

    pub fn connected(&mut self, now_ns: u64, application: &mut dyn Application) {
        self.disconnected();
        (self.heard_ns, self.out.at_ns) = (now_ns, now_ns);
        self.heartbeat_ns = u64::from(self.settings.heartbeat_s) * 1_000_000_000;
        self.state = State::Connecting { since_ns: now_ns };
        if self.role == Role::Initiator {
            if self.settings.reset_on_logon {
                self.reset(application);
            }
            let written = self.send_logon(now_ns, self.settings.reset_on_logon);
            debug_assert!(written.is_ok(), "the output is empty");
        }
    }

    pub fn disconnected(&mut self) {
        self.state = State::Disconnected;
        self.out.clear();
        self.input.clear();
        self.ahead.clear();
        (self.gap, self.test, self.is_synchronising) = (None, None, false);
        self.answered = 0;
    }

    pub fn received(
        &mut self,
        mut bytes: &[u8],
        now_ns: u64,
        application: &mut dyn Application,
    ) -> Result<(), Close> {
        while !bytes.is_empty() && self.state != State::Disconnected {
            let room = INPUT_BYTES_MAX - self.input.len();
            let (some, rest) = bytes.split_at(room.min(bytes.len()));
            bytes = rest;
            let mut input = std::mem::take(&mut self.input);
            input.extend_from_slice(some);
            let mut frames = Frames::new(&input);
            let handled = frames.by_ref().try_for_each(|item| match item {
                Ok(message) => self.message(&message, now_ns, application),
                Err(cause) => self.garbled(&cause),
            });
            let kept = input.len() - frames.rest().len();
            input.drain(..kept);
            self.input = input;
            handled?;
            if self.input.len() == INPUT_BYTES_MAX {
                return Err(stop(format!(
                    "a message of the peer is longer than {INPUT_BYTES_MAX} bytes: it is no order \
                     gateway, or its BodyLength (9) is wrong"
                )));
            }
        }
        Ok(())
    }

    /// What is garbled is ignored, as if it had not come: its number will be missing.
    fn garbled(&mut self, cause: &dyn Display) -> Result<(), Close> {
        self.counts.garbled += 1;
        match self.state {
            State::Connecting { .. } => Err(stop(format!("no Logon came: {cause}"))),
            _ => Ok(()),
        }
    }

    fn message(
        &mut self,
        message: &Message<'_>,
        now_ns: u64,
        application: &mut dyn Application,
    ) -> Result<(), Close> {
        self.counts.received += 1;
        self.heard_ns = now_ns;
        if self.test.is_some_and(|_| !self.is_synchronising) {
            self.test = None;
        }
        let head = Head::of(message);
        self.check_origin(message, &head, now_ns)?;
        let Some(number) = head.number else {
            let text = "MsgSeqNum (34) is missing, or no number";
            return Err(self.shut_out(now_ns, text.to_owned()));
        };
        if let State::Connecting { .. } = self.state {
            self.first(message, &head, number, now_ns, application)?;
        } else {
            match message.msg_type() {
                b"4" if message.get(123) != Some(b"Y") => {
                    return self.sequence_reset(message, number, now_ns);
                }
                b"A" if message.get(141) == Some(b"Y") => {
                    return self.reset_by_peer(number, now_ns, application);
                }
                b"5" => return self.logged_out(message, number, now_ns),
                _ if number > self.out.expected() => {
                    return self.too_high(message, number, now_ns, application);
                }
                _ if number < self.out.expected() => {
                    return self.too_low(message, &head, number, now_ns);
                }
                _ => self.in_turn(message, &head, number, now_ns, application)?,
            }
        }
        self.catch_up(now_ns, application)
    }

    /// Handles what came too early and whose turn it is now.
    fn catch_up(&mut self, now_ns: u64, application: &mut dyn Application) -> Result<(), Close> {
        while let Some(kept) = self.ahead.take(self.out.expected()) {
            for message in Frames::new(&kept).flatten() {
                let (head, number) = (Head::of(&message), self.out.expected());
                match message.msg_type() {
                    // It was answered when it came.
                    b"2" => self.out.set_expected(number.saturating_add(1)),
                    _ => self.in_turn(&message, &head, number, now_ns, application)?,
                }
            }
        }
        if self.gap.is_some_and(|gap| gap.seen < self.out.expected()) {
            self.gap = None;
        }
        Ok(())
    }

    /// From whom it is, to whom, and when: of every message, also of one that is early.
    fn check_origin(
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

    fn reject_and_shut_out(
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
    fn first(
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
        let heartbeat_s = message.get(108).and_then(super::head::number);
        if let Some(s) = heartbeat_s.filter(|s| (1..=super::HEARTBEAT_S_MAX.into()).contains(s)) {
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
    fn reset_numbers_at_logon(&mut self, application: &mut dyn Application) -> Result<(), Close> {
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

    fn reset(&mut self, application: &mut dyn Application) {
        self.counts.resets += 1;
        self.out.set_next(1);
        self.out.set_expected(1);
        self.ahead.clear();
        (self.gap, self.answered) = (None, 0);
        application.reset();
    }

    /// A Logon amid a session, by which the peer resets the numbers.
    fn reset_by_peer(
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

    /// A message that is not the next: what is between is asked for.
    fn too_high(
        &mut self,
        message: &Message<'_>,
        number: u64,
        now_ns: u64,
        application: &mut dyn Application,
    ) -> Result<(), Close> {
        if message.msg_type() == b"2" {
            // Answered at once, or both sides would wait for each other.
            self.resend(message, number, now_ns, application)?;
        }
        self.ahead.keep(number, message.bytes());
        match &mut self.gap {
            Some(gap) => gap.seen = gap.seen.max(number),
            None => self.ask(number, now_ns)?,
        }
        Ok(())
    }

    /// Asks for all from the next on: what comes after `seen` is on its way, and comes again.
    fn ask(&mut self, seen: u64, now_ns: u64) -> Result<(), Close> {
        let tries = self.gap.map_or(0, |gap| gap.tries) + 1;
        self.gap = Some(Gap { seen, asked_ns: now_ns, tries });
        self.counts.resends_asked += 1;
        let expected = self.out.expected();
        Ok(self.out.message(now_ns, "2", &[(7, &expected), (16, &0)])?)
    }

    /// A message that came before, or seems to.
    fn too_low(
        &mut self,
        message: &Message<'_>,
        head: &Head<'_>,
        number: u64,
        now_ns: u64,
    ) -> Result<(), Close> {
        if !head.is_duplicate {
            return Err(self.number_too_low(number, now_ns));
        }
        self.counts.duplicates += 1;
        match self.duplicate_fault(message, head) {
            Some((reason::SENDING_TIME, _)) => {
                self.reject(message, number, reason::SENDING_TIME, None, now_ns)?;
                let text = "OrigSendingTime (122) is after SendingTime (52)";
                Err(self.shut_out(now_ns, text.to_owned()))
            }
            Some((reason, tag)) => self.reject(message, number, reason, Some(&tag), now_ns),
            None => Ok(()),
        }
    }

    /// What is wrong with a message that says that it may be a duplicate.
    fn duplicate_fault(&self, message: &Message<'_>, head: &Head<'_>) -> Option<(u16, u32)> {
        if message.msg_type() == b"4" {
            return None;
        }
        let Some(first_time) = head.first_time else { return Some((reason::MISSING, 122)) };
        let (Some(first), Some(sent)) =
            (time::parse(first_time), head.sending_time.and_then(time::parse))
        else {
            return Some((reason::FORMAT, 122));
        };
        (first > sent).then_some((reason::SENDING_TIME, 122))
    }

    fn number_too_low(&mut self, number: u64, now_ns: u64) -> Close {
        self.counts.sequence_errors += 1;
        let expected = self.out.expected();
        let text = format!("MsgSeqNum too low, expecting {expected} but received {number}");
        self.shut_out(now_ns, text)
    }

    /// The next message.
    fn in_turn(
        &mut self,
        message: &Message<'_>,
        head: &Head<'_>,
        number: u64,
        now_ns: u64,
        application: &mut dyn Application,
    ) -> Result<(), Close> {
        let handled = match self.fault(message, head) {
            // A Reject is never answered with one: that would not end.
            Some(_) if message.msg_type() == b"3" => Ok(()),
            Some((reason, tag)) => {
                let tag = tag.as_ref().map(|tag| tag as &dyn Display);
                let rejected = self.reject(message, number, reason, tag, now_ns);
                match reason {
                    reason::SENDING_TIME => rejected.and_then(|()| {
                        let text = "OrigSendingTime (122) is after SendingTime (52)";
                        Err(self.shut_out(now_ns, text.to_owned()))
                    }),
                    _ => rejected,
                }
            }
            None => self.dispatch(message, number, now_ns, application),
        };
        // A gap fill has gone further.
        self.out.set_expected(self.out.expected().max(number.saturating_add(1)));
        handled
    }

    /// What of a message does not follow the rules: SessionRejectReason and RefTagID.
    fn fault(&self, message: &Message<'_>, head: &Head<'_>) -> Option<(u16, Option<Tag>)> {
        if let Some(dictionary) = &self.settings.dictionary
            && let Err(fault) = dictionary.check(message)
        {
            return Some((fault.session_reject_reason(), Tag::of(&fault)));
        }
        if let Some(bad) = &head.bad {
            return Some((reason::INVALID_TAG, Tag::of(&Fault::BadField(*bad))));
        }
        for (tag, value) in [(49, head.sender), (52, head.sending_time), (56, head.target)] {
            let reason = match value {
                None => reason::MISSING,
                Some(b"") => reason::NO_VALUE,
                Some(time) if tag == 52 && time::parse(time).is_none() => reason::FORMAT,
                Some(_) => continue,
            };
            return Some((reason, Some(Tag::number(tag))));
        }
        if head.is_duplicate {
            let (reason, tag) = self.duplicate_fault(message, head)?;
            return Some((reason, Some(Tag::number(tag))));
        }
        None
    }

    fn dispatch(
        &mut self,
        message: &Message<'_>,
        number: u64,
        now_ns: u64,
        application: &mut dyn Application,
    ) -> Result<(), Close> {
        match message.msg_type() {
            b"0" => self.heartbeat(message),
            b"1" => return self.test_request(message, number, now_ns),
            b"2" => return self.resend(message, number, now_ns, application),
            b"3" => {
                self.counts.rejected_by_peer += 1;
                let reason = message.get(373).and_then(super::head::number).unwrap_or(99);
                if let Some(refused) = message.get(45).and_then(super::head::number) {
                    application.rejected(refused, reason.try_into().unwrap_or(u16::MAX));
                }
            }
            b"4" => return self.gap_fill(message, number, now_ns),
            b"A" => {
                let text = "a Logon amid the session";
                return Err(self.shut_out(now_ns, text.to_owned()));
            }
            _ => match application.message(message, &mut self.out, now_ns) {
                Ok(()) => {}
                Err(Refusal::Full) => return Err(Full.into()),
                Err(Refusal::Close(why)) => {
                    return Err(Close { why: why.to_owned(), reconnect: true });
                }
                Err(Refusal::Unsupported) => return self.unsupported(message, number, now_ns),
                Err(Refusal::Reject(reason, tag)) => {
                    return self.reject(message, number, reason, Some(&tag), now_ns);
                }
            },
        }
        Ok(())
    }

    fn heartbeat(&mut self, message: &Message<'_>) {
        let answers = message.get(112).and_then(super::head::number);
        if self.test.is_some_and(|(_, id)| answers == Some(id)) {
            (self.test, self.is_synchronising) = (None, false);
        }
    }

    fn test_request(
        &mut self,
        message: &Message<'_>,
        number: u64,
        now_ns: u64,
    ) -> Result<(), Close> {
        let id = message.get(112).and_then(|id| str::from_utf8(id).ok());
        match id {
            None => self.reject(message, number, reason::MISSING, Some(&112), now_ns),
            Some(id) if id.is_empty() || id.len() > TEST_ID_BYTES_MAX => {
                self.reject(message, number, reason::OUT_OF_RANGE, Some(&112), now_ns)
            }
            Some(id) => Ok(self.out.message(now_ns, "0", &[(112, &id)])?),
        }
    }

    /// The peer misses something: what is to be sent again is, and a gap fill stands for the rest.
    fn resend(
        &mut self,
        message: &Message<'_>,
        number: u64,
        now_ns: u64,
        application: &mut dyn Application,
    ) -> Result<(), Close> {
        let get = |tag| message.get(tag).and_then(super::head::number);
        let (Some(first), Some(last)) = (get(7), get(16)) else {
            let tag = if get(7).is_none() { 7 } else { 16 };
            return self.reject(message, number, reason::MISSING, Some(&tag), now_ns);
        };
        let newest = self.out.next() - 1;
        // 0 is infinity.
        let last = if last == 0 { newest } else { last.min(newest) };
        if first == 0 || first > last {
            return self.reject(message, number, reason::OUT_OF_RANGE, Some(&7), now_ns);
        }
        self.counts.resends_answered += 1;
        // A request may have been on its way while one before it was answered. Then the peer has
        // gone on since, and what came behind that answer has been handled.
        let doubtful = if first < self.answered { self.answered } else { u64::MAX };
        let mut at = first;
        while at <= last {
            let next = application.next_again(at, last, doubtful, now_ns);
            let until = match next {
                Next::Send(number) | Next::StopBefore(number) => number.clamp(at, last),
                Next::Fill => last + 1,
            };
            if until > at {
                let fill = Again { number: at, at_ns: now_ns };
                self.out.again(now_ns, "4", fill, &[(36, &until), (123, &"Y")])?;
            }
            at = until;
            match next {
                Next::StopBefore(_) => break,
                Next::Send(_) => {
                    application.send_again(at, &mut self.out, now_ns)?;
                    at += 1;
                }
                Next::Fill => {}
            }
        }
        self.answered = self.answered.max(at);
        Ok(())
    }

    /// SequenceReset with GapFillFlag (123): has a number of its own, and stands for more.
    fn gap_fill(&mut self, message: &Message<'_>, number: u64, now_ns: u64) -> Result<(), Close> {
        match message.get(36).and_then(super::head::number) {
            None => self.reject(message, number, reason::MISSING, Some(&36), now_ns),
            Some(next) if next <= number => {
                self.reject(message, number, reason::OUT_OF_RANGE, None, now_ns)
            }
            Some(next) => {
                self.out.set_expected(next);
                Ok(())
            }
        }
    }

    /// SequenceReset without it: what is missing will never come. Its own number counts nothing.
    fn sequence_reset(
        &mut self,
        message: &Message<'_>,
        number: u64,
        now_ns: u64,
    ) -> Result<(), Close> {
        match message.get(36).and_then(super::head::number) {
            None => self.reject(message, number, reason::MISSING, Some(&36), now_ns),
            Some(next) if next < self.out.expected() => {
                self.reject(message, number, reason::OUT_OF_RANGE, None, now_ns)
            }
            Some(next) => {
                self.counts.resets += 1;
                self.out.set_expected(next);
                self.ahead.forget_before(next);
                if self.gap.is_some_and(|gap| gap.seen < next) {
                    self.gap = None;
                }
                Ok(())
            }
        }
    }

    /// The peer ends the session, or agrees to the end; whatever its number.
    fn logged_out(&mut self, message: &Message<'_>, number: u64, now_ns: u64) -> Result<(), Close> {
        if number == self.out.expected() {
            self.out.set_expected(number.saturating_add(1));
        }
        if let State::LoggingOut { .. } = self.state {
            self.state = State::Disconnected;
            return Err(stop("logged out"));
        }
        self.out.message(now_ns, "5", &[])?;
        self.state = State::Disconnected;
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

    pub fn tick(&mut self, now_ns: u64) -> Result<(), Close> {
        match &mut self.state {
            State::Disconnected => return Ok(()),
            State::Connecting { since_ns } => {
                if since(since_ns, now_ns) > ms(LOGON_MS_MAX) {
                    let why =
                        format!("no Logon came within {LOGON_MS_MAX} ms: is it a FIX gateway?");
                    return Err(Close { why, reconnect: true });
                }
                return Ok(());
            }
            State::LoggingOut { since_ns } => {
                if since(since_ns, now_ns) > ms(LOGOUT_MS_MAX) {
                    return Err(stop("the peer does not answer our Logout"));
                }
            }
            State::Established => {}
        }
        self.tick_gap(now_ns)?;
        self.tick_silence(now_ns)
    }

    fn tick_gap(&mut self, now_ns: u64) -> Result<(), Close> {
        let Some(gap) = &mut self.gap else { return Ok(()) };
        if since(&mut gap.asked_ns, now_ns) <= ms(RESEND_MS_MAX) {
            return Ok(());
        }
        let (seen, tries) = (gap.seen, gap.tries);
        if tries < RESEND_TRIES_MAX {
            return self.ask(seen, now_ns);
        }
        let expected = self.out.expected();
        let text = format!("message {expected} was asked for {tries} times and did not come");
        Err(self.shut_out(now_ns, text))
    }

    /// Heartbeats out, and what to do about those that do not come.
    fn tick_silence(&mut self, now_ns: u64) -> Result<(), Close> {
        // A reasonable transmission time, says the specification: a fifth.
        let patience_ns = self.heartbeat_ns + self.heartbeat_ns / 5;
        if let Some((asked_ns, _)) = &mut self.test {
            if since(asked_ns, now_ns) > patience_ns {
                let s = 2 * patience_ns / 1_000_000_000;
                let why = format!("the peer is silent, and answers no TestRequest ({s} s)");
                self.state = State::Disconnected;
                return Err(Close { why, reconnect: true });
            }
        } else if since(&mut self.heard_ns, now_ns) > patience_ns {
            self.send_test(now_ns)?;
        }
        if since(&mut self.out.at_ns, now_ns) >= self.heartbeat_ns {
            self.out.message(now_ns, "0", &[])?;
        }
        Ok(())
    }

    fn send_test(&mut self, now_ns: u64) -> Result<(), Full> {
        let id = self.out.next();
        self.test = Some((now_ns, id));
        self.out.message(now_ns, "1", &[(112, &id)])
    }

    fn send_logon(&mut self, now_ns: u64, is_reset: bool) -> Result<(), Full> {
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

    fn reject(
        &mut self,
        message: &Message<'_>,
        number: u64,
        reason: u16,
        tag: Option<&dyn Display>,
        now_ns: u64,
    ) -> Result<(), Close> {
        self.counts.rejected += 1;
        // FIX 4.2 knows reasons up to 11: what it does not is said in words alone.
        let is_known = self.settings.version != FixVersion::Fix42 || reason <= 11;
        let text = meaning(reason);
        let mut fields: Vec<(u32, &dyn Display)> = vec![(45, &number), (58, &text)];
        fields.extend(tag.map(|tag| (371, tag)));
        let kind = kind_of(message);
        fields.extend(kind.as_ref().map(|kind| (372, kind as &dyn Display)));
        if is_known {
            fields.push((373, &reason));
        }
        Ok(self.out.message(now_ns, "3", &fields)?)
    }

    fn unsupported(
        &mut self,
        message: &Message<'_>,
        number: u64,
        now_ns: u64,
    ) -> Result<(), Close> {
        self.counts.unsupported += 1;
        let (kind, text) = (kind_of(message).unwrap_or("?"), "unsupported message type");
        let fields: [(u32, &dyn Display); 4] =
            [(45, &number), (58, &text), (372, &kind), (380, &3)];
        Ok(self.out.message(now_ns, "j", &fields)?)
    }

    /// Says why and ends the connection; nobody connects again before a person has looked.
    fn shut_out(&mut self, now_ns: u64, text: String) -> Close {
        if let State::Established | State::LoggingOut { .. } = self.state {
            _ = self.out.message(now_ns, "5", &[(58, &text)]);
        }
        // A Logon with a wrong number is answered, too.
        self.state = State::Disconnected;
        stop(format!("{text}: ask the peer, then start again"))
    }
}

const NOT_TO_RESET: &str = "the peer resets the sequence numbers, which was not agreed on (set \
    `peer_may_reset` or `reset_on_logon` if it was)";

/// Closed until a person has looked.
fn stop(why: impl Into<String>) -> Close {
    Close { why: why.into(), reconnect: false }
}

const fn ms(ms: u64) -> u64 {
    ms * 1_000_000
}

/// How long ago `then` was. A clock that went back begins to count from there.
fn since(then: &mut u64, now_ns: u64) -> u64 {
    *then = now_ns.min(*then);
    now_ns - *then
}

fn kind_of<'m>(message: &Message<'m>) -> Option<&'m str> {
    let kind = str::from_utf8(message.msg_type()).ok();
    kind.filter(|kind| (1..=16).contains(&kind.len()))
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

/// RefTagID (371): also that of a field whose number is none.
struct Tag(String);

impl Tag {
    fn number(tag: u32) -> Self {
        Tag(tag.to_string())
    }

    fn of(fault: &Fault<'_>) -> Option<Self> {
        match fault {
            Fault::BadField(BadField::Tag(field)) => {
                let tag = field.split(|&byte| byte == b'=').next().unwrap_or_default();
                let is_fit = (1..=10).contains(&tag.len()) && tag.is_ascii();
                is_fit.then(|| Tag(String::from_utf8_lossy(tag).into_owned()))
            }
            _ => fault.tag().map(Tag::number),
        }
    }
}

impl Display for Tag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// SessionRejectReason (373) in words.
const fn meaning(reason: u16) -> &'static str {
    match reason {
        0 => "Invalid tag number",
        1 => "Required tag missing",
        2 => "Tag not defined for this message type",
        4 => "Tag specified without a value",
        5 => "Value is incorrect (out of range) for this tag",
        6 => "Incorrect data format for value",
        9 => "CompID problem",
        10 => "SendingTime accuracy problem",
        11 => "Invalid MsgType",
        13 => "Tag appears more than once",
        14 => "Tag specified out of required order",
        15 => "Repeating group fields out of order",
        16 => "Incorrect NumInGroup count for repeating group",
        _ => "Other",
    }
}
