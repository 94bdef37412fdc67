//! Books of price levels by their position, as CME's MDP 3.0 has them: *market by price*,
//! incremental refreshes (templates 32, 46) and full refreshes (38, 52).
//!
//! Plain values in, whatever they were read with. An entry acts on a position, 1 being the best. A
//! level that is pushed below the depth of the book is gone without a word, and comes again as a
//! new one. Numbers of orders and implied books (`E`, `F`) are kept as they come.
//!
//! Every message about a security has its next `RptSeq`. A security that lacks one is
//! [stale](Books::is_stale) until a full refresh or a reset (`J`): what is said of it is still done
//! as far as its positions are there. Tell [`observe`](Books::observe) of the messages that are not
//! about books (trades, statistics), because they are numbered as well.

use super::side::{Best, Change, Level, Side, Spread, SpreadCounts};
use super::symbols::BOOKS_MAX;
use super::table::{Numbered, Table};
pub use crate::mdp3::update_action as action;
use crate::wire::Code;

/// Levels of a side when no definition has said another number.
pub const DEPTH: u8 = 10;

/// Levels of an implied side when no definition has said another number.
pub const IMPLIED_DEPTH: u8 = 2;

/// What was said of one position: the fields of a group entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// `MDEntryType`: `0` bid, `1` offer, `E` implied bid, `F` implied offer, `J` reset.
    pub entry_type: Code,
    /// `MDPriceLevel`: the position, 1 is the best.
    pub level: u8,
    /// `MDEntryPx`, its mantissa; of no meaning where there is none.
    pub price: i64,
    /// `MDEntrySize`; 0 where there is none.
    pub size: u64,
    /// `NumberOfOrders`; 0 where there is none.
    pub orders: u32,
}

/// A part of a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Bids.
    Bid,
    /// Offers.
    Offer,
    /// Implied bids.
    ImpliedBid,
    /// Implied offers.
    ImpliedOffer,
}

impl Part {
    fn of(entry_type: Code) -> Option<Self> {
        match entry_type.0 {
            b'0' => Some(Part::Bid),
            b'1' => Some(Part::Offer),
            b'E' => Some(Part::ImpliedBid),
            b'F' => Some(Part::ImpliedOffer),
            _ => None,
        }
    }

    fn is_implied(self) -> bool {
        matches!(self, Part::ImpliedBid | Part::ImpliedOffer)
    }
}

/// What did not make sense.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Entries that came, of both kinds of refreshes.
    pub entries: u64,
    /// Entries of types that are no part of a book.
    pub other_types: u64,
    /// Entries with an action that we do not know: nothing was done.
    pub unknown_actions: u64,
    /// Positions that are not there, or deeper than the book: what was lost before makes them.
    pub unknown_levels: u64,
    /// Changes at another price than that of their level: the new one is taken.
    pub wrong_prices: u64,
    /// Times that a security lacked a message before this one.
    pub gaps: u64,
    /// Entries and full refreshes that are older than the book: nothing was done.
    pub old: u64,
    /// Securities beyond [`BOOKS_MAX`]: nothing was done.
    pub books_full: u64,
    /// Books that were locked or crossed at the end of an event, and were not before.
    pub spreads: SpreadCounts,
}

#[derive(Clone, Debug)]
struct Book {
    security_id: i32,
    /// By [`Part`].
    parts: [Vec<Level>; 4],
    /// Of the outright parts and of the implied ones.
    depths: [u8; 2],
    /// 0 before the first.
    rpt_seq: u32,
    stale: bool,
    /// Whether an event has changed it and has not ended.
    changing: bool,
    spread: Spread,
}

impl Book {
    fn new(security_id: i32) -> Self {
        Book {
            security_id,
            parts: [const { Vec::new() }; 4],
            depths: [DEPTH, IMPLIED_DEPTH],
            rpt_seq: 0,
            stale: false,
            changing: false,
            spread: Spread::Open,
        }
    }

    fn best(&self) -> Best {
        let best = |part: Part| self.parts[part as usize].first().copied();
        Best { bid: best(Part::Bid), offer: best(Part::Offer) }
    }

    /// Whether a message with that number is news; a gap before it is counted.
    fn follow(&mut self, rpt_seq: u32, counts: &mut Counts) -> bool {
        if rpt_seq == 0 {
            return true;
        }
        if rpt_seq <= self.rpt_seq {
            counts.old += 1;
            return false;
        }
        if rpt_seq - self.rpt_seq > 1 {
            counts.gaps += 1;
            self.stale = true;
        }
        self.rpt_seq = rpt_seq;
        true
    }

    /// Does what an action says to a part; how it went.
    fn act(&mut self, part: Part, action: u8, entry: &Entry) -> Outcome {
        let depth = usize::from(self.depths[usize::from(part.is_implied())]);
        let levels = &mut self.parts[part as usize];
        let Some(at) = usize::from(entry.level).checked_sub(1).filter(|&at| at < depth) else {
            return Outcome::UnknownLevel;
        };
        let level = Level { price: entry.price, size: entry.size, orders: entry.orders };
        let is_there = at < levels.len();
        match action {
            action::NEW if at <= levels.len() => {
                levels.insert(at, level);
                levels.truncate(depth);
            }
            action::OVERLAY if at == levels.len() => levels.push(level),
            action::CHANGE | action::OVERLAY if is_there => {
                let price = std::mem::replace(&mut levels[at], level).price;
                if action == action::CHANGE && price != level.price {
                    return Outcome::WrongPrice;
                }
            }
            action::DELETE if is_there => _ = levels.remove(at),
            action::DELETE_THRU if is_there => _ = levels.drain(..=at),
            action::DELETE_FROM if is_there => levels.truncate(at),
            action::NEW..=action::OVERLAY => return Outcome::UnknownLevel,
            _ => return Outcome::UnknownAction,
        }
        Outcome::Done
    }
}

enum Outcome {
    Done,
    WrongPrice,
    UnknownLevel,
    UnknownAction,
}

/// The books of all securities of a channel; their numbers are in the order in which they come.
#[derive(Clone, Debug)]
pub struct Books {
    numbers: Table<Numbered>,
    books: Vec<Book>,
    /// The books that the event has changed.
    changing: Vec<u16>,
    counts: Counts,
}

impl Books {
    /// No books.
    pub fn new() -> Self {
        Books {
            numbers: Table::new(0, BOOKS_MAX),
            books: Vec::new(),
            changing: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// What a definition says: how many levels the book of a security has, and how many implied
    /// ones. The number of its book, `None` when there are [`BOOKS_MAX`].
    pub fn define(&mut self, security_id: i32, depth: u8, implied_depth: u8) -> Option<u16> {
        let number = self.enter(security_id)?;
        let book = &mut self.books[usize::from(number)];
        book.depths = [depth, implied_depth];
        for (at, levels) in book.parts.iter_mut().enumerate() {
            levels.truncate(book.depths[at / 2].into());
        }
        Some(number)
    }

    /// An entry of an incremental refresh: what `MDUpdateAction` says of one position. Call
    /// [`end_of_event`](Self::end_of_event) behind a message whose `MatchEventIndicator` says so.
    pub fn update(&mut self, security_id: i32, rpt_seq: u32, action: u8, entry: Entry) -> Change {
        self.counts.entries += 1;
        let Some(number) = self.enter(security_id) else { return Change::None };
        let book = &mut self.books[usize::from(number)];
        if !book.follow(rpt_seq, &mut self.counts) {
            return Change::None;
        }
        if entry.entry_type == b'J' {
            book.parts.iter_mut().for_each(Vec::clear);
            book.stale = false;
            return self.changed(number, true);
        }
        let Some(part) = Part::of(entry.entry_type) else {
            self.counts.other_types += 1;
            return Change::None;
        };
        let is_best = !part.is_implied() && (entry.level == 1 || action == action::DELETE_THRU);
        match book.act(part, action, &entry) {
            Outcome::Done => self.changed(number, is_best),
            Outcome::WrongPrice => {
                self.counts.wrong_prices += 1;
                self.changed(number, is_best)
            }
            Outcome::UnknownLevel => {
                self.counts.unknown_levels += 1;
                book.stale = true;
                Change::None
            }
            Outcome::UnknownAction => {
                self.counts.unknown_actions += 1;
                Change::None
            }
        }
    }

    /// A full refresh: the whole book of a security as of `rpt_seq`. It is an event of its own.
    pub fn refresh(
        &mut self,
        security_id: i32,
        rpt_seq: u32,
        entries: impl IntoIterator<Item = Entry>,
    ) -> Change {
        let Some(number) = self.enter(security_id) else { return Change::None };
        let book = &mut self.books[usize::from(number)];
        if rpt_seq < book.rpt_seq {
            self.counts.old += 1;
            return Change::None;
        }
        book.parts.iter_mut().for_each(Vec::clear);
        (book.rpt_seq, book.stale) = (rpt_seq, false);
        for entry in entries {
            self.counts.entries += 1;
            let Some(part) = Part::of(entry.entry_type) else {
                self.counts.other_types += 1;
                continue;
            };
            if !matches!(book.act(part, action::OVERLAY, &entry), Outcome::Done) {
                self.counts.unknown_levels += 1;
                book.stale = true;
            }
        }
        let change = self.changed(number, true);
        self.end_of_event();
        change
    }

    /// A message about a security that does not change its book: only its number counts.
    pub fn observe(&mut self, security_id: i32, rpt_seq: u32) {
        if let Some(number) = self.enter(security_id) {
            self.books[usize::from(number)].follow(rpt_seq, &mut self.counts);
        }
    }

    /// A channel reset: no security has a book, and numbers begin again.
    pub fn reset(&mut self) {
        for book in &mut self.books {
            *book = Book { depths: book.depths, ..Book::new(book.security_id) };
        }
        self.changing.clear();
    }

    /// The event has ended: the best bid and offer of what it changed hold now.
    pub fn end_of_event(&mut self) {
        for number in self.changing.drain(..) {
            let book = &mut self.books[usize::from(number)];
            let Best { bid, offer } = book.best();
            let now = Spread::of(bid.map(|level| level.price), offer.map(|level| level.price));
            self.counts.spreads.observe(book.spread, now);
            (book.spread, book.changing) = (now, false);
        }
    }

    fn changed(&mut self, number: u16, is_best: bool) -> Change {
        let book = &mut self.books[usize::from(number)];
        if !book.changing {
            book.changing = true;
            self.changing.push(number);
        }
        if is_best { Change::Best { book: number } } else { Change::Depth { book: number } }
    }

    fn enter(&mut self, security_id: i32) -> Option<u16> {
        let vacant = match self.numbers.search(security_id as u64) {
            Ok(slot) => return Some(self.numbers.at(slot).number()),
            Err(vacant) => vacant,
        };
        let Ok(number) = u16::try_from(self.books.len()) else {
            self.counts.books_full += 1;
            return None;
        };
        self.numbers.insert(vacant, Numbered::new(security_id as u64, number));
        self.books.push(Book::new(security_id));
        Some(number)
    }

    /// What did not make sense so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The number of the book of a security.
    pub fn book(&self, security_id: i32) -> Option<u16> {
        let slot = self.numbers.find(security_id as u64)?;
        Some(self.numbers.at(slot).number())
    }

    /// The security of a book.
    pub fn security_id(&self, book: u16) -> Option<i32> {
        self.books.get(usize::from(book)).map(|book| book.security_id)
    }

    /// Whether a message about that security was lost, so that its book may be wrong.
    pub fn is_stale(&self, book: u16) -> bool {
        self.books.get(usize::from(book)).is_none_or(|book| book.stale)
    }

    /// The best outright bid and offer; `None` while an event that changes them has not ended.
    pub fn best(&self, book: u16) -> Option<Best> {
        let book = self.books.get(usize::from(book));
        book.map_or(Some(Best::default()), |book| (!book.changing).then(|| book.best()))
    }

    /// How the best bid and offer stood to each other at the end of the last event.
    pub fn spread(&self, book: u16) -> Spread {
        self.books.get(usize::from(book)).map_or(Spread::Open, |book| book.spread)
    }

    /// The levels of one part of a book, the best first.
    pub fn levels(&self, book: u16, part: Part) -> &[Level] {
        self.books.get(usize::from(book)).map_or(&[], |book| &book.parts[part as usize])
    }

    /// Every outright level of every book, in the order in which securities came, bids first.
    pub fn all_levels(&self) -> impl Iterator<Item = (i32, Side, Level)> + '_ {
        self.books.iter().flat_map(|book| {
            let sides = Side::BOTH.into_iter().zip(&book.parts[..2]);
            sides.flat_map(move |(side, levels)| {
                levels.iter().map(move |&level| (book.security_id, side, level))
            })
        })
    }
}

impl Default for Books {
    fn default() -> Self {
        Books::new()
    }
}
