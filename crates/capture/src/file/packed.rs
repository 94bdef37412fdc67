//! Packed bytes, gathered until a whole header or block is there.

use std::io::{self, ErrorKind, Read};

/// A read buffer of fixed size in front of `inner`. A read that would block loses nothing: what was
/// gathered stays.
pub(super) struct Packed<R> {
    pub(super) inner: R,
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

pub(super) fn invalid(what: impl std::fmt::Display) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what.to_string())
}

/// The packed data ended well, and something else follows it.
#[derive(Debug, thiserror::Error)]
#[error("what follows the packed data is something else")]
pub(super) struct TrailingBytes;

impl From<TrailingBytes> for io::Error {
    fn from(trailing: TrailingBytes) -> io::Error {
        io::Error::new(ErrorKind::InvalidData, trailing)
    }
}

impl<R: Read> Packed<R> {
    pub(super) fn new(inner: R, size_bytes: usize) -> Self {
        Packed { inner, bytes: vec![0; size_bytes], start: 0, end: 0 }
    }

    /// What has been gathered and not consumed.
    pub(super) fn data(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub(super) fn consume(&mut self, count: usize) {
        self.start += count;
        debug_assert!(self.start <= self.end);
    }

    /// Reads until `count` bytes are there, at most as many as the buffer holds. False at the end
    /// of the input when there is no further byte; an end before `count` bytes is an error.
    pub(super) fn want(&mut self, count: usize) -> io::Result<bool> {
        while self.end - self.start < count {
            if self.start > 0 {
                self.bytes.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            }
            match self.inner.read(&mut self.bytes[self.end..]) {
                Ok(0) if self.end == 0 => return Ok(false),
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => self.end += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// The same where the input must not end.
    pub(super) fn must(&mut self, count: usize) -> io::Result<()> {
        if self.want(count)? { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
    }

    /// The first bytes; [`must`](Self::must) has seen to it that they are there.
    pub(super) fn peek<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.bytes[self.start..self.start + N]);
        bytes
    }
}
