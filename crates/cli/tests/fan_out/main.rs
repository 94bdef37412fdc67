//! What `tickwire replicate` promises, shown copy by copy: an AF_XDP port on the subscribers' end
//! checks number, order, bytes and checksums of each, in every mode.
//!
//! Small enough for every day; the figures of docs/performance.md come from release builds with the
//! counts given there. Needs root; says so loudly where it is missing.

mod changes;
#[path = "../common/mod.rs"]
mod common;
mod dead;
mod deleted;
mod exact;
mod kill;
mod last;
mod outage;

use common::{Running, command};
use rustix::process::Signal;
use serde_json::Value;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tickwire_lab::{Copies, CopyReceiver, End, Lab, LabConfig, Numbered, Schedule, send_udp};

const MODES: [&str; 3] = ["xdp", "af_xdp", "udp"];
/// Only this one of them, from the environment.
const MODE: &str = "TICKWIRE_MODE";
/// The port of the first subscriber; the others follow.
const PORT_FIRST: u16 = 6000;
/// Who waits for a copy waits so long for the next one.
const PATIENCE: Duration = Duration::from_secs(10);
/// Copies on their way at once: half of what the receiver's ring holds.
const IN_FLIGHT_MAX: u64 = 1 << 14;
/// Packets on their way at once: a fraction of what the replicator's ring holds.
const PACKETS_IN_FLIGHT_MAX: u64 = 256;
/// One test at a time: each wants all the cores there are.
static CORES: Mutex<()> = Mutex::new(());

fn one_at_a_time() -> MutexGuard<'static, ()> {
    CORES.lock().unwrap_or_else(PoisonError::into_inner)
}

fn quiet_lab() -> Lab {
    Lab::veth(LabConfig { ipv6: false, ..LabConfig::default() }).expect("a lab")
}

/// The modes to test.
fn modes() -> impl Iterator<Item = &'static str> {
    let only = std::env::var(MODE).ok();
    MODES.into_iter().filter(move |mode| only.as_ref().is_none_or(|only| only == mode))
}

/// A count from the environment, or `small`.
fn count_of(variable: &str, small: u64) -> u64 {
    let given = std::env::var(variable).ok();
    given.map_or(small, |text| text.parse().unwrap_or_else(|_| panic!("{variable}={text}")))
}

/// The addresses of `count` subscribers on `end`.
fn subscribers(end: &End, count: u16) -> Vec<String> {
    (PORT_FIRST..PORT_FIRST + count).map(|port| format!("{}:{port}", end.ipv4())).collect()
}

/// Starts a replicator on the right end, and waits until it receives.
fn start(lab: &Lab, mode: &str, subscribers: &[String], more: &[&str]) -> Running {
    let listen = format!("{}:5000,name=itch", lab.right.ipv4());
    let mut args = vec!["replicate", "-i", lab.right.name(), "--mode", mode, "--listen", &listen];
    args.extend(["--summary", "json"]);
    args.extend(subscribers.iter().flat_map(|address| ["--subscriber", address]));
    args.extend(more);
    let running = Running::of(lab.right.spawn(command(&args)).expect("the binary starts"));
    running.wait_for("ready");
    running
}

/// Its account when it is stopped, which adds up.
fn stop(running: Running) -> Value {
    let summary = running.stop();
    assert_eq!(summary["difference"], 0, "{summary}");
    summary
}

/// The copies of `count` packets for `subscribers` subscribers.
fn copies(lab: &Lab, subscribers: u16, count: u64) -> Copies {
    let packets = Numbered::between(&lab.left, &lab.right);
    Copies { packets, count, port_first: PORT_FIRST, subscribers, ages: false, spin_on: None }
}

/// Sends numbers `first` to `first + count` − 1 as fast as their copies arrive, and waits for all
/// of them.
fn send_all(lab: &Lab, copies: &Copies, to: &CopyReceiver, first: u64, count: u64) {
    let each = u64::from(copies.subscribers);
    let chunk = (IN_FLIGHT_MAX / each).clamp(1, PACKETS_IN_FLIGHT_MAX).div_ceil(2);
    let mut sent = 0;
    let before = to.arrived();
    while sent < count {
        let some = chunk.min(count - sent);
        let packets = Numbered { first: first + sent, ..copies.packets.clone() };
        let report = send_udp(&lab.left, &packets, &Schedule::flood(some)).expect("sent");
        assert_eq!((report.sent, report.difference()), (some, 0), "{report}");
        // The chunk before; this one is on its way meanwhile.
        if !to.wait(before + sent * each, PATIENCE) {
            return; // The receiver's report says what is missing.
        }
        sent += some;
    }
    to.wait(before + count * each, PATIENCE);
}

/// What a subscriber's account says: copied, and the sum of what was discarded.
fn account(summary: &Value, subscriber: usize) -> (u64, u64) {
    let account = &summary["feeds"][0]["subscribers"][subscriber];
    let copied = account["copied"].as_u64().expect("a count");
    let discarded = account["discarded"].as_object().expect("reasons");
    let sum = discarded.values().map(|count| count.as_u64().expect("a count")).sum();
    (copied, sum)
}
