//! ICMP, ICMPv6 and IGMP.

use super::Line;
use crate::protocol::ip;
use crate::read::get16;
use crate::{Icmp, Icmpv6, Igmp, IgmpRecord, Ipv4, Ipv6, icmpv6_type, igmp_type};

/// The most records and sources that a line shows.
const RECORDS_SHOWN_MAX: usize = 8;

impl Line<'_, '_> {
    pub(super) fn icmp(&mut self, icmp: &Icmp<'_>) {
        self.text.str("ICMP ");
        let name = icmp_name(icmp.kind(), icmp.code());
        match name {
            Some(name) => self.text.str(name),
            None => self.text.str("type ").dec(icmp.kind()).str(", code ").dec(icmp.code()),
        };
        if let Some((id, sequence)) = icmp.echo() {
            self.text.str(", id ").dec(id).str(", seq ").dec(sequence);
        }
        match (icmp.kind(), icmp.code()) {
            (3, 4) => _ = self.text.str(", mtu ").dec(icmp.rest_of_header() & 0xffff),
            (5, _) => _ = self.text.str(", to ").ipv4(icmp.rest_of_header().into()),
            _ => {}
        }
        if let Some(Ok(quoted)) = icmp.quoted().map(Ipv4::parse) {
            let source = quoted.source().into();
            let destination = quoted.destination().into();
            self.quoted(source, destination, quoted.protocol(), quoted.payload());
        }
        self.checksum();
        self.length(Icmp::LEN + self.packet.payload_len());
    }

    /// The packet that an error is about.
    fn quoted(
        &mut self,
        source: std::net::IpAddr,
        destination: std::net::IpAddr,
        protocol: u8,
        payload: &[u8],
    ) {
        let ports = match protocol {
            ip::TCP | ip::UDP | ip::SCTP => get16(payload, 0).zip(get16(payload, 2)),
            _ => None,
        };
        self.text.str(", for ");
        self.named(crate::names::ip_protocol_name(protocol), protocol);
        self.text.byte(b' ').ip(source);
        if let Some((port, _)) = ports {
            self.text.byte(b'.').dec(port);
        }
        self.text.str(" > ").ip(destination);
        if let Some((_, port)) = ports {
            self.text.byte(b'.').dec(port);
        }
    }

    pub(super) fn icmpv6(&mut self, icmpv6: &Icmpv6<'_>) {
        self.text.str("ICMP6, ");
        match icmpv6_name(icmpv6.kind(), icmpv6.code()) {
            Some(name) => self.text.str(name),
            None => self.text.str("type ").dec(icmpv6.kind()).str(", code ").dec(icmpv6.code()),
        };
        if let Some((id, sequence)) = icmpv6.echo() {
            self.text.str(", id ").dec(id).str(", seq ").dec(sequence);
        }
        if let Some(mtu) = icmpv6.mtu() {
            self.text.str(", mtu ").dec(mtu);
        }
        if let Some(target) = icmpv6.target() {
            self.text.str(match icmpv6.kind() {
                icmpv6_type::NEIGHBOUR_SOLICITATION => ", who has ",
                icmpv6_type::NEIGHBOUR_ADVERTISEMENT => ", tgt is ",
                icmpv6_type::REDIRECT => ", to ",
                _ => ", group ",
            });
            self.text.ipv6(target);
        }
        if let Some(count) = icmpv6.record_count() {
            self.text.str(", ").dec(count).str(" group record(s)");
        }
        if self.options.verbose {
            for (kind, data) in icmpv6.options().flatten().take(RECORDS_SHOWN_MAX) {
                match kind {
                    1 => self.text.str(", source link-address ").hex_bytes(data, ":"),
                    2 => self.text.str(", target link-address ").hex_bytes(data, ":"),
                    3 => self.text.str(", prefix option"),
                    _ => self.text.str(", option ").dec(kind).str(" len ").len(data.len() + 2),
                };
            }
        }
        if let Some(Ok(quoted)) = icmpv6.quoted().map(Ipv6::parse) {
            let source = quoted.source().into();
            let destination = quoted.destination().into();
            self.quoted(source, destination, quoted.next_header(), quoted.payload());
        }
        self.checksum();
        self.length(Icmpv6::LEN + self.packet.payload_len());
    }

    pub(super) fn igmp(&mut self, igmp: &Igmp<'_>) {
        self.text.str("igmp ");
        match (igmp.kind(), igmp.version()) {
            (igmp_type::QUERY, Some(version)) => self.igmp_query(igmp, version),
            (igmp_type::LEAVE, _) => _ = self.text.str("leave"),
            (_, Some(version)) => _ = self.text.str("v").dec(version).str(" report"),
            (kind, None) => _ = self.text.str("type 0x").hex::<2>(kind),
        }
        if let Some(group) = igmp.group().filter(|group| !group.is_unspecified()) {
            self.text.byte(b' ').ipv4(group);
        }
        for record in igmp.records().flatten().take(RECORDS_SHOWN_MAX) {
            self.igmp_record(&record);
        }
        self.checksum();
    }

    fn igmp_query(&mut self, igmp: &Igmp<'_>, version: u8) {
        self.text.str("query v").dec(version);
        if self.options.verbose {
            self.text.str(", max resp code ").dec(igmp.max_response());
        }
        let sources = igmp.sources().unwrap_or(&[]);
        if !sources.is_empty() {
            self.text.str(", ").len(sources.len()).str(" source(s)");
        }
    }

    fn igmp_record(&mut self, record: &IgmpRecord<'_>) {
        self.text.str(" [gaddr ").ipv4(record.group).byte(b' ');
        match record.kind_name() {
            Some(name) => self.text.str(name),
            None => self.text.str("type ").dec(record.kind),
        };
        self.text.str(" {");
        for (index, &source) in record.sources.iter().take(RECORDS_SHOWN_MAX).enumerate() {
            self.text.str(if index > 0 { " " } else { "" }).ipv4(source.into());
        }
        self.text.str(if record.sources.len() > RECORDS_SHOWN_MAX { " …}]" } else { "}]" });
    }
}

/// RFC 792, RFC 950, RFC 1256, RFC 1812.
const fn icmp_name(kind: u8, code: u8) -> Option<&'static str> {
    Some(match (kind, code) {
        (0, _) => "echo reply",
        (3, 0) => "net unreachable",
        (3, 1) => "host unreachable",
        (3, 2) => "protocol unreachable",
        (3, 3) => "port unreachable",
        (3, 4) => "unreachable - need to frag",
        (3, 9 | 10 | 13) => "unreachable - admin prohibited",
        (3, _) => "unreachable",
        (4, _) => "source quench",
        (5, _) => "redirect",
        (8, _) => "echo request",
        (9, _) => "router advertisement",
        (10, _) => "router solicitation",
        (11, 0) => "time exceeded in-transit",
        (11, _) => "reassembly time exceeded",
        (12, _) => "parameter problem",
        (13, _) => "time stamp request",
        (14, _) => "time stamp reply",
        (17, _) => "address mask request",
        (18, _) => "address mask reply",
        _ => return None,
    })
}

/// RFC 4443, RFC 4861, RFC 2710, RFC 3810.
const fn icmpv6_name(kind: u8, code: u8) -> Option<&'static str> {
    Some(match (kind, code) {
        (icmpv6_type::UNREACHABLE, 0) => "no route to destination",
        (icmpv6_type::UNREACHABLE, 1) => "unreachable - admin prohibited",
        (icmpv6_type::UNREACHABLE, 3) => "address unreachable",
        (icmpv6_type::UNREACHABLE, 4) => "port unreachable",
        (icmpv6_type::UNREACHABLE, _) => "destination unreachable",
        (icmpv6_type::TOO_BIG, _) => "packet too big",
        (icmpv6_type::TIME_EXCEEDED, 0) => "time exceeded in-transit",
        (icmpv6_type::TIME_EXCEEDED, _) => "reassembly time exceeded",
        (icmpv6_type::PARAMETER_PROBLEM, _) => "parameter problem",
        (icmpv6_type::ECHO_REQUEST, _) => "echo request",
        (icmpv6_type::ECHO_REPLY, _) => "echo reply",
        (icmpv6_type::LISTENER_QUERY, _) => "multicast listener query",
        (icmpv6_type::LISTENER_REPORT, _) => "multicast listener report",
        (icmpv6_type::LISTENER_DONE, _) => "multicast listener done",
        (icmpv6_type::ROUTER_SOLICITATION, _) => "router solicitation",
        (icmpv6_type::ROUTER_ADVERTISEMENT, _) => "router advertisement",
        (icmpv6_type::NEIGHBOUR_SOLICITATION, _) => "neighbor solicitation",
        (icmpv6_type::NEIGHBOUR_ADVERTISEMENT, _) => "neighbor advertisement",
        (icmpv6_type::REDIRECT, _) => "redirect",
        (icmpv6_type::LISTENER_REPORT_V2, _) => "multicast listener report v2",
        _ => return None,
    })
}
