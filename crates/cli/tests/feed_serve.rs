//! `tickwire feed serve`: what is in the file arrives, in packets, at its time; over loopback,
//! without privileges.

mod common;

use common::{Folder, Running, command, itch_file, run};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::net::UdpSocket;
use std::time::{Duration, Instant};
use tickwire_market::moldudp64::{Kind, Packet};
use tickwire_market::recovery::Rates;

/// What arrives arrives within this time, on a busy machine too.
const WAIT: Duration = Duration::from_secs(10);

fn receiver() -> (UdpSocket, String) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.set_read_timeout(Some(WAIT)).expect("a time limit");
    rustix::net::sockopt::set_socket_recv_buffer_size(&socket, 4 << 20).expect("room");
    let to = socket.local_addr().expect("it is bound").to_string();
    (socket, to)
}

fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = vec![0; 65_536];
    let length = socket.recv(&mut buffer).expect("a datagram");
    buffer.truncate(length);
    buffer
}

/// What came up to the first end of session.
#[derive(Debug, Default)]
struct Heard {
    /// The messages as a BinaryFILE has them, in the order in which they came.
    file: Vec<u8>,
    packets: u64,
    heartbeats: u64,
    longest: usize,
}

/// All that comes up to the first end of session; every number in order.
fn hear(socket: &UdpSocket) -> Heard {
    let (mut heard, mut next) = (Heard::default(), 1);
    loop {
        let payload = receive(socket);
        let packet = Packet::parse(&payload).expect("MoldUDP64");
        assert_eq!(packet.sequence_number(), next);
        next = packet.next_sequence();
        heard.packets += 1;
        heard.longest = heard.longest.max(payload.len());
        match packet.kind() {
            Kind::EndOfSession => return heard,
            Kind::Heartbeat => heard.heartbeats += 1,
            Kind::Messages => heard.file.extend_from_slice(packet.header().rest()),
        }
    }
}

#[test]
fn the_file_arrives_whole_and_in_order() {
    let folder = Folder::new("feed-serve");
    let file = itch_file(2_000);
    let input = folder.with("day", &file);
    for pace in [["--rate", "max"], ["--rate", "20k"], ["--speed", "20"]] {
        let (socket, to) = receiver();
        let args = ["feed", "serve", &input, "--to", &to, "--session", "DAY1", "--json"];
        let flags = ["--linger", "100ms", "--heartbeat", "50ms", "--size", "400"];
        let ran = run(&[&args[..], &pace, &flags].concat()).expect_code(0);
        let heard = hear(&socket);
        assert!(heard.file == file, "{pace:?}");
        assert!(heard.longest <= 400);
        let summary = ran.summary();
        let line = &summary["lines"][0];
        // The end is said at once, after 50 and after 100 ms.
        assert_eq!((&summary["messages"], &summary["ends"]), (&json!(2_000), &json!(3)));
        assert_eq!(summary["packets"], heard.packets + 2);
        assert_eq!(summary["heartbeats"], heard.heartbeats);
        assert_eq!((&line["sent"], &line["refused"]), (&summary["packets"], &json!({})));
        assert_eq!((&line["name"], &line["to"]), (&json!("A"), &Value::from(to)));
        let seconds = summary["seconds"].as_f64().expect("a time");
        // 2,000 messages: a tenth of a second in both, and the ends; never too early.
        let least = if pace[1] == "max" { 0.1 } else { 0.19 };
        assert!(seconds > least, "{pace:?} {summary}");
        assert!(ran.stderr.contains("tickwire: ready: ") && ran.stderr.contains("DAY1"));
    }
}

#[test]
fn pauses_have_heartbeats_and_can_be_shortened() {
    let folder = Folder::new("feed-serve-pause");
    // Two messages, five seconds apart.
    let all = itch_file(5_001);
    let input = folder.with("day", &[&all[..38], &all[5_000 * 38..]].concat());
    let (socket, to) = receiver();
    let args = ["feed", "serve", &input, "--to", &to, "--linger", "0", "--json"];
    let flags = ["--gap-max", "600ms", "--heartbeat", "100ms", "--wait", "100ms"];
    let began = Instant::now();
    let summary = run(&[&args[..], &flags].concat()).expect_code(0).summary();
    let elapsed = began.elapsed();
    assert!(elapsed >= Duration::from_millis(700), "{elapsed:?}");
    let heard = hear(&socket);
    assert_eq!((heard.file.len(), heard.heartbeats, heard.packets), (2 * 38, 5, 8));
    assert_eq!(summary["oddities"], json!({"gaps_shortened": 1}));
}

#[test]
fn each_line_has_its_own_faults() {
    let folder = Folder::new("feed-serve-lines");
    let input = folder.with("day", &itch_file(5_000));
    let ((a, to_a), (b, to_b)) = (receiver(), receiver());
    let args = ["feed", "serve", &input, "--to", &to_a, "--to", &to_b, "--rate", "max", "--json"];
    let flags = ["--messages", "10", "--loss", "10%", "--loss", "0", "--duplicate", "5%"];
    let flags = [&flags[..], &["--reorder", "5%", "--linger", "0"]].concat();
    let summary = run(&[&args[..], &flags].concat()).expect_code(0).summary();
    for (line, socket) in [a, b].into_iter().enumerate() {
        let count = |name: &str| summary["lines"][line][name].as_u64().expect("a count");
        assert_eq!(count("offered"), 501);
        assert_eq!(count("sent") + count("lost"), 501 + count("doubled"));
        assert_eq!(count("lost") > 0, line == 0, "{summary}");
        assert!(count("doubled") > 0 && count("overtaken") > 0, "{summary}");
        let numbers = (0..count("sent")).map(|_| {
            let payload = receive(&socket);
            Packet::parse(&payload).expect("MoldUDP64").sequence_number()
        });
        let numbers: Vec<_> = numbers.collect();
        let back = numbers.windows(2).filter(|pair| pair[0] > pair[1]).count() as u64;
        assert!(back >= count("overtaken").saturating_sub(1), "{back} {summary}");
    }
}

#[test]
fn a_signal_ends_it_with_its_summary() {
    let folder = Folder::new("feed-serve-signal");
    let input = folder.with("day", &itch_file(100_000));
    for (signal, code) in [(Signal::TERM, 0), (Signal::INT, 130)] {
        let (socket, to) = receiver();
        let running =
            Running::start(&mut command(&["feed", "serve", &input, "--to", &to, "--json"]));
        running.wait_for("tickwire: ready");
        receive(&socket);
        running.signal(signal);
        let summary = running.finish().expect_code(code).summary();
        assert_eq!((&summary["ends"], &summary["error"]), (&json!(0), &Value::Null));
        let packets = summary["packets"].as_u64().expect("a count");
        (1..packets).for_each(|_| drop(receive(&socket)));
    }
}

#[test]
fn what_cannot_be_says_why() {
    let folder = Folder::new("feed-serve-errors");
    let file = itch_file(10);
    let input = folder.with("day", &file);
    let help = run(&["feed", "serve", "--help"]).expect_code(0);
    let help = help.text().split_whitespace().collect::<Vec<_>>().join(" ");
    let default = Rates::default().address_per_second;
    assert!(help.contains(&format!("of one address [default: {default}]")), "{help}");
    let refused = |args: &[&str], code, words: &[&str]| {
        run(&[&["feed", "serve", &input], args].concat()).expect_message(code, words);
    };
    refused(&["--to", "239.1.1.1:5000"], 2, &["239.1.1.1", "-i IF", "--source"]);
    refused(&["--to", "127.0.0.1:0"], 2, &["port 0"]);
    refused(&["--to", "239.1.1.1:5000", "-i", "nowhere0"], 1, &["nowhere0"]);
    refused(&["--to", "127.0.0.1:5", "--source", "::1"], 2, &["IPv6"]);
    let four = ["--to", "127.0.0.1:5"].repeat(4);
    refused(&four, 2, &["3 lines at most"]);
    refused(&["--to", "127.0.0.1:5", "--rate", "1k", "--speed", "2"], 2, &["cannot be used with"]);
    run(&["feed", "serve", "/nowhere", "--to", "127.0.0.1:5"]).expect_message(1, &["/nowhere"]);
    // What comes before the end of a cut file is sent.
    let (socket, to) = receiver();
    let cut = folder.with("cut", &file[..file.len() - 1]);
    run(&["feed", "serve", &cut, "--to", &to]).expect_message(1, &["cut"]);
    let sent = receive(&socket);
    assert_eq!(Packet::parse(&sent).expect("MoldUDP64").sequence_number(), 1);
}
