//! The messages that TOPS 1.6, DEEP 1.0 and DEEP+ 1.0 share: administrative ones, trades, official
//! prices and auctions. Not every feed has all of them: see its `Message`.

use crate::iex::{Price, SaleConditions, SecurityFlags, Symbol};
use crate::wire::{Ascii, Code, UnixTime};

message! {
    Little, "IEX System Event";
    /// Where the day stands (*System Event Message*).
    pub struct SystemEvent, SystemEventBuilder: 10, type b'S' {
        /// `O` start of messages, `S` start of system hours, `R` start of regular market hours,
        /// `M` end of regular market hours, `E` end of system hours, `C` end of messages.
        system_event @ 1: Code,
        /// When it happened.
        timestamp @ 2: UnixTime,
    }
}

message! {
    Little, "IEX Security Directory";
    /// A security that can be traded today (*Security Directory Message*).
    pub struct SecurityDirectory, SecurityDirectoryBuilder: 31, type b'D' {
        /// Test security, when issued, ETP.
        flags @ 1: SecurityFlags,
        /// When it was disseminated.
        timestamp @ 2: UnixTime,
        /// The security.
        symbol @ 10: Symbol,
        /// Shares of a round lot.
        round_lot_size @ 18: u32,
        /// The previous official close, adjusted for corporate actions.
        adjusted_poc_price @ 22: Price,
        /// Limit-up limit-down tier: 0 not applicable, 1 tier 1, 2 tier 2.
        luld_tier @ 30: u8,
    }
}

message! {
    Little, "IEX Trading Status";
    /// Whether a security trades (*Trading Status Message*).
    pub struct TradingStatus, TradingStatusBuilder: 22, type b'H' {
        /// `H` halted across all US markets, `O` order acceptance period after a halt, `P` paused
        /// and order acceptance period on IEX, `T` trading on IEX.
        trading_status @ 1: Code,
        /// When it changed.
        timestamp @ 2: UnixTime,
        /// The security.
        symbol @ 10: Symbol,
        /// Why, where there is a halt or an order acceptance period: `T1`, `IPO1`, `MCB3`.
        reason @ 18: Ascii<4>,
    }
}

message! {
    Little, "IEX Retail Liquidity Indicator";
    /// Whether there is retail interest (*Retail Liquidity Indicator Message*).
    pub struct RetailLiquidityIndicator, RetailLiquidityIndicatorBuilder: 18, type b'I' {
        /// Blank none, `A` buying, `B` selling, `C` both.
        retail_liquidity_indicator @ 1: Code,
        /// When it changed.
        timestamp @ 2: UnixTime,
        /// The security.
        symbol @ 10: Symbol,
    }
}

message! {
    Little, "IEX Operational Halt Status";
    /// Whether IEX alone has halted a security (*Operational Halt Status Message*).
    pub struct OperationalHaltStatus, OperationalHaltStatusBuilder: 18, type b'O' {
        /// `O` halted on IEX, `N` not.
        operational_halt_status @ 1: Code,
        /// When it changed.
        timestamp @ 2: UnixTime,
        /// The security.
        symbol @ 10: Symbol,
    }
}

message! {
    Little, "IEX Short Sale Price Test Status";
    /// Whether short sales are restricted (*Short Sale Price Test Status Message*).
    pub struct ShortSalePriceTestStatus, ShortSalePriceTestStatusBuilder: 19, type b'P' {
        /// 0 not in effect, 1 in effect.
        short_sale_price_test_status @ 1: u8,
        /// When it changed.
        timestamp @ 2: UnixTime,
        /// The security.
        symbol @ 10: Symbol,
        /// Blank no test, `A` activated by a price drop today, `C` continued from the day before,
        /// `D` deactivated, `N` not available.
        detail @ 18: Code,
    }
}

message! {
    Little, "IEX Security Event";
    /// What happened to a security (*Security Event Message*; not in TOPS).
    pub struct SecurityEvent, SecurityEventBuilder: 18, type b'E' {
        /// `O` its opening process is complete, `C` its closing process is.
        security_event @ 1: Code,
        /// When it happened.
        timestamp @ 2: UnixTime,
        /// The security.
        symbol @ 10: Symbol,
    }
}

message! {
    Little, "IEX Trade Report";
    /// An execution on IEX (*Trade Report Message*). In DEEP+ (*Trade Message*) of non-displayed
    /// orders only: no order of the book changes.
    pub struct TradeReport, TradeReportBuilder: 38, type b'T' {
        /// Of which kind of sale.
        sale_condition_flags @ 1: SaleConditions,
        /// When it traded.
        timestamp @ 2: UnixTime,
        /// The security.
        symbol @ 10: Symbol,
        /// Shares.
        size @ 18: u32,
        /// Price a share.
        price @ 22: Price,
        /// Which trade, unique within the day.
        trade_id @ 30: u64,
    }
}

message! {
    Little, "IEX Trade Break";
    /// A trade that is broken on the day of its execution (*Trade Break Message*). The book does
    /// not change.
    pub struct TradeBreak, TradeBreakBuilder: 38, type b'B' {
        /// As in the trade.
        sale_condition_flags @ 1: SaleConditions,
        /// When it was broken.
        timestamp @ 2: UnixTime,
        /// The security.
        symbol @ 10: Symbol,
        /// Shares, as in the trade.
        size @ 18: u32,
        /// Price a share, as in the trade.
        price @ 22: Price,
        /// Which trade.
        trade_id @ 30: u64,
    }
}

message! {
    Little, "IEX Official Price";
    /// An official opening or closing price (*Official Price Message*; not in DEEP+).
    pub struct OfficialPrice, OfficialPriceBuilder: 26, type b'X' {
        /// `Q` IEX official opening price, `M` IEX official closing price.
        price_type @ 1: Code,
        /// When it was determined.
        timestamp @ 2: UnixTime,
        /// The security.
        symbol @ 10: Symbol,
        /// The price.
        official_price @ 18: Price,
    }
}

message! {
    Little, "IEX Auction Information";
    /// How an auction stands, once a second before it (*Auction Information Message*; not in
    /// DEEP+).
    pub struct AuctionInformation, AuctionInformationBuilder: 80, type b'A' {
        /// `O` opening, `C` closing, `I` IPO, `H` halt, `V` volatility.
        auction_type @ 1: Code,
        /// When it was computed.
        timestamp @ 2: UnixTime,
        /// The security.
        symbol @ 10: Symbol,
        /// Shares paired at the reference price.
        paired_shares @ 18: u32,
        /// The price that the shares are paired at.
        reference_price @ 22: Price,
        /// Where the auction would clear, of all eligible orders.
        indicative_clearing_price @ 30: Price,
        /// Shares without a counterpart at the reference price.
        imbalance_shares @ 38: u32,
        /// `B` buy-side imbalance, `S` sell-side, `N` none.
        imbalance_side @ 42: Code,
        /// How often the auction has been extended.
        extension_number @ 43: u8,
        /// When the auction is planned: seconds since 1970-01-01 00:00 UTC.
        scheduled_auction_time @ 44: u32,
        /// Where the orders of the auction book alone would clear.
        auction_book_clearing_price @ 48: Price,
        /// The price that the collar is made of; 0 when there is no collar.
        collar_reference_price @ 56: Price,
        /// The lowest price at which the auction may match.
        lower_auction_collar @ 64: Price,
        /// The highest price at which the auction may match.
        upper_auction_collar @ 72: Price,
    }
}
