//! Rules in the kernel: the same rules, checks and orders, as a program that the network card's
//! driver runs for each frame (XDP), before anything else of the system sees it.
//!
//! ```text
//! frame ─▶ tick of a feed? ─no─▶ user space
//!            └─yes─▶ lock ─▶ rules ─▶ checks ─▶ the frame becomes the order ─▶ out
//!                                       └────────── record of each intent ─▶ ring ─▶ user space
//! ```
//!
//! * [`Plan`]: which rules can run there, and why not the others.
//! * [`State`]: the words that the program and user space share: limits, lease, ways to targets,
//!   and the whole [`Memory`](crate::Memory), so that both have one kill switch, one position.
//! * [`KernelProgram`]: the instructions.
//! * [`Record`]: what it says of each tick that a rule wanted an order for.
//!
//! One tick is decided on at a time, however many processors there are: a lock is held from the
//! rules to the order, as user space holds one for a batch. The program trades only while user
//! space [renews](State::renew) its lease. It reads the tick of the NanoNet formats in IPv4
//! datagrams without options; all other frames go on to user space as if it was not there.
//!
//! Pure, as all of this crate: who owns the maps loads the program.

mod checks;
mod classes;
mod code;
mod commit;
mod frame;
mod layout;
mod order;
mod plan;
pub mod record;
mod rules;
mod state;

pub use layout::{Layout, RulesLayout};
pub use plan::{
    COLLAR_PPM_MAX, KernelFeed, KernelRule, KernelTarget, ORDER_BYTES_MAX, Plan, STEPS_MAX,
    WORDS_MAX, Why,
};
pub use record::Record;
pub(crate) use state::Locked;
pub use state::{KernelCounts, Route, State, fill_rules};

use crate::config::Config;
use crate::memory::{KILL_SWITCH, Keys};
use crate::order::Scale;
use classes::Classes;
use code::{Code, Slot};
use layout::head;
use std::os::fd::RawFd;
use tickwire_ebpf::{Alu, AsmError, Assembler, Cond, Helper, Label, Reg::*, XdpAction};

/// The maps that a program works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Maps {
    /// An array of one value: the words of the [`State`].
    pub state: RawFd,
    /// An array of one value: the words of [`fill_rules`].
    pub rules: RawFd,
    /// A ring buffer of [`Record`]s.
    pub records: RawFd,
}

/// A program for the feeds of one interface.
#[derive(Clone, Debug)]
pub struct KernelProgram {
    plan: Plan,
    classes: Classes,
    layout: Layout,
    rules_layout: RulesLayout,
    scale: Scale,
    /// Places of the feeds in the plan.
    feeds: Vec<usize>,
    /// Slots that are looked at to find a symbol.
    looked_at: usize,
    /// The first word of the memory's instruments.
    memory_at: usize,
    maps: Maps,
    generation: i32,
}

impl KernelProgram {
    /// For the `feeds` of a plan, by their places there, on the words of a [`State`] with this
    /// layout. `generation`, above 0, tells these rules from those that ran before them on the same
    /// state.
    pub fn new(
        config: &Config,
        plan: &Plan,
        layout: Layout,
        feeds: Vec<usize>,
        maps: Maps,
        generation: u16,
    ) -> KernelProgram {
        KernelProgram {
            plan: plan.clone(),
            classes: Classes::of(config, plan),
            layout,
            rules_layout: RulesLayout::of(config, plan),
            scale: config.scale,
            feeds,
            looked_at: state::slots_looked_at(config, layout.slots),
            memory_at: layout.memory + Keys::of(&config.settings).instruments_at(),
            maps,
            generation: generation.into(),
        }
    }

    /// Writes it, with the context in R6. It ends with a verdict, or at `next` with the frame as it
    /// was.
    ///
    /// # Errors
    /// When it is too long for its jumps, which [`STEPS_MAX`] keeps it from.
    pub fn emit(&self, asm: &mut Assembler, next: Label) -> Result<(), AsmError> {
        let feeds: Vec<_> = self.feeds.iter().map(|&at| (at, &self.plan.feeds()[at])).collect();
        if feeds.is_empty() || self.plan.programs().is_empty() {
            // Nothing would ever be ordered, and the verifier takes no code that nothing leads to.
            asm.jump(next);
            return Ok(());
        }
        let [go_on, decide, refused, fired, silent, busy] = [(); 6].map(|()| asm.label());
        let Maps { state, rules, records } = self.maps;
        let mut code = Code {
            asm,
            state,
            rules,
            records,
            layout: self.layout,
            rules_layout: self.rules_layout,
            generation: self.generation,
            next: go_on,
            refused,
        };
        let code = &mut code;
        // Both protocols have two decimals.
        let factor = 10_i64.pow(self.scale.0.saturating_sub(2));
        frame::find_feed(code, &feeds, factor);
        look_at_the_clock(code);
        frame::check_sum(code);
        frame::find_instrument(code, self.looked_at, self.memory_at);
        code.lock(busy);
        code.asm.jump(decide);

        // Before the rules, which may be many: conditional jumps reach 32 767 instructions.
        code.asm.bind(busy);
        code.state_word(R1, 0);
        code.asm.mov(R2, 1);
        code.asm.atomic_add(R1, 8 * head::BUSY as i16, R2);
        code.asm.bind(go_on);
        code.asm.jump(next);

        code.asm.bind(decide);
        checks::note_packet(code);
        self.apply(code);
        rules::ask(code, &self.plan, &self.classes, [fired, silent]);

        code.asm.bind(silent);
        code.unlock();
        code.asm.exit_with(XdpAction::Drop);

        code.asm.bind(fired);
        code.count_head(head::INTENTS);
        frame::content(code);
        checks::emit(code, self.layout.memory + KILL_SWITCH);
        checks::check_target(code, self.plan.targets(), self.scale);
        order::write(code, self.plan.targets(), self.scale);
        commit::send(code);
        code.asm.bind(refused);
        commit::refused(code);
        Ok(())
    }

    /// The tick is the last trade of the instrument on its feed; what was before stays known.
    fn apply(&self, code: &mut Code<'_>) {
        let right = code.asm.label();
        code.word(R1, R8, layout::feed::PLACE);
        code.asm.jump_if(Cond::Lt, R1, self.plan.feeds().len() as i32, right);
        // It never is; the verifier does not know.
        code.asm.mov(R1, 0);
        code.asm.bind(right);
        code.asm.alu(Alu::Mul, R1, self.layout.instruments_count as i32);
        code.get(R2, Slot::Instrument);
        code.asm.alu(Alu::Add, R1, R2);
        code.asm.alu(Alu::Mul, R1, 8 * layout::LEVEL1_WORDS as i32);
        code.state_word(R2, self.layout.level1(0, 0));
        code.asm.alu(Alu::Add, R2, R1);
        for (word, now, before) in [
            (layout::level1::LAST, Slot::Price, Slot::PriceBefore),
            (layout::level1::LAST_SIZE, Slot::Size, Slot::SizeBefore),
        ] {
            code.word(R1, R2, word);
            code.put(before, R1);
            code.get(R1, now);
            code.set_word(R2, word, R1);
        }
    }
}

/// The time, by both clocks. Uses R0 and R1.
fn look_at_the_clock(code: &mut Code<'_>) {
    code.asm.call(Helper::KtimeGetNs);
    code.put(Slot::Began, R0);
    code.head(R1, head::CLOCK_NS);
    code.asm.alu(Alu::Add, R0, R1);
    code.put(Slot::Now, R0);
}
