//! Flags of `tickwire feed`.

use super::arbitrate::ArbitrateArgs;
use super::book::BookArgs;
use super::pack::PackArgs;
use super::serve::ServeArgs;
use crate::capture::{Group, PortChoice, parse_buffer_kib, parse_group};
use crate::units::parse_duration;
use clap::{ArgGroup, Args, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tickwire_market::Protocol;
use tickwire_market::arbitrate::LINES_MAX;
use tickwire_market::recognise::Binding;

const EXAMPLES: &str = "\
Examples:
  tickwire feed stats -r day.pcapng.zst                what is in it, and did I miss anything?
  tickwire feed stats -r 01302020.NASDAQ_ITCH50.gz     a file as Nasdaq publishes it
  tickwire feed decode -r feed.pcap -c 10              ten messages, one line each
  tickwire feed decode -r feed.pcap --json | jq 'select(.stock == \"AAPL\")'
  tickwire feed decode -r orders.pcap --dictionary FIX44.xml     what was said over FIX
  tickwire feed gaps -r feed.pcap                      what is missing, since when, what filled it
  tickwire feed gaps -r line-a.pcap -r line-b.pcap     what only one line has, and what none has
  tickwire feed arbitrate -r line-a.pcap -r line-b.pcap -w merged.pcap     who was first?
  tickwire feed book -r day.pcapng --symbol AAPL --format ladder --depth 10
  tickwire feed gaps -i eth1 --join 233.54.12.111 udp dst port 26477     live; ^C ends it
  tickwire feed book -r day.pcapng --symbol AAPL --format ladder --depth 10
  tickwire feed gaps -i eth1 --join 239.1.1.1 --recover 10.0.0.1:18000   ask for what is missing

Files are captures (pcap, pcapng), or messages without packets: BinaryFILE (*.NASDAQ_ITCH50),
MoldUDP64 packets or FAST messages one behind the other; all of them plain, gzip or zstd.

A protocol is recognised by its header; --bind and --protocol say what cannot be told so. Known
are itch50 (Nasdaq TotalView-ITCH 5.0 over MoldUDP64), tops, deep, deepplus, tops15 (IEX), mdp3
(CME MDP 3.0), umdf (B3), eobi, eobi-older (Eurex T7), fast-micex (numbers only), nanonet,
nanonet-big and hft-tick, which are never guessed. Over TCP: fix, ouch42, ouch50 and itch50 in
SoupBinTCP, told by the first bytes of FIX and by the login of SoupBinTCP.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 messages are missing (gaps, arbitrate),
130 stopped by ^C.";

/// Flags of `tickwire feed`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub struct FeedArgs {
    /// What to do with the feed.
    #[command(subcommand)]
    pub command: FeedCommand,
}

/// What to do with a feed.
#[derive(Debug, Subcommand)]
pub enum FeedCommand {
    /// Print each message: its number, its type, its fields
    Decode(Box<DecodeArgs>),
    /// Count packets and messages by type, sessions, and what is missing
    Stats(Box<StatsArgs>),
    /// Report what is missing: which numbers, since when, for how long, what filled it
    Gaps(Box<GapsArgs>),
    /// Merge the lines of a feed: each message once, from the line on which it came first
    Arbitrate(Box<ArbitrateArgs>),
    /// Show what is bid and offered: the books that the messages make
    Book(Box<BookArgs>),
    /// Turn a file of messages into a capture: packets at their times, on one line or several
    Pack(Box<PackArgs>),
    /// Play a file of messages as a feed on multicast, and answer requests for what was missed
    Serve(Box<ServeArgs>),
}

/// Flags of `tickwire feed decode`.
#[derive(Debug, Args)]
pub struct DecodeArgs {
    #[command(flatten)]
    pub input: InputArgs,

    /// Print one JSON object a message, with the field names of its specification
    #[arg(long)]
    pub json: bool,

    /// Stop after N messages
    #[arg(short = 'c', long, value_name = "N")]
    pub count: Option<u64>,
}

/// Flags of `tickwire feed stats`.
#[derive(Debug, Args)]
pub struct StatsArgs {
    #[command(flatten)]
    pub input: InputArgs,

    #[command(flatten)]
    pub numbers: NumberArgs,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Flags of `tickwire feed gaps`.
#[derive(Debug, Args)]
pub struct GapsArgs {
    #[command(flatten)]
    pub input: InputArgs,

    #[command(flatten)]
    pub numbers: NumberArgs,

    /// Also list gaps that late packets filled
    #[arg(long)]
    pub all: bool,

    #[command(flatten)]
    pub recovery: RecoveryArgs,

    /// Write the messages of the first session into FILE, a BinaryFILE: each once, in order
    #[arg(long, value_name = "FILE", requires = "recover", help_heading = "Recovery")]
    pub messages: Option<PathBuf>,

    /// Print one JSON object: everything, each gap with what filled it
    #[arg(long, conflicts_with = "all")]
    pub json: bool,
}

/// Who is asked for what is missing.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Recovery")]
pub struct RecoveryArgs {
    /// Ask re-request servers for what no line brings: MoldUDP64, or gap-fill requests of IEX. They
    /// are asked in turns. With --port af_xdp give a filter, that the kernel sees the rest: it has
    /// to find the servers. Not with files (-r), whose feed is over
    #[arg(long, value_name = "ADDR:PORT", value_delimiter = ',', conflicts_with = "read")]
    pub recover: Vec<SocketAddr>,
}

/// How numbers are judged.
#[derive(Clone, Debug, Args)]
pub struct NumberArgs {
    /// What comes before the first message seen is missing, too, from number 1 on. Without it one
    /// may join a session at any number
    #[arg(long)]
    pub from_first: bool,
}

/// What is a feed and what a line of it, where packets do not say it.
#[derive(Clone, Debug, Args)]
pub struct LinesArgs {
    /// What is sent to these addresses are lines of one feed; may be repeated. Lines with the same
    /// session are so without it; where sessions have no names (mdp3, umdf, eobi, fast-micex) each
    /// destination is a feed of its own otherwise
    #[arg(long, value_name = "ADDR:PORT,ADDR:PORT", value_parser = parse_lines)]
    pub line: Vec<Lines>,
}

/// The destinations of the lines of one feed.
pub type Lines = Arc<[SocketAddr]>;

fn parse_lines(text: &str) -> Result<Lines, String> {
    let parse = |part: &str| {
        let error =
            |error| format!("'{part}': {error}; write an address and a port: 239.1.1.1:5000");
        part.trim().parse().map_err(error)
    };
    let lines: Vec<SocketAddr> =
        text.split(',').map(parse).collect::<Result<_, std::string::String>>()?;
    match lines.len() {
        2..=LINES_MAX => Ok(lines.into()),
        _ => Err(format!("2 to {LINES_MAX} lines can be merged, not {}", lines.len())),
    }
}

/// Where a feed comes from.
#[derive(Debug, Args)]
#[command(next_help_heading = "Input")]
#[command(group = ArgGroup::new("source").required(true).args(["interface", "read"]))]
pub struct InputArgs {
    /// Receive the feed on this interface
    #[arg(short = 'i', long, value_name = "IF", conflicts_with = "read")]
    pub interface: Option<String>,

    /// Read FILE ('-': standard input); may be repeated: then each file is a line of the feed
    #[arg(short = 'r', long, value_name = "FILE")]
    pub read: Vec<PathBuf>,

    /// Which packets are wanted: a filter as in pcap-filter(7), its words joined by blanks
    #[arg(value_name = "FILTER", conflicts_with = "filter_file")]
    pub expression: Vec<String>,

    /// Read the filter from FILE; SIGHUP reads it again
    #[arg(short = 'F', long, value_name = "FILE")]
    pub filter_file: Option<PathBuf>,

    /// All packets that nothing else is said of are of this protocol
    #[arg(long, value_name = "NAME")]
    pub protocol: Option<Protocol>,

    /// What is sent to a port, or to a group on a port; may be repeated: 26477=itch50,
    /// 233.215.21.3:10377=tops
    #[arg(long, value_name = "[GROUP:]PORT=NAME")]
    pub bind: Vec<Binding>,

    /// Read the messages of SBE (mdp3, umdf) with the exchange's schema, an XML file; may be
    /// repeated. Without it packets and templates are counted
    #[arg(long, value_name = "FILE")]
    pub schema: Vec<PathBuf>,

    /// Name the fields of FIX by a dictionary, the XML file of QuickFIX or the venue; may be
    /// repeated: each is for its version, and one of FIX 5.0 for the messages of FIXT 1.1. Without
    /// it fields are named by their tags
    #[arg(long, value_name = "FILE")]
    pub dictionary: Vec<PathBuf>,

    /// Join this multicast group meanwhile, so that switches send it here; may be repeated
    #[arg(long, value_name = "GROUP[@SOURCE]", conflicts_with = "read")]
    #[arg(value_parser = parse_group)]
    pub join: Vec<Group>,

    /// How packets are received, as by `tickwire capture`
    #[arg(long, value_name = "PORT", default_value = "auto", hide_possible_values = true)]
    #[arg(conflicts_with = "read")]
    pub port: PortChoice,

    /// Memory that the kernel may fill before a packet is read, for each worker, in KiB
    #[arg(short = 'B', long, value_name = "KIB", conflicts_with = "read")]
    #[arg(value_parser = parse_buffer_kib)]
    pub buffer_size: Option<u32>,

    /// Stop after this time: 500ms, 10s, 5m, 1h
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub duration: Option<Duration>,
}
