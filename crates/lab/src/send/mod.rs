//! Senders of numbered packets, each bounded in count and in time.
//!
//! | sender | how | packets/s on one core |
//! |---|---|---|
//! | [`send_udp`] | connected UDP sockets, sendmmsg(2) | 1 M |
//! | [`send_packet`] | AF_PACKET past the queueing discipline, sendmmsg(2) | 1.7 M |
//! | [`send_port`] | the transmit side of any [`Port`](tickwire_capture::Port) | AF_XDP: 2 M |
//! | [`send_live`] | XDP live frames, made in the kernel | 10 M |
//!
//! They run on the calling thread until all is offered. Every packet is then in one of the sums of
//! the [`SenderReport`]: sent, or refused under the name that the system gave.

mod live;
mod live_program;
mod many;
mod packet;
mod port;
mod udp;

pub use live::send_live;
pub use packet::send_packet;
pub use port::send_port;
pub use udp::send_udp;

use std::fmt;
use std::io;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Packets per system call.
pub(crate) const BURST: u64 = 64;
/// A sender that is not given a limit stops after this.
const TIME_MAX: Duration = Duration::from_secs(60);
/// A paced sender that is ahead sleeps for so long at least: it sends small bursts and leaves the
/// core to others meanwhile.
const SLEEP_MIN: Duration = Duration::from_micros(50);

/// How many packets, how fast, for how long at most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// Packets to offer.
    pub count: u64,
    /// Packets per second; as many as go without.
    pub rate_pps: Option<f64>,
    /// When to stop although not all is offered.
    pub time_max: Duration,
    /// Whether to spin instead of sleeping until the next packet is due: no bursts, but it takes
    /// a core of its own.
    pub spin: bool,
}

impl Schedule {
    /// `count` packets as fast as they go.
    pub fn flood(count: u64) -> Self {
        Schedule { count, rate_pps: None, time_max: TIME_MAX, spin: false }
    }

    /// `count` packets, `rate_pps` each second.
    ///
    /// # Panics
    /// When the rate is not a positive number.
    pub fn paced(count: u64, rate_pps: f64) -> Self {
        assert!(rate_pps > 0.0 && rate_pps.is_finite(), "{rate_pps} packets/s");
        Schedule { count, rate_pps: Some(rate_pps), time_max: TIME_MAX, spin: false }
    }

    /// The same, but spins until the next packet is due.
    #[must_use]
    pub fn spinning(self) -> Self {
        Schedule { spin: true, ..self }
    }

    /// The same, but stops after `time_max`.
    #[must_use]
    pub fn within(self, time_max: Duration) -> Self {
        Schedule { time_max, ..self }
    }
}

/// What became of the packets that a sender offered: `offered = sent + Σ refused`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SenderReport {
    /// Packets that the sender tried to send: the numbers from [`first`](crate::Numbered::first)
    /// on, without a gap.
    pub offered: u64,
    /// Packets that went out. What is lost behind the sender is counted there: see
    /// [`LinkCounters`](crate::LinkCounters) and [`End::driver_counters`](crate::End).
    pub sent: u64,
    /// Packets that the system refused, by the name of the error or counter. `sendmmsg_cut` is an
    /// error that the system keeps to itself. Most of them are in the `tx_dropped` of the
    /// interface, too.
    pub refused: Vec<(String, u64)>,
    /// From the first packet to the last.
    pub seconds: f64,
    /// The longest time that a paced packet left later than its schedule said, in nanoseconds.
    pub late_ns_max: u64,
}

impl SenderReport {
    /// Packets refused, whatever for.
    pub fn refused_total(&self) -> u64 {
        self.refused.iter().map(|(_, count)| count).sum()
    }

    /// Packets sent per second.
    pub fn rate_pps(&self) -> f64 {
        if self.seconds > 0.0 { self.sent as f64 / self.seconds } else { 0.0 }
    }

    /// What the sums do not explain; 0.
    pub fn difference(&self) -> i64 {
        self.offered as i64 - self.sent as i64 - self.refused_total() as i64
    }

    /// Adds to the packets refused as `name`.
    pub(crate) fn refuse(&mut self, name: &str, count: u64) {
        if count == 0 {
            return;
        }
        match self.refused.iter_mut().find(|(known, _)| known == name) {
            Some((_, total)) => *total += count,
            None => self.refused.push((name.to_string(), count)),
        }
    }
}

impl fmt::Display for SenderReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} offered, {} sent in {:.3} s", self.offered, self.sent, self.seconds)?;
        self.refused.iter().try_for_each(|(name, count)| write!(f, ", {count} {name}"))
    }
}

/// What one call of a sender's burst function did with the first packets it was given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Burst {
    /// The first so many went out …
    pub sent: u64,
    /// … and the one after them was refused, for this reason.
    pub refused: Option<&'static str>,
}

/// Offers packets as `schedule` says: `burst(number, count, sent_ns)` sends `count` packets (at
/// most `burst_max`) from `number` on, counted from 0. Whatever it leaves over is offered again.
pub(crate) fn offer(
    schedule: &Schedule,
    burst_max: u64,
    mut burst: impl FnMut(u64, u64, u64) -> io::Result<Burst>,
) -> io::Result<SenderReport> {
    let mut report = SenderReport::default();
    let start = Instant::now();
    loop {
        let elapsed = start.elapsed();
        if report.offered >= schedule.count || elapsed >= schedule.time_max {
            report.seconds = elapsed.as_secs_f64();
            return Ok(report);
        }
        let due = match schedule.rate_pps {
            None => schedule.count,
            // The packet of time 0 is due at once.
            Some(rate) => (elapsed.as_secs_f64() * rate) as u64 + 1,
        };
        let count = due.min(schedule.count).saturating_sub(report.offered).min(burst_max);
        if count == 0 {
            wait_for(report.offered, schedule, start);
            continue;
        }
        if let Some(rate) = schedule.rate_pps {
            let planned = Duration::from_secs_f64(report.offered as f64 / rate);
            let late = elapsed.saturating_sub(planned).as_nanos() as u64;
            report.late_ns_max = report.late_ns_max.max(late);
        }
        let done = burst(report.offered, count, unix_ns())?;
        report.sent += done.sent;
        report.offered += done.sent;
        if let Some(name) = done.refused {
            report.offered += 1;
            report.refuse(name, 1);
        }
    }
}

/// Waits until packet `number` is due, or the time is up.
fn wait_for(number: u64, schedule: &Schedule, start: Instant) {
    let Some(rate) = schedule.rate_pps else { return };
    if schedule.spin {
        return std::hint::spin_loop();
    }
    let due = Duration::from_secs_f64(number as f64 / rate).min(schedule.time_max);
    std::thread::sleep(due.saturating_sub(start.elapsed()).max(SLEEP_MIN));
}

/// Now, in nanoseconds since the Unix epoch.
fn unix_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64)
}

/// The name of an error number that a sender may see.
pub(crate) fn errno_name(error: &io::Error) -> Option<&'static str> {
    Some(match error.raw_os_error()? {
        libc::EAGAIN => "EAGAIN",
        libc::EBUSY => "EBUSY",
        libc::ECONNREFUSED => "ECONNREFUSED",
        libc::EHOSTUNREACH => "EHOSTUNREACH",
        libc::EMSGSIZE => "EMSGSIZE",
        libc::ENETDOWN => "ENETDOWN",
        libc::ENETUNREACH => "ENETUNREACH",
        libc::ENOBUFS => "ENOBUFS",
        libc::ENODEV => "ENODEV",
        libc::ENOMEM => "ENOMEM",
        libc::ENXIO => "ENXIO",
        libc::EPERM => "EPERM",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(_: u64, count: u64, _: u64) -> io::Result<Burst> {
        Ok(Burst { sent: count, refused: None })
    }

    #[test]
    fn a_flood_offers_every_number_once() {
        let mut next = 0;
        let report = offer(&Schedule::flood(1000), BURST, |number, count, _| {
            assert_eq!(number, next);
            assert!(count <= BURST);
            // Takes what it can: an odd number of packets each time.
            next += count.min(7);
            Ok(Burst { sent: count.min(7), refused: None })
        });
        let report = report.unwrap();
        assert_eq!((report.offered, report.sent, report.difference()), (1000, 1000, 0));
    }

    #[test]
    fn refusals_are_summed_by_name() {
        let report = offer(&Schedule::flood(100), BURST, |number, _, _| {
            let name = if number < 50 { "ENOBUFS" } else { "ENETDOWN" };
            Ok(Burst { sent: 1, refused: Some(name) })
        });
        let report = report.unwrap();
        assert_eq!(report.refused, [("ENOBUFS".into(), 25), ("ENETDOWN".into(), 25)]);
        assert_eq!((report.sent, report.difference()), (50, 0));
    }

    #[test]
    fn a_paced_sender_takes_its_time() {
        let report = offer(&Schedule::paced(201, 2000.0), BURST, all).unwrap();
        assert_eq!(report.sent, 201);
        assert!((0.1..2.0).contains(&report.seconds), "{report}");
    }

    #[test]
    fn time_is_bounded() {
        let schedule = Schedule::paced(u64::MAX, 1000.0).within(Duration::from_millis(50));
        let report = offer(&schedule, BURST, all).unwrap();
        assert!((0.05..2.0).contains(&report.seconds), "{report}");
        assert!(report.offered <= 2000);
    }
}
