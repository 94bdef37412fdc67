//! The shape of the file, before it is known whether it makes sense.

use super::text::Text;
use super::{Audit, Stack, Transport, Xdp};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use toml::Spanned;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    pub state: PathBuf,
    pub audit: Option<Audit>,
    #[serde(default)]
    pub limits: Limits,
    pub xdp: Option<Spanned<Xdp>>,
    #[serde(default)]
    pub feed: Vec<Spanned<Feed>>,
    #[serde(default)]
    pub target: Vec<Spanned<Target>>,
    #[serde(default)]
    pub instrument: Vec<Spanned<Instrument>>,
    #[serde(default)]
    pub rule: Vec<Spanned<Rule>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feed {
    pub name: String,
    pub protocol: Spanned<String>,
    pub listen: SocketAddr,
    pub transport: Option<Spanned<Transport>>,
    pub source: Option<Spanned<IpAddr>>,
    pub interface: Option<String>,
    pub age_ms: Option<u32>,
    pub silence_ms: Option<u32>,
    #[serde(default)]
    pub gap: Gap,
    #[serde(default)]
    pub late_join: bool,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gap {
    #[default]
    Refuse,
    UntilNext,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    pub name: String,
    pub format: Spanned<String>,
    pub transport: Option<Spanned<Transport>>,
    pub stack: Option<Spanned<Stack>>,
    pub address: SocketAddr,
    pub login: Option<Spanned<Login>>,
    pub ouch: Option<Spanned<Ouch>>,
    pub fix: Option<Spanned<Fix>>,
    pub template: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fix {
    pub sender_comp_id: String,
    pub target_comp_id: String,
    pub username: Option<String>,
    pub password: Option<String>,
    pub password_file: Option<PathBuf>,
    pub heartbeat_s: Option<u32>,
    pub reset_on_logon: Option<bool>,
    pub peer_may_reset: Option<bool>,
    pub test_after_logon: Option<bool>,
    pub resend_orders_ms: Option<u64>,
    pub sending_time_s_max: Option<u64>,
    pub price_decimals: Option<u32>,
    pub dictionary: Option<PathBuf>,
    #[serde(default)]
    pub header_fields: BTreeMap<String, String>,
    #[serde(default)]
    pub logon_fields: BTreeMap<String, String>,
    #[serde(default)]
    pub order_fields: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    pub username: String,
    pub password: Option<String>,
    pub password_file: Option<PathBuf>,
    pub session: Option<String>,
    pub next_sequence: Option<u64>,
    pub unanswered_s: Option<u32>,
    pub cancel_on_disconnect: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ouch {
    pub time_in_force: Option<Text>,
    pub firm: Option<String>,
    pub display: Option<char>,
    pub capacity: Option<char>,
    pub intermarket_sweep: Option<bool>,
    pub minimum_quantity: Option<u32>,
    pub cross_type: Option<char>,
    pub customer_type: Option<char>,
    pub appendage: Option<String>,
}

/// What `[limits]` and `[[instrument]]` both have.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instrument {
    pub symbol: Spanned<String>,
    pub tick: Spanned<Text>,
    pub quantity: Option<Spanned<u32>>,
    pub notional: Option<Spanned<Text>>,
    pub collar_percent: Option<Spanned<Text>>,
    pub position: Option<Spanned<u32>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    pub quantity: Option<Spanned<u32>>,
    pub notional: Option<Spanned<Text>>,
    pub collar_percent: Option<Spanned<Text>>,
    pub position: Option<Spanned<u32>>,
    pub orders_per_s: Option<Spanned<u32>>,
    pub in_flight: Option<Spanned<u32>>,
    pub feed_age_ms: Option<Spanned<u32>>,
    pub hours: Option<Spanned<String>>,
    pub utc_offset: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub name: String,
    pub feed: Spanned<String>,
    pub instruments: Option<Vec<Spanned<String>>>,
    pub when: Spanned<String>,
    pub order: Order,
    #[serde(default)]
    pub cool_down_us: u64,
    #[serde(default = "yes")]
    pub enabled: bool,
}

fn yes() -> bool {
    true
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    pub target: Spanned<String>,
    pub side: Spanned<String>,
    pub quantity: Spanned<Text>,
    pub price: Spanned<Text>,
}
