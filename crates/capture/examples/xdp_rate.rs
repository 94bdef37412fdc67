//! How fast an AF_XDP port takes frames, beside the bare loop under it.
//!
//! Builds a lab of its own (two namespaces, one veth pair). First the cost of taking a frame that
//! is there already, which other work on the machine disturbs little; then the rate under a flood
//! of live frames, sender on one core, receiver on the other. Needs root:
//! `cargo run --release -p tickwire-capture --example xdp_rate [seconds [rx_ring]]`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tickwire_capture::Port;
use tickwire_capture::af_xdp::{AfXdp, AfXdpConfig};
use tickwire_capture::bpf::Program;
use tickwire_capture::bpf::asm::{Assembler, Helper, Reg};
use tickwire_frame::{Batch, Ledger};
use tickwire_lab::{Lab, LabConfig};

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<u64> = std::env::args().skip(1).flat_map(|text| text.parse()).collect();
    let seconds = Duration::from_secs(arguments.first().copied().unwrap_or(3));
    let rx_ring = arguments.get(1).copied().unwrap_or(4096) as u32;
    let bare = cost(rx_ring, |port| port.receive_bare())?;
    let port = cost(rx_ring, receive)?;
    let read = cost(rx_ring, receive_and_read)?;
    println!("a frame that is there: bare {bare:.1} ns, port {port:.1} ns, read {read:.1} ns");
    for round in 1..=2 {
        let bare = measure(seconds, rx_ring, |port| port.receive_bare())?;
        let port = measure(seconds, rx_ring, receive)?;
        println!("round {round}: port / bare = {:.3}", port / bare);
    }
    Ok(())
}

fn receive(port: &mut AfXdp) -> usize {
    let mut batch = Batch::new();
    port.receive(&mut batch).map_or(0, |_| batch.len())
}

/// Also looks at the headers, as every job does.
fn receive_and_read(port: &mut AfXdp) -> usize {
    let mut batch = Batch::new();
    let _ = port.receive(&mut batch);
    let sum: u32 = batch.bytes().iter().map(|bytes| u32::from(bytes[12] ^ bytes[36])).sum();
    std::hint::black_box(sum);
    batch.len()
}

/// Nanoseconds a frame for taking a full RX ring: the best of many times.
fn cost(rx_ring: u32, mut receive: impl FnMut(&mut AfXdp) -> usize) -> Result<f64, Failure> {
    const ROUNDS: usize = 200;
    let lab = Lab::veth(LabConfig { ipv6: false, ..LabConfig::default() })?;
    let config = AfXdpConfig { rx_ring, ..AfXdpConfig::new(lab.right.name()) };
    let mut port = lab.right.run(|| AfXdp::open(&config, &[0]))?.remove(0);
    let sender = redirector(lab.left.index()?)?;
    let mut best = f64::INFINITY;
    pin(1);
    for _ in 0..ROUNDS {
        lab.left.run(|| {
            pin(0);
            sender.send_live(&[0x5a; 94], 0, rx_ring, 64)
        })?;
        std::thread::sleep(Duration::from_millis(1));
        let (start, mut taken) = (Instant::now(), 0);
        loop {
            match receive(&mut port) {
                0 => break,
                count => taken += count,
            }
        }
        if taken >= rx_ring as usize / 2 {
            best = best.min(start.elapsed().as_nanos() as f64 / taken as f64);
        }
    }
    Ok(best)
}

/// Frames a second that `receive` takes under a flood.
fn measure(
    duration: Duration,
    rx_ring: u32,
    mut receive: impl FnMut(&mut AfXdp) -> usize + Send,
) -> Result<f64, Failure> {
    let lab = Lab::veth(LabConfig { ipv6: false, ..LabConfig::default() })?;
    let config = AfXdpConfig { rx_ring, ..AfXdpConfig::new(lab.right.name()) };
    let mut port = lab.right.run(|| AfXdp::open(&config, &[0]))?.remove(0);
    let sender = redirector(lab.left.index()?)?;
    let stop = AtomicBool::new(false);
    let rate = std::thread::scope(|scope| {
        scope.spawn(|| {
            lab.left.run(|| {
                pin(0);
                let frame = [0x5a; 94];
                while !stop.load(Ordering::Relaxed) {
                    if sender.send_live(&frame, 0, 1 << 20, 64).is_err() {
                        return;
                    }
                }
            });
        });
        pin(1);
        let (start, mut taken) = (Instant::now(), 0u64);
        while start.elapsed() < duration {
            for _ in 0..1024 {
                taken += receive(&mut port) as u64;
            }
        }
        let rate = taken as f64 / start.elapsed().as_secs_f64();
        stop.store(true, Ordering::Relaxed);
        rate
    });
    let mut ledger = Ledger::default();
    port.tick(&mut ledger)?;
    println!("{:.2} M/s taken, {} lost, {}", rate / 1e6, ledger.received, port.mode());
    Ok(rate)
}

/// A program that redirects everything to the interface `index`.
fn redirector(index: u32) -> Result<Program, Failure> {
    let mut asm = Assembler::new();
    asm.mov(Reg::R1, index as i32);
    asm.mov(Reg::R2, 0);
    asm.call(Helper::Redirect);
    asm.exit();
    Ok(Program::load_xdp("rate_flood", &asm.finish()?)?)
}

/// Keeps the calling thread on one core, if it may.
fn pin(core: usize) {
    let mut set = rustix::thread::CpuSet::new();
    set.set(core);
    let _ = rustix::thread::sched_setaffinity(None, &set);
}
