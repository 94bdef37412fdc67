//! Books of orders from ITCH 5.0: nanoseconds a message, from its bytes to the levels, on one core.
//!
//! Two mixes: the sample file of the corpus (three stocks, all of it in the cache), and a generated
//! day of 8 000 stocks with a million live orders, of which a message finds little in the cache.
//! Beside ours a plain book: the library's maps, one for the orders and one a side for the levels.
//! Both must end with the same levels.

use clap::Args as ClapArgs;
use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;
use tickwire_market::binaryfile::BinaryFile;
use tickwire_market::blocks::write_block;
use tickwire_market::book::Side;
use tickwire_market::book::itch::Books;
use tickwire_market::generate::{Itch, ItchConfig};
use tickwire_market::itch50::Message;
use tickwire_market::{Big, Code};

/// The promise: nanoseconds a message, at most.
const MESSAGE_NS_MAX: f64 = 60.0;

/// Turns of each contender over the sample file, and over the generated day.
const TURNS: [usize; 2] = [101, 5];

#[derive(ClapArgs, Debug)]
pub struct Args {
    /// Live orders of the generated day.
    #[arg(long, default_value_t = 1_000_000)]
    orders: u32,
    /// Stocks of the generated day.
    #[arg(long, default_value_t = 8_000)]
    stocks: u16,
    /// Messages of the generated day that are measured.
    #[arg(long, default_value_t = 4_000_000)]
    messages: u32,
    /// Only ours, over the generated day, so many turns: for a profiler.
    #[arg(long)]
    profile: Option<usize>,
}

/// Messages to begin with, and messages to measure, each as a BinaryFILE.
struct Mix {
    name: String,
    before: Vec<u8>,
    measured: Vec<u8>,
    turns: usize,
}

fn messages(file: &[u8]) -> impl Iterator<Item = &[u8]> {
    BinaryFile::new(file).map(|message| message.expect("a whole file"))
}

/// The sample file; `None` without the corpus.
fn sample() -> Result<Option<Mix>, Box<dyn Error>> {
    let Some(corpus) = std::env::var_os("TICKWIRE_CORPUS") else {
        eprintln!("SKIPPED: the sample file: TICKWIRE_CORPUS is not set");
        return Ok(None);
    };
    let path = PathBuf::from(corpus).join("market/itch/ex20101224.TEST_ITCH_50.binaryfile");
    let mix = Mix {
        name: "RITCH, 3 books".into(),
        before: Vec::new(),
        measured: std::fs::read(path)?,
        turns: TURNS[0],
    };
    Ok(Some(mix))
}

/// The generated day: up to the opening, and then.
fn generated(args: &Args) -> Mix {
    let Args { stocks, orders: live_orders, .. } = *args;
    let mut itch = Itch::new(ItchConfig { stocks, live_orders, ..ItchConfig::default() });
    let mut take = |count: usize| {
        let mut file = Vec::new();
        for _ in 0..count {
            let message = itch.next_message().expect("the day is not closed");
            let at = file.len();
            file.resize(at + 2 + message.len(), 0);
            write_block::<Big>(&mut file[at..], message).expect("as long as it is");
        }
        file
    };
    let before = 3 + 2 * usize::from(stocks) + live_orders as usize;
    Mix {
        name: format!("generated, {stocks} books, {live_orders} orders"),
        before: take(before),
        measured: take(args.messages as usize),
        turns: TURNS[1],
    }
}

/// An order of the plain book: locate, whether it is a bid, price, shares.
type PlainOrder = (u16, bool, u32, u32);

/// What one writes first: the library's maps.
#[derive(Clone, Default)]
struct Plain {
    orders: HashMap<u64, PlainOrder>,
    levels: HashMap<(u16, bool), BTreeMap<u32, u64>>,
}

impl Plain {
    fn add(&mut self, reference: u64, order: PlainOrder) {
        let (locate, is_bid, price, shares) = order;
        let levels = self.levels.entry((locate, is_bid)).or_default();
        *levels.entry(price).or_default() += u64::from(shares);
        self.orders.insert(reference, order);
    }

    fn reduce(&mut self, reference: u64, shares: u32) -> Option<PlainOrder> {
        let order = self.orders.get_mut(&reference)?;
        let shares = shares.min(order.3);
        order.3 -= shares;
        let order = *order;
        let levels = self.levels.get_mut(&(order.0, order.1))?;
        let level = levels.get_mut(&order.2)?;
        *level -= u64::from(shares);
        if *level == 0 {
            levels.remove(&order.2);
        }
        if order.3 == 0 {
            self.orders.remove(&reference);
        }
        Some(order)
    }

    fn apply(&mut self, message: &Message<'_>) {
        let is_bid = |side: Code| side == b'B';
        match message {
            Message::AddOrder(m) => {
                let bid = is_bid(m.buy_sell_indicator());
                let order = (m.stock_locate(), bid, m.price().0, m.shares());
                self.add(m.order_reference_number(), order);
            }
            Message::AddOrderWithMpid(m) => {
                let bid = is_bid(m.buy_sell_indicator());
                let order = (m.stock_locate(), bid, m.price().0, m.shares());
                self.add(m.order_reference_number(), order);
            }
            Message::OrderExecuted(m) => {
                self.reduce(m.order_reference_number(), m.executed_shares());
            }
            Message::OrderExecutedWithPrice(m) => {
                self.reduce(m.order_reference_number(), m.executed_shares());
            }
            Message::OrderCancel(m) => {
                self.reduce(m.order_reference_number(), m.cancelled_shares());
            }
            Message::OrderDelete(m) => _ = self.reduce(m.order_reference_number(), u32::MAX),
            Message::OrderReplace(m) => {
                let old = self.reduce(m.original_order_reference_number(), u32::MAX);
                if let Some((locate, bid, ..)) = old {
                    let order = (locate, bid, m.price().0, m.shares());
                    self.add(m.new_order_reference_number(), order);
                }
            }
            _ => {}
        }
    }

    /// The levels, as lines, sorted.
    fn lines(&self) -> Vec<(u16, bool, u32, u64)> {
        let sides = self.levels.iter();
        let mut lines: Vec<_> = sides
            .flat_map(|(&(locate, bid), levels)| {
                levels.iter().map(move |(&price, &shares)| (locate, bid, price, shares))
            })
            .collect();
        lines.sort();
        lines
    }
}

fn lines(books: &Books) -> Vec<(u16, bool, u32, u64)> {
    let line = |(locate, side, level): (u16, Side, tickwire_market::book::Level)| {
        (locate, side == Side::Buy, level.price as u32, level.size)
    };
    let mut lines: Vec<_> = books.orders().all_levels().map(line).collect();
    lines.sort();
    lines
}

/// The fastest of `turns`, in nanoseconds a message, and the median, each beginning with a copy of
/// `start`; and what it ends with.
fn measure<B: Clone>(start: &B, mix: &Mix, apply: fn(&mut B, &[u8])) -> (f64, f64, B) {
    let count = messages(&mix.measured).count() as f64;
    let mut times = Vec::new();
    let mut end = start.clone();
    for _ in 0..mix.turns {
        end = start.clone();
        let begin = Instant::now();
        apply(&mut end, &mix.measured);
        times.push(begin.elapsed().as_nanos() as f64 / count);
    }
    times.sort_by(f64::total_cmp);
    (times[0], times[mix.turns / 2], end)
}

fn apply_all(books: &mut Books, file: &[u8]) {
    books.apply_all(messages(file));
}

fn apply_each(books: &mut Books, file: &[u8]) {
    for message in messages(file) {
        books.apply(&Message::decode(message).expect("a whole message"));
    }
}

fn apply_plain(plain: &mut Plain, file: &[u8]) {
    for message in messages(file) {
        plain.apply(&Message::decode(message).expect("a whole message"));
    }
}

/// Prints a line a mix and says whether the promise holds.
pub fn run(args: &Args) -> Result<ExitCode, Box<dyn Error>> {
    if let Some(turns) = args.profile {
        let mix = Mix { turns, ..generated(args) };
        let mut start = Books::default();
        start.apply_all(messages(&mix.before));
        let (fastest, median, _) = measure(&start, &mix, apply_all);
        println!("{}: {fastest:.1} ns a message, median {median:.1}", mix.name);
        return Ok(ExitCode::SUCCESS);
    }
    let mut kept = true;
    println!("ns a message, fastest and median of {TURNS:?} turns");
    println!("{:<42} {:>13} {:>13} {:>13} {:>6}", "", "ours", "one by one", "maps", "ratio");
    for mix in sample()?.into_iter().chain([generated(args)]) {
        let mut start = Books::default();
        start.apply_all(messages(&mix.before));
        let (all, all_median, end) = measure(&start, &mix, apply_all);
        let (each, each_median, _) = measure(&start, &mix, apply_each);
        let live = [start.orders().live_orders(), end.orders().live_orders()];
        let (found, spreads) = (lines(&end), end.orders().counts().spreads);
        drop((start, end));
        let mut start = Plain::default();
        apply_plain(&mut start, &mix.before);
        let (plain, plain_median, end) = measure(&start, &mix, apply_plain);
        assert_eq!(found, end.lines(), "both must make the same books");
        println!(
            "{:<42} {all:>6.1} {all_median:>6.1} {each:>6.1} {each_median:>6.1} {plain:>6.1} \
             {plain_median:>6.1} {:>6.1}",
            mix.name,
            plain / all
        );
        println!("    {} to {} live orders, {} levels, {spreads:?}", live[0], live[1], found.len());
        kept &= all <= MESSAGE_NS_MAX;
    }
    println!("ours: at most {MESSAGE_NS_MAX:.0}");
    Ok(if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
