//! Messages that came before their turn.

/// The most messages that are kept, and bytes of them. What is more comes again: all from the first
/// missing message on is asked for.
const MESSAGES_MAX: usize = 256;
const BYTES_MAX: usize = 1 << 20;

/// Messages that came before their turn, by number.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    kept: Vec<(u64, Box<[u8]>)>,
    bytes: usize,
}

impl Ahead {
    /// Keeps a message, if there is room and none of that number is kept.
    pub fn keep(&mut self, number: u64, message: &[u8]) {
        let is_known = self.kept.iter().any(|(kept, _)| *kept == number);
        let is_full = self.kept.len() == MESSAGES_MAX || self.bytes + message.len() > BYTES_MAX;
        if !is_known && !is_full {
            self.bytes += message.len();
            self.kept.push((number, message.into()));
        }
    }

    /// The message of that number, whose turn it is; forgets those before it.
    pub fn take(&mut self, number: u64) -> Option<Box<[u8]>> {
        if self.kept.is_empty() {
            return None;
        }
        self.forget_before(number);
        let at = self.kept.iter().position(|(kept, _)| *kept == number)?;
        let (_, message) = self.kept.swap_remove(at);
        self.bytes -= message.len();
        Some(message)
    }

    /// Forgets those before that number.
    pub fn forget_before(&mut self, number: u64) {
        self.kept.retain(|(kept, _)| *kept >= number);
        self.bytes = self.kept.iter().map(|(_, message)| message.len()).sum();
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        *self = Ahead::default();
    }
}
