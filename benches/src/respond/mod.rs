//! `tickwire respond` against bare references: tick to trade, and what of it is ours.
//!
//! * `process`: from a frame to the bytes of its order's frame, in this process, hot.
//! * `latency`: one tick in flight, against programs that do the same through sockets, and an echo.
//! * `tcp`: the same with orders over TCP, the kernel's and ours.
//! * `open_loop`: ticks when they are due, whatever became of those before.
//! * `xdp`: mode `xdp` in the same ways, against echoes in XDP; `test_run`: what each kind of frame
//!   costs there, by BPF_PROG_TEST_RUN; `kernel`: the rules in the kernel without the command.

mod kernel;
mod latency;
mod open_loop;
mod process;
mod tcp;
mod test_run;
mod ticks;
mod xdp;

use crate::live::Failure;
use crate::replicate::Cores;
use std::process::ExitCode;
use tickwire_lab::cpu;

/// Options of `tickwire-bench respond`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// How often each contender has its turn.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Only processing, nothing that needs root.
    #[arg(long)]
    process: bool,
    /// Only orders over TCP.
    #[arg(long, conflicts_with = "process")]
    tcp: bool,
    /// Only mode xdp: ns a tick, tick to trade against echoes in XDP and mode af_xdp, open loop.
    #[arg(long, conflicts_with_all = ["process", "tcp"])]
    xdp: bool,
    /// One short round: whether it works, not how fast.
    #[arg(long)]
    quick: bool,
}

/// Runs the comparison. Fails when a promise that was measured is not kept.
pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let mut kept = args.tcp || args.xdp || process::measure(args)?;
    if !args.process {
        kept &= on_a_link(args)?;
    }
    Ok(if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn on_a_link(args: &Args) -> Result<bool, Failure> {
    let skipped = |why: &str| {
        tickwire_lab::say_skipped("tickwire-bench respond", why);
        Ok(true)
    };
    if let Some(missing) = tickwire_lab::missing() {
        return skipped(missing);
    }
    let [generator, replicator, ..] = cpu::cores()[..] else { return skipped("needs two cores") };
    let cores = Cores { generator, replicator };
    if args.tcp {
        return tcp::measure(args, cores).map(|()| true);
    }
    if args.xdp {
        test_run::measure(args)?;
        return xdp::measure(args, cores);
    }
    let contenders = latency::Contenders::compile()?;
    let kept = latency::measure(args, cores, &contenders)?;
    tcp::measure(args, cores)?;
    open_loop::measure(args, cores, "af_xdp", &[1_000, 10_000, 100_000])?;
    Ok(kept)
}
