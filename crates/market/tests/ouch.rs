//! OUCH against the specifications' tables and a sample from the wire.

mod common;

use common::random_bytes;
use tickwire_market::{Error, Field, Value, ouch42, ouch50};

/// A message type with its name and its fields.
type Row = (u8, &'static str, &'static [Field]);

/// Whether our field is that of a line `name offset length type` of a specification. Their names
/// are those of the headings, which may end before ours do.
fn is_same(ours: &Field, theirs: &str) -> bool {
    let [name, offset, len, kind] = theirs.split(' ').collect::<Vec<_>>()[..] else {
        panic!("{theirs}")
    };
    let plain = |name: &str| name.replace('_', "");
    let value = ours.value(&[1; 128]).unwrap();
    let kind_is_same = match (kind, value) {
        ("Alpha" | "Token", value) => matches!(value, Value::Text(_)),
        ("Price", value) => matches!(value, Value::Price { decimals: 4, .. }),
        ("Timestamp", value) => matches!(value, Value::SinceMidnight(_)),
        // Reasons are letters, whatever the heading says.
        ("Numeric", Value::Text(_)) => ours.name == "reason" && ours.len == 1,
        (_, Value::Text(_)) => false,
        _ => true,
    };
    let place = (ours.offset.to_string(), ours.len.to_string());
    let place_is_same = place == (offset.into(), len.into());
    kind_is_same && place_is_same && plain(ours.name).starts_with(&plain(name))
}

fn compare(specification: &str, direction: &str, ours: &[Row], len_of: fn(u8) -> Option<usize>) {
    let mut messages = 0;
    for theirs in specification.split("\n\n") {
        let (heading, fields) = theirs.trim().split_once('\n').unwrap();
        let [side, letter, len, name] = heading.splitn(4, ' ').collect::<Vec<_>>()[..] else {
            panic!("{heading}")
        };
        if side != direction {
            continue;
        }
        let letter = letter.as_bytes()[0];
        let row = ours.iter().find(|row| row.0 == letter).unwrap_or_else(|| panic!("no {name}"));
        assert_eq!(len_of(letter).map(|len| len.to_string()).as_deref(), Some(len), "{name}");
        assert_eq!(fields.lines().count(), row.2.len(), "{name}");
        for (ours, theirs) in row.2.iter().zip(fields.lines()) {
            assert!(is_same(ours, theirs.trim()), "{name}: {ours:?} is not {theirs}");
        }
        messages += 1;
    }
    assert_eq!(messages, ours.len());
}

/// Writes what it reads from any bytes of each type; names what is cut.
macro_rules! round_trips {
    ($message:path, $seed:expr) => {{
        use $message as Message;
        let mut out = [0; 128];
        for &(letter, name, _) in Message::TYPES {
            let len = Message::len_of(letter).unwrap();
            for round in 0..100 {
                let mut bytes = random_bytes::<128>($seed + round * 256 + u64::from(letter));
                bytes[0] = letter;
                let message = Message::decode(&bytes).unwrap();
                assert_eq!((message.message_type(), message.write(&mut out)), (letter, Ok(len)));
                assert_eq!(out[..len], bytes[..len], "{name}");
            }
            for available in 1..len {
                match Message::decode(&[letter; 128][..available]).unwrap_err() {
                    Error::Truncated { needed, available: found, .. } => {
                        assert_eq!((needed, found), (len, available));
                    }
                    other => panic!("{other}"),
                }
            }
        }
        assert!(matches!(Message::decode(b"?x"), Ok(Message::Unknown { bytes: b"?x", .. })));
    }};
}

#[test]
fn ouch_42_is_as_specified() {
    use ouch42::{Inbound, Outbound};
    let specification = include_str!("golden/ouch42.txt");
    compare(specification, "in", Inbound::TYPES, Inbound::len_of);
    compare(specification, "out", Outbound::TYPES, Outbound::len_of);
    assert_eq!((Inbound::TYPES.len(), Outbound::TYPES.len()), (5, 15));
    round_trips!(ouch42::Inbound, 1 << 20);
    round_trips!(ouch42::Outbound, 2 << 20);
}

#[test]
fn ouch_50_is_as_specified() {
    use ouch50::{Inbound, Outbound};
    let specification = include_str!("golden/ouch50.txt");
    compare(specification, "in", Inbound::TYPES, Inbound::len_of);
    compare(specification, "out", Outbound::TYPES, Outbound::len_of);
    assert_eq!((Inbound::TYPES.len(), Outbound::TYPES.len()), (5, 14));
    round_trips!(ouch50::Inbound, 3 << 20);
    round_trips!(ouch50::Outbound, 4 << 20);
}
