//! `protochain`: a protocol anywhere in the chain of headers.
//!
//! A bounded loop over next-header fields. The offset of what follows an authentication header is
//! computed from that header alone, without what came before: libpcap does it so, and its programs
//! are the definition.

use super::Lowerer;
use super::fragment::{Fragment, not};
use super::ip::{IP6_BYTES, protocol};
use super::linktype::ethertype::{IP, IP6};
use crate::error::Result;
use crate::ir::{CHAIN_HEADERS_MAX, Compare, Number, NumberId, Op, Size, Slot};

/// IPv6 extension headers that say their own length: hop-by-hop, destination options, routing,
/// fragment (RFC 8200).
const EXTENSIONS: [u32; 4] = [0, 60, 43, 44];

/// The state of the walk.
struct Walk {
    /// The protocol of the header at hand.
    next: Slot,
    /// Where it begins, from the network header.
    offset: Slot,
    /// How many headers so far.
    count: Slot,
}

impl Lowerer<'_> {
    pub(super) fn protochain(&mut self, number: u32, which: Option<&str>) -> Result<Fragment> {
        if self.layout.payload.slot.is_some() {
            return Err(self.unsupported(
                "'protochain' is not supported where the link header has a computed length",
            ));
        }
        self.program.may_optimize = false;
        match which {
            Some("ip") => self.chain4(number),
            Some("ip6") => self.chain6(number),
            _ => {
                let four = self.chain4(number)?;
                let six = self.chain6(number)?;
                Ok(self.program.or(four, six))
            }
        }
    }

    fn walk(&mut self) -> Result<Walk> {
        Ok(Walk { next: self.slot()?, offset: self.slot()?, count: self.slot()? })
    }

    fn chain4(&mut self, number: u32) -> Result<Fragment> {
        let is = self.link_type(IP)?;
        let walk = self.walk()?;
        let field = self.network(9)?;
        let next = self.load(field, Size::Byte);
        let offset = self.header4_bytes()?;
        let start = self.start(&walk, next, offset);
        let step = self.authentication(&walk)?;
        let walked = self.walk_until(&walk, number, step);
        Ok(self.program.all([is, start, walked]))
    }

    fn chain6(&mut self, number: u32) -> Result<Fragment> {
        let is = self.link_type(IP6)?;
        let walk = self.walk()?;
        let field = self.network(6)?;
        let next = self.load(field, Size::Byte);
        let offset = self.program.literal(IP6_BYTES);
        let start = self.start(&walk, next, offset);
        let extension = self.extension(&walk)?;
        let authentication = self.authentication(&walk)?;
        let step = self.program.or(extension, authentication);
        let walked = self.walk_until(&walk, number, step);
        Ok(self.program.all([is, start, walked]))
    }

    fn start(&mut self, walk: &Walk, next: NumberId, offset: NumberId) -> Fragment {
        let zero = self.program.literal(0);
        self.program.sets(vec![(walk.next, next), (walk.offset, offset), (walk.count, zero)])
    }

    /// Goes on while `step` can; then compares.
    fn walk_until(&mut self, walk: &Walk, number: u32, step: Fragment) -> Fragment {
        let next = self.slot_number(walk.next);
        let found = self.compare(next, Compare::Equal, number);
        let last = self.compare(next, Compare::Equal, protocol::NO_NEXT);
        let going = self.program.all([not(found), not(last), step]);
        let count = self.slot_number(walk.count);
        let counted = self.program.binary_const(Op::Add, count, 1);
        let counted = self.program.sets(vec![(walk.count, counted)]);
        let bounded = not(self.compare(count, Compare::Greater, CHAIN_HEADERS_MAX));
        let reject = self.program.reject();
        let bounded = self.program.or(bounded, reject);
        let body = self.program.all([going, counted, bounded]);
        let walked = self.program.repeat(body);
        let found = self.compare(next, Compare::Equal, number);
        self.program.and(walked, found)
    }

    /// A byte of the header at hand.
    fn header_byte(&mut self, walk: &Walk, byte: u32) -> Result<NumberId> {
        let place = self.network(byte)?;
        let base = Some(self.slot_number(walk.offset));
        Ok(self.program.intern(Number::Load { base, offset: place.fixed, size: Size::Byte }))
    }

    /// An extension header: 8 bytes, and as many times 8 as its second byte says.
    fn extension(&mut self, walk: &Walk) -> Result<Fragment> {
        let next = self.slot_number(walk.next);
        let mut is = Fragment::Always(false);
        for number in EXTENSIONS {
            let test = self.compare(next, Compare::Equal, number);
            is = self.program.or(is, test);
        }
        let following = self.header_byte(walk, 0)?;
        let length = self.header_byte(walk, 1)?;
        let length = self.program.binary_const(Op::Add, length, 1);
        let length = self.program.binary_const(Op::Mul, length, 8);
        let now = self.slot_number(walk.offset);
        let offset = self.program.intern(Number::Binary(Op::Add, length, now));
        let go = self.program.sets(vec![(walk.next, following), (walk.offset, offset)]);
        Ok(self.program.and(is, go))
    }

    /// An authentication header: two words, and as many as its second byte says.
    fn authentication(&mut self, walk: &Walk) -> Result<Fragment> {
        let next = self.slot_number(walk.next);
        let is = self.compare(next, Compare::Equal, protocol::AH);
        let following = self.header_byte(walk, 0)?;
        let length = self.header_byte(walk, 1)?;
        let length = self.program.binary_const(Op::Add, length, 2);
        let offset = self.program.binary_const(Op::Mul, length, 4);
        let go = self.program.sets(vec![(walk.next, following), (walk.offset, offset)]);
        Ok(self.program.and(is, go))
    }
}
