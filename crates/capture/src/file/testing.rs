//! Capture files built by hand, and what is read of a file, for the tests of this module.

use super::port::FilePort;
use crate::port::{Port, Received};
use std::io::Cursor;
use tickwire_frame::{Batch, Flags, LinkType};

/// So many receives without a packet are a port that hangs.
const IDLES_MAX: usize = 10_000;

/// One packet, copied out of its batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) bytes: Vec<u8>,
    pub(super) wire_len: u32,
    pub(super) nanos: u64,
    pub(super) link: LinkType,
    pub(super) interface: u32,
    pub(super) flags: Flags,
}

/// All packets that `port` gives, and the error that ended them.
pub(super) fn drain(port: &mut FilePort) -> (Vec<Packet>, Option<String>) {
    let mut packets = Vec::new();
    let mut idles = 0;
    loop {
        let mut batch = Batch::new();
        match port.receive(&mut batch) {
            Ok(Received::Frames) => assert!(!batch.is_empty()),
            Ok(Received::End) => return (packets, None),
            Ok(Received::Idle) => {
                idles += 1;
                assert!(idles < IDLES_MAX, "the port hangs");
            }
            Err(error) => {
                let text = error.to_string();
                let mut batch = Batch::new();
                assert_eq!(port.receive(&mut batch).expect("over"), Received::End);
                return (packets, Some(text));
            }
        }
        packets.extend(batch.iter().map(|frame| Packet {
            bytes: frame.bytes.to_vec(),
            wire_len: frame.wire_len,
            nanos: frame.timestamp.as_nanos(),
            link: batch.link,
            interface: batch.interface,
            flags: frame.flags,
        }));
    }
}

/// The same of a file in memory.
pub(super) fn read(file: &[u8]) -> (Vec<Packet>, Option<String>) {
    drain(&mut FilePort::from_reader(Cursor::new(file.to_vec()), "t"))
}

/// Numbers in the byte order of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Little,
    Big,
}

impl Order {
    pub(super) const BOTH: [Order; 2] = [Order::Little, Order::Big];

    pub(super) fn u16(self, value: u16) -> [u8; 2] {
        if self == Order::Little { value.to_le_bytes() } else { value.to_be_bytes() }
    }

    pub(super) fn u32(self, value: u32) -> [u8; 4] {
        if self == Order::Little { value.to_le_bytes() } else { value.to_be_bytes() }
    }

    pub(super) fn u64(self, value: u64) -> [u8; 8] {
        if self == Order::Little { value.to_le_bytes() } else { value.to_be_bytes() }
    }

    pub(super) fn words(self, words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|&word| self.u32(word)).collect()
    }

    /// A pcap file header of version 2.4.
    pub(super) fn pcap_header(self, magic: u32, snaplen: u32, link: u32) -> Vec<u8> {
        self.pcap_header_of(magic, (2, 4), snaplen, link)
    }

    pub(super) fn pcap_header_of(
        self,
        magic: u32,
        (major, minor): (u16, u16),
        snaplen: u32,
        link: u32,
    ) -> Vec<u8> {
        let version = [self.u16(major), self.u16(minor)].concat();
        [self.u32(magic).to_vec(), version, self.words(&[0, 0, snaplen, link])].concat()
    }

    /// A pcap record.
    pub(super) fn record(
        self,
        seconds: u32,
        fraction: u32,
        wire_len: u32,
        bytes: &[u8],
    ) -> Vec<u8> {
        let header = self.words(&[seconds, fraction, bytes.len() as u32, wire_len]);
        [&header, bytes].concat()
    }

    /// A pcapng block around `body`, which is padded.
    pub(super) fn block(self, kind: u32, body: &[u8]) -> Vec<u8> {
        let padded = body.len().next_multiple_of(4);
        let length = (padded + 12) as u32;
        let mut block = self.words(&[kind, length]);
        block.extend_from_slice(body);
        block.resize(8 + padded, 0);
        block.extend(self.u32(length));
        block
    }

    pub(super) fn section(self) -> Vec<u8> {
        let version = [self.u16(1), self.u16(0)].concat();
        let body = [self.u32(0x1a2b_3c4d).to_vec(), version, self.u64(u64::MAX).to_vec()].concat();
        self.block(0x0a0d_0d0a, &body)
    }

    pub(super) fn option(self, code: u16, value: &[u8]) -> Vec<u8> {
        let mut option = [self.u16(code), self.u16(value.len() as u16)].concat();
        option.extend_from_slice(value);
        option.resize(4 + value.len().next_multiple_of(4), 0);
        option
    }

    pub(super) fn interface(self, link: u16, snaplen: u32, options: &[Vec<u8>]) -> Vec<u8> {
        let fixed = [self.u16(link), self.u16(0)].concat();
        self.block(1, &[fixed, self.u32(snaplen).to_vec(), options.concat()].concat())
    }

    pub(super) fn enhanced(
        self,
        id: u32,
        ticks: u64,
        wire_len: u32,
        bytes: &[u8],
        options: &[Vec<u8>],
    ) -> Vec<u8> {
        let (high, low) = ((ticks >> 32) as u32, ticks as u32);
        let mut body = self.words(&[id, high, low, bytes.len() as u32, wire_len]);
        body.extend_from_slice(bytes);
        body.resize(20 + bytes.len().next_multiple_of(4), 0);
        body.extend(options.concat());
        self.block(6, &body)
    }
}

/// Cuts `file` at every byte. `ends` are the offsets after its header and after each packet and the
/// blocks between: exactly the packets whose end is there must be read, and a cut anywhere else
/// must be said.
pub(super) fn cut_everywhere(file: &[u8], packet_ends: &[usize], clean_ends: &[usize]) {
    let (whole, error) = read(file);
    assert_eq!((whole.len(), error), (packet_ends.len(), None));
    for cut in 0..file.len() {
        let (packets, error) = read(&file[..cut]);
        let expected = packet_ends.iter().filter(|&&end| end <= cut).count();
        assert_eq!(packets, whole[..expected], "cut at {cut}");
        assert_eq!(error.is_none(), clean_ends.contains(&cut), "cut at {cut}: {error:?}");
        if let Some(error) = error {
            assert!(error.contains(&format!("byte {cut}")), "cut at {cut}: {error}");
        }
    }
}
