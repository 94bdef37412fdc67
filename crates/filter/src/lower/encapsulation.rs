//! Encapsulations that shift what comes after them in the text: vlan, mpls, pppoe.

use super::Lowerer;
use super::fragment::{Fragment, not};
use super::layout::{Layout, Place, is_ethernet, is_wlan};
use super::linktype::ethertype::{self, IP, IP6};
use crate::error::Result;
use crate::ir::{Compare, Meta, Number, Op, Size};
use crate::link::number as dlt;

/// Tag protocol identifiers: 802.1Q, 802.1ad, and the one that came before 802.1ad.
const TAGS: [u32; 3] = [0x8100, 0x88a8, 0x9100];
const TAG_BYTES: u32 = 4;
const LABEL_BYTES: u32 = 4;
const PPPOE_BYTES: u32 = 6;
const PPP_MPLS: u32 = 0x0281;

impl Lowerer<'_> {
    pub(super) fn encapsulation(&mut self, word: &str, number: Option<u32>) -> Result<Fragment> {
        match word {
            "vlan" => self.vlan(number),
            "mpls" => self.mpls(number),
            "pppoed" => self.link_type(ethertype::PPPOE_DISCOVERY),
            "pppoes" => self.pppoe_session(number),
            "vxlan" => self.vxlan(number),
            _ => self.geneve(number),
        }
    }

    fn vlan(&mut self, id: Option<u32>) -> Result<Fragment> {
        if self.layout.labels > 0 {
            return Err(self.unsupported("no VLAN tag can follow an MPLS label"));
        }
        let link = self.layout.link;
        let wlan = is_wlan(link) && link != dlt::PPI;
        if !is_ethernet(link) && !wlan {
            return Err(self.not_on_link("vlan"));
        }
        if let Some(id) = id {
            self.at_most("VLAN id", id, 4095)?;
        }
        let plain_ethernet = link == dlt::EN10MB && !self.layout.overlay;
        let first = self.layout.kind == Layout::new(link).kind;
        let beside = self.options.linux_extensions && !self.options.tags_in_frame;
        if beside && plain_ethernet && first {
            return self.vlan_beside(id);
        }
        let tagged = self.vlan_tag()?;
        let id = self.vlan_id(id);
        self.layout.payload = self.layout.payload.plus(TAG_BYTES);
        self.layout.kind = self.layout.kind.plus(TAG_BYTES);
        Ok(self.program.and(tagged, id))
    }

    fn vlan_tag(&mut self) -> Result<Fragment> {
        let mut condition = Fragment::Always(false);
        for tag in TAGS {
            let test = self.link_type(tag)?;
            condition = self.program.or(condition, test);
        }
        Ok(condition)
    }

    fn vlan_id(&mut self, id: Option<u32>) -> Fragment {
        match id {
            None => Fragment::Always(true),
            Some(id) => self.masked(self.layout.payload, Size::Half, 0x0fff, id),
        }
    }

    /// Live on Linux the kernel has taken the outer tag out of the frame. If it has not, the tag
    /// is in the frame, and all that follows is four bytes further: a computed offset.
    fn vlan_beside(&mut self, id: Option<u32>) -> Result<Fragment> {
        let shift = self.slot()?;
        let present = self.program.intern(Number::Meta(Meta::VlanPresent));
        let beside = self.compare(present, Compare::Equal, 1);
        let four = self.program.literal(TAG_BYTES);
        let shifted = self.program.sets(vec![(shift, four)]);
        let tag = self.vlan_tag()?;
        let inside = self.program.and(shifted, tag);
        let mut tagged = self.program.or(beside, inside);
        if let Some(value) = id {
            let beside = self.compare(present, Compare::Equal, 1);
            let tci = self.program.intern(Number::Meta(Meta::VlanTci));
            let tci = self.program.binary_const(Op::And, tci, 0x0fff);
            let by_meta = self.compare(tci, Compare::Equal, value);
            let by_bytes = self.vlan_id(id);
            let matched = self.program.choose(beside, by_meta, by_bytes);
            tagged = self.program.and(tagged, matched);
        }
        self.layout.payload = Place { slot: Some(shift), ..self.layout.payload };
        self.layout.kind = Place { slot: Some(shift), ..self.layout.kind };
        Ok(tagged)
    }

    fn mpls(&mut self, label: Option<u32>) -> Result<Fragment> {
        let link = self.layout.link;
        let mut condition = if self.layout.labels > 0 {
            not(self.last_label())
        } else if is_ethernet(link) || matches!(link, dlt::C_HDLC | dlt::HDLC) {
            self.link_type(ethertype::MPLS)?
        } else if link == dlt::PPP {
            self.equal(self.layout.kind, Size::Half, PPP_MPLS)
        } else {
            return Err(self.not_on_link("mpls"));
        };
        if let Some(label) = label {
            self.at_most("MPLS label", label, 0xf_ffff)?;
            let entry = self.layout.network(0);
            let test = self.masked(entry, Size::Word, 0xffff_f000, label << 12);
            condition = self.program.and(condition, test);
        }
        self.layout.network += LABEL_BYTES;
        self.layout.network_nosnap += LABEL_BYTES;
        self.layout.labels += 1;
        Ok(condition)
    }

    /// The bottom-of-stack bit of the label before.
    fn last_label(&mut self) -> Fragment {
        let label = self.layout.payload.plus(self.layout.network - LABEL_BYTES);
        self.any_bit(label.plus(2), Size::Byte, 0x01)
    }

    /// Behind the last label, the version of IP is all that tells protocols apart.
    pub(super) fn mpls_payload(&mut self, protocol: u32) -> Result<Fragment> {
        let last = self.last_label();
        let version = match protocol {
            IP => 0x40,
            IP6 => 0x60,
            _ => return Err(self.unsupported("only ip and ip6 can be told apart behind mpls")),
        };
        let test = self.masked(self.layout.network(0), Size::Byte, 0xf0, version);
        Ok(self.program.and(last, test))
    }

    fn pppoe_session(&mut self, session: Option<u32>) -> Result<Fragment> {
        let mut condition = self.link_type(ethertype::PPPOE_SESSION)?;
        if let Some(session) = session {
            self.at_most("PPPoE session", session, 0xffff)?;
            let field = self.layout.network(2);
            let test = self.equal(field, Size::Half, session);
            condition = self.program.and(condition, test);
        }
        let ppp = self.layout.network(PPPOE_BYTES);
        self.layout.link = dlt::PPP;
        self.layout.header = ppp;
        self.layout.kind = ppp;
        self.layout.payload = ppp.plus(2);
        self.layout.network = 0;
        self.layout.network_nosnap = 0;
        Ok(condition)
    }
}
