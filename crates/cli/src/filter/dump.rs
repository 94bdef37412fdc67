//! `tickwire filter dump`: the program that an expression becomes.

use super::args::{DumpArgs, Kind};
use super::{compile, text};
use crate::completions::print_all;
use crate::exit::{Ended, Failure};
use tickwire_capture::bpf::asm::listing;
use tickwire_filter::classic::{self, Listing};
use tickwire_filter::native::Native;

/// Prints the listing.
pub fn run(args: &DumpArgs) -> Result<Ended, Failure> {
    let (source, filter) = compile(&args.compile)?;
    let listed = match args.kind {
        Kind::Classic => {
            let form = match args.form {
                0 | 1 => Listing::Assembler,
                2 => Listing::C,
                _ => Listing::Decimal,
            };
            let program = filter.classic().map_err(|error| text::refused(&error, &source))?;
            classic::disassemble(&program, form)
        }
        Kind::Ebpf => {
            // Where XDP cannot run all of it: the part that it runs.
            let part = filter.xdp_part().map_err(|refusal| {
                Failure::failed(format_args!("no program for XDP: {refusal}"))
            })?;
            listing(&part.program.code()).to_string()
        }
        Kind::Native => Native::listing(filter.program())
            .map_err(|error| Failure::failed(format_args!("no native code: {error}")))?,
    };
    print_all(listed.as_bytes())
}
