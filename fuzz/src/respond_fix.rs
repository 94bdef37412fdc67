//! What a peer of a FIX session says, message by message, each with the right length and sum: so
//! that what is changed is what a message says, and not only whether it is one.
//!
//! Beside that nothing panics: no event is about an order that was not sent or is over, none is
//! executed beyond what was ordered, and what the session sends is messages with growing numbers.

use crate::mutate::Mutated;
use crate::packets::Sample;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tickwire_frame::LinkType;
use tickwire_market::fix::{Frames, check_sum};
use tickwire_respond::format::client_order_id;
use tickwire_respond::session::OUTPUT_BYTES_MAX;
use tickwire_respond::session::fix::{FixSession, FixSettings, FixVersion};
use tickwire_respond::{Event, EventKind, Intent, Order, Scale, Session, Side};

/// 2026-11-21 09:30:00 UTC.
const BEGIN_NS: u64 = 1_795_253_400_000_000_000;

/// How many orders may be open: few, so that there are too many.
const ORDERS_OPEN_MAX: usize = 4;

/// Conversations, in the form of [`conversation`].
pub fn samples() -> Vec<Sample> {
    let header = |number: u64| format!("34={number}|49=THEM|56=US|52=20261121-09:30:00");
    let report = |number: u64, fields: &str| {
        let id = String::from_utf8_lossy(&client_order_id(number)).into_owned();
        format!("8|HEAD|37=E|17=X|11={id}|{fields}")
    };
    let conversations = [
        vec![
            "!".into(),
            "!".into(),
            report(1, "150=0|39=0|151=100|14=0|6=0|20=0"),
            report(1, "150=F|39=1|151=60|14=40|31=99.5|32=40"),
            report(2, "150=8|39=8|151=0|14=0|103=3"),
            report(1, "150=4|39=4|151=0|14=40"),
            "!".into(),
            "3|HEAD|45=4|371=55|372=D|373=5".into(),
            ".".into(),
        ],
        vec![
            "!".into(),
            "1|HEAD|112=HELLO".into(),
            "2|HEAD|7=1|16=0".into(),
            "!".into(),
            "j|HEAD|45=4|372=D|380=4".into(),
            "9|HEAD|37=E|11=x|41=y|39=0|434=1".into(),
            "4|HEAD|43=Y|122=20261121-09:29:00|36=9|123=Y".into(),
            "4|HEAD|36=12|123=N".into(),
        ],
        vec![
            "!".into(),
            "!".into(),
            "#".into(),
            "A|HEAD|98=0|108=1|141=Y".into(),
            report(1, "150=D|39=0|151=30|14=10"),
            "!".into(),
            ".".into(),
            "0|HEAD|112=3".into(),
            report(3, "150=2|39=2|151=0|14=100|6=99"),
            "5|HEAD|58=end of day".into(),
        ],
    ];
    let text = |(choice, lines): (usize, Vec<String>)| {
        let mut text = format!("{choice}\nA|{}|98=0|108=30", header(1));
        let mut number = 2;
        for line in lines {
            text += &format!("\n{}", line.replace("HEAD", &header(number)));
            match line.as_str() {
                "#" => number = 1,
                line => number += u64::from(line.contains("HEAD")),
            }
        }
        Sample { name: "respond_fix", link: LinkType::ETHERNET, bytes: text.into_bytes() }
    };
    conversations.into_iter().enumerate().map(text).collect()
}

/// As a stage.
pub fn check(packet: &Mutated<'_>) {
    _ = conversation(packet.bytes);
}

/// The first byte chooses settings. Each line is a message, from its type on and with `|` between
/// fields, or `!` for an order, `.` for time that passes, `#` for another connection. Gives the
/// number of events.
pub fn conversation(bytes: &[u8]) -> usize {
    let Some((&choice, lines)) = bytes.split_first() else { return 0 };
    let mut talk = Talk::new(choice);
    let mut wire = Vec::new();
    for line in lines.split(|&byte| byte == b'\n') {
        match line {
            b"" => {}
            b"!" => talk.order(),
            b"." => talk.pass(),
            b"#" => talk.connect_again(),
            line => {
                write(line, talk.version, &mut wire);
                // Cut in two, anywhere.
                let (first, second) = wire.split_at(usize::from(choice) % wire.len());
                talk.receive(first);
                talk.receive(second);
            }
        }
    }
    talk.take();
    talk.events
}

/// A message that is one, whatever it says.
fn write(line: &[u8], version: FixVersion, wire: &mut Vec<u8>) {
    wire.clear();
    let length = "35=".len() + line.len() + 1;
    wire.extend(format!("8={}\x019={length}\x0135=", version.begin_string()).bytes());
    wire.extend(line.iter().map(|&byte| if byte == b'|' { 1 } else { byte }));
    wire.push(1);
    let sum = check_sum(wire);
    wire.extend(format!("10={sum:03}\x01").bytes());
}

/// What is left of each order that is not over, and whether it was accepted.
type Orders = HashMap<u64, (u32, bool)>;

struct Talk {
    version: FixVersion,
    session: FixSession,
    now_ns: u64,
    next: u64,
    orders: Orders,
    events: usize,
    /// The number of the last message that was sent for the first time.
    sent: u64,
    /// How often numbers went back.
    begun_again: u64,
}

impl Talk {
    fn new(choice: u8) -> Self {
        let version = [FixVersion::Fix42, FixVersion::Fix44][usize::from(choice & 1)];
        let settings = FixSettings {
            test_after_logon: choice & 2 != 0 && choice & 0x40 != 0,
            reset_on_logon: choice & 4 != 0,
            peer_may_reset: choice & 2 != 0,
            resend_orders_ms: u64::from(choice & 8) * 1000,
            orders_open_max: ORDERS_OPEN_MAX,
            ..FixSettings::new(version, "US", "THEM")
        };
        let store = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
        let session = FixSession::new(settings, Scale(2), Box::new(store)).expect("good settings");
        let mut talk = Talk {
            version,
            session,
            now_ns: BEGIN_NS,
            next: 1,
            orders: Orders::new(),
            events: 0,
            sent: 0,
            begun_again: 0,
        };
        talk.session.connected(talk.now_ns);
        talk
    }

    fn order(&mut self) {
        let (side, price, quantity) = (Side::Buy, 9_950, 100);
        let intent = Intent { rule: 0, instrument: 0, target: 0, side, price, quantity };
        let (number, at_ns) = (self.next, self.now_ns);
        let order = Order { intent, symbol: *b"AAPL    ", number, at_ns };
        if self.session.order(&order).is_ok() {
            self.orders.insert(number, (quantity, false));
            self.next += 1;
        }
        assert!(self.session.orders_open() <= ORDERS_OPEN_MAX);
    }

    fn pass(&mut self) {
        self.now_ns += 7_000_000_000;
        _ = self.session.tick(self.now_ns);
        self.take();
    }

    fn connect_again(&mut self) {
        let (orders, events) = (&mut self.orders, &mut self.events);
        self.session.disconnected(self.now_ns, &mut |event| {
            note(orders, event);
            *events += 1;
        });
        self.session.connected(self.now_ns);
    }

    fn receive(&mut self, bytes: &[u8]) {
        let (orders, events) = (&mut self.orders, &mut self.events);
        _ = self.session.received(bytes, self.now_ns, &mut |event| {
            note(orders, event);
            *events += 1;
        });
        assert!(self.session.output().len() <= OUTPUT_BYTES_MAX);
        assert_eq!(self.session.orders_open(), self.orders.len());
    }

    /// What the session sends is messages, and their numbers grow but for a reset.
    fn take(&mut self) {
        let resets = self.session.counts().resets;
        let mut frames = Frames::new(self.session.output());
        for message in frames.by_ref() {
            let message = message.expect("a message");
            if message.get(43) == Some(b"Y") {
                continue;
            }
            let number = std::str::from_utf8(message.get(34).expect("a number"));
            let number: u64 = number.expect("digits").parse().expect("a number");
            if number <= self.sent {
                assert!(self.begun_again < resets, "{number} again");
                self.begun_again += 1;
            }
            self.sent = number;
        }
        assert!(frames.rest().is_empty());
        self.session.sent(self.session.output().len());
    }
}

/// An event must be about an order that is not over, and no more of it than is left.
fn note(orders: &mut Orders, event: Event) {
    let Some((left, is_accepted)) = orders.get_mut(&event.number) else {
        panic!("an event about an order that was not sent, or is over: {event:?}");
    };
    let gone = match event.kind {
        EventKind::Accepted => {
            assert!(!std::mem::replace(is_accepted, true), "accepted again: {event:?}");
            0
        }
        EventKind::Executed { quantity, .. } | EventKind::Canceled { quantity } => quantity,
        EventKind::Rejected(_) | EventKind::Unsent(_) => *left,
    };
    assert!(gone > 0 || event.kind == EventKind::Accepted, "about nothing: {event:?}");
    *left = left.checked_sub(gone).unwrap_or_else(|| panic!("more than was left: {event:?}"));
    if *left == 0 {
        orders.remove(&event.number);
    }
}
