//! Tests of the memory: what is read is what was written, or nothing.

use super::*;
use crate::order::Side;
use crate::session::Resumed;
use crate::settings::{FeedSettings, GapPolicy, TargetSettings, tests_instrument};
use tickwire_market::Protocol;

const S_NS: u64 = 1_000_000_000;

fn settings(instruments: &[&str], feeds: &[&str], targets: &[&str]) -> Settings {
    let feed = |name: &&str| FeedSettings {
        name: name.to_string(),
        protocol: Protocol::Itch50,
        age_ns_max: 0,
        silence_ns_max: None,
        gap: GapPolicy::Refuse,
    };
    let symbol = |name: &&str| *format!("{name:<8}").as_bytes().first_chunk().unwrap();
    let target = |name: &&str| TargetSettings { name: name.to_string(), acknowledges: true };
    Settings {
        feeds: feeds.iter().map(feed).collect(),
        instruments: instruments.iter().map(symbol).map(tests_instrument).collect(),
        targets: targets.iter().map(target).collect(),
        ..Settings::default()
    }
}

fn words(keys: &Keys) -> Vec<AtomicU64> {
    (0..keys.words()).map(|_| AtomicU64::new(0)).collect()
}

fn order(number: u64, instrument: u32, target: u16) -> OpenOrder {
    let (side, waits, quantity) = (Side::SellShort, true, u32::MAX);
    let (executed, remaining) = (1, u32::MAX - 1);
    OpenOrder { number, instrument, target, side, waits, quantity, executed, remaining }
}

#[test]
fn it_is_read_as_it_was_written() {
    let keys = Keys::of(&settings(&["A", "B", "C"], &["f"], &["t", "u"]));
    let words = words(&keys);
    let memory = Memory::create(&words, &keys);
    memory.set_killed(true);
    memory.set_next_number(5_000);
    memory.position(2).store(-7_i64 as u64, Relaxed);
    memory.target(1)[TARGET_WORDS - 1].store(9, Relaxed);
    memory.set_open(OpenOrder::place(4_500), order(4_500, 2, 1));
    let again = Memory::open(&words).unwrap();
    assert_eq!((again.keys(), again.is_killed(), again.next_number()), (keys, true, 5_000));
    assert_eq!(again.position(2).load(Relaxed) as i64, -7);
    assert_eq!(again.target(1)[TARGET_WORDS - 1].load(Relaxed), 9);
    assert_eq!(again.open_order(OpenOrder::place(4_500)), Some(order(4_500, 2, 1)));
    // Nothing lies over anything else: every word of the end is an order's.
    assert_eq!(again.open_orders().count(), 1);
}

#[test]
fn open_orders_of_a_target_are_resumed_by_their_numbers() {
    let settings = settings(&["A", "B"], &["f"], &["t", "u"]);
    let keys = Keys::of(&settings);
    let words = words(&keys);
    let memory = Memory::create(&words, &keys);
    let (first, second) = (OPEN_ORDERS_MAX as u64 - 1, OPEN_ORDERS_MAX as u64 + 1);
    memory.set_open(OpenOrder::place(second), order(second, 1, 1));
    let known = OpenOrder { side: Side::Buy, waits: false, ..order(first, 0, 1) };
    memory.set_open(OpenOrder::place(first), known);
    memory.set_open(OpenOrder::place(7), order(7, 0, 0));
    let expected = |number, symbol, side, is_answered| {
        let (quantity, executed, left) = (u32::MAX, 1, u32::MAX - 1);
        Resumed { number, symbol, side, quantity, executed, left, is_answered }
    };
    assert_eq!(
        memory.resumed(1, &settings),
        [
            expected(first, *b"A       ", Side::Buy, true),
            expected(second, *b"B       ", Side::SellShort, false),
        ]
    );
}

#[test]
fn a_copy_is_the_same_and_forgets_what_is_over() {
    let keys = Keys::of(&settings(&["A", "B"], &["f"], &["t"]));
    let [one, other] = [words(&keys), words(&keys)];
    let (from, to) = (Memory::create(&one, &keys), Memory::create(&other, &keys));
    to.set_open(OpenOrder::place(7), order(7, 0, 0));
    from.set_killed(true);
    from.set_next_number(5_000);
    from.position(1).store(9, Relaxed);
    from.set_open(OpenOrder::place(4_500), order(4_500, 1, 0));
    to.copy_from(&from);
    let [one, other] = [one, other].map(|words| words.into_iter().map(AtomicU64::into_inner));
    assert!(one.eq(other));
}

#[test]
#[should_panic = "the memory of another configuration"]
fn the_memory_of_others_is_not_copied() {
    let [mine, others] = ["A", "B"].map(|name| Keys::of(&settings(&[name], &["f"], &["t"])));
    let [one, other] = [words(&mine), words(&others)];
    Memory::create(&one, &mine).copy_from(&Memory::create(&other, &others));
}

#[test]
fn damage_is_found_and_nothing_is_used() {
    let keys = Keys::of(&settings(&["A", "B"], &["f"], &["t"]));
    let words = words(&keys);
    assert_eq!(Memory::open(&words).unwrap_err(), MemoryError::Foreign);
    assert_eq!(Memory::open(&[]).unwrap_err(), MemoryError::Foreign);
    let memory = Memory::create(&words, &keys);
    memory.set_next_number(100);
    memory.set_open(OpenOrder::place(50), order(50, 1, 0));
    let order_at = memory.places.orders + 50 * ORDER_WORDS;
    for (place, value, what) in [
        (1, VERSION + 1, "of this version"),
        (2, 1, "the checksum"),
        (2, u64::MAX, "more than there can be"),
        (3, FEEDS_MAX as u64, "its end is missing"),
        (HEADER_WORDS, 0, "the checksum"),
        (CHECKSUM, 0, "the checksum"),
        (KILL_SWITCH, 2, "neither on nor off"),
        (RUNNING, 2, "neither on nor off"),
        (NEXT_NUMBER, 0, "impossible"),
        (NEXT_NUMBER, 50, "an open order"),
        (NEXT_NUMBER, u64::MAX, "impossible"),
        (order_at, 51, "an open order"),
        (order_at + 1, 0, "an open order"),
        (order_at + 3, 9, "an open order"),
        (order_at + 2, 2, "an open order"),
        (order_at + 2, 1 << 32, "an open order"),
    ] {
        let before = words[place].swap(value, Relaxed);
        let error = Memory::open(&words).unwrap_err().to_string();
        assert!(error.contains(what), "{place}: {error}");
        assert!(error.contains("move it away"), "{error}");
        words[place].store(before, Relaxed);
    }
    assert!(Memory::open(&words[..words.len() - 1]).is_err());
    Memory::open(&words).unwrap();
}

#[test]
fn a_changed_configuration_keeps_what_it_has_in_common() {
    let old_keys = Keys::of(&settings(&["A", "B", "C"], &["f", "g"], &["t", "u"]));
    let old_words = words(&old_keys);
    let old = Memory::create(&old_words, &old_keys);
    old.set_killed(true);
    old.set_next_number(9_000);
    for instrument in 0..3 {
        old.position(instrument).store(10 + instrument as u64, Relaxed);
        old.mark(instrument)[0].store(20 + instrument as u64, Relaxed);
    }
    old.feed(1)[0].store(31, Relaxed);
    old.target(0)[0].store(40, Relaxed);
    old.target(1)[0].store(41, Relaxed);
    // Of an instrument that goes, of a target that goes, and of what stays.
    for order in [order(1, 0, 1), order(2, 2, 0), order(3, 2, 1)] {
        old.set_open(OpenOrder::place(order.number), order);
    }

    let keys = Keys::of(&settings(&["D", "C", "B"], &["g"], &["u", "v"]));
    let words = words(&keys);
    let new = Memory::create(&words, &keys);
    new.take_over(&old);
    assert!(new.is_killed() && new.next_number() == 9_000);
    let positions = [0, 1, 2].map(|instrument| new.position(instrument).load(Relaxed));
    let marks = [0, 1, 2].map(|instrument| new.mark(instrument)[0].load(Relaxed));
    assert_eq!((positions, marks), ([0, 12, 11], [0, 22, 21]));
    assert_eq!(new.feed(0)[0].load(Relaxed), 31);
    assert_eq!([0, 1].map(|target| new.target(target)[0].load(Relaxed)), [41, 0]);
    let open: Vec<_> = new.open_orders().map(|(_, order)| order).collect();
    assert_eq!(open, [order(3, 1, 0)]);
    assert_eq!(Memory::open(&words).unwrap().keys(), keys);
}

#[test]
fn numbers_skip_ahead_with_each_start() {
    let keys = Keys::of(&Settings::default());
    let words = words(&keys);
    let memory = Memory::create(&words, &keys);
    memory.begin(5 * S_NS, false);
    assert_eq!(memory.next_number(), 1 + NUMBERS_SKIPPED_AT_START);
    let now_ns = 1_800_000_000 * S_NS;
    memory.begin(now_ns, false);
    assert_eq!(memory.next_number(), 1_800_000_000 * NUMBERS_PER_S);
    // A clock that went back.
    memory.begin(0, false);
    let skipped = 1_800_000_000 * NUMBERS_PER_S + NUMBERS_SKIPPED_AT_START;
    assert_eq!(memory.next_number(), skipped);
    // A memory that was lost, a second later.
    let other = super::tests::words(&keys);
    let other = Memory::create(&other, &keys);
    other.begin(now_ns + S_NS, false);
    assert_eq!(other.next_number(), 1_800_000_001 * NUMBERS_PER_S);
    memory.begin(u64::MAX, false);
    assert!(Memory::open(&words).is_ok());
}

#[test]
fn positions_are_kept_after_a_run_that_did_not_end() {
    let keys = Keys::of(&settings(&["A"], &[], &["t"]));
    let words = words(&keys);
    let memory = Memory::create(&words, &keys);
    let run = |ends: bool, keep: bool| {
        memory.begin(0, keep);
        let found = (memory.position(0).load(Relaxed), memory.open_orders().count());
        memory.position(0).store(5, Relaxed);
        memory.set_open(OpenOrder::place(1), order(1, 0, 0));
        if ends {
            memory.end();
        }
        found
    };
    assert_eq!(run(false, false), (0, 0));
    assert_eq!(run(true, false), (5, 1));
    assert_eq!(run(true, true), (5, 1));
    assert_eq!(run(true, false), (0, 0));
}
