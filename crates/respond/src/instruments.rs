//! The instruments of a configuration, to be found by their symbols.

/// A symbol, ASCII, padded with spaces on the right.
pub type Symbol = [u8; 8];

/// What is traded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instrument {
    /// Its symbol, on every feed and target.
    pub symbol: Symbol,
    /// Its smallest change of price, in units of the [`Scale`](crate::Scale): above 0.
    pub tick: i64,
}

impl Instrument {
    /// The symbol without its padding.
    pub fn name(&self) -> &str {
        std::str::from_utf8(&self.symbol).unwrap_or_default().trim_end()
    }
}

/// `text` as a symbol; `None` when it is empty, longer than eight characters or has others than
/// printable ASCII without spaces.
pub fn symbol(text: &str) -> Option<Symbol> {
    let mut symbol = [b' '; 8];
    symbol.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())).then_some(symbol)
}

/// The instruments, each with its place in the configuration as its number.
#[derive(Clone, Debug)]
pub struct Instruments {
    list: Vec<Instrument>,
    /// Open addressing: numbers by the hash of the symbol, at most half of the slots taken.
    slots: Vec<Slot>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    key: u64,
    number: u32,
}

/// No instrument has this number.
const VACANT: u32 = u32::MAX;

impl Instruments {
    /// Of a list; the place of the second one with the same symbol when there are two.
    pub(crate) fn new(list: Vec<Instrument>) -> Result<Self, usize> {
        let slots = (2 * list.len()).next_power_of_two().max(2);
        let mut found =
            Instruments { list: Vec::new(), slots: vec![Slot { key: 0, number: VACANT }; slots] };
        for (number, instrument) in list.iter().enumerate() {
            let key = u64::from_le_bytes(instrument.symbol);
            let slot = found.slot(key);
            if found.slots[slot].number != VACANT {
                return Err(number);
            }
            found.slots[slot] = Slot { key, number: number as u32 };
        }
        found.list = list;
        Ok(found)
    }

    /// The number of the instrument with that symbol.
    #[inline]
    pub fn find(&self, symbol: Symbol) -> Option<u32> {
        let key = u64::from_le_bytes(symbol);
        let number = self.slots[self.slot(key)].number;
        (number != VACANT).then_some(number)
    }

    /// Where a symbol is, or would be.
    #[inline]
    fn slot(&self, key: u64) -> usize {
        let mask = self.slots.len() - 1;
        // The upper bits of the product are those that every byte of the symbol reaches.
        let hash = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - mask.count_ones());
        let mut at = hash as usize;
        // Half of the slots are vacant.
        while self.slots[at].number != VACANT && self.slots[at].key != key {
            at = (at + 1) & mask;
        }
        at
    }

    /// The instrument of a number.
    pub fn get(&self, number: u32) -> Option<&Instrument> {
        self.list.get(number as usize)
    }

    /// All of them, in the order of their numbers.
    pub fn iter(&self) -> std::slice::Iter<'_, Instrument> {
        self.list.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instrument(text: &str) -> Instrument {
        Instrument { symbol: symbol(text).unwrap(), tick: 1 }
    }

    #[test]
    fn instruments_are_found_by_their_symbols() {
        let all: Vec<_> = (0..5_000).map(|at| instrument(&format!("S{at}"))).collect();
        let instruments = Instruments::new(all).unwrap();
        for (number, instrument) in (0..).zip(instruments.iter()) {
            assert_eq!(instruments.find(instrument.symbol), Some(number));
        }
        assert_eq!((instruments.find(*b"S5000   "), instruments.find([0; 8])), (None, None));
        assert_eq!(instruments.get(7).unwrap().name(), "S7");
        assert_eq!(Instruments::new(vec![]).unwrap().find(*b"AAPL    "), None);
        let twice = ["A", "B", "A"].map(instrument).to_vec();
        assert_eq!(Instruments::new(twice).unwrap_err(), 2);
    }

    #[test]
    fn symbols_are_printable_and_fit() {
        assert_eq!(symbol("AAPL"), Some(*b"AAPL    "));
        for text in ["", "NINECHARS", "A B", "Ä", "\0"] {
            assert_eq!(symbol(text), None, "{text:?}");
        }
    }
}
