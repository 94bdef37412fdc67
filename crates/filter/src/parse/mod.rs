//! Tokens to a syntax tree: recursive descent, nesting bounded.
//!
//! The grammar is pcap-filter(7)'s, quirks included: `and` and `or` bind equally and to the left;
//! an id without qualifiers takes those of the id before it; `%` and `^` take everything to their
//! right (see [`arith`]).
//!
//! * [`expr`](Parser::expr): expressions
//! * [`id`]: addresses and numbers, and the qualifiers that carry over
//! * [`field`]: fields of market data
//! * [`primitive`]: every other test
//! * [`arith`]: numbers computed from the packet

mod arith;
mod field;
mod id;
mod primitive;

use crate::ast::{Expr, Id, Joint, Node, Qualifiers};
use crate::error::{FilterError, Result, Span};
use crate::lex::{Kind, Token, lex};

pub use field::FIELD_VALUES_MAX;
pub(crate) use field::value_of_line;

/// The longest filter text, in bytes.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;
/// The deepest nesting of parentheses, subscripts and signs.
pub const NESTING_MAX: usize = 200;

/// The syntax tree of `text`.
pub fn parse(text: &str) -> Result<Expr> {
    if text.len() > TEXT_BYTES_MAX {
        let message = format!(
            "the filter is {} bytes long, the limit is {TEXT_BYTES_MAX}; \
             shorten it, or split it into several filters",
            text.len()
        );
        return Err(FilterError::limit(0..0, message));
    }
    let tokens = lex(text)?;
    let closing = closing(&tokens);
    let mut parser = Parser { text, tokens, closing, at: 0, depth: 0 };
    if parser.peek() == &Kind::End {
        return Ok(Expr { node: Node::All, span: 0..0 });
    }
    let (expr, _) = parser.expr(None)?;
    match parser.peek() {
        Kind::End => Ok(expr),
        _ => Err(parser.unexpected("'and', 'or' or the end of the filter")),
    }
}

/// The id that a line of a list in a file holds, `qualifiers` being those of the list.
pub(crate) fn parse_id(line: &str, qualifiers: Qualifiers) -> Result<Id> {
    let tokens = lex(line)?;
    let closing = vec![0; tokens.len()];
    let mut parser = Parser { text: line, tokens, closing, at: 0, depth: 0 };
    let id = parser.value(qualifiers)?;
    match parser.peek() {
        Kind::End => Ok(id),
        _ => Err(parser.unexpected("the end of the line")),
    }
}

/// For every `(` the index of the token after its `)`; 0 when there is none.
fn closing(tokens: &[Token]) -> Vec<usize> {
    let mut closing = vec![0; tokens.len()];
    let mut open = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        match token.kind {
            Kind::Symbol("(") => open.push(at),
            Kind::Symbol(")") => {
                if let Some(start) = open.pop() {
                    closing[start] = at + 1;
                }
            }
            _ => {}
        }
    }
    closing
}

/// The qualifiers that the next bare id takes over; none after a test that has none.
type Carry = Option<Qualifiers>;

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    closing: Vec<usize>,
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> &Kind {
        &self.tokens[self.at].kind
    }

    fn kind_at(&self, at: usize) -> &Kind {
        &self.tokens[at.min(self.tokens.len() - 1)].kind
    }

    fn span(&self) -> Span {
        self.tokens[self.at].span.clone()
    }

    /// From `start` to the end of the last token read.
    fn span_from(&self, start: usize) -> Span {
        start..self.tokens[self.at.max(1) - 1].span.end
    }

    fn next(&mut self) -> Token {
        let token = self.tokens[self.at].clone();
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
        token
    }

    fn keyword(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Kind::Keyword(found) if *found == word);
        self.at += usize::from(found);
        found
    }

    fn symbol(&mut self, symbol: &str) -> bool {
        let found = matches!(self.peek(), Kind::Symbol(found) if *found == symbol);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, symbol: &str) -> Result<()> {
        if self.symbol(symbol) { Ok(()) } else { Err(self.unexpected(&format!("'{symbol}'"))) }
    }

    fn number(&mut self, what: &str) -> Result<u32> {
        match *self.peek() {
            Kind::Number(value) => {
                self.at += 1;
                Ok(value)
            }
            _ => Err(self.unexpected(what)),
        }
    }

    fn unexpected(&self, expected: &str) -> FilterError {
        let token = &self.tokens[self.at];
        let found = match token.kind {
            Kind::End => "the filter ends here".to_owned(),
            Kind::Large => {
                let number = &self.text[token.span.clone()];
                let message = format!("number {number} overflows 32 bits");
                return FilterError::value(token.span.clone(), message);
            }
            _ => format!("'{}' does not fit here", &self.text[token.span.clone()]),
        };
        FilterError::syntax(token.span.clone(), format!("{found}; expected {expected}"))
    }

    /// Runs `body` one level deeper.
    fn nested<T>(&mut self, body: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth == NESTING_MAX {
            let message = format!("nested deeper than {NESTING_MAX} levels");
            return Err(FilterError::limit(self.span(), message));
        }
        self.depth += 1;
        let result = body(self);
        self.depth -= 1;
        result
    }

    /// `term { (and | or) (term | id) }`
    fn expr(&mut self, carry: Carry) -> Result<(Expr, Carry)> {
        let start = self.span().start;
        let (first, mut carry) = self.term(carry)?;
        let mut rest = Vec::new();
        while let Some(joint) = self.joint() {
            let (expr, next) = if self.at_id() { self.id(carry)? } else { self.term(carry)? };
            carry = next;
            rest.push((joint, expr));
        }
        Ok((self.chain(start, first, rest), carry))
    }

    fn chain(&self, start: usize, first: Expr, rest: Vec<(Joint, Expr)>) -> Expr {
        if rest.is_empty() {
            return first;
        }
        Expr { node: Node::Chain(Box::new(first), rest), span: self.span_from(start) }
    }

    fn joint(&mut self) -> Option<Joint> {
        if self.keyword("and") {
            Some(Joint::And)
        } else if self.keyword("or") {
            Some(Joint::Or)
        } else {
            None
        }
    }

    /// `{ not } (primitive | '(' expr ')')`
    fn term(&mut self, carry: Carry) -> Result<(Expr, Carry)> {
        let start = self.span().start;
        let mut negated = false;
        while self.keyword("not") {
            negated = !negated;
        }
        let boolean = self.peek() == &Kind::Symbol("(") && !self.at_arith_paren();
        let (inner, carry) = if boolean {
            self.next();
            let (inner, carry) = self.nested(|parser| parser.expr(carry))?;
            self.expect(")")?;
            (inner, carry)
        } else if self.at_every(self.at) {
            (self.every()?, None)
        } else {
            self.primitive()?
        };
        Ok((self.negate(start, inner, negated), carry))
    }

    fn negate(&self, start: usize, inner: Expr, negated: bool) -> Expr {
        if !negated {
            return inner;
        }
        Expr { node: Node::Not(Box::new(inner)), span: self.span_from(start) }
    }

    /// Whether the parenthesis here holds a number: an operator follows it.
    fn at_arith_paren(&self) -> bool {
        let after = self.closing[self.at];
        after > 0 && is_operator(self.kind_at(after))
    }
}

/// Whether a number continues or is compared here.
fn is_operator(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::Symbol(
            "+" | "-"
                | "*"
                | "/"
                | "%"
                | "&"
                | "|"
                | "^"
                | "<<"
                | ">>"
                | "="
                | "!="
                | "<"
                | ">"
                | "<="
                | ">="
        )
    )
}

#[cfg(test)]
mod tests;
