//! Messages of FIX, printed: with the names of a dictionary where there is one for their version,
//! else by their tags.

use super::schema::Schemas;
use super::text::push_json;
use std::collections::HashSet;
use std::fmt::{self, Write};
use tickwire_market::fix::dictionary::{Dictionary, FieldDefinition, GROUPS_DEEP_MAX, Item};
use tickwire_market::fix::{Field, Framed, Message, frame};
use tickwire_market::{self as market, Protocol, Value};

/// The message of FIX that `message` is, if it is one.
pub fn message<'a>(message: &market::Message<'a>) -> Option<Message<'a>> {
    match frame(message.bytes) {
        Framed::Message(fix) if message.protocol == Protocol::Fix => Some(fix),
        _ => None,
    }
}

fn dictionary<'s>(message: &Message<'_>, schemas: &'s Schemas) -> Option<&'s Dictionary> {
    schemas.dictionary(message.get(8)?)
}

/// Appends the name of the message and `name=value(meaning)` for each field; without a dictionary
/// `tag=value`.
pub fn write_line(text: &mut String, message: &Message<'_>, schemas: &Schemas) -> fmt::Result {
    if let Some(dictionary) = dictionary(message, schemas) {
        return write!(text, "{}", dictionary.named(*message));
    }
    for (at, field) in message.fields().flatten().enumerate() {
        let blank = if at == 0 { "" } else { " " };
        write!(text, "{blank}{}={}", field.tag, Value::Text(field.value))?;
    }
    Ok(())
}

/// Appends `,"name":"value"` for each field: values as text, or what the dictionary says that they
/// mean; groups as lists of objects. Without a dictionary nobody knows where groups are: a tag that
/// comes several times has the list of its values.
pub fn write_object(text: &mut String, message: &Message<'_>, schemas: &Schemas) -> fmt::Result {
    let Some(dictionary) = dictionary(message, schemas) else {
        return write_tags(text, message);
    };
    if let Some(known) = dictionary.message(message.msg_type()) {
        text.push_str(",\"name\":");
        push_json(text, format_args!("{}", known.name()))?;
    }
    let (mut object, mut written) = (Object::default(), Ok(()));
    dictionary.walk(message, |item| {
        if let Item::Field { field, definition, deep, entry, .. } = item {
            written = written.and_then(|()| object.field(text, field, definition, deep, entry));
        }
    });
    written?;
    object.close(text, 0)
}

fn write_tags(text: &mut String, message: &Message<'_>) -> fmt::Result {
    let mut fields: Vec<_> = message.fields().flatten().collect();
    fields.sort_by_key(|field| field.tag);
    for same in fields.chunk_by(|a, b| a.tag == b.tag) {
        write!(text, ",\"{}\":", same[0].tag)?;
        text.push_str(if same.len() > 1 { "[" } else { "" });
        for (at, field) in same.iter().enumerate() {
            text.push_str(if at > 0 { "," } else { "" });
            push_json(text, format_args!("{}", Value::Text(field.value)))?;
        }
        text.push_str(if same.len() > 1 { "]" } else { "" });
    }
    Ok(())
}

/// An object that is being written, with the lists of groups in it that are open.
#[derive(Default)]
struct Object {
    /// The entry of each open list.
    entries: [usize; GROUPS_DEEP_MAX],
    deep: usize,
    /// The names in each open object: a second field of a name is left out, or nothing could read
    /// the object.
    names: [HashSet<u32>; GROUPS_DEEP_MAX + 1],
    /// The field at hand, which is a group when the next is deeper, and where it ends without its
    /// value.
    last: Option<usize>,
}

impl Object {
    fn field(
        &mut self,
        text: &mut String,
        field: Field<'_>,
        definition: Option<&FieldDefinition>,
        deep: usize,
        entry: usize,
    ) -> fmt::Result {
        let is_next = deep > 0 && deep <= self.deep && self.entries[deep - 1] != entry;
        self.close(text, deep)?;
        if deep > self.deep {
            // The field before counts the entries: the list has its name.
            text.truncate(self.last.unwrap_or(text.len()));
            text.push_str("[{");
            (self.entries[self.deep], self.deep) = (entry, self.deep + 1);
            self.names[self.deep].clear();
        } else if is_next {
            text.push_str("},{");
            self.entries[deep - 1] = entry;
            self.names[deep].clear();
        }
        if !self.names[self.deep].insert(field.tag) {
            self.last = None;
            return Ok(());
        }
        text.push_str(if text.ends_with('{') { "" } else { "," });
        match definition {
            Some(definition) => push_json(text, format_args!("{}", definition.name()))?,
            None => write!(text, "\"{}\"", field.tag)?,
        }
        text.push(':');
        self.last = Some(text.len());
        match definition.and_then(|known| known.value_name(field.value)) {
            Some(meaning) => push_json(text, format_args!("{meaning}")),
            None => push_json(text, format_args!("{}", Value::Text(field.value))),
        }
    }

    fn close(&mut self, text: &mut String, deep: usize) -> fmt::Result {
        while self.deep > deep {
            text.push_str("}]");
            self.deep -= 1;
        }
        Ok(())
    }
}
