//! What classic BPF makes hard: far jumps, little memory, few instructions.

use tickwire_filter::generate::Packets;
use tickwire_filter::{ErrorKind, Filter, Options, Packet, classic};

fn ports(count: u16) -> String {
    (1..=count).map(|port| format!("port {}", port * 7)).collect::<Vec<_>>().join(" or ")
}

#[test]
fn far_targets_are_reached() {
    let filter = Filter::compile(&ports(120), &Options::default()).unwrap();
    let code = filter.classic().unwrap();
    let jumps = code.iter().filter(|insn| insn.code == classic::insn::code::JMP).count();
    assert!(code.len() > 300 && jumps > 0, "{} instructions, {jumps} jumps", code.len());
    let mut packets = Packets::new(31);
    let mut accepted = 0;
    for _ in 0..2_000 {
        let (bytes, wire_len) = packets.packet();
        let packet = Packet { bytes: &bytes, wire_len, metadata: None };
        let want = filter.run(&packet);
        accepted += u32::from(want != 0);
        assert_eq!(classic::run(&code, &packet), want);
    }
    // Of the pool's ports only 5000 / 7 and 26400 / 7 are too large or not whole; 25 and 80 too.
    assert!(accepted < 2_000);
}

#[test]
fn too_many_tests_are_a_named_error() {
    let nets: Vec<String> =
        (0..800).map(|n| format!("net 10.{}.{}/24", n / 256, n % 256)).collect();
    let error = Filter::compile(&nets.join(" or "), &Options::default()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Limit);
    assert!(error.message.contains("4096"), "{error}");
}

/// What libpcap 1.10 takes; and how many instructions it makes of it.
#[test]
fn many_ports_are_not_many_more_instructions_than_libpcaps() {
    for (count, libpcap) in [(60, 200), (200, 972), (400, 2_171), (800, 4_571)] {
        let filter = Filter::compile(&ports(count), &Options::default()).unwrap();
        let code = filter.classic().unwrap();
        assert!(code.len() < libpcap * 3 / 2, "{} instructions for {count} ports", code.len());
    }
}

#[test]
fn arithmetic_beyond_the_memory_is_a_named_error() {
    let mut text = "tcp[0]".to_owned();
    for index in 1..20 {
        text = format!("(tcp[{index}] * {text})");
    }
    let filter = Filter::compile(&format!("{text} = 1"), &Options::default()).unwrap();
    let error = filter.classic().unwrap_err();
    assert_eq!(error.kind, ErrorKind::Limit, "{error}");
}

#[test]
fn listings_are_tcpdumps() {
    let filter = Filter::compile("udp dst port 26400", &Options::default()).unwrap();
    let code = filter.classic().unwrap();
    let listing = classic::disassemble(&code, classic::Listing::Assembler);
    let expected = "\
(000) ldh      [12]
(001) jeq      #0x86dd          jt 2\tjf 6
(002) ldb      [20]
(003) jeq      #0x11            jt 4\tjf 15
(004) ldh      [56]
(005) jeq      #0x6720          jt 14\tjf 15
(006) jeq      #0x800           jt 7\tjf 15
(007) ldb      [23]
(008) jeq      #0x11            jt 9\tjf 15
(009) ldh      [20]
(010) jset     #0x1fff          jt 15\tjf 11
(011) ldxb     4*([14]&0xf)
(012) ldh      [x + 16]
(013) jeq      #0x6720          jt 14\tjf 15
(014) ret      #262144
(015) ret      #0
";
    assert_eq!(listing, expected);
}
