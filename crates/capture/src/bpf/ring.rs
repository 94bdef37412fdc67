//! A ring of records, from programs to user space (`BPF_MAP_TYPE_RINGBUF`,
//! <https://docs.kernel.org/bpf/ringbuf.html>).
//!
//! ```text
//! consumer page (ours to write) │ producer page │ data │ the same data once more
//! ```
//!
//! A record is a header of 8 bytes, whose first four are its length and two bits, and its bytes,
//! rounded up to 8. The kernel maps the data twice in a row, so no record is cut at the end. All
//! CPUs write into one ring: records come out in the order in which their room was reserved, and
//! one that is reserved and not yet submitted holds up those behind it.

use super::map::CreateAttr;
use super::sys::{Command, bpf_fd, object_name};
use crate::mapping::Mapping;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// After so many records the room of those read is given back.
const RELEASE_RECORDS: usize = 64;
const HEADER_BYTES: u64 = 8;
/// The record is being written (`BPF_RINGBUF_BUSY_BIT`).
const BUSY: u32 = 1 << 31;
/// The record was given up (`BPF_RINGBUF_DISCARD_BIT`).
const DISCARDED: u32 = 1 << 30;
/// `BPF_MAP_TYPE_RINGBUF`.
const TYPE_RINGBUF: u32 = 27;

/// The reading end of a ring. A program writes with the helpers `Ringbuf…`; when the ring is full
/// it is told so, and the record is its to count.
#[derive(Debug)]
pub struct RingBuf {
    pages: Pages,
    fd: OwnedFd,
}

impl RingBuf {
    /// Creates a ring with room for `bytes` of records and their headers: a power of two, and a
    /// multiple of the page size. `name` shows in `bpftool map`.
    ///
    /// # Errors
    /// EPERM without CAP_BPF; for another size; ENOMEM.
    pub fn create(name: &str, bytes: usize) -> io::Result<RingBuf> {
        let page_bytes = rustix::param::page_size();
        let size = u32::try_from(bytes).ok().filter(|size| size.is_power_of_two());
        let Some(size) = size.filter(|_| bytes.is_multiple_of(page_bytes)) else {
            let what = format!("a ring of {bytes} bytes");
            let cure = format!("ask for a power of two, from {page_bytes} to {}", 1u32 << 31);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{what}: {cure}")));
        };
        let mut attr = CreateAttr {
            map_type: TYPE_RINGBUF,
            max_entries: size,
            map_name: object_name(name),
            ..CreateAttr::default()
        };
        let fd = bpf_fd(Command::MapCreate, &mut attr)?;
        let consumer = Mapping::shared(fd.as_fd(), page_bytes, 0)?;
        let producer = Mapping::read_only(fd.as_fd(), page_bytes + 2 * bytes, page_bytes as i64)?;
        Ok(RingBuf { pages: Pages::new(consumer, producer, page_bytes), fd })
    }

    /// Hands out up to `at_most` records, the oldest first; how many there were. Those that a
    /// program gave up are passed over. The descriptor polls as readable when there are more.
    pub fn drain(&mut self, at_most: usize, each: impl FnMut(&[u8])) -> usize {
        self.pages.drain(at_most, each)
    }

    /// How often the ring was not as the kernel leaves it, so that what was in it could not be
    /// read: 0, unless the kernel has a bug.
    pub fn broken(&self) -> u64 {
        self.pages.broken
    }
}

impl AsFd for RingBuf {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The memory of a ring.
#[derive(Debug)]
struct Pages {
    consumer: Mapping,
    producer: Mapping,
    /// Where the data begin, behind the producer page.
    data_at: usize,
    /// Bytes of the data; a power of two.
    size: u64,
    /// How far we have read. Positions count on for ever; the ring is where they lie modulo `size`.
    position: u64,
    broken: u64,
}

impl Pages {
    fn new(consumer: Mapping, producer: Mapping, page_bytes: usize) -> Pages {
        let size = ((producer.len() - page_bytes) / 2) as u64;
        assert!(size.is_power_of_two() && size >= HEADER_BYTES, "checked by `RingBuf::create`");
        Pages { consumer, producer, data_at: page_bytes, size, position: 0, broken: 0 }
    }

    fn drain(&mut self, at_most: usize, mut each: impl FnMut(&[u8])) -> usize {
        let end = self.produced();
        let mut drained = 0;
        let mut passed = 0;
        while self.position != end && drained < at_most {
            let Some((len, next)) = self.record(end) else { break };
            if len & DISCARDED == 0 {
                each(self.bytes(len));
                drained += 1;
            }
            self.position = next;
            passed += 1;
            if passed % RELEASE_RECORDS == 0 {
                self.release();
            }
        }
        self.release();
        drained
    }

    /// Length with the discard bit, and end, of the record at our position; none when it is still
    /// being written, or when all up to `end` had to be given up.
    fn record(&mut self, end: u64) -> Option<(u32, u64)> {
        let ahead = end.wrapping_sub(self.position);
        let in_order =
            (HEADER_BYTES..=self.size).contains(&ahead) && self.position.is_multiple_of(8);
        let len = if in_order { self.header() } else { 0 };
        if len & BUSY != 0 {
            return None;
        }
        let bytes = (HEADER_BYTES + u64::from(len & !DISCARDED)).next_multiple_of(8);
        if !in_order || bytes > ahead {
            self.broken += 1;
            self.position = end;
            return None;
        }
        Some((len, self.position.wrapping_add(bytes)))
    }

    /// The end of what was reserved so far.
    fn produced(&self) -> u64 {
        // SAFETY: the first word of the producer page, which is ours only to read: a load of eight
        // bytes is allowed there. Acquire: the headers up to the end are written.
        unsafe { (*self.producer.start().cast::<AtomicU64>()).load(Ordering::Acquire) }
    }

    /// The first word of the header at our position, which is a multiple of 8.
    fn header(&self) -> u32 {
        // SAFETY: the place is in the first of the two copies of the data, and aligned; a load is
        // allowed where we may only read. Acquire: without the busy bit, the bytes are written.
        unsafe { (*self.place().cast::<AtomicU32>()).load(Ordering::Acquire) }
    }

    /// The bytes of the record at our position, which end `len` behind its header.
    fn bytes(&self, len: u32) -> &[u8] {
        // SAFETY: `record` has seen that header and bytes are no longer than the ring, so that they
        // end in the second copy at the latest. No program writes there before we give the room
        // back, which needs this value mutably.
        unsafe {
            let start = self.place().add(HEADER_BYTES as usize);
            std::slice::from_raw_parts(start, (len & !DISCARDED) as usize)
        }
    }

    /// Where our position is, in the first copy of the data.
    fn place(&self) -> *const u8 {
        let offset = self.data_at + (self.position % self.size) as usize;
        // SAFETY: the mapping has `data_at + 2 * size` bytes.
        unsafe { self.producer.start().add(offset) }
    }

    /// Gives the room of what was read back to the programs.
    fn release(&mut self) {
        // SAFETY: the first word of the consumer page, which is ours to write. Release: we have
        // read the bytes.
        unsafe {
            let released = &*self.consumer.start().cast::<AtomicU64>();
            released.store(self.position, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::asm::{Alu, Assembler, Cond, Helper, Reg::*, Size, XdpAction};
    use super::super::{Program, Words};
    use super::*;
    use std::os::fd::AsRawFd;

    fn create(bytes: usize) -> Option<RingBuf> {
        match RingBuf::create("tickwire_test", bytes) {
            Ok(ring) => Some(ring),
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
                eprintln!("SKIPPED: creating an eBPF map needs CAP_BPF (run as root)");
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Reserves a record of 20 bytes or drops the packet; numbers it, and gives up each that 3
    /// divides.
    fn program(ring: &RingBuf, number: &Words) -> Program {
        let mut asm = Assembler::new();
        let (full, discard) = (asm.label(), asm.label());
        asm.load_map(R1, ring);
        asm.mov(R2, 20);
        asm.mov(R3, 0);
        asm.call(Helper::RingbufReserve);
        asm.jump_if(Cond::Eq, R0, 0, full);
        asm.load_map_value(R6, number.as_fd().as_raw_fd(), 0);
        asm.mov(R7, 1);
        asm.atomic_fetch_add(R6, 0, R7);
        asm.store(Size::U64, R0, 0, R7);
        asm.store(Size::U64, R0, 8, 0);
        asm.store(Size::U32, R0, 16, 0x1234);
        asm.mov(R1, R0);
        asm.mov(R2, 0);
        asm.alu(Alu::Mod, R7, 3);
        asm.jump_if(Cond::Eq, R7, 0, discard);
        asm.call(Helper::RingbufSubmit);
        asm.exit_with(XdpAction::Pass);
        asm.bind(discard);
        asm.call(Helper::RingbufDiscard);
        asm.exit_with(XdpAction::Pass);
        asm.bind(full);
        asm.exit_with(XdpAction::Drop);
        Program::load_xdp("tickwire_test", &asm.finish().unwrap()).unwrap()
    }

    /// The numbers of what is in the ring, up to `at_most`.
    fn numbers(ring: &mut RingBuf, at_most: usize) -> Vec<u64> {
        let mut numbers = Vec::new();
        let drained = ring.drain(at_most, |record| {
            assert_eq!(record.len(), 20);
            assert_eq!(record[16..], 0x1234u32.to_ne_bytes());
            numbers.push(u64::from_ne_bytes(record[..8].try_into().unwrap()));
        });
        assert_eq!(drained, numbers.len());
        numbers
    }

    #[test]
    fn records_arrive_in_order_and_a_full_ring_says_so() {
        let page = rustix::param::page_size();
        let Some(mut ring) = create(page) else { return };
        let number = Words::create("tickwire_test", 1).unwrap();
        let program = program(&ring, &number);
        let run = |times| program.test_run(&[0; 60], times).unwrap().verdict;
        assert_eq!(numbers(&mut ring, 10), []);
        let mut next = 0;
        // A record takes 32 bytes, header and all, and the last byte of the ring stays free.
        let room = page as u64 / 32 - 1;
        for times in (0..40).map(|round| round * 37 % (room + 9)) {
            let verdict = if times == 0 { continue } else { run(times as u32) };
            let full = times > room;
            assert_eq!(verdict == XdpAction::Drop as u32, full, "{times} records");
            let written = next..next + times.min(room);
            let expected: Vec<u64> = written.clone().filter(|n| n % 3 != 0).collect();
            let (early, late) = expected.split_at(expected.len() / 2);
            assert_eq!(numbers(&mut ring, early.len()), early);
            assert_eq!(numbers(&mut ring, usize::MAX), late);
            next = written.end;
        }
        assert!(next > 5 * room, "many times round");
        assert_eq!(ring.broken(), 0);
    }

    #[test]
    fn other_sizes_are_refused() {
        for bytes in [0, 1, 100, 1 << 11, 3 << 12, 1 << 32] {
            let error = RingBuf::create("tickwire_test", bytes).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{bytes}: {error}");
        }
    }

    const SIZE: usize = 4096;
    const DATA_AT: usize = 4096;

    /// A ring of `SIZE` bytes in memory of our own, so that a test plays the kernel.
    fn in_memory() -> Pages {
        let memory = |len| Mapping::anonymous(len, 0).unwrap();
        Pages::new(memory(DATA_AT), memory(DATA_AT + 2 * SIZE), DATA_AT)
    }

    fn put<const N: usize>(pages: &Pages, at: usize, bytes: [u8; N]) {
        assert!(at + N <= pages.producer.len());
        // SAFETY: in memory of our own, of which nothing is lent.
        unsafe { pages.producer.start().add(at).cast::<[u8; N]>().write_unaligned(bytes) };
    }

    fn drain(pages: &mut Pages) -> Vec<usize> {
        let mut lens = Vec::new();
        pages.drain(usize::MAX, |record| lens.push(record.len()));
        lens
    }

    #[test]
    fn what_is_being_written_holds_up_what_is_behind() {
        let mut pages = in_memory();
        for (at, len) in [(0, 8), (16, BUSY | 16), (40, 3)] {
            put(&pages, DATA_AT + at, len.to_ne_bytes());
        }
        put(&pages, 0, 56u64.to_ne_bytes());
        assert_eq!(drain(&mut pages), [8]);
        assert_eq!(drain(&mut pages), []);
        put(&pages, DATA_AT + 16, (DISCARDED | 16).to_ne_bytes());
        assert_eq!(drain(&mut pages), [3]);
        assert_eq!((pages.position, pages.broken), (56, 0));
    }

    #[test]
    fn no_length_leads_out_of_the_ring() {
        let longest = SIZE as u32 - 8;
        for (len, end, expected) in [
            (longest, SIZE as u64, vec![longest as usize]),
            (longest + 1, SIZE as u64, vec![]),
            (DISCARDED - 1, SIZE as u64, vec![]),
            (DISCARDED | (DISCARDED - 1), SIZE as u64, vec![]),
            (16, 16, vec![]),
            (0, 4, vec![]),
            (0, SIZE as u64 + 8, vec![]),
            (0, u64::MAX, vec![]),
        ] {
            let mut pages = in_memory();
            put(&pages, DATA_AT, len.to_ne_bytes());
            put(&pages, 0, end.to_ne_bytes());
            let broken = u64::from(expected.is_empty());
            assert_eq!(drain(&mut pages), expected, "length {len}, end {end}");
            assert_eq!((pages.broken, pages.position), (broken, end));
            // It goes on from there, or gives up once more.
            put(&pages, 0, end.wrapping_add(8).to_ne_bytes());
            put(&pages, DATA_AT + (end as usize % SIZE), 0u32.to_ne_bytes());
            drain(&mut pages);
            assert_eq!(pages.position, end.wrapping_add(8));
        }
    }
}
