//! An XDP program that counts numbered packets and drops them.

use crate::error::{LabError, Tried};
use crate::message::MAGIC;
use crate::{End, Numbered};
use std::io;
use std::time::{Duration, Instant};
use tickwire_capture::bpf::asm::{Alu, Assembler, Cond, Helper, Reg, Size, XdpAction, xdp_md};
use tickwire_capture::bpf::{AttachMode, Instruction, Map, MapKind, Program, XdpLink};

/// How often a wait looks at the counter.
const POLL: Duration = Duration::from_millis(5);

/// Counts the numbered packets that reach an interface and drops them; all others pass.
///
/// Detached when it is dropped. While it is there, the other end can send XDP frames.
#[derive(Debug)]
pub struct DropCounter {
    count: Map,
    program_id: u32,
    _link: XdpLink,
}

impl DropCounter {
    /// Attaches it to the interface of `end`, for packets with the headers of `packets`.
    ///
    /// # Errors
    /// EPERM without CAP_BPF and CAP_NET_ADMIN, EBUSY when another program is attached.
    pub fn attach(end: &End, packets: &Numbered) -> Result<Self, LabError> {
        let what = || format!("attach a counting XDP program to {}", end.name());
        let count = Map::create("tickwire_drop", MapKind::PerCpuArray, 4, 8, 1).tried(what)?;
        let code = counting_program(packets.header_bytes(), &count);
        let program = Program::load_xdp("tickwire_drop", &code)
            .map_err(|error| LabError::new(what(), io::Error::other(error)))?;
        let index = end.index()?;
        let attach = || XdpLink::attach(&program, index, AttachMode::Native);
        let link = end.run(attach).tried(what)?;
        let program_id = program.info().tried(what)?.id;
        Ok(DropCounter { count, program_id, _link: link })
    }

    /// The number of its program in the kernel.
    pub fn program_id(&self) -> u32 {
        self.program_id
    }

    /// How many there were so far, over all queues.
    ///
    /// # Errors
    /// When the system refuses to read a map.
    pub fn count(&self) -> Result<u64, LabError> {
        self.count.counter(0).tried(|| "read the counter of an XDP program".into())
    }

    /// Waits until there were `wanted`, at most for `timeout`, and returns how many there were.
    ///
    /// # Errors
    /// As [`count`](Self::count).
    pub fn wait(&self, wanted: u64, timeout: Duration) -> Result<u64, LabError> {
        let deadline = Instant::now() + timeout;
        loop {
            let count = self.count()?;
            if count >= wanted || Instant::now() >= deadline {
                return Ok(count);
            }
            std::thread::sleep(POLL);
        }
    }
}

/// Looks for the magic word at `payload`; counts and drops where it is.
fn counting_program(payload: usize, count: &Map) -> Vec<Instruction> {
    use Reg::{R0, R1, R2, R3, R10};
    let mut asm = Assembler::new();
    let pass = asm.label();
    asm.load(Size::U32, R2, R1, xdp_md::DATA);
    asm.load(Size::U32, R3, R1, xdp_md::DATA_END);
    asm.mov(R1, R2);
    asm.alu(Alu::Add, R1, payload as i32 + size_of_val(&MAGIC) as i32);
    asm.jump_if(Cond::Gt, R1, R3, pass);
    asm.load(Size::U32, R2, R2, payload as i16);
    asm.to_be(R2, 32);
    asm.jump_if32(Cond::Ne, R2, MAGIC as i32, pass);
    asm.store(Size::U32, R10, -4, 0);
    asm.load_map(R1, count);
    asm.mov(R2, R10);
    asm.alu(Alu::Add, R2, -4);
    asm.call(Helper::MapLookup);
    asm.jump_if(Cond::Eq, R0, 0, pass);
    asm.load(Size::U64, R1, R0, 0);
    asm.alu(Alu::Add, R1, 1);
    asm.store(Size::U64, R0, 0, R1);
    asm.exit_with(XdpAction::Drop);
    asm.bind(pass);
    asm.exit_with(XdpAction::Pass);
    asm.finish().expect("every label is bound and every jump is short")
}
