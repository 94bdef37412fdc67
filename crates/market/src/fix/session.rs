//! Whose a message is: sessions by their names, and how their numbers go on over connections.

use super::Message;
use crate::wire::Ascii;
use std::collections::HashMap;
use std::fmt;

/// The most sessions whose numbers are remembered.
const SESSIONS_MAX: usize = 4096;

/// SenderCompID (49) or TargetCompID (56). A longer one is cut to 11 bytes, a `~`, and 8 digits
/// that depend on all of it.
pub type CompId = Ascii<20>;

/// One direction of a session: what MsgSeqNum (34) numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId {
    /// Who sends.
    pub sender: CompId,
    /// To whom.
    pub target: CompId,
    /// How often the numbers have begun again with a Logon.
    pub resets: u16,
}

/// `SENDER>TARGET`; after resets with how many: `SENDER>TARGET#1`.
impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}>{}", self.sender, self.target)?;
        match self.resets {
            0 => Ok(()),
            resets => write!(f, "#{resets}"),
        }
    }
}

/// The numbers that a message takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Numbered {
    pub(crate) session: SessionId,
    pub(crate) first: u64,
    /// 1; of a SequenceReset that fills a gap, as many as it leaves out.
    pub(crate) count: u32,
}

/// The sessions seen so far. Numbers go on when a connection ends and another begins; a Logon with
/// number 1 begins them again (ResetSeqNumFlag, or the end of the day).
#[derive(Clone, Debug, Default)]
pub struct Sessions(HashMap<(CompId, CompId), State>);

#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// Whether a number was seen since they began again.
    has_begun: bool,
    resets: u16,
}

impl Sessions {
    /// The session and the numbers of a message that comes now; `None` when it says none.
    pub(crate) fn numbers(&mut self, message: &Message<'_>) -> Option<Numbered> {
        let header = Header::of(message);
        let (first, sender, target) = (header.number?, header.sender?, header.target?);
        let mut unknown = State::default();
        let has_room = self.0.len() < SESSIONS_MAX || self.0.contains_key(&(sender, target));
        let state = match has_room {
            true => self.0.entry((sender, target)).or_default(),
            false => &mut unknown,
        };
        if message.msg_type() == b"A" && first == 1 && !header.is_repeated {
            state.resets = state.resets.saturating_add(state.has_begun.into());
        }
        state.has_begun = true;
        let session = SessionId { sender, target, resets: state.resets };
        // A reset without a gap fill leaves numbers out that nobody will send: they are missing.
        let after = header.new_number.filter(|_| header.is_gap_fill && message.msg_type() == b"4");
        let count = after.and_then(|after| after.checked_sub(first)).unwrap_or(1).max(1);
        Some(Numbered { session, first, count: count.try_into().unwrap_or(u32::MAX) })
    }
}

/// What a message says of numbers.
#[derive(Default)]
struct Header {
    /// MsgSeqNum (34).
    number: Option<u64>,
    sender: Option<CompId>,
    target: Option<CompId>,
    /// PossDupFlag (43).
    is_repeated: bool,
    /// NewSeqNo (36) and GapFillFlag (123) of SequenceReset.
    new_number: Option<u64>,
    is_gap_fill: bool,
}

impl Header {
    fn of(message: &Message<'_>) -> Header {
        let mut header = Header::default();
        let number = |value: &[u8]| std::str::from_utf8(value).ok()?.parse().ok();
        for field in message.fields().map_while(Result::ok) {
            match field.tag {
                34 => header.number = number(field.value),
                36 => header.new_number = number(field.value),
                43 => header.is_repeated = field.value == b"Y",
                49 => header.sender = Some(comp_id(field.value)),
                56 => header.target = Some(comp_id(field.value)),
                123 => header.is_gap_fill = field.value == b"Y",
                _ => {}
            }
        }
        header
    }
}

fn comp_id(value: &[u8]) -> CompId {
    let mut id = [b' '; 20];
    match id.get_mut(..value.len()) {
        Some(place) => place.copy_from_slice(value),
        None => {
            // FNV-1a, of which 32 bits are enough to tell the sessions of a network apart.
            let hash = value.iter().fold(0x811c_9dc5_u32, |hash, &byte| {
                (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
            });
            id[..11].copy_from_slice(&value[..11]);
            id[11..].copy_from_slice(format!("~{hash:08x}").as_bytes());
        }
    }
    Ascii(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fix::{Framed, MessageBuilder, frame};

    fn numbers(sessions: &mut Sessions, msg_type: &str, fields: &[(u32, &str)]) -> Option<String> {
        let mut buffer = [0; 256];
        let mut message = MessageBuilder::new(&mut buffer, "FIX.4.4", msg_type).unwrap();
        for (tag, value) in fields {
            message.field(*tag, value).unwrap();
        }
        let Framed::Message(message) = frame(message.finish()) else { panic!("no message") };
        let Numbered { session, first, count } = sessions.numbers(&message)?;
        Some(format!("{session} {first}+{count}"))
    }

    #[test]
    fn numbers_go_on_until_a_logon_begins_them_again() {
        let mut sessions = Sessions::default();
        let mut of = |msg_type, number, more: &[(u32, &str)]| {
            let fields = [&[(49, "FUND"), (56, "VENUE"), (34, number)], more].concat();
            numbers(&mut sessions, msg_type, &fields)
        };
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(of("A", "1", &[]), text("FUND>VENUE 1+1"));
        assert_eq!(of("A", "1", &[(43, "Y")]), text("FUND>VENUE 1+1"));
        assert_eq!(of("D", "2", &[]), text("FUND>VENUE 2+1"));
        // Another connection, the same session.
        assert_eq!(of("A", "3", &[]), text("FUND>VENUE 3+1"));
        assert_eq!(of("A", "1", &[(141, "Y")]), text("FUND>VENUE#1 1+1"));
        // Nothing but the session's own messages was sent: they need not be sent again.
        assert_eq!(of("4", "2", &[(123, "Y"), (36, "9")]), text("FUND>VENUE#1 2+7"));
        assert_eq!(of("4", "9", &[(123, "N"), (36, "99")]), text("FUND>VENUE#1 9+1"));
        assert_eq!(of("4", "9", &[(123, "Y"), (36, "3")]), text("FUND>VENUE#1 9+1"));
        assert_eq!(of("D", "x", &[]), None);
        assert_eq!(numbers(&mut sessions, "D", &[(34, "1"), (49, "FUND")]), None);
    }

    #[test]
    fn long_names_stay_apart() {
        let name = |last: char| comp_id(format!("A_VERY_LONG_COMP_ID_{last}").as_bytes());
        assert_ne!(name('1'), name('2'));
        assert_eq!(name('1').to_string(), "A_VERY_LONG~".to_owned() + &name('1').to_string()[12..]);
        assert_eq!(comp_id(b"ABCDEFGHIJKLMNOPQRST").to_string(), "ABCDEFGHIJKLMNOPQRST");
    }
}
