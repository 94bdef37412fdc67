//! The programs of mode `xdp` in the kernel, against the fan-out in user space: the same bytes, the
//! same counts. Needs CAP_BPF.

mod common;

use common::*;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Instant;
use tickwire_capture::PortError;
use tickwire_capture::bpf::{Map, MapKind, Program, Tables};
use tickwire_capture::routes::Vlan;
use tickwire_decode::checksum::Sum;
use tickwire_ebpf::XdpAction;
use tickwire_engine::Job;
use tickwire_frame::{Frame, Ledger, LinkType, Reason, Timestamp};
use tickwire_fuzz::mutate::Mutator;
use tickwire_fuzz::packets::Sample;
use tickwire_fuzz::random::Random;
use tickwire_lab::cpu;
use tickwire_replicate::xdp::{
    ACCOUNT_BYTES, Books, Counters, FRAME_BYTES_MAX, IngressFeed, KernelFilter, LIST_BYTES, counts,
    egress, ingress, stamp,
};
use tickwire_replicate::{
    Counts, Datagram, Feed, FrameFanOut, Hop, Open, SourceAddress, Subscriber, SubscriberEntry,
    Table, UdpChecksum,
};

const LISTEN: [&str; 2] = ["239.1.1.1:5000", "[ff15::1]:5000"];
const SENDERS: [&str; 2] = ["10.0.0.9:4000", "[2001:db8::9]:4000"];

/// Instructions that the verifier goes through, at most: a start waits a microsecond for each.
const VERIFIED_MAX: u32 = 10_000;
/// The same for each feed besides.
const VERIFIED_OF_FEED_MAX: u32 = 200;

/// An array for `feeds_or_subscribers` accounts.
fn counters(test: &str, accounts: u32) -> Option<Map> {
    match Map::create("tickwire_test", MapKind::PerCpuArray, 4, ACCOUNT_BYTES, accounts) {
        Ok(map) => Some(map),
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
            eprintln!("SKIPPED: {test}: loading an eBPF program needs CAP_BPF (run as root)");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn read(map: &Map, account: u32) -> Counts {
    counts(&map.words(account).unwrap())
}

fn place(map: &Map, account: u32) -> Counters {
    Counters { map: map.as_fd().as_raw_fd(), account }
}

/// A frame to feed `v6`, of a shape that a sender might choose.
fn random_frame(random: &mut Random, v6: bool) -> Vec<u8> {
    let len =
        *random.pick(&[0, 1, 2, 3, 17, 18, 19, 100, 1000, 1427, 1447, 1452, 1472, 1473, 1490]);
    let fill = *random.pick(&[0, 0xff, 1]);
    let mut payload = vec![fill; len];
    if random.below(4) > 0 {
        payload.fill_with(|| random.next_bits() as u8);
    }
    let mut from = address(SENDERS[usize::from(v6)]);
    from.set_port(1 + random.below(0xffff) as u16);
    let vlan = (random.below(2) == 0).then(|| 1 + random.below(4000) as u16);
    let mut bytes = frame(vlan, from, address(LISTEN[usize::from(v6)]), &payload);
    let mut ip = if vlan.is_some() { 18 } else { 14 };
    if vlan.is_some() && random.below(3) == 0 {
        // Another tag before the first.
        bytes.splice(12..12, [0x88, 0xa8, 0x20, 0x07]);
        ip += 4;
    }
    if !v6 && random.below(3) == 0 {
        let words = 1 + random.below(10);
        bytes.splice(ip + 20..ip + 20, vec![1; 4 * words]);
        bytes[ip] += words as u8;
        let total = u16::from_be_bytes([bytes[ip + 2], bytes[ip + 3]]) + 4 * words as u16;
        bytes[ip + 2..ip + 4].copy_from_slice(&total.to_be_bytes());
    }
    let checksum = bytes.len() - payload.len() - 2;
    match random.below(6) {
        0 => bytes[checksum..checksum + 2].fill(0),
        1 => bytes[checksum] ^= 0x5a,
        2 => bytes[checksum..checksum + 2].fill(0xff),
        _ => {}
    }
    if random.below(3) == 0 {
        bytes.extend(vec![0xaa; random.below(20)]);
    }
    bytes
}

/// A subscriber and its next hop, with whatever it may ask for.
fn random_subscriber(random: &mut Random, v6_feed: bool) -> (Subscriber, Hop) {
    let v6 = random.below(3) == 0;
    let to = if v6 { "[2001:db8::77]:6001" } else { "10.7.7.7:6001" };
    let keep = v6 == v6_feed && random.below(2) == 0;
    let checksums = [
        UdpChecksum::Update,
        UdpChecksum::Update,
        UdpChecksum::Compute,
        if v6 { UdpChecksum::ZeroOverIpv6 } else { UdpChecksum::Zero },
    ];
    let filters = ["udp", "udp[9] & 1 = 1", "greater 200", "vlan", "udp src portrange 1-20000"];
    let subscriber = Subscriber {
        source: if keep { SourceAddress::Keep } else { SourceAddress::Interface },
        ttl: 1 + random.below(255) as u8,
        dscp: random.below(64) as u8,
        udp_checksum: *random.pick(&checksums),
        filter: (random.below(2) == 0).then(|| random.pick(&filters).to_string()),
        ..subscriber(to)
    };
    let vlan =
        (random.below(2) == 0).then(|| Vlan { protocol: 0x8100, id: random.below(4095) as u16 });
    let hop = Hop { vlan, mtu: *random.pick(&[1500, 1400, 1280]), ..hop(&subscriber) };
    (subscriber, hop)
}

/// Takes what is on all lists: how many copies, of how many payload bytes in all. They are on the
/// account at the beginning.
fn take_copies(list: &Map) -> (u64, u64) {
    let value = list.lookup(&[0; 4]).unwrap().unwrap();
    list.clear(0).unwrap();
    let (mut copies, mut bytes) = (0, 0);
    for list in value.chunks(LIST_BYTES) {
        let (words, _) = list.as_chunks::<4>();
        let words: Vec<u32> = words.iter().map(|&word| u32::from_ne_bytes(word)).collect();
        for copy in words[2..].chunks(2).take(words[0] as usize) {
            assert_eq!(copy[0], 0, "the account");
            copies += 1;
            bytes += u64::from(copy[1]);
        }
    }
    (copies, bytes)
}

fn load(feed_v4: bool, entry: &SubscriberEntry, books: &Books) -> Program {
    let xdp = entry.filter.as_ref().map(|filter| filter.xdp().unwrap());
    let tables = xdp.as_ref().map(|xdp| Tables::of(xdp).unwrap().fds()).unwrap_or_default();
    let filter = xdp.as_ref().map(|xdp| KernelFilter { xdp, tables: &tables });
    let code = egress(feed_v4, entry, filter, books).unwrap();
    Program::load_xdp("tickwire_egress", &code).unwrap_or_else(|error| panic!("{error}"))
}

/// A fan-out that has no sockets for what is too long for a frame, as the kernel has none.
fn frames_alone(memory: &Shared, table: &Table) -> impl Job + use<> {
    let open: Open<MemorySender> = Box::new(|_: &_, _: &_| Err(Reason::TooLong));
    let ways = given([MemoryTransmitter::new(memory, 100)]);
    let on_error = |error: PortError| panic!("{error}");
    FrameFanOut::new(table.view(), 0, None, ways, (open, Box::new(|_| true)), on_error)
}

#[test]
fn egress_programs_make_the_same_copies_as_templates() {
    let Some(map) = counters("egress programs", 1) else { return };
    let list = Map::create("list", MapKind::PerCpuArray, 4, LIST_BYTES, 1).unwrap();
    let books = Books { counters: place(&map, 0), list: list.as_fd().as_raw_fd() };
    // Numbers have no gaps on a CPU.
    cpu::pin(cpu::cores()[0]).expect("a core of ours");
    let mut number = 0;
    let seed = 4;
    let mut random = Random::new(seed);
    for round in 0..120 {
        let v6 = round % 2 == 1;
        let (subscriber, hop) = random_subscriber(&mut random, v6);
        let mut table = table(LISTEN[usize::from(v6)], &[subscriber], LinkType::ETHERNET);
        table.update_paths(|_, _| if round % 20 == 19 { Err(Reason::NoRoute) } else { Ok(hop) });
        let memory = Shared::default();
        let mut job = frames_alone(&memory, &table);
        let entry = &table.view().snapshot().feeds[0].subscribers[0].clone();
        let program = load(!v6, entry, &books);
        let before = read(&map, 0);
        let mut skipped = 0;
        // As many as fit on a list.
        for nth in 0..32 {
            let original = random_frame(&mut random, v6);
            run(&mut job, LinkType::ETHERNET, std::slice::from_ref(&original));
            let expected = memory.lock().unwrap().copies.drain().flat_map(|(_, all)| all).next();
            let gap = if nth == 20 { random.below(1000) as u64 } else { 0 };
            number += 1 + gap;
            skipped += gap;
            let meta = stamp(7, number).to_ne_bytes();
            let got = program.test_run_with_meta(&meta, &original, 1).unwrap();
            let what = || format!("seed {seed}, round {round}: {:?}", entry.subscriber);
            match expected {
                Some(copy) => {
                    assert_eq!(got.verdict, XdpAction::Pass as u32, "{}", what());
                    assert_eq!(got.packet, copy, "{} of {original:02x?}", what());
                }
                None => assert_eq!(got.verdict, XdpAction::Drop as u32, "{}", what()),
            }
            // Who moves has two places for a moment: one copy of each datagram all the same.
            let again = program.test_run_with_meta(&meta, &original, 1).unwrap();
            assert_eq!(again.verdict, XdpAction::Drop as u32, "{}", what());
        }
        let (after, expected) = (read(&map, 0), table.list("feed").unwrap().remove(0).counts);
        assert_eq!(after.discarded[Reason::LinkDown] - before.discarded[Reason::LinkDown], skipped);
        assert_eq!(take_copies(&list), (expected.copied, expected.bytes));
        for (reason, count) in expected.discarded.nonzero() {
            assert_eq!(after.discarded[reason] - before.discarded[reason], count, "{reason}");
        }
    }
}

/// Feeds that differ in all that a feed may ask for.
fn feeds() -> Table {
    let mut table = Table::new(1, LinkType::ETHERNET);
    let feed = |name: &str, listen: &str| Feed::new(name, address(listen));
    let source = |text: &str| Some(text.parse().unwrap());
    for feed in [
        feed("plain", LISTEN[0]),
        feed("six", LISTEN[1]),
        Feed { vlan: Some(5), ..feed("vlan-5", "239.1.1.1:5001") },
        Feed {
            vlan: Some(6),
            filter: Some("vlan and udp[8] > 9".into()),
            ..feed("vlan-6", "239.1.1.1:5001")
        },
        Feed { source: source("10.0.0.9"), ..feed("from", "239.1.1.2:5000") },
        Feed { source: source("2001:db8::9"), ..feed("six-from", "[ff15::2]:5000") },
        Feed {
            filter: Some("udp src portrange 30000-65535".into()),
            ..feed("filter", "239.1.1.3:5000")
        },
    ] {
        table.add_feed(feed).unwrap();
    }
    for (feed, to) in [("plain", "10.0.0.1:1"), ("six", "10.0.0.1:2")] {
        table.add(feed, subscriber(to), Instant::now()).unwrap();
    }
    table
}

/// Frames for those feeds, and for nearly those.
fn samples() -> Vec<Sample> {
    let mut samples = Vec::new();
    for (to, from) in [
        ("239.1.1.1:5000", "10.0.0.9:4000"),
        ("239.1.1.1:5001", "10.0.0.9:4000"),
        ("239.1.1.2:5000", "10.0.0.9:4000"),
        ("239.1.1.2:5000", "10.0.0.8:4000"),
        ("239.1.1.3:5000", "10.0.0.9:40000"),
        ("239.1.1.3:5000", "10.0.0.9:4000"),
        ("239.1.1.4:5000", "10.0.0.9:4000"),
        ("[ff15::1]:5000", "[2001:db8::9]:4000"),
        ("[ff15::2]:5000", "[2001:db8::9]:4000"),
        ("[ff15::2]:5000", "[2001:db8::8]:4000"),
    ] {
        for vlan in [None, Some(5), Some(6)] {
            for payload in [&b"\x05five"[..], b"\x0aten", b""] {
                let bytes = frame(vlan, address(from), address(to), payload);
                samples.push(Sample { name: "feed", link: LinkType::ETHERNET, bytes });
            }
        }
    }
    samples
}

#[test]
fn the_ingress_program_finds_the_same_feeds() {
    let table = feeds();
    let snapshot = table.view().snapshot().clone();
    let accounts = snapshot.feeds.len() as u32;
    let Some(map) = counters("the ingress program", accounts) else { return };
    let devices = Map::create("devices", MapKind::DevMapHash, 4, 8, 4).unwrap();
    let xdp = |at: usize| snapshot.feeds[at].filter.as_ref().map(|filter| filter.xdp().unwrap());
    let filters: Vec<_> = (0..snapshot.feeds.len()).map(xdp).collect();
    let parts: Vec<IngressFeed<'_>> = snapshot
        .feeds
        .iter()
        .zip(&filters)
        .map(|(entry, xdp)| IngressFeed {
            feed: &entry.feed,
            filter: xdp.as_ref().map(|xdp| KernelFilter { xdp, tables: &[] }),
            devices: devices.as_fd().as_raw_fd(),
        })
        .collect();
    let code = ingress(map.as_fd().as_raw_fd(), &parts, FRAME_BYTES_MAX).unwrap();
    let program = Program::load_xdp("tickwire_in", &code).unwrap_or_else(|error| panic!("{error}"));

    let memory = Shared::default();
    let mut job = frames_to(&memory, &table);
    let unwanted =
        || -> u64 { table.feeds().map(|(_, counts)| counts.discarded[Reason::NotSelected]).sum() };
    let (mut total, mut mutator) = (Ledger::default(), Mutator::new(samples(), 1));
    for index in 0..30_000 {
        let packet = mutator.nth(1, index);
        // A test run wants an Ethernet header, and puts what is longer than a page in several
        // buffers.
        if packet.link != LinkType::ETHERNET || !(14..3000).contains(&packet.bytes.len()) {
            continue;
        }
        let bytes = packet.bytes.to_vec();
        let before = unwanted();
        let ledger = run(&mut job, LinkType::ETHERNET, std::slice::from_ref(&bytes));
        let got = program.test_run(&bytes, 1).unwrap().verdict;
        // What the filter of a feed does not want is not the host's either.
        let expected = match (ledger.delivered, unwanted()) {
            (1, _) => XdpAction::Redirect,
            (_, now) if now > before => XdpAction::Drop,
            _ => XdpAction::Pass,
        };
        assert_eq!(got, expected as u32, "packet {index}, {ledger:?}: {bytes:02x?}");
        total += &ledger;
    }
    let mut fragments = 0;
    for (at, (feed, expected)) in table.feeds().enumerate() {
        let mut counted = read(&map, at as u32);
        fragments += counted.discarded[Reason::Fragment];
        counted.discarded = counted
            .discarded
            .iter()
            .filter(|(reason, _)| *reason != Reason::Fragment)
            .fold(Default::default(), |mut sum: tickwire_frame::Counters, (reason, count)| {
                sum.add(reason, count);
                sum
            });
        assert_eq!(counted, expected, "{}", feed.name);
        assert!(expected.copied > 100, "{} is tried", feed.name);
    }
    assert_eq!(fragments, total.discarded[Reason::Fragment]);
    assert!(fragments > 10, "fragments are tried");
    for reason in [Reason::UdpLengthBeyondPacket, Reason::UdpBadLength, Reason::NotSelected] {
        assert!(total.discarded[reason] > 10, "{reason} is tried");
    }
}

/// The program of the feeds on [`LISTEN`], which count in `map`.
fn ingress_of_both(map: &Map) -> Program {
    let devices = Map::create("devices", MapKind::DevMapHash, 4, 8, 4).unwrap();
    let feeds = LISTEN.map(|listen| Feed::new(listen, address(listen)));
    let devices = devices.as_fd().as_raw_fd();
    let parts = feeds.each_ref().map(|feed| IngressFeed { feed, filter: None, devices });
    let code = ingress(map.as_fd().as_raw_fd(), &parts, FRAME_BYTES_MAX).unwrap();
    Program::load_xdp("tickwire_in", &code).unwrap_or_else(|error| panic!("{error}"))
}

fn parse(bytes: &[u8]) -> Datagram {
    Datagram::parse(LinkType::ETHERNET, &Frame::new(bytes, Timestamp::ZERO)).unwrap()
}

/// What Linux leaves as the checksum of a datagram for hardware to fill in.
fn pseudo_header(datagram: &Datagram) -> u16 {
    let ip = |address: IpAddr| match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let addresses = [ip(datagram.source.ip()), ip(datagram.destination.ip())].concat();
    let len = 8 + datagram.payload_len as u16;
    !Sum::default().over(&addresses).add_word(17).add_word(len).finish()
}

#[test]
fn checksums_that_were_left_to_hardware_are_filled_in() {
    let Some(map) = counters("checksums", 2) else { return };
    let program = ingress_of_both(&map);
    let broadcast = |bytes: &[u8]| {
        let got = program.test_run(bytes, 1).unwrap();
        assert_eq!(got.verdict, XdpAction::Redirect as u32, "{bytes:02x?}");
        // Behind the stamp.
        got.packet[8..].to_vec()
    };
    let mut random = Random::new(11);
    for round in 0..1_500 {
        let mut bytes = match round {
            0 => frame(None, address(SENDERS[0]), address(LISTEN[0]), &[0xfe; 3_400]),
            _ => random_frame(&mut random, round % 2 == 1),
        };
        assert_eq!(broadcast(&bytes), bytes, "round {round}: right, damaged, or none");
        let datagram = parse(&bytes);
        let payload = datagram.payload_at..datagram.payload_at + datagram.payload_len;
        let (field, udp) = (payload.start - 2..payload.start, payload.start - 8..payload.end);
        let partial = pseudo_header(&datagram);
        bytes[field.clone()].copy_from_slice(&partial.to_be_bytes());
        let mut right = bytes.clone();
        let checksum = match Sum::default().over(&bytes[udp.clone()]).finish() {
            0 => 0xffff,
            checksum => checksum,
        };
        right[field].copy_from_slice(&checksum.to_be_bytes());
        assert_eq!(broadcast(&bytes), right, "round {round}: left to hardware");
        // One right checksum of 65 536 looks the same.
        if datagram.payload_len >= 2 {
            let word = payload.start..payload.start + 2;
            bytes[word.clone()].fill(0);
            let missing = Sum::default().over(&bytes[udp]).add_word(partial).finish();
            bytes[word].copy_from_slice(&missing.to_be_bytes());
            assert_eq!(broadcast(&bytes), bytes, "round {round}: right");
        }
    }
}

#[test]
fn frames_in_several_buffers_go_to_the_host() {
    let Some(map) = counters("long frames", 2) else { return };
    let program = ingress_of_both(&map);
    for (len, verdict) in
        [(3400, XdpAction::Redirect), (3600, XdpAction::Pass), (8000, XdpAction::Pass)]
    {
        let bytes = frame(None, address(SENDERS[0]), address(LISTEN[0]), &vec![1; len]);
        assert_eq!(program.test_run(&bytes, 1).unwrap().verdict, verdict as u32, "{len}");
    }
    let counts = read(&map, 0);
    assert_eq!((counts.copied, counts.discarded[Reason::TooLong]), (1, 2));
}

/// As many feeds as a table holds, none, and programs of every kind: the verifier takes them.
#[test]
fn every_number_of_feeds_loads() {
    let Some(map) = counters("many feeds", 256) else { return };
    let devices = Map::create("devices", MapKind::DevMapHash, 4, 8, 4).unwrap();
    for (count, v6) in [(0, false), (1, false), (1, true), (64, true), (256, false)] {
        let feeds: Vec<Feed> = (0..count)
            .map(|n| {
                let mut listen = address(LISTEN[usize::from(v6)]);
                listen.set_port(1000 + n);
                Feed::new(format!("f{n}"), listen)
            })
            .collect();
        let parts: Vec<_> = feeds
            .iter()
            .map(|feed| IngressFeed { feed, filter: None, devices: devices.as_fd().as_raw_fd() })
            .collect();
        let program = Program::load_xdp(
            "tickwire_in",
            &ingress(map.as_fd().as_raw_fd(), &parts, FRAME_BYTES_MAX).unwrap(),
        )
        .unwrap_or_else(|error| panic!("{count} feeds: {error}"));
        let verified = program.info().unwrap().verified;
        let max = VERIFIED_MAX + VERIFIED_OF_FEED_MAX * u32::from(count);
        assert!(verified < max, "{count} feeds: {verified} instructions");
        let Some(last) = feeds.last() else { continue };
        let bytes = frame(None, address(SENDERS[usize::from(v6)]), last.listen, b"x");
        let verdict = program.test_run(&bytes, 1).unwrap().verdict;
        assert_eq!(verdict, XdpAction::Redirect as u32, "{count} feeds");
    }
}
