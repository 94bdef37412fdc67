//! A filter that keeps 1 % of a flood, in XDP and in user space: what each costs the worker.
//!
//! Live frames of 100 flows come over one veth queue from a generator on one core; the worker of
//! the engine has the other. It sleeps when nothing is there, so that its processor time, user and
//! system, is what the work takes. What the filter in XDP rejects goes on to the host's own stack,
//! on the generator's core: with the filter in XDP less is offered, so the time is given for each
//! packet that was offered. A worker that keeps 1 % is woken and lets more packets come before it
//! looks, as `tickwire capture` does; one that looks at a whole flood hardly ever sleeps.

use crate::live::{Failure, Seat, ours};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tickwire_capture::af_xdp::{AfXdp, AfXdpConfig, Selection};
use tickwire_engine::{FilterText, Filters, Idle, Select};
use tickwire_filter::ebpf::Sampling;
use tickwire_filter::{Filter, Options};
use tickwire_lab::{Lab, LabConfig, Numbered, Schedule, cpu, send_live};

/// Time in user space against time with the filter in XDP, at least.
const RATIO_MIN: f64 = 5.0;
/// One of them is wanted.
const FLOWS: u16 = 100;
const WANTED: &str = "udp src port 40007";
/// As `tickwire capture` waits.
const GATHER: Idle = Idle::Gather(Duration::from_micros(250));
/// What has arrived is read within this time after the generator has stopped.
const SETTLE: Duration = Duration::from_millis(100);

/// Options of `tickwire-bench filter-live`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Packets a second that are offered; without it as many as the generator makes.
    #[arg(long)]
    rate_pps: Option<f64>,
    /// Seconds of each flood.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Floods of each kind; the one in which the worker took the least time counts.
    #[arg(long, default_value_t = 3)]
    attempts: u32,
}

/// What one flood showed.
struct Trial {
    offered: u64,
    taken: u64,
    seconds: f64,
    cpu: Duration,
}

impl Trial {
    /// Processor time for each packet that was offered, in nanoseconds.
    fn cpu_ns(&self) -> f64 {
        self.cpu.as_nanos() as f64 / self.offered.max(1) as f64
    }
}

/// Runs the comparison. Fails when the promise is not kept.
pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    if let Some(missing) = tickwire_lab::missing() {
        tickwire_lab::say_skipped("tickwire-bench filter-live", missing);
        return Ok(ExitCode::SUCCESS);
    }
    let cores = cpu::cores();
    let [generator, receiver, ..] = cores[..] else {
        tickwire_lab::say_skipped("tickwire-bench filter-live", "needs two cores");
        return Ok(ExitCode::SUCCESS);
    };
    println!("{:<22} {:>12} {:>10} {:>9} {:>14}", "", "offered", "taken", "M/s", "CPU/offered");
    let mut times = Vec::new();
    for (name, in_xdp) in [("filter in user space", false), ("filter in XDP", true)] {
        let mut best: Option<Trial> = None;
        for _ in 0..args.attempts.max(1) {
            let trial = trial(args, in_xdp, (generator, receiver))?;
            if best.as_ref().is_none_or(|best| trial.cpu_ns() < best.cpu_ns()) {
                best = Some(trial);
            }
        }
        let Some(best) = best else { continue };
        let rate = best.offered as f64 / best.seconds / 1e6;
        let (offered, taken) = (best.offered, best.taken);
        println!("{name:<22} {offered:>12} {taken:>10} {rate:>9.3} {:>11.1} ns", best.cpu_ns());
        times.push(best.cpu_ns());
    }
    let ratio = times[0] / times[1];
    let kept = ratio >= RATIO_MIN;
    let verdict = if kept { "kept" } else { "NOT KEPT" };
    println!("user space / XDP: {ratio:.1}, at least {RATIO_MIN} promised: {verdict}");
    Ok(if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One flood in a lab of its own.
fn trial(args: &Args, in_xdp: bool, cores: (usize, usize)) -> Result<Trial, Failure> {
    let lab = Lab::veth(LabConfig { ipv6: false, ..LabConfig::default() })?;
    let mut packets = Numbered { flows: FLOWS, ..Numbered::between(&lab.left, &lab.right) };
    // To nobody in this network: the receiving host's own stack drops them at once.
    packets.addresses.1 = [10, 77, 0, 99].into();
    let options = Options { tags_in_frame: true, linux_extensions: true, ..Options::default() };
    let mut config = AfXdpConfig::new(lab.right.name());
    if in_xdp {
        let filter = Arc::new(Filter::compile(WANTED, &options)?.xdp()?);
        config.selection = Selection::Filter { filter, sampling: Sampling::All };
    }
    let port = lab.right.run(|| AfXdp::open(&config, &[0]))?.remove(0);
    // User space runs the filter in either case, as `tickwire capture` does.
    let select = Select::by(Arc::new(Filters::new(FilterText::new(WANTED, options))));
    let seat = Seat { core: cores.1, nice: 0 };
    let running = ours::engine(Box::new(port), select, Box::new(()), GATHER, seat)?;
    let limit = Duration::from_secs_f64(args.seconds);
    let schedule = match args.rate_pps {
        None => Schedule::flood(u64::MAX).within(limit),
        Some(rate) => Schedule::paced((rate * args.seconds) as u64, rate).within(2 * limit),
    };
    let before = running.cpu()?;
    let sender = std::thread::scope(|scope| {
        let generate = || {
            cpu::pin(cores.0)?;
            send_live(&lab.left, &packets, &schedule)
        };
        scope.spawn(generate).join().expect("the generator does not panic")
    })?;
    std::thread::sleep(SETTLE);
    let cpu = running.cpu()? - before;
    let taken = running.stop()?;
    // A flood overruns the ring of a worker that has to look at all of it; the kernel counts that.
    let wanted = sender.offered.div_ceil(u64::from(FLOWS));
    if taken < wanted / 2 || taken > wanted {
        return Err(format!("{taken} of {wanted} wanted packets were taken").into());
    }
    Ok(Trial { offered: sender.offered, taken, seconds: sender.seconds, cpu })
}
