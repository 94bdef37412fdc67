//! ^C and SIGTERM ask the engine to stop. Should a graceful stop hang, a later one ends the process
//! at once.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tickwire_engine::Control;

/// A graceful stop takes no longer; a signal after this time kills. One that comes sooner is the
/// same request twice: `timeout -s INT` signals both the command and its process group.
const GRACE_MS_MAX: u64 = 1000;

/// What the signals have said so far.
#[derive(Clone, Debug, Default)]
pub struct Signalled {
    /// SIGINT or SIGTERM came: outputs stop waiting for a reader that takes nothing.
    pub any: Arc<AtomicBool>,
    /// SIGINT came.
    interrupt: Arc<AtomicBool>,
}

impl Signalled {
    /// Whether ^C was pressed.
    pub fn interrupted(&self) -> bool {
        self.interrupt.load(Relaxed)
    }
}

/// From now on the first SIGINT or SIGTERM stops `control`.
pub fn stop_on_signal(control: &Arc<Control>) -> io::Result<Signalled> {
    let signalled = Signalled::default();
    let (seen, control) = (signalled.clone(), Arc::clone(control));
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        let mut first = None;
        for signal in signals.forever() {
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
    Ok(signalled)
}
