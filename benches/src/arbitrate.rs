//! Arbitration: what it costs a packet to be told new or old, with two lines that lose, skew and
//! cut packets differently. Hot cache, one core.
//!
//! The reference is the least that could be done: one counter for both lines, which takes what is
//! past it and drops the rest. It knows no gaps, and loses what comes late.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;
use tickwire_fuzz::random::Random;
use tickwire_market::arbitrate::{Arbiter, Settings};
use tickwire_market::moldudp64::Session;
use tickwire_market::sequence::{New, Numbers};

/// Turns of each contender, over each feed.
const TURNS: usize = 41;
/// Messages of a feed.
const MESSAGES: u64 = 400_000;
/// The promise: ns a packet, at most.
const PACKET_NS_MAX: f64 = 30.0;

/// A packet of one of the lines.
struct Packet {
    line: usize,
    at_ns: u64,
    numbers: Numbers<Session>,
}

/// How the lines of a feed differ.
struct Feed {
    name: &'static str,
    /// One of so many packets of a line is lost; 0: none.
    lost_one_in: usize,
    /// The second line is behind by so much, in ns.
    behind_ns: u64,
    /// And by up to so much more, packet by packet, in ns: more than a packet puts it in disorder.
    jitter_ns: usize,
    /// Whether each line cuts its packets as it likes.
    cut: bool,
    /// Whether the promise is for it.
    promised: bool,
}

const PLAIN: Feed = Feed {
    name: "no loss",
    lost_one_in: 0,
    behind_ns: 1_000,
    jitter_ns: 3_000,
    cut: false,
    promised: true,
};

const LOSSY: Feed = Feed { name: "1 % loss on each", lost_one_in: 100, ..PLAIN };

const FEEDS: [Feed; 5] = [
    PLAIN,
    LOSSY,
    Feed { name: "1 % loss, 100 µs behind", behind_ns: 100_000, ..LOSSY },
    Feed { name: "1 % loss, cut differently", cut: true, ..LOSSY },
    Feed { name: "1 % loss, one in disorder", jitter_ns: 100_000, promised: false, ..LOSSY },
];

/// Both lines in the order of arrival.
fn packets(feed: &Feed) -> Vec<Packet> {
    let session = Session::new("BENCH").expect("five letters");
    let mut packets = Vec::new();
    for line in 0..2 {
        let mut cuts = Random::new(if feed.cut { line as u64 } else { 0 });
        let mut random = Random::new(10 + line as u64);
        let (mut first, mut at_ns) = (1, 1_000_000);
        while first < MESSAGES {
            let count = 1 + cuts.below(8);
            let jitter_ns = random.below(feed.jitter_ns) as u64;
            let late_ns = line as u64 * (feed.behind_ns + jitter_ns);
            if feed.lost_one_in == 0 || random.below(feed.lost_one_in) != 0 {
                let numbers = Numbers { session, first, count: count as u32, ends: false };
                packets.push(Packet { line, at_ns: at_ns + late_ns, numbers });
            }
            first += count as u64;
            at_ns += 1_000 * count as u64;
        }
    }
    packets.sort_by_key(|packet| packet.at_ns);
    packets
}

/// Messages that were new, as the arbiter says.
fn arbitrated(arbiter: &mut Arbiter<Session>, packets: &[Packet]) -> u64 {
    let mut new = 0;
    for (place, packet) in packets.iter().enumerate() {
        let numbers = &packet.numbers;
        new += match arbiter.receive(packet.line, numbers, packet.at_ns, place as u64) {
            New::All => numbers.count.into(),
            New::None => 0,
            New::Some => arbiter.fresh().iter().map(|range| range.count()).sum::<u64>(),
        };
        black_box(arbiter.events());
    }
    new
}

/// Messages that are past a counter.
fn counted(packets: &[Packet]) -> u64 {
    let (mut next, mut new) = (1, 0);
    for packet in packets {
        let end = packet.numbers.first + u64::from(packet.numbers.count);
        if end > next {
            new += end - next.max(packet.numbers.first);
            next = end;
        }
        black_box(next);
    }
    new
}

/// Prints a line a feed and says whether the promise holds.
pub fn run() -> ExitCode {
    let mut kept = true;
    println!("ns a packet, fastest and median of {TURNS} turns");
    println!("{:<28} {:>8} {:>8} {:>8} {:>8}", "", "arbiter", "median", "counter", "packets");
    for feed in &FEEDS {
        let packets = packets(feed);
        let (mut ours, mut theirs) = (Vec::with_capacity(TURNS), Vec::with_capacity(TURNS));
        for _ in 0..TURNS {
            let mut arbiter = Arbiter::new(Settings::default());
            arbitrated(&mut arbiter, &packets[..2]);
            let start = Instant::now();
            let new = arbitrated(&mut arbiter, black_box(&packets));
            ours.push(start.elapsed().as_nanos() as f64 / packets.len() as f64);
            let start = Instant::now();
            let past = counted(black_box(&packets));
            theirs.push(start.elapsed().as_nanos() as f64 / packets.len() as f64);
            assert!(new + 32 > past, "{new} of {past} messages");
        }
        ours.sort_by(f64::total_cmp);
        theirs.sort_by(f64::total_cmp);
        let [a, b, c] = [ours[0], ours[TURNS / 2], theirs[0]];
        println!("{:<28} {a:>8.1} {b:>8.1} {c:>8.1} {:>8}", feed.name, packets.len());
        kept &= a <= PACKET_NS_MAX || !feed.promised;
    }
    println!("arbiter: at most {PACKET_NS_MAX} ns, but for a line in disorder");
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
