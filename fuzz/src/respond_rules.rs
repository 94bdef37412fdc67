//! Configurations and rules of `tickwire respond`: any text, any sentence of the words of the
//! language, any message.

use crate::mutate::Mutated;
use crate::packets::Sample;
use std::cell::RefCell;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tickwire_frame::LinkType;
use tickwire_market::iex::{deep, deep_plus, tops};
use tickwire_market::{Ascii, Code, Message, Price, itch50, nanonet};
use tickwire_respond::rule::{Runner, Source, compile, explain, protocols};
use tickwire_respond::{Config, Level1, Market, Markets, Rules, Scale, Strategy, Tick};

/// The words that sentences are made of: a byte is a word.
const WORDS: &[&str] = &[
    "price",
    "shares",
    "size",
    "quantity",
    "stock",
    "symbol",
    "type",
    "side",
    "sequence_fresh",
    "bid",
    "ask",
    "bid_size",
    "ask_size",
    "spread",
    "last",
    "last_size",
    "timestamp",
    "itch.price",
    "iex.price",
    "match_number",
    "cross_price",
    "<",
    "<=",
    "==",
    "!=",
    ">",
    ">=",
    "in",
    "{",
    "}",
    ",",
    "(",
    ")",
    "and",
    "or",
    "not",
    "+",
    "-",
    "*",
    "min(",
    "max(",
    "crosses_above(bid,",
    "crosses_below(last,",
    "1",
    "0",
    "100.00",
    "0.01",
    "1152921504606846976",
    "1 tick",
    "7 ticks",
    "\"A\"",
    "\"buy\"",
    "'AAPL'",
    "price < 100.00",
    "shares >= 100",
    "and not",
    "=",
];
/// The longest sentence, in words.
const SENTENCE_WORDS_MAX: usize = 200;

/// A configuration with a feed of every protocol.
const CONFIG: &str = r#"
state = "state"
[[target]]
name = "t"
format = "ouch50"
address = "127.0.0.1:1"
login = { username = "me", password = "secret" }
[[instrument]]
symbol = "AAPL"
tick = "0.01"
collar_percent = "2.5"
[[instrument]]
symbol = "ZIEXT"
tick = 1
[limits]
hours = "09:30-16:00"
utc_offset = "-05:00"
notional = "100.5"
"#;

/// The text of a configuration: a feed of every protocol, a rule for each.
fn text() -> String {
    let mut text = CONFIG.to_owned();
    for protocol in protocols() {
        text += &format!(
            "[[feed]]\nname = \"{protocol}\"\nprotocol = \"{protocol}\"\nlisten = \
             \"239.1.1.1:1\"\nlate_join = true\n[[rule]]\nname = \"{protocol}\"\nfeed = \
             \"{protocol}\"\nwhen = \"price < 100.00 or spread in {{0.01, 0.02}} or \
             crosses_above(last, 1.00)\"\norder = {{ target = \"t\", side = \"sell\", quantity = \
             \"min(1, 2)\", price = \"max(price, 1.00) + 1 tick\" }}\n"
        );
    }
    text
}

static CONFIGURED: LazyLock<Config> =
    LazyLock::new(|| Config::parse(&text()).expect("a good configuration"));

thread_local! {
    /// What is known after all messages so far.
    static STATE: RefCell<(Rules, Markets)> =
        RefCell::new((Rules::new(&CONFIGURED), Markets::new(&CONFIGURED)));
}

/// Rules that compiled, orders that were wanted: that the target is about something.
pub static COMPILED: AtomicU64 = AtomicU64::new(0);
/// Orders that rules wanted for messages.
pub static WANTED: AtomicU64 = AtomicU64::new(0);

/// A configuration, sentences, and messages as seeds.
pub fn samples() -> Vec<Sample> {
    let sample = |name, bytes| Sample { name, link: LinkType::RAW, bytes };
    let words = |sentence: &[&str]| {
        let place = |word: &&str| WORDS.iter().position(|known| known == word);
        sentence.iter().filter_map(place).map(|place| place as u8).collect()
    };
    let mut samples = vec![
        sample("configuration", text().into_bytes()),
        sample("price", words(&["price", "<", "100.00", "and", "shares", ">=", "1"])),
        sample("list", words(&["shares", "in", "{", "1", ",", "0", "}", "or", "sequence_fresh"])),
        sample("not", words(&["not", "(", "side", "==", "\"buy\"", ")", "or", "bid", "<", "ask"])),
        sample("sum", words(&["price", "+", "1 tick", "*", "1", "<", "last", "-", "0.01"])),
        sample(
            "cross",
            words(&["crosses_above(bid,", "100.00", ")", "and not", "price", "<", "1"]),
        ),
    ];
    let stock = Ascii(*b"AAPL    ");
    let house = nanonet::little::MarketDataBuilder::new().symbol(stock).price(Price(9_999));
    let add = itch50::AddOrderBuilder::new().stock(stock).stock_locate(1).price(Price(100_000));
    let add = add.shares(7).buy_sell_indicator(Code(b'B')).order_reference_number(1);
    let executed = itch50::OrderExecutedBuilder::new().stock_locate(1).order_reference_number(1);
    let trade = itch50::TradeBuilder::new().stock(stock).stock_locate(1).price(Price(100_000));
    let quote = tops::QuoteUpdateBuilder::new().symbol(stock).bid_price(Price(10_000)).bid_size(1);
    let quote = quote.ask_price(Price(10_100)).ask_size(1);
    let level = deep::PriceLevelUpdateBuilder::new().symbol(stock).price(Price(10_000)).size(1);
    let order = deep_plus::AddOrderBuilder::new().symbol(stock).side(Code(b'8')).size(5);
    samples.extend([
        sample("nanonet", house.as_bytes().to_vec()),
        sample("add", add.as_bytes().to_vec()),
        sample("executed", executed.executed_shares(3).as_bytes().to_vec()),
        sample("trade", trade.shares(3).as_bytes().to_vec()),
        sample("quote", quote.as_bytes().to_vec()),
        sample("level", level.as_bytes().to_vec()),
        sample("order", order.price(Price(10_000)).order_id(1).as_bytes().to_vec()),
    ]);
    samples
}

/// All three.
pub fn check(input: &Mutated<'_>) {
    target(input.bytes);
}

/// The bytes as a configuration, as a sentence, and as a message of every feed.
pub fn target(bytes: &[u8]) {
    configuration(&String::from_utf8_lossy(bytes));
    sentence(bytes);
    message(bytes);
}

fn configuration(text: &str) {
    match Config::parse(text) {
        Ok(config) => {
            assert!(!explain(&config).is_empty());
            Rules::new(&config);
        }
        Err(error) => assert!(!error.message.is_empty() && error.line <= text.len() + 1),
    }
}

/// A condition made of the bytes, compiled for every protocol, and run.
fn sentence(bytes: &[u8]) {
    let words = bytes.iter().take(SENTENCE_WORDS_MAX);
    let words = words.map(|byte| WORDS[usize::from(*byte) % WORDS.len()]);
    let when = words.collect::<Vec<_>>().join(" ");
    let market = Level1::new(100);
    for protocol in protocols() {
        let texts = [&when[..], "buy", "1", "1.00"];
        let source = Source { protocol, scale: Scale(4), ticks: (1, 100), texts };
        match compile(&source) {
            Ok(programs) => {
                COMPILED.fetch_add(1, Relaxed);
                let tick = |message| Tick {
                    feed: 0,
                    protocol,
                    instrument: 0,
                    sequence: 0,
                    fresh: true,
                    message,
                    market: &market,
                    received_ns: 0,
                };
                programs.iter().for_each(|program| _ = Runner::of(program).run(&tick(bytes)));
            }
            Err(error) => {
                assert!(when.get(error.fault.span.clone()).is_some(), "{when:?}: {error:?}");
                assert_eq!(error.render(&when).lines().count(), 3);
            }
        }
    }
}

/// A message of every feed, after all that came before.
fn message(bytes: &[u8]) {
    STATE.with_borrow_mut(|(rules, markets)| {
        for (number, feed) in (0..).zip(&CONFIGURED.feeds) {
            let message = Message { protocol: feed.protocol, sequence: 1, bytes };
            let Some(instrument) = markets.apply(number, &message) else { continue };
            let Some(market) = markets.level1(number, instrument) else { continue };
            let wanted = rules.decide(&Tick {
                feed: number,
                protocol: feed.protocol,
                instrument,
                sequence: 1,
                fresh: true,
                message: bytes,
                market,
                received_ns: 0,
            });
            if let Some(intent) = wanted {
                assert_eq!((intent.quantity, intent.instrument), (1, instrument));
                assert!(intent.price >= 10_000);
                WANTED.fetch_add(1, Relaxed);
            }
        }
    });
}
