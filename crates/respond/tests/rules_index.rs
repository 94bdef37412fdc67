//! Many rules over many instruments: which one decides, and that nothing is allocated for it.

#[path = "../../frame/tests/counting/mod.rs"]
mod counting;

use counting::allocations;
use std::fmt::Write;
use tickwire_market::{Message, Protocol};
use tickwire_respond::rule::explain;
use tickwire_respond::{Config, Intent, Market, Markets, Rules, Side, Strategy, Tick};

const INSTRUMENTS: u32 = 1_000;

/// A thousand instruments; rules are added by each test.
fn base() -> String {
    let mut text = "state = \"s\"
        [[feed]]
        name = \"house\"
        protocol = \"nanonet\"
        listen = \"239.1.1.1:1\"
        [[feed]]
        name = \"big\"
        protocol = \"nanonet-big\"
        listen = \"239.1.1.1:2\"
        [[target]]
        name = \"t\"
        format = \"nanonet\"
        address = \"127.0.0.1:1\"\n"
        .to_owned();
    for number in 0..INSTRUMENTS {
        writeln!(text, "[[instrument]]\nsymbol = \"S{number}\"\ntick = \"0.01\"").unwrap();
    }
    text
}

fn rule(text: &mut String, name: &str, head: &str, when: &str, price: &str) {
    let order = format!("{{ target = 't', side = 'sell', quantity = 1, price = '{price}' }}");
    let rest = format!("when = '{when}'\norder = {order}\n");
    write!(text, "[[rule]]\nname = '{name}'\n{head}\n{rest}").unwrap();
}

fn parse(text: &str) -> (Rules, Markets) {
    let config = Config::parse(text).unwrap_or_else(|error| panic!("{error}"));
    assert!(explain(&config).lines().count() >= 3 * config.rules.len());
    (Rules::new(&config), Markets::new(&config))
}

/// A tick of that instrument.
fn bytes(instrument: u32, price: u32) -> Vec<u8> {
    let mut bytes = format!("{:<8}", format!("S{instrument}")).into_bytes();
    bytes.extend(price.to_le_bytes());
    bytes.extend([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    bytes
}

fn decide(rules: &mut Rules, markets: &mut Markets, feed: u16, bytes: &[u8]) -> Option<Intent> {
    let message = Message { protocol: Protocol::Nanonet, sequence: 0, bytes };
    let instrument = markets.apply(feed, &message)?;
    rules.decide(&Tick {
        feed,
        protocol: message.protocol,
        instrument,
        sequence: 0,
        fresh: true,
        message: bytes,
        market: markets.level1(feed, instrument)?,
        received_ns: 0,
    })
}

#[test]
fn each_instrument_has_its_own_rules_and_those_of_all() {
    let mut text = base();
    rule(&mut text, "off", "feed = 'house'\nenabled = false", "price > 0", "9.00");
    for number in (0..INSTRUMENTS).rev() {
        let head = format!("feed = 'house'\ninstruments = ['S{number}']");
        let when = format!("price == {number}.00");
        rule(&mut text, &format!("r{number}"), &head, &when, "price");
    }
    rule(&mut text, "all", "feed = 'house'", "price < 5.00", "price + 1 tick");
    rule(&mut text, "later", "feed = 'house'", "price < 6.00", "price + 2 ticks");
    let (mut rules, mut markets) = parse(&text);
    let mut wants = |feed, instrument, price| {
        let intent = decide(&mut rules, &mut markets, feed, &bytes(instrument, price))?;
        assert_eq!((intent.instrument, intent.side, intent.quantity), (instrument, Side::Sell, 1));
        Some((intent.rule, intent.price))
    };
    let [own, all, later] = [|n: u32| 1 + (INSTRUMENTS - 1 - n) as u16, |_| 1001, |_| 1002];
    for n in [0, 1, 7, INSTRUMENTS - 1] {
        assert_eq!(wants(0, n, 100 * n), Some((own(n), 100 * i64::from(n))), "the first decides");
        assert_eq!(wants(0, n, 499), Some((all(n), 500)));
        assert_eq!(wants(0, n, 500), if n == 5 { None } else { Some((later(n), 502)) });
        assert_eq!(wants(0, n, 100_000), None);
        assert_eq!(wants(1, n, 100 * n), None, "another feed has no rules");
    }
    assert_eq!(wants(2, 0, 0), None, "there is no such feed");
    assert_eq!(wants(0, INSTRUMENTS, 0), None, "there is no such instrument");
}

#[test]
fn deciding_does_not_allocate() {
    let mut text = base();
    let when = "price < 5.00 and crosses_below(last, 4.00) or price == 9.00";
    let when = when.replace("or", ") or").replacen("price", "(price", 1);
    rule(&mut text, "all", "feed = 'house'", &when, "max(price, 1.00) + 2 ticks");
    let (mut rules, mut markets) = parse(&text);
    let ticks: Vec<_> = (0..20_000)
        .map(|n| bytes(n % INSTRUMENTS, (n * 31 + n / INSTRUMENTS * 397) % 1_000))
        .collect();
    let before = allocations();
    let fired = ticks.iter().filter(|tick| decide(&mut rules, &mut markets, 0, tick).is_some());
    let fired = fired.count();
    assert_eq!(allocations(), before);
    assert!(fired > 500 && fired < 15_000, "{fired}");
    assert!(before > 0, "the allocator counts");
}

#[test]
fn too_many_rules_times_instruments_are_refused() {
    let mut text = base();
    for number in 0..8_400 {
        rule(&mut text, &format!("r{number}"), "feed = 'house'", "price < 5.00", "price");
    }
    let error = Config::parse(&text).unwrap_err().to_string();
    assert!(error.contains("name the instruments of each rule"), "{error}");
}
