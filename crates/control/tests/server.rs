//! A real server on a socket of its own, driven by raw bytes.

mod common;

use common::{EXCHANGE_SECONDS_MAX, Rig, TOKEN, check_metrics, exchange, generous, read, request};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};
use tickwire_control::Limits;
use tickwire_control::client;
use tickwire_control::limits::{BODY_BYTES_MAX, HEAD_BYTES_MAX};

const SUBSCRIBERS: &str = "/v1/feeds/itch/subscribers";
const ONE: &str = r#"{"address":"10.0.0.2:5000","name":"a","lease_s":60}"#;

#[test]
fn a_subscriber_comes_is_seen_renewed_changed_and_goes() {
    let mut rig = Rig::new("life");
    let added = rig.ask("POST", SUBSCRIBERS, ONE);
    assert_eq!(added.status(), 201);
    assert!(added.text().contains("location: /v1/feeds/itch/subscribers/10.0.0.2:5000\r\n"));
    let json = added.json();
    assert_eq!((&json["feed"], &json["name"]), (&"itch".into(), &"a".into()));
    assert_eq!(json["state"], "no_neighbour");
    assert!(json["expires_in_s"].as_f64().is_some_and(|left| (0.0..=60.0).contains(&left)));

    let one = format!("{SUBSCRIBERS}/10.0.0.2:5000");
    assert_eq!(rig.ask("POST", SUBSCRIBERS, ONE).status(), 200);
    let other = r#"{"address":"10.0.0.2:5000","ttl":3}"#;
    rig.ask("POST", SUBSCRIBERS, other).expect_refusal(409, "subscriber_exists");
    assert_eq!(rig.ask("POST", &format!("{one}/renew"), "").status(), 200);
    assert_eq!(rig.ask("PUT", &one, other).json()["ttl"], 3);
    rig.ask("PUT", &one, r#"{"address":"10.0.0.3:5000"}"#).expect_refusal(400, "address_differs");
    // The same address, percent-encoded.
    assert_eq!(rig.ask("GET", &format!("{SUBSCRIBERS}/10.0.0.2%3A5000"), "").json()["ttl"], 3);
    let six = rig.ask("POST", SUBSCRIBERS, r#"{"address":"[2001:db8::2]:5000"}"#);
    assert_eq!(six.status(), 201);
    assert_eq!(rig.ask("GET", &format!("{SUBSCRIBERS}/[2001:db8::2]:5000"), "").status(), 200);
    assert_eq!(rig.job.addresses("itch").len(), 2);

    let removed = rig.ask("DELETE", &one, "");
    assert_eq!((removed.status(), removed.body().as_str()), (204, ""));
    rig.ask("DELETE", &one, "").expect_refusal(404, "unknown_subscriber");
    rig.ask("POST", &format!("{one}/renew"), "").expect_refusal(404, "unknown_subscriber");

    // Every change is logged: who, what, result. Reading is not.
    rig.stop();
    let lines = rig.lines.text();
    let uid = rustix::process::geteuid().as_raw();
    let who = format!("tickwire: control: uid {uid} pid {}: ", std::process::id());
    assert_eq!(lines.matches(&who).count(), 10, "{lines}");
    assert!(lines.contains(&format!("{who}POST {SUBSCRIBERS} {ONE}: 201 Created\n")), "{lines}");
    assert!(
        lines.contains(&format!("{who}DELETE {one}: 404 Not Found\n")) && !lines.contains("GET")
    );
}

#[test]
fn pages_hold_everybody_once_and_in_order() {
    let rig = Rig::new("pages");
    for port in (1..=300).rev() {
        let body = format!(r#"{{"address":"10.0.0.2:{port}"}}"#);
        assert_eq!(rig.ask("POST", SUBSCRIBERS, &body).status(), 201);
    }
    let all = rig.ask("GET", SUBSCRIBERS, "").json();
    assert_eq!(
        (all["subscribers"].as_array().map(Vec::len), &all["total"]),
        (Some(300), &300.into())
    );
    assert!(all["next"].is_null());
    let (mut seen, mut after) = (Vec::new(), String::new());
    for page in 0.. {
        let json = rig.ask("GET", &format!("{SUBSCRIBERS}?limit=100{after}"), "").json();
        seen.extend(json["subscribers"].as_array().expect("a list").clone());
        match json["next"].as_str() {
            Some(next) => after = format!("&after={}", client::encode(next)),
            None => {
                assert_eq!(page, 2);
                break;
            }
        }
    }
    assert_eq!(seen, *all["subscribers"].as_array().expect("a list"));
    for query in ["limit=0", "limit=1025", "limit=x", "page=1", "limit=-1"] {
        rig.ask("GET", &format!("{SUBSCRIBERS}?{query}"), "").expect_refusal(400, "invalid_query");
    }
    rig.ask("GET", &format!("{SUBSCRIBERS}?after=x"), "").expect_refusal(400, "invalid_address");
}

#[test]
fn everything_else_can_be_read() {
    let rig = Rig::new("reads");
    let status = rig.ask("GET", "/v1/status", "").json();
    assert_eq!((&status["mode"], &status["feeds"]), (&"af_xdp".into(), &2.into()));
    assert_eq!(status["ledger"]["difference"], 0);
    let feeds = rig.ask("GET", "/v1/feeds", "").json();
    assert_eq!(feeds["feeds"][0]["listen"], "239.1.1.1:26400");
    rig.ask("POST", SUBSCRIBERS, ONE);
    let counters = rig.ask("GET", "/v1/counters", "").json();
    assert_eq!(counters["feeds"][0]["subscribers"]["10.0.0.2:5000"]["offered"], 0);
    assert_eq!(rig.ask("GET", "/healthz", "").body(), "ok\n");
    let head = rig.ask("HEAD", "/healthz", "");
    assert!(head.text().contains("content-length: 3\r\n") && head.body().is_empty());
}

/// One row a violation: the request, the status, the code.
#[test]
fn every_refusal_is_json_with_the_right_status() {
    let rig = Rig::new("refusals");
    let post = |body: &str| request("POST", SUBSCRIBERS, "", body);
    let long = "a".repeat(HEAD_BYTES_MAX);
    let rows: &[(String, u16, &str)] = &[
        ("\r\n\r\nnonsense\r\n\r\n".into(), 400, "malformed_request"),
        ("\u{16}\u{3}\u{1}\u{0}".into(), 400, "malformed_request"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), 505, "http_version"),
        (format!("GET /{long}"), 414, "uri_too_long"),
        (format!("GET / HTTP/1.1\r\nx: {long}"), 431, "head_too_long"),
        (request("GET", "/", "Transfer-Encoding: chunked\r\n", ""), 501, "transfer_encoding"),
        (request("GET", "/", "Content-Length: 65537\r\n", ""), 413, "body_too_long"),
        (post(&" ".repeat(BODY_BYTES_MAX + 1)), 413, "body_too_long"),
        (request("GET", "/v2", "", ""), 404, "no_such_resource"),
        (request("GET", "/v1/feeds/itch/", "", ""), 404, "no_such_resource"),
        (request("BREW", "/v1/status", "", ""), 405, "method_not_allowed"),
        (request("DELETE", SUBSCRIBERS, "", ""), 405, "method_not_allowed"),
        (request("GET", "/v1/feeds/itsch/subscribers", "", ""), 404, "unknown_feed"),
        (request("GET", "/v1/feeds/%ff/subscribers", "", ""), 400, "malformed_path"),
        (request("GET", &format!("{SUBSCRIBERS}/x"), "", ""), 400, "invalid_address"),
        (request("POST", SUBSCRIBERS, "Content-Length: 2\r\n", "") + "{}", 415, "content_type"),
        (post("{"), 400, "invalid_body"),
        (post("{}"), 400, "invalid_body"),
        (post(r#"{"address":"10.0.0.2:1","colour":"red"}"#), 400, "invalid_body"),
        (post(r#"{"address":"10.0.0.2:1","ttl":256}"#), 400, "invalid_body"),
        (post(&"[".repeat(60_000)), 400, "invalid_body"),
        (post(r#"{"address":"10.0.0.2:0"}"#), 422, "invalid_subscriber"),
        (post(r#"{"address":"10.0.0.2:1","dscp":64}"#), 422, "invalid_subscriber"),
        (post(r#"{"address":"10.0.0.2:1","filter":"udp and"}"#), 422, "invalid_subscriber"),
    ];
    let before = rig.job.state();
    for (request, status, code) in rows {
        rig.raw(request.as_bytes()).expect_refusal(*status, code);
    }
    assert_eq!(rig.job.state(), before);
    let refused = rig.ask("DELETE", SUBSCRIBERS, "").text();
    let allow = refused.lines().find(|line| line.starts_with("allow: ")).expect("an Allow field");
    assert!(["GET", "HEAD", "POST"].iter().all(|method| allow.contains(method)), "{allow}");
}

#[test]
fn a_full_table_says_so() {
    let rig = Rig::new("full");
    for port in 1..=1024 {
        let body = format!(r#"{{"address":"10.0.0.2:{port}"}}"#);
        assert_eq!(rig.ask("POST", SUBSCRIBERS, &body).status(), 201);
    }
    let one_more = r#"{"address":"10.0.0.3:1"}"#;
    rig.ask("POST", SUBSCRIBERS, one_more).expect_refusal(409, "table_full");
    assert_eq!(rig.job.addresses("itch").len(), 1024);
}

#[test]
fn a_body_may_wait_for_the_servers_consent() {
    let rig = Rig::new("continue");
    let mut stream = UnixStream::connect(&rig.path).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(EXCHANGE_SECONDS_MAX))).expect("a time");
    let whole = request("POST", SUBSCRIBERS, "Expect: 100-continue\r\n", ONE);
    let (head, body) = whole.split_at(whole.len() - ONE.len());
    stream.write_all(head.as_bytes()).expect("room");
    let mut consent = [0; 25];
    stream.read_exact(&mut consent).expect("consent");
    assert_eq!(&consent, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(body.as_bytes()).expect("room");
    assert_eq!(read(stream).status(), 201);
}

#[test]
fn a_request_in_single_bytes_is_the_same_request() {
    let rig = Rig::new("bytes");
    let mut stream = UnixStream::connect(&rig.path).expect("it listens");
    for byte in request("POST", SUBSCRIBERS, "", ONE).bytes() {
        stream.write_all(&[byte]).expect("room");
    }
    assert_eq!(read(stream).status(), 201);
}

#[test]
fn a_slow_client_is_told_and_others_are_served_meanwhile() {
    // Long enough for the others on a busy machine.
    const LIMIT: Duration = Duration::from_millis(1500);
    let limits = Limits { request: LIMIT, ..generous() };
    let rig = Rig::with("slow", &limits);
    let start = Instant::now();
    let slow: Vec<_> = ["", "GET / HT", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"]
        .map(|begin| {
            let mut stream = UnixStream::connect(&rig.path).expect("it listens");
            stream.write_all(begin.as_bytes()).expect("room");
            stream
        })
        .into();
    assert_eq!(rig.ask("GET", "/healthz", "").status(), 200);
    for stream in slow {
        read(stream).expect_refusal(408, "request_timeout");
    }
    assert!(start.elapsed() >= LIMIT);
    // One deadline for the whole: a byte now and then does not move it.
    let mut stream = UnixStream::connect(&rig.path).expect("it listens");
    let written = (0..EXCHANGE_SECONDS_MAX * 50)
        .take_while(|_| {
            std::thread::sleep(Duration::from_millis(20));
            stream.write_all(b"G").is_ok()
        })
        .count() as u64;
    assert!(written < EXCHANGE_SECONDS_MAX * 50, "the connection stays open");
}

#[test]
fn the_connection_over_the_limit_is_told() {
    let limits = Limits { connections: 4, ..generous() };
    let rig = Rig::with("many", &limits);
    let held: Vec<_> = (0..4)
        .map(|_| {
            let mut stream = UnixStream::connect(&rig.path).expect("it listens");
            stream.write_all(b"GET").expect("room");
            stream
        })
        .collect();
    let refused = read(UnixStream::connect(&rig.path).expect("it listens"));
    refused.expect_refusal(503, "too_many_connections");
    // TCP has slots of its own.
    let fields = format!("Authorization: Bearer {TOKEN}\r\n");
    let asked = request("GET", "/healthz", &fields, "");
    assert_eq!(rig.raw_tcp(asked.as_bytes()).status(), 200);
    drop(held);
    let deadline = Instant::now() + Duration::from_secs(EXCHANGE_SECONDS_MAX);
    while rig.ask("GET", "/healthz", "").status() != 200 {
        assert!(Instant::now() < deadline, "the slots do not come back");
    }
}

#[test]
fn too_many_requests_of_one_peer_are_told() {
    let limits = Limits { requests_per_second: 1, requests_burst: 5, ..generous() };
    let rig = Rig::with("rate", &limits);
    let answers: Vec<_> = (0..50).map(|_| rig.ask("GET", "/healthz", "")).collect();
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status() == 429).collect();
    assert!(!refused.is_empty() && answers.iter().take(5).all(|answer| answer.status() == 200));
    refused[0].expect_refusal(429, "too_many_requests");
    assert!(refused[0].text().contains("retry-after: 1\r\n"));
}

#[test]
fn over_tcp_only_the_token_opens() {
    let mut rig = Rig::new("token");
    let before = rig.job.state();
    let wrong = TOKEN.replace('f', "e");
    for fields in [
        String::new(),
        format!("Authorization: Bearer {wrong}\r\n"),
        format!("Authorization: Basic {TOKEN}\r\n"),
        format!("Authorization: {TOKEN}\r\n"),
        format!("Cookie: token={TOKEN}\r\n"),
    ] {
        for (method, target) in [("POST", SUBSCRIBERS), ("GET", "/metrics"), ("GET", "/nowhere")] {
            let answer = rig.raw_tcp(request(method, target, &fields, ONE).as_bytes());
            answer.expect_refusal(401, "unauthorized");
            assert!(answer.text().contains("www-authenticate: Bearer\r\n"));
        }
    }
    assert_eq!(rig.job.state(), before);
    let fields = format!("Authorization: Bearer {TOKEN}\r\n");
    assert_eq!(rig.raw_tcp(request("POST", SUBSCRIBERS, &fields, ONE).as_bytes()).status(), 201);
    rig.stop();
    let lines = rig.lines.text();
    assert!(lines.contains("no valid bearer token") && lines.contains(": 201 Created"), "{lines}");
    assert!(!lines.contains(TOKEN) && !lines.contains(&wrong));
}

#[test]
fn without_the_token_no_body_is_read() {
    let rig = Rig::new("unread");
    let head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n";
    let mut stream = TcpStream::connect(rig.tcp()).expect("it listens");
    stream.write_all(head.as_bytes()).expect("room");
    // The body never comes, and the answer does.
    read(stream).expect_refusal(401, "unauthorized");
}

/// The mode of the file keeps other users out; this one is let in by hand, and still refused.
#[test]
fn another_user_is_refused_by_uid() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: another_user_is_refused_by_uid: needs root to become another user");
        return;
    }
    let rig = Rig::new("uid");
    let open = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("ours");
    };
    let connect = || {
        let path = rig.path.clone();
        // Only this thread becomes nobody: the system call is per thread.
        std::thread::spawn(move || {
            let nobody = rustix::process::Uid::from_raw(65_534);
            let root = rustix::process::Uid::ROOT;
            rustix::thread::set_thread_res_uid(nobody, nobody, root).expect("root may");
            UnixStream::connect(&path)
        })
        .join()
        .expect("no panic")
    };
    let denied = connect().expect_err("the mode is 0600");
    assert_eq!(denied.kind(), std::io::ErrorKind::PermissionDenied);
    open(&rig.path, 0o666);
    let before = rig.job.state();
    let stream = connect().expect("the mode lets it in");
    exchange(stream, request("POST", SUBSCRIBERS, "", ONE).as_bytes())
        .expect_refusal(403, "forbidden");
    assert_eq!(rig.job.state(), before);
}

#[test]
fn metrics_are_prometheus_text() {
    let rig = Rig::new("metrics");
    rig.ask("POST", SUBSCRIBERS, ONE);
    let answer = rig.ask("GET", "/metrics", "");
    assert!(answer.text().contains("content-type: application/openmetrics-text; version=1.0.0"));
    let lines = [
        "# TYPE tickwire_received_packets counter",
        "tickwire_received_packets_total 7",
        "tickwire_discarded_packets_total{reason=\"not_selected\"} 2",
        "tickwire_discarded_packets_total{reason=\"too_old\"} 0",
        "tickwire_replicate_feed_discarded_datagrams_total{feed=\"itch\",reason=\"fragment\"} 0",
        "tickwire_replicate_discarded_copies_total{feed=\"itch\",subscriber=\"10.0.0.2:5000\",\
         name=\"a\",reason=\"no_neighbour\"} 0",
        "tickwire_unaccounted_packets 0.0",
        "tickwire_replicate_subscribers{feed=\"itch\"} 1.0",
        "tickwire_replicate_copies_total{feed=\"itch\",subscriber=\"10.0.0.2:5000\",name=\"a\"} 0",
        "tickwire_replicate_mode{mode=\"af_xdp\"} 1.0",
        "# UNIT tickwire_uptime_seconds seconds",
        "tickwire_uptime_seconds 1.5",
        "tickwire_control_requests_total{status=\"201\"} 1",
    ];
    check_metrics(&answer.body(), &lines);
}

#[test]
fn the_client_speaks_to_the_server() {
    let rig = Rig::new("client");
    let body: serde_json::Value = serde_json::from_str(ONE).expect("JSON");
    let added = client::request(&rig.path, "POST", SUBSCRIBERS, Some(&body)).expect("added");
    assert_eq!(added.status, 201);
    let error = client::request(&rig.path, "GET", "/v1/feeds/x/subscribers", None::<&()>);
    let text = error.expect_err("no such feed").to_string();
    assert!(text.contains("itch") && text.contains("(404, unknown_feed)"), "{text}");
    // More than the server reads: the refusal arrives all the same.
    let much = "x".repeat(1 << 20);
    let error = client::request(&rig.path, "POST", SUBSCRIBERS, Some(&much));
    assert!(error.expect_err("too long").to_string().contains("(413, body_too_long)"));
}

#[test]
fn it_stops_while_clients_are_there_and_its_file_goes() {
    let mut rig = Rig::new("stop");
    let held = UnixStream::connect(&rig.path).expect("it listens");
    assert_eq!(rig.ask("GET", "/healthz", "").status(), 200);
    rig.stop();
    assert!(!rig.path.exists());
    assert!(read(held).is_empty());
}
