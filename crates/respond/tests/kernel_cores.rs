//! Two processors decide at the same time: one position, one rate, one order for each trigger.

mod common;

use common::kernel::{Kernel, clocks, frame};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::ops::Range;
use std::sync::Barrier;
use std::thread;
use tickwire_capture::bpf::Program;
use tickwire_frame::Reason;
use tickwire_market::nanonet::little::MarketDataBuilder;
use tickwire_market::{Ascii, Price};
use tickwire_respond::xdp::Record;
use tickwire_respond::{Config, Decision, Outcome};

const SENDER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 9), 5_000);
const GROUP: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(239, 1, 1, 1), 8_080);
const S_NS: u64 = 1_000_000_000;
const THREADS: usize = 2;
const INSTRUMENTS: usize = 50;
const ROUNDS: u64 = if cfg!(debug_assertions) { 200 } else { 2_000 };
/// Rounds whose records fit into the ring.
const CHUNK: u64 = 100;
/// How often a tick comes again: for longer than a processor may be taken away from a decision.
const TRIES_MAX: u32 = 10_000_000;
const PASS: u32 = 2;
const TX: u32 = 3;

/// Ticks of all instruments below 100.00 are answered.
fn config(orders_per_s: u32, position: u32) -> Config {
    let mut text = format!(
        "state = \"unused\"
         [limits]
         orders_per_s = {orders_per_s}
         position = {position}
         [[feed]]
         name = \"ticks\"
         protocol = \"nanonet\"
         listen = \"{GROUP}\"
         [[target]]
         name = \"exchange\"
         format = \"nanonet\"
         address = \"10.0.0.2:9999\"
         [[rule]]
         name = \"below\"
         feed = \"ticks\"
         when = \"price < 100.00\"
         order = {{ target = \"exchange\", side = \"buy\", quantity = \
         \"min(quantity, 100)\", price = \"price\" }}
         "
    );
    for instrument in 0..INSTRUMENTS {
        text += &format!("[[instrument]]\nsymbol = \"S{instrument}\"\ntick = \"0.01\"\n");
    }
    Config::parse(&text).unwrap_or_else(|error| panic!("{error}"))
}

fn tick(instrument: usize, stamp_ns: u64) -> Vec<u8> {
    let symbol = Ascii::new(&format!("S{instrument}")).unwrap();
    let tick = MarketDataBuilder::new().symbol(symbol).price(Price(9_999));
    let tick = tick.quantity(1 + instrument as u32).timestamp(stamp_ns);
    frame(SENDER, GROUP, tick.as_bytes())
}

/// Binds the calling thread to one of the processors that it may use.
fn pin(thread: usize) {
    let allowed = sched_getaffinity(None).unwrap();
    let all: Vec<_> = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)).collect();
    let mut one = CpuSet::new();
    one.set(all[thread % all.len()]);
    sched_setaffinity(None, &one).unwrap();
}

/// What becomes of a tick; it comes again while the other processor decides for too long.
fn decide(program: &Program, tick: &[u8]) -> u32 {
    let verdicts = (0..TRIES_MAX).map(|_| program.test_run(tick, 1).unwrap().verdict);
    verdicts.into_iter().find(|verdict| *verdict != PASS).expect("the other comes to an end")
}

/// Has each of the threads decide on the same ticks; how often each of them was answered.
fn run(
    kernel: &Kernel,
    rounds: Range<u64>,
    tick: impl Fn(u64, usize) -> Vec<u8> + Sync,
) -> HashMap<(u64, usize), usize> {
    let (program, barrier) = (&kernel.program, Barrier::new(THREADS));
    let work = |thread: usize| {
        pin(thread);
        let mut answered = Vec::new();
        for round in rounds.clone() {
            barrier.wait();
            for instrument in 0..INSTRUMENTS {
                if decide(program, &tick(round, instrument)) == TX {
                    answered.push((round, instrument));
                }
            }
        }
        answered
    };
    let mut times = HashMap::new();
    thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..THREADS).map(|at| scope.spawn(move || work(at))).collect();
        for thread in threads {
            for tick in thread.join().unwrap() {
                *times.entry(tick).or_default() += 1;
            }
        }
    });
    times
}

/// The orders of records, by their numbers.
fn orders(records: &[Record]) -> Vec<(u64, Decision)> {
    let order = |record: &Record| match record.decision.outcome {
        Outcome::Ordered(number) => Some((number, record.decision)),
        Outcome::Refused(_) => None,
    };
    let mut orders: Vec<_> = records.iter().filter_map(order).collect();
    orders.sort_by_key(|(number, _)| *number);
    orders
}

/// Each position is the sum of its orders, whose numbers follow each other.
fn check_sums(kernel: &Kernel, first: u64, orders: &[(u64, Decision)]) {
    let mut sums = [0; INSTRUMENTS];
    for (expected, (number, Decision { intent, .. })) in (first..).zip(orders) {
        assert_eq!(*number, expected);
        sums[intent.instrument as usize] += i64::from(intent.quantity);
    }
    let positions = (0..INSTRUMENTS as u32).map(|instrument| kernel.position(instrument).net);
    assert_eq!(positions.collect::<Vec<_>>(), sums);
    let state = kernel.state();
    assert_eq!(state.memory().next_number(), first + orders.len() as u64);
    let counts = state.counts();
    assert_eq!((counts.orders, counts.lost), (orders.len() as u64, 0));
}

#[test]
fn each_trigger_is_answered_once() {
    let config = config(1_000_000, 4_000_000_000);
    let Some(kernel) = Kernel::new(config, "each_trigger_is_answered_once") else { return };
    let (wall_ns, _) = clocks();
    let first = kernel.state().memory().next_number();
    let mut records = Vec::new();
    for rounds in (0..ROUNDS / CHUNK).map(|chunk| chunk * CHUNK..(chunk + 1) * CHUNK) {
        let times = run(&kernel, rounds, |round, at| tick(at, wall_ns + round));
        assert_eq!(times.len(), CHUNK as usize * INSTRUMENTS, "some were not answered");
        assert!(times.values().all(|times| *times == 1), "some were answered twice");
        records.extend(kernel.records());
    }
    let all = ROUNDS * INSTRUMENTS as u64;
    let counts = kernel.state().counts();
    assert_eq!((counts.orders, counts.intents), (all, all * THREADS as u64));
    assert_eq!(counts.refused[Reason::DuplicateTrigger], all);
    check_sums(&kernel, first, &orders(&records));
    eprintln!("{all} triggers answered once, {} times one waited for long", counts.busy);
}

#[test]
fn no_second_has_more_orders_than_allowed() {
    const PER_S: usize = 130;
    const STEP_NS: u64 = 300_000_000;
    let config = config(PER_S as u32, 4_000_000_000);
    let Some(kernel) = Kernel::new(config, "no_second_has_more_orders_than_allowed") else {
        return;
    };
    let (wall_ns, monotonic_ns) = clocks();
    let first = kernel.state().memory().next_number();
    let mut records = Vec::new();
    for round in 0..ROUNDS {
        let ahead_ns = round * STEP_NS;
        kernel.state().renew(u64::MAX, wall_ns - monotonic_ns + ahead_ns);
        run(&kernel, round..round + 1, |round, at| tick(at, wall_ns + round));
        records.extend(kernel.records());
    }
    let orders = orders(&records);
    check_sums(&kernel, first, &orders);
    let mut sent_ns: Vec<_> = orders.iter().map(|(_, of)| of.received_ns).collect();
    sent_ns.sort_unstable();
    assert!(sent_ns.windows(PER_S + 1).all(|window| window[PER_S] - window[0] >= S_NS));
    // A round has 50 ticks: 50, 50 and 30 orders, none in the fourth round, and so on.
    assert!(orders.len() as u64 >= (ROUNDS / 4 - 1) * PER_S as u64, "{}", orders.len());
    assert!(kernel.state().counts().refused[Reason::OrderRate] > ROUNDS);
}

#[test]
fn positions_stay_within_their_limit() {
    const POSITION: i64 = 1_000;
    let config = config(1_000_000, POSITION as u32);
    let Some(kernel) = Kernel::new(config, "positions_stay_within_their_limit") else { return };
    let (wall_ns, _) = clocks();
    let first = kernel.state().memory().next_number();
    let mut records = Vec::new();
    // An order of one each has the most of them, and the last are refused.
    for rounds in (0..POSITION as u64 / CHUNK + 1).map(|chunk| chunk * CHUNK..(chunk + 1) * CHUNK) {
        run(&kernel, rounds, |round, at| tick(at, wall_ns + round));
        records.extend(kernel.records());
    }
    check_sums(&kernel, first, &orders(&records));
    for instrument in 0..INSTRUMENTS {
        let quantity = 1 + instrument as i64;
        let most = POSITION / quantity * quantity;
        assert_eq!(kernel.position(instrument as u32).net, most, "{instrument}");
    }
    assert!(kernel.state().counts().refused[Reason::PositionMax] > 0);
}
