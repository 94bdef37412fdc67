//! What the control plane asks: the desk, and how the run goes.

use super::audit::Audit;
use super::desk::{Desk, lock};
use super::peers::Link;
use super::reload::Reloads;
use super::store::Store;
use super::targets::{Target, Way};
use super::user_tcp::Now;
use super::xdp::Kernel;
use crate::exit::{Failure, say};
use serde_json::Value;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tickwire_capture::Mode;
use tickwire_control::replicate::types::by_name;
use tickwire_control::respond::types::{
    AuditView, ConnectionList, DebugView, FeedView, LastError, PositionView, ProcessTime,
    ReloadView, Reset, RuleView, StatsView, StatusView, TargetView,
};
use tickwire_control::respond::{Refusal, RespondControl};
use tickwire_frame::{Ledger, Timestamp};
use tickwire_respond::audit::Mark;
use tickwire_respond::{Batches, FeedState, Position, Tally};

/// How long a worker may take to confirm the kill switch, in milliseconds.
const CONFIRM_MS_MAX: u64 = 1_000;
/// The percentiles that are shown.
const PERCENTILES: [(&str, f64); 7] = [
    ("p10", 10.0),
    ("p50", 50.0),
    ("p90", 90.0),
    ("p95", 95.0),
    ("p99", 99.0),
    ("p99.9", 99.9),
    ("p99.99", 99.99),
];

/// What does not change during a run.
#[derive(Clone, Debug)]
pub struct Fixed {
    /// Each feed, without its figures.
    pub feeds: Vec<FeedView>,
    /// Each target, without its figures.
    pub targets: Vec<TargetView>,
    /// How packets come and orders leave.
    pub mode: Mode,
}

/// A run as the control plane sees it.
#[derive(Debug)]
pub struct Panel {
    desk: Arc<Mutex<Desk>>,
    store: Store,
    kernel: Option<Arc<Kernel>>,
    /// The workers, by name.
    workers: Vec<(String, Arc<Batches>)>,
    audit: Option<Audit>,
    reloads: Reloads,
    fixed: Fixed,
    started: Instant,
    ledger: Mutex<Ledger>,
}

impl Panel {
    /// For a run that begins now.
    pub fn new(
        desk: Arc<Mutex<Desk>>,
        store: Store,
        kernel: Option<Arc<Kernel>>,
        workers: Vec<(String, Arc<Batches>)>,
        audit: Option<Audit>,
        reloads: Reloads,
        fixed: Fixed,
    ) -> Panel {
        let (started, ledger) = (Instant::now(), Mutex::default());
        Panel { desk, store, kernel, workers, audit, reloads, fixed, started, ledger }
    }

    /// Shows the account as it is now.
    pub fn show(&self, ledger: Ledger) {
        *self.ledger.lock().unwrap_or_else(PoisonError::into_inner) = ledger;
    }

    /// The same desk.
    pub fn desk(&self) -> &Arc<Mutex<Desk>> {
        &self.desk
    }

    /// Reads rules and limits again, and says so; why not, when nothing has changed.
    pub fn read_again(&self) -> Result<ReloadView, String> {
        match self.reloads.reload(&self.desk, self.kernel.as_deref(), self.audit.as_ref()) {
            Ok(view) => {
                say(format_args!("tickwire: read again: {view}\n"));
                Ok(view)
            }
            Err(Failure::Failed(why) | Failure::Usage(why)) => Err(why),
        }
    }

    /// Brings the state file up to date, where it is a copy.
    pub fn copy_state(&self) {
        if self.kernel.is_some() {
            let _held = lock(&self.desk);
            self.store.copy();
        }
    }

    fn ledger(&self) -> Ledger {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Until each worker has begun a batch after now, or rests.
    fn confirmed(&self) -> Result<(), Refusal> {
        let until = Instant::now() + Duration::from_millis(CONFIRM_MS_MAX);
        for (worker, batches) in &self.workers {
            let Some(batch) = batches.running() else { continue };
            while !batches.has_ended(batch) {
                if Instant::now() >= until {
                    return Err(Refusal::Unconfirmed {
                        worker: worker.clone(),
                        ms: CONFIRM_MS_MAX,
                    });
                }
                std::thread::yield_now();
            }
        }
        Ok(())
    }

    fn warnings(&self, desk: &Desk, feeds: &[FeedView]) -> Vec<String> {
        let mut warnings = Vec::new();
        for (view, target) in self.fixed.targets.iter().zip(&desk.targets.targets) {
            warnings.extend(target.trouble().map(|why| format!("target {}: {why}", view.name)));
        }
        let stale = feeds.iter().filter(|feed| feed.stale);
        warnings.extend(stale.map(|feed| format!("feed {}: {}", feed.name, why_stale(feed))));
        if desk.stopped_by_audit {
            warnings.push(
                "the audit log lost records, so responding was switched off; make room, then \
                 start again"
                    .to_owned(),
            );
        }
        if desk.stopped_by_ring {
            warnings.push(
                "records of the kernel were lost, so responding was switched off; find out what \
                 kept tickwire from reading them, then `tickwire ctl respond enable`"
                    .to_owned(),
            );
        }
        warnings
    }
}

/// Why nothing is sent on a feed, and until when.
fn why_stale(feed: &FeedView) -> String {
    match (feed.missing, feed.lost) {
        (0, 0) => "it is silent for longer than `silence_ms`, so that the next packet will not be \
                   answered; does its sender run?"
            .to_owned(),
        (0, lost) => format!(
            "{lost} messages are lost, nothing is sent on it until the next session begins, or \
             somebody who knows better says `tickwire ctl respond reset --gaps`"
        ),
        (missing, _) => format!(
            "{missing} messages are missing, nothing is sent on it until they have come or the \
             next session begins"
        ),
    }
}

impl Target {
    /// Why orders cannot be sent, or go slower than they could.
    fn trouble(&self) -> Option<String> {
        match &self.way {
            Way::Udp(udp) => match (udp.path, &udp.socket) {
                _ if let Some(Err(reason)) = udp.from_kernel => Some(format!(
                    "orders of rules in the kernel cannot leave: {}",
                    reason.meaning()
                )),
                (Err(reason), Some(_)) if udp.template.is_none() => {
                    Some(format!("no frames, orders go through a socket: {}", reason.meaning()))
                }
                (Err(reason), _) => Some(reason.meaning().to_owned()),
                _ => None,
            },
            Way::Tcp(wire) => not_ready(wire.down.as_deref(), wire.is_ready(), wire.uncertain()),
            Way::User(line) => match line.path() {
                Err(reason) => Some(reason.meaning().to_owned()),
                Ok(_) => not_ready(line.down(), line.is_ready(), line.uncertain()),
            },
        }
    }

    fn way(&self) -> &'static str {
        match &self.way {
            Way::Udp(udp) if udp.from_kernel.is_some() => "xdp",
            Way::Udp(udp) if udp.template.is_some() => "af_xdp",
            Way::Udp(_) => "socket",
            Way::Tcp(_) => "session",
            Way::User(_) => "af_xdp session",
        }
    }

    fn is_ready(&self) -> bool {
        match &self.way {
            Way::Udp(udp) => match udp.from_kernel {
                Some(way) => way.is_ok(),
                None => udp.path.is_ok() || udp.socket.is_some(),
            },
            Way::Tcp(wire) => wire.is_ready(),
            Way::User(line) => line.is_ready(),
        }
    }
}

/// Why nothing can be said on a connection, or how many orders are in doubt.
fn not_ready(down: Option<&str>, is_ready: bool, uncertain: usize) -> Option<String> {
    match (down, is_ready, uncertain) {
        (Some(why), ..) => Some(format!("not connected: {why}")),
        (None, false, _) => Some("not logged in".to_owned()),
        (None, true, 0) => None,
        (None, true, orders) => Some(format!(
            "{orders} orders of connections before are open, and the exchange has not said what \
             became of them: should it not, ask it, and see to positions"
        )),
    }
}

impl RespondControl for Panel {
    fn status(&self) -> StatusView {
        let (now_ns, ledger) = (Timestamp::now().as_nanos(), self.ledger());
        let desk = lock(&self.desk);
        let counts = desk.responder.counts();
        let feeds = self.fixed.feeds.iter().enumerate().map(|(feed, view)| {
            let state = desk.responder.feed(feed as u16, now_ns);
            let FeedState { messages, malformed, missing, lost, abandoned, is_stale } = state;
            let stale = is_stale;
            FeedView { stale, messages, malformed, missing, lost, abandoned, ..view.clone() }
        });
        let feeds: Vec<_> = feeds.collect();
        let targets =
            self.fixed.targets.iter().zip(&desk.targets.targets).map(|(view, target)| TargetView {
                way: target.way().to_owned(),
                ready: target.is_ready(),
                sent: target.sent + target.sent_by_kernel,
                unsent: by_name(&target.unsent),
                ..view.clone()
            });
        let unsent: u64 = desk.targets.targets.iter().map(|target| target.unsent.total()).sum();
        let mut status = StatusView {
            job: "respond".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_s: self.started.elapsed().as_secs_f64(),
            mode: self.fixed.mode.port.to_owned(),
            mode_reason: self.fixed.mode.why.clone(),
            enabled: desk.responder.is_enabled(),
            killed: self.store.memory().is_killed(),
            warnings: self.warnings(&desk, &feeds),
            feeds,
            targets: targets.collect(),
            packets_processed: counts.ticks,
            packets_bypassed: ledger.discarded.total() + counts.packets_unreadable,
            responses_sent: desk.targets.targets.iter().map(|target| target.sent).sum(),
            errors: unsent,
            refused: by_name(&counts.refused),
            active_connections: desk.peers.active(now_ns),
            dropped_connections: desk.peers.lost,
            process_time: process_time(&desk),
            debug: DebugView {
                queue_full_events: desk.targets.queue_full,
                checksum_errors: desk.checksum_errors,
                // The path of a packet makes none, which tests prove.
                memory_allocations: 0,
                last_error: desk
                    .targets
                    .last_error
                    .map(|(reason, at_ns)| LastError { text: reason.to_string(), at_ns }),
            },
            kernel: None,
            ledger: (&ledger).into(),
        };
        if let Some(kernel) = &self.kernel {
            kernel.add_to(&mut status);
        }
        status
    }

    fn stats(&self) -> StatsView {
        let settings = self.reloads.in_force();
        let here: HashSet<u16> = settings.config.rules.iter().map(|rule| rule.number).collect();
        let desk = lock(&self.desk);
        let rules = (0..).zip(settings.rule_names.iter().zip(desk.responder.rules()));
        // A rule that is not there any more is shown for what it did.
        let rules = rules
            .filter(|(number, (_, tally))| here.contains(number) || **tally != Tally::default())
            .map(|(_, (name, Tally { orders, refused }))| {
                let (name, refused) = (name.clone(), by_name(refused));
                let triggers = orders + refused.values().sum::<u64>();
                RuleView { name, triggers, orders: *orders, refused }
            });
        let instruments = settings.config.instruments.iter().enumerate();
        let positions = instruments.filter_map(|(at, instrument)| {
            let Position { net, open_buy, open_sell } = desk.responder.position(at as u32);
            let any = net != 0 || open_buy != 0 || open_sell != 0;
            let symbol = instrument.name().to_owned();
            any.then_some(PositionView { symbol, net, open_buy, open_sell })
        });
        let audit = self.audit.as_ref().map(|audit| AuditView {
            file: audit.path().display().to_string(),
            written: audit.written(),
            lost: audit.lost().map(|(reason, count)| (reason.to_string(), count)).collect(),
        });
        let (rules, positions) = (rules.collect(), positions.collect());
        StatsView { process_time: process_time(&desk), rules, positions, audit }
    }

    fn connections(&self) -> ConnectionList {
        let Fixed { feeds, targets, .. } = &self.fixed;
        lock(&self.desk).peers.list(Timestamp::now().as_nanos(), |link| match link {
            Link::UdpFeed(feed) | Link::TcpFeed(feed) => feeds[usize::from(feed)].name.clone(),
            Link::TcpTarget(target) => targets[usize::from(target)].name.clone(),
        })
    }

    fn config(&self) -> Value {
        self.reloads.in_force().text.clone()
    }

    fn reload(&self) -> Result<ReloadView, Refusal> {
        self.read_again().map_err(|why| Refusal::NotReloaded { why })
    }

    fn enable(&self, on: bool) -> Result<(), Refusal> {
        if on && self.store.memory().is_killed() {
            return Err(Refusal::Killed);
        }
        let mut desk = lock(&self.desk);
        desk.responder.set_enabled(on);
        if let Some(kernel) = &self.kernel {
            kernel.set_enabled(on);
        }
        desk.stopped_by_audit &= !on;
        desk.stopped_by_ring &= !on;
        desk.mark(if on { Mark::Enabled } else { Mark::Disabled });
        Ok(())
    }

    fn kill(&self) -> Result<(), Refusal> {
        self.store.memory().set_killed(true);
        if let Some(kernel) = &self.kernel {
            kernel.state().settle();
        }
        let confirmed = self.confirmed();
        let mut desk = lock(&self.desk);
        desk.hang_up_what_waits(Now::read());
        desk.mark(Mark::Killed);
        self.store.copy();
        drop(desk);
        let kept = self.store.sync().map_err(|why| Refusal::NotKept { why: why.to_string() });
        confirmed.and(kept)
    }

    fn reset(&self, what: Reset) -> Result<(), Refusal> {
        let Reset { kill_switch, gaps, positions } = what;
        let memory = self.store.memory();
        let mut desk = lock(&self.desk);
        if positions && desk.responder.is_enabled() && !memory.is_killed() {
            return Err(Refusal::Enabled);
        }
        desk.reset_figures();
        if let Some(kernel) = &self.kernel {
            kernel.state().reset_counts();
        }
        if gaps {
            desk.responder.forget_gaps();
            desk.mark(Mark::GapsReset);
        }
        if positions {
            desk.responder.flatten();
            if let Some(kernel) = &self.kernel {
                kernel.state().flatten();
            }
            desk.mark(Mark::PositionsReset);
        }
        if kill_switch && memory.is_killed() {
            desk.responder.set_enabled(false);
            if let Some(kernel) = &self.kernel {
                kernel.set_enabled(false);
            }
            memory.set_killed(false);
            desk.mark(Mark::KillReset);
        }
        self.store.copy();
        drop(desk);
        self.store.sync().map_err(|why| Refusal::NotKept { why: why.to_string() })
    }
}

fn process_time(desk: &Desk) -> Option<ProcessTime> {
    let times = &desk.targets.times;
    let percentile = |(name, p): (&str, f64)| (name.to_owned(), times.value_at_percentile(p));
    (!times.is_empty()).then(|| ProcessTime {
        count: times.len(),
        min_ns: times.min(),
        mean_ns: times.mean(),
        max_ns: times.max(),
        stdev_ns: times.stdev(),
        percentiles_ns: PERCENTILES.into_iter().map(percentile).collect(),
    })
}
