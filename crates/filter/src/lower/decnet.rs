//! DECnet Phase IV addresses, in its short and its long routing header, with and without a pad.

use super::Lowerer;
use super::fragment::Fragment;
use crate::ast::Direction;
use crate::error::Result;
use crate::ir::Size;

const ETHERTYPE: u32 = 0x6003;
const AREA_MAX: u32 = 63;
const NODE_MAX: u32 = 1023;

impl Lowerer<'_> {
    pub(super) fn decnet_host(
        &mut self,
        direction: Option<Direction>,
        text: &str,
    ) -> Result<Fragment> {
        let parts: Vec<Option<u32>> = text.split('.').map(|part| part.parse().ok()).collect();
        let address = match parts[..] {
            [Some(area), Some(node)] if area <= AREA_MAX && node <= NODE_MAX => area << 10 | node,
            _ => {
                return Err(self.bad_value(format!(
                    "'{text}' is no DECnet address: area.node, up to {AREA_MAX}.{NODE_MAX}"
                )));
            }
        };
        // Little-endian on the wire.
        let address = u32::from((address as u16).swap_bytes());
        let is = self.link_type(ETHERTYPE)?;
        let host = self.by_direction(direction, |lowerer, from| {
            if from { lowerer.decnet_source(address) } else { lowerer.decnet_destination(address) }
        })?;
        Ok(self.program.and(is, host))
    }

    /// A header with these flags and the address behind it; a pad byte (0x81) shifts both.
    fn decnet_header(&mut self, flags: u32, offset: u32, address: u32) -> Fragment {
        let start = self.layout.network(2);
        let plain = self.masked(start, Size::Byte, 0x07, flags);
        let at = self.equal(self.layout.network(offset), Size::Half, address);
        let plain = self.program.and(plain, at);
        let padded = self.masked(start, Size::Half, 0xff07, 0x8100 | flags);
        let at = self.equal(self.layout.network(offset + 1), Size::Half, address);
        let padded = self.program.and(padded, at);
        self.program.or(plain, padded)
    }

    fn decnet_source(&mut self, address: u32) -> Fragment {
        let short = self.decnet_header(2, 5, address);
        let long = self.decnet_header(6, 17, address);
        self.program.or(short, long)
    }

    fn decnet_destination(&mut self, address: u32) -> Fragment {
        // Flags and destination of the short header are in one word.
        let start = self.layout.network(2);
        let short = self.masked(start, Size::Word, 0x07ff_ff00, 0x0200_0000 | address << 8);
        let padded = self.masked(start, Size::Word, 0xff07_ffff, 0x8102_0000 | address);
        let long = self.decnet_header(6, 9, address);
        self.program.any([short, padded, long])
    }
}
