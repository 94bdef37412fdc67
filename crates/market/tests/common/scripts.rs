//! The session scripts of the corpus: what is injected and what is expected.

use super::corpus;
use std::path::PathBuf;

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
