//! Network namespaces without a name.
//!
//! A [`Namespace`] is held by a file descriptor alone: no name under `/run/netns`, no bind mount.
//! When the last descriptor, socket and thread in it are gone, the kernel takes it down with every
//! interface in it, and that is so after SIGKILL too.

use crate::error::{LabError, Tried};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

/// `OPEN_TREE_CLONE` and `MOVE_MOUNT_F_EMPTY_PATH` of linux/mount.h.
const OPEN_TREE_CLONE: libc::c_int = 1;
const MOVE_EMPTY_PATH: libc::c_int = 4;

/// A private network namespace.
///
/// Threads enter it with [`run`](Self::run), child processes with [`spawn`](Self::spawn). A socket
/// stays in the namespace it was made in, whichever thread uses it later:
///
/// ```no_run
/// let namespace = tickwire_lab::Namespace::new()?;
/// let socket = namespace.run(|| std::net::UdpSocket::bind("0.0.0.0:5000"))?;
/// // `socket` is bound in the private namespace; the host's port 5000 is not touched.
/// # drop(socket);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Namespace {
    fd: OwnedFd,
}

impl Namespace {
    /// Makes an empty one: only a loopback interface, which is down.
    ///
    /// # Errors
    /// EPERM without CAP_SYS_ADMIN.
    pub fn new() -> Result<Self, LabError> {
        // The calling thread must not change its namespace, so a helper thread does and ends.
        let made = std::thread::scope(|scope| scope.spawn(unshare).join());
        let file = made.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok(Namespace { fd: file.tried(|| "make a network namespace".into())?.into() })
    }

    /// The descriptor that holds the namespace, as setns(2) and IFLA_NET_NS_FD take it.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Another handle to the same namespace.
    ///
    /// # Errors
    /// When the system is out of descriptors.
    pub fn try_clone(&self) -> Result<Self, LabError> {
        let fd = self.fd.try_clone().tried(|| "open a network namespace again".into())?;
        Ok(Namespace { fd })
    }

    /// Moves the calling thread in, for good.
    ///
    /// # Errors
    /// EPERM when the thread has no CAP_SYS_ADMIN (any more).
    pub fn enter(&self) -> Result<(), LabError> {
        move_into_link_name_space(self.fd(), Some(LinkNameSpaceType::Network))
            .tried(|| "enter a network namespace".into())
    }

    /// Runs `job` on a thread of its own inside the namespace and returns what it returned. Panics
    /// propagate.
    ///
    /// # Panics
    /// When the process gave up CAP_SYS_ADMIN since the namespace was made, and when `job` does.
    pub fn run<T: Send>(&self, job: impl FnOnce() -> T + Send) -> T {
        let inside = || {
            self.enter().unwrap_or_else(|error| panic!("{error}"));
            job()
        };
        let result = std::thread::scope(|scope| scope.spawn(inside).join());
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Starts a program inside the namespace, with a `/sys` that shows the namespace's interfaces
    /// where that may be mounted. `/sys/fs/bpf` is the one outside, so that what is pinned there
    /// outlives the program.
    ///
    /// The child is killed when the *thread* that called this ends, so that it cannot survive us,
    /// even after SIGKILL.
    ///
    /// # Errors
    /// As [`Command::spawn`]; EPERM without CAP_SYS_ADMIN.
    pub fn spawn(&self, mut command: Command) -> Result<Child, LabError> {
        let namespace = self.fd.as_raw_fd();
        let parent = rustix::process::getpid().as_raw_nonzero().get();
        // SAFETY: between fork and exec `enter_child` makes system calls only: it allocates
        // nothing, takes no lock, and the descriptor it uses was open at the fork.
        unsafe { command.pre_exec(move || enter_child(namespace, parent)) };
        let program = command.get_program().to_string_lossy().into_owned();
        command.spawn().map_err(|source| {
            let missing = source.kind() == io::ErrorKind::NotFound;
            let error = LabError::new(format!("start {program} in a namespace"), source);
            if missing { error.cure(format!("install {program}")) } else { error }
        })
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd()
    }
}

/// Leaves the namespace of the process for a new one and opens that.
fn unshare() -> io::Result<File> {
    // SAFETY: only `UnshareFlags::FILES` is dangerous, because it makes descriptors thread-local.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }?;
    File::open("/proc/thread-self/ns/net")
}

/// What a child does between fork and exec: dies with its parent, enters the namespace, and
/// mounts the `/sys` of that namespace for itself, with what is mounted at `/sys/fs/bpf` outside.
fn enter_child(namespace: RawFd, parent: libc::pid_t) -> io::Result<()> {
    // SAFETY: plain system calls; every pointer is a literal C string or null where the call
    // takes null.
    unsafe {
        if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
            return Err(io::Error::last_os_error());
        }
        // The parent may have died between the fork and the line above.
        if libc::getppid() != parent {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        if libc::setns(namespace, libc::CLONE_NEWNET) != 0 {
            return Err(io::Error::last_os_error());
        }
        // Some containers forbid this; then tools see the host's /sys, as `nsenter -n` shows it.
        if libc::unshare(libc::CLONE_NEWNS) == 0 {
            let (none, sys) = (c"none".as_ptr(), c"/sys".as_ptr());
            let slave = libc::MS_SLAVE | libc::MS_REC;
            let root = c"/".as_ptr();
            if libc::mount(none, root, std::ptr::null(), slave, std::ptr::null()) == 0 {
                let pins = c"/sys/fs/bpf".as_ptr();
                let clone = OPEN_TREE_CLONE | libc::O_CLOEXEC;
                let outside = libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, pins, clone);
                libc::mount(none, sys, c"sysfs".as_ptr(), 0, std::ptr::null());
                let (here, itself) = (libc::AT_FDCWD, c"".as_ptr());
                // Without the file system of eBPF outside, there is none inside.
                libc::syscall(libc::SYS_move_mount, outside, itself, here, pins, MOVE_EMPTY_PATH);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::require_root;

    #[test]
    fn the_caller_stays_where_it_was_and_the_job_is_elsewhere() {
        require_root!("the_caller_stays_where_it_was_and_the_job_is_elsewhere");
        let identity = || std::fs::read_link("/proc/thread-self/ns/net").unwrap();
        let before = identity();
        let namespace = Namespace::new().unwrap();
        let inside = namespace.run(identity);
        assert_ne!(before, inside);
        assert_eq!(inside, namespace.run(identity));
        assert_eq!(before, identity());
    }

    #[test]
    fn panics_of_the_job_reach_the_caller() {
        require_root!("panics_of_the_job_reach_the_caller");
        let namespace = Namespace::new().unwrap();
        let run = std::panic::AssertUnwindSafe(|| namespace.run(|| panic!("as planned")));
        let panic = std::panic::catch_unwind(run).unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"as planned"));
    }

    #[test]
    fn children_see_only_the_namespace() {
        require_root!("children_see_only_the_namespace");
        let namespace = Namespace::new().unwrap();
        let mut command = Command::new("cat");
        command.arg("/proc/net/dev").stdout(std::process::Stdio::piped());
        let output = namespace.spawn(command).unwrap().wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let names: Vec<_> = text.lines().skip(2).map(|line| line.split(':').next()).collect();
        assert_eq!(names.len(), 1, "{text}");
        assert_eq!(names[0].map(str::trim), Some("lo"));
    }

    /// What a child pins is there when it has ended.
    #[test]
    fn children_share_the_file_system_of_ebpf() {
        require_root!("children_share_the_file_system_of_ebpf");
        let pins = std::path::Path::new("/sys/fs/bpf");
        if rustix::fs::statfs(pins).map_or(0, |found| found.f_type as u32) != 0xcafe_4a11 {
            eprintln!("SKIPPED: no file system of type bpf at /sys/fs/bpf (mount one)");
            return;
        }
        let folder = pins.join(format!("test_lab_{}", std::process::id()));
        let mut command = Command::new("mkdir");
        command.arg(&folder);
        let status = Namespace::new().unwrap().spawn(command).unwrap().wait().unwrap();
        let removed = std::fs::remove_dir(&folder);
        assert!(status.success() && removed.is_ok(), "{removed:?}");
    }

    #[test]
    fn a_missing_program_is_named() {
        require_root!("a_missing_program_is_named");
        let namespace = Namespace::new().unwrap();
        let error = namespace.spawn(Command::new("no-such-program")).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("no-such-program") && text.contains("install"), "{text}");
    }
}
