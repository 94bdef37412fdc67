//! Numbers that depend on a seed alone, on every machine the same: no floating point.

/// splitmix64 (Steele, Lea, Flood). Not for secrets.
#[derive(Clone, Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    /// The next 64 bits.
    #[inline]
    pub(super) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// A number below `bound`; 0 when that is 0.
    #[inline]
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }

    /// Whether it is one of `part` cases in `whole`.
    #[inline]
    pub(super) fn chance(&mut self, part: u64, whole: u64) -> bool {
        self.below(whole) < part
    }

    /// A number from 0 to `max` of which each doubling is two thirds as likely: `P(> x) ~ x^-0.6`.
    #[inline]
    pub(super) fn power_law(&mut self, max: u64) -> u64 {
        let mut octave = 1_u64;
        while octave <= max && self.chance(2, 3) {
            octave *= 2;
        }
        // 0, then 1, then 2 and 3, then 4 to 7.
        let least = octave / 2;
        (least + self.below(least)).min(max)
    }

    /// Waiting times with a mean of `mean`, exponential but for the interpolation between powers of
    /// two of a probability.
    #[inline]
    pub(super) fn wait(&mut self, mean: u64) -> u64 {
        let bits = self.bits();
        let halvings = u64::from(bits.leading_zeros());
        // What follows the leading one, as 1024ths of the way to the next halving.
        let fraction = 1023 - ((bits << halvings << 1) >> 54);
        // One and a half halvings on average, so that one takes 683 / 1024 of the mean.
        ((u128::from(mean) * u128::from(halvings * 1024 + fraction) * 683) >> 20) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_distributed_as_said() {
        let mut random = Random(1);
        let count = 100_000;
        let wait: u64 = (0..count).map(|_| random.wait(1_000)).sum();
        assert!((980..1_020).contains(&(wait / count)), "{}", wait / count);
        let draws: Vec<u64> = (0..count).map(|_| random.power_law(1_000)).collect();
        let share = |is: fn(&u64) -> bool| draws.iter().filter(|&x| is(x)).count() * 100 / 100_000;
        assert!((32..35).contains(&share(|&x| x == 0)));
        assert!((21..24).contains(&share(|&x| x == 1)));
        assert!((14..16).contains(&share(|&x| x == 2 || x == 3)));
        assert_eq!((share(|&x| x > 1_000), draws.iter().max()), (0, Some(&1_000)));
        assert_eq!((random.below(0), random.power_law(0)), (0, 0));
    }
}
