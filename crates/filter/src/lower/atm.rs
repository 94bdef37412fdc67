//! SunATM: virtual paths and channels, LAN emulation, signalling (ITU-T I.361, Q.2931).

use super::Lowerer;
use super::fragment::Fragment;
use super::layout::{Layout, Place};
use crate::ast::Relation;
use crate::error::Result;
use crate::ir::Size;
use crate::link::number as dlt;

/// The low four bits of the first octet: what the cell carries.
const TYPE_LANE: u32 = 1;
const TYPE_LLC: u32 = 2;
/// Where a LAN emulation frame's Ethernet header begins: behind the LANE header.
const LANE_FRAME: u32 = 6;
/// The message type of a signalling message.
const MESSAGE: u32 = 9;
/// RELEASE DONE, RELEASE, CONNECT ACK, CONNECT, SETUP, CALL PROCEEDING.
const MESSAGES: [u32; 6] = [0x5a, 0x4d, 0x0f, 0x07, 0x05, 0x02];

impl Lowerer<'_> {
    fn sunatm(&self, word: &str) -> Result<()> {
        if self.outer == dlt::SUNATM {
            return Ok(());
        }
        Err(self.unsupported(format!("'{word}' is supported on link type SUNATM only")))
    }

    /// An abbreviation of ATM or SS7.
    pub(super) fn signal(&mut self, word: &'static str) -> Result<Fragment> {
        if matches!(word, "fisu" | "lssu" | "msu" | "hfisu" | "hlssu" | "hmsu") {
            return self.mtp_unit(word);
        }
        self.sunatm(word)?;
        match word {
            "lane" => Ok(self.lane()),
            "metac" => Ok(self.channels(&[1])),
            "bcc" => Ok(self.channels(&[2])),
            "oamf4sc" => Ok(self.channels(&[3])),
            "oamf4ec" => Ok(self.channels(&[4])),
            "oamf4" | "oam" => Ok(self.channels(&[3, 4])),
            "sc" => Ok(self.channels(&[5])),
            "ilmic" => Ok(self.channels(&[16])),
            "connectmsg" => Ok(self.messages(5, &MESSAGES)),
            _ => {
                let without_ack: Vec<u32> =
                    MESSAGES.iter().copied().filter(|kind| *kind != 0x0f).collect();
                Ok(self.messages(1, &without_ack))
            }
        }
    }

    /// Path 0 and one of these channels.
    fn channels(&mut self, channels: &[u32]) -> Fragment {
        let path = self.equal(Place::at(1), Size::Byte, 0);
        let mut channel = Fragment::Always(false);
        for number in channels {
            let test = self.equal(Place::at(2), Size::Half, *number);
            channel = self.program.or(channel, test);
        }
        self.program.and(path, channel)
    }

    fn messages(&mut self, channel: u32, messages: &[u32]) -> Fragment {
        let channel = self.channels(&[channel]);
        let mut message = Fragment::Always(false);
        for kind in messages {
            let test = self.equal(Place::at(MESSAGE), Size::Byte, *kind);
            message = self.program.or(message, test);
        }
        self.program.and(channel, message)
    }

    /// From here on the text is about the Ethernet frame inside.
    fn lane(&mut self) -> Fragment {
        let test = self.masked(Place::at(0), Size::Byte, 0x0f, TYPE_LANE);
        let ethernet = Layout::new(dlt::EN10MB);
        self.layout = Layout {
            link: dlt::SUNATM,
            header: Place::at(LANE_FRAME),
            kind: ethernet.kind.plus(LANE_FRAME),
            payload: ethernet.payload.plus(LANE_FRAME),
            lane: true,
            ..ethernet
        };
        test
    }

    pub(super) fn atm_llc(&mut self) -> Fragment {
        self.masked(Place::at(0), Size::Byte, 0x0f, TYPE_LLC)
    }

    pub(super) fn atm_type(&mut self, protocol: u32) -> Result<Fragment> {
        if self.layout.lane {
            let data = self.lane_data();
            let test = self.ethernet_type(protocol)?;
            return Ok(self.program.and(data, test));
        }
        let llc = self.atm_llc();
        let test = self.llc_type(protocol)?;
        Ok(self.program.and(llc, test))
    }

    /// A field of ATM or SS7 against one value or a list of values.
    pub(super) fn field(
        &mut self,
        word: &'static str,
        relation: Relation,
        values: &[u32],
    ) -> Result<Fragment> {
        let mut condition = Fragment::Always(false);
        for value in values {
            let test = match word {
                "vpi" | "vci" => self.atm_field(word, relation, *value)?,
                _ => self.mtp_field(word, relation, *value)?,
            };
            condition = self.program.or(condition, test);
        }
        Ok(condition)
    }

    fn atm_field(&mut self, word: &str, relation: Relation, value: u32) -> Result<Fragment> {
        self.sunatm(word)?;
        let field = if word == "vpi" {
            self.at_most(word, value, 0xff)?;
            self.load(Place::at(1), Size::Byte)
        } else {
            self.at_most(word, value, 0xffff)?;
            self.load(Place::at(2), Size::Half)
        };
        Ok(self.related(field, relation, value))
    }
}
