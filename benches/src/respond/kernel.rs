//! The rules of a configuration in the kernel, as mode `xdp` loads them, without its command.

use crate::live::Failure;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{SystemTime, UNIX_EPOCH};
use tickwire_capture::bpf::asm::{Assembler, Reg, XdpAction};
use tickwire_capture::bpf::{AttachMode, Program, RingBuf, Words, XdpLink};
use tickwire_lab::Lab;
use tickwire_respond::Config;
use tickwire_respond::xdp::{
    KernelProgram, Layout, Maps, Plan, Record, Route, RulesLayout, State, fill_rules,
};

/// Longer than any bench.
const LEASE_NS: u64 = 3_600_000_000_000;
/// Room for some 200 000 records.
const RING_BYTES: usize = 16 << 20;

/// A program that may trade, and its maps.
pub struct Kernel {
    pub program: Program,
    /// How many instructions it has.
    pub instructions: usize,
    config: Config,
    plan: Plan,
    words: Words,
    _rules: Words,
    ring: RingBuf,
}

impl Kernel {
    /// Loads all rules of `config`, whose orders all leave by `route`.
    ///
    /// # Errors
    /// When not all of them can run in the kernel, or it refuses them.
    pub fn load(config: Config, route: &Route) -> Result<Kernel, Failure> {
        let plan = Plan::new(&config);
        if let Some(why) = (0..config.rules.len()).find_map(|rule| plan.why(rule)) {
            return Err(format!("a rule does not run in the kernel: {why}").into());
        }
        let words = Words::create("tickwire_state", Layout::of(&config, &plan).words)?;
        let rules = Words::create("tickwire_rules", RulesLayout::of(&config, &plan).words)?;
        fill_rules(rules.words(), &config, &plan);
        let ring = RingBuf::create("tickwire_orders", RING_BYTES)?;
        let state = State::create(words.words(), &config, &plan);
        let (wall_ns, monotonic_ns) = (wall_ns(), monotonic_ns());
        state.memory().begin(wall_ns, false);
        state.begin();
        state.renew(monotonic_ns + LEASE_NS, wall_ns - monotonic_ns);
        state.set_enabled(true);
        (0..plan.targets().len()).for_each(|target| state.set_route(target, Ok(route)));
        let maps = Maps {
            state: words.as_fd().as_raw_fd(),
            rules: rules.as_fd().as_raw_fd(),
            records: ring.as_fd().as_raw_fd(),
        };
        let feeds = (0..plan.feeds().len()).collect();
        let mut asm = Assembler::new();
        let next = asm.label();
        asm.mov(Reg::R6, Reg::R1);
        KernelProgram::new(&config, &plan, *state.layout(), feeds, maps, 1).emit(&mut asm, next)?;
        asm.bind(next);
        asm.exit_with(XdpAction::Pass);
        let code = asm.finish()?;
        let program = Program::load_xdp("tickwire_rules", &code)?;
        let instructions = code.len();
        Ok(Kernel { program, instructions, config, plan, words, _rules: rules, ring })
    }

    /// Attaches it to the right end of a lab.
    pub fn attach(&self, lab: &Lab) -> Result<XdpLink, Failure> {
        let index = lab.right.index()?;
        Ok(lab.right.run(|| XdpLink::attach(&self.program, index, AttachMode::Native))?)
    }

    /// What it shares with user space.
    pub fn state(&self) -> Result<State<'_>, Failure> {
        let state = State::attach(self.words.words(), &self.config, &self.plan);
        Ok(state.map_err(|error| error.to_string())?)
    }

    /// Hands on the records since this was called last.
    pub fn drain(&mut self, mut each: impl FnMut(Record)) {
        self.ring.drain(usize::MAX, |bytes| {
            if let Some(record) = Record::read(bytes) {
                each(record);
            }
        });
    }
}

/// Nanoseconds since 1970.
pub fn wall_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

fn monotonic_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
