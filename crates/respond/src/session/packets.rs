//! Packets of SoupBinTCP out of a stream that is cut anywhere.

use tickwire_market::blocks::PREFIX_LEN;
use tickwire_market::soupbintcp::Frames;

/// Keeps the beginning of a packet until the rest comes: at most one packet, 64 KiB.
#[derive(Debug, Default)]
pub(crate) struct Packets {
    partial: Vec<u8>,
}

impl Packets {
    /// Gives each packet that is whole now, without the length before it, to `packet`.
    ///
    /// # Errors
    /// The first of `packet`; what came behind is gone then, as is the connection.
    pub fn receive<E>(
        &mut self,
        mut bytes: &[u8],
        mut packet: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        while !self.partial.is_empty() {
            let needed = match self.partial[..] {
                [high, low, ..] => PREFIX_LEN + usize::from(u16::from_be_bytes([high, low])),
                _ => PREFIX_LEN,
            };
            let (more, rest) = bytes.split_at(bytes.len().min(needed - self.partial.len()));
            self.partial.extend_from_slice(more);
            bytes = rest;
            if self.partial.len() < needed {
                return Ok(());
            }
            let is_whole = needed > PREFIX_LEN || self.partial[..] == [0, 0];
            if is_whole {
                let result = packet(&self.partial[PREFIX_LEN..]);
                self.partial.clear();
                result?;
            }
        }
        let mut frames = Frames::new(bytes);
        frames.by_ref().try_for_each(&mut packet)?;
        self.partial.extend_from_slice(frames.rest());
        Ok(())
    }

    /// Another connection begins.
    pub fn clear(&mut self) {
        self.partial.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn cuts_change_nothing(
            packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..8),
            cuts in prop::collection::vec(1..40_usize, 1..20),
        ) {
            let mut stream = Vec::new();
            for packet in &packets {
                stream.extend_from_slice(&(packet.len() as u16).to_be_bytes());
                stream.extend_from_slice(packet);
            }
            let (mut seen, mut receiver, mut rest) = (Vec::new(), Packets::default(), &stream[..]);
            for cut in cuts.iter().cycle() {
                let (now, later) = rest.split_at(rest.len().min(*cut));
                receiver
                    .receive::<()>(now, |packet| {
                        seen.push(packet.to_vec());
                        Ok(())
                    })
                    .unwrap();
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(&seen, &packets);
            prop_assert!(receiver.partial.is_empty());
        }
    }

    #[test]
    fn an_error_ends_it_and_a_new_connection_begins_afresh() {
        let mut receiver = Packets::default();
        assert_eq!(receiver.receive(b"\0\x02A", |_| Err(1)), Ok(()));
        assert_eq!(receiver.receive(b"B\0\x01C", |packet| Err(packet.len())), Err(2));
        receiver.receive(b"\0", |_| Err(())).unwrap();
        receiver.clear();
        assert_eq!(receiver.receive(b"\0\x01D", |packet| Err(packet.to_vec())), Err(vec![b'D']));
    }
}
