//! The books of every feed: its messages, each once and in order, applied one after the other.

use crate::feed::args::Lines;
use crate::feed::merge::{Feeds, Merged};
use crate::feed::streams::Line;
use std::collections::VecDeque;
use tickwire_market::book::{BOOKS_MAX, Level, Side, Spread, Whole, deep, deep_plus, itch, mdp3};
use tickwire_market::iex::{deep as deep_messages, deep_plus as deep_plus_messages};
use tickwire_market::mdp3::Message as Mdp3Message;
use tickwire_market::recovery::{InOrder, Place};
use tickwire_market::sbe::MessageHeader;
use tickwire_market::sequence::{Freshness, New, Numbers, Range, What};
use tickwire_market::{Message, Packet, Protocol, Session, itch50};

/// The most messages of a feed that wait for one that is missing.
const WAITING_MESSAGES_MAX: usize = 1 << 16;
/// The number of the first message of a session.
const FIRST: u64 = 1;
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
    /// What lies before this message is not known whole: something was given up, or the session was
    /// joined there.
    incomplete_before: u64,
    /// Which books are known all the same.
    known: Freshness,
    /// The number of the first message, when it was not the first of the session.
    joined_at: Option<u64>,
    /// Whether messages of this session were given up.
    has_lost: bool,
}

/// The books of a feed, as they are shown.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// The books.
    pub kept: &'a Kept,
    /// Which of them are known, and up to where: none of a file, where nothing is missing.
    known: Option<(&'a Freshness, u64)>,
    /// The number of the first message, when it was not the first of the session.
    pub joined_at: Option<u64>,
    /// Whether something was lost for good.
    pub has_lost: bool,
}

impl<'a> Shown<'a> {
    fn of(feed: &'a InFeed, merged: &Merged) -> Option<Shown<'a>> {
        let current = merged.arbiter.current().filter(|(session, _)| *session == feed.session);
        // What is still waited for is not known either: books are as they were before it.
        let open = current.map_or(0, |(_, stream)| stream.incomplete_before());
        Some(Shown {
            kept: feed.kept.as_ref()?,
            known: Some((&feed.known, feed.incomplete_before.max(open))),
            joined_at: feed.joined_at,
            has_lost: feed.has_lost,
        })
    }

    /// Whether something may have happened to `book` that is not known. What is missing of ITCH and
    /// of IEX may have been of any book, until the feed tells its whole state.
    pub fn is_stale(&self, book: &Book<'_>) -> bool {
        match (self.kept, self.known) {
            (Kept::Mdp3(books), _) => books.is_stale(book.number),
            (_, Some((known, before))) => !known.knows(book.number.into(), before),
            (_, None) => false,
        }
    }
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
    /// No books. What is missing is waited for `hold_ns`, in the time of the feed; what is sent to
    /// `lines` is one feed, each.
    pub fn new(hold_ns: u64, lines: Vec<Lines>) -> Books {
        let feeds = Feeds::new(hold_ns, false).with_lines(lines);
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

    /// The books of each feed.
    pub fn feeds(&self) -> impl Iterator<Item = Shown<'_>> {
        let feeds = self.kept.iter().zip(self.feeds.iter());
        let feeds = feeds.filter_map(|(feed, merged)| Shown::of(feed, merged));
        let (known, joined_at, has_lost) = (None, None, false);
        let recorded = self.recorded.as_ref();
        feeds.chain(recorded.map(|kept| Shown { kept, known, joined_at, has_lost }))
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
            incomplete_before: 0,
            known: Freshness::new(BOOKS_MAX),
            joined_at: None,
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
            self.known.clear();
            self.joined_at = Some(stream.start()).filter(|&start| start > FIRST);
            self.incomplete_before = self.joined_at.unwrap_or(0);
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
        let known = &mut self.known;
        match self.order.push(sequence, bytes, |number, bytes| books.follow(number, bytes, known)) {
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
        let (Some(books), known) = (&mut self.kept, &mut self.known) else { return };
        let hand_on = |number, bytes: &[u8]| books.follow(number, bytes, known);
        let given_up = self.order.give_up(range.first, range.last, hand_on);
        if given_up > 0 {
            self.has_lost = true;
            self.incomplete_before = self.incomplete_before.max(range.last.saturating_add(1));
        }
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

    /// Applies message `number`, and notes which books are known whole with it.
    fn follow(&mut self, number: u64, bytes: &[u8], known: &mut Freshness) {
        self.apply(bytes);
        match self.whole(bytes) {
            None => {}
            Some(Whole::Book(book)) => known.refresh(book.into(), number),
            Some(Whole::All) => known.refresh_all(number),
        }
    }

    /// Whose state a message that was applied tells whole.
    fn whole(&self, bytes: &[u8]) -> Option<Whole> {
        // What is too short was counted where it was received. Other types tell nothing whole.
        match (self, bytes.first()?) {
            (Kept::Itch(_), b'S') => itch::Books::whole(&itch50::Message::decode(bytes).ok()?),
            (Kept::Deep(_), b'S') => {
                deep::Books::whole(&deep_messages::Message::decode(bytes).ok()?)
            }
            (Kept::DeepPlus(books), b'S' | b'C') => {
                books.whole(&deep_plus_messages::Message::decode(bytes).ok()?)
            }
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
}
