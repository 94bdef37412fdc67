//! SoupBinTCP 3.00 (Nasdaq): numbered messages over one TCP connection, in both directions.
//!
//! Big-endian. A packet is a length of two bytes, which does not count itself, a type, and a
//! payload. The types of server and client differ all, so that one [`Packet`] serves both. Numbers
//! are text, padded on the left.
//!
//! A client logs in ([`LoginRequest`]) and asks for messages from a number on. The number of the
//! next one comes with [`LoginAccepted`], and none after it: each [`SequencedData`] is one more,
//! which [`Numbering`] counts. Either side sends something at least once a second, a heartbeat if
//! nothing else. What the client sends is not numbered.
//!
//! Sockets and clocks are not here: [`Frames`] cuts what has been received into packets.

use crate::blocks::{Blocks, PREFIX_LEN, write_block};
use crate::error::Error;
use crate::wire::{Ascii, Big, Code};

/// The most bytes of a packet, its length included: what a buffer to receive into must hold.
pub const PACKET_BYTES_MAX: usize = PREFIX_LEN + 0xffff;

/// A number as text, padded on the left.
pub type Number = Ascii<20>;

messages! {
    "SoupBinTCP packet";
    /// A packet without the length before it, of either side.
    pub enum Packet {
        SequencedData,
        UnsequencedData,
        ServerHeartbeat,
        ClientHeartbeat,
        LoginRequest,
        LoginAccepted,
        LoginRejected,
        LogoutRequest,
        EndOfSession,
        Debug,
    }
}

message! {
    Big, "SoupBinTCP Debug";
    /// Either side: text that is meant for people, in [`rest`](Self::rest).
    pub struct Debug, DebugBuilder: 1, type b'+' {}
}

message! {
    Big, "SoupBinTCP Login Accepted";
    /// Server: the login is good, and messages follow.
    pub struct LoginAccepted, LoginAcceptedBuilder: 31, type b'A' {
        /// The session, padded on the left.
        session @ 1: Ascii<10>,
        /// The number of the next message; see [`number`].
        sequence_number @ 11: Number,
    }
}

message! {
    Big, "SoupBinTCP Login Rejected";
    /// Server: the login is not good, and the connection will be closed.
    pub struct LoginRejected, LoginRejectedBuilder: 2, type b'J' {
        /// `A` not authorised: user or password are wrong; `S` there is no such session.
        reject_reason_code @ 1: Code,
    }
}

message! {
    Big, "SoupBinTCP Sequenced Data";
    /// Server: a message, in [`rest`](Self::rest). Its number is one more than that of the one
    /// before.
    pub struct SequencedData, SequencedDataBuilder: 1, type b'S' {}
}

message! {
    Big, "SoupBinTCP Unsequenced Data";
    /// Client: a message, in [`rest`](Self::rest). It has no number: after a reconnect nobody says
    /// whether it arrived. Servers may send them too.
    pub struct UnsequencedData, UnsequencedDataBuilder: 1, type b'U' {}
}

message! {
    Big, "SoupBinTCP Server Heartbeat";
    /// Server: nothing else was sent for a second.
    pub struct ServerHeartbeat, ServerHeartbeatBuilder: 1, type b'H' {}
}

message! {
    Big, "SoupBinTCP Client Heartbeat";
    /// Client: nothing else was sent for a second.
    pub struct ClientHeartbeat, ClientHeartbeatBuilder: 1, type b'R' {}
}

message! {
    Big, "SoupBinTCP End of Session";
    /// Server: the session has no more messages.
    pub struct EndOfSession, EndOfSessionBuilder: 1, type b'Z' {}
}

message! {
    Big, "SoupBinTCP Login Request";
    /// Client: the first packet of a connection.
    pub struct LoginRequest, LoginRequestBuilder: 47, type b'L' {
        /// Padded on the right; upper and lower case are the same.
        username @ 1: Ascii<6>,
        /// Padded on the right; upper and lower case are the same.
        password @ 7: Ascii<10>,
        /// Padded on the left; all spaces: the session of now.
        requested_session @ 17: Ascii<10>,
        /// The number of the first message wanted, see [`text`]; 0: only what is new.
        requested_sequence_number @ 27: Number,
    }
}

message! {
    Big, "SoupBinTCP Logout Request";
    /// Client: the server is to close the connection.
    pub struct LogoutRequest, LogoutRequestBuilder: 1, type b'O' {}
}

/// The number that `text` says; `None` when it says none, or one beyond 64 bits.
pub fn number(text: Number) -> Option<u64> {
    let digits = text.trimmed();
    let plain = digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| plain)?.parse().ok()
}

/// `number` as text.
pub fn text(mut number: u64) -> Number {
    let mut digits = [b' '; 20];
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    Ascii(digits)
}

/// Writes a packet over the start of `out`, its length before it: one without a payload from the
/// bytes of its builder. The bytes that it took.
pub fn write_packet(out: &mut [u8], packet: &[u8]) -> Result<usize, Error> {
    write_block::<Big>(out, packet)
}

/// Writes a packet of type `packet_type` that carries `payload`; the bytes that it took.
pub fn write_data(out: &mut [u8], packet_type: u8, payload: &[u8]) -> Result<usize, Error> {
    let (needed, available) = (PREFIX_LEN + 1 + payload.len(), out.len());
    let no_room = Error::NoRoom { what: "SoupBinTCP packet", needed, available };
    let len = u16::try_from(1 + payload.len()).map_err(|_| no_room)?;
    let place = out.get_mut(..needed).ok_or(no_room)?;
    place[..PREFIX_LEN].copy_from_slice(&len.to_be_bytes());
    place[PREFIX_LEN] = packet_type;
    place[PREFIX_LEN + 1..].copy_from_slice(payload);
    Ok(needed)
}

/// Cuts what has been received into packets. The end of what is there is no error, since TCP cuts
/// where it likes: keep [`rest`](Frames::rest), receive more behind it, begin again.
#[derive(Clone, Debug)]
pub struct Frames<'a>(Blocks<'a, Big>);

impl<'a> Frames<'a> {
    /// Of bytes that begin with a packet.
    pub fn new(received: &'a [u8]) -> Self {
        Frames(Blocks::new(received, u64::MAX, 0))
    }

    /// What follows the packets given so far: less than one packet, once there are no more.
    pub fn rest(&self) -> &'a [u8] {
        self.0.rest()
    }
}

/// Packets for [`Packet::decode`], without the lengths before them.
impl<'a> Iterator for Frames<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        self.0.next()?.ok().map(|packet| packet.bytes)
    }
}

/// Counts the messages of a session, which have no numbers of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbering {
    next: Option<u64>,
}

impl Numbering {
    /// The number of the next message; `None` before the login.
    pub fn next(&self) -> Option<u64> {
        self.next
    }

    /// Takes a packet of the server in: the number of its message when it is sequenced data. `None`
    /// also when the login that came before had no number.
    #[inline]
    pub fn observe(&mut self, packet: &Packet<'_>) -> Option<u64> {
        match packet {
            Packet::LoginAccepted(accepted) => {
                self.next = number(accepted.sequence_number());
                None
            }
            Packet::SequencedData(_) => {
                let number = self.next?;
                self.next = number.checked_add(1);
                Some(number)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_written_and_read() {
        let mut stream = [0; 128];
        let accepted = LoginAcceptedBuilder::new()
            .session(Ascii::right("SESSION").unwrap())
            .sequence_number(text(42));
        let mut len = write_packet(&mut stream, accepted.as_bytes()).unwrap();
        for message in ["first", "", "third"] {
            len += write_data(&mut stream[len..], SequencedData::TYPE, message.as_bytes()).unwrap();
        }
        len += write_packet(&mut stream[len..], ServerHeartbeatBuilder::new().as_bytes()).unwrap();
        len += write_packet(&mut stream[len..], EndOfSessionBuilder::new().as_bytes()).unwrap();
        assert_eq!(&stream[..33], b"\0\x1fA   SESSION                  42");
        assert_eq!(&stream[33..44], b"\0\x06Sfirst\0\x01S");
        let mut numbering = Numbering::default();
        let mut seen = Vec::new();
        for frame in Frames::new(&stream[..len]) {
            let packet = Packet::decode(frame).unwrap();
            if let Packet::SequencedData(data) = packet {
                seen.push((numbering.observe(&packet), data.rest().to_vec()));
            } else {
                assert_eq!(numbering.observe(&packet), None);
            }
        }
        let expected = [(42, "first"), (43, ""), (44, "third")];
        assert_eq!(seen, expected.map(|(number, text)| (Some(number), text.into())));
        assert_eq!(numbering.next(), Some(45));
    }

    #[test]
    fn every_cut_waits_for_more() {
        let stream = b"\0\x03SAB\0\x01H\0\0\0\x02J";
        for len in 0..=stream.len() {
            let mut frames = Frames::new(&stream[..len]);
            let packets: Vec<_> = frames.by_ref().collect();
            let ends = [5, 8, 10].iter().filter(|&&end| len >= end).count();
            assert_eq!((packets.len(), frames.next()), (ends, None), "{len}");
            let read: usize = packets.iter().map(|packet| PREFIX_LEN + packet.len()).sum();
            assert_eq!(frames.rest(), &stream[read..len]);
        }
        assert_eq!(Packet::decode(b"").unwrap_err().reason(), "truncated");
    }

    #[test]
    fn a_login_and_packets_without_a_payload() {
        let login = LoginRequestBuilder::new()
            .username(Ascii::new("user").unwrap())
            .password(Ascii::new("secret").unwrap())
            .requested_sequence_number(text(0));
        let expected = b"Luser  secret                                 0";
        assert_eq!(login.as_bytes(), expected);
        let Ok(Packet::LoginRequest(read)) = Packet::decode(expected) else { panic!("no login") };
        assert_eq!((read.to_builder(), read.requested_session()), (login, Ascii([b' '; 10])));
        assert_eq!(number(read.requested_sequence_number()), Some(0));
        let letters: String =
            Packet::TYPES.iter().map(|(letter, ..)| char::from(*letter)).collect();
        assert_eq!(letters, "SUHRLAJOZ+");
        let unknown = Packet::decode(b"?x").unwrap();
        assert_eq!(unknown, Packet::Unknown { message_type: b'?', bytes: b"?x" });
    }

    #[test]
    fn numbers_as_text() {
        for value in [0, 9, 10, 12_345, u64::MAX] {
            assert_eq!(text(value), Ascii::right(&value.to_string()).unwrap());
            assert_eq!(number(text(value)), Some(value));
        }
        assert_eq!(number(Ascii::new("7").unwrap()), Some(7));
        for wrong in ["", "+7", "-1", "7 7", "x", "18446744073709551616"] {
            assert_eq!(number(Ascii::right(wrong).unwrap()), None, "{wrong}");
        }
        let mut numbering = Numbering::default();
        let data = Packet::decode(b"Sdata").unwrap();
        assert_eq!(numbering.observe(&data), None);
        numbering.observe(&Packet::LoginAccepted(
            LoginAccepted::parse(
                LoginAcceptedBuilder::new().sequence_number(text(u64::MAX)).as_bytes(),
            )
            .unwrap(),
        ));
        assert_eq!((numbering.observe(&data), numbering.observe(&data)), (Some(u64::MAX), None));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let error = Error::NoRoom { what: "SoupBinTCP packet", needed: 5, available: 4 };
        assert_eq!(write_data(&mut [0; 4], b'S', b"AB"), Err(error));
        let mut large = vec![0; PACKET_BYTES_MAX + 1];
        assert_eq!(write_data(&mut large, b'S', &[0; 0xfffe]), Ok(PACKET_BYTES_MAX));
        assert_eq!(write_data(&mut large, b'S', &[0; 0xffff]).unwrap_err().reason(), "no_room");
    }
}
