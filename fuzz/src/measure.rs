//! Runs stages over many mutated packets: any panic is caught and can be reproduced, and the
//! slowest packet of each stage is found.

use crate::mutate::{Mutated, Mutator};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

/// How often a packet that looks slow is run again before it is believed: the machine interrupts
/// us, the parser does not, so the fastest run is the true one.
const REPETITIONS: usize = 16;

/// A function under test, by name.
pub type Stage = (&'static str, fn(&Mutated<'_>));

/// What was found out about one stage.
#[derive(Clone, Debug)]
pub struct Figures {
    /// The stage.
    pub name: &'static str,
    /// Mean time of one packet in nanoseconds; the clock's own time is part of it.
    pub mean_ns: f64,
    /// The slowest packet: its fastest run out of several, in nanoseconds.
    pub slowest_ns: u64,
    /// Which packet that was.
    pub slowest_index: u64,
}

/// A stage panicked. The same seed and index do it again.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The stage.
    pub stage: &'static str,
    /// The seed of the run.
    pub seed: u64,
    /// The packet.
    pub index: u64,
    /// The bytes of the packet.
    pub bytes: Vec<u8>,
    /// What the panic said.
    pub message: String,
}

/// Runs every stage over the packets `range` of `seed`.
pub fn run(
    mutator: &mut Mutator,
    stages: &[Stage],
    seed: u64,
    range: std::ops::Range<u64>,
) -> Result<Vec<Figures>, Failure> {
    let count = range.end.saturating_sub(range.start).max(1) as f64;
    let mut totals = vec![(0u64, 0u64, 0u64); stages.len()];
    for index in range {
        let packet = mutator.nth(seed, index);
        for (&(name, stage), total) in stages.iter().zip(&mut totals) {
            let fail = |panic: Box<dyn Any + Send>| Failure {
                stage: name,
                seed,
                index,
                bytes: packet.bytes.to_vec(),
                message: message(&*panic),
            };
            let mut ns = time(stage, &packet).map_err(fail)?;
            total.0 += ns;
            // Only a packet slower than the slowest so far is worth another look.
            for _ in 0..REPETITIONS {
                if ns <= total.1 {
                    break;
                }
                ns = ns.min(time(stage, &packet).map_err(fail)?);
            }
            if ns > total.1 {
                (total.1, total.2) = (ns, index);
            }
        }
    }
    let figures = stages.iter().zip(totals).map(|(&(name, _), (sum, slowest, index))| Figures {
        name,
        mean_ns: sum as f64 / count,
        slowest_ns: slowest,
        slowest_index: index,
    });
    Ok(figures.collect())
}

fn time(stage: fn(&Mutated<'_>), packet: &Mutated<'_>) -> std::thread::Result<u64> {
    let start = Instant::now();
    catch_unwind(AssertUnwindSafe(|| stage(packet)))?;
    Ok(start.elapsed().as_nanos() as u64)
}

fn message(panic: &(dyn Any + Send)) -> String {
    match (panic.downcast_ref::<String>(), panic.downcast_ref::<&str>()) {
        (Some(text), _) => text.clone(),
        (None, Some(text)) => (*text).to_owned(),
        (None, None) => "a panic without a message".to_owned(),
    }
}
