//! Comparisons of one field of market data.
//!
//! A field is a row of *limbs*, words as the IR has them, the most significant first. Text is a
//! number too, the first byte being the most significant.

use super::Lowerer;
use super::fragment::{Fragment, not};
use super::market::{Origin, UDP_BYTES};
use crate::ast::{FieldTest, Literal, Relation};
use crate::error::{ErrorKind, FilterError, Result, Span};
use crate::fields::{self, Bound, Subject, Variant};
use crate::ir::{Compare, LIST_VALUES_MAX, NumberId, Op, Size, Test};
use crate::parse::value_of_line;
use std::collections::BTreeMap;
use tickwire_market::shape::{Kind, Shape};

/// The number of a message.
const SEQUENCE: Shape = Shape { kind: Kind::Unsigned, len: 8, little: false };

/// So many values are compared one by one; more are told apart by their first words.
const LEAF_VALUES: usize = 4;

/// A word of a field, and how its bytes lie.
#[derive(Clone, Copy)]
struct Limb {
    raw: NumberId,
    size: Size,
    little: bool,
    /// What turns the order of signed numbers into that of unsigned ones.
    flip: u32,
}

/// From one value to another; an open end is none.
type Range = (Option<Bound>, Option<Bound>);

/// What a field is compared to.
struct Wanted {
    any_of: Vec<Range>,
    negated: bool,
}

impl Lowerer<'_> {
    pub(super) fn market_field(&mut self, test: &FieldTest) -> Result<Fragment> {
        self.count_field()?;
        let found = fields::find(&test.name);
        let (transports, subject) =
            found.map_err(|message| FilterError::value(test.name_span.clone(), message))?;
        let variants = match subject {
            // Text of any length.
            Subject::Tag(_) => Vec::new(),
            Subject::Sequence => {
                vec![Variant { offset: 0, shape: SEQUENCE, types: Vec::new(), wide: false }]
            }
            Subject::Header(ref variant) => vec![variant.clone()],
            Subject::Message(ref variants) => variants.clone(),
        };
        let of_list;
        let test = match &test.file {
            None => test,
            Some((name, span)) => {
                of_list = self.with_list(&subject, &variants, test, (name, span))?;
                &of_list
            }
        };
        let wanted = self.checked(&subject, &variants, test)?;
        let mut at_hand = false;
        for transport in transports {
            at_hand |= self.is_at_hand(*transport)?;
        }
        if !at_hand {
            return Ok(Fragment::Always(false));
        }
        match subject {
            Subject::Header(variant) => {
                let [udp, _] = self.places()?;
                let base = Some(self.slot_number(udp));
                let header = Origin { base, fixed: UDP_BYTES + variant.offset };
                let limbs = self.limbs(&variant.shape, header);
                Ok(self.in_ranges(&limbs, &variant.shape, &wanted[0], true))
            }
            Subject::Sequence => {
                let limb = |raw| Limb { raw, size: Size::Word, little: false, flip: 0 };
                let limbs = self.sequence()?.map(limb);
                Ok(self.in_ranges(&limbs, &SEQUENCE, &wanted[0], false))
            }
            Subject::Tag(tag) => self.tag(tag, test),
            Subject::Message(variants) => {
                let mut any = Fragment::Always(false);
                let alike =
                    |one: &(Variant, Wanted), next: &(Variant, Wanted)| one.0.shape == next.0.shape;
                let places: Vec<(Variant, Wanted)> = variants.into_iter().zip(wanted).collect();
                for places in places.chunk_by(alike) {
                    self.check_size()?;
                    let holds = self.message_field(places)?;
                    any = self.program.or(any, holds);
                }
                Ok(any)
            }
        }
    }

    /// What is wanted of each variant; of text of any length nothing.
    fn checked(
        &self,
        subject: &Subject,
        variants: &[Variant],
        test: &FieldTest,
    ) -> Result<Vec<Wanted>> {
        match subject {
            Subject::Tag(tag) => self.check_tag(*tag, test).map(|()| Vec::new()),
            _ => self.wanted(variants, test),
        }
    }

    /// The test with the values of its file, one a line.
    fn with_list(
        &mut self,
        subject: &Subject,
        variants: &[Variant],
        test: &FieldTest,
        (name, span): (&String, &Span),
    ) -> Result<FieldTest> {
        let of_values = |values| FieldTest { values, file: None, ..test.clone() };
        let known = self.market.lists.iter().find(|list| list.0 == *name && list.1 == test.name);
        if let Some((.., values)) = known {
            return Ok(of_values(values.clone()));
        }
        let whole = std::mem::replace(&mut self.span, span.clone());
        let text = self.read(name)?;
        self.span = whole;
        let mut values = Vec::new();
        for (line, number) in text.lines().zip(1..) {
            let refused = |kind, message: &str| {
                FilterError::new(kind, span.clone(), format!("{name}, line {number}: {message}"))
            };
            let value = value_of_line(line, span);
            let Some(value) = value.map_err(|message| refused(ErrorKind::Value, message))? else {
                continue;
            };
            let checked = self.checked(subject, variants, &of_values(vec![value.clone()]));
            checked.map_err(|error| refused(error.kind, &error.message))?;
            values.push(value);
            if values.len() > LIST_VALUES_MAX {
                let message = format!("{name}: more than {LIST_VALUES_MAX} values; split it");
                return Err(FilterError::limit(span.clone(), message));
            }
        }
        if values.is_empty() {
            let message = format!("{name} is empty; write one value a line");
            return Err(FilterError::value(span.clone(), message));
        }
        self.market.lists.push((name.clone(), test.name.clone(), values.clone()));
        Ok(of_values(values))
    }

    /// The message has the field in one of some places, and it compares. Of several places the one
    /// is found first, so that the comparison, which may be long, is there once.
    fn message_field(&mut self, places: &[(Variant, Wanted)]) -> Result<Fragment> {
        let (shape, wanted) = (places[0].0.shape, &places[0].1);
        let walk = self.message_walk()?;
        let message = Origin { base: Some(self.slot_number(walk.at)), fixed: 0 };
        let (found, field) = if let [(only, _)] = places {
            (self.has(only)?, message.plus(only.offset))
        } else {
            let slot = self.field_slot()?;
            let mut found = Fragment::Always(false);
            for (variant, _) in places {
                let has = self.has(variant)?;
                let at = self.slot_number(walk.at);
                let at = self.program.binary_const(Op::Add, at, variant.offset);
                let set = self.program.sets(vec![(slot, at)]);
                let has = self.program.and(has, set);
                found = self.program.or(found, has);
            }
            (found, Origin { base: Some(self.slot_number(slot)), fixed: 0 })
        };
        let limbs = self.limbs(&shape, field);
        let holds = self.in_ranges(&limbs, &shape, wanted, false);
        Ok(self.program.and(found, holds))
    }

    /// Whether the message is of a type that has the field there, and long enough.
    fn has(&mut self, variant: &Variant) -> Result<Fragment> {
        let walk = self.message_walk()?;
        let [at, len] = [walk.at, walk.len].map(|slot| self.slot_number(slot));
        let end = variant.offset + variant.shape.len;
        let long = self.compare(len, Compare::GreaterEqual, end);
        let size = if variant.wide { Size::Half } else { Size::Byte };
        let kind = self.load_from(Origin { base: Some(at), fixed: 0 }, size);
        let kind = match variant.types[..] {
            [] => Fragment::Always(true),
            [only] => self.compare(kind, Compare::Equal, only),
            _ => {
                let right = self.program.list(&variant.types);
                self.program.test(Test { left: kind, compare: Compare::In, right })
            }
        };
        Ok(self.program.and(long, kind))
    }

    /// What is wanted of each variant. A value has to mean something to one of them; to the others
    /// it may be too large, or nothing.
    fn wanted(&self, variants: &[Variant], test: &FieldTest) -> Result<Vec<Wanted>> {
        let mut wanted: Vec<Wanted> = Vec::new();
        let negated =
            matches!(test.relation, Relation::NotEqual | Relation::Greater | Relation::Less);
        wanted.extend(variants.iter().map(|_| Wanted { any_of: Vec::new(), negated }));
        for value in &test.values {
            let low = read(variants, &value.low)?;
            let high = match &value.high {
                Some(high) => read(variants, high)?,
                None => low.clone(),
            };
            for ((low, high), wanted) in low.into_iter().zip(high).zip(&mut wanted) {
                let (Some(low), Some(high)) = (low, high) else { continue };
                if low > high {
                    let span = value.low.span.clone();
                    let message = format!("the range begins above its end: {}", value.low.text);
                    return Err(FilterError::value(span, message));
                }
                wanted.any_of.push(match test.relation {
                    Relation::Equal | Relation::NotEqual => (Some(low), Some(high)),
                    Relation::GreaterEqual | Relation::Less => (Some(low), None),
                    Relation::LessEqual | Relation::Greater => (None, Some(high)),
                });
            }
        }
        Ok(wanted)
    }

    /// The words of a field that begins at `origin`.
    fn limbs(&mut self, shape: &Shape, origin: Origin) -> Vec<Limb> {
        let (mut before, mut limbs) = (0, Vec::new());
        for size in sizes(shape.len) {
            before += size.bytes();
            let place = if shape.little { shape.len - before } else { before - size.bytes() };
            let raw = self.load_from(origin.plus(place), size);
            let flip = u32::from(limbs.is_empty() && shape.is_signed());
            let flip = flip << (8 * size.bytes() - 1);
            limbs.push(Limb { raw, size, little: shape.little, flip });
        }
        limbs
    }

    /// Whether the field lies in one of the ranges, or in none where that is wanted. Text in a
    /// header may be padded on either side, text in a message on the right.
    fn in_ranges(
        &mut self,
        limbs: &[Limb],
        shape: &Shape,
        wanted: &Wanted,
        either: bool,
    ) -> Fragment {
        let mut single: Vec<Vec<u32>> = Vec::new();
        let mut any = Fragment::Always(false);
        for (low, high) in &wanted.any_of {
            if low == high {
                single.extend(low.iter().filter_map(|bound| words(shape, bound, false)));
                single.extend(low.iter().filter(|_| either).filter_map(|b| words(shape, b, true)));
            } else {
                let range = self.within_range(limbs, shape, low.as_ref(), high.as_ref());
                any = self.program.or(any, range);
            }
        }
        single.sort_unstable();
        single.dedup();
        let single = self.equals(limbs, &single);
        let any = self.program.or(single, any);
        if wanted.negated && !wanted.any_of.is_empty() { not(any) } else { any }
    }

    fn within_range(
        &mut self,
        limbs: &[Limb],
        shape: &Shape,
        low: Option<&Bound>,
        high: Option<&Bound>,
    ) -> Fragment {
        let (lowest, highest) = shape.limits();
        let beyond = |bound: Option<&Bound>, below: bool| match bound {
            Some(Bound::Number(number)) if below => *number < lowest,
            Some(Bound::Number(number)) => *number > highest,
            _ => false,
        };
        if beyond(low, false) || beyond(high, true) {
            return Fragment::Always(false);
        }
        let (low, high) = (
            low.filter(|low| !beyond(Some(low), true)).and_then(|low| words(shape, low, false)),
            high.filter(|high| !beyond(Some(high), false))
                .and_then(|high| words(shape, high, false)),
        );
        let above = low.map_or(Fragment::Always(true), |low| {
            self.in_order(limbs, &low, Compare::GreaterEqual)
        });
        let below = high.map_or(Fragment::Always(true), |high| {
            not(self.in_order(limbs, &high, Compare::Greater))
        });
        self.program.and(above, below)
    }

    /// `limbs > words`, or `>=`.
    fn in_order(&mut self, limbs: &[Limb], words: &[u32], last: Compare) -> Fragment {
        let mut rest: Option<Fragment> = None;
        for (limb, word) in limbs.iter().zip(words).rev() {
            let mut number = limb.raw;
            if limb.little {
                number = self.swapped(number, limb.size);
            }
            if limb.flip != 0 {
                number = self.program.binary_const(Op::Xor, number, limb.flip);
            }
            let word = word ^ limb.flip;
            rest = Some(match rest {
                None => self.compare(number, last, word),
                Some(rest) => {
                    let above = self.compare(number, Compare::Greater, word);
                    let same = self.compare(number, Compare::Equal, word);
                    let same = self.program.and(same, rest);
                    self.program.or(above, same)
                }
            });
        }
        rest.unwrap_or(Fragment::Always(true))
    }

    /// Whether the field is one of some values, which are sorted.
    fn equals(&mut self, limbs: &[Limb], values: &[Vec<u32>]) -> Fragment {
        if let ([limb], [_, _, ..]) = (limbs, values) {
            let values: Vec<u32> = values.iter().map(|words| in_memory(limb, words[0])).collect();
            let right = self.program.list(&values);
            return self.program.test(Test { left: limb.raw, compare: Compare::In, right });
        }
        let mut by_rest = BTreeMap::<&[u32], Vec<u32>>::new();
        for words in values {
            let first = in_memory(&limbs[0], words[0]);
            by_rest.entry(&words[1..]).or_default().push(first);
        }
        // Most symbols are padded from the fifth character on.
        if values.len() > LEAF_VALUES && 2 * by_rest.len() <= values.len() {
            let mut any = Fragment::Always(false);
            for (rest, firsts) in by_rest {
                let first = self.one_of(limbs[0].raw, &firsts);
                let rest = limbs[1..].iter().zip(rest);
                let rest = rest.map(|(limb, word)| {
                    self.compare(limb.raw, Compare::Equal, in_memory(limb, *word))
                });
                let rest: Vec<_> = rest.collect();
                let rest = self.program.all(rest);
                let both = self.program.and(rest, first);
                any = self.program.or(any, both);
            }
            return any;
        }
        let half = values.len() / 2;
        // Not between values that begin alike.
        let split = (half..values.len()).find(|at| *at > 0 && values[*at][0] != values[*at - 1][0]);
        if let (Some(split), true) = (split, values.len() > LEAF_VALUES) {
            let (lower, upper) = values.split_at(split);
            let upper_start = [upper[0][0]];
            let [lower, upper] = [lower, upper].map(|half| self.equals(limbs, half));
            let first = Limb { flip: 0, ..limbs[0] };
            let above = self.in_order(&[first], &upper_start, Compare::GreaterEqual);
            return self.program.choose(above, upper, lower);
        }
        let mut any = Fragment::Always(false);
        for words in values {
            let mut all = Fragment::Always(true);
            for (limb, word) in limbs.iter().zip(words) {
                let same = self.compare(limb.raw, Compare::Equal, in_memory(limb, *word));
                all = self.program.and(all, same);
            }
            any = self.program.or(any, all);
        }
        any
    }
}

/// The value for each variant, where it is one.
fn read(variants: &[Variant], literal: &Literal) -> Result<Vec<Option<Bound>>> {
    let mut refused = None;
    let mut fitting = false;
    let mut bounds = Vec::with_capacity(variants.len());
    for variant in variants {
        let bound = fields::bound(&variant.shape, literal);
        let fits = bound
            .as_ref()
            .map_err(String::clone)
            .and_then(|bound| fields::fits(&variant.shape, bound, &literal.text));
        match fits {
            Ok(()) => fitting = true,
            Err(message) => refused = refused.or(Some(message)),
        }
        bounds.push(bound.ok());
    }
    match refused {
        Some(message) if !fitting => Err(FilterError::value(literal.span.clone(), message)),
        _ => Ok(bounds),
    }
}

/// The sizes of the words of so many bytes, the most significant first.
fn sizes(len: u32) -> impl Iterator<Item = Size> {
    let first: &[Size] = match len % 4 {
        0 => &[],
        1 => &[Size::Byte],
        2 => &[Size::Half],
        _ => &[Size::Byte, Size::Half],
    };
    first.iter().copied().chain((0..len / 4).map(|_| Size::Word))
}

/// A value in words, the most significant first; none for a number that does not fit.
fn words(shape: &Shape, bound: &Bound, padded_left: bool) -> Option<Vec<u32>> {
    let len = shape.len as usize;
    let bytes = match bound {
        Bound::Number(number) => {
            let (low, high) = shape.limits();
            let number = (low..=high).contains(number).then_some(*number)?;
            let bytes = number.to_be_bytes();
            bytes[bytes.len() - len..].to_vec()
        }
        Bound::Text(text) => {
            let padding = vec![b' '; len.saturating_sub(text.len())];
            if padded_left {
                [padding, text.clone()].concat()
            } else {
                [text.clone(), padding].concat()
            }
        }
    };
    let mut rest = &bytes[..];
    let words = sizes(shape.len).map(|size| {
        let (word, behind) = rest.split_at(size.bytes() as usize);
        rest = behind;
        word.iter().fold(0, |value, byte| value << 8 | u32::from(*byte))
    });
    Some(words.collect())
}

/// A word as a load brings it.
fn in_memory(limb: &Limb, word: u32) -> u32 {
    match (limb.little, limb.size) {
        (false, _) | (true, Size::Byte) => word,
        (true, Size::Half) => u32::from((word as u16).swap_bytes()),
        (true, Size::Word) => word.swap_bytes(),
    }
}
