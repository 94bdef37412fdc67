//! IP headers and tunnels over IP.

use super::Line;
use crate::names::{ip_protocol_name, service_name};
use crate::{Ah, Esp, Geneve, Gre, Ipv4, Ipv6, Ipv6Extensions, Layer, Verdict};
use std::net::IpAddr;

impl Line<'_, '_> {
    /// Source and destination port of the layer after this one, over extension headers.
    fn ports(&self) -> Option<(u16, u16)> {
        let mut layers = self.packet.layers().iter().skip(self.index + 1);
        match layers.find(|layer| !matches!(layer, Layer::Ipv6Extensions(_) | Layer::Ah(_))) {
            Some(layer) => layer.ports(),
            None => self.packet.undecoded_ports(),
        }
    }

    /// `.80` or `.http`.
    fn port(&mut self, port: u16) {
        match service_name(port).filter(|_| !self.options.numeric) {
            Some(name) => self.text.byte(b'.').str(name),
            None => self.text.byte(b'.').dec(port),
        };
    }

    fn addresses(&mut self, source: IpAddr, destination: IpAddr) {
        let ports = self.ports();
        self.text.ip(source);
        if let Some((port, _)) = ports {
            self.port(port);
        }
        self.text.str(" > ").ip(destination);
        if let Some((_, port)) = ports {
            self.port(port);
        }
        self.text.str(": ");
    }

    pub(super) fn ipv4(&mut self, ip: &Ipv4<'_>) {
        self.text.str("IP ");
        if self.options.verbose {
            self.ipv4_details(ip);
        }
        self.addresses(ip.source().into(), ip.destination().into());
        if ip.is_fragment() {
            let len = ip.payload_len().unwrap_or(0);
            self.fragment(ip.id().into(), ip.fragment_offset(), len, ip.more_fragments());
            if ip.fragment_offset() > 0 {
                self.named(ip_protocol_name(ip.protocol()), ip.protocol());
            }
        }
    }

    fn ipv4_details(&mut self, ip: &Ipv4<'_>) {
        self.text.str("(tos 0x").short_hex((ip.dscp() << 2 | ip.ecn()).into());
        self.text.str(", ttl ").dec(ip.ttl()).str(", id ").dec(ip.id()).str(", offset ");
        self.text.len(ip.fragment_offset()).str(", flags [").str(
            match (ip.reserved_flag(), ip.dont_fragment(), ip.more_fragments()) {
                (false, false, false) => "none",
                (false, true, false) => "DF",
                (false, false, true) => "+",
                (false, true, true) => "+, DF",
                (true, ..) => "reserved",
            },
        );
        self.text.str("], proto ");
        self.named(ip_protocol_name(ip.protocol()), ip.protocol());
        self.length(ip.total_len().into());
        let mut separator = ", options (";
        for (kind, data) in ip.options().flatten() {
            self.text.str(separator);
            match kind {
                7 => self.text.str("RR"),
                68 => self.text.str("timestamp"),
                131 => self.text.str("LSRR"),
                137 => self.text.str("SSRR"),
                148 => self.text.str("RA"),
                _ => self.text.str("type ").dec(kind),
            };
            self.text.str(" len ").len(data.len() + 2);
            separator = ", ";
        }
        if separator == ", " {
            self.text.byte(b')');
        }
        if self.packet.checksum(self.index, self.flags()) == Some(Verdict::Invalid) {
            self.text.str(", bad cksum 0x").hex::<4>(ip.checksum());
        }
        self.text.str(") ");
    }

    fn fragment(&mut self, id: u32, offset: usize, len: usize, more: bool) {
        self.text.str("frag (id ").dec(id).str(", offset ").len(offset);
        self.text.str(", length ").len(len).str(if more { ", more) " } else { ") " });
    }

    pub(super) fn ipv6(&mut self, ip: &Ipv6<'_>) {
        self.text.str("IP6 ");
        if self.options.verbose {
            self.text.byte(b'(');
            if ip.traffic_class() != 0 {
                self.text.str("class 0x").hex::<2>(ip.traffic_class()).str(", ");
            }
            if ip.flow_label() != 0 {
                self.text.str("flowlabel 0x").hex::<5>(ip.flow_label()).str(", ");
            }
            self.text.str("hlim ").dec(ip.hop_limit()).str(", next-header ");
            self.named(ip_protocol_name(ip.next_header()), ip.next_header());
            self.text.str(", payload length ").dec(ip.payload_length_field()).str(") ");
        }
        self.addresses(ip.source().into(), ip.destination().into());
        if ip.next_header() == crate::protocol::ip::NO_NEXT_HEADER {
            self.text.str("no next header");
        }
    }

    pub(super) fn ipv6_extensions(&mut self, chain: &Ipv6Extensions<'_>) {
        if self.options.verbose {
            for (kind, bytes) in chain.headers() {
                let name = match kind {
                    0 => "HBH",
                    43 => "RT",
                    44 => "FRAG",
                    51 => "AH",
                    60 => "DSTOPT",
                    135 => "MOB",
                    _ => "EXT",
                };
                self.text.str(name).byte(b' ').len(bytes.len()).byte(b' ');
            }
        }
        if let Some(part) = chain.fragment() {
            let len = chain.payload().len();
            self.fragment(part.id, part.offset.into(), len, part.more);
            if part.offset > 0 {
                self.named(ip_protocol_name(chain.protocol()), chain.protocol());
            }
        }
    }

    pub(super) fn gre(&mut self, gre: &Gre<'_>) {
        self.text.str(if gre.version() == 1 { "GREv1" } else { "GRE" });
        if let Some(key) = gre.key() {
            self.text.str(", key 0x").hex::<8>(key);
        }
        if let Some(sequence) = gre.sequence() {
            self.text.str(", seq ").dec(sequence);
        }
        self.text.str(": ");
    }

    pub(super) fn ah(&mut self, ah: &Ah<'_>) {
        self.text.str("AH, spi 0x").hex::<8>(ah.spi()).str(", seq ").dec(ah.sequence());
        if self.options.verbose {
            self.text.str(", icv 0x").hex_bytes(ah.icv(), "");
        }
        self.text.str(": ");
    }

    pub(super) fn esp(&mut self, esp: &Esp<'_>) {
        self.text.str("ESP, spi 0x").hex::<8>(esp.spi()).str(", seq ").dec(esp.sequence());
        self.length(self.packet.payload_len());
    }

    pub(super) fn geneve(&mut self, geneve: &Geneve<'_>) {
        self.text.str("Geneve, vni ").dec(geneve.vni());
        if geneve.control() {
            self.text.str(", OAM");
        }
        if self.options.verbose {
            for option in geneve.options().flatten() {
                self.text.str(", option 0x").hex::<4>(option.class);
                self.text.str(" type 0x").hex::<2>(option.kind);
                self.text.str(" len ").len(option.data.len() + 4);
            }
        }
        self.text.str(": ");
    }
}
