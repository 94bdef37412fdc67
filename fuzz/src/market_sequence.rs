//! Sequence numbers from any bytes: tracking, arbitration, asking again, order.
//!
//! Beside that nothing panics: every message is counted once, what is new lies within its packet
//! and is new only once, events say what is missing, and every loop ends.

use crate::mutate::Mutated;
use crate::packets::Sample;
use crate::random::Random;
use std::collections::BTreeSet;
use tickwire_frame::LinkType;
use tickwire_market::arbitrate::{Arbiter, Settings};
use tickwire_market::recovery::{self, Action, Client, InOrder, Place};
use tickwire_market::sequence::{Event, New, Numbers, Range, Rules, Stream, Tracker, What};

/// Bytes of a step: what, line, session, count, time, number.
const STEP: usize = 8;

/// Gaps that are kept: few, so that there are too many.
const GAPS_MAX: usize = 8;

/// The most that a client may do at one time: ask for each of its ranges, or give it up.
const ACTIONS_MAX: usize = 4 * GAPS_MAX + 64;

/// Samples: streams that mostly go on, in the form of [`sequence`].
pub fn samples() -> Vec<Sample> {
    (0..4)
        .map(|seed| {
            let (mut random, mut next) = (Random::new(seed), 1_u16);
            let mut bytes = vec![seed as u8];
            for _ in 0..60 {
                let (what, line) = (random.below(64) as u8, random.below(2) as u8);
                let count = 1 + random.below(6) as u8;
                bytes.extend([what, line, 0, count, random.below(20) as u8, 0]);
                bytes.extend(next.to_be_bytes());
                next += u16::from(count) * line.max(u8::from(random.below(3) > 0)) as u16;
            }
            Sample { name: "sequence", link: LinkType::ETHERNET, bytes }
        })
        .collect()
}

/// One step of a stream.
struct Step {
    what: u8,
    line: usize,
    at_ns: u64,
    numbers: Numbers<u8>,
}

fn steps(bytes: &[u8]) -> impl Iterator<Item = Step> {
    let mut at_ns = 0;
    bytes.chunks_exact(STEP).map(move |step| {
        let &[what, line, session, count, time, high, a, b] = step else { unreachable!() };
        at_ns += (u64::from(time) * 100_000) << (what & 3);
        let low = u64::from(u16::from_be_bytes([a, b]));
        // Mostly small numbers, now and then huge ones.
        let first = match high {
            0xf0.. => u64::MAX - low,
            0xe0.. => low << 40,
            _ => low,
        };
        let ends = what == 0xff;
        let numbers = Numbers { session: session & 3, first, count: count.into(), ends };
        Step { what, line: usize::from(line) % 3, at_ns, numbers }
    })
}

fn rules(choice: u8) -> Rules {
    Rules {
        from_first: choice & 1 != 0,
        restart_first_max: (choice & 2 == 0).then_some(1),
        jump_max: if choice & 4 == 0 { 100_000 } else { u64::MAX },
        restart_packets: 8,
        only_counts: choice & 8 != 0,
        gaps_max: GAPS_MAX,
        sessions_max: 2,
        ..Rules::default()
    }
}

/// All of it.
pub fn check(packet: &Mutated<'_>) {
    sequence(packet.bytes);
}

/// The first byte chooses rules; eight more are a step each.
pub fn sequence(bytes: &[u8]) {
    let Some((&choice, bytes)) = bytes.split_first() else { return };
    track(rules(choice), bytes);
    arbitrate(rules(choice), bytes);
    order(bytes);
}

fn track(rules: Rules, bytes: &[u8]) {
    let mut tracker = Tracker::new(rules);
    let mut open = BTreeSet::new();
    for (packet, Step { what, at_ns, numbers, .. }) in steps(bytes).enumerate() {
        let new = match what & 0x30 {
            0x30 => tracker.receive_answer(&numbers, at_ns, packet as u64),
            _ => tracker.receive(&numbers, at_ns, packet as u64),
        };
        check_new(new, &numbers, tracker.fresh());
        follow(&mut open, tracker.events());
        if what & 0xc0 == 0xc0 {
            let range = Range { first: 0, last: numbers.first };
            tracker.give_up(numbers.session, range, at_ns);
            follow(&mut open, tracker.events());
        }
        for (session, stream) in tracker.sessions() {
            check_stream(stream);
            let gaps = stream.gaps().map(|gap| (session, stream.generation(), gap.range));
            assert!(gaps.eq(open.iter().copied().filter(|(of, ..)| *of == session)));
        }
    }
}

fn arbitrate(rules: Rules, bytes: &[u8]) {
    let mut arbiter = Arbiter::new(Settings { lines: 3, rules, ..Settings::default() });
    let mut client = Client::new(recovery::Settings {
        ranges_max: GAPS_MAX,
        ..recovery::Settings::moldudp64(2)
    });
    let mut messages = [0; 3];
    for (packet, Step { what, line, at_ns, numbers }) in steps(bytes).enumerate() {
        let new = if what & 0x30 == 0x30 {
            arbiter.receive_answer(&numbers, at_ns, packet as u64)
        } else {
            messages[line] += u64::from(numbers.count);
            arbiter.receive(line, &numbers, at_ns, packet as u64)
        };
        check_new(new, &numbers, arbiter.fresh());
        want(&mut client, arbiter.events(), at_ns);
        if let Some(range) = Range::before(numbers.first, numbers.first.saturating_add(3)) {
            match what & 0x40 {
                0 => client.came(range),
                _ => client.answered(range, at_ns),
            }
        }
        for action in 0.. {
            assert!(action < ACTIONS_MAX, "there is always something to do");
            match client.poll(at_ns) {
                Some(Action::Ask { ranges, .. }) => assert_eq!(ranges.len(), 1),
                Some(Action::GiveUp(range, _)) => assert!(range.first <= range.last),
                None => break,
            }
        }
        arbiter.tick(at_ns + 10);
        want(&mut client, arbiter.events(), at_ns);
        arbiter.sessions().for_each(|(_, stream)| check_stream(stream));
        for (line, messages) in messages.into_iter().enumerate() {
            let counts = arbiter.line(line);
            let sum = counts.first
                + counts.duplicates
                + counts.too_late
                + counts.refused
                + counts.superseded;
            assert_eq!(sum, messages);
        }
    }
}

fn want(client: &mut Client, events: &[Event<u8>], at_ns: u64) {
    for event in events {
        if let What::Gap(gap) = event.what {
            _ = client.want(gap.range, at_ns);
        }
    }
    assert!(
        client.wanted().is_sorted_by(|a, b| a.last < b.first) && client.wanted().len() <= GAPS_MAX
    );
}

fn order(bytes: &[u8]) {
    let (mut order, mut next) = (InOrder::new(1, 32, 8), 0);
    for Step { what, numbers, .. } in steps(bytes) {
        let before = order.next();
        let mut hand_on = |sequence: u64, bytes: &[u8]| {
            assert!(sequence >= before && sequence > next && bytes == sequence.to_be_bytes());
            next = sequence;
        };
        if what & 0x30 == 0x30 {
            let last = numbers.first.min(1 << 40);
            order.give_up(last.saturating_sub(numbers.count.into()), last, &mut hand_on);
        } else {
            let place = order.push(numbers.first, &numbers.first.to_be_bytes(), &mut hand_on);
            assert_eq!(place == Place::Next, numbers.first == before);
        }
        assert!(order.next() >= before && order.waiting() < 32);
    }
}

/// What is new lies in the packet, in order.
fn check_new(new: New, numbers: &Numbers<u8>, fresh: &[Range]) {
    if new == New::Some {
        let end = numbers.first.saturating_add(numbers.count.into());
        assert!(!fresh.is_empty() && fresh.is_sorted_by(|a, b| a.last < b.first));
        assert!(fresh.iter().all(|range| range.first >= numbers.first && range.last < end));
    }
}

fn check_stream(stream: &Stream) {
    let missing = stream.missing().map(|range| range.count());
    assert_eq!(missing.fold(0, u64::saturating_add), stream.missing_messages());
    assert!(stream.gaps().len() <= GAPS_MAX && stream.start() <= stream.next());
    let counts = stream.counts();
    if counts.restarts == 0 {
        let known = counts.received + stream.missing_messages() + counts.lost;
        assert_eq!(stream.next() - stream.start(), known);
    }
}

/// Keeps the gaps that events say are open, as they are cut.
fn follow(open: &mut BTreeSet<(u8, u32, Range)>, events: &[Event<u8>]) {
    for Event { session, generation, what, .. } in events {
        match what {
            What::Gap(gap) => assert!(open.insert((*session, *generation, gap.range))),
            What::Filled(gap, _) | What::Lost(gap, _) => {
                let around = |(of, in_generation, range): &&(u8, u32, Range)| {
                    (of, in_generation) == (session, generation)
                        && range.first <= gap.range.first
                        && gap.range.last <= range.last
                };
                let whole = *open.iter().find(around).expect("a gap that was told of");
                open.remove(&whole);
                let Range { first, last } = whole.2;
                for rest in [
                    Range::before(first, gap.range.first),
                    Range::before(gap.range.last + 1, last + 1),
                ] {
                    open.extend(rest.map(|rest| (*session, *generation, rest)));
                }
            }
            _ => {}
        }
    }
}
