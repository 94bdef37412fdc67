//! A schema after compilation: tables of offsets and types. Names are looked up here, once; reading
//! a field of a message is then an addition and a load.

use super::primitive::{Place, Primitive};
use crate::field::Value;
use crate::wire::Float;
use std::sync::Arc;

/// The templates of a schema, from [`Schema::parse`].
#[derive(Clone, Debug)]
pub struct Schema {
    pub(super) id: u32,
    pub(super) version: u16,
    pub(super) package: Box<str>,
    pub(super) header: Header,
    /// Sorted by id.
    pub(super) templates: Box<[Template]>,
}

/// Where the message header has what is needed of it.
#[derive(Clone, Debug)]
pub(super) struct Header {
    pub(super) len: usize,
    pub(super) block_length: Place,
    pub(super) template_id: Place,
    pub(super) schema_id: Place,
    pub(super) version: Place,
}

impl Schema {
    /// Its number, which messages name.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Its version. Messages may be of an earlier or a later one.
    pub fn version(&self) -> u16 {
        self.version
    }

    /// The name of what it is part of: `mktdata`.
    pub fn package(&self) -> &str {
        &self.package
    }

    /// Bytes of the header that each message begins with.
    pub fn header_len(&self) -> usize {
        self.header.len
    }

    /// All templates, sorted by id.
    pub fn templates(&self) -> &[Template] {
        &self.templates
    }

    /// The template with that id.
    #[inline]
    pub fn template(&self, id: u32) -> Option<&Template> {
        let at = self.templates.binary_search_by_key(&id, |template| template.id).ok()?;
        Some(&self.templates[at])
    }

    /// The template with that name: `MDIncrementalRefreshBook46`.
    pub fn template_by_name(&self, name: &str) -> Option<&Template> {
        self.templates.iter().find(|template| *template.name == *name)
    }
}

/// A type of message.
#[derive(Clone, Debug)]
pub struct Template {
    pub(super) id: u32,
    pub(super) name: Box<str>,
    pub(super) semantic_type: Box<str>,
    pub(super) body: Body,
}

impl Template {
    /// Its id.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is in FIX, a MsgType (35); empty when the schema does not say.
    pub fn semantic_type(&self) -> &str {
        &self.semantic_type
    }

    /// What it consists of.
    pub fn body(&self) -> &Body {
        &self.body
    }
}

/// A block of fields with the groups and the data that follow it: a message, or an entry of a
/// group.
#[derive(Clone, Debug, Default)]
pub struct Body {
    pub(super) block_length: usize,
    pub(super) fields: Box<[Field]>,
    pub(super) groups: Box<[Group]>,
    pub(super) data: Box<[Data]>,
}

impl Body {
    /// Bytes of the block, in this version of the schema.
    pub fn block_length(&self) -> usize {
        self.block_length
    }

    /// Its fields, in the order of the schema; of composites all their elements.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Its groups, in the order in which they follow the block.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// Its data of variable length, which follow the groups.
    pub fn data(&self) -> &[Data] {
        &self.data
    }

    /// The field with that name: `MDEntryPx`, or `MaturityMonthYear.year` of a composite.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| *field.name == *name)
    }

    /// The group with that name.
    pub fn group(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|group| *group.name == *name)
    }

    /// The data with that name.
    pub fn data_named(&self, name: &str) -> Option<&Data> {
        self.data.iter().find(|data| *data.name == *name)
    }
}

/// A group: blocks of one kind, repeated.
#[derive(Clone, Debug)]
pub struct Group {
    pub(super) id: Option<u32>,
    pub(super) name: Box<str>,
    pub(super) since: u16,
    /// Bytes of what stands before the first entry.
    pub(super) dimension_len: usize,
    pub(super) block_length: Place,
    pub(super) num_in_group: Place,
    pub(super) body: Body,
}

impl Group {
    /// Its tag in FIX, where the schema has one.
    pub fn id(&self) -> Option<u32> {
        self.id
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version that added it; messages of an earlier one do not have it.
    pub fn since_version(&self) -> u16 {
        self.since
    }

    /// What an entry consists of.
    pub fn body(&self) -> &Body {
        &self.body
    }
}

/// Data of variable length.
#[derive(Clone, Debug)]
pub struct Data {
    pub(super) id: Option<u32>,
    pub(super) name: Box<str>,
    pub(super) since: u16,
    pub(super) length: Place,
    /// Bytes of what stands before the data.
    pub(super) start: usize,
}

impl Data {
    /// Its tag in FIX, where the schema has one.
    pub fn id(&self) -> Option<u32> {
        self.id
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version that added it; messages of an earlier one do not have it.
    pub fn since_version(&self) -> u16 {
        self.since
    }
}

/// A field, or an element of a composite or of an array.
#[derive(Clone, Debug)]
pub struct Field {
    pub(super) id: Option<u32>,
    pub(super) name: Box<str>,
    pub(super) semantic_type: Box<str>,
    pub(super) since: u16,
    pub(super) place: Place,
    /// Bytes that it takes; 0 when it is constant.
    pub(super) len: usize,
    pub(super) kind: Kind,
    /// The bits that mean *no value*.
    pub(super) null: Option<u64>,
    pub(super) constant: Option<Constant>,
}

/// What the bytes of a field mean.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A number.
    Number,
    /// A character, or text that ends at the first NUL or fills its bytes.
    Text,
    /// A mantissa with a constant exponent: `mantissa × 10^-decimals`.
    Price {
        /// Minus the exponent.
        decimals: u32,
    },
    /// Nanoseconds since 1970-01-01 00:00 UTC.
    UnixTime,
    /// One of several named values.
    Enum(Arc<Choices>),
    /// Any of several named bits.
    Set(Arc<Choices>),
}

/// The named values of an enum, or the bits of a set.
#[derive(Clone, Debug)]
pub struct Choices {
    pub(super) name: Box<str>,
    pub(super) values: Box<[Choice]>,
}

impl Choices {
    /// The name of the enum or set.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it knows, in the order of the schema. A value that is not among them came later.
    pub fn values(&self) -> &[Choice] {
        &self.values
    }
}

/// A named value, or a named bit.
#[derive(Clone, Debug)]
pub struct Choice {
    pub(super) name: Box<str>,
    pub(super) raw: u64,
}

impl Choice {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value, as the bytes of its own type, or which bit it is, from 0 at the lowest.
    pub fn raw(&self) -> u64 {
        self.raw
    }
}

/// A value that stands in the schema and not in messages.
#[derive(Clone, Debug)]
pub(super) enum Constant {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(Box<[u8]>),
}

impl Constant {
    fn value(&self) -> Value<'_> {
        match self {
            Constant::Unsigned(number) => Value::Unsigned(*number),
            Constant::Signed(number) => Value::Signed(*number),
            Constant::Float(number) => Value::Float(Float(*number)),
            Constant::Text(text) => Value::Text(text),
        }
    }
}

impl Field {
    /// Its tag in FIX, where the schema has one.
    pub fn id(&self) -> Option<u32> {
        self.id
    }

    /// Its name; of elements of a composite `field.element`, of an array `field[0]`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the schema says that it means: `Price`, `Qty`; may be empty.
    pub fn semantic_type(&self) -> &str {
        &self.semantic_type
    }

    /// The version that added it; messages of an earlier one do not have it.
    pub fn since_version(&self) -> u16 {
        self.since
    }

    /// Bytes from the start of the block; meaningless when it is constant.
    pub fn offset(&self) -> usize {
        self.place.offset
    }

    /// Bytes that it takes; 0 when it is constant.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it takes no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What its number is encoded as.
    pub fn primitive(&self) -> Primitive {
        self.place.primitive
    }

    /// What its bytes mean.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Whether its value is in the schema, and not in messages.
    pub fn is_constant(&self) -> bool {
        self.constant.is_some()
    }

    /// Its value in a block of a message of `version`. `None` when that version does not have it,
    /// or the block ends before it; [`Value::Null`] when it is there and has no value.
    #[inline]
    pub fn value<'a>(&'a self, block: &'a [u8], version: u16) -> Option<Value<'a>> {
        if version < self.since {
            return None;
        }
        if let Some(constant) = &self.constant {
            return Some(constant.value());
        }
        let bytes = block.get(self.place.offset..self.place.offset + self.len)?;
        if let Kind::Text = self.kind {
            return Some(self.text(bytes));
        }
        let raw = self.place.raw(bytes);
        if self.null.is_some_and(|null| self.place.primitive.is_null(raw, null)) {
            return Some(Value::Null);
        }
        Some(match self.kind {
            Kind::Price { decimals } => {
                Value::Price { raw: self.place.primitive.number(raw), decimals }
            }
            Kind::UnixTime => match i64::try_from(self.place.primitive.number(raw)) {
                Ok(nanos) => Value::UnixTime(nanos),
                Err(_) => Value::Unsigned(raw),
            },
            Kind::Enum(_) if self.place.primitive == Primitive::Char => self.text(bytes),
            _ => self.place.primitive.value(raw),
        })
    }

    /// Text without what is behind the NUL; a lone character may be any byte.
    fn text<'a>(&self, bytes: &'a [u8]) -> Value<'a> {
        match self.null {
            Some(null) if bytes.first().copied().map(u64::from) == Some(null) => Value::Null,
            _ if bytes.len() == 1 => Value::Text(bytes),
            _ => Value::Text(crate::wire::until_nul(bytes)),
        }
    }

    /// The name of a value of an enum; `None` for other fields and for values that came later.
    pub fn enum_name(&self, value: &Value<'_>) -> Option<&str> {
        let Kind::Enum(choices) = &self.kind else { return None };
        let raw = match *value {
            Value::Unsigned(number) => number,
            Value::Signed(number) => self.place.primitive.cut(number as u64),
            Value::Text(&[letter]) => letter.into(),
            _ => return None,
        };
        let found = choices.values.iter().find(|choice| choice.raw == raw)?;
        Some(&found.name)
    }

    /// The names of the bits that are set in a value of a set; none for other fields.
    pub fn set_names<'a>(&'a self, value: &Value<'_>) -> impl Iterator<Item = &'a str> + use<'a> {
        let (choices, bits) = match (&self.kind, *value) {
            (Kind::Set(choices), Value::Unsigned(bits)) => (&*choices.values, bits),
            _ => (&[][..], 0),
        };
        let is_set = move |choice: &&Choice| choice.raw < 64 && bits >> choice.raw & 1 == 1;
        choices.iter().filter(is_set).map(|choice| &*choice.name)
    }
}
