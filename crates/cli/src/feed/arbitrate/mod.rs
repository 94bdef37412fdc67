//! `tickwire feed arbitrate`: two or three lines of a feed as one, each message once, from the line
//! on which it came first.
//!
//! * `args`: the flags; `recut`: frames of which a part is new; `report`: who won, who lost.

mod args;
mod recut;
mod report;

use super::merge::{Feeds, Merge};
use super::recovery::RecoveryReport;
use crate::exit::Failure;
pub use args::ArbitrateArgs;
pub use report::Report;
use std::path::PathBuf;
use tickwire_capture::file::{Writer, WriterConfig};
use tickwire_frame::{Frame, LinkType, Reason, Timestamp};
use tickwire_market::Packet;
use tickwire_market::arbitrate::cut;
use tickwire_market::sequence::{New, Numbers};

/// The longest payload of a datagram.
const PAYLOAD_BYTES_MAX: usize = 65_507;

/// How a packet came.
pub struct Arrived<'a> {
    /// When, in nanoseconds since 1970.
    pub at_ns: u64,
    /// The payload of its datagram.
    pub payload: &'a [u8],
    /// The frame, and where the payload begins in it; an answer on the socket has none.
    pub frame: Option<(LinkType, Frame<'a>, usize)>,
    /// Whether it is the answer to a request.
    pub is_answer: bool,
}

/// Writes what is new of merged lines.
#[derive(Debug)]
pub struct Arbitrate {
    /// How the merged feed is written, until it is begun; then who writes it.
    config: Option<WriterConfig>,
    writer: Option<Writer>,
    buffer: Vec<u8>,
    /// The headers of the first packet of each feed: those that answers are written with.
    headers: Vec<(LinkType, Vec<u8>)>,
    counts: Counts,
    /// Why nothing is written any more.
    failure: Option<String>,
}

/// What became of packets in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Packets that were written cut, because a part of their messages had come before.
    #[serde(rename = "cut_packets")]
    cut: u64,
    /// Packets that were written whole although a part had: their transport is not one that can be
    /// cut.
    #[serde(rename = "repeated_packets")]
    whole: u64,
    /// Answers that were written.
    #[serde(rename = "answer_packets")]
    answers: u64,
    /// Answers with something new that are not in the file: no header of the feed fits them.
    #[serde(rename = "unwritten_packets")]
    unwritten: u64,
}

impl Arbitrate {
    /// Writes as `config` says.
    pub fn new(config: Option<WriterConfig>) -> Arbitrate {
        let (buffer, counts) = (vec![0; PAYLOAD_BYTES_MAX], Counts::default());
        let headers = Vec::new();
        Arbitrate { config, writer: None, buffer, headers, counts, failure: None }
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

    /// A packet, merged by `feeds`; why it is no part of the merged feed.
    ///
    /// # Errors
    /// [`Reason::DuplicateLine`] when everything in it has come before.
    pub fn packet(
        &mut self,
        packet: &Packet<'_>,
        arrived: &Arrived<'_>,
        merge: Option<Merge>,
        feeds: &Feeds,
    ) -> Result<(), Reason> {
        if Numbers::of(packet).is_none() || (merge.is_none() && arrived.is_answer) {
            return Ok(());
        }
        if merge.is_some_and(|merge| merge.new == New::None) {
            return Err(Reason::DuplicateLine);
        }
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let own = arrived.frame.map(|(link, frame, offset)| (link, &frame.bytes[..offset]));
        if let (Some(merge), Some((link, headers))) = (merge, own)
            && merge.feed == self.headers.len()
        {
            self.headers.push((link, headers.to_vec()));
        }
        let of_feed = |merge: Merge| self.headers.get(merge.feed).map(|it| (it.0, &it.1[..]));
        // What a new payload is put behind: answers were not sent to the feed.
        let headers = if arrived.is_answer { merge.and_then(of_feed) } else { own };
        let (counts, at) = (&mut self.counts, Timestamp::from_nanos(arrived.at_ns));
        let mut write = |payload: &[u8]| -> Option<Result<(), String>> {
            let (link, headers) = headers?;
            let bytes = recut::recut(headers, headers.len(), payload)?;
            let written = writer.write(&Frame::new(&bytes, at), 0, link);
            counts.answers += u64::from(arrived.is_answer);
            Some(written.map_err(|error| error.to_string()))
        };
        let fresh = merge.filter(|merge| merge.new == New::Some);
        let fresh = fresh.map_or(&[][..], |merge| feeds.get(merge.feed).arbiter.fresh());
        let mut pieces = fresh.iter().map(|&range| write(cut(packet, range, &mut self.buffer)?));
        let cut = pieces.by_ref().collect::<Option<Result<(), String>>>();
        let written = match (cut, arrived.frame) {
            (Some(written), _) if !fresh.is_empty() => {
                counts.cut += 1;
                Some(written)
            }
            (_, Some((link, frame, _))) if !arrived.is_answer => {
                counts.whole += u64::from(!fresh.is_empty());
                Some(writer.write(&frame, 0, link).map_err(|error| error.to_string()))
            }
            _ => {
                let written = write(arrived.payload);
                counts.whole += u64::from(!fresh.is_empty() && written.is_some());
                written
            }
        };
        match written {
            None => self.counts.unwritten += 1,
            Some(Ok(())) => {}
            Some(Err(error)) => _ = self.failure.get_or_insert(error),
        }
        Ok(())
    }

    /// Whether nothing can be written any more.
    pub fn is_done(&self) -> bool {
        self.failure.is_some()
    }

    /// Closes the file. What all lines of `feeds` brought, and what went wrong.
    pub fn finish(
        mut self,
        feeds: &Feeds,
        recovery: Option<RecoveryReport>,
        files: &[PathBuf],
    ) -> (Report, Option<String>) {
        let settled = self.writer.take().map(|writer| writer.finish(&[]).0);
        if let Some((reason, count)) = settled.iter().flat_map(|it| it.lost.nonzero()).next() {
            let failure = format!("{count} packets are not in the file: {}", reason.meaning());
            self.failure.get_or_insert(failure);
        }
        let report = Report::new(feeds, files, settled.as_ref(), self.counts, recovery);
        (report, self.failure)
    }
}
