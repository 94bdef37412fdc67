//! A message as a line for people, and as a JSON object for programs.

use super::fix;
use super::schema::{self, Schemas};
use std::fmt::{self, Write};
use tickwire_frame::Timestamp;
use tickwire_market::ouch50::Element;
use tickwire_market::sbe::Decoded;
use tickwire_market::{Error, Message, Protocol, Session, Value};

/// Where a message comes from.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// When its packet was captured; 0 in a file without packets.
    pub at_ns: u64,
    /// What its number is a number in.
    pub session: Session,
}

/// Appends a line: time, session, number, type, name, fields.
pub fn line(
    text: &mut String,
    origin: &Origin,
    message: &Message<'_>,
    schemas: &Schemas,
) -> fmt::Result {
    if origin.at_ns > 0 {
        let time = Timestamp::from_nanos(origin.at_ns);
        let seconds = time.seconds() % 86_400;
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        write!(text, "{hours:02}:{minutes:02}:{seconds:02}.{:09} ", time.subsec_nanos())?;
    }
    if origin.session != Session::Unnamed {
        write!(text, "{} ", origin.session)?;
    }
    write!(text, "{:>10} ", message.sequence)?;
    match message.message_type() {
        Some(message_type) => write!(text, "{message_type} ")?,
        None => text.push_str("- "),
    }
    fields_of_line(text, message, schemas)?;
    text.push('\n');
    Ok(())
}

fn fields_of_line(text: &mut String, message: &Message<'_>, schemas: &Schemas) -> fmt::Result {
    let len = message.bytes.len();
    if let Some(message) = fix::message(message) {
        return fix::write_line(text, &message, schemas);
    }
    match schemas.decode(message) {
        Some(Ok(Decoded::Known(sbe))) => {
            text.push_str(sbe.template().name());
            return schema::write_line(text, &sbe);
        }
        Some(Ok(Decoded::Unknown { .. })) => return write!(text, "[unknown] {len} bytes"),
        Some(Err(error)) => return write!(text, "[{}] {len} bytes", error.reason()),
        None => {}
    }
    let known = message.definition();
    let width = name_width(message.protocol);
    match &known {
        Ok(Some(known)) => write!(text, "{:<width$}", known.name)?,
        Ok(None) if message.protocol.is_decoded() => write!(text, "[unknown] {len} bytes")?,
        Ok(None) => write!(text, "{len} bytes")?,
        Err(error) => write!(text, "[{}] {len} bytes", error.reason())?,
    }
    for (field, value) in message.fields().filter(|(field, _)| !is_type(field.name)) {
        write!(text, " {}={value}", field.name)?;
    }
    write_appendage(message, |element| match element {
        Ok((Some(name), value)) => write!(text, " {name}={value}"),
        Ok((None, value)) => write!(text, " [unknown]={value}"),
        Err(error) => write!(text, " [{}]", error.reason()),
    })
}

/// The optional fields of OUCH 5.0, each with its name if it is known, up to the first fault.
fn write_appendage<'a>(
    message: &Message<'a>,
    mut write: impl FnMut(Result<(Option<&'static str>, Value<'a>), Error>) -> fmt::Result,
) -> fmt::Result {
    let appendage = match message.appendage() {
        Ok(appendage) => appendage,
        Err(error) => return write(Err(error)),
    };
    for element in appendage.into_iter().flatten() {
        let bytes = |element: &Element<'a>| Value::Text(element.bytes);
        let value = |element: Element<'a>| element.value().unwrap_or_else(|| bytes(&element));
        write(element.map(|element| (element.name(), value(element))))?;
    }
    Ok(())
}

/// Appends an object on a line of its own: whose it is, and its fields by their names.
pub fn object(
    text: &mut String,
    origin: &Origin,
    message: &Message<'_>,
    schemas: &Schemas,
) -> fmt::Result {
    text.push('{');
    if origin.at_ns > 0 {
        write!(text, "\"time\":{},", origin.at_ns)?;
    }
    write!(text, "\"protocol\":\"{}\"", message.protocol)?;
    if origin.session != Session::Unnamed {
        text.push_str(",\"session\":");
        push_json(text, format_args!("{}", origin.session))?;
    }
    write!(text, ",\"sequence\":{}", message.sequence)?;
    if !message.fields().any(|(field, _)| is_type(field.name))
        && let Some(message_type) = message.message_type()
    {
        text.push_str(",\"message_type\":");
        push_json(text, format_args!("{message_type}"))?;
    }
    fields_of_object(text, message, schemas)?;
    text.push_str("}\n");
    Ok(())
}

fn fields_of_object(text: &mut String, message: &Message<'_>, schemas: &Schemas) -> fmt::Result {
    let len = message.bytes.len();
    if let Some(message) = fix::message(message) {
        return fix::write_object(text, &message, schemas);
    }
    match schemas.decode(message) {
        Some(Ok(Decoded::Known(sbe))) => {
            text.push_str(",\"name\":");
            push_json(text, format_args!("{}", sbe.template().name()))?;
            return schema::write_object(text, &sbe);
        }
        Some(Ok(Decoded::Unknown { .. })) => return write!(text, ",\"bytes\":{len}"),
        Some(Err(error)) => {
            return write!(text, ",\"fault\":\"{}\",\"bytes\":{len}", error.reason());
        }
        None => {}
    }
    match message.definition() {
        Ok(Some(known)) => write!(text, ",\"name\":\"{}\"", known.name)?,
        Ok(None) => write!(text, ",\"bytes\":{len}")?,
        Err(error) => write!(text, ",\"fault\":\"{}\",\"bytes\":{len}", error.reason())?,
    }
    for (field, value) in message.fields() {
        write!(text, ",\"{}\":", field.name)?;
        json_value(text, &value)?;
    }
    write_appendage(message, |element| match element {
        Ok((Some(name), value)) => {
            write!(text, ",\"{name}\":")?;
            json_value(text, &value)
        }
        // Several may be unknown, and an object has no name twice.
        Ok((None, _)) => Ok(()),
        Err(error) => write!(text, ",\"fault\":\"{}\"", error.reason()),
    })
}

/// Appends a value: numbers, prices and times are numbers, exact to their last digit; times count
/// nanoseconds, as on the wire. Text comes without its padding.
pub fn json_value(text: &mut String, value: &Value<'_>) -> fmt::Result {
    match value {
        Value::Text(_) => push_json(text, format_args!("{value}")),
        Value::SinceMidnight(nanos) => write!(text, "{nanos}"),
        Value::UnixTime(nanos) => write!(text, "{nanos}"),
        Value::Float(number) if !number.0.is_finite() => text.write_str("null"),
        Value::Null => text.write_str("null"),
        _ => write!(text, "{value}"),
    }
}

/// Appends a string of JSON. What cannot be printed has been escaped by whoever formats it.
pub fn push_json(text: &mut String, value: fmt::Arguments<'_>) -> fmt::Result {
    text.push('"');
    Escaped(text).write_fmt(value)?;
    text.push('"');
    Ok(())
}

struct Escaped<'a>(&'a mut String);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        for char in part.chars() {
            match char {
                '"' | '\\' => self.0.extend(['\\', char]),
                '\0'..' ' => write!(self.0, "\\u{:04x}", u32::from(char))?,
                _ => self.0.push(char),
            }
        }
        Ok(())
    }
}

/// The field that says what the message is: it stands in a column of its own.
fn is_type(name: &str) -> bool {
    name == "message_type"
}

/// The longest name of a message.
fn name_width(protocol: Protocol) -> usize {
    protocol.types().iter().map(|(_, name, _)| name.len()).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped() {
        let mut text = String::new();
        push_json(&mut text, format_args!("a\"{}\n", '\\')).unwrap();
        assert_eq!(text, "\"a\\\"\\\\\\u000a\"");
        assert_eq!(serde_json::from_str::<String>(&text).unwrap(), "a\"\\\n");
    }

    #[test]
    fn numbers_keep_every_digit() {
        let json = |value: Value<'_>| {
            let mut text = String::new();
            json_value(&mut text, &value).unwrap();
            text
        };
        assert_eq!(json(Value::Price { raw: -630_200, decimals: 4 }), "-63.0200");
        assert_eq!(json(Value::UnixTime(1_700_000_000_000_000_001)), "1700000000000000001");
        assert_eq!(json(Value::SinceMidnight(1)), "1");
        assert_eq!(json(Value::Null), "null");
        assert_eq!(json(Value::Text(b"A\"\xff  ")), "\"A\\\"\\\\xff\"");
    }
}
