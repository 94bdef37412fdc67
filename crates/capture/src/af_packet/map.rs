//! Memory shared with the kernel.

use std::io;
use std::ptr::NonNull;

/// A mapping that is unmapped on drop.
#[derive(Debug)]
pub(super) struct Map {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: the mapping belongs to this value alone; nothing about it is tied to a thread.
unsafe impl Send for Map {}

impl Map {
    /// Maps the ring of a packet socket that was set up with `bytes` bytes.
    pub fn of_socket(fd: libc::c_int, bytes: usize) -> io::Result<Self> {
        Self::new(fd, bytes, libc::MAP_SHARED)
    }

    /// Zeroed memory that no kernel writes to: both ends of a ring can be played in a test.
    #[cfg(test)]
    pub fn anonymous(bytes: usize) -> Self {
        Self::new(-1, bytes, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS).unwrap()
    }

    fn new(fd: libc::c_int, bytes: usize, flags: libc::c_int) -> io::Result<Self> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address that the kernel chooses touches no other memory.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), bytes, access, flags, fd, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or_else(|| io::Error::other("mapped at 0"))?;
        Ok(Map { start, bytes })
    }

    /// A pointer to byte `offset`, aligned as `offset` is (the mapping starts at a page).
    ///
    /// # Panics
    /// When `offset` is not inside.
    #[inline]
    pub fn at(&self, offset: usize) -> *mut u8 {
        assert!(offset < self.bytes);
        // SAFETY: `offset` is inside the mapping.
        unsafe { self.start.as_ptr().add(offset) }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `new` with this start and length; whoever holds frames
        // of it borrows its owner.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}
