//! FIX in segments of TCP: where a message ends, and its fields by number.
//!
//! As text is read: byte by byte, in loops that go forward only. A message is as long as its
//! BodyLength (9) says; its sum is not checked. What does not look like a message ends the segment.

use super::Lowerer;
use super::fragment::{Fragment, not};
use super::market::{Origin, Walk};
use crate::ast::{FieldTest, Relation};
use crate::error::{FilterError, Result};
use crate::ir::{Compare, Number, NumberId, Op, Size, Slot, Test};

const SOH: u32 = 1;
/// How a message begins.
pub(super) const BEGIN: &[u8] = b"8=FIX";
/// No message is shorter: `8=FIX|9=5|35=0|10=000|`.
const MESSAGE_BYTES_MIN: u32 = 22;
/// The separator behind BeginString comes within so many bytes.
const BEGIN_STRING_BYTES_MAX: u32 = 16;
/// The longest body, and the most digits of its length.
const BODY_BYTES_MAX: u32 = 1 << 20;
const BODY_LENGTH_DIGITS_MAX: u32 = 12;
/// Bytes of `10=nnn|`.
const TRAILER_BYTES: u32 = 7;
/// The longest value that a field is compared to, in bytes.
const VALUE_BYTES_MAX: usize = 256;

impl Lowerer<'_> {
    /// Goes to the next message; false where there is none that is whole.
    pub(super) fn next_fix(&mut self, walk: &Walk) -> Result<Fragment> {
        let [_, end] = self.places()?;
        let [at, length] = self.scan_slots()?;
        let next = self.slot_number(walk.next);
        let enough = self.is_within(next, MESSAGE_BYTES_MIN, end);
        let begins = self.text_at(Origin { base: Some(next), fixed: 0 }, BEGIN);
        let begin = self.program.binary_const(Op::Add, next, BEGIN.len() as u32);
        let scan = self.program.sets(vec![(at, begin)]);
        let limit = self.program.binary_const(Op::Add, next, BEGIN_STRING_BYTES_MAX);
        let version = self.skip_to_separator(at, limit);
        let here = self.slot_number(at);
        let now = Origin { base: Some(here), fixed: 0 };
        let is_length = self.text_at(now, b"\x019=");
        let digits = self.digits(at, length, end)?;
        let value = self.slot_number(length);
        let fits = not(self.compare(value, Compare::Greater, BODY_BYTES_MAX));
        let separated = self.is_within(here, 1, end);
        let separator = self.text_at(now, &[SOH as u8]);
        // The separator behind the length is not counted, the one in front of the sum is.
        let behind = self.program.intern(Number::Binary(Op::Add, here, value));
        let body_end = self.program.binary_const(Op::Add, behind, 1);
        let whole = self.is_within(body_end, TRAILER_BYTES, end);
        let trailer = Origin { base: Some(behind), fixed: 1 };
        let sum = self.text_at(trailer, b"10=");
        let last = self.text_at(trailer.plus(TRAILER_BYTES - 1), &[SOH as u8]);
        let len = self.program.intern(Number::Binary(Op::Sub, body_end, next));
        let beyond = self.program.binary_const(Op::Add, body_end, TRAILER_BYTES);
        let go = vec![(walk.at, next), (walk.len, len), (walk.next, beyond)];
        let go = self.program.sets(go);
        Ok(self.program.all([
            enough, begins, scan, version, is_length, digits, fits, separated, separator, whole,
            sum, last, go,
        ]))
    }

    /// Reads the number behind `|9=` at the scan, which stands behind its digits then.
    fn digits(&mut self, at: Slot, value: Slot, end: Slot) -> Result<Fragment> {
        let (here, number) = (self.slot_number(at), self.slot_number(value));
        let zero = self.program.literal(0);
        let first = self.program.binary_const(Op::Add, here, 3);
        let begin = self.program.sets(vec![(value, zero), (at, first)]);
        let digit = self.load_from(Origin { base: Some(here), fixed: 0 }, Size::Byte);
        let digit = self.program.binary_const(Op::Sub, digit, u32::from(b'0'));
        let one_more = |lowerer: &mut Self| {
            let there = lowerer.is_within(here, 1, end);
            let is_digit = not(lowerer.compare(digit, Compare::Greater, 9));
            let small = not(lowerer.compare(number, Compare::Greater, BODY_BYTES_MAX));
            let tens = lowerer.program.binary_const(Op::Mul, number, 10);
            let sum = lowerer.program.intern(Number::Binary(Op::Add, tens, digit));
            let next = lowerer.program.binary_const(Op::Add, here, 1);
            let set = lowerer.program.sets(vec![(value, sum), (at, next)]);
            lowerer.program.all([there, is_digit, small, set])
        };
        // One digit at least, then others; more than the most of them are no number.
        let mut rest = Fragment::Always(true);
        for _ in 1..BODY_LENGTH_DIGITS_MAX {
            let digit = one_more(self);
            let more = self.program.and(digit, rest);
            let none = self.program.sets(Vec::new());
            rest = self.program.or(more, none);
        }
        let digit = one_more(self);
        Ok(self.program.all([begin, digit, rest]))
    }

    /// Values of fields are text, and only equal or not.
    pub(super) fn check_tag(&self, test: &FieldTest) -> Result<()> {
        if !matches!(test.relation, Relation::Equal | Relation::NotEqual) {
            let message = "fields of FIX are text: compare them by ==, != or in {…}";
            return Err(FilterError::unsupported(test.name_span.clone(), message));
        }
        for value in &test.values {
            if let Some(high) = &value.high {
                let message = "fields of FIX are text, which has no ranges";
                return Err(FilterError::unsupported(high.span.clone(), message));
            }
            if value.low.text.len() > VALUE_BYTES_MAX {
                let message = format!("longer than {VALUE_BYTES_MAX} bytes");
                return Err(FilterError::limit(value.low.span.clone(), message));
            }
        }
        Ok(())
    }

    /// The first field of that number has one of the values, or none of them.
    pub(super) fn tag(&mut self, tag: u32, test: &FieldTest) -> Result<Fragment> {
        let walk = self.message_walk()?;
        let [at, message_end] = self.scan_slots()?;
        let [begin, len] = [walk.at, walk.len].map(|slot| self.slot_number(slot));
        let end = self.program.intern(Number::Binary(Op::Add, begin, len));
        let start = self.program.sets(vec![(at, begin), (message_end, end)]);
        let here = self.slot_number(at);
        let field = Origin { base: Some(here), fixed: 0 };
        let name = format!("{tag}=");
        let long = self.is_within(here, name.len() as u32, message_end);
        let named = self.text_at(field, name.as_bytes());
        let named = self.program.and(long, named);
        let limit = self.slot_number(message_end);
        let skip = self.skip_to_separator(at, limit);
        let behind = self.program.binary_const(Op::Add, here, 1);
        let on = self.program.sets(vec![(at, behind)]);
        let more = self.is_within(here, 1, message_end);
        let step = self.program.all([skip, on, more]);
        let found = self.program.search(named, step);
        let mut any = Fragment::Always(false);
        for value in &test.values {
            self.check_size()?;
            let text = [value.low.text.as_bytes(), &[SOH as u8]].concat();
            let fixed = name.len() as u32;
            let long = self.is_within(here, fixed + text.len() as u32, message_end);
            let same = self.text_at(field.plus(fixed), &text);
            let same = self.program.and(long, same);
            any = self.program.or(any, same);
        }
        let any = if test.relation == Relation::NotEqual { not(any) } else { any };
        Ok(self.program.all([start, found, any]))
    }

    /// Moves the scan to the next separator, or to `limit`; always true.
    fn skip_to_separator(&mut self, at: Slot, limit: NumberId) -> Fragment {
        let here = self.slot_number(at);
        let before = Test { left: limit, compare: Compare::Greater, right: here };
        let before = self.program.test(before);
        let byte = self.load_from(Origin { base: Some(here), fixed: 0 }, Size::Byte);
        let other = not(self.compare(byte, Compare::Equal, SOH));
        let next = self.program.binary_const(Op::Add, here, 1);
        let on = self.program.sets(vec![(at, next)]);
        let body = self.program.all([before, other, on]);
        self.program.repeat(body)
    }

    /// Whether so many bytes from `begin` on lie before the place in `end`.
    pub(super) fn is_within(&mut self, begin: NumberId, bytes: u32, end: Slot) -> Fragment {
        let left = self.slot_number(end);
        let right = self.program.binary_const(Op::Add, begin, bytes);
        self.program.test(Test { left, compare: Compare::GreaterEqual, right })
    }

    /// Whether these bytes are there, which are known to be captured.
    pub(super) fn text_at(&mut self, origin: Origin, text: &[u8]) -> Fragment {
        let mut all = Fragment::Always(true);
        let mut rest = text;
        while !rest.is_empty() {
            let size = match rest.len() {
                4.. => Size::Word,
                2.. => Size::Half,
                _ => Size::Byte,
            };
            let at = (text.len() - rest.len()) as u32;
            let (word, behind) = rest.split_at(size.bytes() as usize);
            let value = word.iter().fold(0, |value, byte| value << 8 | u32::from(*byte));
            let left = self.load_from(origin.plus(at), size);
            let same = self.compare(left, Compare::Equal, value);
            all = self.program.and(all, same);
            rest = behind;
        }
        all
    }
}
