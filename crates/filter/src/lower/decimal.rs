//! Decimal numbers that are written as text, in fields of FIX: `100`, `-0.25`, `00023.230`.
//!
//! A number is never made of the text: it is compared digit by digit. Without leading zeros the one
//! with more digits in front of the point is the larger one; of as many the first that differ
//! decide; where a fraction ends, zeros would follow. So numbers of any length are exact.

use super::Lowerer;
use super::fragment::{Fragment, not};
use super::market::Origin;
use crate::error::Result;
use crate::ir::{Compare, Number, NumberId, Op, Size, Slot};

const SOH: u32 = 1;
const MINUS: u32 = b'-' as u32;
const POINT: u32 = b'.' as u32;
const ZERO: u32 = b'0' as u32;
/// The most digits of a number that is compared to.
const DIGITS_MAX: usize = 30;

/// A number that a field is compared to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decimal {
    negative: bool,
    /// Without leading zeros.
    whole: Vec<u8>,
    /// Without trailing zeros.
    fraction: Vec<u8>,
}

impl Decimal {
    /// `[-]digits[.digits]`; `None` for what is no number, or has too many digits.
    pub(super) fn parse(text: &str) -> Option<Decimal> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let are_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || digits.ends_with('.') || digits.len() > DIGITS_MAX {
            return None;
        }
        if !are_digits(whole) || !are_digits(fraction) {
            return None;
        }
        let whole = whole.trim_start_matches('0').as_bytes().to_vec();
        let fraction = fraction.trim_end_matches('0').as_bytes().to_vec();
        let negative = negative && !(whole.is_empty() && fraction.is_empty());
        Some(Decimal { negative, whole, fraction })
    }

    fn is_zero(&self) -> bool {
        self.whole.is_empty() && self.fraction.is_empty()
    }

    /// Whether it is above `other`.
    pub(super) fn is_above(&self, other: &Decimal) -> bool {
        let size = |it: &Decimal| (it.whole.len(), it.whole.clone(), it.fraction.clone());
        match (self.negative, other.negative) {
            (false, false) => size(self) > size(other),
            (true, true) => size(other) > size(self),
            (negative, _) => !negative,
        }
    }
}

/// Where the text of a number is, once it is known to be one.
#[derive(Clone, Copy)]
pub(super) struct Digits {
    /// Where the text begins, with its sign.
    text: NumberId,
    /// The first digit that is not a zero in front, and what stands behind the whole part.
    first: Slot,
    point: Slot,
    /// A scan.
    at: Slot,
}

impl Lowerer<'_> {
    /// Whether a number is what begins at `text` and ends at a separator; then its digits have
    /// their places. Behind it something that is no digit is known to be there.
    pub(super) fn is_decimal(&mut self, text: NumberId, at: Slot) -> Result<(Fragment, Digits)> {
        let [first, point] = self.decimal_slots()?;
        let digits = Digits { text, first, point, at };
        let here = self.slot_number(at);
        let next = self.program.binary_const(Op::Add, here, 1);
        let behind_sign = self.program.binary_const(Op::Add, text, 1);
        let negative = self.is_byte(text, MINUS);
        let [signed, unsigned] =
            [behind_sign, text].map(|begin| self.program.sets(vec![(at, begin)]));
        let begin = self.program.choose(negative, signed, unsigned);
        let is_digit = self.is_digit(here);
        let is_point = self.is_byte(here, POINT);
        let digit_follows = self.is_digit(next);
        let begins_with_point = self.program.and(is_point, digit_follows);
        let any_digit = self.program.or(is_digit, begins_with_point);
        let zeros = self.skip(at, |lowerer, here| lowerer.is_byte(here, ZERO));
        let first_is = self.program.sets(vec![(first, here)]);
        let whole = self.skip(at, Self::is_digit);
        let point_is = self.program.sets(vec![(point, here)]);
        let over = self.program.sets(vec![(at, next)]);
        let fraction = self.skip(at, Self::is_digit);
        let fraction = self.program.and(over, fraction);
        let nothing = self.program.sets(Vec::new());
        let is_point = self.is_byte(here, POINT);
        let fraction = self.program.choose(is_point, fraction, nothing);
        let ends = self.is_byte(here, SOH);
        let is =
            self.program.all([begin, any_digit, zeros, first_is, whole, point_is, fraction, ends]);
        Ok((is, digits))
    }

    /// Whether the number is above `than`, or with `or_equal` not below.
    pub(super) fn is_above(&mut self, digits: Digits, than: &Decimal, or_equal: bool) -> Fragment {
        let negative = self.is_byte(digits.text, MINUS);
        let (below_zero, else_) = if than.negative {
            // -m > -k is m < k.
            (not(self.is_size_above(digits, than, !or_equal)), Fragment::Always(true))
        } else if than.is_zero() && or_equal {
            // That of -0.
            (not(self.is_size_above(digits, than, false)), Fragment::Always(true))
        } else {
            (Fragment::Always(false), self.is_size_above(digits, than, or_equal))
        };
        self.program.choose(negative, below_zero, else_)
    }

    /// The same, of both without their signs.
    fn is_size_above(&mut self, digits: Digits, than: &Decimal, or_equal: bool) -> Fragment {
        let [first, point] = [digits.first, digits.point].map(|slot| self.slot_number(slot));
        let len = self.program.intern(Number::Binary(Op::Sub, point, first));
        let mut above = self.is_fraction_above(digits, &than.fraction, or_equal);
        for (at, digit) in than.whole.iter().enumerate().rev() {
            let digit_at = Origin { base: Some(first), fixed: at as u32 };
            let byte = self.load_from(digit_at, Size::Byte);
            above = self.above_or(byte, *digit, above);
        }
        let wanted = than.whole.len() as u32;
        let longer = self.compare(len, Compare::Greater, wanted);
        let as_long = self.compare(len, Compare::Equal, wanted);
        let above = self.program.and(as_long, above);
        self.program.or(longer, above)
    }

    /// What stands behind the point against `than`. A separator is below every digit.
    fn is_fraction_above(&mut self, digits: Digits, than: &[u8], or_equal: bool) -> Fragment {
        let point = self.slot_number(digits.point);
        let behind = than.len() as u32 + 1;
        let mut above = Fragment::Always(true);
        if !or_equal {
            // As long as `than` they are equal: something but zeros has to follow.
            let rest = self.program.binary_const(Op::Add, point, behind);
            let begin = self.program.sets(vec![(digits.at, rest)]);
            let zeros = self.skip(digits.at, |lowerer, here| lowerer.is_byte(here, ZERO));
            let here = self.slot_number(digits.at);
            let more = self.is_digit(here);
            above = self.program.all([begin, zeros, more]);
        }
        for (at, digit) in than.iter().enumerate().rev() {
            let digit_at = Origin { base: Some(point), fixed: at as u32 + 1 };
            let byte = self.load_from(digit_at, Size::Byte);
            above = self.above_or(byte, *digit, above);
        }
        let has_point = self.is_byte(point, POINT);
        let none = Fragment::Always(or_equal && than.is_empty());
        self.program.choose(has_point, above, none)
    }

    /// `byte` is above `digit`, or equal and `rest` holds.
    fn above_or(&mut self, byte: NumberId, digit: u8, rest: Fragment) -> Fragment {
        let above = self.compare(byte, Compare::Greater, digit.into());
        let same = self.compare(byte, Compare::Equal, digit.into());
        let same = self.program.and(same, rest);
        self.program.or(above, same)
    }

    /// Moves a scan over all bytes of which `is` holds; always true.
    fn skip(&mut self, at: Slot, is: impl Fn(&mut Self, NumberId) -> Fragment) -> Fragment {
        let here = self.slot_number(at);
        let is = is(self, here);
        let next = self.program.binary_const(Op::Add, here, 1);
        let on = self.program.sets(vec![(at, next)]);
        let body = self.program.and(is, on);
        self.program.repeat(body)
    }

    fn is_byte(&mut self, at: NumberId, value: u32) -> Fragment {
        let byte = self.load_from(Origin { base: Some(at), fixed: 0 }, Size::Byte);
        self.compare(byte, Compare::Equal, value)
    }

    fn is_digit(&mut self, at: NumberId) -> Fragment {
        let byte = self.load_from(Origin { base: Some(at), fixed: 0 }, Size::Byte);
        let digit = self.program.binary_const(Op::Sub, byte, ZERO);
        not(self.compare(digit, Compare::Greater, 9))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_and_ordered() {
        let number = |text: &str| Decimal::parse(text).unwrap();
        assert_eq!(number("00100.500"), number("100.5"));
        assert_eq!(number("-0.0"), number("0"));
        let sorted = ["-100", "-99.5", "-0.001", "0", "0.05", "0.5", "0.51", "9", "10", "100.25"];
        for (at, low) in sorted.iter().enumerate() {
            assert!(
                sorted[at + 1..].iter().all(|high| number(high).is_above(&number(low))),
                "{low}"
            );
            assert!(sorted[..=at].iter().all(|high| !number(high).is_above(&number(low))), "{low}");
        }
        for text in ["", "-", ".5", "5.", "1e3", "+1", "1.2.3", "AAPL", &"1".repeat(31)] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
    }
}
