//! The Internet checksum (RFC 1071) and its incremental update (RFC 1624).

/// A running one's-complement sum. Parts may be added in any order as long as every part but the
/// last has an even length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum(u64);

impl Sum {
    /// The sum of nothing.
    pub const ZERO: Sum = Sum(0);

    /// Adds the 16-bit words of `bytes`; an odd last byte is padded with zero.
    #[inline]
    #[must_use]
    pub fn over(self, bytes: &[u8]) -> Self {
        // Native order: RFC 1071, 2(B), the sum of swapped words is the swapped sum. Eight bytes a
        // step into 128 bits, where nothing can be carried away: an `add` and an `adc` each.
        let (words, rest) = bytes.as_chunks::<8>();
        let sum =
            words.iter().fold(0, |sum: u128, &word| sum + u128::from(u64::from_ne_bytes(word)));
        let mut sum = halves(sum as u64) + (sum >> 64) as u64;
        // What is left, without a loop or a call: headers and orders are short.
        let (long, rest) = rest.as_chunks::<4>();
        if let [long] = long {
            sum += u64::from(u32::from_ne_bytes(*long));
        }
        let (short, rest) = rest.as_chunks::<2>();
        if let [short] = short {
            sum += u64::from(u16::from_ne_bytes(*short));
        }
        if let [last] = rest {
            sum += u64::from(u16::from_ne_bytes([*last, 0]));
        }
        Sum(halves(self.0) + halves(sum))
    }

    /// Adds one 16-bit word.
    #[inline]
    #[must_use]
    pub fn add_word(self, word: u16) -> Self {
        Sum(self.0 + u64::from(word.to_be()))
    }

    /// Adds one 32-bit word.
    #[inline]
    #[must_use]
    pub fn add_long(self, word: u32) -> Self {
        Sum(self.0 + u64::from(word.to_be()))
    }

    /// The value for the checksum field, when that was zero or not part of the sum.
    #[inline]
    pub fn finish(self) -> u16 {
        !fold(self.0).to_be()
    }

    /// Whether the bytes, their checksum among them, are as they were sent.
    #[inline]
    pub fn is_valid(self) -> bool {
        fold(self.0) == 0xffff
    }
}

/// To 33 bits, with end-around carry.
#[inline]
const fn halves(sum: u64) -> u64 {
    (sum >> 32) + (sum & 0xffff_ffff)
}

/// To 16 bits, with end-around carry.
const fn fold(sum: u64) -> u16 {
    let sum = (sum >> 32) + (sum & 0xffff_ffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    sum as u16
}

/// The checksum of `bytes` whose checksum field is zero.
pub fn internet(bytes: &[u8]) -> u16 {
    Sum::default().over(bytes).finish()
}

/// The pseudo header over IPv4 (RFC 768, RFC 9293): `addresses` are source and destination as they
/// lie in the header, `len` the bytes of the layer-4 packet.
#[inline]
pub fn pseudo_ipv4(addresses: &[u8; 8], protocol: u8, len: u32) -> Sum {
    Sum::default().over(addresses).add_word(protocol.into()).add_long(len)
}

/// The pseudo header over IPv6 (RFC 8200, 8.1).
#[inline]
pub fn pseudo_ipv6(addresses: &[u8; 32], protocol: u8, len: u32) -> Sum {
    Sum::default().over(addresses).add_word(protocol.into()).add_long(len)
}

/// The `checksum` after a 16-bit field that it covers changed from `old` to `new`
/// (RFC 1624, equation 3).
#[inline]
pub const fn update(checksum: u16, old: u16, new: u16) -> u16 {
    let sum = !checksum as u64 + !old as u64 + new as u64;
    !fold(sum)
}

/// [`update`] for a 32-bit field, such as an IPv4 address.
#[inline]
pub const fn update_long(checksum: u16, old: u32, new: u32) -> u16 {
    let checksum = update(checksum, (old >> 16) as u16, (new >> 16) as u16);
    update(checksum, old as u16, new as u16)
}

/// [`update`] for a 128-bit field, such as an IPv6 address.
#[inline]
pub fn update_wide(checksum: u16, old: u128, new: u128) -> u16 {
    (0..4).fold(checksum, |checksum, word| {
        update_long(checksum, (old >> (32 * word)) as u32, (new >> (32 * word)) as u32)
    })
}

/// [`update`] for UDP: a checksum of 0 means that there is none and stays; a sum that comes out as
/// 0 is sent as 0xffff (RFC 768).
#[inline]
pub const fn update_udp(checksum: u16, old: u16, new: u16) -> u16 {
    match checksum {
        0 => 0,
        _ => match update(checksum, old, new) {
            0 => 0xffff,
            updated => updated,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 1071 as it is written, without any of the tricks.
    fn slow(bytes: &[u8]) -> u16 {
        let mut sum = 0u32;
        for pair in bytes.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }

    fn noise(len: usize, seed: u32) -> Vec<u8> {
        let mut state = seed | 1;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        (0..len).map(|_| next()).collect()
    }

    #[test]
    fn the_example_of_rfc_1071() {
        assert_eq!(internet(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
    }

    #[test]
    fn equals_the_slow_sum_for_every_length() {
        for len in 0..300 {
            let bytes = noise(len, len as u32);
            assert_eq!(internet(&bytes), slow(&bytes), "{len} bytes");
            let bytes = vec![0xff; len];
            assert_eq!(internet(&bytes), slow(&bytes), "{len} bytes of ff");
        }
    }

    #[test]
    fn parts_add_up() {
        let bytes = noise(101, 7);
        for cut in (0..=100).step_by(2) {
            let sum = Sum::default().over(&bytes[..cut]).over(&bytes[cut..]);
            assert_eq!(sum.finish(), slow(&bytes));
        }
    }

    #[test]
    fn the_example_of_rfc_1624() {
        // Section 4: HC = 0xDD2F, m = 0x5555, m' = 0x3285; equation 3 gives 0x0000, not 0xFFFF.
        assert_eq!(update(0xdd2f, 0x5555, 0x3285), 0x0000);
    }

    #[test]
    fn an_update_equals_a_new_sum() {
        for seed in 0..2_000 {
            let mut bytes = noise(40, seed);
            let checksum = internet(&bytes);
            let old = u16::from_be_bytes([bytes[8], bytes[9]]);
            let new = if seed % 7 == 0 { 0 } else { !old ^ seed as u16 };
            bytes[8..10].copy_from_slice(&new.to_be_bytes());
            assert_eq!(update(checksum, old, new), internet(&bytes));

            let checksum = internet(&bytes);
            let old = u128::from_be_bytes(*bytes[16..].first_chunk().unwrap());
            let new = old.rotate_left(seed % 128) ^ 1;
            bytes[16..32].copy_from_slice(&new.to_be_bytes());
            assert_eq!(update_wide(checksum, old, new), internet(&bytes));
        }
    }

    #[test]
    fn udp_without_a_checksum_stays_without() {
        assert_eq!(update_udp(0, 1, 2), 0);
        assert_eq!(update_udp(0xdd2f, 0x5555, 0x3285), 0xffff);
    }
}
