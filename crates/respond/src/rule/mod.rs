//! Rules: text in, programs out; and the strategy that runs them.
//!
//! `lex` and `parse` make an expression of a text, `names` says what its names stand for, `lower`
//! makes operands of them for one type of message, `emit` makes steps of a `program`, and `runner`
//! runs these.
//! [`Rules`] finds the programs that a message is for.

mod ast;
mod emit;
mod error;
mod explain;
mod lex;
mod lower;
mod names;
mod num;
mod parse;
mod program;
mod rules;
mod runner;
mod test;

pub use ast::{Arith, Relation};
pub use error::{Fault, Part, RuleError};
pub use explain::explain;
pub(crate) use names::types;
pub use names::{decimals, protocols};
pub use parse::EXPRESSION_BYTES_MAX;
pub use program::{Load, Operand, Place, Program, REGISTERS, REJECT, SideOf, Step};
pub use rules::Rules;
pub(crate) use rules::check_size;
pub use runner::{Runner, Wanted};

use crate::order::Scale;
use ast::Expr;
use lower::Lower;
use names::Names;
use num::Kind;
use test::Test;
use tickwire_market::Protocol;

/// When an order is sent, and which.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its name, for what is printed.
    pub name: String,
    /// What intents call it: its place in the configuration, or, in one that was read while a run
    /// goes on, the number that it has had since its name was first there
    /// ([`Config::number_rules`](crate::Config::number_rules)).
    pub number: u16,
    /// The feed whose messages it looks at: its place in the configuration.
    pub feed: u16,
    /// Where its orders go: the place in the configuration.
    pub target: u16,
    /// The instruments that it is for, in order; `None` for all.
    pub instruments: Option<Vec<u32>>,
    /// After an order, it sends none for the same instrument for so many nanoseconds.
    pub cool_down_ns: u64,
    /// Whether it takes part.
    pub enabled: bool,
    /// As it was written: condition, side, quantity, price.
    pub texts: [String; 4],
    /// One for each type of message that it can fire on.
    pub programs: Vec<Program>,
}

/// What a rule is compiled from.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// What its feed speaks.
    pub protocol: Protocol,
    /// How many decimals prices have: at least those of the protocol.
    pub scale: Scale,
    /// The smallest and the greatest tick size of its instruments.
    pub ticks: (i64, i64),
    /// Condition, side, quantity, price: in the order of [`Part`].
    pub texts: [&'a str; 4],
}

/// Compiles a rule for each type of message that it can fire on.
///
/// # Errors
/// A word that means nothing, types that do not go together, what could overflow, a rule that can
/// never fire.
pub fn compile(source: &Source<'_>) -> Result<Vec<Program>, RuleError> {
    let parse = |part: Part| parse::parse(source.texts[part as usize]).map_err(part.at());
    let exprs = [parse(Part::When)?, parse(Part::Quantity)?, parse(Part::Price)?];
    let names = Names::new(source.protocol);
    let mut programs = Vec::new();
    // What kept it from firing on the last type that met the condition.
    let mut missing = Part::When;
    for message in names.types() {
        match program(&Lower { source, names: &names, message }, &exprs)? {
            Ok(program) => programs.push(program),
            Err(Part::When) => {}
            Err(part) => missing = part,
        }
    }
    if programs.is_empty() {
        let message = match missing {
            Part::When => format!("no message of {} can meet this", source.protocol),
            _ => "no message that meets the condition has what this needs".into(),
        };
        return Err(missing.whole(source, message));
    }
    Ok(programs)
}

/// The program for one type of message, or what keeps the rule from firing on it.
fn program(
    lower: &Lower<'_>,
    [when, quantity, price]: &[Expr; 3],
) -> Result<Result<Program, Part>, RuleError> {
    let test = lower.test(when).map_err(Part::When.at())?;
    if test == Test::Const(false) {
        return Ok(Err(Part::When));
    }
    let side = lower.side(lower.source.texts[1]).map_err(Part::Side.at())?;
    let Some(side) = side else { return Ok(Err(Part::Side)) };
    let quantity = lower.number(quantity, Kind::Number).map_err(Part::Quantity.at())?;
    let Some(quantity) = quantity else { return Ok(Err(Part::Quantity)) };
    if quantity.low < 0 || quantity.high > u32::MAX.into() {
        let message = "this may be negative or beyond 32 bits: bound it, such as \
                       max(0, min(…, 1000))";
        return Err(Part::Quantity.whole(lower.source, message.into()));
    }
    let price = lower.number(price, Kind::Price).map_err(Part::Price.at())?;
    let Some(price) = price else { return Ok(Err(Part::Price)) };
    let (steps, [quantity, price]) = emit::emit(&test, [&quantity, &price])
        .map_err(|_| Part::When.whole(lower.source, "too much nesting: simplify it".into()))?;
    Ok(Ok(Program { key: lower.message.key, steps, side, quantity, price }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source<'a>(protocol: Protocol, texts: [&'a str; 4]) -> Source<'a> {
        Source { protocol, scale: Scale(4), ticks: (100, 100), texts }
    }

    /// The listing of each program, by its type.
    fn listing(protocol: Protocol, texts: [&str; 4]) -> Vec<(char, String)> {
        let programs = compile(&source(protocol, texts)).unwrap_or_else(|e| panic!("{e:?}"));
        programs.iter().map(|of| (char::from(of.key), of.to_string())).collect()
    }

    #[track_caller]
    fn refused(protocol: Protocol, texts: [&str; 4], part: Part, word: &str, message: &str) {
        let source = source(protocol, texts);
        let error = compile(&source).expect_err("a rule that is refused");
        let text = texts[part as usize];
        assert_eq!((error.part, &text[error.fault.span.clone()]), (part, word), "{error:?}");
        assert!(error.fault.message.contains(message), "{error:?}");
    }

    #[test]
    fn a_rule_has_a_program_for_each_type_that_it_can_fire_on() {
        let order = ["buy", "100", "price + 1 tick"];
        let types = |when| {
            let programs = listing(Protocol::Itch50, [when, order[0], order[1], order[2]]);
            programs.into_iter().map(|(letter, _)| letter).collect::<String>()
        };
        assert_eq!(types("price < 100.00"), "AUPF");
        assert_eq!(types("type == \"A\" or type == \"P\""), "AP");
        assert_eq!(types("not type in {\"A\", \"P\"}"), "UF");
        // Whoever looks at a field that is not there does not see that it is not 5.
        assert_eq!(types("match_number != 5"), "P");
        assert_eq!(types("not match_number == 5"), "AUPF");
    }

    #[test]
    fn conditions_are_steps_that_jump_forward() {
        let texts = [
            "(price < 1.5 or side == \"sell\") and crosses_above(bid, 2.00) and sequence_fresh",
            "opposite",
            "min(shares, 200) - 0",
            "ask - 2 ticks",
        ];
        let expected = "      0  if message[32..36] < 15000: go to 2
      1  unless message[19..20] == 83: stop
      2  unless bid before is known: stop
      3  unless bid before <= 20000: stop
      4  unless bid is known: stop
      5  unless bid > 20000: stop
      6  unless fresh == 1: stop
      7  unless ask is known: stop
      8  r0 = message[20..24] min 200
      9  r0 = r0 - 0
     10  r1 = ask - 200
     11  buy if message[19] == 83 else sell, r0 at r1
";
        let listing = listing(Protocol::Itch50, texts);
        assert_eq!(listing[0], ('A', expected.into()));
        assert_eq!(listing.len(), 2);
    }

    #[test]
    fn mistakes_are_pointed_at() {
        let itch = |when, word, message| {
            let texts = [when, "buy", "100", "100.00"];
            refused(Protocol::Itch50, texts, Part::When, word, message);
        };
        itch("prise < 100.00", "prise", "did you mean \"price\"?");
        itch("price < 100.00001", "100.00001", "5 decimals; prices have 4");
        itch("shares < 1.5", "1.5", "whole number");
        itch("price < shares", "shares", "no price");
        itch("shares > price", "price", "is a price: prices go with prices only");
        itch("price == \"A\"", "\"A\"", "price holds no text");
        itch("stock < \"A\"", "\"A\"", "==, != or in");
        itch("stock == \"NINECHARS\"", "\"NINECHARS\"", "at most 8");
        itch("stock == 5", "stock", "compare it with a text");
        itch("type == \"S\"", "\"S\"", "one of A");
        itch("side == \"long\"", "\"long\"", "\"buy\" or \"sell\"");
        itch("1 < 2", "1 < 2", "two constants");
        itch("price", "price", "no condition");
        itch("sequence_fresh == 1", "sequence_fresh", "without comparison");
        itch("crosses_above(price, 1.00)", "price", "can cross");
        itch("price + 1 > 2.00", "1", "1 ticks, or 1.00");
        itch("price * price > 2.00", "price * price", "no price");
        itch("matched_number * 2 > 3", "matched_number", "match_number");
        itch("last_size * last_size > 3", "last_size * last_size", "64 bits");
        itch("price > 99999999999999999", "99999999999999999", "beyond");
        itch("price < 0.0", "price < 0.0", "no message of itch50 can meet");
        itch("iex.price < 1.00", "iex.price", "write itch.price");
        itch("a < b and c", "a", "no \"a\"");
        itch("price < 1.00 and shares < 5 or shares > 9", "and shares < 5 or", "parentheses");
        itch("price = 1.00", "=", "==");
        itch("1.00 < price < 2.00", "<", "one comparison at a time");
        itch("(price < 1.00", "", "expected ')'");
        itch("price < 1.00 price", "price", "does not belong");
        itch("shares in {}", "}", "expected a number");
        itch("", "", "expected a number");
    }

    #[test]
    fn orders_that_cannot_be_are_refused() {
        let order = |texts: [&str; 3], part, word, message| {
            let texts = ["shares > 0", texts[0], texts[1], texts[2]];
            refused(Protocol::Itch50, texts, part, word, message);
        };
        order(["long", "1", "1.00"], Part::Side, "long", "opposite");
        order(["buy", "shares - 1", "1.00"], Part::Quantity, "shares - 1", "negative");
        order(["buy", "shares * 2", "1.00"], Part::Quantity, "shares * 2", "32 bits");
        order(["buy", "price", "1.00"], Part::Quantity, "price", "is a price");
        order(["buy", "1 tick", "1.00"], Part::Quantity, "1 tick", "ticks are money");
        order(["buy", "1", "shares"], Part::Price, "shares", "no price");
        order(["buy", "1", "near_price"], Part::Price, "near_price", "that meets the condition");
        let texts = ["shares > 0", "same", "1", "cross_price"];
        refused(Protocol::Itch50, texts, Part::Side, "same", "that meets the condition");
        let deep = ["nested > 1", "buy", "1", "1.00"];
        refused(Protocol::Deep, deep, Part::When, "nested", "deep has no");
    }

    #[test]
    fn nesting_and_length_are_bounded() {
        let deep = format!("{}price{} < 1.00", "(".repeat(40), ")".repeat(40));
        let long = format!("price < 1.00{}", " ".repeat(EXPRESSION_BYTES_MAX));
        let wide = format!("price{} < 1.00", " + 1 tick".repeat(70));
        let list = format!("shares in {{0{}}}", ", 1".repeat(70));
        let right = format!("price < {}price{}", "1 tick + (".repeat(28), ")".repeat(28));
        for (when, message) in [
            (&deep, "nested more than 32 deep"),
            (&long, "more than 4096 bytes"),
            (&wide, "more than 64 operators"),
            (&list, "more than 64 values"),
            (&right, "too much nesting"),
        ] {
            let error = compile(&source(Protocol::Itch50, [when, "buy", "1", "1.00"]));
            let error = error.unwrap_err().fault.message;
            assert!(error.contains(message), "{error}");
        }
    }
}
