//! Token buckets: how many requests a peer may make.

use crate::limits::PEERS_MAX;
use std::collections::HashMap;
use std::hash::Hash;
use std::time::Instant;

/// One bucket per peer: `burst` requests at once, `per_second` in the long run.
///
/// Of more than [`PEERS_MAX`] busy peers the newest share one bucket, so that memory has a bound
/// and a flood of addresses does not make room for itself.
#[derive(Debug)]
pub struct Rate<K> {
    per_second: f64,
    burst: f64,
    buckets: HashMap<K, Bucket>,
    shared: Bucket,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl Bucket {
    fn fill(&mut self, now: Instant, per_second: f64, burst: f64) {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.tokens = (self.tokens + passed * per_second).min(burst);
        self.filled = now;
    }

    fn take(&mut self, now: Instant, per_second: f64, burst: f64) -> bool {
        self.fill(now, per_second, burst);
        let enough = self.tokens >= 1.0;
        if enough {
            self.tokens -= 1.0;
        }
        enough
    }
}

impl<K: Hash + Eq> Rate<K> {
    /// Full buckets for everybody.
    pub fn new(per_second: u32, burst: u32, now: Instant) -> Self {
        let burst = f64::from(burst);
        let shared = Bucket { tokens: burst, filled: now };
        Rate { per_second: f64::from(per_second), burst, buckets: HashMap::new(), shared }
    }

    /// Whether `peer` may make one more request at `now`, which is then counted.
    pub fn admit(&mut self, peer: K, now: Instant) -> bool {
        let (per_second, burst) = (self.per_second, self.burst);
        if !self.buckets.contains_key(&peer) && self.buckets.len() >= PEERS_MAX {
            // A full bucket says nothing that a new one would not.
            self.buckets.retain(|_, bucket| {
                bucket.fill(now, per_second, burst);
                bucket.tokens < burst
            });
            if self.buckets.len() >= PEERS_MAX {
                return self.shared.take(now, per_second, burst);
            }
        }
        let full = Bucket { tokens: burst, filled: now };
        self.buckets.entry(peer).or_insert(full).take(now, per_second, burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_burst_then_the_rate_and_each_peer_alone() {
        let start = Instant::now();
        let mut rate = Rate::new(10, 3, start);
        let admitted =
            |rate: &mut Rate<u8>, peer, now| (0..100).filter(|_| rate.admit(peer, now)).count();
        assert_eq!(admitted(&mut rate, 1, start), 3);
        assert_eq!(admitted(&mut rate, 2, start), 3);
        assert_eq!(admitted(&mut rate, 1, start + Duration::from_millis(250)), 2);
        assert_eq!(admitted(&mut rate, 1, start + Duration::from_secs(9)), 3);
        // A clock that steps back gives nothing and breaks nothing.
        assert_eq!(admitted(&mut rate, 1, start), 0);
    }

    #[test]
    fn many_peers_take_bounded_memory() {
        let start = Instant::now();
        let mut rate = Rate::new(1, 2, start);
        let admitted = (0..10 * PEERS_MAX).filter(|&peer| rate.admit(peer, start)).count();
        assert_eq!((admitted, rate.buckets.len()), (PEERS_MAX + 2, PEERS_MAX));
        // When they are quiet, others get buckets of their own.
        assert!(rate.admit(usize::MAX, start + Duration::from_secs(2)));
        assert_eq!(rate.buckets.len(), 1);
    }
}
