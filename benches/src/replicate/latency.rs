//! Round trips through one subscriber's copy, one packet in flight, against echoes.
//!
//! The same sender and receiver for all: our own AF_XDP port on the left end, which spins. It is on
//! the generator's core; so is all that XDP does at the right end. What is in user space spins too.

use super::contenders::{References, tickwire, xdp_echo};
use super::rounds::Rounds;
use super::{Args, Cores, Promise, judge};
use crate::live::Failure;
use std::any::Any;
use std::time::{Duration, Instant};
use tickwire_capture::af_xdp::{AfXdp, AfXdpConfig, AfXdpTransmitter};
use tickwire_capture::{Port, Transmitter};
use tickwire_frame::Batch;
use tickwire_lab::{Lab, LabConfig, Number, Numbered, cpu};

/// Round trips of a trial; the first ones do not count.
const TRIPS: u64 = 50_000;
const TRIPS_QUICK: u64 = 2_000;
const WARM_UP_TRIPS: u64 = 1_000;
/// A packet that has not come back by then is lost.
const PATIENCE: Duration = Duration::from_millis(200);
const LOST_MAX: u64 = 10;

const ECHO: &str = "bare AF_XDP echo";
const AF_XDP: &str = "tickwire af_xdp";
const XDP_ECHO: &str = "bare XDP_TX echo";
const XDP: &str = "tickwire xdp";
const UDP: &str = "tickwire udp";
const CONTENDERS: [&str; 5] = [ECHO, AF_XDP, XDP_ECHO, XDP, UDP];

const PROMISES: [Promise; 2] = [
    Promise { subscribers: 1, ours: AF_XDP, theirs: ECHO, ratio: 1.15 },
    Promise { subscribers: 1, ours: XDP, theirs: XDP_ECHO, ratio: 1.2 },
];

/// Measures by turns, prints, and says whether the promises are kept.
pub fn measure(args: &Args, cores: Cores, references: &References) -> Result<bool, Failure> {
    let (mut p50, mut p99) = (Rounds::default(), Rounds::default());
    let mut running: Vec<_> = CONTENDERS.into_iter().filter(|name| args.wants(name)).collect();
    for _ in 0..if args.quick { 1 } else { args.rounds.max(1) } {
        let mut refused = Vec::new();
        for &name in &running {
            match trial(args, cores, references, name) {
                Ok(times) => {
                    p50.enter(name, times[times.len() / 2] as f64);
                    p99.enter(name, times[times.len() * 99 / 100] as f64);
                }
                Err(error) if name.starts_with("tickwire") => {
                    println!("{name}, latency: REFUSED: {error}");
                    refused.push(name);
                }
                Err(error) => return Err(format!("{name}: {error}").into()),
            }
        }
        running.retain(|name| !refused.contains(name));
    }
    println!("\n{:<40} {:>8} {:>20} {:>8}", "round trip, ns", "p50", "least to most", "p99");
    for name in CONTENDERS {
        let (Some(p50), Some(p99)) = (p50.spread(name), p99.spread(name)) else { continue };
        let range = format!("{:.0} to {:.0}", p50.min, p50.max);
        println!("{name:<40} {:>8.0} {range:>20} {:>8.0}", p50.median, p99.median);
    }
    let wanted = PROMISES.iter().filter(|one| args.wants(one.ours) && args.wants(one.theirs));
    Ok(judge("p50", &p50, wanted, false))
}

/// The times of all round trips in nanoseconds, ascending.
fn trial(
    args: &Args,
    cores: Cores,
    references: &References,
    name: &'static str,
) -> Result<Vec<u64>, Failure> {
    let lab = Lab::veth(LabConfig { ipv6: false, ..LabConfig::default() })?;
    let config = AfXdpConfig::new(lab.left.name());
    let mut port = lab.left.run(|| AfXdp::open(&config, &[0]))?.remove(0);
    let mut transmitter = port.transmitter().ok_or("the port has no sending half")?;
    let _running: Box<dyn Any> = match name {
        ECHO => Box::new(references.echo(&lab, cores)?),
        XDP_ECHO => Box::new(xdp_echo(&lab, false)?),
        AF_XDP => Box::new(tickwire(&lab, cores, "af_xdp", 1, &["--spin"])?),
        XDP => Box::new(tickwire(&lab, cores, "xdp", 1, &["--spin"])?),
        _ => Box::new(tickwire(&lab, cores, "udp", 1, &["--spin"])?),
    };
    let packets = Numbered::between(&lab.left, &lab.right);
    let trips = if args.quick { TRIPS_QUICK } else { TRIPS };
    lab.left.run(|| {
        cpu::pin(cores.generator)?;
        round_trips(&mut port, &mut transmitter, &packets, trips)
    })
}

fn round_trips(
    port: &mut AfXdp,
    transmitter: &mut AfXdpTransmitter,
    packets: &Numbered,
    trips: u64,
) -> Result<Vec<u64>, Failure> {
    let template = packets.template();
    let mut frame = template.bytes().to_vec();
    let (mut times, mut lost) = (Vec::with_capacity(trips as usize), 0);
    for number in 0..WARM_UP_TRIPS + trips {
        template.fill(&mut frame, number, 0);
        let start = Instant::now();
        let slot = transmitter.slot().map_err(|reason| format!("no room to send: {reason}"))?;
        slot[..frame.len()].copy_from_slice(&frame);
        transmitter.push(frame.len(), 0);
        transmitter.kick(&mut |_, _| lost += 1)?;
        match returned(port, template.payload(), number, start)? {
            Some(time) if number >= WARM_UP_TRIPS => times.push(time),
            Some(_) => {}
            None => lost += 1,
        }
        if lost > LOST_MAX {
            return Err(format!("more than {LOST_MAX} packets did not come back").into());
        }
    }
    times.sort_unstable();
    Ok(times)
}

/// Spins until packet `number` is back; how long after `start`. None when it is lost.
fn returned(
    port: &mut AfXdp,
    payload: usize,
    number: u64,
    start: Instant,
) -> Result<Option<u64>, Failure> {
    loop {
        let mut batch = Batch::new();
        port.receive(&mut batch)?;
        let of = |bytes: &&[u8]| Number::of_payload(bytes.get(payload..)?);
        let arrived = batch.bytes().iter().filter_map(of).any(|(found, _)| found == number);
        let time = start.elapsed();
        if arrived {
            return Ok(Some(time.as_nanos() as u64));
        }
        if time > PATIENCE {
            return Ok(None);
        }
    }
}
