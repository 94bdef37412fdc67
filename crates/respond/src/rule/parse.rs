//! Words into an expression.
//!
//! ```text
//! condition  = test { "and" test } | test { "or" test }        mixed: only with parentheses
//! test       = "not" test | sum [ relation sum | "in" "{" sum { "," sum } "}" ]
//! sum        = product { ("+" | "-") product }
//! product    = factor { "*" factor }
//! factor     = number [ "tick" | "ticks" ] | text | name | "-" factor | "(" condition ")"
//!            | ("min" | "max" | "crosses_above" | "crosses_below") "(" sum "," sum ")"
//! ```

use super::ast::{Arith, Direction, Expr, Node, Relation};
use super::error::{Fault, Span};
use super::lex::{Token, tokens};

/// The longest expression, in bytes.
pub const EXPRESSION_BYTES_MAX: usize = 4096;
/// Parentheses in parentheses, and other nesting.
const DEPTH_MAX: usize = 32;
/// Arithmetic in one expression: so many operators.
const OPERATORS_MAX: usize = 64;
/// Values of a list.
const LIST_MAX: usize = 64;

/// Parses an expression.
///
/// # Errors
/// The first word that does not belong where it stands, and what would.
pub fn parse(text: &str) -> Result<Expr> {
    if text.len() > EXPRESSION_BYTES_MAX {
        let message = format!("more than {EXPRESSION_BYTES_MAX} bytes: use several rules");
        return Err(Fault { span: 0..0, message });
    }
    let tokens = tokens(text)?;
    let mut parser = Parser { tokens: &tokens, at: 0, depth: 0, operators: 0 };
    let expr = parser.condition()?;
    match parser.peek() {
        Token::End => Ok(expr),
        Token::Symbol("=") => Err(parser.fault("a comparison is written ==")),
        _ => Err(parser.fault("this does not belong here: expected 'and', 'or' or the end")),
    }
}

type Result<T> = std::result::Result<T, Fault>;

struct Parser<'t> {
    /// The last is the end.
    tokens: &'t [(Token<'t>, Span)],
    at: usize,
    depth: usize,
    operators: usize,
}

impl<'t> Parser<'t> {
    fn peek(&self) -> Token<'t> {
        self.tokens[self.at].0
    }

    fn span(&self) -> Span {
        self.tokens[self.at].1.clone()
    }

    fn next(&mut self) -> Token<'t> {
        let token = self.peek();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        token
    }

    /// Takes the token if it is next.
    fn take(&mut self, token: Token<'_>) -> bool {
        let is_next = self.peek() == token;
        self.at += usize::from(is_next);
        is_next
    }

    fn fault(&self, message: impl Into<String>) -> Fault {
        Fault { span: self.span(), message: message.into() }
    }

    fn expect(&mut self, symbol: &'static str) -> Result<()> {
        match self.take(Token::Symbol(symbol)) {
            true => Ok(()),
            false => Err(self.fault(format!("expected '{symbol}'"))),
        }
    }

    /// An expression that began at the token `first` and ends before the next one.
    fn expr(&self, node: Node, first: usize) -> Expr {
        let end = self.tokens[self.at.saturating_sub(1).max(first)].1.end;
        Expr { node, span: self.tokens[first].1.start..end }
    }

    /// Calls `inner` one level deeper.
    fn nested(&mut self, inner: fn(&mut Self) -> Result<Expr>) -> Result<Expr> {
        if self.depth == DEPTH_MAX {
            return Err(self.fault(format!("nested more than {DEPTH_MAX} deep: use several rules")));
        }
        self.depth += 1;
        let expr = inner(self);
        self.depth -= 1;
        expr
    }

    fn condition(&mut self) -> Result<Expr> {
        let start = self.at;
        let first = self.test()?;
        let (Token::Word(word @ ("and" | "or")), at) = (self.peek(), self.at) else {
            return Ok(first);
        };
        let mut all = vec![first];
        while self.take(Token::Word(word)) {
            all.push(self.test()?);
        }
        if let Token::Word(other @ ("and" | "or")) = self.peek() {
            let message = format!(
                "'{word}' and '{other}' without parentheses: which goes first? Write (… {word} …) \
                 {other} …, or … {word} (… {other} …)"
            );
            let span = self.tokens[at].1.start..self.span().end;
            return Err(Fault { span, message });
        }
        let node = if word == "and" { Node::And(all) } else { Node::Or(all) };
        Ok(self.expr(node, start))
    }

    fn test(&mut self) -> Result<Expr> {
        let start = self.at;
        if self.take(Token::Word("not")) {
            let inner = self.nested(Self::test)?;
            return Ok(self.expr(Node::Not(inner.into()), start));
        }
        let left = self.sum()?;
        if self.take(Token::Word("in")) {
            let list = self.list()?;
            return Ok(self.expr(Node::In(left.into(), list), start));
        }
        let Some(relation) = self.relation()? else { return Ok(left) };
        let right = self.sum()?;
        let compared = self.expr(Node::Compare(relation, left.into(), right.into()), start);
        match self.relation()? {
            None => Ok(compared),
            Some(_) => {
                self.at -= 1;
                Err(self.fault("one comparison at a time: write a < b and b < c"))
            }
        }
    }

    fn relation(&mut self) -> Result<Option<Relation>> {
        let relation = match self.peek() {
            Token::Symbol("==") => Relation::Equal,
            Token::Symbol("!=") => Relation::NotEqual,
            Token::Symbol("<") => Relation::Less,
            Token::Symbol("<=") => Relation::LessOrEqual,
            Token::Symbol(">") => Relation::Greater,
            Token::Symbol(">=") => Relation::GreaterOrEqual,
            Token::Symbol("=") => return Err(self.fault("a comparison is written ==")),
            _ => return Ok(None),
        };
        self.at += 1;
        Ok(Some(relation))
    }

    fn list(&mut self) -> Result<Vec<Expr>> {
        self.expect("{")?;
        let mut values = vec![self.sum()?];
        while self.take(Token::Symbol(",")) {
            if values.len() == LIST_MAX {
                return Err(self.fault(format!("more than {LIST_MAX} values: use several rules")));
            }
            values.push(self.sum()?);
        }
        match self.take(Token::Symbol("}")) {
            true => Ok(values),
            false => Err(self.fault("expected ',' or '}'")),
        }
    }

    fn sum(&mut self) -> Result<Expr> {
        let start = self.at;
        let mut left = self.product()?;
        loop {
            let arith = match self.peek() {
                Token::Symbol("+") => Arith::Add,
                Token::Symbol("-") => Arith::Subtract,
                _ => return Ok(left),
            };
            self.operator()?;
            self.at += 1;
            let right = self.product()?;
            left = self.expr(Node::Arith(arith, left.into(), right.into()), start);
        }
    }

    /// One more of them.
    fn operator(&mut self) -> Result<()> {
        self.operators += 1;
        match self.operators <= OPERATORS_MAX {
            true => Ok(()),
            false => Err(self.fault(format!("more than {OPERATORS_MAX} operators: simplify it"))),
        }
    }

    fn product(&mut self) -> Result<Expr> {
        let start = self.at;
        let mut left = self.nested(Self::factor)?;
        while self.peek() == Token::Symbol("*") {
            self.operator()?;
            self.at += 1;
            let right = self.nested(Self::factor)?;
            left = self.expr(Node::Arith(Arith::Multiply, left.into(), right.into()), start);
        }
        Ok(left)
    }

    fn factor(&mut self) -> Result<Expr> {
        let start = self.at;
        let node = match self.peek() {
            Token::Number(digits) => {
                self.at += 1;
                match self.take(Token::Word("tick")) || self.take(Token::Word("ticks")) {
                    true => Node::Ticks(digits.to_owned()),
                    false => Node::Number(digits.to_owned()),
                }
            }
            Token::Text(text) => {
                self.at += 1;
                Node::Text(text.to_owned())
            }
            Token::Symbol("-") => {
                self.at += 1;
                Node::Negative(self.nested(Self::factor)?.into())
            }
            Token::Symbol("(") => {
                self.at += 1;
                let inner = self.condition()?;
                self.expect(")")?;
                return Ok(Expr { span: self.expr(Node::And(vec![]), start).span, ..inner });
            }
            Token::Word("min" | "max" | "crosses_above" | "crosses_below") => self.call()?,
            Token::Word("and" | "or" | "not" | "in" | "tick" | "ticks") => {
                return Err(self.fault("expected a number, a text or a name before this word"));
            }
            Token::Word(name) => {
                self.at += 1;
                Node::Name(name.to_owned())
            }
            Token::End => return Err(self.fault("expected a number, a text or a name")),
            Token::Symbol(_) => {
                return Err(self.fault("expected a number, a text or a name before this"));
            }
        };
        Ok(self.expr(node, start))
    }

    fn call(&mut self) -> Result<Node> {
        self.operator()?;
        let word = self.next();
        self.expect("(")?;
        let one = self.sum()?.into();
        self.expect(",")?;
        let other = self.sum()?.into();
        self.expect(")")?;
        Ok(match word {
            Token::Word("min") => Node::Arith(Arith::Min, one, other),
            Token::Word("max") => Node::Arith(Arith::Max, one, other),
            Token::Word("crosses_above") => Node::Crosses(Direction::Above, one, other),
            _ => Node::Crosses(Direction::Below, one, other),
        })
    }
}
