//! The other end of a round trip: sends back what arrives, to whoever sent it.

use super::args::LatencyArgs;
use crate::capture::{Summary, SummaryFormat};
use crate::completions::print_all;
use crate::exit::{Ended, Failure, say};
use crate::progress;
use crate::signals::Signalled;
use rustix::net::{SendFlags, sendto};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use tickwire_capture::Port;
use tickwire_capture::udp::{UdpConfig, UdpPort};
use tickwire_decode::five_tuple;
use tickwire_engine::{Control, Engine, Idle, Job, Role, Select, Worker};
use tickwire_frame::{Batch, Frame, Ledger, LinkType, Mask, Reason};

/// Reflects until it is told to stop, then shows the account.
pub fn run(args: &LatencyArgs, listen: SocketAddr) -> Result<Ended, Failure> {
    let signalled = Signalled::watch(None)?;
    let interface = args.outlet.interface.clone();
    let config = UdpConfig { interface, ..UdpConfig::new(listen) };
    let port = UdpPort::open(&config).map_err(Failure::failed)?;
    let (listen, mode) = (port.listen(), port.mode());
    let socket = port.as_fd().try_clone_to_owned();
    let socket = socket.map_err(|error| {
        Failure::failed(format_args!("cannot share a socket: {error}; see `ulimit -n`"))
    })?;
    let run = &args.pace.run;
    let control = Arc::new(Control::new(run.count, run.duration));
    signalled.stop(&control);
    let worker = Worker {
        name: "reflect".into(),
        port: Box::new(port),
        select: Select::everything(),
        job: Box::new(ReflectJob { socket, port: listen.port() }),
        core: run.core,
        idle: if run.spin { Idle::Spin } else { Idle::Sleep },
        role: Role::Source,
    };
    let engine = Engine::start(vec![worker], control).map_err(Failure::failed)?;
    say(format_args!("tickwire: reflecting on {listen}, {mode}; ^C stops\n"));
    progress::watch(&engine, None, progress::is_wanted(false), || {});
    let outcome = engine.join();
    let summary = Summary::new(&outcome, &mode, true);
    match args.report.format() {
        SummaryFormat::Json => {
            print_all(format!("{}\n", summary.to_json()).as_bytes())?;
        }
        SummaryFormat::Text => say(&summary),
    }
    match &outcome.error {
        Some(error) => Err(Failure::failed(error)),
        None if signalled.interrupted() => Ok(Ended::Interrupted),
        None => Ok(Ended::Done),
    }
}

/// Sends the payload of each datagram back to its sender, from the port that it came to.
struct ReflectJob {
    socket: OwnedFd,
    port: u16,
}

impl ReflectJob {
    fn reflect(&self, link: LinkType, frame: &Frame<'_>) -> Result<(), Reason> {
        let tuple = five_tuple(link, frame.bytes).map_err(|_| Reason::NoPayload)?;
        // Two reflectors of one port would send a single datagram to and fro for ever.
        if tuple.source_port == self.port {
            return Err(Reason::Reflected);
        }
        let to = SocketAddr::new(tuple.addresses.source(), tuple.source_port);
        let sent = sendto(&self.socket, tuple.payload(frame.bytes), SendFlags::empty(), &to);
        sent.map(|_| ()).map_err(|_| Reason::TxRefused)
    }
}

impl Job for ReflectJob {
    fn handle(&mut self, batch: &Batch<'_>, selected: Mask, ledger: &mut Ledger) {
        for frame in batch.select(selected) {
            match self.reflect(batch.link, &frame) {
                Ok(()) => ledger.delivered += 1,
                Err(reason) => ledger.discard(reason, 1),
            }
        }
    }
}
