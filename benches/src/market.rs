//! Exchange protocols: every field that a book uses, through our views, by a walk written by hand
//! for these messages alone, and by the crate `itchy`. Hot cache, one core.
//!
//! The walk makes the same checks: each message is as long as its type says, unknown types are
//! skipped, and a packet that is cut ends it. `itchy` reads messages behind their lengths (what a
//! packet consists of) through `Read`, here from memory. Both of a line take turns and must give
//! the same digest.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;
use tickwire_fuzz::random::Random;
use tickwire_market::binaryfile::BinaryFile;
use tickwire_market::iex::common::TradeReportBuilder;
use tickwire_market::iex::deep;
use tickwire_market::iex::tp::{HeaderBuilder, Segment, SegmentBuilder};
use tickwire_market::itch50;
use tickwire_market::moldudp64::{self, Packet, PacketBuilder, Session};
use tickwire_market::{Ascii, Code, Price, SinceMidnight, UnixTime};

/// Turns of each contender.
const TURNS: usize = 41;
/// Messages that one turn decodes, at least.
const TURN_MESSAGES: usize = 1_000_000;
/// Packets of a turn, again and again.
const PACKETS: usize = 64;
/// The longest packet: what fits an Ethernet frame.
const PACKET_BYTES_MAX: usize = 1_472;

/// The promises: our time over that of the walk, and over that of `itchy`, at most.
const WALK_RATIO_MAX: f64 = 1.0 / 0.9;
const ITCHY_RATIO_MAX: f64 = 1.0 / 4.0;

/// Makes one number of all messages of a packet.
type Contender = fn(&[u8]) -> u64;

/// Fills a buffer with messages; its length and how many they are.
type Pack = fn(&mut [u8], &mut dyn Iterator<Item = Vec<u8>>) -> (usize, usize);

struct Feed {
    name: &'static str,
    packets: Vec<Vec<u8>>,
    messages: usize,
    contenders: [Contender; 2],
    reference: &'static str,
    ratio_max: f64,
}

/// Mixes values into a digest, cheaply.
macro_rules! mix {
    ($sum:ident; $($value:expr),*) => {{
        $( $sum = $sum.rotate_left(5).wrapping_add(u64::from($value)); )*
    }};
}

/// Every field that a book uses of one message; ends the function at one that is cut.
macro_rules! itch_fields {
    ($sum:ident, $bytes:expr) => {
        match itch50::Message::decode($bytes) {
            Ok(itch50::Message::AddOrder(m)) => {
                mix!($sum; m.stock_locate(), m.timestamp().0, m.order_reference_number());
                mix!($sum; m.buy_sell_indicator().0, m.shares(), m.price().0);
            }
            Ok(itch50::Message::OrderExecuted(m)) => {
                mix!($sum; m.stock_locate(), m.timestamp().0, m.order_reference_number());
                mix!($sum; m.executed_shares());
            }
            Ok(itch50::Message::OrderCancel(m)) => {
                mix!($sum; m.stock_locate(), m.timestamp().0, m.order_reference_number());
                mix!($sum; m.cancelled_shares());
            }
            Ok(itch50::Message::OrderDelete(m)) => {
                mix!($sum; m.stock_locate(), m.timestamp().0, m.order_reference_number());
            }
            Ok(itch50::Message::OrderReplace(m)) => {
                mix!($sum; m.stock_locate(), m.timestamp().0, m.original_order_reference_number());
                mix!($sum; m.new_order_reference_number(), m.shares(), m.price().0);
            }
            Ok(_) => {}
            Err(_) => return $sum,
        }
    };
}

fn itch_views(packet: &[u8]) -> u64 {
    let mut sum: u64 = 0;
    let Ok(packet) = Packet::parse(packet) else { return 0 };
    for message in packet.messages() {
        let Ok(message) = message else { return sum };
        itch_fields!(sum, message.bytes);
    }
    sum
}

fn itch_file(file: &[u8]) -> u64 {
    let mut sum: u64 = 0;
    for message in BinaryFile::new(file) {
        let Ok(bytes) = message else { return sum };
        itch_fields!(sum, bytes);
    }
    sum
}

fn itch_itchy(file: &[u8]) -> u64 {
    use itchy::Body;
    let mut sum: u64 = 0;
    for message in itchy::MessageStream::from_reader(file) {
        let Ok(m) = message else { return sum };
        match m.body {
            Body::AddOrder(add) => {
                let side = if add.side == itchy::Side::Buy { b'B' } else { b'S' };
                mix!(sum; m.stock_locate, m.timestamp, add.reference);
                mix!(sum; side, add.shares, add.price.raw());
            }
            Body::OrderExecuted { reference, executed, .. } => {
                mix!(sum; m.stock_locate, m.timestamp, reference, executed);
            }
            Body::OrderCancelled { reference, cancelled } => {
                mix!(sum; m.stock_locate, m.timestamp, reference, cancelled);
            }
            Body::DeleteOrder { reference } => {
                mix!(sum; m.stock_locate, m.timestamp, reference);
            }
            Body::ReplaceOrder(r) => {
                mix!(sum; m.stock_locate, m.timestamp, r.old_reference);
                mix!(sum; r.new_reference, r.shares, r.price.raw());
            }
            _ => {}
        }
    }
    sum
}

fn be<const N: usize>(bytes: &[u8], at: usize) -> u64 {
    let mut wide = [0; 8];
    wide[8 - N..].copy_from_slice(&bytes[at..at + N]);
    u64::from_be_bytes(wide)
}

fn itch_walk(packet: &[u8]) -> u64 {
    let mut sum: u64 = 0;
    let Some((header, mut rest)) = packet.split_at_checked(20) else { return 0 };
    for _ in 0..be::<2>(header, 18) {
        let Some((prefix, after)) = rest.split_at_checked(2) else { return sum };
        let Some((m, after)) = after.split_at_checked(be::<2>(prefix, 0) as usize) else {
            return sum;
        };
        rest = after;
        let Some(&letter) = m.first() else { return sum };
        match letter {
            b'A' => {
                let Some(m) = m.get(..36) else { return sum };
                mix!(sum; be::<2>(m, 1), be::<6>(m, 5), be::<8>(m, 11));
                mix!(sum; m[19], be::<4>(m, 20), be::<4>(m, 32));
            }
            b'E' => {
                let Some(m) = m.get(..31) else { return sum };
                mix!(sum; be::<2>(m, 1), be::<6>(m, 5), be::<8>(m, 11), be::<4>(m, 19));
            }
            b'X' => {
                let Some(m) = m.get(..23) else { return sum };
                mix!(sum; be::<2>(m, 1), be::<6>(m, 5), be::<8>(m, 11), be::<4>(m, 19));
            }
            b'D' => {
                let Some(m) = m.get(..19) else { return sum };
                mix!(sum; be::<2>(m, 1), be::<6>(m, 5), be::<8>(m, 11));
            }
            b'U' => {
                let Some(m) = m.get(..35) else { return sum };
                mix!(sum; be::<2>(m, 1), be::<6>(m, 5), be::<8>(m, 11));
                mix!(sum; be::<8>(m, 19), be::<4>(m, 27), be::<4>(m, 31));
            }
            _ => {}
        }
    }
    sum
}

fn deep_views(packet: &[u8]) -> u64 {
    use deep::Message;
    let mut sum: u64 = 0;
    let Ok(segment) = Segment::parse(packet) else { return 0 };
    for message in segment.messages() {
        let Ok(message) = message else { return sum };
        match Message::decode(message.bytes) {
            Ok(Message::PriceLevelUpdate(m)) => {
                let symbol = u64::from_le_bytes(m.symbol().0);
                mix!(sum; m.message_type().0, m.event_flags().0, m.timestamp().0 as u64, symbol);
                mix!(sum; m.size(), m.price().0 as u64);
            }
            Ok(Message::TradeReport(m)) => {
                let symbol = u64::from_le_bytes(m.symbol().0);
                mix!(sum; m.timestamp().0 as u64, symbol, m.size(), m.price().0 as u64);
            }
            Ok(_) => {}
            Err(_) => return sum,
        }
    }
    sum
}

fn le<const N: usize>(bytes: &[u8], at: usize) -> u64 {
    let mut wide = [0; 8];
    wide[..N].copy_from_slice(&bytes[at..at + N]);
    u64::from_le_bytes(wide)
}

fn deep_walk(packet: &[u8]) -> u64 {
    let mut sum: u64 = 0;
    let Some((header, rest)) = packet.split_at_checked(40) else { return 0 };
    let Some(mut rest) = rest.get(..le::<2>(header, 12) as usize) else { return 0 };
    if header[0] != 1 {
        return 0;
    }
    for _ in 0..le::<2>(header, 14) {
        let Some((prefix, after)) = rest.split_at_checked(2) else { return sum };
        let Some((m, after)) = after.split_at_checked(le::<2>(prefix, 0) as usize) else {
            return sum;
        };
        rest = after;
        let Some(&letter) = m.first() else { return sum };
        match letter {
            b'8' | b'5' => {
                let Some(m) = m.get(..30) else { return sum };
                mix!(sum; m[0], m[1], le::<8>(m, 2), le::<8>(m, 10));
                mix!(sum; le::<4>(m, 18), le::<8>(m, 22));
            }
            b'T' => {
                let Some(m) = m.get(..38) else { return sum };
                mix!(sum; le::<8>(m, 2), le::<8>(m, 10), le::<4>(m, 18), le::<8>(m, 22));
            }
            _ => {}
        }
    }
    sum
}

/// Packets as full as they get of the messages that `message` makes.
fn packets(mut message: impl FnMut(&mut Random) -> Vec<u8>, pack: Pack) -> (Vec<Vec<u8>>, usize) {
    let mut random = Random::new(7);
    let mut stream = std::iter::from_fn(|| Some(message(&mut random)));
    let mut all = 0;
    let packets = (0..PACKETS).map(|_| {
        let mut buffer = vec![0; PACKET_BYTES_MAX];
        let (len, count) = pack(&mut buffer, &mut stream);
        buffer.truncate(len);
        all += count;
        buffer
    });
    (packets.collect(), all)
}

/// A busy book: most orders are added and deleted again, few trade.
fn itch() -> Feed {
    let (packets, messages) = packets(
        |random| {
            let (locate, reference) = (random.below(8_000) as u16, random.next_bits());
            let (time, shares) = (SinceMidnight(random.next_bits() >> 18), random.below(1_000));
            let (shares, price) = (shares as u32, Price(random.below(1 << 24) as u32));
            macro_rules! built {
                ($builder:ident $(, $field:ident: $value:expr)*) => {{
                    let message = itch50::$builder::new().stock_locate(locate).timestamp(time);
                    message $( .$field($value) )*.as_bytes().to_vec()
                }};
            }
            match random.below(20) {
                0..=7 => built!(AddOrderBuilder, order_reference_number: reference,
                    buy_sell_indicator: Code(b'B'), shares: shares, price: price,
                    stock: Ascii(*b"AAPL    ")),
                8 => built!(OrderExecutedBuilder, order_reference_number: reference,
                    executed_shares: shares),
                9 => built!(OrderCancelBuilder, order_reference_number: reference,
                    cancelled_shares: shares),
                10..=16 => built!(OrderDeleteBuilder, order_reference_number: reference),
                _ => built!(OrderReplaceBuilder, original_order_reference_number: reference,
                    new_order_reference_number: !reference, shares: shares, price: price),
            }
        },
        |buffer, messages| {
            let session = Session::new("BENCH").expect("five letters");
            let mut packet = PacketBuilder::new(buffer, session, 1).expect("room");
            while messages.next().is_some_and(|message| packet.push(&message).is_ok()) {}
            let count = packet.message_count().into();
            (packet.finish().len(), count)
        },
    );
    Feed {
        name: "ITCH 5.0 in MoldUDP64",
        packets,
        messages,
        contenders: [itch_views, itch_walk],
        reference: "walk",
        ratio_max: WALK_RATIO_MAX,
    }
}

/// The same messages as a BinaryFILE.
fn itch_as_file() -> Feed {
    let Feed { packets, messages, .. } = itch();
    let file = packets.iter().flat_map(|packet| &packet[moldudp64::Header::LEN..]).copied();
    Feed {
        name: "ITCH 5.0 in BinaryFILE",
        packets: vec![file.collect()],
        messages,
        contenders: [itch_file, itch_itchy],
        reference: "itchy",
        ratio_max: ITCHY_RATIO_MAX,
    }
}

/// Price levels of both sides, and a trade now and then.
fn deep() -> Feed {
    let (packets, messages) = packets(
        |random| {
            let (time, size) = (UnixTime(random.next_bits() as i64 >> 1), random.below(1_000));
            let (size, price) = (size as u32, Price(random.below(1 << 24) as i64));
            let symbol = Ascii(*random.pick(&[*b"AAPL    ", *b"ZIEXT   ", *b"SPY     "]));
            if random.below(20) == 0 {
                let trade = TradeReportBuilder::new().timestamp(time).symbol(symbol);
                return trade.size(size).price(price).as_bytes().to_vec();
            }
            let side = Code(*random.pick(b"85"));
            let level = deep::PriceLevelUpdateBuilder::new().message_type(side).timestamp(time);
            level.symbol(symbol).size(size).price(price).as_bytes().to_vec()
        },
        |buffer, messages| {
            let mut segment = SegmentBuilder::new(buffer, HeaderBuilder::new()).expect("room");
            while messages.next().is_some_and(|message| segment.push(&message).is_ok()) {}
            let count = segment.message_count().into();
            (segment.finish().len(), count)
        },
    );
    Feed {
        name: "DEEP 1.0 in IEX-TP",
        packets,
        messages,
        contenders: [deep_views, deep_walk],
        reference: "walk",
        ratio_max: WALK_RATIO_MAX,
    }
}

/// Nanoseconds a message of every turn, sorted, of ours and of the walk.
fn measure(feed: &Feed) -> [Vec<f64>; 2] {
    let rounds = TURN_MESSAGES.div_ceil(feed.messages);
    let mut turns = [Vec::with_capacity(TURNS), Vec::with_capacity(TURNS)];
    for _ in 0..TURNS {
        for (contender, times) in feed.contenders.iter().zip(&mut turns) {
            let start = Instant::now();
            let mut sum = 0_u64;
            for _ in 0..rounds {
                for packet in black_box(&feed.packets) {
                    sum = sum.wrapping_add(contender(packet));
                }
            }
            black_box(sum);
            times.push(start.elapsed().as_nanos() as f64 / (rounds * feed.messages) as f64);
        }
    }
    turns.iter_mut().for_each(|times| times.sort_by(f64::total_cmp));
    turns
}

/// Prints a line a feed and says whether the promise holds.
pub fn run() -> ExitCode {
    let mut kept = true;
    println!("ns a message, fastest and median of {TURNS} turns");
    println!(
        "{:<24} {:>7} {:>7} {:>9} {:>9} {:>7} {:>7}",
        "", "views", "median", "reference", "median", "ratio", "at most"
    );
    for feed in [itch(), itch_as_file(), deep()] {
        let [views, reference] = feed.contenders;
        for packet in &feed.packets {
            assert_eq!(views(packet), reference(packet), "both must read the same");
        }
        let [ours, theirs] = measure(&feed);
        let ratio = ours[0] / theirs[0];
        let [a, b, c, d] = [ours[0], ours[TURNS / 2], theirs[0], theirs[TURNS / 2]];
        println!(
            "{:<24} {a:>7.2} {b:>7.2} {c:>9.2} {d:>9.2} {ratio:>7.2} {:>7.2} {}",
            feed.name, feed.ratio_max, feed.reference
        );
        kept &= ratio <= feed.ratio_max;
    }
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
