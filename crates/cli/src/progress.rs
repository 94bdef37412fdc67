//! What a person at a terminal sees while nothing else is printed: a bar with the rate for a file,
//! a line of counts for anything else. On standard error, and only on a terminal. And what ports
//! have to say while they run, such as that an interface is gone: always, on standard error.

use crate::exit::say;
use crate::units::{grouped, scaled};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, stderr, stdout};
use std::time::{Duration, Instant};
use tickwire_capture::file::Progress;
use tickwire_engine::Engine;

/// How often the line is drawn.
const REDRAW_MS: u64 = 50;
/// Runs shorter than this show nothing.
const QUIET_MS: u64 = 300;

/// Whether to show progress: on a terminal, unless packet lines go to one.
pub fn is_wanted(prints_lines: bool) -> bool {
    stderr().is_terminal() && !(prints_lines && stdout().is_terminal())
}

/// Follows `engine` until it has ended, says what its ports report, and, if `show`, how far it is.
/// `file` knows how far the file is read; `follow` is called every now and then.
pub fn watch(engine: &Engine, file: Option<&Progress>, show: bool, mut follow: impl FnMut()) {
    let started = Instant::now();
    let total = file.and_then(Progress::total_bytes);
    let mut bar = None;
    while engine.is_running() {
        engine.wait(Duration::from_millis(REDRAW_MS));
        follow();
        say_notices(engine, bar.as_ref());
        if !show || started.elapsed() < Duration::from_millis(QUIET_MS) {
            continue;
        }
        let bar = bar.get_or_insert_with(|| new_bar(total));
        if let Some(file) = file {
            bar.set_position(file.bytes_read());
        }
        bar.set_message(message(engine, started.elapsed()));
        bar.tick();
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    say_notices(engine, None);
}

/// The bar of a command that reads a file on its own, without an engine.
pub struct FileBar {
    file: Progress,
    bar: Option<ProgressBar>,
    show: bool,
    /// When it may be drawn next.
    next: Instant,
}

impl FileBar {
    /// Of `file`, from now on; shown on a terminal only.
    pub fn new(file: Progress) -> FileBar {
        let next = Instant::now() + Duration::from_millis(QUIET_MS);
        FileBar { file, bar: None, show: is_wanted(false), next }
    }

    /// Draws it with what `message` says, if it is time to; cheap otherwise.
    pub fn follow(&mut self, message: impl FnOnce() -> String) {
        if !self.show || Instant::now() < self.next {
            return;
        }
        self.next = Instant::now() + Duration::from_millis(REDRAW_MS);
        let bar = self.bar.get_or_insert_with(|| new_bar(self.file.total_bytes()));
        bar.set_position(self.file.bytes_read());
        bar.set_message(message());
        bar.tick();
    }
}

impl Drop for FileBar {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// One line each, above the progress line when there is one.
fn say_notices(engine: &Engine, bar: Option<&ProgressBar>) {
    for notice in engine.take_notices() {
        let line = format!("tickwire: {notice}\n");
        match bar {
            Some(bar) => bar.suspend(|| say(line)),
            None => say(line),
        }
    }
}

fn message(engine: &Engine, elapsed: Duration) -> String {
    let ledger = engine.ledger();
    let rate = scaled(ledger.received as f64 / elapsed.as_secs_f64());
    let mut text = format!("{} packets, {rate}/s", grouped(ledger.received));
    let discarded = ledger.discarded.total();
    if discarded > 0 {
        text.push_str(&format!(", {} discarded", grouped(discarded)));
    }
    text
}

fn new_bar(total: Option<u64>) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => (ProgressBar::new(total), "{bar:30} {percent:>3} %  {msg}  {eta} left"),
        None => (ProgressBar::new_spinner(), "{spinner} {elapsed}  {msg}"),
    };
    let style = ProgressStyle::with_template(template).expect("a constant template");
    bar.with_style(style.progress_chars("━╸─"))
}
