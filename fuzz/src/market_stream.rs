//! Streams of FIX and SoupBinTCP from any bytes, in any pieces, with holes.
//!
//! Beside that nothing panics: where TCP cuts makes no difference, and no byte is read twice.

use tickwire_market::fix::MessageBuilder;
use tickwire_market::stream::{
    Connection, Item, Sessions, Verdict, Way, recognise, recognise_at_last,
};
use tickwire_market::{Kind, Protocol};

/// What streams carry.
const PROTOCOLS: [Protocol; 4] =
    [Protocol::Fix, Protocol::Ouch42In, Protocol::Ouch50, Protocol::Itch50];

/// What was read.
#[derive(Debug, Default, PartialEq, Eq)]
struct Read {
    /// Kind, first number, and message of each packet.
    packets: Vec<(Kind, u64, Vec<u8>)>,
    malformed: u64,
    truncated: u64,
    skipped: u64,
}

/// Reads `bytes` in pieces of at most `len`, with a hole in front of every `lost`th.
fn read(protocol: Protocol, bytes: &[u8], len: usize, lost: usize) -> Read {
    let (mut connection, mut sessions) = (Connection::new(protocol), Sessions::default());
    let mut read = Read::default();
    let mut visit = |item: Item<'_>| match item {
        Item::Packet(packet) => {
            let messages = packet.messages().map(|message| message.expect("it is whole"));
            let bytes = messages.flat_map(|message| message.bytes.to_vec()).collect();
            read.packets.push((packet.kind(), packet.first(), bytes));
            let _ = packet.session().to_string();
        }
        Item::Malformed => read.malformed += 1,
        Item::Truncated => read.truncated += 1,
        Item::Skipped(bytes) => {
            assert!(bytes > 0);
            read.skipped += bytes;
        }
    };
    connection.begin(Way::Back, true);
    for (at, piece) in bytes.chunks(len.max(1)).enumerate() {
        if lost > 0 && at % lost == lost - 1 {
            connection.lose(Way::Back, &mut visit);
        }
        connection.data(Way::Back, piece, &mut sessions, &mut visit);
    }
    connection.lose(Way::Back, &mut visit);
    let messages: usize = read.packets.iter().map(|(.., bytes)| bytes.len()).sum();
    assert!(messages as u64 + read.skipped <= bytes.len() as u64, "a byte is read twice");
    read
}

/// A sample: a session of FIX, in the form of [`stream`].
pub fn fix() -> Vec<u8> {
    let mut bytes = vec![0x44];
    for (number, msg_type) in (1..).zip(["A", "0", "D", "4", "AE", "5"]) {
        let mut buffer = [0; 256];
        let mut message = MessageBuilder::new(&mut buffer, "FIX.4.4", msg_type).expect("room");
        message.field(49, "FUND").expect("room").field(56, "VENUE").expect("room");
        message.field(34, number).expect("room").field(36, 2 * number).expect("room");
        message.field(123, "Y").expect("room").data(95, 96, b"\x018=FIX\x0110=").expect("room");
        bytes.extend_from_slice(message.finish());
    }
    bytes
}

/// The first byte says what the stream carries, how long pieces are, and how often one is lost.
pub fn stream(bytes: &[u8]) {
    let Some((&first, bytes)) = bytes.split_first() else { return };
    let (protocol, len) = (PROTOCOLS[usize::from(first & 3)], 1 + usize::from(first % 61));
    let whole = read(protocol, bytes, bytes.len(), 0);
    let pieces = read(protocol, bytes, len, 0);
    // What follows garbled FIX depends on what has come when it is looked for.
    if protocol != Protocol::Fix || whole.malformed + pieces.malformed == 0 {
        assert_eq!(whole, pieces, "{protocol} in pieces of {len}");
    }
    read(protocol, bytes, len, 2 + usize::from(first >> 6));
    let (one, other) = bytes.split_at(bytes.len() / 2);
    for streams in [[bytes, &[]], [one, other]] {
        if let Verdict::Is(protocol) = recognise(streams) {
            assert_eq!(recognise_at_last(streams), Some(protocol));
        }
    }
}
