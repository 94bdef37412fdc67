//! A feed of numbered messages on a bad line, and what of it must be seen: which messages, in which
//! order, and which of them when something is missing.

use crate::random::Random;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use tickwire_respond::settings::GapPolicy;

/// The most sessions of a run: as many as it is remembered of what was answered.
const SESSIONS_MAX: usize = 7;

/// A packet of MoldUDP64, before it is bytes.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Its session.
    pub session: usize,
    /// The number of its first message, or the next one of a heartbeat.
    pub first: u64,
    /// Its messages.
    pub messages: Vec<Vec<u8>>,
    /// How many of them have not been cut off.
    pub readable: usize,
}

impl Sent {
    /// The text of the session.
    pub fn session_name(&self) -> String {
        format!("S{:<9}", self.session)
    }

    /// The datagram.
    pub fn bytes(&self, random: &mut Random) -> Vec<u8> {
        let mut bytes = self.session_name().into_bytes();
        bytes.extend(self.first.to_be_bytes());
        bytes.extend((self.messages.len() as u16).to_be_bytes());
        for (place, message) in self.messages.iter().enumerate() {
            let start = bytes.len();
            bytes.extend((message.len() as u16).to_be_bytes());
            bytes.extend(message);
            if place == self.readable {
                // A header alone would be a request.
                bytes.truncate(start + 1 + random.below(bytes.len() - start - 1));
                break;
            }
        }
        bytes
    }
}

/// Makes packets, and forgets, repeats and cuts them.
#[derive(Debug)]
pub struct Sender {
    session: usize,
    next: u64,
    old: Vec<Sent>,
    lost: Vec<Sent>,
    fresh: bool,
}

impl Sender {
    /// A session that goes on at some number.
    pub fn new(random: &mut Random) -> Self {
        let next = 2 + random.below(50) as u64;
        Sender { session: 0, next, old: Vec::new(), lost: Vec::new(), fresh: true }
    }

    /// A packet that arrives now.
    pub fn packet(
        &mut self,
        random: &mut Random,
        message: impl Fn(&mut Random) -> Vec<u8>,
    ) -> Sent {
        match random.below(24) {
            0 if self.session < SESSIONS_MAX => {
                (self.session, self.next, self.fresh) = (self.session + 1, 1, true);
            }
            1 => return self.numbered(Vec::new()),
            // Not from the first number on: in order, that is a stream which began again.
            2..=4 if !self.old.is_empty() => {
                let old = random.pick(&self.old).clone();
                if old.first > 1 {
                    return old;
                }
            }
            5..=9 if !self.lost.is_empty() => {
                let place = random.below(self.lost.len());
                return self.lost.swap_remove(place);
            }
            _ => {}
        }
        while random.below(6) == 0 && self.may_lose() {
            let lost = self.messages(random, &message);
            self.lost.push(lost);
        }
        let mut packet = self.messages(random, &message);
        if random.below(20) == 0 && self.may_lose() {
            packet.readable = random.below(packet.messages.len());
            // It comes again, whole.
            self.lost.push(Sent { readable: packet.messages.len(), ..packet.clone() });
        }
        self.fresh = false;
        self.old.push(packet.clone());
        packet
    }

    /// Of the first session it is not known where it began.
    fn may_lose(&self) -> bool {
        !self.fresh || self.session > 0
    }

    fn messages(&mut self, random: &mut Random, message: impl Fn(&mut Random) -> Vec<u8>) -> Sent {
        let count = 1 + random.below(3);
        let packet = self.numbered((0..count).map(|_| message(random)).collect());
        self.next += count as u64;
        packet
    }

    fn numbered(&self, messages: Vec<Vec<u8>>) -> Sent {
        let (session, first, readable) = (self.session, self.next, messages.len());
        Sent { session, first, messages, readable }
    }
}

/// A message that must be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its number.
    pub number: u64,
    /// The message.
    pub message: Vec<u8>,
    /// It waited for others.
    pub waited: bool,
}

/// What came of a session.
#[derive(Debug, Default)]
struct Stream {
    start: u64,
    /// What came, was lost for good, or was there before we were.
    known: BTreeSet<u64>,
    /// One more than the highest number that we know of.
    end: u64,
    /// What came and was not seen yet.
    waits: BTreeMap<u64, Vec<u8>>,
    /// One more than the last that was seen.
    seen: u64,
    /// One more than the highest number that is lost for good.
    lost: u64,
}

impl Stream {
    fn missing(&self) -> Vec<u64> {
        (self.start..self.end).filter(|number| !self.known.contains(number)).collect()
    }

    fn lose_what_is_missing(&mut self) {
        let missing = self.missing();
        self.lost = missing.last().map_or(self.lost, |last| self.lost.max(last + 1));
        self.known.extend(missing);
    }
}

/// What must be seen of a feed.
#[derive(Debug)]
pub struct Truth {
    policy: GapPolicy,
    silence_ns_max: Option<u64>,
    sessions: HashMap<usize, Stream>,
    current: usize,
    last_ns: Option<u64>,
    silent: bool,
    /// For each instrument: one more than the number up to which all is known.
    known: HashMap<u32, u64>,
}

impl Truth {
    /// Before the first packet.
    pub fn new(policy: GapPolicy, silence_ns_max: Option<u64>) -> Self {
        let (sessions, known) = (HashMap::new(), HashMap::new());
        Truth { policy, silence_ns_max, sessions, current: 0, last_ns: None, silent: false, known }
    }

    fn is_waiting(stream: &Stream) -> bool {
        stream.seen < stream.end
    }

    /// A datagram of a feed without numbers; whether the feed was silent before it.
    pub fn receive_tick(&mut self, is_whole: bool, received_ns: u64) -> bool {
        if is_whole {
            self.hear(received_ns);
        }
        self.silent
    }

    fn hear(&mut self, received_ns: u64) {
        let Some(max) = self.silence_ns_max else { return };
        self.silent = self.last_ns.is_some_and(|last| received_ns > last + max);
        self.last_ns = self.last_ns.max(Some(received_ns));
    }

    /// The messages that must be seen now.
    pub fn receive(&mut self, packet: &Sent, received_ns: u64) -> Vec<Seen> {
        self.hear(received_ns);
        let first = packet.first;
        if self.current != packet.session {
            // What waits for another session will not be waited for.
            if let Some(before) = self.sessions.get_mut(&self.current)
                && Self::is_waiting(before)
            {
                before.lose_what_is_missing();
                before.waits.clear();
                before.seen = before.end;
            }
            self.current = packet.session;
        }
        let is_first = self.sessions.is_empty();
        let known = &mut self.known;
        let stream = self.sessions.entry(packet.session).or_insert_with(|| {
            known.clear();
            let start = if is_first { first } else { first.min(1) };
            Stream { start, end: start, seen: start, ..Stream::default() }
        });
        if first < stream.start {
            return Vec::new();
        }
        let waited = Self::is_waiting(stream);
        for (number, message) in (first..).zip(&packet.messages[..packet.readable]) {
            if stream.known.insert(number) {
                stream.waits.insert(number, message.clone());
            }
        }
        stream.end = stream.end.max(first + packet.readable as u64);
        if self.policy == GapPolicy::UntilNext {
            // What comes before something that was seen is too late.
            stream.lose_what_is_missing();
            while stream.seen < stream.end && !stream.waits.contains_key(&stream.seen) {
                stream.seen += 1;
            }
        }
        // Once a gap is known, the whole packet waits, and what waited is old news.
        let waited = waited || !stream.missing().is_empty();
        Self::see(stream, waited)
    }

    /// Whether something of an instrument may be missing, after the last packet.
    pub fn is_stale(&self, instrument: u32) -> bool {
        let known = self.known.get(&instrument).copied().unwrap_or(0);
        let gap = self
            .sessions
            .get(&self.current)
            .is_some_and(|stream| !stream.missing().is_empty() || known < stream.lost);
        gap || self.silent
    }

    /// A message of the instrument has been decided on.
    pub fn decided(&mut self, instrument: u32, number: u64) {
        if self.policy == GapPolicy::UntilNext {
            let known = self.known.entry(instrument).or_default();
            *known = (number + 1).max(*known);
        }
    }

    fn see(stream: &mut Stream, waited: bool) -> Vec<Seen> {
        let mut seen = Vec::new();
        while let Some((&number, _)) = stream.waits.first_key_value()
            && number <= stream.seen
        {
            let message = stream.waits.remove(&number).expect("it waits");
            stream.seen = stream.seen.max(number + 1);
            seen.push(Seen { number, message, waited });
        }
        seen
    }
}
