//! `tickwire latency` as users run it: two commands make a measurement. What the path does to the
//! packets (delay, stall, lose, double, reorder) is known here, and has to show.
//!
//! On a veth pair it needs root; says so loudly where it is missing.

mod common;

use common::{Ran, Running, command, run};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::net::{SocketAddr, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};
use tickwire_lab::{Lab, LabConfig, Message, require_root};

/// What arrives arrives within this time, on a busy machine too.
const WAIT: Duration = Duration::from_secs(10);

fn socket() -> (UdpSocket, String) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.set_read_timeout(Some(WAIT)).expect("a time limit");
    rustix::net::sockopt::set_socket_recv_buffer_size(&socket, 4 << 20).expect("room");
    let address = socket.local_addr().expect("it is bound").to_string();
    (socket, address)
}

fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = vec![0; 10_000];
    let (length, from) = socket.recv_from(&mut buffer).expect("a datagram");
    buffer.truncate(length);
    (buffer, from)
}

fn start(args: &[&str]) -> Running {
    Running::start(&mut command(&[&["latency"], args].concat()))
}

/// Starts a reflector, and gives its address.
fn reflector(args: &[&str]) -> (Running, String) {
    let address = socket().1;
    let running = start(&[&["--reflect", &address], args].concat());
    running.wait_for(&format!("reflecting on {address}"));
    (running, address)
}

fn expect_sums(report: &Value, sent: u64, received: u64) {
    assert_eq!(
        (&report["sent"], &report["received"]),
        (&json!(sent), &json!(received)),
        "{report}"
    );
    assert_eq!(report["lost"], sent - received, "{report}");
    assert_eq!((&report["send"]["difference"], &report["foreign"]), (&json!(0), &json!(0)));
}

#[test]
fn two_commands_make_a_measurement() {
    for message in ["trade", "numbered"] {
        let (reflecting, to) = reflector(&["--json"]);
        let args = ["--to", &to, "-c", "500", "--rate", "2k", "--message", message, "--json"];
        let report = start(&args).finish().expect_code(0).summary();
        expect_sums(&report, 500, 500);
        assert_eq!(
            (&report["measured"], &report["timestamps"]),
            (&json!("round_trip"), &json!("kernel"))
        );
        let names = ["min", "p50", "p90", "p95", "p99", "p99_9", "p99_99", "max"];
        let times = names.map(|name| report["latency_ns"][name].as_u64().expect(name));
        assert!(times[0] > 0 && times.windows(2).all(|pair| pair[0] <= pair[1]), "{report}");
        reflecting.signal(Signal::INT);
        let summary = reflecting.finish().expect_code(130).summary();
        assert_eq!((&summary["delivered"], &summary["difference"]), (&json!(500), &json!(0)));
    }
}

/// The report that clients of the 152-byte message print, for people.
#[test]
fn the_report_has_a_table_and_a_plot() {
    let (_reflecting, to) = reflector(&[]);
    let args = ["--to", &to, "-c", "200", "--timestamps", "user"];
    let ran = start(&args).finish().expect_code(0);
    for words in [
        "sent                     200  30.4 kB",
        "received                 200  user timestamps",
        "lost                       0  0 % of 200",
        "packets/s of 1.00 k asked",
        "round trip   min ",
        "mean ",
        "50 %",
        "90 %",
        "95 %",
        "99 %",
        "█",
    ] {
        assert!(ran.stderr.contains(words), "no '{words}' in {}", ran.stderr);
    }
    assert_eq!(ran.text(), "");
}

/// A path of 30 ms: no packet is faster, and the median of a busy machine is not far from it.
#[test]
fn a_known_delay_is_measured() {
    let (reflecting, to) = socket();
    let running = start(&["--to", &to, "-c", "100", "--rate", "500", "--json"]);
    let delay = Duration::from_millis(30);
    let mut waiting = Vec::new();
    for _ in 0..100 {
        waiting.push((receive(&reflecting), Instant::now()));
    }
    for ((payload, from), arrived) in waiting {
        std::thread::sleep(delay.saturating_sub(arrived.elapsed()));
        reflecting.send_to(&payload, from).expect("loopback");
    }
    let report = running.finish().expect_code(0).summary();
    expect_sums(&report, 100, 100);
    let times = &report["latency_ns"];
    assert!(times["min"].as_u64().is_some_and(|ns| ns >= 29_900_000), "{report}");
    // All are sent back after the last came in, 198 ms after the first.
    assert!(times["max"].as_u64().is_some_and(|ns| ns >= 198_000_000), "{report}");
}

/// What a closed loop hides: a stall makes all packets late that are due meanwhile.
#[test]
fn a_stall_shows_in_every_packet_that_was_due() {
    let (reflecting, to) = socket();
    let running = start(&["--to", &to, "-c", "1000", "--json"]);
    for number in 0..1000 {
        let (payload, from) = receive(&reflecting);
        if number == 500 {
            std::thread::sleep(Duration::from_millis(400));
        }
        reflecting.send_to(&payload, from).expect("loopback");
    }
    let report = running.finish().expect_code(0).summary();
    expect_sums(&report, 1000, 1000);
    // Packets 500 to 900 were due in the stall; a tenth of all waited for 300 ms or more.
    let times = &report["latency_ns"];
    assert!(times["p90"].as_u64().is_some_and(|ns| ns >= 290_000_000), "{report}");
    assert!(times["max"].as_u64().is_some_and(|ns| ns >= 390_000_000), "{report}");
}

#[test]
fn what_is_lost_doubled_or_out_of_order_is_counted() {
    let (reflecting, to) = socket();
    let args = ["--to", &to, "-c", "100", "--rate", "1k", "--linger", "300ms", "--json"];
    let running = start(&args);
    let mut held = None;
    for number in 0..100 {
        let (payload, from) = receive(&reflecting);
        assert_eq!(Message::Trade.read(&payload), Some(number));
        let send = |payload: &[u8]| reflecting.send_to(payload, from).expect("loopback");
        match number % 10 {
            // Lost.
            3 => {}
            // Twice.
            5 => {
                send(&payload);
                send(&payload);
            }
            // After the one behind it.
            7 => held = Some(payload),
            8 => {
                send(&payload);
                send(&held.take().expect("it was held back"));
            }
            _ => {
                send(&payload);
            }
        }
        if number == 50 {
            send(b"who are you?");
            send(&[b'9'; 152]);
        }
    }
    let report = running.finish().expect_code(0).summary();
    assert_eq!((&report["sent"], &report["received"]), (&json!(100), &json!(90)), "{report}");
    assert_eq!((&report["lost"], &report["loss_percent"]), (&json!(10), &json!(10.0)));
    assert_eq!((&report["duplicates"], &report["reordered"]), (&json!(10), &json!(10)), "{report}");
    assert_eq!(report["foreign"], 2, "{report}");
}

/// A replicator with three subscribers, one of them dead.
#[test]
fn one_way_has_a_line_for_each_subscriber() {
    let (replicating, to) = socket();
    let subscribers = [socket().1, socket().1, socket().1];
    let mut args = vec!["--to", &to, "-c", "50", "--linger", "300ms"];
    subscribers.iter().for_each(|address| args.extend(["--subscriber", address]));
    for format in ["json", "text"] {
        let running = start(&[&args[..], &["--summary", format]].concat());
        for number in 0..50 {
            let (payload, _) = receive(&replicating);
            replicating.send_to(&payload, &subscribers[0]).expect("loopback");
            if number != 9 {
                replicating.send_to(&payload, &subscribers[2]).expect("loopback");
            }
        }
        let ran = running.finish().expect_code(0);
        if format == "text" {
            for (address, counts) in subscribers.iter().zip(["50 0", "0 50", "49 1"]) {
                let line = ran.stderr.lines().find(|line| line.starts_with(address));
                let line = line.unwrap_or_else(|| panic!("no {address} in {}", ran.stderr));
                let words: Vec<&str> = line.split_whitespace().collect();
                assert_eq!(words[1..3].join(" "), counts, "{}", ran.stderr);
            }
            continue;
        }
        let report = ran.summary();
        assert_eq!((&report["measured"], &report["sent"]), (&json!("one_way"), &json!(50)));
        assert_eq!((&report["received"], &report["lost"]), (&json!(99), &json!(51)), "{report}");
        for (index, (received, lost)) in [(50, 0), (0, 50), (49, 1)].into_iter().enumerate() {
            let one = &report["subscribers"][index];
            assert_eq!(one["address"], subscribers[index], "{report}");
            assert_eq!((&one["received"], &one["lost"]), (&json!(received), &json!(lost)));
            assert_eq!(one["latency_ns"].is_null(), received == 0, "{report}");
        }
    }
}

#[test]
fn silence_is_a_failure_with_a_cure() {
    let (_silent, to) = socket();
    let args = ["latency", "--to", &to, "-c", "5", "--linger", "50ms"];
    run(&args).expect_message(1, &["nothing came back", "tickwire latency --reflect"]);
    let subscriber = socket().1;
    let args = [&args[..], &["--subscriber", &subscriber]].concat();
    run(&args).expect_message(1, &["nothing arrived", "replicator"]);
    // And where nobody listens at all, that is said, too.
    let closed = socket().1;
    run(&["latency", "--to", &closed, "-c", "5", "--linger", "50ms"])
        .expect_message(1, &["nothing came back"]);
}

/// Two reflectors of one port would keep a datagram between them for ever.
#[test]
fn a_reflector_does_not_answer_another_one() {
    let (reflecting, to) = reflector(&["--json"]);
    let port = to.parse::<SocketAddr>().expect("an address").port();
    let other = UdpSocket::bind(("127.0.0.2", port)).expect("a free port");
    other.set_read_timeout(Some(Duration::from_millis(100))).expect("a time limit");
    other.send_to(b"tick", &to).expect("loopback");
    other.recv(&mut [0; 16]).expect_err("no answer");
    let (friend, _) = socket();
    friend.send_to(b"tock", &to).expect("loopback");
    assert_eq!(receive(&friend).0, b"tock");
    reflecting.signal(Signal::TERM);
    let summary = reflecting.finish().expect_code(0).summary();
    assert_eq!((&summary["received"], &summary["delivered"]), (&json!(2), &json!(1)));
    assert_eq!(summary["discarded"], json!({"reflected": 1}));
}

#[test]
fn an_interrupted_measurement_ends_with_its_report() {
    let (_reflecting, to) = reflector(&[]);
    let running = start(&["--to", &to, "--json"]);
    running.wait_for("sending to");
    std::thread::sleep(Duration::from_millis(200));
    running.signal(Signal::INT);
    let report = running.finish().expect_code(130).summary();
    let sent = report["sent"].as_u64().expect("a count");
    assert!(sent > 0);
    expect_sums(&report, sent, sent);
}

/// Whole frames out, datagrams back, over each kind of socket.
#[test]
fn round_trips_over_a_wire() {
    require_root!("round_trips_over_a_wire");
    for port in ["udp", "af_packet", "af_xdp"] {
        let lab = Lab::veth(LabConfig { ipv6: false, ..LabConfig::default() }).expect("a lab");
        let to = format!("{}:7000", lab.right.ipv4());
        let spawn = |end: &tickwire_lab::End, args: &[&str]| {
            let command: Command = command(&[&["latency"], args].concat());
            Running::of(end.spawn(command).expect("the binary starts"))
        };
        let reflecting = spawn(&lab.right, &["--reflect", &to]);
        reflecting.wait_for("reflecting on 10.77.0.2:7000");
        let args = ["--to", &to, "-c", "1000", "--rate", "5k", "--port", port, "--json"];
        let ran: Ran = spawn(&lab.left, &args).finish().expect_code(0);
        let report = ran.summary();
        expect_sums(&report, 1000, 1000);
        assert_eq!(report["send"]["port"], port, "{report}");
    }
}
