//! Frames to datagrams, datagrams to packets of a feed, and these to everybody who wants them.

use super::account::Accounts;
use super::arbitrate::{Arbitrate, Arrived};
use super::book::Follow;
use super::print::Printer;
use super::recording;
use super::recovery::{From, Recovery};
use super::schema::Schemas;
use super::streams::{Line, Streams};
use super::tcp::Connections;
use crate::exit::Failure;
use crate::recovery::Follower;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tickwire_decode::protocol::ip;
use tickwire_decode::{Miss, five_tuple};
use tickwire_engine::{Control, Job};
use tickwire_frame::{Batch, Frame, Ledger, LinkType, Mask, Reason};
use tickwire_market::protocol::Numbered;
use tickwire_market::recognise::Recogniser;
use tickwire_market::recovery::{Id, Word};
use tickwire_market::sequence::{New, Range};
use tickwire_market::{Kind, Message, Packet, Protocol};

/// What is known of a feed so far, over all files.
#[derive(Debug)]
pub struct Feed {
    pub(super) recogniser: Recogniser,
    /// What there was.
    pub accounts: Accounts,
    /// Its numbers, when anybody wants to know them.
    pub streams: Option<Streams>,
    /// Its lines merged, when they are to be, or what is missing is asked for.
    pub recovery: Option<Recovery>,
    /// Where answers to requests come.
    pub answers_at: Option<SocketAddr>,
    /// Who writes what is new, when it is to be written.
    pub arbitrate: Option<Arbitrate>,
    /// Its books, when they are to be shown.
    pub books: Option<Follow>,
    pub(super) printer: Option<Printer>,
    /// What messages of SBE and FIX are read with.
    pub schemas: Schemas,
    /// Which of the files is being read.
    pub(super) file: u16,
    /// Of each file, the number of its last packet.
    packets: Vec<u64>,
    /// Of each file, its connections.
    pub(super) tcp: Vec<Connections>,
}

/// A datagram, or a record of a file in its place.
struct Datagram<'a> {
    line: Line,
    at_ns: u64,
    payload: &'a [u8],
    /// Whether the capture cut it.
    is_cut: bool,
    /// Whether it came where we take answers to our requests.
    is_answer: bool,
    /// The frame, and where the payload begins in it.
    frame: Option<(LinkType, Frame<'a>, usize)>,
}

impl Feed {
    /// Before the first packet.
    pub fn new(
        recogniser: Recogniser,
        streams: Option<Streams>,
        printer: Option<Printer>,
        schemas: Schemas,
    ) -> Feed {
        let accounts = Accounts::default();
        let (recovery, answers_at, arbitrate, books) = (None, None, None, None);
        let (file, packets, tcp) = (0, vec![0], vec![Connections::default()]);
        Feed {
            recogniser,
            accounts,
            streams,
            recovery,
            answers_at,
            arbitrate,
            books,
            printer,
            schemas,
            file,
            packets,
            tcp,
        }
    }

    /// What follows is of file number `file`.
    pub fn begin_file(&mut self, file: u16) {
        self.file = file;
        let files = self.packets.len().max(usize::from(file) + 1);
        self.packets.resize(files, 0);
        self.tcp.resize_with(files, Connections::default);
    }

    /// Everything that is read is open now.
    ///
    /// # Errors
    /// When what is written cannot be.
    pub fn begin(&mut self) -> Result<(), Failure> {
        self.arbitrate.as_mut().map_or(Ok(()), Arbitrate::begin)
    }

    /// Whether packets of several files are wanted in the order of their times.
    pub fn wants_order(&self) -> bool {
        self.arbitrate.is_some() || self.books.is_some()
    }

    /// The number of the packet at hand, in its file.
    pub(super) fn number(&self) -> u64 {
        self.packets[usize::from(self.file)]
    }

    /// What becomes of a frame: `Err` says why it is no packet of a feed.
    pub fn frame(&mut self, link: LinkType, frame: &Frame<'_>) -> Result<(), Reason> {
        self.packets[usize::from(self.file)] += 1;
        let (at_ns, payload) = (frame.timestamp.as_nanos(), frame.bytes);
        let record = Datagram {
            line: Line::file(self.file),
            at_ns,
            payload,
            is_cut: false,
            is_answer: false,
            frame: Some((link, *frame, 0)),
        };
        match link {
            recording::ITCH50 => {
                let sequence = self.number();
                let message = Message { protocol: Protocol::Itch50, sequence, bytes: payload };
                self.message(&message);
                if let Some(books) = &mut self.books {
                    books.recorded(&message);
                }
                return Ok(());
            }
            recording::MOLDUDP64 => return self.datagram(Protocol::Itch50, &record),
            recording::FAST_MICEX => return self.datagram(Protocol::FastMicex, &record),
            _ => {}
        }
        let tuple = five_tuple(link, frame.bytes).map_err(|miss| match miss {
            Miss::NotIp | Miss::NotUdpOrTcp => Reason::NotMarketData,
            Miss::Fragment => Reason::Fragment,
            Miss::Fault(reason) => reason,
        })?;
        if tuple.protocol == ip::TCP {
            return self.segment(link, frame, &tuple);
        }
        let to = SocketAddr::new(tuple.addresses.destination(), tuple.destination_port);
        let payload = tuple.payload(frame.bytes);
        let protocol = self.recogniser.recognise(to, payload).ok_or(Reason::NotMarketData)?;
        let is_cut = frame.bytes.len() < frame.wire_len as usize;
        let line = Line::new(self.file, to);
        let is_answer =
            self.answers_at.is_some_and(|own| own.port() == to.port()) && !to.ip().is_multicast();
        let frame = Some((link, *frame, tuple.payload_offset as usize));
        self.datagram(protocol, &Datagram { line, at_ns, payload, is_cut, is_answer, frame })
    }

    fn datagram(&mut self, protocol: Protocol, datagram: &Datagram<'_>) -> Result<(), Reason> {
        let packet = Packet::parse(protocol, datagram.payload).map_err(|error| {
            let account = self.accounts.of(protocol);
            account.packets += 1;
            account.fault(&error);
            if datagram.is_cut { Reason::CutShort } else { Reason::UnreadableFeed }
        })?;
        let protocol = packet.protocol();
        if datagram.is_cut && packet.kind() == Kind::Request {
            // What was behind the header may have been messages.
            let account = self.accounts.of(protocol);
            (account.packets, account.truncated) = (account.packets + 1, account.truncated + 1);
            return Err(Reason::CutShort);
        }
        self.accounts.of(protocol).packet(&packet);
        if let Some(printer) = &mut self.printer {
            printer.begin(datagram.at_ns, packet.session());
        }
        let mut readable = 0;
        for message in packet.messages() {
            match message {
                _ if self.is_done() => break,
                Ok(message) => {
                    readable += 1;
                    self.message(&message);
                }
                Err(error) => self.accounts.of(protocol).fault(&error),
            }
        }
        // What cannot be read is missing, whoever cut it.
        let whole = match protocol.numbered() {
            Numbered::Messages => packet.count().min(readable),
            Numbered::Packets => packet.count(),
        };
        self.follow(&packet, whole, datagram)
    }

    /// Hands a packet with `whole` messages that can be read to everybody who wants its numbers.
    fn follow(
        &mut self,
        packet: &Packet<'_>,
        whole: u32,
        datagram: &Datagram<'_>,
    ) -> Result<(), Reason> {
        let number = self.number();
        let Datagram { line, at_ns, is_answer, .. } = *datagram;
        // What the capture cut was sent; what the sender cut was not.
        let sent = if datagram.is_cut { packet.count() } else { whole };
        let mut merge = None;
        if let Some(recovery) = &mut self.recovery {
            let from = if is_answer { From::Server } else { From::Line(line) };
            // What is to be written has to be whole.
            let count = if self.arbitrate.is_some() { whole } else { sent };
            merge = recovery.packet(from, packet, count, at_ns, number);
            if let Some(arbitrate) = &mut self.arbitrate {
                let Datagram { payload, frame, .. } = *datagram;
                let arrived = Arrived { at_ns, payload, frame, is_answer };
                arbitrate.packet(packet, &arrived, merge, recovery.feeds())?;
            }
        }
        if let Some(books) = &mut self.books {
            books.packet(line, packet, whole, at_ns, number);
        }
        if let Some(streams) = &mut self.streams {
            // An answer may be seen on the interface and on the socket.
            let is_again = is_answer && merge.is_some_and(|merge| merge.new == New::None);
            if !is_again {
                streams.packet(line, is_answer, packet, sent, at_ns, number);
            }
        }
        Ok(())
    }

    pub(super) fn message(&mut self, message: &Message<'_>) {
        self.accounts.of(message.protocol).message(message, &self.schemas);
        if let Some(printer) = &mut self.printer {
            printer.message(message, &self.schemas);
        }
    }

    /// Whether as many messages were printed as are wanted, or nobody reads them.
    pub fn is_done(&self) -> bool {
        self.printer.as_ref().is_some_and(Printer::is_done)
            || self.books.as_ref().is_some_and(Follow::is_done)
            || self.arbitrate.as_ref().is_some_and(Arbitrate::is_done)
    }
}

impl Follower for Feed {
    fn take_words(&mut self, at_ns: u64, words: &mut Vec<Word>) -> Option<u64> {
        self.recovery.as_mut()?.take_words(at_ns, words)
    }

    fn answer(&mut self, payload: &[u8], at_ns: u64) {
        let Some(to) = self.answers_at else { return };
        let line = Line::new(self.file, to);
        let Some(protocol) = self.recogniser.recognise(to, payload) else { return };
        let (is_cut, is_answer, frame) = (false, true, None);
        let datagram = Datagram { line, at_ns, payload, is_cut, is_answer, frame };
        // What cannot be read of it is counted.
        let _ = self.datagram(protocol, &datagram);
    }

    fn give_up(&mut self, id: Id, range: Range) {
        if let Some(recovery) = &mut self.recovery {
            recovery.give_up(id, range);
        }
    }
}

/// The job that follows a feed. The feed is shared with whoever waits for its end.
pub struct FeedJob {
    feed: Arc<Mutex<Feed>>,
    control: Arc<Control>,
}

impl FeedJob {
    /// Goes on with `feed`, and stops `control` when nothing more is wanted.
    pub fn new(feed: Arc<Mutex<Feed>>, control: Arc<Control>) -> FeedJob {
        FeedJob { feed, control }
    }
}

impl Job for FeedJob {
    fn handle(&mut self, batch: &Batch<'_>, selected: Mask, ledger: &mut Ledger) {
        // One lock a batch, which nobody contends for.
        let mut feed = self.feed.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut taken, mut delivered) = (0, 0);
        for frame in batch.select(selected) {
            if feed.is_done() {
                break;
            }
            taken += 1;
            match feed.frame(batch.link, &frame) {
                Ok(()) => delivered += 1,
                Err(reason) => ledger.discard(reason, 1),
            }
        }
        // What is behind the last message that was wanted was never asked for.
        let unasked = selected.count() as u64 - taken;
        ledger.received -= unasked;
        ledger.selected -= unasked;
        match feed.printer.as_mut().and_then(Printer::flush) {
            Some(reason) => ledger.discard(reason, delivered),
            None => ledger.delivered += delivered,
        }
        if feed.is_done() {
            self.control.stop();
        }
    }
}
