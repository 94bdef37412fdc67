//! How workers are told to stop: by hand, at a time, or after so many packets.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tickwire_frame::{Batch, Mask};

/// Shared by all workers of one engine and by whoever may stop it.
#[derive(Debug)]
pub struct Control {
    stop: AtomicBool,
    full: AtomicBool,
    remaining: AtomicU64,
    limited: bool,
    deadline: Option<Instant>,
}

impl Control {
    /// Runs until [`stop`](Self::stop), or until `duration` has passed from now, or until
    /// `packets_max` packets were selected, whatever comes first.
    pub fn new(packets_max: Option<u64>, duration: Option<Duration>) -> Self {
        Control {
            stop: AtomicBool::new(false),
            full: AtomicBool::new(packets_max == Some(0)),
            remaining: AtomicU64::new(packets_max.unwrap_or(u64::MAX)),
            limited: packets_max.is_some(),
            deadline: duration.and_then(|duration| Instant::now().checked_add(duration)),
        }
    }

    /// Asks every worker to drain its port and end. Returns at once.
    pub fn stop(&self) {
        self.stop.store(true, Relaxed);
    }

    /// Whether somebody asked to stop, or the number of packets is reached.
    #[inline]
    pub fn stopped(&self) -> bool {
        self.stop.load(Relaxed) || self.full.load(Relaxed)
    }

    /// Whether the number of packets is reached: frames that still wait in a port are none of ours.
    pub fn full(&self) -> bool {
        self.full.load(Relaxed)
    }

    /// Stops when the time is over. For once a tick: `now` is the caller's clock reading.
    pub fn check_deadline(&self, now: Instant) {
        if self.deadline.is_some_and(|deadline| now >= deadline) {
            self.stop();
        }
    }

    /// Takes the `selected` frames out of what remains to be captured. When fewer remain, cuts the
    /// batch after the last frame that is still wanted, and stops.
    #[inline]
    pub fn admit(&self, batch: &mut Batch<'_>, selected: Mask) -> Mask {
        if self.limited { self.admit_limited(batch, selected) } else { selected }
    }

    fn admit_limited(&self, batch: &mut Batch<'_>, selected: Mask) -> Mask {
        let wanted = selected.count() as u64;
        let before = self
            .remaining
            .fetch_update(Relaxed, Relaxed, |remaining| Some(remaining.saturating_sub(wanted)))
            .expect("the update always gives a value");
        if before > wanted {
            return selected;
        }
        self.full.store(true, Relaxed);
        let end = match before {
            0 => 0,
            _ => selected.into_iter().nth(before as usize - 1).map_or(batch.len(), |last| last + 1),
        };
        batch.truncate(end);
        selected & batch.all()
    }
}

impl Default for Control {
    fn default() -> Self {
        Control::new(None, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tickwire_frame::Frame;

    fn batch(len: usize) -> Batch<'static> {
        let mut batch = Batch::new();
        for _ in 0..len {
            batch.push(Frame::default());
        }
        batch
    }

    #[test]
    fn without_a_limit_all_pass() {
        let control = Control::default();
        let mut frames = batch(64);
        assert_eq!(control.admit(&mut frames, Mask(u64::MAX)), Mask(u64::MAX));
        assert!(!control.stopped());
    }

    #[test]
    fn the_batch_is_cut_after_the_last_wanted_frame() {
        let control = Control::new(Some(3), None);
        let mut frames = batch(10);
        assert_eq!(control.admit(&mut frames, Mask(0b10)), Mask(0b10));
        assert!(!control.stopped());
        // Two remain; of the selected frames 1, 4 and 6 the first two are taken.
        assert_eq!(control.admit(&mut frames, Mask(0b101_0010)), Mask(0b1_0010));
        assert_eq!(frames.len(), 5);
        assert!(control.stopped() && control.full());
        assert_eq!(control.admit(&mut frames, Mask(1)), Mask::EMPTY);
        assert!(frames.is_empty());
    }

    #[test]
    fn an_exact_hit_stops_too() {
        let control = Control::new(Some(2), None);
        let mut frames = batch(4);
        assert_eq!(control.admit(&mut frames, Mask(0b11)).count(), 2);
        assert!(control.full());
        // What follows the last wanted frame in the batch was not received.
        assert_eq!(frames.len(), 2);
        assert!(Control::new(Some(0), None).stopped());
    }

    #[test]
    fn the_deadline_stops() {
        let control = Control::new(None, Some(Duration::ZERO));
        assert!(!control.stopped());
        control.check_deadline(Instant::now());
        assert!(control.stopped() && !control.full());
    }
}
