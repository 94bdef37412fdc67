//! Messages built by hand, and what is known of the market after each.

use super::*;
use crate::level1::Word;
use tickwire_market::iex::{common, deep, deep_plus, tops};
use tickwire_market::itch50::{self as itch, Stock};
use tickwire_market::{Ascii, Code, Price};

const APPLE: Ascii<8> = Ascii(*b"AAPL    ");
const OTHER: Ascii<8> = Ascii(*b"MSFT    ");

fn config(protocol: &str, late_join: bool) -> Config {
    let text = format!(
        r#"
        state = "s"
        [[feed]]
        name = "f"
        protocol = "{protocol}"
        listen = "239.1.1.1:1"
        late_join = {late_join}
        [[target]]
        name = "t"
        format = "hex"
        address = "127.0.0.1:1"
        template = "{{price:8le.6}}"
        [[instrument]]
        symbol = "X"
        tick = "0.01"
        [[instrument]]
        symbol = "AAPL"
        tick = "0.01"
        [[rule]]
        name = "r"
        feed = "f"
        when = "sequence_fresh"
        order = {{ target = "t", side = "buy", quantity = 1, price = 1 }}
        "#
    );
    Config::parse(&text).unwrap_or_else(|error| panic!("{error}"))
}

/// A feed, and what it told of AAPL last. Prices have six decimals.
struct Told {
    protocol: Protocol,
    markets: Markets,
}

impl Told {
    fn new(protocol: Protocol, late_join: bool) -> Self {
        Told { protocol, markets: Markets::new(&config(protocol.name(), late_join)) }
    }

    /// The instrument that a message is about.
    fn tell(&mut self, bytes: &[u8]) -> Option<u32> {
        self.markets.apply(0, &Message { protocol: self.protocol, sequence: 1, bytes })
    }

    /// Bid, offer, last and their sizes, prices in units of the feed.
    fn knows(&self) -> [Option<i64>; 6] {
        let factor = 10_i64.pow(6 - rule::decimals(self.protocol).unwrap());
        let market = self.markets.level1(0, 1).unwrap();
        let price = |word| market.now(word).map(|price| price / factor);
        let size = |word| market.now(word);
        [
            price(Word::Bid),
            size(Word::BidSize),
            price(Word::Ask),
            size(Word::AskSize),
            price(Word::Last),
            size(Word::LastSize),
        ]
    }
}

/// Bid, offer and last, each with its size.
fn all(
    bid: impl Into<Option<(i64, i64)>>,
    ask: impl Into<Option<(i64, i64)>>,
    last: impl Into<Option<(i64, i64)>>,
) -> [Option<i64>; 6] {
    let [bid, ask, last] = [bid.into(), ask.into(), last.into()]
        .map(|of| [of.map(|(price, _)| price), of.map(|(_, size)| size)]);
    [bid[0], bid[1], ask[0], ask[1], last[0], last[1]]
}

#[test]
fn a_tick_of_nanonet_is_a_trade() {
    for (protocol, price) in
        [(Protocol::Nanonet, [1, 2, 0, 0]), (Protocol::NanonetBig, [0, 0, 2, 1])]
    {
        let mut told = Told::new(protocol, false);
        let mut tick = [&b"AAPL    "[..], &price, &[7; 12]].concat();
        assert_eq!(told.tell(&tick), Some(1));
        assert_eq!(told.knows(), all(None, None, (513, 0x0707_0707)));
        tick[0] = b'B';
        assert_eq!(told.tell(&tick), None);
        assert_eq!(told.tell(&tick[..23]), None);
        assert_eq!(told.tell(&tick[..15]), None);
        let counts = MarketCounts { other_instruments: 1, truncated: 1, unknown_types: 1 };
        assert_eq!(told.markets.counts(), counts);
    }
}

fn add(locate: u16, stock: Stock, reference: u64, side: u8, shares: u32, price: u32) -> Vec<u8> {
    let order = itch::AddOrderBuilder::new().stock_locate(locate).stock(stock);
    let order = order.order_reference_number(reference).buy_sell_indicator(Code(side));
    order.shares(shares).price(Price(price)).as_bytes().to_vec()
}

fn event(code: u8) -> Vec<u8> {
    itch::SystemEventBuilder::new().event_code(Code(code)).as_bytes().to_vec()
}

#[test]
fn itch_learns_locates_and_fills_books() {
    let mut told = Told::new(Protocol::Itch50, false);
    let deleted = itch::OrderDeleteBuilder::new().stock_locate(7).order_reference_number(1);
    assert_eq!(told.tell(deleted.as_bytes()), None, "nobody has locate 7 yet");
    assert_eq!(told.tell(&event(b'O')), None);
    let named = itch::StockDirectoryBuilder::new().stock_locate(7).stock(APPLE);
    assert_eq!(told.tell(named.as_bytes()), Some(1));
    assert_eq!(told.tell(&add(7, APPLE, 1, b'B', 100, 10_000)), Some(1));
    assert_eq!(told.tell(&add(7, APPLE, 2, b'S', 50, 10_100)), Some(1));
    assert_eq!(told.tell(&add(8, OTHER, 3, b'S', 50, 10)), None);
    assert_eq!(told.knows(), all((10_000, 100), (10_100, 50), None));
    let executed = itch::OrderExecutedBuilder::new().stock_locate(7).order_reference_number(2);
    assert_eq!(told.tell(executed.executed_shares(20).as_bytes()), Some(1));
    assert_eq!(told.knows(), all((10_000, 100), (10_100, 30), (10_100, 20)));
    let priced = itch::OrderExecutedWithPriceBuilder::new().stock_locate(7);
    let priced = priced.order_reference_number(2).executed_shares(30).execution_price(Price(9));
    told.tell(priced.as_bytes());
    assert_eq!(told.knows(), all((10_000, 100), None, (9, 30)));
    let trade = itch::TradeBuilder::new().stock_locate(7).stock(APPLE).shares(4).price(Price(8));
    told.tell(trade.as_bytes());
    let cross = itch::CrossTradeBuilder::new().stock_locate(7).stock(APPLE).cross_price(Price(5));
    told.tell(cross.as_bytes());
    assert_eq!(told.knows(), all((10_000, 100), None, (8, 4)), "an auction without a trade");
    told.tell(cross.shares(6).as_bytes());
    assert_eq!(told.knows(), all((10_000, 100), None, (5, 6)));
    let market = told.markets.level1(0, 1).unwrap();
    assert_eq!((market.before(Word::Last), market.now(Word::Last)), (Some(800), Some(500)));
    told.tell(&event(b'O'));
    assert_eq!(told.tell(deleted.as_bytes()), None, "another day has other locates");
    assert_eq!(told.knows(), all(None, None, (5, 6)));
}

#[test]
fn a_locate_follows_the_stock_that_a_message_names() {
    let mut told = Told::new(Protocol::Itch50, true);
    told.tell(&add(7, APPLE, 1, b'B', 100, 10_000));
    assert_eq!(told.tell(&add(7, OTHER, 2, b'B', 100, 20_000)), None);
    let deleted = itch::OrderDeleteBuilder::new().stock_locate(7).order_reference_number(1);
    assert_eq!(told.tell(deleted.as_bytes()), None);
    assert_eq!(told.tell(&add(9, APPLE, 3, b'B', 100, 10_000)), Some(1));
}

#[test]
fn a_book_is_believed_from_the_start_of_the_day_and_until_a_loss() {
    let mut told = Told::new(Protocol::Itch50, false);
    told.tell(&add(7, APPLE, 1, b'B', 100, 10_000));
    assert_eq!(told.knows(), all(None, None, None), "joined in the middle of the day");
    told.tell(&event(b'O'));
    told.tell(&add(7, APPLE, 1, b'B', 100, 10_000));
    assert_eq!(told.knows(), all((10_000, 100), None, None));
    let trade = itch::TradeBuilder::new().stock_locate(7).stock(APPLE).shares(4).price(Price(8));
    told.tell(trade.as_bytes());
    told.markets.lost(0);
    assert_eq!(told.knows(), all(None, None, (8, 4)));
    told.tell(&add(7, APPLE, 2, b'B', 100, 10_001));
    assert_eq!(told.knows(), all(None, None, (8, 4)));
}

fn quote(bid: (i64, u32), ask: (i64, u32)) -> Vec<u8> {
    let quote = tops::QuoteUpdateBuilder::new().symbol(APPLE);
    let quote = quote.bid_price(Price(bid.0)).bid_size(bid.1);
    quote.ask_price(Price(ask.0)).ask_size(ask.1).as_bytes().to_vec()
}

fn trade_report(price: i64, size: u32) -> Vec<u8> {
    let trade = common::TradeReportBuilder::new().symbol(APPLE);
    trade.price(Price(price)).size(size).as_bytes().to_vec()
}

#[test]
fn tops_says_the_best_itself() {
    let mut told = Told::new(Protocol::Tops, false);
    assert_eq!(told.tell(&quote((100, 5), (101, 6))), Some(1));
    told.tell(&trade_report(99, 7));
    assert_eq!(told.knows(), all((100, 5), (101, 6), (99, 7)));
    told.tell(&quote((100, 5), (0, 0)));
    assert_eq!(told.knows(), all((100, 5), None, (99, 7)));
    told.markets.lost(0);
    assert_eq!(told.knows(), all(None, None, (99, 7)));
    told.tell(&quote((i64::MAX, 5), (i64::MIN, 6)));
    let market = told.markets.level1(0, 1).unwrap();
    assert_eq!(market.now(Word::Bid), Some(crate::NUMBER_MAX));
    // A segment may be of another feed than the one that is listened for.
    let bytes = &quote((1, 1), (2, 2))[..];
    let other = Message { protocol: Protocol::Deep, sequence: 1, bytes };
    assert_eq!(told.markets.apply(0, &other), None);
    assert_eq!(told.tell(&bytes[..41]), None);
    assert_eq!(told.tell(b""), None);
    let counts = MarketCounts { other_instruments: 0, truncated: 2, unknown_types: 1 };
    assert_eq!(told.markets.counts(), counts);
}

#[test]
fn deep_holds_between_two_states() {
    let mut told = Told::new(Protocol::Deep, true);
    let level = |side, price, size, flags| {
        let level = deep::PriceLevelUpdateBuilder::new().symbol(APPLE).message_type(Code(side));
        let level = level.event_flags(tickwire_market::iex::EventFlags(flags));
        level.price(Price(price)).size(size).as_bytes().to_vec()
    };
    told.tell(&level(b'8', 100, 5, 1));
    told.tell(&level(b'5', 101, 6, 1));
    assert_eq!(told.knows(), all((100, 5), (101, 6), None));
    told.tell(&level(b'8', 100, 0, 0));
    assert_eq!(told.knows(), all((100, 5), (101, 6), None));
    told.tell(&level(b'8', 99, 4, 1));
    told.tell(&trade_report(100, 5));
    assert_eq!(told.knows(), all((99, 4), (101, 6), (100, 5)));
}

#[test]
fn deep_plus_follows_orders() {
    let mut told = Told::new(Protocol::DeepPlus, false);
    let start = common::SystemEventBuilder::new().system_event(Code(b'O'));
    assert_eq!(told.tell(start.as_bytes()), None);
    let order = deep_plus::AddOrderBuilder::new().symbol(APPLE).side(Code(b'8')).order_id(1);
    told.tell(order.price(Price(100)).size(9).as_bytes());
    assert_eq!(told.knows(), all((100, 9), None, None));
    let executed = deep_plus::OrderExecutedBuilder::new().symbol(APPLE).order_id_reference(1);
    told.tell(executed.price(Price(100)).size(4).as_bytes());
    assert_eq!(told.knows(), all((100, 5), None, (100, 4)));
    let cleared = deep_plus::ClearBookBuilder::new().symbol(APPLE);
    told.tell(cleared.as_bytes());
    assert_eq!(told.knows(), all(None, None, (100, 4)));
}

#[test]
fn a_cleared_book_is_known_again_after_a_loss() {
    let mut told = Told::new(Protocol::DeepPlus, true);
    let order = |symbol, id, price| {
        let order = deep_plus::AddOrderBuilder::new().symbol(symbol).side(Code(b'8')).order_id(id);
        order.price(Price(price)).size(9).as_bytes().to_vec()
    };
    told.tell(&order(APPLE, 1, 100));
    told.markets.lost(0);
    told.tell(&order(APPLE, 2, 90));
    assert_eq!(told.knows(), all(None, None, None));
    let other = deep_plus::ClearBookBuilder::new().symbol(Ascii(*b"X       "));
    told.tell(other.as_bytes());
    told.tell(&order(APPLE, 3, 80));
    assert_eq!(told.knows(), all(None, None, None), "another one was cleared");
    told.tell(deep_plus::ClearBookBuilder::new().symbol(APPLE).as_bytes());
    told.tell(&order(APPLE, 4, 70));
    assert_eq!(told.knows(), all((70, 9), None, None), "what was there before the loss is gone");
    told.markets.lost(0);
    assert_eq!(told.knows(), all(None, None, None));
}

/// What somebody else has read meanwhile is not known; a book that nobody else read is.
#[test]
fn a_trade_before_others_read_the_feed_is_forgotten() {
    let mut told = Told::new(Protocol::Nanonet, false);
    let tick = nanonet::little::MarketDataBuilder::new()
        .symbol(APPLE)
        .price(Price(10_000))
        .quantity(5)
        .timestamp(1);
    let number = told.tell(tick.as_bytes()).expect("it is configured");
    let last = |told: &Told| {
        let market = told.markets.level1(0, number).expect("it is followed");
        (market.now(Word::Last).is_some(), market.now(Word::Tick).is_some())
    };
    assert_eq!(last(&told), (true, true));
    told.markets.forget(0, number + 1);
    told.markets.forget(1, number);
    assert_eq!(last(&told), (true, true));
    told.markets.forget(0, number);
    assert_eq!(last(&told), (false, true));
}
