//! The language of rules once more: random conditions and numbers, their text, and what they are
//! worth by what the language promises.
//!
//! The interpreter walks a tree of its own, reads fields through the tables of `tickwire-market`,
//! and computes with 128 bits.

#![allow(dead_code)] // Each test file uses a part of it.

use crate::common::Random;
use std::fmt::Write;
use tickwire_market::{Protocol, Value};
use tickwire_respond::rule::{Relation, decimals};
use tickwire_respond::{Level1, NUMBER_MAX, Tick, Word};

/// A number of the language.
#[derive(Clone, Debug)]
pub enum Number {
    /// In units of the scale, or pieces.
    Literal(i128),
    Ticks(i128),
    Field(&'static str),
    Word(Word),
    Sum(Box<Number>, Box<Number>),
    Difference(Box<Number>, Box<Number>),
    Product(i128, Box<Number>),
    Min(Box<Number>, Box<Number>),
    Max(Box<Number>, Box<Number>),
    Negative(Box<Number>),
}

/// A condition of the language.
#[derive(Clone, Debug)]
pub enum Condition {
    Compare(Number, Relation, Number),
    In(Number, Vec<Number>),
    Type(bool, char),
    Side(bool, bool),
    Text(&'static str, bool, String),
    Crosses(bool, Word, Number),
    Fresh,
    Not(Box<Condition>),
    And(Vec<Condition>),
    Or(Vec<Condition>),
}

const RELATIONS: [Relation; 6] = [
    Relation::Equal,
    Relation::NotEqual,
    Relation::Less,
    Relation::LessOrEqual,
    Relation::Greater,
    Relation::GreaterOrEqual,
];
const PRICE_WORDS: [Word; 4] = [Word::Bid, Word::Ask, Word::Spread, Word::Last];
const SIZE_WORDS: [Word; 3] = [Word::BidSize, Word::AskSize, Word::LastSize];

/// What rules of a protocol are made of.
#[derive(Clone, Debug)]
pub struct Language {
    pub protocol: Protocol,
    pub scale: u32,
    pub tick: (i64, i64),
    /// What numbers of prices are multiplied with.
    pub unit: i128,
    /// The words of the market that are prices, and those that are sizes.
    pub words: [&'static [Word]; 2],
    prices: Vec<&'static str>,
    numbers: Vec<&'static str>,
    texts: Vec<(&'static str, usize)>,
    /// Of the types of its messages; none where they are all of one.
    pub letters: Vec<char>,
    messages: Vec<Vec<u8>>,
}

impl Language {
    /// With some decimals and tick sizes, and every word of the market.
    pub fn new(protocol: Protocol, random: &mut Random) -> Self {
        let scale = decimals(protocol).unwrap() + random.below(3) as u32;
        let low = 1 + random.below(5) as i64;
        Language::of(protocol, scale, (low, low + random.below(2) as i64 * 7))
    }

    /// With every word of the market.
    pub fn of(protocol: Protocol, scale: u32, tick: (i64, i64)) -> Self {
        let mut language = Language {
            protocol,
            scale,
            tick,
            unit: 1,
            words: [&PRICE_WORDS, &SIZE_WORDS],
            prices: vec![],
            numbers: vec![],
            texts: vec![],
            letters: vec![],
            messages: vec![],
        };
        let types = protocol.types().iter().map(|(letter, _, fields)| (*letter, *fields));
        let fixed = protocol.definition(tickwire_market::MessageType::Template(24));
        let fixed = fixed.map(|known| (0, known.fields));
        for (letter, fields) in types.chain(fixed).filter(|(letter, _)| is_about(protocol, *letter))
        {
            for field in fields.iter().filter(|field| field.name != "message_type") {
                let zeros = vec![0; field.offset + field.len];
                match field.value(&zeros).unwrap() {
                    Value::Price { .. } => language.prices.push(field.name),
                    Value::Text(_) => language.texts.push((field.name, field.len)),
                    _ => language.numbers.push(field.name),
                }
            }
            if letter != 0 {
                language.letters.push(char::from(letter));
            }
            let last = fields.last().unwrap();
            let mut message = vec![0; last.offset + last.len];
            message[0] = letter;
            language.messages.push(message);
        }
        language
    }

    /// A random number, or price.
    pub fn number(&self, is_price: bool, depth: u32, random: &mut Random) -> Number {
        let fields = if is_price { &self.prices } else { &self.numbers };
        let words = self.words[usize::from(!is_price)];
        let unit = if is_price { self.unit } else { 1 };
        let inner = |random: &mut Random| Box::new(self.number(is_price, depth - 1, random));
        match random.below(if depth == 0 { 4 } else { 10 }) {
            0 if is_price && random.below(2) == 0 => Number::Ticks(random.below(5).into()),
            0 | 1 if !fields.is_empty() => Number::Field(random.of(fields)),
            2 => Number::Word(random.of(words)),
            0..=3 => Number::Literal(unit * i128::from(random.below(300))),
            4 => Number::Sum(inner(random), inner(random)),
            5 => Number::Difference(inner(random), inner(random)),
            6 => Number::Product(random.below(4).into(), inner(random)),
            7 => Number::Min(inner(random), inner(random)),
            8 => Number::Max(inner(random), inner(random)),
            _ => Number::Negative(inner(random)),
        }
    }

    /// A random condition.
    pub fn condition(&self, depth: u32, random: &mut Random) -> Condition {
        let inner = |random: &mut Random| self.condition(depth - 1, random);
        let list = |random: &mut Random| (0..2 + random.below(2)).map(|_| inner(random)).collect();
        let is_price = random.below(2) == 0;
        match random.below(if depth == 0 { 7 } else { 12 }) {
            0..=1 => Condition::Compare(
                self.number(is_price, 2, random),
                random.of(&RELATIONS),
                self.number(is_price, 2, random),
            ),
            2 => {
                let unit = if is_price { self.unit } else { 1 };
                let list = (0..1 + random.below(3)).map(|_| random.below(9).into());
                let list = list.map(|number: i128| Number::Literal(unit * number)).collect();
                Condition::In(self.number(is_price, 1, random), list)
            }
            3 if !self.letters.is_empty() => {
                Condition::Type(random.below(2) == 0, random.of(&self.letters))
            }
            4 => Condition::Side(random.below(2) == 0, random.below(2) == 0),
            5 => {
                let (name, len) = random.of(&self.texts);
                let text = "AB".chars().take(1 + random.below(2) as usize).take(len).collect();
                Condition::Text(name, random.below(2) == 0, text)
            }
            3 | 6 => {
                let word = random.of(self.words[0]);
                Condition::Crosses(random.below(2) == 0, word, self.number(true, 1, random))
            }
            7 => Condition::Fresh,
            8 => Condition::Not(inner(random).into()),
            9..=10 => Condition::And(list(random)),
            _ => Condition::Or(list(random)),
        }
    }

    /// A literal of money, with all decimals or none where they are 0.
    pub fn money(&self, raw: i128) -> String {
        Value::Price { raw, decimals: self.scale }.to_string()
    }

    /// As it is written.
    pub fn number_text(&self, number: &Number, is_price: bool) -> String {
        let text = |number| self.number_text(number, is_price);
        match number {
            Number::Literal(raw) if is_price => self.money(*raw),
            Number::Literal(count) => count.to_string(),
            Number::Ticks(1) => "1 tick".into(),
            Number::Ticks(count) => format!("{count} ticks"),
            Number::Field(name) => format!("{}.{name}", prefix(self.protocol)),
            Number::Word(word) => word.name().into(),
            Number::Sum(one, other) => format!("({} + {})", text(one), text(other)),
            Number::Difference(one, other) => format!("({} - {})", text(one), text(other)),
            Number::Product(count, number) => format!("{count} * {}", text(number)),
            Number::Min(one, other) => format!("min({}, {})", text(one), text(other)),
            Number::Max(one, other) => format!("max({}, {})", text(one), text(other)),
            Number::Negative(number) => format!("-{}", text(number)),
        }
    }

    /// As it is written.
    pub fn text(&self, condition: &Condition) -> String {
        let is_price = |number| self.is_price(number);
        let equal = |is: bool| if is { "==" } else { "!=" };
        let joined = |all: &[Condition], word: &str| {
            all.iter().map(|one| format!("({})", self.text(one))).collect::<Vec<_>>().join(word)
        };
        match condition {
            Condition::Compare(one, relation, other) => {
                let kind = is_price(one) || is_price(other);
                let (one, other) = (self.number_text(one, kind), self.number_text(other, kind));
                format!("{one} {} {other}", relation.symbol())
            }
            Condition::In(one, list) => {
                let kind = is_price(one);
                let mut text = format!("{} in {{", self.number_text(one, kind));
                for (place, value) in list.iter().enumerate() {
                    let comma = if place == 0 { "" } else { ", " };
                    write!(text, "{comma}{}", self.number_text(value, kind)).unwrap();
                }
                text + "}"
            }
            Condition::Type(is, letter) => format!("type {} \"{letter}\"", equal(*is)),
            Condition::Side(is, buy) => {
                format!("side {} \"{}\"", equal(*is), if *buy { "buy" } else { "sell" })
            }
            Condition::Text(name, is, text) => {
                format!("{}.{name} {} '{text}'", prefix(self.protocol), equal(*is))
            }
            Condition::Crosses(above, word, number) => {
                let way = if *above { "above" } else { "below" };
                format!("crosses_{way}({}, {})", word.name(), self.number_text(number, true))
            }
            Condition::Fresh => "sequence_fresh".into(),
            Condition::Not(inner) => format!("not ({})", self.text(inner)),
            Condition::And(all) => joined(all, " and "),
            Condition::Or(all) => joined(all, " or "),
        }
    }

    /// Whether it is a price by itself.
    pub fn is_price(&self, number: &Number) -> bool {
        match number {
            Number::Literal(_) => false,
            Number::Ticks(_) => true,
            Number::Field(name) => self.prices.contains(name),
            Number::Word(word) => PRICE_WORDS.contains(word),
            Number::Product(_, inner) | Number::Negative(inner) => self.is_price(inner),
            Number::Sum(one, other)
            | Number::Difference(one, other)
            | Number::Min(one, other)
            | Number::Max(one, other) => self.is_price(one) || self.is_price(other),
        }
    }

    /// What it is for a tick; `None` when something of it is not known there.
    pub fn value(&self, number: &Number, tick: &Tick<'_>) -> Option<i128> {
        let value = |number| self.value(number, tick);
        Some(match number {
            Number::Literal(raw) => *raw,
            Number::Ticks(count) => count * i128::from(tick.market.now(Word::Tick)?),
            Number::Field(name) => self.field(name, tick.message)?,
            Number::Word(word) => tick.market.now(*word)?.into(),
            Number::Sum(one, other) => value(one)? + value(other)?,
            Number::Difference(one, other) => value(one)? - value(other)?,
            Number::Product(count, number) => count * value(number)?,
            Number::Min(one, other) => value(one)?.min(value(other)?),
            Number::Max(one, other) => value(one)?.max(value(other)?),
            Number::Negative(number) => -value(number)?,
        })
    }

    fn field(&self, name: &str, message: &[u8]) -> Option<i128> {
        let field = self.find(name, message)?;
        let max = i128::from(NUMBER_MAX);
        Some(match field.value(message)? {
            Value::Price { raw, decimals } => {
                let factor = 10_i128.pow(self.scale - decimals);
                raw.clamp(-(max / factor), max / factor) * factor
            }
            Value::Unsigned(raw) | Value::SinceMidnight(raw) => i128::from(raw).min(max),
            Value::Signed(raw) | Value::UnixTime(raw) => i128::from(raw).clamp(-max, max),
            other => panic!("{name}: {other:?}"),
        })
    }

    fn find(&self, name: &str, message: &[u8]) -> Option<&'static tickwire_market::Field> {
        let key = match self.letters.is_empty() {
            true => tickwire_market::MessageType::Template(24),
            false => tickwire_market::MessageType::Letter(message[0]),
        };
        let known = self.protocol.definition(key)?;
        known.fields.iter().find(|field| field.name == name)
    }

    /// Whether it is that of a buyer; `None` when the message has no side, or says neither.
    pub fn side(&self, message: &[u8]) -> Option<u8> {
        match self.protocol {
            Protocol::Itch50 if message[0] == b'P' => None,
            Protocol::Itch50 => self.byte("buy_sell_indicator", message),
            Protocol::Deep if b"85".contains(&message[0]) => Some(message[0]),
            Protocol::DeepPlus => self.byte("side", message),
            _ => None,
        }
    }

    /// What says buy, and sell.
    pub fn side_letters(&self) -> [u8; 2] {
        if self.protocol == Protocol::Itch50 { *b"BS" } else { *b"85" }
    }

    fn byte(&self, name: &str, message: &[u8]) -> Option<u8> {
        self.find(name, message).map(|field| message[field.offset])
    }

    /// Whether it is met by a tick.
    pub fn holds(&self, condition: &Condition, tick: &Tick<'_>) -> bool {
        match condition {
            Condition::Compare(one, relation, other) => {
                let both = self.value(one, tick).zip(self.value(other, tick));
                both.is_some_and(|(one, other)| relation.holds(one, other))
            }
            Condition::In(one, list) => {
                let one = self.value(one, tick);
                one.is_some() && list.iter().any(|value| self.value(value, tick) == one)
            }
            Condition::Type(is, letter) => (tick.message[0] == *letter as u8) == *is,
            Condition::Side(is, buy) => {
                let wanted = self.side_letters()[usize::from(!buy)];
                self.side(tick.message).is_some_and(|side| (side == wanted) == *is)
            }
            Condition::Text(name, is, text) => {
                let field = self.find(name, tick.message);
                let value = field.and_then(|field| field.value(tick.message));
                let Some(Value::Text(bytes)) = value else { return false };
                (bytes == format!("{text:<0$}", bytes.len()).as_bytes()) == *is
            }
            Condition::Crosses(above, word, number) => {
                let known = || {
                    let was = i128::from(tick.market.before(*word)?);
                    Some((was, tick.market.now(*word)?.into(), self.value(number, tick)?))
                };
                known().is_some_and(|(was, is, line): (i128, i128, i128)| match above {
                    true => was <= line && is > line,
                    false => was >= line && is < line,
                })
            }
            Condition::Fresh => tick.fresh,
            Condition::Not(inner) => !self.holds(inner, tick),
            Condition::And(all) => all.iter().all(|one| self.holds(one, tick)),
            Condition::Or(all) => all.iter().any(|one| self.holds(one, tick)),
        }
    }

    /// A message of any type, with small numbers in some of its fields, and letters in its texts.
    pub fn message(&self, random: &mut Random) -> Vec<u8> {
        let mut message = self.messages[random.below(self.messages.len() as u64) as usize].clone();
        let key = match self.letters.is_empty() {
            true => tickwire_market::MessageType::Template(24),
            false => tickwire_market::MessageType::Letter(message[0]),
        };
        for field in self.protocol.definition(key).unwrap().fields {
            if field.name == "message_type" {
                continue;
            }
            let bytes = &mut message[field.offset..field.offset + field.len];
            let little = !matches!(self.protocol, Protocol::Itch50 | Protocol::NanonetBig);
            let small = random.below(300).to_le_bytes();
            match random.below(8) {
                _ if self.texts.iter().any(|(name, _)| *name == field.name) => {
                    bytes.fill(b' ');
                    bytes[0] = random.of(b"ABS85");
                    if random.below(2) == 0 && bytes.len() > 1 {
                        bytes[1] = b'B';
                    }
                }
                0 => bytes.fill_with(|| random.bits() as u8),
                1 => bytes.fill(0xff),
                _ => {
                    let len = bytes.len().min(8);
                    bytes[..len].copy_from_slice(&small[..len]);
                    if !little {
                        bytes.reverse();
                    }
                }
            }
        }
        message
    }

    /// A market of which something is known, now and before.
    pub fn market(&self, random: &mut Random) -> Level1 {
        let tick = if random.below(2) == 0 { self.tick.0 } else { self.tick.1 };
        let mut market = Level1::new(tick);
        for _ in 0..2 {
            market.begin();
            let mut side = || {
                let price = match random.below(20) {
                    0 => random.bits() as i64,
                    _ => random.below(300) as i64,
                };
                (random.below(4) > 0).then(|| (price, random.below(300)))
            };
            let (bid, ask, trade) = (side(), side(), side());
            market.quote(bid, ask);
            if let Some((price, size)) = trade {
                market.trade(price, size);
            }
        }
        market
    }
}

fn is_about(protocol: Protocol, letter: u8) -> bool {
    match protocol {
        Protocol::Itch50 => !b"SVW".contains(&letter),
        _ => letter != b'S',
    }
}

fn prefix(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Itch50 => "itch",
        Protocol::Nanonet | Protocol::NanonetBig => "nanonet",
        _ => "iex",
    }
}
