//! A capture file as a port.

use super::fault::{Fault, Step};
use super::input::{Input, Progress};
use super::interface::{Interface, InterfaceStatistics};
use super::packed::TrailingBytes;
use super::pcap::{self, Pcap};
use super::pcapng::{Pcapng, SECTION_HEADER};
use super::records::{Cutter, LOOKED_AT_BYTES, Look};
use super::source::{Filled, Source};
use super::stream::Packing;
use crate::port::{KernelCounter, Mode, Port, PortError, Received, Sent};
use std::io::{self, ErrorKind, Read};
use std::path::Path;
use std::time::Duration;
use tickwire_frame::{Batch, Ledger};

/// So many blocks without a packet are skipped by one receive: then it reports idle, so that a
/// request to stop is seen however long a file goes on without packets.
const BLOCKS_SKIPPED_MAX: usize = 4096;

/// The format of a file, once its first bytes are known.
#[derive(Debug)]
enum Format {
    Unknown,
    Pcap(Pcap),
    Pcapng(Pcapng),
    Records(Cutter),
}

/// Reads a capture file, or one that comes through a pipe: pcap and pcapng, plain, gzip or zstd.
///
/// Frames borrow from a read buffer of 1 MiB; nothing is copied or allocated per packet.
/// A broken or truncated file gives every whole record before the fault, then an error with the
/// place and what is wrong, then [`Received::End`].
#[derive(Debug)]
pub struct FilePort {
    name: String,
    source: Source,
    format: Format,
    /// What tells other formats.
    look: Option<Look>,
    /// Packets given out so far.
    packets: u64,
    is_over: bool,
}

impl FilePort {
    /// Opens `path`, `-` for standard input.
    ///
    /// A regular file is looked at now, so that one that is no capture is refused here; a pipe may
    /// have nothing to look at yet, and is judged by the first [`receive`](Port::receive).
    ///
    /// # Errors
    /// When it cannot be opened, or is no capture file.
    pub fn open(path: impl AsRef<Path>) -> Result<FilePort, PortError> {
        Self::open_as(path.as_ref(), None)
    }

    /// The same, but a file that is no capture is one of the records that `look` knows.
    ///
    /// # Errors
    /// When it cannot be opened, or is neither.
    pub fn open_records(path: impl AsRef<Path>, look: Look) -> Result<FilePort, PortError> {
        Self::open_as(path.as_ref(), Some(look))
    }

    fn open_as(path: &Path, look: Option<Look>) -> Result<FilePort, PortError> {
        let (input, name) = if path == Path::new("-") {
            (Input::stdin(), "standard input".to_owned())
        } else {
            (Input::open(path), path.display().to_string())
        };
        let input = input.map_err(|error| cannot_open(&name, error))?;
        let mut port = FilePort { look, ..FilePort::from_input(input, name) };
        if port.source.is_regular() {
            port.detect()?;
        }
        Ok(port)
    }

    /// Reads a capture from `reader`; `name` stands for the file in messages. A reader that says
    /// [`ErrorKind::WouldBlock`] makes the port idle.
    pub fn from_reader(reader: impl Read + Send + 'static, name: impl Into<String>) -> FilePort {
        FilePort::from_input(Input::from_reader(Box::new(reader)), name.into())
    }

    fn from_input(input: Input, name: String) -> FilePort {
        let source = Source::new(input);
        let (format, look) = (Format::Unknown, None);
        FilePort { name, source, format, look, packets: 0, is_over: false }
    }

    #[cfg(test)]
    pub(super) fn or_records(self, look: Look) -> FilePort {
        FilePort { look: Some(look), ..self }
    }

    /// How far the file has been read; cheap, and readable from another thread.
    pub fn progress(&self) -> Progress {
        self.source.progress().clone()
    }

    /// The interfaces that the file has described so far; one for a pcap file, none before the
    /// format is known. `Batch::interface` is an index into them. In a pcapng file of several
    /// sections those of later sections follow those of earlier ones.
    pub fn interfaces(&self) -> Vec<Interface> {
        match &self.format {
            Format::Unknown | Format::Records(_) => Vec::new(),
            Format::Pcap(pcap) => {
                vec![Interface { snaplen: pcap.snaplen, ..Interface::new(pcap.link) }]
            }
            Format::Pcapng(pcapng) => pcapng.interfaces().cloned().collect(),
        }
    }

    /// The statistics of the same interfaces that the file has given so far.
    pub fn statistics(&self) -> Vec<InterfaceStatistics> {
        match &self.format {
            Format::Pcapng(pcapng) => pcapng.statistics().copied().collect(),
            _ => vec![InterfaceStatistics::default(); self.interfaces().len()],
        }
    }

    /// Packets given out so far.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Finds out the format and reads the file header. False while the pipe has not given enough.
    fn detect(&mut self) -> Result<bool, PortError> {
        if !matches!(self.format, Format::Unknown) {
            return Ok(true);
        }
        if !self.has(4, "the magic number")? {
            return Ok(false);
        }
        let magic = first_bytes(self.source.data());
        if u32::from_le_bytes(magic) == SECTION_HEADER {
            self.format = Format::Pcapng(Pcapng::new());
        } else if pcap::is_pcap(magic) {
            if !self.has(pcap::FILE_HEADER_BYTES, "the pcap file header")? {
                return Ok(false);
            }
            let header = first_bytes(self.source.data());
            let pcap = Pcap::parse(&header).map_err(|fault| self.broken(fault))?;
            self.format = Format::Pcap(pcap);
            self.source.consume(pcap::FILE_HEADER_BYTES);
        } else if let Some(look) = self.look {
            if self.fill(LOOKED_AT_BYTES)? == Filled::Later {
                return Ok(false);
            }
            let first = self.source.data();
            let Some(records) = look(&first[..first.len().min(LOOKED_AT_BYTES)]) else {
                self.look = None;
                return self.detect();
            };
            self.format = Format::Records(Cutter::new(records));
        } else {
            let [a, b, c, d] = magic;
            let what =
                format!("its first bytes are {a:02x} {b:02x} {c:02x} {d:02x}, of no capture file");
            let cure = "pcap and pcapng files are read, plain or packed by gzip or zstd";
            return Err(self.broken(Fault::new(0, what).cure(cure)));
        }
        Ok(true)
    }

    /// Whether `count` bytes of a header are there. A file that ends before is an error.
    fn has(&mut self, count: usize, what: &str) -> Result<bool, PortError> {
        match self.fill(count)? {
            Filled::Enough => Ok(true),
            Filled::Later => Ok(false),
            Filled::End => {
                let got = self.source.data().len();
                let what = format!("the file ends after {got} of the {count} bytes of {what}");
                Err(self.broken(Fault::new(got, what).cure("check that the capture was written")))
            }
        }
    }

    fn fill(&mut self, count: usize) -> Result<Filled, PortError> {
        self.source.fill(count).map_err(|error| self.unreadable(error))
    }

    /// Goes on to the next packet. True when a whole one stands at the front of the data.
    fn advance(&mut self) -> Result<Option<Received>, PortError> {
        if self.is_over {
            return Ok(Some(Received::End));
        }
        if !self.detect()? {
            return Ok(Some(Received::Idle));
        }
        for _ in 0..BLOCKS_SKIPPED_MAX {
            let step = match &mut self.format {
                Format::Pcap(pcap) => pcap.step(self.source.data()),
                Format::Pcapng(pcapng) => pcapng.step(self.source.data()),
                Format::Records(cutter) => cutter.step(self.source.data()),
                Format::Unknown => return Ok(Some(Received::Idle)),
            };
            match step.map_err(|fault| self.broken(fault))? {
                Step::Packet => return Ok(None),
                Step::Done(count) => self.source.consume(count),
                Step::End => return Ok(Some(self.end())),
                Step::Need(count) => match self.fill(count)? {
                    Filled::Enough => {}
                    Filled::Later => return Ok(Some(Received::Idle)),
                    Filled::End if self.source.data().is_empty() => return Ok(Some(self.end())),
                    Filled::End if self.may_end_there() => {}
                    Filled::End => return Err(self.cut_short(count)),
                },
            }
        }
        Ok(Some(Received::Idle))
    }

    /// Whether a format does not know yet that what is there is the rest, and ends with it.
    fn may_end_there(&mut self) -> bool {
        match &mut self.format {
            Format::Records(cutter) => cutter.is_all(),
            _ => false,
        }
    }

    fn end(&mut self) -> Received {
        self.is_over = true;
        Received::End
    }

    /// What was read of the file so far, for error messages.
    fn so_far(&self) -> String {
        let what = if matches!(self.format, Format::Records(_)) { "record" } else { "packet" };
        match self.packets {
            0 => format!("no {what} could be read"),
            1 => format!("the {what} before it was read"),
            count => format!("the {count} {what}s before it were read"),
        }
    }

    /// " of the unpacked file" where offsets mean that.
    fn unpacked(&self) -> &'static str {
        if self.source.packing() == Packing::Plain { "" } else { " of the unpacked file" }
    }

    #[cold]
    fn broken(&mut self, fault: Fault) -> PortError {
        self.is_over = true;
        let at = self.source.offset() + fault.at as u64;
        let (name, unpacked, so_far) = (&self.name, self.unpacked(), self.so_far());
        let Fault { what, cure, .. } = fault;
        PortError::Broken(format!("{name}: byte {at}{unpacked}: {what}; {so_far}; {cure}"))
    }

    #[cold]
    fn cut_short(&mut self, needed: usize) -> PortError {
        let got = self.source.data().len();
        let start = self.source.offset();
        let what = format!(
            "the file ends after {got} bytes of a record of {needed} or more, begun at byte {start}"
        );
        let cure = match self.format {
            Format::Records(_) => "the file was cut short: copy it again",
            _ => "the capture was cut short: copy or capture it again",
        };
        self.broken(Fault::new(got, what).cure(cure))
    }

    #[cold]
    fn unreadable(&mut self, error: io::Error) -> PortError {
        let packing = self.source.packing();
        let is_packing = matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::InvalidInput)
            || error.kind() == ErrorKind::UnexpectedEof
            || error.get_ref().is_some();
        if packing != Packing::Plain && is_packing {
            let at = self.source.data().len();
            if error.get_ref().is_some_and(|inner| inner.is::<TrailingBytes>()) {
                let what = format!("behind the {packing} data come bytes that are none");
                return self.broken(Fault::new(at, what).cure(CURE_TRAILING));
            }
            let what = if error.kind() == ErrorKind::UnexpectedEof {
                format!("the {packing} file ends in the middle")
            } else {
                format!("the {packing} file is damaged: {error}")
            };
            return self.broken(Fault::new(at, what).cure("test it with `gzip -t` or `zstd -t`"));
        }
        self.is_over = true;
        let at = self.source.offset();
        let so_far = self.so_far();
        PortError::system(
            format!("read {} at byte {at}", self.name),
            error,
            format!("{so_far}; check the disk or network that the file is on"),
        )
    }
}

/// Nothing of the capture is lost: `gzip` and `zstd` also unpack such files, with a complaint.
const CURE_TRAILING: &str =
    "the capture may still be whole: unpack it (`gzip -dc`, `zstd -dc`) to be rid of the rest";

fn first_bytes<const N: usize>(data: &[u8]) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&data[..N]);
    bytes
}

fn cannot_open(name: &str, error: io::Error) -> PortError {
    let cure = match error.kind() {
        ErrorKind::NotFound => "check the name",
        ErrorKind::PermissionDenied => "check who may read it with `ls -l`",
        ErrorKind::IsADirectory => "give the name of a file in it",
        _ => "",
    };
    PortError::system(format!("open {name}"), error, cure)
}

impl Port for FilePort {
    fn receive<'p>(&'p mut self, batch: &mut Batch<'p>) -> Result<Received, PortError> {
        if let Some(received) = self.advance()? {
            return Ok(received);
        }
        let (data, consumer) = self.source.split();
        let done = match &mut self.format {
            Format::Pcap(pcap) => pcap.scan(data, batch),
            Format::Pcapng(pcapng) => pcapng.scan(data, batch),
            Format::Records(cutter) => cutter.scan(data, batch),
            Format::Unknown => 0,
        };
        debug_assert!(!batch.is_empty(), "a whole packet stood at the front");
        consumer.consume(done);
        self.packets += batch.len() as u64;
        Ok(Received::Frames)
    }

    fn wait(&mut self, timeout: Duration) -> Result<(), PortError> {
        self.source.wait(timeout).map_err(|error| self.unreadable(error))
    }

    fn transmit(&mut self, _frames: &[&[u8]]) -> Result<Sent, PortError> {
        Err(PortError::Unsupported {
            what: format!("{} was opened for reading: nothing can be sent into it", self.name),
            cure: "write a capture file with `-w`".to_owned(),
        })
    }

    /// A file loses nothing: what was lost while it was captured is in its
    /// [`kernel_counters`](Port::kernel_counters) and no part of the ledger.
    fn tick(&mut self, _ledger: &mut Ledger) -> Result<(), PortError> {
        Ok(())
    }

    fn quiesce(&mut self) -> Result<(), PortError> {
        self.is_over = true;
        Ok(())
    }

    /// What the file says of the capture it holds: the counters of its statistics blocks, summed
    /// over the interfaces, and the drop counts of its packets, by their specified names.
    fn kernel_counters(&mut self) -> Vec<KernelCounter> {
        let mut counters: Vec<KernelCounter> = Vec::new();
        let mut add = |name: &str, value: u64| match counters.iter_mut().find(|c| c.name == name) {
            Some(counter) => counter.value = counter.value.saturating_add(value),
            None => counters.push(KernelCounter { name: name.to_owned(), value }),
        };
        if let Format::Pcapng(pcapng) = &self.format {
            for statistics in pcapng.statistics() {
                for (name, _, value) in statistics.counters() {
                    add(name, value);
                }
            }
            if pcapng.packet_drops() > 0 {
                add("epb_dropcount", pcapng.packet_drops());
            }
        }
        counters
    }

    fn mode(&self) -> Mode {
        let format = match &self.format {
            Format::Unknown => "not read yet",
            Format::Pcap(pcap) => pcap.name(),
            Format::Pcapng(_) => "pcapng",
            Format::Records(cutter) => cutter.name(),
        };
        let mode = match self.source.packing() {
            Packing::Plain => format.to_owned(),
            packing => format!("{format}, {packing}"),
        };
        Mode { port: "file", mode, why: String::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Order, drain, read};
    use super::*;
    use std::io::{Cursor, Write};

    fn capture(records: u32) -> Vec<u8> {
        let mut file = Order::Little.pcap_header(0xa1b2_c3d4, 65535, 1);
        for number in 0..records {
            file.extend(Order::Little.record(number, 0, 60, &number.to_be_bytes().repeat(10)));
        }
        file
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).expect("memory");
        encoder.finish().expect("memory")
    }

    #[test]
    fn no_capture_file_is_named() {
        for (bytes, expected) in [
            (&b""[..], "byte 0: the file ends after 0 of the 4 bytes of the magic number"),
            (b"abc", "byte 3: the file ends after 3 of the 4 bytes"),
            (b"#!/bin/sh", "its first bytes are 23 21 2f 62, of no capture file"),
        ] {
            let (packets, error) = read(bytes);
            assert!(packets.is_empty());
            let error = error.expect("refused");
            assert!(error.contains(expected), "{error}");
        }
        let error = FilePort::open("/no/such/file").expect_err("not there").to_string();
        assert!(error.starts_with("open /no/such/file: ") && error.ends_with("check the name"));
        let error = FilePort::open("/proc/self/status").expect_err("text").to_string();
        assert!(error.contains("/proc/self/status: byte 0: "), "{error}");
    }

    #[test]
    fn a_cut_gzip_file_gives_whole_packets_and_says_so() {
        let file = gzip(&capture(1000));
        let (packets, error) = read(&file[..file.len() / 2]);
        assert!(packets.len() > 100 && packets.len() < 1000);
        let error = error.expect("cut");
        assert!(
            error.contains("of the unpacked file: the gzip file ends in the middle"),
            "{error}"
        );
        assert!(error.contains(&format!("the {} packets before it", packets.len())), "{error}");
    }

    #[test]
    fn bytes_behind_a_gzip_file_are_named_after_its_last_packet() {
        for rest in [&b"x"[..], b"<html>not found</html>"] {
            let (packets, error) = read(&[&gzip(&capture(100)), rest].concat());
            assert_eq!(packets.len(), 100);
            let error = error.expect("named");
            let what = "behind the gzip data come bytes that are none; the 100 packets before it";
            assert!(error.contains(what) && error.ends_with(CURE_TRAILING), "{error}");
        }
    }

    #[test]
    fn batches_are_full_and_order_is_kept() {
        let mut port = FilePort::from_reader(Cursor::new(capture(200)), "t");
        let mut sizes = Vec::new();
        loop {
            let mut batch = Batch::new();
            if port.receive(&mut batch).expect("whole") == Received::End {
                break;
            }
            sizes.push(batch.len());
        }
        assert_eq!(sizes, [64, 64, 64, 8]);
        assert_eq!(port.packets(), 200);
        assert_eq!(port.mode().to_string(), "file (pcap µs)");
    }

    #[test]
    fn a_file_may_end_at_once() {
        let mut port = FilePort::from_reader(Cursor::new(gzip(&capture(500))), "t");
        port.receive(&mut Batch::new()).expect("packets");
        assert_eq!(port.mode().mode, "pcap µs, gzip");
        port.quiesce().expect("a file");
        assert_eq!(drain(&mut port), (Vec::new(), None));
    }

    #[test]
    fn endless_blocks_without_packets_leave_room_to_stop() {
        let order = Order::Big;
        let file = [order.section(), order.block(0xbad, b"").repeat(BLOCKS_SKIPPED_MAX)].concat();
        let mut port = FilePort::from_reader(Cursor::new(file), "t");
        assert_eq!(port.receive(&mut Batch::new()).expect("no damage"), Received::Idle);
        assert_eq!(port.receive(&mut Batch::new()).expect("no damage"), Received::End);
    }

    #[test]
    fn nothing_is_sent_into_a_file() {
        let mut port = FilePort::from_reader(Cursor::new(capture(1)), "t");
        let error = port.transmit(&[b"abc"]).expect_err("read only").to_string();
        assert!(error.contains("`-w`"), "{error}");
    }
}
