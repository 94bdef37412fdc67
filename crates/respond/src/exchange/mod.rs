//! The other side of a session, for tests: it takes orders, answers them, and checks what a real
//! exchange would trust: numbers, sequences, duplicates. Faults are scripted.
//!
//! Pure, as everything here: `tickwire lab exchange` gives it a socket, a test gives it arrays.
//! Unlike the rest it allocates as it likes, and remembers a whole day.
//!
//! * `fix`: FIX 4.2 and 4.4 ([`FixExchange`]).
//! * `nanonet`: its orders, over datagrams or a stream ([`NanonetExchange`]).
//! * `soup`: OUCH over SoupBinTCP ([`SoupExchange`]), whose messages `ouch` reads and writes.

mod fix;
mod nanonet;
mod ouch;
mod soup;

pub use fix::FixExchange;
pub use nanonet::NanonetExchange;
pub use ouch::OuchVersion;
pub use soup::SoupExchange;

use crate::order::Side;
use serde::Serialize;

/// What goes wrong on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// The connection is cut after every so many orders, before the last is answered; 0 never.
    pub disconnect_every: u64,
    /// After so many orders nothing more is said on the connection, heartbeats neither, until
    /// the peer connects again; once; 0 never.
    pub silent_after: u64,
    /// Every so many orders one is rejected; 0 none.
    pub reject_every: u64,
    /// Of a hundred orders, so many are executed as soon as they are accepted.
    pub fill_percent: u8,
    /// Every so many answers one gets lost on its way, and has to be asked for (FIX alone: where
    /// answers have numbers and connections do not end at a gap); 0 none.
    pub withhold_every: u64,
    /// Every so many orders one gets lost on its way (FIX alone: it is asked for); 0 none.
    pub miss_every: u64,
}

impl Faults {
    /// Whether the order that makes `orders` in all is one of every `every`.
    pub fn is_nth(orders: u64, every: u64) -> bool {
        every > 0 && orders.is_multiple_of(every)
    }

    /// Whether the accepted order that makes `accepted` in all is executed: evenly spread.
    pub fn is_filled(&self, accepted: u64) -> bool {
        let filled = |orders: u64| u128::from(orders) * u128::from(self.fill_percent) / 100;
        accepted > 0 && filled(accepted) > filled(accepted - 1)
    }
}

/// An order that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// What its sender calls it.
    pub client_order_id: String,
    /// Its symbol, without padding.
    pub symbol: String,
    /// Buy or sell.
    pub side: Side,
    /// The limit, in units of its last decimal.
    pub price: i64,
    /// The decimals of the limit.
    pub decimals: u32,
    /// How many.
    pub quantity: u32,
    /// What was done with it.
    pub answer: Answer,
}

impl Received {
    /// The limit with all its decimals: `63.0200`.
    pub fn limit(&self) -> String {
        let unit = 10_u64.saturating_pow(self.decimals);
        let (sign, price) = (if self.price < 0 { "-" } else { "" }, self.price.unsigned_abs());
        let (whole, part, decimals) = (price / unit, price % unit, self.decimals as usize);
        match decimals {
            0 => format!("{sign}{whole}"),
            _ => format!("{sign}{whole}.{part:0decimals$}"),
        }
    }
}

/// What an exchange did with an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was accepted.
    Accepted,
    /// It was rejected, on purpose or because its fields make no sense.
    Rejected,
    /// An order of this name came before: nothing was done.
    Duplicate,
}

/// What an exchange counted. All but the first lines are 0 when its peer makes no mistake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Logins that were accepted.
    pub logins: u64,
    /// Connections that were cut on purpose.
    pub cuts: u64,
    /// Orders that came in, duplicates not counted.
    pub orders: u64,
    /// Those accepted.
    pub accepted: u64,
    /// Those rejected on purpose.
    pub rejected: u64,
    /// Executions.
    pub executions: u64,
    /// Orders that were cancelled.
    pub canceled: u64,
    /// Requests for the status of an order (FIX alone).
    pub status_requests: u64,
    /// Orders whose name was used before.
    pub duplicates: u64,
    /// Numbers that were out of sequence.
    pub sequence_errors: u64,
    /// Orders whose fields make no sense.
    pub bad_orders: u64,
    /// Messages that are none of the protocol, or not at that moment.
    pub protocol_errors: u64,
    /// Logins that were refused.
    pub refused_logins: u64,
}

impl Tally {
    /// Mistakes of the peer.
    pub fn errors(&self) -> u64 {
        self.duplicates
            + self.sequence_errors
            + self.bad_orders
            + self.protocol_errors
            + self.refused_logins
    }
}

/// An exchange and its connection. One peer is connected at a time; another connection ends the
/// one before, of which nothing is read any more.
pub trait Exchange: Send {
    /// A connection is there.
    fn connected(&mut self, now_ns: u64);

    /// It is gone, and what was to be sent on it.
    fn disconnected(&mut self, now_ns: u64);

    /// Bytes came in, cut anywhere; each order that they held is given to `order`.
    ///
    /// # Errors
    /// Why the connection has to be closed: a scripted fault, the peer's logout or its mistake.
    /// What is in [`output`](Exchange::output) is to be sent first, as far as it goes.
    fn received(
        &mut self,
        bytes: &[u8],
        now_ns: u64,
        order: &mut dyn FnMut(Received),
    ) -> Result<(), String>;

    /// Called at least ten times a second: heartbeats out, heartbeats missed.
    ///
    /// # Errors
    /// As [`received`](Exchange::received).
    fn tick(&mut self, now_ns: u64) -> Result<(), String>;

    /// What is to be sent.
    fn output(&self) -> &[u8];

    /// The first `bytes` of it went.
    fn sent(&mut self, bytes: usize);

    /// What was counted so far.
    fn tally(&self) -> Tally;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_are_spread_evenly() {
        let filled = |fill_percent| {
            let faults = Faults { fill_percent, ..Faults::default() };
            (1..=1000).filter(|&order| faults.is_filled(order)).count()
        };
        assert_eq!(
            [filled(0), filled(1), filled(50), filled(99), filled(100)],
            [0, 10, 500, 990, 1000]
        );
        let half = Faults { fill_percent: 50, ..Faults::default() };
        let first: Vec<_> = (0..=6).map(|order| half.is_filled(order)).collect();
        assert_eq!(first, [false, false, true, false, true, false, true]);
        assert!(!Faults::is_nth(7, 0) && Faults::is_nth(6, 3) && !Faults::is_nth(7, 3));
    }
}
