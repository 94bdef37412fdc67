//! Numbers computed from the packet.
//!
//! `|` binds weakest, then `&`, shifts, `+ -`, `* /`, and the unary minus. `%` and `^` have no
//! rank: they bind to the nearest number on their left and take everything on their right, so that
//! `ip[0] % 3 + 1` is `ip[0] % (3 + 1)`.

use super::{Parser, is_operator};
use crate::ast::{Arith, ArithNode, Relation};
use crate::error::{FilterError, Result};
use crate::lex::Kind;

/// Above every binary operator.
const UNARY: u8 = 5;

fn rank(operator: &str) -> Option<u8> {
    Some(match operator {
        "|" => 0,
        "&" => 1,
        "<<" | ">>" => 2,
        "+" | "-" => 3,
        "*" | "/" => 4,
        _ => return None,
    })
}

impl Parser<'_> {
    /// Whether a number starts here, rather than a protocol alone.
    pub(super) fn at_arith(&self) -> bool {
        match self.peek() {
            Kind::Number(_) | Kind::Keyword("len") | Kind::Symbol("-" | "(") => true,
            Kind::Keyword(_) => self.kind_at(self.at + 1) == &Kind::Symbol("["),
            _ => false,
        }
    }

    pub(super) fn arith(&mut self) -> Result<Arith> {
        self.operation(0)
    }

    fn operation(&mut self, lowest: u8) -> Result<Arith> {
        self.nested(|parser| {
            let mut left = parser.operand()?;
            let mut length = 0;
            while let Kind::Symbol(operator) = *parser.peek() {
                let right = match rank(operator) {
                    Some(rank) if rank >= lowest => {
                        parser.next();
                        parser.operation(rank + 1)?
                    }
                    None if matches!(operator, "%" | "^") => {
                        parser.next();
                        parser.operation(0)?
                    }
                    _ => break,
                };
                length += 1;
                if length > super::NESTING_MAX {
                    let message = format!("more than {} operators in a row", super::NESTING_MAX);
                    return Err(FilterError::limit(right.span, message));
                }
                let span = left.span.start..right.span.end;
                let node = ArithNode::Binary(operator, Box::new(left), Box::new(right));
                left = Arith { node, span };
            }
            Ok(left)
        })
    }

    fn operand(&mut self) -> Result<Arith> {
        let token = self.next();
        let start = token.span.start;
        let node = match token.kind {
            Kind::Number(value) => ArithNode::Number(value),
            Kind::Keyword("len") => ArithNode::Length,
            Kind::Keyword(protocol) if self.peek() == &Kind::Symbol("[") => {
                self.accessor(protocol)?
            }
            Kind::Symbol("-") => ArithNode::Negate(Box::new(self.operation(UNARY)?)),
            Kind::Symbol("(") => {
                let inner = self.arith()?;
                self.expect(")")?;
                return Ok(Arith { node: inner.node, span: self.span_from(start) });
            }
            _ => {
                self.at -= usize::from(token.kind != Kind::End);
                return Err(self.unexpected("a number, 'len' or a subscript such as ip[0]"));
            }
        };
        Ok(Arith { node, span: self.span_from(start) })
    }

    fn accessor(&mut self, protocol: &'static str) -> Result<ArithNode> {
        self.expect("[")?;
        let index = self.arith()?;
        let mut size = 1;
        if self.symbol(":") {
            let span = self.span();
            size = self.number("a size: 1, 2 or 4")?;
            if !matches!(size, 1 | 2 | 4) {
                return Err(FilterError::value(span, "the size of a field must be 1, 2 or 4"));
            }
        }
        self.expect("]")?;
        Ok(ArithNode::Accessor(protocol, Box::new(index), size))
    }

    pub(super) fn relation(&mut self) -> Result<Relation> {
        let relation = match self.peek() {
            Kind::Symbol("=") => Relation::Equal,
            Kind::Symbol("!=") => Relation::NotEqual,
            Kind::Symbol("<") => Relation::Less,
            Kind::Symbol("<=") => Relation::LessEqual,
            Kind::Symbol(">") => Relation::Greater,
            Kind::Symbol(">=") => Relation::GreaterEqual,
            kind if is_operator(kind) => return Err(self.unexpected("a number")),
            _ => return Err(self.unexpected("a comparison: = != < <= > >=")),
        };
        self.next();
        Ok(relation)
    }
}
