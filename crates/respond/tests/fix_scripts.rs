//! The session scripts of the corpus: QuickFIX's acceptance tests, which inject messages and expect
//! others. They are written for the side that is logged on to; the rules are the same for the side
//! that logs on, so they are mirrored:
//!
//! * Our Logon comes first, the script's is the answer to it.
//! * The application of the scripts sends each order back. What is injected as an order that is to
//!   come back is a heartbeat of the same number here, which has no consequences, and where the
//!   script expects the order we send one. So numbers and what is sent again are those of the
//!   script. Orders that the script wants refused are injected as they are.
//! * When a message is expected that is not there yet, time passes.
//!
//! Texts (58) and times are ours. Which scripts do not apply, and why, is in [`NOT_OURS`].

mod common;
#[path = "../../market/tests/common/injected.rs"]
mod injected;

use common::corpus;
use injected::injected_at;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tickwire_market::fix::{Frames, dictionary::Dictionary};
use tickwire_respond::session::fix::{FixSession, FixSettings, FixVersion};
use tickwire_respond::{Close, Intent, Order, Scale, Session, Side};

/// 2026-11-21 09:30:00 UTC, and the same as a script has it.
const BEGIN_NS: u64 = 1_795_253_400_000_000_000;
const BEGIN_S_OF_DAY: i64 = 9 * 3600 + 30 * 60;

/// How long a message that is expected may take, or the end of the connection.
const WAIT_MS_MAX: u64 = 60_000;

/// Scripts that say nothing about a side that logs on.
const NOT_OURS: [(&str, &str); 9] = [
    ("1b_DuplicateIdentity", "a second connection: an acceptor's, who logs on has one"),
    ("AlreadyLoggedOn", "a second connection: an acceptor's, who logs on has one"),
    ("19a_PossResendMessageThatHAsAlreadyBeenSent", "orders that come a second time"),
    ("19b_PossResendMessageThatHasNotBeenSent", "orders that come a second time"),
    ("2r_UnregisteredMsgType", "refuses reports of executions, which are what we are there for"),
    ("21_RepeatingGroupSpecifierWithValueOfZero", "a message that is sent back, and is no order"),
    ("8_OnlyAdminMessages", "has a number twice, which the specification answers with a Logout"),
    ("ReverseRoute", "routes on behalf of others: we do not"),
    ("ReverseRouteWithEmptyRoutingTags", "routes on behalf of others: we do not"),
];

type Fields = Vec<(String, String)>;

fn fields(text: &str) -> Fields {
    let fields = text.split('\x01').filter_map(|field| field.split_once('='));
    fields.map(|(tag, value)| (tag.to_owned(), value.to_owned())).collect()
}

fn get<'a>(fields: &'a Fields, tag: &str) -> Option<&'a str> {
    fields.iter().find(|(known, _)| known == tag).map(|(_, value)| value.as_str())
}

/// A session, and a script that it plays.
struct Play {
    name: String,
    version: FixVersion,
    dictionary: Option<Arc<Dictionary>>,
    session: FixSession,
    now_ns: u64,
    orders: u64,
    /// What the session has sent, and nobody has expected yet.
    sent: VecDeque<Fields>,
    closed: Option<Close>,
}

impl Play {
    fn new(name: String, version: FixVersion, dictionary: Option<Arc<Dictionary>>) -> Self {
        let session = session(FixSettings::new(version, "A", "B"));
        let (sent, closed) = (VecDeque::new(), None);
        Play { name, version, dictionary, session, now_ns: BEGIN_NS, orders: 0, sent, closed }
    }

    fn settings(version: FixVersion, lines: &[&str]) -> FixSettings {
        let logon =
            lines.iter().find(|line| line.starts_with('E') && line.contains("\x0135=A\x01"));
        let logon = logon.map_or_else(Fields::new, |line| fields(&line[1..]));
        FixSettings {
            heartbeat_s: get(&logon, "108").map_or(30, |s| s.parse().unwrap()),
            test_after_logon: false,
            peer_may_reset: true,
            resend_orders_ms: u64::MAX,
            ..FixSettings::new(version, "ISLD", "TW44")
        }
    }

    fn connect(&mut self, lines: &[&str]) {
        let settings = FixSettings {
            dictionary: self.dictionary.clone(),
            target: if self.version == FixVersion::Fix42 { "TW42" } else { "TW44" }.to_owned(),
            ..Self::settings(self.version, lines)
        };
        let settings = match lines.iter().any(|line| line.contains("\x0149=TW\x01")) {
            true => FixSettings { target: "TW".to_owned(), ..settings },
            false => settings,
        };
        self.session = session(settings);
        (self.closed, self.now_ns) = (None, self.now_ns + 1_000_000);
        self.session.connected(self.now_ns);
        self.take();
    }

    /// What the session has sent by now.
    fn take(&mut self) {
        let bytes = self.session.output().to_vec();
        self.session.sent(bytes.len());
        let mut frames = Frames::new(&bytes);
        for message in frames.by_ref() {
            let text = String::from_utf8(message.unwrap().bytes().to_vec()).unwrap();
            self.sent.push_back(fields(&text));
        }
        assert!(frames.rest().is_empty());
    }

    fn inject(&mut self, line: &str, next: Option<&str>) {
        let is_plain = !line.contains("\x019=") && !line.contains("\x0110=");
        let is_refused = next.is_some_and(|next| {
            ["\x0135=3\x01", "\x0135=j\x01"].iter().any(|kind| next.contains(kind))
        });
        let line = match line.contains("\x0135=D\x01") && is_plain && !is_refused {
            true => heartbeat(line),
            false => line.to_owned(),
        };
        let bytes = self.completed(&line);
        if self.closed.is_some() {
            return;
        }
        let mut no_event = |event| panic!("{event:?} of an order that nobody answered");
        self.closed = self.session.received(bytes.as_bytes(), self.now_ns, &mut no_event).err();
        self.take();
    }

    /// Times, BodyLength and CheckSum filled in where the line leaves them out.
    fn completed(&self, line: &str) -> String {
        injected_at(line, |seconds| {
            let passed = ((self.now_ns - BEGIN_NS) / 1_000_000_000) as i64;
            let s = BEGIN_S_OF_DAY + passed + seconds;
            format!("20261121-{:02}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
        })
    }

    fn expect(&mut self, line: &str) {
        let expected = fields(line);
        let kind = get(&expected, "35").unwrap().to_owned();
        if kind == "D" && get(&expected, "43").is_none() {
            self.order();
        }
        self.wait(|play| !play.sent.is_empty());
        let sent = self.sent.pop_front().unwrap_or_else(|| panic!("{}: no {line}", self.name));
        let is_ours = |tag: &str| match kind.as_str() {
            // What stands in our orders is ours.
            "D" => !["8", "34", "35", "43", "49", "56"].contains(&tag),
            // The identifier of a TestRequest is ours, too.
            "1" => tag == "112",
            _ => false,
        };
        let compared = |fields: &Fields| {
            let is_compared = |tag: &str| !["9", "10", "52", "58", "60", "122"].contains(&tag);
            let fields = fields.iter().filter(|(tag, _)| is_compared(tag) && !is_ours(tag));
            let mut fields: Fields = fields.cloned().collect();
            fields.sort();
            fields
        };
        assert_eq!(compared(&sent), compared(&expected), "{}: {line}", self.name);
        assert_eq!(get(&sent, "122").is_some(), get(&expected, "122").is_some());
    }

    fn order(&mut self) {
        self.orders += 1;
        let (side, price, quantity) = (Side::Buy, 9_950, 100);
        let intent = Intent { rule: 0, instrument: 0, target: 0, side, price, quantity };
        let (number, at_ns) = (self.orders, self.now_ns);
        let order = Order { intent, symbol: *b"INTC    ", number, at_ns };
        self.session.order(&order).unwrap_or_else(|reason| panic!("{}: {reason}", self.name));
        self.take();
    }

    /// Lets time pass until something is so.
    fn wait(&mut self, is_so: impl Fn(&Self) -> bool) {
        for _ in 0..WAIT_MS_MAX / 100 {
            if is_so(self) || self.closed.is_some() {
                return;
            }
            self.now_ns += 100_000_000;
            self.closed = self.session.tick(self.now_ns).err();
            self.take();
        }
    }

    fn disconnected(&mut self, logs_on: bool) {
        self.wait(|play| play.closed.is_some());
        assert!(self.closed.is_some(), "{}: still connected", self.name);
        if !logs_on {
            let logon = self.sent.pop_front().unwrap();
            assert_eq!(get(&logon, "35"), Some("A"));
        }
        // While it waits for an answer that does not come, heartbeats go on.
        self.sent.retain(|sent| get(sent, "35") != Some("0") || get(sent, "112").is_some());
        assert!(self.sent.is_empty(), "{}: {:?}", self.name, self.sent);
        self.session.disconnected(self.now_ns, &mut |_| {});
    }

    fn play(&mut self, lines: &[&str]) {
        let logs_on =
            lines.iter().any(|line| line.starts_with('E') && line.contains("\x0135=A\x01"));
        for (at, line) in lines.iter().enumerate() {
            match line.split_at(1) {
                ("i", "CONNECT") => self.connect(lines),
                ("I", line) => {
                    let next = lines[at + 1..].iter().find(|line| line.starts_with(['E', 'e']));
                    self.inject(line, next.copied());
                }
                ("E", line) => self.expect(line),
                ("e", "DISCONNECT") => self.disconnected(logs_on),
                other => panic!("{}: {other:?}", self.name),
            }
        }
        assert!(self.closed.is_some(), "{}: it has no end", self.name);
    }
}

fn session(settings: FixSettings) -> FixSession {
    let store = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
    FixSession::new(settings, Scale(2), Box::new(store)).unwrap()
}

/// A heartbeat with the header of another message.
fn heartbeat(line: &str) -> String {
    let header = ["8", "34", "43", "49", "52", "56", "122"];
    let fields = fields(line).into_iter().filter_map(|(tag, value)| match tag.as_str() {
        "35" => Some("35=0\x01".to_owned()),
        tag if header.contains(&tag) => Some(format!("{tag}={value}\x01")),
        _ => None,
    });
    fields.collect()
}

fn play_all(version: FixVersion, folder: &Path, dictionary: &Path) -> (usize, usize) {
    let text = std::fs::read_to_string(dictionary).unwrap();
    let dictionary = Arc::new(Dictionary::parse(&text).unwrap());
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let (mut played, mut left_out) = (0, 0);
    for path in paths {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if NOT_OURS.iter().any(|(known, _)| *known == name) {
            left_out += 1;
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let is_step = |line: &&str| line.starts_with(['i', 'I', 'e', 'E']);
        let lines: Vec<&str> = text.lines().filter(is_step).collect();
        let mut play = Play::new(name, version, Some(Arc::clone(&dictionary)));
        play.play(&lines);
        played += 1;
    }
    (played, left_out)
}

#[test]
fn the_scripts_are_played() {
    let Some(corpus) = corpus("market/fix", "the_scripts_are_played") else { return };
    for (version, folder, file, expected) in [
        (FixVersion::Fix42, "fix42", "FIX42.xml", (49, 9)),
        (FixVersion::Fix44, "fix44", "FIX44.xml", (50, 9)),
    ] {
        let folder = corpus.join("session-scripts").join(folder);
        let done = play_all(version, &folder, &corpus.join("spec").join(file));
        assert_eq!(done, expected, "{version:?}");
    }
}

/// Plays a script of ours: logs on, asks for a heartbeat that answers `id`.
fn play_ours(id: &str) {
    let text = format!(
        "iCONNECT
I8=FIX.4.4|35=A|34=1|49=TW44|52=<TIME>|56=ISLD|98=0|108=30|
E8=FIX.4.4|35=A|34=1|49=ISLD|56=TW44|98=0|108=30|
I8=FIX.4.4|35=1|34=2|49=TW44|52=<TIME>|56=ISLD|112=HELLO|
E8=FIX.4.4|35=0|34=2|49=ISLD|56=TW44|112={id}|
I8=FIX.4.4|35=5|34=3|49=TW44|52=<TIME>|56=ISLD|
E8=FIX.4.4|35=5|34=3|49=ISLD|56=TW44|
eDISCONNECT"
    );
    let text = text.replace('|', "\x01");
    let lines: Vec<&str> = text.lines().collect();
    Play::new("ours".to_owned(), FixVersion::Fix44, None).play(&lines);
}

#[test]
fn a_script_of_ours_is_played() {
    play_ours("HELLO");
}

#[test]
#[should_panic(expected = "112=GOODBYE")]
fn a_script_that_expects_something_else_fails() {
    play_ours("GOODBYE");
}
