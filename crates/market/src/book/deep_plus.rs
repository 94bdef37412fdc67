//! Books of orders from [DEEP+](crate::iex::deep_plus), by symbol.
//!
//! `a` enters an order, `M` gives it another price and size, `L` takes the shares of an execution
//! off it, `R` takes it out, `C` empties a book. `T` and `B` are about orders that were not
//! displayed. Order ids are of one day, which begins with the system event `O`: then all books are
//! empty. Books have numbers in the order in which their symbols come.

use super::Whole;
use super::orders::{ORDERS_MAX, OrderBooks};
use super::side::{ByType, Change, Level, Side};
use super::symbols::Symbols;
use crate::iex::Symbol;
use crate::iex::deep_plus::{AddOrder, Message};

/// What did not make sense as DEEP+; of orders and levels, [see](super::orders::Counts).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages that came.
    pub messages: u64,
    /// Shorter than their type says: nothing was done.
    pub truncated: u64,
    /// Of types that we do not know: nothing was done.
    pub unknown_types: u64,
    /// Messages about an order of another symbol: the order decides.
    pub wrong_symbols: u64,
    /// Orders that are neither `8` nor `5`: not entered.
    pub unknown_sides: u64,
    /// Orders of more symbols than [`BOOKS_MAX`](super::BOOKS_MAX): not entered.
    pub books_full: u64,
}

/// The books of all symbols.
#[derive(Clone, Debug)]
pub struct Books {
    orders: OrderBooks,
    symbols: Symbols,
    counts: Counts,
    unresolved: ByType,
}

impl Books {
    /// No books; room for `orders` live orders at once, and at most `orders_max` ever: see
    /// [`OrderBooks::new`].
    pub fn new(orders: usize, orders_max: usize) -> Self {
        Books {
            orders: OrderBooks::new(orders, orders_max),
            symbols: Symbols::new(),
            counts: Counts::default(),
            unresolved: ByType::default(),
        }
    }

    /// Decodes and applies a message; one that is cut is counted.
    #[inline]
    pub fn apply_bytes(&mut self, bytes: &[u8]) -> Change {
        match Message::decode(bytes) {
            Ok(message) => self.apply(&message),
            Err(_) => {
                self.counts.messages += 1;
                self.counts.truncated += 1;
                Change::None
            }
        }
    }

    /// Applies a message.
    #[inline]
    pub fn apply(&mut self, message: &Message<'_>) -> Change {
        self.counts.messages += 1;
        match message {
            Message::AddOrder(m) => self.add(m),
            Message::OrderModify(m) => {
                let id = m.order_id_reference();
                let change = self.orders.replace(id, id, m.price().0, m.size());
                self.resolve(b'M', m.symbol(), change)
            }
            Message::OrderExecuted(m) => {
                let change = self.orders.reduce(m.order_id_reference(), m.size());
                self.resolve(b'L', m.symbol(), change)
            }
            Message::OrderDelete(m) => {
                let change = self.orders.remove(m.order_id_reference());
                self.resolve(b'R', m.symbol(), change)
            }
            Message::ClearBook(m) => {
                self.symbols.find(m.symbol()).map_or(Change::None, |book| self.orders.clear(book))
            }
            Message::SystemEvent(event) if event.system_event() == b'O' => {
                self.orders.clear_all();
                self.symbols.clear();
                Change::None
            }
            Message::Unknown { .. } => {
                self.counts.unknown_types += 1;
                Change::None
            }
            _ => Change::None,
        }
    }

    #[inline]
    fn add(&mut self, m: &AddOrder<'_>) -> Change {
        let Some(side) = Side::of_iex(m.side()) else {
            self.counts.unknown_sides += 1;
            return Change::None;
        };
        let Some(book) = self.symbols.enter(m.symbol()) else {
            self.counts.books_full += 1;
            return Change::None;
        };
        self.orders.add(book, side, m.order_id(), m.price().0, m.size())
    }

    /// Counts what a message about an order reveals beside its change.
    #[inline]
    fn resolve(&mut self, letter: u8, symbol: Symbol, change: Option<Change>) -> Change {
        let Some(change) = change else {
            self.unresolved.count(letter);
            return Change::None;
        };
        let wrong = change.book().is_some_and(|book| self.symbols.get(book) != Some(symbol));
        self.counts.wrong_symbols += u64::from(wrong);
        change
    }

    /// Whose state `message`, which was applied, tells whole: that of a cleared book, and that of
    /// all when the day begins.
    pub fn whole(&self, message: &Message<'_>) -> Option<Whole> {
        match message {
            Message::ClearBook(m) => self.symbols.find(m.symbol()).map(Whole::Book),
            Message::SystemEvent(event) if event.system_event() == b'O' => Some(Whole::All),
            _ => None,
        }
    }

    /// The orders and the levels that they make.
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

    /// The number of the book of a symbol.
    pub fn book(&self, symbol: Symbol) -> Option<u16> {
        self.symbols.find(symbol)
    }

    /// The symbol of a book.
    pub fn symbol(&self, book: u16) -> Option<Symbol> {
        self.symbols.get(book)
    }

    /// Every level of every book, in the order in which symbols came, bids first, the best first.
    pub fn levels(&self) -> impl Iterator<Item = (Symbol, Side, Level)> + '_ {
        let named = |(book, side, level)| Some((self.symbols.get(book)?, side, level));
        self.orders.all_levels().filter_map(named)
    }
}

impl Default for Books {
    /// For up to [`ORDERS_MAX`] orders, and small until they come.
    fn default() -> Self {
        Books::new(0, ORDERS_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iex::common::SystemEventBuilder;
    use crate::iex::deep_plus::{
        AddOrderBuilder, ClearBookBuilder, OrderDeleteBuilder, OrderExecutedBuilder,
        OrderModifyBuilder,
    };
    use crate::{Ascii, Code};

    const A: Symbol = Ascii(*b"A       ");
    const B: Symbol = Ascii(*b"B       ");

    #[test]
    fn orders_come_change_trade_and_go() {
        let mut books = Books::default();
        let add =
            AddOrderBuilder::new().symbol(A).side(Code(b'8')).size(100).price(crate::Price(-5));
        books.apply_bytes(add.order_id(1).as_bytes());
        books.apply_bytes(add.order_id(2).symbol(B).side(Code(b'5')).as_bytes());
        books.apply_bytes(add.order_id(3).side(Code(b'?')).as_bytes());
        let modify = OrderModifyBuilder::new().symbol(A).order_id_reference(1);
        books.apply_bytes(modify.size(300).price(crate::Price(7)).as_bytes());
        let executed = OrderExecutedBuilder::new().symbol(A).order_id_reference(1).size(120);
        books.apply_bytes(executed.as_bytes());
        let level = Level { price: 7, size: 180, orders: 1 };
        assert_eq!(books.levels().next(), Some((A, Side::Buy, level)));
        books.apply_bytes(OrderDeleteBuilder::new().symbol(A).order_id_reference(2).as_bytes());
        assert_eq!(books.levels().count(), 1);
        for unknown in [executed.order_id_reference(9).as_bytes(), &b"?"[..], b"R cut"] {
            assert_eq!(books.apply_bytes(unknown), Change::None);
        }
        let change = books.apply_bytes(ClearBookBuilder::new().symbol(A).as_bytes());
        assert_eq!((change.book(), books.orders().live_orders()), (books.book(A), 0));
        let counts = Counts {
            messages: 10,
            truncated: 1,
            unknown_types: 1,
            wrong_symbols: 1,
            unknown_sides: 1,
            books_full: 0,
        };
        assert_eq!((books.counts(), books.unresolved().next()), (counts, Some((b'L', 1))));
        books.apply_bytes(SystemEventBuilder::new().system_event(Code(b'O')).as_bytes());
        assert_eq!(books.symbol(0), None);
    }
}
