//! The numbers of one feed on one line.

use super::{Arrival, Event, Log, New, Numbers, Range, Rules, Sessions, Stream};

/// Follows the numbers of one feed on one line, session by session. A gap is told of at once.
///
/// ```
/// use tickwire_market::sequence::{New, Numbers, Range, Rules, Tracker, What};
///
/// let mut tracker = Tracker::new(Rules::default());
/// let packet = |first, count| Numbers { session: "A", first, count, ends: false };
/// assert_eq!(tracker.receive(&packet(1, 5), 10, 1), New::All);
/// assert_eq!(tracker.receive(&packet(8, 2), 20, 2), New::All);
/// let What::Gap(gap) = tracker.events()[0].what else { panic!() };
/// assert_eq!((gap.range, gap.opened_ns), (Range { first: 6, last: 7 }, 20));
/// assert!(tracker.is_stale());
/// assert_eq!(tracker.receive(&packet(5, 3), 30, 3), New::Some);
/// assert_eq!(tracker.fresh(), [Range { first: 6, last: 7 }]);
/// assert!(!tracker.is_stale());
/// ```
#[derive(Clone, Debug)]
pub struct Tracker<S> {
    rules: Rules,
    sessions: Sessions<S, Stream>,
    log: Log<S>,
    forgotten: u64,
}

impl<S: Copy + PartialEq> Tracker<S> {
    /// Before the first packet.
    pub fn new(rules: Rules) -> Self {
        let (sessions, log) = (Sessions::new(rules.sessions_max), Log::new(rules.gaps_max));
        Tracker { rules, sessions, log, forgotten: 0 }
    }

    /// A packet that came at `at_ns`, on any clock that does not go back, as number `packet` of
    /// the caller, which only shows in events. Says which of its messages are new.
    #[inline]
    pub fn receive(&mut self, numbers: &Numbers<S>, at_ns: u64, packet: u64) -> New {
        self.log.begin(Arrival { at_ns, packet, line: 0, answer: false });
        let Numbers { session, first, count, ends } = *numbers;
        let place = match self.sessions.place(session) {
            Some(place) => place,
            None => self.begin(numbers),
        };
        let (stream, log) = (self.sessions.at(place), self.log.of(session));
        let new = stream.receive((first, count, ends), log);
        if stream.waits() {
            stream.tell(u64::MAX, None, log);
        }
        new
    }

    /// The answer to a request for what was missing: it fills gaps of a session that is known, and
    /// does nothing else.
    pub fn receive_answer(&mut self, numbers: &Numbers<S>, at_ns: u64, packet: u64) -> New {
        self.log.begin(Arrival { at_ns, packet, line: 0, answer: true });
        let Some(stream) = self.sessions.peek(numbers.session) else { return New::None };
        let log = self.log.of(numbers.session);
        stream.receive_answer(numbers.first, numbers.count, log)
    }

    /// What is missing of `range` will not come; how many messages that are. What comes of it all
    /// the same is too late.
    pub fn give_up(&mut self, session: S, range: Range, at_ns: u64) -> u64 {
        self.log.begin(Arrival { at_ns, ..self.log.arrival });
        let Some(stream) = self.sessions.peek(session) else { return 0 };
        stream.give_up(range, self.log.of(session))
    }

    /// The new numbers of the last packet, where [`New::Some`] was said of it.
    #[inline]
    pub fn fresh(&self) -> &[Range] {
        &self.log.fresh
    }

    /// What happened in the last call; mostly nothing.
    #[inline]
    pub fn events(&self) -> &[Event<S>] {
        &self.log.events
    }

    /// Whether a gap is open in the session of the last packet.
    pub fn is_stale(&self) -> bool {
        self.sessions.current().is_some_and(|(_, stream)| stream.is_stale())
    }

    /// The session of the last packet.
    pub fn current(&self) -> Option<(S, &Stream)> {
        self.sessions.current()
    }

    /// All sessions that are followed.
    pub fn sessions(&self) -> impl ExactSizeIterator<Item = (S, &Stream)> + Clone {
        self.sessions.iter()
    }

    /// How many sessions were forgotten.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Begins a session that was not seen before; where it is.
    #[cold]
    fn begin(&mut self, numbers: &Numbers<S>) -> usize {
        let from_first = self.rules.begins_with_first(numbers.first, !self.sessions.is_empty());
        let (place, old) = self.sessions.add(numbers.session, || Stream::new(self.rules));
        let stream = self.sessions.at(place);
        if let Some(old) = old {
            self.forgotten += 1;
            stream.forget(self.log.of(old));
        }
        stream.begin(numbers.first, from_first, 0, self.log.of(numbers.session));
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sequence::{Cause, Freshness, Gap, How, What, Why};

    const START_NS: u64 = 1_000;

    /// A tracker and the number of packets that it got; packet `n` comes at `START_NS + 10 n`.
    struct Run(Tracker<char>, u64);

    impl Run {
        fn new(rules: Rules) -> Self {
            Run(Tracker::new(rules), 0)
        }

        fn take(&mut self, session: char, first: u64, count: u32, ends: bool) -> New {
            self.1 += 1;
            let numbers = Numbers { session, first, count, ends };
            self.0.receive(&numbers, START_NS + 10 * self.1, self.1)
        }

        fn messages(&mut self, first: u64, count: u32) -> New {
            self.take('A', first, count, false)
        }

        fn answer(&mut self, first: u64, count: u32) -> New {
            let numbers = Numbers { session: 'A', first, count, ends: false };
            self.0.receive_answer(&numbers, START_NS, 0)
        }

        fn whats(&self) -> Vec<What> {
            self.0.events().iter().map(|event| event.what).collect()
        }

        fn stream(&self) -> &Stream {
            self.0.current().unwrap().1
        }

        fn missing(&self) -> Vec<(u64, u64)> {
            self.stream().missing().map(|range| (range.first, range.last)).collect()
        }
    }

    fn gap(first: u64, last: u64, packet: u64, cause: Cause) -> Gap {
        let (range, opened_ns) = (Range { first, last }, START_NS + 10 * packet);
        Gap { range, opened_ns, opened_packet: packet, line: 0, cause }
    }

    #[test]
    fn gaps_open_and_are_filled_piece_by_piece() {
        let mut run = Run::new(Rules::default());
        assert_eq!((run.messages(1, 5), run.whats()), (New::All, vec![What::Began { first: 1 }]));
        assert_eq!((run.messages(6, 5), run.whats()), (New::All, vec![]));
        assert_eq!(run.messages(21, 5), New::All);
        let opened = gap(11, 20, 3, Cause::Message);
        assert_eq!((run.whats(), run.0.is_stale()), (vec![What::Gap(opened)], true));
        assert_eq!(run.messages(14, 2), New::All);
        let piece = gap(14, 15, 3, Cause::Message);
        assert_eq!(run.whats(), [What::Filled(piece, How::Late)]);
        assert_eq!(run.missing(), [(11, 13), (16, 20)]);
        // Over both rests, what is there already, and the front.
        assert_eq!(run.messages(10, 18), New::Some);
        let fresh = [(11, 13), (16, 20), (26, 27)].map(|(first, last)| Range { first, last });
        assert_eq!((run.0.fresh(), run.whats().len()), (&fresh[..], 2));
        assert_eq!((run.messages(1, 27), run.0.is_stale()), (New::None, false));
        let counts = run.stream().counts();
        assert_eq!((counts.received, counts.duplicates, counts.late), (27, 8 + 27, 10));
        assert_eq!((counts.packets, counts.late_packets, counts.gaps), (6, 2, 1));
        assert_eq!((counts.late_distance_max, counts.late_ns_max), (16, 20));
    }

    #[test]
    fn heartbeats_and_the_end_show_what_the_tail_lost() {
        let mut run = Run::new(Rules::default());
        run.messages(1, 5);
        assert_eq!((run.take('A', 6, 0, false), run.whats()), (New::All, vec![]));
        assert_eq!(run.take('A', 8, 0, false), New::All);
        assert_eq!(run.whats(), [What::Gap(gap(6, 7, 3, Cause::Heartbeat))]);
        assert_eq!((run.take('A', 6, 0, false), run.whats()), (New::None, vec![]));
        assert_eq!(run.take('A', 10, 0, true), New::All);
        let ended = What::Ended { next: 10, missing: 4 };
        assert_eq!(run.whats(), [ended, What::Gap(gap(8, 9, 5, Cause::End))]);
        assert_eq!((run.take('A', 10, 0, true), run.whats()), (New::All, vec![]));
        // Neighbours are one range for who asks again.
        assert_eq!((run.missing(), run.stream().gaps().len()), (vec![(6, 9)], 2));
        assert_eq!(run.answer(6, 4), New::All);
        assert!(
            run.whats().iter().all(|what| matches!(what, What::Filled(_, How::Retransmission)))
        );
        assert_eq!((run.whats().len(), run.0.is_stale()), (2, false));
        assert_eq!((run.stream().ended(), run.stream().counts().after_end), (Some(10), 0));
        assert_eq!((run.messages(10, 1), run.stream().counts().after_end), (New::All, 1));
        let counts = run.stream().counts();
        assert_eq!((counts.heartbeats, counts.ends, counts.retransmitted), (3, 2, 4));
    }

    #[test]
    fn an_answer_does_nothing_but_fill() {
        let mut run = Run::new(Rules::default());
        assert_eq!(run.answer(1, 5), New::None);
        assert_eq!(run.0.sessions().len(), 0);
        run.messages(1, 2);
        run.messages(5, 1);
        assert_eq!(
            (run.answer(2, 5), run.0.fresh()),
            (New::Some, &[Range { first: 3, last: 4 }][..])
        );
        assert_eq!((run.stream().next(), run.answer(u64::MAX, 5)), (6, New::None));
    }

    #[test]
    fn a_restart_is_believed_when_packets_continue_it() {
        let mut run = Run::new(Rules::default());
        run.messages(1, 100);
        run.messages(103, 100);
        // Some old packets, in order, while the stream goes on: sent again.
        for (first, count) in [(1, 10), (11, 10), (203, 1), (21, 10), (31, 10), (1, 1), (1, 1)] {
            run.messages(first, count);
        }
        assert_eq!(run.stream().generation(), 0);
        for first in [1, 3, 5] {
            assert_eq!((run.messages(first, 2), run.whats()), (New::None, vec![]));
        }
        assert_eq!(run.messages(7, 2), New::All);
        let lost = What::Lost(gap(101, 102, 2, Cause::Message), Why::Restart);
        let unseen = What::Gap(gap(1, 6, 13, Cause::Restart));
        assert_eq!(run.whats(), [lost, What::Restarted { before: 204 }, unseen]);
        assert_eq!((run.messages(9, 2), run.stream().generation()), (New::All, 1));
        assert_eq!((run.missing(), run.stream().counts().lost), (vec![(1, 6)], 2));
        // Heartbeats of a stream that began again and has nothing to say yet.
        assert!((0..3).all(|_| run.take('A', 1, 0, false) == New::None));
        assert_eq!((run.take('A', 1, 0, false), run.stream().generation()), (New::All, 2));
        assert_eq!((run.stream().next(), run.missing()), (1, vec![]));
        // The first packet of a restart was lost, so that it takes more of the others.
        run.messages(1, 1000);
        assert!((2..65).all(|first| run.messages(first, 1) == New::None));
        assert_eq!((run.messages(65, 1), run.missing()), (New::All, vec![(2, 64)]));
        let never = Rules { restart_first_max: None, ..Rules::default() };
        let mut run = Run::new(never);
        run.messages(1, 100);
        assert!((1..50).all(|first| run.messages(first, 1) == New::None));
    }

    #[test]
    fn who_only_counts_has_the_packets_that_made_a_break_believed() {
        let mut run = Run::new(Rules { only_counts: true, ..Rules::default() });
        run.messages(1, 100);
        run.messages(1, 1);
        for first in [1, 3, 5] {
            assert_eq!(run.messages(first, 2), New::None);
        }
        assert_eq!(
            (run.messages(7, 2), run.whats()),
            (New::All, vec![What::Restarted { before: 101 }])
        );
        assert_eq!((run.stream().next(), run.missing()), (9, vec![]));
        let counts = *run.stream().counts();
        assert_eq!((counts.received, counts.duplicates, counts.packets), (108, 1, 6));
        let there = 1_u64 << 40;
        assert!((0..3).all(|n| run.messages(there + n, 1) == New::None));
        assert_eq!(run.messages(there + 3, 1), New::All);
        assert_eq!(run.missing(), [(9, there - 1)]);
        let counts = *run.stream().counts();
        assert_eq!((counts.received, counts.refused, counts.refused_packets), (112, 0, 0));
    }

    #[test]
    fn one_hostile_packet_changes_nothing() {
        let mut run = Run::new(Rules::default());
        run.messages(1, 5);
        for first in [1 << 60, u64::MAX - 1, u64::MAX, 1 << 40] {
            assert_eq!((run.messages(first, 2), run.whats()), (New::None, vec![]));
            assert_eq!(run.take('A', u64::MAX - 7, 0, false), New::None);
        }
        assert_eq!((run.messages(6, 5), run.missing()), (New::All, vec![]));
        assert_eq!((run.stream().counts().refused_packets, run.stream().counts().refused), (8, 8));
        // A stream that is really there is believed after a few packets.
        let there = 1_u64 << 40;
        assert!((0..3).all(|n| run.messages(there + n, 1) == New::None));
        assert_eq!(run.messages(there + 3, 1), New::All);
        let by = there + 3 - 11;
        let passed = gap(11, there + 2, run.1, Cause::Message);
        assert_eq!(run.whats(), [What::Jumped { by }, What::Gap(passed)]);
        assert_eq!((run.stream().missing_messages(), run.stream().counts().jumps), (by, 1));
        let mut run = Run::new(Rules { jump_max: u64::MAX, ..Rules::default() });
        run.messages(0, 1);
        assert_eq!(run.messages(u64::MAX - 1, 1), New::All);
        assert_eq!((run.messages(u64::MAX, 1), run.stream().next()), (New::None, u64::MAX));
        assert_eq!(run.messages(0, u32::MAX), New::Some);
        assert_eq!(run.missing(), [(u64::from(u32::MAX), u64::MAX - 2)]);
    }

    #[test]
    fn more_gaps_than_there_is_room_for_are_lost_by_name() {
        let mut run = Run::new(Rules { gaps_max: 2, ..Rules::default() });
        for first in [1, 10, 20] {
            run.messages(first, 1);
        }
        run.messages(30, 1);
        let lost = What::Lost(gap(2, 9, 2, Cause::Message), Why::Overflow);
        assert_eq!(run.whats(), [lost, What::Gap(gap(21, 29, 4, Cause::Message))]);
        run.messages(25, 1);
        let filled = What::Filled(gap(25, 25, 4, Cause::Message), How::Late);
        let lost = What::Lost(gap(11, 19, 3, Cause::Message), Why::Overflow);
        assert_eq!(run.whats(), [filled, lost]);
        assert_eq!((run.missing(), run.stream().counts().lost), (vec![(21, 24), (26, 29)], 17));
        let after = |run: &mut Run, first| {
            assert_eq!(run.messages(first, 1), New::None);
            (run.stream().counts().too_late, run.stream().counts().duplicates)
        };
        // Lost and came, came again, had come.
        let counts = [12, 12, 20].map(|first| after(&mut run, first));
        assert_eq!(counts, [(1, 0), (1, 1), (1, 2)]);
        // Three ranges of what was lost are more than there is room for.
        assert_eq!([5, 5, 18].map(|first| after(&mut run, first)), [(2, 2), (3, 2), (4, 2)]);
    }

    #[test]
    fn one_may_join_anywhere_and_take_what_was_overtaken() {
        let mut run = Run::new(Rules::default());
        run.messages(500, 5);
        assert_eq!((run.messages(480, 10), run.missing()), (New::All, vec![(490, 499)]));
        let passed = gap(490, 499, 2, Cause::Beginning);
        assert_eq!((run.whats(), run.stream().start()), (vec![What::Gap(passed)], 480));
        assert_eq!((run.messages(490, 12), run.0.fresh()), (New::Some, &[passed.range][..]));
        run.messages(505, 1000);
        assert_eq!(run.messages(470, 5), New::None);
        assert_eq!((run.stream().counts().too_late, run.stream().counts().duplicates), (5, 2));
        let mut run = Run::new(Rules { from_first: true, ..Rules::default() });
        run.messages(500, 5);
        assert_eq!(run.missing(), [(1, 499)]);
        // Nothing comes before the first number that there can be.
        assert_eq!(run.messages(0, 1), New::None);
    }

    #[test]
    fn a_session_that_follows_is_expected_from_its_beginning() {
        let mut run = Run::new(Rules { sessions_max: 2, ..Rules::default() });
        run.messages(500, 5);
        run.messages(507, 5);
        run.take('B', 4, 2, false);
        let begins = gap(1, 3, 3, Cause::Beginning);
        assert_eq!(run.whats(), [What::Began { first: 4 }, What::Gap(begins)]);
        // The last packets of the one before are no change of session.
        assert_eq!((run.messages(512, 1), run.whats()), (New::All, vec![]));
        assert_eq!(run.0.current().unwrap().0, 'A');
        run.take('C', 100_000, 2, false);
        assert_eq!(run.0.events()[0].session, 'B');
        let lost = What::Lost(begins, Why::Forgotten);
        assert_eq!(run.whats(), [lost, What::Forgotten, What::Began { first: 100_000 }]);
        assert_eq!((run.missing(), run.0.forgotten(), run.0.sessions().len()), (vec![], 1, 2));
    }

    #[test]
    fn instruments_are_fresh_when_their_whole_state_came_after_the_gap() {
        let mut run = Run::new(Rules::default());
        let mut freshness = Freshness::new(3);
        run.messages(1, 5);
        assert!(!freshness.is_stale(0, run.stream()) && !freshness.is_stale(7, run.stream()));
        run.messages(8, 5);
        freshness.refresh(1, 12);
        freshness.refresh(2, 6);
        let stale = |run: &Run, freshness: &Freshness| {
            [0, 1, 2, 7].map(|instrument| freshness.is_stale(instrument, run.stream()))
        };
        assert_eq!(stale(&run, &freshness), [true, false, true, true]);
        assert_eq!(run.0.give_up('A', Range { first: 0, last: 6 }, 1), 1);
        assert!(matches!(run.whats()[..], [What::Lost(_, Why::GivenUp)]));
        assert_eq!(
            (run.0.give_up('A', Range { first: 7, last: 9 }, 1), run.0.is_stale()),
            (1, false)
        );
        assert_eq!(stale(&run, &freshness), [true, false, true, true]);
        freshness.refresh(2, 20);
        assert_eq!(stale(&run, &freshness), [true, false, false, true]);
        freshness.clear();
        assert!(freshness.is_stale(1, run.stream()));
        assert_eq!(run.messages(6, 1), New::None);
    }
}
