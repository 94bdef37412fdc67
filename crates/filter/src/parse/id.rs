//! Addresses, names and numbers, and the qualifiers in front of them.

use super::{Carry, Parser, is_operator};
use crate::ast::{Direction, Expr, Id, List, Mask, Node, Primitive, Qualifiers, Which};
use crate::error::{FilterError, Result};
use crate::lex::Kind;

impl Parser<'_> {
    /// Whether an id without qualifiers stands here, rather than a test. Parentheses and `not` may
    /// come before it; a number that is part of arithmetic is no id.
    pub(super) fn at_id(&self) -> bool {
        let mut at = self.at;
        let mut open = 0;
        loop {
            match self.kind_at(at) {
                Kind::Keyword("not") => at += 1,
                Kind::Symbol("(") => {
                    open += 1;
                    at += 1;
                }
                Kind::Number(_) => break,
                kind => return is_id(kind) && !self.at_field(at) && !self.at_every(at),
            }
        }
        at += 1;
        while open > 0 && self.kind_at(at) == &Kind::Symbol(")") {
            open -= 1;
            at += 1;
        }
        !is_operator(self.kind_at(at))
    }

    /// `{ not } (id | '(' id { (and | or) id } ')')`
    pub(super) fn id(&mut self, carry: Carry) -> Result<(Expr, Carry)> {
        let start = self.span().start;
        let mut negated = false;
        while self.keyword("not") {
            negated = !negated;
        }
        let inner = if self.symbol("(") {
            let inner = self.nested(|parser| {
                let start = parser.span().start;
                let (first, _) = parser.id(carry)?;
                let mut rest = Vec::new();
                while let Some(joint) = parser.joint() {
                    rest.push((joint, parser.id(carry)?.0));
                }
                Ok(parser.chain(start, first, rest))
            })?;
            self.expect(")")?;
            inner
        } else {
            self.plain_id(carry)?
        };
        Ok((self.negate(start, inner, negated), carry))
    }

    fn plain_id(&mut self, carry: Carry) -> Result<Expr> {
        let at = self.span();
        let Some(qualifiers) = carry else {
            self.no_comparison()?;
            let message = format!(
                "'{}' has no qualifier, and there is none before it to carry over; \
                 write for example 'host {0}'",
                &self.text[at.clone()]
            );
            return Err(FilterError::syntax(at, message));
        };
        let id = match self.list(qualifiers)? {
            Some(list) => Id::List(list),
            None => self.value(qualifiers)?,
        };
        let node = Node::Primitive(Primitive::Id(qualifiers, id));
        Ok(Expr { node, span: self.span_from(at.start) })
    }

    /// `in { id, … }` or `in @file`. A host may be called `in`.
    fn list(&mut self, qualifiers: Qualifiers) -> Result<Option<List>> {
        if !matches!(self.peek(), Kind::Name(name) if name == "in") {
            return Ok(None);
        }
        match self.kind_at(self.at + 1).clone() {
            Kind::File(name) => {
                self.at += 2;
                Ok(Some(List::File(name)))
            }
            Kind::Symbol("{") => {
                self.at += 2;
                let mut values = Vec::new();
                loop {
                    let start = self.span().start;
                    values.push((self.value(qualifiers)?, self.span_from(start)));
                    if !self.symbol(",") {
                        break;
                    }
                }
                if !self.symbol("}") {
                    return Err(self.unexpected("',' or '}'"));
                }
                Ok(Some(List::Here(values)))
            }
            _ => Ok(None),
        }
    }

    /// An address, name or number.
    pub(super) fn value(&mut self, qualifiers: Qualifiers) -> Result<Id> {
        let token = self.next();
        Ok(match token.kind {
            Kind::Name(name) => Id::Name(name),
            Kind::Number(value) => Id::Number(value),
            Kind::Mac(address) => Id::Mac(address),
            Kind::Octet(address) => Id::Octet(address),
            Kind::V6(address) => {
                let length =
                    if self.symbol("/") { Some(self.number("a prefix length")?) } else { None };
                Id::V6(address, length)
            }
            Kind::Dotted => Id::Dotted(self.text[token.span.clone()].to_owned(), self.mask()?),
            _ => {
                self.at -= usize::from(token.kind != Kind::End);
                return Err(self.unexpected(&expected_id(qualifiers)));
            }
        })
    }

    fn mask(&mut self) -> Result<Mask> {
        if self.symbol("/") {
            return Ok(Mask::Length(self.number("a prefix length")?));
        }
        if !self.keyword("mask") {
            return Ok(Mask::Implied);
        }
        let span = self.span();
        match self.peek() {
            Kind::Dotted => {
                self.at += 1;
                Ok(Mask::Dotted(self.text[span].to_owned()))
            }
            _ => Err(self.unexpected("a mask such as 255.255.0.0")),
        }
    }

    /// `[direction] [kind]` after the protocol; none of both is no head.
    pub(super) fn head(&mut self, protocol: Option<&'static str>) -> Result<Option<Qualifiers>> {
        let direction = self.direction();
        let kind = match self.peek() {
            Kind::Keyword("host") => Some(Which::Host),
            Kind::Keyword("net") => Some(Which::Net),
            Kind::Keyword("port") => Some(Which::Port),
            Kind::Keyword("portrange") => Some(Which::PortRange),
            Kind::Keyword("proto") => Some(Which::Proto),
            Kind::Keyword("protochain") => Some(Which::ProtoChain),
            Kind::Keyword("gateway") => Some(Which::Gateway),
            _ => None,
        };
        if let Some(kind) = kind {
            if matches!(kind, Which::Proto | Which::ProtoChain | Which::Gateway)
                && direction.is_some()
            {
                return Err(self.unexpected("host, net, port, portrange, or an address"));
            }
            self.at += 1;
        } else if direction.is_none() {
            return Ok(None);
        }
        Ok(Some(Qualifiers { protocol, direction, kind }))
    }

    fn direction(&mut self) -> Option<Direction> {
        let (word, other) = match self.peek() {
            Kind::Keyword("src") => (Direction::Source, "dst"),
            Kind::Keyword("dst") => (Direction::Destination, "src"),
            Kind::Keyword(word @ ("addr1" | "addr2" | "addr3" | "addr4" | "ra" | "ta")) => {
                let word = *word;
                self.at += 1;
                return Some(Direction::Wlan(word));
            }
            _ => return None,
        };
        self.at += 1;
        // `src or dst` is one direction only if `dst` follows directly.
        let joined = self.kind_at(self.at + 1) == &Kind::Keyword(other);
        match self.peek() {
            Kind::Keyword("or") if joined => {
                self.at += 2;
                Some(Direction::Either)
            }
            Kind::Keyword("and") if joined => {
                self.at += 2;
                Some(Direction::Both)
            }
            _ => Some(word),
        }
    }
}

fn expected_id(qualifiers: Qualifiers) -> String {
    match qualifiers.kind {
        Some(Which::Port) => "a port".to_owned(),
        Some(Which::PortRange) => "a port range such as 1-1023".to_owned(),
        Some(Which::Proto | Which::ProtoChain) => {
            "a protocol by number or name (a keyword as name needs a backslash: \\tcp)".to_owned()
        }
        _ => "an address or a name (a keyword as name needs a backslash)".to_owned(),
    }
}

fn is_id(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::Name(_)
            | Kind::Dotted
            | Kind::V6(_)
            | Kind::Mac(_)
            | Kind::Octet(_)
            | Kind::Number(_)
    )
}
