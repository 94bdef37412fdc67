//! The bytes of a line of a session script.

use tickwire_market::fix::check_sum;

/// What a peer sends for a line of a script: times filled in, and BodyLength and CheckSum where the
/// line leaves them out.
pub fn injected(line: &str) -> String {
    let mut text = line.to_owned();
    while let Some(at) = text.find("<TIME") {
        // `<TIME>`, or `<TIME-1>` with seconds to add or to take away.
        let len = text[at..].find('>').unwrap() + 1;
        text.replace_range(at..at + len, "20261121-09:30:00");
    }
    if !text.contains("\x019=") {
        let body = text.find('\x01').unwrap() + 1;
        let end = text.find("\x0110=").map_or(text.len(), |at| at + 1);
        text.insert_str(body, &format!("9={}\x01", end - body));
    }
    if !text.contains("\x0110=") {
        text += &format!("10={:03}\x01", check_sum(text.as_bytes()));
    }
    text
}
