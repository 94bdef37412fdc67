//! `tickwire filter test`: one verdict a packet.

use super::args::TestArgs;
use super::text;
use crate::completions::print_all;
use crate::exit::{Ended, Failure};
use std::fmt::Write;
use tickwire_capture::{FilePort, Port, Received};
use tickwire_filter::{Filter, Options, SNAPLEN};
use tickwire_frame::{Batch, LinkType};

/// Prints what the filter returns for each packet, one decimal number a line. Of a broken file the
/// whole packets count.
pub fn run(args: &TestArgs) -> Result<Ended, Failure> {
    let source = args.compile.text()?;
    tickwire_filter::parse(&source).map_err(|error| text::refused(&error, &source))?;
    let mut port = FilePort::open(&args.read).map_err(Failure::failed)?;
    let mut compiled = Compiled { source, filters: Vec::new() };
    let mut lines = String::new();
    let mut verdicts = Vec::new();
    let mut seen = false;
    loop {
        let mut batch = Batch::new();
        if port.receive(&mut batch).map_err(Failure::failed)? != Received::Frames {
            break;
        }
        seen = true;
        let options = args.compile.options(batch.link);
        let filter = compiled.find(Options { from_file: true, ..options })?;
        lines.clear();
        verdicts.clear();
        let packets = batch.bytes().iter().zip(batch.wire_lens());
        verdicts.extend(packets.map(|(bytes, wire_len)| filter.matches(bytes, *wire_len)));
        let interface = batch.interface as usize;
        // libpcap returns the snap length of the file.
        let of_file = port.interfaces().get(interface).map_or(SNAPLEN, |found| found.snaplen);
        let accepted = args.compile.snaplen.unwrap_or(of_file);
        for &verdict in &verdicts {
            let _ = writeln!(lines, "{}", if verdict == 0 { 0 } else { accepted });
        }
        print_all(lines.as_bytes())?;
    }
    if !seen {
        // Of a file without packets the expression is still judged.
        let link = port.interfaces().first().map_or(LinkType::ETHERNET, |found| found.link);
        compiled.find(Options { from_file: true, ..args.compile.options(link) })?;
    }
    Ok(Ended::Done)
}

/// The text, compiled for the link types that came.
struct Compiled {
    source: String,
    filters: Vec<Filter>,
}

impl Compiled {
    fn find(&mut self, options: Options) -> Result<&Filter, Failure> {
        let link = options.link_type;
        let at = match self.filters.iter().position(|filter| filter.link_type() == link) {
            Some(at) => at,
            None => {
                let filter = Filter::compile(&self.source, &options)
                    .map_err(|error| text::refused(&error, &self.source))?;
                self.filters.push(filter);
                self.filters.len() - 1
            }
        };
        Ok(&self.filters[at])
    }
}
