//! Tables of a summary: a label, a count, a note. For all commands that end with an account.

use crate::units::grouped;
use serde_json::{Map, Value};
use std::fmt;
use std::time::Duration;
use tickwire_frame::{Counters, Reason};

/// The width of the column of labels and names.
const LABEL_CHARS: usize = 12;
/// The width of the column of counts.
const COUNT_CHARS: usize = 15;

/// The reasons whose count is not 0, for an object that scripts read.
pub fn counts(counters: &Counters) -> Map<String, Value> {
    counters.nonzero().map(|(reason, count)| (reason.as_str().into(), count.into())).collect()
}

/// Seconds to the microsecond.
pub fn rounded(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e6
}

/// A label and a text.
pub fn line(f: &mut fmt::Formatter<'_>, label: &str, text: fmt::Arguments<'_>) -> fmt::Result {
    writeln!(f, "{label:<LABEL_CHARS$} {text}")
}

/// A label, a count in its column, and a note.
pub fn count(f: &mut fmt::Formatter<'_>, label: &str, count: u64, note: &str) -> fmt::Result {
    let mut text = format!("{label:<LABEL_CHARS$} {:>COUNT_CHARS$}  {note}", grouped(count));
    text.truncate(text.trim_end().len());
    text.push('\n');
    f.write_str(&text)
}

/// One line a reason: its name, its count, and what it means.
pub fn reasons(f: &mut fmt::Formatter<'_>, counters: &Counters) -> fmt::Result {
    let width = counters.nonzero().map(|(reason, _)| reason.as_str().len()).max().unwrap_or(0);
    for (reason, count) in counters.nonzero() {
        let (name, count) = (reason.as_str(), grouped(count));
        let meaning = Reason::meaning(reason);
        writeln!(f, "{:<LABEL_CHARS$} {count:>COUNT_CHARS$}  {name:<width$}  {meaning}", "")?;
    }
    Ok(())
}

/// One line for each name and number, under one label.
pub fn entries(
    f: &mut fmt::Formatter<'_>,
    label: &str,
    entries: Option<&Map<String, Value>>,
) -> fmt::Result {
    let mut label = label;
    for (name, number) in entries.into_iter().flatten() {
        count(f, label, number.as_u64().unwrap_or(0), name)?;
        label = "";
    }
    Ok(())
}
