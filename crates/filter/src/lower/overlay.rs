//! `vxlan` and `geneve`: everything after them in the text is about the inner packet.

use super::Lowerer;
use super::fragment::Fragment;
use super::ip::{IP6_BYTES, protocol};
use super::layout::Place;
use super::linktype::ethertype::{IP6, TRANSPARENT_ETHERNET};
use super::not;
use crate::error::Result;
use crate::ir::{Compare, Number, NumberId, Op, Size};
use crate::link::number as dlt;

const VXLAN_PORT: u32 = 4789;
const GENEVE_PORT: u32 = 6081;
const UDP_BYTES: u32 = 8;
const VXLAN_BYTES: u32 = 8;
const VNI_MAX: u32 = 0xff_ffff;
/// MAC addresses in front of the EtherType.
const MACS_BYTES: u32 = 12;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Vxlan,
    Geneve,
}

impl Lowerer<'_> {
    pub(super) fn vxlan(&mut self, vni: Option<u32>) -> Result<Fragment> {
        self.overlay(Kind::Vxlan, vni)
    }

    pub(super) fn geneve(&mut self, vni: Option<u32>) -> Result<Fragment> {
        // The header has a computed length: libpcap leaves such programs unoptimised.
        self.program.may_optimize = false;
        self.overlay(Kind::Geneve, vni)
    }

    fn overlay(&mut self, kind: Kind, vni: Option<u32>) -> Result<Fragment> {
        if let Some(vni) = vni {
            self.at_most("network identifier", vni, VNI_MAX)?;
        }
        // Where the outer IP payload (the UDP header) begins.
        let udp = self.slot()?;
        let four = self.outer4(kind, vni)?;
        let at = self.udp4()?;
        let four = self.ending_at(four, udp, at);
        let six = self.outer6(kind, vni)?;
        let at = self.network(IP6_BYTES)?;
        let at = self.position(at);
        let six = self.ending_at(six, udp, at);
        let matched = self.program.or(four, six);
        let udp = self.slot_number(udp);
        let inner = match kind {
            Kind::Vxlan => self.inside_vxlan(udp)?,
            Kind::Geneve => self.inside_geneve(udp)?,
        };
        Ok(self.program.and(matched, inner))
    }

    fn ending_at(&mut self, test: Fragment, slot: crate::ir::Slot, at: NumberId) -> Fragment {
        let set = self.program.sets(vec![(slot, at)]);
        self.program.and(test, set)
    }

    /// The position behind the IPv4 header.
    fn udp4(&mut self) -> Result<NumberId> {
        let place = self.network(0)?;
        let start = self.position(place);
        let length = self.header4_bytes()?;
        Ok(self.program.intern(Number::Binary(Op::Add, length, start)))
    }

    fn outer4(&mut self, kind: Kind, vni: Option<u32>) -> Result<Fragment> {
        let is = self.protocol4(protocol::UDP)?;
        let first = self.first_fragment()?;
        let port = self.behind4(2, Size::Half)?;
        let flags = self.behind4(UDP_BYTES, Size::Byte)?;
        let network = self.behind4(UDP_BYTES + 4, Size::Word)?;
        let header = self.header(kind, vni, port, flags, network);
        Ok(self.program.all([is, first, header]))
    }

    fn outer6(&mut self, kind: Kind, vni: Option<u32>) -> Result<Fragment> {
        let is = self.link_type(IP6)?;
        let next = self.network(6)?;
        let is_udp = self.equal(next, Size::Byte, protocol::UDP);
        let udp = self.network(IP6_BYTES)?;
        let port = self.load(udp.plus(2), Size::Half);
        let flags = self.load(udp.plus(UDP_BYTES), Size::Byte);
        let network = self.load(udp.plus(UDP_BYTES + 4), Size::Word);
        let header = self.header(kind, vni, port, flags, network);
        Ok(self.program.all([is, is_udp, header]))
    }

    /// Port, version or flags, and the network identifier in the upper 24 bits of its word
    /// (RFC 7348, RFC 8926).
    fn header(
        &mut self,
        kind: Kind,
        vni: Option<u32>,
        port: NumberId,
        flags: NumberId,
        network: NumberId,
    ) -> Fragment {
        let to = match kind {
            Kind::Vxlan => VXLAN_PORT,
            Kind::Geneve => GENEVE_PORT,
        };
        let mut parts = vec![self.compare(port, Compare::Equal, to)];
        parts.push(match kind {
            Kind::Vxlan => self.compare(flags, Compare::Equal, 0x08),
            Kind::Geneve => {
                let version = self.program.binary_const(Op::And, flags, 0xc0);
                self.compare(version, Compare::Equal, 0)
            }
        });
        if let Some(vni) = vni {
            let field = self.program.binary_const(Op::And, network, 0xffff_ff00);
            parts.push(self.compare(field, Compare::Equal, vni << 8));
        }
        self.program.all(parts)
    }

    /// New slots for the inner frame; an Ethernet frame until proved otherwise.
    fn enter(&mut self) -> Result<()> {
        let place = |slot| Place { slot: Some(slot), fixed: 0 };
        self.layout.header = place(self.slot()?);
        self.layout.kind = place(self.slot()?);
        self.layout.payload = place(self.slot()?);
        self.layout.network = 0;
        self.layout.network_nosnap = 3;
        self.layout.link = dlt::EN10MB;
        self.layout.labels = 0;
        self.layout.overlay = true;
        Ok(())
    }

    fn inside_vxlan(&mut self, udp: NumberId) -> Result<Fragment> {
        self.enter()?;
        let frame = self.program.binary_const(Op::Add, udp, UDP_BYTES + VXLAN_BYTES);
        self.set_frame(frame)
    }

    fn set_frame(&mut self, frame: NumberId) -> Result<Fragment> {
        let kind = self.program.binary_const(Op::Add, frame, MACS_BYTES);
        let payload = self.program.binary_const(Op::Add, frame, MACS_BYTES + 2);
        let places = [self.layout.header, self.layout.kind, self.layout.payload];
        let values = [frame, kind, payload];
        let sets =
            places.iter().zip(values).filter_map(|(place, value)| Some((place.slot?, value)));
        let sets = sets.collect();
        Ok(self.program.sets(sets))
    }

    /// The protocol field says whether an Ethernet header follows; if not, the field itself is
    /// the EtherType of what follows.
    fn inside_geneve(&mut self, udp: NumberId) -> Result<Fragment> {
        self.enter()?;
        let header = self.program.binary_const(Op::Add, udp, UDP_BYTES);
        let load = |offset, size| Number::Load { base: Some(header), offset, size };
        let options = self.program.intern(load(0, Size::Byte));
        let options = self.program.binary_const(Op::And, options, 0x3f);
        let options = self.program.binary_const(Op::Mul, options, 4);
        let length = self.program.binary_const(Op::Add, options, 8);
        let inner = self.program.intern(Number::Binary(Op::Add, length, header));
        let protocol_at = self.program.binary_const(Op::Add, header, 2);
        let protocol = self.program.intern(load(2, Size::Half));

        let ethernet = self.compare(protocol, Compare::Equal, TRANSPARENT_ETHERNET);
        let framed = self.set_frame(inner)?;
        let framed = self.program.and(ethernet, framed);
        let places = [self.layout.header, self.layout.kind, self.layout.payload];
        let values = [inner, protocol_at, inner];
        let sets =
            places.iter().zip(values).filter_map(|(place, value)| Some((place.slot?, value)));
        let sets = sets.collect();
        let bare = self.program.sets(sets);
        Ok(self.program.or(framed, bare))
    }

    /// In front of tests of an inner link header: there must be one.
    pub(super) fn framed(&mut self, test: Fragment) -> Fragment {
        if !self.layout.overlay {
            return test;
        }
        let header = self.position(self.layout.header);
        let payload = self.position(self.layout.payload);
        let test_none = crate::ir::Test { left: header, compare: Compare::Equal, right: payload };
        let none = self.program.test(test_none);
        self.program.and(not(none), test)
    }
}
