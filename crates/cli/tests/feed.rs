//! `tickwire feed` over files, as a user and a script see it.
//!
//! What needs the folder of captures (`TICKWIRE_CORPUS`) says so loudly when it is missing.

mod common;

use common::{Folder, Ran, market_corpus as corpus, pcap, run, run_with_input, udp_frame};
use serde_json::{Value, json};
use tickwire_market::iex::tops::QuoteUpdateBuilder;
use tickwire_market::iex::tp::{self, SegmentBuilder};
use tickwire_market::itch50::{AddOrderBuilder, Message, OrderDeleteBuilder};
use tickwire_market::moldudp64::{PacketBuilder, Session};
use tickwire_market::{Ascii, Code, Price, SinceMidnight, UnixTime};

const SESSION: Session = Ascii(*b"000010059B");

fn expected(file: &str) -> Value {
    let path = corpus(file).expect("it was there before");
    serde_json::from_slice(&std::fs::read(path).expect("it is there")).expect("JSON")
}

fn stats(args: &[&str]) -> Value {
    let args = [&["feed", "stats", "--json"], args].concat();
    let ran = run(&args).expect_code(0);
    assert_eq!(ran.text().lines().count(), 1);
    let stats = ran.summary();
    assert_eq!(stats["difference"], 0, "{stats}");
    stats
}

/// The objects that are printed, one a line.
fn objects(ran: &Ran) -> Vec<Value> {
    ran.text().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// A packet of MoldUDP64 with `count` orders from number `first` on.
fn mold(first: u64, count: u64) -> Vec<u8> {
    let mut buffer = [0; 1472];
    let mut packet = PacketBuilder::new(&mut buffer, SESSION, first).expect("room");
    for number in first..first + count {
        let order = OrderDeleteBuilder::new().order_reference_number(number);
        packet.push(order.as_bytes()).expect("room");
    }
    packet.finish().to_vec()
}

/// A segment of TOPS with one quote, and one message of a type that nobody knows.
fn tops() -> Vec<u8> {
    let header = tp::HeaderBuilder::new().message_protocol_id(tp::protocol::TOPS_1_6);
    let header = header.channel_id(1).session_id(7).first_message_sequence_number(1);
    let header = header.send_time(UnixTime(1_700_000_000_000_000_000));
    let mut buffer = [0; 256];
    let mut segment = SegmentBuilder::new(&mut buffer, header).expect("room");
    let quote = QuoteUpdateBuilder::new().symbol(Ascii::new("ZXIET").expect("short"));
    segment.push(quote.bid_price(Price(-5)).as_bytes()).expect("room");
    segment.push(b"\x07new").expect("room");
    segment.finish().to_vec()
}

/// A capture of these payloads, each to its port of the group 239.1.1.1.
fn capture(payloads: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let frames: Vec<_> = payloads.iter().map(|(port, payload)| to_group(*port, payload)).collect();
    pcap(&frames)
}

fn to_group(port: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = udp_frame(payload);
    frame[30..34].copy_from_slice(&[239, 1, 1, 1]);
    frame[36..38].copy_from_slice(&port.to_be_bytes());
    frame
}

#[test]
fn a_file_of_messages_has_the_counts_that_were_published() {
    let names = ["ex20101224.TEST_ITCH_50.binaryfile", "ex20101224.TEST_ITCH_50"];
    for (at, name) in names.into_iter().enumerate() {
        let Some(file) = corpus(&format!("itch/{name}")) else { return };
        let ran = run(&["feed", "stats", "-r", &file, "--json"]).expect_code(0);
        let (stats, expected) = (ran.summary(), expected("itch/RITCH.expected.json"));
        assert_eq!((&stats["messages"], &stats["by_type"]), (&json!(12_012), &expected["by_type"]));
        for zero in ["packets", "unknown", "malformed", "truncated", "heartbeats", "difference"] {
            assert_eq!(stats[zero], 0, "{zero}");
        }
        // The one whose lengths are all 0 is read all the same, but not silently.
        assert_eq!(ran.stderr.contains("the lengths in the file are all 0"), at == 1, "{name}");
    }
}

#[test]
fn each_line_of_a_feed_misses_what_the_corpus_says() {
    for (line, heartbeats) in [("A", 12), ("B", 11)] {
        let Some(file) = corpus(&format!("moldudp64-ab/mold-{line}.pcap")) else { return };
        let (stats, all) = (stats(&["-r", &file]), expected("moldudp64-ab/expected.json"));
        let expected = &all[line];
        assert_eq!(stats["packets"], expected["packets"]);
        assert_eq!(stats["sessions"], json!([all["session"]]));
        assert_eq!((&stats["heartbeats"], &stats["unknown"]), (&json!(heartbeats), &json!(0)));
        let gaps = stats["gaps"].as_array().expect("a list").iter();
        let ranges: Vec<_> = gaps.map(|gap| json!([gap["first"], gap["last"]])).collect();
        assert_eq!(json!(ranges), expected["never_received_ranges"]);
        assert_eq!(stats["missing_messages"], expected["never_received_messages"]);
        // Text for people says the same, and the exit code tells scripts.
        let ran = run(&["feed", "gaps", "-r", &file]).expect_code(3);
        let missing = expected["never_received_messages"].as_u64().expect("a number");
        let verdict = format!("{missing} are missing on the only line, in {} ranges", ranges.len());
        assert!(ran.text().contains(&verdict), "{}", ran.text());
    }
}

#[test]
fn both_lines_of_a_feed_together_miss_what_the_corpus_says() {
    let Some(file) = corpus("moldudp64-ab/mold-AB.pcap") else { return };
    let (stats, expected) = (stats(&["-r", &file]), expected("moldudp64-ab/expected.json"));
    let merged = &expected["merged_by_capture_time"];
    let gaps = stats["gaps"].as_array().expect("a list").iter();
    let ranges: Vec<_> = gaps.map(|gap| json!([gap["first"], gap["last"]])).collect();
    assert_eq!(json!(ranges), merged["unrecoverable_ranges_(need_retransmit)"]);
    assert_eq!(stats["duplicates"], merged["duplicate_messages_dropped"]);
    assert_eq!(stats["missing_messages"], merged["unrecoverable_messages"]);
    // The same from a file of each line, and what only one of them has.
    let [a, b] = ["A", "B"].map(|line| corpus(&format!("moldudp64-ab/mold-{line}.pcap")).unwrap());
    for args in [vec!["-r", &file], vec!["-r", &a, "-r", &b]] {
        let args = [&["feed", "gaps", "--json"], &args[..]].concat();
        let report = run(&args).expect_code(3).summary();
        let session = &report["sessions"][0];
        assert_eq!(report["sessions"].as_array().map(Vec::len), Some(1));
        assert_eq!(session["messages"], merged["unique_messages"]);
        assert_eq!((&session["ended"], &session["next"]), (&json!(true), &json!(12_013)));
        let [a, b] = [0, 1].map(|at| &session["lines"][at]);
        assert_eq!((&a["missing_messages"], &b["missing_messages"]), (&json!(406), &json!(385)));
        assert_eq!((&a["only_here"], &b["only_here"]), (&json!(360), &json!(381)));
    }
}

#[test]
fn two_lines_without_a_session_are_compared_when_each_has_a_file() {
    let (Some(a), Some(b)) =
        (corpus("fast-micex/increment_a.dat"), corpus("fast-micex/increment_b.dat"))
    else {
        return;
    };
    let ran = run(&["feed", "gaps", "-r", &a, "-r", &b, "--json"]).expect_code(0);
    let session = &ran.summary()["sessions"][0];
    assert_eq!((&session["protocol"], &session["messages"]), (&json!("fast-micex"), &json!(8_112)));
    let lines = session["lines"].as_array().expect("a list").iter();
    let numbers: Vec<_> = lines.map(|line| json!([line["messages"], line["only_here"]])).collect();
    assert_eq!(json!(numbers), json!([[8_101, 24], [8_088, 11]]));
    let ran = run(&["feed", "gaps", "-r", &a, "-r", &b]).expect_code(0);
    assert!(ran.text().ends_with("\ncomplete: all 8,112 messages arrived\n"), "{}", ran.text());
}

#[test]
fn an_object_has_the_fields_of_the_specification() {
    let Some(file) = corpus("itch/ex20101224.TEST_ITCH_50.binaryfile") else { return };
    let ran = run(&["feed", "decode", "-r", &file, "--json"]).expect_code(0);
    let objects = objects(&ran);
    assert_eq!(objects.len(), 12_012);
    for (at, object) in objects.iter().enumerate() {
        let letter = object["message_type"].as_str().expect("a letter");
        let known = Message::TYPES.iter().find(|row| row.0 == letter.as_bytes()[0]);
        let (_, name, fields) = known.expect("a known type");
        assert_eq!((&object["name"], &object["sequence"]), (&json!(name), &json!(at + 1)));
        // Nothing more than these, so no field hides another.
        assert_eq!(object.as_object().unwrap().len(), 3 + fields.len(), "{object}");
        for field in *fields {
            assert!(object.get(field.name).is_some(), "no {} in {object}", field.name);
        }
    }
    let add = objects.iter().find(|object| object["name"] == "AddOrder").expect("an order");
    assert!(add["price"].is_f64() && add["shares"].is_u64() && add["timestamp"].is_u64(), "{add}");
}

#[test]
fn a_message_is_one_line_with_every_digit() {
    let folder = Folder::new("feed-line");
    let order = AddOrderBuilder::new().stock_locate(9).timestamp(SinceMidnight(34_200_000_000_001));
    let order = order.order_reference_number(7).buy_sell_indicator(Code(b'B')).shares(300);
    let order = order.stock(Ascii::new("A\"B").expect("short")).price(Price(630_200));
    let mut buffer = [0; 128];
    let mut packet = PacketBuilder::new(&mut buffer, SESSION, 41).expect("room");
    packet.push(order.as_bytes()).expect("room");
    packet.push(b"Z?").expect("room");
    packet.push(b"D").expect("room");
    let file = folder.with("a.pcap", &capture(&[(26_477, packet.finish().to_vec())]));
    let ran = run(&["feed", "decode", "-r", &file]).expect_code(0);
    let lines: Vec<_> = ran.text().lines().collect();
    assert_eq!(
        lines,
        [
            "14:30:00.000000042 000010059B         41 A AddOrder                  stock_locate=9 \
             tracking_number=0 timestamp=09:30:00.000000001 order_reference_number=7 \
             buy_sell_indicator=B shares=300 stock=A\"B price=63.0200",
            "14:30:00.000000042 000010059B         42 Z [unknown] 2 bytes",
            "14:30:00.000000042 000010059B         43 D [truncated] 1 bytes",
        ]
    );
    let ran = run(&["feed", "decode", "-r", &file, "--json"]).expect_code(0);
    let objects = objects(&ran);
    assert_eq!(
        objects[0],
        json!({
            "time": 1_706_970_600_000_000_042_u64, "protocol": "itch50", "session": "000010059B",
            "sequence": 41, "name": "AddOrder", "message_type": "A", "stock_locate": 9,
            "tracking_number": 0, "timestamp": 34_200_000_000_001_u64, "order_reference_number": 7,
            "buy_sell_indicator": "B", "shares": 300, "stock": "A\"B", "price": 63.02,
        })
    );
    assert!(ran.text().contains("\"price\":63.0200}"), "{}", ran.text());
    assert_eq!((&objects[1]["message_type"], &objects[1]["bytes"]), (&json!("Z"), &json!(2)));
    assert_eq!((&objects[2]["fault"], &objects[2]["bytes"]), (&json!("truncated"), &json!(1)));
    assert!(ran.stderr.contains("malformed"), "{}", ran.stderr);
    for count in ["0", "1", "2", "9"] {
        let ran = run(&["feed", "decode", "-r", &file, "-c", count]).expect_code(0);
        assert_eq!(
            ran.text().lines().count(),
            count.parse::<usize>().unwrap().min(3),
            "-c {count}"
        );
    }
}

#[test]
fn every_datagram_is_counted_or_discarded_by_name() {
    let folder = Folder::new("feed-account");
    let mut fragment = to_group(26_477, &mold(1, 1));
    fragment[20] = 0x20;
    let mut tcp = to_group(26_477, &mold(1, 1));
    tcp[23] = 6;
    let mut arp = udp_frame(b"");
    arp[12..14].copy_from_slice(&[8, 6]);
    let frames = [
        to_group(26_477, &mold(1, 3)),
        to_group(26_477, &mold(4, 2)[..60]),
        to_group(26_477, &mold(6, 1)[..12]),
        to_group(10_377, &tops()),
        to_group(53, b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x07example\x03com\0\0\x01\0\x01"),
        fragment,
        tcp,
        arp,
    ];
    let stats = stats(&["-r", &folder.with("a.pcap", &pcap(&frames))]);
    for (key, value) in [
        ("packets", json!(4)),
        ("messages", json!(3 + 1 + 2)),
        ("by_type", json!({"D": 4, "Q": 1, "\\x07": 1})),
        ("unknown", json!(1)),
        ("malformed", json!(0)),
        ("truncated", json!(2)),
        ("sessions", json!(["000010059B", "1:7"])),
        ("received", json!(8)),
        ("delivered", json!(3)),
    ] {
        assert_eq!(stats[key], value, "{key} in {stats}");
    }
    // What is wrong with what is no feed has its own name.
    assert_eq!(
        stats["discarded"],
        json!({
            "not_market_data": 2, "fragment": 1, "unreadable_feed": 1, "tcp_bad_data_offset": 1,
        })
    );
    assert_eq!(stats["protocols"]["tops"]["by_type"], json!({"Q": 1, "\\x07": 1}));
}

#[test]
fn what_cannot_be_guessed_is_bound() {
    let folder = Folder::new("feed-bind");
    // A session and messages of a future version: nothing to guess by.
    let mut payload = mold(1, 1);
    payload[..10].copy_from_slice(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff");
    let file = folder.with("a.pcap", &capture(&[(9_000, payload)]));
    let count = |args: &[&str]| stats(&[&["-r", file.as_str()], args].concat())["packets"].clone();
    assert_eq!(count(&[]), 0);
    assert_eq!(count(&["--protocol", "itch50"]), 1);
    assert_eq!(count(&["--bind", "9000=itch50"]), 1);
    assert_eq!(count(&["--bind", "9001=itch50", "--bind", "239.1.1.1:9000=itch50"]), 1);
    assert_eq!(count(&["--bind", "239.1.1.2:9000=itch50"]), 0);
    let refused = |args: &[&str], words: &[&str]| {
        let args = [&["feed", "stats", "-r", file.as_str()], args].concat();
        run(&args).expect_message(2, words);
    };
    refused(&["--protocol", "itch"], &["there is no protocol", "itch50, tops15, tops"]);
    refused(&["--bind", "itch50"], &["is not PORT=PROTOCOL or GROUP:PORT=PROTOCOL"]);
    let nothing = run(&["feed", "gaps", "-r", &file]);
    nothing.expect_message(1, &["nothing with sequence numbers was found", "--bind PORT=NAME"]);
}

#[test]
fn files_come_packed_and_through_pipes() {
    let mut file = Vec::new();
    for number in 0..1_000 {
        let order = OrderDeleteBuilder::new().order_reference_number(number);
        file.extend([&[0, 19], &order.as_bytes()[..]].concat());
    }
    let ran = run_with_input(&["feed", "stats", "-r", "-", "--json"], &file).expect_code(0);
    assert_eq!(ran.summary()["by_type"], json!({"D": 1_000}));
    // A length of 0 ends it.
    let ended = [&file[..], &[0, 0]].concat();
    let ran = run_with_input(&["feed", "stats", "-r", "-", "--json"], &ended).expect_code(0);
    assert_eq!(ran.summary()["messages"], 1_000);
    // A cut file gives what it has, and is a failure.
    let cut = &file[..file.len() - 1];
    let ran = run_with_input(&["feed", "stats", "-r", "-", "--json"], cut).expect_code(1);
    assert_eq!(ran.summary()["messages"], 999);
    assert!(ran.stderr.contains("the file ends after 20 bytes of a record of 21"), "{ran:?}");
    let ran = run_with_input(&["feed", "decode", "-r", "-"], b"#!/bin/sh\necho\n");
    ran.expect_message(1, &["of no capture file"]);
}
