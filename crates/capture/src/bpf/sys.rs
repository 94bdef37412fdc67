//! The bpf(2) system call. The kernel's `union bpf_attr` is one structure per command here.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Commands (`enum bpf_cmd`).
#[derive(Clone, Copy, Debug)]
#[repr(i32)]
pub(super) enum Command {
    MapCreate = 0,
    MapLookup = 1,
    MapUpdate = 2,
    MapDelete = 3,
    ProgramLoad = 5,
    ObjectPin = 6,
    ObjectGet = 7,
    ProgramTestRun = 10,
    ProgramFdById = 13,
    InfoByFd = 15,
    RawTracepointOpen = 17,
    MapLookupBatch = 24,
    LinkCreate = 28,
    LinkUpdate = 29,
    LinkDetach = 34,
}

/// A structure that begins as `union bpf_attr` does for one command.
///
/// # Safety
/// The type is `repr(C)`, without padding, laid out as the kernel expects for the commands that it
/// is used with, and every pointer in it is valid for what the kernel does with it.
pub(super) unsafe trait Attr {}

/// Calls bpf(2). Returns the kernel's non-negative answer.
pub(super) fn bpf<A: Attr>(command: Command, attr: &mut A) -> io::Result<i32> {
    // SAFETY: `attr` is a live, exclusively borrowed structure of the given size; by the contract
    // of `Attr` it matches the command and its pointers are valid.
    let answer = unsafe {
        libc::syscall(libc::SYS_bpf, command as i32, std::ptr::from_mut(attr), size_of::<A>())
    };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer as i32) }
}

/// Calls bpf(2) for a command that answers with a new descriptor (close-on-exec by definition).
pub(super) fn bpf_fd<A: Attr>(command: Command, attr: &mut A) -> io::Result<OwnedFd> {
    let fd = bpf(command, attr)?;
    // SAFETY: the command just created this descriptor and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[repr(C)]
struct InfoAttr {
    fd: u32,
    length: u32,
    info: u64,
}

// SAFETY: the BPF_OBJ_GET_INFO_BY_FD part of `union bpf_attr`. `info` alone fills it, with a
// pointer to a live array and its length.
unsafe impl Attr for InfoAttr {}

/// What the kernel tells of a map, program or link, as far as `bytes` has room: the rest stays.
pub(super) fn info(fd: BorrowedFd<'_>, bytes: &mut [u8]) -> io::Result<()> {
    let mut attr = InfoAttr {
        fd: fd.as_raw_fd() as u32,
        length: bytes.len() as u32,
        info: bytes.as_mut_ptr() as u64,
    };
    bpf(Command::InfoByFd, &mut attr).map(drop)
}

/// `name` as the kernel wants it: at most 15 bytes of `[A-Za-z0-9_.]`, then zeros.
pub(super) fn object_name(name: &str) -> [u8; 16] {
    let mut bytes = [0; 16];
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'.';
    for (slot, byte) in bytes[..15].iter_mut().zip(name.bytes()) {
        *slot = if allowed(byte) { byte } else { b'_' };
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_and_cleaned() {
        assert_eq!(&object_name("tickwire rx")[..12], b"tickwire_rx\0");
        assert_eq!(object_name("a name that is too long")[15], 0);
    }
}
