//! Filters: nanoseconds a packet of every back end for eight expressions, against libpcap's
//! interpreter and a one-to-one translation of the classic program by Cranelift.
//!
//! All contenders get the same batches and must select as many packets. They take turns, so that a
//! slow phase of the machine hits all of them; the fastest turn counts, the median is shown.
//! The kernel's JIT is timed by the kernel itself, packet by packet, so it stands apart.
//! libpcap takes part when the bench is built with the feature `libpcap`.

mod kernel;
#[cfg(feature = "libpcap")]
mod libpcap;
#[cfg(target_arch = "x86_64")]
mod plain;
mod traffic;
mod translated;

use kernel::Kernel;
use std::error::Error;
use std::hint::black_box;
use std::process::ExitCode;
use tickwire_filter::classic::Insn;
use tickwire_filter::classic::insn::code;
use tickwire_filter::vector::{self, Vector};
use tickwire_filter::{Backend, Filter, Options};
use tickwire_frame::Batch;
use traffic::Traffic;
use translated::Translated;

/// The table of the promise, each row with the promise on its hot figure.
const EXPRESSIONS: [&str; 8] = [
    "ip",
    "tcp",
    "tcp port 5555",
    "portrange 0-6000",
    "host 10.0.0.2",
    "net 239.1.1.0/24",
    "udp dst port 5000 and dst net 239.0.0.0/8",
    "dst port 1000 or 2000 or 3000 or 4000 or 5000 or 6000 or 7000 or 8000",
];
/// The row that is a conjunction at fixed offsets.
const CONJUNCTION: &str = EXPRESSIONS[6];

/// Turns of each contender, hot and cold; few when it must be quick.
const TURNS: (usize, usize) = (31, 5);
const TURNS_QUICK: (usize, usize) = (7, 3);
/// Packets of one turn over data in the cache.
const TURN_PACKETS: usize = 200_000;
/// Memory that no cache holds.
const COLD_BYTES: usize = 400 << 20;
const COLD_PACKETS: usize = COLD_BYTES / 2048;

/// The promises.
const RATIO_MIN: f64 = 8.0;
const MEAN_RATIO_MIN: f64 = 12.0;
/// 1.2 ns where the hand-written loop takes 0.9.
const CONJUNCTION_RATIO_MAX: f64 = 1.2 / 0.9;

/// Which data to run over.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Leave the 400 MB run out.
    #[arg(long)]
    no_cold: bool,
    /// Fewer turns: half a minute in all.
    #[arg(long)]
    quick: bool,
    /// Only the rows whose expression contains this; the promise on the mean is then theirs.
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
}

type Contender<'a> = (&'static str, Box<dyn Fn(&Batch<'_>) -> usize + 'a>);

/// Runs all tables; fails when a promise is not kept.
pub fn run(args: &Args) -> Result<ExitCode, Box<dyn Error>> {
    let (turns, turns_cold) = if args.quick { TURNS_QUICK } else { TURNS };
    let mut kept = table("64 packets, hot", &Traffic::new(64, 64), turns, args)?;
    kept &= table("4096 packets, hot", &Traffic::new(4096, 4096), turns, args)?;
    kernel_table(&Traffic::new(64, 64), args)?;
    if !args.no_cold {
        kept &= table("400 MB, cold", &Traffic::new(COLD_PACKETS, 4096), turns_cold, args)?;
    }
    Ok(if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The rows that were asked for.
fn rows(args: &Args) -> impl Iterator<Item = &'static str> {
    EXPRESSIONS.into_iter().filter(|text| text.contains(&args.only))
}

/// The filters of one expression.
struct Filters {
    auto: Filter,
    native: Filter,
    /// For machines without AVX-512; none elsewhere than on x86-64.
    avx2: Option<Vector>,
    interpreter: Filter,
    translated: Translated,
    #[cfg(feature = "libpcap")]
    libpcap: libpcap::Libpcap,
}

impl Filters {
    fn new(text: &str) -> Result<Filters, Box<dyn Error>> {
        let with = |backend| -> Result<Filter, Box<dyn Error>> {
            Ok(Filter::compile(text, &Options::default())?.with_backend(backend)?)
        };
        let auto = with(Backend::Auto)?;
        let plans = vector::plans(auto.program());
        Ok(Filters {
            native: with(Backend::Native)?,
            avx2: plans.into_iter().find(|plan| plan.kernel() == vector::Kernel::Avx2),
            interpreter: with(Backend::Interpreter)?,
            translated: Translated::new(&auto.classic()?)?,
            #[cfg(feature = "libpcap")]
            libpcap: libpcap::Libpcap::compile(text)?,
            auto,
        })
    }

    fn contenders(&self) -> Vec<Contender<'_>> {
        let mut contenders: Vec<Contender<'_>> = vec![
            ("touch", Box::new(touch)),
            #[cfg(feature = "libpcap")]
            ("libpcap", Box::new(|batch| count(batch, |bytes, len| self.libpcap.run(bytes, len)))),
            ("translated", Box::new(|batch| count(batch, |b, len| self.translated.run(b, len)))),
            ("interpreter", Box::new(|batch| self.interpreter.select(batch).count())),
            ("native", Box::new(|batch| self.native.select(batch).count())),
        ];
        if let Some(avx2) = &self.avx2 {
            let exact = |batch: &Batch<'_>, unsure| self.native.select(batch) & unsure;
            contenders.push((
                "avx2",
                Box::new(move |batch| avx2.select(batch, |unsure| exact(batch, unsure)).count()),
            ));
        }
        contenders.push(("auto", Box::new(|batch| self.auto.select(batch).count())));
        contenders
    }
}

/// How many packets a filter of single packets selects.
#[inline(always)]
fn count(batch: &Batch<'_>, filter: impl Fn(&[u8], u32) -> u32) -> usize {
    let packets = batch.bytes().iter().zip(batch.wire_lens());
    packets.filter(|(bytes, len)| filter(bytes, **len) != 0).count()
}

fn table(
    title: &str,
    traffic: &Traffic,
    turns: usize,
    args: &Args,
) -> Result<bool, Box<dyn Error>> {
    let batches = traffic.batches();
    let mut ratios = Vec::new();
    let mut kept = true;
    println!("{title}; ns a packet, fastest (median) of {turns} turns");
    for (row, text) in rows(args).enumerate() {
        let filters = Filters::new(text)?;
        let contenders = filters.contenders();
        if row == 0 {
            head(&contenders);
        }
        agree(text, &contenders[1..], &batches);
        let times = measure(&contenders, &batches, traffic.len(), turns);
        print!("{:<30.30}", text);
        for times in &times {
            print!(" {:>6.2} ({:>6.2})", times[0], times[times.len() / 2]);
        }
        let ratio = times[1][0] / times[times.len() - 1][0];
        println!(" {ratio:>6.1} ×  {}", filters.auto.selector());
        ratios.push(ratio);
        #[cfg(target_arch = "x86_64")]
        if let (CONJUNCTION, Some(plain)) = (text, plain::Plain::new()) {
            kept &= conjunction(&filters.auto, &plain, &batches, traffic.len(), turns);
        }
    }
    let mean = (ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / ratios.len() as f64).exp();
    let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    if cfg!(feature = "libpcap") {
        println!("libpcap / auto: least {least:.1} (promise: {RATIO_MIN} at least)");
        println!("geometric mean: {mean:.1} (promise: {MEAN_RATIO_MIN} at least)\n");
        kept &= least >= RATIO_MIN && mean >= MEAN_RATIO_MIN;
    } else {
        println!("without libpcap (build with --features libpcap) no promise is checked\n");
    }
    Ok(kept)
}

/// The floor: one byte of every packet, nothing decided. Where this takes long, the memory is
/// measured, and no filter can be many times faster than another.
fn touch(batch: &Batch<'_>) -> usize {
    batch.bytes().iter().map(|bytes| usize::from(bytes.get(12).copied().unwrap_or(0))).sum()
}

/// The promise on the conjunction, against a loop written by hand.
#[cfg(target_arch = "x86_64")]
fn conjunction(
    auto: &Filter,
    plain: &plain::Plain,
    batches: &[Batch<'_>],
    packets: usize,
    turns: usize,
) -> bool {
    let contenders: [Contender<'_>; 2] = [
        ("plain AVX2", Box::new(|batch| plain.select(batch).count())),
        ("auto", Box::new(|batch| auto.select(batch).count())),
    ];
    agree(CONJUNCTION, &contenders, batches);
    let times = measure(&contenders, batches, packets, turns);
    println!("    by hand with AVX2: {:.2} ns", times[0][0]);
    promise("    auto / by hand", times[1][0] / times[0][0], CONJUNCTION_RATIO_MAX)
}

/// The classic programs in the kernel, without a promise: it calls them for every packet.
fn kernel_table(traffic: &Traffic, args: &Args) -> Result<(), Box<dyn Error>> {
    let batches = traffic.batches();
    let nothing = [Insn::new(code::RET, 0)];
    let empty = match Kernel::load(&nothing) {
        Ok(empty) => in_kernel(&empty, &batches)?.1,
        Err(error) => {
            eprintln!("SKIPPED: the kernel's JIT: {error}; run as root with CAP_BPF");
            return Ok(());
        }
    };
    println!("the kernel's JIT by BPF_PROG_TEST_RUN, 64 packets; ns a packet");
    println!("{:<30} {empty:>6.1}", "an empty program");
    for text in rows(args) {
        let filter = Filter::compile(text, &Options::default())?;
        let (selected, time) = in_kernel(&Kernel::load(&filter.classic()?)?, &batches)?;
        let want: usize = batches.iter().map(|batch| filter.select(batch).count()).sum();
        assert_eq!(selected, want, "the kernel on {text}");
        println!("{text:<30.30} {time:>6.1}, {:>6.1} without the call", time - empty);
    }
    println!();
    Ok(())
}

/// How many packets pass, and the mean time.
fn in_kernel(kernel: &Kernel, batches: &[Batch<'_>]) -> std::io::Result<(usize, f64)> {
    let (mut selected, mut sum, mut packets) = (0, 0.0, 0.0);
    for bytes in batches.iter().flat_map(Batch::bytes) {
        let (verdict, time) = kernel.run(bytes)?;
        selected += usize::from(verdict != 0);
        sum += time;
        packets += 1.0;
    }
    Ok((selected, sum / packets))
}

fn promise(what: &str, value: f64, max: f64) -> bool {
    println!("{what}: {value:.2} (promise: {max:.2} at most)");
    value <= max
}

fn head(contenders: &[Contender<'_>]) {
    print!("{:<30}", "");
    for (name, _) in contenders {
        print!(" {name:>15}");
    }
    println!("  ratio of the second to the last");
}

fn agree(text: &str, contenders: &[Contender<'_>], batches: &[Batch<'_>]) {
    for batch in batches.iter().take(64) {
        let want = contenders[0].1(batch);
        for (name, contender) in contenders {
            assert_eq!(contender(batch), want, "{name} on {text}");
        }
    }
}

/// Nanoseconds a packet of every turn of every contender, sorted.
fn measure(
    contenders: &[Contender<'_>],
    batches: &[Batch<'_>],
    packets: usize,
    turns: usize,
) -> Vec<Vec<f64>> {
    let rounds = TURN_PACKETS.div_ceil(packets);
    let mut times = vec![Vec::with_capacity(turns); contenders.len()];
    for _ in 0..turns {
        for ((_, contender), times) in contenders.iter().zip(&mut times) {
            let start = processor_time_ns();
            for _ in 0..rounds {
                for batch in batches {
                    black_box(contender(black_box(batch)));
                }
            }
            times.push((processor_time_ns() - start) / (rounds * packets) as f64);
        }
    }
    for times in &mut times {
        times.sort_by(f64::total_cmp);
    }
    times
}

/// Of this thread: what others do meanwhile does not count.
fn processor_time_ns() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}
