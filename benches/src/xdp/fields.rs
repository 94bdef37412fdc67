//! Fields of messages in XDP: what each message costs, against a filter that asks the header alone.

use super::{Failure, empty, load, measure};
use crate::fields::frames;
use tickwire_capture::bpf::Program;
use tickwire_filter::{Filter, Options};

/// Messages in a packet: one, a few, and as many as fit.
const MESSAGES: [usize; 5] = [1, 3, 8, 16, usize::MAX];
/// What the packets are of, and what none of their messages holds.
const FILTERS: [&str; 3] =
    ["moldudp64.session == BENCH", "itch.type == \"h\"", "itch.stock == \"NONE\""];

/// Prints a row for each number of messages.
pub fn print() -> Result<(), Failure> {
    let empty = Program::load_xdp("empty", &empty())?;
    let mut programs = Vec::new();
    for text in FILTERS {
        let part = Filter::compile(text, &Options::default())?.xdp_part()?;
        programs.push(load(&part.program)?);
        let verified = programs[programs.len() - 1].info()?.verified;
        let count = part.program.code().len();
        println!("{text}: {count} instructions, of which the verifier saw {verified}");
    }
    println!("{:<26} {:>8} {:>8} {:>8} {:>8}", "", "empty", "header", "type", "stock");
    for messages in MESSAGES {
        let (packets, count) = frames(messages);
        let packet = &packets[0];
        let [header, kind, stock] = [0, 1, 2].map(|at| programs.get(at));
        let times = measure([Some(&empty), header, kind, stock], packet)?;
        let name = format!("{:.1} messages, rejected", count as f64 / packets.len() as f64);
        print!("{name:<26}");
        for ns in times {
            print!(" {:>8.2}", ns.unwrap_or_default());
        }
        println!();
    }
    Ok(())
}
