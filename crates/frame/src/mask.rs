//! One bit a frame: the verdicts of a whole batch in one machine word.

use std::ops::{BitAnd, BitOr, BitXor, Not};

/// A set of frames of one [`Batch`](crate::Batch): bit *i* speaks of frame *i*.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Mask(pub u64);

impl Mask {
    /// No frame.
    pub const EMPTY: Mask = Mask(0);

    /// The first `count` frames; all 64 when `count` is 64 or more.
    pub const fn first(count: usize) -> Self {
        if count >= 64 { Mask(u64::MAX) } else { Mask((1 << count) - 1) }
    }

    /// How many frames are in the set.
    pub const fn count(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether no frame is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether frame `index` is in the set.
    pub const fn contains(self, index: usize) -> bool {
        index < 64 && self.0 >> index & 1 == 1
    }

    /// Adds frame `index` when `condition` holds, without a branch.
    pub const fn set_if(&mut self, index: usize, condition: bool) {
        self.0 |= (condition as u64) << (index & 63);
    }

    /// The frames of `self` that are not in `other`.
    pub const fn without(self, other: Mask) -> Self {
        Mask(self.0 & !other.0)
    }
}

/// The indexes in the set, lowest first.
#[derive(Clone, Debug)]
pub struct Indexes(u64);

impl Iterator for Indexes {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let index = self.0.trailing_zeros() as usize;
        self.0 &= self.0 - 1;
        Some(index)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let count = self.0.count_ones() as usize;
        (count, Some(count))
    }
}

impl IntoIterator for Mask {
    type Item = usize;
    type IntoIter = Indexes;

    fn into_iter(self) -> Indexes {
        Indexes(self.0)
    }
}

impl BitAnd for Mask {
    type Output = Mask;
    fn bitand(self, other: Mask) -> Mask {
        Mask(self.0 & other.0)
    }
}

impl BitOr for Mask {
    type Output = Mask;
    fn bitor(self, other: Mask) -> Mask {
        Mask(self.0 | other.0)
    }
}

impl BitXor for Mask {
    type Output = Mask;
    fn bitxor(self, other: Mask) -> Mask {
        Mask(self.0 ^ other.0)
    }
}

/// The complement in all 64 bits: intersect it with the batch's own mask.
impl Not for Mask {
    type Output = Mask;
    fn not(self) -> Mask {
        Mask(!self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_covers_every_count() {
        for count in 0..=64 {
            assert_eq!(Mask::first(count).count(), count);
            assert!(!Mask::first(count).contains(count));
        }
        assert_eq!(Mask::first(1000), Mask(u64::MAX));
    }

    #[test]
    fn indexes_come_in_order() {
        let mask = Mask(1 << 63 | 1 << 5 | 1);
        assert_eq!(mask.into_iter().collect::<Vec<_>>(), [0, 5, 63]);
        assert_eq!(mask.into_iter().size_hint(), (3, Some(3)));
    }

    #[test]
    fn set_if_and_without() {
        let mut mask = Mask::EMPTY;
        mask.set_if(3, true);
        mask.set_if(4, false);
        assert_eq!(mask, Mask(8));
        assert_eq!(Mask::first(8).without(mask).count(), 7);
    }
}
