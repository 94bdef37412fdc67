//! As `allocations.rs`, of what is read by a schema or a dictionary.

#[path = "../../frame/tests/counting/mod.rs"]
mod counting;

use counting::allocations;
use std::hint::black_box;
use tickwire_market::fix::dictionary::{Dictionary, Item};
use tickwire_market::fix::{Frames, MessageBuilder};
use tickwire_market::sbe::{self, Decoded, Schema, Writer};
use tickwire_market::{Value, mdp3};

const PACKETS: u64 = 1_000;

#[test]
fn messages_by_a_schema_do_not_allocate() {
    let schema = Schema::parse(include_str!("golden/sbe.xml")).unwrap();
    let template = schema.template(2).unwrap();
    let size = template.body().field("size").unwrap();
    let entries = template.body().group("entries").unwrap();
    let orders = entries.body().group("orders").unwrap();
    let order_id = orders.body().field("orderId").unwrap();
    let mut buffer = vec![0; 4096];
    let before = allocations();
    let (mut sum, mut items) = (0, 0);
    for number in 0..PACKETS {
        let mut writer = Writer::new(&mut buffer, &schema, template).unwrap();
        writer.field(size, Value::Signed(number as i64)).unwrap();
        writer.group(entries).unwrap();
        for _ in 0..2 {
            writer.entry(entries).unwrap();
            writer.group(orders).unwrap();
            writer.entry(orders).unwrap();
            writer.field(order_id, Value::Unsigned(number)).unwrap();
        }
        let Ok(Decoded::Known(message)) = schema.decode(writer.finish().unwrap()) else {
            continue;
        };
        let walked = message.walk(|path, item| {
            items += u64::from(matches!(item, sbe::Item::Field(..)) && path.steps().len() == 2);
        });
        assert!(walked.is_ok());
        for entry in message.root().entries(entries).unwrap() {
            for order in entry.unwrap().entries(orders).unwrap() {
                sum += u64::from(order.unwrap().value(order_id) == Some(Value::Unsigned(number)));
            }
        }
    }
    assert_eq!(allocations(), before);
    assert_eq!((sum, items), (2 * PACKETS, 2 * PACKETS));
}

#[test]
fn messages_of_mdp3_do_not_allocate() {
    let mut buffer = vec![0; 1472];
    let mut block = b"\x0b\0\x2e\0\x01\0\x0d\0".to_vec();
    block.extend(mdp3::IncrementalBuilder::new().as_bytes());
    block.extend(b"\x20\0\x01");
    block.extend(mdp3::BookEntry46Builder::new().rpt_seq(7).as_bytes());
    let before = allocations();
    let mut sum = 0;
    for number in 0..PACKETS as u32 {
        let header = mdp3::PacketHeaderBuilder::new().msg_seq_num(number);
        let mut packet = mdp3::PacketBuilder::new(&mut buffer, &header).unwrap();
        (0..20).for_each(|_| packet.push(&block).unwrap());
        for header in mdp3::Packet::parse(packet.finish()).unwrap().messages() {
            let message = mdp3::Message::decode(header.unwrap()).unwrap();
            let mdp3::Message::Book46(_, entries, _) = message else { continue };
            sum += entries.map(|entry| u64::from(black_box(entry).rpt_seq())).sum::<u64>();
        }
    }
    assert_eq!(allocations(), before);
    assert_eq!(sum, PACKETS * 20 * 7);
}

#[test]
fn messages_by_a_dictionary_do_not_allocate() {
    let dictionary = Dictionary::parse(include_str!("golden/fix.xml")).unwrap();
    let mut buffer = vec![0; 256];
    let before = allocations();
    let (mut fields, mut faults) = (0, 0);
    for sequence in 0..PACKETS {
        let mut builder = MessageBuilder::new(&mut buffer, "FIX.4.4", "D").unwrap();
        builder.field(34, sequence).unwrap().field(55, "INTC").unwrap();
        builder.field(453, 1).unwrap().field(448, "X").unwrap();
        for message in Frames::new(builder.finish()) {
            dictionary.walk(&message.unwrap(), |item| match item {
                Item::Field { .. } => fields += 1,
                Item::Fault(_) => faults += 1,
            });
        }
    }
    assert_eq!(allocations(), before);
    // 8, 9, 35, 34, 55, 453, 448, 10; neither 11 nor 54.
    assert_eq!((fields, faults), (PACKETS * 8, PACKETS * 2));
}
