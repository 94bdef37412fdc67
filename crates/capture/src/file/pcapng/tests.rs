//! Files of every kind of block, and of every kind of damage.

use super::super::port::FilePort;
use super::super::testing::{Order, cut_everywhere, drain, read};
use super::*;
use crate::port::Port;
use std::io::Cursor;

fn simple(order: Order, wire_len: u32, bytes: &[u8]) -> Vec<u8> {
    order.block(SIMPLE_PACKET, &[&order.u32(wire_len), bytes].concat())
}

fn obsolete(order: Order, id: u16, drops: u16, ticks: u64, bytes: &[u8]) -> Vec<u8> {
    let mut body = [order.u16(id), order.u16(drops)].concat();
    let (high, low) = ((ticks >> 32) as u32, ticks as u32);
    body.extend(order.words(&[high, low, bytes.len() as u32, 60]));
    body.extend_from_slice(bytes);
    order.block(PACKET, &body)
}

#[test]
fn every_packet_block_in_both_orders() {
    for order in Order::BOTH {
        let file = [
            order.section(),
            order.interface(1, 0, &[order.option(9, &[9])]),
            order.enhanced(0, 0x1_0000_0005, 60, b"abcde", &[]),
            simple(order, 3, b"fgh"),
            obsolete(order, 0, 7, 9, b"ij"),
            obsolete(order, 0, u16::MAX, 9, b"k"),
        ]
        .concat();
        let mut port = FilePort::from_reader(Cursor::new(file), "t");
        let (packets, error) = drain(&mut port);
        assert_eq!(error, None);
        let bytes: Vec<&[u8]> = packets.iter().map(|p| p.bytes.as_slice()).collect();
        assert_eq!(bytes, [&b"abcde"[..], b"fgh", b"ij", b"k"]);
        let nanos: Vec<u64> = packets.iter().map(|p| p.nanos).collect();
        assert_eq!(nanos, [0x1_0000_0005, 0, 9, 9]);
        assert_eq!((packets[0].wire_len, packets[1].wire_len), (60, 3));
        assert_eq!(port.kernel_counters()[0].value, 7);
    }
}

#[test]
fn a_cut_at_every_byte_gives_the_whole_packets() {
    for order in Order::BOTH {
        let mut file = Vec::new();
        let (mut ends, mut clean) = (Vec::new(), Vec::new());
        let blocks = [
            (false, order.section()),
            (false, order.interface(1, 0, &[order.option(2, b"eth0")])),
            (true, order.enhanced(0, 1, 60, b"abcde", &[order.option(1, b"a comment")])),
            (false, order.block(0xbad, b"custom")),
            (true, simple(order, 3, b"fgh")),
            (true, obsolete(order, 0, 7, 9, b"")),
        ];
        for (is_packet, block) in blocks {
            file.extend(block);
            clean.push(file.len());
            if is_packet {
                ends.push(file.len());
            }
        }
        cut_everywhere(&file, &ends, &clean);
    }
}

#[test]
fn interfaces_and_sections() {
    let (a, b) = (Order::Little, Order::Big);
    let file = [
        a.section(),
        a.interface(1, 96, &[a.option(2, b"eth0"), a.option(11, b"\0tcp"), a.option(0, b"")]),
        a.interface(101, 4, &[a.option(9, &[3]), a.option(14, &a.u64(10))]),
        a.enhanced(1, 5, 60, b"abcd", &[]),
        a.enhanced(0, 6, 60, b"efghij", &[]),
        b.section(),
        b.interface(113, 0, &[b.option(9, &[0x80 | 1])]),
        b.enhanced(0, 3, 60, b"kl", &[]),
        simple(b, 2, b"mn"),
    ]
    .concat();
    let mut port = FilePort::from_reader(Cursor::new(file), "t");
    let (packets, error) = drain(&mut port);
    assert_eq!(error, None);
    let seen: Vec<_> = packets.iter().map(|p| (p.interface, p.link.0, p.nanos)).collect();
    let expected = [(1, 101, 10_005_000_000), (0, 1, 6_000), (2, 113, 1_500_000_000), (2, 113, 0)];
    assert_eq!(seen, expected);
    let interfaces = port.interfaces();
    assert_eq!((interfaces[0].name.as_str(), interfaces[0].filter.as_str()), ("eth0", "tcp"));
    assert_eq!((interfaces[0].snaplen, interfaces[2].snaplen), (96, 262_144));
}

#[test]
fn a_simple_packet_is_cut_to_the_snapshot_length() {
    let order = Order::Little;
    let file = [order.section(), order.interface(1, 4, &[]), simple(order, 60, b"abcd")].concat();
    let (packets, error) = read(&file);
    assert_eq!(error, None);
    assert_eq!((packets[0].bytes.as_slice(), packets[0].wire_len), (&b"abcd"[..], 60));
}

#[test]
fn options_of_packets_and_statistics() {
    let order = Order::Big;
    let options =
        [order.option(1, b"hello"), order.option(2, &order.u32(2)), order.option(4, &order.u64(5))];
    let counters = [order.option(4, &order.u64(100)), order.option(5, &order.u64(3))].concat();
    let statistics = [order.words(&[0, 0, 0]), counters].concat();
    let file = [
        order.section(),
        order.interface(1, 0, &[]),
        order.enhanced(0, 1, 60, b"abc", &options),
        order.enhanced(0, 2, 60, b"abc", &[order.u32(0x0001_ffff).to_vec()]),
        order.block(INTERFACE_STATISTICS, &statistics),
    ]
    .concat();
    let mut port = FilePort::from_reader(Cursor::new(file), "t");
    let (packets, error) = drain(&mut port);
    assert_eq!(error, None, "a broken option of a packet is no reason to lose it");
    assert_eq!((packets[0].flags, packets[1].flags), (Flags::OUTGOING, Flags::NONE));
    assert_eq!(port.statistics()[0].received, Some(100));
    let counters: Vec<_> = port.kernel_counters().into_iter().map(|c| (c.name, c.value)).collect();
    let expected = [("isb_ifrecv", 100), ("isb_ifdrop", 3), ("epb_dropcount", 5)];
    assert_eq!(counters, expected.map(|(name, value)| (name.to_owned(), value)));
}

/// Each kind of damage after one good packet, with a word of its message.
#[test]
fn damage_is_named() {
    let order = Order::Little;
    let good =
        [order.section(), order.interface(1, 64, &[]), order.enhanced(0, 1, 60, b"abc", &[])]
            .concat();
    let mut trailer = order.enhanced(0, 1, 60, b"abc", &[]);
    let last = trailer.len() - 1;
    trailer[last] = 1;
    let mut captured = order.enhanced(0, 1, 60, b"abc", &[]);
    captured[20] = 5;
    let cases = [
        (order.words(&[6, 8, 8]), "shorter than any block"),
        (order.words(&[6, 33, 8]), "not a multiple of 4"),
        (order.words(&[6, 0x7fff_fffc, 8]), "claims 2147483644 bytes"),
        (trailer, "by its end"),
        (captured, "captured bytes is in a block"),
        (order.enhanced(1, 1, 60, b"abc", &[]), "from interface 1"),
        (order.enhanced(0, 1, 60, &[0; 65], &[]), "its interface keeps 64"),
        (order.block(6, &[0; 4]), "too short"),
        // Found by fuzzing: as long as the header of the block, with its second length in it.
        (order.block(6, &[0; 16]), "too short"),
        (order.block(3, &[]), "too short"),
        (order.block(1, &[0; 4]), "too short"),
        (order.interface(1, 0, &[order.option(9, &[20])]), "if_tsresol"),
        (order.interface(1, 0, &[order.option(9, &[1, 2])]), "if_tsresol"),
        (order.interface(1, 0, &[order.option(9, &[6]), order.option(9, &[6])]), "twice"),
        (order.interface(1, 0, &[order.option(14, &[6])]), "if_tsoffset"),
        (order.interface(1, 0, &[order.u32(0x0001_ffff).to_vec()]), "beyond its block"),
        (order.interface(1, 0, &[order.option(0, &[6])]), "opt_endofopt"),
        (order.block(SECTION_HEADER, &[0; 16]), "byte-order magic"),
        (order.block(SECTION_HEADER, &order.words(&[BYTE_ORDER_MAGIC, 2, 0, 0])), "version 2.0"),
    ];
    for (damage, expected) in cases {
        let (packets, error) = read(&[good.clone(), damage].concat());
        assert_eq!(packets.len(), 1, "{expected}");
        let error = error.expect(expected);
        assert!(error.contains(expected), "{error}");
        let (_, cure) = error.split_once("the packet before it was read; ").expect("a cure");
        assert!(cure.len() > 20, "{error}");
    }
}

#[test]
fn a_packet_before_any_interface_is_damage() {
    let order = Order::Little;
    for packet in [order.enhanced(0, 1, 60, b"abc", &[]), simple(order, 3, b"abc")] {
        let (packets, error) = read(&[order.section(), packet].concat());
        assert!(packets.is_empty());
        assert!(error.expect("damage").contains("from interface 0"));
    }
}

#[test]
fn interfaces_are_limited() {
    let order = Order::Little;
    let one = order.interface(1, 0, &[]);
    let file = [order.section(), one.repeat(INTERFACES_MAX + 1)].concat();
    assert!(read(&file).1.expect("too many").contains("more than 65536 interfaces"));
}
