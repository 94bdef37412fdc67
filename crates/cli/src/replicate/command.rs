//! The course of `tickwire replicate`, from flags to exit code.

use super::args::ReplicateArgs;
use super::control::{self, Panel};
use super::frames::FramePort;
use super::keeper::Keeper;
use super::kernel::KernelPort;
use super::modes::{self, Opened};
use super::recovery::{self, Answers, Merges};
use super::report::Report;
use super::settings::Settings;
use super::sockets::{opener, passes};
use super::store::Store;
use super::ways::Ways;
use crate::capture::Memberships;
use crate::exit::{Ended, Failure, say};
use crate::fresh::Fresh;
use crate::recovery::Desk;
use crate::signals::Signalled;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};
use tickwire_capture::af_xdp::AfXdpTransmitter;
use tickwire_capture::udp::UdpPort;
use tickwire_capture::{Mode, Port};
use tickwire_control::unix::check_path;
use tickwire_engine::{Control, Engine, Idle, Job, Outcome, Role, Select, Worker};
use tickwire_filter::fields::Bindings;
use tickwire_frame::LinkType;
use tickwire_replicate::state::Saved;
use tickwire_replicate::{DatagramFanOut, Feed, FrameFanOut, Table};

/// Runs the command.
pub fn run(args: &ReplicateArgs) -> Result<Ended, Failure> {
    let settings = Settings::read(args)?;
    let (saved, store) = saved(&settings)?;
    // Everything is checked in a table of its own first: nothing is opened for what is refused.
    let mut checked = Table::new(0, LinkType::ETHERNET);
    fill(&mut checked, &settings)?;
    control::tcp(&settings)?;
    settings.control.iter().try_for_each(|path| check_path(path)).map_err(Failure::failed)?;
    if args.check {
        restore(&mut checked, &settings, saved);
        say(format_args!("tickwire: {}\n", in_words(&checked)));
        return Ok(Ended::Done);
    }
    let signalled = Signalled::watch(None)?;
    let mut opened = modes::open(&settings, &saved, checked.view().snapshot())?;
    let asking = recovery::open(&settings)?;
    let mut table = Table::new(opened.workers() + asking.len(), LinkType::ETHERNET);
    let merges = fill(&mut table, &settings)?;
    restore(&mut table, &settings, saved);
    let size = in_words(&table);
    let kernel = opened.kernel.as_ref().map(|port| Arc::clone(port.kernel()));
    let routes = opened.routes.take();
    let (ways, outlets) = Ways::of(&mut opened.frames);
    let asked = asking.into_iter().map(|one| one.start(&merges)).collect::<Result<Vec<_>, _>>()?;
    let watch =
        |(desk, answers): &(Desk, Answers)| (answers.feed.name.clone(), desk.watch().clone());
    let watches = asked.iter().map(watch).collect();
    let (desks, answers): (Vec<_>, Vec<_>) = asked.into_iter().unzip();
    let keeper = Arc::new(Keeper::new(table, routes, ways, store, kernel.clone(), watches));
    kernel.map_or(Ok(()), |kernel| kernel.start())?;
    let stop = Arc::new(Control::new(None, args.duration));
    let mode = mode_of(&opened);
    let mut memberships = opened.memberships;
    let frames = opened.frames.into_iter().zip(outlets);
    let mut workers = workers(opened.kernel, frames, opened.sockets, &keeper, &settings)?;
    let first = workers.len();
    for (answers, number) in answers.into_iter().zip(first..) {
        workers.push(answers_worker(answers, &keeper, number, &settings)?);
    }
    for (worker, &core) in workers.iter_mut().zip(&settings.cores) {
        worker.core = Some(core);
    }
    let panel = Arc::new(Panel::new(Arc::clone(&keeper), mode.clone()));
    let servers = control::serve(&settings, &panel)?;
    let engine = Engine::start(workers, Arc::clone(&stop)).map_err(Failure::failed)?;
    signalled.stop(&stop);
    say(format_args!("tickwire: ready: {size}, {mode}; ^C stops\n"));
    let kept = keep(&engine, &panel, &keeper, &stop, &mut memberships);
    drop(servers);
    let outcome = engine.join();
    // Their last words are in the account.
    drop(desks);
    conclude(args, &outcome, &mode, &keeper, &signalled, kept)
}

/// The subscribers of the state file. Says whose feed there is not any more.
fn saved(settings: &Settings) -> Result<(Vec<Saved>, Option<Store>), Failure> {
    let Some(path) = &settings.state else { return Ok((Vec::new(), None)) };
    let known = |name: &str| settings.feeds.iter().any(|(feed, _)| feed.name == name);
    let (saved, store) = Store::open(path, known).map_err(Failure::failed)?;
    store.others().for_each(|text| say(format_args!("tickwire: {text}\n")));
    Ok((saved, Some(store)))
}

/// Puts the feeds and subscribers of `settings` into `table`. What merges them, by the name of the
/// first line.
fn fill(table: &mut Table, settings: &Settings) -> Result<Merges, Failure> {
    let (now, mut merges) = (Instant::now(), Merges::new());
    table.bind(Bindings::of(&settings.bind));
    for (feed, _) in &settings.feeds {
        table.add_feed(feed.clone()).map_err(Failure::failed)?;
    }
    for lines in &settings.arbitrate {
        let merged = table.merge(lines, settings.protocol_of(lines), settings.gap_hold);
        let merged =
            merged.map_err(|error| Failure::failed(format_args!("--arbitrate: {error}")))?;
        merges.insert(lines[0].clone(), merged);
    }
    for (feed, subscribers) in &settings.feeds {
        for subscriber in subscribers {
            table.add(&feed.name, subscriber.clone(), now).map_err(Failure::failed)?;
        }
    }
    Ok(merges)
}

/// Puts the subscribers of the earlier run into `table`; those of the settings, which are there
/// already, win. Says who does not come back, and why.
fn restore(table: &mut Table, settings: &Settings, saved: Vec<Saved>) {
    let configured = |one: &Saved| {
        settings.feeds.iter().any(|(feed, subscribers)| {
            feed.name == one.feed
                && subscribers.iter().any(|known| known.address == one.subscriber.address)
        })
    };
    let others = saved.into_iter().filter(|one| !configured(one)).collect();
    for (saved, error) in table.restore(others, Instant::now()) {
        let (address, feed) = (saved.subscriber.address, saved.feed);
        say(format_args!("tickwire: {address} of feed {feed} does not come back: {error}\n"));
    }
}

/// How much is in `table`: `1 feed to 2 subscribers`.
fn in_words(table: &Table) -> String {
    let count = |count: usize, what: &str| match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    };
    let subscribers = table.saved().len();
    let lines: usize = table.merged().iter().map(|merged| merged.lines.len()).sum();
    let merged = if lines > 0 { format!(" ({lines} of them merged)") } else { String::new() };
    let feeds = count(table.feeds().count(), "feed");
    format!("{feeds}{merged} to {}", count(subscribers, "subscriber"))
}

/// What is in force, for people and for the summary.
fn mode_of(opened: &Opened) -> Mode {
    let kernel = opened.kernel.as_ref().map(Port::mode);
    let frames = || opened.frames.first().map(|port| port.port.mode());
    let sockets = || opened.sockets.first().map(|(_, port)| port.mode());
    let mut mode = kernel.or_else(frames).or_else(sockets).unwrap_or(Mode {
        port: "none",
        mode: String::new(),
        why: String::new(),
    });
    if !opened.why.is_empty() {
        mode.why = opened.why.clone();
    }
    mode
}

fn workers(
    kernel: Option<KernelPort>,
    frames: impl Iterator<Item = (FramePort, Receiver<AfXdpTransmitter>)>,
    sockets: Vec<(Feed, UdpPort)>,
    keeper: &Keeper,
    settings: &Settings,
) -> Result<Vec<Worker>, Failure> {
    let idle = if settings.spin { Idle::Spin } else { Idle::Sleep };
    let worker = |name: String, port: Box<dyn Port>, job: Box<dyn Job>| Worker {
        name,
        port,
        select: Select::everything(),
        job,
        core: None,
        idle,
        role: Role::Source,
    };
    let age_max = Duration::from_millis(settings.age_ms_max.into());
    let mut workers: Vec<Worker> = Vec::new();
    // The first, because its account is that of worker 0.
    if let Some(port) = kernel {
        workers.push(worker("xdp".into(), Box::new(port), Box::new(())));
    }
    for (open, outlets) in frames {
        let name = format!("{} queue {}", open.interface, open.port.queue());
        let (view, number, sockets) = (keeper.view(), workers.len(), (opener(), passes()?));
        let on_error = |error| {
            say(format_args!("tickwire: {error}; copies that left there go through sockets\n"));
        };
        let interface = Some(open.interface);
        let job = FrameFanOut::new(view, number, interface, outlets, sockets, on_error);
        // Its frames say when they were read.
        let job = Fresh::new(job, age_max, false);
        workers.push(worker(name, Box::new(open.port), Box::new(job)));
    }
    for (feed, port) in sockets {
        let (view, number) = (keeper.view(), workers.len());
        let (listen, passes) = (feed.listen, passes()?);
        let job = DatagramFanOut::new(view, number, feed.interface, listen, opener(), passes);
        let job = Fresh::new(job, age_max, true);
        workers.push(worker(format!("udp {}", feed.name), Box::new(port), Box::new(job)));
    }
    Ok(workers)
}

/// Hands on what was asked for.
fn answers_worker(
    answers: Answers,
    keeper: &Keeper,
    number: usize,
    settings: &Settings,
) -> Result<Worker, Failure> {
    let job = answers.job(keeper.view(), number)?;
    Ok(Worker {
        name: format!("answers {}", answers.feed.name),
        select: answers.select(),
        port: Box::new(answers.port),
        job: Box::new(job),
        core: None,
        idle: if settings.spin { Idle::Spin } else { Idle::Sleep },
        role: Role::Source,
    })
}

/// Follows leases, routes, neighbours and groups until the engine has ended.
fn keep(
    engine: &Engine,
    panel: &Panel,
    keeper: &Keeper,
    control: &Control,
    memberships: &mut Memberships,
) -> Result<(), Failure> {
    let mut kept = Ok(());
    while engine.is_running() {
        keeper.wait();
        memberships.follow();
        panel.show(engine.ledger());
        let news = match keeper.tick(Instant::now()) {
            Ok(news) => news,
            Err(error) if kept.is_ok() => {
                control.stop();
                kept = Err(Failure::failed(error));
                Vec::new()
            }
            Err(_) => Vec::new(),
        };
        for text in news.into_iter().chain(engine.take_notices()) {
            say(format_args!("tickwire: {text}\n"));
        }
    }
    kept
}

fn conclude(
    args: &ReplicateArgs,
    outcome: &Outcome,
    mode: &Mode,
    keeper: &Keeper,
    signalled: &Signalled,
    kept: Result<(), Failure>,
) -> Result<Ended, Failure> {
    let report = Report::new(outcome, mode, keeper);
    args.summary.show(&report)?;
    kept?;
    signalled.ended(outcome)
}
