//! The other side of a FIX session, which says what a test tells it to.

#![allow(dead_code)] // Each test file uses a part of it.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tickwire_frame::Reason;
use tickwire_market::fix::{Frames, Message, MessageBuilder};
use tickwire_respond::format::client_order_id;
use tickwire_respond::session::fix::{FixSession, FixSettings, FixVersion};
use tickwire_respond::{Close, Event, EventKind, Intent, Order, Scale, Session, Side};

pub const BEGIN_NS: u64 = 1_795_253_400_000_000_000;
pub const MS: u64 = 1_000_000;

/// The other side, which says what it is told to.
pub struct Peer {
    pub version: FixVersion,
    pub session: FixSession,
    pub now_ns: u64,
    /// The number of the next message that it sends.
    pub next: u64,
    pub events: Vec<Event>,
}

impl Peer {
    pub fn of(settings: FixSettings) -> Self {
        let store = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
        let version = settings.version;
        let session = FixSession::new(settings, Scale(2), Box::new(store)).unwrap();
        Peer { version, session, now_ns: BEGIN_NS, next: 1, events: Vec::new() }
    }

    /// Connected and logged on; what was said until then is taken.
    pub fn logged_on(settings: FixSettings) -> Self {
        let mut peer = Peer::of(settings);
        peer.session.connected(peer.now_ns);
        peer.say("A", "98=0|108=30").unwrap();
        peer.heard();
        assert!(peer.session.is_ready());
        peer
    }

    pub fn bytes(&self, number: u64, kind: &str, fields: &str) -> Vec<u8> {
        let mut buffer = [0; 2048];
        let begin = self.version.begin_string();
        let mut message = MessageBuilder::new(&mut buffer, begin, kind).unwrap();
        message.field(34, number).unwrap().field(49, "XCH").unwrap().field(56, "TW").unwrap();
        let s = (self.now_ns - BEGIN_NS) / 1_000_000_000 + 34_200;
        let time = format!("20261121-{:02}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
        message.field(52, time).unwrap();
        for field in fields.split('|').filter(|field| !field.is_empty()) {
            let (tag, value) = field.split_once('=').unwrap();
            message.field(tag.parse().unwrap(), value).unwrap();
        }
        message.finish().to_vec()
    }

    pub fn say(&mut self, kind: &str, fields: &str) -> Result<(), Close> {
        self.next += 1;
        self.say_as(self.next - 1, kind, fields)
    }

    pub fn say_as(&mut self, number: u64, kind: &str, fields: &str) -> Result<(), Close> {
        let bytes = self.bytes(number, kind, fields);
        let events = &mut self.events;
        self.session.received(&bytes, self.now_ns, &mut |event| events.push(event))
    }

    /// What the session has sent since: MsgType and the fields of interest.
    pub fn heard(&mut self) -> Vec<String> {
        let bytes = self.session.output().to_vec();
        self.session.sent(bytes.len());
        let text = |message: &Message<'_>| {
            let ours = [8, 9, 10, 49, 52, 56, 60, 122];
            let fields = message.fields().flatten().filter(|field| !ours.contains(&field.tag));
            let fields =
                fields.map(|field| format!("{}={}", field.tag, field.value.escape_ascii()));
            fields.collect::<Vec<_>>().join("|")
        };
        Frames::new(&bytes).map(|message| text(&message.unwrap())).collect()
    }

    pub fn order(&mut self, number: u64, quantity: u32) -> Result<(), Reason> {
        let (side, price) = (Side::Buy, 9_950);
        let intent = Intent { rule: 0, instrument: 0, target: 0, side, price, quantity };
        let order = Order { intent, symbol: *b"INTC    ", number, at_ns: self.now_ns };
        self.session.order(&order)
    }

    /// An ExecutionReport of order `number`.
    pub fn report(&mut self, number: u64, fields: &str) {
        let id = String::from_utf8(client_order_id(number).to_vec()).unwrap();
        self.say("8", &format!("37=E|17=X|11={id}|{fields}")).unwrap();
    }

    /// What was told since.
    pub fn told(&mut self) -> Vec<(u64, EventKind)> {
        self.events.drain(..).map(|event| (event.number, event.kind)).collect()
    }

    pub fn pass(&mut self, ms: u64) -> Result<(), Close> {
        self.now_ns += ms * MS;
        self.session.tick(self.now_ns)
    }
}

pub fn settings(version: FixVersion) -> FixSettings {
    FixSettings { test_after_logon: false, ..FixSettings::new(version, "TW", "XCH") }
}
