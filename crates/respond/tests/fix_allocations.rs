//! Orders and what comes back of them allocate nothing: a counting allocator over many of them.
//! `cargo test --release … -- --nocapture` says what an order takes.

#[path = "../../frame/tests/counting/mod.rs"]
mod counting;

use counting::allocations;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;
use tickwire_market::fix::MessageBuilder;
use tickwire_respond::format::client_order_id;
use tickwire_respond::session::fix::{FixSession, FixSettings, FixVersion};
use tickwire_respond::{EventKind, Intent, Order, Scale, Session, Side};

/// 2026-11-21 09:30:00 UTC.
const BEGIN_NS: u64 = 1_795_253_400_000_000_000;

const ORDERS: u64 = 20_000;

fn order(number: u64) -> Order {
    let (side, price, quantity) = (Side::Buy, 10_000 + number as i64 % 100, 100);
    let intent = Intent { rule: 0, instrument: 0, target: 0, side, price, quantity };
    Order { intent, symbol: *b"AAPL    ", number, at_ns: BEGIN_NS + number * 1000 }
}

fn session() -> FixSession {
    let settings =
        FixSettings { test_after_logon: false, ..FixSettings::new(FixVersion::Fix44, "TW", "XCH") };
    let store = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
    let mut session = FixSession::new(settings, Scale(2), Box::new(store)).unwrap();
    session.connected(BEGIN_NS);
    let mut buffer = [0; 512];
    let logon = message(&mut buffer, "A", 1, &[(98, "0"), (108, "30")]);
    session.received(logon, BEGIN_NS, &mut |_| {}).unwrap();
    assert!(session.is_ready());
    session
}

fn message<'a>(buffer: &'a mut [u8], kind: &str, number: u64, fields: &[(u32, &str)]) -> &'a [u8] {
    let mut message = MessageBuilder::new(buffer, "FIX.4.4", kind).unwrap();
    message.field(34, number).unwrap().field(49, "XCH").unwrap().field(56, "TW").unwrap();
    message.field(52, "20261121-09:30:00").unwrap();
    for (tag, value) in fields {
        message.field(*tag, value).unwrap();
    }
    message.finish()
}

#[test]
fn orders_and_their_reports_do_not_allocate() {
    let mut session = session();
    let mut buffer = [0; 512];
    let (mut accepted, mut executed) = (0, 0);
    let before = allocations();
    for number in 1..=ORDERS {
        session.order(&order(number)).unwrap();
        session.sent(session.output().len());
        let id = client_order_id(number);
        let id = std::str::from_utf8(&id).unwrap();
        for (at, (status, done)) in [("0", "0"), ("2", "100")].into_iter().enumerate() {
            let fields = [(11, id), (150, status), (39, status), (14, done), (31, "100.00")];
            let sequence = 2 * number + at as u64;
            let report = message(&mut buffer, "8", sequence, &fields);
            let mut event = |event: tickwire_respond::Event| match event.kind {
                EventKind::Accepted => accepted += 1,
                EventKind::Executed { quantity, .. } => executed += u64::from(quantity),
                other => panic!("{other:?}"),
            };
            // Cut in two, as a stream may be.
            let (first, second) = report.split_at(report.len() / 2);
            session.received(first, BEGIN_NS, &mut event).unwrap();
            session.received(second, BEGIN_NS, &mut event).unwrap();
        }
        if number % 100 == 0 {
            session.tick(BEGIN_NS + number * 10_000_000).unwrap();
        }
    }
    assert_eq!(allocations(), before);
    assert_eq!((accepted, executed, session.orders_open()), (ORDERS, 100 * ORDERS, 0));
    assert_eq!(session.counts().unknown_orders, 0);
    drop(black_box(vec![1]));
    assert!(allocations() > before, "the allocator counts");
}

/// No limit is asserted: the machine may be busy.
#[test]
fn what_an_order_takes() {
    let mut best_ns = f64::MAX;
    for _ in 0..10 {
        let mut session = session();
        let orders: Vec<_> = (1..=10_000).map(order).collect();
        let begin = Instant::now();
        for order in &orders {
            session.order(black_box(order)).unwrap();
            session.sent(black_box(session.output()).len());
        }
        best_ns = f64::min(best_ns, begin.elapsed().as_nanos() as f64 / orders.len() as f64);
    }
    eprintln!("NewOrderSingle, numbered and written: {best_ns:.1} ns");
}
