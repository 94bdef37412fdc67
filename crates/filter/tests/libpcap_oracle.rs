//! Random expressions and packets against the system's libpcap (feature `libpcap-oracle`).

#![cfg(feature = "libpcap-oracle")]

use tickwire_filter::generate::{Expressions, Packets};
use tickwire_filter::{Filter, Options, Packet, classic, link};

const EXPRESSIONS: usize = if cfg!(debug_assertions) { 2_000 } else { 50_000 };
const PACKETS: usize = 100;

/// How many to compare: `TICKWIRE_ORACLE_EXPRESSIONS`, for long runs.
fn count() -> usize {
    std::env::var("TICKWIRE_ORACLE_EXPRESSIONS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(EXPRESSIONS)
}

/// libpcap's program in our own instructions.
fn program(
    capture: &pcap::Capture<pcap::Dead>,
    text: &str,
    optimize: bool,
) -> Result<Oracle, String> {
    let program = capture.compile(text, optimize).map_err(|error| error.to_string())?;
    let instructions = program.get_instructions();
    let lines: String = instructions.iter().map(|insn| format!("{insn}\n")).collect();
    let code = classic::parse(&format!("{}\n{lines}", instructions.len()))?;
    Ok(Oracle { program, code })
}

struct Oracle {
    program: pcap::BpfProgram,
    code: Vec<classic::Insn>,
}

impl Oracle {
    fn run(&self, packet: &Packet<'_>) -> bool {
        let verdict = classic::run(&self.code, packet) != 0;
        if packet.bytes.len() as u32 == packet.wire_len {
            // Our machine is libpcap's.
            assert_eq!(self.program.filter(packet.bytes), verdict, "on {:02x?}", packet.bytes);
        }
        verdict
    }
}

/// A raw IP packet behind the link header of `name`.
fn framed(name: &str, (bytes, wire_len): (Vec<u8>, u32)) -> (Vec<u8>, u32) {
    let six = bytes.first().is_some_and(|first| first >> 4 == 6);
    let mut header = match name {
        "LINUX_SLL" => vec![0, 4, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0],
        "PPP" => vec![0xff, 0x03],
        "NULL" => vec![],
        _ => return (bytes, wire_len),
    };
    header.extend_from_slice(match (name, six) {
        ("LINUX_SLL", false) => &[0x08, 0x00],
        ("LINUX_SLL", true) => &[0x86, 0xdd],
        ("PPP", false) => &[0x00, 0x21],
        ("PPP", true) => &[0x00, 0x57],
        (_, false) => &[2, 0, 0, 0],
        (_, true) => &[10, 0, 0, 0],
    });
    let wire_len = wire_len + header.len() as u32;
    header.extend(bytes);
    (header, wire_len)
}

#[derive(Default)]
struct Tally {
    compared: u64,
    accepted: u64,
    dropped: u64,
    mismatches: Vec<String>,
}

fn compare(name: &str, linktype: pcap::Linktype, optimize: bool, seed: u64) {
    let ethernet = name == "EN10MB";
    let mut expressions = Expressions::new(seed);
    expressions.ethernet = ethernet;
    expressions.changed = false;
    expressions.lists = false;
    let mut packets = Packets::new(seed + 1);
    packets.ethernet = ethernet;
    let capture = pcap::Capture::dead(linktype).unwrap();
    let link_type = link::by_name(name).unwrap();
    let mut tally = Tally::default();
    for _ in 0..count() {
        let text = expressions.expression();
        let options = |optimize| Options { link_type, optimize, ..Options::default() };
        let ours = Filter::compile(&text, &options(optimize));
        let theirs = program(&capture, &text, optimize);
        let theirs = match (&ours, theirs) {
            (_, Ok(theirs)) => theirs,
            (Err(_), Err(_)) => continue,
            (Ok(ours), Err(error)) => {
                // libpcap proves some more expressions empty, or has no register left.
                if !["rejects all", "register"].iter().any(|known| error.contains(known)) {
                    let ours = ours.program();
                    tally.mismatches.push(format!("{text}: libpcap refuses: {error}\n{ours}"));
                }
                continue;
            }
        };
        let plain = (Filter::compile(&text, &options(false)), program(&capture, &text, false));
        for _ in 0..PACKETS {
            let (bytes, wire_len) = framed(name, packets.packet());
            let packet = Packet { bytes: &bytes, wire_len, metadata: None };
            let want = theirs.run(&packet);
            tally.compared += 1;
            tally.accepted += u64::from(want);
            let got = ours.as_ref().is_ok_and(|ours| ours.run(&packet) != 0);
            if got == want {
                continue;
            }
            // Optimisers drop loads, ours not always those that libpcap's does. On a packet that
            // ends before such a load, an optimised program differs from its own plain form.
            if optimize && let (Ok(ours), Ok(theirs)) = &plain {
                let (plain_got, plain_want) = (ours.run(&packet) != 0, theirs.run(&packet));
                if plain_got == plain_want && (plain_got != got || plain_want != want) {
                    tally.dropped += 1;
                    continue;
                }
            }
            tally
                .mismatches
                .push(format!("{text}: libpcap {want}, ours {got} on {bytes:02x?} of {wire_len}"));
            break;
        }
    }
    let Tally { compared, accepted, dropped, mismatches } = tally;
    eprintln!(
        "{name} optimize {optimize}: {compared} verdicts, {accepted} accepted, \
         {dropped} on dropped loads"
    );
    let shown = mismatches.iter().take(12).cloned().collect::<Vec<_>>().join("\n");
    assert!(mismatches.is_empty(), "{} mismatches, seed {seed}\n{shown}", mismatches.len());
}

#[test]
fn ethernet_plain() {
    compare("EN10MB", pcap::Linktype::ETHERNET, false, 1);
}

#[test]
fn ethernet_optimized() {
    compare("EN10MB", pcap::Linktype::ETHERNET, true, 2);
}

#[test]
fn raw_plain() {
    compare("RAW", pcap::Linktype(12), false, 3);
}

#[test]
fn raw_optimized() {
    compare("RAW", pcap::Linktype(12), true, 4);
}

#[test]
fn linux_cooked_plain() {
    compare("LINUX_SLL", pcap::Linktype(113), false, 5);
}

#[test]
fn ppp_plain() {
    compare("PPP", pcap::Linktype(9), false, 6);
}

#[test]
fn loopback_plain() {
    compare("NULL", pcap::Linktype(0), false, 7);
}
