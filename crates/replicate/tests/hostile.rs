//! Hostile frames through both fan-outs: nothing panics, everything is accounted for.
//!
//! 20 000 frames of each kind, or as many as TICKWIRE_HOSTILE_FRAMES says.

mod common;

use common::*;
use tickwire_engine::Job;
use tickwire_frame::{Batch, Frame, Ledger, LinkType, Timestamp};
use tickwire_fuzz::mutate::Mutator;
use tickwire_fuzz::replicate::samples;
use tickwire_replicate::{SourceAddress, Subscriber, Table};

fn frames_max() -> u64 {
    let asked = std::env::var("TICKWIRE_HOSTILE_FRAMES").ok();
    asked.and_then(|count| count.parse().ok()).unwrap_or(20_000)
}

fn subscribers(link: LinkType) -> Table {
    let keep = Subscriber { source: SourceAddress::Keep, ..subscriber("10.0.0.2:2") };
    let filtered = Subscriber { filter: Some("udp[9] > 99".into()), ..subscriber("10.0.0.3:3") };
    // The feed of the fuzzer's samples.
    table("239.1.1.2:5000", &[subscriber("[2001:db8::1]:1"), keep, filtered], link)
}

fn survives(job: &mut dyn Job, table: &Table, link: LinkType, seed: u64) {
    let mut mutator = Mutator::new(samples(), seed);
    let mut ledger = Ledger::default();
    let mut held: Vec<(Vec<u8>, u32)> = Vec::new();
    for index in 0..frames_max() {
        let packet = mutator.nth(seed, index);
        held.push((packet.bytes.to_vec(), packet.wire_len));
        if held.len() < 64 {
            continue;
        }
        let mut batch = Batch::new();
        batch.link = link;
        for (bytes, wire_len) in &held {
            batch.push(Frame { wire_len: *wire_len, ..Frame::new(bytes, Timestamp::ZERO) });
        }
        ledger.receive(&batch);
        job.handle(&batch, batch.all(), &mut ledger);
        assert_eq!(ledger.difference(), 0, "seed {seed}, up to frame {index}");
        held.clear();
    }
    let (_, feed) = table.feeds().next().unwrap();
    assert!(feed.copied > 100 && ledger.malformed.total() > 100, "{ledger:?}");
    assert_eq!(feed.copied, ledger.delivered);
    for listed in table.list("feed").unwrap() {
        assert_eq!(listed.counts.offered(), feed.copied, "{:?}", listed.subscriber);
    }
}

#[test]
fn hostile_frames_are_accounted_for() {
    let memory = Shared::default();
    let table = subscribers(LinkType::ETHERNET);
    survives(&mut frames_to(&memory, &table), &table, LinkType::ETHERNET, 1);
    let table = subscribers(LinkType::RAW);
    survives(&mut datagrams_to(&memory, &table), &table, LinkType::RAW, 2);
}
