//! Streams of TCP, cut, mixed up, sent twice and lost, against the bytes that were sent.

use tickwire_decode::TcpFlags;
use tickwire_decode::stream::{Follower, Piece, Segment};
use tickwire_fuzz::random::Random;

/// Streams of each kind.
const STREAMS: u64 = 400;

/// How far a segment moves among the others.
const MOVED_MAX: usize = 40;

/// A part of a stream: where it begins, and its bytes.
#[derive(Clone)]
struct Part {
    start: usize,
    end: usize,
}

/// The stream cut into parts; each byte is in one.
fn parts(random: &mut Random, len: usize) -> Vec<Part> {
    let (mut parts, mut start) = (Vec::new(), 0);
    while start < len {
        let end = (start + 1 + random.below(60)).min(len);
        parts.push(Part { start, end });
        start = end;
    }
    parts
}

/// The same, each a few places from where it was.
fn moved(random: &mut Random, parts: Vec<Part>) -> Vec<Part> {
    let place = |(at, part)| (at + random.below(MOVED_MAX), part);
    let mut parts: Vec<_> = parts.into_iter().enumerate().map(place).collect();
    parts.sort_by_key(|(place, _)| *place);
    parts.into_iter().map(|(_, part)| part).collect()
}

/// What is handed on: bytes with `None` for each that is missing, and whether the end was told of.
fn followed(stream: &[u8], first: u32, parts: &[Part]) -> (Vec<Option<u8>>, bool) {
    let (mut follower, mut read, mut ended) = (Follower::default(), Vec::new(), false);
    let mut hand_on = |piece: Piece<'_>| match piece {
        Piece::Begin { is_whole } => assert!(is_whole && read.is_empty()),
        Piece::Data(bytes) => read.extend(bytes.iter().copied().map(Some)),
        Piece::Gap(bytes) => read.extend(std::iter::repeat_n(None, bytes as usize)),
        Piece::End { .. } => ended = true,
    };
    let syn = Segment { sequence: first, flags: TcpFlags::SYN, payload: b"", cut_bytes: 0 };
    follower.segment(&syn, &mut hand_on);
    for part in parts {
        let sequence = first.wrapping_add(1 + part.start as u32);
        let is_last = part.end == stream.len();
        let flags = if is_last { TcpFlags::FIN } else { TcpFlags::ACK };
        let payload = &stream[part.start..part.end];
        follower.segment(&Segment { sequence, flags, payload, cut_bytes: 0 }, &mut hand_on);
    }
    follower.finish(&mut hand_on);
    assert_eq!(follower.held_bytes(), 0);
    let counts = *follower.counts();
    assert_eq!(counts.bytes + counts.gap_bytes, read.len() as u64);
    let sent: usize = parts.iter().map(|part| part.end - part.start).sum();
    assert_eq!(counts.bytes + counts.duplicate_bytes, sent as u64);
    (read, ended)
}

/// A stream of random bytes and its first sequence number, which is often near the last one.
fn stream(random: &mut Random) -> (Vec<u8>, u32) {
    let len = 1 + random.below(6_000);
    let near = u32::MAX.wrapping_sub(random.below(8_000) as u32).wrapping_add(100);
    let first = if random.below(2) == 0 { near } else { random.below(1 << 32) as u32 };
    ((0..len).map(|_| random.below(256) as u8).collect(), first)
}

#[test]
fn every_byte_comes_once_and_in_order() {
    for seed in 0..STREAMS {
        let mut random = Random::new(seed);
        let (stream, first) = stream(&mut random);
        // All of it twice, cut in different places, and mixed up.
        let mut sent = parts(&mut random, stream.len());
        let again = parts(&mut random, stream.len());
        sent.extend(again.into_iter().filter(|_| random.below(3) == 0));
        sent.sort_by_key(|part| part.start);
        let sent = moved(&mut random, sent);
        let (read, ended) = followed(&stream, first, &sent);
        assert!(read.iter().copied().eq(stream.iter().copied().map(Some)), "seed {seed}");
        assert!(ended, "seed {seed}");
    }
}

#[test]
fn what_was_lost_and_nothing_else_is_missing() {
    for seed in 0..STREAMS {
        let mut random = Random::new(seed);
        let (stream, first) = stream(&mut random);
        let sent = parts(&mut random, stream.len());
        let sent: Vec<_> = sent.into_iter().filter(|_| random.below(5) > 0).collect();
        let mut expected = vec![None; sent.last().map_or(0, |part| part.end)];
        for part in &sent {
            let bytes = stream[part.start..part.end].iter().copied().map(Some);
            expected.splice(part.start..part.end, bytes);
        }
        let sent = moved(&mut random, sent);
        let (read, ended) = followed(&stream, first, &sent);
        assert_eq!(read, expected, "seed {seed}");
        assert_eq!(ended, read.len() == stream.len(), "seed {seed}");
    }
}

#[test]
fn the_first_of_two_answers_counts() {
    for seed in 0..STREAMS {
        let mut random = Random::new(seed);
        let (truth, first) = stream(&mut random);
        let sent = parts(&mut random, truth.len());
        let sent = moved(&mut random, sent);
        let (mut follower, mut read) = (Follower::default(), Vec::new());
        let mut hand_on = |piece: Piece<'_>| match piece {
            Piece::Data(bytes) => read.extend_from_slice(bytes),
            Piece::Gap(_) => panic!("nothing is lost"),
            _ => {}
        };
        let (flags, cut_bytes) = (TcpFlags::SYN, 0);
        let syn = Segment { sequence: first, flags, payload: b"", cut_bytes };
        follower.segment(&syn, &mut hand_on);
        for part in &sent {
            let sequence = first.wrapping_add(1 + part.start as u32);
            let (flags, payload) = (TcpFlags::ACK, &truth[part.start..part.end]);
            follower.segment(&Segment { sequence, flags, payload, cut_bytes }, &mut hand_on);
            // Somebody else says something different behind it.
            let forged: Vec<u8> = payload.iter().map(|byte| !byte).collect();
            follower
                .segment(&Segment { payload: &forged, sequence, flags, cut_bytes }, &mut hand_on);
        }
        assert!(read == truth, "seed {seed}");
    }
}
