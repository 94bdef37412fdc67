//! The root blocks and group entries of the templates that a book is made of, in the words of the
//! schema.

use crate::Price;
use crate::null::OrNull;
use crate::wire::{Code, NulText, UnixTime};

/// A price with nine decimals.
pub type Price9 = Price<i64, 9>;

/// A price with seven decimals, of templates 32 and 42.
pub type Price7 = Price<i64, 7>;

/// Bits of `match_event_indicator`.
pub mod match_event {
    /// The last trade summary message of the event.
    pub const LAST_TRADE_MSG: u8 = 0x01;
    /// The last volume message of the event.
    pub const LAST_VOLUME_MSG: u8 = 0x02;
    /// The last message of the event with customer orders.
    pub const LAST_QUOTE_MSG: u8 = 0x04;
    /// The last statistics message of the event.
    pub const LAST_STATS_MSG: u8 = 0x08;
    /// The last message of the event with implied quotes.
    pub const LAST_IMPLIED_MSG: u8 = 0x10;
    /// Sent during recovery.
    pub const RECOVERY_MSG: u8 = 0x20;
    /// The last message of the event: books are consistent again.
    pub const END_OF_EVENT: u8 = 0x80;
}

/// Values of `md_update_action` (tag 279), in the words of FIX: programs differ on thru and from.
pub mod update_action {
    /// Comes in at its level; those below move down.
    pub const NEW: u8 = 0;
    /// Another size or number of orders at the same price.
    pub const CHANGE: u8 = 1;
    /// Goes; those below move up.
    pub const DELETE: u8 = 2;
    /// This level and all better ones go.
    pub const DELETE_THRU: u8 = 3;
    /// This level and all worse ones go.
    pub const DELETE_FROM: u8 = 4;
    /// Is in the place of what was at its level; nothing moves.
    pub const OVERLAY: u8 = 5;
}

message! {
    Little, "MDP 3.0 incremental refresh";
    /// The root block of templates 32, 42, 46, 47 and 48.
    pub struct Incremental, IncrementalBuilder: 11 {
        /// Start of event processing.
        transact_time @ 0: UnixTime,
        /// Where in the event this is: bits of [`match_event`].
        match_event_indicator @ 8: u8,
        /// Nothing.
        padding @ 9: NulText<2>,
    }
}

message! {
    Little, "MDIncrementalRefreshBook46 entry";
    /// NoMDEntries of template 46: what changes at a price level.
    pub struct BookEntry46, BookEntry46Builder: 32 {
        /// The price.
        md_entry_px @ 0: OrNull<Price9>,
        /// How many contracts.
        md_entry_size @ 8: OrNull<i32>,
        /// The instrument.
        security_id @ 12: i32,
        /// The number of this update of the instrument.
        rpt_seq @ 16: u32,
        /// How many orders; none of implied levels.
        number_of_orders @ 20: OrNull<i32>,
        /// The level, from 1 at the best price.
        md_price_level @ 24: u8,
        /// What is done: [`update_action`].
        md_update_action @ 25: u8,
        /// `0` bid, `1` offer, `E` implied bid, `F` implied offer, `J` book reset, `w` best offer
        /// and `x` best bid of the market.
        md_entry_type @ 26: Code,
        /// How many contracts can be traded. Since version 10; padding before.
        tradeable_size @ 27: OrNull<i32>,
        /// Nothing.
        padding @ 31: u8,
    }
}

message! {
    Little, "MDIncrementalRefreshBook32 entry";
    /// NoMDEntries of template 32, up to version 8: what changes at a price level.
    pub struct BookEntry32, BookEntry32Builder: 32 {
        /// The price.
        md_entry_px @ 0: OrNull<Price7>,
        /// How many contracts.
        md_entry_size @ 8: OrNull<i32>,
        /// The instrument.
        security_id @ 12: i32,
        /// The number of this update of the instrument.
        rpt_seq @ 16: u32,
        /// How many orders; none of implied levels.
        number_of_orders @ 20: OrNull<i32>,
        /// The level, from 1 at the best price.
        md_price_level @ 24: u8,
        /// What is done: [`update_action`].
        md_update_action @ 25: u8,
        /// `0` bid, `1` offer, `E` implied bid, `F` implied offer, `J` book reset.
        md_entry_type @ 26: Code,
        /// Nothing.
        padding @ 27: NulText<5>,
    }
}

message! {
    Little, "MDIncrementalRefreshBook order entry";
    /// NoOrderIDEntries of templates 32 and 46: the orders behind a level.
    pub struct BookOrderEntry, BookOrderEntryBuilder: 24 {
        /// The order.
        order_id @ 0: u64,
        /// Its priority: the lowest is executed first.
        md_order_priority @ 8: OrNull<u64>,
        /// How many contracts it shows.
        md_display_qty @ 16: OrNull<i32>,
        /// Its entry in the group before, from 1.
        reference_id @ 20: OrNull<u8>,
        /// 0 new, 1 update, 2 delete.
        order_update_action @ 21: u8,
        /// Nothing.
        padding @ 22: NulText<2>,
    }
}

message! {
    Little, "MDIncrementalRefreshOrderBook47 entry";
    /// NoMDEntries of template 47: what changes of an order.
    pub struct OrderBookEntry47, OrderBookEntry47Builder: 40 {
        /// The order.
        order_id @ 0: OrNull<u64>,
        /// Its priority: the lowest is executed first.
        md_order_priority @ 8: OrNull<u64>,
        /// The price.
        md_entry_px @ 16: OrNull<Price9>,
        /// How many contracts it shows.
        md_display_qty @ 24: OrNull<i32>,
        /// The instrument.
        security_id @ 28: i32,
        /// What is done: [`update_action`].
        md_update_action @ 32: u8,
        /// As [`BookEntry46::md_entry_type`].
        md_entry_type @ 33: Code,
        /// Nothing.
        padding @ 34: NulText<6>,
    }
}

message! {
    Little, "MDIncrementalRefreshTradeSummary48 entry";
    /// NoMDEntries of template 48: a trade at a price.
    pub struct TradeEntry48, TradeEntry48Builder: 32 {
        /// The price.
        md_entry_px @ 0: Price9,
        /// How many contracts.
        md_entry_size @ 8: i32,
        /// The instrument.
        security_id @ 12: i32,
        /// The number of this update of the instrument.
        rpt_seq @ 16: u32,
        /// How many orders took part.
        number_of_orders @ 20: i32,
        /// 0 nobody, 1 buy, 2 sell.
        aggressor_side @ 24: OrNull<u8>,
        /// What is done: [`update_action`].
        md_update_action @ 25: u8,
        /// The trade.
        md_trade_entry_id @ 26: OrNull<u32>,
        /// Nothing.
        padding @ 30: NulText<2>,
    }
}

message! {
    Little, "MDIncrementalRefreshTradeSummary42 entry";
    /// NoMDEntries of template 42, up to version 8: a trade at a price.
    pub struct TradeEntry42, TradeEntry42Builder: 32 {
        /// The price.
        md_entry_px @ 0: Price7,
        /// How many contracts.
        md_entry_size @ 8: i32,
        /// The instrument.
        security_id @ 12: i32,
        /// The number of this update of the instrument.
        rpt_seq @ 16: u32,
        /// How many orders took part.
        number_of_orders @ 20: OrNull<i32>,
        /// 0 nobody, 1 buy, 2 sell.
        aggressor_side @ 24: OrNull<u8>,
        /// What is done: [`update_action`].
        md_update_action @ 25: u8,
        /// The trade. Since version 7; padding before.
        md_trade_entry_id @ 26: OrNull<u32>,
        /// Nothing.
        padding @ 30: NulText<2>,
    }
}

message! {
    Little, "MDIncrementalRefreshTradeSummary order entry";
    /// NoOrderIDEntries of templates 42 and 48: the orders that took part.
    pub struct TradeOrderEntry, TradeOrderEntryBuilder: 16 {
        /// The order.
        order_id @ 0: u64,
        /// How many contracts of it.
        last_qty @ 8: i32,
        /// Nothing.
        padding @ 12: NulText<4>,
    }
}

message! {
    Little, "SnapshotFullRefresh52";
    /// The root block of template 52: all of an instrument.
    pub struct Snapshot, SnapshotBuilder: 59 {
        /// The last packet of the incremental channel that is in it.
        last_msg_seq_num_processed @ 0: u32,
        /// How many snapshots a loop has.
        tot_num_reports @ 4: u32,
        /// The instrument.
        security_id @ 8: i32,
        /// The number of the last update of the instrument that is in it.
        rpt_seq @ 12: u32,
        /// Start of event processing.
        transact_time @ 16: UnixTime,
        /// When the instrument was last changed.
        last_update_time @ 24: UnixTime,
        /// The trade date, in days since 1970-01-01.
        trade_date @ 32: OrNull<u16>,
        /// 2 halted, 4 closed, 17 trading, 21 pre-open and others.
        md_security_trading_status @ 34: OrNull<u8>,
        /// The highest price allowed.
        high_limit_price @ 35: OrNull<Price9>,
        /// The lowest price allowed.
        low_limit_price @ 43: OrNull<Price9>,
        /// How far from the last price an order may be.
        max_price_variation @ 51: OrNull<Price9>,
    }
}

message! {
    Little, "SnapshotFullRefresh52 entry";
    /// NoMDEntries of template 52: a level of the book, or a statistic.
    pub struct SnapshotEntry52, SnapshotEntry52Builder: 22 {
        /// The price.
        md_entry_px @ 0: OrNull<Price9>,
        /// How many contracts.
        md_entry_size @ 8: OrNull<i32>,
        /// How many orders.
        number_of_orders @ 12: OrNull<i32>,
        /// The level, from 1 at the best price.
        md_price_level @ 16: OrNull<i8>,
        /// The date of a settlement, in days since 1970-01-01.
        trading_reference_date @ 17: OrNull<u16>,
        /// 0 daily open, 5 indicative opening and others.
        open_close_settl_flag @ 19: OrNull<u8>,
        /// Bits: 0x01 final, 0x02 actual, 0x04 rounded, 0x08 intraday, 0x80 none.
        settl_price_type @ 20: u8,
        /// As [`BookEntry46::md_entry_type`], and `2` trade, `4` open, `6` settlement, `7` high,
        /// `8` low and others.
        md_entry_type @ 21: Code,
    }
}

message! {
    Little, "ChannelReset4";
    /// The root block of template 4: all books of the channel are empty from here on.
    pub struct ChannelReset, ChannelResetBuilder: 9 {
        /// Start of event processing.
        transact_time @ 0: UnixTime,
        /// Where in the event this is: bits of [`match_event`].
        match_event_indicator @ 8: u8,
    }
}
