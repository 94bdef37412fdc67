//! `tickwire doctor`: what this machine can do for packet capture, and what to change.
//!
//! [`collect`] reads facts and changes nothing; [`judge`] turns them into findings and is pure;
//! [`report`] prints them.

mod collect;
mod facts;
mod finding;
mod judge;
mod report;

use crate::completions::print_all;
use crate::exit;
use std::process::ExitCode;

/// What to examine, and how to print it.
#[derive(clap::Args, Clone, Debug)]
pub struct DoctorArgs {
    /// Interfaces to examine; all that are up when none is named
    #[arg(value_name = "INTERFACE")]
    pub interfaces: Vec<String>,
    /// Print one JSON object: able, findings with stable ids, ports, facts
    #[arg(long)]
    pub json: bool,
}

/// Examines this machine. 0 when live capture works on an interface that was examined, 1 when not.
pub fn run(args: &DoctorArgs) -> ExitCode {
    let facts = collect::collect(&args.interfaces);
    let (findings, advice) = (judge::judge(&facts), judge::advise(&facts));
    let able = facts.missing.is_empty() && advice.iter().any(|advice| advice.port.is_some());
    let text = match args.json {
        true => report::json(able, &facts, &findings, &advice) + "\n",
        false => report::text(&facts, &findings, &advice, report::Style::of_stdout()),
    };
    if let Err(failure) = print_all(text.as_bytes()) {
        return exit::code(Err(failure));
    }
    if able { ExitCode::SUCCESS } else { ExitCode::from(1) }
}
