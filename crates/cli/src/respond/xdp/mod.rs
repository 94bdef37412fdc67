//! Mode `xdp`: rules in the kernel, and what user space does beside them.
//!
//! * [`Kernel`]: the maps, and the program of each interface as a stage before its AF_XDP sockets.
//! * `pin`: the words of a run, for the one after a SIGKILL.
//! * `watch`: the thread that takes the records in and renews the lease. `records`: the records.
//! * `ways`: where orders leave. `view`: what the control plane sees.
//!
//! The words of the kernel's map are the memory of the run: kill switch, positions and what was
//! answered are there once, for the program and for user space.

mod pin;
mod records;
mod view;
mod watch;
mod ways;

pub use pin::{Pin, this_boot};
pub use records::Records;
pub use watch::Watch;
pub use ways::KernelWays;

use super::settings::Settings;
use crate::exit::Failure;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;
use tickwire_capture::PortError;
use tickwire_capture::af_xdp::Stage;
use tickwire_capture::bpf::asm::{AsmError, Assembler, Label};
use tickwire_capture::bpf::{RingBuf, Words};
use tickwire_respond::Config;
use tickwire_respond::xdp::{KernelProgram, Layout, Maps, Plan, RulesLayout, State, fill_rules};

/// The ring of records: two seconds at a hundred thousand a second.
const RING_BYTES: usize = 16 << 20;
/// Of the rules that a run begins with.
const GENERATION_FIRST: u16 = 1;

/// Rules in the kernel.
#[derive(Debug)]
pub struct Kernel {
    plan: Plan,
    state: State<'static>,
    /// For as long as the process lives: workers and the control plane look at them to the end.
    words: &'static Words,
    rules: Arc<Words>,
    /// The ring of records, whose reading end is with [`Watch`].
    ring: OwnedFd,
    lease: Duration,
    rules_count: usize,
}

impl Kernel {
    /// Makes the maps for what of a configuration the kernel can do, and the reading end of its
    /// ring of records. Nothing trades yet.
    ///
    /// # Errors
    /// Missing rights.
    pub fn open(settings: &Settings) -> Result<(Kernel, RingBuf), Failure> {
        let (config, plan) = (&settings.config, settings.plan.clone());
        let failed = |error: std::io::Error| {
            Failure::failed(PortError::system(
                "create an eBPF map",
                error,
                "mode xdp needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON: run as root, or use \
                 --mode af_xdp",
            ))
        };
        let words = Words::create("tickwire_state", Layout::of(config, &plan).words);
        let words: &'static Words = Box::leak(Box::new(words.map_err(failed)?));
        let state = State::create(words.words(), config, &plan);
        state.set_stops_when_full(config.xdp.stop_when_ring_full);
        let rules = Words::create("tickwire_rules", RulesLayout::of(config, &plan).words);
        let rules = Arc::new(rules.map_err(failed)?);
        fill_rules(rules.words(), config, &plan);
        let records = RingBuf::create("tickwire_orders", RING_BYTES).map_err(failed)?;
        let ring = records.as_fd().try_clone_to_owned().map_err(failed)?;
        let lease = Duration::from_millis(config.xdp.lease_ms.into());
        let rules_count = config.rules.iter().filter(|rule| rule.enabled).count();
        Ok((Kernel { plan, state, words, rules, ring, lease, rules_count }, records))
    }

    /// The words that the programs share with us, and what they mean.
    pub fn state(&self) -> State<'static> {
        self.state
    }

    /// The map of these words.
    pub fn words(&self) -> &'static Words {
        self.words
    }

    /// Who decides on what.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// How long the kernel trades without hearing of us.
    pub fn lease(&self) -> Duration {
        self.lease
    }

    /// The rules for the feeds, by their numbers, of one interface; `None` when there is none.
    ///
    /// # Errors
    /// What the system said.
    pub fn stage(&self, config: &Config, feeds: &[u16]) -> Result<Option<Arc<dyn Stage>>, Failure> {
        let has_rules = |place: usize| self.plan.programs().iter().any(|rule| rule.feed == place);
        let places = self.plan.feeds().iter().enumerate();
        let places = places.filter(|&(place, of)| feeds.contains(&of.number) && has_rules(place));
        let places: Vec<usize> = places.map(|(place, _)| place).collect();
        if places.is_empty() {
            return Ok(None);
        }
        let ring = self.ring.try_clone().map_err(Failure::failed)?;
        let rules = Arc::clone(&self.rules);
        let maps = Maps {
            state: self.words.as_fd().as_raw_fd(),
            rules: rules.as_fd().as_raw_fd(),
            records: ring.as_raw_fd(),
        };
        let program = KernelProgram::new(config, &self.plan, places, maps, GENERATION_FIRST);
        Ok(Some(Arc::new(RulesStage { program, _rules: rules, _ring: ring })))
    }

    /// Switches the kernel's part of responding on or off; in force when this returns.
    pub fn set_enabled(&self, enabled: bool) {
        self.state.set_enabled(enabled);
        self.state.settle();
    }
}

/// The kernel is to do something.
///
/// # Errors
/// That it can do nothing of the configuration, with the reason of each rule.
pub fn require_rules(config: &Config, plan: &Plan) -> Result<(), Failure> {
    if plan.kernel_rules() > 0 {
        return Ok(());
    }
    let whys = config.rules.iter().enumerate();
    let whys: Vec<String> = whys
        .filter_map(|(number, rule)| Some(format!("rule {:?}: {}", rule.name, plan.why(number)?)))
        .collect();
    Err(Failure::Failed(format!(
        "the kernel can run none of these rules; use --mode af_xdp, or change them: {}",
        whys.join("; ")
    )))
}

/// The program of one interface. The maps that it names stay open with it.
#[derive(Debug)]
struct RulesStage {
    program: KernelProgram,
    _rules: Arc<Words>,
    _ring: OwnedFd,
}

impl Stage for RulesStage {
    fn emit(&self, asm: &mut Assembler, next: Label) -> Result<(), AsmError> {
        self.program.emit(asm, next)
    }
}
