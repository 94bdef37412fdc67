//! Numbered packets through a real veth pair, a port and the engine: all delivered and in order at
//! 100 000 a second; and under a flood that nothing can carry, the sum exact.
//!
//! A release build sends a million packets (`cargo test --release -p tickwire-engine --test
//! million`), a debug build fewer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tickwire_capture::Port;
use tickwire_capture::af_packet::{AfPacket, AfPacketConfig};
use tickwire_capture::af_xdp::{AfXdp, AfXdpConfig};
use tickwire_engine::{Control, Engine, Idle, Job, Outcome, Role, Select, Worker};
use tickwire_frame::{Batch, Ledger, Mask, Reason};
use tickwire_lab::{
    CheckReport, Checker, End, Lab, LabConfig, Numbered, Offload, Schedule, SenderReport,
    require_root, send_live, send_packet,
};

const PACED: u64 = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };
const PACED_PPS: f64 = 100_000.0;
const FLOOD: u64 = if cfg!(debug_assertions) { 300_000 } else { 3_000_000 };
/// What a slow job spends on a batch, so that it carries 40 000 packets a second: a tenth of a
/// slow machine's flood.
const SLOW_BATCH: Duration = Duration::from_micros(1600);
/// Packets that a ring holds: a third of a second at the paced rate, so that a machine that stops
/// for a moment is not taken for a port that loses.
const DEEP: u32 = 1 << 15;
/// As above: so little that even a slow job drains it in the time that it has at the end.
const SHALLOW: u32 = 4096;
/// A block of an af_packet ring, and what one packet takes of it, in bytes.
const BLOCK_BYTES: usize = 1 << 16;
const SLOT_BYTES: usize = 128;
/// One test at a time: each wants all the cores there are.
static CORES: Mutex<()> = Mutex::new(());
/// Every run ends by itself.
const TIME_MAX: Duration = Duration::from_secs(60);

/// Checks the numbers of what it is given; each worker is a lane of its own.
struct CheckNumbers {
    checker: Arc<Mutex<Checker>>,
    lane: usize,
    batch_time: Duration,
}

impl Job for CheckNumbers {
    fn handle(&mut self, batch: &Batch<'_>, selected: Mask, ledger: &mut Ledger) {
        let mut checker = self.checker.lock().unwrap();
        batch.select(selected).for_each(|frame| checker.check_frame(self.lane, frame.bytes));
        ledger.delivered += selected.count() as u64;
        drop(checker);
        if !self.batch_time.is_zero() {
            std::thread::sleep(self.batch_time);
        }
    }
}

struct Run {
    outcome: Outcome,
    sent: SenderReport,
    checked: CheckReport,
}

/// Runs an engine over the ports of the right end while `send` sends from the left one. The job
/// spends `batch_time` on each batch.
fn run(
    lab: &Lab,
    expected: u64,
    batch_time: Duration,
    open: impl FnOnce(&End) -> Vec<Box<dyn Port>> + Send,
    send: impl FnOnce() -> SenderReport,
) -> Run {
    let checker = Arc::new(Mutex::new(Checker::new(expected)));
    let control = Arc::new(Control::new(None, Some(TIME_MAX)));
    // Threads inherit the namespace of the one that starts them.
    let engine = lab.right.run(|| {
        let worker = |(lane, port)| Worker {
            name: format!("rx-{lane}"),
            port,
            select: Select::everything(),
            job: Box::new(CheckNumbers { checker: checker.clone(), lane, batch_time }),
            core: None,
            idle: Idle::Sleep,
            role: Role::Source,
        };
        let workers = open(&lab.right).into_iter().enumerate().map(worker).collect();
        Engine::start(workers, control.clone()).unwrap()
    });
    let sent = send();
    lab.wait_quiet().unwrap();
    control.stop();
    let outcome = engine.join();
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    let checked = checker.lock().unwrap().report();
    Run { outcome, sent, checked }
}

fn lab() -> Lab {
    let lab = Lab::veth(LabConfig { ipv6: false, ..LabConfig::default() }).unwrap();
    // Live frames of the left end are taken without an XDP program at the right one.
    lab.right.set_offload(Offload::Gro, true).unwrap();
    lab
}

fn one_at_a_time() -> MutexGuard<'static, ()> {
    CORES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// With a ring for `depth` packets.
fn af_packet(end: &End, workers: usize, depth: u32) -> Vec<Box<dyn Port>> {
    // Nobody listens to the packets: what goes out are the kernel's ICMP errors.
    let config = AfPacketConfig {
        outgoing: false,
        block_bytes: BLOCK_BYTES,
        blocks: depth as usize / (BLOCK_BYTES / SLOT_BYTES),
        ..AfPacketConfig::new(end.name())
    };
    let ports = AfPacket::open(&config, workers).unwrap();
    ports.into_iter().map(|port| Box::new(port) as Box<dyn Port>).collect()
}

fn af_xdp(end: &End, depth: u32) -> Vec<Box<dyn Port>> {
    let config = AfXdpConfig { rx_ring: depth, ..AfXdpConfig::new(end.name()) };
    let ports = AfXdp::open(&config, &[0]).unwrap();
    ports.into_iter().map(|port| Box::new(port) as Box<dyn Port>).collect()
}

/// Everything arrives, in order, and nothing else is in the ledger.
fn assert_perfect(run: &Run) {
    let Run { outcome: Outcome { ledger, .. }, sent, checked } = run;
    assert_eq!((sent.sent, sent.refused_total()), (PACED, 0), "{sent}");
    assert!(checked.is_perfect(), "{checked}");
    assert_eq!((ledger.received, ledger.delivered), (PACED, PACED), "{ledger:?}");
    assert_eq!((ledger.discarded.total(), ledger.difference()), (0, 0));
}

/// What went out has arrived or is lost under its name: `sent = delivered + lost`.
fn assert_exact(run: &Run, lost: &[Reason]) {
    let Run { outcome: Outcome { ledger, .. }, sent, checked } = run;
    assert_eq!(ledger.difference(), 0);
    assert_eq!(ledger.received, sent.sent, "{ledger:?}");
    assert_eq!(ledger.delivered, checked.received);
    let named: u64 = lost.iter().map(|&reason| ledger.discarded[reason]).sum();
    assert_eq!(sent.sent, ledger.delivered + named, "{ledger:?}");
    assert!(named > 0, "this was to be more than can be carried");
    assert_eq!((checked.duplicates, checked.out_of_order, checked.foreign), (0, 0, 0));
}

#[test]
fn af_packet_delivers_all_in_order() {
    require_root!("af_packet_delivers_all_in_order");
    let _cores = one_at_a_time();
    let lab = lab();
    let packets = Numbered::between(&lab.left, &lab.right);
    let schedule = Schedule::paced(PACED, PACED_PPS);
    let send = || send_packet(&lab.left, &packets, &schedule).unwrap();
    assert_perfect(&run(&lab, PACED, Duration::ZERO, |end| af_packet(end, 1, DEEP), send));
}

#[test]
fn af_packet_names_every_loss_of_a_flood() {
    require_root!("af_packet_names_every_loss_of_a_flood");
    let _cores = one_at_a_time();
    for workers in [1, 2] {
        let lab = lab();
        let packets = Numbered { flows: 64, ..Numbered::between(&lab.left, &lab.right) };
        let send = || send_live(&lab.left, &packets, &Schedule::flood(FLOOD)).unwrap();
        let run = run(&lab, FLOOD, SLOW_BATCH, |end| af_packet(end, workers, SHALLOW), send);
        assert_exact(&run, &[Reason::PacketDropped, Reason::Stopped]);
    }
}

#[test]
fn af_xdp_delivers_all_in_order() {
    require_root!("af_xdp_delivers_all_in_order");
    let _cores = one_at_a_time();
    let lab = lab();
    let packets = Numbered::between(&lab.left, &lab.right);
    let schedule = Schedule::paced(PACED, PACED_PPS);
    let send = || send_packet(&lab.left, &packets, &schedule).unwrap();
    assert_perfect(&run(&lab, PACED, Duration::ZERO, |end| af_xdp(end, DEEP), send));
}

#[test]
fn af_xdp_names_every_loss_of_a_flood() {
    require_root!("af_xdp_names_every_loss_of_a_flood");
    let _cores = one_at_a_time();
    let lab = lab();
    let packets = Numbered { flows: 64, ..Numbered::between(&lab.left, &lab.right) };
    let send = || send_live(&lab.left, &packets, &Schedule::flood(FLOOD)).unwrap();
    let run = run(&lab, FLOOD, SLOW_BATCH, |end| af_xdp(end, SHALLOW), send);
    assert_exact(&run, &[Reason::XskRxRingFull, Reason::XskRxDropped, Reason::Stopped]);
}
