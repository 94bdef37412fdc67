//! Rules and limits that change while it runs: no tick is lost, none answered twice.

use super::xdp::Rig;
use super::*;
use rustix::process::Signal;
use std::sync::atomic::AtomicU64;

/// How often the rules change under load.
const RELOADS: usize = 100;
/// Ticks between two changes, at least.
const TICKS_BETWEEN: u64 = 100;
/// No order comes any more when none has come for so long.
const SILENCE: Duration = Duration::from_millis(200);
/// Ticks that are on their way, at most: no ring and no socket is too small for them.
const WINDOW: u64 = 64;
/// The two thresholds, in cents. The number of a tick, which stands in its price, is below both.
const LOW: u32 = 100_000_000;
const HIGH: u32 = 200_000_000;

/// What a tick costs at least, in cents: a cent more is within the collar.
const LEAST: u32 = 1_000;

/// Of four ticks, two are below both thresholds, one between them, and one above both.
fn cents(number: u64) -> u32 {
    number as u32 + LEAST + [0, 0, LOW, HIGH][number as usize % 4]
}

/// The tick that an order answers: it is a cent above.
fn answered(order: &[u8]) -> u64 {
    let order = nanonet::little::Order::parse(order).expect("41 bytes");
    u64::from((order.price().0 - 1) % LOW - LEAST)
}

/// How far ticks and orders are.
#[derive(Debug, Default)]
struct Flow {
    /// Ticks that were sent, or are in a moment.
    sent: AtomicU64,
    /// Ticks that were decided on, at least: each before one that was answered.
    decided: AtomicU64,
    done: AtomicBool,
}

impl Flow {
    fn send(&self, rig: &Rig, sender: &mut Sender) {
        let until = Instant::now() + 3 * ARRIVAL;
        for number in 0.. {
            while number >= self.decided.load(Relaxed) + WINDOW {
                assert!(Instant::now() < until, "no order comes any more: {self:?}");
                if self.done.load(Relaxed) {
                    return;
                }
                std::thread::yield_now();
            }
            if self.done.load(Relaxed) {
                return;
            }
            self.sent.store(number + 1, Relaxed);
            sender.send(&rig.run.tick(number, cents(number)));
        }
    }

    fn receive(&self, sink: &mut Sink) -> Vec<u64> {
        let mut orders = Vec::new();
        loop {
            match sink.next(SILENCE) {
                Some(order) => {
                    let number = answered(&order);
                    self.decided.fetch_max(number + 1, Relaxed);
                    orders.push(number);
                }
                None if self.done.load(Relaxed) => return orders,
                None => {}
            }
        }
    }

    /// Waits until `count` more ticks were decided on; how many were.
    fn go_on(&self, count: u64) -> u64 {
        let (until, to) = (Instant::now() + ARRIVAL, self.decided.load(Relaxed) + count);
        loop {
            let decided = self.decided.load(Relaxed);
            if decided >= to {
                return decided;
            }
            assert!(Instant::now() < until, "no order comes any more: {self:?}");
            std::thread::sleep(Duration::from_micros(100));
        }
    }
}

fn reload(rig: &Rig, text: &str) -> Value {
    std::fs::write(&rig.config, text).expect("a file");
    let (head, body) = ask(&rig.control, "POST /v1/reload", "");
    assert!(head.contains("200"), "{head} {body}");
    serde_json::from_str(&body).expect("an object")
}

/// The example with one order for each tick below `threshold`, of one share.
fn with_threshold(rig: &Rig, threshold: u32) -> String {
    // A busy machine may keep tickwire from renewing a lease in time.
    let text = unlimited(&rig.run.config(&rig.lab, &rig.folder)) + "\n[xdp]\nlease_ms = 10000\n";
    [
        ("price < 100.00", format!("price < {}.00", threshold / 100)),
        ("quantity = \"100\"", "quantity = \"1\"".to_owned()),
        ("notional = \"10000.00\"", "notional = \"9000000.00\"".to_owned()),
    ]
    .iter()
    .fold(text, |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    })
}

/// A threshold that goes up and down under load. Each tick below both is answered exactly once;
/// one between them exactly when the higher is in force; one that comes while they change at most
/// once; one above both never.
fn a_threshold_changes_under_load(mode: &str) {
    let rig = Rig::new(&format!("reload-{mode}"));
    let texts = [LOW, HIGH].map(|threshold| with_threshold(&rig, threshold));
    std::fs::write(&rig.config, &texts[0]).expect("a file");
    let (mut sender, mut sink) = rig.ends();
    let running = rig.start(mode);
    let flow = Flow::default();
    // Of each state of the rules: the ticks that met it, and whether they were the higher.
    let mut states = Vec::new();
    let began = Instant::now();
    let orders = std::thread::scope(|scope| {
        scope.spawn(|| flow.send(&rig, &mut sender));
        let orders = scope.spawn(|| flow.receive(&mut sink));
        let mut first = 0;
        for number in 1..=RELOADS {
            let last = flow.go_on(TICKS_BETWEEN);
            states.push((first..last, (number - 1) % 2 == 1));
            let view = reload(&rig, &texts[number % 2]);
            assert_eq!(view["changed"], serde_json::json!(["below-100"]), "{view}");
            first = flow.sent.load(Relaxed);
        }
        states.push((first..flow.go_on(TICKS_BETWEEN), RELOADS % 2 == 1));
        flow.done.store(true, Relaxed);
        orders.join().expect("a receiver that does not panic")
    });
    let (sent, decided) = (flow.sent.load(Relaxed), flow.decided.load(Relaxed));
    eprintln!("{mode}: {sent} ticks, {:.0} a second", sent as f64 / began.elapsed().as_secs_f64());
    let shown: Value = ctl(&rig.control, &["config", "--json"]).expect_code(0).summary();
    let text = shown["rule"][0]["when"].as_str().expect("a rule");
    assert!(text.contains(&(LOW / 100).to_string()), "{shown}");
    let summary = running.stop();
    let mut counts = vec![0_u8; sent as usize];
    orders.iter().for_each(|number| counts[*number as usize] += 1);
    let most = [1, 1, 1, 0];
    let too_many = (0..sent as usize).find(|number| counts[*number] > most[number % 4]);
    assert_eq!(too_many, None, "{mode}: {summary}");
    // What is missing has a name: a processor found the other one deciding for too long.
    let mut missing: Vec<u64> =
        (0..decided).filter(|n| n % 4 < 2 && counts[*n as usize] == 0).collect();
    for (ticks, is_high) in states {
        for number in ticks.filter(|number| number % 4 == 2) {
            match (is_high, counts[number as usize]) {
                (true, 0) => missing.push(number),
                (false, 1) => panic!("{mode}: {number} was answered by rules of before: {summary}"),
                _ => {}
            }
        }
    }
    let named = summary["refused"]["not_in_kernel"].as_u64().unwrap_or(0);
    assert!(missing.len() as u64 <= named, "{mode}: {missing:?} {summary}");
    assert_eq!(summary["difference"], 0, "{summary}");
    assert_eq!(summary["rules"][0]["orders"], orders.len(), "{summary}");
}

#[test]
fn a_threshold_changes_under_load_over_sockets() {
    require_root!("a_threshold_changes_under_load_over_sockets");
    a_threshold_changes_under_load("udp");
}

#[test]
fn a_threshold_changes_under_load_over_af_xdp() {
    require_root!("a_threshold_changes_under_load_over_af_xdp");
    a_threshold_changes_under_load("af_xdp");
}

#[test]
fn a_threshold_changes_under_load_in_the_kernel() {
    require_root!("a_threshold_changes_under_load_in_the_kernel");
    a_threshold_changes_under_load("xdp");
}

/// What cannot take the place of the rules in force changes nothing; what can does, limits as well.
#[test]
fn what_is_wrong_changes_nothing() {
    require_root!("what_is_wrong_changes_nothing");
    for mode in ["udp", "xdp"] {
        let rig = Rig::new(&format!("reload-wrong-{mode}"));
        let log = rig.folder.file("log");
        let good = std::fs::read_to_string(&rig.config).expect("the configuration");
        let good = format!("audit = {{ path = \"{log}\" }}\n{good}");
        std::fs::write(&rig.config, &good).expect("a file");
        let (mut sender, mut sink) = rig.ends();
        let running = rig.start(mode);
        let mut number = 0;
        let mut order = |cents: u32| {
            number += 1;
            sender.send(&rig.run.tick(number, cents));
            sink.next(if cents < 9_000 { ARRIVAL } else { SILENCE })
        };
        assert!(order(8_999).is_some());
        let with = |from: &str, to: &str| {
            assert!(good.contains(from), "{from}");
            std::fs::write(&rig.config, good.replace(from, to)).expect("a file");
        };
        for (from, to, words) in [
            ("price < 100.00", "prise < 100.00", ["line", "did you mean"]),
            ("format = \"nanonet\"", "format = \"nanonet-big\"", ["`format` of", "\"exchange\""]),
            ("tick = \"0.01\"", "tick = \"0.05\"", ["`tick` of", "\"AAPL\""]),
            (&log, "other", ["[audit]", "restart"]),
        ] {
            with(from, to);
            let ran = ctl(&rig.control, &["reload"]);
            ran.expect_message(1, &["nothing has changed", "restart", words[0], words[1]]);
        }
        running.signal(Signal::HUP);
        running.wait_for("SIGHUP: nothing has changed: [audit]");
        assert!(order(8_998).is_some());
        // Another rule in its place, and a limit; a rule that went keeps its figures.
        with("name = \"below-100\"", "name = \"below-90\"");
        let text = std::fs::read_to_string(&rig.config).expect("a file");
        std::fs::write(&rig.config, text.replace("price < 100.00", "price < 90.00"))
            .expect("a file");
        running.signal(Signal::HUP);
        running.wait_for("read again: 1 rule");
        running.wait_for("1 before; added: below-90; removed: below-100");
        assert!(order(8_997).is_some() && order(9_500).is_none());
        with("quantity = 100  ", "quantity = 99  ");
        let ran = ctl(&rig.control, &["reload"]).expect_code(0);
        let words = ["in force: 1 rule", "1 before", "added: below-100", "other limits: AAPL"];
        words.iter().for_each(|word| assert!(ran.text().contains(word), "{word}: {}", ran.text()));
        assert_eq!(order(9_999), None);
        assert_eq!(status(&rig.control)["refused"]["quantity_max"], 1);
        let summary = running.stop();
        let rules: Vec<_> = summary["rules"].as_array().expect("rules").iter().collect();
        let rules: Vec<_> = rules.iter().map(|rule| (&rule["name"], &rule["orders"])).collect();
        assert_eq!(rules, [(&"below-100".into(), &2.into()), (&"below-90".into(), &1.into())]);
        // The log began another file when there was another name.
        let read = |file: &str| run(&["respond", "audit", file]).expect_code(0).text().to_owned();
        let (before, after) = (read(&format!("{log}.1")), read(&log));
        assert!(before.contains("below-100") && !before.contains("below-90"), "{before}");
        assert!(after.contains("below-90") && after.contains("reloaded"), "{after}");
    }
}

/// An instrument goes from the kernel to user space and back: its position, its rate and what was
/// answered go with it.
#[test]
fn an_instrument_changes_its_owner() {
    require_root!("an_instrument_changes_its_owner");
    let rig = Rig::new("reload-owner");
    let rule = |when: &str| {
        format!(
            "[[instrument]]\nsymbol = \"MSFT\"\ntick = \"0.01\"\nposition = 400\n\
             [[rule]]\nname = \"msft\"\nfeed = \"ticks\"\ninstruments = [\"MSFT\"]\n\
             when = \"{when}\"\norder = {{ target = \"exchange\", side = \"buy\", \
             quantity = \"100\", price = \"price\" }}\n"
        )
    };
    let text = unlimited(&rig.run.config(&rig.lab, &rig.folder));
    // No message of the feed says what the bid is.
    let [kernel, user] = ["price < 100.00", "price < 100.00 or bid > 100.00"]
        .map(|when| format!("{text}\n{}", rule(when)));
    std::fs::write(&rig.config, &kernel).expect("a file");
    let (mut sender, mut sink) = rig.ends();
    let running = rig.start("xdp");
    let patience = [SILENCE, ARRIVAL];
    let mut order = |number: u64, is_new: bool| {
        let mut tick = rig.run.tick(number, 9_999);
        tick[..8].copy_from_slice(b"MSFT    ");
        sender.send(&tick);
        sink.next(patience[usize::from(is_new)])
    };
    let mut ids = HashSet::new();
    for (number, owner) in (0..).zip([&kernel, &user, &kernel, &user]) {
        if number > 0 {
            let view = reload(&rig, owner);
            let moved = serde_json::json!(["MSFT"]);
            let (to, from) = match owner == &user {
                true => ("out_of_kernel", "into_kernel"),
                false => ("into_kernel", "out_of_kernel"),
            };
            assert_eq!((&view[to], &view[from]), (&moved, &Value::Array(Vec::new())), "{view}");
            assert_eq!(view["rules_in_kernel"], if owner == &user { 1 } else { 2 }, "{view}");
        }
        if number > 0 {
            assert_eq!(order(number - 1, false), None, "the other side has answered it");
        }
        let sent = order(number, true);
        let sent = sent.unwrap_or_else(|| panic!("no order: {}", status(&rig.control)));
        assert!(ids.insert(rig.run.read(&sent).4), "an order twice");
        assert_eq!(status(&rig.control)["kernel"]["orders"], number / 2 + 1);
    }
    let position = ctl(&rig.control, &["stats", "--json"]).expect_code(0).summary();
    assert_eq!(position["positions"][0]["net"], 400, "{position}");
    reload(&rig, &kernel);
    assert_eq!(order(5, false), None, "the position is as great as it may be");
    assert_eq!(status(&rig.control)["refused"]["position_max"], 1);
    running.stop();
}
