//! The files of a writer: opening, describing interfaces, rotation.

use super::{Output, Slot, Writer, cannot, is_disk_full};
use crate::file::config::{WriteFormat, WriterConfig};
use crate::file::encode;
use crate::file::interface::Interface;
use crate::file::rotate::Extent;
use crate::file::sink::Sink;
use crate::port::PortError;
use std::path::Path;
use std::time::Instant;
use tickwire_frame::{LinkType, Reason, Timestamp};

impl Writer {
    /// Opens the next file and puts its header into the buffer.
    pub(super) fn open(&mut self, time: Timestamp) -> Result<(), PortError> {
        let is_stdout = self.config.path == Path::new("-");
        let path = if is_stdout { self.config.path.clone() } else { self.names.next(time)? };
        let sink = if is_stdout { Sink::stdout() } else { Sink::create(&path) };
        let sink = sink.map_err(|error| cannot("create", &path, error))?;
        let (packets, first_time) = (0, time);
        self.output = Some(Output { path, sink, packets, first_time, slots: Vec::new() });
        self.totals.files += 1;
        if self.is_pcapng() {
            let WriterConfig { comment, os, application, .. } = &self.config;
            encode::section(&mut self.buffer, comment, os, application);
            for source in 0..self.config.interfaces.len() {
                if let Some(interface) = &self.config.interfaces[source] {
                    let link = interface.link;
                    self.add_slot(source as u32, link);
                }
            }
        } else if let Some(Some(interface)) = self.config.interfaces.first() {
            let link = interface.link;
            self.add_slot(0, link);
        }
        Ok(())
    }

    /// A pcap file has its header even when no packet came that would tell its link type.
    pub(super) fn complete_header(&mut self) {
        if self.output.as_ref().is_some_and(|output| output.slots.is_empty()) && !self.is_pcapng() {
            self.add_slot(0, LinkType::ETHERNET);
        }
    }

    /// The id in the file of interface `source`. `None` when a pcap file is of another link type.
    #[inline]
    pub(super) fn slot(&mut self, source: u32, link: LinkType) -> Option<u32> {
        let slots = &self.output.as_ref()?.slots;
        if !self.is_pcapng() {
            return match slots.first() {
                Some(slot) if slot.link == link => Some(0),
                Some(_) => None,
                None => Some(self.add_slot(source, link)),
            };
        }
        match slots.iter().position(|slot| slot.source == source && slot.link == link) {
            Some(id) => Some(id as u32),
            None => Some(self.add_slot(source, link)),
        }
    }

    /// Describes an interface in the buffer: pcapng's interface block, or a pcap file's header.
    #[cold]
    fn add_slot(&mut self, source: u32, link: LinkType) -> u32 {
        let known = self.config.interfaces.get(source as usize).and_then(Option::as_ref);
        let interface = match known.filter(|interface| interface.link == link) {
            Some(interface) => interface.clone(),
            None => Interface::new(link),
        };
        match self.config.format {
            WriteFormat::Pcapng => encode::interface(&mut self.buffer, &interface),
            format => {
                let nanos = format == WriteFormat::Pcap;
                encode::pcap_header(&mut self.buffer, nanos, link, interface.snaplen);
            }
        }
        let Some(output) = &mut self.output else { return 0 };
        output.slots.push(Slot { source, link, snaplen: interface.snaplen });
        output.slots.len() as u32 - 1
    }

    #[inline]
    pub(super) fn rotate_if_due(
        &mut self,
        record_bytes: usize,
        time: Timestamp,
    ) -> Result<(), PortError> {
        let (true, Some(output)) = (self.config.rotation.is_active(), &self.output) else {
            return Ok(());
        };
        let extent = Extent {
            bytes: output.sink.written() + self.buffer.len() as u64,
            packets: output.packets,
            first_time: output.first_time,
        };
        if self.config.rotation.is_due(extent, record_bytes, time) {
            self.rotate(time)?;
        }
        Ok(())
    }

    /// Completes the file; the next one is opened.
    #[cold]
    fn rotate(&mut self, time: Timestamp) -> Result<(), PortError> {
        self.flush()?;
        if self.pending > 0 {
            // The rest of this file cannot be written: it does not belong in the next one.
            self.drop_pending();
        }
        self.buffer.clear();
        let Some(output) = self.output.take() else { return Ok(()) };
        self.totals.bytes += output.sink.written();
        if output.sink.written() == 0 {
            // Not even the header: this is no capture file.
            self.delete(&output.path);
        } else {
            let (packets, oldest) = self.names.close(output.path, output.packets);
            self.totals.rotated_away += packets;
            if let Some(path) = oldest {
                self.delete(&path);
            }
        }
        if self.reopen(time)? {
            // The header: the new file is readable from the start.
            self.flush()?;
        }
        Ok(())
    }

    fn delete(&mut self, path: &Path) {
        if let Err(error) = std::fs::remove_file(path) {
            self.notice = Some(cannot("delete", path, error).to_string());
        }
    }

    /// Opens the next file, unless that failed a moment ago. Whether there is one now.
    pub(super) fn reopen(&mut self, time: Timestamp) -> Result<bool, PortError> {
        if let Some((_, retry_at)) = self.failure
            && self.totals.files > 0
            && self.output.is_none()
            && Instant::now() < retry_at
        {
            return Ok(false);
        }
        match self.open(time) {
            Ok(()) => Ok(true),
            // The first file is the user's to mend; later ones are tried again.
            Err(error) if self.totals.files == 0 => {
                self.is_dead = true;
                self.settled.lost.add(Reason::WriteFailed, 1);
                Err(error)
            }
            Err(error) => {
                let reason =
                    if is_disk_full(&error) { Reason::DiskFull } else { Reason::WriteFailed };
                self.failed(reason, error.to_string());
                Ok(false)
            }
        }
    }
}
