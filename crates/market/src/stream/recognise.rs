//! What a connection is, by the first bytes of both directions.

use super::soup::fits;
use crate::protocol::Protocol;
use crate::soupbintcp::{
    Frames, LoginAccepted, LoginRejected, LoginRequest, Number, Packet, SequencedData,
    UnsequencedData, number,
};

/// What SoupBinTCP may carry, in the order in which it is tried.
const CARRIED: [Protocol; 3] = [Protocol::Ouch50, Protocol::Ouch42, Protocol::Itch50];

/// What is known of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is of this protocol: of one with two sides, that of the server.
    Is(Protocol),
    /// None that is known.
    No,
    /// More bytes are needed.
    Undecided,
}

/// What a connection is whose directions begin with these bytes: FIX by `8=FIX`, SoupBinTCP by a
/// login. What that carries is told by the first messages, which fit only one protocol to the last
/// byte; where they fit several, by those that follow.
pub fn recognise(streams: [&[u8]; 2]) -> Verdict {
    let verdicts = streams.map(begin);
    match verdicts {
        [Begin::Fix, _] | [_, Begin::Fix] => Verdict::Is(Protocol::Fix),
        [Begin::Soup, _] | [_, Begin::Soup] => match carried(streams) {
            (_, None) => Verdict::No,
            (1, Some(only)) => Verdict::Is(only),
            _ => Verdict::Undecided,
        },
        [Begin::Other, _] | [_, Begin::Other] => Verdict::No,
        _ => Verdict::Undecided,
    }
}

/// What a connection is of which nothing more will come, or nothing more may be waited for: the
/// first of what it may be, if it has any message.
pub fn recognise_at_last(streams: [&[u8]; 2]) -> Option<Protocol> {
    match recognise(streams) {
        Verdict::Is(protocol) => Some(protocol),
        Verdict::No => None,
        Verdict::Undecided => match carried(streams) {
            (0 | 3.., _) => None,
            (_, first) => first,
        },
    }
}

/// What a direction begins with.
enum Begin {
    Fix,
    Soup,
    Other,
    /// Too little of it is there.
    Unknown,
}

fn begin(stream: &[u8]) -> Begin {
    const FIX: &[u8] = b"8=FIX";
    let known = stream.len().min(FIX.len());
    if stream[..known] == FIX[..known] {
        return if known == FIX.len() { Begin::Fix } else { Begin::Unknown };
    }
    let Some((&[high, low, packet_type], rest)) = stream.split_first_chunk() else {
        return if stream[0] == 0 { Begin::Unknown } else { Begin::Other };
    };
    let len = usize::from(u16::from_be_bytes([high, low]));
    let is_login = [LoginRequest::TYPE, LoginAccepted::TYPE, LoginRejected::TYPE]
        .contains(&packet_type)
        && Packet::len_of(packet_type) == Some(len);
    if !is_login {
        return Begin::Other;
    }
    if rest.len() + 1 < len {
        return Begin::Unknown;
    }
    let is_number = |text: Number| number(text).is_some() || text.trimmed().is_empty();
    let is_right = match Packet::decode(&stream[2..2 + len]) {
        Ok(Packet::LoginRequest(login)) => is_number(login.requested_sequence_number()),
        Ok(Packet::LoginAccepted(login)) => number(login.sequence_number()).is_some(),
        Ok(Packet::LoginRejected(login)) => b"AS".contains(&login.reject_reason_code().0),
        _ => false,
    };
    if is_right { Begin::Soup } else { Begin::Other }
}

/// How many protocols all messages so far fit, and the first of them. Before any message that is
/// all.
fn carried(streams: [&[u8]; 2]) -> (usize, Option<Protocol>) {
    let fits_all = |protocol: &Protocol| {
        streams.iter().flat_map(|stream| Frames::new(stream)).all(|packet| match packet {
            [SequencedData::TYPE, message @ ..] => fits(*protocol, message),
            [UnsequencedData::TYPE, message @ ..] => {
                fits(protocol.of_client(), message) || fits(*protocol, message)
            }
            _ => true,
        })
    };
    let mut left = CARRIED.into_iter().filter(fits_all);
    let first = left.next();
    (usize::from(first.is_some()) + left.count(), first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soupbintcp::{
        LoginAcceptedBuilder, LoginRequestBuilder, text, write_data, write_packet,
    };
    use crate::{itch50, ouch42, ouch50};

    fn login() -> Vec<u8> {
        let mut out = [0; 49];
        let login = LoginRequestBuilder::new().requested_sequence_number(text(1));
        write_packet(&mut out, login.as_bytes()).unwrap();
        out.to_vec()
    }

    fn server(messages: &[&[u8]]) -> Vec<u8> {
        let mut out = [0; 512];
        let accepted = LoginAcceptedBuilder::new().sequence_number(text(1));
        let mut len = write_packet(&mut out, accepted.as_bytes()).unwrap();
        for message in messages {
            len += write_data(&mut out[len..], b'S', message).unwrap();
        }
        out[..len].to_vec()
    }

    #[test]
    fn fix_is_told_by_its_first_bytes() {
        assert_eq!(recognise([b"8=FIX.4.2\x019=", b""]), Verdict::Is(Protocol::Fix));
        assert_eq!(recognise([b"", b"8=FIXT"]), Verdict::Is(Protocol::Fix));
        for len in 0..5 {
            assert_eq!(recognise([&b"8=FIX"[..len], b""]), Verdict::Undecided, "{len}");
        }
        let others =
            [&b"GET / HTTP/1.1"[..], b"\x16\x03\x01\x02", b"SSH-2.0", b"8=FAST", b"\0\x05A"];
        for other in others {
            assert_eq!(recognise([other, b""]), Verdict::No, "{}", other.escape_ascii());
        }
    }

    #[test]
    fn what_soupbintcp_carries_is_told_by_its_messages() {
        let (client, event) = (login(), ouch50::SystemEventBuilder::new());
        let old = ouch42::AcceptedBuilder::new();
        let canceled = ouch50::OrderCanceledBuilder::new();
        let of = |messages: &[&[u8]]| recognise([&client, &server(messages)]);
        assert_eq!(of(&[]), Verdict::Undecided);
        assert_eq!(of(&[event.as_bytes()]), Verdict::Undecided);
        assert_eq!(of(&[event.as_bytes(), canceled.as_bytes()]), Verdict::Is(Protocol::Ouch50));
        assert_eq!(of(&[event.as_bytes(), old.as_bytes()]), Verdict::Is(Protocol::Ouch42));
        let itch = itch50::OrderDeleteBuilder::new();
        assert_eq!(of(&[itch.as_bytes()]), Verdict::Is(Protocol::Itch50));
        assert_eq!(of(&[b"something else"]), Verdict::No);
        assert_eq!(recognise_at_last([&client, &server(&[])]), None);
        let either = server(&[event.as_bytes()]);
        assert_eq!(recognise_at_last([&client, &either]), Some(Protocol::Ouch50));
        // Orders of the client tell, too; and a login is no login before it is whole.
        let mut order = [0; 64];
        let len = write_data(&mut order, b'U', ouch42::EnterOrderBuilder::new().as_bytes());
        let with_order = [&client[..], &order[..len.unwrap()]].concat();
        assert_eq!(recognise([&with_order, b""]), Verdict::Is(Protocol::Ouch42));
        for len in 0..with_order.len() {
            assert_eq!(recognise([&with_order[..len], b""]), Verdict::Undecided, "{len}");
        }
        let mut wrong = client.clone();
        wrong[48] = b'x';
        assert_eq!(recognise([&wrong, b""]), Verdict::No);
    }
}
