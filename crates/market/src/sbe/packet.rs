//! Messages behind lengths, as CME and B3 put them into datagrams: the length counts itself, what
//! else stands before the message, and the message.

use crate::error::Error;
use crate::wire::{Little, Wire};

message! {
    Little, "SBE message header";
    /// What a message begins with (section 3.1 *Message header*), where a schema does not say
    /// otherwise. Its [`rest`](Self::rest) is the root block and what follows it.
    pub struct MessageHeader, MessageHeaderBuilder: 8 {
        /// How long the root block is, in bytes: skip it by this.
        block_length @ 0: u16,
        /// The template of the message.
        template_id @ 2: u16,
        /// The schema that templates belong to.
        schema_id @ 4: u16,
        /// The version of the schema that the message was written with.
        version @ 6: u16,
    }
}

impl<'a> MessageHeader<'a> {
    /// The root block, and the groups and data that follow it.
    ///
    /// # Errors
    /// [`Error::Truncated`]
    #[inline]
    pub fn block(&self) -> Result<(&'a [u8], &'a [u8]), Error> {
        let (needed, available) = (usize::from(self.block_length()), self.rest().len());
        let cut = Error::Truncated { what: "SBE root block", needed, available };
        self.rest().split_at_checked(needed).ok_or(cut)
    }
}

/// How messages stand in a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Framing {
    /// What a message is called in errors.
    pub(crate) what: &'static str,
    /// Bytes before the message; the first two are the length.
    pub(crate) prefix_len: usize,
}

/// Messages with what stands before them, one after the other. When the packet is cut, or a length
/// cannot be, the last item is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frames<'a> {
    pub(crate) rest: &'a [u8],
    pub(crate) framing: Framing,
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<&'a [u8], Error>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let available = self.rest.len();
        if available == 0 {
            return None;
        }
        let Framing { what, prefix_len } = self.framing;
        let min = prefix_len + MessageHeader::LEN;
        if available < min {
            self.rest = &[];
            return Some(Err(Error::Truncated { what, needed: min, available }));
        }
        let found = usize::from(u16::read::<Little>(self.rest));
        if found < min {
            self.rest = &[];
            return Some(Err(Error::Length { what, found, min }));
        }
        let Some((frame, rest)) = self.rest.split_at_checked(found) else {
            self.rest = &[];
            return Some(Err(Error::Truncated { what, needed: found, available }));
        };
        self.rest = rest;
        Some(Ok(frame))
    }
}

/// Writes messages behind lengths into a buffer of the caller's.
#[derive(Debug)]
pub(crate) struct PacketWriter<'b> {
    buffer: &'b mut [u8],
    len: usize,
    framing: Framing,
}

impl<'b> PacketWriter<'b> {
    /// A packet that begins with `header`.
    pub(crate) fn new(
        buffer: &'b mut [u8],
        what: &'static str,
        header: &[u8],
        framing: Framing,
    ) -> Result<Self, Error> {
        let len = crate::message::write(header, what, buffer)?;
        Ok(PacketWriter { buffer, len, framing })
    }

    /// Appends a message; `prefix` is what stands between its length and it. When there is no room
    /// for it, the packet stays as it was.
    pub(crate) fn push(&mut self, prefix: &[u8], message: &[u8]) -> Result<(), Error> {
        let what = self.framing.what;
        let needed = self.framing.prefix_len + message.len();
        if message.len() < MessageHeader::LEN {
            let (found, min) = (needed, self.framing.prefix_len + MessageHeader::LEN);
            return Err(Error::Length { what, found, min });
        }
        let available = (self.buffer.len() - self.len).min(u16::MAX.into());
        if needed > available {
            return Err(Error::NoRoom { what, needed, available });
        }
        let frame = &mut self.buffer[self.len..self.len + needed];
        (needed as u16).write::<Little>(frame);
        frame[2..self.framing.prefix_len].copy_from_slice(prefix);
        frame[self.framing.prefix_len..].copy_from_slice(message);
        self.len += needed;
        Ok(())
    }

    /// The packet.
    pub(crate) fn finish(self) -> &'b [u8] {
        &self.buffer[..self.len]
    }
}
