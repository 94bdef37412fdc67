//! `tickwire replicate` as it is operated: what changes while it runs, what it is told, what it
//! says.
//!
//! In private namespaces. Needs root; says so loudly where it is missing.

mod accounts;
#[path = "../common/mod.rs"]
mod common;
mod rights;
mod state;
mod vlan;
mod warnings;
mod ways;

use common::{Running, ask, command};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::net::UdpSocket;
use std::time::{Duration, Instant};
use tickwire_lab::{End, Lab, LabConfig, Offload, UdpReceiver};

/// The port of the first subscriber; the others follow.
const PORT_FIRST: u16 = 6000;
/// Nothing in these tests takes longer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Where subscribers of the only feed are.
const SUBSCRIBERS: &str = "/v1/feeds/itch/subscribers";

fn quiet_lab() -> Lab {
    let lab = Lab::veth(LabConfig { ipv6: false, ..LabConfig::default() }).expect("a lab");
    // So that mode xdp can redirect frames to it.
    lab.left.set_offload(Offload::Gro, true).expect("an offload");
    lab
}

/// Starts a replicator on `near`, one end of a link of `lab`, and waits until it receives.
fn start(near: &End, args: &[&str]) -> Running {
    let listen = format!("{}:5000,name=itch", near.ipv4());
    let args = [&["replicate", "-i", near.name(), "--listen", &listen], args].concat();
    let running = Running::of(near.spawn(command(&args)).expect("the binary starts"));
    running.wait_for("ready");
    running
}

/// Its account when it is stopped, which adds up.
fn stop(running: Running) -> Value {
    let summary = running.stop();
    assert_eq!(summary["difference"], 0, "{summary}");
    summary
}

/// Adds a subscriber; what is known of it then.
fn add(socket: &str, address: &str) -> Value {
    let body = json!({"address": address}).to_string();
    let (status, answer) = ask(socket, &format!("POST {SUBSCRIBERS}"), &body);
    assert!(status.contains("201"), "{status}: {answer}");
    serde_json::from_str(&answer).expect("JSON")
}

/// Sends datagrams of `lengths` bytes to the feed that listens on `near`, from its other end.
fn send(far: &End, near: &End, lengths: &[usize]) {
    far.run(|| {
        let socket = UdpSocket::bind((far.ipv4(), 0)).expect("a socket");
        for &len in lengths {
            let sent = socket.send_to(&vec![len as u8; len], (near.ipv4(), 5000)).expect("sent");
            assert_eq!(sent, len);
        }
    });
}

/// The lengths of the next `count` copies; each has the bytes that [`send`] gave it.
fn arrived(receiver: &UdpReceiver, count: usize) -> Vec<usize> {
    let socket = receiver.socket();
    socket.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    let next = |_| {
        let mut datagram = vec![0; 1 << 16];
        let len = socket.recv(&mut datagram).expect("a copy in time");
        assert!(datagram[..len].iter().all(|&byte| byte == len as u8), "{len} bytes");
        len
    };
    (0..count).map(next).collect()
}

/// Who subscribes to the only feed, with their accounts.
fn list(socket: &str) -> Vec<Value> {
    let (_, answer) = ask(socket, &format!("GET {SUBSCRIBERS}"), "");
    let list: Value = serde_json::from_str(&answer).expect("JSON");
    list["subscribers"].as_array().expect("a list").clone()
}

fn bind(end: &End, number: u16) -> UdpReceiver {
    UdpReceiver::bind(end, end.ipv4(), PORT_FIRST + number).expect("a free port")
}

/// Tries until it is true.
#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
