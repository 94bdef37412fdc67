//! What a feed consists of: packets and messages, by protocol and by type.

use super::fix;
use super::schema::Schemas;
use std::collections::BTreeMap;
use tickwire_market::sbe::Decoded;
use tickwire_market::{Error, Kind, Message, MessageType, Packet, Protocol};

/// The most different template ids that are counted one by one: more are none of a specification.
const TEMPLATES_MAX: usize = 4096;

/// What there was of a protocol.
#[derive(Clone, Debug)]
pub struct Account {
    /// Datagrams, also those that could not be read; over TCP, packets of SoupBinTCP and messages
    /// of FIX.
    pub packets: u64,
    /// Messages, those of unknown types and those that are too short too.
    pub messages: u64,
    /// Packets that say that there is nothing to say. Those of FIX are messages, too.
    pub heartbeats: u64,
    /// Packets that end a session.
    pub ends: u64,
    /// Packets that ask for messages.
    pub requests: u64,
    /// Messages of types that their protocol does not have.
    pub unknown: u64,
    /// Packets that contradict themselves or are of another protocol, and messages that are shorter
    /// than their type says.
    pub malformed: u64,
    /// Packets whose end is missing.
    pub truncated: u64,
    letters: Box<[u64; 256]>,
    others: BTreeMap<MessageType, u64>,
}

impl Default for Account {
    fn default() -> Self {
        Account {
            packets: 0,
            messages: 0,
            heartbeats: 0,
            ends: 0,
            requests: 0,
            unknown: 0,
            malformed: 0,
            truncated: 0,
            letters: Box::new([0; 256]),
            others: BTreeMap::new(),
        }
    }
}

impl Account {
    /// A packet whose header was read.
    pub fn packet(&mut self, packet: &Packet<'_>) {
        self.packets += 1;
        match packet.kind() {
            Kind::Heartbeat => self.heartbeats += 1,
            Kind::End => self.ends += 1,
            Kind::Request => self.requests += 1,
            _ => {}
        }
    }

    /// What is wrong with a packet.
    pub fn fault(&mut self, error: &Error) {
        match error {
            Error::Truncated { .. } => self.truncated += 1,
            _ => self.malformed += 1,
        }
    }

    /// A message.
    #[inline]
    pub fn message(&mut self, message: &Message<'_>, schemas: &Schemas) {
        self.messages += 1;
        match message.message_type() {
            Some(MessageType::Letter(letter)) => self.letters[usize::from(letter)] += 1,
            Some(other)
                if self.others.len() < TEMPLATES_MAX || self.others.contains_key(&other) =>
            {
                *self.others.entry(other).or_default() += 1;
            }
            _ => {}
        }
        let is_known = match schemas.decode(message) {
            None if message.protocol == Protocol::Fix => Ok(self.fix(message, schemas)),
            Some(decoded) => decoded.map(|decoded| matches!(decoded, Decoded::Known(_))),
            None => message.definition().map(|known| match message.protocol.is_decoded() {
                true => known.is_some(),
                // Nothing is known of any of them.
                false => true,
            }),
        };
        match is_known {
            Ok(is_known) => self.unknown += u64::from(!is_known),
            Err(_) => self.malformed += 1,
        }
    }

    /// Whether the type of a message of FIX is known, or nothing says what is.
    fn fix(&mut self, message: &Message<'_>, schemas: &Schemas) -> bool {
        let Some(message) = fix::message(message) else { return true };
        self.heartbeats += u64::from(message.msg_type() == b"0");
        let dictionary = message.get(8).and_then(|begin| schemas.dictionary(begin));
        dictionary.is_none_or(|known| known.message(message.msg_type()).is_some())
    }

    /// How many messages there were of each type, by type.
    pub fn by_type(&self) -> impl Iterator<Item = (MessageType, u64)> + '_ {
        let letters = (0..=u8::MAX).zip(self.letters.iter());
        let letters = letters.map(|(letter, &count)| (MessageType::Letter(letter), count));
        let others = self.others.iter().map(|(&other, &count)| (other, count));
        letters.chain(others).filter(|&(_, count)| count > 0)
    }
}

/// The accounts of all protocols.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    accounts: Vec<(Protocol, Account)>,
}

impl Accounts {
    /// That of a protocol.
    #[inline]
    pub fn of(&mut self, protocol: Protocol) -> &mut Account {
        let known = self.accounts.iter().position(|(known, _)| *known == protocol);
        let place = known.unwrap_or_else(|| {
            self.accounts.push((protocol, Account::default()));
            self.accounts.len() - 1
        });
        &mut self.accounts[place].1
    }

    /// Each protocol with its account, in the order of their first packets.
    pub fn iter(&self) -> impl Iterator<Item = (Protocol, &Account)> + Clone {
        self.accounts.iter().map(|(protocol, account)| (*protocol, account))
    }

    /// One number of all protocols together.
    pub fn sum(&self, number: impl Fn(&Account) -> u64) -> u64 {
        self.accounts.iter().map(|(_, account)| number(account)).sum()
    }
}
