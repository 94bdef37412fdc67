//! Market data in segments of TCP. Each segment is taken by itself: its messages are those that
//! begin with it.

use super::Lowerer;
use super::fix;
use super::fragment::Fragment;
use super::market::{Origin, Walk};
use crate::error::Result;
use crate::fields::Transport;
use crate::ir::{Compare, Number, NumberId, Op, Size, Test};

/// Bytes of the length in front of a SoupBinTCP packet, and of it and the type.
const LENGTH_BYTES: u32 = 2;
const TYPED_BYTES: u32 = 3;
/// The types of packets, and those of them that carry messages.
const PACKETS: &[u8] = b"+AJSHZLURO";
const DATA: &[u8] = b"SU";

impl Lowerer<'_> {
    /// Whether the payload behind the TCP header at `tcp` begins with a message; then it has its
    /// place, and so has its end.
    pub(super) fn segment(
        &mut self,
        transport: Transport,
        tcp: Origin,
        ip_end: NumberId,
    ) -> Result<Fragment> {
        let offset = self.load_from(tcp.plus(12), Size::Byte);
        let offset = self.program.binary_const(Op::And, offset, 0xf0);
        let offset = self.program.binary_const(Op::Shr, offset, 2);
        let begin = self.position_of(tcp);
        let payload = self.program.intern(Number::Binary(Op::Add, begin, offset));
        let here = Origin { base: Some(payload), fixed: 0 };
        let reaches = |lowerer: &mut Self, right: NumberId| {
            let test = Test { left: ip_end, compare: Compare::GreaterEqual, right };
            lowerer.program.test(test)
        };
        let least = match transport {
            Transport::Fix => fix::BEGIN.len() as u32,
            _ => TYPED_BYTES,
        };
        let needed = self.program.binary_const(Op::Add, payload, least);
        let long = reaches(self, needed);
        let begins = match transport {
            Transport::Fix => self.text_at(here, fix::BEGIN),
            _ => {
                let known = self.is_one_of(here.plus(LENGTH_BYTES), PACKETS);
                let len = self.load_from(here, Size::Half);
                let some = self.compare(len, Compare::Greater, 0);
                let behind = self.program.intern(Number::Binary(Op::Add, payload, len));
                let behind = self.program.binary_const(Op::Add, behind, LENGTH_BYTES);
                let fits = reaches(self, behind);
                self.program.all([known, some, fits])
            }
        };
        let [start, end] = self.places()?;
        let places = self.program.sets(vec![(start, payload), (end, ip_end)]);
        Ok(self.program.all([long, begins, places]))
    }

    /// Puts a walk before the first message.
    pub(super) fn before_stream(&mut self, walk: &Walk) -> Result<Fragment> {
        let [start, end] = self.places()?;
        let behind = self.slot_number(end);
        let ends = self.ends(behind, end);
        let (begin, zero) = (self.slot_number(start), self.program.literal(0));
        let begins = self.program.sets(vec![(walk.len, zero), (walk.next, begin)]);
        Ok(self.program.and(ends, begins))
    }

    /// Goes to the next packet of SoupBinTCP; false where there is none that is whole. One without
    /// a message has no fields.
    pub(super) fn next_soup(&mut self, walk: &Walk) -> Result<Fragment> {
        let [_, end] = self.places()?;
        let [next, at, len] = [walk.next, walk.at, walk.len].map(|slot| self.slot_number(slot));
        let prefix = self.is_within(next, LENGTH_BYTES, end);
        let length = self.load_from(Origin { base: Some(next), fixed: 0 }, Size::Half);
        let typed = self.compare(length, Compare::Greater, 0);
        let begin = self.program.binary_const(Op::Add, next, LENGTH_BYTES);
        let behind = self.program.intern(Number::Binary(Op::Add, begin, length));
        let whole = self.is_within(behind, 0, end);
        let has_message = self.is_one_of(Origin { base: Some(next), fixed: LENGTH_BYTES }, DATA);
        let beyond = self.program.intern(Number::Binary(Op::Add, at, len));
        let go = vec![(walk.len, length), (walk.at, begin), (walk.next, beyond)];
        let go = self.program.sets(go);
        let zero = self.program.literal(0);
        let skip = vec![(walk.len, zero), (walk.at, begin), (walk.next, behind)];
        let skip = self.program.sets(skip);
        let go = self.program.choose(has_message, go, skip);
        Ok(self.program.all([prefix, typed, whole, go]))
    }

    fn is_one_of(&mut self, origin: Origin, letters: &[u8]) -> Fragment {
        let letters: Vec<u32> = letters.iter().map(|letter| u32::from(*letter)).collect();
        let left = self.load_from(origin, Size::Byte);
        let right = self.program.list(&letters);
        self.program.test(Test { left, compare: Compare::In, right })
    }
}
