//! When a recorded packet is due. Pure.

use crate::send::schedule::{Rate, Schedule};

/// Times that go back by no more than this are those of packets that were recorded out of order;
/// beyond it the clock was set.
const DISORDER_NS_MAX: u64 = 1_000_000_000;

/// How recorded times become due times.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// As recorded, so many times as fast.
    Recorded {
        /// 1 is the recorded speed.
        speed: f64,
    },
    /// At a constant rate, or as fast as it goes: recorded times mean nothing.
    Constant(Schedule),
}

/// What was found odd in the recorded times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Oddities {
    /// Packets earlier than the one before them, by a second at most: sent right after it.
    pub out_of_order: u64,
    /// Packets earlier than the one before them by more: time goes on from there.
    pub clock_set_back: u64,
    /// Pauses that were shortened.
    pub gaps_shortened: u64,
}

/// Maps recorded times to due times.
///
/// Every due time is computed from an anchor, the first packet, and never from the packet before,
/// so that it does not drift. A pause that is shortened, a clock that was set back and a new round
/// move the anchor.
#[derive(Clone, Debug)]
pub struct Timeline {
    pace: Pace,
    gap_ns_max: u64,
    /// A recorded time, and when that is due.
    anchor: Option<(u64, u64)>,
    /// The latest recorded time since the anchor was moved.
    latest_ns: u64,
    due_ns: u64,
    packets: u64,
    oddities: Oddities,
}

impl Timeline {
    /// Pauses of the recording that are longer than `gap_ns_max` take that long.
    pub fn new(pace: Pace, gap_ns_max: Option<u64>) -> Self {
        Timeline {
            pace,
            gap_ns_max: gap_ns_max.unwrap_or(u64::MAX),
            anchor: None,
            latest_ns: 0,
            due_ns: 0,
            packets: 0,
            oddities: Oddities::default(),
        }
    }

    /// When the next packet, recorded at `recorded_ns`, is due: nanoseconds from the start, never
    /// before the packet before it.
    pub fn due_ns(&mut self, recorded_ns: u64) -> u64 {
        let due_ns = match self.pace {
            Pace::Constant(schedule) => schedule.due_ns(self.packets),
            Pace::Recorded { speed } => self.scaled(recorded_ns, speed),
        };
        self.packets += 1;
        self.due_ns = self.due_ns.max(due_ns);
        self.due_ns
    }

    fn scaled(&mut self, recorded_ns: u64, speed: f64) -> u64 {
        let Some((mut from_ns, mut at_ns)) = self.anchor else {
            self.move_anchor(recorded_ns, self.due_ns);
            return self.due_ns;
        };
        let back_ns = self.latest_ns.saturating_sub(recorded_ns);
        let gap_ns = recorded_ns.saturating_sub(self.latest_ns);
        if back_ns > DISORDER_NS_MAX {
            self.oddities.clock_set_back += 1;
            (from_ns, at_ns) = self.move_anchor(recorded_ns, self.due_ns);
        } else if back_ns > 0 {
            self.oddities.out_of_order += 1;
        } else if gap_ns > self.gap_ns_max {
            self.oddities.gaps_shortened += 1;
            let pause_ns = divided(self.gap_ns_max, speed);
            (from_ns, at_ns) = self.move_anchor(recorded_ns, self.due_ns + pause_ns);
        }
        self.latest_ns = self.latest_ns.max(recorded_ns);
        at_ns.saturating_add(divided(recorded_ns.saturating_sub(from_ns), speed))
    }

    fn move_anchor(&mut self, recorded_ns: u64, due_ns: u64) -> (u64, u64) {
        self.latest_ns = recorded_ns;
        self.anchor = Some((recorded_ns, due_ns));
        (recorded_ns, due_ns)
    }

    /// The recording begins again: its next packet follows the last one at once.
    pub fn next_round(&mut self) {
        self.anchor = None;
    }

    /// What was found odd so far.
    pub fn oddities(&self) -> Oddities {
        self.oddities
    }

    /// How recorded times become due times.
    pub fn pace(&self) -> Pace {
        self.pace
    }

    /// Whether due times mean something.
    pub fn is_timed(&self) -> bool {
        !matches!(self.pace, Pace::Constant(schedule) if schedule.rate() == Rate::Max)
    }
}

fn divided(time_ns: u64, speed: f64) -> u64 {
    if speed == 1.0 { time_ns } else { (time_ns as f64 / speed) as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: u64 = 1_700_000_000_000_000_000;
    const SECOND: u64 = 1_000_000_000;

    fn recorded(speed: f64, gap_ns_max: Option<u64>) -> Timeline {
        Timeline::new(Pace::Recorded { speed }, gap_ns_max)
    }

    fn dues(timeline: &mut Timeline, recorded: &[u64]) -> Vec<u64> {
        recorded.iter().map(|&at| timeline.due_ns(BASE + at)).collect()
    }

    #[test]
    fn the_first_packet_is_the_anchor() {
        assert_eq!(dues(&mut recorded(1.0, None), &[0, 5, 5, 700]), [0, 5, 5, 700]);
        assert_eq!(dues(&mut recorded(2.0, None), &[0, 10, 20]), [0, 5, 10]);
        assert_eq!(dues(&mut recorded(0.5, None), &[0, 10]), [0, 20]);
    }

    /// A million steps that a sum of rounded gaps would each get wrong.
    #[test]
    fn it_does_not_drift() {
        let mut timeline = recorded(3.0, None);
        let last = (0..1_000_000).map(|n| timeline.due_ns(BASE + n * 1000)).last();
        assert_eq!(last, Some(999_999_000 / 3));
    }

    #[test]
    fn a_packet_out_of_order_follows_at_once_and_moves_nothing() {
        let mut timeline = recorded(1.0, None);
        assert_eq!(dues(&mut timeline, &[0, 100, 90, 95, 200]), [0, 100, 100, 100, 200]);
        assert_eq!(timeline.oddities(), Oddities { out_of_order: 2, ..Oddities::default() });
    }

    #[test]
    fn after_a_clock_that_was_set_back_time_goes_on() {
        let mut timeline = recorded(1.0, None);
        let times = [3600 * SECOND, 3600 * SECOND + 10, 0, 10, 30];
        assert_eq!(dues(&mut timeline, &times), [0, 10, 10, 20, 40]);
        assert_eq!(timeline.oddities(), Oddities { clock_set_back: 1, ..Oddities::default() });
    }

    #[test]
    fn pauses_are_shortened() {
        let mut timeline = recorded(2.0, Some(100));
        assert_eq!(dues(&mut timeline, &[0, 100, 5000, 5010]), [0, 50, 100, 105]);
        assert_eq!(timeline.oddities(), Oddities { gaps_shortened: 1, ..Oddities::default() });
    }

    #[test]
    fn rounds_follow_each_other() {
        let mut timeline = recorded(1.0, None);
        assert_eq!(dues(&mut timeline, &[0, 40]), [0, 40]);
        timeline.next_round();
        assert_eq!(dues(&mut timeline, &[0, 40]), [40, 80]);
        assert_eq!(timeline.oddities(), Oddities::default());
    }

    #[test]
    fn a_constant_rate_ignores_what_was_recorded() {
        let schedule = Schedule::new(Rate::Pps(1000.0), 1);
        let mut timeline = Timeline::new(Pace::Constant(schedule), None);
        assert_eq!(dues(&mut timeline, &[0, 77 * SECOND, 5]), [0, 1_000_000, 2_000_000]);
        assert!(timeline.is_timed());
        let flood = Pace::Constant(Schedule::new(Rate::Max, 1));
        assert!(!Timeline::new(flood, None).is_timed());
    }

    /// Times as a hostile file has them.
    #[test]
    fn absurd_times_do_no_harm() {
        let mut timeline = recorded(1e-9, None);
        let times = [0, u64::MAX, 0, u64::MAX - 1, 1];
        let dues: Vec<u64> = times.iter().map(|&at| timeline.due_ns(at)).collect();
        assert!(dues.windows(2).all(|pair| pair[0] <= pair[1]), "{dues:?}");
    }
}
