//! Flags of `tickwire filter`.

use crate::exit::Failure;
use clap::{ArgAction, Args, Subcommand, ValueEnum};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use tickwire_filter::fields::{Binding, Bindings};
use tickwire_filter::{Options, SNAPLEN, link};
use tickwire_frame::LinkType;

const EXAMPLES: &str = "\
Examples:
  tickwire filter explain 'udp dst portrange 26400-26407'   what it means, and where it runs
  tickwire filter explain 'src host in @venues.txt'         a list of addresses from a file
  tickwire filter dump -d 'tcp port 443'                    as `tcpdump -d`
  tickwire filter test 'vlan and udp' -r day.pcapng         one verdict a packet
  tickwire filter test 'itch.stock == \"AAPL\" and itch.price > 100.5' -r day.pcapng

The language is pcap-filter(7), libpcap's meaning included. On top of it host, net, port and
portrange take lists: `port in {80, 443, 5000-5007}`, `src host in @FILE` (one value a line, #
begins a comment, at most 65536 values).

Fields of market data (`filter fields` lists them) compare by == != < <= > >= and in {…}, ranges
being 1..9, or in @FILE; prices are exact, times are nanoseconds or \"09:30:00.5\". A packet passes
when ONE of its messages makes the whole expression true; all(EXPR): every message does, and there
is one. A field that a message does not have compares false, != too, so that `not` of it is true; a
packet of another protocol, or without messages, is evaluated once. A packet that was cut inside its
headers is rejected; of one that was cut later the whole messages count. docs/filter-fields.md says
all.

Exit codes: 0 accepted, 1 the expression
is refused (standard error points at the word) or a file is broken, 2 wrong usage.";

/// Flags of `tickwire filter`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub struct FilterArgs {
    /// What to do with the expression.
    #[command(subcommand)]
    pub command: FilterCommand,
}

/// What to do with an expression.
#[derive(Debug, Subcommand)]
pub enum FilterCommand {
    /// How an expression is understood, what it becomes, where it runs, and what is easily mistaken
    Explain(ExplainArgs),
    /// Print the program that an expression becomes
    Dump(DumpArgs),
    /// List the fields of market data that an expression may ask: name, type, messages that have it
    Fields(FieldsArgs),
    /// Print what an expression returns for each packet of a file: 0 (rejected), or the snap length
    Test(TestArgs),
}

/// Flags of `tickwire filter explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    #[command(flatten)]
    pub compile: CompileArgs,
}

/// Flags of `tickwire filter dump`.
#[derive(Debug, Args)]
pub struct DumpArgs {
    /// The kind of program: classic (BPF, as tcpdump prints it), ebpf (for XDP), native (for
    /// this machine, as Cranelift names it)
    #[arg(long = "as", value_name = "KIND", default_value = "classic")]
    #[arg(hide_possible_values = true)]
    pub kind: Kind,

    /// Assembler; -dd: a C fragment; -ddd: decimal numbers, their count first
    #[arg(short = 'd', action = ArgAction::Count)]
    pub form: u8,

    #[command(flatten)]
    pub compile: CompileArgs,
}

/// Flags of `tickwire filter test`.
#[derive(Debug, Args)]
pub struct TestArgs {
    /// The capture file ('-': standard input): pcap or pcapng, plain, gzip or zstd
    #[arg(short = 'r', long, value_name = "FILE")]
    pub read: PathBuf,

    #[command(flatten)]
    pub compile: CompileArgs,
}

/// Flags of `tickwire filter fields`.
#[derive(Debug, Args)]
pub struct FieldsArgs {
    /// Only names that begin so: `itch`, `iex.sym`
    #[arg(value_name = "PREFIX", default_value = "", hide_default_value = true)]
    pub prefix: String,
}

/// The expression, and how it is compiled.
#[derive(Debug, Args)]
pub struct CompileArgs {
    /// The filter; its words are joined by blanks. All packets without one
    #[arg(value_name = "EXPR", conflicts_with = "file")]
    pub expression: Vec<String>,

    /// Read the filter from FILE; what follows a # on a line is a comment
    #[arg(short = 'F', long = "file", value_name = "FILE")]
    pub file: Option<PathBuf>,

    /// Look for a protocol's fields only in what is sent to a port, or to a group on a port; may be
    /// repeated: 26477=itch50, 239.1.1.1:30001=mdp3, 9001=fix. Without it packets tell by
    /// themselves
    #[arg(long, value_name = "[GROUP:]PORT=NAME")]
    pub bind: Vec<Binding>,

    /// Let `vlan`, `mpls` and other encapsulations reach only as far as their own `and`, not over
    /// all the text behind them as libpcap does
    #[arg(long)]
    pub scoped: bool,

    /// Do not optimise
    #[arg(short = 'O', long)]
    pub no_optimize: bool,

    /// The link type of the packets, by libpcap's name or its number; `test` takes it from the file
    /// unless it is given [default: EN10MB]
    #[arg(long, value_name = "DLT", value_parser = parse_link_type)]
    pub link_type: Option<LinkType>,

    /// The netmask of the network that was captured, for `ip broadcast`
    #[arg(long, value_name = "MASK", value_parser = parse_netmask)]
    pub netmask: Option<u32>,

    /// What is returned for an accepted packet: how many bytes of it are kept; `test` takes the
    /// snap length of the file unless it is given [default: 262144]
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1..))]
    pub snaplen: Option<u32>,
}

impl CompileArgs {
    /// The text of the filter.
    pub fn text(&self) -> Result<String, Failure> {
        match &self.file {
            Some(file) => super::text::read(file),
            None => Ok(self.expression.join(" ")),
        }
    }

    /// How to compile it for a link type, unless another one was given.
    pub fn options(&self, link: LinkType) -> Options {
        Options {
            link_type: self.link_type.unwrap_or(link),
            optimize: !self.no_optimize,
            snaplen: self.snaplen.unwrap_or(SNAPLEN),
            netmask: self.netmask,
            scoped: self.scoped,
            bindings: Bindings(self.bind.clone()),
            ..Options::default()
        }
    }
}

/// A kind of program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Classic BPF
    Classic,
    /// eBPF for XDP
    Ebpf,
    /// Machine code
    Native,
}

fn parse_link_type(name: &str) -> Result<LinkType, String> {
    link::by_name(name).ok_or_else(|| {
        "write libpcap's name of a link type, or its number: EN10MB, RAW, LINUX_SLL, 113".to_owned()
    })
}

/// Dotted, or `0x` and hexadecimal digits.
fn parse_netmask(text: &str) -> Result<u32, String> {
    let hex = text.strip_prefix("0x").and_then(|hex| u32::from_str_radix(hex, 16).ok());
    let dotted = || text.parse::<Ipv4Addr>().ok().map(u32::from);
    hex.or_else(dotted).ok_or_else(|| "write it as 255.255.255.0".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn netmasks_and_link_types() {
        assert_eq!(parse_netmask("255.255.0.0"), Ok(0xffff_0000));
        assert_eq!(parse_netmask("0xffffff00"), Ok(0xffff_ff00));
        assert!(parse_netmask("24").is_err());
        assert_eq!(parse_link_type("DLT_RAW"), Ok(LinkType::RAW));
        assert!(parse_link_type("pigeon").is_err());
    }
}
