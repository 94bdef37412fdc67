//! Flags of `tickwire replay`.

use super::playback::CutPackets;
use crate::send::args::{OutletArgs, ReportArgs, RunArgs, parse_rate};
use crate::send::schedule::Rate;
use crate::units::{parse_duration, parse_number};
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  tickwire replay day.pcapng -i eth1                   as recorded, whole frames
  tickwire replay day.pcap.zst -i eth1 --speed 10      ten times as fast
  tickwire replay feed.pcap -i eth1 --rate max --port af_xdp
  tickwire replay feed.pcap --to 127.0.0.1:26400       only the UDP payloads, over a socket
  tickwire replay feed.pcap --to 239.1.1.1:26400 -i eth1 --loop 0 udp dst port 26400
  tickwire replay gaps.pcap -i eth1 --gap-max 1s       no pause is longer than a second

Every packet is due at a time that is computed from the first one, so that the replay does not
drift; one that is late does not delay those after it. The summary says how late packets left:
from the time they were due to the return of the system call that sent them.

Times of the file that go back by up to a second are those of packets recorded out of order: they
follow at once. Beyond that the clock was set, and time goes on from there. Both are counted.

In the summary, received = delivered + the sum of discarded, exactly.

Exit codes: 0 done (also after SIGTERM), 1 failed, 2 wrong usage, 130 stopped by ^C.";

/// Flags of `tickwire replay`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ReplayArgs {
    /// The capture file ('-': standard input): pcap or pcapng, plain, gzip or zstd
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Which packets are sent: a filter as in pcap-filter(7), its words joined by blanks; all of
    /// them without one
    #[arg(value_name = "EXPR")]
    pub expression: Vec<String>,

    /// Send the payloads of UDP packets there, over UDP sockets; without it whole frames leave
    /// from -i IF as they are
    #[arg(long, value_name = "ADDR:PORT", help_heading = "Output")]
    pub to: Option<SocketAddr>,

    #[command(flatten)]
    pub outlet: OutletArgs,

    /// So many times the recorded speed: 2, 0.5
    #[arg(long, value_name = "X", help_heading = "Pace", default_value = "1")]
    #[arg(value_parser = parse_number, conflicts_with = "rate", hide_default_value = true)]
    pub speed: f64,

    /// So many packets a second, whatever was recorded: 1000, 50k; max: as fast as it goes
    #[arg(long, value_name = "N|max", help_heading = "Pace", value_parser = parse_rate)]
    pub rate: Option<Rate>,

    /// Shorten pauses of the recording that are longer to this: 500ms, 1s
    #[arg(long, value_name = "TIME", help_heading = "Pace", value_parser = parse_duration)]
    #[arg(conflicts_with = "rate")]
    pub gap_max: Option<Duration>,

    /// Play the file so many times, without a pause; 0: until stopped
    #[arg(long = "loop", value_name = "N", help_heading = "Pace", default_value_t = 1)]
    pub rounds: u64,

    /// Packets of which the file holds only the first bytes: discard them, send them as they are,
    /// or pad them with zeros
    #[arg(long, value_name = "discard|send|pad", default_value = "discard")]
    #[arg(hide_possible_values = true)]
    pub cut: CutPackets,

    #[command(flatten)]
    pub run: RunArgs,

    #[command(flatten)]
    pub report: ReportArgs,
}
