//! What a scanner finds at the front of the bytes.

/// What stands at the front, when it is no fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A whole packet.
    Packet,
    /// Something else, this many bytes long, that has been dealt with.
    Done(usize),
    /// Not known before this many bytes are there.
    Need(usize),
    /// The end, though bytes may follow it.
    End,
}

/// A file that breaks its format.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Where, in bytes from the start of the record or block.
    pub(super) at: usize,
    /// What is wrong.
    pub(super) what: String,
    /// What the user can do.
    pub(super) cure: &'static str,
}

/// What helps against most faults.
const CURE_DAMAGE: &str =
    "the file is damaged from here on: copy it again from where it was written, or capture again";

impl Fault {
    /// Damage, unless [`cure`](Self::cure) knows better.
    #[cold]
    pub(super) fn new(at: usize, what: impl Into<String>) -> Fault {
        Fault { at, what: what.into(), cure: CURE_DAMAGE }
    }

    pub(super) fn cure(self, cure: &'static str) -> Fault {
        Fault { cure, ..self }
    }
}
