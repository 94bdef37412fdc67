//! Rules: text in, programs out; and the strategy that runs them.
//!
//! `lex` and `parse` make an expression of a text, `names` says what its names stand for, `lower`
//! makes operands of them for one type of message, `emit` makes steps, and `program` runs these.
//! [`Rules`] finds the programs that a message is for.

mod ast;
mod emit;
mod error;
mod explain;
mod lex;
mod lower;
mod names;
mod parse;
mod program;
mod rules;

pub use ast::{Arith, Relation};
pub use error::{Fault, Part, RuleError};
pub use explain::explain;
pub(crate) use names::types;
pub use names::{decimals, protocols};
pub use parse::EXPRESSION_BYTES_MAX;
pub use program::{Load, Operand, Place, Program, REGISTERS, REJECT, SideOf, Step};
pub use rules::Rules;
pub(crate) use rules::check_size;

use crate::order::Scale;
use lower::{Kind, Lower, Test};
use tickwire_market::Protocol;

/// When an order is sent, and which.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its name, for what is printed.
    pub name: String,
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
    let at = |part: Part| move |fault: Fault| RuleError { part, fault };
    let parse = |part: Part| parse::parse(source.texts[part as usize]).map_err(at(part));
    let when = parse(Part::When)?;
    let (quantity, price) = (parse(Part::Quantity)?, parse(Part::Price)?);
    let mut programs = Vec::new();
    // What keeps it from firing on every type so far.
    let mut missing = Part::When;
    for message in names::types(source.protocol) {
        let lower = Lower { source, message };
        let test = lower.test(&when).map_err(at(Part::When))?;
        let side = lower.side(source.texts[1]).map_err(at(Part::Side))?;
        let of_order = lower.number(&quantity, Kind::Number).map_err(at(Part::Quantity))?;
        if let Some(quantity) = &of_order
            && !(quantity.low >= 0 && quantity.high <= u32::MAX.into())
        {
            let message = "this may be negative or beyond 32 bits: bound it, such as \
                           max(0, min(…, 1000))";
            let fault = Fault { span: 0..source.texts[2].len(), message: message.into() };
            return Err(at(Part::Quantity)(fault));
        }
        let limit = lower.number(&price, Kind::Price).map_err(at(Part::Price))?;
        if test == Test::Const(false) {
            continue;
        }
        let (side, quantity, price) = match (side, of_order, limit) {
            (None, ..) => {
                missing = Part::Side;
                continue;
            }
            (_, None, _) => {
                missing = Part::Quantity;
                continue;
            }
            (.., None) => {
                missing = Part::Price;
                continue;
            }
            (Some(side), Some(quantity), Some(price)) => (side, quantity, price),
        };
        let (steps, [quantity, price]) = emit::emit(&test, [&quantity, &price]).map_err(|_| {
            let fault = Fault { span: 0..0, message: "too much nesting: simplify it".into() };
            at(Part::When)(fault)
        })?;
        programs.push(Program { key: message.key, steps, side, quantity, price });
    }
    if programs.is_empty() {
        let message = match missing {
            Part::When => format!("no message of {} can meet this", source.protocol),
            _ => "no message that meets the condition has what this needs".into(),
        };
        let fault = Fault { span: 0..source.texts[missing as usize].len(), message };
        return Err(at(missing)(fault));
    }
    Ok(programs)
}
