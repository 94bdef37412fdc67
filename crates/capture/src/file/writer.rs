//! Writes capture files and accounts for every record.
//!
//! Records gather in a buffer of 1 MiB and go out in one system call. A record counts as written
//! only when all of it is in the file. When the disk is full the kernel takes a part of what it is
//! given first: the file is then cut back to its last whole record, so that it is readable at any
//! time. What is in the buffer waits; once the buffer is full too, its records are counted as lost.
//! The disk is tried again at most every [`RETRY_MS`] milliseconds.

mod files;

use super::config::{WriteFormat, WriterConfig};
use super::encode::{self, Annotation, Unit};
use super::interface::{Interface, InterfaceStatistics};
use super::rotate::Names;
use super::sink::Sink;
use crate::port::PortError;
use rustix::io::Errno;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tickwire_frame::{Batch, Counters, Frame, LinkType, Mask, Reason, Timestamp};

/// Records are written when there are so many bytes of them.
const BUFFER_BYTES: usize = 1 << 20;
/// A file that could not be written is tried again after this time.
const RETRY_MS: u64 = 20;

/// What became of records since the last time that was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Records that are whole in a file, or were taken by the reader of a pipe.
    pub written: u64,
    /// Records that are not and never will be, by reason.
    pub lost: Counters,
}

/// What a writer has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriterTotals {
    /// Files begun.
    pub files: u64,
    /// Bytes written, of all files, with their headers.
    pub bytes: u64,
    /// Packets in files that a ring has let go since. They were written, and count so.
    pub rotated_away: u64,
}

/// Where an interface of the source is described in the file.
#[derive(Clone, Copy, Debug)]
struct Slot {
    source: u32,
    link: LinkType,
    snaplen: u32,
}

/// The file being written.
#[derive(Debug)]
struct Output {
    path: PathBuf,
    sink: Sink,
    /// Packets written or in the buffer, and the time of the first.
    packets: u64,
    first_time: Timestamp,
    /// The interfaces described in it. Index is the interface id in the file.
    slots: Vec<Slot>,
}

/// Writes frames into a capture file, or into one after the other.
///
/// `accepted = written + Σ lost + pending` holds after every call; [`finish`](Self::finish) leaves
/// nothing pending.
#[derive(Debug)]
pub struct Writer {
    config: WriterConfig,
    names: Names,
    output: Option<Output>,
    buffer: Vec<u8>,
    /// Records in the buffer.
    pending: u64,
    settled: Settled,
    totals: WriterTotals,
    /// Why the last attempt failed, and when the next one may be.
    failure: Option<(Reason, Instant)>,
    /// Nothing can ever be written again: the reader of the pipe has left.
    is_dead: bool,
    /// Lost since the last record that is in the buffer or the file; said in the next one.
    lost_before: u64,
    last_time: Timestamp,
    notice: Option<String>,
}

impl Writer {
    /// Creates the file and writes its header; with a time in the name, that waits for the first
    /// packet.
    ///
    /// # Errors
    /// When the file cannot be created or its header cannot be written.
    pub fn create(config: WriterConfig) -> Result<Writer, PortError> {
        config.check()?;
        let mut writer = Writer {
            names: Names::new(&config.path, &config.rotation),
            output: None,
            buffer: Vec::with_capacity(BUFFER_BYTES),
            pending: 0,
            settled: Settled::default(),
            totals: WriterTotals::default(),
            failure: None,
            is_dead: false,
            lost_before: 0,
            last_time: Timestamp::ZERO,
            notice: None,
            config,
        };
        if !writer.names.has_time() {
            writer.open(Timestamp::ZERO)?;
            if let Err(error) = writer.put_out() {
                return Err(cannot("write", &writer.config.path, error));
            }
        }
        Ok(writer)
    }

    /// Says what is known of interface `source` of the frames to come. Frames of interfaces of
    /// which nothing was said are described by their link type alone.
    pub fn describe(&mut self, source: u32, interface: Interface) {
        let index = source as usize;
        while self.config.interfaces.len() <= index {
            self.config.interfaces.push(None);
        }
        self.config.interfaces[index] = Some(interface);
    }

    /// Writes one frame of interface `source`.
    ///
    /// # Errors
    /// Only when nothing can ever be written again; all else is counted, and said by
    /// [`take_notice`](Self::take_notice). The frame is accounted for either way.
    pub fn write(
        &mut self,
        frame: &Frame<'_>,
        source: u32,
        link: LinkType,
    ) -> Result<(), PortError> {
        self.write_annotated(frame, source, link, Annotation::default())
    }

    /// Writes the frames of `batch` that are in `mask`.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn write_batch(&mut self, batch: &Batch<'_>, mask: Mask) -> Result<(), PortError> {
        let mut result = Ok(());
        for frame in batch.select(mask) {
            // After an error the others are counted too.
            result = result.and(self.write(&frame, batch.interface, batch.link));
        }
        result
    }

    /// Writes one frame with a comment and a drop count, which pcapng keeps and pcap has no place
    /// for.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn write_annotated(
        &mut self,
        frame: &Frame<'_>,
        source: u32,
        link: LinkType,
        mut annotation: Annotation<'_>,
    ) -> Result<(), PortError> {
        if self.is_dead {
            self.settled.lost.add(self.reason(), 1);
            return Ok(());
        }
        let size = self.record_bytes(frame.bytes.len());
        self.rotate_if_due(size, frame.timestamp)?;
        if self.buffer.len() + size > BUFFER_BYTES && self.pending > 0 {
            self.make_room()?;
        }
        if self.output.is_none() && !self.reopen(frame.timestamp)? {
            self.settled.lost.add(self.reason(), 1);
            return Ok(());
        }
        let Some(id) = self.slot(source, link) else {
            self.settled.lost.add(Reason::OtherLinkType, 1);
            return Ok(());
        };
        let Some(output) = &mut self.output else { return Ok(()) };
        let snaplen = output.slots[id as usize].snaplen as usize;
        let frame = Frame { bytes: &frame.bytes[..frame.bytes.len().min(snaplen)], ..*frame };
        if output.packets == 0 {
            output.first_time = frame.timestamp;
        }
        output.packets += 1;
        self.pending += 1;
        self.last_time = frame.timestamp;
        match self.config.format {
            WriteFormat::Pcap => encode::pcap_record(&mut self.buffer, true, &frame),
            WriteFormat::PcapMicros => encode::pcap_record(&mut self.buffer, false, &frame),
            WriteFormat::Pcapng => {
                annotation.dropped += std::mem::take(&mut self.lost_before);
                encode::packet(&mut self.buffer, id, &frame, annotation);
            }
        }
        Ok(())
    }

    /// Puts out what is in the buffer. After a failure nothing is tried before its time.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn flush(&mut self) -> Result<(), PortError> {
        if self.buffer.is_empty() || self.is_dead {
            return Ok(());
        }
        if let Some((_, retry_at)) = self.failure
            && Instant::now() < retry_at
        {
            return Ok(());
        }
        match self.put_out() {
            Ok(()) => {
                if self.failure.take().is_some() {
                    self.notice = Some(format!("{}: written again", self.config.path.display()));
                }
                Ok(())
            }
            Err(error) => self.fail(error),
        }
    }

    /// What became of records since the last call.
    pub fn take_settled(&mut self) -> Settled {
        std::mem::take(&mut self.settled)
    }

    /// Records that are in the buffer: neither written nor lost yet.
    pub fn pending(&self) -> u64 {
        self.pending
    }

    /// What the user should be told, once each time: the disk is full, it is written again.
    pub fn take_notice(&mut self) -> Option<String> {
        self.notice.take()
    }

    /// What was done so far.
    pub fn totals(&self) -> WriterTotals {
        let bytes = self.output.as_ref().map_or(0, |output| output.sink.written());
        WriterTotals { bytes: self.totals.bytes + bytes, ..self.totals }
    }

    /// Writes the statistics of the interfaces (pcapng only; by index of the source), all that is
    /// pending, and closes the file. What cannot be written now is counted as lost.
    pub fn finish(mut self, statistics: &[InterfaceStatistics]) -> (Settled, WriterTotals) {
        self.finish_now(statistics);
        (self.take_settled(), self.totals())
    }

    fn finish_now(&mut self, statistics: &[InterfaceStatistics]) {
        if self.output.is_none() && self.totals.files == 0 && !self.is_dead {
            // A capture without packets is a file all the same.
            if let Err(error) = self.open(Timestamp::now()) {
                self.notice = Some(error.to_string());
            }
        }
        self.complete_header();
        self.failure = None;
        self.add_statistics(statistics);
        if self.flush().is_err() || self.pending > 0 {
            self.drop_pending();
        }
        if let Some(output) = self.output.take() {
            self.totals.bytes += output.sink.written();
        }
        self.buffer.clear();
    }

    fn add_statistics(&mut self, statistics: &[InterfaceStatistics]) {
        let Some(output) = &self.output else { return };
        if self.config.format != WriteFormat::Pcapng {
            return;
        }
        let time =
            if self.last_time == Timestamp::ZERO { Timestamp::now() } else { self.last_time };
        for (id, slot) in output.slots.iter().enumerate() {
            if let Some(of) = statistics.get(slot.source as usize) {
                encode::statistics(&mut self.buffer, id as u32, time, of);
            }
        }
    }

    fn is_pcapng(&self) -> bool {
        self.config.format == WriteFormat::Pcapng
    }

    fn record_bytes(&self, captured: usize) -> usize {
        if self.is_pcapng() {
            encode::pcapng_packet_bytes(captured)
        } else {
            encode::pcap_record_bytes(captured)
        }
    }

    fn reason(&self) -> Reason {
        self.failure.map_or(Reason::WriteFailed, |(reason, _)| reason)
    }
}

/// Writing out, and what happens when that fails.
impl Writer {
    /// Writes the buffer. What could not be written stays in it, from its first unit that is not
    /// whole in the file.
    fn put_out(&mut self) -> Result<(), io::Error> {
        let is_pcapng = self.is_pcapng();
        let Some(output) = &mut self.output else { return Ok(()) };
        let at_start = output.sink.written() == 0;
        let (done, result) = output.sink.write(&self.buffer, &self.config.stop);
        if result.is_ok() {
            self.settled.written += std::mem::take(&mut self.pending);
            self.buffer.clear();
            return output.sink.keep(done, done);
        }
        let (mut whole, mut packets) = (0, 0);
        for unit in encode::walk(&self.buffer[..done], is_pcapng, at_start) {
            whole += unit.bytes;
            packets += u64::from(unit.is_packet);
        }
        self.settled.written += packets;
        self.pending -= packets;
        self.buffer.drain(..whole);
        if let Err(error) = output.sink.keep(whole, done) {
            // Whatever came after would stand behind half a record.
            self.is_dead = true;
            return Err(error);
        }
        result
    }

    /// Makes room in a full buffer: writes it, or counts its records as lost.
    #[cold]
    fn make_room(&mut self) -> Result<(), PortError> {
        self.flush()?;
        if self.pending > 0 {
            self.drop_pending();
        }
        Ok(())
    }

    /// Counts the records in the buffer as lost. What describes interfaces stays.
    #[cold]
    fn drop_pending(&mut self) {
        let at_start = self.output.as_ref().is_some_and(|output| output.sink.written() == 0);
        let buffer = std::mem::take(&mut self.buffer);
        self.buffer.reserve(BUFFER_BYTES);
        let mut at = 0;
        for Unit { bytes, is_packet, dropped } in encode::walk(&buffer, self.is_pcapng(), at_start)
        {
            if is_packet {
                self.lost_before += 1 + dropped;
            } else {
                self.buffer.extend_from_slice(&buffer[at..at + bytes]);
            }
            at += bytes;
        }
        if let Some(output) = &mut self.output {
            output.packets -= self.pending.min(output.packets);
        }
        let reason = self.reason();
        self.settled.lost.add(reason, std::mem::take(&mut self.pending));
    }

    #[cold]
    fn fail(&mut self, error: io::Error) -> Result<(), PortError> {
        let is_stalled = error.kind() == io::ErrorKind::WouldBlock;
        let error = cannot("write", &self.config.path, error);
        let reason = match is_disk_full(&error) {
            true => Reason::DiskFull,
            false if is_stalled => Reason::Stopped,
            false => Reason::WriteFailed,
        };
        self.failed(reason, error.to_string());
        // What a stream has taken cannot be cut back: it would go on in the middle of a record.
        self.is_dead |= self.output.as_ref().is_some_and(|output| !output.sink.is_regular());
        if !self.is_dead {
            return Ok(());
        }
        self.drop_pending();
        Err(error)
    }

    /// Remembers a failure; says so when it is a new one.
    fn failed(&mut self, reason: Reason, text: String) {
        if self.failure.is_none_or(|(before, _)| before != reason) {
            self.notice = Some(text);
        }
        self.failure = Some((reason, Instant::now() + Duration::from_millis(RETRY_MS)));
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.buffer.is_empty() {
            self.finish_now(&[]);
        }
    }
}

fn is_disk_full(error: &PortError) -> bool {
    let PortError::System { source, .. } = error else { return false };
    [Errno::NOSPC, Errno::DQUOT]
        .iter()
        .any(|errno| source.raw_os_error() == Some(errno.raw_os_error()))
}

fn cannot(what: &str, path: &Path, error: io::Error) -> PortError {
    let name = match path {
        path if path == Path::new("-") => "standard output".to_owned(),
        path => path.display().to_string(),
    };
    let cure = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "packets are counted as lost until there is room: delete files or write elsewhere"
        }
        io::ErrorKind::NotFound => "create the folder first",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "choose a folder that you may write to"
        }
        io::ErrorKind::IsADirectory => "give the name of a file in it",
        io::ErrorKind::BrokenPipe => "its reader has ended",
        io::ErrorKind::WouldBlock => "its reader takes nothing",
        _ => "",
    };
    PortError::system(format!("{what} {name}"), error, cure)
}
