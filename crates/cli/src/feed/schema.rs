//! What the user gives to read messages with: schemas of SBE, dictionaries of FIX; and messages of
//! SBE, printed.

use super::text::{json_value, push_json};
use crate::exit::Failure;
use std::fmt::{self, Write};
use std::path::{Path as FilePath, PathBuf};
use tickwire_market::fix::dictionary::Dictionary;
use tickwire_market::sbe::schema::Template;
use tickwire_market::sbe::{Decoded, GROUPS_DEEP_MAX, Item, Message as SbeMessage, Path, Schema};
use tickwire_market::{Error, Message, MessageType, Protocol, Value, mdp3, umdf};

/// The longest file, in bytes: CME's schema has a quarter of a megabyte, a dictionary of FIX twice
/// that.
const SCHEMA_BYTES_MAX: u64 = 16 << 20;

/// The schemas and dictionaries of a run.
#[derive(Debug, Default)]
pub struct Schemas {
    sbe: Vec<Schema>,
    fix: Vec<Dictionary>,
}

/// Reads and compiles a file.
fn read<T, E: fmt::Display>(
    file: &FilePath,
    what: &str,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<T, Failure> {
    let name = file.display();
    let failed = |error: std::io::Error| {
        Failure::failed(format_args!("cannot read the {what} {name}: {error}"))
    };
    let bytes = std::fs::metadata(file).map_err(failed)?.len();
    if bytes > SCHEMA_BYTES_MAX {
        return Err(Failure::failed(format_args!(
            "{name} has {bytes} bytes, and a {what} has at most {SCHEMA_BYTES_MAX}: give the XML \
             file of the exchange"
        )));
    }
    let text = std::fs::read_to_string(file).map_err(failed)?;
    parse(&text).map_err(|error| Failure::failed(format_args!("{name}: {error}")))
}

/// Reads and compiles a dictionary of FIX.
pub fn read_dictionary(file: &FilePath) -> Result<Dictionary, Failure> {
    read(file, "dictionary", Dictionary::parse)
}

impl Schemas {
    /// Reads and compiles schema files and dictionaries.
    pub fn read(schemas: &[PathBuf], dictionaries: &[PathBuf]) -> Result<Schemas, Failure> {
        let sbe = schemas.iter().map(|file| read(file, "schema", Schema::parse));
        let fix = dictionaries.iter().map(|file| read_dictionary(file));
        let (sbe, mut fix) = (sbe.collect::<Result<_, _>>()?, fix.collect::<Result<Vec<_>, _>>()?);
        // The session of FIXT 1.1 has its messages in the dictionary of another version.
        let session = fix.iter().position(|known| known.begin_string().starts_with("FIXT"));
        let messages = fix.iter().position(|known| known.begin_string().starts_with("FIX.5"));
        if let (Some(session), Some(messages)) = (session, messages) {
            fix[session] = fix[messages].over(&fix[session]);
        }
        Ok(Schemas { sbe, fix })
    }

    /// The dictionary of a BeginString (8).
    pub fn dictionary(&self, begin_string: &[u8]) -> Option<&Dictionary> {
        self.fix.iter().find(|known| known.begin_string().as_bytes() == begin_string)
    }

    /// What the first dictionary that knows it calls a type of messages of FIX.
    pub fn fix_name(&self, message_type: MessageType) -> Option<&str> {
        let letters = message_type.to_string();
        let known = self.fix.iter().find_map(|known| known.message(letters.as_bytes()))?;
        Some(known.name())
    }

    /// Whether there is anything to read messages of a protocol with.
    pub fn has(&self, protocol: Protocol) -> bool {
        match protocol {
            Protocol::Fix => !self.fix.is_empty(),
            _ => self.of(protocol).is_some(),
        }
    }

    /// That of a protocol.
    pub fn of(&self, protocol: Protocol) -> Option<&Schema> {
        let id = match protocol {
            Protocol::Mdp3 => mdp3::SCHEMA_ID,
            Protocol::Umdf => umdf::SCHEMA_ID,
            _ => return None,
        };
        self.sbe.iter().find(|schema| schema.id() == u32::from(id))
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
