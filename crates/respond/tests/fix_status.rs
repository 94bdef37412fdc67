//! Orders that numbers do not answer for: of before a reset, of the process before. The peer is
//! asked what became of them, by OrderStatusRequest (35=H).

#[path = "common/peer.rs"]
mod peer;

use EventKind::{Accepted, Canceled, Executed, Rejected, Unsent};
use peer::{Peer, settings};
use tickwire_frame::Reason;
use tickwire_respond::format::client_order_id;
use tickwire_respond::session::Resumed;
use tickwire_respond::session::fix::{FixSettings, FixVersion, STATUS_MS_MAX, STATUS_TRIES_MAX};
use tickwire_respond::{EventKind, Session, Side};

fn id(number: u64) -> String {
    String::from_utf8(client_order_id(number).to_vec()).unwrap()
}

fn resumed(number: u64, side: Side, executed: u32, is_answered: bool) -> Resumed {
    let (symbol, quantity, left) = (*b"INTC    ", 100, 100 - executed);
    Resumed { number, symbol, side, quantity, executed, left, is_answered }
}

/// Logged on in a process whose predecessor left these orders.
fn resuming(version: FixVersion, orders: &[Resumed]) -> Peer {
    let mut peer = Peer::of(settings(version));
    peer.session.resume(orders);
    peer.session.connected(peer.now_ns);
    assert_eq!(peer.heard(), ["35=A|34=1|98=0|108=30"]);
    peer.say("A", "98=0|108=30").unwrap();
    peer
}

#[test]
fn each_order_of_the_process_before_is_asked_for_once_both_have_caught_up() {
    let orders = [resumed(7, Side::Buy, 40, true), resumed(9, Side::SellShort, 0, false)];
    let mut peer = resuming(FixVersion::Fix44, &orders);
    let asked =
        |sequence, number, side| format!("35=H|34={sequence}|11={}|54={side}|55=INTC", id(number));
    assert_eq!(peer.heard(), [asked(2, 7, 1), asked(3, 9, 5)]);
    assert_eq!((peer.session.orders_open(), peer.session.uncertain()), (2, 2));
    // 40 were booked; the rest is gone.
    peer.report(7, "150=I|39=4|151=0|14=60|6=99.5");
    let events = [(7, Executed { quantity: 20, price: 9_950 }), (7, Canceled { quantity: 40 })];
    assert_eq!(peer.told(), events);
    peer.report(9, "150=I|39=0|151=100|14=0|6=0");
    assert_eq!((peer.told(), peer.session.uncertain()), (vec![(9, Accepted)], 0));
    // It is in the market, and goes on like any other.
    peer.report(9, "150=F|39=2|151=0|14=100|31=99.5|32=100");
    assert_eq!(peer.told(), [(9, Executed { quantity: 100, price: 9_950 })]);
    peer.pass(STATUS_MS_MAX + 1).unwrap();
    assert_eq!((peer.heard(), peer.session.orders_open()), (vec![], 0));
}

#[test]
fn what_was_missed_is_heard_before_anything_is_asked() {
    let mut peer = Peer::of(settings(FixVersion::Fix42));
    peer.session.resume(&[resumed(7, Side::Buy, 0, false), resumed(8, Side::Buy, 0, false)]);
    peer.session.connected(peer.now_ns);
    peer.say_as(2, "A", "98=0|108=30").unwrap();
    assert_eq!(peer.heard(), ["35=A|34=1|98=0|108=30", "35=2|34=2|7=1|16=0"]);
    let lost =
        format!("43=Y|122=20261121-09:30:00|37=E|17=X|11={}|150=2|39=2|151=0|14=100|31=1", id(7));
    peer.say_as(1, "8", &lost).unwrap();
    assert_eq!(peer.told(), [(7, Accepted), (7, Executed { quantity: 100, price: 100 })]);
    assert_eq!(peer.heard(), [""; 0]);
    // In the place of the Logon.
    peer.say_as(2, "4", "43=Y|122=20261121-09:30:00|123=Y|36=3").unwrap();
    assert_eq!(peer.heard(), [format!("35=H|34=3|11={}|54=1|55=INTC", id(8))]);
}

#[test]
fn an_order_that_the_peer_does_not_know_is_closed_for_that_reason() {
    for (version, status) in [(FixVersion::Fix42, "20=3|150=8"), (FixVersion::Fix44, "150=I")] {
        let mut peer = resuming(version, &[7, 8].map(|one| resumed(one, Side::Buy, 0, false)));
        assert_eq!(peer.heard().len(), 2);
        peer.report(7, &format!("{status}|39=8|103=5|151=0|14=0|6=0"));
        assert_eq!(peer.told(), [(7, Unsent(Reason::UnknownOrder))]);
        // One that it had refused; and orders are refused for being unknown in other ways, too.
        peer.report(8, &format!("{status}|39=8|103=3|151=0|14=0|6=0"));
        assert_eq!(peer.told(), [(8, Rejected(3))]);
        peer.order(20, 100).unwrap();
        peer.report(20, "150=8|39=8|103=5|151=0|14=0");
        assert_eq!(peer.told(), [(20, Rejected(5))]);
        assert_eq!((peer.session.orders_open(), peer.session.counts().unknown_orders), (0, 0));
    }
}

#[test]
fn no_answer_is_waited_for_and_no_refusal_taken_for_one() {
    let one = [resumed(7, Side::Sell, 0, true)];
    let mut peer = resuming(FixVersion::Fix44, &one);
    let mut asked = peer.heard().len();
    for _ in 0..STATUS_TRIES_MAX + 2 {
        // The peer is there: it is the status that it says nothing of.
        peer.say("0", "").unwrap();
        peer.pass(STATUS_MS_MAX + 1).unwrap();
        asked += peer.heard().iter().filter(|text| text.starts_with("35=H")).count();
    }
    assert_eq!((asked, peer.session.uncertain()), (STATUS_TRIES_MAX as usize, 1));

    // The message is not known there, whatever it names.
    let mut peer = resuming(FixVersion::Fix44, &one);
    peer.heard();
    peer.say("j", &format!("45=2|372=H|379={}|380=3", id(7))).unwrap();
    assert_eq!((peer.told(), peer.session.uncertain()), (vec![], 1));
    peer.say("0", "").unwrap();
    peer.pass(STATUS_MS_MAX + 1).unwrap();
    assert!(peer.heard().iter().all(|text| !text.starts_with("35=H")));
    // The next connection is another chance.
    peer.session.disconnected(peer.now_ns, &mut |event| panic!("{event:?}"));
    peer.session.connected(peer.now_ns);
    peer.say("A", "98=0|108=30").unwrap();
    assert!(peer.heard().iter().any(|text| text.starts_with("35=H")));
    assert_eq!(peer.session.orders_open(), 1);
}

#[test]
fn many_are_asked_for_as_far_as_there_is_room() {
    let orders: Vec<_> = (1..=2_000).map(|number| resumed(number, Side::Buy, 0, true)).collect();
    let mut peer = resuming(FixVersion::Fix42, &orders);
    let mut asked = Vec::new();
    for _ in 0..100 {
        asked.extend(peer.heard().into_iter().filter(|text| text.starts_with("35=H")));
        peer.pass(100).unwrap();
    }
    let ids: Vec<_> = orders.iter().map(|order| format!("|11={}|", id(order.number))).collect();
    assert_eq!(asked.len(), ids.len());
    assert!(asked.iter().zip(&ids).all(|(text, id)| text.contains(id)));
}

#[test]
fn numbers_begin_again_where_that_was_agreed_on() {
    let resets = FixSettings { reset_on_logon: true, ..settings(FixVersion::Fix44) };
    let mut peer = Peer::logged_on(resets);
    peer.order(7, 100).unwrap();
    peer.heard();
    peer.session.disconnected(peer.now_ns, &mut |event| panic!("{event:?}"));
    peer.session.connected(peer.now_ns);
    assert_eq!(peer.heard(), ["35=A|34=1|98=0|108=30|141=Y"]);
    peer.next = 1;
    peer.say("A", "98=0|108=30|141=Y").unwrap();
    // What became of 7 no number says: it is asked for, and is not what has number 3 now.
    assert_eq!((peer.session.sequence(), peer.session.orders_open()), ((3, 2), 1));
    assert_eq!(peer.heard(), [format!("35=H|34=2|11={}|54=1|55=INTC", id(7))]);
    peer.order(8, 100).unwrap();
    peer.say("2", "7=2|16=0").unwrap();
    assert_eq!(peer.told(), [(8, Unsent(Reason::NotConnected))]);
    peer.report(7, "150=I|39=2|151=0|14=100|6=99.5");
    assert_eq!(peer.told(), [(7, Accepted), (7, Executed { quantity: 100, price: 9_950 })]);

    let may = FixSettings { peer_may_reset: true, ..settings(FixVersion::Fix44) };
    let mut peer = Peer::logged_on(may);
    peer.say_as(1, "A", "98=0|108=30|141=Y").unwrap();
    assert_eq!(peer.heard(), ["35=A|34=1|98=0|108=30|141=Y"]);
    assert_eq!((peer.session.sequence(), peer.session.is_ready()), ((2, 2), true));
    let mut peer = Peer::logged_on(settings(FixVersion::Fix44));
    let close = peer.say_as(1, "A", "98=0|108=30|141=Y").unwrap_err();
    assert!(!close.reconnect && close.why.contains("peer_may_reset"), "{close}");
}
