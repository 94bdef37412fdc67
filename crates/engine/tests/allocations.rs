//! After start, the path of a packet does not allocate: a counting allocator over 10^6 packets.

mod common;
#[path = "../../frame/tests/counting/mod.rs"]
mod counting;

use common::{Scripted, Step};
use counting::allocations;
use tickwire_engine::{Control, Idle, Job, Published, Select, queue, run};
use tickwire_frame::{Batch, Ledger, Mask};

const PACKETS: u64 = 1_000_000;

/// A job that runs another and remembers how many allocations there were at its first batch.
struct Watched<J> {
    job: J,
    at_start: Option<u64>,
}

impl<J: Job> Job for Watched<J> {
    fn handle(&mut self, batch: &Batch<'_>, selected: Mask, ledger: &mut Ledger) {
        self.at_start.get_or_insert_with(allocations);
        self.job.handle(batch, selected, ledger);
    }
}

/// Runs `job` over a million packets; how many allocations there were after its first batch.
fn allocations_of(job: impl Job) -> u64 {
    let batches = (PACKETS / 64) as usize;
    let mut port = Scripted::new(vec![Step::Frames(64); batches]);
    let mut job = Watched { job, at_start: None };
    let (control, published) = (Control::default(), Published::default());
    let (ledger, result) =
        run(&mut port, &mut Select::everything(), &mut job, Idle::Sleep, &control, &published);
    let allocations = allocations() - job.at_start.expect("a batch came");
    result.expect("the port does not fail");
    assert_eq!(ledger.received, PACKETS);
    allocations
}

#[test]
fn a_million_packets_without_an_allocation() {
    assert_eq!(allocations_of(()), 0, "through the bare run loop");

    let (mut jobs, port) = queue(1, 1 << 20).expect("memory");
    assert_eq!(allocations_of(jobs.remove(0)), 0, "into a queue that overflows");
    drop(port);

    // The canary: the counter does count.
    struct Allocates;
    impl Job for Allocates {
        fn handle(&mut self, _: &Batch<'_>, selected: Mask, ledger: &mut Ledger) {
            std::hint::black_box(Box::new(selected));
            ledger.delivered += selected.count() as u64;
        }
    }
    assert_eq!(allocations_of(Allocates), PACKETS / 64);
}
