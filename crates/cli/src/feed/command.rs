//! The course of `tickwire feed`, from flags to exit code.

use super::arbitrate::{Arbitrate, ArbitrateArgs};
use super::args::{DecodeArgs, FeedArgs, FeedCommand, GapsArgs, InputArgs, StatsArgs};
use super::book::{BookArgs, Follow};
use super::by_time::ByTime;
use super::gaps::GapReport;
use super::job::{Feed, FeedJob};
use super::merge::Feeds;
use super::ordered::Ordered;
use super::pack::pack;
use super::print::Printer;
use super::recording;
use super::recovery::{Recovery, RecoveryReport};
use super::schema::Schemas;
use super::serve::serve;
use super::stats::Stats;
use super::streams::Streams;
use crate::capture::check::same_file;
use crate::capture::{
    CaptureFilter, Memberships, Output, SNAPLEN_BYTES_MAX, Source, Trouble, Wanted, open_file,
    open_interface, queue_for, stages,
};
use crate::completions::print_all;
use crate::exit::{Ended, Failure, say};
use crate::progress;
use crate::recovery::{Desk, DeskCounts, Opened};
use crate::signals::Signalled;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tickwire_capture::FilePort;
use tickwire_capture::file::{WriteFormat, WriterConfig};
use tickwire_engine::{Control, Engine, Idle, Outcome, Role, Worker};
use tickwire_filter::Options;
use tickwire_filter::fields::Bindings;
use tickwire_frame::{Counters, Ledger, Reason};
use tickwire_market::recognise::Recogniser;

/// How long a worker that was woken lets more packets come.
const GATHER: Duration = Duration::from_micros(250);
/// The most files of one run.
const FILES_MAX: usize = 16;

/// How long what one line passed over may come on another before it is asked for, where nothing
/// else is said.
const GAP_HOLD_NS: u64 = 1_000_000;

/// There is nothing to report on.
const NOTHING_NUMBERED: &str = "\
nothing with sequence numbers was found; `tickwire feed stats` shows what was, and --protocol NAME \
or --bind PORT=NAME say what it is";

/// Runs the command.
pub fn run(args: &FeedArgs) -> Result<Ended, Failure> {
    match &args.command {
        FeedCommand::Decode(args) => decode(args),
        FeedCommand::Stats(args) => stats(args),
        FeedCommand::Gaps(args) => gaps(args),
        FeedCommand::Arbitrate(args) => arbitrate(args),
        FeedCommand::Book(args) => book(args),
        FeedCommand::Pack(args) => pack(args),
        FeedCommand::Serve(args) => serve(args),
    }
}

fn decode(args: &DecodeArgs) -> Result<Ended, Failure> {
    let run = Run::begin(&args.input)?;
    let output = Output::stdout(Arc::clone(&run.signalled.any))
        .map_err(|error| Failure::failed(format_args!("cannot use standard output: {error}")))?;
    let trouble = Trouble::default();
    let printer = Printer::new(args.json, args.count, output, trouble.clone());
    let read = run.read(&args.input, feed(&args.input, None, Some(printer))?, true);
    let read = read?;
    read.say_summary();
    if let Some(message) = trouble.get() {
        return Err(Failure::failed(message));
    }
    read.ended(Ended::Done)
}

fn stats(args: &StatsArgs) -> Result<Ended, Failure> {
    let run = Run::begin(&args.input)?;
    let streams = Some(Streams::new(args.numbers.from_first));
    let read = run.read(&args.input, feed(&args.input, streams, None)?, false)?;
    let report = read.report(&args.input);
    let stats = Stats::new(&read.feed, &read.ledger, read.elapsed, Some(&report));
    print_all(if args.json { stats.to_json() } else { stats.to_text() }.as_bytes())?;
    read.ended(Ended::Done)
}

fn gaps(args: &GapsArgs) -> Result<Ended, Failure> {
    let mut run = Run::begin(&args.input)?;
    let streams = Some(Streams::new(args.numbers.from_first));
    let mut feed = feed(&args.input, streams, None)?;
    run.ask(&mut feed, &args.recovery.recover)?;
    if let Some(desk) = &run.desk {
        let feeds = Feeds::new(GAP_HOLD_NS, args.numbers.from_first);
        let ordered = args.messages.as_deref().map(Ordered::create).transpose()?;
        feed.recovery = Some(Recovery::new(feeds, Some(desk.wake.clone())).writing(ordered));
    }
    let mut read = run.read(&args.input, feed, false)?;
    let mut report = read.report(&args.input);
    if let (Some(recovery), Some(desk)) = (read.feed.recovery.take(), read.desk) {
        let messages = recovery.finish()?;
        report.recovery = Some(RecoveryReport { desk, messages });
    }
    print_all(if args.json { report.to_json() } else { report.to_text(args.all) }.as_bytes())?;
    if report.is_empty() && read.error.is_none() {
        read.say_summary();
        return Err(Failure::failed(NOTHING_NUMBERED));
    }
    read.ended(if report.is_complete() { Ended::Done } else { Ended::Incomplete })
}

/// A feed of which nothing has been read.
fn feed(
    args: &InputArgs,
    streams: Option<Streams>,
    printer: Option<Printer>,
) -> Result<Feed, Failure> {
    let recogniser = Recogniser::new(args.bind.clone(), args.protocol);
    Ok(Feed::new(recogniser, streams, printer, Schemas::read(&args.schema, &args.dictionary)?))
}

fn arbitrate(args: &ArbitrateArgs) -> Result<Ended, Failure> {
    let files =
        args.write.iter().flat_map(|write| args.input.read.iter().map(move |read| (read, write)));
    if let Some(refused) = files.filter_map(|(read, write)| same_file(read, write)).next() {
        return Err(Failure::Usage(refused));
    }
    let mut run = Run::begin(&args.input)?;
    let config = args.write.as_ref().map(|path| WriterConfig {
        stop: Arc::clone(&run.signalled.any),
        ..WriterConfig::new(path, WriteFormat::from_name(path))
    });
    let mut feed = feed(&args.input, None, None)?;
    run.ask(&mut feed, &args.recovery.recover)?;
    let feeds = Feeds::new(args.gap_hold.as_nanos() as u64, args.numbers.from_first)
        .with_lines(args.lines.line.clone());
    feed.recovery = Some(Recovery::new(feeds, run.desk.as_ref().map(|desk| desk.wake.clone())));
    feed.arbitrate = Some(Arbitrate::new(config));
    let writes = args.write.as_deref() == Some(Path::new("-"));
    let mut read = run.read(&args.input, feed, writes)?;
    let (Some(arbitrate), Some(recovery)) = (read.feed.arbitrate.take(), read.feed.recovery.take())
    else {
        return Err(Failure::failed("a feed was read and is not there"));
    };
    let recovered = read.desk.map(|desk| RecoveryReport { desk, messages: None });
    let (report, failure) = arbitrate.finish(recovery.feeds(), recovered, &args.input.read);
    let text = if args.json { report.to_json() } else { report.to_text() };
    match writes {
        true => say(text),
        false => _ = print_all(text.as_bytes())?,
    }
    read.say_summary();
    if let Some(failure) = failure {
        return Err(Failure::failed(failure));
    }
    if report.is_empty() && read.error.is_none() {
        return Err(Failure::failed(NOTHING_NUMBERED));
    }
    read.ended(if report.is_complete() { Ended::Done } else { Ended::Incomplete })
}

fn book(args: &BookArgs) -> Result<Ended, Failure> {
    let run = Run::begin(&args.input)?;
    let mut feed = feed(&args.input, None, None)?;
    feed.books = Some(Follow::new(args));
    let mut read = run.read(&args.input, feed, true)?;
    let account = read.feed.books.take().map(Follow::finish).transpose()?;
    say(account.unwrap_or_default());
    read.say_summary();
    read.ended(Ended::Done)
}

/// A run, before anything is opened.
struct Run {
    filter: CaptureFilter,
    signalled: Signalled,
    /// Who asks for what is missing.
    desk: Option<Opened>,
}

/// What was read.
struct Read {
    feed: Feed,
    ledger: Ledger,
    elapsed: Duration,
    /// What ended it early.
    error: Option<String>,
    signalled: Signalled,
    /// What was asked for.
    desk: Option<DeskCounts>,
}

impl Read {
    fn report(&self, args: &InputArgs) -> GapReport {
        GapReport::new(self.feed.streams.as_ref(), &args.read, &self.feed.tcp_counts())
    }

    /// Says what there was, without its types.
    fn say_summary(&self) {
        say(Stats::new(&self.feed, &self.ledger, self.elapsed, None).summary());
    }

    /// How the command ends, after everything was shown.
    fn ended(self, ended: Ended) -> Result<Ended, Failure> {
        match self.error {
            Some(error) => Err(Failure::failed(error)),
            None if self.signalled.interrupted() && ended == Ended::Done => Ok(Ended::Interrupted),
            None => Ok(ended),
        }
    }
}

impl Run {
    fn begin(args: &InputArgs) -> Result<Run, Failure> {
        if args.read.len() > FILES_MAX {
            return Err(Failure::usage(format!(
                "{} files were given, and {FILES_MAX} lines are the most; merge files of the same \
                 line first, with mergecap(1)",
                args.read.len()
            )));
        }
        let given = Options { bindings: Bindings::of(&args.bind), ..Options::default() };
        let filter = CaptureFilter::read(&args.expression, args.filter_file.as_deref(), given)?;
        let signalled = Signalled::watch(filter.on_hangup())?;
        Ok(Run { filter, signalled, desk: None })
    }

    /// Opens what it takes to ask `servers`, if there are any, for what `feed` lacks.
    fn ask(&mut self, feed: &mut Feed, servers: &[SocketAddr]) -> Result<(), Failure> {
        if !servers.is_empty() {
            let opened = Opened::open(servers)?;
            feed.answers_at = Some(opened.address);
            self.desk = Some(opened);
        }
        Ok(())
    }

    /// Reads all files, one after the other, or the interface until it is told to stop.
    fn read(mut self, args: &InputArgs, feed: Feed, prints: bool) -> Result<Read, Failure> {
        let started = Instant::now();
        let feed = Arc::new(Mutex::new(feed));
        let mut memberships = Memberships::join(args.interface.as_deref(), &args.join)?;
        let control = Arc::new(Control::new(None, args.duration));
        let (mut ledger, mut error) = (Ledger::default(), None);
        let mut sources = match &args.interface {
            Some(interface) => vec![self.open_interface(interface, args)?],
            // All of them are there, or nothing is begun.
            None => {
                let files = args.read.iter().map(|path| self.open_file(path));
                files.collect::<Result<_, _>>()?
            }
        };
        lock(&feed).begin()?;
        let desk = self.desk.take().map(|desk| Desk::start(desk, Arc::clone(&feed))).transpose()?;
        self.signalled.stop(&control);
        if sources.len() > 1 && lock(&feed).wants_order() {
            let outcome = self.follow_by_time(sources, &feed, &control)?;
            ledger = outcome.ledger;
            error = outcome.error.map(|error| error.to_string());
            sources = Vec::new();
            lock(&feed).end_streams();
        }
        for (file, source) in sources.into_iter().enumerate() {
            lock(&feed).begin_file(file as u16);
            let job = FeedJob::new(Arc::clone(&feed), Arc::clone(&control));
            let outcome = self.follow(source, job, &control, prints, &mut memberships)?;
            ledger += &outcome.ledger;
            error = outcome.error.map(|error| error.to_string());
            lock(&feed).end_streams();
            if error.is_some() || control.stopped() {
                break;
            }
        }
        let desk = desk.map(Desk::finish);
        // The engines have ended, and their jobs with them: nobody else has it.
        let feed =
            Arc::into_inner(feed).ok_or_else(|| Failure::failed("a worker has not ended"))?;
        let feed = feed.into_inner().unwrap_or_else(PoisonError::into_inner);
        // These were taken for some of a feed until their connection turned out to be none.
        let disowned = feed.tcp_counts().disowned_segments.min(ledger.delivered);
        ledger.delivered -= disowned;
        ledger.discard(Reason::NotMarketData, disowned);
        let signalled = self.signalled;
        Ok(Read { feed, ledger, elapsed: started.elapsed(), error, signalled, desk })
    }

    /// One engine over all files, whose packets are followed in the order of their times.
    fn follow_by_time(
        &self,
        sources: Vec<Source>,
        feed: &Mutex<Feed>,
        control: &Arc<Control>,
    ) -> Result<Outcome, Failure> {
        let (jobs, mut packets) = ByTime::new(sources.len(), control);
        let ports = sources.into_iter().flat_map(|source| source.ports);
        let workers = ports.zip(jobs).map(|((name, port), job)| Worker {
            name,
            port,
            select: self.filter.select(),
            job: Box::new(job),
            core: None,
            idle: Idle::Gather(GATHER),
            role: Role::Source,
        });
        let engine = Engine::start(workers.collect(), Arc::clone(control));
        let engine = engine.map_err(Failure::failed)?;
        let (mut feed, mut refused) = (lock(feed), Counters::default());
        while let Some((file, link, frame)) = packets.next() {
            feed.begin_file(file as u16);
            if let Err(reason) = feed.frame(link, &frame) {
                refused.add(reason, 1);
            }
            if feed.is_done() || control.stopped() {
                break;
            }
        }
        drop(packets);
        let mut outcome = engine.join();
        outcome.ledger.delivered -= refused.total();
        outcome.ledger.discarded += &refused;
        Ok(outcome)
    }

    /// One engine over one source, to its end.
    fn follow(
        &self,
        source: Source,
        job: FeedJob,
        control: &Arc<Control>,
        prints: bool,
        memberships: &mut Memberships,
    ) -> Result<Outcome, Failure> {
        let between = queue_for(&source)?;
        let (is_live, file_progress) = (source.is_live, source.progress.clone());
        if is_live {
            say(format_args!("tickwire: following {}, {}; ^C ends it\n", source.what, source.mode));
        }
        let (jobs, last) = stages(source.ports.len(), Some(Box::new(job)), between);
        let receivers = source.ports.into_iter().zip(jobs).map(|((name, port), job)| Worker {
            name,
            port,
            select: self.filter.select(),
            job,
            core: None,
            idle: Idle::Gather(GATHER),
            role: Role::Source,
        });
        let workers = receivers.chain(last).collect();
        let engine = Engine::start(workers, Arc::clone(control)).map_err(Failure::failed)?;
        let show = progress::is_wanted(prints);
        if show || is_live {
            progress::watch(&engine, file_progress.as_ref(), show, || memberships.follow());
        }
        Ok(engine.join())
    }

    fn open_interface(&self, interface: &str, args: &InputArgs) -> Result<Source, Failure> {
        let wanted = Wanted {
            port: args.port,
            queues: None,
            snaplen: SNAPLEN_BYTES_MAX,
            promiscuous: false,
            buffer_kib: args.buffer_size,
        };
        open_interface(interface, &wanted, &self.filter)
    }

    fn open_file(&self, path: &Path) -> Result<Source, Failure> {
        let port = FilePort::open_records(path, recording::look).map_err(Failure::failed)?;
        open_file(path, port, &self.filter)
    }
}

fn lock(feed: &Mutex<Feed>) -> std::sync::MutexGuard<'_, Feed> {
    feed.lock().unwrap_or_else(PoisonError::into_inner)
}
