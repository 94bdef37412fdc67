//! Other rules and limits while it runs: no tick is lost, and none answered twice.
//!
//! In user space all of it changes with the desk held, between two batches. In mode `xdp`:
//!
//! 1. User space goes on with the new rules and limits, and refuses, as `not_in_kernel`, what
//!    either side may decide on meanwhile. The kernel's limits are the new ones from here on.
//! 2. The program of each interface is replaced as a whole, on the same state: each tick meets the
//!    old rules or the new ones. When that has failed, all is as it was before.
//! 3. No processor runs the old program any more, and user space decides on what is its own now.
//!
//! What was answered is written down in one place for both sides, so that a tick which both see is
//! answered once.

use super::args::RunArgs;
use super::audit::Audit;
use super::desk::{Desk, lock};
use super::settings::Settings;
use super::xdp::{Kernel, RuleSet};
use crate::exit::Failure;
use std::sync::{Arc, Mutex, PoisonError};
use tickwire_capture::af_xdp::StageHandle;
use tickwire_capture::bpf::Barrier;
use tickwire_control::respond::types::ReloadView;
use tickwire_respond::Rules;
use tickwire_respond::audit::Mark;
use tickwire_respond::config::Changes;
use tickwire_respond::xdp::Plan;

/// What a run was started with, and what of it is in force.
#[derive(Debug)]
pub struct Reloads {
    args: RunArgs,
    /// Where programs of rules are, each with the numbers of its feeds.
    stages: Vec<(StageHandle, Vec<u16>)>,
    in_force: Mutex<Arc<Settings>>,
    /// What rules were called since the start, by number. Held while rules are read again.
    names: Mutex<Vec<String>>,
}

impl Reloads {
    /// These settings are in force.
    pub fn new(
        settings: Arc<Settings>,
        args: RunArgs,
        stages: Vec<(StageHandle, Vec<u16>)>,
    ) -> Reloads {
        let names = Mutex::new(settings.rule_names.clone());
        Reloads { args, stages, in_force: Mutex::new(settings), names }
    }

    /// The settings in force.
    pub fn in_force(&self) -> Arc<Settings> {
        Arc::clone(&self.in_force.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the file again, and puts what it says in force.
    ///
    /// # Errors
    /// Why it cannot be, and what to do: nothing has changed then.
    pub fn reload(
        &self,
        desk: &Mutex<Desk>,
        kernel: Option<&Kernel>,
        audit: Option<&Audit>,
    ) -> Result<ReloadView, Failure> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.in_force();
        let new = Arc::new(old.again(&self.args, &mut names)?);
        // Before anybody decides by a new number.
        audit.map_or(Ok(()), |audit| audit.rename(&new.names()))?;
        match kernel {
            None => decide_by(desk, &new)?,
            Some(kernel) => self.replace(desk, kernel, &old, &new)?,
        }
        *self.in_force.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&new);
        lock(desk).mark(Mark::Reloaded);
        Ok(view(&old, &new))
    }

    /// The same with rules in the kernel.
    fn replace(
        &self,
        desk: &Mutex<Desk>,
        kernel: &Kernel,
        old: &Settings,
        new: &Settings,
    ) -> Result<(), Failure> {
        let (limit, room) =
            (new.config.settings.limits.orders_per_s, kernel.state().orders_per_s_max());
        if limit > room {
            return Err(Failure::Failed(format!(
                "orders_per_s = {limit} is more than the {room} that rules in the kernel have \
                 room for: restart tickwire"
            )));
        }
        let before = kernel.rules();
        let after = before.next(new)?;
        let either = old.plan.owned().iter().zip(new.plan.owned()).map(|(a, b)| *a || *b);
        let either: Vec<bool> = either.collect();
        prepare(desk, kernel, new, &either)?;
        if let Err(why) = self.place(kernel, &after, new) {
            let back = prepare(desk, kernel, old, old.plan.owned());
            return match back.and_then(|()| self.place(kernel, &before, old)) {
                Ok(()) => Err(why),
                Err(_) => Err(Failure::Failed(format!(
                    "{}; nor could the old rules be put back everywhere: restart tickwire",
                    in_words(why)
                ))),
            };
        }
        let mut desk = lock(desk);
        kernel.adopt(after);
        for instrument in gained(&new.plan, &old.plan) {
            for feed in new.plan.feeds() {
                desk.responder.market().forget(feed.number, instrument as u32);
            }
        }
        kernel.state().set_whole(&new.plan);
        desk.responder.share(kernel.state(), new.plan.owned());
        Ok(())
    }

    /// Puts the programs of `rules` where programs of rules are. No other runs when this returns.
    fn place(&self, kernel: &Kernel, rules: &RuleSet, settings: &Settings) -> Result<(), Failure> {
        let barrier = Barrier::new().map_err(Failure::failed)?;
        for (handle, feeds) in &self.stages {
            let stage = rules.stage(kernel, &settings.config, feeds)?;
            handle.set_stage(stage).map_err(Failure::failed)?;
        }
        barrier.wait().map_err(Failure::failed)
    }
}

/// User space decides by the rules and limits of `settings` from now on.
fn decide_by(desk: &Mutex<Desk>, settings: &Settings) -> Result<(), Failure> {
    let rules = Rules::new(&settings.config);
    let before = lock(desk).responder.reload(&settings.config.settings, rules);
    // What is freed here, the workers need not wait for.
    before.map(drop).map_err(Failure::failed)
}

/// The same, with the limits of the kernel; user space refuses what is `owned`.
fn prepare(
    desk: &Mutex<Desk>,
    kernel: &Kernel,
    settings: &Settings,
    owned: &[bool],
) -> Result<(), Failure> {
    let rules = Rules::new(&settings.config);
    let mut desk = lock(desk);
    let before = desk.responder.reload(&settings.config.settings, rules);
    let before = before.map_err(Failure::failed)?;
    let (state, settings) = (kernel.state(), &settings.config.settings);
    state.set_limits(&settings.limits, &settings.instruments);
    let decided = kernel.plan();
    let taken = || (0..owned.len()).filter(|&at| owned[at] && !decided.owns(at));
    desk.responder.share(state, owned);
    taken().for_each(|instrument| state.forget(instrument));
    kernel.take_over(&desk, taken());
    drop(desk);
    drop(before);
    Ok(())
}

/// Instruments that user space decides on by `new`, and the kernel did by `old`.
fn gained<'a>(new: &'a Plan, old: &'a Plan) -> impl Iterator<Item = usize> + 'a {
    (0..new.owned().len()).filter(|&at| old.owns(at) && !new.owns(at))
}

fn view(old: &Settings, new: &Settings) -> ReloadView {
    let changes = Changes::between(&old.config, &new.config);
    let Changes { added, changed, removed, reordered, limits, instruments, feeds } = changes;
    let name = |at: usize| {
        let instrument = new.config.instruments.get(at as u32);
        instrument.map(|instrument| instrument.name().to_owned()).unwrap_or_default()
    };
    let moved = |to: &Plan, from: &Plan| -> Vec<String> {
        if new.in_kernel { gained(to, from).map(name).collect() } else { Vec::new() }
    };
    ReloadView {
        rules_before: old.rules() as u64,
        rules: new.rules() as u64,
        rules_in_kernel: new.in_kernel.then(|| new.plan.kernel_rules() as u64),
        into_kernel: moved(&old.plan, &new.plan),
        out_of_kernel: moved(&new.plan, &old.plan),
        added,
        changed,
        removed,
        reordered,
        limits,
        instruments,
        feeds,
    }
}

fn in_words(failure: Failure) -> String {
    match failure {
        Failure::Usage(why) | Failure::Failed(why) => why,
    }
}
