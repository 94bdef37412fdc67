//! What is to be sent on a connection, gathered until the transport takes it.

use std::fmt;
use tickwire_frame::Reason;

/// The most bytes that wait: what a peer does not take for longer is refused.
pub const OUTPUT_BYTES_MAX: usize = 1 << 16;

/// A queue of bytes of fixed capacity. It counts the bytes of a connection, so that one can say
/// afterwards which messages went whole.
pub(super) struct Output {
    bytes: Box<[u8]>,
    from: usize,
    to: usize,
    /// Bytes of this connection that the transport took.
    taken: u64,
}

impl Output {
    pub fn new() -> Self {
        Output::of(OUTPUT_BYTES_MAX)
    }

    /// One for an exchange, which may have to say again what it said in a day.
    pub fn of(bytes: usize) -> Self {
        Output { bytes: vec![0; bytes].into(), from: 0, to: 0, taken: 0 }
    }

    /// What waits.
    pub fn pending(&self) -> &[u8] {
        &self.bytes[self.from..self.to]
    }

    /// Where the next `len` bytes can be written: they count once they are
    /// [committed](Self::commit).
    ///
    /// # Errors
    /// [`Reason::OutputQueueFull`] when so many do not fit.
    #[inline]
    pub fn space(&mut self, len: usize) -> Result<&mut [u8], Reason> {
        if self.bytes.len() - self.to < len {
            self.bytes.copy_within(self.from..self.to, 0);
            self.to -= std::mem::take(&mut self.from);
        }
        let to = self.to;
        self.bytes[to..].get_mut(..len).ok_or(Reason::OutputQueueFull)
    }

    /// The first `len` bytes of the [space](Self::space) are to be sent: how many bytes of the
    /// connection they end.
    #[inline]
    pub fn commit(&mut self, len: usize) -> u64 {
        self.to = (self.to + len).min(self.bytes.len());
        self.taken + (self.to - self.from) as u64
    }

    /// The transport took the first `len`.
    pub fn sent(&mut self, len: usize) {
        let len = len.min(self.to - self.from);
        self.from += len;
        self.taken += len as u64;
        if self.from == self.to {
            (self.from, self.to) = (0, 0);
        }
    }

    /// Bytes of this connection that the transport took.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Another connection begins: nothing waits, nothing was taken.
    pub fn clear(&mut self) {
        (self.from, self.to, self.taken) = (0, 0, 0);
    }
}

/// Without the bytes, which may hold a password.
impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").field("waiting", &(self.to - self.from)).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(output: &mut Output, bytes: &[u8]) -> Result<u64, Reason> {
        output.space(bytes.len())?.copy_from_slice(bytes);
        Ok(output.commit(bytes.len()))
    }

    #[test]
    fn bytes_come_in_order_and_are_counted() {
        let mut output = Output::new();
        assert_eq!(push(&mut output, b"abc"), Ok(3));
        output.sent(2);
        assert_eq!(push(&mut output, b"de"), Ok(5));
        assert_eq!((output.pending(), output.taken()), (&b"cde"[..], 2));
        output.sent(99);
        assert_eq!((output.pending(), output.taken()), (&b""[..], 5));
        output.clear();
        assert_eq!(push(&mut output, b"f"), Ok(1));
    }

    #[test]
    fn the_limit_is_exact_and_room_comes_back() {
        let mut output = Output::new();
        assert_eq!(push(&mut output, &[1; OUTPUT_BYTES_MAX]), Ok(OUTPUT_BYTES_MAX as u64));
        assert_eq!(push(&mut output, b"x"), Err(Reason::OutputQueueFull));
        output.sent(1);
        assert_eq!(push(&mut output, b"xy"), Err(Reason::OutputQueueFull));
        assert_eq!(push(&mut output, b"x"), Ok(OUTPUT_BYTES_MAX as u64 + 1));
        assert_eq!(output.pending()[OUTPUT_BYTES_MAX - 2..], [1, b'x']);
    }
}
