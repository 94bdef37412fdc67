//! The account of a measurement: one object for scripts, a table and a plot for people.

use super::args::LatencyArgs;
use super::plot::plot;
use super::tally::{Stamps, Tally};
use crate::capture::SummaryFormat;
use crate::completions::print_all;
use crate::exit::{Ended, Failure, say};
use crate::send::distribution::{Distribution, Spread};
use crate::send::job::Shared;
use crate::send::schedule::Schedule;
use crate::send::summary::SendSummary;
use crate::table::{count, line};
use crate::units::{grouped, nanos};
use rustix::termios::tcgetwinsize;
use serde::Serialize;
use std::fmt;
use std::net::SocketAddr;
use tickwire_engine::Outcome;
use tickwire_frame::Reason;

/// Columns of the plot where the terminal does not say.
const WIDTH_CHARS: usize = 80;
/// A wall clock that was set by more than this is worth a word, in nanoseconds.
const STEP_NS_MAX: u64 = 20_000;

/// What a run left behind.
pub struct Measured<'a> {
    /// The sending half.
    pub sent: &'a Outcome,
    /// What its job reported.
    pub shared: &'a Shared,
    /// The receiving half.
    pub received: &'a Outcome,
    /// How far the wall clock was set meanwhile, in nanoseconds.
    pub stepped_ns: i64,
}

/// What was sent, what arrived, and how long that took.
#[derive(Debug, Serialize)]
pub struct Report {
    /// `round_trip` or `one_way`.
    measured: &'static str,
    /// `kernel` or `user`.
    timestamps: &'static str,
    /// Packets that were sent, each to all subscribers.
    sent: u64,
    /// Packets that arrived, each counted once; of all subscribers.
    #[serde(flatten)]
    total: Counts,
    /// `100 × lost / (sent × subscribers)`.
    loss_percent: f64,
    /// Packets that were dropped here, because we read too slowly; they are among the lost.
    socket_dropped: u64,
    /// Packets that were none of ours.
    foreign: u64,
    /// Orders that are not as expected; left out unless they were looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    wrong: Option<u64>,
    /// How far the wall clock was set meanwhile, in nanoseconds; left out when it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    clock_set_ns: Option<i64>,
    /// Left out for round trips.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subscribers: Vec<Subscriber>,
    /// The account of the sending half, with its lateness.
    send: SendSummary,
    /// What ended the receiving half early.
    #[serde(skip_serializing_if = "Option::is_none")]
    receive_error: Option<String>,
    #[serde(skip)]
    times: Distribution,
}

/// What arrived at one subscriber.
#[derive(Debug, Serialize)]
struct Subscriber {
    address: SocketAddr,
    #[serde(flatten)]
    counts: Counts,
}

#[derive(Debug, Serialize)]
struct Counts {
    received: u64,
    lost: u64,
    duplicates: u64,
    reordered: u64,
    /// After one that was sent more than 65,536 later; they are among the lost.
    too_late: u64,
    /// `null` when nothing arrived.
    latency_ns: Option<Spread>,
}

impl Counts {
    fn new(tally: &Tally, sent: u64) -> Self {
        let sequence = &tally.sequence;
        Counts {
            received: sequence.unique,
            lost: sent.saturating_sub(sequence.unique),
            duplicates: sequence.duplicates,
            reordered: sequence.reordered,
            too_late: sequence.too_late,
            latency_ns: tally.latency.spread(),
        }
    }

    fn add(&mut self, other: &Counts) {
        self.received += other.received;
        self.lost += other.lost;
        self.duplicates += other.duplicates;
        self.reordered += other.reordered;
        self.too_late += other.too_late;
    }
}

impl Report {
    /// The account of what was sent `to`, and of what arrived where.
    pub fn new(
        args: &LatencyArgs,
        to: SocketAddr,
        schedule: Schedule,
        measured: &Measured<'_>,
        tallies: impl Iterator<Item = (SocketAddr, Tally)>,
    ) -> Self {
        let sent = measured.sent.ledger.delivered;
        let mut total = Counts::new(&Tally::default(), 0);
        let (mut times, mut subscribers) = (Distribution::default(), Vec::new());
        let mut wrong = 0;
        for (address, tally) in tallies {
            let counts = Counts::new(&tally, sent);
            total.add(&counts);
            times.merge(&tally.latency);
            wrong += tally.wrong;
            subscribers.push(Subscriber { address, counts });
        }
        total.latency_ns = times.spread();
        let expected = total.received + total.lost;
        let percent = 100.0 * total.lost as f64 / expected.max(1) as f64;
        let one_way = !args.subscriber.is_empty();
        if !one_way {
            subscribers.clear();
        }
        let discarded = &measured.received.ledger.discarded;
        let (source, shared) = ("generated", measured.shared);
        Report {
            measured: match (args.tick_to_trade, one_way) {
                (true, _) => "tick_to_trade",
                (false, true) => "one_way",
                (false, false) => "round_trip",
            },
            timestamps: match args.timestamps {
                Stamps::Kernel => "kernel",
                Stamps::User => "user",
            },
            sent,
            total,
            loss_percent: (percent * 1e6).round() / 1e6,
            socket_dropped: discarded[Reason::SocketDropped],
            foreign: discarded[Reason::Foreign],
            wrong: args.functional.then_some(wrong),
            clock_set_ns: Some(measured.stepped_ns)
                .filter(|stepped_ns| stepped_ns.unsigned_abs() > STEP_NS_MAX),
            subscribers,
            send: SendSummary::new(source, measured.sent, shared, to.to_string(), Some(schedule)),
            receive_error: measured.received.error.as_ref().map(ToString::to_string),
            times,
        }
    }

    /// Shows it, and says how it all ended.
    pub fn conclude(&self, format: SummaryFormat, interrupted: bool) -> Result<Ended, Failure> {
        match format {
            SummaryFormat::Json => {
                let object = serde_json::to_string(self).expect("only string keys");
                print_all(format!("{object}\n").as_bytes())?;
            }
            SummaryFormat::Text => {
                let width = tcgetwinsize(std::io::stderr()).map_or(0, |size| size.ws_col.into());
                let width = if width == 0 { WIDTH_CHARS } else { width };
                say(format_args!("{self}\n{}", plot(&self.times, width)));
            }
        }
        let ended = self.send.ended(interrupted)?;
        if let Some(error) = &self.receive_error {
            return Err(Failure::failed(error));
        }
        if self.total.received == 0 && self.sent > 0 {
            return Err(Failure::failed(match self.measured {
                "tick_to_trade" => "no order came; does `tickwire respond` listen there?",
                "one_way" => "nothing arrived; does a replicator send to the subscribers?",
                _ => "nothing came back; does `tickwire latency --reflect` run there?",
            }));
        }
        match self.wrong {
            Some(wrong @ 1..) => Err(Failure::failed(format_args!("{wrong} orders are wrong"))),
            _ => Ok(ended),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.send.fmt(f)?;
        writeln!(f)?;
        let loss = format!(
            "{} % of {}",
            self.loss_percent,
            grouped(self.total.received + self.total.lost)
        );
        count(f, "received", self.total.received, &format!("{} timestamps", self.timestamps))?;
        count(f, "lost", self.total.lost, &loss)?;
        for (label, number, note) in [
            ("duplicates", self.total.duplicates, ""),
            ("reordered", self.total.reordered, ""),
            ("too late", self.total.too_late, "after 65,536 others, among the lost"),
            ("dropped", self.socket_dropped, "here, because we read too slowly: among the lost"),
            ("foreign", self.foreign, "of another sender or run"),
        ] {
            if number > 0 || note.is_empty() {
                count(f, label, number, note)?;
            }
        }
        if let Some(wrong) = self.wrong {
            count(f, "wrong", wrong, "orders that are not as in the documented run")?;
        }
        self.subscriber_lines(f)?;
        if let Some(spread) = &self.total.latency_ns {
            let name = self.measured.replace('_', " ");
            let [min, mean, max] = [spread.min, spread.mean, spread.max].map(nanos);
            let [stdev, jitter] = [spread.stdev, spread.jitter].map(nanos);
            let spread = format_args!("deviation {stdev}, jitter {jitter}");
            line(f, &name, format_args!("min {min}, mean {mean}, max {max}, {spread}"))?;
        }
        if let Some(clock_set_ns) = self.clock_set_ns {
            let by = nanos(clock_set_ns.unsigned_abs());
            let sign = if clock_set_ns < 0 { "back" } else { "forward" };
            line(f, "CLOCK", format_args!("was set {sign} by {by} meanwhile: times are wrong"))?;
        }
        Ok(())
    }
}

impl Report {
    fn subscriber_lines(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.subscribers.is_empty() {
            return Ok(());
        }
        let addresses = self.subscribers.iter().map(|one| one.address.to_string());
        let width = addresses.map(|address| address.len()).max().unwrap_or(0).max(10);
        let heads = ["50 %", "90 %", "99 %", "99.9 %", "max"];
        write!(f, "\n{:<width$} {:>13} {:>11}", "subscriber", "received", "lost")?;
        heads.iter().try_for_each(|head| write!(f, " {head:>9}"))?;
        writeln!(f)?;
        for Subscriber { address, counts } in &self.subscribers {
            let (received, lost) = (grouped(counts.received), grouped(counts.lost));
            write!(f, "{:<width$} {received:>13} {lost:>11}", address.to_string())?;
            if let Some(Spread { p50, p90, p99, p99_9, max, .. }) = counts.latency_ns {
                let times = [p50, p90, p99, p99_9, max].map(nanos);
                times.iter().try_for_each(|time| write!(f, " {time:>9}"))?;
            }
            writeln!(f)?;
        }
        writeln!(f)
    }
}
