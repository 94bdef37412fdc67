//! Whether a feed can be trusted at this moment: gaps, silence.

use crate::settings::{FeedSettings, GapPolicy};
use tickwire_market::packet::Session;
use tickwire_market::sequence::{Freshness, New, Numbers, Range, Rules, Tracker, What};
use tickwire_market::{Packet, Protocol};

/// The most gaps that are remembered of a session: one more, and the oldest is lost for good.
const GAPS_MAX: usize = 256;

/// What is known of a feed.
#[derive(Debug)]
pub(crate) struct Feed {
    protocol: Protocol,
    gap: GapPolicy,
    silence_ns_max: Option<u64>,
    tracker: Tracker<Session>,
    /// Which instruments had a message since messages were lost.
    seen: Freshness,
    packets: u64,
    last_packet_ns: u64,
    was_silent: bool,
    /// A gap has opened, and nobody was told.
    has_gap: bool,
}

impl Feed {
    pub(crate) fn new(settings: &FeedSettings, instruments: usize) -> Self {
        let &FeedSettings { protocol, gap, silence_ns_max, .. } = settings;
        let rules = Rules { gaps_max: GAPS_MAX, ..Rules::default() };
        Feed {
            protocol,
            gap,
            silence_ns_max,
            tracker: Tracker::new(rules),
            seen: Freshness::new(instruments),
            packets: 0,
            last_packet_ns: 0,
            was_silent: false,
            has_gap: false,
        }
    }

    pub(crate) fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// A packet came; which of its messages are new: all of a protocol without numbers, none of a
    /// heartbeat or a request.
    #[inline]
    pub(crate) fn receive(&mut self, packet: &Packet<'_>, received_ns: u64) -> New {
        self.packets += 1;
        let silent_ns = received_ns.saturating_sub(self.last_packet_ns);
        let had_one = self.last_packet_ns != 0;
        self.was_silent = had_one && self.silence_ns_max.is_some_and(|max| silent_ns > max);
        self.last_packet_ns = self.last_packet_ns.max(received_ns);
        let Some(mut numbers) = Numbers::of(packet) else {
            let unnumbered = packet.kind() == tickwire_market::Kind::Unnumbered;
            return if unnumbered { New::All } else { New::None };
        };
        // What a cut takes away is missing, whatever the header says.
        let readable = packet.messages().take_while(Result::is_ok).count() as u32;
        if packet.protocol().numbered() == tickwire_market::protocol::Numbered::Messages {
            numbers.count = numbers.count.min(readable);
        }
        let new = self.tracker.receive(&numbers, received_ns, self.packets);
        if !self.tracker.events().is_empty() {
            self.note_events(received_ns);
        }
        if packet.count() == 0 { New::None } else { new }
    }

    #[cold]
    fn note_events(&mut self, now_ns: u64) {
        let mut missing = None;
        for event in self.tracker.events() {
            match event.what {
                What::Began { .. } | What::Restarted { .. } => self.seen.clear(),
                What::Gap(gap) => missing = Some((event.session, gap.range)),
                _ => {}
            }
        }
        self.has_gap |= missing.is_some();
        if let (GapPolicy::UntilNext, Some((session, Range { last, .. }))) = (self.gap, missing) {
            self.tracker.give_up(session, Range { first: 0, last }, now_ns);
        }
    }

    /// Whether a gap has opened since this was asked last.
    #[inline]
    pub(crate) fn take_gap(&mut self) -> bool {
        std::mem::take(&mut self.has_gap)
    }

    /// Whether the message of that number is new, in a packet of which some are.
    #[inline]
    pub(crate) fn is_fresh(&self, sequence: u64) -> bool {
        self.tracker.fresh().iter().any(|range| (range.first..=range.last).contains(&sequence))
    }

    /// Whether something of the instrument may be missing.
    #[inline]
    pub(crate) fn is_stale(&self, instrument: u32) -> bool {
        let gap = self.tracker.current().is_some_and(|(_, stream)| {
            stream.is_stale() || self.seen.is_stale(instrument as usize, stream)
        });
        gap || self.was_silent
    }

    /// A message of the instrument was decided on: from now on it is known again, if that is
    /// enough.
    #[inline]
    pub(crate) fn seen(&mut self, instrument: u32, sequence: u64) {
        if self.gap == GapPolicy::UntilNext {
            self.seen.refresh(instrument as usize, sequence);
        }
    }

    /// What is missing is not waited for any more, and all is taken for known.
    pub(crate) fn forget_gaps(&mut self) {
        let rules = Rules { gaps_max: GAPS_MAX, ..Rules::default() };
        self.tracker = Tracker::new(rules);
        self.seen.clear();
    }

    /// How many messages are missing in the session of the last packet.
    pub(crate) fn missing(&self) -> u64 {
        self.tracker.current().map_or(0, |(_, stream)| stream.missing_messages())
    }
}
