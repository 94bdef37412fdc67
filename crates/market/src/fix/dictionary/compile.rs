//! Dictionary files: XML in, tables out.

use super::{
    Body, Dictionary, FieldDefinition, GROUPS_DEEP_MAX, MessageDefinition, PARTS_MAX, Part, Type,
};
use crate::xml::{self, XmlError, children, number, required};
use roxmltree::Node;
use std::collections::HashMap;

/// The deepest that components stand in components.
const COMPONENTS_DEEP_MAX: usize = 16;

/// The most parts of a dictionary, those of components counted wherever they are used.
const ALL_PARTS_MAX: usize = 1 << 18;

impl Dictionary {
    /// Of the text of a dictionary file.
    ///
    /// # Errors
    /// What is wrong, in which line, and what to do.
    pub fn parse(text: &str) -> Result<Self, XmlError> {
        let document = xml::parse(text)?;
        let root = document.root_element();
        if !root.has_tag_name("fix") {
            let what = format!("the root element is <{}>", root.tag_name().name());
            return Err(XmlError::at(root, what, "a dictionary of FIX has <fix>"));
        }
        let section = |name| children(root).find(|node| node.has_tag_name(name));
        let mut fields = Vec::new();
        for node in section("fields").into_iter().flat_map(children) {
            fields.push(field(node)?);
        }
        fields.sort_by_key(|field| field.tag);
        if let Some(twice) = fields.windows(2).find(|pair| pair[0].tag == pair[1].tag) {
            let what = format!("{} and {} have one number", twice[0], twice[1]);
            return Err(XmlError::at(root, what, "give each field a number of its own"));
        }
        let mut compiler = Compiler {
            tags: fields.iter().map(|field| (field.name.to_string(), field.tag)).collect(),
            components: HashMap::new(),
            parts: 0,
        };
        for node in section("components").into_iter().flat_map(children) {
            compiler.components.insert(required(node, "name")?, node);
        }
        let mut messages = Vec::new();
        for node in section("messages").into_iter().flat_map(children) {
            messages.push(MessageDefinition {
                name: required(node, "name")?.into(),
                msg_type: required(node, "msgtype")?.into(),
                is_admin: node.attribute("msgcat") == Some("admin"),
                body: compiler.body(node, 0)?,
            });
        }
        messages.sort_by(|a, b| a.msg_type.cmp(&b.msg_type));
        let mut part = |name| section(name).map(|node| compiler.body(node, 0)).transpose();
        Ok(Dictionary {
            header: part("header")?.unwrap_or_default(),
            trailer: part("trailer")?.unwrap_or_default(),
            begin_string: begin_string(root)?.into(),
            fields: fields.into(),
            messages: messages.into(),
        })
    }
}

fn begin_string(root: Node<'_, '_>) -> Result<String, XmlError> {
    let kind = root.attribute("type").unwrap_or("FIX");
    let (major, minor) = (required(root, "major")?, required(root, "minor")?);
    Ok(format!("{kind}.{major}.{minor}"))
}

fn field(node: Node<'_, '_>) -> Result<FieldDefinition, XmlError> {
    required(node, "number")?;
    let mut values = Vec::new();
    for value in children(node) {
        let name = value.attribute("description").unwrap_or_default();
        values.push((required(value, "enum")?.into(), name.into()));
    }
    values.sort();
    Ok(FieldDefinition {
        tag: number(node, "number")?.unwrap_or(0),
        name: required(node, "name")?.into(),
        kind: Type::named(required(node, "type")?),
        values: values.into(),
    })
}

struct Compiler<'a, 'i> {
    tags: HashMap<String, u32>,
    components: HashMap<&'a str, Node<'a, 'i>>,
    /// How many there are by now.
    parts: usize,
}

impl<'a, 'i> Compiler<'a, 'i> {
    /// The fields, groups and components of a message, a group, the header or the trailer.
    fn body(&mut self, node: Node<'a, 'i>, deep: usize) -> Result<Body, XmlError> {
        if deep > GROUPS_DEEP_MAX {
            let what = format!("groups are nested deeper than {GROUPS_DEEP_MAX}");
            return Err(XmlError::at(node, what, "does a component hold itself?"));
        }
        let mut parts = Vec::new();
        self.collect(node, deep, 0, true, &mut parts)?;
        if parts.len() > PARTS_MAX {
            let what = format!("<{}> has more than {PARTS_MAX} fields", node.tag_name().name());
            return Err(XmlError::at(node, what, "is it the right file?"));
        }
        let first = parts.first().map_or(0, |part| part.tag);
        parts.sort_by_key(|part| part.tag);
        // Where components bring a field twice, once is enough.
        parts.dedup_by(|again, part| {
            part.is_required |= part.tag == again.tag && again.is_required;
            part.tag == again.tag
        });
        Ok(Body { parts: parts.into(), first })
    }

    /// Appends the parts of an element; of what is not required as a whole, nothing is.
    fn collect(
        &mut self,
        node: Node<'a, 'i>,
        deep: usize,
        components: usize,
        is_required: bool,
        parts: &mut Vec<Part>,
    ) -> Result<(), XmlError> {
        if components > COMPONENTS_DEEP_MAX {
            let what = format!("components are nested deeper than {COMPONENTS_DEEP_MAX}");
            return Err(XmlError::at(node, what, "does one hold itself?"));
        }
        for child in children(node) {
            self.parts += 1;
            if self.parts > ALL_PARTS_MAX {
                let what = format!("messages have more than {ALL_PARTS_MAX} fields");
                return Err(XmlError::at(child, what, "does a component hold itself?"));
            }
            let name = required(child, "name")?;
            let is_required = is_required && child.attribute("required") == Some("Y");
            let group = match child.tag_name().name() {
                "component" => {
                    let Some(&component) = self.components.get(name) else {
                        let what = format!("the component {name} is unknown");
                        return Err(XmlError::at(child, what, "declare it in <components>"));
                    };
                    self.collect(component, deep, components + 1, is_required, parts)?;
                    continue;
                }
                "group" => Some(self.body(child, deep + 1)?),
                "field" => None,
                other => {
                    let what = format!("<{other}> may not stand here");
                    return Err(XmlError::at(child, what, "use field, group or component"));
                }
            };
            let Some(&tag) = self.tags.get(name) else {
                let what = format!("the field {name} is unknown");
                return Err(XmlError::at(child, what, "declare it in <fields>"));
            };
            parts.push(Part { tag, is_required, group });
        }
        Ok(())
    }
}
