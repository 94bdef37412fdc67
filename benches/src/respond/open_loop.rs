//! Ticks when they are due, whatever became of those before: latency from the time a tick was due,
//! and beside it what was never answered.

use super::latency::{rig, tickwire};
use super::{Args, ticks};
use crate::live::Failure;
use crate::replicate::Cores;
use std::time::{Duration, Instant};
use tickwire_capture::af_xdp::{AfXdp, AfXdpTransmitter};
use tickwire_capture::{Port, Transmitter};
use tickwire_frame::Batch;
use tickwire_lab::cpu;

/// Ticks a second.
const RATES: [u64; 3] = [1_000, 10_000, 100_000];
/// How long each rate lasts, in seconds.
const SECONDS: u64 = 2;
/// Answers are waited for so long after the last tick.
const LINGER: Duration = Duration::from_millis(100);

/// Measures and prints. Promises nothing.
pub fn measure(args: &Args, cores: Cores) -> Result<(), Failure> {
    println!("\ntickwire af_xdp, open loop, from the time a tick was due, ns");
    println!(
        "{:>8} {:>8} {:>8} {:>8} {:>8} {:>9} {:>10} {:>9}",
        "ticks/s", "p50", "p90", "p99", "p99.9", "max", "unanswered", "of"
    );
    for rate in RATES {
        let ticks = if args.quick { rate / 10 } else { rate * SECONDS };
        let mut times = trial(cores, rate, ticks)?;
        times.sort_unstable();
        if times.is_empty() {
            return Err("no tick was answered".into());
        }
        let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
        println!(
            "{rate:>8} {:>8} {:>8} {:>8} {:>8} {:>9} {:>10} {ticks:>9}",
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

fn trial(cores: Cores, rate: u64, count: u64) -> Result<Vec<u64>, Failure> {
    let (lab, mut port, mut transmitter) = rig()?;
    let _running = tickwire(&lab, cores, "af_xdp")?;
    lab.left.run(|| {
        cpu::pin(cores.generator)?;
        // By what tells answers apart: which tick had it last.
        let mut last = vec![None; ticks::PRICES as usize];
        let mut times = Vec::with_capacity(count as usize);
        let apart = Duration::from_nanos(1_000_000_000 / rate);
        let began = Instant::now() + Duration::from_millis(10);
        for number in 0..count {
            let frame = ticks::frame(&lab, number);
            let due = began + apart * number as u32;
            while Instant::now() < due {
                collect(&mut port, &mut last, &mut times)?;
            }
            last[(number % ticks::PRICES) as usize] = Some(due);
            send(&mut transmitter, &frame)?;
        }
        let until = Instant::now() + LINGER;
        while Instant::now() < until {
            collect(&mut port, &mut last, &mut times)?;
        }
        Ok(times)
    })
}

/// Sends a frame at once.
pub fn send(transmitter: &mut AfXdpTransmitter, frame: &[u8]) -> Result<(), Failure> {
    let slot = transmitter.slot().map_err(|reason| format!("no room to send: {reason}"))?;
    slot[..frame.len()].copy_from_slice(frame);
    transmitter.push(frame.len(), 0);
    let mut lost = None;
    transmitter.kick(&mut |_, reason| lost = Some(reason))?;
    lost.map_or(Ok(()), |reason| Err(format!("a tick did not leave: {reason}").into()))
}

/// Takes the answers that are there. One that comes twice, or to nothing, has no time.
fn collect(
    port: &mut AfXdp,
    last: &mut [Option<Instant>],
    times: &mut Vec<u64>,
) -> Result<(), Failure> {
    let mut batch = Batch::new();
    port.receive(&mut batch)?;
    let now = Instant::now();
    for bytes in batch.bytes() {
        let of = ticks::answered(bytes).and_then(|at| last.get_mut(at as usize)?.take());
        if let Some(due) = of {
            times.push(now.saturating_duration_since(due).as_nanos() as u64);
        }
    }
    Ok(())
}
