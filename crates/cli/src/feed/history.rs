//! What was missing on a line: each gap from the packet that showed it to its end, if it has one.

use super::ranges;
use tickwire_market::Session;
use tickwire_market::sequence::{Event, Gap, How, Range, What};

/// The most gaps that are kept: of those beyond only the numbers are.
const GAPS_KEPT_MAX: usize = 100_000;
/// How far back a gap is looked for that something came of.
const LOOKED_BACK_MAX: usize = 4_096;

/// A part of a gap that came after all.
#[derive(Clone, Copy, Debug)]
pub struct Filled {
    /// Which numbers.
    pub range: Range,
    /// When.
    pub at_ns: u64,
    /// By what.
    pub how: How,
}

/// A gap, and what came of it.
#[derive(Clone, Debug)]
pub struct Record {
    /// The session.
    pub session: Session,
    /// How often its numbers had begun again.
    pub generation: u32,
    /// Which numbers, since when.
    pub gap: Gap,
    /// What came, in the order of its coming.
    pub filled: Vec<Filled>,
}

impl Record {
    /// What did not come.
    pub fn missing(&self) -> Vec<Range> {
        let filled = self.filled.iter().map(|filled| filled.range).collect();
        ranges::without(&[self.gap.range], &ranges::normal(filled))
    }
}

/// The gaps of a line, in the order in which they were shown.
#[derive(Debug, Default)]
pub struct History {
    /// Each gap.
    pub gaps: Vec<Record>,
    /// Messages missing in gaps that were not kept.
    pub unkept_messages: u64,
    /// Sessions that are not followed any more, because so many others came.
    pub forgotten_sessions: u64,
}

impl History {
    /// What happened with a packet.
    #[inline]
    pub fn note(&mut self, events: &[Event<Session>]) {
        for event in events {
            self.note_one(event);
        }
    }

    #[cold]
    fn note_one(&mut self, event: &Event<Session>) {
        let Event { session, generation, at_ns, .. } = *event;
        match event.what {
            What::Gap(gap) if self.gaps.len() == GAPS_KEPT_MAX => {
                self.unkept_messages += gap.range.count();
            }
            What::Gap(gap) => {
                self.gaps.push(Record { session, generation, gap, filled: Vec::new() });
            }
            What::Filled(gap, how) => {
                let is_it = |record: &&mut Record| {
                    record.session == session
                        && record.generation == generation
                        && record.gap.range.contains(gap.range.first)
                };
                match self.gaps.iter_mut().rev().take(LOOKED_BACK_MAX).find(is_it) {
                    Some(record) => record.filled.push(Filled { range: gap.range, at_ns, how }),
                    None => {
                        let left = self.unkept_messages.saturating_sub(gap.range.count());
                        self.unkept_messages = left;
                    }
                }
            }
            What::Forgotten => self.forget(session),
            _ => {}
        }
    }

    /// Whether another line has what is missing in it cannot be told any more.
    fn forget(&mut self, session: Session) {
        let missing = |record: &Record| ranges::count(&record.missing());
        self.unkept_messages += self.of(session).map(missing).sum::<u64>();
        self.gaps.retain(|record| record.session != session);
        self.forgotten_sessions += 1;
    }

    /// The gaps of a session.
    pub fn of(&self, session: Session) -> impl Iterator<Item = &Record> {
        self.gaps.iter().filter(move |record| record.session == session)
    }
}
