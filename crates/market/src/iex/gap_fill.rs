//! Gap-fill requests of IEX-TP 1.0 (section *Gap Fill*): which messages, or bytes, of the current
//! session to send again.
//!
//! Over UDP the answer is ordinary [segments](crate::iex::tp), with at most
//! [`UDP_MESSAGES_MAX`] messages for a request, and a request without ranges is a
//! test. Over TCP there is no limit, and the server closes the connection behind the answer.

use crate::error::Error;
use crate::iex::tp::VERSION;
use crate::wire::{Little, Wire};

/// The most messages that are resent over UDP for one request.
pub const UDP_MESSAGES_MAX: u64 = 1_000;

/// What ranges count: the request types.
pub mod request_type {
    /// Messages, by sequence number.
    pub const SEQUENCE: u8 = 1;
    /// Bytes, by stream offset.
    pub const BYTE_STREAM: u8 = 2;
}

message! {
    Little, "IEX-TP gap-fill request";
    /// The header of a request.
    pub struct Header, HeaderBuilder: 16 {
        /// 1.
        version @ 0: u8,
        /// What the ranges count: one of [`request_type`].
        request_type @ 1: u8,
        /// Of which messages: one of [`protocol`](crate::iex::tp::protocol).
        message_protocol_id @ 2: u16,
        /// Of which stream.
        channel_id @ 4: u32,
        /// Of which session: only the current one is resent.
        session_id @ 8: u32,
        /// How many ranges follow; 0 is a test of the way to the server, over UDP only.
        range_count @ 12: u32,
    }
}

/// What to send again; both ends are part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first message or byte.
    pub first: u64,
    /// The last one. A range that ends before it begins holds nothing.
    pub last: u64,
}

impl Range {
    /// Its bytes in a request.
    pub const LEN: usize = 16;

    /// How many messages or bytes it holds.
    pub fn count(&self) -> u64 {
        match self.last.checked_sub(self.first) {
            Some(more) => more.saturating_add(1),
            None => 0,
        }
    }
}

/// A request for messages that were missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    header: Header<'a>,
    ranges: &'a [u8],
}

impl<'a> Request<'a> {
    /// At the start of `bytes`. Needs a known version and all ranges; what follows is not looked
    /// at.
    ///
    /// # Errors
    /// [`Error::Truncated`], [`Error::Version`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let header = Header::parse(bytes)?;
        let (found, known) = (header.version(), VERSION);
        if found != known {
            return Err(Error::Version { what: Header::NAME, found, known });
        }
        let needed = (header.range_count() as usize).saturating_mul(Range::LEN);
        let available = header.rest().len();
        match header.rest().get(..needed) {
            Some(ranges) => Ok(Request { header, ranges }),
            None => Err(Error::Truncated { what: "IEX-TP gap-fill ranges", needed, available }),
        }
    }

    /// Its header.
    pub fn header(&self) -> Header<'a> {
        self.header
    }

    /// Its ranges, in any order, as they were asked for.
    pub fn ranges(&self) -> impl ExactSizeIterator<Item = Range> + Clone + use<'a> {
        self.ranges.chunks_exact(Range::LEN).map(|range| Range {
            first: u64::read::<Little>(range),
            last: u64::read::<Little>(&range[8..]),
        })
    }

    /// How many messages or bytes the ranges hold together: compare with a limit before answering.
    pub fn count(&self) -> u64 {
        self.ranges().fold(0, |sum, range| sum.saturating_add(range.count()))
    }
}

/// Writes a request of `ranges` to `out`, with what `header` says but for version and count; the
/// bytes that it took.
///
/// # Errors
/// [`Error::NoRoom`].
pub fn write(out: &mut [u8], header: HeaderBuilder, ranges: &[Range]) -> Result<usize, Error> {
    let (what, available) = (Header::NAME, out.len());
    let needed = Header::LEN.saturating_add(ranges.len().saturating_mul(Range::LEN));
    let range_count = u32::try_from(ranges.len());
    let (Some(out), Ok(range_count)) = (out.get_mut(..needed), range_count) else {
        return Err(Error::NoRoom { what, needed, available });
    };
    let (head, body) = out.split_at_mut(Header::LEN);
    head.copy_from_slice(header.version(VERSION).range_count(range_count).as_bytes());
    for (place, range) in body.chunks_exact_mut(Range::LEN).zip(ranges) {
        range.first.write::<Little>(place);
        range.last.write::<Little>(&mut place[8..]);
    }
    Ok(needed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iex::tp::protocol;

    const RANGES: [Range; 2] = [Range { first: 5, last: 9 }, Range { first: 258, last: 258 }];

    fn header() -> HeaderBuilder {
        let header = HeaderBuilder::new().request_type(request_type::SEQUENCE);
        header.message_protocol_id(protocol::DEEP_1_0).channel_id(1).session_id(0x0102_0304)
    }

    #[test]
    fn a_request_is_written_and_read() {
        let mut out = [0xee; 60];
        let len = write(&mut out, header(), &RANGES).unwrap();
        let bytes = &out[..len];
        let mut expected = b"\x01\x01\x04\x80\x01\0\0\0\x04\x03\x02\x01\x02\0\0\0".to_vec();
        for number in [5_u64, 9, 258, 258] {
            expected.extend(number.to_le_bytes());
        }
        assert_eq!(bytes, expected);
        let request = Request::parse(&out).unwrap();
        assert!(request.ranges().eq(RANGES));
        assert_eq!((request.ranges().len(), request.count()), (2, 6));
        assert_eq!(request.header().session_id(), 0x0102_0304);
        assert_eq!(request.header().to_builder(), header().version(1).range_count(2));
        for available in 0..len {
            assert_eq!(Request::parse(&out[..available]).unwrap_err().reason(), "truncated");
            let mut short = vec![0; available];
            let error = Error::NoRoom { what: Header::NAME, needed: len, available };
            assert_eq!(write(&mut short, header(), &RANGES), Err(error));
        }
    }

    #[test]
    fn ranges_that_make_no_sense_hold_nothing_or_saturate() {
        assert_eq!(Range { first: 9, last: 5 }.count(), 0);
        let all = Range { first: 0, last: u64::MAX };
        assert_eq!(all.count(), u64::MAX);
        let mut out = [0; 48];
        write(&mut out, header(), &[all, all]).unwrap();
        assert_eq!(Request::parse(&out).unwrap().count(), u64::MAX);
        out[12..16].fill(0xff);
        assert_eq!(Request::parse(&out).unwrap_err().reason(), "truncated");
    }

    #[test]
    fn a_test_request_has_no_ranges_and_another_version_is_named() {
        let mut out = [0; 16];
        assert_eq!(write(&mut out, header(), &[]), Ok(16));
        assert_eq!(Request::parse(&out).unwrap().count(), 0);
        out[0] = 7;
        let error = Error::Version { what: Header::NAME, found: 7, known: 1 };
        assert_eq!(Request::parse(&out), Err(error));
    }
}
