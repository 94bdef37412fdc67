//! Metrics in the text format of OpenMetrics 1.0, which Prometheus reads as it reads its own.
//!
//! Nothing is counted twice: a job's counters are read from the job when somebody asks.

use crate::log::Log;
use crate::replicate::types::LedgerView;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

/// The content type of the text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Name, unit and help of a metric. The name is without the prefix `tickwire_`, without the unit
/// and without `_total`, which are added.
pub type Describe<'a> = (&'a str, Option<Unit>, &'a str);

/// Writes a counter of one value.
///
/// # Errors
/// Those of the encoder; so with all of these.
pub fn counter(encoder: &mut DescriptorEncoder<'_>, what: Describe<'_>, value: u64) -> fmt::Result {
    single(encoder, what, &ConstCounter::new(value))
}

/// Writes a gauge of one value.
///
/// # Errors
/// Those of the encoder.
pub fn gauge(encoder: &mut DescriptorEncoder<'_>, what: Describe<'_>, value: f64) -> fmt::Result {
    single(encoder, what, &ConstGauge::new(value))
}

/// Writes a counter with a value for each set of labels; nothing without any.
///
/// # Errors
/// Those of the encoder.
pub fn counters<L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder<'_>,
    what: Describe<'_>,
    samples: impl IntoIterator<Item = (L, u64)>,
) -> fmt::Result {
    let samples = samples.into_iter().map(|(labels, value)| (labels, ConstCounter::new(value)));
    family(encoder, what, MetricType::Counter, samples)
}

/// Writes a gauge with a value for each set of labels; nothing without any.
///
/// # Errors
/// Those of the encoder.
pub fn gauges<L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder<'_>,
    what: Describe<'_>,
    samples: impl IntoIterator<Item = (L, f64)>,
) -> fmt::Result {
    let samples = samples.into_iter().map(|(labels, value)| (labels, ConstGauge::new(value)));
    family(encoder, what, MetricType::Gauge, samples)
}

/// Writes what became of every packet; of what was discarded, `discarded`.
///
/// # Errors
/// Those of the encoder.
pub fn ledger<L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder<'_>,
    ledger: &LedgerView,
    discarded: impl IntoIterator<Item = (L, u64)>,
) -> fmt::Result {
    let text = "Packets that reached the ports";
    counter(encoder, ("received_packets", None, text), ledger.received)?;
    let text = "Bytes of the packets that were read";
    counter(encoder, ("received", Some(Unit::Bytes), text), ledger.received_bytes)?;
    let text = "Packets that were handled to the end";
    counter(encoder, ("delivered_packets", None, text), ledger.delivered)?;
    let text = "Packets that were not, by reason";
    counters(encoder, ("discarded_packets", None, text), discarded)?;
    let text = "Received less delivered less discarded: 0, or there is a bug";
    gauge(encoder, ("unaccounted_packets", None, text), ledger.difference as f64)
}

fn single(
    encoder: &mut DescriptorEncoder<'_>,
    (name, unit, help): Describe<'_>,
    value: &impl EncodeMetric,
) -> fmt::Result {
    value.encode(encoder.encode_descriptor(name, help, unit.as_ref(), value.metric_type())?)
}

fn family<L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, unit, help): Describe<'_>,
    kind: MetricType,
    samples: impl Iterator<Item = (L, impl EncodeMetric)>,
) -> fmt::Result {
    let mut samples = samples.peekable();
    if samples.peek().is_none() {
        return Ok(());
    }
    let mut metric = encoder.encode_descriptor(name, help, unit.as_ref(), kind)?;
    for (labels, value) in samples {
        value.encode(metric.encode_family(&labels)?)?;
    }
    Ok(())
}

/// What the control plane counts of itself.
#[derive(Debug)]
pub struct ServerMetrics {
    log: Log,
    connections: AtomicI64,
    answers: Mutex<BTreeMap<u16, u64>>,
    unanswered: AtomicU64,
}

impl ServerMetrics {
    /// All zero; `log` knows how many lines it lost.
    pub(crate) fn new(log: Log) -> Self {
        let (connections, answers) = (AtomicI64::new(0), Mutex::default());
        ServerMetrics { log, connections, answers, unanswered: AtomicU64::new(0) }
    }

    /// Counts an answer with this status.
    pub(crate) fn answered(&self, status: u16) {
        let mut answers = self.answers.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        *answers.entry(status).or_default() += 1;
    }

    /// Counts a connection that ended before its request did.
    pub(crate) fn left(&self) {
        self.unanswered.fetch_add(1, Relaxed);
    }

    /// One connection more (1) or less (-1).
    pub(crate) fn connection(&self, change: i64) {
        self.connections.fetch_add(change, Relaxed);
    }
}

impl Collector for ServerMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        gauges(encoder, ("build_info", None, "The version that runs"), [(version, 1.0)])?;
        let connections = self.connections.load(Relaxed) as f64;
        let text = "Connections to the control plane";
        gauge(encoder, ("control_connections", None, text), connections)?;
        let answers = self.answers.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
        let answers = answers.into_iter().map(|(status, count)| ([("status", status)], count));
        let text = "Requests to the control plane by the status of the answer";
        counters(encoder, ("control_requests", None, text), answers)?;
        let text = "Connections that ended before their request did";
        counter(encoder, ("control_requests_left", None, text), self.unanswered.load(Relaxed))?;
        let text = "Log lines that nobody took in time";
        counter(encoder, ("control_log_lines_lost", None, text), self.log.lost())
    }
}
