//! ITCH 5.0 against its specification as a table, and over the files of the corpus against what an
//! independent program made of them.

mod common;

use common::{corpus, random_bytes};
use std::collections::BTreeMap;
use std::fmt::Write;
use tickwire_market::binaryfile::{BinaryFile, lacks_lengths};
use tickwire_market::itch50::Message;
use tickwire_market::{Error, Value};

/// The specification's tables, not made from ours: type, length and name, then name, offset, length
/// and type of each field.
const SPECIFICATION: &str = include_str!("golden/itch50.txt");

#[test]
fn every_message_is_as_specified() {
    let mut ours: Vec<String> = Message::TYPES
        .iter()
        .map(|&(letter, _, fields)| {
            let len = Message::len_of(letter).unwrap();
            let mut text = format!("{} {len}\n", char::from(letter));
            for field in fields {
                let bytes = [1; 64];
                let kind = match field.value(&bytes).unwrap() {
                    Value::Unsigned(_) | Value::SinceMidnight(_) => "Integer",
                    Value::Price { decimals: 4, .. } => "Price(4)",
                    Value::Price { decimals: 8, .. } => "Price(8)",
                    Value::Text(_) => "Alpha",
                    other => panic!("{other:?} in ITCH"),
                };
                writeln!(text, "  {} {} {} {kind}", field.name, field.offset, field.len).unwrap();
            }
            text
        })
        .collect();
    let mut theirs = Vec::new();
    for line in SPECIFICATION.lines() {
        match line.strip_prefix("  ") {
            None => theirs.push(line.splitn(3, ' ').take(2).collect::<Vec<_>>().join(" ") + "\n"),
            Some(_) => *theirs.last_mut().unwrap() += &format!("{line}\n"),
        }
    }
    ours.sort();
    theirs.sort();
    assert_eq!(theirs.len(), 23);
    assert_eq!(ours, theirs);
}

#[test]
fn every_type_is_written_as_it_was_read_and_named_when_it_is_cut() {
    let mut out = [0; 64];
    for (seed, &(letter, ..)) in Message::TYPES.iter().enumerate() {
        let len = Message::len_of(letter).unwrap();
        for round in 0..100 {
            let mut bytes = random_bytes::<64>((seed * 1000 + round) as u64);
            bytes[0] = letter;
            let message = Message::decode(&bytes).unwrap();
            assert_eq!(message.message_type(), letter);
            assert_eq!(message.write(&mut out), Ok(len));
            assert_eq!(out[..len], bytes[..len]);
        }
        for available in 1..len {
            match Message::decode(&[letter; 64][..available]).unwrap_err() {
                Error::Truncated { needed, available: found, .. } => {
                    assert_eq!((needed, found), (len, available));
                }
                other => panic!("{other}"),
            }
        }
    }
}

#[test]
fn the_sample_file_gives_the_expected_messages() {
    let Some(folder) = corpus("market/itch", "the_sample_file_gives_the_expected_messages") else {
        return;
    };
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let expected: serde_json::Value = serde_json::from_slice(&read("RITCH.expected.json")).unwrap();
    let prefixed = read("ex20101224.TEST_ITCH_50.binaryfile");
    let published = read("ex20101224.TEST_ITCH_50");
    assert!(lacks_lengths(&published, Message::len_of));
    assert!(!lacks_lengths(&prefixed, Message::len_of));
    for file in [BinaryFile::new(&prefixed), BinaryFile::by_type(&published, Message::len_of)] {
        let mut by_type = BTreeMap::<String, u64>::new();
        let mut traded = BTreeMap::<String, u64>::new();
        for message in file {
            let message = Message::decode(message.unwrap()).unwrap();
            let letter = char::from(message.message_type()).to_string();
            *by_type.entry(letter).or_default() += 1;
            if let Message::Trade(trade) = message {
                *traded.entry(trade.stock().to_string()).or_default() += u64::from(trade.shares());
            }
        }
        assert_eq!(expected["messages"], by_type.values().sum::<u64>());
        assert_eq!(expected["by_type"], serde_json::json!(by_type));
        assert_eq!(expected["noncross_trade_shares_P"], serde_json::json!(traded));
    }
}
