//! Links: a program attached to an interface or a tracepoint for as long as a descriptor is open.
//!
//! A link goes with the process that holds it, also after SIGKILL, and never takes the place of a
//! program that somebody else has attached: the kernel answers EBUSY or EEXIST then.

use super::Program;
use super::sys::{Attr, Command, bpf, bpf_fd};
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// Where in the receive path the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum AttachMode {
    /// In the kernel's generic receive path, after a socket buffer was made: any interface.
    Generic = 1 << 1,
    /// In the driver, before a socket buffer is made.
    Native = 1 << 2,
}

/// A program attached to an interface. Dropping it detaches the program, before `drop` returns.
#[derive(Debug)]
pub struct XdpLink {
    fd: OwnedFd,
}

/// `BPF_XDP` of `enum bpf_attach_type`.
const ATTACH_TYPE_XDP: u32 = 37;

#[repr(C)]
struct CreateAttr {
    program_fd: u32,
    target_ifindex: u32,
    attach_type: u32,
    flags: u32,
}

// SAFETY: the head of the BPF_LINK_CREATE part of `union bpf_attr`; no pointers, no padding.
unsafe impl Attr for CreateAttr {}

#[repr(C)]
struct UpdateAttr {
    link_fd: u32,
    new_program_fd: u32,
    flags: u32,
    old_program_fd: u32,
}

// SAFETY: the BPF_LINK_UPDATE part of `union bpf_attr`; no pointers, no padding.
unsafe impl Attr for UpdateAttr {}

#[repr(C)]
struct DetachAttr {
    link_fd: u32,
}

// SAFETY: the BPF_LINK_DETACH part of `union bpf_attr`; no pointers, no padding.
unsafe impl Attr for DetachAttr {}

#[repr(C)]
struct TracepointAttr {
    name: u64,
    program_fd: u32,
    zero: u32,
}

// SAFETY: the BPF_RAW_TRACEPOINT_OPEN part of `union bpf_attr`. `TracepointLink::attach` alone
// fills it, with a pointer to a text that ends with a zero.
unsafe impl Attr for TracepointAttr {}

/// A program attached to a tracepoint of the kernel, whose arguments it gets as they are: one u64
/// each. It runs in all network namespaces, after the programs of others there. Dropping it
/// detaches the program.
#[derive(Debug)]
pub struct TracepointLink {
    _fd: OwnedFd,
}

impl TracepointLink {
    /// Attaches `program`, loaded for [`Place::Tracepoint`](super::program::Place), to the
    /// tracepoint `name`.
    ///
    /// # Errors
    /// ENOENT: this kernel has no such tracepoint. EINVAL: the program reads more arguments than it
    /// has. EPERM without CAP_BPF and CAP_PERFMON.
    pub fn attach(program: &Program, name: &CStr) -> io::Result<TracepointLink> {
        let mut attr = TracepointAttr {
            name: name.as_ptr() as u64,
            program_fd: program.as_fd().as_raw_fd() as u32,
            zero: 0,
        };
        Ok(TracepointLink { _fd: bpf_fd(Command::RawTracepointOpen, &mut attr)? })
    }
}

impl XdpLink {
    /// Attaches `program` to the interface with index `ifindex`, in the network namespace of the
    /// calling thread.
    ///
    /// # Errors
    /// EBUSY or EEXIST: another program is attached. EOPNOTSUPP: the driver has no native XDP.
    /// ERANGE: the MTU is too large for a program without fragments. ENODEV, EPERM.
    pub fn attach(program: &Program, ifindex: u32, mode: AttachMode) -> io::Result<XdpLink> {
        let mut attr = CreateAttr {
            program_fd: program.as_fd().as_raw_fd() as u32,
            target_ifindex: ifindex,
            attach_type: ATTACH_TYPE_XDP,
            flags: mode as u32,
        };
        Ok(XdpLink { fd: bpf_fd(Command::LinkCreate, &mut attr)? })
    }

    /// Puts `program` in the place of the attached one; no packet passes in between.
    pub fn update(&self, program: &Program) -> io::Result<()> {
        let mut attr = UpdateAttr {
            link_fd: self.fd.as_raw_fd() as u32,
            new_program_fd: program.as_fd().as_raw_fd() as u32,
            flags: 0,
            old_program_fd: 0,
        };
        bpf(Command::LinkUpdate, &mut attr).map(drop)
    }

    /// Detaches the program now; the descriptor stays open and is of no more use.
    pub fn detach(&self) -> io::Result<()> {
        let mut attr = DetachAttr { link_fd: self.fd.as_raw_fd() as u32 };
        bpf(Command::LinkDetach, &mut attr).map(drop)
    }
}

impl Drop for XdpLink {
    /// Closing the descriptor would do, but the kernel takes its time then.
    fn drop(&mut self) {
        // What fails here, closing does a moment later.
        let _ = self.detach();
    }
}
