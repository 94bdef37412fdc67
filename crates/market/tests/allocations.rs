//! Reading a packet and its messages, and writing them, does not allocate: a counting allocator
//! over many packets.

#[path = "../../frame/tests/counting/mod.rs"]
mod counting;

use counting::allocations;
use std::hint::black_box;
use tickwire_market::arbitrate::{Arbiter, Settings};
use tickwire_market::book::itch::Books;
use tickwire_market::fix::{Frames, MessageBuilder};
use tickwire_market::iex::deep;
use tickwire_market::iex::tp::{HeaderBuilder, Segment, SegmentBuilder};
use tickwire_market::itch50::{AddOrderBuilder, Message, OrderDeleteBuilder};
use tickwire_market::moldudp64::{Packet, PacketBuilder, Session};
use tickwire_market::ouch50::{EnterOrderBuilder, Inbound, tag};
use tickwire_market::publish::{Limits, Published, Publisher};
use tickwire_market::sequence::{Numbers, Rules, Tracker};
use tickwire_market::soupbintcp::{self, write_data};
use tickwire_market::{Code, Price, Protocol};

const PACKETS: u64 = 1_000;
const MESSAGES: u32 = 30;

#[test]
fn messages_do_not_allocate() {
    let session = Session::new("SESSION").unwrap();
    let mut buffer = vec![0; 1472];
    let before = allocations();
    let mut shares = 0;
    for packet in 0..PACKETS {
        let mut builder = PacketBuilder::new(&mut buffer, session, packet).unwrap();
        for order in 0..MESSAGES {
            let add = AddOrderBuilder::new().shares(order).buy_sell_indicator(Code(b'B'));
            builder.push(add.price(Price(order)).as_bytes()).unwrap();
        }
        for message in Packet::parse(builder.finish()).unwrap().messages() {
            let Message::AddOrder(add) = Message::decode(message.unwrap().bytes).unwrap() else {
                continue;
            };
            shares += u64::from(black_box(add).shares());
        }
    }
    assert_eq!(allocations(), before);
    assert_eq!(shares, PACKETS * u64::from(MESSAGES * (MESSAGES - 1) / 2));
    drop(black_box(vec![1]));
    assert!(allocations() > before, "the allocator counts");
}

#[test]
fn packets_of_any_protocol_do_not_allocate() {
    let session = Session::new("SESSION").unwrap();
    let mut buffer = vec![0; 1472];
    let before = allocations();
    let (mut fields, mut numbers) = (0, 0);
    for packet in 0..PACKETS {
        let mut builder = PacketBuilder::new(&mut buffer, session, packet).unwrap();
        for order in 0..MESSAGES {
            builder.push(AddOrderBuilder::new().shares(order).as_bytes()).unwrap();
        }
        let packet = tickwire_market::Packet::parse(Protocol::Itch50, builder.finish()).unwrap();
        numbers += u64::from(packet.count());
        for message in packet.messages() {
            let message = message.unwrap();
            black_box(message.definition().unwrap());
            fields += message.fields().map(black_box).count() as u64;
        }
    }
    assert_eq!(allocations(), before);
    assert_eq!(numbers, PACKETS * u64::from(MESSAGES));
    assert_eq!(fields, numbers * 9);
}

#[test]
fn publishing_does_not_allocate() {
    let session = Session::new("SESSION").unwrap();
    let mut publisher = Publisher::new(session, Limits::default()).unwrap();
    let before = allocations();
    let (mut packets, mut messages) = (0, 0);
    let mut count = |packet: Published<'_>| {
        packets += 1;
        messages += u64::from(black_box(packet).messages);
    };
    for order in 0..PACKETS * u64::from(MESSAGES) {
        let (add, at_ns) = (AddOrderBuilder::new().order_reference_number(order), order * 1_000);
        while let Some(packet) = publisher.before(at_ns, add.as_bytes().len()) {
            count(packet);
        }
        publisher.push(at_ns, add.as_bytes()).unwrap();
    }
    publisher.flush().into_iter().for_each(&mut count);
    assert_eq!(allocations(), before);
    assert_eq!(messages, PACKETS * u64::from(MESSAGES));
    assert!(packets > 500, "{packets}");
}

#[test]
fn orders_over_soupbintcp_do_not_allocate() {
    let mut stream = vec![0; 4096];
    let before = allocations();
    let mut shares = 0;
    for _ in 0..PACKETS {
        let (mut len, mut message) = (0, [0; 64]);
        for quantity in 0..MESSAGES {
            let order = EnterOrderBuilder::new().quantity(quantity);
            let mut order = order.with_appendage(&mut message).unwrap();
            order.push(tag::MIN_QTY, quantity).unwrap();
            len += write_data(&mut stream[len..], b'U', order.finish()).unwrap();
        }
        for frame in soupbintcp::Frames::new(&stream[..len]) {
            let Ok(soupbintcp::Packet::UnsequencedData(data)) = soupbintcp::Packet::decode(frame)
            else {
                continue;
            };
            let Ok(Inbound::EnterOrder(order)) = Inbound::decode(data.rest()) else { continue };
            let minimum: Option<u32> = order.appendage().unwrap().get(tag::MIN_QTY);
            shares += u64::from(order.quantity() + minimum.unwrap());
        }
    }
    assert_eq!(allocations(), before);
    assert_eq!(shares, PACKETS * u64::from(MESSAGES * (MESSAGES - 1)));
}

#[test]
fn messages_of_iex_do_not_allocate() {
    let mut buffer = vec![0; 1472];
    let before = allocations();
    let mut shares = 0;
    for offset in 0..PACKETS {
        let header = HeaderBuilder::new().stream_offset(offset);
        let mut builder = SegmentBuilder::new(&mut buffer, header).unwrap();
        for size in 0..MESSAGES {
            let level = deep::PriceLevelUpdateBuilder::new().size(size);
            builder.push(level.price(Price(size.into())).as_bytes()).unwrap();
        }
        for message in Segment::parse(builder.finish()).unwrap().messages() {
            let message = deep::Message::decode(message.unwrap().bytes).unwrap();
            let deep::Message::PriceLevelUpdate(level) = message else { continue };
            shares += u64::from(black_box(level).size());
        }
    }
    assert_eq!(allocations(), before);
    assert_eq!(shares, PACKETS * u64::from(MESSAGES * (MESSAGES - 1) / 2));
}

#[test]
fn messages_of_fix_do_not_allocate() {
    let mut buffer = vec![0; 256];
    let before = allocations();
    let mut fields = 0;
    for sequence in 0..PACKETS {
        let mut builder = MessageBuilder::new(&mut buffer, "FIX.4.4", "D").unwrap();
        builder.field(34, sequence).unwrap().field(55, "INTC").unwrap();
        builder.data(95, 96, b"a\x01b").unwrap();
        for message in Frames::new(builder.finish()) {
            fields += black_box(message.unwrap()).fields().filter(Result::is_ok).count() as u64;
        }
    }
    assert_eq!(allocations(), before);
    assert_eq!(fields, PACKETS * 8);
}

/// Orders come and go, all in all as many as there is room for.
#[test]
fn books_do_not_allocate_once_they_have_room() {
    let message = |round: u64, order: u32| {
        let add = AddOrderBuilder::new().stock_locate(order as u16 % 8).shares(order + 1);
        let reference = round * u64::from(MESSAGES) + u64::from(order);
        let side = Code(b"BS"[order as usize % 2]);
        let add = add.order_reference_number(reference).buy_sell_indicator(side);
        let delete = OrderDeleteBuilder::new().stock_locate(order as u16 % 8);
        (add.price(Price(100 + order)), delete.order_reference_number(reference))
    };
    let mut books = Books::new(64, 64);
    let mut round = |at| {
        for order in 0..MESSAGES {
            books.apply_all([&message(at, order).0.as_bytes()[..]]);
        }
        for order in 0..MESSAGES {
            books.apply_all([&message(at, order).1.as_bytes()[..]]);
        }
        assert_eq!(books.orders().live_orders(), 0);
    };
    // The first round makes room for its levels.
    round(0);
    let before = allocations();
    (1..=PACKETS).for_each(round);
    assert_eq!(allocations(), before);
}

#[test]
fn numbers_with_gaps_do_not_allocate() {
    let mut tracker = Tracker::new(Rules::default());
    let mut arbiter = Arbiter::new(Settings::default());
    let mut packet = |line: usize, at: u64| {
        let numbers = Numbers { session: line / 2, first: at * 3, count: 3, ends: false };
        tracker.receive(&numbers, at, at);
        arbiter.receive(line % 2, &numbers, at, at);
        tracker.events().len() + arbiter.events().len()
    };
    (0..4).for_each(|line| _ = packet(line, 1));
    let before = allocations();
    let mut events = 0;
    for at in 2..PACKETS * 10 {
        // Both lose packets, some of which come late, and more gaps stay open than are kept.
        for line in 0..4 {
            let at = if at % 7 == 0 { at - 4 } else { at };
            if !at.is_multiple_of(3 + line as u64) {
                events += packet(line, at);
            }
        }
    }
    assert_eq!(allocations(), before);
    assert!(events > 1_000, "{events}");
}
