//! The session scripts of the corpus: what is injected and what is expected.

use super::corpus;
use std::path::PathBuf;
use tickwire_market::fix::check_sum;

/// The scripts of a version: name and lines.
pub fn scripts(version: &str, test: &str) -> Option<Vec<(String, Vec<String>)>> {
    let folder = corpus("market/fix/session-scripts", test)?.join(version);
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        (name, text.lines().map(str::to_owned).collect())
    };
    Some(paths.into_iter().map(read).collect())
}

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
