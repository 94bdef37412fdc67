//! TOPS, DEEP and DEEP+ against their specifications: the tables of their fields, and the example
//! that each gives of each message.

use std::fmt::Write;
use tickwire_market::iex::tp::{Segment, SegmentBuilder, protocol};
use tickwire_market::iex::{deep, deep_plus, tops};
use tickwire_market::{Error, Field, UnixTime, Value};

/// The specifications' tables, not made from ours: feed, type and length, then name, offset, length
/// and type of each field.
const SPECIFICATIONS: &str = include_str!("golden/iex.txt");

/// The specifications' examples: the feeds that have the message, its bytes, and what they mean.
const EXAMPLES: &str = include_str!("golden/iex-examples.txt");

type Fields = &'static [Field];
type Rewritten = Result<(Vec<u8>, Fields), Error>;

/// What the enum of a feed offers, so that one test asks all three.
struct Feed {
    name: &'static str,
    types: &'static [(u8, &'static str, Fields)],
    /// The message rewritten, and its fields; or why it is none.
    rewrite: fn(&[u8]) -> Rewritten,
    is_unknown: fn(&[u8]) -> bool,
}

macro_rules! feed {
    ($feed:ident) => {
        Feed {
            name: stringify!($feed),
            types: $feed::Message::TYPES,
            rewrite: |bytes| {
                let message = $feed::Message::decode(bytes)?;
                let mut out = [0; 128];
                let len = message.write(&mut out)?;
                assert_eq!(message.message_type(), bytes[0]);
                Ok((out[..len].to_vec(), message.fields()))
            },
            is_unknown: |bytes| {
                matches!($feed::Message::decode(bytes), Ok($feed::Message::Unknown { .. }))
            },
        }
    };
}

const FEEDS: [Feed; 3] = [feed!(tops), feed!(deep), feed!(deep_plus)];

fn kind(field: &Field) -> &'static str {
    match (field.value(&[1; 80]).unwrap(), field.len) {
        (Value::UnixTime(_), 8) => "Timestamp",
        (Value::Price { decimals: 4, .. }, 8) => "Price",
        (Value::Unsigned(_), 4) if field.name == "scheduled_auction_time" => "Event Time",
        (Value::Unsigned(_), 4) => "Integer",
        (Value::Unsigned(_), 8) => "Long",
        (Value::Unsigned(_) | Value::Text(_), 1) => "Byte",
        (Value::Text(_), _) => "String",
        (other, len) => panic!("{other:?} of {len} bytes in IEX"),
    }
}

#[test]
fn every_message_is_as_specified() {
    let mut ours = Vec::new();
    for feed in FEEDS {
        for &(letter, _, fields) in feed.types {
            let len = fields.iter().map(|field| field.len).sum::<usize>();
            let mut text = format!("{} {} {len}\n", feed.name, char::from(letter));
            for field in fields {
                let Field { name, offset, len, .. } = field;
                writeln!(text, "  {name} {offset} {len} {}", kind(field)).unwrap();
            }
            ours.push(text);
        }
    }
    let mut theirs = Vec::<String>::new();
    for line in SPECIFICATIONS.lines() {
        if !line.starts_with(' ') {
            theirs.push(String::new());
        }
        *theirs.last_mut().unwrap() += &format!("{line}\n");
    }
    ours.sort();
    theirs.sort();
    assert_eq!(theirs.len(), 11 + 13 + 14);
    assert_eq!(ours, theirs);
}

fn from_hex(hex: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digit).collect()
}

/// Feeds, bytes and meaning of each example.
fn examples() -> Vec<(Vec<&'static str>, Vec<u8>, &'static str)> {
    let mut examples = Vec::new();
    for example in EXAMPLES.split("\n\n") {
        let [feeds, hex, text] = example.lines().collect::<Vec<_>>()[..] else {
            panic!("an example has three lines: {example}")
        };
        examples.push((feeds.split(' ').collect(), from_hex(hex), text));
    }
    examples
}

#[test]
fn every_example_means_what_its_specification_says() {
    let mut seen = 0;
    for (feeds, bytes, text) in examples() {
        for feed in &FEEDS {
            let (written, fields) = (feed.rewrite)(&bytes).unwrap();
            assert_eq!(written, bytes);
            assert_eq!((feed.is_unknown)(&bytes), !feeds.contains(&feed.name), "{text}");
            if feeds.contains(&feed.name) {
                let show =
                    |field: &Field| format!("{}={}", field.name, field.value(&bytes).unwrap());
                assert_eq!(fields[1..].iter().map(show).collect::<Vec<_>>().join(" "), text);
                seen += 1;
            }
        }
    }
    assert_eq!(seen, FEEDS.iter().map(|feed| feed.types.len()).sum::<usize>());
}

#[test]
fn longer_messages_keep_their_fields_and_every_cut_is_named() {
    for (feeds, bytes, _) in examples() {
        for feed in FEEDS.iter().filter(|feed| feeds.contains(&feed.name)) {
            let longer = [&bytes[..], b"of a later version"].concat();
            assert_eq!((feed.rewrite)(&longer).unwrap().0, bytes);
            for available in 1..bytes.len() {
                match (feed.rewrite)(&bytes[..available]) {
                    Err(Error::Truncated { needed, available: found, .. }) => {
                        assert_eq!((needed, found), (bytes.len(), available));
                    }
                    other => panic!("{available} bytes of {}: {other:?}", feed.name),
                }
            }
            let unknown = [b'?', 1, 2];
            assert!((feed.is_unknown)(&unknown));
            assert_eq!((feed.rewrite)(&unknown).unwrap().0, unknown);
            assert_eq!((feed.rewrite)(b"").unwrap_err().reason(), "truncated");
        }
    }
}

/// Any value of any field, also those that no specification names, is written as it was read.
#[test]
fn every_value_is_written_as_it_was_read() {
    let mut state = 1_u32;
    for feed in FEEDS {
        for &(letter, _, fields) in feed.types {
            let len = fields.iter().map(|field| field.len).sum::<usize>();
            for _ in 0..200 {
                let mut bytes = vec![letter];
                bytes.extend((1..len).map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 24) as u8
                }));
                assert_eq!((feed.rewrite)(&bytes).unwrap().0, bytes);
            }
        }
    }
}

/// The example of the transport's specification: a trade and a price level in one segment.
#[test]
fn a_segment_of_deep_is_as_specified() {
    let bytes = from_hex(concat!(
        "0100048001000000000087424800020",
        "08ca6210000000000cac3000000000000ec45c22096866d14",
        "26005400ac63c02096866d145a49455854202020",
        "64000000241d0f0000000000968f060000000000",
        "1e003801ac63c02096866d145a49455854202020",
        "e4250000241d0f0000000000",
    ));
    let segment = Segment::parse(&bytes).unwrap();
    let header = segment.header();
    assert_eq!(header.message_protocol_id(), protocol::DEEP_1_0);
    assert_eq!((header.channel_id(), header.session_id()), (1, 0x4287_0000));
    assert_eq!((header.stream_offset(), segment.next_offset()), (2_205_324, 2_205_396));
    assert_eq!(header.send_time(), UnixTime(1_471_980_632_572_839_404));
    let messages = segment.messages().collect::<Result<Vec<_>, _>>().unwrap();
    let [trade, level] = messages[..] else { panic!("{} messages", messages.len()) };
    assert_eq!((trade.sequence, level.sequence, segment.next_sequence()), (50_122, 50_123, 50_124));
    let deep::Message::TradeReport(trade) = deep::Message::decode(trade.bytes).unwrap() else {
        panic!("no trade")
    };
    assert_eq!((trade.size(), trade.price().to_string()), (100, "99.0500".into()));
    let level = deep::Message::decode(level.bytes).unwrap();
    let deep::Message::PriceLevelUpdate(level) = level else { panic!("no price level") };
    assert!(level.event_flags().has(tickwire_market::iex::EventFlags::COMPLETE));
    assert_eq!(level.message_type(), b'8');
    assert_eq!((level.size(), level.symbol().to_string()), (9_700, "ZIEXT".into()));
    let mut buffer = [0; 128];
    let mut written = SegmentBuilder::new(&mut buffer, header.to_builder()).unwrap();
    messages.iter().for_each(|message| written.push(message.bytes).unwrap());
    assert_eq!(written.finish(), bytes);
}
