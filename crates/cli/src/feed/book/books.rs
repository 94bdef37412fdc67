//! The books of every feed: its messages, each once and in order, applied one after the other.

use crate::feed::merge::{Feeds, Merged};
use crate::feed::streams::Line;
use std::collections::VecDeque;
use tickwire_market::book::{Level, Side, Spread, deep, deep_plus, itch, mdp3};
use tickwire_market::mdp3::Message as Mdp3Message;
use tickwire_market::recovery::{InOrder, Place};
use tickwire_market::sbe::MessageHeader;
use tickwire_market::sequence::{New, Numbers, Range, What};
use tickwire_market::{Message, Packet, Protocol, Session, itch50};

/// The most messages of a feed that wait for one that is missing.
const WAITING_MESSAGES_MAX: usize = 1 << 16;
/// The longest message that can wait, in bytes: those that books are made of are shorter.
const MESSAGE_BYTES_MAX: usize = 128;

/// The books of one feed.
#[derive(Debug)]
pub enum Kept {
    /// ITCH 5.0, by stock locate.
    Itch(Box<itch::Books>),
    /// DEEP+, by symbol.
    DeepPlus(Box<deep_plus::Books>),
    /// DEEP, by symbol.
    Deep(Box<deep::Books>),
    /// MDP 3.0, by security id.
    Mdp3(Box<mdp3::Books>),
}

/// A book, as it is shown.
#[derive(Debug)]
pub struct Book<'a> {
    kept: &'a Kept,
    number: u16,
    /// Its symbol, or the id of its security.
    pub symbol: String,
}

/// A feed and its books.
#[derive(Debug)]
struct InFeed {
    /// `None` where no books are made of the protocol.
    kept: Option<Kept>,
    session: Session,
    generation: u32,
    order: InOrder,
    /// Gaps that are waited for, each with the time when it is given up.
    waited: VecDeque<(u64, Range)>,
    /// Whether messages of this session were given up.
    has_lost: bool,
}

/// The books of all feeds.
#[derive(Debug)]
pub struct Books {
    feeds: Feeds,
    kept: Vec<InFeed>,
    hold_ns: u64,
    /// Those of a file of messages without packets.
    recorded: Option<Kept>,
    /// Messages that never came, and were not waited for any longer.
    pub missing: u64,
    /// Messages that came after they were given up: not applied.
    pub late: u64,
}

impl Books {
    /// No books. What is missing is waited for `hold_ns`, in the time of the feed.
    pub fn new(hold_ns: u64) -> Books {
        let feeds = Feeds::new(hold_ns, false);
        Books { feeds, kept: Vec::new(), hold_ns, recorded: None, missing: 0, late: 0 }
    }

    /// A message of a file without packets: each comes once, and in order.
    pub fn recorded(&mut self, message: &Message<'_>) {
        let kept = self.recorded.get_or_insert_with(|| Kept::Itch(Box::default()));
        kept.apply(message.bytes);
    }

    /// A packet, with `count` messages that can be read.
    pub fn packet(&mut self, line: Line, packet: &Packet<'_>, count: u32, at_ns: u64, number: u64) {
        let Some(numbers) = Numbers::of(packet) else { return };
        let numbers = Numbers { count, ..numbers };
        let Some(merge) = self.feeds.packet(packet.protocol(), line, &numbers, at_ns, number)
        else {
            return;
        };
        let merged = self.feeds.get(merge.feed);
        if merge.feed == self.kept.len() {
            self.kept.push(InFeed::new(merged.protocol));
        }
        let kept = &mut self.kept[merge.feed];
        kept.follow(merged, self.hold_ns, &mut self.missing);
        if merge.new == New::None {
            return;
        }
        let fresh = merged.arbiter.fresh();
        let is_fresh = |sequence: u64| {
            merge.new == New::All || fresh.iter().any(|range| range.contains(sequence))
        };
        for message in packet.messages().map_while(Result::ok) {
            if is_fresh(message.sequence) {
                self.late += u64::from(!kept.push(&message, &mut self.missing));
            }
        }
    }

    /// The feed is over: what is missing will not come.
    pub fn end(&mut self) {
        for (kept, merged) in self.kept.iter_mut().zip(self.feeds.iter()) {
            let end = merged.arbiter.current().map_or(0, |(_, stream)| stream.next());
            if let Some(range) = Range::before(kept.order.next(), end) {
                kept.give_up(range, &mut self.missing);
            }
        }
    }

    /// The books of each feed, and whether something of it was lost for good.
    pub fn feeds(&self) -> impl Iterator<Item = (&Kept, bool)> {
        let feeds = self.kept.iter().filter_map(|feed| Some((feed.kept.as_ref()?, feed.has_lost)));
        feeds.chain(self.recorded.as_ref().map(|kept| (kept, false)))
    }

    /// Protocols that came and have no books here.
    pub fn without_books(&self) -> impl Iterator<Item = Protocol> + '_ {
        let feeds = self.kept.iter().zip(self.feeds.iter());
        feeds.filter(|(kept, _)| kept.kept.is_none()).map(|(_, merged)| merged.protocol)
    }
}

impl InFeed {
    fn new(protocol: Protocol) -> InFeed {
        InFeed {
            kept: Kept::of(protocol),
            session: Session::Unnamed,
            generation: 0,
            order: InOrder::new(0, 1, 0),
            waited: VecDeque::new(),
            has_lost: false,
        }
    }

    /// Looks at what the last packet has changed: another session, a restart, gaps.
    fn follow(&mut self, merged: &Merged, hold_ns: u64, missing: &mut u64) {
        let Some((session, stream)) = merged.arbiter.current() else { return };
        if self.order.next() == 0
            || (session, stream.generation()) != (self.session, self.generation)
        {
            // Nothing in it is about the orders of the one before.
            (self.session, self.generation) = (session, stream.generation());
            self.kept = Kept::of(merged.protocol);
            self.order = InOrder::new(stream.start(), WAITING_MESSAGES_MAX, MESSAGE_BYTES_MAX);
            self.waited.clear();
            self.has_lost = false;
        }
        for event in merged.arbiter.events() {
            match event.what {
                What::Gap(gap) if self.waited.len() < WAITING_MESSAGES_MAX => {
                    self.waited.push_back((merged.at_ns.saturating_add(hold_ns), gap.range));
                }
                What::Gap(gap) | What::Lost(gap, _) => self.give_up(gap.range, missing),
                _ => {}
            }
        }
        while let Some(&(until, range)) = self.waited.front()
            && until < merged.at_ns
        {
            self.waited.pop_front();
            self.give_up(range, missing);
        }
    }

    /// Applies a message when it is in order, else lets it wait; whether it was of any use.
    fn push(&mut self, message: &Message<'_>, missing: &mut u64) -> bool {
        let Some(books) = &mut self.kept else { return true };
        let (sequence, bytes) = (message.sequence, message.bytes);
        if let Kept::Mdp3(_) = books {
            // Packets are numbered here, not messages; and so is each security, which books follow.
            books.apply(bytes);
            return true;
        }
        // What is too long to wait is no part of a book.
        let bytes = if bytes.len() > MESSAGE_BYTES_MAX { &[] } else { bytes };
        match self.order.push(sequence, bytes, |_, bytes| books.apply(bytes)) {
            Place::Next | Place::Waits => true,
            Place::Old => false,
            Place::NoRoom => {
                let last = sequence - WAITING_MESSAGES_MAX as u64;
                self.give_up(Range { first: self.order.next(), last }, missing);
                self.push(message, missing)
            }
        }
    }

    /// Waits for these no longer.
    fn give_up(&mut self, range: Range, missing: &mut u64) {
        let Some(books) = &mut self.kept else { return };
        let given_up = self.order.give_up(range.first, range.last, |_, bytes| books.apply(bytes));
        self.has_lost |= given_up > 0;
        *missing += given_up;
    }
}

impl Kept {
    fn of(protocol: Protocol) -> Option<Kept> {
        match protocol {
            Protocol::Itch50 => Some(Kept::Itch(Box::default())),
            Protocol::DeepPlus => Some(Kept::DeepPlus(Box::default())),
            Protocol::Deep => Some(Kept::Deep(Box::default())),
            Protocol::Mdp3 => Some(Kept::Mdp3(Box::default())),
            _ => None,
        }
    }

    fn apply(&mut self, bytes: &[u8]) {
        match self {
            Kept::Itch(books) => {
                // What is too short was counted where it was received.
                if let Ok(message) = itch50::Message::decode(bytes) {
                    books.apply(&message);
                }
            }
            Kept::DeepPlus(books) => _ = books.apply_bytes(bytes),
            Kept::Deep(books) => _ = books.apply_bytes(bytes),
            Kept::Mdp3(books) => {
                let message = MessageHeader::parse(bytes).and_then(Mdp3Message::decode);
                if let Ok(message) = message {
                    books.apply(&message);
                }
            }
        }
    }

    /// How many decimals its prices have.
    pub fn decimals(&self) -> u32 {
        match self {
            Kept::Itch(_) | Kept::DeepPlus(_) | Kept::Deep(_) => 4,
            Kept::Mdp3(_) => 9,
        }
    }

    /// Each book that has a name.
    pub fn books(&self) -> impl Iterator<Item = Book<'_>> {
        let book = |number| Some(Book { kept: self, number, symbol: self.symbol(number)? });
        (0..=u16::MAX).filter_map(book)
    }

    fn symbol(&self, number: u16) -> Option<String> {
        match self {
            Kept::Itch(books) => books.stock(number).map(|stock| stock.to_string()),
            Kept::DeepPlus(books) => books.symbol(number).map(|symbol| symbol.to_string()),
            Kept::Deep(books) => books.symbol(number).map(|symbol| symbol.to_string()),
            Kept::Mdp3(books) => books.security_id(number).map(|id| id.to_string()),
        }
    }
}

impl Book<'_> {
    /// The levels of one side, the best first.
    pub fn levels(&self, side: Side) -> Vec<Level> {
        let number = self.number;
        match self.kept {
            Kept::Itch(books) => books.orders().levels(number, side).collect(),
            Kept::DeepPlus(books) => books.orders().levels(number, side).collect(),
            Kept::Deep(books) => books.levels(number, side).collect(),
            Kept::Mdp3(books) => {
                let part = if side == Side::Buy { mdp3::Part::Bid } else { mdp3::Part::Offer };
                books.levels(number, part).to_vec()
            }
        }
    }

    /// How the best bid and offer stand to each other.
    pub fn spread(&self) -> Spread {
        match self.kept {
            Kept::Itch(books) => books.orders().spread(self.number),
            Kept::DeepPlus(books) => books.orders().spread(self.number),
            Kept::Deep(books) => books.spread(self.number),
            Kept::Mdp3(books) => books.spread(self.number),
        }
    }

    /// Whether a message that was lost for good may have changed it. That of ITCH and of IEX does
    /// not say of whom it was: so it may have been of any, for the rest of the day.
    pub fn is_stale(&self, is_feed_stale: bool) -> bool {
        match self.kept {
            Kept::Mdp3(books) => books.is_stale(self.number),
            _ => is_feed_stale,
        }
    }
}
