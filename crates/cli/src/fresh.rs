//! After a stall, what has waited for too long is not sent any more.
//!
//! While a link is down nothing waits: its copies are discarded at once. What waits is what arrives
//! while this process does not run: stopped, starved, or its whole machine frozen. It would go on
//! with prices that are seconds old, as if they were new.
//!
//! A burst is no stall: what arrives faster than copies can be made waits for as long as it takes,
//! since a gap costs a subscriber more than a delay of some milliseconds.

use std::time::{Duration, Instant};
use tickwire_engine::Job;
use tickwire_frame::{Batch, Ledger, Mask, Reason, Timestamp};

/// Who was away for so long, in milliseconds, was stalled. A worker shows up ten times a second,
/// and the time that a batch takes does not count.
const STALL_MS_MIN: u64 = 500;

/// A job that gets nothing that waited for too long during a stall.
#[derive(Debug)]
pub struct Fresh<J> {
    job: J,
    waiting: Waiting,
}

/// What is known of the frames that wait.
#[derive(Debug)]
struct Waiting {
    age_max: Duration,
    /// Whether the times of frames say when they arrived; if not, they say when they were read.
    timed: bool,
    /// When the worker was last seen.
    alive: Instant,
    /// When the last stall was over, until all that waited has come.
    resumed: Option<Timestamp>,
}

impl<J: Job> Fresh<J> {
    /// Hands on to `job` what waited for `age_max` at most. With frames that are not `timed`, whose
    /// port does not know when they arrived, that is nothing that waited when a stall was over.
    pub fn new(job: J, age_max: Duration, timed: bool) -> Fresh<J> {
        let waiting = Waiting { age_max, timed, alive: Instant::now(), resumed: None };
        Fresh { job, waiting }
    }
}

impl Waiting {
    /// The worker is here.
    #[inline]
    fn show_up(&mut self, now: Instant) {
        let away = now.saturating_duration_since(self.alive);
        self.alive = now;
        if away >= Duration::from_millis(STALL_MS_MIN) {
            self.resumed = Some(Timestamp::now());
        }
    }

    /// The frames of `batch` that waited for too long.
    #[inline]
    fn too_old(&mut self, batch: &Batch<'_>) -> Mask {
        match self.resumed {
            None => Mask::EMPTY,
            Some(resumed) => self.judge(batch, resumed),
        }
    }

    #[cold]
    fn judge(&mut self, batch: &Batch<'_>, resumed: Timestamp) -> Mask {
        let mut old = Mask::EMPTY;
        for (at, &arrived) in batch.timestamps().iter().enumerate() {
            old.set_if(at, !self.timed || resumed.since(arrived) > self.age_max);
        }
        let last = batch.timestamps().last();
        let over = match self.timed {
            true => last.is_some_and(|&arrived| arrived >= resumed),
            // The port has no more for now.
            false => !batch.is_full(),
        };
        if over {
            self.resumed = None;
        }
        old
    }
}

impl<J: Job> Job for Fresh<J> {
    fn handle(&mut self, batch: &Batch<'_>, selected: Mask, ledger: &mut Ledger) {
        self.waiting.show_up(Instant::now());
        let old = self.waiting.too_old(batch) & selected;
        ledger.discard(Reason::TooOld, old.count() as u64);
        self.job.handle(batch, selected.without(old), ledger);
        self.waiting.alive = Instant::now();
    }

    fn tick(&mut self, ledger: &mut Ledger) {
        if !self.waiting.timed {
            // Since the tick before, the port has been asked for all that it had.
            self.waiting.resumed = None;
        }
        self.waiting.show_up(Instant::now());
        self.job.tick(ledger);
    }

    fn finish(&mut self, ledger: &mut Ledger) {
        self.job.finish(ledger);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tickwire_frame::{FRAMES_MAX, Frame};

    const AGE: Duration = Duration::from_millis(5);

    fn batch(ages_ms: &[u64]) -> Batch<'static> {
        let (now, mut batch) = (Timestamp::now().as_nanos(), Batch::new());
        for ms in ages_ms {
            batch.push(Frame::new(b"x", Timestamp::from_nanos(now - ms * 1_000_000)));
        }
        batch
    }

    /// What of `batch` is handed on; the sum is checked.
    fn delivered(job: &mut Fresh<()>, batch: &Batch<'_>) -> u64 {
        let mut ledger = Ledger::default();
        ledger.receive(batch);
        job.handle(batch, batch.all(), &mut ledger);
        assert_eq!(ledger.difference(), 0);
        assert_eq!(ledger.discarded[Reason::TooOld], ledger.discarded.total());
        ledger.delivered
    }

    /// As if the worker had been away.
    fn stall(job: &mut Fresh<()>) {
        let stall = Duration::from_millis(STALL_MS_MIN);
        job.waiting.alive = job.waiting.alive.checked_sub(stall).expect("up for long enough");
    }

    #[test]
    fn a_burst_is_no_stall() {
        for timed in [true, false] {
            let mut job = Fresh::new((), AGE, timed);
            assert_eq!(delivered(&mut job, &batch(&[400, 20, 6, 0])), 4);
        }
    }

    #[test]
    fn what_waited_is_too_old_also_when_a_tick_came_first() {
        for ticks in [0, 1, 3] {
            let mut job = Fresh::new((), AGE, true);
            stall(&mut job);
            (0..ticks).for_each(|_| job.tick(&mut Ledger::default()));
            assert_eq!(delivered(&mut job, &batch(&[900, 400, 300])), 0);
            assert_eq!(delivered(&mut job, &batch(&[300, 2, 1])), 2);
            // One that arrived later: everything is as before.
            let later = Timestamp::from_nanos(Timestamp::now().as_nanos() + 1_000_000);
            let mut fresh = batch(&[]);
            fresh.push(Frame::new(b"x", later));
            assert_eq!(delivered(&mut job, &fresh), 1);
            assert_eq!(delivered(&mut job, &batch(&[300])), 1);
        }
    }

    #[test]
    fn without_times_of_arrival_all_that_waited_is_too_old() {
        let mut job = Fresh::new((), AGE, false);
        stall(&mut job);
        job.tick(&mut Ledger::default());
        assert_eq!(delivered(&mut job, &batch(&[0; FRAMES_MAX])), 0);
        assert_eq!(delivered(&mut job, &batch(&[0; 3])), 0);
        assert_eq!(delivered(&mut job, &batch(&[0; 3])), 3);
        // Nothing waited.
        stall(&mut job);
        (0..2).for_each(|_| job.tick(&mut Ledger::default()));
        assert_eq!(delivered(&mut job, &batch(&[0])), 1);
    }
}
