//! Getting back what was lost: who asks for it, and who answers.
//!
//! * [`Client`] decides what to ask of which server, and when: MoldUDP64 and IEX-TP differ only in
//!   [`Settings`] and in how a request is written ([`moldudp64_request`], [`iex_request`]).
//! * [`Words`]: what whoever follows a feed has to say to who asks.
//! * [`Responder`] answers MoldUDP64 requests out of a [`Source`]: [`Memory`], the last messages of
//!   a session that is being sent, or [`File`], a BinaryFILE.
//! * [`InOrder`] holds back what comes after a gap until that is filled, for who needs messages in
//!   order.
//!
//! Numbers, bytes and times go in and out; sockets and clocks are the caller's, so nothing here
//! can block the live path. A gap that is told of
//! ([`What::Gap`](crate::sequence::What::Gap)) is wanted; what comes, from wherever, is reported to
//! the client; what it gives up is given up in the [`Tracker`](crate::sequence::Tracker) or the
//! [`Arbiter`](crate::arbitrate::Arbiter) too. It can also be that nobody answers: then all is said
//! by name, after a bounded time.

mod client;
mod in_order;
mod limiter;
mod responder;
mod source;
mod words;

use crate::Error;
use crate::iex::gap_fill;
use crate::moldudp64::{self, MESSAGES_MAX, Request};
use crate::sequence::Range;
pub use client::{Action, Client, Counts, Settings, Unanswered};
pub use in_order::{InOrder, Place};
pub use limiter::{Limiter, Rates};
pub use responder::{Answers, Refusal, Responder};
pub use source::{File, Memory, Source};
pub use words::{Id, WORDS_MAX, Word, Words, is_recoverable};

/// The request for the first of `ranges` that MoldUDP64 can express, of at most
/// [`MESSAGES_MAX`] messages.
pub fn moldudp64_request(session: moldudp64::Session, range: Range) -> Request {
    let message_count = range.count().min(MESSAGES_MAX.into()) as u16;
    Request { session, sequence_number: range.first, message_count }
}

/// Writes an IEX-TP gap-fill request for `ranges`; `header` says of which stream. The bytes that it
/// took.
///
/// # Errors
/// [`Error::NoRoom`].
pub fn iex_request(
    out: &mut [u8],
    header: gap_fill::HeaderBuilder,
    ranges: &[Range],
) -> Result<usize, Error> {
    let (needed, available) =
        (gap_fill::Header::LEN + ranges.len() * gap_fill::Range::LEN, out.len());
    if available < needed || ranges.len() > client::REQUEST_RANGES_MAX {
        return Err(Error::NoRoom { what: gap_fill::Header::NAME, needed, available });
    }
    let mut wire = [gap_fill::Range { first: 0, last: 0 }; client::REQUEST_RANGES_MAX];
    for (place, range) in wire.iter_mut().zip(ranges) {
        *place = gap_fill::Range { first: range.first, last: range.last };
    }
    let header = header.request_type(gap_fill::request_type::SEQUENCE);
    gap_fill::write(out, header, &wire[..ranges.len()])
}
