//! Whole frames leave through the transmit ring of an AF_PACKET socket.

use super::outlet::{Handed, Outlet};
use std::time::{Duration, Instant};
use tickwire_capture::af_packet::{AfPacket, AfPacketConfig};
use tickwire_capture::{Mode, Port, PortError};
use tickwire_frame::{Counters, Ledger, LinkType, Reason};

/// Frames that may wait to be sent.
const TX_SLOTS: usize = 1024;
/// How long room in a full transmit ring is waited for, once.
const ROOM_MS_MAX: u64 = 100;
/// How long frames may be on their way at the end: what is not sent by then, the port refuses.
const FLUSH_MS: u64 = 110;

/// An AF_PACKET port that sends.
pub struct PacketOutlet {
    port: AfPacket,
    /// The ring took nothing for as long as we wait: until it takes something nobody waits again.
    is_stuck: bool,
}

impl PacketOutlet {
    /// Opens it on `interface`.
    pub fn open(interface: &str) -> Result<Self, PortError> {
        // The smallest ring: what is received is of no interest.
        let config = AfPacketConfig {
            tx_slots: TX_SLOTS,
            outgoing: false,
            blocks: 2,
            ..AfPacketConfig::new(interface)
        };
        let port = AfPacket::open(&config, 1)?.remove(0);
        Ok(PacketOutlet { port, is_stuck: false })
    }
}

impl Outlet for PacketOutlet {
    fn link(&self) -> Option<LinkType> {
        Some(self.port.link_type())
    }

    fn send(&mut self, packets: &[&[u8]]) -> Result<Handed, PortError> {
        let mut sent = self.port.transmit(packets)?.accepted;
        if sent == 0 && !self.is_stuck {
            let deadline = Instant::now() + Duration::from_millis(ROOM_MS_MAX);
            while sent == 0 && Instant::now() < deadline {
                self.port.wait(Duration::from_millis(1))?;
                sent = self.port.transmit(packets)?.accepted;
            }
        }
        self.is_stuck = sent == 0;
        Ok(Handed { sent, refused: (sent == 0).then_some(Reason::TxRingFull) })
    }

    fn tick(&mut self, lost: &mut Counters) -> Result<(), PortError> {
        let mut ledger = Ledger::default();
        let ticked = self.port.tick(&mut ledger);
        *lost += &ledger.unsent;
        ticked
    }

    fn finish(&mut self, lost: &mut Counters) -> Result<(), PortError> {
        let deadline = Instant::now() + Duration::from_millis(FLUSH_MS);
        while self.port.is_sending() && Instant::now() < deadline {
            self.port.wait(Duration::from_millis(1))?;
        }
        self.tick(lost)
    }

    fn take_notice(&mut self) -> Option<String> {
        self.port.take_notice()
    }

    fn mode(&self) -> Mode {
        self.port.mode()
    }
}
