//! The configuration of the documented run: what it says, and what its rule wants.

use tickwire_market::{Ascii, Packet, Price, Protocol, nanonet};
use tickwire_respond::config::{Speaks, Transport};
use tickwire_respond::format::{ByteOrder, Format};
use tickwire_respond::rule::explain;
use tickwire_respond::{Config, Intent, Market, Markets, Rules, Scale, Side, Strategy, Tick};

const EXAMPLE: &str = include_str!("../../../docs/examples/nanonet.toml");

/// What the rule wants for a payload.
fn wanted(text: &str, payload: &[u8]) -> Option<Intent> {
    let config = Config::parse(text).unwrap_or_else(|error| panic!("{error}"));
    let (mut market, mut rules) = (Markets::new(&config), Rules::new(&config));
    let packet = Packet::parse(config.feeds[0].protocol, payload).unwrap();
    let message = packet.messages().next().unwrap().unwrap();
    let instrument = market.apply(0, &message)?;
    rules.decide(&Tick {
        feed: 0,
        protocol: message.protocol,
        instrument,
        sequence: message.sequence,
        fresh: true,
        message: message.bytes,
        market: market.level1(0, instrument)?,
        received_ns: 0,
    })
}

#[test]
fn the_example_is_read() {
    let config = Config::parse(EXAMPLE).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.scale, Scale(2));
    let feed = &config.feeds[0];
    assert_eq!((feed.protocol, feed.transport), (Protocol::Nanonet, Transport::Udp));
    assert_eq!(feed.listen.to_string(), "239.1.1.1:8080");
    let orders = Speaks::Orders(Format::nanonet(ByteOrder::Little));
    assert_eq!(format!("{:?}", config.targets[0].speaks), format!("{orders:?}"));
    let apple = config.instruments.get(0).unwrap();
    let limits = config.settings.instruments[0];
    assert_eq!((apple.name(), apple.tick, limits.notional_max), ("AAPL", 1, 1_000_000));
    let settings = &config.settings;
    assert_eq!((limits.collar_ppm, settings.limits.orders_per_s), (50_000, 1_200));
    assert_eq!(settings.feeds[0].age_ns_max, 1_000_000_000);
    let expected = r#"rule "below-100": 1 instrument on feed "ticks" (nanonet), to "exchange"
  mode xdp
  when price < 100.00
  MarketData
      0  unless message[8..12] < 10000: stop
      1  r1 = message[8..12] + 1
      2  buy 100 at r1
"#;
    assert_eq!(explain(&config), expected);
}

#[test]
fn below_100_it_buys_100_a_cent_above() {
    let tick = |price| {
        let tick = nanonet::little::MarketDataBuilder::new().symbol(Ascii(*b"AAPL    "));
        *tick.price(Price(price)).quantity(7).as_bytes()
    };
    let order = |price| {
        let (rule, instrument, target, side) = (0, 0, 0, Side::Buy);
        Some(Intent { rule, instrument, target, side, price, quantity: 100 })
    };
    assert_eq!(wanted(EXAMPLE, &tick(9_999)), order(10_000));
    assert_eq!(wanted(EXAMPLE, &tick(0)), order(1));
    assert_eq!(wanted(EXAMPLE, &tick(10_000)), None);
    let mut other = tick(9_999);
    other[0] = b'B';
    assert_eq!(wanted(EXAMPLE, &other), None);
    let big = EXAMPLE.replace("\"nanonet\"            # \"nan", "\"nanonet-big\"        # \"nan");
    let mut swapped = tick(9_999);
    swapped[8..12].reverse();
    assert_eq!(wanted(&big, &swapped), order(10_000));
    assert_eq!(wanted(&big, &tick(9_999)), None);
}
