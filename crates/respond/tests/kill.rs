//! The kill switch against workers at full speed: nothing leaves after the call has returned.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use tickwire_respond::memory::Keys;
use tickwire_respond::{Batches, Memory, Settings};

/// How often it is pulled.
const PULLS: usize = 40;
/// How many orders a worker would send in a batch.
const BATCH: usize = 64;

/// A worker, as far as the switch is concerned.
fn work(memory: Memory<'_>, batches: &Batches, sent: &AtomicU64, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        batches.begin();
        for _ in 0..BATCH {
            if !memory.is_killed() {
                sent.fetch_add(1, Ordering::Relaxed);
            }
        }
        batches.end();
    }
}

#[test]
fn nothing_leaves_after_the_call_has_returned() {
    let keys = Keys::of(&Settings::default());
    let words: Vec<_> = (0..keys.words()).map(|_| AtomicU64::new(0)).collect();
    let memory = Memory::create(&words, &keys);
    let (batches, stop) = ([Batches::default(), Batches::default()], AtomicBool::new(false));
    let sent = [AtomicU64::new(0), AtomicU64::new(0)];
    let total = || sent.iter().map(|sent| sent.load(Ordering::Relaxed)).sum::<u64>();
    thread::scope(|scope| {
        for (batches, sent) in batches.iter().zip(&sent) {
            scope.spawn(|| work(memory, batches, sent, &stop));
        }
        let mut last = 0;
        for _ in 0..PULLS {
            // Until they send again.
            while total() == last {
                thread::yield_now();
            }
            memory.set_killed(true);
            for batches in &batches {
                let Some(batch) = batches.running() else { continue };
                while !batches.has_ended(batch) {
                    thread::yield_now();
                }
            }
            last = total();
            for _ in 0..3 {
                thread::yield_now();
                assert_eq!(total(), last, "sent after the call had returned");
            }
            memory.set_killed(false);
        }
        stop.store(true, Ordering::Relaxed);
    });
}
