//! Books of [MDP 3.0](crate::mdp3) from its messages: which entries of which template say what.

use super::mdp3::{Books, Entry};
use crate::mdp3::{Message, match_event};
use crate::sbe::MessageHeader;
use crate::wire::{Code, Little, Wire};
use crate::{OrNull, Price};

/// Where an entry says of which security it is and which number it has, in the incremental
/// refreshes that change no book: volume, statistics, limits, session statistics.
const NUMBERED: [(u16, usize, usize); 4] = [(37, 4, 8), (49, 12, 16), (50, 24, 28), (51, 8, 12)];

/// Bytes of the dimension of these groups, `groupSize`.
const DIMENSION: usize = 3;

/// Mantissas of 9 decimals for one of the 7 decimals of older templates.
const MANTISSAS_PER_7: i64 = 100;

/// Applies the entries of a refresh: those of both templates have the same names, and prices of
/// their own decimals.
macro_rules! update {
    ($books:ident, $root:ident, $entries:ident, $mantissas:expr) => {{
        for it in $entries {
            let price = it.md_entry_px().get().map(|Price(price)| price.saturating_mul($mantissas));
            let (kind, level) = (it.md_entry_type(), it.md_price_level());
            let entry = entry(kind, level, price, it.md_entry_size(), it.number_of_orders());
            $books.update(it.security_id(), it.rpt_seq(), it.md_update_action(), entry);
        }
        $books.end($root.match_event_indicator());
    }};
}

impl Books {
    /// Applies a message of a channel: refreshes of the book (46, 32), snapshots (52) and resets;
    /// trades and statistics (37, 48 to 51) for their numbers. Prices have nine decimals, whatever
    /// the template.
    pub fn apply(&mut self, message: &Message<'_>) {
        match *message {
            Message::Book46(root, entries, _) => update!(self, root, entries, 1),
            Message::Book32(root, entries, _) => {
                update!(self, root, entries, MANTISSAS_PER_7);
            }
            Message::TradeSummary48(root, entries, _) => {
                entries.for_each(|it| self.observe(it.security_id(), it.rpt_seq()));
                self.end(root.match_event_indicator());
            }
            Message::Snapshot52(root, entries) => {
                let entries = entries.map(|it| {
                    let price = it.md_entry_px().get().map(|Price(mantissa)| mantissa);
                    let level = it.md_price_level().get().unwrap_or(0).max(0) as u8;
                    let (size, orders) = (it.md_entry_size(), it.number_of_orders());
                    entry(it.md_entry_type(), level, price, size, orders)
                });
                self.refresh(root.security_id(), root.rpt_seq(), entries);
            }
            Message::ChannelReset(_) => self.reset(),
            Message::Other(header) => _ = self.observe_entries(header),
            _ => {}
        }
    }

    /// The numbers of a message that changes no book; `None` where it is cut.
    fn observe_entries(&mut self, header: MessageHeader<'_>) -> Option<()> {
        let template = |known: &&(u16, usize, usize)| known.0 == header.template_id();
        let &(_, security, number) = NUMBERED.iter().find(template)?;
        let (root, groups) = header.block().ok()?;
        let (dimension, entries) = groups.split_first_chunk::<DIMENSION>()?;
        let size = usize::from(u16::read::<Little>(dimension));
        for entry in entries.chunks_exact(size.max(1)).take(dimension[2].into()) {
            let security_id = entry.get(security..security + 4)?;
            let rpt_seq = entry.get(number..number + 4)?;
            self.observe(i32::read::<Little>(security_id), u32::read::<Little>(rpt_seq));
        }
        self.end(*root.get(8)?);
        Some(())
    }

    fn end(&mut self, match_event_indicator: u8) {
        if match_event_indicator & match_event::END_OF_EVENT != 0 {
            self.end_of_event();
        }
    }
}

fn entry(
    entry_type: Code,
    level: u8,
    price: Option<i64>,
    size: OrNull<i32>,
    orders: OrNull<i32>,
) -> Entry {
    let number = |value: OrNull<i32>| value.get().and_then(|it| u32::try_from(it).ok());
    Entry {
        entry_type,
        level,
        price: price.unwrap_or(0),
        size: number(size).unwrap_or(0).into(),
        orders: number(orders).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::UnixTime;
    use crate::book::{Best, Level};
    use crate::mdp3::{
        BookEntry46Builder, IncrementalBuilder, SnapshotBuilder, SnapshotEntry52Builder, template,
    };
    use crate::sbe::MessageHeaderBuilder;

    /// A message with one group of entries behind `groupSize`.
    fn message(template: u16, root: &[u8], entries: &[&[u8]]) -> Vec<u8> {
        let header = MessageHeaderBuilder::new().template_id(template).schema_id(1).version(9);
        let header = header.block_length(root.len() as u16);
        let size = entries.first().map_or(0, |entry| entry.len()) as u16;
        let [low, high] = size.to_le_bytes();
        [header.as_bytes(), root, &[low, high, entries.len() as u8], &entries.concat()].concat()
    }

    fn apply(books: &mut Books, bytes: &[u8]) {
        let header = MessageHeader::parse(bytes).unwrap();
        books.apply(&Message::decode(header).unwrap());
    }

    fn refresh(rpt_seq: u32, kind: u8, price: i64, end: bool) -> Vec<u8> {
        let entry = BookEntry46Builder::new().security_id(7).rpt_seq(rpt_seq).md_price_level(1);
        let entry = entry.md_entry_px(OrNull(Price(price))).md_entry_size(OrNull(5));
        let entry = entry.number_of_orders(OrNull(2)).md_entry_type(Code(kind));
        let root = IncrementalBuilder::new().transact_time(UnixTime(1));
        let root = root.match_event_indicator(u8::from(end) << 7);
        message(template::BOOK_46, root.as_bytes(), &[entry.as_bytes()])
    }

    fn prices(books: &Books) -> Option<(Option<i64>, Option<i64>)> {
        let Best { bid, offer } = books.best(0)?;
        let price = |level: Option<Level>| level.map(|level| level.price);
        Some((price(bid), price(offer)))
    }

    #[test]
    fn refreshes_and_events() {
        let mut books = Books::new();
        apply(&mut books, &refresh(1, b'0', 9, false));
        assert_eq!(prices(&books), None);
        apply(&mut books, &refresh(2, b'1', 11, true));
        assert_eq!((prices(&books), books.is_stale(0)), (Some((Some(9), Some(11))), false));
        let level = Level { price: 9, size: 5, orders: 2 };
        assert_eq!(books.best(0).unwrap().bid, Some(level));
    }

    #[test]
    fn statistics_count_for_their_security() {
        let mut books = Books::new();
        apply(&mut books, &refresh(1, b'0', 9, true));
        let mut entry = [0; 32];
        (entry[12], entry[16]) = (7, 2);
        let statistics = message(49, IncrementalBuilder::new().as_bytes(), &[&entry]);
        apply(&mut books, &statistics);
        apply(&mut books, &refresh(3, b'1', 11, true));
        assert!(!books.is_stale(0));
        for len in 8..statistics.len() {
            let header = MessageHeader::parse(&statistics[..len]).unwrap();
            books.apply(&Message::Other(header));
        }
        apply(&mut books, &refresh(5, b'1', 12, true));
        assert!(books.is_stale(0));
    }

    #[test]
    fn a_snapshot_is_all_of_a_book_and_a_reset_nothing() {
        let mut books = Books::new();
        apply(&mut books, &refresh(1, b'0', 9, true));
        apply(&mut books, &refresh(3, b'1', 11, true));
        assert!(books.is_stale(0));
        let root = SnapshotBuilder::new().security_id(7).rpt_seq(4);
        let entry = SnapshotEntry52Builder::new().md_entry_px(OrNull(Price(8)));
        let entry = entry.md_entry_size(OrNull(1)).md_price_level(OrNull(1));
        let entry = entry.md_entry_type(Code(b'0'));
        let snapshot = message(template::SNAPSHOT_52, root.as_bytes(), &[entry.as_bytes()]);
        apply(&mut books, &snapshot);
        assert_eq!((prices(&books), books.is_stale(0)), (Some((Some(8), None)), false));
        apply(&mut books, &message(template::CHANNEL_RESET, &[0; 9], &[]));
        assert_eq!(prices(&books), Some((None, None)));
    }
}
