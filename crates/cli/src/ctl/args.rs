//! Flags of `tickwire ctl`.

use crate::units::parse_seconds;
use clap::{Args, Subcommand};
use serde::de::DeserializeOwned;
use std::net::SocketAddr;
use std::path::PathBuf;
use tickwire_control::respond::types::Reset;
use tickwire_replicate::{SourceAddress, Subscriber, TTL_DEFAULT, UdpChecksum, parse_address};

const EXAMPLES: &str = "\
Examples:
  tickwire ctl --control /run/tickwire.sock replicate add 10.0.0.13:5000 --lease-s 60
  tickwire ctl --control /run/tickwire.sock replicate renew 10.0.0.13:5000
  tickwire ctl --control /run/tickwire.sock replicate list --json | jq '.subscribers[].address'
  tickwire ctl --control /run/tickwire.sock respond kill
  curl --unix-socket /run/tickwire.sock http://tickwire/openapi.json     the API behind it

Exit codes: 0 done, 1 failed or refused (standard error says why and what to do), 2 wrong usage.";

/// Flags of `tickwire ctl`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub struct CtlArgs {
    /// The control socket: what the running tickwire was given as --control
    #[arg(long, value_name = "PATH")]
    pub control: PathBuf,
    /// What runs there.
    #[command(subcommand)]
    pub job: Job,
}

/// What runs behind the control socket.
#[derive(Debug, Subcommand)]
pub enum Job {
    /// Feeds and subscribers of a running `tickwire replicate`
    Replicate(ReplicateJob),
    /// The brakes, the state and the figures of a running `tickwire respond`
    Respond(RespondJob),
}

/// What to ask of `tickwire respond`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct RespondJob {
    /// What to do.
    #[command(subcommand)]
    pub action: RespondAction,
}

/// What to do with a responder.
#[derive(Debug, Subcommand)]
pub enum RespondAction {
    /// Send orders from now on
    Enable(JsonArgs),
    /// Send no order any more, until it is enabled or started again
    Disable(JsonArgs),
    /// Send no order any more, also after a restart: when this returns none leaves
    Kill(JsonArgs),
    /// Set the figures to zero; the kill switch, gaps and positions only when asked by name
    Reset(ResetArgs),
    /// Read rules, limits and hours again; when this returns they are in force, or nothing changed
    Reload(JsonArgs),
    /// The status block that the older responder printed
    Status(JsonArgs),
    /// Processing times, rules, positions
    Stats(JsonArgs),
    /// Peers that sent or were sent something
    Connections(JsonArgs),
    /// The settings in force
    Config(JsonArgs),
}

/// Flags of what answers with an object.
#[derive(Clone, Copy, Debug, Args)]
pub struct JsonArgs {
    /// One JSON object
    #[arg(long)]
    pub json: bool,
}

/// Flags of `tickwire ctl respond reset`.
#[derive(Debug, Args)]
pub struct ResetArgs {
    /// Turn the kill switch off, too; responding stays switched off until it is enabled
    #[arg(long)]
    pub kill_switch: bool,

    /// Take every feed for complete, whatever is missing of it
    #[arg(long)]
    pub gaps: bool,

    /// Set all positions to 0 and forget open orders: cancel them at the exchange before, because
    /// what it says of them later changes nothing here. Only while responding is off
    #[arg(long)]
    pub positions: bool,

    /// One JSON object
    #[arg(long)]
    pub json: bool,
}

/// What to ask of `tickwire replicate`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct ReplicateJob {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What to do with subscribers.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Send copies to another subscriber from now on
    Add(AddArgs),
    /// Send no more copies to a subscriber
    Remove(OneArgs),
    /// Begin the lease of a subscriber anew
    Renew(OneArgs),
    /// Who gets copies, of which feed, and what became of them
    List(ListArgs),
    /// The mode in force, the feeds and their accounts
    Status(StatusArgs),
}

/// Flags of `tickwire ctl replicate add`.
#[derive(Debug, Args)]
pub struct AddArgs {
    #[command(flatten)]
    pub one: OneArgs,

    /// A name for people and metrics: letters, digits, '.', '_' and '-'
    #[arg(long)]
    pub name: Option<String>,

    /// Only datagrams that pass this filter expression
    #[arg(long, value_name = "EXPR")]
    pub filter: Option<String>,

    /// Where copies say they come from: interface (us), or keep (the sender of the original)
    #[arg(long, value_name = "interface|keep", default_value = "interface")]
    #[arg(value_parser = word::<SourceAddress>)]
    pub source: SourceAddress,

    /// TTL or hop limit of the copies
    #[arg(long, default_value_t = TTL_DEFAULT)]
    pub ttl: u8,

    /// Differentiated services code point of the copies, 0 to 63
    #[arg(long, default_value_t = 0)]
    pub dscp: u8,

    /// UDP checksum of the copies: update, compute, zero or zero_over_ipv6
    #[arg(long, alias = "checksum", value_name = "HOW", default_value = "update")]
    #[arg(value_parser = word::<UdpChecksum>)]
    pub udp_checksum: UdpChecksum,

    /// Remove it after this time unless it is renewed: 60, 5m, 1h
    #[arg(long, alias = "lease", value_name = "SECONDS", value_parser = parse_lease)]
    pub lease_s: Option<u32>,

    /// The interface that the copies leave by; without one the route decides
    #[arg(long, value_name = "IF")]
    pub interface: Option<String>,

    /// Change the settings of the one that is there with this address and port
    #[arg(long)]
    pub replace: bool,
}

/// A subscriber by its address.
#[derive(Debug, Args)]
pub struct OneArgs {
    /// Where copies go, as ADDR:PORT
    #[arg(value_name = "ADDR:PORT", value_parser = parse_address)]
    pub address: SocketAddr,

    /// The feed; needed when there are several
    #[arg(long, value_name = "NAME")]
    pub feed: Option<String>,

    /// Print what is then known of it as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Flags of `tickwire ctl replicate list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only subscribers of this feed
    #[arg(long, value_name = "NAME")]
    pub feed: Option<String>,

    /// One JSON object: `subscribers`, `total`
    #[arg(long)]
    pub json: bool,
}

/// Flags of `tickwire ctl replicate status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// One JSON object
    #[arg(long)]
    pub json: bool,
}

impl ResetArgs {
    /// What they ask for.
    pub fn what(&self) -> Reset {
        let &ResetArgs { kill_switch, gaps, positions, .. } = self;
        Reset { kill_switch, gaps, positions }
    }
}

impl AddArgs {
    /// The subscriber that they describe.
    pub fn subscriber(&self) -> Subscriber {
        Subscriber {
            address: self.one.address,
            name: self.name.clone(),
            filter: self.filter.clone(),
            source: self.source,
            ttl: self.ttl,
            dscp: self.dscp,
            udp_checksum: self.udp_checksum,
            lease_s: self.lease_s,
            interface: self.interface.clone(),
        }
    }
}

/// One of the words of an enumeration, as it is written in JSON.
fn word<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(text.into()).map_err(|error| error.to_string())
}

fn parse_lease(text: &str) -> Result<u32, String> {
    parse_seconds(text)?.try_into().map_err(|_| "that is too long".to_owned())
}
