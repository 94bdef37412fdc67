//! Flags of `tickwire respond`.

use super::audit::AuditArgs;
use super::explain::ExplainArgs;
use crate::capture::{List, Queues, SummaryFormat, parse_list_value, parse_queues};
use crate::units::parse_duration;
use clap::{Args, Subcommand, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tickwire_respond::config::Xdp;

const EXAMPLES: &str = "\
Examples:
  tickwire respond -i eth1 --config docs/examples/nanonet.toml
  tickwire respond -i eth1 --config rules.toml --check
  tickwire respond explain rules.toml
  tickwire respond -i eth1 --config rules.toml --control /run/respond.sock
  tickwire ctl --control /run/respond.sock respond kill
  tickwire ctl --control /run/respond.sock respond reload
  tickwire respond audit /var/log/tickwire/orders.audit --json | jq 'select(.reason)'

Modes:
  af_xdp   ticks past the kernel's stack, orders as frames from the same ring, sessions over TCP
           too where a target says stack = \"user\"; else those, and orders to targets behind
           another interface, go through sockets
  udp      sockets: works everywhere, without privileges
  xdp      rules that can run in the kernel do (`tickwire respond explain FILE` says which), as long
           as tickwire renews their lease; all others as in mode af_xdp
auto takes the faster of af_xdp and udp that the interface allows, and says why; trading in the
kernel has to be asked for.

SIGHUP, or `tickwire ctl … respond reload`, reads rules, limits and hours again, without losing a
tick or answering one twice; a file that is wrong changes nothing.

Exit codes: 0 done (also after SIGTERM), 1 failed, 2 wrong usage, 130 stopped by ^C.";

/// Flags of `tickwire respond`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct RespondArgs {
    /// Something else than responding.
    #[command(subcommand)]
    pub tool: Option<Tool>,
    #[command(flatten)]
    pub run: RunArgs,
}

/// What there is beside responding.
#[derive(Debug, Subcommand)]
pub enum Tool {
    /// The log of decisions, as lines or as JSON
    Audit(AuditArgs),
    /// What the rules of a configuration mean, and what they look at
    Explain(ExplainArgs),
}

/// Flags of a run.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// The interface that feeds arrive at, unless a feed names its own
    #[arg(short = 'i', long, value_name = "IF", help_heading = "Responding")]
    pub interface: Option<String>,

    /// Feeds, targets, rules and limits, in TOML: see docs/respond.md
    #[arg(long, value_name = "FILE", help_heading = "Responding")]
    pub config: Option<PathBuf>,

    /// Only check flags and configuration; start nothing
    #[arg(long, help_heading = "Responding")]
    pub check: bool,

    /// Start switched off: no order leaves before `tickwire ctl … respond enable`
    #[arg(long, help_heading = "Responding")]
    pub disabled: bool,

    /// Positions that the last run ended with are those that this one begins with
    #[arg(long, help_heading = "Responding")]
    pub keep_positions: bool,

    /// How packets come and orders leave: auto, af_xdp, udp or xdp
    #[arg(long, value_name = "MODE", default_value = "auto", hide_possible_values = true)]
    #[arg(help_heading = "Engine")]
    pub mode: ModeChoice,

    /// How long rules in the kernel trade without hearing of tickwire: 10 to 10000 milliseconds
    /// [default: 100, or that of the configuration]
    #[arg(long, value_name = "MS", help_heading = "Engine", value_parser = parse_lease)]
    pub lease_ms: Option<u32>,

    /// Receive queues, one worker each: the first N, or a list such as 0,2,4-7
    #[arg(long, value_name = "N|LIST", help_heading = "Engine", value_parser = parse_queues)]
    pub queues: Option<Queues>,

    /// Pin the workers to these cores, in order: 2,3 or 2-5
    #[arg(long, value_name = "LIST", help_heading = "Engine", value_parser = parse_list_value)]
    pub cores: Option<List>,

    /// Never sleep: the lowest latency, each worker keeps a core at 100 %
    #[arg(long, help_heading = "Engine")]
    pub spin: bool,

    /// Stop after this time: 500ms, 10s, 5m, 1h
    #[arg(long, value_name = "TIME", help_heading = "Engine", value_parser = parse_duration)]
    pub duration: Option<Duration>,

    /// Say every so often, on standard error, what was done: 10s, 1m
    #[arg(long, value_name = "TIME", help_heading = "Engine", value_parser = parse_duration)]
    pub stats_every: Option<Duration>,

    /// Answer `tickwire ctl` on this Unix socket, for this user only
    #[arg(long, value_name = "PATH", help_heading = "Control")]
    pub control: Option<PathBuf>,

    /// Answer the same API on TCP, to those who have the token
    #[arg(long, value_name = "ADDR:PORT", help_heading = "Control", requires = "token_file")]
    pub control_tcp: Option<SocketAddr>,

    /// The file with the bearer token for --control-tcp
    #[arg(long, value_name = "FILE", help_heading = "Control", requires = "control_tcp")]
    pub token_file: Option<PathBuf>,

    /// The final account: as text on standard error, or as JSON on standard output
    #[arg(long, value_name = "text|json", default_value = "text", hide_possible_values = true)]
    pub summary: SummaryFormat,
}

/// How packets come and orders leave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ModeChoice {
    /// The fastest that the interface allows
    #[default]
    Auto,
    /// AF_XDP sockets
    #[value(name = "af_xdp", alias = "af-xdp")]
    AfXdp,
    /// UDP sockets
    Udp,
    /// Programs in the kernel, and AF_XDP sockets
    Xdp,
}

fn parse_lease(text: &str) -> Result<u32, String> {
    let range = Xdp::LEASE_MS;
    let lease = text.parse().ok().filter(|lease| range.contains(lease));
    lease.ok_or_else(|| format!("write a number from {} to {}", range.start(), range.end()))
}
