//! Random configurations of what the kernel can do, mostly, with limits that are soon reached; and
//! what their rules want, by what the language promises.

#![allow(dead_code)] // Each test file uses a part of it.

mod texts;

use crate::common::Random;
use crate::language::{Condition, Language, Number};
use std::fmt::Write;
use tickwire_market::{Protocol, price};
use tickwire_respond::rule::{Relation, Source, compile};
use tickwire_respond::{Config, Intent, NUMBER_MAX, Scale, Side, Tick, Word};

/// The most instruments of a case.
const INSTRUMENTS_MAX: u64 = 20;
/// The most rules of a case.
const RULES_MAX: u64 = 6;

/// A configuration.
pub struct Case {
    pub config: Config,
    pub text: String,
    wishes: Vec<Wish>,
    /// Prices and quantities that decide something.
    pub thresholds: Vec<u32>,
}

/// What a rule wants.
struct Wish {
    language: Language,
    enabled: bool,
    feed: u16,
    target: u16,
    instruments: Option<Vec<u32>>,
    condition: Condition,
    side: Side,
    quantity: Number,
    price: Number,
}

/// The parts of a configuration, while it is written.
struct Draft<'r> {
    random: &'r mut Random,
    text: String,
    scale: u32,
    protocols: Vec<Protocol>,
    targets: u64,
    symbols: Vec<String>,
    /// In units of the scale.
    ticks: Vec<i64>,
    wishes: Vec<Wish>,
}

impl Case {
    /// A random one.
    pub fn new(random: &mut Random) -> Case {
        let (targets, decimals) = texts::targets(random);
        let mut draft = Draft {
            random,
            text: format!("state = \"unused\"\n{}", targets.concat()),
            scale: decimals.max(2),
            protocols: Vec::new(),
            targets: targets.len() as u64,
            symbols: Vec::new(),
            ticks: Vec::new(),
            wishes: Vec::new(),
        };
        draft.feeds();
        draft.instruments();
        for place in 0..1 + draft.random.below(RULES_MAX) {
            draft.rule(place);
        }
        let limits = texts::limits(draft.random, draft.scale);
        let text = draft.text + &limits;
        let config = Config::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(config.scale.0, draft.scale, "{text}");
        let words = || text.split(|c: char| !c.is_ascii_digit() && c != '.');
        let prices = words().filter_map(|word| price::parse(word, 2).ok());
        let counts = words().filter_map(|word| word.parse().ok());
        let all = prices.filter_map(|raw| u32::try_from(raw).ok()).chain(counts);
        let thresholds = all.collect();
        Case { config, wishes: draft.wishes, thresholds, text }
    }

    /// What is wanted for a tick: by the first rule that holds.
    pub fn intent(&self, tick: &Tick<'_>) -> Option<Intent> {
        let is_for = |wish: &Wish| {
            let instruments = wish.instruments.as_ref();
            wish.enabled
                && wish.feed == tick.feed
                && instruments.is_none_or(|list| list.contains(&tick.instrument))
        };
        let wishes = self.wishes.iter().enumerate().filter(|(_, wish)| is_for(wish));
        wishes.into_iter().find_map(|(number, wish)| {
            let quantity = wish.language.value(&wish.quantity, tick)?;
            let price = wish.language.value(&wish.price, tick)?;
            wish.language.holds(&wish.condition, tick).then(|| Intent {
                rule: number as u16,
                instrument: tick.instrument,
                target: wish.target,
                side: wish.side,
                price: i64::try_from(price).expect("rules that could overflow are refused"),
                quantity: quantity as u32,
            })
        })
    }
}

impl Draft<'_> {
    fn feeds(&mut self) {
        for place in 0..1 + self.random.below(3) {
            let protocol = self.random.of(&[Protocol::Nanonet, Protocol::NanonetBig]);
            self.protocols.push(protocol);
            let address = match self.random.below(8) {
                0 => "0.0.0.0".to_owned(),
                1 => format!("10.0.0.{}", place + 1),
                _ => format!("239.1.1.{}", place + 1),
            };
            let port = 8_080 + self.random.below(2);
            writeln!(self.text, "[[feed]]\nname = \"{place}\"\nprotocol = \"{protocol}\"").unwrap();
            writeln!(self.text, "listen = \"{address}:{port}\"").unwrap();
            if self.random.one_in(4) {
                writeln!(self.text, "source = \"10.0.0.9\"").unwrap();
            }
            if self.random.one_in(3) {
                writeln!(self.text, "silence_ms = {}", 1 + self.random.below(2_000)).unwrap();
            }
        }
    }

    fn instruments(&mut self) {
        let unit = 10_i64.pow(self.scale - 2);
        for place in 0..1 + self.random.below(INSTRUMENTS_MAX) {
            // Symbols of rules begin with A and B.
            let symbol = match place {
                0 => "A".to_owned(),
                1 => "AB".to_owned(),
                2 => "ABCDEFGH".to_owned(),
                _ => format!("S{place}"),
            };
            let tick =
                if self.random.one_in(4) { 1 } else { unit } * (1 + self.random.below(3) as i64);
            let text = texts::money(tick, self.scale);
            writeln!(self.text, "[[instrument]]\nsymbol = \"{symbol}\"\ntick = \"{text}\"")
                .unwrap();
            if self.random.one_in(2) {
                self.text += &texts::instrument_limits(self.random, self.scale);
            }
            self.symbols.push(symbol);
            self.ticks.push(tick);
        }
    }

    fn rule(&mut self, place: u64) {
        let wish = loop {
            let wish = self.wish();
            if let Some(wish) = wish {
                break wish;
            }
        };
        let Wish { language, feed, target, .. } = &wish;
        let mut texts = wish.texts();
        texts.iter_mut().for_each(|text| *text = text.replace('"', "'"));
        let [when, side, quantity, price] = texts;
        let text = &mut self.text;
        writeln!(text, "[[rule]]\nname = \"{place}\"\nfeed = \"{feed}\"").unwrap();
        if let Some(list) = &wish.instruments {
            let names: Vec<_> = list.iter().map(|&at| &self.symbols[at as usize]).collect();
            writeln!(text, "instruments = {names:?}").unwrap();
        }
        writeln!(text, "when = \"{when}\"\nenabled = {}", wish.enabled).unwrap();
        let cool_down_us = self.random.of(&[0, 0, 1, 50, 1_000, 1_000_000, 5_000_000]);
        writeln!(text, "cool_down_us = {cool_down_us}").unwrap();
        writeln!(
            text,
            "order = {{ target = \"{target}\", side = \"{side}\", quantity = \"{quantity}\", \
             price = \"{price}\" }}"
        )
        .unwrap();
        debug_assert!(language.scale == self.scale);
        self.wishes.push(wish);
    }

    /// A random one, unless it is one that no message could meet.
    fn wish(&mut self) -> Option<Wish> {
        let random = &mut *self.random;
        let feed = random.below(self.protocols.len() as u64) as u16;
        let all = 0..self.symbols.len() as u32;
        let instruments = match random.below(3) {
            0 => None,
            _ => {
                let some = random.of(&[1, 2, 8]);
                let list: Vec<_> = all.filter(|_| random.one_in(some)).collect();
                Some(if list.is_empty() { vec![0] } else { list })
            }
        };
        let mine = |at: usize| {
            instruments.as_ref().is_none_or(|list: &Vec<u32>| list.contains(&(at as u32)))
        };
        let ticks = || (0..self.ticks.len()).filter(|at| mine(*at)).map(|at| self.ticks[at]);
        let ticks = (ticks().min().unwrap_or(NUMBER_MAX), ticks().max().unwrap_or(1));
        let mut language = Language::of(self.protocols[usize::from(feed)], self.scale, ticks);
        language.unit = 10_i128.pow(self.scale - 2);
        if !random.one_in(24) {
            language.words = [&[Word::Last], &[Word::LastSize]];
        }
        let wish = Wish {
            enabled: !random.one_in(10),
            feed,
            target: random.below(self.targets) as u16,
            condition: condition(&language, random),
            side: random.of(&[Side::Buy, Side::Sell, Side::SellShort]),
            quantity: quantity(&language, random),
            price: order_price(&language, random),
            instruments,
            language,
        };
        let texts = wish.texts();
        let source = Source {
            protocol: wish.language.protocol,
            scale: Scale(self.scale),
            ticks,
            texts: [&texts[0], &texts[1], &texts[2], &texts[3]],
        };
        compile(&source).is_ok().then_some(wish)
    }
}

impl Wish {
    fn texts(&self) -> [String; 4] {
        [
            self.language.text(&self.condition),
            self.side.to_string(),
            self.language.number_text(&self.quantity, false),
            self.language.number_text(&self.price, true),
        ]
    }
}

/// Half of them are met by many ticks.
fn condition(language: &Language, random: &mut Random) -> Condition {
    if random.one_in(2) {
        return language.condition(2, random);
    }
    let threshold = Number::Literal(language.unit * i128::from(random.below(300)));
    let relation = random.of(&[Relation::Less, Relation::GreaterOrEqual, Relation::NotEqual]);
    Condition::Compare(Number::Field("price"), relation, threshold)
}

fn quantity(language: &Language, random: &mut Random) -> Number {
    let number = match random.below(3) {
        0 => language.number(false, 1, random),
        1 => Number::Field("quantity"),
        _ => return Number::Literal(random.below(120).into()),
    };
    let most = Number::Literal(random.of(&[120, 500, u32::MAX.into()]));
    let number = Number::Min(number.into(), most.into());
    Number::Max(Number::Literal(0).into(), number.into())
}

/// Mostly near the price of the tick.
fn order_price(language: &Language, random: &mut Random) -> Number {
    let price = Number::Field("price").into();
    let away = Number::Ticks(random.below(6).into()).into();
    match random.below(6) {
        0 | 1 => Number::Sum(price, away),
        2 | 3 => Number::Difference(price, away),
        4 => Number::Product(random.below(3).into(), price),
        _ => match language.number(true, 2, random) {
            number if language.is_price(&number) => number,
            number => Number::Sum(number.into(), Number::Ticks(1).into()),
        },
    }
}
