//! An expression, for one type of message: names become operands, types and intervals are checked,
//! and what is known beforehand is computed beforehand.

use super::Source;
use super::ast::{Arith, Direction, Expr, Node, Relation};
use super::error::{Fault, Span};
use super::names::{Meaning, Names, Type};
use super::num::{Kind, Num, arith};
use super::program::{Load, Operand, SideOf};
use super::test::{Test, compared, join};
use crate::level1::{NUMBER_MAX, Word};
use crate::order::Side;
use tickwire_market::field::Field;
use tickwire_market::price::{self, Unreadable};
use tickwire_market::shape::{self, Shape};

type Result<T> = std::result::Result<T, Fault>;

fn fault<T>(span: &Span, message: impl Into<String>) -> Result<T> {
    Err(Fault { span: span.clone(), message: message.into() })
}

/// Makes operands of names.
pub(super) struct Lower<'a> {
    pub source: &'a Source<'a>,
    pub names: &'a Names,
    pub message: &'a Type,
}

impl Lower<'_> {
    /// A condition. A comparison with a field that the message does not have is false.
    pub(super) fn test(&self, expr: &Expr) -> Result<Test> {
        match &expr.node {
            Node::Not(inner) => Ok(match self.test(inner)? {
                Test::Const(outcome) => Test::Const(!outcome),
                other => Test::Not(other.into()),
            }),
            Node::And(all) => self.all(all, false, Test::And),
            Node::Or(all) => self.all(all, true, Test::Or),
            Node::Compare(relation, left, right) => self.compare(*relation, left, right),
            Node::In(one, list) => {
                let tests = list.iter().map(|value| self.compare(Relation::Equal, one, value));
                join(tests, true, Test::Or)
            }
            Node::Crosses(direction, word, number) => self.crosses(*direction, word, number),
            Node::Name(name) if self.meaning(name, &expr.span)? == Meaning::Fresh => {
                let fresh = Num::operand(Operand::Fresh, 0, 1);
                Ok(Test::Compare(fresh, Relation::Equal, Num::constant(1)))
            }
            _ => fault(&expr.span, "this is no condition: compare it, such as price < 100.00"),
        }
    }

    /// Tests of which one alone decides when it comes out as `decisive`.
    fn all(&self, all: &[Expr], decisive: bool, joined: fn(Vec<Test>) -> Test) -> Result<Test> {
        join(all.iter().map(|expr| self.test(expr)), decisive, joined)
    }

    fn compare(&self, relation: Relation, left: &Expr, right: &Expr) -> Result<Test> {
        match (&left.node, &right.node) {
            (_, Node::Text(text)) => self.compare_text(relation, left, text, &right.span),
            (Node::Text(text), _) => self.compare_text(relation, right, text, &left.span),
            _ => {
                let kind = self.kind(left)?.or(self.kind(right)?);
                let Some(kind) = kind else {
                    let span = left.span.start..right.span.end;
                    return fault(&span, "two constants are compared: name a field");
                };
                let sides = (self.number(left, kind)?, self.number(right, kind)?);
                let (Some(left), Some(right)) = sides else { return Ok(Test::Const(false)) };
                Ok(compared(left, relation, right))
            }
        }
    }

    fn crosses(&self, direction: Direction, word: &Expr, number: &Expr) -> Result<Test> {
        let name = match &word.node {
            Node::Name(name) => self.meaning(name, &word.span)?,
            _ => Meaning::Fresh,
        };
        let Meaning::Word(name) = name else {
            let message = "only bid, ask, bid_size, ask_size, spread, last and last_size can cross";
            return fault(&word.span, message);
        };
        let Some(number) = self.number(number, kind_of(name))? else {
            return Ok(Test::Const(false));
        };
        let (was, is) = match direction {
            Direction::Above => (Relation::LessOrEqual, Relation::Greater),
            Direction::Below => (Relation::GreaterOrEqual, Relation::Less),
        };
        let (low, high) = self.interval(name);
        let now = Num::operand(Operand::Now(name), low, high);
        let before = Num::operand(Operand::Before(name), low, high);
        let tests = [Ok(compared(before, was, number.clone())), Ok(compared(now, is, number))];
        join(tests.into_iter(), false, Test::And)
    }

    /// A field that holds text, the type, or the side, and a text.
    fn compare_text(
        &self,
        relation: Relation,
        subject: &Expr,
        text: &str,
        span: &Span,
    ) -> Result<Test> {
        if !matches!(relation, Relation::Equal | Relation::NotEqual) {
            return fault(span, "text is compared with ==, != or in {…}");
        }
        let Node::Name(name) = &subject.node else {
            return fault(&subject.span, "this is no text: name a field that holds one");
        };
        let (operand, number) = match self.meaning(name, &subject.span)? {
            Meaning::Type => {
                let known = self.names.types().iter();
                if !known.clone().any(|of| text.as_bytes() == [of.key]) {
                    let letters = known.map(|of| char::from(of.key)).collect::<String>();
                    let message =
                        format!("no message about an instrument has this type: one of {letters}");
                    return fault(span, message);
                }
                let is_type = text.as_bytes() == [self.message.key];
                return Ok(Test::Const(is_type == (relation == Relation::Equal)));
            }
            Meaning::Side => {
                let Some(side) = self.message.side(self.source.protocol) else {
                    return Ok(Test::Const(false));
                };
                let (field, [buy, sell]) = side;
                let byte = match text {
                    "buy" => buy,
                    "sell" => sell,
                    _ => return fault(span, "a side is \"buy\" or \"sell\""),
                };
                (Operand::Field(load(field, 1)), i64::from(byte))
            }
            Meaning::Field(name) => {
                let any = self.any_field(name);
                let shape = Shape::of(any);
                if shape.kind != shape::Kind::Text {
                    return fault(span, format!("{name} holds no text, but a {shape}"));
                }
                let Some(number) = text_number(text, any.len) else {
                    let message = format!("{name} has at most {} characters", any.len);
                    return fault(span, message);
                };
                let Some(field) = self.message.field(name) else { return Ok(Test::Const(false)) };
                (Operand::Field(load(field, 1)), number)
            }
            Meaning::Word(_) | Meaning::Fresh => {
                return fault(span, format!("{name} is no text: compare it with a number"));
            }
        };
        let whole = (i64::MIN.into(), i64::MAX.into());
        let subject = Num::operand(operand, whole.0, whole.1);
        Ok(Test::Compare(subject, relation, Num::constant(number)))
    }

    /// The side of an order; `None` when it is that of the message, which has none.
    pub(super) fn side(&self, text: &str) -> Result<Option<SideOf>> {
        let turned = match text {
            "buy" => return Ok(Some(SideOf::Const(Side::Buy))),
            "sell" => return Ok(Some(SideOf::Const(Side::Sell))),
            "sell_short" => return Ok(Some(SideOf::Const(Side::SellShort))),
            "same" => false,
            "opposite" => true,
            _ => {
                let message = "a side is buy, sell, sell_short, same or opposite";
                return fault(&(0..text.len()), message);
            }
        };
        let side = self.message.side(self.source.protocol);
        Ok(side.map(|(field, [buy, sell])| {
            let (buy, sell) = if turned { (sell, buy) } else { (buy, sell) };
            SideOf::Message { offset: field.offset as u16, buy, sell }
        }))
    }

    /// What a number counts, whatever the message; `None` of literals, which follow what they are
    /// compared with.
    fn kind(&self, expr: &Expr) -> Result<Option<Kind>> {
        Ok(match &expr.node {
            Node::Name(name) => Some(match self.meaning(name, &expr.span)? {
                Meaning::Word(word) => kind_of(word),
                Meaning::Field(name) => match Shape::of(self.any_field(name)).kind {
                    shape::Kind::Price { .. } => Kind::Price,
                    shape::Kind::Text | shape::Kind::Other => {
                        let message = format!("{name} is no number: compare it with a text, \"…\"");
                        return fault(&expr.span, message);
                    }
                    _ => Kind::Number,
                },
                Meaning::Type | Meaning::Side => {
                    let message = format!("{name} is no number: compare it with a text, \"…\"");
                    return fault(&expr.span, message);
                }
                Meaning::Fresh => {
                    return fault(&expr.span, "this is true or false: write it without comparison");
                }
            }),
            Node::Ticks(_) => Some(Kind::Price),
            Node::Negative(inner) => self.kind(inner)?,
            Node::Arith(Arith::Multiply, left, right) => {
                match (self.kind(left)?, self.kind(right)?) {
                    (None, None) => None,
                    (Some(Kind::Price), _) | (_, Some(Kind::Price)) => Some(Kind::Price),
                    _ => Some(Kind::Number),
                }
            }
            Node::Arith(_, left, right) => self.kind(left)?.or(self.kind(right)?),
            _ => None,
        })
    }

    /// A number of that kind; `None` when the message does not have a field of it.
    pub(super) fn number(&self, expr: &Expr, kind: Kind) -> Result<Option<Num>> {
        let span = &expr.span;
        match &expr.node {
            Node::Number(digits) => Ok(Some(Num::constant(self.literal(digits, kind, span)?))),
            Node::Ticks(digits) => {
                if kind != Kind::Price {
                    return fault(span, "ticks are money, and this is a number of something else");
                }
                self.ticks(digits, span).map(Some)
            }
            Node::Name(name) => self.named(name, kind, span),
            Node::Negative(inner) => {
                let zero = Num::constant(0);
                let inner = self.number(inner, kind)?;
                inner.map(|inner| arith(Arith::Subtract, zero, inner, span)).transpose()
            }
            Node::Arith(Arith::Multiply, left, right) => self.product(left, right, kind, span),
            Node::Arith(of, left, right) => {
                if kind == Kind::Price && matches!(of, Arith::Add | Arith::Subtract) {
                    plain_number(left)?;
                    plain_number(right)?;
                }
                let sides = (self.number(left, kind)?, self.number(right, kind)?);
                let (Some(left), Some(right)) = sides else { return Ok(None) };
                arith(*of, left, right, span).map(Some)
            }
            Node::Text(_) => fault(span, "a number is needed here, not a text"),
            _ => fault(span, "a number is needed here, not a condition"),
        }
    }

    fn product(&self, left: &Expr, right: &Expr, kind: Kind, span: &Span) -> Result<Option<Num>> {
        let kinds = (self.kind(left)?, self.kind(right)?);
        let (left_kind, right_kind) = match (kind, kinds) {
            (Kind::Price, (Some(Kind::Price), Some(Kind::Price))) => {
                return fault(span, "a price times a price is no price: multiply with a number");
            }
            (Kind::Price, (None, None)) => {
                return fault(span, "write the product as one number");
            }
            (Kind::Price, (Some(Kind::Price), _)) => (Kind::Price, Kind::Number),
            (Kind::Price, (_, Some(Kind::Price))) => (Kind::Number, Kind::Price),
            _ => (Kind::Number, kind),
        };
        let sides = (self.number(left, left_kind)?, self.number(right, right_kind)?);
        let (Some(left), Some(right)) = sides else { return Ok(None) };
        arith(Arith::Multiply, left, right, span).map(Some)
    }

    fn named(&self, name: &str, kind: Kind, span: &Span) -> Result<Option<Num>> {
        let found = self.kind(&Expr { node: Node::Name(name.to_owned()), span: span.clone() })?;
        if found != Some(kind) {
            let message = match kind {
                Kind::Price => format!("{name} is no price: prices go with prices only"),
                Kind::Number => format!("{name} is a price: prices go with prices only"),
            };
            return fault(span, message);
        }
        match self.meaning(name, span)? {
            Meaning::Word(word) => {
                let (low, high) = self.interval(word);
                Ok(Some(Num::operand(Operand::Now(word), low, high)))
            }
            Meaning::Field(name) => {
                let Some(field) = self.message.field(name) else { return Ok(None) };
                self.field(field, span).map(Some)
            }
            Meaning::Type | Meaning::Side | Meaning::Fresh => Ok(None),
        }
    }

    fn field(&self, field: &'static Field, span: &Span) -> Result<Num> {
        let shape = Shape::of(field);
        let factor = match shape.kind {
            shape::Kind::Price { decimals, .. } => {
                let Some(missing) = self.source.scale.0.checked_sub(decimals) else {
                    let message = format!(
                        "{} has {decimals} decimals, more than prices have here",
                        field.name
                    );
                    return fault(span, message);
                };
                10_u32.pow(missing)
            }
            _ => 1,
        };
        let max = NUMBER_MAX / i64::from(factor);
        let (low, high) = shape.limits();
        let bound = |limit: i128| limit.clamp((-max).into(), max.into()) * i128::from(factor);
        Ok(Num::operand(Operand::Field(load(field, factor)), bound(low), bound(high)))
    }

    fn literal(&self, digits: &str, kind: Kind, span: &Span) -> Result<i64> {
        let decimals = if kind == Kind::Price { self.source.scale.0 } else { 0 };
        let number = price::parse(digits, decimals).or_else(|error| {
            let message = match (error, kind) {
                (Unreadable::NotAPrice, _) => format!("{digits} is no number"),
                (Unreadable::Decimals(_), Kind::Number) => {
                    format!("{digits} has to be a whole number")
                }
                (Unreadable::Decimals(count), Kind::Price) => {
                    format!("{digits} has {count} decimals; prices have {decimals} here")
                }
            };
            fault(span, message)
        })?;
        match (0..=i128::from(NUMBER_MAX)).contains(&number) {
            true => Ok(number as i64),
            false => fault(span, format!("{digits} is beyond what any message says")),
        }
    }

    fn ticks(&self, digits: &str, span: &Span) -> Result<Num> {
        let count = Num::constant(self.literal(digits, Kind::Number, span)?);
        let (low, high) = self.source.ticks;
        let tick = match low == high {
            true => Num::constant(low),
            false => Num::operand(Operand::Now(Word::Tick), low.into(), high.into()),
        };
        arith(Arith::Multiply, count, tick, span)
    }

    fn meaning(&self, name: &str, span: &Span) -> Result<Meaning> {
        self.names.meaning(name).map_err(|message| Fault { span: span.clone(), message })
    }

    /// The field of that name in the first type that has it. All have it alike, but for its place.
    fn any_field(&self, name: &str) -> &'static Field {
        let field = self.names.types().iter().find_map(|of| of.field(name));
        field.expect("a meaning is a field of some type")
    }

    fn interval(&self, word: Word) -> (i128, i128) {
        let max = i128::from(NUMBER_MAX);
        match word {
            Word::Bid | Word::Ask | Word::Last => (-max, max),
            Word::Spread => (-2 * max, 2 * max),
            Word::BidSize | Word::AskSize | Word::LastSize => (0, max),
            Word::Tick => (self.source.ticks.0.into(), self.source.ticks.1.into()),
        }
    }
}

fn kind_of(word: Word) -> Kind {
    match word {
        Word::BidSize | Word::AskSize | Word::LastSize => Kind::Number,
        _ => Kind::Price,
    }
}

/// `price + 1`: of what?
fn plain_number(expr: &Expr) -> Result<()> {
    match &expr.node {
        Node::Number(digits) if !digits.contains('.') => {
            fault(&expr.span, format!("{digits} of what? Write {digits} ticks, or {digits}.00"))
        }
        _ => Ok(()),
    }
}

fn load(field: &Field, factor: u32) -> Load {
    let shape = Shape::of(field);
    Load {
        offset: field.offset as u16,
        len: field.len as u8,
        little: shape.little,
        signed: shape.is_signed(),
        text: shape.kind == shape::Kind::Text,
        factor,
        max: NUMBER_MAX / i64::from(factor),
    }
}

/// `text`, padded with spaces, as a field of that length is loaded.
fn text_number(text: &str, len: usize) -> Option<i64> {
    let mut padded = [b' '; 8];
    let padded = padded.get_mut(..len)?;
    padded.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
    let number = padded.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    Some(number as i64)
}
