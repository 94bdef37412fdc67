//! Expressions of libpcap's own tests. Random ones: `back_ends.rs`.

use crate::common::{self, Random, Sample, cases, corpus, directed, samples, with_mutations};
use crate::support::{Loaded, PACKET_BYTES_MIN, agree, may_load};
use std::collections::BTreeMap;
use tickwire_filter::ebpf::Xdp;
use tickwire_filter::{Filter, classic, link};
use tickwire_frame::LinkType;

/// Captured packets of one file, of all files, and packets made for one expression.
const SIZES: (usize, usize, usize) =
    if cfg!(debug_assertions) { (4, 150, 60) } else { (20, 1000, 300) };

/// Every Ethernet expression of libpcap's tests that compiles loads, unless it is refused by name,
/// and agrees with the interpreter.
#[test]
fn expressions_of_libpcap_load_and_agree() {
    let name = "expressions_of_libpcap_load_and_agree";
    let Some(corpus) = corpus() else {
        eprintln!("SKIPPED: {name}: TICKWIRE_CORPUS does not say where the captures are");
        return;
    };
    if !may_load(name) {
        return;
    }
    let mut random = Random(0x7464_7001);
    let known = samples(&corpus, SIZES.0, SIZES.1).remove(&LinkType::ETHERNET.0);
    let known = with_mutations(&known.unwrap_or_default(), &mut random);
    let mut refused: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut loaded, mut accepted, mut longest) = (0, 0u64, 0);
    for case in cases(&corpus) {
        let link = link::by_name(case.link.as_deref().unwrap_or(""));
        if case.kind != "accept" || link != Some(LinkType::ETHERNET) {
            continue;
        }
        let options = common::options(&case, LinkType::ETHERNET);
        let Ok(filter) = Filter::compile(&case.expr, &options) else { continue };
        let xdp = match Xdp::compile(filter.program()) {
            Ok(xdp) => xdp,
            Err(refusal) => {
                *refused.entry(refusal.reason()).or_default() += 1;
                continue;
            }
        };
        loaded += 1;
        longest = longest.max(xdp.code().len());
        let program = Loaded::new(&xdp);
        let code = classic::parse(&case.expected).unwrap_or_default();
        let made = directed(&code, &known, SIZES.2, &mut random);
        for Sample { bytes, .. } in known.iter().chain(&made) {
            if bytes.len() < PACKET_BYTES_MIN || bytes.len() > 3000 {
                continue;
            }
            accepted += u64::from(agree(filter.program(), &program, bytes, &case.expr));
        }
    }
    println!(
        "{loaded} loaded, {accepted} packets accepted, longest {longest}; refused: {refused:?}"
    );
    let count: usize = refused.values().sum();
    // Only what a socket knows beside the packet is refused.
    assert_eq!(count, refused.get("metadata").copied().unwrap_or(0), "{refused:?}");
    assert!(loaded > 100 && accepted > 10 * loaded, "{loaded} loaded, {accepted} accepted");
}
