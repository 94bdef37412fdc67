//! The course of `tickwire generate`, from flags to exit code.

use super::args::{GenerateArgs, payload_bytes};
use super::day;
use crate::exit::{Ended, Failure, say};
use crate::replay::playback::{CutPackets, PlaybackConfig};
use crate::replay::timeline::{Pace, Timeline};
use crate::replay::{Report, play};
use crate::send::args::OutletChoice;
use crate::send::course::Course;
use crate::send::generator::Generator;
use crate::send::job::{SendJob, Shared};
use crate::send::open;
use crate::send::schedule::{Rate, Schedule};
use crate::send::summary::SendSummary;
use crate::signals::Signalled;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tickwire_engine::{Control, Select};

/// How much longer than asked a run may take: packets that are due until its end may be late.
const OVERTIME_MS_MAX: u64 = 1000;

/// Runs the command.
pub fn run(args: &GenerateArgs) -> Result<Ended, Failure> {
    let schedule = args.pace.schedule(args.rate);
    if let Some(path) = &args.write {
        return day::write(path, args);
    }
    let to = args.to.ok_or_else(|| Failure::usage("say where packets go: --to ADDR:PORT"))?;
    if let Some(path) = &args.packets {
        return payloads_of(path, args, to, schedule);
    }
    let Some(message) = args.message() else { return day::send(args, to, schedule) };
    let bytes = payload_bytes(message, args.size).map_err(Failure::Usage)?;
    let (outlet, packets) = open::numbered(&args.outlet, to, message, bytes, None)?;
    let signalled = Signalled::watch(None)?;
    let shared = Arc::<Shared>::default();
    let (count, time_max) = limits(schedule, args.pace.run.count, args.pace.run.duration);
    say(format_args!("tickwire: sending to {to}, {}; ^C stops\n", outlet.mode()));
    let control = Arc::new(Control::new(None, time_max));
    let mut job = SendJob::new(outlet, Arc::clone(&shared), Arc::clone(&control)).ready_made();
    if schedule.rate() == Rate::Max {
        job = job.untimed();
    }
    signalled.stop(&control);
    let port = Box::new(Generator::new(packets, schedule, count, Arc::clone(&shared)));
    let course = Course { port, job, shared: Arc::clone(&shared), control, progress: None };
    let outcome = course.run(&args.pace.run)?;
    let to = to.to_string();
    let mut summary = SendSummary::new("generated", &outcome, &shared, to, Some(schedule));
    if count < u64::MAX && !signalled.any.load(Relaxed) {
        // The sender was slower than the rate for so long that the time was up.
        summary.note("due_but_not_generated", count - outcome.ledger.received);
    }
    summary.conclude(args.report.format(), signalled.interrupted())
}

/// How many packets are to be sent, and how long that may take. A rate and a time make a number of
/// packets, so that a run is the same each time.
pub fn limits(
    schedule: Schedule,
    count: Option<u64>,
    duration: Option<Duration>,
) -> (u64, Option<Duration>) {
    let count = count.unwrap_or(u64::MAX);
    match (duration, schedule.rate()) {
        (None, _) => (count, None),
        (Some(duration), Rate::Max) => (count, Some(duration)),
        (Some(duration), Rate::Pps(_)) => {
            let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
            // What is due at the very end belongs to the next interval.
            let due = nanos.checked_sub(1).map_or(0, |last| schedule.due_count(last));
            let overtime = Duration::from_millis(OVERTIME_MS_MAX);
            (count.min(due), duration.checked_add(overtime))
        }
    }
}

/// The payloads of a capture file at the schedule's rate.
fn payloads_of(
    path: &Path,
    args: &GenerateArgs,
    to: SocketAddr,
    schedule: Schedule,
) -> Result<Ended, Failure> {
    if !matches!(args.outlet.port, None | Some(OutletChoice::Udp)) {
        return Err(Failure::usage(
            "--packets sends payloads over udp; whole frames as they are: \
             `tickwire replay FILE -i IF --rate N --loop 0`",
        ));
    }
    let config = PlaybackConfig {
        path: path.to_owned(),
        rounds: None,
        select: Select::everything(),
        timeline: Timeline::new(Pace::Constant(schedule), None),
        cut_packets: CutPackets::Discard,
    };
    let outlet = open::udp(&args.outlet, to)?;
    let (what, to) = (path.display().to_string(), to.to_string());
    play(config, outlet, &args.pace.run, &Report { what, to, args: &args.report })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_and_a_time_make_a_number() {
        let schedule = |rate| Schedule::new(rate, 1);
        let second = Some(Duration::from_secs(1));
        let two = Some(Duration::from_secs(2));
        assert_eq!(limits(schedule(Rate::Pps(1000.0)), None, second), (1000, two));
        assert_eq!(limits(schedule(Rate::Pps(1000.0)), Some(7), second), (7, two));
        assert_eq!(limits(schedule(Rate::Pps(0.5)), None, second), (1, two));
        assert_eq!(limits(schedule(Rate::Max), None, second), (u64::MAX, second));
        assert_eq!(limits(schedule(Rate::Max), Some(9), None), (9, None));
        assert_eq!(limits(schedule(Rate::Pps(1.0)), None, Some(Duration::ZERO)).0, 0);
    }
}
