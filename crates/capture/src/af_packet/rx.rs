//! The receive ring: TPACKET_V3 blocks (Documentation/networking/packet_mmap.rst).
//!
//! The kernel fills a block with as many frames as fit, and hands it over when it is full or its
//! time is up. We lend its frames out, 64 a batch, and give the whole block back when the last
//! batch of it has been taken back. Ownership is one word in the block: whoever has it may touch
//! the block, and nobody else.

use super::map::Map;
use crate::PortError;
use std::mem::offset_of;
use std::sync::atomic::{AtomicU32, Ordering};
use tickwire_frame::{Batch, Flags, Frame, Timestamp};

/// Offset of the block's owner word: `tpacket_block_desc.hdr.bh1.block_status`.
const STATUS: usize =
    offset_of!(libc::tpacket_block_desc, hdr) + offset_of!(libc::tpacket_hdr_v1, block_status);
/// The address of the sender lies behind the aligned header of a frame, and tells the direction.
const PACKET_TYPE: usize =
    size_of::<libc::tpacket3_hdr>() + offset_of!(libc::sockaddr_ll, sll_pkttype);
/// Bytes of a VLAN tag.
const TAG_BYTES: usize = 4;
/// Bytes of the two Ethernet addresses, behind which the tag belongs.
const ADDRESSES_BYTES: usize = 12;

/// Headroom to ask of the kernel in front of every frame, so that a tag can be put back in place.
pub(super) const RESERVE_BYTES: libc::c_uint = TAG_BYTES as libc::c_uint;

const _: () = assert!(size_of::<libc::tpacket3_hdr>().is_multiple_of(libc::TPACKET_ALIGNMENT));

/// Our end of the ring.
#[derive(Debug)]
pub(super) struct RxRing {
    map: Map,
    block_bytes: usize,
    blocks: usize,
    /// The longest frame given out, in bytes.
    snap_len: usize,
    /// Whether frames are Ethernet, in which tags can be put back.
    ethernet: bool,
    /// Block that we read, or wait for.
    block: usize,
    /// Whether `block` is ours now.
    held: bool,
    /// Frames of it that have not been given out.
    frames_left: u32,
    /// Offset of the next of them in the block.
    next: usize,
    /// Frames given out since the start.
    read: u64,
    /// Nothing is given out any more.
    closed: bool,
}

impl RxRing {
    /// A ring of `blocks` blocks of `block_bytes` bytes, all owned by the kernel.
    pub fn new(map: Map, block_bytes: usize, blocks: usize) -> Self {
        RxRing {
            map,
            block_bytes,
            blocks,
            snap_len: usize::MAX,
            ethernet: true,
            block: 0,
            held: false,
            frames_left: 0,
            next: 0,
            read: 0,
            closed: false,
        }
    }

    /// Cuts frames to `snap_len` bytes.
    pub fn with_snap_len(mut self, snap_len: usize) -> Self {
        self.snap_len = snap_len;
        self
    }

    /// For frames that are not Ethernet: there is no place for a VLAN tag.
    pub fn without_tags(mut self) -> Self {
        self.ethernet = false;
        self
    }

    /// Frames given out since the start.
    pub fn read(&self) -> u64 {
        self.read
    }

    /// From now on gives nothing out, whatever is in the ring.
    pub fn close(&mut self) {
        self.closed = true;
        self.frames_left = 0;
    }

    /// Takes the frames of the last batch back, then adds the next ones to `batch`. A batch never
    /// spans two blocks, so that a block goes back as soon as it can.
    #[inline]
    pub fn receive<'p>(&'p mut self, batch: &mut Batch<'p>) -> Result<(), PortError> {
        if self.frames_left == 0 && !self.next_block() {
            return Ok(());
        }
        while self.frames_left > 0 && !batch.is_full() {
            // SAFETY: the block is ours until a later call of this function, and `'p` borrows
            // `self` until then.
            match unsafe { self.next_frame() } {
                Ok(frame) => batch.push(frame),
                // What was read before counts; the next call finds the same nonsense again.
                Err(_) if !batch.is_empty() => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Gives the block that has been read back, and takes the next one that has frames, if any.
    fn next_block(&mut self) -> bool {
        if self.closed {
            return false;
        }
        // A block without frames is possible but rare: at most one turn round the ring.
        for _ in 0..=self.blocks {
            if self.held {
                // Release: all our reads and writes of the block come before.
                self.status(self.block).store(libc::TP_STATUS_KERNEL, Ordering::Release);
                self.held = false;
                self.block = (self.block + 1) % self.blocks;
            }
            let Some(header) = self.ready(self.block) else { return false };
            self.held = true;
            self.frames_left = header.num_pkts;
            self.next = header.offset_to_first_pkt as usize;
            if self.frames_left > 0 {
                return true;
            }
        }
        false
    }

    /// The header of `block` if it is ours.
    #[inline]
    fn ready(&self, block: usize) -> Option<libc::tpacket_hdr_v1> {
        // Acquire: what the kernel wrote before it gave us the block is seen after.
        if self.status(block).load(Ordering::Acquire) & libc::TP_STATUS_USER == 0 {
            return None;
        }
        let descriptor = self.map.at(block * self.block_bytes).cast::<libc::tpacket_block_desc>();
        // SAFETY: a block starts with its descriptor (the map is page-aligned, a block is whole
        // pages), is ours to read now, and integers are valid with any bits.
        Some(unsafe { (*descriptor).hdr.bh1 })
    }

    #[inline]
    fn status(&self, block: usize) -> &AtomicU32 {
        let word = self.map.at(block * self.block_bytes + STATUS).cast::<u32>();
        // SAFETY: the word is inside the map, aligned, lives as long as `self`, and both sides
        // access it atomically only.
        unsafe { AtomicU32::from_ptr(word) }
    }

    /// The next frame of the block that is ours.
    ///
    /// # Safety
    /// The frame must be gone before the block is given back.
    #[inline]
    unsafe fn next_frame<'p>(&mut self) -> Result<Frame<'p>, PortError> {
        let offset = self.next;
        let room = self.block_bytes.saturating_sub(offset);
        if room < PACKET_TYPE || !offset.is_multiple_of(align_of::<libc::tpacket3_hdr>()) {
            return Err(self.broken());
        }
        let start = self.map.at(self.block * self.block_bytes + offset);
        // SAFETY: the header lies inside the block (checked), aligned, and the block is ours.
        let header = unsafe { start.cast::<libc::tpacket3_hdr>().read() };
        let (mac, len) = (usize::from(header.tp_mac), header.tp_snaplen as usize);
        if mac <= PACKET_TYPE + TAG_BYTES || mac.saturating_add(len) > room {
            return Err(self.broken());
        }
        // SAFETY: inside the block, in front of the frame, and the block is ours.
        let packet_type = unsafe { start.add(PACKET_TYPE).read() };
        // SAFETY: `mac` and `len` lie inside the block (checked), which is ours: the kernel does
        // not touch it, and nobody else has this part of it.
        let bytes =
            unsafe { std::slice::from_raw_parts_mut(start.add(mac - TAG_BYTES), TAG_BYTES + len) };
        let (bytes, tag_bytes) = match tag(&header).filter(|_| self.ethernet) {
            Some(tag) => (restore_tag(bytes, tag), TAG_BYTES as u32),
            None => (&bytes[TAG_BYTES..], 0),
        };
        self.next = offset + header.tp_next_offset as usize;
        self.frames_left -= 1;
        self.read += 1;
        Ok(Frame {
            bytes: &bytes[..bytes.len().min(self.snap_len)],
            wire_len: header.tp_len + tag_bytes,
            timestamp: Timestamp::from_parts(u64::from(header.tp_sec), u64::from(header.tp_nsec)),
            flags: flags(header.tp_status, packet_type),
        })
    }

    /// Frames that have not been given out, in the blocks that are ours already. The block that
    /// the kernel is filling does not count.
    pub fn ready_frames(&self) -> u64 {
        let first = usize::from(self.held);
        let later = (first..self.blocks).map_while(|distance| {
            self.ready((self.block + distance) % self.blocks)
                .map(|header| u64::from(header.num_pkts))
        });
        u64::from(self.frames_left) + later.sum::<u64>()
    }

    #[cold]
    fn broken(&self) -> PortError {
        PortError::Broken(format!(
            "the kernel's receive ring makes no sense: block {}, offset {}",
            self.block, self.next
        ))
    }
}

/// The VLAN tag that the kernel took out of the frame: TPID and TCI as on the wire.
#[inline]
fn tag(header: &libc::tpacket3_hdr) -> Option<[u8; TAG_BYTES]> {
    if header.tp_status & libc::TP_STATUS_VLAN_VALID == 0 {
        return None;
    }
    let tpid = match header.tp_status & libc::TP_STATUS_VLAN_TPID_VALID {
        0 => libc::ETH_P_8021Q as u16,
        _ => header.hv1.tp_vlan_tpid,
    };
    let ([a, b], [c, d]) = (tpid.to_be_bytes(), (header.hv1.tp_vlan_tci as u16).to_be_bytes());
    Some([a, b, c, d])
}

/// Puts `tag` behind the addresses of the frame that starts 4 bytes into `bytes`, by moving the
/// addresses down over those 4 bytes. A frame cut before the end of its addresses stays as it is.
#[inline]
fn restore_tag(bytes: &mut [u8], tag: [u8; TAG_BYTES]) -> &[u8] {
    if bytes.len() < TAG_BYTES + ADDRESSES_BYTES {
        return &bytes[TAG_BYTES..];
    }
    bytes.copy_within(TAG_BYTES..TAG_BYTES + ADDRESSES_BYTES, 0);
    bytes[ADDRESSES_BYTES..ADDRESSES_BYTES + TAG_BYTES].copy_from_slice(&tag);
    bytes
}

#[inline]
fn flags(status: u32, packet_type: u8) -> Flags {
    let mut flags = Flags::NONE;
    if packet_type == libc::PACKET_OUTGOING {
        flags = flags.with(Flags::OUTGOING);
    }
    if status & libc::TP_STATUS_CSUMNOTREADY != 0 {
        flags = flags.with(Flags::CHECKSUM_PARTIAL);
    }
    if status & libc::TP_STATUS_CSUM_VALID != 0 {
        flags = flags.with(Flags::CHECKSUM_VALID);
    }
    flags
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK_BYTES: usize = 4096;
    const MAC: usize = 96;

    /// Bytes, status, and TPID and TCI of the tag beside the frame.
    type Filled<'a> = (&'a [u8], u32, Option<(u16, u16)>);

    /// The kernel's end, played by the test.
    fn fill(ring: &RxRing, block: usize, frames: &[Filled<'_>]) {
        let mut offset = 48usize;
        let first = offset;
        for (bytes, status, tag) in frames {
            let start = ring.map.at(block * BLOCK_BYTES + offset);
            let step = (MAC + bytes.len()).next_multiple_of(16);
            let (tpid, tci) = tag.unwrap_or_default();
            let header = libc::tpacket3_hdr {
                tp_next_offset: step as u32,
                tp_sec: 7,
                tp_nsec: 8,
                tp_snaplen: bytes.len() as u32,
                tp_len: bytes.len() as u32,
                tp_status: *status,
                tp_mac: MAC as u16,
                tp_net: 0,
                hv1: libc::tpacket_hdr_variant1 {
                    tp_rxhash: 0,
                    tp_vlan_tci: u32::from(tci),
                    tp_vlan_tpid: tpid,
                    tp_padding: 0,
                },
                tp_padding: [0; 8],
            };
            // SAFETY: the test owns the ring and keeps inside the block.
            unsafe {
                start.cast::<libc::tpacket3_hdr>().write(header);
                start.add(MAC).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            }
            offset += step;
        }
        hand_over(ring, block, frames.len() as u32, first as u32);
    }

    fn hand_over(ring: &RxRing, block: usize, num_pkts: u32, first: u32) {
        let descriptor = ring.map.at(block * BLOCK_BYTES).cast::<libc::tpacket_block_desc>();
        // SAFETY: the test owns the ring, and a block starts with its descriptor.
        let header = unsafe { &mut (*descriptor).hdr.bh1 };
        header.num_pkts = num_pkts;
        header.offset_to_first_pkt = first;
        ring.status(block).store(libc::TP_STATUS_USER, Ordering::Release);
    }

    fn ring(blocks: usize) -> RxRing {
        RxRing::new(Map::anonymous(blocks * BLOCK_BYTES), BLOCK_BYTES, blocks)
    }

    fn owner(ring: &RxRing, block: usize) -> u32 {
        ring.status(block).load(Ordering::Acquire)
    }

    #[test]
    fn a_block_goes_back_when_all_its_frames_are_back() {
        let mut ring = ring(3);
        let frame: Filled<'_> = (&[0xab; 2], 0, None);
        for turn in 0..7 {
            let block = turn % 3;
            let mut batch = Batch::new();
            ring.receive(&mut batch).unwrap();
            assert!(batch.is_empty());
            fill(&ring, block, &[frame; 30]);
            // Fewer frames fit into a block than a batch has room for, so split by hand.
            assert_eq!(ring.ready_frames(), 30);
            let mut batch = Batch::new();
            ring.receive(&mut batch).unwrap();
            assert_eq!(batch.len(), 30);
            assert!(batch.iter().all(|frame| frame.bytes == [0xab; 2]));
            assert_eq!(owner(&ring, block), libc::TP_STATUS_USER, "lent out: must not go back");
            assert_eq!(ring.ready_frames(), 0);
            assert_eq!(ring.read(), 30 * (turn as u64 + 1));
        }
    }

    #[test]
    fn a_batch_ends_with_its_block_and_empty_blocks_are_skipped() {
        let mut ring = ring(4);
        fill(&ring, 0, &[(&[1; 20], 0, None)]);
        fill(&ring, 1, &[]);
        fill(&ring, 2, &[(&[2; 20], 0, None), (&[3; 20], 0, None)]);
        assert_eq!(ring.ready_frames(), 3);
        let mut sizes = Vec::new();
        for _ in 0..3 {
            let mut batch = Batch::new();
            ring.receive(&mut batch).unwrap();
            sizes.push(batch.len());
        }
        assert_eq!(sizes, [1, 2, 0]);
        assert!((0..3).all(|block| owner(&ring, block) == libc::TP_STATUS_KERNEL));
    }

    #[test]
    fn tags_are_put_back() {
        let mut ring = ring(2);
        let mut untagged = [0u8; 20];
        untagged.iter_mut().enumerate().for_each(|(i, byte)| *byte = i as u8);
        let both = libc::TP_STATUS_VLAN_VALID | libc::TP_STATUS_VLAN_TPID_VALID;
        fill(
            &ring,
            0,
            &[
                (&untagged, both, Some((0x88a8, 0x6123))),
                (&untagged, libc::TP_STATUS_VLAN_VALID, Some((0, 5))),
                (&untagged[..11], both, Some((0x8100, 1))),
                (&untagged, 0, Some((0x8100, 1))),
            ],
        );
        let mut batch = Batch::new();
        ring.receive(&mut batch).unwrap();
        let expected = |tag: [u8; 4]| [&untagged[..12], &tag, &untagged[12..]].concat();
        assert_eq!(batch.get(0).bytes, expected([0x88, 0xa8, 0x61, 0x23]));
        assert_eq!(batch.get(1).bytes, expected([0x81, 0, 0, 5]), "802.1Q when nothing is said");
        assert_eq!(batch.get(2).bytes, &untagged[..11], "cut before the tag's place");
        assert_eq!(batch.get(3).bytes, untagged);
        assert_eq!(batch.wire_lens(), [24, 24, 15, 20]);
    }

    #[test]
    fn the_snap_length_counts_the_tag() {
        let mut ring = ring(1).with_snap_len(16);
        fill(&ring, 0, &[(&[0; 16], libc::TP_STATUS_VLAN_VALID, Some((0, 1)))]);
        let mut batch = Batch::new();
        ring.receive(&mut batch).unwrap();
        assert_eq!((batch.get(0).bytes.len(), batch.get(0).wire_len), (16, 20));
    }

    #[test]
    fn a_link_without_ethernet_gets_no_tag() {
        let mut ring = ring(1).without_tags();
        fill(&ring, 0, &[(&[0x45; 20], libc::TP_STATUS_VLAN_VALID, Some((0, 1)))]);
        let mut batch = Batch::new();
        ring.receive(&mut batch).unwrap();
        assert_eq!((batch.get(0).bytes, batch.get(0).wire_len), (&[0x45; 20][..], 20));
    }

    #[test]
    fn flags_and_times_come_from_the_header() {
        let status = libc::TP_STATUS_CSUMNOTREADY | libc::TP_STATUS_CSUM_VALID;
        let all = Flags::OUTGOING.with(Flags::CHECKSUM_PARTIAL).with(Flags::CHECKSUM_VALID);
        assert_eq!(flags(status, libc::PACKET_OUTGOING), all);
        assert_eq!(flags(0, libc::PACKET_HOST), Flags::NONE);

        let mut ring = ring(1);
        fill(&ring, 0, &[(&[0; 14], 0, None)]);
        let mut batch = Batch::new();
        ring.receive(&mut batch).unwrap();
        assert_eq!(batch.get(0).timestamp, Timestamp::from_parts(7, 8));
    }

    #[test]
    fn frames_before_nonsense_in_the_ring_are_given_out_first() {
        let mut ring = ring(1);
        fill(&ring, 0, &[(&[1; 20], 0, None), (&[2; 20], 0, None)]);
        // The kernel announces one frame more than there are, and zeros follow.
        hand_over(&ring, 0, 3, 48);
        let mut batch = Batch::new();
        ring.receive(&mut batch).unwrap();
        assert_eq!(batch.len(), 2);
        assert_eq!(ring.read(), 2);
        for _ in 0..2 {
            let mut batch = Batch::new();
            assert!(ring.receive(&mut batch).unwrap_err().to_string().contains("makes no sense"));
            assert!(batch.is_empty());
        }
    }

    #[test]
    fn nonsense_in_the_ring_is_an_error_not_a_crash() {
        for first in [0u32, 7, 4090, 8192, u32::MAX] {
            let mut ring = ring(1);
            hand_over(&ring, 0, 1, first);
            let error = ring.receive(&mut Batch::new()).unwrap_err();
            assert!(error.to_string().contains("makes no sense"), "{first}: {error}");
        }
    }
}
