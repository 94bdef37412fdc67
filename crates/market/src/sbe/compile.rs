//! Schema files: XML in, tables out.

use super::primitive::{Place, Primitive};
use super::read::GROUPS_DEEP_MAX;
use super::schema::{Body, Data, Field, Group, Header, Schema, Template};
use super::types::{BLOCK_BYTES_MAX, Types, Wanted, next_offset};
use crate::xml::{self, XmlError, children, number, required};
use roxmltree::Node;
use std::collections::HashSet;

impl Schema {
    /// Of the text of a schema file (section 4, *Message Schema*).
    ///
    /// # Errors
    /// What is wrong, in which line, and what to do.
    pub fn parse(text: &str) -> Result<Self, XmlError> {
        let document = xml::parse(text)?;
        let root = document.root_element();
        if root.tag_name().name() != "messageSchema" {
            let what = format!("the root element is <{}>", root.tag_name().name());
            return Err(XmlError::at(root, what, "an SBE schema has <messageSchema>"));
        }
        let big_endian = match root.attribute("byteOrder") {
            None | Some("littleEndian") => false,
            Some("bigEndian") => true,
            Some(other) => {
                let what = format!("byteOrder='{other}'");
                return Err(XmlError::at(root, what, "write littleEndian or bigEndian"));
            }
        };
        let types = Types::new(root, big_endian)?;
        let header_type = root.attribute("headerType").unwrap_or("messageHeader");
        let mut compiler = Compiler { types };
        let header = compiler.header(root, header_type)?;
        let mut templates = Vec::new();
        for node in children(root).filter(|node| node.tag_name().name() == "message") {
            templates.push(compiler.template(node)?);
        }
        templates.sort_by_key(|template| template.id);
        if let Some(twice) = templates.windows(2).find(|pair| pair[0].id == pair[1].id) {
            let what = format!("{} and {} have id {}", twice[0].name, twice[1].name, twice[0].id);
            return Err(XmlError::at(root, what, "give each message an id of its own"));
        }
        Ok(Schema {
            id: number(root, "id")?.unwrap_or(0),
            version: number(root, "version")?.unwrap_or(0),
            package: root.attribute("package").unwrap_or_default().into(),
            header,
            templates: templates.into(),
        })
    }
}

struct Compiler<'a, 'i> {
    types: Types<'a, 'i>,
}

impl<'a, 'i> Compiler<'a, 'i> {
    fn template(&mut self, node: Node<'a, 'i>) -> Result<Template, XmlError> {
        required(node, "id")?;
        Ok(Template {
            id: number(node, "id")?.unwrap_or(0),
            name: required(node, "name")?.into(),
            semantic_type: node.attribute("semanticType").unwrap_or_default().into(),
            body: self.body(node, 0)?,
        })
    }

    /// Fields, groups and data of a message or a group; fields come first, data last.
    fn body(&mut self, node: Node<'a, 'i>, deep: usize) -> Result<Body, XmlError> {
        let (mut fields, mut groups, mut data) = (Vec::new(), Vec::new(), Vec::new());
        let (mut end, mut names) = (0, HashSet::new());
        for part in children(node) {
            let tag = part.tag_name().name();
            let name = required(part, "name")?;
            if !names.insert(name) {
                let what = format!("{name} is declared twice");
                return Err(XmlError::at(part, what, "give each part a name of its own"));
            }
            let order = match tag {
                "field" if groups.is_empty() && data.is_empty() => {
                    end = self.field(part, end, &mut fields)?;
                    continue;
                }
                "group" if data.is_empty() => {
                    groups.push(self.group(part, deep)?);
                    continue;
                }
                "data" => {
                    data.push(self.data(part)?);
                    continue;
                }
                "field" | "group" => "fields come first, then groups, then data",
                _ => "use field, group or data",
            };
            return Err(XmlError::at(part, format!("<{tag}> may not stand here"), order));
        }
        let block_length = number(node, "blockLength")?.unwrap_or(end);
        if block_length < end || block_length > BLOCK_BYTES_MAX {
            let what = format!("blockLength='{block_length}', and the fields end at {end}");
            let cure = "a block holds its fields, and has at most 65535 bytes";
            return Err(XmlError::at(node, what, cure));
        }
        let (fields, groups, data) = (fields.into(), groups.into(), data.into());
        Ok(Body { block_length, fields, groups, data })
    }

    /// Appends a field; where it ends.
    fn field(
        &mut self,
        node: Node<'a, 'i>,
        end: usize,
        out: &mut Vec<Field>,
    ) -> Result<usize, XmlError> {
        let name = required(node, "name")?;
        let offset = next_offset(node, end, 0)?;
        let since = number(node, "sinceVersion")?.unwrap_or(0);
        let wanted = Wanted { node, name, id: number(node, "id")?, since };
        let first = out.len();
        let len = self.types.field(wanted, required(node, "type")?, offset, out)?;
        let is_constant = out[first..].iter().all(Field::is_constant);
        Ok(if is_constant { end } else { offset + len })
    }

    fn group(&mut self, node: Node<'a, 'i>, deep: usize) -> Result<Group, XmlError> {
        if deep >= GROUPS_DEEP_MAX {
            let what = format!("groups are nested deeper than {GROUPS_DEEP_MAX}");
            return Err(XmlError::at(node, what, "is it the right file?"));
        }
        let dimension = node.attribute("dimensionType").unwrap_or("groupSizeEncoding");
        let (dimension_len, parts) = self.parts(node, dimension)?;
        Ok(Group {
            id: number(node, "id")?,
            name: required(node, "name")?.into(),
            since: number(node, "sinceVersion")?.unwrap_or(0),
            dimension_len,
            block_length: unsigned(node, dimension, &parts, "blockLength")?,
            num_in_group: unsigned(node, dimension, &parts, "numInGroup")?,
            body: self.body(node, deep + 1)?,
        })
    }

    fn data(&mut self, node: Node<'a, 'i>) -> Result<Data, XmlError> {
        let type_name = required(node, "type")?;
        let (_, parts) = self.parts(node, type_name)?;
        let length = unsigned(node, type_name, &parts, "length")?;
        let var_data = part(&parts, type_name, "varData").map(|field| field.place.offset);
        let start = var_data.unwrap_or(length.offset + length.primitive.size());
        if start < length.offset + length.primitive.size() {
            let what = format!("{type_name} has its data before their length");
            return Err(XmlError::at(node, what, "the length comes first"));
        }
        Ok(Data {
            id: number(node, "id")?,
            name: required(node, "name")?.into(),
            since: number(node, "sinceVersion")?.unwrap_or(0),
            length,
            start,
        })
    }

    fn header(&mut self, root: Node<'a, 'i>, name: &'a str) -> Result<Header, XmlError> {
        let (len, parts) = self.parts(root, name)?;
        Ok(Header {
            len,
            block_length: unsigned(root, name, &parts, "blockLength")?,
            template_id: unsigned(root, name, &parts, "templateId")?,
            schema_id: unsigned(root, name, &parts, "schemaId")?,
            version: unsigned(root, name, &parts, "version")?,
        })
    }

    /// The elements of a composite that is no field: its length, and what it consists of.
    fn parts(
        &mut self,
        node: Node<'a, 'i>,
        type_name: &'a str,
    ) -> Result<(usize, Vec<Field>), XmlError> {
        let mut parts = Vec::new();
        let wanted = Wanted { node, name: type_name, id: None, since: 0 };
        let len = self.types.field(wanted, type_name, 0, &mut parts)?;
        Ok((len, parts))
    }
}

fn part<'f>(parts: &'f [Field], composite: &str, name: &str) -> Option<&'f Field> {
    parts.iter().find(|field| {
        let rest = field.name.strip_prefix(composite).and_then(|rest| rest.strip_prefix('.'));
        rest == Some(name)
    })
}

/// The unsigned number `name` of a composite.
fn unsigned(
    node: Node<'_, '_>,
    composite: &str,
    parts: &[Field],
    name: &str,
) -> Result<Place, XmlError> {
    let found = part(parts, composite, name).map(|field| field.place);
    found.filter(|place| Primitive::is_unsigned(place.primitive)).ok_or_else(|| {
        let what = format!("the composite {composite} has no unsigned number {name}");
        XmlError::at(node, what, "the specification requires it")
    })
}
