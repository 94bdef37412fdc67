//! One side of a book: its price levels, sorted.

use super::side::{Level, Side};

/// Levels of one side of a book, at most: more than there are ticks between 0 and 1,300 dollars.
/// What comes beyond is counted by name.
pub const LEVELS_MAX: usize = 1 << 17;

/// Levels from the best on that are looked at one by one: most changes are there. Behind them, the
/// place is found by halving.
const NEAR: usize = 8;

/// Room for so many levels is kept when they are gone; of more, at most four times what there is.
const LEVELS_KEPT: usize = 64;

/// A level; its price as a [rank](Side::rank).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ranked {
    rank: i64,
    size: u64,
    orders: u32,
}

/// The levels of one side, the best last: what changes near it moves little else.
#[derive(Clone, Debug, Default)]
pub(super) struct Ladder {
    levels: Vec<Ranked>,
}

impl Ladder {
    pub(super) const fn new() -> Self {
        Ladder { levels: Vec::new() }
    }

    /// The rank of the best level.
    #[inline]
    pub(super) fn best(&self) -> Option<i64> {
        self.levels.last().map(|level| level.rank)
    }

    /// The levels, the best first.
    pub(super) fn iter(&self, side: Side) -> impl Iterator<Item = Level> + '_ {
        self.levels.iter().rev().map(move |&Ranked { rank, size, orders }| Level {
            price: side.rank(rank),
            size,
            orders,
        })
    }

    /// Where `rank` is, or where it would be.
    #[inline]
    fn place(&self, rank: i64) -> Result<usize, usize> {
        let near = self.levels.len().saturating_sub(NEAR);
        for at in (near..self.levels.len()).rev() {
            if self.levels[at].rank <= rank {
                return if self.levels[at].rank == rank { Ok(at) } else { Err(at + 1) };
            }
        }
        self.levels[..near].binary_search_by_key(&rank, |level| level.rank)
    }

    /// Whether a change at `at` is one of the best level, now or before it was removed.
    #[inline]
    fn is_best(&self, at: usize) -> bool {
        at + 1 >= self.levels.len()
    }

    /// One more order of `size`; whether the best level changed. `None` when there are
    /// [`LEVELS_MAX`] levels.
    #[inline]
    pub(super) fn add(&mut self, rank: i64, size: u32) -> Option<bool> {
        let at = match self.place(rank) {
            Ok(at) => {
                let level = &mut self.levels[at];
                level.size += u64::from(size);
                level.orders += 1;
                at
            }
            Err(_) if self.levels.len() == LEVELS_MAX => return None,
            Err(at) => {
                self.levels.insert(at, Ranked { rank, size: size.into(), orders: 1 });
                at
            }
        };
        Some(self.is_best(at))
    }

    /// `size` less, and one order less when it is `gone`; whether the best level changed.
    #[inline]
    pub(super) fn take(&mut self, rank: i64, size: u32, gone: bool) -> bool {
        let Ok(at) = self.place(rank) else {
            debug_assert!(false, "an order without its level");
            return false;
        };
        let was_best = self.is_best(at);
        let level = &mut self.levels[at];
        level.size = level.size.saturating_sub(size.into());
        level.orders -= u32::from(gone);
        if level.orders == 0 {
            self.remove(at);
        }
        was_best
    }

    /// The level is `size` now, or gone when that is 0; whether the best level changed. `None` when
    /// there are [`LEVELS_MAX`] levels, or when one that is not there shall go.
    pub(super) fn set(&mut self, rank: i64, size: u64) -> Option<bool> {
        match self.place(rank) {
            Ok(at) => {
                let was_best = self.is_best(at);
                self.levels[at].size = size;
                if size == 0 {
                    self.remove(at);
                }
                Some(was_best)
            }
            Err(_) if size == 0 || self.levels.len() == LEVELS_MAX => None,
            Err(at) => {
                self.levels.insert(at, Ranked { rank, size, orders: 0 });
                Some(self.is_best(at))
            }
        }
    }

    #[inline]
    fn remove(&mut self, at: usize) {
        self.levels.remove(at);
        self.give_back();
    }

    /// No levels.
    pub(super) fn clear(&mut self) {
        self.levels.clear();
        self.give_back();
    }

    /// A feed that fills one book after the other must not keep room for all of them.
    #[inline]
    fn give_back(&mut self) {
        let (len, room) = (self.levels.len(), self.levels.capacity());
        if room > LEVELS_KEPT && len < room / 4 {
            self.levels.shrink_to((room / 2).max(LEVELS_KEPT));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prices(ladder: &Ladder, side: Side) -> Vec<(i64, u64, u32)> {
        ladder.iter(side).map(|level| (level.price, level.size, level.orders)).collect()
    }

    #[test]
    fn levels_are_sorted_from_the_best_on() {
        for (side, best_first) in [(Side::Buy, [30, 20, 10]), (Side::Sell, [10, 20, 30])] {
            let mut ladder = Ladder::default();
            for price in [20, 10, 30, 20] {
                assert!(ladder.add(side.rank(price), 100).is_some());
            }
            let expected = best_first.map(|price| (price, if price == 20 { 200 } else { 100 }));
            let expected = expected.map(|(price, size)| (price, size, (size / 100) as u32));
            assert_eq!(prices(&ladder, side), expected);
            let [best, middle, _] = best_first.map(|price| side.rank(price));
            assert!(!ladder.take(middle, 50, false), "not the best");
            assert!(ladder.take(best, 100, true), "the best");
            assert!(ladder.take(middle, 50, true), "the best now");
            assert_eq!(ladder.iter(side).next().unwrap().size, 100);
            assert_eq!(ladder.set(middle, 0), Some(true));
            assert_eq!((ladder.set(middle, 0), ladder.levels.len()), (None, 1));
        }
    }

    #[test]
    fn there_is_an_end_of_levels_and_room_is_given_back() {
        let mut ladder = Ladder::default();
        for rank in 0..LEVELS_MAX as i64 {
            assert_eq!(ladder.add(rank, 1), Some(true));
        }
        assert_eq!((ladder.add(-1, 1), ladder.set(-1, 1)), (None, None));
        assert_eq!(ladder.add(0, 1), Some(false));
        assert!(!ladder.take(0, 1, true));
        for rank in (0..LEVELS_MAX as i64).rev() {
            assert!(ladder.take(rank, 1, true));
        }
        assert_eq!(ladder.levels.len(), 0);
        assert!(ladder.levels.capacity() <= LEVELS_KEPT);
    }
}
