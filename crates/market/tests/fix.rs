//! FIX framing against the session scripts of the corpus: which messages are garbled is what the
//! scripts say; lengths and data fields against their dictionaries.

mod common;

use common::corpus;
use common::injected::injected;
use common::scripts::scripts;
use std::collections::BTreeMap;
use tickwire_market::fix::{DATA_FIELDS, Frames, Garbled, MessageBuilder};

/// The messages that a script says to be ignored, by their MsgSeqNum, and why; where one has
/// swallowed the message behind it, that one has gone without a word.
const GARBLED: [(&str, &[&str]); 6] = [
    ("1d_InvalidLogonLengthInvalid", &["fix_body_end"]),
    ("2d_GarbledMessage", &["fix_body_end", "fix_body_end"]),
    ("2m_BodyLengthValueNotCorrect", &["fix_body_end", "fix_body_end"]),
    ("2t_FirstThreeFieldsOutOfOrder", &["fix_begin_string", "fix_body_end", "fix_msg_type"]),
    ("3b_InvalidChecksum", &["fix_checksum", "fix_checksum"]),
    ("3c_GarbledMessage", &["fix_body_end", "fix_body_end"]),
];

/// The only message that another has swallowed: `2m` says so.
const SWALLOWED: (&str, usize) = ("2m_BodyLengthValueNotCorrect", 1);

/// The messages that a script injects, by connection.
fn connections(lines: &[String]) -> Vec<Vec<String>> {
    let mut connections = BTreeMap::<&str, Vec<String>>::new();
    let mut done = Vec::new();
    for line in lines {
        let rest = line.trim_start_matches(|first| "iI".contains(first));
        let (id, rest) = match rest.split_once(',') {
            Some((id, rest)) if id.len() == 1 => (id, rest),
            _ => ("", rest),
        };
        match line.chars().next() {
            Some('i') if rest == "CONNECT" => {
                done.extend(connections.insert(id, Vec::new()));
            }
            Some('I') => connections.get_mut(id).unwrap().push(injected(rest)),
            _ => {}
        }
    }
    done.extend(connections.into_values());
    done
}

#[test]
fn the_scripts_say_which_messages_are_garbled() {
    let (mut accepted, mut rejected) = (0, 0);
    for version in ["fix42", "fix44"] {
        let Some(scripts) = scripts(version, "the_scripts_say_which_messages_are_garbled") else {
            return;
        };
        for (name, lines) in scripts {
            let (mut sent, mut read, mut reasons) = (0, 0, Vec::new());
            for messages in connections(&lines) {
                sent += messages.len();
                let stream = messages.concat();
                let mut frames = Frames::new(stream.as_bytes());
                for frame in frames.by_ref() {
                    match frame {
                        Ok(message) => {
                            assert!(messages.iter().any(|sent| sent.as_bytes() == message.bytes()));
                            same_fields(message.bytes(), message.fields());
                            read += 1;
                        }
                        Err(cause) => reasons.push(Garbled::reason(&cause)),
                    }
                }
                assert_eq!(frames.rest(), b"", "{version} {name}");
            }
            let expected = GARBLED.iter().find(|(script, _)| *script == name);
            let expected = expected.map_or(&[][..], |(_, reasons)| *reasons);
            assert_eq!(reasons, expected, "{version} {name}");
            let swallowed = if name == SWALLOWED.0 { SWALLOWED.1 } else { 0 };
            // In 2t one message makes two faults: what is before `8=`, and what is from there on.
            let faults = reasons.len() - usize::from(name.starts_with("2t"));
            assert_eq!(read + faults + swallowed, sent, "{version} {name}");
            accepted += read;
            rejected += faults + swallowed;
        }
    }
    assert_eq!((accepted, rejected), (541, 24));
}

/// The scripts have no data fields: their fields are what is between separators.
fn same_fields(message: &[u8], fields: tickwire_market::fix::Fields<'_>) {
    let text = std::str::from_utf8(message).unwrap();
    let expected = text.trim_end_matches('\x01').split('\x01');
    let mut count = 0;
    for (field, text) in fields.zip(expected.clone()) {
        let (tag, value) = text.split_once('=').unwrap();
        match field {
            Ok(field) => {
                assert_eq!((field.tag.to_string(), field.value), (tag.into(), value.as_bytes()));
            }
            Err(bad) => assert!(matches!(tag, "0" | "-1"), "{bad}"),
        }
        count += 1;
    }
    assert_eq!(count, expected.count());
}

/// The messages that a script expects have the length that it says when we write them.
#[test]
fn lengths_are_those_of_the_scripts() {
    let mut compared = 0;
    for version in ["fix42", "fix44"] {
        let Some(scripts) = scripts(version, "lengths_are_those_of_the_scripts") else { return };
        for line in scripts.iter().flat_map(|(_, lines)| lines) {
            let Some((begin, rest)) = line.strip_prefix("E8=").and_then(|l| l.split_once('\x01'))
            else {
                continue;
            };
            let Some(rest) = rest.strip_prefix("9=") else { continue };
            let (length, rest) = rest.split_once('\x01').unwrap();
            let mut fields = rest.split('\x01').filter_map(|field| field.split_once('='));
            let mut buffer = [0; 1024];
            let (_, msg_type) = fields.next().unwrap();
            let mut message = MessageBuilder::new(&mut buffer, begin, msg_type).unwrap();
            for (tag, value) in fields.filter(|(tag, _)| *tag != "10") {
                // Lengths count SendingTime with milliseconds, however a line writes it.
                let value = if tag == "52" { "20261121-09:30:00.000" } else { value };
                let value = value.replace("<TIME>", "20261121-09:30:00");
                message.field(tag.parse().unwrap(), value).unwrap();
            }
            let written = std::str::from_utf8(message.finish()).unwrap();
            let ours = written.split('\x01').nth(1).unwrap();
            assert_eq!(ours, format!("9={length}"), "{line}");
            compared += 1;
        }
    }
    assert_eq!(compared, 483);
}

/// The pairs of length and data are those of the dictionaries.
#[test]
fn data_fields_are_those_of_the_dictionaries() {
    let Some(folder) = corpus("market/fix/spec", "data_fields_are_those_of_the_dictionaries")
    else {
        return;
    };
    let mut numbers = BTreeMap::<String, u32>::new();
    let mut data = Vec::new();
    for file in ["FIX42.xml", "FIX44.xml", "FIXT11.xml"] {
        for line in std::fs::read_to_string(folder.join(file)).unwrap().lines() {
            let attribute = |name: &str| {
                let (_, rest) = line.split_once(&format!(" {name}='"))?;
                rest.split_once('\'').map(|(value, _)| value.to_owned())
            };
            let (Some(number), Some(name)) = (attribute("number"), attribute("name")) else {
                continue;
            };
            if attribute("type").as_deref() == Some("DATA") {
                data.push(name.clone());
            }
            numbers.insert(name, number.parse().unwrap());
        }
    }
    let length_of = |name: &String| {
        let found = ["Len", "Length"].map(|end| numbers.get(&format!("{name}{end}")).copied());
        found.into_iter().flatten().next().unwrap_or_else(|| panic!("{name} has no length"))
    };
    let mut pairs: Vec<_> = data.iter().map(|name| (length_of(name), numbers[name])).collect();
    pairs.sort();
    pairs.dedup();
    let mut ours = DATA_FIELDS.to_vec();
    ours.sort();
    assert_eq!(ours, pairs);
}
