//! Lines merged before the fan-out: each message to each subscriber once, whichever way.

mod common;
#[path = "../../frame/tests/counting/mod.rs"]
mod counting;

use common::*;
use counting::allocations;
use std::time::{Duration, Instant};
use tickwire_engine::Job;
use tickwire_frame::{Batch, Frame, Ledger, LinkType, Reason, Timestamp};
use tickwire_market::itch50::OrderDeleteBuilder;
use tickwire_market::moldudp64::{Packet, PacketBuilder, Session};
use tickwire_replicate::{Datagram, DatagramFanOut, Feed, Subscriber, Table, TableError};

const LINES: [&str; 3] = ["239.1.1.1:5000", "239.1.1.2:5000", "239.1.1.3:5001"];
const HOLD: Duration = Duration::from_millis(1);
const ONE: &str = "10.0.0.1:1";

/// Feeds `feed`, `b` and `c`; the first two are lines of one.
fn merged_table(link: LinkType, subscribers: &[Subscriber]) -> Table {
    let mut table = Table::new(1, link);
    for (name, listen) in ["feed", "b", "c"].into_iter().zip(LINES) {
        table.add_feed(Feed::new(name, address(listen))).unwrap();
    }
    table.merge(&["feed".into(), "b".into()], None, HOLD).unwrap();
    for subscriber in subscribers {
        table.add("feed", subscriber.clone(), Instant::now()).unwrap();
    }
    table.update_paths(reachable);
    table
}

/// A frame of `line` with the messages from `first` on, `count` of them.
fn packet(link: LinkType, line: usize, first: u64, count: usize) -> Vec<u8> {
    let mut buffer = [0; 1400];
    let session = Session::new("LINES").unwrap();
    let mut packet = PacketBuilder::new(&mut buffer, session, first).unwrap();
    for _ in 0..count {
        packet.push(OrderDeleteBuilder::new().as_bytes()).unwrap();
    }
    let bytes = frame(None, address("10.0.0.9:4000"), address(LINES[line]), packet.finish());
    if link == LinkType::RAW { bytes[14..].to_vec() } else { bytes }
}

fn offered(table: &Table) -> Vec<(u64, u64)> {
    table.feeds().map(|(_, counts)| (counts.copied, counts.offered())).collect()
}

#[test]
fn each_message_is_copied_once_in_the_order_of_arrival() {
    for link in [LinkType::ETHERNET, LinkType::RAW] {
        let all = [subscriber(ONE), subscriber("[2001:db8::3]:3")];
        let table = merged_table(link, &all);
        let memory = Shared::default();
        let mut job: Box<dyn Job> = match link {
            LinkType::RAW => Box::new(datagrams_to(&memory, &table)),
            _ => Box::new(frames_to(&memory, &table)),
        };
        // Line, first message, count: b is faster with 3, brings 6 alone, and both lose 9.
        let order = [(0, 1, 2), (1, 1, 2), (1, 3, 3), (0, 3, 3), (1, 6, 3), (0, 10, 1), (2, 1, 1)];
        let mut frames: Vec<_> = (order.into_iter())
            .map(|(line, first, count)| packet(link, line, first, count))
            .collect();
        // As a wire does it: it must not win against the good one.
        let last = frames[5].len() - 1;
        let mut damaged = frames[5].clone();
        damaged[last] ^= 1;
        frames.insert(5, damaged);
        let ledger = run(&mut *job, link, &frames);
        assert_eq!((ledger.received, ledger.delivered), (8, 5), "{link}");
        assert_eq!(ledger.discarded[Reason::DuplicateLine], 2, "{link}");
        assert_eq!(ledger.discarded[Reason::UdpBadChecksum], 1, "{link}");
        assert_eq!(ledger.malformed[Reason::UdpBadChecksum], 1, "{link}");
        let memory = memory.lock().unwrap();
        for one in &all {
            let copies = memory.copies[&one.address].iter();
            let payloads =
                copies.map(|copy| if link == LinkType::RAW { copy } else { payload(copy) });
            let firsts: Vec<u64> =
                payloads.map(|payload| Packet::parse(payload).unwrap().sequence_number()).collect();
            assert_eq!(firsts, [1, 3, 6, 10], "{link}");
        }
        assert_eq!(offered(&table), [(2, 4), (2, 3), (1, 1)], "{link}");
        let merged = table.merged();
        let lines: Vec<_> = (merged[0].lines.iter())
            .map(|line| (line.feed.as_str(), line.first, line.duplicates))
            .collect();
        assert_eq!(lines, [("feed", 3, 3), ("b", 6, 2)], "{link}");
        assert_eq!((merged.len(), merged[0].gaps, merged[0].missing), (1, 1, 1), "{link}");
    }
}

/// First message and count of each copy for `one`, whose checksum is right.
fn copied(memory: &Shared, link: LinkType, one: &str) -> Vec<(u64, u16)> {
    let memory = memory.lock().unwrap();
    let messages = |copy: &Vec<u8>| {
        let payload = if link == LinkType::RAW { copy } else { payload(copy) };
        if link != LinkType::RAW {
            let datagram = Datagram::parse(link, &Frame::new(copy, Timestamp::ZERO)).unwrap();
            assert!(datagram.checksum != 0 && datagram.is_intact(copy));
        }
        let packet = Packet::parse(payload).unwrap();
        assert!(packet.messages().all(|message| message.is_ok()));
        (packet.sequence_number(), packet.message_count())
    };
    memory.copies[&address(one)].iter().map(messages).collect()
}

#[test]
fn of_a_datagram_that_is_partly_new_the_new_messages_are_copied() {
    for link in [LinkType::ETHERNET, LinkType::RAW] {
        let table = merged_table(link, &[subscriber(ONE)]);
        let memory = Shared::default();
        let mut job: Box<dyn Job> = match link {
            LinkType::RAW => Box::new(datagrams_to(&memory, &table)),
            _ => Box::new(frames_to(&memory, &table)),
        };
        // 6 comes first, then 3 to 7 without it and without 3: in two pieces.
        let order = [(0, 1, 3), (1, 3, 2), (0, 6, 1), (1, 3, 5), (0, 1, 7)];
        let frames: Vec<_> = (order.into_iter())
            .map(|(line, first, count)| packet(link, line, first, count))
            .collect();
        let ledger = run(&mut *job, link, &frames);
        assert_eq!((ledger.delivered, ledger.discarded[Reason::DuplicateLine]), (4, 1));
        assert_eq!(copied(&memory, link, ONE), [(1, 3), (4, 1), (6, 1), (5, 1), (7, 1)]);
        let merged = &table.merged()[0];
        assert_eq!((merged.cut, merged.partly_new, merged.missing), (2, 0, 0));
        // The feed had four datagrams, the subscriber got five, of as many bytes.
        let subscriber = &table.list("feed").unwrap()[0].counts;
        assert_eq!((subscriber.copied, subscriber.offered()), (5, 5));
        let feeds = table.feeds().map(|(_, counts)| (counts.copied, counts.bytes));
        let sum = feeds.fold((0, 0), |sum, feed| (sum.0 + feed.0, sum.1 + feed.1));
        assert_eq!(sum, (4, subscriber.bytes));
    }
}

#[test]
fn answers_are_copied_once_and_to_who_wants_them() {
    let link = LinkType::ETHERNET;
    let picky = Subscriber {
        filter: Some("udp dst port 5000 and moldudp64.sequence > 4".into()),
        ..subscriber("10.0.0.2:2")
    };
    let table = merged_table(link, &[subscriber(ONE), picky]);
    let (memory, recovered) = (Shared::default(), Shared::default());
    let mut lines = frames_to(&memory, &table);
    let feed = table.feeds().next().unwrap().0.clone();
    let (open, passes) = sockets(&recovered);
    let mut answers = DatagramFanOut::answers(table.view(), 0, &feed, open, passes);
    run(&mut lines, link, &[packet(link, 0, 1, 1), packet(link, 0, 10, 1), packet(link, 1, 10, 1)]);
    // Servers send to whom asked; the port writes that it is the feed.
    let all: Vec<_> = [(2, 3), (4, 4), (2, 3), (11, 2)]
        .map(|(first, count)| packet(link, 0, first, count))
        .into();
    let ledger = run(&mut answers, link, &all);
    assert_eq!((ledger.delivered, ledger.discarded[Reason::DuplicateLine]), (2, 2));
    assert_eq!(copied(&recovered, LinkType::RAW, ONE), [(2, 3), (5, 3)]);
    assert_eq!(copied(&recovered, LinkType::RAW, "10.0.0.2:2"), [(5, 3)]);
    let merged = &table.merged()[0];
    assert_eq!((merged.recovered, merged.missing, merged.cut), (6, 2, 1));
    // A line that brings them after all is late.
    let ledger = run(&mut lines, link, &[packet(link, 1, 2, 3)]);
    assert_eq!(ledger.discarded[Reason::DuplicateLine], 1);
    let counts = &table.list("feed").unwrap()[0].counts;
    assert_eq!((counts.copied, counts.offered()), (4, 4));
}

#[test]
fn lines_and_subscribers_that_do_not_fit_are_refused() {
    let mut table = merged_table(LinkType::ETHERNET, &[subscriber(ONE)]);
    let mut add = |feed: &str, to: &str| table.add(feed, subscriber(to), Instant::now());
    let invalid = |error: TableError| match error {
        TableError::Invalid(text) => text,
        other => panic!("{other}"),
    };
    let text = invalid(add("b", ONE).unwrap_err());
    assert!(text.contains("feed b is a line of feed feed; subscribe to feed"), "{text}");
    for listen in &LINES[..2] {
        let text = invalid(add("feed", listen).unwrap_err());
        assert!(text.contains("copied again"), "{text}");
    }
    add("c", ONE).unwrap();
    for (names, part) in [
        (&["c"][..], "2 to 3 lines can be merged, not 1"),
        (&["c", "c"], "feed c is merged already; name each line once"),
        (&["c", "b"], "feed b is merged already"),
    ] {
        let names: Vec<String> = names.iter().map(|&name| name.into()).collect();
        let text = invalid(table.merge(&names, None, HOLD).unwrap_err());
        assert!(text.contains(part), "{text}");
    }
    let unknown = table.merge(&["c".into(), "d".into()], None, HOLD);
    assert!(matches!(unknown, Err(TableError::UnknownFeed { .. })));
    // Without the first line, the other one is a feed that nobody subscribes to.
    table.remove_feed("feed").unwrap();
    assert_eq!(table.merged(), []);
}

#[test]
fn no_allocation_for_a_packet_of_lines() {
    let table = merged_table(LinkType::ETHERNET, &[subscriber(ONE)]);
    let memory = Shared::default();
    let mut job = datagrams_to(&memory, &table);
    let handle = |job: &mut dyn Job, frames: &[Vec<u8>]| {
        let mut batch = Batch::new();
        frames.iter().for_each(|bytes| batch.push(Frame::new(bytes, Timestamp::ZERO)));
        let (mut ledger, before) = (Ledger::default(), allocations());
        job.handle(&batch, batch.all(), &mut ledger);
        (ledger.delivered, allocations() - before)
    };
    let lines = |first: u64| {
        let pair = |n| [0, 1].map(|line| packet(LinkType::ETHERNET, line, first + n, 1));
        (0..32).flat_map(pair).collect::<Vec<_>>()
    };
    assert_eq!(handle(&mut job, &lines(70_000)).0, 32);
    assert_eq!(handle(&mut job, &lines(70_000)), (0, 0), "all is old");
    // Cut, and wanted by nobody: what a receiver in memory keeps does not count.
    let nobody = Subscriber { filter: Some("udp dst port 1".into()), ..subscriber(ONE) };
    let table = merged_table(LinkType::ETHERNET, &[nobody]);
    let mut job = frames_to(&memory, &table);
    let cut = |first: u64| {
        let pair = |n: u64| [(0, 2), (1, 3)].map(|(line, count)| (line, first + 3 * n, count));
        let packet = |(line, first, count)| packet(LinkType::ETHERNET, line, first, count);
        (0..32).flat_map(pair).map(packet).collect::<Vec<_>>()
    };
    handle(&mut job, &cut(1));
    assert_eq!(handle(&mut job, &cut(97)), (64, 0));
    assert_eq!(table.merged()[0].cut, 64);
}
