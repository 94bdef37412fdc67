//! Runs a seeded fuzz target for a given number of inputs and says how fast and how slow it was.

#![forbid(unsafe_code)]

use clap::{Parser, Subcommand};
use std::process::ExitCode;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;
use tickwire_fuzz::control;
use tickwire_fuzz::corpus::seeds;
use tickwire_fuzz::decode;
use tickwire_fuzz::file;
use tickwire_fuzz::market;
use tickwire_fuzz::market_sequence;
use tickwire_fuzz::measure::{Failure, Figures, Stage, run};
use tickwire_fuzz::mutate::Mutator;
use tickwire_fuzz::replicate;
use tickwire_fuzz::respond;
use tickwire_fuzz::respond_fix;
use tickwire_fuzz::respond_rules;
use tickwire_fuzz::respond_session;
use tickwire_fuzz::stream;

/// The slowest packet that decoding may have, in nanoseconds.
const DECODE_NS_MAX: u64 = 1_000;

/// The most memory that reading capture files one after the other may take, in kilobytes.
const FILE_MEMORY_KB_MAX: u64 = 64 << 10;

#[derive(Parser)]
#[command(about = "Seeded fuzzing: the same seed gives the same inputs everywhere")]
struct Cli {
    #[command(subcommand)]
    target: Target,
}

#[derive(Subcommand)]
enum Target {
    /// Mutated packets through every decoder and printer.
    Decode(Count),
    /// Mutated capture files through the reader.
    File(Count),
    /// Mutated frames through the fan-out, a tenth as many mutated state files.
    Replicate(Count),
    /// Mutated packets, files and messages of exchanges.
    Market(Count),
    /// Mutated streams of sequence numbers: tracked, merged, asked for again, put in order.
    Sequence(Count),
    /// Mutated streams of TCP: segments in any order, cut, again, with any flags.
    Stream(Count),
    /// Conversations of sessions with exchanges, over connections that change bytes.
    Session(Count),
    /// Mutated messages of a FIX session's peer, with the right lengths and sums.
    Fix(Count),
    /// Mutated control requests: heads of HTTP requests, and as many UDP datagrams.
    Control(Count),
    /// Configurations and rules of `respond`, and the messages that they look at.
    Rules(Count),
    /// A responder against its oracle: as many random steps, and as many with mutated datagrams.
    Respond(Count),
    /// A target that must fail: proves that a panic is caught and can be reproduced.
    Canary(Count),
}

#[derive(clap::Args)]
struct Count {
    /// How many inputs.
    #[arg(long, default_value_t = 1_000_000)]
    count: u64,
    /// The seed of the run.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The first input: with --count 1, one input alone.
    #[arg(long, default_value_t = 0)]
    start: u64,
}

fn main() -> ExitCode {
    match Cli::parse().target {
        Target::Decode(count) => decode_target(&count),
        Target::File(count) => file_target(&count),
        Target::Replicate(count) => replicate_target(&count),
        Target::Market(count) => market_target(&count),
        Target::Sequence(count) => sequence_target(&count),
        Target::Stream(count) => stream_target(&count),
        Target::Session(count) => session_target(&count),
        Target::Fix(count) => fix_target(&count),
        Target::Rules(count) => rules_target(&count),
        Target::Control(count) => control_target(&count),
        Target::Respond(count) => respond_target(&count),
        Target::Canary(count) => canary_target(&count),
    }
}

fn decode_target(count: &Count) -> ExitCode {
    let timed: &[Stage] = &[("five_tuple", decode::run_five_tuple), ("packet", decode::run_packet)];
    let checked: &[Stage] = &[
        ("five_tuple checked", decode::check_five_tuple),
        ("packet checked", decode::check_packet),
        ("line, 6 ways", decode::check_line),
        ("json", decode::check_json),
        ("21 views, 5 places", decode::views),
    ];
    let stages = [timed, checked].concat();
    let mut mutator = Mutator::new(seeds(), count.seed);
    let begin = Instant::now();
    let range = count.start..count.start.saturating_add(count.count);
    let figures = match run(&mut mutator, &stages, count.seed, range) {
        Ok(figures) => figures,
        Err(failure) => {
            report_failure("decode", &failure);
            return ExitCode::FAILURE;
        }
    };
    let seconds = begin.elapsed().as_secs_f64();
    println!("{} packets, seed {}, no panic, {seconds:.1} s", count.count, count.seed);
    println!("{:<20} {:>9} {:>11} {:>12}", "stage", "mean ns", "slowest ns", "its index");
    for Figures { name, mean_ns, slowest_ns, slowest_index } in &figures {
        println!("{name:<20} {mean_ns:>9.1} {slowest_ns:>11} {slowest_index:>12}");
    }
    let slowest = figures[..timed.len()].iter().map(|figure| figure.slowest_ns).max();
    if slowest.is_some_and(|ns| ns > DECODE_NS_MAX) && !cfg!(debug_assertions) {
        eprintln!("a packet took longer than {DECODE_NS_MAX} ns; run it alone with --start INDEX");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn file_target(count: &Count) -> ExitCode {
    let begin = Instant::now();
    match file::run(count.seed, count.start..count.start.saturating_add(count.count)) {
        Ok(figures) => {
            let seconds = begin.elapsed().as_secs_f64();
            println!("{} files, seed {}, no panic, {seconds:.1} s", figures.files, count.seed);
            let ms = figures.slowest.as_secs_f64() * 1e3;
            println!("slowest file {ms:.1} ms, index {}", figures.slowest_index);
        }
        Err(failure) => {
            eprintln!("{failure}");
            return ExitCode::FAILURE;
        }
    }
    let Some(peak) = peak_memory_kb() else {
        eprintln!("SKIPPED: the memory bound: no VmHWM in /proc/self/status");
        return ExitCode::SUCCESS;
    };
    println!("peak memory {} MB, bound {} MB", peak >> 10, FILE_MEMORY_KB_MAX >> 10);
    if peak <= FILE_MEMORY_KB_MAX { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn replicate_target(count: &Count) -> ExitCode {
    let mut mutator = Mutator::new(replicate::samples(), count.seed);
    let range = count.start..count.start.saturating_add(count.count);
    let stages: &[Stage] = &[("copies", replicate::check)];
    if let Err(failure) = run(&mut mutator, stages, count.seed, range) {
        report_failure("replicate", &failure);
        return ExitCode::FAILURE;
    }
    let files = count.start..count.start.saturating_add(count.count / 10);
    replicate::run_state(count.seed, files);
    println!("{} frames, {} state files, no panic", count.count, count.count / 10);
    ExitCode::SUCCESS
}

fn market_target(count: &Count) -> ExitCode {
    let mut mutator = Mutator::new(market::samples(), count.seed);
    let range = count.start..count.start.saturating_add(count.count);
    let stages: &[Stage] = &[("market", market::check)];
    if let Err(failure) = run(&mut mutator, stages, count.seed, range) {
        report_failure("market", &failure);
        return ExitCode::FAILURE;
    }
    println!("{} inputs of every exchange protocol, no panic", count.count);
    ExitCode::SUCCESS
}

fn sequence_target(count: &Count) -> ExitCode {
    let mut mutator = Mutator::new(market_sequence::samples(), count.seed);
    let range = count.start..count.start.saturating_add(count.count);
    let stages: &[Stage] = &[("sequence", market_sequence::check)];
    if let Err(failure) = run(&mut mutator, stages, count.seed, range) {
        report_failure("sequence", &failure);
        return ExitCode::FAILURE;
    }
    println!("{} streams of sequence numbers, no panic", count.count);
    ExitCode::SUCCESS
}

fn stream_target(count: &Count) -> ExitCode {
    let mut mutator = Mutator::new(stream::samples(), count.seed);
    let range = count.start..count.start.saturating_add(count.count);
    if let Err(failure) = run(&mut mutator, &[("stream", stream::check)], count.seed, range) {
        report_failure("stream", &failure);
        return ExitCode::FAILURE;
    }
    println!("{} streams of TCP, no panic", count.count);
    ExitCode::SUCCESS
}

fn session_target(count: &Count) -> ExitCode {
    let mut mutator = Mutator::new(respond_session::samples(), count.seed);
    let range = count.start..count.start.saturating_add(count.count);
    let stages: &[Stage] = &[("session", respond_session::check)];
    if let Err(failure) = run(&mut mutator, stages, count.seed, range) {
        report_failure("session", &failure);
        return ExitCode::FAILURE;
    }
    let bytes = respond_session::CARRIED_BYTES.load(Relaxed);
    println!("{} conversations of {bytes} bytes, no panic", count.count);
    ExitCode::SUCCESS
}

fn rules_target(count: &Count) -> ExitCode {
    let mut mutator = Mutator::new(respond_rules::samples(), count.seed);
    let range = count.start..count.start.saturating_add(count.count);
    if let Err(failure) = run(&mut mutator, &[("rules", respond_rules::check)], count.seed, range) {
        report_failure("rules", &failure);
        return ExitCode::FAILURE;
    }
    let [compiled, wanted] = [&respond_rules::COMPILED, &respond_rules::WANTED];
    let (compiled, wanted) = (compiled.load(Relaxed), wanted.load(Relaxed));
    println!("{} texts, {compiled} rules, {wanted} orders wanted, no panic", count.count);
    ExitCode::SUCCESS
}

fn fix_target(count: &Count) -> ExitCode {
    let mut mutator = Mutator::new(respond_fix::samples(), count.seed);
    let range = count.start..count.start.saturating_add(count.count);
    if let Err(failure) = run(&mut mutator, &[("fix", respond_fix::check)], count.seed, range) {
        report_failure("fix", &failure);
        return ExitCode::FAILURE;
    }
    println!("{} conversations of FIX, no panic", count.count);
    ExitCode::SUCCESS
}

/// The most memory that this process has had, in kilobytes.
fn peak_memory_kb() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn control_target(count: &Count) -> ExitCode {
    let range = count.start..count.start.saturating_add(count.count);
    control::run_heads(count.seed, range.clone());
    control::run_legacy(count.seed, range);
    println!("{} heads, {} datagrams, no panic", count.count, count.count);
    ExitCode::SUCCESS
}

/// `--start` counts runs here, of which each has [`respond::STEPS`] steps.
fn respond_target(count: &Count) -> ExitCode {
    let runs = count.count.div_ceil(respond::STEPS);
    let range = count.start..count.start.saturating_add(runs);
    let random = respond::run_random(count.seed, range.clone());
    let mutated = respond::run_mutated(count.seed, range);
    for (what, respond::Figures { orders, refused }) in [("random", random), ("mutated", mutated)] {
        println!("{} {what} steps, {orders} orders, refused alike:", runs * respond::STEPS);
        let mut refused: Vec<_> = refused.into_iter().filter(|&(_, count)| count > 0).collect();
        refused.sort();
        for (reason, count) in refused {
            println!("{count:>12} {reason}");
        }
    }
    ExitCode::SUCCESS
}

fn canary_target(count: &Count) -> ExitCode {
    let mut mutator = Mutator::new(seeds(), count.seed);
    let range = count.start..count.start.saturating_add(count.count);
    match run(&mut mutator, &[("canary", decode::canary)], count.seed, range) {
        Ok(_) => {
            eprintln!("the canary did not sing in {} packets: the harness is blind", count.count);
            ExitCode::SUCCESS
        }
        Err(failure) => {
            report_failure("canary", &failure);
            ExitCode::FAILURE
        }
    }
}

fn report_failure(target: &str, failure: &Failure) {
    let Failure { stage, seed, index, bytes, message } = failure;
    eprintln!("{stage} failed on packet {index} of seed {seed}: {message}");
    eprintln!("  again: seeded -- {target} --seed {seed} --start {index} --count 1");
    eprint!("  bytes: ");
    for byte in bytes {
        eprint!("{byte:02x}");
    }
    eprintln!();
}
