//! Numbers for symbols, in the order in which they come.

use super::table::{Numbered, Table};
use crate::iex::Symbol;

/// Books of a feed that has symbols, at most; more than there are securities.
pub const BOOKS_MAX: usize = 1 << 16;

/// Symbols and their numbers.
#[derive(Clone, Debug)]
pub(super) struct Symbols {
    numbers: Table<Numbered>,
    symbols: Vec<Symbol>,
}

impl Symbols {
    pub(super) fn new() -> Self {
        Symbols { numbers: Table::new(0, BOOKS_MAX), symbols: Vec::new() }
    }

    /// The number of a symbol that came before.
    #[inline]
    pub(super) fn find(&self, symbol: Symbol) -> Option<u16> {
        let slot = self.numbers.find(u64::from_le_bytes(symbol.0))?;
        Some(self.numbers.at(slot).number())
    }

    /// The number of a symbol, a new one when it never came; `None` when there are no more.
    #[inline]
    pub(super) fn enter(&mut self, symbol: Symbol) -> Option<u16> {
        let key = u64::from_le_bytes(symbol.0);
        let vacant = match self.numbers.search(key) {
            Ok(slot) => return Some(self.numbers.at(slot).number()),
            Err(vacant) => vacant,
        };
        let number = u16::try_from(self.symbols.len()).ok()?;
        self.numbers.insert(vacant, Numbered::new(key, number));
        self.symbols.push(symbol);
        Some(number)
    }

    /// The symbol with that number.
    pub(super) fn get(&self, number: u16) -> Option<Symbol> {
        self.symbols.get(usize::from(number)).copied()
    }

    pub(super) fn clear(&mut self) {
        self.numbers.clear();
        self.symbols.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_numbered_as_they_come_up_to_a_limit() {
        let mut symbols = Symbols::new();
        let symbol = |at: usize| crate::Ascii((at as u64).to_be_bytes());
        for at in 0..BOOKS_MAX {
            assert_eq!(symbols.enter(symbol(at)), Some(at as u16));
        }
        assert_eq!((symbols.enter(symbol(BOOKS_MAX)), symbols.enter(symbol(9))), (None, Some(9)));
        assert_eq!((symbols.find(symbol(77)), symbols.get(77)), (Some(77), Some(symbol(77))));
        symbols.clear();
        assert_eq!((symbols.find(symbol(77)), symbols.get(77)), (None, None));
    }
}
