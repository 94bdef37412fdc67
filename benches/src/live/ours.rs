//! Our own ports as contenders, each on a pinned thread of this process.

use super::{Failure, Running, Seat};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;
use tickwire_capture::af_packet::{AfPacket, AfPacketConfig};
use tickwire_capture::af_xdp::{AfXdp, AfXdpConfig};
use tickwire_capture::{Port, PortError};
use tickwire_decode::five_tuple;
use tickwire_engine::{Control, Idle, Job, Published, Select};
use tickwire_frame::{Batch, Ledger, Mask};
use tickwire_lab::{Lab, cpu};

/// An engine's loop on a thread, and how to stop it.
struct Receiver {
    thread: JoinHandle<Result<u64, tickwire_engine::RunError>>,
    thread_id: i32,
    control: Arc<Control>,
}

impl Running for Receiver {
    fn cpu(&self) -> Result<Duration, Failure> {
        // proc_pid_schedstat: nanoseconds on a processor come first.
        let stat = format!("/proc/self/task/{}/schedstat", self.thread_id);
        let stat = std::fs::read_to_string(stat)?;
        let ns = stat.split_whitespace().next().ok_or("an empty schedstat")?;
        Ok(Duration::from_nanos(ns.parse()?))
    }

    fn stop(self: Box<Self>) -> Result<u64, Failure> {
        self.control.stop();
        Ok(self.thread.join().map_err(|_| "the receiver panicked")??)
    }
}

/// The engine's loop; the job looks at nothing.
pub(super) fn undecoded(lab: &Lab, seat: Seat) -> Result<Box<dyn Running>, Failure> {
    engine(Box::new(af_xdp(lab)?), Select::everything(), Box::new(()), Idle::Spin, seat)
}

/// The engine's loop; the job decodes every packet to its five-tuple and counts.
pub(super) fn decoded(lab: &Lab, seat: Seat) -> Result<Box<dyn Running>, Failure> {
    let job = Box::new(CountDecoded::default());
    engine(Box::new(af_xdp(lab)?), Select::everything(), job, Idle::Spin, seat)
}

/// The engine's loop over packet sockets. The job counts, as tcpdump looks into no packet; between
/// blocks it sleeps, as tcpdump does.
pub(super) fn af_packet(lab: &Lab, seat: Seat) -> Result<Box<dyn Running>, Failure> {
    let config = AfPacketConfig::new(lab.right.name());
    let port = lab.right.run(|| AfPacket::open(&config, 1))?.remove(0);
    engine(Box::new(port), Select::everything(), Box::new(()), Idle::Sleep, seat)
}

fn af_xdp(lab: &Lab) -> Result<AfXdp, PortError> {
    let config = AfXdpConfig::new(lab.right.name());
    Ok(lab.right.run(|| AfXdp::open(&config, &[0]))?.remove(0))
}

/// Runs the engine's loop on a thread that has its seat. Comes back when it runs.
pub(crate) fn engine(
    mut port: Box<dyn Port>,
    mut select: Select,
    mut job: Box<dyn Job>,
    idle: Idle,
    seat: Seat,
) -> Result<Box<dyn Running>, Failure> {
    let control = Arc::new(Control::new(None, None));
    let shared = control.clone();
    let (ready, wait) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        // Whoever waits for it hears of a failure.
        let _ = ready.send(take_seat(seat).map(|()| rustix::thread::gettid()));
        let published = Published::default();
        let (ledger, result) = tickwire_engine::run(
            port.as_mut(),
            &mut select,
            job.as_mut(),
            idle,
            &shared,
            &published,
        );
        assert_eq!(ledger.difference(), 0, "{ledger:?}");
        result.map(|()| ledger.delivered)
    });
    let thread_id = wait.recv_timeout(Duration::from_secs(5))??.as_raw_nonzero().get();
    Ok(Box::new(Receiver { thread, thread_id, control }))
}

/// On Linux a priority is that of a thread.
fn take_seat(seat: Seat) -> Result<(), Failure> {
    cpu::pin(seat.core)?;
    rustix::process::setpriority_process(Some(rustix::thread::gettid()), seat.nice)?;
    Ok(())
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
