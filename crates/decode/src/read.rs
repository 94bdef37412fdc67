//! Big-endian fields of headers whose size is part of their type.
//!
//! A view keeps its header as `&[u8; N]`, checked once when it is parsed; after that every offset
//! is a constant and the compiler removes the bounds checks.

/// The 16-bit field at `at`.
#[inline(always)]
pub(crate) const fn be16<const N: usize>(header: &[u8; N], at: usize) -> u16 {
    u16::from_be_bytes([header[at], header[at + 1]])
}

/// The 24-bit field at `at`.
#[inline(always)]
pub(crate) const fn be24<const N: usize>(header: &[u8; N], at: usize) -> u32 {
    u32::from_be_bytes([0, header[at], header[at + 1], header[at + 2]])
}

/// The 32-bit field at `at`.
#[inline(always)]
pub(crate) const fn be32<const N: usize>(header: &[u8; N], at: usize) -> u32 {
    u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
}

/// The `M` bytes at `at`.
#[inline(always)]
pub(crate) fn array<const N: usize, const M: usize>(header: &[u8; N], at: usize) -> [u8; M] {
    let mut out = [0; M];
    out.copy_from_slice(&header[at..at + M]);
    out
}

/// The 16-bit field at `at` of bytes of any length; `None` past their end.
#[inline]
pub(crate) fn get16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|&field| u16::from_be_bytes(field))
}

/// The 32-bit field at `at` of bytes of any length; `None` past their end.
#[inline]
pub(crate) fn get32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|&field| u32::from_be_bytes(field))
}

/// At most the first `len` bytes.
#[inline]
pub(crate) fn at_most(bytes: &[u8], len: usize) -> &[u8] {
    &bytes[..len.min(bytes.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_big_endian() {
        let header = [1, 2, 3, 4, 5];
        assert_eq!(be16(&header, 1), 0x0203);
        assert_eq!(be24(&header, 1), 0x02_0304);
        assert_eq!(be32(&header, 1), 0x0203_0405);
        assert_eq!(array::<5, 2>(&header, 3), [4, 5]);
    }

    #[test]
    fn reads_past_the_end_are_none() {
        assert_eq!(get16(&[1, 2], 0), Some(0x0102));
        assert_eq!(get16(&[1, 2], 1), None);
        assert_eq!(get32(&[1, 2, 3, 4], 5), None);
        assert_eq!(at_most(&[1, 2, 3], 9), [1, 2, 3]);
    }
}
