//! SS7 MTP2 and MTP3: signal units and routing labels (ITU-T Q.703, Q.704), with Annex A's
//! extended sequence numbers for the words that begin with `h`.

use super::Lowerer;
use super::fragment::{Fragment, not};
use super::layout::Place;
use crate::ast::Relation;
use crate::error::Result;
use crate::ir::{Compare, NumberId, Op, Size};
use crate::link::number as dlt;

impl Lowerer<'_> {
    /// Bytes before the signal unit.
    fn mtp_start(&self, word: &str) -> Result<u32> {
        match self.outer {
            dlt::MTP2 => Ok(0),
            dlt::MTP2_WITH_PHDR => Ok(4),
            dlt::ERF => Ok(20),
            _ => Err(self.unsupported(format!(
                "'{word}' is supported on link types MTP2, MTP2_WITH_PHDR and ERF only"
            ))),
        }
    }

    /// By the length indicator: 0 fill-in, 1 or 2 link status, more: message.
    pub(super) fn mtp_unit(&mut self, word: &str) -> Result<Fragment> {
        let start = self.mtp_start(word)?;
        // In the extended format the indicator has 9 bits, in the upper part of a half word.
        let (field, shift) = if word.starts_with('h') {
            let field = self.load(Place::at(start + 4), Size::Half);
            (self.program.binary_const(Op::And, field, 0xff80), 7)
        } else {
            let field = self.load(Place::at(start + 2), Size::Byte);
            (self.program.binary_const(Op::And, field, 0x3f), 0)
        };
        Ok(match word.trim_start_matches('h') {
            "fisu" => self.compare(field, Compare::Equal, 0),
            "lssu" => {
                let some = self.compare(field, Compare::Greater, 0);
                let few = not(self.compare(field, Compare::Greater, 2 << shift));
                self.program.and(some, few)
            }
            _ => self.compare(field, Compare::Greater, 2 << shift),
        })
    }

    pub(super) fn mtp_field(
        &mut self,
        word: &'static str,
        relation: Relation,
        value: u32,
    ) -> Result<Fragment> {
        let start = self.mtp_start(word)?;
        let (place, field) = match word.strip_prefix('h') {
            Some(field) => (Place::at(start + 3), field),
            None => (Place::at(start), word),
        };
        let (field, value) = self.label(place, field, value)?;
        Ok(self.related(field, relation, value))
    }

    /// The field as it lies on the wire, and the value in the same bits.
    fn label(&mut self, start: Place, word: &str, value: u32) -> Result<(NumberId, u32)> {
        Ok(match word {
            "sio" => {
                self.at_most(word, value, 0xff)?;
                (self.load(start.plus(3), Size::Byte), value)
            }
            "dpc" => {
                self.at_most(word, value, 0x3fff)?;
                let field = self.load(start.plus(4), Size::Half);
                let field = self.program.binary_const(Op::And, field, 0xff3f);
                (field, u32::from((value as u16).swap_bytes()))
            }
            "opc" => {
                self.at_most(word, value, 0x3fff)?;
                let field = self.load(start.plus(4), Size::Word);
                let field = self.program.binary_const(Op::And, field, 0x00c0_ff0f);
                (field, (value & 0x3) << 22 | (value & 0x3fc) << 6 | value >> 10)
            }
            _ => {
                self.at_most(word, value, 0xf)?;
                let field = self.load(start.plus(7), Size::Byte);
                (self.program.binary_const(Op::And, field, 0xf0), value << 4)
            }
        })
    }
}
