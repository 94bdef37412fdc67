//! `tickwire`: one user-space packet engine for trading networks.
//!
//! This crate is the thin edge: flags, signals, exit codes, and what the user sees. It holds no
//! packet logic of its own.
//!
//! * [`args`]: the command line as data; help, man pages and completions all come from it.
//! * [`capture`]: packets from an interface or a file, to lines, a capture file, and a ledger.
//! * [`columns`]: aligned columns under a heading.
//! * [`config_file`]: the text of a configuration.
//! * [`completions`] and [`man`]: what the shell and `man` are given.
//! * [`ctl`]: talks to a running tickwire.
//! * [`demo`]: everything at work in a few seconds, without a network card.
//! * [`doctor`]: what this machine can do, and what to change.
//! * [`exit`]: exit codes, failures, and what is said on standard error.
//! * [`feed`]: market data: messages, counts, gaps.
//! * [`filter`]: what a filter expression means, becomes, and says of packets.
//! * [`fresh`]: after a stall, what waited for too long is not answered.
//! * [`generate`]: traffic at a given rate and size.
//! * [`lab`]: the other ends of tests: an exchange.
//! * [`latency`]: round trips and one-way times.
//! * [`progress`]: what a terminal shows while a command runs.
//! * [`recovery`]: asks servers for what no line of a feed brought.
//! * [`replay`]: the packets of a capture file, sent again.
//! * [`replicate`]: one feed in, many subscribers out.
//! * [`respond`]: market data in, orders out.
//! * [`send`]: sending in time, which those share.
//! * [`signals`]: ^C, SIGTERM and SIGHUP ask the engine to stop.
//! * [`table`]: the table of a summary.
//! * [`text`]: lines of a given width.
//! * [`units`]: numbers with units, in and out.

#![forbid(unsafe_code)]

mod args;
mod capture;
mod columns;
mod completions;
mod config_file;
mod ctl;
mod demo;
mod doctor;
mod exit;
mod feed;
mod filter;
mod fresh;
mod generate;
mod lab;
mod latency;
mod man;
mod progress;
mod recovery;
mod replay;
mod replicate;
mod respond;
mod send;
mod signals;
mod table;
mod text;
mod units;

use args::{Cli, Command};
use std::process::ExitCode;

fn main() -> ExitCode {
    match Cli::from_args().command {
        Command::Capture(args) => exit::code(capture::run(&args)),
        Command::Demo(args) => exit::code(demo::run(&args)),
        Command::Doctor(args) => doctor::run(&args),
        Command::Feed(args) => exit::code(feed::run(&args)),
        Command::Filter(args) => exit::code(filter::run(&args)),
        Command::Replicate(args) => exit::code(replicate::run(&args)),
        Command::Respond(args) => exit::code(respond::run(&args)),
        Command::Ctl(args) => exit::code(ctl::run(&args)),
        Command::Generate(args) => exit::code(generate::run(&args)),
        Command::Lab(args) => exit::code(lab::run(&args)),
        Command::Latency(args) => exit::code(latency::run(&args)),
        Command::Replay(args) => exit::code(replay::run(&args)),
        Command::Completions(args) => exit::code(completions::run(&args)),
        Command::Man(args) => exit::code(man::run(&args)),
    }
}
