//! Raw bytes from a file, a pipe or any reader, without ever blocking on a pipe.
//!
//! A pipe is polled before each read; when nothing is there the read says
//! [`ErrorKind::WouldBlock`], and the port reports that it is idle. The descriptor that we were
//! given keeps its flags: `O_NONBLOCK` would change it for every process that shares it.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long a reader that is no descriptor rests when it says that it would block.
const READER_REST_MS: u64 = 1;

/// How far a file has been read; readable from any thread.
#[derive(Clone, Debug)]
pub struct Progress {
    read: Arc<AtomicU64>,
    total: Option<u64>,
}

impl Progress {
    /// Bytes read from the file so far; compressed bytes when it is compressed.
    pub fn bytes_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// The size of the file in bytes when it was opened; `None` for a pipe.
    pub fn total_bytes(&self) -> Option<u64> {
        self.total
    }
}

enum From {
    /// A regular file: a read takes the time that the disk takes.
    File(File),
    /// A pipe, socket or terminal: polled before each read.
    Pipe(File),
    /// Anything else, for tests and for library users.
    Reader(Box<dyn Read + Send>),
}

/// Where the bytes of a capture come from.
pub(super) struct Input {
    from: From,
    progress: Progress,
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input").field("progress", &self.progress).finish_non_exhaustive()
    }
}

impl Input {
    /// Opens `path`. A named pipe opens at once, even when nobody writes to it yet.
    pub(super) fn open(path: &Path) -> io::Result<Input> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        Self::from_file(File::from(open(path, flags, Mode::empty())?))
    }

    /// Standard input, through a duplicate of its descriptor.
    pub(super) fn stdin() -> io::Result<Input> {
        Self::from_file(File::from(io::stdin().as_fd().try_clone_to_owned()?))
    }

    fn from_file(file: File) -> io::Result<Input> {
        let stat = fstat(&file)?;
        let (from, total) = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => return Err(ErrorKind::IsADirectory.into()),
            FileType::RegularFile => (From::File(file), Some(stat.st_size as u64)),
            FileType::BlockDevice => (From::File(file), None),
            _ => (From::Pipe(file), None),
        };
        Ok(Input { from, progress: Progress { read: Arc::default(), total } })
    }

    /// Any reader; one that says [`ErrorKind::WouldBlock`] is asked again later.
    pub(super) fn from_reader(reader: Box<dyn Read + Send>) -> Input {
        let progress = Progress { read: Arc::default(), total: None };
        Input { from: From::Reader(reader), progress }
    }

    /// Whether reading takes no longer than a disk takes.
    pub(super) fn is_regular(&self) -> bool {
        matches!(self.from, From::File(_))
    }

    pub(super) fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Sleeps until there may be bytes, at most for `timeout`.
    pub(super) fn wait(&self, timeout: Duration) -> io::Result<()> {
        match &self.from {
            From::File(_) => Ok(()),
            From::Pipe(file) => readable(file, timeout).map(|_| ()),
            From::Reader(_) => {
                std::thread::sleep(timeout.min(Duration::from_millis(READER_REST_MS)));
                Ok(())
            }
        }
    }
}

/// Whether a read would return at once: with bytes, the end or an error.
fn readable(file: &File, timeout: Duration) -> io::Result<bool> {
    let timeout = Timespec {
        tv_sec: timeout.as_secs().min(i32::MAX as u64) as i64,
        tv_nsec: timeout.subsec_nanos().into(),
    };
    let mut fds = [PollFd::new(file, PollFlags::IN)];
    match poll(&mut fds, Some(&timeout)) {
        Ok(count) => Ok(count > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

impl Read for Input {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = match &mut self.from {
            From::File(file) => file.read(bytes)?,
            From::Pipe(file) if !readable(file, Duration::ZERO)? => {
                return Err(ErrorKind::WouldBlock.into());
            }
            From::Pipe(file) => file.read(bytes)?,
            From::Reader(reader) => reader.read(bytes)?,
        };
        self.progress.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn an_empty_pipe_does_not_block() {
        let (reader, mut writer) = io::pipe().expect("a pipe");
        let reader = std::os::fd::OwnedFd::from(reader);
        let mut input = Input::from_file(File::from(reader)).expect("stat");
        let mut bytes = [0; 8];
        assert_eq!(input.read(&mut bytes).unwrap_err().kind(), ErrorKind::WouldBlock);
        input.wait(Duration::from_millis(1)).expect("poll");
        writer.write_all(b"abc").expect("room in the pipe");
        assert_eq!(input.read(&mut bytes).expect("bytes"), 3);
        assert_eq!(input.progress().bytes_read(), 3);
        assert_eq!(input.progress().total_bytes(), None);
        drop(writer);
        assert_eq!(input.read(&mut bytes).expect("the end"), 0);
    }

    #[test]
    fn a_directory_is_refused() {
        let error = Input::open(Path::new("/")).expect_err("no capture file");
        assert_eq!(error.kind(), ErrorKind::IsADirectory);
    }
}
