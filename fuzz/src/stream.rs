//! Streams of TCP from any bytes: segments in any order, cut, again, with any flags.
//!
//! Beside that nothing panics: each byte that is handed on is the one that was sent there, what is
//! handed on and what is missing add up, and what waits is bounded.

use crate::mutate::Mutated;
use crate::packets::Sample;
use crate::random::Random;
use tickwire_decode::TcpFlags;
use tickwire_decode::stream::{Follower, HELD_BYTES_MAX, HELD_PIECES_MAX, Piece, Segment};
use tickwire_frame::LinkType;

/// Bytes of a step: what, place, length.
const STEP: usize = 4;

/// The most bytes that a segment has.
const SEGMENT_BYTES_MAX: usize = 255;

/// The first sequence number: numbers begin again in the middle of the stream.
const FIRST: u32 = u32::MAX - 0x8000;

/// Samples: streams that mostly go on, in the form of [`stream`].
pub fn samples() -> Vec<Sample> {
    let sample = |seed| {
        let (mut random, mut at, mut bytes) = (Random::new(seed), 0_u16, Vec::new());
        for _ in 0..60 {
            let (what, len) = (random.below(0x80) as u8, random.below(200) as u8);
            let back = if random.below(3) == 0 { random.below(300) as u16 } else { 0 };
            let place = at.saturating_sub(back).to_be_bytes();
            bytes.extend([what, place[0], place[1], len]);
            at = at.wrapping_add(random.below(300) as u16);
        }
        Sample { name: "stream", link: LinkType::ETHERNET, bytes }
    };
    (0..4).map(sample).collect()
}

/// As a stage.
pub fn check(packet: &Mutated<'_>) {
    stream(packet.bytes);
}

/// The byte that was sent at a place of the stream.
fn sent(place: usize) -> u8 {
    (place ^ place >> 8).wrapping_mul(0x9d) as u8
}

/// Where the reader is, if it is known.
#[derive(Default)]
struct Reader {
    place: usize,
    bytes: u64,
    missing: u64,
    ended: bool,
}

impl Reader {
    fn take(&mut self, piece: Piece<'_>, joined: usize) {
        match piece {
            Piece::Begin { is_whole } => {
                (self.place, self.ended) = (if is_whole { 0 } else { joined }, false);
            }
            Piece::Data(bytes) => {
                assert!(!bytes.is_empty() && !self.ended);
                let truth = (self.place..).map(sent).take(bytes.len());
                assert!(bytes.iter().copied().eq(truth), "other bytes than were sent");
                self.place += bytes.len();
                self.bytes += bytes.len() as u64;
            }
            Piece::Gap(missing) => {
                assert!(missing > 0 && !self.ended);
                self.place += missing as usize;
                self.missing += missing;
            }
            Piece::End { .. } => {
                assert!(!self.ended, "it ends twice");
                self.ended = true;
            }
        }
    }
}

/// Four bytes are a step each.
pub fn stream(bytes: &[u8]) {
    let content: Vec<u8> = (0..=usize::from(u16::MAX) + SEGMENT_BYTES_MAX).map(sent).collect();
    let (mut follower, mut reader) = (Follower::default(), Reader::default());
    for step in bytes.chunks_exact(STEP) {
        let &[what, high, low, len] = step else { unreachable!() };
        let place = usize::from(u16::from_be_bytes([high, low]));
        let sequence = FIRST.wrapping_add(1 + place as u32);
        let mut hand_on = |piece: Piece<'_>| reader.take(piece, place);
        let (payload, cut_bytes) = (&content[place..place + usize::from(len)], u32::from(what & 3));
        let segment = |sequence, flags| Segment { sequence, flags, payload, cut_bytes };
        match what {
            // Now and then what no sender of this stream sends: it must do no more than count.
            0xf8.. => follower.segment(&segment(sequence ^ 1 << 31, TcpFlags(0x18)), &mut hand_on),
            0xf0.. => follower.finish(&mut hand_on),
            0xe8.. => follower.segment(&segment(sequence, TcpFlags::RST), &mut hand_on),
            0xe0.. => follower.segment(&segment(sequence, TcpFlags::FIN), &mut hand_on),
            0xd8.. => {
                let payload = &content[..usize::from(len)];
                let (sequence, flags) = (FIRST, TcpFlags::SYN);
                let syn = Segment { sequence, flags, payload, cut_bytes };
                follower.segment(&syn, &mut hand_on);
            }
            0x60.. => follower.acknowledge(sequence, &mut hand_on),
            _ => follower.segment(&segment(sequence, TcpFlags::ACK), &mut hand_on),
        }
        let waits = HELD_BYTES_MAX.min(HELD_PIECES_MAX * SEGMENT_BYTES_MAX);
        assert!(follower.held_bytes() <= waits);
        let counts = follower.counts();
        assert_eq!((counts.bytes, counts.gap_bytes), (reader.bytes, reader.missing));
        assert_eq!(follower.has_ended(), reader.ended);
    }
    follower.finish(|piece| reader.take(piece, 0));
    assert_eq!(follower.held_bytes(), 0);
}
