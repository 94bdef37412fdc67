//! Protocols that are bound to ports and groups.

use super::{add, frame, mold, options, segment};
use std::net::Ipv6Addr;
use tickwire_filter::fields::Bindings;
use tickwire_filter::{Filter, Options};

/// Whether a filter with these bindings passes a packet.
fn passes_bound(text: &str, bindings: &[&str], packet: &[u8]) -> bool {
    let bindings = Bindings(bindings.iter().map(|text| text.parse().unwrap()).collect());
    let filter = Filter::compile(text, &Options { bindings, ..options() }).unwrap();
    filter.matches(packet, packet.len() as u32) != 0
}

#[test]
fn ports_narrow_a_protocol() {
    for (port, wanted) in [(26477, true), (26478, true), (26479, false)] {
        let packet = frame(false, port, &mold(&[add("AAPL", 1)]));
        let bindings = ["26477=itch50", "26478=moldudp64", "26479=mdp3"];
        assert_eq!(passes_bound("itch.type == A", &bindings, &packet), wanted, "{port}");
    }
}

#[test]
fn groups_narrow_a_protocol() {
    let payload = mold(&[add("AAPL", 1)]);
    let four = frame(false, 26477, &payload);
    let mut six = [&four[..12], &[0x86, 0xdd, 0x60, 0, 0, 0], &four[38..40], &[17, 1]].concat();
    six.extend(Ipv6Addr::LOCALHOST.octets());
    six.extend("ff3e::7".parse::<Ipv6Addr>().unwrap().octets());
    six.extend(&four[34..]);
    for (packet, group, others) in [
        (four, "239.1.1.1", ["239.1.1.2", "10.0.0.1", "[ff3e::7]"]),
        (six, "[ff3e::7]", ["[ff3e::8]", "[::1]", "239.1.1.1"]),
    ] {
        let at = |places: &[String]| {
            let bindings: Vec<_> = places.iter().map(|place| format!("{place}=itch50")).collect();
            let bindings: Vec<_> = bindings.iter().map(String::as_str).collect();
            passes_bound("itch.type == A", &bindings, &packet)
        };
        assert!(at(&[]) && at(&[format!("{group}:26477")]) && !at(&[format!("{group}:26478")]));
        for other in others.map(|other| format!("{other}:26477")) {
            assert!(!at(std::slice::from_ref(&other)), "{group} {other}");
            assert!(at(&[other.clone(), "26477".into()]), "{group} {other}");
            assert!(at(&[other, format!("{group}:26477"), "9".into()]), "{group}");
        }
    }
}

#[test]
fn over_tcp_either_end_is_the_place() {
    let packet = segment(b"8=FIX.4.4\x019=5\x0135=D\x0110=000\x01");
    let [source, destination] = [26, 30]
        .map(|at| packet[at..at + 4].iter().map(u8::to_string).collect::<Vec<_>>().join("."));
    let [from, to] = [34, 36].map(|at| u16::from_be_bytes([packet[at], packet[at + 1]]));
    for (place, wanted) in [
        (format!("{source}:{from}"), true),
        (format!("{destination}:{to}"), true),
        (format!("{source}:{to}"), false),
        (format!("{destination}:{from}"), false),
        (to.to_string(), true),
        ("1".to_owned(), false),
    ] {
        let binding = format!("{place}=fix");
        assert_eq!(passes_bound("fix.35 == D", &[&binding], &packet), wanted, "{binding}");
    }
}
