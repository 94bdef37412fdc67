//! The course of `tickwire feed pack`, from flags to exit code.

use super::args::PackArgs;
use super::date::Day;
use super::recorder::Recorder;
use crate::capture::check::same_file;
use crate::completions::print_all;
use crate::exit::{Ended, Failure, say};
use crate::feed::publish::args::ns;
use crate::feed::publish::lines::LineSummary;
use crate::feed::publish::programme::{Counts, Packets, Programme, Shape};
use crate::progress::FileBar;
use crate::signals::Signalled;
use crate::table::count;
use crate::units::grouped;
use serde_json::{Value, json};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tickwire_capture::Received;
use tickwire_capture::file::{WriteFormat, WriterConfig};
use tickwire_engine::Control;

/// How long a pipe that has nothing to read is waited for before it is looked at again.
const WAIT: Duration = Duration::from_millis(100);

/// What was written.
struct Summary {
    counts: Counts,
    /// Packets of all lines in the file.
    written: u64,
    lines: Vec<LineSummary>,
}

/// Runs the command.
pub fn pack(args: &PackArgs) -> Result<Ended, Failure> {
    if args.json && args.out == Path::new("-") {
        return Err(Failure::usage("--json and the capture cannot both go to standard output"));
    }
    if let Some(refused) = same_file(&args.file, &args.out) {
        return Err(Failure::Usage(refused));
    }
    let lines = args.lines()?;
    let faults = args.faults.of_lines(lines.len()).map_err(Failure::Usage)?;
    let shape = Shape {
        session: args.packets.session,
        limits: args.packets.limits(args.size.size.into())?,
        linger_ns: ns(args.packets.linger),
        timeline: None,
    };
    let signalled = Signalled::watch(None)?;
    let mut programme = Programme::open(&args.file, shape).map_err(Failure::failed)?;
    // What cannot be packed at all costs no older file.
    let mut packets = Packets::default();
    fill(&mut programme, &mut packets, &signalled)?;
    let config = WriterConfig {
        stop: Arc::clone(&signalled.any),
        ..WriterConfig::new(&args.out, WriteFormat::from_name(&args.out))
    };
    let skew = (ns(args.skew), args.faults.seed);
    let mut recorder = Recorder::create(config, &lines, faults, args.ttl, skew)?;
    signalled.stop(&Arc::new(Control::default()));
    let (counts, broken) = write(args, &mut programme, packets, &mut recorder, &signalled)?;
    let (counts_of_lines, written, lost) = recorder.finish()?;
    let lines = LineSummary::of(&lines, counts_of_lines);
    let summary = Summary { counts, written, lines };
    if args.json {
        print_all(format!("{}\n", summary.to_json()).as_bytes())?;
    } else {
        say(&summary);
    }
    if let Some((reason, count)) = lost.nonzero().next() {
        return Err(Failure::failed(format_args!(
            "{count} packets are not in {}: {}",
            args.out.display(),
            reason.meaning()
        )));
    }
    match broken {
        Some(error) => Err(error),
        None if signalled.interrupted() => Ok(Ended::Interrupted),
        None => Ok(Ended::Done),
    }
}

/// The next packets of the programme; idle when a signal came first.
fn fill(
    programme: &mut Programme,
    packets: &mut Packets,
    signalled: &Signalled,
) -> Result<Received, Failure> {
    while !signalled.any.load(Relaxed) {
        match programme.fill(packets, 0).map_err(Failure::failed)? {
            Received::Idle => programme.wait(WAIT).map_err(Failure::failed)?,
            received => return Ok(received),
        }
    }
    Ok(Received::Idle)
}

/// All packets of the programme, after the first ones, until it ends, breaks or a signal comes.
/// What it broke of.
fn write(
    args: &PackArgs,
    programme: &mut Programme,
    mut packets: Packets,
    recorder: &mut Recorder,
    signalled: &Signalled,
) -> Result<(Counts, Option<Failure>), Failure> {
    let day = args.date.or_else(|| Day::of_name(&args.file)).unwrap_or_default();
    let begin_ns = day.begin_ns(args.utc_offset);
    let mut bar = programme.progress().map(FileBar::new);
    let mut counts = Counts::default();
    loop {
        for packet in packets.iter() {
            let at_ns = begin_ns.saturating_add(packet.due_ns);
            counts.enter(packet);
            recorder.packet(at_ns, packets.payload(packet))?;
        }
        if let Some(bar) = &mut bar {
            bar.follow(|| format!("{} messages", grouped(counts.messages)));
        }
        match fill(programme, &mut packets, signalled) {
            Ok(Received::Frames) => {}
            Ok(_) => return Ok((counts, None)),
            // What came before is in the file.
            Err(error) => return Ok((counts, Some(error))),
        }
    }
}

impl Summary {
    fn to_json(&self) -> Value {
        let lines: Vec<_> = self.lines.iter().map(LineSummary::to_json).collect();
        let Counts { packets, messages, heartbeats, ends } = self.counts;
        json!({
            "packets": packets,
            "messages": messages,
            "heartbeats": heartbeats,
            "ends": ends,
            "written": self.written,
            "lines": lines,
        })
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.counts.fmt(f)?;
        self.lines.iter().try_for_each(|line| line.fmt(f))?;
        count(f, "written", self.written, "")
    }
}
