//! Relations between numbers, and subscripts such as `tcp[13]`.

use super::Lowerer;
use super::comparison;
use super::fragment::{Fragment, not};
use super::ip::{IP6_BYTES, protocol};
use super::layout::Place;
use super::linktype::ethertype::{IP, IP6};
use crate::ast::{Arith, ArithNode, ByteTest, Relation};
use crate::error::{FilterError, Result};
use crate::ir::{Compare, DEPTH_MAX, Number, NumberId, Op, Size, Test};
use crate::link::number as dlt;
use crate::names::protocols;

/// A number, and what must hold for it to mean anything.
struct Guarded {
    guard: Fragment,
    number: NumberId,
}

impl Lowerer<'_> {
    pub(super) fn relation(
        &mut self,
        left: &Arith,
        relation: Relation,
        right: &Arith,
    ) -> Result<Fragment> {
        let left = self.arith(left)?;
        let right = self.arith(right)?;
        let (compare, negated) = comparison(relation);
        let test = self.program.test(Test { left: left.number, compare, right: right.number });
        let test = if negated { not(test) } else { test };
        Ok(self.program.all([left.guard, right.guard, test]))
    }

    fn arith(&mut self, arith: &Arith) -> Result<Guarded> {
        let mut guard = Fragment::Always(true);
        let number = match &arith.node {
            ArithNode::Number(value) => self.program.literal(*value),
            ArithNode::Length => self.program.intern(Number::WireLen),
            ArithNode::Negate(inner) => {
                let inner = self.arith(inner)?;
                guard = inner.guard;
                let zero = self.program.literal(0);
                self.program.intern(Number::Binary(Op::Sub, zero, inner.number))
            }
            ArithNode::Binary(operator, left, right) => {
                let place = right.span.clone();
                let left = self.arith(left)?;
                let right = self.arith(right)?;
                // libpcap forgets what the right operand needs: `len - tcp[0]` is no test for TCP.
                guard = left.guard;
                let op = operation(operator);
                self.check_constant(op, self.program.constant(right.number), place)?;
                self.program.intern(Number::Binary(op, left.number, right.number))
            }
            ArithNode::Accessor(word, index, size) => {
                let index = self.arith(index)?;
                let size = match size {
                    1 => Size::Byte,
                    2 => Size::Half,
                    _ => Size::Word,
                };
                let accessed = self.accessor(word, index.number, size, arith)?;
                guard = self.program.and(index.guard, accessed.guard);
                accessed.number
            }
        };
        if self.program.depth(number) >= DEPTH_MAX {
            let message = format!("arithmetic nested deeper than {DEPTH_MAX} levels");
            return Err(FilterError::limit(arith.span.clone(), message));
        }
        Ok(Guarded { guard, number })
    }

    /// Mistakes that show without a packet.
    fn check_constant(&self, op: Op, right: Option<u32>, span: crate::error::Span) -> Result<()> {
        let message = match (op, right) {
            (Op::Div, Some(0)) => "division by zero",
            (Op::Mod, Some(0)) => "modulus by zero",
            (Op::Shl | Op::Shr, Some(32..)) => "a shift by 32 bits or more leaves nothing",
            _ => return Ok(()),
        };
        Err(FilterError::value(span, message))
    }

    fn accessor(
        &mut self,
        word: &str,
        index: NumberId,
        size: Size,
        arith: &Arith,
    ) -> Result<Guarded> {
        match word {
            "link" => {
                let number = self.indexed(self.layout.header, index, size);
                Ok(Guarded { guard: Fragment::Always(true), number })
            }
            "radio" => {
                if !matches!(
                    self.outer,
                    dlt::IEEE802_11_RADIO | dlt::IEEE802_11_RADIO_AVS | dlt::PRISM_HEADER
                ) {
                    return Err(self.unsupported("this link type has no radio header"));
                }
                let number = self.indexed(Place::at(0), index, size);
                Ok(Guarded { guard: Fragment::Always(true), number })
            }
            "ip" | "ip6" | "arp" | "rarp" | "atalk" | "decnet" | "lat" | "sca" | "moprc"
            | "mopdl" => {
                let guard = self.link_type(protocols::ether(word).unwrap_or_default())?;
                let place = self.network(0)?;
                let number = self.indexed(place, index, size);
                Ok(Guarded { guard, number })
            }
            "tcp" => self.transport_field(protocol::TCP, index, size),
            "udp" => self.transport_field(protocol::UDP, index, size),
            "sctp" => self.transport_field(protocol::SCTP, index, size),
            "icmp" => self.transport_field(protocol::ICMP, index, size),
            "igmp" => self.transport_field(protocol::IGMP, index, size),
            "igrp" => self.transport_field(protocol::IGRP, index, size),
            "pim" => self.transport_field(protocol::PIM, index, size),
            "vrrp" | "carp" => self.transport_field(protocol::VRRP, index, size),
            "icmp6" => {
                let is = self.link_type(IP6)?;
                let next = self.network(6)?;
                let next = self.equal(next, Size::Byte, protocol::ICMP6);
                let guard = self.program.and(is, next);
                let place = self.network(IP6_BYTES)?;
                let number = self.indexed(place, index, size);
                Ok(Guarded { guard, number })
            }
            _ => {
                let message = format!("'{word}' has no subscript");
                Err(FilterError::unsupported(arith.span.clone(), message))
            }
        }
    }

    /// `place + index`, with the variable part of the place added to the index.
    fn indexed(&mut self, place: Place, index: NumberId, size: Size) -> NumberId {
        let base = match place.slot {
            None => index,
            Some(slot) => {
                let slot = self.slot_number(slot);
                self.program.intern(Number::Binary(Op::Add, index, slot))
            }
        };
        self.program.intern(Number::Load { base: Some(base), offset: place.fixed, size })
    }

    /// A field behind the IPv4 header of a first fragment.
    fn transport_field(&mut self, number: u32, index: NumberId, size: Size) -> Result<Guarded> {
        let is = self.link_type(IP)?;
        let field = self.network(9)?;
        let is_transport = self.equal(field, Size::Byte, number);
        let first = self.first_fragment()?;
        let guard = self.program.all([is, is_transport, first]);
        let place = self.network(0)?;
        let mut base = self.header4_bytes()?;
        if let Some(slot) = place.slot {
            let slot = self.slot_number(slot);
            base = self.program.intern(Number::Binary(Op::Add, base, slot));
        }
        let base = self.program.intern(Number::Binary(Op::Add, index, base));
        let load = Number::Load { base: Some(base), offset: place.fixed, size };
        Ok(Guarded { guard, number: self.program.intern(load) })
    }

    pub(super) fn byte(&mut self, index: u32, test: ByteTest, value: u32) -> Fragment {
        let field = self.load(Place::at(index), Size::Byte);
        match test {
            ByteTest::Equal => self.compare(field, Compare::Equal, value),
            ByteTest::Greater => self.compare(field, Compare::Greater, value),
            ByteTest::Less => not(self.compare(field, Compare::GreaterEqual, value)),
            ByteTest::And | ByteTest::Or => {
                let op = if test == ByteTest::And { Op::And } else { Op::Or };
                let field = self.program.binary_const(op, field, value);
                not(self.compare(field, Compare::Equal, 0))
            }
        }
    }
}

fn operation(operator: &str) -> Op {
    match operator {
        "+" => Op::Add,
        "-" => Op::Sub,
        "*" => Op::Mul,
        "/" => Op::Div,
        "%" => Op::Mod,
        "&" => Op::And,
        "|" => Op::Or,
        "^" => Op::Xor,
        "<<" => Op::Shl,
        _ => Op::Shr,
    }
}
