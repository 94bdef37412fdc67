//! One readable line a packet, in the spirit of tcpdump.
//!
//! Layers are printed from the outside in; the writers of the single protocols are in the files of
//! `line/`: link headers, IP and tunnels, transport, control.

mod control;
mod ip;
mod link;
mod transport;

use crate::names::{ip_protocol_name, ppp_protocol_name};
use crate::text::Text;
use crate::{Cause, Layer, Packet, Unknown, Verdict};
use std::fmt;
use tickwire_frame::{Flags, Frame, LinkType, Timestamp};

/// What [`write_line`] prints beside the essentials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineOptions {
    /// `-e`: the link header.
    pub link_header: bool,
    /// `-n`: ports as numbers. Addresses always are numbers: nothing is ever looked up.
    pub numeric: bool,
    /// `-q`: less of each protocol.
    pub quick: bool,
    /// `-v`: TTL, identification, options, verified checksums, and more of each protocol.
    pub verbose: bool,
}

/// Writes one line for `packet`, which was decoded from `frame`: time of day (UTC, nanoseconds),
/// link header on request, VLAN tags, addresses, protocol, flags and lengths, tunnels with what is
/// in them, and `[malformed: reason]`, `[cut: reason]` or `[fragment: reason]` where decoding came
/// to an end early.
/// The line ends in a newline. Nothing is allocated; an error can only come from `out`.
pub fn write_line(
    out: &mut impl fmt::Write,
    frame: &Frame<'_>,
    packet: &Packet<'_>,
    options: &LineOptions,
) -> fmt::Result {
    let text = Text::new(out);
    let mut line = Line { text, frame, packet, options, index: 0 };
    line.time(frame.timestamp);
    for (index, layer) in packet.layers().iter().enumerate() {
        line.index = index;
        line.layer(layer);
    }
    line.rest();
    line.fault();
    line.text.byte(b'\n');
    line.text.finish()
}

/// A line in the making.
struct Line<'l, 'w> {
    text: Text<'w>,
    frame: &'l Frame<'l>,
    packet: &'l Packet<'l>,
    options: &'l LineOptions,
    /// The layer that is being written.
    index: usize,
}

impl<'l> Line<'l, '_> {
    /// `HH:MM:SS.nnnnnnnnn`, UTC.
    fn time(&mut self, time: Timestamp) {
        let seconds = (time.seconds() % 86_400) as u32;
        self.text
            .padded::<2>(seconds / 3600)
            .byte(b':')
            .padded::<2>(seconds / 60 % 60)
            .byte(b':')
            .padded::<2>(seconds % 60)
            .byte(b'.')
            .padded::<9>(time.subsec_nanos())
            .byte(b' ');
    }

    fn layer(&mut self, layer: &'l Layer<'l>) {
        match layer {
            Layer::Ethernet(ethernet) => self.ethernet(ethernet),
            Layer::Llc(llc) => self.llc(llc),
            Layer::Vlan(vlan) => self.vlan(vlan),
            Layer::Mpls(mpls) => self.mpls(mpls),
            Layer::Pppoe(pppoe) => self.pppoe(pppoe),
            Layer::Ppp(ppp) => self.ppp(ppp),
            Layer::Sll(sll) => self.sll(sll),
            Layer::Loopback(loopback) => self.loopback(loopback),
            Layer::Arp(arp) => self.arp(arp),
            Layer::Ipv4(ip) => self.ipv4(ip),
            Layer::Ipv6(ip) => self.ipv6(ip),
            Layer::Ipv6Extensions(chain) => self.ipv6_extensions(chain),
            Layer::Icmp(icmp) => self.icmp(icmp),
            Layer::Icmpv6(icmpv6) => self.icmpv6(icmpv6),
            Layer::Igmp(igmp) => self.igmp(igmp),
            Layer::Tcp(tcp) => self.tcp(tcp),
            Layer::Udp(udp) => self.udp(udp),
            Layer::Sctp(sctp) => self.sctp(sctp),
            Layer::Ah(ah) => self.ah(ah),
            Layer::Esp(esp) => self.esp(esp),
            Layer::Gre(gre) => self.gre(gre),
            Layer::Vxlan(vxlan) => _ = self.text.str("VXLAN, vni ").dec(vxlan.vni()).str(": "),
            Layer::Geneve(geneve) => self.geneve(geneve),
        }
    }

    /// The layer after the one that is being written.
    fn following(&self) -> Option<&'l Layer<'l>> {
        self.packet.layers().get(self.index + 1)
    }

    /// Whether the layer that is being written is the last.
    fn is_last(&self) -> bool {
        self.index + 1 >= self.packet.layers().len()
    }

    fn length(&mut self, len: usize) {
        if !self.text.ends_with_space() {
            self.text.str(", ");
        }
        self.text.str("length ").len(len);
    }

    /// `(name, number)` style: `OSPF (89)`, or only the number.
    fn named(&mut self, name: Option<&str>, number: impl Into<u64>) {
        match name {
            Some(name) => self.text.str(name).str(" (").dec(number).byte(b')'),
            None => self.text.dec(number),
        };
    }

    /// With `-v`: the verdict on the checksum of the layer that is being written.
    fn checksum(&mut self) {
        if !self.options.verbose {
            return;
        }
        self.text.str(match self.packet.checksum(self.index, self.frame.flags) {
            Some(Verdict::Valid) => ", cksum ok",
            Some(Verdict::Invalid) => ", bad cksum",
            Some(Verdict::Absent) => ", no cksum",
            Some(Verdict::Partial) => ", cksum partial",
            Some(Verdict::Unknown) | None => "",
        });
    }

    /// What follows the last layer and is not decoded, for whatever reason.
    fn rest(&mut self) {
        let layers = self.packet.layers();
        let stopped = self.packet.fault().is_some_and(|fault| fault.layer == layers.len());
        match (self.packet.unknown(), layers.last()) {
            (Some(unknown), _) => self.unknown(unknown),
            (None, Some(Layer::Mpls(_) | Layer::Llc(_) | Layer::Sll(_))) => {}
            (None, _) if stopped => {}
            (None, _) => return,
        }
        self.length(self.packet.payload_len());
    }

    fn unknown(&mut self, unknown: Unknown) {
        match unknown {
            Unknown::LinkType(number) => {
                self.text.str("link type ");
                self.named(LinkType(number).name(), number);
                self.text.str(" is not decoded");
            }
            Unknown::EtherType(number) => {
                self.text.str("ethertype ");
                self.ethertype(number);
            }
            Unknown::Ip(number) => {
                self.text.str("proto ");
                self.named(ip_protocol_name(number), number);
            }
            Unknown::Ppp(number) => {
                self.text.str("PPP ");
                match ppp_protocol_name(number) {
                    Some(name) => self.text.str(name),
                    None => self.text.str("proto 0x").hex::<4>(number),
                };
            }
            Unknown::Family(number) => _ = self.text.str("AF ").dec(number),
        }
    }

    fn fault(&mut self) {
        let Some(fault) = self.packet.fault() else { return };
        if !self.text.ends_with_space() {
            self.text.byte(b' ');
        }
        let what = match fault.cause {
            Cause::Packet => "[malformed: ",
            Cause::Capture => "[cut: ",
            Cause::Fragment => "[fragment: ",
        };
        self.text.str(what).str(fault.reason.as_str()).byte(b']');
    }

    /// Whether the sender left checksums to hardware.
    fn flags(&self) -> Flags {
        self.frame.flags
    }
}
