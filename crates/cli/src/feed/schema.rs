//! Messages of SBE by the schemas that the user gives: their names and their fields, printed.

use super::text::{json_value, push_json};
use crate::exit::Failure;
use std::fmt::{self, Write};
use std::path::PathBuf;
use tickwire_market::sbe::schema::Template;
use tickwire_market::sbe::{Decoded, GROUPS_DEEP_MAX, Item, Message as SbeMessage, Path, Schema};
use tickwire_market::{Error, Message, MessageType, Protocol, Value, mdp3, umdf};

/// The longest schema file, in bytes: CME's has a quarter of a megabyte.
const SCHEMA_BYTES_MAX: u64 = 16 << 20;

/// The schemas of a run.
#[derive(Debug, Default)]
pub struct Schemas(Vec<Schema>);

impl Schemas {
    /// Reads and compiles schema files.
    pub fn read(files: &[PathBuf]) -> Result<Schemas, Failure> {
        let schemas = files.iter().map(|file| {
            let name = file.display();
            let failed = |error: std::io::Error| {
                Failure::failed(format_args!("cannot read the schema {name}: {error}"))
            };
            let bytes = std::fs::metadata(file).map_err(failed)?.len();
            if bytes > SCHEMA_BYTES_MAX {
                return Err(Failure::failed(format_args!(
                    "{name} has {bytes} bytes, and a schema has at most {SCHEMA_BYTES_MAX}: give \
                     the XML file of the exchange"
                )));
            }
            let text = std::fs::read_to_string(file).map_err(failed)?;
            Schema::parse(&text).map_err(|error| Failure::failed(format_args!("{name}: {error}")))
        });
        schemas.collect::<Result<_, _>>().map(Schemas)
    }

    /// That of a protocol.
    pub fn of(&self, protocol: Protocol) -> Option<&Schema> {
        let id = match protocol {
            Protocol::Mdp3 => mdp3::SCHEMA_ID,
            Protocol::Umdf => umdf::SCHEMA_ID,
            _ => return None,
        };
        self.0.iter().find(|schema| schema.id() == u32::from(id))
    }

    /// A message by its schema; `None` when there is none for its protocol.
    pub fn decode<'a>(&'a self, message: &Message<'a>) -> Option<Result<Decoded<'a>, Error>> {
        Some(self.of(message.protocol)?.decode(message.sbe()?))
    }

    /// The template of a type.
    pub fn template(&self, protocol: Protocol, message_type: MessageType) -> Option<&Template> {
        let MessageType::Template(id) = message_type else { return None };
        self.of(protocol)?.template(id)
    }
}

/// Appends ` name=value` for each field; values of enums by their names, where they have one.
pub fn write_line(text: &mut String, message: &SbeMessage<'_>) -> fmt::Result {
    let mut written = Ok(());
    let fault = message.walk(|path, item| {
        let one = match item {
            Item::Field(field, value) => match field.enum_name(&value) {
                Some(name) => write!(text, " {path}{}={name}", field.name()),
                None => write!(text, " {path}{}={value}", field.name()),
            },
            Item::Group(..) => Ok(()),
            Item::Data(data, bytes) => {
                write!(text, " {path}{}={}", data.name(), Value::Text(bytes))
            }
        };
        written = written.and(one);
    });
    if let Err(error) = fault {
        write!(text, " [{}]", error.reason())?;
    }
    written
}

/// Appends `,"name":value` for each field, and each group as a list of objects.
pub fn write_object(text: &mut String, message: &SbeMessage<'_>) -> fmt::Result {
    let mut lists = Lists { open: [None; GROUPS_DEEP_MAX + 1], deep: 0 };
    let mut written = Ok(());
    let fault = message.walk(|path, item| {
        written = written.and(lists.item(text, path, &item));
    });
    lists.close(text, 0);
    if let Err(error) = fault {
        write!(text, ",\"fault\":\"{}\"", error.reason())?;
    }
    written
}

/// The lists that are open, from the outermost on: of each, the entry at hand.
struct Lists {
    open: [Option<usize>; GROUPS_DEEP_MAX + 1],
    deep: usize,
}

impl Lists {
    fn item(&mut self, text: &mut String, path: &Path<'_>, item: &Item<'_>) -> fmt::Result {
        let steps = path.steps();
        self.close(text, steps.len());
        let is_first = steps.last().is_some_and(|&(_, index)| self.begin(text, index));
        text.push_str(if is_first { "" } else { "," });
        push_json(text, format_args!("{}", item.name()))?;
        text.push(':');
        match item {
            Item::Field(_, value) => json_value(text, value)?,
            Item::Data(_, bytes) => json_value(text, &Value::Text(bytes))?,
            Item::Group(..) => {
                text.push('[');
                (self.open[self.deep], self.deep) = (None, self.deep + 1);
            }
        }
        Ok(())
    }

    /// Begins the entry `index` of the innermost list, unless it has begun; whether it had not.
    fn begin(&mut self, text: &mut String, index: usize) -> bool {
        let entry = &mut self.open[self.deep - 1];
        if *entry == Some(index) {
            return false;
        }
        text.push_str(if entry.is_some() { "},{" } else { "{" });
        *entry = Some(index);
        true
    }

    /// Closes all lists but the outermost `deep`.
    fn close(&mut self, text: &mut String, deep: usize) {
        while self.deep > deep {
            self.deep -= 1;
            text.push_str(if self.open[self.deep].is_some() { "}]" } else { "]" });
        }
    }
}
