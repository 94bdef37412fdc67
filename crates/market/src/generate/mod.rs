//! Feeds that nobody recorded: seeded, so that a test, a demonstration and a measurement can have
//! the same again. Pure: no clock, no I/O, no floating point.
//!
//! [`Itch`] is a day of a market of Nasdaq's size in ITCH 5.0: the stocks, orders up to the
//! opening, then trading. No message refers to an order that is not there, and no book is ever
//! locked or crossed. What it is made of, and where that is from:
//!
//! * *Types of messages*: `A` 44.32 %, `D` 43.44 %, `U` 7.12 %, `E` 2.17 %, `X` 1.65 %, `F` 0.88 %,
//!   `P` 0.36 %, `C` 0.05 %. These are their shares on Nasdaq on 2018-03-29 (308,048,026 messages;
//!   S. Jansen, *Hands-On Machine Learning for Algorithmic Trading*, chapter 2).
//! * *Executions* are of the first order at the best price. 79 % leave nothing of it: so, in that
//!   mix, as many orders go as come.
//! * *Prices* of new orders are as far from the best one of their side as a power law says, more
//!   than x ticks with a probability of x^-0.6 (J.-P. Bouchaud, M. Mézard, M. Potters, *Statistical
//!   properties of stock order books*, 2002); one in eight is within the spread.
//! * *Deleted, cancelled, replaced* are three times of four the orders nearest the best price, by
//!   the same law, else any order of the stock's side. An assumption.
//! * *Stocks* have a weight of 1 / (10 + rank): of 8,000, the first has 1.5 % of the messages and
//!   the first hundred 36 %. An assumption. Of the orders before the opening, a quarter comes by
//!   this weight, the others to all stocks alike.
//! * *Shares* of half the orders are 100, of a quarter less, of one in 20 up to 20,000. An
//!   assumption.
//! * *Times* between messages are exponential; a third of the messages comes in bursts of up to 64,
//!   32 times as dense. An assumption.

mod itch;
mod random;
mod stock;

pub use itch::Itch;

/// Stocks at most: as many as have names.
pub const STOCKS_MAX: u16 = 16_000;

/// The busiest stocks, so that a filter finds something; the others are ZAAA, ZAAB and so on.
const BUSIEST: [&str; 10] =
    ["NVDA", "TSLA", "AAPL", "MSFT", "AMZN", "QQQ", "SPY", "AMD", "META", "INTC"];

/// Of how many messages the shares are given.
const WHOLE: u64 = 100_000;

/// Types and their shares; see above.
const MIX: [(u8, u64); 8] = [
    (b'A', 44_318),
    (b'D', 43_438),
    (b'U', 7_123),
    (b'E', 2_171),
    (b'X', 1_652),
    (b'F', 883),
    (b'P', 364),
    (b'C', 51),
];

/// When messages begin: 04:00.
const START_NS: u64 = 4 * 3_600_000_000_000;

/// When the market opens: 09:30. Orders come before.
const OPEN_NS: u64 = 34_200_000_000_000;

/// How many times as dense messages are within a burst.
const BURST_DENSITY: u64 = 32;

/// The most messages of a burst; of those without, one in so many begins one.
const BURST_MESSAGES_MAX: u64 = 64;

/// What market.
#[derive(Clone, Copy, Debug)]
pub struct ItchConfig {
    /// Another seed, another day.
    pub seed: u64,
    /// Stocks, 1 to [`STOCKS_MAX`].
    pub stocks: u16,
    /// Orders that have come before the market opens; later, as many go as come.
    pub live_orders: u32,
    /// Nanoseconds between two messages, on average, once the market is open.
    pub gap_ns: u64,
}

impl Default for ItchConfig {
    /// 8 000 stocks, a million orders, 50 000 messages a second.
    fn default() -> Self {
        ItchConfig { seed: 1, stocks: 8_000, live_orders: 1_000_000, gap_ns: 20_000 }
    }
}
