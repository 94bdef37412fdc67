//! Prints findings: a table for people, one object for programs.

use super::facts::Facts;
use super::finding::{Advice, Finding, Status};
use crate::text::wrap;
use serde::Serialize;
use std::fmt::Write;

/// Width of the text without a terminal, and the widest on one.
const COLUMNS_MAX: usize = 100;
/// Width that a terminal must have for columns to make sense.
const COLUMNS_MIN: usize = 60;

/// What everybody must know before the first capture over af_xdp on a line that carries ssh.
const TAKES_AWAY: &str = "af_xdp takes the frames of its queues away from the host; \
                          --port af_packet only watches.";

/// How the text is to look.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Whether to use ANSI colours.
    pub colour: bool,
    /// Characters in a line.
    pub columns: usize,
}

impl Style {
    /// For a file, a pipe, a test.
    pub const PLAIN: Style = Style { colour: false, columns: COLUMNS_MAX };

    /// For standard output as it is: colours on a terminal, unless NO_COLOR is set.
    pub fn of_stdout() -> Style {
        use std::io::IsTerminal;
        let stdout = std::io::stdout();
        if !stdout.is_terminal() {
            return Style::PLAIN;
        }
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let size = rustix::termios::tcgetwinsize(&stdout);
        let columns = size.map_or(80, |size| usize::from(size.ws_col));
        Style { colour: !no_colour, columns: columns.clamp(COLUMNS_MIN, COLUMNS_MAX) }
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn status(self, status: Status) -> String {
        let code = match status {
            Status::Ok => "32",
            Status::Note => "36",
            Status::Warn => "33",
            Status::Fail => "1;31",
        };
        self.paint(code, &format!("{:<4}", status.word()))
    }
}

/// The table and the summary.
pub fn text(facts: &Facts, findings: &[Finding], advice: &[Advice], style: Style) -> String {
    let topic_width = findings.iter().map(|finding| finding.topic().len()).max().unwrap_or(0);
    let mut out = String::new();
    let mut section = None;
    for finding in findings {
        let here = (finding.group(), finding.interface.as_deref());
        if section != Some(here) {
            let title = here.1.unwrap_or(here.0);
            let gap = if section.is_some() { "\n" } else { "" };
            let _ = writeln!(out, "{gap}{}", style.paint("1", title));
            section = Some(here);
        }
        lines_of(&mut out, finding, topic_width, style);
    }
    let _ = writeln!(out);
    if !facts.down.is_empty() {
        let _ = writeln!(out, "not examined: {} (name them to see them)", facts.down.join(", "));
    }
    let _ = writeln!(out, "{}", totals(findings));
    for advice in advice {
        let _ = writeln!(out, "{}", style.paint("1", &sentence(advice)));
    }
    if advice.iter().any(|advice| advice.port == Some("af_xdp")) {
        let _ = writeln!(out, "{TAKES_AWAY}");
    }
    out
}

/// One finding: its sentence beside status and topic, its command below.
fn lines_of(out: &mut String, finding: &Finding, topic_width: usize, style: Style) {
    let indent = 2 + 4 + 2 + topic_width + 2;
    let width = style.columns.saturating_sub(indent).max(20);
    for (index, line) in wrap(&finding.text, width).iter().enumerate() {
        let _ = match index {
            0 => {
                let (status, topic) = (style.status(finding.status), finding.topic());
                writeln!(out, "  {status}  {topic:<topic_width$}  {line}")
            }
            _ => writeln!(out, "{:indent$}{line}", ""),
        };
    }
    if let Some(command) = &finding.command {
        // A command is never broken: it is there to be copied.
        let _ = writeln!(out, "{:indent$}{}", "", style.paint("2", &format!("$ {command}")));
    }
}

fn totals(findings: &[Finding]) -> String {
    let count = |status| findings.iter().filter(|finding| finding.status == status).count();
    let plural = |number: usize, noun: &str| {
        format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
    };
    format!(
        "{} ok, {}, {}, {}",
        count(Status::Ok),
        plural(count(Status::Note), "note"),
        plural(count(Status::Warn), "warning"),
        plural(count(Status::Fail), "failure")
    )
}

fn sentence(advice: &Advice) -> String {
    let Advice { interface, port, mode, because } = advice;
    match port {
        Some(port) => format!("best port on {interface}: {port} ({mode}), because {because}"),
        None => format!("no port works on {interface}: {because}"),
    }
}

/// What programs read. `findings[].id`, `status` and the names of `ports` stay as they are.
#[derive(Serialize)]
struct Report<'a> {
    able: bool,
    findings: &'a [Finding],
    ports: &'a [Advice],
    facts: &'a Facts,
}

/// One JSON object.
pub fn json(able: bool, facts: &Facts, findings: &[Finding], advice: &[Advice]) -> String {
    let report = Report { able, findings, ports: advice, facts };
    serde_json::to_string_pretty(&report).expect("plain values can be written as JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_only_there_when_wanted() {
        let finding = Finding::new("kernel.version", "Linux").mend("uname -r");
        let print = |style| text(&Facts::default(), std::slice::from_ref(&finding), &[], style);
        assert!(!print(Style::PLAIN).contains('\x1b'));
        assert!(print(Style { colour: true, columns: 80 }).contains("\x1b[32mok  \x1b[0m"));
    }
}
