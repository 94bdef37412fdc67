//! The lines of each feed, found by what they carry and merged: each message once.

use super::args::Lines;
use super::streams::Line;
use std::collections::HashMap;
use tickwire_market::arbitrate::{Arbiter, LINES_MAX, Settings};
use tickwire_market::recovery::Id;
use tickwire_market::sequence::{New, Numbers, Range, Rules};
use tickwire_market::{Protocol, Session};

/// The most feeds that are followed: what is beyond is counted.
const FEEDS_MAX: usize = 64;

/// The lines of one feed, as one.
#[derive(Debug)]
pub struct Merged {
    /// What comes on them.
    pub protocol: Protocol,
    /// The lines, in the order of their first packets.
    pub lines: Vec<Line>,
    /// What is new of what comes.
    pub arbiter: Arbiter<Session>,
    /// The latest time so far: that of a capture may go back, that of an arbiter must not.
    pub at_ns: u64,
    /// Which of the feeds it is whose lines the user named.
    told: Option<usize>,
}

impl Merged {
    /// The latest time, of which `at_ns` may be one.
    fn now_ns(&mut self, at_ns: u64) -> u64 {
        self.at_ns = self.at_ns.max(at_ns);
        self.at_ns
    }
}

/// Where a packet belongs, and what of it is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Merge {
    /// Of which feed it is.
    pub feed: usize,
    /// Which of its messages came first.
    pub new: New,
}

/// All feeds.
///
/// Lines are of one feed when they carry the same session of the same protocol, or when the user
/// says so. Where sessions have no names, each destination is a feed of its own otherwise, with a
/// line in each of the files.
#[derive(Debug)]
pub struct Feeds {
    settings: Settings,
    /// What is sent to which destinations is one feed, as the user says.
    told: Vec<Lines>,
    feeds: Vec<Merged>,
    /// The feed of a line and its number there; `None` when there was no room for it.
    places: HashMap<(Protocol, Line), Option<(usize, usize)>>,
    /// Packets on lines beyond [`FEEDS_MAX`] feeds of [`LINES_MAX`] lines.
    pub unfollowed: u64,
}

impl Feeds {
    /// No feed yet. What one line passed over is a gap `gap_hold_ns` later; `from_first` says that
    /// what comes before the first number seen is missing.
    pub fn new(gap_hold_ns: u64, from_first: bool) -> Feeds {
        let rules = Rules { from_first, ..Rules::default() };
        // Lines that never come delay nothing: they are not live.
        let settings = Settings { lines: LINES_MAX, gap_hold_ns, rules, ..Settings::default() };
        let (told, feeds, places) = (Vec::new(), Vec::new(), HashMap::new());
        Feeds { settings, told, feeds, places, unfollowed: 0 }
    }

    /// The same, where what is sent to `told` is one feed, each.
    pub fn with_lines(self, told: Vec<Lines>) -> Feeds {
        Feeds { told, ..self }
    }

    /// Each feed, in the order of their first packets.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Merged> {
        self.feeds.iter()
    }

    /// A feed that a packet was of.
    pub fn get(&self, feed: usize) -> &Merged {
        &self.feeds[feed]
    }

    /// A packet, as number `packet` of its file; `None` when its line is not followed.
    pub fn packet(
        &mut self,
        protocol: Protocol,
        line: Line,
        numbers: &Numbers<Session>,
        at_ns: u64,
        packet: u64,
    ) -> Option<Merge> {
        if line.is_unicast()
            && let Some(feed) = self.with_group(line, numbers.session)
        {
            return Some(self.answered(feed, numbers, at_ns, packet));
        }
        let place = match self.places.get(&(protocol, line)) {
            Some(&place) => place,
            None => {
                let place = self.place(protocol, line, numbers.session);
                self.places.insert((protocol, line), place);
                place
            }
        };
        let Some((feed, number)) = place else {
            self.unfollowed += 1;
            return None;
        };
        let merged = &mut self.feeds[feed];
        let at_ns = merged.now_ns(at_ns);
        let new = merged.arbiter.receive(number, numbers, at_ns, packet);
        Some(Merge { feed, new })
    }

    /// The answer to a request: `None` when no feed of `protocol` has the session.
    pub fn answer(
        &mut self,
        protocol: Protocol,
        numbers: &Numbers<Session>,
        at_ns: u64,
        packet: u64,
    ) -> Option<Merge> {
        let known = |(session, _)| session == numbers.session;
        let feed = self.feeds.iter().position(|merged| {
            merged.protocol == protocol && merged.arbiter.sessions().any(known)
        })?;
        Some(self.answered(feed, numbers, at_ns, packet))
    }

    fn answered(
        &mut self,
        feed: usize,
        numbers: &Numbers<Session>,
        at_ns: u64,
        packet: u64,
    ) -> Merge {
        let merged = &mut self.feeds[feed];
        let at_ns = merged.now_ns(at_ns);
        let new = merged.arbiter.receive_answer(numbers, at_ns, packet);
        Merge { feed, new }
    }

    /// The feed whose groups in the file of `line` have the session: what is sent there by unicast
    /// are answers to its requests.
    fn with_group(&self, line: Line, session: Session) -> Option<usize> {
        self.feeds.iter().position(|merged| {
            let is_group = |it: &Line| it.file == line.file && !it.is_unicast();
            let known = |(known, _)| known == session;
            merged.lines.iter().any(is_group) && merged.arbiter.sessions().any(known)
        })
    }

    /// Tells of gaps whose time has come by `at_ns` without a packet: see [`Arbiter::tick`].
    pub fn tick(&mut self, feed: usize, at_ns: u64) {
        let merged = &mut self.feeds[feed];
        let at_ns = merged.now_ns(at_ns);
        merged.arbiter.tick(at_ns);
    }

    /// What is missing of `range` will not come; whether `feed` is one that has the session.
    pub fn give_up(&mut self, feed: usize, (protocol, session): Id, range: Range) -> bool {
        let merged = &mut self.feeds[feed];
        let is_one = merged.protocol == protocol;
        is_one && merged.arbiter.give_up(session, range, merged.at_ns) > 0
    }

    /// Everything that is missing.
    pub fn missing(&self) -> impl Iterator<Item = (Id, Range)> {
        self.feeds.iter().flat_map(|merged| {
            let protocol = merged.protocol;
            merged.arbiter.sessions().flat_map(move |(session, stream)| {
                stream.missing().map(move |range| ((protocol, session), range))
            })
        })
    }

    /// Finds the feed of a line that is new, or begins one.
    fn place(
        &mut self,
        protocol: Protocol,
        line: Line,
        session: Session,
    ) -> Option<(usize, usize)> {
        let told = line.to.and_then(|to| self.told.iter().position(|lines| lines.contains(&to)));
        let feed = self.feeds.iter().position(|merged| {
            if told.is_some() || merged.told.is_some() {
                return merged.protocol == protocol && merged.told == told;
            }
            let known = merged.arbiter.sessions().any(|(known, _)| known == session);
            let other = |it: &Line| session != Session::Unnamed || it.file != line.file;
            merged.protocol == protocol && known && merged.lines.iter().all(other)
        });
        if feed.is_none() && self.feeds.len() == FEEDS_MAX {
            return None;
        }
        let feed = feed.unwrap_or_else(|| {
            let (lines, arbiter) = (Vec::new(), Arbiter::new(self.settings));
            self.feeds.push(Merged { protocol, lines, arbiter, at_ns: 0, told });
            self.feeds.len() - 1
        });
        let lines = &mut self.feeds[feed].lines;
        if lines.len() == LINES_MAX {
            return None;
        }
        lines.push(line);
        Some((feed, lines.len() - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;
    use tickwire_market::Ascii;

    fn line(file: u16, to: &str) -> Line {
        Line::new(file, to.parse::<SocketAddr>().unwrap())
    }

    fn numbers(session: Session, first: u64) -> Numbers<Session> {
        Numbers { session, first, count: 1, ends: false }
    }

    #[test]
    fn lines_of_a_session_are_one_feed() {
        let (a, b) = (line(0, "239.1.1.1:26477"), line(0, "239.1.1.2:26477"));
        let session = |name| Session::Moldudp64(Ascii(name));
        let (one, two) = (session(*b"SESSION  1"), session(*b"SESSION  2"));
        let mut feeds = Feeds::new(0, false);
        let mut packet = |line, session, first| {
            feeds.packet(Protocol::Itch50, line, &numbers(session, first), 1, 1)
        };
        assert_eq!(packet(a, one, 1), Some(Merge { feed: 0, new: New::All }));
        assert_eq!(packet(b, one, 1), Some(Merge { feed: 0, new: New::None }));
        assert_eq!(packet(b, one, 2), Some(Merge { feed: 0, new: New::All }));
        let other = line(0, "239.1.1.3:26477");
        assert_eq!(packet(other, two, 1), Some(Merge { feed: 1, new: New::All }));
        // A line stays with its feed when a session follows.
        assert_eq!(packet(a, two, 1), Some(Merge { feed: 0, new: New::All }));
        let more = |at: u16| line(1, &format!("239.1.2.1:{at}"));
        assert_eq!(packet(more(1), one, 2), Some(Merge { feed: 0, new: New::None }));
        assert_eq!(packet(more(2), one, 2), None);
        assert_eq!((feeds.unfollowed, feeds.iter().len()), (1, 2));
    }

    #[test]
    fn lines_that_the_user_names_are_one_feed() {
        let [a, b, c] = ["239.1.1.1:1", "239.1.1.2:1", "239.1.1.3:1"].map(|to| line(0, to));
        let told: Lines = [a, b].map(|line| line.to.unwrap()).into();
        let mut feeds = Feeds::new(0, false).with_lines(vec![told]);
        let mut packet = |line, first| {
            let numbers = numbers(Session::Unnamed, first);
            feeds.packet(Protocol::Mdp3, line, &numbers, 1, 1).unwrap()
        };
        assert_eq!(packet(c, 5), Merge { feed: 0, new: New::All });
        assert_eq!(packet(a, 5), Merge { feed: 1, new: New::All });
        assert_eq!(packet(b, 5), Merge { feed: 1, new: New::None });
        assert_eq!(packet(b, 6), Merge { feed: 1, new: New::All });
    }

    #[test]
    fn without_sessions_a_file_is_a_line() {
        let mut feeds = Feeds::new(0, false);
        let mut packet = |line| {
            let numbers = numbers(Session::Unnamed, 5);
            feeds.packet(Protocol::FastMicex, line, &numbers, 1, 1).unwrap()
        };
        assert_eq!(packet(line(0, "239.1.1.1:1")), Merge { feed: 0, new: New::All });
        assert_eq!(packet(line(0, "239.1.1.2:1")), Merge { feed: 1, new: New::All });
        assert_eq!(packet(line(1, "239.1.1.1:1")), Merge { feed: 0, new: New::None });
    }
}
