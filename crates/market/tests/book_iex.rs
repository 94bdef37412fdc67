//! Books from DEEP+ and DEEP against models that are too simple to be wrong, over random messages.

mod common;

use common::Random;
use std::collections::BTreeMap;
use tickwire_market::book::{Best, Level, Side, Spread, deep, deep_plus};
use tickwire_market::iex::deep::PriceLevelUpdateBuilder;
use tickwire_market::iex::deep_plus::{
    AddOrderBuilder, ClearBookBuilder, OrderDeleteBuilder, OrderExecutedBuilder, OrderModifyBuilder,
};
use tickwire_market::iex::{EventFlags, Symbol};
use tickwire_market::{Ascii, Code, Price};

const SYMBOLS: [Symbol; 3] = [Ascii(*b"A       "), Ascii(*b"ZIEXT   "), Ascii([0; 8])];

/// Messages of a run in a debug build.
const STEPS: u64 = if cfg!(debug_assertions) { 5_000 } else { 100_000 };

/// `8` and `5`.
fn code(side: Side) -> Code {
    Code(if side == Side::Buy { b'8' } else { b'5' })
}

/// Prices of all signs, and the two that nothing is beyond.
fn price(random: &mut Random) -> i64 {
    match random.below(40) {
        38 => i64::MAX,
        39 => i64::MIN,
        price => price as i64 - 20,
    }
}

/// A level of a symbol's side at a price.
type Levels = BTreeMap<(Symbol, Side, i64), Level>;

/// The levels of one side, the best first.
fn side_of(levels: &Levels, symbol: Symbol, side: Side) -> Vec<Level> {
    let all = levels.iter().filter(|((of, on, _), _)| (*of, *on) == (symbol, side));
    let mut found: Vec<Level> = all.map(|(_, &level)| level).collect();
    if side == Side::Buy {
        found.reverse();
    }
    found
}

/// An order: symbol, side, price, size.
type Order = (Symbol, Side, i64, u32);

fn levels_of(orders: &BTreeMap<u64, Order>) -> Levels {
    let mut levels = Levels::new();
    for &(symbol, side, price, size) in orders.values() {
        let none = Level { price, size: 0, orders: 0 };
        let level = levels.entry((symbol, side, price)).or_insert(none);
        level.size += u64::from(size);
        level.orders += 1;
    }
    levels
}

/// A message of DEEP+ about few orders, done to the model as well; its bytes, and its letter when
/// it refers to an order that is not there.
fn step(orders: &mut BTreeMap<u64, Order>, random: &mut Random) -> (Vec<u8>, Option<u8>) {
    let symbol = SYMBOLS[random.below(3) as usize];
    let (id, size) = (random.below(60) << (8 * random.below(2)), random.below(4) as u32 * 100);
    let (side, at) = (Side::BOTH[random.below(2) as usize], price(random));
    let known = orders.get(&id).copied();
    let unresolved = |letter| known.is_none().then_some(letter);
    match random.below(100) {
        0..50 => {
            if size != 0 {
                orders.insert(id, (symbol, side, at, size));
            }
            let add = AddOrderBuilder::new().symbol(symbol).order_id(id).side(code(side));
            (add.size(size).price(Price(at)).as_bytes().to_vec(), None)
        }
        50..70 => {
            if let Some((symbol, side, ..)) = orders.remove(&id)
                && size != 0
            {
                orders.insert(id, (symbol, side, at, size));
            }
            let modify = OrderModifyBuilder::new().symbol(symbol).order_id_reference(id);
            (modify.size(size).price(Price(at)).as_bytes().to_vec(), unresolved(b'M'))
        }
        70..85 => {
            if let Some(order) = orders.get_mut(&id) {
                order.3 = order.3.saturating_sub(size);
            }
            orders.retain(|_, order| order.3 != 0);
            let executed = OrderExecutedBuilder::new().symbol(symbol).order_id_reference(id);
            (executed.size(size).as_bytes().to_vec(), unresolved(b'L'))
        }
        85..99 => {
            orders.remove(&id);
            let delete = OrderDeleteBuilder::new().symbol(symbol).order_id_reference(id);
            (delete.as_bytes().to_vec(), unresolved(b'R'))
        }
        _ => {
            orders.retain(|_, order| order.0 != symbol);
            (ClearBookBuilder::new().symbol(symbol).as_bytes().to_vec(), None)
        }
    }
}

#[test]
fn random_messages_of_deep_plus_give_the_books_of_the_model() {
    for seed in 0..6 {
        let (mut random, mut orders) = (Random(seed), BTreeMap::new());
        let mut books = deep_plus::Books::default();
        let mut unresolved = BTreeMap::<u8, u64>::new();
        for at in 0..STEPS {
            let (bytes, letter) = step(&mut orders, &mut random);
            books.apply_bytes(&bytes);
            if let Some(letter) = letter {
                *unresolved.entry(letter).or_default() += 1;
            }
            let levels = levels_of(&orders);
            for symbol in SYMBOLS {
                let Some(book) = books.book(symbol) else { continue };
                for side in Side::BOTH {
                    let found: Vec<Level> = books.orders().levels(book, side).collect();
                    assert_eq!(found, side_of(&levels, symbol, side), "seed {seed}, message {at}");
                }
            }
            assert_eq!(books.orders().live_orders(), orders.len());
            assert_eq!(books.levels().count(), levels.len());
        }
        for order in books.orders().orders() {
            let symbol = books.symbol(order.book).unwrap();
            let expected = (symbol, order.side, order.price, order.size);
            assert_eq!(orders.remove(&order.reference), Some(expected));
        }
        assert_eq!((orders.len(), books.orders().orders().count() > 0), (0, true));
        assert_eq!(books.unresolved().collect::<BTreeMap<u8, u64>>(), unresolved);
        let counts = books.counts();
        assert!(unresolved.len() == 3 && counts.wrong_symbols > 0 && counts.messages == STEPS);
    }
}

#[test]
fn random_messages_of_deep_give_the_books_of_the_model() {
    for seed in 0..6 {
        let (mut random, mut levels) = (Random(seed), Levels::new());
        let mut books = deep::Books::new();
        let (mut spreads, mut locked, mut crossed) = ([Spread::Open; 3], 0, 0);
        let mut unknown = 0;
        for at in 0..STEPS {
            let number = random.below(3) as usize;
            let (symbol, side) = (SYMBOLS[number], Side::BOTH[random.below(2) as usize]);
            let (price, size) = (price(&mut random), random.below(2) as u32 * 100);
            // Bids are mostly below offers.
            let price = if side == Side::Buy { price.saturating_sub(36) } else { price };
            let complete = random.one_in(3);
            let update = PriceLevelUpdateBuilder::new().message_type(code(side)).symbol(symbol);
            let update = update.event_flags(EventFlags(complete.into())).price(Price(price));
            books.apply_bytes(update.size(size).as_bytes());
            let level = Level { price, size: size.into(), orders: 0 };
            let old = match size {
                0 => levels.remove(&(symbol, side, price)),
                _ => levels.insert((symbol, side, price), level),
            };
            unknown += u64::from(size == 0 && old.is_none());
            let book = books.book(symbol).unwrap();
            let [bids, offers] = Side::BOTH.map(|side| side_of(&levels, symbol, side));
            for (side, expected) in Side::BOTH.into_iter().zip([&bids, &offers]) {
                let found: Vec<Level> = books.levels(book, side).collect();
                assert_eq!(&found, expected, "seed {seed}, message {at}");
            }
            let best = Best { bid: bids.first().copied(), offer: offers.first().copied() };
            assert_eq!(books.best(book), complete.then_some(best));
            if complete {
                let now = match (best.bid, best.offer) {
                    (Some(bid), Some(offer)) if bid.price > offer.price => Spread::Crossed,
                    (Some(bid), Some(offer)) if bid.price == offer.price => Spread::Locked,
                    _ => Spread::Open,
                };
                locked += u64::from(now != spreads[number] && now == Spread::Locked);
                crossed += u64::from(now != spreads[number] && now == Spread::Crossed);
                spreads[number] = now;
            }
            assert_eq!(books.spread(book), spreads[number]);
        }
        let counts = books.counts();
        assert_eq!((counts.spreads.locked, counts.spreads.crossed), (locked, crossed));
        assert_eq!((counts.unknown_levels, counts.messages), (unknown, STEPS));
        assert!(locked > 0 && crossed > 0 && unknown > 0);
        assert_eq!(books.all_levels().count(), levels.len());
    }
}
