//! Flags of `tickwire latency`.

use super::tally::Stamps;
use crate::generate::{ByteOrder, MessageChoice, payload_bytes};
use crate::send::args::{OutletArgs, PaceArgs, ReportArgs, parse_rate};
use crate::send::schedule::Rate;
use crate::units::parse_duration;
use clap::Args;
use std::net::SocketAddr;
use std::time::Duration;
use tickwire_lab::Message;

const EXAMPLES: &str = "\
Examples:
  tickwire latency --reflect 0.0.0.0:7000 --spin         at the other end, until ^C
  tickwire latency --to 10.0.0.2:7000 --duration 10s     round trips, 1,000 a second
  tickwire latency --to 10.0.0.2:7000 --rate 10k --spin -c 100k --json
  tickwire latency --tick-to-trade --to 239.1.1.1:8080 --subscriber 10.0.0.1:9999 --functional
                                                         ticks of NanoNet, until their orders come
  tickwire latency --to 239.1.1.1:26400 --subscriber 10.0.0.1:6001 --subscriber 10.0.0.1:6002
                                                         one way, through a replicator

Times are from when a packet was due, which is fixed beforehand, to its arrival. So a sender or a
path that stalls makes every packet late that was due meanwhile, as its users would see it; a
closed loop would send nothing then, and show one late packet. Lost packets have no time: read the
loss beside the percentiles.

Arrival is when the kernel received the packet; with --timestamps user, when this program read it.
One-way times are between sockets of this machine: two machines have two clocks.

Exit codes: 0 done (also after SIGTERM), 1 failed or nothing arrived, 2 wrong usage, 130 stopped
by ^C.";

/// Flags of `tickwire latency`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct LatencyArgs {
    /// Send there, and measure until the packets come back
    #[arg(long, value_name = "ADDR:PORT", help_heading = "Output")]
    #[arg(required_unless_present = "reflect")]
    pub to: Option<SocketAddr>,

    /// Send back what arrives at this address, for a measurement from elsewhere
    #[arg(long, value_name = "ADDR:PORT", help_heading = "Output", visible_alias = "echo")]
    #[arg(conflicts_with_all = ["to", "subscriber"])]
    pub reflect: Option<SocketAddr>,

    /// One way: receive at this address of ours, or group, what is sent to --to; may be repeated
    #[arg(long, value_name = "ADDR:PORT", help_heading = "Input")]
    pub subscriber: Vec<SocketAddr>,

    /// Send ticks of NanoNet below 100.00, and receive at --subscriber the orders that answer
    /// them a cent above (docs/examples/nanonet.toml). Lost are ticks without an order; duplicates
    /// are orders beside the first; foreign, orders that answer no tick of the last 4,000
    #[arg(long, help_heading = "Input", requires = "subscriber")]
    #[arg(conflicts_with_all = ["message", "size"])]
    pub tick_to_trade: bool,

    /// Which byte of a number comes first in ticks and orders
    #[arg(long, value_name = "little|big", help_heading = "Input", default_value = "little")]
    #[arg(hide_possible_values = true, requires = "tick_to_trade")]
    pub byte_order: ByteOrder,

    /// Look at each field of each order; one that is not as in the documented run is a failure
    #[arg(long, help_heading = "Input", requires = "tick_to_trade")]
    pub functional: bool,

    /// What counts as arrival: kernel (it received the packet) or user (this program read it)
    #[arg(long, value_name = "kernel|user", help_heading = "Input", default_value = "kernel")]
    #[arg(hide_possible_values = true)]
    pub timestamps: Stamps,

    /// Wait so long for packets after the last was sent
    #[arg(long, value_name = "TIME", help_heading = "Input", default_value = "1s")]
    #[arg(value_parser = parse_duration)]
    pub linger: Duration,

    /// Pin the receiver to this core
    #[arg(long, value_name = "N", help_heading = "Input")]
    pub receive_core: Option<usize>,

    #[command(flatten)]
    pub outlet: OutletArgs,

    /// What packets say: numbered or trade, as `tickwire generate` has it
    #[arg(long, value_name = "numbered|trade", help_heading = "Packets")]
    #[arg(default_value = "trade", hide_possible_values = true)]
    pub message: MessageChoice,

    /// Length of the UDP payload in bytes: by default 152, for numbered 52
    #[arg(long, value_name = "BYTES", help_heading = "Packets")]
    pub size: Option<usize>,

    /// Packets a second: 1000, 50k, 1.5M
    #[arg(long, value_name = "N", default_value = "1000", value_parser = parse_rate)]
    #[arg(help_heading = "Pace")]
    pub rate: Rate,

    #[command(flatten)]
    pub pace: PaceArgs,

    #[command(flatten)]
    pub report: ReportArgs,
}

impl LatencyArgs {
    /// What packets say, and how long their payload is.
    ///
    /// # Errors
    /// A length that cannot be.
    pub fn packets(&self) -> Result<(Message, usize), String> {
        let message = match (self.tick_to_trade, self.byte_order) {
            (false, _) => return Ok((self.message.message(), self.message.bytes(self.size)?)),
            (true, ByteOrder::Little) => Message::Tick,
            (true, ByteOrder::Big) => Message::TickBig,
        };
        Ok((message, payload_bytes(message, None)?))
    }
}
