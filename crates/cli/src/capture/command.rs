//! The course of `tickwire capture`, from flags to exit code.

use super::args::{CaptureArgs, FileArgs, FileFormat};
use super::check::{check, is_dash};
use super::count::Totals;
use super::filter::CaptureFilter;
use super::groups::Memberships;
use super::output::Output;
use super::print::{PrintJob, Printer};
use super::source::Source;
use super::style::Style;
use super::summary::Summary;
use super::workers::{Running, Trouble, queue_for, workers};
use super::write::WriteJob;
use super::{interfaces, source};
use crate::exit::{Ended, Failure, say};
use crate::progress;
use crate::signals::Signalled;
use crate::units::grouped;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tickwire_capture::file::{Interface, Rotation, WriteFormat, Writer, WriterConfig};
use tickwire_engine::{Control, Engine, Idle, Job, Outcome};
use tickwire_filter::Options;
use tickwire_filter::fields::Bindings;
use tickwire_frame::Reason;

/// Runs the command.
pub fn run(args: &CaptureArgs) -> Result<Ended, Failure> {
    check(args)?;
    if args.list_interfaces {
        return interfaces::print();
    }
    let bindings = Bindings(args.bind.clone());
    let given = Options { scoped: args.scoped, bindings, ..Options::default() };
    let filter = CaptureFilter::read(&args.expression, args.filter_file.as_deref(), given)?;
    let signalled = Signalled::watch(filter.on_hangup())?;
    let source = source::open(args, &filter)?;
    let mut memberships = Memberships::join(args.interface.as_deref(), &args.join)?;
    let running = running(args, source.ports.len())?;
    let writes = prints_lines(args) || args.files.write.is_some();
    let between = if writes { queue_for(&source)? } else { None };
    // The time of --duration begins here: nothing that takes long comes after it.
    let control = Arc::new(Control::new(args.limits.count, args.limits.duration));
    let trouble = Trouble::default();
    let totals = Totals::default();
    let output = output(args, &source, &control, &signalled, &trouble, &totals)?;
    signalled.stop(&control);
    let (is_live, mode) = (source.is_live, source.mode.clone());
    let file_progress = source.progress.clone();
    if is_live {
        say(format_args!("tickwire: capturing on {}, {mode}; ^C stops\n", source.what));
    }
    let workers = workers(source, output, between, &totals, &filter, &running);
    let engine = Engine::start(workers, Arc::clone(&control)).map_err(Failure::failed)?;
    let show = progress::is_wanted(prints_lines(args));
    if show || is_live {
        progress::watch(&engine, file_progress.as_ref(), show, || memberships.follow());
    }
    let outcome = engine.join();
    let mode = outcome.workers.first().map_or(mode, |worker| worker.mode.clone());
    let mut summary = Summary::new(&outcome, &mode, is_live);
    summary.decoded(totals.protocols.iter());
    if let (Some(file), Some(written)) = (&args.files.write, totals.written.get()) {
        summary.wrote(file, written);
    }
    conclude(args, &outcome, &summary, &signalled, &trouble)
}

/// Whether packets are printed.
fn prints_lines(args: &CaptureArgs) -> bool {
    let output = &args.output;
    !output.quiet && (args.files.write.is_none() || output.print || output.json)
}

fn running(args: &CaptureArgs, ports: usize) -> Result<Running, Failure> {
    let cores = args.engine.cores.as_ref().map(|list| list.0.clone()).unwrap_or_default();
    if !cores.is_empty() && cores.len() < ports {
        return Err(Failure::Usage(format!(
            "{ports} workers receive, but --cores names {}; name {ports} or more",
            cores.len()
        )));
    }
    let snaplen = args.limits.snaplen;
    Ok(Running {
        snaplen: (snaplen != super::args::SNAPLEN_BYTES_MAX).then_some(snaplen),
        cores,
        idle: match args.engine.gather {
            _ if args.engine.spin => Idle::Spin,
            Duration::ZERO => Idle::Sleep,
            time => Idle::Gather(time),
        },
    })
}

/// The job at the end of the chain: writes, prints, both, or nothing.
fn output(
    args: &CaptureArgs,
    source: &Source,
    control: &Arc<Control>,
    signalled: &Signalled,
    trouble: &Trouble,
    totals: &Totals,
) -> Result<Option<Box<dyn Job>>, Failure> {
    let printer = match prints_lines(args) {
        false => None,
        true => {
            let output = Output::stdout(Arc::clone(&signalled.any)).map_err(|error| {
                Failure::failed(format_args!("cannot use standard output: {error}"))
            })?;
            Some(Printer::new(Style::new(&args.output), output, trouble.clone()))
        }
    };
    let Some(path) = &args.files.write else {
        let job = printer.map(|printer| PrintJob::new(printer, Arc::clone(control)));
        return Ok(job.map(|job| Box::new(job) as Box<dyn Job>));
    };
    let writer = writer(path, &args.files, &source.interfaces, signalled)?;
    Ok(Some(Box::new(WriteJob::new(
        writer,
        printer,
        source.is_live,
        totals.clone(),
        trouble.clone(),
        Arc::clone(control),
    ))))
}

fn writer(
    path: &Path,
    args: &FileArgs,
    interfaces: &[Interface],
    signalled: &Signalled,
) -> Result<Writer, Failure> {
    let format = match args.format {
        Some(FileFormat::Pcap) => WriteFormat::Pcap,
        Some(FileFormat::Pcapng) => WriteFormat::Pcapng,
        None => WriteFormat::from_name(path),
    };
    if args.comment.is_some() && format != WriteFormat::Pcapng {
        return Err(Failure::Usage(format!(
            "{} will be a pcap file, which has no place for a comment; name it .pcapng, or add \
             --format pcapng",
            path.display()
        )));
    }
    let config = WriterConfig {
        interfaces: interfaces.iter().cloned().map(Some).collect(),
        rotation: Rotation {
            size_bytes_max: args.rotate_size,
            seconds_max: args.rotate_time,
            packets_max: args.rotate_packets,
            files_max: args.ring,
        },
        comment: args.comment.clone().unwrap_or_default(),
        stop: Arc::clone(&signalled.any),
        ..WriterConfig::new(path, format)
    };
    Writer::create(config).map_err(Failure::failed)
}

/// Shows the summary, and says how it all ended.
fn conclude(
    args: &CaptureArgs,
    outcome: &Outcome,
    summary: &Summary,
    signalled: &Signalled,
    trouble: &Trouble,
) -> Result<Ended, Failure> {
    args.output.summary.show(summary)?;
    if let Some(error) = &outcome.error {
        return Err(Failure::failed(error));
    }
    if let Some(message) = trouble.get() {
        return Err(Failure::failed(message));
    }
    if !trouble.is_output_closed() {
        unwritten(args, outcome)?;
    }
    Ok(if signalled.interrupted() { Ended::Interrupted } else { Ended::Done })
}

/// A capture file that lacks packets is a failure, also when there was room again later.
fn unwritten(args: &CaptureArgs, outcome: &Outcome) -> Result<(), Failure> {
    let discarded = &outcome.ledger.discarded;
    let cures = [
        (
            Reason::DiskFull,
            "the file system was full; make room, or bound the files with -C and -W",
        ),
        (Reason::WriteFailed, "see the messages above"),
        (Reason::OtherLinkType, "a pcap file holds one link type; write --format pcapng"),
    ];
    let file = args.files.write.as_deref().filter(|path| !is_dash(Some(path)));
    for (reason, cure) in cures {
        let count = discarded[reason];
        if let (1.., Some(file)) = (count, file) {
            return Err(Failure::failed(format_args!(
                "{} not in {}: {cure}",
                if count == 1 { "1 packet is".into() } else { grouped(count) + " packets are" },
                file.display()
            )));
        }
    }
    Ok(())
}
