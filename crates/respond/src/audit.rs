//! The log of decisions, as bytes: what each trigger led to, in the order in which it happened.
//!
//! ```text
//! file    "TWAUDIT1" │ header bytes u32 │ header, JSON: Names │ record │ record │ …
//! record  64 bytes, little-endian, see Record::to_bytes
//! ```
//!
//! The header names feeds, rules, targets, instruments and reasons, so that a file can be read by a
//! later version and without its configuration. A file that was cut (the machine went down) is good
//! up to its last whole record.

use crate::decision::{Decision, Outcome};
use crate::order::{Event, EventKind, Intent, Side};
use serde::{Deserialize, Serialize};
use tickwire_frame::Reason;

/// How a file begins.
pub const MAGIC: &[u8; 8] = b"TWAUDIT1";
/// Bytes of a record.
pub const RECORD_BYTES: usize = 64;
/// The longest header that is read, in bytes: 65 536 instruments and as many rules fit.
pub const HEADER_BYTES_MAX: usize = 16 << 20;

/// What the numbers in records mean.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    /// The version of tickwire that wrote the file.
    pub version: String,
    /// Decimals of prices.
    pub decimals: u32,
    /// By number.
    pub feeds: Vec<String>,
    /// By number.
    pub rules: Vec<String>,
    /// By number.
    pub targets: Vec<String>,
    /// By number: symbols.
    pub instruments: Vec<String>,
    /// By number, as that version had them.
    pub reasons: Vec<String>,
}

impl Names {
    /// The reasons of this version.
    pub fn reasons() -> Vec<String> {
        Reason::ALL.iter().map(|reason| reason.as_str().to_owned()).collect()
    }

    /// A file with these names and no records.
    ///
    /// # Errors
    /// When they take more than [`HEADER_BYTES_MAX`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, AuditError> {
        let json =
            serde_json::to_vec(self).map_err(|error| AuditError::Header(error.to_string()))?;
        if json.len() > HEADER_BYTES_MAX {
            return Err(AuditError::HeaderTooLong(json.len()));
        }
        let len = (json.len() as u32).to_le_bytes();
        Ok([MAGIC.as_slice(), &len, &json].concat())
    }

    /// The names at the beginning of a file, and how many bytes they take.
    ///
    /// # Errors
    /// What is no audit file, or is cut in its header.
    pub fn parse(file: &[u8]) -> Result<(Names, usize), AuditError> {
        let (magic, rest) = file.split_first_chunk::<8>().ok_or(AuditError::NotAudit)?;
        if magic != MAGIC {
            return Err(AuditError::NotAudit);
        }
        let (len, rest) = rest.split_first_chunk::<4>().ok_or(AuditError::CutHeader)?;
        let len = u32::from_le_bytes(*len) as usize;
        if len > HEADER_BYTES_MAX {
            return Err(AuditError::HeaderTooLong(len));
        }
        let json = rest.get(..len).ok_or(AuditError::CutHeader)?;
        let names = serde_json::from_slice(json);
        Ok((names.map_err(|error| AuditError::Header(error.to_string()))?, 12 + len))
    }
}

/// Why bytes are no audit file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuditError {
    /// It begins otherwise.
    #[error("this is no audit file of tickwire: it does not begin with TWAUDIT1")]
    NotAudit,
    /// It ends within the header.
    #[error("the file ends within its header, so it has no records")]
    CutHeader,
    /// A header that long would not have been written.
    #[error("the header would take {0} bytes, more than {HEADER_BYTES_MAX}: the file is damaged")]
    HeaderTooLong(usize),
    /// The header is not what it should be.
    #[error("the header cannot be read: {0}; the file is damaged, or of a later version")]
    Header(String),
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A trigger, and what became of it.
    Decision(Decision),
    /// What an exchange, or the way to it, said of an order.
    Event(Event),
    /// Something that concerns all orders.
    Mark(Mark),
    /// So many records are missing here, because the log could not follow.
    Lost(u64),
}

/// Something that concerns all orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mark {
    /// The process began.
    Started = 1,
    /// It ended in good order.
    Stopped = 2,
    /// Responding was switched on.
    Enabled = 3,
    /// Responding was switched off.
    Disabled = 4,
    /// The kill switch was turned on.
    Killed = 5,
    /// The kill switch was turned off.
    KillReset = 6,
    /// All feeds were taken for complete.
    GapsReset = 7,
    /// All positions were set to 0, and open orders forgotten.
    PositionsReset = 8,
    /// Rules and limits were read again.
    Reloaded = 9,
}

impl Mark {
    const ALL: [Mark; 9] = [
        Mark::Started,
        Mark::Stopped,
        Mark::Enabled,
        Mark::Disabled,
        Mark::Killed,
        Mark::KillReset,
        Mark::GapsReset,
        Mark::PositionsReset,
        Mark::Reloaded,
    ];

    /// Its name in what is printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Mark::Started => "started",
            Mark::Stopped => "stopped",
            Mark::Enabled => "enabled",
            Mark::Disabled => "disabled",
            Mark::Killed => "killed",
            Mark::KillReset => "kill_reset",
            Mark::GapsReset => "gaps_reset",
            Mark::PositionsReset => "positions_reset",
            Mark::Reloaded => "reloaded",
        }
    }
}

/// What happened, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// When it was entered, in nanoseconds since 1970 UTC.
    pub at_ns: u64,
    /// What happened.
    pub entry: Entry,
}

/// Kinds of records, in byte 0.
mod kind {
    pub const ORDERED: u8 = 1;
    pub const REFUSED: u8 = 2;
    pub const ACCEPTED: u8 = 3;
    pub const REJECTED: u8 = 4;
    pub const EXECUTED: u8 = 5;
    pub const CANCELED: u8 = 6;
    pub const UNSENT: u8 = 7;
    pub const MARK: u8 = 8;
    pub const LOST: u8 = 9;
}

/// Where fields are in a record; all of them little-endian.
mod at {
    pub const KIND: usize = 0;
    pub const SIDE: usize = 1;
    pub const CODE: usize = 2; // u16: reason, reject code, mark
    pub const FEED: usize = 4; // u16
    pub const RULE: usize = 6; // u16
    pub const TARGET: usize = 8; // u16
    pub const INSTRUMENT: usize = 12; // u32
    pub const QUANTITY: usize = 16; // u32
    pub const PRICE: usize = 24; // i64
    pub const NUMBER: usize = 32; // u64: the order, or how many were lost
    pub const TRIGGER: usize = 40; // u64
    pub const RECEIVED: usize = 48; // u64
    pub const AT: usize = 56; // u64
}

impl Record {
    /// Its bytes.
    #[inline]
    pub fn to_bytes(&self) -> [u8; RECORD_BYTES] {
        let mut out = Out([0; RECORD_BYTES]);
        out.put(at::AT, self.at_ns.to_le_bytes());
        match &self.entry {
            Entry::Decision(decision) => out.decision(decision),
            Entry::Event(event) => out.event(event),
            Entry::Mark(mark) => out.kind(kind::MARK, *mark as u16),
            Entry::Lost(count) => {
                out.kind(kind::LOST, 0);
                out.put(at::NUMBER, count.to_le_bytes());
            }
        }
        out.0
    }

    /// What the bytes say. Numbers that this version does not know are looked up in `names`.
    ///
    /// # Errors
    /// A kind of record, a side, or a reason that is not known: the byte at fault.
    pub fn parse(bytes: &[u8; RECORD_BYTES], names: &Names) -> Result<Record, UnknownByte> {
        let input = In(bytes);
        let number = input.u64(at::NUMBER);
        let event = |kind| Entry::Event(Event { number, kind });
        let entry = match bytes[at::KIND] {
            kind::ORDERED => input.decision(Outcome::Ordered(number))?,
            kind::REFUSED => input.decision(Outcome::Refused(input.reason(names)?))?,
            kind::ACCEPTED => event(EventKind::Accepted),
            kind::REJECTED => event(EventKind::Rejected(input.u16(at::CODE))),
            kind::EXECUTED => event(EventKind::Executed {
                quantity: input.u32(at::QUANTITY),
                price: input.u64(at::PRICE) as i64,
            }),
            kind::CANCELED => event(EventKind::Canceled { quantity: input.u32(at::QUANTITY) }),
            kind::UNSENT => event(EventKind::Unsent(input.reason(names)?)),
            kind::MARK => {
                let code = input.u16(at::CODE);
                let known = Mark::ALL.into_iter().find(|mark| *mark as u16 == code);
                Entry::Mark(known.ok_or(UnknownByte { what: "mark", value: code })?)
            }
            kind::LOST => Entry::Lost(number),
            other => return Err(UnknownByte { what: "kind of record", value: other.into() }),
        };
        Ok(Record { at_ns: input.u64(at::AT), entry })
    }
}

/// A number in a record that this version does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown {what} {value}")]
pub struct UnknownByte {
    /// What it is.
    pub what: &'static str,
    /// Which it is.
    pub value: u16,
}

struct Out([u8; RECORD_BYTES]);

impl Out {
    #[inline]
    fn put<const N: usize>(&mut self, at: usize, bytes: [u8; N]) {
        self.0[at..at + N].copy_from_slice(&bytes);
    }

    #[inline]
    fn kind(&mut self, kind: u8, code: u16) {
        self.0[at::KIND] = kind;
        self.put(at::CODE, code.to_le_bytes());
    }

    #[inline]
    fn decision(&mut self, decision: &Decision) {
        let Intent { rule, instrument, target, side, price, quantity } = decision.intent;
        match decision.outcome {
            Outcome::Ordered(number) => {
                self.kind(kind::ORDERED, 0);
                self.put(at::NUMBER, number.to_le_bytes());
            }
            Outcome::Refused(reason) => self.kind(kind::REFUSED, reason as u16),
        }
        self.0[at::SIDE] = match side {
            Side::Buy => 0,
            Side::Sell => 1,
            Side::SellShort => 2,
        };
        self.put(at::FEED, decision.feed.to_le_bytes());
        self.put(at::RULE, rule.to_le_bytes());
        self.put(at::TARGET, target.to_le_bytes());
        self.put(at::INSTRUMENT, instrument.to_le_bytes());
        self.put(at::QUANTITY, quantity.to_le_bytes());
        self.put(at::PRICE, price.to_le_bytes());
        self.put(at::TRIGGER, decision.trigger.to_le_bytes());
        self.put(at::RECEIVED, decision.received_ns.to_le_bytes());
    }

    fn event(&mut self, event: &Event) {
        self.put(at::NUMBER, event.number.to_le_bytes());
        match event.kind {
            EventKind::Accepted => self.kind(kind::ACCEPTED, 0),
            EventKind::Rejected(code) => self.kind(kind::REJECTED, code),
            EventKind::Executed { quantity, price } => {
                self.kind(kind::EXECUTED, 0);
                self.put(at::QUANTITY, quantity.to_le_bytes());
                self.put(at::PRICE, price.to_le_bytes());
            }
            EventKind::Canceled { quantity } => {
                self.kind(kind::CANCELED, 0);
                self.put(at::QUANTITY, quantity.to_le_bytes());
            }
            EventKind::Unsent(reason) => self.kind(kind::UNSENT, reason as u16),
        }
    }
}

struct In<'a>(&'a [u8; RECORD_BYTES]);

impl In<'_> {
    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut out = [0; N];
        out.copy_from_slice(&self.0[at..at + N]);
        out
    }

    fn u16(&self, at: usize) -> u16 {
        u16::from_le_bytes(self.array(at))
    }

    fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.array(at))
    }

    fn u64(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.array(at))
    }

    /// By its name, because another version may have numbered reasons otherwise.
    fn reason(&self, names: &Names) -> Result<Reason, UnknownByte> {
        let code = self.u16(at::CODE);
        let name = names.reasons.get(usize::from(code));
        let known = name.and_then(|name| Reason::ALL.iter().find(|one| one.as_str() == name));
        known.copied().ok_or(UnknownByte { what: "reason", value: code })
    }

    fn decision(&self, outcome: Outcome) -> Result<Entry, UnknownByte> {
        let side = match self.0[at::SIDE] {
            0 => Side::Buy,
            1 => Side::Sell,
            2 => Side::SellShort,
            other => return Err(UnknownByte { what: "side", value: other.into() }),
        };
        let intent = Intent {
            rule: self.u16(at::RULE),
            instrument: self.u32(at::INSTRUMENT),
            target: self.u16(at::TARGET),
            side,
            price: self.u64(at::PRICE) as i64,
            quantity: self.u32(at::QUANTITY),
        };
        Ok(Entry::Decision(Decision {
            intent,
            feed: self.u16(at::FEED),
            trigger: self.u64(at::TRIGGER),
            received_ns: self.u64(at::RECEIVED),
            outcome,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names() -> Names {
        Names { reasons: Names::reasons(), ..Names::default() }
    }

    fn reason() -> impl Strategy<Value = Reason> {
        (0..Reason::COUNT).prop_map(|at| Reason::ALL[at])
    }

    fn entry() -> impl Strategy<Value = Entry> {
        let side = prop_oneof![Just(Side::Buy), Just(Side::Sell), Just(Side::SellShort)];
        let outcome = prop_oneof![
            any::<u64>().prop_map(Outcome::Ordered),
            reason().prop_map(Outcome::Refused)
        ];
        let intent = (any::<(u16, u32, u16)>(), side, any::<(i64, u32)>());
        let decision =
            (intent, any::<(u16, u64, u64)>(), outcome).prop_map(|(intent, rest, outcome)| {
                let ((rule, instrument, target), side, (price, quantity)) = intent;
                let (feed, trigger, received_ns) = rest;
                let intent = Intent { rule, instrument, target, side, price, quantity };
                Entry::Decision(Decision { intent, feed, trigger, received_ns, outcome })
            });
        let event = prop_oneof![
            Just(EventKind::Accepted),
            any::<u16>().prop_map(EventKind::Rejected),
            any::<(u32, i64)>()
                .prop_map(|(quantity, price)| EventKind::Executed { quantity, price }),
            any::<u32>().prop_map(|quantity| EventKind::Canceled { quantity }),
            reason().prop_map(EventKind::Unsent),
        ];
        let event =
            (any::<u64>(), event).prop_map(|(number, kind)| Entry::Event(Event { number, kind }));
        let mark = (0..Mark::ALL.len()).prop_map(|at| Entry::Mark(Mark::ALL[at]));
        prop_oneof![decision, event, mark, any::<u64>().prop_map(Entry::Lost)]
    }

    proptest! {
        #[test]
        fn records_are_read_as_they_were_written(at_ns: u64, entry in entry()) {
            let record = Record { at_ns, entry };
            prop_assert_eq!(Record::parse(&record.to_bytes(), &names()), Ok(record));
        }

        #[test]
        fn any_bytes_are_read_or_refused(
            bytes in proptest::array::uniform32(any::<[u8; 2]>()),
            file in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            let bytes: [u8; RECORD_BYTES] = bytes.concat().try_into().unwrap();
            let _ = Record::parse(&bytes, &names());
            let _ = Names::parse(&file);
        }
    }

    #[test]
    fn reasons_go_by_their_names() {
        let mut later = names();
        later.reasons.insert(0, "of_a_later_version".to_owned());
        let entry = Entry::Event(Event { number: 1, kind: EventKind::Unsent(Reason::LinkDown) });
        let mut bytes = Record { at_ns: 0, entry }.to_bytes();
        bytes[at::CODE] += 1;
        assert_eq!(Record::parse(&bytes, &later).map(|record| record.entry), Ok(entry));
        bytes[at::CODE] = 0;
        let unknown = UnknownByte { what: "reason", value: 0 };
        assert_eq!(Record::parse(&bytes, &later), Err(unknown));
    }

    #[test]
    fn a_header_is_read_whole_or_not_at_all() {
        let names = Names { instruments: vec!["AAPL".into()], decimals: 4, ..names() };
        let file = names.to_bytes().unwrap();
        assert_eq!(Names::parse(&file), Ok((names, file.len())));
        for len in 0..file.len() {
            assert!(Names::parse(&file[..len]).is_err(), "{len}");
        }
        let mut long = file.clone();
        long[8..12].fill(0xff);
        assert_eq!(Names::parse(&long), Err(AuditError::HeaderTooLong(u32::MAX as usize)));
    }
}
