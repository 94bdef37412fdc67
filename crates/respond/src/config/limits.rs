//! Limits, and their defaults: tight, so that who needs more says so.

use super::hours;
use super::raw;
use super::reader::{Reader, Result};
use super::text::Text;
use crate::level1::NUMBER_MAX;
use crate::settings::{Hours, InstrumentSettings, Limits};
use std::num::NonZeroU64;
use tickwire_market::price::{self, Unreadable};
use toml::Spanned;

/// How many an order may be for.
const QUANTITY_MAX: u32 = 100;
/// What an order may be worth, in whole units of money.
const NOTIONAL_MAX: u64 = 10_000;
/// How far a price may be from the reference: five per cent.
const COLLAR_PPM: u32 = 50_000;
/// How great a position may become.
const POSITION_MAX: u64 = 1_000;
/// How old a frame may be.
pub(super) const FEED_AGE_MS_MAX: u32 = 100;
/// Prices are no farther away than ten times the reference: a greater number is a slip.
const COLLAR_PPM_MAX: i128 = 10_000_000;

/// What holds for all orders together.
pub(super) fn of_all(reader: &Reader<'_>, limits: &raw::Limits) -> Result<Limits> {
    let default = Limits::default();
    let orders_per_s = above_0(reader, "orders_per_s", &limits.orders_per_s)?;
    let in_flight_max = above_0(reader, "in_flight", &limits.in_flight)?;
    Ok(Limits {
        orders_per_s: orders_per_s.unwrap_or(default.orders_per_s),
        in_flight_max: in_flight_max.unwrap_or(default.in_flight_max),
        hours: hours_of(reader, limits)?,
    })
}

/// How old a frame may be, unless its feed says another.
pub(super) fn feed_age_ms(reader: &Reader<'_>, limits: &raw::Limits) -> Result<u32> {
    Ok(above_0(reader, "feed_age_ms", &limits.feed_age_ms)?.unwrap_or(FEED_AGE_MS_MAX))
}

/// What holds for instruments that say nothing else. Symbol and tick are of none.
pub(super) fn of_instruments(
    reader: &Reader<'_>,
    limits: &raw::Limits,
) -> Result<InstrumentSettings> {
    let default = InstrumentSettings {
        symbol: [b' '; 8],
        tick: NonZeroU64::MIN,
        quantity_max: QUANTITY_MAX,
        notional_max: NOTIONAL_MAX * 10_u64.pow(reader.scale.0),
        collar_ppm: COLLAR_PPM,
        position_max: POSITION_MAX,
    };
    let raw::Limits { quantity, notional, collar_percent, position, .. } = limits;
    of_instrument(reader, (quantity, notional, collar_percent, position), default)
}

/// Quantity, notional, collar and position of a table.
type Given<'r> = (
    &'r Option<Spanned<u32>>,
    &'r Option<Spanned<Text>>,
    &'r Option<Spanned<Text>>,
    &'r Option<Spanned<u32>>,
);

/// `default`, where nothing else is given.
pub(super) fn of_instrument(
    reader: &Reader<'_>,
    (quantity, notional, collar_percent, position): Given<'_>,
    default: InstrumentSettings,
) -> Result<InstrumentSettings> {
    let notional = notional.as_ref().map(|text| reader.price("notional", text)).transpose()?;
    let collar = collar_percent.as_ref().map(|text| collar_ppm(reader, text)).transpose()?;
    let quantity = above_0(reader, "quantity", quantity)?;
    let position = above_0(reader, "position", position)?;
    Ok(InstrumentSettings {
        symbol: default.symbol,
        tick: default.tick,
        quantity_max: quantity.unwrap_or(default.quantity_max),
        notional_max: notional.map_or(default.notional_max, |notional| notional as u64),
        collar_ppm: collar.unwrap_or(default.collar_ppm),
        position_max: position.map_or(default.position_max, u64::from),
    })
}

fn above_0(reader: &Reader<'_>, key: &str, given: &Option<Spanned<u32>>) -> Result<Option<u32>> {
    match given {
        None => Ok(None),
        Some(number) if *number.as_ref() > 0 => Ok(Some(*number.as_ref())),
        Some(number) => {
            let message = format!("{key} = 0 forbids every order: write enabled = false in rules");
            Err(reader.error(&number.span(), message))
        }
    }
}

/// Per cent, with at most four decimals, in millionths.
fn collar_ppm(reader: &Reader<'_>, text: &Spanned<Text>) -> Result<u32> {
    match price::parse(&text.as_ref().0, 4) {
        Ok(ppm) if (1..=COLLAR_PPM_MAX).contains(&ppm) => Ok(ppm as u32),
        _ => {
            let message = "collar_percent is 0.0001 to 1000, such as 5 or \"2.5\"";
            Err(reader.error(&text.span(), message))
        }
    }
}

fn hours_of(reader: &Reader<'_>, limits: &raw::Limits) -> Result<Option<Hours>> {
    let offset = limits.utc_offset.as_ref().map(|text| {
        hours::offset(text.as_ref()).map_err(|message| reader.error(&text.span(), message))
    });
    let utc_offset_s = offset.transpose()?.unwrap_or(0);
    let hours = limits.hours.as_ref().map(|text| {
        let hours = hours::hours(text.as_ref(), utc_offset_s);
        hours.map_err(|message| reader.error(&text.span(), message))
    });
    hours.transpose()
}

impl Reader<'_> {
    /// A price or an amount, above 0.
    pub(super) fn price(&self, key: &str, text: &Spanned<Text>) -> Result<i64> {
        let (digits, decimals) = (text.as_ref().0.as_str(), self.scale.0);
        let message = match price::parse(digits, decimals) {
            Ok(raw) if (1..=NUMBER_MAX.into()).contains(&raw) => return Ok(raw as i64),
            Ok(_) => format!("{key} is {digits}: it has to be above 0, and not beyond all reason"),
            Err(Unreadable::NotAPrice) => {
                format!("{key}: {digits:?} is no number: write it such as \"100.25\"")
            }
            Err(Unreadable::Decimals(count)) => format!(
                "{key}: {digits} has {count} decimals; prices have {decimals} here, since no feed \
                 and no target has more"
            ),
        };
        Err(self.error(&text.span(), message))
    }
}
