//! A day of a market in ITCH 5.0: see [`generate`](super).

use super::random::Random;
use super::stock::{Live, Stock};
use super::{
    BURST_DENSITY, BURST_MESSAGES_MAX, BUSIEST, ItchConfig, MIX, OPEN_NS, START_NS, STOCKS_MAX,
    WHOLE,
};
use crate::Price;
use crate::book::Side;
use crate::itch50;
use crate::wire::{Ascii, Code, SinceMidnight};

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    StartOfMessages,
    /// The directory, from this stock on.
    Directory(u16),
    StartOfSystemHours,
    /// All stocks trade, from this one on.
    Trading(u16),
    /// Orders before the opening; so many are to come.
    Opening(u32),
    Open,
    /// The last events, from this one on.
    Closing(usize),
}

/// Makes the messages of a day: first the stocks, then orders up to the opening, then trading,
/// until it is [closed](Itch::close).
#[derive(Clone, Debug)]
pub struct Itch {
    random: Random,
    phase: Phase,
    /// By locate, less 1.
    stocks: Vec<Stock>,
    names: Vec<itch50::Stock>,
    /// The locate of the busiest stock, of the next, and so on.
    by_rank: Vec<u16>,
    /// The weights of the ranks, summed up.
    weights: Vec<u64>,
    live_orders: u32,
    gap_ns: u64,
    burst_left: u64,
    now_ns: u64,
    reference: u64,
    match_number: u64,
    /// The message, in its length.
    message: [u8; 64],
    len: usize,
}

impl Itch {
    /// The day before its first message. More than [`STOCKS_MAX`] stocks are as many, none is one.
    pub fn new(config: ItchConfig) -> Self {
        let ItchConfig { seed, stocks, live_orders, gap_ns } = config;
        let count = stocks.clamp(1, STOCKS_MAX);
        let mut random = Random(seed);
        let stocks = (0..count).map(|_| Stock::new(&mut random)).collect();
        let mut by_rank: Vec<u16> = (1..=count).collect();
        for at in (1..by_rank.len()).rev() {
            by_rank.swap(at, random.below(at as u64 + 1) as usize);
        }
        let weight = |sum: &mut u64, rank: u64| {
            *sum += (1 << 32) / (rank + 10);
            Some(*sum)
        };
        Itch {
            random,
            phase: Phase::StartOfMessages,
            stocks,
            names: names(&by_rank),
            by_rank,
            weights: (0..u64::from(count)).scan(0, weight).collect(),
            live_orders,
            gap_ns,
            burst_left: 0,
            now_ns: START_NS,
            reference: 0,
            match_number: 0,
            message: [0; 64],
            len: 0,
        }
    }

    /// When the last message was, in nanoseconds since midnight.
    pub fn now_ns(&self) -> u64 {
        self.now_ns
    }

    /// Ends the day: the events that end it come next, then nothing.
    pub fn close(&mut self) {
        if !matches!(self.phase, Phase::Closing(_)) {
            self.phase = Phase::Closing(0);
        }
    }

    /// The next message; `None` when the day has ended.
    pub fn next_message(&mut self) -> Option<&[u8]> {
        match self.phase {
            Phase::StartOfMessages => self.event(b'O', Phase::Directory(1)),
            Phase::Directory(locate) => self.directory(locate),
            Phase::StartOfSystemHours => self.event(b'S', Phase::Trading(1)),
            Phase::Trading(locate) => self.trading(locate),
            Phase::Opening(0) => {
                self.now_ns = self.now_ns.max(OPEN_NS);
                self.event(b'Q', Phase::Open);
            }
            Phase::Opening(left) => self.opening(left),
            Phase::Open => self.open(),
            Phase::Closing(at) => {
                let &code = [b'M', b'E', b'C'].get(at)?;
                self.event(code, Phase::Closing(at + 1));
            }
        }
        Some(&self.message[..self.len])
    }

    fn put(&mut self, message: &[u8]) {
        self.len = message.len();
        self.message[..self.len].copy_from_slice(message);
    }

    fn time(&self) -> SinceMidnight<6> {
        SinceMidnight(self.now_ns)
    }

    fn event(&mut self, code: u8, next: Phase) {
        let event = itch50::SystemEventBuilder::new().timestamp(self.time());
        self.put(event.event_code(Code(code)).as_bytes());
        self.phase = next;
    }

    fn directory(&mut self, locate: u16) {
        let directory = itch50::StockDirectoryBuilder::new().stock_locate(locate);
        let directory = directory.timestamp(self.time()).stock(self.name(locate));
        let directory = directory.market_category(Code(b'Q')).round_lot_size(100);
        let directory = directory.financial_status_indicator(Code(b'N'));
        let directory = directory.round_lots_only(Code(b'N')).authenticity(Code(b'P'));
        self.put(directory.issue_classification(Code(b'C')).as_bytes());
        self.phase = match self.next_locate(locate) {
            Some(next) => Phase::Directory(next),
            None => Phase::StartOfSystemHours,
        };
    }

    fn trading(&mut self, locate: u16) {
        let action = itch50::StockTradingActionBuilder::new().stock_locate(locate);
        let action = action.timestamp(self.time()).stock(self.name(locate));
        self.put(action.trading_state(Code(b'T')).as_bytes());
        self.phase = match self.next_locate(locate) {
            Some(next) => Phase::Trading(next),
            None => Phase::Opening(self.live_orders),
        };
    }

    fn next_locate(&self, locate: u16) -> Option<u16> {
        (usize::from(locate) < self.stocks.len()).then_some(locate + 1)
    }

    fn name(&self, locate: u16) -> itch50::Stock {
        self.names[usize::from(locate) - 1]
    }

    /// A stock, the busier the more often.
    fn busy(&mut self) -> u16 {
        let all = self.weights[self.weights.len() - 1];
        let at = self.random.below(all);
        self.by_rank[self.weights.partition_point(|&sum| sum <= at)]
    }

    fn opening(&mut self, left: u32) {
        let locate = match self.random.chance(1, 4) {
            true => self.busy(),
            false => self.random.below(self.stocks.len() as u64) as u16 + 1,
        };
        let gap = OPEN_NS.saturating_sub(self.now_ns) / u64::from(left);
        self.now_ns += self.random.wait(gap) / 2;
        self.add(locate, b'A');
        self.phase = Phase::Opening(left - 1);
    }

    fn open(&mut self) {
        self.now_ns += self.gap();
        let (locate, letter) = (self.busy(), self.letter());
        let side = Side::BOTH[self.random.below(2) as usize];
        let is_empty = self.stock(locate).orders(side).is_empty();
        match letter {
            b'P' => self.trade(locate),
            b'D' if !is_empty => self.delete(locate, side),
            b'U' if !is_empty => self.replace(locate, side),
            b'X' if !is_empty => self.cancel(locate, side),
            b'E' | b'C' if !is_empty => self.execute(locate, side, letter),
            b'F' => self.add(locate, b'F'),
            // Also where there is no order that anything could become of.
            _ => self.add(locate, b'A'),
        }
    }

    /// The type of the next message.
    fn letter(&mut self) -> u8 {
        let mut share = self.random.below(WHOLE);
        for (letter, of) in MIX {
            match share.checked_sub(of) {
                Some(left) => share = left,
                None => return letter,
            }
        }
        MIX[0].0
    }

    /// The time to the next message. A third of all is in bursts, which take hardly any of it.
    fn gap(&mut self) -> u64 {
        if self.burst_left > 0 {
            self.burst_left -= 1;
            return self.random.wait(self.gap_ns / BURST_DENSITY);
        }
        if self.random.chance(1, BURST_MESSAGES_MAX) {
            self.burst_left = 1 + self.random.below(BURST_MESSAGES_MAX);
        }
        self.random.wait(self.gap_ns * 3 / 2)
    }

    fn stock(&mut self, locate: u16) -> &mut Stock {
        &mut self.stocks[usize::from(locate) - 1]
    }

    /// A new order, not yet entered: its number, price and shares.
    fn order(&mut self, locate: u16, side: Side) -> Live {
        self.reference += 1 + self.random.below(4);
        let price = self.stocks[usize::from(locate) - 1].price(side, &mut self.random);
        let shares = match self.random.below(20) {
            0..10 => 100,
            10..15 => 1 + self.random.below(99),
            15..19 => 100 * (2 + self.random.below(9)),
            _ => 100 * (1 + self.random.power_law(199)),
        };
        Live { reference: self.reference, price, shares: shares as u32 }
    }

    fn add(&mut self, locate: u16, letter: u8) {
        let side = Side::BOTH[self.random.below(2) as usize];
        let order = self.order(locate, side);
        self.stock(locate).enter(side, order);
        let (name, time) = (self.name(locate), self.time());
        macro_rules! built {
            ($builder:ident) => {
                itch50::$builder::new()
                    .stock_locate(locate)
                    .timestamp(time)
                    .order_reference_number(order.reference)
                    .buy_sell_indicator(Code(side.letter() as u8))
                    .shares(order.shares)
                    .stock(name)
                    .price(Price(order.price))
            };
        }
        match letter {
            b'F' => {
                let add = built!(AddOrderWithMpidBuilder).attribution(Ascii(*b"TICK"));
                self.put(add.as_bytes());
            }
            _ => self.put(built!(AddOrderBuilder).as_bytes()),
        }
    }

    fn delete(&mut self, locate: u16, side: Side) {
        let order = self.take_out(locate, side);
        let delete = itch50::OrderDeleteBuilder::new().stock_locate(locate);
        let delete = delete.timestamp(self.time()).order_reference_number(order.reference);
        self.put(delete.as_bytes());
    }

    fn replace(&mut self, locate: u16, side: Side) {
        let old = self.take_out(locate, side);
        let new = self.order(locate, side);
        self.stock(locate).enter(side, new);
        let replace = itch50::OrderReplaceBuilder::new().stock_locate(locate);
        let replace = replace.timestamp(self.time()).shares(new.shares).price(Price(new.price));
        let replace = replace.original_order_reference_number(old.reference);
        self.put(replace.new_order_reference_number(new.reference).as_bytes());
    }

    /// Cancels a part of an order; all of one that has a single share.
    fn cancel(&mut self, locate: u16, side: Side) {
        let at = self.choose(locate, side);
        let order = self.stock(locate).orders(side)[at];
        let cancelled = order.shares.div_ceil(2);
        self.reduce(locate, side, at, cancelled);
        let cancel = itch50::OrderCancelBuilder::new().stock_locate(locate);
        let cancel = cancel.timestamp(self.time()).order_reference_number(order.reference);
        self.put(cancel.cancelled_shares(cancelled).as_bytes());
    }

    /// Executes the first order at the best price: mostly all of it.
    fn execute(&mut self, locate: u16, side: Side, letter: u8) {
        let at = self.stock(locate).orders(side).len() - 1;
        let Live { reference, price, shares } = self.stock(locate).orders(side)[at];
        let executed = match self.random.chance(79, 100) {
            true => shares,
            false => 1 + self.random.below(shares.into()) as u32,
        };
        self.reduce(locate, side, at, executed);
        self.match_number += 1;
        let (time, match_number) = (self.time(), self.match_number);
        macro_rules! built {
            ($builder:ident) => {
                itch50::$builder::new()
                    .stock_locate(locate)
                    .timestamp(time)
                    .order_reference_number(reference)
                    .executed_shares(executed)
                    .match_number(match_number)
            };
        }
        match letter {
            b'C' => {
                let executed = built!(OrderExecutedWithPriceBuilder).printable(Code(b'Y'));
                self.put(executed.execution_price(Price(price)).as_bytes());
            }
            _ => self.put(built!(OrderExecutedBuilder).as_bytes()),
        }
    }

    /// A trade against an order that was not displayed.
    fn trade(&mut self, locate: u16) {
        self.match_number += 1;
        let price = self.stock(locate).middle();
        let trade = itch50::TradeBuilder::new().stock_locate(locate).timestamp(self.time());
        let trade = trade.buy_sell_indicator(Code(b'B')).shares(100).stock(self.name(locate));
        let trade = trade.price(Price(price)).match_number(self.match_number);
        self.put(trade.as_bytes());
    }

    fn choose(&mut self, locate: u16, side: Side) -> usize {
        self.stocks[usize::from(locate) - 1].choose(side, &mut self.random)
    }

    fn take_out(&mut self, locate: u16, side: Side) -> Live {
        let at = self.choose(locate, side);
        self.stock(locate).orders(side).remove(at)
    }

    fn reduce(&mut self, locate: u16, side: Side, at: usize, shares: u32) {
        let orders = self.stock(locate).orders(side);
        orders[at].shares -= shares;
        if orders[at].shares == 0 {
            orders.remove(at);
        }
    }
}

/// The symbols of all stocks, by locate less 1.
fn names(by_rank: &[u16]) -> Vec<itch50::Stock> {
    let letter = |number: usize| b'A' + (number % 26) as u8;
    let others = 0..by_rank.len();
    let others = others.map(|n| [b'Z', letter(n / 676), letter(n / 26), letter(n)]);
    let mut names: Vec<itch50::Stock> =
        others.map(|[a, b, c, d]| Ascii([a, b, c, d, b' ', b' ', b' ', b' '])).collect();
    for (&locate, name) in by_rank.iter().zip(BUSIEST) {
        names[usize::from(locate) - 1] = Ascii::new(name).expect("at most eight letters");
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::itch::{Books, Counts};
    use crate::book::orders;
    use crate::itch50::Message;

    #[test]
    fn a_day_has_a_beginning_its_mix_and_an_end() {
        let config = ItchConfig { stocks: 50, live_orders: 5_000, ..ItchConfig::default() };
        let (mut itch, mut again) = (Itch::new(config), Itch::new(config));
        let mut books = Books::new(0, 20_000);
        let (mut by_type, mut now_ns) = ([0_u64; 256], 0);
        let open = 3 + 50 + 50 + 5_000;
        let all = open + 100_000;
        for at in 0..all {
            let bytes = itch.next_message().unwrap().to_vec();
            assert_eq!(again.next_message(), Some(&bytes[..]), "the seed decides alone");
            let message = Message::decode(&bytes).unwrap();
            assert_eq!(Message::len_of(bytes[0]), Some(bytes.len()));
            if at == open - 1 {
                assert_eq!((books.orders().live_orders(), itch.now_ns()), (5_000, OPEN_NS));
            }
            by_type[usize::from(bytes[0])] += u64::from(at >= open);
            books.apply(&message);
            assert!(itch.now_ns() >= now_ns);
            now_ns = itch.now_ns();
        }
        let counts = Counts { messages: all, ..Counts::default() };
        assert_eq!((books.counts(), books.unresolved().count()), (counts, 0));
        assert_eq!(books.orders().counts(), orders::Counts::default(), "not crossed, not locked");
        assert!((4_000..6_000).contains(&books.orders().live_orders()));
        for (letter, of) in MIX {
            let (found, expected) = (by_type[usize::from(letter)], of * 100_000 / WHOLE);
            let spread = 4 * expected.isqrt() + 4;
            assert!(found.abs_diff(expected) <= spread, "{}: {found}", char::from(letter));
        }
        let gap_ns = (now_ns - OPEN_NS) / 100_000;
        assert!((18_000..22_000).contains(&gap_ns), "{gap_ns}");
        let apple = books.locate(Ascii(*b"AAPL    ")).unwrap();
        assert_eq!(books.trading_state(apple), Code(b'T'));
        itch.close();
        let mut end = String::new();
        while let Some(message) = itch.next_message() {
            end.push(char::from(message[11]));
        }
        assert_eq!(end, "MEC");
    }

    #[test]
    fn a_small_and_a_large_market_have_their_stocks() {
        for (stocks, count) in [(0, 1), (u16::MAX, STOCKS_MAX)] {
            let mut itch =
                Itch::new(ItchConfig { stocks, live_orders: 0, ..ItchConfig::default() });
            let mut names = std::collections::HashSet::new();
            for _ in 0..=count {
                let bytes = itch.next_message().unwrap();
                if let Ok(Message::StockDirectory(directory)) = Message::decode(bytes) {
                    names.insert(directory.stock());
                }
            }
            assert_eq!(names.len(), usize::from(count));
        }
    }
}
