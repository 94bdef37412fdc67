//! Dictionaries of FIX, given at run time: names, types and values of fields, and which fields,
//! groups and types of messages there are (the XML of QuickFIX, which every FIX engine reads).
//!
//! A dictionary compiles once into tables that are sorted by tag; a message is then
//! [walked](Dictionary::walk) without allocating: each field with its definition and its place in
//! repeating groups, each fault with the reason that a Reject (35=3) gives for it. What is faulty
//! is read all the same: a fault is a finding, never an end.
//!
//! FIXT 1.1 has the session in one dictionary and messages in another: [`Dictionary::over`].

mod compile;
mod format;
mod print;
mod walk;

pub use format::Type;
pub use print::Named;
pub use walk::{Fault, Item, Section};

use std::fmt;

/// The deepest that groups stand in groups; a dictionary with deeper ones is refused.
pub const GROUPS_DEEP_MAX: usize = 8;

/// The most fields and groups that a message, or an entry of a group, has of its own.
pub const PARTS_MAX: usize = 1024;

/// What there is in a version of FIX.
#[derive(Clone, Debug)]
pub struct Dictionary {
    begin_string: Box<str>,
    /// Sorted by tag.
    fields: Box<[FieldDefinition]>,
    header: Body,
    trailer: Body,
    /// Sorted by MsgType.
    messages: Box<[MessageDefinition]>,
}

impl Dictionary {
    /// `FIX.4.4`, as BeginString (8) has it.
    pub fn begin_string(&self) -> &str {
        &self.begin_string
    }

    /// The field with that tag.
    #[inline]
    pub fn field(&self, tag: u32) -> Option<&FieldDefinition> {
        let at = self.fields.binary_search_by_key(&tag, |field| field.tag).ok()?;
        Some(&self.fields[at])
    }

    /// The field with that name: `MsgSeqNum`.
    pub fn field_named(&self, name: &str) -> Option<&FieldDefinition> {
        self.fields.iter().find(|field| *field.name == *name)
    }

    /// All fields, sorted by tag.
    pub fn fields(&self) -> &[FieldDefinition] {
        &self.fields
    }

    /// The type of message with that MsgType (35): `D`.
    pub fn message(&self, msg_type: &[u8]) -> Option<&MessageDefinition> {
        let at = self.messages.binary_search_by_key(&msg_type, |known| known.msg_type.as_bytes());
        Some(&self.messages[at.ok()?])
    }

    /// All types of messages, sorted by MsgType.
    pub fn messages(&self) -> &[MessageDefinition] {
        &self.messages
    }

    /// The messages of this dictionary in the session of another: FIX 5.0 over FIXT 1.1. Header,
    /// trailer and BeginString are the session's, and so is what both have.
    pub fn over(&self, session: &Dictionary) -> Dictionary {
        let mut fields = session.fields.to_vec();
        let is_new = |tag| session.field(tag).is_none();
        fields.extend(self.fields.iter().filter(|field| is_new(field.tag)).cloned());
        fields.sort_by_key(|field| field.tag);
        let mut messages = session.messages.to_vec();
        let is_new = |msg_type: &str| session.message(msg_type.as_bytes()).is_none();
        messages.extend(self.messages.iter().filter(|known| is_new(&known.msg_type)).cloned());
        messages.sort_by(|a, b| a.msg_type.cmp(&b.msg_type));
        Dictionary {
            begin_string: session.begin_string.clone(),
            fields: fields.into(),
            header: session.header.clone(),
            trailer: session.trailer.clone(),
            messages: messages.into(),
        }
    }
}

/// A field.
#[derive(Clone, Debug)]
pub struct FieldDefinition {
    tag: u32,
    name: Box<str>,
    kind: Type,
    /// Sorted by value.
    values: Box<[(Box<str>, Box<str>)]>,
}

impl FieldDefinition {
    /// Its number.
    pub fn tag(&self) -> u32 {
        self.tag
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its values look like.
    pub fn kind(&self) -> Type {
        self.kind
    }

    /// The values that it can have, each with its name; empty when any.
    pub fn values(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.values.iter().map(|(value, name)| (&**value, &**name))
    }

    /// The name of a value: `BUY`; `None` for values without one.
    pub fn value_name(&self, value: &[u8]) -> Option<&str> {
        let at = self.values.binary_search_by_key(&value, |(known, _)| known.as_bytes()).ok()?;
        Some(&self.values[at].1)
    }

    /// Whether it can have that value, where the dictionary lists them. Of several words each must
    /// be one.
    fn allows(&self, value: &[u8]) -> bool {
        let known = |value: &[u8]| self.value_name(value).is_some();
        match self.kind {
            _ if self.values.is_empty() => true,
            Type::MultipleValueString => value.split(|&byte| byte == b' ').all(known),
            _ => known(value),
        }
    }
}

/// `MsgSeqNum(34)`.
impl fmt::Display for FieldDefinition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.name, self.tag)
    }
}

/// A type of message.
#[derive(Clone, Debug)]
pub struct MessageDefinition {
    name: Box<str>,
    msg_type: Box<str>,
    is_admin: bool,
    body: Body,
}

impl MessageDefinition {
    /// Its name: `NewOrderSingle`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its MsgType (35).
    pub fn msg_type(&self) -> &str {
        &self.msg_type
    }

    /// Whether it belongs to the session, and not to an application.
    pub fn is_admin(&self) -> bool {
        self.is_admin
    }

    /// Whether it has that field, within a group or without.
    pub fn has(&self, tag: u32) -> bool {
        self.body.holds(tag)
    }
}

/// The fields and groups of a message, or of an entry of a group.
#[derive(Clone, Debug, Default)]
struct Body {
    /// Sorted by tag.
    parts: Box<[Part]>,
    /// The tag that an entry of a group begins with.
    first: u32,
}

/// A field, or a group by the field that counts its entries.
#[derive(Clone, Debug)]
struct Part {
    tag: u32,
    is_required: bool,
    group: Option<Body>,
}

impl Body {
    fn position(&self, tag: u32) -> Option<usize> {
        self.parts.binary_search_by_key(&tag, |part| part.tag).ok()
    }

    fn holds(&self, tag: u32) -> bool {
        let within = |part: &Part| part.group.as_ref().is_some_and(|group| group.holds(tag));
        self.position(tag).is_some() || self.parts.iter().any(within)
    }
}
