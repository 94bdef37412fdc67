//! Which register holds what.
//!
//! A number that was computed stays in its register until the register is needed for another, so
//! that a field which several blocks test is loaded once. Nothing is ever written back: what was
//! displaced is computed again.

use crate::ir::NumberId;
use tickwire_ebpf::Reg;

/// The context of the program. Kept.
pub const CONTEXT: Reg = Reg::R6;
/// The first byte of the packet.
pub(super) const DATA: Reg = Reg::R7;
/// One past its last byte.
pub(super) const DATA_END: Reg = Reg::R8;
/// Those that numbers live in.
const POOL: [Reg; 7] = [Reg::R0, Reg::R1, Reg::R2, Reg::R3, Reg::R4, Reg::R5, Reg::R9];

/// What a register may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// A number, zero-extended.
    Number(NumberId),
    /// The bytes of a number in the order of the packet.
    Raw(NumberId),
    /// The first byte of the packet plus a number, `extent` bytes from which on are there.
    Pointer { base: NumberId, extent: u32 },
}

impl Content {
    pub fn number(self) -> NumberId {
        match self {
            Content::Number(id) | Content::Raw(id) | Content::Pointer { base: id, .. } => id,
        }
    }

    /// Whether it is the same but for the extent of a pointer.
    fn is_like(self, other: Content) -> bool {
        match (self, other) {
            (Content::Pointer { base, .. }, Content::Pointer { base: same, .. }) => base == same,
            _ => self == other,
        }
    }

    /// What is common to two ways.
    fn meet(self, other: Content) -> Option<Content> {
        match (self, other) {
            (Content::Pointer { base, extent }, Content::Pointer { base: same, extent: less }) => {
                (base == same).then(|| Content::Pointer { base, extent: extent.min(less) })
            }
            _ => (self == other).then_some(self),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Cell {
    content: Option<Content>,
    /// When it was last used.
    stamp: u32,
    /// How many computations at hand need it.
    pins: u8,
}

/// The registers at one place of the program.
#[derive(Clone, Debug, Default)]
pub(super) struct Registers {
    cells: [Cell; POOL.len()],
    clock: u32,
}

/// A register of the pool, by its place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held(usize);

impl Held {
    pub fn reg(self) -> Reg {
        POOL[self.0]
    }
}

impl Registers {
    /// The register that holds `content`, pinned; for a pointer whatever its extent.
    pub fn find(&mut self, content: Content) -> Option<Held> {
        let found = |cell: &Cell| cell.content.is_some_and(|held| held.is_like(content));
        let held = Held(self.cells.iter().position(found)?);
        self.pin(held);
        Some(held)
    }

    /// Whether a register holds exactly this.
    pub fn holds(&self, content: Content) -> bool {
        self.cells.iter().any(|cell| cell.content == Some(content))
    }

    /// A register to write to, pinned; none when all are needed.
    pub fn take(&mut self) -> Option<Held> {
        let free = (0..POOL.len()).filter(|at| self.cells[*at].pins == 0);
        // An empty one first, then the one that was not used for the longest time.
        let at = free.min_by_key(|at| {
            let cell = &self.cells[*at];
            (cell.content.is_some(), cell.stamp)
        })?;
        self.cells[at].content = None;
        self.pin(Held(at));
        Some(Held(at))
    }

    /// What `held` holds from now on.
    pub fn set(&mut self, held: Held, content: Option<Content>) {
        self.cells[held.0].content = content;
    }

    /// What it holds.
    pub fn get(&self, held: Held) -> Option<Content> {
        self.cells[held.0].content
    }

    fn pin(&mut self, held: Held) {
        self.clock += 1;
        let cell = &mut self.cells[held.0];
        cell.stamp = self.clock;
        cell.pins += 1;
    }

    /// The register may be reused.
    pub fn release(&mut self, held: Held) {
        self.cells[held.0].pins -= 1;
    }

    /// Whether `held` is pinned by one computation only.
    pub fn is_own(&self, held: Held) -> bool {
        self.cells[held.0].pins == 1
    }

    /// Forgets what `stale` says is no longer so.
    pub fn forget(&mut self, stale: impl Fn(NumberId) -> bool) {
        for cell in &mut self.cells {
            cell.content = cell.content.filter(|content| !stale(content.number()));
        }
    }

    /// What both hold.
    pub fn meet(&self, other: &Registers) -> Registers {
        let mut both = self.clone();
        for (cell, other) in both.cells.iter_mut().zip(&other.cells) {
            cell.content = cell.content.zip(other.content).and_then(|(a, b)| a.meet(b));
        }
        both
    }
}
