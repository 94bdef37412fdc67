//! One direction of a TCP connection in the order of its bytes (RFC 9293), as somebody sees it who
//! only listens.
//!
//! [`Follower`] takes segments as they were captured and hands on each byte once, in order:
//! retransmissions and overlaps are left out (what came first counts), what came too early is kept
//! until what is before it has come. What was sent and not captured is a [`Piece::Gap`]: when the
//! receiver has acknowledged what is behind it, when too much waits behind it, or at the end.
//!
//! In order, bytes are handed on where they lie and nothing is kept. Here are no clocks and no
//! tables of connections: two followers and what is read of them belong to whoever knows both
//! directions. Checksums are not looked at: where sending is offloaded to a network card, they are
//! not right yet.

use crate::{Tcp, TcpFlags};
use std::collections::BTreeMap;

/// The most bytes that wait behind a hole.
pub const HELD_BYTES_MAX: usize = 1 << 20;

/// The most pieces that wait behind a hole.
pub const HELD_PIECES_MAX: usize = 1 << 10;

/// So many pieces wait behind a hole that the receiver has acknowledged before it is given up: the
/// two directions may have been captured out of order.
pub const ACKNOWLEDGED_PIECES: usize = 3;

/// A segment further ahead is of another connection: no window is larger (RFC 7323, section 2.3).
pub const AHEAD_BYTES_MAX: u32 = 1 << 30;

/// A segment further behind is of another connection, too: nobody sends so much again.
pub const BEHIND_BYTES_MAX: u32 = 64 << 20;

/// After so many segments of another connection in a row, that is the one which is followed: ports
/// were used again, and its beginning was not captured.
pub const STRANGE_SEGMENTS_MAX: u32 = 8;

/// What a follower needs of a segment.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// The sequence number of its first byte, or of SYN.
    pub sequence: u32,
    /// SYN, FIN and RST count.
    pub flags: TcpFlags,
    /// The captured bytes.
    pub payload: &'a [u8],
    /// How many bytes more it had: the capture cut them.
    pub cut_bytes: u32,
}

impl<'a> Segment<'a> {
    /// A segment whose last `cut_bytes` were not captured.
    pub fn of(tcp: &Tcp<'a>, cut_bytes: u32) -> Self {
        let (sequence, flags, payload) = (tcp.sequence(), tcp.flags(), tcp.payload());
        Segment { sequence, flags, payload, cut_bytes }
    }
}

/// What comes next in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A connection begins: what follows has nothing to do with what came before.
    Begin {
        /// Whether its first byte comes next; else the capture began later than the connection.
        is_whole: bool,
    },
    /// The bytes behind those before.
    Data(&'a [u8]),
    /// So many bytes are missing: they were sent and not captured.
    Gap(u64),
    /// Nothing follows.
    End {
        /// Whether the sender gave up the connection (RST); else it had no more to say (FIN).
        is_reset: bool,
    },
}

/// What there was of a direction, over all connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Bytes handed on.
    pub bytes: u64,
    /// Bytes that came again: retransmissions, overlaps, copies made by the network.
    pub duplicate_bytes: u64,
    /// Pieces that came before what is before them.
    pub early_pieces: u64,
    /// Holes that were given up.
    pub gaps: u64,
    /// Bytes that are missing in them.
    pub gap_bytes: u64,
    /// Segments of another connection.
    pub strange_segments: u64,
    /// Bytes behind the end of a stream.
    pub bytes_behind_end: u64,
}

/// Follows one direction of a TCP connection, and the next one between the same ports.
///
/// ```
/// use tickwire_decode::TcpFlags;
/// use tickwire_decode::stream::{Follower, Piece, Segment};
///
/// let (mut follower, mut text) = (Follower::default(), Vec::new());
/// for (sequence, payload) in [(7, "tick"), (13, "re"), (11, "wi"), (9, "ckwire"), (15, "!")] {
///     let payload = payload.as_bytes();
///     let segment = Segment { sequence, flags: TcpFlags::ACK, payload, cut_bytes: 0 };
///     follower.segment(&segment, |piece| {
///         if let Piece::Data(bytes) = piece {
///             text.extend_from_slice(bytes);
///         }
///     });
/// }
/// assert_eq!(text, b"tickwire!");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Follower {
    state: State,
    /// The sequence number of SYN: where that was not seen, of one right before what came first.
    syn: u32,
    /// The place of the next byte to be handed on. The lower half of a place is a sequence number,
    /// the upper half counts how often these have begun again, from 1.
    next: u64,
    /// By their places, which do not overlap and lie behind `next`, not at it.
    held: BTreeMap<u64, Held>,
    held_bytes: usize,
    /// Behind the last byte.
    end: Option<u64>,
    /// Up to where the receiver has everything.
    acknowledged: u64,
    /// Segments of another connection in a row.
    strange: u32,
    counts: Counts,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    New,
    Open,
    Ended,
}

/// What waits behind a hole.
#[derive(Clone, Debug)]
enum Held {
    Bytes(Box<[u8]>),
    /// The capture cut so many bytes.
    Cut(u64),
}

impl Held {
    fn len(&self) -> u64 {
        match self {
            Held::Bytes(bytes) => bytes.len() as u64,
            Held::Cut(len) => *len,
        }
    }
}

impl Follower {
    /// What there was.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// How many bytes wait behind holes.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Whether the stream has ended, and no other begun.
    pub fn has_ended(&self) -> bool {
        self.state == State::Ended
    }

    /// A segment. What can be read now is handed on.
    pub fn segment(&mut self, segment: &Segment<'_>, mut hand_on: impl FnMut(Piece<'_>)) {
        let hand_on = &mut hand_on;
        let is_syn = segment.flags.contains(TcpFlags::SYN);
        let len = segment.payload.len() as u64 + u64::from(segment.cut_bytes);
        let sequence = segment.sequence.wrapping_add(is_syn.into());
        if is_syn && !self.is_known_syn(segment.sequence) {
            self.begin(sequence, true, hand_on);
        }
        if self.state == State::New {
            if len == 0 {
                return;
            }
            self.begin(sequence, false, hand_on);
        }
        let mut start = self.place(sequence);
        if start.is_none() && len > 0 && self.strange >= STRANGE_SEGMENTS_MAX {
            self.begin(sequence, false, hand_on);
            start = Some(self.next);
        }
        let Some(start) = start else {
            self.counts.strange_segments += 1;
            self.strange += 1;
            return;
        };
        self.strange = 0;
        if segment.flags.contains(TcpFlags::RST) {
            return self.end(true, hand_on);
        }
        if segment.flags.contains(TcpFlags::FIN) && self.end.is_none() {
            self.end = Some((start + len).max(self.next));
        }
        let captured = start + segment.payload.len() as u64;
        self.add(start, captured, Some(segment.payload), hand_on);
        self.add(captured, start + len, None, hand_on);
        self.give_up_acknowledged(hand_on);
        self.end_if_all_came(hand_on);
    }

    /// The receiver acknowledges everything before sequence number `next`: what is missing of it is
    /// not sent again, and will not come.
    pub fn acknowledge(&mut self, next: u32, mut hand_on: impl FnMut(Piece<'_>)) {
        if self.state == State::Open
            && let Some(place) = self.place(next)
        {
            self.acknowledged = self.acknowledged.max(place);
            self.give_up_acknowledged(&mut hand_on);
            self.end_if_all_came(&mut hand_on);
        }
    }

    /// Nothing more is captured: what waits is handed on. No end is told of where none was seen.
    pub fn finish(&mut self, mut hand_on: impl FnMut(Piece<'_>)) {
        self.flush(&mut hand_on);
        self.end_if_all_came(&mut hand_on);
    }

    /// Whether that is the SYN of the connection that is followed, sent again or late.
    fn is_known_syn(&self, sequence: u32) -> bool {
        self.state != State::New && self.syn == sequence
    }

    fn begin(&mut self, sequence: u32, is_whole: bool, hand_on: &mut impl FnMut(Piece<'_>)) {
        self.flush(hand_on);
        let next = (1 << 32) + u64::from(sequence);
        let (state, syn, counts) = (State::Open, sequence.wrapping_sub(1), self.counts);
        *self = Follower { state, syn, next, counts, ..Follower::default() };
        hand_on(Piece::Begin { is_whole });
    }

    /// Where a sequence number lies, if that can be in this connection.
    fn place(&self, sequence: u32) -> Option<u64> {
        let ahead = sequence.wrapping_sub(self.next as u32).cast_signed();
        let max = if ahead < 0 { BEHIND_BYTES_MAX } else { AHEAD_BYTES_MAX };
        (ahead.unsigned_abs() <= max).then(|| self.next.wrapping_add_signed(ahead.into()))
    }

    /// Takes what is new of the places from `start` up to `end`: their bytes, or that these were
    /// cut.
    fn add(
        &mut self,
        start: u64,
        end: u64,
        bytes: Option<&[u8]>,
        hand_on: &mut impl FnMut(Piece<'_>),
    ) {
        let last = self.end.map_or(end, |last| last.clamp(start, end));
        self.counts.bytes_behind_end += end - last;
        let mut at = start;
        while at < last {
            let before = self.held.range(..=at).next_back();
            let known = before.map_or(0, |(place, held)| place + held.len()).max(self.next);
            if known > at {
                self.counts.duplicate_bytes += known.min(last) - at;
                at = known;
                continue;
            }
            let until = self.held.range(at..).next().map_or(last, |(&place, _)| place.min(last));
            let held = match bytes {
                Some(bytes) => Ok(&bytes[(at - start) as usize..(until - start) as usize]),
                None => Err(until - at),
            };
            self.take(at, held, hand_on);
            at = until;
        }
    }

    /// Takes bytes that nobody has had, or how many were cut: hands them on, or keeps them.
    fn take(&mut self, at: u64, new: Result<&[u8], u64>, hand_on: &mut impl FnMut(Piece<'_>)) {
        let len = new.map_or(0, <[u8]>::len);
        while at > self.next
            && (self.held_bytes + len > HELD_BYTES_MAX || self.held.len() == HELD_PIECES_MAX)
        {
            let first = self.held.first_key_value().map_or(at, |(&place, _)| place.min(at));
            self.skip_to(first, hand_on);
        }
        if at > self.next {
            self.counts.early_pieces += 1;
            self.held_bytes += len;
            self.held.insert(at, new.map_or_else(Held::Cut, |bytes| Held::Bytes(bytes.into())));
            return;
        }
        self.pass(new, hand_on);
        self.drain(hand_on);
    }

    /// Hands on what comes next.
    fn pass(&mut self, next: Result<&[u8], u64>, hand_on: &mut impl FnMut(Piece<'_>)) {
        match next {
            Ok(bytes) => {
                self.next += bytes.len() as u64;
                self.counts.bytes += bytes.len() as u64;
                hand_on(Piece::Data(bytes));
            }
            Err(missing) => {
                self.next += missing;
                self.counts.gaps += 1;
                self.counts.gap_bytes += missing;
                hand_on(Piece::Gap(missing));
            }
        }
    }

    /// Hands on what waited for this.
    fn drain(&mut self, hand_on: &mut impl FnMut(Piece<'_>)) {
        while let Some(first) = self.held.first_entry()
            && *first.key() == self.next
        {
            match first.remove() {
                Held::Bytes(bytes) => {
                    self.held_bytes -= bytes.len();
                    self.pass(Ok(&bytes), hand_on);
                }
                Held::Cut(missing) => self.pass(Err(missing), hand_on),
            }
        }
    }

    /// Gives up what is missing before `place`, which is at most where the first held piece is.
    fn skip_to(&mut self, place: u64, hand_on: &mut impl FnMut(Piece<'_>)) {
        if place > self.next {
            self.pass(Err(place - self.next), hand_on);
        }
        self.drain(hand_on);
    }

    fn give_up_acknowledged(&mut self, hand_on: &mut impl FnMut(Piece<'_>)) {
        while self.held.len() >= ACKNOWLEDGED_PIECES
            && let Some((&start, _)) = self.held.first_key_value()
            && start <= self.acknowledged
        {
            self.skip_to(start, hand_on);
        }
    }

    fn end_if_all_came(&mut self, hand_on: &mut impl FnMut(Piece<'_>)) {
        if self.state == State::Open && self.end.is_some_and(|end| self.next >= end) {
            self.end(false, hand_on);
        }
    }

    fn end(&mut self, is_reset: bool, hand_on: &mut impl FnMut(Piece<'_>)) {
        if self.state == State::Open {
            self.flush(hand_on);
            // What comes now comes too late.
            (self.state, self.end) = (State::Ended, Some(self.next));
            hand_on(Piece::End { is_reset });
        }
    }

    /// Hands on everything, up to the end if that is known.
    fn flush(&mut self, hand_on: &mut impl FnMut(Piece<'_>)) {
        while let Some((&start, _)) = self.held.first_key_value() {
            self.skip_to(start, hand_on);
        }
        if let Some(end) = self.end.filter(|_| self.state == State::Open) {
            self.skip_to(end, hand_on);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a follower hands on, as text: `^` and `~` begin, `-7-` is a gap, `$` and `!` end.
    #[derive(Default)]
    struct Run(Follower, String);

    impl Run {
        fn write(text: &mut String, piece: Piece<'_>) {
            match piece {
                Piece::Begin { is_whole } => text.push(if is_whole { '^' } else { '~' }),
                Piece::Data(bytes) => text.push_str(std::str::from_utf8(bytes).unwrap()),
                Piece::Gap(bytes) => *text += &format!("-{bytes}-"),
                Piece::End { is_reset } => text.push(if is_reset { '!' } else { '$' }),
            }
        }

        fn cut(&mut self, sequence: u32, flags: TcpFlags, payload: &str, cut_bytes: u32) {
            let segment = Segment { sequence, flags, payload: payload.as_bytes(), cut_bytes };
            self.0.segment(&segment, |piece| Run::write(&mut self.1, piece));
        }

        fn send(&mut self, sequence: u32, flags: TcpFlags, payload: &str) {
            self.cut(sequence, flags, payload, 0);
        }

        fn data(&mut self, sequence: u32, payload: &str) {
            self.send(sequence, TcpFlags::ACK, payload);
        }

        fn acknowledge(&mut self, next: u32) {
            self.0.acknowledge(next, |piece| Run::write(&mut self.1, piece));
        }

        fn finish(mut self) -> String {
            self.0.finish(|piece| Run::write(&mut self.1, piece));
            assert_eq!((self.0.held_bytes, self.0.held.len()), (0, 0));
            self.1
        }
    }

    #[test]
    fn a_connection_is_followed_over_the_end_of_sequence_numbers() {
        let mut run = Run::default();
        run.send(u32::MAX - 2, TcpFlags::SYN, "");
        run.send(u32::MAX - 2, TcpFlags::SYN, "");
        for (sequence, text) in [(u32::MAX - 1, "ab"), (2, "ef"), (0, "cd"), (1, "DEF"), (4, "g")] {
            run.data(sequence, text);
        }
        run.send(5, TcpFlags::FIN, "h");
        run.send(5, TcpFlags::FIN, "h");
        run.data(6, "behind");
        assert!(run.0.has_ended());
        let counts = Counts {
            bytes: 8,
            duplicate_bytes: 4,
            early_pieces: 1,
            bytes_behind_end: 6,
            ..Counts::default()
        };
        assert_eq!(*run.0.counts(), counts);
        // The same ports again.
        run.send(77, TcpFlags::SYN, "xy");
        run.send(80, TcpFlags::RST, "");
        run.data(80, "late");
        assert_eq!(run.finish(), "^abcdefgh$^xy!");
    }

    #[test]
    fn the_bytes_that_came_first_count() {
        let mut run = Run::default();
        run.data(100, "ab");
        run.data(106, "GH");
        run.data(110, "K");
        // Over what was handed on, what waits, and between.
        run.data(101, "bcdefghijkl");
        assert_eq!(run.finish(), "~abcdefGHijKl");
    }

    #[test]
    fn a_hole_is_given_up_when_the_receiver_has_what_was_in_it() {
        let mut run = Run::default();
        run.data(100, "ab");
        run.data(105, "f");
        run.acknowledge(108);
        run.data(106, "g");
        assert_eq!(run.1, "~ab");
        run.data(107, "h");
        assert_eq!(run.1, "~ab-3-fgh");
        // Not one that it may still get, nor for a number of another connection.
        run.data(110, "k");
        run.data(112, "m");
        run.data(113, "n");
        run.acknowledge(108);
        run.acknowledge(108 + (1 << 31));
        assert_eq!(run.1, "~ab-3-fgh");
        run.data(102, "cde");
        run.data(108, "ij");
        assert_eq!((run.0.counts().gaps, run.0.counts().gap_bytes), (1, 3));
        assert_eq!(run.finish(), "~ab-3-fghijk-1-mn");
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut run = Run::default();
        run.send(0, TcpFlags::SYN, "");
        for at in 0..HELD_PIECES_MAX as u32 {
            run.data(10 + 2 * at, "x");
        }
        assert_eq!(run.1, "^");
        // In front of all that waits: nothing is given up that has come.
        run.data(5, "y");
        assert_eq!(run.1, "^-4-y");
        let mut run = Run::default();
        run.send(0, TcpFlags::SYN, "");
        let half = "z".repeat(HELD_BYTES_MAX / 2);
        let after = 2 + half.len() as u32;
        run.data(2, &half);
        run.data(after + 1, &half);
        assert_eq!((run.1.as_str(), run.0.held_bytes()), ("^", HELD_BYTES_MAX));
        run.data(after + 1 + half.len() as u32, "!");
        assert_eq!(run.1, format!("^-1-{half}"));
        assert_eq!(run.finish(), format!("^-1-{half}-1-{half}!"));
    }

    #[test]
    fn what_the_capture_cut_is_missing_at_once() {
        let mut run = Run::default();
        run.cut(100, TcpFlags::ACK, "ab", 3);
        run.cut(110, TcpFlags::ACK, "kl", 1);
        run.data(105, "fghij");
        run.data(113, "n");
        assert_eq!(run.finish(), "~ab-3-fghijkl-1-n");
    }

    #[test]
    fn a_hole_before_the_end_is_a_gap() {
        let mut run = Run::default();
        run.data(100, "ab");
        run.send(106, TcpFlags::FIN, "");
        assert!(!run.0.has_ended());
        assert_eq!(run.finish(), "~ab-4-$");
        let mut run = Run::default();
        run.data(100, "ab");
        run.data(104, "ef");
        run.send(106, TcpFlags::RST, "");
        assert_eq!(run.finish(), "~ab-2-ef!");
    }

    #[test]
    fn what_cannot_be_of_the_connection_is_counted_until_it_must_be_another() {
        let mut run = Run::default();
        run.data(1 << 20, "ab");
        // Probes whether the receiver lives, which have no new byte.
        run.data((1 << 20) + 1, "");
        run.data((1 << 20) + 1, "?");
        let far = 3 << 30;
        for at in 0..STRANGE_SEGMENTS_MAX + 2 {
            run.data(far + at, "x");
        }
        assert_eq!(run.0.counts().strange_segments, STRANGE_SEGMENTS_MAX.into());
        assert_eq!(run.finish(), "~ab~xx");
    }
}
