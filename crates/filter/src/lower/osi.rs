//! OSI network protocols and IS-IS packet types.

use super::Lowerer;
use super::fragment::Fragment;
use super::layout::{Place, is_juniper};
use crate::error::Result;
use crate::ir::Size;
use crate::link::number as dlt;
use crate::names::protocols::{LLC_ISO, OSI_ISIS};

impl Lowerer<'_> {
    /// `bytes` behind where the network layer protocol identifier is.
    fn osi(&self, bytes: u32) -> Result<Place> {
        let link = self.layout.link;
        if is_juniper(link) && self.layout.network_nosnap == 0 {
            return Err(self.not_on_link("iso"));
        }
        // Cisco HDLC has a pad byte there.
        Ok(self.layout.nosnap(bytes + u32::from(link == dlt::C_HDLC)))
    }

    pub(super) fn iso_protocol(&mut self, number: u32) -> Result<Fragment> {
        self.at_most("ISO protocol", number, 0xff)?;
        if self.layout.link == dlt::FRELAY {
            // Identifier and control octet (UI, 3) are one half word.
            return Ok(self.equal(self.layout.kind, Size::Half, 0x0300 | number));
        }
        let is = self.link_type(LLC_ISO)?;
        let place = self.osi(0)?;
        let test = self.equal(place, Size::Byte, number);
        Ok(self.program.and(is, test))
    }

    pub(super) fn isis_type(&mut self, number: u32) -> Result<Fragment> {
        self.at_most("IS-IS PDU type", number, 31)?;
        let is = self.iso_protocol(OSI_ISIS)?;
        let place = self.osi(4)?;
        let test = self.masked(place, Size::Byte, 0x1f, number);
        Ok(self.program.and(is, test))
    }

    pub(super) fn isis_types(&mut self, types: &[u32]) -> Result<Fragment> {
        let mut condition = Fragment::Always(false);
        for number in types {
            let test = self.isis_type(*number)?;
            condition = self.program.or(condition, test);
        }
        Ok(condition)
    }
}
