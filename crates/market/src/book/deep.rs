//! Books of price levels from [DEEP](crate::iex::deep), by symbol.
//!
//! `8` and `5` say how much is bid or offered at a price; 0 takes the level away. An event may be
//! several of them, and the best bid and offer hold when the last has come: its flag says so
//! (*event complete*). Trades change no book. A day begins with the system event `O`: then all
//! books are empty. Books have numbers in the order in which their symbols come.

use super::Whole;
use super::ladder::Ladder;
use super::side::{Best, Change, Level, Side, Spread, SpreadCounts};
use super::symbols::Symbols;
use crate::iex::deep::{Message, PriceLevelUpdate};
use crate::iex::{EventFlags, Symbol};

/// What did not make sense.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages that came.
    pub messages: u64,
    /// Shorter than their type says: nothing was done.
    pub truncated: u64,
    /// Of types that we do not know: nothing was done.
    pub unknown_types: u64,
    /// Levels that were to go and were not there.
    pub unknown_levels: u64,
    /// Levels of a side that has [`LEVELS_MAX`](super::LEVELS_MAX) of them: not entered.
    pub levels_full: u64,
    /// Levels of more symbols than [`BOOKS_MAX`](super::BOOKS_MAX): not entered.
    pub books_full: u64,
    /// Books that were locked or crossed when an event was complete, and were not before.
    pub spreads: SpreadCounts,
}

#[derive(Clone, Debug, Default)]
struct Book {
    ladders: [Ladder; 2],
    /// Whether an event has begun and is not complete.
    changing: bool,
    /// When the last event was complete.
    spread: Spread,
}

impl Book {
    fn best(&self) -> Best {
        let best = |side: Side| self.ladders[side as usize].iter(side).next();
        Best { bid: best(Side::Buy), offer: best(Side::Sell) }
    }
}

/// The books of all symbols.
#[derive(Clone, Debug)]
pub struct Books {
    symbols: Symbols,
    books: Vec<Book>,
    counts: Counts,
}

impl Books {
    /// No books.
    pub fn new() -> Self {
        Books { symbols: Symbols::new(), books: Vec::new(), counts: Counts::default() }
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
            Message::PriceLevelUpdate(m) => return self.update(m),
            Message::SystemEvent(event) if event.system_event() == b'O' => {
                self.symbols.clear();
                self.books.clear();
            }
            Message::Unknown { .. } => self.counts.unknown_types += 1,
            _ => {}
        }
        Change::None
    }

    #[inline]
    fn update(&mut self, m: &PriceLevelUpdate<'_>) -> Change {
        let side = Side::of_iex(m.message_type()).unwrap_or(Side::Sell);
        let Some(number) = self.symbols.enter(m.symbol()) else {
            self.counts.books_full += 1;
            return Change::None;
        };
        let index = usize::from(number);
        if index >= self.books.len() {
            self.books.resize(index + 1, Book::default());
        }
        let (book, size) = (&mut self.books[index], m.size());
        let change = book.ladders[side as usize].set(side.rank(m.price().0), size.into());
        self.counts.unknown_levels += u64::from(change.is_none() && size == 0);
        self.counts.levels_full += u64::from(change.is_none() && size != 0);
        book.changing = !m.event_flags().has(EventFlags::COMPLETE);
        if !book.changing {
            let price = |side: Side| book.ladders[side as usize].best().map(|r| side.rank(r));
            let now = Spread::of(price(Side::Buy), price(Side::Sell));
            self.counts.spreads.observe(book.spread, now);
            book.spread = now;
        }
        match change {
            None => Change::None,
            Some(false) => Change::Depth { book: number },
            Some(true) => Change::Best { book: number },
        }
    }

    /// Whose state `message` tells whole: that of all when the day begins. No message of DEEP says
    /// it of one symbol.
    pub fn whole(message: &Message<'_>) -> Option<Whole> {
        match message {
            Message::SystemEvent(event) if event.system_event() == b'O' => Some(Whole::All),
            _ => None,
        }
    }

    /// What did not make sense so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The number of the book of a symbol.
    pub fn book(&self, symbol: Symbol) -> Option<u16> {
        self.symbols.find(symbol)
    }

    /// The symbol of a book.
    pub fn symbol(&self, book: u16) -> Option<Symbol> {
        self.symbols.get(book)
    }

    /// The best bid and offer of a book; `None` while an event is not complete, because they do
    /// not hold then.
    pub fn best(&self, book: u16) -> Option<Best> {
        let book = self.books.get(usize::from(book));
        book.map_or(Some(Best::default()), |book| (!book.changing).then(|| book.best()))
    }

    /// How the best bid and offer stood to each other when the last event was complete.
    pub fn spread(&self, book: u16) -> Spread {
        self.books.get(usize::from(book)).map_or(Spread::Open, |book| book.spread)
    }

    /// The levels of one side of a book, the best first; between two states while an event is not
    /// complete.
    pub fn levels(&self, book: u16, side: Side) -> impl Iterator<Item = Level> + '_ {
        let book = self.books.get(usize::from(book));
        book.into_iter().flat_map(move |book| book.ladders[side as usize].iter(side))
    }

    /// Every level of every book, in the order in which symbols came, bids first, the best first.
    pub fn all_levels(&self) -> impl Iterator<Item = (Symbol, Side, Level)> + '_ {
        let sides = |book| Side::BOTH.map(|side| (book, side)).into_iter();
        // Books have numbers of 16 bits, so that there are not more.
        let sides = (0..self.books.len()).flat_map(move |book| sides(book as u16));
        sides.flat_map(|(book, side)| {
            let symbol = self.symbols.get(book);
            self.levels(book, side).filter_map(move |level| Some((symbol?, side, level)))
        })
    }
}

impl Default for Books {
    fn default() -> Self {
        Books::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iex::deep::PriceLevelUpdateBuilder;
    use crate::{Ascii, Code, Price};

    #[test]
    fn the_best_hold_when_an_event_is_complete() {
        let mut books = Books::new();
        let level = PriceLevelUpdateBuilder::new().symbol(Ascii(*b"ZIEXT   "));
        let offer = |price, size, flags| {
            let level = level.message_type(Code(b'5')).event_flags(EventFlags(flags));
            level.price(Price(price)).size(size)
        };
        let (book, bid) = (0, level.event_flags(EventFlags::COMPLETE).price(Price(100)).size(10));
        assert_eq!(books.apply_bytes(bid.as_bytes()), Change::Best { book });
        books.apply_bytes(offer(99, 5, 0).as_bytes());
        assert_eq!((books.best(book), books.spread(book)), (None, Spread::Open));
        books.apply_bytes(offer(99, 0, 0).as_bytes());
        books.apply_bytes(offer(101, 7, 1).as_bytes());
        let level = |price, size| Some(Level { price, size, orders: 0 });
        let best = Best { bid: level(100, 10), offer: level(101, 7) };
        assert_eq!(books.best(book), Some(best));
        assert_eq!(books.apply_bytes(offer(102, 7, 1).as_bytes()), Change::Depth { book });
        books.apply_bytes(offer(103, 0, 1).as_bytes());
        books.apply_bytes(offer(100, 1, 1).as_bytes());
        books.apply_bytes(b"8cut");
        books.apply_bytes(b"?");
        let counts = Counts {
            messages: 9,
            truncated: 1,
            unknown_types: 1,
            unknown_levels: 1,
            spreads: SpreadCounts { locked: 1, crossed: 0 },
            ..Counts::default()
        };
        assert_eq!(books.counts(), counts);
        assert_eq!((books.all_levels().count(), books.book(Ascii(*b"ZIEXT   "))), (4, Some(0)));
    }
}
