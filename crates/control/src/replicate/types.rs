//! What goes over the wire, as JSON. Names are those of [`Feed`] and [`Subscriber`]; times end in
//! `_s` (seconds).

use super::Status;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Instant;
use tickwire_frame::{Counters, Ledger, Reason};
use tickwire_replicate::{Counts, Feed, LineMessages, Listed, Merged, Requests, Subscriber};

/// A subscriber as it is asked for.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct SubscriberSpec(#[schemars(with = "SubscriberShape")] pub Subscriber);

/// How the process runs.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Status")]
pub struct StatusView {
    /// What it does: `replicate`.
    pub job: String,
    /// The version that runs.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// How long it runs, in seconds.
    pub uptime_s: f64,
    /// The mode in force: `xdp`, `af_xdp` or `udp`.
    pub mode: String,
    /// Why not a faster mode; empty for the fastest.
    pub mode_reason: String,
    /// How many feeds there are.
    pub feeds: usize,
    /// How many subscribers all feeds have together.
    pub subscribers: usize,
    /// What became of every packet that reached its ports.
    pub ledger: LedgerView,
    /// The messages of feeds whose lines are merged; absent when none are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub merged: Vec<MergedView>,
    /// What is not as it should be, with the cure; absent when all is well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// What became of the messages of a feed whose lines are merged.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Merged")]
pub struct MergedView {
    /// Its lines; the subscribers are those of the first.
    pub lines: Vec<LineView>,
    /// Ranges of messages that no line has brought so far.
    pub gaps: u64,
    /// The messages in them.
    pub missing: u64,
    /// Messages that nobody waits for any more: no server had them, or there were too many gaps.
    pub lost: u64,
    /// Messages that no line brought, and answers to requests did.
    pub recovered: u64,
    /// Datagrams that were handed on without those of their messages that had come before.
    pub cut: u64,
    /// Datagrams that were handed on whole, although some of their messages had come before.
    pub partly_new: u64,
    /// What was asked for; absent when nothing is to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<RequestsView>,
}

/// What was asked for, of what no line brought.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Requests")]
pub struct RequestsView {
    /// Requests that were sent.
    pub sent: u64,
    /// Ranges in them that had been asked for before.
    pub repeated: u64,
    /// Messages that were wanted.
    pub wanted: u64,
    /// Messages of those that a line brought after all.
    pub came: u64,
    /// Messages of those that no server had, or none in time.
    pub given_up: u64,
    /// Requests that the system did not take.
    pub unsent: u64,
}

/// What became of the messages of one line.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Line")]
pub struct LineView {
    /// The name of its feed.
    pub feed: String,
    /// Messages that came here first.
    pub first: u64,
    /// Messages that had come before.
    pub duplicates: u64,
    /// Messages that were dropped too: too far ahead to be believed, or of a line whose numbers
    /// began again while those of others went on.
    pub refused: u64,
}

/// What is to be known of a change that was made.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Warnings")]
pub struct WarningList {
    /// Each with the cure.
    pub warnings: Vec<String>,
}

/// What became of every packet: `received = delivered + Σ discarded`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Ledger")]
pub struct LedgerView {
    /// Packets that reached the ports.
    pub received: u64,
    /// Their bytes, of those that we read.
    pub received_bytes: u64,
    /// Packets that belong to a feed.
    pub selected: u64,
    /// Packets that were handled to the end.
    pub delivered: u64,
    /// The others, by reason.
    pub discarded: BTreeMap<String, u64>,
    /// `received − delivered − Σ discarded`: 0, or there is a bug.
    pub difference: i64,
}

/// `offered = copied + Σ discarded`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Account {
    /// Datagrams of the feed, for a subscriber: while it subscribed.
    pub offered: u64,
    /// Copies that left; for a feed: datagrams that were handed on.
    pub copied: u64,
    /// UDP payload bytes of what was copied.
    pub bytes: u64,
    /// The others, by reason.
    pub discarded: BTreeMap<String, u64>,
}

/// A feed with its account.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Feed")]
pub struct FeedView {
    /// What it is.
    #[serde(flatten)]
    #[schemars(with = "FeedShape")]
    pub feed: Feed,
    /// How many subscribers it has.
    pub subscribers: usize,
    /// Its account.
    pub account: Account,
}

/// All feeds.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct FeedList {
    /// In the order in which they were configured.
    pub feeds: Vec<FeedView>,
}

/// A subscriber with its state and its account.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Subscriber")]
pub struct SubscriberView {
    /// The feed that it gets copies of.
    pub feed: String,
    /// What it asked for.
    #[serde(flatten)]
    #[schemars(with = "SubscriberShape")]
    pub subscriber: Subscriber,
    /// `ready`, or the reason under which its copies are discarded now, such as `no_neighbour`.
    pub state: String,
    /// Seconds until its lease ends; absent without a lease.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in_s: Option<f64>,
    /// Its account.
    pub account: Account,
    /// What keeps copies from it, or may, and whether a restart would forget it, with the cure.
    /// Absent when all is well, and in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// Subscribers of one feed.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SubscriberList {
    /// In the order of their addresses.
    pub subscribers: Vec<SubscriberView>,
    /// How many there are, on this page and on others.
    pub total: usize,
    /// The `after` of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// The accounts of everything.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CounterList {
    /// What became of every packet that reached the ports.
    pub ledger: LedgerView,
    /// One for each feed.
    pub feeds: Vec<FeedCounters>,
}

/// The account of a feed and those of its subscribers.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct FeedCounters {
    /// The feed.
    pub name: String,
    /// Its account.
    pub account: Account,
    /// The accounts of its subscribers by their addresses.
    pub subscribers: BTreeMap<String, Account>,
}

/// The counters that are not 0, by the name of their reason.
pub fn by_name(counters: &Counters) -> BTreeMap<String, u64> {
    counters.nonzero().map(|(reason, count)| (reason.as_str().to_owned(), count)).collect()
}

impl From<Merged> for MergedView {
    fn from(merged: Merged) -> Self {
        let Merged { lines, gaps, missing, lost, recovered, cut, partly_new, requests } = merged;
        let view = |line: LineMessages| {
            let LineMessages { feed, first, duplicates, refused } = line;
            LineView { feed, first, duplicates, refused }
        };
        let lines = lines.into_iter().map(view).collect();
        let requests = requests.map(RequestsView::from);
        MergedView { lines, gaps, missing, lost, recovered, cut, partly_new, requests }
    }
}

impl From<Requests> for RequestsView {
    fn from(requests: Requests) -> Self {
        let Requests { sent, repeated, wanted, came, given_up, unsent } = requests;
        RequestsView { sent, repeated, wanted, came, given_up, unsent }
    }
}

impl From<&Counts> for Account {
    fn from(counts: &Counts) -> Self {
        Account {
            offered: counts.offered(),
            copied: counts.copied,
            bytes: counts.bytes,
            discarded: by_name(&counts.discarded),
        }
    }
}

impl From<&Ledger> for LedgerView {
    fn from(ledger: &Ledger) -> Self {
        LedgerView {
            received: ledger.received,
            received_bytes: ledger.received_bytes,
            selected: ledger.selected,
            delivered: ledger.delivered,
            discarded: by_name(&ledger.discarded),
            difference: ledger.difference(),
        }
    }
}

impl SubscriberView {
    /// A line of the table at `now`.
    pub fn new(feed: &str, listed: Listed, status: &Status, now: Instant) -> Self {
        let expires_in_s = listed.remaining(now).map(|left| left.as_secs_f64());
        let state = match listed.path {
            Ok(_) => "ready",
            // No way for frames, such as to this machine itself; sockets have one.
            Err(Reason::NoEgress) if status.mode != "xdp" => "ready",
            Err(reason) => reason.as_str(),
        };
        let state = state.to_owned();
        let account = (&listed.counts).into();
        let subscriber = listed.subscriber;
        let (feed, warnings) = (feed.to_owned(), Vec::new());
        SubscriberView { feed, subscriber, state, expires_in_s, account, warnings }
    }
}

/// The schema of [`Subscriber`]: the type itself belongs to a crate that knows no schemas. A test
/// holds the two together.
#[derive(JsonSchema)]
#[schemars(rename = "SubscriberSettings")]
#[expect(dead_code, reason = "a shape for the description")]
struct SubscriberShape {
    /// Where the copies go: a unicast address or a multicast group, and the port.
    address: String,
    /// For people and metrics: letters, digits, `.`, `_`, `-`.
    #[schemars(length(min = 1, max = 64))]
    name: Option<String>,
    /// Only datagrams that pass this filter expression, which sees the original.
    filter: Option<String>,
    /// Where copies say they come from: our interface, or the sender of the original. `interface`
    /// when absent.
    source: Option<SourceShape>,
    /// TTL (IPv4) or hop limit (IPv6) of the copies; 64 when absent.
    #[schemars(range(min = 1, max = 255))]
    ttl: Option<u8>,
    /// Differentiated services code point of the copies; 0 when absent.
    #[schemars(range(min = 0, max = 63))]
    dscp: Option<u8>,
    /// The UDP checksum of the copies; `update` when absent.
    udp_checksum: Option<ChecksumShape>,
    /// Seconds until it is removed unless renewed; never when absent.
    #[schemars(range(min = 1, max = 2_592_000))]
    lease_s: Option<u32>,
    /// The interface that the copies leave by; the route decides when absent.
    interface: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(rename = "SourceAddress", rename_all = "snake_case")]
#[expect(dead_code, reason = "a shape for the description")]
enum SourceShape {
    Interface,
    Keep,
}

#[derive(JsonSchema)]
#[schemars(rename = "UdpChecksum", rename_all = "snake_case")]
#[expect(dead_code, reason = "a shape for the description")]
enum ChecksumShape {
    Update,
    Compute,
    Zero,
    ZeroOverIpv6,
}

/// The schema of [`Feed`].
#[derive(JsonSchema)]
#[schemars(rename = "FeedSettings")]
#[expect(dead_code, reason = "a shape for the description")]
struct FeedShape {
    /// Its name: letters, digits, `.`, `_`, `-`.
    name: String,
    /// Where the datagrams are sent to: a multicast group or an address of ours, and the port.
    listen: String,
    /// Only datagrams of this sender (source-specific multicast).
    source: Option<String>,
    /// The interface that they arrive at.
    interface: Option<String>,
    /// The receive queues of that interface; all of them when absent.
    queues: Option<Vec<u32>>,
    /// Only datagrams whose outermost VLAN tag has this identifier.
    #[schemars(range(min = 1, max = 4094))]
    vlan: Option<u16>,
    /// Only datagrams that pass this filter expression.
    filter: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::collections::BTreeSet;

    fn keys(value: &Value) -> BTreeSet<String> {
        value.as_object().expect("an object").keys().cloned().collect()
    }

    #[test]
    fn the_shapes_are_those_of_the_types() {
        let subscriber = json!({
            "address": "10.0.0.2:5000", "name": "a", "filter": "udp", "source": "keep", "ttl": 3,
            "dscp": 4, "udp_checksum": "zero", "lease_s": 5, "interface": "eth0",
        });
        // The type takes all of these, knows no others, and gives them back.
        let read: Subscriber = serde_json::from_value(subscriber.clone()).expect("all known");
        assert_eq!(serde_json::to_value(read).expect("JSON"), subscriber);
        let schema = schemars::schema_for!(SubscriberShape).to_value();
        assert_eq!(keys(&schema["properties"]), keys(&subscriber));
        assert_eq!(schema["required"], json!(["address"]));

        let feed = json!({
            "name": "a", "listen": "239.1.1.1:5000", "source": "10.0.0.1", "interface": "eth0",
            "queues": [0], "vlan": 5, "filter": "udp",
        });
        let read: Feed = serde_json::from_value(feed.clone()).expect("all known");
        assert_eq!(serde_json::to_value(read).expect("JSON"), feed);
        let schema = schemars::schema_for!(FeedShape).to_value();
        assert_eq!(keys(&schema["properties"]), keys(&feed));
        assert_eq!(schema["required"], json!(["name", "listen"]));
        assert_eq!(tickwire_replicate::LEASE_S_MAX, 2_592_000);
        assert_eq!(tickwire_replicate::NAME_BYTES_MAX, 64);
    }

    #[test]
    fn the_words_are_those_of_the_types() {
        let words = |schema: Value| -> Vec<String> {
            serde_json::from_value(schema["enum"].clone()).expect("words")
        };
        for word in words(schemars::schema_for!(SourceShape).to_value()) {
            let read = serde_json::from_value::<tickwire_replicate::SourceAddress>(json!(word));
            assert!(read.is_ok(), "{word}");
        }
        for word in words(schemars::schema_for!(ChecksumShape).to_value()) {
            let read = serde_json::from_value::<tickwire_replicate::UdpChecksum>(json!(word));
            assert!(read.is_ok(), "{word}");
        }
    }
}
