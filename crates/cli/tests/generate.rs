//! `tickwire generate` as users run it: over loopback without privileges, and on a veth pair in
//! private namespaces over each kind of socket. What was sent is what arrives, to the packet.
//!
//! The latter needs root; says so loudly where it is missing.

mod common;

use common::{Folder, Ran, Running, command, pcap, run, udp_frame};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};
use tickwire_lab::{Checker, Lab, LabConfig, Message, UdpReceiver, require_root};
use tickwire_market::hft_tick;
use tickwire_market::moldudp64::Packet;
use tickwire_market::nanonet::{big, little};

/// What arrives arrives within this time, on a busy machine too.
const WAIT: Duration = Duration::from_secs(10);

fn receiver(address: &str) -> (UdpSocket, String) {
    let socket = UdpSocket::bind(address).expect("a free port");
    socket.set_read_timeout(Some(WAIT)).expect("a time limit");
    rustix::net::sockopt::set_socket_recv_buffer_size(&socket, 4 << 20).expect("room");
    let to = socket.local_addr().expect("it is bound").to_string();
    (socket, to)
}

fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = vec![0; 10_000];
    let (length, from) = socket.recv_from(&mut buffer).expect("a datagram");
    buffer.truncate(length);
    (buffer, from)
}

fn expect_sent(summary: &Value, count: u64) {
    for name in ["received", "delivered"] {
        assert_eq!(summary[name], count, "{summary}");
    }
    assert_eq!((&summary["difference"], &summary["discarded"]), (&json!(0), &json!({})));
}

#[test]
fn numbers_arrive_in_order_with_the_time_they_were_due() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let (socket, to) = receiver(address);
        let args = ["generate", "--to", &to, "-c", "200", "--rate", "2k", "--size", "60", "--json"];
        let ran = run(&args).expect_code(0);
        let summary = ran.summary();
        expect_sent(&summary, 200);
        assert_eq!(summary["sent_bytes"], 200 * 60);
        let mut first_ns = 0;
        for number in 0..200 {
            let (payload, _) = receive(&socket);
            assert_eq!((payload.len(), Message::Numbered.read(&payload)), (60, Some(number)));
            let due_ns = u64::from_be_bytes(payload[12..20].try_into().expect("eight bytes"));
            if number == 0 {
                first_ns = due_ns;
            }
            // 2,000 a second: fixed beforehand, so exact, however late they left.
            assert_eq!(due_ns - first_ns, number * 500_000);
        }
        let seconds = summary["seconds"].as_f64().expect("a time");
        assert!((0.0995..60.0).contains(&seconds), "{summary}");
        let lateness = &summary["lateness_ns"];
        assert!(lateness["p50"].as_u64() <= lateness["max"].as_u64(), "{summary}");
    }
}

#[test]
fn trades_are_152_bytes_of_json() {
    let (socket, to) = receiver("127.0.0.1:0");
    run(&["generate", "--to", &to, "-c", "3", "--message", "trade"]).expect_code(0);
    for number in 0..3 {
        let (payload, _) = receive(&socket);
        assert_eq!((payload.len(), &payload[38..47]), (152, &b"000000000"[..]));
        assert_eq!(Message::Trade.read(&payload), Some(number));
        let trade: Value = serde_json::from_slice(&payload).expect("JSON");
        assert_eq!(trade["id"], format!("{number:010}"));
    }
}

#[test]
fn a_made_up_day_arrives_as_it_is_written() {
    let folder = Folder::new("generate-itch");
    let file = folder.file("day.binaryfile");
    let (socket, to) = receiver("127.0.0.1:0");
    let day = ["--format", "itch", "-c", "5000", "--rate", "100k", "--stocks", "20", "--orders"];
    let day = [&day[..], &["300"]].concat();
    run(&[&["generate", "-w", &file], &day[..]].concat()).expect_code(0);
    let args = ["generate", "--to", &to, "--linger", "0", "--session", "DAY1", "--json"];
    let summary = run(&[&args[..], &day].concat()).expect_code(0).summary();
    assert_eq!((&summary["messages"], &summary["ends"]), (&json!(5_000), &json!(1)));
    let mut heard = Vec::new();
    for _ in 0..summary["delivered"].as_u64().expect("a count") {
        let (payload, _) = receive(&socket);
        let packet = Packet::parse(&payload).expect("MoldUDP64");
        assert_eq!(packet.session().to_string(), "DAY1");
        heard.extend_from_slice(packet.header().rest());
    }
    assert!(heard == std::fs::read(&file).expect("written"));
    // What it is, says the reader of feeds; and it ends as a day does.
    let stats = run(&["feed", "stats", "-r", &file, "--json"]).expect_code(0).summary();
    let count = |letter: &str| stats["by_type"][letter].as_u64().unwrap_or(0);
    let known = ["messages", "unknown", "malformed"].map(|name| stats[name].clone());
    assert_eq!(known, [json!(5_000), json!(0), json!(0)], "{stats}");
    assert_eq!((count("R"), count("S")), (20, 6), "{stats}");
    assert!(count("A") > 1_500 && count("D") > 1_000 && count("U") > 100, "{stats}");
    let other = folder.file("other");
    run(&[&["generate", "-w", &other, "--seed", "2"], &day[..]].concat()).expect_code(0);
    assert!(heard != std::fs::read(&other).expect("written"));
}

#[test]
fn a_day_goes_through_a_pipe() {
    let made = run(&["generate", "--format", "itch", "-c", "100", "-w", "-"]).expect_code(0);
    let read = common::run_with_input(&["feed", "stats", "-r", "-", "--json"], &made.stdout);
    assert_eq!(read.expect_code(0).summary()["messages"], 100);
}

#[test]
fn the_house_formats_are_as_their_readers_expect() {
    for (flags, bytes) in [
        (&["--format", "nanonet"][..], 24),
        (&["--format", "nanonet", "--byte-order", "big"], 24),
        (&["--format", "hft-tick"], 14),
    ] {
        let (socket, to) = receiver("127.0.0.1:0");
        let args = ["generate", "--to", &to, "-c", "50", "--rate", "max", "--json"];
        expect_sent(&run(&[&args[..], flags].concat()).expect_code(0).summary(), 50);
        let mut prices = Vec::new();
        for _ in 0..50 {
            let (payload, _) = receive(&socket);
            assert_eq!(payload.len(), bytes);
            prices.push(match flags {
                [_, "nanonet"] => little::MarketData::parse(&payload).expect("whole").price().0,
                [_, "nanonet", ..] => big::MarketData::parse(&payload).expect("whole").price().0,
                _ => (hft_tick::Tick::parse(&payload).expect("whole").price() * 100.0) as u32,
            });
        }
        assert!(prices.iter().all(|price| (9_949..10_050).contains(price)), "{prices:?}");
        assert!(prices.iter().any(|price| *price != prices[0]));
        run(&[&args[..], flags, &["--size", "25"]].concat())
            .expect_message(2, &["leave --size out"]);
    }
}

#[test]
fn what_a_day_cannot_be_says_why() {
    let refused = |args: &[&str], words: &[&str]| {
        run(&[&["generate"], args].concat()).expect_message(2, words);
    };
    refused(&["--format", "itch", "-w", "/tmp/x"], &["-c 10M"]);
    refused(&["-w", "/tmp/x", "-c", "1"], &["--format itch only"]);
    let to = ["--to", "127.0.0.1:9", "--format", "itch"];
    refused(&[&to[..], &["--port", "af_packet"]].concat(), &["feed pack", "-w"]);
    refused(&[&to[..], &["--size", "100"]].concat(), &["128 to 65507"]);
    run(&["generate", "--format", "itch", "-c", "9", "-w", "/dev/full"])
        .expect_message(1, &["/dev/full", "make room"]);
}

#[test]
fn a_rate_and_a_time_send_exactly_so_many() {
    let (socket, to) = receiver("127.0.0.1:0");
    let args = ["generate", "--to", &to, "--rate", "5k", "--duration", "200ms", "--burst", "10"];
    let ran = run(&[&args[..], &["--summary", "json"]].concat()).expect_code(0);
    expect_sent(&ran.summary(), 1000);
    (0..1000).for_each(|number| {
        assert_eq!(Message::Numbered.read(&receive(&socket).0), Some(number));
    });
}

#[test]
fn flows_take_turns() {
    let (socket, to) = receiver("127.0.0.1:0");
    run(&["generate", "--to", &to, "-c", "12", "--flows", "3", "--rate", "max"]).expect_code(0);
    let ports: Vec<u16> = (0..12).map(|_| receive(&socket).1.port()).collect();
    assert!(ports.chunks(3).all(|turn| turn == &ports[..3]), "{ports:?}");
    assert!(ports[0] != ports[1] && ports[1] != ports[2] && ports[0] != ports[2], "{ports:?}");
}

#[test]
fn payloads_of_a_capture_file_are_sent_over_and_over() {
    let folder = Folder::new("generate-file");
    let frames: Vec<_> = (0..3u8).map(|i| udp_frame(&[i; 20])).collect();
    let file = folder.with("a.pcap", &pcap(&frames));
    let (socket, to) = receiver("127.0.0.1:0");
    let args = ["generate", "--to", &to, "--packets", &file, "-c", "8", "--rate", "1k", "--json"];
    expect_sent(&run(&args).expect_code(0).summary(), 8);
    for number in 0..8 {
        assert_eq!(receive(&socket).0, [number % 3; 20]);
    }
}

#[test]
fn an_interrupted_run_ends_with_its_summary() {
    let (socket, to) = receiver("127.0.0.1:0");
    let running = Running::start(&mut command(&["generate", "--to", &to, "--json"]));
    receive(&socket);
    running.signal(Signal::INT);
    let summary = running.finish().expect_code(130).summary();
    let sent = summary["delivered"].as_u64().expect("a count");
    expect_sent(&summary, sent);
    assert!(sent >= 1);
    (1..sent).for_each(|number| {
        assert_eq!(Message::Numbered.read(&receive(&socket).0), Some(number));
    });
}

#[test]
fn a_closed_port_is_told_and_costs_nothing() {
    let to = receiver("127.0.0.1:0").1;
    let ran = run(&["generate", "--to", &to, "-c", "20"]).expect_code(0);
    assert!(ran.stderr.contains("nobody listens there"), "{ran:?}");
    assert!(ran.stderr.contains("every packet is accounted for"), "{ran:?}");
}

#[test]
fn what_does_not_fit_is_named() {
    require_root!("what_does_not_fit_is_named");
    let lab = Lab::new().expect("a lab");
    let to = format!("{}:5000", lab.right.ipv4());
    let refused = |args: &[&str]| -> Ran {
        let args = [&["generate", "--to", &to, "-c", "5", "--size", "1473"], args].concat();
        Running::of(lab.left.spawn(command(&args)).expect("the binary starts")).finish()
    };
    refused(&[]).expect_message(1, &["too_long", "not one packet left", "Message too long"]);
    refused(&["--port", "af_packet"])
        .expect_message(1, &["1515 bytes", "MTU is 1500", "--size of at most 1472"]);
}

/// One body for all outlets: what is generated arrives, whole and in order.
#[test]
fn every_number_arrives_over_each_kind_of_socket() {
    require_root!("every_number_arrives_over_each_kind_of_socket");
    const COUNT: u64 = 20_000;
    for (port, v6) in
        [("udp", false), ("udp", true), ("af_packet", false), ("af_xdp", false), ("af_xdp", true)]
    {
        let lab = Lab::new().expect("a lab");
        let address = if v6 { lab.right.ipv6().into() } else { lab.right.ipv4().into() };
        let receiver = UdpReceiver::bind(&lab.right, address, 5000).expect("a free port");
        let to = SocketAddr::new(address, 5000).to_string();
        let mut args = vec!["generate", "--to", &to, "-c", "20k", "--rate", "40k", "--json"];
        args.extend(["--port", port]);
        let running = Running::of(lab.left.spawn(command(&args)).expect("the binary starts"));
        let mut checker = Checker::new(COUNT);
        let found = receiver.receive(&mut checker, COUNT, WAIT).expect("a socket");
        let summary = running.finish().expect_code(0).summary();
        expect_sent(&summary, COUNT);
        assert_eq!(summary["port"], port);
        assert!(found.is_perfect(), "{port} {to}: {found}");
    }
}

#[test]
fn groups_need_no_link_address_and_leave_where_they_should() {
    require_root!("groups_need_no_link_address_and_leave_where_they_should");
    for (port, group) in [
        ("udp", "239.1.1.200"),
        ("udp", "ff05::1:200"),
        ("af_packet", "239.1.1.200"),
        ("af_packet", "ff05::1:200"),
        ("af_xdp", "239.1.1.200"),
    ] {
        let lab = Lab::new().expect("a lab");
        let group: IpAddr = group.parse().expect("an address");
        let receiver = UdpReceiver::bind(&lab.right, group, 5000).expect("a free port");
        let socket = receiver.socket();
        match group {
            IpAddr::V4(group) => socket.join_multicast_v4(&group, &lab.right.ipv4()),
            IpAddr::V6(group) => socket.join_multicast_v6(&group, lab.right.index().expect("up")),
        }
        .expect("a member");
        let to = SocketAddr::new(group, 5000).to_string();
        let args = ["generate", "--to", &to, "-c", "500", "-i", "left0", "--json", "--port", port];
        let running = Running::of(lab.left.spawn(command(&args)).expect("the binary starts"));
        let mut checker = Checker::new(500);
        let found = receiver.receive(&mut checker, 500, WAIT).expect("a socket");
        expect_sent(&running.finish().expect_code(0).summary(), 500);
        assert!(found.is_perfect(), "{port} {to}: {found}");
    }
}

/// Far more than any machine sends: the time is up before all is sent, and that is said.
#[test]
fn a_rate_that_is_not_reached_ends_in_time_and_shows() {
    let (_socket, to) = receiver("127.0.0.1:0");
    let args = ["generate", "--to", &to, "--rate", "1000M", "--duration", "200ms", "--json"];
    let started = Instant::now();
    let summary = run(&args).expect_code(0).summary();
    assert!(started.elapsed() < Duration::from_secs(20));
    let of = |name: &str| summary[name].as_u64().expect("a count");
    assert_eq!(of("received") + of("due_but_not_generated"), 200_000_000, "{summary}");
    assert_eq!(summary["difference"], 0, "{summary}");
    // What fell behind shows: the last packet was late by most of the time that it took.
    let late_ns = summary["lateness_ns"]["max"].as_u64().expect("a time");
    assert!(late_ns >= 900_000_000, "{summary}");
}

/// The kernel asks for a neighbour that it does not know; one that is not there is said.
#[test]
fn neighbours_are_found_or_missed() {
    require_root!("neighbours_are_found_or_missed");
    let lab = Lab::veth(LabConfig { neighbours: false, ..LabConfig::default() }).expect("a lab");
    // Neighbour discovery asks from a link-local address, of which a lab has none.
    let (mut links, index) = (lab.left.links().expect("netlink"), lab.left.index().expect("up"));
    links.add_address(index, "fe80::1".parse().expect("an address"), 64).expect("a new address");
    let generate = |args: &[&str]| -> Ran {
        let args = [&["generate", "-c", "10", "--json", "--port", "af_packet"], args].concat();
        Running::of(lab.left.spawn(command(&args)).expect("the binary starts")).finish()
    };
    for address in [lab.right.ipv4().into(), lab.right.ipv6().into()] {
        let receiver = UdpReceiver::bind(&lab.right, address, 5000).expect("a free port");
        let to = SocketAddr::new(address, 5000).to_string();
        expect_sent(&generate(&["--to", &to]).expect_code(0).summary(), 10);
        let found = receiver.receive(&mut Checker::new(10), 10, WAIT).expect("a socket");
        assert!(found.is_perfect(), "{to}: {found}");
    }
    let args = ["--to", "10.77.0.99:5000"];
    generate(&args).expect_message(1, &["10.77.0.99 does not answer on left0", "--dst-mac"]);
    generate(&["--to", "192.0.2.1:5000"]).expect_message(1, &["no route", "ip route get"]);
    lab.left.set_up(false).expect("down");
    let args = ["--to", "10.77.0.2:5000", "-i", "left0"];
    generate(&args).expect_message(1, &["link of left0 is down", "ip link set left0 up"]);
}

/// The link goes down in the middle: nothing waits for it and leaves late.
#[test]
fn packets_that_cannot_leave_are_counted() {
    require_root!("packets_that_cannot_leave_are_counted");
    for port in ["af_packet", "af_xdp"] {
        let lab = Lab::veth(LabConfig { ipv6: false, ..LabConfig::default() }).expect("a lab");
        let receiver = UdpReceiver::bind(&lab.right, lab.right.ipv4(), 5000).expect("a free port");
        let to = format!("{}:5000", lab.right.ipv4());
        let args = ["generate", "--to", &to, "--rate", "1k", "--json", "--port", port];
        let running = Running::of(lab.left.spawn(command(&args)).expect("the binary starts"));
        let mut checker = Checker::new(1 << 20);
        receiver.receive(&mut checker, 100, WAIT).expect("a socket");
        lab.left.set_up(false).expect("down");
        std::thread::sleep(Duration::from_millis(400));
        running.signal(Signal::TERM);
        let summary = running.finish().expect_code(0).summary();
        lab.left.set_up(true).expect("up");
        let found = receiver.receive(&mut checker, u64::MAX, Duration::from_millis(300));
        let arrived = found.expect("a socket").received;
        assert_eq!(summary["difference"], 0, "{summary}");
        assert_eq!(summary["delivered"], arrived, "{port}: {summary}");
        let generated = summary["received"].as_u64().expect("a count");
        assert!(generated >= arrived + 100, "{port}: {arrived} arrived of {summary}");
    }
}
