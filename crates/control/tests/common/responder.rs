//! The brakes of a responder, without one.

use serde_json::{Value, json};
use std::sync::Mutex;
use tickwire_control::respond::types::{ConnectionList, ReloadView, Reset, StatsView, StatusView};
use tickwire_control::respond::{Refusal, RespondControl};

/// What a responder is to the control plane: switches, and what was reset.
#[derive(Debug, Default)]
pub struct Responder(Mutex<State>);

#[derive(Clone, Debug, Default)]
struct State {
    enabled: bool,
    killed: bool,
    /// What cannot be done: written down, confirmed.
    broken: Option<&'static str>,
    resets: Vec<Reset>,
}

impl Responder {
    /// From now on the state file cannot be written (`disk`), or a worker hangs (`worker`).
    pub fn broken(&self, what: &'static str) {
        self.0.lock().expect("no panic").broken = Some(what);
    }

    /// Everything that a request could change.
    pub fn state(&self) -> String {
        format!("{:?}", self.0.lock().expect("no panic"))
    }
}

fn not_kept() -> Refusal {
    Refusal::NotKept { why: "No space left on device (os error 28)".to_owned() }
}

fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("of this shape")
}

impl RespondControl for Responder {
    fn status(&self) -> StatusView {
        let State { enabled, killed, .. } = *self.0.lock().expect("no panic");
        let feed = json!({
            "name": "ticks", "protocol": "itch50", "listen": "239.1.1.1:8080", "transport": "udp",
            "multicast": true, "stale": true, "messages": 1_010, "malformed": 2, "missing": 3,
            "lost": 4, "abandoned": 5,
        });
        let target = json!({
            "name": "exchange", "format": "ouch50", "transport": "tcp", "ready": true, "sent": 9,
            "address": "10.0.0.2:9999", "way": "session", "unsent": { "not_connected": 1 },
        });
        read(json!({
            "job": "respond", "version": "1", "pid": 7, "uptime_s": 1.5, "mode": "af_xdp",
            "mode_reason": "", "enabled": enabled, "killed": killed, "feeds": [feed],
            "targets": [target], "packets_processed": 1_010, "packets_bypassed": 2,
            "responses_sent": 9, "errors": 1, "refused": { "order_rate": 6 },
            "active_connections": 1, "dropped_connections": 0,
            "process_time": {
                "count": 9, "min_ns": 1_000, "mean_ns": 2_000.5, "max_ns": 3_000, "stdev_ns": 1.0,
                "percentiles_ns": { "p50": 2_000, "p99.9": 3_000 },
            },
            "debug": {
                "queue_full_events": 0, "checksum_errors": 0, "memory_allocations": 0,
                "last_error": { "text": "not_connected", "at_ns": 5 },
            },
            "ledger": {
                "received": 1_012, "received_bytes": 66_000, "selected": 1_010, "delivered": 1_010,
                "discarded": { "not_selected": 2 }, "difference": 0,
            },
            "warnings": ["feed ticks: 3 messages are missing"],
        }))
    }

    fn stats(&self) -> StatsView {
        read(json!({
            "process_time": null,
            "rules": [{ "name": "below", "triggers": 15, "orders": 9, "refused": {
                "order_rate": 6,
            } }],
            "positions": [{ "symbol": "AAPL", "net": -100, "open_buy": 0, "open_sell": 100 }],
            "audit": { "file": "/audit", "written": 15, "lost": { "disk_full": 1 } },
        }))
    }

    fn connections(&self) -> ConnectionList {
        read(json!({ "connections": [{
            "peer": "10.0.0.2:9999", "transport": "tcp", "of": "exchange", "state": "active",
            "packets": 5, "bytes": 500, "dropped": {}, "last_ns": 1,
        }], "forgotten": 0 }))
    }

    fn config(&self) -> Value {
        json!({ "limits": { "quantity": 100 } })
    }

    fn reload(&self) -> Result<ReloadView, Refusal> {
        match self.0.lock().expect("no panic").broken {
            Some(_) => Err(Refusal::NotReloaded { why: "line 7: no such field".to_owned() }),
            None => Ok(ReloadView { rules: 2, ..ReloadView::default() }),
        }
    }

    fn enable(&self, on: bool) -> Result<(), Refusal> {
        let mut state = self.0.lock().expect("no panic");
        if on && state.killed {
            return Err(Refusal::Killed);
        }
        state.enabled = on;
        Ok(())
    }

    fn kill(&self) -> Result<(), Refusal> {
        let mut state = self.0.lock().expect("no panic");
        state.killed = true;
        match state.broken {
            Some("disk") => Err(not_kept()),
            Some(_) => Err(Refusal::Unconfirmed { worker: "eth1 queue 0".to_owned(), ms: 1_000 }),
            None => Ok(()),
        }
    }

    fn reset(&self, what: Reset) -> Result<(), Refusal> {
        let mut state = self.0.lock().expect("no panic");
        if what.positions && state.enabled && !state.killed {
            return Err(Refusal::Enabled);
        }
        state.killed &= !what.kill_switch;
        state.enabled &= !what.kill_switch;
        state.resets.push(what);
        if state.broken == Some("disk") { Err(not_kept()) } else { Ok(()) }
    }
}
