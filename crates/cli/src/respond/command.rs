//! The course of `tickwire respond`, from flags to exit code.

use super::args::{RespondArgs, RunArgs, Tool};
use super::audit::{self, Audit, Recorder};
use super::desk::{Desk, lock};
use super::egress::Ways;
use super::ingress::{self, Opened};
use super::job::RespondJob;
use super::listen::StreamFeed;
use super::panel::Panel;
use super::reload::Reloads;
use super::report::Report;
use super::settings::{self, Settings};
use super::store::Store;
use super::targets::Targets;
use super::user_tcp::Dialer;
use super::xdp::{Kernel, KernelWays, Records, Watch};
use super::{dial::Dial, explain};
use crate::capture::Memberships;
use crate::exit::{Ended, Failure, say};
use crate::fresh::Fresh;
use crate::signals::Signalled;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tickwire_capture::Mode;
use tickwire_capture::bpf::RingBuf;
use tickwire_control::respond::{RespondControl, api};
use tickwire_control::unix::check_path;
use tickwire_control::{Limits, Listen, Log, Server, Token};
use tickwire_engine::{Control, Engine, Idle, Outcome, Role, Select, Worker};
use tickwire_respond::audit::Mark;
use tickwire_respond::{Batches, Responder};

/// How often routes, groups and the figures are looked at, in milliseconds.
const KEEP_MS: u64 = 20;
/// How often the state file becomes what the kernel knows, in mode `xdp`.
const COPY: Duration = Duration::from_secs(1);

/// Runs the command.
pub fn run(args: &RespondArgs) -> Result<Ended, Failure> {
    match &args.tool {
        Some(Tool::Audit(args)) => audit::show(args),
        Some(Tool::Explain(args)) => explain::explain(args),
        None => respond(&args.run),
    }
}

fn respond(args: &RunArgs) -> Result<Ended, Failure> {
    let settings = Arc::new(Settings::read(args)?);
    let listen = listen(args)?;
    if args.check {
        say(format_args!("tickwire: {}\n", settings.in_words()));
        return Ok(Ended::Done);
    }
    let hangup = Arc::new(AtomicBool::new(false));
    let hung_up = Arc::clone(&hangup);
    let signalled = Signalled::watch(Some(Box::new(move || hung_up.store(true, Relaxed))))?;
    let (kernel, ring) = kernel(&settings)?.unzip();
    let mut store = Store::open(&settings, args.keep_positions, kernel.as_deref())?;
    let stop = Arc::new(Control::new(None, args.duration));
    let mut opened = ingress::open(&settings, args, kernel.as_deref())?;
    let mode = opened.mode();
    let (log, recorder) = start_log(&settings)?;
    let mut targets = settings.targets(&store)?;
    let ways = kernel.clone().map(|kernel| KernelWays::new(kernel, opened.interfaces()));
    let ways = Ways::open(&mut targets, ways)?;
    let mut desk = desk(&settings, &store, Targets::new(targets), recorder, args)?;
    if let Some(kernel) = &kernel {
        desk.responder.share(kernel.state(), kernel.plan().owned());
        let owned = settings.plan.owned().iter().enumerate();
        kernel.take_over(&desk, owned.filter(|(_, owned)| **owned).map(|(at, _)| at));
        store.pin(&settings, kernel)?;
    }
    let desk = Arc::new(Mutex::new(desk));
    let gates = std::mem::take(&mut opened.gates);
    let stages = gates.iter().map(|gate| (gate.handle.clone(), gate.feeds.clone())).collect();
    let dialer = Dialer::new(&settings.homes, &settings.names().targets, gates);
    let (workers, mut batches, memberships) = workers(opened, &desk, args);
    let threads = connections(&settings, &desk, &stop, args, &mut batches)?;
    let fixed = settings.fixed(mode.clone());
    let (mine, copy) = (Arc::clone(&desk), store.clone());
    let reloads = Reloads::new(Arc::clone(&settings), args.clone(), stages);
    let panel = Panel::new(mine, copy, kernel.clone(), batches, log, reloads, fixed);
    let panel = Arc::new(panel);
    let server = serve(listen, &panel)?;
    let has_ports = !workers.is_empty();
    // Workers end a little later where they have sessions of their own to end first.
    let end = if dialer.is_empty() { Arc::clone(&stop) } else { Arc::new(Control::default()) };
    let engine = Engine::start(workers, Arc::clone(&end)).map_err(Failure::failed)?;
    signalled.stop(&stop);
    lock(&desk).mark(Mark::Started);
    let watch = kernel.zip(ring).map(|(kernel, ring)| watch(&kernel, ring, &settings, &desk, args));
    let watch = watch.transpose()?;
    let killed = if store.memory().is_killed() { "; the kill switch is on" } else { "" };
    say(format_args!("tickwire: ready: {}, {mode}{killed}; ^C stops\n", settings.in_words()));
    let mut keeper = Keeper::new(&panel, ways, dialer, memberships, args.stats_every, hangup);
    let going = || !stop.stopped() && (!has_ports || engine.is_running());
    let kept = keeper.keep_while(going, &engine, &stop);
    let records = watch.and_then(Watch::end);
    stop.stop();
    keeper.dialer.leave(&desk);
    end.stop();
    drop(server);
    let outcome = engine.join();
    if let Some(mut records) = records {
        records.take(&desk);
    }
    for thread in threads {
        // One that panicked has said so.
        let _ = thread.join();
    }
    lock(&desk).mark(Mark::Stopped);
    store.end();
    conclude(args, &outcome, &mode, &panel, &signalled, kept)
}

/// What mode `xdp` needs.
fn kernel(settings: &Settings) -> Result<Option<(Arc<Kernel>, RingBuf)>, Failure> {
    let opened = settings.in_kernel.then(|| Kernel::open(settings)).transpose()?;
    Ok(opened.map(|(kernel, ring)| (Arc::new(kernel), ring)))
}

/// Lets the kernel trade.
fn watch(
    kernel: &Arc<Kernel>,
    ring: RingBuf,
    settings: &Settings,
    desk: &Arc<Mutex<Desk>>,
    args: &RunArgs,
) -> Result<Watch, Failure> {
    let listen = settings.config.feeds.iter().map(|feed| feed.listen).collect();
    let records = Records::new(Arc::clone(kernel), ring, listen);
    kernel.set_enabled(!args.disabled);
    Watch::start(kernel, records, desk)
}

/// Where the control plane listens.
fn listen(args: &RunArgs) -> Result<Listen, Failure> {
    args.control.iter().try_for_each(|path| check_path(path)).map_err(Failure::failed)?;
    let tcp = match (args.control_tcp, &args.token_file) {
        (Some(address), Some(path)) => Some((address, Token::read(path).map_err(Failure::failed)?)),
        _ => None,
    };
    Ok(Listen { unix: args.control.clone(), tcp })
}

fn serve(listen: Listen, panel: &Arc<Panel>) -> Result<Option<Server>, Failure> {
    if let Listen { unix: None, tcp: None } = &listen {
        return Ok(None);
    }
    let control: Arc<dyn RespondControl> = panel.clone();
    let log = Log::stderr().map_err(Failure::failed)?;
    let server = Server::start(listen, api(&control), &Limits::default(), &log);
    Ok(Some(server.map_err(Failure::failed)?))
}

fn start_log(settings: &Settings) -> Result<(Option<Audit>, Option<Recorder>), Failure> {
    let Some(wanted) = settings.audit() else { return Ok((None, None)) };
    let (log, recorder) = Audit::start(&wanted, &settings.names())?;
    Ok((Some(log), Some(recorder)))
}

fn desk(
    settings: &Settings,
    store: &Store,
    targets: Targets,
    recorder: Option<Recorder>,
    args: &RunArgs,
) -> Result<Desk, Failure> {
    let (strategy, market) = settings.strategy();
    let responder = Responder::new(&settings.config.settings, store.memory(), strategy, market);
    let mut responder = responder.map_err(Failure::failed)?;
    responder.set_enabled(!args.disabled);
    Ok(Desk::new(responder, targets, recorder))
}

type Confirming = Vec<(String, Arc<Batches>)>;

fn workers(
    opened: Opened,
    desk: &Arc<Mutex<Desk>>,
    args: &RunArgs,
) -> (Vec<Worker>, Confirming, Memberships) {
    let age_max = Duration::from_millis(settings::STALL_AGE_MS_MAX);
    let idle = if args.spin { Idle::Spin } else { Idle::Sleep };
    let (mut workers, mut confirming) = (Vec::new(), Vec::new());
    for open in opened.ports {
        let batches = Arc::new(Batches::default());
        confirming.push((open.name.clone(), Arc::clone(&batches)));
        let job = RespondJob::new(Arc::clone(desk), batches, open.feeds, open.way, open.timed);
        workers.push(Worker {
            name: open.name,
            port: open.port,
            select: Select::everything(),
            job: Box::new(Fresh::new(job, age_max, open.timed)),
            core: None,
            idle,
            role: Role::Source,
        });
    }
    let cores = args.cores.iter().flat_map(|list| &list.0);
    for (worker, &core) in workers.iter_mut().zip(cores) {
        worker.core = Some(core);
    }
    (workers, confirming, opened.memberships)
}

/// The threads of feeds and targets over TCP.
fn connections(
    settings: &Settings,
    desk: &Arc<Mutex<Desk>>,
    stop: &Arc<Control>,
    args: &RunArgs,
    confirming: &mut Confirming,
) -> Result<Vec<JoinHandle<()>>, Failure> {
    let mut threads = Vec::new();
    for feed in settings.stream_feeds(args.spin)? {
        let batches = Arc::new(Batches::default());
        confirming.push((format!("feed {}", feed.name), Arc::clone(&batches)));
        threads.push(StreamFeed::start(feed, desk, batches, stop)?);
    }
    for dial in settings.dials(args.spin) {
        threads.push(Dial::start(dial, desk, stop).map_err(Failure::failed)?);
    }
    Ok(threads)
}

/// Follows routes and groups, and shows the figures.
struct Keeper {
    panel: Arc<Panel>,
    ways: Ways,
    dialer: Dialer,
    memberships: Memberships,
    stats_every: Option<Duration>,
    /// Whether SIGHUP asks for the rules to be read again.
    hangup: Arc<AtomicBool>,
    told: Instant,
    copied: Instant,
}

impl Keeper {
    /// Begins now.
    fn new(
        panel: &Arc<Panel>,
        ways: Ways,
        dialer: Dialer,
        memberships: Memberships,
        stats_every: Option<Duration>,
        hangup: Arc<AtomicBool>,
    ) -> Keeper {
        let (panel, now) = (Arc::clone(panel), Instant::now());
        Keeper { panel, ways, dialer, memberships, stats_every, hangup, told: now, copied: now }
    }

    /// Looks at all of it again and again.
    fn keep_while(
        &mut self,
        going: impl Fn() -> bool,
        engine: &Engine,
        control: &Control,
    ) -> Result<(), Failure> {
        while going() {
            self.keep(engine, control)?;
        }
        Ok(())
    }

    /// One look at all of it, after a pause.
    fn keep(&mut self, engine: &Engine, control: &Control) -> Result<(), Failure> {
        std::thread::sleep(Duration::from_millis(KEEP_MS));
        control.check_deadline(Instant::now());
        self.memberships.follow();
        self.panel.show(engine.ledger());
        self.ways.tick(self.panel.desk())?;
        self.dialer.keep(self.panel.desk());
        if self.hangup.swap(false, Relaxed)
            && let Err(why) = self.panel.read_again()
        {
            say(format_args!("tickwire: SIGHUP: nothing has changed: {why}\n"));
        }
        if self.copied.elapsed() >= COPY {
            self.copied = Instant::now();
            self.panel.copy_state();
        }
        for text in engine.take_notices() {
            say(format_args!("tickwire: {text}\n"));
        }
        if self.stats_every.is_some_and(|every| self.told.elapsed() >= every) {
            self.told = Instant::now();
            say(format_args!("tickwire: {}\n", Report::line(&self.panel.status())));
        }
        Ok(())
    }
}

fn conclude(
    args: &RunArgs,
    outcome: &Outcome,
    mode: &Mode,
    panel: &Panel,
    signalled: &Signalled,
    kept: Result<(), Failure>,
) -> Result<Ended, Failure> {
    panel.show(outcome.ledger.clone());
    let report = Report::new(outcome, mode, panel.status(), panel.stats());
    args.summary.show(&report)?;
    kept?;
    signalled.ended(outcome)
}
