//! Text into words.

use super::error::{Fault, Span};

/// A word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'t> {
    /// Letters, digits, underscores, points in between: names and words of the language.
    Word(&'t str),
    /// Digits, with or without a point.
    Number(&'t str),
    /// What is between quotation marks.
    Text(&'t str),
    /// An operator, a parenthesis, a comma.
    Symbol(&'static str),
    /// Nothing more.
    End,
}

/// Longer ones first.
const SYMBOLS: [&str; 15] =
    ["==", "!=", "<=", ">=", "<", ">", "(", ")", "{", "}", ",", "+", "-", "*", "="];

/// The words of a text, each with its place; the last is [`Token::End`].
///
/// # Errors
/// A character that begins no word, text without its end.
pub fn tokens(text: &str) -> Result<Vec<(Token<'_>, Span)>, Fault> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        if first.is_ascii_whitespace() {
            at += 1;
            continue;
        }
        let (token, len) = token(text, at, first)?;
        found.push((token, at..at + len));
        at += len;
    }
    found.push((Token::End, at..at));
    Ok(found)
}

fn token(text: &str, at: usize, first: char) -> Result<(Token<'_>, usize), Fault> {
    let rest = &text[at..];
    let while_in = |allowed: fn(u8) -> bool| {
        rest.bytes().position(|byte| !allowed(byte)).unwrap_or(rest.len())
    };
    if first.is_ascii_alphabetic() || first == '_' {
        let len = while_in(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.');
        return Ok((Token::Word(&rest[..len]), len));
    }
    if first.is_ascii_digit() {
        let len = while_in(|byte| byte.is_ascii_digit() || byte == b'.');
        return Ok((Token::Number(&rest[..len]), len));
    }
    if first == '"' || first == '\'' {
        let Some(len) = rest[1..].find(first) else {
            let message = format!("this text has no end: close it with {first}");
            return Err(Fault { span: at..text.len(), message });
        };
        return Ok((Token::Text(&rest[1..1 + len]), len + 2));
    }
    if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
        return Ok((Token::Symbol(symbol), symbol.len()));
    }
    let hint = match first {
        '&' | '|' | '!' => ": write and, or, not",
        '/' => ": there is no division, which would have to round",
        _ => "",
    };
    let message = format!("{first:?} means nothing here{hint}");
    Err(Fault { span: at..at + first.len_utf8(), message })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_numbers_texts_and_symbols() {
        let all: Vec<_> =
            tokens("itch.price<=1.5 'a b'").unwrap().into_iter().map(|(token, _)| token).collect();
        assert_eq!(
            all,
            [
                Token::Word("itch.price"),
                Token::Symbol("<="),
                Token::Number("1.5"),
                Token::Text("a b"),
                Token::End
            ]
        );
        assert_eq!(tokens("  ").unwrap(), [(Token::End, 2..2)]);
        for (text, word) in [("a && b", "and"), ("\"AAPL", "close it"), ("a / b", "division")] {
            assert!(tokens(text).unwrap_err().message.contains(word), "{text}");
        }
        assert_eq!(tokens("a ä").unwrap_err().span, 2..4);
    }
}
