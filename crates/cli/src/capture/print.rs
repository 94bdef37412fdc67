//! Packets as lines on standard output.

use super::output::Output;
use super::style::Style;
use super::workers::Trouble;
use std::sync::Arc;
use tickwire_engine::{Control, Job};
use tickwire_frame::{Batch, FRAMES_MAX, Ledger, Mask, Reason};

/// Formats the packets of a batch into one buffer, and writes that at once.
#[derive(Debug)]
pub struct Printer {
    style: Style,
    output: Output,
    text: String,
    /// Where the text of each packet of the batch ends.
    ends: [usize; FRAMES_MAX],
    /// Why nothing is printed any more.
    closed: Option<Reason>,
    trouble: Trouble,
}

/// What became of the lines of a batch.
#[derive(Debug, PartialEq, Eq)]
pub struct Printed {
    /// Packets whose text is out, whole.
    pub whole: u64,
    /// The others, and why.
    pub lost: Option<(Reason, u64)>,
}

impl Printer {
    /// Prints in `style` to `output`. Errors that somebody should read go to `trouble`.
    pub fn new(style: Style, output: Output, trouble: Trouble) -> Self {
        let (text, ends) = (String::new(), [0; FRAMES_MAX]);
        Printer { style, output, text, ends, closed: None, trouble }
    }

    /// Prints the `selected` packets of `batch`.
    pub fn print(&mut self, batch: &Batch<'_>, selected: Mask) -> Printed {
        let wanted = selected.count() as u64;
        if let Some(reason) = self.closed {
            return Printed { whole: 0, lost: Some((reason, wanted)) };
        }
        self.text.clear();
        let mut count = 0;
        for frame in batch.select(selected) {
            self.style.write(&mut self.text, batch.link, &frame);
            self.ends[count] = self.text.len();
            count += 1;
        }
        let Err(stuck) = self.output.write(self.text.as_bytes()) else {
            return Printed { whole: wanted, lost: None };
        };
        self.closed = Some(stuck.reason);
        match stuck.error {
            Some(error) => self.trouble.set(format!(
                "cannot write to standard output: {error}; the packets from there on are discarded"
            )),
            None if stuck.reason == Reason::OutputClosed => self.trouble.output_closed(),
            None => {}
        }
        let whole = self.ends[..count].iter().filter(|&&end| end <= stuck.written).count() as u64;
        Printed { whole, lost: Some((stuck.reason, wanted - whole)) }
    }

    /// Whether nothing is printed any more.
    pub fn is_closed(&self) -> bool {
        self.closed.is_some()
    }
}

/// The job that prints: a packet is delivered when its line is out. When nobody reads the lines
/// any more, the engine is stopped.
pub struct PrintJob {
    printer: Printer,
    control: Arc<Control>,
}

impl PrintJob {
    /// Prints with `printer`, and stops `control` when that is no longer possible.
    pub fn new(printer: Printer, control: Arc<Control>) -> Self {
        PrintJob { printer, control }
    }
}

impl Job for PrintJob {
    fn handle(&mut self, batch: &Batch<'_>, selected: Mask, ledger: &mut Ledger) {
        let printed = self.printer.print(batch, selected);
        ledger.delivered += printed.whole;
        if let Some((reason, count)) = printed.lost {
            ledger.discard(reason, count);
        }
        if self.printer.is_closed() {
            self.control.stop();
        }
    }
}
