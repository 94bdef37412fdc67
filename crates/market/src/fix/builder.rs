//! Writes messages, with the right BodyLength and CheckSum, into a buffer of the caller's.

use super::{BEGIN_STRING_BYTES_MAX, BODY_BYTES_MAX, DATA_FIELDS, SOH, TRAILER_LEN, check_sum};
use std::fmt::{self, Write};

/// Why a message cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// The buffer is full, or the body is beyond [`BODY_BYTES_MAX`].
    #[error("field {0} does not fit the buffer of the message: use a larger one")]
    NoRoom(u32),
    /// A value is empty or holds a separator, or there is no such field.
    #[error("field {0} has a value that is empty or holds SOH, or is none: leave it out")]
    Value(u32),
}

/// Writes a message into a buffer of the caller's. BodyLength and CheckSum are its business.
#[derive(Debug)]
pub struct MessageBuilder<'a> {
    buffer: &'a mut [u8],
    begin_string: &'a str,
    /// Where the body begins: room for the longest first two fields is before it.
    from: usize,
    to: usize,
}

impl<'a> MessageBuilder<'a> {
    /// Begins a message of `begin_string`, such as `FIX.4.4`, and MsgType `msg_type`.
    ///
    /// # Errors
    /// As [`field`](Self::field), for fields 8 and 35.
    pub fn new(
        buffer: &'a mut [u8],
        begin_string: &'a str,
        msg_type: &str,
    ) -> Result<Self, BuildError> {
        let fits = begin_string.len() < BEGIN_STRING_BYTES_MAX - 2;
        if !begin_string.starts_with("FIX") || begin_string.contains('\x01') || !fits {
            return Err(BuildError::Value(8));
        }
        let digits = BODY_BYTES_MAX.ilog10() as usize + 1;
        let from = begin_string.len() + digits + "8=|9=|".len();
        let mut message = MessageBuilder { buffer, begin_string, from, to: from };
        message.field(35, msg_type)?;
        Ok(message)
    }

    /// Adds a field.
    ///
    /// # Errors
    /// [`NoRoom`](BuildError::NoRoom); [`Value`](BuildError::Value) for an empty one or one with
    /// SOH. Nothing is added then.
    pub fn field(&mut self, tag: u32, value: impl fmt::Display) -> Result<&mut Self, BuildError> {
        if tag == 0 {
            return Err(BuildError::Value(tag));
        }
        let mut out = self.cursor();
        write!(out, "{tag}=").map_err(|_| BuildError::NoRoom(tag))?;
        let start = out.at;
        write!(out, "{value}").map_err(|_| BuildError::NoRoom(tag))?;
        let end = out.at;
        let value = &self.buffer[start..end];
        if value.is_empty() || value.contains(&SOH) {
            return Err(BuildError::Value(tag));
        }
        self.end_field(tag, end)
    }

    /// Adds data of any bytes behind its length: fields `length_tag` and `tag`, which are a pair of
    /// [`DATA_FIELDS`], or no reader knows where the data ends.
    ///
    /// # Errors
    /// As [`field`](Self::field); [`Value`](BuildError::Value) for tags that are no pair.
    pub fn data(
        &mut self,
        length_tag: u32,
        tag: u32,
        data: &[u8],
    ) -> Result<&mut Self, BuildError> {
        if data.is_empty() || !DATA_FIELDS.contains(&(length_tag, tag)) {
            return Err(BuildError::Value(tag));
        }
        let mut out = self.cursor();
        write!(out, "{length_tag}={}\x01{tag}=", data.len())
            .and_then(|()| out.push(data))
            .map_err(|_| BuildError::NoRoom(tag))?;
        let end = out.at;
        self.end_field(tag, end)
    }

    /// Writes BeginString, BodyLength and CheckSum, and gives the message.
    pub fn finish(self) -> &'a [u8] {
        let MessageBuilder { buffer, begin_string, from, to } = self;
        let length = to - from;
        let digits = length.ilog10() as usize + 1;
        let start = from - (begin_string.len() + digits + "8=|9=|".len());
        let mut head = Cursor { buffer: &mut *buffer, at: start, end: from };
        let written = write!(head, "8={begin_string}\x019={length}\x01");
        debug_assert!(written.is_ok() && head.at == from, "the room before the body is exact");
        let sum = check_sum(&buffer[start..to]);
        let mut tail = Cursor { buffer: &mut *buffer, at: to, end: to + TRAILER_LEN };
        let written = write!(tail, "10={sum:03}\x01");
        debug_assert!(written.is_ok(), "every field has left room for the last");
        &buffer[start..to + TRAILER_LEN]
    }

    /// Where the next field goes, with room left for a separator and the last field.
    fn cursor(&mut self) -> Cursor<'_> {
        let end = self.buffer.len().min(self.from + BODY_BYTES_MAX + TRAILER_LEN);
        Cursor { at: self.to, end: end.saturating_sub(TRAILER_LEN + 1), buffer: self.buffer }
    }

    fn end_field(&mut self, tag: u32, end: usize) -> Result<&mut Self, BuildError> {
        *self.buffer.get_mut(end).ok_or(BuildError::NoRoom(tag))? = SOH;
        self.to = end + 1;
        Ok(self)
    }
}

/// Writes text over the start of `buffer[at..end]`.
struct Cursor<'a> {
    buffer: &'a mut [u8],
    at: usize,
    end: usize,
}

impl Cursor<'_> {
    fn push(&mut self, bytes: &[u8]) -> fmt::Result {
        let end = self.at.checked_add(bytes.len()).filter(|&end| end <= self.end);
        let end = end.ok_or(fmt::Error)?;
        self.buffer[self.at..end].copy_from_slice(bytes);
        self.at = end;
        Ok(())
    }
}

impl Write for Cursor<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fix::{Framed, frame};

    #[test]
    fn a_message_is_written_and_read() {
        let mut buffer = [0xee; 128];
        let mut message = MessageBuilder::new(&mut buffer, "FIX.4.4", "D").unwrap();
        message.field(34, 2).unwrap().field(55, "INTC").unwrap();
        message.data(95, 96, b"a\x0110=000\x01").unwrap();
        let bytes = message.finish();
        let expected = b"8=FIX.4.4\x019=36\x0135=D\x0134=2\x0155=INTC\x01\
                         95=9\x0196=a\x0110=000\x01\x0110=187\x01";
        let Framed::Message(read) = frame(bytes) else {
            panic!("{} is no message", bytes.escape_ascii())
        };
        assert_eq!((read.bytes(), read.msg_type()), (bytes, &b"D"[..]));
        assert_eq!(read.get(96), Some(&b"a\x0110=000\x01"[..]));
        assert_eq!(bytes, expected, "{}", bytes.escape_ascii());
    }

    #[test]
    fn what_cannot_be_read_again_is_refused_and_leaves_the_message_as_it_was() {
        let mut buffer = [0; 128];
        for begin in ["", "FIX\x014", "SOUP", "FIX.4.4.4.4.4.4"] {
            let error = MessageBuilder::new(&mut buffer, begin, "D").unwrap_err();
            assert_eq!(error, BuildError::Value(8), "{begin}");
        }
        assert_eq!(
            MessageBuilder::new(&mut buffer, "FIX.4.4", "").err(),
            Some(BuildError::Value(35))
        );
        let mut message = MessageBuilder::new(&mut buffer, "FIX.4.4", "0").unwrap();
        assert_eq!(message.field(58, "").unwrap_err(), BuildError::Value(58));
        assert_eq!(message.field(58, "a\x01b").unwrap_err(), BuildError::Value(58));
        assert_eq!(message.field(0, "a").unwrap_err(), BuildError::Value(0));
        assert_eq!(message.data(95, 96, b"").unwrap_err(), BuildError::Value(96));
        assert_eq!(message.data(95, 97, b"a").unwrap_err(), BuildError::Value(97));
        assert_eq!(message.finish(), b"8=FIX.4.4\x019=5\x0135=0\x0110=163\x01");
    }

    #[test]
    fn every_buffer_is_enough_or_too_short() {
        let mut lengths = Vec::new();
        for len in 0..80 {
            let mut buffer = vec![0; len];
            let Ok(mut message) = MessageBuilder::new(&mut buffer, "FIXT.1.1", "A") else {
                continue;
            };
            if message.field(58, "0123456789").is_err() {
                continue;
            }
            let bytes = message.finish();
            assert!(matches!(frame(bytes), Framed::Message(_)), "{len} bytes");
            lengths.push(len);
        }
        let first = lengths[0];
        assert_eq!(lengths, (first..80).collect::<Vec<_>>());
    }

    #[test]
    fn a_body_is_never_longer_than_its_reader_allows() {
        let mut buffer = vec![0; 2 * BODY_BYTES_MAX];
        let mut message = MessageBuilder::new(&mut buffer, "FIX.4.4", "B").unwrap();
        let data = vec![SOH; BODY_BYTES_MAX - "35=B|95=1048550|96=|".len()];
        let error = message.data(95, 96, &[&data[..], b"x"].concat()).unwrap_err();
        assert_eq!(error, BuildError::NoRoom(96));
        message.data(95, 96, &data).unwrap();
        let Framed::Message(read) = frame(message.finish()) else { panic!("no message") };
        assert_eq!((read.body().len(), read.get(96)), (BODY_BYTES_MAX, Some(&data[..])));
    }
}
