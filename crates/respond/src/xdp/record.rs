//! What the program says of every tick that a rule wanted an order for.

use crate::decision::{Decision, Outcome};
use crate::order::{Intent, Side};
use std::net::{Ipv4Addr, SocketAddrV4};
use tickwire_frame::Reason;

/// Words of a record.
pub const WORDS: usize = 9;
/// Bytes of a record.
pub const BYTES: usize = 8 * WORDS;

/// Of a record, by word.
pub(super) mod word {
    /// When it was decided, in nanoseconds since 1970.
    pub const AT_NS: usize = 0;
    /// The time stamp of the tick.
    pub const TRIGGER: usize = 1;
    /// The number of the order; 0 when it was refused.
    pub const NUMBER: usize = 2;
    pub const PRICE: usize = 3;
    /// Quantity, and the instrument above it.
    pub const QUANTITY: usize = 4;
    /// Rule, feed, target of 16 bits each; then the side and the outcome of 8 bits.
    pub const WHOSE: usize = 5;
    /// Who sent the tick: address, then port, as they lie in the packet.
    pub const SOURCE: usize = 6;
    /// How long it took, in nanoseconds; 0 when it was refused.
    pub const TOOK_NS: usize = 7;
    /// How many intents there were with this one: what is missing was lost.
    pub const INTENTS: usize = 8;
}

/// A tick that a rule wanted an order for, and what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// What was decided; received when it was decided, since nothing waits there.
    pub decision: Decision,
    /// Who sent the tick.
    pub source: SocketAddrV4,
    /// From the frame to the order, in nanoseconds; `None` when there was none.
    pub took_ns: Option<u64>,
}

impl Record {
    /// Reads a record; `None` when it is none.
    pub fn read(bytes: &[u8]) -> Option<Record> {
        let (words, rest) = bytes.as_chunks::<8>();
        let words: &[[u8; 8]; WORDS] = words.try_into().ok().filter(|_| rest.is_empty())?;
        let word = |at: usize| u64::from_ne_bytes(words[at]);
        let whose = word(word::WHOSE);
        let side = match whose >> 48 & 0xff {
            0 => Side::Buy,
            1 => Side::Sell,
            2 => Side::SellShort,
            _ => return None,
        };
        let outcome = match whose >> 56 {
            0 => Outcome::Ordered(word(word::NUMBER)),
            reason => Outcome::Refused(*Reason::ALL.get(reason as usize - 1)?),
        };
        let source = word(word::SOURCE).to_ne_bytes();
        let [a, b, c, d, port @ ..] = source;
        let intent = Intent {
            rule: whose as u16,
            instrument: (word(word::QUANTITY) >> 32) as u32,
            target: (whose >> 32) as u16,
            side,
            price: word(word::PRICE) as i64,
            quantity: word(word::QUANTITY) as u32,
        };
        let decision = Decision {
            intent,
            feed: (whose >> 16) as u16,
            trigger: word(word::TRIGGER),
            received_ns: word(word::AT_NS),
            outcome,
        };
        let port = u16::from_be_bytes([port[0], port[1]]);
        Some(Record {
            decision,
            source: SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), port),
            took_ns: Some(word(word::TOOK_NS)).filter(|took| *took != 0),
        })
    }
}
