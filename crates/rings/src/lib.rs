//! Rings: memory that two sides share without a lock, one that writes and one that reads.
//!
//! * [`index`]: the protocol of the two indexes, the same for every ring here.
//! * [`ring`]: the four rings of an AF_XDP socket (fill, RX, TX, completion); both ends can be
//!   built over plain memory too ([`memory`]), so they are tested without a kernel.
//! * [`frames`]: where every frame of a UMEM is, so that none is forgotten and none is used twice.
//! * [`tx_queue`]: frames on their way out, and which of them were lost.
//! * [`spsc`]: a ring of our own that carries captured frames from one thread to another.
//!
//! Nothing in here allocates after creation, blocks, or makes a system call. Indexes are u32 that
//! wrap at 2^32; every test starts just below the wrap too.

pub mod frames;
pub mod index;
pub mod memory;
pub mod ring;
#[cfg(not(loom))]
pub mod spsc;
mod sync;
pub mod tx_queue;

pub use frames::{FrameCount, Frames, Misplaced};
pub use ring::{Consumer, Descriptor, Parts, Producer, RING_SIZE_MAX};
pub use tx_queue::TxQueue;
