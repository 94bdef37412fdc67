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
    Little, "IEX Price Level Update";
    /// The size at one price of the book (*Price Level Update Message*). Its
    /// [`message_type`](Self::message_type) is the side: `8` buy, `5` sell.
    pub struct PriceLevelUpdate, PriceLevelUpdateBuilder: 30, type b'8' | b'5' {
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
        PriceLevelUpdate | b'5',
        TradeReport,
        OfficialPrice,
        TradeBreak,
        AuctionInformation,
    }
}
