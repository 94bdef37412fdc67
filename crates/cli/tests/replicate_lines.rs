//! `tickwire replicate --arbitrate`: two lines that lose packets are one feed for the subscribers.
//! In private namespaces.
//!
//! Needs root; says so loudly where it is missing.

mod common;

use common::{Folder, Running, ask, command, run};
use rustix::process::Signal;
use serde_json::Value;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;
use tickwire_lab::{Lab, LabConfig, UdpReceiver, require_root};
use tickwire_market::itch50::OrderDeleteBuilder;
use tickwire_market::moldudp64::{Packet, PacketBuilder, Session};

/// Packets of the feed, of one to three messages each.
const PACKETS: u64 = 3_000;
/// How many packets line b is behind line a.
const BEHIND: u64 = 5;
/// Nothing in these tests takes longer to arrive.
const ARRIVAL: Duration = Duration::from_secs(20);
/// The port of line a, and that of line b behind it.
const PORT: u16 = 5_000;

/// Packet number `packet`: its first message and how many they are.
fn numbers(packet: u64) -> (u64, u64) {
    (packet / 3 * 6 + [1, 2, 4][packet as usize % 3], packet % 3 + 1)
}

/// Whether `line` loses `packet`: one of eight, each line for itself. The first and the last come,
/// so that all others are between them.
fn is_lost(line: u64, packet: u64) -> bool {
    let mixed = (packet * 2 + line + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed >> 61 == 0 && packet > 0 && packet < PACKETS - 1
}

fn payload(packet: u64) -> Vec<u8> {
    let (first, count) = numbers(packet);
    let mut buffer = [0; 200];
    let session = Session::new("LINES").expect("short");
    let mut builder = PacketBuilder::new(&mut buffer, session, first).expect("room");
    for number in first..first + count {
        let message = OrderDeleteBuilder::new().order_reference_number(number);
        builder.push(message.as_bytes()).expect("room");
    }
    builder.finish().to_vec()
}

/// Sends both lines, so slowly that nothing else is lost.
fn send(lab: &Lab) {
    let socket = lab.left.run(|| UdpSocket::bind("0.0.0.0:0")).expect("a port");
    let send = |line: u64, packet: u64| {
        let to = SocketAddr::from((lab.right.ipv4(), PORT + line as u16));
        if packet < PACKETS && !is_lost(line, packet) {
            socket.send_to(&payload(packet), to).expect("sent");
        }
    };
    for packet in 0..PACKETS + BEHIND {
        send(0, packet);
        if let Some(behind) = packet.checked_sub(BEHIND) {
            send(1, behind);
        }
        if packet % 8 == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// The messages of `datagrams` datagrams that come to `receiver`, in the order in which they came.
fn receive(receiver: &UdpReceiver, datagrams: usize) -> Vec<u64> {
    let socket = receiver.socket();
    socket.set_read_timeout(Some(ARRIVAL)).expect("a time limit");
    let (mut buffer, mut messages) = ([0; 2_000], Vec::new());
    for _ in 0..datagrams {
        let Ok(len) = socket.recv(&mut buffer) else { break };
        let packet = Packet::parse(&buffer[..len]).expect("MoldUDP64");
        messages.extend(packet.messages().map(|message| message.expect("whole").sequence));
    }
    messages
}

fn lines_of(lab: &Lab) -> Vec<String> {
    let line = |name: &str, port: u16| format!("{}:{port},name={name}", lab.right.ipv4());
    let lines = ["--listen".to_owned(), line("a", PORT), "--listen".into(), line("b", PORT + 1)];
    [&lines[..], &["--arbitrate".into(), "a,b".into()]].concat()
}

fn start(lab: &Lab, args: &[&str]) -> Running {
    let lines = lines_of(lab);
    let mut all = vec!["replicate", "-i", lab.right.name(), "--summary", "json"];
    all.extend(lines.iter().map(String::as_str).chain(args.iter().copied()));
    Running::of(lab.right.spawn(command(&all)).expect("the binary starts"))
}

#[track_caller]
fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("a count, not {value}"))
}

#[test]
fn two_subscribers_get_each_message_of_two_lines_once() {
    require_root!("two_subscribers_get_each_message_of_two_lines_once");
    let come: Vec<u64> = (0..PACKETS).filter(|&one| !is_lost(0, one) || !is_lost(1, one)).collect();
    let expected: Vec<u64> = come
        .iter()
        .flat_map(|&packet| {
            let (first, count) = numbers(packet);
            first..first + count
        })
        .collect();
    let (first, last) = numbers(PACKETS - 1);
    let missing = first + last - 1 - expected.len() as u64;
    assert!(missing > 20, "the lines lose too little: {missing}");
    for mode in ["udp", "af_xdp"] {
        let lab = Lab::veth(LabConfig { ipv6: false, ..LabConfig::default() }).expect("a lab");
        lab.wait_quiet().expect("links that are up");
        let folder = Folder::new(&format!("replicate-lines-{mode}"));
        let control = folder.file("control");
        let receivers = [6_000, 6_001]
            .map(|port| UdpReceiver::bind(&lab.left, lab.left.ipv4(), port).expect("a free port"));
        let [one, two] = [6_000, 6_001].map(|port| format!("{}:{port}", lab.left.ipv4()));
        let subscribers = ["--subscriber", &one, "--subscriber", &two];
        let running =
            start(&lab, &[&["--mode", mode, "--control", &control][..], &subscribers].concat());
        running.wait_for("ready: 2 feeds (2 of them merged) to 2 subscribers");
        std::thread::scope(|scope| {
            let received = receivers.each_ref().map(|receiver| {
                let datagrams = come.len();
                scope.spawn(move || receive(receiver, datagrams))
            });
            send(&lab);
            for messages in received {
                let mut messages = messages.join().expect("no panic");
                messages.sort_unstable();
                assert!(messages == expected, "{mode}: {} of {}", messages.len(), expected.len());
            }
        });
        let (_, metrics) = ask(&control, "GET /metrics", "");
        let gauge = format!("replicate_merged_missing_messages{{feed=\"a\"}} {missing}");
        assert!(metrics.contains(&gauge), "no {gauge} in {metrics}");
        let refused = ask(&control, "POST /v1/feeds/b/subscribers", r#"{"address":"10.0.0.1:1"}"#);
        assert!(refused.1.contains("feed b is a line of feed a; subscribe to a"), "{refused:?}");
        running.signal(Signal::TERM);
        let summary = running.finish().expect_code(0).summary();
        for receiver in &receivers {
            receiver.socket().set_nonblocking(true).expect("a socket");
            assert!(receiver.socket().recv(&mut [0; 100]).is_err(), "{mode}: more came");
        }
        expect_account(&summary, come.len() as u64, expected.len() as u64, missing);
    }
}

/// `come` packets with `messages` came on either line, and `missing` messages on none.
fn expect_account(summary: &Value, come: u64, messages: u64, missing: u64) {
    assert_eq!(summary["difference"], 0, "{summary}");
    let (mut won, mut first) = (0, 0);
    for (line, feed) in [0, 1].map(|line| (line, &summary["feeds"][line as usize])) {
        let sent = (0..PACKETS).filter(|&packet| !is_lost(line, packet)).count() as u64;
        assert_eq!(count(&feed["offered"]), sent, "{summary}");
        // The faster line may have none.
        let old = feed["discarded"]["duplicate_line"].as_u64().unwrap_or(0);
        assert_eq!(old, sent - count(&feed["copied"]), "{summary}");
        won += count(&feed["copied"]);
        first += count(&summary["merged"][0]["lines"][line as usize]["first"]);
    }
    assert_eq!((won, first), (come, messages), "{summary}");
    assert!(count(&summary["feeds"][1]["copied"]) > 0, "line b brings what a loses: {summary}");
    let merged = &summary["merged"][0];
    assert_eq!((count(&merged["missing"]), count(&merged["partly_new"])), (missing, 0));
    assert!(count(&merged["gaps"]) > 0, "{merged}");
    for subscriber in summary["feeds"][0]["subscribers"].as_array().expect("a list") {
        assert_eq!(count(&subscriber["copied"]), come, "{summary}");
        assert_eq!(count(&subscriber["offered"]), come, "{summary}");
    }
}

#[test]
fn lines_are_not_merged_in_the_kernel() {
    require_root!("lines_are_not_merged_in_the_kernel");
    let lab = Lab::veth(LabConfig { ipv6: false, ..LabConfig::default() }).expect("a lab");
    let why = "feed a is merged with other lines, which is not done in the kernel";
    let to = format!("{}:6000", lab.left.ipv4());
    let refused = start(&lab, &["--mode", "xdp", "--subscriber", &to]).finish();
    refused.expect_message(1, &[why, "--mode af_xdp or udp"]);
    let running = start(&lab, &["--subscriber", &to]);
    running.wait_for("ready");
    let summary = running.stop();
    assert_eq!(summary["port"], "af_xdp", "{summary}");
    assert!(summary["why"].as_str().is_some_and(|text| text.contains(why)), "{summary}");
}

#[test]
fn what_cannot_be_merged_is_refused() {
    let lines = ["replicate", "--listen", "239.1.1.1:1,name=a", "--listen", "239.1.1.2:1,name=b"];
    let check = |more: &[&str]| run(&[&lines[..], more, &["--check"]].concat());
    let merged = ["--arbitrate", "a,b"];
    let ran = check(&[&merged[..], &["--protocol", "itch50"]].concat()).expect_code(0);
    assert!(ran.stderr.contains("2 feeds (2 of them merged) to 0 subscribers"), "{ran:?}");
    check(&["--arbitrate", "a"]).expect_message(1, &["2 to 3 lines", "not 1"]);
    check(&["--arbitrate", "a,c"]).expect_message(1, &["no feed \"c\"", "a, b"]);
    check(&["--arbitrate", "a,a"]).expect_message(1, &["feed a is merged already"]);
    check(&["--protocol", "itch50"]).expect_message(2, &["--arbitrate, which is missing"]);
    let subscriber = [&merged[..], &["--subscriber", "b=10.0.0.1:1"]].concat();
    check(&subscriber).expect_message(1, &["feed b is a line of feed a; subscribe to a"]);
    let looped = [&merged[..], &["--subscriber", "239.1.1.2:1"]].concat();
    check(&looped).expect_message(1, &["copied again"]);
    let folder = Folder::new("replicate-lines-config");
    let config = folder.with("a.toml", b"arbitrate = ['a,b']\nprotocol = 'mdp3'\n");
    let ran = check(&["--config", &config]).expect_code(0);
    assert!(ran.stderr.contains("2 of them merged"), "{ran:?}");
    let config = folder.with("b.toml", b"arbitrate = ['a,b']\nprotocol = 'morse'\n");
    check(&["--config", &config]).expect_message(1, &["morse", "itch50"]);
}
