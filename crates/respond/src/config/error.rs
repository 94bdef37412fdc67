//! Why a configuration is refused.

use std::fmt;
use std::ops::Range;

/// The first thing that is wrong: on which line, of what, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The line, from 1 on; 0 where the fault is that something is missing in the whole.
    pub line: usize,
    /// What is wrong, and the cure; of an expression, with a caret under the word on a line of its
    /// own.
    pub message: String,
}

impl ConfigError {
    /// At a place of the text.
    pub(super) fn at(text: &str, span: &Range<usize>, message: impl Into<String>) -> Self {
        let before = &text.as_bytes()[..span.start.min(text.len())];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        ConfigError { line, message: message.into() }
    }

    /// Of the whole.
    pub(super) fn whole(message: impl Into<String>) -> Self {
        ConfigError { line: 0, message: message.into() }
    }
}

/// `line 7: …`
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.message),
            line => write!(f, "line {line}: {}", self.message),
        }
    }
}

impl std::error::Error for ConfigError {}
