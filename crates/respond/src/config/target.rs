//! Where orders go, and what has to be known to speak with that.

use super::error::ConfigError;
use super::reader::{Reader, Result};
use super::{Stack, Transport, raw};
use crate::format::{ByteOrder, Format, Ouch42, Ouch50};
use crate::session::fix::{FixSettings, FixVersion};
use crate::session::{Ouch, Secret, SoupSettings};
use std::fmt;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;
use toml::Spanned;

/// Where orders go.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its name, for rules and for what is printed.
    pub name: String,
    /// What it speaks.
    pub speaks: Speaks,
    /// Over what.
    pub transport: Transport,
    /// Over TCP: whose.
    pub stack: Stack,
    /// Where it is.
    pub address: SocketAddr,
    /// The file whose first line is the password, where that is not in the configuration.
    pub password_file: Option<PathBuf>,
    /// The dictionary of FIX that what the target says must follow; none: what is needed is read.
    pub dictionary_file: Option<PathBuf>,
}

/// What a target speaks, with what it needs for it.
#[derive(Clone)]
pub enum Speaks {
    /// Orders, and nothing else.
    Orders(Format),
    /// OUCH over SoupBinTCP.
    Soup(SoupSettings, Ouch),
    /// FIX.
    Fix(Box<FixSettings>),
}

/// Without passwords.
impl fmt::Debug for Speaks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Speaks::Orders(format) => f.debug_tuple("Orders").field(format).finish(),
            Speaks::Soup(login, ouch) => {
                f.debug_tuple("Soup").field(&login.username).field(ouch).finish()
            }
            Speaks::Fix(settings) => f.debug_tuple("Fix").field(settings).finish(),
        }
    }
}

impl Speaks {
    /// How many decimals its prices have; 0 where they have none.
    pub fn decimals(&self) -> u32 {
        match self {
            Speaks::Orders(format) => format.decimals(),
            Speaks::Soup(..) => 4,
            Speaks::Fix(settings) => settings.price_decimals,
        }
    }

    /// Whether it says what becomes of an order.
    pub fn acknowledges(&self) -> bool {
        matches!(self, Speaks::Soup(..) | Speaks::Fix(_))
    }
}

/// Formats by their names in a configuration.
const FORMATS: [&str; 7] = ["nanonet", "nanonet-big", "ouch42", "ouch50", "fix42", "fix44", "hex"];

/// The target of a table.
pub(super) fn read(reader: &Reader<'_>, target: Spanned<raw::Target>) -> Result<Target> {
    let whole = target.span();
    let target = target.into_inner();
    let of = Reading { reader, name: &target.name, format: target.format.as_ref(), whole };
    if !FORMATS.contains(&of.format) {
        let names = FORMATS.join(", ");
        let message = format!("there is no format {:?}: use one of {names}", of.format);
        return Err(of.error(&target.format.span(), message));
    }
    of.refuse("login", target.login.as_ref().map(Spanned::span), &["ouch42", "ouch50"])?;
    of.refuse("ouch", target.ouch.as_ref().map(Spanned::span), &["ouch42", "ouch50"])?;
    of.refuse("fix", target.fix.as_ref().map(Spanned::span), &["fix42", "fix44"])?;
    of.refuse("template", target.template.as_ref().map(Spanned::span), &["hex"])?;
    let of_login = target.login.as_ref().and_then(|login| login.as_ref().password_file.clone());
    let of_fix = target.fix.as_ref().and_then(|fix| fix.as_ref().password_file.clone());
    let password_file = of_login.or(of_fix);
    let dictionary_file = target.fix.as_ref().and_then(|fix| fix.as_ref().dictionary.clone());
    let speaks = match of.format {
        "nanonet" => Speaks::Orders(Format::nanonet(ByteOrder::Little)),
        "nanonet-big" => Speaks::Orders(Format::nanonet(ByteOrder::Big)),
        "hex" => Speaks::Orders(of.template(target.template.as_ref())?),
        "ouch42" | "ouch50" => Speaks::Soup(of.login(target.login)?, of.ouch(target.ouch)?),
        "fix42" => Speaks::Fix(of.fix(target.fix, FixVersion::Fix42)?.into()),
        // The last of the formats.
        _ => Speaks::Fix(of.fix(target.fix, FixVersion::Fix44)?.into()),
    };
    let session = speaks.acknowledges();
    let default = if session { Transport::Tcp } else { Transport::Udp };
    let transport = target.transport.as_ref().map_or(default, |transport| *transport.as_ref());
    if session && transport == Transport::Udp {
        let span = target.transport.as_ref().map_or(of.whole.clone(), Spanned::span);
        let message = format!("{} needs a connection: use transport = \"tcp\"", of.format);
        return Err(of.error(&span, message));
    }
    if let Some(stack) = &target.stack
        && transport == Transport::Udp
    {
        let message = "stack is of transport = \"tcp\": remove it, or use that";
        return Err(of.error(&stack.span(), message));
    }
    let stack = target.stack.map(Spanned::into_inner).unwrap_or_default();
    let (name, address) = (target.name, target.address);
    Ok(Target { name, speaks, transport, stack, address, password_file, dictionary_file })
}

/// What is known while the rest of a target is read.
pub(super) struct Reading<'r> {
    reader: &'r Reader<'r>,
    name: &'r str,
    format: &'r str,
    whole: Range<usize>,
}

impl Reading<'_> {
    pub(super) fn error(&self, span: &Range<usize>, message: impl fmt::Display) -> ConfigError {
        self.reader.error(span, format!("target {:?}: {message}", self.name))
    }

    pub(super) fn needs(&self, key: &str, such: &str) -> ConfigError {
        self.error(&self.whole, format!("{} needs {key}, such as {such}", self.format))
    }

    /// A key that other formats have.
    fn refuse(&self, key: &str, span: Option<Range<usize>>, formats: &[&str]) -> Result<()> {
        match span.filter(|_| !formats.contains(&self.format)) {
            None => Ok(()),
            Some(span) => {
                let message = format!("{key} is of the format {}: remove it", formats.join(", "));
                Err(self.error(&span, message))
            }
        }
    }

    fn template(&self, template: Option<&Spanned<String>>) -> Result<Format> {
        let such = "template = \"{symbol:8} {price:4le.2} {quantity:4le} {side:B/S}\"";
        let template = template.ok_or_else(|| self.needs("template", such))?;
        let text = template.as_ref();
        Format::template(text).map_err(|error| self.error(&template.span(), error.render(text)))
    }

    fn login(&self, login: Option<Spanned<raw::Login>>) -> Result<SoupSettings> {
        let such = "login = { username = \"me\", password = \"secret\" }";
        let login = login.ok_or_else(|| self.needs("login", such))?;
        let span = login.span();
        let login = login.into_inner();
        if login.password.is_some() == login.password_file.is_some() {
            let message = "a login has one of password and password_file";
            return Err(self.error(&span, message));
        }
        let default = SoupSettings::default();
        let settings = SoupSettings {
            username: login.username,
            password: Secret(login.password.unwrap_or_default()),
            session: login.session.unwrap_or_default(),
            next_sequence: login.next_sequence.unwrap_or(default.next_sequence),
            unanswered_s: login.unanswered_s.unwrap_or(default.unanswered_s),
            cancel_on_disconnect: login
                .cancel_on_disconnect
                .unwrap_or(default.cancel_on_disconnect),
        };
        for (key, text, max) in [
            ("username", &settings.username, 6),
            ("password", &settings.password.0, 10),
            ("session", &settings.session, 10),
        ] {
            if text.len() > max || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
                let message = format!("{key} has at most {max} printable ASCII characters");
                return Err(self.error(&span, message));
            }
        }
        Ok(settings)
    }

    fn ouch(&self, ouch: Option<Spanned<raw::Ouch>>) -> Result<Ouch> {
        let span = ouch.as_ref().map_or(self.whole.clone(), Spanned::span);
        let ouch = ouch.map(Spanned::into_inner).unwrap_or_default();
        let read = match self.format {
            "ouch42" => self.ouch42(ouch, &span)?,
            _ => self.ouch50(ouch, &span)?,
        };
        // What is none of the specification is said now.
        read.format().map_err(|error| self.error(&span, error))?;
        Ok(read)
    }

    fn ouch42(&self, ouch: raw::Ouch, span: &Range<usize>) -> Result<Ouch> {
        if ouch.appendage.is_some() {
            return Err(self.error(span, "appendage is of ouch50: remove it"));
        }
        let default = Ouch42::default();
        let time_in_force = match ouch.time_in_force {
            None => default.time_in_force,
            Some(text) => text.0.parse().map_err(|_| {
                self.error(span, "time_in_force is a number of seconds, 0: immediate or cancel")
            })?,
        };
        Ok(Ouch::V42(Ouch42 {
            time_in_force,
            firm: ouch.firm.unwrap_or(default.firm),
            display: ouch.display.unwrap_or(default.display),
            capacity: ouch.capacity.unwrap_or(default.capacity),
            intermarket_sweep: ouch.intermarket_sweep.unwrap_or(default.intermarket_sweep),
            minimum_quantity: ouch.minimum_quantity.unwrap_or(default.minimum_quantity),
            cross_type: ouch.cross_type.unwrap_or(default.cross_type),
            customer_type: ouch.customer_type.unwrap_or(default.customer_type),
        }))
    }

    fn ouch50(&self, ouch: raw::Ouch, span: &Range<usize>) -> Result<Ouch> {
        let of_42 = [
            ("firm", ouch.firm.is_some()),
            ("minimum_quantity", ouch.minimum_quantity.is_some()),
            ("customer_type", ouch.customer_type.is_some()),
        ];
        if let Some((key, _)) = of_42.iter().find(|(_, is_there)| *is_there) {
            let message =
                format!("{key} is of ouch42; in ouch50 it is an element of the appendage");
            return Err(self.error(span, message));
        }
        let default = Ouch50::default();
        let time_in_force = match ouch.time_in_force {
            None => default.time_in_force,
            Some(text) => text
                .0
                .parse()
                .map_err(|_| self.error(span, "time_in_force is one character, such as \"3\""))?,
        };
        let appendage = ouch.appendage.as_deref().map_or(Some(Vec::new()), hex);
        Ok(Ouch::V50(Ouch50 {
            time_in_force,
            display: ouch.display.unwrap_or(default.display),
            capacity: ouch.capacity.unwrap_or(default.capacity),
            intermarket_sweep: ouch.intermarket_sweep.unwrap_or(default.intermarket_sweep),
            cross_type: ouch.cross_type.unwrap_or(default.cross_type),
            appendage: appendage.ok_or_else(|| {
                self.error(span, "appendage is hexadecimal, such as \"05 02 4c494d45\"")
            })?,
        }))
    }
}

/// Pairs of hexadecimal digits, with spaces between them as one likes.
fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let pairs = digits.chunks(2).map(|pair| {
        let digits = std::str::from_utf8(pair).ok().filter(|digits| digits.len() == 2)?;
        let number = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        u8::from_str_radix(digits, 16).ok().filter(|_| number)
    });
    pairs.collect()
}
