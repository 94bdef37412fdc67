//! Streams of FIX and SoupBinTCP with holes: every message that is whole is read, and no other.

mod common;

use common::Random;
use tickwire_market::fix::MessageBuilder;
use tickwire_market::ouch50::{
    EnterOrderBuilder, OrderAcceptedBuilder, OrderExecutedBuilder, SystemEventBuilder, tag,
};
use tickwire_market::soupbintcp::{ServerHeartbeatBuilder, write_data, write_packet};
use tickwire_market::stream::{Connection, Item, Sessions, Way};
use tickwire_market::{Price, Protocol};

/// Streams of each kind.
const STREAMS: u64 = 300;

/// Messages of a stream.
const MESSAGES: u64 = 60;

/// Messages one behind the other.
struct Stream {
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
}

fn fix(random: &mut Random) -> Stream {
    let mut stream = Stream { bytes: Vec::new(), ends: Vec::new() };
    for number in 1..=MESSAGES {
        let mut buffer = [0; 512];
        let msg_type = ["0", "8", "AE"][random.below(3) as usize];
        let mut message = MessageBuilder::new(&mut buffer, "FIX.4.4", msg_type).unwrap();
        message.field(34, number).unwrap().field(49, "A").unwrap().field(56, "B").unwrap();
        if random.one_in(3) {
            // Data that looks like the beginning of a message, and like an end.
            message.data(95, 96, b"x\x018=FIX.4.4\x019=5\x0110=000\x01").unwrap();
        }
        message.field(58, "8=FIX".repeat(random.below(5) as usize + 1)).unwrap();
        stream.bytes.extend_from_slice(message.finish());
        stream.ends.push(stream.bytes.len());
    }
    stream
}

fn soup(random: &mut Random) -> Stream {
    let mut stream = Stream { bytes: Vec::new(), ends: Vec::new() };
    for number in 1..=MESSAGES as u32 {
        let (mut out, mut order) = ([0; 256], [0; 128]);
        let quantity = random.below(1_000) as u32;
        let len = match random.below(5) {
            0 => write_packet(&mut out, ServerHeartbeatBuilder::new().as_bytes()),
            1 => {
                let accepted = OrderAcceptedBuilder::new().user_ref_num(number);
                write_data(&mut out, b'S', accepted.quantity(quantity).as_bytes())
            }
            2 => {
                let executed = OrderExecutedBuilder::new().user_ref_num(number);
                write_data(&mut out, b'S', executed.quantity(quantity).as_bytes())
            }
            3 => write_data(&mut out, b'S', SystemEventBuilder::new().as_bytes()),
            _ => {
                let enter = EnterOrderBuilder::new().price(Price(random.below(1 << 30)));
                let mut enter = enter.with_appendage(&mut order).unwrap();
                enter.push(tag::MIN_QTY, quantity).unwrap();
                write_data(&mut out, b'U', enter.finish())
            }
        };
        stream.bytes.extend_from_slice(&out[..len.unwrap()]);
        stream.ends.push(stream.bytes.len());
    }
    stream
}

/// Reads a stream in pieces, without the bytes from `hole.0` up to `hole.1`: how many messages and
/// packets there were, how many cut ones, how many bytes skipped.
fn read(
    protocol: Protocol,
    stream: &[u8],
    hole: (usize, usize),
    random: &mut Random,
) -> (usize, usize, u64) {
    let (mut connection, mut sessions) = (Connection::new(protocol), Sessions::default());
    connection.begin(Way::Back, true);
    let (mut packets, mut cut, mut skipped) = (0, 0, 0);
    let mut visit = |item: Item<'_>| match item {
        Item::Packet(_) => packets += 1,
        Item::Truncated => cut += 1,
        Item::Skipped(bytes) => skipped += bytes,
        Item::Malformed => panic!("nothing is garbled"),
    };
    let mut at = 0;
    while at < stream.len() {
        if at == hole.0 && hole.1 > at {
            connection.lose(Way::Back, &mut visit);
            at = hole.1;
            continue;
        }
        let end = (at + 1 + random.below(150) as usize).min(stream.len());
        let end = if at < hole.0 { end.min(hole.0) } else { end };
        connection.data(Way::Back, &stream[at..end], &mut sessions, &mut visit);
        at = end;
    }
    connection.lose(Way::Back, &mut visit);
    (packets, cut, skipped)
}

fn every_whole_message_is_read(protocol: Protocol, make: fn(&mut Random) -> Stream) {
    for seed in 0..STREAMS {
        let mut random = Random(seed);
        let Stream { bytes, ends } = make(&mut random);
        let all = read(protocol, &bytes, (0, 0), &mut random);
        assert_eq!(all, (ends.len(), 0, 0), "seed {seed}");
        let from = 1 + random.below(bytes.len() as u64 - 1) as usize;
        let to = (from + 1 + random.below(400) as usize).min(bytes.len());
        let before = ends.iter().filter(|&&end| end <= from).count();
        let starts = [0].iter().chain(&ends[..ends.len() - 1]);
        let after = starts.filter(|&&start| start >= to).count();
        let (packets, cut, skipped) = read(protocol, &bytes, (from, to), &mut random);
        assert_eq!(packets, before + after, "seed {seed}, hole {from} to {to}");
        let in_step = before.checked_sub(1).map_or(0, |at| ends[at]);
        assert_eq!(cut, usize::from(from > in_step), "seed {seed}");
        let next = ends.iter().find(|&&end| end >= to).map_or(to, |&end| end);
        let next = if ends.contains(&to) { to } else { next };
        assert_eq!(skipped, (next - to) as u64, "seed {seed}");
    }
}

#[test]
fn every_whole_message_of_fix_is_read() {
    every_whole_message_is_read(Protocol::Fix, fix);
}

#[test]
fn every_whole_packet_of_soupbintcp_is_read() {
    every_whole_message_is_read(Protocol::Ouch50, soup);
}
