//! A set of rules in the kernel: what tells it from the set before, on the same state.

use super::{Kernel, no_map};
use crate::exit::Failure;
use crate::respond::settings::Settings;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use tickwire_capture::af_xdp::Stage;
use tickwire_capture::bpf::Words;
use tickwire_capture::bpf::asm::{AsmError, Assembler, Label};
use tickwire_respond::Config;
use tickwire_respond::xdp::{KernelProgram, Maps, Plan, RulesLayout, fill_rules};

/// Of the rules that a run begins with.
const GENERATION_FIRST: u16 = 1;

/// Rules for the kernel, and the words that are theirs alone. A copy is the same set.
#[derive(Clone, Debug)]
pub struct RuleSet {
    plan: Arc<Plan>,
    words: Arc<Words>,
    generation: u16,
}

impl RuleSet {
    /// The one that a run begins with.
    ///
    /// # Errors
    /// Missing rights.
    pub fn first(settings: &Settings) -> Result<RuleSet, Failure> {
        RuleSet::new(settings, GENERATION_FIRST)
    }

    /// One that can take the place of this one.
    ///
    /// # Errors
    /// Missing rights, or that there were as many as can be told from each other.
    pub fn next(&self, settings: &Settings) -> Result<RuleSet, Failure> {
        let generation = self.generation.checked_add(1).ok_or_else(|| {
            let count = u16::MAX;
            Failure::Failed(format!("rules were read again {count} times: restart tickwire"))
        })?;
        RuleSet::new(settings, generation)
    }

    fn new(settings: &Settings, generation: u16) -> Result<RuleSet, Failure> {
        let (config, plan) = (&settings.config, &settings.plan);
        let words = Words::create("tickwire_rules", RulesLayout::of(config, plan).words);
        let words = Arc::new(words.map_err(no_map)?);
        fill_rules(words.words(), config, plan);
        Ok(RuleSet { plan: Arc::new(plan.clone()), words, generation })
    }

    /// Who decides on what.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// The rules for the feeds, by their numbers, of one interface; `None` when there is none.
    ///
    /// # Errors
    /// What the system said.
    pub fn stage(
        &self,
        kernel: &Kernel,
        config: &Config,
        feeds: &[u16],
    ) -> Result<Option<Arc<dyn Stage>>, Failure> {
        let has_rules = |place: usize| self.plan.programs().iter().any(|rule| rule.feed == place);
        let places = self.plan.feeds().iter().enumerate();
        let places = places.filter(|&(place, of)| feeds.contains(&of.number) && has_rules(place));
        let places: Vec<usize> = places.map(|(place, _)| place).collect();
        if places.is_empty() {
            return Ok(None);
        }
        let ring = kernel.ring.try_clone().map_err(Failure::failed)?;
        let words = Arc::clone(&self.words);
        let maps = Maps {
            state: kernel.words.as_fd().as_raw_fd(),
            rules: words.as_fd().as_raw_fd(),
            records: ring.as_raw_fd(),
        };
        let layout = *kernel.state.layout();
        let program = KernelProgram::new(config, &self.plan, layout, places, maps, self.generation);
        Ok(Some(Arc::new(RulesStage { program, _words: words, _ring: ring })))
    }
}

/// The program of one interface. The maps that it names stay open with it.
#[derive(Debug)]
struct RulesStage {
    program: KernelProgram,
    _words: Arc<Words>,
    _ring: OwnedFd,
}

impl Stage for RulesStage {
    fn emit(&self, asm: &mut Assembler, next: Label) -> Result<(), AsmError> {
        self.program.emit(asm, next)
    }
}
