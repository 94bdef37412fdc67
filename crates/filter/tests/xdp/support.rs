//! Loading a filter and asking the kernel for its verdict.

use tickwire_capture::bpf::asm::{Assembler, Reg, XdpAction};
use tickwire_capture::bpf::{Program, Tables};
use tickwire_filter::ebpf::{CONTEXT, Xdp};
use tickwire_filter::{Packet, interp, ir};

/// The shortest packet of a test run, in bytes.
pub const PACKET_BYTES_MIN: usize = 14;

/// A filter in the kernel.
pub struct Loaded(Program);

impl Loaded {
    /// Loads a filter that drops what it accepts and passes the rest.
    ///
    /// # Panics
    /// When the verifier refuses it.
    pub fn new(xdp: &Xdp) -> Loaded {
        let tables = Tables::of(xdp).expect("maps for the tables");
        let mut asm = Assembler::new();
        let (accept, reject) = (asm.label(), asm.label());
        asm.mov(CONTEXT, Reg::R1);
        xdp.emit(&mut asm, &tables.fds(), accept, reject);
        for (label, action) in [(accept, XdpAction::Drop), (reject, XdpAction::Pass)] {
            if asm.is_used(label) {
                asm.bind(label);
                asm.exit_with(action);
            }
        }
        match Program::load_xdp("filter_test", &asm.finish().expect("labels")) {
            Ok(program) => Loaded(program),
            Err(error) => panic!("{error}\n{}", tickwire_capture::bpf::asm::listing(&xdp.code())),
        }
    }

    /// How many instructions the verifier went through.
    pub fn verified(&self) -> u32 {
        self.0.info().expect("what is known of a program").verified
    }

    /// Whether the kernel accepts the packet.
    pub fn accepts(&self, packet: &[u8]) -> bool {
        let verdict = self.0.test_run(packet, 1).expect("a test run").verdict;
        assert!(verdict == XdpAction::Drop as u32 || verdict == XdpAction::Pass as u32);
        verdict == XdpAction::Drop as u32
    }
}

/// Whether programs may be loaded here; says so when not.
pub fn may_load(test: &str) -> bool {
    let mut asm = Assembler::new();
    asm.exit_with(XdpAction::Pass);
    match Program::load_xdp("probe", &asm.finish().unwrap()) {
        Ok(_) => true,
        Err(error) if error.source.raw_os_error() == Some(libc::EPERM) => {
            eprintln!("SKIPPED: {test}: loading an eBPF program needs CAP_BPF (run as root)");
            false
        }
        Err(error) => panic!("{error}"),
    }
}

/// Fails unless kernel and interpreter agree on the packet; whether they accept it.
pub fn agree(program: &ir::Program, loaded: &Loaded, packet: &[u8], what: &str) -> bool {
    let expected = interp::run(program, &Packet::whole(packet)) != 0;
    let got = loaded.accepts(packet);
    if got != expected {
        let xdp = Xdp::compile(program).unwrap();
        panic!(
            "{what}: interpreter {expected}, kernel {got} for {packet:02x?}\n{program}\n{}",
            tickwire_capture::bpf::asm::listing(&xdp.code())
        );
    }
    expected
}
