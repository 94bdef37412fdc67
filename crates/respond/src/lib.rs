//! Market data in, at most one order out.
//!
//! * [`exchange`]: the other side of a session, for tests.
//! * [`format`](mod@format): orders as bytes: an [`Encoder`](format::Encoder) of the user's format.
//! * [`config`]: the file that says what is answered, how, and within which limits ([`Config`]).
//! * `instruments`: what is traded ([`Instruments`]).
//! * `markets`: what messages are about ([`Markets`]); `level1`: what is known of it ([`Level1`]).
//! * `strategy`: who decides: a trait ([`Strategy`]), which the rules of a file implement, too.
//! * [`rule`]: those rules: expressions, compiled for each type of message ([`Rules`]).
//! * `order`: what is to be sent ([`Intent`], [`Order`]) and what became of it ([`Event`]).
//! * `decision`: what became of a trigger ([`Decision`]): an order, or the check that refused it.
//! * [`audit`]: the log of decisions, as bytes.
//! * [`settings`]: what no order may do ([`Settings`]).
//! * `checks`: what is asked before every order, and in which order ([`Checks`]); `rate`,
//!   `positions` and `triggers` are what it has to remember.
//! * [`mod@memory`]: what of that survives the process ([`Memory`]).
//! * `feeds` and `halts`: whether a feed is complete, and an instrument trades.
//! * `responder`: all of it together ([`Responder`]), and its `counts` ([`Counts`]).
//! * `batches`: when all workers have seen the kill switch ([`Batches`]).
//! * [`xdp`]: rules, checks and orders as a program for the kernel.
//! * [`session`]: how orders reach an exchange over a connection ([`Session`]).
//!
//! Pure: bytes and the time in, bytes out. No socket, no thread, no clock, no file.
//!
//! # Numbers
//! Prices are integers of [`Scale`] decimals, the same for all feeds and targets of a
//! configuration, so that any two compare; quantities are `u32`. Nothing here is a floating-point
//! number, and no arithmetic on them can overflow: what could is refused when a rule is compiled.

#![forbid(unsafe_code)]

pub mod audit;
mod batches;
mod checks;
pub mod config;
mod counts;
mod decision;
pub mod exchange;
mod feeds;
pub mod format;
mod halts;
mod instruments;
mod level1;
mod markets;
pub mod memory;
mod order;
mod positions;
mod rate;
mod responder;
pub mod rule;
pub mod session;
pub mod settings;
mod strategy;
mod triggers;
pub mod xdp;

pub use batches::Batches;
pub use checks::{Checks, Moment};
pub use config::{Config, ConfigError};
pub use counts::{Counts, Tally};
pub use decision::{Decision, Outcome};
pub use feeds::FeedState;
pub use instruments::{Instrument, Instruments, Symbol};
pub use level1::{Level1, NUMBER_MAX, Word};
pub use markets::{MarketCounts, Markets};
pub use memory::Memory;
pub use order::{Event, EventKind, Intent, Order, Scale, Side};
pub use positions::{EventCounts, Position};
pub use responder::{Arrival, Outlet, Responder};
pub use rule::Rules;
pub use session::{Close, SequenceStore, Session};
pub use settings::Settings;
pub use strategy::{Market, Strategy, Tick};
pub use triggers::{CONTENTS_MAX, SESSIONS_MAX, Trigger, session_tag};
