//! The packets of the filter bench, laid out as a port would hand them over.

use tickwire_frame::{Batch, Frame, Timestamp};
use tickwire_fuzz::packets::{Ipv4Fields, arp, ethernet, icmp, ipv4_with, ipv6, tcp, udp};
use tickwire_fuzz::random::Random;

/// Bytes from one frame to the next, as in a UMEM.
const STRIDE_BYTES: usize = 2048;
/// Frames begin 0 to 7 cache lines into their chunk: equal distances would put all headers into
/// the same few sets of the cache.
const STAGGER_BYTES: usize = 64;

/// The memory begins where a huge page does, as that of a UMEM would: otherwise the pages of
/// 400 MB, two frames each, are what is measured.
const HUGE_PAGE_BYTES: usize = 2 << 20;

/// Frames in one piece of memory.
pub struct Traffic {
    memory: Vec<u8>,
    /// Where each frame is.
    frames: Vec<(usize, usize)>,
}

impl Traffic {
    /// `count` frames, `distinct` of them different.
    pub fn new(count: usize, distinct: usize) -> Traffic {
        let packets = packets(distinct.min(count));
        let mut memory = vec![0; count * STRIDE_BYTES + HUGE_PAGE_BYTES];
        let begin = memory.as_ptr().align_offset(HUGE_PAGE_BYTES);
        ask_for_huge_pages(&mut memory[begin..]);
        let mut frames = Vec::with_capacity(count);
        for at in 0..count {
            let packet = &packets[at % packets.len()];
            let start = begin + at * STRIDE_BYTES + at % 8 * STAGGER_BYTES;
            memory[start..start + packet.len()].copy_from_slice(packet);
            frames.push((start, packet.len()));
        }
        Traffic { memory, frames }
    }

    /// The frames in full batches.
    pub fn batches(&self) -> Vec<Batch<'_>> {
        let batch = |frames: &[(usize, usize)]| {
            let mut batch = Batch::new();
            for (start, len) in frames {
                batch.push(Frame::new(&self.memory[*start..start + len], Timestamp::ZERO));
            }
            batch
        };
        self.frames.chunks(64).map(batch).collect()
    }

    /// How many frames.
    pub fn len(&self) -> usize {
        self.frames.len()
    }
}

/// A wish: where the kernel does not grant it, the cold figures are higher for all.
#[allow(unsafe_code)] // madvise(2).
fn ask_for_huge_pages(memory: &mut [u8]) {
    // SAFETY: memory of our own, whose contents this advice does not change.
    unsafe { libc::madvise(memory.as_mut_ptr().cast(), memory.len(), libc::MADV_HUGEPAGE) };
}

/// A trading network at random: feeds, sessions, some IPv6, and what else is on the wire.
fn packets(count: usize) -> Vec<Vec<u8>> {
    let mut random = Random::new(7);
    (0..count).map(|_| packet(&mut random)).collect()
}

fn packet(random: &mut Random) -> Vec<u8> {
    let payload = vec![0x5a; 30 + random.below(100)];
    let ports = [5000, 5000, 5001, 26_400, 30_001, 53];
    let high = 1024 + random.below(60_000) as u16;
    let host = [10, 0, 0, 1 + random.below(6) as u8];
    match random.below(100) {
        0..45 => {
            let group = [239, 1, random.below(3) as u8, random.below(4) as u8];
            four(17, (host, group), 0x4000, &udp(4, high, *random.pick(&ports), &payload))
        }
        45..80 => {
            let peer = [10, 0, 0, 1 + random.below(6) as u8];
            let port = *random.pick(&[5555, 5555, 443, 22, 80, 9000]);
            let ports = if random.below(2) == 0 { (port, high) } else { (high, port) };
            let fragment = if random.below(100) == 0 { 185 } else { 0x4000 };
            four(6, (host, peer), fragment, &tcp(4, ports, 0x10, &[], &payload))
        }
        80..90 => {
            let segment = match random.below(2) {
                0 => (17, udp(6, high, *random.pick(&ports), &payload)),
                _ => (6, tcp(6, (high, 5555), 0x10, &[], &payload)),
            };
            ethernet(0x86dd, &ipv6(segment.0, &segment.1))
        }
        90..95 => four(1, (host, host), 0, &icmp(8, 0, &payload)),
        _ => {
            // Padded, as every frame that comes from a wire is.
            let mut bytes = ethernet(0x0806, &arp(1, host, [10, 0, 0, 2]));
            bytes.resize(bytes.len().max(60), 0);
            bytes
        }
    }
}

fn four(
    protocol: u8,
    (source, destination): ([u8; 4], [u8; 4]),
    fragment: u16,
    segment: &[u8],
) -> Vec<u8> {
    let mut packet = ipv4_with(protocol, Ipv4Fields { fragment, options: &[] }, segment);
    packet[12..16].copy_from_slice(&source);
    packet[16..20].copy_from_slice(&destination);
    ethernet(0x0800, &packet)
}
