//! Files of other formats that consist of records: whoever opens the file knows how to cut it.

use super::fault::{Fault, Step};
use std::fmt;
use tickwire_frame::{Batch, Frame, LinkType, Timestamp};

/// How many bytes of a file are looked at to tell its format, if it has so many.
pub const LOOKED_AT_BYTES: usize = 4096;

/// Tells by its first bytes whether a file is of another format than pcap and pcapng: all bytes of
/// a file that is shorter than [`LOOKED_AT_BYTES`]. `None` refuses it.
pub type Look = fn(&[u8]) -> Option<Box<dyn Records>>;

/// What stands at the front of the bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A record of `len` bytes behind `skip` bytes that are no part of it.
    Record {
        /// Bytes before it, such as its length.
        skip: usize,
        /// Its own bytes.
        len: usize,
    },
    /// Not known before there are so many bytes.
    Need(usize),
    /// The end that the format itself marks: what follows is not looked at.
    End,
}

/// A format that consists of records. Each becomes a frame without a time.
pub trait Records: fmt::Debug + Send {
    /// What it is called in summaries.
    fn name(&self) -> &'static str;

    /// What the records are, by a number of the caller's own.
    fn link(&self) -> LinkType;

    /// What stands at the front of `data`; `is_all` says that the file ends with it.
    ///
    /// # Errors
    /// What is wrong with the file, and what can be done about it: the reading ends there.
    fn find(&self, data: &[u8], is_all: bool) -> Result<Found, (String, &'static str)>;
}

/// Cuts a file into records.
#[derive(Debug)]
pub(super) struct Cutter {
    records: Box<dyn Records>,
    /// Whether the buffer holds all the rest of the file.
    is_all: bool,
}

impl Cutter {
    pub(super) fn new(records: Box<dyn Records>) -> Cutter {
        Cutter { records, is_all: false }
    }

    pub(super) fn name(&self) -> &'static str {
        self.records.name()
    }

    /// Says that the file ends with the bytes that are there. False when that was known already.
    pub(super) fn is_all(&mut self) -> bool {
        !std::mem::replace(&mut self.is_all, true)
    }

    /// What stands at the front of `data`.
    pub(super) fn step(&self, data: &[u8]) -> Result<Step, Fault> {
        // A file that ends between two records has ended, whatever its format says.
        if self.is_all && data.is_empty() {
            return Ok(Step::Need(1));
        }
        Ok(match self.find(data)? {
            Found::Record { .. } => Step::Packet,
            Found::Need(bytes) => Step::Need(bytes.max(data.len() + 1)),
            Found::End => Step::End,
        })
    }

    fn find(&self, data: &[u8]) -> Result<Found, Fault> {
        let found = self.records.find(data, self.is_all);
        let found = found.map_err(|(what, cure)| Fault::new(0, what).cure(cure))?;
        Ok(match found {
            Found::Record { skip, len } if skip + len > data.len() => Found::Need(skip + len),
            found => found,
        })
    }

    /// Adds the whole records at the front of `data` to `batch`. Returns the bytes it is done with.
    pub(super) fn scan<'a>(&self, data: &'a [u8], batch: &mut Batch<'a>) -> usize {
        batch.link = self.records.link();
        let mut done = 0;
        while !batch.is_full()
            && done < data.len()
            && let Ok(Found::Record { skip, len }) = self.find(&data[done..])
        {
            let start = done + skip;
            batch.push(Frame::new(&data[start..start + len], Timestamp::ZERO));
            done = start + len;
        }
        done
    }
}

#[cfg(test)]
mod tests {
    use crate::file::{FilePort, Found, Records};
    use crate::port::{Port, Received};
    use std::io::Cursor;
    use tickwire_frame::{Batch, LinkType};

    /// Lines; a line of a dot alone is the end, `!` begins no line, and one that begins with `8`
    /// has eight bytes.
    #[derive(Debug)]
    struct Lines;

    impl Records for Lines {
        fn name(&self) -> &'static str {
            "lines"
        }

        fn link(&self) -> LinkType {
            LinkType(0xff77)
        }

        fn find(&self, data: &[u8], is_all: bool) -> Result<Found, (String, &'static str)> {
            match data.iter().position(|&byte| byte == b'\n') {
                _ if data.first() == Some(&b'!') => Err(("no line".to_owned(), "write another")),
                _ if data.first() == Some(&b'8') => Ok(Found::Record { skip: 0, len: 8 }),
                Some(1) if data[0] == b'.' => Ok(Found::End),
                Some(len) => Ok(Found::Record { skip: 0, len: len + 1 }),
                None if is_all => Ok(Found::Record { skip: 0, len: data.len() }),
                None => Ok(Found::Need(data.len() + 1)),
            }
        }
    }

    fn look(first: &[u8]) -> Option<Box<dyn Records>> {
        first.is_ascii().then(|| Box::new(Lines) as _)
    }

    fn read(bytes: impl AsRef<[u8]>) -> (Vec<String>, Option<String>) {
        let reader = Cursor::new(bytes.as_ref().to_vec());
        let mut port = FilePort::from_reader(reader, "t").or_records(look);
        let mut lines = Vec::new();
        loop {
            let mut batch = Batch::new();
            match port.receive(&mut batch) {
                Ok(Received::End) => return (lines, None),
                Err(error) => return (lines, Some(error.to_string())),
                Ok(_) => assert_eq!(batch.link, LinkType(0xff77)),
            }
            lines.extend(batch.iter().map(|f| String::from_utf8(f.bytes.to_vec()).unwrap()));
        }
    }

    #[test]
    fn a_file_is_cut_into_records() {
        assert_eq!(read("one\ntwo\n"), (vec!["one\n".into(), "two\n".into()], None));
        assert_eq!(read("one\ntw"), (vec!["one\n".into(), "tw".into()], None));
        assert_eq!(read("four"), (vec!["four".into()], None));
        assert_eq!(read("one\n.\ntwo\n").0, ["one\n"]);
        let (lines, error) = read("one\n!two\n");
        assert_eq!(lines, ["one\n"]);
        let error = error.expect("refused");
        let expected = "t: byte 4: no line; the record before it was read; write another";
        assert_eq!(error, expected);
        let error = read("one\ntwo\n8 bytes").1.expect("cut");
        assert!(
            error.ends_with(
                "the 2 records before it were read; the file was cut short: copy it again"
            ),
            "{error}"
        );
    }

    #[test]
    fn long_files_and_packed_ones() {
        let text: String = (0..300_000).map(|number| format!("n{number}\n")).collect();
        let (lines, error) = read(&text);
        assert_eq!((lines.concat() == text, error), (true, None));
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut gzip, text.as_bytes()).unwrap();
        let (lines, error) = read(gzip.finish().unwrap());
        assert_eq!((lines.concat() == text, error), (true, None));
    }

    #[test]
    fn what_is_not_known_is_refused_as_before() {
        let (lines, error) = read(b"\xff\xff\xff\xff");
        assert!(lines.is_empty());
        assert!(error.unwrap().contains("ff ff ff ff, of no capture file"));
        let (lines, error) = read("");
        assert!(lines.is_empty());
        assert!(error.unwrap().contains("the file ends after 0 of the 4 bytes"));
    }
}
