//! What goes over the wire, as JSON. Times end in `_ns` or `_s`; prices are decimal text.

use crate::replicate::types::LedgerView;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How a responder runs.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "RespondStatus")]
pub struct StatusView {
    /// What it does: `respond`.
    pub job: String,
    /// The version that runs.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// How long it runs, in seconds.
    pub uptime_s: f64,
    /// The mode in force: `af_xdp`, `udp` or `xdp`.
    pub mode: String,
    /// Why not a faster mode; empty for the fastest.
    pub mode_reason: String,
    /// Whether orders may be sent.
    pub enabled: bool,
    /// Whether the kill switch is on.
    pub killed: bool,
    /// Where market data comes from.
    pub feeds: Vec<FeedView>,
    /// Where orders go.
    pub targets: Vec<TargetView>,
    /// Market data messages that rules looked at.
    pub packets_processed: u64,
    /// Packets that were none of a feed, or could not be read.
    pub packets_bypassed: u64,
    /// Orders that left.
    pub responses_sent: u64,
    /// Orders that a port, a socket or a session refused.
    pub errors: u64,
    /// Orders that the checks refused, by check.
    pub refused: BTreeMap<String, u64>,
    /// Connections that are open.
    pub active_connections: u64,
    /// Connections that were lost or refused.
    pub dropped_connections: u64,
    /// From the receipt of a packet to its order's departure, in nanoseconds; `null` before the
    /// first.
    pub process_time: Option<ProcessTime>,
    /// Events that should not happen.
    pub debug: DebugView,
    /// Rules in the kernel; absent in other modes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<KernelView>,
    /// What became of every packet that reached its ports. What the kernel decides on does not.
    pub ledger: LedgerView,
    /// What is not as it should be, with the cure; absent when all is well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// A feed of market data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "RespondFeed")]
pub struct FeedView {
    /// Its name.
    pub name: String,
    /// What it speaks.
    pub protocol: String,
    /// Where it is sent to.
    pub listen: String,
    /// `udp` or `tcp`.
    pub transport: String,
    /// Whether that is a multicast group.
    pub multicast: bool,
    /// Whether messages are missing or lost, or none comes any more: nothing is sent on a stale
    /// feed.
    pub stale: bool,
    /// Messages that were new.
    pub messages: u64,
    /// Datagrams that are none of the feed, or are cut.
    pub malformed: u64,
    /// Messages of the session that are missing and may still come.
    pub missing: u64,
    /// Messages of the session that will not come any more.
    pub lost: u64,
    /// Messages that waited for missing ones when another session began.
    pub abandoned: u64,
}

/// Where orders go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "RespondTarget")]
pub struct TargetView {
    /// Its name.
    pub name: String,
    /// The format of its orders.
    pub format: String,
    /// `udp` or `tcp`.
    pub transport: String,
    /// Its address and port.
    pub address: String,
    /// How orders get there: `af_xdp`, `socket`, `session` (the kernel's TCP), `af_xdp session`
    /// (ours), or `xdp` where rules in the kernel send.
    pub way: String,
    /// Whether orders can be sent to it now.
    pub ready: bool,
    /// Orders that left.
    pub sent: u64,
    /// Orders that could not be sent, by reason.
    pub unsent: BTreeMap<String, u64>,
}

/// What rules in the kernel do. Its ticks, orders and refusals are in the other figures, too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "KernelRules")]
pub struct KernelView {
    /// Rules that run there.
    pub rules: u64,
    /// Rules that run in user space.
    pub rules_in_user_space: u64,
    /// How long it trades without hearing of the process, in milliseconds.
    pub lease_ms: u64,
    /// How much of that is left; 0 when it does not trade any more.
    pub lease_left_ms: u64,
    /// Ticks that a rule wanted an order for: `orders` and what was refused.
    pub intents: u64,
    /// Orders that left.
    pub orders: u64,
    /// Ticks of symbols that are not configured.
    pub other_ticks: u64,
    /// Ticks that were left to user space because another processor was deciding for too long.
    pub busy_ticks: u64,
    /// Records of orders and refusals that found no room on their way to user space.
    pub lost_records: u64,
    /// Whether it has stopped trading because of that.
    pub stopped: bool,
}

/// Times from receipt to departure, in nanoseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProcessTime {
    /// How many were measured.
    pub count: u64,
    /// The shortest.
    pub min_ns: u64,
    /// The mean.
    pub mean_ns: f64,
    /// The longest.
    pub max_ns: u64,
    /// The standard deviation.
    pub stdev_ns: f64,
    /// By percentile, such as `p99.9`.
    pub percentiles_ns: BTreeMap<String, u64>,
}

/// Events that should not happen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DebugView {
    /// A ring, socket buffer or session had no room.
    pub queue_full_events: u64,
    /// Datagrams with a wrong checksum.
    pub checksum_errors: u64,
    /// Allocations on the path of a packet: always 0, because none is made there. The older
    /// responder counted its own, and scripts look for the line.
    pub memory_allocations: u64,
    /// The last error, and when.
    pub last_error: Option<LastError>,
}

/// An error, and when it happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LastError {
    /// What happened.
    pub text: String,
    /// When, in nanoseconds since 1970 UTC.
    pub at_ns: u64,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "RespondStats")]
pub struct StatsView {
    /// From receipt to departure; `null` before the first order.
    pub process_time: Option<ProcessTime>,
    /// Each rule.
    pub rules: Vec<RuleView>,
    /// Each instrument that has a position or an open order.
    pub positions: Vec<PositionView>,
    /// The log of decisions; `null` without one.
    pub audit: Option<AuditView>,
}

/// What became of the triggers of a rule: `triggers = orders + Σ refused`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "RespondRule")]
pub struct RuleView {
    /// Its name.
    pub name: String,
    /// How often its condition held.
    pub triggers: u64,
    /// Orders that passed the checks.
    pub orders: u64,
    /// The others, by check.
    pub refused: BTreeMap<String, u64>,
}

/// What is held of an instrument.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Position")]
pub struct PositionView {
    /// The instrument.
    pub symbol: String,
    /// Bought less sold.
    pub net: i64,
    /// Still to be bought by open orders.
    pub open_buy: u64,
    /// Still to be sold by open orders.
    pub open_sell: u64,
}

/// The log of decisions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Audit")]
pub struct AuditView {
    /// The file that is written.
    pub file: String,
    /// Records in it and in those before.
    pub written: u64,
    /// Records that were lost, by reason.
    pub lost: BTreeMap<String, u64>,
}

/// Peers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Connections")]
pub struct ConnectionList {
    /// Each peer.
    pub connections: Vec<ConnectionView>,
    /// Peers that were forgotten because there were too many.
    pub forgotten: u64,
}

/// A peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Connection")]
pub struct ConnectionView {
    /// Its address and port.
    pub peer: String,
    /// `udp` or `tcp`.
    pub transport: String,
    /// The feed or target that it belongs to.
    pub of: String,
    /// `active`, `idle`, or `closed`.
    pub state: String,
    /// Packets, or reads of a stream.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What was dropped, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// When it was last heard of, in nanoseconds since 1970 UTC.
    pub last_ns: u64,
}

/// Rules and limits were read again: what is in force now, and what of it is another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Reloaded")]
pub struct ReloadView {
    /// Rules that were in force until now.
    pub rules_before: u64,
    /// Rules that are in force now.
    pub rules: u64,
    /// Of these, rules that run in the kernel; absent in other modes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules_in_kernel: Option<u64>,
    /// Names of rules that were not there.
    pub added: Vec<String>,
    /// Names of rules that say something else.
    pub changed: Vec<String>,
    /// Names of rules that are not there any more.
    pub removed: Vec<String>,
    /// Whether rules that stayed are asked in another order.
    pub reordered: bool,
    /// Whether what holds for all orders together is another: rate, in flight, hours.
    pub limits: bool,
    /// Instruments whose limits are others.
    pub instruments: Vec<String>,
    /// Feeds whose frames may be of another age.
    pub feeds: Vec<String>,
    /// Instruments that the kernel decides on from now on, and user space did.
    pub into_kernel: Vec<String>,
    /// Instruments that user space decides on from now on, and the kernel did.
    pub out_of_kernel: Vec<String>,
}

/// What is to be reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reset {
    /// The kill switch, too. Responding stays switched off until it is enabled.
    #[serde(default)]
    pub kill_switch: bool,
    /// Gaps, too: every feed is taken for complete, whatever is missing of it.
    #[serde(default)]
    pub gaps: bool,
    /// Positions, too: all are 0 and no order is open, whatever exchanges say later. Only while
    /// nothing is sent.
    #[serde(default)]
    pub positions: bool,
}
