//! `--functional`: whether orders are what the documented run wants: the tick's symbol, a cent
//! above its price (by which they were found), 100 to buy, a time that makes sense, an id that none
//! had.

use std::collections::HashSet;
use tickwire_frame::Timestamp;
use tickwire_lab::{Message, TICK_SYMBOL};
use tickwire_market::nanonet::{BUY, big, little};

/// What each order is for.
const QUANTITY: u32 = 100;
/// An order's time is no farther from now, in nanoseconds.
const AWAY_NS_MAX: u64 = 60_000_000_000;
/// The most client order ids that are remembered: 16 bytes each.
const IDS_MAX: usize = 10_000_000;
/// The most orders that are shown.
const TOLD_MAX: u32 = 5;

/// Looks at orders.
#[derive(Debug)]
pub struct Functional {
    big: bool,
    ids: HashSet<[u8; 16]>,
    told: u32,
}

impl Functional {
    /// Of the orders that answer `message`.
    pub fn new(message: Message) -> Self {
        Functional { big: message == Message::TickBig, ids: HashSet::new(), told: 0 }
    }

    /// Whether an order is as expected; the first that are not are told of.
    pub fn is_right(&mut self, payload: &[u8]) -> bool {
        let wrong = self.fault(payload);
        if let Some(wrong) = &wrong
            && self.told < TOLD_MAX
        {
            self.told += 1;
            crate::exit::say(format_args!("tickwire: an order is wrong: {wrong}\n"));
        }
        wrong.is_none()
    }

    fn fault(&mut self, payload: &[u8]) -> Option<String> {
        macro_rules! fields {
            ($order:ident) => {
                $order::Order::parse(payload).map(|order| {
                    let (side, id) = (order.side(), order.client_order_id().0);
                    (order.symbol(), order.quantity(), side, order.timestamp(), id)
                })
            };
        }
        let fields = if self.big { fields!(big) } else { fields!(little) };
        let (symbol, quantity, side, timestamp, id) = match fields {
            Ok(fields) if payload.len() == little::Order::LEN => fields,
            Ok(_) => return Some(format!("it has {} bytes instead of 41", payload.len())),
            Err(error) => return Some(error.to_string()),
        };
        let away = timestamp.abs_diff(Timestamp::now().as_nanos());
        match () {
            () if symbol != TICK_SYMBOL => Some(format!("symbol {symbol}, not {TICK_SYMBOL}")),
            () if quantity != QUANTITY => Some(format!("quantity {quantity}, not {QUANTITY}")),
            () if side != BUY => Some(format!("side {side}, not {BUY} (buy)")),
            () if away > AWAY_NS_MAX => Some(format!("time {timestamp} is a minute from now")),
            () if id[0] == 0 => Some("it has no client order id".to_owned()),
            () if self.ids.len() < IDS_MAX && !self.ids.insert(id) => {
                let id = String::from_utf8_lossy(&id);
                Some(format!("client order id {} came before", id.trim_end_matches('\0')))
            }
            () => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tickwire_market::{NulText, Price};

    fn order(id: &str) -> little::OrderBuilder {
        little::OrderBuilder::new()
            .symbol(TICK_SYMBOL)
            .price(Price(10_000))
            .quantity(QUANTITY)
            .side(BUY)
            .timestamp(Timestamp::now().as_nanos())
            .client_order_id(NulText::new(id).unwrap())
    }

    #[test]
    fn each_field_is_looked_at() {
        let mut functional = Functional::new(Message::Tick);
        assert!(functional.is_right(order("A").as_bytes()));
        let wrong = [
            order("A"),
            order("B").quantity(101),
            order("C").side(1),
            order("D").timestamp(1),
            order(""),
        ];
        for order in wrong {
            assert!(!functional.is_right(order.as_bytes()), "{order:?}");
        }
        assert!(!functional.is_right(&order("E").as_bytes()[..40]));
        assert!(functional.is_right(order("F").as_bytes()));
    }
}
