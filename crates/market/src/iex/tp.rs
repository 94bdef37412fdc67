//! IEX-TP 1.0 (IEX Transport Specification): the segments that carry the feeds. Requests for
//! what was missed are in [`gap_fill`](crate::iex::gap_fill).
//!
//! A segment is one UDP datagram, or a piece of a TCP stream: a header of 40 bytes and message
//! blocks, each a message behind its length. A segment without messages is a heartbeat, after a
//! second of silence; it names what comes next. Messages are numbered by session; the same channel
//! from several sources (lines A, B, C) carries the same messages under the same numbers.

use crate::blocks::{Blocks, Sequenced, write_block};
use crate::error::Error;
use crate::wire::{Little, UnixTime};

/// The version of IEX-TP that is read and written here.
pub const VERSION: u8 = 1;

/// Message protocol ids.
pub mod protocol {
    /// TOPS 1.5, of older recordings: named only, not decoded here.
    pub const TOPS_1_5: u16 = 0x8002;
    /// [TOPS 1.6](crate::iex::tops).
    pub const TOPS_1_6: u16 = 0x8003;
    /// [DEEP 1.0](crate::iex::deep).
    pub const DEEP_1_0: u16 = 0x8004;
    /// [DEEP+ 1.0](crate::iex::deep_plus).
    pub const DEEP_PLUS_1_0: u16 = 0x8005;
}

message! {
    Little, "IEX-TP header";
    /// The header of an outbound segment (section *Outbound Segment*).
    pub struct Header, HeaderBuilder: 40 {
        /// 1.
        version @ 0: u8,
        /// Not to be tested.
        reserved @ 1: u8,
        /// What the messages are: one of [`protocol`].
        message_protocol_id @ 2: u16,
        /// The stream of messages.
        channel_id @ 4: u32,
        /// The session that messages are numbered in: another with each start of the stream.
        session_id @ 8: u32,
        /// Bytes of the message blocks.
        payload_length @ 12: u16,
        /// How many message blocks there are; 0 is a heartbeat.
        message_count @ 14: u16,
        /// Bytes of all message blocks of the session before these.
        stream_offset @ 16: u64,
        /// The number of the first message, or of the next one when there is none; from 1 on.
        first_message_sequence_number @ 24: u64,
        /// When the segment was sent.
        send_time @ 32: UnixTime,
    }
}

/// An outbound segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    header: Header<'a>,
    payload: &'a [u8],
}

impl<'a> Segment<'a> {
    /// At the start of `bytes`. Needs a known version and all of the payload. What follows it is
    /// not looked at: padding of a short packet, or in TCP the next segment
    /// ([`len`](Self::len) says where).
    ///
    /// # Errors
    /// [`Error::Truncated`], [`Error::Version`].
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let segment = Self::parse_cut(bytes)?;
        let (needed, available) =
            (segment.header.payload_length().into(), segment.header.rest().len());
        if available < needed {
            return Err(Error::Truncated { what: "IEX-TP payload", needed, available });
        }
        Ok(segment)
    }

    /// The same of a segment that the capture may have cut: needs its header, which still says what
    /// it carried. The iteration of [`messages`](Self::messages) ends with an error where the
    /// bytes do.
    ///
    /// # Errors
    /// [`Error::Truncated`], [`Error::Version`].
    #[inline]
    pub fn parse_cut(bytes: &'a [u8]) -> Result<Self, Error> {
        let header = Header::parse(bytes)?;
        if header.version() != VERSION {
            return Err(Error::Version { what: "IEX-TP", found: header.version(), known: VERSION });
        }
        let rest = header.rest();
        let len = rest.len().min(header.payload_length().into());
        Ok(Segment { header, payload: &rest[..len] })
    }

    /// Its header.
    #[inline]
    pub fn header(&self) -> Header<'a> {
        self.header
    }

    /// Its message blocks.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Bytes of header and payload.
    #[inline]
    #[expect(clippy::len_without_is_empty, reason = "a segment has at least a header")]
    pub fn len(&self) -> usize {
        Header::LEN + self.payload.len()
    }

    /// Whether it only says that the sender lives, and what comes next (section *Heartbeats*).
    #[inline]
    pub fn is_heartbeat(&self) -> bool {
        self.header.message_count() == 0 && self.header.payload_length() == 0
    }

    /// The number of the first message after this segment. Wraps, since numbers come from the wire.
    #[inline]
    pub fn next_sequence(&self) -> u64 {
        let first = self.header.first_message_sequence_number();
        first.wrapping_add(self.header.message_count().into())
    }

    /// The stream offset of the next segment. Wraps as well.
    #[inline]
    pub fn next_offset(&self) -> u64 {
        self.header.stream_offset().wrapping_add(self.header.payload_length().into())
    }

    /// Its messages with their numbers. When the payload holds less or more than
    /// [`message_count`](Header::message_count) blocks, the last item is an error, and what came
    /// before it is good.
    #[inline]
    pub fn messages(&self) -> Messages<'a> {
        let first = self.header.first_message_sequence_number();
        let count = self.header.message_count().into();
        Messages { blocks: Blocks::new(self.payload, count, first), ended: false }
    }
}

/// The messages of a segment: [`Segment::messages`].
#[derive(Clone, Debug)]
pub struct Messages<'a> {
    blocks: Blocks<'a, Little>,
    /// Whether the end has been seen, or an error was given, which is the end.
    ended: bool,
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Sequenced<'a>, Error>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self.blocks.next() {
            Some(Ok(message)) => Some(Ok(message)),
            Some(error) => {
                self.ended = true;
                Some(error)
            }
            None => {
                let bytes = self.blocks.rest().len();
                let more = bytes > 0 && !std::mem::replace(&mut self.ended, true);
                more.then_some(Err(Error::Trailing { what: "IEX-TP payload", bytes }))
            }
        }
    }
}

impl std::iter::FusedIterator for Messages<'_> {}

/// Writes a segment into a buffer that the caller keeps.
#[derive(Debug)]
pub struct SegmentBuilder<'b> {
    buffer: &'b mut [u8],
    len: usize,
    header: HeaderBuilder,
    count: u16,
}

impl<'b> SegmentBuilder<'b> {
    /// A segment without messages: as long as at most `buffer`, with what `header` says but for
    /// version, length and count, which are the builder's business.
    ///
    /// # Errors
    /// [`Error::NoRoom`] when `buffer` is too short for a header.
    pub fn new(buffer: &'b mut [u8], header: HeaderBuilder) -> Result<Self, Error> {
        let (needed, available) = (Header::LEN, buffer.len());
        if available < needed {
            return Err(Error::NoRoom { what: Header::NAME, needed, available });
        }
        // The length of the payload has two bytes: a longer buffer is not used beyond.
        let len_max = available.min(needed + usize::from(u16::MAX));
        Ok(SegmentBuilder { buffer: &mut buffer[..len_max], len: needed, header, count: 0 })
    }

    /// Appends a message. When there is no room for it, the segment stays as it was: finish it, and
    /// begin another. The count has no limit of its own: a message takes at least the two bytes of
    /// its length.
    ///
    /// # Errors
    /// [`Error::NoRoom`].
    pub fn push(&mut self, message: &[u8]) -> Result<(), Error> {
        self.len += write_block::<Little>(&mut self.buffer[self.len..], message)?;
        self.count += 1;
        Ok(())
    }

    /// How many messages it has.
    pub fn message_count(&self) -> u16 {
        self.count
    }

    /// The bytes of the segment; a heartbeat when there are no messages.
    pub fn finish(self) -> &'b [u8] {
        let payload_len = (self.len - Header::LEN) as u16;
        let header = self.header.version(VERSION).message_count(self.count);
        let header = header.payload_length(payload_len);
        self.buffer[..Header::LEN].copy_from_slice(header.as_bytes());
        &self.buffer[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> HeaderBuilder {
        let header = HeaderBuilder::new().message_protocol_id(protocol::TOPS_1_6).channel_id(1);
        let header = header.session_id(0x0102_0304).stream_offset(1000);
        header.first_message_sequence_number(7).send_time(UnixTime(-2))
    }

    /// Header, then `AB`, an empty message and `C`.
    const BYTES: &[u8] = b"\x01\0\x03\x80\x01\0\0\0\x04\x03\x02\x01\x09\0\x03\0\
        \xe8\x03\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\xfe\xff\xff\xff\xff\xff\xff\xff\
        \x02\0AB\0\0\x01\0C";

    /// The messages of a segment that is whole; the first error when it is not.
    fn whole(bytes: &[u8]) -> Result<Vec<Sequenced<'_>>, Error> {
        Segment::parse(bytes)?.messages().collect()
    }

    #[test]
    fn a_segment_is_written_and_read() {
        let mut buffer = [0xee; 64];
        let mut segment = SegmentBuilder::new(&mut buffer, header()).unwrap();
        for message in [&b"AB"[..], b"", b"C"] {
            segment.push(message).unwrap();
        }
        assert_eq!(segment.message_count(), 3);
        assert_eq!(segment.finish(), BYTES);
        let segment = Segment::parse(BYTES).unwrap();
        assert_eq!(segment.header().message_protocol_id(), 0x8003);
        assert_eq!(segment.header().send_time(), UnixTime(-2));
        assert_eq!((segment.len(), segment.payload().len()), (49, 9));
        assert_eq!((segment.next_sequence(), segment.next_offset()), (10, 1009));
        assert!(!segment.is_heartbeat());
        let expected = [(7, &b"AB"[..]), (8, b""), (9, b"C")];
        assert!(segment.messages().map(|m| m.map(|m| (m.sequence, m.bytes))).eq(expected.map(Ok)));
    }

    #[test]
    fn a_heartbeat_has_no_messages() {
        let mut buffer = [0; 40];
        let beat = SegmentBuilder::new(&mut buffer, header()).unwrap().finish();
        let segment = Segment::parse(beat).unwrap();
        assert!(segment.is_heartbeat());
        assert_eq!((segment.next_sequence(), segment.next_offset()), (7, 1000));
        assert_eq!((segment.messages().count(), segment.len()), (0, 40));
    }

    #[test]
    fn every_prefix_is_named_and_what_follows_is_left_alone() {
        for available in 0..BYTES.len() {
            let what = if available < 40 { "IEX-TP header" } else { "IEX-TP payload" };
            match Segment::parse(&BYTES[..available]) {
                Err(Error::Truncated { what: found, .. }) => assert_eq!(found, what),
                other => panic!("{available} bytes: {other:?}"),
            }
        }
        for available in 40..BYTES.len() {
            let cut = Segment::parse_cut(&BYTES[..available]).unwrap();
            assert_eq!((cut.next_sequence(), cut.next_offset()), (10, 1009));
            assert!(cut.messages().last().unwrap().is_err() && !cut.is_heartbeat());
        }
        let stream = [BYTES, BYTES].concat();
        let first = Segment::parse(&stream).unwrap();
        assert_eq!(Segment::parse(&stream[first.len()..]), Segment::parse(BYTES));
    }

    #[test]
    fn a_segment_that_contradicts_itself_is_named() {
        let with = |at: usize, value: u8| {
            let mut bytes = BYTES.to_vec();
            bytes[at] = value;
            bytes
        };
        let version = Error::Version { what: "IEX-TP", found: 2, known: 1 };
        assert_eq!(whole(&with(0, 2)), Err(version));
        assert_eq!(whole(&with(1, 0xff)).unwrap().len(), 3);
        // More messages announced than there are, fewer, none, and a block that is too long.
        let block = Error::Truncated { what: "message block", needed: 2, available: 0 };
        assert_eq!(whole(&with(14, 4)), Err(block));
        let trailing = |bytes| Error::Trailing { what: "IEX-TP payload", bytes };
        assert_eq!(whole(&with(14, 2)), Err(trailing(3)));
        assert_eq!(whole(&with(14, 0)), Err(trailing(9)));
        assert!(!Segment::parse(&with(14, 0)).unwrap().is_heartbeat());
        let block = Error::Truncated { what: "message block", needed: 4, available: 3 };
        let long = with(46, 2);
        let mut messages = Segment::parse(&long).unwrap().messages();
        assert_eq!(messages.by_ref().take(2).filter(Result::is_ok).count(), 2);
        assert_eq!((messages.next(), messages.next()), (Some(Err(block)), None));
    }

    #[test]
    fn a_full_segment_stays_as_it_was() {
        let mut buffer = [0; 45];
        let mut segment = SegmentBuilder::new(&mut buffer, header()).unwrap();
        segment.push(b"ABC").unwrap();
        let error = Error::NoRoom { what: "message block", needed: 2, available: 0 };
        assert_eq!(segment.push(b""), Err(error));
        assert_eq!(whole(segment.finish()).unwrap().len(), 1);
        let error = Error::NoRoom { what: "IEX-TP header", needed: 40, available: 39 };
        assert_eq!(SegmentBuilder::new(&mut [0; 39], header()).unwrap_err(), error);
    }

    #[test]
    fn a_segment_is_never_longer_than_its_length_can_say() {
        let mut large = vec![0; 0x2_0000];
        let mut segment = SegmentBuilder::new(&mut large, header()).unwrap();
        while segment.push(b"").is_ok() {}
        assert_eq!(segment.message_count(), 0x7fff);
        let bytes = segment.finish();
        assert_eq!((bytes.len(), whole(bytes).unwrap().len()), (40 + 0xfffe, 0x7fff));
    }
}
