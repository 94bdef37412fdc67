//! When packets came first, to see how far the others are behind.

/// How many messages back a packet is remembered.
const RECENT_MESSAGES: usize = 4_096;

/// The packets of the last messages, by the number of their first one.
#[derive(Clone, Debug)]
pub(super) struct Recent(Box<[Entry]>);

/// Which numbers are meant: a session, and how often it has restarted.
type Era = (usize, u32);

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    first: u64,
    at_ns: u64,
    era: Era,
    /// One more than the line; 0: nothing is here.
    line: u8,
}

impl Recent {
    pub(super) fn new() -> Self {
        Recent(vec![Entry::default(); RECENT_MESSAGES].into())
    }

    /// Numbers mean something else from now on.
    pub(super) fn clear(&mut self) {
        self.0.fill(Entry::default());
    }

    /// A packet that begins with `first` came on `line`.
    #[inline]
    pub(super) fn put(&mut self, first: u64, era: Era, line: u8, at_ns: u64) {
        self.0[place(first)] = Entry { first, at_ns, era, line: line + 1 };
    }

    /// When a packet that begins with `first` came on another line.
    #[inline]
    pub(super) fn get(&self, first: u64, era: Era, line: u8) -> Option<u64> {
        let entry = self.0[place(first)];
        let other = entry.line != 0 && entry.line != line + 1;
        (other && entry.first == first && entry.era == era).then_some(entry.at_ns)
    }
}

#[inline]
fn place(first: u64) -> usize {
    first as usize % RECENT_MESSAGES
}
