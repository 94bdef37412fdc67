//! Who asks for what was missed.

use crate::iex::gap_fill;
use crate::moldudp64;
use crate::sequence::{Range, Ranges};

/// The most ranges of a request: 16 bytes each, so that it fits into any datagram.
pub(super) const REQUEST_RANGES_MAX: usize = 32;

/// What is asked for, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How many servers there are, at least 1. They are asked in turns.
    pub servers: usize,
    /// The most messages of a range that is asked for. A longer one is asked for in parts.
    pub range_messages_max: u64,
    /// The most messages of a request.
    pub request_messages_max: u64,
    /// The most ranges of a request, up to 32.
    pub request_ranges_max: usize,
    /// Whether an answer is one packet, so that what it lacks must be asked for again, rather than
    /// waited for.
    pub answer_is_one_packet: bool,
    /// Ranges which are apart by no more messages than these are asked for as one.
    pub join_messages_max: u64,
    /// The most ranges that are asked for and not answered.
    pub asked_max: usize,
    /// How long to wait for an answer, in ns.
    pub retry_ns: u64,
    /// How often a range is asked for without an answer that brings any of it.
    pub tries_max: u32,
    /// How long a range is asked for at all, in ns.
    pub give_up_ns: u64,
    /// The most ranges that are wanted: one more, and the oldest is given up.
    pub ranges_max: usize,
}

impl Settings {
    /// For MoldUDP64 (section 3): one range a request, and one packet an answer.
    pub fn moldudp64(servers: usize) -> Self {
        Settings {
            servers,
            range_messages_max: 1_000,
            request_messages_max: moldudp64::MESSAGES_MAX.into(),
            request_ranges_max: 1,
            answer_is_one_packet: true,
            join_messages_max: 4,
            asked_max: 4,
            retry_ns: 50_000_000,
            tries_max: 5,
            give_up_ns: 5_000_000_000,
            ranges_max: 1_024,
        }
    }

    /// For gap-fill requests of IEX-TP over UDP: several ranges of together at most 1 000 messages,
    /// which come as ordinary segments.
    pub fn iex(servers: usize) -> Self {
        Settings {
            request_messages_max: gap_fill::UDP_MESSAGES_MAX,
            request_ranges_max: REQUEST_RANGES_MAX,
            answer_is_one_packet: false,
            asked_max: REQUEST_RANGES_MAX,
            ..Self::moldudp64(servers)
        }
    }
}

/// Why a range was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unanswered {
    /// No server answered with any of it: too old for all of them, or none lives.
    Tries,
    /// It took too long.
    Time,
    /// More ranges were wanted than there is room for.
    Overflow,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action<'a> {
    /// Send a request.
    Ask {
        /// To which server, from 0 on.
        server: usize,
        /// For what: of as many ranges as [`Settings::request_ranges_max`].
        ranges: &'a [Range],
    },
    /// This will not come: tell who waits for it.
    GiveUp(Range, Unanswered),
}

/// What was done. Numbers of messages stay at 2^64 − 1 when they are larger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests to be sent.
    pub requests: u64,
    /// Ranges in them that had been asked for before.
    pub repeated: u64,
    /// Messages that were wanted.
    pub wanted: u64,
    /// Messages that answers brought.
    pub answered: u64,
    /// Messages that came without an answer.
    pub came: u64,
    /// Messages that were given up.
    pub given_up: u64,
}

/// How a wanted range fares.
#[derive(Clone, Copy, Debug)]
struct Want {
    tries: u32,
    server: usize,
    until_ns: u64,
}

/// A range that was asked for.
#[derive(Clone, Copy, Debug)]
struct Asked {
    range: Range,
    /// How often it had been asked for before.
    tries: u32,
    until_ns: u64,
}

/// Asks for what was missed in one session: [`want`](Self::want), then [`poll`](Self::poll) until
/// there is nothing to do, again whenever something came and at [`deadline_ns`](Self::deadline_ns).
#[derive(Clone, Debug)]
pub struct Client {
    settings: Settings,
    wanted: Ranges<Want>,
    asked: Vec<Asked>,
    request: Vec<Range>,
    /// With whom to begin.
    server: usize,
    counts: Counts,
}

impl Client {
    /// Wants nothing yet.
    pub fn new(settings: Settings) -> Self {
        let settings = Settings {
            servers: settings.servers.max(1),
            range_messages_max: settings.range_messages_max.max(1),
            request_messages_max: settings.request_messages_max.max(1),
            request_ranges_max: settings.request_ranges_max.clamp(1, REQUEST_RANGES_MAX),
            asked_max: settings.asked_max.max(1),
            ..settings
        };
        Client {
            settings,
            wanted: Ranges::new(settings.ranges_max),
            asked: Vec::with_capacity(settings.asked_max),
            request: Vec::with_capacity(settings.request_ranges_max),
            server: 0,
            counts: Counts::default(),
        }
    }

    /// `range` is missing. What of it is wanted already is asked for anew. When there is no room,
    /// the oldest range that is wanted is given up.
    #[must_use = "what is given up must be told to who waits for it"]
    pub fn want(&mut self, range: Range, at_ns: u64) -> Option<Action<'static>> {
        let until_ns = at_ns.saturating_add(self.settings.give_up_ns);
        let want = Want { tries: 0, server: self.server, until_ns };
        self.server = (self.server + 1) % self.settings.servers;
        if self.wanted.around(range).is_some() {
            self.wanted.change(range, |known| *known = want);
            return None;
        }
        let mut known = 0;
        // Nothing is cut in two, so nothing is driven out.
        _ = self.wanted.remove(range, |piece, _| known += piece.count());
        let new = range.count() - known;
        self.counts.wanted = self.counts.wanted.saturating_add(new);
        let (oldest, _) = self.wanted.insert(range, want)?;
        self.counts.given_up = self.counts.given_up.saturating_add(oldest.count());
        Some(Action::GiveUp(oldest, Unanswered::Overflow))
    }

    /// `range` came, but not as an answer.
    pub fn came(&mut self, range: Range) {
        let came = self.take(range);
        self.counts.came = self.counts.came.saturating_add(came);
    }

    /// A server answered with `range`. Where it is an answer but nothing that was wanted, the next
    /// try waits until its time.
    pub fn answered(&mut self, range: Range, at_ns: u64) {
        let Settings { answer_is_one_packet, retry_ns, .. } = self.settings;
        let taken = self.take(range);
        self.counts.answered = self.counts.answered.saturating_add(taken);
        if taken == 0 {
            return;
        }
        let until_ns = at_ns.saturating_add(retry_ns);
        for asked in self.asked.iter_mut().filter(|asked| asked.range.common(&range).is_some()) {
            self.wanted.change(asked.range, |want| want.tries = 0);
            (asked.tries, asked.until_ns) = (0, until_ns);
        }
        if answer_is_one_packet {
            self.asked.retain(|asked| asked.range.common(&range).is_none());
        }
    }

    /// What to do at `at_ns`; call it until there is nothing.
    pub fn poll(&mut self, at_ns: u64) -> Option<Action<'_>> {
        if let Some(given_up) = self.expire(at_ns) {
            return Some(given_up);
        }
        self.request.clear();
        let (mut messages, mut server) = (0, None);
        while self.request.len() < self.settings.request_ranges_max
            && self.asked.len() < self.settings.asked_max
            && messages < self.settings.request_messages_max
        {
            let room = self.settings.request_messages_max - messages;
            let Some((range, want)) = self.next_range(room) else { break };
            if want.until_ns <= at_ns {
                if self.request.is_empty() {
                    return Some(self.give_up(range, Unanswered::Time));
                }
                break;
            }
            if server.is_some_and(|server| server != want.server) {
                break;
            }
            server = Some(want.server);
            messages += range.count();
            self.request.push(range);
            let until_ns = at_ns.saturating_add(self.settings.retry_ns);
            self.asked.push(Asked { range, tries: want.tries, until_ns });
            self.counts.repeated += u64::from(want.tries > 0);
        }
        let server = server?;
        self.counts.requests += 1;
        Some(Action::Ask { server, ranges: &self.request })
    }

    /// When there is something to do, if nothing comes before. In the past: at once.
    pub fn deadline_ns(&self) -> Option<u64> {
        if self.asked.len() < self.settings.asked_max && self.next_range(1).is_some() {
            return Some(0);
        }
        self.asked.iter().map(|asked| asked.until_ns).min()
    }

    /// Wants nothing any more: the session is over, or its numbers began again.
    pub fn clear(&mut self) {
        self.wanted.clear();
        self.asked.clear();
    }

    /// What is wanted, in order.
    pub fn wanted(&self) -> impl ExactSizeIterator<Item = Range> + Clone {
        self.wanted.iter().map(|(range, _)| *range)
    }

    /// What was done.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Takes out what is wanted of `range`; how much that was. Where there is no room for what is
    /// left on both sides of it, all stays wanted: to get something twice does no harm.
    fn take(&mut self, range: Range) -> u64 {
        let inside =
            |(whole, _): &(Range, Want)| whole.first < range.first && range.last < whole.last;
        if self.wanted.is_full() && self.wanted.around(range).is_some_and(inside) {
            return 0;
        }
        let mut taken = 0;
        let oldest = self.wanted.remove(range, |piece, _| taken += piece.count());
        debug_assert!(oldest.is_none());
        taken
    }

    /// Ends what has waited too long for an answer: the next server is asked for it, or none.
    fn expire(&mut self, at_ns: u64) -> Option<Action<'static>> {
        let Settings { servers, tries_max, .. } = self.settings;
        // What came otherwise is not waited for.
        let wanted = &self.wanted;
        self.asked.retain(|asked| wanted.has_any(asked.range));
        while let Some(place) = self.asked.iter().position(|asked| asked.until_ns <= at_ns) {
            let Asked { range, tries, .. } = self.asked.swap_remove(place);
            if tries + 1 >= tries_max {
                return Some(self.give_up(range, Unanswered::Tries));
            }
            // Of a long range several parts are asked for at once: that is one try.
            self.wanted.change(range, |want| {
                if want.tries == tries {
                    (want.tries, want.server) = (tries + 1, (want.server + 1) % servers);
                }
            });
        }
        None
    }

    fn give_up(&mut self, range: Range, why: Unanswered) -> Action<'static> {
        let given_up = self.take(range);
        self.counts.given_up = self.counts.given_up.saturating_add(given_up);
        Action::GiveUp(range, why)
    }

    /// The first wanted range that was not asked for, or a part of it, and others near it.
    fn next_range(&self, room: u64) -> Option<(Range, Want)> {
        let mut first = 0;
        let (start, want, mut place) = loop {
            let place = self.wanted.place(first);
            let (range, want) = self.wanted.get(place)?;
            first = first.max(range.first);
            match self.asked.iter().find(|asked| asked.range.contains(first)) {
                Some(asked) => first = asked.range.last.checked_add(1)?,
                None => break (first, *want, place),
            }
        };
        let count_max = self.settings.range_messages_max.min(room).max(1);
        let mut end = start.saturating_add(count_max - 1);
        for asked in &self.asked {
            if asked.range.first > start {
                end = end.min(asked.range.first - 1);
            }
        }
        let mut last = start;
        while let Some((range, _)) = self.wanted.get(place)
            && range.first <= end
            && range.first.saturating_sub(last) <= self.settings.join_messages_max + 1
        {
            last = range.last.min(end);
            place += 1;
        }
        Some((Range { first: start, last }, want))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn range(first: u64, last: u64) -> Range {
        Range { first, last }
    }

    /// All that is to be done: server and ranges, or why something was given up.
    fn actions(client: &mut Client, at_ns: u64) -> Vec<String> {
        let mut actions = Vec::new();
        while let Some(action) = client.poll(at_ns) {
            assert!(actions.len() < 100, "there is always something to do: {actions:?}");
            actions.push(match action {
                Action::Ask { server, ranges } => {
                    let ranges: Vec<_> = ranges.iter().map(Range::to_string).collect();
                    format!("{server}: {}", ranges.join(" "))
                }
                Action::GiveUp(range, why) => format!("{why:?} {range}"),
            });
        }
        actions
    }

    fn client(change: impl FnOnce(&mut Settings)) -> Client {
        let mut settings = Settings::moldudp64(2);
        (settings.range_messages_max, settings.asked_max) = (10, 3);
        change(&mut settings);
        Client::new(settings)
    }

    #[test]
    fn ranges_are_joined_and_split_and_bounded() {
        let mut client = client(|_| {});
        for wanted in [range(5, 6), range(9, 9), range(40, 65), range(15, 15), range(70, 70)] {
            assert_eq!(client.want(wanted, 0), None);
        }
        assert_eq!(client.deadline_ns(), Some(0));
        // 15 is too far from 9. Each range begins with the server after the one before.
        assert_eq!(actions(&mut client, 0), ["0: 5-9", "1: 15", "0: 40-49"]);
        assert_eq!((client.deadline_ns(), client.counts().requests), (Some(50 * MS), 3));
        // The first answer was cut: the rest is asked for at once.
        client.answered(range(5, 6), 1);
        assert_eq!(actions(&mut client, 1), ["1: 9"]);
        client.answered(range(40, 49), 2);
        assert_eq!(actions(&mut client, 2), ["0: 50-59"]);
        client.came(range(9, 55));
        client.came(range(70, 70));
        assert_eq!(actions(&mut client, 3), ["0: 60-65"]);
        client.answered(range(56, 65), 4);
        assert_eq!((client.wanted().len(), client.deadline_ns()), (0, None));
        assert_eq!(client.poll(4), None);
        let counts = client.counts();
        assert_eq!((counts.wanted, counts.answered, counts.came), (31, 22, 9));
        assert_eq!((counts.given_up, counts.repeated), (0, 0));
    }

    #[test]
    fn servers_are_asked_in_turns_and_then_no_more() {
        let mut client = client(|settings| settings.tries_max = 3);
        assert_eq!(client.want(range(1, 25), 0), None);
        assert_eq!(actions(&mut client, 0), ["0: 1-10", "0: 11-20", "0: 21-25"]);
        assert_eq!(actions(&mut client, 50 * MS - 1), [""; 0]);
        assert_eq!(actions(&mut client, 50 * MS), ["1: 1-10", "1: 11-20", "1: 21-25"]);
        // An answer of old things is no progress, and one of a part is.
        client.answered(range(100, 120), 60 * MS);
        assert_eq!(actions(&mut client, 100 * MS), ["0: 1-10", "0: 11-20", "0: 21-25"]);
        client.answered(range(11, 12), 110 * MS);
        assert_eq!(actions(&mut client, 110 * MS), ["0: 13-20"]);
        let last = ["Tries 1-10", "Tries 21-25"];
        assert_eq!(actions(&mut client, 150 * MS), last);
        assert_eq!(actions(&mut client, 160 * MS), ["1: 13-20"]);
        assert_eq!(client.counts().given_up, 15);
    }

    #[test]
    fn time_and_room_are_bounded() {
        let mut client = client(|settings| {
            (settings.ranges_max, settings.give_up_ns, settings.tries_max) = (2, 70 * MS, 100);
        });
        assert_eq!(client.want(range(1, 5), 0), None);
        assert_eq!(client.want(range(20, 20), 0), None);
        let given_up = Some(Action::GiveUp(range(1, 5), Unanswered::Overflow));
        assert_eq!(client.want(range(30, 39), 0), given_up);
        // There is no room for both rests: all of it stays wanted.
        client.came(range(33, 33));
        assert_eq!(client.wanted().collect::<Vec<_>>(), [range(20, 20), range(30, 39)]);
        assert_eq!(client.want(range(35, 36), 0), None);
        assert_eq!(actions(&mut client, 0).len(), 2);
        assert_eq!(actions(&mut client, 50 * MS).len(), 2);
        assert_eq!(actions(&mut client, 100 * MS), ["Time 20", "Time 30-39"]);
        assert_eq!((client.counts().wanted, client.counts().given_up), (16, 16));
        _ = client.want(range(1, 5), 0);
        client.clear();
        assert_eq!(client.poll(0), None);
        assert_eq!(client.deadline_ns(), None);
    }

    #[test]
    fn a_request_of_iex_has_many_ranges_and_its_answer_many_segments() {
        let mut client = Client::new(Settings::iex(1));
        for first in [100, 200, 300] {
            assert_eq!(client.want(range(first, first + 49), 0), None);
        }
        assert_eq!(client.want(range(1_000, 3_000), 0), None);
        assert_eq!(
            actions(&mut client, 0),
            ["0: 100-149 200-249 300-349 1000-1849", "0: 1850-2849", "0: 2850-3000"]
        );
        client.answered(range(100, 119), 20 * MS);
        client.answered(range(120, 149), 30 * MS);
        client.answered(range(200, 219), 30 * MS);
        // What progresses is waited for, and the rest asked for again.
        let again = ["0: 300-349 1000-1949", "0: 1950-2949", "0: 2950-3000"];
        assert_eq!(actions(&mut client, 50 * MS), again);
        assert_eq!(actions(&mut client, 80 * MS), ["0: 220-249"]);
    }
}
