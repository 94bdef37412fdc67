//! States of products and instruments, instruments that are added, and the packet header.

use super::{Price, Quantity};
use crate::entries::Entries;
use crate::error::Error;
use crate::wire::{NulText, UnixTime};

message! {
    Little, "EOBI Heartbeat";
    /// Nothing else was sent for a while.
    pub struct Heartbeat, HeartbeatBuilder: 16 {
        /// Bytes of the message, this header too: the next begins there.
        body_len @ 0: u16,
        /// Which message it is.
        template_id @ 2: u16,
        /// The number of the message; all bits set in a packet header.
        msg_seq_num @ 4: u32,
        /// The last message of the incremental feed that is in it.
        last_msg_seq_num_processed @ 8: u32,
        /// Nothing.
        pad4 @ 12: NulText<4>,
    }
}

message! {
    Little, "EOBI ProductStateChange";
    /// The state of a product.
    pub struct ProductStateChange, ProductStateChangeBuilder: 24 {
        /// Bytes of the message, this header too: the next begins there.
        body_len @ 0: u16,
        /// Which message it is.
        template_id @ 2: u16,
        /// The number of the message; all bits set in a packet header.
        msg_seq_num @ 4: u32,
        /// 1 day, 3 morning, 5 evening, 7 holiday.
        trading_session_id @ 8: u8,
        /// 1 pre-trading, 3 continuous, 4 closing, 5 post-trading, 7 quiescent.
        trading_session_sub_id @ 9: u8,
        /// 1 halted, 2 open, 3 closed, others.
        trad_ses_status @ 10: u8,
        /// 0 normal, 1 stressed, 2 exceptional.
        market_condition @ 11: u8,
        /// 1 in a fast market.
        fast_market_indicator @ 12: u8,
        /// The state of trade entry.
        tes_trad_ses_status @ 13: u8,
        /// Nothing.
        pad2 @ 14: NulText<2>,
        /// When it was done.
        transact_time @ 16: UnixTime,
    }
}

message! {
    Little, "EOBI ProductSummary";
    /// Snapshot: the state of a product; its instruments follow.
    pub struct ProductSummary, ProductSummaryBuilder: 24 {
        /// Bytes of the message, this header too: the next begins there.
        body_len @ 0: u16,
        /// Which message it is.
        template_id @ 2: u16,
        /// The number of the message; all bits set in a packet header.
        msg_seq_num @ 4: u32,
        /// The last message of the incremental feed that is in it.
        last_msg_seq_num_processed @ 8: u32,
        /// 1 day, 3 morning, 5 evening, 7 holiday.
        trading_session_id @ 12: u8,
        /// 1 pre-trading, 3 continuous, 4 closing, 5 post-trading, 7 quiescent.
        trading_session_sub_id @ 13: u8,
        /// 1 halted, 2 open, 3 closed, others.
        trad_ses_status @ 14: u8,
        /// 0 normal, 1 stressed, 2 exceptional.
        market_condition @ 15: u8,
        /// 1 in a fast market.
        fast_market_indicator @ 16: u8,
        /// The state of trade entry.
        tes_trad_ses_status @ 17: u8,
        /// Nothing.
        pad6 @ 18: NulText<6>,
    }
}

message! {
    Little, "EOBI InstrumentStateChange";
    /// The state of an instrument.
    pub struct InstrumentStateChange, InstrumentStateChangeBuilder: 56 {
        /// Bytes of the message, this header too: the next begins there.
        body_len @ 0: u16,
        /// Which message it is.
        template_id @ 2: u16,
        /// The number of the message; all bits set in a packet header.
        msg_seq_num @ 4: u32,
        /// The instrument.
        security_id @ 8: i64,
        /// 1 active, 4 expired, 9 suspended, others.
        security_status @ 16: u8,
        /// 2 halted, 200 closed, 202 book, 203 continuous, 204 opening auction, others.
        security_trading_status @ 17: u8,
        /// 0 normal, 1 stressed, 2 exceptional.
        market_condition @ 18: u8,
        /// 1 in a fast market.
        fast_market_indicator @ 19: u8,
        /// What has happened to it.
        security_trading_event @ 20: u8,
        /// 1 sold out.
        sold_out_indicator @ 21: u8,
        /// Nothing.
        pad2 @ 22: NulText<2>,
        /// The highest price.
        high_px @ 24: Price,
        /// The lowest price.
        low_px @ 32: Price,
        /// When it was done.
        transact_time @ 40: UnixTime,
        /// Its state in trade entry.
        tes_security_status @ 48: u8,
        /// Nothing.
        pad7 @ 49: NulText<7>,
    }
}

message! {
    Little, "EOBI InstrumentSummary";
    /// Snapshot: the state of an instrument; its orders follow.
    pub struct InstrumentSummary, InstrumentSummaryBuilder: 64 {
        /// Bytes of the message, this header too: the next begins there.
        body_len @ 0: u16,
        /// Which message it is.
        template_id @ 2: u16,
        /// The number of the message; all bits set in a packet header.
        msg_seq_num @ 4: u32,
        /// The instrument.
        security_id @ 8: i64,
        /// When the instrument was last changed.
        last_update_time @ 16: UnixTime,
        /// When it was executed.
        trd_reg_ts_execution_time @ 24: UnixTime,
        /// How many orders follow.
        tot_no_orders @ 32: u16,
        /// 1 active, 4 expired, 9 suspended, others.
        security_status @ 34: u8,
        /// 2 halted, 200 closed, 202 book, 203 continuous, 204 opening auction, others.
        security_trading_status @ 35: u8,
        /// 0 normal, 1 stressed, 2 exceptional.
        market_condition @ 36: u8,
        /// 1 in a fast market.
        fast_market_indicator @ 37: u8,
        /// What has happened to it.
        security_trading_event @ 38: u8,
        /// 1 sold out.
        sold_out_indicator @ 39: u8,
        /// The highest price.
        high_px @ 40: Price,
        /// The lowest price.
        low_px @ 48: Price,
        /// What kind of instrument it is.
        product_complex @ 56: u8,
        /// How many entries follow.
        no_md_entries @ 57: u8,
        /// Its state in trade entry.
        tes_security_status @ 58: u8,
        /// Nothing.
        pad5 @ 59: NulText<5>,
    }
}

message! {
    Little, "EOBI MDInstrumentEntryGrp";
    /// A statistic of an instrument.
    pub struct MDInstrumentEntryGrp, MDInstrumentEntryGrpBuilder: 32 {
        /// The price.
        md_entry_px @ 0: Price,
        /// How much.
        md_entry_size @ 8: Quantity,
        /// 0 the book, 1 off the book.
        md_origin_type @ 16: u8,
        /// 2 trade, 4 opening, 5 closing, 7 high, 8 low, others.
        md_entry_type @ 17: u8,
        /// Under what condition it was traded.
        trade_condition @ 18: u16,
        /// What kind of trade it is.
        trd_type @ 20: u16,
        /// 1 single, 2 a leg of several.
        multi_leg_reporting_type @ 22: u8,
        /// 0 standard, 1 user defined.
        multi_leg_price_model @ 23: u8,
        /// How much was traded and not published then.
        non_disclosed_trade_volume @ 24: Quantity,
    }
}

impl<'a> InstrumentSummary<'a> {
    /// What follows the fields, at most 15 of them.
    ///
    /// # Errors
    /// [`Error::Truncated`]
    pub fn entries(&self) -> Result<Entries<'a, MDInstrumentEntryGrp<'a>>, Error> {
        let count = usize::from(self.no_md_entries());
        Entries::new(self.rest(), MDInstrumentEntryGrp::LEN, count).map(|(entries, _)| entries)
    }
}

message! {
    Little, "EOBI MassInstrumentStateChange";
    /// The state of all instruments of a product, and those that differ.
    pub struct MassInstrumentStateChange, MassInstrumentStateChangeBuilder: 32 {
        /// Bytes of the message, this header too: the next begins there.
        body_len @ 0: u16,
        /// Which message it is.
        template_id @ 2: u16,
        /// The number of the message; all bits set in a packet header.
        msg_seq_num @ 4: u32,
        /// Which kind of instrument it is for.
        instrument_scope_product_complex @ 8: u8,
        /// 1 active, others: of all of them.
        security_mass_status @ 9: u8,
        /// As of one instrument.
        security_mass_trading_status @ 10: u8,
        /// 0 normal, 1 stressed, 2 exceptional.
        mass_market_condition @ 11: u8,
        /// 1 in a fast market.
        fast_market_indicator @ 12: u8,
        /// What has happened to all of them.
        security_mass_trading_event @ 13: u8,
        /// 1 sold out.
        mass_sold_out_indicator @ 14: u8,
        /// As `tes_security_status`, of all of them.
        tes_security_mass_status @ 15: u8,
        /// When it was done.
        transact_time @ 16: UnixTime,
        /// 1 in the last message of a series.
        last_fragment @ 24: u8,
        /// How many instruments follow.
        no_related_sym @ 25: u8,
        /// Nothing.
        pad6 @ 26: NulText<6>,
    }
}

message! {
    Little, "EOBI SecMassStatGrp";
    /// An instrument whose state is another than that of all.
    pub struct SecMassStatGrp, SecMassStatGrpBuilder: 32 {
        /// The instrument.
        security_id @ 0: i64,
        /// The highest price.
        high_px @ 8: Price,
        /// The lowest price.
        low_px @ 16: Price,
        /// 1 active, 4 expired, 9 suspended, others.
        security_status @ 24: u8,
        /// 2 halted, 200 closed, 202 book, 203 continuous, 204 opening auction, others.
        security_trading_status @ 25: u8,
        /// 0 normal, 1 stressed, 2 exceptional.
        market_condition @ 26: u8,
        /// What has happened to it.
        security_trading_event @ 27: u8,
        /// 1 sold out.
        sold_out_indicator @ 28: u8,
        /// Its state in trade entry.
        tes_security_status @ 29: u8,
        /// Nothing.
        pad2 @ 30: NulText<2>,
    }
}

impl<'a> MassInstrumentStateChange<'a> {
    /// What follows the fields, at most 24 of them.
    ///
    /// # Errors
    /// [`Error::Truncated`]
    pub fn entries(&self) -> Result<Entries<'a, SecMassStatGrp<'a>>, Error> {
        let count = usize::from(self.no_related_sym());
        Entries::new(self.rest(), SecMassStatGrp::LEN, count).map(|(entries, _)| entries)
    }
}

message! {
    Little, "EOBI AddComplexInstrument";
    /// A combination is added during the day.
    pub struct AddComplexInstrument, AddComplexInstrumentBuilder: 80 {
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
        /// The name of the instrument.
        security_desc @ 24: NulText<40>,
        /// The template of a combination.
        security_sub_type @ 64: u32,
        /// What kind of instrument it is.
        product_complex @ 68: u8,
        /// 0 not implied, 3 implied in and out.
        implied_market_indicator @ 69: u8,
        /// What quantities are multiplied with.
        quantity_scaling_factor @ 70: u16,
        /// What ratios of legs are multiplied with.
        leg_ratio_multiplier @ 72: u32,
        /// How many legs follow.
        no_legs @ 76: u8,
        /// Nothing.
        pad2 @ 77: NulText<2>,
        /// 1 in the last message of a series.
        last_fragment @ 79: u8,
    }
}

message! {
    Little, "EOBI InstrmtLegGrp";
    /// A leg of a combination.
    pub struct InstrmtLegGrp, InstrmtLegGrpBuilder: 40 {
        /// The product of the leg.
        leg_symbol @ 0: i32,
        /// Nothing.
        pad4 @ 4: NulText<4>,
        /// The instrument of the leg.
        leg_security_id @ 8: i64,
        /// The price of the leg.
        leg_price @ 16: Price,
        /// The ratio of the leg.
        leg_ratio_qty @ 24: u32,
        /// What kind of instrument the leg is.
        leg_security_type @ 28: u8,
        /// 1 buy, 2 sell.
        leg_side @ 29: u8,
        /// What that price is.
        related_price_type @ 30: u8,
        /// How the combination trades.
        trading_style @ 31: u8,
        /// The price of the underlying.
        related_price @ 32: Price,
    }
}

impl<'a> AddComplexInstrument<'a> {
    /// What follows the fields, at most 20 of them.
    ///
    /// # Errors
    /// [`Error::Truncated`]
    pub fn entries(&self) -> Result<Entries<'a, InstrmtLegGrp<'a>>, Error> {
        let count = usize::from(self.no_legs());
        Entries::new(self.rest(), InstrmtLegGrp::LEN, count).map(|(entries, _)| entries)
    }
}

message! {
    Little, "EOBI AddFlexibleInstrument";
    /// A flexible instrument is added during the day.
    pub struct AddFlexibleInstrument, AddFlexibleInstrumentBuilder: 96 {
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
        /// The name of the instrument.
        security_desc @ 24: NulText<40>,
        /// What kind of instrument it is.
        security_type @ 64: u8,
        /// 0 put, 1 call.
        put_or_call @ 65: u8,
        /// 0 European, 1 American.
        exercise_style @ 66: u8,
        /// 0 cash, 1 physical.
        settl_method @ 67: u8,
        /// When it expires: YYYYMMDD.
        maturity_date @ 68: u32,
        /// The strike price.
        strike_price @ 72: Price,
        /// The version of an option.
        opt_attribute @ 80: u32,
        /// When the contract is made for: YYYYMMDD.
        contract_date @ 84: u32,
        /// Which supplement of the reference data it is in.
        security_reference_data_supplement @ 88: u32,
        /// Nothing.
        pad4 @ 92: NulText<4>,
    }
}

message! {
    Little, "EOBI AddScaledSimpleInstrument";
    /// An instrument that is another one scaled is added during the day.
    pub struct AddScaledSimpleInstrument, AddScaledSimpleInstrumentBuilder: 80 {
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
        /// The name of the instrument.
        security_desc @ 24: NulText<40>,
        /// What kind of instrument it is.
        security_type @ 64: u8,
        /// Nothing.
        pad1 @ 65: NulText<1>,
        /// What quantities are multiplied with.
        quantity_scaling_factor @ 66: u16,
        /// Nothing.
        pad4 @ 68: NulText<4>,
        /// The instrument that it is scaled from.
        related_security_id @ 72: i64,
    }
}

message! {
    Little, "EOBI PacketHeader";
    /// What a packet begins with.
    pub struct PacketHeader, PacketHeaderBuilder: 32 {
        /// Bytes of the message, this header too: the next begins there.
        body_len @ 0: u16,
        /// Which message it is.
        template_id @ 2: u16,
        /// The number of the message; all bits set in a packet header.
        msg_seq_num @ 4: u32,
        /// The number of the packet in its partition.
        appl_seq_num @ 8: u32,
        /// The product.
        market_segment_id @ 12: i32,
        /// The matching partition, which numbers packets.
        partition_id @ 16: u8,
        /// 1 when the transaction is complete with this packet.
        completion_indicator @ 17: u8,
        /// 1 when numbers begin again.
        appl_seq_reset_indicator @ 18: u8,
        /// The class of the packet in its IP header.
        dscp @ 19: u8,
        /// Nothing.
        pad4 @ 20: NulText<4>,
        /// When it was done.
        transact_time @ 24: UnixTime,
    }
}
