//! FAST over the real pair of lines of the corpus: the numbers that each has, and both.

mod common;

use common::corpus;
use std::collections::BTreeSet;
use tickwire_market::fast::{Head, TEMPLATE_INCREMENTAL, recorded};

#[test]
fn two_lines_have_the_messages_that_the_corpus_says() {
    let test = "two_lines_have_the_messages_that_the_corpus_says";
    let Some(folder) = corpus("market/fast-micex", test) else { return };
    let line = |name: &str| {
        let file = std::fs::read(folder.join(name)).unwrap();
        let mut sequences = Vec::new();
        for message in recorded(&file) {
            let head = Head::parse(message).unwrap();
            assert_eq!(head.template_id, Some(TEMPLATE_INCREMENTAL));
            sequences.push(head.sequence.unwrap());
        }
        let file_bytes: usize = recorded(&file).map(<[u8]>::len).sum();
        assert_eq!(file_bytes, file.len());
        // Each line has no gap of its own: the other began earlier, and ended later.
        assert!(sequences.is_sorted_by(|a, b| a + 1 == *b));
        sequences
    };
    let (a, b) = (line("increment_a.dat"), line("increment_b.dat"));
    assert_eq!((a.len(), b.len()), (8_101, 8_088));
    let (a, b) = (BTreeSet::from_iter(a), BTreeSet::from_iter(b));
    assert_eq!(a.union(&b).count(), 8_112);
    assert_eq!((a.difference(&b).count(), b.difference(&a).count()), (24, 11));
}
