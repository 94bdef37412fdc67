//! The final account: that of every job, and what became of the copies of each subscriber.

use super::keeper::Keeper;
use crate::capture::Summary;
use crate::units::grouped;
use serde::Serialize;
use serde_json::{Map, Value};
use std::fmt;
use tickwire_capture::Mode;
use tickwire_control::replicate::types::MergedView;
use tickwire_engine::Outcome;
use tickwire_replicate::{Counts, Feed, Gone, Listed};

/// The most subscribers that the table for people shows of a feed; JSON has all of them.
const SHOWN_MAX: usize = 20;

/// The account of a run. Serialises to the object that scripts read; displays as a table.
#[derive(Debug, Serialize)]
pub struct Report {
    #[serde(flatten)]
    summary: Summary,
    /// Each feed with its subscribers.
    feeds: Vec<FeedReport>,
    /// The messages of feeds whose lines are merged.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    merged: Vec<MergedView>,
}

#[derive(Debug, Serialize)]
struct FeedReport {
    name: String,
    listen: String,
    /// Datagrams handed on to the subscribers, and the others by reason.
    #[serde(flatten)]
    counts: CountsReport,
    subscribers: Vec<SubscriberReport>,
    /// Those that were removed or whose lease ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    removed: Option<RemovedReport>,
}

#[derive(Debug, Serialize)]
struct RemovedReport {
    /// How many.
    subscribers: u64,
    /// The sum of their accounts.
    #[serde(flatten)]
    counts: CountsReport,
}

#[derive(Debug, Serialize)]
struct SubscriberReport {
    address: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(flatten)]
    counts: CountsReport,
}

/// `offered = copied + Σ discarded`.
#[derive(Debug, Serialize)]
struct CountsReport {
    offered: u64,
    copied: u64,
    bytes: u64,
    discarded: Map<String, Value>,
}

impl CountsReport {
    fn new(counts: &Counts) -> Self {
        let discarded = counts.discarded.nonzero();
        CountsReport {
            offered: counts.offered(),
            copied: counts.copied,
            bytes: counts.bytes,
            discarded: discarded
                .map(|(reason, count)| (reason.to_string(), count.into()))
                .collect(),
        }
    }
}

impl Report {
    /// The account of a run over `mode`, with the table as `keeper` has it now.
    pub fn new(outcome: &Outcome, mode: &Mode, keeper: &Keeper) -> Report {
        let feeds = keeper.feeds().into_iter().map(|(feed, counts)| {
            // A feed that was just listed is there.
            let listed = keeper.list(&feed.name).unwrap_or_default();
            FeedReport::new(&feed, &counts, listed, &keeper.gone(&feed.name).unwrap_or_default())
        });
        let merged = keeper.merged().into_iter().map(MergedView::from).collect();
        Report { summary: Summary::new(outcome, mode, true), feeds: feeds.collect(), merged }
    }
}

impl FeedReport {
    fn new(feed: &Feed, counts: &Counts, listed: Vec<Listed>, gone: &Gone) -> Self {
        let subscriber = |listed: Listed| SubscriberReport {
            address: listed.subscriber.address.to_string(),
            name: listed.subscriber.name,
            counts: CountsReport::new(&listed.counts),
        };
        FeedReport {
            name: feed.name.clone(),
            listen: feed.listen.to_string(),
            counts: CountsReport::new(counts),
            subscribers: listed.into_iter().map(subscriber).collect(),
            removed: (gone.subscribers > 0).then(|| RemovedReport {
                subscribers: gone.subscribers,
                counts: CountsReport::new(&gone.counts),
            }),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.summary)?;
        for feed in &self.feeds {
            writeln!(f, "\nfeed {} ({}): {}", feed.name, feed.listen, feed.counts)?;
            let shown = feed.subscribers.iter().take(SHOWN_MAX);
            let label = |one: &SubscriberReport| match &one.name {
                Some(name) => format!("{} {name}", one.address),
                None => one.address.clone(),
            };
            let width = shown.clone().map(|one| label(one).len()).max().unwrap_or(0);
            for one in shown {
                writeln!(f, "  {:<width$}  {}", label(one), one.counts)?;
            }
            if let Some(more @ 1..) = feed.subscribers.len().checked_sub(SHOWN_MAX) {
                writeln!(f, "  and {more} more; --summary json has them all")?;
            }
            if let Some(removed) = &feed.removed {
                writeln!(f, "  {} removed: {}", removed.subscribers, removed.counts)?;
            }
        }
        self.merged.iter().try_for_each(|merged| f.write_str(&merged_in_words(merged)))
    }
}

/// A merged feed for people, as the status shows it too.
pub fn merged_in_words(merged: &MergedView) -> String {
    let lines = merged.lines.iter().map(|line| {
        let (first, duplicates) = (grouped(line.first), grouped(line.duplicates));
        let refused = grouped(line.refused);
        format!("{} {first} first, {duplicates} again, {refused} refused", line.feed)
    });
    let counts = [merged.missing, merged.gaps, merged.lost, merged.cut, merged.partly_new];
    let [missing, gaps, lost, cut, partly_new] = counts.map(grouped);
    let asked = merged.requests.as_ref().map(|requests| {
        let counts = [requests.sent, merged.recovered, requests.came, requests.given_up];
        let [sent, recovered, came, given_up] = counts.map(grouped);
        let unsent = match requests.unsent {
            0 => String::new(),
            unsent => format!("; {} requests could not be sent", grouped(unsent)),
        };
        format!(
            "asked for, messages: {recovered} recovered by {sent} requests; {came} came meanwhile, \
             {given_up} given up{unsent}\n"
        )
    });
    format!(
        "\nmerged, messages: {}; {missing} missing in {gaps} gaps, {lost} lost; datagrams: {cut} \
         cut to what was new, {partly_new} partly new\n{}",
        lines.collect::<Vec<_>>().join("; "),
        asked.unwrap_or_default(),
    )
}

impl fmt::Display for CountsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} copied", grouped(self.copied), grouped(self.offered))?;
        for (reason, count) in &self.discarded {
            write!(f, ", {} {reason}", grouped(count.as_u64().unwrap_or(0)))?;
        }
        Ok(())
    }
}
