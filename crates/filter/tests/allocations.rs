//! Selecting frames does not allocate, on any back end: a counting allocator over many batches.

#[path = "../../frame/tests/counting/mod.rs"]
mod counting;

use counting::allocations;
use tickwire_filter::generate::Packets;
use tickwire_filter::generate::market::MarketPackets;
use tickwire_filter::{Backend, Filter, Options};
use tickwire_frame::{Batch, Frame, Timestamp};

const FRAMES: usize = 2_000;
const EXPRESSIONS: [&str; 4] = [
    "udp dst port 5000 and dst net 10.0.0.0/8",
    "tcp port 80 or ip6 protochain 17",
    "tcp[12] >> 4 > 5 or less 70",
    "host 10.0.0.1 and not portrange 100-6000",
];

const FIELDS: [&str; 3] = [
    "itch.stock == \"AAPL\" and moldudp64.sequence > 1000",
    "iex.price in {1..200, 300} or not all(itch.stock in {A, F, MSFT, ZIEXT, AAPL})",
    "all(itch.timestamp > 5) or iex.symbol == ZIEXT",
];

#[test]
fn asking_fields_does_not_allocate() {
    let mut packets = MarketPackets::new(32);
    let frames: Vec<(Vec<u8>, u32)> = (0..FRAMES).map(|_| packets.packet()).collect();
    check(&frames, &FIELDS);
}

#[test]
fn selecting_does_not_allocate() {
    let mut packets = Packets::new(31);
    let frames: Vec<(Vec<u8>, u32)> = (0..FRAMES).map(|_| packets.packet()).collect();
    check(&frames, &EXPRESSIONS);
}

fn check(frames: &[(Vec<u8>, u32)], expressions: &[&str]) {
    for text in expressions {
        for backend in [Backend::Auto, Backend::Vector, Backend::Native, Backend::Interpreter] {
            let filter = Filter::compile(text, &Options::default()).unwrap();
            let Ok(filter) = filter.with_backend(backend) else { continue };
            let mut batch = Batch::new();
            let before = allocations();
            let mut selected = 0;
            for (bytes, _) in frames {
                if batch.is_full() {
                    batch.truncate(0);
                }
                batch.push(Frame::new(bytes, Timestamp::ZERO));
                selected += filter.select(&batch).count();
            }
            assert_eq!(allocations(), before, "{text} on {backend}");
            assert!(selected > 0, "{text} selects nothing");
        }
    }
    assert!(allocations() > 0, "the allocator counts");
}
