//! The course of `tickwire feed serve`, from flags to exit code.

use super::args::ServeArgs;
use super::broadcast::Broadcast;
use super::outlet::Lines;
use super::requests::{Requests, Store};
use super::summary::Summary;
use crate::capture::SummaryFormat;
use crate::completions::print_all;
use crate::exit::{Ended, Failure, say};
use crate::feed::publish::args::ns;
use crate::feed::publish::faults::Faults;
use crate::feed::publish::lines::LineSummary;
use crate::feed::publish::programme::{Programme, Shape};
use crate::replay::timeline::{Pace, Timeline};
use crate::send::args::RunArgs;
use crate::send::course::Course;
use crate::send::job::{SendJob, Shared};
use crate::send::schedule::Schedule;
use crate::signals::Signalled;
use std::sync::{Arc, PoisonError};
use tickwire_engine::Control;

/// Runs the command.
pub fn serve(args: &ServeArgs) -> Result<Ended, Failure> {
    let targets = args.targets()?;
    let faults = args.faults.of_lines(targets.len()).map_err(Failure::Usage)?;
    let pace = match args.rate {
        Some(rate) => Pace::Constant(Schedule::new(rate, args.burst)),
        None => Pace::Recorded { speed: args.speed },
    };
    let timeline = Timeline::new(pace, args.gap_max.map(ns));
    let is_timed = timeline.is_timed();
    let shape = Shape {
        session: args.packets.session,
        limits: args.packets.limits(args.size.size.into())?,
        linger_ns: ns(args.packets.linger),
        timeline: Some(timeline),
    };
    let signalled = Signalled::watch(None)?;
    let programme = Programme::open(&args.file, shape).map_err(Failure::failed)?;
    let mut lines = Lines::open(&targets, faults)?;
    let requests = answer_requests(args, &mut lines)?;
    let (sources, counts) = (lines.sources(), lines.counts());
    let addresses: Vec<_> =
        sources.into_iter().zip(&targets).map(|(from, target)| (from, target.to)).collect();
    let control = Arc::new(Control::new(None, args.duration));
    let shared = Arc::<Shared>::default();
    let job = SendJob::new(Box::new(lines), Arc::clone(&shared), Arc::clone(&control));
    let job = if is_timed { job.ready_made() } else { job.ready_made().untimed() };
    signalled.stop(&control);
    say(ready(args, requests.as_ref()));
    let progress = programme.progress();
    let port = Broadcast::new(programme, ns(args.wait), Arc::clone(&shared));
    let played = port.played();
    let progress = progress.filter(|progress| progress.total_bytes().is_some());
    let course =
        Course { port: Box::new(port), job, shared: Arc::clone(&shared), control, progress };
    let run = RunArgs { count: None, duration: None, spin: args.spin, core: args.core };
    let outcome = course.run(&run)?;
    let requests = requests.map(Requests::finish);
    let counts = counts.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let played = *played.lock().unwrap_or_else(PoisonError::into_inner);
    let lines = LineSummary::of(&addresses, counts);
    let summary = Summary::new(played, lines, requests, &outcome, &shared);
    match args.report.format() {
        SummaryFormat::Json => {
            print_all(format!("{}\n", summary.to_json()).as_bytes())?;
        }
        SummaryFormat::Text => say(&summary),
    }
    match &summary.error {
        Some(error) => Err(Failure::failed(error)),
        None if signalled.interrupted() => Ok(Ended::Interrupted),
        None => Ok(Ended::Done),
    }
}

/// Starts the server for what was missed, if there is to be one.
fn answer_requests(args: &ServeArgs, lines: &mut Lines) -> Result<Option<Requests>, Failure> {
    /// So much is added to the seed of the lines, that answers get lost independently of them.
    const SEED: u64 = 1 << 32;
    let Some(address) = args.rerequest else { return Ok(None) };
    let store = Store::new((args.keep as usize) << 20);
    lines.keep(store.clone());
    let faults = Faults::of_loss(args.answer_loss, args.faults.seed.wrapping_add(SEED));
    let (session, size) = (args.packets.session, args.size.size.into());
    Requests::start(address, session, store, args.rates(), faults, size).map(Some)
}

/// What is said when packets can be sent.
fn ready(args: &ServeArgs, requests: Option<&Requests>) -> String {
    let lines: Vec<_> = args.to.iter().map(ToString::to_string).collect();
    let first = match args.wait.is_zero() {
        true => String::new(),
        false => format!(", first packet in {:?}", args.wait),
    };
    let requests = requests.map(|requests| format!(", requests to {}", requests.address));
    format!(
        "tickwire: ready: {} to {}, session {}{}{first}; ^C stops\n",
        args.file.display(),
        lines.join(" and "),
        args.packets.session,
        requests.unwrap_or_default()
    )
}
