//! What is read by a schema or a dictionary, packets of templates, and messages of fixed length,
//! from any bytes: as in
//! [`market`](crate::market).

use crate::packets::Sample;
use std::sync::LazyLock;
use tickwire_frame::LinkType;
use tickwire_market::fix::dictionary::{Dictionary, Fault, Item};
use tickwire_market::fix::{self, Frames};
use tickwire_market::mdp3::{self, Message};
use tickwire_market::sbe::schema::Body;
use tickwire_market::sbe::{self, Block, Decoded, Schema, Writer};
use tickwire_market::{eobi, hft_tick, nanonet, umdf};

/// A schema with one of everything.
const EXAMPLE: &str = include_str!("../../crates/market/tests/golden/sbe.xml");

/// A small schema, for mutations: cutting a long one at every place takes long.
const SMALL: &str = "<s:messageSchema xmlns:s='x' id='7' version='3'><types>\
    <composite name='messageHeader'><type name='blockLength' primitiveType='uint16'/>\
    <type name='templateId' primitiveType='uint16'/><type name='schemaId' primitiveType='uint8'/>\
    <type name='version' primitiveType='uint8'/></composite>\
    <composite name='groupSizeEncoding'><type name='blockLength' primitiveType='uint8'/>\
    <type name='numInGroup' primitiveType='uint8'/></composite>\
    <enum name='E' encodingType='char'><validValue name='A'>1</validValue></enum></types>\
    <s:message name='M' id='2'><field name='a' id='1' type='E' offset='4'/>\
    <group name='g' id='2'><field name='b' id='3' type='int32' presence='optional'/></group>\
    </s:message></s:messageSchema>";

/// A small dictionary.
const SMALL_FIX: &str = "<fix major='4' minor='4'><header><field name='A' required='Y'/></header>\
    <messages><message name='M' msgtype='D'><component name='C' required='Y'/></message>\
    </messages><components><component name='C'><group name='N' required='N'>\
    <field name='B' required='Y'/></group></component></components><fields>\
    <field number='8' name='A' type='STRING'><value enum='1' description='X'/></field>\
    <field number='9' name='B' type='INT'/><field number='7' name='N' type='NUMINGROUP'/>\
    </fields></fix>";

/// A dictionary of FIX with one of everything.
const FIX: &str = include_str!("../../crates/market/tests/golden/fix.xml");

static DICTIONARY: LazyLock<Dictionary> =
    LazyLock::new(|| Dictionary::parse(FIX).expect("the example is a dictionary"));

/// The longest message that is written for a sample.
const MESSAGE_BYTES_MAX: usize = 1024;

/// The example in both orders of bytes.
static SCHEMAS: LazyLock<[Schema; 2]> = LazyLock::new(|| {
    let big = EXAMPLE.replace("littleEndian", "bigEndian");
    [EXAMPLE, &big].map(|text| Schema::parse(text).expect("the example is a schema"))
});

/// The example and its messages, packets of them, a book of MDP 3.0, a tick, and an order.
pub fn samples() -> Vec<Sample> {
    let sample = |name, bytes| Sample { name, link: LinkType::ETHERNET, bytes };
    let mut samples = vec![
        sample("sbe_schema", SMALL.as_bytes().to_vec()),
        sample("hft_tick", tick()),
        sample("nanonet", nanonet::little::OrderBuilder::new().as_bytes().to_vec()),
        sample("mdp3", book()),
        sample("eobi", states()),
        sample("fix_dictionary", SMALL_FIX.as_bytes().to_vec()),
        sample("fix", order()),
    ];
    for schema in &*SCHEMAS {
        let template = schema.template(2).expect("Everything");
        let mut buffer = [0; MESSAGE_BYTES_MAX];
        let mut writer = Writer::new(&mut buffer, schema, template).expect("room");
        fill(&mut writer, template.body());
        let message = writer.finish().expect("room").to_vec();
        let mut buffer = [0; MESSAGE_BYTES_MAX];
        let header = umdf::PacketHeaderBuilder::new();
        let mut packet = umdf::PacketBuilder::new(&mut buffer, &header).expect("room");
        packet.push(&message).expect("room");
        samples.push(sample("umdf", packet.finish().to_vec()));
        samples.push(sample("sbe", message));
    }
    samples
}

fn fill<'s>(writer: &mut Writer<'s, '_>, body: &'s Body) {
    for group in body.groups() {
        writer.group(group).expect("room");
        for _ in 0..2 {
            writer.entry(group).expect("room");
            fill(writer, group.body());
        }
    }
    for data in body.data() {
        writer.data(data, b"data").expect("room");
    }
}

fn tick() -> Vec<u8> {
    let mut frame = vec![0; 42];
    (frame[12], frame[14], frame[23]) = (0x08, 0x45, 17);
    frame[36..40].copy_from_slice(&[0x13, 0x89, 0, 22]);
    frame.extend(hft_tick::TickBuilder::new().price(1.5).as_bytes());
    frame
}

fn book() -> Vec<u8> {
    let mut message = b"\x0b\0\x2e\0\x01\0\x0d\0".to_vec();
    message.extend(mdp3::IncrementalBuilder::new().as_bytes());
    message.extend(b"\x20\0\x01");
    message.extend(mdp3::BookEntry46Builder::new().security_id(7).as_bytes());
    message.extend(b"\x18\0\0\0\0\0\0\x01");
    message.extend(mdp3::BookOrderEntryBuilder::new().as_bytes());
    let mut buffer = [0; MESSAGE_BYTES_MAX];
    let header = mdp3::PacketHeaderBuilder::new();
    let mut packet = mdp3::PacketBuilder::new(&mut buffer, &header).expect("room");
    packet.push(&message).expect("room");
    packet.finish().to_vec()
}

fn order() -> Vec<u8> {
    let mut buffer = [0; MESSAGE_BYTES_MAX];
    let mut order = fix::MessageBuilder::new(&mut buffer, "FIX.4.4", "D").expect("room");
    order.field(34, 2).expect("room").field(11, "id").expect("room");
    for (tag, value) in [(453, 2), (448, 7), (802, 2), (523, 1), (523, 2), (448, 8), (54, 1)] {
        order.field(tag, value).expect("room");
    }
    order.data(95, 96, b"10=000\x01").expect("room");
    order.finish().to_vec()
}

fn states() -> Vec<u8> {
    let mut buffer = [0; MESSAGE_BYTES_MAX];
    let header = eobi::PacketHeaderBuilder::new();
    let mut packet = eobi::PacketBuilder::new(&mut buffer, header).expect("room");
    let order = eobi::OrderAddBuilder::new().body_len(56).template_id(13100);
    packet.push(order.as_bytes()).expect("room");
    let leg = eobi::InstrmtLegGrpBuilder::new();
    let head = eobi::AddComplexInstrumentBuilder::new().template_id(13400).no_legs(1);
    packet.push(&[&head.body_len(120).as_bytes()[..], leg.as_bytes()].concat()).expect("room");
    packet.finish().to_vec()
}

/// EOBI: a packet is all in its messages, and entries lie within them.
pub fn eobi(bytes: &[u8]) {
    let Ok(packet) = eobi::Packet::parse(bytes) else { return };
    let (mut read, mut failed) = (usize::from(packet.header().body_len()), false);
    for message in packet.messages() {
        assert!(!failed, "messages after an error");
        let Ok(message) = message else {
            failed = true;
            continue;
        };
        read += message.len();
        let entries = match eobi::Message::decode(message) {
            Ok(eobi::Message::AddComplexInstrument(view)) => view.entries().map(|all| all.count()),
            Ok(eobi::Message::InstrumentSummary(view)) => view.entries().map(|all| all.count()),
            Ok(eobi::Message::TradeReversal(view)) => view.entries().map(|all| all.count()),
            _ => continue,
        };
        assert!(entries.is_ok_and(|count| count * 24 <= message.len()) || entries.is_err());
    }
    assert!(failed || read == bytes.len());
}

/// A schema file: tables, or an error that names a line of it.
pub fn sbe_schema(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match Schema::parse(&text) {
        Ok(schema) => {
            for template in schema.templates() {
                assert!(schema.template_by_name(template.name()).is_some());
            }
        }
        Err(error) => {
            let lines = text.bytes().filter(|&byte| byte == b'\n').count() as u32;
            assert!((1..=lines + 1).contains(&error.line), "{error}");
        }
    }
}

/// A message by a schema: the walk and the accessors see the same, and what is written from them is
/// read as the same.
pub fn sbe(bytes: &[u8]) {
    for schema in &*SCHEMAS {
        let Ok(Decoded::Known(message)) = schema.decode(bytes) else { continue };
        let mut items = 0;
        let end = message.walk(|path, item| {
            if let sbe::Item::Field(field, value) = item {
                _ = field.enum_name(&value);
                assert!(field.set_names(&value).count() <= 64);
            }
            assert!(path.steps().len() <= 2 && !item.name().is_empty());
            items += 1;
        });
        let counted = count(message.root());
        assert_eq!(counted.is_some(), end.is_ok());
        assert!(counted.is_none_or(|counted| counted == items));
    }
}

/// Everything in a block; `None` when it is cut.
fn count(block: Block<'_>) -> Option<usize> {
    let mut items = block.body().fields().iter().filter_map(|field| block.value(field)).count();
    for group in block.body().groups() {
        items += usize::from(block.version() >= group.since_version());
        for entry in block.entries(group).ok()? {
            items += count(entry.ok()?)?;
        }
    }
    for data in block.body().data() {
        items += usize::from(block.data(data).ok()?.is_some());
    }
    Some(items)
}

/// A dictionary file: tables, or an error that names a line of it.
pub fn fix_dictionary(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match Dictionary::parse(&text) {
        Ok(dictionary) => {
            assert!(dictionary.fields().iter().all(|known| dictionary.field(known.tag()).is_some()))
        }
        Err(error) => {
            let lines = text.bytes().filter(|&byte| byte == b'\n').count() as u32;
            assert!((1..=lines + 1).contains(&error.line), "{error}");
        }
    }
}

/// FIX by a dictionary: every field that can be read is walked over, once; what is named can be
/// printed.
pub fn fix_by_dictionary(bytes: &[u8]) {
    for message in Frames::new(bytes).flatten() {
        let (mut fields, mut bad, mut faults) = (0, 0, 0);
        DICTIONARY.walk(&message, |item| match item {
            Item::Field { deep, .. } => {
                assert!(deep <= 2);
                fields += 1;
            }
            Item::Fault(fault) => {
                bad += usize::from(matches!(fault, Fault::BadField(_)));
                faults += 1;
            }
        });
        assert_eq!((fields, bad), count_fields(&message));
        assert_eq!(DICTIONARY.check(&message).is_ok(), faults == 0);
        let text = DICTIONARY.named(message).to_string();
        assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{text}");
        let count = |brace| text.matches(brace).count();
        assert!(text.contains("RawData=") || count('{') >= count('}'), "{text}");
    }
}

fn count_fields(message: &fix::Message<'_>) -> (usize, usize) {
    let bad = message.fields().filter(Result::is_err).count();
    (message.fields().count() - bad, bad)
}

/// MDP 3.0: what is read of a packet lies within it, and is written as it was.
pub fn mdp3(bytes: &[u8]) {
    let Ok(packet) = mdp3::Packet::parse(bytes) else { return assert!(bytes.len() < 12) };
    let mut buffer = vec![0; bytes.len()];
    let header = packet.header().to_builder();
    let mut written = mdp3::PacketBuilder::new(&mut buffer, &header).expect("as long as it was");
    let mut failed = false;
    for header in packet.messages() {
        assert!(!failed, "messages after an error");
        let Ok(header) = header else {
            failed = true;
            continue;
        };
        let message = [&header.as_bytes()[..], header.rest()].concat();
        written.push(&message).expect("as long as it was");
        let entries = match Message::decode(header) {
            Ok(Message::Book46(_, entries, orders)) => entries.count() + orders.count(),
            Ok(Message::TradeSummary48(_, entries, orders)) => entries.count() + orders.count(),
            Ok(Message::OrderBook47(_, entries)) => entries.count(),
            Ok(Message::Snapshot52(_, entries)) => entries.count(),
            Ok(Message::Book32(_, entries, orders)) => entries.count() + orders.count(),
            Ok(Message::TradeSummary42(_, entries, orders)) => entries.count() + orders.count(),
            Ok(_) | Err(_) => 0,
        };
        assert!(entries <= message.len());
    }
    let written = written.finish();
    assert_eq!(*written, bytes[..written.len()]);
    assert!(failed || written.len() == bytes.len());
}

/// UMDF: what is read of a packet is written as it was.
pub fn umdf(bytes: &[u8]) {
    let Ok(packet) = umdf::Packet::parse(bytes) else { return assert!(bytes.len() < 16) };
    let mut buffer = vec![0; bytes.len()];
    let header = packet.header().to_builder();
    let mut written = umdf::PacketBuilder::new(&mut buffer, &header).expect("as long as it was");
    let (mut failed, mut others) = (false, false);
    for message in packet.messages() {
        assert!(!failed, "messages after an error");
        let Ok(message) = message else {
            failed = true;
            continue;
        };
        others |= message.sbe().is_none();
        written.push(message.bytes()).expect("as long as it was");
        self::sbe(message.bytes());
    }
    let written = written.finish();
    assert!(others || *written == bytes[..written.len()]);
    assert!(failed || written.len() == bytes.len());
}

/// The messages of fixed length: written as they were.
pub fn house(bytes: &[u8]) {
    use nanonet::{big, little};
    if let Ok(data) = little::MarketData::parse(bytes) {
        assert_eq!(data.to_builder().as_bytes()[..], bytes[..24]);
    }
    if let Ok(order) = big::Order::parse(bytes) {
        assert_eq!(order.to_builder().as_bytes()[..], bytes[..41]);
    }
    if let Ok(tick) = hft_tick::accept(bytes, 0) {
        // A signalling NaN need not keep its bits in every processor, so numbers are compared.
        let (again, price) = (tick.to_builder(), tick.price());
        let again = hft_tick::Tick::parse(again.as_bytes()).expect("14 bytes").price();
        assert!(again == price || again.is_nan() && price.is_nan());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_mutated_is_whole_before() {
        assert_eq!(Schema::parse(SMALL).expect("a schema").templates().len(), 1);
        assert_eq!(Dictionary::parse(SMALL_FIX).expect("a dictionary").messages().len(), 1);
    }
}
