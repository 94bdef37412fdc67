//! What the kernel's JIT makes of the classic program.
//!
//! A program attached with SO_ATTACH_FILTER cannot be run by itself. So this does what the kernel
//! does on attaching (`bpf_convert_filter`, net/core/filter.c): instruction by instruction to eBPF,
//! with `LD_ABS` and `LD_IND`, which the kernel expands the same way for both. It is loaded as a
//! classifier (whose packets begin at the Ethernet header) and timed by BPF_PROG_TEST_RUN.

#![allow(unsafe_code)] // bpf(2).

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use tickwire_ebpf::Instruction;
use tickwire_filter::classic::Insn;
use tickwire_filter::classic::insn::code::*;

const PROG_LOAD: i64 = 5;
const PROG_TEST_RUN: i64 = 10;
const TYPE_SCHED_CLS: u32 = 3;
/// Runs over each packet.
const REPEAT: u32 = 5_000;

// Registers, as the kernel assigns them.
const A: u8 = 0;
const CONTEXT: u8 = 6;
const X: u8 = 7;
const SAVED: u8 = 8;
// Operations of RFC 9669.
const MOV64: u8 = 0xbf;
const MOV32_IMM: u8 = 0xb4;
const AND32_IMM: u8 = 0x54;
const LSH32_IMM: u8 = 0x64;
const LDX_W: u8 = 0x61;
const JUMP: u8 = 0x05;
const JUMP32: u8 = 0x06;
const EXIT: u8 = 0x95;

#[repr(C)]
#[derive(Default)]
struct LoadAttr {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
}

#[repr(C)]
#[derive(Default)]
struct TestRunAttr {
    program: u32,
    verdict: u32,
    bytes_in: u32,
    bytes_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration_ns: u32,
    rest: [u64; 4],
}

/// A classic program in the kernel.
pub struct Kernel(OwnedFd);

impl Kernel {
    pub fn load(program: &[Insn]) -> io::Result<Kernel> {
        let code = convert(program).ok_or_else(|| io::Error::other("a jump too far"))?;
        let mut attr = LoadAttr {
            kind: TYPE_SCHED_CLS,
            count: code.len() as u32,
            instructions: code.as_ptr().expose_provenance() as u64,
            license: c"MIT".as_ptr().expose_provenance() as u64,
            ..LoadAttr::default()
        };
        let fd = bpf(PROG_LOAD, &mut attr)?;
        // SAFETY: a descriptor that the kernel just gave us, and nobody else has.
        Ok(Kernel(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// The verdict on a packet and the mean time of a run in nanoseconds, call included.
    pub fn run(&self, bytes: &[u8]) -> io::Result<(u32, f64)> {
        let mut attr = TestRunAttr {
            program: self.0.as_raw_fd() as u32,
            bytes_in: bytes.len() as u32,
            data_in: bytes.as_ptr().expose_provenance() as u64,
            repeat: REPEAT,
            ..TestRunAttr::default()
        };
        bpf(PROG_TEST_RUN, &mut attr)?;
        Ok((attr.verdict, f64::from(attr.duration_ns)))
    }
}

fn bpf<T>(command: i64, attr: &mut T) -> io::Result<i32> {
    // SAFETY: `attr` is the beginning of `union bpf_attr` for this command, of the size we say;
    // what it points to lives in the caller.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attr, size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as i32) }
}

fn convert(program: &[Insn]) -> Option<Vec<Instruction>> {
    let word = |opcode: u8, registers: u8, offset: i16, immediate: u32| Instruction {
        opcode,
        registers,
        offset,
        immediate: immediate as i32,
    };
    let copy = |to: u8, from: u8| word(MOV64, from << 4 | to, 0, 0);
    let mut code = vec![copy(CONTEXT, 1), word(MOV32_IMM, A, 0, 0), word(MOV32_IMM, X, 0, 0)];
    let mut starts = Vec::new();
    // Jumps by the place of the word and the classic instruction they go to.
    let mut jumps = Vec::new();
    for (at, insn) in program.iter().enumerate() {
        starts.push(code.len());
        let k = insn.k;
        match (insn.code & 7, insn.code & 0xe0) {
            (LD, LEN) => code.push(word(LDX_W, CONTEXT << 4 | A, 0, 0)),
            (LD, IMM) => code.push(word(MOV32_IMM, A, 0, k)),
            (LD, IND) => code.push(word(insn.code as u8, X << 4, 0, k)),
            (LD, _) => code.push(word(insn.code as u8, 0, 0, k)),
            (LDX, MSH) => code.extend([
                copy(SAVED, A),
                word((LD | ABS | B) as u8, 0, 0, k),
                word(AND32_IMM, A, 0, 0x0f),
                word(LSH32_IMM, A, 0, 2),
                copy(X, A),
                copy(A, SAVED),
            ]),
            (ALU, _) if insn.code & 0xf8 == AND => code.push(word(AND32_IMM, A, 0, k)),
            (JMP, _) if insn.code & 0xf0 == JA => {
                jumps.push((code.len(), at + 1 + k as usize));
                code.push(word(JUMP, 0, 0, 0));
            }
            (JMP, _) => {
                jumps.push((code.len(), at + 1 + usize::from(insn.jt)));
                code.push(word((insn.code & 0xf0) as u8 | JUMP32, A, 0, k));
                jumps.push((code.len(), at + 1 + usize::from(insn.jf)));
                code.push(word(JUMP, 0, 0, 0));
            }
            (RET, _) => code.extend([word(MOV32_IMM, A, 0, k), word(EXIT, 0, 0, 0)]),
            _ => return None,
        }
    }
    for (at, to) in jumps {
        code[at].offset = i16::try_from(*starts.get(to)? as i64 - at as i64 - 1).ok()?;
    }
    Some(code)
}
