//! Standard output as packets need it: whole lines, one write a batch, and never stuck in a write
//! when the engine has been told to stop.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, fstat};
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tickwire_frame::Reason;

/// How long a reader that takes nothing is waited for after a stop.
const STALLED_MS_MAX: u64 = 300;
/// How long one wait for room takes.
const ROOM_WAIT_MS: i64 = 50;
/// PIPE_BUF: so much fits into a pipe that has room at all, so that writing it does not block.
const CHUNK_BYTES_MAX: usize = 4096;

/// A write that did not succeed.
#[derive(Debug)]
pub struct Stuck {
    /// How many bytes went out before.
    pub written: usize,
    /// What the packets that did not go out are discarded for.
    pub reason: Reason,
    /// What the system said; `None` when nobody needs to hear of it.
    pub error: Option<io::Error>,
}

/// Standard output, or a file in its place.
#[derive(Debug)]
pub struct Output {
    file: File,
    /// Pipes, sockets and terminals are asked for room before each chunk.
    may_block: bool,
    give_up: Arc<AtomicBool>,
}

impl Output {
    /// Standard output, through a duplicate of its descriptor. `give_up` is set when a reader that
    /// takes nothing shall not be waited for any longer.
    pub fn stdout(give_up: Arc<AtomicBool>) -> io::Result<Self> {
        Self::new(File::from(io::stdout().as_fd().try_clone_to_owned()?), give_up)
    }

    fn new(file: File, give_up: Arc<AtomicBool>) -> io::Result<Self> {
        let kind = FileType::from_raw_mode(fstat(&file)?.st_mode);
        Ok(Output { file, may_block: kind != FileType::RegularFile, give_up })
    }

    /// Writes all of `bytes`, or says how many it wrote and why not more.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Stuck> {
        let mut written = 0;
        let mut patience = Patience { give_up: Arc::clone(&self.give_up), since: None };
        while written < bytes.len() {
            let rest = &bytes[written..];
            let attempt = if self.may_block {
                self.write_chunk(&rest[..rest.len().min(CHUNK_BYTES_MAX)])
            } else {
                self.file.write(rest)
            };
            match attempt {
                Ok(count) => written += count,
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock if patience.lasts() => {}
                    ErrorKind::WouldBlock => {
                        return Err(Stuck { written, reason: Reason::Stopped, error: None });
                    }
                    _ => return Err(stuck(written, error)),
                },
            }
        }
        Ok(())
    }

    /// Waits a moment for room, then writes what surely fits.
    fn write_chunk(&mut self, chunk: &[u8]) -> io::Result<usize> {
        let timeout = Timespec { tv_sec: 0, tv_nsec: ROOM_WAIT_MS * 1_000_000 };
        let mut fds = [PollFd::new(&self.file, PollFlags::OUT)];
        match poll(&mut fds, Some(&timeout))? {
            0 => Err(ErrorKind::WouldBlock.into()),
            _ => self.file.write(chunk),
        }
    }
}

fn stuck(written: usize, error: io::Error) -> Stuck {
    match error.kind() {
        ErrorKind::BrokenPipe => Stuck { written, reason: Reason::OutputClosed, error: None },
        ErrorKind::StorageFull => Stuck { written, reason: Reason::DiskFull, error: Some(error) },
        _ => Stuck { written, reason: Reason::WriteFailed, error: Some(error) },
    }
}

/// For ever until it is time to give up, then a while.
struct Patience {
    give_up: Arc<AtomicBool>,
    since: Option<Instant>,
}

impl Patience {
    fn lasts(&mut self) -> bool {
        if !self.give_up.load(Relaxed) {
            return true;
        }
        let since = *self.since.get_or_insert_with(Instant::now);
        since.elapsed() < Duration::from_millis(STALLED_MS_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::OwnedFd;

    fn pipe() -> (io::PipeReader, Output, Arc<AtomicBool>) {
        let (reader, writer) = io::pipe().expect("a pipe");
        let give_up = Arc::new(AtomicBool::new(false));
        let file = File::from(OwnedFd::from(writer));
        (reader, Output::new(file, Arc::clone(&give_up)).expect("stat"), give_up)
    }

    #[test]
    fn everything_goes_out() {
        let (mut reader, mut output, _) = pipe();
        let text = vec![b'x'; 300_000];
        let copy = text.clone();
        let writing = std::thread::spawn(move || output.write(&copy).is_ok());
        let mut seen = Vec::new();
        reader.read_to_end(&mut seen).expect("the text");
        assert!(writing.join().expect("no panic"));
        assert_eq!(seen, text);
    }

    #[test]
    fn a_reader_that_has_gone_is_told_apart() {
        let (reader, mut output, _) = pipe();
        drop(reader);
        let stuck = output.write(b"line\n").expect_err("nobody reads");
        assert_eq!((stuck.written, stuck.reason), (0, Reason::OutputClosed));
        assert!(stuck.error.is_none());
    }

    #[test]
    fn a_stalled_reader_does_not_keep_a_stopped_engine() {
        let (_reader, mut output, give_up) = pipe();
        give_up.store(true, Relaxed);
        let begin = Instant::now();
        let stuck = output.write(&vec![b'x'; 1 << 20]).expect_err("nobody reads on");
        assert_eq!(stuck.reason, Reason::Stopped);
        assert!(stuck.written > 0 && stuck.written < 1 << 20);
        assert!(begin.elapsed() < Duration::from_secs(2));
    }

    #[test]
    fn a_full_disk_is_named() {
        let file = File::options().write(true).open("/dev/full").expect("/dev/full");
        let mut output = Output::new(file, Arc::default()).expect("stat");
        let stuck = output.write(b"line\n").expect_err("it is full");
        assert_eq!(stuck.reason, Reason::DiskFull);
        assert!(stuck.error.is_some());
    }
}
