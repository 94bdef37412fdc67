//! Flags of `tickwire feed book`.

use crate::feed::args::{InputArgs, LinesArgs};
use crate::units::{parse_duration, parse_period};
use clap::{Args, ValueEnum};
use std::time::Duration;

/// Flags of `tickwire feed book`.
#[derive(Debug, Args)]
pub struct BookArgs {
    #[command(flatten)]
    pub input: InputArgs,

    #[command(flatten)]
    pub lines: LinesArgs,

    /// How books are shown
    #[arg(long, value_name = "FORMAT", default_value = "top", value_enum)]
    pub format: BookFormat,

    /// Only the books of this symbol, or security id; may be repeated
    #[arg(long, value_name = "SYMBOL")]
    pub symbol: Vec<String>,

    /// At most N levels a side
    #[arg(long, value_name = "N")]
    pub depth: Option<usize>,

    /// Show books whenever this time of the feed has passed, too: 1s, 5m
    #[arg(long, value_name = "TIME", value_parser = parse_period)]
    pub every: Option<Duration>,

    /// How long what is missing is waited for, before the books go on without it
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "10ms")]
    pub hold: Duration,
}

/// How books are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BookFormat {
    /// A line for each symbol: its best bid and offer
    Top,
    /// A table for each symbol: bids on the left, offers on the right
    Ladder,
    /// Sorted lines `SYMBOL|B or S|price × 10^4|shares`, for scripts
    Levels,
    /// One JSON object for each symbol and line
    Json,
}
