//! A format of the user's, from its text: see [`Format::template`](super::Format::template).

use super::hole::{Fill, Layout, Source};
use super::{CLIENT_ORDER_ID_BYTES, Format, ORDER_BYTES_MAX};
use crate::order::Scale;
use std::fmt;
use std::ops::Range;

/// The longest text: each byte of the longest order as two digits and a line end, and room.
const TEXT_BYTES_MAX: usize = 4096;

/// The widest number as text: 64 bits have 20 digits.
const DIGITS_MAX: usize = 20;

/// The widest field of a symbol or a client order id that is possible.
const TEXT_FIELD_BYTES_MAX: usize = 64;

/// A text is no template. [`Display`](fmt::Display) says why, [`render`](Self::render) shows where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError {
    /// What is wrong, and what would be right.
    pub message: String,
    /// The bytes of the text that it is about.
    pub span: Range<usize>,
}

impl TemplateError {
    /// The message, the line of `text` that it is about, and carets under the word.
    ///
    /// ```text
    /// unknown hole "prize": there are symbol, side, price, quantity, number, time, clordid
    ///   {symbol:8} {prize:4le.2}
    ///               ^^^^^
    /// ```
    pub fn render(&self, text: &str) -> String {
        let is_inside = |at: &usize| *at <= self.span.start;
        let from = text.match_indices('\n').map(|(at, _)| at + 1).take_while(is_inside).last();
        let from = from.unwrap_or(0);
        let line = text[from..].lines().next().unwrap_or("");
        let before = text[from..].char_indices().take_while(|(at, _)| from + at < self.span.start);
        let word = line.char_indices().filter(|(at, _)| self.span.contains(&(from + at)));
        let (before, word) = (before.count(), word.count().max(1));
        format!("{self}\n  {line}\n  {}{}", " ".repeat(before), "^".repeat(word))
    }
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for TemplateError {}

type Result<T> = std::result::Result<T, TemplateError>;

/// A part of the text, and where it stands in the whole.
#[derive(Clone, Copy)]
struct Word<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Word<'a> {
    fn error<T>(self, message: impl Into<String>) -> Result<T> {
        let span = self.at..self.at + self.text.len();
        Err(TemplateError { message: message.into(), span })
    }

    /// Its bytes from `from` up to `to`, which are at the edge of characters.
    fn part(self, from: usize, to: usize) -> Word<'a> {
        Word { text: &self.text[from..to], at: self.at + from }
    }

    /// What is before and after the first `separator`.
    fn split_at(self, separator: char) -> (Word<'a>, Option<Word<'a>>) {
        match self.text.find(separator) {
            None => (self, None),
            Some(at) => {
                let after = self.part(at + separator.len_utf8(), self.text.len());
                (self.part(0, at), Some(after))
            }
        }
    }

    /// The digits it begins with, as a number, and what follows them.
    fn digits(self) -> (Option<usize>, Word<'a>) {
        let end = self.text.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.text.len());
        (self.text[..end].parse().ok(), self.part(end, self.text.len()))
    }

    fn words(self) -> impl Iterator<Item = Word<'a>> {
        let from = move |word: &str| word.as_ptr() as usize - self.text.as_ptr() as usize;
        self.text.split_whitespace().map(move |word| Word { text: word, at: self.at + from(word) })
    }
}

pub(super) fn parse(text: &str) -> Result<Format> {
    let all = Word { text, at: 0 };
    if text.len() > TEXT_BYTES_MAX {
        let floor = (0..=TEXT_BYTES_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        return all
            .part(floor, text.len())
            .error(format!("a template is at most {TEXT_BYTES_MAX} bytes of text"));
    }
    let mut format = Format::empty();
    let mut rest = all;
    while let Some(first) = rest.text.chars().next() {
        let word = next_word(rest, first)?;
        match first {
            '{' => hole(&mut format, word.part(1, word.text.len() - 1))?,
            '"' => literal(&mut format, word.part(1, word.text.len() - 1))?,
            _ if first.is_whitespace() => {}
            _ => hex(&mut format, word)?,
        }
        if format.order_bytes() > ORDER_BYTES_MAX {
            return word.error(format!(
                "up to here an order has {} bytes: at most \
                {ORDER_BYTES_MAX} are possible",
                format.order_bytes()
            ));
        }
        rest = rest.part(word.text.len(), rest.text.len());
    }
    if format.order_bytes() == 0 {
        return all
            .error("an empty template: write bytes as hexadecimal digits and holes in braces");
    }
    Ok(format)
}

/// The word that `rest` begins with: a hole, a literal, a space, or what is up to one of these.
fn next_word(rest: Word<'_>, first: char) -> Result<Word<'_>> {
    let inner = &rest.text[first.len_utf8()..];
    let closed_by = match first {
        '{' => Some('}'),
        '"' => Some('"'),
        _ => None,
    };
    let end = match closed_by {
        Some(close) => match inner.find(close) {
            Some(at) => at + 1,
            None => return rest.part(0, 1).error(format!("no {close} closes it")),
        },
        None if first.is_whitespace() => 0,
        None => {
            let ends = |c: char| c.is_whitespace() || matches!(c, '{' | '"');
            inner.find(ends).unwrap_or(inner.len())
        }
    };
    Ok(rest.part(0, first.len_utf8() + end))
}

fn literal(format: &mut Format, word: Word<'_>) -> Result<()> {
    if !word.text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        return word.error("text is of printable ASCII: write other bytes as hexadecimal digits");
    }
    format.bytes(word.text.as_bytes());
    Ok(())
}

fn hex(format: &mut Format, word: Word<'_>) -> Result<()> {
    let digits = word.text.as_bytes();
    for pair in digits.chunks(2) {
        match hex_byte(pair) {
            Some(byte) => format.bytes(&[byte]),
            None => {
                return word.error(
                    "bytes are pairs of hexadecimal digits, text is in \
                quotation marks, holes are in braces",
                );
            }
        }
    }
    Ok(())
}

fn hex_byte(pair: &[u8]) -> Option<u8> {
    match pair {
        [a, b] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => {
            u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()
        }
        _ => None,
    }
}

/// What is between the braces.
fn hole(format: &mut Format, word: Word<'_>) -> Result<()> {
    let (name, layout) = word.split_at(':');
    let layout = layout.unwrap_or(word.part(word.text.len(), word.text.len()));
    let mut words = layout.words();
    let first = words.next().unwrap_or(word);
    let (width, fill) = match name.text.trim() {
        "symbol" => (width(first, 1, TEXT_FIELD_BYTES_MAX, "{symbol:8}")?, Fill::Symbol),
        "side" => (1, side(first)?),
        "clordid" => {
            nothing_more(words)?;
            return client_order_id(format, first);
        }
        "price" => number(Source::Price { decimals: 0 }, first, &mut words)?,
        "quantity" => number(Source::Quantity, first, &mut words)?,
        "number" => number(Source::Order, first, &mut words)?,
        "time" => number(Source::Time, first, &mut words)?,
        other => {
            return name.error(format!(
                "unknown hole {other:?}: there are symbol, side, price, quantity, number, time, \
                 clordid"
            ));
        }
    };
    nothing_more(words)?;
    format.hole(width, fill);
    Ok(())
}

fn nothing_more<'a>(mut words: impl Iterator<Item = Word<'a>>) -> Result<()> {
    match words.next() {
        Some(more) => {
            more.error("one word too many: only numbers take a `max N` after their layout")
        }
        None => Ok(()),
    }
}

fn width(word: Word<'_>, min: usize, max: usize, example: &str) -> Result<usize> {
    match word.digits() {
        (Some(width), Word { text: "", .. }) if (min..=max).contains(&width) => Ok(width),
        _ => word.error(format!("its width is {min} to {max} bytes, as in {example}")),
    }
}

fn side(word: Word<'_>) -> Result<Fill> {
    let byte = |text: &str| match text.as_bytes() {
        [byte] if byte.is_ascii_graphic() => Some(*byte),
        pair => hex_byte(pair),
    };
    let bytes: Option<Vec<u8>> = word.text.split('/').map(byte).collect();
    match bytes.as_deref() {
        Some(&[buy, sell]) => Ok(Fill::Side([buy, sell, sell])),
        Some(&[buy, sell, short]) => Ok(Fill::Side([buy, sell, short])),
        _ => word.error(
            "what is written to buy and to sell, and to sell short where that is another: one \
             character or two hexadecimal digits each, as in {side:B/S} or {side:00/01}",
        ),
    }
}

fn client_order_id(format: &mut Format, word: Word<'_>) -> Result<()> {
    let (pad, digits) = word.text.strip_suffix("nul").map_or((b' ', word.text), |text| (0, text));
    let digits = word.part(0, digits.len());
    let example = "{clordid:16} or, with NULs behind it, {clordid:16nul}";
    format
        .client_order_id(width(digits, CLIENT_ORDER_ID_BYTES, TEXT_FIELD_BYTES_MAX, example)?, pad);
    Ok(())
}

/// A number: `4be`, `4le.2`, `9text.2`, then perhaps `max 999999`.
fn number<'a>(
    of: Source,
    word: Word<'a>,
    words: &mut impl Iterator<Item = Word<'a>>,
) -> Result<(usize, Fill)> {
    let (layout, decimals) = word.split_at('.');
    let (of, decimals) = match (of, decimals) {
        (Source::Price { .. }, Some(digits)) => {
            let decimals = match digits.digits() {
                (Some(decimals), Word { text: "", .. }) if decimals <= Scale::MAX.0 as usize => {
                    decimals as u32
                }
                _ => return digits.error(format!("0 to {} decimals are possible", Scale::MAX.0)),
            };
            (Source::Price { decimals }, decimals)
        }
        (Source::Price { .. }, None) => {
            return word.error("a price says its decimals, as in {price:4le.2} or {price:8be.0}");
        }
        (_, Some(digits)) => return digits.error("only a price has decimals"),
        (of, None) => (of, 0),
    };
    let (width, kind) = layout.digits();
    let (layout, narrowest, widest) = match kind.text {
        "le" => (Layout::Little, 1, 8),
        "be" => (Layout::Big, 1, 8),
        "text" => {
            let point = if decimals > 0 { decimals as usize + 1 } else { 0 };
            (Layout::Text { decimals }, point + 1, DIGITS_MAX + point.min(1))
        }
        _ => {
            return word.error(
                "a number is a width and le, be or text, as in {quantity:4be} or {quantity:7text}",
            );
        }
    };
    let Some(width) = width.filter(|width| (narrowest..=widest).contains(width)) else {
        return word.error(format!("it is {narrowest} to {widest} bytes wide"));
    };
    let mut max = layout.max(width);
    if let Some(keyword) = words.next() {
        max = greatest(keyword, words.next(), decimals)?.min(max);
    }
    Ok((width, Fill::Number { of, layout, max }))
}

/// The number behind `max`, in units of the last of its `decimals`.
fn greatest(keyword: Word<'_>, value: Option<Word<'_>>, decimals: u32) -> Result<u64> {
    let value = match (keyword.text, value) {
        ("max", Some(value)) => value,
        ("max", None) => return keyword.error("the greatest value is missing, as in max 999999"),
        _ => return keyword.error("only `max N` may follow the layout of a number"),
    };
    let (whole, fraction) = value.text.split_once('.').unwrap_or((value.text, ""));
    let zeros = (decimals as usize).checked_sub(fraction.len());
    let is_number =
        !whole.is_empty() && format!("{whole}{fraction}").bytes().all(|b| b.is_ascii_digit());
    match zeros.filter(|_| is_number) {
        Some(zeros) => format!("{whole}{fraction}{}", "0".repeat(zeros))
            .parse()
            .or_else(|_| value.error("more than 64 bits")),
        None => value.error(format!("a number with at most {decimals} decimals")),
    }
}
