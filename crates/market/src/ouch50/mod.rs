//! Nasdaq OUCH 5.0: orders to a market ([`Inbound`]) and what became of them ([`Outbound`]), with
//! optional fields in an *appendage*.
//!
//! Big-endian. Orders go in as unsequenced data of SoupBinTCP, which may get lost with the
//! connection; answers come as sequenced data, which do not. An order is known by its
//! `user_ref_num`, a number that must grow with every order of a port and day: what comes with one
//! that does not is ignored, so that sending it again is harmless. The letters of the two
//! directions overlap, so that each has its own decoder.
//!
//! Some messages end with an appendage: its length in two bytes, then elements of tag and value,
//! see [`Appendage`]. What is not in it has its default.
//!
//! Symbols, firms and client order ids are padded on the right. Prices have 8 bytes and 4 decimals.

mod appendage;

pub use appendage::{Appendage, Element, TAGS, WithAppendage, tag};

use crate::error::Error;
use crate::wire::{Ascii, Code};

/// A price: 8 bytes, 4 decimals.
pub type Price = crate::Price<u64, 4>;

/// The price of a market order in a cross.
pub const MARKET_PRICE: Price = crate::Price(0x7fff_ffff);

messages! {
    "OUCH 5.0 inbound message";
    /// A message to the market.
    pub enum Inbound { EnterOrder, ReplaceOrder, CancelOrder, ModifyOrder, AccountQuery }
}

messages! {
    "OUCH 5.0 outbound message";
    /// A message of the market.
    pub enum Outbound {
        OrderAccepted,
        OrderExecuted,
        OrderCanceled,
        OrderReplaced,
        Rejected,
        SystemEvent,
        AiqCanceled,
        BrokenTrade,
        CancelPending,
        CancelReject,
        OrderPriorityUpdate,
        OrderModified,
        OrderRestated,
        AccountQueryResponse,
    }
}

message! {
    Big, "OUCH 5.0 Enter Order";
    /// In: a new order.
    pub struct EnterOrder, EnterOrderBuilder: 47, type b'O' {
        /// Its number, greater than those before.
        user_ref_num @ 1: u32,
        /// `B` buy, `S` sell, `T` sell short, `E` sell short exempt.
        side @ 5: Code,
        /// Shares, from 1 to 999,999.
        quantity @ 6: u32,
        /// The symbol.
        symbol @ 10: Ascii<8>,
        /// The limit, or [`MARKET_PRICE`].
        price @ 18: Price,
        /// `0` day, `3` immediate or cancel, `5` until the end of extended hours, `6` until the
        /// time of [`tag::EXPIRE_TIME`], `E` after hours.
        time_in_force @ 26: Code,
        /// `Y` displayed without a name, `A` with it, `N` not displayed.
        display @ 27: Code,
        /// `A` agency, `P` principal, `R` riskless principal, `O` other.
        capacity @ 28: Code,
        /// `Y` eligible for intermarket sweep, `N` not.
        inter_market_sweep_eligibility @ 29: Code,
        /// `N` no cross, `O` opening, `C` closing, `H` halt or new issue, and others.
        cross_type @ 30: Code,
        /// What the sender calls it, for reports only.
        cl_ord_id @ 31: Ascii<14>,
        /// Bytes of the appendage.
        appendage_length @ 45: u16,
    }
}

message! {
    Big, "OUCH 5.0 Replace Order";
    /// In: an order is to be replaced by another of the same symbol and side.
    pub struct ReplaceOrder, ReplaceOrderBuilder: 40, type b'U' {
        /// The order that is to go.
        orig_user_ref_num @ 1: u32,
        /// The number of the one that comes, greater than those before.
        user_ref_num @ 5: u32,
        /// Shares, those executed before included.
        quantity @ 9: u32,
        /// The limit.
        price @ 13: Price,
        /// As in [`EnterOrder::time_in_force`].
        time_in_force @ 21: Code,
        /// As in [`EnterOrder::display`].
        display @ 22: Code,
        /// `Y` eligible for intermarket sweep, `N` not.
        inter_market_sweep_eligibility @ 23: Code,
        /// What the sender calls it, for reports only.
        cl_ord_id @ 24: Ascii<14>,
        /// Bytes of the appendage.
        appendage_length @ 38: u16,
    }
}

message! {
    Big, "OUCH 5.0 Cancel Order";
    /// In: an order is to be made smaller or cancelled.
    pub struct CancelOrder, CancelOrderBuilder: 9, type b'X' {
        /// The order.
        user_ref_num @ 1: u32,
        /// Shares that it is to have, those executed before included; 0 cancels it.
        quantity @ 5: u32,
    }
}

message! {
    Big, "OUCH 5.0 Modify Order";
    /// In: side or shares of an order are to change; it keeps its place.
    pub struct ModifyOrder, ModifyOrderBuilder: 10, type b'M' {
        /// The order.
        user_ref_num @ 1: u32,
        /// As in [`EnterOrder::side`]: between kinds of selling only.
        side @ 5: Code,
        /// Shares that it is to have, those executed before included.
        quantity @ 6: u32,
    }
}

message! {
    Big, "OUCH 5.0 Account Query";
    /// In: which number is next?
    pub struct AccountQuery, AccountQueryBuilder: 1, type b'Q' {}
}

outbound! {
    "OUCH 5.0 System Event";
    /// Out: the day begins or ends.
    pub struct SystemEvent, SystemEventBuilder: 10, type b'S' {
        /// `S` start of day, `E` end of day.
        event_code @ 9: Code,
    }
}

outbound! {
    "OUCH 5.0 Order Accepted";
    /// Out: a new order was accepted, with these values, which may differ from those entered.
    pub struct OrderAccepted, OrderAcceptedBuilder: 64, type b'A' {
        /// The order.
        user_ref_num @ 9: u32,
        /// As entered.
        side @ 13: Code,
        /// Shares accepted.
        quantity @ 14: u32,
        /// The symbol.
        symbol @ 18: Ascii<8>,
        /// The limit accepted.
        price @ 26: Price,
        /// As in [`EnterOrder::time_in_force`].
        time_in_force @ 34: Code,
        /// As in [`EnterOrder::display`].
        display @ 35: Code,
        /// The market's number of the order, that of the ITCH feed.
        order_reference_number @ 36: u64,
        /// As in [`EnterOrder::capacity`].
        capacity @ 44: Code,
        /// As entered.
        inter_market_sweep_eligibility @ 45: Code,
        /// As in [`EnterOrder::cross_type`].
        cross_type @ 46: Code,
        /// `L` live, `D` dead: it was accepted and cancelled at once.
        order_state @ 47: Code,
        /// As entered.
        cl_ord_id @ 48: Ascii<14>,
        /// Bytes of the appendage.
        appendage_length @ 62: u16,
    }
}

outbound! {
    "OUCH 5.0 Order Replaced";
    /// Out: an order was replaced by another, with these values.
    pub struct OrderReplaced, OrderReplacedBuilder: 68, type b'U' {
        /// The order that went.
        orig_user_ref_num @ 9: u32,
        /// The order that came.
        user_ref_num @ 13: u32,
        /// As in [`EnterOrder::side`].
        side @ 17: Code,
        /// Shares that it has.
        quantity @ 18: u32,
        /// The symbol.
        symbol @ 22: Ascii<8>,
        /// The limit accepted.
        price @ 30: Price,
        /// As in [`EnterOrder::time_in_force`].
        time_in_force @ 38: Code,
        /// As in [`EnterOrder::display`].
        display @ 39: Code,
        /// The market's number of the order that came.
        order_reference_number @ 40: u64,
        /// As in [`EnterOrder::capacity`].
        capacity @ 48: Code,
        /// As in the replacement.
        inter_market_sweep_eligibility @ 49: Code,
        /// As in [`EnterOrder::cross_type`].
        cross_type @ 50: Code,
        /// `L` live, `D` dead: it was accepted and cancelled at once.
        order_state @ 51: Code,
        /// As in the replacement.
        cl_ord_id @ 52: Ascii<14>,
        /// Bytes of the appendage.
        appendage_length @ 66: u16,
    }
}

outbound! {
    "OUCH 5.0 Order Canceled";
    /// Out: an order became smaller, or is gone.
    pub struct OrderCanceled, OrderCanceledBuilder: 18, type b'C' {
        /// The order.
        user_ref_num @ 9: u32,
        /// Shares that it has less.
        quantity @ 13: u32,
        /// `U` the sender asked, `I` immediate or cancel, `T` its time ran out, `S` supervision,
        /// `Q` it would have met an order of its own firm, and others.
        reason @ 17: Code,
    }
}

outbound! {
    "OUCH 5.0 AIQ Canceled";
    /// Out: an order became smaller because it would have met one of its own firm.
    pub struct AiqCanceled, AiqCanceledBuilder: 32, type b'D' {
        /// The order.
        user_ref_num @ 9: u32,
        /// Shares that it has less.
        decrement_shares @ 13: u32,
        /// `Q`.
        reason @ 17: Code,
        /// Shares that would have been executed.
        quantity_prevented_from_trading @ 18: u32,
        /// At what price.
        execution_price @ 22: Price,
        /// As in [`OrderExecuted::liquidity_flag`].
        liquidity_flag @ 30: Code,
        /// Which rule of the firm was applied.
        aiq_strategy @ 31: Code,
    }
}

outbound! {
    "OUCH 5.0 Order Executed";
    /// Out: shares of an order were executed.
    pub struct OrderExecuted, OrderExecutedBuilder: 36, type b'E' {
        /// The order.
        user_ref_num @ 9: u32,
        /// Shares executed now.
        quantity @ 13: u32,
        /// At what price.
        price @ 17: Price,
        /// `A` it added liquidity, `R` it removed some, `O` opening cross, `C` closing cross, and
        /// others.
        liquidity_flag @ 25: Code,
        /// Number of the execution, the same on both sides.
        match_number @ 26: u64,
        /// Bytes of the appendage.
        appendage_length @ 34: u16,
    }
}

outbound! {
    "OUCH 5.0 Broken Trade";
    /// Out: an execution was broken.
    pub struct BrokenTrade, BrokenTradeBuilder: 36, type b'B' {
        /// The order.
        user_ref_num @ 9: u32,
        /// Number of the execution.
        match_number @ 13: u64,
        /// `E` erroneous, `C` consent of both sides, `S` supervision, `X` another one.
        reason @ 21: Code,
        /// As entered.
        cl_ord_id @ 22: Ascii<14>,
    }
}

outbound! {
    "OUCH 5.0 Rejected";
    /// Out: an order was not accepted; its number may not be used again.
    pub struct Rejected, RejectedBuilder: 29, type b'J' {
        /// The order.
        user_ref_num @ 9: u32,
        /// Why, as a number (the specification's appendix lists them).
        reason @ 13: u16,
        /// As entered.
        cl_ord_id @ 15: Ascii<14>,
    }
}

outbound! {
    "OUCH 5.0 Cancel Pending";
    /// Out: an order cannot be cancelled yet, because it is in a cross; it will be after it.
    pub struct CancelPending, CancelPendingBuilder: 13, type b'P' {
        /// The order.
        user_ref_num @ 9: u32,
    }
}

outbound! {
    "OUCH 5.0 Cancel Reject";
    /// Out: an order cannot be cancelled or made smaller, because it is in a cross.
    pub struct CancelReject, CancelRejectBuilder: 13, type b'I' {
        /// The order.
        user_ref_num @ 9: u32,
    }
}

outbound! {
    "OUCH 5.0 Order Priority Update";
    /// Out: an order has another place in the book.
    pub struct OrderPriorityUpdate, OrderPriorityUpdateBuilder: 30, type b'T' {
        /// The order.
        user_ref_num @ 9: u32,
        /// Its price.
        price @ 13: Price,
        /// As in [`EnterOrder::display`].
        display @ 21: Code,
        /// Its new number in the market.
        order_reference_number @ 22: u64,
    }
}

outbound! {
    "OUCH 5.0 Order Modified";
    /// Out: an order was modified, with these values.
    pub struct OrderModified, OrderModifiedBuilder: 18, type b'M' {
        /// The order.
        user_ref_num @ 9: u32,
        /// As in [`EnterOrder::side`].
        side @ 13: Code,
        /// Shares that are still open.
        quantity @ 14: u32,
    }
}

outbound! {
    "OUCH 5.0 Order Restated";
    /// Out: the market changed an order; the appendage says what.
    pub struct OrderRestated, OrderRestatedBuilder: 16, type b'R' {
        /// The order.
        user_ref_num @ 9: u32,
        /// `R` its display was refreshed, `P` its displayed price changed.
        reason @ 13: Code,
        /// Bytes of the appendage.
        appendage_length @ 14: u16,
    }
}

outbound! {
    "OUCH 5.0 Account Query Response";
    /// Out: the answer to [`AccountQuery`].
    pub struct AccountQueryResponse, AccountQueryResponseBuilder: 13, type b'Q' {
        /// The next number that may be used.
        next_user_ref_num @ 9: u32,
    }
}

/// Messages that end with an appendage.
macro_rules! with_appendage {
    ($($view:ident, $builder:ident;)*) => { $(
        impl<'a> $view<'a> {
            /// The optional fields. Needs as many bytes behind the fixed fields as
            /// [`appendage_length`](Self::appendage_length) says.
            pub fn appendage(&self) -> Result<Appendage<'a>, Error> {
                Appendage::new(self.rest(), self.appendage_length())
            }
        }

        impl $builder {
            /// Begins to write the message with optional fields into `buffer`; their length is
            /// filled in.
            pub fn with_appendage<'b>(
                &self,
                buffer: &'b mut [u8],
            ) -> Result<WithAppendage<'b>, Error> {
                WithAppendage::new(buffer, self.as_bytes())
            }
        }
    )* };
}

with_appendage! {
    EnterOrder, EnterOrderBuilder;
    ReplaceOrder, ReplaceOrderBuilder;
    OrderAccepted, OrderAcceptedBuilder;
    OrderReplaced, OrderReplacedBuilder;
    OrderExecuted, OrderExecutedBuilder;
    OrderRestated, OrderRestatedBuilder;
}
