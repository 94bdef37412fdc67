//! Memory that we map: our own, or what the kernel shares through a descriptor.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;

const READ_WRITE: libc::c_int = libc::PROT_READ | libc::PROT_WRITE;

/// Memory mapped by us; unmapped when dropped.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: a mapping belongs to the process, not to a thread; what is in it is guarded by its users.
unsafe impl Send for Mapping {}
// SAFETY: a shared reference only tells where it lies.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Zeroed memory of our own, populated, so that no page fault comes later. No child of ours has
    /// it: a fork would copy each page that the kernel has pinned, 130 MiB of them in 55 ms.
    pub fn anonymous(len: usize, extra_flags: libc::c_int) -> io::Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE | extra_flags;
        let memory = Self::map(len, READ_WRITE, flags, -1, 0)?;
        // What it costs to be refused is that time.
        memory.advise(libc::MADV_DONTFORK);
        Ok(memory)
    }

    /// What the kernel shares with us through `fd`, to read and to write, populated.
    pub fn shared(fd: BorrowedFd<'_>, len: usize, offset: i64) -> io::Result<Self> {
        let flags = libc::MAP_SHARED | libc::MAP_POPULATE;
        Self::map(len, READ_WRITE, flags, fd.as_raw_fd(), offset)
    }

    /// The same, only to read.
    pub fn read_only(fd: BorrowedFd<'_>, len: usize, offset: i64) -> io::Result<Self> {
        let flags = libc::MAP_SHARED | libc::MAP_POPULATE;
        Self::map(len, libc::PROT_READ, flags, fd.as_raw_fd(), offset)
    }

    fn map(
        len: usize,
        rights: libc::c_int,
        flags: libc::c_int,
        fd: libc::c_int,
        offset: i64,
    ) -> io::Result<Self> {
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing of ours.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), len, rights, flags, fd, offset) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or_else(|| io::Error::other("mapped at 0"))?;
        Ok(Mapping { start, len })
    }

    /// Asks for transparent huge pages; it is no harm if the kernel has none.
    pub fn ask_for_huge_pages(&self) {
        self.advise(libc::MADV_HUGEPAGE);
    }

    fn advise(&self, advice: libc::c_int) {
        // SAFETY: the range is exactly this mapping, and none of our advice changes its content.
        unsafe { libc::madvise(self.start.as_ptr().cast(), self.len, advice) };
    }

    pub fn start(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    pub fn len(&self) -> usize {
        self.len
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range is exactly this mapping, and its owner, who alone hands out pointers
        // into it, is going too.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel says of the mapping that `memory` is in.
    fn flags_of(memory: &Mapping) -> Vec<String> {
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut lines = smaps.lines().skip_while(|line| {
            let range = line.split_once(' ').and_then(|(range, _)| range.split_once('-'));
            let bounds = range.and_then(|(first, end)| {
                let number = |text| usize::from_str_radix(text, 16).ok();
                Some(number(first)?..number(end)?)
            });
            !bounds.is_some_and(|bounds| bounds.contains(&(memory.start() as usize)))
        });
        let flags = lines.find_map(|line| line.strip_prefix("VmFlags: "));
        flags.expect("Linux 3.8").split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn no_child_has_a_copy_of_frames() {
        let memory = Mapping::anonymous(1 << 16, 0).unwrap();
        let flags = flags_of(&memory);
        assert!(flags.iter().any(|flag| flag == "dc"), "copied at a fork: {flags:?}");
    }
}
