//! A filter that the kernel runs in front of the ring: classic BPF on the socket.
//!
//! The kernel sees an Ethernet frame without its outer VLAN tag, which lies beside it; whoever
//! reads the ring sees the tag in its place. So that a filter means the same on every port, the
//! kernel decides the frames without a tag, and lets those with one pass: user space decides them.
//! User space runs the whole filter again in any case, because the ring may hold frames that an
//! earlier filter let through.

use tickwire_filter::classic::insn::{AD_VLAN_PRESENT, code};
use tickwire_filter::classic::{INSTRUCTIONS_MAX, Insn};
use tickwire_filter::{Filter, KernelPart};
use tickwire_frame::LinkType;

/// What [`Port::mode`](crate::Port::mode) says of a filter in the kernel, and why user space has
/// something left to decide, where it has.
pub(crate) fn in_kernel(instructions: usize, rest: Option<&str>) -> String {
    let rest = rest.map(|why| format!(", in part, the rest in user space: {why}"));
    format!("{instructions} instructions{}", rest.unwrap_or_default())
}

/// The whole frame: user space filters before anything is cut.
const WHOLE_BYTES: u32 = u32::MAX;

/// The part of a filter that the kernel runs on a packet socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelFilter {
    /// What the first byte of a frame means to it.
    pub link: LinkType,
    /// The program.
    pub program: Vec<Insn>,
    /// Why user space decides some of the frames that pass, where it does.
    pub rest: Option<String>,
}

impl KernelFilter {
    /// The part of `filter` that the kernel can run.
    ///
    /// # Errors
    /// Why it can run none of it, as a text.
    pub fn new(filter: &Filter) -> Result<KernelFilter, String> {
        let KernelPart { program: mut body, rest } = filter.classic_part()?;
        for insn in &mut body {
            if insn.code == code::RET | code::K && insn.k > 0 {
                insn.k = WHOLE_BYTES;
            }
        }
        let link = filter.link_type();
        let mut program = if link == LinkType::ETHERNET { let_tagged_pass() } else { Vec::new() };
        program.append(&mut body);
        if program.len() > INSTRUCTIONS_MAX {
            let len = program.len();
            return Err(format!("{len} instructions, and the kernel takes {INSTRUCTIONS_MAX}"));
        }
        Ok(KernelFilter { link, program, rest })
    }
}

/// Accepts a frame whose VLAN tag lies beside it; else goes on behind these instructions.
fn let_tagged_pass() -> Vec<Insn> {
    use code::{ABS, JEQ, JMP, K, LD, RET, W};
    vec![
        Insn::new(LD | W | ABS, AD_VLAN_PRESENT),
        Insn { code: JMP | JEQ | K, jt: 1, jf: 0, k: 0 },
        Insn::new(RET | K, WHOLE_BYTES),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use tickwire_filter::{Metadata, Options, Packet, classic};

    fn compile(text: &str, link_type: LinkType) -> Filter {
        let options = Options {
            link_type,
            linux_extensions: true,
            tags_in_frame: true,
            ..Options::default()
        };
        Filter::compile(text, &options).unwrap()
    }

    #[test]
    fn tagged_frames_pass_and_others_are_decided() {
        let kernel = KernelFilter::new(&compile("arp", LinkType::ETHERNET)).unwrap();
        let verdict = |ethertype: [u8; 2], vlan| {
            let mut bytes = [0; 60];
            bytes[12..14].copy_from_slice(&ethertype);
            let metadata = Some(Metadata { vlan, ..Metadata::default() });
            classic::run(&kernel.program, &Packet { bytes: &bytes, wire_len: 60, metadata })
        };
        assert_eq!(verdict([8, 6], None), WHOLE_BYTES);
        assert_eq!(verdict([8, 0], None), 0);
        assert_eq!(verdict([8, 0], Some(5)), WHOLE_BYTES, "user space decides");
    }

    #[test]
    fn frames_without_a_place_for_tags_need_no_prologue() {
        let raw = compile("ip", LinkType::RAW);
        let kernel = KernelFilter::new(&raw).unwrap();
        assert_eq!(kernel.program.len(), raw.classic().unwrap().len());
    }

    #[test]
    fn what_the_kernel_cannot_run_is_named() {
        let why =
            KernelFilter::new(&compile("not ip6 protochain 6", LinkType::ETHERNET)).unwrap_err();
        assert!(why.contains("protochain"), "{why}");
        let part = KernelFilter::new(&compile("ip6 protochain 6", LinkType::ETHERNET)).unwrap();
        let said = in_kernel(part.program.len(), part.rest.as_deref());
        assert!(said.contains("in part") && said.contains("protochain"), "{said}");
    }
}
