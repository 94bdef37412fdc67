//! What a responder has done, in all and of each rule and instrument.

use crate::decision::Outcome;
use tickwire_frame::Counters;

/// What a responder has done since it began, or was [reset](crate::Responder::reset_counts).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Datagrams.
    pub packets: u64,
    /// Datagrams without anything new: sent again, of another line, heartbeats.
    pub packets_without_news: u64,
    /// Datagrams that are none of their feed.
    pub packets_unreadable: u64,
    /// Messages that were new.
    pub messages: u64,
    /// Of these, those of an instrument that is configured.
    pub ticks: u64,
    /// Messages that were cut; what follows in their datagram was not read.
    pub messages_cut: u64,
    /// What strategies wanted: `orders` and all `refused` together.
    pub intents: u64,
    /// Orders that were handed to their target.
    pub orders: u64,
    /// What was refused, by reason.
    pub refused: Counters,
}

impl Counts {
    /// Messages that were new, and packets that could not be read to their end.
    #[inline]
    pub(crate) fn read(&self) -> (u64, u64) {
        (self.messages, self.packets_unreadable + self.messages_cut)
    }
}

/// Orders and refusals of a rule or an instrument.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Orders that were handed to their target.
    pub orders: u64,
    /// What was refused, by reason.
    pub refused: Counters,
}

impl Tally {
    #[inline]
    pub(crate) fn add(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Ordered(_) => self.orders += 1,
            Outcome::Refused(reason) => self.refused.add(reason, 1),
        }
    }
}
