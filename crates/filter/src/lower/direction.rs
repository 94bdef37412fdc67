//! `inbound`, `outbound` and `ifindex`: where the capture says it.

use super::Lowerer;
use super::fragment::{Fragment, not};
use super::layout::{Place, is_juniper};
use crate::error::Result;
use crate::ir::{Compare, Meta, Number, Size};
use crate::link::number as dlt;

/// `PACKET_OUTGOING` (linux/if_packet.h).
const OUTGOING: u32 = 4;

impl Lowerer<'_> {
    pub(super) fn direction(&mut self, outbound: bool) -> Result<Fragment> {
        let either = |no, yes| if outbound { yes } else { no };
        let signed = |test| if outbound { test } else { not(test) };
        Ok(match self.outer {
            dlt::SLIP => self.equal(Place::at(0), Size::Byte, either(0, 1)),
            dlt::PPP_PPPD => self.equal(Place::at(0), Size::Byte, either(0, 1)),
            dlt::IPNET => self.equal(Place::at(2), Size::Half, either(2, 1)),
            dlt::LINUX_SLL => signed(self.equal(Place::at(0), Size::Half, OUTGOING)),
            dlt::LINUX_SLL2 => signed(self.equal(Place::at(10), Size::Byte, OUTGOING)),
            dlt::PFLOG => self.equal(Place::at(60), Size::Byte, either(1, 2)),
            link if is_juniper(link) => self.masked(Place::at(3), Size::Byte, 0x01, either(1, 0)),
            // Opcode 0 from the switch, 1 to it.
            dlt::DSA_TAG_BRCM => self.masked(Place::at(12), Size::Byte, 0xe0, either(0x00, 0x20)),
            // TO_CPU and FORWARD come in, FROM_CPU goes out.
            dlt::DSA_TAG_DSA => {
                let mask = either(0x40, 0xc0);
                self.masked(Place::at(12), Size::Byte, mask, either(0x00, 0x40))
            }
            _ if self.options.linux_extensions => {
                let kind = self.program.intern(Number::Meta(Meta::PacketType));
                signed(self.compare(kind, Compare::Equal, OUTGOING))
            }
            _ => return Err(self.not_live(if outbound { "outbound" } else { "inbound" })),
        })
    }

    pub(super) fn ifindex(&mut self, index: u32) -> Result<Fragment> {
        if self.outer == dlt::LINUX_SLL2 {
            return Ok(self.equal(Place::at(4), Size::Word, index));
        }
        if !self.options.linux_extensions {
            return Err(self.not_live("ifindex"));
        }
        let field = self.program.intern(Number::Meta(Meta::InterfaceIndex));
        Ok(self.compare(field, Compare::Equal, index))
    }

    fn not_live(&self, word: &str) -> crate::FilterError {
        let error = self.not_on_link(word);
        let message = format!("{error}: it needs a live Linux socket, or a cooked capture");
        self.unsupported(message)
    }
}
