//! Rules in the kernel, by BPF_PROG_TEST_RUN.

mod common;

use common::kernel::{Kernel, clocks, frame, ones, route, udp_sum};
use std::net::{Ipv4Addr, SocketAddrV4};
use tickwire_capture::bpf::Words;
use tickwire_frame::Reason;
use tickwire_market::nanonet::little::MarketDataBuilder;
use tickwire_market::{Ascii, Price};
use tickwire_respond::format::{ByteOrder, Encoder, Format};
use tickwire_respond::xdp::{Route, State};
use tickwire_respond::{Config, Order, Outcome};

const EXAMPLE: &str = include_str!("../../../docs/examples/nanonet.toml");
const SENDER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 9), 5_000);
const GROUP: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(239, 1, 1, 1), 8_080);
const TX: u32 = 3;
const REDIRECT: u32 = 4;
const DROP: u32 = 1;
const PASS: u32 = 2;

fn config(text: &str) -> Config {
    Config::parse(text).unwrap_or_else(|error| panic!("{error}"))
}

fn tick(symbol: &str, cents: u32, stamp_ns: u64) -> Vec<u8> {
    let tick = MarketDataBuilder::new().symbol(Ascii::new(symbol).unwrap()).price(Price(cents));
    let tick = tick.quantity(7).timestamp(stamp_ns);
    frame(SENDER, GROUP, tick.as_bytes())
}

#[test]
fn the_documented_run() {
    let Some(kernel) = Kernel::new(config(EXAMPLE), "the_documented_run") else { return };
    let (wall_ns, _) = clocks();
    let first = kernel.state().memory().next_number();
    let encoder = Encoder::new(&Format::nanonet(ByteOrder::Little), kernel.config.scale);
    for n in 0..1_000 {
        let (verdict, order) = kernel.run(&tick("AAPL", 9_999, wall_ns + n));
        assert_eq!(verdict, TX, "{n}: {:?}", kernel.records());
        let record = kernel.records()[0];
        assert_eq!(record.decision.outcome, Outcome::Ordered(first + n));
        assert_eq!(record.source, SENDER);
        let of = Order {
            intent: record.decision.intent,
            symbol: *b"AAPL    ",
            number: first + n,
            at_ns: record.decision.received_ns,
        };
        assert_eq!((of.intent.price, of.intent.quantity), (10_000, 100));
        let mut payload = [0; 41];
        assert_eq!(encoder.encode(&of, &mut payload), Ok(41));
        assert_eq!(order[42..], payload, "{n}");
        assert_eq!((ones(&order[14..34], 0), udp_sum(&order)), {
            (0xffff, u16::from_be_bytes([order[40], order[41]]))
        });
        let route = route(&kernel.plan, 0);
        assert_eq!(order[..6], route.destination_mac);
        assert_eq!(order[18..20], [0x12, 0x34]);
        assert_eq!(order[30..34], route.destination.ip().octets());
    }
    for (frame, verdict) in [
        (tick("AAPL", 10_000, wall_ns + 2_000), DROP),
        (tick("AAPL", 9_999, wall_ns + 999), DROP),
        (tick("MSFT", 9_999, wall_ns + 2_000), DROP),
        (frame(SENDER, SocketAddrV4::new(*GROUP.ip(), 8_081), &[0; 24]), PASS),
    ] {
        assert_eq!(kernel.run(&frame).0, verdict);
    }
    let records = kernel.records();
    assert_eq!(records.len(), 1);
    let counts = kernel.state().counts();
    assert_eq!((counts.intents, counts.orders, counts.ticks[0]), (1_001, 1_000, [1, 1_002]));
    let refused: Vec<_> = counts.refused.iter().filter(|(_, many)| *many > 0).collect();
    assert_eq!(refused, [(Reason::DuplicateTrigger, 1)]);
}

/// What becomes of the next tick of AAPL below its price.
fn refusal(kernel: &Kernel, stamp_ns: u64) -> Option<Reason> {
    let (verdict, _) = kernel.run(&tick("AAPL", 9_999, stamp_ns));
    let refused = kernel.records().first().and_then(|record| match record.decision.outcome {
        Outcome::Ordered(_) => None,
        Outcome::Refused(reason) => Some(reason),
    });
    assert_eq!(verdict, if refused.is_some() { DROP } else { TX });
    refused
}

#[test]
fn prices_are_multiples_of_the_tick() {
    // The order is a cent above the tick of 99.99.
    for (size, refused) in [("0.01", None), ("2.50", None), ("0.03", Some(Reason::TickSize))] {
        let text = EXAMPLE.replace("tick = \"0.01\"", &format!("tick = \"{size}\""));
        let text = text.replace("price + 1 tick", "price + 0.01");
        let Some(kernel) = Kernel::new(config(&text), "prices_are_multiples_of_the_tick") else {
            return;
        };
        assert_eq!(refusal(&kernel, clocks().0), refused, "{size}");
    }
}

#[test]
fn switches_and_the_lease() {
    let Some(kernel) = Kernel::new(config(EXAMPLE), "switches_and_the_lease") else { return };
    let (wall_ns, monotonic_ns) = clocks();
    assert_eq!(refusal(&kernel, wall_ns), None);
    kernel.state().memory().set_killed(true);
    assert_eq!(refusal(&kernel, wall_ns + 1), Some(Reason::KillSwitch));
    kernel.state().set_enabled(false);
    assert_eq!(refusal(&kernel, wall_ns + 1), Some(Reason::KillSwitch));
    kernel.state().memory().set_killed(false);
    assert_eq!(refusal(&kernel, wall_ns + 1), Some(Reason::Disabled));
    kernel.state().set_enabled(true);
    kernel.state().renew(monotonic_ns, wall_ns - monotonic_ns);
    assert_eq!(refusal(&kernel, wall_ns + 1), Some(Reason::LeaseExpired));
    kernel.state().renew(u64::MAX, wall_ns - monotonic_ns);
    kernel.state().set_route(0, Err(Reason::NoNeighbour));
    assert_eq!(refusal(&kernel, wall_ns + 1), Some(Reason::NoNeighbour));
    let way = route(&kernel.plan, 0);
    kernel.state().set_route(0, Ok(&way));
    assert_eq!(refusal(&kernel, wall_ns + 1), None);
    let redirected = Route { sends_back: false, ..way };
    kernel.state().set_route(0, Ok(&redirected));
    assert_eq!(kernel.run(&tick("AAPL", 9_999, wall_ns + 2)).0, REDIRECT);
}

#[test]
fn a_lost_record_stops_trading() {
    let Some(kernel) = Kernel::new(config(EXAMPLE), "a_lost_record_stops_trading") else {
        return;
    };
    let (wall_ns, _) = clocks();
    // Each tick is answered already: refusals alone fill the ring.
    assert_eq!(refusal(&kernel, wall_ns), None);
    let again = tick("AAPL", 9_999, wall_ns);
    while kernel.state().counts().lost == 0 {
        kernel.program.test_run(&again, 1_000).unwrap();
    }
    let counts = kernel.state().counts();
    assert!(counts.stopped && !kernel.state().is_enabled());
    assert_eq!(kernel.run(&tick("AAPL", 9_999, wall_ns + 1)).0, DROP);
    let records = kernel.records();
    // The first record was taken before, and the last intent came after the counts.
    assert_eq!(records.len() as u64 + kernel.state().counts().lost, counts.intents);
    assert_eq!(refusal(&kernel, wall_ns + 1), Some(Reason::AuditFull));
    kernel.state().set_enabled(true);
    assert_eq!(refusal(&kernel, wall_ns + 1), None);
    // Who asks for it goes on without the log.
    kernel.state().set_stops_when_full(false);
    let lost = kernel.state().counts().lost;
    while kernel.state().counts().lost == lost {
        kernel.program.test_run(&again, 1_000).unwrap();
    }
    assert_eq!(kernel.run(&tick("AAPL", 9_999, wall_ns + 2)).0, TX);
}

/// What user space heard of a feed is no silence for the kernel, and a packet of long ago is.
#[test]
fn silence_is_that_of_both_sides() {
    let test = "silence_is_that_of_both_sides";
    let text = EXAMPLE.replace("listen =", "silence_ms = 1000\nlisten =");
    let Some(kernel) = Kernel::new(config(&text), test) else { return };
    let (wall_ns, _) = clocks();
    kernel.state().heard(0, wall_ns - 60_000_000_000);
    assert_eq!(refusal(&kernel, wall_ns), Some(Reason::StaleFeed));
    assert!(kernel.state().last_packet_ns(0) >= wall_ns);
    assert_eq!(refusal(&kernel, wall_ns), None);
    kernel.state().heard(0, wall_ns + 60_000_000_000);
    kernel.state().heard(0, wall_ns);
    assert_eq!(kernel.state().last_packet_ns(0), wall_ns + 60_000_000_000);
}

#[test]
fn what_a_killed_process_left_is_taken_over() {
    let test = "what_a_killed_process_left_is_taken_over";
    let Some(kernel) = Kernel::new(config(EXAMPLE), test) else { return };
    let (wall_ns, _) = clocks();
    assert_eq!(refusal(&kernel, wall_ns), None);
    State::retire(kernel.words.words()).expect("its words");
    // Its program may still run.
    assert_eq!(refusal(&kernel, wall_ns + 1), Some(Reason::Disabled));
    let left = State::retire(kernel.words.words()).expect("its words");
    let (config, plan) = (&kernel.config, &kernel.plan);
    let words = Words::create("tickwire_test", kernel.state().layout().words).unwrap();
    let state = State::create(words.words(), config, plan);
    state.memory().take_over(&left);
    assert_eq!(state.memory().next_number(), left.next_number());
    assert!(
        State::retire(&[]).is_err() && State::attach(&words.words()[1..], config, plan).is_err()
    );
}

#[test]
fn each_price_of_a_template_has_its_own_decimals() {
    let text = EXAMPLE.replace(
        "format = \"nanonet\" ",
        "format = \"hex\"\ntemplate = \"{price:8be.2} {price:8be.4} {price:8be.0}\" ",
    );
    let test = "each_price_of_a_template_has_its_own_decimals";
    let Some(kernel) = Kernel::new(config(&text), test) else { return };
    let (wall_ns, _) = clocks();
    let (verdict, order) = kernel.run(&tick("AAPL", 9_999, wall_ns));
    assert_eq!(verdict, TX, "{:?}", kernel.records());
    let prices = [10_000_u64, 1_000_000, 100].map(u64::to_be_bytes);
    assert_eq!(order[42..], prices.concat());
}

#[test]
fn open_orders_of_user_space_count() {
    let sells = "[[rule]]\nname = \"sell\"\nfeed = \"ticks\"\nwhen = \"price >= 100.00\"\n\
                 order = { target = \"exchange\", side = \"sell\", quantity = \"100\", price = \
                 \"price\" }\n";
    let text = EXAMPLE.replace("[limits]", &format!("{sells}\n[limits]"));
    let Some(kernel) = Kernel::new(config(&text), "open_orders_of_user_space_count") else {
        return;
    };
    let (wall_ns, _) = clocks();
    let stamps = std::cell::Cell::new(wall_ns);
    let outcome = |price: u32| {
        stamps.set(stamps.get() + 1);
        kernel.run(&tick("AAPL", price, stamps.get()));
        match kernel.records()[0].decision.outcome {
            Outcome::Ordered(_) => None,
            Outcome::Refused(reason) => Some(reason),
        }
    };
    let (buys, sells) = (9_999, 10_000);
    kernel.state().set_open(0, 199_900, 0);
    assert_eq!([buys, buys].map(outcome), [None, Some(Reason::PositionMax)]);
    // 100 are held: 300 may be sold on top of what is open to sell.
    kernel.state().set_open(0, 0, 199_800);
    assert_eq!([sells; 4].map(outcome), [None, None, None, Some(Reason::PositionMax)]);
    kernel.state().set_open(0, 0, 0);
    assert_eq!([buys, sells].map(outcome), [None, None]);
    assert_eq!(kernel.position(0).net, -200);
}

#[test]
fn rules_that_always_or_never_decide_are_loaded() {
    let second = "[[rule]]\nname = \"second\"\nfeed = \"ticks\"\nwhen = \"price >= 100.00\"\n\
                  order = { target = \"exchange\", side = \"sell\", quantity = \"1\", price = \
                  \"price\" }\n";
    let (wall_ns, _) = clocks();
    for (when, first) in [
        ("price >= 0.00", Some(0)),
        ("last > 1.00 or not last > 1.00", Some(0)),
        ("crosses_above(last, 1.00) or not crosses_above(last, 1.00)", Some(0)),
        ("not last > 1.00", Some(1)),
        ("not (last > 1.00 and last_size > 0)", Some(1)),
    ] {
        let text = EXAMPLE.replace("price < 100.00", when);
        let text = text.replace("[limits]", &format!("{second}\n[limits]"));
        let test = "rules_that_always_or_never_decide_are_loaded";
        let Some(kernel) = Kernel::new(config(&text), test) else { return };
        kernel.run(&tick("AAPL", 10_001, wall_ns));
        let rule = kernel.records().first().map(|record| record.decision.intent.rule);
        assert_eq!(rule, first, "{when}");
    }
}

#[test]
fn without_rules_all_goes_on() {
    let text = EXAMPLE.replace("[[rule]]", "[[rule]]\nenabled = false");
    let Some(kernel) = Kernel::new(config(&text), "without_rules_all_goes_on") else { return };
    let frame = tick("AAPL", 9_999, clocks().0);
    assert_eq!(kernel.run(&frame), (PASS, frame));
}

#[test]
fn a_tick_of_another_symbol_ends_the_silence_of_its_feed() {
    let text = EXAMPLE.replace("name = \"ticks\"", "name = \"ticks\"\nsilence_ms = 100000");
    let test = "a_tick_of_another_symbol_ends_the_silence_of_its_feed";
    let Some(kernel) = Kernel::new(config(&text), test) else { return };
    let (wall_ns, monotonic_ns) = clocks();
    assert_eq!(refusal(&kernel, wall_ns), None);
    let later_ns = wall_ns + 200_000_000_000;
    kernel.state().renew(u64::MAX, later_ns - monotonic_ns);
    assert_eq!(kernel.run(&tick("MSFT", 9_999, later_ns)).0, DROP);
    assert_eq!(refusal(&kernel, later_ns), None);
}
