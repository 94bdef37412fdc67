//! The assembler with what all parts of the program use: words, the stack, refusals.
//!
//! R6 is the context, R7 the instrument, R8 the feed, R9 the packet, as long as it is not made an
//! order. R0 to R5 are anybody's. What is needed for longer lies on the stack.

use super::layout::{Layout, RulesLayout, head};
use std::os::fd::RawFd;
use tickwire_ebpf::{Alu, Assembler, Cond, Label, Reg, Reg::*, Size};
use tickwire_frame::Reason;

/// Places on the stack, each of 8 bytes.
#[derive(Clone, Copy)]
#[repr(i16)]
pub(super) enum Slot {
    /// CLOCK_MONOTONIC when it began.
    Began = 1,
    /// Nanoseconds since 1970.
    Now,
    /// The number of the instrument, below the count of instruments.
    Instrument,
    /// Its class.
    Class,
    /// Its words in the memory.
    Memory,
    /// What the tick says: price in units of the scale, size, time stamp, contents as one number.
    Price,
    Size,
    Stamp,
    Content,
    /// The market before the tick.
    PriceBefore,
    SizeBefore,
    /// 1 when the feed was not silent, else 0.
    Fresh,
    /// Its bytes: symbol; then price and size; then time.
    Symbol,
    /// Who sent the tick: address, port, as they lie in the packet.
    Source,
    /// The identification of its packet.
    Id,
    /// What the rule wants.
    Rule,
    Target,
    TargetNumber,
    CoolDownNs,
    /// Where the cool-downs of the rule begin.
    CoolDown,
    Side,
    Quantity,
    OrderPrice,
    /// The words of the target.
    Route,
    /// The number of the order.
    Number,
    /// 0, or the reason of a refusal plus 1.
    Outcome,
    /// The words of a record, the first one last.
    RecordEnd,
    /// The registers of the rule.
    Registers = Slot::RecordEnd as i16 + super::record::WORDS as i16,
    End = Slot::Registers as i16 + crate::rule::REGISTERS as i16,
}

const _: () = assert!((Slot::End as i16) * 8 <= 512);

impl Slot {
    /// From the frame pointer, in bytes.
    pub fn offset(self) -> i16 {
        -8 * self as i16
    }

    /// Of a register of the rule.
    pub fn register(number: u8) -> i16 {
        Slot::Registers.offset() - 8 * i16::from(number)
    }
}

/// The program that is being written.
pub(super) struct Code<'a> {
    pub asm: &'a mut Assembler,
    /// The map of the words that outlive a change of the rules, and of those that do not.
    pub state: RawFd,
    pub rules: RawFd,
    /// The ring of records.
    pub records: RawFd,
    pub layout: Layout,
    pub rules_layout: RulesLayout,
    /// Tells these rules from those before them.
    pub generation: i32,
    /// Goes on in user space.
    pub next: Label,
    /// With the lock held: the rule is refused by what stands in [`Slot::Outcome`].
    pub refused: Label,
}

impl Code<'_> {
    /// `reg = the address of a word that outlives the rules`.
    pub fn state_word(&mut self, reg: Reg, word: usize) {
        self.asm.load_map_value(reg, self.state, 8 * word as u32);
    }

    /// `reg = the address of a word of the rules`.
    pub fn rules_word(&mut self, reg: Reg, word: usize) {
        self.asm.load_map_value(reg, self.rules, 8 * word as u32);
    }

    /// `reg = a word of the head`.
    pub fn head(&mut self, reg: Reg, word: usize) {
        self.state_word(reg, 0);
        self.word(reg, reg, word);
    }

    /// `reg = base[word]`.
    pub fn word(&mut self, reg: Reg, base: Reg, word: usize) {
        self.asm.load(Size::U64, reg, base, 8 * word as i16);
    }

    /// `base[word] = reg`.
    pub fn set_word(&mut self, base: Reg, word: usize, reg: Reg) {
        self.asm.store(Size::U64, base, 8 * word as i16, reg);
    }

    /// `base[word] += 1`, with the lock held. Uses R5.
    pub fn count(&mut self, base: Reg, word: usize) {
        self.word(R5, base, word);
        self.asm.alu(Alu::Add, R5, 1);
        self.set_word(base, word, R5);
    }

    /// Counts in the head. Uses R4 and R5.
    pub fn count_head(&mut self, word: usize) {
        self.state_word(R4, 0);
        self.count(R4, word);
    }

    /// `reg = what lies on the stack`.
    pub fn get(&mut self, reg: Reg, slot: Slot) {
        self.asm.load(Size::U64, reg, R10, slot.offset());
    }

    /// Puts it on the stack.
    pub fn put(&mut self, slot: Slot, reg: Reg) {
        self.asm.store(Size::U64, R10, slot.offset(), reg);
    }

    /// `reg = value`, in as few words as it needs.
    pub fn constant(&mut self, reg: Reg, value: i64) {
        match i32::try_from(value) {
            Ok(small) => self.asm.mov(reg, small),
            Err(_) => self.asm.load_imm64(reg, value as u64),
        }
    }

    /// The rule is refused, for this reason.
    pub fn refuse(&mut self, reason: Reason) {
        self.asm.store(Size::U64, R10, Slot::Outcome.offset(), reason as i32 + 1);
        self.asm.jump(self.refused);
    }

    /// Refused unless `dst cond operand`.
    pub fn require(
        &mut self,
        cond: Cond,
        dst: Reg,
        operand: impl Into<tickwire_ebpf::Operand>,
        reason: Reason,
    ) {
        let holds = self.asm.label();
        self.asm.jump_if(cond, dst, operand, holds);
        self.refuse(reason);
        self.asm.bind(holds);
    }

    /// Takes the lock, or goes to `busy`: another processor decides for longer than any decision
    /// takes. Uses R0 to R3.
    pub fn lock(&mut self, busy: Label) {
        let [again, taken] = [(); 2].map(|()| self.asm.label());
        self.state_word(R1, head::LOCK);
        self.asm.mov(R2, TRIES_MAX);
        self.asm.bind(again);
        self.asm.mov(R0, 0);
        self.asm.mov(R3, 1);
        self.asm.atomic_compare_exchange(R1, 0, R3);
        self.asm.jump_if(Cond::Eq, R0, 0, taken);
        self.asm.alu(Alu::Sub, R2, 1);
        self.asm.jump_if(Cond::Ne, R2, 0, again);
        self.asm.jump(busy);
        self.asm.bind(taken);
    }

    /// Gives it back. Uses R1 and R2.
    pub fn unlock(&mut self) {
        self.state_word(R1, head::LOCK);
        self.asm.mov(R2, 0);
        // A full barrier: what was stored before is seen by whoever takes it next.
        self.asm.atomic_exchange(R1, 0, R2);
    }
}

/// How often a processor looks whether another has decided: some microseconds.
const TRIES_MAX: i32 = 256;
