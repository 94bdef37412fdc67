//! The bytes of a line of a session script.

#![allow(dead_code)] // Each test file uses a part of it.

use tickwire_market::fix::check_sum;

/// What a peer sends for a line of a script: times filled in, and BodyLength and CheckSum where the
/// line leaves them out.
pub fn injected(line: &str) -> String {
    injected_at(line, |_| "20261121-09:30:00".to_owned())
}

/// The same with the times that `time` gives: `<TIME>`, or `<TIME-1>` with seconds to add or to
/// take away.
pub fn injected_at(line: &str, time: impl Fn(i64) -> String) -> String {
    let mut text = line.to_owned();
    while let Some(at) = text.find("<TIME") {
        let end = at + text[at..].find('>').expect("an end");
        let seconds = text[at + 5..end].trim_start_matches('+').parse().unwrap_or(0);
        text.replace_range(at..=end, &time(seconds));
    }
    if !text.contains("\x019=") {
        let body = text.find('\x01').expect("a field") + 1;
        let end = text.find("\x0110=").map_or(text.len(), |at| at + 1);
        text.insert_str(body, &format!("9={}\x01", end - body));
    }
    if !text.contains("\x0110=") {
        text += &format!("10={:03}\x01", check_sum(text.as_bytes()));
    }
    text
}
