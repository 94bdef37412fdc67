//! `tickwire replicate` as users run it: in private namespaces, the same body for every mode.
//!
//! Needs root; says so loudly where it is missing.

mod common;

use common::{Folder, Running, command, run};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::time::Duration;
use tickwire_lab::{
    Checker, Lab, LabConfig, Numbered, Schedule, UdpReceiver, require_root, send_udp,
};

const MODES: [&str; 2] = ["af_xdp", "udp"];
/// The port of the first subscriber; the others follow.
const PORT_FIRST: u16 = 6000;
/// Nothing in these tests takes longer to arrive.
const ARRIVAL: Duration = Duration::from_secs(20);

fn quiet_lab() -> Lab {
    Lab::veth(LabConfig { ipv6: false, ..LabConfig::default() }).expect("a lab")
}

/// Starts a replicator on the right end, and waits until it receives.
fn start(lab: &Lab, args: &[&str]) -> Running {
    let listen = format!("{}:5000,name=itch", lab.right.ipv4());
    let args = [&["replicate", "-i", lab.right.name(), "--listen", &listen], args].concat();
    let running = Running::of(lab.right.spawn(command(&args)).expect("the binary starts"));
    running.wait_for("ready");
    running
}

/// Stops it as a service manager does; its account.
fn stop(running: Running) -> Value {
    running.signal(Signal::TERM);
    running.finish().expect_code(0).summary()
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
        let summary = stop(running);
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
        let summary = stop(running);
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
        let summary = stop(running);
        assert_eq!((&summary["received"], &summary["difference"]), (&json!(10), &json!(0)));
    }
}

#[test]
fn whoever_does_not_answer_arp_is_counted_and_costs_the_others_nothing() {
    require_root!("whoever_does_not_answer_arp_is_counted_and_costs_the_others_nothing");
    let lab = quiet_lab();
    let receivers = receivers(&lab, 1);
    let live = format!("{}:{PORT_FIRST}", lab.left.ipv4());
    let [a, b, c, _] = lab.left.ipv4().octets();
    let dead = format!("{a}.{b}.{c}.250:{PORT_FIRST}");
    let args = ["--mode", "af_xdp", "--summary", "json", "--subscriber", &dead];
    let running = start(&lab, &[&args[..], &["--subscriber", &live]].concat());
    replicate(&lab, 2_000, &receivers);
    let summary = stop(running);
    let [dead, live] = [0, 1].map(|n| &summary["feeds"][0]["subscribers"][n]);
    assert_eq!(dead["discarded"], json!({"no_neighbour": 2_000}), "{dead}");
    assert_eq!((&live["copied"], &live["discarded"]), (&json!(2_000), &json!({})));
}

#[test]
fn auto_says_why_it_is_not_faster() {
    require_root!("auto_says_why_it_is_not_faster");
    let lab = quiet_lab();
    // A subscriber on the machine itself: frames cannot reach it, sockets can.
    let local = format!("{}:7000", lab.right.ipv4());
    let running = start(&lab, &["--summary", "json", "--subscriber", &local]);
    let summary = stop(running);
    assert_eq!(summary["port"], "udp", "{summary}");
    assert!(summary["why"].as_str().is_some_and(|why| why.contains("this machine")), "{summary}");
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
}
