//! Two or three lines of a feed merged into one: each message once, from the line on which it came
//! first.
//!
//! [`Arbiter::receive`] says of each packet which of its messages are new. They are passed on at
//! once, in the order of arrival: nothing is held back, so the merged feed is as early as the
//! earliest line, message by message, and a message that only the slower line has comes after
//! later ones. Lines may cut their packets differently: numbers count, not packets.
//!
//! # When a gap is told of
//!
//! What one line passed over, the other may still bring. It becomes a gap ([`What::Gap`]), for
//! which one may ask again, when every *live* line has passed it as well, or
//! [`Settings::gap_hold_ns`] after it was noticed, whichever is first. What comes later all the
//! same fills it. A line is live while something that continues its own numbers, heartbeats too,
//! came within [`Settings::live_ns`]; so a dead line, and one that only repeats itself, delays
//! nothing.
//!
//! # Breaks
//!
//! Each line is followed by itself ([`sequence`](crate::sequence)). The merged feed restarts when
//! all live lines have; until then packets of those that have are
//! [superseded](LineCounts::superseded), and what they carried is a gap afterwards. It also begins
//! again where the lines are when these go on, and nothing that they bring is new for
//! [`Settings::stall_ns`]: then it had been led astray by what one of them once sent.

mod cut;
mod line;
mod merged;
mod recent;

#[cfg(doc)]
use crate::sequence::What;
use crate::sequence::{Arrival, Event, Log, New, Numbers, Range, Rules, Sessions, Stream};
pub use cut::cut;
use line::Line;
pub use line::LineCounts;
use merged::Merged;
use recent::Recent;

/// The most lines that a feed has.
pub const LINES_MAX: usize = 3;

/// How lines are merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How many lines there are, from 1 to [`LINES_MAX`].
    pub lines: usize,
    /// How long, in ns, what one line passed over may come on another before it is a gap.
    pub gap_hold_ns: u64,
    /// How long, in ns, a line without a packet is live. Heartbeats come every second.
    pub live_ns: u64,
    /// How long, in ns, lines may go on without anything new before the merged feed begins again
    /// where they are. More than a line can be behind.
    pub stall_ns: u64,
    /// What is a gap, a duplicate and a break, on each line and of all together.
    pub rules: Rules,
}

impl Default for Settings {
    /// Two lines, of which one is at most a millisecond behind.
    fn default() -> Self {
        Settings {
            lines: 2,
            gap_hold_ns: 1_000_000,
            live_ns: 2_500_000_000,
            stall_ns: 10_000_000_000,
            rules: Rules::default(),
        }
    }
}

/// Merges the lines of a feed.
///
/// ```
/// use tickwire_market::arbitrate::{Arbiter, Settings};
/// use tickwire_market::sequence::{New, Numbers, Range};
///
/// let mut arbiter = Arbiter::new(Settings::default());
/// let packet = |first, count| Numbers { session: "A", first, count, ends: false };
/// assert_eq!(arbiter.receive(0, &packet(1, 5), 10, 1), New::All);
/// assert_eq!(arbiter.receive(1, &packet(1, 3), 12, 2), New::None);
/// assert_eq!(arbiter.receive(1, &packet(4, 4), 20, 3), New::Some);
/// assert_eq!(arbiter.fresh(), [Range { first: 6, last: 7 }]);
/// assert_eq!((arbiter.line(0).first, arbiter.line(1).first), (5, 2));
/// ```
#[derive(Clone, Debug)]
pub struct Arbiter<S> {
    settings: Settings,
    sessions: Sessions<S, Merged>,
    lines: [Line; LINES_MAX],
    recent: Recent,
    log: Log<S>,
    /// What lines say for themselves, which nobody reads.
    line_log: Log<S>,
    forgotten: u64,
}

impl<S: Copy + PartialEq> Arbiter<S> {
    /// Before the first packet.
    ///
    /// # Panics
    /// When there are no lines, or more than [`LINES_MAX`].
    pub fn new(settings: Settings) -> Self {
        let Settings { lines, rules, .. } = settings;
        assert!((1..=LINES_MAX).contains(&lines), "{lines} lines: 1 to {LINES_MAX} can be merged");
        Arbiter {
            settings,
            sessions: Sessions::new(rules.sessions_max),
            lines: std::array::from_fn(|_| Line::new()),
            recent: Recent::new(),
            log: Log::new(rules.gaps_max),
            line_log: Log::new(rules.gaps_max),
            forgotten: 0,
        }
    }

    /// A packet of `line`, which came at `at_ns` on a clock that does not go back, as number
    /// `packet` of the caller, which only shows in events. Says which of its messages are new.
    ///
    /// # Panics
    /// When there is no such line.
    #[inline]
    pub fn receive(&mut self, line: usize, numbers: &Numbers<S>, at_ns: u64, packet: u64) -> New {
        let arrival = Arrival { at_ns, packet, line: line as u8, answer: false };
        self.log.begin(arrival);
        self.line_log.begin(arrival);
        let Numbers { session, first, count, ends } = *numbers;
        let place = match self.sessions.place(session) {
            Some(place) => place,
            None => self.begin(numbers),
        };
        let (merged, log) = (self.sessions.at(place), self.log.of(session));
        let own = merged.receive_on(line, (first, count, ends), &mut self.line_log);
        let continues = own != New::None;
        self.lines[line].packet(continues, at_ns);
        if merged.is_astray(line) {
            merged.follow_restart(line, first, &self.lines, &self.settings, log);
            if merged.is_astray(line) {
                self.lines[line].counts.superseded += u64::from(count);
                return New::None;
            }
        }
        if continues && merged.is_stalled(first, count, at_ns, self.settings.stall_ns) {
            merged.begin_again(line, first, log);
        }
        let too_late = merged.stream.counts().too_late;
        let new = merged.stream.receive((first, count, ends), log);
        // Tells these numbers from those of other sessions, and from those before a restart.
        let era = (place, merged.stream.generation());
        let counts = &mut self.lines[line].counts;
        if new == New::All {
            counts.first += u64::from(count);
            merged.barren_ns = None;
            self.recent.put(first, era, line as u8, at_ns);
        } else {
            let is_refused = first > merged.stream.next();
            let fresh = log.fresh.iter().map(Range::count).sum();
            let too_late = merged.stream.counts().too_late - too_late;
            counts.add(count.into(), fresh, too_late, is_refused);
            merged.not_all_new(new, continues, at_ns);
            if let Some(at_first_ns) = self.recent.get(first, era, line as u8)
                && count > 0
            {
                counts.behind(at_ns.saturating_sub(at_first_ns));
            }
        }
        if merged.stream.waits() {
            merged.tell(&self.lines, &self.settings, log);
        }
        new
    }

    /// Tells of gaps whose time has come by `at_ns` without a packet, in
    /// [`events`](Self::events). Call it at [`deadline_ns`](Self::deadline_ns), or now and then.
    pub fn tick(&mut self, at_ns: u64) {
        self.log.begin(Arrival { at_ns, ..self.log.arrival });
        for (session, merged) in self.sessions.iter_mut() {
            if merged.stream.waits() {
                merged.tell(&self.lines, &self.settings, self.log.of(session));
            }
        }
    }

    /// When [`tick`](Self::tick) will have something to tell, if no packet comes before.
    pub fn deadline_ns(&self) -> Option<u64> {
        let opened = self.sessions.iter().filter_map(|(_, merged)| merged.stream.waiting());
        opened.map(|gap| gap.opened_ns.saturating_add(self.settings.gap_hold_ns)).min()
    }

    /// The answer to a request for what was missing: it fills gaps of a session that is known, and
    /// does nothing else.
    pub fn receive_answer(&mut self, numbers: &Numbers<S>, at_ns: u64, packet: u64) -> New {
        self.log.begin(Arrival { at_ns, packet, line: 0, answer: true });
        let Some(merged) = self.sessions.peek(numbers.session) else { return New::None };
        let log = self.log.of(numbers.session);
        merged.stream.receive_answer(numbers.first, numbers.count, log)
    }

    /// What is missing of `range` will not come; how many messages that are. What comes of it all
    /// the same is too late.
    pub fn give_up(&mut self, session: S, range: Range, at_ns: u64) -> u64 {
        self.log.begin(Arrival { at_ns, ..self.log.arrival });
        let Some(merged) = self.sessions.peek(session) else { return 0 };
        merged.stream.give_up(range, self.log.of(session))
    }

    /// The new numbers of the last packet, where [`New::Some`] was said of it.
    #[inline]
    pub fn fresh(&self) -> &[Range] {
        &self.log.fresh
    }

    /// What happened to the merged feed in the last call; mostly nothing.
    #[inline]
    pub fn events(&self) -> &[Event<S>] {
        &self.log.events
    }

    /// Whether a gap that was told of is open in the session of the last packet.
    pub fn is_stale(&self) -> bool {
        self.sessions.current().is_some_and(|(_, merged)| merged.stream.is_stale())
    }

    /// The session of the last packet, of all lines together.
    pub fn current(&self) -> Option<(S, &Stream)> {
        self.sessions.current().map(|(session, merged)| (session, &merged.stream))
    }

    /// All sessions that are followed, of all lines together.
    pub fn sessions(&self) -> impl ExactSizeIterator<Item = (S, &Stream)> + Clone {
        self.sessions.iter().map(|(session, merged)| (session, &merged.stream))
    }

    /// What `line` had of a session by itself: what it lost is what is
    /// [missing](Stream::missing) there. `None` when it had nothing of it.
    pub fn stream_of(&self, session: S, line: usize) -> Option<&Stream> {
        let (_, merged) = self.sessions.iter().find(|(known, _)| *known == session)?;
        merged.lines.get(line)?.begun()
    }

    /// What came on `line`, over all sessions.
    ///
    /// # Panics
    /// When there is no such line.
    pub fn line(&self, line: usize) -> &LineCounts {
        &self.lines[line].counts
    }

    /// Whether `line` is live at `at_ns`.
    ///
    /// # Panics
    /// When there is no such line.
    pub fn is_live(&self, line: usize, at_ns: u64) -> bool {
        self.lines[line].is_live(at_ns, self.settings.live_ns)
    }

    /// How many sessions were forgotten.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Begins a session that was not seen before; where it is.
    #[cold]
    fn begin(&mut self, numbers: &Numbers<S>) -> usize {
        let Settings { rules, lines, .. } = self.settings;
        let from_first = rules.begins_with_first(numbers.first, !self.sessions.is_empty());
        let (place, old) = self.sessions.add(numbers.session, || Merged::new(lines, rules));
        let merged = self.sessions.at(place);
        if let Some(old) = old {
            self.forgotten += 1;
            merged.stream.forget(self.log.of(old));
        }
        merged.begin(numbers.first, from_first, self.log.of(numbers.session));
        self.recent.clear();
        place
    }
}
