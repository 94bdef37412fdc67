//! Random expressions and packets: the interpreter and classic BPF agree, optimised or not.

use tickwire_filter::generate::{Expressions, Packets};
use tickwire_filter::{ErrorKind, Filter, Options, Packet, classic};

const EXPRESSIONS: usize = if cfg!(debug_assertions) { 1_500 } else { 20_000 };
const PACKETS: usize = 40;

#[test]
fn back_ends_agree() {
    let mut expressions = Expressions::new(11);
    let mut packets = Packets::new(12);
    let mut accepted = 0u64;
    for _ in 0..EXPRESSIONS {
        let text = expressions.expression();
        let plain = Options { optimize: false, ..Options::default() };
        let (Ok(plain), optimized) =
            (Filter::compile(&text, &plain), Filter::compile(&text, &Options::default()))
        else {
            continue;
        };
        // Unoptimised code may need more memory than classic BPF has, never more jumps.
        let plain_code = plain.classic();
        let optimized = match optimized {
            Ok(filter) => Some((filter.classic(), filter)),
            Err(error) => {
                let known = matches!(error.kind, ErrorKind::RejectsAll | ErrorKind::Value);
                assert!(known, "{text}: {error}");
                None
            }
        };
        for _ in 0..PACKETS {
            let (bytes, wire_len) = packets.packet();
            let packet = Packet { bytes: &bytes, wire_len, metadata: None };
            let want = plain.run(&packet);
            accepted += u64::from(want != 0);
            if let Ok(code) = &plain_code {
                assert_eq!(classic::run(code, &packet), want, "{text} on {bytes:02x?}");
            }
            let Some((code, filter)) = &optimized else {
                assert_eq!(want, 0, "{text} on {bytes:02x?}");
                continue;
            };
            let got = filter.run(&packet);
            // The optimiser drops loads: a packet that is cut inside them may pass.
            if want != 0 || bytes.len() as u32 == wire_len && wire_len > 120 {
                assert!(got >= want, "{text} on {bytes:02x?}");
            }
            if let Ok(code) = code {
                assert_eq!(classic::run(code, &packet), got, "optimised {text} on {bytes:02x?}");
            }
        }
    }
    assert!(accepted > EXPRESSIONS as u64, "only {accepted} packets passed: the pools do not meet");
}
