//! `tickwire filter`: what an expression means, what it becomes, and what it says of packets.
//!
//! * [`args`]: the flags.
//! * `explain`: the tree, the program, where it runs, pitfalls. `tree`: the tree in words.
//! * `dump`: the program as a listing.
//! * `fields`: the fields of market data that it may ask.
//! * `test`: the verdict on each packet of a file.
//! * [`text`]: filter texts from files, and messages with a caret.

mod args;
mod dump;
mod explain;
mod fields;
mod test;
pub mod text;
mod tree;

pub use args::FilterArgs;

use crate::exit::{Ended, Failure};
use args::{CompileArgs, FilterCommand};
use tickwire_filter::Filter;
use tickwire_frame::LinkType;

/// Runs the command.
pub fn run(args: &FilterArgs) -> Result<Ended, Failure> {
    match &args.command {
        FilterCommand::Explain(args) => explain::run(args),
        FilterCommand::Dump(args) => dump::run(args),
        FilterCommand::Fields(args) => fields::run(args),
        FilterCommand::Test(args) => test::run(args),
    }
}

/// The filter of `args` and its text.
fn compile(args: &CompileArgs) -> Result<(String, Filter), Failure> {
    let text = args.text()?;
    let options = args.options(LinkType::ETHERNET);
    let filter = Filter::compile(&text, &options).map_err(|error| text::refused(&error, &text))?;
    Ok((text, filter))
}
