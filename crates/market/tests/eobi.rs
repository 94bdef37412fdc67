//! EOBI against the tables of its specification, and every message written and read.

mod common;

use common::random_bytes;
use tickwire_market::eobi::{self, Message};
use tickwire_market::{Field, Value};

/// The longest message, without entries.
const LEN_MAX: usize = 128;

/// Tables by name: those of messages by their templates, and of entries.
fn tables() -> Vec<(String, &'static str, &'static [Field])> {
    use eobi::{
        InstrmtLegGrp, MDInstrumentEntryGrp, MDTradeEntryGrp, PacketHeader, SecMassStatGrp,
    };
    let header = (PacketHeader::TEMPLATE_ID, "PacketHeader", PacketHeader::FIELDS);
    let messages = Message::TEMPLATES.iter().chain([&header]);
    let messages = messages.map(|&(id, name, fields)| (id.to_string(), name, fields));
    let entries = [
        ("InstrmtLegGrp", InstrmtLegGrp::FIELDS),
        ("MDInstrumentEntryGrp", MDInstrumentEntryGrp::FIELDS),
        ("MDTradeEntryGrp", MDTradeEntryGrp::FIELDS),
        ("SecMassStatGrp", SecMassStatGrp::FIELDS),
    ];
    messages.chain(entries.map(|(name, fields)| ("-".into(), name, fields))).collect()
}

/// Whether our field is that of a line `name offset length type decimals`.
fn is_same(ours: &Field, theirs: &str) -> bool {
    let [name, offset, len, kind, decimals] = theirs.split(' ').collect::<Vec<_>>()[..] else {
        panic!("{theirs}")
    };
    let value = ours.value(&[1; LEN_MAX]).unwrap();
    let kind_is_same = match (kind, value) {
        ("String", value) => matches!(value, Value::Text(_)),
        ("floatDecimal", Value::Price { decimals: own, .. }) => own.to_string() == decimals,
        ("int", value) => !matches!(value, Value::Text(_) | Value::Price { .. }),
        _ => false,
    };
    let place = (ours.offset.to_string(), ours.len.to_string());
    kind_is_same
        && place == (offset.into(), len.into())
        && ours.name.replace('_', "") == name.to_lowercase()
}

#[test]
fn tables_are_those_of_the_specification() {
    let tables = tables();
    let mut compared = 0;
    for theirs in include_str!("golden/eobi.txt").split("\n\n") {
        let (heading, fields) = theirs.trim().split_once('\n').unwrap();
        let [template, len, name] = heading.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{heading}")
        };
        let ours = tables.iter().find(|ours| ours.1 == name).unwrap_or_else(|| panic!("no {name}"));
        let end: usize = ours.2.iter().map(|field| field.len).sum();
        assert_eq!((ours.0.as_str(), end.to_string().as_str()), (template, len), "{name}");
        assert_eq!(fields.lines().count(), ours.2.len(), "{name}");
        for (ours, theirs) in ours.2.iter().zip(fields.lines()) {
            assert!(is_same(ours, theirs.trim()), "{name}: {ours:?} is not {theirs}");
        }
        compared += 1;
    }
    assert_eq!(compared, tables.len());
}

#[test]
fn every_message_is_written_and_read() {
    for &(template, name, fields) in Message::TEMPLATES {
        let len: usize = fields.iter().map(|field| field.len).sum();
        for seed in 0..50 {
            let mut bytes = random_bytes::<LEN_MAX>(seed);
            bytes[2..4].copy_from_slice(&template.to_le_bytes());
            let message = Message::decode(&bytes).unwrap();
            assert_eq!(message.template_id(), template);
            assert_eq!(written(&message), bytes[..len], "{name}");
            for len in 0..len {
                assert_eq!(Message::decode(&bytes[..len]).unwrap_err().reason(), "truncated");
            }
        }
    }
}

/// A message built again, field by field.
fn written(message: &Message<'_>) -> Vec<u8> {
    macro_rules! written {
        ($($view:ident),*) => {
            match message {
                $( Message::$view(view) => view.to_builder().as_bytes().to_vec(), )*
                Message::Unknown(header) => panic!("{header:?}"),
            }
        };
    }
    written!(
        Heartbeat,
        OrderAdd,
        OrderModify,
        OrderDelete,
        OrderMassDelete,
        FullOrderExecution,
        PartialOrderExecution,
        OrderModifySamePrio,
        TradeReversal,
        TradeReport,
        ExecutionSummary,
        TESTradeReport,
        ProductStateChange,
        InstrumentStateChange,
        MassInstrumentStateChange,
        AddComplexInstrument,
        AddFlexibleInstrument,
        AddScaledSimpleInstrument,
        AuctionBBO,
        AuctionClearingPrice,
        CrossRequest,
        QuoteRequest,
        TopOfBook,
        ProductSummary,
        InstrumentSummary,
        SnapshotOrder
    )
}
