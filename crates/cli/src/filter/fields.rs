//! `tickwire filter fields`: the fields of market data that an expression may ask.

use super::args::FieldsArgs;
use crate::completions::print_all;
use crate::exit::{Ended, Failure};
use tickwire_filter::fields;

/// Prints one line a field: its name, what it holds, the types of the messages that have it.
pub fn run(args: &FieldsArgs) -> Result<Ended, Failure> {
    let found = fields::list(&args.prefix);
    if found.is_empty() {
        let known = fields::prefixes().join(", ");
        return Err(Failure::failed(format_args!(
            "no field begins with '{}'; names begin with {known}",
            args.prefix
        )));
    }
    let lines: String = found.iter().map(|field| format!("{field}\n")).collect();
    print_all(lines.as_bytes())
}
