//! Frames leave as they are, through the transmit side of a port: af_packet or af_xdp.

use super::outlet::{Handed, Outlet};
use std::time::{Duration, Instant};
use tickwire_capture::af_packet::{AfPacket, AfPacketConfig};
use tickwire_capture::af_xdp::{AfXdp, AfXdpConfig, Selection};
use tickwire_capture::{Mode, Port, PortError};
use tickwire_frame::{Counters, Ledger, LinkType, Reason};

/// Frames that may wait to be sent.
const TX_SLOTS: usize = 1024;
/// How long room in a full transmit ring is waited for, once.
const ROOM_MS_MAX: u64 = 100;
/// How long frames may be on their way at the end: what af_packet has not sent by then, it refuses.
const FLUSH_MS: u64 = 110;
/// What a transmitting port loses. What it would have received is none of ours.
const UNSENT: [Reason; 6] = [
    Reason::TxRingFull,
    Reason::TxRefused,
    Reason::TxInvalid,
    Reason::TxUnfinished,
    Reason::TooLong,
    Reason::LinkDown,
];

/// A port that sends.
pub struct RawOutlet {
    port: Box<dyn Port>,
    link: LinkType,
    /// The ring took nothing for as long as we wait: from then on frames are not offered twice.
    is_stuck: bool,
}

impl RawOutlet {
    /// An AF_PACKET socket on `interface`.
    pub fn af_packet(interface: &str) -> Result<Self, PortError> {
        // The smallest ring: what is received is of no interest.
        let config = AfPacketConfig {
            tx_slots: TX_SLOTS,
            outgoing: false,
            blocks: 2,
            ..AfPacketConfig::new(interface)
        };
        let port = AfPacket::open(&config, 1)?.remove(0);
        let link = port.link_type();
        Ok(RawOutlet { port: Box::new(port), link, is_stuck: false })
    }

    /// An AF_XDP socket on the first queue of `interface`, which takes no packet from the host.
    pub fn af_xdp(interface: &str) -> Result<Self, PortError> {
        let selection = Selection::Udp(Vec::new());
        let config = AfXdpConfig { selection, ..AfXdpConfig::new(interface) };
        let port = AfXdp::open(&config, &[0])?.remove(0);
        Ok(RawOutlet { port: Box::new(port), link: LinkType::ETHERNET, is_stuck: false })
    }
}

impl Outlet for RawOutlet {
    fn link(&self) -> Option<LinkType> {
        Some(self.link)
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
        for reason in UNSENT {
            lost.add(reason, ledger.discarded[reason]);
        }
        ticked
    }

    fn finish(&mut self, lost: &mut Counters) -> Result<(), PortError> {
        let deadline = Instant::now() + Duration::from_millis(FLUSH_MS);
        while Instant::now() < deadline {
            self.port.transmit(&[])?;
            std::thread::sleep(Duration::from_millis(1));
        }
        self.port.quiesce()?;
        self.tick(lost)
    }

    fn take_notice(&mut self) -> Option<String> {
        self.port.take_notice()
    }

    fn mode(&self) -> Mode {
        self.port.mode()
    }
}
