//! One trigger, at most one order: what was answered, kept in [`Memory`] so that it outlives the
//! process.
//!
//! * Messages with **sequence numbers**: of each session the number that was answered last. It only
//!   grows: an older message is not answered any more. The last [`SESSIONS_MAX`] sessions of a feed
//!   are known, so that it does not help to go back to one of them. Where packets are numbered, one
//!   message of a packet is answered at most.
//! * Messages with a **time stamp of their own**: of each instrument the stamp that was answered
//!   last, and with it the contents of [`CONTENTS_MAX`] different messages of that stamp. Older
//!   ones, and more of the same stamp, are not answered. A stamp may be of any clock and epoch that
//!   is not ahead of ours by more than [`AHEAD_NS_MAX`]: one damaged tick must not silence an
//!   instrument until the year 2554. A sender whose clock went back is not answered until it has
//!   caught up, or what was answered is [forgotten](Memory::forget_triggers).

use crate::memory::{FEED_WORDS, MARK_WORDS, Memory, fold};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed, Ordering::Release};
use tickwire_market::packet::Session;
use tickwire_market::{Message, Protocol, nanonet};

/// The most sessions of a feed of which it is known what was answered.
pub const SESSIONS_MAX: usize = FEED_WORDS / 2;
/// The most messages of an instrument with the same time stamp that are answered.
pub const CONTENTS_MAX: usize = MARK_WORDS - 1;
/// How far a time stamp may be ahead of our clock, in nanoseconds.
pub const AHEAD_NS_MAX: u64 = 1_000_000_000;

/// What tells a message from every other of its feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// The number that its sender gave it.
    Numbered {
        /// The session that it is a number in, as [`session_tag`] makes it.
        session: u64,
        /// The number.
        sequence: u64,
    },
    /// When its sender says that it was sent, and what it says.
    Stamped {
        /// The instrument that it is about: stamps are compared with others of it.
        instrument: u32,
        /// Nanoseconds of the sender's clock.
        stamp_ns: u64,
        /// The contents, as one number.
        content: u64,
    },
}

impl Trigger {
    /// Of a message about `instrument`; `None` where the protocol has neither numbers nor times.
    #[inline]
    pub fn of(session: Session, instrument: u32, message: &Message<'_>) -> Option<Self> {
        let bytes = message.bytes;
        match message.protocol {
            Protocol::Nanonet => {
                let tick = nanonet::little::MarketData::parse(bytes).ok()?;
                Some(stamped(instrument, tick.timestamp(), bytes))
            }
            Protocol::NanonetBig => {
                let tick = nanonet::big::MarketData::parse(bytes).ok()?;
                Some(stamped(instrument, tick.timestamp(), bytes))
            }
            Protocol::HftTick => None,
            _ => {
                let (session, sequence) = (session_tag(session), message.sequence);
                Some(Trigger::Numbered { session, sequence })
            }
        }
    }

    /// The number, or the time stamp.
    #[inline]
    pub fn number(self) -> u64 {
        match self {
            Trigger::Numbered { sequence, .. } => sequence,
            Trigger::Stamped { stamp_ns, .. } => stamp_ns,
        }
    }
}

/// Of what the specification says that there is: whatever else is in a datagram is not the tick.
#[inline]
fn stamped(instrument: u32, stamp_ns: u64, bytes: &[u8]) -> Trigger {
    let (words, _) = bytes[..nanonet::little::MarketData::LEN].as_chunks();
    let words = words.iter().map(|word| u64::from_le_bytes(*word));
    // 0 is no content; what comes to it by chance is like 1.
    let content = words.fold(0, |hash: u64, word| {
        let mixed = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ mixed >> 29
    });
    Trigger::Stamped { instrument, stamp_ns, content: content.max(1) }
}

/// A session as one number, never 0. Two of them have the same one once in 2^64.
pub fn session_tag(session: Session) -> u64 {
    let bytes = |bytes: &[u8]| fold(bytes.iter().map(|&byte| byte.into()));
    let tag = match session {
        Session::Moldudp64(session) => bytes(&session.0),
        Session::IexTp { channel_id, session_id } => {
            fold([channel_id, session_id].map(u64::from).into_iter())
        }
        Session::Umdf { channel_number, sequence_version } => {
            fold([channel_number.into(), sequence_version.into()].into_iter())
        }
        Session::Eobi { market_segment_id, partition_id } => {
            fold([market_segment_id as u32 as u64, partition_id.into()].into_iter())
        }
        _ => 1,
    };
    tag.max(1)
}

/// Whether a trigger was answered, or one that came after it.
#[inline]
pub(crate) fn is_answered(memory: &Memory<'_>, feed: u16, trigger: Trigger) -> bool {
    match trigger {
        Trigger::Numbered { session, sequence } => sessions(memory.feed(feed.into()))
            .find(|(known, _)| known.load(Relaxed) == session)
            .is_some_and(|(_, answered)| sequence <= answered.load(Relaxed)),
        Trigger::Stamped { instrument, stamp_ns, content } => {
            let mark = memory.mark(instrument as usize);
            let answered_ns = mark[0].load(Relaxed);
            let is_full = || mark[MARK_WORDS - 1].load(Relaxed) != 0;
            let seen = || mark[1..].iter().any(|word| word.load(Relaxed) == content);
            stamp_ns < answered_ns || stamp_ns == answered_ns && (is_full() || seen())
        }
    }
}

/// Notes that a trigger is answered. Before the order leaves.
#[inline]
pub(crate) fn answer(memory: &Memory<'_>, feed: u16, trigger: Trigger) {
    match trigger {
        Trigger::Numbered { session, sequence } => {
            let words = memory.feed(feed.into());
            match sessions(words).find(|(known, _)| known.load(Relaxed) == session) {
                Some((_, answered)) => answered.store(sequence, Relaxed),
                None => add_session(words, session, sequence),
            }
        }
        Trigger::Stamped { instrument, stamp_ns, content } => {
            answer_stamp(memory.mark(instrument as usize), stamp_ns, content);
        }
    }
}

fn sessions(words: &[AtomicU64]) -> impl Iterator<Item = (&AtomicU64, &AtomicU64)> {
    words.chunks_exact(2).map(|pair| (&pair[0], &pair[1]))
}

/// The sessions stand in the order in which they came, the last one first. Moved from behind, so
/// that none is missing wherever the process is killed: one may be there twice, and the first
/// counts.
fn add_session(words: &[AtomicU64], session: u64, sequence: u64) {
    let put = |place: usize, session: u64, sequence: u64| {
        words[2 * place].store(0, Relaxed);
        words[2 * place + 1].store(sequence, Release);
        words[2 * place].store(session, Release);
    };
    for place in (1..SESSIONS_MAX).rev() {
        let before = 2 * place - 2;
        put(place, words[before].load(Relaxed), words[before + 1].load(Relaxed));
    }
    put(0, session, sequence);
}

#[inline]
fn answer_stamp(mark: &[AtomicU64; MARK_WORDS], stamp_ns: u64, content: u64) {
    let (stamp, contents) = (&mark[0], &mark[1..]);
    if stamp.load(Relaxed) != stamp_ns {
        // The stamp first: were the contents gone before it, and the process with them, the old
        // ones would be answered again.
        stamp.store(stamp_ns, Release);
        contents[0].store(content, Release);
        contents[1..].iter().for_each(|word| word.store(0, Relaxed));
    } else if let Some(free) = contents.iter().find(|word| word.load(Relaxed) == 0) {
        free.store(content, Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Keys;
    use crate::settings::{FeedSettings, GapPolicy, Settings, tests_instrument};
    use tickwire_market::nanonet::little::MarketDataBuilder;
    use tickwire_market::{Ascii, Price};

    fn with_memory(test: impl FnOnce(Memory<'_>)) {
        let feed = |name: &str| FeedSettings {
            name: name.into(),
            protocol: Protocol::Itch50,
            age_ns_max: 0,
            silence_ns_max: None,
            gap: GapPolicy::Refuse,
        };
        let settings = Settings {
            feeds: vec![feed("a"), feed("b")],
            instruments: [*b"A       ", *b"B       "].map(tests_instrument).to_vec(),
            ..Settings::default()
        };
        let keys = Keys::of(&settings);
        let words: Vec<_> = (0..keys.words()).map(|_| AtomicU64::new(0)).collect();
        test(Memory::create(&words, &keys));
    }

    fn numbered(session: u64, sequence: u64) -> Trigger {
        Trigger::Numbered { session, sequence }
    }

    fn stamp(instrument: u32, stamp_ns: u64, content: u64) -> Trigger {
        Trigger::Stamped { instrument, stamp_ns, content }
    }

    #[test]
    fn numbers_only_grow_in_the_last_eight_sessions() {
        with_memory(|memory| {
            let is_answered = |trigger| is_answered(&memory, 0, trigger);
            assert!(!is_answered(numbered(1, 0)));
            for session in 1..=SESSIONS_MAX as u64 {
                answer(&memory, 0, numbered(session, 100 * session));
            }
            answer(&memory, 0, numbered(1, 500));
            for session in 2..=SESSIONS_MAX as u64 {
                assert!(is_answered(numbered(session, 100 * session)));
                assert!(!is_answered(numbered(session, 100 * session + 1)));
            }
            assert!(is_answered(numbered(1, 500)) && !is_answered(numbered(1, 501)));
            // One more, and the first one that came is forgotten; no other is.
            answer(&memory, 0, numbered(9, 9));
            assert!(!is_answered(numbered(1, 500)));
            assert!((2..=8).all(|session| is_answered(numbered(session, 100 * session))));
            assert!(is_answered(numbered(9, 9)) && !super::is_answered(&memory, 1, numbered(9, 9)));
            memory.forget_triggers();
            assert!(!is_answered(numbered(9, 9)));
        });
    }

    #[test]
    fn stamps_only_grow_for_each_instrument() {
        with_memory(|memory| {
            let is_answered = |trigger| is_answered(&memory, 0, trigger);
            assert!(!is_answered(stamp(0, 0, 5)));
            answer(&memory, 0, stamp(0, 0, 5));
            assert!(is_answered(stamp(0, 0, 5)) && !is_answered(stamp(0, 0, 6)));
            answer(&memory, 0, stamp(0, 10, 1));
            assert!(is_answered(stamp(0, 9, 7)) && is_answered(stamp(0, 10, 1)));
            assert!(!is_answered(stamp(1, 9, 7)) && !is_answered(stamp(0, 11, 1)));
            for content in 2..=CONTENTS_MAX as u64 {
                assert!(!is_answered(stamp(0, 10, content)));
                answer(&memory, 0, stamp(0, 10, content));
            }
            // As many as are remembered: it is not known of others whether they were answered.
            assert!(is_answered(stamp(0, 10, 99)) && !is_answered(stamp(0, 11, 99)));
            answer(&memory, 0, stamp(0, 11, 99));
            assert!(!is_answered(stamp(0, 11, 1)) && is_answered(stamp(0, 10, 98)));
        });
    }

    #[test]
    fn triggers_of_messages() {
        let tick = MarketDataBuilder::new().symbol(Ascii(*b"AAPL    ")).price(Price(1));
        let of = |bytes: &[u8]| {
            let message = Message { protocol: Protocol::Nanonet, sequence: 0, bytes };
            Trigger::of(Session::Unnamed, 3, &message)
        };
        let tick = |timestamp| *tick.timestamp(timestamp).as_bytes();
        let first = of(&tick(7)).unwrap();
        let Trigger::Stamped { instrument: 3, stamp_ns: 7, content } = first else { panic!() };
        assert!(content != 0 && first.number() == 7);
        assert_ne!(of(&tick(8)), Some(first));
        // What follows the tick in its datagram makes no other tick of it.
        assert_eq!(of(&[&tick(7)[..], b"more"].concat()), Some(first));
        assert_eq!(of(&tick(7)[..23]), None);
        let mut big = tick(7);
        big[16..].reverse();
        let message = Message { protocol: Protocol::NanonetBig, sequence: 0, bytes: &big };
        assert_eq!(Trigger::of(Session::Unnamed, 0, &message).unwrap().number(), 7);
        let message = Message { protocol: Protocol::HftTick, sequence: 0, bytes: &[0; 14] };
        assert_eq!(Trigger::of(Session::Unnamed, 0, &message), None);
        let message = Message { protocol: Protocol::Itch50, sequence: 5, bytes: b"" };
        let session = Session::Moldudp64(Ascii(*b"SESSION   "));
        let expected = numbered(session_tag(session), 5);
        assert_eq!(Trigger::of(session, 0, &message), Some(expected));
    }

    #[test]
    fn sessions_have_tags_of_their_own() {
        let mold = |text: &[u8; 10]| Session::Moldudp64(Ascii(*text));
        let sessions = [
            Session::Unnamed,
            mold(b"SESSION  1"),
            mold(b"SESSION  2"),
            Session::IexTp { channel_id: 1, session_id: 2 },
            Session::IexTp { channel_id: 2, session_id: 1 },
            Session::Umdf { channel_number: 3, sequence_version: 2 },
            Session::Eobi { market_segment_id: -1, partition_id: 2 },
        ];
        let mut tags: Vec<_> = sessions.map(session_tag).to_vec();
        tags.sort_unstable();
        tags.dedup();
        assert!(tags.len() == sessions.len() && !tags.contains(&0));
    }
}
