//! Feeds and subscribers as Prometheus text.

use super::ReplicateControl;
use crate::metrics::{counters, gauge, gauges, ledger};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Unit;
use std::fmt;
use std::sync::Arc;
use tickwire_frame::{Counters, Reason};
use tickwire_replicate::{Counts, Feed, LineMessages, Listed, Merged, Requests};

/// Reasons for packets to be discarded whose series are there from the start, so that a rate has
/// something to begin with; others come with their first packet.
const PACKETS: [Reason; 6] = [
    Reason::NotSelected,
    Reason::Fragment,
    Reason::TooOld,
    Reason::XskRxDropped,
    Reason::XskRxRingFull,
    Reason::SocketDropped,
];
/// The same for the datagrams of a feed.
const DATAGRAMS: [Reason; 2] = [Reason::NotSelected, Reason::Fragment];
/// The same for the copies for a subscriber.
const COPIES: [Reason; 8] = [
    Reason::NotSelected,
    Reason::TxRingFull,
    Reason::TxRefused,
    Reason::LinkDown,
    Reason::TooLong,
    Reason::NoNeighbour,
    Reason::NoRoute,
    Reason::NoEgress,
];

/// The counters of `usual` reasons, and those of others that are not 0.
fn reasons<'a>(
    counters: &'a Counters,
    usual: &'a [Reason],
) -> impl Iterator<Item = (Reason, u64)> + 'a {
    counters.iter().filter(|(reason, count)| *count > 0 || usual.contains(reason))
}

/// Asks the job when somebody asks for the metrics.
#[derive(Debug)]
pub(super) struct ReplicateMetrics(pub Arc<dyn ReplicateControl>);

impl Collector for ReplicateMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        self.process(encoder)?;
        let feeds = self.0.feeds();
        per_feed(encoder, &feeds)?;
        let subscribers: Vec<(String, Vec<Listed>)> = feeds
            .into_iter()
            .map(|(feed, _)| {
                // A feed that has gone meanwhile has no subscribers.
                let listed = self.0.list(&feed.name).unwrap_or_default();
                (feed.name, listed)
            })
            .collect();
        per_subscriber(encoder, &subscribers)
    }
}

impl ReplicateMetrics {
    fn process(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let status = self.0.status();
        let text = "How long the replication runs";
        let uptime = status.uptime.as_secs_f64();
        gauge(encoder, ("uptime", Some(Unit::Seconds), text), uptime)?;
        let text = "The mode in force";
        gauges(encoder, ("replicate_mode", None, text), [([("mode", status.mode)], 1.0)])?;
        let text = "Warnings in force: see the status";
        gauge(encoder, ("replicate_warnings", None, text), status.warnings.len() as f64)?;
        let discarded = reasons(&status.ledger.discarded, &PACKETS);
        let discarded = discarded.map(|(reason, count)| ([("reason", reason.as_str())], count));
        ledger(encoder, &(&status.ledger).into(), discarded)?;
        per_merge(encoder, &status.merged)
    }
}

/// A merged feed goes by the name of its first line.
fn per_merge(encoder: &mut DescriptorEncoder<'_>, merged: &[Merged]) -> fmt::Result {
    let each_line = |value: fn(&LineMessages) -> u64| {
        let lines = merged.iter().flat_map(|one| &one.lines);
        lines.map(move |line| ([("feed", line.feed.as_str())], value(line)))
    };
    let text = "Messages of a line that no other line had brought before";
    counters(encoder, ("replicate_line_first_messages", None, text), each_line(|l| l.first))?;
    let text = "Messages of a line that had come before";
    let duplicates = each_line(|line| line.duplicates);
    counters(encoder, ("replicate_line_duplicate_messages", None, text), duplicates)?;
    let text = "Messages of a line too far ahead, too late, or of numbers that began again alone";
    counters(encoder, ("replicate_line_refused_messages", None, text), each_line(|l| l.refused))?;
    let head = |one: &Merged| one.lines.first().map_or_else(String::new, |l| l.feed.clone());
    let each = |value: fn(&Merged) -> u64| {
        merged.iter().map(move |one| ([("feed", head(one))], value(one)))
    };
    let asked = |value: fn(&Requests) -> u64| {
        let asked = merged.iter().filter_map(move |one| Some((one, value(one.requests.as_ref()?))));
        asked.map(|(one, value)| ([("feed", head(one))], value))
    };
    for (name, text, values) in [
        (
            "replicate_merged_partly_new_datagrams",
            "Datagrams handed on whole, although some of their messages had come before",
            each(|one| one.partly_new).collect::<Vec<_>>(),
        ),
        (
            "replicate_merged_cut_datagrams",
            "Datagrams handed on without those of their messages that had come before",
            each(|one| one.cut).collect(),
        ),
        (
            "replicate_merged_recovered_messages",
            "Messages that no line brought, and answers to requests did",
            each(|one| one.recovered).collect(),
        ),
        (
            "replicate_merged_lost_messages",
            "Messages that nobody waits for any more: no server had them, or too many gaps",
            each(|one| one.lost).collect(),
        ),
        (
            "replicate_requests",
            "Requests for messages that no line brought",
            asked(|requests| requests.sent).collect(),
        ),
        (
            "replicate_unsent_requests",
            "Requests that the system did not take",
            asked(|requests| requests.unsent).collect(),
        ),
        (
            "replicate_given_up_messages",
            "Messages that no server had, or none in time",
            asked(|requests| requests.given_up).collect(),
        ),
    ] {
        counters(encoder, (name, None, text), values)?;
    }
    let text = "Messages that no line of the feed has brought so far";
    let missing = each(|one| one.missing).map(|(labels, value)| (labels, value as f64));
    gauges(encoder, ("replicate_merged_missing_messages", None, text), missing)?;
    let text = "Ranges of messages that no line of the feed has brought so far";
    let gaps = each(|one| one.gaps).map(|(labels, value)| (labels, value as f64));
    gauges(encoder, ("replicate_merged_gaps", None, text), gaps)
}

fn per_feed(encoder: &mut DescriptorEncoder<'_>, feeds: &[(Feed, Counts)]) -> fmt::Result {
    let each = |value: fn(&Counts) -> u64| {
        feeds.iter().map(move |(feed, counts)| ([("feed", feed.name.as_str())], value(counts)))
    };
    let text = "Datagrams of the feed";
    counters(encoder, ("replicate_feed_datagrams", None, text), each(Counts::offered))?;
    let text = "Datagrams of the feed that were handed on to its subscribers";
    counters(encoder, ("replicate_feed_copied_datagrams", None, text), each(|c| c.copied))?;
    let text = "UDP payload bytes of the datagrams that were handed on";
    counters(encoder, ("replicate_feed_copied", Some(Unit::Bytes), text), each(|c| c.bytes))?;
    let text = "Datagrams of the feed that were not handed on, by reason";
    let discarded = feeds.iter().flat_map(|(feed, counts)| {
        reasons(&counts.discarded, &DATAGRAMS).map(|(reason, count)| {
            ([("feed", feed.name.as_str()), ("reason", reason.as_str())], count)
        })
    });
    counters(encoder, ("replicate_feed_discarded_datagrams", None, text), discarded)
}

fn per_subscriber(
    encoder: &mut DescriptorEncoder<'_>,
    feeds: &[(String, Vec<Listed>)],
) -> fmt::Result {
    let text = "Subscribers of the feed";
    let subscribers = feeds.iter().map(|(feed, listed)| {
        let count = listed.len() as f64;
        ([("feed", feed.as_str())], count)
    });
    gauges(encoder, ("replicate_subscribers", None, text), subscribers)?;
    let all = || {
        feeds.iter().flat_map(|(feed, listed)| {
            listed.iter().map(move |listed| {
                let subscriber = &listed.subscriber;
                let labels = [
                    ("feed", feed.clone()),
                    ("subscriber", subscriber.address.to_string()),
                    ("name", subscriber.name.clone().unwrap_or_default()),
                ];
                (labels, &listed.counts)
            })
        })
    };
    let each =
        |value: fn(&Counts) -> u64| all().map(move |(labels, counts)| (labels, value(counts)));
    let text = "Datagrams of the feed while it subscribed";
    counters(encoder, ("replicate_offered_datagrams", None, text), each(Counts::offered))?;
    let text = "Copies that left";
    counters(encoder, ("replicate_copies", None, text), each(|c| c.copied))?;
    let text = "UDP payload bytes of the copies";
    counters(encoder, ("replicate_copied", Some(Unit::Bytes), text), each(|c| c.bytes))?;
    let text = "Copies that did not leave, by reason; not_selected is what its filter did not want";
    let discarded = all().flat_map(|([feed, subscriber, name], counts)| {
        reasons(&counts.discarded, &COPIES).map(move |(reason, count)| {
            let reason = ("reason", reason.as_str().to_owned());
            ([feed.clone(), subscriber.clone(), name.clone(), reason], count)
        })
    });
    counters(encoder, ("replicate_discarded_copies", None, text), discarded)
}
