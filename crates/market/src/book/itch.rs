//! Books of orders from [ITCH 5.0](crate::itch50), by stock locate.
//!
//! `A` and `F` enter an order; `E`, `C` and `X` take shares off it, `D` the whole; `U` puts another
//! in its place. A trade (`P`, `Q`, `B`) changes no book: it is of orders that were not displayed,
//! or was told by `E` and `C`. `R` names a stock, `H` says whether it trades; orders rest in
//! between. References and locates are of one day, which begins with the system event `O`: then all
//! books are empty. No message empties one book.

use super::Whole;
use super::orders::OrderBooks;
use super::side::{ByType, Change, Level, Side};
use crate::itch50::{Message, Stock};
use crate::wire::{Code, array};
use std::hint::black_box;

/// Messages that [`Books::apply_all`] looks at ahead.
const AHEAD: usize = 32;

/// What did not make sense as ITCH; of orders and levels, [see](super::orders::Counts).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages that came.
    pub messages: u64,
    /// Shorter than their type says: nothing was done.
    pub truncated: u64,
    /// Of types that we do not know: nothing was done.
    pub unknown_types: u64,
    /// Orders of a stock that no `R` had named: entered, and the stock is known from then on.
    pub unknown_locates: u64,
    /// Orders that name another stock than their locate's: entered by their locate.
    pub wrong_stocks: u64,
    /// Messages about an order of another locate: the order decides.
    pub wrong_locates: u64,
    /// Orders that are neither `B` nor `S`: not entered.
    pub unknown_sides: u64,
}

/// A stock, by its locate.
#[derive(Clone, Copy, Debug)]
struct Listing {
    stock: Stock,
    trading_state: Code,
}

/// A stock that nobody has named has this for a symbol.
const NOBODY: Listing = Listing { stock: crate::Ascii(*b"        "), trading_state: HALTED };

/// What a stock is until the feed says otherwise.
const HALTED: Code = Code(b'H');

/// The books of all stocks.
#[derive(Clone, Debug)]
pub struct Books {
    orders: OrderBooks,
    listings: Vec<Listing>,
    counts: Counts,
    unresolved: ByType,
}

impl Books {
    /// No books; room for `orders` live orders at once, and at most `orders_max` ever: see
    /// [`OrderBooks::new`].
    pub fn new(orders: usize, orders_max: usize) -> Self {
        Books {
            orders: OrderBooks::new(orders, orders_max),
            listings: Vec::new(),
            counts: Counts::default(),
            unresolved: ByType::default(),
        }
    }

    /// Applies a message.
    #[inline]
    pub fn apply(&mut self, message: &Message<'_>) -> Change {
        self.counts.messages += 1;
        match message {
            Message::AddOrder(m) => {
                let (locate, reference) = (m.stock_locate(), m.order_reference_number());
                let side = self.enter(locate, m.stock(), m.buy_sell_indicator());
                self.add(locate, side, reference, m.price().0, m.shares())
            }
            Message::AddOrderWithMpid(m) => {
                let (locate, reference) = (m.stock_locate(), m.order_reference_number());
                let side = self.enter(locate, m.stock(), m.buy_sell_indicator());
                self.add(locate, side, reference, m.price().0, m.shares())
            }
            Message::OrderExecuted(m) => {
                let change = self.orders.reduce(m.order_reference_number(), m.executed_shares());
                self.resolve(b'E', m.stock_locate(), change)
            }
            Message::OrderExecutedWithPrice(m) => {
                let change = self.orders.reduce(m.order_reference_number(), m.executed_shares());
                self.resolve(b'C', m.stock_locate(), change)
            }
            Message::OrderCancel(m) => {
                let change = self.orders.reduce(m.order_reference_number(), m.cancelled_shares());
                self.resolve(b'X', m.stock_locate(), change)
            }
            Message::OrderDelete(m) => {
                let change = self.orders.remove(m.order_reference_number());
                self.resolve(b'D', m.stock_locate(), change)
            }
            Message::OrderReplace(m) => {
                let old = m.original_order_reference_number();
                let new = m.new_order_reference_number();
                let change = self.orders.replace(old, new, m.price().0.into(), m.shares());
                self.resolve(b'U', m.stock_locate(), change)
            }
            other => self.apply_rest(other),
        }
    }

    /// Applies messages in their order, as [`apply`](Self::apply) does, and looks ahead: with many
    /// orders that takes a fraction of the time. A message that is cut is counted.
    pub fn apply_all<'a>(&mut self, messages: impl IntoIterator<Item = &'a [u8]>) {
        let mut messages = messages.into_iter();
        let mut ahead = [&[][..]; AHEAD];
        loop {
            let mut count = 0;
            for (place, message) in ahead.iter_mut().zip(messages.by_ref()) {
                *place = message;
                count += 1;
            }
            self.touch(&ahead);
            for bytes in &ahead[..count] {
                match Message::decode(bytes) {
                    Ok(message) => _ = self.apply(&message),
                    Err(_) => {
                        self.counts.messages += 1;
                        self.counts.truncated += 1;
                    }
                }
            }
            if count < AHEAD {
                return;
            }
        }
    }

    /// Has what `messages` need in the cache, all of it at once.
    #[inline]
    fn touch(&self, messages: &[&[u8]; AHEAD]) {
        let ahead = messages.map(|bytes| {
            // Type, locate, tracking number, time, reference: alike in all messages of orders.
            let head = bytes.first_chunk::<19>().unwrap_or(&[0; 19]);
            (u16::from_be_bytes([head[1], head[2]]), u64::from_be_bytes(array(&head[11..])))
        });
        black_box(self.orders.touch(&ahead));
    }

    /// Makes the stock of an order known; the side of the order.
    #[inline]
    fn enter(&mut self, locate: u16, stock: Stock, side: Code) -> Option<Side> {
        match self.listings.get(usize::from(locate)) {
            Some(listing) if listing.stock == stock => {}
            Some(listing) if listing.stock != NOBODY.stock => self.counts.wrong_stocks += 1,
            _ => {
                self.counts.unknown_locates += 1;
                self.list(locate).stock = stock;
            }
        }
        match side.0 {
            b'B' => Some(Side::Buy),
            b'S' => Some(Side::Sell),
            _ => None,
        }
    }

    #[inline]
    fn add(
        &mut self,
        locate: u16,
        side: Option<Side>,
        reference: u64,
        price: u32,
        shares: u32,
    ) -> Change {
        let Some(side) = side else {
            self.counts.unknown_sides += 1;
            return Change::None;
        };
        self.orders.add(locate, side, reference, price.into(), shares)
    }

    /// Counts what a message about an order reveals beside its change.
    #[inline]
    fn resolve(&mut self, letter: u8, locate: u16, change: Option<Change>) -> Change {
        match change {
            None => {
                self.unresolved.count(letter);
                Change::None
            }
            Some(change) => {
                let wrong = change.book().is_some_and(|book| book != locate);
                self.counts.wrong_locates += u64::from(wrong);
                change
            }
        }
    }

    /// Applies a message that is not about an order.
    #[cold]
    fn apply_rest(&mut self, message: &Message<'_>) -> Change {
        match message {
            Message::SystemEvent(event) if event.event_code() == b'O' => {
                self.orders.clear_all();
                self.listings.clear();
            }
            Message::StockDirectory(m) => self.list(m.stock_locate()).stock = m.stock(),
            Message::StockTradingAction(m) => {
                self.list(m.stock_locate()).trading_state = m.trading_state();
            }
            Message::Unknown { .. } => self.counts.unknown_types += 1,
            _ => {}
        }
        Change::None
    }

    #[cold]
    fn list(&mut self, locate: u16) -> &mut Listing {
        let at = usize::from(locate);
        if at >= self.listings.len() {
            self.listings.resize(at + 1, NOBODY);
        }
        &mut self.listings[at]
    }

    /// Whose state `message` tells whole: that of all when the day begins. No message of ITCH says
    /// it of one stock.
    pub fn whole(message: &Message<'_>) -> Option<Whole> {
        match message {
            Message::SystemEvent(event) if event.event_code() == b'O' => Some(Whole::All),
            _ => None,
        }
    }

    /// The orders and the levels that they make; the number of a book is its stock's locate.
    pub fn orders(&self) -> &OrderBooks {
        &self.orders
    }

    /// What did not make sense so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Messages about orders that are not there, by their type, where there were any: of orders
    /// from before we listened or from a gap, and of those that were counted and not entered.
    pub fn unresolved(&self) -> impl Iterator<Item = (u8, u64)> + '_ {
        self.unresolved.iter()
    }

    /// The stock with that locate; `None` when no message has named it.
    pub fn stock(&self, locate: u16) -> Option<Stock> {
        let stock = self.listings.get(usize::from(locate))?.stock;
        (stock != NOBODY.stock).then_some(stock)
    }

    /// Whether the stock with that locate trades: the last
    /// [`trading_state`](crate::itch50::StockTradingAction::trading_state). A stock without one is
    /// halted.
    pub fn trading_state(&self, locate: u16) -> Code {
        self.listings.get(usize::from(locate)).unwrap_or(&NOBODY).trading_state
    }

    /// The locate of a stock. Looks through all of them: for once, not for each message.
    pub fn locate(&self, stock: Stock) -> Option<u16> {
        let at = self.listings.iter().position(|listing| listing.stock == stock)?;
        (stock != NOBODY.stock).then_some(at as u16)
    }

    /// Every level of every book, by locates, bids first, the best first.
    pub fn levels(&self) -> impl Iterator<Item = (Stock, Side, Level)> + '_ {
        self.orders
            .all_levels()
            .map(|(locate, side, level)| (self.stock(locate).unwrap_or(NOBODY.stock), side, level))
    }
}

impl Default for Books {
    /// For up to [`ORDERS_MAX`](super::orders::ORDERS_MAX) orders, and small until they come.
    fn default() -> Self {
        Books::new(0, super::orders::ORDERS_MAX)
    }
}
