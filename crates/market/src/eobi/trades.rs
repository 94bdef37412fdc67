//! Trades, auctions and best prices.

use super::{Price, Quantity};
use crate::entries::Entries;
use crate::error::Error;
use crate::wire::{NulText, UnixTime};

message! {
    Little, "EOBI TradeReport";
    /// A trade of an auction, or off the book.
    pub struct TradeReport, TradeReportBuilder: 56 {
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
        /// How much.
        last_qty @ 24: Quantity,
        /// The price.
        last_px @ 32: Price,
        /// The match.
        trd_match_id @ 40: u32,
        /// How it was matched.
        match_type @ 44: u8,
        /// What auction it comes from.
        match_sub_type @ 45: u8,
        /// 1 when an algorithm took part.
        algorithmic_trade_indicator @ 46: u8,
        /// Nothing.
        pad1 @ 47: NulText<1>,
        /// Under what condition it was traded.
        trade_condition @ 48: u16,
        /// Nothing.
        pad6 @ 50: NulText<6>,
    }
}

message! {
    Little, "EOBI TESTradeReport";
    /// A trade that was entered, not matched.
    pub struct TESTradeReport, TESTradeReportBuilder: 80 {
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
        /// How much.
        last_qty @ 24: Quantity,
        /// The price.
        last_px @ 32: Price,
        /// The match.
        trd_match_id @ 40: u32,
        /// What kind of trade it is.
        trd_type @ 44: u16,
        /// Under what condition it was traded.
        trade_condition @ 46: u16,
        /// 1 single, 2 a leg of several.
        multi_leg_reporting_type @ 48: u8,
        /// 0 standard, 1 user defined.
        multi_leg_price_model @ 49: u8,
        /// Nothing.
        pad6 @ 50: NulText<6>,
        /// How much was traded and not published then.
        non_disclosed_trade_volume @ 56: Quantity,
        /// When the trade was agreed.
        trans_bkd_time @ 64: UnixTime,
        /// How many bought.
        number_of_buy_sides @ 72: u16,
        /// How many sold.
        number_of_sell_sides @ 74: u16,
        /// Nothing.
        pad4 @ 76: NulText<4>,
    }
}

message! {
    Little, "EOBI TradeReversal";
    /// A trade is taken back; the statistics that change follow.
    pub struct TradeReversal, TradeReversalBuilder: 56 {
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
        /// How much.
        last_qty @ 24: Quantity,
        /// The price.
        last_px @ 32: Price,
        /// When it was executed.
        trd_reg_ts_execution_time @ 40: UnixTime,
        /// The match.
        trd_match_id @ 48: u32,
        /// Under what condition it was traded.
        trade_condition @ 52: u16,
        /// 0 the book, 1 off the book.
        md_origin_type @ 54: u8,
        /// How many entries follow.
        no_md_entries @ 55: u8,
    }
}

message! {
    Little, "EOBI MDTradeEntryGrp";
    /// A statistic after a reversal.
    pub struct MDTradeEntryGrp, MDTradeEntryGrpBuilder: 24 {
        /// The price.
        md_entry_px @ 0: Price,
        /// How much.
        md_entry_size @ 8: Quantity,
        /// 2 trade, 4 opening, 5 closing, 7 high, 8 low, others.
        md_entry_type @ 16: u8,
        /// Nothing.
        pad7 @ 17: NulText<7>,
    }
}

impl<'a> TradeReversal<'a> {
    /// What follows the fields, at most 15 of them.
    ///
    /// # Errors
    /// [`Error::Truncated`]
    pub fn entries(&self) -> Result<Entries<'a, MDTradeEntryGrp<'a>>, Error> {
        let count = usize::from(self.no_md_entries());
        Entries::new(self.rest(), MDTradeEntryGrp::LEN, count).map(|(entries, _)| entries)
    }
}

message! {
    Little, "EOBI AuctionBBO";
    /// The best bid and offer of an auction.
    pub struct AuctionBBO, AuctionBBOBuilder: 64 {
        /// Bytes of the message, this header too: the next begins there.
        body_len @ 0: u16,
        /// Which message it is.
        template_id @ 2: u16,
        /// The number of the message; all bits set in a packet header.
        msg_seq_num @ 4: u32,
        /// When it was done.
        transact_time @ 8: UnixTime,
        /// The instrument.
        security_id @ 16: i64,
        /// The best bid.
        bid_px @ 24: Price,
        /// The best offer.
        offer_px @ 32: Price,
        /// How much is bid.
        bid_size @ 40: Quantity,
        /// How much is offered.
        offer_size @ 48: Quantity,
        /// What may come in this auction.
        potential_security_trading_event @ 56: u8,
        /// 1 when the bid includes market orders.
        bid_ord_type @ 57: u8,
        /// 1 when the offer includes market orders.
        offer_ord_type @ 58: u8,
        /// Nothing.
        pad5 @ 59: NulText<5>,
    }
}

message! {
    Little, "EOBI AuctionClearingPrice";
    /// The price that an auction would have, or has.
    pub struct AuctionClearingPrice, AuctionClearingPriceBuilder: 56 {
        /// Bytes of the message, this header too: the next begins there.
        body_len @ 0: u16,
        /// Which message it is.
        template_id @ 2: u16,
        /// The number of the message; all bits set in a packet header.
        msg_seq_num @ 4: u32,
        /// When it was done.
        transact_time @ 8: UnixTime,
        /// The instrument.
        security_id @ 16: i64,
        /// The price.
        last_px @ 24: Price,
        /// How much.
        last_qty @ 32: Quantity,
        /// How much finds no other side.
        imbalance_qty @ 40: Quantity,
        /// 2 halted, 200 closed, 202 book, 203 continuous, 204 opening auction, others.
        security_trading_status @ 48: u8,
        /// What may come in this auction.
        potential_security_trading_event @ 49: u8,
        /// Nothing.
        pad6 @ 50: NulText<6>,
    }
}

message! {
    Little, "EOBI TopOfBook";
    /// The best bid and offer of an instrument without order messages.
    pub struct TopOfBook, TopOfBookBuilder: 64 {
        /// Bytes of the message, this header too: the next begins there.
        body_len @ 0: u16,
        /// Which message it is.
        template_id @ 2: u16,
        /// The number of the message; all bits set in a packet header.
        msg_seq_num @ 4: u32,
        /// When it was done.
        transact_time @ 8: UnixTime,
        /// The instrument.
        security_id @ 16: i64,
        /// The best bid.
        bid_px @ 24: Price,
        /// The best offer.
        offer_px @ 32: Price,
        /// How much is bid.
        bid_size @ 40: Quantity,
        /// How much is offered.
        offer_size @ 48: Quantity,
        /// How many orders are behind the bid.
        number_of_buy_orders @ 56: u16,
        /// How many orders are behind the offer.
        number_of_sell_orders @ 58: u16,
        /// Nothing.
        pad4 @ 60: NulText<4>,
    }
}

message! {
    Little, "EOBI CrossRequest";
    /// A cross trade is announced.
    pub struct CrossRequest, CrossRequestBuilder: 48 {
        /// Bytes of the message, this header too: the next begins there.
        body_len @ 0: u16,
        /// Which message it is.
        template_id @ 2: u16,
        /// The number of the message; all bits set in a packet header.
        msg_seq_num @ 4: u32,
        /// The instrument.
        security_id @ 8: i64,
        /// The price.
        last_px @ 16: Price,
        /// How much.
        last_qty @ 24: Quantity,
        /// 1 buy, 2 sell.
        side @ 32: u8,
        /// What kind of cross is announced.
        cross_request_type @ 33: u8,
        /// Who asks.
        input_source @ 34: u8,
        /// Nothing.
        pad5 @ 35: NulText<5>,
        /// When it was done.
        transact_time @ 40: UnixTime,
    }
}

message! {
    Little, "EOBI QuoteRequest";
    /// Somebody asks for quotes.
    pub struct QuoteRequest, QuoteRequestBuilder: 40 {
        /// Bytes of the message, this header too: the next begins there.
        body_len @ 0: u16,
        /// Which message it is.
        template_id @ 2: u16,
        /// The number of the message; all bits set in a packet header.
        msg_seq_num @ 4: u32,
        /// The instrument.
        security_id @ 8: i64,
        /// How much.
        last_qty @ 16: Quantity,
        /// 1 buy, 2 sell.
        side @ 24: u8,
        /// Nothing.
        pad7 @ 25: NulText<7>,
        /// When it was done.
        transact_time @ 32: UnixTime,
    }
}
