//! `tickwire feed` over packets of SBE, with a schema and without; and over messages without
//! numbers.

mod common;

use common::{Folder, pcap, run, udp_frame};
use serde_json::{Value, json};
use tickwire_market::sbe::MessageHeaderBuilder;
use tickwire_market::{UnixTime, hft_tick, mdp3, nanonet};

/// A template with a group, an enum and data.
const SCHEMA: &str = r#"<?xml version="1.0"?>
<messageSchema package="test" id="1" version="1" byteOrder="littleEndian">
  <types>
    <composite name="messageHeader">
      <type name="blockLength" primitiveType="uint16"/>
      <type name="templateId" primitiveType="uint16"/>
      <type name="schemaId" primitiveType="uint16"/>
      <type name="version" primitiveType="uint16"/>
    </composite>
    <composite name="groupSize">
      <type name="blockLength" primitiveType="uint16"/>
      <type name="numInGroup" primitiveType="uint8"/>
    </composite>
    <enum name="Action" encodingType="uint8">
      <validValue name="New">0</validValue>
      <validValue name="Delete">2</validValue>
    </enum>
  </types>
  <message name="Book" id="46">
    <field name="TransactTime" id="60" type="uint64"/>
    <group name="NoMDEntries" id="268" dimensionType="groupSize">
      <field name="MDEntrySize" id="271" type="int32"/>
      <field name="MDUpdateAction" id="279" type="Action"/>
    </group>
    <group name="NoOrders" id="37705" dimensionType="groupSize">
      <field name="OrderID" id="37" type="uint64"/>
    </group>
  </message>
</messageSchema>"#;

fn message(template_id: u16, block: &[u8], groups: &[u8]) -> Vec<u8> {
    let header = MessageHeaderBuilder::new().block_length(block.len() as u16).version(1);
    let header = header.template_id(template_id).schema_id(mdp3::SCHEMA_ID);
    [&header.as_bytes()[..], block, groups].concat()
}

fn packet(number: u32, messages: &[Vec<u8>]) -> Vec<u8> {
    let mut buffer = [0; 1024];
    let header = mdp3::PacketHeaderBuilder::new().msg_seq_num(number);
    let header = header.sending_time(UnixTime(1_700_000_000_000_000_000));
    let mut packet = mdp3::PacketBuilder::new(&mut buffer, &header).expect("room");
    messages.iter().for_each(|message| packet.push(message).expect("room"));
    udp_frame(packet.finish())
}

/// Packets 1, 2 and 4 of a channel: two entries and no order; an unknown template; no entries.
fn capture(folder: &Folder) -> String {
    let entries = b"\x05\0\x02\xff\xff\xff\xff\0\x07\0\0\0\x09\x08\0\0";
    let frames = [
        packet(1, &[message(46, &[1, 0, 0, 0, 0, 0, 0, 0], entries)]),
        packet(2, &[message(99, b"", b""), message(46, &[2, 0, 0, 0, 0, 0, 0, 0], &entries[..9])]),
        packet(4, &[message(46, &[3, 0, 0, 0, 0, 0, 0, 0], b"\x05\0\0\x08\0\0")]),
    ];
    folder.with("a.pcap", &pcap(&frames))
}

#[test]
fn a_schema_gives_names_fields_and_groups() {
    let folder = Folder::new("feed-sbe");
    let (file, schema) = (capture(&folder), folder.with("s.xml", SCHEMA.as_bytes()));
    let args = ["feed", "decode", "-r", &file, "--schema", &schema, "--json"];
    let ran = run(&args).expect_code(0);
    let lines = ran.text().lines().map(|line| serde_json::from_str(line).expect(line));
    let objects: Vec<Value> = lines.collect();
    let entries = json!([
        {"MDEntrySize": -1, "MDUpdateAction": 0},
        {"MDEntrySize": 7, "MDUpdateAction": 9},
    ]);
    assert_eq!(
        objects[0],
        json!({
            "time": 1_706_970_600_000_000_042_u64, "protocol": "mdp3", "sequence": 1,
            "message_type": "46", "name": "Book", "TransactTime": 1,
            "NoMDEntries": entries, "NoOrders": [],
        })
    );
    assert_eq!((&objects[1]["message_type"], &objects[1]["bytes"]), (&json!("99"), &json!(8)));
    // What is there of a message that is cut, and that it is.
    assert_eq!(objects[2]["NoMDEntries"][0], json!({"MDEntrySize": -1, "MDUpdateAction": 0}));
    assert_eq!((&objects[2]["fault"], &objects[2]["sequence"]), (&json!("truncated"), &json!(2)));
    assert_eq!((&objects[3]["NoMDEntries"], &objects[3]["NoOrders"]), (&json!([]), &json!([])));
    let ran = run(&args[..6]).expect_code(0);
    let first = ran.text().lines().next().unwrap_or_default();
    assert_eq!(
        first,
        "14:30:00.000000042          1 46 Book TransactTime=1 NoMDEntries[0].MDEntrySize=-1 \
         NoMDEntries[0].MDUpdateAction=New NoMDEntries[1].MDEntrySize=7 \
         NoMDEntries[1].MDUpdateAction=9"
    );
}

#[test]
fn packets_are_counted_and_missed_without_a_schema_too() {
    let folder = Folder::new("feed-sbe-stats");
    let (file, schema) = (capture(&folder), folder.with("s.xml", SCHEMA.as_bytes()));
    for more in [&[][..], &["--schema", &schema]] {
        let args = [&["feed", "stats", "-r", &file, "--json"], more].concat();
        let stats = run(&args).expect_code(0).summary();
        assert_eq!((&stats["packets"], &stats["messages"]), (&json!(3), &json!(4)));
        assert_eq!(stats["by_type"], json!({"46": 3, "99": 1}));
        assert_eq!((&stats["unknown"], &stats["malformed"]), (&json!(1), &json!(0)));
        // Numbers are those of packets.
        assert_eq!(stats["gaps"], json!([{"session": "-", "first": 3, "last": 3}]));
        assert_eq!((&stats["missing_messages"], &stats["duplicates"]), (&json!(1), &json!(0)));
    }
    let text = run(&["feed", "stats", "-r", &file, "--schema", &schema]).expect_code(0);
    for words in [["46", "3", "Book"], ["99", "1", "(unknown)"]] {
        let mut lines = text.text().lines();
        let found = lines.any(|line| line.split_whitespace().eq(words));
        assert!(found, "no '{words:?}' in {}", text.text());
    }
}

#[test]
fn a_schema_that_is_none_is_refused() {
    let folder = Folder::new("feed-sbe-refused");
    let (file, broken) = (capture(&folder), folder.with("s.xml", b"<messageSchema>"));
    let refused = |schema: &str, words: &[&str]| {
        run(&["feed", "stats", "-r", &file, "--schema", schema]).expect_message(1, words);
    };
    refused(&broken, &["s.xml: "]);
    refused("/nonexistent/s.xml", &["cannot read the schema /nonexistent/s.xml"]);
}

#[test]
fn messages_without_numbers_are_bound_and_decoded() {
    let folder = Folder::new("feed-lone");
    let tick = hft_tick::TickBuilder::new().instrument_id(7).price(1.5).quantity(f32::NAN);
    let data = nanonet::big::MarketDataBuilder::new().quantity(5);
    let frames = [udp_frame(tick.as_bytes()), udp_frame(&[0; 13])];
    let ticks = folder.with("ticks.pcap", &pcap(&frames));
    let data = folder.with("data.pcap", &pcap(&[udp_frame(data.as_bytes())]));
    let decode = |file: &str, more: &[&str]| {
        let ran = run(&[&["feed", "decode", "-r", file, "--json"], more].concat()).expect_code(0);
        assert_eq!(ran.text().lines().count(), 1, "{ran:?}");
        ran.summary()
    };
    let object = decode(&ticks, &["--bind", "26400=hft-tick"]);
    assert_eq!((&object["name"], &object["instrument_id"]), (&json!("Tick"), &json!(7)));
    assert_eq!((&object["price"], &object["quantity"]), (&json!(1.5), &Value::Null));
    let object = decode(&data, &["--protocol", "nanonet-big"]);
    assert_eq!((&object["name"], &object["quantity"]), (&json!("MarketData"), &json!(5)));
    // Nothing is guessed by a length alone, and what does not fit has a name.
    let stats = |more: &[&str]| {
        let args = [&["feed", "stats", "-r", &ticks, "--json"], more].concat();
        run(&args).expect_code(0).summary()
    };
    assert_eq!(stats(&[])["discarded"], json!({"not_market_data": 2}));
    let bound = stats(&["--protocol", "hft-tick"]);
    assert_eq!((&bound["messages"], &bound["truncated"]), (&json!(1), &json!(1)));
    assert_eq!(bound["discarded"], json!({"unreadable_feed": 1}));
}
