//! Which instruments are up to date while a feed has missed something for good.

use super::Stream;

/// For each instrument, up to where its state is known whole.
///
/// While a gap is open or lost, every instrument may have changed in it, so all are stale. An
/// instrument is fresh again when the gap is filled (ask the [`Stream`]), or after a
/// message that tells its whole state: a snapshot, a cleared book, a statement that it has no
/// orders. Who keeps the books knows such messages, and calls
/// [`refresh`](Self::refresh) with their number.
#[derive(Clone, Debug)]
pub struct Freshness {
    known_before: Vec<u64>,
}

impl Freshness {
    /// For instruments 0 to `instruments` − 1: stock locates, places in an array. Nothing is
    /// allocated later; one beyond is always stale while anything is missing.
    pub fn new(instruments: usize) -> Self {
        Freshness { known_before: vec![0; instruments] }
    }

    /// The whole state of `instrument` is known with message `sequence`: of a snapshot that comes
    /// beside the stream, the last message that it includes.
    pub fn refresh(&mut self, instrument: usize, sequence: u64) {
        if let Some(known) = self.known_before.get_mut(instrument) {
            *known = (*known).max(sequence.saturating_add(1));
        }
    }

    /// The same of all instruments.
    pub fn refresh_all(&mut self, sequence: u64) {
        let known = sequence.saturating_add(1);
        self.known_before.iter_mut().for_each(|before| *before = known.max(*before));
    }

    /// Whether everything of `instrument` that was said before message `before` is known.
    #[inline]
    pub fn knows(&self, instrument: usize, before: u64) -> bool {
        self.known_before.get(instrument).copied().unwrap_or(0) >= before
    }

    /// Whether something may have happened to `instrument` that is not known.
    #[inline]
    pub fn is_stale(&self, instrument: usize, stream: &Stream) -> bool {
        !self.knows(instrument, stream.incomplete_before())
    }

    /// Forgets what was refreshed: the numbers began again, in another session or after a restart.
    pub fn clear(&mut self) {
        self.known_before.fill(0);
    }
}
