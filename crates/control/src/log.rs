//! A line per change on standard error. Whoever logs never waits: what the reader does not take in
//! time is lost and counted.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

/// Lines that wait for the reader; later ones are lost and counted.
pub const LOG_LINES_MAX: usize = 256;
/// Bytes of a line; the rest is cut off.
pub const LOG_LINE_BYTES_MAX: usize = 512;
/// Time that the last lines have to be written at the end.
const DRAIN_MS_MAX: u64 = 500;

/// Where lines go. Clones write to the same place.
#[derive(Clone, Debug)]
pub struct Log(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    lines: Option<SyncSender<String>>,
    lost: AtomicU64,
    /// Disconnected once the thread has written all.
    written: std::sync::Mutex<Receiver<()>>,
}

impl Log {
    /// To standard error.
    ///
    /// # Errors
    /// When there can be no other thread.
    pub fn stderr() -> std::io::Result<Log> {
        Log::to(std::io::stderr())
    }

    /// To `output`, which may block and may fail.
    ///
    /// # Errors
    /// When there can be no other thread.
    pub fn to(mut output: impl Write + Send + 'static) -> std::io::Result<Log> {
        let (sender, lines) = sync_channel::<String>(LOG_LINES_MAX);
        let (alive, written) = sync_channel::<()>(0);
        std::thread::Builder::new().name("log".into()).spawn(move || {
            for line in lines {
                // A reader that has gone is no reason to stop what is logged.
                let _ = output.write_all(line.as_bytes()).and_then(|()| output.flush());
            }
            drop(alive);
        })?;
        let lost = AtomicU64::new(0);
        Ok(Log(Arc::new(Inner { lines: Some(sender), lost, written: written.into() })))
    }

    /// Writes one line, `tickwire: control: TEXT`. Control characters in `text` are escaped, so
    /// that what a client sends cannot look like a line of its own.
    pub fn line(&self, text: &str) {
        let mut line = String::from("tickwire: control: ");
        for char in text.chars() {
            if line.len() > LOG_LINE_BYTES_MAX {
                line.push('…');
                break;
            }
            if char.is_control() { line.extend(char.escape_default()) } else { line.push(char) }
        }
        line.push('\n');
        let sender = self.0.lines.as_ref().expect("taken in drop only");
        if sender.try_send(line).is_err() {
            self.0.lost.fetch_add(1, Relaxed);
        }
    }

    /// Lines that were lost.
    pub fn lost(&self) -> u64 {
        self.0.lost.load(Relaxed)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.lines = None;
        let written = self.written.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner());
        let ended = written.recv_timeout(Duration::from_millis(DRAIN_MS_MAX));
        debug_assert!(matches!(
            ended,
            Err(RecvTimeoutError::Disconnected | RecvTimeoutError::Timeout)
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("no panic").extend(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_are_one_line_and_bounded() {
        let kept = Kept::default();
        let log = Log::to(kept.clone()).expect("a thread");
        log.line("a\nb\x1b[31m");
        log.line(&"é".repeat(1000));
        drop(log);
        let text = String::from_utf8(kept.0.lock().expect("no panic").clone()).expect("UTF-8");
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "tickwire: control: a\\nb\\u{1b}[31m");
        assert!(lines.len() == 2 && lines[1].len() < LOG_LINE_BYTES_MAX + 8);
        assert!(lines[1].ends_with('…'));
    }

    #[test]
    fn a_reader_that_takes_nothing_costs_lines_and_never_time() {
        struct Stuck(Receiver<()>);
        impl Write for Stuck {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                let _ = self.0.recv();
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let (release, stuck) = sync_channel(0);
        let log = Log::to(Stuck(stuck)).expect("a thread");
        for _ in 0..3 * LOG_LINES_MAX {
            log.line("x");
        }
        // The thread holds one line at most.
        let waiting = 3 * LOG_LINES_MAX as u64 - log.lost();
        assert!((LOG_LINES_MAX as u64..=LOG_LINES_MAX as u64 + 1).contains(&waiting));
        drop(log);
        drop(release);
    }
}
