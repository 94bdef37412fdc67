//! A small buffer in front of any [`fmt::Write`], with the few formats that packets need.
//!
//! `write!` costs tens of nanoseconds a field; a line has a dozen fields. This puts digits straight
//! into an array on the stack and hands it on in one piece.

use crate::Mac;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes that are gathered before they are handed on: more than most lines have.
const BUFFER_BYTES: usize = 512;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// What is written goes to `out` in order, the last of it on [`finish`](Text::finish). An error of
/// `out` is kept until then.
pub(crate) struct Text<'w> {
    out: &'w mut dyn fmt::Write,
    buffer: [u8; BUFFER_BYTES],
    len: usize,
    result: fmt::Result,
}

impl<'w> Text<'w> {
    pub(crate) fn new(out: &'w mut dyn fmt::Write) -> Self {
        Text { out, buffer: [0; BUFFER_BYTES], len: 0, result: Ok(()) }
    }

    fn flush(&mut self) {
        // Every part put into the buffer was whole UTF-8, so this cannot fail.
        let text = std::str::from_utf8(&self.buffer[..self.len]).map_err(|_| fmt::Error);
        self.len = 0;
        self.result = self.result.and(text.and_then(|text| self.out.write_str(text)));
    }

    pub(crate) fn finish(mut self) -> fmt::Result {
        self.flush();
        self.result
    }

    /// ASCII only.
    #[inline]
    fn ascii(&mut self, bytes: &[u8]) {
        if self.len + bytes.len() > BUFFER_BYTES {
            self.flush();
        }
        if let Some(room) = self.buffer.get_mut(self.len..self.len + bytes.len()) {
            room.copy_from_slice(bytes);
            self.len += bytes.len();
        }
    }

    #[inline]
    pub(crate) fn str(&mut self, text: &str) -> &mut Self {
        if text.len() <= BUFFER_BYTES {
            self.ascii(text.as_bytes());
        } else {
            self.flush();
            self.result = self.result.and(self.out.write_str(text));
        }
        self
    }

    /// Whether the last byte that is still in the buffer is a space.
    pub(crate) fn ends_with_space(&self) -> bool {
        self.buffer[..self.len].ends_with(b" ")
    }

    /// `byte` must be ASCII.
    #[inline]
    pub(crate) fn byte(&mut self, byte: u8) -> &mut Self {
        debug_assert!(byte.is_ascii());
        self.ascii(&[byte]);
        self
    }

    /// Decimal.
    #[inline]
    pub(crate) fn dec(&mut self, number: impl Into<u64>) -> &mut Self {
        let mut number: u64 = number.into();
        let mut digits = [0; 20];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        self.ascii(&digits[at..]);
        self
    }

    /// A length or an offset, decimal.
    #[inline]
    pub(crate) fn len(&mut self, len: usize) -> &mut Self {
        self.dec(len as u64)
    }

    /// Decimal with leading zeros, `N` digits; higher digits are dropped.
    #[inline]
    pub(crate) fn padded<const N: usize>(&mut self, mut number: u32) -> &mut Self {
        let mut digits = [b'0'; N];
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
        }
        self.ascii(&digits);
        self
    }

    /// `N` hexadecimal digits, lower case.
    #[inline]
    pub(crate) fn hex<const N: usize>(&mut self, number: impl Into<u64>) -> &mut Self {
        let number: u64 = number.into();
        let mut digits = [0; N];
        for (index, digit) in digits.iter_mut().rev().enumerate() {
            *digit = HEX[(number >> (4 * index) & 15) as usize];
        }
        self.ascii(&digits);
        self
    }

    /// Bytes as pairs of digits with `separator` between them.
    pub(crate) fn hex_bytes(&mut self, bytes: &[u8], separator: &str) -> &mut Self {
        for (index, &byte) in bytes.iter().enumerate() {
            if index > 0 {
                self.str(separator);
            }
            self.hex::<2>(byte);
        }
        self
    }

    #[inline]
    pub(crate) fn mac(&mut self, mac: Mac) -> &mut Self {
        let mut text = [b':'; 17];
        for (index, byte) in mac.0.into_iter().enumerate() {
            text[3 * index] = HEX[usize::from(byte >> 4)];
            text[3 * index + 1] = HEX[usize::from(byte & 15)];
        }
        self.ascii(&text);
        self
    }

    #[inline]
    pub(crate) fn ipv4(&mut self, address: Ipv4Addr) -> &mut Self {
        let mut text = [b'.'; 15];
        let mut len = 0;
        for octet in address.octets() {
            for (divisor, needed) in [(100, octet > 99), (10, octet > 9), (1, true)] {
                if needed {
                    text[len.min(14)] = b'0' + octet / divisor % 10;
                    len += 1;
                }
            }
            if len < 15 {
                text[len] = b'.';
            }
            len += 1;
        }
        self.ascii(&text[..(len - 1).min(15)]);
        self
    }

    pub(crate) fn ipv6(&mut self, address: Ipv6Addr) -> &mut Self {
        let segments = address.segments();
        if segments[..6] == [0, 0, 0, 0, 0, 0xffff] {
            let [.., a, b, c, d] = address.octets();
            return self.str("::ffff:").ipv4(Ipv4Addr::new(a, b, c, d));
        }
        let (start, zeros) = longest_zeros(&segments);
        let mut index = 0;
        while index < 8 {
            if index == start && zeros > 1 {
                self.str("::");
                index += zeros;
                continue;
            }
            if index > 0 && !(index == start + zeros && zeros > 1) {
                self.byte(b':');
            }
            self.short_hex(segments[index]);
            index += 1;
        }
        self
    }

    /// Without leading zeros.
    pub(crate) fn short_hex(&mut self, number: u16) -> &mut Self {
        match number {
            0..0x10 => self.hex::<1>(number),
            0x10..0x100 => self.hex::<2>(number),
            0x100..0x1000 => self.hex::<3>(number),
            _ => self.hex::<4>(number),
        }
    }

    pub(crate) fn ip(&mut self, address: IpAddr) -> &mut Self {
        match address {
            IpAddr::V4(address) => self.ipv4(address),
            IpAddr::V6(address) => self.ipv6(address),
        }
    }
}

/// Where the longest run of zero segments begins and how long it is (RFC 5952, 4.2.3).
fn longest_zeros(segments: &[u16; 8]) -> (usize, usize) {
    let mut best = (0, 0);
    let mut run = 0;
    for (index, &segment) in segments.iter().enumerate() {
        run = if segment == 0 { run + 1 } else { 0 };
        if run > best.1 {
            best = (index + 1 - run, run);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Text<'_>)) -> String {
        let mut out = String::new();
        let mut text = Text::new(&mut out);
        write(&mut text);
        text.finish().unwrap();
        out
    }

    #[test]
    fn numbers() {
        assert_eq!(text(|t| _ = t.dec(0u8).byte(b' ').dec(u64::MAX)), "0 18446744073709551615");
        assert_eq!(text(|t| _ = t.padded::<9>(1234).byte(b' ').hex::<4>(0xabu8)), "000001234 00ab");
        assert_eq!(text(|t| _ = t.hex_bytes(&[1, 0xff], ":")), "01:ff");
    }

    #[test]
    fn addresses_print_like_the_standard_library() {
        let mut state = 1u64;
        for round in 0..2_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let v4 = Ipv4Addr::from((state >> 32) as u32);
            assert_eq!(text(|t| _ = t.ipv4(v4)), v4.to_string());
            let zeros = (state >> 40) as u8;
            let segments = std::array::from_fn(|index| match zeros >> index & 1 {
                1 => 0,
                _ => (state >> (index * 5)) as u16 >> (round % 16),
            });
            let v6 = Ipv6Addr::from(segments);
            if !v6.to_string().contains('.') {
                assert_eq!(text(|t| _ = t.ipv6(v6)), v6.to_string());
            }
        }
        let mapped: Ipv6Addr = "::ffff:10.0.0.1".parse().unwrap();
        assert_eq!(text(|t| _ = t.ipv6(mapped)), "::ffff:10.0.0.1");
        assert_eq!(text(|t| _ = t.ipv6(Ipv6Addr::UNSPECIFIED)), "::");
        assert_eq!(text(|t| _ = t.mac(Mac([0, 1, 2, 3, 0xab, 0xff]))), "00:01:02:03:ab:ff");
    }

    #[test]
    fn long_text_arrives_whole_and_in_order() {
        let word = "word ".repeat(200);
        let written = text(|t| {
            for _ in 0..100 {
                t.str("0123456789");
            }
            t.str(&word).str("end");
        });
        assert_eq!(written, "0123456789".repeat(100) + &word + "end");
    }

    #[test]
    fn an_error_of_the_output_comes_back() {
        struct Full;
        impl fmt::Write for Full {
            fn write_str(&mut self, _: &str) -> fmt::Result {
                Err(fmt::Error)
            }
        }
        let mut full = Full;
        let mut text = Text::new(&mut full);
        text.str("x");
        assert!(text.finish().is_err());
    }
}
