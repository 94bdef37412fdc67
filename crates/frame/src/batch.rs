//! Up to 64 frames on loan from a port.

use crate::{LinkType, Mask, Timestamp};

/// The most frames that one [`Batch`] holds: as many as a [`Mask`] has bits.
pub const FRAMES_MAX: usize = 64;

/// What a port knows of a frame beside its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags(pub u8);

impl Flags {
    /// Nothing special.
    pub const NONE: Flags = Flags(0);
    /// This machine sent the frame (AF_PACKET shows both directions).
    pub const OUTGOING: Flags = Flags(1);
    /// The layer-4 checksum is not filled in yet: the sender left it to hardware that the frame
    /// never reached. It is not a malformed packet.
    pub const CHECKSUM_PARTIAL: Flags = Flags(2);
    /// The kernel or the card has verified the layer-4 checksum.
    pub const CHECKSUM_VALID: Flags = Flags(4);

    /// Whether all bits of `other` are set.
    pub const fn contains(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets together.
    pub const fn with(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
}

/// The bytes of one packet and what we know of it. Borrows from the port that received it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The captured bytes, from the link header on.
    pub bytes: &'a [u8],
    /// Length on the wire in bytes: at least as many as `bytes`, more when the capture cut it.
    pub wire_len: u32,
    /// When it was received.
    pub timestamp: Timestamp,
    /// What the port knows beside the bytes.
    pub flags: Flags,
}

impl<'a> Frame<'a> {
    /// A whole frame, received at `timestamp`.
    pub fn new(bytes: &'a [u8], timestamp: Timestamp) -> Self {
        Frame { bytes, wire_len: bytes.len() as u32, timestamp, flags: Flags::NONE }
    }
}

/// Up to 64 frames of one link type and one interface, on loan from a port until its next receive.
///
/// The parts of the frames lie in arrays of their own, so that a filter walks pointers and lengths
/// without touching what it does not need.
#[derive(Debug)]
pub struct Batch<'a> {
    len: usize,
    /// No frame is shorter.
    shortest: usize,
    /// What the first byte of every frame of this batch means.
    pub link: LinkType,
    /// Index of the interface: the pcapng interface of a file, 0 elsewhere.
    pub interface: u32,
    bytes: [&'a [u8]; FRAMES_MAX],
    wire_len: [u32; FRAMES_MAX],
    timestamp: [Timestamp; FRAMES_MAX],
    flags: [Flags; FRAMES_MAX],
}

impl Default for Batch<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'a> Batch<'a> {
    /// An empty batch of Ethernet frames.
    pub const fn new() -> Self {
        Batch {
            len: 0,
            shortest: usize::MAX,
            link: LinkType::ETHERNET,
            interface: 0,
            bytes: [&[]; FRAMES_MAX],
            wire_len: [0; FRAMES_MAX],
            timestamp: [Timestamp::ZERO; FRAMES_MAX],
            flags: [Flags::NONE; FRAMES_MAX],
        }
    }

    /// How many frames it holds.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether it holds 64.
    pub const fn is_full(&self) -> bool {
        self.len == FRAMES_MAX
    }

    /// How many more frames fit.
    pub const fn room(&self) -> usize {
        FRAMES_MAX - self.len
    }

    /// Adds a frame.
    ///
    /// # Panics
    /// When the batch is full: a port asks [`room`](Self::room) before it takes a frame.
    #[inline]
    pub fn push(&mut self, frame: Frame<'a>) {
        let index = self.len;
        assert!(index < FRAMES_MAX, "a batch holds {FRAMES_MAX} frames");
        self.bytes[index] = frame.bytes;
        self.wire_len[index] = frame.wire_len;
        self.timestamp[index] = frame.timestamp;
        self.flags[index] = frame.flags;
        self.shortest = self.shortest.min(frame.bytes.len());
        self.len = index + 1;
    }

    /// Keeps the first `len` frames.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
        if self.len == 0 {
            self.shortest = usize::MAX;
        }
    }

    /// No frame has fewer captured bytes than this: one look for all of them. It may be less than
    /// the shortest has, when [`truncate`](Self::truncate) took that one away; without frames it
    /// is `usize::MAX`.
    #[inline]
    pub const fn shortest(&self) -> usize {
        self.shortest
    }

    /// Frame `index`.
    ///
    /// # Panics
    /// When `index` is not below [`len`](Self::len).
    #[inline]
    pub fn get(&self, index: usize) -> Frame<'a> {
        assert!(index < self.len, "frame {index} of {}", self.len);
        Frame {
            bytes: self.bytes[index],
            wire_len: self.wire_len[index],
            timestamp: self.timestamp[index],
            flags: self.flags[index],
        }
    }

    /// The bytes of every frame.
    #[inline]
    pub fn bytes(&self) -> &[&'a [u8]] {
        &self.bytes[..self.len]
    }

    /// The length of every frame on the wire, in bytes.
    pub fn wire_lens(&self) -> &[u32] {
        &self.wire_len[..self.len]
    }

    /// The time of every frame.
    pub fn timestamps(&self) -> &[Timestamp] {
        &self.timestamp[..self.len]
    }

    /// All frames of this batch, as a mask.
    #[inline]
    pub const fn all(&self) -> Mask {
        Mask::first(self.len)
    }

    /// The frames in order.
    pub fn iter(&self) -> impl Iterator<Item = Frame<'a>> + '_ {
        (0..self.len).map(|index| self.get(index))
    }

    /// The frames of `mask` in order; bits beyond the batch are ignored.
    pub fn select(&self, mask: Mask) -> impl Iterator<Item = Frame<'a>> + '_ {
        (mask & self.all()).into_iter().map(|index| self.get(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_as_they_went_in() {
        let data: Vec<[u8; 2]> = (0..64).map(|i| [i, i + 1]).collect();
        let mut batch = Batch::new();
        for (i, bytes) in data.iter().enumerate() {
            assert_eq!(batch.room(), 64 - i);
            let flags = if i % 2 == 0 { Flags::OUTGOING } else { Flags::NONE };
            let frame =
                Frame { bytes, wire_len: 9, timestamp: Timestamp::from_nanos(i as u64), flags };
            batch.push(frame);
        }
        assert!(batch.is_full());
        assert_eq!(batch.all().count(), 64);
        assert_eq!(batch.get(63).bytes, [63, 64]);
        assert_eq!(batch.iter().count(), 64);
        let chosen: Vec<u64> =
            batch.select(Mask(0b101)).map(|frame| frame.timestamp.as_nanos()).collect();
        assert_eq!(chosen, [0, 2]);
        assert_eq!(batch.shortest(), 2);
        batch.truncate(1);
        assert_eq!(batch.len(), 1);
        assert_eq!(batch.shortest(), 2);
        assert_eq!(batch.select(Mask(u64::MAX)).count(), 1);
        batch.push(Frame::default());
        assert_eq!(batch.shortest(), 0);
        batch.truncate(0);
        assert_eq!(batch.shortest(), usize::MAX);
    }

    #[test]
    #[should_panic(expected = "a batch holds 64 frames")]
    fn a_65th_frame_is_refused() {
        let mut batch = Batch::new();
        for _ in 0..65 {
            batch.push(Frame::default());
        }
    }

    #[test]
    fn flags_combine() {
        let both = Flags::OUTGOING.with(Flags::CHECKSUM_PARTIAL);
        assert!(both.contains(Flags::OUTGOING) && !both.contains(Flags::CHECKSUM_VALID));
    }
}
