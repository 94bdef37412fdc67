//! Orders, as every format and transport of them is given one.

use std::fmt;
use tickwire_frame::Reason;

/// How many decimals the prices of a configuration have: the most that any feed or target of it
/// has, at most [`Scale::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scale(pub u32);

impl Scale {
    /// MDP 3.0 has nine; more would leave too little of 64 bits before the point.
    pub const MAX: Scale = Scale(9);
}

/// Whether to buy or to sell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// To buy.
    Buy,
    /// To sell what is held.
    Sell,
    /// To sell short, where the target tells it apart; else as [`Side::Sell`].
    SellShort,
}

impl Side {
    /// +1 when an execution makes the position greater, -1 when it makes it less.
    #[inline]
    pub fn sign(self) -> i64 {
        match self {
            Side::Buy => 1,
            Side::Sell | Side::SellShort => -1,
        }
    }
}

/// `buy`, `sell`, `sell_short`: in configuration and in what is printed.
impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Side::Buy => "buy",
            Side::Sell => "sell",
            Side::SellShort => "sell_short",
        })
    }
}

/// What a strategy wants sent. No check has seen it yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intent {
    /// Which rule wants it: its place in the configuration. Strategies in Rust number their own.
    pub rule: u16,
    /// Of which instrument: its place in the configuration's list.
    pub instrument: u32,
    /// To which target: its place in the configuration.
    pub target: u16,
    /// Buy or sell.
    pub side: Side,
    /// The limit, in units of the [`Scale`].
    pub price: i64,
    /// How many.
    pub quantity: u32,
}

/// An order that passed every check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// What is wanted.
    pub intent: Intent,
    /// Its symbol, padded with spaces on the right.
    pub symbol: [u8; 8],
    /// Its number: never given twice, across restarts, too. Formats make their client order ids of
    /// it.
    pub number: u64,
    /// When it was decided, in nanoseconds since 1970 UTC.
    pub at_ns: u64,
}

/// What an exchange said of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The [`Order::number`].
    pub number: u64,
    /// What it said.
    pub kind: EventKind,
}

/// What an exchange can say of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// It is in the market, or was taken and is being looked at.
    Accepted,
    /// It was refused, whole. The code is the protocol's.
    Rejected(u16),
    /// A part or the rest was executed.
    Executed {
        /// How many now.
        quantity: u32,
        /// For how much, in units of the [`Scale`].
        price: i64,
    },
    /// What was left of it is gone: cancelled, expired, or decremented to nothing.
    Canceled {
        /// How many will never be executed.
        quantity: u32,
    },
    /// It never left: the connection or the port refused it, for this reason.
    Unsent(Reason),
}
