//! The resources of a responder behind a real server: brakes, resets, refusals, figures, authority.

mod common;

use common::{Rig, TOKEN, check_metrics, request};
use tickwire_control::limits::BODY_BYTES_MAX;
use tickwire_control::respond::types::ConnectionList;

#[test]
fn brakes_hold_until_they_are_taken_off() {
    let mut rig = Rig::responder("brakes");
    let ask = |what: &str, body: &str| rig.ask("POST", &format!("/v1/{what}"), body);
    let enabled = ask("enable", "");
    assert_eq!((enabled.status(), &enabled.json()["enabled"]), (200, &true.into()));
    assert_eq!(ask("kill", "").json()["killed"], true);
    ask("enable", "").expect_refusal(409, "killed");
    let reset = ask("reset", r#"{"kill_switch":true}"#).json();
    assert_eq!((&reset["killed"], &reset["enabled"]), (&false.into(), &false.into()));
    assert_eq!(ask("enable", "").json()["enabled"], true);
    assert_eq!(ask("disable", "").json()["enabled"], false);

    // Every change is logged: who, what, result. Reading is not.
    rig.ask("GET", "/v1/status", "");
    rig.stop();
    let lines = rig.lines.text();
    assert!(lines.contains("POST /v1/reset {\"kill_switch\":true}: 200 OK\n"), "{lines}");
    assert!(lines.contains("POST /v1/enable: 409 Conflict\n"), "{lines}");
    assert!(lines.matches("tickwire: control: uid ").count() == 6 && !lines.contains("GET"));
}

#[test]
fn positions_are_reset_by_name_and_only_while_nothing_is_sent() {
    let rig = Rig::responder("resets");
    let reset = |body: &str| rig.ask("POST", "/v1/reset", body);
    rig.ask("POST", "/v1/enable", "");
    reset(r#"{"positions":true}"#).expect_refusal(409, "enabled");
    assert!(rig.job.state().contains("resets: []"));
    assert_eq!((reset("{}").status(), reset(r#"{"gaps":true}"#).status()), (200, 200));
    rig.ask("POST", "/v1/disable", "");
    assert_eq!(reset(r#"{"positions":true}"#).status(), 200);
    let state = rig.job.state();
    for what in [
        "Reset { kill_switch: false, gaps: false, positions: false }",
        "Reset { kill_switch: false, gaps: true, positions: false }",
        "Reset { kill_switch: false, gaps: false, positions: true }",
    ] {
        assert_eq!(state.matches(what).count(), 1, "{what} in {state}");
    }
}

#[test]
fn every_refusal_is_json_with_its_status_and_changes_nothing() {
    let rig = Rig::responder("refusals");
    let before = rig.job.state();
    let long = " ".repeat(BODY_BYTES_MAX + 1);
    let rows = [
        ("POST", "/v1/reset", r#"{"position":true}"#, 400, "invalid_body"),
        ("POST", "/v1/reset", r#"{"positions":1}"#, 400, "invalid_body"),
        ("POST", "/v1/reset", "[]", 400, "invalid_body"),
        ("POST", "/v1/reset", "", 415, "content_type"),
        ("POST", "/v1/reset", &long, 413, "body_too_long"),
        ("POST", "/v1/enabled", "", 404, "no_such_resource"),
        ("GET", "/v1/feeds", "", 404, "no_such_resource"),
        ("GET", "/v1/kill", "", 405, "method_not_allowed"),
        ("DELETE", "/v1/status", "", 405, "method_not_allowed"),
    ];
    for (method, target, body, status, code) in rows {
        rig.ask(method, target, body).expect_refusal(status, code);
    }
    assert_eq!(rig.job.state(), before);
    rig.job.broken("worker");
    rig.ask("POST", "/v1/kill", "").expect_refusal(504, "unconfirmed");
    rig.ask("POST", "/v1/reload", "").expect_refusal(422, "not_reloaded");
    rig.job.broken("disk");
    rig.ask("POST", "/v1/kill", "").expect_refusal(507, "not_kept");
    rig.ask("POST", "/v1/reset", "{}").expect_refusal(507, "not_kept");
}

#[test]
fn over_tcp_only_the_token_pulls_the_brakes() {
    let rig = Rig::responder("token");
    let before = rig.job.state();
    for fields in ["", "Authorization: Bearer 0123456789abcdef0123456789abcdee\r\n"] {
        for target in ["enable", "disable", "kill", "reset", "reload"] {
            let asked = request("POST", &format!("/v1/{target}"), fields, "{}");
            rig.raw_tcp(asked.as_bytes()).expect_refusal(401, "unauthorized");
        }
        for target in ["status", "stats", "connections", "config"] {
            let asked = request("GET", &format!("/v1/{target}"), fields, "");
            rig.raw_tcp(asked.as_bytes()).expect_refusal(401, "unauthorized");
        }
    }
    assert_eq!(rig.job.state(), before);
    let fields = format!("Authorization: Bearer {TOKEN}\r\n");
    let killed = rig.raw_tcp(request("POST", "/v1/kill", &fields, "").as_bytes());
    assert_eq!(killed.json()["killed"], true);
}

#[test]
fn figures_can_be_read() {
    let rig = Rig::responder("figures");
    let read = |what: &str| rig.ask("GET", &format!("/v1/{what}"), "").json();
    assert_eq!(rig.ask("POST", "/v1/reload", "").json()["rules"], 2);
    assert_eq!(read("status")["feeds"][0]["abandoned"], 5);
    assert_eq!(read("stats")["positions"][0]["net"], -100);
    assert_eq!(read("config")["limits"]["quantity"], 100);
    let list: ConnectionList = serde_json::from_value(read("connections")).expect("a list");
    assert_eq!(list.connections[0].peer, "10.0.0.2:9999");
}

#[test]
fn metrics_are_prometheus_text() {
    let rig = Rig::responder("metrics");
    let lines = [
        "tickwire_received_packets_total 1012",
        "tickwire_discarded_packets_total{reason=\"not_selected\"} 2",
        "tickwire_unaccounted_packets 0.0",
        "tickwire_respond_mode{mode=\"af_xdp\"} 1.0",
        "tickwire_respond_warnings 1.0",
        "tickwire_respond_enabled 0.0",
        "tickwire_respond_killed 0.0",
        "tickwire_respond_messages_total 1010",
        "tickwire_respond_orders_total 9",
        "tickwire_respond_refused_orders_total{reason=\"order_rate\"} 6",
        "tickwire_respond_feed_stale{feed=\"ticks\"} 1.0",
        "tickwire_respond_feed_messages_total{feed=\"ticks\"} 1010",
        "tickwire_respond_feed_malformed_packets_total{feed=\"ticks\"} 2",
        "tickwire_respond_feed_missing_messages{feed=\"ticks\"} 3.0",
        "tickwire_respond_feed_lost_messages{feed=\"ticks\"} 4.0",
        "tickwire_respond_feed_abandoned_messages_total{feed=\"ticks\"} 5",
        "tickwire_respond_target_ready{target=\"exchange\"} 1.0",
        "tickwire_respond_unsent_orders_total{target=\"exchange\",reason=\"not_connected\"} 1",
        "tickwire_respond_process_time_seconds{quantile=\"0.5\"} 0.000002",
        "tickwire_respond_rule_triggers_total{rule=\"below\"} 15",
        "tickwire_respond_audit_lost_records_total{reason=\"disk_full\"} 1",
    ];
    check_metrics(&rig.ask("GET", "/metrics", "").body(), &lines);
}
