//! Datagrams out of any frame, copies of them, and state files.

use crate::mutate::{LINKS, Mutated};
use crate::packets::{self, Sample};
use crate::random::Random;
use std::sync::LazyLock;
use tickwire_decode::{Miss, Packet, five_tuple, protocol::ip};
use tickwire_frame::{Flags, Frame, LinkType, Reason, Timestamp};
use tickwire_replicate::state::{Saved, decode, encode};
use tickwire_replicate::{Datagram, Hop, Subscriber, Template};

/// The most changes to one state file.
const CHANGES_MAX: usize = 4;
/// The port of the feed.
const FEED_PORT: u16 = 5000;
/// Room for a copy of the longest packet of the mutator.
const SLOT_BYTES: usize = 8192;

/// Subscribers over both IP versions, one behind a VLAN tag.
static TEMPLATES: LazyLock<Vec<Template>> = LazyLock::new(|| {
    let template = |address: &str, source: &str| {
        let subscriber = Subscriber::new(address.parse().expect("an address"));
        let hop = Hop {
            ifindex: 1,
            vlan: None,
            source_mac: [2, 0, 0, 0, 0, 1],
            destination_mac: [2, 0, 0, 0, 0, 2],
            source: source.parse().expect("an address"),
            mtu: 9000,
        };
        Template::new(FEED_PORT, &subscriber, &hop).expect("one IP version")
    };
    vec![template("10.1.1.1:6000", "10.1.1.2"), template("[2001:db8::1]:6000", "2001:db8::2")]
});

/// Packets of both IP versions to a feed, with their checksums, as seeds of the mutator.
pub fn samples() -> Vec<Sample> {
    let udp = |version, payload: &[u8]| packets::udp(version, 4000, FEED_PORT, payload);
    let v4 = packets::ipv4(ip::UDP, &udp(4, b"four"));
    let v6 = packets::ipv6(ip::UDP, &udp(6, b"six"));
    let part = packets::ipv6(44, &packets::fragment(ip::UDP, 0, true, &udp(6, b"part")));
    let tagged = packets::vlan(5, 0, 0x0800, &v4);
    let sample = |name, link, bytes| Sample { name, link, bytes };
    vec![
        sample("v4", LinkType::ETHERNET, packets::ethernet(0x0800, &v4)),
        sample("v6", LinkType::ETHERNET, packets::ethernet(0x86dd, &v6)),
        sample("fragment", LinkType::ETHERNET, packets::ethernet(0x86dd, &part)),
        sample("vlan", LinkType::ETHERNET, packets::ethernet(0x8100, &tagged)),
        sample("raw v4", LinkType::RAW, v4),
        sample("raw v6", LinkType::RAW, v6),
    ]
}

/// Frames from any bytes, of every link type.
pub fn frames(bytes: &[u8]) {
    for &link in LINKS {
        check(&Mutated { link, bytes, wire_len: bytes.len() as u32 });
    }
}

/// What [`Datagram::parse`] finds is what the decoder finds; a copy has the same payload and, if
/// the original had, right checksums.
pub fn check(packet: &Mutated<'_>) {
    let Mutated { link, bytes, wire_len } = *packet;
    let frame = Frame { wire_len, ..Frame::new(bytes, Timestamp::ZERO) };
    let Ok(datagram) = Datagram::parse(link, &frame) else { return };
    let payload = datagram.payload(bytes);
    if datagram.fault.is_some() {
        return;
    }
    assert_eq!(payload.len(), datagram.payload_len);
    match five_tuple(link, bytes) {
        Ok(tuple) => {
            assert_eq!(tuple.payload(bytes), payload);
            let (source, destination) = (datagram.source, datagram.destination);
            assert_eq!(tuple.addresses.source(), source.ip());
            assert_eq!(tuple.addresses.destination(), destination.ip());
            let ports = (source.port(), destination.port());
            assert_eq!((tuple.source_port, tuple.destination_port), ports);
        }
        // Copies have no options, so nobody looks at those of the original.
        Err(miss) => assert_eq!(miss, Miss::Fault(Reason::Ipv4BadOption)),
    }

    let wrong = Packet::decode(link, bytes, wire_len).bad_checksum(Flags::NONE);
    let mut slot = [0; SLOT_BYTES];
    for template in TEMPLATES.iter() {
        let Ok(len) = template.write(&datagram, payload, &mut slot) else { continue };
        let copy = &slot[..len];
        let tuple = five_tuple(LinkType::ETHERNET, copy).expect("a copy is sound");
        assert_eq!((tuple.payload(copy), tuple.destination_port), (payload, 6000));
        let decoded = Packet::decode(LinkType::ETHERNET, copy, len as u32);
        let bad = decoded.bad_checksum(Flags::NONE);
        assert!(bad.is_none() || wrong.is_some(), "{bad:?}");
    }
}

fn saved() -> Vec<Saved> {
    let saved = |n: u16| Saved {
        feed: format!("feed-{}", n % 3),
        subscriber: Subscriber {
            lease_s: n.is_multiple_of(2).then_some(60),
            filter: n.is_multiple_of(3).then(|| format!("udp[{n}] = \"\\\"")),
            ..Subscriber::new(([10, 0, 0, n as u8], 6000 + n).into())
        },
    };
    (0..20).map(saved).collect()
}

/// State files from any bytes: all of it or nothing, and what was read can be written and read.
pub fn state(bytes: &[u8]) {
    if let Ok(saved) = decode(bytes) {
        assert_eq!(decode(&encode(&saved)).as_ref(), Ok(&saved));
    }
}

/// Mutated state files `range` of `seed`: none is loaded in part or with another content.
pub fn run_state(seed: u64, range: std::ops::Range<u64>) {
    let saved = saved();
    let good = encode(&saved);
    for index in range {
        let mut random = Random::new(seed ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut bytes = good.clone();
        for _ in 0..1 + random.below(CHANGES_MAX) {
            change(&mut bytes, &mut random);
        }
        if let Ok(loaded) = decode(&bytes) {
            assert_eq!(loaded, saved, "file {index} of seed {seed}");
        }
    }
}

fn change(bytes: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(bytes.len());
    let to = at + random.below((bytes.len() - at).min(64));
    match random.below(6) {
        0 => bytes.truncate(at),
        1 => drop(bytes.drain(at..to)),
        2 => bytes.extend_from_within(at..to),
        3 => bytes.swap(at, to),
        4 => {
            let byte = *random.pick(b"\n\"{},:0129\\\0\xff");
            bytes.insert(at, byte);
        }
        _ => bytes[at] ^= 1 << random.below(8),
    }
    // Something must be left to change.
    if bytes.is_empty() {
        bytes.push(b'\n');
    }
}
