//! Sequence tracking against an oracle that is a set of all numbers, and over the corpus.

mod common;

use common::{Random, corpus, payloads};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tickwire_market::moldudp64::{Kind, Packet, Session};
use tickwire_market::sequence::{Event, New, Numbers, Range, Rules, Stream, Tracker, What};

fn numbers_of(packet: &Packet<'_>) -> Numbers<Session> {
    Numbers {
        session: packet.session(),
        first: packet.sequence_number(),
        count: packet.message_count().into(),
        ends: packet.kind() == Kind::EndOfSession,
    }
}

#[test]
fn each_line_of_the_corpus_has_the_gaps_that_were_made() {
    let test = "each_line_of_the_corpus_has_the_gaps_that_were_made";
    let Some(folder) = corpus("market/moldudp64-ab", test) else { return };
    let expected = std::fs::read(folder.join("expected.json")).unwrap();
    let expected: Value = serde_json::from_slice(&expected).unwrap();
    for (line, late_packets, beats) in [("A", 135, 12), ("B", 376, 11)] {
        let mut tracker = Tracker::new(Rules { from_first: true, ..Rules::default() });
        let mut open = BTreeSet::new();
        for (packet, payload) in
            payloads(&folder.join(format!("mold-{line}.pcap"))).iter().enumerate()
        {
            let numbers = numbers_of(&Packet::parse(payload).unwrap());
            tracker.receive(&numbers, packet as u64, packet as u64);
            follow(&mut open, tracker.events());
        }
        let (session, stream) = tracker.current().unwrap();
        assert_eq!(expected["session"], json!(session.to_string()));
        let missing: Vec<_> = stream.missing().map(|range| (range.first, range.last)).collect();
        assert_eq!(expected[line]["never_received_ranges"], json!(missing), "{line}");
        let never = json!(stream.missing_messages());
        assert_eq!(expected[line]["never_received_messages"], never, "{line}");
        assert_eq!(expected["end_of_session_seq"], json!(stream.ended()));
        let counts = stream.counts();
        assert_eq!(expected[line]["packets"], json!(counts.packets));
        assert_eq!((counts.heartbeats, counts.ends), (beats, 1), "{line}");
        assert_eq!((counts.late_packets, counts.restarts, counts.lost), (late_packets, 0, 0));
        assert_eq!(counts.received + stream.missing_messages(), 12_012);
        let open: Vec<_> = open.into_iter().collect();
        let still: Vec<_> = stream.missing().flat_map(|range| range.first..=range.last).collect();
        assert_eq!(open, still, "{line}: what events say");
    }
}

/// Keeps the numbers that events say are missing.
fn follow<S>(open: &mut BTreeSet<u64>, events: &[Event<S>]) {
    for event in events {
        match event.what {
            What::Gap(gap) => {
                (gap.range.first..=gap.range.last).for_each(|number| assert!(open.insert(number)));
            }
            What::Filled(gap, _) | What::Lost(gap, _) => {
                (gap.range.first..=gap.range.last).for_each(|number| assert!(open.remove(&number)));
            }
            _ => {}
        }
    }
}

/// What a stream that begins with 1 should say, slowly.
#[derive(Default)]
struct Oracle {
    seen: BTreeSet<u64>,
    next: u64,
}

impl Oracle {
    fn receive(&mut self, first: u64, count: u64, answer: bool) -> Vec<u64> {
        let end = first + count;
        let front = if answer { self.next } else { u64::MAX };
        let new: Vec<u64> =
            (first..end).filter(|n| (1..front).contains(n) && !self.seen.contains(n)).collect();
        self.seen.extend(&new);
        if !answer {
            self.next = self.next.max(end);
        }
        new
    }

    fn missing(&self) -> Vec<u64> {
        (1..self.next).filter(|number| !self.seen.contains(number)).collect()
    }
}

/// One step of a stream that loses, repeats and reorders; `front` is where it is.
fn step(random: &mut Random, front: &mut u64) -> (u64, u32, bool) {
    let count = 1 + random.below(20) as u32;
    match random.below(10) {
        0 => (1 + random.below(*front + 5), count, random.one_in(2)),
        1 => (front.saturating_sub(random.below(60)).max(1), count, random.one_in(3)),
        2 => (*front + random.below(3), 0, false),
        3 => {
            *front += random.below(30);
            (*front, count, false)
        }
        _ => {
            let first = *front;
            *front += u64::from(count);
            (first, count, false)
        }
    }
}

fn told(stream: &Stream) -> Vec<u64> {
    stream.missing().flat_map(|range| range.first..=range.last).collect()
}

#[test]
fn any_stream_is_followed_as_a_set_of_numbers_would() {
    for seed in 0..15 {
        let mut random = Random(seed);
        let rules = Rules { from_first: true, restart_first_max: None, ..Rules::default() };
        let mut tracker = Tracker::new(rules);
        let (mut oracle, mut open) = (Oracle { next: 1, ..Oracle::default() }, BTreeSet::new());
        let (mut front, mut messages) = (1, 0);
        for packet in 0..250 {
            let (first, count, answer) = step(&mut random, &mut front);
            let answer = answer && packet > 0;
            let numbers = Numbers { session: (), first, count, ends: false };
            let new = match answer {
                true => tracker.receive_answer(&numbers, packet, packet),
                false => tracker.receive(&numbers, packet, packet),
            };
            let expected = oracle.receive(first, count.into(), answer);
            let all = expected.len() as u64 == u64::from(count);
            match new {
                New::All => assert!(all, "seed {seed}, packet {packet}"),
                New::None => assert!(expected.is_empty(), "seed {seed}, packet {packet}"),
                New::Some => {
                    let fresh = tracker.fresh().iter().flat_map(|range| range.first..=range.last);
                    assert!(!all && fresh.eq(expected), "seed {seed}, packet {packet}");
                }
            }
            follow(&mut open, tracker.events());
            messages += u64::from(count);
            let (_, stream) = tracker.current().unwrap();
            assert_eq!(told(stream), oracle.missing(), "seed {seed}, packet {packet}");
            assert!(open.iter().eq(&oracle.missing()), "seed {seed}, packet {packet}");
            assert_eq!((stream.next(), stream.is_stale()), (oracle.next, !open.is_empty()));
            let incomplete = open.last().map_or(0, |last| last + 1);
            assert_eq!(stream.incomplete_before(), incomplete);
            let counts = stream.counts();
            assert_eq!(counts.received, oracle.seen.len() as u64);
            assert_eq!(
                counts.received + counts.duplicates + counts.too_late + counts.refused,
                messages
            );
        }
    }
}

#[test]
fn whatever_is_lost_by_a_limit_or_a_restart_is_counted() {
    let mut restarts = 0;
    for seed in 0..15 {
        let mut random = Random(seed);
        let rules = Rules { gaps_max: 3, jump_max: 500, sessions_max: 1, ..Rules::default() };
        let mut tracker = Tracker::new(rules);
        let (mut front, mut messages, mut lost, mut open) = (1, 0, 0, BTreeSet::new());
        for packet in 0..500 {
            let (mut first, count, answer) = step(&mut random, &mut front);
            if random.one_in(100) {
                (front, first) = (1, 1);
            }
            if random.one_in(100) {
                first = random.bits();
            }
            if random.one_in(200) {
                let range = Range { first: random.below(front), last: front };
                tracker.give_up((), range, packet);
                follow(&mut open, tracker.events());
            }
            let numbers = Numbers { session: (), first, count, ends: random.one_in(50) };
            match answer && packet > 0 {
                true => tracker.receive_answer(&numbers, packet, packet),
                false => tracker.receive(&numbers, packet, packet),
            };
            messages += u64::from(count);
            follow(&mut open, tracker.events());
            let (_, stream) = tracker.current().unwrap();
            let counts = stream.counts();
            assert_eq!(
                counts.received + counts.duplicates + counts.too_late + counts.refused,
                messages
            );
            assert!(open.iter().eq(&told(stream)), "seed {seed}, packet {packet}");
            assert!(stream.gaps().len() <= 3 && counts.lost >= lost);
            assert_eq!(stream.missing_messages(), open.len() as u64);
            if counts.restarts == 0 {
                let passed = stream.next() - stream.start();
                assert_eq!(passed, counts.received + stream.missing_messages() + counts.lost);
            }
            lost = counts.lost;
        }
        restarts += tracker.current().unwrap().1.counts().restarts;
    }
    assert!(restarts > 10, "{restarts}");
}
