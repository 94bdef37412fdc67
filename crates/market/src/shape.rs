//! How a field lies in memory, for code that is made for it: filters, rules. Found by reading it:
//! the tables say how a field is read, and a second table could disagree.

use crate::field::{Field, Value};
use std::fmt;

/// What the bytes of a field mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number.
    Unsigned,
    /// A number that may be negative.
    Signed,
    /// Text or a code, padded with spaces.
    Text,
    /// An integer of so many decimals.
    Price {
        /// How many of its digits are decimals.
        decimals: u32,
        /// Whether it may be negative.
        signed: bool,
    },
    /// Nanoseconds since midnight.
    SinceMidnight,
    /// Nanoseconds since 1970.
    UnixTime,
    /// What no code is made for: a floating-point number, or one that may be null.
    Other,
}

/// How a field lies in memory, and what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// What it means.
    pub kind: Kind,
    /// In bytes.
    pub len: u32,
    /// The least significant byte comes first.
    pub little: bool,
}

/// No field that holds a number is longer, in bytes.
const NUMBER_BYTES_MAX: usize = 8;

impl Shape {
    /// That of a field.
    pub fn of(field: &Field) -> Shape {
        let end = field.offset + field.len;
        let ones = vec![0xff; end];
        let mut first_is_one = vec![0; end];
        first_is_one[field.offset] = 1;
        let kind = match field.value(&ones) {
            Some(Value::Unsigned(_)) => Kind::Unsigned,
            Some(Value::Signed(_)) => Kind::Signed,
            Some(Value::Price { raw, decimals }) => Kind::Price { decimals, signed: raw < 0 },
            Some(Value::SinceMidnight(_)) => Kind::SinceMidnight,
            Some(Value::UnixTime(_)) => Kind::UnixTime,
            Some(Value::Text(_)) => Kind::Text,
            Some(Value::Float(_) | Value::Null) | None => Kind::Other,
        };
        let low = match field.value(&first_is_one) {
            Some(Value::Unsigned(raw) | Value::SinceMidnight(raw)) => raw == 1,
            Some(Value::Signed(raw) | Value::UnixTime(raw)) => raw == 1,
            Some(Value::Price { raw, .. }) => raw == 1,
            Some(Value::Text(_) | Value::Float(_) | Value::Null) | None => false,
        };
        debug_assert!(
            matches!(kind, Kind::Text | Kind::Other) || field.len <= NUMBER_BYTES_MAX,
            "{}",
            field.name
        );
        Shape { kind, len: field.len as u32, little: low && field.len > 1 }
    }

    /// Whether it may be negative.
    pub fn is_signed(&self) -> bool {
        matches!(self.kind, Kind::Signed | Kind::UnixTime | Kind::Price { signed: true, .. })
    }

    /// The lowest and the highest number that fit.
    pub fn limits(&self) -> (i128, i128) {
        let bits = 8 * self.len.min(NUMBER_BYTES_MAX as u32);
        match self.is_signed() {
            true => (-(1 << (bits - 1)), (1 << (bits - 1)) - 1),
            false => (0, (1 << bits) - 1),
        }
    }
}

/// What a user compares it to.
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Unsigned => write!(f, "u{}", 8 * self.len),
            Kind::Signed => write!(f, "i{}", 8 * self.len),
            Kind::Text if self.len == 1 => f.write_str("code"),
            Kind::Text => write!(f, "text of {}", self.len),
            Kind::Price { decimals, .. } => write!(f, "price, {decimals} decimals"),
            Kind::SinceMidnight => f.write_str("time of day"),
            Kind::UnixTime => f.write_str("time"),
            Kind::Other => write!(f, "{} bytes", self.len),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{hft_tick, iex, itch50};

    fn shown(fields: &[Field], name: &str) -> String {
        let field = fields.iter().find(|field| field.name == name).unwrap();
        let shape = Shape::of(field);
        format!("{shape} {} {:?}", shape.little, shape.limits())
    }

    #[test]
    fn a_shape_is_what_its_reader_says() {
        let add = itch50::AddOrder::FIELDS;
        assert_eq!(shown(add, "message_type"), "code false (0, 255)");
        assert_eq!(shown(add, "stock"), "text of 8 false (0, 18446744073709551615)");
        assert_eq!(shown(add, "price"), "price, 4 decimals false (0, 4294967295)");
        assert_eq!(shown(add, "timestamp"), "time of day false (0, 281474976710655)");
        let trade = iex::common::TradeReport::FIELDS;
        let signed = "(-9223372036854775808, 9223372036854775807)";
        assert_eq!(shown(trade, "price"), format!("price, 4 decimals true {signed}"));
        assert_eq!(shown(trade, "timestamp"), format!("time true {signed}"));
        assert_eq!(shown(trade, "size"), "u32 true (0, 4294967295)");
        assert_eq!(shown(trade, "sale_condition_flags"), "u8 false (0, 255)");
        let tick = Shape::of(&hft_tick::Tick::FIELDS[3]);
        assert_eq!((tick.kind, tick.to_string()), (Kind::Other, "4 bytes".into()));
    }
}
