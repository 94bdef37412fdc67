//! Numbered packets made in the kernel: XDP live frames.
//!
//! BPF_PROG_TEST_RUN with BPF_F_TEST_XDP_LIVE_FRAMES runs an XDP program on recycled pages, a
//! batch at a time, and carries its verdict out. Our program ([`super::live_program`]) numbers the
//! frame and redirects it to the interface, so that no system call and no socket buffer is spent
//! on a packet. Each such call ends with a wait for all other cores (20 ms is common), so one call
//! sends everything: the program itself looks at the clock, once per batch, to keep the pace and
//! the time limit.

use super::live_program::{Pace, STATE_BYTES, State, numbering_program};
use super::{Schedule, SenderReport, unix_ns};
use crate::error::{LabError, Tried};
use crate::{End, Message, Numbered};
use rustix::time::{ClockId, clock_gettime};
use std::io;
use std::time::Duration;
use tickwire_capture::bpf::{Map, MapKind, Program};

/// Frames that the kernel sends between two looks at its other work, in a flood.
const BATCH_MAX: u32 = 64;
/// A paced sender cuts its batches to what is due in this time.
const BATCH_US: f64 = 10.0;
/// Faster than this sender is: when the time limit strikes, the runs of the program that are left
/// in a system call do nothing, and shall not be many more than there were.
const RATE_PPS_MAX: f64 = 12e6;
/// Runs of the program per system call.
const RUNS_MAX: u64 = 1 << 30;
/// The shortest time in which the program gives up waiting for a packet to be due.
const PATIENCE: Duration = Duration::from_micros(10);
/// Longest frame: a page without the kernel's headroom and tailroom.
const FRAME_BYTES_MAX: usize = 3392;

/// Makes numbered packets in the kernel and sends them out of the interface of `end`.
///
/// The other end must take XDP frames: it runs an XDP program in native mode, or has
/// [`Offload::Gro`](crate::Offload::Gro) on. The receiving half of the veth driver works on the
/// core of the sender, and a paced sender spins there.
///
/// What went out is counted by the driver of `end`; what did not is `xdp_xmit_errors` (the queue
/// of the other end is full) or `redirect_failed`. The packets of a batch (of 64, or what is due
/// in 10 µs) carry the same time.
///
/// # Errors
/// EPERM without CAP_BPF and CAP_NET_ADMIN, ENODEV while there is no interface, ENXIO when the
/// other end takes no XDP frames.
///
/// # Panics
/// As [`Numbered::template`], above 3392 bytes a frame, and for trades.
pub fn send_live(
    end: &End,
    packets: &Numbered,
    schedule: &Schedule,
) -> Result<SenderReport, LabError> {
    let bytes = packets.frame_bytes;
    assert_eq!(packets.message, Message::Numbered, "live frames carry numbers");
    assert!(bytes <= FRAME_BYTES_MAX, "{bytes} bytes; live frames hold {FRAME_BYTES_MAX}");
    let what = || format!("send live frames on {}", end.name());
    let live = Live::load(end, packets, schedule)?;
    let before = Transmitted::read(end)?;
    // The frames come in on the loopback device of the caller's namespace.
    let state = end.run(|| live.run(schedule)).tried(what)?;
    let after = Transmitted::read(end)?;
    let mut report = SenderReport {
        offered: state.next - packets.first,
        sent: after.sent - before.sent,
        seconds: state.now_ns.saturating_sub(state.start_ns) as f64 / 1e9,
        late_ns_max: state.late_ns_max,
        ..SenderReport::default()
    };
    report.refuse("xdp_xmit_errors", after.errors - before.errors);
    let failed = u64::try_from(report.difference()).unwrap_or_default();
    if failed > 0 && failed == report.offered {
        let nobody = io::Error::from_raw_os_error(libc::ENXIO);
        return Err(LabError::new(what(), nobody)
            .cure("attach an XDP program to the other end, or switch its GRO on"));
    }
    report.refuse("redirect_failed", failed);
    Ok(report)
}

/// The program, loaded, and what it shares with us.
struct Live {
    program: Program,
    state: Map,
    frame: Vec<u8>,
    batch: u32,
    first: u64,
}

impl Live {
    fn load(end: &End, packets: &Numbered, schedule: &Schedule) -> Result<Self, LabError> {
        let what = || format!("load the live frame program for {}", end.name());
        let template = packets.template();
        let state = Map::create("tickwire_live", MapKind::Array, 4, STATE_BYTES, 1).tried(what)?;
        let target = Map::create("tickwire_to", MapKind::DevMap, 4, 4, 1).tried(what)?;
        let index = end.index()?.to_ne_bytes();
        end.run(|| target.update(&[0; 4], &index)).tried(what)?;
        let batch = batch(schedule);
        let pace = Pace { batch, rate_pps: schedule.rate_pps };
        let code = numbering_program(&template, &state, &target, pace);
        let program = Program::load_xdp("tickwire_live", &code)
            .map_err(|error| LabError::new(what(), io::Error::other(error)))?;
        let frame = template.bytes().to_vec();
        Ok(Live { program, state, frame, batch, first: packets.first })
    }

    /// Sends until all is offered or the time is up, and gives the final state.
    fn run(&self, schedule: &Schedule) -> io::Result<State> {
        let deadline = monotonic_ns().saturating_add(schedule.time_max.as_nanos() as u64);
        let mut state = State {
            next: self.first,
            first: self.first,
            end: self.first.saturating_add(schedule.count),
            deadline_ns: deadline,
            unix_offset_ns: unix_ns().wrapping_sub(monotonic_ns()),
            ..State::default()
        };
        let key = 0u32.to_ne_bytes();
        self.state.update(&key, &state.to_bytes())?;
        while state.next < state.end && monotonic_ns() < deadline {
            let runs = Self::runs(state.end - state.next, schedule);
            match self.program.send_live(&self.frame, 0, runs, self.batch) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            state = State::from_bytes(&self.state.lookup(&key)?.unwrap_or_default());
        }
        Ok(state)
    }

    /// How often the program must run to send `left` packets: a paced one also runs in vain.
    fn runs(left: u64, schedule: &Schedule) -> u32 {
        let possible = (schedule.time_max.as_secs_f64() * RATE_PPS_MAX) as u64;
        let in_vain = schedule.rate_pps.map_or(0.0, |rate| {
            let time = Duration::from_secs_f64((left as f64 / rate).min(1e9));
            time.min(schedule.time_max).as_secs_f64() / PATIENCE.as_secs_f64()
        });
        left.min(possible).saturating_add(in_vain as u64 + 1).min(RUNS_MAX) as u32
    }
}

/// Frames per batch, a power of two.
fn batch(schedule: &Schedule) -> u32 {
    let Some(rate) = schedule.rate_pps else { return BATCH_MAX };
    let due = (rate * BATCH_US / 1e6).clamp(1.0, f64::from(BATCH_MAX)) as u32;
    1 << due.ilog2()
}

/// What the driver of an end has counted of frames that XDP gave it to transmit.
struct Transmitted {
    sent: u64,
    errors: u64,
}

impl Transmitted {
    fn read(end: &End) -> Result<Self, LabError> {
        let (sent, errors) = (end.driver_sum("xdp_xmit")?, end.driver_sum("xdp_xmit_errors")?);
        Ok(Transmitted { sent, errors })
    }
}

/// The clock of bpf_ktime_get_ns.
fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_what_is_due_in_ten_microseconds() {
        assert_eq!(batch(&Schedule::flood(1)), 64);
        for (rate, expected) in [(1.0, 1), (150e3, 1), (1e6, 8), (3e6, 16), (6.4e6, 64), (1e9, 64)]
        {
            assert_eq!(batch(&Schedule::paced(1, rate)), expected, "{rate}");
        }
    }
}
