//! What an exchange may say, and must not: word by word. The long run is in `tests/soup.rs`.

use super::*;
use crate::format::{Ouch42, Ouch50};
use crate::order::EventKind;
use crate::order::{Intent, Side};
use crate::session::Secret;
use tickwire_market::soupbintcp::{
    DebugBuilder, EndOfSessionBuilder, LoginAcceptedBuilder, LoginRejectedBuilder, SequencedData,
    ServerHeartbeatBuilder,
};
use tickwire_market::{Code, Price};

const SCALE: Scale = Scale(4);
const SECOND_NS: u64 = 1_000_000_000;

fn session(ouch: &Ouch) -> SoupSession {
    let settings = SoupSettings {
        username: "user".into(),
        password: Secret("secret".into()),
        ..SoupSettings::default()
    };
    SoupSession::new(&settings, ouch, SCALE).unwrap()
}

fn ouch42() -> Ouch {
    Ouch::V42(Ouch42::default())
}

fn order(number: u64, quantity: u32) -> Order {
    let (side, price) = (Side::Buy, 1_000_000);
    let intent = Intent { rule: 0, instrument: 0, target: 0, side, price, quantity };
    Order { intent, symbol: *b"AAPL    ", number, at_ns: 0 }
}

fn token(number: u64) -> Ascii<14> {
    let mut token = Ascii([b' '; 14]);
    token.0[..13].copy_from_slice(&client_order_id(number));
    token
}

fn packet(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0; 2 + bytes.len()];
    soup::write_packet(&mut out, bytes).unwrap();
    out
}

fn said(message: &[u8]) -> Vec<u8> {
    packet(&[&[SequencedData::TYPE], message].concat())
}

fn login(session: &str, next: u64) -> Vec<u8> {
    let accepted = LoginAcceptedBuilder::new()
        .session(Ascii::right(session).unwrap())
        .sequence_number(soup::text(next));
    packet(accepted.as_bytes())
}

/// All that it wants sent, taken by the transport.
fn take(session: &mut SoupSession) -> Vec<u8> {
    let bytes = session.output().to_vec();
    session.sent(bytes.len());
    bytes
}

fn receive(session: &mut SoupSession, bytes: &[u8]) -> Result<Vec<Event>, Close> {
    let mut events = Vec::new();
    session.received(bytes, 0, &mut |event| events.push(event)).map(|()| events)
}

fn disconnect(session: &mut SoupSession) -> Vec<Event> {
    let mut events = Vec::new();
    session.disconnected(0, &mut |event| events.push(event));
    events
}

/// Logged in, with what it said taken.
fn ready(ouch: &Ouch) -> SoupSession {
    let mut session = session(ouch);
    session.connected(0);
    receive(&mut session, &login("DAY", 1)).unwrap();
    take(&mut session);
    session
}

fn accepted(number: u64, quantity: u32, state: u8) -> Vec<u8> {
    let accepted = ouch42::AcceptedBuilder::new()
        .order_token(token(number))
        .shares(quantity)
        .order_state(Code(state));
    said(accepted.as_bytes())
}

#[test]
fn it_logs_in_and_asks_again_from_the_next_number_on() {
    let mut session = session(&ouch42());
    assert_eq!(session.order(&order(1, 1)), Err(Reason::NotConnected));
    session.connected(0);
    let expected = b"\0\x2fLuser  secret                                 0";
    assert_eq!(take(&mut session), expected);
    assert_eq!((session.is_ready(), session.position()), (false, None));
    assert_eq!(session.order(&order(1, 1)), Err(Reason::NotConnected));
    receive(&mut session, &login("DAY", 41)).unwrap();
    assert!(session.is_ready());
    receive(&mut session, &said(ouch42::SystemEventBuilder::new().as_bytes())).unwrap();
    assert_eq!(session.position(), Some((Ascii::right("DAY").unwrap(), 42)));
    assert_eq!(disconnect(&mut session), []);
    // A login that is lost changes nothing.
    for _ in 0..2 {
        session.connected(0);
        let expected = b"\0\x2fLuser  secret           DAY                  42";
        assert_eq!(take(&mut session), expected);
        assert_eq!(disconnect(&mut session), []);
        assert_eq!(session.position().unwrap().1, 42);
    }
}

#[test]
fn logins_that_go_wrong_say_why_and_whether_to_try_again() {
    let rejected =
        |code| packet(LoginRejectedBuilder::new().reject_reason_code(Code(code)).as_bytes());
    let heartbeat = packet(ServerHeartbeatBuilder::new().as_bytes());
    for (answer, reconnect, words) in [
        (rejected(b'A'), false, "check username and password"),
        (rejected(b'S'), false, "no such session"),
        (rejected(b'?'), false, "reason of its own"),
        (login("OTHER", 5), false, "gives session OTHER from 5 on"),
        (login("DAY", 6), false, "from message 5 on"),
        (login("DAY", 4), false, "from message 5 on"),
        (packet(&[b"A".as_slice(), &[b'x'; 30]].concat()), false, "gives session"),
        (packet(EndOfSessionBuilder::new().as_bytes()), false, "ended the session"),
        (said(b"S"), true, "before it took the login"),
        (packet(b"A"), true, "is cut"),
        (packet(b""), true, "is cut"),
        (packet(b"R"), true, "not for it to send"),
        (packet(b"?"), true, "not for it to send"),
    ] {
        let settings =
            SoupSettings { session: "DAY".into(), next_sequence: 5, ..SoupSettings::default() };
        let mut session = SoupSession::new(&settings, &ouch42(), SCALE).unwrap();
        session.connected(0);
        receive(&mut session, &heartbeat).unwrap();
        receive(&mut session, &packet(DebugBuilder::new().as_bytes())).unwrap();
        let close = receive(&mut session, &answer).unwrap_err();
        assert_eq!(close.reconnect, reconnect, "{close}");
        assert!(close.why.contains(words), "{close}");
        assert!(!session.is_ready());
    }
    let mut session = ready(&ouch42());
    let close = receive(&mut session, &login("DAY", 1)).unwrap_err();
    assert!(close.why.contains("not for it to send"), "{close}");
}

#[test]
fn settings_that_do_not_fit_are_named() {
    for (settings, name) in [
        (SoupSettings { username: "usérs".into(), ..SoupSettings::default() }, "username"),
        (
            SoupSettings { password: Secret("elevenchars".into()), ..SoupSettings::default() },
            "password",
        ),
        (SoupSettings { session: "sessión".into(), ..SoupSettings::default() }, "session"),
    ] {
        let error = SoupSession::new(&settings, &ouch42(), SCALE).unwrap_err();
        assert!(error.to_string().starts_with(name), "{error}");
        assert!(!format!("{settings:?}").contains("elevenchars"));
    }
    let ouch = Ouch::V42(Ouch42 { firm: "LIMES".into(), ..Ouch42::default() });
    let error = SoupSession::new(&SoupSettings::default(), &ouch, SCALE).unwrap_err();
    assert!(error.to_string().starts_with("firm is"), "{error}");
}

#[test]
fn an_order_is_followed_from_its_bytes_to_its_end() {
    let mut session = ready(&ouch42());
    session.order(&order(7, 100)).unwrap();
    let bytes = take(&mut session);
    let Ok(Packet::UnsequencedData(data)) = Packet::decode(&bytes[2..]) else { panic!() };
    let entered = ouch42::EnterOrder::parse(data.rest()).unwrap();
    assert_eq!((entered.order_token(), entered.shares()), (token(7), 100));
    assert_eq!(bytes[..2], [0, 50]);
    let event = |kind| vec![Event { number: 7, kind }];
    let events = receive(&mut session, &accepted(7, 100, b'L')).unwrap();
    assert_eq!(events, event(EventKind::Accepted));
    let executed = ouch42::ExecutedBuilder::new()
        .order_token(token(7))
        .executed_shares(60)
        .execution_price(Price(999_900));
    let events = receive(&mut session, &said(executed.as_bytes())).unwrap();
    assert_eq!(events, event(EventKind::Executed { quantity: 60, price: 999_900 }));
    assert_eq!(session.open_orders().collect::<Vec<_>>(), [7]);
    let canceled = ouch42::CanceledBuilder::new().order_token(token(7)).decrement_shares(40);
    let events = receive(&mut session, &said(canceled.as_bytes())).unwrap();
    assert_eq!(events, event(EventKind::Canceled { quantity: 40 }));
    assert_eq!((session.open_orders().count(), session.counts()), (0, SoupCounts::default()));
}

#[test]
fn an_order_that_is_accepted_in_part_or_dead_is_cancelled_for_the_rest() {
    let mut session = ready(&ouch42());
    for (number, said, gone) in [(1, accepted(1, 70, b'L'), 30), (2, accepted(2, 100, b'D'), 100)] {
        session.order(&order(number, 100)).unwrap();
        let kinds = [EventKind::Accepted, EventKind::Canceled { quantity: gone }];
        assert_eq!(receive(&mut session, &said).unwrap(), kinds.map(|kind| Event { number, kind }));
    }
    assert_eq!(session.open_orders().collect::<Vec<_>>(), [1]);
}

#[test]
fn what_cannot_be_true_is_counted_and_no_event() {
    let mut session = ready(&ouch42());
    session.order(&order(1, 100)).unwrap();
    assert_eq!(receive(&mut session, &accepted(2, 100, b'L')).unwrap(), []);
    let foreign = ouch42::RejectedBuilder::new().order_token(Ascii(*b"THEIR-ORDER-77"));
    assert_eq!(receive(&mut session, &said(foreign.as_bytes())).unwrap(), []);
    assert_eq!(session.counts().unknown_orders, 2);
    assert_eq!(receive(&mut session, &accepted(1, 101, b'L')).unwrap().len(), 1);
    let executed = ouch42::ExecutedBuilder::new().order_token(token(1)).executed_shares(101);
    let events = receive(&mut session, &said(executed.as_bytes())).unwrap();
    assert_eq!(events[0].kind, EventKind::Executed { quantity: 100, price: 0 });
    receive(&mut session, &said(b"E short")).unwrap();
    receive(&mut session, &said(ouch42::BrokenTradeBuilder::new().as_bytes())).unwrap();
    let expected =
        SoupCounts { unknown_orders: 2, too_many_shares: 2, corrections: 1, unreadable: 1 };
    assert_eq!(session.counts(), expected);
}

#[test]
fn what_was_not_taken_whole_never_arrived_and_the_rest_is_cancelled() {
    let mut session = ready(&ouch42());
    for number in 1..=3 {
        session.order(&order(number, 100)).unwrap();
    }
    // The first went, of the second all but a byte.
    session.sent(52 + 51);
    let kind = EventKind::Unsent(Reason::NotConnected);
    let unsent = |number| Event { number, kind };
    assert_eq!(disconnect(&mut session), [unsent(2), unsent(3)]);
    assert_eq!(disconnect(&mut session), []);
    assert_eq!(session.uncertain_orders().collect::<Vec<_>>(), [1]);
    session.connected(0);
    take(&mut session);
    receive(&mut session, &login("DAY", 1)).unwrap();
    let cancel = ouch42::CancelOrderBuilder::new().order_token(token(1)).shares(0);
    assert_eq!(take(&mut session), packet(&[b"U", &cancel.as_bytes()[..]].concat()));
    // An answer to an order of this connection: had the first arrived, it would have been said.
    session.order(&order(4, 1)).unwrap();
    let events = receive(&mut session, &accepted(4, 1, b'L')).unwrap();
    assert_eq!(events, [Event { number: 4, kind: EventKind::Accepted }, unsent(1)]);
    assert_eq!(receive(&mut session, &accepted(1, 100, b'L')).unwrap(), []);
    assert_eq!(session.counts().unknown_orders, 1);
}

#[test]
fn what_is_never_mentioned_is_unsent_after_a_while() {
    let mut session = ready(&ouch42());
    session.order(&order(1, 100)).unwrap();
    take(&mut session);
    disconnect(&mut session);
    session.connected(0);
    receive(&mut session, &login("DAY", 1)).unwrap();
    let heartbeat = packet(ServerHeartbeatBuilder::new().as_bytes());
    for tenth in 1..50 {
        session.tick(tenth * SECOND_NS / 10).unwrap();
        assert_eq!(receive(&mut session, &heartbeat).unwrap(), [], "{tenth}");
    }
    session.tick(5 * SECOND_NS).unwrap();
    let unsent = Event { number: 1, kind: EventKind::Unsent(Reason::NotConnected) };
    assert_eq!(receive(&mut session, &heartbeat).unwrap(), [unsent]);
}

#[test]
fn ouch_50_is_asked_which_number_is_next() {
    let mut session = ready(&Ouch::V50(Ouch50::default()));
    let response = |next| {
        let response = ouch50::AccountQueryResponseBuilder::new().next_user_ref_num(next);
        said(response.as_bytes())
    };
    assert_eq!(session.order(&order(1, 1)), Err(Reason::NotConnected));
    receive(&mut session, &response(10)).unwrap();
    for number in 1..=2 {
        session.order(&order(number, 1)).unwrap();
    }
    let bytes = take(&mut session);
    assert_eq!((bytes[3], &bytes[4..8]), (b'O', &[0, 0, 0, 10][..]));
    disconnect(&mut session);
    session.connected(0);
    take(&mut session);
    receive(&mut session, &login("DAY", 2)).unwrap();
    let cancel = |number| {
        let cancel = ouch50::CancelOrderBuilder::new().user_ref_num(number).quantity(0);
        packet(&[b"U", &cancel.as_bytes()[..]].concat())
    };
    let query = packet(b"UQ");
    assert_eq!(take(&mut session), [query, cancel(10), cancel(11)].concat());
    let accepted = ouch50::OrderAcceptedBuilder::new().user_ref_num(10).quantity(1);
    let events = receive(&mut session, &said(accepted.as_bytes())).unwrap();
    assert_eq!(events, [Event { number: 1, kind: EventKind::Accepted }]);
    // The second is not known there: its number is still free, and never used again here.
    let events = receive(&mut session, &response(11)).unwrap();
    let kind = EventKind::Unsent(Reason::NotConnected);
    assert_eq!(events, [Event { number: 2, kind }]);
    session.order(&order(3, 1)).unwrap();
    assert_eq!(session.output()[4..8], [0, 0, 0, 11]);
    // An exchange that forgets its numbers does not make us use one twice at a time.
    disconnect(&mut session);
    session.connected(0);
    receive(&mut session, &login("DAY", 4)).unwrap();
    receive(&mut session, &response(3)).unwrap();
    take(&mut session);
    session.order(&order(4, 1)).unwrap();
    assert_eq!(session.output()[4..8], [0, 0, 0, 11]);
}

#[test]
fn heartbeats_go_out_in_time_and_silence_ends_it() {
    let mut session = ready(&ouch42());
    let (mut heartbeats, mut now_ns) = (0, 0);
    for _ in 0..149 {
        now_ns += SECOND_NS / 10;
        session.tick(now_ns).unwrap();
        let bytes = take(&mut session);
        assert!(bytes.is_empty() || bytes == b"\0\x01R");
        heartbeats += u32::from(!bytes.is_empty());
    }
    assert!((15..=17).contains(&heartbeats), "{heartbeats}");
    let close = session.tick(now_ns + SECOND_NS / 10).unwrap_err();
    assert!(close.reconnect && close.why.contains("15 seconds"), "{close}");
}

#[test]
fn a_clock_that_is_set_ends_nothing() {
    let mut session = ready(&ouch42());
    session.tick(1_000 * SECOND_NS).unwrap();
    session.tick(2_000 * SECOND_NS).unwrap();
    session.tick(0).unwrap();
    session.tick(SECOND_NS / 10).unwrap();
    assert!(session.is_ready());
}

#[test]
fn a_peer_that_takes_nothing_is_refused_more_and_a_logout_is_the_last_word() {
    let mut session = ready(&ouch42());
    let taken = (1..).take_while(|&number| session.order(&order(number, 1)).is_ok()).count();
    assert_eq!(taken, super::super::OUTPUT_BYTES_MAX / 52);
    assert_eq!(session.order(&order(9_999, 1)), Err(Reason::OutputQueueFull));
    assert_eq!(session.open_orders().count(), taken);
    take(&mut session);
    assert_eq!(session.order(&order(10_000, 0)), Err(Reason::NotRepresentable));
    assert_eq!(session.order(&order(10_000, 1_000_000)), Err(Reason::NotRepresentable));
    assert_eq!(session.output(), b"");
    session.logout(0);
    assert_eq!((take(&mut session), session.is_ready()), (b"\0\x01O".to_vec(), false));
    assert_eq!(session.order(&order(10_000, 1)), Err(Reason::NotConnected));
    assert_eq!(receive(&mut session, &accepted(1, 1, b'L')).unwrap().len(), 1);
}
