//! Our own ports as contenders, each on a pinned thread of this process.

use super::{Failure, Running, Taken};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;
use tickwire_capture::af_packet::{AfPacket, AfPacketConfig};
use tickwire_capture::af_xdp::{AfXdp, AfXdpConfig};
use tickwire_capture::{Port, PortError};
use tickwire_decode::five_tuple;
use tickwire_engine::{Control, Idle, Job, Published};
use tickwire_frame::{Batch, Ledger, Mask};
use tickwire_lab::{Lab, cpu};

type Outcome = Result<Taken, PortError>;

/// A receiver on a thread, and how to stop it.
struct Receiver<S> {
    thread: JoinHandle<Outcome>,
    stop: S,
}

impl<S: FnOnce()> Running for Receiver<S> {
    fn stop(self: Box<Self>) -> Result<Taken, Failure> {
        (self.stop)();
        Ok(self.thread.join().map_err(|_| "the receiver panicked")??)
    }
}

/// Receives and recycles, looks at nothing.
pub(super) fn bare(lab: &Lab, core: usize) -> Result<Box<dyn Running>, Failure> {
    let mut port = af_xdp(lab)?;
    let stopped = Arc::new(AtomicBool::new(false));
    let flag = stopped.clone();
    let thread = on_core(core, move || {
        let mut packets = 0;
        while !flag.load(Ordering::Relaxed) {
            let mut batch = Batch::new();
            port.receive(&mut batch)?;
            packets += batch.len() as u64;
        }
        Ok(packets)
    })?;
    Ok(Box::new(Receiver { thread, stop: move || stopped.store(true, Ordering::Relaxed) }))
}

/// The engine's loop; the job decodes every packet to its five-tuple and counts.
pub(super) fn decoded(lab: &Lab, core: usize) -> Result<Box<dyn Running>, Failure> {
    engine(Box::new(af_xdp(lab)?), Box::new(CountDecoded::default()), Idle::Spin, core)
}

/// The engine's loop over packet sockets. The job counts, as tcpdump looks into no packet; between
/// blocks it sleeps, as tcpdump does.
pub(super) fn af_packet(lab: &Lab, core: usize) -> Result<Box<dyn Running>, Failure> {
    let config = AfPacketConfig::new(lab.right.name());
    let port = lab.right.run(|| AfPacket::open(&config, 1))?.remove(0);
    engine(Box::new(port), Box::new(()), Idle::Sleep, core)
}

fn af_xdp(lab: &Lab) -> Result<AfXdp, PortError> {
    let config = AfXdpConfig::new(lab.right.name());
    Ok(lab.right.run(|| AfXdp::open(&config, &[0]))?.remove(0))
}

/// Runs the engine's loop on a core.
fn engine(
    mut port: Box<dyn Port>,
    mut job: Box<dyn Job>,
    idle: Idle,
    core: usize,
) -> Result<Box<dyn Running>, Failure> {
    let control = Arc::new(Control::new(None, None));
    let shared = control.clone();
    let thread = on_core(core, move || {
        let published = Published::default();
        let (ledger, result) =
            tickwire_engine::run(port.as_mut(), job.as_mut(), idle, &shared, &published);
        assert_eq!(ledger.difference(), 0, "{ledger:?}");
        result.map(|()| ledger.delivered)
    })?;
    Ok(Box::new(Receiver { thread, stop: move || control.stop() }))
}

/// Starts `receive` on a thread pinned to `core`; it returns how many packets it took. Comes back
/// when the thread runs.
fn on_core(
    core: usize,
    receive: impl FnOnce() -> Result<u64, PortError> + Send + 'static,
) -> Result<JoinHandle<Outcome>, Failure> {
    let (ready, wait) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        // Whoever waits for it hears of a failure.
        let _ = ready.send(cpu::pin(core));
        let spent = || cpu::thread_time().0 + cpu::thread_time().1;
        let before = spent();
        let packets = receive()?;
        Ok(Taken { packets, cpu: spent() - before })
    });
    wait.recv_timeout(Duration::from_secs(5))??;
    Ok(thread)
}

/// Decodes every packet to its five-tuple; counts bytes of payload and packets that have none.
#[derive(Debug, Default)]
struct CountDecoded {
    payload_bytes: u64,
    others: u64,
}

impl Job for CountDecoded {
    fn handle(&mut self, batch: &Batch<'_>, selected: Mask, ledger: &mut Ledger) {
        for index in selected {
            // All of the tuple is wanted, whatever the compiler thinks.
            match std::hint::black_box(five_tuple(batch.link, batch.bytes()[index])) {
                Ok(tuple) => self.payload_bytes += tuple.payload_len as u64,
                Err(_) => self.others += 1,
            }
        }
        ledger.delivered += selected.count() as u64;
    }
}
