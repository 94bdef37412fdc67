//! Link headers, ARP.

use super::Line;
use crate::names::ethertype_name;
use crate::read::at_most;
use crate::{
    Arp, Ethernet, Llc, Loopback, Mac, Mpls, Ppp, PppNext, Pppoe, SAP_STP, Sll, Vlan, hardware,
};

/// The most PPPoE tags that a line shows.
const TAGS_SHOWN_MAX: usize = 8;
/// The most bytes that it shows of each.
const TAG_BYTES_SHOWN_MAX: usize = 16;

impl Line<'_, '_> {
    /// `IPv4 (0x0800)`, or only the number.
    pub(super) fn ethertype(&mut self, number: u16) {
        match ethertype_name(number) {
            Some(name) => self.text.str(name).str(" (0x").hex::<4>(number).byte(b')'),
            None => self.text.str("0x").hex::<4>(number),
        };
    }

    pub(super) fn ethernet(&mut self, ethernet: &Ethernet<'_>) {
        if !self.options.link_header {
            return;
        }
        self.text.mac(ethernet.source()).str(" > ");
        if ethernet.destination() == Mac::BROADCAST {
            self.text.str("broadcast");
        } else {
            self.text.mac(ethernet.destination());
        }
        match ethernet.ethertype() {
            Some(number) => {
                self.text.str(", ethertype ");
                self.ethertype(number);
            }
            None => _ = self.text.str(", 802.3"),
        }
        // The length of the frame: the inner frame of a tunnel has what is left of it.
        let len = match self.index {
            0 => self.frame.wire_len as usize,
            _ => Ethernet::LEN + ethernet.payload().len(),
        };
        self.length(len);
        self.text.str(": ");
    }

    pub(super) fn llc(&mut self, llc: &Llc<'_>) {
        if !self.is_last() || llc.ethertype().is_some() {
            return;
        }
        if llc.dsap() == SAP_STP {
            self.text.str("STP");
            return;
        }
        self.text.str("LLC, dsap 0x").hex::<2>(llc.dsap()).str(", ssap 0x").hex::<2>(llc.ssap());
        self.text.str(", ctrl 0x").hex_bytes(llc.control(), "");
        if let Some((organisation, protocol)) = llc.snap() {
            self.text.str(", oui 0x").hex::<6>(organisation).str(", pid 0x").hex::<4>(protocol);
        }
    }

    pub(super) fn vlan(&mut self, vlan: &Vlan<'_>) {
        self.text.str("vlan ").dec(vlan.id()).str(", ");
        if self.options.link_header || vlan.priority() != 0 {
            self.text.str("p ").dec(vlan.priority()).str(", ");
        }
        if vlan.drop_eligible() {
            self.text.str("DEI, ");
        }
    }

    pub(super) fn mpls(&mut self, mpls: &Mpls<'_>) {
        self.text.str("MPLS");
        for label in mpls.labels() {
            self.text.str(" (label ").dec(label.label).str(", tc ").dec(label.traffic_class);
            self.text.str(if label.bottom { ", [S], ttl " } else { ", ttl " });
            self.text.dec(label.ttl).byte(b')');
        }
        if mpls.ip_version().is_some() {
            self.text.str(", ");
        }
    }

    pub(super) fn pppoe(&mut self, pppoe: &Pppoe<'_>) {
        self.text.str("PPPoE ");
        match pppoe.code_name() {
            Some(name) => self.text.str(name),
            None => self.text.str("code 0x").hex::<2>(pppoe.code()),
        };
        if pppoe.session() != 0 {
            self.text.str(" 0x").hex::<4>(pppoe.session());
        }
        if pppoe.code() == 0 {
            self.text.str(", ");
            return;
        }
        for (kind, value) in pppoe.tags().take(TAGS_SHOWN_MAX).flatten() {
            let name = match kind {
                0x0101 => "Service-Name",
                0x0102 => "AC-Name",
                0x0103 => "Host-Uniq",
                0x0104 => "AC-Cookie",
                0x0120 => "PPP-Max-Payload",
                0x0203 => "Generic-Error",
                _ => "tag",
            };
            self.text.str(" [").str(name);
            if !value.is_empty() {
                self.text.str(" 0x").hex_bytes(at_most(value, TAG_BYTES_SHOWN_MAX), "");
            }
            self.text.str(if value.len() > TAG_BYTES_SHOWN_MAX { "…]" } else { "]" });
        }
        self.length(pppoe.length().into());
    }

    pub(super) fn ppp(&mut self, ppp: &Ppp<'_>) {
        if self.options.link_header {
            self.text.str(match ppp.next() {
                PppNext::EtherType(_) => "HDLC ",
                PppNext::Protocol(_) => "PPP ",
            });
            let (PppNext::EtherType(number) | PppNext::Protocol(number)) = ppp.next();
            self.text.str("0x").hex::<4>(number).str(": ");
        }
    }

    pub(super) fn sll(&mut self, sll: &Sll<'_>) {
        if let Some(interface) = sll.interface() {
            self.text.str("if ").dec(interface).byte(b' ');
        }
        self.text.str(sll.packet_type_name()).byte(b' ');
        if self.options.link_header {
            if sll.hardware() != hardware::LOOPBACK {
                self.text.hex_bytes(sll.address(), ":").str(", ");
            }
            self.text.str("ethertype ");
            self.ethertype(sll.protocol());
            self.length(self.frame.wire_len as usize);
            self.text.str(": ");
        }
    }

    pub(super) fn loopback(&mut self, loopback: &Loopback<'_>) {
        if self.options.link_header && loopback.ip_version().is_some() {
            self.text.str("AF ").dec(loopback.family());
            self.length(self.frame.wire_len as usize);
            self.text.str(": ");
        }
    }

    pub(super) fn arp(&mut self, arp: &Arp<'_>) {
        self.text.str(if arp.operation() > 2 { "RARP, " } else { "ARP, " });
        let ipv4 = arp.ipv4();
        let sender = arp.sender_hardware();
        match (arp.operation(), ipv4) {
            (1, Some((from, to))) if from == to => {
                self.text.str("Announcement ").ipv4(from);
            }
            (1, Some((from, to))) => {
                self.text.str("Request who-has ").ipv4(to).str(" tell ").ipv4(from);
            }
            (2, Some((from, _))) => {
                self.text.str("Reply ").ipv4(from).str(" is-at ").hex_bytes(sender, ":");
            }
            (operation, _) => {
                self.text.str("op ").dec(operation).str(", hardware ").dec(arp.hardware());
                self.text.str(", protocol 0x").hex::<4>(arp.protocol());
            }
        }
        self.length(arp.packet_len());
    }
}
