//! What is missing, session by session: on each line, and on all of them together.

use super::history::Record;
use super::ranges::{count, union, without};
use super::recovery::RecoveryReport;
use super::streams::{Line, LineState, Streams};
use super::tcp::Counts;
use serde::Serialize;
use std::path::{Path, PathBuf};
use tickwire_market::Session;
use tickwire_market::sequence::{Cause, How, Range, Stream};

/// The report of `tickwire feed gaps`. Serialises to the object that scripts read.
#[derive(Debug, Serialize)]
pub struct GapReport {
    /// Whether there is a session, and every message of all arrived on one line at least.
    complete: bool,
    /// How many did not.
    missing_messages: u64,
    sessions: Vec<SessionReport>,
    /// Packets that answered requests.
    answers: u64,
    /// Packets on lines beyond those that are followed.
    unfollowed_packets: u64,
    /// Sessions of which nothing is listed, because more came on their line than are followed.
    forgotten_sessions: u64,
    /// Messages of gaps that are not listed: there are too many, or their session was forgotten.
    unlisted_messages: u64,
    /// Holes in streams of TCP, and the bytes that are missing in them.
    stream_gaps: u64,
    stream_gap_bytes: u64,
    /// Connections that were forgotten while they were open, because there were too many.
    forgotten_connections: u64,
    /// What was done to get back what was lost, if anything was to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery: Option<RecoveryReport>,
}

/// A session on all of its lines.
#[derive(Debug, Serialize)]
pub struct SessionReport {
    pub protocol: &'static str,
    pub session: String,
    /// The lowest number that counts: the first one seen on any line.
    pub first: u64,
    /// The number behind the last one, as far as anything is known of it.
    pub next: u64,
    /// Whether its end was seen.
    pub ended: bool,
    /// Different messages that arrived.
    pub messages: u64,
    /// What arrived on no line.
    pub missing: Vec<Span>,
    pub missing_messages: u64,
    pub lines: Vec<LineReport>,
}

impl SessionReport {
    /// Messages that arrived though another packet, on this line or another, had brought them.
    pub fn duplicates(&self) -> u64 {
        let all = self.lines.iter().map(|line| line.messages + line.duplicates);
        // What came before a restart is in none of the ranges.
        all.sum::<u64>().saturating_sub(self.messages)
    }
}

/// A session on one line.
#[derive(Debug, Serialize)]
pub struct LineReport {
    pub line: String,
    pub packets: u64,
    pub heartbeats: u64,
    /// Different messages that arrived here.
    pub messages: u64,
    pub duplicates: u64,
    /// Messages that came first when they were lost already, or from before the first packet.
    pub too_late: u64,
    /// Messages that came behind later ones.
    pub late: u64,
    /// Messages that came as answers to requests.
    pub retransmitted: u64,
    /// Messages of packets that could not continue the stream.
    pub refused: u64,
    pub first: u64,
    pub next: u64,
    pub ended: bool,
    /// How often the numbers began again; `first` and `next` are of the last time.
    pub restarts: u64,
    pub missing_messages: u64,
    /// Messages that no other line has.
    pub only_here: u64,
    pub gaps: Vec<GapEntry>,
}

/// A gap on a line.
#[derive(Debug, Serialize)]
pub struct GapEntry {
    pub first: u64,
    pub last: u64,
    pub messages: u64,
    /// When the packet came that showed it, in nanoseconds since 1970; 0 in a file without times.
    pub time: u64,
    /// Which packet of the file or the interface that was, from 1 on.
    pub packet: u64,
    /// `message`, `heartbeat`, `end`, `beginning` or `restart`.
    pub shown_by: &'static str,
    /// What came after all.
    pub filled: Vec<Filling>,
    /// What did not come on this line.
    pub missing: Vec<Span>,
    /// What did not come on any.
    pub missing_everywhere: Vec<Span>,
}

/// A part of a gap that came.
#[derive(Debug, Serialize)]
pub struct Filling {
    pub first: u64,
    pub last: u64,
    /// `late` or `retransmission`.
    pub by: &'static str,
    /// How long it was missing.
    pub after_ns: u64,
}

/// Numbers without a hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Span {
    pub first: u64,
    pub last: u64,
}

/// A session on a line, with what arrived of it.
struct Part<'a> {
    state: &'a LineState,
    session: Session,
    stream: &'a Stream,
    missing: Vec<Range>,
    received: Vec<Range>,
}

impl GapReport {
    /// What `streams` know, beside what was missing in those of TCP. `files` are those that were
    /// read, in their order.
    pub fn new(streams: Option<&Streams>, files: &[PathBuf], tcp: &Counts) -> GapReport {
        let Some(streams) = streams else { return GapReport::of(Vec::new()) };
        let lines = streams.lines();
        let parts = lines.iter().flat_map(|state| {
            state.tracker.sessions().map(move |(session, stream)| part(state, session, stream))
        });
        let mut sessions: Vec<Vec<Part<'_>>> = Vec::new();
        for part in parts {
            match sessions.iter_mut().find(|parts| is_same(&parts[0], &part, lines)) {
                Some(parts) => parts.push(part),
                None => sessions.push(vec![part]),
            }
        }
        let report = GapReport::of(sessions.iter().map(|parts| of_session(parts, files)).collect());
        let unlisted_messages = lines.iter().map(|line| line.history.unkept_messages).sum();
        GapReport {
            complete: report.complete
                && [unlisted_messages, streams.unfollowed, tcp.stream_gaps] == [0; 3],
            stream_gaps: tcp.stream_gaps,
            stream_gap_bytes: tcp.stream_gap_bytes,
            forgotten_connections: tcp.forgotten_connections,
            answers: streams.answers,
            unfollowed_packets: streams.unfollowed,
            forgotten_sessions: lines.iter().map(|line| line.history.forgotten_sessions).sum(),
            unlisted_messages,
            ..report
        }
    }

    fn of(sessions: Vec<SessionReport>) -> GapReport {
        let missing_messages = sessions.iter().map(|session| session.missing_messages).sum();
        GapReport {
            complete: missing_messages == 0 && !sessions.is_empty(),
            missing_messages,
            sessions,
            answers: 0,
            unfollowed_packets: 0,
            forgotten_sessions: 0,
            unlisted_messages: 0,
            stream_gaps: 0,
            stream_gap_bytes: 0,
            forgotten_connections: 0,
            recovery: None,
        }
    }

    /// Each session.
    pub fn sessions(&self) -> &[SessionReport] {
        &self.sessions
    }

    /// Whether nothing with numbers was seen.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Whether every message arrived.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// What the tables do not show: how many, their name for scripts, and of what.
    pub fn untold(&self) -> [(u64, &'static str, &'static str); 6] {
        let (sessions, packets) = (self.forgotten_sessions, self.unfollowed_packets);
        [
            (
                sessions,
                "forgotten_sessions",
                "sessions are not listed: too many came on their lines",
            ),
            (
                self.unlisted_messages,
                "unlisted_messages",
                "messages more are missing, in gaps that are not listed",
            ),
            (
                packets,
                "unfollowed_packets",
                "packets were not followed: they came on too many lines",
            ),
            (self.stream_gaps, "stream_gaps", "holes are in streams of TCP: segments were lost"),
            (
                self.stream_gap_bytes,
                "stream_gap_bytes",
                "bytes are missing in them; numbers tell which messages where they have any",
            ),
            (
                self.forgotten_connections,
                "forgotten_connections",
                "connections were forgotten while they were open: there were too many",
            ),
        ]
    }

    /// The object as one line.
    pub fn to_json(&self) -> String {
        let text = serde_json::to_string(self);
        text.expect("a report has only string keys and whole numbers") + "\n"
    }
}

fn part<'a>(state: &'a LineState, session: Session, stream: &'a Stream) -> Part<'a> {
    let records = state.history.of(session);
    let current = records.filter(|record| record.generation == stream.generation());
    let missing = super::ranges::normal(current.flat_map(Record::missing).collect());
    let all = Range::before(stream.start(), stream.next());
    let received = without(all.as_slice(), &missing);
    Part { state, session, stream, missing, received }
}

/// Whether two parts are of the same session: the same name and, where there is none, the only
/// stream of its protocol in another file. One that began again is compared with nothing: which of
/// its numbers are which cannot be told.
fn is_same(a: &Part<'_>, b: &Part<'_>, lines: &[LineState]) -> bool {
    let restarts = a.stream.generation() + b.stream.generation();
    if a.session != b.session || a.state.protocol != b.state.protocol || restarts > 0 {
        return false;
    }
    let is_only = |part: &Part<'_>| {
        let (file, protocol) = (part.state.line.file, part.state.protocol);
        let same = |line: &&LineState| line.line.file == file && line.protocol == protocol;
        lines.iter().filter(same).count() == 1
    };
    a.session != Session::Unnamed
        || a.state.line.file != b.state.line.file && is_only(a) && is_only(b)
}

fn of_session(parts: &[Part<'_>], files: &[PathBuf]) -> SessionReport {
    let together = parts.iter().fold(Vec::new(), |sum, part| union(&sum, &part.received));
    let first = parts.iter().map(|part| part.stream.start()).min().unwrap_or(0);
    let next = parts.iter().map(|part| part.stream.next()).max().unwrap_or(0);
    let mut missing = without(Range::before(first, next).as_slice(), &together);
    // What is missing of numbers that have begun again since is missing all the same.
    let before = |part: &&Part<'_>| part.stream.generation() > 0;
    for part in parts.iter().filter(before) {
        let old = part.state.history.of(part.session);
        let old = old.filter(|record| record.generation < part.stream.generation());
        missing.extend(old.flat_map(Record::missing));
    }
    let lines = (0..parts.len()).map(|at| of_line(parts, at, &together, files)).collect();
    SessionReport {
        protocol: parts[0].state.protocol.name(),
        session: parts[0].session.to_string(),
        first,
        next,
        ended: parts.iter().any(|part| part.stream.ended().is_some()),
        messages: count(&together),
        missing_messages: count(&missing),
        missing: spans(&missing),
        lines,
    }
}

fn of_line(parts: &[Part<'_>], at: usize, together: &[Range], files: &[PathBuf]) -> LineReport {
    let Part { state, session, stream, ref missing, ref received } = parts[at];
    let others = parts.iter().enumerate().filter(|(other, _)| *other != at);
    let others = others.fold(Vec::new(), |sum, (_, part)| union(&sum, &part.received));
    let counts = stream.counts();
    LineReport {
        line: name(state.line, files),
        packets: counts.packets,
        heartbeats: counts.heartbeats,
        messages: counts.received,
        duplicates: counts.duplicates,
        too_late: counts.too_late,
        late: counts.late,
        retransmitted: counts.retransmitted,
        refused: counts.refused,
        first: stream.start(),
        next: stream.next(),
        ended: stream.ended().is_some(),
        restarts: counts.restarts,
        missing_messages: count(missing),
        only_here: count(&without(received, &others)),
        gaps: state.history.of(session).map(|record| entry(record, stream, together)).collect(),
    }
}

fn entry(record: &Record, stream: &Stream, together: &[Range]) -> GapEntry {
    let missing = record.missing();
    let everywhere = match record.generation == stream.generation() {
        true => without(&missing, together),
        false => missing.clone(),
    };
    let opened_ns = record.gap.opened_ns;
    let filled = record.filled.iter().map(|filled| Filling {
        first: filled.range.first,
        last: filled.range.last,
        by: match filled.how {
            How::Late => "late",
            How::OtherLine => "other_line",
            How::Retransmission => "retransmission",
        },
        after_ns: filled.at_ns.saturating_sub(opened_ns),
    });
    GapEntry {
        first: record.gap.range.first,
        last: record.gap.range.last,
        messages: record.gap.range.count(),
        time: opened_ns,
        packet: record.gap.opened_packet,
        shown_by: match record.gap.cause {
            Cause::Message => "message",
            Cause::Heartbeat => "heartbeat",
            Cause::End => "end",
            Cause::Beginning => "beginning",
            Cause::Restart => "restart",
        },
        filled: filled.collect(),
        missing: spans(&missing),
        missing_everywhere: spans(&everywhere),
    }
}

/// The same ranges, as they are written.
pub fn spans(ranges: &[Range]) -> Vec<Span> {
    ranges.iter().map(|&Range { first, last }| Span { first, last }).collect()
}

/// What a line is called: by its destination and, when there are several, its file.
pub fn name(line: Line, files: &[PathBuf]) -> String {
    let file = files.get(usize::from(line.file)).map(|path| {
        path.file_name().unwrap_or(Path::new("-").as_os_str()).to_string_lossy().into_owned()
    });
    match (line.to, file) {
        (Some(to), Some(file)) if files.len() > 1 => format!("{to} in {file}"),
        (Some(to), _) => to.to_string(),
        (None, Some(file)) => file,
        (None, None) => "-".to_owned(),
    }
}
