//! ITCH 5.0 against its specification as a table, and over the files of the corpus against what an
//! independent program made of them.

mod common;

use common::{corpus, random_bytes};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use tickwire_market::binaryfile::{BinaryFile, lacks_lengths};
use tickwire_market::itch50::Message;
use tickwire_market::{Error, Value};

/// The specification's tables, not made from ours: type, length and name, then name, offset, length
/// and type of each field.
const SPECIFICATION: &str = include_str!("golden/itch50.txt");

#[test]
fn every_message_is_as_specified() {
    let mut ours: Vec<String> = Message::TYPES
        .iter()
        .map(|&(letter, _, fields)| {
            let len = Message::len_of(letter).unwrap();
            let mut text = format!("{} {len}\n", char::from(letter));
            for field in fields {
                let bytes = [1; 64];
                let kind = match field.value(&bytes).unwrap() {
                    Value::Unsigned(_) | Value::SinceMidnight(_) => "Integer",
                    Value::Price { decimals: 4, .. } => "Price(4)",
                    Value::Price { decimals: 8, .. } => "Price(8)",
                    Value::Text(_) => "Alpha",
                    other => panic!("{other:?} in ITCH"),
                };
                writeln!(text, "  {} {} {} {kind}", field.name, field.offset, field.len).unwrap();
            }
            text
        })
        .collect();
    let mut theirs = Vec::new();
    for line in SPECIFICATION.lines() {
        match line.strip_prefix("  ") {
            None => theirs.push(line.splitn(3, ' ').take(2).collect::<Vec<_>>().join(" ") + "\n"),
            Some(_) => *theirs.last_mut().unwrap() += &format!("{line}\n"),
        }
    }
    ours.sort();
    theirs.sort();
    assert_eq!(theirs.len(), 23);
    assert_eq!(ours, theirs);
}

#[test]
fn every_type_is_written_as_it_was_read_and_named_when_it_is_cut() {
    let mut out = [0; 64];
    for (seed, &(letter, ..)) in Message::TYPES.iter().enumerate() {
        let len = Message::len_of(letter).unwrap();
        for round in 0..100 {
            let mut bytes = random_bytes::<64>((seed * 1000 + round) as u64);
            bytes[0] = letter;
            let message = Message::decode(&bytes).unwrap();
            assert_eq!(message.message_type(), letter);
            assert_eq!(message.write(&mut out), Ok(len));
            assert_eq!(out[..len], bytes[..len]);
        }
        for available in 1..len {
            match Message::decode(&[letter; 64][..available]).unwrap_err() {
                Error::Truncated { needed, available: found, .. } => {
                    assert_eq!((needed, found), (len, available));
                }
                other => panic!("{other}"),
            }
        }
    }
}

/// What a follower of the file knows at its end.
#[derive(Debug, Default)]
struct Tally {
    messages: usize,
    by_type: BTreeMap<char, u64>,
    unresolved: BTreeMap<char, u64>,
    executed: BTreeMap<String, u64>,
    traded: BTreeMap<String, u64>,
    orders: HashMap<u64, Order>,
}

#[derive(Clone, Debug)]
struct Order {
    stock: String,
    side: char,
    price: u32,
    shares: u32,
}

impl Tally {
    fn read(file: BinaryFile<'_>) -> Self {
        let mut tally = Tally::default();
        file.for_each(|message| tally.apply(Message::decode(message.unwrap()).unwrap()));
        tally
    }

    fn apply(&mut self, message: Message<'_>) {
        self.messages += 1;
        let letter = char::from(message.message_type());
        *self.by_type.entry(letter).or_default() += 1;
        let known = match message {
            Message::AddOrder(add) => self.add(
                add.order_reference_number(),
                Order {
                    stock: add.stock().to_string(),
                    side: add.buy_sell_indicator().0.into(),
                    price: add.price().0,
                    shares: add.shares(),
                },
            ),
            Message::AddOrderWithMpid(add) => self.add(
                add.order_reference_number(),
                Order {
                    stock: add.stock().to_string(),
                    side: add.buy_sell_indicator().0.into(),
                    price: add.price().0,
                    shares: add.shares(),
                },
            ),
            Message::OrderExecuted(e) => {
                self.execute(e.order_reference_number(), e.executed_shares())
            }
            Message::OrderExecutedWithPrice(e) => {
                self.execute(e.order_reference_number(), e.executed_shares())
            }
            Message::OrderCancel(cancel) => {
                self.take(cancel.order_reference_number(), cancel.cancelled_shares()).is_some()
            }
            Message::OrderDelete(delete) => {
                self.orders.remove(&delete.order_reference_number()).is_some()
            }
            Message::OrderReplace(replace) => {
                let old = self.orders.remove(&replace.original_order_reference_number());
                old.is_some_and(|old| {
                    let (price, shares) = (replace.price().0, replace.shares());
                    self.add(replace.new_order_reference_number(), Order { price, shares, ..old })
                })
            }
            Message::Trade(trade) => {
                let shares = u64::from(trade.shares());
                *self.traded.entry(trade.stock().to_string()).or_default() += shares;
                true
            }
            _ => true,
        };
        if !known {
            *self.unresolved.entry(letter).or_default() += 1;
        }
    }

    fn add(&mut self, reference: u64, order: Order) -> bool {
        self.orders.insert(reference, order);
        true
    }

    /// Takes shares off an order; its stock.
    fn take(&mut self, reference: u64, shares: u32) -> Option<String> {
        let order = self.orders.get_mut(&reference)?;
        order.shares = order.shares.saturating_sub(shares);
        let stock = order.stock.clone();
        if order.shares == 0 {
            self.orders.remove(&reference);
        }
        Some(stock)
    }

    fn execute(&mut self, reference: u64, shares: u32) -> bool {
        let stock = self.take(reference, shares);
        stock.map(|stock| *self.executed.entry(stock).or_default() += u64::from(shares)).is_some()
    }

    /// `SYMBOL|B or S|price × 10^4|shares`, sorted.
    fn levels(&self) -> String {
        let mut levels = BTreeMap::<(&str, char, u32), u64>::new();
        for Order { stock, side, price, shares } in self.orders.values() {
            *levels.entry((stock, *side, *price)).or_default() += u64::from(*shares);
        }
        let line = |((stock, side, price), shares)| format!("{stock}|{side}|{price}|{shares}");
        let mut lines: Vec<String> = levels.into_iter().map(line).collect();
        lines.sort();
        lines.join("\n")
    }
}

fn counts<K: ToString, V: Copy + Into<u64>>(counts: &BTreeMap<K, V>) -> serde_json::Value {
    counts.iter().map(|(key, &count)| (key.to_string(), count.into())).collect()
}

#[test]
fn the_sample_file_gives_the_expected_messages_and_books() {
    let Some(folder) = corpus("market/itch", "the_sample_file_gives_the_expected_messages") else {
        return;
    };
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let expected: serde_json::Value = serde_json::from_slice(&read("RITCH.expected.json")).unwrap();
    let levels = String::from_utf8(read("RITCH.levels.txt")).unwrap();
    let prefixed = read("ex20101224.TEST_ITCH_50.binaryfile");
    let published = read("ex20101224.TEST_ITCH_50");
    assert!(lacks_lengths(&published, Message::len_of));
    assert!(!lacks_lengths(&prefixed, Message::len_of));
    for file in [BinaryFile::new(&prefixed), BinaryFile::by_type(&published, Message::len_of)] {
        let tally = Tally::read(file);
        assert_eq!(expected["messages"], tally.messages);
        assert_eq!(expected["by_type"], counts(&tally.by_type));
        assert_eq!(expected["unresolved_references"], counts(&tally.unresolved));
        assert_eq!(expected["executed_shares_E_C"], counts(&tally.executed));
        assert_eq!(expected["noncross_trade_shares_P"], counts(&tally.traded));
        assert_eq!(expected["live_orders_at_end"], tally.orders.len());
        assert_eq!(tally.levels(), levels.trim_end());
    }
}
