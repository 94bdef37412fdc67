//! Capture records as bytes: pcap and pcapng, little-endian, nanoseconds unless asked otherwise.
//!
//! Appends to a buffer, and can walk what it has appended: that is how a writer finds the last
//! whole record after a short write.

use super::interface::{Interface, InterfaceStatistics};
use super::options::{COMMENT, Options, padded};
use super::pcap::{FILE_HEADER_BYTES, MAGIC_MICROS, MAGIC_NANOS, RECORD_HEADER_BYTES};
use super::pcapng::{
    BYTE_ORDER_MAGIC, ENHANCED_PACKET, INTERFACE_DESCRIPTION, INTERFACE_STATISTICS,
    OPTION_EPB_DROPCOUNT, OPTION_EPB_FLAGS, SECTION_HEADER,
};
use tickwire_frame::{Flags, Frame, LinkType, Timestamp};

/// Header and trailing length of an Enhanced Packet Block.
const ENHANCED_PACKET_BYTES: usize = 32;
/// `if_tsresol` of what we write: 10^-9 seconds.
const RESOLUTION_NANOS: u8 = 9;
/// Direction outbound in `epb_flags`.
const DIRECTION_OUT: u32 = 2;
/// Longer comments and names are cut, so that an option's length fits its 16 bits.
const TEXT_BYTES_MAX: usize = 32 << 10;

/// What a pcapng packet says beside its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Annotation<'a> {
    /// `opt_comment`; nothing is written for an empty one.
    pub comment: &'a str,
    /// `epb_dropcount`: packets lost since the packet before; not written when 0.
    pub dropped: u64,
}

/// The units that a file is made of, as [`walk`] sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) bytes: usize,
    pub(super) is_packet: bool,
    /// What a packet says that was lost before it.
    pub(super) dropped: u64,
}

pub(super) fn pcap_header(out: &mut Vec<u8>, nanos: bool, link: LinkType, snaplen: u32) {
    let magic = if nanos { MAGIC_NANOS } else { MAGIC_MICROS };
    out.extend_from_slice(&magic.to_le_bytes());
    for half in [2u16, 4] {
        out.extend_from_slice(&half.to_le_bytes());
    }
    for word in [0, 0, snaplen, u32::from(link.0)] {
        out.extend_from_slice(&word.to_le_bytes());
    }
}

/// Bytes of the record of a packet of which `captured` bytes are kept.
pub(super) const fn pcap_record_bytes(captured: usize) -> usize {
    RECORD_HEADER_BYTES + captured
}

/// A packet; `frame` has been cut already. Seconds that 32 bits do not hold (after 2106) saturate.
#[inline]
pub(super) fn pcap_record(out: &mut Vec<u8>, nanos: bool, frame: &Frame<'_>) {
    let seconds = u32::try_from(frame.timestamp.seconds()).unwrap_or(u32::MAX);
    let subsec = frame.timestamp.subsec_nanos();
    let subsec = if nanos { subsec } else { subsec / 1000 };
    let mut header = [0; RECORD_HEADER_BYTES];
    header[0..4].copy_from_slice(&seconds.to_le_bytes());
    header[4..8].copy_from_slice(&subsec.to_le_bytes());
    header[8..12].copy_from_slice(&(frame.bytes.len() as u32).to_le_bytes());
    header[12..16].copy_from_slice(&frame.wire_len.to_le_bytes());
    out.extend_from_slice(&header);
    out.extend_from_slice(frame.bytes);
}

/// Appends a block: type, length, what `body` appends, padding, length again.
fn block(out: &mut Vec<u8>, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    body(out);
    out.resize(start + padded(out.len() - start), 0);
    let length = (out.len() - start + 4) as u32;
    out[start + 4..start + 8].copy_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&length.to_le_bytes());
}

fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    out.extend_from_slice(&code.to_le_bytes());
    out.extend_from_slice(&(value.len() as u16).to_le_bytes());
    out.extend_from_slice(value);
    out.resize(out.len() + padded(value.len()) - value.len(), 0);
}

/// A text option; none when the text is empty. Cut between two characters.
fn text(out: &mut Vec<u8>, code: u16, value: &str) {
    if !value.is_empty() {
        option(out, code, &value.as_bytes()[..value.floor_char_boundary(TEXT_BYTES_MAX)]);
    }
}

/// `opt_endofopt`.
fn end(out: &mut Vec<u8>) {
    option(out, 0, &[]);
}

/// A Section Header Block of unknown length, with comment, operating system and program.
pub(super) fn section(out: &mut Vec<u8>, comment: &str, os: &str, application: &str) {
    block(out, SECTION_HEADER, |out| {
        out.extend_from_slice(&BYTE_ORDER_MAGIC.to_le_bytes());
        out.extend_from_slice(&1u16.to_le_bytes());
        out.extend_from_slice(&0u16.to_le_bytes());
        out.extend_from_slice(&u64::MAX.to_le_bytes());
        text(out, COMMENT, comment);
        text(out, 3, os);
        text(out, 4, application);
        end(out);
    });
}

/// An Interface Description Block.
pub(super) fn interface(out: &mut Vec<u8>, interface: &Interface) {
    block(out, INTERFACE_DESCRIPTION, |out| {
        out.extend_from_slice(&interface.link.0.to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&interface.snaplen.to_le_bytes());
        text(out, 2, &interface.name);
        text(out, 3, &interface.description);
        option(out, 9, &[RESOLUTION_NANOS]);
        if !interface.filter.is_empty() {
            // The byte 0 says: a libpcap filter expression.
            text(out, 11, &format!("\0{}", interface.filter));
        }
        text(out, 12, &interface.os);
        end(out);
    });
}

/// Bytes of the block of a packet of which `captured` bytes are kept, without options.
pub(super) const fn pcapng_packet_bytes(captured: usize) -> usize {
    ENHANCED_PACKET_BYTES + padded(captured)
}

/// An Enhanced Packet Block; `frame` has been cut already.
#[inline]
pub(super) fn packet(out: &mut Vec<u8>, id: u32, frame: &Frame<'_>, annotation: Annotation<'_>) {
    if !annotation.comment.is_empty()
        || annotation.dropped > 0
        || frame.flags.contains(Flags::OUTGOING)
    {
        return packet_with_options(out, id, frame, annotation);
    }
    let length = pcapng_packet_bytes(frame.bytes.len()) as u32;
    out.extend_from_slice(&packet_header(id, frame, length));
    out.extend_from_slice(frame.bytes);
    let padding = padded(frame.bytes.len()) - frame.bytes.len();
    out.extend_from_slice(&[0; 4][..padding]);
    out.extend_from_slice(&length.to_le_bytes());
}

#[inline]
fn packet_header(id: u32, frame: &Frame<'_>, length: u32) -> [u8; 28] {
    let nanos = frame.timestamp.as_nanos();
    let mut header = [0; 28];
    header[0..4].copy_from_slice(&ENHANCED_PACKET.to_le_bytes());
    header[4..8].copy_from_slice(&length.to_le_bytes());
    header[8..12].copy_from_slice(&id.to_le_bytes());
    header[12..16].copy_from_slice(&((nanos >> 32) as u32).to_le_bytes());
    header[16..20].copy_from_slice(&(nanos as u32).to_le_bytes());
    header[20..24].copy_from_slice(&(frame.bytes.len() as u32).to_le_bytes());
    header[24..28].copy_from_slice(&frame.wire_len.to_le_bytes());
    header
}

#[cold]
fn packet_with_options(out: &mut Vec<u8>, id: u32, frame: &Frame<'_>, annotation: Annotation<'_>) {
    block(out, ENHANCED_PACKET, |out| {
        out.extend_from_slice(&packet_header(id, frame, 0)[8..]);
        out.extend_from_slice(frame.bytes);
        out.resize(out.len() + padded(frame.bytes.len()) - frame.bytes.len(), 0);
        text(out, COMMENT, annotation.comment);
        if frame.flags.contains(Flags::OUTGOING) {
            option(out, OPTION_EPB_FLAGS, &DIRECTION_OUT.to_le_bytes());
        }
        if annotation.dropped > 0 {
            option(out, OPTION_EPB_DROPCOUNT, &annotation.dropped.to_le_bytes());
        }
        end(out);
    });
}

/// An Interface Statistics Block.
pub(super) fn statistics(out: &mut Vec<u8>, id: u32, time: Timestamp, of: &InterfaceStatistics) {
    block(out, INTERFACE_STATISTICS, |out| {
        let nanos = time.as_nanos();
        out.extend_from_slice(&id.to_le_bytes());
        out.extend_from_slice(&((nanos >> 32) as u32).to_le_bytes());
        out.extend_from_slice(&(nanos as u32).to_le_bytes());
        for (_, code, value) in of.counters() {
            option(out, code, &value.to_le_bytes());
        }
        end(out);
    });
}

/// The units in `bytes`, which this module has written. `at_start`: whether a pcap file header is
/// the first of them.
pub(super) fn walk(bytes: &[u8], is_pcapng: bool, at_start: bool) -> impl Iterator<Item = Unit> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = &bytes[at..];
        let word = |at: usize| Some(u32::from_le_bytes(*rest.get(at..)?.first_chunk()?));
        let unit = if is_pcapng {
            let (kind, length) = (word(0)?, word(4)? as usize);
            let is_packet = kind == ENHANCED_PACKET;
            let block = rest.get(..length)?;
            Unit { bytes: length, is_packet, dropped: if is_packet { dropped(block) } else { 0 } }
        } else if at_start && at == 0 {
            Unit { bytes: FILE_HEADER_BYTES, is_packet: false, dropped: 0 }
        } else {
            Unit { bytes: pcap_record_bytes(word(8)? as usize), is_packet: true, dropped: 0 }
        };
        rest.get(..unit.bytes)?;
        at += unit.bytes;
        Some(unit)
    })
}

/// The `epb_dropcount` of a block that we have written.
fn dropped(block: &[u8]) -> u64 {
    let captured = block.get(20..24).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes);
    Options::new(block, 28 + padded(captured as usize), false)
        .map_while(Result::ok)
        .filter(|option| option.code == OPTION_EPB_DROPCOUNT)
        .filter_map(|option| option.u64())
        .sum()
}
