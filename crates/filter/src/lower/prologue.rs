//! Headers of computed length: 802.11 behind its radio headers, and pflog.
//!
//! Their offsets are computed once, in front of everything else. libpcap computes them for the
//! header that the text has reached *at its end*: behind `vxlan` or `geneve` the outer offsets
//! stay 0. We do the same, since its programs are the definition.

use super::Lowerer;
use super::fragment::{Fragment, not};
use super::layout::{Place, is_wlan};
use crate::error::Result;
use crate::ir::{Number, NumberId, Op, Size, Slot};
use crate::link::number as dlt;

/// The length of an 802.11 header without QoS control, in bytes.
const WLAN_HEADER_BYTES: u32 = 24;
/// A Prism header that is not AVS in disguise has a fixed length.
const PRISM_BYTES: u32 = 144;

impl Lowerer<'_> {
    /// Gives the variable parts of the outer headers their slots.
    pub(super) fn begin(&mut self) -> Result<()> {
        if self.outer == dlt::PFLOG {
            self.layout.payload = Place { slot: Some(self.slot()?), fixed: 0 };
        } else if is_wlan(self.outer) {
            if self.outer != dlt::IEEE802_11 {
                self.layout.header = Place { slot: Some(self.slot()?), fixed: 0 };
            }
            self.layout.payload = Place { slot: Some(self.slot()?), fixed: 0 };
        }
        Ok(())
    }

    /// Puts the computation of the offsets, where they are used, in front of `condition`.
    pub(super) fn with_prologue(&mut self, mut condition: Fragment) -> Result<Fragment> {
        let used: Vec<Slot> = self
            .program
            .numbers()
            .iter()
            .filter_map(|number| match number {
                Number::Slot(slot) => Some(*slot),
                _ => None,
            })
            .collect();
        let used = |place: Place| place.slot.filter(|slot| used.contains(slot));
        let payload = used(self.layout.payload);
        let header = self
            .layout
            .header
            .slot
            .filter(|_| payload.is_some() || used(self.layout.header).is_some());
        if let (Some(slot), dlt::PFLOG) = (payload, self.outer) {
            let length = self.outer_load(0, Size::Byte);
            let length = self.program.binary_const(Op::Add, length, 3);
            let length = self.program.binary_const(Op::And, length, !3);
            let set = self.program.sets(vec![(slot, length)]);
            condition = self.program.and(set, condition);
        } else if is_wlan(self.outer) {
            if let Some(payload) = payload {
                let set = self.wlan_payload(header, payload);
                condition = self.program.and(set, condition);
            }
            if let Some(header) = header {
                let set = self.radio_length(header);
                condition = self.program.and(set, condition);
            }
        }
        if self.outer == dlt::PPI {
            // Only 802.11 can be behind the PPI header: its DLT, in little-endian order.
            let wlan = self.equal(Place::at(4), Size::Word, 105u32.swap_bytes());
            condition = self.program.and(wlan, condition);
        }
        Ok(condition)
    }

    fn outer_load(&mut self, offset: u32, size: Size) -> NumberId {
        self.program.intern(Number::Load { base: None, offset, size })
    }

    /// The length of the radio header, where 802.11 begins.
    fn radio_length(&mut self, slot: Slot) -> Fragment {
        match self.outer {
            dlt::PRISM_HEADER => {
                let avs = self.masked(Place::at(0), Size::Word, 0xffff_f000, 0x8021_1000);
                let length = self.outer_load(4, Size::Word);
                let from_avs = self.program.sets(vec![(slot, length)]);
                let fixed = self.program.literal(PRISM_BYTES);
                let from_prism = self.program.sets(vec![(slot, fixed)]);
                let avs = self.program.and(avs, from_avs);
                self.program.or(avs, from_prism)
            }
            dlt::IEEE802_11_RADIO_AVS => {
                let length = self.outer_load(4, Size::Word);
                self.program.sets(vec![(slot, length)])
            }
            // Radiotap and PPI: 16 bits at offset 2, little-endian.
            _ => {
                let high = self.outer_load(3, Size::Byte);
                let high = self.program.binary_const(Op::Shl, high, 8);
                let low = self.outer_load(2, Size::Byte);
                let length = self.program.intern(Number::Binary(Op::Or, low, high));
                self.program.sets(vec![(slot, length)])
            }
        }
    }

    /// Where the payload of a data frame begins: behind QoS control if there is one, padded to
    /// four bytes if radiotap says so (flags bit 0x20).
    fn wlan_payload(&mut self, header: Option<Slot>, payload: Slot) -> Fragment {
        let frame = Place { slot: header, fixed: 0 };
        let start = self.position(frame);
        let length = self.program.binary_const(Op::Add, start, WLAN_HEADER_BYTES);
        let set = self.program.sets(vec![(payload, length)]);

        let data = self.any_bit(frame, Size::Byte, 0x08);
        let extension = self.any_bit(frame, Size::Byte, 0x04);
        let qos = self.any_bit(frame, Size::Byte, 0x80);
        let now = self.slot_number(payload);
        let longer = self.program.binary_const(Op::Add, now, 2);
        let longer = self.program.sets(vec![(payload, longer)]);
        let qos = self.program.and(qos, longer);
        let done = self.program.sets(Vec::new());
        let mut behind = self.program.or(qos, done);
        if self.outer == dlt::IEEE802_11_RADIO && !self.layout.overlay {
            let padded = self.radiotap_padding(payload);
            behind = self.program.and(behind, padded);
        }
        let is_data = self.program.and(data, not(extension));
        let behind = self.program.and(is_data, behind);
        let done = self.program.sets(Vec::new());
        let rest = self.program.or(behind, done);
        self.program.and(set, rest)
    }

    fn radiotap_padding(&mut self, payload: Slot) -> Fragment {
        let present = Place::at(4);
        // Little-endian bits of the presence word: flags (1), extension (31), TSFT (0).
        let flags = self.any_bit(present, Size::Word, 0x0200_0000);
        let extended = self.any_bit(present, Size::Word, 0x0000_0080);
        let tsft = self.any_bit(present, Size::Word, 0x0100_0000);
        let behind_tsft = self.any_bit(Place::at(16), Size::Byte, 0x20);
        let at_once = self.any_bit(Place::at(8), Size::Byte, 0x20);
        let pad = self.program.choose(tsft, behind_tsft, at_once);
        let now = self.slot_number(payload);
        let up = self.program.binary_const(Op::Add, now, 3);
        let up = self.program.binary_const(Op::And, up, !3);
        let up = self.program.sets(vec![(payload, up)]);
        let padded = self.program.all([flags, not(extended), pad, up]);
        let done = self.program.sets(Vec::new());
        self.program.or(padded, done)
    }
}
