//! What the books were made of, and what did not make sense.

use super::books::{Books, Kept, Shown};
use crate::table::count;
use crate::units::grouped;
use std::fmt;
use tickwire_market::book::SpreadCounts;

/// The account of all books, for people.
pub struct Account<'a>(pub &'a Books);

impl fmt::Display for Account<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Account(books) = self;
        for Shown { kept, joined_at, has_lost, .. } in books.feeds() {
            of_feed(f, kept)?;
            if matches!(kept, Kept::Mdp3(_)) {
                continue;
            }
            if let Some(first) = joined_at {
                let first = grouped(first);
                writeln!(f, "joined at message {first}: what rested before is in no book (STALE)")?;
            }
            if has_lost {
                writeln!(
                    f,
                    "messages were lost: books may be wrong until they are cleared (STALE)"
                )?;
            }
        }
        some(f, "missing", books.missing, "messages that never came: books went on without them")?;
        some(f, "late", books.late, "messages that came after they were given up: see --hold")?;
        for protocol in books.without_books() {
            writeln!(
                f,
                "no books are made of {protocol}: of itch50, deep, deepplus and mdp3 only"
            )?;
        }
        Ok(())
    }
}

fn of_feed(f: &mut fmt::Formatter<'_>, kept: &Kept) -> fmt::Result {
    match kept {
        Kept::Itch(books) => {
            count(f, "orders", books.orders().live_orders() as u64, "rest")?;
            unresolved(f, books.unresolved())?;
            let own = books.counts();
            some(f, "unlisted", own.unknown_locates, "orders of stocks that no R had named")?;
            let wrong = own.wrong_stocks + own.wrong_locates;
            some(f, "astray", wrong, "messages about an order of another stock")?;
            spreads(f, books.orders().counts().spreads)
        }
        Kept::DeepPlus(books) => {
            count(f, "orders", books.orders().live_orders() as u64, "rest")?;
            unresolved(f, books.unresolved())?;
            spreads(f, books.orders().counts().spreads)
        }
        Kept::Deep(books) => {
            let own = books.counts();
            some(f, "unresolved", own.unknown_levels, "levels removed that were not there")?;
            spreads(f, own.spreads)
        }
        Kept::Mdp3(books) => {
            let own = books.counts();
            some(f, "unresolved", own.unknown_levels, "changes of levels that were not there")?;
            some(f, "gaps", own.gaps, "times that a security lacked a message")?;
            spreads(f, own.spreads)
        }
    }
}

fn unresolved(f: &mut fmt::Formatter<'_>, by_type: impl Iterator<Item = (u8, u64)>) -> fmt::Result {
    let by_type: Vec<(u8, u64)> = by_type.collect();
    let types: Vec<_> =
        by_type.iter().map(|(letter, count)| format!("{} {count}", char::from(*letter))).collect();
    let note = format!("messages about orders that are not there: {}", types.join(", "));
    some(f, "unresolved", by_type.iter().map(|(_, count)| count).sum(), &note)
}

fn spreads(
    f: &mut fmt::Formatter<'_>,
    SpreadCounts { locked, crossed }: SpreadCounts,
) -> fmt::Result {
    some(f, "crossed", crossed, "times that a book became crossed")?;
    some(f, "locked", locked, "times that a book became locked")
}

fn some(f: &mut fmt::Formatter<'_>, label: &str, number: u64, note: &str) -> fmt::Result {
    if number > 0 { count(f, label, number, note) } else { Ok(()) }
}
