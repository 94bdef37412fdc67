//! The course of `tickwire latency`, from flags to exit code.

use super::args::LatencyArgs;
use super::feeds::Feeds;
use super::functional::Functional;
use super::reflect;
use super::report::{Measured, Report};
use super::tally::{Tallies, TallyJob};
use crate::exit::{Ended, Failure, say};
use crate::generate::limits;
use crate::send::args::{OutletChoice, Source};
use crate::send::course::Course;
use crate::send::generator::Generator;
use crate::send::job::{SendJob, Shared};
use crate::send::open;
use crate::send::outlet::Outlet;
use crate::send::packets::Packets;
use crate::send::schedule::Rate;
use crate::send::udp::{UdpOutlet, any_source, connect};
use crate::signals::Signalled;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use tickwire_capture::Port;
use tickwire_capture::udp::{UdpConfig, UdpPort};
use tickwire_engine::{Control, Engine, Idle, Outcome, Role, Select, Worker};

/// Most addresses that are received at.
const SUBSCRIBERS_MAX: usize = 1024;
/// The longest payload that is received whole, in bytes.
const PAYLOAD_BYTES_MAX: usize = 9216;
/// How often it is looked whether all has arrived.
const ARRIVED_POLL_MS: u64 = 10;

/// Runs the command.
pub fn run(args: &LatencyArgs) -> Result<Ended, Failure> {
    match (args.reflect, args.to) {
        (Some(listen), _) => reflect::run(args, listen),
        (None, Some(to)) => measure(args, to),
        (None, None) => Err(Failure::usage("say where to send: --to ADDR:PORT")),
    }
}

fn measure(args: &LatencyArgs, to: SocketAddr) -> Result<Ended, Failure> {
    check(args)?;
    let schedule = args.pace.schedule(args.rate);
    let (message, bytes) = args.packets().map_err(Failure::Usage)?;
    let ports = receivers(args, to)?;
    let addresses: Vec<SocketAddr> = ports.iter().map(UdpPort::listen).collect();
    let (outlet, packets) = match (&args.subscriber[..], args.outlet.port) {
        ([], None | Some(OutletChoice::Udp)) => {
            (answered(args, to, &ports[0])?, Packets::Payloads { message, bytes })
        }
        // Frames leave past the socket, so they have to carry its port for answers to come to it.
        ([], Some(_)) => {
            let port = Some(addresses[0].port());
            open::numbered(&args.outlet, to, message, bytes, port)?
        }
        _ => open::numbered(&args.outlet, to, message, bytes, None)?,
    };
    let signalled = Signalled::watch(None)?;
    let shared = Arc::<Shared>::default();
    let job = TallyJob::new(message, schedule, args.timestamps, Arc::clone(&shared), ports.len());
    let job = job.functional(args.functional.then(|| Functional::new(message)));
    let receiver = Receiver::start(args, ports, job)?;
    let (count, time_max) = limits(schedule, args.pace.run.count, args.pace.run.duration);
    let control = Arc::new(Control::new(None, time_max));
    say(format_args!("tickwire: sending to {to}, {}; ^C stops\n", outlet.mode()));
    signalled.stop(&control);
    let course = Course {
        port: Box::new(Generator::new(packets, schedule, count, Arc::clone(&shared))),
        job: SendJob::new(outlet, Arc::clone(&shared), Arc::clone(&control)).ready_made(),
        shared: Arc::clone(&shared),
        control,
        progress: None,
    };
    let sent = course.run(&args.pace.run)?;
    let stepped_ns = shared.clock().stepped_ns();
    let (received, tallies) = receiver.finish(sent.ledger.delivered, args.linger);
    let tallies = std::mem::take(&mut *tallies.lock().unwrap_or_else(PoisonError::into_inner));
    let measured = Measured { sent: &sent, shared: &shared, received: &received, stepped_ns };
    let report = Report::new(args, to, schedule, &measured, addresses.into_iter().zip(tallies));
    report.conclude(args.report.format(), signalled.interrupted())
}

fn check(args: &LatencyArgs) -> Result<(), Failure> {
    if args.rate == Rate::Max {
        return Err(Failure::usage(
            "with --rate max every packet is due at once, and times mean nothing: give a number",
        ));
    }
    if args.subscriber.len() > SUBSCRIBERS_MAX {
        return Err(Failure::usage(format!(
            "{} subscribers; the most is {SUBSCRIBERS_MAX}",
            args.subscriber.len()
        )));
    }
    if args.subscriber.is_empty() && args.outlet.flows > 1 {
        return Err(Failure::usage(
            "round trips come back to the one socket that they left from: leave --flows out",
        ));
    }
    Ok(())
}

/// The sockets that packets arrive at.
fn receivers(args: &LatencyArgs, to: SocketAddr) -> Result<Vec<UdpPort>, Failure> {
    let open = |listen: SocketAddr| {
        let config = UdpConfig { payload_bytes_max: PAYLOAD_BYTES_MAX, ..UdpConfig::new(listen) };
        UdpPort::open(&config).map_err(Failure::failed)
    };
    if !args.subscriber.is_empty() {
        return args.subscriber.iter().copied().map(open).collect();
    }
    if to.ip().is_multicast() {
        return Err(Failure::usage(
            "a group does not answer: name who receives with --subscriber ADDR:PORT",
        ));
    }
    let listen = match args.outlet.source {
        Some(Source { address, port }) => SocketAddr::new(address, port.unwrap_or(0)),
        None => any_source(to),
    };
    Ok(vec![open(listen)?])
}

/// An outlet through the socket of `port`, so that answers come to it.
fn answered(
    args: &LatencyArgs,
    to: SocketAddr,
    port: &UdpPort,
) -> Result<Box<dyn Outlet>, Failure> {
    let target = open::udp_target(&args.outlet, to)?;
    let socket = port.as_fd().try_clone_to_owned().map_err(|error| {
        Failure::failed(format_args!("cannot share a socket: {error}; see `ulimit -n`"))
    })?;
    let socket = UdpSocket::from(socket);
    connect(&socket, &target)?;
    Ok(Box::new(UdpOutlet::of(vec![socket])))
}

/// The receiving half of a measurement.
struct Receiver {
    engine: Engine,
    control: Arc<Control>,
    tallies: Tallies,
    subscribers: u64,
}

impl Receiver {
    /// Starts to receive.
    fn start(args: &LatencyArgs, ports: Vec<UdpPort>, job: TallyJob) -> Result<Self, Failure> {
        let (subscribers, tallies) = (ports.len() as u64, job.result());
        let port: Box<dyn Port> = match <[UdpPort; 1]>::try_from(ports) {
            Ok([port]) => Box::new(port),
            Err(ports) => Box::new(Feeds::new(ports).map_err(Failure::failed)?),
        };
        let worker = Worker {
            name: "receive".into(),
            port,
            select: Select::everything(),
            job: Box::new(job),
            core: args.receive_core,
            idle: if args.pace.run.spin { Idle::Spin } else { Idle::Sleep },
            role: Role::Source,
        };
        let control = Arc::new(Control::default());
        let engine = Engine::start(vec![worker], Arc::clone(&control)).map_err(Failure::failed)?;
        Ok(Receiver { engine, control, tallies, subscribers })
    }

    /// Waits until `sent` packets have arrived everywhere, at most for `linger`, and stops.
    fn finish(self, sent: u64, linger: Duration) -> (Outcome, Tallies) {
        let deadline = Instant::now() + linger;
        let wanted = sent.saturating_mul(self.subscribers);
        while self.engine.ledger().delivered < wanted && Instant::now() < deadline {
            self.engine.wait(Duration::from_millis(ARRIVED_POLL_MS));
        }
        self.control.stop();
        (self.engine.join(), self.tallies)
    }
}
