//! Nanoseconds since the Unix epoch.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A point in time: nanoseconds since 1970-01-01T00:00:00Z, without leap seconds.
///
/// Holds times up to the year 2554. Earlier times than 1970 and later ones saturate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The epoch itself: what a frame without a time carries.
    pub const ZERO: Timestamp = Timestamp(0);

    /// From nanoseconds since the epoch.
    pub const fn from_nanos(nanos: u64) -> Self {
        Timestamp(nanos)
    }

    /// From seconds and nanoseconds as a capture file or the kernel gives them. `nanos` may be
    /// 10⁹ or more (malformed captures have such times); the result saturates.
    pub const fn from_parts(seconds: u64, nanos: u64) -> Self {
        Timestamp(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
    }

    /// The wall clock, now. One clock call: for once a batch, never once a packet.
    pub fn now() -> Self {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(Self::ZERO, |since| {
            Self::from_parts(since.as_secs(), u64::from(since.subsec_nanos()))
        })
    }

    /// Nanoseconds since the epoch.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Whole seconds since the epoch.
    pub const fn seconds(self) -> u64 {
        self.0 / 1_000_000_000
    }

    /// Nanoseconds within the second.
    pub const fn subsec_nanos(self) -> u32 {
        (self.0 % 1_000_000_000) as u32
    }

    /// How long after `earlier`; zero when the clock went backwards.
    pub const fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// `seconds.nanoseconds`, nine digits.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.seconds(), self.subsec_nanos())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_round_trip() {
        let time = Timestamp::from_parts(1_700_000_000, 123_456_789);
        assert_eq!((time.seconds(), time.subsec_nanos()), (1_700_000_000, 123_456_789));
        assert_eq!(time.to_string(), "1700000000.123456789");
    }

    #[test]
    fn absurd_times_saturate() {
        assert_eq!(Timestamp::from_parts(u64::MAX, u64::MAX).as_nanos(), u64::MAX);
        assert_eq!(Timestamp::from_nanos(1).since(Timestamp::from_nanos(2)), Duration::ZERO);
    }

    #[test]
    fn now_is_after_this_was_written() {
        assert!(Timestamp::now().seconds() > 1_700_000_000);
    }
}
