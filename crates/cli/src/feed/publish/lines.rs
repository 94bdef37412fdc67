//! What is said of the lines of a feed.

use super::faults::LineCounts;
use crate::table::line;
use serde_json::Value;
use std::fmt;
use std::net::SocketAddr;

/// The most lines of a feed.
pub const LINES_MAX: usize = 3;

/// A line in a summary.
#[derive(Debug)]
pub struct LineSummary {
    /// `A`, `B` or `C`.
    name: char,
    from: SocketAddr,
    to: SocketAddr,
    counts: LineCounts,
}

impl LineSummary {
    /// Of each line, by source and destination, what became of its packets.
    pub fn of(lines: &[(SocketAddr, SocketAddr)], counts: Vec<LineCounts>) -> Vec<LineSummary> {
        let named = ('A'..).zip(lines).zip(counts);
        named.map(|((name, &(from, to)), counts)| LineSummary { name, from, to, counts }).collect()
    }

    /// For an object that scripts read.
    pub fn to_json(&self) -> Value {
        let mut object = self.counts.to_json();
        let name = [("name", self.name.to_string())];
        let addresses = [("from", self.from.to_string()), ("to", self.to.to_string())];
        let texts = name.into_iter().chain(addresses);
        object.extend(texts.map(|(name, text)| (name.to_owned(), text.into())));
        object.into()
    }
}

/// For people.
impl fmt::Display for LineSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LineSummary { name, from, to, counts } = self;
        line(f, &format!("line {name}"), format_args!("{from} to {to}"))?;
        counts.write(f)
    }
}
