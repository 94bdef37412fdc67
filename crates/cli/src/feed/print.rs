//! Messages as lines for people, and as JSON objects for programs.

use crate::capture::{Output, Trouble};
use std::fmt::{self, Write};
use tickwire_frame::{Reason, Timestamp};
use tickwire_market::{Message, Protocol, Session, Value};

/// Prints messages to standard output, a batch of packets at a time.
#[derive(Debug)]
pub struct Printer {
    json: bool,
    output: Output,
    text: String,
    /// What a value is written into before it becomes a string of JSON.
    value: String,
    /// How many messages are still wanted.
    left: u64,
    at_ns: u64,
    session: Session,
    /// Why nothing is printed any more.
    closed: Option<Reason>,
    trouble: Trouble,
}

impl Printer {
    /// At most `count` messages to `output`; what goes wrong there goes to `trouble`.
    pub fn new(json: bool, count: Option<u64>, output: Output, trouble: Trouble) -> Printer {
        Printer {
            json,
            output,
            text: String::new(),
            value: String::new(),
            left: count.unwrap_or(u64::MAX),
            at_ns: 0,
            session: Session::Unnamed,
            closed: None,
            trouble,
        }
    }

    /// The packet whose messages follow.
    #[inline]
    pub fn begin(&mut self, at_ns: u64, session: Session) {
        (self.at_ns, self.session) = (at_ns, session);
    }

    /// Whether nothing more is wanted.
    #[inline]
    pub fn is_done(&self) -> bool {
        self.left == 0 || self.closed.is_some()
    }

    /// A message; `is_known` says whether its fields can be read.
    pub fn message(&mut self, message: &Message<'_>, is_known: bool) {
        if self.is_done() {
            return;
        }
        self.left -= 1;
        let written = match self.json {
            true => self.object(message, is_known),
            false => self.line(message, is_known),
        };
        // The only errors are those of the target, and a String has none.
        debug_assert!(written.is_ok());
    }

    /// Writes out what was printed; why not, when it did not all go out.
    pub fn flush(&mut self) -> Option<Reason> {
        if self.closed.is_none()
            && let Err(stuck) = self.output.write(self.text.as_bytes())
        {
            self.closed = Some(stuck.reason);
            match stuck.error {
                Some(error) => {
                    self.trouble.set(format!("cannot write to standard output: {error}"));
                }
                None if stuck.reason == Reason::OutputClosed => self.trouble.output_closed(),
                None => {}
            }
        }
        self.text.clear();
        self.closed
    }

    fn line(&mut self, message: &Message<'_>, is_known: bool) -> fmt::Result {
        let text = &mut self.text;
        if self.at_ns > 0 {
            let time = Timestamp::from_nanos(self.at_ns);
            let seconds = time.seconds() % 86_400;
            let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
            write!(text, "{hours:02}:{minutes:02}:{seconds:02}.{:09} ", time.subsec_nanos())?;
        }
        if self.session != Session::Unnamed {
            write!(text, "{} ", self.session)?;
        }
        write!(text, "{:>10} ", message.sequence)?;
        match message.message_type() {
            Some(message_type) => write!(text, "{message_type} ")?,
            None => text.push_str("- "),
        }
        match message.definition() {
            Ok(Some(known)) => {
                write!(text, "{:<width$}", known.name, width = name_width(message.protocol))?
            }
            Ok(None) if message.protocol.is_decoded() => text.push_str("[unknown]"),
            Ok(None) => {}
            Err(error) => write!(text, "[{}]", error.reason())?,
        }
        for (field, value) in message.fields().filter(|(field, _)| !is_type(field.name)) {
            write!(text, " {}={value}", field.name)?;
        }
        if !is_known {
            write!(text, " {} bytes", message.bytes.len())?;
        }
        text.push('\n');
        Ok(())
    }

    fn object(&mut self, message: &Message<'_>, is_known: bool) -> fmt::Result {
        self.text.push('{');
        if self.at_ns > 0 {
            write!(self.text, "\"time\":{},", self.at_ns)?;
        }
        write!(self.text, "\"protocol\":\"{}\",", message.protocol)?;
        if self.session != Session::Unnamed {
            let session = self.session;
            self.string("session", format_args!("{session}"))?;
            self.text.push(',');
        }
        write!(self.text, "\"sequence\":{}", message.sequence)?;
        if let Ok(Some(known)) = message.definition() {
            write!(self.text, ",\"name\":\"{}\"", known.name)?;
        } else if let Err(error) = message.definition() {
            write!(self.text, ",\"fault\":\"{}\"", error.reason())?;
        }
        let mut has_type = false;
        for (field, value) in message.fields() {
            has_type |= is_type(field.name);
            self.text.push(',');
            self.field(field.name, &value)?;
        }
        if let (false, Some(message_type)) = (has_type, message.message_type()) {
            self.text.push(',');
            self.string("message_type", format_args!("{message_type}"))?;
        }
        if !is_known {
            write!(self.text, ",\"bytes\":{}", message.bytes.len())?;
        }
        self.text.push_str("}\n");
        Ok(())
    }

    /// Numbers, prices and times are numbers, exact to their last digit; times count nanoseconds,
    /// as on the wire. Text comes without its padding.
    fn field(&mut self, name: &str, value: &Value<'_>) -> fmt::Result {
        match value {
            Value::Text(_) => self.string(name, format_args!("{value}")),
            Value::SinceMidnight(nanos) => write!(self.text, "\"{name}\":{nanos}"),
            Value::UnixTime(nanos) => write!(self.text, "\"{name}\":{nanos}"),
            Value::Float(number) if !number.0.is_finite() => write!(self.text, "\"{name}\":null"),
            Value::Null => write!(self.text, "\"{name}\":null"),
            _ => write!(self.text, "\"{name}\":{value}"),
        }
    }

    fn string(&mut self, name: &str, value: fmt::Arguments<'_>) -> fmt::Result {
        self.value.clear();
        self.value.write_fmt(value)?;
        write!(self.text, "\"{name}\":\"")?;
        for char in self.value.chars() {
            // What cannot be printed has been escaped already.
            if matches!(char, '"' | '\\') {
                self.text.push('\\');
            }
            self.text.push(char);
        }
        self.text.push('"');
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
