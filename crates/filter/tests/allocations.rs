//! Selecting frames does not allocate, on any back end: a counting allocator over many batches.
//!
//! Counted per thread: the test harness has threads of its own that allocate when they like.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use tickwire_filter::generate::Packets;
use tickwire_filter::{Backend, Filter, Options};
use tickwire_frame::{Batch, Frame, Timestamp};

struct Counting;

thread_local! {
    // Without a destructor and with a constant start, so that using it does not allocate.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: hands every call on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    // SAFETY: the caller keeps the contract of `GlobalAlloc`, which is that of `System`.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    // SAFETY: the caller keeps the contract of `GlobalAlloc`, which is that of `System`.
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const FRAMES: usize = 2_000;
const EXPRESSIONS: [&str; 4] = [
    "udp dst port 5000 and dst net 10.0.0.0/8",
    "tcp port 80 or ip6 protochain 17",
    "tcp[12] >> 4 > 5 or less 70",
    "host 10.0.0.1 and not portrange 100-6000",
];

#[test]
fn selecting_does_not_allocate() {
    let mut packets = Packets::new(31);
    let frames: Vec<(Vec<u8>, u32)> = (0..FRAMES).map(|_| packets.packet()).collect();
    for text in EXPRESSIONS {
        for backend in [Backend::Auto, Backend::Vector, Backend::Native, Backend::Interpreter] {
            let filter = Filter::compile(text, &Options::default()).unwrap();
            let Ok(filter) = filter.with_backend(backend) else { continue };
            let mut batch = Batch::new();
            let before = ALLOCATIONS.get();
            let mut selected = 0;
            for (bytes, _) in &frames {
                if batch.is_full() {
                    batch.truncate(0);
                }
                batch.push(Frame::new(bytes, Timestamp::ZERO));
                selected += filter.select(&batch).count();
            }
            assert_eq!(ALLOCATIONS.get(), before, "{text} on {backend}");
            assert!(selected > 0, "{text} selects nothing");
        }
    }
    assert!(ALLOCATIONS.get() > 0, "the allocator counts");
}
