//! What happens to a sequence beside that it goes on.

use super::{Arrival, Range};

/// Numbers that were passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Which numbers: of an event, those that it is about.
    pub range: Range,
    /// When the packet came that showed it.
    pub opened_ns: u64,
    /// Which packet that was, in the count of the caller.
    pub opened_packet: u64,
    /// On which line it came; 0 where there is one only.
    pub line: u8,
    /// What it was.
    pub cause: Cause,
}

/// What showed a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// A later message.
    Message,
    /// A heartbeat: the last messages before a silence are missing.
    Heartbeat,
    /// The end of the session: its last messages are missing.
    End,
    /// The first packet of a session.
    Beginning,
    /// A restart that had to be confirmed: packets of the new stream until then.
    Restart,
}

/// What filled a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum How {
    /// The packet came late, on the line that had shown the gap.
    Late,
    /// Another line.
    OtherLine,
    /// The answer to a request.
    Retransmission,
}

/// Why a gap will not be filled any more. What comes of it still is too late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// [`give_up`](super::Tracker::give_up) was called.
    GivenUp,
    /// More gaps were open than [`Rules::gaps_max`](super::Rules::gaps_max).
    Overflow,
    /// The stream restarted, and the numbers mean something else now.
    Restart,
    /// Its session was forgotten: more came than
    /// [`Rules::sessions_max`](super::Rules::sessions_max).
    Forgotten,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A session was seen for the first time, and began with this number.
    Began {
        /// The first number: of a message, or the next one to be sent.
        first: u64,
    },
    /// A gap: open from now on.
    Gap(Gap),
    /// A gap, or a part of it, was filled.
    Filled(Gap, How),
    /// A gap, or a part of it, will not be filled.
    Lost(Gap, Why),
    /// The numbers began again in the same session.
    Restarted {
        /// The number that would have been next.
        before: u64,
    },
    /// The stream was believed to be more than [`Rules::jump_max`](super::Rules::jump_max) ahead:
    /// the gap follows.
    Jumped {
        /// By how many messages.
        by: u64,
    },
    /// The session ended; said once.
    Ended {
        /// One more than the number of its last message.
        next: u64,
        /// How many messages are missing then.
        missing: u64,
    },
    /// The session is not followed any more; what was open of it has been lost.
    Forgotten,
}

/// What happened, in which session, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<S> {
    /// The session.
    pub session: S,
    /// How often its numbers had begun again: 0 unless it restarted.
    pub generation: u32,
    /// When: the time that the caller gave.
    pub at_ns: u64,
    /// With which packet, in the count of the caller.
    pub packet: u64,
    /// What.
    pub what: What,
}

/// The events and the new numbers of the packet at hand.
#[derive(Clone, Debug)]
pub(crate) struct Log<S> {
    pub(crate) arrival: Arrival,
    pub(crate) generation: u32,
    pub(crate) events: Vec<Event<S>>,
    pub(crate) fresh: Vec<Range>,
    session: Option<S>,
}

impl<S: Copy> Log<S> {
    /// For as many events as `gaps_max` gaps can make at once.
    pub(crate) fn new(gaps_max: usize) -> Self {
        // Of one packet at most: each gap is filled, or told of and lost; a piece more than there
        // are gaps, and a few others.
        let events = Vec::with_capacity(3 * gaps_max + 16);
        let (arrival, fresh) = (Arrival::default(), Vec::with_capacity(gaps_max + 4));
        Log { arrival, generation: 0, events, fresh, session: None }
    }

    /// Forgets the packet before.
    #[inline]
    pub(crate) fn begin(&mut self, arrival: Arrival) {
        self.arrival = arrival;
        self.events.clear();
        self.fresh.clear();
    }

    /// What follows is about that session.
    #[inline]
    pub(crate) fn of(&mut self, session: S) -> &mut Self {
        self.session = Some(session);
        self
    }

    pub(crate) fn push(&mut self, what: What) {
        let Some(session) = self.session else { return };
        let Arrival { at_ns, packet, .. } = self.arrival;
        self.events.push(Event { session, generation: self.generation, at_ns, packet, what });
    }
}
