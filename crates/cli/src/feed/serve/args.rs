//! Flags of `tickwire feed serve`.

use crate::exit::Failure;
use crate::feed::publish::args::{PacketArgs, SizeArgs};
use crate::feed::publish::faults::FaultArgs;
use crate::feed::publish::lines::LINES_MAX;
use crate::send::args::{ReportArgs, Source, parse_rate, parse_source};
use crate::send::route::same_version;
use crate::send::schedule::Rate;
use crate::send::udp::{UdpTarget, any_source};
use crate::units::{parse_duration, parse_fraction, parse_number};
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tickwire_capture::interfaces;
use tickwire_market::recovery::Rates;

/// Most messages that are due at the same time.
const BURST_MAX: u64 = 1_000_000;

const EXAMPLES: &str = "\
Examples:
  tickwire feed serve day.binaryfile --to 239.1.1.1:26477 -i eth1            as it was, in real time
  tickwire feed serve day.NASDAQ_ITCH50.gz --to 239.1.1.1:26477 -i eth1 --speed 60 --gap-max 1s
  tickwire feed serve day.binaryfile --to 239.1.1.1:26477 --to 239.1.1.2:26477 -i eth1 -i eth2 \\
                      --rate 50k --loss 1% --rerequest 10.0.0.1:18000
  tickwire feed serve day.binaryfile --to 127.0.0.1:26477 --rate max

The file is played as packets of MoldUDP64: a packet leaves when it is full or when its first
message has waited for --flush; a heartbeat when nothing else was sent for a while; the end of
session at the end, several times. The same packets leave on every line, less what --loss takes.

When each packet is due is fixed beforehand: a sender that falls behind catches up, and the
lateness shows (open loop).

With --rerequest, who has missed messages asks for them by unicast, and gets as many as fit into a
packet. Requests are refused, in silence, for another session, for what is no longer kept or not yet
sent, and when there are too many of them.

Nothing is sent to a group but from an interface (-i) or an address (--source) that is named.

When it is ready, it says so on standard error, in a line that begins with \"tickwire: ready\"; the
first packet leaves after that, and after --wait. A signal stops it at once, without an end of
session: as a server that fails.

Exit codes: 0 done (also after SIGTERM), 1 failed, 2 wrong usage, 130 stopped by ^C.";

/// Flags of `tickwire feed serve`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ServeArgs {
    /// The messages: a BinaryFILE of ITCH 5.0, plain, gzip or zstd ('-': standard input)
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Where a line goes: a group or an address, and a port; once for each line, A, B, C
    #[arg(long, value_name = "ADDR:PORT", help_heading = "Lines", required = true)]
    pub to: Vec<SocketAddr>,

    /// The interface that groups are sent from; for all lines, or once for each
    #[arg(short = 'i', long, value_name = "IF", help_heading = "Lines")]
    pub interface: Vec<String>,

    /// Send from this address, and this port; for all lines, or once for each
    #[arg(long, value_name = "ADDR[:PORT]", help_heading = "Lines", value_parser = parse_source)]
    pub source: Vec<Source>,

    /// Time to live or hop limit: by default 64, for groups 1
    #[arg(long, value_name = "N", help_heading = "Lines")]
    #[arg(value_parser = clap::value_parser!(u8).range(1..))]
    pub ttl: Option<u8>,

    /// So many times the speed of the recorded times: 2, 0.5
    #[arg(long, value_name = "X", help_heading = "Pace", default_value = "1")]
    #[arg(value_parser = parse_number, conflicts_with = "rate", hide_default_value = true)]
    pub speed: f64,

    /// So many messages a second, whatever their times: 1000, 50k; max: as fast as it goes
    #[arg(long, value_name = "N|max", help_heading = "Pace", value_parser = parse_rate)]
    pub rate: Option<Rate>,

    /// So many messages at a time, at the same average rate
    #[arg(long, value_name = "N", help_heading = "Pace", default_value_t = 1, requires = "rate")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=BURST_MAX))]
    pub burst: u64,

    /// Shorten pauses that are longer to this: 500ms, 1s
    #[arg(long, value_name = "TIME", help_heading = "Pace", value_parser = parse_duration)]
    #[arg(conflicts_with = "rate")]
    pub gap_max: Option<Duration>,

    /// Let so much time pass between being ready and the first packet
    #[arg(long, value_name = "TIME", help_heading = "Pace", value_parser = parse_duration)]
    #[arg(default_value = "0", hide_default_value = true)]
    pub wait: Duration,

    /// Stop after this time: 500ms, 10s, 5m, 1h
    #[arg(long, value_name = "TIME", help_heading = "Pace", value_parser = parse_duration)]
    pub duration: Option<Duration>,

    /// Never sleep: packets leave as exactly as can be, and the sender keeps a core at 100 %
    #[arg(long, help_heading = "Pace")]
    pub spin: bool,

    /// Pin the sender to this core
    #[arg(long, value_name = "N", help_heading = "Pace")]
    pub core: Option<usize>,

    /// Answer requests of MoldUDP64 for what was missed, here, for as long as the session is
    /// played
    #[arg(long, value_name = "ADDR:PORT", help_heading = "Requests")]
    pub rerequest: Option<SocketAddr>,

    /// Keep the last messages for that, in so many MiB
    #[arg(long, value_name = "MIB", help_heading = "Requests", default_value_t = 64)]
    #[arg(requires = "rerequest", value_parser = clap::value_parser!(u32).range(1..=4_096))]
    pub keep: u32,

    /// Answer at most so many requests a second of one address
    #[arg(long, value_name = "N", help_heading = "Requests", requires = "rerequest")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    #[arg(default_value_t = Rates::default().address_per_second)]
    pub answers: u32,

    /// Lose this part of the answers
    #[arg(long, value_name = "PART", help_heading = "Requests", requires = "rerequest")]
    #[arg(value_parser = parse_fraction, default_value = "0", hide_default_value = true)]
    pub answer_loss: f64,

    #[command(flatten)]
    pub size: SizeArgs,

    #[command(flatten)]
    pub packets: PacketArgs,

    #[command(flatten)]
    pub faults: FaultArgs,

    #[command(flatten)]
    pub report: ReportArgs,
}

impl ServeArgs {
    /// How many requests are answered.
    pub fn rates(&self) -> Rates {
        let (default, address_per_second) = (Rates::default(), self.answers);
        let address_burst = default.address_burst.min(address_per_second);
        Rates { address_per_second, address_burst, ..default }
    }

    /// Where each line goes, and how.
    pub fn targets(&self) -> Result<Vec<UdpTarget>, Failure> {
        let lines = self.to.len();
        if lines > LINES_MAX {
            return Err(Failure::usage(format!(
                "a feed has {LINES_MAX} lines at most, not {lines}"
            )));
        }
        for (flag, given) in [("-i", self.interface.len()), ("--source", self.source.len())] {
            if given > 1 && given != lines {
                return Err(Failure::usage(format!(
                    "{flag} is given {given} times for {lines} lines: give it once for all of \
                     them, or once for each"
                )));
            }
        }
        self.to.iter().enumerate().map(|(line, &to)| self.target(line, to)).collect()
    }

    fn target(&self, line: usize, to: SocketAddr) -> Result<UdpTarget, Failure> {
        if to.port() == 0 {
            return Err(Failure::usage(format!("nobody listens on port 0 of {}", to.ip())));
        }
        let interface = self.interface.get(line).or(self.interface.first());
        let given = self.source.get(line).or(self.source.first());
        if to.ip().is_multicast() && interface.is_none() && given.is_none() {
            return Err(Failure::usage(format!(
                "say where {} is sent from: an interface (-i IF) or an address (--source ADDR)",
                to.ip()
            )));
        }
        let interface = match interface {
            // An interface for the groups means nothing to a line that is no group.
            Some(name) if to.ip().is_multicast() => {
                Some(interfaces::find(name).map_err(Failure::failed)?.index)
            }
            _ => None,
        };
        let mut source = any_source(to);
        if let Some(&Source { address, port }) = given {
            same_version(address, to.ip())?;
            source = SocketAddr::new(address, port.unwrap_or(0));
        }
        Ok(UdpTarget { to, source, flows: 1, ttl: self.ttl, interface })
    }
}
