//! `tickwire feed pack`: a file of messages becomes a capture, and the messages come out of it as
//! they went in.
//!
//! What needs the folder of captures (`TICKWIRE_CORPUS`) says so loudly when it is missing.

mod common;

use common::{Folder, itch_file, run, run_with_input};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use tickwire_capture::{FilePort, Port, Received};
use tickwire_decode::five_tuple;
use tickwire_frame::Batch;
use tickwire_market::moldudp64::{Kind, Packet};

/// A packet of a capture: when it was sent, where to, and its payload.
type Sent = (u64, String, Vec<u8>);

fn packets(path: &str) -> Vec<Sent> {
    let mut file = FilePort::open(path).expect("a capture");
    let mut packets = Vec::new();
    loop {
        let mut batch = Batch::new();
        if file.receive(&mut batch).expect("a whole capture") == Received::End {
            return packets;
        }
        for frame in batch.iter() {
            let tuple = five_tuple(batch.link, frame.bytes).expect("UDP");
            let to = format!("{}:{}", tuple.addresses.destination(), tuple.destination_port);
            let payload = tuple.payload(frame.bytes).to_vec();
            packets.push((frame.timestamp.as_nanos(), to, payload));
        }
    }
}

/// The messages of all packets by their numbers, as a BinaryFILE has them.
fn messages(packets: &[Sent]) -> BTreeMap<u64, Vec<u8>> {
    let mut messages = BTreeMap::new();
    for (.., payload) in packets {
        for message in Packet::parse(payload).expect("MoldUDP64").messages() {
            let message = message.expect("a whole message");
            let len = u16::try_from(message.bytes.len()).expect("short");
            let block = [&len.to_be_bytes(), message.bytes].concat();
            assert!(messages.insert(message.sequence, block.clone()).is_none_or(|b| b == block));
        }
    }
    messages
}

fn stats(file: &str) -> Value {
    run(&["feed", "stats", "-r", file, "--json"]).expect_code(0).summary()
}

#[test]
fn messages_come_out_as_they_went_in() {
    let folder = Folder::new("feed-pack");
    let file = itch_file(1_000);
    let (input, out) = (folder.with("day.binaryfile", &file), folder.file("day.pcap"));
    let args = ["feed", "pack", &input, &out, "--date", "2020-01-30", "--utc-offset", "-05:00"];
    let flags = ["--session", "DAY1", "--flush", "1ms", "--size", "500", "--json"];
    let summary = run(&[&args[..], &flags].concat()).expect_code(0).summary();
    let packets = packets(&out);
    assert_eq!(messages(&packets).into_values().flatten().collect::<Vec<_>>(), file);
    assert!(packets.iter().all(|(_, _, payload)| payload.len() <= 500));
    assert!(packets.windows(2).all(|pair| pair[0].0 <= pair[1].0));
    // 2020-01-30 in New York, and the messages begin at 09:30 there.
    let begin_ns = 1_580_394_600_000_000_000;
    assert!((begin_ns..begin_ns + 2_000_000).contains(&packets[0].0), "{}", packets[0].0);
    let ends = packets.iter().filter(|(_, _, payload)| {
        Packet::parse(payload).is_ok_and(|packet| packet.kind() == Kind::EndOfSession)
    });
    let (ends, count) = (ends.count(), packets.len());
    assert_eq!((&summary["ends"], &summary["messages"]), (&6.into(), &1_000.into()));
    assert_eq!((ends, summary["packets"].as_u64()), (6, Some(count as u64)));
    assert_eq!((&summary["packets"], &summary["written"]), (&count.into(), &count.into()));
    let stats = stats(&out);
    assert_eq!((&stats["messages"], &stats["sessions"][0]), (&1_000.into(), &"DAY1".into()));
    assert_eq!(stats["gaps"].as_array().map(Vec::len), Some(0), "{stats}");
}

#[test]
fn silence_has_heartbeats_and_a_pipe_is_read() {
    let folder = Folder::new("feed-pack-pipe");
    let out = folder.file("quiet.pcapng");
    // One message a second; a heartbeat every 250 ms makes three between two of them.
    let day: Vec<u8> =
        itch_file(3_000).chunks_exact(38).step_by(1_000).flatten().copied().collect();
    let args = ["feed", "pack", "-", &out, "--heartbeat", "250ms", "--linger", "0", "--json"];
    let summary = run_with_input(&args, &day).expect_code(0).summary();
    let counts = ["messages", "heartbeats", "ends", "packets"].map(|name| summary[name].clone());
    assert_eq!(counts, [3, 6, 1, 10].map(Value::from), "{summary}");
    let at: Vec<_> = packets(&out).iter().map(|packet| packet.0).collect();
    assert!(at.windows(2).all(|pair| pair[1] - pair[0] <= 250_000_000), "{at:?}");
}

#[test]
fn lines_lose_what_they_say_and_not_the_same() {
    let folder = Folder::new("feed-pack-lines");
    let (input, out) = (folder.with("day", &itch_file(20_000)), folder.file("ab.pcap"));
    let args = ["feed", "pack", &input, &out, "--lines", "2", "--loss", "2%", "--skew", "100us"];
    let flags = ["--duplicate", "1%", "--reorder", "1%", "--messages", "10", "--json"];
    let summary = run(&[&args[..], &flags].concat()).expect_code(0).summary();
    let packets = packets(&out);
    for (line, name) in [(0, "239.1.1.1:26477"), (1, "239.1.1.2:26477")] {
        let sent = packets.iter().filter(|(_, to, _)| to == name).count() as u64;
        let count = |name: &str| summary["lines"][line][name].as_u64().expect("a count");
        assert_eq!(count("sent"), sent);
        assert_eq!(count("offered") + count("doubled"), count("sent") + count("lost"));
        assert_eq!(count("offered"), summary["packets"].as_u64().expect("a count"));
        assert!(["lost", "doubled", "overtaken"].iter().all(|name| count(name) > 0), "{summary}");
    }
    assert!(packets.windows(2).all(|pair| pair[0].0 <= pair[1].0));
    // What both lines together lose is what `gaps` misses: the same by another way.
    let missing = 20_000 - messages(&packets).len() as u64;
    let gaps = run(&["feed", "stats", "-r", &out, "--json"]).expect_code(0).summary();
    assert_eq!(gaps["missing_messages"], missing, "{gaps}");
    let again = folder.file("again.pcap");
    run(&[&["feed", "pack", &input, &again], &args[4..], &flags].concat()).expect_code(0);
    assert_eq!(std::fs::read(&out).expect("it is there"), std::fs::read(&again).expect("too"));
}

#[test]
fn what_is_overtaken_comes_later_in_the_file() {
    let folder = Folder::new("feed-pack-reorder");
    let (input, out) = (folder.with("day", &itch_file(2_000)), folder.file("late.pcap"));
    let args = ["feed", "pack", &input, &out, "--reorder", "10%", "--messages", "1", "--json"];
    let summary = run(&[&args[..], &["--linger", "0"]].concat()).expect_code(0).summary();
    let overtaken = summary["lines"][0]["overtaken"].as_u64().expect("a count");
    let packets = packets(&out);
    let number = |sent: &Sent| Packet::parse(&sent.2).expect("MoldUDP64").sequence_number();
    let late = packets.windows(2).filter(|two| number(&two[1]) < number(&two[0])).count() as u64;
    assert!(overtaken > 100, "{summary}");
    assert_eq!(late, overtaken, "{summary}");
}

#[test]
fn ipv6_and_unicast_and_addresses_of_ones_own() {
    let folder = Folder::new("feed-pack-v6");
    let (input, out) = (folder.with("day", &itch_file(10)), folder.file("v6.pcap"));
    let lines = ["--to", "[ff15::1]:5000", "--to", "10.9.9.9:5001"];
    let sources = ["--source", "2001:db8::1", "--source", "10.9.9.1:7"];
    run(&[&["feed", "pack", &input, &out], &lines[..], &sources].concat()).expect_code(0);
    let packets = packets(&out);
    let to = |name: &str| packets.iter().filter(|(_, to, _)| to == name).count();
    assert_eq!((to("ff15::1:5000"), to("10.9.9.9:5001")), (packets.len() / 2, packets.len() / 2));
    let verbose = run(&["capture", "-r", &out, "-v", "-c", "2"]).expect_code(0);
    assert!(!verbose.text().contains("bad"), "{verbose:?}");
    run(&[&["feed", "pack", &input, &out], &lines[..]].concat())
        .expect_message(2, &["one is IPv4, the other IPv6", "--source"]);
}

#[test]
fn what_cannot_be_says_why() {
    let folder = Folder::new("feed-pack-errors");
    let file = itch_file(10);
    let (input, out) = (folder.with("day", &file), folder.file("out.pcap"));
    let refused = |args: &[&str], code, words: &[&str]| {
        run(&[&["feed", "pack"], args].concat()).expect_message(code, words);
    };
    refused(&["/nowhere", &out], 1, &["/nowhere"]);
    refused(&[&input, &out, "--lines", "4"], 2, &["4 is not in 1..=3"]);
    refused(&[&input, &out, "--session", "elevenchars"], 2, &["1 to 10 letters"]);
    refused(&[&input, &out, "--loss", "2"], 2, &["0 to 100%"]);
    refused(&[&input, &out, "--loss", "1%", "--loss", "2%", "--lines", "3"], 2, &["2 times"]);
    refused(&[&input, &out, "--heartbeat", "1us"], 2, &["1ms at least"]);
    refused(&[&input, "-", "--json"], 2, &["standard output"]);
    refused(&[&input, "/dev/full"], 1, &["/dev/full"]);
    let capture = folder.file("again.pcap");
    run(&["feed", "pack", &input, &capture]).expect_code(0);
    std::fs::hard_link(&input, folder.file("link")).expect("a link");
    refused(&[&input, &folder.file("link")], 2, &["same file", "another"]);
    assert_eq!(std::fs::read(&input).expect("still there"), file);
    let old = folder.with("old.pcap", b"an older file");
    refused(&[&capture, &old], 1, &["has packets already", "tickwire replay"]);
    refused(&[&folder.with("other", b"#!/bin/sh"), &old], 1, &["of no capture file"]);
    assert_eq!(std::fs::read(&old).expect("still there"), b"an older file");
    refused(&[&input, &old, "--date", "2026-02-30"], 2, &["2026-02 has the days 1 to 28, not 30"]);
    // A cut file gives what it has, and an error.
    let cut = folder.with("cut", &file[..file.len() - 1]);
    refused(&[&cut, &out], 1, &["the 9 records before it", "the file was cut short: copy it"]);
    assert_eq!(messages(&packets(&out)).len(), 9);
}

#[test]
fn the_published_file_and_the_one_with_lengths_are_the_same_feed() {
    let Some(root) = std::env::var_os("TICKWIRE_CORPUS") else {
        eprintln!("SKIPPED: the_published_file…: TICKWIRE_CORPUS is not set");
        return;
    };
    let itch = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(root).join("market/itch");
    let folder = Folder::new("feed-pack-corpus");
    let pack = |name: &str| {
        let (input, out) = (itch.join(name).display().to_string(), folder.file("out.pcap"));
        let ran = run(&["feed", "pack", &input, &out]).expect_code(0);
        assert_eq!(ran.stderr.contains("lengths in the file are all 0"), !name.ends_with("file"));
        packets(&out)
    };
    let with = pack("ex20101224.TEST_ITCH_50.binaryfile");
    assert_eq!(with, pack("ex20101224.TEST_ITCH_50"));
    // The day is in the name.
    let time_ns = 11_202_475_298_710;
    assert_eq!(with[0].0 / 1_000_000, (1_293_148_800_000_000_000 + time_ns) / 1_000_000);
    let file = std::fs::read(itch.join("ex20101224.TEST_ITCH_50.binaryfile")).expect("it is there");
    let messages: Vec<u8> = messages(&with).into_values().flatten().collect();
    assert_eq!(messages, file[..messages.len()]);
    assert!(file[messages.len()..].iter().all(|&byte| byte == 0));
    assert_eq!(stats(&folder.file("out.pcap"))["messages"], 12_012);
}
