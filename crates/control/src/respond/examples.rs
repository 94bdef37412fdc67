//! The examples of the description. They are values of the types themselves, so they have the shape
//! that the server sends.

use super::Refusal;
use super::types::{
    AuditView, ConnectionList, ConnectionView, DebugView, FeedView, KernelView, LastError,
    PositionView, ProcessTime, ReloadView, Reset, RuleView, StatsView, StatusView, TargetView,
};
use crate::error::ApiError;
use crate::replicate::types::LedgerView;
use std::collections::BTreeMap;

fn counts(reasons: &[(&str, u64)]) -> BTreeMap<String, u64> {
    reasons.iter().map(|&(reason, count)| (reason.to_owned(), count)).collect()
}

fn process_time() -> Option<ProcessTime> {
    let percentiles = [("p50", 1_950), ("p90", 2_200), ("p99", 3_400), ("p99.9", 9_000)];
    Some(ProcessTime {
        count: 1_000,
        min_ns: 1_800,
        mean_ns: 2_010.5,
        max_ns: 12_400,
        stdev_ns: 410.2,
        percentiles_ns: counts(&percentiles),
    })
}

pub(super) fn status() -> StatusView {
    StatusView {
        job: "respond".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: 4_712,
        uptime_s: 3_600.25,
        mode: "xdp".to_owned(),
        mode_reason: String::new(),
        enabled: true,
        killed: false,
        feeds: vec![FeedView {
            name: "ticks".to_owned(),
            protocol: "nanonet".to_owned(),
            listen: "239.1.1.1:8080".to_owned(),
            transport: "udp".to_owned(),
            multicast: true,
            stale: false,
            messages: 1_010,
            malformed: 0,
            missing: 0,
            lost: 0,
            abandoned: 0,
        }],
        targets: vec![TargetView {
            name: "exchange".to_owned(),
            format: "nanonet".to_owned(),
            transport: "udp".to_owned(),
            address: "192.168.1.100:9999".to_owned(),
            way: "xdp".to_owned(),
            ready: true,
            sent: 1_000,
            unsent: BTreeMap::new(),
        }],
        packets_processed: 1_010,
        packets_bypassed: 3,
        responses_sent: 1_000,
        errors: 0,
        refused: counts(&[("order_rate", 10)]),
        active_connections: 1,
        dropped_connections: 0,
        process_time: process_time(),
        debug: DebugView {
            checksum_errors: 1,
            last_error: Some(LastError {
                text: "tx_ring_full".to_owned(),
                at_ns: 1_700_000_000_000_000_000,
            }),
            ..DebugView::default()
        },
        kernel: Some(KernelView {
            rules: 1,
            rules_in_user_space: 0,
            lease_ms: 100,
            lease_left_ms: 96,
            intents: 1_010,
            orders: 1_000,
            other_ticks: 12,
            busy_ticks: 0,
            lost_records: 0,
            stopped: false,
        }),
        ledger: LedgerView {
            received: 1_013,
            received_bytes: 66_858,
            selected: 1_010,
            delivered: 1_010,
            discarded: counts(&[("not_selected", 3)]),
            difference: 0,
        },
        warnings: Vec::new(),
    }
}

pub(super) fn stats() -> StatsView {
    StatsView {
        process_time: process_time(),
        rules: vec![RuleView {
            name: "below-100".to_owned(),
            triggers: 1_010,
            orders: 1_000,
            refused: counts(&[("order_rate", 10)]),
        }],
        positions: vec![PositionView {
            symbol: "AAPL".to_owned(),
            net: 100_000,
            open_buy: 0,
            open_sell: 0,
        }],
        audit: Some(AuditView {
            file: "/var/log/tickwire/orders.audit".to_owned(),
            written: 1_010,
            lost: BTreeMap::new(),
        }),
    }
}

pub(super) fn connections() -> ConnectionList {
    ConnectionList {
        connections: vec![ConnectionView {
            peer: "10.0.0.2:40000".to_owned(),
            transport: "udp".to_owned(),
            of: "ticks".to_owned(),
            state: "active".to_owned(),
            packets: 1_010,
            bytes: 24_240,
            dropped: BTreeMap::new(),
            last_ns: 1_700_000_000_000_000_000,
        }],
        forgotten: 0,
    }
}

pub(super) fn reloaded() -> ReloadView {
    ReloadView {
        rules_before: 1,
        rules: 2,
        rules_in_kernel: Some(1),
        added: vec!["crossed".to_owned()],
        changed: vec!["below-100".to_owned()],
        out_of_kernel: vec!["MSFT".to_owned()],
        ..ReloadView::default()
    }
}

pub(super) fn not_reloaded() -> ApiError {
    let why = "rules.toml: line 31, column 8: rule \"low\": there is no field \"prise\"".to_owned();
    Refusal::NotReloaded { why }.into()
}

pub(super) fn reset() -> Reset {
    Reset { kill_switch: true, gaps: false, positions: false }
}

pub(super) fn killed() -> ApiError {
    Refusal::Killed.into()
}

pub(super) fn enabled() -> ApiError {
    Refusal::Enabled.into()
}

pub(super) fn not_kept() -> ApiError {
    Refusal::NotKept { why: "No space left on device (os error 28)".to_owned() }.into()
}

pub(super) fn unconfirmed() -> ApiError {
    Refusal::Unconfirmed { worker: "eth1 queue 0".to_owned(), ms: 1_000 }.into()
}
