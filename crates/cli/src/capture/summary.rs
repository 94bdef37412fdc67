//! The final account: one object for scripts, one table for people, from the same numbers.

use crate::table::{count, counts, entries, line, reasons, rounded};
use crate::units::{grouped, scaled};
use serde::Serialize;
use serde_json::{Map, Value};
use std::fmt;
use std::path::Path;
use tickwire_capture::file::WriterTotals;
use tickwire_capture::{KernelCounter, Mode};
use tickwire_engine::{Outcome, Role, WorkerOutcome};
use tickwire_frame::{Ledger, Reason};

/// What became of every packet, and how fast it went. Serialises to the object that scripts read;
/// displays as the table that people read.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// The back end: `af_xdp`, `af_packet`, `file`.
    port: &'static str,
    /// How it ran: `copy`, `tpacket_v3`, `pcap`, …
    mode: String,
    /// Why not something faster; left out when it is the fastest there is.
    #[serde(skip_serializing_if = "String::is_empty")]
    why: String,
    /// Packets that reached the port.
    received: u64,
    /// Packets that passed the filter.
    selected: u64,
    /// Packets that were counted, printed or written.
    delivered: u64,
    /// Reason → packets, none with 0.
    discarded: Map<String, Value>,
    /// `received − delivered − Σ discarded`: 0.
    difference: i64,
    /// From the first worker's start to the last one's end.
    seconds: f64,
    /// Bytes on the wire of the packets that we read.
    received_bytes: u64,
    /// `received / seconds`.
    rate_pps: f64,
    /// `8 × received_bytes / seconds`.
    rate_bps: f64,
    /// CPU time of all workers.
    cpu_seconds: f64,
    /// Fault → packets, none with 0. Left out when nothing was decoded.
    #[serde(skip_serializing_if = "Option::is_none")]
    malformed: Option<Map<String, Value>>,
    /// Protocol → packets, none with 0. Left out when nothing was decoded.
    #[serde(skip_serializing_if = "Option::is_none")]
    protocols: Option<Map<String, Value>>,
    /// The capture file that was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    written: Option<WrittenSummary>,
    /// Kernel counter → value, summed over the queues. Live captures only.
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel: Option<Map<String, Value>>,
    /// One account for each receiving worker. Live captures only.
    #[serde(skip_serializing_if = "Option::is_none")]
    queues: Option<Vec<QueueSummary>>,
    /// What ended the capture early.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// The reasons behind `discarded` and `malformed`, for the table.
    #[serde(skip)]
    ledger: Ledger,
}

/// What was written.
#[derive(Debug, Serialize)]
struct WrittenSummary {
    /// The name that was given.
    file: String,
    /// Files begun: 1 without rotation.
    files: u64,
    /// Bytes in all of them, with their headers.
    bytes: u64,
    /// Packets in files that the ring has removed since.
    rotated_away: u64,
}

/// The account of one receive queue.
#[derive(Debug, Serialize)]
struct QueueSummary {
    /// Name of the worker's thread.
    name: String,
    mode: String,
    received: u64,
    /// Handled by this worker, or handed on to the writer or printer.
    delivered: u64,
    discarded: Map<String, Value>,
    received_bytes: u64,
    cpu_seconds: f64,
    kernel: Map<String, Value>,
}

impl Summary {
    /// The account of a run over `mode`; `is_live` when it came from an interface.
    pub fn new(outcome: &Outcome, mode: &Mode, is_live: bool) -> Self {
        let ledger = outcome.ledger.clone();
        let seconds = outcome.elapsed.as_secs_f64();
        let per_second = |count: f64| if seconds > 0.0 { (count / seconds).round() } else { 0.0 };
        let sources = || outcome.workers.iter().filter(|worker| worker.role == Role::Source);
        Summary {
            port: mode.port,
            mode: mode.mode.clone(),
            why: mode.why.clone(),
            received: ledger.received,
            selected: ledger.selected,
            delivered: ledger.delivered,
            discarded: counts(&ledger.discarded),
            difference: ledger.difference(),
            seconds: rounded(outcome.elapsed),
            received_bytes: ledger.received_bytes,
            rate_pps: per_second(ledger.received as f64),
            rate_bps: per_second(ledger.received_bytes as f64 * 8.0),
            cpu_seconds: rounded(outcome.workers.iter().map(|worker| worker.cpu).sum()),
            malformed: None,
            protocols: None,
            written: None,
            kernel: is_live.then(|| kernel(sources().flat_map(|worker| &worker.kernel))),
            queues: is_live.then(|| sources().map(queue).collect()),
            error: outcome.error.as_ref().map(ToString::to_string),
            ledger,
        }
    }

    /// Adds what the decoder found.
    pub fn decoded(&mut self, protocols: impl IntoIterator<Item = (&'static str, u64)>) {
        let nonzero = protocols.into_iter().filter(|&(_, count)| count > 0);
        self.protocols = Some(nonzero.map(|(name, count)| (name.into(), count.into())).collect());
        self.malformed = Some(counts(&self.ledger.malformed));
    }

    /// Adds what was written into `file`.
    pub fn wrote(&mut self, file: &Path, totals: &WriterTotals) {
        let WriterTotals { files, bytes, rotated_away } = *totals;
        let file = file.display().to_string();
        self.written = Some(WrittenSummary { file, files, bytes, rotated_away });
    }

    /// The object as one line.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a summary has only string keys and finite numbers")
    }
}

fn queue(worker: &WorkerOutcome) -> QueueSummary {
    QueueSummary {
        name: worker.name.clone(),
        mode: worker.mode.mode.clone(),
        received: worker.ledger.received,
        delivered: worker.ledger.received - worker.ledger.discarded.total(),
        discarded: counts(&worker.ledger.discarded),
        received_bytes: worker.ledger.received_bytes,
        cpu_seconds: rounded(worker.cpu),
        kernel: kernel(&worker.kernel),
    }
}

/// The sum of the counters of the same name, in the order of their first appearance.
fn kernel<'a>(counters: impl IntoIterator<Item = &'a KernelCounter>) -> Map<String, Value> {
    let mut sums = Map::new();
    for counter in counters {
        let sum = sums.entry(counter.name.clone()).or_insert(Value::from(0u64));
        *sum = Value::from(sum.as_u64().unwrap_or(0) + counter.value);
    }
    sums
}

impl fmt::Display for WrittenSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}B", self.file, scaled(self.bytes as f64))?;
        if self.files > 1 {
            write!(f, ", {} files", grouped(self.files))?;
        }
        if self.rotated_away > 0 {
            write!(f, ", {} packets rotated away", grouped(self.rotated_away))?;
        }
        Ok(())
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = if self.why.is_empty() { String::new() } else { format!(": {}", self.why) };
        line(f, "port", format_args!("{} ({}){why}", self.port, self.mode))?;
        count(f, "received", self.received, &format!("{}B", scaled(self.received_bytes as f64)))?;
        if self.ledger.discarded[Reason::NotSelected] > 0 {
            count(f, "selected", self.selected, "")?;
        }
        count(f, "delivered", self.delivered, "")?;
        count(f, "discarded", self.ledger.discarded.total(), "")?;
        reasons(f, &self.ledger.discarded)?;
        count(f, "difference", self.difference.unsigned_abs(), self.verdict())?;
        if self.malformed.is_some() {
            count(f, "malformed", self.ledger.malformed.total(), "")?;
            reasons(f, &self.ledger.malformed)?;
        }
        entries(f, "protocols", self.protocols.as_ref())?;
        entries(f, "kernel", self.kernel.as_ref())?;
        self.queue_lines(f)?;
        if let Some(written) = &self.written {
            line(f, "written", format_args!("{written}"))?;
        }
        let (pps, bps) = (scaled(self.rate_pps), scaled(self.rate_bps));
        let time = format_args!("{:.3} s, {pps} packets/s, {bps}bit/s", self.seconds).to_string();
        line(f, "time", format_args!("{time}, CPU {:.3} s", self.cpu_seconds))
    }
}

impl Summary {
    fn verdict(&self) -> &'static str {
        if self.difference == 0 { "every packet is accounted for" } else { "THIS IS A BUG" }
    }

    fn queue_lines(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queues = self.queues.as_deref().unwrap_or_default();
        if queues.len() < 2 {
            return Ok(());
        }
        for queue in queues {
            let discarded: u64 = queue.discarded.values().filter_map(Value::as_u64).sum();
            count(f, &queue.name, queue.received, &format!("{} discarded", grouped(discarded)))?;
        }
        Ok(())
    }
}
