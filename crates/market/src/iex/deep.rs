//! IEX DEEP 1.0 (specification 1.08): aggregated size at each price of the displayed book, last
//! sales and auctions, over [IEX-TP](crate::iex::tp) with message protocol id
//! [`0x8004`](crate::iex::tp::protocol::DEEP_1_0).

use crate::iex::common::{
    AuctionInformation, OfficialPrice, OperationalHaltStatus, RetailLiquidityIndicator,
    SecurityDirectory, SecurityEvent, ShortSalePriceTestStatus, SystemEvent, TradeBreak,
    TradeReport, TradingStatus,
};
use crate::iex::{EventFlags, Price, Symbol};
use crate::wire::UnixTime;

message! {
    Little, "IEX Price Level Update on the buy side";
    /// The size at one bid price (*Price Level Update Message*, buy side).
    pub struct PriceLevelUpdateBuy, PriceLevelUpdateBuyBuilder: 30, type b'8' {
        /// Whether the event that changed the book is complete.
        event_flags @ 1: EventFlags,
        /// When the event happened.
        timestamp @ 2: UnixTime,
        /// The security.
        symbol @ 10: Symbol,
        /// Shares of all displayed orders at the price; 0 removes the level.
        size @ 18: u32,
        /// The price of the level.
        price @ 22: Price,
    }
}

message! {
    Little, "IEX Price Level Update on the sell side";
    /// The size at one offer price (*Price Level Update Message*, sell side).
    pub struct PriceLevelUpdateSell, PriceLevelUpdateSellBuilder: 30, type b'5' {
        /// Whether the event that changed the book is complete.
        event_flags @ 1: EventFlags,
        /// When the event happened.
        timestamp @ 2: UnixTime,
        /// The security.
        symbol @ 10: Symbol,
        /// Shares of all displayed orders at the price; 0 removes the level.
        size @ 18: u32,
        /// The price of the level.
        price @ 22: Price,
    }
}

messages! {
    "DEEP message";
    /// A message of DEEP.
    pub enum Message {
        SystemEvent,
        SecurityDirectory,
        TradingStatus,
        RetailLiquidityIndicator,
        OperationalHaltStatus,
        ShortSalePriceTestStatus,
        SecurityEvent,
        PriceLevelUpdateBuy,
        PriceLevelUpdateSell,
        TradeReport,
        OfficialPrice,
        TradeBreak,
        AuctionInformation,
    }
}
