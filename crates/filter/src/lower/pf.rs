//! OpenBSD's packet filter log (pflog(4)).

use super::Lowerer;
use super::fragment::Fragment;
use super::layout::Place;
use crate::ast::NameOrNumber;
use crate::error::Result;
use crate::ir::Size;
use crate::link::number as dlt;
use crate::names::protocols::{pf_action, pf_reason};

const ACTION: u32 = 2;
const REASON: u32 = 3;
const INTERFACE: u32 = 4;
const RULE_SET: u32 = 20;
const RULE: u32 = 36;
const SUB_RULE: u32 = 40;
const NAME_BYTES_MAX: usize = 15;

impl Lowerer<'_> {
    fn pflog(&self, word: &str) -> Result<()> {
        if self.outer == dlt::PFLOG {
            return Ok(());
        }
        Err(self.unsupported(format!("'{word}' is supported on link type PFLOG only")))
    }

    pub(super) fn pf_number(&mut self, word: &str, value: &NameOrNumber) -> Result<Fragment> {
        self.pflog(word)?;
        let number = match value {
            NameOrNumber::Number(number) => *number,
            NameOrNumber::Name(name) => {
                let found = if word == "reason" { pf_reason(name) } else { pf_action(name) };
                found.ok_or_else(|| self.bad_value(format!("unknown PF {word} '{name}'")))?
            }
        };
        let (offset, size) = match word {
            "reason" => (REASON, Size::Byte),
            "action" => (ACTION, Size::Byte),
            "rnr" => (RULE, Size::Word),
            _ => (SUB_RULE, Size::Word),
        };
        Ok(self.equal(Place::at(offset), size, number))
    }

    /// The first bytes of the field: a longer name that begins so matches too.
    pub(super) fn pf_name(&mut self, word: &str, name: &str) -> Result<Fragment> {
        self.pflog(word)?;
        if name.len() > NAME_BYTES_MAX {
            let message = format!("'{name}' is longer than {NAME_BYTES_MAX} bytes");
            return Err(self.bad_value(message));
        }
        let offset = if word == "ifname" { INTERFACE } else { RULE_SET };
        Ok(self.bytes(Place::at(offset), name.as_bytes()))
    }
}
