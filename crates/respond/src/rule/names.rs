//! What the names in rules stand for: the fields of a protocol as `tickwire-market` declares them,
//! the words of the market, and a few that we made.

use crate::level1::Word;
use tickwire_market::field::Field;
use tickwire_market::{Protocol, nanonet, near};

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// A field that some type of message has.
    Field(&'static str),
    /// A word of the market.
    Word(Word),
    /// The type of the message.
    Type,
    /// The side of the message's order or level: `buy` or `sell`.
    Side,
    /// Whether nothing of the feed is missing.
    Fresh,
}

/// The name for whether nothing of the feed is missing.
const FRESH: &str = "sequence_fresh";
/// Words that are names everywhere.
const WORDS: [&str; 3] = ["type", "side", FRESH];
/// All that is no field, for people.
const OURS: &str =
    "bid, ask, bid_size, ask_size, spread, last, last_size, type, side, sequence_fresh";

/// The protocols whose messages rules can be about.
pub fn protocols() -> impl Iterator<Item = Protocol> {
    Protocol::ALL.iter().copied().filter(|protocol| decimals(*protocol).is_some())
}

/// How many decimals the prices of a protocol have; `None` when rules cannot be about it.
pub fn decimals(protocol: Protocol) -> Option<u32> {
    match protocol {
        Protocol::Nanonet | Protocol::NanonetBig => Some(2),
        Protocol::Itch50 | Protocol::Tops | Protocol::Deep | Protocol::DeepPlus => Some(4),
        _ => None,
    }
}

/// A type of message that is about an instrument.
#[derive(Clone, Copy, Debug)]
pub struct Type {
    /// Its letter; the length where that tells messages apart.
    pub key: u8,
    /// Its name in the specification.
    pub name: &'static str,
    /// Its fields.
    pub fields: &'static [Field],
}

impl Type {
    /// The field of that name.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Where it says a side, and the bytes that stand for buy and sell.
    pub fn side(&self, protocol: Protocol) -> Option<(&'static Field, [u8; 2])> {
        match (protocol, self.key) {
            // A Trade says `B`, whatever the side was.
            (Protocol::Itch50, b'P') => None,
            (Protocol::Itch50, _) => Some((self.field("buy_sell_indicator")?, *b"BS")),
            (Protocol::Deep, b'8' | b'5') => Some((self.field("message_type")?, *b"85")),
            (Protocol::DeepPlus, _) => Some((self.field("side")?, *b"85")),
            _ => None,
        }
    }
}

/// The types of messages that are about an instrument.
pub fn types(protocol: Protocol) -> Vec<Type> {
    let only = |fields| {
        let key = nanonet::little::MarketData::LEN as u8;
        vec![Type { key, name: "MarketData", fields }]
    };
    match protocol {
        Protocol::Nanonet => return only(nanonet::little::MarketData::FIELDS),
        Protocol::NanonetBig => return only(nanonet::big::MarketData::FIELDS),
        _ => {}
    }
    let all = protocol.types().iter().map(|&(key, name, fields)| Type { key, name, fields });
    all.filter(|of| is_about_an_instrument(protocol, of)).collect()
}

fn is_about_an_instrument(protocol: Protocol, of: &Type) -> bool {
    match protocol {
        // System events and the market-wide circuit breakers have locate 0.
        Protocol::Itch50 => !b"SVW".contains(&of.key),
        _ => of.field("symbol").is_some(),
    }
}

/// The prefix that names of a protocol may have, as in filters.
fn prefix(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Itch50 => "itch",
        Protocol::Tops | Protocol::Deep | Protocol::DeepPlus => "iex",
        Protocol::NanonetBig => "nanonet",
        other => other.name(),
    }
}

/// The names of a protocol.
#[derive(Debug)]
pub struct Names {
    protocol: Protocol,
    types: Vec<Type>,
}

impl Names {
    /// Of messages of a protocol.
    pub fn new(protocol: Protocol) -> Self {
        Names { protocol, types: types(protocol) }
    }

    /// The types of messages.
    pub fn types(&self) -> &[Type] {
        &self.types
    }

    /// What a name stands for.
    ///
    /// # Errors
    /// That there is none, and which is near.
    pub fn meaning(&self, dotted: &str) -> Result<Meaning, String> {
        let own = prefix(self.protocol);
        let (before, name) = match dotted.split_once('.') {
            Some((before, name)) => (Some(before), name),
            None => (None, dotted),
        };
        if before.is_some_and(|before| before != own) {
            let protocol = self.protocol;
            return Err(format!(
                "this feed speaks {protocol}: write {own}.{name}, or {name} alone"
            ));
        }
        let is_word = |word: &Word| *word != Word::Tick && word.name() == name;
        match (before, name) {
            (None, "side") => return Ok(Meaning::Side),
            (None, FRESH) => return Ok(Meaning::Fresh),
            (_, "type" | "message_type") if self.types.len() > 1 => return Ok(Meaning::Type),
            (None, _) => {
                if let Some(word) = Word::ALL.into_iter().find(is_word) {
                    return Ok(Meaning::Word(word));
                }
            }
            _ => {}
        }
        let field = self.types.iter().find_map(|of| of.field(name));
        field.map(|field| Meaning::Field(field.name)).ok_or_else(|| self.unknown(name))
    }

    fn unknown(&self, name: &str) -> String {
        let fields = self.types.iter().flat_map(|of| of.fields).map(|field| field.name);
        let words = Word::ALL.into_iter().map(Word::name).chain(WORDS);
        let cure = match near(name, fields.chain(words), 1).pop() {
            Some(near) => format!("did you mean {near:?}?"),
            None => format!("its fields are those of the specification, beside {OURS}"),
        };
        format!("{} has no {name:?}: {cure}", self.protocol)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_specification_and_ours() {
        let meaning = |protocol, name| Names::new(protocol).meaning(name);
        let itch = |name| meaning(Protocol::Itch50, name);
        assert_eq!(itch("price"), Ok(Meaning::Field("price")));
        assert_eq!(itch("itch.price"), Ok(Meaning::Field("price")));
        assert_eq!(itch("type"), Ok(Meaning::Type));
        assert_eq!(itch("bid"), Ok(Meaning::Word(Word::Bid)));
        assert_eq!(itch("sequence_fresh"), Ok(Meaning::Fresh));
        assert!(itch("iex.price").unwrap_err().contains("write itch.price"));
        assert!(itch("prise").unwrap_err().contains("did you mean \"price\"?"));
        // A word goes first, unless the field is called by its whole name.
        assert_eq!(meaning(Protocol::Tops, "bid_size"), Ok(Meaning::Word(Word::BidSize)));
        assert_eq!(meaning(Protocol::Tops, "iex.bid_size"), Ok(Meaning::Field("bid_size")));
        assert_eq!(meaning(Protocol::DeepPlus, "side"), Ok(Meaning::Side));
        assert_eq!(meaning(Protocol::DeepPlus, "iex.side"), Ok(Meaning::Field("side")));
        assert!(meaning(Protocol::Nanonet, "type").is_err());
    }

    #[test]
    fn only_messages_about_an_instrument_are_looked_at() {
        let keys =
            |protocol| types(protocol).iter().map(|of| char::from(of.key)).collect::<String>();
        assert_eq!(keys(Protocol::Itch50), "ADUEXPFCIQBNRHYLKJhO");
        assert_eq!(keys(Protocol::Tops), "DHIOPQTXBA");
        assert_eq!(keys(Protocol::Nanonet), "\u{18}");
        assert_eq!(protocols().count(), 6);
    }

    #[test]
    fn sides_are_where_they_are_said() {
        let side = |protocol, key| {
            let all = types(protocol);
            let of = all.iter().find(|of| of.key == key).unwrap();
            of.side(protocol).map(|(field, _)| field.name)
        };
        assert_eq!(side(Protocol::Itch50, b'A'), Some("buy_sell_indicator"));
        assert_eq!((side(Protocol::Itch50, b'P'), side(Protocol::Itch50, b'D')), (None, None));
        assert_eq!(side(Protocol::Deep, b'5'), Some("message_type"));
        assert_eq!(side(Protocol::DeepPlus, b'a'), Some("side"));
        assert_eq!(side(Protocol::Tops, b'Q'), None);
    }
}
