//! The clock of a run: nanoseconds since its start, and what they are on the wall.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};
use tickwire_frame::Timestamp;

/// Who is ahead sleeps for so long at least: at high rates a few packets are then due together, and
/// one system call sends them.
const SLEEP_US_MIN: u64 = 20;
/// How much later than asked the kernel may wake us so as to wake others at the same time.
const TIMER_SLACK_NS: u64 = 1;

/// How often two clocks are read so as to relate them.
const CLOCK_READINGS: usize = 16;

/// When a run began, by two clocks.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
    wall: Timestamp,
}

impl Clock {
    /// Begins now. The calling thread, which is the one that sleeps, is from now on woken as
    /// exactly as the kernel can.
    pub fn start() -> Self {
        // Less exact is still right: the lateness shows it.
        let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(TIMER_SLACK_NS));
        let (origin, wall) = both_clocks();
        Clock { origin, wall }
    }

    /// Nanoseconds since the start.
    pub fn now_ns(&self) -> u64 {
        self.origin.elapsed().as_nanos() as u64
    }

    /// The wall clock's time so many nanoseconds after the start, in nanoseconds since the Unix
    /// epoch; as if nobody had set that clock meanwhile.
    pub fn wall_ns(&self, since_start_ns: u64) -> u64 {
        self.wall.as_nanos() + since_start_ns
    }

    /// How far the wall clock has been set since the start, in nanoseconds.
    pub fn stepped_ns(&self) -> i64 {
        let (now, wall) = both_clocks();
        let elapsed_ns = now.duration_since(self.origin).as_nanos() as u64;
        wall.as_nanos() as i64 - self.wall_ns(elapsed_ns) as i64
    }

    /// Sleeps until `due_ns`, at most for `timeout`.
    pub fn sleep_until(&self, due_ns: u64, timeout: Duration) {
        let left = Duration::from_nanos(due_ns.saturating_sub(self.now_ns()));
        if !left.is_zero() {
            std::thread::sleep(left.max(Duration::from_micros(SLEEP_US_MIN)).min(timeout));
        }
    }
}

/// Both clocks at the same moment: the reading of several that nothing came between.
fn both_clocks() -> (Instant, Timestamp) {
    let readings = (0..CLOCK_READINGS).map(|_| {
        let before = Instant::now();
        let wall = Timestamp::now();
        let took = before.elapsed();
        (took, before + took / 2, wall)
    });
    let best = readings.min_by_key(|(took, ..)| *took);
    let (_, now, wall) = best.expect("there are several readings");
    (now, wall)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleep_ends_after_its_time() {
        let clock = Clock::start();
        clock.sleep_until(2_000_000, Duration::from_secs(5));
        assert!(clock.now_ns() >= 2_000_000);
        clock.sleep_until(u64::MAX, Duration::from_millis(1));
        clock.sleep_until(0, Duration::from_secs(60));
        assert!(clock.now_ns() < 50_000_000_000);
        assert!(clock.stepped_ns().abs() < 1_000_000_000);
    }
}
