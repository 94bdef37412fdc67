//! The job behind `-w`: every packet into a capture file, settled when it is really there.

use super::count::Totals;
use super::print::Printer;
use super::workers::Trouble;
use crate::exit::say;
use std::io::ErrorKind;
use std::sync::Arc;
use tickwire_capture::PortError;
use tickwire_capture::file::{Settled, Writer};
use tickwire_engine::{Control, Job};
use tickwire_frame::{Batch, Ledger, Mask};

/// Writes packets into a capture file; prints them too with `--print`.
///
/// A packet is delivered when it is whole in the file. One that is still in the writer's buffer is
/// neither delivered nor discarded; every tick and the end settle those.
pub struct WriteJob {
    writer: Option<Writer>,
    printer: Option<Printer>,
    /// A live capture ends with the statistics of its interface.
    is_live: bool,
    totals: Totals,
    trouble: Trouble,
    control: Arc<Control>,
}

impl WriteJob {
    /// Writes with `writer`, and prints with `printer` when there is one. When nothing can be
    /// written any more, says so to `trouble` and stops `control`.
    pub fn new(
        writer: Writer,
        printer: Option<Printer>,
        is_live: bool,
        totals: Totals,
        trouble: Trouble,
        control: Arc<Control>,
    ) -> Self {
        WriteJob { writer: Some(writer), printer, is_live, totals, trouble, control }
    }

    fn settle(&mut self, ledger: &mut Ledger) {
        let Some(writer) = &mut self.writer else { return };
        enter(&writer.take_settled(), ledger);
        if let Some(notice) = writer.take_notice() {
            say(format_args!("tickwire: {notice}\n"));
        }
    }

    /// Nothing can be written any more. When the reader of a pipe has gone, that is no trouble.
    #[cold]
    fn give_up(&self, error: &PortError) {
        self.control.stop();
        match error {
            PortError::System { source, .. } if source.kind() == ErrorKind::BrokenPipe => {
                self.trouble.output_closed();
            }
            error => self.trouble.set(error.to_string()),
        }
    }
}

fn enter(settled: &Settled, ledger: &mut Ledger) {
    ledger.delivered += settled.written;
    ledger.discarded += &settled.lost;
}

impl Job for WriteJob {
    fn handle(&mut self, batch: &Batch<'_>, selected: Mask, ledger: &mut Ledger) {
        if let Some(printer) = &mut self.printer {
            // The file is what counts: a packet whose line got lost has been delivered to it.
            printer.print(batch, selected);
        }
        let Some(writer) = &mut self.writer else { return };
        if let Err(error) = writer.write_batch(batch, selected) {
            self.give_up(&error);
        }
        self.settle(ledger);
    }

    fn tick(&mut self, ledger: &mut Ledger) {
        let Some(writer) = &mut self.writer else { return };
        if let Err(error) = writer.flush() {
            self.give_up(&error);
        }
        self.settle(ledger);
    }

    fn finish(&mut self, ledger: &mut Ledger) {
        self.tick(ledger);
        let Some(writer) = self.writer.take() else { return };
        let statistics = [self.totals.source.statistics(ledger)];
        let (settled, written) = writer.finish(if self.is_live { &statistics } else { &[] });
        enter(&settled, ledger);
        let _ = self.totals.written.set(written);
    }
}
