//! UMEM: the memory that an AF_XDP socket shares with the kernel, cut into frames of equal size.
//!
//! Frames begin at multiples of their size. Staggered starts (a pitch of 2112 bytes, say) would
//! spread headers over more cache sets, but only unaligned chunks allow them, and those cost the
//! kernel's half of the work more than they save ours, in copy mode on veth: see
//! docs/performance.md, "What does not pay".

use crate::PortError;
use crate::mapping::Mapping;

/// Size of a huge page on the machines that have them, in bytes.
const HUGE_PAGE_BYTES: usize = 2 << 20;

/// The kernel keeps this much room at the start of each frame for received packets, in bytes
/// (`XDP_PACKET_HEADROOM`).
pub(super) const HEADROOM_BYTES: u32 = 256;

/// The frames of one socket. We own the mapping; the kernel pins it while a socket uses it.
///
/// The two halves of a port share it: each touches its own frames only.
#[derive(Debug)]
pub(super) struct Umem {
    memory: Mapping,
    frame_shift: u32,
    frames: u32,
    huge: bool,
}

impl Umem {
    /// `frames` frames of `frame_bytes` (a power of two), on huge pages when there are any.
    pub fn new(frame_bytes: u32, frames: u32) -> Result<Self, PortError> {
        assert!(frame_bytes.is_power_of_two(), "frames of a power of two: {frame_bytes}");
        let bytes = frame_bytes as usize * frames as usize;
        let huge_bytes = bytes.next_multiple_of(HUGE_PAGE_BYTES);
        let huge = Mapping::anonymous(huge_bytes, libc::MAP_HUGETLB);
        let (memory, huge) = match huge {
            Ok(memory) => (memory, true),
            Err(_) => {
                let memory = Mapping::anonymous(bytes, 0).map_err(|source| {
                    let cure = "ask for fewer or smaller frames, or give the process more memory";
                    PortError::system(format!("map {bytes} bytes for frames"), source, cure)
                })?;
                memory.ask_for_huge_pages();
                (memory, false)
            }
        };
        Ok(Umem { memory, frame_shift: frame_bytes.trailing_zeros(), frames, huge })
    }

    /// Size of a frame, in bytes.
    pub fn frame_bytes(&self) -> u32 {
        1 << self.frame_shift
    }

    /// Whether it lies on huge pages.
    pub fn is_huge(&self) -> bool {
        self.huge
    }

    /// Address and length of all frames, for XDP_UMEM_REG.
    pub fn region(&self) -> (u64, u64) {
        (self.memory.start() as u64, u64::from(self.frames) << self.frame_shift)
    }

    /// Where frame `number` begins, as the rings count.
    #[inline]
    pub fn address(&self, number: u32) -> u64 {
        u64::from(number) << self.frame_shift
    }

    /// The frame that `address` lies in; possibly one that does not exist.
    #[inline]
    pub fn frame_of(&self, address: u64) -> u32 {
        u32::try_from(address >> self.frame_shift).unwrap_or(u32::MAX)
    }

    /// Whether `len` bytes at `address` lie within one frame that exists.
    #[inline]
    pub fn contains(&self, address: u64, len: u32) -> bool {
        let offset = address & (u64::from(self.frame_bytes()) - 1);
        self.frame_of(address) < self.frames
            && offset + u64::from(len) <= u64::from(self.frame_bytes())
    }

    /// The bytes at `address`.
    ///
    /// # Safety
    /// `contains(address, len)`, and nobody writes to them for `'a`: the frame is held by us.
    /// The memory stays mapped for `'a`.
    #[inline]
    pub unsafe fn bytes<'a>(&self, address: u64, len: u32) -> &'a [u8] {
        // SAFETY: within the mapping, initialised (anonymous memory), not written, by the contract.
        unsafe { std::slice::from_raw_parts(self.at(address), len as usize) }
    }

    /// Where the byte at `address` is; `address` must lie within a frame that exists.
    #[inline]
    pub fn at(&self, address: u64) -> *mut u8 {
        debug_assert!(self.contains(address, 0));
        self.memory.start().wrapping_add(address as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked() {
        let umem = Umem::new(2048, 4).unwrap();
        assert_eq!((umem.frame_bytes(), umem.region().1), (2048, 8192));
        assert_eq!(umem.address(3), 6144);
        assert_eq!(umem.frame_of(6144 + 256), 3);
        assert!(umem.contains(6144 + 256, 1792));
        assert!(!umem.contains(6144 + 256, 1793), "over the end of the frame");
        assert!(!umem.contains(8192, 1), "beyond the last frame");
        assert!(!umem.contains(u64::MAX, 1));
    }

    #[test]
    fn what_is_written_is_read() {
        let umem = Umem::new(2048, 2).unwrap();
        // SAFETY: frame 1 exists and nobody else has it.
        unsafe { umem.at(umem.address(1)).copy_from_nonoverlapping(b"frame".as_ptr(), 5) };
        // SAFETY: as above; nothing writes while `read` lives.
        let read = unsafe { umem.bytes(2048, 5) };
        assert_eq!(read, b"frame");
    }
}
