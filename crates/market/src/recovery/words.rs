//! What whoever follows a feed has to say to whoever asks for what it lacks.

use crate::sequence::{Event, How, Range, What};
use crate::{Protocol, Session};

/// The most words that wait to be taken.
pub const WORDS_MAX: usize = 8_192;

/// What numbers are numbers in.
pub type Id = (Protocol, Session);

/// What a [`Client`](super::Client) is to be told, and of which session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// This is missing.
    Want(Id, Range),
    /// This came, not as an answer.
    Came(Id, Range),
    /// This came as an answer.
    Answered(Id, Range),
    /// Nothing of this session is wanted any more.
    Clear(Id),
}

impl Word {
    /// What `event` of a feed of `protocol` means, if it means anything to who asks.
    pub fn of(protocol: Protocol, event: &Event<Session>) -> Option<Word> {
        let id = (protocol, event.session);
        match event.what {
            What::Gap(gap) if is_recoverable(id.1) => Some(Word::Want(id, gap.range)),
            What::Filled(gap, How::Late | How::OtherLine) => Some(Word::Came(id, gap.range)),
            What::Restarted { .. } | What::Forgotten => Some(Word::Clear(id)),
            _ => None,
        }
    }
}

/// Whether there are requests for messages of `session`: of MoldUDP64 and IEX-TP.
pub fn is_recoverable(session: Session) -> bool {
    matches!(session, Session::Moldudp64(_) | Session::IexTp { .. })
}

/// Words that wait until they are taken, at most [`WORDS_MAX`]. All memory is taken at the start.
///
/// When nobody takes them for so long that there are more, they are dropped, and whoever takes the
/// next ones wants everything that is missing then: so nothing is forgotten, and asking twice does
/// no harm.
#[derive(Clone, Debug)]
pub struct Words {
    waiting: Vec<Word>,
    overflown: bool,
}

impl Default for Words {
    fn default() -> Self {
        Words { waiting: Vec::with_capacity(WORDS_MAX), overflown: false }
    }
}

impl Words {
    /// `word` is to be said. Whether there was nothing to say before: then wake who listens.
    #[cold]
    pub fn say(&mut self, word: Word) -> bool {
        let first = self.waiting.is_empty();
        if self.waiting.len() == WORDS_MAX {
            self.waiting.clear();
            self.overflown = true;
        }
        self.waiting.push(word);
        first
    }

    /// Moves what there is to say into `words`. `missing` is everything that is missing now, which
    /// is looked at only when words were dropped.
    pub fn take(&mut self, missing: impl Iterator<Item = (Id, Range)>, words: &mut Vec<Word>) {
        words.append(&mut self.waiting);
        if std::mem::take(&mut self.overflown) {
            words.extend(missing.map(|(id, range)| Word::Want(id, range)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ascii;
    use crate::sequence::{Cause, Gap};

    const ID: Id = (Protocol::Itch50, Session::Moldudp64(Ascii(*b"SESSION   ")));
    const RANGE: Range = Range { first: 5, last: 7 };

    #[test]
    fn gaps_are_wanted_where_one_can_ask() {
        let gap =
            Gap { range: RANGE, opened_ns: 1, opened_packet: 1, line: 0, cause: Cause::Message };
        let said = |session, what| {
            let event = Event { session, generation: 0, at_ns: 1, packet: 1, what };
            Word::of(ID.0, &event)
        };
        assert_eq!(said(ID.1, What::Gap(gap)), Some(Word::Want(ID, RANGE)));
        assert_eq!(said(Session::Unnamed, What::Gap(gap)), None);
        assert_eq!(said(ID.1, What::Filled(gap, How::OtherLine)), Some(Word::Came(ID, RANGE)));
        // Whoever handed in the answer says so, whether it was of use or not.
        assert_eq!(said(ID.1, What::Filled(gap, How::Retransmission)), None);
        assert_eq!(said(ID.1, What::Restarted { before: 9 }), Some(Word::Clear(ID)));
    }

    #[test]
    fn too_many_words_become_one_question() {
        let (mut words, mut taken) = (Words::default(), Vec::new());
        assert!(words.say(Word::Want(ID, RANGE)));
        for _ in 0..WORDS_MAX {
            assert!(!words.say(Word::Came(ID, RANGE)));
        }
        words.take([(ID, RANGE)].into_iter(), &mut taken);
        assert_eq!(taken, [Word::Came(ID, RANGE), Word::Want(ID, RANGE)]);
        words.take([(ID, RANGE)].into_iter(), &mut taken);
        assert_eq!(taken.len(), 2, "the overflow is over");
        assert!(words.say(Word::Clear(ID)));
    }
}
