//! Sets of sequence numbers as ranges in order that do not touch: what a line has, what none has.

use tickwire_market::sequence::Range;

/// The same numbers, in order, neighbours as one.
pub fn normal(mut ranges: Vec<Range>) -> Vec<Range> {
    ranges.sort_unstable_by_key(|range| range.first);
    let mut whole: Vec<Range> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match whole.last_mut() {
            Some(last) if range.first <= last.last.saturating_add(1) => {
                last.last = last.last.max(range.last);
            }
            _ => whole.push(range),
        }
    }
    whole
}

/// What either has.
pub fn union(a: &[Range], b: &[Range]) -> Vec<Range> {
    normal([a, b].concat())
}

/// What `a` has and `b`, which is normal, has not.
pub fn without(a: &[Range], b: &[Range]) -> Vec<Range> {
    let mut left = Vec::new();
    for range in a {
        let begin = b.partition_point(|cut| cut.last < range.first);
        let mut first = Some(range.first);
        for cut in b[begin..].iter().take_while(|cut| cut.first <= range.last) {
            let Some(from) = first else { break };
            if from < cut.first {
                left.push(Range { first: from, last: cut.first - 1 });
            }
            first = cut.last.checked_add(1).filter(|next| *next <= range.last);
        }
        left.extend(first.map(|first| Range { first, last: range.last }));
    }
    left
}

/// How many numbers there are.
pub fn count(ranges: &[Range]) -> u64 {
    ranges.iter().fold(0, |sum: u64, range| sum.saturating_add(range.count()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn ranges(pairs: &[(u64, u64)]) -> Vec<Range> {
        pairs.iter().map(|&(first, last)| Range { first, last }).collect()
    }

    fn numbers(ranges: &[Range]) -> BTreeSet<u64> {
        ranges.iter().flat_map(|range| range.first..=range.last).collect()
    }

    #[test]
    fn neighbours_become_one() {
        assert_eq!(normal(ranges(&[(7, 9), (1, 2), (3, 3), (8, 12)])), ranges(&[(1, 3), (7, 12)]));
        assert_eq!(
            without(&ranges(&[(0, u64::MAX)]), &ranges(&[(5, u64::MAX)])),
            ranges(&[(0, 4)])
        );
    }

    #[test]
    fn sets_are_those_of_single_numbers() {
        let some = |seed: u64| {
            let bits = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
            let one = |at| (bits >> at & 1 == 1).then_some(Range { first: at, last: at });
            normal((0..24).filter_map(one).collect())
        };
        for seed in 0..2_000 {
            let (a, b) = (some(seed), some(seed + 9_999));
            let (set_a, set_b) = (numbers(&a), numbers(&b));
            assert!(numbers(&without(&a, &b)).iter().eq(set_a.difference(&set_b)));
            assert!(numbers(&union(&a, &b)).iter().eq(set_a.union(&set_b)));
            assert_eq!(count(&a), set_a.len() as u64);
        }
    }
}
