//! A symbol filter over MoldUDP64 packets: the filter, and its loop alone, against decoding each
//! message with our own views and comparing.
//!
//! The messages are those of a generated day of 8 000 stocks, after the opening. All contenders get
//! the same batches of whole frames, hot, and must select as many; they take turns.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;
use tickwire_decode::common_five_tuple;
use tickwire_filter::{Filter, Options};
use tickwire_frame::{Batch, FRAMES_MAX, Frame, LinkType, Timestamp};
use tickwire_market::generate::{Itch, ItchConfig};
use tickwire_market::itch50::{Message, Stock};
use tickwire_market::moldudp64::{Packet, PacketBuilder, Session};

/// Turns of each contender.
const TURNS: usize = 31;
/// Packets of one turn.
const TURN_PACKETS: usize = 100_000;
/// Batches, again and again: their frames fit into the cache of a core.
const BATCHES: usize = 4;
/// The longest payload: what fits an Ethernet frame.
const PAYLOAD_BYTES_MAX: usize = 1_472;
/// When the market of the generator is open.
const OPEN_NS: u64 = 34_200_000_000_000;

/// The promise: decoding over the filter, at least, in packets as full as they get. Of few messages
/// there is little to save: their rows say how little.
const RATIO_MIN: f64 = 5.0;

/// A contender: how many frames of a batch it selects.
type Select<'a> = Box<dyn Fn(&Batch<'_>) -> usize + 'a>;

/// Ethernet frames with up to `messages` messages each.
pub fn frames(messages: usize) -> (Vec<Vec<u8>>, usize) {
    let mut day = Itch::new(ItchConfig { live_orders: 50_000, ..ItchConfig::default() });
    while day.now_ns() < OPEN_NS {
        day.next_message();
    }
    let (mut all, mut next) = (0, day.next_message().map(<[u8]>::to_vec));
    let frame = |_| {
        let mut buffer = [0; PAYLOAD_BYTES_MAX];
        let session = Session::new("BENCH").expect("five letters");
        let mut packet = PacketBuilder::new(&mut buffer, session, 1).expect("room");
        while usize::from(packet.message_count()) < messages
            && packet.push(next.as_deref().expect("an open market")).is_ok()
        {
            all += 1;
            next = day.next_message().map(<[u8]>::to_vec);
        }
        udp(packet.finish())
    };
    ((0..BATCHES * FRAMES_MAX).map(frame).collect(), all)
}

fn udp(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![1, 0, 0x5e, 54, 12, 111, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0];
    frame.extend((28 + payload.len() as u16).to_be_bytes());
    frame.extend([0, 0, 0x40, 0, 4, 17, 0, 0, 10, 0, 0, 1, 233, 54, 12, 111]);
    for field in [26_477, 26_477, 8 + payload.len() as u16, 0] {
        frame.extend(field.to_be_bytes());
    }
    frame.extend(payload);
    frame
}

/// Whether a message of the frame names the stock.
fn decoded(frame: &[u8], wanted: Stock) -> bool {
    let Some(tuple) = common_five_tuple(LinkType::ETHERNET, frame) else { return false };
    let Ok(packet) = Packet::parse(tuple.payload(frame)) else { return false };
    packet.messages().map_while(Result::ok).any(|message| match Message::decode(message.bytes) {
        Ok(Message::AddOrder(m)) => m.stock() == wanted,
        Ok(Message::AddOrderWithMpid(m)) => m.stock() == wanted,
        Ok(Message::Trade(m)) => m.stock() == wanted,
        Ok(Message::CrossTrade(m)) => m.stock() == wanted,
        Ok(Message::Noii(m)) => m.stock() == wanted,
        Ok(Message::StockDirectory(m)) => m.stock() == wanted,
        Ok(Message::StockTradingAction(m)) => m.stock() == wanted,
        _ => false,
    })
}

/// Nanoseconds a packet of the fastest turn of each contender.
fn measure(contenders: &[(&str, Select<'_>)], batches: &[Batch<'_>]) -> Vec<f64> {
    let rounds = TURN_PACKETS / (BATCHES * FRAMES_MAX);
    let mut best = vec![f64::INFINITY; contenders.len()];
    for _ in 0..TURNS {
        for ((_, select), best) in contenders.iter().zip(&mut best) {
            let start = Instant::now();
            for _ in 0..rounds {
                for batch in black_box(batches) {
                    black_box(select(batch));
                }
            }
            let packets = (rounds * BATCHES * FRAMES_MAX) as f64;
            *best = best.min(start.elapsed().as_nanos() as f64 / packets);
        }
    }
    best
}

/// Prints a line for each size of packets and each symbol, and says whether the promise holds.
pub fn run() -> ExitCode {
    let mut kept = true;
    println!("ns a packet, fastest of {TURNS} turns; frames are hot");
    println!("messages  stock  selected   decode     loop   filter    ratio");
    for messages in [usize::MAX, 8, 3] {
        let (frames, count) = frames(messages);
        let batches: Vec<Batch<'_>> = frames.chunks(FRAMES_MAX).map(batch).collect();
        for symbol in ["ZACC", "AAPL"] {
            let stock = Stock::new(symbol).expect("four letters");
            let text = format!("itch.stock == \"{symbol}\"");
            let filter = Filter::compile(&text, &Options::default()).expect("a filter");
            let native = filter.selector().native().expect("native code");
            let contenders: [(&str, Select<'_>); 3] = [
                (
                    "decode",
                    Box::new(|batch| batch.bytes().iter().filter(|f| decoded(f, stock)).count()),
                ),
                ("loop", Box::new(|batch| native.select(batch).count())),
                ("filter", Box::new(|batch| filter.select(batch).count())),
            ];
            let selected =
                contenders.each_ref().map(|(_, select)| batches.iter().map(select).sum::<usize>());
            assert!(selected.iter().all(|count| *count == selected[0]), "{selected:?}");
            let times = measure(&contenders, &batches);
            let ratio = times[0] / times[2];
            let share = 100.0 * selected[0] as f64 / frames.len() as f64;
            println!(
                "{:>8.1}  {symbol:<5} {share:>8.1}% {:>8.1} {:>8.1} {:>8.1} {ratio:>8.1}",
                count as f64 / frames.len() as f64,
                times[0],
                times[1],
                times[2],
            );
            kept &= ratio >= RATIO_MIN || messages != usize::MAX;
        }
    }
    println!("decode / filter: at least {RATIO_MIN} in full packets");
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn batch(frames: &[Vec<u8>]) -> Batch<'_> {
    let mut batch = Batch::new();
    frames.iter().for_each(|frame| batch.push(Frame::new(frame, Timestamp::ZERO)));
    batch
}
