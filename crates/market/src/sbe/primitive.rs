//! The primitive types of SBE (section 2.4), and numbers of them at an offset.

use crate::field::Value;
use crate::wire::Float;

/// A primitive type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // They are their names.
pub enum Primitive {
    Char,
    Int8,
    Int16,
    Int32,
    Int64,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Float,
    Double,
}

impl Primitive {
    const NAMES: [(&'static str, Primitive); 11] = [
        ("char", Primitive::Char),
        ("int8", Primitive::Int8),
        ("int16", Primitive::Int16),
        ("int32", Primitive::Int32),
        ("int64", Primitive::Int64),
        ("uint8", Primitive::Uint8),
        ("uint16", Primitive::Uint16),
        ("uint32", Primitive::Uint32),
        ("uint64", Primitive::Uint64),
        ("float", Primitive::Float),
        ("double", Primitive::Double),
    ];

    /// The type with that name in a schema.
    pub(super) fn named(name: &str) -> Option<Self> {
        let found = Self::NAMES.iter().find(|(known, _)| *known == name)?;
        Some(found.1)
    }

    /// Bytes that it takes.
    pub const fn size(self) -> usize {
        match self {
            Primitive::Char | Primitive::Int8 | Primitive::Uint8 => 1,
            Primitive::Int16 | Primitive::Uint16 => 2,
            Primitive::Int32 | Primitive::Uint32 | Primitive::Float => 4,
            Primitive::Int64 | Primitive::Uint64 | Primitive::Double => 8,
        }
    }

    pub(super) const fn is_signed(self) -> bool {
        matches!(self, Primitive::Int8 | Primitive::Int16 | Primitive::Int32 | Primitive::Int64)
    }

    pub(super) const fn is_unsigned(self) -> bool {
        use Primitive::{Uint8, Uint16, Uint32, Uint64};
        matches!(self, Uint8 | Uint16 | Uint32 | Uint64)
    }

    /// The bits that mean *no value* where a schema does not say (section 2.4.4): 0 of characters,
    /// the least signed number, the greatest unsigned one, NaN.
    pub(super) const fn default_null(self) -> u64 {
        match self {
            Primitive::Char => 0,
            Primitive::Float => f32::NAN.to_bits() as u64,
            Primitive::Double => f64::NAN.to_bits(),
            _ if self.is_signed() => 1 << (self.size() * 8 - 1),
            _ => u64::MAX >> (64 - self.size() * 8),
        }
    }

    /// Whether `raw` are the bits of `null`; any NaN is where one is.
    #[inline]
    pub(super) fn is_null(self, raw: u64, null: u64) -> bool {
        match self {
            Primitive::Float => is_nan32(raw) && is_nan32(null) || raw == null,
            Primitive::Double => is_nan64(raw) && is_nan64(null) || raw == null,
            _ => raw == null,
        }
    }

    /// As many low bits as it has.
    pub(super) const fn cut(self, bits: u64) -> u64 {
        bits & u64::MAX >> (64 - self.size() * 8)
    }

    /// The integer that the bits are.
    #[inline]
    pub(super) fn number(self, raw: u64) -> i128 {
        let unused = 64 - self.size() * 8;
        if self.is_signed() { i128::from((raw << unused) as i64 >> unused) } else { raw.into() }
    }

    /// The value that the bits are; a character as a number.
    #[inline]
    pub(super) fn value(self, raw: u64) -> Value<'static> {
        match self {
            Primitive::Float => Value::Float(Float(f32::from_bits(raw as u32).into())),
            Primitive::Double => Value::Float(Float(f64::from_bits(raw))),
            _ if self.is_signed() => Value::Signed(self.number(raw) as i64),
            _ => Value::Unsigned(raw),
        }
    }

    /// The bits of an integer; `None` when it is out of range, or this is no type of integers.
    pub(super) fn bits(self, number: i128) -> Option<u64> {
        let bits = self.cut(number as u64);
        let is_integer = self.is_signed() || self.is_unsigned();
        (is_integer && self.number(bits) == number).then_some(bits)
    }
}

fn is_nan32(raw: u64) -> bool {
    f32::from_bits(raw as u32).is_nan()
}

fn is_nan64(raw: u64) -> bool {
    f64::from_bits(raw).is_nan()
}

/// A number somewhere in a block, in the order of bytes of the schema.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) offset: usize,
    pub(super) primitive: Primitive,
    pub(super) big_endian: bool,
}

impl Place {
    /// The bits of the number that `bytes`, which are as many as it has, are.
    #[inline]
    pub(super) fn raw(&self, bytes: &[u8]) -> u64 {
        let mut wide = [0; 8];
        let len = self.primitive.size().min(bytes.len());
        if self.big_endian {
            wide[8 - len..].copy_from_slice(&bytes[..len]);
            u64::from_be_bytes(wide)
        } else {
            wide[..len].copy_from_slice(&bytes[..len]);
            u64::from_le_bytes(wide)
        }
    }

    /// The number at its offset; `None` when `bytes` end before.
    #[inline]
    pub(super) fn read(&self, bytes: &[u8]) -> Option<u64> {
        bytes.get(self.offset..self.offset + self.primitive.size()).map(|bytes| self.raw(bytes))
    }

    /// Writes the low bits of `raw` at its offset; `false` when they do not fit its type.
    ///
    /// # Panics
    /// When `bytes` end before it.
    pub(super) fn write(&self, raw: u64, bytes: &mut [u8]) -> bool {
        let len = self.primitive.size();
        let place = &mut bytes[self.offset..self.offset + len];
        match self.big_endian {
            true => place.copy_from_slice(&raw.to_be_bytes()[8 - len..]),
            false => place.copy_from_slice(&raw.to_le_bytes()[..len]),
        }
        self.primitive.cut(raw) == raw
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_type_and_order() {
        let bytes = [0xee, 0x81, 2, 3, 4, 5, 6, 7, 8];
        let read = |name, big_endian| {
            let place = Place { offset: 1, primitive: Primitive::named(name).unwrap(), big_endian };
            place.primitive.value(place.read(&bytes).unwrap())
        };
        assert_eq!(read("int8", false), Value::Signed(-127));
        assert_eq!(read("uint16", true), Value::Unsigned(0x8102));
        assert_eq!(read("int16", false), Value::Signed(0x0281));
        assert_eq!(read("int32", true), Value::Signed(0x8102_0304_u32 as i32 as i64));
        assert_eq!(read("uint64", true), Value::Unsigned(0x8102_0304_0506_0708));
        assert_eq!(read("uint64", false), Value::Unsigned(0x0807_0605_0403_0281));
        let place = Place { offset: 2, primitive: Primitive::Uint64, big_endian: false };
        assert_eq!(place.read(&bytes), None);
    }

    #[test]
    fn what_is_written_is_read_or_does_not_fit() {
        for (name, primitive) in Primitive::NAMES {
            let place = Place { offset: 0, primitive, big_endian: primitive.size() == 2 };
            let mut bytes = [0; 8];
            let null = primitive.default_null();
            assert!(place.write(null, &mut bytes), "{name}");
            assert!(primitive.is_null(place.read(&bytes).unwrap(), null), "{name}");
        }
        assert_eq!(Primitive::Int8.bits(-128), Some(0x80));
        assert_eq!(Primitive::Int8.bits(128), None);
        assert_eq!(Primitive::Uint64.bits(-1), None);
        assert_eq!(Primitive::Uint64.bits(u64::MAX.into()), Some(u64::MAX));
        assert_eq!(Primitive::Float.bits(1), None);
        assert!(Primitive::Float.is_null(0x7fc0_0001, 0x7f80_0001));
    }
}
