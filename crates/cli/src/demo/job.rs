//! What the demo does with a packet: decodes it, follows the feed's sequence numbers, and keeps
//! the first ones for the capture file.

use super::feed::{PACKET_BYTES_MAX, PORT, Place, nanos_of_day};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tickwire_decode::five_tuple;
use tickwire_engine::Job;
use tickwire_frame::{Batch, Frame, Ledger, LinkType, Mask, Timestamp};

/// What a job has seen, once it has ended.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Packets of the feed.
    pub feed: u64,
    /// Messages that the sequence numbers say are missing.
    pub missing: u64,
    /// Packets that came after a later one.
    pub out_of_order: u64,
    /// The sum of the delays from making a packet to handling it, in nanoseconds.
    pub delay_ns: u64,
    /// When the first and the last packet of the feed were received.
    pub span: Option<(Timestamp, Timestamp)>,
    /// The first packets, for the capture file.
    pub recording: Recording,
}

impl Seen {
    /// The mean time from making a packet to handling it.
    pub fn delay(&self) -> Duration {
        Duration::from_nanos(self.delay_ns / self.feed.max(1))
    }

    /// From the first packet of the feed to the last.
    pub fn time(&self) -> Duration {
        self.span.map_or(Duration::ZERO, |(first, last)| last.since(first))
    }
}

/// Packets one behind the other in one piece of memory, taken before the first packet comes.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    bytes: Vec<u8>,
    /// When each was received, and where it ends.
    packets: Vec<(Timestamp, usize)>,
}

impl Recording {
    /// Room for so many packets of the feed.
    pub fn with_room_for(packets: usize) -> Recording {
        Recording {
            bytes: Vec::with_capacity(packets * PACKET_BYTES_MAX),
            packets: Vec::with_capacity(packets),
        }
    }

    /// Keeps a packet when there is room without growing.
    fn keep(&mut self, frame: &Frame<'_>) {
        let room = self.bytes.capacity() - self.bytes.len();
        if self.packets.len() < self.packets.capacity() && frame.bytes.len() <= room {
            self.bytes.extend_from_slice(frame.bytes);
            self.packets.push((frame.timestamp, self.bytes.len()));
        }
    }

    /// How many packets it has.
    pub fn len(&self) -> usize {
        self.packets.len()
    }

    /// The packets in order.
    pub fn frames(&self) -> impl Iterator<Item = Frame<'_>> {
        let mut start = 0;
        self.packets.iter().map(move |&(timestamp, end)| {
            let bytes = &self.bytes[std::mem::replace(&mut start, end)..end];
            Frame::new(bytes, timestamp)
        })
    }
}

/// A packet for the screen.
pub type Sample = (LinkType, Timestamp, Vec<u8>);

/// The job. Every packet that it handles is delivered.
pub struct FeedJob {
    expected: Option<u64>,
    seen: Seen,
    /// Takes the first packets until it is full.
    samples: Option<SyncSender<Sample>>,
    result: Arc<OnceLock<Seen>>,
}

impl FeedJob {
    /// A job that keeps what fits into `recording`, offers the first packets to `samples`, and
    /// leaves what it has seen in `result` when it ends.
    pub fn new(
        recording: Recording,
        samples: Option<SyncSender<Sample>>,
        result: Arc<OnceLock<Seen>>,
    ) -> FeedJob {
        let seen = Seen { recording, ..Seen::default() };
        FeedJob { expected: None, seen, samples, result }
    }

    fn follow(&mut self, place: Place, received: Timestamp, now: Timestamp) {
        self.seen.feed += 1;
        self.seen.delay_ns += nanos_of_day(now).saturating_sub(place.nanos_of_day);
        let (first, _) = self.seen.span.unwrap_or((received, received));
        self.seen.span = Some((first, received));
        let next = place.sequence.wrapping_add(u64::from(place.count));
        let expected = self.expected.unwrap_or(place.sequence);
        if place.sequence < expected {
            self.seen.out_of_order += 1;
        } else {
            self.seen.missing += place.sequence - expected;
            self.expected = Some(next);
        }
    }

    /// Only for the first few packets: these are copied.
    #[cold]
    fn offer(&mut self, link: LinkType, frame: &Frame<'_>) {
        let Some(samples) = &self.samples else { return };
        let sample = (link, frame.timestamp, frame.bytes.to_vec());
        if samples.try_send(sample).is_err() {
            self.samples = None;
        }
    }
}

impl Job for FeedJob {
    fn handle(&mut self, batch: &Batch<'_>, selected: Mask, ledger: &mut Ledger) {
        // One look at the clock a batch: all of its packets are handled now.
        let now = Timestamp::now();
        for frame in batch.select(selected) {
            if let Ok(tuple) = five_tuple(batch.link, frame.bytes)
                && tuple.destination_port == PORT
                && let Some(place) = Place::of(tuple.payload(frame.bytes))
            {
                self.follow(place, frame.timestamp, now);
            }
            if self.samples.is_some() {
                self.offer(batch.link, &frame);
            }
            self.seen.recording.keep(&frame);
        }
        ledger.delivered += selected.count() as u64;
    }

    fn finish(&mut self, _: &mut Ledger) {
        let _ = self.result.set(std::mem::take(&mut self.seen));
    }
}

#[cfg(test)]
mod tests {
    use super::super::feed::Feed;
    use super::*;
    use std::sync::mpsc::sync_channel;

    /// Runs the packets of a feed, by index and in this order, through a job.
    fn run(order: &[usize], room: usize) -> (Seen, Ledger, usize) {
        let mut feed = Feed::new(3);
        let mut packets = vec![Vec::new(); 64];
        for packet in &mut packets {
            feed.next(Timestamp::ZERO, packet);
        }
        let result = Arc::default();
        let (samples, shown) = sync_channel(2);
        let recording = Recording::with_room_for(room);
        let mut job = FeedJob::new(recording, Some(samples), Arc::clone(&result));
        let (mut batch, mut ledger) = (Batch::new(), Ledger::default());
        for &index in order {
            batch.push(Frame::new(&packets[index], Timestamp::from_nanos(index as u64)));
        }
        ledger.receive(&batch);
        job.handle(&batch, batch.all(), &mut ledger);
        job.finish(&mut ledger);
        (result.get().unwrap().clone(), ledger, shown.try_iter().count())
    }

    #[test]
    fn a_feed_in_order_has_no_gap() {
        let (seen, ledger, samples) = run(&[0, 1, 2, 3, 4], 3);
        assert_eq!((seen.feed, seen.missing, seen.out_of_order), (5, 0, 0));
        assert_eq!((ledger.delivered, ledger.difference()), (5, 0));
        assert_eq!(samples, 2);
        assert_eq!(seen.time(), Duration::from_nanos(4));
        // The recording has room for three, and they come back as they were.
        assert_eq!(seen.recording.len(), 3);
        let times: Vec<u64> =
            seen.recording.frames().map(|frame| frame.timestamp.as_nanos()).collect();
        assert_eq!(times, [0, 1, 2]);
        assert!(
            seen.recording
                .frames()
                .all(|frame| five_tuple(LinkType::ETHERNET, frame.bytes).is_ok())
        );
    }

    #[test]
    fn gaps_and_late_packets_are_counted() {
        let (seen, ..) = run(&[0, 2, 1, 3], 0);
        assert!(seen.missing >= 1 && seen.missing <= 3, "{seen:?}");
        assert_eq!(seen.out_of_order, 1);
    }
}
