//! When packet n of a constant rate is due. Pure.

/// A constant rate, evenly or in bursts; or as fast as it goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    rate: Rate,
    burst: u64,
}

/// Packets a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rate {
    /// So many, a positive number.
    Pps(f64),
    /// As many as go: every packet is due at once.
    Max,
}

impl Schedule {
    /// `rate` on average, `burst` packets at a time.
    pub fn new(rate: Rate, burst: u64) -> Self {
        Schedule { rate, burst: burst.max(1) }
    }

    /// The rate.
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// When packet `number`, counted from 0, is due: nanoseconds from the start.
    pub fn due_ns(&self, number: u64) -> u64 {
        match self.rate {
            Rate::Max => 0,
            Rate::Pps(rate) => ((number - number % self.burst) as f64 * 1e9 / rate) as u64,
        }
    }

    /// How many packets are due when `elapsed_ns` have passed.
    pub fn due_count(&self, elapsed_ns: u64) -> u64 {
        match self.rate {
            Rate::Max => u64::MAX,
            Rate::Pps(rate) => {
                let bursts = elapsed_ns as f64 * rate / 1e9 / self.burst as f64;
                (bursts as u64).saturating_add(1).saturating_mul(self.burst)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_due_at_even_intervals() {
        let schedule = Schedule::new(Rate::Pps(4.0), 1);
        let due: Vec<u64> = (0..4).map(|number| schedule.due_ns(number)).collect();
        assert_eq!(due, [0, 250_000_000, 500_000_000, 750_000_000]);
        let counts: Vec<u64> =
            [0, 249_999_999, 250_000_000, 1_000_000_000].map(|ns| schedule.due_count(ns)).into();
        assert_eq!(counts, [1, 1, 2, 5]);
    }

    #[test]
    fn bursts_have_the_same_rate() {
        let schedule = Schedule::new(Rate::Pps(1000.0), 10);
        assert_eq!((schedule.due_ns(9), schedule.due_ns(10)), (0, 10_000_000));
        assert_eq!((schedule.due_count(0), schedule.due_count(10_000_000)), (10, 20));
    }

    /// What is due is due: no packet is given out before its time, at any rate and any hour.
    #[test]
    fn count_and_time_agree() {
        for rate in [0.1, 3.0, 999.9, 1e6, 7_654_321.0] {
            for burst in [1, 7, 64] {
                let schedule = Schedule::new(Rate::Pps(rate), burst);
                for elapsed_ns in [0, 1, 12_345_678, 3_600_000_000_007, 86_400_000_000_000] {
                    let count = schedule.due_count(elapsed_ns);
                    assert!(schedule.due_ns(count - 1) <= elapsed_ns + 1, "{rate} {elapsed_ns}");
                    assert!(schedule.due_ns(count) + 1 >= elapsed_ns, "{rate} {elapsed_ns}");
                }
            }
        }
    }

    #[test]
    fn without_a_rate_all_is_due_at_once() {
        let schedule = Schedule::new(Rate::Max, 1);
        assert_eq!((schedule.due_ns(1 << 40), schedule.due_count(0)), (0, u64::MAX));
    }
}
