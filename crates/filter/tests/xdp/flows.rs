//! The flow of a packet: the same number in the kernel and in user space.

use crate::support::may_load;
use std::num::NonZeroU32;
use tickwire_capture::bpf::Program;
use tickwire_capture::bpf::asm::{Assembler, Reg, XdpAction};
use tickwire_filter::ebpf::{CONTEXT, Sampling, flow};
use tickwire_filter::generate::Packets;

const PACKETS: usize = 5_000;

/// Loads a program that drops what is sampled.
fn load(sampling: Sampling) -> Program {
    let mut asm = Assembler::new();
    let skip = asm.label();
    asm.mov(CONTEXT, Reg::R1);
    sampling.emit(&mut asm, skip);
    asm.exit_with(XdpAction::Drop);
    if asm.is_used(skip) {
        asm.bind(skip);
        asm.exit_with(XdpAction::Pass);
    }
    Program::load_xdp("sampling", &asm.finish().unwrap()).unwrap()
}

fn one_in(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).unwrap()
}

#[test]
fn kernel_and_user_space_sample_the_same_flows() {
    if !may_load("kernel_and_user_space_sample_the_same_flows") {
        return;
    }
    let mut packets = Packets::new(5);
    let programs = [1, 2, 3, 7].map(|count| {
        let sampling = Sampling::Flows(one_in(count));
        (sampling, load(sampling))
    });
    let mut taken = 0;
    for _ in 0..PACKETS {
        let (bytes, _) = packets.packet();
        if bytes.len() < 14 {
            continue;
        }
        for (sampling, program) in &programs {
            let kernel = program.test_run(&bytes, 1).unwrap().verdict == XdpAction::Drop as u32;
            assert_eq!(kernel, sampling.takes(flow::hash(&bytes)), "{sampling:?} {bytes:02x?}");
            taken += usize::from(kernel);
        }
    }
    assert!(taken > PACKETS, "{taken}");
}

/// 1 of 10 of 20 000: 2000, with a standard deviation of 42.
#[test]
fn packets_are_sampled_at_the_rate() {
    if !may_load("packets_are_sampled_at_the_rate") {
        return;
    }
    let program = load(Sampling::Packets(one_in(10)));
    let taken = (0..20_000).filter(|_| program.test_run(&[0; 60], 1).unwrap().verdict == 1).count();
    assert!((1700..2300).contains(&taken), "{taken}");
    let all = load(Sampling::All);
    assert_eq!(all.test_run(&[0; 60], 1).unwrap().verdict, 1);
}
