//! A port that plays a capture file, each packet given out when it is due.

use super::timeline::{Oddities, Timeline};
use crate::send::job::Shared;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tickwire_capture::file::Progress;
use tickwire_capture::{FilePort, Mode, Port, PortError, Received, Sent};
use tickwire_engine::Select;
use tickwire_frame::{Batch, FRAMES_MAX, Flags, Frame, Ledger, LinkType, Reason, Timestamp};

/// The longest packet that is filled up to its length on the wire, in bytes: the length field of a
/// hostile file is no reason to take memory.
const PADDED_BYTES_MAX: usize = 65_575;

/// What becomes of packets of which the file holds only the first bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum CutPackets {
    /// They are discarded, by name
    #[default]
    Discard,
    /// They are sent as short as they are
    Send,
    /// They are filled up with zeros
    Pad,
}

/// How a file is played.
pub struct PlaybackConfig {
    /// The file.
    pub path: PathBuf,
    /// How often; `None` for ever.
    pub rounds: Option<u64>,
    /// Which packets are wanted. Times are those of these: what comes before the first is skipped.
    pub select: Select,
    /// When they are due.
    pub timeline: Timeline,
    /// What becomes of packets that the file holds in part.
    pub cut_packets: CutPackets,
}

/// Plays a file. The timestamp of each frame is when it is due, in nanoseconds since the start of
/// the run. Packets that the filter does not select enter the ledger with the next tick.
pub struct Playback {
    config: PlaybackConfig,
    file: FilePort,
    rounds_left: Option<u64>,
    /// Packets of the round at hand.
    packets: u64,
    pending: Pending,
    unselected: (u64, u64),
    is_over: bool,
    shared: Arc<Shared>,
    oddities: Arc<Mutex<Oddities>>,
}

/// Packets that were read and are not due yet: copies, so that the file can be read on.
#[derive(Default)]
struct Pending {
    link: LinkType,
    bytes: Vec<u8>,
    packets: Vec<Packet>,
    /// The first one that was not given out.
    next: usize,
}

struct Packet {
    bytes: Range<usize>,
    wire_len: u32,
    due_ns: u64,
}

impl Playback {
    /// Opens the file.
    pub fn open(config: PlaybackConfig, shared: Arc<Shared>) -> Result<Self, PortError> {
        let file = FilePort::open(&config.path)?;
        if config.rounds != Some(1) && file.progress().total_bytes().is_none() {
            return Err(PortError::Unsupported {
                what: format!("{} is a pipe, which can be read once", config.path.display()),
                cure: "leave --loop out, or save it to a file".into(),
            });
        }
        Ok(Playback {
            rounds_left: config.rounds,
            config,
            file,
            packets: 0,
            pending: Pending::default(),
            unselected: (0, 0),
            is_over: false,
            shared,
            oddities: Arc::default(),
        })
    }

    /// How far the file is read.
    pub fn progress(&self) -> Progress {
        self.file.progress()
    }

    /// What was found odd in the recorded times, as of the last tick.
    pub fn oddities(&self) -> Arc<Mutex<Oddities>> {
        Arc::clone(&self.oddities)
    }

    /// Reads the next packets of the file.
    fn read(&mut self) -> Result<Received, PortError> {
        let mut batch = Batch::new();
        let received = self.file.receive(&mut batch)?;
        if received == Received::Frames {
            self.packets += batch.len() as u64;
            let selected = self.config.select.select(&batch);
            let selected = selected.map_err(|error| PortError::Broken(error.to_string()))?;
            let (timeline, cut) = (&mut self.config.timeline, self.config.cut_packets);
            self.pending.clear(batch.link);
            let mut selected_bytes = 0;
            for frame in batch.select(selected) {
                selected_bytes += u64::from(frame.wire_len);
                self.pending.push(&frame, cut, timeline.due_ns(frame.timestamp.as_nanos()));
            }
            let all_bytes: u64 = batch.wire_lens().iter().map(|&length| u64::from(length)).sum();
            self.unselected.0 += (batch.len() - selected.count()) as u64;
            self.unselected.1 += all_bytes - selected_bytes;
        }
        Ok(received)
    }

    /// The file has ended: plays it again if that is wanted, and if there is something in it.
    fn next_round(&mut self) -> Result<Received, PortError> {
        self.rounds_left = self.rounds_left.map(|rounds| rounds.saturating_sub(1));
        if self.rounds_left == Some(0) || self.packets == 0 {
            self.is_over = true;
            return Ok(Received::End);
        }
        self.file = FilePort::open(&self.config.path)?;
        self.packets = 0;
        self.config.timeline.next_round();
        Ok(Received::Idle)
    }
}

impl Pending {
    fn clear(&mut self, link: LinkType) {
        self.link = link;
        self.bytes.clear();
        self.packets.clear();
        self.next = 0;
    }

    fn is_empty(&self) -> bool {
        self.next == self.packets.len()
    }

    fn push(&mut self, frame: &Frame<'_>, cut: CutPackets, due_ns: u64) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(frame.bytes);
        let mut wire_len = frame.wire_len;
        match cut {
            CutPackets::Discard => {}
            CutPackets::Send => wire_len = frame.bytes.len() as u32,
            CutPackets::Pad => {
                let length = (wire_len as usize).min(PADDED_BYTES_MAX).max(frame.bytes.len());
                self.bytes.resize(start + length, 0);
            }
        }
        self.packets.push(Packet { bytes: start..self.bytes.len(), wire_len, due_ns });
    }

    /// Puts what is due into `batch`.
    fn give<'p>(&'p mut self, now_ns: u64, batch: &mut Batch<'p>) {
        batch.link = self.link;
        let waiting = &self.packets[self.next..];
        let due = waiting.iter().take(FRAMES_MAX).take_while(|packet| packet.due_ns <= now_ns);
        for packet in due {
            batch.push(Frame {
                bytes: &self.bytes[packet.bytes.clone()],
                wire_len: packet.wire_len,
                timestamp: Timestamp::from_nanos(packet.due_ns),
                flags: Flags::NONE,
            });
        }
        self.next += batch.len();
    }
}

impl Port for Playback {
    fn receive<'p>(&'p mut self, batch: &mut Batch<'p>) -> Result<Received, PortError> {
        if self.is_over {
            return Ok(Received::End);
        }
        if self.pending.is_empty() {
            match self.read()? {
                Received::Frames => {}
                Received::Idle => return Ok(Received::Idle),
                Received::End => return self.next_round(),
            }
        }
        self.pending.give(self.shared.clock().now_ns(), batch);
        Ok(if batch.is_empty() { Received::Idle } else { Received::Frames })
    }

    fn wait(&mut self, timeout: Duration) -> Result<(), PortError> {
        match self.pending.packets.get(self.pending.next) {
            Some(packet) => self.shared.clock().sleep_until(packet.due_ns, timeout),
            // Nothing was selected of what was read last, or a pipe has nothing to read.
            None if self.file.progress().total_bytes().is_none() => self.file.wait(timeout)?,
            None => {}
        }
        Ok(())
    }

    fn transmit(&mut self, _: &[&[u8]]) -> Result<Sent, PortError> {
        Err(PortError::Unsupported { what: "a file is only played".into(), cure: String::new() })
    }

    fn tick(&mut self, ledger: &mut Ledger) -> Result<(), PortError> {
        let (packets, bytes) = std::mem::take(&mut self.unselected);
        ledger.lost(Reason::NotSelected, packets);
        ledger.received_bytes += bytes;
        let mut oddities = self.oddities.lock().unwrap_or_else(PoisonError::into_inner);
        *oddities = self.config.timeline.oddities();
        Ok(())
    }

    fn quiesce(&mut self) -> Result<(), PortError> {
        self.is_over = true;
        Ok(())
    }

    fn take_notice(&mut self) -> Option<String> {
        self.shared.take_notice()
    }

    fn mode(&self) -> Mode {
        self.file.mode()
    }
}
