//! IEX DEEP+ 1.0 (specification 1.04): every displayed order of the book, over
//! [IEX-TP](crate::iex::tp) with message protocol id
//! [`0x8005`](crate::iex::tp::protocol::DEEP_PLUS_1_0).

use crate::iex::common::{
    OperationalHaltStatus, RetailLiquidityIndicator, SecurityDirectory, SecurityEvent,
    ShortSalePriceTestStatus, SystemEvent, TradeBreak, TradeReport, TradingStatus,
};
use crate::iex::{ModifyFlags, Price, SaleConditions, Symbol};
use crate::wire::{Code, UnixTime};

message! {
    Little, "IEX Add Order";
    /// A displayed order enters the book (*Add Order Message*).
    pub struct AddOrder, AddOrderBuilder: 38, type b'a' {
        /// `8` buy, `5` sell.
        side @ 1: Code,
        /// When it entered.
        timestamp @ 2: UnixTime,
        /// The security.
        symbol @ 10: Symbol,
        /// Which order, unique within the day.
        order_id @ 18: u64,
        /// Displayed shares.
        size @ 26: u32,
        /// The price that it is displayed at.
        price @ 30: Price,
    }
}

message! {
    Little, "IEX Order Modify";
    /// An order has another size or price (*Order Modify Message*).
    pub struct OrderModify, OrderModifyBuilder: 38, type b'M' {
        /// Whether it keeps its priority.
        modify_flags @ 1: ModifyFlags,
        /// When it changed.
        timestamp @ 2: UnixTime,
        /// The security.
        symbol @ 10: Symbol,
        /// Which order.
        order_id_reference @ 18: u64,
        /// Its displayed shares now.
        size @ 26: u32,
        /// Its price now.
        price @ 30: Price,
    }
}

message! {
    Little, "IEX Order Delete";
    /// An order leaves the book (*Order Delete Message*).
    pub struct OrderDelete, OrderDeleteBuilder: 26, type b'R' {
        /// Not to be tested.
        reserved @ 1: u8,
        /// When it left.
        timestamp @ 2: UnixTime,
        /// The security.
        symbol @ 10: Symbol,
        /// Which order.
        order_id_reference @ 18: u64,
    }
}

message! {
    Little, "IEX Order Executed";
    /// An order of the book trades, all of it or a part (*Order Executed Message*).
    pub struct OrderExecuted, OrderExecutedBuilder: 46, type b'L' {
        /// Of which kind of sale.
        sale_condition_flags @ 1: SaleConditions,
        /// When it traded.
        timestamp @ 2: UnixTime,
        /// The security.
        symbol @ 10: Symbol,
        /// Which order.
        order_id_reference @ 18: u64,
        /// Shares that traded: the order has so many fewer.
        size @ 26: u32,
        /// Price a share.
        price @ 30: Price,
        /// Which trade, unique within the day.
        trade_id @ 38: u64,
    }
}

message! {
    Little, "IEX Clear Book";
    /// All orders of a security leave the book (*Clear Book Message*).
    pub struct ClearBook, ClearBookBuilder: 18, type b'C' {
        /// Not to be tested.
        reserved @ 1: u8,
        /// When they left.
        timestamp @ 2: UnixTime,
        /// The security.
        symbol @ 10: Symbol,
    }
}

messages! {
    "DEEP+ message";
    /// A message of DEEP+.
    pub enum Message {
        SystemEvent,
        SecurityDirectory,
        TradingStatus,
        RetailLiquidityIndicator,
        OperationalHaltStatus,
        ShortSalePriceTestStatus,
        SecurityEvent,
        AddOrder,
        OrderModify,
        OrderDelete,
        OrderExecuted,
        TradeReport,
        TradeBreak,
        ClearBook,
    }
}
