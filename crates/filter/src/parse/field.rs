//! Comparisons of fields of market data: `itch.stock == "AAPL"`, `itch.price in {1.5, 2..3}`.
//!
//! A name with dots is that of a host everywhere else, and no host is ever compared: the comparison
//! behind the name is what makes it a field.

use super::Parser;
use crate::ast::{Expr, FieldTest, FieldValue, Literal, Node, Primitive, Relation};
use crate::error::{FilterError, Result, Span};
use crate::fields;
use crate::lex::Kind;

/// How many values a list may have.
pub const FIELD_VALUES_MAX: usize = 1_000;

const EXPECTED: &str = "a value such as 100, 100.25 or \"AAPL\"";

/// The value in a line of a list; `None` where there is none, a comment at most.
///
/// # Errors
/// What is wrong with the line.
pub(crate) fn value_of_line(
    line: &str,
    span: &Span,
) -> std::result::Result<Option<FieldValue>, &'static str> {
    let line = line.trim();
    let literal =
        |text: &str, quoted| Literal { text: text.to_owned(), quoted, span: span.clone() };
    if let Some(rest) = line.strip_prefix('"') {
        let (text, rest) = rest.split_once('"').ok_or("a quotation mark is missing")?;
        return match rest.trim_start().starts_with('#') || rest.is_empty() {
            true => Ok(Some(FieldValue { low: literal(text, true), high: None })),
            false => Err("something follows the quotation mark; write one value a line"),
        };
    }
    // A symbol may hold one.
    let comment = line.char_indices().find(|&(at, character)| {
        character == '#' && line[..at].chars().next_back().is_none_or(char::is_whitespace)
    });
    let line = line[..comment.map_or(line.len(), |(at, _)| at)].trim_end();
    if line.contains(char::is_whitespace) {
        return Err("a blank is in the value; write one value a line, and \"…\" around blanks");
    }
    Ok(match line.split_once("..") {
        _ if line.is_empty() => None,
        Some((low, high)) if !low.is_empty() && !high.is_empty() => {
            Some(FieldValue { low: literal(low, false), high: Some(literal(high, false)) })
        }
        _ => Some(FieldValue { low: literal(line, false), high: None }),
    })
}

impl Parser<'_> {
    /// Whether a field and its comparison begin at this token.
    pub(super) fn at_field(&self, at: usize) -> bool {
        let Kind::Name(name) = self.kind_at(at) else { return false };
        name.contains('.')
            && match self.kind_at(at + 1) {
                Kind::Symbol("=" | "!=" | "<" | "<=" | ">" | ">=") => true,
                Kind::Name(word) => word == "in",
                _ => false,
            }
    }

    /// Whether `all(` begins at this token: no host of that name can stand before a parenthesis.
    pub(super) fn at_every(&self, at: usize) -> bool {
        matches!(self.kind_at(at), Kind::Name(word) if word == "all")
            && self.kind_at(at + 1) == &Kind::Symbol("(")
    }

    /// # Errors
    /// When a field stands here, which has no comparison.
    pub(super) fn no_comparison(&self) -> Result<()> {
        match self.peek() {
            Kind::Name(name) if fields::find(name).is_ok() => {
                let message = format!(
                    "'{name}' is a field and lacks its comparison: == != < <= > >= or in {{…}}"
                );
                Err(FilterError::syntax(self.span(), message))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn every(&mut self) -> Result<Expr> {
        let start = self.next().span.start;
        self.expect("(")?;
        let (inner, _) = self.nested(|parser| parser.expr(None))?;
        self.expect(")")?;
        Ok(Expr { node: Node::Every(Box::new(inner)), span: self.span_from(start) })
    }

    /// `name relation value`, `name in value..value`, `name in { values }`, `name in @file`
    pub(super) fn field_test(&mut self) -> Result<Primitive> {
        let name = self.next();
        let name_span = name.span;
        let name = self.text[name_span.clone()].to_owned();
        let list = matches!(self.peek(), Kind::Name(_));
        let relation = if list { Relation::Equal } else { self.relation()? };
        self.at += usize::from(list);
        let (mut values, mut file) = (Vec::new(), None);
        if let Kind::File(name) = self.peek()
            && list
        {
            file = Some((name.clone(), self.span()));
            self.at += 1;
        } else if list && self.symbol("{") {
            loop {
                values.push(self.field_value(true)?);
                if values.len() > FIELD_VALUES_MAX {
                    let message = format!("more than {FIELD_VALUES_MAX} values in a list");
                    return Err(FilterError::limit(self.span(), message));
                }
                if !self.symbol(",") {
                    break;
                }
            }
            if !self.symbol("}") {
                return Err(self.unexpected("',' or '}'"));
            }
        } else {
            let value = self.field_value(list)?;
            if list && value.high.is_none() {
                let span = value.low.span;
                let message = "'in' takes a range such as 1..9, a list such as {1, 5..9}, or @FILE";
                return Err(FilterError::syntax(span, message));
            }
            values.push(value);
        }
        Ok(Primitive::Market(FieldTest { name, name_span, relation, values, file }))
    }

    fn field_value(&mut self, ranges: bool) -> Result<FieldValue> {
        let low = self.literal()?;
        // `1..9` is one token, since a name may hold dots and begin with a digit.
        if let Some((from, to)) = low.text.split_once("..").filter(|_| ranges && !low.quoted) {
            let middle = low.span.end - to.len();
            let from = (from.to_owned(), low.span.start..middle - 2);
            let to = (to.to_owned(), middle..low.span.end);
            let [low, high] = [from, to].map(|(text, span)| Literal { text, quoted: false, span });
            if !high.text.is_empty() {
                return Ok(FieldValue { low, high: Some(high) });
            }
            return Ok(FieldValue { low, high: Some(self.literal()?) });
        }
        let high = if ranges && self.symbol("..") { Some(self.literal()?) } else { None };
        Ok(FieldValue { low, high })
    }

    fn literal(&mut self) -> Result<Literal> {
        let start = self.span().start;
        let negative = self.symbol("-");
        match self.peek() {
            Kind::Text(text) if !negative => {
                let text = text.clone();
                self.at += 1;
                Ok(Literal { text, quoted: true, span: self.span_from(start) })
            }
            Kind::Keyword("and" | "or" | "not") => Err(self.unexpected(EXPECTED)),
            // Twelve digits are a MAC address elsewhere.
            Kind::Number(_)
            | Kind::Large
            | Kind::Mac(_)
            | Kind::Dotted
            | Kind::Name(_)
            | Kind::Keyword(_) => {
                self.at += 1;
                let span = self.span_from(start);
                Ok(Literal { text: self.text[span.clone()].to_owned(), quoted: false, span })
            }
            _ => Err(self.unexpected(EXPECTED)),
        }
    }
}
