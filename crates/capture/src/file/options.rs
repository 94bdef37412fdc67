//! The options at the end of a pcapng block: code, length, value, padded to four bytes.
//!
//! Source: draft-ietf-opsawg-pcapng, section 3.5.

use super::fault::Fault;

pub(super) const END_OF_OPTIONS: u16 = 0;
pub(super) const COMMENT: u16 = 1;

/// `length` rounded up to whole 32-bit words.
pub(super) const fn padded(length: usize) -> usize {
    length.next_multiple_of(4)
}

/// Walks the options of a block.
pub(super) struct Options<'a> {
    bytes: &'a [u8],
    swapped: bool,
    /// Offset of `bytes` in the block.
    at: usize,
}

/// One option.
pub(super) struct Opt<'a> {
    pub(super) code: u16,
    pub(super) value: &'a [u8],
    /// Offset in the block.
    pub(super) at: usize,
    swapped: bool,
}

impl<'a> Options<'a> {
    /// The options in `block` from byte `at` up to the trailing length.
    pub(super) fn new(block: &'a [u8], at: usize, swapped: bool) -> Self {
        let bytes = block.get(at..block.len() - 4).unwrap_or_default();
        Options { bytes, swapped, at }
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = Result<Opt<'a>, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.bytes.is_empty() {
            return None;
        }
        let at = self.at;
        let cut = |bytes: &mut &[u8]| {
            *bytes = &[];
            Some(Err(Fault::new(at, "an option goes beyond its block")))
        };
        let Some((&[a, b, c, d], rest)) = self.bytes.split_first_chunk() else {
            return cut(&mut self.bytes);
        };
        let (code, length) = (u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]));
        let (code, length) =
            if self.swapped { (code.swap_bytes(), length.swap_bytes()) } else { (code, length) };
        let length = usize::from(length);
        let Some((value, rest)) = rest.split_at_checked(padded(length)) else {
            return cut(&mut self.bytes);
        };
        if code == END_OF_OPTIONS {
            self.bytes = &[];
            if length != 0 {
                return Some(Err(Fault::new(at, format!("opt_endofopt has a length of {length}"))));
            }
            return None;
        }
        self.bytes = rest;
        self.at += 4 + padded(length);
        Some(Ok(Opt { code, value: &value[..length], at, swapped: self.swapped }))
    }
}

impl Opt<'_> {
    /// The value as text. What is not UTF-8 is replaced; what is too long is cut.
    pub(super) fn text(&self, bytes_max: usize) -> String {
        let value = &self.value[..self.value.len().min(bytes_max)];
        String::from_utf8_lossy(value).into_owned()
    }

    /// The value as a 64-bit number, if it has that size.
    pub(super) fn u64(&self) -> Option<u64> {
        let value = u64::from_le_bytes(self.value.try_into().ok()?);
        Some(if self.swapped { value.swap_bytes() } else { value })
    }

    /// The value as a 32-bit number, if it has that size.
    pub(super) fn u32(&self) -> Option<u32> {
        let value = u32::from_le_bytes(self.value.try_into().ok()?);
        Some(if self.swapped { value.swap_bytes() } else { value })
    }
}
