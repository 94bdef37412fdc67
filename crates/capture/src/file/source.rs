//! The read buffer: 1 MiB that is scanned in place.
//!
//! The scanner looks at [`Source::data`], says how many bytes it is done with, and asks for more
//! when a record is not whole yet. Only then is the rest, less than one record, moved to the front.

use super::input::{Input, Progress};
use super::stream::{Packing, Stream};
use std::io::{self, ErrorKind, Read};
use std::time::Duration;

/// The usual size of the buffer. It grows for a longer record or block, up to what the format
/// allows, and only as the bytes really come.
pub(super) const BUFFER_BYTES: usize = 1 << 20;

/// What [`Source::fill`] brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filled {
    /// As many bytes as were asked for, or more.
    Enough,
    /// The pipe is empty now.
    Later,
    /// The input ends before that.
    End,
}

#[derive(Debug)]
pub(super) struct Source {
    stream: Stream,
    progress: Progress,
    is_regular: bool,
    buffer: Vec<u8>,
    /// The bytes not yet consumed: `buffer[start..end]`.
    start: usize,
    end: usize,
    /// Offset of `buffer[start]` in the unpacked file.
    offset: u64,
    has_ended: bool,
}

impl Source {
    pub(super) fn new(input: Input) -> Source {
        Source {
            progress: input.progress(),
            is_regular: input.is_regular(),
            stream: Stream::new(input),
            buffer: vec![0; BUFFER_BYTES],
            start: 0,
            end: 0,
            offset: 0,
            has_ended: false,
        }
    }

    /// The bytes that were read and not yet consumed.
    #[inline]
    pub(super) fn data(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Is done with the first `count` bytes. They stay in place until the next fill.
    #[inline]
    pub(super) fn consume(&mut self, count: usize) {
        debug_assert!(count <= self.end - self.start);
        self.start += count;
        self.offset += count as u64;
    }

    /// The same bytes and a way to consume them while they are borrowed.
    #[inline]
    pub(super) fn split(&mut self) -> (&[u8], Consumer<'_>) {
        let Source { buffer, start, end, offset, .. } = self;
        (&buffer[*start..*end], Consumer { start, offset })
    }

    /// Where `data` begins, in the unpacked file.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    pub(super) fn packing(&self) -> Packing {
        self.stream.packing().unwrap_or(Packing::Plain)
    }

    pub(super) fn progress(&self) -> &Progress {
        &self.progress
    }

    pub(super) fn is_regular(&self) -> bool {
        self.is_regular
    }

    /// Sleeps until there may be more, at most for `timeout`.
    pub(super) fn wait(&self, timeout: Duration) -> io::Result<()> {
        self.stream.input().map_or(Ok(()), |input| input.wait(timeout))
    }

    /// Reads on until `data` has `wanted` bytes.
    pub(super) fn fill(&mut self, wanted: usize) -> io::Result<Filled> {
        while self.end - self.start < wanted {
            if self.has_ended {
                return Ok(Filled::End);
            }
            self.make_room(wanted);
            match self.stream.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.has_ended = true,
                Ok(count) => self.end += count,
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock => return Ok(Filled::Later),
                    _ => return Err(error),
                },
            }
        }
        Ok(Filled::Enough)
    }

    /// Moves what is left to the front; doubles a buffer that is full.
    fn make_room(&mut self, wanted: usize) {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        // Never by the length that a record claims: a hostile one costs what it really has.
        if self.end == self.buffer.len() {
            let doubled = self.buffer.len() * 2;
            self.buffer.resize(doubled.min(wanted.max(BUFFER_BYTES)), 0);
        }
    }
}

/// Consumes bytes of a [`Source`] while they are borrowed.
pub(super) struct Consumer<'a> {
    start: &'a mut usize,
    offset: &'a mut u64,
}

impl Consumer<'_> {
    #[inline]
    pub(super) fn consume(self, count: usize) {
        *self.start += count;
        *self.offset += count as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(reader: impl Read + Send + 'static) -> Source {
        Source::new(Input::from_reader(Box::new(reader)))
    }

    #[test]
    fn a_claimed_length_takes_no_memory() {
        let mut source = source(&[7u8; 100][..]);
        assert_eq!(source.fill(1 << 30).expect("no error"), Filled::End);
        assert_eq!(source.buffer.len(), BUFFER_BYTES);
        assert_eq!(source.data(), [7; 100]);
    }

    #[test]
    fn the_buffer_grows_for_a_long_record() {
        let bytes: Vec<u8> = (0..5 * BUFFER_BYTES + 3).map(|i| (i % 251) as u8).collect();
        let mut source = source(io::Cursor::new(bytes.clone()));
        assert_eq!(source.fill(10).expect("no error"), Filled::Enough);
        source.consume(10);
        assert_eq!(source.fill(bytes.len() - 10).expect("no error"), Filled::Enough);
        assert_eq!(source.data(), &bytes[10..]);
        assert_eq!(source.offset(), 10);
        assert_eq!(source.buffer.len(), bytes.len() - 10);
    }
}
