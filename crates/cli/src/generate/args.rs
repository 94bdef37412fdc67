//! Flags of `tickwire generate`.

use crate::send::args::{OutletArgs, PaceArgs, ReportArgs, parse_rate};
use crate::send::open::PAYLOAD_BYTES_MAX;
use crate::send::schedule::Rate;
use clap::{Args, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;
use tickwire_lab::{Message, TRADE_BYTES};

/// Length of a numbered payload unless said otherwise, in bytes: 94 of an IPv4 frame.
const NUMBERED_BYTES: usize = 52;

const EXAMPLES: &str = "\
Examples:
  tickwire generate --to 10.0.0.2:5000                           1,000 packets a second, until ^C
  tickwire generate --to 10.0.0.2:5000 --rate 50k --duration 10s --json
  tickwire generate --to 239.1.1.1:26400 -i eth1 --message trade --rate 10k --spin
  tickwire generate --to 10.0.0.2:5000 --port af_xdp -i eth1 --dst-mac 02:00:00:00:00:02 \\
                    --rate max -c 10M
  tickwire generate --to 10.0.0.2:5000 --packets feed.pcap --rate 100k

Messages:
  numbered  \"tkwr\", sequence number, time it was due (ns since 1970), 4 + 8 + 8 bytes, big-endian
  trade     a trade in JSON, 152 bytes, with the sequence number as ten digits at offset 38

When each packet is due is fixed beforehand: a sender that falls behind catches up, and the
lateness shows (open loop). It is measured from the time that a packet was due to the return of
the system call that sent it. Packets that are due together leave with one call.

Exit codes: 0 done (also after SIGTERM), 1 failed, 2 wrong usage, 130 stopped by ^C.";

/// Flags of `tickwire generate`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct GenerateArgs {
    /// Where packets go: an address or a multicast group, and a port
    #[arg(long, value_name = "ADDR:PORT", help_heading = "Output")]
    pub to: SocketAddr,

    #[command(flatten)]
    pub outlet: OutletArgs,

    /// What packets say: numbered or trade, see below
    #[arg(long, value_name = "numbered|trade", help_heading = "Packets")]
    #[arg(default_value = "numbered", hide_possible_values = true)]
    pub message: MessageChoice,

    /// Length of the UDP payload in bytes: by default 52, for trades 152
    #[arg(long, value_name = "BYTES", help_heading = "Packets")]
    pub size: Option<usize>,

    /// Send the UDP payloads of a capture file instead, over and over; their times mean nothing
    #[arg(long, value_name = "FILE", help_heading = "Packets")]
    #[arg(conflicts_with_all = ["message", "size", "burst"])]
    pub packets: Option<PathBuf>,

    /// Packets a second: 1000, 50k, 1.5M; max: as fast as it goes
    #[arg(long, value_name = "N|max", default_value = "1000", value_parser = parse_rate)]
    #[arg(help_heading = "Pace")]
    pub rate: Rate,

    #[command(flatten)]
    pub pace: PaceArgs,

    #[command(flatten)]
    pub report: ReportArgs,
}

/// What packets say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MessageChoice {
    /// A number and a time
    Numbered,
    /// A trade in JSON
    Trade,
}

impl MessageChoice {
    /// The message.
    pub fn message(self) -> Message {
        match self {
            MessageChoice::Numbered => Message::Numbered,
            MessageChoice::Trade => Message::Trade,
        }
    }

    /// Its payload's length: `asked`, or the usual one.
    pub fn bytes(self, asked: Option<usize>) -> Result<usize, String> {
        let (usual, min) = match self {
            MessageChoice::Numbered => (NUMBERED_BYTES, Message::Numbered.bytes_min()),
            MessageChoice::Trade => (TRADE_BYTES, TRADE_BYTES),
        };
        match asked.unwrap_or(usual) {
            bytes if (min..=PAYLOAD_BYTES_MAX).contains(&bytes) => Ok(bytes),
            bytes => Err(format!(
                "a payload of {bytes} bytes cannot be: this message takes {min} to \
                 {PAYLOAD_BYTES_MAX} (--size)"
            )),
        }
    }
}
