//! The numbers of a feed on each of its lines, and the history of what was missing.

use super::history::History;
use std::collections::HashMap;
use std::net::SocketAddr;
use tickwire_market::sequence::{Numbers, Rules, Tracker};
use tickwire_market::{Kind, Packet, Protocol, Session};

/// The most lines that are followed: what is beyond is counted.
const LINES_MAX: usize = 64;
/// The most gaps that are open at the same time on a line.
const GAPS_MAX: usize = 2_048;
/// The most sessions that are followed at the same time on a line.
const SESSIONS_MAX: usize = 32;
/// The same at a server of TCP, which may have a session with each of its clients.
const TCP_SESSIONS_MAX: usize = 256;
/// The most gaps that are open at the same time in a session of TCP.
const TCP_GAPS_MAX: usize = 256;

/// Where packets came: the file they were in, and the destination that they had there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Line {
    /// Which of the files of the command line; 0 of an interface.
    pub file: u16,
    /// Group or address, and port; `None` in a file without packets.
    pub to: Option<SocketAddr>,
}

impl Line {
    /// Of packets sent to `to`.
    pub fn new(file: u16, to: SocketAddr) -> Line {
        Line { file, to: Some(to) }
    }

    /// Of a file without packets.
    pub fn file(file: u16) -> Line {
        Line { file, to: None }
    }

    /// Whether packets go to one receiver only: in a session that a group has as well they are the
    /// answers to its requests.
    pub fn is_unicast(&self) -> bool {
        self.to.is_some_and(|to| !to.ip().is_multicast())
    }
}

/// What is known of a line.
#[derive(Debug)]
pub struct LineState {
    /// Which it is.
    pub line: Line,
    /// What comes on it.
    pub protocol: Protocol,
    /// Its numbers.
    pub tracker: Tracker<Session>,
    /// What was missing.
    pub history: History,
    /// The latest time so far: that of a capture may go back, that of a tracker must not.
    at_ns: u64,
}

/// All lines.
#[derive(Debug)]
pub struct Streams {
    rules: Rules,
    lines: Vec<LineState>,
    places: HashMap<(Protocol, Line), usize>,
    /// Packets on lines beyond [`LINES_MAX`].
    pub unfollowed: u64,
    /// Packets that answered requests.
    pub answers: u64,
}

impl Streams {
    /// No line yet. `from_first` says that what comes before the first number seen is missing.
    pub fn new(from_first: bool) -> Streams {
        let rules = Rules {
            from_first,
            only_counts: true,
            gaps_max: GAPS_MAX,
            sessions_max: SESSIONS_MAX,
            ..Rules::default()
        };
        let (lines, places) = (Vec::new(), HashMap::new());
        Streams { rules, lines, places, unfollowed: 0, answers: 0 }
    }

    /// The lines in the order of their first packets.
    pub fn lines(&self) -> &[LineState] {
        &self.lines
    }

    /// A packet, with `count` messages that can be read; `number` is its number. `is_answer` says
    /// that it was asked for.
    pub fn packet(
        &mut self,
        line: Line,
        is_answer: bool,
        packet: &Packet<'_>,
        count: u32,
        at_ns: u64,
        number: u64,
    ) {
        let ends = match packet.kind() {
            Kind::Messages | Kind::Heartbeat => false,
            Kind::End => true,
            _ => return,
        };
        let (session, first) = (packet.session(), packet.first());
        let numbers = Numbers { session, first, count, ends };
        if (is_answer || line.is_unicast()) && self.answer(line, is_answer, &numbers, at_ns, number)
        {
            self.answers += 1;
            return;
        }
        let over_tcp = matches!(session, Session::Fix(_) | Session::SoupBinTcp(_));
        let Some(state) = self.line(packet.protocol(), line, over_tcp) else {
            self.unfollowed += 1;
            return;
        };
        state.at_ns = state.at_ns.max(at_ns);
        state.tracker.receive(&numbers, state.at_ns, number);
        state.history.note(state.tracker.events());
    }

    fn line(&mut self, protocol: Protocol, line: Line, over_tcp: bool) -> Option<&mut LineState> {
        let place = match self.places.get(&(protocol, line)) {
            Some(&place) => place,
            None if self.lines.len() == LINES_MAX => return None,
            None => {
                let rules = if over_tcp { over_tcp_rules(self.rules) } else { self.rules };
                let (tracker, history) = (Tracker::new(rules), History::default());
                self.lines.push(LineState { line, protocol, tracker, history, at_ns: 0 });
                self.places.insert((protocol, line), self.lines.len() - 1);
                self.lines.len() - 1
            }
        };
        self.lines.get_mut(place)
    }

    /// Gives the answer to a request to the lines that have its session; whether there is one.
    fn answer(
        &mut self,
        line: Line,
        is_answer: bool,
        numbers: &Numbers<Session>,
        at_ns: u64,
        number: u64,
    ) -> bool {
        let mut known = false;
        for state in &mut self.lines {
            let has = |(session, _)| session == numbers.session;
            let is_group = !state.line.is_unicast() || is_answer;
            if state.line.file != line.file || !is_group || !state.tracker.sessions().any(has) {
                continue;
            }
            known = true;
            state.at_ns = state.at_ns.max(at_ns);
            state.tracker.receive_answer(numbers, state.at_ns, number);
            state.history.note(state.tracker.events());
        }
        known
    }
}

/// TCP brings everything in order, and a name that says when numbers begin again: what comes again
/// was asked for, and a session that is seen late was not missed before.
fn over_tcp_rules(rules: Rules) -> Rules {
    Rules {
        early_max: 0,
        restart_first_max: None,
        gaps_max: TCP_GAPS_MAX,
        sessions_max: TCP_SESSIONS_MAX,
        ..rules
    }
}
