//! A port of generated packets, each given out when it is due.

use super::job::Shared;
use super::packets::Packets;
use super::schedule::{Rate, Schedule};
use std::sync::Arc;
use std::time::Duration;
use tickwire_capture::{Mode, Port, PortError, Received, Sent};
use tickwire_frame::{Batch, FRAMES_MAX, Frame, Ledger, Timestamp};

/// Gives out numbered packets. The timestamp of each is when it is due, in nanoseconds since the
/// start of the run.
#[derive(Debug)]
pub struct Generator {
    packets: Packets,
    buffers: Vec<Vec<u8>>,
    schedule: Schedule,
    next: u64,
    count: u64,
    shared: Arc<Shared>,
}

impl Generator {
    /// `count` packets as `schedule` says. The run starts with the first receive.
    pub fn new(packets: Packets, schedule: Schedule, count: u64, shared: Arc<Shared>) -> Self {
        let buffers = vec![packets.buffer(); FRAMES_MAX];
        Generator { packets, buffers, schedule, next: 0, count, shared }
    }
}

impl Port for Generator {
    fn receive<'p>(&'p mut self, batch: &mut Batch<'p>) -> Result<Received, PortError> {
        if self.next >= self.count {
            return Ok(Received::End);
        }
        let clock = *self.shared.clock();
        let first = self.next;
        let due = self.schedule.due_count(clock.now_ns()).min(self.count);
        let end = due.min(first + FRAMES_MAX as u64);
        for (sequence, buffer) in (first..end).zip(&mut self.buffers) {
            let due_ns = self.schedule.due_ns(sequence);
            self.packets.fill(buffer, sequence, clock.wall_ns(due_ns));
        }
        for (sequence, buffer) in (first..end).zip(&self.buffers) {
            let due = Timestamp::from_nanos(self.schedule.due_ns(sequence));
            batch.push(Frame::new(buffer, due));
        }
        self.next = self.next.max(end);
        Ok(if batch.is_empty() { Received::Idle } else { Received::Frames })
    }

    fn wait(&mut self, timeout: Duration) -> Result<(), PortError> {
        self.shared.clock().sleep_until(self.schedule.due_ns(self.next), timeout);
        Ok(())
    }

    fn transmit(&mut self, _: &[&[u8]]) -> Result<Sent, PortError> {
        Err(PortError::Unsupported { what: "a generator only gives".into(), cure: String::new() })
    }

    fn tick(&mut self, _: &mut Ledger) -> Result<(), PortError> {
        Ok(())
    }

    fn quiesce(&mut self) -> Result<(), PortError> {
        self.count = self.next;
        Ok(())
    }

    fn take_notice(&mut self) -> Option<String> {
        self.shared.take_notice()
    }

    fn mode(&self) -> Mode {
        let mode = match self.schedule.rate() {
            Rate::Pps(rate) => format!("{rate} packets/s"),
            Rate::Max => "as fast as it goes".into(),
        };
        Mode { port: "generator", mode, why: String::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tickwire_lab::Message;

    fn generator(rate: Rate, count: u64) -> Generator {
        let packets = Packets::Payloads { message: Message::Numbered, bytes: 30 };
        Generator::new(packets, Schedule::new(rate, 1), count, Arc::default())
    }

    fn numbers(batch: &Batch<'_>) -> Vec<u64> {
        batch.bytes().iter().filter_map(|bytes| Message::Numbered.read(bytes)).collect()
    }

    #[test]
    fn every_number_comes_once_and_none_before_its_time() {
        let mut port = generator(Rate::Pps(20_000.0), 500);
        let shared = Arc::clone(&port.shared);
        let mut seen = Vec::new();
        loop {
            let mut batch = Batch::new();
            match port.receive(&mut batch).expect("it never fails") {
                Received::End => break,
                Received::Idle => port.wait(Duration::from_millis(10)).expect("it never fails"),
                Received::Frames => {
                    let now = shared.clock().now_ns();
                    assert!(batch.timestamps().iter().all(|due| due.as_nanos() <= now));
                    seen.extend(numbers(&batch));
                }
            }
        }
        assert!(seen.iter().copied().eq(0..500), "{seen:?}");
        assert!(shared.clock().now_ns() >= 499 * 50_000);
    }

    #[test]
    fn a_stop_ends_it() {
        let mut port = generator(Rate::Max, u64::MAX);
        let mut batch = Batch::new();
        assert_eq!(port.receive(&mut batch).expect("it never fails"), Received::Frames);
        assert_eq!(numbers(&batch), (0..64).collect::<Vec<_>>());
        port.quiesce().expect("it never fails");
        assert_eq!(port.receive(&mut Batch::new()).expect("it never fails"), Received::End);
    }
}
