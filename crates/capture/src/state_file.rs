//! A file of words that stay what they are when the process ends, however it ends.
//!
//! [`StateFile`] is the name of it, locked, so that no two processes have it; [`Words`] is the file
//! mapped into memory (`mmap(2)`, `MAP_SHARED`). What is stored there is the kernel's at once: it
//! outlives SIGKILL, and after [`Words::sync`] a loss of power, too. What the words mean is not
//! known here.
//!
//! A file that another program cuts while it is mapped ends this process with SIGBUS: it lies in a
//! folder, and has a mode, that keep others away.

use rustix::fs::{FlockOperation, Mode, OFlags};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::ops::Deref;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;
use thiserror::Error;

/// The longest file that is mapped.
pub const STATE_BYTES_MAX: u64 = 64 << 20;

const WORD_BYTES: usize = size_of::<AtomicU64>();

/// Why there is no state file.
#[derive(Debug, Error)]
pub enum StateFileError {
    /// Another process has it.
    #[error(
        "state file {path}: another process uses it: end that one first, or name another file",
        path = .path.display()
    )]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// Something else has its name.
    #[error(
        "state file {path}: {what}: name another file, or move this one away",
        path = .path.display()
    )]
    NotOurs {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        what: &'static str,
    },
    /// The kernel refused it.
    #[error("state file {path}: cannot {action} it: {error}: {cure}", path = .path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the kernel said.
        error: io::Error,
        /// What to do about it.
        cure: &'static str,
    },
}

/// The name of a state file, which no other process has while this value lives.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    _lock: OwnedFd,
}

impl StateFile {
    /// Takes hold of `path`, whether or not there is a file. The lock is on a file beside it that
    /// ends in `.lock` and stays there: `path` itself is replaced when it is made anew.
    ///
    /// # Errors
    /// [`StateFileError::InUse`], [`StateFileError::Refused`].
    pub fn lock(path: &Path) -> Result<Self, StateFileError> {
        let file = StateFile::of(path, |lock_path| open(lock_path, OFlags::CREATE))?;
        match rustix::fs::flock(&file._lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(file),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(StateFileError::InUse { path: path.into() }),
            Err(error) => Err(file.refused("lock", error.into())),
        }
    }

    fn of(
        path: &Path,
        lock: impl FnOnce(&Path) -> io::Result<OwnedFd>,
    ) -> Result<Self, StateFileError> {
        match lock(&beside(path, ".lock")) {
            Ok(lock) => Ok(StateFile { path: path.into(), _lock: lock }),
            Err(error) => Err(refused(path, "lock", error)),
        }
    }

    /// The words of the file, if there is one.
    ///
    /// # Errors
    /// [`StateFileError::NotOurs`] when it is no file of words, [`StateFileError::Refused`].
    pub fn open(&self) -> Result<Option<Words>, StateFileError> {
        let file = match open(&self.path, OFlags::empty()) {
            Ok(file) => File::from(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.refused("open", error)),
        };
        let metadata = file.metadata().map_err(|error| self.refused("look at", error))?;
        let not_ours = |what| Err(StateFileError::NotOurs { path: self.path.clone(), what });
        if !metadata.is_file() {
            return not_ours("it is no regular file");
        }
        let bytes = metadata.len();
        if bytes == 0 || bytes % WORD_BYTES as u64 != 0 || bytes > STATE_BYTES_MAX {
            return not_ours("it has a length that no state file has");
        }
        let words = Words::map(file, bytes as usize / WORD_BYTES);
        words.map(Some).map_err(|error| self.refused("map", error))
    }

    /// Makes the file, of `count` words that are first 0 and then what `fill` makes of them. It is
    /// there whole or not at all, in the place of one that was there before, and for its owner only
    /// (mode 0600).
    ///
    /// # Errors
    /// [`StateFileError::Refused`]; the one before is still there then.
    pub fn create(
        &self,
        count: usize,
        fill: impl FnOnce(&[AtomicU64]),
    ) -> Result<Words, StateFileError> {
        let new = beside(&self.path, ".new");
        self.write(&new, count, fill).map_err(|error| {
            let _ = fs::remove_file(&new);
            self.refused("create", error)
        })
    }

    fn write(
        &self,
        new: &Path,
        count: usize,
        fill: impl FnOnce(&[AtomicU64]),
    ) -> io::Result<Words> {
        let mut file = File::from(open(new, OFlags::CREATE | OFlags::TRUNC)?);
        // Written and not only made longer: a store into a hole of a full disk is a SIGBUS.
        file.write_all(&vec![0; count * WORD_BYTES])?;
        let words = Words::map(file, count)?;
        fill(&words);
        words.sync()?;
        fs::rename(new, &self.path)?;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(words)
    }

    fn refused(&self, action: &'static str, error: io::Error) -> StateFileError {
        refused(&self.path, action, error)
    }
}

fn refused(path: &Path, action: &'static str, error: io::Error) -> StateFileError {
    let cure = match error.kind() {
        io::ErrorKind::NotFound => "create its folder first",
        io::ErrorKind::PermissionDenied => "give this user its folder, or name another file",
        io::ErrorKind::StorageFull => "make room on its disk",

        _ => "name another file, and no symbolic link",
    };
    StateFileError::Refused { path: path.into(), action, error, cure }
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(end);
    name.into()
}

fn open(path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    Ok(rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?)
}

/// A file of words, mapped.
#[derive(Debug)]
pub struct Words {
    start: NonNull<AtomicU64>,
    count: usize,
    file: File,
}

// SAFETY: the mapping belongs to this value alone and is not tied to a thread; what is lent of it
// are atomics.
unsafe impl Send for Words {}
// SAFETY: as above.
unsafe impl Sync for Words {}

impl Words {
    /// Maps the first `count` words, which the file has.
    fn map(file: File, count: usize) -> io::Result<Self> {
        let (access, bytes) = (libc::PROT_READ | libc::PROT_WRITE, count * WORD_BYTES);
        let (shared, fd) = (libc::MAP_SHARED, file.as_raw_fd());
        // SAFETY: a new mapping at an address that the kernel chooses touches no other memory.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), bytes, access, shared, fd, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or_else(|| io::Error::other("mapped at 0"))?;
        Ok(Words { start, count, file })
    }

    /// Writes all of it to the disk. May take as long as the disk does: for the thread of the
    /// control plane.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn sync(&self) -> io::Result<()> {
        // The pages of a shared mapping are those of the file: fsync(2) writes them as well.
        self.file.sync_all()
    }
}

impl Deref for Words {
    type Target = [AtomicU64];

    #[inline]
    fn deref(&self) -> &[AtomicU64] {
        // SAFETY: the mapping begins at a page, has `count` words, any bits of which are a number,
        // and stays until this value is dropped. Whoever else has the file mapped (nobody, by the
        // lock) is another process; in this one only atomics point into it.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.count) }
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `map` with this start and length, and what was lent of it
        // borrowed this value.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.count * WORD_BYTES) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::sync::atomic::Ordering::Relaxed;

    /// A folder of its own for a test, removed at its end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let name = format!("tickwire-state-{}-{name}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir(&path).unwrap();
            Folder(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn words_are_found_again_and_replaced_whole() {
        let folder = Folder::new("again");
        let path = folder.0.join("state");
        let file = StateFile::lock(&path).unwrap();
        assert!(file.open().unwrap().is_none());
        let words = file.create(1_000, |words| words[999].store(7, Relaxed)).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        words[0].store(u64::MAX, Relaxed);
        // Two mappings of one file see the same words, synchronised or not.
        let again = file.open().unwrap().unwrap();
        assert_eq!(
            (again.len(), again[0].load(Relaxed), again[999].load(Relaxed)),
            (1_000, u64::MAX, 7)
        );
        again.sync().unwrap();
        let bytes = fs::read(&path).unwrap();
        assert_eq!((bytes.len(), &bytes[..8]), (8_000, &[0xff; 8][..]));

        let other = file.create(2, |new| new[0].store(words[999].load(Relaxed), Relaxed)).unwrap();
        words[999].store(8, Relaxed);
        assert_eq!((other[0].load(Relaxed), file.open().unwrap().unwrap().len()), (7, 2));
        assert!(!beside(&path, ".new").exists());
    }

    #[test]
    fn two_processes_cannot_have_it() {
        let folder = Folder::new("two");
        let path = folder.0.join("state");
        let first = StateFile::lock(&path).unwrap();
        let error = StateFile::lock(&path).unwrap_err().to_string();
        assert!(error.contains("another process uses it: end that one first"), "{error}");
        drop(first);
        StateFile::lock(&path).unwrap();
    }

    #[test]
    fn what_is_no_state_file_stays_as_it_is() {
        let folder = Folder::new("other");
        let path = folder.0.join("state");
        let file = StateFile::lock(&path).unwrap();
        for text in ["", "letters"] {
            fs::write(&path, text).unwrap();
            let error = file.open().unwrap_err().to_string();
            assert!(error.contains("a length that no state file has: name another"), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        fs::remove_file(&path).unwrap();
        symlink("/dev/null", &path).unwrap();
        let error = file.open().unwrap_err().to_string();
        assert!(error.contains("cannot open it: "), "{error}");
        let error = StateFile::lock(&folder.0.join("none/state")).unwrap_err().to_string();
        assert!(error.ends_with("create its folder first"), "{error}");
    }
}
