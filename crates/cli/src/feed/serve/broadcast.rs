//! A port of the packets of a programme, each given out when it is due.

use crate::feed::publish::programme::{Counts, Packets, Programme};
use crate::replay::timeline::Oddities;
use crate::send::job::Shared;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tickwire_capture::{Mode, Port, PortError, Received, Sent};
use tickwire_frame::{Batch, Frame, Ledger, Timestamp};

/// What was given out, and what was odd, as of the last tick.
#[derive(Clone, Copy, Debug, Default)]
pub struct Played {
    /// What was given out.
    pub counts: Counts,
    /// What was odd in the times of the file.
    pub oddities: Oddities,
    /// When the first and the last message were given out, in nanoseconds since the start.
    pub messages_ns: Option<(u64, u64)>,
}

/// Gives out packets. The timestamp of each is when it is due, in nanoseconds since the start of
/// the run.
pub struct Broadcast {
    programme: Programme,
    packets: Packets,
    /// How many of `packets` the batch before has.
    given: usize,
    /// How much later than the programme says all is due.
    wait_ns: u64,
    counts: Counts,
    messages_ns: Option<(u64, u64)>,
    played: Arc<Mutex<Played>>,
    is_over: bool,
    shared: Arc<Shared>,
}

impl Broadcast {
    /// Plays `programme`, beginning `wait_ns` after the first receive.
    pub fn new(programme: Programme, wait_ns: u64, shared: Arc<Shared>) -> Broadcast {
        Broadcast {
            programme,
            packets: Packets::default(),
            given: 0,
            wait_ns,
            counts: Counts::default(),
            messages_ns: None,
            played: Arc::default(),
            is_over: false,
            shared,
        }
    }

    /// What was played, to be read when it has ended.
    pub fn played(&self) -> Arc<Mutex<Played>> {
        Arc::clone(&self.played)
    }
}

impl Port for Broadcast {
    fn receive<'p>(&'p mut self, batch: &mut Batch<'p>) -> Result<Received, PortError> {
        if self.is_over {
            return Ok(Received::End);
        }
        self.packets.done(self.given);
        self.given = 0;
        let clock_ns = self.shared.clock().now_ns();
        let now_ns = clock_ns.saturating_sub(self.wait_ns);
        if self.packets.is_empty() {
            match self.programme.fill(&mut self.packets, now_ns)? {
                Received::Frames => {}
                other => return Ok(other),
            }
        }
        for packet in self.packets.due(now_ns) {
            self.counts.enter(packet);
            if packet.messages > 0 {
                let (first_ns, _) = self.messages_ns.unwrap_or((clock_ns, clock_ns));
                self.messages_ns = Some((first_ns, clock_ns));
            }
            let due = Timestamp::from_nanos(packet.due_ns.saturating_add(self.wait_ns));
            batch.push(Frame::new(self.packets.payload(packet), due));
        }
        self.given = batch.len();
        Ok(if batch.is_empty() { Received::Idle } else { Received::Frames })
    }

    fn wait(&mut self, timeout: Duration) -> Result<(), PortError> {
        match self.packets.first() {
            Some(packet) => {
                let due_ns = packet.due_ns.saturating_add(self.wait_ns);
                self.shared.clock().sleep_until(due_ns, timeout);
                Ok(())
            }
            // A pipe that has nothing to read.
            None => self.programme.wait(timeout),
        }
    }

    fn transmit(&mut self, _: &[&[u8]]) -> Result<Sent, PortError> {
        Err(PortError::Unsupported { what: "a file is only played".into(), cure: String::new() })
    }

    fn tick(&mut self, _: &mut Ledger) -> Result<(), PortError> {
        let oddities = self.programme.oddities();
        *self.played.lock().unwrap_or_else(PoisonError::into_inner) =
            Played { counts: self.counts, oddities, messages_ns: self.messages_ns };
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
        Mode { port: "programme", mode: "BinaryFILE".to_owned(), why: String::new() }
    }
}
