//! IEX, FIX and FAST from any bytes: as in [`market`](crate::market).

use crate::market::check_message;
use crate::packets::Sample;
use tickwire_frame::LinkType;
use tickwire_market::fast::{self, Head};
use tickwire_market::fix::{self, Framed, Frames, MessageBuilder, frame};
use tickwire_market::iex::tp::{self, Segment, SegmentBuilder};
use tickwire_market::iex::{deep, deep_plus, gap_fill, tops};

/// The longest segment that is written for a sample.
const SEGMENT_BYTES_MAX: usize = 2048;

/// A segment of each feed with a message of every type, each of them alone, a gap-fill request, and
/// a stream of FIX and a recording of FAST.
pub fn samples() -> Vec<Sample> {
    let sample = |name, bytes| Sample { name, link: LinkType::ETHERNET, bytes };
    let mut samples =
        vec![sample("gap_fill", request()), sample("fix", stream()), sample("fast", recording())];
    let feeds = [
        (tp::protocol::TOPS_1_6, tops::Message::TYPES),
        (tp::protocol::DEEP_1_0, deep::Message::TYPES),
        (tp::protocol::DEEP_PLUS_1_0, deep_plus::Message::TYPES),
    ];
    for (protocol, types) in feeds {
        let mut buffer = [0; SEGMENT_BYTES_MAX];
        let header = tp::HeaderBuilder::new().message_protocol_id(protocol).channel_id(1);
        let mut segment = SegmentBuilder::new(&mut buffer, header).expect("room");
        for &(letter, _, fields) in types {
            let len: usize = fields.iter().map(|field| field.len).sum();
            let mut message: Vec<u8> = (0..len as u8).collect();
            message[0] = letter;
            segment.push(&message).expect("room");
            samples.push(sample("iex", message));
        }
        samples.push(sample("iex_tp", segment.finish().to_vec()));
    }
    samples
}

fn request() -> Vec<u8> {
    let range = |first, last| gap_fill::Range { first, last };
    let mut out = vec![0; 64];
    let header = gap_fill::HeaderBuilder::new().channel_id(1);
    let len = gap_fill::write(&mut out, header, &[range(1, 5), range(9, 9)]).expect("room");
    out.truncate(len);
    out
}

fn stream() -> Vec<u8> {
    let mut stream = Vec::new();
    for msg_type in ["A", "D", "0"] {
        let mut buffer = [0; 256];
        let mut message = MessageBuilder::new(&mut buffer, "FIX.4.4", msg_type).expect("room");
        message.field(34, 7).expect("room").field(58, "text").expect("room");
        message.data(95, 96, b"10=000\x018=FIX.4.4\x019=5\x01").expect("room");
        stream.extend(message.finish());
    }
    stream
}

fn recording() -> Vec<u8> {
    let message = |sequence: u8| [&fast::START[..], &[sequence, 0x80 | sequence, b'x']].concat();
    [message(1), message(2), message(3)].concat()
}

/// IEX-TP: a segment that is whole is written as it was, and one that contradicts itself ends with
/// an error.
pub fn iex_tp(bytes: &[u8]) {
    let Ok(segment) = Segment::parse(bytes) else { return };
    let header = segment.header();
    let mut buffer = vec![0; segment.len()];
    let mut written = SegmentBuilder::new(&mut buffer, header.to_builder()).expect("a header");
    let first = header.first_message_sequence_number();
    let mut messages = segment.messages();
    let (mut count, mut failed) = (0, false);
    for message in messages.by_ref() {
        assert!(!failed, "messages after an error");
        let Ok(message) = message else {
            failed = true;
            continue;
        };
        assert_eq!(message.sequence, first.wrapping_add(count));
        written.push(message.bytes).expect("as long as it was");
        feeds(message.bytes);
        count += 1;
    }
    assert!(messages.next().is_none());
    if !failed {
        assert_eq!(count, u64::from(header.message_count()));
        assert_eq!(segment.is_heartbeat(), count == 0);
        assert_eq!(written.finish(), &bytes[..segment.len()]);
    }
}

/// Gap-fill requests are written as they were.
pub fn gap_fill(bytes: &[u8]) {
    let Ok(request) = gap_fill::Request::parse(bytes) else { return };
    let ranges: Vec<_> = request.ranges().collect();
    let all = ranges.iter().fold(0, |sum: u128, range| sum + u128::from(range.count()));
    assert_eq!(u128::from(request.count()), all.min(u64::MAX.into()));
    let mut out = vec![0; gap_fill::Header::LEN + ranges.len() * gap_fill::Range::LEN];
    let len = gap_fill::write(&mut out, request.header().to_builder(), &ranges);
    assert_eq!((len, &out[..]), (Ok(out.len()), &bytes[..out.len()]));
}

/// A message of TOPS, of DEEP and of DEEP+.
pub fn feeds(bytes: &[u8]) {
    macro_rules! check {
        ($feed:ident) => {{
            let message = $feed::Message::decode(bytes);
            let fields = message.as_ref().map($feed::Message::fields);
            check_message(bytes, $feed::Message::len_of, fields, |out| {
                message.as_ref().map_err(|&error| error)?.write(out)
            });
        }};
    }
    check!(tops);
    check!(deep);
    check!(deep_plus);
}

/// FIX: a stream moves on or waits; a message is one however the stream is cut before it ends, and
/// its fields and separators are all its bytes unless a field is bad.
pub fn fix(bytes: &[u8]) {
    let mut frames = Frames::new(bytes);
    let mut before = bytes.len();
    while let Some(item) = frames.next() {
        let taken = before - frames.rest().len();
        assert!(taken > 0, "a stream that stands still");
        let start = bytes.len() - before;
        before = frames.rest().len();
        let Ok(message) = item else { continue };
        assert_eq!(message.bytes(), &bytes[start..start + taken]);
        for cut in [0, 1, taken / 2, taken - 1] {
            assert_eq!(frame(&bytes[start..start + cut]), Framed::Incomplete);
        }
        let (mut len, mut bad) = (0, false);
        for field in message.fields() {
            match field {
                Ok(field) => len += field.tag.to_string().len() + 1 + field.value.len() + 1,
                Err(_) => bad = true,
            }
        }
        assert!(bad || len == taken, "{len} of {taken} bytes are fields");
        assert_eq!(message.get(35), Some(message.msg_type()));
    }
    assert_eq!(frame(frames.rest()), Framed::Incomplete);
    let waits = fix::BODY_BYTES_MAX + fix::RESYNC_BYTES_MAX;
    assert!(frames.rest().len() <= waits + fix::BEGIN_STRING_BYTES_MAX * 2);
}

/// FAST: a recording is all in its pieces, and each but the first begins as a message does.
pub fn fast(bytes: &[u8]) {
    let pieces: Vec<&[u8]> = fast::recorded(bytes).collect();
    assert_eq!(pieces.concat(), bytes);
    for (index, piece) in pieces.into_iter().enumerate() {
        assert!(index == 0 || piece.starts_with(&fast::START));
        match Head::parse(piece) {
            Ok(head) if index > 0 => {
                assert_eq!(head.template_id, Some(fast::TEMPLATE_INCREMENTAL));
                assert!(head.sequence.is_some());
            }
            Ok(head) => assert!(head.template_id.is_some() || head.sequence.is_none()),
            Err(error) => assert!(matches!(error.reason(), "truncated" | "overlong")),
        }
    }
}
