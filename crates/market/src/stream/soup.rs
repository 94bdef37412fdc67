//! What packets of SoupBinTCP look like, where nobody says where one begins or what they carry.

use crate::blocks::PREFIX_LEN;
use crate::field::Value;
use crate::protocol::{MessageType, Protocol};
use crate::soupbintcp::{Debug, Packet, SequencedData, UnsequencedData};

/// So many packets in a row are believed to be packets.
const PACKETS_IN_A_ROW: usize = 3;

/// Whether `message` is one of `protocol`, to the last byte: of a known type, as long as that is,
/// with all of its appendage and nothing more.
pub(super) fn fits(protocol: Protocol, message: &[u8]) -> bool {
    known_len(protocol, message).is_some_and(|len| len == Some(message.len()))
}

/// How long the message is that `start` is the beginning of; `None` when there is no such type,
/// `Some(None)` when too little of it is there to say.
fn known_len(protocol: Protocol, start: &[u8]) -> Option<Option<usize>> {
    let definition = protocol.definition(MessageType::Letter(*start.first()?))?;
    let Some(last) = definition.fields.last() else { return Some(Some(1)) };
    if last.name != "appendage_length" {
        return Some(Some(definition.len()));
    }
    Some(match last.value(start) {
        Some(Value::Unsigned(appended)) => Some(definition.len() + appended as usize),
        _ => None,
    })
}

/// Where packets that carry messages of `protocol` begin, and that they do; or from where on they
/// may.
pub(super) fn find(protocol: Protocol, bytes: &[u8]) -> (usize, bool) {
    let mut may_begin = None;
    for at in 0..bytes.len() {
        match begins(protocol, &bytes[at..]) {
            Begins::Yes => return (at, true),
            Begins::Perhaps => may_begin = may_begin.or(Some(at)),
            Begins::No => {}
        }
    }
    (may_begin.unwrap_or(bytes.len()), false)
}

enum Begins {
    Yes,
    No,
    /// More bytes are needed to tell.
    Perhaps,
}

fn begins(protocol: Protocol, mut bytes: &[u8]) -> Begins {
    for packets in 0..PACKETS_IN_A_ROW {
        if bytes.is_empty() && packets > 0 {
            return Begins::Yes;
        }
        let Some((len, rest)) = bytes.split_first_chunk::<PREFIX_LEN>() else {
            return Begins::Perhaps;
        };
        let len = usize::from(u16::from_be_bytes(*len));
        if len == 0 || !rest.is_empty() && !is_packet(protocol, &rest[..len.min(rest.len())], len) {
            return Begins::No;
        }
        match rest.get(len..) {
            Some(rest) => bytes = rest,
            None => return Begins::Perhaps,
        }
    }
    Begins::Yes
}

/// Whether a packet of `len` bytes may begin with `start`, which is not empty.
fn is_packet(protocol: Protocol, start: &[u8], len: usize) -> bool {
    let carries = |protocol: Protocol| match start.get(1..) {
        None | Some([]) => len > 1,
        Some(message) => known_len(protocol, message)
            .is_some_and(|known| known.is_none_or(|known| known == len - 1)),
    };
    match start[0] {
        SequencedData::TYPE => carries(protocol.of_server()),
        UnsequencedData::TYPE => carries(protocol.of_client()) || carries(protocol.of_server()),
        // Text of any length.
        Debug::TYPE => false,
        other => Packet::len_of(other) == Some(len),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ouch50::{EnterOrderBuilder, tag};
    use crate::{ouch42, ouch50};

    fn packet(packet_type: u8, message: &[u8]) -> Vec<u8> {
        [&(1 + message.len() as u16).to_be_bytes()[..], &[packet_type], message].concat()
    }

    fn order() -> Vec<u8> {
        let mut buffer = [0; 128];
        let mut order = EnterOrderBuilder::new().with_appendage(&mut buffer).unwrap();
        order.push(tag::MIN_QTY, 100_u32).unwrap();
        order.finish().to_vec()
    }

    #[test]
    fn a_message_fits_its_own_protocol_alone() {
        let (old, new) = (ouch42::EnterOrderBuilder::new(), order());
        assert!(fits(Protocol::Ouch42In, old.as_bytes()) && fits(Protocol::Ouch50In, &new));
        assert!(!fits(Protocol::Ouch50In, old.as_bytes()) && !fits(Protocol::Ouch42In, &new));
        assert!(!fits(Protocol::Ouch50In, &new[..new.len() - 1]) && !fits(Protocol::Ouch50, b""));
        assert!(fits(Protocol::Ouch50In, b"Q") && !fits(Protocol::Ouch50In, b"Q?"));
    }

    #[test]
    fn packets_are_found_in_the_middle() {
        let beat = packet(b'H', b"");
        let event = packet(b'S', ouch50::SystemEventBuilder::new().as_bytes());
        let order = packet(b'U', &order());
        let find = |bytes: &[u8]| find(Protocol::Ouch50, bytes);
        assert_eq!(find(&[&b"cut\0off"[..], &event, &beat].concat()), (7, true));
        assert_eq!(find(&[b"\xff", &order[..]].concat()), (1, true));
        // Nothing is sure before three packets, or an end at the end.
        let two = [&b"?"[..], &beat, &event, &order[..20]].concat();
        assert_eq!(find(&two), (1, false));
        assert_eq!(find(&[&two[..], &order[20..]].concat()), (1, true));
        assert_eq!(find(b"\0\0\0\0\0\0\0\0"), (7, false));
        assert_eq!(find(b""), (0, false));
        for len in 0..order.len() {
            assert_eq!(find(&order[..len]), (0, false), "{len}");
        }
    }
}
