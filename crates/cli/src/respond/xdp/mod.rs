//! Mode `xdp`: rules in the kernel, and what user space does beside them.
//!
//! * [`Kernel`]: the maps, and who decides on what.
//! * `rules`: a set of rules, the program of each interface as a stage before its AF_XDP sockets.
//! * `pin`: the words of a run, for the one after a SIGKILL.
//! * `watch`: the thread that takes the records in and renews the lease. `records`: the records.
//! * `ways`: where orders leave. `view`: what the control plane sees.
//!
//! The words of the kernel's map are the memory of the run: kill switch, positions and what was
//! answered are there once, for the program and for user space.

mod pin;
mod records;
mod rules;
mod view;
mod watch;
mod ways;

pub use pin::{Pin, this_boot};
pub use records::Records;
pub use rules::RuleSet;
pub use watch::Watch;
pub use ways::KernelWays;

use super::desk::Desk;
use super::settings::Settings;
use crate::exit::Failure;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tickwire_capture::PortError;
use tickwire_capture::bpf::{RingBuf, Words};
use tickwire_respond::Config;
use tickwire_respond::xdp::{Layout, Plan, State};

/// The ring of records: two seconds at a hundred thousand a second.
const RING_BYTES: usize = 16 << 20;

/// Rules in the kernel.
#[derive(Debug)]
pub struct Kernel {
    /// Those in force.
    rules: Mutex<RuleSet>,
    state: State<'static>,
    /// For as long as the process lives: workers and the control plane look at them to the end.
    words: &'static Words,
    /// The ring of records, whose reading end is with [`Watch`].
    ring: OwnedFd,
    lease: Duration,
    /// Instruments of the kernel of which orders of user space are open.
    open: Mutex<Vec<usize>>,
}

impl Kernel {
    /// Makes the maps for what of a configuration the kernel can do, and the reading end of its
    /// ring of records. Nothing trades yet.
    ///
    /// # Errors
    /// Missing rights.
    pub fn open(settings: &Settings) -> Result<(Kernel, RingBuf), Failure> {
        let (config, plan) = (&settings.config, &settings.plan);
        let words = Words::create("tickwire_state", Layout::of(config, plan).words);
        let words: &'static Words = Box::leak(Box::new(words.map_err(no_map)?));
        let state = State::create(words.words(), config, plan);
        state.set_stops_when_full(config.xdp.stop_when_ring_full);
        let rules = Mutex::new(RuleSet::first(settings)?);
        let records = RingBuf::create("tickwire_orders", RING_BYTES).map_err(no_map)?;
        let ring = records.as_fd().try_clone_to_owned().map_err(no_map)?;
        let lease = Duration::from_millis(config.xdp.lease_ms.into());
        let open = Mutex::default();
        Ok((Kernel { rules, state, words, ring, lease, open }, records))
    }

    /// The words that the programs share with us, and what they mean.
    pub fn state(&self) -> State<'static> {
        self.state
    }

    /// The map of these words.
    pub fn words(&self) -> &'static Words {
        self.words
    }

    /// The rules in force.
    pub fn rules(&self) -> RuleSet {
        alone(&self.rules).clone()
    }

    /// From now on these are in force: their programs are where the others were.
    pub fn adopt(&self, rules: RuleSet) {
        *alone(&self.rules) = rules;
    }

    /// Who decides on what.
    pub fn plan(&self) -> Arc<Plan> {
        Arc::clone(alone(&self.rules).plan())
    }

    /// How long the kernel trades without hearing of us.
    pub fn lease(&self) -> Duration {
        self.lease
    }

    /// Switches the kernel's part of responding on or off; in force when this returns.
    pub fn set_enabled(&self, enabled: bool) {
        self.state.set_enabled(enabled);
        self.state.settle();
    }

    /// Tells the kernel what orders of user space may still do to some instruments, which it
    /// decides on from now on.
    pub fn take_over(&self, desk: &Desk, instruments: impl Iterator<Item = usize>) {
        alone(&self.open).extend(instruments);
        self.follow_open(desk);
    }

    /// The same again, for as long as such orders are open.
    pub fn follow_open(&self, desk: &Desk) {
        alone(&self.open).retain(|&instrument| {
            let position = desk.responder.position(instrument as u32);
            let (buy, sell) = (position.open_buy, position.open_sell);
            self.state.set_open(instrument, buy, sell);
            (buy, sell) != (0, 0)
        });
    }
}

/// Nothing panics half-way through a change of these.
fn alone<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

fn no_map(error: std::io::Error) -> Failure {
    Failure::failed(PortError::system(
        "create an eBPF map",
        error,
        "mode xdp needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON: run as root, or use --mode af_xdp",
    ))
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
