//! Datagrams whose messages have templates, and packets numbers: SBE, EOBI; and those that are one
//! message without a number.

use super::{Body, Kind, Message, NOTHING, Packet, Session};
use crate::error::Error;
use crate::protocol::Protocol;
use crate::sbe::MessageHeader;
use crate::wire::{Little, Wire};
use crate::{eobi, hft_tick, mdp3, nanonet, umdf};

pub(super) fn mdp3(payload: &[u8]) -> Result<Packet<'_>, Error> {
    let packet = mdp3::Packet::parse(payload)?;
    let sequence = packet.header().msg_seq_num().into();
    Ok(Packet {
        protocol: Protocol::Mdp3,
        session: Session::Unnamed,
        kind: Kind::Messages,
        first: sequence,
        count: 1,
        body: Body::Sbe { frames: packet.messages().frames, skip: mdp3::PREFIX_LEN, sequence },
    })
}

/// A packet that is nothing but Sequence_2 is a heartbeat, and says which number comes next.
pub(super) fn umdf(payload: &[u8]) -> Result<Packet<'_>, Error> {
    let packet = umdf::Packet::parse(payload)?;
    let header = packet.header();
    let session = Session::Umdf {
        channel_number: header.channel_number(),
        sequence_version: header.sequence_version(),
    };
    let protocol = Protocol::Umdf;
    if let Some(first) = packet.next_sequence() {
        let kind = Kind::Heartbeat;
        return Ok(Packet { protocol, session, kind, first, count: 0, body: NOTHING });
    }
    let sequence = header.sequence_number().into();
    Ok(Packet {
        protocol,
        session,
        kind: Kind::Messages,
        first: sequence,
        count: 1,
        body: Body::Sbe { frames: packet.messages().frames, skip: 0, sequence },
    })
}

pub(super) fn eobi(payload: &[u8]) -> Result<Packet<'_>, Error> {
    let packet = eobi::Packet::parse(payload)?;
    let header = packet.header();
    let sequence = header.appl_seq_num().into();
    Ok(Packet {
        protocol: Protocol::of_eobi(packet.release()),
        session: Session::Eobi {
            market_segment_id: header.market_segment_id(),
            partition_id: header.partition_id(),
        },
        kind: Kind::Messages,
        first: sequence,
        count: 1,
        body: Body::Eobi { messages: packet.messages(), sequence },
    })
}

/// A datagram that is one message of one of several fixed lengths.
#[inline]
pub(super) fn fixed(protocol: Protocol, bytes: &[u8]) -> Result<Message<'_>, Error> {
    let (what, needed) = match protocol {
        Protocol::HftTick => (hft_tick::Tick::NAME, hft_tick::Tick::LEN),
        _ => (nanonet::little::MarketData::NAME, nanonet::little::MarketData::LEN),
    };
    let available = bytes.len();
    if available < needed {
        return Err(Error::Truncated { what, needed, available });
    }
    Ok(Message { protocol, sequence: 0, bytes })
}

/// The SBE message behind the framing header of UMDF.
pub(super) fn umdf_sbe(bytes: &[u8]) -> Option<&[u8]> {
    let (head, message) = bytes.split_first_chunk::<{ umdf::PREFIX_LEN }>()?;
    (u16::read::<Little>(&head[2..]) == umdf::ENCODING_SBE).then_some(message)
}

/// The template of an SBE message.
pub(super) fn sbe_template(bytes: &[u8]) -> Option<u32> {
    MessageHeader::parse(bytes).ok().map(|header| header.template_id().into())
}

/// The template of an EOBI message.
pub(super) fn eobi_template(bytes: &[u8]) -> Option<u32> {
    eobi::MessageHeader::parse(bytes).ok().map(|header| header.template_id().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::MessageType;
    use crate::sbe::MessageHeaderBuilder;

    fn message(template_id: u16, rest: &[u8]) -> Vec<u8> {
        let header = MessageHeaderBuilder::new().template_id(template_id).schema_id(1);
        [&header.block_length(rest.len() as u16).as_bytes()[..], rest].concat()
    }

    fn parts(packet: &Packet<'_>) -> (Kind, u64, u32, u64, String) {
        let session = packet.session().to_string();
        (packet.kind(), packet.first(), packet.count(), packet.next(), session)
    }

    #[test]
    fn a_packet_of_mdp3_has_one_number() {
        let mut buffer = [0; 128];
        let header = mdp3::PacketHeaderBuilder::new().msg_seq_num(7);
        let mut packet = mdp3::PacketBuilder::new(&mut buffer, &header).unwrap();
        packet.push(&message(46, b"block")).unwrap();
        packet.push(&message(99, b"")).unwrap();
        let packet = Packet::parse(Protocol::Mdp3, packet.finish()).unwrap();
        assert_eq!(parts(&packet), (Kind::Messages, 7, 1, 8, "-".into()));
        let messages: Vec<_> = packet.messages().map(Result::unwrap).collect();
        let [book, later] = messages[..] else { panic!("{messages:?}") };
        assert_eq!((book.sequence, book.sbe()), (7, Some(&message(46, b"block")[..])));
        let known = book.definition().unwrap().unwrap();
        assert_eq!((known.name, known.len()), ("MDIncrementalRefreshBook46", 8));
        assert_eq!(later.message_type(), Some(MessageType::Template(99)));
        assert!(later.definition().unwrap().is_none());
    }

    #[test]
    fn a_packet_of_umdf_is_numbered_in_its_version() {
        let mut buffer = [0; 128];
        let header = umdf::PacketHeaderBuilder::new().channel_number(55).sequence_version(3);
        let header = header.sequence_number(7);
        let mut packet = umdf::PacketBuilder::new(&mut buffer, &header).unwrap();
        packet.push(&message(50, b"block")).unwrap();
        let bytes = packet.finish().to_vec();
        let packet = Packet::parse(Protocol::Umdf, &bytes).unwrap();
        assert_eq!(parts(&packet), (Kind::Messages, 7, 1, 8, "55:3".into()));
        let order = packet.messages().next().unwrap().unwrap();
        assert_eq!(order.message_type(), Some(MessageType::Template(50)));
        assert_eq!(order.sbe(), Some(&message(50, b"block")[..]));
        let mut other = bytes;
        other[18] = 0x51;
        let packet = Packet::parse(Protocol::Umdf, &other).unwrap();
        let order = packet.messages().next().unwrap().unwrap();
        assert_eq!((order.message_type(), order.sbe()), (None, None));
        assert!(order.definition().unwrap().is_none());
    }

    #[test]
    fn a_heartbeat_of_umdf_says_what_is_next() {
        let mut buffer = [0; 128];
        let header = umdf::PacketHeaderBuilder::new().sequence_number(7);
        let mut packet = umdf::PacketBuilder::new(&mut buffer, &header).unwrap();
        packet.push(&message(umdf::SEQUENCE, b"\x09\0\0\0")).unwrap();
        let packet = Packet::parse(Protocol::Umdf, packet.finish()).unwrap();
        assert_eq!(parts(&packet), (Kind::Heartbeat, 9, 0, 9, "0:0".into()));
        assert_eq!(packet.messages().count(), 0);
    }

    #[test]
    fn a_packet_of_eobi_is_decoded_in_one_release() {
        let mut buffer = [0; 128];
        let header = eobi::PacketHeaderBuilder::new().appl_seq_num(7).market_segment_id(688);
        let mut packet = eobi::PacketBuilder::new(&mut buffer, header.partition_id(5)).unwrap();
        let delete = eobi::OrderMassDeleteBuilder::new().body_len(24).template_id(13103);
        packet.push(delete.security_id(-1).as_bytes()).unwrap();
        let mut bytes = packet.finish().to_vec();
        let packet = Packet::parse(Protocol::Eobi, &bytes).unwrap();
        assert_eq!(parts(&packet), (Kind::Messages, 7, 1, 8, "688:5".into()));
        let delete = packet.messages().next().unwrap().unwrap();
        assert_eq!(delete.definition().unwrap().unwrap().name, "OrderMassDelete");
        assert!(delete.fields().any(|(field, value)| {
            field.name == "security_id" && value == crate::Value::Signed(-1)
        }));
        bytes[2] = 0xca;
        let packet = Packet::parse(Protocol::Eobi, &bytes).unwrap();
        assert_eq!(packet.protocol(), Protocol::EobiOlder);
        let delete = packet.messages().next().unwrap().unwrap();
        assert_eq!(delete.message_type(), Some(MessageType::Template(13103)));
        assert!(delete.definition().unwrap().is_none());
    }

    #[test]
    fn messages_of_fixed_length_are_told_apart_by_it() {
        let name = |protocol, payload: &[u8]| {
            let packet = Packet::parse(protocol, payload).map_err(|error| error.reason())?;
            assert_eq!(parts(&packet), (Kind::Unnumbered, 0, 0, 0, "-".into()));
            let message = packet.messages().next().unwrap().unwrap();
            Ok(message.definition().unwrap().map(|known| known.name))
        };
        assert_eq!(name(Protocol::Nanonet, &[0; 24]), Ok(Some("MarketData")));
        assert_eq!(name(Protocol::NanonetBig, &[0; 41]), Ok(Some("Order")));
        assert_eq!(name(Protocol::Nanonet, &[0; 25]), Ok(None));
        assert_eq!(name(Protocol::Nanonet, &[0; 23]), Err("truncated"));
        assert_eq!(name(Protocol::HftTick, &[0; 14]), Ok(Some("Tick")));
        assert_eq!(name(Protocol::HftTick, &[0; 13]), Err("truncated"));
    }
}
