//! Which numbers arrived: in order, late, twice. Pure, in fixed memory.

/// How far back a number is remembered, in packets.
const WINDOW: u64 = 1 << 16;
const WORD_BITS: u64 = u64::BITS as u64;

/// What a number turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It came for the first time.
    New,
    /// It had come before.
    Duplicate,
    /// It came so late that nobody knows: it stays among the lost.
    TooLate,
}

/// Numbers from 0 on, as they arrive.
///
/// Remembers the last 65,536 numbers up to the highest, one bit each.
#[derive(Clone, Debug)]
pub struct Sequence {
    seen: Vec<u64>,
    /// One more than the highest number that came.
    next: u64,
    /// Numbers that came, each counted once.
    pub unique: u64,
    /// Numbers that had come before.
    pub duplicates: u64,
    /// Numbers that came after a higher one, each counted once.
    pub reordered: u64,
    /// Numbers that came after one higher by more than is remembered.
    pub too_late: u64,
}

impl Default for Sequence {
    fn default() -> Self {
        let seen = vec![0; (WINDOW / WORD_BITS) as usize];
        Sequence { seen, next: 0, unique: 0, duplicates: 0, reordered: 0, too_late: 0 }
    }
}

impl Sequence {
    /// `number` arrived.
    pub fn enter(&mut self, number: u64) -> Arrival {
        if number >= self.next {
            self.forget_up_to(number);
            self.next = number + 1;
        } else if self.next - number > WINDOW {
            self.too_late += 1;
            return Arrival::TooLate;
        } else if self.is_seen(number) {
            self.duplicates += 1;
            return Arrival::Duplicate;
        } else {
            self.reordered += 1;
        }
        self.seen[word(number)] |= bit(number);
        self.unique += 1;
        Arrival::New
    }

    /// `low` with the missing high part, where numbers begin again at 0 after `numbers` of them:
    /// the nearest to what came last.
    pub fn whole(&self, low: u64, numbers: u64) -> u64 {
        let round = self.next - self.next % numbers;
        let candidates = [round.checked_sub(numbers), Some(round), round.checked_add(numbers)];
        let near = candidates.into_iter().flatten().filter_map(|round| round.checked_add(low));
        near.min_by_key(|number| number.abs_diff(self.next)).unwrap_or(low)
    }

    fn is_seen(&self, number: u64) -> bool {
        self.seen[word(number)] & bit(number) != 0
    }

    /// Makes room for the numbers from `next` to `number`.
    fn forget_up_to(&mut self, number: u64) {
        if number - self.next >= WINDOW {
            return self.seen.fill(0);
        }
        let mut at = self.next;
        while at <= number {
            if at.is_multiple_of(WORD_BITS) && number - at >= WORD_BITS {
                self.seen[word(at)] = 0;
                at += WORD_BITS;
            } else {
                self.seen[word(at)] &= !bit(at);
                at += 1;
            }
        }
    }
}

fn word(number: u64) -> usize {
    (number % WINDOW / WORD_BITS) as usize
}

fn bit(number: u64) -> u64 {
    1 << (number % WORD_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn each_kind_is_told() {
        let mut sequence = Sequence::default();
        let arrivals = [0, 1, 3, 2, 3, 7].map(|number| sequence.enter(number));
        assert_eq!(arrivals[3..5], [Arrival::New, Arrival::Duplicate]);
        let counts = (sequence.unique, sequence.duplicates, sequence.reordered);
        assert_eq!(counts, (5, 1, 1));
        sequence.enter(WINDOW + 7);
        assert_eq!(sequence.enter(7), Arrival::TooLate);
        assert_eq!(sequence.enter(8), Arrival::New);
        assert_eq!((sequence.too_late, sequence.reordered), (1, 2));
    }

    /// Against a set that remembers everything, over jumps of all sizes.
    #[test]
    fn it_agrees_with_a_model() {
        let (mut sequence, mut seen) = (Sequence::default(), HashSet::new());
        let (mut random, mut highest) = (7u64, 0u64);
        for _ in 0..200_000 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let reach = 1 << (random % 18);
            let number = match random >> 20 & 3 {
                0 => highest.saturating_sub((random >> 32) % reach),
                _ => highest + (random >> 32) % (reach / 16 + 2),
            };
            let expected = match highest.checked_sub(number) {
                Some(back) if back >= WINDOW => Arrival::TooLate,
                _ if seen.insert(number) => Arrival::New,
                _ => Arrival::Duplicate,
            };
            highest = highest.max(number);
            assert_eq!(sequence.enter(number), expected, "{number} of {highest}");
        }
        assert!(sequence.too_late > 0 && sequence.duplicates > 0 && sequence.reordered > 0);
    }

    #[test]
    fn numbers_that_begin_again_go_on() {
        let mut sequence = Sequence::default();
        assert_eq!(sequence.whole(3, 10), 3);
        sequence.enter(9);
        assert_eq!(sequence.whole(0, 10), 10);
        assert_eq!(sequence.whole(8, 10), 8);
        sequence.enter(21);
        assert_eq!([9, 0, 5].map(|low| sequence.whole(low, 10)), [19, 20, 25]);
    }

    #[test]
    fn hostile_numbers_do_no_harm() {
        let mut sequence = Sequence::default();
        for number in [u64::MAX - 1, 0, 1 << 63, u64::MAX - 2] {
            sequence.enter(number);
            sequence.whole(number, 10_000_000_000);
        }
        assert_eq!(sequence.unique, 2);
    }
}
