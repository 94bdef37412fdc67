//! `PACKET_FANOUT`: the kernel deals the frames of one interface out to several sockets.

use super::socket::PacketSocket;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// By what the kernel deals frames out to the workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fanout {
    /// By a hash over addresses and ports: a flow stays with one worker, in order.
    #[default]
    Hash,
    /// Round robin: even load, but the frames of a flow are spread over all workers.
    RoundRobin,
    /// By the CPU that the kernel handled the frame on.
    Cpu,
    /// By the receive queue of the card.
    Queue,
}

impl Fanout {
    fn kernel_mode(self) -> u32 {
        match self {
            Fanout::Hash => libc::PACKET_FANOUT_HASH,
            Fanout::RoundRobin => libc::PACKET_FANOUT_LB,
            Fanout::Cpu => libc::PACKET_FANOUT_CPU,
            Fanout::Queue => libc::PACKET_FANOUT_QM,
        }
    }

    /// The name that the mode line says.
    pub(super) fn name(self) -> &'static str {
        match self {
            Fanout::Hash => "hash",
            Fanout::RoundRobin => "round robin",
            Fanout::Cpu => "cpu",
            Fanout::Queue => "queue",
        }
    }
}

/// The group that the sockets of one `open` share. A group belongs to one interface: when that was
/// made again, the first socket that reopens founds a new group, and the others join it.
#[derive(Clone, Debug)]
pub(super) struct Group {
    mode: Fanout,
    current: Arc<Mutex<Option<Founded>>>,
}

#[derive(Clone, Copy, Debug)]
struct Founded {
    interface: u32,
    id: u16,
}

impl Group {
    pub fn new(mode: Fanout) -> Self {
        Group { mode, current: Arc::new(Mutex::new(None)) }
    }

    /// Makes `socket`, which is bound to `interface`, a member. Whether outgoing frames are ignored
    /// is a property of the group: what a member socket says of it has no effect.
    pub fn join(
        &self,
        socket: &PacketSocket,
        interface: u32,
        ignore_outgoing: bool,
    ) -> io::Result<()> {
        let mut mode = self.mode.kernel_mode();
        if ignore_outgoing {
            mode |= libc::PACKET_FANOUT_FLAG_IGNORE_OUTGOING;
        }
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(group) = current.filter(|group| group.interface == interface) {
            return set(socket, group.id, mode);
        }
        // The kernel itself finds a number that nobody uses: no guessing, no race.
        set(socket, 0, mode | libc::PACKET_FANOUT_FLAG_UNIQUEID)?;
        let answer: libc::c_uint = socket.option(libc::SOL_PACKET, libc::PACKET_FANOUT)?;
        *current = Some(Founded { interface, id: answer as u16 });
        Ok(())
    }
}

/// The kernel's `int`: the number of the group below, mode and flags above.
fn set(socket: &PacketSocket, id: u16, mode_and_flags: u32) -> io::Result<()> {
    socket.set(libc::PACKET_FANOUT, &(u32::from(id) | mode_and_flags << 16))
}
