//! The types of a schema file: what a field of a given type is, element by element.

use super::primitive::{Place, Primitive};
use super::schema::{Choice, Choices, Constant, Field, Kind};
use crate::xml::{XmlError, children, number, required};
use roxmltree::Node;
use std::collections::HashMap;
use std::sync::Arc;

/// The deepest that composites stand in composites.
const COMPOSITES_DEEP_MAX: usize = 8;

/// The most fields of a schema, each element of a composite and of an array counted.
const FIELDS_MAX: usize = 1 << 16;

/// The longest block: what a block length of two bytes can say.
pub(super) const BLOCK_BYTES_MAX: usize = 0xffff;

/// The `<type>`, `<composite>`, `<enum>` and `<set>` elements of a file, by name.
pub(super) struct Types<'a, 'i> {
    named: HashMap<&'a str, Node<'a, 'i>>,
    /// Enums and sets that a field has used: they are shared.
    choices: HashMap<roxmltree::NodeId, Arc<Choices>>,
    big_endian: bool,
    fields: usize,
}

/// What a field is asked to be, apart from its type.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a, 'i> {
    /// The element that asks: a field, or a part of a composite.
    pub(super) node: Node<'a, 'i>,
    pub(super) name: &'a str,
    pub(super) id: Option<u32>,
    pub(super) since: u16,
}

/// A `<type>`, or a primitive type by its own name.
#[derive(Clone, Copy)]
struct Encoding<'a, 'i> {
    primitive: Primitive,
    len: usize,
    node: Option<Node<'a, 'i>>,
}

impl<'a, 'i> Types<'a, 'i> {
    /// All that stand in `<types>` below the root.
    pub(super) fn new(root: Node<'a, 'i>, big_endian: bool) -> Result<Self, XmlError> {
        let mut named = HashMap::new();
        for group in children(root).filter(|node| node.has_tag_name("types")) {
            for node in children(group) {
                let name = required(node, "name")?;
                if named.insert(name, node).is_some() {
                    let what = format!("the type {name} is declared twice");
                    return Err(XmlError::at(node, what, "give each type a name of its own"));
                }
            }
        }
        Ok(Types { named, choices: HashMap::new(), big_endian, fields: 0 })
    }

    /// Appends what a field of type `name` at `offset` consists of; the bytes that it takes.
    pub(super) fn field(
        &mut self,
        wanted: Wanted<'a, 'i>,
        type_name: &str,
        offset: usize,
        out: &mut Vec<Field>,
    ) -> Result<usize, XmlError> {
        match self.named.get(type_name).copied() {
            Some(node) => self.element(wanted, node, wanted.name, offset, 0, out),
            None => {
                let cure = "declare it in <types>, or use a primitive type";
                let primitive = Primitive::named(type_name).ok_or_else(|| {
                    XmlError::at(wanted.node, format!("the type {type_name} is unknown"), cure)
                })?;
                let encoding = Encoding { primitive, len: 1, node: None };
                self.simple(wanted, encoding, wanted.name, offset, out)
            }
        }
    }

    /// A type element as a part called `name`.
    fn element(
        &mut self,
        wanted: Wanted<'a, 'i>,
        node: Node<'a, 'i>,
        name: &str,
        offset: usize,
        deep: usize,
        out: &mut Vec<Field>,
    ) -> Result<usize, XmlError> {
        if deep > COMPOSITES_DEEP_MAX {
            let what = format!("composites are nested deeper than {COMPOSITES_DEEP_MAX}");
            return Err(XmlError::at(node, what, "does one refer to itself?"));
        }
        match node.tag_name().name() {
            "type" => {
                let encoding = self.encoding(node)?;
                self.simple(wanted, encoding, name, offset, out)
            }
            "enum" | "set" => self.choice_field(wanted, node, name, offset, out),
            "composite" => self.composite(wanted, node, name, offset, deep, out),
            "ref" => {
                let type_name = required(node, "type")?;
                let Some(target) = self.named.get(type_name).copied() else {
                    let what = format!("the type {type_name} is unknown");
                    return Err(XmlError::at(node, what, "declare it in <types>"));
                };
                self.element(wanted, target, name, offset, deep + 1, out)
            }
            other => {
                let what = format!("<{other}> is no type");
                Err(XmlError::at(node, what, "use type, composite, enum, set or ref"))
            }
        }
    }

    fn composite(
        &mut self,
        wanted: Wanted<'a, 'i>,
        node: Node<'a, 'i>,
        name: &str,
        offset: usize,
        deep: usize,
        out: &mut Vec<Field>,
    ) -> Result<usize, XmlError> {
        let first = out.len();
        let mut end = 0;
        for part in children(node) {
            let part_name = required(part, "name")?;
            end = next_offset(part, end, offset)?;
            let since = number(part, "sinceVersion")?.unwrap_or(0).max(wanted.since);
            let asked = Wanted { node: part, name: wanted.name, id: wanted.id, since };
            let name = format!("{name}.{part_name}");
            end += self.element(asked, part, &name, offset + end, deep + 1, out)?;
        }
        fold(wanted, name, first, out);
        Ok(end)
    }

    /// The encoding of a `<type>`.
    fn encoding(&self, node: Node<'a, 'i>) -> Result<Encoding<'a, 'i>, XmlError> {
        let name = required(node, "primitiveType")?;
        let primitive = Primitive::named(name).ok_or_else(|| {
            let what = format!("primitiveType='{name}' is unknown");
            XmlError::at(node, what, "use char, int8 to int64, uint8 to uint64, float or double")
        })?;
        let len = number(node, "length")?.unwrap_or(1);
        Ok(Encoding { primitive, len, node: Some(node) })
    }

    /// A number, a text, or an array of numbers.
    fn simple(
        &mut self,
        wanted: Wanted<'a, 'i>,
        encoding: Encoding<'a, 'i>,
        name: &str,
        offset: usize,
        out: &mut Vec<Field>,
    ) -> Result<usize, XmlError> {
        let Encoding { primitive, len, node } = encoding;
        let is_text = primitive == Primitive::Char;
        let presence = presence(wanted.node, node);
        if presence == Some("constant") {
            let constant = self.constant(wanted, node, primitive)?;
            let kind = if is_text { Kind::Text } else { Kind::Number };
            self.count(wanted.node, 1)?;
            out.push(self.leaf(wanted, name, offset, (primitive, 0), kind));
            out.last_mut().expect("was pushed").constant = Some(constant);
            return Ok(0);
        }
        let null = match presence {
            Some("optional") => Some(null_of(wanted.node, node, primitive)?),
            _ => None,
        };
        let parts = if is_text || len == 1 { 1 } else { len };
        let part_len = if is_text { len } else { primitive.size() };
        self.count(wanted.node, parts)?;
        for part in 0..parts {
            let kind = match is_text {
                true => Kind::Text,
                false if is_nanos(wanted.node, primitive) => Kind::UnixTime,
                false => Kind::Number,
            };
            let part_name = if parts == 1 { name.to_owned() } else { format!("{name}[{part}]") };
            let at = offset + part * part_len;
            let mut field = self.leaf(wanted, &part_name, at, (primitive, part_len), kind);
            field.null = null;
            out.push(field);
        }
        Ok(parts * part_len)
    }

    /// A field of an enum or a set.
    fn choice_field(
        &mut self,
        wanted: Wanted<'a, 'i>,
        node: Node<'a, 'i>,
        name: &str,
        offset: usize,
        out: &mut Vec<Field>,
    ) -> Result<usize, XmlError> {
        let encoding = self.choice_encoding(node)?;
        let primitive = encoding.primitive;
        let choices = self.choices(node, primitive)?;
        let is_set = node.has_tag_name("set");
        let kind = if is_set { Kind::Set(choices) } else { Kind::Enum(choices) };
        self.count(wanted.node, 1)?;
        if presence(wanted.node, encoding.node) == Some("constant") {
            let mut field = self.leaf(wanted, name, offset, (primitive, 0), kind);
            field.constant = Some(self.constant(wanted, Some(node), primitive)?);
            out.push(field);
            return Ok(0);
        }
        let mut field = self.leaf(wanted, name, offset, (primitive, primitive.size()), kind);
        if presence(wanted.node, encoding.node) == Some("optional") && !is_set {
            field.null = Some(null_of(wanted.node, encoding.node, primitive)?);
        }
        out.push(field);
        Ok(primitive.size())
    }

    /// What an enum or a set is encoded as: a primitive type, or a `<type>` of one.
    fn choice_encoding(&self, node: Node<'a, 'i>) -> Result<Encoding<'a, 'i>, XmlError> {
        let name = required(node, "encodingType")?;
        let encoding = match (Primitive::named(name), self.named.get(name)) {
            (Some(primitive), _) => Encoding { primitive, len: 1, node: None },
            (None, Some(&node)) if node.has_tag_name("type") => self.encoding(node)?,
            _ => {
                let what = format!("encodingType='{name}' is unknown");
                return Err(XmlError::at(node, what, "name a primitive type or a <type> of one"));
            }
        };
        let fits = match node.has_tag_name("set") {
            true => encoding.primitive.is_unsigned(),
            false => !matches!(encoding.primitive, Primitive::Float | Primitive::Double),
        };
        if !fits || encoding.len != 1 {
            let cure = "an enum is a char or an integer, a set an unsigned integer";
            return Err(XmlError::at(node, format!("encodingType='{name}' is none for it"), cure));
        }
        Ok(encoding)
    }

    fn choices(
        &mut self,
        node: Node<'a, 'i>,
        encoding: Primitive,
    ) -> Result<Arc<Choices>, XmlError> {
        if let Some(known) = self.choices.get(&node.id()) {
            return Ok(known.clone());
        }
        // Choices of a set are numbers of bits, whatever the set is encoded as.
        let is_set = node.has_tag_name("set");
        let encoding = if is_set { Primitive::Uint8 } else { encoding };
        let choice = |value: Node<'a, 'i>| {
            let raw = literal(value, value.text().unwrap_or_default(), encoding)?;
            Ok(Choice { name: required(value, "name")?.into(), raw })
        };
        let values = children(node).map(choice).collect::<Result<_, XmlError>>()?;
        let choices = Arc::new(Choices { name: required(node, "name")?.into(), values });
        self.choices.insert(node.id(), choices.clone());
        Ok(choices)
    }

    /// The value of a constant: a `valueRef` of the field or of its type, or the text of its type.
    fn constant(
        &mut self,
        wanted: Wanted<'a, 'i>,
        node: Option<Node<'a, 'i>>,
        primitive: Primitive,
    ) -> Result<Constant, XmlError> {
        let of_type = node.and_then(|node| node.attribute("valueRef"));
        let reference = wanted.node.attribute("valueRef").or(of_type);
        if let Some(reference) = reference {
            return self.referred(wanted.node, reference);
        }
        let text = node.unwrap_or(wanted.node).text().unwrap_or_default();
        if primitive == Primitive::Char {
            return Ok(Constant::Text(text.as_bytes().into()));
        }
        let raw = literal(wanted.node, text, primitive)?;
        Ok(constant_of(primitive, raw))
    }

    /// The value that `Enum.Name` refers to.
    fn referred(&mut self, at: Node<'a, 'i>, reference: &str) -> Result<Constant, XmlError> {
        let unknown = || {
            let what = format!("valueRef='{reference}' names no value of an enum");
            XmlError::at(at, what, "write Enum.Name of a declared enum")
        };
        let (name, value) = reference.split_once('.').ok_or_else(unknown)?;
        let node = self.named.get(name).copied().filter(|node| node.has_tag_name("enum"));
        let node = node.ok_or_else(unknown)?;
        let primitive = self.choice_encoding(node)?.primitive;
        let choices = self.choices(node, primitive)?;
        let found = choices.values.iter().find(|choice| *choice.name == *value);
        found.map(|choice| constant_of(primitive, choice.raw)).ok_or_else(unknown)
    }

    fn leaf(
        &self,
        wanted: Wanted<'a, 'i>,
        name: &str,
        offset: usize,
        (primitive, len): (Primitive, usize),
        kind: Kind,
    ) -> Field {
        Field {
            id: wanted.id,
            name: name.into(),
            semantic_type: wanted.node.attribute("semanticType").unwrap_or_default().into(),
            since: wanted.since,
            place: Place { offset, primitive, big_endian: self.big_endian },
            len,
            kind,
            null: None,
            constant: None,
        }
    }

    /// Counts fields, so that a small file cannot ask for endless tables.
    fn count(&mut self, node: Node<'_, '_>, fields: usize) -> Result<(), XmlError> {
        self.fields = self.fields.saturating_add(fields);
        if self.fields > FIELDS_MAX {
            let what = format!("the schema has more than {FIELDS_MAX} fields");
            return Err(XmlError::at(node, what, "is an array or a composite too large?"));
        }
        Ok(())
    }
}

/// Makes one field of a composite that is one value: a mantissa with a constant exponent, or a time
/// in nanoseconds.
fn fold(wanted: Wanted<'_, '_>, name: &str, first: usize, out: &mut Vec<Field>) {
    let [value, scale] = &out[first..] else { return };
    let ends = |field: &Field, part: &str| field.name.strip_prefix(name) == Some(part);
    let scaled = match scale.constant {
        Some(Constant::Signed(exponent)) => Some(exponent),
        Some(Constant::Unsigned(exponent)) => i64::try_from(exponent).ok(),
        _ => None,
    };
    let is_integer = value.place.primitive.is_signed() || value.place.primitive.is_unsigned();
    let kind = match scaled {
        Some(exponent @ -38..=0) if ends(value, ".mantissa") && ends(scale, ".exponent") => {
            Kind::Price { decimals: exponent.unsigned_abs() as u32 }
        }
        Some(9) if ends(value, ".time") && ends(scale, ".unit") => Kind::UnixTime,
        _ => return,
    };
    if !is_integer || value.constant.is_some() {
        return;
    }
    let field = &mut out[first];
    field.kind = kind;
    field.name = name.into();
    field.semantic_type = wanted.node.attribute("semanticType").unwrap_or_default().into();
    if wanted.node.attribute("presence") == Some("optional") && field.null.is_none() {
        field.null = Some(field.place.primitive.default_null());
    }
    out.truncate(first + 1);
}

/// Where a part begins: at its own offset, or where the part before ended. Offsets in a composite
/// or a block may leave room, and never go back.
pub(super) fn next_offset(node: Node<'_, '_>, end: usize, base: usize) -> Result<usize, XmlError> {
    let offset = number(node, "offset")?.unwrap_or(end);
    if offset < end {
        let what = format!("offset='{offset}' lies within the field before, which ends at {end}");
        return Err(XmlError::at(node, what, "fields may not overlap"));
    }
    if base.saturating_add(offset) > BLOCK_BYTES_MAX {
        let what = format!("a field begins behind byte {BLOCK_BYTES_MAX}");
        return Err(XmlError::at(node, what, "no block is that long"));
    }
    Ok(offset)
}

/// Required, optional or constant: what the field says, or else its type.
fn presence<'a>(field: Node<'a, '_>, of_type: Option<Node<'a, '_>>) -> Option<&'a str> {
    let of_type = of_type.and_then(|node| node.attribute("presence"));
    match (field.attribute("presence"), of_type) {
        // A constant of the type stays one, whatever a field says.
        (_, Some("constant")) => Some("constant"),
        (own, of_type) => own.or(of_type),
    }
}

/// The bits that mean *no value*.
fn null_of(
    field: Node<'_, '_>,
    of_type: Option<Node<'_, '_>>,
    primitive: Primitive,
) -> Result<u64, XmlError> {
    let said =
        |node: Node<'_, '_>| node.attribute("nullValue").map(|text| literal(node, text, primitive));
    let said = said(field).or_else(|| of_type.and_then(said));
    said.unwrap_or(Ok(primitive.default_null()))
}

/// Whether the field is a time in nanoseconds since 1970.
fn is_nanos(field: Node<'_, '_>, primitive: Primitive) -> bool {
    let unit = field.attribute("timeUnit").unwrap_or("nanosecond");
    let epoch = field.attribute("epoch").unwrap_or("UNIX");
    field.attribute("semanticType") == Some("UTCTimestamp")
        && unit == "nanosecond"
        && epoch.eq_ignore_ascii_case("unix")
        && matches!(primitive, Primitive::Uint64 | Primitive::Int64)
}

fn constant_of(primitive: Primitive, raw: u64) -> Constant {
    match primitive {
        Primitive::Char => Constant::Text([raw as u8].into()),
        Primitive::Float => Constant::Float(f32::from_bits(raw as u32).into()),
        Primitive::Double => Constant::Float(f64::from_bits(raw)),
        _ if primitive.is_signed() => Constant::Signed(primitive.number(raw) as i64),
        _ => Constant::Unsigned(raw),
    }
}

/// The bits of a number or character in a schema.
fn literal(node: Node<'_, '_>, text: &str, primitive: Primitive) -> Result<u64, XmlError> {
    let trimmed = text.trim();
    let raw = match primitive {
        Primitive::Char => match (text.as_bytes(), trimmed.as_bytes()) {
            (&[letter], _) | (_, &[letter]) => Some(letter.into()),
            _ => trimmed.parse::<u8>().ok().map(u64::from),
        },
        Primitive::Float => trimmed.parse::<f32>().ok().map(|number| number.to_bits().into()),
        Primitive::Double => trimmed.parse::<f64>().ok().map(f64::to_bits),
        _ => trimmed.parse::<i128>().ok().and_then(|number| primitive.bits(number)),
    };
    raw.ok_or_else(|| {
        let what = format!("'{text}' is no value of {primitive:?}, or out of its range");
        XmlError::at(node, what, "write a value that its type can have")
    })
}
