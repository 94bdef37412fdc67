//! The final account: that of every job, and what became of triggers and orders.

use crate::capture::Summary;
use crate::units::{grouped, nanos};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use tickwire_capture::Mode;
use tickwire_control::respond::types::{
    AuditView, FeedView, ProcessTime, RuleView, StatsView, StatusView, TargetView,
};
use tickwire_engine::Outcome;

/// The account of a run. Serialises to the object that scripts read; displays as a table.
#[derive(Debug, Serialize)]
pub struct Report {
    #[serde(flatten)]
    summary: Summary,
    /// Messages that rules looked at.
    messages: u64,
    /// Orders that left.
    responses_sent: u64,
    /// Orders that a port, a socket or a session refused.
    errors: u64,
    /// Orders that the checks refused, by check.
    refused: BTreeMap<String, u64>,
    process_time: Option<ProcessTime>,
    rules: Vec<RuleView>,
    feeds: Vec<FeedView>,
    targets: Vec<TargetView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audit: Option<AuditView>,
}

impl Report {
    /// The account of a run over `mode`.
    pub fn new(outcome: &Outcome, mode: &Mode, status: StatusView, stats: StatsView) -> Report {
        Report {
            summary: Summary::new(outcome, mode, true),
            messages: status.packets_processed,
            responses_sent: status.responses_sent,
            errors: status.errors,
            refused: status.refused,
            process_time: stats.process_time,
            rules: stats.rules,
            feeds: status.feeds,
            targets: status.targets,
            audit: stats.audit,
        }
    }

    /// One line of a run that goes on.
    pub fn line(status: &StatusView) -> String {
        let mut line = format!(
            "{} messages, {} orders, {} refused, {} unsent",
            grouped(status.packets_processed),
            grouped(status.responses_sent),
            grouped(status.refused.values().sum()),
            grouped(status.errors),
        );
        if let Some(time) = &status.process_time {
            line += &format!(", {}", in_words(time));
        }
        if status.killed {
            line += ", killed";
        } else if !status.enabled {
            line += ", switched off";
        }
        line
    }
}

fn in_words(time: &ProcessTime) -> String {
    let percentile = |name: &str| time.percentiles_ns.get(name).copied().unwrap_or_default();
    format!(
        "from receipt to departure p50 {}, p99 {}, max {}",
        nanos(percentile("p50")),
        nanos(percentile("p99")),
        nanos(time.max_ns),
    )
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.summary)?;
        let (messages, sent) = (grouped(self.messages), grouped(self.responses_sent));
        writeln!(f, "\n{messages} messages of configured instruments, {sent} orders left")?;
        if let Some(time) = &self.process_time {
            writeln!(f, "{}", in_words(time))?;
        }
        for (reason, count) in &self.refused {
            writeln!(f, "  {} refused: {reason}", grouped(*count))?;
        }
        for target in &self.targets {
            write!(
                f,
                "target {} ({}): {} sent",
                target.name,
                target.address,
                grouped(target.sent)
            )?;
            for (reason, count) in &target.unsent {
                write!(f, ", {} {reason}", grouped(*count))?;
            }
            writeln!(f)?;
        }
        for rule in &self.rules {
            let (triggers, orders) = (grouped(rule.triggers), grouped(rule.orders));
            writeln!(f, "rule {}: {triggers} triggers, {orders} orders", rule.name)?;
        }
        if let Some(audit) = &self.audit {
            write!(f, "audit log {}: {} records", audit.file, grouped(audit.written))?;
            for (reason, count) in &audit.lost {
                write!(f, ", {} lost: {reason}", grouped(*count))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
