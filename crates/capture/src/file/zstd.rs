//! Zstandard frames, one block at a time (RFC 8878).
//!
//! The decoder is handed whole blocks only. So a pipe that pauses in the middle of one loses
//! nothing, and a file of tiny blocks that unpack to 128 KiB each never has more than one of them
//! unpacked: memory is bounded by the window.

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::io::{self, ErrorKind, Read};

/// A frame that wants to look back further is refused, as `zstd -d` does without `--long`.
const WINDOW_BYTES_MAX: u64 = 128 << 20;
/// RFC 8878, section 3.1.1.2.4: Block_Maximum_Size.
const BLOCK_BYTES_MAX: usize = 128 << 10;
/// Magic, descriptor, window, dictionary and content size at their longest.
const FRAME_HEADER_BYTES_MAX: usize = 4 + 1 + 1 + 4 + 8;
/// Packed bytes kept: one block with its header and the checksum after it, twice.
const PACKED_BYTES: usize = 2 * (BLOCK_BYTES_MAX + 64);
const MAGIC: u32 = 0xfd2f_b528;
const SKIPPABLE_MAGIC: u32 = 0x184d_2a50;
/// A skippable frame's magic number may end in any of 16 values.
const SKIPPABLE_MASK: u32 = 0xffff_fff0;

#[derive(Debug)]
enum State {
    /// Before a frame.
    Between,
    /// In a frame; whether a checksum follows its last block.
    Frame { checksum: bool },
    /// In a skippable frame, this many bytes before its end.
    Skip(u64),
}

/// Unpacks what `inner` gives. Frames follow one another; skippable ones are skipped.
pub(super) struct Zstd<R> {
    inner: R,
    packed: Vec<u8>,
    start: usize,
    end: usize,
    decoder: FrameDecoder,
    state: State,
}

impl<R> std::fmt::Debug for Zstd<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Zstd").field("state", &self.state).finish_non_exhaustive()
    }
}

fn invalid(what: impl std::fmt::Display) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what.to_string())
}

impl<R: Read> Zstd<R> {
    pub(super) fn new(inner: R) -> Self {
        Zstd {
            inner,
            packed: vec![0; PACKED_BYTES],
            start: 0,
            end: 0,
            decoder: FrameDecoder::new(),
            state: State::Between,
        }
    }

    pub(super) fn get_ref(&self) -> &R {
        &self.inner
    }

    /// Reads until `count` packed bytes are there. False at the end of the input, before a first
    /// byte when `may_end`; an end anywhere else is an error.
    fn want(&mut self, count: usize, may_end: bool) -> io::Result<bool> {
        while self.end - self.start < count {
            if self.start > 0 {
                self.packed.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            }
            match self.inner.read(&mut self.packed[self.end..]) {
                Ok(0) if may_end && self.end == 0 => return Ok(false),
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => self.end += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn peek<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.packed[self.start..self.start + N]);
        bytes
    }

    /// Starts the next frame. False when there is none.
    fn start_frame(&mut self) -> io::Result<bool> {
        if !self.want(4, true)? {
            return Ok(false);
        }
        let magic = u32::from_le_bytes(self.peek());
        if magic & SKIPPABLE_MASK == SKIPPABLE_MAGIC {
            self.want(8, false)?;
            let [.., a, b, c, d] = self.peek::<8>();
            self.start += 8;
            self.state = State::Skip(u32::from_le_bytes([a, b, c, d]).into());
            return Ok(true);
        }
        if magic != MAGIC {
            return Err(invalid("what follows the last zstd frame is no frame"));
        }
        self.want(5, false)?;
        let descriptor = self.peek::<5>()[4];
        let length = frame_header_bytes(descriptor);
        debug_assert!(length <= FRAME_HEADER_BYTES_MAX);
        self.want(length, false)?;
        // A new decoder: resetting one reserves its whole window at once.
        self.decoder = FrameDecoder::new();
        self.decoder.set_max_window_size(WINDOW_BYTES_MAX);
        self.decoder.init(&self.packed[self.start..self.start + length]).map_err(invalid)?;
        self.start += length;
        self.state = State::Frame { checksum: descriptor & 4 != 0 };
        Ok(true)
    }

    /// Unpacks the next block of the frame.
    fn block(&mut self, checksum: bool) -> io::Result<()> {
        self.want(3, false)?;
        let [a, b, c] = self.peek();
        let header = u32::from_le_bytes([a, b, c, 0]);
        let (is_last, kind, size) = (header & 1 == 1, header >> 1 & 3, (header >> 3) as usize);
        if size > BLOCK_BYTES_MAX {
            return Err(invalid("a zstd block is longer than 128 KiB"));
        }
        // An RLE block (1) has one byte, which it repeats `size` times.
        let body = if kind == 1 { 1 } else { size };
        let length = 3 + body + if is_last && checksum { 4 } else { 0 };
        self.want(length, false)?;
        let mut bytes = &self.packed[self.start..self.start + length];
        self.decoder
            .decode_blocks(&mut bytes, BlockDecodingStrategy::UptoBlocks(1))
            .map_err(invalid)?;
        self.start += length;
        Ok(())
    }

    fn skip(&mut self, left: u64) -> io::Result<()> {
        self.want(1, false)?;
        let count = left.min((self.end - self.start) as u64);
        self.start += count as usize;
        self.state = State::Skip(left - count);
        Ok(())
    }
}

/// RFC 8878, section 3.1.1.1: the length of a frame header follows from its descriptor.
fn frame_header_bytes(descriptor: u8) -> usize {
    let single_segment = descriptor & 0x20 != 0;
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let content_size = match descriptor >> 6 {
        0 => usize::from(single_segment),
        n => 1 << n,
    };
    4 + 1 + usize::from(!single_segment) + dictionary + content_size
}

impl<R: Read> Read for Zstd<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.state {
                State::Between => {
                    if !self.start_frame()? {
                        return Ok(0);
                    }
                }
                State::Skip(0) => self.state = State::Between,
                State::Skip(left) => self.skip(left)?,
                State::Frame { checksum } => {
                    let count = self.decoder.read(bytes)?;
                    if count > 0 {
                        return Ok(count);
                    }
                    if self.decoder.is_finished() {
                        self.state = State::Between;
                    } else {
                        self.block(checksum)?;
                    }
                }
            }
        }
    }
}
