//! What is wrong with a message of the peer, and how that is said.

use super::{Link, reason};
use crate::session::Close;
use crate::session::fix::head::Head;
use crate::session::fix::settings::FixVersion;
use crate::session::fix::time;
use std::fmt::Display;
use std::str;
use tickwire_market::fix::{BadField, Message, dictionary::Fault};

impl Link {
    /// What of a message does not follow the rules: SessionRejectReason and RefTagID.
    pub(super) fn fault(
        &self,
        message: &Message<'_>,
        head: &Head<'_>,
    ) -> Option<(u16, Option<Tag>)> {
        if let Some(dictionary) = &self.settings.dictionary
            && let Err(fault) = dictionary.check(message)
        {
            return Some((fault.session_reject_reason(), Tag::of(&fault)));
        }
        if let Some(bad) = &head.bad {
            return Some((reason::INVALID_TAG, Tag::of(&Fault::BadField(*bad))));
        }
        for (tag, value) in [(49, head.sender), (52, head.sending_time), (56, head.target)] {
            let reason = match value {
                None => reason::MISSING,
                Some(b"") => reason::NO_VALUE,
                Some(time) if tag == 52 && time::parse(time).is_none() => reason::FORMAT,
                Some(_) => continue,
            };
            return Some((reason, Some(Tag::number(tag))));
        }
        if head.is_duplicate {
            let (reason, tag) = self.duplicate_fault(message, head)?;
            return Some((reason, Some(Tag::number(tag))));
        }
        None
    }

    pub(super) fn reject(
        &mut self,
        message: &Message<'_>,
        number: u64,
        reason: u16,
        tag: Option<&dyn Display>,
        now_ns: u64,
    ) -> Result<(), Close> {
        self.counts.rejected += 1;
        // FIX 4.2 knows reasons up to 11: what it does not is said in words alone.
        let is_known = self.settings.version != FixVersion::Fix42 || reason <= 11;
        let text = meaning(reason);
        let mut fields: Vec<(u32, &dyn Display)> = vec![(45, &number), (58, &text)];
        fields.extend(tag.map(|tag| (371, tag)));
        let kind = kind_of(message);
        fields.extend(kind.as_ref().map(|kind| (372, kind as &dyn Display)));
        if is_known {
            fields.push((373, &reason));
        }
        Ok(self.out.message(now_ns, "3", &fields)?)
    }

    pub(super) fn unsupported(
        &mut self,
        message: &Message<'_>,
        number: u64,
        now_ns: u64,
    ) -> Result<(), Close> {
        self.counts.unsupported += 1;
        let (kind, text) = (kind_of(message).unwrap_or("?"), "unsupported message type");
        let fields: [(u32, &dyn Display); 4] =
            [(45, &number), (58, &text), (372, &kind), (380, &3)];
        Ok(self.out.message(now_ns, "j", &fields)?)
    }
}

fn kind_of<'m>(message: &Message<'m>) -> Option<&'m str> {
    let kind = str::from_utf8(message.msg_type()).ok();
    kind.filter(|kind| (1..=16).contains(&kind.len()))
}

/// RefTagID (371): also that of a field whose number is none.
pub(super) struct Tag(String);

impl Tag {
    fn number(tag: u32) -> Self {
        Tag(tag.to_string())
    }

    fn of(fault: &Fault<'_>) -> Option<Self> {
        match fault {
            Fault::BadField(BadField::Tag(field)) => {
                let tag = field.split(|&byte| byte == b'=').next().unwrap_or_default();
                let is_fit = (1..=10).contains(&tag.len()) && tag.is_ascii();
                is_fit.then(|| Tag(String::from_utf8_lossy(tag).into_owned()))
            }
            _ => fault.tag().map(Tag::number),
        }
    }
}

impl Display for Tag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// SessionRejectReason (373) in words.
const fn meaning(reason: u16) -> &'static str {
    match reason {
        0 => "Invalid tag number",
        1 => "Required tag missing",
        2 => "Tag not defined for this message type",
        4 => "Tag specified without a value",
        5 => "Value is incorrect (out of range) for this tag",
        6 => "Incorrect data format for value",
        9 => "CompID problem",
        10 => "SendingTime accuracy problem",
        11 => "Invalid MsgType",
        13 => "Tag appears more than once",
        14 => "Tag specified out of required order",
        15 => "Repeating group fields out of order",
        16 => "Incorrect NumInGroup count for repeating group",
        _ => "Other",
    }
}
