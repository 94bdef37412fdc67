//! What became of a trigger.

use crate::order::Intent;
use tickwire_frame::Reason;

/// A strategy wanted an order; this is what became of it. One for each intent, none for messages
/// that no rule cares for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What was wanted.
    pub intent: Intent,
    /// The feed whose message was the trigger: its place in the configuration.
    pub feed: u16,
    /// What tells the trigger from every other of its feed: the sequence number of the message or,
    /// where there are none, its own time stamp.
    pub trigger: u64,
    /// When the message was received, in nanoseconds since 1970 UTC.
    pub received_ns: u64,
    /// What became of it.
    pub outcome: Outcome,
}

/// Sent, or refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was handed to its target as the order of this number.
    Ordered(u64),
    /// This check, or the target, refused it.
    Refused(Reason),
}
