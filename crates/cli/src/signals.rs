//! ^C, SIGTERM and the end of the terminal (SIGHUP) ask the engine to stop. Should a graceful stop
//! hang, a later one ends the process at once.

use crate::exit::{Ended, Failure};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tickwire_engine::{Control, Outcome};

/// A graceful stop takes no longer; a signal after this time kills. One that comes sooner is the
/// same request twice: `timeout -s INT` signals both the command and its process group.
const GRACE_MS_MAX: u64 = 1000;

/// What SIGHUP does in place of stopping.
pub type Hangup = Box<dyn Fn() + Send>;

/// What the signals have said so far.
#[derive(Clone, Debug)]
pub struct Signalled {
    /// One came: outputs stop waiting for a reader that takes nothing.
    pub any: Arc<AtomicBool>,
    /// SIGINT came.
    interrupt: Arc<AtomicBool>,
    /// What they stop, once it is there: until then they kill.
    control: Arc<OnceLock<Arc<Control>>>,
}

impl Signalled {
    /// Whether ^C was pressed.
    pub fn interrupted(&self) -> bool {
        self.interrupt.load(Relaxed)
    }

    /// How a run ended that left this outcome.
    pub fn ended(&self, outcome: &Outcome) -> Result<Ended, Failure> {
        match &outcome.error {
            Some(error) => Err(Failure::failed(error)),
            None if self.interrupted() => Ok(Ended::Interrupted),
            None => Ok(Ended::Done),
        }
    }

    /// From now on a signal kills, also one that a shell has us ignore, as it does with ^C and what
    /// it starts in the background.
    ///
    /// With `hangup`, SIGHUP calls that and stops nothing, under nohup(1) too.
    pub fn watch(hangup: Option<Hangup>) -> Result<Signalled, Failure> {
        let signalled =
            Signalled { any: Arc::default(), interrupt: Arc::default(), control: Arc::default() };
        signalled.start(hangup).map_err(|error| {
            Failure::failed(format_args!(
                "cannot watch for signals: {error}; see `ulimit -n` and `ulimit -u`"
            ))
        })?;
        Ok(signalled)
    }

    /// From now on the first signal stops `control`. To be called when nothing is left that may
    /// wait for ever without looking at `control`, as opening a FIFO does; and while there is
    /// nothing to settle yet.
    pub fn stop(&self, control: &Arc<Control>) {
        let _ = self.control.set(Arc::clone(control));
    }

    fn start(&self, hangup: Option<Hangup>) -> io::Result<()> {
        let seen = self.clone();
        // Over the limit of `ulimit -f` a write then fails, instead of killing us in a record.
        signal_hook::flag::register(SIGXFSZ, Arc::default())?;
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        if hangup.is_some() || !is_ignored(SIGHUP) {
            signals.add_signal(SIGHUP)?;
        }
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            let mut first = None;
            for signal in signals.forever() {
                if let (SIGHUP, Some(action)) = (signal, &hangup) {
                    action();
                    continue;
                }
                let Some(control) = seen.control.get() else {
                    let _ = emulate_default_handler(signal);
                    continue;
                };
                let since: Instant = *first.get_or_insert_with(Instant::now);
                if since.elapsed() > Duration::from_millis(GRACE_MS_MAX) {
                    let _ = emulate_default_handler(signal);
                }
                if signal == SIGINT {
                    seen.interrupt.store(true, Relaxed);
                }
                seen.any.store(true, Relaxed);
                control.stop();
            }
        })?;
        Ok(())
    }
}

/// Whether we were started with this signal ignored, as nohup(1) does with SIGHUP.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    is_ignored_in(&status, signal)
}

/// The same of the text of a `/proc/PID/status` (proc_pid_status(5), SigIgn).
fn is_ignored_in(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ignored_signal_is_seen() {
        let status = "SigBlk:\t0000000000000002\nSigIgn:\t0000000000001001\n";
        assert!(is_ignored_in(status, SIGHUP));
        assert!(!is_ignored_in(status, SIGINT));
        assert!(!is_ignored_in("", SIGHUP));
    }
}
