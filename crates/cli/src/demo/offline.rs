//! Without root: the same feed, generated into a capture file and read back.

use super::feed::Feed;
use super::job::{FeedJob, Recording};
use super::live::RATE_PPS;
use super::screen::{Row, Screen};
use super::{SEED, close, writer};
use crate::exit::Failure;
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, OnceLock};
use tickwire_capture::file::FilePort;
use tickwire_capture::{Port, file::InterfaceStatistics};
use tickwire_engine::{Control, Engine, Idle, Role, Select, Worker};
use tickwire_frame::{Frame, LinkType, Timestamp};

/// Packets in the file: some 60 MB.
const PACKETS_MAX: u64 = 500_000;
/// Packets that are shown as lines.
const SAMPLES: usize = 4;

pub fn run(
    seconds: u64,
    file: &Path,
    control: &Arc<Control>,
    screen: &mut Screen,
) -> Result<Vec<Row>, Failure> {
    let packets = (seconds * RATE_PPS as u64).min(PACKETS_MAX);
    screen.offline_intro(packets, RATE_PPS);
    let written = generate(file, packets, control)?;
    let port = FilePort::open(file).map_err(Failure::failed)?;
    let mode = port.mode();
    screen.mode(mode.port, &mode);
    let (samples, shown) = sync_channel(SAMPLES);
    let seen = Arc::new(OnceLock::new());
    let job = FeedJob::new(Recording::default(), Some(samples), Arc::clone(&seen));
    let worker = Worker {
        name: "file".into(),
        port: Box::new(port),
        select: Select::everything(),
        job: Box::new(job),
        core: None,
        idle: Idle::Sleep,
        role: Role::Source,
    };
    let engine = Engine::start(vec![worker], Arc::clone(control)).map_err(Failure::failed)?;
    let outcome = engine.join();
    if let Some(error) = outcome.error {
        return Err(Failure::failed(error));
    }
    screen.samples(shown.try_iter());
    let seen = seen.get().cloned().unwrap_or_default();
    Ok(vec![Row {
        port: mode.port,
        mode: mode.mode,
        offered: written,
        ledger: outcome.ledger,
        missing: seen.missing,
        out_of_order: seen.out_of_order,
        seconds: outcome.elapsed.as_secs_f64(),
        delay: None,
        cpu: outcome.workers.iter().map(|worker| worker.cpu).sum(),
        recorded: written,
    }])
}

/// Writes `packets` packets, as far apart as they would be on the wire; gives how many, which is
/// fewer when the user stops it.
fn generate(file: &Path, packets: u64, control: &Control) -> Result<u64, Failure> {
    /// Packets between two looks at the keyboard.
    const PACKETS_PER_LOOK: u64 = 4096;
    let mut writer = writer(file, &["feed"])?;
    let (mut feed, mut bytes) = (Feed::new(SEED), Vec::new());
    let (start, apart) = (Timestamp::now().as_nanos(), 1e9 / RATE_PPS);
    let mut written = 0;
    while written < packets {
        if written % PACKETS_PER_LOOK == 0 && control.stopped() {
            break;
        }
        let time = Timestamp::from_nanos(start + (written as f64 * apart) as u64);
        feed.next(time, &mut bytes);
        let frame = Frame::new(&bytes, time);
        writer.write(&frame, 0, LinkType::ETHERNET).map_err(Failure::failed)?;
        written += 1;
    }
    let statistics = InterfaceStatistics { received: Some(written), ..Default::default() };
    close(writer, file, written, &[statistics])?;
    Ok(written)
}
