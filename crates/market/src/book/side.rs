//! The words that all books share.

use crate::wire::Code;

/// Which side of a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// Bids: the highest is the best.
    Buy,
    /// Offers: the lowest is the best.
    Sell,
}

impl Side {
    /// Both of them.
    pub const BOTH: [Side; 2] = [Side::Buy, Side::Sell];

    /// `B` or `S`.
    pub const fn letter(self) -> char {
        match self {
            Side::Buy => 'B',
            Side::Sell => 'S',
        }
    }

    /// Of an IEX code: `8` buy, `5` sell.
    #[inline]
    pub(super) fn of_iex(code: Code) -> Option<Self> {
        match code.0 {
            b'8' => Some(Side::Buy),
            b'5' => Some(Side::Sell),
            _ => None,
        }
    }

    /// A number that is the higher the better the price is, for either side; the same again gives
    /// the price. (Not its negative, which would overflow.)
    #[inline]
    pub(super) const fn rank(self, price: i64) -> i64 {
        price ^ -(self as i64)
    }
}

/// What is bid or offered at one price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// The price, in the unit of the feed.
    pub price: i64,
    /// Shares or contracts of all orders at the price.
    pub size: u64,
    /// How many orders; 0 where the feed does not say.
    pub orders: u32,
}

/// The best bid and the best offer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Best {
    /// The highest bid.
    pub bid: Option<Level>,
    /// The lowest offer.
    pub offer: Option<Level>,
}

/// How the best bid and offer stand to each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spread {
    /// The bid is below the offer, or one of them is missing.
    #[default]
    Open,
    /// They are equal.
    Locked,
    /// The bid is above the offer.
    Crossed,
}

impl Spread {
    /// Of these prices.
    #[inline]
    pub(super) fn of(bid: Option<i64>, offer: Option<i64>) -> Self {
        match (bid, offer) {
            (Some(bid), Some(offer)) if bid > offer => Spread::Crossed,
            (Some(bid), Some(offer)) if bid == offer => Spread::Locked,
            _ => Spread::Open,
        }
    }
}

/// How often books became locked or crossed. On one market neither should be in continuous trading:
/// where they are, messages were lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpreadCounts {
    /// Times that a book became locked.
    pub locked: u64,
    /// Times that a book became crossed.
    pub crossed: u64,
}

impl SpreadCounts {
    /// Counts the change of one book.
    #[inline]
    pub(super) fn observe(&mut self, before: Spread, now: Spread) {
        if before != now {
            self.locked += u64::from(now == Spread::Locked);
            self.crossed += u64::from(now == Spread::Crossed);
        }
    }
}

/// Messages by their type.
#[derive(Clone, Debug)]
pub(super) struct ByType([u64; 256]);

impl Default for ByType {
    fn default() -> Self {
        ByType([0; 256])
    }
}

impl ByType {
    /// One more of that type.
    #[inline]
    pub(super) fn count(&mut self, letter: u8) {
        self.0[usize::from(letter)] += 1;
    }

    /// The types that there were, and how many of each.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u8, u64)> + '_ {
        (0..=u8::MAX).zip(self.0).filter(|&(_, count)| count != 0)
    }
}

/// What a message has changed. One that comes to the same price and size again, by a replacement,
/// is a change. Of a duplicate that was in another book, the new book is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// No book.
    None,
    /// A book, below its best bid and offer.
    Depth {
        /// Which, by its number.
        book: u16,
    },
    /// The price or the size of the best bid or offer of a book.
    Best {
        /// Which, by its number.
        book: u16,
    },
}

impl Change {
    /// This, which came after another of the same message.
    #[inline]
    pub(super) fn after(self, earlier: Change) -> Change {
        match (earlier, self) {
            (_, Change::None) => earlier,
            (Change::Best { book }, Change::Depth { book: now }) if book == now => earlier,
            _ => self,
        }
    }

    /// The book that has changed.
    #[inline]
    pub fn book(self) -> Option<u16> {
        match self {
            Change::None => None,
            Change::Depth { book } | Change::Best { book } => Some(book),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_go_up_to_the_best_and_back_to_prices() {
        for price in [i64::MIN, -1, 0, 1, i64::MAX] {
            for side in Side::BOTH {
                assert_eq!(side.rank(side.rank(price)), price);
            }
        }
        assert!(Side::Buy.rank(2) > Side::Buy.rank(1));
        assert!(Side::Sell.rank(i64::MIN) > Side::Sell.rank(i64::MAX));
    }

    #[test]
    fn a_spread_is_counted_when_it_changes() {
        let mut counts = SpreadCounts::default();
        let states = [(Some(1), None), (Some(1), Some(2)), (Some(2), Some(2)), (Some(3), Some(2))];
        let states = states.map(|(bid, offer)| Spread::of(bid, offer));
        assert_eq!(states, [Spread::Open, Spread::Open, Spread::Locked, Spread::Crossed]);
        for pair in [states, states].concat().windows(2) {
            counts.observe(pair[0], pair[1]);
        }
        assert_eq!(counts, SpreadCounts { locked: 2, crossed: 2 });
    }
}
