//! A bounded ring that carries captured frames from one thread (a worker) to one other (a writer
//! or printer), copied, in order, wait-free on both ends.
//!
//! Records lie one after the other in one block of 64-bit words; the shared indexes count words
//! (protocol: [`crate::index`]). A record never wraps around the end: when it does not fit before
//! it, a padding mark fills the rest and the record begins at word 0.
//!
//! ```text
//! word 0   captured length (u32) · length on the wire (u32)      length 2^32 − 1: padding mark
//! word 1   timestamp in ns
//! word 2   link type (u16) · flags (u8) · 0 (u8) · interface (u32)
//! word 3…  the captured bytes, the last word padded
//! ```
//!
//! Push a whole batch, then [`publish`](FrameProducer::publish) once: one release store and one
//! cache-line move per batch instead of per frame.

use crate::index::{ConsumerIndex, ProducerIndex};
use crate::sync::{Arc, AtomicBool, AtomicU32, Ordering, UnsafeCell};
use std::collections::TryReserveError;
use std::fmt;
use std::ptr::NonNull;
use tickwire_frame::{Batch, Flags, Frame, LinkType, Timestamp};

/// The largest ring, in bytes.
pub const CAPACITY_BYTES_MAX: usize = 1 << 31;
/// The smallest ring, in bytes.
pub const CAPACITY_BYTES_MIN: usize = 4096;

const WORD_BYTES: usize = 8;
const HEADER_WORDS: u32 = 3;
/// The captured length of a padding mark.
const PADDING: u32 = u32::MAX;

/// Keeps what different cores write on different cache lines (two of them: processors fetch
/// pairs).
#[derive(Debug)]
#[repr(align(128))]
struct Apart<T>(T);

#[derive(Debug)]
struct Shared {
    producer: Apart<AtomicU32>,
    consumer: Apart<AtomicU32>,
    producer_gone: AtomicBool,
    consumer_gone: AtomicBool,
    words: Box<[UnsafeCell<u64>]>,
}

// SAFETY: `words` are touched only by the two ends under the index protocol: the producer writes
// free words, the consumer reads published ones. The rest is atomic.
unsafe impl Sync for Shared {}
// SAFETY: plain data.
unsafe impl Send for Shared {}

/// Why a frame was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// No room now: the other side is behind.
    #[error("the ring is full")]
    Full,
    /// Larger than half of the ring: there will never be room.
    #[error("the frame is longer than half of the ring")]
    TooLong,
}

/// The end that copies frames in. Dropping it publishes what was pushed.
pub struct FrameProducer {
    index: ProducerIndex,
    size: u32,
    shared: Arc<Shared>,
}

/// The end that reads frames.
pub struct FrameConsumer {
    index: ConsumerIndex,
    size: u32,
    shared: Arc<Shared>,
}

/// A ring of at least `capacity_bytes` (rounded up to a power of two within the limits). A frame
/// takes 24 bytes and its captured bytes, rounded up to a multiple of 8.
///
/// # Errors
/// There is no memory for it.
pub fn frame_ring(
    capacity_bytes: usize,
) -> Result<(FrameProducer, FrameConsumer), TryReserveError> {
    frame_ring_from(capacity_bytes, 0)
}

/// As [`frame_ring`], with both indexes at `start`: for tests of the wrap at 2^32.
fn frame_ring_from(
    capacity_bytes: usize,
    start: u32,
) -> Result<(FrameProducer, FrameConsumer), TryReserveError> {
    let bytes = capacity_bytes.clamp(CAPACITY_BYTES_MIN, CAPACITY_BYTES_MAX).next_power_of_two();
    let size = (bytes / WORD_BYTES) as u32;
    let mut words = Vec::new();
    words.try_reserve_exact(size as usize)?;
    words.extend((0..size).map(|_| UnsafeCell::new(0)));
    let shared = Arc::new(Shared {
        producer: Apart(AtomicU32::new(start)),
        consumer: Apart(AtomicU32::new(start)),
        producer_gone: AtomicBool::new(false),
        consumer_gone: AtomicBool::new(false),
        words: words.into(),
    });
    let (producer, consumer) =
        (NonNull::from(&shared.producer.0), NonNull::from(&shared.consumer.0));
    // SAFETY: both atomics live in `shared`, which each end keeps alive; one end of each kind.
    let (write, read) = unsafe {
        (ProducerIndex::new(producer, consumer, size), ConsumerIndex::new(producer, consumer, size))
    };
    let producer = FrameProducer { index: write, size, shared: shared.clone() };
    Ok((producer, FrameConsumer { index: read, size, shared }))
}

impl FrameProducer {
    /// Copies `frame` in; the reader sees it after [`publish`](Self::publish).
    ///
    /// # Errors
    /// The frame was not taken; nothing changed.
    #[inline]
    pub fn push(
        &mut self,
        frame: &Frame<'_>,
        link: LinkType,
        interface: u32,
    ) -> Result<(), PushError> {
        let data_words = frame.bytes.len().div_ceil(WORD_BYTES);
        let limit = (self.size / 2 - HEADER_WORDS) as usize;
        if data_words > limit {
            return Err(PushError::TooLong);
        }
        let words = HEADER_WORDS + data_words as u32;
        let mut at = self.index.next() & (self.size - 1);
        let tail = self.size - at;
        let padding = if words <= tail { 0 } else { tail };
        if self.index.free(words + padding) < words + padding {
            return Err(PushError::Full);
        }
        if padding > 0 {
            self.write(at, u64::from(PADDING));
            at = 0;
        }
        self.write(at, frame.bytes.len() as u64 | u64::from(frame.wire_len) << 32);
        self.write(at + 1, frame.timestamp.as_nanos());
        let kind = u64::from(link.0) | u64::from(frame.flags.0) << 16;
        self.write(at + 2, kind | u64::from(interface) << 32);
        self.write_bytes(at + HEADER_WORDS, frame.bytes);
        self.index.advance(words + padding);
        Ok(())
    }

    /// Shows the reader everything pushed so far.
    #[inline]
    pub fn publish(&mut self) {
        self.index.publish();
    }

    /// Whether the reader has gone: nothing pushed will be read.
    pub fn is_abandoned(&self) -> bool {
        self.shared.consumer_gone.load(Ordering::Acquire)
    }

    #[inline]
    fn write(&self, at: u32, word: u64) {
        // SAFETY: `push` has made sure that this word is free, so nobody else touches it.
        self.shared.words[at as usize].with_mut(|place| unsafe { place.write(word) });
    }

    #[inline]
    fn write_bytes(&self, at: u32, bytes: &[u8]) {
        let end = at as usize + bytes.len().div_ceil(WORD_BYTES);
        let words = &self.shared.words[at as usize..end];
        // SAFETY: the slice covers the bytes, and `push` has made sure that all of it is free, so
        // nobody else touches it; `UnsafeCell` allows writing through a shared reference.
        unsafe {
            let target = words.as_ptr().cast_mut().cast::<u8>();
            target.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
    }
}

impl FrameConsumer {
    /// Takes back the frames of the batch before, then lends published ones to the (empty) `batch`:
    /// in order, at most 64, all of one link type and interface, none younger than `until`.
    pub fn receive<'p>(&'p mut self, batch: &mut Batch<'p>, until: Timestamp) {
        self.index.release();
        let FrameConsumer { index, size, shared } = self;
        while !batch.is_full() && shared.skip_padding(index, *size) {
            let at = index.next() & (*size - 1);
            let kind = shared.word(at + 2);
            let (link, interface) = (LinkType(kind as u16), (kind >> 32) as u32);
            if batch.is_empty() {
                (batch.link, batch.interface) = (link, interface);
            } else if (batch.link, batch.interface) != (link, interface) {
                break;
            }
            let timestamp = Timestamp::from_nanos(shared.word(at + 1));
            if timestamp > until {
                break;
            }
            let lengths = shared.word(at);
            let captured = lengths as u32;
            batch.push(Frame {
                bytes: shared.bytes(at + HEADER_WORDS, captured as usize),
                wire_len: (lengths >> 32) as u32,
                timestamp,
                flags: Flags((kind >> 16) as u8),
            });
            index.advance(HEADER_WORDS + captured.div_ceil(WORD_BYTES as u32));
        }
    }

    /// The time of the next frame, if there is one: to merge several rings by time.
    pub fn next_timestamp(&mut self) -> Option<Timestamp> {
        let FrameConsumer { index, size, shared } = self;
        let there = shared.skip_padding(index, *size);
        there.then(|| Timestamp::from_nanos(shared.word((index.next() & (*size - 1)) + 1)))
    }

    /// Whether the writer has gone. Ask before [`receive`](Self::receive): when it was gone and
    /// the batch stays empty, nothing will ever come.
    pub fn is_closed(&self) -> bool {
        self.shared.producer_gone.load(Ordering::Acquire)
    }
}

/// What the reading end does; only [`FrameConsumer`] may call it.
impl Shared {
    /// Whether a frame is there to be read, after padding, if any, was passed over.
    #[inline]
    fn skip_padding(&self, index: &mut ConsumerIndex, size: u32) -> bool {
        while index.available() > 0 {
            let at = index.next() & (size - 1);
            if self.word(at) as u32 != PADDING {
                return true;
            }
            index.advance(size - at);
        }
        false
    }

    #[inline]
    fn word(&self, at: u32) -> u64 {
        // SAFETY: the word belongs to a published record: the producer leaves it alone until it is
        // released, which is after this.
        self.words[at as usize].with(|place| unsafe { place.read() })
    }

    #[inline]
    fn bytes(&self, at: u32, len: usize) -> &[u8] {
        let words = &self.words[at as usize..at as usize + len.div_ceil(WORD_BYTES)];
        // SAFETY: the slice covers `len` bytes of a published record, which the producer leaves
        // alone until it is released: by the next `receive`, whose `&mut` ends every loan first.
        unsafe { std::slice::from_raw_parts(words.as_ptr().cast::<u8>(), len) }
    }
}

impl Drop for FrameProducer {
    fn drop(&mut self) {
        self.index.publish();
        self.shared.producer_gone.store(true, Ordering::Release);
    }
}

impl Drop for FrameConsumer {
    fn drop(&mut self) {
        self.shared.consumer_gone.store(true, Ordering::Release);
    }
}

impl fmt::Debug for FrameProducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameProducer").field("index", &self.index).finish_non_exhaustive()
    }
}

impl fmt::Debug for FrameConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameConsumer").field("index", &self.index).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(bytes: &[u8], n: u64) -> Frame<'_> {
        Frame {
            bytes,
            wire_len: bytes.len() as u32 + 7,
            timestamp: Timestamp::from_nanos(n),
            flags: Flags(n as u8),
        }
    }

    /// Reads one batch and shows it: each frame with its link type and interface.
    fn read(rx: &mut FrameConsumer, mut show: impl FnMut(&Frame<'_>, LinkType, u32)) -> usize {
        let mut batch = Batch::new();
        rx.receive(&mut batch, Timestamp::from_nanos(u64::MAX));
        batch.iter().for_each(|frame| show(&frame, batch.link, batch.interface));
        batch.len()
    }

    #[test]
    fn a_frame_arrives_as_it_left() {
        let (mut tx, mut rx) = frame_ring(0).unwrap();
        tx.push(&frame(b"hello, ring", 5), LinkType::RAW, 9).unwrap();
        assert_eq!(read(&mut rx, |_, _, _| panic!("not published yet")), 0);
        assert_eq!(rx.next_timestamp(), None);
        tx.publish();
        assert_eq!(rx.next_timestamp(), Some(Timestamp::from_nanos(5)));
        let mut seen = 0;
        let count = read(&mut rx, |got, link, interface| {
            assert_eq!(*got, frame(b"hello, ring", 5));
            assert_eq!((link, interface), (LinkType::RAW, 9));
            seen += 1;
        });
        assert_eq!((count, seen), (1, 1));
    }

    #[test]
    fn too_long_is_not_full() {
        let (mut tx, mut rx) = frame_ring(4096).unwrap();
        let long = vec![1; 2048 - 24 + 1];
        let fits = &long[1..];
        let push =
            |tx: &mut FrameProducer, bytes: &[u8]| tx.push(&frame(bytes, 1), LinkType::RAW, 0);
        assert_eq!(push(&mut tx, &long), Err(PushError::TooLong));
        assert_eq!(push(&mut tx, fits), Ok(()));
        assert_eq!(push(&mut tx, fits), Ok(()));
        assert_eq!(push(&mut tx, &[]), Err(PushError::Full));
        tx.publish();
        assert_eq!(read(&mut rx, |_, _, _| ()), 2);
        assert_eq!(push(&mut tx, &[]), Err(PushError::Full), "still on loan");
        assert_eq!(read(&mut rx, |_, _, _| ()), 0);
        assert_eq!(push(&mut tx, &[]), Ok(()));
    }

    #[test]
    fn ends_know_when_the_other_has_gone() {
        let (mut tx, mut rx) = frame_ring(4096).unwrap();
        tx.push(&frame(b"last words", 1), LinkType::RAW, 0).unwrap();
        assert!(!rx.is_closed() && !tx.is_abandoned());
        drop(tx);
        assert!(rx.is_closed());
        assert_eq!(read(&mut rx, |_, _, _| ()), 1, "dropping publishes");
        let (tx, rx) = frame_ring(4096).unwrap();
        drop(rx);
        assert!(tx.is_abandoned());
    }

    /// Against a queue, with records of every size, from starts before and after the wrap.
    #[test]
    fn it_is_a_queue_from_every_start() {
        let data: Vec<u8> = (0..=255).cycle().take(2024).collect();
        let rounds = if cfg!(miri) { 60 } else { 4000 };
        for start in [0, 1, 509, u32::MAX, u32::MAX - 511, u32::MAX - 1777, 1 << 31] {
            let (mut tx, mut rx) = frame_ring_from(4096, start).unwrap();
            let mut model = std::collections::VecDeque::new();
            let mut seed = u64::from(start) | 1;
            for n in 0..rounds {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                let len = seed as usize % if seed & 0x100_0000 == 0 { 100 } else { 2024 };
                match tx.push(&frame(&data[..len], n), LinkType::RAW, n as u32 / 8) {
                    Ok(()) => model.push_back((len, n)),
                    Err(error) => assert_eq!(error, PushError::Full),
                }
                if seed & 0x300 == 0 || model.len() > 20 {
                    tx.publish();
                    read(&mut rx, |got, _, interface| {
                        let (len, n) = model.pop_front().unwrap();
                        assert_eq!(*got, frame(&data[..len], n));
                        assert_eq!(interface, n as u32 / 8);
                    });
                }
            }
            drop(tx);
            let mut check = |got: &Frame<'_>, _: LinkType, _: u32| {
                let (len, n) = model.pop_front().unwrap();
                assert_eq!(*got, frame(&data[..len], n));
            };
            while read(&mut rx, &mut check) > 0 {}
            assert!(model.is_empty());
        }
    }

    #[test]
    fn two_threads_lose_nothing() {
        const FRAMES: u64 = if cfg!(miri) { 300 } else { 200_000 };
        let (mut tx, mut rx) = frame_ring_from(1 << 16, u32::MAX - 1000).unwrap();
        let writer = std::thread::spawn(move || {
            for n in 0..FRAMES {
                let bytes = n.to_le_bytes();
                while tx.push(&frame(&bytes[..n as usize % 9], n), LinkType::RAW, 0).is_err() {
                    tx.publish();
                    std::thread::yield_now();
                }
                if n % 64 == 63 {
                    tx.publish();
                }
            }
        });
        let mut expected = 0u64;
        loop {
            let closed = rx.is_closed();
            let count = read(&mut rx, |got, _, _| {
                let bytes = expected.to_le_bytes();
                assert_eq!(*got, frame(&bytes[..expected as usize % 9], expected));
                expected += 1;
            });
            if count == 0 {
                if closed {
                    break;
                }
                std::thread::yield_now();
            }
        }
        writer.join().unwrap();
        assert_eq!(expected, FRAMES);
    }
}
