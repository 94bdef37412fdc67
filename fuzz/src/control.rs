//! Requests to the control plane: the head of an HTTP request, and the older UDP protocol.

use crate::random::Random;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Mutex;
use std::time::Duration;
use tickwire_control::http::parse_head;
use tickwire_control::legacy::protocol::answer;
use tickwire_control::limits::BODY_BYTES_MAX;
use tickwire_control::replicate::{IfExists, Refusal, ReplicateControl, Status};
use tickwire_frame::Ledger;
use tickwire_replicate::{Added, Counts, Feed, Listed, Subscriber, TableError};

/// The most changes to one request.
const CHANGES_MAX: usize = 6;
/// The longest request that the mutator makes, give or take a word.
const REQUEST_BYTES_MAX: usize = 16 << 10;

/// Well-formed requests of every kind. None has a token.
const REQUESTS: [&str; 8] = [
    "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /v1/feeds/itch/subscribers?limit=5&after=10.0.0.2%3A5000 HTTP/1.1\r\nHost: x\r\n\r\n",
    "POST /v1/feeds/itch/subscribers HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
     Content-Length: 51\r\n\r\n{\"address\":\"10.0.0.2:5000\",\"name\":\"a\",\"lease_s\":60}",
    "PUT /v1/feeds/itch/subscribers/10.0.0.2:5000 HTTP/1.1\r\nHost: x\r\nContent-Length: 34\r\n\
     Content-Type: application/json\r\n\r\n{\"address\":\"10.0.0.2:5000\",\"ttl\":3}",
    "DELETE /v1/feeds/itch/subscribers/10.0.0.2:5000 HTTP/1.1\r\nHost: x\r\n\r\n",
    "POST /v1/feeds/itch/subscribers/10.0.0.2:5000/renew HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /metrics HTTP/1.0\r\nAccept: text/plain\r\nConnection: keep-alive\r\n\r\n",
    "HEAD /openapi.json HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n",
];

/// What servers stumble over.
const WORDS: &[&str] = &[
    "\r\n",
    "\n",
    "\r",
    "\r\n\r\n",
    " ",
    "\t",
    ":",
    "\0",
    "\u{7f}",
    "é",
    "%00",
    "%ff",
    "%2f..%2f",
    "../",
    "//",
    "?",
    "#",
    "[",
    "{",
    "}",
    "\"",
    "\\u0000",
    "-1",
    "0",
    "65536",
    "65537",
    "18446744073709551616",
    "1e309",
    "null",
    "Transfer-Encoding: chunked\r\n",
    "Content-Length: 5\r\n",
    "Host: y\r\n",
    "Authorization: Bearer \r\n",
    "Expect: 100-continue\r\n",
    " folded: x\r\n",
    "HTTP/2.0",
    "HTTP/1.0",
    "CONNECT x:1",
    "http://x/v1/status",
    "*",
];

/// Request `index` of `seed`: a well-formed one with a few changes.
pub fn request(seed: u64, index: u64) -> Vec<u8> {
    let mut random = Random::new(seed ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut bytes = random.pick(&REQUESTS).as_bytes().to_vec();
    for _ in 0..random.below(CHANGES_MAX + 1) {
        change(&mut random, &mut bytes);
    }
    bytes
}

fn change(random: &mut Random, bytes: &mut Vec<u8>) {
    let at = random.below(bytes.len() + 1);
    let to = (at + random.below(32)).min(bytes.len());
    match random.below(7) {
        0 => bytes.truncate(at),
        1 => drop(bytes.drain(at..to)),
        2 => drop(bytes.splice(at..at, random.pick(WORDS).bytes())),
        3 => drop(bytes.splice(at..to, random.pick(WORDS).bytes())),
        4 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
        5 if at < bytes.len() => bytes[at] = random.next_bits() as u8,
        _ if bytes.len() + (to - at) * 1024 <= REQUEST_BYTES_MAX => {
            let part = bytes[at..to].repeat(1 + random.below(1024));
            drop(bytes.splice(at..at, part));
        }
        _ => {}
    }
}

/// The head of a request from any bytes: a head within its limits, a refusal that says what to do,
/// or more bytes are needed; what comes after a head does not change it.
pub fn head(bytes: &[u8]) {
    match parse_head(bytes) {
        Ok(None) => {}
        Ok(Some(head)) => {
            assert!(head.head_bytes <= bytes.len() && head.body_bytes <= BODY_BYTES_MAX);
            let alone = parse_head(&bytes[..head.head_bytes]);
            let alone = alone.expect("the same bytes").expect("a whole head");
            assert_eq!((alone.method, alone.uri), (head.method, head.uri));
            assert_eq!((alone.headers, alone.body_bytes), (head.headers, head.body_bytes));
            let short = &bytes[..head.head_bytes - 1];
            assert!(parse_head(short).is_ok_and(|head| head.is_none()));
        }
        Err(error) => {
            assert!(error.status.is_client_error() || error.status.is_server_error());
            assert!(!error.message.is_empty() && !error.cure.is_empty());
        }
    }
}

/// Heads of the requests `range` of `seed`.
pub fn run_heads(seed: u64, range: std::ops::Range<u64>) {
    for index in range {
        head(&request(seed, index));
    }
}

/// Datagram `index` of `seed`: half of them nearly right.
pub fn datagram(seed: u64, index: u64) -> Vec<u8> {
    let mut random = Random::new(seed ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut bytes = vec![random.below(if index.is_multiple_of(2) { 8 } else { 256 }) as u8];
    if random.below(4) == 0 {
        bytes.extend([239, 1, 1, 1]);
    }
    let length = random.below(10);
    bytes.extend((0..length).map(|_| random.next_bits() as u8));
    if random.below(50) == 0 {
        bytes.clear();
    }
    bytes
}

/// A job that writes down what it is asked to change.
#[derive(Debug, Default)]
struct Recorder {
    changes: Mutex<Vec<SocketAddr>>,
}

impl Recorder {
    fn record(&self, address: SocketAddr) {
        self.changes.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(address);
    }
}

impl ReplicateControl for Recorder {
    fn status(&self) -> Status {
        let (ledger, uptime) = (Ledger::default(), Duration::ZERO);
        let (mode_reason, warnings) = (String::new(), Vec::new());
        Status { mode: "udp", mode_reason, uptime, ledger, merged: Vec::new(), warnings }
    }

    fn feeds(&self) -> Vec<(Feed, Counts)> {
        vec![(Feed::new("itch", ([239, 1, 1, 1], 26_400).into()), Counts::default())]
    }

    fn list(&self, _: &str) -> Result<Vec<Listed>, Refusal> {
        Ok(Vec::new())
    }

    fn add(&self, _: &str, subscriber: Subscriber, _: IfExists) -> Result<Added, Refusal> {
        self.record(subscriber.address);
        Ok(Added::New)
    }

    fn remove(&self, feed: &str, address: SocketAddr) -> Result<Listed, Refusal> {
        self.record(address);
        Err(TableError::UnknownSubscriber { feed: feed.to_owned(), address }.into())
    }

    fn renew(&self, _: &str, address: SocketAddr) -> Result<(), Refusal> {
        self.record(address);
        Ok(())
    }

    fn warnings_of(&self, _: &str, _: SocketAddr) -> Vec<String> {
        Vec::new()
    }

    fn not_kept(&self) -> Option<String> {
        None
    }
}

/// The older protocol from any bytes: the reply and the change that the bytes say, read here once
/// more by hand, and nothing else.
pub fn legacy(bytes: &[u8]) {
    let recorder = Recorder::default();
    let source: SocketAddr = ([192, 0, 2, 9], 40_000).into();
    let reply = answer(bytes, source, "itch", None, &recorder);
    let changes = recorder.changes.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    let (expected, change) = match *bytes {
        [1 | 2, a, b, c, d, high, low, ..] => {
            let address = (IpAddr::from([a, b, c, d]), u16::from_be_bytes([high, low]));
            (Some(vec![1]), Some(address.into()))
        }
        [3, ..] => (Some(vec![0]), None),
        [4 | 5, a, b, c, d, ..] => match Ipv4Addr::new(a, b, c, d).octets() == [239, 1, 1, 1] {
            true => (Some(vec![1]), Some(source)),
            false => (Some(vec![0]), None),
        },
        _ => (None, None),
    };
    assert_eq!(reply, expected, "{bytes:?}");
    assert_eq!(changes, Vec::from_iter(change), "{bytes:?}");
}

/// The datagrams `range` of `seed`.
pub fn run_legacy(seed: u64, range: std::ops::Range<u64>) {
    for index in range {
        legacy(&datagram(seed, index));
    }
}
