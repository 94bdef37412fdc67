//! Text to tokens: the words of pcap-filter(7), the longest match first.
//!
//! Numbers, addresses and names overlap (`012345670123` is a MAC address, `25-smtp` a name,
//! `len-1` a name too): every kind is tried and the longest wins; of two equally long ones the
//! earlier in this list: keyword, MAC, number, dotted IPv4, IPv6, name.

use std::net::Ipv6Addr;
use std::ops::RangeInclusive;

use crate::error::{FilterError, Result, Span};
use crate::names::keywords;

/// What a token is.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A word of the language, in its canonical spelling (`ether` is `link`).
    Keyword(&'static str),
    /// A name: of a host, a service, a protocol; without the backslash of an escaped keyword.
    Name(String),
    /// A number, or a named constant such as `tcp-syn`.
    Number(u32),
    /// Two to four dotted decimal numbers, not yet checked.
    Dotted,
    /// An IPv6 address.
    V6(Ipv6Addr),
    /// A MAC address.
    Mac([u8; 6]),
    /// `$` and one or two hexadecimal digits: an ARCnet or MS/TP address.
    Octet(u8),
    /// A number of more than 32 bits, which only fields of market data take.
    Large,
    /// `"text"`, without the quotation marks: only fields of market data take it.
    Text(String),
    /// `@file` or `@"file"`: a list in a file.
    File(String),
    /// Punctuation and operators; `&&`, `||` and `!` are keywords.
    Symbol(&'static str),
    /// After the last token.
    End,
}

/// A token and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Where it is.
    pub span: Span,
}

/// Longest first, so that the first that fits is the longest.
const SYMBOLS: [&str; 29] = [
    "..", "&&", "||", "!=", "==", "<=", ">=", "<<", ">>", "!", "=", "<", ">", "(", ")", "[", "]",
    ":", "/", "+", "-", "*", "%", "&", "|", "^", "{", "}", ",",
];

/// The tokens of `text`, the last of which is [`Kind::End`].
pub fn lex(text: &str) -> Result<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let first = rest.as_bytes()[0];
        if matches!(first, b' ' | b'\t' | b'\r' | b'\n') {
            at += 1;
            continue;
        }
        let (kind, len) = token(rest, at)?;
        tokens.push(Token { kind, span: at..at + len });
        at += len;
    }
    tokens.push(Token { kind: Kind::End, span: text.len()..text.len() });
    Ok(tokens)
}

fn token(rest: &str, at: usize) -> Result<(Kind, usize)> {
    if let Some(found) = escaped(rest).or_else(|| octet(rest)).or_else(|| file(rest)) {
        return Ok(found);
    }
    if let Some(text) = rest.strip_prefix('"') {
        return match text.find('"') {
            Some(len) => Ok((Kind::Text(text[..len].to_owned()), len + 2)),
            None => Err(FilterError::syntax(at..at + 1, "no quotation mark ends this text")),
        };
    }
    let mut best: Option<(Kind, usize)> = None;
    let mut offer = |candidate: Option<(Kind, usize)>| {
        if let Some((kind, len)) = candidate
            && best.as_ref().is_none_or(|(_, longest)| len > *longest)
        {
            best = Some((kind, len));
        }
    };
    offer(mac(rest));
    let digits = number_len(rest);
    offer((digits > 0).then_some((Kind::Number(0), digits)));
    offer(dotted_len(rest).map(|len| (Kind::Dotted, len)));
    offer(v6(rest));
    offer(name_len(rest).map(|len| (Kind::Name(String::new()), len)));
    match best {
        Some((Kind::Number(_), len)) => Ok((number(&rest[..len], at)?, len)),
        Some((Kind::Name(_), len)) => Ok((word(&rest[..len]), len)),
        Some(found) => Ok(found),
        None => symbol(rest, at),
    }
}

fn symbol(rest: &str, at: usize) -> Result<(Kind, usize)> {
    match SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
        Some(&"&&") => Ok((Kind::Keyword("and"), 2)),
        Some(&"||") => Ok((Kind::Keyword("or"), 2)),
        Some(&"!") => Ok((Kind::Keyword("not"), 1)),
        Some(&"==") => Ok((Kind::Symbol("="), 2)),
        Some(symbol) => Ok((Kind::Symbol(symbol), symbol.len())),
        None => {
            let stray = rest.chars().next().unwrap_or(' ');
            let span = at..at + stray.len_utf8();
            Err(FilterError::syntax(
                span,
                format!("'{}' has no meaning here", stray.escape_debug()),
            ))
        }
    }
}

fn word(text: &str) -> Kind {
    if let Some(keyword) = keywords::keyword(text) {
        Kind::Keyword(keyword)
    } else if let Some(value) = keywords::constant(text) {
        Kind::Number(value)
    } else {
        Kind::Name(text.to_owned())
    }
}

/// `\tcp`: a keyword that is meant as a name.
fn escaped(rest: &str) -> Option<(Kind, usize)> {
    let name = rest.strip_prefix('\\')?;
    let len = name.find([' ', '!', '(', ')', '\n', '\t']).unwrap_or(name.len());
    (len > 0).then(|| (Kind::Name(name[..len].to_owned()), len + 1))
}

/// Up to the next blank or parenthesis, or in quotation marks.
fn file(rest: &str) -> Option<(Kind, usize)> {
    let name = rest.strip_prefix('@')?;
    if let Some(quoted) = name.strip_prefix('"') {
        let len = quoted.find('"')?;
        return (len > 0).then(|| (Kind::File(quoted[..len].to_owned()), len + 3));
    }
    let len = name.find([' ', '(', ')', '\n', '\r', '\t']).unwrap_or(name.len());
    (len > 0).then(|| (Kind::File(name[..len].to_owned()), len + 1))
}

fn octet(rest: &str) -> Option<(Kind, usize)> {
    let digits = rest.strip_prefix('$')?;
    let len = digits.bytes().take_while(u8::is_ascii_hexdigit).count();
    let value = u8::from_str_radix(digits.get(..len)?, 16).ok()?;
    (len <= 2).then_some((Kind::Octet(value), len + 1))
}

/// Letters and digits, with `-`, `_` and `.` inside and `.` at the end.
fn name_len(rest: &str) -> Option<usize> {
    let bytes = rest.as_bytes();
    if !bytes.first()?.is_ascii_alphanumeric() {
        return None;
    }
    let inside = |b: &&u8| b.is_ascii_alphanumeric() || matches!(**b, b'-' | b'_' | b'.');
    let mut len = bytes.iter().take_while(inside).count();
    while matches!(bytes[len - 1], b'-' | b'_') {
        len -= 1;
    }
    Some(len)
}

fn number_len(rest: &str) -> usize {
    if let Some(hex) = rest.strip_prefix("0x").or_else(|| rest.strip_prefix("0X")) {
        let digits = hex.bytes().take_while(u8::is_ascii_hexdigit).count();
        if digits > 0 {
            return digits + 2;
        }
    }
    rest.bytes().take_while(u8::is_ascii_digit).count()
}

fn number(text: &str, at: usize) -> Result<Kind> {
    let (digits, radix) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&text[2..], 16),
        [b'0', _, ..] => (text, 8),
        _ => (text, 10),
    };
    if radix == 8 && digits.contains(['8', '9']) {
        let message = format!("number {text} contains a non-octal digit; drop the leading 0");
        return Err(FilterError::value(at..at + text.len(), message));
    }
    Ok(u32::from_str_radix(digits, radix).map_or(Kind::Large, Kind::Number))
}

/// Two to four numbers with dots between them.
fn dotted_len(rest: &str) -> Option<usize> {
    let mut len = number_len(rest);
    let mut parts = usize::from(len > 0);
    while (1..4).contains(&parts) && rest[len..].starts_with('.') {
        let more = number_len(&rest[len + 1..]);
        if more == 0 {
            break;
        }
        len += 1 + more;
        parts += 1;
    }
    (parts >= 2).then_some(len)
}

/// The five spellings: `1:2:3:4:5:6`, with `-`, with `.`, `0001.0002.0003`, `000100020003`.
fn mac(rest: &str) -> Option<(Kind, usize)> {
    if !rest.as_bytes().first()?.is_ascii_hexdigit() {
        return None;
    }
    let octets =
        [':', '-', '.'].into_iter().find_map(|separator| groups::<6>(rest, separator, 1..=2));
    if let Some((values, len)) = octets {
        return Some((Kind::Mac(values.map(|value| value as u8)), len));
    }
    if let Some(([a, b, c], len)) = groups(rest, '.', 4..=4) {
        let [[a, b], [c, d], [e, f]] = [a, b, c].map(u16::to_be_bytes);
        return Some((Kind::Mac([a, b, c, d, e, f]), len));
    }
    let digits = rest.bytes().take(12).take_while(u8::is_ascii_hexdigit).count();
    if digits == 12 {
        let value = u64::from_str_radix(&rest[..12], 16).ok()?;
        let [_, _, address @ ..] = value.to_be_bytes();
        return Some((Kind::Mac(address), 12));
    }
    None
}

/// `N` groups of hexadecimal digits, each of a width in `width`; greedy, but no wider: the last
/// group may be followed by more digits.
fn groups<const N: usize>(
    rest: &str,
    separator: char,
    width: RangeInclusive<usize>,
) -> Option<([u16; N], usize)> {
    let mut values = [0; N];
    let mut len = 0;
    for (group, value) in values.iter_mut().enumerate() {
        if group > 0 {
            len += rest[len..].starts_with(separator).then_some(1)?;
        }
        let bytes = rest[len..].bytes().take(*width.end());
        let digits = bytes.take_while(u8::is_ascii_hexdigit).count();
        if digits < *width.start() {
            return None;
        }
        *value = u16::from_str_radix(&rest[len..len + digits], 16).ok()?;
        len += digits;
    }
    Some((values, len))
}

/// The longest IPv6 address that `rest` begins with: eight groups, or `::` somewhere.
fn v6(rest: &str) -> Option<(Kind, usize)> {
    let longest = rest
        .bytes()
        .take_while(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.'))
        .take(45)
        .count();
    let candidate = &rest[..longest];
    let colons = candidate.bytes().filter(|b| *b == b':').count();
    if !candidate.contains("::") && colons < 6 {
        return None;
    }
    (2..=longest).rev().find_map(|len| {
        let address = candidate[..len].parse().ok()?;
        Some((Kind::V6(address), len))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<Kind> {
        let mut kinds: Vec<Kind> = lex(text).unwrap().into_iter().map(|t| t.kind).collect();
        assert_eq!(kinds.pop(), Some(Kind::End));
        kinds
    }

    #[test]
    fn the_longest_match_wins() {
        assert_eq!(kinds("25-smtp"), [Kind::Name("25-smtp".into())]);
        assert_eq!(kinds("len-1"), [Kind::Name("len-1".into())]);
        assert_eq!(kinds("0030052125323"), [Kind::Number(0xc0a8_aad3)]);
        assert_eq!(kinds("012345670123"), [Kind::Mac([0x01, 0x23, 0x45, 0x67, 0x01, 0x23])]);
        assert_eq!(kinds("1.2.3.4.5"), [Kind::Name("1.2.3.4.5".into())]);
        assert_eq!(kinds("host.invalid."), [Kind::Name("host.invalid.".into())]);
        assert_eq!(kinds("23-"), [Kind::Number(23), Kind::Symbol("-")]);
    }

    #[test]
    fn five_spellings_of_a_mac() {
        for text in [
            "ab:cd:ef:0:0:1",
            "ab-cd-ef-00-00-01",
            "ab.CD.ef.0.0.1",
            "abcd.ef00.0001",
            "abcdef000001",
        ] {
            assert_eq!(kinds(text), [Kind::Mac([0xab, 0xcd, 0xef, 0, 0, 1])], "{text}");
        }
    }

    #[test]
    fn subscripts_are_not_addresses() {
        let expected = [
            Kind::Keyword("ip"),
            Kind::Symbol("["),
            Kind::Number(0),
            Kind::Symbol(":"),
            Kind::Number(2),
            Kind::Symbol("]"),
        ];
        assert_eq!(kinds("ip[0:2]"), expected);
    }

    #[test]
    fn addresses_and_escapes() {
        assert_eq!(kinds("10.0.1"), [Kind::Dotted]);
        assert_eq!(kinds("::0.0.0.1"), [Kind::V6("::1".parse().unwrap())]);
        assert_eq!(kinds("\\tcp"), [Kind::Name("tcp".into())]);
        assert_eq!(kinds("tcp-syn $fe"), [Kind::Number(2), Kind::Octet(0xfe)]);
        assert_eq!(kinds("fe80::/10")[1], Kind::Symbol("/"));
        assert_eq!(kinds("@/a/b.txt)")[0], Kind::File("/a/b.txt".into()));
        assert_eq!(kinds("@\"a b\",")[0], Kind::File("a b".into()));
    }

    #[test]
    fn bad_numbers_point_at_themselves() {
        for text in ["ip 08", "ip ä", "ip $123", "ip $", "ip @", "ip @\"x"] {
            assert_eq!(lex(text).unwrap_err().span.start, 3, "{text}");
        }
        // Some fields hold more than 32 bits.
        for text in ["4294967296", "42949672960000000000", "0x100000000", "0777777777777"] {
            assert_eq!(kinds(text), [Kind::Large], "{text}");
        }
    }
}
