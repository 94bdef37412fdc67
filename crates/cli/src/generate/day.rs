//! A made-up day of a market: sent in packets, or written into a file.

use super::args::{Format, GenerateArgs};
use super::command::limits;
use crate::exit::{Ended, Failure, say};
use crate::feed::publish::args::ns;
use crate::feed::publish::programme::{Programme, Shape, next_of_day};
use crate::feed::serve::broadcast::Broadcast;
use crate::replay::timeline::{Pace, Timeline};
use crate::send::args::OutletChoice;
use crate::send::course::Course;
use crate::send::job::{SendJob, Shared};
use crate::send::open;
use crate::send::schedule::{Rate, Schedule};
use crate::send::summary::SendSummary;
use crate::signals::Signalled;
use crate::units::grouped;
use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};
use tickwire_engine::Control;
use tickwire_market::generate::{Itch, ItchConfig};
use tickwire_market::publish::{PAYLOAD_BYTES, PAYLOAD_BYTES_MAX};

/// The shortest packet that can be asked for, in bytes: every message of ITCH 5.0 fits.
const SIZE_BYTES_MIN: usize = 128;
/// Messages a second of a day that is made as fast as it goes.
const DAY_RATE: f64 = 50_000.0;

fn day(args: &GenerateArgs) -> Itch {
    let rate = match args.rate {
        Rate::Pps(rate) => rate,
        Rate::Max => DAY_RATE,
    };
    Itch::new(ItchConfig {
        seed: args.day.seed,
        stocks: args.day.stocks,
        live_orders: args.day.orders,
        gap_ns: ((1e9 / rate) as u64).max(1),
    })
}

/// Sends a day to `to`.
pub fn send(args: &GenerateArgs, to: SocketAddr, schedule: Schedule) -> Result<Ended, Failure> {
    if !matches!(args.outlet.port, None | Some(OutletChoice::Udp)) {
        return Err(Failure::usage(
            "--format itch is sent over udp; as whole frames: write it with -w, then \
             `tickwire feed pack` and `tickwire replay`",
        ));
    }
    let size = args.size.unwrap_or(PAYLOAD_BYTES);
    if !(SIZE_BYTES_MIN..=PAYLOAD_BYTES_MAX).contains(&size) {
        return Err(Failure::usage(format!(
            "a packet of {size} bytes cannot be: {SIZE_BYTES_MIN} to {PAYLOAD_BYTES_MAX} (--size)"
        )));
    }
    let packets = &args.day.packets;
    let shape = Shape {
        session: packets.session,
        limits: packets.limits(size)?,
        linger_ns: ns(packets.linger),
        timeline: Some(Timeline::new(Pace::Constant(schedule), None)),
    };
    let run = &args.pace.run;
    let (messages, time_max) = limits(schedule, run.count, run.duration);
    let outlet = open::udp(&args.outlet, to)?;
    let programme = Programme::made(day(args), messages, shape).map_err(Failure::failed)?;
    let signalled = Signalled::watch(None)?;
    let shared = Arc::<Shared>::default();
    say(format_args!(
        "tickwire: sending ITCH 5.0 to {to}, session {}, {}; ^C stops\n",
        packets.session,
        outlet.mode()
    ));
    // After its last message the end of the session is repeated.
    let time_max = time_max.map(|time| time.saturating_add(packets.linger));
    let control = Arc::new(Control::new(None, time_max));
    let job = SendJob::new(outlet, Arc::clone(&shared), Arc::clone(&control)).ready_made();
    let job = if schedule.rate() == Rate::Max { job.untimed() } else { job };
    signalled.stop(&control);
    let port = Broadcast::new(programme, 0, Arc::clone(&shared));
    let played = port.played();
    let port = Box::new(port);
    let course = Course { port, job, shared: Arc::clone(&shared), control, progress: None };
    let outcome = course.run(run)?;
    // The rate that was asked for is one of messages.
    let mut summary = SendSummary::new("generated", &outcome, &shared, to.to_string(), None);
    let counts = played.lock().unwrap_or_else(PoisonError::into_inner).counts;
    summary.note("messages", counts.messages);
    summary.note("heartbeats", counts.heartbeats);
    summary.note("ends", counts.ends);
    summary.conclude(args.report.format(), signalled.interrupted())
}

/// Writes a day into `path`, a BinaryFILE.
pub fn write(path: &Path, args: &GenerateArgs) -> Result<Ended, Failure> {
    if args.format != Format::Itch {
        return Err(Failure::usage("-w writes the messages of --format itch only"));
    }
    let is_stdout = path == Path::new("-");
    let Some(messages) = args.pace.run.count.or(is_stdout.then_some(u64::MAX)) else {
        return Err(Failure::usage("say how many messages are to be written: -c 10M"));
    };
    let signalled = Signalled::watch(None)?;
    let failed = |error: io::Error| {
        let cure = "choose another file, or make room";
        Failure::failed(format_args!("cannot write {}: {error}; {cure}", path.display()))
    };
    let out: Box<dyn Write> = match is_stdout {
        true => Box::new(io::stdout().lock()),
        false => Box::new(File::create(path).map_err(failed)?),
    };
    let mut out = BufWriter::with_capacity(1 << 20, out);
    signalled.stop(&Arc::new(Control::default()));
    let written = write_messages(&mut out, &mut day(args), messages, &signalled);
    match written.and_then(|written| out.flush().map(|()| written)) {
        Ok(written) => say(format_args!("tickwire: {} messages written\n", grouped(written))),
        // Who reads has enough.
        Err(error) if is_stdout && error.kind() == ErrorKind::BrokenPipe => {}
        Err(error) => return Err(failed(error)),
    }
    Ok(if signalled.interrupted() { Ended::Interrupted } else { Ended::Done })
}

/// Writes `left` messages, or as many as there are before a signal comes; how many.
fn write_messages(
    out: &mut impl Write,
    day: &mut Itch,
    mut left: u64,
    signalled: &Signalled,
) -> io::Result<u64> {
    let wanted = left;
    while !signalled.any.load(Relaxed)
        && let Some(message) = next_of_day(day, &mut left)
    {
        // No message of ITCH is longer than its length can say.
        out.write_all(&(message.len() as u16).to_be_bytes())?;
        out.write_all(message)?;
    }
    Ok(wanted - left)
}
