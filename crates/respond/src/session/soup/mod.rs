//! OUCH over SoupBinTCP 3.00, from the client's side.
//!
//! What the exchange says is numbered, and asked for again from the next number on when the
//! connection was lost; what we say is not. So an order that was cut off may or may not have
//! arrived, and this is how it is found out:
//!
//! * Of which not every byte was handed to the transport: it never arrived, since a packet counts
//!   whole or not at all.
//! * All others stay open. After the next login the exchange repeats what it said meanwhile.
//! * OUCH 5.0 is asked for its next UserRefNum, before the first new order: orders from that on
//!   never arrived. Answers to queries of connections before come again, too; where it is not known
//!   how many there are, the last one before a heartbeat counts.
//! * What is still unanswered then is cancelled, which an exchange ignores of an order that it does
//!   not know, and answers of one that it has.
//! * An order that it has not mentioned when it answers one of the new connection never arrived:
//!   all that it says stands in one numbered stream. Neither did one that it has not mentioned
//!   [`unanswered_s`](SoupSettings::unanswered_s) after the login.
//!
//! In another process the session goes on where the oldest order that is still open was sent
//! ([`keep_in`](SoupSession::keep_in)): all that was said of the open ones comes again, and what
//! the process before has booked of it is passed over.
//!
//! This holds for exchanges that read nothing more from a connection once they accepted the login
//! of the next, as one port for one session means.

mod answers;
mod settings;
#[cfg(test)]
mod tests;

pub use settings::{Ouch, SoupCounts, SoupError, SoupSettings};

use super::open_orders::{OpenOrder, OpenOrders};
use super::ouch::Version;
use super::output::Output;
use super::packets::Packets;
use super::store::Place;
use super::{Close, Resumed, Session};
use crate::format::{CLIENT_ORDER_ID_BYTES, Encoder, client_order_id};
use crate::order::{Event, Order, Scale};
use std::fmt;
use std::sync::atomic::AtomicU64;
use tickwire_frame::Reason;
use tickwire_market::soupbintcp::{
    self as soup, ClientHeartbeatBuilder, LoginRequestBuilder, LogoutRequestBuilder, Numbering,
    Packet, UnsequencedData,
};
use tickwire_market::{Ascii, ouch42, ouch50};

/// Something is sent at least once a second; at ten ticks a second this is in time.
const HEARTBEAT_NS: u64 = 900_000_000;

/// A server that says nothing for so long is gone; also how long it may take with a login.
const SILENCE_NS_MAX: u64 = 15_000_000_000;

/// No two ticks are farther apart, whatever the clock says: it may be set.
const TICK_NS_MAX: u64 = 1_000_000_000;

/// The length of a packet, and its type.
const HEADER_BYTES: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No connection.
    Closed,
    /// The login was sent.
    LoggingIn,
    /// OUCH 5.0: asked for the next UserRefNum.
    Asking,
    /// Orders can be sent.
    Ready,
    /// The logout was sent.
    LoggedOut,
}

/// A session that sends orders in OUCH 4.2 or 5.0.
pub struct SoupSession {
    login: LoginRequestBuilder,
    session: Ascii<10>,
    /// The number asked for in the login that is under way.
    requested: u64,
    numbering: Numbering,
    version: Version,
    encoder: Encoder,
    scale: Scale,
    state: State,
    packets: Packets,
    output: Output,
    open: OpenOrders,
    connection: u64,
    /// Whether orders of a connection before are unanswered.
    is_uncertain: bool,
    /// Whether some of a connection before are to be cancelled.
    has_cancels: bool,
    cancel_on_disconnect: bool,
    next_reference: u32,
    unanswered_ns: u64,
    last_tick_ns: u64,
    /// Since we sent something, since the server did, since the login was accepted.
    quiet_ns: u64,
    silent_ns: u64,
    logged_in_ns: u64,
    counts: SoupCounts,
    /// Where it is kept where the session is.
    words: Option<&'static [AtomicU64]>,
    /// The process before has handled messages below this number.
    handled_before: u64,
    /// OUCH 5.0: how many queries may still be answered, those of connections before, too, and what
    /// the last answer on this connection was.
    queries: u32,
    said_reference: Option<u32>,
}

impl SoupSession {
    /// A session that is not connected yet. Prices have that `scale`.
    ///
    /// # Errors
    /// [`SoupError`] names the setting that does not do.
    pub fn new(settings: &SoupSettings, ouch: &Ouch, scale: Scale) -> Result<Self, SoupError> {
        let error = |name, bytes_max| SoupError::Text { name, bytes_max };
        let session = Some(&settings.session).filter(|text| text.is_ascii());
        let session = session.and_then(|text| Ascii::right(text)).ok_or(error("session", 10))?;
        let username = Ascii::new(&settings.username).filter(|_| settings.username.is_ascii());
        let username = username.ok_or(error("username", 6))?;
        let password = Some(&settings.password.0).filter(|text| text.is_ascii());
        let password = password.and_then(|text| Ascii::new(text)).ok_or(error("password", 10))?;
        Ok(SoupSession {
            login: LoginRequestBuilder::new().username(username).password(password),
            session,
            requested: settings.next_sequence,
            numbering: Numbering::default(),
            version: match ouch {
                Ouch::V42(_) => Version::V42,
                Ouch::V50(_) => Version::V50,
            },
            encoder: Encoder::new(&ouch.format()?, scale),
            scale,
            state: State::Closed,
            packets: Packets::default(),
            output: Output::new(),
            open: OpenOrders::new(),
            connection: 0,
            is_uncertain: false,
            has_cancels: false,
            cancel_on_disconnect: settings.cancel_on_disconnect,
            next_reference: 1,
            unanswered_ns: u64::from(settings.unanswered_s.max(1)) * 1_000_000_000,
            last_tick_ns: 0,
            quiet_ns: 0,
            silent_ns: 0,
            logged_in_ns: 0,
            counts: SoupCounts::default(),
            words: None,
            handled_before: 0,
            queries: 0,
            said_reference: None,
        })
    }

    /// Keeps where the session is in `words`, for [`resume`](Session::resume) in another process:
    /// those that [`Memory::target`](crate::Memory::target) has.
    pub fn keep_in(&mut self, words: &'static [AtomicU64]) {
        self.words = Some(words);
    }

    fn keep(&self) {
        if let (Some(words), Some(next)) = (self.words, self.numbering.next()) {
            let mark = self.open.iter().next().map_or(next, |first| first.mark);
            Place { session: self.session, mark, next }.write(words);
        }
    }

    /// What was noticed.
    pub fn counts(&self) -> SoupCounts {
        self.counts
    }

    /// Orders that are neither executed nor gone.
    pub fn open_orders(&self) -> impl Iterator<Item = u64> {
        self.open.iter().map(|order| order.number)
    }

    /// Orders of connections before of which is not known whether they arrived.
    pub fn uncertain_orders(&self) -> impl Iterator<Item = u64> {
        let is_closed = self.state == State::Closed;
        let connection = self.connection + u64::from(is_closed);
        let uncertain = move |order: &&OpenOrder| is_uncertain(order, connection);
        self.open.iter().filter(uncertain).map(|order| order.number)
    }

    /// The session of the exchange, and the number of its next message, once it is known.
    pub fn position(&self) -> Option<(Ascii<10>, u64)> {
        let next = self.numbering.next().or(Some(self.requested).filter(|next| *next > 0));
        next.map(|next| (self.session, next))
    }

    fn packet(&mut self, packet: &[u8], event: &mut dyn FnMut(Event)) -> Result<(), Close> {
        self.silent_ns = 0;
        let Ok(packet) = Packet::decode(packet) else {
            return Err(close("the exchange sent a packet that is cut", true));
        };
        match packet {
            Packet::LoginAccepted(_) if self.state == State::LoggingIn => self.accepted(&packet),
            Packet::LoginRejected(rejected) => {
                Err(rejection(rejected.reject_reason_code().0, self.open.has_resumed()))
            }
            Packet::SequencedData(data) => {
                let Some(number) = self.numbering.observe(&packet) else {
                    return Err(close("the exchange sent messages before it took the login", true));
                };
                self.message(number, data.rest(), event);
                Ok(())
            }
            Packet::EndOfSession(_) => {
                Err(close("the exchange ended the session: start again for the next", false))
            }
            Packet::ServerHeartbeat(_) => {
                // It had nothing else to say: no answer to an older query is on its way.
                self.begin_orders(event);
                Ok(())
            }
            Packet::Debug(_) | Packet::UnsequencedData(_) => Ok(()),
            _ => Err(close("the exchange sent a packet that is not for it to send now", true)),
        }
    }

    fn accepted(&mut self, packet: &Packet<'_>) -> Result<(), Close> {
        let Packet::LoginAccepted(accepted) = packet else { return Ok(()) };
        let (session, number) = (accepted.session(), soup::number(accepted.sequence_number()));
        let same_session = self.session.trimmed().is_empty() || self.session == session;
        if !same_session || number.is_none() || self.requested > 0 && number != Some(self.requested)
        {
            return Err(close(
                &format!(
                    "asked for session {} from message {} on, the exchange gives session {} from \
                     {} on: messages are missing, compare the orders with it before the next start",
                    self.session,
                    self.requested,
                    session,
                    accepted.sequence_number(),
                ),
                false,
            ));
        }
        self.session = session;
        self.numbering.observe(packet);
        self.logged_in_ns = 0;
        self.state = match self.version {
            Version::V42 => State::Ready,
            Version::V50 => State::Asking,
        };
        if self.version == Version::V50 {
            // The output holds a login at most: there is room.
            let query = ouch50::AccountQueryBuilder::new();
            let _ = write_unsequenced(&mut self.output, query.as_bytes());
            self.queries = self.queries.saturating_add(1);
        }
        if self.has_cancels {
            self.cancel();
        }
        Ok(())
    }

    /// A packet without a message; without room, as there is enough to be sent.
    fn write(&mut self, packet: &[u8]) {
        if let Ok(place) = self.output.space(soup_bytes(packet)) {
            // The place is as long as the packet: it fits.
            let _ = soup::write_packet(place, packet);
            self.output.commit(soup_bytes(packet));
        }
        self.quiet_ns = 0;
    }
}

/// Without what it logs in with, and without the bytes that wait.
impl fmt::Debug for SoupSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SoupSession")
            .field("version", &self.version)
            .field("state", &self.state)
            .field("position", &self.position())
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}

/// Whether an order may or may not have arrived.
fn is_uncertain(order: &OpenOrder, connection: u64) -> bool {
    order.connection < connection && !order.is_answered
}

fn soup_bytes(packet: &[u8]) -> usize {
    HEADER_BYTES - 1 + packet.len()
}

fn write_cancel(output: &mut Output, version: Version, order: &OpenOrder) -> Result<u64, Reason> {
    match version {
        Version::V42 => {
            let mut token = Ascii([b' '; 14]);
            token.0[..CLIENT_ORDER_ID_BYTES].copy_from_slice(&client_order_id(order.number));
            let cancel = ouch42::CancelOrderBuilder::new().order_token(token);
            write_unsequenced(output, cancel.as_bytes())
        }
        Version::V50 => {
            let cancel = ouch50::CancelOrderBuilder::new().user_ref_num(order.reference);
            write_unsequenced(output, cancel.as_bytes())
        }
    }
}

fn write_unsequenced(output: &mut Output, message: &[u8]) -> Result<u64, Reason> {
    let len = HEADER_BYTES + message.len();
    // The place is as long as the packet: it fits.
    let _ = soup::write_data(output.space(len)?, UnsequencedData::TYPE, message);
    Ok(output.commit(len))
}

fn close(why: &str, reconnect: bool) -> Close {
    Close { why: why.to_owned(), reconnect }
}

fn rejection(code: u8, has_resumed: bool) -> Close {
    let why = match code {
        b'S' if has_resumed => {
            "the session in which orders were open is over: see at the exchange what became of \
                 them, `tickwire ctl respond disable`, `reset --positions`, and start again"
        }
        b'A' => "the exchange rejected the login: check username and password",
        b'S' => {
            "the exchange rejected the login: it has no such session; leave it empty for that \
                 of now"
        }
        _ => "the exchange rejected the login for a reason of its own",
    };
    close(why, false)
}

impl Session for SoupSession {
    fn resume(&mut self, orders: &[Resumed]) {
        if orders.is_empty() {
            return;
        }
        let place = self.words.and_then(Place::read);
        // Without one all of the day is asked for.
        let place = place.unwrap_or(Place { session: self.session, mark: 1, next: 1 });
        let Place { session, mark, next } = place;
        (self.session, self.requested, self.handled_before) = (session, mark, next);
        self.open.resume(orders.iter().map(|known| OpenOrder {
            number: known.number,
            reference: 0,
            left: known.quantity,
            booked: known.quantity.saturating_sub(known.left),
            is_answered: known.is_answered,
            mark,
            connection: 0,
            end: 0,
            is_canceling: false,
        }));
        (self.is_uncertain, self.has_cancels) = (true, true);
        // Nobody knows how many it has sent.
        self.queries = u32::MAX;
    }

    fn uncertain(&self) -> usize {
        self.uncertain_orders().count()
    }

    fn connected(&mut self, now_ns: u64) {
        self.output.clear();
        self.packets.clear();
        self.connection += 1;
        self.requested = self.numbering.next().unwrap_or(self.requested);
        self.numbering = Numbering::default();
        let login = self.login.requested_session(self.session);
        self.write(login.requested_sequence_number(soup::text(self.requested)).as_bytes());
        self.state = State::LoggingIn;
        (self.last_tick_ns, self.silent_ns, self.said_reference) = (now_ns, 0, None);
    }

    fn disconnected(&mut self, _now_ns: u64, event: &mut dyn FnMut(Event)) {
        if self.state == State::Closed {
            return;
        }
        self.state = State::Closed;
        let (connection, taken) = (self.connection, self.output.taken());
        let never_left = |order: &OpenOrder| order.connection == connection && order.end > taken;
        self.open.unsent(event, never_left);
        for order in self.open.iter_mut() {
            order.is_canceling = false;
            self.is_uncertain |= !order.is_answered;
            self.has_cancels = true;
        }
        self.output.clear();
    }

    fn received(
        &mut self,
        bytes: &[u8],
        _now_ns: u64,
        event: &mut dyn FnMut(Event),
    ) -> Result<(), Close> {
        if self.state == State::Closed {
            return Ok(());
        }
        let mut packets = std::mem::take(&mut self.packets);
        let result = packets.receive(bytes, |packet| self.packet(packet, event));
        self.packets = packets;
        if self.state == State::Ready && self.logged_in_ns >= self.unanswered_ns {
            self.settle_uncertain(event);
        }
        self.keep();
        result
    }

    fn tick(&mut self, now_ns: u64) -> Result<(), Close> {
        let passed_ns = now_ns.saturating_sub(self.last_tick_ns).min(TICK_NS_MAX);
        self.last_tick_ns = now_ns;
        if self.state == State::Closed {
            return Ok(());
        }
        self.quiet_ns += passed_ns;
        self.silent_ns += passed_ns;
        self.logged_in_ns += passed_ns;
        if self.silent_ns >= SILENCE_NS_MAX {
            return Err(close(
                "the exchange said nothing for 15 seconds, not even a heartbeat",
                true,
            ));
        }
        if self.has_cancels && self.state == State::Ready {
            self.cancel();
        }
        if self.quiet_ns >= HEARTBEAT_NS {
            self.write(ClientHeartbeatBuilder::new().as_bytes());
        }
        Ok(())
    }

    #[inline]
    fn order(&mut self, order: &Order) -> Result<(), Reason> {
        if self.state != State::Ready {
            return Err(Reason::NotConnected);
        }
        self.open.room_for(order.number)?;
        let reference = self.next_reference;
        let left = order.intent.quantity;
        if left == 0 || reference == u32::MAX {
            return Err(Reason::NotRepresentable);
        }
        let len = HEADER_BYTES + self.encoder.order_bytes();
        let place = self.output.space(len)?;
        self.encoder.encode(order, &mut place[HEADER_BYTES..])?;
        place[..2].copy_from_slice(&((len - 2) as u16).to_be_bytes());
        place[2] = UnsequencedData::TYPE;
        if self.version == Version::V50 {
            let at = HEADER_BYTES + 1;
            place[at..at + 4].copy_from_slice(&reference.to_be_bytes());
        }
        self.next_reference += 1;
        self.quiet_ns = 0;
        self.open.push(OpenOrder {
            number: order.number,
            reference,
            left,
            booked: 0,
            is_answered: false,
            mark: self.numbering.next().unwrap_or(0),
            connection: self.connection,
            end: self.output.commit(len),
            is_canceling: false,
        })
    }

    fn is_ready(&self) -> bool {
        self.state == State::Ready
    }

    fn logout(&mut self, _now_ns: u64) {
        if self.state != State::Closed {
            self.write(LogoutRequestBuilder::new().as_bytes());
            self.state = State::LoggedOut;
        }
    }

    fn output(&self) -> &[u8] {
        self.output.pending()
    }

    fn sent(&mut self, bytes: usize) {
        self.output.sent(bytes);
    }
}
