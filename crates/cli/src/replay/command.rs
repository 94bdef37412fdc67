//! The course of `tickwire replay`, from flags to exit code.

use super::args::ReplayArgs;
use super::playback::{Playback, PlaybackConfig};
use super::timeline::{Pace, Timeline};
use crate::exit::{Ended, Failure, say};
use crate::filter::text;
use crate::send::args::{OutletChoice, ReportArgs, RunArgs};
use crate::send::course::Course;
use crate::send::job::{SendJob, Shared};
use crate::send::open;
use crate::send::outlet::Outlet;
use crate::send::schedule::Schedule;
use crate::send::summary::SendSummary;
use crate::signals::Signalled;
use std::sync::{Arc, PoisonError};
use tickwire_engine::{Control, FilterText, Filters, Select};
use tickwire_filter::Options;

/// Runs the command.
pub fn run(args: &ReplayArgs) -> Result<Ended, Failure> {
    let pace = match args.rate {
        Some(rate) => Pace::Constant(Schedule::new(rate, 1)),
        None => Pace::Recorded { speed: args.speed },
    };
    let gap_ns_max = args.gap_max.map(|gap| u64::try_from(gap.as_nanos()).unwrap_or(u64::MAX));
    let config = PlaybackConfig {
        path: args.file.clone(),
        rounds: (args.rounds > 0).then_some(args.rounds),
        select: select(&args.expression)?,
        timeline: Timeline::new(pace, gap_ns_max),
        cut_packets: args.cut,
    };
    let (outlet, to) = outlet(args)?;
    let report = Report { what: args.file.display().to_string(), to, args: &args.report };
    play(config, outlet, &args.run, &report)
}

/// What is said of a run.
pub struct Report<'a> {
    /// What is sent, for people.
    pub what: String,
    /// Where it goes, for people.
    pub to: String,
    /// How the account is shown.
    pub args: &'a ReportArgs,
}

/// Plays a file through `outlet`, and shows the account.
pub fn play(
    config: PlaybackConfig,
    outlet: Box<dyn Outlet>,
    run: &RunArgs,
    report: &Report<'_>,
) -> Result<Ended, Failure> {
    let signalled = Signalled::watch(None)?;
    let shared = Arc::<Shared>::default();
    let (timeline, once) = (config.timeline.clone(), config.rounds == Some(1));
    let playback = Playback::open(config, Arc::clone(&shared)).map_err(Failure::failed)?;
    let (progress, oddities) = (playback.progress(), playback.oddities());
    let control = Arc::new(Control::new(run.count, run.duration));
    say(format_args!(
        "tickwire: sending {} to {}, {}; ^C stops\n",
        report.what,
        report.to,
        outlet.mode()
    ));
    let job = SendJob::new(outlet, Arc::clone(&shared), Arc::clone(&control));
    let job = if timeline.is_timed() { job } else { job.untimed() };
    signalled.stop(&control);
    let course = Course {
        port: Box::new(playback),
        job,
        shared: Arc::clone(&shared),
        control,
        progress: once.then_some(progress),
    };
    let outcome = course.run(run)?;
    let schedule = match timeline.pace() {
        Pace::Constant(schedule) => Some(schedule),
        Pace::Recorded { .. } => None,
    };
    let mut summary = SendSummary::new("read", &outcome, &shared, report.to.clone(), schedule);
    let oddities = *oddities.lock().unwrap_or_else(PoisonError::into_inner);
    summary.note("out_of_order", oddities.out_of_order);
    summary.note("clock_set_back", oddities.clock_set_back);
    summary.note("gaps_shortened", oddities.gaps_shortened);
    summary.conclude(report.args.format(), signalled.interrupted())
}

/// What the words of an expression select.
fn select(expression: &[String]) -> Result<Select, Failure> {
    if expression.is_empty() {
        return Ok(Select::everything());
    }
    let text = expression.join(" ");
    tickwire_filter::parse(&text).map_err(|error| text::refused(&error, &text))?;
    let options = Options { from_file: true, ..Options::default() };
    Ok(Select::by(Arc::new(Filters::new(FilterText::new(text, options)))))
}

/// Where packets leave, and how to call that.
fn outlet(args: &ReplayArgs) -> Result<(Box<dyn Outlet>, String), Failure> {
    let is_udp = args.outlet.port == Some(OutletChoice::Udp);
    match (args.to, &args.outlet.interface) {
        (Some(to), _) if args.outlet.port.is_none() || is_udp => {
            Ok((open::udp(&args.outlet, to)?, to.to_string()))
        }
        (Some(_), _) => Err(Failure::usage(
            "--to sends payloads over udp, af_packet and af_xdp send whole frames as they are: \
             leave one of --to and --port out",
        )),
        (None, _) if is_udp => {
            Err(Failure::usage("udp sends payloads to an address: give it with --to ADDR:PORT"))
        }
        (None, None) => Err(Failure::usage(
            "say where packets go: from an interface (-i IF), or their payloads to an address \
             (--to ADDR:PORT)",
        )),
        (None, Some(interface)) => {
            open::whole_frames(&args.outlet)?;
            Ok((open::raw(&args.outlet)?, interface.clone()))
        }
    }
}
