//! Both directions of a connection: messages with their sessions and numbers.

use super::framer::{Framer, Unit};
use super::soup::fits;
use super::{Item, Sessions, Way};
use crate::fix;
use crate::packet::{Kind, Message, Packet, Session};
use crate::protocol::Protocol;
use crate::soupbintcp::{self, Numbering};

/// Both directions of a connection.
///
/// Bytes come in the order of each direction; those of the two directions in the order in which
/// they were sent, as far as that is known.
#[derive(Clone, Debug)]
pub struct Connection {
    framers: [Framer; 2],
    side: Side,
}

/// What is known of the whole connection.
#[derive(Clone, Debug)]
struct Side {
    /// Of two, that of the server.
    protocol: Protocol,
    /// Where the market is, as far as anybody has told.
    server: Option<Way>,
    /// Of SoupBinTCP.
    session: Session,
    numbering: Numbering,
}

impl Connection {
    /// Of a connection of `protocol`, of which nothing has been seen.
    pub fn new(protocol: Protocol) -> Connection {
        let protocol = protocol.of_server();
        let framer = || Framer::new(protocol, false);
        let (session, numbering) = (Session::Unnamed, Numbering::default());
        let side = Side { protocol, server: None, session, numbering };
        Connection { framers: [framer(), framer()], side }
    }

    /// What it is of: of a protocol with two sides, that of the server.
    pub fn protocol(&self) -> Protocol {
        self.side.protocol
    }

    /// A direction begins, with a message if it is `whole`.
    pub fn begin(&mut self, way: Way, whole: bool) {
        self.framers[way as usize] = Framer::new(self.side.protocol, whole);
        if self.side.server != Some(way.other()) {
            (self.side.session, self.side.numbering) = (Session::Unnamed, Numbering::default());
        }
    }

    /// The bytes behind those before in a direction. Whole messages are visited.
    pub fn data(
        &mut self,
        way: Way,
        bytes: &[u8],
        sessions: &mut Sessions,
        mut visit: impl FnMut(Item<'_>),
    ) {
        let Connection { framers, side } = self;
        framers[way as usize].data(bytes, &mut |unit| visit(side.item(way, unit, sessions)));
    }

    /// Bytes are missing in a direction, or nothing more comes.
    pub fn lose(&mut self, way: Way, mut visit: impl FnMut(Item<'_>)) {
        self.framers[way as usize].lose(&mut |unit| {
            visit(match unit {
                Unit::Skipped(bytes) => Item::Skipped(bytes),
                _ => Item::Truncated,
            });
        });
        if self.side.server != Some(way.other()) {
            self.side.numbering = Numbering::default();
        }
    }
}

impl Side {
    fn item<'a>(&mut self, way: Way, unit: Unit<'a>, sessions: &mut Sessions) -> Item<'a> {
        match unit {
            Unit::Fix(message) => Item::Packet(of_fix(&message, sessions)),
            Unit::Soup(packet) => self.soup(way, packet),
            Unit::Garbled => Item::Malformed,
            Unit::Cut => Item::Truncated,
            Unit::Skipped(bytes) => Item::Skipped(bytes),
        }
    }

    fn soup<'a>(&mut self, way: Way, bytes: &'a [u8]) -> Item<'a> {
        use soupbintcp::Packet as Soup;
        let Ok(packet) = Soup::decode(bytes) else { return Item::Malformed };
        let number = self.numbering.observe(&packet);
        let server = self.protocol;
        Item::Packet(match packet {
            Soup::SequencedData(data) => {
                self.server = Some(way);
                self.data(server, number, data.rest())
            }
            Soup::UnsequencedData(data) => {
                // Servers may send them, too.
                let client = server.of_client();
                let is_client = self.server != Some(way)
                    && (self.server.is_some() || fits(client, data.rest()));
                self.data(if is_client { client } else { server }, None, data.rest())
            }
            Soup::ServerHeartbeat(_) => {
                self.server = Some(way);
                self.without_message(Kind::Heartbeat)
            }
            Soup::EndOfSession(_) => {
                self.server = Some(way);
                self.without_message(Kind::End)
            }
            Soup::ClientHeartbeat(_) => {
                self.server = Some(way.other());
                let message = Message { protocol: server.of_client(), sequence: 0, bytes: &[] };
                Packet::of_stream(message, Session::Unnamed, Kind::Heartbeat, 0)
            }
            Soup::LoginAccepted(accepted) => {
                self.server = Some(way);
                self.session = Session::SoupBinTcp(accepted.session());
                Packet::of_session(server, self.session)
            }
            Soup::LoginRejected(_) => {
                self.server = Some(way);
                Packet::of_session(server, self.session)
            }
            Soup::LoginRequest(_) | Soup::LogoutRequest(_) => {
                self.server = Some(way.other());
                Packet::of_session(server.of_client(), self.session)
            }
            Soup::Debug(_) => Packet::of_session(server, self.session),
            Soup::Unknown { .. } => return Item::Malformed,
        })
    }

    fn data<'a>(&self, protocol: Protocol, number: Option<u64>, bytes: &'a [u8]) -> Packet<'a> {
        let message = Message { protocol, sequence: number.unwrap_or(0), bytes };
        match number {
            Some(_) => Packet::of_stream(message, self.session, Kind::Messages, 1),
            None => Packet::of_stream(message, self.session, Kind::Unnumbered, 0),
        }
    }

    /// What the server says without a message: its number is that of the next, where that is known.
    fn without_message(&self, kind: Kind) -> Packet<'static> {
        let next = self.numbering.next();
        let message = Message { protocol: self.protocol, sequence: next.unwrap_or(0), bytes: &[] };
        let session = if next.is_some() { self.session } else { Session::Unnamed };
        Packet::of_stream(message, session, kind, 0)
    }
}

fn of_fix<'a>(message: &fix::Message<'a>, sessions: &mut Sessions) -> Packet<'a> {
    let numbers = sessions.numbers(message);
    let (protocol, bytes) = (Protocol::Fix, message.bytes());
    let sequence = numbers.map_or(0, |numbers| numbers.first);
    let message = Message { protocol, sequence, bytes };
    match numbers {
        Some(numbers) => {
            let session = Session::Fix(numbers.session);
            Packet::of_stream(message, session, Kind::Messages, numbers.count)
        }
        None => Packet::of_stream(message, Session::Unnamed, Kind::Unnumbered, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ouch50::{OrderCanceledBuilder, tag};
    use crate::soupbintcp::{
        ClientHeartbeatBuilder, EndOfSessionBuilder, LoginAcceptedBuilder, LoginRequestBuilder,
        ServerHeartbeatBuilder, text, write_data, write_packet,
    };
    use crate::{Ascii, ouch50};

    /// Each packet as `protocol kind session first+count`.
    struct Run(Connection, Sessions, Vec<String>);

    impl Run {
        fn new(protocol: Protocol) -> Run {
            let mut connection = Connection::new(protocol);
            connection.begin(Way::Forth, true);
            connection.begin(Way::Back, true);
            Run(connection, Sessions::default(), Vec::new())
        }

        fn data(&mut self, way: Way, bytes: &[u8]) {
            self.0.data(way, bytes, &mut self.1, |item| {
                self.2.push(match item {
                    Item::Packet(packet) => {
                        let (protocol, kind) = (packet.protocol(), packet.kind());
                        let (session, first) = (packet.session(), packet.first());
                        let count = packet.count();
                        assert!(packet.messages().all(|message| message.is_ok()));
                        format!("{protocol} {kind:?} {session} {first}+{count}")
                    }
                    other => format!("{other:?}"),
                });
            });
        }

        fn packet(&mut self, way: Way, packet: &[u8]) {
            let mut out = [0; 64];
            let len = write_packet(&mut out, packet).unwrap();
            self.data(way, &out[..len]);
        }

        fn message(&mut self, way: Way, packet_type: u8, message: &[u8]) {
            let mut out = [0; 128];
            let len = write_data(&mut out, packet_type, message).unwrap();
            self.data(way, &out[..len]);
        }

        fn expect(&mut self, expected: &[&str]) {
            assert_eq!(std::mem::take(&mut self.2), expected);
        }
    }

    fn accepted(number: u64) -> LoginAcceptedBuilder {
        let session = Ascii::right("DAY7").unwrap();
        LoginAcceptedBuilder::new().session(session).sequence_number(text(number))
    }

    #[test]
    fn messages_of_the_server_are_numbered_from_its_login_on() {
        let mut run = Run::new(Protocol::Ouch50In);
        run.packet(Way::Forth, LoginRequestBuilder::new().as_bytes());
        run.packet(Way::Back, accepted(7).as_bytes());
        let mut order = [0; 64];
        let mut with = ouch50::EnterOrderBuilder::new().with_appendage(&mut order).unwrap();
        with.push(tag::MIN_QTY, 1_u32).unwrap();
        run.message(Way::Forth, b'U', with.finish());
        run.message(Way::Back, b'S', OrderCanceledBuilder::new().as_bytes());
        run.message(Way::Back, b'U', OrderCanceledBuilder::new().as_bytes());
        run.packet(Way::Forth, ClientHeartbeatBuilder::new().as_bytes());
        run.packet(Way::Back, ServerHeartbeatBuilder::new().as_bytes());
        run.expect(&[
            "ouch50-in Unnumbered - 0+0",
            "ouch50 Unnumbered DAY7 0+0",
            "ouch50-in Unnumbered DAY7 0+0",
            "ouch50 Messages DAY7 7+1",
            "ouch50 Unnumbered DAY7 0+0",
            "ouch50-in Heartbeat - 0+0",
            "ouch50 Heartbeat DAY7 8+0",
        ]);
        // A hole on the way to the server is none in the numbers.
        run.0.lose(Way::Forth, |item| panic!("{item:?}"));
        run.packet(Way::Back, EndOfSessionBuilder::new().as_bytes());
        run.expect(&["ouch50 End DAY7 8+0"]);
    }

    #[test]
    fn behind_a_hole_nobody_knows_numbers_until_the_next_login() {
        let mut run = Run::new(Protocol::Ouch50);
        run.packet(Way::Back, accepted(7).as_bytes());
        run.0.lose(Way::Back, |item| panic!("{item:?}"));
        run.message(Way::Back, b'S', OrderCanceledBuilder::new().as_bytes());
        run.packet(Way::Back, ServerHeartbeatBuilder::new().as_bytes());
        run.packet(Way::Back, accepted(9).as_bytes());
        run.message(Way::Back, b'S', OrderCanceledBuilder::new().as_bytes());
        run.packet(Way::Back, b"\x07?");
        run.packet(Way::Back, b"A");
        run.expect(&[
            "ouch50 Unnumbered DAY7 0+0",
            "ouch50 Unnumbered DAY7 0+0",
            "ouch50 Heartbeat - 0+0",
            "ouch50 Unnumbered DAY7 0+0",
            "ouch50 Messages DAY7 9+1",
            "Malformed",
            "Malformed",
        ]);
        // The same ports again: another login, nothing of the one before.
        run.0.begin(Way::Back, true);
        run.message(Way::Back, b'S', OrderCanceledBuilder::new().as_bytes());
        run.expect(&["ouch50 Unnumbered - 0+0"]);
    }

    #[test]
    fn messages_of_fix_have_the_numbers_that_they_say() {
        let mut run = Run::new(Protocol::Fix);
        let mut buffer = [0; 128];
        let mut message = fix::MessageBuilder::new(&mut buffer, "FIX.4.4", "AE").unwrap();
        message.field(34, 12).unwrap().field(49, "A").unwrap().field(56, "B").unwrap();
        run.data(Way::Back, message.finish());
        let mut buffer = [0; 128];
        let message = fix::MessageBuilder::new(&mut buffer, "FIX.4.4", "0").unwrap();
        run.data(Way::Forth, message.finish());
        run.data(Way::Forth, b"8=FIX.4.4\x019=5\x0135=0\x0110=000\x01");
        run.expect(&["fix Messages A>B 12+1", "fix Unnumbered - 0+0", "Malformed"]);
    }
}
