//! Every interleaving of a writer and a reader on small rings, across the wrap of the indexes:
//! `RUSTFLAGS="--cfg loom" cargo test -p tickwire-rings --test loom --release`.
#![cfg(loom)]

use tickwire_rings::memory::plain_ring;

/// The writer tries `entries` pushes, the reader looks `looks` times; nobody waits, so that loom
/// can try everything. What was pushed must come out, in order, nothing else.
fn pass(size: u32, start: u32, entries: u64, burst: u64, looks: usize) {
    loom::model(move || {
        let (mut producer, mut consumer) = plain_ring::<u64>(size, start);
        let writer = loom::thread::spawn(move || {
            let mut pushed = 0;
            for _ in 0..entries {
                pushed += u64::from(producer.push(pushed));
                if pushed % burst == 0 {
                    producer.publish();
                }
            }
            producer.publish();
            pushed
        });
        let mut expected = 0;
        let mut drain = |looks| {
            for _ in 0..looks {
                while let Some(n) = consumer.pop() {
                    assert_eq!(n, expected);
                    expected += 1;
                }
                consumer.release();
            }
            expected
        };
        drain(looks);
        let pushed = writer.join().unwrap();
        assert!(pushed >= entries.min(u64::from(size)));
        assert_eq!(drain(1), pushed);
    });
}

#[test]
fn ring_of_one() {
    pass(1, u32::MAX, 3, 1, 2);
}

#[test]
fn ring_of_two_one_by_one() {
    pass(2, u32::MAX - 1, 4, 1, 2);
}

#[test]
fn ring_of_four_in_bursts() {
    pass(4, u32::MAX - 2, 6, 2, 2);
}

/// The flag and the ring form a Dekker pair: either the reader sees the entry before it sleeps,
/// or the writer sees the flag.
#[test]
fn nobody_sleeps_on_a_full_ring() {
    loom::model(|| {
        let (mut producer, mut consumer) = plain_ring::<u64>(2, u32::MAX);
        let writer = loom::thread::spawn(move || {
            assert!(producer.push(7));
            producer.publish();
            producer.needs_wakeup()
        });
        consumer.set_need_wakeup(true);
        let seen = consumer.available() > 0;
        assert!(writer.join().unwrap() || seen, "both missed each other");
    });
}
