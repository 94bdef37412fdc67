//! Long lists of values as memory that generated code looks into, in the kernel and here.
//!
//! * Values of at most 16 bits (ports): a bitmap of 8 KiB.
//! * Others (addresses): two-choice hashing. Every key lies in one of two places that its hashes
//!   name, so a look-up is two loads at most, and there is no chain to walk. Places that are left
//!   over hold some key of the list, not a mark: whoever finds his key there is in the list.
//!
//! For eBPF the bytes become the only value of an array map; native code has their address.

/// From how many values on eBPF uses a table: below, comparisons are as fast.
pub const LIST_VALUES_MIN: usize = 16;
/// The largest table, as a power of two of places: 8 MiB.
const BITS_MAX: u32 = 21;
/// How often building is tried with other multipliers before the table is doubled.
const ATTEMPTS_MAX: u32 = 8;
/// How often keys may push each other aside while one is put in.
const MOVES_MAX: usize = 200;
/// Bytes of a bitmap.
const BITMAP_BYTES: usize = 8192;

/// A table; for eBPF, to be put into a map by whoever loads the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The only value of an array map (4-byte key, one entry) of this size.
    pub bytes: Vec<u8>,
    pub(crate) kind: Kind,
}

/// How a table is looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Bit `v` is set for each value.
    Bitmap,
    /// `2^bits` places of four bytes; the key lies at one of its two hashes.
    Hash {
        /// Power of two of the places.
        bits: u32,
        /// Of the hashes.
        multipliers: [u32; 2],
    },
}

impl Table {
    /// A table of those of `values` that are not above `largest`, as no key is; none when they are
    /// too many.
    pub(crate) fn new(values: impl Iterator<Item = u32>, largest: u32) -> Option<Table> {
        let values: Vec<u32> = values.filter(|value| *value <= largest).collect();
        if largest <= 0xffff { Some(bitmap(&values)) } else { hash(&values) }
    }

    /// Whether it holds `value`, as the program finds out.
    #[cfg(test)]
    fn contains(&self, value: u32) -> bool {
        match self.kind {
            Kind::Bitmap => self.bytes[value as usize / 8] >> (value % 8) & 1 == 1,
            Kind::Hash { bits, multipliers } => multipliers.iter().any(|multiplier| {
                let at = 4 * place(value, *multiplier, bits);
                self.bytes[at..at + 4] == value.to_ne_bytes()
            }),
        }
    }
}

fn bitmap(values: &[u32]) -> Table {
    // In words of 64 bits, as the program reads them.
    let mut words = vec![0u64; BITMAP_BYTES / 8];
    for value in values {
        words[*value as usize / 64] |= 1 << (value % 64);
    }
    Table { bytes: words.iter().flat_map(|word| word.to_ne_bytes()).collect(), kind: Kind::Bitmap }
}

/// The place of a key: the upper bits of a product.
fn place(key: u32, multiplier: u32, bits: u32) -> usize {
    (key.wrapping_mul(multiplier) >> (32 - bits)) as usize
}

fn hash(values: &[u32]) -> Option<Table> {
    let mut keys = values.to_vec();
    keys.sort_unstable();
    keys.dedup();
    // At most 40 % full, where two choices practically always do.
    let mut bits = (keys.len() * 5 / 2).next_power_of_two().ilog2().max(4);
    let mut state = 0x9e37_79b9_u32;
    while bits <= BITS_MAX {
        for _ in 0..ATTEMPTS_MAX {
            let multipliers = [multiplier(&mut state), multiplier(&mut state)];
            if let Some(places) = fill(&keys, bits, multipliers) {
                let bytes = places.iter().flat_map(|key| key.to_ne_bytes()).collect();
                return Some(Table { bytes, kind: Kind::Hash { bits, multipliers } });
            }
        }
        bits += 1;
    }
    None
}

/// The next odd multiplier (xorshift32, Marsaglia 2003).
fn multiplier(state: &mut u32) -> u32 {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    *state | 1
}

/// Cuckoo hashing (Pagh and Rodler 2001): a newcomer pushes out who is in its place, who then goes
/// to its other place.
fn fill(keys: &[u32], bits: u32, multipliers: [u32; 2]) -> Option<Vec<u32>> {
    let mut places: Vec<Option<u32>> = vec![None; 1 << bits];
    for &key in keys {
        let mut key = key;
        let mut at = place(key, multipliers[0], bits);
        let mut moves = 0;
        while let Some(other) = places[at].replace(key) {
            moves += 1;
            if moves > MOVES_MAX {
                return None;
            }
            key = other;
            let [first, second] = multipliers.map(|multiplier| place(key, multiplier, bits));
            at = if at == first { second } else { first };
        }
    }
    let some = *keys.first()?;
    Some(places.into_iter().map(|key| key.unwrap_or(some)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(values: &[u32], largest: u32, others: impl Iterator<Item = u32>) -> Table {
        let table = Table::new(values.iter().copied(), largest).unwrap();
        assert!(values.iter().all(|value| table.contains(*value)));
        let known: std::collections::HashSet<u32> = values.iter().copied().collect();
        for other in others {
            assert_eq!(table.contains(other), known.contains(&other), "{other:#x}");
        }
        table
    }

    #[test]
    fn ports_are_a_bitmap() {
        let ports: Vec<u32> = (0..=0xffff).step_by(97).collect();
        assert_eq!(check(&ports, 0xffff, 0..=0xffff).bytes.len(), BITMAP_BYTES);
    }

    #[test]
    fn addresses_are_found_and_others_are_not() {
        // In a row, in a row of the other byte order, and scattered.
        let shapes: [fn(u32) -> u32; 3] = [
            |n| 0x0a00_0000 + n,
            |n| (0x0a00_0000 + n).swap_bytes(),
            |n| n.wrapping_mul(0x9e37_79b1) ^ 0x5555,
        ];
        for shape in shapes {
            for count in [16, 17, 1000, 10_000] {
                let keys: Vec<u32> = (0..count).map(shape).collect();
                let table = check(&keys, u32::MAX, (0..40_000).map(shape));
                assert!(table.bytes.len() <= 4 * 8 * count.max(4) as usize, "{count}");
            }
        }
    }

    #[test]
    fn zero_and_the_largest_are_values_like_others() {
        let keys: Vec<u32> = (0..20).map(|n| if n == 0 { 0 } else { u32::MAX - n + 1 }).collect();
        check(&keys, u32::MAX, (0..100).chain(u32::MAX - 100..=u32::MAX));
    }

    #[test]
    fn a_list_beyond_all_limits_is_refused() {
        let keys: Vec<u32> = (0..(1 << BITS_MAX) + 1).collect();
        assert_eq!(Table::new(keys.into_iter(), u32::MAX), None);
    }
}
