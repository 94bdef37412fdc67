//! `tickwire replay` as users run it: what is in the file arrives, when it should, and what does
//! not is named. On a veth pair it needs root; says so loudly where it is missing.

mod common;

use common::{BASE_SECONDS, Folder, Running, command, pcap, pcap_of, run, udp_frame};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::net::UdpSocket;
use std::time::{Duration, Instant};
use tickwire_lab::{DropCounter, Lab, LabConfig, Numbered, require_root};

/// What arrives arrives within this time, on a busy machine too.
const WAIT: Duration = Duration::from_secs(10);

fn receiver() -> (UdpSocket, String) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.set_read_timeout(Some(WAIT)).expect("a time limit");
    let to = socket.local_addr().expect("it is bound").to_string();
    (socket, to)
}

fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = vec![0; 10_000];
    let length = socket.recv(&mut buffer).expect("a datagram");
    buffer.truncate(length);
    buffer
}

fn replay(args: &[&str]) -> Value {
    run(&[&["replay", "--json"], args].concat()).expect_code(0).summary()
}

/// A capture file of packets with their times in nanoseconds and their lengths on the wire.
fn capture(packets: &[(u64, Vec<u8>, u32)]) -> Vec<u8> {
    let mut file = pcap(&[]);
    for (nanos, bytes, wire_len) in packets {
        let (seconds, nanos) = ((nanos / 1_000_000_000) as u32, (nanos % 1_000_000_000) as u32);
        for word in [BASE_SECONDS + seconds, nanos, bytes.len() as u32, *wire_len] {
            file.extend(word.to_le_bytes());
        }
        file.extend(bytes);
    }
    file
}

/// Packets that carry their index, at these times.
fn timed(times_ns: &[u64]) -> Vec<u8> {
    let packets = times_ns.iter().enumerate().map(|(index, &nanos)| {
        let frame = udp_frame(&[index as u8; 10]);
        let wire_len = frame.len() as u32;
        (nanos, frame, wire_len)
    });
    capture(&packets.collect::<Vec<_>>())
}

const MS: u64 = 1_000_000;

/// Packets may be late on a busy machine, never early; so the earliest of many shows the schedule.
#[test]
fn two_seconds_of_recorded_time_do_not_drift() {
    const PACKETS: u64 = 400;
    let folder = Folder::new("replay-drift");
    let times: Vec<u64> = (0..PACKETS).map(|index| index * 5 * MS).collect();
    let file = folder.with("a.pcap", &timed(&times));
    let (socket, to) = receiver();
    let running = Running::start(&mut command(&["replay", &file, "--to", &to, "--json"]));
    let arrivals = (0..PACKETS).map(|_| {
        receive(&socket);
        Instant::now()
    });
    let arrivals: Vec<Instant> = arrivals.collect();
    let late = |index: usize| {
        let after_first = (arrivals[index] - arrivals[0]).as_nanos() as i64;
        after_first - times[index] as i64
    };
    let earliest = |range: std::ops::Range<usize>| range.map(late).min().expect("not empty");
    let drift = earliest(300..400) - earliest(0..100);
    assert!(drift.unsigned_abs() <= MS, "it drifts by {drift} ns in 2 s");
    let summary = running.finish().expect_code(0).summary();
    assert_eq!((&summary["delivered"], &summary["difference"]), (&json!(PACKETS), &json!(0)));
    assert!(summary["seconds"].as_f64().is_some_and(|seconds| seconds >= 1.995), "{summary}");
}

#[test]
fn speed_scales_the_recorded_time() {
    let folder = Folder::new("replay-speed");
    let file = folder.with("a.pcap", &timed(&[0, 300 * MS]));
    let (_socket, to) = receiver();
    for (speed, seconds) in [("2", 0.15), ("0.5", 0.6)] {
        let summary = replay(&[&file, "--to", &to, "--speed", speed]);
        let took = summary["seconds"].as_f64().expect("a time");
        assert!((seconds..seconds + 5.0).contains(&took), "{speed}: {summary}");
        let late_ns = summary["lateness_ns"]["max"].as_f64().expect("a time");
        // Less what the last one was late, to the microsecond that the summary has.
        assert!(took - late_ns / 1e9 <= seconds + 2e-6, "{speed}: {summary}");
    }
}

#[test]
fn a_rate_takes_the_place_of_recorded_times() {
    let folder = Folder::new("replay-rate");
    let file = folder.with("a.pcap", &timed(&[0, 3_600_000 * MS, 10]));
    let (socket, to) = receiver();
    let summary = replay(&[&file, "--to", &to, "--rate", "max", "--loop", "4"]);
    assert_eq!((&summary["delivered"], &summary["lateness_ns"]), (&json!(12), &Value::Null));
    (0..12).for_each(|number| assert_eq!(receive(&socket), [number % 3; 10]));
    let summary = replay(&[&file, "--to", &to, "--rate", "100", "--loop", "2"]);
    assert!(summary["seconds"].as_f64().is_some_and(|seconds| seconds >= 0.05), "{summary}");
    assert_eq!(summary["rate_asked_pps"], 100.0);
}

/// Named behaviour for times as real files have them.
#[test]
fn odd_times_are_followed_and_counted() {
    let folder = Folder::new("replay-odd");
    let hour = 3_600_000 * MS;
    // Out of order by 2 ms, a pause of an hour, then the clock is set back by more than that.
    let file =
        folder.with("a.pcap", &timed(&[hour, hour + 5 * MS, hour + 3 * MS, 2 * hour, 0, MS]));
    let (socket, to) = receiver();
    let summary = replay(&[&file, "--to", &to, "--gap-max", "20ms"]);
    assert_eq!(summary["delivered"], 6);
    for name in ["out_of_order", "clock_set_back", "gaps_shortened"] {
        assert_eq!(summary[name], 1, "{name}: {summary}");
    }
    // 5 ms, 20 ms in place of the hour, 1 ms.
    let seconds = summary["seconds"].as_f64().expect("a time");
    assert!((0.026..10.0).contains(&seconds), "{summary}");
    (0..6).for_each(|number| assert_eq!(receive(&socket), [number; 10]));
}

#[test]
fn rounds_follow_each_other_without_a_pause() {
    let folder = Folder::new("replay-loop");
    let file = folder.with("a.pcap", &timed(&[0, 20 * MS]));
    let (socket, to) = receiver();
    let summary = replay(&[&file, "--to", &to, "--loop", "3"]);
    assert_eq!(summary["delivered"], 6);
    assert!(summary["seconds"].as_f64().is_some_and(|seconds| seconds >= 0.06), "{summary}");
    (0..6).for_each(|number| assert_eq!(receive(&socket), [number % 2; 10]));
    let args = ["replay", &file, "--to", &to, "--loop", "0", "--json", "-c", "7"];
    assert_eq!(run(&args).expect_code(0).summary()["delivered"], 7);
    let empty = folder.with("empty.pcap", &pcap(&[]));
    assert_eq!(replay(&[&empty, "--to", &to, "--loop", "0"])["received"], 0);
}

/// The time before the first packet that is wanted is not waited for.
#[test]
fn a_filter_selects_and_time_begins_with_its_first_packet() {
    let folder = Folder::new("replay-filter");
    let arp = [&[0xff; 12][..], &[8, 6], &[0; 28]].concat();
    let frame = |byte| udp_frame(&[byte; 10]);
    let with_len = |(nanos, bytes): (u64, Vec<u8>)| (nanos, bytes.clone(), bytes.len() as u32);
    let hour = 3_600_000 * MS;
    let packets = [(0, arp.clone()), (hour, frame(7)), (hour + MS, arp), (hour + 2 * MS, frame(8))];
    let file = folder.with("a.pcap", &capture(&packets.map(with_len)));
    let (socket, to) = receiver();
    let summary = replay(&[&file, "--to", &to, "udp", "dst", "port", "26400"]);
    assert_eq!((&summary["received"], &summary["selected"]), (&json!(4), &json!(2)), "{summary}");
    assert_eq!(summary["discarded"], json!({"not_selected": 2}));
    assert_eq!((&summary["delivered"], &summary["difference"]), (&json!(2), &json!(0)));
    assert_eq!([receive(&socket), receive(&socket)], [[7; 10], [8; 10]]);
    // Without the filter, what has no payload is named.
    let summary = replay(&[&file, "--to", &to, "--rate", "max"]);
    assert_eq!(summary["discarded"], json!({"no_payload": 2}), "{summary}");
}

#[test]
fn packets_that_the_file_holds_in_part_are_discarded_sent_or_padded() {
    let folder = Folder::new("replay-cut");
    let whole = udp_frame(&[9; 30]);
    let cut = whole[..whole.len() - 10].to_vec();
    let file = folder.with("a.pcap", &capture(&[(0, cut, whole.len() as u32)]));
    let (socket, to) = receiver();
    let ran = run(&["replay", &file, "--to", &to]).expect_code(1);
    assert!(ran.stderr.contains("cut_short") && ran.stderr.contains("not one packet"), "{ran:?}");
    assert_eq!(replay(&[&file, "--to", &to, "--cut", "send"])["delivered"], 1);
    assert_eq!(receive(&socket), [9; 20]);
    assert_eq!(replay(&[&file, "--to", &to, "--cut", "pad"])["delivered"], 1);
    assert_eq!(receive(&socket), [&[9; 20][..], &[0; 10]].concat());
}

/// Every whole packet of a file that ends in the middle is sent, then the fault is told.
#[test]
fn a_broken_file_is_played_to_its_fault() {
    let folder = Folder::new("replay-broken");
    let bytes = pcap_of(5);
    let file = folder.with("a.pcap", &bytes[..bytes.len() - 3]);
    let (_socket, to) = receiver();
    let ran = run(&["replay", &file, "--to", &to, "--json"]).expect_code(1);
    assert!(ran.stderr.contains("the file ends after"), "{ran:?}");
    let summary = ran.summary();
    assert_eq!((&summary["delivered"], &summary["difference"]), (&json!(4), &json!(0)));
    assert!(summary["error"].as_str().is_some_and(|error| error.contains("cut short")));
}

#[test]
fn an_interrupt_in_a_long_pause_ends_it_at_once() {
    let folder = Folder::new("replay-interrupt");
    let file = folder.with("a.pcap", &timed(&[0, 3_600_000 * MS]));
    let (socket, to) = receiver();
    let running = Running::start(&mut command(&["replay", &file, "--to", &to, "--json"]));
    receive(&socket);
    let pressed = Instant::now();
    running.signal(Signal::INT);
    let summary = running.finish().expect_code(130).summary();
    assert!(pressed.elapsed() < Duration::from_secs(5));
    assert_eq!((&summary["delivered"], &summary["difference"]), (&json!(1), &json!(0)));
    let summary = replay(&[&file, "--to", &to, "--duration", "100ms"]);
    assert_eq!(summary["delivered"], 1);
}

#[test]
fn whole_frames_leave_as_they_are() {
    require_root!("whole_frames_leave_as_they_are");
    for port in ["af_packet", "af_xdp"] {
        let lab = Lab::veth(LabConfig { ipv6: false, ..LabConfig::default() }).expect("a lab");
        let packets = Numbered { vlans: vec![7], ..Numbered::between(&lab.left, &lab.right) };
        let template = packets.template();
        let frames: Vec<_> = (0..300).map(|number| template.frame(number, 0)).collect();
        let folder = Folder::new(&format!("replay-{port}"));
        let file = folder.with("a.pcap", &pcap(&frames));
        let counter = DropCounter::attach(&lab.right, &packets).expect("a free interface");
        let args = ["replay", &file, "-i", "left0", "--port", port, "--json", "--speed", "10"];
        let running = Running::of(lab.left.spawn(command(&args)).expect("the binary starts"));
        let summary = running.finish().expect_code(0).summary();
        assert_eq!((&summary["delivered"], &summary["port"]), (&json!(300), &json!(port)));
        assert_eq!(counter.wait(300, WAIT).expect("it counts"), 300, "{port}: {summary}");
    }
}

/// A frame longer than the interface takes is one packet less, not the end.
#[test]
fn frames_that_do_not_fit_are_named() {
    require_root!("frames_that_do_not_fit_are_named");
    for port in ["af_packet", "af_xdp"] {
        let lab = Lab::veth(LabConfig { ipv6: false, ..LabConfig::default() }).expect("a lab");
        let folder = Folder::new(&format!("replay-long-{port}"));
        let frames = [udp_frame(&[1; 20]), udp_frame(&[2; 1600]), udp_frame(&[3; 20])];
        let file = folder.with("a.pcap", &pcap(&frames));
        let args = ["replay", &file, "-i", "left0", "--port", port, "--json"];
        let running = Running::of(lab.left.spawn(command(&args)).expect("the binary starts"));
        let summary = running.finish().expect_code(0).summary();
        assert_eq!(summary["discarded"], json!({"too_long": 1}), "{port}: {summary}");
        assert_eq!((&summary["delivered"], &summary["difference"]), (&json!(2), &json!(0)));
        assert_eq!(lab.right.counters().expect("it is there").rx_packets, 2);
    }
}
