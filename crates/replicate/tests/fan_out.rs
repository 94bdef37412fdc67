//! Both fan-outs deliver the same payloads and count alike: one body of tests over both.

mod common;

use common::*;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;
use tickwire_capture::PortError;
use tickwire_engine::Job;
use tickwire_frame::{Ledger, LinkType, Reason};
use tickwire_replicate::{Counts, Feed, FrameFanOut, Subscriber, Table};

const LISTEN: &str = "239.1.1.1:5000";
const SENDER: &str = "10.0.0.9:4000";

/// What differs between the two.
struct Way {
    name: &'static str,
    link: LinkType,
    job: fn(&Shared, &Table) -> Box<dyn Job>,
    /// From a copy as it arrived to its payload.
    payload: fn(&[u8]) -> &[u8],
}

const WAYS: [Way; 2] = [
    Way {
        name: "frames",
        link: LinkType::ETHERNET,
        job: |memory, table| Box::new(frames_to(memory, table)),
        payload,
    },
    Way {
        name: "datagrams",
        link: LinkType::RAW,
        job: |memory, table| Box::new(datagrams_to(memory, table)),
        payload: |bytes| bytes,
    },
];

impl Way {
    /// An Ethernet frame as the port of this way would give it.
    fn input(&self, frame: Vec<u8>) -> Vec<u8> {
        if self.link == LinkType::RAW { frame[14..].to_vec() } else { frame }
    }

    fn datagram(&self, to: &str, payload: &[u8]) -> Vec<u8> {
        self.input(frame(None, address(SENDER), address(to), payload))
    }

    fn arrived(&self, memory: &Shared, at: SocketAddr) -> Vec<Vec<u8>> {
        let memory = memory.lock().unwrap();
        let copies = memory.copies.get(&at).into_iter().flatten();
        copies.map(|copy| (self.payload)(copy).to_vec()).collect()
    }
}

fn counts(table: &Table, at: &str) -> Counts {
    let found = table.list("feed").unwrap();
    found.into_iter().find(|listed| listed.subscriber.address == address(at)).unwrap().counts
}

fn numbered(range: std::ops::Range<u32>) -> Vec<Vec<u8>> {
    range.map(|number| number.to_be_bytes().to_vec()).collect()
}

#[test]
fn everybody_gets_what_he_wants_and_all_is_counted() {
    for way in WAYS {
        let odd = Subscriber { filter: Some("udp[11] & 1 = 1".into()), ..subscriber("10.0.0.2:2") };
        let all = [subscriber("10.0.0.1:1"), odd, subscriber("[2001:db8::3]:3")];
        let table = table(LISTEN, &all, way.link);
        let memory = Shared::default();
        let mut job = (way.job)(&memory, &table);

        let mut frames: Vec<_> =
            numbered(0..300).iter().map(|payload| way.datagram(LISTEN, payload)).collect();
        frames.push(way.datagram("239.1.1.1:5001", b"another port"));
        frames.push(way.datagram("239.1.1.2:5000", b"another group"));
        let mut fragment = way.datagram(LISTEN, b"a fragment");
        let ip = if way.link == LinkType::RAW { 0 } else { 14 };
        fragment[ip + 6] |= 0x20;
        frames.push(fragment.clone());
        fragment[ip + 19] = 99;
        frames.push(fragment);
        let mut beyond = way.datagram(LISTEN, b"a length beyond the packet");
        beyond[ip + 24] = 1;
        frames.push(beyond);
        frames.push(way.datagram(LISTEN, b"cut within the UDP header")[..ip + 26].to_vec());
        let ledger = run(&mut *job, way.link, &frames);

        let name = way.name;
        assert_eq!((ledger.received, ledger.delivered), (306, 300), "{name}");
        assert_eq!(ledger.discarded[Reason::NotSelected], 3, "{name}: port, group, fragment");
        assert_eq!(ledger.discarded[Reason::Fragment], 1, "{name}");
        assert_eq!(ledger.discarded[Reason::UdpLengthBeyondPacket], 1, "{name}");
        assert_eq!(ledger.malformed.total(), 2, "{name}");

        assert_eq!(way.arrived(&memory, all[0].address), numbered(0..300), "{name}");
        assert_eq!(way.arrived(&memory, all[2].address), numbered(0..300), "{name}");
        let odd: Vec<_> = numbered(0..300).into_iter().filter(|n| n[3] & 1 == 1).collect();
        assert_eq!(way.arrived(&memory, all[1].address), odd, "{name}");

        let all = counts(&table, "10.0.0.1:1");
        assert_eq!((all.copied, all.bytes, all.offered()), (300, 1200, 300), "{name}");
        let odd = counts(&table, "10.0.0.2:2");
        assert_eq!((odd.copied, odd.offered()), (150, 300), "{name}");
        assert_eq!(odd.discarded[Reason::NotSelected], 150, "{name}");
        let (_, feed) = table.feeds().next().unwrap();
        assert_eq!((feed.copied, feed.bytes, feed.offered()), (300, 1200, 301), "{name}");
    }
}

#[test]
fn what_is_lost_on_the_way_is_no_copy() {
    for way in WAYS {
        let all: Vec<_> = (1..=5).map(|n| subscriber(&format!("10.0.0.{n}:7"))).collect();
        let table = table(LISTEN, &all, way.link);
        let memory = Shared::default();
        memory.lock().unwrap().lose = Some((7, Reason::TxRefused));
        let mut job = (way.job)(&memory, &table);
        let long = way.datagram(LISTEN, &[1; 1473]);
        // Alone, because the others of its batch would go with it.
        run(&mut *job, way.link, &[long]);
        let frames = numbered(0..1000);
        let frames: Vec<_> = frames.iter().map(|one| way.datagram(LISTEN, one)).collect();
        run(&mut *job, way.link, &frames);
        let mut lost = 0;
        for listed in table.list("feed").unwrap() {
            let Counts { copied, discarded, .. } = &listed.counts;
            assert_eq!(listed.counts.offered(), 1001, "{}", way.name);
            assert_eq!(discarded[Reason::TooLong], 1, "{}", way.name);
            let arrived = way.arrived(&memory, listed.subscriber.address).len() as u64;
            assert_eq!(arrived, *copied, "{}", way.name);
            lost += discarded[Reason::TxRefused];
        }
        assert_eq!(lost, 5000 / 7, "{}", way.name);
    }
}

#[test]
fn changes_take_effect_with_the_next_batch_and_cost_the_others_nothing() {
    for way in WAYS {
        let steady = subscriber("10.0.0.1:1");
        let mut table = table(LISTEN, std::slice::from_ref(&steady), way.link);
        let memory = Shared::default();
        let mut job = (way.job)(&memory, &table);
        let now = Instant::now();
        for round in 0..100u32 {
            let guest = subscriber(&format!("10.0.1.{}:9", round % 10));
            table.add("feed", guest.clone(), now).unwrap();
            table.update_paths(reachable);
            let frames: Vec<_> = numbered(round * 10..round * 10 + 10)
                .iter()
                .map(|payload| way.datagram(LISTEN, payload))
                .collect();
            run(&mut *job, way.link, &frames);
            assert_eq!(counts(&table, &guest.address.to_string()).copied, 10);
            // Other settings, same account.
            table.add("feed", Subscriber { ttl: 9, ..guest.clone() }, now).unwrap();
            run(&mut *job, way.link, &frames[..1]);
            let removed = table.remove("feed", guest.address).unwrap();
            assert_eq!(removed.counts.copied, 11, "{}", way.name);
            run(&mut *job, way.link, &frames[..1]);
        }
        assert_eq!(counts(&table, "10.0.0.1:1").copied, 1200, "{}", way.name);
        assert_eq!(way.arrived(&memory, steady.address).len(), 1200, "{}", way.name);
        let guests: usize =
            (0..10).map(|n| way.arrived(&memory, address(&format!("10.0.1.{n}:9"))).len()).sum();
        assert_eq!(guests, 1100, "{}", way.name);
    }
}

#[test]
fn feeds_are_kept_apart() {
    for way in WAYS {
        let mut table = Table::new(1, way.link);
        let sources = ["10.0.0.9", "10.0.0.10"];
        for (n, source) in sources.iter().enumerate() {
            let feed = Feed::new(format!("from-{n}"), address(LISTEN));
            let source = Some(source.parse().unwrap());
            let filter = (n == 1).then(|| "udp[8] = 0".to_owned());
            table.add_feed(Feed { source, filter, ..feed }).unwrap();
            let to = subscriber(&format!("10.1.0.{n}:1"));
            table.add(&format!("from-{n}"), to, Instant::now()).unwrap();
        }
        table.update_paths(reachable);
        let memory = Shared::default();
        let mut job = (way.job)(&memory, &table);
        let from = |n: usize, payload: &[u8]| {
            let sender = format!("10.0.0.{}:4000", 9 + n);
            way.input(frame(None, address(&sender), address(LISTEN), payload))
        };
        let frames = [from(0, b"\x01"), from(1, b"\x00"), from(1, b"\x01"), from(2, b"\x00")];
        let ledger = run(&mut *job, way.link, &frames);
        assert_eq!((ledger.delivered, ledger.discarded[Reason::NotSelected]), (2, 2));
        assert_eq!(way.arrived(&memory, address("10.1.0.0:1")), [b"\x01"]);
        assert_eq!(way.arrived(&memory, address("10.1.0.1:1")), [b"\x00"]);
        let (_, second) = table.feeds().nth(1).unwrap();
        assert_eq!((second.copied, second.discarded[Reason::NotSelected]), (1, 1));
    }
}

#[test]
fn kicks_come_when_a_call_is_full_and_at_the_end() {
    let way = &WAYS[0];
    let all: Vec<_> = (1..=64).map(|n| subscriber(&format!("10.0.0.{n}:7"))).collect();
    let table = table(LISTEN, &all, way.link);
    let memory = Shared::default();
    let mut job = frames_to(&memory, &table);
    run(&mut job, way.link, &[way.datagram(LISTEN, b"one")]);
    assert_eq!(memory.lock().unwrap().kicks, 3, "32, 32, and nothing at the end");
    run(&mut job, way.link, &vec![way.datagram(LISTEN, b"many"); 64]);
    assert_eq!(memory.lock().unwrap().kicks, 3 + 64 + 1, "those for one subscriber at a time");
    for to in &all {
        assert_eq!(way.arrived(&memory, to.address).len(), 65);
    }
    run(&mut job, way.link, &[way.datagram("10.9.9.9:9", b"not ours")]);
    assert_eq!(memory.lock().unwrap().kicks, 68, "nothing to send, no kick");
}

#[test]
fn who_cannot_be_reached_is_counted() {
    let way = &WAYS[0];
    let all: Vec<_> = (1..=3).map(|n| subscriber(&format!("10.0.0.{n}:7"))).collect();
    let mut table = table(LISTEN, &all, way.link);
    let path = |_: &Feed, to: &Subscriber| match to.address.to_string().as_str() {
        "10.0.0.1:7" => Err(Reason::NoRoute),
        "10.0.0.2:7" => Err(Reason::LinkDown),
        _ => Ok(hop(to)),
    };
    assert_eq!(table.update_paths(path), 2);
    let memory = Shared::default();
    let mut job = frames_to(&memory, &table);
    run(&mut job, way.link, &vec![way.datagram(LISTEN, b"x"); 10]);
    assert_eq!(counts(&table, "10.0.0.1:7").discarded[Reason::NoRoute], 10);
    assert_eq!(counts(&table, "10.0.0.2:7").discarded[Reason::LinkDown], 10);
    assert_eq!(counts(&table, "10.0.0.3:7").copied, 10);
    table.update_paths(reachable);
    run(&mut job, way.link, &vec![way.datagram(LISTEN, b"x"); 10]);
    for to in &all {
        assert_eq!(counts(&table, &to.address.to_string()).offered(), 20);
        assert_eq!(way.arrived(&memory, to.address).len() as u64 % 10, 0);
    }
    assert_eq!(counts(&table, "10.0.0.2:7").copied, 10);
}

/// What stands in a socket of memory is the payload alone.
fn by_socket(memory: &Shared, to: &Subscriber) -> Vec<Vec<u8>> {
    memory.lock().unwrap().copies.remove(&to.address).unwrap_or_default()
}

#[test]
fn whom_frames_do_not_reach_gets_its_copies_through_a_socket() {
    let way = &WAYS[0];
    let [local, elsewhere, near] = ["10.0.0.1:7", "10.0.0.2:7", "10.0.0.3:7"].map(subscriber);
    let mut table = table(LISTEN, &[local.clone(), elsewhere.clone(), near.clone()], way.link);
    table.update_paths(|_, to| match to.address.to_string().as_str() {
        "10.0.0.1:7" => Err(Reason::NoEgress),
        "10.0.0.2:7" => Ok(tickwire_replicate::Hop { ifindex: 8, ..hop(to) }),
        _ => Ok(hop(to)),
    });
    let memory = Shared::default();
    let (sender, ways) = std::sync::mpsc::channel();
    let (on_error, sockets) = (|error: PortError| panic!("{error}"), sockets(&memory));
    sender.send(MemoryTransmitter::new(&memory, 100)).unwrap();
    let mut job = FrameFanOut::new(table.view(), 0, None, ways, sockets, on_error);
    assert_eq!(memory.lock().unwrap().opened, 0, "nobody has asked for one");
    let mut damaged = way.datagram(LISTEN, b"damaged");
    *damaged.last_mut().unwrap() ^= 1;
    let frames = [way.datagram(LISTEN, b"one"), damaged, way.datagram(LISTEN, b"two")];
    run(&mut job, way.link, &frames);
    for to in [&local, &elsewhere] {
        assert_eq!(by_socket(&memory, to), [b"one", b"two"]);
        let counts = counts(&table, &to.address.to_string());
        assert_eq!((counts.copied, counts.offered()), (2, 3));
        assert_eq!(counts.discarded[Reason::UdpBadChecksum], 1, "no right one for damaged bytes");
    }
    assert_eq!(counts(&table, "10.0.0.3:7").copied, 3);

    // A way there is opened while it runs, and taken over with the next change of the table.
    let another = MemoryTransmitter { ifindex: 8, ..MemoryTransmitter::new(&memory, 100) };
    sender.send(another).unwrap();
    table.add("feed", subscriber("10.0.0.4:7"), Instant::now()).unwrap();
    run(&mut job, way.link, &frames);
    assert_eq!(by_socket(&memory, &local), [b"one", b"two"]);
    assert_eq!(way.arrived(&memory, elsewhere.address), [&b"one"[..], b"damagee", b"two"]);
    assert_eq!(memory.lock().unwrap().opened, 2);
}

#[test]
fn what_is_too_long_for_a_frame_goes_through_a_socket_in_order() {
    let way = &WAYS[0];
    let wide = subscriber("10.0.0.1:7");
    let narrow = subscriber("10.0.0.2:7");
    let keep = tickwire_replicate::SourceAddress::Keep;
    let kept = Subscriber { source: keep, ..subscriber("10.0.0.3:7") };
    let mut table = table(LISTEN, &[wide.clone(), narrow.clone(), kept.clone()], way.link);
    // With headers of 28 bytes, 8 bytes fit into frames.
    table.update_paths(|_, to| {
        let mtu = if to.address == wide.address { MTU } else { 36 };
        Ok(tickwire_replicate::Hop { mtu, ..hop(to) })
    });
    let memory = Shared::default();
    let mut job = frames_to(&memory, &table);
    let all = [&b"12345678"[..], b"123456789", b"1"];
    run(&mut job, way.link, &all.map(|payload| way.datagram(LISTEN, payload)));
    assert_eq!(way.arrived(&memory, wide.address), all);
    assert_eq!(by_socket(&memory, &narrow), all, "none overtakes another");
    assert_eq!(way.arrived(&memory, kept.address), [all[0], all[2]], "sockets cannot keep it");
    assert_eq!(counts(&table, "10.0.0.3:7").discarded[Reason::TooLong], 1);
    run(&mut job, way.link, &[way.datagram(LISTEN, b"short")]);
    assert_eq!(way.arrived(&memory, narrow.address), [b"short"], "in a frame");
    assert_eq!(memory.lock().unwrap().opened, 1);
}

#[test]
fn a_transmitter_that_fails_is_reported_once_and_harms_no_other() {
    let way = &WAYS[0];
    let all = [subscriber("10.0.0.1:7"), subscriber("10.0.0.2:7")];
    let mut table = table(LISTEN, &all, way.link);
    table.update_paths(|_, to| {
        let ifindex = if to.address == all[0].address { 8 } else { IFINDEX };
        Ok(tickwire_replicate::Hop { ifindex, ..hop(to) })
    });
    let memory = Shared::default();
    let broken =
        MemoryTransmitter { ifindex: 8, fails: true, ..MemoryTransmitter::new(&memory, 100) };
    let works = MemoryTransmitter::new(&memory, 100);
    let errors = Arc::new(std::sync::Mutex::new(Vec::new()));
    let heard = Arc::clone(&errors);
    let on_error = move |error: PortError| heard.lock().unwrap().push(error.to_string());
    let (ways, sockets) = (given([broken, works]), sockets(&memory));
    let mut job = FrameFanOut::new(table.view(), 0, None, ways, sockets, on_error);
    for _ in 0..3 {
        run(&mut job, way.link, &[way.datagram(LISTEN, b"x")]);
    }
    job.tick(&mut Ledger::default());
    assert_eq!(*errors.lock().unwrap(), ["the card is gone"]);
    let first = counts(&table, "10.0.0.1:7");
    assert_eq!((first.copied, first.discarded[Reason::TxUnfinished]), (2, 1));
    assert_eq!(by_socket(&memory, &all[0]).len(), 2, "sockets take its place");
    assert_eq!(counts(&table, "10.0.0.2:7").copied, 3);
}

/// What the kernel says of links, as many times as it is asked; the last answer stays.
fn answers(all: &[bool]) -> tickwire_replicate::Passes {
    let mut left = all.to_vec();
    Box::new(move |ifindex| {
        assert_eq!(ifindex, IFINDEX);
        if left.len() > 1 { left.remove(0) } else { left[0] }
    })
}

#[test]
fn sockets_get_nothing_for_a_link_that_is_down() {
    use tickwire_replicate::DatagramFanOut;
    let way = &WAYS[1];
    let (far, local) = (subscriber("10.0.0.1:7"), subscriber("10.0.0.2:7"));
    let mut table = table(LISTEN, &[far.clone(), local.clone()], way.link);
    table.update_paths(|_, to| match to.address == local.address {
        true => Err(Reason::NoEgress),
        false => Ok(hop(to)),
    });
    let (memory, passes) = (
        Shared::default(),
        [
            true, // When it is opened.
            true, true, // Before and after the first batch.
            true, false, // It goes down in the second: that counts as lost,
            // and nobody asks for the third.
            false, // A tick;
            true,  // another one, which sees it up.
            false, // It is down before the fourth, which is not sent,
            true,  // and up with the next tick.
        ],
    );
    let to = Arc::clone(&memory);
    let open = move |_: &Feed, subscriber: &Subscriber| Ok(MemorySender::to(&to, subscriber));
    let mut job = DatagramFanOut::new(
        table.view(),
        0,
        None,
        address(LISTEN),
        Box::new(open),
        answers(&passes),
    );
    let two = [way.datagram(LISTEN, b"x"), way.datagram(LISTEN, b"y")];
    let mut ledger = Ledger::default();
    let mut seen = Vec::new();
    for ticks in [0, 0, 0, 2, 1] {
        (0..ticks).for_each(|_| job.tick(&mut ledger));
        run(&mut job, way.link, &two);
        let far = counts(&table, "10.0.0.1:7");
        assert_eq!(far.discarded.total(), far.discarded[Reason::LinkDown]);
        seen.push((far.copied, far.offered(), way.arrived(&memory, address("10.0.0.1:7")).len()));
    }
    // What was sent when the link went has arrived, in this case.
    assert_eq!(seen, [(2, 2, 2), (2, 4, 4), (2, 6, 4), (2, 8, 4), (4, 10, 6)]);
    assert_eq!(counts(&table, "10.0.0.2:7").copied, 10, "no link is known of it");
}

#[test]
fn sockets_get_nothing_for_a_neighbour_that_does_not_answer() {
    let way = &WAYS[1];
    let all = [subscriber("10.0.0.1:7"), subscriber("10.0.0.2:7")];
    let mut table = table(LISTEN, &all, way.link);
    let memory = Shared::default();
    let mut job = datagrams_to(&memory, &table);
    for reason in [Reason::NoNeighbour, Reason::NoRoute, Reason::LinkDown] {
        table.update_paths(|_, to| if *to == all[0] { Err(reason) } else { Ok(hop(to)) });
        run(&mut job, way.link, &[way.datagram(LISTEN, b"x")]);
        assert_eq!(counts(&table, "10.0.0.1:7").discarded[reason], 1);
    }
    assert!(way.arrived(&memory, all[0].address).is_empty());
    assert_eq!(way.arrived(&memory, all[1].address).len(), 3);
    table.update_paths(reachable);
    run(&mut job, way.link, &[way.datagram(LISTEN, b"x")]);
    assert_eq!(way.arrived(&memory, all[0].address).len(), 1);
}

/// Every feed has a worker: were each to open senders for all, there would be feeds times too many.
#[test]
fn senders_are_opened_for_the_feed_of_the_worker_alone() {
    let way = &WAYS[1];
    let mut table = table(LISTEN, &[subscriber("10.0.0.1:7")], way.link);
    table.add_feed(Feed::new("other", address("239.1.1.2:5000"))).unwrap();
    let memory = Shared::default();
    let mut job = datagrams_to(&memory, &table);
    for n in 2..=40 {
        let one = subscriber(&format!("10.0.0.{n}:7"));
        table.add_with_path("other", one.clone(), Ok(hop(&one)), Instant::now()).unwrap();
        job.tick(&mut Ledger::default());
    }
    run(&mut job, way.link, &[way.datagram(LISTEN, b"x"), way.datagram("239.1.1.2:5000", b"y")]);
    assert_eq!(memory.lock().unwrap().opened, 1);
    assert_eq!(counts(&table, "10.0.0.1:7").copied, 1);
    let others = table.list("other").unwrap();
    assert!(others.iter().all(|one| one.counts.discarded[Reason::NoEgress] == 1));
    assert_eq!(others.len(), 39);
}

#[test]
fn senders_stay_open_over_changes_of_others() {
    let way = &WAYS[1];
    let all: Vec<_> = (1..=20).map(|n| subscriber(&format!("10.0.0.{n}:7"))).collect();
    let mut table = table(LISTEN, &all, way.link);
    let memory = Shared::default();
    let mut job = datagrams_to(&memory, &table);
    let opened = || memory.lock().unwrap().opened;
    assert_eq!(opened(), 20);
    table.remove("feed", all[3].address).unwrap();
    table.add("feed", subscriber("10.0.1.1:7"), Instant::now()).unwrap();
    table.add("feed", Subscriber { ttl: 3, ..all[5].clone() }, Instant::now()).unwrap();
    table.update_paths(reachable);
    run(&mut job, way.link, &[way.datagram(LISTEN, b"x")]);
    assert_eq!(opened(), 22, "the new one, and the one with another TTL");
    for listed in table.list("feed").unwrap() {
        assert_eq!(listed.counts.copied, 1);
    }
}

#[test]
fn senders_that_cannot_be_opened_are_tried_again_a_few_at_a_time() {
    use tickwire_replicate::{DatagramFanOut, OPENINGS_PER_TICK_MAX};
    let way = &WAYS[1];
    let all: Vec<_> = (1..=50).map(|n| subscriber(&format!("10.0.0.{n}:7"))).collect();
    let table = table(LISTEN, &all, way.link);
    let memory = Shared::default();
    // All but the last two fail for ever; those at their first try only.
    let tries = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let (count, to) = (Arc::clone(&tries), Arc::clone(&memory));
    let open = move |feed: &Feed, subscriber: &Subscriber| {
        let tried = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        match subscriber.address.to_string().as_str() {
            "10.0.0.49:7" | "10.0.0.50:7" if tried >= 50 => Ok(MemorySender::to(&to, subscriber)),
            _ => {
                assert_eq!(feed.name, "feed");
                Err(Reason::TxRefused)
            }
        }
    };
    let passes = Box::new(|_| true);
    let mut job =
        DatagramFanOut::new(table.view(), 0, None, address(LISTEN), Box::new(open), passes);
    for tick in 1..=8 {
        job.tick(&mut Ledger::default());
        let tried = tries.load(std::sync::atomic::Ordering::Relaxed) - 50;
        assert!(tried <= tick * OPENINGS_PER_TICK_MAX);
    }
    run(&mut job, way.link, &[way.datagram(LISTEN, b"x")]);
    assert_eq!(counts(&table, "10.0.0.1:7").discarded[Reason::TxRefused], 1);
    assert_eq!(counts(&table, "10.0.0.49:7").copied, 1);
    assert_eq!(counts(&table, "10.0.0.50:7").copied, 1);
}
