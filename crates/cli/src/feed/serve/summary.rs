//! The account of a feed that was served: one object for scripts, one table for people.

use super::broadcast::Played;
use crate::feed::publish::lines::LineSummary;
use crate::feed::publish::programme::Counts;
use crate::send::distribution::Spread;
use crate::send::job::{Done, Shared};
use crate::table::{count, line, rounded};
use crate::units::scaled;
use serde_json::{Map, Value, json};
use std::fmt;
use tickwire_engine::Outcome;

/// What was played, and what became of it.
pub struct Summary {
    played: Played,
    lines: Vec<LineSummary>,
    /// From the start to the last packet.
    seconds: f64,
    cpu_seconds: f64,
    lateness: Option<Spread>,
    answers: Vec<(String, u64)>,
    /// What ended the run early.
    pub error: Option<String>,
}

impl Summary {
    /// The account of a run that has ended.
    pub fn new(
        played: Played,
        lines: Vec<LineSummary>,
        outcome: &Outcome,
        shared: &Shared,
    ) -> Summary {
        let nothing = Done::default();
        let done = shared.done().unwrap_or(&nothing);
        let error = shared.error().map(str::to_owned);
        Summary {
            played,
            lines,
            seconds: (done.last_ns as f64 / 1e3).round() / 1e6,
            cpu_seconds: rounded(outcome.workers.iter().map(|worker| worker.cpu).sum()),
            lateness: done.lateness.spread(),
            answers: done.answers.clone(),
            error: error.or_else(|| outcome.error.as_ref().map(ToString::to_string)),
        }
    }

    fn per_second(&self, count: u64) -> f64 {
        if self.seconds > 0.0 { count as f64 / self.seconds } else { 0.0 }
    }

    /// What was odd in the times of the file, none with 0.
    fn oddities(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let oddities = self.played.oddities;
        [
            ("out_of_order", oddities.out_of_order),
            ("clock_set_back", oddities.clock_set_back),
            ("gaps_shortened", oddities.gaps_shortened),
        ]
        .into_iter()
        .filter(|(_, count)| *count > 0)
    }

    /// For scripts.
    pub fn to_json(&self) -> Value {
        let Counts { packets, messages, heartbeats, ends } = self.played.counts;
        let lines: Vec<_> = self.lines.iter().map(LineSummary::to_json).collect();
        let pairs = |pairs: Vec<(String, u64)>| -> Map<String, Value> {
            pairs.into_iter().map(|(name, count)| (name, count.into())).collect()
        };
        let oddities = self.oddities().map(|(name, count)| (name.to_owned(), count)).collect();
        json!({
            "packets": packets,
            "messages": messages,
            "heartbeats": heartbeats,
            "ends": ends,
            "lines": lines,
            "seconds": self.seconds,
            "messages_per_second": self.per_second(messages).round(),
            "lateness_ns": self.lateness,
            "cpu_seconds": self.cpu_seconds,
            "answers": pairs(self.answers.clone()),
            "oddities": pairs(oddities),
            "error": self.error,
        })
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.played.counts.fmt(f)?;
        self.lines.iter().try_for_each(|line| line.fmt(f))?;
        for (name, number) in &self.answers {
            count(f, "", *number, name)?;
        }
        for (name, number) in self.oddities() {
            count(f, "", number, &name.replace('_', " "))?;
        }
        let messages = scaled(self.per_second(self.played.counts.messages));
        let packets = scaled(self.per_second(self.played.counts.packets));
        line(f, "rate", format_args!("{messages} messages/s in {packets} packets/s"))?;
        if let Some(spread) = &self.lateness {
            line(f, "lateness", format_args!("{spread}"))?;
        }
        line(f, "time", format_args!("{:.3} s, CPU {:.3} s", self.seconds, self.cpu_seconds))
    }
}
