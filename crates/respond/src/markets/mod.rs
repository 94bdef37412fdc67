//! What messages are about, and what is known of the markets of their instruments.
//!
//! [`Markets`] is told every message of every feed, in order: it finds the instrument and applies
//! the message to what is known of it ([`Level1`]). Each feed tells of its own market;
//! only instruments of the configuration are followed.
//!
//! * NanoNet: each message is a trade.
//! * ITCH: trades, and books of orders. Locates are learned from messages that name a stock.
//! * TOPS: quotes and trades as they are said. DEEP and DEEP+: trades, and books.
//!
//! A book is believed when it was seen from the start of the day on, or where the configuration
//! says `late_join`; after a loss ([`Market::lost`]) it is not, until a message tells it whole.
//! Bid, offer and spread are not known while it is not; the last trade is. What tells it whole:
//!
//! | feed | of one instrument | of all |
//! |---|---|---|
//! | NanoNet | each message | – |
//! | TOPS | each quote | the next day |
//! | DEEP+ | Clear Book (`C`): it has no orders | the next day |
//! | DEEP | – : an update tells a level, and not which levels are gone | the next day |
//! | ITCH | – : a message tells an order; snapshots (GLIMPSE) are another service | the next day |

mod iex;
mod itch;

use crate::config::Config;
use crate::instruments::Instruments;
use crate::level1::Level1;
use crate::rule;
use crate::strategy::Market;
use iex::Iex;
use itch::Itch;
use tickwire_market::book::{Best, Level};
use tickwire_market::{Message, Protocol, nanonet};

/// Orders that a feed's books have room for from the start, for each instrument; where there are
/// more, the table grows while it runs.
const ORDERS_PER_INSTRUMENT: usize = 512;
/// Orders that all books of a feed have room for from the start, at most.
const ORDERS_AT_START_MAX: usize = 1 << 20;

/// Messages that are about no instrument that is traded, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MarketCounts {
    /// Of an instrument that is not in the configuration, or of none.
    pub other_instruments: u64,
    /// Shorter than their type says.
    pub truncated: u64,
    /// Of a type that we do not know, or that is no market data.
    pub unknown_types: u64,
}

/// The markets of all feeds.
#[derive(Clone, Debug)]
pub struct Markets {
    instruments: Instruments,
    feeds: Vec<Feed>,
    counts: MarketCounts,
}

#[derive(Clone, Debug)]
struct Feed {
    view: View,
    /// By the number of the instrument.
    level1: Vec<Level1>,
}

#[derive(Clone, Debug)]
enum View {
    Nanonet { big: bool, factor: i64 },
    Itch(Box<Itch>),
    Iex(Box<Iex>),
}

/// What a message is about.
enum About {
    Instrument(u32),
    Other,
    Truncated,
    Unknown,
}

impl Markets {
    /// Nothing is known yet.
    pub fn new(config: &Config) -> Self {
        let feeds = config.feeds.iter().map(|feed| {
            // Of what rules cannot be about, no configuration has a feed.
            let decimals = rule::decimals(feed.protocol).unwrap_or(config.scale.0);
            let factor = 10_i64.pow(config.scale.0.saturating_sub(decimals));
            let orders = ORDERS_AT_START_MAX.min(config.instruments.len() * ORDERS_PER_INSTRUMENT);
            let view = match feed.protocol {
                Protocol::Itch50 => View::Itch(Itch::new(factor, orders, feed.late_join).into()),
                Protocol::Tops | Protocol::Deep | Protocol::DeepPlus => {
                    let instruments = config.instruments.len();
                    let believed = vec![feed.late_join; instruments];
                    View::Iex(Iex::new(feed.protocol, factor, orders, believed).into())
                }
                other => View::Nanonet { big: other == Protocol::NanonetBig, factor },
            };
            let level1 = config.instruments.iter().map(|known| Level1::new(known.tick));
            Feed { view, level1: level1.collect() }
        });
        let feeds = feeds.collect();
        Markets { instruments: config.instruments.clone(), feeds, counts: MarketCounts::default() }
    }

    /// Forgets what a feed told of an instrument: somebody else has read its messages meanwhile. Of
    /// NanoNet's; what books are made of was read by nobody else.
    pub fn forget(&mut self, feed: u16, instrument: u32) {
        let Some(feed) = self.feeds.get_mut(usize::from(feed)) else { return };
        let known = self.instruments.get(instrument);
        let market = feed.level1.get_mut(instrument as usize);
        if let (View::Nanonet { .. }, Some(known), Some(market)) = (&feed.view, known, market) {
            *market = Level1::new(known.tick);
        }
    }

    /// Messages that were about no instrument that is traded.
    pub fn counts(&self) -> MarketCounts {
        self.counts
    }
}

impl Market for Markets {
    /// Messages that are about none are counted: [`counts`](Markets::counts).
    #[inline]
    fn apply(&mut self, feed: u16, message: &Message<'_>) -> Option<u32> {
        let feed = self.feeds.get_mut(usize::from(feed))?;
        let about = match &mut feed.view {
            View::Nanonet { big, factor } => {
                nanonet(message.bytes, (*big, *factor), &self.instruments, &mut feed.level1)
            }
            View::Itch(itch) => itch.apply(message, &self.instruments, &mut feed.level1),
            View::Iex(iex) => iex.apply(message, &self.instruments, &mut feed.level1),
        };
        match about {
            About::Instrument(number) => return Some(number),
            About::Other => self.counts.other_instruments += 1,
            About::Truncated => self.counts.truncated += 1,
            About::Unknown => self.counts.unknown_types += 1,
        }
        None
    }

    #[inline]
    fn level1(&self, feed: u16, instrument: u32) -> Option<&Level1> {
        self.feeds.get(usize::from(feed))?.level1.get(instrument as usize)
    }

    fn lost(&mut self, feed: u16) {
        let Some(feed) = self.feeds.get_mut(usize::from(feed)) else { return };
        match &mut feed.view {
            // Its messages say all of what they are about.
            View::Nanonet { .. } => return,
            View::Itch(itch) => itch.lost(),
            View::Iex(iex) => iex.lost(),
        }
        feed.level1.iter_mut().for_each(|market| market.quote(None, None));
    }
}

#[inline]
fn nanonet(
    bytes: &[u8],
    (big, factor): (bool, i64),
    instruments: &Instruments,
    level1: &mut [Level1],
) -> About {
    let Some((head, _)) = bytes.split_first_chunk::<16>() else { return About::Truncated };
    if bytes.len() != nanonet::little::MarketData::LEN {
        return About::Unknown;
    }
    let [symbol @ .., a, b, c, d, e, f, g, h] = *head;
    let Some(number) = instruments.find(symbol) else { return About::Other };
    let (price, quantity) = ([a, b, c, d], [e, f, g, h]);
    let read = if big { u32::from_be_bytes } else { u32::from_le_bytes };
    let market = &mut level1[number as usize];
    market.begin();
    market.trade(i64::from(read(price)) * factor, read(quantity).into());
    About::Instrument(number)
}

/// Bid and offer of a book, in units of the scale.
#[inline]
fn quote(market: &mut Level1, best: Best, factor: i64) {
    let side = |level: Option<Level>| level.map(|of| (of.price.saturating_mul(factor), of.size));
    market.quote(side(best.bid), side(best.offer));
}

/// How long messages are and where they have a symbol, by their letter.
#[derive(Clone, Debug)]
struct Layout {
    /// 0 for what is about no instrument.
    lens: [u16; 256],
    /// 0 where there is none.
    symbols: [u8; 256],
}

impl Layout {
    fn new(protocol: Protocol, symbol: &str) -> Self {
        let mut layout = Layout { lens: [0; 256], symbols: [0; 256] };
        for of in rule::types(protocol) {
            let key = usize::from(of.key);
            let end = of.fields.last().map_or(0, |field| field.offset + field.len);
            layout.lens[key] = end as u16;
            layout.symbols[key] = of.field(symbol).map_or(0, |field| field.offset as u8);
        }
        layout
    }
}

#[cfg(test)]
mod tests;
