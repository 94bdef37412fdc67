//! Flags of `tickwire replicate`.

use super::spec::{
    FeedSpec, RecoverSpec, SubscriberSpec, parse_feed, parse_recover, parse_subscriber,
};
use crate::capture::{List, Queues, SummaryFormat, parse_list_value, parse_queues};
use crate::units::parse_duration;
use clap::{Args, ValueEnum};
use serde::Deserialize;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;
use tickwire_control::Cidr;
use tickwire_market::Protocol;
use tickwire_market::recognise::Binding;
use tickwire_replicate::LEASE_S_MAX;

pub(super) const EXAMPLES: &str = "\
Examples:
  tickwire replicate -i eth1 --listen 233.54.12.111:26477 \\
      --subscriber 10.0.0.11:26477 --subscriber 10.0.0.12:9000,name=risk,ttl=8
  tickwire replicate -i eth1 --listen 233.54.12.111:26477,name=a \\
      --listen 233.49.196.111:26477,name=b --arbitrate a,b --recover 10.0.0.1:18000 \\
      --subscriber 10.0.0.11:26477
  tickwire replicate -i eth1 --listen 239.1.1.1:5000 --control /run/tickwire.sock
  tickwire ctl --control /run/tickwire.sock replicate add 10.0.0.13:5000 --lease-s 60
  tickwire replicate --config feeds.toml --check      validate, start nothing

A feed:        ADDR:PORT[,name=N][,source=IP][,interface=IF][,queues=0+1][,vlan=ID][,filter=EXPR]
A subscriber:  [FEED=]ADDR:PORT[,name=N][,ttl=N][,dscp=N][,lease_s=SECONDS][,source=interface|keep]
               [,udp_checksum=update|compute|zero|zero_over_ipv6][,interface=IF][,filter=EXPR]
A filter comes last: all that follows belongs to it. Subscribers without FEED= get the first feed.

The file of --config has the long flags as keys, with _ for -, and lists feeds and subscribers:
  interface = \"eth1\"
  control = \"/run/tickwire.sock\"
  [[feed]]                             # and source, interface, queues = [0, 1], vlan, filter
  name = \"itch\"
  listen = \"233.54.12.111:26477\"
  [[feed.subscriber]]                  # and name, dscp, source, udp_checksum, interface, filter
  address = \"10.0.0.11:26477\"
  ttl = 8
  lease_s = 60

Modes, fastest first, behind one table:
  xdp      the whole fan-out in the kernel; user space only changes the table
  af_xdp   past the kernel's network stack, one worker a queue; through sockets what frames cannot
           reach, and in fragments what is too long for the way out
  udp      sockets: works everywhere, without privileges
auto takes the fastest that the interface and the subscribers allow, says why, and stays with it:
who is added later and is not within its reach is warned of, also in `ctl replicate status`.

Exit codes: 0 done (also after SIGTERM), 1 failed, 2 wrong usage, 130 stopped by ^C.";

/// How long a frame may have waited when a stall is over, in milliseconds: what can be asked for.
pub const AGE_MS: RangeInclusive<i64> = 1..=60_000;
/// How long what one line passed over may come on another, in microseconds: what can be asked for.
pub const GAP_HOLD_US: RangeInclusive<i64> = 0..=60_000_000;
/// The leases that the older protocol can be given, in seconds: those of subscribers.
pub const LEGACY_LEASE_S: RangeInclusive<i64> = 1..=LEASE_S_MAX as i64;

/// Flags of `tickwire replicate`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ReplicateArgs {
    /// The interface that feeds arrive at, unless a feed names its own
    #[arg(short = 'i', long, value_name = "IF", help_heading = "Feeds")]
    pub interface: Option<String>,

    /// A feed: where its datagrams are sent to, and what it is called; may be repeated
    #[arg(long, value_name = "FEED", help_heading = "Feeds", value_parser = parse_feed)]
    pub listen: Vec<FeedSpec>,

    /// Merge these feeds, two or three lines of one: subscribers to the first get each message
    /// once, from where it came first; may be repeated. Of a datagram with old messages beside new
    /// ones they get the new ones (MoldUDP64), or all of it (others; counted). Not in mode xdp
    #[arg(long, value_name = "FEED,FEED", help_heading = "Feeds")]
    pub arbitrate: Vec<String>,

    /// What merged feeds carry, where their datagrams do not show it: see `tickwire feed --help`
    #[arg(long, value_name = "NAME", help_heading = "Feeds")]
    pub protocol: Option<Protocol>,

    /// What is sent to a port, or to a group on a port: what merged feeds carry there, and where
    /// alone filters look for fields of it; may be repeated: 26477=itch50, 239.1.1.1:30001=mdp3
    #[arg(long, value_name = "[GROUP:]PORT=NAME", help_heading = "Feeds")]
    pub bind: Vec<Binding>,

    /// Ask re-request servers for what no merged line brings (MoldUDP64, IEX-TP), and hand the
    /// answers on as they come; several servers are asked in turns. Of all merged feeds, or of the
    /// one whose first line is FEED; may be repeated
    #[arg(long, value_name = "[FEED=]ADDR:PORT,…", help_heading = "Feeds")]
    #[arg(value_parser = parse_recover)]
    pub recover: Vec<RecoverSpec>,

    /// How long what one merged line passed over may come on another before it is missing, in
    /// microseconds [default: 1000]
    #[arg(long, value_name = "US", help_heading = "Feeds")]
    #[arg(value_parser = clap::value_parser!(u32).range(GAP_HOLD_US))]
    pub gap_hold_us: Option<u32>,

    /// A subscriber from the start; may be repeated. More come and go with `tickwire ctl`
    #[arg(long, value_name = "SUBSCRIBER", help_heading = "Feeds")]
    #[arg(value_parser = parse_subscriber)]
    pub subscriber: Vec<SubscriberSpec>,

    /// Settings, feeds and subscribers from a TOML file; flags go before what it says
    #[arg(long, value_name = "FILE", help_heading = "Feeds")]
    pub config: Option<PathBuf>,

    /// Keep subscribers in FILE, and take them from there at the next start
    #[arg(long, value_name = "FILE", help_heading = "Feeds")]
    pub state: Option<PathBuf>,

    /// Only check flags, configuration and state file; start nothing
    #[arg(long, help_heading = "Feeds")]
    pub check: bool,

    /// How copies are made: auto, xdp, af_xdp or udp
    #[arg(long, value_name = "MODE", help_heading = "Engine", hide_possible_values = true)]
    pub mode: Option<ModeChoice>,

    /// Receive queues, one worker each: the first N, or a list such as 0,2,4-7
    #[arg(long, value_name = "N|LIST", help_heading = "Engine", value_parser = parse_queues)]
    pub queues: Option<Queues>,

    /// Pin the workers to these cores, in order: 2,3 or 2-5
    #[arg(long, value_name = "LIST", help_heading = "Engine", value_parser = parse_list_value)]
    pub cores: Option<List>,

    /// Never sleep: the lowest latency, each worker keeps a core at 100 %
    #[arg(long, help_heading = "Engine")]
    pub spin: bool,

    /// After a stall of half a second, discard what waited longer than this, in milliseconds
    /// [default: 5]; while a link is down nothing waits. Not in mode xdp, where nothing can
    #[arg(long, value_name = "MS", help_heading = "Engine")]
    #[arg(value_parser = clap::value_parser!(u32).range(AGE_MS))]
    pub age_ms_max: Option<u32>,

    /// Stop after this time: 500ms, 10s, 5m, 1h
    #[arg(long, value_name = "TIME", help_heading = "Engine", value_parser = parse_duration)]
    pub duration: Option<Duration>,

    /// Answer `tickwire ctl` on this Unix socket, for this user only
    #[arg(long, value_name = "PATH", help_heading = "Control")]
    pub control: Option<PathBuf>,

    /// Answer the same API on TCP, to those who have the token
    #[arg(long, value_name = "ADDR:PORT", help_heading = "Control")]
    pub control_tcp: Option<SocketAddr>,

    /// The file with the bearer token for --control-tcp
    #[arg(long, value_name = "FILE", help_heading = "Control")]
    pub token_file: Option<PathBuf>,

    /// Answer the UDP control protocol of the older replicator here (its port is 12345)
    #[arg(long, value_name = "ADDR:PORT", help_heading = "Control")]
    pub legacy_control: Option<SocketAddr>,

    /// Sources that the older protocol accepts, as CIDR; loopback alone by default; may be repeated
    #[arg(long, value_name = "CIDR", help_heading = "Control")]
    pub legacy_allow: Vec<Cidr>,

    /// A lease in seconds for those whom the older protocol adds, which knows none
    #[arg(long, value_name = "SECONDS", help_heading = "Control")]
    #[arg(value_parser = clap::value_parser!(u32).range(LEGACY_LEASE_S))]
    pub legacy_lease_s: Option<u32>,

    /// The final account: as text on standard error, or as JSON on standard output
    #[arg(long, value_name = "text|json", default_value = "text", hide_possible_values = true)]
    pub summary: SummaryFormat,
}

/// How copies are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModeChoice {
    /// The fastest that the interface and the subscribers allow
    #[default]
    Auto,
    /// The whole fan-out in the kernel
    Xdp,
    /// AF_XDP sockets
    #[value(name = "af_xdp", alias = "af-xdp")]
    AfXdp,
    /// UDP sockets
    Udp,
}
