//! A strategy in Rust: it leans with the side of the book that is heavier.
//!
//! Rules of a file compare; what has to remember more, or compute otherwise, implements
//! [`Strategy`]. Checks come after it, as after any rule: it cannot send what the limits forbid.
//!
//! `cargo run -p tickwire-respond --example imbalance` plays a few quotes of TOPS to it.

use tickwire_market::iex::tops::{QuoteUpdate, QuoteUpdateBuilder};
use tickwire_market::{Ascii, Message, Price, Protocol};
use tickwire_respond::{Config, Intent, Market, Markets, Side, Strategy, Tick, Word};

/// Buys at the offer when the bid has been at least `ratio` times as large as the offer for
/// `quotes` quotes in a row.
struct Imbalance {
    ratio: i64,
    quotes: u32,
    /// By instrument: quotes in a row.
    in_a_row: Vec<u32>,
}

impl Strategy for Imbalance {
    fn decide(&mut self, tick: &Tick<'_>) -> Option<Intent> {
        // Only quotes count, and only while nothing of the feed is missing.
        QuoteUpdate::parse(tick.message).ok().filter(|_| tick.message[0] == b'Q' && tick.fresh)?;
        let in_a_row = self.in_a_row.get_mut(tick.instrument as usize)?;
        let (bid, ask) = (tick.market.now(Word::BidSize)?, tick.market.now(Word::AskSize)?);
        // Sizes of TOPS have 32 bits: nothing overflows.
        *in_a_row = if bid >= self.ratio * ask { *in_a_row + 1 } else { 0 };
        if *in_a_row < self.quotes {
            return None;
        }
        *in_a_row = 0;
        Some(Intent {
            rule: 0,
            instrument: tick.instrument,
            target: 0,
            side: Side::Buy,
            price: tick.market.now(Word::Ask)?,
            quantity: 100,
        })
    }
}

const CONFIG: &str = r#"
state = "/tmp/imbalance.state"

[[feed]]
name = "tops"
protocol = "tops"
listen = "233.215.21.4:10378"

[[target]]
name = "exchange"
format = "nanonet"
address = "192.168.1.100:9999"

[[instrument]]
symbol = "ZIEXT"
tick = "0.01"

# A responder wants a rule; the strategy takes its place.
[[rule]]
name = "imbalance"
feed = "tops"
when = "sequence_fresh"
order = { target = "exchange", side = "buy", quantity = 100, price = "ask" }
"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = Config::parse(CONFIG)?;
    let mut markets = Markets::new(&config);
    let in_a_row = vec![0; config.instruments.len()];
    let mut strategy = Imbalance { ratio: 3, quotes: 2, in_a_row };
    for (sequence, bid_size) in (1..).zip([100, 400, 900, 100, 900]) {
        let quote = QuoteUpdateBuilder::new().symbol(Ascii(*b"ZIEXT   "));
        let quote = quote.bid_price(Price(100_0000)).bid_size(bid_size);
        let quote = quote.ask_price(Price(100_0100)).ask_size(100);
        let message = Message { protocol: Protocol::Tops, sequence, bytes: quote.as_bytes() };
        let Some(instrument) = markets.apply(0, &message) else { continue };
        let Some(market) = markets.level1(0, instrument) else { continue };
        let tick = Tick {
            feed: 0,
            protocol: message.protocol,
            instrument,
            sequence,
            fresh: true,
            message: message.bytes,
            market,
            received_ns: 0,
        };
        println!("{sequence}: {bid_size} bid: {:?}", strategy.decide(&tick));
    }
    Ok(())
}
