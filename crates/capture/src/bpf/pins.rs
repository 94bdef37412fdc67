//! Where what has to outlive the process gets its name: a folder of our own on the file system of
//! type `bpf`. Whoever pins there removes it, too.

use std::ffi::CStr;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Where the file system is mounted by custom.
const MOUNT_POINT: &CStr = c"/sys/fs/bpf";
/// What statfs(2) says of it (`BPF_FS_MAGIC`).
const MAGIC: u32 = 0xcafe_4a11;
/// The name of our folder there.
const FOLDER: &str = "tickwire";

/// Our folder, made when it is missing, for its owner only. The file system is mounted when that
/// has not been done on this machine.
///
/// # Errors
/// Without the right to mount (CAP_SYS_ADMIN) or to make a folder; when the folder is somebody
/// else's. The text names what to do.
pub fn folder() -> io::Result<PathBuf> {
    let mount_point = Path::new("/sys/fs/bpf");
    if !is_bpf(mount_point)? {
        mount().map_err(|error| {
            let cure = "`mount -t bpf bpf /sys/fs/bpf` as root, once after each start";
            told("mount the file system of eBPF at /sys/fs/bpf", error, cure)
        })?;
    }
    let folder = mount_point.join(FOLDER);
    let made = DirBuilder::new().mode(0o700).create(&folder);
    if let Err(error) = made
        && error.kind() != io::ErrorKind::AlreadyExists
    {
        let cure = "run as root, or make it once for this user, with mode 0700";
        return Err(told(&format!("make {}", folder.display()), error, cure));
    }
    if !is_private(&folder)? {
        let what = format!("{} is not this user's alone", folder.display());
        let what = format!("{what}: remove it, or give it to this user with mode 0700");
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
    }
    Ok(folder)
}

fn is_bpf(path: &Path) -> io::Result<bool> {
    match rustix::fs::statfs(path) {
        Ok(file_system) => Ok(file_system.f_type as u32 == MAGIC),
        Err(error) => {
            let cure = "mount sysfs there, on a kernel with CONFIG_BPF_SYSCALL";
            Err(told(&format!("look at {}", path.display()), error.into(), cure))
        }
    }
}

fn is_private(folder: &Path) -> io::Result<bool> {
    let metadata = fs::symlink_metadata(folder)?;
    let owner = rustix::process::geteuid().as_raw();
    Ok(metadata.is_dir() && metadata.uid() == owner && metadata.mode() & 0o077 == 0)
}

fn mount() -> io::Result<()> {
    let (name, options) = (c"bpf".as_ptr(), c"mode=0700".as_ptr().cast());
    let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    // SAFETY: literal C strings.
    match unsafe { libc::mount(name, MOUNT_POINT.as_ptr(), name, flags, options) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn told(what: &str, error: io::Error, cure: &str) -> io::Error {
    io::Error::new(error.kind(), format!("cannot {what}: {error}: {cure}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::thread::UnshareFlags;

    fn is_root() -> bool {
        let root = rustix::process::geteuid().is_root();
        if !root {
            eprintln!("SKIPPED: /sys/fs/bpf is root's (run as root)");
        }
        root
    }

    #[test]
    fn it_is_made_once_and_for_its_owner() {
        if !is_root() {
            return;
        }
        let folder = folder().unwrap();
        assert_eq!(folder, Path::new("/sys/fs/bpf/tickwire"));
        assert_eq!(folder, super::folder().unwrap());
        assert!(is_private(&folder).unwrap() && is_bpf(&folder).unwrap());
    }

    /// On a thread with mounts of its own, where a fresh sysfs hides what is mounted there.
    #[test]
    fn what_is_not_mounted_is_mounted() {
        if !is_root() {
            return;
        }
        let inside = || {
            // SAFETY: only `UnshareFlags::FILES` is dangerous, as it makes descriptors
            // thread-local.
            unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS | UnshareFlags::FS) }
                .unwrap();
            let none = c"none".as_ptr();
            // SAFETY: literal C strings, and null where the call takes null.
            let hidden = unsafe {
                let private = libc::MS_PRIVATE | libc::MS_REC;
                let null = std::ptr::null();
                libc::mount(none, c"/".as_ptr(), null, private, null.cast()) == 0
                    && libc::mount(none, c"/sys".as_ptr(), c"sysfs".as_ptr(), 0, null.cast()) == 0
            };
            if !hidden {
                eprintln!("SKIPPED: mounting is forbidden here");
                return;
            }
            assert!(!is_bpf(Path::new("/sys/fs/bpf")).unwrap());
            let folder = folder().unwrap();
            assert!(is_bpf(&folder).unwrap());
            // One that others may enter is not taken.
            let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            fs::set_permissions(&folder, open).unwrap();
            let error = super::folder().unwrap_err().to_string();
            assert!(error.contains("tickwire") && error.contains("0700"), "{error}");
        };
        std::thread::spawn(inside).join().unwrap();
    }
}
