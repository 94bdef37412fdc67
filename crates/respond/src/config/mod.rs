//! What is to be answered, how, and within which limits: the file of `tickwire respond`.
//!
//! [`Config::parse`] checks everything that can be checked without a network: what it gives out can
//! run. Nothing is opened here, no file, no name is looked up.

mod error;
mod fix;
mod hours;
mod limits;
mod raw;
mod reader;
mod reload;
mod rules;
mod target;
mod text;

pub use error::ConfigError;
pub use reload::{Changes, NeedsRestart};
pub use target::{Speaks, Target};

use crate::instruments::Instruments;
use crate::order::Scale;
use crate::rule::Rule;
use crate::settings::Settings;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use tickwire_market::Protocol;

/// The longest text that is read, in bytes.
pub const CONFIG_BYTES_MAX: usize = 16 << 20;
/// Rules, at most. Of each, all programs are kept.
pub const RULES_MAX: usize = 10_000;

/// A configuration that was checked. Numbers of feeds, targets, instruments and rules are their
/// places in it.
#[derive(Clone, Debug)]
pub struct Config {
    /// How many decimals prices have.
    pub scale: Scale,
    /// Where the kill switch, the number of the next order and what was answered are kept.
    pub state: PathBuf,
    /// Where every decision is written.
    pub audit: Option<Audit>,
    /// What is listened to.
    pub feeds: Vec<Feed>,
    /// Where orders go.
    pub targets: Vec<Target>,
    /// What is traded.
    pub instruments: Instruments,
    /// When an order is sent, and which.
    pub rules: Vec<Rule>,
    /// What no order may do.
    pub settings: Settings,
    /// How rules run in the kernel, when they are asked to.
    pub xdp: Xdp,
}

impl Config {
    /// Reads and checks the text of a file.
    ///
    /// # Errors
    /// The first line that is wrong, why, and what would be right.
    pub fn parse(text: &str) -> Result<Config, ConfigError> {
        reader::read(text)
    }
}

/// How bytes reach us or leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// A stream.
    Tcp,
}

/// Whose TCP a connection is spoken with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stack {
    /// The kernel's.
    #[default]
    Kernel,
    /// Our own, on the worker that decides, over its AF_XDP port.
    User,
}

/// What is listened to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feed {
    /// Its name, for rules and for what is printed.
    pub name: String,
    /// What it speaks.
    pub protocol: Protocol,
    /// Where it is sent to: a multicast group, or an address of ours. Over TCP, where its sender
    /// connects to.
    pub listen: SocketAddr,
    /// Over what.
    pub transport: Transport,
    /// Who sends it; anybody, unless it is said. A multicast group is joined for this source only.
    pub source: Option<IpAddr>,
    /// The interface that it comes in on, where it is another than the one of the command line.
    pub interface: Option<String>,
    /// Whether its books are believed though its day was not seen from the start.
    pub late_join: bool,
}

/// The log of decisions.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// The file that is written now; older ones have a number behind that name.
    pub path: PathBuf,
    /// Another file is begun when this one has so many bytes.
    #[serde(default = "Audit::rotate_bytes")]
    pub rotate_bytes: u64,
    /// Whether orders stop when the log cannot be written.
    #[serde(default)]
    pub stop_when_full: bool,
}

/// How rules run in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Xdp {
    /// For how long they may trade when user space stops saying that they may, in milliseconds:
    /// within [`LEASE_MS`](Self::LEASE_MS).
    pub lease_ms: u32,
    /// Whether they stop trading when a record of what they decided finds no room.
    pub stop_when_ring_full: bool,
}

impl Xdp {
    /// The leases that can be asked for: shorter ones expire when this machine is busy, longer ones
    /// let nobody's rules trade.
    pub const LEASE_MS: std::ops::RangeInclusive<u32> = 10..=10_000;
}

impl Default for Xdp {
    fn default() -> Self {
        Xdp { lease_ms: 100, stop_when_ring_full: true }
    }
}

impl Audit {
    /// 256 MiB.
    const fn rotate_bytes() -> u64 {
        256 << 20
    }
}
