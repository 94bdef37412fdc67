//! One JSON object a packet.
//!
//! | key | value | when |
//! |---|---|---|
//! | `time_ns` | nanoseconds since 1970, UTC (an integer beyond 2^53) | always |
//! | `link` | link type, as libpcap spells it, or its number as text | always |
//! | `length`, `captured` | bytes on the wire, bytes captured | always |
//! | `flags` | any of `outgoing`, `checksum_partial`, `checksum_valid` | when there are any |
//! | `src_mac`, `dst_mac` | of the outermost Ethernet header | Ethernet |
//! | `vlan` | identifiers, outermost first | tagged |
//! | `mpls` | labels, top first | MPLS |
//! | `outer_src`, `outer_dst` | addresses of the outermost IP header | IP in a tunnel |
//! | `src`, `dst` | addresses of the innermost IP header, or of ARP for IPv4 | IP, ARP |
//! | `ttl` | time to live or hop limit of that IP header | IP |
//! | `fragment` | `{"id", "offset", "more"}` of that header | fragments |
//! | `vni` | network identifier of the innermost VXLAN or GENEVE header | tunnels |
//! | `src_port`, `dst_port` | of the UDP, TCP or SCTP header in that IP header (3) | those |
//! | `tcp` | `{"flags", "seq", "ack", "window"}`; flags as letters, see `TcpFlags` | TCP |
//! | `type`, `code` | of ICMP or ICMPv6; `type` alone of IGMP | those |
//! | `operation` | of ARP | ARP |
//! | `protocol` | name of the innermost layer that was decoded | any layer |
//! | `next` | `{"kind", "number"}` of what was not decoded (1) | a header names it |
//! | `payload_length` | bytes after the last layer, on the wire | always |
//! | `layers` | names, outermost first | always |
//! | `fault` | `{"reason", "cause", "layer", "offset"}` (2) | faults |
//!
//! (1) `kind` is `ethertype`, `ip`, `ppp` or `family`; or `link_type`: that of the capture is not
//! decoded. (2) `cause` is `packet` (it is malformed), `capture` (it was cut) or `fragment` (the
//! rest is elsewhere); `layer` is how many came before.
//!
//! Every string is one of ours or made of digits: no text of the packet is copied, so nothing has
//! to be escaped.

use crate::text::Text;
use crate::{Cause, Layer, Packet, Unknown};
use std::fmt;
use std::net::IpAddr;
use tickwire_frame::{Flags, Frame, LinkType};

/// Writes one line with one object for `packet`, which was decoded from `frame`, itself of type
/// `link`. The line ends in a newline. Nothing is allocated; an error can only come from `out`.
pub fn write_json(
    out: &mut impl fmt::Write,
    link: LinkType,
    frame: &Frame<'_>,
    packet: &Packet<'_>,
) -> fmt::Result {
    let mut text = Text::new(out);
    text.str("{\"time_ns\":").dec(frame.timestamp.as_nanos()).str(",\"link\":\"");
    match link.name() {
        Some(name) => text.str(name),
        None => text.dec(link.0),
    };
    text.str("\",\"length\":").dec(frame.wire_len);
    text.str(",\"captured\":").len(frame.bytes.len());
    flags(&mut text, frame.flags);
    link_fields(&mut text, packet);
    ip_fields(&mut text, packet);
    inner_fields(&mut text, packet);
    tail(&mut text, packet);
    text.str("}\n");
    text.finish()
}

fn flags(text: &mut Text<'_>, flags: Flags) {
    if flags == Flags::NONE {
        return;
    }
    text.str(",\"flags\":[");
    let mut separator = "\"";
    for (flag, name) in [
        (Flags::OUTGOING, "outgoing"),
        (Flags::CHECKSUM_PARTIAL, "checksum_partial"),
        (Flags::CHECKSUM_VALID, "checksum_valid"),
    ] {
        if flags.contains(flag) {
            text.str(separator).str(name).byte(b'"');
            separator = ",\"";
        }
    }
    text.byte(b']');
}

/// Numbers as an array under `key`; nothing when there are none.
fn numbers(text: &mut Text<'_>, key: &str, numbers: impl Iterator<Item = u32>) {
    let mut any = false;
    for number in numbers {
        text.str(if any { "," } else { key }).dec(number);
        any = true;
    }
    if any {
        text.byte(b']');
    }
}

fn link_fields(text: &mut Text<'_>, packet: &Packet<'_>) {
    let layers = packet.layers();
    if let Some(Layer::Ethernet(ethernet)) = layers.first() {
        text.str(",\"src_mac\":\"").mac(ethernet.source());
        text.str("\",\"dst_mac\":\"").mac(ethernet.destination()).byte(b'"');
    }
    let vlans = layers.iter().filter_map(|layer| match layer {
        Layer::Vlan(vlan) => Some(vlan.id().into()),
        _ => None,
    });
    numbers(text, ",\"vlan\":[", vlans);
    let labels = layers.iter().filter_map(|layer| match layer {
        Layer::Mpls(mpls) => Some(mpls.labels()),
        _ => None,
    });
    numbers(text, ",\"mpls\":[", labels.flatten().map(|label| label.label));
}

/// Source and destination, where the layer has them.
fn addresses(layer: &Layer<'_>) -> Option<(IpAddr, IpAddr)> {
    Some(match layer {
        Layer::Ipv4(ip) => (ip.source().into(), ip.destination().into()),
        Layer::Ipv6(ip) => (ip.source().into(), ip.destination().into()),
        Layer::Arp(arp) => arp.ipv4().map(|(from, to)| (from.into(), to.into()))?,
        _ => return None,
    })
}

fn ip_fields(text: &mut Text<'_>, packet: &Packet<'_>) {
    let layers = packet.layers();
    let Some(inner) = packet.innermost_network() else { return };
    let outer = layers[..inner].iter().find_map(addresses);
    if let Some((source, destination)) = outer {
        text.str(",\"outer_src\":\"").ip(source);
        text.str("\",\"outer_dst\":\"").ip(destination).byte(b'"');
    }
    if let Some((source, destination)) = addresses(&layers[inner]) {
        text.str(",\"src\":\"").ip(source);
        text.str("\",\"dst\":\"").ip(destination).byte(b'"');
    }
    match (&layers[inner], layers.get(inner + 1)) {
        (Layer::Ipv4(ip), _) => {
            text.str(",\"ttl\":").dec(ip.ttl());
            if ip.is_fragment() {
                fragment(text, ip.id().into(), ip.fragment_offset(), ip.more_fragments());
            }
        }
        (Layer::Ipv6(ip), next) => {
            text.str(",\"ttl\":").dec(ip.hop_limit());
            if let Some(Layer::Ipv6Extensions(chain)) = next
                && let Some(part) = chain.fragment()
            {
                fragment(text, part.id, part.offset.into(), part.more);
            }
        }
        _ => {}
    }
}

fn fragment(text: &mut Text<'_>, id: u32, offset: usize, more: bool) {
    text.str(",\"fragment\":{\"id\":").dec(id).str(",\"offset\":").len(offset);
    text.str(if more { ",\"more\":true}" } else { ",\"more\":false}" });
}

/// Tunnel, ports, and the fields of the last layer. Each key once: only the last layer has fields
/// of its own here, and [`Packet::ports`] takes one pair, of the packet whose addresses are shown.
fn inner_fields(text: &mut Text<'_>, packet: &Packet<'_>) {
    let vni = packet.layers().iter().rev().find_map(|layer| match layer {
        Layer::Vxlan(vxlan) => Some(vxlan.vni()),
        Layer::Geneve(geneve) => Some(geneve.vni()),
        _ => None,
    });
    if let Some(vni) = vni {
        text.str(",\"vni\":").dec(vni);
    }
    if let Some((source, destination)) = packet.ports() {
        text.str(",\"src_port\":").dec(source).str(",\"dst_port\":").dec(destination);
    }
    match packet.layers().last() {
        Some(Layer::Tcp(tcp)) => {
            let mut letters = [0; 9];
            text.str(",\"tcp\":{\"flags\":\"").str(tcp.flags().letters(&mut letters));
            text.str("\",\"seq\":").dec(tcp.sequence()).str(",\"ack\":").dec(tcp.acknowledgment());
            text.str(",\"window\":").dec(tcp.window()).byte(b'}');
        }
        Some(Layer::Icmp(icmp)) => {
            text.str(",\"type\":").dec(icmp.kind()).str(",\"code\":").dec(icmp.code());
        }
        Some(Layer::Icmpv6(icmpv6)) => {
            text.str(",\"type\":").dec(icmpv6.kind()).str(",\"code\":").dec(icmpv6.code());
        }
        Some(Layer::Igmp(igmp)) => _ = text.str(",\"type\":").dec(igmp.kind()),
        Some(Layer::Arp(arp)) => _ = text.str(",\"operation\":").dec(arp.operation()),
        _ => {}
    }
}

fn tail(text: &mut Text<'_>, packet: &Packet<'_>) {
    let layers = packet.layers();
    if let Some(last) = layers.last() {
        text.str(",\"protocol\":\"").str(last.name()).byte(b'"');
    }
    if let Some(unknown) = packet.unknown() {
        let (kind, number) = match unknown {
            Unknown::LinkType(number) => ("link_type", number.into()),
            Unknown::EtherType(number) => ("ethertype", number.into()),
            Unknown::Ip(number) => ("ip", number.into()),
            Unknown::Ppp(number) => ("ppp", number.into()),
            Unknown::Family(number) => ("family", number),
        };
        text.str(",\"next\":{\"kind\":\"").str(kind).str("\",\"number\":").dec(number).byte(b'}');
    }
    text.str(",\"payload_length\":").len(packet.payload_len()).str(",\"layers\":[");
    for (index, layer) in layers.iter().enumerate() {
        text.str(if index > 0 { ",\"" } else { "\"" }).str(layer.name()).byte(b'"');
    }
    text.byte(b']');
    if let Some(fault) = packet.fault() {
        text.str(",\"fault\":{\"reason\":\"").str(fault.reason.as_str());
        text.str("\",\"cause\":\"").str(match fault.cause {
            Cause::Packet => "packet",
            Cause::Capture => "capture",
            Cause::Fragment => "fragment",
        });
        text.str("\",\"layer\":").len(fault.layer).str(",\"offset\":").len(fault.offset);
        text.byte(b'}');
    }
}
