//! Scans pcapng: sections of blocks in either byte order, each with its type and its length, twice.
//!
//! Source: draft-ietf-opsawg-pcapng; libpcap 1.10 for what counts as damage. Beyond libpcap,
//! sections may differ in byte order, and interfaces in link type and snapshot length.
//!
//! Borrows the bytes of packets; copies only what it must remember of interfaces.

use super::fault::{Fault, Step};
use super::interface::{Interface, InterfaceStatistics};
use super::limits::{BLOCK_BYTES_MAX, block_bytes_max, snaplen_in_force};
use super::options::{Opt, Options, padded};
use super::prefetch::{PREFETCH_BYTES, prefetch};
use super::resolution::Resolution;
use tickwire_frame::{Batch, Flags, Frame, LinkType, Timestamp};

pub(super) const SECTION_HEADER: u32 = 0x0a0d_0d0a;
pub(super) const INTERFACE_DESCRIPTION: u32 = 1;
pub(super) const PACKET: u32 = 2;
pub(super) const SIMPLE_PACKET: u32 = 3;
pub(super) const INTERFACE_STATISTICS: u32 = 5;
pub(super) const ENHANCED_PACKET: u32 = 6;
pub(super) const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;

/// Type and length in front, length again behind.
const BLOCK_BYTES_MIN: usize = 12;
/// Those with byte order, version and section length.
const SECTION_HEADER_BYTES_MIN: usize = 28;
/// A section header longer than this is damage.
const SECTION_HEADER_BYTES_MAX: usize = 1 << 20;
/// Where the packet begins in an Enhanced Packet Block, and in an obsolete Packet Block.
const PACKET_DATA_AT: usize = 28;
/// Where it begins in a Simple Packet Block.
const SIMPLE_DATA_AT: usize = 12;
/// More interfaces in one file than any machine has: damage, or an attack on our memory.
const INTERFACES_MAX: usize = 1 << 16;
/// Longer names and descriptions of interfaces are cut.
const TEXT_BYTES_MAX: usize = 1024;

pub(super) const OPTION_EPB_FLAGS: u16 = 2;
pub(super) const OPTION_EPB_DROPCOUNT: u16 = 4;
/// In `epb_flags`: the two lowest bits are the direction, 2 is outbound.
const DIRECTION_MASK: u32 = 3;
const DIRECTION_OUT: u32 = 2;

/// What is remembered of an interface.
#[derive(Debug)]
struct Known {
    interface: Interface,
    resolution: Resolution,
    snaplen: u32,
    statistics: InterfaceStatistics,
}

/// The state of one pcapng file: the byte order of its section and the interfaces of all sections.
#[derive(Debug, Default)]
pub(super) struct Pcapng {
    swapped: bool,
    is_in_section: bool,
    interfaces: Vec<Known>,
    /// Interface 0 of the section is this one of `interfaces`.
    section_first: usize,
    block_bytes_max: usize,
    /// What all packets say that was lost before them (`epb_dropcount` and its forerunner).
    packet_drops: u64,
}

/// The parts of a packet block.
struct Packet<'a> {
    bytes: &'a [u8],
    wire_len: u32,
    /// Index in `Pcapng::interfaces`.
    interface: usize,
    /// `None` in a Simple Packet Block.
    ticks: Option<u64>,
    /// Lost before this packet, as an obsolete Packet Block says.
    drops: u16,
    /// Where the options begin in the block.
    options_at: usize,
}

impl Pcapng {
    pub(super) fn new() -> Pcapng {
        Pcapng { block_bytes_max: BLOCK_BYTES_MAX, ..Pcapng::default() }
    }

    /// The interfaces of all sections so far.
    pub(super) fn interfaces(&self) -> impl Iterator<Item = &Interface> {
        self.interfaces.iter().map(|known| &known.interface)
    }

    /// Their statistics, as far as the file has them.
    pub(super) fn statistics(&self) -> impl Iterator<Item = &InterfaceStatistics> {
        self.interfaces.iter().map(|known| &known.statistics)
    }

    /// What all packets say that was lost before them.
    pub(super) fn packet_drops(&self) -> u64 {
        self.packet_drops
    }

    /// What stands at the front of `data`. Blocks without packets are dealt with.
    pub(super) fn step(&mut self, data: &[u8]) -> Result<Step, Fault> {
        let Some(kind) = self.word(data, 0) else { return Ok(Step::Need(8)) };
        if kind == SECTION_HEADER {
            return self.section(data);
        }
        if !self.is_in_section {
            return Err(Fault::new(0, "the file does not begin with a section header"));
        }
        let block = match self.whole_block(data) {
            Ok(block) => block,
            Err(missing) => return missing,
        };
        match kind {
            ENHANCED_PACKET | PACKET | SIMPLE_PACKET => {
                self.packet(kind, block)?;
                return Ok(Step::Packet);
            }
            INTERFACE_DESCRIPTION => self.describe(block)?,
            INTERFACE_STATISTICS => self.take_statistics(block),
            // Names, secrets, custom blocks: not ours to read.
            _ => {}
        }
        Ok(Step::Done(block.len()))
    }

    /// Adds the whole packets at the front of `data` to `batch`, as long as they are of one
    /// interface. Stops before anything else: [`step`](Self::step) deals with it. Returns the bytes
    /// it is done with.
    pub(super) fn scan<'a>(&mut self, data: &'a [u8], batch: &mut Batch<'a>) -> usize {
        let mut done = 0;
        while !batch.is_full() {
            let rest = &data[done..];
            let Ok(block) = self.whole_block(rest) else { break };
            let Some(kind) = self.word(block, 0) else { break };
            if !matches!(kind, ENHANCED_PACKET | PACKET | SIMPLE_PACKET) {
                break;
            }
            let Ok(packet) = self.packet(kind, block) else { break };
            if batch.is_empty() {
                batch.interface = packet.interface as u32;
                batch.link = self.interfaces[packet.interface].interface.link;
            } else if batch.interface != packet.interface as u32 {
                break;
            }
            let frame = self.frame(kind, block, &packet);
            batch.push(frame);
            done += block.len();
            prefetch(data, done + PREFETCH_BYTES);
        }
        done
    }

    #[inline(always)]
    fn frame<'a>(&mut self, kind: u32, block: &[u8], packet: &Packet<'a>) -> Frame<'a> {
        let mut flags = Flags::NONE;
        if kind == PACKET {
            // 0xffff says that the number is not known.
            self.packet_drops += u64::from(if packet.drops == u16::MAX { 0 } else { packet.drops });
        }
        if kind == ENHANCED_PACKET && packet.options_at + 4 < block.len() {
            flags = self.packet_options(block, packet.options_at);
        }
        let resolution = self.interfaces[packet.interface].resolution;
        Frame {
            bytes: packet.bytes,
            wire_len: packet.wire_len.max(packet.bytes.len() as u32),
            timestamp: packet.ticks.map_or(Timestamp::ZERO, |ticks| resolution.timestamp(ticks)),
            flags,
        }
    }

    /// Direction and drop count of a packet. Broken options end the walk: like libpcap, we do not
    /// give up a packet for them.
    #[cold]
    fn packet_options(&mut self, block: &[u8], at: usize) -> Flags {
        let mut flags = Flags::NONE;
        for option in Options::new(block, at, self.swapped).map_while(Result::ok) {
            match option.code {
                OPTION_EPB_FLAGS if option.u32().is_some_and(is_outbound) => {
                    flags = Flags::OUTGOING
                }
                OPTION_EPB_DROPCOUNT => {
                    self.packet_drops = self.packet_drops.saturating_add(option.u64().unwrap_or(0));
                }
                _ => {}
            }
        }
        flags
    }

    #[inline(always)]
    fn word(&self, bytes: &[u8], at: usize) -> Option<u32> {
        let word = u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?);
        Some(if self.swapped { word.swap_bytes() } else { word })
    }

    #[inline(always)]
    fn half(&self, bytes: &[u8], at: usize) -> Option<u16> {
        let half = u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?);
        Some(if self.swapped { half.swap_bytes() } else { half })
    }

    /// The block at the front, when it is whole and its two lengths agree.
    #[inline(always)]
    fn whole_block<'a>(&self, data: &'a [u8]) -> Result<&'a [u8], Result<Step, Fault>> {
        let Some(length) = self.word(data, 4) else { return Err(Ok(Step::Need(8))) };
        let length = length as usize;
        if length < BLOCK_BYTES_MIN || !length.is_multiple_of(4) || length > self.block_bytes_max {
            return Err(Err(self.wrong_length(length)));
        }
        let Some(block) = data.get(..length) else { return Err(Ok(Step::Need(length))) };
        match self.word(block, length - 4) {
            Some(trailer) if trailer as usize == length => Ok(block),
            trailer => Err(Err(wrong_trailer(length, trailer))),
        }
    }

    #[cold]
    fn wrong_length(&self, length: usize) -> Fault {
        let what = if length < BLOCK_BYTES_MIN {
            format!("a block has a length of {length}, shorter than any block")
        } else if !length.is_multiple_of(4) {
            format!("a block has a length of {length}, not a multiple of 4")
        } else {
            format!("a block claims {length} bytes, more than {}", self.block_bytes_max)
        };
        Fault::new(4, what)
    }

    /// Reads the packet in a whole block.
    #[inline(always)]
    fn packet<'a>(&self, kind: u32, block: &'a [u8]) -> Result<Packet<'a>, Fault> {
        if kind == SIMPLE_PACKET {
            return self.simple_packet(block);
        }
        // Every block ends in its length again, which is no part of the packet.
        let Some((head, data)) = block[..block.len() - 4].split_first_chunk::<PACKET_DATA_AT>()
        else {
            return Err(too_short(block));
        };
        let word = |at: usize| {
            let word = u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
            if self.swapped { word.swap_bytes() } else { word }
        };
        let (id, drops) = if kind == PACKET {
            (u32::from(self.half(head, 8).unwrap_or(0)), self.half(head, 10).unwrap_or(0))
        } else {
            (word(8), 0)
        };
        let captured = word(20) as usize;
        let Some(known) = self.interfaces.get(self.section_first.saturating_add(id as usize))
        else {
            return Err(self.unknown_interface(id));
        };
        let Some(bytes) = data.get(..captured) else {
            return Err(beyond_block(PACKET_DATA_AT - 8, captured, block));
        };
        if captured > known.snaplen as usize {
            return Err(beyond_snaplen(captured, known.snaplen));
        }
        Ok(Packet {
            bytes,
            wire_len: word(24),
            interface: self.section_first + id as usize,
            ticks: Some(u64::from(word(12)) << 32 | u64::from(word(16))),
            drops,
            options_at: PACKET_DATA_AT + padded(captured),
        })
    }

    /// A packet without time and captured length: the first interface's, cut to its snaplen.
    fn simple_packet<'a>(&self, block: &'a [u8]) -> Result<Packet<'a>, Fault> {
        let Some((head, data)) = block[..block.len() - 4].split_first_chunk::<SIMPLE_DATA_AT>()
        else {
            return Err(too_short(block));
        };
        let wire_len = self.word(head, 8).unwrap_or(0);
        let Some(known) = self.interfaces.get(self.section_first) else {
            return Err(self.unknown_interface(0));
        };
        let captured = wire_len.min(known.snaplen) as usize;
        let Some(bytes) = data.get(..captured) else {
            return Err(beyond_block(8, captured, block));
        };
        let interface = self.section_first;
        Ok(Packet { bytes, wire_len, interface, ticks: None, drops: 0, options_at: block.len() })
    }

    /// A section header: a new byte order, and interfaces are counted from 0 again.
    fn section(&mut self, data: &[u8]) -> Result<Step, Fault> {
        let Some(magic) = data.get(8..12) else { return Ok(Step::Need(12)) };
        let swapped = if magic == BYTE_ORDER_MAGIC.to_le_bytes() {
            false
        } else if magic == BYTE_ORDER_MAGIC.to_be_bytes() {
            true
        } else {
            return Err(Fault::new(8, "a section header has no byte-order magic")
                .cure("check that this is a capture file"));
        };
        let section =
            Pcapng { swapped, block_bytes_max: SECTION_HEADER_BYTES_MAX, ..Pcapng::default() };
        let block = match section.whole_block(data) {
            Ok(block) => block,
            Err(missing) => return missing,
        };
        if block.len() < SECTION_HEADER_BYTES_MIN {
            return Err(too_short(block));
        }
        let major = section.half(block, 12).unwrap_or(0);
        let minor = section.half(block, 14).unwrap_or(0);
        // 1.2 is what some writers call 1.0 with newer block types.
        if !matches!((major, minor), (1, 0 | 2)) {
            return Err(Fault::new(12, format!("pcapng version {major}.{minor} is not known"))
                .cure("version 1.0 is: convert the file with the tool that wrote it"));
        }
        self.swapped = swapped;
        self.is_in_section = true;
        self.section_first = self.interfaces.len();
        Ok(Step::Done(block.len()))
    }

    /// An Interface Description Block.
    fn describe(&mut self, block: &[u8]) -> Result<(), Fault> {
        if block.len() < 20 {
            return Err(too_short(block));
        }
        if self.interfaces.len() == INTERFACES_MAX {
            return Err(Fault::new(
                0,
                format!("the file has more than {INTERFACES_MAX} interfaces"),
            )
            .cure("split it, or merge fewer files into it"));
        }
        let link = LinkType(self.half(block, 8).unwrap_or(0));
        let snaplen = self.word(block, 12).unwrap_or(0);
        let in_force = snaplen_in_force(snaplen, link);
        let mut interface = Interface { snaplen: in_force, ..Interface::new(link) };
        let mut resolution = None;
        let mut offset = None;
        for option in Options::new(block, 16, self.swapped) {
            let option = option?;
            match option.code {
                2 => interface.name = option.text(TEXT_BYTES_MAX),
                3 => interface.description = option.text(TEXT_BYTES_MAX),
                9 => once(&mut resolution, &option, "if_tsresol", time_resolution(&option))?,
                11 => interface.filter = filter_text(&option),
                12 => interface.os = option.text(TEXT_BYTES_MAX),
                14 => once(&mut offset, &option, "if_tsoffset", option.u64().ok_or("8 bytes"))?,
                _ => {}
            }
        }
        let resolution = resolution.unwrap_or(Resolution::MICROS);
        let resolution = resolution.with_offset(offset.unwrap_or(0) as i64);
        self.block_bytes_max = self.block_bytes_max.max(block_bytes_max(link));
        let statistics = InterfaceStatistics::default();
        self.interfaces.push(Known { interface, resolution, snaplen: in_force, statistics });
        Ok(())
    }

    /// An Interface Statistics Block. What it says later replaces what it said before.
    fn take_statistics(&mut self, block: &[u8]) {
        let id = self.word(block, 8).unwrap_or(u32::MAX) as usize;
        let index = self.section_first.saturating_add(id);
        let swapped = self.swapped;
        let Some(known) = self.interfaces.get_mut(index) else { return };
        for option in Options::new(block, 20, swapped).map_while(Result::ok) {
            let counter = match option.code {
                4 => &mut known.statistics.received,
                5 => &mut known.statistics.dropped,
                6 => &mut known.statistics.filter_accepted,
                7 => &mut known.statistics.os_dropped,
                8 => &mut known.statistics.delivered,
                _ => continue,
            };
            *counter = option.u64().or(*counter);
        }
    }

    #[cold]
    fn unknown_interface(&self, id: u32) -> Fault {
        let count = self.interfaces.len() - self.section_first;
        let what = format!("a packet is from interface {id}, but the section describes {count}");
        Fault::new(8, what).cure(
            "the description of the interface is lost: copy or capture the file again, and join \
             captures with `mergecap`",
        )
    }
}

fn is_outbound(flags: u32) -> bool {
    flags & DIRECTION_MASK == DIRECTION_OUT
}

/// `if_filter`: a first byte of 0 says that a libpcap expression follows.
fn filter_text(option: &Opt<'_>) -> String {
    if option.value.first() == Some(&0) {
        option.text(TEXT_BYTES_MAX).split_off(1)
    } else {
        String::new()
    }
}

fn time_resolution(option: &Opt<'_>) -> Result<Resolution, &'static str> {
    let &[value] = option.value else { return Err("1 byte") };
    Resolution::from_option(value).ok_or("a resolution that 64 bits can count")
}

/// Without it no time of the interface can be told, so reading on would mislead.
const CURE_INTERFACE_OPTION: &str = "the times of its packets would be wrong: have the program \
     that wrote the file mended, or capture as pcap with it";

/// Sets what an option may set once only.
fn once<T>(
    slot: &mut Option<T>,
    option: &Opt<'_>,
    name: &str,
    value: Result<T, &'static str>,
) -> Result<(), Fault> {
    let fault = |what| Fault::new(option.at, what).cure(CURE_INTERFACE_OPTION);
    let value = value.map_err(|wanted| fault(format!("{name} is not {wanted}")))?;
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(fault(format!("{name} is there twice"))),
    }
}

#[cold]
fn wrong_trailer(length: usize, trailer: Option<u32>) -> Fault {
    let trailer = trailer.unwrap_or(0);
    Fault::new(
        length - 4,
        format!("a block is {length} bytes long by its head, {trailer} by its end"),
    )
}

#[cold]
fn too_short(block: &[u8]) -> Fault {
    Fault::new(4, format!("a block of {} bytes is too short for its kind", block.len()))
}

#[cold]
fn beyond_block(at: usize, captured: usize, block: &[u8]) -> Fault {
    let length = block.len();
    Fault::new(at, format!("a packet of {captured} captured bytes is in a block of {length}"))
}

#[cold]
fn beyond_snaplen(captured: usize, snaplen: u32) -> Fault {
    let what = format!("a packet has {captured} captured bytes, its interface keeps {snaplen}");
    Fault::new(PACKET_DATA_AT - 8, what)
}

#[cfg(test)]
mod tests;
