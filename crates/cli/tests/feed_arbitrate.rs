//! `tickwire feed arbitrate`: lines merged, each message once.

mod common;

use common::{Folder, Running, market_corpus, pcap, run, udp_frame};
use serde_json::{Value, json};
use std::process::{Command, Stdio};
use tickwire_market::itch50::OrderDeleteBuilder;
use tickwire_market::moldudp64::{PacketBuilder, Session};
use tickwire_market::{Ascii, mdp3};

const SESSION: Session = Ascii(*b"SESSION   ");

/// Messages `first` to `last` on a line, by the last byte of its group.
fn packet(line: u8, first: u64, last: u64) -> Vec<u8> {
    let mut buffer = [0; 1472];
    let mut packet = PacketBuilder::new(&mut buffer, SESSION, first).expect("room");
    for number in first..=last {
        let order = OrderDeleteBuilder::new().order_reference_number(number);
        packet.push(order.as_bytes()).expect("room");
    }
    let mut frame = udp_frame(packet.finish());
    frame[30..34].copy_from_slice(&[239, 1, 1, line]);
    frame
}

/// The numbers of the messages of a capture, in the order in which they stand there.
fn numbers(file: &str) -> Vec<u64> {
    let ran = run(&["feed", "decode", "-r", file, "--json"]).expect_code(0);
    let number = |line: &str| {
        let object: Value = serde_json::from_str(line).expect("JSON");
        object["order_reference_number"].as_u64().expect("a number")
    };
    ran.text().lines().map(number).collect()
}

#[test]
fn each_message_is_written_once_and_packets_are_cut() {
    let frames = [
        packet(1, 1, 3),
        packet(2, 1, 2),
        // Cut differently: 6 and 7 are new.
        packet(1, 4, 5),
        packet(2, 3, 7),
        packet(1, 9, 9),
        packet(2, 9, 9),
        // Late, and never to come on line 1.
        packet(2, 8, 8),
    ];
    let folder = Folder::new("cut");
    let (file, merged) = (folder.with("ab.pcap", &pcap(&frames)), folder.file("merged.pcapng"));
    let args = ["feed", "arbitrate", "-r", &file, "-w", &merged, "--json"];
    let ran = run(&args).expect_code(0);
    assert_eq!(numbers(&merged), [1, 2, 3, 4, 5, 6, 7, 9, 8]);
    let report = ran.summary();
    assert_eq!((&report["complete"], &report["written"]), (&json!(true), &json!(5)));
    assert_eq!((&report["cut_packets"], &report["repeated_packets"]), (&json!(1), &json!(0)));
    let lines = &report["feeds"][0]["lines"];
    let of = |key: &str| [&lines[0][key], &lines[1][key]].map(|value| value.as_u64().unwrap());
    assert_eq!((of("first"), of("duplicates"), of("lost")), ([6, 3], [0, 6], [3, 0]));
    assert_eq!(of("packets"), [3, 4]);
    assert!(ran.stderr.contains("duplicate_line"), "{}", ran.stderr);
}

#[test]
fn two_files_are_merged_in_the_order_of_their_times() {
    let folder = Folder::new("files");
    let a = folder.with("a.pcap", &pcap(&[packet(1, 1, 2), packet(1, 5, 6)]));
    let b = folder.with("b.pcap", &pcap(&[packet(1, 1, 2), packet(1, 3, 4), packet(1, 5, 6)]));
    let merged = folder.file("merged.pcap");
    let ran = run(&["feed", "arbitrate", "-r", &a, "-r", &b, "-w", &merged, "--json"]);
    let report = ran.expect_code(0).summary();
    let mut all = numbers(&merged);
    all.sort_unstable();
    assert_eq!(all, [1, 2, 3, 4, 5, 6]);
    let lines = &report["feeds"][0]["lines"];
    assert_eq!((&lines[0]["lost"], &lines[1]["lost"]), (&json!(2), &json!(0)));
    assert_eq!(lines[1]["first"].as_u64().unwrap() + lines[0]["first"].as_u64().unwrap(), 6);
}

#[test]
fn what_no_line_has_is_said_and_is_the_exit_code() {
    let folder = Folder::new("none");
    let file = folder.with("ab.pcap", &pcap(&[packet(1, 1, 2), packet(2, 5, 6), packet(1, 5, 6)]));
    let ran = run(&["feed", "arbitrate", "-r", &file]).expect_code(3);
    assert!(ran.text().contains("2 messages came on NO line, in 1 ranges: 3–4"), "{}", ran.text());
    let file = folder.with("nothing.pcap", &pcap(&[udp_frame(b"nothing")]));
    run(&["feed", "arbitrate", "-r", &file]).expect_message(1, &["nothing with sequence numbers"]);
    let onto = ["feed", "arbitrate", "-r", &file, "-w", &file];
    run(&onto).expect_message(2, &["same file", "another one"]);
}

/// MDP 3.0 numbers packets and has no session to tell lines by.
#[test]
fn lines_without_sessions_are_merged_when_they_are_named() {
    let packet = |line: u8, number: u32| {
        let mut buffer = [0; 100];
        let header = mdp3::PacketHeaderBuilder::new().msg_seq_num(number);
        let packet = mdp3::PacketBuilder::new(&mut buffer, &header).expect("room");
        let mut frame = udp_frame(packet.finish());
        frame[30..34].copy_from_slice(&[239, 1, 1, line]);
        frame
    };
    let frames = [(1, 1), (2, 1), (2, 2), (1, 3), (2, 3)].map(|(line, at)| packet(line, at));
    let folder = Folder::new("named");
    let file = folder.with("ab.pcap", &pcap(&frames));
    let port = u16::from_be_bytes([frames[0][36], frames[0][37]]);
    let merged = folder.file("merged.pcap");
    let args = ["feed", "arbitrate", "-r", &file, "--protocol", "mdp3", "--json", "-w", &merged];
    let report = run(&args).expect_code(3).summary();
    assert_eq!(report["feeds"].as_array().map(Vec::len), Some(2), "{report}");
    let lines = format!("239.1.1.1:{port},239.1.1.2:{port}");
    let args = [&args[..], &["--line", &lines]].concat();
    let report = run(&args).expect_code(0).summary();
    assert_eq!((&report["written"], &report["feeds"][1]), (&json!(3), &Value::Null), "{report}");
    let refused = |lines: &str, words: &[&str]| {
        run(&["feed", "arbitrate", "-r", &file, "--line", lines]).expect_message(2, words);
    };
    refused("239.1.1.1:1", &["2 to 3 lines", "not 1"]);
    refused("239.1.1.1,239.1.1.2", &["'239.1.1.1'", "a port"]);
}

#[test]
fn more_lines_than_are_merged_are_not_complete() {
    let folder = Folder::new("more");
    let frames: Vec<_> = (1..=4).map(|line| packet(line, 1, 2)).collect();
    let file = folder.with("abcd.pcap", &pcap(&frames));
    let report = run(&["feed", "arbitrate", "-r", &file, "--json"]).expect_code(3).summary();
    assert_eq!((&report["complete"], &report["unfollowed_packets"]), (&json!(false), &json!(1)));
    assert_eq!(report["missing_messages"], 0, "{report}");
}

#[test]
fn what_is_forgotten_is_missing_all_the_same() {
    let folder = Folder::new("many");
    // More gaps than are kept.
    let frames: Vec<_> = (0..=1_200).map(|at| packet(1, 2 * at + 1, 2 * at + 1)).collect();
    let file = folder.with("gaps.pcap", &pcap(&frames));
    let report = run(&["feed", "arbitrate", "-r", &file, "--json"]).expect_code(3).summary();
    let session = &report["feeds"][0]["sessions"][0];
    assert_eq!((&report["missing_messages"], &session["messages"]), (&json!(1_200), &json!(1_201)));
    assert_eq!(report["feeds"][0]["lines"][0]["lost"], 1_200);
    let listed = session["missing"].as_array().expect("ranges").len() as u64;
    assert_eq!(listed + session["unlisted_messages"].as_u64().expect("a count"), 1_200);
    let text = run(&["feed", "arbitrate", "-r", &file]).expect_code(3).text().to_owned();
    assert!(text.contains("1,200 messages came on NO line"), "{text}");
    assert!(text.contains("of the messages are in none of these"), "{text}");
    // Nothing is not everything.
    let nothing = folder.with("nothing.pcap", &pcap(&[]));
    let ran = run(&["feed", "arbitrate", "-r", &nothing, "--json"]).expect_code(1);
    assert_eq!(ran.summary()["complete"], false);
}

/// Equal to what the corpus says of both lines, from one file and from two.
#[test]
fn the_lines_of_the_corpus() {
    let Some(expected) = market_corpus("moldudp64-ab/expected.json") else { return };
    let expected = std::fs::read(expected).expect("the file that says what is right");
    let expected: Value = serde_json::from_slice(&expected).expect("JSON");
    let merged = &expected["merged_by_capture_time"];
    let [ab, a, b] = ["AB", "A", "B"]
        .map(|line| market_corpus(&format!("moldudp64-ab/mold-{line}.pcap")).expect("there"));
    for files in [&["-r", &ab][..], &["-r", &a, "-r", &b]] {
        let args = [&["feed", "arbitrate", "--from-first", "--json"], files].concat();
        let report = run(&args).expect_code(3).summary();
        let (session, lines) = (&report["feeds"][0]["sessions"][0], &report["feeds"][0]["lines"]);
        assert_eq!(session["messages"], merged["unique_messages"]);
        assert_eq!(session["missing_messages"], merged["unrecoverable_messages"]);
        let ranges = merged["unrecoverable_ranges_(need_retransmit)"].as_array().unwrap();
        let ranges = ranges.iter().map(|range| json!({"first": range[0], "last": range[1]}));
        assert_eq!(session["missing"], json!(ranges.collect::<Vec<_>>()));
        for (at, side) in ["A", "B"].into_iter().enumerate() {
            assert_eq!(lines[at]["first"], merged["first_arrival_by_side"][side], "{side}");
            assert_eq!(lines[at]["lost"], expected[side]["never_received_messages"], "{side}");
        }
        let duplicates = [0, 1].map(|at| lines[at]["duplicates"].as_u64().unwrap());
        assert_eq!(json!(duplicates[0] + duplicates[1]), merged["duplicate_messages_dropped"]);
    }
}

#[test]
fn files_without_times_tell_nothing_of_who_was_first() {
    let Some(a) = market_corpus("fast-micex/increment_a.dat") else { return };
    let b = market_corpus("fast-micex/increment_b.dat").expect("there");
    let ran = run(&["feed", "arbitrate", "-r", &a, "-r", &b]).expect_code(0);
    assert!(ran.text().contains("which line was first is not known"), "{}", ran.text());
    assert!(!ran.text().contains("behind the first:"), "{}", ran.text());
    let report = run(&["feed", "arbitrate", "-r", &a, "-r", &b, "--json"]).expect_code(0).summary();
    let lines = report["feeds"][0]["lines"].as_array().expect("lines");
    assert!(lines.len() == 2 && lines.iter().all(|line| line["behind"].is_null()), "{report}");
}

#[test]
fn a_mistake_costs_no_older_file() {
    let folder = Folder::new("older");
    let file = folder.with("a.pcap", &pcap(&[packet(1, 1, 2)]));
    let older = folder.with("older.pcap", b"dear to somebody");
    for mistake in [&["itch.stok == AAPL"][..], &["-r", "none.pcap"]] {
        let args = [&["feed", "arbitrate", "-r", file.as_str(), "-w", &older], mistake].concat();
        assert_ne!(run(&args).code, Some(0));
        assert_eq!(std::fs::read(&older).expect("it is there"), b"dear to somebody");
    }
}

#[test]
fn what_does_not_fit_into_the_file_is_said() {
    let folder = Folder::new("full");
    let frames: Vec<_> = (0..200).map(|at| packet(1, 1 + 20 * at, 20 + 20 * at)).collect();
    let (file, merged) = (folder.with("a.pcap", &pcap(&frames)), folder.file("merged.pcap"));
    // As on a full disk: files of this shell's children end after 8 KiB.
    let script = "trap '' XFSZ; ulimit -f 16; exec \"$@\"";
    let mut shell = Command::new("sh");
    shell.args(["-c", script, "sh", env!("CARGO_BIN_EXE_tickwire")]);
    shell.args(["feed", "arbitrate", "-r", &file, "-w", &merged]);
    shell.stdout(Stdio::piped()).stderr(Stdio::piped());
    let ran = Running::start(&mut shell).finish();
    ran.expect_message(1, &["packets are not in the file"]);
}
