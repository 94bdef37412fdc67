//! As much of an ELF object file as a compiled XDP program needs: the instructions of one section,
//! and where they name a map.
//!
//! ELF-64, little endian, as clang writes it for `-target bpf` (System V ABI, chapter 4).

use std::os::fd::RawFd;
use tickwire_capture::bpf::Instruction;

const HEADER_SECTIONS_AT: usize = 40;
const HEADER_SECTION_COUNT: usize = 60;
const HEADER_NAMES_SECTION: usize = 62;
const SECTION_BYTES: usize = 64;
const RELOCATION_BYTES: usize = 16;
/// `BPF_PSEUDO_MAP_FD`, in the place of a source register.
const MAP_BY_FD: u8 = 1 << 4;

/// The program of section `xdp`; every symbol that it names is the map `map`.
pub fn program(object: &[u8], map: Option<RawFd>) -> Option<Vec<Instruction>> {
    let code = section(object, "xdp")?;
    let mut code: Vec<Instruction> = code.chunks_exact(8).map(instruction).collect();
    let relocations = section(object, ".relxdp").unwrap_or_default();
    for relocation in relocations.chunks_exact(RELOCATION_BYTES) {
        let at = usize::try_from(number(relocation, 0, 8)?).ok()? / 8;
        let load = code.get_mut(at)?;
        load.registers |= MAP_BY_FD;
        load.immediate = map?;
    }
    Some(code)
}

fn instruction(bytes: &[u8]) -> Instruction {
    Instruction {
        opcode: bytes[0],
        registers: bytes[1],
        offset: i16::from_le_bytes([bytes[2], bytes[3]]),
        immediate: i32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
    }
}

fn section<'a>(object: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let start = usize::try_from(number(object, HEADER_SECTIONS_AT, 8)?).ok()?;
    let count = usize::try_from(number(object, HEADER_SECTION_COUNT, 2)?).ok()?;
    let names = usize::try_from(number(object, HEADER_NAMES_SECTION, 2)?).ok()?;
    let header = |index: usize| object.get(start + index * SECTION_BYTES..)?.get(..SECTION_BYTES);
    let content = |header: &[u8]| {
        let offset = usize::try_from(number(header, 24, 8)?).ok()?;
        let size = usize::try_from(number(header, 32, 8)?).ok()?;
        object.get(offset..)?.get(..size)
    };
    let names = content(header(names)?)?;
    let found = (0..count).filter_map(header).find(|header| {
        let at = number(header, 0, 4).unwrap_or(u64::MAX);
        let text = usize::try_from(at).ok().and_then(|at| names.get(at..)).unwrap_or_default();
        text.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&0))
    })?;
    content(found)
}

/// A little-endian number of `size` bytes.
fn number(bytes: &[u8], at: usize, size: usize) -> Option<u64> {
    let bytes = bytes.get(at..)?.get(..size)?;
    Some(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}
