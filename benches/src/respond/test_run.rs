//! What each kind of frame costs in the program of mode `xdp`, by BPF_PROG_TEST_RUN: processor
//! time, hot, with what the test run itself takes, which an empty program shows.
//!
//! A run sees the frame that the one before left. So that one order follows another without the
//! frame being restored, the orders of one column go to where ticks come from, in a format that is
//! the next tick: with the order's time as its stamp, at the same price. *Of which* is what records
//! say of these: between the program's two readings of the clock, from after the frame's
//! recognition until the order is written. *House* says it of NanoNet orders, one a system call,
//! each for another instrument.

use super::Args;
use super::kernel::{Kernel, wall_ns};
use super::ticks::{self, Ticks};
use crate::live::Failure;
use crate::xdp::{empty, turn};
use std::net::{Ipv4Addr, SocketAddrV4};
use tickwire_capture::bpf::Program;
use tickwire_frame::Reason;
use tickwire_respond::Config;
use tickwire_respond::xdp::Route;

const TURNS: u32 = 12;
/// Runs of a turn: fewer where each makes a record, which has to fit into the ring, and where a
/// second's orders must not be used up.
const RUNS: u32 = 200_000;
const RUNS_RECORDED: u32 = 50_000;
/// Orders of the house, one at a time: the system call takes milliseconds.
const ORDERS: u64 = 300;
const ORDERS_PER_S: u32 = 1_000_000;

const SENDER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const LISTEN: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 2), ticks::TICK_PORT);
const EXCHANGE: SocketAddrV4 = SocketAddrV4::new(SENDER, ticks::ORDER_PORT);
const ELSEWHERE: SocketAddrV4 = SocketAddrV4::new(*LISTEN.ip(), ticks::TICK_PORT + 1);
const HOUSE: &str = "format = \"nanonet\"";
const NEXT_TICK: &str =
    "format = \"hex\"\ntemplate = \"{symbol:8} {price:4le.2} {quantity:4le} {time:8le}\"";

/// How many rules there are, and for what.
#[derive(Clone, Copy)]
enum Shape {
    /// So many instruments, each with a rule and its threshold.
    Instruments(usize),
    /// So many rules for one instrument, none of which fires where the last one does.
    Rules(usize),
}

const SHAPES: [Shape; 4] = [
    Shape::Instruments(1),
    Shape::Instruments(100),
    Shape::Instruments(1_000),
    Shape::Rules(1_000),
];

impl Shape {
    fn name(self) -> String {
        match self {
            Shape::Instruments(1) => "one rule".into(),
            Shape::Instruments(count) => format!("{count} instruments, a rule each"),
            Shape::Rules(count) => format!("{count} rules, one instrument"),
        }
    }

    fn symbols(self) -> Vec<String> {
        let count = if let Shape::Instruments(count) = self { count } else { 1 };
        (0..count).map(|at| format!("S{at:05}")).collect()
    }

    /// Below which price, in cents, a rule fires.
    fn threshold(at: usize) -> u32 {
        90_000 + at as u32
    }

    /// The threshold of the last rule, which is for the last symbol.
    fn last(self) -> u32 {
        let (Shape::Instruments(count) | Shape::Rules(count)) = self;
        Self::threshold(count - 1)
    }

    fn config(self, target: SocketAddrV4, format: &str, price: &str) -> Result<Config, Failure> {
        let (listen, target) = (LISTEN.to_string(), target.to_string());
        let mut text = ticks::head("unused", (&listen, &target), format, ORDERS_PER_S);
        let symbols = self.symbols();
        symbols.iter().for_each(|symbol| text += &ticks::instrument(symbol));
        let (Shape::Instruments(count) | Shape::Rules(count)) = self;
        for at in 0..count {
            let cents = Self::threshold(at);
            let below = format!("{}.{:02}", cents / 100, cents % 100);
            let symbol = symbols.get(at).unwrap_or(&symbols[0]);
            text += &ticks::rule(&format!("rule-{at}"), symbol, &below, price);
        }
        Ok(Config::parse(&text).map_err(|error| error.to_string())?)
    }
}

/// What is to become of a frame.
#[derive(Clone, Copy)]
enum Fate {
    /// No feed is there.
    Passed,
    /// Nobody trades its symbol.
    Other,
    /// No rule wants anything.
    Silent,
    Refused,
    Ordered,
}

impl Fate {
    const ALL: [Fate; 5] = [Fate::Passed, Fate::Other, Fate::Silent, Fate::Refused, Fate::Ordered];

    /// What one frame counts: as a tick of others, a tick, an order, a duplicate.
    fn counts(self) -> [u64; 4] {
        match self {
            Fate::Passed => [0; 4],
            Fate::Other => [1, 0, 0, 0],
            Fate::Silent => [0, 1, 0, 0],
            Fate::Refused => [0, 1, 0, 1],
            Fate::Ordered => [0, 1, 1, 0],
        }
    }

    fn runs(self) -> u32 {
        if matches!(self, Fate::Refused | Fate::Ordered) { RUNS_RECORDED } else { RUNS }
    }
}

/// Measures and prints. Promises nothing.
pub fn measure(args: &Args) -> Result<(), Failure> {
    let turns = if args.quick { 1 } else { TURNS };
    let empty = Program::load_xdp("empty", &empty())?;
    let frame = frame(LISTEN, &ticks::payload(0, "S00000"));
    let mut floor = f64::INFINITY;
    for _ in 0..turns {
        floor = floor.min(turn(&empty, &frame, RUNS)?);
    }
    println!(
        "in the kernel, ns a frame by BPF_PROG_TEST_RUN, fastest of {turns} turns; {floor:.1} of \
         them an empty program takes"
    );
    println!(
        "{:<30} {:>7} {:>7} {:>7} {:>7} {:>7} {:>8} {:>8} {:>7} {:>8}",
        "",
        "port",
        "symbol",
        "no rule",
        "refused",
        "order",
        "of which",
        "house",
        "instr.",
        "verified"
    );
    for shape in SHAPES {
        let mut trial = Trial::new(shape)?;
        let mut best = [f64::INFINITY; Fate::ALL.len()];
        for _ in 0..turns {
            for (fate, best) in Fate::ALL.into_iter().zip(&mut best) {
                *best = best.min(trial.turn(fate)?);
            }
        }
        let mut house_ns = trial.house_orders()?;
        let program = &trial.house;
        print!("{:<30}", shape.name());
        best.iter().for_each(|ns| print!(" {ns:>7.1}"));
        let took_ns = [middle(&mut trial.took_ns), middle(&mut house_ns)];
        took_ns.iter().for_each(|ns| print!(" {ns:>8}"));
        let verified = program.program.info()?.verified;
        println!(" {:>7} {verified:>8}", program.instructions);
    }
    Ok(())
}

/// The rules of a shape, with orders that are orders, and with orders that are the next tick.
struct Trial {
    shape: Shape,
    house: Kernel,
    chain: Kernel,
    /// The time stamp of the last tick of the house.
    stamp_ns: u64,
    /// How long the orders took that are the next tick, as their records say.
    took_ns: Vec<u64>,
}

impl Trial {
    fn new(shape: Shape) -> Result<Trial, Failure> {
        let load = |target: SocketAddrV4, format, price| {
            let (source_mac, destination_mac) = ([4; 6], [2; 6]);
            let source = SocketAddrV4::new(*LISTEN.ip(), 40_001);
            let route = Route {
                ifindex: 1,
                sends_back: false,
                destination_mac,
                source_mac,
                source,
                destination: target,
                ttl: 64,
                mtu: 1500,
            };
            Kernel::load(shape.config(target, format, price)?, &route)
        };
        let house = load(EXCHANGE, HOUSE, "price + 1 tick")?;
        let chain = load(LISTEN, NEXT_TICK, "price")?;
        Ok(Trial { shape, house, chain, stamp_ns: wall_ns(), took_ns: Vec::new() })
    }

    /// The time of one frame in nanoseconds. All of them have the fate, or this fails.
    fn turn(&mut self, fate: Fate) -> Result<f64, Failure> {
        let symbols = self.shape.symbols();
        let (symbol, last) = (&symbols[symbols.len() - 1], self.shape.last());
        let stamp_ns = wall_ns();
        let tick = match fate {
            Fate::Other => ticks::tick("OTHER", last - 1, stamp_ns),
            Fate::Silent => ticks::tick(symbol, last, stamp_ns),
            Fate::Refused => {
                self.stamp_ns += 1;
                ticks::tick(symbol, last - 1, self.stamp_ns)
            }
            Fate::Passed | Fate::Ordered => ticks::tick(symbol, last - 1, stamp_ns),
        };
        let to = if matches!(fate, Fate::Passed) { ELSEWHERE } else { LISTEN };
        let frame = frame(to, &tick);
        let kernel = if matches!(fate, Fate::Ordered) { &mut self.chain } else { &mut self.house };
        if matches!(fate, Fate::Refused) {
            // Answered once, it is a duplicate.
            kernel.program.test_run(&frame, 1)?;
        }
        kernel.drain(|_| {});
        let before = counts(kernel)?;
        let ns = turn(&kernel.program, &frame, fate.runs())?;
        let expected = fate.counts().map(|one| one * u64::from(fate.runs()));
        let after = counts(kernel)?;
        let counted = [0, 1, 2, 3].map(|at| after[at] - before[at]);
        if matches!(fate, Fate::Ordered) {
            kernel.drain(|record| self.took_ns.extend(record.took_ns));
        }
        if counted != expected {
            return Err(format!("the kernel counted {counted:?} instead of {expected:?}").into());
        }
        Ok(ns)
    }

    /// How long orders of the house took, each for another instrument, in nanoseconds.
    fn house_orders(&mut self) -> Result<Vec<u64>, Failure> {
        let symbols = self.shape.symbols();
        let mut took_ns = Vec::new();
        for number in 0..ORDERS {
            // Of as many instruments as there are thresholds, the last is the one of all prices.
            let at = number as usize * 7 % symbols.len();
            let cents = if symbols.len() > 1 { Shape::threshold(at) } else { self.shape.last() };
            self.stamp_ns += 1;
            let tick = ticks::tick(&symbols[at], cents - 1, self.stamp_ns);
            let frame = frame(LISTEN, &tick);
            self.house.program.test_run(&frame, 1)?;
            self.house.drain(|record| took_ns.extend(record.took_ns));
        }
        if took_ns.len() as u64 != ORDERS {
            return Err(format!("{} orders for {ORDERS} ticks", took_ns.len()).into());
        }
        Ok(took_ns)
    }
}

/// The median; there is one at least.
fn middle(ns: &mut [u64]) -> u64 {
    let at = ns.len() / 2;
    *ns.select_nth_unstable(at).1
}

fn frame(to: SocketAddrV4, tick: &[u8]) -> Vec<u8> {
    Ticks::new(([2; 6], [4; 6]), SENDER, to).frame(tick).to_vec()
}

/// Ticks of others, ticks, orders, duplicates.
fn counts(kernel: &Kernel) -> Result<[u64; 4], Failure> {
    let counts = kernel.state()?.counts();
    let [others, ticks] = counts.ticks[0];
    Ok([others, ticks, counts.orders, counts.refused[Reason::DuplicateTrigger]])
}
