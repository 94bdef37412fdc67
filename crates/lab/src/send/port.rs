//! Numbered packets through the transmit side of a port.

use super::{BURST, Burst, Schedule, SenderReport, offer};
use crate::{LabError, Numbered};
use std::io;
use std::time::{Duration, Instant};
use tickwire_capture::{Port, PortError};
use tickwire_frame::Ledger;

/// How long to wait for room in a full transmit ring, each time.
const ROOM_WAIT: Duration = Duration::from_millis(1);
/// A port that takes nothing for so long is given up, in milliseconds.
const STUCK_MS_MAX: u64 = 2000;
/// How often the port's housekeeping runs.
const TICK_EVERY: Duration = Duration::from_millis(100);

/// Sends numbered packets through any port that transmits. Losses that the port finds out later
/// are entered in `ledger`, by its own names.
///
/// # Errors
/// The port's own; ETIMEDOUT when it takes nothing for two seconds.
///
/// # Panics
/// As [`Numbered::template`].
pub fn send_port(
    port: &mut dyn Port,
    ledger: &mut Ledger,
    packets: &Numbered,
    schedule: &Schedule,
) -> Result<SenderReport, LabError> {
    let what = format!("send through {}", port.mode());
    let template = packets.template();
    let mut frames = vec![template.bytes().to_vec(); BURST as usize];
    let (mut ticked, mut moved) = (Instant::now(), Instant::now());
    let result = offer(schedule, BURST, |number, count, sent_ns| {
        let first = packets.first + number;
        for (sequence, frame) in (first..first + count).zip(&mut frames) {
            template.fill(frame, sequence, sent_ns);
        }
        let mut buffers = [&[][..]; BURST as usize];
        for (buffer, frame) in buffers.iter_mut().zip(&frames) {
            *buffer = frame;
        }
        let sent = port.transmit(&buffers[..count as usize]).map_err(system)?.accepted as u64;
        if ticked.elapsed() >= TICK_EVERY {
            port.tick(ledger).map_err(system)?;
            ticked = Instant::now();
        }
        if sent > 0 {
            moved = Instant::now();
        } else if moved.elapsed() >= Duration::from_millis(STUCK_MS_MAX) {
            return Err(io::Error::from_raw_os_error(libc::ETIMEDOUT));
        } else {
            port.wait(ROOM_WAIT).map_err(system)?;
        }
        Ok(Burst { sent, refused: None })
    });
    let report = result.map_err(|source| LabError::new(what.clone(), source))?;
    port.tick(ledger).map_err(|error| LabError::new(what, system(error)))?;
    Ok(report)
}

/// Keeps the error number where there is one, for the cure; the text otherwise.
fn system(error: PortError) -> io::Error {
    io::Error::other(error)
}
