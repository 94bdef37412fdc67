//! What is published is what was pushed: random messages, times and limits, seeded.

mod common;

use common::Random;
use tickwire_market::moldudp64::{Kind, Packet, Session};
use tickwire_market::publish::{Limits, Published, Publisher};

/// What came out of a publisher, checked packet by packet.
struct Receiver {
    limits: Limits,
    session: Session,
    messages: Vec<Vec<u8>>,
    /// When each message was pushed.
    pushed_ns: Vec<u64>,
    latest_ns: Option<u64>,
}

impl Receiver {
    fn receive(&mut self, published: Published<'_>) {
        let packet = Packet::parse(published.payload).unwrap();
        let first = self.messages.len();
        assert_eq!((packet.session(), packet.sequence_number()), (self.session, first as u64 + 1));
        assert!(published.payload.len() <= self.limits.payload_bytes_max);
        assert!(packet.message_count() <= self.limits.messages_max);
        self.messages.extend(packet.messages().map(|message| message.unwrap().bytes.to_vec()));
        let Published { at_ns, messages, .. } = published;
        assert_eq!(usize::from(messages), self.messages.len() - first);
        // Times go on, nothing waits longer than it may, and silence is no longer than asked.
        let latest_ns = self.latest_ns.unwrap_or(at_ns);
        assert!(latest_ns <= at_ns && at_ns - latest_ns <= self.longest_silence_ns(messages > 0));
        for pushed_ns in &self.pushed_ns[first..self.messages.len()] {
            assert!((*pushed_ns..=pushed_ns + self.limits.flush_ns).contains(&at_ns));
        }
        self.latest_ns = Some(at_ns);
    }

    fn longest_silence_ns(&self, has_messages: bool) -> u64 {
        let Limits { flush_ns, heartbeat_ns, .. } = self.limits;
        if has_messages { heartbeat_ns.saturating_add(flush_ns) } else { heartbeat_ns }
    }
}

fn run(seed: u64) {
    let mut random = Random(seed);
    let limits = Limits {
        payload_bytes_max: 60 + random.below(300) as usize,
        messages_max: 1 + random.below(12) as u16,
        flush_ns: random.below(200),
        heartbeat_ns: 300 + random.below(1_000),
    };
    let session = Session::new("RANDOM").unwrap();
    let mut publisher = Publisher::new(session, limits).unwrap();
    let (messages, pushed_ns) = (Vec::new(), Vec::new());
    let mut receiver = Receiver { limits, session, messages, pushed_ns, latest_ns: None };
    let (mut at_ns, mut expected) = (random.below(1_000), Vec::new());
    for number in 0..2_000_u32 {
        at_ns += match random.below(10) {
            0 => random.below(5_000),
            1..=6 => random.below(40),
            _ => 0,
        };
        let mut message = number.to_be_bytes().to_vec();
        message.resize(4 + random.below(34) as usize, number as u8);
        while let Some(packet) = publisher.before(at_ns, message.len()) {
            receiver.receive(packet);
        }
        publisher.push(at_ns, &message).unwrap();
        receiver.pushed_ns.push(at_ns);
        expected.push(message);
    }
    if let Some(packet) = publisher.flush() {
        receiver.receive(packet);
    }
    assert!(receiver.messages == expected, "seed {seed}");
    let end = Packet::parse(publisher.end(at_ns).payload).unwrap().kind();
    assert_eq!((end, publisher.next_sequence()), (Kind::EndOfSession, 2_001));
}

#[test]
fn every_message_comes_once_in_order_and_in_time() {
    (0..200).for_each(run);
}
