//! Compiled rules against an interpreter that was written from what the language promises: random
//! rules over random messages and markets, of every protocol.
//!
//! `TICKWIRE_RULES` is how many rules; 2000 unless it is set.

mod common;
mod language;

use common::Random;
use language::{Language, Number};
use tickwire_respond::rule::{Runner, Source, compile, protocols};
use tickwire_respond::{Scale, Side, Tick};

/// What became of the rules.
#[derive(Debug, Default)]
struct Seen {
    compiled: u64,
    fired: u64,
    kept_still: u64,
    never: u64,
    refused: u64,
}

/// A random rule over random ticks.
fn agree(language: &Language, random: &mut Random, seen: &mut Seen) {
    let condition = language.condition(2, random);
    let mut price = language.number(true, 2, random);
    if !language.is_price(&price) {
        price = Number::Sum(price.into(), Number::Ticks(1).into());
    }
    let quantity = language.number(false, 1, random);
    let quantity = Number::Max(
        Number::Literal(0).into(),
        Number::Min(quantity.into(), Number::Literal(500).into()).into(),
    );
    let sides = ["buy", "sell", "sell_short", "same", "opposite"];
    let side = random.of(&sides);
    let when = language.text(&condition);
    let texts = [language.number_text(&quantity, false), language.number_text(&price, true)];
    let source = Source {
        protocol: language.protocol,
        scale: Scale(language.scale),
        ticks: language.tick,
        texts: [&when, side, &texts[0], &texts[1]],
    };
    let programs = match compile(&source) {
        Ok(programs) => programs,
        Err(error) => {
            let message = &error.fault.message;
            let never = message.contains("can meet this") || message.contains("has what this");
            let constants = message.contains("two constants") || message.contains("as one number");
            assert!(never || constants || message.contains("64 bits"), "{source:?}: {error:?}");
            seen.refused += u64::from(!never);
            seen.never += u64::from(never);
            if !never {
                return;
            }
            vec![]
        }
    };
    seen.compiled += u64::from(!programs.is_empty());
    for _ in 0..40 {
        let (message, market) = (language.message(random), language.market(random));
        let tick = Tick {
            feed: 0,
            protocol: language.protocol,
            instrument: 0,
            sequence: 0,
            fresh: random.below(2) == 0,
            message: &message,
            market: &market,
            received_ns: 0,
        };
        let key = if language.letters.is_empty() { 24 } else { message[0] };
        let program = programs.iter().find(|program| program.key == key);
        let expected = || {
            let buys = match side {
                "buy" => Side::Buy,
                "sell" => Side::Sell,
                "sell_short" => Side::SellShort,
                _ => {
                    let letters = language.side_letters();
                    let said = language.side(&message)?;
                    let place = letters.iter().position(|letter| *letter == said)?;
                    if (place == 0) == (side == "same") { Side::Buy } else { Side::Sell }
                }
            };
            let quantity = language.value(&quantity, &tick)? as u32;
            let price = language.value(&price, &tick)?;
            let holds = language.holds(&condition, &tick);
            // Of a rule that never holds, the price may be too great.
            holds.then(|| (buys, quantity, i64::try_from(price).unwrap()))
        };
        let expected = expected();
        let wanted = program.and_then(|program| Runner::of(program).run(&tick));
        assert_eq!(wanted, expected, "{source:?}\n{message:?}\n{market:?}");
        seen.fired += u64::from(wanted.is_some());
        seen.kept_still += u64::from(wanted.is_none());
    }
}

#[test]
fn compiled_rules_do_what_the_language_promises() {
    let rules = std::env::var("TICKWIRE_RULES").map_or(2_000, |count| count.parse().unwrap());
    let protocols: Vec<_> = protocols().collect();
    let mut seen = Seen::default();
    for seed in 0..rules {
        let mut random = Random(seed);
        let language = Language::new(random.of(&protocols), &mut random);
        agree(&language, &mut random, &mut seen);
    }
    eprintln!("{seen:?}");
    // The test is about something.
    assert!(seen.compiled > rules / 3 && seen.fired > rules && seen.kept_still > seen.fired);
}
