//! Flags that the sending commands share.

use super::schedule::{Rate, Schedule};
use crate::capture::SummaryFormat;
use crate::units::{parse_count, parse_duration, parse_number};
use clap::{Args, ValueEnum};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tickwire_lab::{FLOWS_MAX, Mac};

/// Most packets that are due at the same time.
const BURST_MAX: u64 = 1_000_000;

/// Where packets leave, and how.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct OutletArgs {
    /// How packets are sent: udp (sockets; no privileges needed), af_packet or af_xdp (whole
    /// frames, past the kernel's network stack)
    #[arg(long, value_name = "PORT", hide_possible_values = true)]
    pub port: Option<OutletChoice>,

    /// The interface that they leave from; without it the routing table says. Over udp only for
    /// multicast
    #[arg(short = 'i', long, value_name = "IF")]
    pub interface: Option<String>,

    /// Send from this address, and from this port on; by default the system chooses
    #[arg(long, value_name = "ADDR[:PORT]", value_parser = parse_source)]
    pub source: Option<Source>,

    /// Take turns with so many source ports: so many flows
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=i64::from(FLOWS_MAX)))]
    pub flows: u16,

    /// Time to live or hop limit: by default 64, for groups 1
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    pub ttl: Option<u8>,

    /// Link-layer address of the receiver or its gateway, for af_packet and af_xdp; without it the
    /// kernel is asked to find it
    #[arg(long, value_name = "MAC", value_parser = parse_mac)]
    pub dst_mac: Option<Mac>,

    /// VLAN of the frames, for af_packet and af_xdp
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u16).range(0..=4094))]
    pub vlan: Option<u16>,
}

/// When packets leave.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Pace")]
pub struct PaceArgs {
    /// So many packets at a time, at the same average rate
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=BURST_MAX))]
    pub burst: u64,

    #[command(flatten)]
    pub run: RunArgs,
}

/// How long and how exactly.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Pace")]
pub struct RunArgs {
    /// Stop after N packets: 1000, 50k, 1.5M
    #[arg(short = 'c', long, value_name = "N", value_parser = parse_count)]
    pub count: Option<u64>,

    /// Stop after this time: 500ms, 10s, 5m, 1h
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub duration: Option<Duration>,

    /// Never sleep: packets leave as exactly as can be, and the sender keeps a core at 100 %
    #[arg(long)]
    pub spin: bool,

    /// Pin the sender to this core
    #[arg(long, value_name = "N")]
    pub core: Option<usize>,
}

/// How the account is shown.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Report")]
pub struct ReportArgs {
    /// The final account: as text on standard error, or as JSON on standard output
    #[arg(long, value_name = "text|json", default_value = "text", hide_possible_values = true)]
    pub summary: SummaryFormat,

    /// The same as --summary json
    #[arg(long)]
    pub json: bool,
}

impl ReportArgs {
    /// The format that is asked for.
    pub fn format(&self) -> SummaryFormat {
        if self.json { SummaryFormat::Json } else { self.summary }
    }
}

impl PaceArgs {
    /// When packets are due.
    pub fn schedule(&self, rate: Rate) -> Schedule {
        Schedule::new(rate, self.burst)
    }
}

/// How packets are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutletChoice {
    /// UDP sockets
    Udp,
    /// Packet sockets
    #[value(name = "af_packet", alias = "af-packet", alias = "packet")]
    AfPacket,
    /// AF_XDP sockets
    #[value(name = "af_xdp", alias = "af-xdp", alias = "xdp")]
    AfXdp,
}

/// Where packets come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// The address.
    pub address: IpAddr,
    /// The port of the first flow, if one is asked for.
    pub port: Option<u16>,
}

/// `max`, or packets a second.
pub fn parse_rate(text: &str) -> Result<Rate, String> {
    match text {
        "max" => Ok(Rate::Max),
        _ => parse_number(text)
            .map(Rate::Pps)
            .map_err(|why| format!("{why} packets a second, or max")),
    }
}

/// An address, or an address and a port.
pub fn parse_source(text: &str) -> Result<Source, String> {
    const CURE: &str = "write an address, or an address and a port: 10.0.0.1, 10.0.0.1:4000, \
                        fd00::1, [fd00::1]:4000";
    if let Ok(address) = text.parse() {
        return Ok(Source { address, port: None });
    }
    let both: SocketAddr = text.parse().map_err(|_| CURE.to_owned())?;
    Ok(Source { address: both.ip(), port: (both.port() > 0).then_some(both.port()) })
}

fn parse_mac(text: &str) -> Result<Mac, String> {
    const CURE: &str = "write six bytes in hex: 02:00:00:00:00:01";
    let mut mac = [0; 6];
    let mut parts = text.split([':', '-']);
    for byte in &mut mac {
        let part = parts.next().filter(|part| part.bytes().all(|b| b.is_ascii_hexdigit()));
        *byte = u8::from_str_radix(part.ok_or(CURE)?, 16).map_err(|_| CURE)?;
    }
    if parts.next().is_some() { Err(CURE.to_owned()) } else { Ok(mac) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates() {
        assert_eq!(parse_rate("max"), Ok(Rate::Max));
        assert_eq!(parse_rate("10k"), Ok(Rate::Pps(10_000.0)));
        assert!(parse_rate("0").unwrap_err().contains("above 0"));
        assert!(parse_rate("fast").unwrap_err().ends_with("or max"));
    }

    #[test]
    fn sources() {
        let source = |address: &str, port| {
            Ok(Source { address: address.parse().expect("an address"), port })
        };
        assert_eq!(parse_source("10.0.0.1"), source("10.0.0.1", None));
        assert_eq!(parse_source("10.0.0.1:0"), source("10.0.0.1", None));
        assert_eq!(parse_source("[fd00::1]:9"), source("fd00::1", Some(9)));
        assert!(parse_source("here").unwrap_err().contains("10.0.0.1:4000"));
    }

    #[test]
    fn link_addresses() {
        assert_eq!(parse_mac("02:00:0:ff:A:1"), Ok([2, 0, 0, 255, 10, 1]));
        for text in
            ["", "1:2:3:4:5", "1:2:3:4:5:6:7", "1:2:3:4:5:g", "100:2:3:4:5:6", "+1:2:3:4:5:6"]
        {
            assert!(parse_mac(text).is_err(), "{text}");
        }
    }
}
