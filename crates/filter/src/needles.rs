//! Bytes that every accepted packet contains: a symbol, padded as in a message.
//!
//! A search over the whole packet is many times faster than a walk from message to message, in
//! which each step waits for the one before. Most packets do not have the symbol at all; those that
//! do are decided by the walk. [`crate::search`] searches.

use crate::ast::{Expr, FieldTest, Joint, Node, Primitive, Relation};
use crate::fields::{self, Bound, Subject};

/// Each is searched by itself: with more of them a walk is faster.
const NEEDLES_MAX: usize = 4;
/// Shorter ones are found everywhere.
const NEEDLE_BYTES_MIN: usize = 4;

/// Of which an accepted packet contains one.
pub(crate) type Needles = Vec<Vec<u8>>;

/// The needles of an expression; none where a packet may be accepted without, or where they are too
/// many. Depth is bounded by [`NESTING_MAX`](crate::NESTING_MAX).
pub(crate) fn of(expr: &Expr) -> Option<Needles> {
    match &expr.node {
        Node::All | Node::Not(_) => None,
        Node::Every(inner) => of(inner),
        Node::Chain(first, rest) => {
            rest.iter().fold(of(first), |left, (joint, right)| match (left, joint) {
                (Some(left), Joint::Or) => few([left, of(right)?].concat()),
                (None, Joint::Or) => None,
                (None, Joint::And) => of(right),
                (Some(left), Joint::And) => {
                    Some(of(right).filter(|right| right.len() < left.len()).unwrap_or(left))
                }
            })
        }
        Node::Primitive(Primitive::Market(test)) => of_field(test),
        Node::Primitive(_) => None,
    }
}

fn of_field(test: &FieldTest) -> Option<Needles> {
    let Subject::Message(variants) = fields::find(&test.name).ok()?.1 else { return None };
    if test.relation != Relation::Equal || test.file.is_some() {
        return None;
    }
    let mut needles = Needles::new();
    for value in &test.values {
        if value.high.is_some() {
            return None;
        }
        for variant in &variants {
            let Ok(Bound::Text(mut text)) = fields::bound(&variant.shape, &value.low) else {
                return None;
            };
            text.resize(variant.shape.len as usize, b' ');
            if text.len() < NEEDLE_BYTES_MIN {
                return None;
            }
            if !needles.contains(&text) {
                needles.push(text);
            }
        }
        if needles.len() > NEEDLES_MAX {
            return None;
        }
    }
    Some(needles)
}

fn few(needles: Needles) -> Option<Needles> {
    (needles.len() <= NEEDLES_MAX).then_some(needles)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needles(text: &str) -> Option<Vec<String>> {
        let needles = of(&crate::parse(text).unwrap())?;
        Some(needles.into_iter().map(|needle| String::from_utf8(needle).unwrap()).collect())
    }

    #[test]
    fn what_every_accepted_packet_contains() {
        for (text, expected) in [
            ("itch.stock == AAPL", vec!["AAPL    "]),
            ("udp and itch.stock == AAPL and itch.price > 5", vec!["AAPL    "]),
            ("itch.stock == AAPL or iex.symbol == A", vec!["AAPL    ", "A       "]),
            ("itch.stock in {AAPL, MSFT} and itch.mpid == NITE", vec!["NITE"]),
            ("all(itch.stock == AAPL or itch.stock == AAPL)", vec!["AAPL    ", "AAPL    "]),
            ("tcp or udp and itch.stock == AAPL", vec!["AAPL    "]),
        ] {
            let expected = expected.into_iter().map(str::to_owned).collect();
            assert_eq!(needles(text), Some(expected), "{text}");
        }
        for text in [
            "tcp",
            "itch.stock != AAPL",
            "not itch.stock == AAPL",
            "tcp or itch.stock == AAPL",
            "itch.stock >= AAPL",
            "itch.stock in AAPL..B",
            "itch.price == 5",
            "itch.type == A",
            "moldudp64.session == A",
            "itch.stock in {A, B, C, D, E}",
        ] {
            assert_eq!(needles(text), None, "{text}");
        }
    }
}
