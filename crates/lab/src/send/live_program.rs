//! The XDP program that numbers live frames, assembled.
//!
//! For each frame: stop when all are sent; at the head of each batch look at the clock, stop when
//! the time is up, wait until the frame is due, give up (and drop the page, without using up a
//! number) when that takes too long for one run; then write headers, number, time and checksum and
//! redirect. The headers anew each time: pages come back as the receiver has left them, and a
//! replicator in XDP writes its own.

use crate::message::NUMBER_BYTES;
use crate::numbered::Template;
use tickwire_capture::bpf::asm::Reg::{R0, R1, R2, R3, R6, R7, R8, R9, R10};
use tickwire_capture::bpf::asm::{
    Alu, Assembler, Cond, Helper, Label, Reg, Size, XdpAction, xdp_md,
};
use tickwire_capture::bpf::{Instruction, Map};

/// How often one run looks at the clock before it gives up; each look takes 15 ns or more.
const LOOKS_MAX: i32 = 1024;
/// Fractional bits of the time between two packets, in nanoseconds.
const INTERVAL_BITS: i32 = 10;

/// Declares the value of the program's map: every field is a u64, in this order.
macro_rules! state {
    ($($(#[$doc:meta])* $field:ident),+ $(,)?) => {
        /// What program and user space share.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub(super) struct State { $($(#[$doc])* pub $field: u64),+ }

        /// Index of each field.
        #[allow(non_camel_case_types)]
        enum Field { $($field),+ }

        impl State {
            pub fn to_bytes(self) -> Vec<u8> {
                [$(self.$field),+].into_iter().flat_map(u64::to_ne_bytes).collect()
            }

            pub fn from_bytes(bytes: &[u8]) -> Self {
                let (words, _) = bytes.as_chunks::<8>();
                let mut words = words.iter().map(|&word| u64::from_ne_bytes(word));
                State { $($field: words.next().unwrap_or_default()),+ }
            }
        }
    };
}

state! {
    /// Number of the next packet.
    next,
    /// Number of the first packet.
    first,
    /// One past the last number.
    end,
    /// When the first packet was due; 0 before. CLOCK_MONOTONIC, as all times but the packet's.
    start_ns,
    /// When the last batch left.
    now_ns,
    /// When to stop.
    deadline_ns,
    /// The longest time that a batch left later than planned.
    late_ns_max,
    /// What makes time since the Unix epoch of CLOCK_MONOTONIC.
    unix_offset_ns,
}

/// Bytes of the map's one value.
pub(super) const STATE_BYTES: usize = size_of::<State>();

impl Field {
    /// Offset in the value.
    const fn at(self) -> i16 {
        self as i16 * 8
    }
}

/// How fast the program is to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Frames between two looks at the clock: a power of two.
    pub batch: u32,
    /// Packets per second; as many as go without.
    pub rate_pps: Option<f64>,
}

/// Assembles the program for packets of `template` that go to the one interface of `target`, a
/// device map: by map a redirect is a tenth faster than by index.
///
/// R6 is the frame, R7 the state, R8 the number.
pub(super) fn numbering_program(
    template: &Template,
    state: &Map,
    target: &Map,
    pace: Pace,
) -> Vec<Instruction> {
    let mut asm = Assembler::new();
    let (number, drop) = (asm.label(), asm.label());
    find_frame_and_state(&mut asm, template, state, drop);
    asm.load(Size::U64, R1, R7, Field::end.at());
    asm.jump_if(Cond::Ge, R8, R1, drop);
    // R9: how many went before it. Only the first of a batch looks at the clock.
    asm.mov(R9, R8);
    asm.load(Size::U64, R1, R7, Field::first.at());
    asm.alu(Alu::Sub, R9, R1);
    asm.mov(R1, R9);
    asm.alu(Alu::And, R1, pace.batch as i32 - 1);
    asm.jump_if(Cond::Ne, R1, 0, number);
    look_at_clock(&mut asm, pace, drop);
    asm.bind(number);
    write_number(&mut asm, template);
    asm.load_map(R1, target);
    asm.mov(R2, 0);
    asm.mov(R3, XdpAction::Drop as i32);
    asm.call(Helper::RedirectMap);
    asm.exit();
    asm.bind(drop);
    asm.exit_with(XdpAction::Drop);
    asm.finish().expect("every label is bound and every jump is short")
}

fn find_frame_and_state(asm: &mut Assembler, template: &Template, state: &Map, drop: Label) {
    asm.load(Size::U32, R6, R1, xdp_md::DATA);
    asm.load(Size::U32, R2, R1, xdp_md::DATA_END);
    asm.mov(R3, R6);
    asm.alu(Alu::Add, R3, (template.payload() + NUMBER_BYTES) as i32);
    asm.jump_if(Cond::Gt, R3, R2, drop);
    asm.store(Size::U32, R10, -4, 0);
    asm.load_map(R1, state);
    asm.mov(R2, R10);
    asm.alu(Alu::Add, R2, -4);
    asm.call(Helper::MapLookup);
    asm.jump_if(Cond::Eq, R0, 0, drop);
    asm.mov(R7, R0);
    asm.load(Size::U64, R8, R7, Field::next.at());
}

/// Goes on when packet R9 (counted from the first) is due, with the time in the state; R8 is the
/// counter of the loop meanwhile.
fn look_at_clock(asm: &mut Assembler, pace: Pace, drop: Label) {
    let (started, again, due, late, in_time) =
        (asm.label(), asm.label(), asm.label(), asm.label(), asm.label());
    asm.load(Size::U64, R1, R7, Field::start_ns.at());
    asm.jump_if(Cond::Ne, R1, 0, started);
    asm.call(Helper::KtimeGetNs);
    asm.store(Size::U64, R7, Field::start_ns.at(), R0);
    asm.bind(started);
    // R9: when it is due; a flood is always due.
    let interval = pace.rate_pps.map_or(0.0, |rate| 1e9 / rate * f64::from(1 << INTERVAL_BITS));
    asm.load_imm64(R1, interval as u64);
    asm.alu(Alu::Mul, R9, R1);
    asm.alu(Alu::Rsh, R9, INTERVAL_BITS);
    asm.load(Size::U64, R1, R7, Field::start_ns.at());
    asm.alu(Alu::Add, R9, R1);
    asm.mov(R8, LOOKS_MAX);
    asm.bind(again);
    asm.call(Helper::KtimeGetNs);
    asm.load(Size::U64, R1, R7, Field::deadline_ns.at());
    asm.jump_if(Cond::Ge, R0, R1, late);
    asm.jump_if(Cond::Ge, R0, R9, due);
    asm.alu(Alu::Sub, R8, 1);
    asm.jump_if(Cond::Ne, R8, 0, again);
    asm.jump(drop);
    // The time is up: the next number is the end.
    asm.bind(late);
    asm.load(Size::U64, R1, R7, Field::next.at());
    asm.store(Size::U64, R7, Field::end.at(), R1);
    asm.jump(drop);
    asm.bind(due);
    asm.store(Size::U64, R7, Field::now_ns.at(), R0);
    asm.load(Size::U64, R8, R7, Field::next.at());
    if pace.rate_pps.is_some() {
        asm.alu(Alu::Sub, R0, R9);
        asm.load(Size::U64, R1, R7, Field::late_ns_max.at());
        asm.jump_if(Cond::Le, R0, R1, in_time);
        asm.store(Size::U64, R7, Field::late_ns_max.at(), R0);
    }
    asm.bind(in_time);
}

/// Makes the frame packet R8, as [`Template::fill`] does, and counts it.
fn write_number(asm: &mut Assembler, template: &Template) {
    let (udp, payload) = (template.udp as i16, template.payload() as i16);
    write_headers(asm, &template.bytes()[..template.payload()]);
    asm.mov(R1, R8);
    asm.alu(Alu::Add, R1, 1);
    asm.store(Size::U64, R7, Field::next.at(), R1);
    // R9: the time in the packet. R7, whose work is done: the sum of the datagram.
    asm.load(Size::U64, R9, R7, Field::now_ns.at());
    asm.load(Size::U64, R1, R7, Field::unix_offset_ns.at());
    asm.alu(Alu::Add, R9, R1);
    asm.mov(R7, template.sum as i32);
    asm.mov(R1, i32::from(template.source_port));
    if template.flows > 1 {
        // A division: 5 ns that one flow need not pay.
        asm.mov(R2, R8);
        asm.alu(Alu::Mod, R2, i32::from(template.flows));
        asm.alu(Alu::Add, R1, R2);
    }
    asm.alu(Alu::Add, R7, R1);
    asm.to_be(R1, 16);
    asm.store(Size::U16, R6, udp, R1);
    for (value, offset) in [(R8, payload + 4), (R9, payload + 12)] {
        if template.checksum {
            add_words(asm, R7, value);
        }
        asm.to_be(value, 64);
        asm.store(Size::U64, R6, offset, value);
    }
    if template.checksum {
        store_checksum(asm, R7, udp + 6);
    }
}

/// Stores constants over all headers, which are a whole number of 16-bit words.
fn write_headers(asm: &mut Assembler, headers: &[u8]) {
    let (longs, words) = headers.as_chunks::<8>();
    for (at, long) in (0..).step_by(8).zip(longs) {
        asm.load_imm64(R1, u64::from_ne_bytes(*long));
        asm.store(Size::U64, R6, at, R1);
    }
    let (words, _) = words.as_chunks::<2>();
    for (at, word) in (longs.len() as i16 * 8..).step_by(2).zip(words) {
        asm.store(Size::U16, R6, at, i32::from(u16::from_ne_bytes(*word)));
    }
}

/// `sum += ` the four 16-bit words of `value`.
fn add_words(asm: &mut Assembler, sum: Reg, value: Reg) {
    for shift in [0, 16, 32, 48] {
        asm.mov(R1, value);
        asm.alu(Alu::Rsh, R1, shift);
        asm.alu(Alu::And, R1, 0xffff);
        asm.alu(Alu::Add, sum, R1);
    }
}

/// Folds `sum` and stores its complement, never 0 (RFC 768), in the frame at R6.
fn store_checksum(asm: &mut Assembler, sum: Reg, offset: i16) {
    for _ in 0..2 {
        asm.mov(R1, sum);
        asm.alu(Alu::Rsh, R1, 16);
        asm.alu(Alu::And, sum, 0xffff);
        asm.alu(Alu::Add, sum, R1);
    }
    asm.alu(Alu::Xor, sum, 0xffff);
    let not_zero = asm.label();
    asm.jump_if(Cond::Ne, sum, 0, not_zero);
    asm.mov(sum, 0xffff);
    asm.bind(not_zero);
    asm.to_be(sum, 16);
    asm.store(Size::U16, R6, offset, sum);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Message, Number, Numbered, SOURCE_PORT_FIRST, require_root};
    use std::net::IpAddr;
    use tickwire_capture::bpf::{MapKind, Program};

    const KEY: [u8; 4] = [0; 4];

    fn load(packets: &Numbered, pace: Pace, state: State) -> (Program, Map) {
        let map = Map::create("live_test", MapKind::Array, 4, STATE_BYTES, 1).unwrap();
        map.update(&KEY, &state.to_bytes()).unwrap();
        let target = Map::create("live_target", MapKind::DevMap, 4, 4, 1).unwrap();
        // The loopback interface, to which nothing goes in a test run.
        target.update(&KEY, &1u32.to_ne_bytes()).unwrap();
        let code = numbering_program(&packets.template(), &map, &target, pace);
        (Program::load_xdp("live_test", &code).unwrap(), map)
    }

    fn read(map: &Map) -> State {
        State::from_bytes(&map.lookup(&KEY).unwrap().unwrap())
    }

    fn packets(v6: bool, checksum: bool) -> Numbered {
        let address = |last: u8| -> IpAddr {
            match v6 {
                true => [0xfd00, 0, 0, 0, 0, 0, 0, last.into()].into(),
                false => [10, 0, 0, last].into(),
            }
        };
        Numbered {
            macs: ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]),
            addresses: (address(1), address(2)),
            port: 5000,
            source_port: SOURCE_PORT_FIRST,
            flows: 5,
            ttl: 64,
            vlans: vec![7],
            frame_bytes: 101,
            checksum,
            message: Message::Numbered,
            first: 0,
        }
    }

    /// Each run on the frame of the one before, as on a recycled page, with headers of somebody
    /// else's.
    #[test]
    fn the_program_numbers_frames_as_the_template_does() {
        require_root!("the_program_numbers_frames_as_the_template_does");
        for (v6, checksum) in [(false, true), (false, false), (true, true)] {
            let packets = packets(v6, checksum);
            let first = 0xffff_ffff_ffff_0000;
            let (end, deadline_ns) = (first + 3000, u64::MAX);
            let unix_offset_ns = 1_600_000_000_000_000_000;
            let state =
                State { next: first, first, end, deadline_ns, unix_offset_ns, ..State::default() };
            let (program, map) = load(&packets, Pace { batch: 64, rate_pps: None }, state);
            let template = packets.template();
            let mut frame = template.bytes().to_vec();
            for sequence in first..end {
                let run = program.test_run(&frame, 1).unwrap();
                assert_eq!(run.verdict, XdpAction::Redirect as u32);
                let sent_ns = read(&map).now_ns + unix_offset_ns;
                assert_eq!(run.packet, template.frame(sequence, sent_ns));
                assert!(Number::of_frame(&run.packet).unwrap().checksum_right);
                frame = run.packet;
                frame[..template.payload()].fill(0xee);
            }
            let run = program.test_run(&frame, 1).unwrap();
            assert_eq!(run.verdict, XdpAction::Drop as u32, "all are sent");
        }
    }

    #[test]
    fn what_is_not_due_waits_and_what_is_too_late_stays() {
        require_root!("what_is_not_due_waits_and_what_is_too_late_stays");
        let packets = packets(false, true);
        let pace = Pace { batch: 1, rate_pps: Some(20.0) };
        let state = State { end: 10, deadline_ns: u64::MAX, ..State::default() };
        let (program, map) = load(&packets, pace, state);
        let frame = packets.template().frame(0, 0);
        let verdict = || program.test_run(&frame, 1).unwrap().verdict;
        assert_eq!(verdict(), XdpAction::Redirect as u32, "the first is due at once");
        assert_eq!(verdict(), XdpAction::Drop as u32, "the second is due after 50 ms");
        assert_eq!(read(&map).next, 1);
        std::thread::sleep(std::time::Duration::from_millis(60));
        assert_eq!(verdict(), XdpAction::Redirect as u32);
        assert!((5_000_000..2_000_000_000).contains(&read(&map).late_ns_max));
        map.update(&KEY, &State { deadline_ns: 1, ..read(&map) }.to_bytes()).unwrap();
        assert_eq!(verdict(), XdpAction::Drop as u32);
        assert_eq!((read(&map).next, read(&map).end), (2, 2));
    }
}
