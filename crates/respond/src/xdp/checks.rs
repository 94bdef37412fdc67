//! The checks before every order, as instructions: the same, in the same order, as in
//! [`Checks::decide`](crate::Checks::decide).

use super::code::{Code, Slot};
use super::layout::{TARGET_WORDS, feed, head, instrument, target};
use super::plan::KernelTarget;
use crate::memory;
use crate::order::{Scale, Side};
use crate::triggers::AHEAD_NS_MAX;
use tickwire_ebpf::{Alu, Cond, Label, Reg::*};
use tickwire_frame::Reason;

const S_NS: i32 = 1_000_000_000;
const DAY_NS: i64 = 86_400 * S_NS as i64;
const MILLION: i32 = 1_000_000;
/// Of the memory of an instrument, from here on: what was answered at its time stamp.
const CONTENTS: std::ops::Range<usize> = 1..memory::MARK_WORDS;

/// Notes that a packet of the feed came, and whether it was silent for too long. Uses R1 to R3.
pub(super) fn note_packet(code: &mut Code<'_>) {
    let [fresh, later] = [(); 2].map(|()| code.asm.label());
    code.get(R1, Slot::Now);
    code.word(R2, R8, feed::LAST_NS);
    code.asm.store(tickwire_ebpf::Size::U64, R10, Slot::Fresh.offset(), 1);
    code.asm.jump_if(Cond::Eq, R2, 0, fresh);
    code.asm.jump_if(Cond::Le, R1, R2, later);
    code.asm.mov(R3, R1);
    code.asm.alu(Alu::Sub, R3, R2);
    code.word(R2, R8, feed::SILENCE_NS_MAX);
    code.asm.jump_if(Cond::Le, R3, R2, fresh);
    code.asm.store(tickwire_ebpf::Size::U64, R10, Slot::Fresh.offset(), 0);
    code.asm.bind(fresh);
    code.set_word(R8, feed::LAST_NS, R1);
    code.asm.bind(later);
    code.count(R8, feed::TICKS);
}

/// Notes that a packet of the feed came that nobody trades on. Without the lock: when two
/// processors do it at once, either time is as good. Uses R1 and R2.
pub(super) fn note_other(code: &mut Code<'_>) {
    let later = code.asm.label();
    code.get(R1, Slot::Now);
    code.word(R2, R8, feed::LAST_NS);
    code.asm.jump_if(Cond::Le, R1, R2, later);
    code.set_word(R8, feed::LAST_NS, R1);
    code.asm.bind(later);
    code.asm.mov(R1, 1);
    code.asm.atomic_add(R8, 8 * feed::OTHERS as i16, R1);
}

/// All checks of what a rule wants, up to those of its target.
pub(super) fn emit(code: &mut Code<'_>, kill_switch: usize) {
    switches(code, kill_switch);
    hours(code);
    stale(code);
    duplicate(code);
    cool_down(code);
    order(code);
    collar(code);
    tick_size(code);
    rate(code);
    position(code);
}

fn switches(code: &mut Code<'_>, kill_switch: usize) {
    code.state_word(R1, kill_switch);
    code.word(R1, R1, 0);
    code.require(Cond::Eq, R1, 0, Reason::KillSwitch);
    code.head(R1, head::ENABLED);
    code.require(Cond::Ne, R1, 0, Reason::Disabled);
    code.head(R1, head::STOPPED);
    code.require(Cond::Eq, R1, 0, Reason::AuditFull);
    code.head(R1, head::LEASE_NS);
    code.get(R2, Slot::Began);
    code.require(Cond::Le, R2, R1, Reason::LeaseExpired);
}

/// See [`Hours::contain`](crate::settings::Hours::contain).
fn hours(code: &mut Code<'_>) {
    let [over_midnight, open, closed] = [(); 3].map(|()| code.asm.label());
    code.state_word(R1, 0);
    code.word(R2, R1, head::HAS_HOURS);
    code.asm.jump_if(Cond::Eq, R2, 0, open);
    code.get(R2, Slot::Now);
    code.constant(R3, DAY_NS);
    code.asm.alu(Alu::Mod, R2, R3);
    code.word(R4, R1, head::AHEAD_NS);
    code.asm.alu(Alu::Add, R2, R4);
    code.asm.alu(Alu::Mod, R2, R3);
    code.word(R3, R1, head::OPEN_NS);
    code.word(R4, R1, head::CLOSE_NS);
    code.asm.jump_if(Cond::Ge, R3, R4, over_midnight);
    code.asm.jump_if(Cond::Lt, R2, R3, closed);
    code.asm.jump_if(Cond::Lt, R2, R4, open);
    code.asm.bind(closed);
    code.refuse(Reason::MarketClosed);
    code.asm.bind(over_midnight);
    code.asm.jump_if(Cond::Ge, R2, R3, open);
    code.asm.jump_if(Cond::Ge, R2, R4, closed);
    code.asm.bind(open);
}

fn stale(code: &mut Code<'_>) {
    let past = code.asm.label();
    code.get(R1, Slot::Fresh);
    code.require(Cond::Ne, R1, 0, Reason::StaleFeed);
    code.get(R1, Slot::Stamp);
    code.get(R2, Slot::Now);
    code.asm.jump_if(Cond::Le, R1, R2, past);
    code.asm.alu(Alu::Sub, R1, R2);
    code.require(Cond::Le, R1, AHEAD_NS_MAX as i32, Reason::StaleFeed);
    code.asm.bind(past);
}

/// See `triggers`: stamps of an instrument only grow, and few ticks have the same one.
fn duplicate(code: &mut Code<'_>) {
    let [answered, new] = [(); 2].map(|()| code.asm.label());
    code.get(R1, Slot::Memory);
    code.get(R2, Slot::Stamp);
    code.get(R3, Slot::Content);
    code.word(R4, R1, 0);
    code.asm.jump_if(Cond::Gt, R2, R4, new);
    code.asm.jump_if(Cond::Lt, R2, R4, answered);
    code.word(R4, R1, CONTENTS.end - 1);
    code.asm.jump_if(Cond::Ne, R4, 0, answered);
    for word in CONTENTS {
        code.word(R4, R1, word);
        code.asm.jump_if(Cond::Eq, R4, R3, answered);
    }
    code.asm.jump(new);
    code.asm.bind(answered);
    code.refuse(Reason::DuplicateTrigger);
    code.asm.bind(new);
}

/// R3 is the address of when the rule sent last for the instrument; to `none` when it has no such
/// place. Uses R2.
pub(super) fn cool_down_word(code: &mut Code<'_>, none: Label) {
    code.get(R2, Slot::CoolDown);
    code.get(R3, Slot::Instrument);
    code.asm.alu(Alu::Add, R2, R3);
    code.asm.jump_if(Cond::Ge, R2, code.rules_layout.cool_downs_count as i32, none);
    code.asm.alu(Alu::Lsh, R2, 3);
    code.rules_word(R3, code.rules_layout.cool_downs);
    code.asm.alu(Alu::Add, R3, R2);
}

/// When the rule sent last for the instrument; before it ever did under these rules, when any of
/// the rules before sent.
fn cool_down(code: &mut Code<'_>) {
    if code.rules_layout.cool_downs_count == 0 {
        return;
    }
    let [none, known, before] = [(); 3].map(|()| code.asm.label());
    code.get(R1, Slot::CoolDownNs);
    code.asm.jump_if(Cond::Eq, R1, 0, none);
    cool_down_word(code, none);
    code.word(R2, R3, 0);
    code.asm.jump_if(Cond::Ne, R2, 0, known);
    code.word(R2, R7, instrument::SENT_BEFORE_NS);
    code.word(R3, R7, instrument::RULES);
    code.asm.jump_if(Cond::Eq, R3, code.generation, before);
    code.get(R2, Slot::Memory);
    code.word(R2, R2, memory::LAST_SENT_NS);
    code.asm.bind(before);
    code.asm.jump_if(Cond::Eq, R2, 0, none);
    code.asm.bind(known);
    code.get(R3, Slot::Now);
    code.require(Cond::Ge, R3, R2, Reason::CoolDown);
    code.asm.alu(Alu::Sub, R3, R2);
    code.require(Cond::Ge, R3, R1, Reason::CoolDown);
    code.asm.bind(none);
}

fn order(code: &mut Code<'_>) {
    let worthless = code.asm.label();
    code.get(R1, Slot::Quantity);
    code.require(Cond::Ne, R1, 0, Reason::QuantityMax);
    code.word(R2, R7, instrument::QUANTITY_MAX);
    code.require(Cond::Le, R1, R2, Reason::QuantityMax);
    // Price times quantity may need more than 64 bits; the greatest price that is allowed does not.
    code.get(R2, Slot::OrderPrice);
    code.asm.jump_if(Cond::SLe, R2, 0, worthless);
    code.word(R3, R7, instrument::NOTIONAL_MAX);
    code.asm.alu(Alu::Div, R3, R1);
    code.require(Cond::Le, R2, R3, Reason::NotionalMax);
    code.asm.bind(worthless);
}

/// How far the price is from the last trade, which is the tick.
fn collar(code: &mut Code<'_>) {
    let [above, below] = [(); 2].map(|()| code.asm.label());
    code.get(R1, Slot::Price);
    code.require(Cond::SGt, R1, 0, Reason::NoReference);
    code.get(R2, Slot::OrderPrice);
    code.require(Cond::SGt, R2, 0, Reason::PriceCollar);
    // In two parts, so that the product has 64 bits: the price in millions, and the rest.
    code.asm.mov(R3, R1);
    code.asm.alu(Alu::Div, R3, MILLION);
    code.asm.mov(R4, R3);
    code.asm.alu(Alu::Mul, R4, MILLION);
    code.asm.mov(R5, R1);
    code.asm.alu(Alu::Sub, R5, R4);
    code.word(R4, R7, instrument::COLLAR_PPM);
    code.asm.alu(Alu::Mul, R3, R4);
    code.asm.alu(Alu::Mul, R5, R4);
    code.asm.alu(Alu::Div, R5, MILLION);
    code.asm.alu(Alu::Add, R3, R5);
    code.asm.jump_if(Cond::Ge, R2, R1, above);
    code.asm.mov(R4, R1);
    code.asm.alu(Alu::Sub, R4, R2);
    code.asm.jump(below);
    code.asm.bind(above);
    code.asm.mov(R4, R2);
    code.asm.alu(Alu::Sub, R4, R1);
    code.asm.bind(below);
    code.require(Cond::Le, R4, R3, Reason::PriceCollar);
}

/// The price is above 0 here, and so is the tick.
fn tick_size(code: &mut Code<'_>) {
    code.get(R1, Slot::OrderPrice);
    code.word(R2, R7, instrument::TICK);
    code.asm.alu(Alu::Mod, R1, R2);
    code.require(Cond::Eq, R1, 0, Reason::TickSize);
}

/// A second must have passed since as many orders ago as a second may have.
fn rate(code: &mut Code<'_>) {
    let never = code.asm.label();
    code.state_word(R1, 0);
    code.word(R2, R1, head::ORDERS_PER_S);
    code.require(Cond::Ne, R2, 0, Reason::OrderRate);
    code.word(R3, R1, head::RATE_NEXT);
    code.asm.alu(Alu::Sub, R3, R2);
    code.asm.alu(Alu::And, R3, code.layout.rate_words as i32 - 1);
    code.asm.alu(Alu::Lsh, R3, 3);
    code.state_word(R1, code.layout.rate);
    code.asm.alu(Alu::Add, R1, R3);
    code.word(R2, R1, 0);
    code.asm.jump_if(Cond::Eq, R2, 0, never);
    code.get(R1, Slot::Now);
    code.require(Cond::Ge, R1, R2, Reason::OrderRate);
    code.asm.alu(Alu::Sub, R1, R2);
    code.require(Cond::Ge, R1, S_NS, Reason::OrderRate);
    code.asm.bind(never);
}

/// What would be held if all that is open on that side were executed. No sum of positions and
/// orders comes near 64 bits.
fn position(code: &mut Code<'_>) {
    let [buys, short, allowed] = [(); 3].map(|()| code.asm.label());
    code.get(R1, Slot::Memory);
    code.word(R1, R1, memory::POSITION);
    code.get(R2, Slot::Side);
    code.get(R3, Slot::Quantity);
    code.word(R4, R7, instrument::OPEN_BUY);
    code.asm.jump_if(Cond::Eq, R2, Side::Buy as i32, buys);
    code.word(R4, R7, instrument::OPEN_SELL);
    negate(code);
    code.asm.bind(buys);
    code.asm.alu(Alu::Add, R3, R4);
    code.word(R4, R7, instrument::POSITION_MAX);
    code.asm.jump_if(Cond::SLt, R1, 0, short);
    code.asm.alu(Alu::Add, R1, R3);
    code.require(Cond::Le, R1, R4, Reason::PositionMax);
    code.asm.jump(allowed);
    // What makes a position smaller is allowed, however great it is.
    code.asm.bind(short);
    negate(code);
    code.asm.jump_if(Cond::Le, R3, R1, allowed);
    code.asm.alu(Alu::Sub, R3, R1);
    code.require(Cond::Le, R3, R4, Reason::PositionMax);
    code.asm.bind(allowed);
}

/// `R1 = -R1`. Uses R5.
fn negate(code: &mut Code<'_>) {
    code.asm.mov(R5, 0);
    code.asm.alu(Alu::Sub, R5, R1);
    code.asm.mov(R1, R5);
}

/// Whether the target can take it: whether there is a way, as in user space before what its format
/// holds. Its words are in [`Slot::Route`] then.
pub(super) fn check_target(code: &mut Code<'_>, targets: &[KernelTarget], scale: Scale) {
    code.get(R1, Slot::Target);
    code.require(Cond::Lt, R1, targets.len() as i32, Reason::NotConfigured);
    code.asm.alu(Alu::Mul, R1, 8 * TARGET_WORDS as i32);
    code.state_word(R2, code.layout.target(0));
    code.asm.alu(Alu::Add, R2, R1);
    code.put(Slot::Route, R2);
    let ready = code.asm.label();
    code.word(R1, R2, target::STATUS);
    code.asm.jump_if(Cond::Eq, R1, 0, ready);
    code.put(Slot::Outcome, R1);
    code.asm.jump(code.refused);
    code.asm.bind(ready);
    super::order::for_each_format(code, targets, |code, format| {
        super::order::require_representable(code, format, scale);
    });
}
