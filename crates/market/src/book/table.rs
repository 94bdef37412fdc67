//! A map from integers for orders, symbols and security ids: open addressing in one array.
//!
//! Made for keys that are given out in their order: eight that follow each other share a place, so
//! that orders that come together lie together, and a change of one of them mostly finds its line
//! in the cache. Where these places are is mixed with a number of this table's own, so that nobody
//! can choose keys that meet. A key goes into the first vacant slot from its own on; when it goes,
//! those behind it move up, so that there are no slots that only mark a removal.

use std::hash::{BuildHasher, RandomState};

/// Keys that follow each other and lie together, as a power of two.
const TOGETHER_BITS: u32 = 3;

/// The fewest slots.
const SLOTS_MIN: usize = 1 << 6;

/// What a slot holds.
pub(super) trait Entry: Copy {
    /// Of a slot that holds nothing.
    const VACANT: Self;

    /// Whether it is that.
    fn is_vacant(&self) -> bool;

    /// What it is found by.
    fn key(&self) -> u64;
}

/// Entries by their keys; a quarter of the slots is always vacant, which ends every search.
#[derive(Clone, Debug)]
pub(super) struct Table<E> {
    slots: Vec<E>,
    /// How far the mixed bits are shifted to be the number of a place.
    shift: u32,
    len: usize,
    /// Entries for which there are slots, and entries at all.
    room: usize,
    len_max: usize,
    seed: u64,
}

/// Slots for so many entries.
fn slots_for(entries: usize) -> usize {
    entries.saturating_add(entries.div_ceil(3)).next_power_of_two().max(SLOTS_MIN)
}

impl<E: Entry> Table<E> {
    /// Room for `entries` at once, and for at most `len_max` at all.
    pub(super) fn new(entries: usize, len_max: usize) -> Self {
        let seed = RandomState::new().hash_one(0);
        let mut table = Table { slots: Vec::new(), shift: 0, len: 0, room: 0, len_max, seed };
        table.resize(slots_for(entries.min(len_max)));
        table
    }

    /// How many entries.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// How many slots.
    pub(super) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// All entries, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &E> + '_ {
        self.slots.iter().filter(|entry| !entry.is_vacant())
    }

    /// No entries.
    pub(super) fn clear(&mut self) {
        self.slots.fill(E::VACANT);
        self.len = 0;
    }

    /// The slot that a key has when nothing is in its way.
    #[inline]
    pub(super) fn home(&self, key: u64) -> usize {
        const ODD: u128 = 0x9e37_79b9_7f4a_7c15;
        let mixed = u128::from((key >> TOGETHER_BITS) ^ self.seed) * ODD;
        let place = ((mixed >> 64) as u64 ^ mixed as u64) >> self.shift;
        (place as usize) << TOGETHER_BITS | (key as usize & ((1 << TOGETHER_BITS) - 1))
    }

    #[inline]
    fn mask(&self) -> usize {
        self.slots.len() - 1
    }

    /// The slot of `key`, or the vacant one that it would have; good until an entry comes or goes.
    #[inline]
    pub(super) fn search(&self, key: u64) -> Result<usize, usize> {
        let mut at = self.home(key);
        loop {
            let entry = &self.slots[at];
            if entry.is_vacant() {
                return Err(at);
            }
            if entry.key() == key {
                return Ok(at);
            }
            at = (at + 1) & self.mask();
        }
    }

    /// The slot of `key`; good until an entry comes or goes.
    #[inline]
    pub(super) fn find(&self, key: u64) -> Option<usize> {
        self.search(key).ok()
    }

    /// Entries of the slots from `home` on, in two lines of memory: to have them in the cache.
    #[inline]
    pub(super) fn ahead(&self, home: usize) -> [&E; 2] {
        [&self.slots[home], &self.slots[(home + 2) & self.mask()]]
    }

    /// The entry of a slot from [`find`](Table::find).
    #[inline]
    pub(super) fn at(&self, slot: usize) -> E {
        self.slots[slot]
    }

    /// The same, to change everything but its key.
    #[inline]
    pub(super) fn at_mut(&mut self, slot: usize) -> &mut E {
        &mut self.slots[slot]
    }

    /// Enters an entry whose key is not there, into the slot that [`search`](Table::search) gave
    /// for it; `false` when there is no room for more.
    #[inline]
    pub(super) fn insert(&mut self, vacant: usize, entry: E) -> bool {
        debug_assert_eq!(self.search(entry.key()), Err(vacant));
        if self.len >= self.room {
            return self.insert_growing(entry);
        }
        self.slots[vacant] = entry;
        self.len += 1;
        true
    }

    #[cold]
    fn insert_growing(&mut self, entry: E) -> bool {
        if self.len >= self.len_max {
            return false;
        }
        self.resize(self.slots.len() * 2);
        let (Ok(at) | Err(at)) = self.search(entry.key());
        self.insert(at, entry)
    }

    /// Empties a slot from [`find`](Table::find).
    #[inline]
    pub(super) fn remove(&mut self, slot: usize) {
        let (mut hole, mut next) = (slot, slot);
        loop {
            next = (next + 1) & self.mask();
            let entry = self.slots[next];
            if entry.is_vacant() {
                break;
            }
            // It may move up when its search begins at the hole or before.
            let from_home = next.wrapping_sub(self.home(entry.key())) & self.mask();
            if from_home >= next.wrapping_sub(hole) & self.mask() {
                self.slots[hole] = entry;
                hole = next;
            }
        }
        self.slots[hole] = E::VACANT;
        self.len -= 1;
    }

    /// Keeps only entries that `keep` wants.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&E) -> bool) {
        for entry in &mut self.slots {
            if !entry.is_vacant() && !keep(entry) {
                *entry = E::VACANT;
            }
        }
        // Now there are holes where a search would end too early.
        self.resize(self.slots.len());
    }

    #[cold]
    fn resize(&mut self, slots: usize) {
        let old = std::mem::replace(&mut self.slots, vec![E::VACANT; slots]);
        self.shift = u64::BITS - (slots.trailing_zeros() - TOGETHER_BITS);
        self.room = (slots / 4 * 3).min(self.len_max);
        self.len = 0;
        for entry in old.into_iter().filter(|entry| !entry.is_vacant()) {
            let (Ok(at) | Err(at)) = self.search(entry.key());
            self.slots[at] = entry;
            self.len += 1;
        }
    }
}

/// A number found by a key: of a book by its symbol or security id.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbered {
    pub(super) key: u64,
    /// The number and 1.
    next: u32,
}

impl Numbered {
    pub(super) fn new(key: u64, number: u16) -> Self {
        Numbered { key, next: u32::from(number) + 1 }
    }

    #[inline]
    pub(super) fn number(&self) -> u16 {
        (self.next - 1) as u16
    }
}

impl Entry for Numbered {
    const VACANT: Self = Numbered { key: 0, next: 0 };

    #[inline]
    fn is_vacant(&self) -> bool {
        self.next == 0
    }

    #[inline]
    fn key(&self) -> u64 {
        self.key
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// Every key there is, dense, scattered and colliding runs, against the map of the library.
    #[test]
    fn it_is_a_map() {
        let mut state = 1_u64;
        let mut random = move |below: u64| {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            (state >> 33) % below
        };
        let key_makers: [fn(u64) -> u64; 4] =
            [|i| i, |i| u64::MAX - i, |i| i << 40, |i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)];
        for make_key in key_makers {
            let mut table = Table::<Numbered>::new(0, 400);
            let mut model = HashMap::new();
            for step in 0..20_000 {
                let key = make_key(random(600));
                match (table.find(key), model.get(&key)) {
                    (Some(slot), Some(&number)) => {
                        assert_eq!(table.at(slot).number(), number);
                        if random(2) == 0 {
                            table.remove(slot);
                            model.remove(&key);
                        }
                    }
                    (None, None) => {
                        let number = step as u16;
                        let vacant = table.search(key).unwrap_err();
                        let entered = table.insert(vacant, Numbered::new(key, number));
                        assert_eq!(entered, model.len() < 400);
                        if entered {
                            model.insert(key, number);
                        }
                    }
                    (found, expected) => panic!("{key}: {found:?}, {expected:?}"),
                }
                assert_eq!(table.len(), model.len());
            }
            let all: HashMap<u64, u16> = table.iter().map(|e| (e.key, e.number())).collect();
            assert_eq!(all, model);
            table.retain(|entry| entry.number() % 3 == 0);
            model.retain(|_, number| *number % 3 == 0);
            assert_eq!(table.len(), model.len());
            assert!(model.keys().all(|&key| table.find(key).is_some()));
            table.clear();
            assert_eq!((table.len(), table.iter().count()), (0, 0));
        }
    }

    #[test]
    fn it_grows_with_its_entries_alone() {
        assert_eq!([0, 48, 49].map(slots_for), [SLOTS_MIN, 64, 128]);
        let mut table = Table::<Numbered>::new(0, usize::MAX);
        for i in 0..10_000_u64 {
            let vacant = table.search(i << 32).unwrap_err();
            assert!(table.insert(vacant, Numbered::new(i << 32, 0)));
        }
        assert_eq!(table.slots.len(), 16_384);
        let roomy = Table::<Numbered>::new(10_000, 5_000);
        assert_eq!(roomy.slots.len(), 8_192);
    }
}
