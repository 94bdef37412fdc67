//! ITCH 5.0: instruments by their locates, which the messages of a day teach, and their books.

use super::{About, Layout, quote};
use crate::instruments::{Instruments, Symbol};
use crate::level1::Level1;
use tickwire_market::book::Change;
use tickwire_market::book::itch::Books;
use tickwire_market::book::orders::ORDERS_MAX;
use tickwire_market::itch50::Message;
use tickwire_market::{Message as Bytes, Protocol};

/// A locate of no instrument that is traded, or of none that has been named.
const NOBODY: u32 = u32::MAX;

#[derive(Clone, Debug)]
pub(super) struct Itch {
    layout: Layout,
    /// Instruments by their locates.
    locates: Vec<u32>,
    /// Of instruments that are traded only.
    books: Books,
    /// Whether the books are as the feed has them.
    believed: bool,
    factor: i64,
}

impl Itch {
    pub(super) fn new(factor: i64, orders: usize, late_join: bool) -> Self {
        Itch {
            layout: Layout::new(Protocol::Itch50, "stock"),
            locates: vec![NOBODY; 1 << 16],
            books: Books::new(orders, ORDERS_MAX),
            believed: late_join,
            factor,
        }
    }

    pub(super) fn lost(&mut self) {
        self.believed = false;
    }

    #[inline]
    pub(super) fn apply(
        &mut self,
        message: &Bytes<'_>,
        instruments: &Instruments,
        level1: &mut [Level1],
    ) -> About {
        let bytes = message.bytes;
        let Some(&key) = bytes.first() else { return About::Truncated };
        let len = self.layout.lens[usize::from(key)];
        if len == 0 {
            return self.of_all(bytes, level1);
        }
        if bytes.len() < usize::from(len) {
            return About::Truncated;
        }
        let locate = usize::from(u16::from_be_bytes([bytes[1], bytes[2]]));
        let at = usize::from(self.layout.symbols[usize::from(key)]);
        if at != 0
            && let Some(stock) = bytes[at..].first_chunk()
        {
            self.locates[locate] = instruments.find(*stock as Symbol).unwrap_or(NOBODY);
        }
        let number = self.locates[locate];
        let Some(market) = level1.get_mut(number as usize) else { return About::Other };
        market.begin();
        self.take(bytes, market);
        About::Instrument(number)
    }

    #[inline]
    fn take(&mut self, bytes: &[u8], market: &mut Level1) {
        // Its length has been looked at.
        let Ok(message) = Message::decode(bytes) else { return };
        let trade = match &message {
            Message::Trade(m) => Some((m.price().0, u64::from(m.shares()))),
            Message::CrossTrade(m) => {
                Some((m.cross_price().0, m.shares())).filter(|(_, shares)| *shares > 0)
            }
            Message::OrderExecutedWithPrice(m) => {
                Some((m.execution_price().0, m.executed_shares().into()))
            }
            Message::OrderExecuted(m) => {
                let order = self.books.orders().order(m.order_reference_number());
                // Prices of ITCH have 32 bits.
                order.map(|order| (order.price as u32, m.executed_shares().into()))
            }
            _ => None,
        };
        if let Some((price, shares)) = trade {
            market.trade(i64::from(price) * self.factor, shares);
        }
        if self.believed
            && let Change::Best { book } = self.books.apply(&message)
        {
            quote(market, self.books.orders().best(book), self.factor);
        }
    }

    /// A message about no instrument: the day may begin.
    #[cold]
    fn of_all(&mut self, bytes: &[u8], level1: &mut [Level1]) -> About {
        match Message::decode(bytes) {
            Ok(Message::Unknown { .. }) => return About::Unknown,
            Err(_) => return About::Truncated,
            Ok(Message::SystemEvent(event)) if event.event_code() == b'O' => {
                self.books.apply(&Message::SystemEvent(event));
                self.locates.fill(NOBODY);
                self.believed = true;
                level1.iter_mut().for_each(|market| market.quote(None, None));
            }
            Ok(_) => {}
        }
        About::Other
    }
}
