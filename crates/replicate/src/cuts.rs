//! Payloads of a batch of which a part had come before on another line, cut to the rest.

use arrayvec::ArrayVec;
use std::ops::Range;
use tickwire_frame::{FRAMES_MAX, Mask};
use tickwire_market::Packet;
use tickwire_market::arbitrate::cut;
use tickwire_market::sequence;

/// Room for those of one batch: 64 of the longest that fit into an Ethernet frame. What has no
/// room stays whole.
const CUT_BYTES_MAX: usize = 96 << 10;
/// The most pieces of one batch: each is a datagram of its own.
const PIECES_MAX: usize = 256;

/// What is left of the payloads that were cut in the batch at hand.
#[derive(Debug, Default)]
pub struct Cuts {
    bytes: Box<[u8]>,
    pieces: ArrayVec<Range<usize>, PIECES_MAX>,
    frames: Mask,
    /// By the position of a frame: which pieces are its.
    places: Box<[Range<usize>]>,
}

impl Cuts {
    /// Takes its memory, unless it has it.
    pub fn reserve(&mut self) {
        if self.places.is_empty() {
            self.bytes = vec![0; CUT_BYTES_MAX].into();
            self.places = vec![0..0; FRAMES_MAX].into();
        }
    }

    /// Another batch.
    #[inline]
    pub fn clear(&mut self) {
        self.pieces.clear();
        self.frames = Mask::EMPTY;
    }

    /// Cuts `packet`, the payload of frame `at`, into one for each of its `fresh` messages that
    /// follow each other; whether that is possible. Otherwise it stays whole.
    #[cold]
    pub fn cut(&mut self, at: usize, packet: &Packet<'_>, fresh: &[sequence::Range]) -> bool {
        let first = self.pieces.len();
        for &range in fresh {
            let start = self.pieces.last().map_or(0, |piece| piece.end);
            let room = self.bytes.get_mut(start..).unwrap_or_default();
            let piece = cut(packet, range, room).map(|piece| start..start + piece.len());
            if piece.is_none_or(|piece| self.pieces.try_push(piece).is_err()) {
                self.pieces.truncate(first);
                return false;
            }
        }
        self.places[at] = first..self.pieces.len();
        self.frames.set_if(at, true);
        true
    }

    /// What frame `at` was cut into, if it was.
    #[inline]
    pub fn get(&self, at: usize) -> Option<impl ExactSizeIterator<Item = &[u8]>> {
        let own = self.frames.contains(at).then(|| self.places[at].clone())?;
        Some(self.pieces[own].iter().map(|piece| &self.bytes[piece.clone()]))
    }
}
