//! Flags of `tickwire capture`.

use crate::completions::print_all;
use crate::exit::{Failure, say};
use crate::units::{parse_duration, parse_file_size, parse_list, parse_seconds};
use clap::{ArgAction, Args, ValueEnum};
use serde::Serialize;
use std::fmt::Display;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;
use tickwire_filter::fields::Binding;

/// The longest packet that a capture file holds by default, in bytes: tcpdump's.
pub const SNAPLEN_BYTES_MAX: u32 = 262_144;

/// How long a worker that was woken lets more packets come. A ring of 4096 holds what comes in this
/// time at 16 million packets a second.
const GATHER_DEFAULT: &str = "250us";
/// Longer than this a ring might not hold what comes.
const GATHER_MS_MAX: u128 = 100;

/// The most receive queues of one capture. Each takes a worker, and tens of megabytes.
const QUEUES_MAX: usize = 256;

const EXAMPLES: &str = "\
Examples:
  tickwire capture -D                                 which interfaces there are
  tickwire capture -i eth0 -c 10 -e                   ten packets, with their link headers
  tickwire capture -i eth0 -w day.pcapng --summary json
  tickwire capture -i eth1 udp dst portrange 26400-26407    only what a filter selects
  tickwire capture -i eth1 --join 233.54.12.111       a multicast feed, as its member
  tickwire capture -i eth0 -w ring.pcapng -C 1g -W 24 the last 24 GiB, in a ring of files
  tickwire capture -r day.pcapng.zst -vx              a file, verbose, with bytes in hex
  zcat day.pcap.gz | tickwire capture -r - --json     from a pipe, one JSON object a packet
  tickwire capture -r day.pcap -q --summary json      only the account, for scripts

Where the meaning is tcpdump's, the short flag is tcpdump's. What differs:
  -q  prints no packet lines at all (tcpdump: shorter lines)
  -p  is the default: promiscuous mode is only entered with --promiscuous
  -W  always makes a ring of COUNT files, with -G too (tcpdump -G -W exits instead)
  -n  is about ports only: addresses are never looked up
  -x  shows the link header, too, and ASCII (tcpdump: -xx -X)

The summary goes to standard error as text, or to standard output as one JSON object. In it,
received = delivered + the sum of discarded, exactly: no packet is lost without a named reason.

Exit codes: 0 done (also after SIGTERM), 1 failed, 2 wrong usage, 130 stopped by ^C.";

/// Flags of `tickwire capture`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct CaptureArgs {
    /// Capture what this interface receives
    #[arg(short = 'i', long, value_name = "IF", help_heading = "Input")]
    #[arg(conflicts_with = "read")]
    pub interface: Option<String>,

    /// Read packets from FILE ('-': standard input): pcap or pcapng, plain, gzip or zstd
    #[arg(short = 'r', long, value_name = "FILE", help_heading = "Input")]
    pub read: Option<PathBuf>,

    /// List the interfaces and exit
    #[arg(short = 'D', long, help_heading = "Input", conflicts_with_all = ["read", "interface"])]
    pub list_interfaces: bool,

    /// Also receive frames addressed to other machines
    #[arg(long, help_heading = "Input", conflicts_with = "read")]
    pub promiscuous: bool,

    /// Do not enter promiscuous mode: the default here, accepted as tcpdump's flag
    #[arg(short = 'p', long, help_heading = "Input", conflicts_with = "promiscuous")]
    pub no_promiscuous: bool,

    /// Join this multicast group while capturing, so that switches send it here; may be repeated
    #[arg(long, value_name = "GROUP[@SOURCE]", help_heading = "Input", conflicts_with = "read")]
    #[arg(value_parser = parse_group)]
    pub join: Vec<Group>,

    /// Which packets are wanted: a filter as in pcap-filter(7), its words joined by blanks; all of
    /// them without one. `tickwire filter explain EXPR` says what it means
    #[arg(value_name = "EXPR", conflicts_with = "filter_file")]
    pub expression: Vec<String>,

    /// Read the filter from FILE; SIGHUP reads it again and replaces the filter, without losing a
    /// packet. What follows a # on a line is a comment
    #[arg(short = 'F', long, value_name = "FILE", help_heading = "Input")]
    pub filter_file: Option<PathBuf>,

    /// Look for a protocol's fields only in what is sent to a port, or to a group on a port; may be
    /// repeated: 26477=itch50, 239.1.1.1:30001=mdp3, 9001=fix. Without it packets tell by
    /// themselves
    #[arg(long, value_name = "[GROUP:]PORT=NAME", help_heading = "Input")]
    pub bind: Vec<Binding>,

    /// Let `vlan`, `mpls` and other encapsulations of the filter reach only as far as their own
    /// `and`, not over all the text behind them as libpcap does
    #[arg(long, help_heading = "Input")]
    pub scoped: bool,

    #[command(flatten)]
    pub output: OutputArgs,

    #[command(flatten)]
    pub files: FileArgs,

    #[command(flatten)]
    pub limits: LimitArgs,

    #[command(flatten)]
    pub engine: EngineArgs,
}

/// What is shown, and how.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Print no packet lines, only the summary (tcpdump's -q prints shorter lines)
    #[arg(short = 'q', long, conflicts_with_all = ["json", "print"])]
    pub quiet: bool,

    /// Print more of each packet: TTL, options, checksums verified
    #[arg(short = 'v', long, action = ArgAction::Count)]
    pub verbose: u8,

    /// Print the link-layer header
    #[arg(short = 'e', long)]
    pub link_header: bool,

    /// Print the bytes of each packet in hex and ASCII, with the link header
    #[arg(short = 'x', long, action = ArgAction::Count)]
    pub hex: u8,

    /// Print ports as numbers; addresses always are, nothing is ever looked up
    #[arg(short = 'n', long, action = ArgAction::Count)]
    pub numeric: u8,

    /// Print one JSON object a packet instead of a line
    #[arg(long)]
    pub json: bool,

    /// Print packets although they are written to a file
    #[arg(long, requires = "write")]
    pub print: bool,

    /// The final account: as text on standard error, or as JSON on standard output
    #[arg(long, value_name = "text|json", default_value = "text", hide_possible_values = true)]
    pub summary: SummaryFormat,
}

/// The capture file that is written.
#[derive(Debug, Args)]
#[command(next_help_heading = "Capture file")]
pub struct FileArgs {
    /// Write packets to FILE ('-': standard output) instead of printing them
    #[arg(short = 'w', long, value_name = "FILE")]
    pub write: Option<PathBuf>,

    /// Format of the file: by default pcap (nanoseconds) for names in .pcap, else pcapng
    #[arg(long, value_name = "pcap|pcapng", requires = "write", hide_possible_values = true)]
    pub format: Option<FileFormat>,

    /// A comment for the head of a pcapng file
    #[arg(long, value_name = "TEXT", requires = "write")]
    pub comment: Option<String>,

    /// Start a new file before one grows over SIZE: millions of bytes, or 500k, 64m, 2g
    #[arg(short = 'C', long, value_name = "SIZE", requires = "write")]
    #[arg(value_parser = parse_file_size)]
    pub rotate_size: Option<u64>,

    /// Start a new file every so many seconds (or 5m, 1h), by the time of the packets; FILE may
    /// contain strftime fields such as %H%M%S
    #[arg(short = 'G', long, value_name = "SECONDS", requires = "write")]
    #[arg(value_parser = parse_seconds)]
    pub rotate_time: Option<u64>,

    /// Start a new file every N packets
    #[arg(long, value_name = "N", requires = "write")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub rotate_packets: Option<u64>,

    /// Keep the newest COUNT files, and remove older ones: a ring
    #[arg(short = 'W', long, value_name = "COUNT")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub ring: Option<u32>,
}

/// When to stop, how much to keep.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitArgs {
    /// Stop after N packets that the filter selects
    #[arg(short = 'c', long, value_name = "N", value_parser = parse_count)]
    pub count: Option<u64>,

    /// Stop after this time: 500ms, 10s, 5m, 1h
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub duration: Option<Duration>,

    /// Keep at most so many bytes of each packet; 0 means the default
    #[arg(short = 's', long, value_name = "BYTES")]
    #[arg(default_value_t = SNAPLEN_BYTES_MAX, value_parser = parse_snaplen)]
    pub snaplen: u32,
}

/// How it runs.
#[derive(Debug, Args)]
#[command(next_help_heading = "Engine")]
pub struct EngineArgs {
    /// How packets are received: af_xdp (past the kernel's network stack, which does not see them
    /// then; incoming packets only), af_packet (works everywhere; both directions), file (with
    /// -r), or auto: the best that works here without taking packets that the host needs
    #[arg(long, value_name = "PORT", default_value = "auto", hide_possible_values = true)]
    pub port: PortChoice,

    /// Receive queues, one worker each: the first N, or a list such as 0,2,4-7 (3-3 is queue 3
    /// alone); all of them by default. af_packet has no queues, but as many workers
    #[arg(long, value_name = "N|LIST", conflicts_with = "read", value_parser = parse_queues)]
    pub queues: Option<Queues>,

    /// Memory that the kernel may fill before a packet is read, for each worker, in KiB: what an
    /// af_packet capture may lag behind [default: 64 MiB over all workers, 4 to 32 MiB for each]
    #[arg(short = 'B', long, value_name = "KIB", conflicts_with = "read")]
    #[arg(value_parser = parse_buffer_kib)]
    pub buffer_size: Option<u32>,

    /// Pin the workers to these cores, in order: 2,3 or 2-5
    #[arg(long, value_name = "LIST", value_parser = parse_list_value)]
    pub cores: Option<List>,

    /// Never sleep: the lowest latency, each worker keeps a core at 100 %
    #[arg(long, conflicts_with_all = ["read", "gather"])]
    pub spin: bool,

    /// Once a packet wakes a worker, let more come for this time, so that one wake-up serves many:
    /// less CPU, more latency. 0 handles each at once; the rings hold what comes meanwhile
    #[arg(long, value_name = "TIME", default_value = GATHER_DEFAULT, conflicts_with = "read")]
    #[arg(value_parser = parse_gather)]
    pub gather: Duration,
}

/// How packets are received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PortChoice {
    /// The best that this interface and these privileges allow
    Auto,
    /// AF_XDP sockets: past the kernel's network stack
    #[value(name = "af_xdp", alias = "af-xdp", alias = "xdp")]
    AfXdp,
    /// Packet sockets (TPACKET_V3): work everywhere
    #[value(name = "af_packet", alias = "af-packet", alias = "packet")]
    AfPacket,
    /// A capture file, with -r
    File,
}

/// How the final account is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SummaryFormat {
    /// A table on standard error
    Text,
    /// One object on standard output, as its last line
    Json,
}

impl SummaryFormat {
    /// Shows the account of a run.
    pub fn show(self, account: &(impl Serialize + Display)) -> Result<(), Failure> {
        match self {
            SummaryFormat::Json => {
                let object = serde_json::to_string(account).map_err(Failure::failed)?;
                print_all(format!("{object}\n").as_bytes())?;
            }
            SummaryFormat::Text => say(account),
        }
        Ok(())
    }
}

/// The format of a capture file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FileFormat {
    /// Classic pcap, nanoseconds
    Pcap,
    /// pcapng: interfaces, comments, drop counts
    Pcapng,
}

/// Which receive queues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Queues {
    /// So many, from queue 0.
    First(usize),
    /// These.
    These(Vec<usize>),
}

impl Queues {
    /// Their numbers.
    pub fn list(&self) -> Vec<u32> {
        match self {
            Queues::First(count) => (0..*count as u32).collect(),
            Queues::These(list) => list.iter().map(|&queue| queue as u32).collect(),
        }
    }
}

/// A list of cores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List(pub Vec<usize>);

/// A multicast group, and the only sender it is wanted from, if any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The group.
    pub group: IpAddr,
    /// The sender, with IGMPv3 or MLDv2.
    pub source: Option<IpAddr>,
}

/// `4`: the first four queues; `0,2,4-7`: these.
pub fn parse_queues(text: &str) -> Result<Queues, String> {
    let list = parse_list(text)?;
    let cure = format!("each has a worker and its memory: the most is {QUEUES_MAX}");
    match list[..] {
        [count] if !text.contains('-') && count > QUEUES_MAX => Err(cure),
        _ if list.len() > QUEUES_MAX => Err(cure),
        _ if list.iter().any(|&queue| u32::try_from(queue).is_err()) => {
            Err("no interface has a queue of such a number".into())
        }
        [0] if text.trim() == "0" => Err("0 queues receive nothing; queue 0 alone is 1".into()),
        [count] if !text.contains('-') => Ok(Queues::First(count)),
        _ => Ok(Queues::These(list)),
    }
}

/// The size of a ring, in KiB as tcpdump takes it.
pub fn parse_buffer_kib(text: &str) -> Result<u32, String> {
    /// The kernel counts the bytes of a ring in 31 bits.
    const BUFFER_KIB_MAX: u32 = (1 << 21) - 1;
    let kib = text.parse().ok().filter(|kib| (1..=BUFFER_KIB_MAX).contains(kib));
    kib.ok_or_else(|| format!("write KiB, 1 to {BUFFER_KIB_MAX}: 8192 is 8 MiB"))
}

/// A multicast group, and its sender when one is named.
pub fn parse_group(text: &str) -> Result<Group, String> {
    const CURE: &str =
        "write a group, or a group and its sender: 233.54.12.111, 232.1.2.3@10.1.2.3";
    let address = |text: &str| text.parse::<IpAddr>().map_err(|_| CURE.to_owned());
    let (group, source) = match text.split_once('@') {
        Some((group, source)) => (address(group)?, Some(address(source)?)),
        None => (address(text)?, None),
    };
    if !group.is_multicast() {
        return Err(format!("{group} is no multicast group; {CURE}"));
    }
    Ok(Group { group, source })
}

/// Numbers of cores: `2,3`, `2-5`.
pub fn parse_list_value(text: &str) -> Result<List, String> {
    parse_list(text).map(List)
}

fn parse_count(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "write a whole number of packets: 1000".to_owned())
}

fn parse_gather(text: &str) -> Result<Duration, String> {
    let time = parse_duration(text)?;
    match time.as_millis() {
        0..=GATHER_MS_MAX => Ok(time),
        _ => Err(format!("the rings do not hold so much; the most is {GATHER_MS_MAX}ms")),
    }
}

fn parse_snaplen(text: &str) -> Result<u32, String> {
    let bytes: u32 =
        text.parse().map_err(|_| format!("write a number of bytes up to {SNAPLEN_BYTES_MAX}"))?;
    match bytes {
        0 => Ok(SNAPLEN_BYTES_MAX),
        _ if bytes > SNAPLEN_BYTES_MAX => Err(format!("the most is {SNAPLEN_BYTES_MAX} bytes")),
        _ => Ok(bytes),
    }
}
