//! The account of a sender: one object for scripts, one table for people, from the same numbers.

use super::distribution::Spread;
use super::job::{Done, Shared};
use super::schedule::{Rate, Schedule};
use crate::capture::SummaryFormat;
use crate::completions::print_all;
use crate::exit::{Ended, Failure, say};
use crate::table::{count, counts, line, reasons, rounded};
use crate::units::scaled;
use serde::Serialize;
use serde_json::{Map, Value};
use std::fmt;
use tickwire_engine::Outcome;
use tickwire_frame::{Ledger, Reason};

/// What became of every packet that was to be sent, how fast and how late they left.
#[derive(Debug, Serialize)]
pub struct SendSummary {
    /// `udp`, `af_packet`, `af_xdp`.
    port: &'static str,
    mode: String,
    /// Where packets went, for people.
    to: String,
    /// Packets that were due, or read from the file.
    received: u64,
    /// Those that the filter selected.
    selected: u64,
    /// Packets that were sent.
    delivered: u64,
    /// Reason → packets, none with 0.
    discarded: Map<String, Value>,
    /// `received − delivered − Σ discarded`: 0.
    difference: i64,
    /// From the start to the last packet.
    seconds: f64,
    /// Bytes that were handed over: payloads or frames.
    sent_bytes: u64,
    /// Packets a second that were asked for; left out when that was no constant rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_asked_pps: Option<f64>,
    /// Packets a second that were reached: intervals between the first and the last.
    rate_pps: f64,
    rate_bps: f64,
    cpu_seconds: f64,
    /// From the time a packet was due to the return of the call that sent it; left out when all
    /// was due at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    lateness_ns: Option<Spread>,
    /// What the system said, and how often.
    answers: Map<String, Value>,
    /// What the source of the packets has to say: name → count, none with 0.
    #[serde(flatten)]
    notes: Map<String, Value>,
    /// What ended the run early.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip)]
    ledger: Ledger,
    /// What `received` is called in the table.
    #[serde(skip)]
    source_word: &'static str,
}

impl SendSummary {
    /// The account of a run to `to`; `schedule` when there was one. Packets were `source_word`:
    /// `generated`, `read`.
    pub fn new(
        source_word: &'static str,
        outcome: &Outcome,
        shared: &Shared,
        to: String,
        schedule: Option<Schedule>,
    ) -> Self {
        let ledger = outcome.ledger.clone();
        let nothing = Done::default();
        let done = shared.done().unwrap_or(&nothing);
        let seconds = done.last_ns as f64 / 1e9;
        let per_second = |count: f64| if seconds > 0.0 { (count / seconds).round() } else { 0.0 };
        let asked = schedule.and_then(|schedule| match schedule.rate() {
            Rate::Pps(rate) => Some(rate),
            Rate::Max => None,
        });
        // With a rate the last packet ends an interval and begins none.
        let sent = ledger.delivered as f64;
        let intervals = if asked.is_some() { (sent - 1.0).max(0.0) } else { sent };
        let error = shared.error().map(str::to_owned);
        SendSummary {
            port: done.mode.port,
            mode: done.mode.mode.clone(),
            to,
            received: ledger.received,
            selected: ledger.selected,
            delivered: ledger.delivered,
            discarded: counts(&ledger.discarded),
            difference: ledger.difference(),
            seconds: (seconds * 1e6).round() / 1e6,
            sent_bytes: done.sent_bytes,
            rate_asked_pps: asked,
            rate_pps: per_second(intervals),
            rate_bps: per_second(done.sent_bytes as f64 * 8.0 * intervals / sent.max(1.0)),
            cpu_seconds: rounded(outcome.workers.iter().map(|worker| worker.cpu).sum()),
            lateness_ns: done.lateness.spread(),
            answers: done.answers.iter().map(|(name, n)| (name.clone(), (*n).into())).collect(),
            notes: Map::new(),
            error: error.or_else(|| outcome.error.as_ref().map(ToString::to_string)),
            ledger,
            source_word,
        }
    }

    /// Adds what the source of the packets has to say; nothing when `count` is 0.
    pub fn note(&mut self, name: &str, count: u64) {
        if count > 0 {
            self.notes.insert(name.to_owned(), count.into());
        }
    }

    /// Shows it, and says how it all ended.
    pub fn conclude(&self, format: SummaryFormat, interrupted: bool) -> Result<Ended, Failure> {
        match format {
            SummaryFormat::Json => {
                let object = serde_json::to_string(self).expect("only string keys");
                print_all(format!("{object}\n").as_bytes())?;
            }
            SummaryFormat::Text => say(self),
        }
        self.ended(interrupted)
    }

    /// How it all ended.
    pub fn ended(&self, interrupted: bool) -> Result<Ended, Failure> {
        if let Some(error) = &self.error {
            return Err(Failure::failed(error));
        }
        if self.delivered == 0 && self.received > 0 {
            return Err(Failure::failed(self.why_nothing()));
        }
        Ok(if interrupted { Ended::Interrupted } else { Ended::Done })
    }

    /// Why not one packet was sent, in a sentence.
    fn why_nothing(&self) -> String {
        let named = self.ledger.discarded.nonzero().max_by_key(|&(_, count)| count);
        let why = named.map_or("", |(reason, _)| Reason::meaning(reason));
        let said = self.answers.keys().next().map(|said| format!(" ({said})")).unwrap_or_default();
        format!("not one packet left. {why}{said} The counts above say more.")
    }
}

impl fmt::Display for SendSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        line(f, "port", format_args!("{} ({}) to {}", self.port, self.mode, self.to))?;
        count(f, self.source_word, self.received, "")?;
        if self.ledger.discarded[Reason::NotSelected] > 0 {
            count(f, "selected", self.selected, "")?;
        }
        count(f, "sent", self.delivered, &format!("{}B", scaled(self.sent_bytes as f64)))?;
        count(f, "discarded", self.ledger.discarded.total(), "")?;
        reasons(f, &self.ledger.discarded)?;
        let verdict =
            if self.difference == 0 { "every packet is accounted for" } else { "THIS IS A BUG" };
        count(f, "difference", self.difference.unsigned_abs(), verdict)?;
        for (name, value) in self.answers.iter().chain(&self.notes) {
            let name = name.replace('_', " ");
            count(f, "", value.as_u64().unwrap_or(0), &name)?;
        }
        let asked = self.rate_asked_pps.map(|rate| format!(" of {} asked", scaled(rate)));
        let asked = asked.unwrap_or_default();
        let (pps, bps) = (scaled(self.rate_pps), scaled(self.rate_bps));
        line(f, "rate", format_args!("{pps} packets/s{asked}, {bps}bit/s"))?;
        if let Some(spread) = &self.lateness_ns {
            line(f, "lateness", format_args!("{spread}"))?;
        }
        line(f, "time", format_args!("{:.3} s, CPU {:.3} s", self.seconds, self.cpu_seconds))
    }
}
