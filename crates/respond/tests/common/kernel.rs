//! A program of rules in the kernel, run by BPF_PROG_TEST_RUN: no interface, no traffic.

use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tickwire_capture::bpf::asm::{Assembler, Reg, XdpAction};
use tickwire_capture::bpf::{Program, RingBuf, TestRun, Words};
use tickwire_market::Message;
use tickwire_respond::xdp::{
    KernelProgram, Layout, Maps, Plan, Record, Route, RulesLayout, State, fill_rules,
};
use tickwire_respond::{Config, Intent, Level1, Market, Position, Responder, Strategy, Tick};

/// How long the lease of a test is: longer than any.
const LEASE: Duration = Duration::from_secs(3_600);
/// Bytes of the ring.
const RING_BYTES: usize = 1 << 20;

/// A program and its maps.
pub struct Kernel {
    pub config: Config,
    pub plan: Plan,
    pub words: Words,
    pub rules: Words,
    pub ring: RefCell<RingBuf>,
    pub program: Program,
}

/// Both clocks of the kernel: since 1970, and monotonic, in nanoseconds.
pub fn clocks() -> (u64, u64) {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let monotonic = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let monotonic = monotonic.tv_sec as u64 * 1_000_000_000 + monotonic.tv_nsec as u64;
    (wall.as_nanos() as u64, monotonic)
}

/// The way to all targets of a test.
pub fn route(plan: &Plan, target: usize) -> Route {
    Route {
        ifindex: 1,
        sends_back: true,
        destination_mac: [2, 0, 0, 0, 0, 2],
        source_mac: [2, 0, 0, 0, 0, 1],
        source: SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 40_000),
        destination: plan.targets()[target].address,
        ttl: 64,
        mtu: 1500,
    }
}

/// Nobody is asked, and nothing is known: only positions are.
pub struct Nobody;

impl Strategy for Nobody {
    fn decide(&mut self, _: &Tick<'_>) -> Option<Intent> {
        None
    }
}

impl Market for Nobody {
    fn apply(&mut self, _: u16, _: &Message<'_>) -> Option<u32> {
        None
    }

    fn level1(&self, _: u16, _: u32) -> Option<&Level1> {
        None
    }

    fn lost(&mut self, _: u16) {}
}

impl Kernel {
    /// Loads it, ready to trade. `None`, loudly, without the rights for it.
    pub fn new(config: Config, test: &str) -> Option<Kernel> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: {test}: loading eBPF programs needs root");
            return None;
        }
        let plan = Plan::new(&config);
        let words = Words::create("tickwire_test", Layout::of(&config, &plan).words).unwrap();
        let state = State::create(words.words(), &config, &plan);
        let rules = Words::create("tickwire_rules", RulesLayout::of(&config, &plan).words).unwrap();
        fill_rules(rules.words(), &config, &plan);
        let ring = RingBuf::create("tickwire_ring", RING_BYTES).unwrap();
        let (wall_ns, monotonic_ns) = clocks();
        state.memory().begin(wall_ns, false);
        state.begin();
        state.renew(monotonic_ns + LEASE.as_nanos() as u64, wall_ns - monotonic_ns);
        state.set_enabled(true);
        for target in 0..plan.targets().len() {
            state.set_route(target, Ok(&route(&plan, target)));
        }
        let program = load(&config, &plan, [&words, &rules], &ring, 1);
        let ring = RefCell::new(ring);
        Some(Kernel { config, plan, words, rules, ring, program })
    }

    /// What the program shares.
    pub fn state(&self) -> State<'_> {
        State::attach(self.words.words(), &self.config, &self.plan).expect("its own words")
    }

    /// The position of an instrument, as the program and user space know it.
    pub fn position(&self, instrument: u32) -> Position {
        let memory = self.state().memory();
        let known = Responder::new(&self.config.settings, memory, Nobody, Nobody);
        known.expect("sound settings").position(instrument)
    }

    /// Runs it for a frame.
    pub fn run(&self, frame: &[u8]) -> (u32, Vec<u8>) {
        let TestRun { verdict, packet, .. } = self.program.test_run(frame, 1).unwrap();
        (verdict, packet)
    }

    /// The records since this was asked last.
    pub fn records(&self) -> Vec<Record> {
        let mut records = Vec::new();
        let each = |bytes: &[u8]| records.push(Record::read(bytes).expect("a record"));
        self.ring.borrow_mut().drain(usize::MAX, each);
        records
    }
}

/// Loads the program of all feeds of a plan; what it does not decide on, it passes.
pub fn load(
    config: &Config,
    plan: &Plan,
    [words, rules]: [&Words; 2],
    ring: &RingBuf,
    generation: u16,
) -> Program {
    let maps = Maps {
        state: words.as_fd().as_raw_fd(),
        rules: rules.as_fd().as_raw_fd(),
        records: ring.as_fd().as_raw_fd(),
    };
    let feeds = (0..plan.feeds().len()).collect();
    let layout = Layout::of(config, plan);
    let program = KernelProgram::new(config, plan, layout, feeds, maps, generation);
    let mut asm = Assembler::new();
    asm.mov(Reg::R6, Reg::R1);
    let next = asm.label();
    program.emit(&mut asm, next).expect("a program that fits");
    asm.bind(next);
    asm.exit_with(XdpAction::Pass);
    let code = asm.finish().expect("a program whose jumps reach");
    Program::load_xdp("tickwire_test", &code).unwrap_or_else(|error| panic!("{error}"))
}

/// A datagram in an Ethernet frame.
pub fn frame(source: SocketAddrV4, destination: SocketAddrV4, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![1, 0, 0x5e, 1, 1, 1, 2, 0, 0, 0, 0, 9, 8, 0, 0x45, 0];
    frame.extend((28 + payload.len() as u16).to_be_bytes());
    frame.extend([0x12, 0x34, 0x40, 0, 64, 17, 0, 0]);
    frame.extend(source.ip().octets());
    frame.extend(destination.ip().octets());
    let sum = !ones(&frame[14..34], 0);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    frame.extend(source.port().to_be_bytes());
    frame.extend(destination.port().to_be_bytes());
    frame.extend((8 + payload.len() as u16).to_be_bytes());
    frame.extend([0, 0]);
    frame.extend(payload);
    let sum = udp_sum(&frame);
    frame[40..42].copy_from_slice(&sum.to_be_bytes());
    frame
}

/// The UDP checksum of a frame, whatever stands there as one; never 0, which would mean that there
/// is none (RFC 768).
pub fn udp_sum(frame: &[u8]) -> u16 {
    let mut datagram = frame[34..].to_vec();
    datagram[6..8].fill(0);
    let pseudo = u32::from(ones(&frame[26..34], 17)) + (frame.len() as u32 - 34);
    match !ones(&datagram, pseudo) {
        0 => 0xffff,
        sum => sum,
    }
}

/// The ones' complement sum (RFC 1071), word by word.
pub fn ones(bytes: &[u8], start: u32) -> u16 {
    let mut sum = start;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}
