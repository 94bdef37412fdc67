//! What is left of a packet when a part of it has come before.

use crate::moldudp64::PacketBuilder;
use crate::sequence::Range;
use crate::{Kind, Packet, Session};

/// Writes a packet with those messages of `packet` only that are in `fresh`, and returns it. `None`
/// where there is no such packet: it has none of them, `buffer` is too small, or the transport is
/// not MoldUDP64, the only one whose packets begin at any message.
///
/// ```
/// use tickwire_market::arbitrate::cut;
/// use tickwire_market::moldudp64::PacketBuilder;
/// use tickwire_market::sequence::Range;
/// use tickwire_market::{Ascii, Packet, Protocol};
///
/// let (mut buffer, mut out) = ([0; 100], [0; 100]);
/// let mut packet = PacketBuilder::new(&mut buffer, Ascii(*b"DAY       "), 7)?;
/// for message in [b"seven", b"eight"] {
///     packet.push(message)?;
/// }
/// let packet = Packet::parse(Protocol::Itch50, packet.finish())?;
/// let rest = cut(&packet, Range { first: 8, last: 8 }, &mut out).expect("one message");
/// assert_eq!((&rest[17..], rest.len()), (&b"\x08\0\x01\0\x05eight"[..], 27));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[cold]
pub fn cut<'b>(packet: &Packet<'_>, fresh: Range, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
    let (Session::Moldudp64(session), Kind::Messages) = (packet.session(), packet.kind()) else {
        return None;
    };
    let messages = packet.messages().map_while(Result::ok);
    let mut messages = messages.filter(|message| fresh.contains(message.sequence)).peekable();
    let mut builder = PacketBuilder::new(buffer, session, messages.peek()?.sequence).ok()?;
    for message in messages {
        builder.push(message.bytes).ok()?;
    }
    Some(builder.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Ascii, Protocol};

    fn fresh_of(first: u64, last: u64, room: usize) -> Option<Vec<u8>> {
        let mut buffer = [0; 100];
        let mut builder = PacketBuilder::new(&mut buffer, Ascii(*b"SESSION   "), 1).unwrap();
        for number in 1..=5_u8 {
            builder.push(&[number; 3]).unwrap();
        }
        let packet = Packet::parse(Protocol::Itch50, builder.finish()).unwrap();
        cut(&packet, Range { first, last }, &mut vec![0; room]).map(<[u8]>::to_vec)
    }

    #[test]
    fn only_what_is_fresh() {
        for (first, last, count) in [(4, 9, 2), (1, 2, 2), (3, 3, 1), (1, 5, 5)] {
            let cut = fresh_of(first, last, 100).expect("a packet");
            let packet = Packet::parse(Protocol::Itch50, &cut).unwrap();
            assert_eq!((packet.first(), packet.count()), (first, count));
            let bytes: Vec<_> = packet.messages().map(|it| it.unwrap().bytes[0]).collect();
            assert_eq!(bytes, (first as u8..).take(count as usize).collect::<Vec<_>>());
        }
        assert_eq!((fresh_of(6, 9, 100), fresh_of(1, 5, 44)), (None, None));
    }
}
