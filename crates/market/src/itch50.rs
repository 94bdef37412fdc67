//! Nasdaq TotalView-ITCH 5.0 (revision of 2026-02-19): every order of a market, from its arrival to
//! its end. BX and PSX use the same layouts.
//!
//! Big-endian. Each message begins with its type, the stock locate, a tracking number and the time;
//! stocks and codes are letters, padded on the right with spaces; prices are integers with 4
//! decimals ([`Price4`]) or 8 ([`Price8`]). The time is that of US/Eastern.
//!
//! Only messages that add an order name its stock and side. Those that change it refer to it by its
//! number, so whoever follows a book keeps a map from order reference numbers to orders.
//!
//! The stream comes over MoldUDP64, SoupBinTCP, or as a BinaryFILE. Messages are named as in the
//! specification, and found there by their names.

use crate::price::{Price4, Price8};
use crate::wire::{Ascii, Code, SinceMidnight};

/// The most that a [`Price4`] can say: 200,000.0000, which stands for a market order.
pub const PRICE_MAX: Price4 = crate::Price(0x7735_9400);

/// A symbol, padded on the right.
pub type Stock = Ascii<8>;

messages! {
    "ITCH 5.0 message";
    /// A message.
    pub enum Message {
        AddOrder,
        OrderDelete,
        OrderReplace,
        OrderExecuted,
        OrderCancel,
        Trade,
        AddOrderWithMpid,
        OrderExecutedWithPrice,
        Noii,
        CrossTrade,
        BrokenTrade,
        Rpii,
        SystemEvent,
        StockDirectory,
        StockTradingAction,
        RegShoRestriction,
        MarketParticipantPosition,
        MwcbDeclineLevel,
        MwcbStatus,
        QuotingPeriodUpdate,
        LuldAuctionCollar,
        OperationalHalt,
        DlcrPriceDiscovery,
    }
}

/// A message with the fields that all of them begin with.
macro_rules! itch {
    (
        $what:literal;
        $(#[$meta:meta])*
        pub struct $view:ident, $builder:ident: $len:literal, type $type:literal {
            $($fields:tt)*
        }
    ) => {
        message! {
            Big, $what;
            $(#[$meta])*
            pub struct $view, $builder: $len, type $type {
                /// A small number for the stock, for the day: meant as the index into an array. 0
                /// in messages that are not about one stock.
                stock_locate @ 1: u16,
                /// Nasdaq's own.
                tracking_number @ 3: u16,
                /// When, in nanoseconds since midnight.
                timestamp @ 5: SinceMidnight<6>,
                $($fields)*
            }
        }
    };
}

itch! {
    "ITCH System Event";
    /// The day's beginning, its end, and what is between.
    pub struct SystemEvent, SystemEventBuilder: 12, type b'S' {
        /// `O` start of messages, `S` of system hours, `Q` of market hours; `M` end of market
        /// hours, `E` of system hours, `C` of messages: the last one of the day.
        event_code @ 11: Code,
    }
}

itch! {
    "ITCH Stock Directory";
    /// A stock that is traded today, at the start of the day.
    pub struct StockDirectory, StockDirectoryBuilder: 39, type b'R' {
        /// Its symbol.
        stock @ 11: Stock,
        /// Where it is listed: `Q` Nasdaq Global Select, `G` Global, `S` Capital Market; `N` NYSE,
        /// `A` NYSE American, `P` NYSE Arca, `Z` Cboe BZX, `V` IEX; space: not available.
        market_category @ 19: Code,
        /// `N` normal, `D` deficient, `E` delinquent, `Q` bankrupt, `S` suspended, `G` deficient
        /// and bankrupt, `H` deficient and delinquent, `J` delinquent and bankrupt, `K` all three,
        /// `C` creations or redemptions suspended; space: not available.
        financial_status_indicator @ 20: Code,
        /// Shares of a round lot.
        round_lot_size @ 21: u32,
        /// Whether only round lots are accepted: `Y` or `N`.
        round_lots_only @ 25: Code,
        /// Kind of security: `C` common stock, `A` depositary share, `Q` fund or trust, and others.
        issue_classification @ 26: Code,
        /// Finer than the classification: `E` exchange-traded fund, `Z` not applicable, and others.
        issue_sub_type @ 27: Ascii<2>,
        /// `P` live, `T` test.
        authenticity @ 29: Code,
        /// Whether Rule 203(b)(3) of Reg SHO restricts short sales: `Y`, `N`; space: not available.
        short_sale_threshold_indicator @ 30: Code,
        /// Whether it is a new issue: `Y`, `N`; space: not available.
        ipo_flag @ 31: Code,
        /// Tier of its limit-up limit-down bands: `1`, `2`; space: not applicable.
        luld_reference_price_tier @ 32: Code,
        /// Whether it is an exchange-traded product: `Y`, `N`; space: not available.
        etp_flag @ 33: Code,
        /// Leverage of that product, as a whole factor; 0 when it is none.
        etp_leverage_factor @ 34: u32,
        /// Whether that product goes against its index: `Y` or `N`.
        inverse_indicator @ 38: Code,
    }
}

itch! {
    "ITCH Stock Trading Action";
    /// A halt, a pause or the end of one. A stock without one is halted.
    pub struct StockTradingAction, StockTradingActionBuilder: 25, type b'H' {
        /// Its symbol.
        stock @ 11: Stock,
        /// `H` halted everywhere in the US, `P` paused, `Q` quotes only, `T` trading.
        trading_state @ 19: Code,
        /// Reserved.
        reserved @ 20: Code,
        /// Why, such as `T1` news pending or `LUDP` volatility pause.
        reason @ 21: Ascii<4>,
    }
}

itch! {
    "ITCH Reg SHO Restriction";
    /// Whether short sales are restricted (Reg SHO, Rule 201).
    pub struct RegShoRestriction, RegShoRestrictionBuilder: 20, type b'Y' {
        /// Its symbol.
        stock @ 11: Stock,
        /// `0` no, `1` since today, `2` still from the day before.
        reg_sho_action @ 19: Code,
    }
}

itch! {
    "ITCH Market Participant Position";
    /// What a firm is in a stock.
    pub struct MarketParticipantPosition, MarketParticipantPositionBuilder: 26, type b'L' {
        /// The firm.
        mpid @ 11: Ascii<4>,
        /// The symbol.
        stock @ 15: Stock,
        /// Whether it is a primary market maker: `Y` or `N`.
        primary_market_maker @ 23: Code,
        /// `N` normal, `P` passive, `S` syndicate, `R` pre-syndicate, `L` penalty.
        market_maker_mode @ 24: Code,
        /// `A` active, `E` excused, `W` withdrawn, `S` suspended, `D` deleted.
        market_participant_state @ 25: Code,
    }
}

itch! {
    "ITCH MWCB Decline Level";
    /// Where the market-wide circuit breakers stand today, as values of the S&P 500.
    pub struct MwcbDeclineLevel, MwcbDeclineLevelBuilder: 35, type b'V' {
        /// Level 1.
        level_1 @ 11: Price8,
        /// Level 2.
        level_2 @ 19: Price8,
        /// Level 3.
        level_3 @ 27: Price8,
    }
}

itch! {
    "ITCH MWCB Status";
    /// A market-wide circuit breaker has been reached.
    pub struct MwcbStatus, MwcbStatusBuilder: 12, type b'W' {
        /// `1`, `2` or `3`.
        breached_level @ 11: Code,
    }
}

itch! {
    "ITCH Quoting Period Update";
    /// When quoting of a new issue is released.
    pub struct QuotingPeriodUpdate, QuotingPeriodUpdateBuilder: 28, type b'K' {
        /// Its symbol.
        stock @ 11: Stock,
        /// When, in whole seconds since midnight.
        ipo_quotation_release_time @ 19: u32,
        /// `A` anticipated, `C` cancelled or postponed (time and price are 0).
        ipo_quotation_release_qualifier @ 23: Code,
        /// Price of the issue.
        ipo_price @ 24: Price4,
    }
}

itch! {
    "ITCH LULD Auction Collar";
    /// Between which prices the auction after a volatility pause may be.
    pub struct LuldAuctionCollar, LuldAuctionCollarBuilder: 35, type b'J' {
        /// Its symbol.
        stock @ 11: Stock,
        /// What the collar is computed from.
        auction_collar_reference_price @ 19: Price4,
        /// The most.
        upper_auction_collar_price @ 23: Price4,
        /// The least.
        lower_auction_collar_price @ 27: Price4,
        /// How often it has been extended.
        auction_collar_extension @ 31: u32,
    }
}

itch! {
    "ITCH Operational Halt";
    /// One market cannot trade a stock, others can.
    pub struct OperationalHalt, OperationalHaltBuilder: 21, type b'h' {
        /// Its symbol.
        stock @ 11: Stock,
        /// `Q` Nasdaq, `B` BX, `X` PSX.
        market_code @ 19: Code,
        /// `H` halted, `T` resumed.
        operational_halt_action @ 20: Code,
    }
}

itch! {
    "ITCH Add Order";
    /// A new order in the book, of a firm that is not named.
    pub struct AddOrder, AddOrderBuilder: 36, type b'A' {
        /// Its number, by which all that becomes of it refers to it; unique for the day.
        order_reference_number @ 11: u64,
        /// `B` buy, `S` sell.
        buy_sell_indicator @ 19: Code,
        /// Shares displayed.
        shares @ 20: u32,
        /// Its symbol.
        stock @ 24: Stock,
        /// Displayed price.
        price @ 32: Price4,
    }
}

itch! {
    "ITCH Add Order with MPID";
    /// A new order in the book, of a firm that is named.
    pub struct AddOrderWithMpid, AddOrderWithMpidBuilder: 40, type b'F' {
        /// Its number, by which all that becomes of it refers to it; unique for the day.
        order_reference_number @ 11: u64,
        /// `B` buy, `S` sell.
        buy_sell_indicator @ 19: Code,
        /// Shares displayed.
        shares @ 20: u32,
        /// Its symbol.
        stock @ 24: Stock,
        /// Displayed price.
        price @ 32: Price4,
        /// The firm.
        attribution @ 36: Ascii<4>,
    }
}

itch! {
    "ITCH Order Executed";
    /// Shares of an order were executed at its price: take them off.
    pub struct OrderExecuted, OrderExecutedBuilder: 31, type b'E' {
        /// The order.
        order_reference_number @ 11: u64,
        /// Shares executed.
        executed_shares @ 19: u32,
        /// Number of the execution, by which a broken trade refers to it.
        match_number @ 23: u64,
    }
}

itch! {
    "ITCH Order Executed with Price";
    /// Shares of an order were executed at another price than its own: take them off.
    pub struct OrderExecutedWithPrice, OrderExecutedWithPriceBuilder: 36, type b'C' {
        /// The order.
        order_reference_number @ 11: u64,
        /// Shares executed.
        executed_shares @ 19: u32,
        /// Number of the execution, by which a broken trade refers to it.
        match_number @ 23: u64,
        /// Whether it counts as volume: `N` when a later cross trade contains it, else `Y`.
        printable @ 31: Code,
        /// At what price.
        execution_price @ 32: Price4,
    }
}

itch! {
    "ITCH Order Cancel";
    /// Some shares of an order were cancelled: take them off.
    pub struct OrderCancel, OrderCancelBuilder: 23, type b'X' {
        /// The order.
        order_reference_number @ 11: u64,
        /// Shares cancelled.
        cancelled_shares @ 19: u32,
    }
}

itch! {
    "ITCH Order Delete";
    /// An order is out of the book.
    pub struct OrderDelete, OrderDeleteBuilder: 19, type b'D' {
        /// The order.
        order_reference_number @ 11: u64,
    }
}

itch! {
    "ITCH Order Replace";
    /// An order is out of the book, and another of the same stock, side and firm is in it.
    pub struct OrderReplace, OrderReplaceBuilder: 35, type b'U' {
        /// The order that is out.
        original_order_reference_number @ 11: u64,
        /// The order that is in.
        new_order_reference_number @ 19: u64,
        /// Its shares displayed.
        shares @ 27: u32,
        /// Its displayed price.
        price @ 31: Price4,
    }
}

itch! {
    "ITCH Trade";
    /// A trade against an order that was not displayed: volume, but no change of the book.
    pub struct Trade, TradeBuilder: 44, type b'P' {
        /// 0 since 2010.
        order_reference_number @ 11: u64,
        /// `B` since 2014, whatever the side was.
        buy_sell_indicator @ 19: Code,
        /// Shares traded.
        shares @ 20: u32,
        /// The symbol.
        stock @ 24: Stock,
        /// At what price.
        price @ 32: Price4,
        /// Number of the execution, by which a broken trade refers to it.
        match_number @ 36: u64,
    }
}

itch! {
    "ITCH Cross Trade";
    /// An auction took place: its whole volume.
    pub struct CrossTrade, CrossTradeBuilder: 40, type b'Q' {
        /// Shares traded; 0 when the auction had none.
        shares @ 11: u64,
        /// The symbol.
        stock @ 19: Stock,
        /// At what price.
        cross_price @ 27: Price4,
        /// Number of the execution, by which a broken trade refers to it.
        match_number @ 31: u64,
        /// `O` opening, `C` closing, `H` of a new issue or after a halt.
        cross_type @ 39: Code,
    }
}

itch! {
    "ITCH Broken Trade";
    /// An execution was broken: it is no volume. The book does not change.
    pub struct BrokenTrade, BrokenTradeBuilder: 19, type b'B' {
        /// Number of the execution.
        match_number @ 11: u64,
    }
}

itch! {
    "ITCH NOII";
    /// Net order imbalance before an auction.
    pub struct Noii, NoiiBuilder: 50, type b'I' {
        /// Shares that would trade at the current reference price.
        paired_shares @ 11: u64,
        /// Shares that would not.
        imbalance_shares @ 19: u64,
        /// `B` more to buy, `S` more to sell, `N` balanced, `O` too few orders, `P` paused.
        imbalance_direction @ 27: Code,
        /// The symbol.
        stock @ 28: Stock,
        /// Where auction orders alone would clear.
        far_price @ 36: Price4,
        /// Where auction and continuous orders would clear.
        near_price @ 40: Price4,
        /// What the shares are computed at.
        current_reference_price @ 44: Price4,
        /// `O` opening, `C` closing, `H` of a new issue or after a halt, `A` extended trading
        /// close.
        cross_type @ 48: Code,
        /// How far the near price is from the reference price: `L` below 1 %, `1` to `9` from that
        /// many per cent on, `A` from 10, `B` from 20, `C` from 30 on; space: not calculated.
        price_variation_indicator @ 49: Code,
    }
}

itch! {
    "ITCH RPII";
    /// Retail price improvement: whether there is interest.
    pub struct Rpii, RpiiBuilder: 20, type b'N' {
        /// The symbol.
        stock @ 11: Stock,
        /// On which side: `B` buy, `S` sell, `A` both, `N` none.
        interest_flag @ 19: Code,
    }
}

itch! {
    "ITCH DLCR Price Discovery";
    /// A direct listing with capital raise: where it may open, and where it would.
    pub struct DlcrPriceDiscovery, DlcrPriceDiscoveryBuilder: 48, type b'O' {
        /// The symbol.
        stock @ 11: Stock,
        /// Whether it may be released for trading: `Y` or `N`.
        open_eligibility_status @ 19: Code,
        /// 20 % below the lowest price of the registration statement.
        minimum_allowable_price @ 20: Price4,
        /// 80 % above the highest price of the registration statement.
        maximum_allowable_price @ 24: Price4,
        /// Where it would open now.
        near_execution_price @ 28: Price4,
        /// When that price was set, in nanoseconds since midnight.
        near_execution_time @ 32: SinceMidnight<8>,
        /// 10 % below the near execution price.
        lower_price_range_collar @ 40: Price4,
        /// 10 % above the near execution price.
        upper_price_range_collar @ 44: Price4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Price;

    #[test]
    fn a_real_add_order_is_read() {
        let built = AddOrderBuilder::new()
            .stock_locate(7)
            .timestamp(SinceMidnight(34_200_000_000_001))
            .order_reference_number(258)
            .buy_sell_indicator(Code(b'S'))
            .shares(225)
            .stock(Stock::new("CVLT").unwrap())
            .price(Price(630_200));
        let bytes = b"A\0\x07\0\0\x1f\x1a\xce\xd9\xf0\x01\0\0\0\0\0\0\x01\x02S\0\0\0\xe1CVLT    \
                      \0\x09\x9d\xb8";
        assert_eq!(built.as_bytes(), bytes);
        let Ok(Message::AddOrder(add)) = Message::decode(bytes) else { panic!("no Add Order") };
        assert_eq!((add.order_reference_number(), add.shares()), (258, 225));
        assert_eq!(
            (add.price().to_string(), add.stock().to_string()),
            ("63.0200".into(), "CVLT".into())
        );
        assert_eq!(
            (add.timestamp().to_string(), add.to_builder()),
            ("09:30:00.000000001".into(), built)
        );
    }

    #[test]
    fn there_are_23_types_and_the_highest_price() {
        let types: String = Message::TYPES.iter().map(|(letter, ..)| char::from(*letter)).collect();
        assert_eq!(types, "ADUEXPFCIQBNSRHYLVWKJhO");
        assert_eq!(PRICE_MAX.to_string(), "200000.0000");
    }
}
