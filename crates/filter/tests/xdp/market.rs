//! The part of filters over fields of market data that XDP decides: random expressions on random
//! packets, many of them damaged. The kernel never rejects what user space accepts, and where all
//! of a packet is looked at, both say the same.
//!
//! A long run goes in slices, each with a seed of its own:
//!
//! ```text
//! TICKWIRE_AGREEMENT_EXPRESSIONS=2000 TICKWIRE_AGREEMENT_SEED=7 \
//!     cargo test --release -p tickwire-filter --test xdp market -- --nocapture
//! ```

use crate::support::{Loaded, PACKET_BYTES_MIN, may_load};
use tickwire_filter::ebpf::MESSAGES_MAX;
use tickwire_filter::generate::market::{FieldExpressions, MarketPackets};
use tickwire_filter::{Filter, Options, Packet};

const EXPRESSIONS: usize = if cfg!(debug_assertions) { 50 } else { 2_000 };
const PACKETS: usize = 60;
/// No packet of the generator has more messages.
const GENERATED_MAX: u32 = 7;

/// What the verifier may have to go through: a tenth of what it takes.
const VERIFIED_MAX: u32 = 200_000;

/// What was compared.
#[derive(Default, Debug)]
struct Tally {
    /// Filters that have a part for the kernel, and those of them that decide every packet.
    parts: usize,
    exact: usize,
    accepted: usize,
    rejected: usize,
    /// Packets of those that user space rejects that the kernel rejected.
    spared: usize,
    /// The most work for the verifier.
    verified_max: u32,
}

fn check(text: &str, packets: &mut MarketPackets, tally: &mut Tally) {
    let Ok(filter) = Filter::compile(text, &Options::default()) else { return };
    let Ok(part) = filter.xdp_part() else { return };
    let loaded = Loaded::new(&part.program);
    tally.verified_max = tally.verified_max.max(loaded.verified());
    let exact = match (part.rest, part.program.messages_max()) {
        (None, _) => true,
        (Some(_), Some(max)) => max >= GENERATED_MAX && !text.contains("fix."),
        (Some(_), None) => false,
    };
    tally.parts += 1;
    tally.exact += usize::from(exact);
    for _ in 0..PACKETS {
        let (bytes, _) = packets.packet();
        if bytes.len() < PACKET_BYTES_MIN {
            continue;
        }
        let want = filter.run(&Packet::whole(&bytes)) != 0;
        let got = loaded.accepts(&bytes);
        assert!(got || !want, "lost in the kernel: {text}\n{bytes:02x?}");
        assert!(!exact || got == want, "not decided by the kernel: {text}\n{bytes:02x?}");
        tally.accepted += usize::from(want);
        tally.rejected += usize::from(!want);
        tally.spared += usize::from(!got);
    }
}

fn setting(name: &str, otherwise: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn the_kernel_decides_fields_as_user_space_does() {
    if !may_load("the_kernel_decides_fields_as_user_space_does") {
        return;
    }
    let seed = setting("TICKWIRE_AGREEMENT_SEED", 3) as u64;
    let mut expressions = FieldExpressions::new(seed);
    let mut packets = MarketPackets::new(seed);
    let mut tally = Tally::default();
    for _ in 0..setting("TICKWIRE_AGREEMENT_EXPRESSIONS", EXPRESSIONS) {
        check(&expressions.tree().to_string(), &mut packets, &mut tally);
        // Simple ones are what users write.
        check(&expressions.field().to_string(), &mut packets, &mut tally);
    }
    println!("{tally:?}");
    assert!(tally.accepted > tally.parts && tally.rejected > tally.accepted, "{tally:?}");
    assert!(tally.verified_max < VERIFIED_MAX, "{tally:?}");
    assert!(2 * tally.exact > tally.parts && 4 * tally.spared > 3 * tally.rejected, "{tally:?}");
}

/// Deletes and one message to add an order of `AAPL`, the last of `count`.
fn packet(count: u32, last: u8) -> Vec<u8> {
    let mut payload = b"000010059B\0\0\0\0\0\0\0\x01".to_vec();
    payload.extend((count as u16).to_be_bytes());
    for at in 1..=count {
        let (letter, len) = if at == count { (last, 36) } else { (b'D', 19) };
        payload.extend([0, len, letter]);
        payload.extend(vec![b'x'; usize::from(len) - 1]);
        if letter == b'A' {
            let stock = payload.len() - 12;
            payload[stock..stock + 8].copy_from_slice(b"AAPL    ");
        }
    }
    let mut bytes = vec![1, 0, 0x5e, 54, 12, 111, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0];
    bytes.extend((28 + payload.len() as u16).to_be_bytes());
    bytes.extend([0, 0, 0x40, 0, 4, 17, 0, 0, 10, 0, 0, 1, 233, 54, 12, 111]);
    for field in [26_477, 26_477, 8 + payload.len() as u16, 0] {
        bytes.extend(field.to_be_bytes());
    }
    [bytes, payload].concat()
}

/// What is decided by messages is what the last that is looked at says; with more of them the
/// packet passes, unless one before decides it.
#[test]
fn more_messages_than_are_looked_at_pass() {
    if !may_load("more_messages_than_are_looked_at_pass") {
        return;
    }
    let symbol = r#"itch.stock == "AAPL""#;
    let twice = r#"itch.stock == "AAPL" and all(itch.type in {"A", "D"})"#;
    for (text, max) in [(symbol, MESSAGES_MAX), (twice, MESSAGES_MAX / 2)] {
        let filter = Filter::compile(text, &Options::default()).unwrap();
        let part = filter.xdp_part().unwrap();
        assert_eq!(part.program.messages_max(), Some(max), "{text}");
        assert!(part.rest.unwrap().contains(&format!("up to {max}")), "{text}");
        let loaded = Loaded::new(&part.program);
        assert!(loaded.verified() < VERIFIED_MAX, "{text}: {}", loaded.verified());
        for (count, last, accepts) in [
            (1, b'A', true),
            (1, b'P', false),
            (max, b'A', true),
            (max, b'D', false),
            (max + 1, b'A', true),
            (max + 1, b'D', true),
        ] {
            assert_eq!(loaded.accepts(&packet(count, last)), accepts, "{text}: {count}");
        }
        // Cut inside its last message, a packet has one less.
        let mut cut = packet(2, b'A');
        cut.pop();
        assert!(!loaded.accepts(&cut), "{text}");
    }
}
