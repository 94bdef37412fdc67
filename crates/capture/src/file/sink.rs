//! Where the bytes of a written capture go: a file that can be cut back, or a stream that cannot.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat, ftruncate};
use std::fs::File;
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A stream that takes nothing is asked again this often, to see a request to stop.
const STREAM_POLL_MS: u64 = 100;
/// After a request to stop, a stream that takes nothing is given up after this many of those.
const STREAM_POLLS_AFTER_STOP_MAX: u32 = 5;
/// So many bytes never block once poll(2) says that a pipe has room: PIPE_BUF of Linux.
const PIPE_BYTES_MAX: usize = 4096;

#[derive(Debug)]
pub(super) struct Sink {
    file: File,
    is_regular: bool,
    /// Offset of the end of what is to stay; only for a regular file.
    end: u64,
    /// Bytes written here and not cut back.
    written: u64,
}

impl Sink {
    /// Creates the file, or empties it when it is there.
    pub(super) fn create(path: &Path) -> io::Result<Sink> {
        Self::from_file(File::create(path)?)
    }

    /// Standard output, through a duplicate of its descriptor.
    pub(super) fn stdout() -> io::Result<Sink> {
        Self::from_file(File::from(io::stdout().as_fd().try_clone_to_owned()?))
    }

    fn from_file(mut file: File) -> io::Result<Sink> {
        let is_regular = FileType::from_raw_mode(fstat(&file)?.st_mode) == FileType::RegularFile;
        let mut end = 0;
        if is_regular {
            // Standard output may be a file that has something in it already.
            let is_append = fcntl_getfl(&file)?.contains(OFlags::APPEND);
            end = file.seek(if is_append { SeekFrom::End(0) } else { SeekFrom::Current(0) })?;
        }
        Ok(Sink { file, is_regular, end, written: 0 })
    }

    /// Whether it can be cut back.
    pub(super) fn is_regular(&self) -> bool {
        self.is_regular
    }

    /// Bytes written and kept.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Writes as much of `bytes` as can be written. Returns how much that was, and the error that
    /// kept the rest out. A stream may take its time until `stop` is set.
    pub(super) fn write(&mut self, bytes: &[u8], stop: &AtomicBool) -> (usize, io::Result<()>) {
        let mut done = 0;
        let mut waits_left = STREAM_POLLS_AFTER_STOP_MAX;
        while done < bytes.len() {
            match self.write_some(&bytes[done..]) {
                Ok(0) => return (done, Err(ErrorKind::WriteZero.into())),
                Ok(count) => done += count,
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock if !stop.load(Ordering::Relaxed) => {}
                    ErrorKind::WouldBlock if waits_left > 0 => waits_left -= 1,
                    _ => return (done, Err(error)),
                },
            }
        }
        (done, Ok(()))
    }

    fn write_some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_regular {
            return self.file.write(bytes);
        }
        let timeout = Timespec { tv_sec: 0, tv_nsec: STREAM_POLL_MS as i64 * 1_000_000 };
        let mut fds = [PollFd::new(&self.file, PollFlags::OUT)];
        if poll(&mut fds, Some(&timeout))? == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        match self.file.write(&bytes[..bytes.len().min(PIPE_BYTES_MAX)]) {
            // Of a descriptor that somebody made non-blocking, and with less room than that.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(1));
                Err(ErrorKind::Interrupted.into())
            }
            result => result,
        }
    }

    /// Keeps the first `whole` of the `done` bytes that the last write put in: a regular file is
    /// cut back there.
    pub(super) fn keep(&mut self, whole: usize, done: usize) -> io::Result<()> {
        self.written += whole as u64;
        self.end += whole as u64;
        if self.is_regular && whole < done {
            ftruncate(&self.file, self.end)?;
            self.file.seek(SeekFrom::Start(self.end))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::OwnedFd;

    fn pipe() -> (io::PipeReader, Sink) {
        let (reader, writer) = io::pipe().expect("a pipe");
        (reader, Sink::from_file(File::from(OwnedFd::from(writer))).expect("stat"))
    }

    #[test]
    fn a_stalled_reader_is_given_up_after_a_request_to_stop() {
        let (_reader, mut sink) = pipe();
        let (done, result) = sink.write(&vec![0; 1 << 20], &AtomicBool::new(true));
        assert_eq!(result.expect_err("nobody reads").kind(), ErrorKind::WouldBlock);
        assert!(done < 1 << 20);
    }

    #[test]
    fn a_slow_reader_gets_everything() {
        let (mut reader, mut sink) = pipe();
        let bytes: Vec<u8> = (0..1 << 20).map(|i: u32| (i % 251) as u8).collect();
        let expected = bytes.clone();
        let thread = std::thread::spawn(move || {
            let mut got = Vec::new();
            reader.read_to_end(&mut got).expect("bytes");
            got
        });
        let (done, result) = sink.write(&bytes, &AtomicBool::new(false));
        result.expect("a reader");
        assert_eq!(done, bytes.len());
        drop(sink);
        assert_eq!(thread.join().expect("no panic"), expected);
    }

    #[test]
    fn a_reader_that_left_is_an_error() {
        let (reader, mut sink) = pipe();
        drop(reader);
        let (_, result) = sink.write(&[0; 10], &AtomicBool::new(false));
        assert_eq!(result.expect_err("nobody reads").kind(), ErrorKind::BrokenPipe);
    }
}
