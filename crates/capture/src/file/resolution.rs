//! From the time units of a capture file to nanoseconds since the epoch.

use tickwire_frame::Timestamp;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// How the ticks of one interface become nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scale {
    /// A decimal resolution down to the nanosecond.
    Multiply(u64),
    /// A decimal resolution finer than that.
    Divide(u64),
    /// 2^-n seconds.
    Shift(u32),
}

/// Time resolution and offset of one pcapng interface (`if_tsresol`, `if_tsoffset`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Resolution {
    scale: Scale,
    offset_seconds: i64,
}

impl Resolution {
    /// What holds without an `if_tsresol` option.
    pub(super) const MICROS: Resolution =
        Resolution { scale: Scale::Multiply(1000), offset_seconds: 0 };

    /// The value of an `if_tsresol` option: the highest bit chooses base 2 over base 10, the others
    /// are a negative exponent. `None` when a second has more ticks than 64 bits count.
    pub(super) fn from_option(value: u8) -> Option<Resolution> {
        let exponent = u32::from(value & 0x7f);
        let scale = match (value & 0x80 != 0, exponent) {
            (true, 0..=63) => Scale::Shift(exponent),
            (false, 0..=9) => Scale::Multiply(10u64.pow(9 - exponent)),
            (false, 10..=19) => Scale::Divide(10u64.pow(exponent - 9)),
            _ => return None,
        };
        Some(Resolution { scale, offset_seconds: 0 })
    }

    /// The same with an `if_tsoffset`.
    pub(super) fn with_offset(self, offset_seconds: i64) -> Resolution {
        Resolution { offset_seconds, ..self }
    }

    /// The time that `ticks` stand for. Times that a [`Timestamp`] cannot hold saturate.
    #[inline]
    pub(super) fn timestamp(self, ticks: u64) -> Timestamp {
        match self.scale {
            Scale::Multiply(factor) if self.offset_seconds == 0 => {
                Timestamp::from_nanos(ticks.saturating_mul(factor))
            }
            _ => self.timestamp_slow(ticks),
        }
    }

    #[cold]
    fn timestamp_slow(self, ticks: u64) -> Timestamp {
        let nanos = match self.scale {
            Scale::Multiply(factor) => u128::from(ticks) * u128::from(factor),
            Scale::Divide(factor) => u128::from(ticks / factor),
            Scale::Shift(bits) => (u128::from(ticks) * u128::from(NANOS_PER_SECOND)) >> bits,
        };
        // Below 2^94 each: no overflow.
        let offset = i128::from(self.offset_seconds) * i128::from(NANOS_PER_SECOND);
        let nanos = (nanos as i128 + offset).clamp(0, u64::MAX.into());
        Timestamp::from_nanos(nanos as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nanos(option: u8, offset: i64, ticks: u64) -> u64 {
        let resolution = Resolution::from_option(option).expect("a valid option");
        resolution.with_offset(offset).timestamp(ticks).as_nanos()
    }

    #[test]
    fn decimal_resolutions() {
        assert_eq!(nanos(0, 0, 5), 5_000_000_000);
        assert_eq!(nanos(3, 0, 5), 5_000_000);
        assert_eq!(nanos(6, 0, 5), Resolution::MICROS.timestamp(5).as_nanos());
        assert_eq!(nanos(9, 0, u64::MAX), u64::MAX);
        assert_eq!(nanos(12, 0, 5_999), 5);
        assert_eq!(nanos(19, 0, 10_000_000_000), 1);
    }

    #[test]
    fn binary_resolutions() {
        assert_eq!(nanos(0x80, 0, 3), 3_000_000_000);
        assert_eq!(nanos(0x80 | 10, 0, 512), 500_000_000);
        assert_eq!(nanos(0x80 | 63, 0, 1 << 62), 500_000_000);
        assert_eq!(nanos(0x80 | 32, 0, u64::MAX), 4_294_967_295_999_999_999);
    }

    #[test]
    fn offsets_and_saturation() {
        assert_eq!(nanos(6, 2, 1), 2_000_001_000);
        assert_eq!(nanos(9, -1, 2_000_000_000), 1_000_000_000);
        assert_eq!(nanos(9, -3, 2_000_000_000), 0);
        assert_eq!(nanos(9, i64::MAX, 0), u64::MAX);
        assert_eq!(
            nanos(0, i64::MIN, u64::MAX),
            nanos(0, 0, u64::MAX).min(nanos(0, i64::MIN, u64::MAX))
        );
        assert_eq!(nanos(0, 0, u64::MAX), u64::MAX);
    }

    #[test]
    fn finer_than_64_bits_is_refused() {
        assert_eq!(Resolution::from_option(20), None);
        assert_eq!(Resolution::from_option(0x80 | 64), None);
    }
}
