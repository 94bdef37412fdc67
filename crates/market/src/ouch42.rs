//! Nasdaq OUCH 4.2: orders to a market ([`Inbound`]) and what became of them ([`Outbound`]).
//!
//! Big-endian. Orders go in as unsequenced data of SoupBinTCP, which may get lost with the
//! connection; answers come as sequenced data, which do not. An order is known by the token that
//! its sender gave it, unique for the day and port: sending the same order again is harmless. The
//! letters of the two directions overlap, so that each has its own decoder.
//!
//! Stocks, firms and tokens are padded on the right. Prices have 4 decimals.

use crate::price::Price4;
use crate::wire::{Ascii, Code};

/// What the sender calls an order: letters and digits.
pub type Token = Ascii<14>;

/// The price of a market order in a cross.
pub const MARKET_PRICE: Price4 = crate::Price(0x7fff_ffff);

/// Time in force: what is not executed at once is cancelled.
pub const IMMEDIATE_OR_CANCEL: u32 = 0;

/// Time in force: until the end of market hours.
pub const MARKET_HOURS: u32 = 99_998;

/// Time in force: until the end of system hours.
pub const SYSTEM_HOURS: u32 = 99_999;

messages! {
    "OUCH 4.2 inbound message";
    /// A message to the market.
    pub enum Inbound { EnterOrder, ReplaceOrder, CancelOrder, ModifyOrder, TradeNow }
}

messages! {
    "OUCH 4.2 outbound message";
    /// A message of the market.
    pub enum Outbound {
        Accepted,
        Executed,
        Canceled,
        Replaced,
        Rejected,
        SystemEvent,
        AiqCanceled,
        BrokenTrade,
        ExecutedWithReferencePrice,
        TradeCorrection,
        CancelPending,
        CancelReject,
        OrderPriorityUpdate,
        OrderModified,
        TradeNowOutbound,
    }
}

message! {
    Big, "OUCH 4.2 Enter Order";
    /// In: a new order.
    pub struct EnterOrder, EnterOrderBuilder: 49, type b'O' {
        /// Its token.
        order_token @ 1: Token,
        /// `B` buy, `S` sell, `T` sell short, `E` sell short exempt.
        buy_sell @ 15: Code,
        /// Shares, below 1,000,000.
        shares @ 16: u32,
        /// The symbol.
        stock @ 20: Ascii<8>,
        /// The limit, or [`MARKET_PRICE`].
        price @ 28: Price4,
        /// In seconds, or [`IMMEDIATE_OR_CANCEL`], [`MARKET_HOURS`], [`SYSTEM_HOURS`].
        time_in_force @ 32: u32,
        /// The firm; spaces: that of the port.
        firm @ 36: Ascii<4>,
        /// `Y` displayed without a name, `A` with it, `N` not displayed, `P` post only, `I`
        /// imbalance only, `M` midpoint peg, and others.
        display @ 40: Code,
        /// `A` agency, `P` principal, `R` riskless principal, `O` other.
        capacity @ 41: Code,
        /// `Y` eligible for intermarket sweep, `N` not.
        intermarket_sweep_eligibility @ 42: Code,
        /// The least to be executed at once; 0 any.
        minimum_quantity @ 43: u32,
        /// `N` no cross, `O` opening, `C` closing, `H` halt or new issue, and others.
        cross_type @ 47: Code,
        /// `R` retail, `N` not, space: as the port is set.
        customer_type @ 48: Code,
    }
}

message! {
    Big, "OUCH 4.2 Replace Order";
    /// In: an order is to be replaced by another of the same stock and side.
    pub struct ReplaceOrder, ReplaceOrderBuilder: 47, type b'U' {
        /// The order that is to go.
        existing_order_token @ 1: Token,
        /// The token of the one that comes.
        replacement_order_token @ 15: Token,
        /// Shares, those executed before included.
        shares @ 29: u32,
        /// The limit.
        price @ 33: Price4,
        /// As in [`EnterOrder::time_in_force`].
        time_in_force @ 37: u32,
        /// As in [`EnterOrder::display`].
        display @ 41: Code,
        /// `Y` eligible for intermarket sweep, `N` not.
        intermarket_sweep_eligibility @ 42: Code,
        /// The least to be executed at once; 0 any.
        minimum_quantity @ 43: u32,
    }
}

message! {
    Big, "OUCH 4.2 Cancel Order";
    /// In: an order is to be made smaller or cancelled.
    pub struct CancelOrder, CancelOrderBuilder: 19, type b'X' {
        /// The order.
        order_token @ 1: Token,
        /// Shares that it is to have, those executed before included; 0 cancels it.
        shares @ 15: u32,
    }
}

message! {
    Big, "OUCH 4.2 Modify Order";
    /// In: side or shares of an order are to change; it keeps its place.
    pub struct ModifyOrder, ModifyOrderBuilder: 20, type b'M' {
        /// The order.
        order_token @ 1: Token,
        /// As in [`EnterOrder::buy_sell`]: between kinds of selling only.
        buy_sell @ 15: Code,
        /// Shares that it is to have, those executed before included.
        shares @ 16: u32,
    }
}

message! {
    Big, "OUCH 4.2 Trade Now";
    /// In: a resting order may now take from the other side.
    pub struct TradeNow, TradeNowBuilder: 15, type b'N' {
        /// The order.
        order_token @ 1: Token,
    }
}

outbound! {
    "OUCH 4.2 System Event";
    /// Out: the day begins or ends.
    pub struct SystemEvent, SystemEventBuilder: 10, type b'S' {
        /// `S` start of day, `E` end of day.
        event_code @ 9: Code,
    }
}

outbound! {
    "OUCH 4.2 Accepted";
    /// Out: a new order was accepted, with these values, which may differ from those entered.
    pub struct Accepted, AcceptedBuilder: 66, type b'A' {
        /// The order.
        order_token @ 9: Token,
        /// As entered.
        buy_sell @ 23: Code,
        /// Shares accepted.
        shares @ 24: u32,
        /// The symbol.
        stock @ 28: Ascii<8>,
        /// The limit accepted.
        price @ 36: Price4,
        /// As in [`EnterOrder::time_in_force`].
        time_in_force @ 40: u32,
        /// The firm.
        firm @ 44: Ascii<4>,
        /// As in [`EnterOrder::display`].
        display @ 48: Code,
        /// The market's number of the order, that of the ITCH feed.
        order_reference_number @ 49: u64,
        /// As in [`EnterOrder::capacity`].
        capacity @ 57: Code,
        /// As entered.
        intermarket_sweep_eligibility @ 58: Code,
        /// As entered.
        minimum_quantity @ 59: u32,
        /// As in [`EnterOrder::cross_type`].
        cross_type @ 63: Code,
        /// `L` live, `D` dead: it was accepted and cancelled at once.
        order_state @ 64: Code,
        /// What it did to the best price: `0` to `3` its share of it, `S` set the market's own, `N`
        /// improved the national one; space: not said.
        bbo_weight_indicator @ 65: Code,
    }
}

outbound! {
    "OUCH 4.2 Replaced";
    /// Out: an order was replaced by another, with these values.
    pub struct Replaced, ReplacedBuilder: 80, type b'U' {
        /// The order that came.
        replacement_order_token @ 9: Token,
        /// As in [`EnterOrder::buy_sell`].
        buy_sell @ 23: Code,
        /// Shares that it has.
        shares @ 24: u32,
        /// The symbol.
        stock @ 28: Ascii<8>,
        /// The limit accepted.
        price @ 36: Price4,
        /// As in [`EnterOrder::time_in_force`].
        time_in_force @ 40: u32,
        /// The firm.
        firm @ 44: Ascii<4>,
        /// As in [`EnterOrder::display`].
        display @ 48: Code,
        /// The market's number of the order that came.
        order_reference_number @ 49: u64,
        /// As in [`EnterOrder::capacity`].
        capacity @ 57: Code,
        /// As in the replacement.
        intermarket_sweep_eligibility @ 58: Code,
        /// As in the replacement.
        minimum_quantity @ 59: u32,
        /// As in [`EnterOrder::cross_type`].
        cross_type @ 63: Code,
        /// `L` live, `D` dead: it was accepted and cancelled at once.
        order_state @ 64: Code,
        /// The order that went.
        previous_order_token @ 65: Token,
        /// As in [`Accepted::bbo_weight_indicator`].
        bbo_weight_indicator @ 79: Code,
    }
}

outbound! {
    "OUCH 4.2 Canceled";
    /// Out: an order became smaller, or is gone.
    pub struct Canceled, CanceledBuilder: 28, type b'C' {
        /// The order.
        order_token @ 9: Token,
        /// Shares that it has less.
        decrement_shares @ 23: u32,
        /// `U` the sender asked, `I` immediate or cancel, `T` its time ran out, `S` supervision,
        /// `D` regulation, `Q` it would have met an order of its own firm, and others.
        reason @ 27: Code,
    }
}

outbound! {
    "OUCH 4.2 AIQ Canceled";
    /// Out: an order became smaller because it would have met one of its own firm.
    pub struct AiqCanceled, AiqCanceledBuilder: 37, type b'D' {
        /// The order.
        order_token @ 9: Token,
        /// Shares that it has less.
        decrement_shares @ 23: u32,
        /// `Q`.
        reason @ 27: Code,
        /// Shares that would have been executed.
        quantity_prevented_from_trading @ 28: u32,
        /// At what price.
        execution_price @ 32: Price4,
        /// As in [`Executed::liquidity_flag`].
        liquidity_flag @ 36: Code,
    }
}

outbound! {
    "OUCH 4.2 Executed";
    /// Out: shares of an order were executed.
    pub struct Executed, ExecutedBuilder: 40, type b'E' {
        /// The order.
        order_token @ 9: Token,
        /// Shares executed now.
        executed_shares @ 23: u32,
        /// At what price.
        execution_price @ 27: Price4,
        /// `A` it added liquidity, `R` it removed some, `O` opening cross, `C` closing cross, and
        /// others.
        liquidity_flag @ 31: Code,
        /// Number of the execution, the same on both sides.
        match_number @ 32: u64,
    }
}

outbound! {
    "OUCH 4.2 Broken Trade";
    /// Out: an execution was broken.
    pub struct BrokenTrade, BrokenTradeBuilder: 32, type b'B' {
        /// The order.
        order_token @ 9: Token,
        /// Number of the execution.
        match_number @ 23: u64,
        /// `E` erroneous, `C` consent of both sides, `S` supervision, `X` another one.
        reason @ 31: Code,
    }
}

outbound! {
    "OUCH 4.2 Executed with Reference Price";
    /// Out: shares of an order were executed, at a price that was made from another.
    pub struct ExecutedWithReferencePrice, ExecutedWithReferencePriceBuilder: 45, type b'G' {
        /// The order.
        order_token @ 9: Token,
        /// Shares executed now.
        executed_shares @ 23: u32,
        /// At what price.
        execution_price @ 27: Price4,
        /// As in [`Executed::liquidity_flag`].
        liquidity_flag @ 31: Code,
        /// Number of the execution, the same on both sides.
        match_number @ 32: u64,
        /// The other price.
        reference_price @ 40: Price4,
        /// What it is: `I` the intraday indicative value.
        reference_price_type @ 44: Code,
    }
}

outbound! {
    "OUCH 4.2 Trade Correction";
    /// Out: an execution was corrected to these values.
    pub struct TradeCorrection, TradeCorrectionBuilder: 41, type b'F' {
        /// The order.
        order_token @ 9: Token,
        /// Shares executed.
        executed_shares @ 23: u32,
        /// At what price.
        execution_price @ 27: Price4,
        /// As in [`Executed::liquidity_flag`].
        liquidity_flag @ 31: Code,
        /// Number of the execution.
        match_number @ 32: u64,
        /// Why.
        reason @ 40: Code,
    }
}

outbound! {
    "OUCH 4.2 Rejected";
    /// Out: an order was not accepted; its token may not be used again.
    pub struct Rejected, RejectedBuilder: 24, type b'J' {
        /// The order.
        order_token @ 9: Token,
        /// `H` halted, `S` invalid stock, `Z` too many shares, `X` invalid price, `T` test mode,
        /// and others.
        reason @ 23: Code,
    }
}

outbound! {
    "OUCH 4.2 Cancel Pending";
    /// Out: an order cannot be cancelled yet, because it is in a cross; it will be after it.
    pub struct CancelPending, CancelPendingBuilder: 23, type b'P' {
        /// The order.
        order_token @ 9: Token,
    }
}

outbound! {
    "OUCH 4.2 Cancel Reject";
    /// Out: an order cannot be cancelled or made smaller, because it is in a cross.
    pub struct CancelReject, CancelRejectBuilder: 23, type b'I' {
        /// The order.
        order_token @ 9: Token,
    }
}

outbound! {
    "OUCH 4.2 Order Priority Update";
    /// Out: an order has another place in the book.
    pub struct OrderPriorityUpdate, OrderPriorityUpdateBuilder: 36, type b'T' {
        /// The order.
        order_token @ 9: Token,
        /// Its price.
        price @ 23: Price4,
        /// As in [`EnterOrder::display`].
        display @ 27: Code,
        /// Its new number in the market.
        order_reference_number @ 28: u64,
    }
}

outbound! {
    "OUCH 4.2 Order Modified";
    /// Out: an order was modified, with these values.
    pub struct OrderModified, OrderModifiedBuilder: 28, type b'M' {
        /// The order.
        order_token @ 9: Token,
        /// As in [`EnterOrder::buy_sell`].
        buy_sell @ 23: Code,
        /// Shares that are still open.
        shares @ 24: u32,
    }
}

outbound! {
    "OUCH 4.2 Trade Now";
    /// Out: a [`TradeNow`] was taken in.
    pub struct TradeNowOutbound, TradeNowOutboundBuilder: 23, type b'N' {
        /// The order.
        order_token @ 9: Token,
    }
}
