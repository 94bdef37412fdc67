//! What a session over SoupBinTCP needs to know, and what it noticed.

use crate::format::{Format, Ouch42, Ouch50, OuchError};
use crate::session::Secret;

/// Which orders a session sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ouch {
    /// OUCH 4.2.
    V42(Ouch42),
    /// OUCH 5.0.
    V50(Ouch50),
}

impl Ouch {
    /// The format of its orders.
    ///
    /// # Errors
    /// [`OuchError`] names the setting that is none of the specification.
    pub fn format(&self) -> Result<Format, OuchError> {
        match self {
            Ouch::V42(settings) => Format::ouch42(settings),
            Ouch::V50(settings) => Format::ouch50(settings),
        }
    }
}

/// How to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SoupSettings {
    /// At most 6 characters.
    pub username: String,
    /// At most 10 characters.
    pub password: Secret,
    /// At most 10 characters; empty: the session of now.
    pub session: String,
    /// The number of the first message that is wanted at the first login; 0: only what is new.
    pub next_sequence: u64,
    /// How long after a login an order of a connection before stays open that the exchange does
    /// not mention; at least one second.
    pub unanswered_s: u32,
    /// Whether every open order is cancelled at the next login when the connection was lost, or
    /// only those of which is not known whether they arrived. (OUCH has no message that asks for
    /// this beforehand: it is a setting of the port.)
    pub cancel_on_disconnect: bool,
}

impl Default for SoupSettings {
    fn default() -> Self {
        SoupSettings {
            username: String::new(),
            password: Secret::default(),
            session: String::new(),
            next_sequence: 0,
            unanswered_s: 5,
            cancel_on_disconnect: true,
        }
    }
}

/// A setting that a session cannot be made of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SoupError {
    /// A text is too long, or not ASCII.
    #[error("{name} is at most {bytes_max} characters of ASCII in SoupBinTCP: shorten it")]
    Text {
        /// Which.
        name: &'static str,
        /// The most characters.
        bytes_max: usize,
    },
    /// An order cannot be made.
    #[error(transparent)]
    Ouch(#[from] OuchError),
}

/// What was noticed beside what events say. All are 0 with a peer that makes no mistake, but for
/// orders of another program on the same port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SoupCounts {
    /// Answers about orders that are not open, or that were answered so before.
    pub unknown_orders: u64,
    /// Answers about more shares than an order had left.
    pub too_many_shares: u64,
    /// Executions that were broken or corrected: positions are wrong from now on.
    pub corrections: u64,
    /// Messages that were cut.
    pub unreadable: u64,
}
