//! SBE by a schema: every message of every schema is written and read, and the offsets in schemas
//! of exchanges are what somebody else has worked out from the same files.
//!
//! Those files are not ours: TICKWIRE_SCHEMAS is a folder of them, with tables of offsets.

mod common;

use common::Random;
use std::fmt::Write;
use std::path::PathBuf;
use tickwire_market::sbe::schema::{Body, Field, Kind, Template};
use tickwire_market::sbe::{Block, Decoded, Item, Message, Primitive, Schema, WriteError, Writer};
use tickwire_market::{Error, Value, wire};

/// A schema with one of everything.
const EXAMPLE: &str = include_str!("golden/sbe.xml");

/// Schema files with how many messages they have, and their tables, which are of some of these,
/// with how many messages and fields these have.
const SCHEMAS: [(&str, usize, &str, usize, usize); 3] = [
    ("Cme.Futures.Mdp3.Sbe.v1.13.xml", 31, "cme-mdp3-v13-offsets.txt", 20, 366),
    ("Cme.Futures.Mdp3.Sbe.v1.9.xml", 29, "cme-mdp3-v9-offsets.txt", 16, 307),
    ("B3.Equities.BinaryUmdf.Sbe.v2.2.xml", 30, "b3-umdf-v2.2-offsets.txt", 14, 209),
];

fn folder(test: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("TICKWIRE_SCHEMAS");
    if folder.is_none() {
        eprintln!("SKIPPED: {test}: TICKWIRE_SCHEMAS is not set");
    }
    folder.map(PathBuf::from)
}

/// Our fields as lines `offset len name since`, or `const name`; composites and arrays as one.
fn lines(body: &Body) -> Vec<String> {
    let whole = |field: &Field| field.name().split(['.', '[']).next().unwrap().to_owned();
    let mut lines = Vec::new();
    for parts in body.fields().chunk_by(|a, b| whole(a) == whole(b)) {
        let name = whole(&parts[0]);
        let stored: Vec<_> = parts.iter().filter(|part| !part.is_constant()).collect();
        lines.push(match stored[..] {
            [] => format!("const {name}"),
            [first, ..] => {
                let len: usize = stored.iter().map(|part| part.len()).sum();
                format!("{} {len} {name} since={}", first.offset(), first.since_version())
            }
        });
    }
    lines
}

/// A line of the table in the same form.
fn expected(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        ["-", "const", name, ..] => format!("const {name}"),
        [offset, len, name, .., since] => format!("{offset} {len} {name} {since}"),
        _ => panic!("{line}"),
    }
}

fn block_length(said: &str, body: &Body) -> bool {
    said == "blockLength=None" || said == format!("blockLength={}", body.block_length())
}

#[test]
fn offsets_are_those_of_the_tables() {
    let Some(folder) = folder("offsets_are_those_of_the_tables") else { return };
    for (file, templates, table, messages, fields) in SCHEMAS {
        let schema = Schema::parse(&std::fs::read_to_string(folder.join(file)).unwrap()).unwrap();
        let (mut found, mut compared) = (String::new(), 0);
        let mut differ = |what: &str, ours: &[String], theirs: &[String]| {
            compared += theirs.len();
            if ours != theirs {
                writeln!(found, "{what}\n  ours   {ours:?}\n  theirs {theirs:?}").unwrap();
            }
        };
        let text = std::fs::read_to_string(folder.join(table)).unwrap();
        let mut seen = 0;
        for message in text.split("MSG ").skip(1) {
            let heading = message.lines().next().unwrap();
            let [id, name, length, _] = heading.split(' ').collect::<Vec<_>>()[..] else {
                panic!("{heading}")
            };
            let template = schema.template(id.parse().unwrap()).unwrap();
            assert_eq!(template.name(), name);
            assert!(block_length(length, template.body()), "{heading}");
            let mut body = template.body();
            let (mut what, mut theirs) = (heading.to_owned(), Vec::new());
            for line in message.lines().skip(1).filter(|line| !line.trim().is_empty()) {
                if let Some(group) = line.strip_prefix("GROUP ") {
                    differ(&what, &lines(body), &theirs);
                    let (name, rest) = group.split_once(' ').unwrap();
                    let found = template.body().group(name).unwrap();
                    body = found.body();
                    assert!(block_length(rest.split(' ').next().unwrap(), body), "{group}");
                    (what, theirs) = (group.to_owned(), Vec::new());
                } else if let Some((_, data)) = line.split_once("DATA {'name': '") {
                    let name = data.split('\'').next().unwrap();
                    assert!(template.body().data_named(name).is_some(), "{heading}: {name}");
                } else {
                    theirs.push(expected(line));
                }
            }
            differ(&what, &lines(body), &theirs);
            seen += 1;
        }
        assert_eq!(found, "", "{file}");
        assert_eq!((schema.templates().len(), seen, compared), (templates, messages, fields));
    }
}

/// The example in both orders of bytes, and the schemas of exchanges when they are there.
fn schemas(test: &str) -> Vec<Schema> {
    let big = EXAMPLE.replace("littleEndian", "bigEndian");
    let mut texts = vec![EXAMPLE.to_owned(), big];
    if let Some(folder) = folder(test) {
        let read = |file| std::fs::read_to_string(folder.join(file)).unwrap();
        texts.extend(SCHEMAS.map(|(file, ..)| read(file)));
    }
    texts.iter().map(|text| Schema::parse(text).unwrap()).collect()
}

/// What is written: its path, its value, and whether that may be what means *no value*.
type Written = Vec<(String, String, bool)>;

/// A value that `field` takes, and whether its bits are all 0, all 1, or only the highest.
fn value<'v>(random: &mut Random, field: &Field, text: &'v mut Vec<u8>) -> (Value<'v>, bool) {
    use Primitive::{Int8, Int16, Int32, Int64};
    let primitive = field.primitive();
    let unused = 64 - primitive.size() * 8;
    let bits = random.bits() >> unused >> (random.below(4) * 8 % primitive.size() as u64);
    let signed = (bits << unused) as i64 >> unused;
    let is_signed = matches!(primitive, Int8 | Int16 | Int32 | Int64);
    let value = match (field.kind(), primitive) {
        (_, Primitive::Char) => {
            let least = u64::from(field.len() == 1);
            let len = least + random.below(field.len() as u64 + 1 - least);
            *text = (0..len).map(|_| b'!' + random.below(90) as u8).collect();
            return (Value::Text(text), len == 0);
        }
        (Kind::Price { decimals }, _) => {
            let raw = if is_signed { signed.into() } else { bits.into() };
            Value::Price { raw, decimals: *decimals }
        }
        (Kind::UnixTime, _) => Value::UnixTime((bits >> 1) as i64),
        (_, Primitive::Float) => Value::Float(wire::Float(f64::from(bits as u16) / 4.0)),
        (_, Primitive::Double) => Value::Float(wire::Float(f64::from(bits as u32) / 4.0)),
        _ if is_signed => Value::Signed(signed),
        _ => Value::Unsigned(bits),
    };
    let ones = u64::MAX >> unused;
    (value, [0, 1, ones, ones >> 1, 1 << (63 - unused)].contains(&bits))
}

/// Writes any values into a block, and what follows it.
fn fill<'s>(
    random: &mut Random,
    writer: &mut Writer<'s, '_>,
    body: &'s Body,
    path: &str,
    written: &mut Written,
) {
    for field in body.fields() {
        let path = format!("{path}{}", field.name());
        let mut text = Vec::new();
        let (mut value, may_be_null) = value(random, field, &mut text);
        if let Some(constant) = field.value(&[], u16::MAX) {
            value = constant;
        }
        if random.below(5) > 0 || writer.field(field, Value::Null).is_err() {
            writer.field(field, value).unwrap();
        } else if !field.is_constant() {
            value = Value::Null;
        }
        written.push((path, format!("{value:?}"), may_be_null));
    }
    for group in body.groups() {
        let count = random.below(4);
        written.push((format!("{path}{}", group.name()), count.to_string(), false));
        writer.group(group).unwrap();
        for index in 0..count {
            writer.entry(group).unwrap();
            let path = format!("{path}{}[{index}].", group.name());
            fill(random, writer, group.body(), &path, written);
        }
    }
    for data in body.data() {
        let bytes: Vec<u8> = (0..random.below(9)).map(|_| random.bits() as u8).collect();
        written.push((format!("{path}{}", data.name()), format!("{bytes:?}"), false));
        writer.data(data, &bytes).unwrap();
    }
}

/// Writes a block as another message has it.
fn copy<'s>(writer: &mut Writer<'s, '_>, block: Block<'s>) -> Result<(), WriteError> {
    for field in block.body().fields() {
        writer.field(field, block.value(field).unwrap())?;
    }
    for group in block.body().groups() {
        writer.group(group)?;
        for entry in block.entries(group).unwrap() {
            writer.entry(group)?;
            copy(writer, entry.unwrap())?;
        }
    }
    for data in block.body().data() {
        writer.data(data, block.data(data).unwrap().unwrap())?;
    }
    Ok(())
}

/// The same message, written again into a buffer of `len` bytes.
fn rewritten(schema: &Schema, bytes: &[u8], len: usize) -> Result<Vec<u8>, WriteError> {
    let message = known(schema, bytes);
    let mut buffer = vec![0x11; len];
    let mut writer = Writer::new(&mut buffer, schema, message.template())?;
    let copied = copy(&mut writer, message.root());
    let finished = writer.finish().map(<[u8]>::to_vec);
    // What has failed once does not give a message.
    copied.and(finished)
}

/// A message of any values, and what is in it.
fn any_message(schema: &Schema, template: &Template, random: &mut Random) -> (Vec<u8>, Written) {
    let mut buffer = vec![0xee; 1 << 16];
    let mut written = Vec::new();
    let mut writer = Writer::new(&mut buffer, schema, template).unwrap();
    fill(random, &mut writer, template.body(), "", &mut written);
    (writer.finish().unwrap().to_vec(), written)
}

fn known<'a>(schema: &'a Schema, bytes: &'a [u8]) -> Message<'a> {
    match schema.decode(bytes) {
        Ok(Decoded::Known(message)) => message,
        other => panic!("{other:?}"),
    }
}

fn walk(message: &Message<'_>) -> (Vec<(String, String)>, Result<(), Error>) {
    let mut found = Vec::new();
    let end = message.walk(|path, item| {
        let value = match item {
            Item::Field(_, value) => format!("{value:?}"),
            Item::Group(_, count) => count.to_string(),
            Item::Data(_, bytes) => format!("{bytes:?}"),
        };
        found.push((format!("{path}{}", item.name()), value));
    });
    (found, end)
}

#[test]
fn every_message_is_written_and_read() {
    for schema in schemas("every_message_is_written_and_read") {
        for (seed, template) in schema.templates().iter().cycle().enumerate().take(500) {
            let (bytes, written) = any_message(&schema, template, &mut Random(seed as u64));
            let message = known(&schema, &bytes);
            let (found, end) = walk(&message);
            assert_eq!((end, found.len()), (Ok(()), written.len()), "{}", template.name());
            for ((path, value), (wanted, expected, may_be_null)) in found.iter().zip(&written) {
                let is_right = value == expected || *may_be_null && value == "Null";
                assert!(path == wanted && is_right, "{wanted}: {expected} is {path}: {value}");
            }
            assert_eq!(rewritten(&schema, &bytes, bytes.len()), Ok(bytes), "{}", template.name());
        }
    }
}

#[test]
fn every_prefix_and_every_buffer_is_named() {
    for schema in schemas("every_prefix_and_every_buffer_is_named") {
        for template in schema.templates() {
            let (bytes, _) = any_message(&schema, template, &mut Random(1));
            for len in 0..bytes.len() {
                let error = rewritten(&schema, &bytes, len).unwrap_err();
                assert!(matches!(error, WriteError::NoRoom(_)), "{} in {len}", template.name());
                let error = match schema.decode(&bytes[..len]) {
                    Ok(Decoded::Known(message)) => walk(&message).1.unwrap_err(),
                    Ok(unknown) => panic!("{unknown:?}"),
                    Err(error) => error,
                };
                assert_eq!(error.reason(), "truncated", "{} at {len}", template.name());
            }
        }
    }
}

/// Our name of a field of the specification: `MDEntryPx` is `md_entry_px`.
fn same_name(ours: &str, theirs: &str) -> bool {
    ours.replace('_', "") == theirs.to_lowercase()
}

/// A block as its typed view has it and as the schema has it.
fn same_fields(typed: &[tickwire_market::Field], block: &Block<'_>) -> usize {
    let mut compared = 0;
    for ours in typed.iter().filter(|field| field.name != "padding") {
        let mut fields = block.body().fields().iter();
        let Some(theirs) = fields.find(|theirs| same_name(ours.name, theirs.name())) else {
            panic!("{} is not in the schema", ours.name)
        };
        let expected = block.value(theirs).unwrap().to_string();
        assert_eq!(ours.value(block.bytes()).unwrap().to_string(), expected, "{}", ours.name);
        compared += 1;
    }
    let stored = block.body().fields().iter().filter(|field| !field.is_constant());
    assert_eq!(compared, stored.count());
    compared
}

#[test]
fn typed_views_of_mdp3_are_those_of_the_schema() {
    use tickwire_market::mdp3::*;
    let test = "typed_views_of_mdp3_are_those_of_the_schema";
    let Some(folder) = folder(test) else { return };
    type Rows = &'static [tickwire_market::Field];
    let (root, orders) = (Incremental::FIELDS, BookOrderEntry::FIELDS);
    let old: &[(u32, Rows, &[Rows])] = &[
        (32, root, &[BookEntry32::FIELDS, orders]),
        (42, root, &[TradeEntry42::FIELDS, TradeOrderEntry::FIELDS]),
    ];
    let new: &[(u32, Rows, &[Rows])] = &[
        (4, ChannelReset::FIELDS, &[]),
        (46, root, &[BookEntry46::FIELDS, orders]),
        (47, root, &[OrderBookEntry47::FIELDS]),
        (48, root, &[TradeEntry48::FIELDS, TradeOrderEntry::FIELDS]),
        (52, Snapshot::FIELDS, &[SnapshotEntry52::FIELDS]),
    ];
    let mut compared = 0;
    for (file, templates) in [(SCHEMAS[1].0, old), (SCHEMAS[0].0, new)] {
        let schema = Schema::parse(&std::fs::read_to_string(folder.join(file)).unwrap()).unwrap();
        for (id, root, groups) in templates {
            for seed in 0..50 {
                let template = schema.template(*id).unwrap();
                let (bytes, _) = any_message(&schema, template, &mut Random(seed));
                let message = known(&schema, &bytes);
                compared += same_fields(root, &message.root());
                for (group, fields) in message.root().body().groups().iter().zip(*groups) {
                    for entry in message.root().entries(group).unwrap() {
                        compared += same_fields(fields, &entry.unwrap());
                    }
                }
                let header = tickwire_market::sbe::MessageHeader::parse(&bytes).unwrap();
                assert!(!matches!(
                    tickwire_market::mdp3::Message::decode(header),
                    Ok(tickwire_market::mdp3::Message::Other(_)) | Err(_)
                ));
            }
        }
    }
    assert!(compared > 5_000, "{compared}");
}
