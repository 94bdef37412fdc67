//! Random programs in the IR.

use crate::random_programs::Programs;
use crate::support::{Loaded, PACKET_BYTES_MIN, agree, may_load};
use std::collections::BTreeMap;
use tickwire_filter::ebpf::{BRANCHES_MAX, Xdp};
use tickwire_filter::generate::Random;
use tickwire_filter::ir::{Block, BlockId, Compare, End, Number, Program, Size, Test};

const PROGRAMS: usize = if cfg!(debug_assertions) { 1_500 } else { 20_000 };
const PACKETS: usize = 12;

/// Bytes from a small pool, so that tests for equality hold now and then.
fn packet(random: &mut Random) -> Vec<u8> {
    let len = match random.below(8) {
        0 => 1500,
        1 => PACKET_BYTES_MIN,
        _ => PACKET_BYTES_MIN + random.below(100),
    };
    let mut byte = || match random.below(8) {
        0 => 0xff,
        1 => 0x45,
        2 => random.below(256) as u8,
        3 => random.below(6) as u8,
        _ => 0,
    };
    (0..len).map(|_| byte()).collect()
}

#[test]
fn random_programs_load_and_agree() {
    if !may_load("random_programs_load_and_agree") {
        return;
    }
    let mut programs = Programs::new(1);
    let mut random = Random::new(2);
    let mut refused: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut accepted, mut rejected) = (0, 0);
    for index in 0..PROGRAMS {
        let program = programs.program();
        let xdp = match Xdp::compile(&program) {
            Ok(xdp) => xdp,
            Err(refusal) => {
                *refused.entry(refusal.reason()).or_default() += 1;
                continue;
            }
        };
        let loaded = Loaded::new(&xdp);
        for _ in 0..PACKETS {
            let packet = packet(&mut random);
            let verdict = agree(&program, &loaded, &packet, &format!("program {index}"));
            *if verdict { &mut accepted } else { &mut rejected } += 1;
        }
    }
    println!("{accepted} accepted, {rejected} rejected; refused: {refused:?}");
    assert!(refused.values().sum::<usize>() < PROGRAMS / 20, "{refused:?}");
    assert!(accepted > PROGRAMS && rejected > PROGRAMS, "{accepted} accepted, {rejected} rejected");
}

/// As many different tests as are allowed, each of which the verifier has to come back to.
#[test]
fn the_largest_program_loads() {
    let count = BRANCHES_MAX as u32 - 1;
    let mut program = Program::new(1);
    for at in 0..count {
        let offset = 1499 - at % 1500;
        let left = program.intern(Number::Load { base: None, offset, size: Size::Byte });
        let right = program.literal(7 + at / 1500);
        let test = Test { left, compare: Compare::Greater, right };
        let no = BlockId(if at + 1 == count { count + 1 } else { at + 1 });
        program.add(Block { sets: Vec::new(), end: End::Branch { test, yes: BlockId(count), no } });
    }
    program.add(Block { sets: Vec::new(), end: End::Return(true) });
    program.add(Block { sets: Vec::new(), end: End::Return(false) });
    let xdp = Xdp::compile(&program).unwrap();
    if !may_load("the_largest_program_loads") {
        return;
    }
    let loaded = Loaded::new(&xdp);
    for value in [0, 7, 8, 255] {
        let packet = vec![value; 1500];
        assert_eq!(agree(&program, &loaded, &packet, "the largest"), value > 7);
        assert!(!agree(&program, &loaded, &packet[..1499], "the largest, cut"));
    }
}
