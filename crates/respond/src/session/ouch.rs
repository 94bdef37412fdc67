//! What OUCH 4.2 and 5.0 say of orders, in the words of [`Event`](crate::Event).

use crate::format::order_number;
use crate::order::{EventKind, Scale};
use tickwire_market::{Code, Error, ouch42, ouch50};

/// Which OUCH a session speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// 4.2: orders are known by token.
    V42,
    /// 5.0: orders are known by UserRefNum.
    V50,
}

/// How an exchange calls an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Number(u64),
    /// With the number, where the message says both.
    Reference(u32, Option<u64>),
    /// A token that is none of ours.
    Foreign,
}

/// A message of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Report {
    /// An order was accepted with that quantity; what is dead is gone at once.
    Accepted { key: Key, quantity: u32, is_dead: bool },
    /// Anything else that became of one.
    Order { key: Key, kind: EventKind },
    /// OUCH 5.0: the next number that may be used.
    NextReference(u32),
    /// An execution was broken or corrected, after the fact.
    Correction,
    /// Nothing that changes what an order is worth to us.
    Other,
}

impl Version {
    /// Reads a message.
    ///
    /// # Errors
    /// When it is shorter than its type.
    pub fn report(self, message: &[u8], scale: Scale) -> Result<Report, Error> {
        match self {
            Version::V42 => report_42(message, scale),
            Version::V50 => report_50(message, scale),
        }
    }
}

fn report_42(message: &[u8], scale: Scale) -> Result<Report, Error> {
    use ouch42::Outbound as Out;
    let key = |token: ouch42::Token| order_number(&token.0).map_or(Key::Foreign, Key::Number);
    let executed = |token, quantity, price: tickwire_market::Price4| {
        let price = price_in(scale, u64::from(price.0));
        Report::Order { key: key(token), kind: EventKind::Executed { quantity, price } }
    };
    let canceled =
        |token, quantity| Report::Order { key: key(token), kind: EventKind::Canceled { quantity } };
    Ok(match Out::decode(message)? {
        Out::Accepted(said) => Report::Accepted {
            key: key(said.order_token()),
            quantity: said.shares(),
            is_dead: is_dead(said.order_state()),
        },
        Out::Executed(said) => {
            executed(said.order_token(), said.executed_shares(), said.execution_price())
        }
        Out::ExecutedWithReferencePrice(said) => {
            executed(said.order_token(), said.executed_shares(), said.execution_price())
        }
        Out::Canceled(said) => canceled(said.order_token(), said.decrement_shares()),
        Out::AiqCanceled(said) => canceled(said.order_token(), said.decrement_shares()),
        Out::Rejected(said) => Report::Order {
            key: key(said.order_token()),
            kind: EventKind::Rejected(u16::from(said.reason().0)),
        },
        Out::BrokenTrade(_) | Out::TradeCorrection(_) => Report::Correction,
        _ => Report::Other,
    })
}

fn report_50(message: &[u8], scale: Scale) -> Result<Report, Error> {
    use ouch50::Outbound as Out;
    let order = |reference, kind| Report::Order { key: Key::Reference(reference, None), kind };
    Ok(match Out::decode(message)? {
        Out::OrderAccepted(said) => Report::Accepted {
            key: Key::Reference(said.user_ref_num(), order_number(&said.cl_ord_id().0)),
            quantity: said.quantity(),
            is_dead: is_dead(said.order_state()),
        },
        Out::OrderExecuted(said) => {
            let (quantity, price) = (said.quantity(), price_in(scale, said.price().0));
            order(said.user_ref_num(), EventKind::Executed { quantity, price })
        }
        Out::OrderCanceled(said) => {
            order(said.user_ref_num(), EventKind::Canceled { quantity: said.quantity() })
        }
        Out::AiqCanceled(said) => {
            order(said.user_ref_num(), EventKind::Canceled { quantity: said.decrement_shares() })
        }
        Out::Rejected(said) => Report::Order {
            key: Key::Reference(said.user_ref_num(), order_number(&said.cl_ord_id().0)),
            kind: EventKind::Rejected(said.reason()),
        },
        Out::AccountQueryResponse(said) => Report::NextReference(said.next_user_ref_num()),
        Out::BrokenTrade(_) => Report::Correction,
        _ => Report::Other,
    })
}

/// Accepted, and cancelled at once.
fn is_dead(state: Code) -> bool {
    state == b'D'
}

/// A price of four decimals in units of the scale. What no market has, such as more than 64 bits,
/// becomes the greatest.
fn price_in(scale: Scale, price: u64) -> i64 {
    let units = match scale.0.checked_sub(4) {
        Some(more) => price.saturating_mul(10_u64.saturating_pow(more)),
        None => price / 10_u64.pow(4 - scale.0),
    };
    i64::try_from(units).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tickwire_market::{Ascii, Price};

    const SCALE: Scale = Scale(6);
    const TOKEN: Ascii<14> = Ascii(*b"0000000000013 ");
    const KEY: Key = Key::Number(35);

    #[test]
    fn what_42_says() {
        let report = |bytes: &[u8]| Version::V42.report(bytes, SCALE).unwrap();
        let accepted = ouch42::AcceptedBuilder::new().order_token(TOKEN).shares(100);
        let live = accepted.order_state(Code(b'L'));
        let expected = Report::Accepted { key: KEY, quantity: 100, is_dead: false };
        assert_eq!(report(live.as_bytes()), expected);
        let dead = accepted.order_state(Code(b'D'));
        let expected = Report::Accepted { key: KEY, quantity: 100, is_dead: true };
        assert_eq!(report(dead.as_bytes()), expected);
        let executed = ouch42::ExecutedBuilder::new()
            .order_token(TOKEN)
            .executed_shares(60)
            .execution_price(Price(1_000_000));
        let kind = EventKind::Executed { quantity: 60, price: 100_000_000 };
        assert_eq!(report(executed.as_bytes()), Report::Order { key: KEY, kind });
        let referenced = ouch42::ExecutedWithReferencePriceBuilder::new()
            .order_token(TOKEN)
            .executed_shares(60)
            .execution_price(Price(1_000_000));
        assert_eq!(report(referenced.as_bytes()), Report::Order { key: KEY, kind });
        let kind = EventKind::Canceled { quantity: 40 };
        let canceled = ouch42::CanceledBuilder::new().order_token(TOKEN).decrement_shares(40);
        assert_eq!(report(canceled.as_bytes()), Report::Order { key: KEY, kind });
        let aiq = ouch42::AiqCanceledBuilder::new().order_token(TOKEN).decrement_shares(40);
        assert_eq!(report(aiq.as_bytes()), Report::Order { key: KEY, kind });
        let kind = EventKind::Rejected(u16::from(b'X'));
        let rejected = ouch42::RejectedBuilder::new().order_token(TOKEN).reason(Code(b'X'));
        assert_eq!(report(rejected.as_bytes()), Report::Order { key: KEY, kind });
        let foreign = ouch42::RejectedBuilder::new().order_token(Ascii(*b"ORD-1         "));
        let kind = EventKind::Rejected(0);
        let said = report(foreign.reason(Code(0)).as_bytes());
        assert_eq!(said, Report::Order { key: Key::Foreign, kind });
        assert_eq!(report(ouch42::BrokenTradeBuilder::new().as_bytes()), Report::Correction);
        assert_eq!(report(ouch42::TradeCorrectionBuilder::new().as_bytes()), Report::Correction);
        assert_eq!(report(ouch42::SystemEventBuilder::new().as_bytes()), Report::Other);
        assert_eq!(report(b"?what"), Report::Other);
        assert!(Version::V42.report(&live.as_bytes()[..65], SCALE).is_err());
        assert!(Version::V42.report(b"", SCALE).is_err());
    }

    #[test]
    fn what_50_says() {
        let report = |bytes: &[u8]| Version::V50.report(bytes, SCALE).unwrap();
        let key = Key::Reference(7, None);
        let accepted = ouch50::OrderAcceptedBuilder::new().user_ref_num(7).quantity(100);
        let expected = Report::Accepted { key, quantity: 100, is_dead: true };
        assert_eq!(report(accepted.order_state(Code(b'D')).as_bytes()), expected);
        let executed =
            ouch50::OrderExecutedBuilder::new().user_ref_num(7).quantity(1).price(Price(u64::MAX));
        let kind = EventKind::Executed { quantity: 1, price: i64::MAX };
        assert_eq!(report(executed.as_bytes()), Report::Order { key, kind });
        let kind = EventKind::Canceled { quantity: 40 };
        let canceled = ouch50::OrderCanceledBuilder::new().user_ref_num(7).quantity(40);
        assert_eq!(report(canceled.as_bytes()), Report::Order { key, kind });
        let aiq = ouch50::AiqCanceledBuilder::new().user_ref_num(7).decrement_shares(40);
        assert_eq!(report(aiq.as_bytes()), Report::Order { key, kind });
        let rejected = ouch50::RejectedBuilder::new().user_ref_num(7).reason(3);
        let kind = EventKind::Rejected(3);
        assert_eq!(report(rejected.as_bytes()), Report::Order { key, kind });
        let ours = rejected.cl_ord_id(TOKEN);
        let key = Key::Reference(7, Some(35));
        assert_eq!(report(ours.as_bytes()), Report::Order { key, kind });
        let response = ouch50::AccountQueryResponseBuilder::new().next_user_ref_num(8);
        assert_eq!(report(response.as_bytes()), Report::NextReference(8));
        assert_eq!(report(ouch50::BrokenTradeBuilder::new().as_bytes()), Report::Correction);
        assert_eq!(report(ouch50::OrderRestatedBuilder::new().as_bytes()), Report::Other);
    }

    #[test]
    fn prices_take_the_scale() {
        assert_eq!(price_in(Scale(4), 12), 12);
        assert_eq!(price_in(Scale(9), 12), 1_200_000);
        assert_eq!(price_in(Scale(2), 1_299), 12);
        assert_eq!(price_in(Scale(9), u64::MAX), i64::MAX);
    }
}
