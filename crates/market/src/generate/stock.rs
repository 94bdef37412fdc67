//! The orders of one stock, and where new ones come in.

use super::random::Random;
use crate::book::Side;

/// A cent: what prices are multiples of.
const TICK: u32 = 100;

/// The furthest that an order is put from the best price, in ticks.
const TICKS_MAX: u64 = 1 << 11;

/// Prices stay below: 100,000 dollars.
const PRICE_MAX: u32 = 1_000_000_000;

/// An order that the market still has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Live {
    pub(super) reference: u64,
    pub(super) price: u32,
    pub(super) shares: u32,
}

/// A stock.
#[derive(Clone, Debug)]
pub(super) struct Stock {
    /// Where its market is while it has no orders.
    reference_price: u32,
    /// Its orders, by side; the next to trade last.
    sides: [Vec<Live>; 2],
}

impl Stock {
    /// One that trades between 2 and 1,024 dollars.
    pub(super) fn new(random: &mut Random) -> Self {
        let dollars = 2 << random.below(9);
        let cents = dollars * 100 + random.below(dollars * 100);
        Stock { reference_price: cents as u32 * TICK, sides: [const { Vec::new() }; 2] }
    }

    /// The orders of one side, the next to trade last.
    pub(super) fn orders(&mut self, side: Side) -> &mut Vec<Live> {
        &mut self.sides[side as usize]
    }

    /// The best price of one side.
    pub(super) fn best(&self, side: Side) -> Option<u32> {
        self.sides[side as usize].last().map(|order| order.price)
    }

    /// Halfway between the best prices.
    pub(super) fn middle(&self) -> u32 {
        match (self.best(Side::Buy), self.best(Side::Sell)) {
            (Some(bid), Some(offer)) => (bid + offer) / 2,
            (one, other) => one.or(other).unwrap_or(self.reference_price),
        }
    }

    /// A price for a new order: near the best one, and never one that would trade.
    pub(super) fn price(&self, side: Side, random: &mut Random) -> u32 {
        // As ticks, and mirrored for offers, so that higher is better.
        let ticks = |price: u32| match side {
            Side::Buy => i64::from(price / TICK),
            Side::Sell => -i64::from(price / TICK),
        };
        let other = Side::BOTH[1 - side as usize];
        let limit = self.best(other).map(|price| ticks(price) - 1);
        let at = match (self.best(side).map(ticks), limit) {
            (Some(best), Some(limit)) if best < limit && random.chance(1, 8) => {
                best + 1 + random.power_law((limit - best) as u64) as i64
            }
            (Some(best), _) => best - random.power_law(TICKS_MAX) as i64,
            (None, _) => ticks(self.middle()) - 1 - random.power_law(TICKS_MAX) as i64,
        };
        let most = i64::from(PRICE_MAX / TICK);
        // There is always room for the other side.
        let (least, most) = if side == Side::Buy { (1, most - 1) } else { (-most, -2) };
        let at = at.min(limit.unwrap_or(most)).clamp(least, most);
        at.unsigned_abs() as u32 * TICK
    }

    /// Enters an order behind those of its price.
    pub(super) fn enter(&mut self, side: Side, order: Live) {
        let orders = self.orders(side);
        let worse = |other: &Live| match side {
            Side::Buy => other.price < order.price,
            Side::Sell => other.price > order.price,
        };
        let at = orders.partition_point(worse);
        orders.insert(at, order);
    }

    /// An order that its owner may change: mostly one near the best price. There must be one.
    pub(super) fn choose(&mut self, side: Side, random: &mut Random) -> usize {
        let last = self.orders(side).len() as u64 - 1;
        let from_best = match random.chance(3, 4) {
            true => random.power_law(last),
            false => random.below(last + 1),
        };
        (last - from_best) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_order_would_trade_when_it_comes() {
        let mut random = Random(3);
        let mut stock = Stock::new(&mut random);
        for reference in 0..20_000 {
            let side = Side::BOTH[random.below(2) as usize];
            if random.chance(1, 2) && !stock.orders(side).is_empty() {
                let at = stock.choose(side, &mut random);
                stock.orders(side).remove(at);
            } else {
                let price = stock.price(side, &mut random);
                stock.enter(side, Live { reference, price, shares: 1 });
            }
            if let (Some(bid), Some(offer)) = (stock.best(Side::Buy), stock.best(Side::Sell)) {
                assert!(bid < offer && offer <= PRICE_MAX && bid >= TICK);
            }
            let [bids, offers] = &stock.sides;
            assert!(bids.is_sorted_by_key(|order| order.price));
            assert!(offers.is_sorted_by(|a, b| a.price >= b.price));
        }
    }
}
