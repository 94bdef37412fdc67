//! OUCH over SoupBinTCP 3.00, from the server's side.

use super::ouch::{self, Entered, Inbound, Key, OuchVersion};
use super::{Answer, Exchange, Faults, Received, Tally};
use crate::session::packets::Packets;
use std::collections::{HashMap, HashSet};
use tickwire_market::soupbintcp::{
    self as soup, LoginAcceptedBuilder, LoginRejectedBuilder, LoginRequest, Packet, SequencedData,
    ServerHeartbeatBuilder,
};
use tickwire_market::{Ascii, Code};

/// Something is sent at least once a second; at ten ticks a second this is in time.
const HEARTBEAT_NS: u64 = 900_000_000;

/// A client that says nothing for so long is gone.
const SILENCE_NS_MAX: u64 = 15_000_000_000;

/// No two ticks are farther apart, whatever the clock says: it may be set.
const TICK_NS_MAX: u64 = 1_000_000_000;

/// As much of the day's messages is put before the socket at a time.
const OUTPUT_BYTES_MAX: usize = 1 << 16;

/// The most messages of a day: beyond, the exchange closes.
const MESSAGES_MAX: usize = 20_000_000;

/// The session of the day.
const SESSION: &str = "TICKWIRE";

/// An exchange that takes orders in OUCH 4.2 or 5.0. Its day goes on over connections: messages
/// are numbered and repeated from where a login asks for them.
#[derive(Debug)]
pub struct SoupExchange {
    version: OuchVersion,
    faults: Faults,
    tally: Tally,
    /// All that was said, in order: the first has number 1.
    day: Vec<Box<[u8]>>,
    /// What is left of each order.
    orders: HashMap<Key, u32>,
    ids: HashSet<[u8; 14]>,
    next_reference: u32,
    /// Which of the faults that happen once has happened.
    was_silent: bool,
    is_logged_in: bool,
    is_silent: bool,
    packets: Packets,
    output: Vec<u8>,
    /// The message of the day that is to be sent next.
    next: usize,
    last_tick_ns: u64,
    quiet_ns: u64,
    silent_ns: u64,
}

impl SoupExchange {
    /// An exchange at the beginning of its day.
    pub fn new(version: OuchVersion, faults: Faults) -> Self {
        SoupExchange {
            version,
            faults,
            tally: Tally::default(),
            day: Vec::new(),
            orders: HashMap::new(),
            ids: HashSet::new(),
            next_reference: 1,
            was_silent: false,
            is_logged_in: false,
            is_silent: false,
            packets: Packets::default(),
            output: Vec::new(),
            next: 0,
            last_tick_ns: 0,
            quiet_ns: 0,
            silent_ns: 0,
        }
    }

    /// Orders that are neither executed nor gone.
    pub fn open_orders(&self) -> usize {
        self.orders.values().filter(|left| **left > 0).count()
    }

    fn packet(
        &mut self,
        packet: &[u8],
        now_ns: u64,
        order: &mut dyn FnMut(Received),
    ) -> Result<(), String> {
        self.silent_ns = 0;
        match Packet::decode(packet) {
            Ok(Packet::LoginRequest(login)) if !self.is_logged_in => self.login(&login),
            Ok(Packet::UnsequencedData(data)) if self.is_logged_in => {
                self.message(data.rest(), now_ns, order)
            }
            Ok(Packet::LogoutRequest(_)) if self.is_logged_in => {
                Err("the client logged out".to_owned())
            }
            Ok(Packet::ClientHeartbeat(_) | Packet::Debug(_)) if self.is_logged_in => Ok(()),
            _ => {
                self.tally.protocol_errors += 1;
                Err("the client sent what is no packet, or not one for now".to_owned())
            }
        }
    }

    fn login(&mut self, login: &LoginRequest<'_>) -> Result<(), String> {
        let session = login.requested_session();
        if !matches!(session.trimmed(), b"") && session.trimmed() != SESSION.as_bytes() {
            self.tally.refused_logins += 1;
            let rejected = LoginRejectedBuilder::new().reject_reason_code(Code(b'S'));
            self.write(rejected.as_bytes());
            return Err(format!("the client asked for session {session}, this is {SESSION}"));
        }
        let last = self.day.len() as u64 + 1;
        let next = match soup::number(login.requested_sequence_number()) {
            Some(0) => last,
            Some(number) if number <= last => number,
            _ => {
                self.tally.sequence_errors += 1;
                last
            }
        };
        self.tally.logins += 1;
        self.is_logged_in = true;
        self.next = next as usize - 1;
        let accepted = LoginAcceptedBuilder::new()
            .session(Ascii::right(SESSION).unwrap_or(Ascii([b' '; 10])))
            .sequence_number(soup::text(next));
        self.write(accepted.as_bytes());
        Ok(())
    }

    fn message(
        &mut self,
        message: &[u8],
        now_ns: u64,
        order: &mut dyn FnMut(Received),
    ) -> Result<(), String> {
        if self.day.len() >= MESSAGES_MAX {
            return Err(format!("the day has {MESSAGES_MAX} messages: start another"));
        }
        match self.version.inbound(message) {
            Ok(Inbound::Enter(entered)) => self.enter(&entered, now_ns, order),
            Ok(Inbound::Cancel { key, quantity }) => {
                let left = self.orders.get_mut(&key);
                if let Some(left) = left.filter(|left| **left > quantity) {
                    let gone = std::mem::replace(left, quantity) - quantity;
                    self.tally.canceled += 1;
                    self.say(ouch::canceled(key, gone, b'U', now_ns));
                }
                Ok(())
            }
            Ok(Inbound::Query) => {
                self.say(ouch::next_reference(self.next_reference, now_ns));
                Ok(())
            }
            Ok(Inbound::Other) | Err(_) => {
                self.tally.protocol_errors += 1;
                Err("the client sent a message that is cut, or unknown here".to_owned())
            }
        }
    }

    fn enter(
        &mut self,
        entered: &Entered<'_>,
        now_ns: u64,
        order: &mut dyn FnMut(Received),
    ) -> Result<(), String> {
        let answer = self.answer(entered, now_ns);
        order(Received {
            client_order_id: String::from_utf8_lossy(entered.id.trim_ascii_end()).into_owned(),
            symbol: entered.symbol.to_string(),
            side: entered.side.unwrap_or(crate::Side::Buy),
            price: i64::try_from(entered.price).unwrap_or(i64::MAX),
            decimals: 4,
            quantity: entered.quantity,
            answer,
        });
        if answer == Answer::Duplicate {
            return Ok(());
        }
        if Faults::is_nth(self.tally.orders, self.faults.disconnect_every) {
            self.tally.cuts += 1;
            self.output.clear();
            return Err("cut on purpose".to_owned());
        }
        if self.faults.silent_after == self.tally.orders && !self.was_silent {
            (self.is_silent, self.was_silent) = (true, true);
        }
        Ok(())
    }

    fn answer(&mut self, entered: &Entered<'_>, now_ns: u64) -> Answer {
        if !self.ids.insert(entered.id) || self.orders.contains_key(&entered.key) {
            self.tally.duplicates += 1;
            return Answer::Duplicate;
        }
        if let Key::Reference(reference) = entered.key {
            if reference < self.next_reference {
                self.tally.sequence_errors += 1;
                return Answer::Duplicate;
            }
            self.next_reference = reference.saturating_add(1);
        }
        self.tally.orders += 1;
        self.orders.insert(entered.key, 0);
        let is_good = entered.is_good();
        if !is_good || Faults::is_nth(self.tally.orders, self.faults.reject_every) {
            self.tally.bad_orders += u64::from(!is_good);
            self.tally.rejected += u64::from(is_good);
            self.say(ouch::rejected(entered, now_ns));
            return Answer::Rejected;
        }
        self.tally.accepted += 1;
        self.say(ouch::accepted(entered, self.tally.orders, now_ns));
        if self.faults.is_filled(self.tally.accepted) {
            self.tally.executions += 1;
            self.say(ouch::executed(entered, self.tally.executions, now_ns));
        } else if entered.is_immediate {
            self.tally.canceled += 1;
            self.say(ouch::canceled(entered.key, entered.quantity, b'I', now_ns));
        } else {
            self.orders.insert(entered.key, entered.quantity);
        }
        Answer::Accepted
    }

    fn say(&mut self, message: Vec<u8>) {
        self.day.push(message.into());
    }

    /// Puts messages of the day before the socket.
    fn pump(&mut self) {
        if !self.is_logged_in || self.is_silent {
            return;
        }
        while self.output.len() < OUTPUT_BYTES_MAX {
            let Some(message) = self.day.get(self.next) else { return };
            self.next += 1;
            self.quiet_ns = 0;
            self.output.extend_from_slice(&(message.len() as u16 + 1).to_be_bytes());
            self.output.push(SequencedData::TYPE);
            self.output.extend_from_slice(message);
        }
    }

    fn write(&mut self, packet: &[u8]) {
        self.quiet_ns = 0;
        self.output.extend_from_slice(&(packet.len() as u16).to_be_bytes());
        self.output.extend_from_slice(packet);
    }
}

impl Exchange for SoupExchange {
    fn connected(&mut self, now_ns: u64) {
        self.disconnected(now_ns);
        (self.last_tick_ns, self.quiet_ns, self.silent_ns) = (now_ns, 0, 0);
    }

    fn disconnected(&mut self, _now_ns: u64) {
        (self.is_logged_in, self.is_silent) = (false, false);
        self.packets.clear();
        self.output.clear();
    }

    fn received(
        &mut self,
        bytes: &[u8],
        now_ns: u64,
        order: &mut dyn FnMut(Received),
    ) -> Result<(), String> {
        let mut packets = std::mem::take(&mut self.packets);
        let result = packets.receive(bytes, |packet| self.packet(packet, now_ns, order));
        self.packets = packets;
        if result.is_ok() {
            self.pump();
        }
        result
    }

    fn tick(&mut self, now_ns: u64) -> Result<(), String> {
        let passed_ns = now_ns.saturating_sub(self.last_tick_ns).min(TICK_NS_MAX);
        self.last_tick_ns = now_ns;
        self.quiet_ns += passed_ns;
        self.silent_ns += passed_ns;
        if self.silent_ns >= SILENCE_NS_MAX {
            return Err("the client said nothing for 15 seconds, not even a heartbeat".to_owned());
        }
        self.pump();
        if self.is_logged_in && !self.is_silent && self.quiet_ns >= HEARTBEAT_NS {
            self.write(ServerHeartbeatBuilder::new().as_bytes());
        }
        Ok(())
    }

    fn output(&self) -> &[u8] {
        &self.output
    }

    fn sent(&mut self, bytes: usize) {
        self.output.drain(..bytes.min(self.output.len()));
        self.pump();
    }

    fn tally(&self) -> Tally {
        self.tally
    }
}
