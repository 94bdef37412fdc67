//! Configurations: what they mean, and what is said of those that mean nothing.

use std::time::Duration;
use tickwire_respond::config::{CONFIG_BYTES_MAX, Speaks, Transport};
use tickwire_respond::rule::explain;
use tickwire_respond::session::Ouch;
use tickwire_respond::settings::{GapPolicy, Hours};
use tickwire_respond::{Config, Scale};

const FULL: &str = r#"
state = "/tmp/state"

[audit]
path = "/tmp/audit"
stop_when_full = true

[limits]
quantity = 500
notional = "100000.5"
collar_percent = "2.5"
orders_per_s = 50
in_flight = 4
position = 700
feed_age_ms = 20
hours = "09:30-16:00"
utc_offset = "-05:00"

[[feed]]
name = "itch"
protocol = "itch50"
listen = "233.54.12.111:26477"
source = "206.200.43.72"
interface = "eth1"
age_ms = 5
silence_ms = 3000
gap = "until_next"
late_join = true

[[feed]]
name = "house"
protocol = "nanonet-big"
listen = "0.0.0.0:8080"
transport = "tcp"

[[target]]
name = "nasdaq"
format = "ouch50"
address = "10.0.0.1:9000"
login = { username = "me", password_file = "/etc/secret", session = "S1", unanswered_s = 7 }
ouch = { time_in_force = "0", capacity = "A", appendage = "05 02 4c494d45" }

[[target]]
name = "older"
format = "ouch42"
address = "10.0.0.2:9000"
login = { username = "me", password = "hunter2" }
ouch = { firm = "LIME", time_in_force = 99999 }

[[target]]
name = "broker"
format = "fix44"
address = "10.0.0.3:9000"
[target.fix]
sender_comp_id = "ME"
target_comp_id = "THEM"
heartbeat_s = 10
password = "hunter2"
dictionary = "FIX44.xml"
order_fields = { 1 = "ACC", 59 = "3" }

[[target]]
name = "own"
format = "hex"
address = "[fd00::1]:9000"
template = "4f {symbol:8} {price:8be.6} {quantity:4be} {side:B/S}"

[[instrument]]
symbol = "AAPL"
tick = "0.01"
quantity = 50

[[instrument]]
symbol = "BRK.A"
tick = 1
notional = "900000"

[[rule]]
name = "dip"
feed = "itch"
instruments = ["BRK.A"]
when = "price < 100.00"
order = { target = "nasdaq", side = "opposite", quantity = 10, price = "price - 2 ticks" }
cool_down_us = 1500

[[rule]]
name = "all"
feed = "house"
when = "quantity in {1, 2}"
order = { target = "own", side = "sell", quantity = "quantity", price = "price" }
enabled = false
"#;

#[test]
fn every_key_means_something() {
    let config = Config::parse(FULL).unwrap_or_else(|error| panic!("{error}"));
    // The template has six decimals, and nothing has more.
    assert_eq!(config.scale, Scale(6));
    let audit = config.audit.as_ref().unwrap();
    assert_eq!((audit.rotate_bytes, audit.stop_when_full), (256 << 20, true));
    let settings = &config.settings;
    let hour_ns = Duration::from_secs(3600).as_nanos() as u64;
    let hours =
        Hours { open_ns: 19 * hour_ns / 2, close_ns: 16 * hour_ns, utc_offset_s: -5 * 3600 };
    assert_eq!(settings.limits.hours, Some(hours));
    assert_eq!((settings.limits.orders_per_s, settings.limits.in_flight_max), (50, 4));
    let [apple, berkshire] = settings.instruments[..] else { panic!() };
    assert_eq!((apple.quantity_max, berkshire.quantity_max), (50, 500));
    assert_eq!((apple.notional_max, berkshire.notional_max), (100_000_500_000, 900_000_000_000));
    assert_eq!((apple.collar_ppm, apple.position_max), (25_000, 700));
    assert_eq!((apple.tick.get(), berkshire.tick.get()), (10_000, 1_000_000));
    let [itch, house] = &settings.feeds[..] else { panic!() };
    assert_eq!((itch.age_ns_max, house.age_ns_max), (5_000_000, 20_000_000));
    assert_eq!((itch.silence_ns_max, house.silence_ns_max), (Some(3_000_000_000), None));
    assert_eq!((itch.gap, house.gap), (GapPolicy::UntilNext, GapPolicy::Refuse));
    assert_eq!(settings.rules[0].cool_down_ns, 1_500_000);
    assert_eq!(
        settings.targets.iter().map(|of| of.acknowledges).collect::<Vec<_>>(),
        [true, true, true, false]
    );
    assert_eq!((config.feeds[0].late_join, config.feeds[1].transport), (true, Transport::Tcp));
    assert_eq!(config.instruments.get(1).unwrap().tick, 1_000_000);
    assert_eq!(
        (config.rules[0].instruments.as_deref(), config.rules[1].enabled),
        (Some(&[1][..]), false)
    );
}

#[test]
fn targets_have_what_their_sessions_need() {
    let config = Config::parse(FULL).unwrap();
    let [nasdaq, older, broker, own] = &config.targets[..] else { panic!() };
    let Speaks::Soup(login, Ouch::V50(ouch)) = &nasdaq.speaks else { panic!() };
    assert_eq!((login.username.as_str(), login.unanswered_s), ("me", 7));
    assert_eq!((ouch.time_in_force, ouch.capacity), ('0', 'A'));
    assert_eq!(ouch.appendage, b"\x05\x02LIME");
    assert_eq!(nasdaq.password_file.as_deref(), Some("/etc/secret".as_ref()));
    let Speaks::Soup(login, Ouch::V42(ouch)) = &older.speaks else { panic!() };
    assert_eq!((login.password.0.as_str(), ouch.time_in_force), ("hunter2", 99_999));
    let Speaks::Fix(fix) = &broker.speaks else { panic!() };
    assert_eq!((fix.heartbeat_s, fix.sender.as_str(), fix.target.as_str()), (10, "ME", "THEM"));
    assert_eq!(broker.dictionary_file.as_deref(), Some("FIX44.xml".as_ref()));
    let field = |tag, value: &str| (tag, value.to_owned());
    assert_eq!(fix.order_fields, [field(1, "ACC"), field(59, "3"), field(21, "1")]);
    assert_eq!([nasdaq, own].map(|of| of.transport), [Transport::Tcp, Transport::Udp]);
    assert!(!format!("{config:?}").contains("hunter2"), "a password is shown");
}

/// What is said when `from` in the configuration is `to`.
#[track_caller]
fn said(from: &str, to: &str) -> String {
    assert!(FULL.contains(from), "{from}");
    let text = FULL.replacen(from, to, 1);
    let error = Config::parse(&text).expect_err("a configuration that means nothing");
    let line = 1 + FULL[..FULL.find(from).unwrap()].matches('\n').count();
    let is_near = error.line == 0 || error.line.abs_diff(line) <= 8;
    assert!(is_near && error.to_string().contains(&error.message), "{error} is at {line}");
    error.to_string()
}

#[test]
fn mistakes_are_said_with_their_cure() {
    let mut wrong = Vec::new();
    for (from, to, says) in [
        ("[audit]", "[adit]", "unknown field `adit`"),
        ("state =", "stat =", "unknown field `stat`"),
        ("quantity = 500", "quantity = 0", "line 9: quantity = 0 forbids every order"),
        ("\"100000.5\"", "100000.5", "line 10: 100000.5 is a floating-point number"),
        ("\"100000.5\"", "\"1e5\"", "write it such as \"100.25\""),
        ("\"2.5\"", "0", "0.0001 to 1000"),
        ("09:30-16:00", "9:30-16:00", "write them such as"),
        ("-05:00", "5", "write it such as \"-05:00\""),
        ("\"itch50\"", "\"hft-tick\"", "use one of itch50, tops"),
        ("\"206.200.43.72\"", "\"::1\"", "different IP versions"),
        ("0.0.0.0:8080", "239.1.1.1:8080", "only nanonet and nanonet-big come over TCP"),
        ("\"house\"\nprotocol", "\"itch\"\nprotocol", "feed \"itch\" is there twice"),
        ("\"ouch50\"", "\"ouch\"", "there is no format \"ouch\": use one of"),
        ("\"ouch50\"", "\"nanonet\"", "login is of the format ouch42, ouch50: remove it"),
        ("capacity = \"A\"", "firm = \"LIME\"", "in ouch50 it is an element of the appendage"),
        ("05 02 4c", "05 02 4", "appendage is hexadecimal"),
        ("05 02 4c", "06 02 4c", "appendage is not made of elements"),
        ("username = \"me\", password_", "username = \"toolong\", password_", "at most 6"),
        (", password = \"hunter2\" }", " }", "one of password and password_file"),
        ("1 = \"ACC\"", "one = \"ACC\"", "\"one\" is no tag: write its number"),
        ("1 = \"ACC\"", "49 = \"ACC\"", "sets field 49"),
        ("heartbeat_s = 10", "heartbeat_s = 0", "`heartbeat_s` is out of range"),
        ("{price:8be.6}", "{prize:8be.6}", "unknown hole \"prize\""),
        ("tick = \"0.01\"", "tick = \"0.0000001\"", "7 decimals; prices have 6 here"),
        ("tick = \"0.01\"", "tick = \"0\"", "above 0"),
        ("symbol = \"AAPL\"", "symbol = \"A APL\"", "1 to 8 characters, no spaces"),
        ("symbol = \"AAPL\"", "symbol = \"BRK.A\"", "\"BRK.A\" is there twice"),
        ("[\"BRK.A\"]", "[\"BRK.B\"]", "no instrument \"BRK.B\"; did you mean \"BRK.A\"?"),
        ("feed = \"itch\"", "feed = \"ich\"", "there is no feed \"ich\"; did you mean \"itch\"?"),
        ("target = \"own\"", "target = \"xxxxx\"", "add a [[target]] for it"),
        ("price < 100.00", "prise < 100.00", "when: itch50 has no \"prise\": did you mean"),
        ("price - 2 ticks", "price - 2", "order.price: 2 of what?"),
        ("quantity = 10,", "quantity = 10.5,", "floating-point number"),
        ("quantity = 10,", "quantity = -10,", "may be negative"),
        ("cool_down_us = 1500", "cool_down_us = -1", "invalid value"),
        ("name = \"all\"", "name = \"\"", "write 1 to 64 printable"),
        ("orders_per_s = 50", "orders_per_s = 2000000", "at most 1000000 are possible"),
    ] {
        let said = said(from, to);
        if !said.contains(says) {
            wrong.push(format!("{from} -> {to}: {said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_word_is_pointed_at() {
    let shown = said("price < 100.00", "price < 100.00 and shares = 3");
    let expected = "rule \"dip\": when: a comparison is written ==
  price < 100.00 and shares = 3
                            ^";
    assert!(shown.ends_with(expected), "{shown}");
}

#[test]
fn what_is_missing_is_said() {
    let without = |from: &str| Config::parse(&FULL[..FULL.find(from).unwrap()]).unwrap_err();
    assert_eq!(without("state").to_string(), "line 1: missing field `state`");
    assert!(without("[[feed]]").to_string().contains("there is no [[feed]]"));
    assert!(without("[[rule]]").to_string().contains("there is no [[rule]]"));
    let long = " ".repeat(CONFIG_BYTES_MAX + 1);
    assert!(Config::parse(&long).unwrap_err().to_string().contains("split it"));
}

#[test]
fn the_rule_of_the_documentation_is_one() {
    let page = include_str!("../../../docs/rules.md");
    let rule = page.split("```toml").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let more = "[[instrument]]\nsymbol = \"MSFT\"\ntick = \"0.01\"\n";
    let rule = rule.replace("\"dip\"", "\"of the page\"").replace("\"exchange\"", "\"nasdaq\"");
    let config = Config::parse(&format!("{FULL}{more}{rule}"));
    let config = config.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.rules[2].programs.len(), 1, "trades alone");
    let needs = "\n  needs last before, last, spread, fresh, ask\n";
    let explained = explain(&config);
    assert!(explained.contains(needs), "{explained}");
}

#[test]
fn no_text_panics() {
    for end in (0..FULL.len()).step_by(3) {
        let _ = Config::parse(&FULL[..end]);
    }
}
