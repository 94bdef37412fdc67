//! The sending half of a port, for jobs that write frames themselves.

use crate::{Mode, PortError};
use tickwire_frame::Reason;

/// The shortest frame that may be sent: an Ethernet header, in bytes.
pub const FRAME_BYTES_MIN: usize = 14;

/// The sending half of a port: frames are written where they leave from, and kicked in batches.
///
/// ```text
/// slot ─▶ write ─▶ push ─┐
/// slot ─▶ write ─▶ push ─┤ kick ─▶ on the wire, or `lost` with its tag and reason
/// slot ─▶ write ─▶ push ─┘
/// ```
///
/// It belongs to one worker thread, beside the port that it came from, and may be used while a
/// batch of that port is on loan. Each frame that was pushed either leaves, or is reported once to
/// a `lost` of a later call with the tag that it was pushed with; no frame waits for another one
/// to be pushed. So for the caller: frames sent = frames pushed − frames lost.
///
/// None of its methods allocates or reads the clock as long as frames go out.
pub trait Transmitter: Send {
    /// Room for the next frame: [`frame_bytes_max`](Self::frame_bytes_max) bytes of unspecified
    /// content. The same again until [`push`](Self::push) takes it.
    ///
    /// # Errors
    /// Why there is none now, for the caller's count. [`Reason::TxRingFull`]: [`kick`](Self::kick)
    /// and ask once more. [`Reason::LinkDown`]: from when that was seen until a
    /// [`kick`](Self::kick) or [`tick`](Self::tick) that sees the link up again.
    fn slot(&mut self) -> Result<&mut [u8], Reason>;

    /// Queues the first `len` bytes of the slot given last. `tag` is the caller's, and comes back
    /// if the frame is lost.
    ///
    /// # Panics
    /// If `len` is below [`FRAME_BYTES_MIN`] or above the slot's length, or there is no slot: the
    /// caller has a bug.
    fn push(&mut self, len: usize, tag: u32);

    /// Sends all that is queued. Calls `lost` for each frame that did not and will not leave:
    /// [`Reason::LinkDown`] (nothing waits for the link to come back and leaves late then),
    /// [`Reason::TxRefused`] (the other end is down, or a queue on the way stayed full).
    ///
    /// # Errors
    /// The port is broken for good. What the caller can live through is `lost`, no error.
    fn kick(&mut self, lost: &mut dyn FnMut(u32, Reason)) -> Result<(), PortError>;

    /// Housekeeping, about ten times a second, after the tick of the port that it came from: link
    /// state, going on with an interface that was deleted and is back. Frames that the kernel had
    /// when the interface went are `lost` ([`Reason::TxUnfinished`]).
    ///
    /// # Errors
    /// As for [`kick`](Self::kick).
    fn tick(&mut self, lost: &mut dyn FnMut(u32, Reason)) -> Result<(), PortError>;

    /// Called once, at the end: gives the kernel a moment for what it is sending; what it has not
    /// finished then is `lost` ([`Reason::TxUnfinished`]).
    fn finish(&mut self, lost: &mut dyn FnMut(u32, Reason));

    /// The index of the interface that frames leave by. When that was deleted and made again it is
    /// another one, after a [`tick`](Self::tick).
    fn ifindex(&self) -> u32;

    /// The longest frame that can be sent now, in bytes, Ethernet header included. It follows the
    /// MTU, so it may be another one after a [`tick`](Self::tick).
    fn frame_bytes_max(&self) -> usize;

    /// What is in force.
    fn mode(&self) -> Mode;

    /// What a person should know at once, as [`Port::take_notice`](crate::Port::take_notice). The
    /// half of a port says nothing: the port does.
    fn take_notice(&mut self) -> Option<String> {
        None
    }
}
