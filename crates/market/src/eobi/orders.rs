//! Orders and what becomes of them.

use super::{Price, Quantity};
use crate::wire::{NulText, UnixTime};

message! {
    Little, "EOBI OrderAdd";
    /// An order enters the book.
    pub struct OrderAdd, OrderAddBuilder: 56 {
        /// Bytes of the message, this header too: the next begins there.
        body_len @ 0: u16,
        /// Which message it is.
        template_id @ 2: u16,
        /// The number of the message; all bits set in a packet header.
        msg_seq_num @ 4: u32,
        /// When the request entered the gateway.
        request_time @ 8: UnixTime,
        /// The instrument.
        security_id @ 16: i64,
        /// The priority: with instrument and side it names the order.
        trd_reg_ts_time_priority @ 24: UnixTime,
        /// How much of the order is shown.
        display_qty @ 32: Quantity,
        /// 1 buy, 2 sell.
        side @ 40: u8,
        /// 1 market; none of limit orders.
        ord_type @ 41: u8,
        /// Its HHI indicator, as the exchange sets it.
        hhi_indicator @ 42: u8,
        /// Nothing.
        pad5 @ 43: NulText<5>,
        /// The limit of the order.
        price @ 48: Price,
    }
}

message! {
    Little, "EOBI OrderModify";
    /// An order changes and loses its priority.
    pub struct OrderModify, OrderModifyBuilder: 88 {
        /// Bytes of the message, this header too: the next begins there.
        body_len @ 0: u16,
        /// Which message it is.
        template_id @ 2: u16,
        /// The number of the message; all bits set in a packet header.
        msg_seq_num @ 4: u32,
        /// When the request entered the gateway.
        request_time @ 8: UnixTime,
        /// The priority before: with the instrument it names the order before.
        trd_reg_ts_prev_time_priority @ 16: UnixTime,
        /// The price before.
        prev_price @ 24: Price,
        /// How much was shown before.
        prev_display_qty @ 32: Quantity,
        /// The instrument.
        security_id @ 40: i64,
        /// The priority: with instrument and side it names the order.
        trd_reg_ts_time_priority @ 48: UnixTime,
        /// How much of the order is shown.
        display_qty @ 56: Quantity,
        /// 1 buy, 2 sell.
        side @ 64: u8,
        /// 1 market; none of limit orders.
        ord_type @ 65: u8,
        /// Its HHI indicator, as the exchange sets it.
        hhi_indicator @ 66: u8,
        /// Nothing.
        pad5 @ 67: NulText<5>,
        /// The limit of the order.
        price @ 72: Price,
        /// Its HHI indicator at the price before.
        prev_price_hhi_indicator @ 80: u8,
        /// Nothing.
        pad7 @ 81: NulText<7>,
    }
}

message! {
    Little, "EOBI OrderModifySamePrio";
    /// An order is reduced and keeps its priority.
    pub struct OrderModifySamePrio, OrderModifySamePrioBuilder: 72 {
        /// Bytes of the message, this header too: the next begins there.
        body_len @ 0: u16,
        /// Which message it is.
        template_id @ 2: u16,
        /// The number of the message; all bits set in a packet header.
        msg_seq_num @ 4: u32,
        /// When the request entered the gateway.
        request_time @ 8: UnixTime,
        /// When it was done.
        transact_time @ 16: UnixTime,
        /// How much was shown before.
        prev_display_qty @ 24: Quantity,
        /// The instrument.
        security_id @ 32: i64,
        /// The priority: with instrument and side it names the order.
        trd_reg_ts_time_priority @ 40: UnixTime,
        /// How much of the order is shown.
        display_qty @ 48: Quantity,
        /// 1 buy, 2 sell.
        side @ 56: u8,
        /// 1 market; none of limit orders.
        ord_type @ 57: u8,
        /// Its HHI indicator, as the exchange sets it.
        hhi_indicator @ 58: u8,
        /// Nothing.
        pad5 @ 59: NulText<5>,
        /// The limit of the order.
        price @ 64: Price,
    }
}

message! {
    Little, "EOBI OrderDelete";
    /// An order leaves the book.
    pub struct OrderDelete, OrderDeleteBuilder: 64 {
        /// Bytes of the message, this header too: the next begins there.
        body_len @ 0: u16,
        /// Which message it is.
        template_id @ 2: u16,
        /// The number of the message; all bits set in a packet header.
        msg_seq_num @ 4: u32,
        /// When the request entered the gateway.
        request_time @ 8: UnixTime,
        /// When it was done.
        transact_time @ 16: UnixTime,
        /// The instrument.
        security_id @ 24: i64,
        /// The priority: with instrument and side it names the order.
        trd_reg_ts_time_priority @ 32: UnixTime,
        /// How much of the order is shown.
        display_qty @ 40: Quantity,
        /// 1 buy, 2 sell.
        side @ 48: u8,
        /// 1 market; none of limit orders.
        ord_type @ 49: u8,
        /// Its HHI indicator, as the exchange sets it.
        hhi_indicator @ 50: u8,
        /// Nothing.
        pad5 @ 51: NulText<5>,
        /// The limit of the order.
        price @ 56: Price,
    }
}

message! {
    Little, "EOBI OrderMassDelete";
    /// All orders of an instrument leave the book.
    pub struct OrderMassDelete, OrderMassDeleteBuilder: 24 {
        /// Bytes of the message, this header too: the next begins there.
        body_len @ 0: u16,
        /// Which message it is.
        template_id @ 2: u16,
        /// The number of the message; all bits set in a packet header.
        msg_seq_num @ 4: u32,
        /// The instrument.
        security_id @ 8: i64,
        /// When it was done.
        transact_time @ 16: UnixTime,
    }
}

message! {
    Little, "EOBI FullOrderExecution";
    /// A resting order is executed to its end.
    pub struct FullOrderExecution, FullOrderExecutionBuilder: 56 {
        /// Bytes of the message, this header too: the next begins there.
        body_len @ 0: u16,
        /// Which message it is.
        template_id @ 2: u16,
        /// The number of the message; all bits set in a packet header.
        msg_seq_num @ 4: u32,
        /// 1 buy, 2 sell.
        side @ 8: u8,
        /// 1 market; none of limit orders.
        ord_type @ 9: u8,
        /// 1 when an algorithm took part.
        algorithmic_trade_indicator @ 10: u8,
        /// Its HHI indicator, as the exchange sets it.
        hhi_indicator @ 11: u8,
        /// The match.
        trd_match_id @ 12: u32,
        /// The limit of the order.
        price @ 16: Price,
        /// The priority: with instrument and side it names the order.
        trd_reg_ts_time_priority @ 24: UnixTime,
        /// The instrument.
        security_id @ 32: i64,
        /// How much.
        last_qty @ 40: Quantity,
        /// The price.
        last_px @ 48: Price,
    }
}

message! {
    Little, "EOBI PartialOrderExecution";
    /// A resting order is executed in part.
    pub struct PartialOrderExecution, PartialOrderExecutionBuilder: 56 {
        /// Bytes of the message, this header too: the next begins there.
        body_len @ 0: u16,
        /// Which message it is.
        template_id @ 2: u16,
        /// The number of the message; all bits set in a packet header.
        msg_seq_num @ 4: u32,
        /// 1 buy, 2 sell.
        side @ 8: u8,
        /// 1 market; none of limit orders.
        ord_type @ 9: u8,
        /// 1 when an algorithm took part.
        algorithmic_trade_indicator @ 10: u8,
        /// Its HHI indicator, as the exchange sets it.
        hhi_indicator @ 11: u8,
        /// The match.
        trd_match_id @ 12: u32,
        /// The limit of the order.
        price @ 16: Price,
        /// The priority: with instrument and side it names the order.
        trd_reg_ts_time_priority @ 24: UnixTime,
        /// The instrument.
        security_id @ 32: i64,
        /// How much.
        last_qty @ 40: Quantity,
        /// The price.
        last_px @ 48: Price,
    }
}

message! {
    Little, "EOBI ExecutionSummary";
    /// What an order that came traded, all in all.
    pub struct ExecutionSummary, ExecutionSummaryBuilder: 104 {
        /// Bytes of the message, this header too: the next begins there.
        body_len @ 0: u16,
        /// Which message it is.
        template_id @ 2: u16,
        /// The number of the message; all bits set in a packet header.
        msg_seq_num @ 4: u32,
        /// The instrument.
        security_id @ 8: i64,
        /// When the request entered the gateway.
        request_time @ 16: UnixTime,
        /// The execution.
        exec_id @ 24: u64,
        /// How much.
        last_qty @ 32: Quantity,
        /// 1 buy, 2 sell: the side of the order that came last.
        aggressor_side @ 40: u8,
        /// Nothing.
        pad1 @ 41: NulText<1>,
        /// Under what condition it was traded.
        trade_condition @ 42: u16,
        /// The HHI indicator of the trade.
        trading_hhi_indicator @ 44: u8,
        /// Nothing.
        pad3 @ 45: NulText<3>,
        /// The price.
        last_px @ 48: Price,
        /// The priority before: with the instrument it names the order before.
        trd_reg_ts_prev_time_priority @ 56: UnixTime,
        /// How much of the order is shown.
        display_qty @ 64: Quantity,
        /// The limit of the order.
        price @ 72: Price,
        /// How much of resting orders was hidden.
        resting_hidden_qty @ 80: Quantity,
        /// How much of resting orders was cancelled with it.
        resting_cxl_qty @ 88: Quantity,
        /// When the order that came last entered.
        aggressor_time @ 96: UnixTime,
    }
}

message! {
    Little, "EOBI SnapshotOrder";
    /// Snapshot: an order of the instrument before.
    pub struct SnapshotOrder, SnapshotOrderBuilder: 40 {
        /// Bytes of the message, this header too: the next begins there.
        body_len @ 0: u16,
        /// Which message it is.
        template_id @ 2: u16,
        /// The number of the message; all bits set in a packet header.
        msg_seq_num @ 4: u32,
        /// The priority: with instrument and side it names the order.
        trd_reg_ts_time_priority @ 8: UnixTime,
        /// How much of the order is shown.
        display_qty @ 16: Quantity,
        /// 1 buy, 2 sell.
        side @ 24: u8,
        /// 1 market; none of limit orders.
        ord_type @ 25: u8,
        /// Its HHI indicator, as the exchange sets it.
        hhi_indicator @ 26: u8,
        /// Nothing.
        pad5 @ 27: NulText<5>,
        /// The limit of the order.
        price @ 32: Price,
    }
}
