//! FIX in segments of TCP: where a message ends, and its fields by number.
//!
//! As text is read: byte by byte, in loops that go forward only. A message is as long as its
//! BodyLength (9) says; its sum is not checked. What does not look like a message ends the segment.

use super::Lowerer;
use super::decimal::Decimal;
use super::fragment::{Fragment, not};
use super::market::{Origin, Walk};
use crate::ast::{FieldTest, FieldValue, Literal, Relation};
use crate::error::{FilterError, Result};
use crate::ir::{Compare, Number, NumberId, Op, Size, Slot, Test};
use tickwire_market::fix;

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

fn number(literal: &Literal) -> Result<Decimal> {
    Decimal::parse(&literal.text).ok_or_else(|| {
        let message = format!("'{}' is no number; write it such as 100 or -0.25", literal.text);
        FilterError::value(literal.span.clone(), message)
    })
}

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

    /// Values of fields are text, and only equal or not; numbers have an order, too.
    pub(super) fn check_tag(&self, tag: u32, test: &FieldTest) -> Result<()> {
        let is_order = !matches!(test.relation, Relation::Equal | Relation::NotEqual);
        for FieldValue { low, high } in &test.values {
            if low.text.len() > VALUE_BYTES_MAX {
                let message = format!("longer than {VALUE_BYTES_MAX} bytes");
                return Err(FilterError::limit(low.span.clone(), message));
            }
            if !is_order && high.is_none() {
                continue;
            }
            if !fix::is_number(tag) {
                let message = format!(
                    "'fix.{tag}' is no number in FIX 4.2, 4.4 and FIXT 1.1, and text has no order \
                     and no ranges: compare it by ==, != or in {{…}}"
                );
                return Err(FilterError::unsupported(test.name_span.clone(), message));
            }
            let low_number = number(low)?;
            if let Some(high) = high
                && low_number.is_above(&number(high)?)
            {
                let message = format!("the range begins above its end: {}", low.text);
                return Err(FilterError::value(low.span.clone(), message));
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
        let is_order = !matches!(test.relation, Relation::Equal | Relation::NotEqual);
        let asks_number = is_order || test.values.iter().any(|value| value.high.is_some());
        let (value, begins) = match asks_number {
            false => (field.plus(name.len() as u32), Fragment::Always(true)),
            true => {
                // Reading a number moves the scan.
                let slot = self.field_slot()?;
                let begin = self.position_of(field.plus(name.len() as u32));
                let begins = self.program.sets(vec![(slot, begin)]);
                (Origin { base: Some(self.slot_number(slot)), fixed: 0 }, begins)
            }
        };
        let mut any = Fragment::Always(false);
        for wanted in &test.values {
            self.check_size()?;
            let holds = match is_order || wanted.high.is_some() {
                true => self.number_holds(value, at, test.relation, wanted)?,
                false => {
                    let text = [wanted.low.text.as_bytes(), &[SOH as u8]].concat();
                    let begin = self.position_of(value);
                    let long = self.is_within(begin, text.len() as u32, message_end);
                    let same = self.text_at(value, &text);
                    self.program.and(long, same)
                }
            };
            any = self.program.or(any, holds);
        }
        let any = if test.relation == Relation::NotEqual { not(any) } else { any };
        Ok(self.program.all([start, found, begins, any]))
    }

    /// Whether the value is a number, and in the order that is wanted. The message around it is
    /// whole, and digits are not all of that.
    fn number_holds(
        &mut self,
        value: Origin,
        at: Slot,
        relation: Relation,
        wanted: &FieldValue,
    ) -> Result<Fragment> {
        let text = self.position_of(value);
        let (is, digits) = self.is_decimal(text, at)?;
        let low = number(&wanted.low)?;
        let above_high = match &wanted.high {
            Some(high) => self.is_above(digits, &number(high)?, false),
            None => Fragment::Always(false),
        };
        let holds = match relation {
            Relation::Greater => self.is_above(digits, &low, false),
            Relation::LessEqual => not(self.is_above(digits, &low, false)),
            Relation::Less => not(self.is_above(digits, &low, true)),
            _ => self.is_above(digits, &low, true),
        };
        Ok(self.program.all([is, holds, not(above_high)]))
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
