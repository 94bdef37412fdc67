//! Whole frames leave through an AF_XDP socket that only sends: no XDP program is needed.

use super::outlet::{Handed, Outlet};
use tickwire_capture::af_xdp::{AfXdpConfig, AfXdpTransmitter};
use tickwire_capture::{FRAME_BYTES_MIN, Mode, PortError, Transmitter};
use tickwire_frame::{Counters, LinkType, Reason};

/// The queue that it sends through.
const QUEUE: u32 = 0;

/// An AF_XDP transmitter of its own.
pub struct XdpOutlet {
    transmitter: AfXdpTransmitter,
    /// Frames that were pushed and did not leave, since the last tick.
    lost: Counters,
}

impl XdpOutlet {
    /// Opens it on the first queue of `interface`.
    pub fn open(interface: &str) -> Result<Self, PortError> {
        let transmitter = AfXdpTransmitter::open(&AfXdpConfig::new(interface), QUEUE)?;
        Ok(XdpOutlet { transmitter, lost: Counters::default() })
    }

    /// Writes `packet` into the ring.
    fn push(&mut self, packet: &[u8]) -> Result<(), Reason> {
        let slot = self.transmitter.slot()?;
        if packet.len() < FRAME_BYTES_MIN {
            return Err(Reason::TxInvalid);
        }
        slot.get_mut(..packet.len()).ok_or(Reason::TooLong)?.copy_from_slice(packet);
        self.transmitter.push(packet.len(), 0);
        Ok(())
    }

    fn kick(&mut self) -> Result<(), PortError> {
        let lost = &mut self.lost;
        self.transmitter.kick(&mut |_, reason| lost.add(reason, 1))
    }
}

impl Outlet for XdpOutlet {
    fn link(&self) -> Option<LinkType> {
        Some(LinkType::ETHERNET)
    }

    fn send(&mut self, packets: &[&[u8]]) -> Result<Handed, PortError> {
        let mut handed = Handed { sent: 0, refused: None };
        for packet in packets {
            let mut pushed = self.push(packet);
            if pushed == Err(Reason::TxRingFull) {
                self.kick()?;
                pushed = self.push(packet);
            }
            if let Err(reason) = pushed {
                handed.refused = Some(reason);
                break;
            }
            handed.sent += 1;
        }
        self.kick()?;
        Ok(handed)
    }

    fn tick(&mut self, lost: &mut Counters) -> Result<(), PortError> {
        let mine = &mut self.lost;
        let ticked = self.transmitter.tick(&mut |_, reason| mine.add(reason, 1));
        *lost += &std::mem::take(mine);
        ticked
    }

    fn finish(&mut self, lost: &mut Counters) -> Result<(), PortError> {
        let ticked = self.tick(lost);
        self.transmitter.finish(&mut |_, reason| lost.add(reason, 1));
        ticked
    }

    fn take_notice(&mut self) -> Option<String> {
        self.transmitter.take_notice()
    }

    fn mode(&self) -> Mode {
        self.transmitter.mode()
    }
}
