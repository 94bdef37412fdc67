//! Flags of `tickwire generate`.

use crate::feed::publish::args::PacketArgs;
use crate::send::args::{OutletArgs, PaceArgs, ReportArgs, parse_rate};
use crate::send::open::PAYLOAD_BYTES_MAX;
use crate::send::schedule::Rate;
use clap::{Args, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;
use tickwire_lab::Message;
use tickwire_market::generate::STOCKS_MAX;

/// Length of a numbered payload unless said otherwise, in bytes: 94 of an IPv4 frame.
const NUMBERED_BYTES: usize = 52;

const EXAMPLES: &str = "\
Examples:
  tickwire generate --to 10.0.0.2:5000                           1,000 packets a second, until ^C
  tickwire generate --to 10.0.0.2:5000 --rate 50k --duration 10s --json
  tickwire generate --to 239.1.1.1:26400 -i eth1 --format trade --rate 10k --spin
  tickwire generate --to 239.1.1.1:26477 -i eth1 --format itch --rate 50k -c 1M
  tickwire generate --format itch -c 10M -w day.binaryfile       then: tickwire feed serve, pack
  tickwire generate --to 10.0.0.2:5000 --port af_xdp -i eth1 --dst-mac 02:00:00:00:00:02 \\
                    --rate max -c 10M
  tickwire generate --to 10.0.0.2:5000 --packets feed.pcap --rate 100k

Formats:
  numbered  \"tkwr\", sequence number, time it was due (ns since 1970), 4 + 8 + 8 bytes, big-endian
  trade     a trade in JSON, 152 bytes, with the sequence number as ten digits at offset 38
  itch      a made-up day of a market in ITCH 5.0 over MoldUDP64, with heartbeats and an end of
            session: the stocks, --orders before the market opens, then types of messages in the
            shares that they have on Nasdaq. No message refers to an order that is not there
  nanonet   market data of NanoNet, 24 bytes, in either --byte-order; also called market
  hft-tick  a tick of the HFT filter, 14 bytes

With itch, --rate, --burst and -c count messages, not packets. Their own times, which are those of
the file with -w, come in bursts, with --rate messages a second on average once the market is open.

When each packet is due is fixed beforehand: a sender that falls behind catches up, and the
lateness shows (open loop). It is measured from the time that a packet was due to the return of
the system call that sent it. Packets that are due together leave with one call.

Exit codes: 0 done (also after SIGTERM), 1 failed, 2 wrong usage, 130 stopped by ^C.";

/// Flags of `tickwire generate`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct GenerateArgs {
    /// Where packets go: an address or a multicast group, and a port
    #[arg(
        long,
        value_name = "ADDR:PORT",
        help_heading = "Output",
        required_unless_present = "write"
    )]
    pub to: Option<SocketAddr>,

    /// Write the messages of --format itch into FILE, a BinaryFILE ('-': standard output), and send
    /// nothing
    #[arg(short = 'w', long, value_name = "FILE", help_heading = "Output", conflicts_with = "to")]
    pub write: Option<PathBuf>,

    #[command(flatten)]
    pub outlet: OutletArgs,

    /// What packets say: numbered, trade, itch, nanonet or hft-tick, see below
    #[arg(long, value_name = "NAME", help_heading = "Packets", visible_alias = "message")]
    #[arg(default_value = "numbered", hide_possible_values = true)]
    pub format: Format,

    /// Which byte of a number comes first in nanonet: the least significant one, as its module has
    /// it (little), or the most significant one, as its generator does (big)
    #[arg(long, value_name = "little|big", help_heading = "Packets", default_value = "little")]
    #[arg(hide_possible_values = true)]
    pub byte_order: ByteOrder,

    /// Length of the UDP payload in bytes: by default 52, for trades 152; the longest one of itch,
    /// by default 1472
    #[arg(long, value_name = "BYTES", help_heading = "Packets")]
    pub size: Option<usize>,

    /// Send the UDP payloads of a capture file instead, over and over; their times mean nothing
    #[arg(long, value_name = "FILE", help_heading = "Packets")]
    #[arg(conflicts_with_all = ["format", "size", "burst", "write"])]
    pub packets: Option<PathBuf>,

    #[command(flatten)]
    pub day: DayArgs,

    /// Packets a second: 1000, 50k, 1.5M; max: as fast as it goes
    #[arg(long, value_name = "N|max", default_value = "1000", value_parser = parse_rate)]
    #[arg(help_heading = "Pace")]
    pub rate: Rate,

    #[command(flatten)]
    pub pace: PaceArgs,

    #[command(flatten)]
    pub report: ReportArgs,
}

/// What day of a market is made up.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Format itch")]
pub struct DayArgs {
    /// How many stocks there are
    #[arg(long, value_name = "N", default_value_t = 100)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=i64::from(STOCKS_MAX)))]
    pub stocks: u16,

    /// How many orders come before the market opens; later, as many go as come
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub orders: u32,

    /// Where chance starts: the same number makes the same day
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,

    #[command(flatten)]
    pub packets: PacketArgs,
}

/// What packets say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A number and a time
    Numbered,
    /// A trade in JSON
    Trade,
    /// ITCH 5.0 over MoldUDP64
    Itch,
    /// Market data of NanoNet
    #[value(alias = "market")]
    Nanonet,
    /// A tick of the HFT filter
    HftTick,
}

/// Which byte of a number comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ByteOrder {
    /// The least significant one
    Little,
    /// The most significant one
    Big,
}

impl GenerateArgs {
    /// What each packet says; `None` for messages that have to be put into packets.
    pub fn message(&self) -> Option<Message> {
        Some(match (self.format, self.byte_order) {
            (Format::Itch, _) => return None,
            (Format::Numbered, _) => Message::Numbered,
            (Format::Trade, _) => Message::Trade,
            (Format::Nanonet, ByteOrder::Little) => Message::Nanonet,
            (Format::Nanonet, ByteOrder::Big) => Message::NanonetBig,
            (Format::HftTick, _) => Message::HftTick,
        })
    }
}

/// What packets say whose numbers can be read again.
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
        payload_bytes(self.message(), asked)
    }
}

/// The length of a payload that says `message`: `asked`, or the usual one.
pub fn payload_bytes(message: Message, asked: Option<usize>) -> Result<usize, String> {
    let min = message.bytes_min();
    let usual = if message == Message::Numbered { NUMBERED_BYTES } else { min };
    let max = if message.can_be_longer() { PAYLOAD_BYTES_MAX } else { min };
    match asked.unwrap_or(usual) {
        bytes if (min..=max).contains(&bytes) => Ok(bytes),
        bytes if min == max => Err(format!(
            "a payload of {bytes} bytes cannot be: this message has {min}; leave --size out"
        )),
        bytes => Err(format!(
            "a payload of {bytes} bytes cannot be: this message takes {min} to {max} (--size)"
        )),
    }
}
