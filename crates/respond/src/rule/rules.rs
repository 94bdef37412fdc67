//! The rules of a configuration as a strategy: which programs a message is for, in one step.

use super::Rule;
use super::runner::Runner;
use crate::config::Config;
use crate::order::Intent;
use crate::strategy::{Strategy, Tick};
use tickwire_market::Protocol;

/// Programs of all instruments and types together, at most: a rule for every instrument counts once
/// for each.
const ENTRIES_MAX: usize = 8 << 20;

/// Whether rules can be indexed.
///
/// # Errors
/// What to do when there are too many.
pub(crate) fn check_size(rules: &[Rule], instruments: usize) -> Result<(), String> {
    let entries = |rule: &Rule| {
        let chosen = rule.instruments.as_ref().map_or(instruments, Vec::len);
        chosen.saturating_mul(rule.programs.len())
    };
    match rules.iter().map(entries).sum::<usize>() <= ENTRIES_MAX {
        true => Ok(()),
        false => Err(format!(
            "rules times instruments are more than {ENTRIES_MAX}: name the instruments of each \
             rule, or use several configurations"
        )),
    }
}

/// No rule of the feed looks at messages of that type.
const NO_ROW: u8 = u8::MAX;

/// The rules of a configuration. Those that are for a message are found by its type and instrument,
/// so that a thousand rules cost what one costs; the first that holds, in the order of the
/// configuration, decides.
#[derive(Clone, Debug)]
pub struct Rules {
    feeds: Vec<Index>,
    programs: Vec<Placed>,
}

/// A program, and what of its rule belongs into an intent.
#[derive(Clone, Debug)]
struct Placed {
    runner: Runner,
    rule: u16,
    target: u16,
}

/// The programs of a feed by type and instrument: rows of types, each with a place for each
/// instrument and one more, between which its programs lie.
#[derive(Clone, Debug)]
struct Index {
    rows: [u8; 256],
    stride: usize,
    starts: Vec<u32>,
    programs: Vec<u32>,
    /// Messages of fixed length are of one type, which no letter tells.
    fixed: Option<u8>,
}

impl Rules {
    /// Of a configuration.
    pub fn new(config: &Config) -> Self {
        let mut programs = Vec::new();
        let mut feeds = Vec::new();
        for (number, feed) in (0..).zip(&config.feeds) {
            let mine = |rule: &&Rule| rule.enabled && rule.feed == number;
            let first = programs.len();
            let mut of: Vec<(&Rule, u32, u8)> = Vec::new();
            for rule in config.rules.iter().filter(mine) {
                for program in &rule.programs {
                    of.push((rule, programs.len() as u32, program.key));
                    let (rule, target) = (rule.number, rule.target);
                    programs.push(Placed { runner: Runner::of(program), rule, target });
                }
            }
            debug_assert_eq!(of.len(), programs.len() - first);
            feeds.push(Index::new(feed.protocol, &of, config.instruments.len()));
        }
        Rules { feeds, programs }
    }
}

impl Index {
    fn new(protocol: Protocol, programs: &[(&Rule, u32, u8)], instruments: usize) -> Self {
        let mut rows = [NO_ROW; 256];
        let mut count = 0;
        for (.., key) in programs {
            let row = &mut rows[usize::from(*key)];
            if *row == NO_ROW {
                *row = count;
                count += 1;
            }
        }
        let fixed = matches!(protocol, Protocol::Nanonet | Protocol::NanonetBig);
        let fixed = fixed.then(|| programs.first().map_or(0, |(.., key)| *key));
        let stride = instruments + 1;
        let mut lists = vec![Vec::new(); usize::from(count) * stride];
        for (rule, program, key) in programs {
            let row = usize::from(rows[usize::from(*key)]) * stride;
            match &rule.instruments {
                Some(chosen) => {
                    chosen.iter().for_each(|at| lists[row + *at as usize].push(*program));
                }
                None => lists[row..row + instruments].iter_mut().for_each(|l| l.push(*program)),
            }
        }
        // The place behind the last instrument of a row is empty: it is the end of that instrument.
        let mut starts = Vec::with_capacity(lists.len());
        let mut flat = Vec::new();
        for list in &lists {
            starts.push(flat.len() as u32);
            flat.extend_from_slice(list);
        }
        Index { rows, stride, starts, programs: flat, fixed }
    }

    /// The programs that a message is for.
    #[inline]
    fn programs(&self, tick: &Tick<'_>) -> &[u32] {
        let key = self.fixed.or_else(|| tick.message.first().copied());
        let row = key.map_or(NO_ROW, |key| self.rows[usize::from(key)]);
        let instrument = tick.instrument as usize;
        if row == NO_ROW || instrument + 1 >= self.stride {
            return &[];
        }
        let at = usize::from(row) * self.stride + instrument;
        &self.programs[self.starts[at] as usize..self.starts[at + 1] as usize]
    }
}

impl Strategy for Rules {
    #[inline]
    fn decide(&mut self, tick: &Tick<'_>) -> Option<Intent> {
        let feed = self.feeds.get(usize::from(tick.feed))?;
        for &program in feed.programs(tick) {
            let Placed { runner, rule, target } = &self.programs[program as usize];
            if let Some((side, quantity, price)) = runner.run(tick) {
                let (rule, target, instrument) = (*rule, *target, tick.instrument);
                return Some(Intent { rule, instrument, target, side, price, quantity });
            }
        }
        None
    }
}
