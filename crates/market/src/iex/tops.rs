//! IEX TOPS 1.6 (specification 1.66): best quotes, last sales and auctions, over
//! [IEX-TP](crate::iex::tp) with message protocol id
//! [`0x8003`](crate::iex::tp::protocol::TOPS_1_6).

use crate::iex::common::{
    AuctionInformation, OfficialPrice, OperationalHaltStatus, RetailLiquidityIndicator,
    SecurityDirectory, ShortSalePriceTestStatus, SystemEvent, TradeBreak, TradeReport,
    TradingStatus,
};
use crate::iex::{Price, QuoteFlags, Symbol};
use crate::wire::UnixTime;

message! {
    Little, "IEX Quote Update";
    /// The best bid and offer of IEX (*Quote Update Message*). A side without orders has size and
    /// price 0.
    pub struct QuoteUpdate, QuoteUpdateBuilder: 42, type b'Q' {
        /// Whether the symbol is available, and in which session.
        flags @ 1: QuoteFlags,
        /// When the top of the book changed.
        timestamp @ 2: UnixTime,
        /// The security.
        symbol @ 10: Symbol,
        /// Shares at the best bid.
        bid_size @ 18: u32,
        /// The best bid.
        bid_price @ 22: Price,
        /// The best offer.
        ask_price @ 30: Price,
        /// Shares at the best offer.
        ask_size @ 38: u32,
    }
}

messages! {
    "TOPS message";
    /// A message of TOPS.
    pub enum Message {
        SystemEvent,
        SecurityDirectory,
        TradingStatus,
        RetailLiquidityIndicator,
        OperationalHaltStatus,
        ShortSalePriceTestStatus,
        QuoteUpdate,
        TradeReport,
        OfficialPrice,
        TradeBreak,
        AuctionInformation,
    }
}
