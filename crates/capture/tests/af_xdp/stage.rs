//! A stage before the selection: what it answers, what it lets by, how it is replaced.

use crate::support::*;
use std::net::UdpSocket;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;
use tickwire_capture::af_xdp::{Selection, Stage};
use tickwire_capture::bpf::Words;
use tickwire_capture::bpf::asm::{Alu, AsmError, Assembler, Cond, Helper, Label, Reg::*};
use tickwire_capture::bpf::asm::{Size, XdpAction, xdp_md};
use tickwire_capture::{Port, netdev};
use tickwire_frame::Ledger;
use tickwire_lab::{Lab, LabConfig, require_root};

/// Sends UDP over IPv4 to port 7 back where it came from, as RFC 862 has it, and lets all else by;
/// counts both.
#[derive(Debug)]
struct Echo {
    counts: Words,
    /// Out of which interface; none for XDP_TX.
    redirect: Option<u32>,
}

impl Echo {
    fn new() -> Arc<Echo> {
        Self::with(None)
    }

    fn with(redirect: Option<u32>) -> Arc<Echo> {
        Arc::new(Echo { counts: Words::create("test_echo", 2).unwrap(), redirect })
    }

    /// How many it sent back, and how many it let by.
    fn counts(&self) -> (u64, u64) {
        let [echoed, passed] = [0, 1].map(|at: usize| self.counts.words()[at].load(Relaxed));
        (echoed, passed)
    }

    fn count(&self, asm: &mut Assembler, word: u32) {
        asm.load_map_value(R1, self.counts.as_fd().as_raw_fd(), 8 * word);
        asm.mov(R2, 1);
        asm.atomic_add(R1, 0, R2);
    }
}

impl Stage for Echo {
    fn emit(&self, asm: &mut Assembler, next: Label) -> Result<(), AsmError> {
        let other = asm.label();
        asm.load(Size::U32, R7, R6, xdp_md::DATA);
        asm.load(Size::U32, R3, R6, xdp_md::DATA_END);
        asm.mov(R4, R7);
        asm.alu(Alu::Add, R4, 42);
        asm.jump_if(Cond::Gt, R4, R3, other);
        for (size, offset, value) in [
            (Size::U16, 12, i32::from(0x0800u16.to_be())),
            (Size::U8, 14, 0x45),
            (Size::U8, 23, 17),
            (Size::U16, 36, i32::from(7u16.to_be())),
        ] {
            asm.load(size, R4, R7, offset);
            asm.jump_if(Cond::Ne, R4, value, other);
        }
        // The checksums stay what they are: the same words in another order.
        for (size, one, another) in
            [(Size::U32, 0, 6), (Size::U16, 4, 10), (Size::U32, 26, 30), (Size::U16, 34, 36)]
        {
            asm.load(size, R4, R7, one);
            asm.load(size, R5, R7, another);
            asm.store(size, R7, one, R5);
            asm.store(size, R7, another, R4);
        }
        self.count(asm, 0);
        match self.redirect {
            None => asm.exit_with(XdpAction::Tx),
            Some(index) => {
                asm.mov(R1, index as i32);
                asm.mov(R2, 0);
                asm.call(Helper::Redirect);
                asm.exit();
            }
        }
        asm.bind(other);
        self.count(asm, 1);
        asm.jump(next);
        Ok(())
    }
}

/// Sends a datagram to the echo port of the right end; what comes back within the time.
fn echo(lab: &Lab, text: &[u8], wait: Duration) -> Option<Vec<u8>> {
    let _receives_xdp = lab.left.receive_xdp().unwrap();
    exchange(lab, text, wait)
}

fn exchange(lab: &Lab, text: &[u8], wait: Duration) -> Option<Vec<u8>> {
    let socket = lab.left.run(|| UdpSocket::bind((lab.left.ipv4(), 0)).unwrap());
    socket.connect((lab.right.ipv4(), 7)).unwrap();
    socket.set_read_timeout(Some(wait)).unwrap();
    socket.send(text).unwrap();
    let mut buffer = vec![0; 2048];
    let len = socket.recv(&mut buffer).ok()?;
    buffer.truncate(len);
    Some(buffer)
}

/// A plain socket at the other end gets what XDP_TX sends; what the stage lets by is selected.
#[test]
fn a_stage_answers_and_lets_by() {
    require_root!("a_stage_answers_and_lets_by");
    in_lab(|lab| {
        let stage = Echo::new();
        let mut port = open(&lab.right, |config| config.stage = Some(stage.clone()));
        for len in [0, 1, 18, 100, 1400] {
            assert_eq!(echo(lab, &vec![7; len], LIMIT), Some(vec![7; len]));
        }
        Raw::new(&lab.left).send_numbered(3, 10);
        assert_eq!(collect(&mut port, 10, |frame| assert!(number(frame.bytes) >= 3)), 10);
        assert_eq!(stage.counts(), (5, 10));

        // With nothing selected, what it lets by is the host's.
        port.select(&Selection::Udp(Vec::new())).unwrap();
        let host = Raw::new(&lab.right);
        Raw::new(&lab.left).send_numbered(3, 1);
        assert!(echo(lab, b"still", LIMIT).is_some());
        assert_eq!((host.take().len(), take(&mut port, |_| {})), (1, 0));
    });
}

/// What is redirected reaches an end without a program, too, if it does GRO; XDP_TX would not.
#[test]
fn an_answer_by_redirect_needs_no_program_at_the_other_end() {
    require_root!("an_answer_by_redirect_needs_no_program_at_the_other_end");
    let gro = LabConfig { ipv6: false, gro: true, ..LabConfig::default() };
    in_lab_as(gro, |lab| {
        let stage = Echo::with(Some(lab.right.index().unwrap()));
        let _port = open(&lab.right, |config| config.stage = Some(stage.clone()));
        for len in [0, 18, 1400] {
            assert_eq!(exchange(lab, &vec![7; len], LIMIT), Some(vec![7; len]));
        }
        assert_eq!(stage.counts().0, 3);
    });
}

/// Emits something to be refused, or something odd.
#[derive(Debug)]
struct Odd(fn(&mut Assembler, Label));

impl Stage for Odd {
    fn emit(&self, asm: &mut Assembler, next: Label) -> Result<(), AsmError> {
        (self.0)(asm, next);
        Ok(())
    }
}

/// The text says why; the stage before is there still.
#[test]
fn a_stage_that_is_refused_changes_nothing() {
    require_root!("a_stage_that_is_refused_changes_nothing");
    in_lab(|lab| {
        let port = open(&lab.right, |config| config.stage = Some(Echo::new()));
        let (stages, before) = (port.stages(), port.stages().program().unwrap());
        let beyond: fn(&mut Assembler, Label) = |asm, next| {
            asm.load(Size::U32, R2, R6, xdp_md::DATA);
            asm.load(Size::U8, R2, R2, 0);
            asm.jump_if(Cond::Eq, R2, 0, next);
            asm.exit_with(XdpAction::Drop);
        };
        let far: fn(&mut Assembler, Label) = |asm, next| {
            asm.jump_if(Cond::Eq, R6, 0, next);
            (0..40_000).for_each(|_| asm.mov(R0, 0));
            asm.exit();
        };
        let endless: fn(&mut Assembler, Label) = |asm, next| {
            asm.call(Helper::PrandomU32);
            let top = asm.label();
            asm.bind(top);
            asm.alu(Alu::Add, R0, 3);
            asm.jump_if(Cond::Ne, R0, 1, top);
            asm.jump(next);
        };
        for (code, words) in [
            (beyond, ["invalid access to packet", "report it"]),
            (far, ["too far", "fewer rules"]),
            (endless, ["infinite loop", "report it"]),
        ] {
            let error = stages.set_stage(Some(Arc::new(Odd(code)))).unwrap_err().to_string();
            assert!(words.iter().all(|word| error.contains(word)), "{words:?}: {error}");
            assert_eq!(stages.program().unwrap(), before);
        }
        assert!(echo(lab, b"as before", LIMIT).is_some());
        drop(port);
        let error = open_error(&lab.right, |config| config.stage = Some(Arc::new(Odd(beyond))));
        assert!(error.contains("invalid access to packet"), "{error}");
    });
}

/// One that decides on every frame leaves nothing to the selection.
#[test]
fn a_stage_need_not_go_on() {
    require_root!("a_stage_need_not_go_on");
    in_lab(|lab| {
        let drop_all: fn(&mut Assembler, Label) = |asm, _| asm.exit_with(XdpAction::Drop);
        let mut port = open(&lab.right, |config| config.stage = Some(Arc::new(Odd(drop_all))));
        let host = Raw::new(&lab.right);
        Raw::new(&lab.left).send_numbered(0, 10);
        assert_eq!((host.take().len(), take(&mut port, |_| {})), (0, 0));
        port.stages().set_stage(None).unwrap();
        Raw::new(&lab.left).send_numbered(10, 10);
        assert_eq!(collect(&mut port, 10, |_| {}), 10);
    });
}

/// Each frame meets one stage or the other, and all are received.
#[test]
fn stages_change_without_a_loss() {
    require_root!("stages_change_without_a_loss");
    in_lab(|lab| {
        const SWAPS: usize = 50;
        const FRAMES_MAX: u64 = 3000;
        let mut port = open(&lab.right, |_| {});
        let (one, other) = (Echo::new(), Echo::new());
        let (stages, sender, over) = (port.stages(), Raw::new(&lab.left), AtomicBool::new(false));
        let unstaged = stages.program().unwrap();
        stages.set_stage(Some(one.clone())).unwrap();
        assert!(stages.program().unwrap().verified > unstaged.verified);
        let sent = std::thread::scope(|scope| {
            let sending = scope.spawn(|| {
                let mut sent = 0;
                while !over.load(Relaxed) && sent < FRAMES_MAX {
                    sender.send_numbered(sent, 20);
                    sent += 20;
                    std::thread::sleep(Duration::from_millis(1));
                }
                sent
            });
            for swap in 0..SWAPS {
                let stage = if swap % 2 == 0 { other.clone() } else { one.clone() };
                stages.set_stage(Some(stage)).unwrap();
            }
            over.store(true, Relaxed);
            sending.join().unwrap()
        });
        let sent = sent - lab.left.counters().unwrap().tx_dropped;
        let mut expected = 0;
        let seen = collect(&mut port, sent as usize, |frame| {
            assert!(number(frame.bytes) >= expected, "in order");
            expected = number(frame.bytes) + 1;
        });
        assert_eq!(seen as u64, sent);
        assert_eq!(one.counts().1 + other.counts().1, sent, "each met one of them");
    });
}

/// It comes back with its interface, also one that was set while that was gone.
#[test]
fn a_stage_follows_its_interface() {
    require_root!("a_stage_follows_its_interface");
    in_lab(|lab| {
        let mut ledger = Ledger::default();
        let first = Echo::new();
        let mut port = open(&lab.right, |config| config.stage = Some(first.clone()));
        let stages = port.stages();
        let mut stage = first;
        for round in 1..=3 {
            assert!(echo(lab, b"here", LIMIT).is_some());
            lab.delete_link().unwrap();
            if round == 2 {
                stage = Echo::new();
                stages.set_stage(Some(stage.clone())).unwrap();
            }
            let total = port.frame_count().total();
            tick_until(&mut port, &mut ledger, |port| port.frame_count().free == total);
            if round == 3 {
                stages.set_stage(None).unwrap();
            }
            lab.create_link().unwrap();
            tick_until(&mut port, &mut ledger, |port| counter(port, "reopened") == round);
        }
        assert_eq!(stage.counts().0, 1);
        assert_eq!(echo(lab, b"gone", Duration::from_millis(50)), None);
        finish(&mut port, &mut ledger);
    });
}

/// Who may change the stage does not hold the program on the interface.
#[test]
fn a_stage_goes_with_the_last_port() {
    require_root!("a_stage_goes_with_the_last_port");
    in_lab(|lab| {
        let index = lab.right.index().unwrap();
        let port = open(&lab.right, |config| config.stage = Some(Echo::new()));
        let stages = port.stages().clone();
        assert!(netdev::xdp_attached(index).unwrap().is_some());
        drop(port);
        assert_eq!(netdev::xdp_attached(index).unwrap(), None);
        let error = stages.set_stage(None).unwrap_err().to_string();
        assert!(error.contains("closed") && error.contains("open a port"), "{error}");
        assert!(stages.program().is_err());
    });
}

/// Takes as long as the test wants.
#[derive(Debug)]
struct Slow {
    begun: mpsc::Sender<()>,
    end: Mutex<mpsc::Receiver<()>>,
}

impl Stage for Slow {
    fn emit(&self, asm: &mut Assembler, next: Label) -> Result<(), AsmError> {
        self.begun.send(()).unwrap();
        self.end.lock().unwrap().recv_timeout(LIMIT).expect("the ports went on");
        asm.jump(next);
        Ok(())
    }
}

#[test]
fn ports_go_on_while_a_stage_is_made() {
    require_root!("ports_go_on_while_a_stage_is_made");
    in_lab(|lab| {
        let mut port = open(&lab.right, |_| {});
        let mut ledger = Ledger::default();
        let stages = port.stages();
        let ((begun, has_begun), (end, at_end)) = (mpsc::channel(), mpsc::channel());
        let slow = Slow { begun, end: Mutex::new(at_end) };
        std::thread::scope(|scope| {
            let setting = scope.spawn(move || stages.set_stage(Some(Arc::new(slow))));
            has_begun.recv_timeout(LIMIT).unwrap();
            port.tick(&mut ledger).unwrap();
            assert_eq!(port.mode().port, "af_xdp");
            end.send(()).unwrap();
            setting.join().unwrap().unwrap();
        });
        Raw::new(&lab.left).send_numbered(0, 1);
        assert_eq!(collect(&mut port, 1, |_| {}), 1);
    });
}
