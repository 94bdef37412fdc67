//! Runs the binary as a user does, and makes the captures that it reads.

#![allow(dead_code)] // Each test file uses its own part.

use serde_json::Value;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tickwire_market::itch50::AddOrderBuilder;
use tickwire_market::{Ascii, Code, Price, SinceMidnight};

/// No run of the binary in these tests may take longer.
const RUN_SECONDS_MAX: u64 = 60;

/// What is waited for on standard error comes within this time.
const WORDS_SECONDS_MAX: u64 = 10;

/// What a run of the binary left behind.
#[derive(Debug)]
pub struct Ran {
    /// The exit code; `None` when a signal killed it.
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Ran {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("UTF-8 on standard output")
    }

    /// The last line on standard output, as the summary object.
    pub fn summary(&self) -> Value {
        let line = self.text().lines().last().unwrap_or_default();
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// Asserts that it ended with `code`, and shows everything when it did not.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Ran {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// Asserts that it refused with `code` and said `words`.
    #[track_caller]
    pub fn expect_message(self, code: i32, words: &[&str]) {
        let ran = self.expect_code(code);
        for word in words {
            assert!(ran.stderr.contains(word), "no '{word}' in {ran:#?}");
        }
    }
}

/// The binary with `args`.
pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tickwire"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs the binary to its end.
pub fn run(args: &[&str]) -> Ran {
    Running::start(&mut command(args)).finish()
}

/// Runs the binary with `input` on its standard input.
pub fn run_with_input(args: &[&str], input: &[u8]) -> Ran {
    let mut running = Running::start(command(args).stdin(Stdio::piped()));
    let mut stdin = running.child.stdin.take().expect("a pipe");
    // The other end may be closed early: -c.
    let _ = stdin.write_all(input);
    drop(stdin);
    running.finish()
}

/// A binary that runs; killed when the test ends before it.
pub struct Running {
    pub child: Child,
    stdout: Option<JoinHandle<Vec<u8>>>,
    stderr: Option<JoinHandle<Vec<u8>>>,
    said: Arc<Mutex<Vec<u8>>>,
}

/// Reads a pipe to its end, into `seen` as it comes.
fn collect(
    pipe: Option<impl Read + Send + 'static>,
    seen: &Arc<Mutex<Vec<u8>>>,
) -> Option<JoinHandle<Vec<u8>>> {
    let seen = Arc::clone(seen);
    pipe.map(|mut pipe| {
        std::thread::spawn(move || {
            let mut some = [0; 1 << 16];
            while let Ok(count @ 1..) = pipe.read(&mut some) {
                seen.lock().expect("no panic").extend(&some[..count]);
            }
            std::mem::take(&mut *seen.lock().expect("no panic"))
        })
    })
}

fn collected(thread: Option<JoinHandle<Vec<u8>>>) -> Vec<u8> {
    thread.map(|thread| thread.join().expect("no panic")).unwrap_or_default()
}

impl Running {
    pub fn start(command: &mut Command) -> Running {
        Running::of(command.spawn().expect("the binary starts"))
    }

    pub fn of(mut child: Child) -> Running {
        let said = Arc::default();
        let stdout = collect(child.stdout.take(), &Arc::default());
        let stderr = collect(child.stderr.take(), &said);
        Running { child, stdout, stderr, said }
    }

    /// Waits until it has said `words` on standard error.
    #[track_caller]
    pub fn wait_for(&self, words: &str) {
        let deadline = Instant::now() + Duration::from_secs(WORDS_SECONDS_MAX);
        loop {
            let said = self.said();
            if said.contains(words) {
                return;
            }
            assert!(Instant::now() < deadline, "no '{words}' in time: {said}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// What it has said on standard error so far.
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&self.said.lock().expect("no panic")).into_owned()
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("it still runs");
    }

    /// Stops it as a service manager does; its account.
    #[track_caller]
    pub fn stop(self) -> Value {
        self.signal(rustix::process::Signal::TERM);
        self.finish().expect_code(0).summary()
    }

    pub fn finish(mut self) -> Ran {
        let deadline = Instant::now() + Duration::from_secs(RUN_SECONDS_MAX);
        let status = loop {
            match self.child.try_wait().expect("it is our child") {
                Some(status) => break status,
                None if Instant::now() > deadline => panic!("it still runs: {:?}", self.child),
                None => std::thread::sleep(Duration::from_millis(2)),
            }
        };
        Ran {
            code: status.code(),
            stdout: collected(self.stdout.take()),
            stderr: String::from_utf8_lossy(&collected(self.stderr.take())).into_owned(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One request over a control socket, as curl would send it; status line and body.
pub fn ask(socket: &str, request: &str, body: &str) -> (String, String) {
    let mut stream = UnixStream::connect(socket).expect("the control socket");
    stream.set_read_timeout(Some(Duration::from_secs(WORDS_SECONDS_MAX))).expect("a time limit");
    let length = body.len();
    let head = format!("{request} HTTP/1.1\r\nHost: tickwire\r\nContent-Length: {length}\r\n");
    let kind = "Content-Type: application/json\r\nConnection: close";
    write!(stream, "{head}{kind}\r\n\r\n{body}").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("head and body");
    (head.lines().next().unwrap_or_default().to_owned(), body.to_owned())
}

/// A folder of this test's own, removed at its end.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(test: &str) -> Folder {
        let name = format!("tickwire-cli-{test}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Folder(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The name of a file in it, as text.
    pub fn file(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    /// Writes a file into it, and gives its name.
    pub fn with(&self, name: &str, bytes: &[u8]) -> String {
        let file = self.file(name);
        std::fs::write(&file, bytes).expect("room for a small file");
        file
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The time of packet 0: 2024-02-03T14:30:00Z.
pub const BASE_SECONDS: u32 = 1_706_970_600;

/// An Ethernet frame with a UDP packet over IPv4 that carries `payload`; checksums are whole.
pub fn udp_frame(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x02, 0, 0, 0, 0, 2, 0x02, 0, 0, 0, 0, 1, 8, 0];
    let total = (28 + payload.len()) as u16;
    let mut ip = [0x45, 0, 0, 0, 0, 1, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
    ip[2..4].copy_from_slice(&total.to_be_bytes());
    let sum: u32 = ip.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    frame.extend(ip);
    for field in [12_345, 26_400, 8 + payload.len() as u16, 0] {
        frame.extend(field.to_be_bytes());
    }
    frame.extend(payload);
    frame
}

/// A pcap file (nanoseconds, little-endian, Ethernet) of `frames`, one a millisecond.
pub fn pcap(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_3c4d, 0x0004_0002, 0, 0, 262_144, 1] {
        file.extend(u32::to_le_bytes(word));
    }
    for (index, frame) in frames.iter().enumerate() {
        let index = index as u32;
        let (seconds, nanos) = (BASE_SECONDS + index / 1000, index % 1000 * 1_000_000 + 42);
        for word in [seconds, nanos, frame.len() as u32, frame.len() as u32] {
            file.extend(word.to_le_bytes());
        }
        file.extend(frame);
    }
    file
}

/// A pcap file of `count` UDP packets of different lengths.
pub fn pcap_of(count: usize) -> Vec<u8> {
    let frames: Vec<_> = (0..count).map(|i| udp_frame(&vec![i as u8; i % 100])).collect();
    pcap(&frames)
}

fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let length = (12 + body.len()) as u32;
    [&kind.to_le_bytes(), &length.to_le_bytes(), body, &length.to_le_bytes()].concat()
}

/// A pcapng file with an Ethernet interface `eth9` and a raw IP interface, and a packet of each.
pub fn pcapng_of_two_links() -> Vec<u8> {
    let section = [0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255];
    let name = [2, 0, 4, 0, b'e', b't', b'h', b'9', 0, 0, 0, 0];
    let ethernet = [&[1, 0, 0, 0, 0, 0, 4, 0][..], &name].concat();
    let raw = [101, 0, 0, 0, 0, 0, 4, 0];
    let packet = |interface: u32, bytes: &[u8]| {
        let length = bytes.len() as u32;
        let mut body = Vec::new();
        for word in [interface, 0x0006_0000, 0, length, length] {
            body.extend(word.to_le_bytes());
        }
        body.extend(bytes);
        body.resize(body.len().next_multiple_of(4), 0);
        block(6, &body)
    };
    let frame = udp_frame(b"tick");
    [
        block(0x0a0d_0d0a, &section),
        block(1, &ethernet),
        block(1, &raw),
        packet(0, &frame),
        packet(1, &frame[14..]),
    ]
    .concat()
}

/// A BinaryFILE of `count` orders of ITCH 5.0, each of 38 bytes with its length, one a millisecond
/// from 09:30:00 on; their reference numbers count from 1.
pub fn itch_file(count: u64) -> Vec<u8> {
    let begin_ns = (9 * 3600 + 30 * 60) * 1_000_000_000;
    let order = |number: u64| {
        let order = AddOrderBuilder::new().stock_locate(1).buy_sell_indicator(Code(b'B'));
        let order = order.timestamp(SinceMidnight(begin_ns + (number - 1) * 1_000_000));
        let order = order.stock(Ascii::new("TICK").expect("short")).price(Price(number as u32));
        let order = order.order_reference_number(number).shares(100);
        [&[0, 36], &order.as_bytes()[..]].concat()
    };
    (1..=count).flat_map(order).collect()
}

/// A file of the corpus of market data; `None`, loudly, when there is none.
pub fn market_corpus(name: &str) -> Option<String> {
    let Some(root) = std::env::var_os("TICKWIRE_CORPUS") else {
        eprintln!("SKIPPED: {name}: TICKWIRE_CORPUS is not set");
        return None;
    };
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let path: PathBuf = workspace.join(root).join("market").join(name);
    Some(path.display().to_string())
}
