//! Books from any bytes: as in [`market`](crate::market).
//!
//! Bytes are messages behind their lengths. What the levels say of orders, the orders say as well,
//! and looking ahead changes nothing.

use std::collections::BTreeMap;
use tickwire_market::Code;
use tickwire_market::binaryfile::BinaryFile;
use tickwire_market::book::mdp3::{self, Entry};
use tickwire_market::book::orders::OrderBooks;
use tickwire_market::book::{Side, deep, deep_plus, itch};
use tickwire_market::itch50::Message;

/// Every kind of books.
pub fn books(bytes: &[u8]) {
    let messages: Vec<Vec<u8>> = BinaryFile::new(bytes)
        .map_while(Result::ok)
        .map(|message| {
            // Few stocks, or an input would cost a table of 65 536 books.
            let mut message = message.to_vec();
            message.get_mut(1).into_iter().for_each(|high| *high = 0);
            message
        })
        .collect();
    let (mut itch, mut ahead) = (itch::Books::new(0, 8), itch::Books::new(8, 8));
    let (mut deep_plus, mut deep) = (deep_plus::Books::new(0, 8), deep::Books::new());
    for message in &messages {
        if let Ok(message) = Message::decode(message) {
            itch.apply(&message);
        }
        deep_plus.apply_bytes(message);
        deep.apply_bytes(message);
    }
    ahead.apply_all(messages.iter().map(Vec::as_slice));
    assert!(ahead.levels().eq(itch.levels()));
    assert_eq!(ahead.counts().messages, messages.len() as u64);
    check_orders(itch.orders());
    check_orders(deep_plus.orders());
    assert!(deep.all_levels().all(|(_, _, level)| level.size > 0));
    mdp3(bytes);
}

/// The levels are what the orders make.
fn check_orders(books: &OrderBooks) {
    let mut levels = BTreeMap::new();
    for order in books.orders() {
        assert_eq!(books.order(order.reference), Some(order));
        let (size, orders) = levels.entry((order.book, order.side, order.price)).or_insert((0, 0));
        *size += u64::from(order.size);
        *orders += 1;
    }
    assert!(books.live_orders() <= 8);
    let mut count = 0;
    for (book, side, level) in books.all_levels() {
        assert_eq!(levels.get(&(book, side, level.price)), Some(&(level.size, level.orders)));
        count += 1;
    }
    assert_eq!(count, levels.len());
}

/// Entries of 8 bytes, about two securities.
fn mdp3(bytes: &[u8]) {
    let mut books = mdp3::Books::new();
    for chunk in bytes.chunks_exact(8) {
        let [security, rpt_seq, action, entry_type, level, price, size, end] = chunk else {
            return;
        };
        let entry = Entry {
            entry_type: Code(b"01EFJ2"[usize::from(entry_type % 6)]),
            level: level % 16,
            price: i64::from(*price),
            size: (*size).into(),
            orders: 1,
        };
        let security = i32::from(security % 2);
        books.update(security, u32::from(rpt_seq % 8), action % 8, entry);
        if end % 2 == 0 {
            books.end_of_event();
        }
        for book in 0..2 {
            assert!(books.levels(book, mdp3::Part::Bid).len() <= usize::from(mdp3::DEPTH));
        }
    }
    let sides = books.all_levels().filter(|(_, side, _)| *side == Side::Buy).count();
    assert!(sides <= 2 * usize::from(mdp3::DEPTH));
}
