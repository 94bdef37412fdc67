//! `tickwire respond explain FILE`: what the rules of a configuration mean.

use super::settings::read;
use crate::completions::print_all;
use crate::exit::{Ended, Failure};
use clap::Args;
use std::path::PathBuf;

/// Flags of `tickwire respond explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The configuration
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// Prints rule by rule what it looks at and what it compiled to.
///
/// # Errors
/// A configuration that cannot be read or means nothing.
pub fn explain(args: &ExplainArgs) -> Result<Ended, Failure> {
    let (config, _) = read(&args.file)?;
    print_all(tickwire_respond::rule::explain(&config).as_bytes())
}
