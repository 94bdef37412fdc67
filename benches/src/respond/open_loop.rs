//! Ticks when they are due, whatever became of those before: latency from the time a tick was due,
//! and beside it what was never answered, and how many ticks a second it came to.

use super::Args;
use super::latency::{rig, tickwire};
use super::ticks::{self, Ticks};
use crate::live::Failure;
use crate::replicate::Cores;
use std::time::{Duration, Instant};
use tickwire_capture::af_xdp::{AfXdp, AfXdpTransmitter};
use tickwire_capture::{Port, Transmitter};
use tickwire_frame::{Batch, Ledger};
use tickwire_lab::cpu;

/// How long each rate lasts, in seconds.
const SECONDS: u64 = 2;
/// Answers are waited for so long after the last tick.
const LINGER: Duration = Duration::from_millis(100);
/// Ticks that are late leave together, so many at a time; then answers are taken.
const BURST_FRAMES_MAX: usize = 32;

/// What became of the ticks of a rate.
struct Outcome {
    /// Of each answer, from the time its tick was due, in nanoseconds.
    times: Vec<u64>,
    sent_per_s: f64,
    /// Answers that our own end had no room for.
    dropped_here: u64,
}

/// Measures a mode at rates in ticks a second, and prints. Promises nothing.
pub fn measure(args: &Args, cores: Cores, mode: &str, rates: &[u64]) -> Result<(), Failure> {
    println!("\ntickwire {mode}, open loop, from the time a tick was due, ns");
    println!(
        "{:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>9} {:>9} {:>10} {:>9}",
        "ticks/s", "sent/s", "p50", "p90", "p99", "p99.9", "max", "of", "unanswered", "lost here"
    );
    for &rate in rates {
        let ticks = if args.quick { rate / 10 } else { rate * SECONDS };
        let Outcome { mut times, sent_per_s, dropped_here } = trial(cores, mode, rate, ticks)?;
        times.sort_unstable();
        if times.is_empty() {
            return Err("no tick was answered".into());
        }
        let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
        println!(
            "{rate:>8} {sent_per_s:>8.0} {:>8} {:>8} {:>8} {:>8} {:>9} {ticks:>9} {:>10} \
             {dropped_here:>9}",
            at(0.5),
            at(0.9),
            at(0.99),
            at(0.999),
            at(1.0),
            ticks - times.len() as u64,
        );
    }
    Ok(())
}

fn trial(cores: Cores, mode: &str, rate: u64, count: u64) -> Result<Outcome, Failure> {
    let (lab, mut port, mut transmitter) = rig()?;
    let _running = tickwire(&lab, cores, mode)?;
    lab.left.run(|| {
        cpu::pin(cores.generator)?;
        let mut answers = Answers {
            due_ns: vec![None; ticks::PRICES as usize],
            times: Vec::with_capacity(count as usize),
            began: Instant::now() + Duration::from_millis(10),
        };
        let mut ticks = Ticks::between(&lab);
        let due_ns = |number: u64| number * 1_000_000_000 / rate;
        let mut number = 0;
        while number < count {
            let now_ns = answers.now_ns();
            let mut burst = 0;
            while burst < BURST_FRAMES_MAX && number < count && due_ns(number) <= now_ns {
                push(&mut transmitter, ticks.frame(&ticks::payload(number, "AAPL")))?;
                answers.due_ns[(number % ticks::PRICES) as usize] = Some(due_ns(number));
                (burst, number) = (burst + 1, number + 1);
            }
            if burst > 0 {
                kick(&mut transmitter)?;
            }
            answers.collect(&mut port)?;
        }
        let sent_per_s = count as f64 * 1e9 / answers.now_ns().max(due_ns(count)) as f64;
        let until = Instant::now() + LINGER;
        while Instant::now() < until {
            answers.collect(&mut port)?;
        }
        let mut ledger = Ledger::default();
        port.tick(&mut ledger)?;
        let dropped_here = ledger.discarded.total();
        Ok(Outcome { times: answers.times, sent_per_s, dropped_here })
    })
}

/// Sends a frame at once.
pub fn send(transmitter: &mut AfXdpTransmitter, frame: &[u8]) -> Result<(), Failure> {
    push(transmitter, frame)?;
    kick(transmitter)
}

fn push(transmitter: &mut AfXdpTransmitter, frame: &[u8]) -> Result<(), Failure> {
    let slot = transmitter.slot().map_err(|reason| format!("no room to send: {reason}"))?;
    slot[..frame.len()].copy_from_slice(frame);
    transmitter.push(frame.len(), 0);
    Ok(())
}

fn kick(transmitter: &mut AfXdpTransmitter) -> Result<(), Failure> {
    let mut lost = None;
    transmitter.kick(&mut |_, reason| lost = Some(reason))?;
    lost.map_or(Ok(()), |reason| Err(format!("a tick did not leave: {reason}").into()))
}

/// The answers to ticks.
struct Answers {
    /// By what tells answers apart: when the tick that had it last was due, until it is answered.
    due_ns: Vec<Option<u64>>,
    times: Vec<u64>,
    began: Instant,
}

impl Answers {
    /// Since the first tick was due; 0 before.
    fn now_ns(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    /// Takes those that are there. One that comes twice, or to nothing, has no time.
    fn collect(&mut self, port: &mut AfXdp) -> Result<(), Failure> {
        let mut batch = Batch::new();
        port.receive(&mut batch)?;
        if batch.is_empty() {
            return Ok(());
        }
        let now_ns = self.now_ns();
        for bytes in batch.bytes() {
            let of = ticks::answered(bytes).and_then(|at| self.due_ns.get_mut(at as usize)?.take());
            self.times.extend(of.map(|due_ns| now_ns.saturating_sub(due_ns)));
        }
        Ok(())
    }
}
