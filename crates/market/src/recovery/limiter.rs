//! How much a server answers to whom.
//!
//! A request is a datagram of 20 bytes whose source address may be forged, and its answer is one of
//! up to 1 500: without a limit, a server would be a tool to flood others.

/// How many answers there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// Answers a second to one address.
    pub address_per_second: u32,
    /// Answers to one address that may follow each other without a pause.
    pub address_burst: u32,
    /// Answers a second to all together.
    pub total_per_second: u32,
    /// Answers to all together that may follow each other without a pause.
    pub total_burst: u32,
}

impl Default for Rates {
    /// A client that is behind gets 5 000 packets a second; all together as much as a tenth of a
    /// link of 10 Gbit/s.
    fn default() -> Self {
        Rates {
            address_per_second: 5_000,
            address_burst: 500,
            total_per_second: 100_000,
            total_burst: 2_000,
        }
    }
}

/// How many addresses have an account of their own. More share theirs, at random: who forges many
/// gets no more than these together, and no more than the total.
const ACCOUNTS: usize = 4_096;

/// Counts the answers to each address. Takes all its memory at once, and no more for a flood.
#[derive(Clone, Debug)]
pub struct Limiter {
    total: Rate,
    address: Rate,
    total_until_ns: u64,
    until_ns: Box<[u64]>,
    seed: u64,
}

/// So many, and then one in each interval (the generic cell rate algorithm of ITU-T I.371).
#[derive(Clone, Copy, Debug)]
struct Rate {
    interval_ns: u64,
    ahead_ns_max: u64,
}

impl Rate {
    fn new(per_second: u32, burst: u32) -> Self {
        let interval_ns = 1_000_000_000 / u64::from(per_second.max(1));
        Rate { interval_ns, ahead_ns_max: interval_ns * u64::from(burst.saturating_sub(1)) }
    }

    /// The account after one more; `None` when that is too much.
    fn next(&self, until_ns: u64, at_ns: u64) -> Option<u64> {
        let until_ns = until_ns.max(at_ns);
        (until_ns - at_ns <= self.ahead_ns_max).then(|| until_ns.saturating_add(self.interval_ns))
    }
}

impl Limiter {
    /// `seed` is random, so that nobody can choose an address that shares the account of another.
    pub fn new(rates: Rates, seed: u64) -> Self {
        Limiter {
            total: Rate::new(rates.total_per_second, rates.total_burst),
            address: Rate::new(rates.address_per_second, rates.address_burst),
            total_until_ns: 0,
            until_ns: vec![0; ACCOUNTS].into(),
            seed,
        }
    }

    /// Whether an answer may go to `address` at `at_ns`; counts it if so.
    pub fn admit(&mut self, address: u128, at_ns: u64) -> bool {
        let place = self.place(address);
        let own = self.address.next(self.until_ns[place], at_ns);
        let total = self.total.next(self.total_until_ns, at_ns);
        let (Some(own), Some(total)) = (own, total) else { return false };
        (self.until_ns[place], self.total_until_ns) = (own, total);
        true
    }

    /// Mixes all bits of the address and the seed (splitmix64).
    fn place(&self, address: u128) -> usize {
        let mut mixed = self.seed;
        for half in [address as u64, (address >> 64) as u64] {
            let z = (mixed ^ half).wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed = z ^ z >> 31;
        }
        mixed as usize % ACCOUNTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATES: Rates = Rates {
        address_per_second: 100,
        address_burst: 5,
        total_per_second: 1_000,
        total_burst: 50,
    };

    const MS: u64 = 1_000_000;

    #[test]
    fn an_address_gets_its_burst_and_then_its_rate() {
        let mut limiter = Limiter::new(RATES, 1);
        let start = 1 << 60;
        assert_eq!((0..100).filter(|_| limiter.admit(1, start)).count(), 5);
        assert!(!limiter.admit(1, start + 9 * MS) && limiter.admit(1, start + 10 * MS));
        let second = (0..10_000).filter(|ms| limiter.admit(1, start + 20 * MS + ms * MS / 10));
        assert!((99..=105).contains(&second.count()));
        // After a silence, the burst again and no more.
        assert_eq!((0..100).filter(|_| limiter.admit(1, start + 10_000 * MS)).count(), 5);
        assert!(limiter.admit(2, start + 10_000 * MS), "another address");
    }

    #[test]
    fn forged_addresses_get_no_more_than_the_total() {
        let mut limiter = Limiter::new(RATES, 1);
        let admitted = |at: u64, limiter: &mut Limiter| {
            (0..100_000_u128).filter(|&address| limiter.admit(address << 70 | 7, at)).count()
        };
        assert_eq!(admitted(0, &mut limiter), 50);
        assert_eq!(admitted(10 * MS, &mut limiter), 10);
    }

    #[test]
    fn accounts_are_spread() {
        let limiter = Limiter::new(RATES, 7);
        let places: std::collections::BTreeSet<_> =
            (0..1_000).map(|address| limiter.place(address)).collect();
        assert!(places.len() > 850, "{}", places.len());
    }
}
