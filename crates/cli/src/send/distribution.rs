//! Times as a histogram: three significant digits, from 1 ns to a minute, in fixed memory.

use crate::units::nanos;
use hdrhistogram::Histogram;
use serde::Serialize;
use std::fmt;

/// Longer times count as this one.
const TIME_NS_MAX: u64 = 60_000_000_000;
/// Significant decimal digits.
const DIGITS: u8 = 3;

/// How times are distributed. Entering one costs a few nanoseconds and no memory.
#[derive(Clone, Debug)]
pub struct Distribution {
    histogram: Histogram<u64>,
}

impl Default for Distribution {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, TIME_NS_MAX, DIGITS);
        Distribution { histogram: histogram.expect("the bounds are constants that it takes") }
    }
}

impl Distribution {
    /// Enters `count` times of `time_ns`.
    #[inline]
    pub fn add(&mut self, time_ns: u64, count: u64) {
        self.histogram.saturating_record_n(time_ns, count);
    }

    /// How many times were entered.
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// Enters all times of `other`.
    pub fn merge(&mut self, other: &Distribution) {
        self.histogram.add(&other.histogram).expect("both have the same bounds");
    }

    /// The time that `percent` of all do not exceed, in nanoseconds.
    pub fn at_percent(&self, percent: f64) -> u64 {
        // The nearest number to 0.999 is not what 99.9 / 100 gives.
        self.histogram.value_at_quantile((percent * 1e3).round() / 1e5)
    }

    /// The usual figures; `None` when no time was entered.
    pub fn spread(&self) -> Option<Spread> {
        (self.count() > 0).then(|| Spread {
            min: self.histogram.min(),
            mean: self.histogram.mean().round() as u64,
            stdev: self.histogram.stdev().round() as u64,
            jitter: self.histogram.max() - self.histogram.min(),
            p50: self.at_percent(50.0),
            p90: self.at_percent(90.0),
            p95: self.at_percent(95.0),
            p99: self.at_percent(99.0),
            p99_9: self.at_percent(99.9),
            p99_99: self.at_percent(99.99),
            max: self.histogram.max(),
        })
    }
}

/// The usual figures of a distribution, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Spread {
    pub min: u64,
    pub mean: u64,
    /// The standard deviation.
    pub stdev: u64,
    /// The longest less the shortest.
    pub jitter: u64,
    pub p50: u64,
    pub p90: u64,
    pub p95: u64,
    pub p99: u64,
    pub p99_9: u64,
    pub p99_99: u64,
    pub max: u64,
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p90, p99, p99_9, max] =
            [self.p50, self.p90, self.p99, self.p99_9, self.max].map(nanos);
        write!(f, "50 % {p50}, 90 % {p90}, 99 % {p99}, 99.9 % {p99_9}, max {max}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_distribution_comes_back() {
        let mut times = Distribution::default();
        assert_eq!(times.spread(), None);
        (1..=10_000).for_each(|time| times.add(time * 1000, 1));
        let spread = times.spread().expect("10,000 times");
        let near = |found: u64, wanted: u64| found.abs_diff(wanted) * 1000 <= wanted;
        assert!(near(spread.min, 1000) && near(spread.max, 10_000_000), "{spread:?}");
        assert!(near(spread.mean, 5_000_500) && near(spread.p50, 5_000_000), "{spread:?}");
        assert!(near(spread.p90, 9_000_000) && near(spread.p95, 9_500_000), "{spread:?}");
        assert!(near(spread.p99, 9_900_000) && near(spread.p99_9, 9_990_000), "{spread:?}");
        assert!(near(spread.p99_99, 9_999_000), "{spread:?}");
    }

    /// Of 1,000 times, 999 are within 99.9 %.
    #[test]
    fn percentiles_are_not_rounded_up_to_the_next_time() {
        for (percent, count) in [(99.0, 100), (99.9, 1000), (99.99, 10_000), (99.999, 100_000)] {
            let mut times = Distribution::default();
            times.add(10, count - 1);
            times.add(1000, 1);
            assert_eq!(times.at_percent(percent), 10, "{percent} %");
        }
    }

    #[test]
    fn distributions_merge() {
        let (mut all, mut one) = (Distribution::default(), Distribution::default());
        all.add(100, 1);
        one.add(300, 2);
        all.merge(&one);
        assert_eq!((all.count(), all.at_percent(0.0), all.at_percent(100.0)), (3, 100, 300));
    }

    #[test]
    fn absurd_times_count_as_the_longest() {
        let mut times = Distribution::default();
        times.add(u64::MAX, 2);
        times.add(0, 1);
        assert_eq!(times.count(), 3);
        assert!(times.at_percent(100.0) >= TIME_NS_MAX);
    }
}
