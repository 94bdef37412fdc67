//! Ranges of sequence numbers, and a bounded set of them.

use std::collections::VecDeque;
use std::fmt;

/// Sequence numbers from `first` to `last`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Range {
    /// The first number.
    pub first: u64,
    /// The last number, not below the first.
    pub last: u64,
}

impl Range {
    /// The numbers from `first` on and before `end`; `None` when there are none.
    #[inline]
    pub fn before(first: u64, end: u64) -> Option<Self> {
        (first < end).then(|| Range { first, last: end - 1 })
    }

    /// How many numbers it holds.
    #[inline]
    pub fn count(&self) -> u64 {
        self.last.saturating_sub(self.first).saturating_add(1)
    }

    /// Whether it holds `sequence`.
    #[inline]
    pub fn contains(&self, sequence: u64) -> bool {
        (self.first..=self.last).contains(&sequence)
    }

    /// What both hold.
    pub(crate) fn common(&self, other: &Range) -> Option<Range> {
        let (first, last) = (self.first.max(other.first), self.last.min(other.last));
        (first <= last).then_some(Range { first, last })
    }
}

/// `7`, or `7-9`.
impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => write!(f, "{}", self.first),
            false => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

/// Ranges that do not overlap, in order, each with something to know about it. Never more than a
/// given number of them: what does not fit drives out the oldest, and is given back.
#[derive(Clone, Debug)]
pub(crate) struct Ranges<T> {
    items: VecDeque<(Range, T)>,
    max: usize,
    numbers: u64,
}

impl<T: Copy> Ranges<T> {
    /// None of at most `max`, which is at least 1. All memory is taken here.
    pub(crate) fn new(max: usize) -> Self {
        let max = max.max(1);
        // A range that is cut in two is one more for a moment.
        Ranges { items: VecDeque::with_capacity(max + 1), max, numbers: 0 }
    }

    /// How many numbers all hold together.
    pub(crate) fn numbers(&self) -> u64 {
        self.numbers
    }

    pub(crate) fn get(&self, index: usize) -> Option<&(Range, T)> {
        self.items.get(index)
    }

    pub(crate) fn first(&self) -> Option<&(Range, T)> {
        self.items.front()
    }

    #[inline]
    pub(crate) fn last(&self) -> Option<&(Range, T)> {
        self.items.back()
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &(Range, T)> + Clone {
        self.items.iter()
    }

    /// The place of the first range that ends at `sequence` or later.
    pub(crate) fn place(&self, sequence: u64) -> usize {
        match self.items.back() {
            Some((range, _)) if range.last >= sequence => {
                self.items.partition_point(|(range, _)| range.last < sequence)
            }
            _ => self.items.len(),
        }
    }

    /// Whether there is no room for one more.
    pub(crate) fn is_full(&self) -> bool {
        self.items.len() >= self.max
    }

    /// The range that holds all of `range`.
    pub(crate) fn around(&self, range: Range) -> Option<&(Range, T)> {
        let holds = |(whole, _): &&(Range, T)| whole.common(&range) == Some(range);
        self.items.get(self.place(range.first)).filter(holds)
    }

    /// Whether the set has any number of `range`.
    pub(crate) fn has_any(&self, range: Range) -> bool {
        self.items.get(self.place(range.first)).is_some_and(|(known, _)| known.first <= range.last)
    }

    /// Changes what is known of the ranges that overlap `range`.
    pub(crate) fn change(&mut self, range: Range, mut change: impl FnMut(&mut T)) {
        let place = self.place(range.first);
        let overlap =
            self.items.range_mut(place..).take_while(|(known, _)| known.first <= range.last);
        overlap.for_each(|(_, about)| change(about));
    }

    /// Puts in a range that overlaps none of the others. What it drove out is given back.
    #[must_use = "what was driven out must not be lost silently"]
    pub(crate) fn insert(&mut self, range: Range, about: T) -> Option<(Range, T)> {
        let place = self.place(range.first);
        debug_assert!(self.items.get(place).is_none_or(|(next, _)| next.first > range.last));
        self.items.insert(place, (range, about));
        self.numbers += range.count();
        self.evict()
    }

    /// Takes out what the set has of `range`, and shows each piece. When a range was cut in two and
    /// there is no room for one more, the oldest is driven out and given back.
    #[must_use = "what was driven out must not be lost silently"]
    pub(crate) fn remove(
        &mut self,
        range: Range,
        mut piece: impl FnMut(Range, &T),
    ) -> Option<(Range, T)> {
        let mut place = self.place(range.first);
        while let Some((whole, about)) = self.items.get_mut(place) {
            let Some(common) = whole.common(&range) else { break };
            piece(common, about);
            self.numbers -= common.count();
            let (before, about) = (*whole, *about);
            match (before.first < common.first, common.last < before.last) {
                (false, false) => {
                    self.items.remove(place);
                }
                (false, true) => whole.first = common.last + 1,
                (true, false) => {
                    whole.last = common.first - 1;
                    place += 1;
                }
                (true, true) => {
                    whole.last = common.first - 1;
                    let rest = Range { first: common.last + 1, last: before.last };
                    self.items.insert(place + 1, (rest, about));
                    return self.evict();
                }
            }
        }
        None
    }

    pub(crate) fn clear(&mut self) {
        self.items.clear();
        self.numbers = 0;
    }

    fn evict(&mut self) -> Option<(Range, T)> {
        if self.items.len() <= self.max {
            return None;
        }
        let oldest = self.items.pop_front();
        self.numbers -= oldest.map_or(0, |(range, _)| range.count());
        oldest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: u64, last: u64) -> Range {
        Range { first, last }
    }

    fn of(ranges: &Ranges<char>) -> Vec<(u64, u64, char)> {
        ranges.iter().map(|(range, about)| (range.first, range.last, *about)).collect()
    }

    fn removed(ranges: &mut Ranges<char>, from: Range) -> Vec<(u64, u64, char)> {
        let mut pieces = Vec::new();
        let evicted = ranges.remove(from, |piece, about| {
            pieces.push((piece.first, piece.last, *about));
        });
        assert_eq!(evicted, None);
        pieces
    }

    #[test]
    fn ranges_are_cut_from_all_sides() {
        let mut ranges = Ranges::new(4);
        assert_eq!(ranges.insert(range(20, 29), 'b'), None);
        assert_eq!(ranges.insert(range(10, 14), 'a'), None);
        assert_eq!(ranges.insert(range(40, u64::MAX), 'c'), None);
        assert_eq!(ranges.numbers(), 15 + (u64::MAX - 39));
        assert_eq!(removed(&mut ranges, range(0, 9)), []);
        assert_eq!(removed(&mut ranges, range(12, 21)), [(12, 14, 'a'), (20, 21, 'b')]);
        assert_eq!(removed(&mut ranges, range(24, 25)), [(24, 25, 'b')]);
        let rest = [(10, 11, 'a'), (22, 23, 'b'), (26, 29, 'b'), (40, u64::MAX, 'c')];
        assert_eq!((of(&ranges), ranges.iter().len()), (rest.to_vec(), 4));
        assert_eq!(removed(&mut ranges, range(0, u64::MAX)), rest);
        assert_eq!((ranges.numbers(), ranges.iter().len()), (0, 0));
    }

    #[test]
    fn what_does_not_fit_drives_out_the_oldest() {
        let mut ranges = Ranges::new(2);
        assert_eq!(ranges.insert(range(1, 5), 'a'), None);
        assert_eq!(ranges.insert(range(10, 19), 'b'), None);
        assert_eq!(ranges.insert(range(30, 30), 'c'), Some((range(1, 5), 'a')));
        assert_eq!(ranges.remove(range(12, 12), |_, _| {}), Some((range(10, 11), 'b')));
        assert_eq!((of(&ranges), ranges.numbers()), (vec![(13, 19, 'b'), (30, 30, 'c')], 8));
    }

    #[test]
    fn text_and_bounds() {
        assert_eq!((range(7, 7).to_string(), range(7, 9).to_string()), ("7".into(), "7-9".into()));
        assert_eq!((range(7, 9).count(), range(0, u64::MAX).count()), (3, u64::MAX));
        assert_eq!((Range::before(3, 3), Range::before(3, 5)), (None, Some(range(3, 4))));
        assert!(range(7, 9).contains(9) && !range(7, 9).contains(10));
    }
}
