//! BinaryFILE (Nasdaq): the messages of a day in a file, each behind its length in two bytes,
//! big-endian. What `.NASDAQ_ITCH50` files are, and the message blocks of MoldUDP64.
//!
//! A length of 0 ends the file. There are also files about in which *every* length is 0; they can
//! be read when the messages say by their type how long they are ([`BinaryFile::by_type`]).
//!
//! Write one with [`write_block`](crate::blocks::write_block) and [`END`].

use crate::blocks::PREFIX_LEN;
use crate::error::Error;
use crate::wire::{Big, Wire};

/// The length that ends a file.
pub const END: [u8; PREFIX_LEN] = [0, 0];

/// The length of a message by its type, as [`Message::len_of`](crate::itch50::Message::len_of).
pub type LenOf = fn(u8) -> Option<usize>;

/// Iterates over the messages of a file, or of a part of it.
///
/// A message that is not all there is the last item, an [`Error::Truncated`]. In a file that is
/// read in parts, go on with [`rest`](BinaryFile::rest) and what follows it.
#[derive(Clone, Debug)]
pub struct BinaryFile<'a> {
    rest: &'a [u8],
    len_of: Option<LenOf>,
    done: bool,
    ended: bool,
}

impl<'a> BinaryFile<'a> {
    /// Of bytes that begin with the length of a message.
    pub fn new(bytes: &'a [u8]) -> Self {
        BinaryFile { rest: bytes, len_of: None, done: false, ended: false }
    }

    /// The same, but where a length is 0 it is that of the message's type.
    pub fn by_type(bytes: &'a [u8], len_of: LenOf) -> Self {
        BinaryFile { len_of: Some(len_of), ..Self::new(bytes) }
    }

    /// What follows the messages given so far.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether the length that ends a file has been read.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// The length of the message of which `after` is all that follows its length; `None` when that
    /// length ends the file.
    fn message_len(&self, prefix: u16, after: &[u8]) -> Result<Option<usize>, Error> {
        match (prefix, self.len_of, after.first()) {
            (0, None, _) | (0, _, None) => Ok(None),
            (0, Some(len_of), Some(&found)) => {
                len_of(found).map(Some).ok_or(Error::UnknownLength { found })
            }
            (len, ..) => Ok(Some(len.into())),
        }
    }

    fn step(&mut self) -> Result<Option<&'a [u8]>, Error> {
        let available = self.rest.len();
        let cut = |needed| Error::Truncated { what: "BinaryFILE message", needed, available };
        let (prefix, after) =
            self.rest.split_at_checked(PREFIX_LEN).ok_or_else(|| cut(PREFIX_LEN))?;
        let Some(len) = self.message_len(u16::read::<Big>(prefix), after)? else {
            (self.rest, self.ended) = (after, true);
            return Ok(None);
        };
        let (message, rest) = after.split_at_checked(len).ok_or_else(|| cut(PREFIX_LEN + len))?;
        self.rest = rest;
        Ok(Some(message))
    }
}

impl<'a> Iterator for BinaryFile<'a> {
    type Item = Result<&'a [u8], Error>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.done || self.rest.is_empty() {
            return None;
        }
        let item = self.step();
        self.done = !matches!(item, Ok(Some(_)));
        item.transpose()
    }
}

/// Whether the file that begins with `bytes` has no lengths: they are 0 before each of its first
/// two messages, whose types are known. Read it [`by_type`](BinaryFile::by_type), and say so.
pub fn lacks_lengths(bytes: &[u8], len_of: LenOf) -> bool {
    let Some((&END, after)) = bytes.split_first_chunk() else { return false };
    let Some(len) = after.first().and_then(|&first| len_of(first)) else { return false };
    let second = after.get(len..).and_then(<[u8]>::split_first_chunk);
    matches!(second, Some((&END, [next, ..])) if len_of(*next).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocks::write_block;

    /// `A` of two bytes, `B` of one.
    fn len_of(message_type: u8) -> Option<usize> {
        [(b'A', 2), (b'B', 1)].iter().find(|(known, _)| *known == message_type).map(|(_, len)| *len)
    }

    #[test]
    fn a_file_is_written_and_read_to_its_end() {
        let mut file = [0; 16];
        let mut len = write_block::<Big>(&mut file, b"A1").unwrap();
        len += write_block::<Big>(&mut file[len..], b"?new").unwrap();
        file[len..len + 2].copy_from_slice(&END);
        let mut messages = BinaryFile::new(&file[..len + 4]);
        assert!(messages.by_ref().eq([Ok(&b"A1"[..]), Ok(b"?new")]));
        assert_eq!((messages.has_ended(), messages.rest()), (true, &[0, 0][..]));
        let mut open = BinaryFile::new(&file[..len]);
        assert_eq!((open.by_ref().count(), open.has_ended(), open.rest().len()), (2, false, 0));
    }

    #[test]
    fn a_part_of_a_file_says_what_is_missing() {
        let file = b"\0\x02A1\0\x01B";
        for len in 0..file.len() {
            let mut messages = BinaryFile::new(&file[..len]);
            let items: Vec<_> = messages.by_ref().collect();
            let whole = items.iter().filter(|item| item.is_ok()).count();
            assert_eq!(whole, usize::from(len >= 4));
            assert_eq!(items.len() - whole, usize::from(len != 0 && len != 4), "{len}: {items:?}");
            assert_eq!(messages.rest(), &file[whole * 4..len]);
        }
    }

    #[test]
    fn a_file_without_lengths_is_read_by_type() {
        let file = b"\0\0A1\0\0B\0\x03?ab\0\0B\0\0";
        assert!(lacks_lengths(file, len_of));
        assert_eq!(BinaryFile::new(file).count(), 0);
        let mut messages = BinaryFile::by_type(file, len_of);
        assert!(messages.by_ref().eq([Ok(&b"A1"[..]), Ok(b"B"), Ok(b"?ab"), Ok(b"B")]));
        assert!(messages.has_ended());
        let mut unknown = BinaryFile::by_type(b"\0\0B\0\0?", len_of);
        let error = Error::UnknownLength { found: b'?' };
        assert!(unknown.by_ref().eq([Ok(&b"B"[..]), Err(error)]));
        assert_eq!(unknown.rest(), b"\0\0?");
        for other in [&b"\0\x02A1\0\0B"[..], b"\0\0", b"\0\0A1", b"\0\0A1\0\0", b"\0\0?1\0\0B", b""]
        {
            assert!(!lacks_lengths(other, len_of), "{other:?}");
        }
    }
}
