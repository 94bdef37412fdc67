//! Ticks as frames, orders out of frames.

use tickwire_capture::routes::Hop;
use tickwire_lab::Lab;
use tickwire_market::nanonet::little::{MarketDataBuilder, Order};
use tickwire_market::{Ascii, Price};
use tickwire_replicate::{Datagram, Subscriber, Template};

/// Where ticks are sent.
pub const TICK_PORT: u16 = 8_080;
/// Where orders are sent.
pub const ORDER_PORT: u16 = 9_999;
/// Prices of ticks run through so many cents below 100.00, by which orders find their tick.
pub const PRICES: u64 = 4_000;
/// The lowest of them.
const CENTS_MIN: u64 = 5_999;
/// Bytes before the payload: Ethernet, IPv4, UDP.
pub const HEADER_BYTES: usize = 42;
/// A moment from which time stamps of ticks are counted.
const BEGAN_NS: u64 = 1_700_000_000_000_000_000;

/// The payload of tick `number` of `symbol`.
pub fn payload(number: u64, symbol: &str) -> [u8; 24] {
    *MarketDataBuilder::new()
        .symbol(Ascii::new(symbol).expect("a short symbol"))
        .price(Price((CENTS_MIN + number % PRICES) as u32))
        .quantity(500)
        .timestamp(BEGAN_NS + number)
        .as_bytes()
}

/// The frame of a tick from the left end of `lab` to its right end.
pub fn frame(lab: &Lab, number: u64) -> Vec<u8> {
    let ends = (&lab.left, &lab.right);
    frame_between((ends.0.mac(), ends.1.mac()), (ends.0.ipv4(), ends.1.ipv4()), number, "AAPL")
}

/// The frame of a tick.
pub fn frame_between(
    macs: ([u8; 6], [u8; 6]),
    addresses: (std::net::Ipv4Addr, std::net::Ipv4Addr),
    number: u64,
    symbol: &str,
) -> Vec<u8> {
    let (source_mac, destination_mac) = macs;
    let source = addresses.0.into();
    let hop = Hop { ifindex: 1, vlan: None, source_mac, destination_mac, source, mtu: 1500 };
    let subscriber = Subscriber::new((addresses.1, TICK_PORT).into());
    let template = Template::new(40_000, &subscriber, &hop).expect("both are IPv4");
    let mut slot = [0; 128];
    let original = Datagram { partial: true, ..Datagram::NONE };
    let len = template.write(&original, &payload(number, symbol), &mut slot).expect("it fits");
    slot[..len].to_vec()
}

/// What tells of which tick a frame is the answer: the price of its order, or the tick itself.
pub fn answered(frame: &[u8]) -> Option<u64> {
    let payload = frame.get(HEADER_BYTES..)?;
    match payload.len() {
        24 => {
            let stamp = u64::from_le_bytes(payload[16..].try_into().ok()?);
            Some(stamp.checked_sub(BEGAN_NS)? % PRICES)
        }
        41 => {
            let order = Order::parse(payload).ok()?;
            u64::from(order.price().0).checked_sub(CENTS_MIN + 1)
        }
        _ => None,
    }
}

/// A configuration that answers ticks of all of `symbols`, each with a rule of its own.
pub fn config(
    symbols: &[String],
    listen: &str,
    target: &str,
    state: &str,
    orders_per_s: u32,
) -> String {
    let mut text = format!(
        "state = \"{state}\"\n\
         [[feed]]\nname = \"ticks\"\nprotocol = \"nanonet\"\nlisten = \"{listen}\"\n\
         [[target]]\nname = \"exchange\"\nformat = \"nanonet\"\naddress = \"{target}\"\n\
         [limits]\nquantity = 100\nnotional = \"10000.00\"\ncollar_percent = 5\n\
         orders_per_s = {orders_per_s}\nposition = 4000000000\nfeed_age_ms = 1000\n"
    );
    for symbol in symbols {
        text += &format!(
            "[[instrument]]\nsymbol = \"{symbol}\"\ntick = \"0.01\"\n\
             [[rule]]\nname = \"below-{symbol}\"\nfeed = \"ticks\"\ninstruments = [\"{symbol}\"]\n\
             when = \"price < 100.00\"\n\
             order = {{ target = \"exchange\", side = \"buy\", quantity = \"100\", \
             price = \"price + 1 tick\" }}\n"
        );
    }
    text
}
