//! Numbered packets made in the kernel: XDP live frames.
//!
//! BPF_PROG_TEST_RUN with BPF_F_TEST_XDP_LIVE_FRAMES runs an XDP program on recycled pages, 64 at
//! a time, and carries its verdict out. Our program numbers the frame and redirects it to the
//! interface, so that no system call and no socket buffer is spent on a packet.

use super::{Burst, Schedule, SenderReport, offer};
use crate::error::{LabError, Tried};
use crate::{End, Numbered, SOURCE_PORT_FIRST, Template};
use std::io;
use tickwire_capture::bpf::asm::{Alu, Assembler, Cond, Helper, Reg, Size, XdpAction, xdp_md};
use tickwire_capture::bpf::{Instruction, Map, MapKind, Program};

/// Frames that the kernel sends between two looks at its other work.
const BATCH: u32 = 64;
/// Frames per system call of a flood: a millisecond or so, so that its time limit holds.
const SLICE: u64 = 8192;
/// Longest frame: a page without the kernel's headroom and tailroom.
const FRAME_BYTES_MAX: usize = 3392;
/// Bytes of the map's one value: next number, time of sending, both u64.
const STATE_BYTES: usize = 16;

/// Makes numbered packets in the kernel and sends them out of the interface of `end`.
///
/// The other end must take XDP frames: it runs an XDP program in native mode, or has
/// [`Offload::Gro`](crate::Offload::Gro) on. The receiving half of the veth driver works on the
/// core of the sender.
///
/// What went out is counted by the driver of `end`; what did not is `xdp_xmit_errors` (the queue
/// of the other end is full) or `redirect_failed`. All packets of one slice (what is due, at most
/// 8192) carry the same time.
///
/// # Errors
/// EPERM without CAP_BPF and CAP_NET_ADMIN, ENODEV while there is no interface, ENXIO when the
/// other end takes no XDP frames.
///
/// # Panics
/// As [`Numbered::template`], and above 3392 bytes a frame.
pub fn send_live(
    end: &End,
    packets: &Numbered,
    schedule: &Schedule,
) -> Result<SenderReport, LabError> {
    assert!(packets.frame_bytes <= FRAME_BYTES_MAX, "live frames hold {FRAME_BYTES_MAX} bytes");
    let template = packets.template();
    let index = end.index()?;
    let what = || format!("send live frames on {}", end.name());
    let state = Map::create("tickwire_live", MapKind::Array, 4, STATE_BYTES, 1).tried(what)?;
    let code = numbering_program(&template, &state, index);
    let program = Program::load_xdp("tickwire_live", &code)
        .map_err(|error| LabError::new(what(), io::Error::other(error)))?;
    let before = Transmitted::read(end)?;
    // A redirect finds its interface in the namespace of the caller.
    let result = end.run(|| {
        offer(schedule, SLICE, |number, count, sent_ns| {
            set_state(&state, packets.first + number, sent_ns)?;
            send_slice(&program, &state, template.bytes(), packets.first + number, count)
        })
    });
    let mut report = result.tried(what)?;
    let after = Transmitted::read(end)?;
    report.sent = after.sent - before.sent;
    report.refuse("xdp_xmit_errors", after.errors - before.errors);
    let failed = u64::try_from(report.difference()).unwrap_or_default();
    if failed > 0 && failed == report.offered {
        let nobody = io::Error::from_raw_os_error(libc::ENXIO);
        return Err(LabError::new(what(), nobody)
            .cure("attach an XDP program to the other end, or switch its GRO on"));
    }
    report.refuse("redirect_failed", failed);
    Ok(report)
}

/// What the driver of an end has counted of frames that XDP gave it to transmit.
struct Transmitted {
    sent: u64,
    errors: u64,
}

impl Transmitted {
    fn read(end: &End) -> Result<Self, LabError> {
        let (sent, errors) = (end.driver_sum("xdp_xmit")?, end.driver_sum("xdp_xmit_errors")?);
        Ok(Transmitted { sent, errors })
    }
}

fn set_state(state: &Map, sequence: u64, sent_ns: u64) -> io::Result<()> {
    let value = [sequence.to_ne_bytes(), sent_ns.to_ne_bytes()].concat();
    state.update(&0u32.to_ne_bytes(), &value)
}

/// One system call; `sent` is how many packets were made, sent or not.
fn send_slice(
    program: &Program,
    state: &Map,
    frame: &[u8],
    first: u64,
    count: u64,
) -> io::Result<Burst> {
    match program.send_live(frame, 0, count as u32, BATCH) {
        Ok(()) => Ok(Burst { sent: count, refused: None }),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {
            let value = state.lookup(&0u32.to_ne_bytes())?.unwrap_or_default();
            let (words, _) = value.as_chunks::<8>();
            let next = words.first().map_or(first, |&word| u64::from_ne_bytes(word));
            Ok(Burst { sent: next - first, refused: None })
        }
        Err(error) => Err(error),
    }
}

/// The XDP program: writes number, time, source port and checksum into the frame, redirects it.
fn numbering_program(template: &Template, state: &Map, ifindex: u32) -> Vec<Instruction> {
    use Reg::{R0, R1, R2, R3, R6, R7, R8, R9, R10};
    let (udp, payload) = (template.udp as i16, template.payload() as i16);
    let mut asm = Assembler::new();
    let broken = asm.label();
    // R6: the frame, long enough for the number.
    asm.load(Size::U32, R6, R1, xdp_md::DATA);
    asm.load(Size::U32, R2, R1, xdp_md::DATA_END);
    asm.mov(R3, R6);
    asm.alu(Alu::Add, R3, i32::from(payload) + crate::NUMBER_BYTES as i32);
    asm.jump_if(Cond::Gt, R3, R2, broken);
    // R8: the number, which grows by one in the map. R9: the time.
    asm.store(Size::U32, R10, -4, 0);
    asm.load_map(R1, state);
    asm.mov(R2, R10);
    asm.alu(Alu::Add, R2, -4);
    asm.call(Helper::MapLookup);
    asm.jump_if(Cond::Eq, R0, 0, broken);
    asm.load(Size::U64, R8, R0, 0);
    asm.load(Size::U64, R9, R0, 8);
    asm.mov(R1, R8);
    asm.alu(Alu::Add, R1, 1);
    asm.store(Size::U64, R0, 0, R1);
    // R7: the sum of the datagram.
    asm.mov(R7, template.sum as i32);
    asm.mov(R1, R8);
    asm.alu(Alu::Mod, R1, i32::from(template.flows));
    asm.alu(Alu::Add, R1, i32::from(SOURCE_PORT_FIRST));
    asm.alu(Alu::Add, R7, R1);
    asm.to_be(R1, 16);
    asm.store(Size::U16, R6, udp, R1);
    for (value, offset) in [(R8, payload + 4), (R9, payload + 12)] {
        if template.checksum {
            add_words(&mut asm, R7, value);
        }
        asm.to_be(value, 64);
        asm.store(Size::U64, R6, offset, value);
    }
    if template.checksum {
        store_checksum(&mut asm, R7, R6, udp + 6);
    }
    asm.mov(R1, ifindex as i32);
    asm.mov(R2, 0);
    asm.call(Helper::Redirect);
    asm.exit();
    asm.bind(broken);
    asm.exit_with(XdpAction::Aborted);
    asm.finish().expect("every label is bound and every jump is short")
}

/// `sum += ` the four 16-bit words of `value`.
fn add_words(asm: &mut Assembler, sum: Reg, value: Reg) {
    for shift in [0, 16, 32, 48] {
        asm.mov(Reg::R1, value);
        asm.alu(Alu::Rsh, Reg::R1, shift);
        asm.alu(Alu::And, Reg::R1, 0xffff);
        asm.alu(Alu::Add, sum, Reg::R1);
    }
}

/// Folds `sum` and stores its complement, never 0 (RFC 768).
fn store_checksum(asm: &mut Assembler, sum: Reg, frame: Reg, offset: i16) {
    for _ in 0..2 {
        asm.mov(Reg::R1, sum);
        asm.alu(Alu::Rsh, Reg::R1, 16);
        asm.alu(Alu::And, sum, 0xffff);
        asm.alu(Alu::Add, sum, Reg::R1);
    }
    asm.alu(Alu::Xor, sum, 0xffff);
    let not_zero = asm.label();
    asm.jump_if(Cond::Ne, sum, 0, not_zero);
    asm.mov(sum, 0xffff);
    asm.bind(not_zero);
    asm.to_be(sum, 16);
    asm.store(Size::U16, frame, offset, sum);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Number, require_root};

    /// Run on the frame before, as on a recycled page, over a wrap of the checksum and the flows.
    #[test]
    fn the_program_numbers_frames_as_the_template_does() {
        require_root!("the_program_numbers_frames_as_the_template_does");
        for (v6, checksum) in [(false, true), (false, false), (true, true)] {
            let address = |last: u8| -> std::net::IpAddr {
                if v6 {
                    [0xfd00, 0, 0, 0, 0, 0, 0, last.into()].into()
                } else {
                    [10, 0, 0, last].into()
                }
            };
            let packets = Numbered {
                macs: ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]),
                addresses: (address(1), address(2)),
                port: 5000,
                flows: 5,
                vlans: vec![7],
                frame_bytes: 101,
                checksum,
                first: 0,
            };
            let template = packets.template();
            let state = Map::create("live_test", MapKind::Array, 4, STATE_BYTES, 1).unwrap();
            let code = numbering_program(&template, &state, 1);
            let program = Program::load_xdp("live_test", &code).unwrap();
            let (first, time) = (0xffff_ffff_ffff_0000, 0x0123_4567_89ab_cdef);
            set_state(&state, first, time).unwrap();
            let mut frame = template.bytes().to_vec();
            for sequence in first..first + 3000 {
                let run = program.test_run(&frame, 1).unwrap();
                assert_eq!(run.verdict, XdpAction::Redirect as u32);
                assert_eq!(run.packet, template.frame(sequence, time));
                assert!(Number::of_frame(&run.packet).unwrap().checksum_right);
                frame = run.packet;
            }
        }
    }
}
