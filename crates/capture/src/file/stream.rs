//! The bytes of a capture after decompression: plain, gzip or zstd, told apart by their magic.

use super::gzip::Gzip;
use super::input::Input;
use super::zstd::Zstd;
use std::fmt;
use std::io::{self, ErrorKind, Read};

/// RFC 1952, section 2.3.1: ID1, ID2.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// RFC 8878, section 3.1.1: Magic_Number.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// How many bytes the detection looks at.
const MAGIC_BYTES: usize = 4;

/// How the bytes are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    Plain,
    Gzip,
    Zstd,
}

impl fmt::Display for Packing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Packing::Plain => "plain",
            Packing::Gzip => "gzip",
            Packing::Zstd => "zstd",
        })
    }
}

/// Unpacked bytes. Unpacks as it goes: a small file that unpacks to a huge one takes no memory.
pub(super) enum Stream {
    /// Not told apart yet: the first bytes, as far as they have come.
    Unknown {
        input: Input,
        first: Vec<u8>,
    },
    Plain(Input),
    Gzip(Box<Gzip<Prefixed>>),
    Zstd(Box<Zstd<Prefixed>>),
    /// Between two states.
    Taken,
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stream").field(&self.packing()).finish()
    }
}

/// The input with the bytes that the detection took put back in front.
#[derive(Debug)]
pub(super) struct Prefixed {
    first: Vec<u8>,
    given: usize,
    input: Input,
}

impl Read for Prefixed {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let rest = &self.first[self.given..];
        if rest.is_empty() {
            return self.input.read(bytes);
        }
        let count = rest.len().min(bytes.len());
        bytes[..count].copy_from_slice(&rest[..count]);
        self.given += count;
        Ok(count)
    }
}

impl Stream {
    pub(super) fn new(input: Input) -> Stream {
        Stream::Unknown { input, first: Vec::with_capacity(MAGIC_BYTES) }
    }

    /// How the bytes are packed; `None` before the first ones have come.
    pub(super) fn packing(&self) -> Option<Packing> {
        match self {
            Stream::Unknown { .. } | Stream::Taken => None,
            Stream::Plain(_) => Some(Packing::Plain),
            Stream::Gzip(_) => Some(Packing::Gzip),
            Stream::Zstd(_) => Some(Packing::Zstd),
        }
    }

    /// Where the packed bytes come from.
    pub(super) fn input(&self) -> Option<&Input> {
        match self {
            Stream::Unknown { input, .. } | Stream::Plain(input) => Some(input),
            Stream::Gzip(gzip) => Some(&gzip.get_ref().input),
            Stream::Zstd(zstd) => Some(&zstd.get_ref().input),
            Stream::Taken => None,
        }
    }

    /// Reads the first bytes and decides. Those of a plain file are returned: they are its own.
    fn detect(&mut self) -> io::Result<Vec<u8>> {
        let Stream::Unknown { input, first } = self else { return Ok(Vec::new()) };
        while first.len() < MAGIC_BYTES {
            let mut bytes = [0; MAGIC_BYTES];
            match input.read(&mut bytes[first.len()..]) {
                Ok(0) => break,
                Ok(count) => first.extend_from_slice(&bytes[first.len()..][..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let Stream::Unknown { input, first } = std::mem::replace(self, Stream::Taken) else {
            return Ok(Vec::new());
        };
        // Skippable frames (0x184D2A5?) may come before the first zstd frame.
        let is_skippable = matches!(first[..], [0x50..=0x5f, 0x2a, 0x4d, 0x18]);
        let is_zstd = first == ZSTD_MAGIC || is_skippable;
        if first.starts_with(&GZIP_MAGIC) {
            let prefixed = Prefixed { first, given: 0, input };
            *self = Stream::Gzip(Box::new(Gzip::new(prefixed)));
        } else if is_zstd {
            let prefixed = Prefixed { first, given: 0, input };
            *self = Stream::Zstd(Box::new(Zstd::new(prefixed)));
        } else {
            *self = Stream::Plain(input);
            return Ok(first);
        }
        Ok(Vec::new())
    }
}

impl Read for Stream {
    /// `bytes` must have room for four bytes.
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if let Stream::Unknown { .. } = self {
            let first = self.detect()?;
            if !first.is_empty() {
                bytes[..first.len()].copy_from_slice(&first);
                return Ok(first.len());
            }
        }
        match self {
            Stream::Plain(input) => input.read(bytes),
            Stream::Gzip(gzip) => gzip.read(bytes),
            Stream::Zstd(zstd) => zstd.read(bytes),
            Stream::Unknown { .. } | Stream::Taken => Ok(0),
        }
    }
}
