//! What fields are made of: integers of either byte order, padded text, codes and times.

use crate::field::Value;
use crate::price::write_price;
use std::fmt::{self, Write};

/// The order of the bytes of an integer, as a type: a protocol has one, and it costs nothing.
pub trait Order: sealed::Sealed {
    /// Whether the most significant byte comes first.
    const BIG: bool;
}

/// The most significant byte first: Nasdaq's protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Big;

/// The least significant byte first: IEX and everything of SBE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Little;

impl Order for Big {
    const BIG: bool = true;
}

impl Order for Little {
    const BIG: bool = false;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Big {}
    impl Sealed for super::Little {}
}

/// A type that a field can have: it stands in a fixed number of bytes.
pub trait Wire: Copy {
    /// Bytes that it takes.
    const LEN: usize;

    /// The byte that an empty field is filled with.
    const BLANK: u8 = 0;

    /// Reads it from the first [`LEN`](Wire::LEN) bytes.
    ///
    /// # Panics
    /// When there are fewer, which views rule out.
    fn read<O: Order>(bytes: &[u8]) -> Self;

    /// Writes it over the first [`LEN`](Wire::LEN) bytes.
    ///
    /// # Panics
    /// When there are fewer, which builders rule out.
    fn write<O: Order>(self, bytes: &mut [u8]);

    /// The same as a value of any type.
    fn value<O: Order>(bytes: &[u8]) -> Value<'_>;
}

/// The first `N` bytes.
#[inline(always)]
pub(crate) fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[..N]);
    out
}

macro_rules! integers {
    ($($integer:ident: $value:ident),*) => { $(
        impl Wire for $integer {
            const LEN: usize = size_of::<$integer>();

            #[inline(always)]
            fn read<O: Order>(bytes: &[u8]) -> Self {
                let bytes = array(bytes);
                if O::BIG { $integer::from_be_bytes(bytes) } else { $integer::from_le_bytes(bytes) }
            }

            #[inline(always)]
            fn write<O: Order>(self, bytes: &mut [u8]) {
                let own = if O::BIG { self.to_be_bytes() } else { self.to_le_bytes() };
                bytes[..Self::LEN].copy_from_slice(&own);
            }

            fn value<O: Order>(bytes: &[u8]) -> Value<'_> {
                Value::$value(Self::read::<O>(bytes).into())
            }
        }
    )* };
}

integers!(u8: Unsigned, u16: Unsigned, u32: Unsigned, u64: Unsigned);
integers!(i8: Signed, i16: Signed, i32: Signed, i64: Signed);

/// Text of `N` bytes, padded with spaces on the right (stocks, firms) or on the left (numbers,
/// sessions). Compares all bytes, padding too: `Ascii::from("AAPL")` is what a field holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ascii<const N: usize>(pub [u8; N]);

impl<const N: usize> Ascii<N> {
    /// Pads `text` on the right; `None` when it is longer than `N` bytes.
    pub fn new(text: &str) -> Option<Self> {
        let mut bytes = [b' '; N];
        bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        Some(Ascii(bytes))
    }

    /// Pads `text` on the left; `None` when it is longer than `N` bytes.
    pub fn right(text: &str) -> Option<Self> {
        let mut bytes = [b' '; N];
        bytes.get_mut(N.checked_sub(text.len())?..)?.copy_from_slice(text.as_bytes());
        Some(Ascii(bytes))
    }

    /// Without the padding. Bytes as they came: nothing says that they are ASCII.
    #[inline]
    pub fn trimmed(&self) -> &[u8] {
        trim(&self.0)
    }
}

/// `bytes` without the spaces around them.
pub(crate) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] | [rest @ .., b' '] = bytes {
        bytes = rest;
    }
    bytes
}

/// Writes text from the wire: what cannot be printed is escaped.
pub(crate) fn write_text(f: &mut fmt::Formatter<'_>, text: &[u8]) -> fmt::Result {
    text.iter().try_for_each(|&byte| match byte {
        b'\\' => f.write_str("\\\\"),
        b' '..=b'~' => f.write_char(byte.into()),
        _ => write!(f, "\\x{byte:02x}"),
    })
}

/// The text without its padding; bytes that cannot be printed as `\x00`.
impl<const N: usize> fmt::Display for Ascii<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_text(f, self.trimmed())
    }
}

impl<const N: usize> fmt::Debug for Ascii<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        write_text(f, &self.0)?;
        f.write_char('"')
    }
}

impl<const N: usize> Wire for Ascii<N> {
    const LEN: usize = N;
    const BLANK: u8 = b' ';

    #[inline(always)]
    fn read<O: Order>(bytes: &[u8]) -> Self {
        Ascii(array(bytes))
    }

    #[inline(always)]
    fn write<O: Order>(self, bytes: &mut [u8]) {
        bytes[..N].copy_from_slice(&self.0);
    }

    fn value<O: Order>(bytes: &[u8]) -> Value<'_> {
        Value::Text(&bytes[..N])
    }
}

/// One byte that stands for something, nearly always a letter: a side, a state, a reason. Codes
/// that a later version of the specification adds are codes like any other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub u8);

/// `message.side() == b'B'`.
impl PartialEq<u8> for Code {
    fn eq(&self, other: &u8) -> bool {
        self.0 == *other
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_text(f, &[self.0])
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{self}'")
    }
}

impl Wire for Code {
    const LEN: usize = 1;
    const BLANK: u8 = b' ';

    #[inline(always)]
    fn read<O: Order>(bytes: &[u8]) -> Self {
        Code(bytes[0])
    }

    #[inline(always)]
    fn write<O: Order>(self, bytes: &mut [u8]) {
        bytes[0] = self.0;
    }

    fn value<O: Order>(bytes: &[u8]) -> Value<'_> {
        Value::Text(&bytes[..1])
    }
}

/// Nanoseconds since midnight in the time of the exchange, in `BYTES` bytes: 6 in ITCH, 8 in OUCH.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SinceMidnight<const BYTES: usize>(pub u64);

/// `HH:MM:SS.nnnnnnnnn`; hours go beyond 24 rather than start again.
impl<const BYTES: usize> fmt::Display for SinceMidnight<BYTES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanos) = (self.0 / 1_000_000_000, self.0 % 1_000_000_000);
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        write!(f, "{hours:02}:{minutes:02}:{:02}.{nanos:09}", seconds % 60)
    }
}

impl<const BYTES: usize> Wire for SinceMidnight<BYTES> {
    const LEN: usize = BYTES;

    #[inline(always)]
    fn read<O: Order>(bytes: &[u8]) -> Self {
        let mut wide = [0; 8];
        if O::BIG {
            wide[8 - BYTES..].copy_from_slice(&bytes[..BYTES]);
            SinceMidnight(u64::from_be_bytes(wide))
        } else {
            wide[..BYTES].copy_from_slice(&bytes[..BYTES]);
            SinceMidnight(u64::from_le_bytes(wide))
        }
    }

    /// Bits that do not fit into `BYTES` bytes are lost: a day fits into 6.
    #[inline(always)]
    fn write<O: Order>(self, bytes: &mut [u8]) {
        if O::BIG {
            bytes[..BYTES].copy_from_slice(&self.0.to_be_bytes()[8 - BYTES..]);
        } else {
            bytes[..BYTES].copy_from_slice(&self.0.to_le_bytes()[..BYTES]);
        }
    }

    fn value<O: Order>(bytes: &[u8]) -> Value<'_> {
        Value::SinceMidnight(Self::read::<O>(bytes).0)
    }
}

/// Nanoseconds since 1970-01-01 00:00 UTC, without leap seconds: IEX and everything of SBE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(pub i64);

/// `seconds.nanoseconds`, nine digits.
impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_price(f, self.0.into(), 9)
    }
}

impl Wire for UnixTime {
    const LEN: usize = 8;

    #[inline(always)]
    fn read<O: Order>(bytes: &[u8]) -> Self {
        UnixTime(i64::read::<O>(bytes))
    }

    #[inline(always)]
    fn write<O: Order>(self, bytes: &mut [u8]) {
        self.0.write::<O>(bytes);
    }

    fn value<O: Order>(bytes: &[u8]) -> Value<'_> {
        Value::UnixTime(i64::read::<O>(bytes))
    }
}

/// Text of `N` bytes that ends at the first NUL, or fills them: the strings of SBE and EOBI. What
/// is behind the NUL is kept as it came, and means nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NulText<const N: usize>(pub [u8; N]);

impl<const N: usize> NulText<N> {
    /// Fills up with NUL; `None` when `text` is longer than `N` bytes.
    pub fn new(text: &str) -> Option<Self> {
        let mut bytes = [0; N];
        bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        Some(NulText(bytes))
    }

    /// Up to the first NUL. Bytes as they came: nothing says that they are ASCII.
    #[inline]
    pub fn text(&self) -> &[u8] {
        until_nul(&self.0)
    }
}

/// `bytes` up to the first NUL.
pub(crate) fn until_nul(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len())]
}

/// The text before the NUL, without spaces around it; bytes that cannot be printed as `\xff`.
impl<const N: usize> fmt::Display for NulText<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_text(f, trim(self.text()))
    }
}

impl<const N: usize> fmt::Debug for NulText<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        write_text(f, &self.0)?;
        f.write_char('"')
    }
}

impl<const N: usize> Wire for NulText<N> {
    const LEN: usize = N;

    #[inline(always)]
    fn read<O: Order>(bytes: &[u8]) -> Self {
        NulText(array(bytes))
    }

    #[inline(always)]
    fn write<O: Order>(self, bytes: &mut [u8]) {
        bytes[..N].copy_from_slice(&self.0);
    }

    fn value<O: Order>(bytes: &[u8]) -> Value<'_> {
        Value::Text(until_nul(&bytes[..N]))
    }
}

/// A floating-point number, equal to one of the same bits: a NaN to itself, 0 not to -0.
#[derive(Clone, Copy, Debug, Default)]
pub struct Float(pub f64);

impl PartialEq for Float {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Float {}

impl fmt::Display for Float {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// IEEE 754, four bytes. As a value it is the same number in eight, which prints digits that four
/// bytes do not have: 0.1 as 0.10000000149011612.
impl Wire for f32 {
    const LEN: usize = 4;

    #[inline(always)]
    fn read<O: Order>(bytes: &[u8]) -> Self {
        f32::from_bits(u32::read::<O>(bytes))
    }

    #[inline(always)]
    fn write<O: Order>(self, bytes: &mut [u8]) {
        self.to_bits().write::<O>(bytes);
    }

    fn value<O: Order>(bytes: &[u8]) -> Value<'_> {
        Value::Float(Float(Self::read::<O>(bytes).into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_of_either_order() {
        let bytes = [0x81, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(u16::read::<Big>(&bytes), 0x8102);
        assert_eq!(u16::read::<Little>(&bytes), 0x0281);
        assert_eq!(i64::read::<Big>(&bytes), 0x8102_0304_0506_0708_u64 as i64);
        assert_eq!(i8::value::<Little>(&bytes), Value::Signed(-127));
        let mut out = [0; 4];
        0x0102_0304_u32.write::<Little>(&mut out);
        assert_eq!(out, [4, 3, 2, 1]);
    }

    #[test]
    fn text_is_padded_and_trimmed() {
        let stock: Ascii<8> = Ascii::new("AAPL").unwrap();
        assert_eq!((stock.0, stock.trimmed()), (*b"AAPL    ", &b"AAPL"[..]));
        assert_eq!(Ascii::<4>::right("7").unwrap().0, *b"   7");
        assert_eq!((Ascii::<4>::new("LONGER"), Ascii::<4>::right("LONGER")), (None, None));
        assert_eq!(Ascii(*b"A\0\\\xff  ").to_string(), r"A\x00\\\xff");
        assert_eq!(format!("{:?} {:?}", Ascii(*b"A "), Code(b'B')), "\"A \" 'B'");
        assert_eq!(Ascii(*b"    ").to_string(), "");
    }

    #[test]
    fn times_of_six_and_eight_bytes() {
        let open = SinceMidnight::<6>(34_200_000_000_001);
        assert_eq!(open.to_string(), "09:30:00.000000001");
        let mut bytes = [0; 8];
        open.write::<Big>(&mut bytes);
        assert_eq!(SinceMidnight::<6>::read::<Big>(&bytes), open);
        open.write::<Little>(&mut bytes);
        assert_eq!(SinceMidnight::<6>::read::<Little>(&bytes), open);
        assert_eq!(SinceMidnight::<8>(u64::MAX).to_string(), "5124095:34:33.709551615");
    }

    #[test]
    fn times_since_1970() {
        let time = UnixTime(1_700_000_000_000_000_001);
        assert_eq!(time.to_string(), "1700000000.000000001");
        assert_eq!(UnixTime(-1).to_string(), "-0.000000001");
        let mut bytes = [0; 8];
        time.write::<Little>(&mut bytes);
        assert_eq!(bytes, 1_700_000_000_000_000_001_i64.to_le_bytes());
        assert_eq!(UnixTime::read::<Little>(&bytes), time);
        assert_eq!(UnixTime::value::<Little>(&bytes).to_string(), time.to_string());
    }

    #[test]
    fn text_ends_at_nul() {
        let text = NulText::<4>::new("ab").unwrap();
        assert_eq!((text.0, text.text()), (*b"ab\0\0", &b"ab"[..]));
        assert_eq!(NulText::<1>::new("ab"), None);
        assert_eq!(
            (NulText(*b"a\0b").to_string(), NulText(*b"abc").to_string()),
            ("a".into(), "abc".into())
        );
        assert_eq!(NulText::<3>::value::<Big>(b"a\0b"), Value::Text(b"a"));
    }

    #[test]
    fn floats_compare_by_bits() {
        assert_eq!(Float(f64::NAN), Float(f64::NAN));
        assert_ne!(Float(0.0), Float(-0.0));
        let mut out = [0; 4];
        (-1.5_f32).write::<Big>(&mut out);
        assert_eq!((out, f32::read::<Big>(&out)), ([0xbf, 0xc0, 0, 0], -1.5));
        assert_eq!(f32::value::<Big>(&out), Value::Float(Float(-1.5)));
    }
}
