//! The interpreter of the IR: small, obvious, and the oracle that every other back end is tested
//! against.

use crate::ir::{Block, End, Meta, Number, NumberId, Program, SLOTS_MAX, Size, Slot};

/// What is known of a packet beside its bytes, as on a live Linux socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Tag control information of a VLAN tag that is kept beside the frame.
    pub vlan: Option<u16>,
    /// `PACKET_HOST` 0, `PACKET_OUTGOING` 4, …
    pub packet_type: u32,
    /// Index of the interface.
    pub interface_index: u32,
}

/// A packet as a filter sees it.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// The captured bytes.
    pub bytes: &'a [u8],
    /// Length on the wire.
    pub wire_len: u32,
    /// Beside the bytes; without it a test of it rejects.
    pub metadata: Option<Metadata>,
}

impl<'a> Packet<'a> {
    /// A whole packet.
    pub fn whole(bytes: &'a [u8]) -> Self {
        Packet { bytes, wire_len: bytes.len() as u32, metadata: None }
    }

    /// Bytes at `base + offset`, most significant first; none when they are not all there.
    #[inline]
    pub fn load(&self, base: u32, offset: u32, size: Size) -> Option<u32> {
        let start = u64::from(base) + u64::from(offset);
        let start = usize::try_from(start).ok()?;
        let bytes = self.bytes.get(start..)?.get(..size.bytes() as usize)?;
        Some(bytes.iter().fold(0, |value, byte| value << 8 | u32::from(*byte)))
    }

    /// A number that is known beside the bytes.
    pub fn meta(&self, meta: Meta) -> Option<u32> {
        let metadata = self.metadata?;
        Some(match meta {
            Meta::VlanPresent => u32::from(metadata.vlan.is_some()),
            Meta::VlanTci => u32::from(metadata.vlan.unwrap_or(0)),
            Meta::PacketType => metadata.packet_type,
            Meta::InterfaceIndex => metadata.interface_index,
        })
    }
}

/// What `program` returns for `packet`: 0 to reject, else the snap length.
pub fn run(program: &Program, packet: &Packet<'_>) -> u32 {
    match verdict(program, packet) {
        Some(true) => program.snaplen,
        _ => 0,
    }
}

/// Whether `program` accepts `packet`; none where it ends early, and so rejects: at a load behind
/// what was captured, or at a division by 0.
pub fn verdict(program: &Program, packet: &Packet<'_>) -> Option<bool> {
    State { program, packet, slots: [0; SLOTS_MAX] }.run()
}

struct State<'a> {
    program: &'a Program,
    packet: &'a Packet<'a>,
    slots: [u32; SLOTS_MAX],
}

impl State<'_> {
    /// None when a load fails or a division by 0 occurs. Ends: the only cycles count.
    fn run(&mut self) -> Option<bool> {
        let mut at = self.program.entry;
        loop {
            let Block { sets, end } = self.program.block(at);
            for (Slot(slot), number) in sets {
                self.slots[usize::from(*slot)] = self.number(*number)?;
            }
            at = match *end {
                End::Return(verdict) => return Some(verdict),
                End::Jump(to) => to,
                End::Branch { test, yes, no } => {
                    let left = self.number(test.left)?;
                    let right = self.number(test.right)?;
                    if self.program.holds(test, left, right) { yes } else { no }
                }
            };
        }
    }

    /// Recursion is bounded by [`DEPTH_MAX`](crate::ir::DEPTH_MAX).
    fn number(&self, id: NumberId) -> Option<u32> {
        match self.program.number(id) {
            Number::Const(value) => Some(value),
            Number::Slot(Slot(slot)) => Some(self.slots[usize::from(slot)]),
            Number::WireLen => Some(self.packet.wire_len),
            Number::CapturedLen => u32::try_from(self.packet.bytes.len()).ok(),
            Number::Meta(meta) => self.packet.meta(meta),
            Number::Load { base, offset, size } => {
                let base = base.map_or(Some(0), |base| self.number(base))?;
                self.packet.load(base, offset, size)
            }
            // `holds` looks into it.
            Number::List(_) => Some(0),
            Number::Binary(op, left, right) => op.apply(self.number(left)?, self.number(right)?),
        }
    }
}
