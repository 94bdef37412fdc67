//! The fields of a message as a table: for printers, filters and tests, which ask for them by name.

use crate::price::write_price;
use crate::wire::{Float, SinceMidnight, UnixTime, trim, write_text};
use std::fmt;

/// A field of a message.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name in the specification, in lower case with underscores, which is also the name of
    /// its accessor.
    pub name: &'static str,
    /// Where it begins, in bytes from the start of the message.
    pub offset: usize,
    /// How many bytes it takes.
    pub len: usize,
    /// Reads it from its own bytes.
    read: fn(&[u8]) -> Value<'_>,
}

impl Field {
    /// A row of the table.
    pub(crate) const fn new(
        name: &'static str,
        offset: usize,
        len: usize,
        read: fn(&[u8]) -> Value<'_>,
    ) -> Self {
        Field { name, offset, len, read }
    }

    /// Its value in a message that begins with `message`; `None` when the message ends before.
    pub fn value<'a>(&self, message: &'a [u8]) -> Option<Value<'a>> {
        message.get(self.offset..self.offset + self.len).map(self.read)
    }
}

/// The value of any field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A number.
    Unsigned(u64),
    /// A number that may be negative.
    Signed(i64),
    /// Text or a code, with its padding.
    Text(&'a [u8]),
    /// `raw × 10^-decimals`.
    Price {
        /// The integer on the wire.
        raw: i128,
        /// How many of its digits are decimals.
        decimals: u32,
    },
    /// Nanoseconds since midnight in the time of the exchange.
    SinceMidnight(u64),
    /// Nanoseconds since 1970-01-01 00:00 UTC.
    UnixTime(i64),
    /// A floating-point number.
    Float(Float),
    /// The field is there, and says that it has no value.
    Null,
}

/// As people read it: text without its padding, prices with all decimals, times as
/// `HH:MM:SS.nnnnnnnnn`, or as seconds with nine decimals; no value as `-`.
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Value::Unsigned(number) => write!(f, "{number}"),
            Value::Signed(number) => write!(f, "{number}"),
            Value::Text(text) => write_text(f, trim(text)),
            Value::Price { raw, decimals } => write_price(f, raw, decimals),
            Value::SinceMidnight(nanos) => SinceMidnight::<8>(nanos).fmt(f),
            Value::UnixTime(nanos) => UnixTime(nanos).fmt(f),
            Value::Float(number) => number.fmt(f),
            Value::Null => f.write_str("-"),
        }
    }
}

/// Whether the fields of a message follow each other without a hole or an overlap and end at `len`:
/// a slip in a table does not compile.
pub(crate) const fn fill(fields: &[Field], len: usize) -> bool {
    let (mut end, mut at) = (0, 0);
    while at < fields.len() {
        if fields[at].offset != end {
            return false;
        }
        end += fields[at].len;
        at += 1;
    }
    end == len
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Big, Wire};

    #[test]
    fn a_table_with_a_hole_or_an_overlap_is_seen() {
        let field = |offset, len| Field::new("x", offset, len, u8::value::<Big>);
        assert!(fill(&[field(0, 1), field(1, 2)], 3));
        assert!(!fill(&[field(0, 1), field(2, 1)], 3));
        assert!(!fill(&[field(0, 2), field(1, 1)], 2));
        assert!(!fill(&[field(0, 2)], 3));
        assert!(fill(&[], 0));
    }

    #[test]
    fn a_field_past_the_end_is_none() {
        let field = Field::new("x", 1, 2, u16::value::<Big>);
        assert_eq!(field.value(&[0, 1, 2, 3]), Some(Value::Unsigned(0x0102)));
        assert_eq!(field.value(&[0, 1]), None);
    }

    #[test]
    fn values_as_text() {
        let text = |value: Value<'_>| value.to_string();
        assert_eq!(text(Value::Unsigned(7)), "7");
        assert_eq!(text(Value::Signed(-7)), "-7");
        assert_eq!(text(Value::Text(b"AAPL    ")), "AAPL");
        assert_eq!(text(Value::Price { raw: 630_200, decimals: 4 }), "63.0200");
        assert_eq!(text(Value::SinceMidnight(1)), "00:00:00.000000001");
        assert_eq!(text(Value::Float(Float(1.5))), "1.5");
        assert_eq!(text(Value::Null), "-");
    }
}
