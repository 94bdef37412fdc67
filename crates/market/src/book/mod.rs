//! Books: what is bid and offered now, built from the messages of a feed.
//!
//! * [`itch`] and [`deep_plus`] follow every order ([`orders`]): ITCH 5.0 by stock locate, DEEP+ by
//!   symbol.
//! * [`deep`] follows price levels that the feed names by their price, [`mdp3`] those that it names
//!   by their position (CME MDP 3.0 and what has its semantics).
//!
//! A book never waits, guesses or fails: what a message says is done as far as it makes sense, and
//! what does not make sense is counted by its name (`Counts` of each module). Nobody but the feed
//! fills a book, so after a loss it is wrong until the feed says everything again; whoever tracks
//! sequence numbers knows when.
//!
//! Memory: orders lie in one open-addressed table of 24 bytes a slot, which grows as they come, up
//! to a number that the caller chooses; levels lie in one sorted array a side with the best at its
//! end, where most changes are. Nothing is allocated for a message but when one of these grows; a
//! table with room for a day's orders beforehand never does.

pub mod deep;
pub mod deep_plus;
pub mod itch;
pub mod mdp3;
pub mod orders;

mod ladder;
mod mdp3_messages;
mod side;
mod symbols;
mod table;

pub use ladder::LEVELS_MAX;
pub use side::{Best, Change, Level, Side, Spread, SpreadCounts};
pub use symbols::BOOKS_MAX;

/// Whose state a message tells whole, whatever was missed before it. Who follows sequence numbers
/// learns from it which books are [fresh](crate::sequence::Freshness) again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whole {
    /// That of one book, by its number.
    Book(u16),
    /// That of all books: a day begins, and they are empty.
    All,
}
