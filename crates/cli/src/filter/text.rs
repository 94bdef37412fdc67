//! Filter texts: from files, and in messages.

use crate::exit::Failure;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use tickwire_filter::{FilterError, TEXT_BYTES_MAX};

/// The filter in `file`. What follows a `#` on a line is a comment, as in tcpdump's -F.
pub fn read(file: &Path) -> Result<String, Failure> {
    let failed = |error| {
        Failure::failed(format_args!(
            "cannot read the filter from {}: {error}; check the name and its permissions",
            file.display()
        ))
    };
    let mut bytes = Vec::new();
    // One byte more than a filter may have: the parser then says that it is too long.
    let limit = TEXT_BYTES_MAX as u64 + 1;
    File::open(file)
        .and_then(|opened| opened.take(limit).read_to_end(&mut bytes))
        .map_err(failed)?;
    let text = String::from_utf8(bytes).map_err(|_| {
        Failure::failed(format_args!("{} is no text: a filter is UTF-8", file.display()))
    })?;
    Ok(without_comments(&text))
}

/// Comments become blanks, so that a message still points at the right column.
fn without_comments(text: &str) -> String {
    let mut in_comment = false;
    let blank = |character: char| {
        in_comment = character != '\n' && (in_comment || character == '#');
        if in_comment { ' ' } else { character }
    };
    text.chars().map(blank).collect()
}

/// A filter was refused: the message, and a caret under the word.
pub fn refused(error: &FilterError, text: &str) -> Failure {
    let rendered = error.render(text);
    let bare = rendered.strip_prefix("error: ").unwrap_or(&rendered);
    Failure::failed(format_args!("the filter is refused: {bare}"))
}

/// For a line of a log.
pub fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_become_blanks() {
        assert_eq!(without_comments("udp # the feed\nport 5 #x"), "udp           \nport 5   ");
        assert_eq!(in_one_line(" udp \n port 5 "), "udp port 5");
    }

    #[test]
    fn a_refusal_points_at_the_word() {
        let error = tickwire_filter::parse("udp porrt 5").expect_err("no such word");
        let Failure::Failed(message) = refused(&error, "udp porrt 5") else { panic!("it failed") };
        assert!(message.starts_with("the filter is refused: "), "{message}");
        assert!(message.contains("\n  udp porrt 5\n") && message.contains("^^^^^"), "{message}");
    }
}
