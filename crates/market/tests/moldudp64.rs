//! MoldUDP64 over two lines of a feed, against what is known of how they were made.

mod common;

use common::{corpus, payloads};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use tickwire_market::Error;
use tickwire_market::itch50::Message;
use tickwire_market::moldudp64::{Kind, Packet, PacketBuilder};

/// What one capture has.
#[derive(Debug, Default)]
struct Line {
    packets: usize,
    heartbeats: usize,
    ends: usize,
    last: u64,
    by_sequence: BTreeMap<u64, Vec<u8>>,
}

fn read(path: &Path, session: &str) -> Line {
    let mut line = Line::default();
    let mut rewritten = [0; 2048];
    for payload in payloads(path) {
        let packet = Packet::parse(&payload).unwrap();
        assert_eq!(packet.session().to_string(), session);
        line.packets += 1;
        match packet.kind() {
            Kind::Messages => {}
            Kind::Heartbeat => line.heartbeats += 1,
            Kind::EndOfSession => (line.ends, line.last) = (line.ends + 1, packet.next_sequence()),
        }
        let (session, first) = (packet.session(), packet.sequence_number());
        let mut builder = PacketBuilder::new(&mut rewritten, session, first).unwrap();
        for message in packet.messages() {
            let message = message.unwrap();
            assert!(!matches!(Message::decode(message.bytes).unwrap(), Message::Unknown { .. }));
            builder.push(message.bytes).unwrap();
            line.by_sequence.insert(message.sequence, message.bytes.to_vec());
        }
        if packet.kind() != Kind::EndOfSession {
            assert_eq!(builder.finish(), payload);
        }
    }
    line
}

/// The sequence numbers from 1 to `last` that none of the lines has, as ranges.
fn missing(lines: &[&Line], last: u64) -> Vec<(u64, u64)> {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for sequence in 1..=last {
        if lines.iter().any(|line| line.by_sequence.contains_key(&sequence)) {
            continue;
        }
        match ranges.last_mut() {
            Some((_, end)) if *end + 1 == sequence => *end = sequence,
            _ => ranges.push((sequence, sequence)),
        }
    }
    ranges
}

fn count(ranges: &[(u64, u64)]) -> u64 {
    ranges.iter().map(|(first, last)| last - first + 1).sum()
}

#[test]
fn the_messages_of_two_lines_are_those_that_were_sent() {
    let Some(folder) = corpus("market/moldudp64-ab", "the_messages_of_two_lines") else { return };
    let expected = std::fs::read(folder.join("expected.json")).unwrap();
    let expected: Value = serde_json::from_slice(&expected).unwrap();
    let session = expected["session"].as_str().unwrap();
    let total = expected["messages_total"].as_u64().unwrap();
    let [a, b, ab] =
        ["A", "B", "AB"].map(|line| read(&folder.join(format!("mold-{line}.pcap")), session));
    for (name, line) in [("A", &a), ("B", &b)] {
        let expected = &expected[name];
        let missing = missing(&[line], total);
        assert_eq!(expected["packets"], json!(line.packets), "{name}");
        assert_eq!(expected["never_received_ranges"], json!(missing), "{name}");
        assert_eq!(expected["never_received_messages"], json!(count(&missing)), "{name}");
        assert!(
            line.heartbeats > 0 && line.ends > 0 && line.last == total + 1,
            "{name}: {}",
            line.last
        );
    }
    let lost = missing(&[&a, &b], total);
    assert_eq!((lost.len(), total - count(&lost)), (5, 11_987));
    assert_eq!((ab.packets, missing(&[&ab], total)), (a.packets + b.packets, lost));
    let original =
        std::fs::read(folder.join("../itch/ex20101224.TEST_ITCH_50.binaryfile")).unwrap();
    let original: Vec<_> =
        tickwire_market::binaryfile::BinaryFile::new(&original).map(Result::unwrap).collect();
    for (sequence, message) in &ab.by_sequence {
        assert_eq!(original[*sequence as usize - 1], message, "message {sequence}");
    }
}

#[test]
fn a_packet_that_was_cut_gives_what_it_has_and_an_error() {
    let Some(folder) = corpus("market/itch", "a_packet_that_was_cut") else { return };
    let bytes = std::fs::read(folder.join("mold.sample.dat")).unwrap();
    let (mut rest, mut packets) = (&bytes[..], Vec::new());
    // Packets without datagrams around them: each begins where the messages of the one before end.
    for _ in 0..3 {
        let packet = Packet::parse(rest).unwrap();
        let mut messages = packet.messages();
        let whole = messages.by_ref().filter(Result::is_ok).count();
        packets.push((packet.sequence_number(), packet.message_count(), whole));
        rest = messages.rest();
    }
    assert_eq!(packets, [(1, 15, 15), (16, 13, 13), (29, 13, 12)]);
    let last = Packet::parse(&bytes[1881..]).unwrap().messages().last().unwrap().unwrap_err();
    let error = Error::Truncated { what: "message block", needed: 27, available: 22 };
    assert_eq!(last, error);
    assert_eq!(rest.len(), 22);
}
