//! SIGKILL in the middle of a capture under load: nothing is left, and the next start succeeds.
//!
//! Needs root; says so loudly where it is missing.

mod common;

use common::{Running, command};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tickwire_capture::bpf::ProgramInfo;
use tickwire_capture::netdev;
use tickwire_lab::{Lab, Numbered, Schedule, require_root, send_packet};

const KILLS: u64 = 100;
/// From the start of the process to its first word that it captures, and from the kill until the
/// kernel has cleared up behind it.
const SECOND: Duration = Duration::from_secs(1);
const LOAD_PPS: f64 = 100_000.0;

/// The program on the right end, if there is one.
fn attached(lab: &Lab, index: u32) -> Option<u32> {
    let attached = lab.right.run(|| netdev::xdp_attached(index)).expect("netlink answers");
    attached.map(|attached| attached.program_id)
}

fn entries(folder: &str) -> usize {
    std::fs::read_dir(Path::new(folder)).map_or(0, Iterator::count)
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < SECOND, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Starts a capture, kills it a little later, and looks at what is left.
fn start_and_kill(lab: &Lab, port: &str, index: u32, after: Duration) {
    let started = Instant::now();
    let args = ["capture", "-i", lab.right.name(), "--port", port, "-q"];
    let mut running = Running::of(lab.right.spawn(command(&args)).expect("the binary starts"));
    running.wait_for("capturing on right0");
    let took = started.elapsed();
    assert!(took < SECOND, "the start took {took:?}");
    let program = attached(lab, index);
    assert_eq!(program.is_some(), port == "af_xdp");
    std::thread::sleep(after);
    running.child.kill().expect("it runs");
    running.child.wait().expect("it is our child");
    wait_until("the interface has a program still", || attached(lab, index).is_none());
    if let Some(program) = program {
        wait_until("the program lives still", || ProgramInfo::by_id(program).is_err());
    }
}

#[test]
fn a_hundred_kills_under_load_leave_nothing_behind() {
    require_root!("a_hundred_kills_under_load_leave_nothing_behind");
    let lab = Lab::new().expect("a lab");
    let index = lab.right.index().expect("an index");
    let packets = Numbered::between(&lab.left, &lab.right);
    let (pins, namespaces) = (entries("/sys/fs/bpf"), entries("/run/netns"));
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let burst = Schedule::paced((LOAD_PPS / 20.0) as u64, LOAD_PPS);
                send_packet(&lab.left, &packets, &burst).expect("sent");
            }
        });
        // Whatever fails below must not leave the sender running.
        let _stop = StopOnDrop(&over);
        for kill in 0..KILLS {
            let port = if kill % 4 == 3 { "af_packet" } else { "af_xdp" };
            start_and_kill(&lab, port, index, Duration::from_millis(kill % 20));
        }
    });
    assert_eq!((pins, namespaces), (entries("/sys/fs/bpf"), entries("/run/netns")));
}

struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
