//! A FIX session and what a peer says to it, message by message.

#[path = "common/peer.rs"]
mod peer;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tickwire_frame::Reason;
use tickwire_respond::format::client_order_id;
use tickwire_respond::session::Secret;
use tickwire_respond::session::fix::{
    FixSession, FixSettings, FixVersion, LOGON_MS_MAX, LOGOUT_MS_MAX, RESEND_MS_MAX,
    RESEND_TRIES_MAX,
};
use tickwire_respond::{EventKind, Scale, Session};

use EventKind::{Accepted, Canceled, Executed, Rejected, Unsent};
use peer::{BEGIN_NS, MS, Peer, settings};

#[test]
fn an_order_and_all_that_can_become_of_it() {
    let executed = |quantity, price| Executed { quantity, price };
    let canceled = |quantity| Canceled { quantity };
    let cases: &[(&[&str], &[EventKind])] = &[
        (&["150=0|39=0|151=100|14=0|6=0"], &[Accepted]),
        (&["150=A|39=A|151=100|14=0", "150=0|39=0|151=100|14=0"], &[Accepted]),
        (&["150=8|39=8|151=0|14=0|103=3"], &[Rejected(3)]),
        (&["150=8|39=8|151=0|14=0"], &[Rejected(99)]),
        (&["150=0|39=0|14=0", "150=8|39=8|14=0|103=0"], &[Accepted, Rejected(0)]),
        (&["150=F|39=2|151=0|14=100|31=99.5|32=100"], &[Accepted, executed(100, 9_950)]),
        (
            &[
                "150=1|39=1|151=60|14=40.00|31=99.4|32=40|20=0",
                "150=2|39=2|151=0|14=100|31=99.45|20=0",
            ],
            &[Accepted, executed(40, 9_940), executed(60, 9_945)],
        ),
        // A report that comes twice, and one that got lost.
        (
            &["150=F|39=1|14=40|31=99", "150=F|39=1|14=40|31=99", "150=F|39=1|14=70|31=98|32=10"],
            &[Accepted, executed(40, 9_900), executed(30, 9_800)],
        ),
        (
            &["150=F|39=1|14=40|31=99", "150=4|39=4|14=40|151=0"],
            &[Accepted, executed(40, 9_900), canceled(60)],
        ),
        (&["150=C|39=C|14=0|151=0"], &[Accepted, canceled(100)]),
        (&["150=3|39=3|14=0|151=0"], &[Accepted, canceled(100)]),
        (
            &["150=0|39=0|14=0|151=100", "150=D|39=0|14=0|151=30", "150=F|39=2|14=30|31=1|151=0"],
            &[Accepted, canceled(70), executed(30, 100)],
        ),
        (&["150=6|39=6|14=0|151=100", "150=4|39=4|14=0|151=0"], &[Accepted, canceled(100)]),
        // More than was ordered.
        (&["150=F|39=2|14=150|31=99|151=0"], &[Accepted, executed(100, 9_900)]),
    ];
    for version in [FixVersion::Fix42, FixVersion::Fix44] {
        for (reports, expected) in cases {
            let mut peer = Peer::logged_on(settings(version));
            peer.order(7, 100).unwrap();
            reports.iter().for_each(|fields| peer.report(7, fields));
            let told: Vec<_> = peer
                .told()
                .into_iter()
                .map(|(number, kind)| {
                    assert_eq!(number, 7);
                    kind
                })
                .collect();
            assert_eq!(&told, expected, "{reports:?}");
            let left: i64 = expected.iter().fold(100, |left, kind| match kind {
                Executed { quantity, .. } | Canceled { quantity } => left - i64::from(*quantity),
                Rejected(_) => 0,
                _ => left,
            });
            assert_eq!(peer.session.orders_open(), usize::from(left > 0), "{reports:?}");
        }
    }
}

#[test]
fn reports_that_cannot_be_believed_change_nothing() {
    let mut peer = Peer::logged_on(settings(FixVersion::Fix44));
    peer.order(7, 100).unwrap();
    peer.heard();
    // Of no order, of one that was never sent, of an execution that was taken back.
    peer.say("8", "37=E|17=X|150=0|39=0|14=0").unwrap();
    peer.report(8, "150=0|39=0|14=0|151=100");
    peer.report(7, "150=H|39=0|14=0|151=100");
    peer.report(7, "150=0|39=0|20=1|14=0|151=100");
    assert_eq!(peer.heard(), [""; 0]);
    // In a format that is none: refused, and no more.
    for (fields, tag) in [("14=1.5", 14), ("14=x", 14), ("14=0|151=-1", 151), ("14=1|31=a", 31)] {
        peer.report(7, &format!("150=F|39=1|{fields}"));
        let heard = peer.heard();
        assert!(heard[0].contains(&format!("|371={tag}|372=8|373=6")), "{heard:?}");
    }
    assert_eq!(peer.told(), []);
    let counts = peer.session.counts();
    assert_eq!((counts.unknown_orders, counts.doubtful, counts.rejected), (2, 2, 4));
    // Somebody else could not cancel it.
    peer.say("9", "37=E|11=other|41=x|39=0|434=1").unwrap();
    assert_eq!((peer.heard(), peer.session.orders_open()), (vec![], 1));
}

#[test]
fn an_order_that_is_refused_by_its_message() {
    let mut peer = Peer::logged_on(settings(FixVersion::Fix42));
    for number in 7..=9 {
        peer.order(number, 100).unwrap();
    }
    peer.say("3", "45=2|371=55|372=D|373=5").unwrap();
    peer.say("j", "45=3|372=D|380=4").unwrap();
    let id = String::from_utf8(client_order_id(9).to_vec()).unwrap();
    peer.say("j", &format!("372=D|379={id}|380=6")).unwrap();
    assert_eq!(peer.told(), [(7, Rejected(5)), (8, Rejected(4)), (9, Rejected(6))]);
    peer.say("3", "45=0").unwrap();
    peer.say("3", "45=99|373=5").unwrap();
    peer.say("j", "372=D|380=6").unwrap();
    assert_eq!((peer.told(), peer.session.orders_open()), (vec![], 0));
}

/// Whatever a peer asks for again, no order that it may have is said not to have arrived.
#[test]
fn what_is_asked_for_again_is_filled_in() {
    let mut peer = Peer::logged_on(settings(FixVersion::Fix44));
    for number in 7..=10 {
        peer.order(number, 100).unwrap();
    }
    peer.heard();
    peer.report(8, "150=0|39=0|14=0|151=100");
    peer.told();
    // The answer to 8 says that 7 was handled; 8 is known; 9 has not arrived.
    peer.say("2", "7=1|16=4").unwrap();
    assert_eq!(peer.heard(), ["35=4|34=1|43=Y|36=5|123=Y"]);
    assert_eq!(peer.told(), [(9, Unsent(Reason::NotConnected))]);
    // A request that was on its way meanwhile: 10 may have been handled since.
    peer.say("2", "7=2|16=0").unwrap();
    assert_eq!(peer.heard(), ["35=4|34=2|43=Y|36=5|123=Y"]);
    assert_eq!(peer.told(), []);
    peer.say("2", "7=5|16=0").unwrap();
    assert_eq!(peer.heard(), ["35=4|34=5|43=Y|36=6|123=Y"]);
    assert_eq!(peer.told(), [(10, Unsent(Reason::NotConnected))]);
    // Nothing of that number was sent.
    for range in ["7=0|16=0", "7=99|16=0", "7=3|16=2"] {
        peer.say("2", range).unwrap();
        assert!(peer.heard()[0].contains("|371=7|372=2|373=5"), "{range}");
    }
    peer.say("2", "7=1").unwrap();
    assert!(peer.heard()[0].contains("|371=16|372=2|373=1"));
}

#[test]
fn young_orders_are_sent_again_if_that_is_wanted() {
    let settings = FixSettings { resend_orders_ms: 500, ..settings(FixVersion::Fix44) };
    let mut peer = Peer::logged_on(settings);
    peer.order(7, 100).unwrap();
    peer.now_ns += 499 * MS;
    peer.order(8, 200).unwrap();
    peer.heard();
    peer.say("2", "7=1|16=0").unwrap();
    let heard = peer.heard();
    assert_eq!(heard.len(), 3, "{heard:?}");
    assert!(heard[1].contains("34=2|43=Y|") && heard[2].contains("34=3|43=Y|"), "{heard:?}");
    peer.now_ns += MS;
    peer.say("2", "7=1|16=0").unwrap();
    let heard = peer.heard();
    assert_eq!(heard[0], "35=4|34=1|43=Y|36=2|123=Y", "{heard:?}");
    // The peer may have got it by now.
    assert_eq!((heard.len(), peer.told().len()), (1, 0), "{heard:?}");
}

#[test]
fn more_orders_than_the_output_holds_are_sent_again_in_parts() {
    let settings = FixSettings { resend_orders_ms: u64::MAX, ..settings(FixVersion::Fix44) };
    let mut peer = Peer::logged_on(settings);
    for number in 1..=1_000 {
        peer.order(number, 100).unwrap();
        peer.heard();
    }
    let (mut missing, mut parts) = (2, 0);
    while missing <= 1_001 {
        peer.say("2", &format!("7={missing}|16=0")).unwrap();
        let heard = peer.heard();
        assert!(heard.iter().all(|order| order.starts_with("35=D|")) && heard.len() > 100);
        (missing, parts) = (missing + heard.len(), parts + 1);
    }
    assert!(missing == 1_002 && parts > 1, "{missing} {parts}");
    assert_eq!((peer.told(), peer.session.orders_open()), (vec![], 1_000));
}

#[test]
fn orders_wait_until_both_sides_have_caught_up() {
    let mut peer = Peer::of(FixSettings::new(FixVersion::Fix44, "TW", "XCH"));
    assert_eq!(peer.order(1, 1), Err(Reason::NotConnected));
    peer.session.connected(peer.now_ns);
    assert_eq!(peer.heard(), ["35=A|34=1|98=0|108=30"]);
    assert_eq!(peer.order(1, 1), Err(Reason::NotConnected));
    peer.say("A", "98=0|108=30").unwrap();
    assert_eq!(peer.heard(), ["35=1|34=2|112=2"]);
    assert_eq!(peer.order(1, 1), Err(Reason::NotConnected));
    peer.say("0", "112=1").unwrap();
    assert!(!peer.session.is_ready());
    peer.say("0", "112=2").unwrap();
    assert_eq!(peer.order(1, 1), Ok(()));
    peer.heard();
    // Something is missing: 5 is there before 4.
    peer.say_as(5, "0", "").unwrap();
    assert_eq!(peer.heard(), ["35=2|34=4|7=4|16=0"]);
    assert_eq!(peer.order(2, 1), Err(Reason::NotConnected));
    peer.say_as(4, "4", "43=Y|36=6|123=Y").unwrap();
    assert_eq!(peer.order(2, 1), Ok(()));
    assert_eq!(peer.session.sequence(), (6, 6));
}

#[test]
fn a_test_that_was_filled_in_is_made_again() {
    let mut peer = Peer::of(FixSettings::new(FixVersion::Fix44, "TW", "XCH"));
    peer.session.connected(peer.now_ns);
    peer.say("A", "98=0|108=30").unwrap();
    assert_eq!(peer.heard(), ["35=A|34=1|98=0|108=30", "35=1|34=2|112=2"]);
    // It misses what came before the Logon, and reads the TestRequest only as a part of that.
    peer.say("2", "7=1|16=0").unwrap();
    assert_eq!(peer.heard(), ["35=4|34=1|43=Y|36=3|123=Y", "35=1|34=3|112=3"]);
    peer.say("0", "112=3").unwrap();
    assert_eq!(peer.order(1, 1), Ok(()));
}

#[test]
fn what_does_not_come_is_asked_for_three_times() {
    let mut peer = Peer::logged_on(settings(FixVersion::Fix44));
    peer.say_as(5, "0", "").unwrap();
    for tries in 1..RESEND_TRIES_MAX {
        assert_eq!(peer.heard(), [format!("35=2|34={}|7=2|16=0", 1 + tries)]);
        peer.pass(RESEND_MS_MAX).unwrap();
        assert_eq!(peer.heard(), [""; 0]);
        peer.say_as(6 + u64::from(tries), "0", "").unwrap();
        peer.pass(1).unwrap();
    }
    peer.heard();
    peer.say_as(9, "0", "").unwrap();
    let close = peer.pass(RESEND_MS_MAX + 1).unwrap_err();
    assert!(!close.reconnect && close.why.contains("message 2 was asked for 3 times"), "{close}");
    assert!(peer.heard()[0].starts_with("35=5|"));
}

#[test]
fn a_peer_that_says_nothing_is_left() {
    let mut peer = Peer::of(settings(FixVersion::Fix44));
    peer.session.connected(peer.now_ns);
    peer.pass(LOGON_MS_MAX).unwrap();
    let close = peer.pass(1).unwrap_err();
    assert!(close.reconnect && close.why.contains("no Logon came within 10000 ms"), "{close}");

    let mut peer = Peer::logged_on(settings(FixVersion::Fix44));
    peer.pass(29_999).unwrap();
    assert_eq!(peer.heard(), [""; 0]);
    peer.pass(1).unwrap();
    assert_eq!(peer.heard(), ["35=0|34=2"]);
    peer.pass(6_001).unwrap();
    assert_eq!(peer.heard(), ["35=1|34=3|112=3"]);
    peer.pass(36_000).unwrap();
    let close = peer.pass(1).unwrap_err();
    assert!(close.reconnect && close.why.contains("silent"), "{close}");
}

#[test]
fn a_clock_that_jumps_closes_nothing() {
    let settings = FixSettings { sending_time_s_max: None, ..settings(FixVersion::Fix44) };
    let mut peer = Peer::logged_on(settings);
    peer.pass(3_600_000).unwrap();
    assert_eq!(peer.heard(), ["35=1|34=2|112=2"]);
    peer.say("0", "112=2").unwrap();
    peer.now_ns -= 3_600_000 * MS;
    peer.pass(0).unwrap();
    peer.pass(30_000).unwrap();
    assert_eq!(peer.heard(), ["35=0|34=3"]);
    peer.pass(6_001).unwrap();
    assert_eq!(peer.heard(), ["35=1|34=4|112=4"]);
}

#[test]
fn leave_is_taken_in_good_order() {
    let mut peer = Peer::logged_on(settings(FixVersion::Fix44));
    peer.order(7, 100).unwrap();
    peer.heard();
    peer.session.logout(peer.now_ns);
    assert_eq!(peer.heard(), ["35=5|34=3"]);
    assert_eq!(peer.order(8, 100), Err(Reason::NotConnected));
    // What it had to say is heard.
    peer.report(7, "150=0|39=0|14=0|151=100");
    assert_eq!(peer.told(), [(7, Accepted)]);
    let close = peer.say("5", "").unwrap_err();
    assert_eq!((close.reconnect, close.why.as_str()), (false, "logged out"));
    assert_eq!(peer.heard(), [""; 0]);

    let mut peer = Peer::logged_on(settings(FixVersion::Fix44));
    peer.session.logout(peer.now_ns);
    peer.pass(LOGOUT_MS_MAX).unwrap();
    assert!(!peer.pass(1).unwrap_err().reconnect);
    let mut peer = Peer::logged_on(settings(FixVersion::Fix44));
    let close = peer.say("5", "58=end of day").unwrap_err();
    assert!(close.reconnect && close.why.ends_with("says \"end of day\""), "{close}");
    assert_eq!(peer.heard(), ["35=5|34=2"]);
}

#[test]
fn a_logon_that_is_not_as_agreed_ends_it() {
    for (kind, fields, expected) in [
        ("5", "58=unknown user", "refuses our Logon and says \"unknown user\""),
        ("3", "45=1", "refuses our Logon"),
        ("8", "", "type 8, and no Logon"),
        ("A", "98=1|108=30", "EncryptMethod (98)"),
        ("A", "98=0|108=30|141=Y", "peer_may_reset"),
    ] {
        let mut peer = Peer::of(settings(FixVersion::Fix44));
        peer.session.connected(peer.now_ns);
        let close = peer.say(kind, fields).unwrap_err();
        assert!(!close.reconnect && close.why.contains(expected), "{close}");
        assert!(!peer.session.is_ready());
        // Nothing is heard any more.
        peer.say("A", "98=0|108=30").unwrap();
        assert!(!peer.session.is_ready());
    }
    let mut peer = Peer::of(settings(FixVersion::Fix44));
    peer.session.connected(peer.now_ns);
    let close = peer.session.received(b"HTTP/1.1 400 Bad Request\r\n", peer.now_ns, &mut |_| {});
    let close = close.unwrap_err();
    assert!(close.why.starts_with("no Logon came: it does not begin with 8=FIX"), "{close}");
}

/// A second session whose peer has lost its numbers.
#[test]
fn numbers_that_went_back_are_for_a_person_to_look_at() {
    let mut peer = Peer::logged_on(settings(FixVersion::Fix44));
    peer.say("0", "").unwrap();
    peer.session.disconnected(peer.now_ns, &mut |_| {});
    peer.session.connected(peer.now_ns);
    assert_eq!(peer.heard(), ["35=A|34=2|98=0|108=30"]);
    let close = peer.say_as(1, "A", "98=0|108=30").unwrap_err();
    assert!(!close.reconnect && close.why.contains("expecting 3 but received 1"), "{close}");
    let expected = "35=5|34=3|58=MsgSeqNum too low, expecting 3 but received 1";
    assert_eq!(peer.heard(), [expected]);
    assert_eq!(peer.session.counts().sequence_errors, 1);
}

#[test]
fn what_has_not_left_whole_was_not_sent() {
    let mut peer = Peer::logged_on(settings(FixVersion::Fix44));
    for number in 7..=9 {
        peer.order(number, 100).unwrap();
    }
    let len = peer.session.output().len() / 3;
    peer.session.sent(2 * len - 1);
    let mut events = Vec::new();
    peer.session.disconnected(peer.now_ns, &mut |event| events.push((event.number, event.kind)));
    let unsent = Unsent(Reason::NotConnected);
    assert_eq!(events, [(9, unsent), (8, unsent)]);
    // Their numbers are gone all the same: the peer asks for them, and they are filled in.
    peer.session.connected(peer.now_ns);
    assert_eq!(peer.heard(), ["35=A|34=5|98=0|108=30"]);
    peer.say("A", "98=0|108=30").unwrap();
    peer.say("2", "7=3|16=0").unwrap();
    assert_eq!(peer.heard(), ["35=4|34=3|43=Y|36=6|123=Y"]);
    peer.report(7, "150=0|39=0|14=0|151=100");
    assert_eq!(peer.told(), [(7, Accepted)]);
}

#[test]
fn what_waits_is_bounded() {
    let open = FixSettings { orders_open_max: 3, ..settings(FixVersion::Fix44) };
    let mut peer = Peer::logged_on(open);
    let orders: Vec<_> = (1..=4).map(|number| peer.order(number, 1)).collect();
    assert_eq!(orders, [Ok(()), Ok(()), Ok(()), Err(Reason::InFlightMax)]);
    peer.report(2, "150=8|39=8|14=0|151=0|103=0");
    assert_eq!(peer.order(4, 1), Ok(()));
    peer.report(2, "150=0|39=0|14=0|151=1");
    assert_eq!((peer.told(), peer.session.counts().unknown_orders), (vec![(2, Rejected(0))], 1));
    assert_eq!(peer.order(4, 1), Err(Reason::InFlightMax));

    let mut peer = Peer::logged_on(settings(FixVersion::Fix44));
    let first = (1..).map(|number| peer.order(number, 1)).find_map(Result::err);
    assert_eq!(first, Some(Reason::OutputQueueFull));
    let (next, _) = peer.session.sequence();
    // The session's own messages have room yet, until a peer asks for too many.
    peer.say("1", "112=here").unwrap();
    let close = (0..10_000).find_map(|_| peer.say("1", "112=there").err()).unwrap();
    assert!(close.reconnect && close.why.contains("does not read"), "{close}");
    peer.heard();
    assert!(peer.session.sequence().0 > next);
}

#[test]
fn a_message_without_an_end_ends_it() {
    let mut peer = Peer::logged_on(settings(FixVersion::Fix44));
    let mut receive = |bytes: &[u8]| peer.session.received(bytes, BEGIN_NS, &mut |_| {});
    receive(b"8=FIX.4.4\x019=1000000\x0135=8\x01").unwrap();
    let close = (0..100).find_map(|_| receive(&[b'x'; 4096]).err()).unwrap();
    assert!(!close.reconnect && close.why.contains("longer than 65536 bytes"), "{close}");
}

#[test]
fn settings_that_cannot_be_are_named_with_their_cure() {
    let refused = |change: &dyn Fn(&mut FixSettings)| {
        let mut settings = settings(FixVersion::Fix44);
        change(&mut settings);
        let store = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
        FixSession::new(settings, Scale(2), Box::new(store)).unwrap_err().to_string()
    };
    let text = "is empty, longer than 128 bytes or holds SOH: write plain text";
    assert_eq!(refused(&|s| s.sender.clear()), format!("`sender` {text}"));
    assert_eq!(refused(&|s| s.target = "a\x01".to_owned()), format!("`target` {text}"));
    assert_eq!(
        refused(&|s| s.password = Some(Secret("x".repeat(129)))),
        format!("`password` {text}")
    );
    assert!(refused(&|s| s.heartbeat_s = 0).starts_with("`heartbeat_s` is out of range: write 1"));
    assert!(refused(&|s| s.orders_open_max = 0).contains("`orders_open_max` is out of range"));
    assert!(refused(&|s| s.price_decimals = 3).contains("more than the 2 decimals"));
    let field = |tag, text: &str| vec![(tag, text.to_owned())];
    assert_eq!(
        refused(&|s| s.order_fields = field(44, "1")),
        "`order_fields` sets field 44, which is the session's own: leave it out"
    );
    assert!(refused(&|s| s.logon_fields = field(98, "1")).contains("`logon_fields` sets field 98"));
    assert!(
        refused(&|s| s.header_fields = field(34, "1")).contains("`header_fields` sets field 34")
    );
    let many = |text: &str| vec![(58, text.repeat(100)); 12];
    assert!(refused(&|s| s.order_fields = many("x")).contains("make an order too long"));
    assert!(refused(&|s| s.logon_fields = vec![(58, "x".repeat(100)); 40]).contains("the Logon"));
    let password = Some(Secret("hunter2".to_owned()));
    let secret = FixSettings { password, ..settings(FixVersion::Fix42) };
    assert!(!format!("{secret:?}").contains("hunter2"));
}
