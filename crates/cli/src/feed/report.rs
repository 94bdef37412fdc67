//! The gap report as people read it.

use super::gaps::{GapEntry, GapReport, LineReport, SessionReport, Span};
use crate::columns::{Columns, has_colour};
use crate::units::{grouped, nanos};
use std::fmt::Write;

/// The most gaps of a session that are listed for people: objects have all of them.
const GAPS_SHOWN_MAX: usize = 500;
/// The most ranges in the verdict.
const RANGES_SHOWN_MAX: usize = 12;

impl GapReport {
    /// Tables for people; `all` lists gaps that late packets filled, too.
    pub fn to_text(&self, all: bool) -> String {
        let reports = self.sessions().iter().map(|session| of_session(session, all));
        let mut text = reports.collect::<Vec<_>>().join("\n");
        if let Some(recovery) = &self.recovery {
            text += &recovery.to_string();
        }
        for (count, _, what) in self.untold().into_iter().filter(|(count, ..)| *count > 0) {
            text += &format!("{} {what}\n", grouped(count));
        }
        text
    }
}

fn of_session(session: &SessionReport, all: bool) -> String {
    let colour = has_colour();
    let end = if session.ended { ", to its end" } else { "" };
    let mut text = format!("{}, {}{end}\n\n", title(session), span_of(session));
    text += &lines(&session.lines).text(colour);
    let gaps = session.lines.iter().flat_map(|line| line.gaps.iter().map(move |gap| (line, gap)));
    let (mut gaps, late): (Vec<_>, Vec<_>) = gaps.partition(|(_, gap)| all || !gap.was_late());
    gaps.sort_by_key(|(_, gap)| (gap.time, gap.packet));
    if !gaps.is_empty() {
        let shown = &gaps[..gaps.len().min(GAPS_SHOWN_MAX)];
        text += &format!("\n{}", table(shown, session.lines.len() > 1).text(colour));
        if shown.len() < gaps.len() {
            let more = grouped((gaps.len() - shown.len()) as u64);
            text += &format!("… and {more} gaps more: --json has all of them\n");
        }
    }
    let longest = late.iter().flat_map(|(_, gap)| &gap.filled).map(|filling| filling.after_ns);
    if let Some(longest) = longest.max() {
        let (count, longest) = (grouped(late.len() as u64), nanos(longest));
        text += &format!(
            "\n{count} gaps were filled by late packets, after {longest} at most: --all lists \
             them\n"
        );
    }
    let too_late: u64 = session.lines.iter().map(|line| line.too_late).sum();
    if too_late > 0 {
        text += &format!(
            "\n{} messages came too late to be taken: their gaps had been given up for others, or \
             they are from before the first packet\n",
            grouped(too_late)
        );
    }
    text + "\n" + &verdict(session)
}

fn title(session: &SessionReport) -> String {
    match session.session.as_str() {
        "-" => session.protocol.to_owned(),
        name => format!("session {name}, {}", session.protocol),
    }
}

fn span_of(session: &SessionReport) -> String {
    match session.next.checked_sub(1) {
        Some(last) if last >= session.first => {
            format!("messages {} to {}", grouped(session.first), grouped(last))
        }
        _ => "no messages".to_owned(),
    }
}

fn lines(lines: &[LineReport]) -> Columns {
    const HEADING: [&str; 9] = [
        "LINE",
        "PACKETS",
        "HEARTBEATS",
        "MESSAGES",
        "DUPLICATES",
        "LATE",
        "RESENT",
        "MISSING",
        "ONLY HERE",
    ];
    let has_others = lines.len() > 1;
    let mut columns = Columns::new(if has_others { &HEADING } else { &HEADING[..8] });
    for line in lines {
        let numbers = [
            line.packets,
            line.heartbeats,
            line.messages,
            line.duplicates,
            line.late,
            line.retransmitted,
            line.missing_messages,
        ];
        let only_here = has_others.then(|| grouped(line.only_here));
        let numbers = numbers.map(grouped).into_iter().chain(only_here);
        columns.row([line.line.clone()].into_iter().chain(numbers).collect());
    }
    columns
}

fn table(gaps: &[(&LineReport, &GapEntry)], names_lines: bool) -> Columns {
    const HEADING: [&str; 8] =
        ["TIME", "PACKET", "FIRST", "LAST", "MESSAGES", "SHOWN BY", "THEN", "LINE"];
    let mut columns = Columns::new(if names_lines { &HEADING } else { &HEADING[..7] });
    for (line, gap) in gaps {
        let mut cells = vec![
            time_of_day(gap.time),
            grouped(gap.packet),
            grouped(gap.first),
            grouped(gap.last),
            grouped(gap.messages),
            gap.shown_by.to_owned(),
            outcome(gap),
        ];
        cells.extend(names_lines.then(|| line.line.clone()));
        columns.row(cells);
    }
    columns
}

fn time_of_day(time_ns: u64) -> String {
    if time_ns == 0 {
        return "-".to_owned();
    }
    let (seconds, nanos) = (time_ns / 1_000_000_000 % 86_400, time_ns % 1_000_000_000);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{hours:02}:{minutes:02}:{seconds:02}.{nanos:09}")
}

/// What became of a gap: `late, after 1.20 ms; 3 on another line; 2 MISSING`.
fn outcome(gap: &GapEntry) -> String {
    let mut parts: Vec<String> = Vec::new();
    for (by, word) in [
        ("late", "late"),
        ("retransmission", "recovered by re-request"),
        ("other_line", "by another line"),
    ] {
        let filled = || gap.filled.iter().filter(|filling| filling.by == by);
        let count: u64 = filled().map(|filling| filling.last - filling.first + 1).sum();
        if let Some(after_ns) = filled().map(|filling| filling.after_ns).max() {
            let number = if count == gap.messages { String::new() } else { grouped(count) + " " };
            parts.push(format!("{number}{word} after {}", nanos(after_ns)));
        }
    }
    let nowhere = sum(&gap.missing_everywhere);
    let elsewhere = sum(&gap.missing) - nowhere;
    for (count, word) in [(elsewhere, "on another line"), (nowhere, "MISSING")] {
        match count {
            0 => {}
            _ if count == gap.messages => parts.push(word.to_owned()),
            _ => parts.push(format!("{} {word}", grouped(count))),
        }
    }
    parts.join("; ")
}

impl GapEntry {
    /// Whether packets that were only late filled it.
    fn was_late(&self) -> bool {
        self.missing.is_empty() && self.filled.iter().all(|filling| filling.by == "late")
    }
}

fn sum(spans: &[Span]) -> u64 {
    spans.iter().map(|span| span.last - span.first + 1).sum()
}

/// One sentence: is it all there, and if not, what is to be done.
fn verdict(session: &SessionReport) -> String {
    let mut text = String::new();
    let restarts: u64 = session.lines.iter().map(|line| line.restarts).sum();
    if restarts > 0 {
        text += &format!("the numbers began again {} times\n", grouped(restarts));
    }
    let refused: u64 = session.lines.iter().map(|line| line.refused).sum();
    if refused > 0 {
        text += &format!("{} messages could not continue the stream\n", grouped(refused));
    }
    let (arrived, missing) = (grouped(session.messages), grouped(session.missing_messages));
    if session.missing.is_empty() {
        return text + &format!("complete: all {arrived} messages arrived\n");
    }
    let ranges = session.missing.iter().take(RANGES_SHOWN_MAX).map(|span| {
        if span.first == span.last {
            span.first.to_string()
        } else {
            format!("{}-{}", span.first, span.last)
        }
    });
    let ranges = ranges.collect::<Vec<_>>().join(" ");
    let more = if session.missing.len() > RANGES_SHOWN_MAX { " …" } else { "" };
    let whose = if session.lines.len() > 1 { "on every line" } else { "on the only line" };
    let cure = if session.lines.len() > 1 {
        "ask for them again, or take the next snapshot"
    } else {
        "compare with another line (-r A -r B), ask for them again, or take the next snapshot"
    };
    let _ = writeln!(
        text,
        "INCOMPLETE: {arrived} messages arrived, {missing} are missing {whose}, in {} ranges: \
         {ranges}{more}\n{cure}",
        grouped(session.missing.len() as u64)
    );
    text
}
