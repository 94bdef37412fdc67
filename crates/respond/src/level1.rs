//! What is known of an instrument's market: the last trade, the best bid and offer.

/// Numbers that rules work with are not beyond this, up or down: greater ones count as this. So no
/// sum of a few of them overflows 64 bits.
pub const NUMBER_MAX: i64 = 1 << 60;

/// What is known of a market, by its name in rules. Prices are in units of the
/// [`Scale`](crate::Scale).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Word {
    /// The highest bid.
    Bid,
    /// The lowest offer.
    Ask,
    /// How many are bid at that price.
    BidSize,
    /// How many are offered at that price.
    AskSize,
    /// Offer minus bid; negative in a crossed book.
    Spread,
    /// The price of the last trade.
    Last,
    /// How many were traded then.
    LastSize,
    /// The tick size of the instrument, which never changes.
    Tick,
}

const WORDS: usize = 8;

/// Not known: no message has said it.
const ABSENT: i64 = i64::MIN;

impl Word {
    /// All of them.
    pub const ALL: [Word; WORDS] = [
        Word::Bid,
        Word::Ask,
        Word::BidSize,
        Word::AskSize,
        Word::Spread,
        Word::Last,
        Word::LastSize,
        Word::Tick,
    ];

    /// Its name in rules.
    pub const fn name(self) -> &'static str {
        match self {
            Word::Bid => "bid",
            Word::Ask => "ask",
            Word::BidSize => "bid_size",
            Word::AskSize => "ask_size",
            Word::Spread => "spread",
            Word::Last => "last",
            Word::LastSize => "last_size",
            Word::Tick => "tick",
        }
    }
}

/// The market of an instrument as one feed tells it, after the last message and before it. A rule
/// or strategy sees it with the message at hand applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(align(64))]
pub struct Level1 {
    now: [i64; WORDS],
    before: [i64; WORDS],
}

impl Level1 {
    /// Nothing is known but the tick size.
    pub fn new(tick: i64) -> Self {
        let mut now = [ABSENT; WORDS];
        now[Word::Tick as usize] = tick;
        Level1 { now, before: now }
    }

    /// What it is now; `None` while nobody has said it.
    #[inline]
    pub fn now(&self, word: Word) -> Option<i64> {
        Some(self.now[word as usize]).filter(|value| *value != ABSENT)
    }

    /// What it was before the message at hand.
    #[inline]
    pub fn before(&self, word: Word) -> Option<i64> {
        Some(self.before[word as usize]).filter(|value| *value != ABSENT)
    }

    /// What the price of an order is held against: the last trade or, while there was none, the
    /// middle of the book.
    #[inline]
    pub fn reference(&self) -> Option<i64> {
        let middle = || Some((self.now(Word::Bid)? + self.now(Word::Ask)?) / 2);
        self.now(Word::Last).or_else(middle)
    }

    /// A message begins: what is known now is what was known before it.
    #[inline]
    pub fn begin(&mut self) {
        self.before = self.now;
    }

    /// A trade.
    #[inline]
    pub fn trade(&mut self, price: i64, size: u64) {
        self.set(Word::Last, price);
        self.set(Word::LastSize, size.min(NUMBER_MAX as u64) as i64);
    }

    /// The best bid and offer are these, each a price and how many; none where there is none.
    #[inline]
    pub fn quote(&mut self, bid: Option<(i64, u64)>, ask: Option<(i64, u64)>) {
        for (side, price, size) in
            [(bid, Word::Bid, Word::BidSize), (ask, Word::Ask, Word::AskSize)]
        {
            match side {
                Some((value, many)) => {
                    self.set(price, value);
                    self.set(size, many.min(NUMBER_MAX as u64) as i64);
                }
                None => {
                    self.now[price as usize] = ABSENT;
                    self.now[size as usize] = ABSENT;
                }
            }
        }
        let spread = self.now(Word::Ask).zip(self.now(Word::Bid)).map(|(ask, bid)| ask - bid);
        self.now[Word::Spread as usize] = spread.unwrap_or(ABSENT);
    }

    #[inline]
    fn set(&mut self, word: Word, value: i64) {
        self.now[word as usize] = value.clamp(-NUMBER_MAX, NUMBER_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_said_is_not_known() {
        let mut market = Level1::new(1);
        assert_eq!(Word::ALL.map(|word| market.now(word)), {
            let mut none = [None; WORDS];
            none[Word::Tick as usize] = Some(1);
            none
        });
        market.quote(Some((100, 5)), None);
        assert_eq!((market.now(Word::Bid), market.now(Word::Spread)), (Some(100), None));
        market.begin();
        market.quote(Some((101, 6)), Some((103, 7)));
        market.trade(102, 8);
        assert_eq!((market.now(Word::Spread), market.before(Word::Bid)), (Some(2), Some(100)));
        assert_eq!((market.now(Word::Last), market.before(Word::Last)), (Some(102), None));
        market.begin();
        market.quote(None, Some((103, 7)));
        assert_eq!((market.now(Word::BidSize), market.before(Word::BidSize)), (None, Some(6)));
    }

    #[test]
    fn numbers_have_a_limit() {
        let mut market = Level1::new(1);
        market.quote(Some((i64::MIN, u64::MAX)), Some((i64::MAX, 0)));
        assert_eq!(market.now(Word::Bid), Some(-NUMBER_MAX));
        assert_eq!(market.now(Word::BidSize), Some(NUMBER_MAX));
        assert_eq!(market.now(Word::Spread), Some(2 * NUMBER_MAX));
    }
}
