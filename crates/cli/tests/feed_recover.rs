//! A feed with losses from `tickwire feed serve` to `tickwire feed gaps`, which asks for what is
//! missing: every message comes, in order, once. In private namespaces.
//!
//! Needs root; says so loudly where it is missing.

mod common;

use common::{Folder, Ran, Running, command, itch_file, run};
use rustix::process::Signal;
use serde_json::Value;
use std::net::UdpSocket;
use std::time::Duration;
use tickwire_lab::{Lab, LabConfig, require_root};
use tickwire_market::moldudp64::{Packet, Request, Session};

/// Messages of the feed: a second of it.
const MESSAGES: u64 = 20_000;

/// What both ends said at the end, and what was written.
struct Played {
    served: Value,
    gaps: Ran,
    written: Vec<u8>,
}

impl Played {
    fn recovery(&self, name: &str) -> u64 {
        self.gaps.summary()["recovery"][name].as_u64().expect("a count")
    }
}

/// Plays `file` over a veth pair: `serve` are flags of the one end, `gaps` of the other.
fn play(folder: &Folder, file: &[u8], serve: &[&str], gaps: &[&str]) -> Played {
    let lab = Lab::veth(LabConfig::default()).expect("a lab");
    lab.wait_quiet().expect("links that are up");
    let (input, output) = (folder.with("day", file), folder.file("out"));
    let server = format!("{}:18000", lab.left.ipv4());
    let (left, right) = (lab.left.name(), lab.right.name());
    let args = ["feed", "gaps", "-i", right, "--recover", &server, "--from-first", "--json"];
    let flags = ["--messages", &output, "--join", "239.1.1.1", "--join", "239.1.1.2"];
    let args = [&args[..], &flags, gaps].concat();
    let receiver = Running::of(lab.right.spawn(command(&args)).expect("the binary starts"));
    receiver.wait_for("tickwire: following");
    let args = ["feed", "serve", &input, "-i", left, "--rerequest", &server, "--rate", "20k"];
    let flags = ["--linger", "1s", "--heartbeat", "100ms", "--json"];
    let args = [&args[..], &flags, serve].concat();
    let sender = Running::of(lab.left.spawn(command(&args)).expect("the binary starts"));
    let served = sender.finish().expect_code(0).summary();
    receiver.signal(Signal::TERM);
    let gaps = receiver.finish();
    let written = std::fs::read(&output).expect("the messages");
    Played { served, gaps, written }
}

/// Everything came, in order, once; and what the ends say of each other is the same.
fn expect_all(played: &Played, file: &[u8]) {
    let report = played.gaps.summary();
    assert_eq!(played.gaps.code, Some(0), "{:?}", played.gaps.stderr);
    assert_eq!((&report["complete"], &report["missing_messages"]), (&true.into(), &0.into()));
    let session = &report["sessions"][0];
    assert_eq!((&session["messages"], &session["ended"]), (&MESSAGES.into(), &true.into()));
    assert!(played.written == file, "{} bytes of {}", played.written.len(), file.len());
    assert_eq!(played.recovery("given_up"), 0, "{report}");
    let (wanted, recovered) = (played.recovery("wanted"), played.recovery("recovered"));
    assert_eq!(wanted, recovered + played.recovery("came"), "{report}");
    assert!(recovered > 0, "{report}");
    let requests = &played.served["requests"];
    assert!(requests["messages"].as_u64() >= Some(recovered), "{requests} {report}");
    assert_eq!(requests["requests"], played.recovery("requests"), "{requests} {report}");
}

#[test]
fn two_lines_that_lose_one_percent_each_are_whole() {
    require_root!("two_lines_that_lose_one_percent_each_are_whole");
    let folder = Folder::new("feed-recover-two");
    let file = itch_file(MESSAGES);
    let lines = ["--to", "239.1.1.1:26477", "--to", "239.1.1.2:26477", "--loss", "1%"];
    let played = play(&folder, &file, &lines, &["--port", "af_packet"]);
    expect_all(&played, &file);
    for line in 0..2 {
        let lost = played.served["lines"][line]["lost"].as_u64().expect("a count");
        assert!((50..200).contains(&lost), "{}", played.served);
    }
    // What one line had was not asked for.
    assert!(played.recovery("recovered") < 100, "{:?}", played.gaps);
}

#[test]
fn one_line_is_whole_though_answers_get_lost_too() {
    require_root!("one_line_is_whole_though_answers_get_lost_too");
    let folder = Folder::new("feed-recover-one");
    let file = itch_file(MESSAGES);
    let line = ["--to", "239.1.1.1:26477", "--loss", "1%", "--answer-loss", "10%"];
    // Without a filter AF_XDP takes the answers, too: they come from there and not to the socket.
    let ports = [
        &["--port", "af_packet"][..],
        &["--port", "af_xdp", "udp dst port 26477"],
        &["--port", "af_xdp"],
    ];
    for port in ports {
        let played = play(&folder, &file, &line, port);
        expect_all(&played, &file);
        let lost = &played.served["requests"]["lost"];
        assert!(lost.as_u64() > Some(0), "{}", played.served);
        assert!(played.recovery("repeated") >= lost.as_u64().expect("a count"), "{lost}");
        let gaps = played.gaps.summary();
        let line = &gaps["sessions"][0]["lines"][0];
        assert_eq!(line["retransmitted"], played.recovery("recovered"), "{line}");
    }
}

#[test]
fn without_an_answer_it_ends_with_what_is_missing() {
    require_root!("without_an_answer_it_ends_with_what_is_missing");
    let folder = Folder::new("feed-recover-none");
    let file = itch_file(MESSAGES);
    let line = ["--to", "239.1.1.1:26477", "--loss", "1%", "--answer-loss", "100%"];
    let played = play(&folder, &file, &line, &["--port", "af_packet"]);
    let report = played.gaps.summary();
    assert_eq!((played.gaps.code, played.recovery("recovered")), (Some(3), 0));
    let missing = report["missing_messages"].as_u64().expect("a count");
    assert!((100..400).contains(&missing), "{report}");
    // The others are in the file, in order.
    assert_eq!(played.written.len() as u64, (MESSAGES - missing) * 38);
    let references = played.written.chunks_exact(38).map(|message| &message[13..21]);
    assert!(references.is_sorted());
    assert_eq!(report["recovery"]["messages"]["skipped"], missing, "{report}");
}

/// The server by itself, as any client sees it.
#[test]
fn requests_are_answered_or_refused_by_name() {
    let folder = Folder::new("feed-recover-server");
    let input = folder.with("day", &itch_file(1_000));
    let client = UdpSocket::bind("127.0.0.1:0").expect("a port");
    client.set_read_timeout(Some(Duration::from_secs(10))).expect("a time limit");
    let to = client.local_addr().expect("bound").to_string();
    let free = UdpSocket::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound");
    let server = free.to_string();
    let args = ["feed", "serve", &input, "--to", &to, "--rate", "max", "--session", "DAY1"];
    let flags = ["--rerequest", &server, "--linger", "20s", "--size", "500", "--json"];
    let running = Running::start(&mut command(&[&args[..], &flags].concat()));
    let mut buffer = [0; 2_000];
    let mut receive = || {
        let (len, from) = client.recv_from(&mut buffer).expect("a datagram");
        (buffer[..len].to_vec(), from)
    };
    while Packet::parse(&receive().0).expect("MoldUDP64").next_sequence() <= 1_000 {}
    let mut ask = |session: &str, sequence_number, message_count| {
        let session = Session::new(session).expect("short");
        let request = Request { session, sequence_number, message_count };
        client.send_to(&request.to_bytes(), free).expect("sent");
        loop {
            match receive() {
                (answer, from) if from == free => break answer,
                _ => {}
            }
        }
    };
    let answer = ask("DAY1", 990, 5);
    let packet = Packet::parse(&answer).expect("MoldUDP64");
    assert_eq!((packet.sequence_number(), packet.message_count()), (990, 5));
    let answer = ask("DAY1", 1, 0xfffe);
    let packet = Packet::parse(&answer).expect("MoldUDP64");
    // As many whole messages as fit into 500 bytes.
    assert_eq!((packet.sequence_number(), packet.message_count(), answer.len()), (1, 12, 476));
    for (session, first, count) in [("DAY2", 1, 1), ("DAY1", 1, 0), ("DAY1", 1_001, 1)] {
        let session = Session::new(session).expect("short");
        let request = Request { session, sequence_number: first, message_count: count };
        client.send_to(&request.to_bytes(), free).expect("sent");
    }
    client.send_to(b"no request", free).expect("sent");
    // What follows the refused is answered: they were all seen.
    ask("DAY1", 1_000, 9);
    running.signal(Signal::TERM);
    let requests = running.finish().expect_code(0).summary()["requests"].clone();
    assert_eq!((&requests["requests"], &requests["answered"]), (&7.into(), &3.into()));
    assert_eq!(requests["messages"], 18);
    for refusal in ["unknown_session", "empty", "not_sent", "malformed"] {
        assert_eq!(requests["refused"][refusal], 1, "{requests}");
    }
}

/// Merged while it comes: what both lines lose is in the file as well, once.
#[test]
fn lines_are_merged_with_what_no_line_brought() {
    require_root!("lines_are_merged_with_what_no_line_brought");
    let folder = Folder::new("feed-recover-merged");
    let (file, merged) = (itch_file(MESSAGES), folder.file("merged.pcapng"));
    let lab = Lab::veth(LabConfig::default()).expect("a lab");
    lab.wait_quiet().expect("links that are up");
    let (input, server) = (folder.with("day", &file), format!("{}:18000", lab.left.ipv4()));
    let args = ["feed", "arbitrate", "-i", lab.right.name(), "--recover", &server, "-w", &merged];
    let flags = ["--from-first", "--json", "--join", "239.1.1.1", "--join", "239.1.1.2"];
    let args = [&args[..], &flags, &["--port", "af_packet"]].concat();
    let receiver = Running::of(lab.right.spawn(command(&args)).expect("the binary starts"));
    receiver.wait_for("tickwire: following");
    let args = ["feed", "serve", &input, "-i", lab.left.name(), "--rerequest", &server];
    let lines = ["--to", "239.1.1.1:26477", "--to", "239.1.1.2:26477", "--loss", "10%"];
    // With this seed the server never loses the five answers to five tries for the same messages.
    let losses = ["--answer-loss", "10%", "--seed", "7"];
    let flags = ["--rate", "20k", "--linger", "1s", "--heartbeat", "100ms", "--json"];
    let args = [&args[..], &lines, &flags, &losses].concat();
    let sender = Running::of(lab.left.spawn(command(&args)).expect("the binary starts"));
    let served = sender.finish().expect_code(0).summary();
    receiver.signal(Signal::TERM);
    let ran = receiver.finish();
    let report = ran.summary();
    assert_eq!((ran.code, &report["complete"]), (Some(0), &true.into()), "{report} {served}");
    let session = &report["feeds"][0]["sessions"][0];
    assert_eq!((&session["messages"], &session["ended"]), (&MESSAGES.into(), &true.into()));
    let recovered = session["recovered"].as_u64().expect("a count");
    assert!(recovered > 0, "{report}");
    let first = |line: usize| report["feeds"][0]["lines"][line]["first"].as_u64().expect("a count");
    assert_eq!(first(0) + first(1) + recovered, MESSAGES, "{report}");
    assert_eq!((&report["unwritten_packets"], &report["repeated_packets"]), (&0.into(), &0.into()));
    assert!(report["answer_packets"].as_u64() > Some(0), "{report}");
    assert!(report["recovery"]["requests"].as_u64() > Some(0), "{report}");
    // What was written is one line, whole.
    let gaps = run(&["feed", "gaps", "-r", &merged, "--from-first", "--json"]).expect_code(0);
    let session = &gaps.summary()["sessions"][0];
    let lines = session["lines"].as_array().expect("lines");
    assert_eq!(session["messages"], MESSAGES, "{session}");
    let sum =
        |key: &str| lines.iter().map(|line| line[key].as_u64().expect("a count")).sum::<u64>();
    assert_eq!((sum("messages"), sum("duplicates")), (MESSAGES, 0), "{session}");
}

#[test]
fn what_cannot_be_says_why() {
    let folder = Folder::new("feed-recover-errors");
    let file = folder.with("day", &itch_file(1));
    let refused = |args: &[&str], words: &[&str]| {
        run(&[&["feed", "gaps"], args].concat()).expect_message(2, words);
    };
    refused(&["-r", &file, "--recover", "127.0.0.1:5"], &["--recover", "-r"]);
    refused(&["-i", "lo", "--recover", "127.0.0.1:0"], &["a server has a port"]);
    refused(&["-i", "lo", "--recover", "239.1.1.1:5"], &["no group"]);
    refused(&["-i", "lo", "--recover", "127.0.0.1:5,[::1]:5"], &["one IP version"]);
    refused(&["-i", "lo", "--messages", "/tmp/x"], &["--recover"]);
    let arbitrate = ["feed", "arbitrate", "-r", &file, "--recover", "127.0.0.1:5"];
    run(&arbitrate).expect_message(2, &["--recover", "--read"]);
}
