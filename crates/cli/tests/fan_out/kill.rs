//! SIGKILL in the middle of a feed: the next start has the same subscribers, at once.

use super::*;
use crate::common::Folder;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tickwire_capture::bpf::ProgramInfo;
use tickwire_capture::netdev;
// A UDP socket's port would be taken still while a process is started, which has a copy of it.
use tickwire_lab::{require_root, send_packet};
use tickwire_replicate::Subscriber;
use tickwire_replicate::state::{self, Saved};

const KILLS: usize = if cfg!(debug_assertions) { 3 } else { 20 };
const SUBSCRIBERS: u16 = 64;
/// Copies of one packet to all: enough to say that it runs.
const SOME: u64 = 10 * SUBSCRIBERS as u64;
/// From the start of the process to the first copy: the median of a release build's kills. A debug
/// build has more time.
const FIRST_COPY_MS_MAX: u64 = if cfg!(debug_assertions) { 10_000 } else { 200 };
/// From the kill until the kernel has cleared up behind it.
const CLEAR_UP: Duration = Duration::from_secs(2);

fn spawn(lab: &Lab, mode: &str, state: &str) -> Running {
    let listen = format!("{}:5000,name=itch", lab.right.ipv4());
    let args = ["replicate", "-i", lab.right.name(), "--mode", mode, "--listen", &listen];
    let args = [&args[..], &["--state", state]].concat();
    Running::of(lab.right.spawn(command(&args)).expect("the binary starts"))
}

/// Kills it, and waits until its program is gone.
fn kill(lab: &Lab, mut running: Running) {
    let index = lab.right.index().expect("an index");
    let attached = || lab.right.run(|| netdev::xdp_attached(index)).expect("netlink answers");
    let program = attached().map(|attached| attached.program_id);
    running.child.kill().expect("it runs");
    running.child.wait().expect("it is our child");
    let killed = Instant::now();
    let alive = || program.is_some_and(|id| ProgramInfo::by_id(id).is_ok());
    while attached().is_some() || alive() {
        assert!(killed.elapsed() < CLEAR_UP, "an XDP program is left");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Kills and starts it again, in the middle of a feed; the times from each start to the first copy.
fn first_copies(lab: &Lab, mode: &str, state: &str, receiver: &CopyReceiver) -> Vec<Duration> {
    (0..KILLS)
        .map(|_| {
            let (before, started) = (receiver.arrived(), Instant::now());
            let running = spawn(lab, mode, state);
            assert!(receiver.wait(before + 1, PATIENCE), "{mode}: no copy after a restart");
            let took = started.elapsed();
            assert!(receiver.wait(before + SOME, PATIENCE), "{mode}: it stopped");
            kill(lab, running);
            took
        })
        .collect()
}

#[test]
fn after_sigkill_the_subscribers_are_back_and_nothing_is_left() {
    require_root!("after_sigkill_the_subscribers_are_back_and_nothing_is_left");
    let _cores = one_at_a_time();
    let folder = Folder::new("fan-out-kill");
    for mode in modes() {
        let lab = quiet_lab();
        let state = folder.file(mode);
        let saved = |address: String| Saved {
            feed: "itch".into(),
            subscriber: Subscriber::new(address.parse().expect("an address")),
        };
        let saved: Vec<_> = subscribers(&lab.left, SUBSCRIBERS).into_iter().map(saved).collect();
        state::save(state.as_ref(), &saved).expect("saved");
        let copies = copies(&lab, SUBSCRIBERS, 1 << 20);
        let receiver = CopyReceiver::start(&lab.left, copies.clone()).expect("a receiver");
        let over = AtomicBool::new(false);
        let mut times = std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut first = 0;
                while !over.load(Ordering::Relaxed) && first < copies.count {
                    let packets = Numbered { first, ..copies.packets.clone() };
                    let some = Schedule::paced(50, 1_000.0);
                    send_packet(&lab.left, &packets, &some).expect("sent");
                    first += 50;
                }
            });
            let _stop = StopOnDrop(&over);
            first_copies(&lab, mode, &state, &receiver)
        });
        let report = receiver.finish().expect("a port");
        for check in &report.subscribers {
            let faults = (check.duplicates, check.out_of_order, check.corrupted, check.beyond);
            assert!(check.received >= SOME / 64 && faults == (0, 0, 0, 0), "{mode}: {check}");
        }
        assert_eq!(report.foreign, 0);
        assert_eq!(state::load(state.as_ref()).expect("whole"), Some(saved));
        times.sort_unstable();
        let (median, last) = (times[KILLS / 2], times[KILLS - 1]);
        eprintln!("{mode}: first copy {median:?} after a restart, {last:?} at most of {KILLS}");
        assert!(median < Duration::from_millis(FIRST_COPY_MS_MAX), "{mode}: {median:?}");
    }
}

/// Whatever fails must not leave the sender running.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
