//! Books from ITCH 5.0 against a model that is too simple to be wrong, over random messages, and
//! over the files of the corpus against what an independent program made of them.

mod common;

use common::{Random, corpus};
use std::collections::{BTreeMap, BTreeSet};
use tickwire_market::binaryfile::{BinaryFile, lacks_lengths};
use tickwire_market::book::itch::{Books, Counts};
use tickwire_market::book::orders::{Counts as OrderCounts, Order};
use tickwire_market::book::{Best, Change, Level, Side, Spread};
use tickwire_market::itch50::{self, Message};
use tickwire_market::{Ascii, Code, Price};

fn weight(change: Change) -> u32 {
    match change {
        Change::None => 0,
        Change::Depth { .. } => 1,
        Change::Best { .. } => 2,
    }
}

/// Every order by its reference; all else is counted anew whenever it is asked for.
#[derive(Debug, Default)]
struct Model {
    orders: BTreeMap<u64, Order>,
    counts: OrderCounts,
    unresolved: BTreeMap<u8, u64>,
}

impl Model {
    fn levels(&self, book: u16, side: Side) -> Vec<Level> {
        let mut levels = BTreeMap::<i64, Level>::new();
        for order in self.orders.values().filter(|o| (o.book, o.side) == (book, side)) {
            let none = Level { price: order.price, size: 0, orders: 0 };
            let level = levels.entry(order.price).or_insert(none);
            level.size += u64::from(order.size);
            level.orders += 1;
        }
        match side {
            Side::Buy => levels.into_values().rev().collect(),
            Side::Sell => levels.into_values().collect(),
        }
    }

    fn best(&self, book: u16) -> Best {
        let best = |side| self.levels(book, side).first().copied();
        Best { bid: best(Side::Buy), offer: best(Side::Sell) }
    }

    fn spread(&self, book: u16) -> Spread {
        match self.best(book) {
            Best { bid: Some(bid), offer: Some(offer) } if bid.price > offer.price => {
                Spread::Crossed
            }
            Best { bid: Some(bid), offer: Some(offer) } if bid.price == offer.price => {
                Spread::Locked
            }
            _ => Spread::Open,
        }
    }

    /// Does something to one book and counts what that means for it; what changed.
    fn change(&mut self, book: u16, what: impl FnOnce(&mut Self)) -> Change {
        let (before, best) = (self.spread(book), self.best(book));
        let sides = Side::BOTH.map(|side| self.levels(book, side));
        what(self);
        let now = self.spread(book);
        let counts = &mut self.counts.spreads;
        counts.locked += u64::from(before != now && now == Spread::Locked);
        counts.crossed += u64::from(before != now && now == Spread::Crossed);
        match () {
            () if best != self.best(book) => Change::Best { book },
            () if sides != Side::BOTH.map(|side| self.levels(book, side)) => Change::Depth { book },
            () => Change::None,
        }
    }

    fn add(&mut self, order: Order) -> Change {
        if order.size == 0 {
            self.counts.zero_sizes += 1;
            return Change::None;
        }
        let evicted = self.evict(order.reference);
        let change =
            self.change(order.book, |model| _ = model.orders.insert(order.reference, order));
        if evicted.book() == change.book() && weight(evicted) > weight(change) {
            return evicted;
        }
        change
    }

    fn evict(&mut self, reference: u64) -> Change {
        let Some(old) = self.orders.get(&reference) else { return Change::None };
        self.counts.duplicates += 1;
        self.change(old.book, |model| _ = model.orders.remove(&reference))
    }

    fn unresolved(&mut self, letter: u8) -> Change {
        *self.unresolved.entry(letter).or_default() += 1;
        Change::None
    }

    fn reduce(&mut self, letter: u8, reference: u64, shares: u32) -> Change {
        let Some(&order) = self.orders.get(&reference) else { return self.unresolved(letter) };
        self.counts.zero_sizes += u64::from(shares == 0);
        self.counts.overfills += u64::from(shares > order.size);
        self.change(order.book, |model| match order.size.saturating_sub(shares) {
            0 => _ = model.orders.remove(&reference),
            size => _ = model.orders.insert(reference, Order { size, ..order }),
        })
    }

    fn remove(&mut self, reference: u64) -> Change {
        let Some(order) = self.orders.get(&reference) else { return self.unresolved(b'D') };
        self.change(order.book, |model| _ = model.orders.remove(&reference))
    }

    fn replace(&mut self, old: u64, new: u64, price: i64, size: u32) -> Change {
        let Some(&order) = self.orders.get(&old) else { return self.unresolved(b'U') };
        self.counts.zero_sizes += u64::from(size == 0);
        if old != new && size != 0 {
            self.evict(new);
        }
        self.change(order.book, |model| {
            model.orders.remove(&old);
            if size != 0 {
                model.orders.insert(new, Order { reference: new, price, size, ..order });
            }
        })
    }
}

/// A message of any kind, about few orders and prices so that they meet, and what the model makes
/// of it.
fn step(model: &mut Model, numbers: &mut Random) -> (Vec<u8>, Change) {
    // Some references lie far apart, some follow each other.
    let reference = |numbers: &mut Random| match numbers.below(60) {
        small @ 0..40 => small,
        large => u64::MAX - (large << 33),
    };
    let (one, other) = (reference(numbers), reference(numbers));
    let (book, side) = (numbers.below(3) as u16, Side::BOTH[numbers.below(2) as usize]);
    // Bids and offers overlap a little; many levels lie far from the best one.
    let middle = 1_000 + 20 * numbers.below(2) as u32 * side as u32;
    let price = middle + numbers.below(30) as u32;
    let shares = numbers.below(5) as u32 * 50;
    macro_rules! message {
        ($builder:ident $(, $field:ident: $value:expr)*) => {
            itch50::$builder::new().stock_locate(book) $( .$field($value) )*.as_bytes().to_vec()
        };
    }
    macro_rules! add {
        ($builder:ident) => {{
            let order = Order { reference: one, book, side, price: price.into(), size: shares };
            let code = Code(side.letter() as u8);
            let stock = Ascii([b'A' + book as u8; 8]);
            let message = message!($builder, order_reference_number: one,
                buy_sell_indicator: code, shares: shares, price: Price(price), stock: stock);
            (message, model.add(order))
        }};
    }
    match numbers.below(100) {
        0..40 => add!(AddOrderBuilder),
        40..45 => add!(AddOrderWithMpidBuilder),
        45..55 => {
            let change = model.reduce(b'E', one, shares);
            let message = message!(OrderExecutedBuilder, order_reference_number: one,
                executed_shares: shares);
            (message, change)
        }
        55..60 => {
            let change = model.reduce(b'C', one, shares);
            let message = message!(OrderExecutedWithPriceBuilder, order_reference_number: one,
                executed_shares: shares, execution_price: Price(1));
            (message, change)
        }
        60..70 => {
            let change = model.reduce(b'X', one, shares);
            let message =
                message!(OrderCancelBuilder, order_reference_number: one, cancelled_shares: shares);
            (message, change)
        }
        70..80 => (message!(OrderDeleteBuilder, order_reference_number: one), model.remove(one)),
        80..95 => {
            let change = model.replace(one, other, price.into(), shares);
            let message = message!(OrderReplaceBuilder, original_order_reference_number: one,
                new_order_reference_number: other, price: Price(price), shares: shares);
            (message, change)
        }
        95..99 => (message!(TradeBuilder, order_reference_number: one, shares: 7), Change::None),
        _ => (b"?\0\x01new".to_vec(), Change::None),
    }
}

/// Messages of a run in a debug build.
const STEPS: u64 = if cfg!(debug_assertions) { 5_000 } else { 50_000 };

#[test]
fn random_messages_give_the_books_of_the_model() {
    for seed in 0..8 {
        let (mut numbers, mut model) = (Random(seed), Model::default());
        let (mut books, mut messages) = (Books::default(), Vec::new());
        for at in 0..STEPS {
            let (message, expected) = step(&mut model, &mut numbers);
            let change = books.apply(&Message::decode(&message).unwrap());
            check_change(&message, change, expected);
            messages.push(message);
            let orders = books.orders();
            for book in 0..3 {
                assert_eq!(orders.best(book), model.best(book), "seed {seed}, message {at}");
                assert_eq!(orders.spread(book), model.spread(book), "seed {seed}, message {at}");
            }
            assert_eq!(orders.counts(), model.counts, "seed {seed}, message {at}");
            assert_eq!(orders.live_orders(), model.orders.len());
            if at % 16 == 0 {
                check_all(&books, &model);
            }
        }
        let unresolved: BTreeMap<u8, u64> = books.unresolved().collect();
        assert_eq!(unresolved, model.unresolved);
        assert_eq!(unresolved.len(), 5, "messages of every type had nothing to refer to");
        assert!(books.counts().wrong_locates > 0 && books.counts().unknown_types > 0);
        // The same messages with a look ahead.
        let mut again = Books::new(0, 1_000);
        again.apply_all(messages.iter().map(Vec::as_slice));
        check_all(&again, &model);
        assert_eq!((again.counts(), again.orders().counts()), (books.counts(), model.counts));
    }
}

/// A change is told as it is; of a replacement by its like, the book is told as well.
fn check_change(message: &[u8], change: Change, expected: Change) {
    let more = message[0] == b'U' && weight(change) > weight(expected);
    assert!(change == expected || more, "{}: {change:?}, {expected:?}", char::from(message[0]));
}

fn check_all(books: &Books, model: &Model) {
    let all: BTreeSet<_> = books.orders().orders().map(|order| format!("{order:?}")).collect();
    let expected = model.orders.values().map(|order| format!("{order:?}")).collect();
    assert_eq!(all, expected);
    for book in 0..3 {
        for side in Side::BOTH {
            let levels: Vec<Level> = books.orders().levels(book, side).collect();
            assert_eq!(levels, model.levels(book, side));
        }
    }
    for &reference in model.orders.keys() {
        assert_eq!(books.orders().order(reference), model.orders.get(&reference).copied());
    }
}

#[test]
fn a_day_begins_with_empty_books_and_names_its_stocks() {
    let mut books = Books::default();
    let mut apply = |message: &[u8]| books.apply(&Message::decode(message).unwrap());
    let directory = itch50::StockDirectoryBuilder::new().stock_locate(7);
    apply(directory.stock(Ascii(*b"AAPL    ")).as_bytes());
    let action = itch50::StockTradingActionBuilder::new().stock_locate(7);
    apply(action.trading_state(Code(b'T')).as_bytes());
    let add = itch50::AddOrderBuilder::new().shares(1).price(Price(5));
    let add = add.buy_sell_indicator(Code(b'S'));
    apply(add.stock_locate(7).stock(Ascii(*b"AAPL    ")).as_bytes());
    let other = add.order_reference_number(1).stock_locate(7).stock(Ascii(*b"MSFT    "));
    apply(other.as_bytes());
    apply(add.order_reference_number(2).stock_locate(9).stock(Ascii(*b"ZVZZT   ")).as_bytes());
    apply(add.order_reference_number(3).stock_locate(9).buy_sell_indicator(Code(b'?')).as_bytes());
    books.apply_all([&b"A\0\x07cut"[..], b""]);
    let counts = Counts {
        messages: 8,
        truncated: 2,
        unknown_locates: 1,
        wrong_stocks: 2,
        unknown_sides: 1,
        ..Counts::default()
    };
    assert_eq!(books.counts(), counts);
    assert_eq!((books.locate(Ascii(*b"AAPL    ")), books.trading_state(7)), (Some(7), Code(b'T')));
    assert_eq!((books.locate(Ascii(*b"        ")), books.trading_state(9)), (None, Code(b'H')));
    assert_eq!((books.stock(9), books.stock(1)), (Some(Ascii(*b"ZVZZT   ")), None));
    assert_eq!((books.orders().live_orders(), books.levels().count()), (3, 2));
    let start = itch50::SystemEventBuilder::new().event_code(Code(b'O'));
    books.apply(&Message::decode(start.as_bytes()).unwrap());
    assert_eq!((books.orders().live_orders(), books.stock(7)), (0, None));
    assert_eq!(books.counts(), Counts { messages: 9, ..counts });
}

/// `SYMBOL|B or S|price × 10^4|shares`, sorted.
fn lines(books: &Books) -> String {
    let line = |(stock, side, level): (itch50::Stock, Side, Level)| {
        format!("{stock}|{}|{}|{}", side.letter(), level.price, level.size)
    };
    let mut lines: Vec<String> = books.levels().map(line).collect();
    lines.sort();
    lines.join("\n")
}

#[test]
fn the_sample_file_gives_the_expected_books() {
    let Some(folder) = corpus("market/itch", "the_sample_file_gives_the_expected_books") else {
        return;
    };
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let expected: serde_json::Value = serde_json::from_slice(&read("RITCH.expected.json")).unwrap();
    let levels = String::from_utf8(read("RITCH.levels.txt")).unwrap();
    let prefixed = read("ex20101224.TEST_ITCH_50.binaryfile");
    let published = read("ex20101224.TEST_ITCH_50");
    assert!(lacks_lengths(&published, Message::len_of));
    for file in [BinaryFile::new(&prefixed), BinaryFile::by_type(&published, Message::len_of)] {
        let mut books = Books::default();
        let mut executed = BTreeMap::<String, u64>::new();
        for bytes in file.clone() {
            let message = Message::decode(bytes.unwrap()).unwrap();
            if let Message::OrderExecuted(e) = message
                && let Some(order) = books.orders().order(e.order_reference_number())
            {
                let stock = books.stock(order.book).unwrap().to_string();
                *executed.entry(stock).or_default() += u64::from(e.executed_shares());
            }
            books.apply(&message);
        }
        let unresolved = books.unresolved().map(|(letter, n)| (char::from(letter).to_string(), n));
        let unresolved: BTreeMap<String, u64> = unresolved.collect();
        assert_eq!(expected["messages"], books.counts().messages);
        assert_eq!(expected["unresolved_references"], serde_json::json!(unresolved));
        assert_eq!(expected["executed_shares_E_C"], serde_json::json!(executed));
        assert_eq!(expected["live_orders_at_end"], books.orders().live_orders());
        assert_eq!(expected["final_levels"], books.levels().count());
        assert_eq!(lines(&books), levels.trim_end());
        assert_eq!(books.trading_state(2), Code(b'T'));
        let mut again = Books::default();
        again.apply_all(file.map(Result::unwrap));
        assert_eq!((lines(&again), again.counts()), (lines(&books), books.counts()));
    }
}
