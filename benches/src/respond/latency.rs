//! Tick to trade with one tick in flight: the same sender and receiver for all, our own AF_XDP port
//! on the left end, which spins.

use super::ticks::{self, ORDER_PORT, TICK_PORT, Ticks};
use super::{Args, open_loop};
use crate::live::Failure;
use crate::live::programs::{Compiled, Program, on_core};
use crate::replicate::{Cores, Promise, References, Rounds, judge};
use std::any::Any;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tickwire_capture::Port;
use tickwire_capture::af_xdp::{AfXdp, AfXdpConfig, AfXdpTransmitter};
use tickwire_frame::Batch;
use tickwire_lab::{Lab, LabConfig, cpu};

/// Round trips of a trial; the first ones do not count.
const TRIPS: u64 = 20_000;
const TRIPS_QUICK: u64 = 1_000;
const WARM_UP_TRIPS: u64 = 1_000;
/// What has not come back by then is lost.
const PATIENCE: Duration = Duration::from_millis(200);
const LOST_MAX: u64 = 10;

const BLOCKING: &str = "blocking UDP program in C";
const SPINNING: &str = "spinning UDP program in C";
const ECHO: &str = "bare AF_XDP echo, no logic";
const AF_XDP: &str = "tickwire af_xdp";
const UDP: &str = "tickwire udp";
const CONTENDERS: [&str; 5] = [BLOCKING, SPINNING, ECHO, AF_XDP, UDP];

const PROMISES: [Promise; 3] = [
    Promise { subscribers: 1, ours: AF_XDP, theirs: BLOCKING, ratio: 0.5 },
    Promise { subscribers: 1, ours: AF_XDP, theirs: SPINNING, ratio: 1.0 },
    Promise { subscribers: 1, ours: AF_XDP, theirs: ECHO, ratio: 1.1 },
];

/// The references, compiled.
pub struct Contenders {
    sockets: Compiled,
    echo: References,
}

/// A responder that runs as long as this is kept.
pub type Running = Box<dyn Any>;

impl Contenders {
    /// # Errors
    /// Without a C compiler.
    pub fn compile() -> Result<Self, Failure> {
        let sockets = Compiled::new("respond", include_bytes!("../../respond/sockets.c"))?;
        Ok(Contenders { sockets, echo: References::compile()? })
    }

    fn start(&self, lab: &Lab, cores: Cores, name: &str) -> Result<Running, Failure> {
        let way = match name {
            BLOCKING => "block",
            SPINNING => "spin",
            ECHO => return Ok(Box::new(self.echo.echo(lab, cores)?)),
            AF_XDP => return tickwire(lab, cores, "af_xdp"),
            _ => return tickwire(lab, cores, "udp"),
        };
        let mut command = self.sockets.on_core(cores.replicator);
        command
            .args([way, &lab.right.ipv4().to_string(), &TICK_PORT.to_string()])
            .args([lab.left.ipv4().to_string(), ORDER_PORT.to_string()]);
        Ok(Box::new(Program::start(lab, command, "ready")?))
    }
}

/// A folder for the configuration and the state file.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // What stays of it does no harm.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// `tickwire respond` in a mode, with orders over UDP; what decides in user space spins.
pub fn tickwire(lab: &Lab, cores: Cores, mode: &str) -> Result<Running, Failure> {
    let flags = ["--mode", mode, "--spin"];
    responder(lab, cores, if mode == "xdp" { &flags[..2] } else { &flags }, "")
}

/// `tickwire respond` with these flags, and these lines more for its target.
pub fn responder(
    lab: &Lab,
    cores: Cores,
    flags: &[&str],
    target_lines: &str,
) -> Result<Running, Failure> {
    let binary = std::env::current_exe()?.with_file_name("tickwire");
    if !binary.exists() {
        let text = "is not there; build it first with `cargo build --release -p tickwire`";
        return Err(format!("{} {text}", binary.display()).into());
    }
    let folder = std::env::temp_dir().join(format!("tickwire-bench-state-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let folder = Folder(folder);
    let (config, state) = (folder.0.join("config.toml"), folder.0.join("state"));
    // A trial knows nothing of the one before.
    let _ = std::fs::remove_file(&state);
    let listen = SocketAddr::from((lab.right.ipv4(), TICK_PORT)).to_string();
    let target = SocketAddr::from((lab.left.ipv4(), ORDER_PORT)).to_string();
    let symbols = ["AAPL".to_owned()];
    let state = state.to_string_lossy();
    let text = ticks::config(&symbols, &listen, &target, &state, 1_000_000);
    let head = "[[target]]\n";
    std::fs::write(&config, text.replace(head, &format!("{head}{target_lines}")))?;
    let mut command = on_core(cores.replicator, &binary);
    command
        .args(["respond", "-i", lab.right.name(), "--config"])
        .arg(&config)
        .args(flags)
        .args(["--cores", &cores.replicator.to_string()])
        .stdin(Stdio::null());
    Ok(Box::new((Program::start(lab, command, "ready")?, folder)))
}

/// Measures by turns, prints, and says whether the promises are kept.
pub fn measure(args: &Args, cores: Cores, contenders: &Contenders) -> Result<bool, Failure> {
    let [p50, p99] = by_turns(args, "tick to trade, ns", CONTENDERS, |name| {
        trial(args, cores, |lab| contenders.start(lab, cores, name))
    })?;
    let kept = judge("p50", &p50, PROMISES.iter(), false);
    Ok(judge("p99", &p99, PROMISES[..2].iter(), false) && kept)
}

/// Gives each contender a turn in each round, of which `trial` brings the times in nanoseconds,
/// ascending. Prints p50 and p99, which it returns.
pub fn by_turns<const N: usize>(
    args: &Args,
    what: &str,
    names: [&'static str; N],
    trial: impl Fn(&'static str) -> Result<Vec<u64>, Failure>,
) -> Result<[Rounds; 2], Failure> {
    let (mut p50, mut p99) = (Rounds::default(), Rounds::default());
    for _ in 0..if args.quick { 1 } else { args.rounds.max(1) } {
        for name in names {
            let times = trial(name).map_err(|error| format!("{name}: {error}"))?;
            p50.enter(name, times[times.len() / 2] as f64);
            p99.enter(name, times[times.len() * 99 / 100] as f64);
        }
    }
    println!("\n{what:<32} {:>8} {:>20} {:>8}", "p50", "least to most", "p99");
    for name in names {
        let (Some(p50), Some(p99)) = (p50.spread(name), p99.spread(name)) else { continue };
        let range = format!("{:.0} to {:.0}", p50.min, p50.max);
        println!("{name:<32} {:>8.0} {range:>20} {:>8.0}", p50.median, p99.median);
    }
    Ok([p50, p99])
}

/// A lab, and both halves of a port on its left end, which gets a neighbour for orders.
pub fn rig() -> Result<(Lab, AfXdp, AfXdpTransmitter), Failure> {
    let lab = Lab::veth(LabConfig { ipv6: false, ..LabConfig::default() })?;
    lab.right.set_neighbour(lab.left.ipv4(), lab.left.mac())?;
    let config = AfXdpConfig::new(lab.left.name());
    let mut port = lab.left.run(|| AfXdp::open(&config, &[0]))?.remove(0);
    let transmitter = port.transmitter().ok_or("the port has no sending half")?;
    Ok((lab, port, transmitter))
}

/// The times of all round trips through what `start` starts, in nanoseconds, ascending.
pub fn trial(
    args: &Args,
    cores: Cores,
    start: impl Fn(&Lab) -> Result<Running, Failure>,
) -> Result<Vec<u64>, Failure> {
    let (lab, mut port, mut transmitter) = rig()?;
    let _running = start(&lab)?;
    let trips = if args.quick { TRIPS_QUICK } else { TRIPS };
    lab.left.run(|| {
        cpu::pin(cores.generator)?;
        let (mut times, mut lost) = (Vec::with_capacity(trips as usize), 0);
        let mut ticks = Ticks::between(&lab);
        for number in 0..WARM_UP_TRIPS + trips {
            let frame = ticks.frame(&ticks::payload(number, "AAPL"));
            let start = Instant::now();
            open_loop::send(&mut transmitter, frame)?;
            match returned(&mut port, number, start)? {
                Some(time) if number >= WARM_UP_TRIPS => times.push(time),
                Some(_) => {}
                None => lost += 1,
            }
            if lost > LOST_MAX {
                return Err(format!("more than {LOST_MAX} ticks were not answered").into());
            }
        }
        times.sort_unstable();
        Ok(times)
    })
}

/// Spins until the answer to tick `number` is there; how long after `start`. None when it is lost.
fn returned(port: &mut AfXdp, number: u64, start: Instant) -> Result<Option<u64>, Failure> {
    loop {
        let mut batch = Batch::new();
        port.receive(&mut batch)?;
        let wanted = number % ticks::PRICES;
        let found = batch.bytes().iter().any(|bytes| ticks::answered(bytes) == Some(wanted));
        let time = start.elapsed();
        if found {
            return Ok(Some(time.as_nanos() as u64));
        }
        if time > PATIENCE {
            return Ok(None);
        }
    }
}
