//! Every target, run over a fixed number of seeded inputs: short enough for every test run.

use std::sync::atomic::Ordering::Relaxed;
use tickwire_frame::{Kind, Reason};
use tickwire_fuzz::control;
use tickwire_fuzz::corpus::seeds;
use tickwire_fuzz::decode::{self, TARGETS};
use tickwire_fuzz::file;
use tickwire_fuzz::market;
use tickwire_fuzz::market_sequence;
use tickwire_fuzz::measure::{Stage, run};
use tickwire_fuzz::mutate::Mutator;
use tickwire_fuzz::packets::samples;
use tickwire_fuzz::respond_fix;
use tickwire_fuzz::respond_rules;
use tickwire_fuzz::stream;
use tickwire_fuzz::{replicate, respond, respond_session};

/// Packets in a debug build: a few seconds.
const PACKETS: u64 = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };

fn survives(stages: &[Stage], seed: u64, count: u64) {
    let mut mutator = Mutator::new(samples(), seed);
    if let Err(failure) = run(&mut mutator, stages, seed, 0..count) {
        panic!("{failure:?}");
    }
}

#[test]
fn whole_packets_survive() {
    survives(&[("packet", decode::check_packet)], 1, PACKETS);
}

#[test]
fn the_fast_path_agrees_with_the_whole_packet() {
    survives(&[("five_tuple", decode::check_five_tuple)], 2, PACKETS);
}

#[test]
fn printers_survive() {
    survives(&[("line", decode::check_line), ("json", decode::check_json)], 3, PACKETS / 5);
}

#[test]
fn packets_made_from_real_ones_survive() {
    if std::env::var_os("TICKWIRE_CORPUS").is_none() {
        eprintln!("SKIPPED: packets_made_from_real_ones_survive: TICKWIRE_CORPUS is not set");
        return;
    }
    let mut mutator = Mutator::new(seeds(), 6);
    let stages: &[Stage] =
        &[("packet", decode::check_packet), ("five_tuple", decode::check_five_tuple)];
    if let Err(failure) = run(&mut mutator, stages, 6, 0..PACKETS / 2) {
        panic!("{failure:?}");
    }
}

#[test]
fn views_survive() {
    survives(&[("views", decode::views)], 4, PACKETS / 10);
}

#[test]
fn every_target_survives_every_prefix_of_every_sample() {
    for sample in samples() {
        for len in 0..=sample.bytes.len() {
            for (_, target) in TARGETS {
                target(&sample.bytes[..len]);
            }
        }
    }
}

#[test]
fn the_canary_sings_and_sings_again() {
    let mut mutator = Mutator::new(samples(), 0);
    let stages: &[Stage] = &[("canary", decode::canary)];
    let failure = run(&mut mutator, stages, 5, 0..PACKETS).expect_err("the harness is blind");
    assert_eq!(failure.message, "the canary sings");
    let again = run(&mut mutator, stages, 5, failure.index..failure.index + 1)
        .expect_err("the packet cannot be made again");
    assert_eq!((again.index, again.bytes), (failure.index, failure.bytes));
}

/// Capture files in a debug build: a few seconds.
const FILES: u64 = if cfg!(debug_assertions) { 20_000 } else { 100_000 };

#[test]
fn capture_files_survive() {
    if let Err(failure) = file::run(1, 0..FILES) {
        panic!("{failure}");
    }
}

#[test]
fn capture_files_survive_every_cut() {
    for sample in file::samples() {
        for length in 0..sample.len() {
            file::check(&sample[..length]);
        }
    }
}

#[test]
fn copies_of_datagrams_survive() {
    let mut mutator = Mutator::new(replicate::samples(), 7);
    if let Err(failure) = run(&mut mutator, &[("copies", replicate::check)], 7, 0..PACKETS) {
        panic!("{failure:?}");
    }
    survives(&[("copies", replicate::check)], 8, PACKETS / 10);
}

/// State files: 10^4, or as many as TICKWIRE_STATE_FILES says.
#[test]
fn state_files_survive() {
    let count = std::env::var("TICKWIRE_STATE_FILES").ok().and_then(|count| count.parse().ok());
    replicate::run_state(1, 0..count.unwrap_or(10_000));
}

#[test]
fn control_requests_survive() {
    control::run_heads(9, 0..PACKETS);
    control::run_legacy(9, 0..PACKETS);
}

#[test]
fn control_requests_are_half_heads_half_refusals() {
    let parsed = |index| tickwire_control::http::parse_head(&control::request(1, index));
    let heads = (0..1000).filter(|&index| matches!(parsed(index), Ok(Some(_)))).count();
    let refusals = (0..1000).filter(|&index| parsed(index).is_err()).count();
    assert!(heads > 200 && refusals > 200, "{heads} heads, {refusals} refusals");
}

#[test]
fn messages_of_exchanges_survive() {
    let mut mutator = Mutator::new(market::samples(), 10);
    if let Err(failure) = run(&mut mutator, &[("market", market::check)], 10, 0..PACKETS / 2) {
        panic!("{failure:?}");
    }
}

#[test]
fn sequence_numbers_survive() {
    let mut mutator = Mutator::new(market_sequence::samples(), 11);
    let stages: &[Stage] = &[("sequence", market_sequence::check)];
    if let Err(failure) = run(&mut mutator, stages, 11, 0..PACKETS / 100) {
        panic!("{failure:?}");
    }
}

#[test]
fn streams_of_tcp_survive() {
    let mut mutator = Mutator::new(stream::samples(), 12);
    if let Err(failure) = run(&mut mutator, &[("stream", stream::check)], 12, 0..PACKETS / 100) {
        panic!("{failure:?}");
    }
}

#[test]
fn sessions_survive_connections_that_change_bytes() {
    let mut mutator = Mutator::new(respond_session::samples(), 13);
    let stages: &[Stage] = &[("session", respond_session::check)];
    if let Err(failure) = run(&mut mutator, stages, 13, 0..PACKETS / 2_000) {
        panic!("{failure:?}");
    }
    assert!(respond_session::CARRIED_BYTES.load(Relaxed) > PACKETS / 2, "nothing was said");
}

#[test]
fn conversations_of_fix_survive() {
    let mut mutator = Mutator::new(respond_fix::samples(), 13);
    let stages: &[Stage] = &[("fix", respond_fix::check)];
    if let Err(failure) = run(&mut mutator, stages, 13, 0..PACKETS / 50) {
        panic!("{failure:?}");
    }
}

/// Unchanged they get as far as they are meant to: orders are accepted, executed and refused.
#[test]
fn conversations_of_fix_say_something() {
    let events: Vec<_> = respond_fix::samples()
        .iter()
        .map(|sample| respond_fix::conversation(&sample.bytes))
        .collect();
    assert_eq!(events, [5, 2, 4]);
}

#[test]
fn rules_of_any_text_survive() {
    let mut mutator = Mutator::new(respond_rules::samples(), 14);
    let stages: &[Stage] = &[("rules", respond_rules::check)];
    if let Err(failure) = run(&mut mutator, stages, 14, 0..PACKETS / 100) {
        panic!("{failure:?}");
    }
    let [compiled, wanted] = [&respond_rules::COMPILED, &respond_rules::WANTED];
    assert!(compiled.load(Relaxed) > PACKETS / 1_000, "nothing was compiled");
    assert!(wanted.load(Relaxed) > PACKETS / 10_000, "no order was wanted");
}

#[test]
fn messages_of_exchanges_survive_every_cut() {
    for sample in market::samples() {
        for len in 0..=sample.bytes.len() {
            for (_, target) in market::TARGETS {
                target(&sample.bytes[..len]);
            }
        }
    }
}

/// Runs of a responder in a debug build: a few seconds.
const RUNS: u64 = if cfg!(debug_assertions) { 60 } else { 600 };

/// What formats, programs in the kernel, logs and exchanges refuse.
const ELSEWHERE: [Reason; 5] = [
    Reason::NotRepresentable,
    Reason::LeaseExpired,
    Reason::AuditFull,
    Reason::NotInKernel,
    Reason::UnknownOrder,
];

#[test]
fn a_responder_and_its_oracle_agree() {
    let figures = respond::run_random(21, 0..RUNS);
    let reasons = Reason::ALL.iter().filter(|reason| reason.kind() == Kind::Refused);
    for reason in reasons {
        if !ELSEWHERE.contains(reason) {
            assert!(figures.refused[reason] > 0, "{reason} never happened: {figures:?}");
        }
    }
    assert!(figures.orders > 5 * RUNS, "{figures:?}");
}

#[test]
fn mutated_datagrams_bring_about_no_order_that_the_oracle_would_not_send() {
    let figures = respond::run_mutated(22, 0..RUNS);
    assert!(figures.orders > 10 * RUNS, "{figures:?}");
}
