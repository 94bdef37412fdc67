//! Mutated requests at real sockets: the server stays alive, and nothing changes without authority.
//!
//! `TICKWIRE_HOSTILE_REQUESTS` says how many, 10 000 without it; `TICKWIRE_HOSTILE_SEED` says
//! which.

mod common;

use common::{Job, Lines, Rig};
use std::net::UdpSocket;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use tickwire_control::legacy::LegacyFeed;
use tickwire_control::{LegacyControl, Log};
use tickwire_fuzz::control::{datagram, request};

const REQUESTS: u64 = 10_000;
const SEED: u64 = 4;
/// Over TCP no more than these: each leaves a port in TIME_WAIT.
const TCP_REQUESTS_MAX: u64 = 10_000;
/// Datagrams under way at a time: they all fit into the receive buffer.
const DATAGRAMS_UNDER_WAY_MAX: u64 = 32;
/// What is sent is taken within this time.
const TAKEN_SECONDS_MAX: u64 = 10;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |number| number.parse().expect("a number"))
}

fn requests() -> u64 {
    number("TICKWIRE_HOSTILE_REQUESTS", REQUESTS)
}

fn seed() -> u64 {
    number("TICKWIRE_HOSTILE_SEED", SEED)
}

#[test]
fn mutated_requests_of_the_owner_are_answered_or_left() {
    let rig = Rig::new("hostile");
    let (mut answered, mut left) = (0, 0);
    for index in 0..requests() {
        let answer = rig.raw(&request(seed(), index));
        match answer.is_empty() {
            true => left += 1,
            false => {
                // A refusal is JSON, whatever came; an answer to HEAD has no body.
                if answer.status() >= 400 && !answer.body().is_empty() {
                    let error = answer.json();
                    assert!(error["error"]["cure"].is_string(), "request {index}: {error}");
                }
                answered += 1;
            }
        }
        if index % 1000 == 0 {
            assert_eq!(rig.ask("GET", "/healthz", "").status(), 200, "request {index}");
        }
    }
    assert!(answered > left && left > 0, "{answered} answered, {left} left");
    assert_eq!(rig.ask("GET", "/healthz", "").status(), 200);
}

#[test]
fn without_the_token_nothing_changes() {
    let rig = Rig::new("hostile-tcp");
    rig.ask("POST", "/v1/feeds/itch/subscribers", r#"{"address":"10.0.0.2:5000"}"#);
    let before = rig.job.state();
    for index in 0..requests().min(TCP_REQUESTS_MAX) {
        let answer = rig.raw_tcp(&request(seed(), index));
        assert!(answer.is_empty() || answer.status() >= 400, "request {index}: {answer:?}");
    }
    assert_eq!(rig.job.state(), before);
    assert_eq!(rig.ask("GET", "/healthz", "").status(), 200);
}

#[test]
fn the_brakes_of_a_responder_stay_where_they_are_without_the_token() {
    let rig = Rig::responder("hostile-brakes");
    let before = rig.job.state();
    for index in 0..requests().min(TCP_REQUESTS_MAX) {
        let mutated = String::from_utf8_lossy(&request(seed(), index)).into_owned();
        let aimed = mutated.replace("/v1/feeds/itch/subscribers", "/v1/reset");
        let answer = rig.raw_tcp(aimed.as_bytes());
        assert!(answer.is_empty() || answer.status() >= 400, "request {index}: {answer:?}");
    }
    assert_eq!(rig.job.state(), before);
}

#[test]
fn datagrams_of_strangers_change_nothing() {
    let job = Job::new();
    let before = job.state();
    let feed = LegacyFeed { feed: "itch".to_owned(), lease: None, control: job.clone() };
    let log = Log::to(Lines::default()).expect("a thread");
    let allow = vec!["10.0.0.0/8".parse().expect("a range")];
    let legacy = LegacyControl::spawn(([127, 0, 0, 1], 0).into(), allow, feed, log);
    let legacy = legacy.expect("it listens");
    let stranger = UdpSocket::bind("127.0.0.1:0").expect("loopback");
    let taken = || legacy.counts().refused.load(Relaxed);
    for index in 0..requests() {
        stranger.send_to(&datagram(seed(), index), legacy.address()).expect("loopback");
        let deadline = Instant::now() + Duration::from_secs(TAKEN_SECONDS_MAX);
        while taken() + DATAGRAMS_UNDER_WAY_MAX <= index {
            assert!(Instant::now() < deadline, "{} of {index} are taken", taken());
            std::thread::yield_now();
        }
    }
    let deadline = Instant::now() + Duration::from_secs(TAKEN_SECONDS_MAX);
    while taken() < requests() {
        assert!(Instant::now() < deadline, "{} are taken", taken());
        std::thread::yield_now();
    }
    assert_eq!(job.state(), before);
    assert_eq!(legacy.counts().answered.load(Relaxed), 0);
}
