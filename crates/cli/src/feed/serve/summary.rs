//! The account of a feed that was served: one object for scripts, one table for people.

use super::broadcast::Played;
use super::requests::RequestCounts;
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
    requests: Option<RequestCounts>,
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
        requests: Option<RequestCounts>,
        outcome: &Outcome,
        shared: &Shared,
    ) -> Summary {
        let nothing = Done::default();
        let done = shared.done().unwrap_or(&nothing);
        let error = shared.error().map(str::to_owned);
        Summary {
            played,
            lines,
            requests,
            seconds: (done.last_ns as f64 / 1e3).round() / 1e6,
            cpu_seconds: rounded(outcome.workers.iter().map(|worker| worker.cpu).sum()),
            lateness: done.lateness.spread(),
            answers: done.answers.clone(),
            error: error.or_else(|| outcome.error.as_ref().map(ToString::to_string)),
        }
    }

    /// Between the first and the last message; 0 when they were given out together.
    fn messages_per_second(&self) -> f64 {
        let (first_ns, last_ns) = self.played.messages_ns.unwrap_or_default();
        let seconds = (last_ns - first_ns) as f64 / 1e9;
        if seconds > 0.0 { self.played.counts.messages as f64 / seconds } else { 0.0 }
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
            "requests": self.requests.as_ref().map(RequestCounts::to_json),
            "seconds": self.seconds,
            "messages_per_second": self.messages_per_second().round(),
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
        if let Some(requests) = &self.requests {
            count(f, "requests", requests.requests(), "")?;
            for (number, what) in requests.rows() {
                count(f, "", number, &what)?;
            }
        }
        for (name, number) in &self.answers {
            count(f, "", *number, name)?;
        }
        for (name, number) in self.oddities() {
            count(f, "", number, &name.replace('_', " "))?;
        }
        line(f, "rate", format_args!("{} messages/s", scaled(self.messages_per_second())))?;
        if let Some(spread) = &self.lateness {
            line(f, "lateness", format_args!("{spread}"))?;
        }
        line(f, "time", format_args!("{:.3} s, CPU {:.3} s", self.seconds, self.cpu_seconds))
    }
}
