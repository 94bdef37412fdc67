//! `tickwire replicate` against bare references: copies a second, processor time for each, latency.
//!
//! One veth pair: datagrams come in at its right end, and copies leave there. The left end counts
//! and drops the copies in XDP, before its own stack sees them. The generator has one core, and
//! with it the kernel's half of receiving, and all of what XDP does; whatever sends the copies has
//! the other core, and with it the kernel's half of sending and the drop at the other end.
//!
//! Each trial is in a lab of its own, contenders take turns, and a ratio is taken within a round:
//! its median counts.

mod contenders;
mod latency;
mod rounds;
mod throughput;

use crate::live::Failure;
pub(crate) use contenders::{References, xdp_echo};
pub(crate) use rounds::Rounds;
use std::process::ExitCode;
use tickwire_lab::cpu;

/// Options of `tickwire-bench replicate`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Numbers of subscribers to measure rates with, at most 1024; 0 is latency, with one.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64, 0])]
    subscribers: Vec<u16>,
    /// Only contenders with one of these in their name.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// How often each contender has its turn.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Seconds of each trial.
    #[arg(long, default_value_t = 0.5)]
    seconds: f64,
    /// One short round: whether it works, not how fast.
    #[arg(long)]
    quick: bool,
}

impl Args {
    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| name.contains(part.as_str()))
    }
}

/// The two cores of a trial.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cores {
    pub(crate) generator: usize,
    pub(crate) replicator: usize,
}

/// A ratio that the project promises: that of the figures of `ours` to those of `theirs`.
pub(crate) struct Promise {
    pub(crate) subscribers: u16,
    pub(crate) ours: &'static str,
    pub(crate) theirs: &'static str,
    pub(crate) ratio: f64,
}

/// Runs the comparison. Fails when a promise that was measured is not kept, or could not be shown.
pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let skipped = |why: &str| {
        tickwire_lab::say_skipped("tickwire-bench replicate", why);
        Ok(ExitCode::SUCCESS)
    };
    if let Some(missing) = tickwire_lab::missing() {
        return skipped(missing);
    }
    let [generator, replicator, ..] = cpu::cores()[..] else { return skipped("needs two cores") };
    let cores = Cores { generator, replicator };
    let references = contenders::References::compile()?;
    let mut kept = true;
    let mut rates = Vec::new();
    for &subscribers in &args.subscribers {
        if subscribers == 0 {
            kept &= latency::measure(args, cores, &references)?;
        } else {
            let rounds = throughput::measure(args, cores, &references, subscribers)?;
            kept &= throughput::report(args, subscribers, &rounds);
            rates.push((subscribers, rounds));
        }
    }
    throughput::report_slopes(&rates);
    Ok(if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints the ratios of `rounds` that are promised, at least or at most; whether all are kept.
pub(crate) fn judge<'a>(
    what: &str,
    rounds: &Rounds,
    promises: impl Iterator<Item = &'a Promise>,
    at_least: bool,
) -> bool {
    let mut all_kept = true;
    for &Promise { ours, theirs, ratio: limit, .. } in promises {
        let ratio = rounds.ratio(ours, theirs);
        let kept =
            ratio.is_some_and(
                |ratio| {
                    if at_least { ratio.median >= limit } else { ratio.median <= limit }
                },
            );
        all_kept &= kept;
        let shown = ratio.map_or_else(|| "not shown".into(), |ratio| ratio.to_string());
        let bound = if at_least { "at least" } else { "at most" };
        let verdict = if kept { "kept" } else { "NOT KEPT" };
        println!("{what}, {ours} / {theirs}: {shown}, {bound} {limit:.2} promised: {verdict}");
    }
    all_kept
}
