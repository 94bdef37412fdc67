//! Copies a second that arrive, under more load than anybody carries, and what each takes.

use super::contenders::{References, tickwire};
use super::rounds::Rounds;
use super::{Args, Cores, Promise, judge};
use crate::live::Failure;
use crate::live::programs::Program;
use std::time::{Duration, Instant};
use tickwire_lab::{
    DropCounter, Lab, LabConfig, LabError, Numbered, Offload, Schedule, SenderReport, cpu,
    send_live,
};

/// Copies a second that are asked for: twice what the fastest makes.
const LOAD_COPIES_PER_S: f64 = 8e6;
/// Before a trial begins.
const WARM_UP: Duration = Duration::from_millis(100);
/// The generator goes on for so long after it.
const MARGIN: Duration = Duration::from_millis(50);

const PLAIN: &str = "recvfrom, sendto";
const BY_SUBSCRIBER: &str = "recvmmsg, sendmmsg for each subscriber";
const BY_PACKET: &str = "recvmmsg, sendmmsg for each packet";
const RAW: &str = "raw AF_XDP transmission";
const AF_XDP: &str = "tickwire af_xdp";
const UDP: &str = "tickwire udp";
const XDP: &str = "tickwire xdp";
const CONTENDERS: [&str; 7] = [PLAIN, BY_SUBSCRIBER, BY_PACKET, RAW, AF_XDP, UDP, XDP];

const fn promise(
    subscribers: u16,
    ours: &'static str,
    theirs: &'static str,
    ratio: f64,
) -> Promise {
    Promise { subscribers, ours, theirs, ratio }
}

const PROMISES: [Promise; 9] = [
    promise(16, AF_XDP, PLAIN, 1.8),
    promise(16, AF_XDP, BY_SUBSCRIBER, 1.0),
    promise(16, AF_XDP, BY_PACKET, 1.0),
    promise(16, AF_XDP, RAW, 0.85),
    promise(64, AF_XDP, PLAIN, 1.8),
    promise(64, AF_XDP, BY_SUBSCRIBER, 1.0),
    promise(64, AF_XDP, BY_PACKET, 1.0),
    promise(64, AF_XDP, RAW, 0.85),
    promise(64, XDP, RAW, 2.0),
];

/// What the trials of a number of subscribers showed.
#[derive(Debug, Default)]
pub struct Figures {
    /// Copies a second.
    rate: Rounds,
    /// Nanoseconds of processor time a copy.
    cpu_ns: Rounds,
}

/// One trial's.
struct Trial {
    copies: u64,
    time: Duration,
    /// Processor time of whatever makes the copies. For the process that is what the kernel does
    /// in its system calls, the drop at the other end included, but not what the kernel does for it
    /// on the generator's core: that is per packet, not per copy. Mode `xdp` does all of its work
    /// there, so that core's time is its time, the making of packets included.
    cpu: Duration,
}

/// All contenders by turns. Who cannot run is left out, which is said.
pub fn measure(
    args: &Args,
    cores: Cores,
    references: &References,
    subscribers: u16,
) -> Result<Figures, Failure> {
    let mut figures = Figures::default();
    let mut running: Vec<_> = CONTENDERS.into_iter().filter(|name| args.wants(name)).collect();
    for _ in 0..if args.quick { 1 } else { args.rounds.max(1) } {
        let mut refused = Vec::new();
        for &name in &running {
            match trial(args, cores, references, name, subscribers) {
                Ok(trial) => figures.enter(name, &trial),
                Err(error) if name.starts_with("tickwire") => {
                    println!("{name}, {subscribers} subscribers: REFUSED: {error}");
                    refused.push(name);
                }
                Err(error) => return Err(format!("{name}: {error}").into()),
            }
        }
        running.retain(|name| !refused.contains(name));
    }
    Ok(figures)
}

fn trial(
    args: &Args,
    cores: Cores,
    references: &References,
    name: &'static str,
    subscribers: u16,
) -> Result<Trial, Failure> {
    let lab = Lab::veth(LabConfig { ipv6: false, ..LabConfig::default() })?;
    // So that the driver takes live frames also for those who attach no XDP program.
    lab.right.set_offload(Offload::Gro, true)?;
    let packets = Numbered::between(&lab.left, &lab.right);
    let arrived = DropCounter::attach(&lab.left, &packets)?;
    let program = match name {
        PLAIN => references.sockets(&lab, cores, "plain", subscribers),
        BY_SUBSCRIBER => references.sockets(&lab, cores, "by-subscriber", subscribers),
        BY_PACKET => references.sockets(&lab, cores, "by-packet", subscribers),
        RAW => references.raw(&lab, cores),
        AF_XDP => tickwire(&lab, cores, "af_xdp", subscribers, &[]),
        UDP => tickwire(&lab, cores, "udp", subscribers, &[]),
        _ => tickwire(&lab, cores, "xdp", subscribers, &[]),
    }?;
    let seconds = Duration::from_secs_f64(if args.quick { 0.1 } else { args.seconds });
    let limit = WARM_UP + seconds + MARGIN;
    let schedule = Schedule::paced(u64::MAX, LOAD_COPIES_PER_S / f64::from(subscribers));
    std::thread::scope(|scope| {
        let generate = || -> Result<SenderReport, LabError> {
            cpu::pin(cores.generator)?;
            send_live(&lab.left, &packets, &schedule.within(limit))
        };
        let generator = (name != RAW).then(|| scope.spawn(generate));
        let mut trial = watch(&program, &arrived, seconds)?;
        if name == XDP {
            trial.cpu += trial.time;
        }
        if let Some(generator) = generator {
            generator.join().expect("the generator does not panic")?;
        }
        Ok(trial)
    })
}

/// Looks at everything, waits, and looks again.
fn watch(program: &Program, arrived: &DropCounter, seconds: Duration) -> Result<Trial, Failure> {
    std::thread::sleep(WARM_UP);
    let look = || -> Result<_, Failure> { Ok((arrived.count()?, Instant::now(), program.cpu()?)) };
    let before = look()?;
    std::thread::sleep(seconds);
    let after = look()?;
    let trial =
        Trial { copies: after.0 - before.0, time: after.1 - before.1, cpu: after.2 - before.2 };
    if trial.copies == 0 { Err("no copy arrived".into()) } else { Ok(trial) }
}

impl Figures {
    fn enter(&mut self, name: &'static str, trial: &Trial) {
        let copies = trial.copies as f64;
        self.rate.enter(name, copies / trial.time.as_secs_f64());
        self.cpu_ns.enter(name, trial.cpu.as_nanos() as f64 / copies);
    }
}

/// Prints the figures and the promises for so many subscribers; whether these are kept.
pub fn report(args: &Args, subscribers: u16, figures: &Figures) -> bool {
    let head = format!("{subscribers} subscribers");
    println!("\n{head:<40} {:>12} {:>20} {:>12}", "M copies/s", "least to most", "CPU ns/copy");
    for name in CONTENDERS {
        let Some(rate) = figures.rate.spread(name) else { continue };
        let range = format!("{:.3} to {:.3}", rate.min / 1e6, rate.max / 1e6);
        let cpu_ns = figures.cpu_ns.spread(name).map_or(0.0, |spread| spread.median);
        println!("{name:<40} {:>12.3} {range:>20} {cpu_ns:>12.0}", rate.median / 1e6);
    }
    let here = PROMISES.iter().filter(|promise| promise.subscribers == subscribers);
    let wanted = here.filter(|promise| args.wants(promise.ours) && args.wants(promise.theirs));
    let what = format!("copies/s for {subscribers}");
    judge(&what, &figures.rate, wanted, true)
}

/// What one more subscriber takes, from the time that a packet takes with few and with many.
pub fn report_slopes(rates: &[(u16, Figures)]) {
    let figures = |wanted: u16| rates.iter().find(|(subscribers, _)| *subscribers == wanted);
    let (Some((few, less)), Some((many, more))) = (figures(16), figures(64)) else { return };
    println!("\nfor each subscriber more, between {few} and {many}, ns a packet");
    for name in CONTENDERS {
        let ns = |subscribers: u16, figures: &Figures| {
            Some(f64::from(subscribers) * 1e9 / figures.rate.spread(name)?.median)
        };
        if let (Some(less), Some(more)) = (ns(*few, less), ns(*many, more)) {
            println!("{name:<40} {:>8.0}", (more - less) / f64::from(many - few));
        }
    }
}
