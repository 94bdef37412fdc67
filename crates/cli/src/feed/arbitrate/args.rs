//! Flags of `tickwire feed arbitrate`.

use crate::feed::args::{InputArgs, LinesArgs, NumberArgs, RecoveryArgs};
use crate::units::parse_duration;
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

/// Flags of `tickwire feed arbitrate`.
#[derive(Debug, Args)]
pub struct ArbitrateArgs {
    #[command(flatten)]
    pub input: InputArgs,

    #[command(flatten)]
    pub numbers: NumberArgs,

    #[command(flatten)]
    pub lines: LinesArgs,

    /// Write the merged feed to FILE (.pcap or .pcapng; '-': standard output): each message once,
    /// in the order of arrival
    #[arg(short = 'w', long, value_name = "FILE")]
    pub write: Option<PathBuf>,

    /// How long what one line passed over may come on another before it is a gap
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "1ms")]
    pub gap_hold: Duration,

    #[command(flatten)]
    pub recovery: RecoveryArgs,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}
