//! What rules compiled to, for people.

use super::ast::Arith;
use super::program::{Load, Operand, Program, REJECT, SideOf, Step};
use crate::config::Config;
use crate::xdp::Plan;
use std::fmt::{self, Write};
use tickwire_market::MessageType;

/// Rule by rule: which messages it looks at, where it can run, what it compiled to, and what it
/// needs to know.
pub fn explain(config: &Config) -> String {
    let (mut text, plan) = (String::new(), Plan::new(config));
    for (number, rule) in config.rules.iter().enumerate() {
        let feed = &config.feeds[usize::from(rule.feed)];
        let target = &config.targets[usize::from(rule.target)].name;
        let instruments = match &rule.instruments {
            None => "all instruments".to_owned(),
            Some(list) if list.len() == 1 => "1 instrument".to_owned(),
            Some(list) => format!("{} instruments", list.len()),
        };
        let off = if rule.enabled { "" } else { ", not enabled" };
        // Writing into a text does not fail.
        let _ = writeln!(
            text,
            "rule {:?}: {} on feed {:?} ({}), to {target:?}{off}",
            rule.name, instruments, feed.name, feed.protocol
        );
        let _ = match plan.why(number) {
            None => writeln!(text, "  mode xdp"),
            Some(why) => writeln!(text, "  user space: {why}"),
        };
        let _ = writeln!(text, "  when {}", rule.texts[0]);
        let state = state(&rule.programs);
        if !state.is_empty() {
            let _ = writeln!(text, "  needs {}", state.join(", "));
        }
        for program in &rule.programs {
            let letter = MessageType::Letter(program.key);
            let name = super::names::types(feed.protocol)
                .iter()
                .find(|of| of.key == program.key)
                .map_or("", |of| of.name);
            match program.key.is_ascii_graphic() {
                true => _ = writeln!(text, "  {name} ({letter})"),
                false => _ = writeln!(text, "  {name}"),
            }
            let _ = write!(text, "{program}");
        }
    }
    text
}

/// What programs need to know beside the message, each once.
fn state(programs: &[Program]) -> Vec<String> {
    let mut found = Vec::new();
    let mut need = |operand: &Operand| {
        let name = operand.to_string();
        let is_state = matches!(operand, Operand::Now(_) | Operand::Before(_) | Operand::Fresh);
        if is_state && !found.contains(&name) {
            found.push(name);
        }
    };
    for program in programs {
        for step in &program.steps {
            match step {
                Step::Compare { left, right, .. } | Step::Arith { left, right, .. } => {
                    need(left);
                    need(right);
                }
                Step::Known { word, .. } => need(word),
            }
        }
        need(&program.quantity);
        need(&program.price);
    }
    found
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, step) in self.steps.iter().enumerate() {
            writeln!(f, "    {place:>3}  {step}")?;
        }
        let Program { side, quantity, price, steps, .. } = self;
        writeln!(f, "    {:>3}  {side} {quantity} at {price}", steps.len())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let goes = |f: &mut fmt::Formatter<'_>, to: &u16| match *to {
            REJECT => f.write_str(" stop"),
            to => write!(f, " go to {to}"),
        };
        match self {
            Step::Compare { left, relation, right, when, to } => {
                let word = if *when { "if" } else { "unless" };
                write!(f, "{word} {left} {} {right}:", relation.symbol())?;
                goes(f, to)
            }
            Step::Known { word, to } => {
                write!(f, "unless {word} is known:")?;
                goes(f, to)
            }
            Step::Arith { arith, left, right, into } => {
                let word = match arith {
                    Arith::Add => "+",
                    Arith::Subtract => "-",
                    Arith::Multiply => "*",
                    Arith::Min => "min",
                    Arith::Max => "max",
                };
                write!(f, "r{into} = {left} {word} {right}")
            }
        }
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operand::Const(number) => write!(f, "{number}"),
            Operand::Field(load) => load.fmt(f),
            Operand::Now(word) => f.write_str(word.name()),
            Operand::Before(word) => write!(f, "{} before", word.name()),
            Operand::Fresh => f.write_str("fresh"),
            Operand::Register(at) => write!(f, "r{at}"),
        }
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Load { offset, len, .. } = self;
        write!(f, "message[{offset}..{}]", offset + u16::from(*len))?;
        if self.factor != 1 {
            write!(f, "*{}", self.factor)?;
        }
        Ok(())
    }
}

impl fmt::Display for SideOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SideOf::Const(side) => side.fmt(f),
            SideOf::Message { offset, buy, .. } => {
                write!(f, "buy if message[{offset}] == {buy} else sell,")
            }
        }
    }
}
