//! What arrives: how long it took, what is missing, what came twice or out of order.

use super::functional::Functional;
use super::sequence::{Arrival, Sequence};
use crate::send::distribution::Distribution;
use crate::send::job::Shared;
use crate::send::schedule::Schedule;
use std::sync::{Arc, Mutex, PoisonError};
use tickwire_decode::five_tuple;
use tickwire_engine::Job;
use tickwire_frame::{Batch, Ledger, Mask, Reason, Timestamp};
use tickwire_lab::Message;

/// The time that counts as arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Stamps {
    /// When the kernel received it
    Kernel,
    /// When this program read it
    User,
}

/// What arrived at one subscriber.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Numbers that came.
    pub sequence: Sequence,
    /// From the time a packet was due to its arrival; of those that came for the first time.
    pub latency: Distribution,
    /// Packets that came before they were due: of another run, or the clock was set.
    pub early: u64,
    /// Packets without a number.
    pub foreign: u64,
    /// Orders that were looked at and are not as expected.
    pub wrong: u64,
}

/// What arrived at all subscribers, in their order; whole once the job has finished.
pub type Tallies = Arc<Mutex<Vec<Tally>>>;

/// Enters every packet in the tally of its subscriber, which the batch's `interface` says.
pub struct TallyJob {
    message: Message,
    schedule: Schedule,
    stamps: Stamps,
    shared: Arc<Shared>,
    mine: Vec<Tally>,
    result: Tallies,
    functional: Option<Functional>,
}

impl TallyJob {
    /// For packets of `schedule` that say `message`, at so many subscribers.
    pub fn new(
        message: Message,
        schedule: Schedule,
        stamps: Stamps,
        shared: Arc<Shared>,
        subscribers: usize,
    ) -> Self {
        let mine = vec![Tally::default(); subscribers];
        let (result, functional) = (Arc::default(), None);
        TallyJob { message, schedule, stamps, shared, mine, result, functional }
    }

    /// Looks at each field of each order.
    pub fn functional(mut self, functional: Option<Functional>) -> Self {
        self.functional = functional;
        self
    }

    /// What arrived; empty until the job has finished.
    pub fn result(&self) -> Tallies {
        Arc::clone(&self.result)
    }
}

impl Tally {
    /// Enters a packet by its number and the time when it was due, if it has one; by the wall
    /// clock, in nanoseconds. False when it is none of ours.
    fn enter(&mut self, due: Option<(u64, u64)>, arrived_ns: u64) -> bool {
        let Some((number, due_ns)) = due else {
            self.foreign += 1;
            return false;
        };
        let Some(latency_ns) = arrived_ns.checked_sub(due_ns) else {
            self.early += 1;
            return false;
        };
        if self.sequence.enter(number) == Arrival::New {
            self.latency.add(latency_ns, 1);
        }
        true
    }
}

impl Job for TallyJob {
    fn handle(&mut self, batch: &Batch<'_>, selected: Mask, ledger: &mut Ledger) {
        let tally = &mut self.mine[batch.interface as usize];
        let read_ns = match self.stamps {
            Stamps::Kernel => None,
            Stamps::User => Some(Timestamp::now().as_nanos()),
        };
        // Before the first packet is sent, none can be ours.
        let clock = self.shared.started();
        let mut ours = 0;
        for frame in batch.select(selected) {
            let tuple = five_tuple(batch.link, frame.bytes);
            let number = tuple.ok().and_then(|tuple| self.message.read(tuple.payload(frame.bytes)));
            let number = match self.message.numbers() {
                None => number,
                Some(numbers) => number.map(|low| tally.sequence.whole(low, numbers)),
            };
            let arrived_ns = read_ns.unwrap_or(frame.timestamp.as_nanos());
            let due = number
                .and_then(|number| Some((number, clock?.wall_ns(self.schedule.due_ns(number)))));
            let is_ours = tally.enter(due, arrived_ns);
            ours += u64::from(is_ours);
            if let (Some(functional), true) = (&mut self.functional, is_ours) {
                let payload = tuple.map_or(&[][..], |tuple| tuple.payload(frame.bytes));
                tally.wrong += u64::from(!functional.is_right(payload));
            }
        }
        ledger.delivered += ours;
        ledger.discard(Reason::Foreign, selected.count() as u64 - ours);
    }

    fn finish(&mut self, _: &mut Ledger) {
        let mine = std::mem::take(&mut self.mine);
        *self.result.lock().unwrap_or_else(PoisonError::into_inner) = mine;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::send::schedule::Rate;
    use tickwire_frame::{Frame, LinkType};
    use tickwire_lab::Numbered;

    /// Packet `number` from the IP header on, as UDP ports give them.
    fn packet(number: u64) -> Vec<u8> {
        let packets = Numbered {
            macs: ([0; 6], [0; 6]),
            addresses: ([10, 0, 0, 1].into(), [10, 0, 0, 2].into()),
            port: 5000,
            source_port: 4000,
            flows: 1,
            ttl: 64,
            vlans: Vec::new(),
            frame_bytes: 14 + 28 + 152,
            checksum: true,
            message: Message::Trade,
            first: 0,
        };
        packets.template().frame(number, 0)[14..].to_vec()
    }

    /// One packet a second, each `latency_ns` on its way, except where it says otherwise.
    fn arrive(job: &mut TallyJob, arrivals: &[(u64, i64)]) -> Ledger {
        let clock = *job.shared.clock();
        let packets: Vec<Vec<u8>> = arrivals.iter().map(|&(number, _)| packet(number)).collect();
        let (mut batch, mut ledger) = (Batch::new(), Ledger::default());
        batch.link = LinkType::RAW;
        for (bytes, &(number, latency_ns)) in packets.iter().zip(arrivals) {
            let due_ns = clock.wall_ns(number * 1_000_000_000);
            let arrived = Timestamp::from_nanos(due_ns.wrapping_add_signed(latency_ns));
            batch.push(Frame::new(bytes, arrived));
        }
        ledger.receive(&batch);
        job.handle(&batch, batch.all(), &mut ledger);
        assert_eq!(ledger.difference(), 0);
        ledger
    }

    fn job() -> TallyJob {
        let schedule = Schedule::new(Rate::Pps(1.0), 1);
        TallyJob::new(Message::Trade, schedule, Stamps::Kernel, Arc::default(), 1)
    }

    #[test]
    fn latency_is_from_the_time_a_packet_was_due() {
        let mut job = job();
        let arrivals = [(0, 1000), (1, 2000), (3, 500_000), (2, 4000), (3, 900_000), (4, -5)];
        let ledger = arrive(&mut job, &arrivals);
        assert_eq!((ledger.delivered, ledger.discarded[Reason::Foreign]), (5, 1));
        job.finish(&mut Ledger::default());
        let result = job.result();
        let tally = &result.lock().expect("no panic")[0];
        let Sequence { unique, duplicates, reordered, .. } = tally.sequence;
        assert_eq!((unique, duplicates, reordered, tally.early), (4, 1, 1, 1));
        let spread = tally.latency.spread().expect("four of them");
        assert_eq!((spread.min, tally.latency.count()), (1000, 4));
        assert!(spread.max.abs_diff(500_000) < 500 && spread.p50.abs_diff(2000) < 3, "{spread:?}");
    }

    #[test]
    fn what_has_no_number_is_foreign() {
        let mut job = job();
        job.shared.clock();
        let (mut batch, mut ledger) = (Batch::new(), Ledger::default());
        batch.link = LinkType::RAW;
        batch.push(Frame::new(&[0x45; 40], Timestamp::now()));
        ledger.receive(&batch);
        job.handle(&batch, batch.all(), &mut ledger);
        assert_eq!((ledger.discarded[Reason::Foreign], ledger.difference()), (1, 0));
    }
}
