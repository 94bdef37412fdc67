//! Hands frames to a slower thread without ever making the receiving one wait.
//!
//! ```text
//! worker A: port ─► QueueJob ─► ring ─┐
//! worker B: port ─► QueueJob ─► ring ─┴─► QueuePort ─► writer or printer (a stage)
//! ```
//!
//! Each frame is copied once, into a ring of bytes. A full ring is a named loss of the worker;
//! what is in the ring is in no ledger until the stage settles it.

use crate::Job;
use std::collections::TryReserveError;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;
use std::time::Duration;
use tickwire_capture::{Mode, Port, PortError, Received, Sent};
use tickwire_frame::{Batch, Ledger, Mask, Reason, Timestamp};
use tickwire_rings::spsc::{FrameConsumer, FrameProducer, PushError, frame_ring};

/// Wakes the reader of the rings when it sleeps.
#[derive(Debug, Default)]
struct Bell {
    reader: OnceLock<Thread>,
    sleeping: AtomicBool,
}

impl Bell {
    /// Called after a publish: one load, and a wake-up only when the reader sleeps.
    #[inline]
    fn ring(&self) {
        // The publish must be visible before we look: the reader does the same two steps the
        // other way round, so at least one of us sees the other.
        fence(Ordering::SeqCst);
        if self.sleeping.load(Ordering::Relaxed) {
            self.sleeping.store(false, Ordering::Relaxed);
            self.reader.get().inspect(|reader| reader.unpark());
        }
    }
}

/// `workers` jobs that copy their frames into a ring of `ring_bytes` each, and the port that reads
/// all the rings: in order within a worker, merged by time between workers as far as both have
/// frames waiting.
///
/// # Errors
/// There is no memory for the rings.
pub fn queue(
    workers: usize,
    ring_bytes: usize,
) -> Result<(Vec<QueueJob>, QueuePort), TryReserveError> {
    let bell = Arc::new(Bell::default());
    let (mut jobs, mut rings) = (Vec::new(), Vec::new());
    for _ in 0..workers {
        let (ring, reader) = frame_ring(ring_bytes)?;
        jobs.push(QueueJob { ring: Some(ring), bell: Arc::clone(&bell) });
        rings.push(reader);
    }
    Ok((jobs, QueuePort { rings, bell }))
}

/// The worker's end. A frame that finds no room is discarded as [`Reason::OutputQueueFull`].
#[derive(Debug)]
pub struct QueueJob {
    /// `None` after the end: the reader sees that nothing more will come.
    ring: Option<FrameProducer>,
    bell: Arc<Bell>,
}

impl Job for QueueJob {
    fn handle(&mut self, batch: &Batch<'_>, selected: Mask, ledger: &mut Ledger) {
        let Some(ring) = &mut self.ring else {
            return ledger.discard(Reason::OutputQueueFull, selected.count() as u64);
        };
        for frame in batch.select(selected) {
            match ring.push(&frame, batch.link, batch.interface) {
                Ok(()) => {}
                Err(PushError::Full) => ledger.discard(Reason::OutputQueueFull, 1),
                Err(PushError::TooLong) => ledger.discard(Reason::TooLong, 1),
            }
        }
        ring.publish();
        self.bell.ring();
    }

    fn finish(&mut self, _: &mut Ledger) {
        self.ring = None;
        self.bell.ring();
    }
}

impl Drop for QueueJob {
    fn drop(&mut self) {
        self.ring = None;
        self.bell.ring();
    }
}

/// The stage's end: a port that reads the rings of all workers, and ends when they have.
#[derive(Debug)]
pub struct QueuePort {
    rings: Vec<FrameConsumer>,
    bell: Arc<Bell>,
}

impl QueuePort {
    /// The ring whose next frame is the oldest, and the time of the oldest frame in another ring.
    fn oldest(&mut self) -> Option<(usize, Timestamp)> {
        let mut oldest = None;
        let mut second = Timestamp::from_nanos(u64::MAX);
        for (index, ring) in self.rings.iter_mut().enumerate() {
            let Some(time) = ring.next_timestamp() else { continue };
            match oldest {
                Some((_, first)) if time >= first => second = second.min(time),
                Some((_, first)) => (oldest, second) = (Some((index, time)), first),
                None => oldest = Some((index, time)),
            }
        }
        oldest.map(|(index, _)| (index, second))
    }

    fn is_closed(&self) -> bool {
        self.rings.iter().all(FrameConsumer::is_closed)
    }
}

impl Port for QueuePort {
    fn receive<'p>(&'p mut self, batch: &mut Batch<'p>) -> Result<Received, PortError> {
        // Asked first: what was pushed before the last worker left is then seen below.
        let closed = self.is_closed();
        match self.oldest() {
            Some((index, until)) => {
                self.rings[index].receive(batch, until);
                Ok(Received::Frames)
            }
            None if closed => Ok(Received::End),
            None => Ok(Received::Idle),
        }
    }

    fn wait(&mut self, timeout: Duration) -> Result<(), PortError> {
        self.bell.reader.get_or_init(std::thread::current);
        self.bell.sleeping.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if self.oldest().is_none() && !self.is_closed() {
            std::thread::park_timeout(timeout);
        }
        self.bell.sleeping.store(false, Ordering::Relaxed);
        Ok(())
    }

    fn transmit(&mut self, _: &[&[u8]]) -> Result<Sent, PortError> {
        Err(PortError::Unsupported {
            what: "a queue between workers does not transmit".into(),
            cure: String::new(),
        })
    }

    fn tick(&mut self, _: &mut Ledger) -> Result<(), PortError> {
        Ok(())
    }

    fn quiesce(&mut self) -> Result<(), PortError> {
        Ok(())
    }

    fn mode(&self) -> Mode {
        Mode { port: "queue", mode: format!("{} rings", self.rings.len()), why: String::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tickwire_frame::Frame;

    fn push(job: &mut QueueJob, time: u64, count: usize, size: usize) -> Ledger {
        let bytes = vec![0; size];
        let mut batch = Batch::new();
        for _ in 0..count {
            batch.push(Frame::new(&bytes, Timestamp::from_nanos(time)));
        }
        let mut ledger = Ledger::default();
        ledger.receive(&batch);
        job.handle(&batch, batch.all(), &mut ledger);
        ledger
    }

    #[test]
    fn rings_are_merged_by_time() {
        let (mut jobs, mut port) = queue(3, 1 << 16).expect("memory");
        for (ring, time) in [(0, 20), (1, 10), (1, 30), (0, 40), (2, 25), (1, 50)] {
            push(&mut jobs[ring], time, 2, 60);
        }
        let mut order = Vec::new();
        loop {
            let mut batch = Batch::new();
            match port.receive(&mut batch).expect("a queue does not fail") {
                Received::Frames => order.extend(batch.iter().map(|f| f.timestamp.as_nanos())),
                Received::Idle => jobs.clear(),
                Received::End => break,
            }
        }
        assert_eq!(order, [10, 10, 20, 20, 25, 25, 30, 30, 40, 40, 50, 50]);
    }

    #[test]
    fn what_finds_no_room_is_named() {
        let (mut jobs, _port) = queue(1, 4096).expect("memory");
        let ledger = push(&mut jobs[0], 0, 64, 100);
        let full = ledger.discarded[Reason::OutputQueueFull];
        assert!((1..64).contains(&full), "{full}");
        // The rest is with the reader.
        assert_eq!(ledger.difference(), 64 - full as i64);
        let ledger = push(&mut jobs[0], 0, 1, 3000);
        assert_eq!(ledger.discarded[Reason::TooLong], 1);
    }

    #[test]
    fn a_sleeping_reader_is_woken() {
        let (mut jobs, mut port) = queue(1, 4096).expect("memory");
        let reader = std::thread::spawn(move || {
            let started = std::time::Instant::now();
            let mut batch = Batch::new();
            while port.receive(&mut batch).expect("a queue does not fail") == Received::Idle {
                port.wait(Duration::from_secs(20)).expect("a queue does not fail");
                batch = Batch::new();
            }
            started.elapsed()
        });
        std::thread::sleep(Duration::from_millis(50));
        push(&mut jobs[0], 1, 1, 60);
        assert!(reader.join().expect("the reader ends well") < Duration::from_secs(10));
    }
}
