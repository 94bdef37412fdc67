//! Live capture on one veth queue: who takes how many packets a second.
//!
//! Live frames (numbered UDP, 94 bytes) come from a generator on one core, the receiver has the
//! other. In a lab of its own each, contenders are flooded, then offered paced rates by bisection
//! until the highest rate is found at which nothing is lost. They take turns with every flood and
//! every step, so that a slow phase of the machine hits all of them. The driver's half of the work
//! is done on the generator's core, for all contenders alike.
//!
//! Over packet sockets that half is so slow that a receiver with a core of its own mostly waits,
//! whoever it is. So these are compared on shared cores too ([`Place`]), where it counts how
//! much processor time a packet takes.

pub(crate) mod ours;
pub(crate) mod programs;

use std::fmt::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tickwire_lab::{Lab, LabConfig, Numbered, Offload, Schedule, SenderReport, cpu, send_live};

/// The zero-loss rate of `af_xdp` against that of testpmd.
const ZERO_LOSS_RATIO_MIN: f64 = 1.3;
/// What our port and engine take of the flood, against a loop in C.
const ENGINE_RATIO_MIN: f64 = 0.95;
/// What decoding and counting leaves of the rate without.
const DECODED_RATIO_MIN: f64 = 0.75;
/// What has arrived is read within this time after the generator has stopped.
const SETTLE: Duration = Duration::from_millis(50);
/// tcpdump reads a block that is not full only after a second.
const SETTLE_TCPDUMP: Duration = Duration::from_millis(1100);

/// Options of `tickwire-bench live`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Seconds of the flood, and of each paced trial.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Steps of the bisection: the rate is found to 1 in 2^steps of the flood's.
    #[arg(long, default_value_t = 6)]
    steps: u32,
    /// How many floods there are, of which the best counts, and how often a rate may fail before it
    /// counts as too high: what disturbs a trial (another program on the core) only ever makes it
    /// worse.
    #[arg(long, default_value_t = 3)]
    attempts: u32,
    /// Only contenders with this in their name.
    #[arg(long, default_value = "")]
    only: String,
}

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A contender that runs.
pub(crate) trait Running {
    /// Processor time of all its threads so far.
    fn cpu(&self) -> Result<Duration, Failure>;

    /// Stops it when everything that arrived is taken; how many packets it took.
    fn stop(self: Box<Self>) -> Result<u64, Failure>;
}

/// User and system time in a `stat` file of a process or thread.
fn cpu_time(stat: &str) -> Result<Duration, Failure> {
    /// Fields behind the name: user time, then system time.
    const UTIME: usize = 11;
    /// Clock ticks a second (`getconf CLK_TCK`), the same on all Linux machines.
    const TICKS_PER_SECOND: u64 = 100;
    let stat = std::fs::read_to_string(stat)?;
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(UTIME).take(2).filter_map(|n| n.parse::<u64>().ok()).sum();
    Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

/// Where a receiver runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// On the core that the generator does not use.
    OwnCore,
    /// On the generator's core, as on a machine with one core for the network: the time that the
    /// receiver takes is lost to the kernel's half.
    GeneratorsCore,
    /// On a core that belongs to a program that spins, as the loop of a trading engine does. The
    /// receiver has the lowest priority, so that it takes no more than about 1.5 % of the core.
    BesideSpinner,
}

/// Core and priority (nice value) of a receiver.
#[derive(Clone, Copy)]
pub(crate) struct Seat {
    pub core: usize,
    pub nice: i32,
}

/// Starts a contender on the right end of a lab. Returns when it receives.
type Start = fn(&Lab, Seat) -> Result<Box<dyn Running>, Failure>;

struct Contender {
    name: &'static str,
    start: Start,
    /// The program it needs, if any.
    needs: Option<&'static str>,
    /// Whether it attaches no XDP program: then GRO makes the driver take live frames.
    needs_gro: bool,
    settle: Duration,
    place: Place,
}

const BARE_C: &str = "bare AF_XDP loop in C";
const ENGINE: &str = "af_xdp engine, nothing decoded";
const DECODED: &str = "af_xdp engine, decoded and counted";
const TESTPMD: &str = "dpdk-testpmd rxonly, net_af_xdp";
const PACKET: &str = "af_packet engine, counted";
const TCPDUMP: &str = "tcpdump -w /dev/null";
const PACKET_ONE_CORE: &str = "af_packet engine, on the generator's core";
const TCPDUMP_ONE_CORE: &str = "tcpdump, on the generator's core";
const PACKET_BESIDE: &str = "af_packet engine, beside a spinning program";
const TCPDUMP_BESIDE: &str = "tcpdump, beside a spinning program";

const fn over_af_xdp(name: &'static str, start: Start, needs: Option<&'static str>) -> Contender {
    Contender { name, start, needs, needs_gro: false, settle: SETTLE, place: Place::OwnCore }
}

const fn packet(name: &'static str, place: Place) -> Contender {
    let start = ours::af_packet;
    Contender { name, start, needs: None, needs_gro: true, settle: SETTLE, place }
}

const fn tcpdump(name: &'static str, place: Place) -> Contender {
    let (start, needs) = (programs::tcpdump, Some("tcpdump"));
    Contender { name, start, needs, needs_gro: true, settle: SETTLE_TCPDUMP, place }
}

const CONTENDERS: [Contender; 10] = [
    over_af_xdp(BARE_C, programs::bare_c, Some("gcc")),
    over_af_xdp(ENGINE, ours::undecoded, None),
    over_af_xdp(DECODED, ours::decoded, None),
    over_af_xdp(TESTPMD, programs::testpmd, Some("dpdk-testpmd")),
    packet(PACKET, Place::OwnCore),
    tcpdump(TCPDUMP, Place::OwnCore),
    packet(PACKET_ONE_CORE, Place::GeneratorsCore),
    tcpdump(TCPDUMP_ONE_CORE, Place::GeneratorsCore),
    packet(PACKET_BESIDE, Place::BesideSpinner),
    tcpdump(TCPDUMP_BESIDE, Place::BesideSpinner),
];

/// What one contender showed.
struct Figures {
    name: &'static str,
    zero_loss_pps: f64,
    flood: Trial,
}

/// One trial.
struct Trial {
    sender: SenderReport,
    packets: u64,
    /// Processor time of the contender while packets were sent.
    cpu: Duration,
}

impl Trial {
    fn taken_pps(&self) -> f64 {
        self.packets as f64 / self.sender.seconds
    }

    fn lost(&self) -> u64 {
        self.sender.offered.saturating_sub(self.packets)
    }

    fn cpu_ns(&self) -> f64 {
        self.cpu.as_nanos() as f64 / self.packets.max(1) as f64
    }
}

/// Runs the comparison. Fails when a promise is not kept.
pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    if let Some(missing) = tickwire_lab::missing() {
        tickwire_lab::say_skipped("tickwire-bench live", missing);
        return Ok(ExitCode::SUCCESS);
    }
    let cores = cpu::cores();
    let [generator, receiver, ..] = cores[..] else {
        tickwire_lab::say_skipped("tickwire-bench live", "needs two cores");
        return Ok(ExitCode::SUCCESS);
    };
    let mut benches = Vec::new();
    for contender in CONTENDERS.iter().filter(|contender| contender.name.contains(&args.only)) {
        if let Some(program) = contender.needs.filter(|program| !programs::is_installed(program)) {
            tickwire_lab::say_skipped(contender.name, &format!("{program} is not installed"));
            continue;
        }
        let cores = (generator, receiver);
        benches.push(Bench { args, contender, cores, flood: None, bounds_pps: (0.0, 0.0) });
    }
    for _ in 0..args.attempts {
        benches.iter_mut().try_for_each(|bench| bench.named(Bench::flood))?;
    }
    for _ in 0..args.steps {
        benches.iter_mut().try_for_each(|bench| bench.named(Bench::step))?;
    }
    let figures: Vec<Figures> = benches.into_iter().filter_map(Bench::figures).collect();
    print!("{}", table(&figures));
    Ok(if report_promises(&figures) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A program that spins on a core until it is dropped.
struct Spinner(Arc<AtomicBool>);

impl Spinner {
    fn start(core: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        std::thread::spawn(move || {
            cpu::pin(core).expect("the core is one of ours");
            while !stopped.load(Relaxed) {
                std::hint::spin_loop();
            }
        });
        Spinner(stop)
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

struct Bench<'a> {
    args: &'a Args,
    contender: &'a Contender,
    cores: (usize, usize),
    /// The best so far.
    flood: Option<Trial>,
    /// A rate at which nothing is lost, and one that is too high.
    bounds_pps: (f64, f64),
}

impl Bench<'_> {
    /// Does one of the things below; an error says whose it is.
    fn named(&mut self, job: fn(&mut Self) -> Result<(), Failure>) -> Result<(), Failure> {
        job(self).map_err(|error| format!("{}: {error}", self.contender.name).into())
    }

    fn flood(&mut self) -> Result<(), Failure> {
        let trial = self.trial(None)?;
        if trial.taken_pps() > self.bounds_pps.1 {
            self.bounds_pps.1 = trial.taken_pps();
            self.flood = Some(trial);
        }
        Ok(())
    }

    /// One step of the bisection.
    fn step(&mut self) -> Result<(), Failure> {
        let (low, high) = self.bounds_pps;
        let middle = (low + high) / 2.0;
        self.bounds_pps = if self.is_lossless(middle)? { (middle, high) } else { (low, middle) };
        Ok(())
    }

    fn figures(self) -> Option<Figures> {
        let zero_loss_pps = self.bounds_pps.0;
        self.flood.map(|flood| Figures { name: self.contender.name, zero_loss_pps, flood })
    }

    fn is_lossless(&self, rate_pps: f64) -> Result<bool, Failure> {
        for _ in 0..self.args.attempts {
            let trial = self.trial(Some(rate_pps))?;
            eprintln!(
                "{}: {:.2} M/s offered, {} of {} lost",
                self.contender.name,
                rate_pps / 1e6,
                trial.lost(),
                trial.sender.offered
            );
            if trial.lost() == 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn seat(&self) -> Seat {
        let (generator, receiver) = self.cores;
        match self.contender.place {
            Place::OwnCore => Seat { core: receiver, nice: 0 },
            Place::GeneratorsCore => Seat { core: generator, nice: 0 },
            Place::BesideSpinner => Seat { core: receiver, nice: 19 },
        }
    }

    /// One trial in a lab of its own: a flood, or `rate_pps`.
    fn trial(&self, rate_pps: Option<f64>) -> Result<Trial, Failure> {
        let lab = Lab::veth(LabConfig { ipv6: false, ..LabConfig::default() })?;
        lab.right.set_offload(Offload::Gro, self.contender.needs_gro)?;
        let mut packets = Numbered::between(&lab.left, &lab.right);
        // To nobody in this network: the receiving host's own stack drops them at once.
        packets.addresses.1 = [10, 77, 0, 99].into();
        let seat = self.seat();
        let running = (self.contender.start)(&lab, seat)?;
        let beside = self.contender.place == Place::BesideSpinner;
        let spinner = beside.then(|| Spinner::start(seat.core));
        let seconds = self.args.seconds;
        let schedule = match rate_pps {
            None => Schedule::flood(u64::MAX),
            Some(rate) => Schedule::paced((rate * seconds) as u64, rate),
        };
        let limit =
            Duration::from_secs_f64(if rate_pps.is_some() { 2.0 * seconds } else { seconds });
        let cpu_before = running.cpu()?;
        let sender = std::thread::scope(|scope| {
            let generate = || {
                cpu::pin(self.cores.0)?;
                send_live(&lab.left, &packets, &schedule.within(limit))
            };
            scope.spawn(generate).join().expect("the generator does not panic")
        });
        let cpu = running.cpu()? - cpu_before;
        // What is in a ring by now was not lost: it may be read in peace.
        drop(spinner);
        std::thread::sleep(self.contender.settle);
        Ok(Trial { packets: running.stop()?, sender: sender?, cpu })
    }
}

fn table(figures: &[Figures]) -> String {
    let width = figures.iter().map(|figure| figure.name.len()).max().unwrap_or_default();
    let mut text = format!(
        "{:width$}  zero loss  flood: offered    taken    lost  CPU/packet\n\
         {:width$}  {:>9}  {:>14}  {:>7}  {:>6}  {:>10}\n",
        "", "", "M/s", "M/s", "M/s", "%", "ns"
    );
    for Figures { name, zero_loss_pps, flood } in figures {
        let offered = flood.sender.offered as f64;
        let _ = writeln!(
            text,
            "{name:width$}  {:9.3}  {:14.3}  {:7.3}  {:6.2}  {:10.1}",
            zero_loss_pps / 1e6,
            offered / flood.sender.seconds / 1e6,
            flood.taken_pps() / 1e6,
            100.0 * flood.lost() as f64 / offered.max(1.0),
            flood.cpu_ns(),
        );
    }
    text
}

/// Prints the ratios that the project promises, and whether they hold.
fn report_promises(figures: &[Figures]) -> bool {
    let find = |name: &str| figures.iter().find(|figure| figure.name == name);
    let zero_loss = |figure: &Figures| figure.zero_loss_pps;
    let flood = |figure: &Figures| figure.flood.taken_pps();
    type Measure<'a> = &'a dyn Fn(&Figures) -> f64;
    let promises: [(&str, &str, &str, Measure<'_>, f64); 7] = [
        ("zero-loss rate", DECODED, TESTPMD, &zero_loss, ZERO_LOSS_RATIO_MIN),
        ("flood rate", ENGINE, BARE_C, &flood, ENGINE_RATIO_MIN),
        ("flood rate", DECODED, ENGINE, &flood, DECODED_RATIO_MIN),
        ("zero-loss rate", PACKET, TCPDUMP, &zero_loss, 1.0),
        ("flood rate", PACKET, TCPDUMP, &flood, 1.0),
        ("flood rate", PACKET_ONE_CORE, TCPDUMP_ONE_CORE, &flood, 1.0),
        ("zero-loss rate", PACKET_BESIDE, TCPDUMP_BESIDE, &zero_loss, 1.0),
    ];
    let mut all_kept = true;
    for (what, ours, theirs, measure, ratio_min) in promises {
        let (Some(ours), Some(theirs)) = (find(ours), find(theirs)) else { continue };
        let ratio = measure(ours) / measure(theirs).max(1.0);
        let kept = ratio >= ratio_min;
        all_kept &= kept;
        let verdict = if kept { "kept" } else { "NOT KEPT" };
        println!(
            "{what}, {} / {}: {ratio:.2}, at least {ratio_min:.2} promised: {verdict}",
            ours.name, theirs.name
        );
    }
    all_kept
}
