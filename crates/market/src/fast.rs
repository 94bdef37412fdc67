//! FAST 1.1 (FIX Trading Community, *FAST Specification 1.1*), only as far as the sequence number
//! that a message begins with: enough to find gaps and to merge lines, not to read prices.
//!
//! Bytes carry seven bits each, and the last byte of a field has its highest bit set, the *stop
//! bit*. A message begins with a presence map and, when its first bit says so, a template id. In
//! the incremental feed of MICEX (templates.xml, template 74) a reset, template 120, stands before
//! each message, and MsgSeqNum, an incremented field, comes first and is always written out.

use crate::error::Error;

/// The reset of all dictionaries, a message without fields (*FAST Session Control Protocol*).
pub const TEMPLATE_RESET: u32 = 120;

/// MICEX' DefaultIncrementalRefreshMessage.
pub const TEMPLATE_INCREMENTAL: u32 = 74;

/// What a message of MICEX' incremental feed begins with: two presence maps and template ids, of a
/// reset and of the message, each in one byte.
pub const START: [u8; 4] =
    [0xc0, 0x80 | TEMPLATE_RESET as u8, 0xe0, 0x80 | TEMPLATE_INCREMENTAL as u8];

/// The longest field of a number of 32 bits.
const U32_BYTES_MAX: usize = 5;

/// The longest presence map that is read. MICEX' has one byte; this is for 55 fields.
const MAP_BYTES_MAX: usize = 8;

/// The most resets before a message.
const RESETS_MAX: usize = 2;

/// What a message begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its template; `None` when it is that of the message before. A template that is not
    /// [`TEMPLATE_INCREMENTAL`] has to be counted and left alone.
    pub template_id: Option<u32>,
    /// MsgSeqNum (34), where the template is known and the number is written out.
    pub sequence: Option<u32>,
}

impl Head {
    /// Of a datagram, or of one of the [`recorded`] messages.
    ///
    /// # Errors
    /// [`Error::Truncated`]; [`Error::Overlong`] for what cannot be FAST.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let mut rest = bytes;
        for _ in 0..=RESETS_MAX {
            let (map, after) = presence_map(rest)?;
            if map & 0x40 == 0 {
                return Ok(Head { template_id: None, sequence: None });
            }
            let (template, after) = uint32(after, "FAST template id")?;
            rest = after;
            if template == TEMPLATE_RESET {
                continue;
            }
            let written = template == TEMPLATE_INCREMENTAL && map & 0x20 != 0;
            let sequence = written.then(|| uint32(rest, "FAST MsgSeqNum")).transpose()?;
            let sequence = sequence.map(|(sequence, _)| sequence);
            return Ok(Head { template_id: Some(template), sequence });
        }
        Ok(Head { template_id: Some(TEMPLATE_RESET), sequence: None })
    }
}

/// The messages of a recording without lengths: it is cut before each [`START`]. What is before the
/// first is a piece as well, of which [`Head::parse`] says what is wrong.
///
/// Nothing forbids these four bytes within a message, so a gap that one piece makes alone is to
/// be doubted; datagrams need no such search.
pub fn recorded(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let next = bytes.windows(START.len()).skip(1).position(|place| place == START);
        let (piece, rest) = bytes.split_at(next.map_or(bytes.len(), |next| next + 1));
        bytes = rest;
        Some(piece)
    })
}

/// The first byte of a presence map, of which only that is needed, and what follows the map.
fn presence_map(bytes: &[u8]) -> Result<(u8, &[u8]), Error> {
    let (map, rest) = field(bytes, MAP_BYTES_MAX, "FAST presence map")?;
    Ok((map[0], rest))
}

/// An unsigned number of 32 bits, and what follows it.
///
/// # Errors
/// [`Error::Truncated`]; [`Error::Overlong`] when it is larger.
pub fn uint32<'a>(bytes: &'a [u8], what: &'static str) -> Result<(u32, &'a [u8]), Error> {
    let (digits, rest) = field(bytes, U32_BYTES_MAX, what)?;
    let number = digits.iter().fold(0, |number: u64, digit| number << 7 | u64::from(digit & 0x7f));
    let number = u32::try_from(number).map_err(|_| Error::Overlong { what, max: U32_BYTES_MAX })?;
    Ok((number, rest))
}

/// The bytes up to the stop bit, at least one and at most `max`, and what follows them.
fn field<'a>(
    bytes: &'a [u8],
    max: usize,
    what: &'static str,
) -> Result<(&'a [u8], &'a [u8]), Error> {
    let known = &bytes[..bytes.len().min(max)];
    match known.iter().position(|byte| byte & 0x80 != 0) {
        Some(last) => Ok(bytes.split_at(last + 1)),
        None if known.len() == max => Err(Error::Overlong { what, max }),
        None => {
            let available = bytes.len();
            Err(Error::Truncated { what, needed: available + 1, available })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(template_id: Option<u32>, sequence: Option<u32>) -> Result<Head, Error> {
        Ok(Head { template_id, sequence })
    }

    #[test]
    fn the_sequence_number_of_a_message() {
        // The first bytes of a real message: 0x1d, 0x3b and 0x27 are 482 727.
        let message = b"\xc0\xf8\xe0\xca\x1d\x3b\xa7\x23\x61\x1b\x36\x19\x0e\x30\xb5";
        assert_eq!(Head::parse(message), head(Some(74), Some(482_727)));
        assert_eq!(Head::parse(&message[2..]), head(Some(74), Some(482_727)));
        for available in 0..7 {
            let error = Head::parse(&message[..available]).unwrap_err();
            assert_eq!(error.reason(), "truncated", "{available}");
        }
    }

    #[test]
    fn other_messages_have_none() {
        assert_eq!(Head::parse(b"\xe0\xcb\x81"), head(Some(75), None));
        assert_eq!(Head::parse(b"\xc0\xca\x81"), head(Some(74), None));
        assert_eq!(Head::parse(b"\xa0\xca\x81"), head(None, None));
        assert_eq!(Head::parse(b"\x40\x80\x01\x80"), head(Some(128), None));
        assert_eq!(Head::parse(&b"\xc0\xf8".repeat(9)), head(Some(120), None));
    }

    #[test]
    fn numbers_end_with_a_stop_bit() {
        let read = |bytes| uint32(bytes, "number");
        assert_eq!(read(b"\x80rest"), Ok((0, &b"rest"[..])));
        assert_eq!(read(b"\x00\x81"), Ok((1, &b""[..])));
        assert_eq!(read(b"\x0f\x7f\x7f\x7f\xff"), Ok((u32::MAX, &b""[..])));
        let overlong = Error::Overlong { what: "number", max: 5 };
        assert_eq!(read(b"\x10\x00\x00\x00\x80"), Err(overlong));
        assert_eq!(read(b"\x00\x00\x00\x00\x00\x81"), Err(overlong));
        let cut = Error::Truncated { what: "number", needed: 5, available: 4 };
        assert_eq!(read(b"\x00\x00\x00\x00"), Err(cut));
        let map = Error::Overlong { what: "FAST presence map", max: 8 };
        assert_eq!(Head::parse(&[0; 9]), Err(map));
    }

    #[test]
    fn a_recording_is_cut_before_each_start() {
        let message = [&START[..], b"\x81abc"].concat();
        let file = [b"\xc0\xf8", &message[..], &message].concat();
        let pieces: Vec<&[u8]> = recorded(&file).collect();
        assert_eq!(pieces, [&b"\xc0\xf8"[..], &message, &message]);
        assert_eq!(recorded(b"").count(), 0);
        assert_eq!(recorded(&START[..3]).collect::<Vec<_>>(), [&START[..3]]);
    }
}
