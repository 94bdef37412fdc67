//! Packets in, text out: the lines and objects of every sample, compared with files in `golden/`.
//!
//! `TICKWIRE_BLESS=1 cargo test -p tickwire-decode --test golden` writes the files anew; look at
//! the difference before you commit it.

use std::fmt::Write;
use std::path::Path;
use tickwire_decode::{LineOptions, Packet, write_hex, write_json, write_line};
use tickwire_frame::{Flags, Frame, Timestamp};
use tickwire_fuzz::packets::{Sample, samples};

/// 2023-11-14 22:13:20 UTC and a bit.
const TIME: Timestamp = Timestamp::from_parts(1_700_000_000, 123_456_789);

fn compare(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("TICKWIRE_BLESS").is_some() {
        std::fs::write(&path, text).expect("golden files can be written");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    for (number, (ours, theirs)) in text.lines().zip(expected.lines()).enumerate() {
        assert_eq!(ours, theirs, "{name}, line {}", number + 1);
    }
    assert_eq!(text.lines().count(), expected.lines().count(), "lines of {name}");
}

/// One line of text for every sample, whole and as the capture cuts it.
fn lines(write: impl Fn(&mut String, &Sample, &Frame<'_>, &Packet<'_>)) -> String {
    let mut text = String::new();
    for sample in samples() {
        let wire_len = sample.bytes.len();
        for len in [wire_len, 40] {
            if len > wire_len {
                continue;
            }
            let frame =
                Frame { wire_len: wire_len as u32, ..Frame::new(&sample.bytes[..len], TIME) };
            let packet = Packet::decode(sample.link, frame.bytes, frame.wire_len);
            write(&mut text, &sample, &frame, &packet);
        }
    }
    text
}

fn check_lines(name: &str, options: &LineOptions) {
    let text = lines(|text, sample, frame, packet| {
        let (label, cut) = (sample.name, frame.wire_len as usize > frame.bytes.len());
        write!(text, "{label}{}: ", if cut { " (cut)" } else { "" }).expect("into a string");
        write_line(text, frame, packet, options).expect("into a string");
    });
    compare(name, &text);
}

#[test]
fn plain_lines() {
    check_lines("lines.txt", &LineOptions::default());
}

#[test]
fn numeric_lines_with_link_headers() {
    let options = LineOptions { link_header: true, numeric: true, ..LineOptions::default() };
    check_lines("lines-en.txt", &options);
}

#[test]
fn verbose_lines() {
    check_lines("lines-v.txt", &LineOptions { verbose: true, ..LineOptions::default() });
}

#[test]
fn quick_lines() {
    check_lines("lines-q.txt", &LineOptions { quick: true, ..LineOptions::default() });
}

fn all_objects() -> String {
    lines(|text, sample, frame, packet| {
        let frame = Frame { flags: Flags::OUTGOING.with(Flags::CHECKSUM_PARTIAL), ..*frame };
        write_json(text, sample.link, &frame, packet).expect("into a string");
    })
}

#[test]
fn objects() {
    compare("objects.json", &all_objects());
}

#[test]
fn malformed_packets_say_so() {
    let mut text = String::new();
    for sample in samples() {
        // The same bytes, but nothing more was on the wire: what was cut is now wrong.
        let bytes = &sample.bytes[..sample.bytes.len().min(40)];
        let frame = Frame::new(bytes, TIME);
        let packet = Packet::decode(sample.link, bytes, bytes.len() as u32);
        write!(text, "{}: ", sample.name).expect("into a string");
        write_line(&mut text, &frame, &packet, &LineOptions::default()).expect("into a string");
    }
    compare("malformed.txt", &text);
}

#[test]
fn hex_dumps() {
    let mut text = String::new();
    for sample in samples().iter().take(3) {
        writeln!(text, "{}", sample.name).expect("into a string");
        write_hex(&mut text, &sample.bytes).expect("into a string");
    }
    compare("hex.txt", &text);
}

#[test]
fn objects_are_json() {
    let keys = ["time_ns", "link", "length", "captured", "payload_length", "layers"];
    for line in all_objects().lines() {
        let value: serde_json::Value = serde_json::from_str(line).expect(line);
        let object = value.as_object().expect("an object");
        assert!(keys.iter().all(|key| object.contains_key(*key)), "{line}");
        // A parser keeps the last of equal keys: none may come twice.
        let pairs = serde_json::to_string(&value).expect("back to text");
        assert_eq!(pairs, line);
    }
}

#[test]
fn objects_have_no_ports_of_a_tunnel_beside_inner_addresses() {
    let mut seen = 0;
    for sample in samples() {
        if !["icmp in vxlan", "arp in geneve"].contains(&sample.name) {
            continue;
        }
        seen += 1;
        let frame = Frame::new(&sample.bytes, TIME);
        let packet = Packet::decode(sample.link, frame.bytes, frame.wire_len);
        assert_eq!(packet.ports(), None, "{}", sample.name);
        let mut line = String::new();
        write_json(&mut line, sample.link, &frame, &packet).expect("into a string");
        let value: serde_json::Value = serde_json::from_str(&line).expect("an object");
        assert_eq!(value["outer_src"], "10.0.0.1", "{line}");
        assert!(value.get("src").is_some() && value.get("src_port").is_none(), "{line}");
    }
    assert_eq!(seen, 2);
}
