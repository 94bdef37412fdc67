//! OUCH 4.2 and 5.0 as an exchange reads and writes them.

use crate::order::Side;
use tickwire_market::{Ascii, Code, Error, Price, SinceMidnight, ouch42, ouch50};

/// Both versions take from 1 share up to this many.
const SHARES_MAX: u32 = 999_999;

/// The greatest price of an order: 200,000.0000.
const PRICE_MAX: u64 = 2_000_000_000;

/// Which OUCH an exchange speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OuchVersion {
    /// 4.2: orders are known by token.
    V42,
    /// 5.0: orders are known by UserRefNum.
    V50,
}

/// A message of a client, as far as this exchange understands it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Inbound<'a> {
    Enter(Entered<'a>),
    /// An order is to have so many shares left.
    Cancel {
        key: Key,
        quantity: u32,
    },
    Query,
    Other,
}

/// How a client calls an order later on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Token([u8; 14]),
    Reference(u32),
}

/// A new order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entered<'a> {
    pub message: &'a [u8],
    pub key: Key,
    /// The token, or the ClOrdID.
    pub id: [u8; 14],
    pub side: Option<Side>,
    pub symbol: Ascii<8>,
    pub price: u64,
    pub quantity: u32,
    /// Whether nothing of it may stay.
    pub is_immediate: bool,
}

impl Entered<'_> {
    /// Whether its fields make sense.
    pub fn is_good(&self) -> bool {
        let symbol = self.symbol.trimmed();
        self.side.is_some()
            && (1..=SHARES_MAX).contains(&self.quantity)
            && (1..=PRICE_MAX).contains(&self.price)
            && !symbol.is_empty()
            && symbol.iter().all(u8::is_ascii_graphic)
            && self.id.trim_ascii_end().iter().all(u8::is_ascii_alphanumeric)
            && !self.id.trim_ascii_end().is_empty()
    }
}

fn side(code: Code) -> Option<Side> {
    match code.0 {
        b'B' => Some(Side::Buy),
        b'S' => Some(Side::Sell),
        b'T' | b'E' => Some(Side::SellShort),
        _ => None,
    }
}

impl OuchVersion {
    /// Reads a message of a client.
    ///
    /// # Errors
    /// When it is shorter than its type.
    pub(super) fn inbound(self, message: &[u8]) -> Result<Inbound<'_>, Error> {
        match self {
            OuchVersion::V42 => inbound_42(message),
            OuchVersion::V50 => inbound_50(message),
        }
    }
}

fn inbound_42(message: &[u8]) -> Result<Inbound<'_>, Error> {
    use ouch42::Inbound as In;
    Ok(match In::decode(message)? {
        In::EnterOrder(order) => Inbound::Enter(Entered {
            message,
            key: Key::Token(order.order_token().0),
            id: order.order_token().0,
            side: side(order.buy_sell()),
            symbol: order.stock(),
            price: u64::from(order.price().0),
            quantity: order.shares(),
            is_immediate: order.time_in_force() == ouch42::IMMEDIATE_OR_CANCEL,
        }),
        In::CancelOrder(cancel) => {
            let key = Key::Token(cancel.order_token().0);
            Inbound::Cancel { key, quantity: cancel.shares() }
        }
        _ => Inbound::Other,
    })
}

fn inbound_50(message: &[u8]) -> Result<Inbound<'_>, Error> {
    use ouch50::Inbound as In;
    Ok(match In::decode(message)? {
        In::EnterOrder(order) => {
            order.appendage()?.find_map(Result::err).map_or(Ok(()), Err)?;
            Inbound::Enter(Entered {
                message,
                key: Key::Reference(order.user_ref_num()),
                id: order.cl_ord_id().0,
                side: side(order.side()),
                symbol: order.symbol(),
                price: order.price().0,
                quantity: order.quantity(),
                is_immediate: order.time_in_force() == b'3',
            })
        }
        In::CancelOrder(cancel) => {
            let key = Key::Reference(cancel.user_ref_num());
            Inbound::Cancel { key, quantity: cancel.quantity() }
        }
        In::AccountQuery(_) => Inbound::Query,
        _ => Inbound::Other,
    })
}

/// When something is said: the exchange's day begins at midnight UTC.
pub(super) fn since_midnight(now_ns: u64) -> SinceMidnight<8> {
    SinceMidnight(now_ns % 86_400_000_000_000)
}

/// Says that an order was accepted, with its own fields.
pub(super) fn accepted(order: &Entered<'_>, reference: u64, now_ns: u64) -> Vec<u8> {
    let time = since_midnight(now_ns);
    if let (Key::Token(_), Ok(entered)) = (order.key, ouch42::EnterOrder::parse(order.message)) {
        let accepted = ouch42::AcceptedBuilder::new()
            .timestamp(time)
            .order_token(entered.order_token())
            .buy_sell(entered.buy_sell())
            .shares(entered.shares())
            .stock(entered.stock())
            .price(entered.price())
            .time_in_force(entered.time_in_force())
            .firm(entered.firm())
            .display(entered.display())
            .order_reference_number(reference)
            .capacity(entered.capacity())
            .intermarket_sweep_eligibility(entered.intermarket_sweep_eligibility())
            .minimum_quantity(entered.minimum_quantity())
            .cross_type(entered.cross_type())
            .order_state(Code(b'L'))
            .bbo_weight_indicator(Code(b' '));
        return accepted.as_bytes().to_vec();
    }
    let Ok(entered) = ouch50::EnterOrder::parse(order.message) else { return Vec::new() };
    let accepted = ouch50::OrderAcceptedBuilder::new()
        .timestamp(time)
        .user_ref_num(entered.user_ref_num())
        .side(entered.side())
        .quantity(entered.quantity())
        .symbol(entered.symbol())
        .price(entered.price())
        .time_in_force(entered.time_in_force())
        .display(entered.display())
        .order_reference_number(reference)
        .capacity(entered.capacity())
        .inter_market_sweep_eligibility(entered.inter_market_sweep_eligibility())
        .cross_type(entered.cross_type())
        .order_state(Code(b'L'))
        .cl_ord_id(entered.cl_ord_id())
        .appendage_length(0);
    accepted.as_bytes().to_vec()
}

/// Says that an order was executed, whole.
pub(super) fn executed(order: &Entered<'_>, number: u64, now_ns: u64) -> Vec<u8> {
    match order.key {
        Key::Token(token) => ouch42::ExecutedBuilder::new()
            .timestamp(since_midnight(now_ns))
            .order_token(Ascii(token))
            .executed_shares(order.quantity)
            .execution_price(Price(u32::try_from(order.price).unwrap_or(u32::MAX)))
            .liquidity_flag(Code(b'R'))
            .match_number(number)
            .as_bytes()
            .to_vec(),
        Key::Reference(reference) => ouch50::OrderExecutedBuilder::new()
            .timestamp(since_midnight(now_ns))
            .user_ref_num(reference)
            .quantity(order.quantity)
            .price(Price(order.price))
            .liquidity_flag(Code(b'R'))
            .match_number(number)
            .appendage_length(0)
            .as_bytes()
            .to_vec(),
    }
}

/// Says that so much of an order is gone.
pub(super) fn canceled(key: Key, quantity: u32, reason: u8, now_ns: u64) -> Vec<u8> {
    match key {
        Key::Token(token) => ouch42::CanceledBuilder::new()
            .timestamp(since_midnight(now_ns))
            .order_token(Ascii(token))
            .decrement_shares(quantity)
            .reason(Code(reason))
            .as_bytes()
            .to_vec(),
        Key::Reference(reference) => ouch50::OrderCanceledBuilder::new()
            .timestamp(since_midnight(now_ns))
            .user_ref_num(reference)
            .quantity(quantity)
            .reason(Code(reason))
            .as_bytes()
            .to_vec(),
    }
}

/// Says that an order was not accepted.
pub(super) fn rejected(order: &Entered<'_>, now_ns: u64) -> Vec<u8> {
    match order.key {
        Key::Token(token) => ouch42::RejectedBuilder::new()
            .timestamp(since_midnight(now_ns))
            .order_token(Ascii(token))
            .reason(Code(b'O'))
            .as_bytes()
            .to_vec(),
        Key::Reference(reference) => ouch50::RejectedBuilder::new()
            .timestamp(since_midnight(now_ns))
            .user_ref_num(reference)
            .reason(1)
            .cl_ord_id(Ascii(order.id))
            .as_bytes()
            .to_vec(),
    }
}

/// Says which UserRefNum is next.
pub(super) fn next_reference(next: u32, now_ns: u64) -> Vec<u8> {
    ouch50::AccountQueryResponseBuilder::new()
        .timestamp(since_midnight(now_ns))
        .next_user_ref_num(next)
        .as_bytes()
        .to_vec()
}
