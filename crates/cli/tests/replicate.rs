//! `tickwire replicate` as users run it: in private namespaces, the same body for every mode.
//!
//! Needs root; says so loudly where it is missing.

mod common;

use common::{Folder, Running, ask, command, run};
use rustix::process::Signal;
use serde_json::json;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};
use tickwire_decode::checksum::Sum;
use tickwire_lab::{
    Checker, Lab, LabConfig, Numbered, Offload, Schedule, UdpReceiver, require_root, send_udp,
};
use tickwire_replicate::Subscriber;
use tickwire_replicate::state::{self, Saved};

const MODES: [&str; 3] = ["xdp", "af_xdp", "udp"];
/// The port of the first subscriber; the others follow.
const PORT_FIRST: u16 = 6000;
/// Nothing in these tests takes longer to arrive.
const ARRIVAL: Duration = Duration::from_secs(20);

fn quiet_lab() -> Lab {
    let lab = Lab::veth(LabConfig { ipv6: false, ..LabConfig::default() }).expect("a lab");
    // So that mode xdp can redirect frames to it.
    lab.left.set_offload(Offload::Gro, true).expect("an offload");
    lab
}

/// Starts a replicator on the right end, and waits until it receives.
fn start(lab: &Lab, args: &[&str]) -> Running {
    let listen = format!("{}:5000,name=itch", lab.right.ipv4());
    let args = [&["replicate", "-i", lab.right.name(), "--listen", &listen], args].concat();
    let running = Running::of(lab.right.spawn(command(&args)).expect("the binary starts"));
    running.wait_for("ready");
    running
}

/// Sends `count` numbered packets to the feed while each of `receivers` checks its copies.
fn replicate(lab: &Lab, count: u64, receivers: &[UdpReceiver]) {
    let packets = Numbered::between(&lab.left, &lab.right);
    std::thread::scope(|scope| {
        let checks: Vec<_> = (receivers.iter())
            .map(|receiver| {
                scope.spawn(move || receiver.receive(&mut Checker::new(count), count, ARRIVAL))
            })
            .collect();
        let sent = send_udp(&lab.left, &packets, &Schedule::paced(count, 20_000.0)).expect("sent");
        assert_eq!((sent.sent, sent.difference()), (count, 0));
        for check in checks {
            let report = check.join().expect("no panic").expect("a socket");
            assert!(report.is_perfect(), "{report:?}");
        }
    });
}

fn receivers(lab: &Lab, count: u16) -> Vec<UdpReceiver> {
    let bind = |n| UdpReceiver::bind(&lab.left, lab.left.ipv4(), PORT_FIRST + n);
    (0..count).map(|n| bind(n).expect("a free port")).collect()
}

#[test]
fn every_subscriber_gets_every_datagram_once_and_in_order() {
    require_root!("every_subscriber_gets_every_datagram_once_and_in_order");
    for mode in MODES {
        let lab = quiet_lab();
        let receivers = receivers(&lab, 4);
        let subscribers: Vec<_> =
            (0..4).map(|n| format!("{}:{}", lab.left.ipv4(), PORT_FIRST + n)).collect();
        let mut args = vec!["--mode", mode, "--summary", "json"];
        args.extend(subscribers.iter().flat_map(|address| ["--subscriber", address]));
        let running = start(&lab, &args);
        replicate(&lab, 5_000, &receivers);
        let summary = running.stop();
        assert_eq!(summary["port"], mode, "{summary}");
        assert_eq!((&summary["received"], &summary["difference"]), (&json!(5_000), &json!(0)));
        let feed = &summary["feeds"][0];
        assert_eq!((&feed["name"], &feed["offered"]), (&json!("itch"), &json!(5_000)), "{feed}");
        for (n, address) in subscribers.iter().enumerate() {
            let subscriber = &feed["subscribers"][n];
            assert_eq!(&subscriber["address"], address);
            assert_eq!(
                (&subscriber["copied"], &subscriber["discarded"]),
                (&json!(5_000), &json!({})),
                "{mode}: {subscriber}"
            );
        }
    }
}

/// Between ends of a veth pair nobody fills in what is left to hardware.
#[test]
fn checksums_that_the_sender_left_to_hardware_are_right_in_copies() {
    require_root!("checksums_that_the_sender_left_to_hardware_are_right_in_copies");
    for mode in MODES {
        let lab = quiet_lab();
        lab.left.set_offload(Offload::TransmitChecksum, true).expect("an offload");
        let receivers = receivers(&lab, 2);
        let to = |n: u16, more: &str| format!("{}:{}{more}", lab.left.ipv4(), PORT_FIRST + n);
        let (one, other) = (to(0, ""), to(1, ",checksum=compute"));
        let args = ["--mode", mode, "--summary", "json", "--subscriber", &one];
        let running = start(&lab, &[&args[..], &["--subscriber", &other]].concat());
        replicate(&lab, 2_000, &receivers);
        let summary = running.stop();
        assert_eq!((&summary["received"], &summary["difference"]), (&json!(2_000), &json!(0)));
        for subscriber in summary["feeds"][0]["subscribers"].as_array().expect("a list") {
            assert_eq!(
                (&subscriber["offered"], &subscriber["copied"], &subscriber["discarded"]),
                (&json!(2_000), &json!(2_000), &json!({})),
                "{mode}: {subscriber}"
            );
        }
        assert_eq!(lab.left.run(checksum_errors), 0, "{mode}");
    }
}

/// UDP datagrams that this namespace dropped for their checksum.
fn checksum_errors() -> u64 {
    let table = std::fs::read_to_string("/proc/thread-self/net/snmp").expect("counters");
    let mut lines = table.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let (names, values) = (lines.next().expect("names"), lines.next().expect("values"));
    let mut both = names.split(' ').zip(values.split(' '));
    let (_, value) = both.find(|(name, _)| *name == "InCsumErrors").expect("the counter");
    value.parse().expect("a number")
}

/// One right checksum of 65 536 looks as if it were left to hardware.
#[test]
fn whose_checksum_looks_left_to_hardware_but_is_right_keeps_its_place() {
    require_root!("whose_checksum_looks_left_to_hardware_but_is_right_keeps_its_place");
    for mode in MODES {
        for left_to_hardware in [true, false] {
            let lab = quiet_lab();
            lab.left.set_offload(Offload::TransmitChecksum, left_to_hardware).expect("an offload");
            let receiver = receivers(&lab, 1).remove(0);
            let to = format!("{}:{PORT_FIRST}", lab.left.ipv4());
            let running = start(&lab, &["--mode", mode, "--subscriber", &to]);
            let (from, feed) = ((lab.left.ipv4(), 4_000), (lab.right.ipv4(), 5_000));
            let sender = lab.left.run(|| UdpSocket::bind(from)).expect("a socket");
            let addresses = [from.0.octets(), feed.0.octets()].concat();
            let pseudo = Sum::default().over(&addresses).add_word(17).add_word(8 + 6);
            let left = !pseudo.finish();
            let headers = pseudo.add_word(from.1).add_word(feed.1).add_word(8 + 6);
            let socket = receiver.socket();
            socket.set_read_timeout(Some(ARRIVAL)).expect("a time limit");
            for first in (0..1_000u32).step_by(50) {
                for number in first..first + 50 {
                    // Every seventh has a word that makes the right checksum what is left there.
                    let seventh = number % 7 == 0;
                    let sum = headers.add_long(number);
                    let word = sum.add_word(left).finish() ^ u16::from(!seventh);
                    assert_eq!(sum.add_word(word).finish() == left, seventh);
                    let payload = [&number.to_be_bytes()[..], &word.to_be_bytes()].concat();
                    sender.send_to(&payload, feed).expect("sent");
                }
                for number in first..first + 50 {
                    let mut copy = [0; 6];
                    assert_eq!(socket.recv(&mut copy).expect("a copy in time"), 6);
                    assert_eq!(copy[..4], number.to_be_bytes(), "{mode}");
                }
            }
            stop_quietly(running);
            assert_eq!(lab.left.run(checksum_errors), 0, "{mode}");
        }
    }
}

#[test]
fn filters_ttl_and_names_are_per_subscriber() {
    require_root!("filters_ttl_and_names_are_per_subscriber");
    for mode in MODES {
        let lab = quiet_lab();
        let receivers = receivers(&lab, 2);
        let to = |n: u16, settings: &str| {
            format!("itch={}:{}{settings}", lab.left.ipv4(), PORT_FIRST + n)
        };
        // Sequence numbers are big-endian behind a magic of four bytes: the last byte, by two.
        let even = to(0, ",name=even,ttl=9,filter=udp[19] & 1 = 0");
        let none = to(1, ",filter=tcp");
        let args = ["--mode", mode, "--summary", "json", "--subscriber", &even];
        let running = start(&lab, &[&args[..], &["--subscriber", &none]].concat());
        let packets = Numbered::between(&lab.left, &lab.right);
        send_udp(&lab.left, &packets, &Schedule::paced(1_000, 20_000.0)).expect("sent");
        let report =
            receivers[0].receive(&mut Checker::new(1_000), 500, ARRIVAL).expect("a socket");
        assert_eq!((report.received, report.missing, report.duplicates), (500, 500, 0));
        let summary = running.stop();
        let [even, none] = [0, 1].map(|n| &summary["feeds"][0]["subscribers"][n]);
        assert_eq!((&even["name"], &even["copied"]), (&json!("even"), &json!(500)), "{summary}");
        assert_eq!(even["discarded"], json!({"not_selected": 500}));
        assert_eq!(none["discarded"], json!({"not_selected": 1_000}), "{mode}");
    }
}

#[test]
fn what_does_not_fit_a_frame_or_comes_in_fragments_arrives_all_the_same() {
    require_root!("what_does_not_fit_a_frame_or_comes_in_fragments_arrives_all_the_same");
    for mode in MODES {
        let lab = quiet_lab();
        let receivers = receivers(&lab, 1);
        let address = format!("{}:{PORT_FIRST}", lab.left.ipv4());
        let running = start(&lab, &["--mode", mode, "--summary", "json", "--subscriber", &address]);
        let feed = (lab.right.ipv4(), 5000);
        lab.left.run(|| {
            let socket = std::net::UdpSocket::bind((lab.left.ipv4(), 0)).expect("a socket");
            for byte in 0..10 {
                let sent = socket.send_to(&[byte; 4_000], feed).expect("sent in fragments");
                assert_eq!(sent, 4_000);
            }
        });
        let socket = receivers[0].socket();
        socket.set_read_timeout(Some(ARRIVAL)).expect("a time limit");
        for byte in 0..10 {
            let mut datagram = [0; 5_000];
            let len = socket.recv(&mut datagram).expect("a copy in time");
            assert_eq!((len, &datagram[..4_000]), (4_000, &[byte; 4_000][..]), "{mode}");
        }
        let summary = running.stop();
        assert_eq!((&summary["received"], &summary["difference"]), (&json!(10), &json!(0)));
    }
}

/// Through frames, and through a socket what comes in fragments.
#[test]
fn a_subscriber_of_the_other_ip_version_gets_every_datagram() {
    require_root!("a_subscriber_of_the_other_ip_version_gets_every_datagram");
    for mode in MODES {
        let lab = Lab::veth(LabConfig { gro: true, ..LabConfig::default() }).expect("a lab");
        let (six, four) = (IpAddr::from(lab.right.ipv6()), IpAddr::from(lab.right.ipv4()));
        for feed in [four, six].map(|ip| SocketAddr::new(ip, 5000)) {
            let to: IpAddr = match feed {
                SocketAddr::V4(_) => lab.left.ipv6().into(),
                SocketAddr::V6(_) => lab.left.ipv4().into(),
            };
            let socket = lab.left.run(|| UdpSocket::bind((to, PORT_FIRST))).expect("a free port");
            socket.set_read_timeout(Some(ARRIVAL)).expect("a time limit");
            let (listen, to) = (format!("{feed},name=itch"), SocketAddr::new(to, PORT_FIRST));
            let (name, to) = (lab.right.name(), to.to_string());
            let args = ["replicate", "-i", name, "--mode", mode, "--listen", &listen];
            let more = ["--summary", "json", "--subscriber", &to];
            let command = command(&[&args[..], &more].concat());
            let running = Running::of(lab.right.spawn(command).expect("the binary starts"));
            running.wait_for("ready");
            let any = if feed.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let sender = lab.left.run(|| UdpSocket::bind(any)).expect("a socket");
            for len in [100, 4_000] {
                for byte in 0..10 {
                    sender.send_to(&vec![byte; len], feed).expect("sent");
                }
                for byte in 0..10 {
                    let mut copy = [0; 5_000];
                    let arrived = socket.recv(&mut copy).expect("a copy in time");
                    assert_eq!((arrived, copy[len - 1]), (len, byte), "{mode}, {feed}");
                }
            }
            let summary = running.stop();
            let subscriber = &summary["feeds"][0]["subscribers"][0];
            let account = (&subscriber["copied"], &subscriber["discarded"]);
            assert_eq!(account, (&json!(20), &json!({})), "{mode}, {feed}");
        }
    }
}

/// Sends a datagram of each length to the feed, and waits for those that `fit` at `receiver`: all
/// that arrives is of them.
fn lengths_arrive(lab: &Lab, lengths: &[usize], fit: &[usize], receiver: &UdpReceiver) {
    let feed = (lab.right.ipv4(), 5000);
    lab.left.run(|| {
        let socket = UdpSocket::bind((lab.left.ipv4(), 0)).expect("a socket");
        for &len in lengths {
            assert_eq!(socket.send_to(&vec![len as u8; len], feed).expect("sent"), len);
        }
    });
    let socket = receiver.socket();
    socket.set_read_timeout(Some(ARRIVAL)).expect("a time limit");
    let mut arrived: Vec<usize> = (fit.iter())
        .map(|_| {
            let mut datagram = [0; 2_000];
            let len = socket.recv(&mut datagram).expect("a copy in time");
            assert!(datagram[..len].iter().all(|&byte| byte == len as u8), "{len} bytes");
            len
        })
        .collect();
    // What goes through a socket may be overtaken.
    arrived.sort_unstable();
    assert_eq!(arrived, fit);
}

#[test]
fn at_the_mtu_nothing_is_lost_without_a_name() {
    require_root!("at_the_mtu_nothing_is_lost_without_a_name");
    let lab = quiet_lab();
    let (near, far) = lab.branch().expect("another link");
    far.set_offload(Offload::Gro, true).expect("an offload");
    near.set_mtu(1400).expect("an MTU");
    let bind = |end: &tickwire_lab::End| UdpReceiver::bind(end, end.ipv4(), PORT_FIRST);
    let (narrow, wide) = (bind(&far).expect("a free port"), bind(&lab.left).expect("a free port"));
    let [to_narrow, to_wide] = [&far, &lab.left].map(|end| format!("{}:{PORT_FIRST}", end.ipv4()));
    let args = ["--mode", "xdp", "--summary", "json", "--subscriber", &to_narrow];
    let running = start(&lab, &[&args[..], &["--subscriber", &to_wide]].concat());
    // IP and UDP headers are 28 bytes. The kernel redirects what is at most 4 bytes, those of a
    // VLAN tag, longer than the MTU; what is longer than that goes through sockets, in fragments.
    let lengths: Vec<usize> = (1360..1390).collect();
    let fit: Vec<usize> =
        lengths.iter().copied().filter(|len| !(1373..=1376).contains(len)).collect();
    lengths_arrive(&lab, &lengths, &fit, &narrow);
    let mut buffer = [0; 2_000];
    let mut of_wide: Vec<usize> =
        lengths.iter().map(|_| wide.socket().recv(&mut buffer).expect("a copy")).collect();
    of_wide.sort_unstable();
    assert_eq!(of_wide, lengths, "the other interface is wide enough for all");

    // Narrower while it runs: it may take a moment until that is known, but nothing is unnamed.
    near.set_mtu(1300).expect("an MTU");
    let (mut sent, deadline) = (lengths.len(), Instant::now() + ARRIVAL);
    let before_next = Duration::from_millis(100);
    wide.socket().set_read_timeout(Some(ARRIVAL)).expect("a time limit");
    narrow.socket().set_read_timeout(Some(before_next)).expect("a time limit");
    let mut received = fit.len();
    loop {
        lengths_arrive(&lab, &[1390], &[1390], &wide);
        sent += 1;
        if narrow.socket().recv(&mut buffer).is_ok() {
            received += 1;
            break;
        }
        assert!(Instant::now() < deadline, "the narrower link is never noticed");
    }
    let summary = running.stop();
    let [narrow, wide] = [0, 1].map(|n| &summary["feeds"][0]["subscribers"][n]);
    assert_eq!((&narrow["offered"], &narrow["copied"]), (&json!(sent), &json!(received)));
    assert_eq!(narrow["discarded"]["too_long"], 4, "{narrow}");
    assert_eq!((&wide["copied"], &wide["discarded"]), (&json!(sent), &json!({})), "{wide}");
}

#[test]
fn whoever_does_not_answer_arp_is_counted_and_costs_the_others_nothing() {
    require_root!("whoever_does_not_answer_arp_is_counted_and_costs_the_others_nothing");
    for mode in MODES {
        let lab = quiet_lab();
        let receivers = receivers(&lab, 1);
        let live = format!("{}:{PORT_FIRST}", lab.left.ipv4());
        let [a, b, c, _] = lab.left.ipv4().octets();
        let dead = format!("{a}.{b}.{c}.250:{PORT_FIRST}");
        let folder = Folder::new(&format!("replicate-arp-{mode}"));
        let socket = folder.file("control");
        let args = ["--mode", mode, "--summary", "json", "--subscriber", &dead];
        let more = ["--control", &socket, "--subscriber", &live];
        let running = start(&lab, &[&args[..], &more].concat());
        replicate(&lab, 2_000, &receivers);
        // It answers after all: exactly what came before is lost.
        lab.right.set_neighbour(Ipv4Addr::new(a, b, c, 250), lab.left.mac()).expect("a neighbour");
        let deadline = Instant::now() + ARRIVAL;
        while ask(&socket, "GET /v1/feeds/itch/subscribers", "").1.contains(r#":"no_neighbour""#) {
            assert!(Instant::now() < deadline, "{mode}: the neighbour is not seen");
        }
        replicate(&lab, 1_000, &receivers);
        let summary = running.stop();
        let [dead, live] = [0, 1].map(|n| &summary["feeds"][0]["subscribers"][n]);
        assert_eq!(dead["discarded"], json!({"no_neighbour": 2_000}), "{mode}: {dead}");
        assert_eq!(dead["copied"], 1_000, "{mode}: {dead}");
        assert_eq!((&live["copied"], &live["discarded"]), (&json!(3_000), &json!({})), "{mode}");
    }
}

#[test]
fn auto_says_why_it_is_not_faster() {
    require_root!("auto_says_why_it_is_not_faster");
    let lab = quiet_lab();
    // A subscriber on the machine itself: frames cannot reach it, sockets can.
    let local = format!("{}:7000", lab.right.ipv4());
    let running = start(&lab, &["--summary", "json", "--subscriber", &local]);
    let summary = running.stop();
    assert_eq!(summary["port"], "udp", "{summary}");
    let why = summary["why"].as_str().unwrap_or_default();
    assert!(why.contains("no xdp: ") && why.contains("; no af_xdp: "), "{summary}");
    assert!(why.contains("this machine"), "{summary}");

    // A burst of 16 datagrams to 16 subscribers just fits into the 256 places of a veth.
    let many: Vec<String> =
        (0..17).map(|n| format!("{}:{}", lab.left.ipv4(), PORT_FIRST + n)).collect();
    for (count, mode, why) in [(16, "xdp", ""), (17, "af_xdp", "room for 256 frames")] {
        let mut args = vec!["--summary", "json"];
        args.extend(many[..count].iter().flat_map(|address| ["--subscriber", address]));
        let summary = start(&lab, &args).stop();
        assert_eq!(summary["port"], mode, "{summary}");
        assert!(summary["why"].as_str().unwrap_or_default().contains(why), "{summary}");
    }
}

/// One datagram at a time may be too much for the device; then it is of no use to speak of bursts.
#[test]
fn more_copies_than_the_device_has_room_for_are_said() {
    require_root!("more_copies_than_the_device_has_room_for_are_said");
    let lab = quiet_lab();
    let all: Vec<String> =
        (0..257).map(|n| format!("{}:{}", lab.left.ipv4(), PORT_FIRST + n)).collect();
    let mut args = vec!["--mode", "xdp", "--summary", "json"];
    args.extend(all.iter().flat_map(|address| ["--subscriber", address]));
    let running = start(&lab, &args);
    running.wait_for("257 copies of each datagram leave by right0, which has room for 256 frames");
    running.wait_for("of each datagram copies are lost, as tx_ring_full");
    running.stop();
}

#[test]
fn an_interface_that_takes_no_redirected_frames_is_refused_with_the_cure() {
    require_root!("an_interface_that_takes_no_redirected_frames_is_refused_with_the_cure");
    let lab = quiet_lab();
    lab.left.set_offload(Offload::Gro, false).expect("an offload");
    let listen = format!("{}:5000", lab.right.ipv4());
    let to = format!("{}:{PORT_FIRST}", lab.left.ipv4());
    let args = ["replicate", "-i", lab.right.name(), "--listen", &listen, "--subscriber", &to];
    let refused = Running::of(
        lab.right.spawn(command(&[&args[..], &["--mode", "xdp"]].concat())).expect("it starts"),
    );
    let text = refused.finish().expect_code(1).stderr;
    assert!(text.contains("takes no frames that XDP programs redirect"), "{text}");
    assert!(text.contains("gro on"), "{text}");
    let summary = start(&lab, &["--summary", "json", "--subscriber", &to]).stop();
    assert_eq!(summary["port"], "af_xdp", "{summary}");
    assert!(summary["why"].as_str().is_some_and(|why| why.contains("redirect")), "{summary}");
}

#[test]
fn settings_are_checked_before_anything_is_opened() {
    let folder = Folder::new("replicate-check");
    let feed = ["replicate", "-i", "nowhere0", "--listen", "239.1.1.1:5000", "--check"];
    let check = |more: &[&str]| run(&[&feed[..], more].concat());
    let ran = check(&["--subscriber", "10.0.0.1:6000"]).expect_code(0);
    assert!(ran.stderr.contains("1 feed to 1 subscriber"), "{ran:?}");
    check(&["--subscriber", "239.1.1.1:5000"]).expect_message(1, &["copied again"]);
    check(&["--subscriber", "10.0.0.1:6000,filter=udp prot 5"]).expect_message(1, &["prot"]);
    check(&["--listen", "239.1.1.1:5000,name=b"]).expect_message(1, &["could take the same"]);
    run(&["replicate"]).expect_message(2, &["nothing to replicate", "--listen"]);
    let damaged = folder.with("state", b"{\"tickwire\":\"replicate subscribers\"\n");
    check(&["--state", &damaged]).expect_message(1, &["is damaged", "line 1", "move it away"]);
    let config = folder.with("a.toml", b"mode = 'udp'\nqeueus = [1]\n");
    check(&["--config", &config]).expect_message(1, &["line 2", "qeueus"]);
    check(&["--config", &folder.file("none")]).expect_message(1, &["none", "No such file"]);
    let config = folder.with("b.toml", b"age_ms_max = 0\n");
    check(&["--config", &config]).expect_message(1, &["age_ms_max = 0", "use 1 to 60000"]);
    let token = folder.file("no-token");
    check(&["--control-tcp", "127.0.0.1:9464", "--token-file", &token])
        .expect_message(1, &["no-token", "create it with"]);
    let one = ["--subscriber", "10.0.0.1:6000"];
    let ran = check(&[&one[..], &["--subscriber", "10.0.0.1:6000,ttl=3"]].concat()).expect_code(0);
    assert!(ran.stderr.contains("1 feed to 1 subscriber\n"), "the same one twice: {ran:?}");
}

/// Who was kept counts, unless a flag names the same one or the feed is gone.
#[test]
fn a_check_counts_whom_the_state_file_brings_back() {
    let folder = Folder::new("replicate-check-state");
    let state = folder.file("state");
    let saved = |feed: &str, address: &str| Saved {
        feed: feed.into(),
        subscriber: Subscriber::new(address.parse().expect("an address")),
    };
    let all = [("a", "10.0.0.1:1"), ("a", "10.0.0.2:1"), ("gone", "10.0.0.3:1")];
    state::save(state.as_ref(), &all.map(|(feed, address)| saved(feed, address))).expect("saved");
    let feed = ["replicate", "--listen", "239.1.1.1:5000,name=a", "--subscriber", "10.0.0.1:1"];
    let ran = run(&[&feed[..], &["--state", &state, "--check"]].concat()).expect_code(0);
    assert!(ran.stderr.contains("1 feed to 2 subscribers\n"), "{ran:?}");
    let gone = "subscribers of feed gone stay in the state file and get nothing: 1, until";
    assert!(ran.stderr.contains(gone), "{ran:?}");
}

#[test]
fn subscribers_come_and_go_over_the_control_socket_and_survive_a_restart() {
    require_root!("subscribers_come_and_go_over_the_control_socket_and_survive_a_restart");
    for mode in MODES {
        let lab = quiet_lab();
        let folder = Folder::new(&format!("replicate-control-{mode}"));
        let (socket, state) = (folder.file("control"), folder.file("state"));
        let receivers = receivers(&lab, 2);
        let [one, two] = [0, 1].map(|n| format!("{}:{}", lab.left.ipv4(), PORT_FIRST + n));
        let args = ["--mode", mode, "--control", &socket, "--state", &state, "--summary", "json"];
        let running = start(&lab, &args);
        let path = "/v1/feeds/itch/subscribers";
        for address in [&one, &two] {
            let body = json!({"address": address}).to_string();
            let (status, answer) = ask(&socket, &format!("POST {path}"), &body);
            assert!(status.contains("201"), "{status}: {answer}");
        }
        replicate(&lab, 1_000, &receivers);
        let (status, answer) = ask(&socket, &format!("DELETE {path}/{two}"), "");
        assert!(status.contains("20"), "{status}: {answer}");
        let (_, metrics) = ask(&socket, "GET /metrics", "");
        assert!(metrics.contains("tickwire_"), "{metrics}");
        // Killed, it leaves a socket file and a state file behind; the next start takes both over.
        running.signal(Signal::KILL);
        drop(running);
        let running = start(&lab, &args);
        running.wait_for("1 feed to 1 subscriber, ");
        replicate(&lab, 1_000, &receivers[..1]);
        let (_, listed) = ask(&socket, &format!("GET {path}"), "");
        assert!(listed.contains(&one) && !listed.contains(&two), "{listed}");
        let summary = running.stop();
        let subscribers = summary["feeds"][0]["subscribers"].as_array().expect("a list");
        assert_eq!((subscribers.len(), &subscribers[0]["copied"]), (1, &json!(1_000)), "{mode}");
    }
}

/// Byte for byte as its clients speak it; but two ports on one address are two subscribers.
#[test]
fn the_older_protocol_adds_lists_and_removes() {
    require_root!("the_older_protocol_adds_lists_and_removes");
    let lab = quiet_lab();
    let running = start(&lab, &["--mode", "af_xdp", "--legacy-control", "127.0.0.1:12345"]);
    lab.right.run(|| {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.connect("127.0.0.1:12345").expect("an address");
        let ask = |request: &[u8], patience: Duration| {
            socket.set_read_timeout(Some(patience)).expect("a time limit");
            socket.send(request).expect("sent");
            let mut reply = [0; 4096];
            socket.recv(&mut reply).ok().map(|len| reply[..len].to_vec())
        };
        let entry = |port: u16| [&[10, 0, 0, 7][..], &port.to_be_bytes()].concat();
        let add = |port| [&[1][..], &entry(port)].concat();
        assert_eq!(ask(&[3], ARRIVAL), Some(vec![0]));
        for port in [6000, 6001] {
            assert_eq!(ask(&add(port), ARRIVAL), Some(vec![1]));
        }
        let both = [&[2][..], &entry(6000), &entry(6001)].concat();
        assert_eq!(ask(&[3, 9, 9], ARRIVAL), Some(both));
        assert_eq!(ask(&[&[2][..], &entry(6000)].concat(), ARRIVAL), Some(vec![1]));
        assert_eq!(ask(&[&[2][..], &entry(9999)].concat(), ARRIVAL), Some(vec![1]));
        // The feed is no group: there is nothing to join. Short and unknown: no reply.
        assert_eq!(ask(&[4, 239, 1, 1, 1], ARRIVAL), Some(vec![0]));
        for request in [&[1, 10, 0][..], &[77], &[]] {
            assert_eq!(ask(request, Duration::from_millis(200)), None, "{request:?}");
        }
        for port in 1..=300 {
            assert_eq!(ask(&add(port), ARRIVAL), Some(vec![1]), "{port}");
        }
        let list = ask(&[3], ARRIVAL).expect("a reply");
        assert_eq!((list[0], list.len()), (255, 1 + 6 * 255));
    });
    stop_quietly(running);
}

fn stop_quietly(running: Running) {
    running.signal(Signal::TERM);
    running.finish().expect_code(0);
}
