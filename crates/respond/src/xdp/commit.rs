//! What is noted of an order before it leaves, and what is said of every intent.

use super::code::{Code, Slot};
use super::layout::{feed, head, instrument, target};
use super::record::{BYTES, WORDS, word};
use crate::memory::{self, LAST_ORDER_NS, MARK_WORDS, NEXT_NUMBER};
use crate::order::Side;
use tickwire_ebpf::{Alu, Cond, Helper, Label, Reg::*, Size, XdpAction, xdp_md};
use tickwire_frame::Reason;

/// Nobody is woken for a record: user space looks by itself, every few milliseconds.
const NO_WAKEUP: i32 = 1;
/// Where the record lies, from the frame pointer.
const RECORD_AT: i16 = -8 * (Slot::RecordEnd as i16 + WORDS as i16 - 1);

/// Writes the record on the stack and hands it over; to `lost` when there is no room. Uses R0 to
/// R5.
fn hand_over(code: &mut Code<'_>, is_order: bool, lost: Label) {
    let put = |code: &mut Code<'_>, word: usize, reg| {
        code.asm.store(Size::U64, R10, RECORD_AT + 8 * word as i16, reg);
    };
    for (slot, at) in [
        (Slot::Now, word::AT_NS),
        (Slot::Stamp, word::TRIGGER),
        (Slot::OrderPrice, word::PRICE),
        (Slot::Source, word::SOURCE),
    ] {
        code.get(R1, slot);
        put(code, at, R1);
    }
    code.get(R1, Slot::Instrument);
    code.asm.alu(Alu::Lsh, R1, 32);
    code.get(R2, Slot::Quantity);
    code.asm.alu(Alu::Or, R1, R2);
    put(code, word::QUANTITY, R1);
    whose(code, is_order);
    put(code, word::WHOSE, R1);
    code.head(R1, head::INTENTS);
    put(code, word::INTENTS, R1);
    if is_order {
        code.get(R1, Slot::Number);
        put(code, word::NUMBER, R1);
        code.asm.call(Helper::KtimeGetNs);
        code.get(R1, Slot::Began);
        code.asm.alu(Alu::Sub, R0, R1);
        put(code, word::TOOK_NS, R0);
    } else {
        code.asm.mov(R1, 0);
        put(code, word::NUMBER, R1);
        put(code, word::TOOK_NS, R1);
    }
    code.asm.load_map_fd(R1, code.records);
    code.asm.mov(R2, R10);
    code.asm.alu(Alu::Add, R2, i32::from(RECORD_AT));
    code.asm.mov(R3, BYTES as i32);
    code.asm.mov(R4, NO_WAKEUP);
    code.asm.call(Helper::RingbufOutput);
    code.asm.jump_if(Cond::Ne, R0, 0, lost);
}

/// R1 is rule, feed, target, side and outcome in one word. Uses R2.
fn whose(code: &mut Code<'_>, is_order: bool) {
    code.get(R1, Slot::Rule);
    code.word(R2, R8, feed::NUMBER);
    code.asm.alu(Alu::Lsh, R2, 16);
    code.asm.alu(Alu::Or, R1, R2);
    code.get(R2, Slot::TargetNumber);
    code.asm.alu(Alu::Lsh, R2, 32);
    code.asm.alu(Alu::Or, R1, R2);
    code.get(R2, Slot::Side);
    code.asm.alu(Alu::Lsh, R2, 48);
    code.asm.alu(Alu::Or, R1, R2);
    if !is_order {
        code.get(R2, Slot::Outcome);
        code.asm.alu(Alu::Lsh, R2, 56);
        code.asm.alu(Alu::Or, R1, R2);
    }
}

/// Counts a refusal and says it. Ends with the frame dropped.
pub(super) fn refused(code: &mut Code<'_>) {
    let [known, lost, done] = [(); 3].map(|()| code.asm.label());
    code.get(R1, Slot::Outcome);
    code.asm.alu(Alu::Sub, R1, 1);
    code.asm.jump_if(Cond::Lt, R1, Reason::COUNT as i32, known);
    // No reason has such a number.
    code.asm.mov(R1, Reason::NotConfigured as i32);
    code.asm.bind(known);
    code.asm.alu(Alu::Lsh, R1, 3);
    code.state_word(R4, code.layout.refused);
    code.asm.alu(Alu::Add, R4, R1);
    code.count(R4, 0);
    hand_over(code, false, lost);
    code.asm.jump(done);
    code.asm.bind(lost);
    note_lost(code);
    code.asm.bind(done);
    code.unlock();
    code.asm.exit_with(XdpAction::Drop);
}

/// A record found no room: counted, and nothing is traded any more, unless that was asked for.
fn note_lost(code: &mut Code<'_>) {
    code.count_head(head::LOST);
    code.word(R1, R4, head::STOPS);
    let goes_on = code.asm.label();
    code.asm.jump_if(Cond::Eq, R1, 0, goes_on);
    code.set_word(R4, head::STOPPED, R1);
    code.asm.bind(goes_on);
}

/// Says it, notes all that a restart must know, and sends the frame.
pub(super) fn send(code: &mut Code<'_>) {
    let [lost, told] = [(); 2].map(|()| code.asm.label());
    hand_over(code, true, lost);
    code.asm.bind(told);
    answer(code);
    commit(code);
    code.get(R1, Slot::Route);
    code.word(R7, R1, target::IFINDEX);
    code.word(R8, R1, target::BACK_IFINDEX);
    code.unlock();
    leave(code);

    code.asm.bind(lost);
    note_lost(code);
    // R1 says whether to stop.
    code.asm.jump_if(Cond::Eq, R1, 0, told);
    code.state_word(R4, code.layout.refused + Reason::AuditFull as usize);
    code.count(R4, 0);
    code.unlock();
    code.asm.exit_with(XdpAction::Drop);
}

/// See `triggers`: the stamp first.
fn answer(code: &mut Code<'_>) {
    let [same, done] = [(); 2].map(|()| code.asm.label());
    code.get(R1, Slot::Memory);
    code.get(R2, Slot::Stamp);
    code.get(R3, Slot::Content);
    code.word(R4, R1, 0);
    code.asm.jump_if(Cond::Eq, R2, R4, same);
    code.set_word(R1, 0, R2);
    code.set_word(R1, 1, R3);
    code.asm.mov(R4, 0);
    for word in 2..MARK_WORDS {
        code.set_word(R1, word, R4);
    }
    code.asm.jump(done);
    code.asm.bind(same);
    for word in 1..MARK_WORDS {
        let taken = code.asm.label();
        code.word(R4, R1, word);
        code.asm.jump_if(Cond::Ne, R4, 0, taken);
        code.set_word(R1, word, R3);
        code.asm.jump(done);
        code.asm.bind(taken);
    }
    code.asm.bind(done);
}

/// Number, position, rate, cool-down.
fn commit(code: &mut Code<'_>) {
    code.count_head(head::ORDERS);
    code.get(R1, Slot::Now);
    code.state_word(R2, code.layout.memory);
    code.get(R3, Slot::Number);
    code.asm.alu(Alu::Add, R3, 1);
    code.set_word(R2, NEXT_NUMBER, R3);
    code.set_word(R2, LAST_ORDER_NS, R1);

    code.word(R3, R4, head::RATE_NEXT);
    code.asm.mov(R5, R3);
    code.asm.alu(Alu::Add, R5, 1);
    code.set_word(R4, head::RATE_NEXT, R5);
    code.asm.alu(Alu::And, R3, code.layout.rate_words as i32 - 1);
    code.asm.alu(Alu::Lsh, R3, 3);
    code.state_word(R2, code.layout.rate);
    code.asm.alu(Alu::Add, R2, R3);
    code.set_word(R2, 0, R1);

    let [buys, known, none] = [(); 3].map(|()| code.asm.label());
    code.get(R2, Slot::Memory);
    code.word(R3, R2, memory::POSITION);
    code.get(R4, Slot::Quantity);
    code.get(R5, Slot::Side);
    code.asm.jump_if(Cond::Eq, R5, Side::Buy as i32, buys);
    code.asm.mov(R5, 0);
    code.asm.alu(Alu::Sub, R5, R4);
    code.asm.mov(R4, R5);
    code.asm.bind(buys);
    code.asm.alu(Alu::Add, R3, R4);
    code.set_word(R2, memory::POSITION, R3);

    // When the rules before these sent last, for rules that have not sent yet.
    code.word(R3, R7, instrument::RULES);
    code.asm.jump_if(Cond::Eq, R3, code.generation, known);
    code.asm.mov(R3, code.generation);
    code.set_word(R7, instrument::RULES, R3);
    code.word(R3, R2, memory::LAST_SENT_NS);
    code.set_word(R7, instrument::SENT_BEFORE_NS, R3);
    code.asm.bind(known);
    code.set_word(R2, memory::LAST_SENT_NS, R1);
    if code.rules_layout.cool_downs_count > 0 {
        code.get(R3, Slot::CoolDownNs);
        code.asm.jump_if(Cond::Eq, R3, 0, none);
        super::checks::cool_down_word(code, none);
        code.get(R1, Slot::Now);
        code.set_word(R3, 0, R1);
        code.asm.bind(none);
    }
}

/// Back out of the interface that the tick came in on, if that is the one in R8; or out of that in
/// R7.
fn leave(code: &mut Code<'_>) {
    let other = code.asm.label();
    code.asm.load(Size::U32, R1, R6, xdp_md::INGRESS_IFINDEX);
    code.asm.jump_if(Cond::Ne, R1, R8, other);
    code.asm.exit_with(XdpAction::Tx);
    code.asm.bind(other);
    code.asm.mov(R1, R7);
    code.asm.mov(R2, 0);
    code.asm.call(Helper::Redirect);
    code.asm.exit();
}
