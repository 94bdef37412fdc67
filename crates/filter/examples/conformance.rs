//! libpcap's own tests, by link type and kind.
//!
//! `TICKWIRE_CORPUS=… cargo run --release -p tickwire-filter --example conformance [FILE]`
//! prints a table, and writes it to FILE when one is given.

#[path = "../tests/common/mod.rs"]
#[allow(dead_code)]
mod common;

use std::process::ExitCode;

use common::{Judge, Random, Table, cases, corpus, samples, with_mutations};

/// Packets of one capture, packets of one link type, packets made for one program.
const SIZES: (usize, usize, usize) = (60, 4000, 2000);

fn main() -> ExitCode {
    let Some(corpus) = corpus() else {
        eprintln!("set TICKWIRE_CORPUS to the folder of captures");
        return ExitCode::from(2);
    };
    let mut random = Random(0x7469_636b);
    let packets = samples(&corpus, SIZES.0, SIZES.1);
    let packets = packets
        .into_iter()
        .map(|(link, samples)| (link, with_mutations(&samples, &mut random)))
        .collect();
    let judge = Judge { corpus: &corpus, packets, directed: SIZES.2 };
    let mut table = Table::default();
    for case in cases(&corpus) {
        let (link, result) = judge.judge(&case);
        table.add(&case, link, result);
    }
    let text = document(&table);
    print!("{text}");
    if let Some(path) = std::env::args_os().nth(1)
        && let Err(error) = std::fs::write(&path, &text)
    {
        eprintln!("{}: {error}", path.display());
        return ExitCode::FAILURE;
    }
    ExitCode::from(u8::from(!table.failures.is_empty()))
}

fn document(table: &Table) -> String {
    let mut out = "\
# Conformance of the filter language

libpcap's own tests (1.11 development branch) against `tickwire-filter`, passed of all:

* *accept*: the expression compiles, and its verdicts, by our interpreter and by our classic BPF,
  equal those of libpcap's program over captured, mutated and made packets;
* *apply*: the return value for every packet of a capture is libpcap's;
* *reject*: the expression is refused.

Made by `cargo run --release -p tickwire-filter --example conformance docs/filter-conformance.md`.

"
    .to_owned();
    out += &table.markdown();
    out += "\n## What fails\n\n";
    if table.failures.is_empty() {
        out += "Nothing.\n";
    }
    for failure in &table.failures {
        out += &format!("* {failure}\n");
    }
    out
}
