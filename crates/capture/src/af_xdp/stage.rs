//! A stage of somebody else's in the program: what looks at every frame before the selection does.

use super::config::Selection;
use super::interface::Interface;
use crate::PortError;
use crate::bpf::ProgramInfo;
use crate::bpf::asm::{AsmError, Assembler, Label};
use std::fmt;
use std::sync::{Arc, Weak};

/// Looks at every frame first: ends with a verdict, or goes to `next`, where the frame is selected
/// for the sockets as without it.
pub trait Stage: fmt::Debug + Send + Sync {
    /// Emits its code into a program of an interface. The context is in R6, and must still be there
    /// at `next`; all else may be used, the whole stack too. Each way through it ends with a
    /// verdict in R0 and an exit, or with a jump to `next`: never by falling off its end.
    ///
    /// It is emitted again whenever the selection changes, and when the interface was deleted and
    /// made again. The maps that it names must stay open as long as it lives.
    ///
    /// # Errors
    /// What the assembler says.
    fn emit(&self, asm: &mut Assembler, next: Label) -> Result<(), AsmError>;
}

/// Changes the stage in front of the ports of one interface and what they select, from any thread.
///
/// It does not keep the program there: that goes with the last port.
#[derive(Clone, Debug)]
pub struct StageHandle {
    interface: Weak<Interface>,
}

impl StageHandle {
    pub(super) fn of(interface: &Arc<Interface>) -> StageHandle {
        StageHandle { interface: Arc::downgrade(interface) }
    }

    /// Puts `stage`, or none, in the place of the present one. The program is replaced as a whole:
    /// each frame meets the old one or the new one, and none is lost. While the interface is gone,
    /// it is what comes back with it.
    ///
    /// Takes as long as the verifier does, and holds up no port meanwhile.
    ///
    /// # Errors
    /// The verifier's complaint, missing rights, or that all ports are closed; then the present
    /// stage stays.
    pub fn set_stage(&self, stage: Option<Arc<dyn Stage>>) -> Result<(), PortError> {
        self.interface()?.set_stage(stage)
    }

    /// As [`AfXdp::select`](super::AfXdp::select), which belongs to the worker of its port.
    ///
    /// # Errors
    /// As there, or that all ports are closed.
    pub fn select(&self, selection: &Selection) -> Result<(), PortError> {
        self.interface()?.select(selection)
    }

    /// What the kernel tells of the program that stage and selection have become.
    ///
    /// # Errors
    /// That all ports are closed, or what the kernel says.
    pub fn program(&self) -> Result<ProgramInfo, PortError> {
        self.interface()?.program()
    }

    fn interface(&self) -> Result<Arc<Interface>, PortError> {
        self.interface.upgrade().ok_or_else(|| PortError::Unsupported {
            what: "all ports of the interface are closed, and its program went with them".into(),
            cure: "open a port first".into(),
        })
    }
}
