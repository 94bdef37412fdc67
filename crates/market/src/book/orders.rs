//! Books of orders: every order of a market by its reference, and the levels that they make.
//!
//! Plain values in, so that it serves every feed of orders; [`itch`](super::itch) and
//! [`deep_plus`](super::deep_plus) call it. Books have numbers; a book is there when an order is.

use super::ladder::Ladder;
use super::side::{Best, Change, Level, Side, Spread, SpreadCounts};
use super::table::{Entry, Table};

/// Live orders at most where nobody says another number; their table takes 403 MB then.
pub const ORDERS_MAX: usize = 1 << 23;

/// Clearings of a book after which its orders are taken out of the table at once.
const EPOCHS: u16 = 1 << 15;

/// An order of a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// By what the feed refers to it.
    pub reference: u64,
    /// The number of its book.
    pub book: u16,
    /// Its side.
    pub side: Side,
    /// Its price, in the unit of the feed.
    pub price: i64,
    /// Shares that are left of it: never 0.
    pub size: u32,
}

/// What did not make sense, and what was done. Each is counted where it happens, once a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Orders added, or brought in by a replacement, whose reference was live: the old one is out,
    /// the new one is in.
    pub duplicates: u64,
    /// Sizes of 0: such an order is not entered or is out, such an execution takes nothing.
    pub zero_sizes: u64,
    /// Executions and cancellations of more than there was: the order is out.
    pub overfills: u64,
    /// Orders that are not in a book because as many were live as may be.
    pub orders_full: u64,
    /// Orders that are not in a book because a side has [`LEVELS_MAX`](super::LEVELS_MAX) levels.
    pub levels_full: u64,
    /// Books that became locked or crossed.
    pub spreads: SpreadCounts,
}

/// An order as the table holds it: 24 bytes, all that a message needs to know of it.
#[derive(Clone, Copy, Debug)]
struct Slot {
    reference: u64,
    rank: i64,
    /// 0 in a vacant slot.
    size: u32,
    book: u16,
    /// How often its book had been cleared when it came, and in the lowest bit its side.
    epoch_side: u16,
}

impl Slot {
    #[inline]
    fn side(&self) -> Side {
        Side::BOTH[usize::from(self.epoch_side & 1)]
    }
}

impl Entry for Slot {
    const VACANT: Self = Slot { reference: 0, rank: 0, size: 0, book: 0, epoch_side: 0 };

    #[inline]
    fn is_vacant(&self) -> bool {
        self.size == 0
    }

    #[inline]
    fn key(&self) -> u64 {
        self.reference
    }
}

/// The rank of the best level of a side without one. A level that really has it, the worst price
/// there is, neither locks nor crosses a book.
const NO_RANK: i64 = i64::MIN;

/// Both sides: one line of the cache.
#[derive(Clone, Debug)]
#[repr(align(64))]
struct Book {
    ladders: [Ladder; 2],
    /// The ranks of the best levels, so that a change of one side need not look at the other.
    best: [i64; 2],
}

impl Book {
    const fn new() -> Self {
        Book { ladders: [Ladder::new(), Ladder::new()], best: [NO_RANK; 2] }
    }

    #[inline]
    fn spread(&self) -> Spread {
        let price = |side: Side| {
            let rank = self.best[side as usize];
            (rank != NO_RANK).then(|| side.rank(rank))
        };
        Spread::of(price(Side::Buy), price(Side::Sell))
    }
}

/// The books of a market.
#[derive(Clone, Debug)]
pub struct OrderBooks {
    table: Table<Slot>,
    books: Vec<Book>,
    /// How often each book has been cleared: orders of before are not live, only not yet removed.
    epochs: Vec<u16>,
    live: usize,
    counts: Counts,
}

impl OrderBooks {
    /// No books; room for `orders` live orders at once, and at most `orders_max` ever. The table of
    /// orders has 24 bytes a slot and at most 64 bytes for each of the most orders it ever held.
    pub fn new(orders: usize, orders_max: usize) -> Self {
        OrderBooks {
            table: Table::new(orders, orders_max),
            books: Vec::new(),
            epochs: Vec::new(),
            live: 0,
            counts: Counts::default(),
        }
    }

    /// What did not make sense so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// How many orders are live.
    pub fn live_orders(&self) -> usize {
        self.live
    }

    /// The numbers of books that there may be: what is not below has no orders.
    pub fn books(&self) -> std::ops::Range<usize> {
        0..self.books.len()
    }

    /// The live order with that reference.
    pub fn order(&self, reference: u64) -> Option<Order> {
        self.find(reference).map(|slot| order(&self.table.at(slot)))
    }

    /// All live orders, in no order.
    pub fn orders(&self) -> impl Iterator<Item = Order> + '_ {
        self.table.iter().filter(|slot| is_live(&self.epochs, slot)).map(order)
    }

    /// The best bid and offer of a book.
    pub fn best(&self, book: u16) -> Best {
        let best = |side| self.levels(book, side).next();
        Best { bid: best(Side::Buy), offer: best(Side::Sell) }
    }

    /// How the best bid and offer of a book stand to each other.
    pub fn spread(&self, book: u16) -> Spread {
        self.books.get(usize::from(book)).map_or(Spread::Open, Book::spread)
    }

    /// The levels of one side of a book, the best first.
    pub fn levels(&self, book: u16, side: Side) -> impl Iterator<Item = Level> + '_ {
        let book = self.books.get(usize::from(book));
        book.into_iter().flat_map(move |book| book.ladders[side as usize].iter(side))
    }

    /// Every level: its book, its side, and itself; by books, bids first, the best first.
    pub fn all_levels(&self) -> impl Iterator<Item = (u16, Side, Level)> + '_ {
        let sides = |book| Side::BOTH.map(|side| (book, side)).into_iter();
        // Books have numbers of 16 bits, so that there are not more.
        let sides = self.books().flat_map(move |book| sides(book as u16));
        sides.flat_map(|(book, side)| self.levels(book, side).map(move |level| (book, side, level)))
    }

    /// A new order.
    #[inline]
    pub fn add(&mut self, book: u16, side: Side, reference: u64, price: i64, size: u32) -> Change {
        if size == 0 {
            self.counts.zero_sizes += 1;
            return Change::None;
        }
        let (mut evicted, mut vacant) = (Change::None, self.table.search(reference));
        if let Ok(slot) = vacant {
            evicted = self.evict(slot);
            vacant = self.table.search(reference);
        }
        let (Ok(vacant) | Err(vacant)) = vacant;
        match self.enter(vacant, Order { reference, book, side, price, size }) {
            Some(is_best) => self.settle(book, side, is_best).after(evicted),
            None => evicted,
        }
    }

    /// So much less of an order: it was executed or cancelled. `None` when there is no such order.
    #[inline]
    pub fn reduce(&mut self, reference: u64, size: u32) -> Option<Change> {
        let slot = self.find(reference)?;
        let order = self.table.at_mut(slot);
        if size >= order.size {
            self.counts.overfills += u64::from(size > order.size);
            return Some(self.take_out(slot));
        }
        if size == 0 {
            self.counts.zero_sizes += 1;
            return Some(Change::None);
        }
        order.size -= size;
        let (book, rank, side) = (order.book, order.rank, order.side());
        let is_best = self.ladder(book, side).take(rank, size, false);
        Some(self.settle(book, side, is_best))
    }

    /// An order is out. `None` when there is no such order.
    #[inline]
    pub fn remove(&mut self, reference: u64) -> Option<Change> {
        let slot = self.find(reference)?;
        Some(self.take_out(slot))
    }

    /// An order is out, and another of the same book and side is in. `None`, and no other, when
    /// there is no such order.
    #[inline]
    pub fn replace(&mut self, old: u64, new: u64, price: i64, size: u32) -> Option<Change> {
        let mut slot = self.find(old)?;
        let mut evicted = Change::None;
        if new != old
            && size != 0
            && let Some(other) = self.table.find(new)
        {
            evicted = self.evict(other);
            // It may have moved up.
            slot = self.find(old)?;
        }
        let Slot { book, rank, size: left, .. } = self.table.at(slot);
        let side = self.table.at(slot).side();
        self.table.remove(slot);
        self.live -= 1;
        let mut is_best = self.ladder(book, side).take(rank, left, true);
        if size == 0 {
            self.counts.zero_sizes += 1;
        } else {
            let (Ok(vacant) | Err(vacant)) = self.table.search(new);
            let order = Order { reference: new, book, side, price, size };
            is_best |= self.enter(vacant, order).unwrap_or(false);
        }
        Some(self.settle(book, side, is_best).after(evicted))
    }

    /// All orders of a book are out. Their slots are used again when there are many.
    pub fn clear(&mut self, book: u16) -> Change {
        let Some(cleared) = self.books.get_mut(usize::from(book)) else { return Change::None };
        for (side, ladder) in Side::BOTH.into_iter().zip(&mut cleared.ladders) {
            self.live -= ladder.iter(side).map(|level| level.orders as usize).sum::<usize>();
            ladder.clear();
        }
        cleared.best = [NO_RANK; 2];
        let epoch = &mut self.epochs[usize::from(book)];
        *epoch += 1;
        if *epoch == EPOCHS {
            self.table.retain(|slot| slot.book != book);
            *epoch = 0;
        }
        if self.table.len() - self.live > self.table.slots() / 4 {
            self.sweep();
        }
        Change::Best { book }
    }

    /// No orders and no books: another day. Counts stay.
    pub fn clear_all(&mut self) {
        self.table.clear();
        self.books.clear();
        self.epochs.clear();
        self.live = 0;
    }

    /// Reads what messages about these orders, each of this book, will look at first, and gives
    /// something that depends on it. Done before the first of several messages, it lets the
    /// processor wait for all their lines of memory at once instead of for each in turn.
    #[inline]
    pub(super) fn touch<const N: usize>(&self, ahead: &[(u16, u64); N]) -> u64 {
        // Nothing in a loop depends on another round, and little stands between two reads.
        let homes = ahead.map(|(_, reference)| self.table.home(reference));
        let mut seen = 0;
        for ((book, _), home) in ahead.iter().zip(homes) {
            let [one, other] = self.table.ahead(home);
            let book = self.books.get(usize::from(*book));
            seen ^= one.reference ^ other.reference ^ book.map_or(0, |book| book.best[0] as u64);
        }
        for ((book, _), home) in ahead.iter().zip(homes) {
            let Some(book) = self.books.get(usize::from(*book)) else { continue };
            let [one, _] = self.table.ahead(home);
            seen ^= book.ladders[one.side() as usize].best().unwrap_or(0) as u64;
        }
        seen
    }

    /// The slot of a live order.
    #[inline]
    fn find(&self, reference: u64) -> Option<usize> {
        let slot = self.table.find(reference)?;
        is_live(&self.epochs, &self.table.at(slot)).then_some(slot)
    }

    /// The ladder of an order that is in the table, so that its book is there.
    #[inline]
    fn ladder(&mut self, book: u16, side: Side) -> &mut Ladder {
        &mut self.books[usize::from(book)].ladders[side as usize]
    }

    /// Takes what has a reference that comes again out of its slot; what that changed.
    #[cold]
    fn evict(&mut self, slot: usize) -> Change {
        if is_live(&self.epochs, &self.table.at(slot)) {
            self.counts.duplicates += 1;
            return self.take_out(slot);
        }
        self.table.remove(slot);
        Change::None
    }

    /// Enters an order whose reference is not in the table; whether the best level changed, or
    /// `None` when there is no room for it.
    #[inline]
    fn enter(&mut self, vacant: usize, order: Order) -> Option<bool> {
        let Order { reference, book, side, price, size } = order;
        let (index, rank) = (usize::from(book), side.rank(price));
        if index >= self.books.len() {
            self.books.resize(index + 1, Book::new());
            self.epochs.resize(index + 1, 0);
        }
        let Some(is_best) = self.ladder(book, side).add(rank, size) else {
            self.counts.levels_full += 1;
            return None;
        };
        let epoch_side = self.epochs[index] << 1 | side as u16;
        if !self.insert(vacant, Slot { reference, rank, size, book, epoch_side }) {
            self.counts.orders_full += 1;
            self.ladder(book, side).take(rank, size, true);
            return None;
        }
        self.live += 1;
        Some(is_best)
    }

    #[inline]
    fn insert(&mut self, vacant: usize, slot: Slot) -> bool {
        self.table.insert(vacant, slot) || self.insert_swept(slot)
    }

    /// Where there is no room, orders of books that have been cleared may make some.
    #[cold]
    fn insert_swept(&mut self, slot: Slot) -> bool {
        if self.live == self.table.len() {
            return false;
        }
        self.sweep();
        let (Ok(vacant) | Err(vacant)) = self.table.search(slot.reference);
        self.table.insert(vacant, slot)
    }

    /// Takes orders of books that have been cleared out of the table.
    #[cold]
    fn sweep(&mut self) {
        let epochs = &self.epochs;
        self.table.retain(|slot| is_live(epochs, slot));
    }

    /// Takes a live order out of the table and of its book.
    #[inline]
    fn take_out(&mut self, slot: usize) -> Change {
        let order = self.table.at(slot);
        self.table.remove(slot);
        self.live -= 1;
        let is_best = self.ladder(order.book, order.side()).take(order.rank, order.size, true);
        self.settle(order.book, order.side(), is_best)
    }

    /// What a change of a side means for its book.
    #[inline]
    fn settle(&mut self, book: u16, side: Side, is_best: bool) -> Change {
        if !is_best {
            return Change::Depth { book };
        }
        let changed = &mut self.books[usize::from(book)];
        let before = changed.spread();
        changed.best[side as usize] = changed.ladders[side as usize].best().unwrap_or(NO_RANK);
        self.counts.spreads.observe(before, changed.spread());
        Change::Best { book }
    }
}

impl Default for OrderBooks {
    /// For up to [`ORDERS_MAX`] orders, and small until they come.
    fn default() -> Self {
        OrderBooks::new(0, ORDERS_MAX)
    }
}

/// Whether its book has not been cleared since the order came.
#[inline]
fn is_live(epochs: &[u16], slot: &Slot) -> bool {
    epochs.get(usize::from(slot.book)) == Some(&(slot.epoch_side >> 1))
}

fn order(slot: &Slot) -> Order {
    let &Slot { reference, book, size, .. } = slot;
    Order { reference, book, side: slot.side(), price: slot.side().rank(slot.rank), size }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(price: i64, size: u64, orders: u32) -> Option<Level> {
        Some(Level { price, size, orders })
    }

    #[test]
    fn a_slot_and_a_book_are_as_large_as_they_should_be() {
        assert_eq!((size_of::<Slot>(), size_of::<Book>()), (24, 64));
    }

    #[test]
    fn an_order_lives_and_goes() {
        let mut books = OrderBooks::default();
        assert_eq!(books.add(3, Side::Buy, 7, 100, 50), Change::Best { book: 3 });
        assert_eq!(books.add(3, Side::Buy, 8, 99, 50), Change::Depth { book: 3 });
        assert_eq!(books.add(3, Side::Sell, 9, 101, 10), Change::Best { book: 3 });
        assert_eq!(books.best(3), Best { bid: level(100, 50, 1), offer: level(101, 10, 1) });
        assert_eq!(books.reduce(7, 20), Some(Change::Best { book: 3 }));
        assert_eq!(books.order(7).unwrap().size, 30);
        assert_eq!(books.replace(8, 10, 100, 5), Some(Change::Best { book: 3 }));
        assert_eq!(books.best(3).bid, level(100, 35, 2));
        assert_eq!(books.remove(7), Some(Change::Best { book: 3 }));
        assert_eq!(
            (books.remove(7), books.reduce(8, 1), books.replace(8, 1, 1, 1)),
            Default::default()
        );
        assert_eq!((books.live_orders(), books.counts()), (2, Counts::default()));
    }

    #[test]
    fn what_makes_no_sense_is_counted() {
        let mut books = OrderBooks::new(0, 2);
        assert_eq!(books.add(0, Side::Buy, 1, 10, 0), Change::None);
        books.add(0, Side::Buy, 1, 10, 5);
        books.add(1, Side::Sell, 1, 20, 5);
        assert_eq!((books.best(0).bid, books.best(1).offer), (None, level(20, 5, 1)));
        assert_eq!(books.reduce(1, 0), Some(Change::None));
        books.add(1, Side::Sell, 2, 20, 5);
        assert_eq!(books.add(1, Side::Sell, 3, 20, 5), Change::None);
        assert_eq!(books.best(1).offer, level(20, 10, 2));
        assert_eq!(books.reduce(1, 9), Some(Change::Best { book: 1 }));
        assert_eq!(books.replace(2, 4, 20, 0), Some(Change::Best { book: 1 }));
        let counts = Counts {
            duplicates: 1,
            zero_sizes: 3,
            overfills: 1,
            orders_full: 1,
            ..Counts::default()
        };
        assert_eq!((books.counts(), books.live_orders()), (counts, 0));
    }

    #[test]
    fn locked_and_crossed_books_are_counted_once() {
        let mut books = OrderBooks::default();
        books.add(0, Side::Buy, 1, 10, 5);
        books.add(0, Side::Sell, 2, 10, 5);
        books.add(0, Side::Sell, 3, 9, 5);
        books.add(0, Side::Sell, 4, 8, 5);
        assert_eq!(books.spread(0), Spread::Crossed);
        books.remove(1);
        let spreads = SpreadCounts { locked: 1, crossed: 1 };
        assert_eq!((books.spread(0), books.counts().spreads), (Spread::Open, spreads));
    }

    #[test]
    fn a_cleared_book_has_no_orders_however_often() {
        let mut books = OrderBooks::new(0, 300);
        books.add(1, Side::Sell, 1, 10, 5);
        for round in 0..=u64::from(EPOCHS) {
            let reference = 2 + round % 200;
            books.add(0, Side::Buy, reference, 10, 5);
            assert_eq!(books.clear(0), Change::Best { book: 0 });
            assert_eq!((books.live_orders(), books.order(reference)), (1, None));
        }
        assert_eq!((books.remove(2), books.orders().count()), (None, 1));
        assert_eq!((books.clear(9), books.counts()), (Change::None, Counts::default()));
        for reference in 0..299 {
            books.add(0, Side::Buy, 1_000 + reference, 10, 5);
        }
        assert_eq!((books.live_orders(), books.counts().orders_full), (300, 0));
        books.clear_all();
        assert_eq!((books.live_orders(), books.best(1)), (0, Best::default()));
    }
}
