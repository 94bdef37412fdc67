//! Lines merged: over the corpus, against a set of numbers, and case by case.

mod common;

use common::{Random, corpus, datagrams};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tickwire_market::arbitrate::{Arbiter, Settings};
use tickwire_market::fast::{Head, recorded};
use tickwire_market::packet::Packet;
use tickwire_market::protocol::Protocol;
use tickwire_market::sequence::{Event, How, New, Numbers, Range, Rules, Stream, What, Why};

fn missing(stream: &Stream) -> Vec<(u64, u64)> {
    stream.missing().map(|range| (range.first, range.last)).collect()
}

#[test]
fn the_lines_of_the_corpus_are_merged_as_they_were_made() {
    let test = "the_lines_of_the_corpus_are_merged_as_they_were_made";
    let Some(folder) = corpus("market/moldudp64-ab", test) else { return };
    let expected = std::fs::read(folder.join("expected.json")).unwrap();
    let expected: Value = serde_json::from_slice(&expected).unwrap();
    let mut arbiter = Arbiter::new(Settings::default());
    let mut delivered = BTreeSet::new();
    for (packet, datagram) in datagrams(&folder.join("mold-AB.pcap")).iter().enumerate() {
        let line = usize::from(datagram.destination.to_string() == "239.1.1.2");
        let view = Packet::parse(Protocol::Itch50, &datagram.payload).unwrap();
        let numbers = Numbers::of(&view).unwrap();
        let new = arbiter.receive(line, &numbers, datagram.at_ns, packet as u64);
        for message in view.messages().map(Result::unwrap) {
            let is_new = match new {
                New::All => true,
                New::None => false,
                New::Some => arbiter.fresh().iter().any(|range| range.contains(message.sequence)),
            };
            assert!(!is_new || delivered.insert(message.sequence), "{}", message.sequence);
        }
    }
    let merged = &expected["merged_by_capture_time"];
    let (session, stream) = arbiter.current().unwrap();
    assert_eq!(merged["unique_messages"], json!(delivered.len()));
    assert_eq!(merged["unrecoverable_ranges_(need_retransmit)"], json!(missing(stream)));
    assert_eq!(merged["unrecoverable_messages"], json!(stream.missing_messages()));
    assert_eq!(merged["duplicate_messages_dropped"], json!(stream.counts().duplicates));
    assert_eq!((stream.ended(), stream.counts().received), (Some(12_013), 11_987));
    for (line, name) in ["A", "B"].into_iter().enumerate() {
        assert_eq!(merged["first_arrival_by_side"][name], json!(arbiter.line(line).first));
        assert_eq!(expected[name]["packets"], json!(arbiter.line(line).packets));
        let own = arbiter.stream_of(session, line).unwrap();
        assert_eq!(expected[name]["never_received_ranges"], json!(missing(own)), "{name}");
        let behind = &arbiter.line(line).behind_ns;
        assert!(behind.len() > 100 && behind.max() < 200_000, "{}", behind.len());
    }
    assert_eq!(arbiter.line(0).duplicates + arbiter.line(1).duplicates, 11_480);
}

#[test]
fn the_union_of_two_real_lines_does_not_depend_on_which_comes_first() {
    let test = "the_union_of_two_real_lines_does_not_depend_on_which_comes_first";
    let Some(folder) = corpus("market/fast-micex", test) else { return };
    let line = |name: &str| {
        let file = std::fs::read(folder.join(name)).unwrap();
        let numbers = recorded(&file).map(|message| Head::parse(message).unwrap().sequence);
        numbers.map(|sequence| u64::from(sequence.unwrap())).collect::<Vec<_>>()
    };
    let lines = [line("increment_a.dat"), line("increment_b.dat")];
    for order in [[0, 1], [1, 0]] {
        let mut arbiter = Arbiter::new(Settings::default());
        // Turn by turn, from the beginning of each recording.
        for turn in 0..lines[0].len().max(lines[1].len()) {
            for line in order {
                let Some(&first) = lines[line].get(turn) else { continue };
                let numbers = Numbers { session: (), first, count: 1, ends: false };
                arbiter.receive(line, &numbers, turn as u64 * 1_000, turn as u64);
            }
        }
        let (_, stream) = arbiter.current().unwrap();
        assert_eq!((stream.counts().received, stream.missing_messages()), (8_112, 0));
        let only = |line: usize| {
            let (own, other) = (&lines[line], &lines[1 - line]);
            own.iter().filter(|sequence| other.binary_search(sequence).is_err()).count()
        };
        assert_eq!((only(0), only(1)), (24, 11));
        let first = [0, 1].map(|line| arbiter.line(line).first);
        assert_eq!(first[0] + first[1], 8_112, "{order:?}: {first:?}");
        assert!((0..2).all(|line| arbiter.stream_of((), line).unwrap().missing().count() == 0));
    }
}

const MS: u64 = 1_000_000;

/// An arbiter and its clock.
struct Run(Arbiter<char>, u64);

impl Run {
    fn new(lines: usize) -> Self {
        Run(Arbiter::new(Settings { lines, ..Settings::default() }), 0)
    }

    /// A packet of so many messages, 10 µs after the one before.
    fn take(&mut self, line: usize, first: u64, count: u32) -> New {
        self.1 += MS / 100;
        let numbers = Numbers { session: 'A', first, count, ends: false };
        self.0.receive(line, &numbers, self.1, 0)
    }

    fn whats(&self) -> Vec<What> {
        self.0.events().iter().map(|event| event.what).collect()
    }

    /// The gaps that the last call told of.
    fn told(&self) -> Vec<(u64, u64)> {
        let told = self.0.events().iter().filter_map(|event| match event.what {
            What::Gap(gap) => Some((gap.range.first, gap.range.last)),
            _ => None,
        });
        told.collect()
    }

    fn stream(&self) -> &Stream {
        self.0.current().unwrap().1
    }
}

#[test]
fn a_gap_is_one_when_all_lines_have_passed_it() {
    let mut run = Run::new(3);
    (0..3).for_each(|line| _ = run.take(line, 1, 5));
    assert_eq!((run.take(0, 8, 3), run.told()), (New::All, vec![]));
    assert_eq!((run.take(1, 7, 4), run.told()), (New::Some, vec![]));
    assert_eq!(run.0.fresh(), [Range { first: 7, last: 7 }]);
    assert!(!run.0.is_stale());
    assert_eq!((run.take(2, 11, 1), run.told()), (New::All, vec![(6, 6)]));
    assert!(run.0.is_stale());
    // Late, after it was told of.
    assert_eq!(run.take(2, 6, 1), New::All);
    assert!(matches!(run.whats()[..], [What::Filled(gap, How::OtherLine)] if gap.line == 0));
    assert!(!run.0.is_stale());
}

#[test]
fn a_gap_is_one_when_the_hold_off_has_run_out() {
    let mut run = Run::new(2);
    (0..2).for_each(|line| _ = run.take(line, 1, 5));
    run.take(0, 8, 3);
    let opened = run.1;
    assert_eq!(run.0.deadline_ns(), Some(opened + MS));
    run.0.tick(opened + MS - 1);
    assert_eq!((run.told(), run.0.is_stale()), (vec![], false));
    run.0.tick(opened + MS);
    assert_eq!((run.told(), run.0.is_stale()), (vec![(6, 7)], true));
    run.0.tick(opened + MS);
    assert_eq!((run.told(), run.0.deadline_ns()), (vec![], None));
    // The same by a packet, of the line that has not passed it.
    run.take(0, 20, 1);
    run.1 += MS;
    assert_eq!((run.take(1, 6, 1), run.told()), (New::All, vec![(11, 19)]));
}

#[test]
fn a_dead_line_delays_nothing() {
    let mut run = Run::new(3);
    (0..2).for_each(|line| _ = run.take(line, 1, 5));
    run.1 += 3_000 * MS;
    assert!(!run.0.is_live(1, run.1) && !run.0.is_live(2, run.1));
    assert_eq!((run.take(0, 8, 3), run.told()), (New::All, vec![(6, 7)]));
    // A line that only repeats itself is as good as dead.
    for _ in 0..300 {
        run.1 += 10 * MS;
        run.take(1, 1, 5);
    }
    assert_eq!((run.take(0, 20, 1), run.told()), (New::All, vec![(11, 19)]));
    // It comes back, and is waited for.
    run.take(1, 21, 1);
    assert_eq!((run.take(0, 25, 1), run.told()), (New::All, vec![]));
}

#[test]
fn all_lines_restart_one_after_the_other() {
    let mut run = Run::new(2);
    for first in 0..100 {
        (0..2).for_each(|line| _ = run.take(line, first * 10 + 1, 10));
    }
    run.take(0, 1_010, 1);
    // The first line restarts, and the second follows five packets behind.
    for turn in 0..20_u64 {
        let first = turn * 3 + 1;
        let new = run.take(0, first, 3);
        if turn < 9 {
            assert_ne!(new, New::All, "turn {turn}");
        }
        if turn >= 5 {
            run.take(1, first - 15, 3);
        }
    }
    let stream = run.stream();
    assert_eq!((stream.generation(), stream.next()), (1, 61));
    // What nobody brought after it was clear; the second line brought the rest again.
    assert_eq!(missing(stream), [(1, 9)]);
    assert_eq!((run.0.line(0).superseded, run.0.line(1).superseded), (6 * 3, 0));
    let counts = stream.counts();
    assert_eq!((counts.restarts, counts.lost, counts.gap_messages), (1, 9, 9 + 9));
    // Each message counts once for its line, whatever became of it.
    for (line, packets) in [(0, 1_001 + 60), (1, 1_000 + 45)] {
        let counts = run.0.line(line);
        let sum =
            counts.first + counts.duplicates + counts.too_late + counts.refused + counts.superseded;
        assert_eq!(sum, packets, "line {line}");
    }
}

#[test]
fn a_line_that_restarts_alone_waits_for_the_other_one_or_its_end() {
    let mut run = Run::new(2);
    (0..2).for_each(|line| _ = run.take(line, 1, 1_000));
    for turn in 0..10 {
        run.take(0, 1 + turn, 1);
        assert_eq!(run.take(1, 1_001 + turn, 1), New::All);
    }
    assert_eq!((run.stream().generation(), run.0.line(0).superseded), (0, 7));
    run.1 += 3_000 * MS;
    assert_eq!((run.take(0, 11, 1), run.stream().generation()), (New::All, 1));
    assert_eq!(run.told(), [(1, 10)]);
    // The one that died comes back with new numbers, and then is followed.
    assert_eq!((run.take(1, 12, 1), run.take(1, 12, 1)), (New::All, New::None));
    assert_eq!((run.take(0, 12, 1), run.stream().next()), (New::None, 13));
}

#[test]
fn one_hostile_packet_leads_nobody_astray() {
    // As the first of a line.
    let mut run = Run::new(2);
    run.take(0, 1, 5);
    assert_eq!(run.take(1, 1 << 60, 5), New::None);
    assert_eq!((run.take(1, 1, 6), run.take(0, 6, 2)), (New::Some, New::Some));
    assert_eq!((run.take(1, 8, 1), run.stream().missing_messages()), (New::All, 0));
    assert_eq!((run.0.line(1).refused, run.0.line(1).first), (5, 2));
    // As the first of all: nothing that comes is new, until that has lasted too long.
    let mut run = Run::new(2);
    run.take(0, 1 << 60, 5);
    let mut delivered = 0;
    for first in 0..2_000 {
        run.1 += 10 * MS;
        for line in [0, 1] {
            delivered += u64::from(run.take(line, first + 7, 1) == New::All);
        }
    }
    assert_eq!((run.stream().counts().restarts, run.stream().missing_messages()), (1, 0));
    assert!((900..1_100).contains(&delivered), "{delivered}");
    assert!(run.0.is_live(0, run.1) && run.0.is_live(1, run.1));
}

#[test]
fn what_is_given_up_or_answered_is_not_missing() {
    let mut run = Run::new(1);
    run.take(0, 1, 5);
    run.take(0, 11, 5);
    let answer = Numbers { session: 'A', first: 5, count: 3, ends: false };
    assert_eq!(run.0.receive_answer(&answer, run.1, 0), New::Some);
    assert_eq!(run.0.fresh(), [Range { first: 6, last: 7 }]);
    assert!(matches!(run.whats()[..], [What::Filled(_, How::Retransmission)]));
    assert_eq!(run.0.give_up('A', Range { first: 1, last: 100 }, run.1), 3);
    assert!(matches!(run.whats()[..], [What::Lost(_, Why::GivenUp)]));
    assert!(!run.0.is_stale());
    assert_eq!((run.0.give_up('B', Range { first: 1, last: 100 }, 0), run.whats()), (0, vec![]));
}

/// Packets of one line, cut as it likes, with losses, repetitions and swaps.
fn line_of(random: &mut Random, last: u64) -> Vec<(u64, u32)> {
    let (mut packets, mut first) = (Vec::new(), 1);
    while first <= last {
        let count = (1 + random.below(12)).min(last + 1 - first) as u32;
        if !random.one_in(10) {
            packets.push((first, count));
        }
        if random.one_in(30) {
            packets.push((first, count));
        }
        first += u64::from(count);
    }
    for _ in 0..packets.len() / 10 {
        let at = random.below(packets.len() as u64 - 3) as usize;
        packets.swap(at, at + 1 + random.below(2) as usize);
    }
    packets
}

fn follow(open: &mut BTreeSet<u64>, events: &[Event<()>]) {
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

#[test]
fn any_lines_are_merged_as_sets_of_numbers_would() {
    for seed in 0..30 {
        let mut random = Random(seed);
        let count = 2 + (seed % 2) as usize;
        let rules = Rules { from_first: true, restart_first_max: None, ..Rules::default() };
        let settings = Settings { lines: count, rules, ..Settings::default() };
        let mut arbiter = Arbiter::new(settings);
        let lines: Vec<_> = (0..count).map(|_| line_of(&mut random, 2_000)).collect();
        let mut turns = vec![0; count];
        let (mut seen, mut open, mut at_ns) = (BTreeSet::new(), BTreeSet::new(), 0);
        let mut by_line = vec![(0, 0); count];
        while (0..count).any(|line| turns[line] < lines[line].len()) {
            at_ns += random.below(100_000);
            let line = random.below(count as u64) as usize;
            let Some(&(first, count)) = lines[line].get(turns[line]) else { continue };
            turns[line] += 1;
            let numbers = Numbers { session: (), first, count, ends: false };
            let new = arbiter.receive(line, &numbers, at_ns, 0);
            let end = first + u64::from(count);
            let expected: Vec<u64> = (first..end).filter(|number| seen.insert(*number)).collect();
            let fresh: Vec<u64> = match new {
                New::All => (first..end).collect(),
                New::None => Vec::new(),
                New::Some => arbiter.fresh().iter().flat_map(|r| r.first..=r.last).collect(),
            };
            assert_eq!(fresh, expected, "seed {seed}, line {line}, packet {}", turns[line]);
            by_line[line].0 += expected.len() as u64;
            by_line[line].1 += u64::from(count) - expected.len() as u64;
            follow(&mut open, arbiter.events());
            let (_, stream) = arbiter.current().unwrap();
            // What is told of is missing, and what is missing for too long was told of.
            let overdue = |gap: u64| gap + settings.gap_hold_ns <= at_ns;
            let overdue = stream.gaps().filter(|gap| overdue(gap.opened_ns));
            let mut overdue = overdue.flat_map(|gap| gap.range.first..=gap.range.last);
            assert!(overdue.all(|number| open.contains(&number)), "seed {seed}");
            assert!(open.iter().all(|number| !seen.contains(number)), "seed {seed}");
            assert_eq!(stream.is_stale(), !open.is_empty());
        }
        arbiter.tick(at_ns + settings.gap_hold_ns);
        follow(&mut open, arbiter.events());
        let (_, stream) = arbiter.current().unwrap();
        let missing: BTreeSet<u64> = (1..stream.next()).filter(|n| !seen.contains(n)).collect();
        assert_eq!(open, missing, "seed {seed}");
        for (line, expected) in by_line.into_iter().enumerate() {
            let counts = arbiter.line(line);
            assert_eq!((counts.first, counts.duplicates), expected, "seed {seed}");
        }
    }
}
