//! Whether a feed can be trusted at this moment: order, gaps, silence.
//!
//! Strategies and the market see the messages of a session in order, each once. What comes behind a
//! gap waits for what is missing ([`GapPolicy::Refuse`]) and, since it is old news then, is not
//! answered any more; or what is missing is given up at once ([`GapPolicy::UntilNext`]).

use crate::settings::{FeedSettings, GapPolicy};
use tickwire_market::packet::{Kind, Session};
use tickwire_market::protocol::Numbered;
use tickwire_market::recovery::InOrder;
use tickwire_market::sequence::{Freshness, New, Numbers, Range, Rules, Stream, Tracker, What};
use tickwire_market::{Packet, Protocol};

/// The most gaps that are open in a session: one more, and the oldest is lost for good.
const GAPS_MAX: usize = 256;
/// The most messages that wait behind a gap: one more, and what is missing is lost for good.
const WAITING_MESSAGES_MAX: usize = 4_096;
/// The longest message that can wait: a longer one has what is missing before it lost for good.
const WAITING_MESSAGE_BYTES_MAX: usize = 256;

/// What is to be done with the messages of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// Nothing: none is new.
    None,
    /// Those that [`Feed::is_next`] are new, and in order.
    InOrder,
    /// They wait for others: [`Feed::take_waiting`].
    Behind,
}

/// How a feed is, and what came of it since it began or its figures were reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeedState {
    /// Messages that were new.
    pub messages: u64,
    /// Datagrams that are none of the feed, or whose last messages were cut.
    pub malformed: u64,
    /// Messages of the session that are missing and may still come.
    pub missing: u64,
    /// Messages of the session that are not waited for any more.
    pub lost: u64,
    /// Messages that waited behind a gap and were abandoned: another session began.
    pub abandoned: u64,
    /// Nothing is sent on it: messages are missing or lost, or it is silent for too long. With
    /// [`GapPolicy::UntilNext`] what is lost makes single instruments stale, and not the feed.
    pub is_stale: bool,
}

/// What is known of a feed.
#[derive(Debug)]
pub(crate) struct Feed {
    protocol: Protocol,
    gap: GapPolicy,
    silence_ns_max: Option<u64>,
    tracker: Tracker<Session>,
    /// Which instruments had a message since messages were lost.
    seen: Freshness,
    session: Session,
    /// The number of the first message that counts: what is older is old.
    start: u64,
    /// One more than the number of the last message that was handed on.
    next: u64,
    /// What waits behind a gap, while one is open and can be waited for.
    is_waiting: bool,
    waiting: Option<InOrder>,
    messages: u64,
    malformed: u64,
    /// Messages that waited when another session began.
    abandoned: u64,
    packets: u64,
    last_packet_ns: Option<u64>,
    was_silent: bool,
    /// Messages were lost for good, or another session began, and nobody was told.
    has_lost: bool,
}

impl Feed {
    pub(crate) fn new(settings: &FeedSettings, instruments: usize) -> Self {
        let &FeedSettings { protocol, gap, silence_ns_max, .. } = settings;
        // Where packets are numbered, messages have no places of their own to wait in.
        let can_wait = gap == GapPolicy::Refuse && protocol.numbered() == Numbered::Messages;
        let waiting = || InOrder::new(0, WAITING_MESSAGES_MAX, WAITING_MESSAGE_BYTES_MAX);
        Feed {
            protocol,
            gap,
            silence_ns_max,
            tracker: Tracker::new(rules()),
            seen: Freshness::new(instruments),
            session: Session::Unnamed,
            start: 0,
            next: 0,
            is_waiting: false,
            waiting: can_wait.then(waiting),
            messages: 0,
            malformed: 0,
            abandoned: 0,
            packets: 0,
            last_packet_ns: None,
            was_silent: false,
            has_lost: false,
        }
    }

    pub(crate) fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Something came: a packet, or a message alone and without a number, which is always news.
    #[inline]
    pub(crate) fn came(&mut self, received_ns: u64) {
        self.packets += 1;
        if let Some(silence_ns_max) = self.silence_ns_max {
            let silent_ns = self.last_packet_ns.map_or(0, |last| received_ns.saturating_sub(last));
            self.was_silent = silent_ns > silence_ns_max;
            self.last_packet_ns = self.last_packet_ns.max(Some(received_ns));
        }
    }

    /// A packet came.
    #[inline]
    pub(crate) fn receive(&mut self, packet: &Packet<'_>, received_ns: u64) -> News {
        self.came(received_ns);
        let Some(mut numbers) = Numbers::of(packet) else {
            let unnumbered = packet.kind() == Kind::Unnumbered;
            return if unnumbered { News::InOrder } else { News::None };
        };
        if numbers.session != self.session {
            self.change_session(numbers.session, received_ns);
        }
        if numbers.first < self.start {
            return News::None;
        }
        if packet.protocol().numbered() == Numbered::Messages {
            // What a cut takes away is missing, whatever the header says.
            let readable = packet.messages().take_while(Result::is_ok).count() as u32;
            numbers.count = numbers.count.min(readable);
        }
        let new = self.tracker.receive(&numbers, received_ns, self.packets);
        if !self.tracker.events().is_empty() {
            self.note_events(received_ns);
        }
        match new {
            _ if packet.count() == 0 => News::None,
            New::None => News::None,
            _ if self.is_waiting => News::Behind,
            _ => News::InOrder,
        }
    }

    #[cold]
    fn change_session(&mut self, session: Session, now_ns: u64) {
        if self.is_waiting {
            // Should the session come back: what waited has not been seen by anybody.
            self.give_up(u64::MAX, now_ns);
            self.stop_waiting();
        }
        let known = self.tracker.sessions().find(|&(known, _)| known == session);
        (self.start, self.next) =
            known.map_or((0, 0), |(_, stream)| (stream.start(), stream.next()));
        (self.session, self.has_lost) = (session, true);
    }

    #[cold]
    fn note_events(&mut self, now_ns: u64) {
        let (mut begins, mut missing) = (false, None);
        for event in self.tracker.events() {
            match event.what {
                What::Began { .. } | What::Restarted { .. } => begins = true,
                What::Gap(gap) => missing = Some(gap.range),
                _ => {}
            }
        }
        if begins {
            self.has_lost = true;
            self.stop_waiting();
            self.seen.clear();
            self.next = 0;
            self.start = self.tracker.current().map_or(0, |(_, stream)| stream.start());
        }
        let Some(missing) = missing else { return };
        match &mut self.waiting {
            Some(waiting) if !self.is_waiting => {
                waiting.restart(missing.first);
                self.is_waiting = true;
            }
            Some(_) => {}
            None => drop(self.give_up(missing.last, now_ns)),
        }
    }

    /// Whether messages have been lost since this was asked last: what was made of all of them is
    /// not known any more.
    #[inline]
    pub(crate) fn take_lost(&mut self) -> bool {
        std::mem::take(&mut self.has_lost)
    }

    /// Whether the message of that number is the next one, or behind it.
    #[inline]
    pub(crate) fn is_next(&self, sequence: u64) -> bool {
        sequence >= self.next
    }

    /// All of a packet was handed on, and with it all that came so far.
    #[inline]
    pub(crate) fn handed_on(&mut self) {
        self.next = self.tracker_next();
    }

    /// The number of the message that has not come yet, nor been passed over.
    #[inline]
    fn tracker_next(&self) -> u64 {
        self.tracker.current().map_or(0, |(_, stream)| stream.next())
    }

    /// What waits behind the gap: give it back to [`settle`](Self::settle).
    pub(crate) fn take_waiting(&mut self) -> Option<InOrder> {
        self.waiting.take()
    }

    /// Whether to go on waiting.
    pub(crate) fn settle(&mut self, waiting: InOrder) {
        self.next = waiting.next();
        self.is_waiting = self.next < self.tracker_next();
        self.waiting = Some(waiting);
    }

    /// What waits is dropped.
    fn stop_waiting(&mut self) {
        if let Some(waiting) = self.waiting.as_mut().filter(|_| self.is_waiting) {
            self.abandoned += waiting.waiting() as u64;
            waiting.restart(0);
        }
        self.is_waiting = false;
    }

    /// What is missing up to `last` will not come; how much that is.
    pub(crate) fn give_up(&mut self, last: u64, now_ns: u64) -> u64 {
        self.has_lost = true;
        self.tracker.give_up(self.session, Range { first: 0, last }, now_ns)
    }

    /// Whether something of the instrument may be missing.
    #[inline]
    pub(crate) fn is_stale(&self, instrument: u32) -> bool {
        let has_gap = self.tracker.current().is_some_and(|(_, stream)| {
            stream.is_stale() || self.seen.is_stale(instrument as usize, stream)
        });
        has_gap || self.was_silent
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
        self.stop_waiting();
        self.tracker = Tracker::new(rules());
        self.seen.clear();
        (self.start, self.next) = (0, 0);
    }

    /// What came of a packet: messages of it, and of those that waited for it, were handed on.
    #[inline]
    pub(crate) fn count(&mut self, messages: u64, malformed: u64) {
        self.messages += messages;
        self.malformed += malformed;
    }

    /// Counts from 0 again.
    pub(crate) fn reset_counts(&mut self) {
        (self.messages, self.malformed, self.abandoned) = (0, 0, 0);
    }

    /// A packet came at `at_ns` to somebody else; when the last one came.
    pub(crate) fn heard(&mut self, at_ns: u64) -> u64 {
        self.last_packet_ns = self.last_packet_ns.max(Some(at_ns).filter(|at_ns| *at_ns > 0));
        self.last_packet_ns.unwrap_or(0)
    }

    /// How it is at `now_ns`, without another packet.
    pub(crate) fn state(&self, now_ns: u64) -> FeedState {
        let &Feed { messages, malformed, abandoned, .. } = self;
        let stream = self.tracker.current().map(|(_, stream)| stream);
        let silent_ns = self.last_packet_ns.map_or(0, |last| now_ns.saturating_sub(last));
        let is_silent = self.silence_ns_max.is_some_and(|max| silent_ns > max);
        let has_gap = stream.is_some_and(|stream| {
            let is_lost = self.gap == GapPolicy::Refuse && stream.incomplete_before() > 0;
            stream.is_stale() || is_lost
        });
        FeedState {
            messages,
            malformed,
            missing: stream.map_or(0, Stream::missing_messages),
            lost: stream.map_or(0, |stream| stream.counts().lost),
            abandoned,
            is_stale: has_gap || is_silent,
        }
    }
}

fn rules() -> Rules {
    Rules { gaps_max: GAPS_MAX, ..Rules::default() }
}
