//! Who answers requests for what was missed: a MoldUDP64 re-request server.

use super::{Limiter, Rates, Source};
use crate::moldudp64::{PacketBuilder, Request, Session};

/// Why a request has no answer. The specification has none for them (section 3: the response is to
/// a *valid* request), and silence is the one answer that cannot be used to flood others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The bytes are no request.
    Malformed,
    /// Another session than the one that is kept.
    UnknownSession,
    /// It asks for no messages.
    Empty,
    /// All that it asks for is older than what is kept.
    TooOld,
    /// It asks for what was not sent yet.
    NotSent,
    /// More requests than [`Rates`] allow.
    TooMany,
    /// Not even one message fits into a packet.
    TooLong,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Refusal; 7] = [
        Refusal::Malformed,
        Refusal::UnknownSession,
        Refusal::Empty,
        Refusal::TooOld,
        Refusal::NotSent,
        Refusal::TooMany,
        Refusal::TooLong,
    ];

    /// A name for counters.
    pub const fn reason(self) -> &'static str {
        match self {
            Refusal::Malformed => "malformed",
            Refusal::UnknownSession => "unknown_session",
            Refusal::Empty => "empty",
            Refusal::TooOld => "too_old",
            Refusal::NotSent => "not_sent",
            Refusal::TooMany => "too_many",
            Refusal::TooLong => "too_long",
        }
    }
}

/// What became of requests: `requests = answered + Σ refused`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// Requests that came.
    pub requests: u64,
    /// Those that were answered.
    pub answered: u64,
    /// Messages in the answers.
    pub messages: u64,
    refused: [u64; Refusal::ALL.len()],
}

impl Answers {
    /// Requests that were refused for that reason.
    pub fn refused(&self, refusal: Refusal) -> u64 {
        self.refused[refusal as usize]
    }
}

/// Answers requests for messages of one session.
#[derive(Clone, Debug)]
pub struct Responder {
    session: Session,
    limiter: Limiter,
    answers: Answers,
}

impl Responder {
    /// For `session`; `seed` is random ([`Limiter::new`]).
    pub fn new(session: Session, rates: Rates, seed: u64) -> Self {
        let answers = Answers::default();
        Responder { session, limiter: Limiter::new(rates, seed), answers }
    }

    /// The packet that answers the datagram `request` of `address`, with as many whole messages as
    /// fit into `out`, which is as long as a packet may be. When the first ones are too old, it
    /// begins with the oldest that is kept.
    ///
    /// # Errors
    /// Why there is none; counted.
    pub fn answer<'o>(
        &mut self,
        address: u128,
        request: &[u8],
        source: &impl Source,
        at_ns: u64,
        out: &'o mut [u8],
    ) -> Result<&'o [u8], Refusal> {
        self.answers.requests += 1;
        let answer = self.find(address, request, source, at_ns, out);
        match answer {
            Ok((_, messages)) => {
                self.answers.answered += 1;
                self.answers.messages += u64::from(messages);
            }
            Err(refusal) => self.answers.refused[refusal as usize] += 1,
        }
        answer.map(|(packet, _)| packet)
    }

    /// What became of requests.
    pub fn answers(&self) -> &Answers {
        &self.answers
    }

    fn find<'o>(
        &mut self,
        address: u128,
        request: &[u8],
        source: &impl Source,
        at_ns: u64,
        out: &'o mut [u8],
    ) -> Result<(&'o [u8], u16), Refusal> {
        let request = Request::parse(request).map_err(|_| Refusal::Malformed)?;
        if request.session != self.session {
            return Err(Refusal::UnknownSession);
        }
        let end = request.sequence_number.saturating_add(request.message_count.into());
        if end == request.sequence_number {
            return Err(Refusal::Empty);
        }
        if end <= source.first() {
            return Err(Refusal::TooOld);
        }
        if request.sequence_number >= source.next() {
            return Err(Refusal::NotSent);
        }
        if !self.limiter.admit(address, at_ns) {
            return Err(Refusal::TooMany);
        }
        let first = request.sequence_number.max(source.first());
        let mut packet =
            PacketBuilder::new(out, self.session, first).map_err(|_| Refusal::TooLong)?;
        let messages = source.messages(first).take((end - first) as usize);
        for message in messages {
            if packet.push(message).is_err() {
                break;
            }
        }
        match packet.message_count() {
            0 => Err(Refusal::TooLong),
            count => Ok((packet.finish(), count)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moldudp64::Packet;
    use crate::recovery::Memory;
    use crate::wire::Ascii;

    const SESSION: Session = Ascii(*b"000010059B");

    fn memory() -> Memory {
        let mut memory = Memory::new(1, 100, 10);
        (0..30_u8).for_each(|message| _ = memory.push(&[message; 8]).unwrap());
        memory
    }

    fn request(session: Session, sequence_number: u64, message_count: u16) -> [u8; 20] {
        Request { session, sequence_number, message_count }.to_bytes()
    }

    #[test]
    fn an_answer_has_as_many_messages_as_fit_and_are_there() {
        let (mut responder, memory) = (Responder::new(SESSION, Rates::default(), 1), memory());
        for (first, count, room, expected) in [
            (22, 3, 100, Ok((22, 3))),
            (22, 3, 40, Ok((22, 2))),
            (29, 9, 100, Ok((29, 2))),
            (15, 9, 100, Ok((21, 3))),
            (1, u16::MAX, 400, Ok((21, 10))),
            (15, 6, 100, Err(Refusal::TooOld)),
            (31, 1, 100, Err(Refusal::NotSent)),
            (u64::MAX, 9, 100, Err(Refusal::Empty)),
            (u64::MAX - 1, 9, 100, Err(Refusal::NotSent)),
            (22, 0, 100, Err(Refusal::Empty)),
            (22, 3, 29, Err(Refusal::TooLong)),
            (22, 3, 7, Err(Refusal::TooLong)),
        ] {
            let mut out = vec![0; room];
            let request = request(SESSION, first, count);
            let answer = responder.answer(1, &request, &memory, 0, &mut out);
            let found = answer.map(|packet| {
                let packet = Packet::parse(packet).unwrap();
                for message in packet.messages().map(Result::unwrap) {
                    assert_eq!(message.bytes, [message.sequence as u8 - 1; 8]);
                }
                (packet.sequence_number(), packet.message_count())
            });
            assert_eq!(found, expected, "{first} {count}");
        }
        let answers = *responder.answers();
        assert_eq!((answers.requests, answers.answered, answers.messages), (12, 5, 20));
    }

    #[test]
    fn what_is_refused_is_counted_by_name() {
        let rates = Rates { address_burst: 3, ..Rates::default() };
        let (mut responder, memory, mut out) =
            (Responder::new(SESSION, rates, 1), memory(), [0; 99]);
        let mut ask = |request: &[u8]| responder.answer(1, request, &memory, 0, &mut out).err();
        assert_eq!(ask(b"short"), Some(Refusal::Malformed));
        let other = request(Ascii(*b"0000100590"), 22, 1);
        assert_eq!(ask(&other), Some(Refusal::UnknownSession));
        for _ in 0..3 {
            assert_eq!(ask(&request(SESSION, 22, 1)), None);
        }
        assert_eq!(ask(&request(SESSION, 22, 1)), Some(Refusal::TooMany));
        let answers = responder.answers();
        let refused: u64 = Refusal::ALL.iter().map(|&refusal| answers.refused(refusal)).sum();
        assert_eq!((answers.requests, answers.answered, refused), (6, 3, 3));
        let names: std::collections::BTreeSet<_> = Refusal::ALL.map(Refusal::reason).into();
        assert_eq!(names.len(), Refusal::ALL.len());
    }
}
