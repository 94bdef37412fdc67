//! The packets of a file of messages, and when each of them is due.

use crate::feed::recording;
use crate::replay::timeline::{Oddities, Timeline};
use crate::table::count;
use crate::units::grouped;
use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::path::Path;
use tickwire_capture::file::Progress;
use tickwire_capture::{FilePort, Port, PortError, Received};
use tickwire_frame::{Batch, FRAMES_MAX};
use tickwire_market::generate::Itch;
use tickwire_market::moldudp64::Session;
use tickwire_market::publish::{HEARTBEAT_NS, Limits, Published, Publisher};
use tickwire_market::wire::{Big, SinceMidnight, Wire};

/// Where every message of ITCH 5.0 has its time.
const TIME_AT: Range<usize> = 5..11;

/// A packet, and when it is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    bytes: Range<usize>,
    /// When: nanoseconds of the clock of the programme.
    pub due_ns: u64,
    /// The number of its first message, or of the next one to come.
    pub sequence: u64,
    /// How many messages it has.
    pub messages: u16,
    is_end: bool,
}

/// Packets that are due next. Kept, so that no memory is taken for each.
#[derive(Clone, Debug, Default)]
pub struct Packets {
    bytes: Vec<u8>,
    packets: VecDeque<Packet>,
}

impl Packets {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// The one that is due first.
    pub fn first(&self) -> Option<&Packet> {
        self.packets.front()
    }

    /// All of them, in the order in which they are due.
    pub fn iter(&self) -> impl Iterator<Item = &Packet> {
        self.packets.iter()
    }

    /// The payload of one of them.
    pub fn payload(&self, packet: &Packet) -> &[u8] {
        &self.bytes[packet.bytes.clone()]
    }

    /// Those that are due at `now_ns`, at most a batch of them.
    pub fn due(&self, now_ns: u64) -> impl Iterator<Item = &Packet> {
        self.packets.iter().take(FRAMES_MAX).take_while(move |packet| packet.due_ns <= now_ns)
    }

    /// Is done with the first `count`. Their bytes stay until all are done.
    pub fn done(&mut self, count: usize) {
        self.packets.drain(..count);
    }

    fn clear(&mut self) {
        self.packets.clear();
        self.bytes.clear();
    }

    fn push(&mut self, published: Published<'_>, is_end: bool) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(published.payload);
        let Published { at_ns: due_ns, sequence, messages, .. } = published;
        let bytes = start..self.bytes.len();
        self.packets.push_back(Packet { bytes, due_ns, sequence, messages, is_end });
    }
}

/// What there was so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Packets of all kinds.
    pub packets: u64,
    /// Messages in them.
    pub messages: u64,
    /// Packets without messages that say that the sender lives.
    pub heartbeats: u64,
    /// Packets that end the session.
    pub ends: u64,
}

impl Counts {
    /// A packet more.
    pub fn enter(&mut self, packet: &Packet) {
        self.packets += 1;
        self.messages += u64::from(packet.messages);
        self.ends += u64::from(packet.is_end);
        self.heartbeats += u64::from(packet.messages == 0 && !packet.is_end);
    }
}

/// For people.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (heartbeats, ends) = (grouped(self.heartbeats), grouped(self.ends));
        count(f, "messages", self.messages, "")?;
        count(
            f,
            "packets",
            self.packets,
            &format!("{heartbeats} heartbeats, {ends} ends of session"),
        )
    }
}

/// What a file is turned into.
#[derive(Clone, Debug)]
pub struct Shape {
    /// The session.
    pub session: Session,
    /// What packets are like.
    pub limits: Limits,
    /// How long the end of the session is repeated.
    pub linger_ns: u64,
    /// When messages are due; at their own times, since midnight, without it.
    pub timeline: Option<Timeline>,
}

/// Where messages come from.
#[derive(Debug)]
enum Source {
    File(Box<FilePort>),
    /// A day that is made up, and how many messages of it are still wanted.
    Made(Box<Itch>, u64),
}

/// Messages that were read and are in no packet yet.
#[derive(Debug, Default)]
struct Messages {
    bytes: Vec<u8>,
    waiting: VecDeque<(u64, Range<usize>)>,
}

impl Messages {
    /// A message, due by its time and `timeline`. One without a time has that of the one before.
    fn push(&mut self, message: &[u8], latest_ns: &mut u64, timeline: &mut Option<Timeline>) {
        if let Some(time) = message.get(TIME_AT) {
            *latest_ns = SinceMidnight::<6>::read::<Big>(time).0;
        }
        let due_ns = match timeline {
            Some(timeline) => timeline.due_ns(*latest_ns),
            None => *latest_ns,
        };
        let start = self.bytes.len();
        self.bytes.extend_from_slice(message);
        self.waiting.push_back((due_ns, start..self.bytes.len()));
    }
}

/// The next of the `left` messages of a day: the last ones are the events that end it.
pub fn next_of_day<'d>(day: &'d mut Itch, left: &mut u64) -> Option<&'d [u8]> {
    /// End of market hours, of system hours, of messages.
    const LAST_EVENTS: u64 = 3;
    if *left <= LAST_EVENTS {
        day.close();
    }
    *left = left.checked_sub(1)?;
    day.next_message()
}

#[derive(Debug)]
enum Stage {
    Reading,
    /// The file was, and what came before has been given out.
    Broken(PortError),
    /// The next end of session, and the last.
    Ending {
        next_ns: u64,
        last_ns: u64,
    },
    Over,
}

/// Reads a file of messages, and gives out packets in the order in which they are due.
#[derive(Debug)]
pub struct Programme {
    source: Source,
    name: String,
    shape: Shape,
    publisher: Publisher,
    messages: Messages,
    /// The latest time of a message so far.
    latest_ns: u64,
    stage: Stage,
}

impl Programme {
    /// Opens `path` (`-`: standard input): BinaryFILE of ITCH 5.0, plain, gzip or zstd.
    ///
    /// # Errors
    /// When it cannot be opened, or is of another format.
    pub fn open(path: &Path, shape: Shape) -> Result<Programme, PortError> {
        let file = FilePort::open_records(path, recording::look)?;
        Programme::new(Source::File(Box::new(file)), path.display().to_string(), shape)
    }

    /// The first `messages` messages of a made-up day, which ends with the last of them.
    ///
    /// # Errors
    /// When the shape of packets leaves no room for messages.
    pub fn made(day: Itch, messages: u64, shape: Shape) -> Result<Programme, PortError> {
        Programme::new(Source::Made(Box::new(day), messages), "a made-up day".to_owned(), shape)
    }

    fn new(source: Source, name: String, shape: Shape) -> Result<Programme, PortError> {
        let publisher = Publisher::new(shape.session, shape.limits)
            .map_err(|error| PortError::Broken(error.to_string()))?;
        Ok(Programme {
            source,
            name,
            shape,
            publisher,
            messages: Messages::default(),
            latest_ns: 0,
            stage: Stage::Reading,
        })
    }

    /// How far the file is read, if it is one.
    pub fn progress(&self) -> Option<Progress> {
        match &self.source {
            Source::File(file) => Some(file.progress()),
            Source::Made(..) => None,
        }
    }

    /// What was odd in the times of the messages.
    pub fn oddities(&self) -> Oddities {
        self.shape.timeline.as_ref().map(Timeline::oddities).unwrap_or_default()
    }

    /// Gives the file time to come, if it is a pipe.
    ///
    /// # Errors
    /// As the file.
    pub fn wait(&mut self, timeout: std::time::Duration) -> Result<(), PortError> {
        match &mut self.source {
            Source::File(file) => file.wait(timeout),
            Source::Made(..) => Ok(()),
        }
    }

    /// Puts the packets that are due next into `packets`, up to a batch; it must be empty. The ends
    /// of the session begin at `now_ns` at the earliest; so long waits what a pipe has not given.
    ///
    /// # Errors
    /// When the file is broken or of another format, or a message does not fit into a packet. What
    /// came before it was given out.
    pub fn fill(&mut self, packets: &mut Packets, now_ns: u64) -> Result<Received, PortError> {
        packets.clear();
        if let Err(error) = self.fill_some(packets, now_ns) {
            self.flush(packets);
            self.stage = Stage::Broken(error);
        }
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Broken(error) if packets.is_empty() => return Err(error),
            stage => self.stage = stage,
        }
        Ok(match (packets.is_empty(), &self.stage) {
            (false, _) => Received::Frames,
            (true, Stage::Reading) => Received::Idle,
            (true, _) => Received::End,
        })
    }

    fn fill_some(&mut self, packets: &mut Packets, now_ns: u64) -> Result<(), PortError> {
        while packets.packets.len() < FRAMES_MAX {
            match self.stage {
                Stage::Reading => match self.messages.waiting.front().cloned() {
                    Some((at_ns, range)) => self.publish(at_ns, range, packets)?,
                    None if !packets.is_empty() => break,
                    None => match self.read()? {
                        Received::Frames => {}
                        Received::End => self.end(packets, now_ns),
                        Received::Idle => match self.publisher.due(now_ns) {
                            Some(packet) => packets.push(packet, false),
                            None => break,
                        },
                    },
                },
                Stage::Ending { next_ns, last_ns } => self.repeat_end(next_ns, last_ns, packets),
                Stage::Broken(_) | Stage::Over => break,
            }
        }
        Ok(())
    }

    /// The packet at hand, if it has messages.
    fn flush(&mut self, packets: &mut Packets) {
        if let Some(packet) = self.publisher.flush() {
            packets.push(packet, false);
        }
    }

    /// The first message that waits, after what is due before it.
    fn publish(
        &mut self,
        at_ns: u64,
        range: Range<usize>,
        packets: &mut Packets,
    ) -> Result<(), PortError> {
        if let Some(packet) = self.publisher.before(at_ns, range.len()) {
            packets.push(packet, false);
            return Ok(());
        }
        self.publisher.push(at_ns, &self.messages.bytes[range]).map_err(|error| {
            PortError::Broken(format!(
                "{}: message {}: {error}; allow longer packets with --size",
                self.name,
                self.publisher.next_sequence()
            ))
        })?;
        self.messages.waiting.pop_front();
        Ok(())
    }

    /// Takes the next messages of the source.
    fn read(&mut self) -> Result<Received, PortError> {
        let Programme { source, messages, shape, latest_ns, .. } = self;
        messages.bytes.clear();
        match source {
            Source::File(file) => {
                let mut batch = Batch::new();
                let received = file.receive(&mut batch)?;
                if received == Received::Frames && batch.link != recording::ITCH50 {
                    return Err(PortError::Unsupported {
                        what: format!("{} has packets already, no messages alone", self.name),
                        cure: "send a capture with `tickwire replay`".into(),
                    });
                }
                for message in batch.bytes() {
                    messages.push(message, latest_ns, &mut shape.timeline);
                }
                Ok(received)
            }
            Source::Made(day, left) => {
                for _ in 0..FRAMES_MAX {
                    let Some(message) = next_of_day(day, left) else { break };
                    messages.push(message, latest_ns, &mut shape.timeline);
                }
                let is_over = messages.waiting.is_empty();
                Ok(if is_over { Received::End } else { Received::Frames })
            }
        }
    }

    /// The file has ended: so does the session.
    fn end(&mut self, packets: &mut Packets, now_ns: u64) {
        self.flush(packets);
        let next_ns = self.publisher.latest_ns().max(now_ns);
        self.stage =
            Stage::Ending { next_ns, last_ns: next_ns.saturating_add(self.shape.linger_ns) };
    }

    fn repeat_end(&mut self, next_ns: u64, last_ns: u64, packets: &mut Packets) {
        packets.push(self.publisher.end(next_ns), true);
        let heartbeat_ns = self.shape.limits.heartbeat_ns;
        let pause_ns = if heartbeat_ns == u64::MAX { HEARTBEAT_NS } else { heartbeat_ns };
        self.stage = match next_ns.saturating_add(pause_ns) {
            next_ns if next_ns <= last_ns => Stage::Ending { next_ns, last_ns },
            _ => Stage::Over,
        };
    }
}
