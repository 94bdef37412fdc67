//! Why a text is not a filter: the word, what is wrong with it, and a rendering with a caret.

use std::fmt;
use std::ops::Range;

/// Bytes of the filter text.
pub type Span = Range<usize>;

/// What kind of mistake it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The text is no sentence of the language.
    Syntax,
    /// A number, address or name that means nothing here.
    Value,
    /// Words that do not go together, or not with this link type.
    Unsupported,
    /// A named limit is exceeded.
    Limit,
    /// A host name that could not be resolved.
    Resolve,
    /// No packet could ever match.
    RejectsAll,
}

/// A filter was refused. [`Display`](fmt::Display) gives one line; [`render`](Self::render) shows
/// the text with a caret under the word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError {
    /// What kind of mistake.
    pub kind: ErrorKind,
    /// What is wrong, and what would be right.
    pub message: String,
    /// Where in the text.
    pub span: Span,
}

impl FilterError {
    /// An error of `kind` at `span`.
    pub fn new(kind: ErrorKind, span: Span, message: impl Into<String>) -> Self {
        let mut message = message.into();
        if message.len() > MESSAGE_BYTES_MAX {
            message.truncate(floor(&message, MESSAGE_BYTES_MAX));
            message.push('…');
        }
        FilterError { kind, message, span }
    }

    pub(crate) fn syntax(span: Span, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Syntax, span, message)
    }

    pub(crate) fn value(span: Span, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Value, span, message)
    }

    pub(crate) fn unsupported(span: Span, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, span, message)
    }

    pub(crate) fn limit(span: Span, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Limit, span, message)
    }

    /// Three lines: the message, the line of `text` that holds the word, carets under the word.
    ///
    /// ```text
    /// error: unknown service 'htpt'
    ///   tcp port htpt
    ///            ^^^^
    /// ```
    pub fn render(&self, text: &str) -> String {
        let mut start = self.span.start.min(text.len());
        while !text.is_char_boundary(start) {
            start -= 1;
        }
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        // A long line is shown around the word only.
        let from = floor(text, line_start.max(start.saturating_sub(WINDOW_CHARS)));
        let to = floor(text, line_end.min(start + WINDOW_CHARS));
        let shown = text[from..to].replace('\t', " ");
        let indent = text[from..start].chars().count();
        let end = floor(text, self.span.end.clamp(start, to));
        let width = text[start..end].chars().count().max(1);
        format!("error: {self}\n  {shown}\n  {}{}", " ".repeat(indent), "^".repeat(width))
    }
}

/// A longer message is cut: a word of it may be the whole text.
const MESSAGE_BYTES_MAX: usize = 300;

/// Characters shown on either side of the word.
const WINDOW_CHARS: usize = 60;

fn floor(text: &str, mut at: usize) -> usize {
    at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for FilterError {}

/// Result of a step of compilation.
pub type Result<T> = std::result::Result<T, FilterError>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_is_under_the_word() {
        let error = FilterError::value(9..13, "unknown service 'htpt'");
        assert_eq!(
            error.render("tcp port htpt"),
            "error: unknown service 'htpt'\n  tcp port htpt\n           ^^^^"
        );
    }

    #[test]
    fn any_span_renders() {
        let text = "ä\nöö ip\tßß";
        for start in 0..20 {
            for end in 0..20 {
                let error = FilterError::syntax(start..end, "x");
                assert!(error.render(text).lines().count() >= 3);
            }
        }
    }
}
