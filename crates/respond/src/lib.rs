//! Market data in, at most one order out.
//!
//! * `order`: what is to be sent ([`Intent`], [`Order`]) and what became of it ([`Event`]).
//! * [`exchange`]: the other side of a session, for tests.
//! * [`format`](mod@format): orders as bytes: an [`Encoder`](format::Encoder) of the user's format.
//! * `strategy`: who decides: a trait ([`Strategy`]), which the rules of a file implement, too.
//! * `decision`: what became of a trigger ([`Decision`]): an order, or the check that refused it.
//! * [`audit`]: the log of decisions, as bytes.
//! * `session`: how orders reach an exchange over a connection ([`Session`]).
//!
//! Pure: bytes and the time in, bytes out. No socket, no thread, no clock, no file.
//!
//! # Numbers
//! Prices are integers of [`Scale`] decimals, the same for all feeds and targets of a
//! configuration, so that any two compare; quantities are `u32`. Nothing here is a floating-point
//! number, and no arithmetic on them can overflow: what could is refused when a rule is compiled.

#![forbid(unsafe_code)]

pub mod audit;
mod decision;
pub mod exchange;
pub mod format;
mod order;
mod session;
mod strategy;

pub use decision::{Decision, Outcome};
pub use order::{Event, EventKind, Intent, Order, Scale, Side};
pub use session::{Close, Session};
pub use strategy::{Strategy, Tick};
