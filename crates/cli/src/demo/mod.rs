//! `tickwire demo`: everything at work in a few seconds, without a network card.
//!
//! With root, a generated feed of market data runs over two private veth pairs and is captured
//! over af_xdp and af_packet side by side; then what a line lost is asked for again, a feed is
//! replicated to three subscribers, one of them dead, and ticks are answered with orders. Without,
//! the same feed goes through a capture file. Either way packets are decoded, followed by their
//! sequence numbers, and accounted for; those of one stock are selected, and two lines become one
//! book.
//!
//! * [`feed`]: the packets. * [`sender`]: sends them. * [`job`]: handles them.
//! * [`live`], [`offline`]: the two courses. * [`market`]: a stock, a gap, a book.
//! * [`replicated`]: one feed to three subscribers. * [`responded`]: ticks and their orders.
//! * [`command`]: tickwire's own commands.
//! * [`screen`]: what is shown.

mod command;
mod feed;
mod job;
mod live;
mod market;
mod offline;
mod replicated;
mod responded;
mod screen;
mod sender;

use crate::exit::{Ended, Failure};
use crate::signals::Signalled;
use screen::Screen;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tickwire_capture::file::{InterfaceStatistics, WriteFormat, Writer, WriterConfig};
use tickwire_engine::Control;

/// Seconds that the demo runs unless said otherwise.
const SECONDS_DEFAULT: u64 = 5;
/// The seed of the feed: every demo shows the same orders.
const SEED: u64 = 20_260_105;

/// How long, and where the capture file goes.
#[derive(clap::Args, Clone, Debug)]
pub struct DemoArgs {
    /// Run for so many seconds
    #[arg(long, value_name = "N", default_value_t = SECONDS_DEFAULT)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=60))]
    pub seconds: u64,
    /// Write the capture file here instead of into the folder for temporary files
    #[arg(long, value_name = "FILE")]
    pub keep: Option<PathBuf>,
}

/// Runs the demo.
pub fn run(args: &DemoArgs) -> Result<Ended, Failure> {
    let time = Duration::from_secs(args.seconds);
    let file = capture_file(args.keep.as_deref())?;
    let mut screen = Screen::new();
    screen.title();
    // Workers are stopped by us, once what the feed sent last has arrived.
    let control = Arc::new(Control::default());
    let signalled = Signalled::watch(None)?;
    signalled.stop(&control);
    let rows = match tickwire_lab::missing() {
        None => live::run(time, &file, &control, &mut screen)?,
        Some(missing) => {
            screen.without_root(missing);
            offline::run(args.seconds, &file, &control, &mut screen)?
        }
    };
    screen.table(&rows);
    let (is_root, interrupted) = (tickwire_lab::missing().is_none(), || signalled.interrupted());
    let played = match interrupted() {
        true => Ok(()),
        false => market::run(is_root, interrupted, &mut screen),
    };
    if is_root && !interrupted() {
        replicated::run(args.seconds, interrupted, &mut screen);
    }
    if is_root && !interrupted() {
        responded::run(args.seconds, &mut screen);
    }
    screen.file(&file, rows.iter().map(|row| row.recorded).sum());
    screen.what_next(&file);
    if let Some(row) = rows.iter().find(|row| row.ledger.difference() != 0) {
        return Err(Failure::failed(format_args!(
            "{}: the ledger does not add up by {} packets; this is a bug, please report it",
            row.port,
            row.ledger.difference()
        )));
    }
    played.map_err(Failure::failed)?;
    Ok(if signalled.interrupted() { Ended::Interrupted } else { Ended::Done })
}

/// Where the capture file goes: where the user says, or into the folder for temporary files under a
/// name that nobody else has put there, as a file or as a link to one.
fn capture_file(keep: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(path) = keep {
        return Ok(path.to_owned());
    }
    let path = std::env::temp_dir().join(format!("tickwire-demo-{}.pcapng", std::process::id()));
    match std::fs::File::create_new(&path) {
        Ok(_) => Ok(path),
        Err(error) => Err(Failure::failed(format_args!(
            "cannot create {}: {error}; say --keep FILE",
            path.display()
        ))),
    }
}

/// A writer of the demo's capture file, with these interfaces.
fn writer(file: &Path, interfaces: &[&str]) -> Result<Writer, Failure> {
    use tickwire_capture::file::Interface;
    let interface =
        |name: &&str| Some(Interface::new(tickwire_frame::LinkType::ETHERNET).named(*name));
    let config = WriterConfig {
        interfaces: interfaces.iter().map(interface).collect(),
        comment: "A generated market-data feed: order messages in MoldUDP64".into(),
        ..WriterConfig::new(file, WriteFormat::Pcapng)
    };
    Writer::create(config).map_err(Failure::failed)
}

/// Closes the file; a packet that did not get into it is a failure.
fn close(
    writer: Writer,
    file: &Path,
    written: u64,
    statistics: &[InterfaceStatistics],
) -> Result<(), Failure> {
    let (settled, _) = writer.finish(statistics);
    match settled.lost.nonzero().next() {
        None if settled.written == written => Ok(()),
        lost => Err(Failure::failed(format_args!(
            "{} of {written} packets are in {} ({}); make room, or say --keep FILE",
            settled.written,
            file.display(),
            lost.map_or("write_failed", |(reason, _)| reason.as_str())
        ))),
    }
}
