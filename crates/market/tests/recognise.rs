//! Guessing a protocol: feeds are recognised, and nothing else is.

mod common;

use common::{corpus, payloads, random_bytes};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tickwire_capture::{FilePort, Port, Received};
use tickwire_decode::five_tuple;
use tickwire_frame::Batch;
use tickwire_market::Protocol;
use tickwire_market::recognise::guess;

/// Random datagrams of each length and shape.
const ROUNDS: u64 = 20_000;

fn anywhere() -> SocketAddr {
    SocketAddr::from(([239, 1, 1, 1], 26_477))
}

/// What is no feed, in the shape that its protocol gives it, with random bytes where any may be.
fn others(random: &[u8; 96]) -> Vec<Vec<u8>> {
    let dns = |flags: [u8; 2]| {
        let counts = b"\0\x01\0\0\0\0\0\0\x06quotes\x07example\x03com\0\0\x01\0\x01";
        [&random[..2], &flags, counts].concat()
    };
    // Modes 3 and 4 of versions 3 and 4.
    let ntp = |first: u8| [&[first, random[0] % 16, 6, 0xec], &random[..44]].concat();
    let text = |start: &str| [start.as_bytes(), b"\r\n", &random[..60]].concat();
    let now = 1_700_000_000_000_000_000_i64.to_le_bytes();
    // A name of ten letters, as in the header of many protocols, and numbers behind it.
    let named = |name: &[u8; 10], zeros: usize| [name, &[0; 8][..zeros], &random[..60]].concat();
    vec![
        random.to_vec(),
        random[..20].to_vec(),
        random[..40].to_vec(),
        dns([1, 0]),
        dns([0x81, 0x80]),
        ntp(0x1b),
        ntp(0x23),
        ntp(0x24),
        text("M-SEARCH * HTTP/1.1"),
        text("NOTIFY * HTTP/1.1"),
        text("<34>Oct 11 22:14:15 host su: 'su root' failed"),
        text("{\"symbol\":\"AAPL\",\"price\":1}"),
        named(b"SESSION001", 4),
        named(b"AAPL      ", 6),
        // The version and a feed of IEX-TP, and nothing else of it.
        [&[1, 0, 3, 0x80], &random[..60]].concat(),
        [&[1, 0, 4, 0x80], &random[..36]].concat(),
        // The times of CME and of B3, and nothing else of them.
        [&random[..4], &now, &random[..60]].concat(),
        [&random[..8], &now, &random[..60]].concat(),
        [&random[..4], &now, &[19, 0, 11, 0, 46, 0], &random[..13]].concat(),
        // FAST with another template behind the reset.
        [&[0xc0, 0xf8, 0xe0, 0xcb], &random[..40]].concat(),
    ]
}

#[test]
fn other_protocols_and_random_bytes_are_no_feed() {
    for seed in 0..ROUNDS {
        let random = random_bytes::<96>(seed);
        for (at, payload) in others(&random).iter().enumerate() {
            let guessed = guess(anywhere(), payload);
            assert_eq!(guessed, None, "seed {seed}, shape {at}: {payload:02x?}");
        }
    }
}

/// All captures below `folder`.
fn captures(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.extension().and_then(|name| name.to_str()) {
            _ if path.is_dir() => captures(&path, found),
            Some("pcap" | "pcapng" | "cap") => found.push(path),
            _ => {}
        }
    }
}

/// The datagrams of a capture for which `guess` says something, and how many there are.
fn guessed(path: &Path) -> (Vec<Protocol>, u64) {
    let (mut found, mut datagrams) = (Vec::new(), 0);
    let Ok(mut port) = FilePort::open(path) else { return (found, 0) };
    loop {
        let mut batch = Batch::new();
        match port.receive(&mut batch) {
            Ok(Received::End) | Err(_) => return (found, datagrams),
            Ok(_) => {}
        }
        for frame in batch.iter() {
            let Ok(tuple) = five_tuple(batch.link, frame.bytes) else { continue };
            let to = SocketAddr::new(tuple.addresses.destination(), tuple.destination_port);
            datagrams += u64::from(tuple.protocol == 17);
            found.extend(guess(to, tuple.payload(frame.bytes)).filter(|_| tuple.protocol == 17));
        }
    }
}

#[test]
fn captures_of_other_protocols_hold_no_feed() {
    let Some(folder) = corpus(".", "captures_of_other_protocols_hold_no_feed") else { return };
    let mut files = Vec::new();
    captures(&folder, &mut files);
    files.retain(|path| !path.starts_with(folder.join("market")));
    let mut datagrams = 0;
    for path in &files {
        let (found, seen) = guessed(path);
        assert_eq!(found, [], "{}", path.display());
        datagrams += seen;
    }
    assert!(datagrams > 1_000, "{datagrams} datagrams in {} captures", files.len());
}

#[test]
fn every_datagram_of_a_feed_is_recognised() {
    let Some(folder) = corpus("market", "every_datagram_of_a_feed_is_recognised") else { return };
    let feed = folder.join("moldudp64-ab/mold-AB.pcap");
    let (found, datagrams) = guessed(&feed);
    assert_eq!(found.len() as u64, datagrams);
    assert!(found.iter().all(|&protocol| protocol == Protocol::Itch50));
    // On any port, and also when the capture cut it behind the first message.
    let anywhere = SocketAddr::from(([10, 0, 0, 1], 40_000));
    for payload in payloads(&feed) {
        let mut len = payload.len();
        if let [_, _, ..] = payload[20..] {
            len = len.min(22 + usize::from(u16::from_be_bytes([payload[20], payload[21]])));
        }
        assert_eq!(guess(anywhere, &payload[..len]), Some(Protocol::Itch50));
    }
    let fast = std::fs::read(folder.join("fast-micex/increment_a.dat")).unwrap();
    for message in tickwire_market::fast::recorded(&fast) {
        assert_eq!(guess(anywhere, message), Some(Protocol::FastMicex));
    }
}
