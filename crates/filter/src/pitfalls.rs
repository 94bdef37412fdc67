//! What is easily mistaken in an expression: it means something, but often not what was meant.
//!
//! Only the tree is looked at. What an encapsulation shifts is a matter of the compiler:
//! [`Filter::warnings`](crate::Filter::warnings).

use crate::ast::{Arith, ArithNode, Expr, Joint, Node, Primitive, Which};
use crate::error::Span;

/// The most pitfalls that are named.
pub const PITFALLS_MAX: usize = 20;

/// Something that is easily mistaken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pitfall {
    /// Where in the text.
    pub span: Span,
    /// What it means, and what to write instead.
    pub message: String,
}

/// The pitfalls of `tree`, which was made from `text`; at most [`PITFALLS_MAX`], in order.
pub fn find(tree: &Expr, text: &str) -> Vec<Pitfall> {
    let mut finder = Finder { text, found: Vec::new() };
    finder.walk(tree, false);
    finder.found.sort_by_key(|pitfall| (pitfall.span.start, pitfall.span.end));
    finder.found.dedup();
    finder.found.truncate(PITFALLS_MAX);
    finder.found
}

struct Finder<'a> {
    text: &'a str,
    found: Vec<Pitfall>,
}

impl Finder<'_> {
    fn add(&mut self, span: &Span, message: impl Into<String>) {
        self.found.push(Pitfall { span: span.clone(), message: message.into() });
    }

    /// Depth is bounded by [`NESTING_MAX`](crate::NESTING_MAX).
    fn walk(&mut self, expr: &Expr, negated: bool) {
        match &expr.node {
            Node::All => {}
            Node::Not(inner) => self.walk(inner, !negated),
            Node::Every(inner) => self.walk(inner, negated),
            Node::Chain(first, rest) => {
                self.precedence(expr, rest);
                self.walk(first, negated);
                for (_, right) in rest {
                    self.walk(right, negated);
                }
            }
            Node::Primitive(primitive) => self.primitive(expr, primitive, negated),
        }
    }

    /// `a or b and c` is `(a or b) and c`.
    fn precedence(&mut self, expr: &Expr, rest: &[(Joint, Expr)]) {
        let or = rest.iter().position(|(joint, _)| *joint == Joint::Or);
        let and = rest.iter().rposition(|(joint, _)| *joint == Joint::And);
        if or.zip(and).is_some_and(|(or, and)| or < and) {
            let message = "'and' and 'or' bind equally, from left to right: a or b and c is \
                           (a or b) and c; write parentheses";
            self.add(&expr.span, message);
        }
    }

    fn primitive(&mut self, expr: &Expr, primitive: &Primitive, negated: bool) {
        match primitive {
            Primitive::Relation(left, _, right) => {
                self.arith(left);
                self.arith(right);
            }
            Primitive::Id(qualifiers, _) if negated => {
                if matches!(qualifiers.kind, Some(Which::Port | Which::PortRange)) {
                    let message = "a packet that was cut before its ports is rejected, under \
                                   'not' too; so a short snap length (-s) loses packets here";
                    self.add(&expr.span, message);
                }
            }
            _ => {}
        }
    }

    /// Depth is bounded by [`NESTING_MAX`](crate::NESTING_MAX).
    fn arith(&mut self, arith: &Arith) {
        match &arith.node {
            ArithNode::Number(_) | ArithNode::Length => {}
            ArithNode::Negate(inner) => self.arith(inner),
            ArithNode::Accessor(protocol, index, _) => {
                if matches!(*protocol, "tcp" | "udp" | "icmp" | "sctp") {
                    let message = "never true for IPv6, nor for a later fragment";
                    self.add(&arith.span, message);
                }
                self.arith(index);
            }
            ArithNode::Binary(operator, left, right) => {
                let bare = matches!(right.node, ArithNode::Binary(..))
                    && !self.text.get(right.span.clone()).is_some_and(|t| t.starts_with('('));
                if matches!(*operator, "%" | "^") && bare {
                    let message = format!(
                        "'{operator}' takes everything on its right: a {operator} b + c is \
                         a {operator} (b + c); write parentheses"
                    );
                    self.add(&arith.span, message);
                }
                self.arith(left);
                self.arith(right);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let tree = crate::parse(text).unwrap();
        find(&tree, text).into_iter().map(|found| text[found.span].to_owned()).collect()
    }

    #[test]
    fn each_pitfall_is_found_where_it_is() {
        for (text, expected) in [
            ("tcp or udp and port 53", vec!["tcp or udp and port 53"]),
            ("not port 80", vec!["port 80"]),
            ("ip[0] % 3 + 1 = 2", vec!["ip[0] % 3 + 1"]),
            ("tcp[13] & 2 != 0", vec!["tcp[13]"]),
        ] {
            assert_eq!(words(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_clear_is_left_alone() {
        for text in [
            "",
            "vlan 5 and tcp port 80",
            "ip and not vlan",
            "(tcp or udp) and port 53",
            "tcp and port 53 or arp",
            "ip[0] % (3 + 1) = 2",
            "not not port 80",
        ] {
            assert_eq!(words(text), Vec::<String>::new(), "{text}");
        }
    }
}
