//! The session layer of FIX (FIX 4.4, volume 2, *FIX Session Protocol*; the same in 4.2), for
//! either side: logon and logout, numbers in both directions, what is missing, heartbeats.
//!
//! What messages of the application mean says an [`Application`]. A message is handled once, in its
//! turn: what comes too early is kept, and what is missing is asked for. Who breaks the rules so
//! that numbers are in doubt is shut out, and a person has to look.

mod faults;
mod logon;
mod sequence;
mod timers;

use super::FixCounts;
use super::ahead::Ahead;
use super::head::Head;
use super::outgoing::{Full, Outgoing};
use super::settings::FixSettings;
use crate::session::Close;
use std::fmt::Display;
use std::str;
use tickwire_market::fix::{Frames, Message};

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
    /// growing numbers, and for what is before it a gap fill stands. When the request
    /// `is_repeated`, the peer may have got all of them meanwhile.
    fn next_again(&mut self, from: u64, last: u64, is_repeated: bool, now_ns: u64) -> Next;

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
            if handled.is_err() {
                self.state = State::Disconnected;
                return handled;
            }
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
}

/// Closed until a person has looked.
fn stop(why: impl Into<String>) -> Close {
    Close { why: why.into(), reconnect: false }
}
