//! NanoNet's orders, in either order of bytes: nothing is ever said of them.

use super::{Answer, Exchange, Faults, Received, Tally};
use crate::format::ByteOrder;
use crate::order::Side;
use std::collections::HashSet;
use tickwire_market::nanonet;

/// Bytes of an order.
const ORDER_BYTES: usize = 41;

/// The most orders of a day: beyond, the exchange closes.
const ORDERS_MAX: u64 = 20_000_000;

/// An exchange that takes NanoNet's orders: each alone in a datagram, or one behind the other in a
/// stream.
#[derive(Debug)]
pub struct NanonetExchange {
    order: ByteOrder,
    is_stream: bool,
    faults: Faults,
    tally: Tally,
    ids: HashSet<[u8; 16]>,
    partial: Vec<u8>,
}

impl NanonetExchange {
    /// An exchange at the beginning of its day. Of the faults only
    /// [`disconnect_every`](Faults::disconnect_every) is possible, in a stream.
    pub fn new(order: ByteOrder, is_stream: bool, faults: Faults) -> Self {
        let (tally, ids, partial) = (Tally::default(), HashSet::new(), Vec::new());
        NanonetExchange { order, is_stream, faults, tally, ids, partial }
    }

    fn take(
        &mut self,
        bytes: &[u8; ORDER_BYTES],
        order: &mut dyn FnMut(Received),
    ) -> Result<(), String> {
        // The array is as long as an order.
        let Some(fields) = read(self.order, bytes) else { return Ok(()) };
        let (id, symbol, side) = (fields.id, fields.symbol.trim_ascii_end(), fields.side);
        let is_good = side <= nanonet::SELL
            && fields.price > 0
            && fields.quantity > 0
            && !symbol.is_empty()
            && symbol.iter().all(u8::is_ascii_graphic)
            && id[0] != 0
            && id[15] == 0;
        let answer = if !self.ids.insert(id) {
            self.tally.duplicates += 1;
            Answer::Duplicate
        } else if !is_good {
            self.tally.orders += 1;
            self.tally.bad_orders += 1;
            Answer::Rejected
        } else {
            self.tally.orders += 1;
            self.tally.accepted += 1;
            Answer::Accepted
        };
        order(Received {
            client_order_id: text(id.split(|byte| *byte == 0).next().unwrap_or(&id)),
            symbol: text(symbol),
            side: if side == nanonet::BUY { Side::Buy } else { Side::Sell },
            price: i64::from(fields.price),
            decimals: 2,
            quantity: fields.quantity,
            answer,
        });
        if self.tally.orders >= ORDERS_MAX {
            return Err(format!("the day has {ORDERS_MAX} orders: start another"));
        }
        let is_new = answer != Answer::Duplicate;
        if is_new && Faults::is_nth(self.tally.orders, self.faults.disconnect_every) {
            self.tally.cuts += 1;
            return Err("cut on purpose".to_owned());
        }
        Ok(())
    }
}

struct Fields {
    symbol: [u8; 8],
    price: u32,
    quantity: u32,
    side: u8,
    id: [u8; 16],
}

fn read(order: ByteOrder, bytes: &[u8]) -> Option<Fields> {
    macro_rules! fields {
        ($module:ident) => {{
            let order = nanonet::$module::Order::parse(bytes).ok()?;
            Some(Fields {
                symbol: order.symbol().0,
                price: order.price().0,
                quantity: order.quantity(),
                side: order.side(),
                id: order.client_order_id().0,
            })
        }};
    }
    match order {
        ByteOrder::Little => fields!(little),
        ByteOrder::Big => fields!(big),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Exchange for NanonetExchange {
    fn connected(&mut self, _now_ns: u64) {
        self.partial.clear();
        self.tally.logins += u64::from(self.is_stream);
    }

    fn disconnected(&mut self, _now_ns: u64) {
        // Half an order is what a sender's last moment looks like: no mistake.
        self.partial.clear();
    }

    fn received(
        &mut self,
        bytes: &[u8],
        _now_ns: u64,
        order: &mut dyn FnMut(Received),
    ) -> Result<(), String> {
        if !self.is_stream {
            match bytes.try_into() {
                Ok(bytes) => return self.take(bytes, order),
                Err(_) => self.tally.protocol_errors += 1,
            }
            return Ok(());
        }
        let mut stream = std::mem::take(&mut self.partial);
        stream.extend_from_slice(bytes);
        let (orders, rest) = stream.as_chunks();
        self.partial.extend_from_slice(rest);
        orders.iter().try_for_each(|bytes| self.take(bytes, order))
    }

    fn tick(&mut self, _now_ns: u64) -> Result<(), String> {
        Ok(())
    }

    fn output(&self) -> &[u8] {
        &[]
    }

    fn sent(&mut self, _bytes: usize) {}

    fn tally(&self) -> Tally {
        self.tally
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{Encoder, Format, client_order_id};
    use crate::order::{Intent, Order, Scale};

    fn order(order: ByteOrder, number: u64, quantity: u32) -> Vec<u8> {
        let side = Side::SellShort;
        let intent = Intent { rule: 0, instrument: 0, target: 0, side, price: 9_999, quantity };
        let bytes = Order { intent, symbol: *b"AAPL    ", number, at_ns: 0 };
        let mut out = vec![0; ORDER_BYTES];
        Encoder::new(&Format::nanonet(order), Scale(2)).encode(&bytes, &mut out).unwrap();
        out
    }

    #[test]
    fn orders_are_read_in_either_order_of_bytes_and_cut_anywhere() {
        for byte_order in [ByteOrder::Little, ByteOrder::Big] {
            for cut in 1..=ORDER_BYTES * 2 {
                let mut exchange = NanonetExchange::new(byte_order, true, Faults::default());
                let stream = [order(byte_order, 1, 100), order(byte_order, 2, 100)].concat();
                let mut seen = Vec::new();
                exchange.connected(0);
                for bytes in stream.chunks(cut) {
                    exchange.received(bytes, 0, &mut |order| seen.push(order)).unwrap();
                }
                let expected = [1, 2].map(|number| Received {
                    client_order_id: text(&client_order_id(number)),
                    symbol: "AAPL".into(),
                    side: Side::Sell,
                    price: 9_999,
                    decimals: 2,
                    quantity: 100,
                    answer: Answer::Accepted,
                });
                assert_eq!(seen, expected);
                assert_eq!((exchange.tally().accepted, exchange.tally().errors()), (2, 0));
            }
        }
    }

    #[test]
    fn what_is_wrong_is_counted() {
        let mut exchange = NanonetExchange::new(ByteOrder::Little, false, Faults::default());
        let mut answers = Vec::new();
        let good = order(ByteOrder::Little, 1, 100);
        let bad = order(ByteOrder::Little, 2, 0);
        for datagram in [&good[..], &good, &bad, &good[..40], b""] {
            exchange.received(datagram, 0, &mut |order| answers.push(order.answer)).unwrap();
        }
        assert_eq!(answers, [Answer::Accepted, Answer::Duplicate, Answer::Rejected]);
        let tally = exchange.tally();
        assert_eq!((tally.orders, tally.accepted, tally.errors()), (2, 1, 4));
        assert_eq!((tally.duplicates, tally.bad_orders, tally.protocol_errors), (1, 1, 2));
    }

    #[test]
    fn a_stream_is_cut_on_purpose() {
        let faults = Faults { disconnect_every: 2, ..Faults::default() };
        let mut exchange = NanonetExchange::new(ByteOrder::Little, true, faults);
        let stream = [1, 2, 3].map(|number| order(ByteOrder::Little, number, 1)).concat();
        let mut seen = 0;
        exchange.received(&stream, 0, &mut |_| seen += 1).unwrap_err();
        assert_eq!((seen, exchange.tally().cuts), (2, 1));
    }
}
