//! eBPF programs in the kernel: load, ask, run.

use super::asm::Instruction;
use super::sys::{self, Attr, Command, bpf, bpf_fd, object_name};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Room for the verifier's log, in bytes; it ends with the reason, so the last lines matter.
const LOG_BYTES_MAX: usize = 256 * 1024;
/// How many of the last lines of the log an error shows.
const LOG_LINES_SHOWN: usize = 12;
const PROGRAM_TYPE_XDP: u32 = 6;
const PROGRAM_TYPE_RAW_TRACEPOINT: u32 = 17;
const ATTACH_TYPE_XDP: u32 = 37;
const ATTACH_TYPE_XDP_DEVMAP: u32 = 33;
/// The program copes with packets in several buffers (`BPF_F_XDP_HAS_FRAGS`).
const FLAG_HAS_FRAGS: u32 = 1 << 5;
/// The verdict of the program is carried out (`BPF_F_TEST_XDP_LIVE_FRAMES`).
const FLAG_LIVE_FRAMES: u32 = 1 << 1;

/// Where a program is going to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On an interface, at reception.
    Interface,
    /// In an entry of a device map, on the way out.
    DeviceMap,
    /// At a [tracepoint](super::TracepointLink) of the kernel; not an XDP program.
    Tracepoint,
}

/// A program in the kernel.
#[derive(Debug)]
pub struct Program {
    fd: OwnedFd,
}

/// The kernel did not take a program.
#[derive(Debug, thiserror::Error)]
#[error("the kernel refused the eBPF program: {source}{}", last_lines(.log))]
pub struct LoadError {
    /// What bpf(2) said: EPERM without CAP_BPF and CAP_NET_ADMIN, EACCES or EINVAL from the
    /// verifier.
    pub source: io::Error,
    /// The verifier's log; empty when it was not the verifier.
    pub log: String,
}

fn last_lines(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    let shown = &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..];
    shown.iter().fold(String::new(), |text, line| text + "\n  " + line)
}

#[repr(C)]
struct LoadAttr {
    program_type: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buffer: u64,
    kernel_version: u32,
    program_flags: u32,
    program_name: [u8; 16],
    program_ifindex: u32,
    expected_attach_type: u32,
}

// SAFETY: the head of the BPF_PROG_LOAD part of `union bpf_attr`. `Program::load` alone fills it,
// with pointers to live slices and their lengths.
unsafe impl Attr for LoadAttr {}

#[repr(C)]
#[derive(Default)]
struct TestRunAttr {
    program_fd: u32,
    verdict: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    context_size_in: u32,
    context_size_out: u32,
    context_in: u64,
    context_out: u64,
    flags: u32,
    cpu: u32,
    batch_size: u32,
    zero: u32,
}

// SAFETY: the BPF_PROG_TEST_RUN part of `union bpf_attr` and a zero tail. Only this module fills
// it, with pointers to live slices and their lengths.
unsafe impl Attr for TestRunAttr {}

/// `struct xdp_md` as input of a test run.
#[repr(C)]
struct Context {
    data: u32,
    data_end: u32,
    data_meta: u32,
    ingress_ifindex: u32,
    rx_queue_index: u32,
    egress_ifindex: u32,
}

#[repr(C)]
struct IdAttr {
    id: u32,
    next_id: u32,
    open_flags: u32,
}

// SAFETY: the head of the BPF_*_GET_FD_BY_ID part of `union bpf_attr`; no pointers, no padding.
unsafe impl Attr for IdAttr {}

/// What a test run brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestRun {
    /// What the program returned: an [`XdpAction`](super::asm::XdpAction) by number.
    pub verdict: u32,
    /// The packet as the program left it.
    pub packet: Vec<u8>,
    /// Mean time of one run, in nanoseconds.
    pub duration_ns: u32,
}

/// A packet of a test run may grow by this much, in bytes.
const GROWTH_BYTES_MAX: usize = 256;

impl Program {
    /// Loads `code` for `place`. `frags` says that an XDP program copes with packets in several
    /// buffers (it reads only the first), which large MTUs need.
    ///
    /// # Errors
    /// What the kernel said, with the end of the verifier's log.
    pub fn load(
        name: &str,
        code: &[Instruction],
        place: Place,
        frags: bool,
    ) -> Result<Program, LoadError> {
        let license = c"MIT";
        let mut attr = LoadAttr {
            program_type: match place {
                Place::Interface | Place::DeviceMap => PROGRAM_TYPE_XDP,
                Place::Tracepoint => PROGRAM_TYPE_RAW_TRACEPOINT,
            },
            instruction_count: code.len() as u32,
            instructions: code.as_ptr() as u64,
            license: license.as_ptr() as u64,
            log_level: 0,
            log_size: 0,
            log_buffer: 0,
            kernel_version: 0,
            program_flags: if frags { FLAG_HAS_FRAGS } else { 0 },
            program_name: object_name(name),
            program_ifindex: 0,
            expected_attach_type: match place {
                Place::Interface => ATTACH_TYPE_XDP,
                Place::DeviceMap => ATTACH_TYPE_XDP_DEVMAP,
                Place::Tracepoint => 0,
            },
        };
        let source = match bpf_fd(Command::ProgramLoad, &mut attr) {
            Ok(fd) => return Ok(Program { fd }),
            Err(source) => source,
        };
        // Once more, only to hear why.
        let mut log = vec![0u8; LOG_BYTES_MAX];
        attr.log_level = 1;
        attr.log_size = log.len() as u32;
        attr.log_buffer = log.as_mut_ptr() as u64;
        match bpf_fd(Command::ProgramLoad, &mut attr) {
            Ok(fd) => Ok(Program { fd }),
            Err(_) => Err(LoadError { source, log: text(&log) }),
        }
    }

    /// Loads an XDP program for an interface.
    pub fn load_xdp(name: &str, code: &[Instruction]) -> Result<Program, LoadError> {
        Self::load(name, code, Place::Interface, true)
    }

    /// Runs the program `repeat` times on one copy of `packet` (14 bytes or more), so that each run
    /// sees what the one before left; the verdict has no effect.
    pub fn test_run(&self, packet: &[u8], repeat: u32) -> io::Result<TestRun> {
        self.test_run_with_meta(&[], packet, repeat)
    }

    /// The same with `meta`, a multiple of 4 bytes, before the packet (`data_meta`).
    pub fn test_run_with_meta(
        &self,
        meta: &[u8],
        packet: &[u8],
        repeat: u32,
    ) -> io::Result<TestRun> {
        let input = [meta, packet].concat();
        let context = Context {
            data: meta.len() as u32,
            data_end: input.len() as u32,
            data_meta: 0,
            ingress_ifindex: 0,
            rx_queue_index: 0,
            egress_ifindex: 0,
        };
        let mut out = vec![0; input.len() + GROWTH_BYTES_MAX];
        let mut attr = TestRunAttr {
            program_fd: self.fd.as_raw_fd() as u32,
            data_size_in: input.len() as u32,
            data_in: input.as_ptr() as u64,
            data_size_out: out.len() as u32,
            data_out: out.as_mut_ptr() as u64,
            repeat,
            ..TestRunAttr::default()
        };
        if !meta.is_empty() {
            attr.context_size_in = size_of::<Context>() as u32;
            attr.context_in = std::ptr::from_ref(&context) as u64;
        }
        bpf(Command::ProgramTestRun, &mut attr)?;
        out.truncate(attr.data_size_out as usize);
        Ok(TestRun { verdict: attr.verdict, packet: out, duration_ns: attr.duration })
    }

    /// Sends `count` copies of `packet` through the program **for real**: a verdict to redirect,
    /// transmit or pass is carried out, as if the packet had come in on queue 0 of `ifindex`
    /// (which must run XDP or NAPI; 0 means the loopback device). `batch` frames at a time, at
    /// most 256.
    ///
    /// The kernel initialises each page of its pool once and then reuses it: a program that
    /// writes to the packet sees what it wrote before. Returns when all are sent; a signal ends it
    /// early with EINTR.
    pub fn send_live(&self, packet: &[u8], ifindex: u32, count: u32, batch: u32) -> io::Result<()> {
        let context = Context {
            data: 0,
            data_end: packet.len() as u32,
            data_meta: 0,
            ingress_ifindex: ifindex,
            rx_queue_index: 0,
            egress_ifindex: 0,
        };
        let mut attr = TestRunAttr {
            program_fd: self.fd.as_raw_fd() as u32,
            data_size_in: packet.len() as u32,
            data_in: packet.as_ptr() as u64,
            repeat: count,
            context_size_in: size_of::<Context>() as u32,
            context_in: std::ptr::from_ref(&context) as u64,
            flags: FLAG_LIVE_FRAMES,
            batch_size: batch,
            ..TestRunAttr::default()
        };
        bpf(Command::ProgramTestRun, &mut attr).map(drop)
    }

    /// Its number and name.
    pub fn info(&self) -> io::Result<ProgramInfo> {
        ProgramInfo::of(self.fd.as_fd())
    }
}

impl AsFd for Program {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// What the kernel tells of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramInfo {
    /// Unique number while the program lives.
    pub id: u32,
    /// As given at load, cut to 15 bytes.
    pub name: String,
    /// How many instructions the verifier went through, on all ways; it takes a million at most.
    pub verified: u32,
}

/// Offsets of `name` and `verified_insns` in `struct bpf_prog_info`.
const INFO_NAME: usize = 64;
const INFO_VERIFIED: usize = 216;

impl ProgramInfo {
    /// What is known of the program with this id, whoever loaded it.
    ///
    /// # Errors
    /// ENOENT when there is none; EPERM without CAP_SYS_ADMIN.
    pub fn by_id(id: u32) -> io::Result<ProgramInfo> {
        let mut attr = IdAttr { id, next_id: 0, open_flags: 0 };
        let fd = bpf_fd(Command::ProgramFdById, &mut attr)?;
        Self::of(fd.as_fd())
    }

    fn of(fd: BorrowedFd<'_>) -> io::Result<ProgramInfo> {
        let mut info = [0u8; INFO_VERIFIED + 4];
        sys::info(fd, &mut info)?;
        let word = |at: usize| u32::from_ne_bytes([0, 1, 2, 3].map(|byte| info[at + byte]));
        let name = text(&info[INFO_NAME..INFO_NAME + 16]);
        Ok(ProgramInfo { id: word(4), name, verified: word(INFO_VERIFIED) })
    }
}

/// The text up to the first zero.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::super::asm::{Alu, Assembler, Cond, Helper, Reg::*, Size, XdpAction, xdp_md};
    use super::super::{Map, MapKind};
    use super::*;

    fn load(asm: Assembler) -> Option<Program> {
        match Program::load_xdp("tickwire_test", &asm.finish().unwrap()) {
            Ok(program) => Some(program),
            Err(error) if error.source.raw_os_error() == Some(libc::EPERM) => {
                eprintln!("SKIPPED: loading an eBPF program needs CAP_BPF (run as root)");
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Bounds check, byte order, branch, store into the packet.
    #[test]
    fn a_program_reads_and_writes_the_packet() {
        let mut asm = Assembler::new();
        let pass = asm.label();
        asm.load(Size::U32, R2, R1, xdp_md::DATA);
        asm.load(Size::U32, R3, R1, xdp_md::DATA_END);
        asm.mov(R4, R2);
        asm.alu(Alu::Add, R4, 14);
        asm.jump_if(Cond::Gt, R4, R3, pass);
        asm.load(Size::U16, R5, R2, 12);
        asm.to_be(R5, 16);
        asm.jump_if(Cond::Ne, R5, 0x0800, pass);
        asm.store(Size::U8, R2, 0, 0xaa);
        asm.exit_with(XdpAction::Drop);
        asm.bind(pass);
        asm.exit_with(XdpAction::Pass);
        let Some(program) = load(asm) else { return };

        let mut packet = [0u8; 60];
        assert_eq!(program.test_run(&packet, 1).unwrap().verdict, XdpAction::Pass as u32);
        packet[12] = 8;
        let run = program.test_run(&packet, 10).unwrap();
        assert_eq!(run.verdict, XdpAction::Drop as u32);
        assert_eq!((run.packet.len(), run.packet[0]), (60, 0xaa));
        assert_eq!(program.info().unwrap().name, "tickwire_test");
        let id = program.info().unwrap().id;
        assert_eq!(ProgramInfo::by_id(id).unwrap().name, "tickwire_test");
    }

    #[test]
    fn a_program_counts_in_a_map() {
        let Ok(map) = Map::create("count", MapKind::PerCpuArray, 4, 8, 1) else {
            eprintln!("SKIPPED: creating an eBPF map needs CAP_BPF (run as root)");
            return;
        };
        let mut asm = Assembler::new();
        let out = asm.label();
        asm.store(Size::U32, R10, -4, 0);
        asm.load_map(R1, &map);
        asm.mov(R2, R10);
        asm.alu(Alu::Add, R2, -4);
        asm.call(Helper::MapLookup);
        asm.jump_if(Cond::Eq, R0, 0, out);
        asm.mov(R1, 1);
        asm.atomic_add(R0, 0, R1);
        asm.bind(out);
        asm.exit_with(XdpAction::Pass);
        let Some(program) = load(asm) else { return };
        program.test_run(&[0; 60], 1000).unwrap();
        assert_eq!(map.counter(0).unwrap(), 1000);
    }

    /// At the end or before the beginning; one more than there is room for changes nothing.
    #[test]
    fn a_packet_that_grew_comes_back_whole() {
        for (helper, bytes, grows) in [
            (Helper::XdpAdjustTail, 17, true),
            (Helper::XdpAdjustTail, GROWTH_BYTES_MAX as i32, true),
            (Helper::XdpAdjustTail, 1 << 16, false),
            (Helper::XdpAdjustHead, -17, true),
            (Helper::XdpAdjustHead, -257, false),
        ] {
            let mut asm = Assembler::new();
            let refused = asm.label();
            asm.mov(R2, bytes);
            asm.call(helper);
            asm.jump_if(Cond::Ne, R0, 0, refused);
            asm.exit_with(XdpAction::Tx);
            asm.bind(refused);
            asm.exit_with(XdpAction::Aborted);
            let Some(program) = load(asm) else { return };
            let packet: Vec<u8> = (1..=60).collect();
            let run = program.test_run(&packet, 1).unwrap();
            let verdict = if grows { XdpAction::Tx } else { XdpAction::Aborted };
            assert_eq!(run.verdict, verdict as u32, "{helper:?} {bytes}");
            let more = if grows { bytes.unsigned_abs() as usize } else { 0 };
            assert_eq!(run.packet.len(), 60 + more);
            match helper {
                Helper::XdpAdjustTail => {
                    assert_eq!(run.packet[..60], packet);
                    assert!(run.packet[60..].iter().all(|&byte| byte == 0));
                }
                _ => assert_eq!(run.packet[more..], packet),
            }
        }
    }

    /// Many runs have a time worth to be told; each sees the packet as the one before left it.
    #[test]
    fn many_runs_are_timed() {
        let mut asm = Assembler::new();
        let short = asm.label();
        asm.load(Size::U32, R2, R1, xdp_md::DATA);
        asm.load(Size::U32, R3, R1, xdp_md::DATA_END);
        asm.mov(R4, R2);
        asm.alu(Alu::Add, R4, 14);
        asm.jump_if(Cond::Gt, R4, R3, short);
        asm.load(Size::U32, R5, R2, 0);
        asm.alu(Alu::Add, R5, 1);
        asm.store(Size::U32, R2, 0, R5);
        (0..1000).for_each(|_| asm.alu(Alu::Mul, R5, 3));
        asm.bind(short);
        asm.exit_with(XdpAction::Tx);
        let Some(program) = load(asm) else { return };
        let run = program.test_run(&[0; 60], 10_000).unwrap();
        assert_eq!(run.packet[..4], 10_000u32.to_ne_bytes());
        assert!(run.duration_ns > 0);
    }

    #[test]
    fn a_jump_may_be_as_long_as_it_likes() {
        let mut asm = Assembler::new();
        let (near, far) = (asm.label(), asm.label());
        asm.call(Helper::XdpBuffLen);
        asm.jump_if(Cond::Ne, R0, 60, near);
        asm.jump(far);
        asm.bind(near);
        (0..40_000).for_each(|_| asm.alu(Alu::Add, R0, 1));
        asm.exit_with(XdpAction::Pass);
        asm.bind(far);
        asm.exit_with(XdpAction::Tx);
        let Some(program) = load(asm) else { return };
        let verdict = |bytes| program.test_run(&vec![0; bytes], 1).unwrap().verdict;
        assert_eq!(verdict(60), XdpAction::Tx as u32);
        assert_eq!(verdict(61), XdpAction::Pass as u32);
        assert!(program.info().unwrap().verified > 40_000);
    }

    /// Each changes a word on the stack; the verdict is the sum of what came back and is there.
    #[test]
    fn words_change_places() {
        for (expected, store, sum) in [(3, 5, 3 + 5), (4, 5, 3 + 3)] {
            let mut asm = Assembler::new();
            asm.store(Size::U64, R10, -8, 1);
            asm.mov(R3, 3);
            asm.atomic_exchange(R10, -8, R3);
            // R3 is 1 now, the word 3.
            asm.mov(R0, expected);
            asm.mov(R4, store);
            asm.atomic_compare_exchange(R10, -8, R4);
            asm.load(Size::U64, R5, R10, -8);
            asm.alu(Alu::Add, R0, R5);
            asm.alu(Alu::Mul, R3, 100);
            asm.alu(Alu::Add, R0, R3);
            asm.exit();
            let Some(program) = load(asm) else { return };
            assert_eq!(program.test_run(&[0; 60], 1).unwrap().verdict, 100 + sum);
        }
    }

    #[test]
    fn the_verifier_is_quoted() {
        let mut asm = Assembler::new();
        asm.load(Size::U32, R0, R1, xdp_md::DATA);
        asm.load(Size::U8, R0, R0, 0);
        asm.exit();
        let error = match Program::load_xdp("bad", &asm.finish().unwrap()) {
            Ok(_) => panic!("a load without a bounds check"),
            Err(error) => error,
        };
        if error.source.raw_os_error() == Some(libc::EPERM) {
            eprintln!("SKIPPED: loading an eBPF program needs CAP_BPF (run as root)");
            return;
        }
        assert!(error.to_string().contains("invalid access to packet"), "{error}");
    }
}
