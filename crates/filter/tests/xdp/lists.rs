//! Long lists become tables.

use crate::support::{Loaded, agree, may_load};
use std::time::{Duration, Instant};
use tickwire_filter::ebpf::Xdp;
use tickwire_filter::ir::{Block, BlockId, Compare, End, Number, NumberId, Program, Size, Test};
use tickwire_filter::{Filter, Options};

/// How long compiling a list of 10 000 may take, in milliseconds; a debug build takes its time.
const COMPILE_MS_MAX: u64 = if cfg!(debug_assertions) { 1000 } else { 50 };

fn load(program: &mut Program, offset: u32, size: Size) -> NumberId {
    program.intern(Number::Load { base: None, offset, size })
}

/// A chain of tests: accepts when one of them holds.
fn any_of(program: &mut Program, tests: &[(NumberId, u32)]) {
    let count = tests.len() as u32;
    let (yes, reject) = (BlockId(count), BlockId(count + 1));
    for (at, &(left, value)) in tests.iter().enumerate() {
        let right = program.literal(value);
        let test = Test { left, compare: Compare::Equal, right };
        let no = if at as u32 + 1 == count { reject } else { BlockId(at as u32 + 1) };
        program.add(Block { sets: Vec::new(), end: End::Branch { test, yes, no } });
    }
    program.add(Block { sets: Vec::new(), end: End::Return(true) });
    program.add(Block { sets: Vec::new(), end: End::Return(false) });
}

/// A UDP packet over IPv4.
fn packet(source: u32, destination: u32, ports: [u16; 2]) -> Vec<u8> {
    let mut bytes = vec![2; 12];
    bytes.extend([8, 0, 0x45, 0, 0, 40, 0, 1, 0, 0, 64, 17, 0, 0]);
    bytes.extend(source.to_be_bytes());
    bytes.extend(destination.to_be_bytes());
    bytes.extend(ports.iter().flat_map(|port| port.to_be_bytes()));
    bytes.extend([0, 20, 0, 0]);
    bytes.resize(60, 0);
    bytes
}

/// Address number `n`: some scattered, some in a row.
fn address(n: u32) -> u32 {
    if n.is_multiple_of(2) { 0x0a00_0000 + n } else { n.wrapping_mul(0x9e37_79b1) }
}

#[test]
fn ten_thousand_addresses_load_and_run() {
    const ADDRESSES: u32 = 10_000;
    let mut program = Program::new(1);
    let source = load(&mut program, 26, Size::Word);
    let destination = load(&mut program, 30, Size::Word);
    let tests: Vec<(NumberId, u32)> =
        (0..ADDRESSES).flat_map(|n| [(source, address(n)), (destination, address(n))]).collect();
    any_of(&mut program, &tests);

    let start = Instant::now();
    let xdp = Xdp::compile(&program).unwrap();
    let took = start.elapsed();
    assert!(took < Duration::from_millis(COMPILE_MS_MAX), "compiled in {took:?}");
    assert!(xdp.code().len() < 100, "{} instructions", xdp.code().len());
    // Source and destination share it.
    assert_eq!(xdp.tables().len(), 1);
    assert!(xdp.tables()[0].bytes.len() <= 1 << 18);

    if !may_load("ten_thousand_addresses_load_and_run") {
        return;
    }
    let loaded = Loaded::new(&xdp);
    let mut accepted = 0;
    for n in (0..2 * ADDRESSES).step_by(97).chain([0, 1, ADDRESSES - 1, ADDRESSES]) {
        for packet in [packet(address(n), 1, [1, 2]), packet(1, address(n), [1, 2])] {
            accepted += u32::from(agree(&program, &loaded, &packet, "10 000 addresses"));
            // Cut inside an address, it is rejected, whatever stands before.
            for len in [28, 32, 33] {
                agree(&program, &loaded, &packet[..len], "10 000 addresses, cut");
            }
        }
    }
    assert!((200..300).contains(&accepted), "{accepted} accepted");
}

/// The front end asks for the protocol and for fragments before each port; what is left of that is
/// two tables for each family.
#[test]
fn ports_in_a_text_become_tables() {
    let ports: Vec<u16> = (0..64).map(|n| 1000 + 37 * n).collect();
    for (kind, tables) in [("udp dst port", 1), ("port", 1), ("src port", 1)] {
        let terms: Vec<String> = ports.iter().map(|port| format!("{kind} {port}")).collect();
        let text = terms.join(" or ");
        let filter = Filter::compile(&text, &Options::default()).unwrap();
        let xdp = Xdp::compile(filter.program()).unwrap();
        assert!(xdp.code().len() < 200, "{kind}: {} instructions", xdp.code().len());
        assert_eq!(xdp.tables().len(), tables, "{kind}");
        if !may_load("ports_in_a_text_become_tables") {
            continue;
        }
        let loaded = Loaded::new(&xdp);
        let mut accepted = 0;
        for port in (900..4000).step_by(3).chain(ports.iter().map(|port| usize::from(*port))) {
            for ports in [[port as u16, 9], [9, port as u16]] {
                let whole = packet(1, 2, ports);
                accepted += u32::from(agree(filter.program(), &loaded, &whole, kind));
                for len in [23, 35, 37] {
                    agree(filter.program(), &loaded, &whole[..len], kind);
                }
                let mut fragment = whole;
                fragment[21] = 7;
                agree(filter.program(), &loaded, &fragment, kind);
            }
        }
        assert!(accepted >= 64, "{kind}: {accepted} accepted");
    }
}

/// Below the limit, comparisons; a refused text is none of ours.
#[test]
fn short_lists_are_compared() {
    let text = "udp dst port (1 or 2 or 3 or 4 or 5 or 6 or 7 or 8)";
    let filter = Filter::compile(text, &Options::default()).unwrap();
    let xdp = Xdp::compile(filter.program()).unwrap();
    assert!(xdp.tables().is_empty());
}
