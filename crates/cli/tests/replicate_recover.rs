//! `tickwire replicate --arbitrate A,B --recover SERVER`: what both lines lose is asked for, and
//! every subscriber gets every message once. Against `tickwire feed serve`, in private namespaces.
//!
//! Needs root; says so loudly where it is missing.

mod common;

use common::{Folder, Running, ask, command, itch_file, run};
use serde_json::Value;
use std::sync::atomic::{AtomicBool, Ordering::Acquire, Ordering::Release};
use std::time::{Duration, Instant};
use tickwire_lab::{Lab, LabConfig, UdpReceiver, require_root};
use tickwire_market::moldudp64::Packet;

/// Messages of the feed: a second of it.
const MESSAGES: u64 = 20_000;
/// Nothing in these tests takes longer to arrive.
const ARRIVAL: Duration = Duration::from_secs(20);
/// The ports of the lines; subscribers and servers are at the other end.
const LINES: [u16; 2] = [26_477, 26_478];
const SUBSCRIBERS: [u16; 2] = [6_000, 6_001];
const SERVER: u16 = 18_000;

/// How often each message came to `receiver`, until it is `over` and no more come.
fn receive(receiver: &UdpReceiver, over: &AtomicBool) -> Vec<u32> {
    let socket = receiver.socket();
    socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a time limit");
    let (mut buffer, mut came) = ([0; 2_000], vec![0; MESSAGES as usize + 1]);
    loop {
        // Before it is looked what came: what was sent until then is there.
        let over = over.load(Acquire);
        match socket.recv(&mut buffer) {
            Ok(len) => {
                for message in Packet::parse(&buffer[..len]).expect("MoldUDP64").messages() {
                    came[message.expect("whole").sequence as usize] += 1;
                }
            }
            Err(_) if over => return came,
            Err(_) => {}
        }
    }
}

/// What the ends said, and how often each subscriber got each message.
struct Played {
    summary: Value,
    served: Value,
    metrics: String,
    came: [Vec<u32>; 2],
}

impl Played {
    fn merged(&self, name: &str) -> u64 {
        self.summary["merged"][0][name].as_u64().unwrap_or_else(|| panic!("{}", self.summary))
    }

    fn requests(&self, name: &str) -> u64 {
        let requests = &self.summary["merged"][0]["requests"];
        requests[name].as_u64().unwrap_or_else(|| panic!("{}", self.summary))
    }

    /// What both ends and the account say is the same: every message came on a line, was
    /// recovered, or is lost.
    fn expect_account(&self) {
        let merged = &self.summary["merged"][0];
        assert_eq!(self.summary["difference"], 0, "{}", self.summary);
        assert_eq!((self.merged("missing"), self.merged("partly_new")), (0, 0), "{merged}");
        let first = |line: usize| merged["lines"][line]["first"].as_u64().expect("a count");
        let come = first(0) + first(1) + self.merged("recovered");
        assert_eq!(come + self.merged("lost"), MESSAGES, "{merged}");
        assert_eq!(self.merged("lost"), self.requests("given_up"), "{merged}");
        let settled = self.merged("recovered") + self.requests("came") + self.requests("given_up");
        assert_eq!(self.requests("wanted"), settled, "{merged}");
        for (name, value) in [
            ("replicate_merged_recovered_messages_total", self.merged("recovered")),
            ("replicate_requests_total", self.requests("sent")),
            ("replicate_given_up_messages_total", self.requests("given_up")),
        ] {
            let line = format!("{name}{{feed=\"a\"}} {value}");
            assert!(self.metrics.contains(&line), "no {line} in {}", self.metrics);
        }
    }
}

/// Plays the feed over a veth pair with 10 % loss on each line. `serve` are flags of the server,
/// `at` is where it is asked.
fn play(mode: &str, test: &str, serve: &[&str], at: u16) -> Played {
    let lab = Lab::veth(LabConfig { ipv6: false, ..LabConfig::default() }).expect("a lab");
    lab.wait_quiet().expect("links that are up");
    let folder = Folder::new(&format!("replicate-recover-{test}-{mode}"));
    let (input, control) = (folder.with("day", &itch_file(MESSAGES)), folder.file("control"));
    let (here, there) = (lab.right.ipv4(), lab.left.ipv4());
    let receivers =
        SUBSCRIBERS.map(|port| UdpReceiver::bind(&lab.left, there, port).expect("a free port"));
    let [a, b] = LINES.map(|port| format!("{here}:{port}"));
    let (line_a, line_b) = (format!("{a},name=a"), format!("{b},name=b"));
    let one = format!("{there}:{}", SUBSCRIBERS[0]);
    // Answers look as if they had been sent to the feed.
    let lines = format!("(dst port {} or dst port {})", LINES[0], LINES[1]);
    let two = format!("{there}:{},filter={lines} and itch.type != \"?\"", SUBSCRIBERS[1]);
    let ask_at = format!("{there}:{at}");
    let args = ["replicate", "-i", lab.right.name(), "--mode", mode, "--summary", "json"];
    let feeds = ["--listen", &line_a, "--listen", &line_b, "--arbitrate", "a,b"];
    let more = ["--subscriber", &one, "--subscriber", &two, "--control", &control];
    let recover = ["--recover", &ask_at, "--gap-hold-us", "2000"];
    let args = [&args[..], &feeds, &more, &recover].concat();
    let running = Running::of(lab.right.spawn(command(&args)).expect("the binary starts"));
    running.wait_for("asked for at");
    running.wait_for("ready: 2 feeds (2 of them merged) to 2 subscribers");
    let server = format!("{there}:{SERVER}");
    // With this seed the server never loses the five answers to five tries for the same messages.
    let args = ["feed", "serve", &input, "--to", &a, "--to", &b, "--loss", "10%", "--seed", "7"];
    let flags = ["--rate", "20k", "--linger", "2s", "--heartbeat", "100ms", "--json"];
    let args = [&args[..], &flags, &["--rerequest", &server], serve].concat();
    let sender = Running::of(lab.left.spawn(command(&args)).expect("the binary starts"));
    let settled = || {
        let (_, status) = ask(&control, "GET /v1/status", "");
        let status: Value = serde_json::from_str(&status).expect("JSON");
        status["merged"][0]["missing"] == 0
    };
    let over = AtomicBool::new(false);
    let (served, came) = std::thread::scope(|scope| {
        let all = receivers.each_ref().map(|it| scope.spawn(|| receive(it, &over)));
        let served = sender.finish();
        // What no server has is given up in a moment.
        let deadline = Instant::now() + ARRIVAL;
        while !settled() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        over.store(true, Release);
        (served, all.map(|one| one.join().expect("no panic")))
    });
    let (_, metrics) = ask(&control, "GET /metrics", "");
    let (served, summary) = (served.expect_code(0).summary(), running.stop());
    Played { summary, served, metrics, came }
}

#[test]
fn what_both_lines_lose_reaches_every_subscriber_once() {
    require_root!("what_both_lines_lose_reaches_every_subscriber_once");
    for mode in ["udp", "af_xdp"] {
        for answer_loss in ["0%", "10%"] {
            let test = format!("answers-{}", &answer_loss[..1]);
            let played = play(mode, &test, &["--answer-loss", answer_loss], SERVER);
            for came in &played.came {
                let wrong = came.iter().skip(1).filter(|&&times| times != 1).count();
                assert_eq!(wrong, 0, "{mode} {answer_loss}: {}", played.summary);
            }
            played.expect_account();
            assert!(played.merged("recovered") > 20, "{}", played.summary);
            assert_eq!(played.merged("lost"), 0, "{}", played.summary);
            let requests = &played.served["requests"];
            assert_eq!(requests["requests"], played.requests("sent"), "{requests}");
            if answer_loss != "0%" {
                assert!(played.requests("repeated") > 0, "{}", played.summary);
            }
        }
    }
}

#[test]
fn without_an_answer_what_is_lost_is_named_and_no_more_is_asked() {
    require_root!("without_an_answer_what_is_lost_is_named_and_no_more_is_asked");
    // Nobody is there.
    let played = play("udp", "nobody", &[], SERVER + 1);
    played.expect_account();
    let lost = played.merged("lost");
    assert!(lost > 20 && played.merged("recovered") == 0, "{}", played.summary);
    // Each is asked for a few times, and in vain.
    assert!(played.requests("sent") <= 5 * lost, "{}", played.summary);
    for came in &played.came {
        let [never, once] = [0, 1].map(|times| came[1..].iter().filter(|&&it| it == times).count());
        assert_eq!((never as u64, once as u64), (lost, MESSAGES - lost), "{}", played.summary);
    }
}

#[test]
fn what_cannot_be_asked_for_is_refused() {
    let lines = ["replicate", "--listen", "239.1.1.1:1,name=a", "--listen", "239.1.1.2:1,name=b"];
    let merged = [&lines[..], &["--arbitrate", "a,b", "--check"]].concat();
    let check = |more: &[&str]| run(&[&merged[..], more].concat());
    check(&["--recover", "10.0.0.1:5,10.0.0.2:5", "--gap-hold-us", "0"]).expect_code(0);
    check(&["--recover", "a=10.0.0.1:5", "--recover", "10.0.0.2:5"]).expect_code(0);
    check(&["--recover", "b=10.0.0.1:5"]).expect_message(2, &["begins with 'b'", "but a"]);
    check(&["--recover", "10.0.0.1"]).expect_message(2, &["--recover", "port"]);
    check(&["--recover", "239.1.1.1:5"]).expect_message(2, &["no group"]);
    check(&["--recover", "[::1]:5"]).expect_message(2, &["IP version", "a 239.1.1.1:1"]);
    let alone = [&lines[..], &["--check", "--recover", "10.0.0.1:5"]].concat();
    run(&alone).expect_message(2, &["--arbitrate, which is missing"]);
    let alone = [&lines[..], &["--check", "--gap-hold-us", "5"]].concat();
    run(&alone).expect_message(2, &["--arbitrate, which is missing"]);
    let folder = Folder::new("replicate-recover-config");
    let config = |name: &str, more: &str| {
        let file = folder.with(name, format!("arbitrate = ['a,b']\n{more}\n").as_bytes());
        run(&[&lines[..], &["--check", "--config", &file]].concat())
    };
    config("a.toml", "recover = ['a=10.0.0.1:5']\ngap_hold_us = 500").expect_code(0);
    config("b.toml", "recover = ['c=10.0.0.1:5']").expect_message(2, &["begins with 'c'"]);
    config("c.toml", "gap_hold_us = 60000001").expect_message(1, &["gap_hold_us", "60000000"]);
}
