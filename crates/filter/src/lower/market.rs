//! Fields of market data: which packets they are in, and the loop over the messages.
//!
//! ```text
//! what is no field ─▶ is it of this transport? ─▶ fields of the header, all(…) ─▶ each message
//!                                              └▶ all of it, with the fields false
//! ```
//!
//! Where a term stands in the text decides where its headers lie, so a transport and a [`Layout`]
//! are a *context*: an expression is lowered once for each, with the fields of the others false,
//! and once with all of them false. No packet is of two contexts. What stands between `and`s of the
//! whole text and asks no field is tested once, in front.
//!
//! The meaning is that of [`crate::fields`].

use super::Lowerer;
use super::fragment::{Fragment, not};
use super::ip::{IP6_BYTES, protocol};
use super::layout::Layout;
use super::linktype::ethertype::{IP, IP6};
use crate::ast::{Expr, FieldValue, Joint, Node, Primitive};
use crate::error::{FilterError, Result};
use crate::fields::{self, Transport};
use crate::ir::{Compare, Number, NumberId, Op, Size, Slot};
use std::net::IpAddr;

/// How many transports at different places one filter may ask for.
const CONTEXTS_MAX: usize = 8;
/// How many comparisons of fields one filter may have, those of each context counted.
const FIELD_TESTS_MAX: usize = 512;
/// How many `all(…)` one filter may have.
const EVERY_MAX: usize = 8;

/// A transport, behind the headers that the text has gone through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Context {
    transport: Transport,
    layout: Layout,
}

/// Where a walk over the messages of a packet stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walk {
    /// Where the message begins, and how long it is; 0 before the first.
    pub at: Slot,
    pub len: Slot,
    /// Its number, in two words.
    pub sequence: [Slot; 2],
    /// Where the next block begins, and how many are left.
    pub next: Slot,
    pub left: Slot,
}

/// The state of lowering an expression with fields.
#[derive(Default)]
pub(super) struct Market {
    /// The context at hand; none while the fields of all are false.
    context: Option<Context>,
    /// Those that were met.
    found: Vec<Context>,
    /// Where the UDP header begins, or the payload of TCP, and where the messages end.
    place: Option<[Slot; 2]>,
    /// The walks of the whole expression and of an `all(…)`.
    walks: Option<[Walk; 2]>,
    /// Where a field was found.
    field: Option<Slot>,
    /// Where a scan of FIX stands, and a number that it reads.
    scan: Option<[Slot; 2]>,
    /// Where the digits of a number and its point are.
    decimal: Option<[Slot; 2]>,
    in_every: bool,
    /// Lists that were read from files, by the file and the field: once for all contexts.
    pub(super) lists: Vec<(String, String, Vec<FieldValue>)>,
    /// How many comparisons of fields there are so far.
    tests: usize,
    /// Whether each `all(…)` holds: 0 not yet known, 1 yes, 2 no.
    every: Vec<Slot>,
    /// How many of them the text has gone through.
    every_seen: usize,
    sequence: bool,
}

/// How often a part of an expression has to be evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Asks {
    /// It asks no field.
    Packet,
    /// It asks fields of the header, or of all messages.
    Header,
    /// It asks fields of a message.
    Message,
}

/// A part of the whole expression, all of which must hold.
struct Conjunct<'a> {
    expr: &'a Expr,
    asks: Asks,
    /// Where the headers lie for it.
    layout: Layout,
}

/// Whether an expression asks a field.
pub(super) fn asks_fields(expr: &Expr) -> bool {
    asks(expr) > Asks::Packet
}

/// Depth is bounded by [`NESTING_MAX`](crate::NESTING_MAX).
fn asks(expr: &Expr) -> Asks {
    match &expr.node {
        Node::All => Asks::Packet,
        Node::Not(inner) => asks(inner),
        Node::Every(_) => Asks::Header,
        Node::Chain(first, rest) => {
            let rest = rest.iter().map(|(_, expr)| asks(expr));
            rest.fold(asks(first), Asks::max)
        }
        Node::Primitive(Primitive::Market(test)) => match fields::is_of_header(&test.name) {
            true => Asks::Header,
            false => Asks::Message,
        },
        Node::Primitive(_) => Asks::Packet,
    }
}

/// The parts of `expr` that must all hold, in the order of the text. `a or b and c` is
/// `(a or b) and c`, of which the part in front of the last `or` stays one.
fn conjuncts<'a>(expr: &'a Expr, into: &mut Vec<&'a Expr>) {
    match &expr.node {
        Node::Chain(first, rest) if rest.iter().all(|(joint, _)| *joint == Joint::And) => {
            conjuncts(first, into);
            rest.iter().for_each(|(_, expr)| conjuncts(expr, into));
        }
        _ => into.push(expr),
    }
}

impl Lowerer<'_> {
    /// An expression that asks fields.
    pub(super) fn with_fields(&mut self, expr: &Expr) -> Result<Fragment> {
        let mut parts = Vec::new();
        conjuncts(expr, &mut parts);
        let mut in_front = Fragment::Always(true);
        let mut without = Fragment::Always(true);
        let mut conjuncts: Vec<Conjunct<'_>> = Vec::new();
        for expr in parts {
            let (asks, layout) = (asks(expr), self.layout);
            let lowered = self.expr(expr)?;
            if asks == Asks::Packet {
                in_front = self.program.and(in_front, lowered);
            } else {
                without = self.program.and(without, lowered);
                conjuncts.push(Conjunct { expr, asks, layout });
            }
        }
        // Later passes over the same text would warn again.
        let (warnings, layout) = (self.warnings.len(), self.layout);
        let found = self.market.found.clone();
        for context in found.into_iter().rev() {
            let within = self.in_context(context, &conjuncts)?;
            self.layout = context.layout;
            let is = self.is_transport(context.transport)?;
            without = self.program.choose(is, within, without);
        }
        let whole = conjuncts.iter().any(|conjunct| conjunct.asks == Asks::Message);
        self.program.walk.passes = u32::from(whole) + self.market.every.len() as u32;
        self.warnings.truncate(warnings);
        self.layout = layout;
        Ok(self.program.and(in_front, without))
    }

    /// The parts, in a packet of `context`.
    fn in_context(&mut self, context: Context, conjuncts: &[Conjunct<'_>]) -> Result<Fragment> {
        self.market.context = Some(context);
        self.market.every_seen = 0;
        let mut of_packet = Fragment::Always(true);
        let mut of_message = Fragment::Always(true);
        for conjunct in conjuncts {
            self.layout = conjunct.layout;
            self.leak = None;
            let lowered = self.expr(conjunct.expr)?;
            let parts =
                if conjunct.asks == Asks::Message { &mut of_message } else { &mut of_packet };
            let before = std::mem::replace(parts, Fragment::Always(true));
            *parts = self.program.and(before, lowered);
        }
        self.market.context = None;
        if conjuncts.iter().all(|conjunct| conjunct.asks == Asks::Header) {
            return Ok(of_packet);
        }
        let [walk, _] = self.walks()?;
        let start = self.before_messages(context.transport, &walk)?;
        // Without a message the rest is evaluated once.
        let first = self.next_message(context.transport, &walk, true)?;
        let none = self.program.sets(Vec::new());
        let first = self.program.or(first, none);
        let step = self.next_message(context.transport, &walk, false)?;
        let found = self.program.search(of_message, step);
        Ok(self.program.all([of_packet, start, first, found]))
    }

    /// Counts a comparison of a field.
    pub(super) fn count_field(&mut self) -> Result<()> {
        self.market.tests += 1;
        if self.market.tests <= FIELD_TESTS_MAX {
            return Ok(());
        }
        let message =
            format!("more than {FIELD_TESTS_MAX} comparisons of fields; write 'in {{…}}'");
        Err(FilterError::limit(self.span.clone(), message))
    }

    /// The context of a field at this place of the text, if it is the one at hand.
    pub(super) fn is_at_hand(&mut self, transport: Transport) -> Result<bool> {
        let context = Context { transport, layout: self.layout };
        if self.market.context.is_none() && !self.market.found.contains(&context) {
            if self.market.found.len() == CONTEXTS_MAX {
                let message = format!(
                    "fields of more than {CONTEXTS_MAX} protocols behind different headers; \
                     split the filter"
                );
                return Err(FilterError::limit(self.span.clone(), message));
            }
            self.market.found.push(context);
        }
        Ok(self.market.context == Some(context))
    }

    /// `all(…)`: computed when it is first asked for, since it is the same for all messages.
    pub(super) fn every(&mut self, expr: &Expr, inner: &Expr) -> Result<Fragment> {
        self.span = expr.span.clone();
        if self.market.in_every {
            return Err(self.unsupported("'all' inside 'all': write one of them"));
        }
        if !asks_fields(inner) {
            return Err(self.unsupported(
                "'all' is about the messages of a packet; name a field of them, such as itch.type",
            ));
        }
        self.market.in_every = true;
        let body = self.expr(inner)?;
        self.market.in_every = false;
        let Some(context) = self.market.context else { return Ok(Fragment::Always(false)) };
        let known = self.every_slot()?;
        let [_, walk] = self.walks()?;
        let start = self.before_messages(context.transport, &walk)?;
        let first = self.next_message(context.transport, &walk, true)?;
        let step = self.next_message(context.transport, &walk, false)?;
        let other = self.program.search(not(body), step);
        let holds = self.program.all([start, first, not(other)]);
        let [yes, no] = [1, 2].map(|value| {
            let value = self.program.literal(value);
            self.program.sets(vec![(known, value)])
        });
        let computed = self.program.choose(holds, yes, not(no));
        let number = self.slot_number(known);
        let is_known = self.compare(number, Compare::Greater, 0);
        let value = self.compare(number, Compare::Equal, 1);
        Ok(self.program.choose(is_known, value, computed))
    }

    fn every_slot(&mut self) -> Result<Slot> {
        let seen = self.market.every_seen;
        self.market.every_seen += 1;
        match self.market.every.get(seen) {
            Some(slot) => Ok(*slot),
            None if seen == EVERY_MAX => {
                Err(self.unsupported(format!("more than {EVERY_MAX} times 'all'")))
            }
            None => {
                let slot = self.slot()?;
                self.market.every.push(slot);
                Ok(slot)
            }
        }
    }

    /// Where the field at hand is, of those that stand in several places.
    pub(super) fn field_slot(&mut self) -> Result<Slot> {
        let slot = self.market.field.map_or_else(|| self.slot(), Ok)?;
        self.market.field = Some(slot);
        Ok(slot)
    }

    /// Where a scan of FIX stands, and a number that it reads.
    pub(super) fn scan_slots(&mut self) -> Result<[Slot; 2]> {
        if let Some(slots) = self.market.scan {
            return Ok(slots);
        }
        let slots = [self.slot()?, self.slot()?];
        self.program.walk.scans.push(slots[0]);
        self.market.scan = Some(slots);
        Ok(slots)
    }

    /// Where the digits of a number and its point are.
    pub(super) fn decimal_slots(&mut self) -> Result<[Slot; 2]> {
        if let Some(slots) = self.market.decimal {
            return Ok(slots);
        }
        let slots = [self.slot()?, self.slot()?];
        self.market.decimal = Some(slots);
        Ok(slots)
    }

    /// The walk that the expression at hand is about.
    pub(super) fn message_walk(&mut self) -> Result<Walk> {
        let [whole, every] = self.walks()?;
        Ok(if self.market.in_every { every } else { whole })
    }

    /// Notes that the number of a message is asked for: it costs something to keep.
    pub(super) fn sequence(&mut self) -> Result<[NumberId; 2]> {
        self.market.sequence = true;
        let walk = self.message_walk()?;
        Ok(walk.sequence.map(|slot| self.slot_number(slot)))
    }

    /// Whether the numbers of messages have to be kept.
    pub(super) fn counts(&self) -> bool {
        self.market.sequence
    }

    fn walks(&mut self) -> Result<[Walk; 2]> {
        if let Some(walks) = self.market.walks {
            return Ok(walks);
        }
        // First, since a kernel has little memory, and walks stay in user space.
        self.places()?;
        let mut walk = || -> Result<Walk> {
            Ok(Walk {
                at: self.slot()?,
                len: self.slot()?,
                sequence: [self.slot()?, self.slot()?],
                next: self.slot()?,
                left: self.slot()?,
            })
        };
        let walks = [walk()?, walk()?];
        self.program.walk.steps = walks.map(|walk| walk.at).to_vec();
        self.market.walks = Some(walks);
        Ok(walks)
    }

    /// Where the UDP header begins, and where the messages end.
    pub(super) fn places(&mut self) -> Result<[Slot; 2]> {
        if let Some(place) = self.market.place {
            return Ok(place);
        }
        let place = [self.slot()?, self.slot()?];
        self.market.place = Some(place);
        Ok(place)
    }

    /// Whether the packet is of the transport, here; then its header has its place.
    fn is_transport(&mut self, transport: Transport) -> Result<Fragment> {
        let number = if transport.is_stream() { protocol::TCP } else { protocol::UDP };
        let four = {
            let is = self.link_type(IP)?;
            let field = self.network(9)?;
            let of = self.equal(field, Size::Byte, number);
            let first = self.first_fragment()?;
            let place = self.network(0)?;
            let mut base = self.header4_bytes()?;
            if let Some(slot) = place.slot {
                let slot = self.slot_number(slot);
                base = self.program.intern(Number::Binary(Op::Add, slot, base));
            }
            let total = self.load(place.plus(2), Size::Half);
            let begin = self.position(place);
            let end = self.program.intern(Number::Binary(Op::Add, begin, total));
            let here = Origin { base: Some(base), fixed: place.fixed };
            let bound = self.is_bound(transport, here, Version::Four)?;
            let here = self.is_behind_ip(transport, here, end);
            self.program.all([is, of, first, bound, here?])
        };
        let six = {
            let is = self.link_type(IP6)?;
            let field = self.network(6)?;
            let of = self.equal(field, Size::Byte, number);
            let length = self.network(4)?;
            let length = self.load(length, Size::Half);
            let place = self.network(IP6_BYTES)?;
            let base = place.slot.map(|slot| self.slot_number(slot));
            let begin = self.position(place);
            let end = self.program.intern(Number::Binary(Op::Add, begin, length));
            let here = Origin { base, fixed: place.fixed };
            let bound = self.is_bound(transport, here, Version::Six)?;
            let here = self.is_behind_ip(transport, here, end);
            self.program.all([is, of, bound, here?])
        };
        Ok(self.program.or(four, six))
    }

    /// The header of UDP or TCP is at `origin`, and the IP packet ends at `end`.
    fn is_behind_ip(
        &mut self,
        transport: Transport,
        origin: Origin,
        end: NumberId,
    ) -> Result<Fragment> {
        match transport {
            _ if transport.is_stream() => self.segment(transport, origin, end),
            _ => self.datagram(transport, origin),
        }
    }

    /// Whether the packet goes to a place that the transport is bound to, or over TCP comes from
    /// one; `ports` is where the ports are. A transport that is bound to none is everywhere.
    fn is_bound(
        &mut self,
        transport: Transport,
        ports: Origin,
        version: Version,
    ) -> Result<Fragment> {
        let bindings = &self.options.bindings;
        if !bindings.has(transport) {
            return Ok(Fragment::Always(true));
        }
        let everywhere = bindings.ports(transport, None);
        let groups: Vec<_> = bindings
            .groups(transport)
            .into_iter()
            .map(|group| (group, bindings.ports(transport, Some(group))))
            .collect();
        let mut any = Fragment::Always(false);
        // The source and its port stand in front of the destination and its port.
        for (address, port) in version.addresses().into_iter().zip([0, 2]).rev() {
            let at = self.load_from(ports.plus(port), Size::Half);
            if !everywhere.is_empty() {
                let here = self.one_of(at, &everywhere);
                any = self.program.or(any, here);
            }
            for (group, ports) in &groups {
                let here = self.one_of(at, ports);
                let there = self.is_address(*group, address, version)?;
                let both = self.program.and(here, there);
                any = self.program.or(any, both);
            }
            if !transport.is_stream() {
                break;
            }
        }
        Ok(any)
    }

    /// Whether an address stands so many bytes behind the begin of the IP header.
    fn is_address(&mut self, group: IpAddr, at: u32, version: Version) -> Result<Fragment> {
        let place = self.network(at)?;
        Ok(match (group, version) {
            (IpAddr::V4(group), Version::Four) => self.equal(place, Size::Word, group.into()),
            (IpAddr::V6(group), Version::Six) => {
                let words = u128::from(group).to_be_bytes();
                let words = words.as_chunks::<4>().0.iter().map(|word| u32::from_be_bytes(*word));
                let words: Vec<_> = (0..)
                    .step_by(4)
                    .zip(words)
                    .map(|(at, word)| self.equal(place.plus(at), Size::Word, word))
                    .collect();
                self.program.all(words)
            }
            _ => Fragment::Always(false),
        })
    }

    /// The UDP header, and what the transport says of itself behind it.
    fn datagram(&mut self, transport: Transport, origin: Origin) -> Result<Fragment> {
        let is = match transport {
            Transport::MoldUdp64 => self.is_moldudp64(origin),
            Transport::IexTp => self.is_iextp(origin),
            Transport::Mdp3 | Transport::Umdf => self.is_sbe(transport, origin),
            // Not in datagrams.
            Transport::Fix | Transport::SoupBinTcp => Fragment::Always(false),
        };
        let [udp, _] = self.places()?;
        let begin = self.position_of(origin);
        let begins = self.program.sets(vec![(udp, begin)]);
        Ok(self.program.all([is, begins]))
    }

    pub(super) fn load_from(&mut self, origin: Origin, size: Size) -> NumberId {
        self.program.intern(Number::Load { base: origin.base, offset: origin.fixed, size })
    }

    pub(super) fn position_of(&mut self, origin: Origin) -> NumberId {
        match origin.base {
            None => self.program.literal(origin.fixed),
            Some(base) => self.program.binary_const(Op::Add, base, origin.fixed),
        }
    }
}

/// Of IP.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    Four,
    Six,
}

impl Version {
    /// Where its header has source and destination.
    fn addresses(self) -> [u32; 2] {
        match self {
            Version::Four => [12, 16],
            Version::Six => [8, 24],
        }
    }
}

/// Bytes of a UDP header.
pub(super) const UDP_BYTES: u32 = 8;

/// A computed place and a fixed distance.
#[derive(Clone, Copy)]
pub(super) struct Origin {
    pub base: Option<NumberId>,
    pub fixed: u32,
}

impl Origin {
    pub fn plus(self, bytes: u32) -> Origin {
        Origin { base: self.base, fixed: self.fixed + bytes }
    }
}
