//! The syntax tree to the IR.
//!
//! The tree is walked once, in the order of the text: an encapsulation shifts the
//! [`Layout`] for everything that comes after it *in the text*, in whatever branch that is. That
//! is libpcap's meaning, and the default; [`scope`] has the other one, and warns where they differ.
//!
//! * [`fragment`]: conditions under construction
//! * [`layout`]: where the headers of a link type lie
//! * [`prologue`]: headers of computed length
//! * [`linktype`]: "is it protocol X?" for every link type
//! * [`id`]: addresses, ports and protocols, and which qualifiers they go with; [`hosts`]: names
//! * [`lists`]: many ids at once
//! * [`ether`], [`wlan`], [`ip`], [`ports`], [`chain`], [`decnet`], [`osi`], [`llc`]: the tests
//! * [`encapsulation`], [`overlay`], [`scope`]: vlan, mpls, pppoe; vxlan, geneve; how far
//! * [`atm`], [`mtp`], [`pf`], [`direction`]: link types with tests of their own
//! * [`arith`]: relations and subscripts
//! * [`market`], [`transports`], [`stream`], [`fix`], [`field`]: market data: the loop
//!   over messages, their fields

mod arith;
mod atm;
mod chain;
mod decimal;
mod decnet;
mod direction;
mod encapsulation;
mod ether;
mod field;
mod fix;
mod fragment;
mod hosts;
mod id;
mod ip;
pub(crate) mod layout;
mod linktype;
mod lists;
mod llc;
mod market;
mod mtp;
mod osi;
mod overlay;
mod pf;
mod ports;
mod prologue;
mod scope;
mod stream;
mod transports;
mod wlan;

use self::fragment::{Fragment, not};
use self::layout::{Layout, Place};
pub use self::lists::LIST_FILE_BYTES_MAX;
use self::market::Market;
use self::scope::Leak;
pub use self::scope::Warning;
use crate::Options;
use crate::ast::{Direction, Expr, Node, Primitive, Relation};
use crate::error::{FilterError, Result, Span};
use crate::ir::{BLOCKS_MAX, Compare, Number, NumberId, Op, Program, SLOTS_MAX, Size, Slot, Test};
use crate::link;
use crate::needles;

/// The program for a syntax tree, and what may not be meant.
pub(crate) fn lower(expr: &Expr, options: &Options) -> Result<(Program, Vec<Warning>)> {
    let link = options.link_type.0;
    let mut lowerer = Lowerer {
        options,
        outer: link,
        layout: Layout::new(link),
        program: Program::new(options.snaplen),
        span: 0..0,
        leak: None,
        warnings: Vec::new(),
        market: Market::default(),
    };
    lowerer.begin()?;
    let condition = match market::asks_fields(expr) {
        true => lowerer.with_fields(expr)?,
        false => lowerer.expr(expr)?,
    };
    let condition = lowerer.with_prologue(condition)?;
    lowerer.program.close(condition);
    lowerer.program.needles = needles::of(expr).unwrap_or_default();
    Ok((lowerer.program, lowerer.warnings))
}

struct Lowerer<'a> {
    options: &'a Options,
    /// The link type of the capture.
    outer: u16,
    layout: Layout,
    program: Program,
    /// The primitive at hand, for errors.
    span: Span,
    /// An encapsulation that has shifted what comes after it beyond its own branch.
    leak: Option<Leak>,
    warnings: Vec<Warning>,
    market: Market,
}

impl Lowerer<'_> {
    fn expr(&mut self, expr: &Expr) -> Result<Fragment> {
        match &expr.node {
            Node::All => Ok(Fragment::Always(true)),
            Node::Not(inner) => self.negation(inner),
            Node::Chain(first, rest) => self.chain(first, rest),
            Node::Every(inner) => self.every(expr, inner),
            Node::Primitive(primitive) => {
                self.span = expr.span.clone();
                self.check_size()?;
                self.warn_of_leak();
                self.primitive(primitive)
            }
        }
    }

    fn primitive(&mut self, primitive: &Primitive) -> Result<Fragment> {
        match primitive {
            Primitive::Id(qualifiers, id) => self.id(*qualifiers, id),
            Primitive::Protocol(protocol) => self.abbreviation(protocol),
            Primitive::Relation(left, relation, right) => self.relation(left, *relation, right),
            Primitive::Broadcast(protocol) => self.broadcast(*protocol),
            Primitive::Multicast(protocol) => self.multicast(*protocol),
            Primitive::Less(length) => Ok(not(self.length(Compare::Greater, *length))),
            Primitive::Greater(length) => Ok(self.length(Compare::GreaterEqual, *length)),
            Primitive::Byte(index, test, value) => Ok(self.byte(*index, *test, *value)),
            Primitive::Outbound(outbound) => self.direction(*outbound),
            Primitive::Ifindex(index) => self.ifindex(*index),
            Primitive::Encapsulation(word, number) => self.encapsulation(word, *number),
            Primitive::Llc(kind) => self.llc(kind.as_deref()),
            Primitive::PfNumber(field, value) => self.pf_number(field, value),
            Primitive::PfName(field, name) => self.pf_name(field, name),
            Primitive::WlanType(kind, subtype) => self.wlan_type(kind.as_ref(), subtype.as_ref()),
            Primitive::WlanDirection(direction) => self.wlan_direction(direction),
            Primitive::Signal(word) => self.signal(word),
            Primitive::Field(field, relation, values) => self.field(field, *relation, values),
            Primitive::Market(test) => self.market_field(test),
        }
    }

    fn check_size(&self) -> Result<()> {
        if self.program.blocks.len() <= BLOCKS_MAX {
            return Ok(());
        }
        let message = format!("more than {BLOCKS_MAX} tests; shorten the filter");
        Err(FilterError::limit(self.span.clone(), message))
    }

    // Errors.

    fn unsupported(&self, message: impl Into<String>) -> FilterError {
        FilterError::unsupported(self.span.clone(), message)
    }

    fn bad_value(&self, message: impl Into<String>) -> FilterError {
        FilterError::value(self.span.clone(), message)
    }

    /// "'x' is not supported on DLT_Y".
    fn not_on_link(&self, what: &str) -> FilterError {
        let link = link::name(tickwire_frame::LinkType(self.layout.link));
        self.unsupported(format!("'{what}' is not supported on link type {link}"))
    }

    fn at_most(&self, what: &str, value: u32, max: u32) -> Result<()> {
        if value <= max {
            return Ok(());
        }
        Err(self.bad_value(format!("{what} {value} is greater than the maximum {max}")))
    }

    // Numbers.

    fn slot(&mut self) -> Result<Slot> {
        if usize::from(self.program.slots) == SLOTS_MAX {
            return Err(FilterError::limit(
                self.span.clone(),
                format!("more than {SLOTS_MAX} computed offsets; nest fewer encapsulations"),
            ));
        }
        self.program.slots += 1;
        Ok(Slot(self.program.slots - 1))
    }

    fn slot_number(&mut self, slot: Slot) -> NumberId {
        self.program.intern(Number::Slot(slot))
    }

    fn load(&mut self, place: Place, size: Size) -> NumberId {
        let base = place.slot.map(|slot| self.slot_number(slot));
        self.program.intern(Number::Load { base, offset: place.fixed, size })
    }

    /// The position of a place, as a number.
    fn position(&mut self, place: Place) -> NumberId {
        match place.slot {
            None => self.program.literal(place.fixed),
            Some(slot) if place.fixed == 0 => self.slot_number(slot),
            Some(slot) => {
                let base = self.slot_number(slot);
                self.program.binary_const(Op::Add, base, place.fixed)
            }
        }
    }

    // Tests.

    fn compare(&mut self, left: NumberId, compare: Compare, right: u32) -> Fragment {
        let right = self.program.literal(right);
        self.program.test(Test { left, compare, right })
    }

    fn equal(&mut self, place: Place, size: Size, value: u32) -> Fragment {
        let field = self.load(place, size);
        self.compare(field, Compare::Equal, value)
    }

    /// `field & mask == value`. A mask of 0 asks nothing, and loads nothing.
    fn masked(&mut self, place: Place, size: Size, mask: u32, value: u32) -> Fragment {
        if mask == 0 {
            return Fragment::Always(value == 0);
        }
        let mut field = self.load(place, size);
        if mask != size.max() {
            field = self.program.binary_const(Op::And, field, mask);
        }
        self.compare(field, Compare::Equal, value)
    }

    fn any_bit(&mut self, place: Place, size: Size, bits: u32) -> Fragment {
        let field = self.load(place, size);
        self.compare(field, Compare::AnyBit, bits)
    }

    fn related(&mut self, field: NumberId, relation: Relation, value: u32) -> Fragment {
        let (compare, negated) = comparison(relation);
        let test = self.compare(field, compare, value);
        if negated { not(test) } else { test }
    }

    /// Bytes at `place`, the last ones first, as libpcap compares them.
    fn bytes(&mut self, place: Place, bytes: &[u8]) -> Fragment {
        let mut condition = Fragment::Always(true);
        let mut end = bytes.len();
        while end > 0 {
            let size = match end {
                4.. => Size::Word,
                2.. => Size::Half,
                _ => Size::Byte,
            };
            let start = end - size.bytes() as usize;
            let value = bytes[start..end].iter().fold(0, |v, b| v << 8 | u32::from(*b));
            let part = self.equal(place.plus(start as u32), size, value);
            condition = self.program.and(condition, part);
            end = start;
        }
        condition
    }

    fn length(&mut self, compare: Compare, value: u32) -> Fragment {
        let length = self.program.intern(Number::WireLen);
        self.compare(length, compare, value)
    }

    /// The test of the source, of the destination, or both joined.
    fn by_direction(
        &mut self,
        direction: Option<Direction>,
        mut test: impl FnMut(&mut Self, bool) -> Fragment,
    ) -> Result<Fragment> {
        match direction {
            Some(Direction::Source) => Ok(test(self, true)),
            Some(Direction::Destination) => Ok(test(self, false)),
            None | Some(Direction::Either) => {
                let (source, destination) = (test(self, true), test(self, false));
                Ok(self.program.or(source, destination))
            }
            Some(Direction::Both) => {
                let (source, destination) = (test(self, true), test(self, false));
                Ok(self.program.and(source, destination))
            }
            Some(Direction::Wlan(word)) => {
                Err(self.unsupported(format!("'{word}' is valid for 802.11 addresses only")))
            }
        }
    }
}

/// A relation as a comparison that the IR has, and whether to negate it.
fn comparison(relation: Relation) -> (Compare, bool) {
    match relation {
        Relation::Equal => (Compare::Equal, false),
        Relation::NotEqual => (Compare::Equal, true),
        Relation::Greater => (Compare::Greater, false),
        Relation::GreaterEqual => (Compare::GreaterEqual, false),
        Relation::Less => (Compare::GreaterEqual, true),
        Relation::LessEqual => (Compare::Greater, true),
    }
}
