//! Numbers of protocols: EtherTypes (IEEE), LLC service access points (IEEE 802.2), IP protocols
//! (IANA), OSI network layer protocol identifiers (ISO 9577) and IS-IS packet types (ISO 10589).

/// The names that `ether proto` knows. Those below 256 are LLC service access points.
pub fn ether(name: &str) -> Option<u32> {
    Some(match name {
        "ip" => 0x0800,
        "arp" => 0x0806,
        "rarp" => 0x8035,
        "ip6" => 0x86dd,
        "atalk" => 0x809b,
        "aarp" => 0x80f3,
        "decnet" => 0x6003,
        "moprc" => 0x6002,
        "mopdl" => 0x6001,
        "lat" => 0x6004,
        "sca" => 0x6007,
        "loopback" => 0x9000,
        "vexp" => 0x805b,
        "vprod" => 0x805c,
        "xns" => 0x0600,
        "pup" => 0x0200,
        "sprite" => 0x0500,
        "trail" => 0x1000,
        "lldp" => 0x88cc,
        "slow" => 0x8809,
        "iso" => LLC_ISO,
        "stp" => LLC_STP,
        "ipx" => LLC_IPX,
        "netbeui" => LLC_NETBEUI,
        _ => return None,
    })
}

/// LLC service access point of OSI network protocols.
pub const LLC_ISO: u32 = 0xfe;
/// LLC service access point of the spanning tree protocol.
pub const LLC_STP: u32 = 0x42;
/// LLC service access point of Novell IPX.
pub const LLC_IPX: u32 = 0xe0;
/// LLC service access point of NetBEUI.
pub const LLC_NETBEUI: u32 = 0xf0;

/// IP protocols by their name in the IANA registry (in lower case, as /etc/protocols has them).
const IP: &[(&str, u32)] = &[
    ("ip", 0),
    ("hopopt", 0),
    ("icmp", 1),
    ("igmp", 2),
    ("ggp", 3),
    ("ipencap", 4),
    ("st", 5),
    ("tcp", 6),
    ("egp", 8),
    ("igp", 9),
    ("igrp", 9),
    ("pup", 12),
    ("udp", 17),
    ("hmp", 20),
    ("xns-idp", 22),
    ("rdp", 27),
    ("iso-tp4", 29),
    ("dccp", 33),
    ("xtp", 36),
    ("ddp", 37),
    ("idpr-cmtp", 38),
    ("ipv6", 41),
    ("ipv6-route", 43),
    ("ipv6-frag", 44),
    ("idrp", 45),
    ("rsvp", 46),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("skip", 57),
    ("icmp6", 58),
    ("ipv6-icmp", 58),
    ("ipv6-nonxt", 59),
    ("ipv6-opts", 60),
    ("rspf", 73),
    ("vmtp", 81),
    ("eigrp", 88),
    ("ospf", 89),
    ("ax.25", 93),
    ("ipip", 94),
    ("etherip", 97),
    ("encap", 98),
    ("pim", 103),
    ("ipcomp", 108),
    ("vrrp", 112),
    ("carp", 112),
    ("l2tp", 115),
    ("isis", 124),
    ("sctp", 132),
    ("fc", 133),
    ("mobility-header", 135),
    ("udplite", 136),
    ("mpls-in-ip", 137),
    ("manet", 138),
    ("hip", 139),
    ("shim6", 140),
    ("wesp", 141),
    ("rohc", 142),
    ("ethernet", 143),
];

/// The number of an IP protocol.
pub fn ip(name: &str) -> Option<u32> {
    IP.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
}

/// Network layer protocol identifiers under LLC 0xfe.
pub fn osi(name: &str) -> Option<u32> {
    match name {
        "clnp" => Some(OSI_CLNP),
        "esis" | "es-is" => Some(OSI_ESIS),
        "isis" | "is-is" => Some(OSI_ISIS),
        _ => None,
    }
}

/// ISO 8473.
pub const OSI_CLNP: u32 = 0x81;
/// ISO 9542.
pub const OSI_ESIS: u32 = 0x82;
/// ISO 10589.
pub const OSI_ISIS: u32 = 0x83;

/// The IS-IS packet types behind an abbreviation, in the order in which they are tested.
pub fn isis_types(name: &str) -> Option<&'static [u32]> {
    Some(match name {
        "l1" => &[0x1a, 0x18, 0x12, 0x0f, 0x11],
        "l2" => &[0x1b, 0x19, 0x14, 0x10, 0x11],
        "iih" => &[0x11, 0x0f, 0x10],
        "lsp" => &[0x12, 0x14],
        "snp" => &[0x1b, 0x1a, 0x18, 0x19],
        "csnp" => &[0x18, 0x19],
        "psnp" => &[0x1a, 0x1b],
        _ => return None,
    })
}

/// A test of the LLC control field: mask and value.
pub fn llc_control(name: &str) -> Option<(u32, u32)> {
    Some(match name {
        "s" => (0x03, 0x01),
        "u" => (0x03, 0x03),
        "rr" => (0x0f, 0x01),
        "rnr" => (0x0f, 0x05),
        "rej" => (0x0f, 0x09),
        "ui" => (0xef, 0x03),
        "ua" => (0xef, 0x63),
        "disc" => (0xef, 0x43),
        "dm" => (0xef, 0x0f),
        "sabme" => (0xef, 0x6f),
        "test" => (0xef, 0xe3),
        "xid" => (0xef, 0xaf),
        "frmr" => (0xef, 0x87),
        _ => return None,
    })
}

/// Why PF logged a packet (pflog(4)).
pub fn pf_reason(name: &str) -> Option<u32> {
    let at = [
        "match",
        "bad-offset",
        "fragment",
        "short",
        "normalize",
        "memory",
        "bad-timestamp",
        "congestion",
        "ip-option",
        "proto-cksum",
        "state-mismatch",
        "state-insert",
        "state-limit",
        "src-limit",
        "synproxy",
    ];
    at.iter().position(|known| *known == name).map(|number| number as u32)
}

/// What PF did with a packet.
pub fn pf_action(name: &str) -> Option<u32> {
    Some(match name {
        "pass" | "accept" => 0,
        "block" | "drop" => 1,
        "scrub" => 2,
        "noscrub" => 3,
        "nat" => 4,
        "nonat" => 5,
        "binat" => 6,
        "nobinat" => 7,
        "rdr" => 8,
        "nordr" => 9,
        "synproxy-drop" => 10,
        _ => return None,
    })
}
