//! What each line brought, and what none did.

use crate::columns::{Columns, has_colour};
use crate::feed::arbitrate::Counts;
use crate::feed::gaps::{Span, name, spans};
use crate::feed::merge::{Feeds, Merged};
use crate::feed::recovery::RecoveryReport;
use crate::units::{grouped, nanos};
use serde::Serialize;
use std::fmt::Write;
use std::path::PathBuf;
use tickwire_capture::file::Settled;
use tickwire_market::Session;
use tickwire_market::arbitrate::LineCounts;
use tickwire_market::sequence::Stream;

/// Bars of the skew are so wide.
const BAR_CHARS: u64 = 40;
/// Gaps that are listed for people.
const GAPS_SHOWN: usize = 20;

/// What is said of a feed without times.
const UNTIMED: &str = "\
these files have no times: they were read one after the other, so which line was first is not \
known, nor by how much";

/// The report of `tickwire feed arbitrate`. Serialises to the object that scripts read.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Whether there is a feed, all of its lines are merged, and every message came: on a line, or
    /// as the answer to a request.
    complete: bool,
    /// How many did not.
    missing_messages: u64,
    feeds: Vec<FeedReport>,
    /// Frames in the file of the merged feed.
    #[serde(skip_serializing_if = "Option::is_none")]
    written: Option<u64>,
    #[serde(flatten)]
    counts: Counts,
    /// Packets on lines beyond those that are followed.
    unfollowed_packets: u64,
    /// Sessions that were driven out by others: what was missing in them is not known any more.
    forgotten_sessions: u64,
    /// What was done to get back what no line brought, if anything was to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    recovery: Option<RecoveryReport>,
}

#[derive(Debug, Serialize)]
struct FeedReport {
    protocol: &'static str,
    /// Whether packets have the times when they came.
    #[serde(skip)]
    has_times: bool,
    sessions: Vec<SessionReport>,
    lines: Vec<LineReport>,
}

#[derive(Debug, Serialize)]
struct SessionReport {
    session: String,
    first: u64,
    next: u64,
    ended: bool,
    messages: u64,
    /// How many of them came as answers to requests.
    recovered: u64,
    /// How many did not come, also those that are in none of the ranges: there were too many gaps,
    /// or the numbers began again.
    missing_messages: u64,
    missing: Vec<Span>,
    unlisted_messages: u64,
}

#[derive(Debug, Serialize)]
struct LineReport {
    line: String,
    packets: u64,
    /// Messages that came here first, and their share of all.
    first: u64,
    share: f64,
    duplicates: u64,
    /// Messages that no line had brought, and that came too late.
    too_late: u64,
    /// Messages that did not come on this line, of those between its first and its last.
    lost: u64,
    refused: u64,
    superseded: u64,
    /// How far its copies came behind the first.
    behind: Option<Behind>,
    /// Up to which time how many copies.
    #[serde(skip)]
    bars: Vec<(u64, u64)>,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Behind {
    packets: u64,
    p50_ns: u64,
    p99_ns: u64,
    max_ns: u64,
}

impl Report {
    /// What `feeds` know. `files` are those that were read.
    pub fn new(
        feeds: &Feeds,
        files: &[PathBuf],
        settled: Option<&Settled>,
        counts: Counts,
        recovery: Option<RecoveryReport>,
    ) -> Report {
        let unfollowed_packets = feeds.unfollowed;
        let forgotten_sessions = feeds.iter().map(|merged| merged.arbiter.forgotten()).sum();
        let feeds: Vec<FeedReport> = feeds.iter().map(|merged| of_feed(merged, files)).collect();
        let sessions = feeds.iter().flat_map(|feed| &feed.sessions);
        let missing_messages = sessions.map(|session| session.missing_messages).sum();
        Report {
            complete: missing_messages + forgotten_sessions + unfollowed_packets == 0
                && !feeds.is_empty(),
            missing_messages,
            feeds,
            written: settled.map(|settled| settled.written),
            counts,
            unfollowed_packets,
            forgotten_sessions,
            recovery,
        }
    }

    /// Whether nothing with numbers was seen.
    pub fn is_empty(&self) -> bool {
        self.feeds.is_empty()
    }

    /// Whether every message came.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// The object as one line.
    pub fn to_json(&self) -> String {
        let text = serde_json::to_string(self);
        text.expect("a report has only string keys and numbers") + "\n"
    }

    /// For people.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        const HEADING: &[&str] =
            &["LINE", "PACKETS", "FIRST", "SHARE", "DUPLICATE", "LOST", "BEHIND P50", "P99", "MAX"];
        for feed in &self.feeds {
            for session in &feed.sessions {
                writeln!(
                    text,
                    "{} {}: {} messages from {} on, {}",
                    feed.protocol,
                    session.session,
                    grouped(session.messages),
                    session.first,
                    if session.ended { "to the end of the session" } else { "and no end" }
                )?;
                missing(text, session)?;
            }
            let mut columns = Columns::new(HEADING);
            for line in &feed.lines {
                let behind = |of: fn(Behind) -> u64| {
                    line.behind.map_or("-".to_owned(), |behind| nanos(of(behind)))
                };
                columns.row(vec![
                    line.line.clone(),
                    grouped(line.packets),
                    grouped(line.first),
                    format!("{:.2} %", 100.0 * line.share),
                    grouped(line.duplicates),
                    grouped(line.lost),
                    behind(|behind| behind.p50_ns),
                    behind(|behind| behind.p99_ns),
                    behind(|behind| behind.max_ns),
                ]);
            }
            writeln!(text, "\n{}", columns.text(has_colour()))?;
            if !feed.has_times {
                writeln!(text, "{UNTIMED}\n")?;
            }
            for line in feed.lines.iter().filter(|line| line.too_late > 0) {
                let late = grouped(line.too_late);
                writeln!(text, "{late} messages came too late to be taken on {}\n", line.line)?;
            }
            skew(text, &feed.lines)?;
        }
        if let Some(written) = self.written {
            writeln!(
                text,
                "written: {} packets, {} of them cut to what was new",
                grouped(written),
                grouped(self.counts.cut)
            )?;
        }
        let Counts { whole, answers, unwritten, .. } = self.counts;
        for (count, what) in [
            (whole, "packets were written whole although a part had come before"),
            (answers, "of them answers, with the headers of the feed's first packet"),
            (unwritten, "answers could not be written: no header of the feed fits them"),
        ] {
            if count > 0 {
                writeln!(text, "{} {what}", grouped(count))?;
            }
        }
        if self.forgotten_sessions > 0 {
            writeln!(
                text,
                "{} sessions were driven out by others: what they lack is not known",
                grouped(self.forgotten_sessions)
            )?;
        }
        if self.unfollowed_packets > 0 {
            writeln!(
                text,
                "{} packets of more lines than are merged",
                grouped(self.unfollowed_packets)
            )?;
        }
        if let Some(recovery) = &self.recovery {
            write!(text, "{recovery}")?;
        }
        Ok(())
    }
}

fn missing(text: &mut String, session: &SessionReport) -> std::fmt::Result {
    match (session.missing_messages, session.recovered) {
        (0, 0) => return writeln!(text, "every message came on one line at least"),
        (_, 0) => {}
        (missing, recovered) => {
            let (all, recovered) =
                (if missing == 0 { "every message came, " } else { "" }, grouped(recovered));
            writeln!(text, "{all}{recovered} of them as answers to requests only")?;
            if missing == 0 {
                return Ok(());
            }
        }
    }
    let ranges =
        session.missing.iter().take(GAPS_SHOWN).map(|span| match span.first == span.last {
            true => span.first.to_string(),
            false => format!("{}–{}", span.first, span.last),
        });
    let more = session.missing.len().saturating_sub(GAPS_SHOWN);
    let mut more = if more > 0 { format!(", and {more} more") } else { String::new() };
    if session.unlisted_messages > 0 {
        let unlisted = grouped(session.unlisted_messages);
        more += &format!("; {unlisted} of the messages are in none of these");
    }
    let (count, of) = (grouped(session.missing_messages), session.missing.len());
    let ranges = ranges.collect::<Vec<_>>().join(", ");
    writeln!(text, "{count} messages came on NO line, in {of} ranges: {ranges}{more}")
}

/// How far copies came behind the first, as bars: a row each time twice as long.
fn skew(text: &mut String, lines: &[LineReport]) -> std::fmt::Result {
    let most = lines.iter().flat_map(|line| &line.bars).map(|bar| bar.1).max().unwrap_or(0);
    for line in lines.iter().filter(|line| !line.bars.is_empty()) {
        writeln!(text, "{} behind the first:", line.line)?;
        for &(up_to_ns, count) in &line.bars {
            let bar = "█".repeat((count * BAR_CHARS).div_ceil(most.max(1)) as usize);
            writeln!(text, "  ≤ {:>8}  {:>10}  {bar}", nanos(up_to_ns), grouped(count))?;
        }
        writeln!(text)?;
    }
    Ok(())
}

fn of_feed(merged: &Merged, files: &[PathBuf]) -> FeedReport {
    let arbiter = &merged.arbiter;
    let sessions: Vec<_> = arbiter.sessions().collect();
    let has_times = merged.at_ns > 0;
    let total: u64 = (0..merged.lines.len()).map(|at| arbiter.line(at).first).sum();
    let lost = |line: usize| {
        let stream = |&(session, _): &(Session, _)| arbiter.stream_of(session, line);
        sessions.iter().filter_map(stream).map(missing_messages).sum()
    };
    let lines = merged.lines.iter().enumerate().map(|(at, &line)| {
        let counts = arbiter.line(at);
        LineReport {
            line: name(line, files),
            packets: counts.packets,
            first: counts.first,
            share: counts.first as f64 / total.max(1) as f64,
            duplicates: counts.duplicates,
            too_late: counts.too_late,
            lost: lost(at),
            refused: counts.refused,
            superseded: counts.superseded,
            behind: behind(counts).filter(|_| has_times),
            bars: if has_times { bars(counts) } else { Vec::new() },
        }
    });
    let lines = lines.collect();
    let sessions = sessions.iter().map(|(session, stream)| {
        let missing: Vec<_> = stream.missing().collect();
        SessionReport {
            session: session.to_string(),
            first: stream.start(),
            next: stream.next(),
            ended: stream.ended().is_some(),
            messages: stream.counts().received,
            recovered: stream.counts().retransmitted,
            missing_messages: missing_messages(stream),
            missing: spans(&missing),
            unlisted_messages: stream.counts().lost,
        }
    });
    let protocol = merged.protocol.name();
    FeedReport { protocol, has_times, sessions: sessions.collect(), lines }
}

/// What may come yet, and what cannot any more.
fn missing_messages(stream: &Stream) -> u64 {
    stream.missing_messages() + stream.counts().lost
}

fn behind(counts: &LineCounts) -> Option<Behind> {
    let times = &counts.behind_ns;
    (!times.is_empty()).then(|| Behind {
        packets: times.len(),
        p50_ns: times.value_at_quantile(0.5),
        p99_ns: times.value_at_quantile(0.99),
        max_ns: times.max(),
    })
}

/// Up to which time how many, a power of two each, from the first that has any to the last.
fn bars(counts: &LineCounts) -> Vec<(u64, u64)> {
    let times = &counts.behind_ns;
    if times.is_empty() {
        return Vec::new();
    }
    let first = times.min().max(1).next_power_of_two();
    let tops = std::iter::successors(Some(first), |top| top.checked_mul(2));
    let mut below = 0;
    let mut bars = Vec::new();
    for top in tops {
        let up_to = times.count_between(0, top);
        bars.push((top, up_to - below));
        below = up_to;
        if below >= times.len() {
            break;
        }
    }
    bars
}
