//! Messages by a schema: headers, blocks, the entries of groups, data, and a walk over all of it.

use super::schema::{Body, Data, Field, Group, Schema, Template};
use crate::error::Error;
use crate::field::Value;
use std::fmt;

/// The deepest that groups stand in groups; a schema with deeper ones is refused.
pub const GROUPS_DEEP_MAX: usize = 8;

/// The most entries without a byte that a group may count: a few bytes must not make us walk for
/// ever. Entries that consist of constants are such.
pub const EMPTY_ENTRIES_MAX: usize = 255;

/// What bytes are by a schema.
#[derive(Clone, Copy, Debug)]
pub enum Decoded<'a> {
    /// A message of a template that the schema has.
    Known(Message<'a>),
    /// One of another schema or template: count it by its id, and skip it by the length that its
    /// transport gives.
    Unknown {
        /// Its schema.
        schema_id: u32,
        /// Its template.
        template_id: u32,
    },
}

impl Schema {
    /// A message with its header.
    ///
    /// # Errors
    /// [`Error::Truncated`] when its header or root block is. Groups are looked at when they are
    /// asked for.
    #[inline]
    pub fn decode<'a>(&'a self, bytes: &'a [u8]) -> Result<Decoded<'a>, Error> {
        let (needed, available) = (self.header.len, bytes.len());
        let cut = Error::Truncated { what: "SBE message header", needed, available };
        let (header, rest) = bytes.split_at_checked(needed).ok_or(cut)?;
        let id = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let number = |place: super::primitive::Place| place.read(header).unwrap_or(0);
        let schema_id = id(number(self.header.schema_id));
        let template_id = id(number(self.header.template_id));
        let unknown = Decoded::Unknown { schema_id, template_id };
        if schema_id != self.id {
            return Ok(unknown);
        }
        let Some(template) = self.template(template_id) else { return Ok(unknown) };
        let needed = usize::try_from(number(self.header.block_length)).unwrap_or(usize::MAX);
        let available = rest.len();
        let cut = Error::Truncated { what: "SBE root block", needed, available };
        let (bytes, after) = rest.split_at_checked(needed).ok_or(cut)?;
        let version = number(self.header.version).try_into().unwrap_or(u16::MAX);
        let root = Block { body: &template.body, version, bytes, after };
        Ok(Decoded::Known(Message { template, root }))
    }
}

/// A message of a known template.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    template: &'a Template,
    root: Block<'a>,
}

impl<'a> Message<'a> {
    /// Its template.
    #[inline]
    pub fn template(&self) -> &'a Template {
        self.template
    }

    /// Its root block.
    #[inline]
    pub fn root(&self) -> Block<'a> {
        self.root
    }

    /// Everything in it, in the order of its bytes; see [`Item`].
    ///
    /// # Errors
    /// [`Error::Truncated`] or [`Error::Length`], after all that stands before.
    pub fn walk(&self, mut visit: impl FnMut(&Path<'a>, Item<'a>)) -> Result<(), Error> {
        let mut path = Path { steps: [("", 0); GROUPS_DEEP_MAX], deep: 0 };
        self.root.walk(&mut path, &mut visit).map(|_| ())
    }
}

/// A block with what follows it: the root of a message, or an entry of a group.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    body: &'a Body,
    version: u16,
    bytes: &'a [u8],
    after: &'a [u8],
}

impl<'a> Block<'a> {
    /// What the schema says of it.
    #[inline]
    pub fn body(&self) -> &'a Body {
        self.body
    }

    /// The version that the message was written with.
    #[inline]
    pub fn version(&self) -> u16 {
        self.version
    }

    /// The bytes of its fields, as many as the message says.
    #[inline]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The value of a field of its [`body`](Self::body): as [`Field::value`].
    #[inline]
    pub fn value(&self, field: &'a Field) -> Option<Value<'a>> {
        field.value(self.bytes, self.version)
    }

    /// The value of the field with that name. Looks the name up: for tests, not for loops.
    pub fn value_named(&self, name: &str) -> Option<Value<'a>> {
        self.value(self.body.field(name)?)
    }

    /// The entries of a group of its [`body`](Self::body), which follow those of the groups before;
    /// none of a group that it does not have.
    ///
    /// # Errors
    /// [`Error::Truncated`] or [`Error::Length`], of this group or one before.
    pub fn entries(&self, group: &'a Group) -> Result<Entries<'a>, Error> {
        let mut after = self.after;
        for each in &self.body.groups {
            let entries = Entries::open(each, self.version, after)?;
            if std::ptr::eq(each, group) {
                return Ok(entries);
            }
            after = entries.end()?;
        }
        Ok(Entries { group, version: self.version, rest: after, size: 0, left: 0 })
    }

    /// Data of its [`body`](Self::body); `None` when its version does not have it.
    ///
    /// # Errors
    /// [`Error::Truncated`] or [`Error::Length`], of what stands before, too.
    pub fn data(&self, data: &'a Data) -> Result<Option<&'a [u8]>, Error> {
        let mut after = self.end_of_groups()?;
        for each in &self.body.data {
            let (found, rest) = read_data(each, self.version, after)?;
            if std::ptr::eq(each, data) {
                return Ok(found);
            }
            after = rest;
        }
        Ok(None)
    }

    fn end_of_groups(&self) -> Result<&'a [u8], Error> {
        let open = |after, group| Entries::open(group, self.version, after)?.end();
        self.body.groups.iter().try_fold(self.after, open)
    }

    /// What follows its groups and data.
    fn end(&self) -> Result<&'a [u8], Error> {
        let skip = |after, data| read_data(data, self.version, after).map(|(_, rest)| rest);
        self.body.data.iter().try_fold(self.end_of_groups()?, skip)
    }

    fn walk(
        &self,
        path: &mut Path<'a>,
        visit: &mut impl FnMut(&Path<'a>, Item<'a>),
    ) -> Result<&'a [u8], Error> {
        for field in &self.body.fields {
            if let Some(value) = self.value(field) {
                visit(path, Item::Field(field, value));
            }
        }
        let mut after = self.after;
        for group in &self.body.groups {
            if self.version < group.since {
                continue;
            }
            let mut entries = Entries::open(group, self.version, after)?;
            visit(path, Item::Group(group, entries.left));
            let mut index = 0;
            while let Some(entry) = entries.cut_entry() {
                path.push(&group.name, index);
                let rest = entry.and_then(|entry| entry.walk(path, visit));
                path.deep -= 1;
                entries.rest = rest?;
                index += 1;
            }
            after = entries.rest;
        }
        for data in &self.body.data {
            let (found, rest) = read_data(data, self.version, after)?;
            if let Some(bytes) = found {
                visit(path, Item::Data(data, bytes));
            }
            after = rest;
        }
        Ok(after)
    }
}

/// Something in a message.
#[derive(Clone, Copy, Debug)]
pub enum Item<'a> {
    /// A field that its version has, and its value.
    Field(&'a Field, Value<'a>),
    /// A group, and how many entries follow.
    Group(&'a Group, usize),
    /// Data of variable length.
    Data(&'a Data, &'a [u8]),
}

impl<'a> Item<'a> {
    /// Its name.
    pub fn name(&self) -> &'a str {
        match self {
            Item::Field(field, _) => field.name(),
            Item::Group(group, _) => group.name(),
            Item::Data(data, _) => data.name(),
        }
    }
}

/// The entries of groups that an item stands in, from the outermost on.
#[derive(Clone, Copy, Debug)]
pub struct Path<'a> {
    steps: [(&'a str, usize); GROUPS_DEEP_MAX],
    deep: usize,
}

impl<'a> Path<'a> {
    /// Names of groups, each with the index of the entry, from 0.
    pub fn steps(&self) -> &[(&'a str, usize)] {
        &self.steps[..self.deep]
    }

    /// The compiler of schemas sees to it that there is room.
    fn push(&mut self, group: &'a str, index: usize) {
        self.steps[self.deep] = (group, index);
        self.deep += 1;
    }
}

/// `NoMDEntries[0].`, so that the name of an item can follow; nothing for the root block.
impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.steps().iter().try_for_each(|(group, index)| write!(f, "{group}[{index}]."))
    }
}

/// The entries of a group: [`Block::entries`]. When one is cut, the last item is an error.
#[derive(Clone, Copy, Debug)]
pub struct Entries<'a> {
    group: &'a Group,
    version: u16,
    rest: &'a [u8],
    size: usize,
    left: usize,
}

impl<'a> Entries<'a> {
    /// Of a group at the start of `bytes`; empty when the version does not have it.
    fn open(group: &'a Group, version: u16, bytes: &'a [u8]) -> Result<Self, Error> {
        if version < group.since {
            return Ok(Entries { group, version, rest: bytes, size: 0, left: 0 });
        }
        let (needed, available) = (group.dimension_len, bytes.len());
        let cut = Error::Truncated { what: "SBE group dimension", needed, available };
        let (dimension, rest) = bytes.split_at_checked(needed).ok_or(cut)?;
        let number = |place: super::primitive::Place| {
            usize::try_from(place.read(dimension).unwrap_or(0)).unwrap_or(usize::MAX)
        };
        let (size, left) = (number(group.block_length), number(group.num_in_group));
        if size == 0 && left > EMPTY_ENTRIES_MAX {
            return Err(Error::Length { what: "SBE group entry", found: 0, min: 1 });
        }
        Ok(Entries { group, version, rest, size, left })
    }

    /// How many entries are left.
    pub fn len(&self) -> usize {
        self.left
    }

    /// Whether none is left.
    pub fn is_empty(&self) -> bool {
        self.left == 0
    }

    /// The block of the next entry; what follows it has to be skipped.
    #[inline]
    fn cut_entry(&mut self) -> Option<Result<Block<'a>, Error>> {
        self.left = self.left.checked_sub(1)?;
        let (needed, available) = (self.size, self.rest.len());
        let Some((bytes, after)) = self.rest.split_at_checked(needed) else {
            self.left = 0;
            return Some(Err(Error::Truncated { what: "SBE group entry", needed, available }));
        };
        Some(Ok(Block { body: &self.group.body, version: self.version, bytes, after }))
    }

    /// What follows the last entry.
    fn end(mut self) -> Result<&'a [u8], Error> {
        let body = &self.group.body;
        if body.groups.is_empty() && body.data.is_empty() {
            let (needed, available) = (self.size.saturating_mul(self.left), self.rest.len());
            let cut = Error::Truncated { what: "SBE group entry", needed, available };
            return self.rest.get(needed..).ok_or(cut);
        }
        while let Some(entry) = self.cut_entry() {
            self.rest = entry?.end()?;
        }
        Ok(self.rest)
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Block<'a>, Error>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.cut_entry()?;
        let end = entry.and_then(|entry| Ok((entry, entry.end()?)));
        Some(match end {
            Ok((entry, rest)) => {
                self.rest = rest;
                Ok(entry)
            }
            Err(error) => {
                self.left = 0;
                Err(error)
            }
        })
    }
}

/// Data at the start of `bytes`, and what follows it; `None` when the version does not have it.
fn read_data<'a>(
    data: &Data,
    version: u16,
    bytes: &'a [u8],
) -> Result<(Option<&'a [u8]>, &'a [u8]), Error> {
    if version < data.since {
        return Ok((None, bytes));
    }
    let (needed, available) = (data.start, bytes.len());
    let cut = |needed| Error::Truncated { what: "SBE variable data", needed, available };
    let (head, rest) = bytes.split_at_checked(needed).ok_or(cut(needed))?;
    let len = usize::try_from(data.length.read(head).unwrap_or(0)).unwrap_or(usize::MAX);
    let end = data.start.saturating_add(len);
    rest.split_at_checked(len).map(|(found, rest)| (Some(found), rest)).ok_or(cut(end))
}
