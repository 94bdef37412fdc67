//! Enter Order of OUCH 4.2 and 5.0: what is the same in all orders of a target.

use super::hole::{Fill, Layout, Source};
use super::{Format, ORDER_BYTES_MAX};
use tickwire_market::{Ascii, Code, ouch42, ouch50};

/// Both versions take from 1 share up to this many.
const SHARES_MAX: u64 = 999_999;

/// The greatest price: 200,000.0000. What is beyond says "market" or nothing.
const PRICE_MAX: u64 = 2_000_000_000;

/// Decimals of a price, in both versions.
const DECIMALS: u32 = 4;

/// To buy, to sell, to sell short.
const SIDES: [u8; 3] = *b"BST";

/// A setting that is none of the specification.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OuchError {
    /// A code is no printable character.
    #[error("{name} is one character of the specification, such as {example:?}")]
    Code {
        /// Which.
        name: &'static str,
        /// One that would do.
        example: char,
    },
    /// The firm is too long, or not ASCII.
    #[error("firm is at most four characters of ASCII; leave it out for that of the port")]
    Firm,
    /// The appendage is not whole elements.
    #[error("the appendage is not made of elements of length, tag and value: {0}")]
    Appendage(tickwire_market::Error),
    /// The appendage is too long.
    #[error("the appendage has {0} bytes: an order has at most {ORDER_BYTES_MAX} in all")]
    AppendageTooLong(usize),
}

/// What all orders of a target have in common in OUCH 4.2. The default is a displayed order of the
/// firm's own, immediate or cancel: nothing of it stays in the market.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ouch42 {
    /// Seconds, or [`ouch42::IMMEDIATE_OR_CANCEL`], [`ouch42::MARKET_HOURS`],
    /// [`ouch42::SYSTEM_HOURS`].
    pub time_in_force: u32,
    /// At most four characters; empty: that of the port.
    pub firm: String,
    /// `Y` displayed, `N` not, `P` post only, and others.
    pub display: char,
    /// `A` agency, `P` principal, `R` riskless principal, `O` other.
    pub capacity: char,
    /// Whether it may be executed though another market has a better price (intermarket sweep).
    pub intermarket_sweep: bool,
    /// The least to be executed at once; 0 any.
    pub minimum_quantity: u32,
    /// `N` no cross, `O` opening, `C` closing, and others.
    pub cross_type: char,
    /// `R` retail, `N` not, space: as the port is set.
    pub customer_type: char,
}

impl Default for Ouch42 {
    fn default() -> Self {
        Ouch42 {
            time_in_force: ouch42::IMMEDIATE_OR_CANCEL,
            firm: String::new(),
            display: 'Y',
            capacity: 'P',
            intermarket_sweep: false,
            minimum_quantity: 0,
            cross_type: 'N',
            customer_type: ' ',
        }
    }
}

/// What all orders of a target have in common in OUCH 5.0. The default is as that of [`Ouch42`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ouch50 {
    /// `0` day, `3` immediate or cancel, `5` extended hours, `6` until a time of the appendage,
    /// `E` after hours.
    pub time_in_force: char,
    /// `Y` displayed, `N` not, `A` with the firm's name.
    pub display: char,
    /// `A` agency, `P` principal, `R` riskless principal, `O` other.
    pub capacity: char,
    /// Whether it may be executed though another market has a better price (intermarket sweep).
    pub intermarket_sweep: bool,
    /// `N` no cross, `O` opening, `C` closing, and others.
    pub cross_type: char,
    /// Optional fields, as they stand in the message: elements of length, tag and value, such as
    /// `05 02 "LIME"` for the firm LIME (see [`ouch50::tag`]).
    pub appendage: Vec<u8>,
}

impl Default for Ouch50 {
    fn default() -> Self {
        Ouch50 {
            time_in_force: '3',
            display: 'Y',
            capacity: 'P',
            intermarket_sweep: false,
            cross_type: 'N',
            appendage: Vec::new(),
        }
    }
}

pub(super) fn enter_order_42(settings: &Ouch42) -> Result<Format, OuchError> {
    let firm = Ascii::new(&settings.firm).ok_or(OuchError::Firm)?;
    // The specification's own table lays out what does not change; the holes go over it.
    let constant = ouch42::EnterOrderBuilder::new()
        .time_in_force(settings.time_in_force)
        .firm(firm)
        .display(code("display", settings.display, 'Y')?)
        .capacity(code("capacity", settings.capacity, 'P')?)
        .intermarket_sweep_eligibility(yes_no(settings.intermarket_sweep))
        .minimum_quantity(settings.minimum_quantity)
        .cross_type(code("cross_type", settings.cross_type, 'N')?)
        .customer_type(code("customer_type", settings.customer_type, 'N')?);
    let mut format = Format::empty();
    format.bytes(&constant.as_bytes()[..1]);
    format.client_order_id(14, b' ');
    format.hole(1, Fill::Side(SIDES));
    format.hole(4, shares());
    format.hole(8, Fill::Symbol);
    format.hole(4, price());
    format.bytes(&constant.as_bytes()[format.order_bytes()..]);
    Ok(format)
}

pub(super) fn enter_order_50(settings: &Ouch50) -> Result<Format, OuchError> {
    let appendage = &settings.appendage;
    let constant = ouch50::EnterOrderBuilder::new()
        .time_in_force(code("time_in_force", settings.time_in_force, '3')?)
        .display(code("display", settings.display, 'Y')?)
        .capacity(code("capacity", settings.capacity, 'P')?)
        .inter_market_sweep_eligibility(yes_no(settings.intermarket_sweep))
        .cross_type(code("cross_type", settings.cross_type, 'N')?)
        .appendage_length(u16::try_from(appendage.len()).unwrap_or(u16::MAX));
    let fixed = constant.as_bytes();
    if fixed.len() + appendage.len() > ORDER_BYTES_MAX {
        return Err(OuchError::AppendageTooLong(appendage.len()));
    }
    let mut format = Format::empty();
    format.bytes(&fixed[..5]);
    format.hole(1, Fill::Side(SIDES));
    format.hole(4, shares());
    format.hole(8, Fill::Symbol);
    format.hole(8, price());
    format.bytes(&fixed[format.order_bytes()..31]);
    format.client_order_id(14, b' ');
    format.bytes(&fixed[format.order_bytes()..]);
    format.bytes(appendage);
    let whole = ouch50::EnterOrder::parse(&format.bytes).and_then(|order| order.appendage());
    let elements = whole.map_err(OuchError::Appendage)?;
    elements.filter_map(Result::err).next().map_or(Ok(format), |e| Err(OuchError::Appendage(e)))
}

fn shares() -> Fill {
    Fill::Number { of: Source::Quantity, layout: Layout::Big, max: SHARES_MAX }
}

fn price() -> Fill {
    let of = Source::Price { decimals: DECIMALS };
    Fill::Number { of, layout: Layout::Big, max: PRICE_MAX }
}

fn code(name: &'static str, value: char, example: char) -> Result<Code, OuchError> {
    let printable = value == ' ' || value.is_ascii_graphic();
    printable.then_some(Code(value as u8)).ok_or(OuchError::Code { name, example })
}

fn yes_no(yes: bool) -> Code {
    Code(if yes { b'Y' } else { b'N' })
}
