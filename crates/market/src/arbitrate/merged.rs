//! One session: all lines together, and each for itself.

use super::line::{Line, LineStream};
use super::{LINES_MAX, Settings};
use crate::sequence::{Log, New, Rules, Stream};

/// The numbers of a session.
#[derive(Clone, Debug)]
pub(super) struct Merged {
    pub(super) stream: Stream,
    pub(super) lines: Vec<LineStream>,
    jump_max: u64,
    /// Since when what continues the numbers of a line has been nothing new.
    pub(super) barren_ns: Option<u64>,
}

impl Merged {
    pub(super) fn new(lines: usize, rules: Rules) -> Self {
        // Only what continues a line by itself tells that its numbers began again: of two lines
        // together, old numbers are those of the slower one.
        let together = Rules { restart_first_max: None, ..rules };
        // Lines are counted, and all together are passed on.
        let rules = Rules { only_counts: true, ..rules };
        let lines = (0..lines).map(|_| LineStream::new(rules)).collect();
        let jump_max = rules.jump_max;
        Merged { stream: Stream::new(together), lines, jump_max, barren_ns: None }
    }

    pub(super) fn begin<S: Copy>(&mut self, first: u64, from_first: bool, log: &mut Log<S>) {
        self.stream.begin(first, from_first, 0, log);
        self.lines.iter_mut().for_each(|line| line.clear(0, from_first));
        self.barren_ns = None;
    }

    /// Follows a line for itself. It does not begin with a packet that may be damaged.
    #[inline]
    pub(super) fn receive_on<S: Copy>(
        &mut self,
        line: usize,
        numbers: (u64, u32, bool),
        log: &mut Log<S>,
    ) -> New {
        let own = &mut self.lines[line];
        if own.begun().is_none() {
            if numbers.0.saturating_sub(self.stream.next()) > self.jump_max {
                return New::None;
            }
            own.begin(numbers.0, log);
        }
        own.receive(numbers, log)
    }

    /// Whether the numbers of a line began again, and not those of all together, or the other way.
    #[inline]
    pub(super) fn is_astray(&self, line: usize) -> bool {
        self.lines[line].generation() != self.stream.generation()
    }

    /// The numbers begin again when those of all live lines have.
    #[cold]
    pub(super) fn follow_restart<S: Copy>(
        &mut self,
        line: usize,
        first: u64,
        lines: &[Line; LINES_MAX],
        settings: &Settings,
        log: &mut Log<S>,
    ) {
        let at_ns = log.arrival.at_ns;
        let live = self
            .lines
            .iter()
            .zip(lines)
            .enumerate()
            .filter(|(of, (_, state))| *of == line || state.is_live(at_ns, settings.live_ns));
        let begun = live.filter_map(|(_, (own, _))| own.begun());
        let first_of = begun.map(|stream| (stream.generation(), stream.start())).min();
        let Some((generation, start)) = first_of else { return };
        if generation > self.stream.generation() {
            self.stream.restart((start.min(first), first), generation, log);
            self.barren_ns = None;
            // A line that died before may come back with any number of those of now.
            let before = |own: &&mut LineStream| own.generation() < generation;
            self.lines.iter_mut().filter(before).for_each(|own| own.clear(generation, false));
        }
    }

    /// Whether lines have gone on for so long without anything new, and still do.
    #[inline]
    pub(super) fn is_stalled(&self, first: u64, count: u32, at_ns: u64, stall_ns: u64) -> bool {
        self.barren_ns.is_some_and(|since| at_ns.saturating_sub(since) > stall_ns)
            && first.saturating_add(count.into()) < self.stream.next()
    }

    /// All begin again where `line` is.
    #[cold]
    pub(super) fn begin_again<S: Copy>(&mut self, line: usize, first: u64, log: &mut Log<S>) {
        let generations = self.lines.iter().map(|own| own.generation());
        let generation = generations.max().unwrap_or(0).max(self.stream.generation()) + 1;
        self.stream.restart((first, first), generation, log);
        self.lines.iter_mut().for_each(|own| own.clear(generation, false));
        self.lines[line].begin(first, log);
        self.barren_ns = None;
    }

    /// A packet had something that came before.
    #[inline]
    pub(super) fn not_all_new(&mut self, new: New, continues: bool, at_ns: u64) {
        if new != New::None {
            self.barren_ns = None;
        } else if continues && self.barren_ns.is_none() {
            self.barren_ns = Some(at_ns);
        }
    }

    /// Tells of what all live lines have passed, and of what has waited long enough.
    #[inline(never)]
    pub(super) fn tell<S: Copy>(
        &mut self,
        lines: &[Line; LINES_MAX],
        settings: &Settings,
        log: &mut Log<S>,
    ) {
        let (at_ns, generation) = (log.arrival.at_ns, self.stream.generation());
        let live =
            self.lines.iter().zip(lines).filter(|(_, line)| line.is_live(at_ns, settings.live_ns));
        let passed = live.map(|(own, _)| match own.begun() {
            Some(stream) if stream.generation() == generation => stream.next(),
            _ => 0,
        });
        let passed = passed.min().unwrap_or(u64::MAX);
        self.stream.tell(passed, at_ns.checked_sub(settings.gap_hold_ns), log);
    }
}
