//! Books for people and for programs.

use super::args::{BookArgs, BookFormat};
use super::books::{Book, Books, Kept};
use crate::columns::{Columns, has_colour};
use crate::exit::Failure;
use crate::units::grouped;
use serde_json::json;
use std::fmt::Write;
use tickwire_filter::near;
use tickwire_frame::Timestamp;
use tickwire_market::Value;
use tickwire_market::book::{Level, Side, Spread};

/// Decimals of the prices in lines for scripts.
const SCRIPT_DECIMALS: u32 = 4;
/// So many symbols are named for one that has no book.
const NEAR_SYMBOLS: usize = 5;

/// How books are shown.
#[derive(Debug)]
pub struct View {
    format: BookFormat,
    symbols: Vec<String>,
    depth: usize,
}

impl View {
    /// As the flags say.
    pub fn new(args: &BookArgs) -> View {
        let (symbols, depth) = (args.symbol.clone(), args.depth.unwrap_or(usize::MAX));
        View { format: args.format, symbols, depth }
    }

    /// The books in between, under the time.
    pub fn now(&self, books: &Books, at_ns: u64) -> String {
        let time = Timestamp::from_nanos(at_ns);
        match self.format {
            BookFormat::Json => self.objects(books, Some(at_ns)),
            _ => format!("# {time}\n{}\n", self.last(books)),
        }
    }

    /// The books.
    pub fn last(&self, books: &Books) -> String {
        match self.format {
            BookFormat::Top => self.tops(books),
            BookFormat::Ladder => self.ladders(books),
            BookFormat::Levels => self.levels(books),
            BookFormat::Json => self.objects(books, None),
        }
    }

    /// The wanted books that have a level, by symbol; whether they are stale.
    fn wanted<'a>(&self, books: &'a Books) -> Vec<(&'a Kept, Book<'a>, [Vec<Level>; 2], bool)> {
        let mut found = Vec::new();
        for shown in books.feeds() {
            let kept = shown.kept;
            for book in kept.books().filter(|book| self.wants(&book.symbol)) {
                let sides = Side::BOTH.map(|side| book.levels(side));
                let is_stale = shown.is_stale(&book);
                if sides.iter().any(|levels| !levels.is_empty()) {
                    found.push((kept, book, sides, is_stale));
                }
            }
        }
        found.sort_by(|a, b| a.1.symbol.cmp(&b.1.symbol));
        found
    }

    fn wants(&self, symbol: &str) -> bool {
        self.symbols.is_empty() || self.symbols.iter().any(|wanted| wanted == symbol)
    }

    /// What is to be said of symbols that are asked for and have no book.
    ///
    /// # Errors
    /// The same, when none of them has one.
    pub fn unknown(&self, books: &Books) -> Result<String, Failure> {
        let known: Vec<_> =
            books.feeds().flat_map(|shown| shown.kept.books()).map(|book| book.symbol).collect();
        let unknown = self.symbols.iter().filter(|symbol| !known.contains(symbol));
        let lines: Vec<_> = unknown.map(|symbol| no_book(symbol, &known)).collect();
        if !lines.is_empty() && lines.len() == self.symbols.len() {
            return Err(Failure::failed(lines.join("\ntickwire: ")));
        }
        Ok(lines.iter().map(|line| format!("tickwire: {line}\n")).collect())
    }

    fn tops(&self, books: &Books) -> String {
        const HEADING: &[&str] = &["SYMBOL", "BID", "SHARES", "OFFER", "SHARES", "LEVELS", "NOTE"];
        let mut columns = Columns::new(HEADING);
        for (kept, book, sides, is_stale) in self.wanted(books) {
            let [bid, offer] = [&sides[0], &sides[1]].map(|levels| levels.first());
            let price = |level: Option<&Level>| {
                level.map_or("-".to_owned(), |level| price(level.price, kept.decimals()))
            };
            let size =
                |level: Option<&Level>| level.map_or("-".to_owned(), |level| grouped(level.size));
            let levels = sides.iter().map(Vec::len).sum::<usize>() as u64;
            columns.row(vec![
                book.symbol.clone(),
                price(bid),
                size(bid),
                price(offer),
                size(offer),
                grouped(levels),
                note(&book, is_stale),
            ]);
        }
        columns.text(has_colour())
    }

    fn ladders(&self, books: &Books) -> String {
        const HEADING: &[&str] = &["ORDERS", "SHARES", "BID", "OFFER", "SHARES", "ORDERS"];
        let mut text = String::new();
        for (kept, book, [bids, offers], is_stale) in self.wanted(books) {
            _ = writeln!(text, "{} {}", book.symbol, note(&book, is_stale));
            let mut columns = Columns::new(HEADING);
            let cells = |level: Option<&Level>| {
                let empty = || [(); 3].map(|()| String::new());
                level.map_or_else(empty, |level| {
                    let orders =
                        if level.orders == 0 { "-".into() } else { grouped(level.orders.into()) };
                    [orders, grouped(level.size), price(level.price, kept.decimals())]
                })
            };
            for at in 0..bids.len().max(offers.len()).min(self.depth) {
                let [bid_orders, bid_size, bid] = cells(bids.get(at));
                let [offer_orders, offer_size, offer] = cells(offers.get(at));
                columns.row(vec![bid_orders, bid_size, bid, offer, offer_size, offer_orders]);
            }
            text += &columns.text(has_colour());
            text.push('\n');
        }
        text
    }

    fn levels(&self, books: &Books) -> String {
        let mut lines = Vec::new();
        for (kept, book, sides, _) in self.wanted(books) {
            for (side, levels) in Side::BOTH.into_iter().zip(sides) {
                for level in levels.iter().take(self.depth) {
                    let price = scaled(level.price, kept.decimals());
                    let (symbol, side) = (&book.symbol, side.letter());
                    lines.push(format!("{symbol}|{side}|{price}|{}\n", level.size));
                }
            }
        }
        lines.sort_unstable();
        lines.concat()
    }

    fn objects(&self, books: &Books, at_ns: Option<u64>) -> String {
        let mut text = String::new();
        for (kept, book, sides, is_stale) in self.wanted(books) {
            let [bids, offers] = sides.map(|levels| {
                let level = |level: &Level| {
                    let price = price(level.price, kept.decimals());
                    json!({"price": price, "shares": level.size, "orders": level.orders})
                };
                levels.iter().take(self.depth).map(level).collect::<Vec<_>>()
            });
            let mut object = json!({
                "symbol": book.symbol,
                "bids": bids,
                "offers": offers,
                "crossed": book.spread() == Spread::Crossed,
                "locked": book.spread() == Spread::Locked,
                "stale": is_stale,
            });
            if let Some(at_ns) = at_ns {
                object["time"] = at_ns.into();
            }
            text += &format!("{object}\n");
        }
        text
    }
}

fn no_book(symbol: &str, known: &[String]) -> String {
    let near = near(symbol, known.iter().cloned(), NEAR_SYMBOLS);
    match near.is_empty() {
        true => format!(
            "there is no book of {symbol}, of {} symbols; without --symbol all are shown",
            known.len()
        ),
        false => format!("there is no book of {symbol}; did you mean {}?", near.join(", ")),
    }
}

/// What is odd about a book.
fn note(book: &Book<'_>, is_stale: bool) -> String {
    let spread = match book.spread() {
        Spread::Open => None,
        Spread::Locked => Some("locked"),
        Spread::Crossed => Some("CROSSED"),
    };
    let words = [spread, is_stale.then_some("STALE")];
    words.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// A price with all its decimals.
fn price(raw: i64, decimals: u32) -> String {
    Value::Price { raw: raw.into(), decimals }.to_string()
}

/// A price × 10^4, with the decimals that are left over.
fn scaled(raw: i64, decimals: u32) -> String {
    match decimals - SCRIPT_DECIMALS {
        0 => raw.to_string(),
        more => {
            let text = price(raw, more);
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_as_people_and_scripts_read_them() {
        assert_eq!((price(-12_345, 4), price(5, 9)), ("-1.2345".into(), "0.000000005".into()));
        assert_eq!(
            (scaled(211_533, 4), scaled(1_500_000_000, 9)),
            ("211533".into(), "15000".into())
        );
        assert_eq!((scaled(-150_001, 9), scaled(0, 9)), ("-1.50001".into(), "0".into()));
    }
}
