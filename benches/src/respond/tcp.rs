//! Tick to trade with one tick in flight and orders over TCP: the kernel's, and ours over AF_XDP.
//! Sender and receiver are sockets of the kernel on the left end, which spin.

use super::Args;
use super::latency::{by_turns, responder};
use super::ticks::{self, ORDER_PORT, TICK_PORT};
use crate::live::Failure;
use crate::replicate::Cores;
use std::io::{ErrorKind, Read};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};
use tickwire_lab::{Lab, LabConfig, cpu};

/// Round trips of a trial; the first ones do not count.
const TRIPS: u64 = 20_000;
const TRIPS_QUICK: u64 = 1_000;
const WARM_UP_TRIPS: u64 = 1_000;
/// What does not come within this time does not come.
const PATIENCE: Duration = Duration::from_secs(5);
/// An order of the house format.
const ORDER_BYTES: usize = 41;

/// Whose TCP, and how the responder waits.
const CONTENDERS: [(&str, &str, &[&str]); 4] = [
    ("kernel TCP", "kernel", &["--mode", "af_xdp"]),
    ("TCP in user space", "user", &["--mode", "af_xdp"]),
    ("kernel TCP, --spin", "kernel", &["--mode", "af_xdp", "--spin"]),
    ("TCP in user space, --spin", "user", &["--mode", "af_xdp", "--spin"]),
];

/// Measures by turns and prints. Promises nothing.
pub fn measure(args: &Args, cores: Cores) -> Result<(), Failure> {
    by_turns(args, "orders over TCP, ns", CONTENDERS.map(|(name, ..)| name), |name| {
        let (_, stack, flags) = CONTENDERS.into_iter().find(|of| of.0 == name).unwrap_or_default();
        trial(args, cores, stack, flags)
    })
    .map(drop)
}

/// The times of all round trips in nanoseconds, ascending.
fn trial(args: &Args, cores: Cores, stack: &str, flags: &[&str]) -> Result<Vec<u64>, Failure> {
    let lab = Lab::veth(LabConfig { ipv6: false, ..LabConfig::default() })?;
    lab.wait_quiet()?;
    let (listener, sender) = lab.left.run(|| {
        let sender = UdpSocket::bind((lab.left.ipv4(), 0))?;
        sender.connect((lab.right.ipv4(), TICK_PORT))?;
        std::io::Result::Ok((TcpListener::bind((lab.left.ipv4(), ORDER_PORT))?, sender))
    })?;
    let lines = format!("transport = \"tcp\"\nstack = \"{stack}\"\n");
    let _running = responder(&lab, cores, flags, &lines)?;
    let mut stream = accept(&listener)?;
    let trips = if args.quick { TRIPS_QUICK } else { TRIPS };
    lab.left.run(|| {
        cpu::pin(cores.generator)?;
        let mut times = Vec::with_capacity(trips as usize);
        for number in 0..WARM_UP_TRIPS + trips {
            let tick = ticks::payload(number, "AAPL");
            let start = Instant::now();
            sender.send(&tick)?;
            let time = order(&mut stream, start)?;
            if number >= WARM_UP_TRIPS {
                times.push(time);
            }
        }
        times.sort_unstable();
        Ok(times)
    })
}

/// The connection of the responder.
fn accept(listener: &TcpListener) -> Result<TcpStream, Failure> {
    listener.set_nonblocking(true)?;
    let until = Instant::now() + PATIENCE;
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(true)?;
                return Ok(stream);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(error) => return Err(format!("the responder does not connect: {error}").into()),
        }
    }
}

/// Spins until an order is there; how long after `start`, in nanoseconds.
fn order(stream: &mut TcpStream, start: Instant) -> Result<u64, Failure> {
    let (mut order, mut len) = ([0; ORDER_BYTES], 0);
    while len < ORDER_BYTES {
        match stream.read(&mut order[len..]) {
            Ok(0) => return Err("the responder has gone".into()),
            Ok(read) => len += read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        if start.elapsed() > PATIENCE {
            return Err("a tick was not answered".into());
        }
    }
    Ok(start.elapsed().as_nanos() as u64)
}
