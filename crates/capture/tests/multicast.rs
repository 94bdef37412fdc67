//! Joining and leaving as the neighbour on the wire sees it.

use std::net::IpAddr;
use std::time::{Duration, Instant};
use tickwire_capture::af_packet::{AfPacket, AfPacketConfig};
use tickwire_capture::multicast::Membership;
use tickwire_capture::{Port, Received};
use tickwire_frame::Batch;
use tickwire_lab::{Lab, require_root};

const LIMIT: Duration = Duration::from_secs(4);
/// Record types of RFC 3376 section 4.2.12 and RFC 3810 section 5.2.12.
const TO_INCLUDE: u8 = 3;
const TO_EXCLUDE: u8 = 4;
const ALLOW: u8 = 5;
const BLOCK: u8 = 6;

/// One group record of a membership report.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Record {
    kind: u8,
    group: IpAddr,
    sources: Vec<IpAddr>,
}

/// The records of an IGMPv3 report (RFC 3376 section 4.2) or MLDv2 report (RFC 3810 section 5.2).
fn records(frame: &[u8]) -> Vec<Record> {
    let (message, wide) = match frame[12..14] {
        [0x08, 0x00] if frame[23] == 2 => (&frame[14 + (frame[14] & 15) as usize * 4..], false),
        // A hop-by-hop header with the router alert, then ICMPv6.
        [0x86, 0xdd] if frame[20] == 0 && frame[54] == 58 => (&frame[62..], true),
        _ => return Vec::new(),
    };
    if message[0] != if wide { 143 } else { 0x22 } {
        return Vec::new();
    }
    let count = u16::from_be_bytes([message[6], message[7]]);
    let mut rest = &message[8..];
    let address = |rest: &mut &[u8]| -> IpAddr {
        let (head, tail) = rest.split_at(if wide { 16 } else { 4 });
        *rest = tail;
        match wide {
            true => <[u8; 16]>::try_from(head).unwrap().into(),
            false => <[u8; 4]>::try_from(head).unwrap().into(),
        }
    };
    (0..count)
        .map(|_| {
            let (kind, sources) = (rest[0], u16::from_be_bytes([rest[2], rest[3]]));
            rest = &rest[4..];
            let group = address(&mut rest);
            let sources = (0..sources).map(|_| address(&mut rest)).collect();
            Record { kind, group, sources }
        })
        .collect()
}

/// Waits until the neighbour has seen a record of `group` with one of these types.
fn see(port: &mut AfPacket, group: &str, kinds: &[u8]) -> Record {
    let group: IpAddr = group.parse().unwrap();
    let deadline = Instant::now() + LIMIT;
    while Instant::now() < deadline {
        let mut batch = Batch::new();
        if port.receive(&mut batch).unwrap() != Received::Frames {
            port.wait(Duration::from_millis(10)).unwrap();
            continue;
        }
        let mut all = batch.iter().flat_map(|frame| records(frame.bytes));
        if let Some(found) = all.find(|r| r.group == group && kinds.contains(&r.kind)) {
            return found;
        }
    }
    panic!("no report of {group} with type {kinds:?} within {LIMIT:?}");
}

#[test]
fn joining_and_leaving_is_reported_on_the_wire() {
    require_root!("joining_and_leaving_is_reported_on_the_wire");
    let lab = Lab::new().unwrap();
    let neighbour = || AfPacket::open(&AfPacketConfig::new("right0"), 1).unwrap().remove(0);
    let mut port = lab.right.run(neighbour);
    let join = |group: &str, source: Option<&str>| {
        let (group, source) = (group.parse().unwrap(), source.map(|s| s.parse().unwrap()));
        lab.left.run(|| Membership::join("left0", group, source)).unwrap()
    };
    let rows: [(&str, Option<&str>, u8, u8); 4] = [
        ("239.1.2.3", None, TO_EXCLUDE, TO_INCLUDE),
        ("232.1.2.3", Some("10.9.8.7"), ALLOW, BLOCK),
        ("ff15::1:2", None, TO_EXCLUDE, TO_INCLUDE),
        ("ff35::1:3", Some("fd00::9"), ALLOW, BLOCK),
    ];
    for (group, source, joined, left) in rows {
        let sources: Vec<IpAddr> =
            source.map(|source| source.parse().unwrap()).into_iter().collect();
        let membership = join(group, source);
        assert_eq!(membership.group().to_string(), group);
        assert_eq!(see(&mut port, group, &[joined]).sources, sources);
        drop(membership);
        assert_eq!(see(&mut port, group, &[left]).sources, sources);
    }
}

#[test]
fn a_membership_follows_an_interface_that_is_made_again() {
    require_root!("a_membership_follows_an_interface_that_is_made_again");
    let lab = Lab::new().unwrap();
    lab.left.run(|| {
        let group: IpAddr = "239.1.2.3".parse().unwrap();
        let mut membership = Membership::join("left0", group, None).unwrap();
        assert!(!membership.follow().unwrap());
        lab.delete_link().unwrap();
        assert!(!membership.follow().unwrap());
        lab.create_link().unwrap();
        let neighbour = || AfPacket::open(&AfPacketConfig::new("right0"), 1).unwrap().remove(0);
        let mut port = lab.right.run(neighbour);
        assert!(membership.follow().unwrap());
        see(&mut port, "239.1.2.3", &[TO_EXCLUDE]);
        assert!(!membership.follow().unwrap());
    });
}
