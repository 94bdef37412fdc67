//! The numbers of one session: what is next, what is missing, what was seen.

use super::events::{Cause, Gap, How, Log, What, Why};
use super::{Counts, New, Range, Ranges, Rules};

/// When and where a packet came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Arrival {
    pub(crate) at_ns: u64,
    pub(crate) packet: u64,
    pub(crate) line: u8,
    /// Whether it is the answer to a request.
    pub(crate) answer: bool,
}

/// Packets that contradict the stream, but continue each other.
#[derive(Clone, Copy, Debug, Default)]
struct Break {
    first: u64,
    next: u64,
    packets: u32,
    /// What had been counted before them.
    counts: Counts,
}

/// The numbers of one session on one line, or of several lines together.
#[derive(Clone, Debug)]
pub struct Stream {
    rules: Rules,
    generation: u32,
    start: u64,
    next: u64,
    missing: Ranges<Gap>,
    /// Gaps below were told of; a stale stream has one of them open.
    told: u64,
    /// What is lost for good and has not come since.
    lost: Ranges<()>,
    /// One more than the highest number of it that was driven out of there.
    forgotten_end: u64,
    /// One more than the highest number that is lost for good.
    lost_end: u64,
    ended: Option<u64>,
    suspect: Break,
    counts: Counts,
}

impl Stream {
    /// For a session of which nothing has been seen; [`begin`](Self::begin) comes next.
    pub(crate) fn new(rules: Rules) -> Self {
        Stream {
            rules,
            generation: 0,
            start: 0,
            next: 0,
            missing: Ranges::new(rules.gaps_max),
            told: 0,
            lost: Ranges::new(rules.gaps_max),
            forgotten_end: 0,
            lost_end: 0,
            ended: None,
            suspect: Break::default(),
            counts: Counts::default(),
        }
    }

    /// Begins with a packet whose first number is `first`, in a stream that was seen from its first
    /// message on, or not.
    pub(crate) fn begin<S: Copy>(
        &mut self,
        first: u64,
        from_first: bool,
        generation: u32,
        log: &mut Log<S>,
    ) {
        self.missing.clear();
        self.forget_lost();
        let start = if from_first { first.min(self.rules.first) } else { first };
        (self.generation, self.start, self.next) = (generation, start, start);
        (self.told, self.ended) = (0, None);
        (self.suspect, self.counts) = (Break::default(), Counts::default());
        log.generation = generation;
        log.push(What::Began { first });
        if first - start <= self.rules.jump_max {
            self.pass(first, Cause::Beginning, log);
        }
    }

    /// The number that is expected next.
    #[inline]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// The lowest number that counts: that of the first message seen, or expected.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// How often the numbers began again.
    #[inline]
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Whether a gap that was told of is open.
    #[inline]
    pub fn is_stale(&self) -> bool {
        self.missing.first().is_some_and(|(range, _)| range.first < self.told)
    }

    /// One more than the highest number that is missing in a gap that was told of, or lost; 0 when
    /// there is none. Who knows everything up to there is [fresh](super::Freshness).
    pub fn incomplete_before(&self) -> u64 {
        let told = match self.missing.place(self.told) {
            0 => None,
            place => self.missing.get(place - 1),
        };
        told.map_or(0, |(range, _)| range.last.saturating_add(1)).max(self.lost_end)
    }

    /// What was passed over and has not come, in order, one gap for each packet that showed one.
    pub fn gaps(&self) -> impl ExactSizeIterator<Item = Gap> + Clone {
        self.missing.iter().map(|&(range, gap)| Gap { range, ..gap })
    }

    /// What was passed over and has not come, in order; neighbours are one.
    pub fn missing(&self) -> impl Iterator<Item = Range> {
        let mut gaps = self.gaps().map(|gap| gap.range).peekable();
        std::iter::from_fn(move || {
            let mut range = gaps.next()?;
            while let Some(next) = gaps.next_if(|next| next.first - 1 == range.last) {
                range.last = next.last;
            }
            Some(range)
        })
    }

    /// How many numbers were passed over and have not come.
    pub fn missing_messages(&self) -> u64 {
        self.missing.numbers()
    }

    /// One more than the number of the last message, once the session has ended.
    pub fn ended(&self) -> Option<u64> {
        self.ended
    }

    /// What came.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// A packet. In order is the common case, and costs next to nothing.
    #[inline]
    pub(crate) fn receive<S: Copy>(
        &mut self,
        (first, count, ends): (u64, u32, bool),
        log: &mut Log<S>,
    ) -> New {
        let end = first.checked_add(count.into());
        if let Some(end) = end
            && first == self.next
            && self.ended.is_none()
            && count != 0
            && !ends
        {
            self.counts.packets += 1;
            self.counts.received += u64::from(count);
            (self.next, self.suspect.packets) = (end, 0);
            return New::All;
        }
        self.receive_other(first, end, count, ends, log)
    }

    #[inline(never)]
    fn receive_other<S: Copy>(
        &mut self,
        first: u64,
        end: Option<u64>,
        count: u32,
        ends: bool,
        log: &mut Log<S>,
    ) -> New {
        log.generation = self.generation;
        self.counts.packets += 1;
        let Some(end) = end else { return self.refuse(count) };
        let cause = match (ends, count) {
            (true, _) => Cause::End,
            (false, 0) => Cause::Heartbeat,
            (false, _) => Cause::Message,
        };
        self.counts.heartbeats += u64::from(cause == Cause::Heartbeat);
        self.counts.ends += u64::from(cause == Cause::End);
        let new = if first > self.next {
            self.ahead(first, end, cause, log)
        } else if first < self.next || count != 0 {
            self.behind(first, end, log)
        } else {
            self.suspect.packets = 0;
            New::All
        };
        if new != New::None && cause == Cause::End && end == self.next {
            self.end(log);
        }
        new
    }

    /// A packet that passes numbers over.
    fn ahead<S: Copy>(&mut self, first: u64, end: u64, cause: Cause, log: &mut Log<S>) -> New {
        let mut first = first;
        if first - self.next > self.rules.jump_max {
            if !self.is_jump(first, end) {
                return self.refuse((end - first) as u32);
            }
            first = self.believe(first);
            self.counts.jumps += 1;
            log.push(What::Jumped { by: first - self.next });
        }
        self.pass(first, cause, log);
        self.advance(end)
    }

    /// A packet that begins with the next number or before.
    fn behind<S: Copy>(&mut self, first: u64, end: u64, log: &mut Log<S>) -> New {
        let filled = self.fill_early(first, end, log) + self.fill(first, end, log);
        let more = end.saturating_sub(self.next.max(first));
        let (new, count) = (filled + more, end - first);
        if new == 0 && self.is_restart(first, end) {
            let (start, first) = (self.suspect.first, self.believe(first));
            self.restart((start, first), self.generation + 1, log);
            return self.advance(end);
        }
        self.old(first, end, count - new);
        self.counts.late_packets += u64::from(filled > 0);
        if let Some(range) = Range::before(end - more, end) {
            log.fresh.push(range);
            self.advance(end);
        }
        New::of(new, count)
    }

    /// Of the numbers from `first` on and before `end`, `old` were neither new nor missing.
    fn old(&mut self, first: u64, end: u64, old: u64) {
        // Nobody knows what came of those before.
        let known = self.start.max(self.forgotten_end);
        let mut too_late = Range::before(first, end.min(known)).map_or(0, |it| it.count());
        if let Some(range) = Range::before(first.max(known), end) {
            let driven_out = self.lost.remove(range, |piece, ()| too_late += piece.count());
            self.drove_out(driven_out);
        }
        // Below `known` some may have been new.
        let too_late = too_late.min(old);
        self.counts.too_late += too_late;
        self.counts.duplicates += old - too_late;
    }

    fn drove_out(&mut self, lost: Option<(Range, ())>) {
        if let Some((range, ())) = lost {
            self.forgotten_end = self.forgotten_end.max(range.last.saturating_add(1));
        }
    }

    fn forget_lost(&mut self) {
        self.lost.clear();
        (self.lost_end, self.forgotten_end) = (0, 0);
    }

    /// The packets before the one at hand, which begins with `first`, showed what they were. Where
    /// the stream goes on: there, or, when they count as received, with the first of them.
    fn believe(&mut self, first: u64) -> u64 {
        if !self.rules.only_counts {
            return first;
        }
        // Whatever they were counted as, with nothing in between.
        let Break { first, counts, .. } = self.suspect;
        let Counts { duplicates, too_late, refused_packets, refused, .. } = counts;
        self.counts = Counts { duplicates, too_late, refused_packets, refused, ..self.counts };
        first
    }

    /// Everything up to `end` has been seen or passed over; the packet at hand ends there.
    fn advance(&mut self, end: u64) -> New {
        let count = end - self.next;
        self.counts.received += count;
        self.counts.after_end += u64::from(self.ended.is_some() && count > 0);
        (self.next, self.suspect.packets) = (end, 0);
        New::All
    }

    /// Opens a gap up to `first`.
    fn pass<S: Copy>(&mut self, first: u64, cause: Cause, log: &mut Log<S>) {
        let Some(range) = Range::before(self.next, first) else { return };
        self.open(range, cause, log);
        self.next = first;
    }

    fn open<S: Copy>(&mut self, range: Range, cause: Cause, log: &mut Log<S>) {
        let Arrival { at_ns, packet, line, .. } = log.arrival;
        let gap = Gap { range, opened_ns: at_ns, opened_packet: packet, line, cause };
        if range.first < self.told {
            // Gaps after it were told of: it is the turn of this one now.
            self.tell_one(gap, log);
        }
        if let Some(oldest) = self.missing.insert(range, gap) {
            self.lose(oldest, Why::Overflow, log);
        }
    }

    /// Messages before the first one that was seen, of a stream that is young: they are new, and
    /// what is between was passed over.
    fn fill_early<S: Copy>(&mut self, first: u64, end: u64, log: &mut Log<S>) -> u64 {
        let (start, early) = (self.start, self.rules.early_max);
        let young = self.next - start <= early && self.generation == 0;
        let Some(new) = Range::before(first, end.min(start)) else { return 0 };
        if !young || start - first > early || first < self.rules.first {
            return 0;
        }
        self.start = first;
        self.counts.received += new.count();
        self.counts.late += new.count();
        log.fresh.push(new);
        if let Some(range) = Range::before(end, start) {
            self.open(range, Cause::Beginning, log);
        }
        new.count()
    }

    /// Fills gaps with the numbers from `first` on and before `end`; how many were missing.
    fn fill<S: Copy>(&mut self, first: u64, end: u64, log: &mut Log<S>) -> u64 {
        let Some(range) = Range::before(first, end) else { return 0 };
        let (told, arrival, counts) = (self.told, log.arrival, &mut self.counts);
        let mut filled = 0;
        let oldest = self.missing.remove(range, |piece, gap| {
            let how = match (arrival.answer, arrival.line == gap.line) {
                (true, _) => How::Retransmission,
                (false, true) => How::Late,
                (false, false) => How::OtherLine,
            };
            match how {
                How::Retransmission => counts.retransmitted += piece.count(),
                How::OtherLine => counts.other_line += piece.count(),
                How::Late => {
                    counts.late += piece.count();
                    let ns = arrival.at_ns.saturating_sub(gap.opened_ns);
                    counts.late_ns_max = counts.late_ns_max.max(ns);
                }
            }
            filled += piece.count();
            log.fresh.push(piece);
            if piece.first < told {
                log.push(What::Filled(Gap { range: piece, ..*gap }, how));
            }
        });
        if let Some(oldest) = oldest {
            self.lose(oldest, Why::Overflow, log);
        }
        if filled > 0 {
            self.counts.received += filled;
            let distance = self.next.saturating_sub(first);
            self.counts.late_distance_max = self.counts.late_distance_max.max(distance);
        }
        filled
    }

    /// The answer to a request: fills gaps and does nothing else.
    pub(crate) fn receive_answer<S: Copy>(
        &mut self,
        first: u64,
        count: u32,
        log: &mut Log<S>,
    ) -> New {
        log.generation = self.generation;
        self.counts.packets += 1;
        let Some(end) = first.checked_add(count.into()) else { return self.refuse(count) };
        let filled = self.fill(first, end, log);
        self.old(first, end, u64::from(count) - filled);
        New::of(filled, count.into())
    }

    /// Whether there is a gap that was not told of.
    #[inline]
    pub(crate) fn waits(&self) -> bool {
        self.missing.last().is_some_and(|(range, _)| range.first >= self.told)
    }

    /// The oldest gap that was not told of.
    pub(crate) fn waiting(&self) -> Option<Gap> {
        self.missing.get(self.missing.place(self.told)).map(|&(range, gap)| Gap { range, ..gap })
    }

    /// Tells of the gaps that nobody waits for any more: those that end before `passed`, and those
    /// that opened at `opened_ns` or before.
    #[inline(never)]
    pub(crate) fn tell<S: Copy>(&mut self, passed: u64, opened_ns: Option<u64>, log: &mut Log<S>) {
        log.generation = self.generation;
        let mut place = self.missing.place(self.told);
        while let Some(&(range, gap)) = self.missing.get(place) {
            if range.last >= passed && opened_ns.is_none_or(|opened_ns| gap.opened_ns > opened_ns) {
                return;
            }
            self.tell_one(Gap { range, ..gap }, log);
            self.told = range.last + 1;
            place += 1;
        }
    }

    fn tell_one<S: Copy>(&mut self, gap: Gap, log: &mut Log<S>) {
        log.push(What::Gap(gap));
        self.counts.gaps += 1;
        self.counts.gap_messages = self.counts.gap_messages.saturating_add(gap.range.count());
    }

    /// What is missing of `range` will not come; how many messages that are.
    pub(crate) fn give_up<S: Copy>(&mut self, range: Range, log: &mut Log<S>) -> u64 {
        log.generation = self.generation;
        let mut given_up: u64 = 0;
        let mut place = self.missing.place(range.first);
        while let Some(&(whole, gap)) = self.missing.get(place)
            && let Some(piece) = whole.common(&range)
        {
            self.lose((piece, gap), Why::GivenUp, log);
            given_up = given_up.saturating_add(piece.count());
            place += 1;
        }
        if let Some(oldest) = self.missing.remove(range, |_, _| {}) {
            self.lose(oldest, Why::Overflow, log);
        }
        given_up
    }

    /// Everything that is missing is lost: the numbers will not be followed any more.
    pub(crate) fn forget<S: Copy>(&mut self, log: &mut Log<S>) {
        log.generation = self.generation;
        self.lose_all(Why::Forgotten, log);
        log.push(What::Forgotten);
    }

    fn lose_all<S: Copy>(&mut self, why: Why, log: &mut Log<S>) {
        let mut place = 0;
        while let Some(&lost) = self.missing.get(place) {
            self.lose(lost, why, log);
            place += 1;
        }
        self.missing.clear();
    }

    /// Tells that a gap, or a piece of one, is lost: after that it is one, if nobody knew.
    fn lose<S: Copy>(&mut self, (range, gap): (Range, Gap), why: Why, log: &mut Log<S>) {
        let gap = Gap { range, ..gap };
        if range.first >= self.told {
            self.tell_one(gap, log);
        }
        self.counts.lost = self.counts.lost.saturating_add(range.count());
        self.lost_end = self.lost_end.max(range.last.saturating_add(1));
        let driven_out = self.lost.insert(range, ());
        self.drove_out(driven_out);
        log.push(What::Lost(gap, why));
    }

    fn end<S: Copy>(&mut self, log: &mut Log<S>) {
        let (next, missing) = (self.next, self.missing.numbers());
        if self.ended.replace(next) != Some(next) {
            log.push(What::Ended { next, missing });
        }
    }

    fn refuse(&mut self, count: u32) -> New {
        self.counts.refused_packets += 1;
        self.counts.refused += u64::from(count);
        New::None
    }

    /// Whether a packet without anything new is one of a stream that began again, and believed.
    fn is_restart(&mut self, first: u64, end: u64) -> bool {
        let Some(first_max) = self.rules.restart_first_max else { return false };
        let packets = self.suspect(first, end);
        let needed = match self.suspect.first <= first_max {
            true => self.rules.confirm_packets,
            false => self.rules.restart_packets,
        };
        needed != 0 && packets >= needed
    }

    /// Whether a packet far ahead is one of a stream that is really there.
    fn is_jump(&mut self, first: u64, end: u64) -> bool {
        let packets = self.suspect(first, end);
        self.rules.confirm_packets != 0 && packets >= self.rules.confirm_packets
    }

    /// One more packet of a break; how many continue each other.
    fn suspect(&mut self, first: u64, end: u64) -> u32 {
        let (suspect, counts) = (&mut self.suspect, self.counts);
        if suspect.packets == 0 || suspect.next != first {
            *suspect = Break { first, next: end, packets: 0, counts };
        }
        (suspect.next, suspect.packets) = (end, suspect.packets.saturating_add(1));
        suspect.packets
    }

    /// The numbers began again with `start`, in another generation; the packet at hand begins with
    /// `first`, and what is between was not known for what it is.
    pub(crate) fn restart<S: Copy>(
        &mut self,
        (start, first): (u64, u64),
        generation: u32,
        log: &mut Log<S>,
    ) {
        log.generation = self.generation;
        self.lose_all(Why::Restart, log);
        self.generation = generation;
        self.counts.restarts += 1;
        log.generation = generation;
        log.push(What::Restarted { before: self.next });
        (self.start, self.next) = (start, start);
        (self.told, self.ended) = (0, None);
        self.forget_lost();
        self.suspect = Break::default();
        self.pass(first, Cause::Restart, log);
    }
}
