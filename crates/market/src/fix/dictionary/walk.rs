//! A message by its dictionary: each field with its name and its place, each fault with its reason.

use super::{Body, Dictionary, FieldDefinition, GROUPS_DEEP_MAX, PARTS_MAX, Part};
use crate::fix::{BadField, Field, Message};

/// The part of a message that a field belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// The standard header.
    Header,
    /// What the type of the message is about.
    Body,
    /// The standard trailer.
    Trailer,
}

/// What there is in a message.
#[derive(Clone, Copy, Debug)]
pub enum Item<'a, 'm> {
    /// A field.
    Field {
        /// Its tag and its value.
        field: Field<'m>,
        /// What the dictionary says of it; `None` when it does not know it.
        definition: Option<&'a FieldDefinition>,
        /// Where it stands.
        section: Section,
        /// In how many groups it stands, one in the other.
        deep: usize,
        /// The entry of the innermost group that it stands in, from 0.
        entry: usize,
    },
    /// Something that is not as the dictionary wants it.
    Fault(Fault<'m>),
}

/// Something that is not as the dictionary wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault<'m> {
    /// No field can be read where one should be.
    #[error("{0}")]
    BadField(BadField<'m>),
    /// The dictionary has no such field.
    #[error("field {0} is unknown: use the dictionary of the peer's version")]
    InvalidTagNumber(u32),
    /// A field is missing from the message, or from an entry of a group.
    #[error("required field {0} is missing: the peer must send it")]
    RequiredTagMissing(u32),
    /// The field is one of other types of messages.
    #[error("field {0} is none of this type of message: the peer must leave it out")]
    TagNotDefined(u32),
    /// The field is empty.
    #[error("field {0} has no value: the peer must leave it out or fill it")]
    NoValue(u32),
    /// The dictionary lists the values, and this is another.
    #[error("field {0} has a value that it cannot have: use one of the dictionary")]
    ValueIncorrect(u32),
    /// The value is none of its type.
    #[error("field {0} has a value in the wrong format: use that of its type")]
    IncorrectDataFormat(u32),
    /// There is no such type of message.
    #[error("MsgType (35) is unknown: use the dictionary of the peer's version")]
    InvalidMsgType,
    /// The field came before.
    #[error("field {0} appears more than once: the peer must send it once")]
    RepeatedTag(u32),
    /// A field of the header behind the body, or of the body behind the trailer.
    #[error("field {0} is out of order: header, body and trailer may not mix")]
    OutOfOrder(u32),
    /// An entry does not begin with the first field of its group.
    #[error("field {0} does not follow the first field of its group: begin each entry with that")]
    GroupOrder(u32),
    /// A group has another number of entries than its field says.
    #[error("field {0} does not say how many entries follow: count them")]
    GroupCount(u32),
}

impl Fault<'_> {
    /// Its SessionRejectReason (373), as FIX 4.4 numbers them.
    pub const fn session_reject_reason(&self) -> u16 {
        match self {
            Fault::BadField(_) | Fault::InvalidTagNumber(_) => 0,
            Fault::RequiredTagMissing(_) => 1,
            Fault::TagNotDefined(_) => 2,
            Fault::NoValue(_) => 4,
            Fault::ValueIncorrect(_) => 5,
            Fault::IncorrectDataFormat(_) => 6,
            Fault::InvalidMsgType => 11,
            Fault::RepeatedTag(_) => 13,
            Fault::OutOfOrder(_) => 14,
            Fault::GroupOrder(_) => 15,
            Fault::GroupCount(_) => 16,
        }
    }

    /// The field that it is about: RefTagID (371); `None` when it has no number.
    pub const fn tag(&self) -> Option<u32> {
        match *self {
            Fault::BadField(BadField::Data { tag, .. })
            | Fault::InvalidTagNumber(tag)
            | Fault::RequiredTagMissing(tag)
            | Fault::TagNotDefined(tag)
            | Fault::NoValue(tag)
            | Fault::ValueIncorrect(tag)
            | Fault::IncorrectDataFormat(tag)
            | Fault::RepeatedTag(tag)
            | Fault::OutOfOrder(tag)
            | Fault::GroupOrder(tag)
            | Fault::GroupCount(tag) => Some(tag),
            Fault::BadField(BadField::Tag(_)) | Fault::InvalidMsgType => None,
        }
    }
}

impl Dictionary {
    /// Everything in a message in the order of its bytes, each fault behind its field; what is
    /// missing comes at the end of its entry or of the message.
    pub fn walk<'a, 'm>(&'a self, message: &Message<'m>, mut visit: impl FnMut(Item<'a, 'm>)) {
        let definition = self.message(message.msg_type());
        if definition.is_none() {
            visit(Item::Fault(Fault::InvalidMsgType));
        }
        let body = definition.map(|definition| &definition.body);
        let mut walk = Walk {
            dictionary: self,
            sections: [Some(&self.header), body, Some(&self.trailer)],
            section: Section::Header,
            seen: [Seen::NONE; 3],
            groups: [const { None }; GROUPS_DEEP_MAX],
            deep: 0,
            visit: &mut visit,
        };
        message.fields().for_each(|field| walk.field(field));
        walk.finish();
    }

    /// The first fault of a message, if it has one: in the order in which a session looks for them,
    /// which is structure, then type, then what is missing, then the fields one after the other.
    ///
    /// # Errors
    /// That fault.
    pub fn check<'m>(&self, message: &Message<'m>) -> Result<(), Fault<'m>> {
        let rank = |fault: &Fault<'_>| match fault {
            Fault::BadField(_) | Fault::OutOfOrder(_) => 0,
            Fault::InvalidMsgType => 1,
            Fault::RequiredTagMissing(_) => 2,
            _ => 3,
        };
        let mut first: Option<Fault<'m>> = None;
        self.walk(message, |item| {
            if let Item::Fault(fault) = item
                && first.as_ref().is_none_or(|known| rank(&fault) < rank(known))
            {
                first = Some(fault);
            }
        });
        first.map_or(Ok(()), Err)
    }
}

/// Which parts of a body have come.
#[derive(Clone, Copy)]
struct Seen([u64; PARTS_MAX / 64]);

impl Seen {
    const NONE: Self = Seen([0; PARTS_MAX / 64]);

    /// Notes a part; whether it had come before.
    fn note(&mut self, at: usize) -> bool {
        let (word, bit) = (&mut self.0[at / 64], 1 << (at % 64));
        let had = *word & bit != 0;
        *word |= bit;
        had
    }

    fn has(&self, at: usize) -> bool {
        self.0[at / 64] >> (at % 64) & 1 == 1
    }
}

/// A group whose entries are being read.
struct Open<'a> {
    body: &'a Body,
    /// The field that counts the entries.
    tag: u32,
    said: u64,
    entries: usize,
    seen: Seen,
}

struct Walk<'a, 'v, V> {
    dictionary: &'a Dictionary,
    sections: [Option<&'a Body>; 3],
    section: Section,
    seen: [Seen; 3],
    groups: [Option<Open<'a>>; GROUPS_DEEP_MAX],
    deep: usize,
    visit: &'v mut V,
}

impl<'a, 'm, V: FnMut(Item<'a, 'm>)> Walk<'a, '_, V> {
    fn fault(&mut self, fault: Fault<'m>) {
        (self.visit)(Item::Fault(fault));
    }

    fn field(&mut self, field: Result<Field<'m>, BadField<'m>>) {
        let field = match field {
            Ok(field) => field,
            Err(bad) => return self.fault(Fault::BadField(bad)),
        };
        let definition = self.dictionary.field(field.tag);
        let part = self.in_group(field.tag);
        let (part, placed) = match part {
            Some(found) => found,
            None => self.in_section(field.tag),
        };
        let entries = self.deep.checked_sub(1).and_then(|at| self.groups[at].as_ref());
        let entry = entries.map_or(0, |open| open.entries.saturating_sub(1));
        let (section, deep) = (self.section, self.deep);
        (self.visit)(Item::Field { field, definition, section, deep, entry });
        let value = value_fault(field, definition);
        if let Some(fault) = placed.or(value) {
            self.fault(fault);
        }
        if let Some(Part { tag, group: Some(body), .. }) = part
            && !field.value.is_empty()
        {
            self.open(body, *tag, field.value);
        }
    }

    /// The part that a field is of an open group, and what is wrong with its place. Groups that it
    /// is none of end before it.
    fn in_group(&mut self, tag: u32) -> Option<(Option<&'a Part>, Option<Fault<'m>>)> {
        while self.deep > 0 {
            let open = self.groups[self.deep - 1].as_mut().expect("an open group");
            let body = open.body;
            let Some(at) = body.position(tag) else {
                self.close();
                continue;
            };
            if tag == body.first {
                self.end_entry();
                let open = self.groups[self.deep - 1].as_mut().expect("an open group");
                open.entries += 1;
                open.seen = Seen::NONE;
                open.seen.note(at);
                return Some((Some(&body.parts[at]), None));
            }
            let fault = match (open.entries, open.seen.note(at)) {
                (0, _) => Some(Fault::GroupOrder(tag)),
                (_, true) => Some(Fault::RepeatedTag(tag)),
                _ => None,
            };
            return Some((Some(&body.parts[at]), fault));
        }
        None
    }

    /// The part that a field is of the header, the body or the trailer, and what is wrong with its
    /// place.
    fn in_section(&mut self, tag: u32) -> (Option<&'a Part>, Option<Fault<'m>>) {
        let find = |body: &Option<&'a Body>| (*body)?.position(tag);
        let place = |at: usize, sections: &[Option<&'a Body>; 3]| Some((at, find(&sections[at])?));
        let sections = self.sections;
        let found = [0, 2, 1].into_iter().find_map(|at| place(at, &sections));
        let Some((at, position)) = found else {
            self.section = self.section.max(Section::Body);
            let fault = match (self.dictionary.field(tag), sections[1]) {
                (None, _) => Some(Fault::InvalidTagNumber(tag)),
                (Some(_), Some(_)) => Some(Fault::TagNotDefined(tag)),
                // Of an unknown type of message, nothing more is known.
                (Some(_), None) => None,
            };
            return (None, fault);
        };
        let section = [Section::Header, Section::Body, Section::Trailer][at];
        let is_late = section < self.section;
        self.section = self.section.max(section);
        let fault = match (is_late, self.seen[at].note(position)) {
            (true, _) => Some(Fault::OutOfOrder(tag)),
            (false, true) => Some(Fault::RepeatedTag(tag)),
            (false, false) => None,
        };
        (sections[at].map(|body| &body.parts[position]), fault)
    }

    fn open(&mut self, body: &'a Body, tag: u32, count: &[u8]) {
        let digits = std::str::from_utf8(count).ok().and_then(|text| text.parse().ok());
        // What is no number has been named as such; nothing is said twice.
        let Some(said) = digits else { return };
        let Some(place) = self.groups.get_mut(self.deep) else { return };
        *place = Some(Open { body, tag, said, entries: 0, seen: Seen::NONE });
        self.deep += 1;
    }

    /// Ends the innermost group.
    fn close(&mut self) {
        self.end_entry();
        self.deep -= 1;
        let open = self.groups[self.deep].take().expect("an open group");
        if open.entries as u64 != open.said {
            self.fault(Fault::GroupCount(open.tag));
        }
    }

    /// Names what the entry that ends here lacks.
    fn end_entry(&mut self) {
        let Some(open) = &self.groups[self.deep - 1] else { return };
        if open.entries > 0 {
            let (body, seen) = (open.body, open.seen);
            self.missing(body, &seen);
        }
    }

    fn missing(&mut self, body: &Body, seen: &Seen) {
        for (at, part) in body.parts.iter().enumerate() {
            if part.is_required && !seen.has(at) {
                self.fault(Fault::RequiredTagMissing(part.tag));
            }
        }
    }

    fn finish(mut self) {
        while self.deep > 0 {
            self.close();
        }
        for at in 0..3 {
            if let Some(body) = self.sections[at] {
                let seen = self.seen[at];
                self.missing(body, &seen);
            }
        }
    }
}

/// What is wrong with the value of a field.
fn value_fault<'m>(field: Field<'m>, definition: Option<&FieldDefinition>) -> Option<Fault<'m>> {
    if field.value.is_empty() {
        return Some(Fault::NoValue(field.tag));
    }
    let definition = definition?;
    if !definition.kind.accepts(field.value) {
        return Some(Fault::IncorrectDataFormat(field.tag));
    }
    (!definition.allows(field.value)).then_some(Fault::ValueIncorrect(field.tag))
}
