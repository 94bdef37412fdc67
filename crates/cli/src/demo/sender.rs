//! Sends one feed through several ports at an even pace.

use super::feed::Feed;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tickwire_capture::{Port, PortError};
use tickwire_engine::Control;
use tickwire_frame::{FRAMES_MAX, Ledger, Timestamp};

/// Sleep while nothing is due.
const SLEEP: Duration = Duration::from_micros(500);
/// A full transmit ring is waited for so long, then the packets are not offered.
const ROOM_WAIT_MS_MAX: u64 = 100;
/// How often the ports do their housekeeping.
const TICK_EVERY: Duration = Duration::from_millis(100);

/// A port to send through, and how many packets really went out.
pub struct Outlet<'a> {
    pub port: Box<dyn Port>,
    pub offered: &'a AtomicU64,
}

/// Sends `rate_pps` packets a second through each outlet for `time`, or until `control` says stop.
pub fn send(
    feed: &mut Feed,
    outlets: &mut [Outlet<'_>],
    rate_pps: f64,
    time: Duration,
    control: &Control,
) -> Result<(), PortError> {
    let mut frames = vec![Vec::new(); FRAMES_MAX];
    let mut ledgers = vec![Ledger::default(); outlets.len()];
    let (start, mut ticked, mut sent) = (Instant::now(), Instant::now(), 0u64);
    while start.elapsed() < time && !control.stopped() {
        let due = (start.elapsed().as_secs_f64() * rate_pps) as u64;
        let count = due.saturating_sub(sent).min(FRAMES_MAX as u64) as usize;
        if count == 0 {
            std::thread::sleep(SLEEP);
            continue;
        }
        let now = Timestamp::now();
        frames[..count].iter_mut().for_each(|frame| feed.next(now, frame));
        let burst: Vec<&[u8]> = frames[..count].iter().map(Vec::as_slice).collect();
        for outlet in &mut *outlets {
            let accepted = transmit(&mut *outlet.port, &burst)?;
            outlet.offered.fetch_add(accepted as u64, Relaxed);
        }
        sent += count as u64;
        if ticked.elapsed() >= TICK_EVERY {
            ticked = Instant::now();
            tick(outlets, &mut ledgers)?;
        }
    }
    for outlet in &mut *outlets {
        outlet.port.quiesce()?;
    }
    tick(outlets, &mut ledgers)?;
    // What the kernel took and then did not send was never offered to the other end.
    for (outlet, ledger) in outlets.iter().zip(&ledgers) {
        outlet.offered.fetch_sub(ledger.unsent.total(), Relaxed);
    }
    Ok(())
}

fn tick(outlets: &mut [Outlet<'_>], ledgers: &mut [Ledger]) -> Result<(), PortError> {
    for (outlet, ledger) in outlets.iter_mut().zip(ledgers) {
        outlet.port.tick(ledger)?;
    }
    Ok(())
}

/// Hands over all packets, and waits for room in between; gives how many were taken.
fn transmit(port: &mut dyn Port, packets: &[&[u8]]) -> Result<usize, PortError> {
    let start = Instant::now();
    let mut accepted = 0;
    loop {
        accepted += port.transmit(&packets[accepted..])?.accepted;
        let waited = start.elapsed() >= Duration::from_millis(ROOM_WAIT_MS_MAX);
        if accepted == packets.len() || waited {
            return Ok(accepted);
        }
        port.wait(Duration::from_millis(1))?;
    }
}
