//! Messages one after the other, each behind its length in two bytes: what MoldUDP64 packets,
//! BinaryFILE files and IEX-TP segments consist of.

use crate::error::Error;
use crate::wire::{Order, Wire};
use std::marker::PhantomData;

/// Bytes of the length before each message.
pub const PREFIX_LEN: usize = 2;

/// A message and its place in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sequenced<'a> {
    /// Its sequence number.
    pub sequence: u64,
    /// Its bytes, without the length before it. May be none.
    pub bytes: &'a [u8],
}

/// Iterates over at most a given number of length-prefixed messages.
///
/// A message that does not fit into the bytes is the last item, an [`Error::Truncated`]; those
/// before it have been given. [`rest`](Blocks::rest) is what has not been read.
#[derive(Clone, Debug)]
pub struct Blocks<'a, O> {
    rest: &'a [u8],
    left: u64,
    sequence: u64,
    order: PhantomData<O>,
}

impl<'a, O: Order> Blocks<'a, O> {
    /// Up to `count` messages at the start of `bytes`, numbered from `sequence` on.
    #[inline]
    pub fn new(bytes: &'a [u8], count: u64, sequence: u64) -> Self {
        Blocks { rest: bytes, left: count, sequence, order: PhantomData }
    }

    /// What follows the messages given so far.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Ends the iteration: what follows a message that is cut is no message.
    #[cold]
    fn cut(&mut self, needed: usize) -> Error {
        self.left = 0;
        Error::Truncated { what: "message block", needed, available: self.rest.len() }
    }
}

impl<'a, O: Order> Iterator for Blocks<'a, O> {
    type Item = Result<Sequenced<'a>, Error>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        let Some((prefix, rest)) = self.rest.split_at_checked(PREFIX_LEN) else {
            return Some(Err(self.cut(PREFIX_LEN)));
        };
        let len = usize::from(u16::read::<O>(prefix));
        let Some((bytes, rest)) = rest.split_at_checked(len) else {
            return Some(Err(self.cut(PREFIX_LEN + len)));
        };
        let sequence = self.sequence;
        (self.rest, self.left, self.sequence) = (rest, self.left - 1, sequence.wrapping_add(1));
        Some(Ok(Sequenced { sequence, bytes }))
    }
}

/// Writes `message` behind its length over the start of `out`; the bytes that it took.
pub fn write_block<O: Order>(out: &mut [u8], message: &[u8]) -> Result<usize, Error> {
    let needed = PREFIX_LEN + message.len();
    let no_room = |available| Error::NoRoom { what: "message block", needed, available };
    let len = u16::try_from(message.len()).map_err(|_| no_room(PREFIX_LEN + 0xffff))?;
    let available = out.len();
    let block = out.get_mut(..needed).ok_or(no_room(available))?;
    len.write::<O>(block);
    block[PREFIX_LEN..].copy_from_slice(message);
    Ok(needed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Big, Little};

    fn read<O: Order>(bytes: &[u8], count: u64) -> Vec<Result<Sequenced<'_>, Error>> {
        Blocks::<O>::new(bytes, count, u64::MAX).collect()
    }

    #[test]
    fn messages_of_either_order_and_of_no_length() {
        let expected = [(u64::MAX, &b"AB"[..]), (0, b""), (1, b"C")];
        let expected = expected.map(|(sequence, bytes)| Ok(Sequenced { sequence, bytes }));
        assert_eq!(read::<Big>(b"\0\x02AB\0\0\0\x01Cmore", 3), expected);
        assert_eq!(read::<Little>(b"\x02\0AB\0\0\x01\0C", 3), expected);
        let mut blocks = Blocks::<Big>::new(b"\0\x01Amore", 1, 1);
        assert_eq!((blocks.by_ref().count(), blocks.rest()), (1, &b"more"[..]));
    }

    #[test]
    fn every_cut_ends_with_an_error() {
        let whole = b"\0\x02AB\0\x01C";
        for len in 0..whole.len() {
            let items = read::<Big>(&whole[..len], 2);
            let (last, before) = items.split_last().unwrap();
            assert!(matches!(last, Err(Error::Truncated { .. })), "{len}: {last:?}");
            assert_eq!(before.len(), usize::from(len >= 4), "{len}");
        }
        let error = Error::Truncated { what: "message block", needed: 3, available: 2 };
        assert_eq!(read::<Big>(&whole[..6], 9)[1], Err(error));
    }

    #[test]
    fn what_is_written_is_read() {
        let mut out = [0; 5];
        assert_eq!(write_block::<Big>(&mut out, b"ABC"), Ok(5));
        assert_eq!(read::<Big>(&out, 1)[0].unwrap().bytes, b"ABC");
        let error = Error::NoRoom { what: "message block", needed: 6, available: 5 };
        assert_eq!(write_block::<Big>(&mut out, b"ABCD"), Err(error));
        let long = vec![0; 0x1_0000];
        assert!(write_block::<Big>(&mut vec![0; 0x2_0000], &long).is_err());
    }
}
