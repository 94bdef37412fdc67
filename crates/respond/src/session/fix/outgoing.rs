//! What a session sends: messages with their numbers, until the transport has taken them.

use super::settings::FixSettings;
use super::time::TimeText;
use crate::session::output::Output;
use crate::session::{Close, SequenceStore};
use std::fmt::Display;
use std::str;
use tickwire_market::fix::MessageBuilder;

/// The longest message of a session, orders apart.
pub(crate) const MESSAGE_BYTES_MAX: usize = 4096;

/// Bytes of the output that orders leave to the session's own messages.
const RESERVE_BYTES: usize = 2 * MESSAGE_BYTES_MAX;

/// Fields of a message, behind its header.
pub(crate) type Fields<'a> = &'a [(u32, &'a dyn Display)];

/// The output has no room: the peer does not take what was sent before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl From<Full> for Close {
    fn from(Full: Full) -> Close {
        let why = "the peer does not read what we send, and asks for more: connecting again";
        Close { why: why.to_owned(), reconnect: true }
    }
}

/// A message that is sent again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Again {
    /// Its number, which it keeps.
    pub number: u64,
    /// When it was sent first.
    pub at_ns: u64,
}

/// What is to be sent, and the numbers of both directions.
pub(crate) struct Outgoing {
    begin_string: &'static str,
    sender: String,
    target: String,
    header: Vec<(u32, String)>,
    store: Box<dyn SequenceStore>,
    /// The next number that we send, and that we expect: what the store has, too.
    next: u64,
    expected: u64,
    output: Output,
    /// Bytes of the connections before this one.
    before: u64,
    /// When the last message was written.
    pub at_ns: u64,
    times: TimeText,
}

impl Outgoing {
    pub fn new(settings: &FixSettings, store: Box<dyn SequenceStore>, bytes: usize) -> Self {
        Outgoing {
            begin_string: settings.version.begin_string(),
            sender: settings.sender.clone(),
            target: settings.target.clone(),
            header: settings.header_fields.clone(),
            next: store.outgoing().max(1),
            expected: store.incoming().max(1),
            store,
            output: Output::of(bytes),
            before: 0,
            at_ns: 0,
            times: TimeText::new(),
        }
    }

    /// The number of the next message that we send.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// The number of the next message that we expect.
    pub fn expected(&self) -> u64 {
        self.expected
    }

    /// Numbers end with 64 bits; a peer that comes near them gets no further.
    pub fn set_next(&mut self, next: u64) {
        self.next = next;
        self.store.set_outgoing(next);
    }

    pub fn set_expected(&mut self, next: u64) {
        self.expected = next;
        self.store.set_incoming(next);
    }

    /// Who we are and who the peer is.
    pub fn names(&self) -> (&str, &str) {
        (&self.sender, &self.target)
    }

    pub fn set_names(&mut self, sender: &str, target: &str) {
        (self.sender, self.target) = (sender.to_owned(), target.to_owned());
    }

    /// What is to be sent.
    pub fn bytes(&self) -> &[u8] {
        self.output.pending()
    }

    /// The first `bytes` of it went.
    pub fn sent(&mut self, bytes: usize) {
        self.output.sent(bytes);
    }

    /// Forgets what has not been sent.
    pub fn clear(&mut self) {
        self.before += self.output.taken() + self.output.pending().len() as u64;
        self.output.clear();
    }

    /// How many bytes of all connections the transport has taken.
    pub fn taken(&self) -> u64 {
        self.before + self.output.taken()
    }

    /// Room for an order; `None` when it is needed for other messages.
    #[inline]
    pub fn room<const N: usize>(&mut self) -> Option<&mut [u8; N]> {
        self.output.space(N + RESERVE_BYTES).ok()?.first_chunk_mut()
    }

    /// The first `bytes` of [`room`](Self::room) are a message: how many bytes of all connections
    /// it ends.
    #[inline]
    pub fn wrote(&mut self, bytes: usize, now_ns: u64) -> u64 {
        self.at_ns = now_ns;
        self.before + self.output.commit(bytes)
    }

    /// Writes the next message, whose number is kept before.
    pub fn message(&mut self, now_ns: u64, kind: &str, fields: Fields<'_>) -> Result<(), Full> {
        self.set_next(self.next.saturating_add(1));
        self.write(now_ns, kind, None, fields)
    }

    /// Gives the next message its number, and does not send it: as if it got lost.
    pub fn withhold(&mut self) {
        self.set_next(self.next.saturating_add(1));
    }

    /// Writes a message that stands for, or is, one that was sent before.
    pub fn again(
        &mut self,
        now_ns: u64,
        kind: &str,
        again: Again,
        fields: Fields<'_>,
    ) -> Result<(), Full> {
        self.write(now_ns, kind, Some(again), fields)
    }

    fn write(
        &mut self,
        now_ns: u64,
        kind: &str,
        again: Option<Again>,
        fields: Fields<'_>,
    ) -> Result<(), Full> {
        let mut scratch = [0; MESSAGE_BYTES_MAX];
        let number = again.map_or(self.next - 1, |again| again.number);
        // What does not fit is left out: texts, whose lengths are bounded.
        let message = MessageBuilder::new(&mut scratch, self.begin_string, kind);
        let mut message = message.map_err(|_| Full)?;
        _ = message.field(34, number);
        _ = message.field(49, &self.sender);
        _ = message.field(52, as_text(self.times.write(now_ns)));
        _ = message.field(56, &self.target);
        self.header.iter().for_each(|(tag, value)| _ = message.field(*tag, value));
        if let Some(again) = again {
            _ = message.field(43, "Y");
            _ = message.field(122, as_text(self.times.write(again.at_ns)));
        }
        fields.iter().for_each(|(tag, value)| _ = message.field(*tag, value));
        let bytes = message.finish();
        self.output.space(bytes.len()).map_err(|_| Full)?.copy_from_slice(bytes);
        self.wrote(bytes.len(), now_ns);
        Ok(())
    }
}

fn as_text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap_or("?")
}
