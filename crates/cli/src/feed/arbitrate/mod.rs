//! `tickwire feed arbitrate`: two or three lines of a feed as one, each message once, from the line
//! on which it came first.
//!
//! * `args`: the flags; `recut`: frames of which a part is new; `report`: who won, who lost.

mod args;
mod recut;
mod report;

use super::merge::Feeds;
use super::streams::Line;
use crate::exit::Failure;
pub use args::ArbitrateArgs;
pub use report::Report;
use std::path::PathBuf;
use tickwire_capture::file::{Writer, WriterConfig};
use tickwire_frame::{Frame, LinkType, Reason};
use tickwire_market::moldudp64::PacketBuilder;
use tickwire_market::sequence::{New, Numbers};
use tickwire_market::{Kind, Packet, Session};

/// The longest payload of a datagram.
const PAYLOAD_BYTES_MAX: usize = 65_507;

/// A packet, and the frame that it came in.
pub struct Arrived<'a> {
    /// Where it came.
    pub line: Line,
    /// Messages that can be read.
    pub count: u32,
    /// Which of its file it is.
    pub number: u64,
    /// The frame, and where the payload begins in it.
    pub frame: (LinkType, Frame<'a>, usize),
}

/// Merges lines, and writes what is new.
#[derive(Debug)]
pub struct Arbitrate {
    feeds: Feeds,
    /// How the merged feed is written, until it is begun; then who writes it.
    config: Option<WriterConfig>,
    writer: Option<Writer>,
    buffer: Vec<u8>,
    /// Packets that were written cut, because a part of their messages had come before.
    pub cut: u64,
    /// Packets that were written whole although a part had: their transport is not one that can be
    /// cut.
    pub whole: u64,
    /// Why nothing is written any more.
    failure: Option<String>,
}

impl Arbitrate {
    /// As the flags say; writes as `config` says.
    pub fn new(args: &ArbitrateArgs, config: Option<WriterConfig>) -> Arbitrate {
        let feeds = Feeds::new(args.gap_hold.as_nanos() as u64, args.numbers.from_first);
        let buffer = vec![0; PAYLOAD_BYTES_MAX];
        Arbitrate { feeds, config, writer: None, buffer, cut: 0, whole: 0, failure: None }
    }

    /// Creates the file: when all that is read is open, so that a mistake costs no older file.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn begin(&mut self) -> Result<(), Failure> {
        let writer = self.config.take().map(Writer::create).transpose();
        self.writer = writer.map_err(Failure::failed)?;
        Ok(())
    }

    /// A packet; why it is no part of the merged feed.
    ///
    /// # Errors
    /// [`Reason::DuplicateLine`] when everything in it has come before.
    pub fn packet(&mut self, packet: &Packet<'_>, arrived: &Arrived<'_>) -> Result<(), Reason> {
        let Some(numbers) = Numbers::of(packet) else { return Ok(()) };
        let &Arrived { line, count, number, frame: (link, ref frame, offset) } = arrived;
        let (numbers, at_ns) = (Numbers { count, ..numbers }, frame.timestamp.as_nanos());
        let merged = self.feeds.packet(packet.protocol(), line, &numbers, at_ns, number);
        let new = merged.map_or(New::All, |merge| merge.new);
        if new == New::None {
            return Err(Reason::DuplicateLine);
        }
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let written = match (new, merged) {
            (New::Some, Some(merge)) => {
                let fresh = self.feeds.get(merge.feed).arbiter.fresh();
                let is_fresh = |number: u64| fresh.iter().any(|range| range.contains(number));
                let payload = fresh_payload(packet, &mut self.buffer, is_fresh);
                match payload.and_then(|payload| recut::recut(frame.bytes, offset, payload)) {
                    Some(bytes) => {
                        self.cut += 1;
                        writer.write(&Frame::new(&bytes, frame.timestamp), 0, link)
                    }
                    None => {
                        self.whole += 1;
                        writer.write(frame, 0, link)
                    }
                }
            }
            _ => writer.write(frame, 0, link),
        };
        if let Err(error) = written {
            self.failure.get_or_insert(error.to_string());
        }
        Ok(())
    }

    /// Whether nothing can be written any more.
    pub fn is_done(&self) -> bool {
        self.failure.is_some()
    }

    /// Closes the file. What all lines brought, and what went wrong.
    pub fn finish(mut self, files: &[PathBuf]) -> (Report, Option<String>) {
        let settled = self.writer.take().map(|writer| writer.finish(&[]).0);
        if let Some((reason, count)) = settled.iter().flat_map(|it| it.lost.nonzero()).next() {
            let failure = format!("{count} packets are not in the file: {}", reason.meaning());
            self.failure.get_or_insert(failure);
        }
        let report = Report::new(&self.feeds, files, settled.as_ref(), [self.cut, self.whole]);
        (report, self.failure)
    }
}

/// The payload of a packet of MoldUDP64 with those messages only that are new. They follow each
/// other, or there is no such packet.
fn fresh_payload<'b>(
    packet: &Packet<'_>,
    buffer: &'b mut [u8],
    is_fresh: impl Fn(u64) -> bool,
) -> Option<&'b [u8]> {
    let (Session::Moldudp64(session), Kind::Messages) = (packet.session(), packet.kind()) else {
        return None;
    };
    let messages = packet.messages().map_while(Result::ok);
    let mut fresh = messages.filter(|message| is_fresh(message.sequence)).peekable();
    let first = fresh.peek()?.sequence;
    let mut builder = PacketBuilder::new(buffer, session, first).ok()?;
    for (at, message) in fresh.enumerate() {
        if message.sequence != first + at as u64 {
            return None;
        }
        builder.push(message.bytes).ok()?;
    }
    Some(builder.finish())
}
