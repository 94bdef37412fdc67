//! Scans the classic pcap format: a 24-byte header, then records of a 16-byte header and the bytes.
//!
//! Source: draft-ietf-opsawg-pcap (2025), and libpcap 1.10 for what it accepts beyond that: Alexey
//! Kuznetsov's modified format, versions 2.0 to 2.4 and 543.0 with their exchanged lengths, packets
//! longer than the snapshot length (cut to it).
//!
//! Borrows the bytes, owns nothing, never reads: [`source`](super::source) does.

use super::fault::{Fault, Step};
use super::limits::{packet_bytes_max, snaplen_in_force};
use super::prefetch::{PREFETCH_BYTES, prefetch};
use tickwire_frame::{Batch, Flags, Frame, LinkType, Timestamp};

pub(super) const MAGIC_MICROS: u32 = 0xa1b2_c3d4;
pub(super) const MAGIC_NANOS: u32 = 0xa1b2_3c4d;
const MAGIC_MODIFIED: u32 = 0xa1b2_cd34;

/// Bytes of the file header.
pub(super) const FILE_HEADER_BYTES: usize = 24;
/// Bytes of a record header.
pub(super) const RECORD_HEADER_BYTES: usize = 16;
/// Bytes of a record header of the modified format: interface index, protocol and packet type more.
const MODIFIED_HEADER_BYTES: usize = 24;
/// Linux's PACKET_OUTGOING, as the modified format has it.
const PACKET_OUTGOING: u8 = 4;
/// The modified format counts a faked Ethernet header beyond the snapshot length.
const FAKED_HEADER_BYTES: u32 = 14;

/// Which of the two lengths of a record comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lengths {
    CapturedFirst,
    /// Version 2.3: exchanged in some files, which shows when the packet would be longer captured
    /// than it was.
    Unsure,
    WireFirst,
}

/// The header of a pcap file, and with it all that is needed to read its records.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pcap {
    swapped: bool,
    /// Nanoseconds in one unit of the fraction of a second.
    unit_nanos: u32,
    is_modified: bool,
    lengths: Lengths,
    /// What the file says of its snapshot length, adjusted as libpcap does.
    pub(super) snaplen: u32,
    pub(super) link: LinkType,
    header_bytes: usize,
}

#[derive(Clone, Copy)]
struct Record<'a> {
    frame: Frame<'a>,
    /// Header and bytes.
    total_bytes: usize,
}

/// Whether a file that starts with `magic` is a pcap file.
pub(super) fn is_pcap(magic: [u8; 4]) -> bool {
    let magic = u32::from_le_bytes(magic);
    [magic, magic.swap_bytes()]
        .iter()
        .any(|magic| [MAGIC_MICROS, MAGIC_NANOS, MAGIC_MODIFIED].contains(magic))
}

impl Pcap {
    /// Reads the file header.
    pub(super) fn parse(header: &[u8; FILE_HEADER_BYTES]) -> Result<Pcap, Fault> {
        let word = |at: usize| {
            u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        let swapped = ![MAGIC_MICROS, MAGIC_NANOS, MAGIC_MODIFIED].contains(&word(0));
        let word = |at| if swapped { word(at).swap_bytes() } else { word(at) };
        let half = |at: usize| {
            let half = u16::from_le_bytes([header[at], header[at + 1]]);
            if swapped { half.swap_bytes() } else { half }
        };
        let magic = word(0);
        let lengths = match (half(4), half(6)) {
            (2, 0..=2) | (543, 0) => Lengths::WireFirst,
            (2, 3) => Lengths::Unsure,
            (2, 4) => Lengths::CapturedFirst,
            (major, minor) => {
                return Err(Fault::new(4, format!("pcap version {major}.{minor} is not known"))
                    .cure("versions 2.0 to 2.4 are: check that this is a capture file"));
            }
        };
        let link = link_type(word(20));
        let is_modified = magic == MAGIC_MODIFIED;
        let mut snaplen = snaplen_in_force(word(16), link);
        if is_modified && link == LinkType::ETHERNET {
            snaplen = snaplen.saturating_add(FAKED_HEADER_BYTES).min(i32::MAX as u32);
        }
        Ok(Pcap {
            swapped,
            unit_nanos: if magic == MAGIC_NANOS { 1 } else { 1000 },
            is_modified,
            lengths,
            snaplen,
            link,
            header_bytes: if is_modified { MODIFIED_HEADER_BYTES } else { RECORD_HEADER_BYTES },
        })
    }

    /// The name of the variant, for the mode line.
    pub(super) fn name(&self) -> &'static str {
        match (self.is_modified, self.unit_nanos) {
            (true, _) => "pcap modified",
            (false, 1) => "pcap ns",
            (false, _) => "pcap µs",
        }
    }

    /// What stands at the front of `data`.
    pub(super) fn step(&self, data: &[u8]) -> Result<Step, Fault> {
        match self.record(data) {
            Ok(_) => Ok(Step::Packet),
            Err(missing) => missing,
        }
    }

    /// Adds the whole records at the front of `data` to `batch`. Stops before one that is cut or
    /// wrong: [`step`](Self::step) says which. Returns the bytes it is done with.
    pub(super) fn scan<'a>(&self, data: &'a [u8], batch: &mut Batch<'a>) -> usize {
        batch.link = self.link;
        batch.interface = 0;
        let mut done = 0;
        while !batch.is_full()
            && let Ok(record) = self.record(&data[done..])
        {
            batch.push(record.frame);
            done += record.total_bytes;
            prefetch(data, done + PREFETCH_BYTES);
        }
        done
    }

    /// The record at the front, or why there is none.
    #[inline(always)]
    fn record<'a>(&self, data: &'a [u8]) -> Result<Record<'a>, Result<Step, Fault>> {
        let Some((header, rest)) = data.split_at_checked(self.header_bytes) else {
            return Err(Ok(Step::Need(self.header_bytes)));
        };
        let word = |at: usize| {
            let word =
                u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
            if self.swapped { word.swap_bytes() } else { word }
        };
        let (mut captured, mut wire_len) = (word(8), word(12));
        if self.lengths != Lengths::CapturedFirst
            && (self.lengths == Lengths::WireFirst || captured > wire_len)
        {
            std::mem::swap(&mut captured, &mut wire_len);
        }
        let Some(bytes) = rest.get(..captured as usize) else {
            return Err(self.incomplete(captured));
        };
        if captured > self.snaplen || captured > packet_bytes_max(LinkType::ETHERNET) {
            self.check(captured).map_err(Err)?;
        }
        let nanos = u64::from(word(4)) * u64::from(self.unit_nanos);
        let bytes = &bytes[..bytes.len().min(self.snaplen as usize)];
        let frame = Frame {
            bytes,
            wire_len: wire_len.max(bytes.len() as u32),
            timestamp: Timestamp::from_parts(u64::from(word(0)), nanos),
            flags: self.flags(header),
        };
        Ok(Record { frame, total_bytes: self.header_bytes + captured as usize })
    }

    #[inline(always)]
    fn flags(&self, header: &[u8]) -> Flags {
        if self.is_modified && header[22] == PACKET_OUTGOING {
            Flags::OUTGOING
        } else {
            Flags::NONE
        }
    }

    #[cold]
    fn check(&self, captured: u32) -> Result<(), Fault> {
        let max = packet_bytes_max(self.link);
        if captured <= max {
            return Ok(());
        }
        let what = format!(
            "the packet header claims {captured} captured bytes, more than the {max} of any packet"
        );
        Err(Fault::new(8, what))
    }

    #[cold]
    fn incomplete(&self, captured: u32) -> Result<Step, Fault> {
        self.check(captured)?;
        Ok(Step::Need(self.header_bytes + captured as usize))
    }
}

/// The link type in the last word of the header: its low 16 bits. Above them are reserved bits, the
/// flag that a frame check sequence ends every packet, and its length, which stays in the packet.
fn link_type(word: u32) -> LinkType {
    match word as u16 {
        // Raw IP as numbered by most systems and by OpenBSD, in files of old writers.
        12 | 14 => LinkType::RAW,
        number => LinkType(number),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Order, cut_everywhere, read};
    use super::*;

    #[test]
    fn both_orders_and_resolutions() {
        for order in Order::BOTH {
            for (magic, nanos) in [(MAGIC_MICROS, 7_000), (MAGIC_NANOS, 7)] {
                let mut file = order.pcap_header(magic, 65535, 1);
                file.extend(order.record(3, 7, 60, b"abc"));
                file.extend(order.record(4, 0, 2, b"de"));
                let (packets, error) = read(&file);
                assert_eq!(error, None);
                assert_eq!(packets.len(), 2);
                assert_eq!(packets[0].bytes, b"abc");
                assert_eq!((packets[0].wire_len, packets[0].nanos), (60, 3_000_000_000 + nanos));
                assert_eq!((packets[1].link, packets[1].interface), (LinkType::ETHERNET, 0));
            }
        }
    }

    #[test]
    fn a_cut_at_every_byte_gives_the_whole_records() {
        for order in Order::BOTH {
            let mut file = order.pcap_header(MAGIC_MICROS, 65535, 1);
            let mut ends = Vec::new();
            for length in [3, 0, 8] {
                file.extend(order.record(1, 2, 60, &vec![length; length as usize]));
                ends.push(file.len());
            }
            let clean = [&[FILE_HEADER_BYTES], &ends[..]].concat();
            cut_everywhere(&file, &ends, &clean);
        }
    }

    #[test]
    fn the_modified_format_has_longer_headers() {
        for order in Order::BOTH {
            let mut file = order.pcap_header(MAGIC_MODIFIED, 20, 1);
            for kind in [0, PACKET_OUTGOING] {
                file.extend(order.words(&[1, 2, 34, 34, 5]));
                file.extend([order.u16(0x800).as_slice(), &[kind, 0]].concat());
                file.extend([7; 34]);
            }
            let (packets, error) = read(&file);
            assert_eq!(error, None);
            // The snapshot length plus the faked Ethernet header.
            assert_eq!(packets[0].bytes, [7; 34]);
            assert_eq!((packets[0].flags, packets[1].flags), (Flags::NONE, Flags::OUTGOING));
        }
    }

    #[test]
    fn old_versions_exchange_the_lengths() {
        let order = Order::Little;
        for (version, first, second) in [((2, 2), 60, 3), ((543, 0), 60, 3), ((2, 3), 60, 3)] {
            let mut file = order.pcap_header_of(MAGIC_MICROS, version, 65535, 1);
            file.extend(order.words(&[1, 2, first, second]));
            file.extend(b"abc");
            let (packets, error) = read(&file);
            assert_eq!(error, None, "{version:?}");
            assert_eq!((packets[0].bytes.as_slice(), packets[0].wire_len), (&b"abc"[..], 60));
        }
        let mut file = order.pcap_header_of(MAGIC_MICROS, (2, 3), 65535, 1);
        file.extend(order.record(1, 2, 60, b"abc"));
        assert_eq!(read(&file).0[0].wire_len, 60);
    }

    #[test]
    fn unknown_versions_are_refused() {
        for version in [(1, 0), (2, 5), (3, 0), (543, 1)] {
            let file = Order::Little.pcap_header_of(MAGIC_MICROS, version, 65535, 1);
            let (packets, error) = read(&file);
            assert!(packets.is_empty());
            assert!(error.expect("refused").contains("version"), "{version:?}");
        }
    }

    #[test]
    fn longer_than_the_snapshot_length_is_cut() {
        let mut file = Order::Big.pcap_header(MAGIC_NANOS, 4, 1);
        file.extend(Order::Big.record(1, 2, 60, b"abcdef"));
        file.extend(Order::Big.record(1, 3, 60, b"gh"));
        let (packets, error) = read(&file);
        assert_eq!(error, None);
        assert_eq!(
            (packets[0].bytes.as_slice(), packets[1].bytes.as_slice()),
            (&b"abcd"[..], &b"gh"[..])
        );
    }

    #[test]
    fn a_wire_length_below_the_captured_one_is_raised() {
        let mut file = Order::Little.pcap_header(MAGIC_MICROS, 65535, 1);
        file.extend(Order::Little.record(1, 2, 0, b"abc"));
        assert_eq!(read(&file).0[0].wire_len, 3);
    }

    #[test]
    fn an_absurd_length_is_damage_and_says_where() {
        let mut file = Order::Little.pcap_header(MAGIC_MICROS, 65535, 1);
        file.extend(Order::Little.record(1, 2, 3, b"abc"));
        file.extend(Order::Little.words(&[1, 2, 262_145, 262_145]));
        let (packets, error) = read(&file);
        assert_eq!(packets.len(), 1);
        let error = error.expect("damage");
        let expected = "t: byte 51: the packet header claims 262145 captured bytes";
        assert!(error.starts_with(expected), "{error}");
        assert!(error.contains("the packet before it was read"), "{error}");
    }

    #[test]
    fn the_longest_packet_is_read() {
        let mut file = Order::Little.pcap_header(MAGIC_MICROS, 0, 1);
        file.extend(Order::Little.record(1, 2, 3, &[9; 262_144]));
        let (packets, error) = read(&file);
        assert_eq!((packets[0].bytes.len(), error), (262_144, None));
    }

    #[test]
    fn link_types_and_what_stands_above_them() {
        // FCS length 4 (0x4 in the top nibble), and the flag that it is known.
        assert_eq!(link_type(0x4400_0001), LinkType::ETHERNET);
        assert_eq!(link_type(12), LinkType::RAW);
        assert_eq!(link_type(276), LinkType::LINUX_SLL2);
    }
}
