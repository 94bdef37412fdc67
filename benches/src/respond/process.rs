//! From a frame to the frame of its order, hot, on one core: datagram, feed, market, rules, checks,
//! bytes. No system call is in it, and no clock.

use super::Args;
use super::ticks::{self, Ticks};
use crate::live::Failure;
use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};
use tickwire_capture::routes::Hop;
use tickwire_frame::{FRAMES_MAX, Frame, LinkType, Reason, Timestamp};
use tickwire_replicate::{Datagram, Subscriber, Template, UdpChecksum};
use tickwire_respond::config::{Config, Speaks};
use tickwire_respond::format::Encoder;
use tickwire_respond::memory::Keys;
use tickwire_respond::{Arrival, Decision, Markets, Memory, Order, Outlet, Responder, Rules};

/// Rules and what a tick may take with them, in nanoseconds.
const PROMISES: [(usize, f64); 2] = [(1, 100.0), (1_000, 150.0)];
/// Ticks of a batch, as a ring gives them out: just written, so in the cache.
const TICKS: usize = FRAMES_MAX;
/// Batches of a turn.
const BATCHES: usize = 400;
/// From one tick to the next, in nanoseconds, so that ten thousand orders a second is no limit.
const APART_NS: u64 = 200_000;
const BEGAN_NS: u64 = 1_800_000_000_000_000_000;

/// Measures, prints, and says whether the promises are kept.
pub fn measure(args: &Args) -> Result<bool, Failure> {
    let mut kept = true;
    println!("from a frame to the frame of its order, ns a tick, fastest turn");
    for (rules, limit) in PROMISES {
        let turns = if args.quick { 3 } else { 41 };
        let ns = fastest(rules, turns)?;
        let verdict = if ns <= limit { "kept" } else { "NOT KEPT" };
        println!("{rules:>6} rules {ns:>8.1}   at most {limit:.0} promised: {verdict}");
        kept &= ns <= limit;
    }
    Ok(kept)
}

fn fastest(rules: usize, turns: usize) -> Result<f64, Failure> {
    let symbols: Vec<String> = (0..rules).map(|at| format!("S{at:05}")).collect();
    let text = ticks::config(&symbols, "10.0.0.2:8080", "10.0.0.1:9999", "unused", 10_000);
    let config = Config::parse(&text).map_err(|error| error.to_string())?;
    let mut path = Path::new(&config)?;
    let to = SocketAddrV4::new([10, 0, 0, 2].into(), ticks::TICK_PORT);
    let mut ticks = Ticks::new(([2; 6], [4; 6]), [10, 0, 0, 1].into(), to);
    let mut frame = |number: u64| {
        let symbol = &symbols[number as usize * 7 % symbols.len()];
        ticks.frame(&ticks::payload(number, symbol)).to_vec()
    };
    let (mut best, mut number) = (f64::INFINITY, 0);
    for _ in 0..turns {
        let (before, mut taken) = (path.orders, Duration::ZERO);
        for _ in 0..BATCHES {
            // New ones each time: a tick is answered once.
            let frames: [Vec<u8>; TICKS] = std::array::from_fn(|at| frame(number + at as u64));
            number += TICKS as u64;
            let start = Instant::now();
            for frame in &frames {
                path.answer(frame);
            }
            taken += start.elapsed();
        }
        best = best.min(taken.as_nanos() as f64 / (TICKS * BATCHES) as f64);
        let orders = path.orders - before;
        if orders != (TICKS * BATCHES) as u64 {
            let refused: Vec<_> = path.responder.counts().refused.nonzero().collect();
            return Err(format!("{orders} orders for {BATCHES} batches: {refused:?}").into());
        }
    }
    Ok(best)
}

/// All that a worker has between its two rings.
struct Path {
    responder: Responder<'static, Rules, Markets>,
    encoder: Encoder,
    template: Template,
    slot: [u8; 2048],
    orders: u64,
    now_ns: u64,
}

/// Where the order to a datagram goes.
struct Out<'a> {
    encoder: &'a Encoder,
    template: &'a Template,
    datagram: &'a Datagram,
    slot: &'a mut [u8],
    written: usize,
}

impl Path {
    fn new(config: &Config) -> Result<Path, Failure> {
        let keys = Keys::of(&config.settings);
        let words: Vec<AtomicU64> = (0..keys.words()).map(|_| AtomicU64::new(0)).collect();
        let memory = Memory::create(Vec::leak(words), &keys);
        let (rules, markets) = (Rules::new(config), Markets::new(config));
        let responder = Responder::new(&config.settings, memory, rules, markets)?;
        let Speaks::Orders(format) = &config.targets[0].speaks else {
            return Err("the target takes no plain orders".into());
        };
        let source = Ipv4Addr::new(10, 0, 0, 2).into();
        let (source_mac, destination_mac) = ([4; 6], [2; 6]);
        let hop = Hop { ifindex: 1, vlan: None, source_mac, destination_mac, source, mtu: 1500 };
        let address = config.targets[0].address;
        let subscriber =
            Subscriber { udp_checksum: UdpChecksum::Compute, ..Subscriber::new(address) };
        let template = Template::new(40_001, &subscriber, &hop).map_err(|why| why.to_string())?;
        let encoder = Encoder::new(format, config.scale);
        let (slot, orders, now_ns) = ([0; 2048], 0, BEGAN_NS);
        Ok(Path { responder, encoder, template, slot, orders, now_ns })
    }

    fn answer(&mut self, bytes: &[u8]) {
        self.now_ns += APART_NS;
        let frame = Frame::new(black_box(bytes), Timestamp::from_nanos(self.now_ns));
        let Ok(datagram) = Datagram::parse(LinkType::ETHERNET, &frame) else { return };
        if datagram.fault.is_some() || !datagram.is_intact(frame.bytes) {
            return;
        }
        let Path { responder, encoder, template, slot, .. } = self;
        let mut out = Out { encoder, template, datagram: &datagram, slot, written: 0 };
        let arrival = Arrival { received_ns: self.now_ns, now_ns: self.now_ns };
        responder.receive(0, datagram.payload(frame.bytes), arrival, &mut out);
        self.orders += u64::from(!black_box(&out.slot[..out.written]).is_empty());
    }
}

impl Outlet for Out<'_> {
    fn order(&mut self, order: &Order) -> Result<(), Reason> {
        let len = self.encoder.encode(order, self.template.begin(self.slot)?)?;
        self.written = self.template.finish(self.datagram, len, self.slot)?;
        Ok(())
    }

    fn decided(&mut self, decision: &Decision) {
        black_box(decision);
    }
}
