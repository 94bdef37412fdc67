//! Flags of `tickwire feed pack`.

use super::date::{Day, parse_day, parse_utc_offset};
use crate::exit::Failure;
use crate::feed::publish::args::{PacketArgs, SizeArgs};
use crate::feed::publish::faults::FaultArgs;
use crate::feed::publish::lines::LINES_MAX;
use crate::units::parse_duration;
use clap::Args;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// The port of the lines unless said otherwise: that of Nasdaq's TotalView-ITCH.
const PORT: u16 = 26_477;
/// The port that packets come from.
const SOURCE_PORT: u16 = 40_000;

const EXAMPLES: &str = "\
Examples:
  tickwire feed pack 01302020.NASDAQ_ITCH50.gz day.pcap --utc-offset -05:00
  tickwire feed pack day.binaryfile ab.pcap --lines 2 --loss 1% --skew 20us
  tickwire feed pack day.binaryfile - --to 233.54.12.111:26477 | tcpdump -r - -c 10
  tickwire feed stats -r day.pcap                      the same messages, in packets

The messages of a packet, and when it leaves, are as a publisher has them that waits for --flush:
a packet is sent when it is full or when its first message has waited for so long; a heartbeat when
nothing else was sent for a while; the end of session at the end, several times.

Times are those of the messages, which count from midnight of a day: --date, or the day in the name
of the file (MMDDYYYY as Nasdaq writes it, or YYYYMMDD), or 1970-01-01. Nasdaq's midnight is that of
New York: --utc-offset -05:00, in summer -04:00.

A name that ends in .pcap is written as pcap with nanoseconds, everything else as pcapng.

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 stopped by ^C.";

/// Flags of `tickwire feed pack`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct PackArgs {
    /// The messages: a BinaryFILE of ITCH 5.0, plain, gzip or zstd ('-': standard input)
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// The capture file to write ('-': standard output)
    #[arg(value_name = "OUT")]
    pub out: PathBuf,

    /// The day whose midnight the times count from: 2020-01-30
    #[arg(long, value_name = "DATE", value_parser = parse_day)]
    pub date: Option<Day>,

    /// What the clock of that midnight is ahead of UTC: -05:00, +1
    #[arg(long, value_name = "HOURS", value_parser = parse_utc_offset, default_value = "0")]
    #[arg(hide_default_value = true, allow_hyphen_values = true)]
    pub utc_offset: i64,

    /// How many lines, A, B and C, carry the feed: to 239.1.1.1, 239.1.1.2, 239.1.1.3, port 26477
    #[arg(long, value_name = "N", help_heading = "Lines", conflicts_with = "to")]
    #[arg(value_parser = clap::value_parser!(u8).range(1..=LINES_MAX as i64))]
    pub lines: Option<u8>,

    /// Where a line goes; once for each line
    #[arg(long, value_name = "ADDR:PORT", help_heading = "Lines")]
    pub to: Vec<SocketAddr>,

    /// Where a line comes from; once for each line, in their order. By default from 10.1.1.1,
    /// 10.1.1.2, 10.1.1.3, port 40000
    #[arg(long, value_name = "ADDR[:PORT]", help_heading = "Lines", value_parser = parse_source)]
    pub source: Vec<SocketAddr>,

    /// A packet is late on each line by a time of its own, at most this one; the order on the line
    /// stays
    #[arg(long, value_name = "TIME", default_value = "0", value_parser = parse_duration)]
    #[arg(help_heading = "Lines", hide_default_value = true)]
    pub skew: Duration,

    /// Time to live, or hop limit
    #[arg(long, value_name = "N", default_value_t = 16, help_heading = "Lines")]
    #[arg(value_parser = clap::value_parser!(u8).range(1..))]
    pub ttl: u8,

    #[command(flatten)]
    pub size: SizeArgs,

    #[command(flatten)]
    pub packets: PacketArgs,

    #[command(flatten)]
    pub faults: FaultArgs,

    /// Print the account as one JSON object on standard output
    #[arg(long, help_heading = "Report")]
    pub json: bool,
}

impl PackArgs {
    /// Source and destination of each line.
    pub fn lines(&self) -> Result<Vec<(SocketAddr, SocketAddr)>, Failure> {
        let own = |of: [u8; 3], port| {
            move |last| SocketAddr::from((Ipv4Addr::new(of[0], of[1], of[2], last), port))
        };
        let to: Vec<_> = match self.to.len() {
            0 => (1..=self.lines.unwrap_or(1)).map(own([239, 1, 1], PORT)).collect(),
            1..=LINES_MAX => self.to.clone(),
            lines => {
                return Err(Failure::usage(format!(
                    "a feed has {LINES_MAX} lines at most, not {lines}"
                )));
            }
        };
        let source: Vec<_> = match self.source.len() {
            0 => (1..).map(own([10, 1, 1], SOURCE_PORT)).take(to.len()).collect(),
            given if given == to.len() => self.source.clone(),
            given => {
                return Err(Failure::usage(format!(
                    "--source is given {given} times for {} lines: give it once for each",
                    to.len()
                )));
            }
        };
        for (source, to) in source.iter().zip(&to) {
            if source.is_ipv4() != to.is_ipv4() {
                return Err(Failure::usage(format!(
                    "{} cannot send to {}: one is IPv4, the other IPv6; see --source",
                    source.ip(),
                    to.ip()
                )));
            }
        }
        Ok(source.into_iter().zip(to).collect())
    }
}

fn parse_source(text: &str) -> Result<SocketAddr, String> {
    let with_port = || text.parse::<SocketAddr>().ok();
    let alone = text.parse::<IpAddr>().ok().map(|address| (address, SOURCE_PORT).into());
    alone.or_else(with_port).ok_or_else(|| {
        "write an address, or an address and a port: 10.0.0.1, 10.0.0.1:4000".to_owned()
    })
}
