//! IEEE 802.11: addresses, types and directions. Addresses mean something else in every kind of
//! frame (IEEE 802.11-2020, 9.3.2.1).

use super::Lowerer;
use super::fragment::{Fragment, not};
use super::layout::is_wlan;
use crate::ast::{Direction, NameOrNumber};
use crate::error::Result;
use crate::ir::Size;
use crate::names::wlan;

const ADDRESS1: u32 = 4;
const ADDRESS2: u32 = 10;
const ADDRESS3: u32 = 16;
const ADDRESS4: u32 = 24;

/// Bits of the first octet.
const CONTROL: u32 = 0x04;
const DATA: u32 = 0x08;
/// Bits of the second octet.
const TO_DS: u32 = 0x01;
const FROM_DS: u32 = 0x02;

impl Lowerer<'_> {
    fn control_bit(&mut self, bit: u32) -> Fragment {
        self.any_bit(self.layout.header, Size::Byte, bit)
    }

    fn ds_bit(&mut self, bit: u32) -> Fragment {
        self.any_bit(self.layout.header.plus(1), Size::Byte, bit)
    }

    /// A data frame: something follows the header.
    pub(super) fn wlan_data(&mut self) -> Fragment {
        self.masked(self.layout.header, Size::Byte, 0x0c, DATA)
    }

    pub(super) fn wlan_host(
        &mut self,
        direction: Option<Direction>,
        address: [u8; 6],
    ) -> Result<Fragment> {
        if let Some(Direction::Wlan(word)) = direction {
            return Ok(self.wlan_address(word, address));
        }
        self.by_direction(direction, |lowerer, from| {
            if from {
                lowerer.wlan_source(&|lowerer, at| lowerer.mac_at(at, address))
            } else {
                lowerer.wlan_destination(&|lowerer, at| lowerer.mac_at(at, address))
            }
        })
    }

    fn mac_at(&mut self, offset: u32, address: [u8; 6]) -> Fragment {
        self.bytes(self.layout.header.plus(offset), &address)
    }

    pub(super) fn wlan_multicast(&mut self) -> Fragment {
        self.wlan_destination(&|lowerer, at| {
            lowerer.any_bit(lowerer.layout.header.plus(at), Size::Byte, 1)
        })
    }

    /// Not control; management: address 1; data: address 3 towards the distribution system,
    /// else address 1.
    fn wlan_destination(&mut self, test: &dyn Fn(&mut Self, u32) -> Fragment) -> Fragment {
        let not_control = not(self.control_bit(CONTROL));
        let management = not(self.control_bit(DATA));
        let first = test(self, ADDRESS1);
        let management = self.program.and(management, first);
        let data = self.control_bit(DATA);
        let away = not(self.ds_bit(TO_DS));
        let first = test(self, ADDRESS1);
        let away = self.program.and(away, first);
        let towards = self.ds_bit(TO_DS);
        let third = test(self, ADDRESS3);
        let towards = self.program.and(towards, third);
        let either = self.program.or(away, towards);
        let data = self.program.and(data, either);
        let either = self.program.or(management, data);
        self.program.and(not_control, either)
    }

    /// Not control; management: address 2; data: address 2, 3 or 4, by the direction.
    fn wlan_source(&mut self, test: &dyn Fn(&mut Self, u32) -> Fragment) -> Fragment {
        let not_control = not(self.control_bit(CONTROL));
        let management = not(self.control_bit(DATA));
        let second = test(self, ADDRESS2);
        let management = self.program.and(management, second);
        let data = self.control_bit(DATA);
        let not_from = not(self.ds_bit(FROM_DS));
        let second = test(self, ADDRESS2);
        let not_from = self.program.and(not_from, second);
        let from = self.ds_bit(FROM_DS);
        let only = not(self.ds_bit(TO_DS));
        let third = test(self, ADDRESS3);
        let only = self.program.and(only, third);
        let bridged = self.ds_bit(TO_DS);
        let fourth = test(self, ADDRESS4);
        let bridged = self.program.and(bridged, fourth);
        let either = self.program.or(only, bridged);
        let from = self.program.and(from, either);
        let either = self.program.or(not_from, from);
        let data = self.program.and(data, either);
        let either = self.program.or(management, data);
        self.program.and(not_control, either)
    }

    /// A given address field, where the kind of frame has it.
    fn wlan_address(&mut self, word: &str, address: [u8; 6]) -> Fragment {
        let header = self.layout.header;
        match word {
            "addr1" => self.mac_at(ADDRESS1, address),
            "addr2" => self.second_address(address),
            "addr3" => {
                let control = self.masked(header, Size::Byte, 0x0c, CONTROL);
                let test = self.mac_at(ADDRESS3, address);
                self.program.and(not(control), test)
            }
            "addr4" => {
                let bridged = self.masked(header.plus(1), Size::Byte, 0x03, 0x03);
                let test = self.mac_at(ADDRESS4, address);
                self.program.and(bridged, test)
            }
            "ra" => {
                let data = self.control_bit(DATA);
                let test = self.mac_at(ADDRESS1, address);
                self.program.and(data, test)
            }
            _ => {
                let data = self.control_bit(DATA);
                let test = self.second_address(address);
                self.program.and(data, test)
            }
        }
    }

    /// CTS and ACK have no address 2.
    fn second_address(&mut self, address: [u8; 6]) -> Fragment {
        let header = self.layout.header;
        let control = self.masked(header, Size::Byte, 0x0c, CONTROL);
        let cts = self.masked(header, Size::Byte, 0xf0, 0xc0);
        let ack = self.masked(header, Size::Byte, 0xf0, 0xd0);
        let short = self.program.or(cts, ack);
        let short = self.program.and(control, short);
        let test = self.mac_at(ADDRESS2, address);
        self.program.and(not(short), test)
    }

    pub(super) fn wlan_type(
        &mut self,
        kind: Option<&NameOrNumber>,
        subtype: Option<&NameOrNumber>,
    ) -> Result<Fragment> {
        if !is_wlan(self.layout.link) {
            return Err(self.not_on_link("type/subtype"));
        }
        let kind = match kind {
            None => None,
            Some(NameOrNumber::Number(value)) if value & !0x0c == 0 => Some(*value),
            Some(NameOrNumber::Number(value)) => {
                return Err(self.bad_value(format!("802.11 type {value} is not 0, 4, 8 or 12")));
            }
            Some(NameOrNumber::Name(name)) => Some(wlan::frame_type(name).ok_or_else(|| {
                self.bad_value(format!("unknown 802.11 type '{name}': mgt, ctl or data"))
            })?),
        };
        let bits = match (kind, subtype) {
            (_, None) => None,
            (_, Some(NameOrNumber::Number(value))) if value & !0xf0 == 0 => Some(*value),
            (_, Some(NameOrNumber::Number(value))) => {
                let message = format!("802.11 subtype {value} is no multiple of 16 up to 240");
                return Err(self.bad_value(message));
            }
            (kind, Some(NameOrNumber::Name(name))) => {
                let bits = match kind {
                    Some(kind) => wlan::subtype_of(kind, name),
                    None => wlan::subtype(name),
                };
                let unknown =
                    || self.bad_value(format!("'{name}' is no 802.11 subtype of this type"));
                Some(bits.ok_or_else(unknown)?)
            }
        };
        let (mask, value) = match (kind, bits) {
            (kind, Some(bits)) => (0xfc, kind.unwrap_or(0) | bits),
            (kind, None) => (0x0c, kind.unwrap_or(0)),
        };
        Ok(self.masked(self.layout.header, Size::Byte, mask, value))
    }

    pub(super) fn wlan_direction(&mut self, direction: &NameOrNumber) -> Result<Fragment> {
        if !is_wlan(self.layout.link) {
            return Err(self.not_on_link("dir"));
        }
        let value = match direction {
            NameOrNumber::Number(value) => {
                self.at_most("802.11 direction", *value, 3)?;
                *value
            }
            NameOrNumber::Name(name) => wlan::direction(name).ok_or_else(|| {
                self.bad_value(format!(
                    "unknown 802.11 direction '{name}': nods, tods, fromds or dstods"
                ))
            })?,
        };
        Ok(self.masked(self.layout.header.plus(1), Size::Byte, 0x03, value))
    }
}
