//! IEEE 802.2 logical link control.

use super::Lowerer;
use super::fragment::{Fragment, not};
use super::layout::is_wlan;
use crate::error::Result;
use crate::ir::Size;
use crate::link::number as dlt;
use crate::names::protocols::llc_control;

impl Lowerer<'_> {
    pub(super) fn llc(&mut self, kind: Option<&str>) -> Result<Fragment> {
        let is = self.is_llc()?;
        let Some(kind) = kind else { return Ok(is) };
        let control = self.layout.payload.plus(2);
        let test = if kind == "i" {
            // Information frames have the lowest bit clear.
            not(self.any_bit(control, Size::Byte, 0x01))
        } else {
            let Some((mask, value)) = llc_control(kind) else {
                return Err(self.bad_value(format!(
                    "unknown LLC type '{kind}': i, s, u, rr, rnr, rej, ui, ua, disc, dm, sabme, \
                     test, xid or frmr"
                )));
            };
            self.masked(control, Size::Byte, mask, value)
        };
        Ok(self.program.and(is, test))
    }

    fn is_llc(&mut self) -> Result<Fragment> {
        match self.layout.link {
            dlt::EN10MB | dlt::DSA_TAG_BRCM | dlt::DSA_TAG_DSA => {
                let framed = self.is_802_3();
                // Novell's raw framing has no LLC.
                let raw = self.equal(self.layout.payload, Size::Half, 0xffff);
                Ok(self.program.and(framed, not(raw)))
            }
            link if is_wlan(link) => Ok(self.wlan_data()),
            dlt::SUNATM => Ok(self.atm_llc()),
            dlt::FDDI | dlt::IEEE802 | dlt::ATM_RFC1483 => Ok(Fragment::Always(true)),
            _ => Err(self.not_on_link("llc")),
        }
    }
}
