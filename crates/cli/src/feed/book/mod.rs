//! `tickwire feed book`: what is bid and offered, from every message of a feed, each once and in
//! order.
//!
//! * `args`: the flags; `books`: feeds, sessions and their books; `view`: how books are shown.
//! * `account`: what they were made of.

mod account;
mod args;
mod books;
mod view;

use crate::completions::print_all;
use crate::exit::Failure;
use account::Account;
pub use args::BookArgs;
use books::Books;
use tickwire_market::{Message, Packet};
use view::View;

use super::streams::Line;

/// Follows a feed for its books, and shows them now and then.
#[derive(Debug)]
pub struct Follow {
    books: Books,
    view: View,
    /// How often, in ns of the feed; 0: only at the end.
    every_ns: u64,
    /// When next; 0 before the first packet.
    next_ns: u64,
    /// Why nothing is shown any more.
    failure: Option<Failure>,
}

impl Follow {
    /// As the flags say.
    pub fn new(args: &BookArgs) -> Follow {
        let nanos = |time: std::time::Duration| time.as_nanos() as u64;
        Follow {
            books: Books::new(nanos(args.hold), args.lines.line.clone()),
            view: View::new(args),
            every_ns: args.every.map_or(0, nanos),
            next_ns: 0,
            failure: None,
        }
    }

    /// A message of a file without packets.
    pub fn recorded(&mut self, message: &Message<'_>) {
        self.books.recorded(message);
    }

    /// A packet, with `count` messages that can be read.
    pub fn packet(&mut self, line: Line, packet: &Packet<'_>, count: u32, at_ns: u64, number: u64) {
        if self.every_ns > 0 && at_ns >= self.next_ns {
            // The books as they were before this packet; none before the first.
            if self.next_ns > 0
                && let Err(failure) = print_all(self.view.now(&self.books, self.next_ns).as_bytes())
            {
                self.failure = Some(failure);
            }
            self.next_ns = at_ns - at_ns % self.every_ns + self.every_ns;
        }
        self.books.packet(line, packet, count, at_ns, number);
    }

    /// Whether nobody reads what is shown.
    pub fn is_done(&self) -> bool {
        self.failure.is_some()
    }

    /// Shows the books as they are at the end; the account of them.
    ///
    /// # Errors
    /// When the books cannot be written, or there are none of the symbols that are asked for.
    pub fn finish(mut self) -> Result<String, Failure> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        self.books.end();
        let unknown = self.view.unknown(&self.books)?;
        print_all(self.view.last(&self.books).as_bytes())?;
        Ok(unknown + &Account(&self.books).to_string())
    }
}
