//! What makes copies: the command in its modes, and references that do nothing else.

use super::Cores;
use crate::live::Failure;
use crate::live::programs::{Compiled, Program, on_core};
use std::fmt::Write as _;
use std::process::Stdio;
use tickwire_capture::bpf::asm::Reg::{R1, R2, R3, R4, R5};
use tickwire_capture::bpf::asm::{Alu, Assembler, Cond, Helper, Size, XdpAction, xdp_md};
use tickwire_capture::bpf::{AttachMode, Program as XdpProgram, XdpLink};
use tickwire_lab::{Lab, Numbered};

/// The port of the first subscriber; the others follow.
pub const PORT_FIRST: u16 = 6000;

/// The references in C, compiled.
pub struct References {
    sockets: Compiled,
    xsk: Compiled,
}

impl References {
    /// # Errors
    /// Without a C compiler.
    pub fn compile() -> Result<Self, Failure> {
        Ok(References {
            sockets: Compiled::new("sockets", include_bytes!("../../replicate/sockets.c"))?,
            xsk: Compiled::new("xsk", include_bytes!("../../replicate/xsk.c"))?,
        })
    }

    /// Copies through sockets, in one of the ways that `sockets.c` knows.
    pub fn sockets(
        &self,
        lab: &Lab,
        cores: Cores,
        way: &str,
        subscribers: u16,
    ) -> Result<Program, Failure> {
        let mut command = self.sockets.on_core(cores.replicator);
        let packets = Numbered::between(&lab.left, &lab.right);
        command
            .args([way, &lab.right.ipv4().to_string(), &packets.port.to_string()])
            .args([&lab.left.ipv4().to_string(), &PORT_FIRST.to_string()])
            .arg(subscribers.to_string());
        Program::start(lab, command, "ready")
    }

    /// Transmits copies that lie ready.
    pub fn raw(&self, lab: &Lab, cores: Cores) -> Result<Program, Failure> {
        let to_subscriber =
            Numbered { port: PORT_FIRST, ..Numbered::between(&lab.right, &lab.left) };
        let frame = to_subscriber.template().frame(0, 0);
        let hex = frame.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        let mut command = self.xsk.on_core(cores.replicator);
        command.args(["raw", lab.right.name(), &hex]);
        Program::start(lab, command, "ready")
    }

    /// Returns each frame over an AF_XDP socket.
    pub fn echo(&self, lab: &Lab, cores: Cores) -> Result<Program, Failure> {
        let mut command = self.xsk.on_core(cores.replicator);
        command.args(["echo", lab.right.name()]);
        Program::start(lab, command, "ready")
    }
}

/// `tickwire replicate` in a mode; `more` are further arguments.
pub fn tickwire(
    lab: &Lab,
    cores: Cores,
    mode: &str,
    subscribers: u16,
    more: &[&str],
) -> Result<Program, Failure> {
    let binary = std::env::current_exe()?.with_file_name("tickwire");
    if !binary.exists() {
        let text = "is not there; build it first with `cargo build --release -p tickwire`";
        return Err(format!("{} {text}", binary.display()).into());
    }
    let mut command = on_core(cores.replicator, &binary);
    let packets = Numbered::between(&lab.left, &lab.right);
    command
        .args(["replicate", "-i", lab.right.name(), "--mode", mode])
        .args(["--listen", &format!("{}:{}", lab.right.ipv4(), packets.port)])
        .args(["--cores", &cores.replicator.to_string()])
        .args(more)
        .stdin(Stdio::null());
    for port in PORT_FIRST..PORT_FIRST + subscribers {
        command.args(["--subscriber", &format!("{}:{port}", lab.left.ipv4())]);
    }
    Program::start(lab, command, "ready")
}

/// The least that an echo in XDP can do: swaps the addresses of each long enough frame and sends it
/// back, by XDP_TX or by a redirect to the interface that it came from.
pub fn xdp_echo(lab: &Lab, redirects: bool) -> Result<XdpLink, Failure> {
    /// Ethernet, IPv4 without options, UDP ports.
    const BYTES: i32 = 38;
    /// Where two fields of so many bytes change places.
    const SWAPS: [(Size, i16, i16); 4] =
        [(Size::U32, 0, 6), (Size::U16, 4, 10), (Size::U32, 26, 30), (Size::U16, 34, 36)];
    let mut asm = Assembler::new();
    let pass = asm.label();
    asm.load(Size::U32, R2, R1, xdp_md::DATA);
    asm.load(Size::U32, R3, R1, xdp_md::DATA_END);
    asm.mov(R4, R2);
    asm.alu(Alu::Add, R4, BYTES);
    asm.jump_if(Cond::Gt, R4, R3, pass);
    for (size, one, other) in SWAPS {
        asm.load(size, R4, R2, one);
        asm.load(size, R5, R2, other);
        asm.store(size, R2, one, R5);
        asm.store(size, R2, other, R4);
    }
    let index = lab.right.index()?;
    if redirects {
        asm.mov(R1, index as i32);
        asm.mov(R2, 0);
        asm.call(Helper::Redirect);
        asm.exit();
    } else {
        asm.exit_with(XdpAction::Tx);
    }
    asm.bind(pass);
    asm.exit_with(XdpAction::Pass);
    let program = XdpProgram::load_xdp("bench_echo", &asm.finish()?)?;
    Ok(lab.right.run(|| XdpLink::attach(&program, index, AttachMode::Native))?)
}
