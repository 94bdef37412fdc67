//! What every file of the project must keep, and no other tool checks: lengths of lines and files,
//! white space, no unsafe code where there must be none, and a test for every reason.
//!
//! Lists every offence as `file:line: what`. In this crate because it builds in a moment.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use tickwire_frame::Reason;

const LINE_CHARS_MAX: usize = 100;
const FILE_LINES_MAX: usize = 600;
/// A tree deeper than this, or one that a link closes into a circle, is not ours.
const FOLDERS_DEEP_MAX: usize = 12;

/// The members of the workspace that may have unsafe code: they talk to the kernel, to C or to code
/// that we generated, or share memory. All others forbid it.
const UNSAFE_ALLOWED: [&str; 5] =
    ["benches", "crates/capture", "crates/filter", "crates/lab", "crates/rings"];

/// Reasons that no test can bring about, and why not.
const UNTESTABLE: [(Reason, &str); 1] = [(
    Reason::TxUnfinished,
    "only a zero-copy card keeps frames for ever; crates/rings tests that they come back by tag",
)];

/// A text file of ours.
struct File {
    /// From the root of the workspace, with `/`.
    name: String,
    text: String,
}

impl File {
    fn is_rust(&self) -> bool {
        self.name.ends_with(".rs")
    }

    /// The part that only tests compile; empty when there is none.
    fn tests(&self) -> &str {
        let name = &self.name;
        let all = name.contains("/tests/") || name.ends_with("/tests.rs");
        let at = if all { Some(0) } else { self.text.find("\n#[cfg(test)]\n") };
        at.map_or("", |at| &self.text[at..])
    }

    fn offence(&self, line: usize, what: impl std::fmt::Display) -> String {
        format!("{}:{line}: {what}", self.name)
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All sources and documents below `folder`, without hidden ones and what Cargo built.
fn collect(folder: &Path, name: &str, depth: usize, files: &mut Vec<File>) {
    assert!(depth < FOLDERS_DEEP_MAX, "{name} is too deep");
    for entry in fs::read_dir(folder).expect("the project can be read").flatten() {
        let file_name = entry.file_name();
        let file_name = file_name.to_string_lossy();
        if file_name.starts_with('.') || file_name == "target" {
            continue;
        }
        let (path, name) = (entry.path(), format!("{name}{file_name}"));
        let kind = entry.file_type().expect("a file has a type");
        if kind.is_dir() {
            collect(&path, &format!("{name}/"), depth + 1, files);
        } else if [".rs", ".toml", ".md"].iter().any(|end| name.ends_with(end)) {
            let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
            files.push(File { name, text });
        }
    }
}

fn files() -> Vec<File> {
    let mut files = Vec::new();
    collect(&root(), "", 0, &mut files);
    files.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(files.len() > 100, "only {} files: is this the project?", files.len());
    files
}

#[track_caller]
fn expect_none(offences: &[String]) {
    assert!(offences.is_empty(), "{} offences:\n{}", offences.len(), offences.join("\n"));
}

fn line_offences(file: &File) -> Vec<String> {
    let mut found = Vec::new();
    // Not spelt out, or this file would offend.
    let marks = ["<", ">", "|"].map(|mark| format!("{} ", mark.repeat(7)));
    for (number, line) in (1..).zip(file.text.lines()) {
        let chars = line.chars().count();
        if file.is_rust() && chars > LINE_CHARS_MAX {
            found.push(file.offence(number, format_args!("{chars} columns")));
        }
        if line.ends_with([' ', '\t']) {
            found.push(file.offence(number, "white space at the end"));
        }
        if marks.iter().any(|mark| line.starts_with(mark)) {
            found.push(file.offence(number, "a conflict marker"));
        }
    }
    let lines = file.text.lines().count();
    if file.is_rust() && lines > FILE_LINES_MAX {
        found.push(file.offence(FILE_LINES_MAX, format_args!("{lines} lines: split the file")));
    }
    found
}

#[test]
fn lines_and_files_are_short_and_clean() {
    let offences: Vec<_> = files().iter().flat_map(line_offences).collect();
    expect_none(&offences);
}

#[test]
fn offences_are_found() {
    let text = format!("{}\nfn f() \n{} a\n", "é".repeat(101), "<".repeat(7));
    let file = File { name: "a.rs".into(), text: text + &"\n".repeat(600) };
    let found = line_offences(&file);
    let expected = [
        "a.rs:1: 101 columns",
        "a.rs:2: white space at the end",
        "a.rs:3: a conflict marker",
        "a.rs:600: 603 lines: split the file",
    ];
    assert_eq!(found, expected);
}

/// Whether `name` is the root of a library or program: what it forbids holds for all its modules.
fn is_crate_root(name: &str) -> bool {
    let in_src = |path: &str| {
        path.ends_with("src/lib.rs") || path.ends_with("src/main.rs") || path.contains("src/bin/")
    };
    name.ends_with(".rs") && in_src(name)
}

#[test]
fn unsafe_code_is_forbidden_where_it_must_be() {
    let allowed = |name: &str| UNSAFE_ALLOWED.iter().any(|at| name.starts_with(&format!("{at}/")));
    let files = files();
    let roots: Vec<_> =
        files.iter().filter(|file| is_crate_root(&file.name) && !allowed(&file.name)).collect();
    assert!(roots.len() >= 5, "only {} crates without unsafe code", roots.len());
    let open: Vec<_> = roots
        .iter()
        .filter(|file| !file.text.contains("\n#![forbid(unsafe_code)]\n"))
        .map(|file| file.offence(1, "#![forbid(unsafe_code)] is missing"))
        .collect();
    expect_none(&open);
}

/// Identifiers that follow `Reason::` in `text`, and all that it has in quotation marks.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let is_end = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    text.split("Reason::")
        .chain(text.split('"'))
        .skip(1)
        .filter_map(move |rest| rest.split(is_end).next())
}

#[test]
fn every_reason_has_a_test_that_names_it() {
    let files = files();
    let mut tested = HashSet::new();
    // What this file exempts is not what it tests.
    for file in files.iter().filter(|file| !file.name.ends_with("/tests/tidy.rs")) {
        tested.extend(words(file.tests()));
    }
    let definition = files.iter().find(|file| file.name == "crates/frame/src/reason.rs");
    let definition = definition.expect("reasons are defined");
    let mut untested = Vec::new();
    for reason in Reason::ALL {
        let name = format!("{reason:?}");
        let is_tested = tested.contains(name.as_str()) || tested.contains(reason.as_str());
        if !is_tested && !UNTESTABLE.iter().any(|(exempt, _)| exempt == reason) {
            let is_its = |line: &str| line.trim_start().starts_with(&format!("{name} = "));
            let line = definition.text.lines().position(is_its).map_or(0, |at| at + 1);
            untested.push(definition.offence(line, format_args!("no test names {name}")));
        }
    }
    expect_none(&untested);
}
