//! Messages by their template: the root block, and the entries of its groups.

use super::SCHEMA_ID;
use super::templates::*;
use crate::entries::Entries;
use crate::error::Error;
use crate::message::View;
use crate::sbe::MessageHeader;
use crate::wire::{Little, Wire};

/// Template ids.
pub mod template {
    /// ChannelReset4.
    pub const CHANNEL_RESET: u16 = 4;
    /// AdminHeartbeat12: no fields.
    pub const ADMIN_HEARTBEAT: u16 = 12;
    /// MDIncrementalRefreshBook32, up to version 8.
    pub const BOOK_32: u16 = 32;
    /// MDIncrementalRefreshTradeSummary42, up to version 8.
    pub const TRADE_SUMMARY_42: u16 = 42;
    /// MDIncrementalRefreshBook46.
    pub const BOOK_46: u16 = 46;
    /// MDIncrementalRefreshOrderBook47.
    pub const ORDER_BOOK_47: u16 = 47;
    /// MDIncrementalRefreshTradeSummary48.
    pub const TRADE_SUMMARY_48: u16 = 48;
    /// SnapshotFullRefresh52.
    pub const SNAPSHOT_52: u16 = 52;

    /// The name of one of these in the schema.
    pub const fn name(id: u16) -> Option<&'static str> {
        Some(match id {
            CHANNEL_RESET => "ChannelReset4",
            ADMIN_HEARTBEAT => "AdminHeartbeat12",
            BOOK_32 => "MDIncrementalRefreshBook32",
            TRADE_SUMMARY_42 => "MDIncrementalRefreshTradeSummary42",
            BOOK_46 => "MDIncrementalRefreshBook46",
            ORDER_BOOK_47 => "MDIncrementalRefreshOrderBook47",
            TRADE_SUMMARY_48 => "MDIncrementalRefreshTradeSummary48",
            SNAPSHOT_52 => "SnapshotFullRefresh52",
            _ => return None,
        })
    }
}

/// A message of a template that a book is made of. Groups that a version does not have are empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Template 4.
    ChannelReset(ChannelReset<'a>),
    /// Template 12.
    AdminHeartbeat,
    /// Template 32: entries, and the orders behind them.
    Book32(Incremental<'a>, Entries<'a, BookEntry32<'a>>, Entries<'a, BookOrderEntry<'a>>),
    /// Template 42: trades, and their orders.
    TradeSummary42(
        Incremental<'a>,
        Entries<'a, TradeEntry42<'a>>,
        Entries<'a, TradeOrderEntry<'a>>,
    ),
    /// Template 46: entries, and the orders behind them.
    Book46(Incremental<'a>, Entries<'a, BookEntry46<'a>>, Entries<'a, BookOrderEntry<'a>>),
    /// Template 47: orders.
    OrderBook47(Incremental<'a>, Entries<'a, OrderBookEntry47<'a>>),
    /// Template 48: trades, and their orders.
    TradeSummary48(
        Incremental<'a>,
        Entries<'a, TradeEntry48<'a>>,
        Entries<'a, TradeOrderEntry<'a>>,
    ),
    /// Template 52: levels of the book, and statistics.
    Snapshot52(Snapshot<'a>, Entries<'a, SnapshotEntry52<'a>>),
    /// Any other template, or one of another schema: count it by its id, or read it with a schema.
    Other(MessageHeader<'a>),
}

impl<'a> Message<'a> {
    /// Reads the blocks of a message; all its entries are known to be there then.
    ///
    /// # Errors
    /// [`Error::Truncated`]; [`Error::Length`] for a block that is shorter than its first version.
    #[inline]
    pub fn decode(header: MessageHeader<'a>) -> Result<Self, Error> {
        if header.schema_id() != SCHEMA_ID {
            return Ok(Message::Other(header));
        }
        Ok(match header.template_id() {
            template::BOOK_46 => {
                let (root, entries, orders) = two_groups(header)?;
                Message::Book46(root, entries, orders)
            }
            template::TRADE_SUMMARY_48 => {
                let (root, entries, orders) = two_groups(header)?;
                Message::TradeSummary48(root, entries, orders)
            }
            template::ORDER_BOOK_47 => {
                let (root, entries, _) = one_group(header)?;
                Message::OrderBook47(root, entries)
            }
            template::SNAPSHOT_52 => {
                let (root, entries, _) = one_group(header)?;
                Message::Snapshot52(root, entries)
            }
            template::BOOK_32 => {
                let (root, entries, orders) = two_groups(header)?;
                Message::Book32(root, entries, orders)
            }
            template::TRADE_SUMMARY_42 => {
                let (root, entries, orders) = two_groups(header)?;
                Message::TradeSummary42(root, entries, orders)
            }
            template::CHANNEL_RESET => Message::ChannelReset(root(header)?.0),
            template::ADMIN_HEARTBEAT => Message::AdminHeartbeat,
            _ => Message::Other(header),
        })
    }
}

/// The root block as a view, and what follows it.
#[inline]
fn root<'a, R: View<'a>>(header: MessageHeader<'a>) -> Result<(R, &'a [u8]), Error> {
    let (block, after) = header.block()?;
    if block.len() < R::LEN {
        return Err(Error::Length { what: R::NAME, found: block.len(), min: R::LEN });
    }
    R::view(block).map(|root| (root, after))
}

/// The root block and a group behind `groupSize`, and what follows it.
#[inline]
fn one_group<'a, R: View<'a>, T: View<'a>>(
    header: MessageHeader<'a>,
) -> Result<(R, Entries<'a, T>, &'a [u8]), Error> {
    let (root, after) = root(header)?;
    let (entries, after) = group::<T, 3>(after)?;
    Ok((root, entries, after))
}

/// The same, and a group behind `groupSize8Byte`, which came later and may not be there.
#[inline]
fn two_groups<'a, R: View<'a>, T: View<'a>, U: View<'a>>(
    header: MessageHeader<'a>,
) -> Result<(R, Entries<'a, T>, Entries<'a, U>), Error> {
    let (root, entries, after) = one_group(header)?;
    let (orders, _) = match after {
        [] => Entries::new(after, 0, 0)?,
        _ => group::<U, 8>(after)?,
    };
    Ok((root, entries, orders))
}

/// A group behind a dimension of `DIMENSION` bytes: blockLength first, numInGroup last.
#[inline]
fn group<'a, T: View<'a>, const DIMENSION: usize>(
    bytes: &'a [u8],
) -> Result<(Entries<'a, T>, &'a [u8]), Error> {
    let Some((dimension, rest)) = bytes.split_first_chunk::<DIMENSION>() else {
        let (needed, available) = (DIMENSION, bytes.len());
        return Err(Error::Truncated { what: "MDP 3.0 group dimension", needed, available });
    };
    let block_length = u16::read::<Little>(dimension);
    Entries::new(rest, block_length.into(), dimension[DIMENSION - 1].into())
}
