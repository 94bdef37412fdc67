//! Workers that hand their frames to a stage: the sum over all of them is exact.

mod common;

use common::{Scripted, Step};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tickwire_engine::{Control, Engine, Idle, Job, Role, Select, Worker, queue};
use tickwire_frame::{Batch, Ledger, Mask, Reason};

/// Delivers, slowly, and counts what it saw.
struct Slow(Arc<AtomicU64>, Duration);

impl Job for Slow {
    fn handle(&mut self, batch: &Batch<'_>, selected: Mask, ledger: &mut Ledger) {
        std::thread::sleep(self.1);
        self.0.fetch_add(batch.select(selected).count() as u64, Ordering::Relaxed);
        ledger.delivered += selected.count() as u64;
    }
}

fn engine_of_two(batches: usize, ring_bytes: usize, pause: Duration) -> (Ledger, u64) {
    let seen = Arc::new(AtomicU64::new(0));
    let (jobs, port) = queue(2, ring_bytes).expect("memory");
    let mut workers: Vec<Worker> = jobs
        .into_iter()
        .enumerate()
        .map(|(number, job)| Worker {
            name: format!("rx-{number}"),
            port: Box::new(Scripted::new(vec![Step::Frames(64); batches])),
            select: Select::everything(),
            job: Box::new(job),
            core: None,
            idle: Idle::Sleep,
            role: Role::Source,
        })
        .collect();
    workers.push(Worker {
        name: "writer".into(),
        port: Box::new(port),
        select: Select::everything(),
        job: Box::new(Slow(Arc::clone(&seen), pause)),
        core: None,
        idle: Idle::Sleep,
        role: Role::Stage,
    });
    let outcome = Engine::start(workers, Arc::new(Control::default())).expect("starts").join();
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    assert_eq!(outcome.workers.len(), 3);
    (outcome.ledger, seen.load(Ordering::Relaxed))
}

#[test]
fn all_arrive_when_there_is_room() {
    let (ledger, seen) = engine_of_two(100, 4 << 20, Duration::ZERO);
    assert_eq!(ledger.received, 12_800);
    assert_eq!((ledger.delivered, seen, ledger.difference()), (12_800, 12_800, 0));
}

#[test]
fn a_slow_stage_costs_named_frames_and_no_others() {
    let (ledger, seen) = engine_of_two(200, 1 << 14, Duration::from_millis(1));
    assert_eq!(ledger.received, 25_600);
    let full = ledger.discarded[Reason::OutputQueueFull];
    assert!(full > 0);
    assert_eq!(ledger.delivered, seen);
    assert_eq!(ledger.delivered + full, 25_600);
    assert_eq!(ledger.difference(), 0);
}
