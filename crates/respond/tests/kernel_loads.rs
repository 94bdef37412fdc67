//! Every set of rules that a plan leaves to the kernel is taken by its verifier, from tiny ones to
//! the largest that can be; what cannot be is refused by the plan, with the reason.
//!
//! `TICKWIRE_RULE_FILES` is how many random configurations; few unless it is set.

mod cases;
mod common;
mod language;

use cases::Case;
use common::Random;
use common::kernel::load;
use std::fmt::Write;
use std::time::{Duration, Instant};
use tickwire_capture::bpf::{RingBuf, Words};
use tickwire_respond::Config;
use tickwire_respond::settings::INSTRUMENTS_MAX;
use tickwire_respond::xdp::{
    Layout, ORDER_BYTES_MAX, Plan, RulesLayout, STEPS_MAX, WORDS_MAX, Why,
};

/// No program may take longer to be loaded, on a machine that has nothing else to do.
const LOAD_S_MAX: u64 = 1;
/// What the verifier looks at, at most.
const VERIFIED_MAX: u32 = 1_000_000;

/// The worst that was seen.
#[derive(Debug, Default)]
struct Worst {
    files: u64,
    /// Of these, those with rules for the kernel.
    loaded: u64,
    verified: u32,
    took: Duration,
}

impl Worst {
    /// Loads what a plan leaves to the kernel, if it is anything.
    fn load(&mut self, config: &Config, ring: &RingBuf, what: &str) {
        let plan = Plan::new(config);
        self.files += 1;
        let whys = (0..config.rules.len()).filter_map(|rule| plan.why(rule));
        assert!(whys.into_iter().all(|why| !why.to_string().is_empty()));
        if plan.kernel_rules() == 0 {
            return;
        }
        let words = Words::create("tickwire_test", Layout::of(config, &plan).words).unwrap();
        let rules = Words::create("tickwire_rules", RulesLayout::of(config, &plan).words).unwrap();
        let begin = Instant::now();
        let program = load(config, &plan, [&words, &rules], ring, 1);
        let took = begin.elapsed();
        let verified = program.info().unwrap().verified;
        if verified > self.verified || took > self.took {
            eprintln!("{what}: {verified} instructions verified, {} ms", took.as_millis());
        }
        assert!(verified < VERIFIED_MAX, "{what}: {verified}");
        self.loaded += 1;
        self.verified = verified.max(self.verified);
        self.took = took.max(self.took);
    }
}

/// A ring for all programs; `None`, loudly, without the rights for it.
fn ring(test: &str) -> Option<RingBuf> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: {test}: loading eBPF programs needs root");
        return None;
    }
    Some(RingBuf::create("tickwire_ring", 1 << 16).unwrap())
}

/// How many steps a rule of a [`Shape`] counts for: a comparison, a sum, and its end.
const STEPS: usize = 3;

/// A configuration of so many of each. Feeds and targets are taken in turn by the rules.
struct Shape<'s> {
    feeds: usize,
    targets: usize,
    instruments: usize,
    rules: usize,
    template: &'s dyn Fn(usize) -> String,
    /// The instruments of a rule.
    chosen: &'s dyn Fn(usize) -> Option<Vec<usize>>,
    when: &'s dyn Fn(usize) -> String,
}

impl Default for Shape<'_> {
    fn default() -> Self {
        Shape {
            feeds: 1,
            targets: 1,
            instruments: 1,
            rules: 1,
            template: &|_| "{symbol:8} {price:8le.2} {quantity:4be} {clordid:13}".into(),
            chosen: &|_| None,
            when: &|rule| format!("price > {}.{:02}", rule / 100, rule % 100),
        }
    }
}

impl Shape<'_> {
    fn config(&self) -> Config {
        let mut text = String::from("state = \"unused\"\n");
        for at in 0..self.feeds {
            let protocol = ["nanonet", "nanonet-big"][at % 2];
            writeln!(text, "[[feed]]\nname = \"{at}\"\nprotocol = \"{protocol}\"").unwrap();
            writeln!(text, "listen = \"239.1.1.{}:8080\"\nsilence_ms = 9", at % 256).unwrap();
        }
        for at in 0..self.targets {
            let template = (self.template)(at);
            writeln!(text, "[[target]]\nname = \"{at}\"\nformat = \"hex\"").unwrap();
            writeln!(text, "template = '{template}'\naddress = \"10.0.0.1:9999\"").unwrap();
        }
        for at in 0..self.instruments {
            writeln!(text, "[[instrument]]\nsymbol = \"S{at}\"\ntick = \"0.01\"").unwrap();
        }
        for at in 0..self.rules {
            let (feed, target) = (at % self.feeds, at % self.targets);
            writeln!(text, "[[rule]]\nname = \"{at}\"\nfeed = \"{feed}\"").unwrap();
            if let Some(list) = (self.chosen)(at) {
                let names: Vec<_> = list.iter().map(|at| format!("S{at}")).collect();
                writeln!(text, "instruments = {names:?}").unwrap();
            }
            writeln!(text, "when = \"{}\"\ncool_down_us = {}", (self.when)(at), at % 3).unwrap();
            writeln!(
                text,
                "order = {{ target = \"{target}\", side = \"buy\", quantity = \"{}\", price = \
                 \"price + {} ticks\" }}",
                at + 1,
                at + 1
            )
            .unwrap();
        }
        Config::parse(&text).unwrap_or_else(|error| panic!("{error}"))
    }
}

#[test]
fn the_largest_are_loaded() {
    let Some(ring) = ring("the_largest_are_loaded") else { return };
    let mut worst = Worst::default();
    let mut check = |what: &str, shape: Shape<'_>| {
        let config = shape.config();
        assert_eq!(Plan::new(&config).kernel_rules(), config.rules.len(), "{what}");
        worst.load(&config, &ring, what);
    };
    let one = |rule: usize| Some(vec![rule]);
    for count in [1, 1_000] {
        let what = format!("{count} instruments, a threshold each");
        check(&what, Shape { instruments: count, rules: count, chosen: &one, ..Shape::default() });
    }
    for count in [10_000, INSTRUMENTS_MAX] {
        let what = format!("{count} instruments, one rule");
        check(&what, Shape { instruments: count, ..Shape::default() });
    }
    for rules in [1_000, STEPS_MAX / STEPS] {
        let what = format!("{rules} rules for one instrument");
        check(&what, Shape { rules, ..Shape::default() });
    }
    for feeds in [2, 256] {
        let what = format!("{feeds} feeds, {feeds} rules");
        check(&what, Shape { feeds, rules: feeds, ..Shape::default() });
        let what = format!("{feeds} feeds, 1000 rules");
        check(&what, Shape { feeds, rules: 1_000, ..Shape::default() });
    }
    let all = |at: usize| {
        let text: String = (0..100).map(|byte| format!("{:02x}", (at + byte) % 256)).collect();
        format!("{text} {{symbol:8}} {{price:8le.{}}} {{clordid:13}} {{number:8be}}", at % 10)
    };
    for targets in [2, 256] {
        let what = format!("{targets} targets of different formats");
        check(&what, Shape { targets, rules: targets, template: &all, ..Shape::default() });
    }
    let conditions = |count: usize| {
        move |_: usize| {
            let each =
                |at: usize| format!("(price != {at}.00 and (quantity > {at} or last < 3.00))");
            (0..count).map(each).collect::<Vec<_>>().join(" or ")
        }
    };
    for count in [1, 50] {
        let what = format!("20 rules of {count} conditions each");
        check(&what, Shape { rules: 20, when: &conditions(count), ..Shape::default() });
    }
    let bits = |rule: usize| Some((0..256).filter(|at| at >> rule & 1 == 1).collect());
    let shape = Shape { instruments: 256, rules: 8, chosen: &bits, ..Shape::default() };
    check("255 classes of 8 rules", shape);
    eprintln!("{worst:?}");
    assert!(worst.took < Duration::from_secs(20 * LOAD_S_MAX), "{worst:?}");
}

#[test]
fn what_is_too_large_is_refused_by_the_plan() {
    let refused = |shape: Shape<'_>| {
        let plan = Plan::new(&shape.config());
        assert_eq!(plan.kernel_rules(), 0);
        plan.why(0).cloned().unwrap()
    };
    let rules = STEPS_MAX / STEPS + 1;
    assert_eq!(refused(Shape { rules, ..Shape::default() }), Why::Size);
    let many = Shape { feeds: 64, instruments: INSTRUMENTS_MAX, ..Shape::default() };
    assert!(matches!(refused(many), Why::Words(words) if words > WORDS_MAX));
    let long = |_: usize| "00".repeat(ORDER_BYTES_MAX + 1);
    let why = refused(Shape { template: &long, ..Shape::default() });
    assert_eq!(why, Why::OrderBytes(ORDER_BYTES_MAX + 1));
    assert_eq!(WORDS_MAX, tickwire_capture::bpf::WORDS_MAX);
}

#[test]
fn random_rule_files_are_loaded() {
    let Some(ring) = ring("random_rule_files_are_loaded") else { return };
    let files = std::env::var("TICKWIRE_RULE_FILES").map_or(150, |count| count.parse().unwrap());
    let mut worst = Worst::default();
    for seed in 0..files {
        let case = Case::new(&mut Random(seed));
        worst.load(&case.config, &ring, &format!("file {seed}"));
    }
    eprintln!("{worst:?}");
    assert!(worst.loaded > files / 2, "{worst:?}");
}
