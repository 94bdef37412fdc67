//! `tickwire ctl` against a real control server.

mod common;
#[path = "../../control/tests/common/mod.rs"]
mod rig;

use common::{Ran, run};
use rig::Rig;
use tickwire_control::Limits;

fn ctl(rig: &Rig, args: &[&str]) -> Ran {
    let path = rig.path.display().to_string();
    run(&[&["ctl", "--control", &path, "replicate"], args].concat())
}

#[test]
fn a_subscriber_comes_is_seen_and_goes() {
    let rig = Rig::new("ctl-life");
    let add = ["add", "--feed", "itch", "10.0.0.2:5000", "--name", "risk", "--lease", "5m"];
    let added = ctl(&rig, &add).expect_code(0);
    assert_eq!(added.text(), "10.0.0.2:5000 added to feed itch\n");
    let again = ctl(&rig, &add).expect_code(0);
    assert!(again.text().contains("was there already"), "{again:?}");
    let other = ["add", "--feed", "itch", "10.0.0.2:5000", "--ttl", "3"];
    ctl(&rig, &other).expect_message(1, &["other settings", "--replace", "subscriber_exists"]);
    let replaced = ctl(&rig, &[&other[..], &["--replace", "--json"]].concat()).expect_code(0);
    assert_eq!(
        (&replaced.summary()["ttl"], &replaced.summary()["feed"]),
        (&3.into(), &"itch".into())
    );
    ctl(&rig, &["add", "--feed", "order-entry", "[2001:db8::2]:5000"]).expect_code(0);

    let all = ctl(&rig, &["list", "--json"]).expect_code(0).summary();
    assert_eq!(
        (&all["total"], &all["subscribers"][1]["address"]),
        (&2.into(), &"[2001:db8::2]:5000".into())
    );
    let one = ctl(&rig, &["list", "--feed", "itch"]).expect_code(0);
    assert_eq!(
        one.text(),
        "FEED  ADDRESS        NAME  STATE         LEASE  OFFERED  COPIED  DISCARDED\n\
         itch  10.0.0.2:5000  -     no_neighbour  -            0       0  -\n"
    );
    ctl(&rig, &["renew", "--feed", "itch", "10.0.0.2:5000"]).expect_code(0);
    let removed = ctl(&rig, &["remove", "--feed", "itch", "10.0.0.2:5000"]).expect_code(0);
    assert_eq!(removed.text(), "10.0.0.2:5000 removed from feed itch\n");
    ctl(&rig, &["remove", "--feed", "itch", "10.0.0.2:5000"])
        .expect_message(1, &["does not subscribe", "`tickwire ctl replicate list` lists"]);
    assert!(rig.job.addresses("itch").is_empty());

    let status = ctl(&rig, &["status"]).expect_code(0);
    for part in
        ["mode af_xdp (the \"test\" says so)", "up 00:00:01", "0 unaccounted", "239.1.1.1:26400"]
    {
        assert!(status.text().contains(part), "no '{part}' in {}", status.text());
    }
    assert_eq!(ctl(&rig, &["status", "--json"]).expect_code(0).summary()["mode"], "af_xdp");
}

/// One row a message: what the user types, the exit code, and what the message has to say.
#[test]
fn every_refusal_says_why_and_what_to_do() {
    let rig = Rig::new("ctl-refused");
    let rows: &[(&[&str], i32, &[&str])] = &[
        (&["add", "10.0.0.2:5000"], 2, &["itch, order-entry", "--feed NAME"]),
        (&["add", "10.0.0.2"], 2, &["has no port", "10.0.0.2:5000"]),
        (&["add", "10.0.0.2:5000", "--source", "kept"], 2, &["interface", "keep"]),
        (&["add", "10.0.0.2:5000", "--udp-checksum", "no"], 2, &["zero_over_ipv6"]),
        (&["add", "10.0.0.2:5000", "--lease", "1.5s"], 2, &["whole seconds"]),
        (&["add", "10.0.0.2:5", "--feed", "x"], 1, &["itch, order-entry", "unknown_feed"]),
        (&["add", "10.0.0.2:5", "--feed", "a/../b?"], 1, &["unknown_feed"]),
        (&["add", "10.0.0.2:5", "--feed", "itch", "--dscp", "64"], 1, &["use 0 to 63", "--help"]),
        (&["add", "10.0.0.2:5", "--feed", "itch", "--filter", "udp and"], 1, &["udp and"]),
        (&["list", "--feed", "x"], 1, &["unknown_feed", "ctl replicate status` lists the feeds"]),
    ];
    for (args, code, words) in rows {
        ctl(&rig, args).expect_message(*code, words);
    }
    assert_eq!(rig.job.state(), "[] []");
}

/// The change is made, so it is a success; standard error says what is to be known of it.
#[test]
fn warnings_come_with_success() {
    let rig = Rig::new("ctl-warned");
    let hindered = format!("10.0.0.2:{}", rig::HINDERED);
    let one = ["--feed", "itch", &hindered];
    let added = ctl(&rig, &[&["add"], &one[..]].concat()).expect_code(0);
    assert_eq!(added.stderr, "tickwire: warning: it is hindered; mend it\n");
    rig.job.keep(false);
    let renewed = ctl(&rig, &[&["renew"], &one[..]].concat()).expect_code(0);
    assert!(renewed.stderr.contains("hindered") && renewed.stderr.contains("not kept"));
    let removed = ctl(&rig, &[&["remove"], &one[..]].concat()).expect_code(0);
    assert_eq!(removed.text(), format!("{hindered} removed from feed itch\n"));
    assert_eq!(removed.stderr, "tickwire: warning: it is not kept; mend it\n");
    let status = ctl(&rig, &["status"]).expect_code(0);
    assert!(status.text().ends_with("\nwarning: it is not kept; mend it\n"), "{status:?}");
    rig.job.keep(true);
    let status = ctl(&rig, &["status"]).expect_code(0);
    assert!(!status.text().contains("warning"), "{status:?}");
}

#[test]
fn who_asks_too_often_is_told_to_wait() {
    let limits = Limits { requests_per_second: 1, requests_burst: 1, ..rig::generous() };
    let rig = Rig::with("ctl-rate", &limits);
    let words = ["more than 1 requests a second", "wait a second", "429", "too_many_requests"];
    // One for the feeds, one for their subscribers.
    ctl(&rig, &["list"]).expect_message(1, &words);
}

#[test]
fn without_a_server_the_cure_is_said() {
    let socket = "/nonexistent/tickwire.sock";
    let there = ["/nonexistent/tickwire.sock", "is tickwire running with --control"];
    run(&["ctl", "--control", socket, "replicate", "list"]).expect_message(1, &there);
    let long = format!("/tmp/{}", "x".repeat(103));
    let too_long = ["108 bytes long and the kernel takes 107", "shorter path"];
    run(&["ctl", "--control", &long, "replicate", "list"]).expect_message(1, &too_long);
    let check = ["replicate", "--listen", "127.0.0.1:5000", "--control", &long, "--check"];
    run(&check).expect_message(1, &[too_long[0], "shorter --control PATH"]);
    run(&["ctl", "replicate", "list"]).expect_message(2, &["--control <PATH>"]);
    // Somebody listens there who does not speak HTTP.
    let path = std::env::temp_dir().join(format!("tickwire-ctl-mute-{}", std::process::id()));
    let listener = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
    let mute = std::thread::spawn(move || {
        use std::io::Write;
        let (mut stream, _) = listener.accept().expect("a client");
        let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n");
    });
    let name = path.display().to_string();
    run(&["ctl", "--control", &name, "replicate", "status"]).expect_message(1, &["control socket"]);
    mute.join().expect("no panic");
    rig::remove(&path);
}
