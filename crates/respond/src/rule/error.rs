//! Why a rule is refused.

use super::Source;
use std::fmt;
use std::ops::Range;

/// Bytes of the text of an expression.
pub type Span = Range<usize>;

/// Which text of a rule: its place in [`Source::texts`](super::Source::texts).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Part {
    /// The condition.
    When,
    /// Of the order.
    Side,
    /// Of the order.
    Quantity,
    /// Of the order.
    Price,
}

impl Part {
    /// Puts a fault into this text.
    pub(super) fn at(self) -> impl Fn(Fault) -> RuleError {
        move |fault| RuleError { part: self, fault }
    }

    /// A fault of all of this text.
    pub(super) fn whole(self, source: &Source<'_>, message: String) -> RuleError {
        self.at()(Fault { span: 0..source.texts[self as usize].len(), message })
    }
}

/// The key in the configuration.
impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::When => "when",
            Part::Side => "order.side",
            Part::Quantity => "order.quantity",
            Part::Price => "order.price",
        })
    }
}

/// What is wrong with a word of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where it is.
    pub span: Span,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// What is wrong with a word of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError {
    /// In which of its texts.
    pub part: Part,
    /// What, and where in that text.
    pub fault: Fault,
}

/// Characters shown on either side of the word.
const WINDOW_CHARS: usize = 60;

impl RuleError {
    /// The message, and below it the text with carets under the word.
    pub fn render(&self, text: &str) -> String {
        let Span { start, end } = self.fault.span;
        let before = text.get(..start).unwrap_or(text);
        let word = text.get(start..end).unwrap_or("");
        let after = text.get(end..).unwrap_or("");
        let skipped = before.chars().count().saturating_sub(WINDOW_CHARS);
        let before: String = before.chars().skip(skipped).collect();
        let after: String = after.chars().take(WINDOW_CHARS).collect();
        let line = format!("{before}{word}{after}").replace(['\n', '\r', '\t'], " ");
        let (indent, width) = (before.chars().count(), word.chars().count().max(1));
        format!("{}\n  {line}\n  {}{}", self.fault.message, " ".repeat(indent), "^".repeat(width))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_is_under_the_word() {
        let error = |span| {
            let fault = Fault { span, message: "x".into() };
            RuleError { part: Part::When, fault }
        };
        assert_eq!(error(7..12).render("1.00 < prise"), "x\n  1.00 < prise\n         ^^^^^");
        let text = "ä\n".repeat(200);
        for start in 0..text.len() + 2 {
            assert_eq!(error(start..start + 3).render(&text).lines().count(), 3);
        }
    }
}
