//! libpcap's own tests. The table by link type: `--example conformance`.

mod common;

use common::{Judge, Random, Table, cases, corpus, samples, with_mutations};

/// Packets of one capture, packets of one link type, packets made for one program.
const SIZES: (usize, usize, usize) =
    if cfg!(debug_assertions) { (8, 60, 40) } else { (60, 2000, 400) };

#[test]
fn every_case_of_libpcap_passes() {
    let Some(corpus) = corpus() else {
        eprintln!("SKIPPED: conformance; set TICKWIRE_CORPUS to the folder of captures");
        return;
    };
    let mut random = Random(0x7469_636b);
    let packets = samples(&corpus, SIZES.0, SIZES.1)
        .into_iter()
        .map(|(link, samples)| (link, with_mutations(&samples, &mut random)))
        .collect();
    let judge = Judge { corpus: &corpus, packets, directed: SIZES.2 };
    let mut table = Table::default();
    for case in cases(&corpus) {
        let (link, result) = judge.judge(&case);
        table.add(&case, link, result);
    }
    assert!(table.failures.is_empty(), "{}\n{}", table.markdown(), table.failures.join("\n"));
}

/// The judge notices a wrong program, or the test above proves nothing.
#[test]
fn the_judge_finds_a_wrong_verdict() {
    let Some(corpus) = corpus() else {
        eprintln!("SKIPPED: conformance canary; set TICKWIRE_CORPUS to the folder of captures");
        return;
    };
    let judge = Judge { corpus: &corpus, packets: Default::default(), directed: 100 };
    let mut case = cases(&corpus).into_iter().find(|case| case.expr == "tcp port 25").unwrap();
    assert_eq!(judge.judge(&case).1, Ok(()));
    case.expr = "tcp port 26".to_owned();
    assert!(judge.judge(&case).1.is_err());
}
