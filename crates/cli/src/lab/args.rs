//! Flags of `tickwire lab`.

use crate::exit::Failure;
use clap::{Args, Subcommand, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;
use tickwire_respond::exchange::{
    Exchange, Faults, FixExchange, NanonetExchange, OuchVersion, SoupExchange,
};
use tickwire_respond::format::ByteOrder;
use tickwire_respond::session::fix::FixVersion;

const EXAMPLES: &str = "\
Examples:
  tickwire lab exchange --format nanonet --listen 127.0.0.1:9999 --orders orders.jsonl
  tickwire lab exchange --format ouch50 --listen 127.0.0.1:9001 --fill 50%
  tickwire lab exchange --format ouch42 --listen 127.0.0.1:9001 --disconnect-every 1000

It takes one connection at a time, as a port of an exchange does for a session: the next one ends
the one before. Its day, with all that it said and all orders, lasts as long as the process.

Whatever a real exchange would trust is checked: numbers, sequences, duplicate orders, fields. The
summary counts what was wrong as errors; the first are said on standard error, too.

When it is ready it says so on standard error, in a line that begins with \"tickwire: ready\". It
runs until a signal, then prints its summary, one JSON object, on standard output.

Exit codes: 0 done (also after SIGTERM), 1 failed, 2 wrong usage, 130 stopped by ^C.";

/// Flags of `tickwire lab`.
#[derive(Debug, Args)]
pub struct LabArgs {
    /// What to be.
    #[command(subcommand)]
    pub command: LabCommand,
}

/// The other ends.
#[derive(Debug, Subcommand)]
pub enum LabCommand {
    /// An exchange: takes orders, answers and checks them, and fails on purpose
    Exchange(ExchangeArgs),
}

/// What orders look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OrderFormat {
    /// NanoNet's 41 bytes, the least significant byte first; no answers
    Nanonet,
    /// The same, the most significant byte first
    NanonetBig,
    /// OUCH 4.2 over SoupBinTCP
    Ouch42,
    /// OUCH 5.0 over SoupBinTCP
    Ouch50,
    /// NewOrderSingle of FIX 4.2
    Fix42,
    /// NewOrderSingle of FIX 4.4
    Fix44,
}

/// How they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Transport {
    /// Each in a datagram
    Udp,
    /// Over a connection
    Tcp,
}

/// Flags of `tickwire lab exchange`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ExchangeArgs {
    /// What orders look like
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub format: OrderFormat,

    /// Where they come in; port 0: any that is free
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: SocketAddr,

    /// How they come; by default udp for NanoNet's, tcp for others
    #[arg(long, value_name = "TRANSPORT", value_enum)]
    pub transport: Option<Transport>,

    /// Write each order into this file, a JSON object a line
    #[arg(long, value_name = "FILE")]
    pub orders: Option<PathBuf>,

    /// Execute so many of the accepted orders at once
    #[arg(long, value_name = "PERCENT", help_heading = "Answers", value_parser = parse_percent)]
    #[arg(default_value = "0", hide_default_value = true)]
    pub fill: u8,

    /// Reject one in so many orders
    #[arg(long, value_name = "N", help_heading = "Answers")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub reject_every: Option<u64>,

    /// Cut the connection after every so many orders, before the last is answered
    #[arg(long, value_name = "N", help_heading = "Faults")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub disconnect_every: Option<u64>,

    /// Say nothing more after so many orders, no heartbeat either, until the next connection; once
    #[arg(long, value_name = "N", help_heading = "Faults")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub silent_after: Option<u64>,

    /// Lose one in so many answers, so that it has to be asked for (FIX)
    #[arg(long, value_name = "N", help_heading = "Faults")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub withhold_every: Option<u64>,

    /// Miss one in so many orders, and ask for it (FIX)
    #[arg(long, value_name = "N", help_heading = "Faults")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub miss_every: Option<u64>,
}

impl ExchangeArgs {
    /// How orders come.
    pub fn transport(&self) -> Transport {
        self.transport.unwrap_or(if self.has_answers() { Transport::Tcp } else { Transport::Udp })
    }

    fn has_answers(&self) -> bool {
        !matches!(self.format, OrderFormat::Nanonet | OrderFormat::NanonetBig)
    }

    fn is_fix(&self) -> bool {
        matches!(self.format, OrderFormat::Fix42 | OrderFormat::Fix44)
    }

    /// The exchange that was asked for.
    ///
    /// # Errors
    /// What does not go together.
    pub fn exchange(&self) -> Result<Box<dyn Exchange>, Failure> {
        self.check()?;
        let faults = Faults {
            disconnect_every: self.disconnect_every.unwrap_or(0),
            silent_after: self.silent_after.unwrap_or(0),
            reject_every: self.reject_every.unwrap_or(0),
            withhold_every: self.withhold_every.unwrap_or(0),
            miss_every: self.miss_every.unwrap_or(0),
            fill_percent: self.fill,
        };
        let is_stream = self.transport() == Transport::Tcp;
        let nanonet = |order| Box::new(NanonetExchange::new(order, is_stream, faults));
        Ok(match self.format {
            OrderFormat::Nanonet => nanonet(ByteOrder::Little),
            OrderFormat::NanonetBig => nanonet(ByteOrder::Big),
            OrderFormat::Ouch42 => Box::new(SoupExchange::new(OuchVersion::V42, faults)),
            OrderFormat::Ouch50 => Box::new(SoupExchange::new(OuchVersion::V50, faults)),
            OrderFormat::Fix42 => Box::new(FixExchange::new(FixVersion::Fix42, faults)),
            OrderFormat::Fix44 => Box::new(FixExchange::new(FixVersion::Fix44, faults)),
        })
    }

    fn check(&self) -> Result<(), Failure> {
        let is_stream = self.transport() == Transport::Tcp;
        let answers = self.fill > 0 || self.reject_every.is_some() || self.silent_after.is_some();
        if answers && !self.has_answers() {
            return Err(Failure::usage(
                "nothing is said of NanoNet's orders: leave out --fill, --reject-every and \
                 --silent-after, or take another --format",
            ));
        }
        if self.has_answers() && !is_stream {
            return Err(Failure::usage("OUCH and FIX have sessions: --transport tcp"));
        }
        if self.disconnect_every.is_some() && !is_stream {
            return Err(Failure::usage("--disconnect-every needs connections: --transport tcp"));
        }
        if (self.withhold_every.is_some() || self.miss_every.is_some()) && !self.is_fix() {
            return Err(Failure::usage(
                "only in FIX can a message of a connection be missed and asked for: leave out \
                 --withhold-every and --miss-every, or take --format fix42 or fix44",
            ));
        }
        Ok(())
    }
}

fn parse_percent(text: &str) -> Result<u8, String> {
    let number = text.strip_suffix('%').unwrap_or(text).parse().ok();
    number.filter(|percent| *percent <= 100).ok_or_else(|| "0% to 100%".to_owned())
}
