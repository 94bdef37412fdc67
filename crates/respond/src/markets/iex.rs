//! TOPS, DEEP and DEEP+ of IEX: every message names its symbol.

use super::{About, Layout, quote};
use crate::instruments::Instruments;
use crate::level1::Level1;
use tickwire_market::book::orders::ORDERS_MAX;
use tickwire_market::book::{Change, deep, deep_plus};
use tickwire_market::iex::common::TradeReport;
use tickwire_market::iex::tops::QuoteUpdate;
use tickwire_market::iex::{self, Symbol};
use tickwire_market::{Ascii, Message, Protocol};

#[derive(Clone, Debug)]
pub(super) struct Iex {
    protocol: Protocol,
    layout: Layout,
    books: Books,
    /// Whether the book is as the feed has it, by the number of the instrument.
    believed: Vec<bool>,
    factor: i64,
}

/// Of instruments that are traded only.
#[derive(Clone, Debug)]
enum Books {
    /// The feed says the best itself.
    None,
    Deep(deep::Books),
    DeepPlus(Box<deep_plus::Books>),
}

/// The type of system events, and what begins a day.
const DAY_BEGINS: [u8; 2] = *b"SO";

impl Iex {
    /// With room for so many orders; `believed` says it of each instrument.
    pub(super) fn new(protocol: Protocol, factor: i64, orders: usize, believed: Vec<bool>) -> Self {
        let books = match protocol {
            Protocol::Deep => Books::Deep(deep::Books::new()),
            Protocol::DeepPlus => Books::DeepPlus(deep_plus::Books::new(orders, ORDERS_MAX).into()),
            _ => Books::None,
        };
        let layout = Layout::new(protocol, "symbol");
        Iex { protocol, layout, books, believed, factor }
    }

    pub(super) fn lost(&mut self) {
        self.believed.fill(false);
    }

    #[inline]
    pub(super) fn apply(
        &mut self,
        message: &Message<'_>,
        instruments: &Instruments,
        level1: &mut [Level1],
    ) -> About {
        let bytes = message.bytes;
        if message.protocol != self.protocol {
            return About::Unknown;
        }
        let Some(&key) = bytes.first() else { return About::Truncated };
        let len = self.layout.lens[usize::from(key)];
        if len == 0 {
            return self.of_all(bytes, level1);
        }
        if bytes.len() < usize::from(len) {
            return About::Truncated;
        }
        let at = usize::from(self.layout.symbols[usize::from(key)]);
        let Some(symbol) = bytes[at..].first_chunk() else { return About::Truncated };
        let Some(number) = instruments.find(*symbol) else { return About::Other };
        let market = &mut level1[number as usize];
        market.begin();
        self.take(bytes, (number as usize, Ascii(*symbol)), market);
        About::Instrument(number)
    }

    #[inline]
    fn take(&mut self, bytes: &[u8], (number, symbol): (usize, Symbol), market: &mut Level1) {
        let factor = self.factor;
        let price = |price: iex::Price| price.0.saturating_mul(factor);
        // Lengths have been looked at.
        match (bytes[0], &mut self.books) {
            (b'T', _) => {
                if let Ok(trade) = TradeReport::parse(bytes) {
                    market.trade(price(trade.price()), trade.size().into());
                }
            }
            (b'Q', Books::None) => {
                if let Ok(of) = QuoteUpdate::parse(bytes) {
                    let side = |size: u32, at| (size > 0).then(|| (price(at), size.into()));
                    let bid = side(of.bid_size(), of.bid_price());
                    market.quote(bid, side(of.ask_size(), of.ask_price()));
                }
            }
            (b'8' | b'5', Books::Deep(books)) if self.believed[number] => {
                books.apply_bytes(bytes);
                // Between two states there is no best: what was before holds on.
                if let Some(best) = books.book(symbol).and_then(|book| books.best(book)) {
                    quote(market, best, factor);
                }
            }
            (b'L', Books::DeepPlus(_)) => {
                if let Ok(trade) = iex::deep_plus::OrderExecuted::parse(bytes) {
                    market.trade(price(trade.price()), trade.size().into());
                }
                self.order(bytes, number, market);
            }
            (b'a' | b'M' | b'R', Books::DeepPlus(_)) => self.order(bytes, number, market),
            (b'C', Books::DeepPlus(_)) => {
                // It has no orders, whatever was lost before.
                self.believed[number] = true;
                self.order(bytes, number, market);
            }
            _ => {}
        }
    }

    /// A message of DEEP+ about an order, or all of them.
    #[inline]
    fn order(&mut self, bytes: &[u8], number: usize, market: &mut Level1) {
        if let Books::DeepPlus(books) = &mut self.books
            && self.believed[number]
            && let Change::Best { book } = books.apply_bytes(bytes)
        {
            quote(market, books.orders().best(book), self.factor);
        }
    }

    /// A message about no instrument: the day may begin.
    #[cold]
    fn of_all(&mut self, bytes: &[u8], level1: &mut [Level1]) -> About {
        if bytes[0] != DAY_BEGINS[0] {
            return About::Unknown;
        }
        if bytes.starts_with(&DAY_BEGINS) {
            match &mut self.books {
                Books::None => {}
                Books::Deep(books) => _ = books.apply_bytes(bytes),
                Books::DeepPlus(books) => _ = books.apply_bytes(bytes),
            }
            self.believed.fill(true);
            level1.iter_mut().for_each(|market| market.quote(None, None));
        }
        About::Other
    }
}
