//! Several files at once, their packets in the order of their times.
//!
//! Each file has an engine worker, which reads ahead of the others by a few batches; whoever
//! follows takes the packet that is the earliest of all.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use tickwire_engine::{Control, Job};
use tickwire_frame::{Batch, Flags, Frame, Ledger, LinkType, Mask, Timestamp};

/// Batches that wait for their turn, of each file.
const BATCHES_MAX: usize = 16;

/// The packets of a batch.
#[derive(Debug, Default)]
struct Held {
    link: LinkType,
    bytes: Vec<u8>,
    frames: Vec<Place>,
}

/// Where a packet ends among the bytes, and what is known of it.
#[derive(Debug)]
struct Place {
    timestamp: Timestamp,
    wire_len: u32,
    flags: Flags,
    end: usize,
}

/// Holds the packets of one file until they are taken. They count as delivered: who takes them says
/// what became of them.
pub struct HoldJob {
    sender: SyncSender<Held>,
    control: Arc<Control>,
}

impl Job for HoldJob {
    fn handle(&mut self, batch: &Batch<'_>, selected: Mask, ledger: &mut Ledger) {
        let mut held = Held { link: batch.link, ..Held::default() };
        for frame in batch.select(selected) {
            held.bytes.extend_from_slice(frame.bytes);
            let Frame { timestamp, wire_len, flags, .. } = frame;
            held.frames.push(Place { timestamp, wire_len, flags, end: held.bytes.len() });
        }
        ledger.delivered += selected.count() as u64;
        // Nobody takes them: the others have ended, or nothing more is wanted.
        if !held.frames.is_empty() && self.sender.send(held).is_err() {
            self.control.stop();
        }
    }
}

/// A file, and the batch of it whose turn it is.
#[derive(Debug)]
struct Ahead {
    receiver: Receiver<Held>,
    held: Held,
    /// The next one of it.
    next: usize,
}

/// The packets of all files.
#[derive(Debug)]
pub struct ByTime(Vec<Ahead>);

impl ByTime {
    /// For `files` files: a job for each, and what they hold.
    pub fn new(files: usize, control: &Arc<Control>) -> (Vec<HoldJob>, ByTime) {
        let file = |_| {
            let (sender, receiver) = sync_channel(BATCHES_MAX);
            let job = HoldJob { sender, control: Arc::clone(control) };
            (job, Ahead { receiver, held: Held::default(), next: 0 })
        };
        let (jobs, files) = (0..files).map(file).unzip();
        (jobs, ByTime(files))
    }

    /// The earliest packet that was not taken yet, and which file it is of; of the same time, that
    /// of the first file. Waits for slow files. `None` when all have ended.
    pub fn next(&mut self) -> Option<(usize, LinkType, Frame<'_>)> {
        let times = self.0.iter_mut().enumerate().filter_map(|(at, file)| Some((file.time()?, at)));
        let (_, at) = times.min()?;
        let (link, frame) = self.0[at].take();
        Some((at, link, frame))
    }
}

impl Ahead {
    /// When its next packet came.
    fn time(&mut self) -> Option<Timestamp> {
        if self.next == self.held.frames.len() {
            (self.held, self.next) = (self.receiver.recv().ok()?, 0);
        }
        self.held.frames.get(self.next).map(|place| place.timestamp)
    }

    /// Its next packet, which there is.
    fn take(&mut self) -> (LinkType, Frame<'_>) {
        let start = self.next.checked_sub(1).map_or(0, |before| self.held.frames[before].end);
        let &Place { timestamp, wire_len, flags, end } = &self.held.frames[self.next];
        self.next += 1;
        let bytes = &self.held.bytes[start..end];
        (self.held.link, Frame { bytes, wire_len, timestamp, flags })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_comes_first() {
        let control = Arc::new(Control::new(None, None));
        let (mut jobs, mut by_time) = ByTime::new(2, &control);
        let mut ledger = Ledger::default();
        for (job, times) in jobs.iter_mut().zip([&[1, 4, 4][..], &[2, 4, 9]]) {
            for &time in times {
                let (mut batch, bytes) = (Batch::new(), [time as u8; 3]);
                batch.push(Frame::new(&bytes[..2], Timestamp::from_nanos(time)));
                batch.push(Frame::new(&bytes, Timestamp::from_nanos(time)));
                job.handle(&batch, batch.all(), &mut ledger);
            }
        }
        drop(jobs);
        let mut taken = Vec::new();
        while let Some((file, _, frame)) = by_time.next() {
            assert!(frame.bytes.iter().all(|&byte| u64::from(byte) == frame.timestamp.as_nanos()));
            taken.push((file, frame.timestamp.as_nanos(), frame.bytes.len()));
        }
        let twice = |file, time| [(file, time, 2), (file, time, 3)];
        let expected =
            [twice(0, 1), twice(1, 2), twice(0, 4), twice(0, 4), twice(1, 4), twice(1, 9)];
        assert_eq!((taken, ledger.delivered), (expected.concat(), 12));
    }

    #[test]
    fn a_file_that_nobody_takes_ends() {
        let control = Arc::new(Control::new(None, None));
        let (mut jobs, by_time) = ByTime::new(1, &control);
        drop(by_time);
        let mut batch = Batch::new();
        batch.push(Frame::new(b"x", Timestamp::ZERO));
        jobs[0].handle(&batch, batch.all(), &mut Ledger::default());
        assert!(control.stopped());
    }
}
