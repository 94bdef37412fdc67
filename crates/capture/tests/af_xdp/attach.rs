//! Attaching and going: other programs, other sockets, SIGKILL, rights.

use crate::support::*;
use std::io::{BufRead, BufReader};
use std::num::NonZeroU32;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tickwire_capture::Port;
use tickwire_capture::af_xdp::{AfXdp, Attach, RX_RING_DEFAULT, Selection};
use tickwire_capture::bpf::asm::{Assembler, XdpAction};
use tickwire_capture::bpf::{AttachMode, Program, XdpLink};
use tickwire_capture::netdev::{self, XdpMode};
use tickwire_filter::ebpf::Sampling;
use tickwire_frame::Ledger;
use tickwire_lab::{Lab, require_root};

fn foreign() -> Program {
    let mut asm = Assembler::new();
    asm.exit_with(XdpAction::Pass);
    Program::load_xdp("foreign", &asm.finish().unwrap()).unwrap()
}

/// What our attempts leave as it is: refused with a text, the program still there.
fn check_refused(lab: &Lab, mode: XdpMode) {
    let index = lab.right.index().unwrap();
    let before = netdev::xdp_attached(index).unwrap().unwrap();
    assert_eq!(before.mode, mode);
    let how = if mode == XdpMode::Generic { "generic" } else { "native" };
    for attach in [Attach::Auto, Attach::Native, Attach::Generic] {
        let start = Instant::now();
        let error = open_error(&lab.right, |config| config.attach = attach);
        assert!(start.elapsed() < Duration::from_millis(500), "no point in waiting");
        for words in [how, "foreign", &format!("id {}", before.program_id), "ip link", "right0"] {
            assert!(error.contains(words), "{words:?} is not in {error:?}");
        }
        assert_eq!(netdev::xdp_attached(index).unwrap(), Some(before), "{attach:?}");
    }
}

/// E9, two of four: a foreign program attached by a link, native or generic.
#[test]
fn a_foreign_link_is_left_alone() {
    require_root!("a_foreign_link_is_left_alone");
    in_lab(|lab| {
        let program = foreign();
        let index = lab.right.index().unwrap();
        for (mode, seen) in
            [(AttachMode::Native, XdpMode::Native), (AttachMode::Generic, XdpMode::Generic)]
        {
            let link = XdpLink::attach(&program, index, mode).unwrap();
            check_refused(lab, seen);
            drop(link);
            open(&lab.right, |_| {});
        }
    });
}

/// E9, the other two: attached by netlink, which also stays when its process is gone (E2).
#[test]
fn a_foreign_program_is_left_alone() {
    require_root!("a_foreign_program_is_left_alone");
    in_lab(|lab| {
        let program = foreign();
        for (mode, seen) in
            [(AttachMode::Native, XdpMode::Native), (AttachMode::Generic, XdpMode::Generic)]
        {
            attach_by_netlink(&lab.right, Some(&program), mode).unwrap();
            check_refused(lab, seen);
            attach_by_netlink(&lab.right, None, mode).unwrap();
            drop(open(&lab.right, |_| {}));
        }
    });
}

/// Nobody takes our place by accident either: netlink over our link is refused.
#[test]
fn our_program_is_not_replaced() {
    require_root!("our_program_is_not_replaced");
    in_lab(|lab| {
        let mut port = open(&lab.right, |_| {});
        for mode in [AttachMode::Native, AttachMode::Generic] {
            attach_by_netlink(&lab.right, Some(&foreign()), mode).unwrap_err();
            attach_by_netlink(&lab.right, None, AttachMode::Native).unwrap_err();
        }
        Raw::new(&lab.left).send_numbered(1, 1);
        assert_eq!(collect(&mut port, 1, |_| {}), 1);
    });
}

/// E3b: the kernel frees a queue some 20 ms after its socket was closed: opening waits for it.
/// The program goes with the port.
#[test]
fn a_port_can_be_opened_again_at_once() {
    require_root!("a_port_can_be_opened_again_at_once");
    in_lab(|lab| {
        let index = lab.right.index().unwrap();
        for round in 0..20 {
            let start = Instant::now();
            let mut port = open(&lab.right, |_| {});
            assert!(start.elapsed() < Duration::from_secs(1), "round {round}");
            Raw::new(&lab.left).send_numbered(round, 1);
            assert_eq!(collect(&mut port, 1, |_| {}), 1);
            drop(port);
            assert_eq!(netdev::xdp_attached(index).unwrap(), None, "nothing is left");
        }
    });
}

/// Set for the child process of the test below.
const CHILD: &str = "TICKWIRE_TEST_HOLD_PORT";

/// Not a test by itself: what the child of the next one runs.
#[test]
fn child_that_holds_a_port() {
    let Ok(interface) = std::env::var(CHILD) else { return };
    let config = tickwire_capture::af_xdp::AfXdpConfig::new(interface);
    let mut ports = tickwire_capture::af_xdp::AfXdp::open(&config, &[0]).unwrap();
    println!("ready");
    let start = Instant::now();
    while start.elapsed() < TEST_LIMIT {
        take(&mut ports[0], |_| {});
    }
}

/// E1: SIGKILL under load leaves no program, and the next start succeeds within a second.
#[test]
fn sigkill_leaves_nothing() {
    require_root!("sigkill_leaves_nothing");
    in_lab(|lab| {
        let index = lab.right.index().unwrap();
        let sender = Raw::new(&lab.left);
        for round in 0..5 {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.args(["--exact", "attach::child_that_holds_a_port", "--nocapture"]);
            command.env(CHILD, lab.right.name()).stdout(Stdio::piped());
            let mut child = lab.right.spawn(command).unwrap();
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
            assert!(lines.any(|line| line.unwrap().contains("ready")));
            assert!(netdev::xdp_attached(index).unwrap().is_some());
            sender.send_numbered(0, 1000);
            child.kill().unwrap();
            child.wait().unwrap();
            let start = Instant::now();
            let mut port = open(&lab.right, |_| {});
            assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
            sender.send_numbered(round, 1);
            assert_eq!(collect(&mut port, 1, |frame| assert_eq!(number(frame.bytes), round)), 1);
            drop(port);
            assert_eq!(netdev::xdp_attached(index).unwrap(), None);
        }
    });
}

/// E16: with all rights given up, receiving, sending and counting go on; opening says what it
/// needs.
#[test]
fn a_port_needs_no_rights_once_it_is_open() {
    require_root!("a_port_needs_no_rights_once_it_is_open");
    in_lab(|lab| {
        let (sender, peer) = (Raw::new(&lab.left), Raw::new(&lab.left));
        let mut port = open(&lab.right, |_| {});
        give_up_rights();
        sender.send_numbered(7, 100);
        assert_eq!(collect(&mut port, 100, |_| {}), 100);
        assert_eq!(port.transmit(&[&numbered(1, 60)]).unwrap().accepted, 1);
        assert_eq!(peer.take().iter().filter(|frame| number(frame) == 1).count(), 1);
        let mut ledger = Ledger::default();
        port.tick(&mut ledger).unwrap();
        assert_eq!(counter(&mut port, "rx_dropped"), 0);
        let error = open_error_named("right0");
        assert!(error.contains("CAP_NET_ADMIN") && error.contains("setcap"), "{error}");
        finish(&mut port, &mut ledger);
    });
}

/// X4: without CAP_SYS_RESOURCE the limit of locked memory stays; CAP_IPC_LOCK suffices.
#[test]
fn the_memory_limit_is_no_obstacle() {
    require_root!("the_memory_limit_is_no_obstacle");
    in_lab(|lab| {
        give_up(24);
        let mut port = open(&lab.right, |_| {});
        Raw::new(&lab.left).send_numbered(7, 1);
        assert_eq!(collect(&mut port, 1, |_| {}), 1);
    });
}

/// Frames that one thread sends and another receives, and how many so far. The sender waits when
/// the receiver is so far behind that its ring would overflow: on a busy machine nobody knows how
/// long a thread sleeps, and a loss of that kind is none of these tests' business.
#[derive(Default)]
struct Flow {
    sent: AtomicU64,
    seen: AtomicU64,
    enough: AtomicBool,
}

impl Flow {
    const BURST: u64 = 100;
    const BEHIND_MAX: u64 = RX_RING_DEFAULT as u64 - Self::BURST;

    /// Sends bursts until it is enough, each `pause` after the one before.
    fn send(&self, sender: &Raw, pause: Duration) {
        let start = Instant::now();
        while !self.enough.load(Relaxed) && start.elapsed() < TEST_LIMIT {
            let sent = self.sent.load(Relaxed);
            if sent - self.seen.load(Relaxed) <= Self::BEHIND_MAX {
                sender.send_numbered(sent, Self::BURST);
                self.sent.store(sent + Self::BURST, Relaxed);
            }
            std::thread::sleep(pause);
        }
    }

    /// Receives what is there: in order.
    fn take(&self, port: &mut AfXdp, next: &mut u64) {
        take(port, |frame| {
            assert!(number(frame.bytes) >= *next, "{} after {next}", number(frame.bytes));
            *next = number(frame.bytes) + 1;
            self.seen.fetch_add(1, Relaxed);
        });
    }

    /// Receives the rest: all that was sent, and was not dropped by the full queue of the veth pair
    /// before it came to us. How many those are together.
    fn check(self, lab: &Lab, port: &mut AfXdp) -> u64 {
        let dropped = lab.left.counters().unwrap().tx_dropped;
        let (sent, seen) = (self.sent.into_inner(), self.seen.into_inner() + dropped);
        let rest = collect(port, (sent - seen) as usize, |_| {}) as u64;
        assert_eq!(seen + rest, sent, "{dropped} dropped before");
        sent
    }
}

/// E17: the program is replaced under load, and no frame is lost.
#[test]
fn the_selection_changes_without_a_loss() {
    require_root!("the_selection_changes_without_a_loss");
    in_lab(|lab| {
        const SWAPS: usize = 50;
        let mut port = open(&lab.right, |_| {});
        let sender = Raw::new(&lab.left);
        let (flow, mut next) = (Flow::default(), 0);
        std::thread::scope(|scope| {
            scope.spawn(|| flow.send(&sender, Duration::from_millis(1)));
            for _ in 0..SWAPS {
                port.select(&Selection::All).unwrap();
                flow.take(&mut port, &mut next);
            }
            flow.enough.store(true, Relaxed);
        });
        flow.check(lab, &mut port);
        port.select(&Selection::Udp(Vec::new())).unwrap();
        let host = Raw::new(&lab.right);
        sender.send_numbered(0, 1);
        let start = Instant::now();
        while host.take().is_empty() {
            assert!(start.elapsed() < LIMIT, "nothing is ours now");
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(take(&mut port, |_| {}), 0);
    });
}

/// The same with filters, two hundred times at up to 20 000 frames a second: short ones, one with a
/// table, and a sample that takes everything. All of them want all frames of this test.
#[test]
fn filters_change_without_a_loss() {
    require_root!("filters_change_without_a_loss");
    in_lab(|lab| {
        const SWAPS: usize = 210;
        const FRAMES_MIN: u64 = 1000;
        let list: Vec<String> = (0x8800..0x8900).map(|n| format!("ether proto {n}")).collect();
        let every = Sampling::Flows(NonZeroU32::MIN);
        let filters = [
            filter("ether proto 0x88b5", Sampling::All),
            filter(&list.join(" or "), Sampling::All),
            filter("not ip and ether[14:4] = 0", every),
        ];
        let mut port = open(&lab.right, |config| config.selection = filters[0].clone());
        let sender = Raw::new(&lab.left);
        let (flow, mut next) = (Flow::default(), 0);
        std::thread::scope(|scope| {
            scope.spawn(|| flow.send(&sender, Duration::from_millis(5)));
            for swap in 0.. {
                if swap >= SWAPS && flow.sent.load(Relaxed) >= FRAMES_MIN {
                    break;
                }
                port.select(&filters[swap % filters.len()]).unwrap();
                flow.take(&mut port, &mut next);
            }
            flow.enough.store(true, Relaxed);
        });
        let sent = flow.check(lab, &mut port);
        let dropped = lab.left.counters().unwrap().tx_dropped;
        assert_eq!(counter(&mut port, "xdp_selected") + dropped, sent);
    });
}
