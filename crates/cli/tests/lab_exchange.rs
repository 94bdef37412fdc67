//! `tickwire lab exchange`: what it takes, says, counts and writes; over loopback, without
//! privileges.

mod common;

use common::{Folder, Running, command, run};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tickwire_respond::format::{ByteOrder, Encoder, Format, Ouch42, Ouch50};
use tickwire_respond::session::fix::{FixSession, FixSettings, FixVersion};
use tickwire_respond::session::{Ouch, PlainSession, SoupSession, SoupSettings};
use tickwire_respond::{Event, EventKind, Intent, Order, Scale, Session, Side};

/// What comes comes within this time, on a busy machine too.
const WAIT: Duration = Duration::from_secs(30);

fn order(number: u64, quantity: u32) -> Order {
    let (side, price) = (Side::Buy, 10_000);
    let intent = Intent { rule: 0, instrument: 0, target: 0, side, price, quantity };
    Order { intent, symbol: *b"AAPL    ", number, at_ns: now_ns() }
}

/// Starts an exchange: it, and where it listens.
fn start(args: &[&str]) -> (Running, SocketAddr) {
    let base = ["lab", "exchange", "--listen", "127.0.0.1:0"];
    let running = Running::start(&mut command(&[&base[..], args].concat()));
    running.wait_for("; ^C stops");
    let said = running.said();
    let address = said.split(" at ").nth(1).and_then(|rest| rest.split(' ').next());
    (running, address.expect("an address").parse().expect("one of a port"))
}

fn lines(path: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("the orders");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn orders_in_datagrams_are_counted_checked_and_written() {
    let folder = Folder::new("lab-exchange-udp");
    for (name, byte_order) in [("nanonet", ByteOrder::Little), ("nanonet-big", ByteOrder::Big)] {
        let orders = folder.file(name);
        let (running, address) = start(&["--format", name, "--orders", &orders]);
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let encoder = Encoder::new(&Format::nanonet(byte_order), Scale(2));
        let mut bytes = [0; 41];
        for (number, quantity) in [(1, 100), (2, 100), (2, 100), (3, 0)] {
            encoder.encode(&order(number, quantity), &mut bytes).expect("it fits");
            socket.send_to(&bytes, address).expect("sent");
        }
        socket.send_to(&bytes[..40], address).expect("sent");
        let summary = running.stop();
        let counts = |name: &str| summary[name].as_u64().expect("a count");
        let names = ["orders", "accepted", "duplicates", "bad_orders", "protocol_errors", "errors"];
        assert_eq!(names.map(counts), [3, 2, 1, 1, 1, 3], "{summary}");
        let lines = lines(&orders);
        let answers: Vec<_> = lines.iter().map(|line| &line["answer"]).collect();
        assert_eq!(answers, ["accepted", "accepted", "duplicate", "rejected"]);
        let mut first = lines[0].clone();
        assert!(first["at_ns"].as_u64().expect("a time") > 1_700_000_000_000_000_000);
        first["at_ns"] = json!(0);
        assert_eq!(
            first,
            json!({"at_ns": 0, "client_order_id": "0000000000001", "symbol": "AAPL",
                   "side": "buy", "price": "100.00", "quantity": 100, "answer": "accepted"})
        );
    }
}

/// A session over a socket.
struct Client<S> {
    session: S,
    address: SocketAddr,
    stream: Option<TcpStream>,
    events: Vec<Event>,
    connections: u64,
}

fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as u64
}

impl<S: Session> Client<S> {
    fn new(session: S, address: SocketAddr) -> Self {
        Client { session, address, stream: None, events: Vec::new(), connections: 0 }
    }

    /// Connects if need be, and lets bytes go to and fro.
    fn turn(&mut self) {
        if self.stream.is_none() {
            let stream = TcpStream::connect(self.address).expect("it listens");
            stream.set_nodelay(true).expect("a socket");
            stream.set_read_timeout(Some(Duration::from_millis(1))).expect("a socket");
            self.stream = Some(stream);
            self.connections += 1;
            self.session.connected(now_ns());
        }
        if !self.exchange() {
            self.stream = None;
            self.session.disconnected(now_ns(), &mut |event| self.events.push(event));
        }
    }

    fn exchange(&mut self) -> bool {
        let Some(stream) = &mut self.stream else { return false };
        let written = stream.write(self.session.output());
        if let Ok(len) = written {
            self.session.sent(len);
        }
        let mut buffer = [0; 4096];
        let received = match stream.read(&mut buffer) {
            Ok(0) => return false,
            Ok(len) => len,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => 0,
            Err(_) => return false,
        };
        let events = &mut self.events;
        let taken =
            self.session.received(&buffer[..received], now_ns(), &mut |event| events.push(event));
        taken.expect("the exchange makes no mistake");
        self.session.tick(now_ns()).expect("it is not silent");
        written.is_ok()
    }
}

#[test]
fn ouch_orders_survive_connections_that_are_cut() {
    let folder = Folder::new("lab-exchange-ouch");
    let ouch = [("ouch42", Ouch::V42(Ouch42::default())), ("ouch50", Ouch::V50(Ouch50::default()))];
    for (name, ouch) in ouch {
        let path = folder.file(name);
        let flags = ["--orders", &path, "--fill", "50%", "--reject-every", "10"];
        let faults = ["--disconnect-every", "97"];
        let (running, address) = start(&[&["--format", name][..], &flags, &faults].concat());
        let settings = SoupSettings { unanswered_s: 1, ..SoupSettings::default() };
        let session = SoupSession::new(&settings, &ouch, Scale(4)).expect("good settings");
        let mut client = Client::new(session, address);
        let (mut next, until) = (1, Instant::now() + WAIT);
        while next <= 500 || client.session.open_orders().count() > 0 {
            assert!(Instant::now() < until, "it hangs at order {next}");
            for _ in 0..5 {
                if next <= 500 && client.session.order(&order(next, 100)).is_ok() {
                    next += 1;
                }
            }
            client.turn();
        }
        let mut ends = HashMap::new();
        for event in &client.events {
            if event.kind != EventKind::Accepted {
                assert_eq!(ends.insert(event.number, event.kind), None, "two ends: {event:?}");
            }
        }
        assert_eq!(ends.len(), 500);
        let summary = running.stop();
        let is_there = |kind: &&EventKind| !matches!(kind, EventKind::Unsent(_));
        assert_eq!(summary["orders"], ends.values().filter(is_there).count(), "{summary}");
        let executed = ends.values().filter(|kind| matches!(kind, EventKind::Executed { .. }));
        assert_eq!(summary["executions"], executed.count(), "{summary}");
        assert_eq!(
            (&summary["errors"], &summary["logins"]),
            (&json!(0), &json!(client.connections))
        );
        assert!(client.connections > 3, "{summary}");
        assert_eq!(lines(&path).len() as u64, summary["orders"].as_u64().expect("a count"));
    }
}

#[test]
fn fix_orders_survive_cuts_and_messages_that_get_lost() {
    for (name, version) in [("fix42", FixVersion::Fix42), ("fix44", FixVersion::Fix44)] {
        let faults = ["--disconnect-every", "97", "--withhold-every", "40", "--miss-every", "50"];
        let flags = ["--format", name, "--fill", "100%"];
        let (running, address) = start(&[&flags[..], &faults].concat());
        // A heartbeat is what shows that the last message was lost.
        let settings =
            FixSettings { heartbeat_s: 1, ..FixSettings::new(version, "US", "EXCHANGE") };
        let store: Arc<[AtomicU64; 2]> = Arc::default();
        let session = FixSession::new(settings, Scale(4), Box::new(store)).expect("good settings");
        let mut client = Client::new(session, address);
        let (mut next, until) = (1, Instant::now() + WAIT);
        // What is left of each order, and how many times one was executed: in parts.
        let (mut left, mut executions) = (HashMap::new(), 0);
        while next <= 300 || left.values().any(|left| *left > 0) {
            assert!(Instant::now() < until, "it hangs at order {next}: {left:?}");
            if next <= 300 && client.session.order(&order(next, 100)).is_ok() {
                left.insert(next, 100);
                next += 1;
            }
            client.turn();
            for event in client.events.drain(..) {
                let left = left.get_mut(&event.number).expect("an order that was sent");
                match event.kind {
                    EventKind::Accepted => {}
                    EventKind::Executed { quantity, .. } => {
                        executions += 1;
                        *left -= quantity;
                    }
                    _ => *left = 0,
                }
            }
        }
        let summary = running.stop();
        assert_eq!((&summary["executions"], &summary["errors"]), (&json!(executions), &json!(0)));
        assert!(client.connections > 2, "{summary}");
    }
}

#[test]
fn nanonet_over_a_connection() {
    let (running, address) = start(&["--format", "nanonet", "--transport", "tcp"]);
    let encoder = Encoder::new(&Format::nanonet(ByteOrder::Little), Scale(2));
    let mut client = Client::new(PlainSession::new(encoder), address);
    client.turn();
    for number in 1..=1_000 {
        client.session.order(&order(number, 1)).expect("there is room");
    }
    let until = Instant::now() + WAIT;
    while !client.session.output().is_empty() {
        assert!(Instant::now() < until, "it takes nothing");
        client.turn();
    }
    let _ = client.stream.take().expect("a connection").shutdown(std::net::Shutdown::Write);
    running.wait_for("the peer closed it");
    let summary = running.stop();
    assert_eq!((&summary["accepted"], &summary["errors"]), (&json!(1_000), &json!(0)));
}

#[test]
fn what_does_not_go_together_is_refused() {
    let base = ["lab", "exchange", "--listen", "127.0.0.1:0", "--format"];
    let refused = |args: &[&str], words: &[&str]| {
        run(&[&base[..], args].concat()).expect_message(2, words);
    };
    refused(&["nanonet", "--fill", "50%"], &["nothing is said of NanoNet's orders"]);
    refused(&["nanonet", "--disconnect-every", "5"], &["needs connections"]);
    refused(&["ouch42", "--transport", "udp"], &["--transport tcp"]);
    refused(&["ouch42", "--miss-every", "7"], &["only in FIX"]);
    refused(&["ouch42", "--fill", "101%"], &["0% to 100%"]);
    let taken = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    let ran = run(&["lab", "exchange", "--format", "nanonet", "--listen", &address]);
    ran.expect_message(1, &["another program has this port"]);
    let nowhere = ["--orders", "/nowhere/orders.jsonl"];
    let ran = run(&[&base[..], &["nanonet"], &nowhere].concat());
    ran.expect_message(1, &["cannot create /nowhere/orders.jsonl", "--orders"]);
}
