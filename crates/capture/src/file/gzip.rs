//! Gzip members, one after the other (RFC 1952).
//!
//! Written on the raw inflater, so that what a damaged member still gives is not thrown away with
//! the error, and so that a pipe may pause anywhere.

use super::packed::{Packed, TrailingBytes, invalid};
use flate2::{Crc, Decompress, FlushDecompress, Status};
use std::io::{self, Read};

/// Packed bytes read at a time.
const PACKED_BYTES: usize = 256 << 10;
const MAGIC: [u8; 2] = [0x1f, 0x8b];
/// The only compression method there is.
const DEFLATE: u8 = 8;
const FLAG_HEADER_CRC: u8 = 2;
const FLAG_EXTRA: u8 = 4;
const FLAG_NAME: u8 = 8;
const FLAG_COMMENT: u8 = 16;

/// The parts of a member, each entered when the one before is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before a member; whether it is the first.
    Between {
        is_first: bool,
    },
    /// In its header: the flags of fields still to come, and the bytes of an extra field.
    Header {
        flags: u8,
        extra: usize,
    },
    Body,
    Trailer,
}

/// Unpacks what `inner` gives.
pub(super) struct Gzip<R> {
    packed: Packed<R>,
    inflater: Decompress,
    crc: Crc,
    state: State,
    /// Met while the last bytes were given out.
    error: Option<io::Error>,
}

impl<R> std::fmt::Debug for Gzip<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gzip").field("state", &self.state).finish_non_exhaustive()
    }
}

impl<R: Read> Gzip<R> {
    pub(super) fn new(inner: R) -> Self {
        Gzip {
            packed: Packed::new(inner, PACKED_BYTES),
            inflater: Decompress::new(false),
            crc: Crc::new(),
            state: State::Between { is_first: true },
            error: None,
        }
    }

    pub(super) fn get_ref(&self) -> &R {
        &self.packed.inner
    }

    /// Starts the next member. False at the end of the input.
    fn start(&mut self, is_first: bool) -> io::Result<bool> {
        // Tapes and sectors are filled up with zeros behind the last member.
        while !is_first && self.packed.want(1)? && self.packed.data()[0] == 0 {
            self.packed.consume(1);
        }
        if !self.packed.want(1)? {
            return Ok(false);
        }
        for (count, byte) in (1..).zip(MAGIC) {
            self.packed.must(count)?;
            if self.packed.data()[count - 1] != byte {
                return Err(TrailingBytes.into());
            }
        }
        self.packed.must(10)?;
        let [_, _, method, flags, ..] = self.packed.peek::<10>();
        if method != DEFLATE {
            return Err(invalid(format!("compression method {method} is not known")));
        }
        self.packed.consume(10);
        self.inflater.reset(false);
        self.crc = Crc::new();
        self.state = State::Header { flags, extra: 0 };
        Ok(true)
    }

    /// Skips the next optional field of the header.
    fn header(&mut self, flags: u8, extra: usize) -> io::Result<()> {
        if extra > 0 {
            self.packed.must(1)?;
            let count = extra.min(self.packed.data().len());
            self.packed.consume(count);
            self.state = State::Header { flags, extra: extra - count };
        } else if flags & FLAG_EXTRA != 0 {
            self.packed.must(2)?;
            let extra = usize::from(u16::from_le_bytes(self.packed.peek()));
            self.packed.consume(2);
            self.state = State::Header { flags: flags & !FLAG_EXTRA, extra };
        } else if flags & (FLAG_NAME | FLAG_COMMENT) != 0 {
            self.packed.must(1)?;
            let is_end = self.packed.data()[0] == 0;
            self.packed.consume(1);
            // The name comes before the comment.
            let done = if flags & FLAG_NAME != 0 { FLAG_NAME } else { FLAG_COMMENT };
            let flags = if is_end { flags & !done } else { flags };
            self.state = State::Header { flags, extra };
        } else if flags & FLAG_HEADER_CRC != 0 {
            self.packed.must(2)?;
            self.packed.consume(2);
            self.state = State::Header { flags: flags & !FLAG_HEADER_CRC, extra };
        } else {
            self.state = State::Body;
        }
        Ok(())
    }

    /// Unpacks into `bytes`. 0 when the member needs more, or has ended.
    fn body(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.packed.must(1)?;
        let (before_in, before_out) = (self.inflater.total_in(), self.inflater.total_out());
        let status = self.inflater.decompress(self.packed.data(), bytes, FlushDecompress::None);
        let consumed = (self.inflater.total_in() - before_in) as usize;
        let count = (self.inflater.total_out() - before_out) as usize;
        self.packed.consume(consumed);
        self.crc.update(&bytes[..count]);
        match status {
            Ok(Status::StreamEnd) => self.state = State::Trailer,
            Ok(Status::Ok | Status::BufError) if consumed + count > 0 => {}
            Ok(_) => self.error = Some(invalid("the compressed data does not go on")),
            Err(error) => self.error = Some(invalid(error)),
        }
        Ok(count)
    }

    /// Compares checksum and length.
    fn trailer(&mut self) -> io::Result<()> {
        self.packed.must(8)?;
        let [a, b, c, d, e, f, g, h] = self.packed.peek();
        let (crc, length) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
        if crc != self.crc.sum() || length != self.crc.amount() {
            return Err(invalid("the checksum of what was unpacked is wrong"));
        }
        self.packed.consume(8);
        self.state = State::Between { is_first: false };
        Ok(())
    }
}

impl<R: Read> Read for Gzip<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(error) = self.error.take() {
                return Err(error);
            }
            match self.state {
                State::Between { is_first } => {
                    if !self.start(is_first)? {
                        return Ok(0);
                    }
                }
                State::Header { flags, extra } => self.header(flags, extra)?,
                State::Body => match self.body(bytes)? {
                    0 => {}
                    count => return Ok(count),
                },
                State::Trailer => self.trailer()?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, GzBuilder};
    use std::io::{ErrorKind, Write};

    fn member(bytes: &[u8]) -> Vec<u8> {
        let builder = GzBuilder::new().extra(vec![7; 300]).filename("a").comment("b");
        let mut encoder = builder.write(Vec::new(), Compression::default());
        encoder.write_all(bytes).expect("memory");
        encoder.finish().expect("memory")
    }

    fn unpack(bytes: &[u8]) -> (Vec<u8>, Option<io::Error>) {
        let mut unpacked = Vec::new();
        let error = Gzip::new(bytes).read_to_end(&mut unpacked).err();
        (unpacked, error)
    }

    #[test]
    fn members_fields_and_padding() {
        let file = [member(b"abc"), member(b""), member(b"def"), vec![0; 5]].concat();
        let (unpacked, error) = unpack(&file);
        assert!(error.is_none(), "{error:?}");
        assert_eq!(unpacked, b"abcdef");
    }

    #[test]
    fn a_cut_or_flipped_member_gives_what_it_can() {
        let text: Vec<u8> = (0..5000u32).flat_map(|i| (i * i).to_le_bytes()).collect();
        let file = member(&text);
        for cut in (1..file.len()).step_by(37) {
            let (unpacked, error) = unpack(&file[..cut]);
            assert_eq!(error.expect("cut").kind(), ErrorKind::UnexpectedEof, "{cut}");
            assert!(text.starts_with(&unpacked));
        }
        let mut flipped = file.clone();
        let middle = file.len() / 2;
        flipped[middle] ^= 0x10;
        let (unpacked, error) = unpack(&flipped);
        assert_eq!(error.expect("damaged").kind(), ErrorKind::InvalidData);
        assert!(unpacked.len() > 1000 && unpacked[..1000] == text[..1000]);
    }

    #[test]
    fn what_follows_is_named() {
        for rest in [&b"no member at all"[..], b"x", b"x"] {
            let (unpacked, error) = unpack(&[&member(b"abc"), rest].concat());
            assert_eq!(unpacked, b"abc");
            let error = error.expect("named");
            assert!(error.get_ref().expect("ours").is::<TrailingBytes>(), "{error}");
        }
    }
}
