//! Zstandard frames, one block at a time (RFC 8878).
//!
//! The decoder is handed whole blocks only. So a pipe that pauses in the middle of one loses
//! nothing, and a file of tiny blocks that unpack to 128 KiB each never has more than one of them
//! unpacked: memory is bounded by the window.

use super::packed::{Packed, TrailingBytes, invalid};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::io::{self, Read};

/// A frame that wants to look back further is refused, as `zstd -d` does without `--long`.
const WINDOW_BYTES_MAX: u64 = 128 << 20;
/// RFC 8878, section 3.1.1.2.4: Block_Maximum_Size.
const BLOCK_BYTES_MAX: usize = 128 << 10;
/// Magic, descriptor, window, dictionary and content size at their longest.
const FRAME_HEADER_BYTES_MAX: usize = 4 + 1 + 1 + 4 + 8;
/// Packed bytes read at a time: two blocks with their headers and checksums.
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
    packed: Packed<R>,
    decoder: FrameDecoder,
    state: State,
}

impl<R> std::fmt::Debug for Zstd<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Zstd").field("state", &self.state).finish_non_exhaustive()
    }
}

impl<R: Read> Zstd<R> {
    pub(super) fn new(inner: R) -> Self {
        Zstd {
            packed: Packed::new(inner, PACKED_BYTES),
            decoder: FrameDecoder::new(),
            state: State::Between,
        }
    }

    pub(super) fn get_ref(&self) -> &R {
        &self.packed.inner
    }

    /// Starts the next frame. False when there is none.
    fn start_frame(&mut self) -> io::Result<bool> {
        if !self.packed.want(1)? {
            return Ok(false);
        }
        let [first, ..] = MAGIC.to_le_bytes();
        if !matches!(self.packed.data()[0], byte if byte == first || byte & 0xf0 == 0x50) {
            return Err(TrailingBytes.into());
        }
        self.packed.must(4)?;
        let magic = u32::from_le_bytes(self.packed.peek());
        if magic & SKIPPABLE_MASK == SKIPPABLE_MAGIC {
            self.packed.must(8)?;
            let [.., a, b, c, d] = self.packed.peek::<8>();
            self.packed.consume(8);
            self.state = State::Skip(u32::from_le_bytes([a, b, c, d]).into());
            return Ok(true);
        }
        if magic != MAGIC {
            return Err(TrailingBytes.into());
        }
        self.packed.must(5)?;
        let descriptor = self.packed.peek::<5>()[4];
        let length = frame_header_bytes(descriptor);
        debug_assert!(length <= FRAME_HEADER_BYTES_MAX);
        self.packed.must(length)?;
        // A new decoder: resetting one reserves its whole window at once.
        self.decoder = FrameDecoder::new();
        self.decoder.set_max_window_size(WINDOW_BYTES_MAX);
        self.decoder.init(&self.packed.data()[..length]).map_err(invalid)?;
        self.packed.consume(length);
        self.state = State::Frame { checksum: descriptor & 4 != 0 };
        Ok(true)
    }

    /// Unpacks the next block of the frame.
    fn block(&mut self, checksum: bool) -> io::Result<()> {
        self.packed.must(3)?;
        let [a, b, c] = self.packed.peek();
        let header = u32::from_le_bytes([a, b, c, 0]);
        let (is_last, kind, size) = (header & 1 == 1, header >> 1 & 3, (header >> 3) as usize);
        if size > BLOCK_BYTES_MAX {
            return Err(invalid("a zstd block is longer than 128 KiB"));
        }
        // An RLE block (1) has one byte, which it repeats `size` times.
        let body = if kind == 1 { 1 } else { size };
        let length = 3 + body + if is_last && checksum { 4 } else { 0 };
        self.packed.must(length)?;
        let mut bytes = &self.packed.data()[..length];
        self.decoder
            .decode_blocks(&mut bytes, BlockDecodingStrategy::UptoBlocks(1))
            .map_err(invalid)?;
        self.packed.consume(length);
        Ok(())
    }

    fn skip(&mut self, left: u64) -> io::Result<()> {
        self.packed.must(1)?;
        let count = left.min(self.packed.data().len() as u64);
        self.packed.consume(count as usize);
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

#[cfg(test)]
mod tests {
    use super::*;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};
    use std::io::ErrorKind;

    fn frame(bytes: &[u8]) -> Vec<u8> {
        compress_to_vec(bytes, CompressionLevel::Fastest)
    }

    fn skippable(bytes: &[u8]) -> Vec<u8> {
        let length = (bytes.len() as u32).to_le_bytes();
        [&(SKIPPABLE_MAGIC + 5).to_le_bytes(), &length, bytes].concat()
    }

    fn unpack(bytes: &[u8]) -> (Vec<u8>, Option<io::Error>) {
        let mut unpacked = Vec::new();
        let error = Zstd::new(bytes).read_to_end(&mut unpacked).err();
        (unpacked, error)
    }

    #[test]
    fn frames_follow_one_another_and_skippable_ones_are_skipped() {
        let text: Vec<u8> = (0..300_000u32).flat_map(|i| (i / 7).to_le_bytes()).collect();
        let file = [skippable(b"hello"), frame(b"abc"), skippable(b""), frame(&text)].concat();
        let (unpacked, error) = unpack(&file);
        assert!(error.is_none(), "{error:?}");
        assert_eq!(unpacked, [b"abc".as_slice(), &text].concat());
    }

    #[test]
    fn a_cut_gives_what_it_can() {
        let text: Vec<u8> = (0..5000u32).flat_map(|i| (i * i).to_le_bytes()).collect();
        let file = frame(&text);
        for cut in (1..file.len()).step_by(37) {
            let (unpacked, error) = unpack(&file[..cut]);
            assert_eq!(error.expect("cut").kind(), ErrorKind::UnexpectedEof, "{cut}");
            assert!(text.starts_with(&unpacked));
        }
    }

    #[test]
    fn damage_is_named() {
        for rest in [&b"no frame"[..], b"x", b"(x__"] {
            let (unpacked, error) = unpack(&[&frame(b"abc"), rest].concat());
            assert_eq!(unpacked, b"abc");
            let error = error.expect("named");
            assert!(error.get_ref().expect("ours").is::<TrailingBytes>(), "{error}");
        }
        // A block of more than 128 KiB, and a window of 2^41 bytes.
        for header in [[0x20, 1, 0xff, 0xff, 0xff], [0, 0xf8, 1, 0, 0]] {
            let file = [&MAGIC.to_le_bytes()[..], &header].concat();
            assert_eq!(unpack(&file).1.expect("refused").kind(), ErrorKind::InvalidData);
        }
    }
}
