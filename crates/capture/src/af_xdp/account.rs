//! What the kernel, the program and the driver have counted for one queue.

use super::program::{Count, Counts};
use super::socket::Socket;
use crate::KernelCounter;
use crate::ethtool::Ethtool;
use std::io;
use tickwire_frame::{Ledger, Reason};

/// The fields of XDP_STATISTICS by their kernel names, and how the ledger calls the loss. One
/// without a reason is no loss, or one that somebody else has counted: `rx_fill_ring_empty_descs`
/// are in `rx_dropped`, and `tx_invalid_descs` are the frames that our transmitter took back.
const STATISTICS: [(&str, Option<Reason>); 6] = [
    ("rx_dropped", Some(Reason::XskRxDropped)),
    ("rx_invalid_descs", Some(Reason::XskRxInvalid)),
    ("tx_invalid_descs", None),
    ("rx_ring_full", Some(Reason::XskRxRingFull)),
    ("rx_fill_ring_empty_descs", None),
    ("tx_ring_empty_descs", None),
];

type Statistics = [u64; STATISTICS.len()];

fn in_order(raw: &libc::xdp_statistics) -> Statistics {
    [
        raw.rx_dropped,
        raw.rx_invalid_descs,
        raw.tx_invalid_descs,
        raw.rx_ring_full,
        raw.rx_fill_ring_empty_descs,
        raw.tx_ring_empty_descs,
    ]
}

/// The counts of one port, over all sockets and programs that it has had.
#[derive(Debug, Default)]
pub(super) struct Account {
    /// XDP_STATISTICS of sockets that are closed.
    closed: Statistics,
    /// XDP_STATISTICS of the present one, when last read.
    now: Statistics,
    /// What the ledger has of both.
    entered: Statistics,
    /// What the program counts, by [`Count`]; it begins at 0 on a new interface.
    program: Counts,
    program_before: Counts,
    too_long_entered: u64,
    /// Descriptors that pointed to no frame that the kernel had: it broke the protocol.
    pub misplaced: u64,
    misplaced_entered: u64,
    /// Sockets opened after the first.
    pub reopened: u64,
}

impl Account {
    /// Reads the counters of the present socket. A failing read keeps the last values.
    pub fn read_socket(&mut self, socket: &Socket) {
        if let Ok(raw) = socket.statistics() {
            self.now = in_order(&raw);
        }
    }

    /// Takes over what the present program has counted.
    pub fn read_program(&mut self, counts: Counts) {
        self.program = counts;
    }

    fn counted(&self, count: Count) -> u64 {
        self.program_before[count as usize] + self.program[count as usize]
    }

    /// The socket is closed and the program gone: their counts are final.
    pub fn close(&mut self) {
        for (closed, now) in self.closed.iter_mut().zip(&mut self.now) {
            *closed += std::mem::take(now);
        }
        for (before, now) in self.program_before.iter_mut().zip(&mut self.program) {
            *before += std::mem::take(now);
        }
    }

    /// Enters what was lost since the last time.
    pub fn settle(&mut self, ledger: &mut Ledger) {
        for (index, (_, reason)) in STATISTICS.iter().enumerate() {
            let total = self.closed[index] + self.now[index];
            if let Some(reason) = reason {
                enter(ledger, *reason, total, &mut self.entered[index]);
            }
        }
        let too_long = self.counted(Count::TooLong);
        enter(ledger, Reason::TooLong, too_long, &mut self.too_long_entered);
        enter(ledger, Reason::XskRxInvalid, self.misplaced, &mut self.misplaced_entered);
    }

    /// Every count by its name.
    pub fn counters(&self) -> Vec<KernelCounter> {
        let statistics = STATISTICS.iter().enumerate().map(|(index, (name, _))| KernelCounter {
            name: (*name).into(),
            value: self.closed[index] + self.now[index],
        });
        let program = Count::ALL.map(|(count, name)| (name, self.counted(count)));
        let own = [("misplaced_descs", self.misplaced), ("reopened", self.reopened)];
        let own = program.into_iter().chain(own);
        let own = own.map(|(name, value)| KernelCounter { name: name.into(), value });
        statistics.chain(own).collect()
    }
}

/// Enters the part of `total` that the ledger does not have yet.
fn enter(ledger: &mut Ledger, reason: Reason, total: u64, entered: &mut u64) {
    ledger.lost(reason, total.saturating_sub(*entered));
    *entered = total;
}

/// The driver's counters of one queue (`ethtool -S`), since the port was opened.
#[derive(Debug)]
pub(super) struct DriverCounters {
    ethtool: io::Result<Ethtool>,
    interface: String,
    queue: u32,
    at_open: Vec<(String, u64)>,
}

impl DriverCounters {
    /// Those of `queue`, as they are now, are the zero to count from.
    pub fn open(interface: &str, queue: u32) -> Self {
        let ethtool = Ethtool::open();
        let mut counters =
            DriverCounters { ethtool, interface: interface.into(), queue, at_open: Vec::new() };
        counters.at_open = counters.read();
        counters
    }

    /// How much each has grown; empty when the driver has none or the interface is gone.
    pub fn since_open(&self) -> Vec<KernelCounter> {
        let grown = self.read().into_iter().map(|(name, value)| {
            let before = self.at_open.iter().find(|(known, _)| *known == name);
            let value = value.saturating_sub(before.map_or(0, |(_, before)| *before));
            KernelCounter { name, value }
        });
        grown.collect()
    }

    fn read(&self) -> Vec<(String, u64)> {
        let Ok(ethtool) = &self.ethtool else { return Vec::new() };
        let mut counters = ethtool.statistics(&self.interface).unwrap_or_default();
        counters.retain(|(name, _)| is_of_queue(name, self.queue));
        counters
    }
}

/// Whether a driver counter is about this queue or about the whole card. Drivers write
/// `rx_queue_0_drops`, `rx0_packets`, `rx-0.packets`; those of other queues are left out.
fn is_of_queue(name: &str, queue: u32) -> bool {
    let numbered = |word| {
        let (_, rest) = name.split_once(word)?;
        let rest = rest.strip_prefix(['_', '-', '[']).unwrap_or(rest);
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest[..digits].parse::<u32>().ok()
    };
    let number = ["queue", "ring", "channel", "rx", "tx"].into_iter().find_map(numbered);
    name != "peer_ifindex" && number.is_none_or(|number| number == queue)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fill_ring_empty_is_never_added() {
        let mut account = Account { now: [5, 1, 2, 7, 5, 9], misplaced: 2, ..Account::default() };
        let mut ledger = Ledger::default();
        account.settle(&mut ledger);
        account.settle(&mut ledger);
        assert_eq!((ledger.received, ledger.difference()), (15, 0));
        assert_eq!(ledger.discarded[Reason::XskRxDropped], 5);
        assert_eq!(ledger.discarded[Reason::XskRxRingFull], 7);
        assert_eq!(ledger.discarded[Reason::XskRxInvalid], 1 + 2);
    }

    #[test]
    fn counts_go_on_over_a_new_socket() {
        let mut account = Account { now: [5, 0, 0, 0, 0, 0], ..Account::default() };
        account.read_program([3, 0, 0, 0]);
        account.close();
        account.now = [2, 0, 0, 0, 0, 0];
        account.read_program([1, 0, 0, 0]);
        let mut ledger = Ledger::default();
        account.settle(&mut ledger);
        assert_eq!(ledger.discarded[Reason::XskRxDropped], 7);
        assert_eq!(ledger.discarded[Reason::TooLong], 4);
        let rx_dropped = &account.counters()[0];
        assert_eq!((rx_dropped.name.as_str(), rx_dropped.value), ("rx_dropped", 7));
    }

    #[test]
    fn driver_counters_of_other_queues_are_left_out() {
        for (name, mine) in [
            ("rx_queue_0_drops", true),
            ("rx_queue_1_drops", false),
            ("rx_queue_10_drops", false),
            ("tx_queue_0_xdp_xmit", true),
            ("rx0_packets", true),
            ("rx-1.packets", false),
            ("rx_missed_errors", true),
            ("rx_size_64", true),
            ("peer_ifindex", false),
        ] {
            assert_eq!(is_of_queue(name, 0), mine, "{name}");
        }
    }
}
