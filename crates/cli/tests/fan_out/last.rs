//! No copy waits for the next packet behind copies that nobody wants. In mode `xdp` the kernel does
//! not tell the device to send when none of its last 16 copies is to leave; so somebody who takes
//! all comes last there, whoever comes and goes.

use super::*;
use crate::common::{Folder, ask};
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering};
use tickwire_lab::require_root;

const PACKETS: u64 = 3;
/// Those who want all, and as many who want nothing from the start and come later.
const WANTED: u16 = 64;
const UNWANTED: u16 = 20;
const UNWANTED_FIRST: u16 = 9000;
const LATE_FIRST: u16 = 9100;
const SUBSCRIBERS: &str = "/v1/feeds/itch/subscribers";

/// Moves of who comes last, under load.
const MOVES: usize = 60;
const TAKERS: u16 = 20;
const RATE_PPS: f64 = 5_000.0;
const CHUNK: u64 = 64;
/// Some twenty seconds of it.
const CHUNKS_MAX: u64 = 1_600;

fn changed(socket: &str, request: &str, body: &Value) -> Value {
    let (status, answer) = ask(socket, request, &body.to_string());
    assert!(status.contains(" 20"), "{status}: {answer}");
    serde_json::from_str(&answer).expect("JSON")
}

#[test]
fn no_copy_waits_behind_those_that_nobody_wants() {
    require_root!("no_copy_waits_behind_those_that_nobody_wants");
    let _cores = one_at_a_time();
    for mode in modes() {
        let (lab, folder) = (quiet_lab(), Folder::new(&format!("fan-out-last-{mode}")));
        let socket = folder.file("control");
        let copies = copies(&lab, WANTED, 2 * PACKETS);
        let receiver = CopyReceiver::start(&lab.left, copies.clone()).expect("a receiver");
        let unwanted = |first| (first..first + UNWANTED).map(|port| (lab.left.ipv4(), port));
        let mut all = subscribers(&lab.left, WANTED);
        all.extend(unwanted(UNWANTED_FIRST).map(|(ip, port)| format!("{ip}:{port},filter=tcp")));
        let running = start(&lab, mode, &all, &["--control", &socket]);
        for number in 0..2 * PACKETS {
            if number == PACKETS {
                for (ip, port) in unwanted(LATE_FIRST) {
                    let body = json!({ "address": format!("{ip}:{port}"), "filter": "tcp" });
                    let answer = changed(&socket, &format!("POST {SUBSCRIBERS}"), &body);
                    assert!(!answer.to_string().contains("may wait"), "{mode}: {answer}");
                }
            }
            // Waits for all before the next one is sent.
            send_all(&lab, &copies, &receiver, number, 1);
            let expected = (number + 1) * u64::from(WANTED);
            assert_eq!(receiver.arrived(), expected, "{mode}: packet {number}");
        }
        let report = receiver.finish().expect("a port");
        assert!(report.is_perfect(), "{mode}: {report:?}");
        let summary = stop(running);
        for place in 0..usize::from(WANTED + 2 * UNWANTED) {
            let expected = match place {
                0..64 => (2 * PACKETS, 0),
                64..84 => (0, 2 * PACKETS),
                _ => (0, PACKETS),
            };
            assert_eq!(account(&summary, place), expected, "{mode}: subscriber {place}");
        }
    }
}

/// Two of them have a filter by turns, so that the last place changes hands; filters want all.
#[test]
fn who_moves_to_the_end_loses_nothing_and_gets_nothing_twice() {
    require_root!("who_moves_to_the_end_loses_nothing_and_gets_nothing_twice");
    let _cores = one_at_a_time();
    for mode in modes().filter(|&mode| mode == "xdp") {
        let (lab, folder) = (quiet_lab(), Folder::new("fan-out-moves"));
        let socket = folder.file("control");
        let copies = copies(&lab, TAKERS, CHUNK * CHUNKS_MAX);
        let receiver = CopyReceiver::start(&lab.left, copies.clone()).expect("a receiver");
        let addresses = subscribers(&lab.left, TAKERS);
        let all: Vec<_> = addresses.iter().map(|one| format!("{one},filter=udp")).collect();
        let running = start(&lab, mode, &all, &["--control", &socket]);
        let over = AtomicBool::new(false);
        let load = || {
            let mut first = 0;
            while !over.load(Ordering::Acquire) && first < copies.count {
                let packets = Numbered { first, ..copies.packets.clone() };
                let some = Schedule::paced(CHUNK, RATE_PPS);
                let report = send_udp(&lab.left, &packets, &some).expect("sent");
                assert_eq!((report.sent, report.difference()), (CHUNK, 0), "{report}");
                first += CHUNK;
            }
            first
        };
        let put = |place: usize, body: Value| {
            let address = &addresses[place % usize::from(TAKERS)];
            let mut body = body;
            body["address"] = json!(address);
            changed(&socket, &format!("PUT {SUBSCRIBERS}/{address}"), &body).to_string()
        };
        let sent = std::thread::scope(|scope| {
            let sender = scope.spawn(load);
            for turn in 0..MOVES {
                // One in the middle becomes the only one who takes all, then nobody is.
                let moved = put(7 * turn, json!({}));
                let told = put(7 * turn, json!({ "filter": "udp" }));
                let texts = [moved.contains("may wait"), told.contains("may wait")];
                if texts != [false, true] {
                    over.store(true, Ordering::Release);
                    panic!("turn {turn}: {moved}; {told}");
                }
            }
            over.store(true, Ordering::Release);
            sender.join().expect("no panic")
        });
        assert!(
            receiver.wait(sent * u64::from(TAKERS), PATIENCE),
            "{} arrived",
            receiver.arrived()
        );
        let summary = stop(running);
        let report = receiver.finish().expect("a port");
        for (check, place) in report.subscribers.iter().zip(0..) {
            let faults = (check.duplicates, check.out_of_order, check.corrupted, check.beyond);
            assert_eq!((check.received, faults), (sent, (0, 0, 0, 0)), "{mode}: {check}");
            assert_eq!(account(&summary, place), (sent, 0), "{mode}: subscriber {place}");
        }
        eprintln!("{mode}: {MOVES} moves, {sent} packets to {TAKERS}: each once, in order");
    }
}

#[test]
fn auto_takes_another_mode_where_copies_could_wait() {
    require_root!("auto_takes_another_mode_where_copies_could_wait");
    let _cores = one_at_a_time();
    for (filter, port) in [("", "xdp"), (",filter=udp", "af_xdp")] {
        let lab = quiet_lab();
        let copies = copies(&lab, 2, 1);
        let receiver = CopyReceiver::start(&lab.left, copies.clone()).expect("a receiver");
        let [first, second] = [0, 1].map(|place| subscribers(&lab.left, 2)[place].clone());
        let all = [format!("{first}{filter}"), format!("{second},filter=udp")];
        let running = start(&lab, "auto", &all, &[]);
        send_all(&lab, &copies, &receiver, 0, 1);
        assert!(receiver.finish().expect("a port").is_perfect(), "{filter}");
        let summary = stop(running);
        assert_eq!(summary["port"], port, "{summary}");
        let why = summary.to_string();
        assert_eq!(why.contains("have filters: copies could wait"), port != "xdp", "{why}");
    }
}
