//! With root: two private networks, the same feed over both, a port of another kind on each.

use super::feed::Feed;
use super::job::{FeedJob, Recording, Sample, Seen};
use super::screen::{Gauge, Row, Screen};
use super::sender::{Outlet, send};
use super::{SEED, close, writer};
use crate::exit::Failure;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tickwire_capture::af_packet::{AfPacket, AfPacketConfig};
use tickwire_capture::af_xdp::{AfXdp, AfXdpConfig};
use tickwire_capture::file::InterfaceStatistics;
use tickwire_capture::{Mode, Port, PortError};
use tickwire_engine::{Control, Engine, Idle, Outcome, Role, Select, Worker};
use tickwire_frame::{Kind, Ledger};
use tickwire_lab::{End, Lab, LabConfig};

/// Packets a second through each port: what two slow cores carry without a loss.
pub const RATE_PPS: f64 = 50_000.0;
/// Packets of each port that go into the capture file: some 3 MB.
const RECORDED_PACKETS_MAX: usize = 20_000;
/// Packets that are shown as lines.
const SAMPLES: usize = 4;
/// From the last packet to the end of the workers: AF_PACKET hands over its blocks within 8 ms.
const SETTLE: Duration = Duration::from_millis(50);

/// Opens a port on the interface of an end.
type Open = fn(&str) -> Result<Box<dyn Port>, PortError>;

const PORTS: [(&str, Open); 2] = [("af_xdp", open_af_xdp), ("af_packet", open_af_packet)];

fn open_af_xdp(interface: &str) -> Result<Box<dyn Port>, PortError> {
    let mut ports = AfXdp::open(&AfXdpConfig::new(interface), &[0])?;
    Ok(Box::new(ports.remove(0)))
}

fn open_af_packet(interface: &str) -> Result<Box<dyn Port>, PortError> {
    let mut ports = AfPacket::open(&AfPacketConfig::new(interface), 1)?;
    Ok(Box::new(ports.remove(0)))
}

/// One of the two captures.
struct Lane {
    name: &'static str,
    mode: Mode,
    engine: Engine,
    seen: Arc<OnceLock<Seen>>,
    offered: AtomicU64,
    /// Last: the network goes when the engine has ended.
    lab: Lab,
}

pub fn run(
    time: Duration,
    file: &Path,
    control: &Arc<Control>,
    screen: &mut Screen,
) -> Result<Vec<Row>, Failure> {
    screen.live_intro(RATE_PPS);
    let (samples, shown) = sync_channel(SAMPLES);
    let mut samples = Some(samples);
    let mut lanes = Vec::new();
    for (name, open) in PORTS {
        let lab = Lab::veth(LabConfig { ipv6: false, ..LabConfig::default() });
        let lab = lab.map_err(Failure::failed)?;
        match lab.right.run(|| open(lab.right.name())) {
            Ok(port) => {
                screen.mode(name, &port.mode());
                lanes.push(start(name, lab, port, samples.take(), control)?);
            }
            // The other port shows what it can without this one.
            Err(error) => screen.no_port(name, &error),
        }
    }
    if lanes.is_empty() {
        return Err(Failure::failed("no port could be opened; `tickwire doctor` says why"));
    }
    let mut outlets = Vec::new();
    for lane in &lanes {
        let port = lane.lab.left.run(|| open_sender(&lane.lab.left)).map_err(Failure::failed)?;
        outlets.push(Outlet { port, offered: &lane.offered });
    }
    let sent = std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let mut feed = Feed::new(SEED);
            send(&mut feed, &mut outlets, RATE_PPS, time, control)
        });
        watch(&lanes, &shown, screen, || !sender.is_finished());
        sender.join()
    });
    std::thread::sleep(SETTLE);
    control.stop();
    drop(outlets);
    let rows = settle(lanes, file)?;
    match sent {
        Ok(sent) => sent.map_err(Failure::failed).map(|()| rows),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Starts the worker of a lane inside its network.
fn start(
    name: &'static str,
    lab: Lab,
    port: Box<dyn Port>,
    samples: Option<std::sync::mpsc::SyncSender<Sample>>,
    control: &Arc<Control>,
) -> Result<Lane, Failure> {
    let (seen, mode) = (Arc::default(), port.mode());
    let recording = Recording::with_room_for(RECORDED_PACKETS_MAX);
    let worker = Worker {
        name: format!("rx-{name}"),
        port,
        select: Select::everything(),
        job: Box::new(FeedJob::new(recording, samples, Arc::clone(&seen))),
        core: None,
        idle: Idle::Sleep,
        role: Role::Source,
    };
    let engine = lab.right.run(|| Engine::start(vec![worker], Arc::clone(control)));
    let engine = engine.map_err(Failure::failed)?;
    Ok(Lane { name, mode, engine, seen, offered: AtomicU64::new(0), lab })
}

/// A packet socket that only sends.
fn open_sender(end: &End) -> Result<Box<dyn Port>, PortError> {
    let config = AfPacketConfig {
        outgoing: false,
        blocks: 4,
        tx_slots: 1024,
        ..AfPacketConfig::new(end.name())
    };
    Ok(Box::new(AfPacket::open(&config, 1)?.remove(0)))
}

/// Shows the first packets, then the rates, for as long as the feed runs.
fn watch(
    lanes: &[Lane],
    shown: &Receiver<Sample>,
    screen: &mut Screen,
    mut sending: impl FnMut() -> bool,
) {
    let first = shown.recv_timeout(Duration::from_millis(500));
    let others = (1..SAMPLES).map_while(|_| shown.recv_timeout(Duration::from_millis(50)).ok());
    screen.samples(first.into_iter().chain(others));
    screen.gap();
    let mut gauges: Vec<Gauge> = lanes.iter().map(|lane| Gauge::new(lane.name)).collect();
    while sending() {
        std::thread::sleep(screen.refresh_every());
        let ledgers: Vec<Ledger> = lanes.iter().map(|lane| lane.engine.ledger()).collect();
        for (gauge, ledger) in gauges.iter_mut().zip(&ledgers) {
            gauge.update(ledger);
        }
        screen.gauges(&gauges);
    }
}

/// Waits for the workers, writes what they recorded, and adds everything up.
fn settle(lanes: Vec<Lane>, file: &Path) -> Result<Vec<Row>, Failure> {
    let mut rows = Vec::new();
    let mut recordings = Vec::new();
    let mut error = None;
    for Lane { name, mode, engine, seen, offered, lab } in lanes {
        let outcome = engine.join();
        drop(lab);
        let seen = Arc::into_inner(seen).and_then(OnceLock::into_inner).unwrap_or_default();
        rows.push(Row {
            port: name,
            mode: mode.mode.clone(),
            offered: offered.load(Relaxed),
            ledger: outcome.ledger.clone(),
            missing: seen.missing,
            out_of_order: seen.out_of_order,
            seconds: seen.time().as_secs_f64(),
            delay: Some(seen.delay()),
            cpu: outcome.workers.iter().map(|worker| worker.cpu).sum(),
            recorded: seen.recording.len() as u64,
        });
        recordings.push((name, seen.recording, statistics(&outcome)));
        error = error.or(outcome.error);
    }
    if let Some(error) = error {
        return Err(Failure::failed(error));
    }
    record(file, &recordings)?;
    Ok(rows)
}

fn statistics(outcome: &Outcome) -> InterfaceStatistics {
    let ledger = &outcome.ledger;
    let lost = ledger.discarded.nonzero().filter(|(reason, _)| reason.kind() == Kind::Kernel);
    InterfaceStatistics {
        received: Some(ledger.received),
        dropped: Some(lost.map(|(_, count)| count).sum()),
        delivered: Some(ledger.delivered),
        ..InterfaceStatistics::default()
    }
}

/// Writes the recordings into one file, merged by time.
fn record(
    file: &Path,
    recordings: &[(&str, Recording, InterfaceStatistics)],
) -> Result<(), Failure> {
    let names: Vec<&str> = recordings.iter().map(|(name, ..)| *name).collect();
    let mut writer = writer(file, &names)?;
    let mut frames: Vec<_> = recordings
        .iter()
        .enumerate()
        .flat_map(|(index, (_, recording, _))| {
            recording.frames().map(move |frame| (frame.timestamp, index as u32, frame))
        })
        .collect();
    frames.sort_by_key(|&(timestamp, index, _)| (timestamp, index));
    for (_, index, frame) in &frames {
        let ethernet = tickwire_frame::LinkType::ETHERNET;
        writer.write(frame, *index, ethernet).map_err(Failure::failed)?;
    }
    let statistics: Vec<_> = recordings.iter().map(|(.., statistics)| *statistics).collect();
    close(writer, file, frames.len() as u64, &statistics)
}
