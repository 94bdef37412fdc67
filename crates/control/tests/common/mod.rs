//! A real table, or a responder's brakes, behind a real server on a socket of the test's own, and
//! raw bytes to it.

#![allow(dead_code)] // Each test file uses its own part.

mod responder;

pub use responder::Responder;

use serde_json::Value;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tickwire_control::replicate::{IfExists, Refusal, ReplicateControl, Status, api};
use tickwire_control::respond::{self, RespondControl};
use tickwire_control::{Api, Limits, Listen, Log, Server, Token};
use tickwire_frame::{Ledger, LinkType, Reason};
use tickwire_replicate::{
    Added, Counts, Feed, LineMessages, Listed, Merged, Requests, Subscriber, Table,
};

/// No exchange in these tests may take longer.
pub const EXCHANGE_SECONDS_MAX: u64 = 30;
/// The bearer token of these tests.
pub const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// What a job is to the control plane, over a real table.
#[derive(Debug)]
pub struct Job(Mutex<Table>, AtomicBool);

/// The port of whom something hinders.
pub const HINDERED: u16 = 13;

impl Job {
    /// With a multicast feed `itch` and a unicast feed `order-entry`.
    pub fn new() -> Arc<Job> {
        let mut table = Table::new(1, LinkType::ETHERNET);
        for (name, listen) in [("itch", "239.1.1.1:26400"), ("order-entry", "10.0.0.1:7000")] {
            table.add_feed(Feed::new(name, listen.parse().expect("an address"))).expect("a feed");
        }
        Arc::new(Job(Mutex::new(table), AtomicBool::new(false)))
    }

    /// Who subscribes to `feed`, in order.
    pub fn addresses(&self, feed: &str) -> Vec<SocketAddr> {
        let listed = self.list(feed).expect("a feed");
        listed.iter().map(|listed| listed.subscriber.address).collect()
    }

    /// From now on, what changes is kept or not.
    pub fn keep(&self, kept: bool) {
        self.1.store(!kept, Relaxed);
    }

    /// Everything that a request could change.
    pub fn state(&self) -> String {
        format!("{:?} {:?}", self.addresses("itch"), self.addresses("order-entry"))
    }
}

impl ReplicateControl for Job {
    fn status(&self) -> Status {
        let mut ledger = Ledger { received: 7, delivered: 5, ..Ledger::default() };
        ledger.discard(Reason::NotSelected, 2);
        let (mode, mode_reason) = ("af_xdp", "the \"test\" says so".to_owned());
        let (uptime, warnings) = (Duration::from_millis(1500), Vec::from_iter(self.not_kept()));
        let lines = vec![LineMessages { feed: "itch".into(), first: 5, duplicates: 2, refused: 0 }];
        let merged = vec![Merged {
            lines,
            missing: 3,
            gaps: 1,
            requests: Some(Requests { sent: 4, ..Requests::default() }),
            ..Merged::default()
        }];
        Status { mode, mode_reason, uptime, ledger, merged, warnings }
    }

    fn feeds(&self) -> Vec<(Feed, Counts)> {
        let table = self.0.lock().expect("no panic");
        table.feeds().map(|(feed, counts)| (feed.clone(), counts)).collect()
    }

    fn list(&self, feed: &str) -> Result<Vec<Listed>, Refusal> {
        Ok(self.0.lock().expect("no panic").list(feed)?)
    }

    fn add(&self, feed: &str, subscriber: Subscriber, exists: IfExists) -> Result<Added, Refusal> {
        let mut table = self.0.lock().expect("no panic");
        let address = subscriber.address;
        let differs = |listed: &Listed| {
            listed.subscriber.address == address && listed.subscriber != subscriber
        };
        if exists == IfExists::Keep && table.list(feed)?.iter().any(differs) {
            return Err(Refusal::Exists { feed: feed.to_owned(), address });
        }
        Ok(table.add(feed, subscriber, Instant::now())?)
    }

    fn remove(&self, feed: &str, address: SocketAddr) -> Result<Listed, Refusal> {
        Ok(self.0.lock().expect("no panic").remove(feed, address)?)
    }

    fn renew(&self, feed: &str, address: SocketAddr) -> Result<(), Refusal> {
        Ok(self.0.lock().expect("no panic").renew(feed, address, Instant::now())?)
    }

    fn warnings_of(&self, _: &str, address: SocketAddr) -> Vec<String> {
        Vec::from_iter((address.port() == HINDERED).then(|| "it is hindered; mend it".to_owned()))
    }

    fn not_kept(&self) -> Option<String> {
        self.1.load(Relaxed).then(|| "it is not kept; mend it".to_owned())
    }
}

/// What was logged.
#[derive(Clone, Default)]
pub struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("no panic").clone()).expect("UTF-8")
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").extend(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A server with its job, its folder and its log.
pub struct Rig<J = Job> {
    pub job: Arc<J>,
    pub server: Option<Server>,
    pub path: PathBuf,
    pub lines: Lines,
    folder: PathBuf,
}

impl Rig {
    pub fn new(test: &str) -> Rig {
        Rig::with(test, &generous())
    }

    pub fn with(test: &str, limits: &Limits) -> Rig {
        let job = Job::new();
        let control: Arc<dyn ReplicateControl> = job.clone();
        Rig::of(test, job, api(&control), limits)
    }
}

impl Rig<Responder> {
    pub fn responder(test: &str) -> Rig<Responder> {
        let job = Arc::new(Responder::default());
        let control: Arc<dyn RespondControl> = job.clone();
        Rig::of(test, job, respond::api(&control), &generous())
    }
}

impl<J> Rig<J> {
    fn of(test: &str, job: Arc<J>, api: Api, limits: &Limits) -> Rig<J> {
        let name = format!("tickwire-control-{test}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("a temporary folder");
        let (lines, path) = (Lines::default(), folder.join("control.sock"));
        let log = Log::to(lines.clone()).expect("a thread");
        let token = Token::new(TOKEN).expect("long enough");
        let tcp = Some((([127, 0, 0, 1], 0).into(), token));
        let listen = Listen { unix: Some(path.clone()), tcp };
        let server = Server::start(listen, api, limits, &log).expect("it starts");
        Rig { job, server: Some(server), path, lines, folder }
    }

    /// Stops the server, so that all is logged.
    pub fn stop(&mut self) {
        drop(self.server.take());
    }

    pub fn tcp(&self) -> SocketAddr {
        self.server.as_ref().and_then(Server::tcp_address).expect("it listens on TCP")
    }

    /// Sends raw bytes over the Unix socket and gives all that comes back.
    pub fn raw(&self, bytes: &[u8]) -> Answer {
        exchange(UnixStream::connect(&self.path).expect("it listens"), bytes)
    }

    /// The same over TCP.
    pub fn raw_tcp(&self, bytes: &[u8]) -> Answer {
        exchange(TcpStream::connect(self.tcp()).expect("it listens"), bytes)
    }

    /// A well-formed request.
    pub fn ask(&self, method: &str, target: &str, body: &str) -> Answer {
        self.raw(request(method, target, "", body).as_bytes())
    }
}

impl<J> Drop for Rig<J> {
    fn drop(&mut self) {
        self.stop();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Limits that no test reaches by accident on a busy machine.
pub fn generous() -> Limits {
    Limits {
        request: Duration::from_secs(EXCHANGE_SECONDS_MAX),
        response: Duration::from_secs(EXCHANGE_SECONDS_MAX),
        requests_per_second: 10_000_000,
        requests_burst: 10_000_000,
        ..Limits::default()
    }
}

pub fn request(method: &str, target: &str, fields: &str, body: &str) -> String {
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: x\r\n{fields}");
    if !body.is_empty() {
        let length = body.len();
        head += &format!("Content-Type: application/json\r\nContent-Length: {length}\r\n");
    }
    head + "\r\n" + body
}

pub trait Stream: Read + Write {
    fn bound(&self);
    fn end(&self);
}

impl Stream for UnixStream {
    fn bound(&self) {
        let time = Some(Duration::from_secs(EXCHANGE_SECONDS_MAX));
        self.set_read_timeout(time).and_then(|()| self.set_write_timeout(time)).expect("a time");
    }
    fn end(&self) {
        let _ = self.shutdown(Shutdown::Write);
    }
}

impl Stream for TcpStream {
    fn bound(&self) {
        let time = Some(Duration::from_secs(EXCHANGE_SECONDS_MAX));
        self.set_read_timeout(time).and_then(|()| self.set_write_timeout(time)).expect("a time");
    }
    fn end(&self) {
        let _ = self.shutdown(Shutdown::Write);
    }
}

/// Sends `bytes`, says that nothing follows, and reads to the end.
pub fn exchange(mut stream: impl Stream, bytes: &[u8]) -> Answer {
    stream.bound();
    // A server that refuses may close before it has read all.
    let _ = stream.write_all(bytes);
    stream.end();
    read(stream)
}

pub fn read(mut stream: impl Stream) -> Answer {
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    Answer(answer)
}

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer(pub Vec<u8>);

impl Answer {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn status(&self) -> u16 {
        let text = self.text();
        let status = text.strip_prefix("HTTP/1.1 ").and_then(|text| text.get(..3));
        status.and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{text:?}"))
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.0.clone()).expect("UTF-8")
    }

    pub fn body(&self) -> String {
        self.text().split_once("\r\n\r\n").expect("a head").1.to_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body()).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Asserts that it is a refusal in JSON with this status and code.
    #[track_caller]
    pub fn expect_refusal(&self, status: u16, code: &str) {
        assert_eq!(self.status(), status, "{}", self.text());
        let error = &self.json()["error"];
        assert_eq!(error["code"], code);
        for part in ["message", "cure"] {
            assert!(error[part].as_str().is_some_and(|text| !text.is_empty()), "{error}");
        }
    }
}

/// Asserts that these are lines of `text`, that every sample follows its own HELP and TYPE, that
/// counters end in _total, and that no name comes twice.
pub fn check_metrics(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.lines().any(|known| known == *line), "no '{line}' in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
    let (mut family, mut kind, mut seen) = (String::new(), String::new(), Vec::new());
    for line in text.lines().filter(|line| *line != "# EOF") {
        let words: Vec<_> = line.split(' ').collect();
        match words[..] {
            ["#", "HELP", name, ..] => {
                assert!(!seen.contains(&name.to_owned()), "{name} comes twice");
                seen.push(name.to_owned());
                family = name.to_owned();
            }
            ["#", "TYPE", name, of] => {
                assert_eq!(name, family);
                kind = of.to_owned();
            }
            ["#", "UNIT", name, unit] => assert!(name == family && name.ends_with(unit)),
            _ => {
                let name = line.split(['{', ' ']).next().unwrap_or_default();
                let total = if kind == "counter" { "_total" } else { "" };
                assert_eq!(name, format!("{family}{total}"));
                let value = line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok());
                assert!(value.is_some(), "{line}");
            }
        }
    }
}

/// A folder for files of a test.
pub fn remove(path: &Path) {
    let _ = std::fs::remove_file(path);
}
