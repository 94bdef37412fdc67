//! The bytes of a packet in hexadecimal and ASCII.

use crate::text::Text;
use std::fmt;

const LINE_BYTES: usize = 16;

/// Writes `bytes` as `tcpdump -xx -X` does: sixteen a line with their offset, in pairs, and the
/// printable ones beside. Every line ends in a newline.
pub fn write_hex(out: &mut impl fmt::Write, bytes: &[u8]) -> fmt::Result {
    let mut text = Text::new(out);
    for (index, line) in bytes.chunks(LINE_BYTES).enumerate() {
        text.str("\t0x").hex::<4>((index * LINE_BYTES) as u64).str(": ");
        for at in 0..LINE_BYTES {
            if at % 2 == 0 {
                text.byte(b' ');
            }
            match line.get(at) {
                Some(&byte) => text.hex::<2>(byte),
                None => text.str("  "),
            };
        }
        text.str("  ");
        for &byte in line {
            text.byte(if byte.is_ascii_graphic() { byte } else { b'.' });
        }
        text.byte(b'\n');
    }
    text.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_lines() {
        let mut out = String::new();
        write_hex(&mut out, b"\x45\x00ABCDEFGHIJKLMNOP\xff").unwrap();
        assert_eq!(
            out,
            "\t0x0000:  4500 4142 4344 4546 4748 494a 4b4c 4d4e  E.ABCDEFGHIJKLMN\n\
             \t0x0010:  4f50 ff                                  OP.\n"
        );
        let mut empty = String::new();
        write_hex(&mut empty, b"").unwrap();
        assert_eq!(empty, "");
    }
}
