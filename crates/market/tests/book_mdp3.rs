//! Books by position against an exchange: it has whole books, shows the best levels of them, and
//! says with every action of MDP 3.0 what has changed in the part that it shows.

mod common;

use common::Random;
use std::collections::BTreeMap;
use tickwire_market::Code;
use tickwire_market::book::mdp3::{Books, Counts, DEPTH, Entry, IMPLIED_DEPTH, Part, action};
use tickwire_market::book::{Best, Change, Level, Spread};

const SECURITY: i32 = -7;
const PARTS: [(Part, u8, u8); 4] = [
    (Part::Bid, b'0', DEPTH),
    (Part::Offer, b'1', DEPTH),
    (Part::ImpliedBid, b'E', IMPLIED_DEPTH),
    (Part::ImpliedOffer, b'F', IMPLIED_DEPTH),
];

/// One part of an exchange's book, by keys of which the lowest is the best.
struct Exchange {
    levels: BTreeMap<i64, Level>,
    part: Part,
    entry_type: u8,
    depth: usize,
}

/// Actions on positions.
type Actions = Vec<(u8, Entry)>;

impl Exchange {
    fn shown(&self) -> Vec<Level> {
        self.levels.values().take(self.depth).copied().collect()
    }

    /// How many levels are better than that of `key`.
    fn rank(&self, key: i64) -> usize {
        self.levels.range(..key).count()
    }

    fn say(&self, action: u8, at: usize, level: Level) -> (u8, Entry) {
        let Level { price, size, orders } = level;
        let entry_type = Code(self.entry_type);
        (action, Entry { entry_type, level: at as u8 + 1, price, size, orders })
    }

    /// What was below the depth, and comes into sight from the position `from` on.
    fn say_new(&self, from: usize) -> impl Iterator<Item = (u8, Entry)> + '_ {
        let shown = self.shown().into_iter().enumerate().skip(from);
        shown.map(|(at, level)| self.say(action::NEW, at, level))
    }

    /// Something random happens; what the exchange says about it.
    fn step(&mut self, numbers: &mut Random) -> Actions {
        let key = numbers.below(25) as i64;
        let sign = if matches!(self.part, Part::Bid | Part::ImpliedBid) { -1 } else { 1 };
        let (size, orders) = (numbers.below(100) + 1, numbers.below(9) as u32 + 1);
        let level = Level { price: 1_000 + sign * (key - 2), size, orders };
        match numbers.below(40) {
            0..20 => self.set(key, level),
            20..36 => self.remove(key),
            // The best are swept away, or the worst.
            36 => self.sweep(action::DELETE_THRU, |other| other > key),
            37 => self.sweep(action::DELETE_FROM, |other| other < key),
            // Every level is another at once.
            _ => {
                for level in self.levels.values_mut() {
                    (level.size, level.price) = (size, level.price + 1_000_000);
                }
                let levels = self.shown().into_iter().enumerate();
                levels.map(|(at, level)| self.say(action::OVERLAY, at, level)).collect()
            }
        }
    }

    fn set(&mut self, key: i64, mut level: Level) -> Actions {
        let at = self.rank(key);
        let old = self.levels.get(&key).copied();
        level.price = old.map_or(level.price, |old| old.price);
        self.levels.insert(key, level);
        let action = if old.is_some() { action::CHANGE } else { action::NEW };
        if at < self.depth { vec![self.say(action, at, level)] } else { Actions::new() }
    }

    fn remove(&mut self, key: i64) -> Actions {
        let at = self.rank(key);
        match self.levels.remove(&key) {
            Some(level) if at < self.depth => {
                let mut actions = vec![self.say(action::DELETE, at, level)];
                actions.extend(self.say_new(self.depth - 1));
                actions
            }
            _ => Actions::new(),
        }
    }

    fn sweep(&mut self, action: u8, keep: impl Fn(i64) -> bool) -> Actions {
        let before = self.shown();
        let kept = self.levels.keys().take(self.depth).filter(|&&key| keep(key)).count();
        self.levels.retain(|&key, _| keep(key));
        let at = match action {
            _ if kept == before.len() => return Actions::new(),
            action::DELETE_THRU => before.len() - kept - 1,
            _ => kept,
        };
        let mut actions = vec![self.say(action, at, before[at])];
        actions.extend(self.say_new(kept));
        actions
    }
}

fn exchanges() -> [Exchange; 4] {
    PARTS.map(|(part, entry_type, depth)| Exchange {
        levels: BTreeMap::new(),
        part,
        entry_type,
        depth: depth.into(),
    })
}

#[test]
fn the_books_are_what_the_exchange_shows() {
    let mut seen = [0; 6];
    for seed in 0..20 {
        let (mut numbers, mut books) = (Random(seed), Books::new());
        let (mut exchanges, mut rpt_seq) = (exchanges(), 0);
        for _ in 0..2_000 {
            let exchange = &mut exchanges[numbers.below(4) as usize];
            for (action, entry) in exchange.step(&mut numbers) {
                rpt_seq += 1;
                seen[usize::from(action)] += 1;
                let change = books.update(SECURITY, rpt_seq, action, entry);
                assert_eq!(change.book(), Some(0));
                assert_eq!(books.best(0), None, "the event has not ended");
            }
            books.end_of_event();
            for exchange in &exchanges {
                assert_eq!(books.levels(0, exchange.part), exchange.shown());
            }
            let best = |at: usize| exchanges[at].levels.values().next().copied();
            assert_eq!(books.best(0), Some(Best { bid: best(0), offer: best(1) }));
        }
        let counts = Counts { entries: rpt_seq.into(), ..Counts::default() };
        assert_eq!(Counts { spreads: Default::default(), ..books.counts() }, counts);
        assert!(!books.is_stale(0));
    }
    assert!(seen.iter().all(|&count| count > 100), "{seen:?}");
}

#[test]
fn a_lost_message_makes_a_book_stale_until_it_is_refreshed() {
    let (mut numbers, mut books) = (Random(1), Books::new());
    let (mut exchanges, mut rpt_seq) = (exchanges(), 0);
    for step in 0..5_000 {
        for (action, entry) in exchanges[numbers.below(4) as usize].step(&mut numbers) {
            rpt_seq += 1;
            // Of the first messages none is lost.
            if step < 100 || numbers.below(50) != 0 {
                books.update(SECURITY, rpt_seq, action, entry);
            }
        }
        books.end_of_event();
        if step < 100 {
            assert!(!books.is_stale(0));
        }
        if step % 100 == 99 {
            let old = books.refresh(SECURITY, rpt_seq.saturating_sub(10).max(1), []);
            assert_eq!(old, Change::None);
            let all = exchanges.iter().flat_map(|exchange| {
                let shown = exchange.shown().into_iter().enumerate();
                shown.map(|(at, level)| exchange.say(action::OVERLAY, at, level).1)
            });
            assert_eq!(books.refresh(SECURITY, rpt_seq, all), Change::Best { book: 0 });
            assert!(!books.is_stale(0));
            for exchange in &exchanges {
                assert_eq!(books.levels(0, exchange.part), exchange.shown());
            }
        }
    }
    let counts = books.counts();
    assert!(counts.gaps > 10 && counts.unknown_levels > 0 && counts.old > 49, "{counts:?}");
}

#[test]
fn anything_else_is_counted_and_changes_nothing_else() {
    let mut books = Books::new();
    let entry = |entry_type: u8, level, price| Entry {
        entry_type: Code(entry_type),
        level,
        price,
        size: 5,
        orders: 1,
    };
    assert_eq!(books.define(SECURITY, 1, 0), Some(0));
    assert_eq!(books.update(SECURITY, 1, action::NEW, entry(b'0', 1, 9)), Change::Best { book: 0 });
    books.update(SECURITY, 2, action::NEW, entry(b'1', 1, 9));
    books.end_of_event();
    assert_eq!(books.spread(0), Spread::Locked);
    books.update(SECURITY, 3, action::CHANGE, entry(b'1', 1, 8));
    books.end_of_event();
    assert_eq!((books.spread(0), books.is_stale(0)), (Spread::Crossed, false));
    books.update(SECURITY, 3, action::DELETE, entry(b'1', 1, 8));
    books.update(SECURITY, 4, 6, entry(b'1', 1, 8));
    books.update(SECURITY, 5, action::NEW, entry(b'2', 1, 8));
    books.observe(SECURITY, 6);
    for level in [0, 2, 255] {
        books.update(SECURITY, 0, action::DELETE_FROM, entry(b'0', level, 8));
    }
    books.update(SECURITY, 0, action::NEW, entry(b'E', 1, 8));
    books.end_of_event();
    assert_eq!((books.all_levels().count(), books.is_stale(0)), (2, true));
    let change = books.update(SECURITY, 7, action::NEW, entry(b'J', 0, 0));
    assert_eq!((change, books.is_stale(0)), (Change::Best { book: 0 }, false));
    let counts = books.counts();
    let expected = Counts {
        entries: 11,
        other_types: 1,
        unknown_actions: 1,
        unknown_levels: 4,
        wrong_prices: 1,
        old: 1,
        ..Counts::default()
    };
    assert_eq!(Counts { spreads: Default::default(), ..counts }, expected);
    assert_eq!((counts.spreads.locked, counts.spreads.crossed), (1, 1));
    books.reset();
    assert_eq!(books.update(SECURITY, 1, action::NEW, entry(b'0', 1, 9)).book(), Some(0));
    assert_eq!((books.security_id(0), books.book(SECURITY)), (Some(SECURITY), Some(0)));
    assert_eq!((books.levels(9, Part::Bid), books.is_stale(9)), (&[][..], true));
}
