//! The command line as data: help texts, man pages and completions all come from here.

use crate::capture::CaptureArgs;
use crate::completions::CompletionsArgs;
use crate::ctl::CtlArgs;
use crate::demo::DemoArgs;
use crate::doctor::DoctorArgs;
use crate::feed::FeedArgs;
use crate::filter::FilterArgs;
use crate::generate::GenerateArgs;
use crate::lab::LabArgs;
use crate::latency::LatencyArgs;
use crate::man::ManArgs;
use crate::replay::ReplayArgs;
use crate::replicate::ReplicateArgs;
use crate::respond::RespondArgs;
use clap::builder::styling::{AnsiColor, Styles};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

/// Headings and flags stand out on a terminal; nothing is coloured elsewhere.
const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const EXAMPLES: &str = "\
Examples:
  tickwire capture -r day.pcapng.zst            read a file, one line a packet
  tickwire capture -i eth0 -w day.pcapng        record an interface
  tickwire feed stats -r day.pcapng.zst         market data: what is in it, and is it all there?
  tickwire filter explain 'udp dst port 26400'  what a filter means, and where it runs
  tickwire doctor                               why it is not faster here
  tickwire capture --help                       all of its flags, with examples

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 stopped by ^C.";

/// A user-space packet engine for trading networks: every packet delivered, or discarded for a
/// named reason.
#[derive(Debug, Parser)]
#[command(name = "tickwire", version, styles = STYLES, after_help = EXAMPLES)]
#[command(max_term_width = 100, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// What the user typed; prints what is wrong with it, or help, and exits.
    pub fn from_args() -> Cli {
        let matches = negative_numbers_are_values(Cli::command()).get_matches();
        Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

/// With `-c -1` the value is refused with what is wanted instead of it; else `-1` would be taken
/// for a flag, and refused with the advice to pass it as part of the filter.
fn negative_numbers_are_values(command: clap::Command) -> clap::Command {
    let of_flag = |arg: clap::Arg| match arg.is_positional() || !arg.get_action().takes_values() {
        true => arg,
        false => arg.allow_negative_numbers(true),
    };
    command.mut_args(of_flag).mut_subcommands(negative_numbers_are_values)
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Packets from an interface or a file: as lines, into a capture file, with an exact account
    Capture(Box<CaptureArgs>),
    /// See it at work in a few seconds, in private networks or, without root, over a file
    Demo(DemoArgs),
    /// What this machine can do for packet capture, and what to change
    Doctor(DoctorArgs),
    /// Market data: each message decoded, counts by type, and what is missing
    Feed(FeedArgs),
    /// What a filter expression means, what it becomes, and what it says of packets
    Filter(FilterArgs),
    /// One market-data feed in, many subscribers out
    Replicate(Box<ReplicateArgs>),
    /// Market data in, orders out, within limits that nothing bypasses
    Respond(Box<RespondArgs>),
    /// Talk to a running tickwire: subscribers, counters, the kill switch
    Ctl(Box<CtlArgs>),
    /// Send traffic at a given rate and size, and measure how late each packet left
    Generate(Box<GenerateArgs>),
    /// The other ends of tests: an exchange that takes orders, answers and checks them
    Lab(LabArgs),
    /// Measure round trips and one-way times, or send back what another measurement sends
    Latency(Box<LatencyArgs>),
    /// Send the packets of a capture file, at recorded or any other speed
    Replay(Box<ReplayArgs>),
    /// Print the completion script of a shell
    Completions(CompletionsArgs),
    /// Print the man page of a command, or write all of them into a folder
    Man(ManArgs),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }
}
