//! `tickwire feed gaps`: what was missing, since when, and what filled it.

mod common;

use common::{Folder, pcap, run, udp_frame};
use serde_json::{Value, json};
use tickwire_market::Ascii;
use tickwire_market::itch50::OrderDeleteBuilder;
use tickwire_market::moldudp64::{self, PacketBuilder, Session};

const SESSION: Session = Ascii(*b"SESSION   ");
const GROUP: [u8; 4] = [239, 1, 1, 1];

/// Messages `first` to `last`, sent to an address.
fn messages(to: [u8; 4], first: u64, last: u64) -> Vec<u8> {
    let mut buffer = [0; 1472];
    let mut packet = PacketBuilder::new(&mut buffer, SESSION, first).expect("room");
    for number in first..=last {
        let order = OrderDeleteBuilder::new().order_reference_number(number);
        packet.push(order.as_bytes()).expect("room");
    }
    sent(to, packet.finish())
}

fn sent(to: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut frame = udp_frame(payload);
    frame[30..34].copy_from_slice(&to);
    frame
}

/// The report on a capture, one packet a millisecond; whether the exit code fits to it.
fn report(test: &str, frames: &[Vec<u8>], more: &[&str]) -> (Value, String) {
    let folder = Folder::new(test);
    let file = folder.with("a.pcap", &pcap(frames));
    let args = [&["feed", "gaps", "-r", file.as_str()], more].concat();
    let object = run(&[&args[..], &["--json"]].concat());
    let code = if object.summary()["complete"] == true { 0 } else { 3 };
    let text = run(&args).expect_code(code).text().to_owned();
    (object.expect_code(code).summary(), text)
}

#[test]
fn a_gap_says_when_what_and_what_came_of_it() {
    let frames = [
        messages(GROUP, 1, 2),
        messages(GROUP, 6, 7),
        messages(GROUP, 4, 4),
        messages(GROUP, 4, 4),
        messages(GROUP, 8, 9),
    ];
    let (report, text) = report("gap", &frames, &[]);
    let session = &report["sessions"][0];
    assert_eq!(session["missing"], json!([{"first": 3, "last": 3}, {"first": 5, "last": 5}]));
    let line = &session["lines"][0];
    for (key, value) in
        [("packets", 5), ("messages", 7), ("duplicates", 1), ("late", 1), ("missing_messages", 2)]
    {
        assert_eq!(line[key], value, "{key}");
    }
    assert_eq!(line["line"], "239.1.1.1:26400");
    assert_eq!(
        line["gaps"],
        json!([{
            "first": 3, "last": 5, "messages": 3, "time": 1_706_970_600_001_000_042_u64,
            "packet": 2, "shown_by": "message",
            "filled": [{"first": 4, "last": 4, "by": "late", "after_ns": 1_000_000}],
            "missing": [{"first": 3, "last": 3}, {"first": 5, "last": 5}],
            "missing_everywhere": [{"first": 3, "last": 3}, {"first": 5, "last": 5}],
        }])
    );
    for words in [
        "session SESSION, itch50, messages 1 to 9\n",
        "14:30:00.001000042       2      3     5         3  message   1 late after 1.00 ms; 2 \
         MISSING",
        "INCOMPLETE: 7 messages arrived, 2 are missing on the only line, in 2 ranges: 3 5\n",
    ] {
        assert!(text.contains(words), "no '{words}' in {text}");
    }
}

#[test]
fn an_answer_to_a_request_fills_a_gap() {
    let request = moldudp64::Request { session: SESSION, sequence_number: 3, message_count: 3 };
    let frames = [
        messages(GROUP, 1, 2),
        messages(GROUP, 6, 7),
        sent([10, 0, 0, 1], &request.to_bytes()),
        messages([10, 0, 0, 2], 3, 5),
    ];
    let (report, text) = report("answer", &frames, &[]);
    assert_eq!((&report["complete"], &report["answers"]), (&json!(true), &json!(1)));
    let line = &report["sessions"][0]["lines"][0];
    assert_eq!((&line["retransmitted"], &line["missing_messages"]), (&json!(3), &json!(0)));
    let filled = json!([{"first": 3, "last": 5, "by": "retransmission", "after_ns": 2_000_000}]);
    assert_eq!(line["gaps"][0]["filled"], filled);
    assert!(text.contains("recovered by re-request after 2.00 ms"), "{text}");
    assert!(text.ends_with("\ncomplete: all 7 messages arrived\n"), "{text}");
}

#[test]
fn a_tail_is_missed_by_heartbeat_and_end() {
    let beat = sent(GROUP, &moldudp64::heartbeat(SESSION, 5));
    let end = sent(GROUP, &moldudp64::end_of_session(SESSION, 8));
    let (report, text) = report("tail", &[messages(GROUP, 1, 2), beat, end.clone(), end], &[]);
    let session = &report["sessions"][0];
    assert_eq!(session["missing"], json!([{"first": 3, "last": 7}]));
    let gaps = &session["lines"][0]["gaps"];
    assert_eq!((&gaps[0]["shown_by"], &gaps[1]["shown_by"]), (&json!("heartbeat"), &json!("end")));
    assert!(text.contains("messages 1 to 7, to its end\n"), "{text}");
}

#[test]
fn one_may_join_late_or_want_everything() {
    let frames = [messages(GROUP, 100, 102), messages(GROUP, 103, 104)];
    let (joined, text) = report("join", &frames, &[]);
    assert_eq!((&joined["complete"], &joined["sessions"][0]["first"]), (&json!(true), &json!(100)));
    assert!(text.contains("messages 100 to 104\n"), "{text}");
    let (all, _) = report("join-all", &frames, &["--from-first"]);
    assert_eq!(all["sessions"][0]["missing"], json!([{"first": 1, "last": 99}]));
    assert_eq!(all["sessions"][0]["lines"][0]["gaps"][0]["shown_by"], "beginning");
}

#[test]
fn a_capture_that_cut_its_packets_is_no_gap() {
    let frames: Vec<_> = (0..4).map(|at| messages(GROUP, 1 + 5 * at, 5 + 5 * at)).collect();
    let folder = Folder::new("feed-cut");
    let whole = folder.with("whole.pcap", &pcap(&frames));
    let cut = folder.file("cut.pcap");
    // The first of them is whole to its first message, so that it is recognised.
    run(&["capture", "-r", &whole, "-w", &cut, "-s", "90"]).expect_code(0);
    let report = run(&["feed", "gaps", "-r", &cut, "--json"]).expect_code(0).summary();
    assert_eq!(
        (&report["complete"], &report["sessions"][0]["messages"]),
        (&json!(true), &json!(20))
    );
    let stats = run(&["feed", "stats", "-r", &cut, "--json"]).expect_code(0).summary();
    assert_eq!((&stats["truncated"], &stats["messages"]), (&json!(4), &json!(4)));
}

#[test]
fn late_packets_are_no_loss_and_listed_on_request() {
    let frames = [messages(GROUP, 1, 1), messages(GROUP, 3, 3), messages(GROUP, 2, 2)];
    let (report_object, text) = report("late", &frames, &[]);
    assert_eq!(report_object["complete"], true);
    assert!(text.contains("1 gaps were filled by late packets, after 1.00 ms at most"), "{text}");
    assert!(!text.contains("SHOWN BY"), "{text}");
    let folder = Folder::new("late-all");
    let file = folder.with("a.pcap", &pcap(&frames));
    let ran = run(&["feed", "gaps", "-r", &file, "--all"]).expect_code(0);
    assert!(ran.text().contains("message   late after 1.00 ms"), "{}", ran.text());
}

#[test]
fn what_is_not_followed_to_the_end_is_not_called_complete() {
    let folder = Folder::new("gap-nothing");
    let nothing = folder.with("a.pcap", &pcap(&[]));
    let nothing = run(&["feed", "gaps", "-r", &nothing, "--json"]);
    assert_eq!(nothing.expect_code(1).summary()["complete"], false);

    let session = |number: u64, first: u64| {
        let mut name = *b"SESSION000";
        name[8..].copy_from_slice(format!("{number:02}").as_bytes());
        let mut buffer = [0; 1472];
        let mut packet = PacketBuilder::new(&mut buffer, Ascii(name), first).expect("room");
        packet.push(OrderDeleteBuilder::new().as_bytes()).expect("room");
        sent(GROUP, packet.finish())
    };
    // The first session lacks 2 to 4; too many others follow for it to be kept.
    let mut frames = vec![session(0, 1), session(0, 5)];
    frames.extend((1..40).map(|number| session(number, 1)));
    let (report, text) = report("gap-forgotten", &frames, &[]);
    assert_eq!(report["complete"], false);
    assert_eq!(
        (&report["forgotten_sessions"], &report["unlisted_messages"]),
        (&json!(8), &json!(3))
    );
    assert!(text.contains("8 sessions are not listed"), "{text}");
    let folder = Folder::new("stats-forgotten");
    let file = folder.with("a.pcap", &pcap(&frames));
    let stats = run(&["feed", "stats", "-r", &file, "--json"]).expect_code(0).summary();
    assert_eq!((&stats["forgotten_sessions"], &stats["unlisted_messages"]), (&json!(8), &json!(3)));
    let table = run(&["feed", "stats", "-r", &file]).expect_code(0);
    assert!(table.text().contains("8  sessions are not listed"), "{table:?}");
    assert!(text.contains("3 messages more are missing"), "{text}");
}

#[test]
fn what_comes_too_late_is_no_duplicate() {
    // Joined at 5,000; what comes from long before was never seen.
    let frames =
        [messages(GROUP, 5_000, 5_001), messages(GROUP, 7, 9), messages(GROUP, 5_002, 5_002)];
    let (report, text) = report("too-late", &frames, &[]);
    let line = &report["sessions"][0]["lines"][0];
    assert_eq!((&line["too_late"], &line["duplicates"]), (&json!(3), &json!(0)));
    assert!(text.contains("3 messages came too late to be taken"), "{text}");
}

#[test]
fn a_restart_has_all_of_its_packets() {
    let again = (1..=9).map(|number| messages(GROUP, number, number));
    let frames: Vec<_> = [messages(GROUP, 1, 20)].into_iter().chain(again).collect();
    let (report, _) = report("restart", &frames, &[]);
    let line = &report["sessions"][0]["lines"][0];
    assert_eq!((&line["restarts"], &line["missing_messages"]), (&json!(1), &json!(0)));
    assert_eq!((&line["messages"], &line["duplicates"]), (&json!(29), &json!(0)));
    assert_eq!(report["complete"], true);
}
