//! A responder as Prometheus text.

use super::RespondControl;
use super::types::{FeedView, KernelView, ProcessTime, StatsView, StatusView};
use crate::metrics::{counter, counters, gauge, gauges, ledger};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Unit;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Asks the job when somebody asks for the metrics.
#[derive(Debug)]
pub(super) struct RespondMetrics(pub Arc<dyn RespondControl>);

impl Collector for RespondMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        let status = self.0.status();
        process(encoder, &status)?;
        brakes(encoder, &status)?;
        ends(encoder, &status)?;
        if let Some(time) = &status.process_time {
            times(encoder, time)?;
        }
        if let Some(view) = &status.kernel {
            kernel(encoder, view)?;
        }
        rules(encoder, &self.0.stats())
    }
}

fn process(encoder: &mut DescriptorEncoder<'_>, status: &StatusView) -> fmt::Result {
    let text = "How long the responder runs";
    gauge(encoder, ("uptime", Some(Unit::Seconds), text), status.uptime_s)?;
    let text = "The mode in force";
    gauges(encoder, ("respond_mode", None, text), [([("mode", status.mode.as_str())], 1.0)])?;
    let text = "Warnings in force: see the status";
    gauge(encoder, ("respond_warnings", None, text), status.warnings.len() as f64)?;
    ledger(encoder, &status.ledger, by_reason(&status.ledger.discarded))
}

fn by_reason(counts: &BTreeMap<String, u64>) -> impl Iterator<Item = ([(&str, &str); 1], u64)> {
    counts.iter().map(|(reason, &count)| ([("reason", reason.as_str())], count))
}

fn brakes(encoder: &mut DescriptorEncoder<'_>, status: &StatusView) -> fmt::Result {
    let text = "1 when orders may be sent";
    gauge(encoder, ("respond_enabled", None, text), f64::from(u8::from(status.enabled)))?;
    let text = "1 when the kill switch is on";
    gauge(encoder, ("respond_killed", None, text), f64::from(u8::from(status.killed)))?;
    let text = "Messages of market data that rules looked at";
    counter(encoder, ("respond_messages", None, text), status.packets_processed)?;
    let text = "Orders that left";
    counter(encoder, ("respond_orders", None, text), status.responses_sent)?;
    let text = "Orders that the checks refused, by check";
    counters(encoder, ("respond_refused_orders", None, text), by_reason(&status.refused))?;
    let text = "Connections that are open";
    gauge(encoder, ("respond_connections", None, text), status.active_connections as f64)?;
    let text = "Connections that were lost or refused";
    counter(encoder, ("respond_dropped_connections", None, text), status.dropped_connections)
}

fn ends(encoder: &mut DescriptorEncoder<'_>, status: &StatusView) -> fmt::Result {
    feeds(encoder, &status.feeds)?;
    let text = "1 while orders can be sent to the target";
    let ready = status.targets.iter().map(|target| {
        let value = f64::from(u8::from(target.ready));
        ([("target", target.name.as_str())], value)
    });
    gauges(encoder, ("respond_target_ready", None, text), ready)?;
    let text = "Orders that left for the target";
    let sent = status.targets.iter().map(|one| ([("target", one.name.as_str())], one.sent));
    counters(encoder, ("respond_target_orders", None, text), sent)?;
    let text = "Orders that could not be sent, by reason";
    let unsent = status.targets.iter().flat_map(|target| {
        target.unsent.iter().map(move |(reason, &count)| {
            ([("target", target.name.as_str()), ("reason", reason.as_str())], count)
        })
    });
    counters(encoder, ("respond_unsent_orders", None, text), unsent)
}

fn feeds(encoder: &mut DescriptorEncoder<'_>, feeds: &[FeedView]) -> fmt::Result {
    let gauge_of = |value: fn(&FeedView) -> f64| {
        feeds.iter().map(move |feed| ([("feed", feed.name.as_str())], value(feed)))
    };
    let text = "1 while messages of the feed are missing, and nothing is sent on it";
    let stale = gauge_of(|feed| f64::from(u8::from(feed.stale)));
    gauges(encoder, ("respond_feed_stale", None, text), stale)?;
    let text = "Messages of the session that are missing and may still come";
    let missing = gauge_of(|feed| feed.missing as f64);
    gauges(encoder, ("respond_feed_missing_messages", None, text), missing)?;
    let text = "Messages of the session that will not come any more";
    let lost = gauge_of(|feed| feed.lost as f64);
    gauges(encoder, ("respond_feed_lost_messages", None, text), lost)?;
    let count_of = |value: fn(&FeedView) -> u64| {
        feeds.iter().map(move |feed| ([("feed", feed.name.as_str())], value(feed)))
    };
    let text = "Messages of the feed that were new";
    let messages = count_of(|feed| feed.messages);
    counters(encoder, ("respond_feed_messages", None, text), messages)?;
    let text = "Datagrams that are none of the feed, or are cut";
    let malformed = count_of(|feed| feed.malformed);
    counters(encoder, ("respond_feed_malformed_packets", None, text), malformed)?;
    let text = "Messages that waited for missing ones when another session began";
    let abandoned = count_of(|feed| feed.abandoned);
    counters(encoder, ("respond_feed_abandoned_messages", None, text), abandoned)
}

fn times(encoder: &mut DescriptorEncoder<'_>, time: &ProcessTime) -> fmt::Result {
    let seconds = |ns: u64| ns as f64 / 1e9;
    let text = "From the receipt of a packet to its order's departure, by quantile";
    let by_name = time.percentiles_ns.iter().map(|(name, &ns)| {
        let quantile = name.trim_start_matches('p').parse().map_or(0.0, |p: f64| p / 100.0);
        ([("quantile", format!("{quantile}"))], seconds(ns))
    });
    gauges(encoder, ("respond_process_time", Some(Unit::Seconds), text), by_name)?;
    let text = "The longest time from receipt to departure";
    let max = seconds(time.max_ns);
    gauge(encoder, ("respond_process_time_max", Some(Unit::Seconds), text), max)
}

fn kernel(encoder: &mut DescriptorEncoder<'_>, view: &KernelView) -> fmt::Result {
    let text = "Rules that run in the kernel";
    gauge(encoder, ("respond_kernel_rules", None, text), view.rules as f64)?;
    let text = "How long rules in the kernel still trade without hearing of the process";
    let left = view.lease_left_ms as f64 / 1e3;
    gauge(encoder, ("respond_kernel_lease_left", Some(Unit::Seconds), text), left)?;
    let text = "1 when the kernel has stopped trading because records of it were lost";
    let stopped = f64::from(u8::from(view.stopped));
    gauge(encoder, ("respond_kernel_stopped", None, text), stopped)?;
    for (name, text, count) in [
        ("orders", "Orders that left from the kernel", view.orders),
        ("intents", "Ticks that a rule in the kernel wanted an order for", view.intents),
        ("other_ticks", "Ticks in the kernel of symbols that are not configured", view.other_ticks),
        ("busy_ticks", "Ticks that the kernel left to user space: it was busy", view.busy_ticks),
        ("lost_records", "Records of the kernel's decisions that were lost", view.lost_records),
    ] {
        counter(encoder, (&format!("respond_kernel_{name}"), None, text), count)?;
    }
    Ok(())
}

fn rules(encoder: &mut DescriptorEncoder<'_>, stats: &StatsView) -> fmt::Result {
    let text = "How often the condition of the rule held";
    let triggers = stats.rules.iter().map(|rule| ([("rule", rule.name.as_str())], rule.triggers));
    counters(encoder, ("respond_rule_triggers", None, text), triggers)?;
    let text = "Orders of the rule that passed the checks";
    let orders = stats.rules.iter().map(|rule| ([("rule", rule.name.as_str())], rule.orders));
    counters(encoder, ("respond_rule_orders", None, text), orders)?;
    let Some(audit) = &stats.audit else { return Ok(()) };
    let text = "Records in the log of decisions";
    counter(encoder, ("respond_audit_records", None, text), audit.written)?;
    let text = "Records that the log of decisions lost, by reason";
    counters(encoder, ("respond_audit_lost_records", None, text), by_reason(&audit.lost))
}
