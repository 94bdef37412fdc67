//! Names of a few numbers, for people. Small on purpose: what is not here is printed as a number.

use crate::protocol::ip;
use crate::{ethertype, ppp_protocol};

/// The name of an EtherType.
pub(crate) const fn ethertype_name(value: u16) -> Option<&'static str> {
    Some(match value {
        ethertype::IPV4 => "IPv4",
        ethertype::ARP => "ARP",
        ethertype::RARP => "RARP",
        ethertype::TRANSPARENT_ETHERNET => "TEB",
        ethertype::VLAN => "802.1Q",
        ethertype::IPV6 => "IPv6",
        ethertype::PPP => "PPP",
        ethertype::MPLS => "MPLS",
        ethertype::MPLS_MULTICAST => "MPLS multicast",
        ethertype::PPPOE_DISCOVERY => "PPPoE D",
        ethertype::PPPOE_SESSION => "PPPoE S",
        ethertype::SERVICE_VLAN => "802.1ad",
        ethertype::LLDP => "LLDP",
        ethertype::PTP => "PTP",
        ethertype::OLD_SERVICE_VLAN => "802.1Q-9100",
        _ => return None,
    })
}

/// The name of an IP protocol.
pub(crate) const fn ip_protocol_name(protocol: u8) -> Option<&'static str> {
    Some(match protocol {
        ip::HOP_BY_HOP => "Options",
        ip::ICMP => "ICMP",
        ip::IGMP => "IGMP",
        ip::IPV4 => "IPIP",
        ip::TCP => "TCP",
        ip::UDP => "UDP",
        ip::IPV6 => "IPv6",
        ip::ROUTING => "Routing",
        ip::FRAGMENT => "Fragment",
        ip::GRE => "GRE",
        ip::ESP => "ESP",
        ip::AUTHENTICATION => "AH",
        ip::ICMPV6 => "ICMPv6",
        ip::DESTINATION_OPTIONS => "DestOpts",
        88 => "EIGRP",
        89 => "OSPF",
        ip::PIM => "PIM",
        ip::VRRP => "VRRP",
        115 => "L2TP",
        ip::SCTP => "SCTP",
        ip::MOBILITY => "Mobility",
        ip::MPLS => "MPLS",
        ip::HIP => "HIP",
        ip::SHIM6 => "Shim6",
        _ => return None,
    })
}

/// The name of a PPP protocol.
pub(crate) const fn ppp_protocol_name(value: u16) -> Option<&'static str> {
    Some(match value {
        ppp_protocol::IPCP => "IPCP",
        ppp_protocol::IPV6CP => "IPV6CP",
        ppp_protocol::LCP => "LCP",
        ppp_protocol::PAP => "PAP",
        ppp_protocol::CHAP => "CHAP",
        _ => return None,
    })
}

/// The name of a well-known port, as `/etc/services` has it.
pub(crate) const fn service_name(port: u16) -> Option<&'static str> {
    Some(match port {
        20 => "ftp-data",
        21 => "ftp",
        22 => "ssh",
        23 => "telnet",
        25 => "smtp",
        53 => "domain",
        67 => "bootps",
        68 => "bootpc",
        69 => "tftp",
        80 => "http",
        110 => "pop3",
        123 => "ntp",
        137 => "netbios-ns",
        138 => "netbios-dgm",
        139 => "netbios-ssn",
        143 => "imap2",
        161 => "snmp",
        179 => "bgp",
        319 => "ptp-event",
        320 => "ptp-general",
        389 => "ldap",
        443 => "https",
        514 => "syslog",
        546 => "dhcpv6-client",
        547 => "dhcpv6-server",
        636 => "ldaps",
        993 => "imaps",
        3306 => "mysql",
        4789 => "vxlan",
        5353 => "mdns",
        5432 => "postgresql",
        6081 => "geneve",
        _ => return None,
    })
}
