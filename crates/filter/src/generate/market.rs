//! Random packets of market data, and expressions over their fields.
//!
//! Messages are made from the tables of `tickwire-market`, so that every field of every message
//! comes up; values are drawn from the same small pools on both sides.

use std::fmt;

use tickwire_market::field::{Field, Value};
use tickwire_market::iex::{deep, deep_plus, tops, tp};
use tickwire_market::{itch50, mdp3, moldudp64, ouch42, ouch50, sbe, umdf};

use super::{Expressions, PORTS, Random};

/// Messages of one packet, at most.
const MESSAGES_MAX: usize = 6;
const SYMBOLS: [&str; 7] = ["AAPL", "A", "MSFT", "ZIEXT", "BRK.A", "GOOGLEXX", "F"];
/// Codes, types and other single characters.
const CODES: &[u8] = b"BSAFDPYN 1TQ85a";
const NUMBERS: [u64; 10] =
    [0, 1, 46, 99, 100, 1_005_000, 0x7fff_ffff, 0xffff_ffff, 1 << 40, u64::MAX];

type Types = &'static [(u8, &'static str, &'static [Field])];

/// What a prefix of names is about: the fields of a header, or of the messages of some feeds.
struct Source {
    prefix: &'static str,
    header: Option<&'static [Field]>,
    feeds: &'static [Types],
    numbered: bool,
}

const fn header(prefix: &'static str, fields: &'static [Field], numbered: bool) -> Source {
    Source { prefix, header: Some(fields), feeds: &[], numbered }
}

const fn messages(prefix: &'static str, feeds: &'static [Types]) -> Source {
    Source { prefix, header: None, feeds, numbered: false }
}

const IEX: &[Types] = &[tops::Message::TYPES, deep::Message::TYPES, deep_plus::Message::TYPES];

const OUCH42: &[Types] = &[ouch42::Inbound::TYPES, ouch42::Outbound::TYPES];
const OUCH50: &[Types] = &[ouch50::Inbound::TYPES, ouch50::Outbound::TYPES];

const SOURCES: [Source; 9] = [
    messages("itch", &[itch50::Message::TYPES]),
    header("moldudp64", moldudp64::Header::FIELDS, true),
    messages("iex", IEX),
    header("iextp", tp::Header::FIELDS, true),
    header("sbe", sbe::MessageHeader::FIELDS, false),
    header("mdp3", mdp3::PacketHeader::FIELDS, false),
    header("umdf", umdf::PacketHeader::FIELDS, false),
    messages("ouch42", OUCH42),
    messages("ouch50", OUCH50),
];

/// An expression over fields.
#[derive(Clone, Debug, PartialEq)]
pub enum Tree {
    /// Text that asks no field.
    Plain(String),
    /// A comparison of a field.
    Field(Test),
    /// `not`.
    Not(Box<Tree>),
    /// `all(…)`.
    Every(Box<Tree>),
    /// All of them.
    And(Vec<Tree>),
    /// Any of them.
    Or(Vec<Tree>),
}

/// A comparison of a field.
#[derive(Clone, Debug, PartialEq)]
pub struct Test {
    /// The dotted name.
    pub name: String,
    /// `==`, `!=`, `<`, `<=`, `>`, `>=` or `in`.
    pub relation: &'static str,
    /// What it is compared to; for `in` from the first to the second of each pair.
    pub values: Vec<(Wanted, Wanted)>,
}

/// A value and how it is written.
#[derive(Clone, Debug, PartialEq)]
pub enum Wanted {
    /// In units of the field.
    Number(i128, String),
    /// Without padding.
    Text(Vec<u8>),
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wanted::Number(_, text) => f.write_str(text),
            Wanted::Text(text) => write!(f, "\"{}\"", String::from_utf8_lossy(text)),
        }
    }
}

/// As the language has it.
impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |f: &mut fmt::Formatter<'_>, trees: &[Tree], joint: &str| {
            for (at, tree) in trees.iter().enumerate() {
                write!(f, "{}({tree})", if at > 0 { joint } else { "" })?;
            }
            Ok(())
        };
        match self {
            Tree::Plain(text) => f.write_str(text),
            Tree::Not(inner) => write!(f, "not ({inner})"),
            Tree::Every(inner) => write!(f, "all({inner})"),
            Tree::And(trees) => joined(f, trees, " and "),
            Tree::Or(trees) => joined(f, trees, " or "),
            Tree::Field(Test { name, relation: "in", values }) => {
                let values: Vec<String> = values.iter().map(range).collect();
                write!(f, "{name} in {{{}}}", values.join(", "))
            }
            Tree::Field(Test { name, relation, values }) => {
                write!(f, "{name} {relation} {}", values[0].0)
            }
        }
    }
}

fn range((low, high): &(Wanted, Wanted)) -> String {
    if low == high { low.to_string() } else { format!("{low}..{high}") }
}

/// Random expressions over fields, and together with everything else.
#[derive(Clone, Debug)]
pub struct FieldExpressions {
    random: Random,
    plain: Expressions,
}

impl FieldExpressions {
    /// A sequence.
    pub fn new(seed: u64) -> FieldExpressions {
        let mut plain = Expressions::new(seed);
        // What shifts the offsets means something else inside parentheses of another shape.
        plain.encapsulations = false;
        FieldExpressions { random: Random::new(seed ^ 0xf1e1d), plain }
    }

    /// The next expression; it asks a field.
    pub fn tree(&mut self) -> Tree {
        let tree = self.node(3, true);
        match tree.to_string().contains('.') {
            true => Tree::And(vec![tree, self.field()]),
            false => Tree::Or(vec![self.field(), tree]),
        }
    }

    fn node(&mut self, depth: usize, every: bool) -> Tree {
        let kind = if depth == 0 { 9 } else { self.random.below(16) };
        let some = |this: &mut Self| {
            let count = 1 + this.random.below(3);
            (0..count).map(|_| this.node(depth - 1, every)).collect()
        };
        match kind {
            0..=3 => Tree::And(some(self)),
            4 | 5 => Tree::Or(some(self)),
            6 => Tree::Not(Box::new(self.node(depth - 1, every))),
            7 if every => {
                let inner = vec![self.field(), self.node(depth - 1, false)];
                let either = self.random.one_in(2);
                Tree::Every(Box::new(if either { Tree::Or(inner) } else { Tree::And(inner) }))
            }
            8 => Tree::Plain(self.plain.expression()),
            _ => self.field(),
        }
    }

    /// A comparison of one field.
    pub fn field(&mut self) -> Tree {
        let random = &mut self.random;
        if random.one_in(10) {
            let name = format!("fix.{}", random.pick(&[8, 35, 35, 55, 38, 5, 58]));
            let values: &[&str] = &["D", "8", "AAPL", "100", "FIX.4.4", "A", ""];
            let value = || Wanted::Text(random.pick(values).as_bytes().to_vec());
            let values = std::iter::repeat_with(value).take(2).map(|one| (one.clone(), one));
            let values: Vec<_> = values.collect();
            let relation = random.pick(&["==", "!=", "in"]);
            let count = if relation == "in" { 2 } else { 1 };
            return Tree::Field(Test { name, relation, values: values[..count].to_vec() });
        }
        let source = &SOURCES[random.pick(&[0, 0, 0, 1, 2, 2, 3, 4, 4, 5, 6, 7, 8])];
        let fields = match source.header {
            Some(fields) => fields,
            None => {
                let feed = random.pick(source.feeds);
                feed[random.below(feed.len())].2
            }
        };
        let field = &fields[random.below(fields.len())];
        if field.name == "reason" {
            // A number in some messages and a code in others: a value means something to one only.
            return self.field();
        }
        let relation = random.pick(&["==", "==", "!=", "<", "<=", ">", ">=", "in", "in"]);
        let sequence = source.numbered && random.one_in(3);
        let mut name = format!("{}.{}", source.prefix, field.name);
        if sequence {
            name = format!("{}.sequence", source.prefix);
        } else if field.name == "message_type" && random.one_in(2) {
            name = format!("{}.type", source.prefix);
        }
        let mut wanted = || match sequence {
            true => number(random.pick(&[1, 2, 3, 1000, 1003, u64::MAX]).into()),
            false => wanted(random, field),
        };
        let count = if relation == "in" { 1 + wanted().is_text() as usize * 5 } else { 1 };
        let values = (0..count).map(|_| {
            let (one, other) = (wanted(), wanted());
            match (relation == "in" && !one.is_text(), one.before(&other)) {
                (false, _) => (one.clone(), one),
                (true, true) => (one, other),
                (true, false) => (other, one),
            }
        });
        Tree::Field(Test { name, relation, values: values.collect() })
    }
}

impl Wanted {
    fn is_text(&self) -> bool {
        matches!(self, Wanted::Text(_))
    }

    fn before(&self, other: &Wanted) -> bool {
        match (self, other) {
            (Wanted::Number(one, _), Wanted::Number(other, _)) => one <= other,
            _ => true,
        }
    }
}

fn number(value: i128) -> Wanted {
    Wanted::Number(value, value.to_string())
}

/// A value that a field could have.
fn wanted(random: &mut Random, field: &Field) -> Wanted {
    let mut bytes = vec![0; field.offset];
    bytes.extend(content(random, field));
    match field.value(&bytes) {
        Some(Value::Unsigned(value) | Value::SinceMidnight(value)) => number(value.into()),
        Some(Value::Signed(value) | Value::UnixTime(value)) => number(value.into()),
        Some(price @ Value::Price { raw, .. }) => Wanted::Number(raw, price.to_string()),
        Some(Value::Text(text)) => {
            let quoted = text.iter().any(|byte| !(b' '..=b'~').contains(byte) || *byte == b'"');
            let text = if quoted { b"A" } else { text };
            Wanted::Text(text.trim_ascii_end().to_vec())
        }
        Some(Value::Float(_) | Value::Null) | None => number(0),
    }
}

/// Bytes of a field, from the pools.
fn content(random: &mut Random, field: &Field) -> Vec<u8> {
    let zeros = vec![0; field.offset + field.len];
    let text = matches!(field.value(&zeros), Some(Value::Text(_)));
    if text && field.len == 1 {
        return vec![random.pick(CODES)];
    }
    if text {
        let mut bytes = random.pick(&SYMBOLS).as_bytes().to_vec();
        bytes.resize(field.len, b' ');
        if random.one_in(8) {
            let padding = bytes.iter().rev().take_while(|byte| **byte == b' ').count();
            bytes.rotate_right(padding);
        }
        return bytes;
    }
    let number = random.pick(&NUMBERS);
    // Either byte order: the field decides what it reads.
    let bytes = if random.one_in(2) { number.to_be_bytes() } else { number.to_le_bytes() };
    let start = if random.one_in(2) { 8usize.saturating_sub(field.len) } else { 0 };
    bytes.iter().copied().cycle().skip(start).take(field.len).collect()
}

/// Random Ethernet frames of MoldUDP64 and IEX-TP, many of them damaged.
#[derive(Clone, Debug)]
pub struct MarketPackets {
    random: Random,
}

impl MarketPackets {
    /// A sequence.
    pub fn new(seed: u64) -> MarketPackets {
        MarketPackets { random: Random::new(seed ^ 0x3a_2ce7) }
    }

    /// The next packet: its bytes, of which some may be cut off, and its length on the wire.
    pub fn packet(&mut self) -> (Vec<u8>, u32) {
        let kind = self.random.below(8);
        let mut payload = match kind {
            0 | 1 => self.segment(),
            6 => self.fix(),
            7 => self.soup(),
            2 => self.sbe(12, 2, 1),
            3 => self.sbe(16, 4, 2),
            _ => self.mold(),
        };
        if self.random.one_in(6) {
            let at = self.random.below(payload.len());
            payload[at] = self.random.below(256) as u8;
        }
        let mut bytes = self.headers(payload.len(), kind >= 6);
        bytes.extend(payload);
        let wire_len = bytes.len() as u32;
        if self.random.one_in(5) {
            bytes.truncate(self.random.below(bytes.len() + 1));
        }
        if self.random.one_in(10) && !bytes.is_empty() {
            let at = self.random.below(bytes.len().min(60));
            bytes[at] = self.random.below(256) as u8;
        }
        if self.random.one_in(8) {
            bytes.extend([0, 2, b'A', b'B', 0, 0]);
        }
        (bytes, wire_len)
    }

    fn headers(&mut self, payload: usize, tcp: bool) -> Vec<u8> {
        let random = &mut self.random;
        let mut bytes = vec![1, 0, 0x5e, 1, 2, 3, 2, 0, 0, 0, 0, 1];
        let words = if tcp { 5 + random.below(3) } else { 2 };
        let behind_ip = (4 * words + payload) as u16;
        let number = if tcp != random.one_in(12) { 6 } else { 17 };
        if random.one_in(3) {
            bytes.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
            bytes.extend(behind_ip.to_be_bytes());
            bytes.extend([number, 64]);
            bytes.extend([0xfe; 32]);
        } else {
            let options = if random.one_in(6) { random.below(11) } else { 0 };
            let total = (20 + 4 * options) as u16 + behind_ip;
            bytes.extend([8, 0, 0x45 + options as u8, 0]);
            bytes.extend(total.to_be_bytes());
            let fragment: u16 = if random.one_in(8) { random.pick(&[1, 0x2000]) } else { 0x4000 };
            bytes.extend([0, 1]);
            bytes.extend(fragment.to_be_bytes());
            bytes.extend([64, number, 0, 0, 10, 0, 0, 1, 239, 1, 1, 1]);
            bytes.extend(std::iter::repeat_n(1, 4 * options));
        }
        for _ in 0..2 {
            bytes.extend(random.pick(&PORTS).to_be_bytes());
        }
        if tcp {
            bytes.extend([0, 0, 0, 1, 0, 0, 0, 1, (words as u8) << 4, 0x18]);
            bytes.extend(vec![0; 4 * words - 14]);
            return bytes;
        }
        let shorter = if random.one_in(10) { random.below(30) as u16 } else { 0 };
        bytes.extend(behind_ip.saturating_sub(shorter).to_be_bytes());
        bytes.extend([0, 0]);
        bytes
    }

    /// Packets of SoupBinTCP with messages of OUCH.
    fn soup(&mut self) -> Vec<u8> {
        let feeds = if self.random.one_in(2) { OUCH42 } else { OUCH50 };
        let mut bytes = Vec::new();
        for _ in 0..1 + self.random.below(4) {
            let direction = self.random.below(2);
            let mut message = self.message(feeds[direction]);
            let letter = if self.random.one_in(6) { b'H' } else { b"US"[direction] };
            message.insert(0, letter);
            let length = if self.random.one_in(20) { 0 } else { message.len() as u16 };
            bytes.extend(length.to_be_bytes());
            bytes.extend(message);
        }
        bytes
    }

    /// Messages of FIX.
    fn fix(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..1 + self.random.below(3) {
            let random = &mut self.random;
            let mut body = format!("35={}\x01", random.pick(&["D", "8", "0", "AE"]));
            for _ in 0..random.below(4) {
                let tag = random.pick(&[55, 38, 58, 5, 155]);
                body += &format!("{tag}={}\x01", random.pick(&["AAPL", "A", "100", "", "35=D"]));
            }
            let begin = random.pick(&["8=FIX.4.4", "8=FIX.4.2", "8=FIXT.1.1", "8=FIX", "8=FAX"]);
            let zeros = random.pick(&["", "", "00", "0000000000"]);
            let wrong = if random.one_in(10) { random.below(9) } else { 0 };
            let length = body.len() + wrong;
            bytes.extend(format!("{begin}\x019={zeros}{length}\x01{body}10=000\x01").bytes());
        }
        bytes
    }

    /// The bytes of one message, now and then of an unknown type, too long or too short.
    fn message(&mut self, types: Types) -> Vec<u8> {
        let random = &mut self.random;
        let (letter, _, fields) = &types[random.below(types.len())];
        let mut bytes: Vec<u8> = fields.iter().flat_map(|field| content(random, field)).collect();
        bytes[0] = if random.one_in(12) { b'z' } else { *letter };
        match random.below(16) {
            0 => bytes.truncate(random.below(bytes.len() + 1)),
            1 => bytes.extend([7; 5]),
            _ => {}
        }
        bytes
    }

    fn count(&mut self) -> usize {
        if self.random.one_in(8) { 0 } else { 1 + self.random.below(MESSAGES_MAX) }
    }

    /// A payload of MoldUDP64.
    fn mold(&mut self) -> Vec<u8> {
        let count = self.count();
        let session = self.random.pick(&["000010059B", "      MSFT", "AAPL      ", "A"]);
        let mut bytes = format!("{session:<10}").into_bytes();
        bytes.extend(self.random.pick(&[1u64, 1000, 0xffff_fffe, u64::MAX]).to_be_bytes());
        let odd = [0u16, 1, 3, 0xffff, 0xfffe];
        let told = if self.random.one_in(8) { self.random.pick(&odd) } else { count as u16 };
        bytes.extend(told.to_be_bytes());
        for _ in 0..count {
            let message = self.message(itch50::Message::TYPES);
            bytes.extend((message.len() as u16).to_be_bytes());
            bytes.extend(message);
        }
        bytes
    }

    /// A payload of SBE messages: bytes of the packet's header and in front of a message, schema.
    fn sbe(&mut self, header: usize, prefix: usize, schema: u16) -> Vec<u8> {
        let random = &mut self.random;
        let mut bytes = vec![7; header - 8];
        bytes.extend(1_700_000_000_000_000_000_u64.to_le_bytes());
        for _ in 0..random.below(MESSAGES_MAX) {
            let block = random.below(20);
            let extra = if random.one_in(8) { random.below(12) } else { block };
            let size = (prefix + 8 + extra) as u16;
            bytes.extend(size.to_le_bytes());
            if prefix == 4 {
                let encoding: u16 = if random.one_in(6) { 0xeb51 } else { 0xeb50 };
                bytes.extend(encoding.to_le_bytes());
            }
            let schema = if random.one_in(12) { 46 } else { schema };
            for field in [block as u16, random.pick(&[46, 48, 52, 0]), schema, 9] {
                bytes.extend(field.to_le_bytes());
            }
            bytes.extend(vec![0; extra]);
        }
        bytes
    }

    /// A payload of IEX-TP.
    fn segment(&mut self) -> Vec<u8> {
        let count = self.count();
        let feeds = [
            (tp::protocol::TOPS_1_6, tops::Message::TYPES),
            (tp::protocol::DEEP_1_0, deep::Message::TYPES),
            (tp::protocol::DEEP_PLUS_1_0, deep_plus::Message::TYPES),
        ];
        let (protocol, types) = feeds[self.random.below(3)];
        let mut blocks = Vec::new();
        for _ in 0..count {
            let message = self.message(types);
            blocks.extend((message.len() as u16).to_le_bytes());
            blocks.extend(message);
        }
        let told = if self.random.one_in(8) { self.random.below(9) } else { count };
        let header = tp::HeaderBuilder::new()
            .version(1)
            .message_protocol_id(protocol)
            .channel_id(1)
            .session_id(46)
            .payload_length(blocks.len() as u16)
            .message_count(told as u16)
            .first_message_sequence_number(self.random.pick(&[1, 1000, 0xffff_ffff, u64::MAX]));
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend(blocks);
        bytes
    }
}
