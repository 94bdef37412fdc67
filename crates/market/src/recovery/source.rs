//! Where the messages of a session are kept, to be sent again.

use crate::binaryfile::{BinaryFile, LenOf};
use crate::error::Error;
use std::collections::VecDeque;

/// The messages of one session by their numbers.
pub trait Source {
    /// The number of the oldest message that is kept.
    fn first(&self) -> u64;

    /// One more than the number of the newest.
    fn next(&self) -> u64;

    /// The messages from `sequence` on; none when that one is not kept.
    fn messages(&self, sequence: u64) -> impl Iterator<Item = &[u8]>;
}

/// The last messages of a session that is being sent, in a given number of bytes.
#[derive(Clone, Debug)]
pub struct Memory {
    bytes: Box<[u8]>,
    /// Where each message is: its place and its length.
    messages: VecDeque<(usize, u16)>,
    messages_max: usize,
    /// Where the next one goes, unless it does not fit there.
    end: usize,
    next: u64,
}

impl Memory {
    /// None yet; the first one will have the number `first`. Keeps at most `bytes_max` bytes of
    /// messages, and at most `messages_max` of them. All memory is taken here.
    pub fn new(first: u64, bytes_max: usize, messages_max: usize) -> Self {
        let messages_max = messages_max.max(1);
        Memory {
            bytes: vec![0; bytes_max].into(),
            messages: VecDeque::with_capacity(messages_max),
            messages_max,
            end: 0,
            next: first,
        }
    }

    /// Keeps a message; its number. The oldest make room for it.
    ///
    /// # Errors
    /// [`Error::NoRoom`] when it is longer than all bytes together, or than 65 535. It has no
    /// number then.
    pub fn push(&mut self, message: &[u8]) -> Result<u64, Error> {
        let (needed, available) = (message.len(), self.bytes.len().min(0xffff));
        if needed > available {
            return Err(Error::NoRoom { what: "message to be kept", needed, available });
        }
        if self.messages.len() == self.messages_max {
            self.messages.pop_front();
        }
        if self.end + needed > self.bytes.len() {
            // What is behind the end is older than what is at the start.
            while self.messages.front().is_some_and(|&(at, _)| at >= self.end) {
                self.messages.pop_front();
            }
            self.end = 0;
        }
        let (at, end) = (self.end, self.end + needed);
        // An empty message where this one begins is as much in the way as any before it.
        let in_the_way =
            |&(old, len): &(usize, u16)| old < end && at < old + usize::from(len.max(1));
        while self.messages.front().is_some_and(in_the_way) {
            self.messages.pop_front();
        }
        self.bytes[at..end].copy_from_slice(message);
        self.messages.push_back((at, needed as u16));
        (self.end, self.next) = (end, self.next.wrapping_add(1));
        Ok(self.next.wrapping_sub(1))
    }
}

impl Source for Memory {
    fn first(&self) -> u64 {
        self.next.wrapping_sub(self.messages.len() as u64)
    }

    fn next(&self) -> u64 {
        self.next
    }

    fn messages(&self, sequence: u64) -> impl Iterator<Item = &[u8]> {
        let skip = sequence.checked_sub(self.first()).and_then(|skip| usize::try_from(skip).ok());
        let skip = skip.unwrap_or(usize::MAX).min(self.messages.len());
        let kept = self.messages.range(skip..);
        kept.map(|&(at, len)| &self.bytes[at..at + usize::from(len)])
    }
}

/// How many messages lie between those whose place in a file is known.
const INDEX_MESSAGES: u64 = 64;

/// The messages of a BinaryFILE, numbered from 1 on. Only every 64th has its place kept: 8 bytes
/// for about 2 kB of file.
#[derive(Clone, Debug)]
pub struct File<B> {
    bytes: B,
    len_of: Option<LenOf>,
    places: Vec<usize>,
    count: u64,
    fault: Option<Error>,
}

impl<B: AsRef<[u8]>> File<B> {
    /// Reads through all of it once. `len_of` is for files in which lengths are 0
    /// ([`BinaryFile::by_type`]).
    pub fn new(bytes: B, len_of: Option<LenOf>) -> Self {
        let (mut places, mut count, mut fault) = (Vec::new(), 0, None);
        let all = bytes.as_ref();
        let mut file = reader(all, len_of);
        loop {
            let place = all.len() - file.rest().len();
            match file.next() {
                Some(Ok(_)) => {
                    if count % INDEX_MESSAGES == 0 {
                        places.push(place);
                    }
                    count += 1;
                }
                Some(Err(error)) => fault = Some(error),
                None => return File { bytes, len_of, places, count, fault },
            }
        }
    }

    /// What is wrong behind the last message, where the file is cut.
    pub fn fault(&self) -> Option<Error> {
        self.fault
    }
}

impl<B: AsRef<[u8]>> Source for File<B> {
    fn first(&self) -> u64 {
        1
    }

    fn next(&self) -> u64 {
        self.count + 1
    }

    fn messages(&self, sequence: u64) -> impl Iterator<Item = &[u8]> {
        let before = sequence.checked_sub(1).filter(|&before| before < self.count);
        let place = before.and_then(|before| self.places.get((before / INDEX_MESSAGES) as usize));
        let all = self.bytes.as_ref();
        let rest = place.and_then(|&place| all.get(place..)).unwrap_or(&[]);
        let skip = before.map_or(0, |before| before % INDEX_MESSAGES);
        reader(rest, self.len_of).map_while(Result::ok).skip(skip as usize)
    }
}

fn reader(bytes: &[u8], len_of: Option<LenOf>) -> BinaryFile<'_> {
    match len_of {
        Some(len_of) => BinaryFile::by_type(bytes, len_of),
        None => BinaryFile::new(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocks::write_block;
    use crate::wire::Big;

    fn kept(memory: &Memory) -> Vec<(u64, Vec<u8>)> {
        let messages = memory.messages(memory.first()).map(<[u8]>::to_vec);
        (memory.first()..).zip(messages).collect()
    }

    #[test]
    fn memory_keeps_the_newest_that_fit() {
        let mut memory = Memory::new(1, 10, 4);
        assert_eq!((memory.first(), memory.next(), memory.messages(1).count()), (1, 1, 0));
        for (message, first) in [("aaaa", 1), ("bbbb", 1), ("ccc", 2), ("", 2), ("dd", 3)] {
            memory.push(message.as_bytes()).unwrap();
            assert_eq!(memory.first(), first, "{message}");
        }
        let expected = [(3, &b"ccc"[..]), (4, b""), (5, b"dd")].map(|(n, m)| (n, m.to_vec()));
        assert_eq!(kept(&memory), expected);
        assert!(memory.messages(4).eq([&b""[..], b"dd"]));
        assert_eq!((memory.messages(2).count(), memory.messages(6).count()), (0, 0));
        assert_eq!(memory.push(&[0; 11]).unwrap_err().reason(), "no_room");
        assert_eq!(memory.push(&[1; 10]), Ok(6));
        assert_eq!(kept(&memory), [(6, vec![1; 10])]);
        assert_eq!((memory.messages(0).count(), memory.messages(u64::MAX).count()), (0, 0));
    }

    #[test]
    fn memory_keeps_what_a_list_would() {
        let mut memory = Memory::new(7, 300, 20);
        let mut all: Vec<Vec<u8>> = Vec::new();
        let mut state = 1_u64;
        for number in 0..5_000_u64 {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            let message = vec![number as u8; (state >> 40) as usize % 80];
            assert_eq!(memory.push(&message), Ok(number + 7));
            all.push(message);
            let kept = kept(&memory);
            let newest = &all[all.len() - kept.len()..];
            assert!(kept.iter().map(|(_, message)| message).eq(newest), "after {number}");
            assert_eq!(memory.first() + kept.len() as u64, number + 8);
            let bytes: usize = kept.iter().map(|(_, message)| message.len()).sum();
            // Nothing is dropped without need: a wrap costs less than the longest message.
            let full = kept.len() == 20 || bytes + 2 * 80 > 300;
            assert!(full || kept.len() == all.len(), "{bytes} bytes after {number}");
        }
    }

    #[test]
    fn a_file_is_found_by_number() {
        let mut bytes = Vec::new();
        for number in 0..1_000_u32 {
            let mut block = [0; 10];
            let len = write_block::<Big>(&mut block, &number.to_be_bytes()).unwrap();
            bytes.extend(&block[..len]);
        }
        let file = File::new(&bytes[..], None);
        assert_eq!((file.first(), file.next(), file.fault()), (1, 1_001, None));
        for sequence in 1..=1_000_u32 {
            let expected = (sequence - 1).to_be_bytes();
            assert_eq!(file.messages(sequence.into()).next(), Some(&expected[..]));
        }
        assert_eq!((file.messages(2).count(), file.messages(1_000).count()), (999, 1));
        assert_eq!((file.messages(0).count(), file.messages(1_001).count()), (0, 0));
        let cut = File::new(&bytes[..bytes.len() - 1], None);
        assert_eq!((cut.next(), cut.fault().unwrap().reason()), (1_000, "truncated"));
        assert_eq!(File::new(Vec::new(), None).messages(1).count(), 0);
    }
}
