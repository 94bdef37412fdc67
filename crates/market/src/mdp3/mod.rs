//! CME MDP 3.0 (schema *mktdata* 1, versions up to 13): packets of SBE messages over UDP multicast,
//! and views of the templates that a book is made of.
//!
//! Little-endian. A packet has a header of 12 bytes and messages behind their size, which counts
//! itself and the SBE header. Numbers are those of packets, per channel. Prices are mantissas with
//! nine decimals in templates 46 and later, seven in the older 32 and 42.
//!
//! [`Message`] reads what the hot path needs at fixed offsets; every other template, and every
//! field by name, is read with CME's schema file and [`sbe`](crate::sbe).
//!
//! To recover: keep incrementals, take a snapshot whose `last_msg_seq_num_processed` is not less
//! than the packet before the first that was kept, and apply what came after it. Of one instrument,
//! `rpt_seq` counts without a gap, so it is known to be right again before the snapshot comes.

mod message;
mod templates;

pub use message::{Message, template};
pub use templates::*;

use crate::error::Error;
use crate::sbe::{Frames, Framing, MessageHeader, PacketWriter};
use crate::wire::UnixTime;

/// The schema of MDP 3.0.
pub const SCHEMA_ID: u16 = 1;

/// Bytes before a message: its size.
pub(crate) const PREFIX_LEN: usize = 2;

const FRAMING: Framing = Framing { what: "MDP 3.0 message", prefix_len: PREFIX_LEN };

message! {
    Little, "MDP 3.0 packet header";
    /// What a packet begins with (*Binary Packet Header*).
    pub struct PacketHeader, PacketHeaderBuilder: 12 {
        /// The number of the packet in its channel.
        msg_seq_num @ 0: u32,
        /// When it was sent.
        sending_time @ 4: UnixTime,
    }
}

/// A packet: all of the payload of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    header: PacketHeader<'a>,
}

impl<'a> Packet<'a> {
    /// Needs the header; whether all messages are there is seen by [`messages`](Self::messages).
    #[inline]
    pub fn parse(payload: &'a [u8]) -> Result<Self, Error> {
        PacketHeader::parse(payload).map(|header| Packet { header })
    }

    /// Its header.
    #[inline]
    pub fn header(&self) -> PacketHeader<'a> {
        self.header
    }

    /// The SBE headers of its messages, each with what follows it. When the packet is cut, the last
    /// item is an error, and what came before it is good.
    #[inline]
    pub fn messages(&self) -> Messages<'a> {
        Messages { frames: Frames { rest: self.header.rest(), framing: FRAMING } }
    }
}

/// The messages of a packet: [`Packet::messages`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Messages<'a> {
    pub(crate) frames: Frames<'a>,
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<MessageHeader<'a>, Error>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let frame = self.frames.next()?;
        Some(frame.and_then(|frame| MessageHeader::parse(&frame[FRAMING.prefix_len..])))
    }
}

/// Writes a packet into a buffer that the caller keeps.
#[derive(Debug)]
pub struct PacketBuilder<'b>(PacketWriter<'b>);

impl<'b> PacketBuilder<'b> {
    /// A packet without messages, as long as at most `buffer`.
    ///
    /// # Errors
    /// [`Error::NoRoom`]
    pub fn new(buffer: &'b mut [u8], header: &PacketHeaderBuilder) -> Result<Self, Error> {
        PacketWriter::new(buffer, PacketHeader::NAME, header.as_bytes(), FRAMING).map(PacketBuilder)
    }

    /// Appends an SBE message with its header. When there is no room for it, the packet stays as it
    /// was.
    ///
    /// # Errors
    /// [`Error::NoRoom`]; [`Error::Length`] for what is shorter than a header.
    pub fn push(&mut self, message: &[u8]) -> Result<(), Error> {
        self.0.push(&[], message)
    }

    /// The payload of the datagram.
    pub fn finish(self) -> &'b [u8] {
        self.0.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::null::OrNull;
    use crate::sbe::MessageHeaderBuilder;
    use crate::wire::Code;

    /// An entry of a book and an order behind it, of version 9, byte by byte.
    const PACKET: &[u8] = b"\x07\0\0\0\x08\0\0\0\0\0\0\0\
        \x58\0\x0b\0\x2e\0\x01\0\x09\0\
        \x01\0\0\0\0\0\0\0\x84\0\0\
        \x20\0\x01\
        \x00\xca\x9a\x3b\0\0\0\0\x05\0\0\0\x06\0\0\0\x07\0\0\0\xff\xff\xff\x7f\
        \x01\x02\x30\0\0\0\0\0\
        \x18\0\0\0\0\0\0\x01\
        \x09\0\0\0\0\0\0\0\x0a\0\0\0\0\0\0\0\x0b\0\0\0\x01\x02\0\0";

    fn message(template_id: u16, block: &[u8], groups: &[&[u8]]) -> Vec<u8> {
        let header = MessageHeaderBuilder::new().block_length(block.len() as u16);
        let header = header.template_id(template_id).schema_id(SCHEMA_ID).version(9);
        [&header.as_bytes()[..], block, &groups.concat()].concat()
    }

    fn packet(messages: &[Vec<u8>]) -> Vec<u8> {
        let mut buffer = vec![0; 2048];
        let header = PacketHeaderBuilder::new().msg_seq_num(7).sending_time(UnixTime(8));
        let mut packet = PacketBuilder::new(&mut buffer, &header).unwrap();
        messages.iter().for_each(|message| packet.push(message).unwrap());
        packet.finish().to_vec()
    }

    /// The book of [`PACKET`], built.
    fn book() -> Vec<u8> {
        let root = IncrementalBuilder::new().transact_time(UnixTime(1)).match_event_indicator(0x84);
        let entry = BookEntry46Builder::new()
            .md_entry_px(OrNull(crate::Price(1_000_000_000)))
            .md_entry_size(OrNull(5))
            .security_id(6)
            .rpt_seq(7)
            .number_of_orders(OrNull::NULL)
            .md_price_level(1)
            .md_update_action(update_action::DELETE)
            .md_entry_type(Code(b'0'))
            .tradeable_size(OrNull(0));
        let order = BookOrderEntryBuilder::new()
            .order_id(9)
            .md_order_priority(OrNull(10))
            .md_display_qty(OrNull(11))
            .reference_id(OrNull(1))
            .order_update_action(2);
        let (root, entry, order) =
            (root.padding(crate::NulText([0; 2])), entry, order.padding(crate::NulText([0; 2])));
        let groups: [&[u8]; 4] =
            [b"\x20\0\x01", entry.as_bytes(), b"\x18\0\0\0\0\0\0\x01", order.as_bytes()];
        message(template::BOOK_46, root.as_bytes(), &groups)
    }

    fn read(packet: &[u8]) -> Vec<Result<Message<'_>, Error>> {
        let messages = Packet::parse(packet).unwrap().messages();
        messages.map(|header| header.and_then(Message::decode)).collect()
    }

    #[test]
    fn a_book_is_written_and_read() {
        assert_eq!(packet(&[book()]), PACKET);
        let header = Packet::parse(PACKET).unwrap().header();
        assert_eq!((header.msg_seq_num(), header.sending_time()), (7, UnixTime(8)));
        let [Ok(Message::Book46(root, entries, orders))] = read(PACKET)[..] else {
            panic!("no book")
        };
        assert_eq!(root.match_event_indicator(), 0x84);
        assert_eq!(root.match_event_indicator() & match_event::END_OF_EVENT, 0x80);
        let entry = entries.last().unwrap();
        assert_eq!(entry.md_entry_px().get().unwrap().to_string(), "1.000000000");
        assert_eq!((entry.md_entry_size().get(), entry.number_of_orders().get()), (Some(5), None));
        assert_eq!((entry.security_id(), entry.rpt_seq(), entry.md_price_level()), (6, 7, 1));
        let order = orders.last().unwrap();
        assert_eq!((order.order_id(), order.md_order_priority().get()), (9, Some(10)));
        assert_eq!((order.reference_id().get(), order.order_update_action()), (Some(1), 2));
    }

    #[test]
    fn every_template_is_read() {
        fn group(entry: &[u8]) -> Vec<u8> {
            [&(entry.len() as u16).to_le_bytes()[..], &[2], entry, entry].concat()
        }
        let root = IncrementalBuilder::new();
        let root = root.as_bytes();
        let snapshot = SnapshotBuilder::new().rpt_seq(3);
        let reset = ChannelResetBuilder::new();
        let messages = [
            message(4, reset.as_bytes(), &[b"\x02\0\x01\x05\0"]),
            message(12, b"", &[]),
            message(32, root, &[&group(BookEntry32Builder::new().as_bytes())]),
            message(42, root, &[&group(TradeEntry42Builder::new().as_bytes())]),
            message(47, root, &[&group(OrderBookEntry47Builder::new().as_bytes())]),
            message(48, root, &[&group(TradeEntry48Builder::new().as_bytes())]),
            message(52, snapshot.as_bytes(), &[&group(SnapshotEntry52Builder::new().as_bytes())]),
            message(54, b"later", &[]),
        ];
        let packet = packet(&messages);
        let read: Vec<_> = read(&packet).into_iter().map(Result::unwrap).collect();
        let counts = read.iter().map(|message| match message {
            Message::ChannelReset(root) => root.to_builder() == reset,
            Message::AdminHeartbeat => true,
            Message::Book32(_, entries, orders) => entries.len() == 2 && orders.len() == 0,
            Message::TradeSummary42(_, entries, orders) => entries.len() == 2 && orders.len() == 0,
            Message::OrderBook47(_, entries) => entries.len() == 2,
            Message::TradeSummary48(_, entries, orders) => entries.len() == 2 && orders.len() == 0,
            Message::Snapshot52(root, entries) => root.rpt_seq() == 3 && entries.len() == 2,
            Message::Other(header) => (header.template_id(), header.rest()) == (54, b"later"),
            Message::Book46(..) => false,
        });
        assert!(counts.eq([true; 8]), "{read:?}");
    }

    #[test]
    fn longer_blocks_are_skipped_and_shorter_ones_named() {
        let entry = [BookEntry46Builder::new().rpt_seq(5).as_bytes(), &[0xee; 8][..]].concat();
        let block = [IncrementalBuilder::new().as_bytes(), &b"new"[..]].concat();
        let longer = message(46, &block, &[b"\x28\0\x02", &entry, &entry]);
        let packet = packet(&[longer]);
        let [Ok(Message::Book46(root, entries, _))] = read(&packet)[..] else { panic!("no book") };
        assert_eq!((root.rest(), entries.len()), (&b"new"[..], 2));
        assert!(entries.map(|entry| (entry.rpt_seq(), entry.rest().len())).eq([(5, 8); 2]));
        for (block, group) in
            [(10, &b"\x20\0\0"[..]), (11, b"\x1f\0\x01 and 31 bytes that are too few...")]
        {
            let shorter = message(46, &[0; 16][..block], &[group]);
            let packet = super::tests::packet(&[shorter]);
            assert_eq!(read(&packet)[0].unwrap_err().reason(), "length");
        }
    }

    #[test]
    fn every_prefix_is_named() {
        for len in 12..PACKET.len() {
            let found = read(&PACKET[..len]);
            assert!(len == 12 || found.last().unwrap().is_err(), "{len}");
        }
        assert!((0..12).all(|len| Packet::parse(&PACKET[..len]).is_err()));
        // A message that ends early although its size says that it is whole.
        let book = book();
        for len in 8..book.len() {
            let packet = packet(&[book[..len].to_vec()]);
            let is_whole = read(&packet)[0].is_ok();
            assert_eq!(is_whole, len == 8 + 11 + 3 + 32, "{len}");
        }
    }
}
