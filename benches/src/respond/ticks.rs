//! Ticks as frames, orders out of frames.

use std::net::{Ipv4Addr, SocketAddrV4};
use tickwire_capture::routes::Hop;
use tickwire_lab::Lab;
use tickwire_market::nanonet::little::{MarketDataBuilder, Order};
use tickwire_market::{Ascii, Price};
use tickwire_replicate::{Datagram, Subscriber, Template, UdpChecksum};

/// Where ticks are sent.
pub const TICK_PORT: u16 = 8_080;
/// Where orders are sent.
pub const ORDER_PORT: u16 = 9_999;
/// Prices of ticks run through so many cents below 1000.00, by which orders find their tick: those
/// of a tenth of a second at the highest rate.
pub const PRICES: u64 = 1 << 16;
/// The lowest of them.
const CENTS_MIN: u64 = 99_999 - PRICES;
/// Bytes before the payload: Ethernet, IPv4, UDP.
pub const HEADER_BYTES: usize = 42;
/// A moment from which time stamps of ticks are counted.
const BEGAN_NS: u64 = 1_700_000_000_000_000_000;

/// The payload of tick `number` of `symbol`.
pub fn payload(number: u64, symbol: &str) -> [u8; 24] {
    tick(symbol, (CENTS_MIN + number % PRICES) as u32, BEGAN_NS + number)
}

/// The payload of a tick at a price.
pub fn tick(symbol: &str, cents: u32, stamp_ns: u64) -> [u8; 24] {
    *MarketDataBuilder::new()
        .symbol(Ascii::new(symbol).expect("a short symbol"))
        .price(Price(cents))
        .quantity(500)
        .timestamp(stamp_ns)
        .as_bytes()
}

/// Writes frames of ticks.
pub struct Ticks {
    template: Template,
    slot: [u8; 128],
}

impl Ticks {
    /// From one link address and address to another, and a port there.
    pub fn new(
        (source_mac, destination_mac): ([u8; 6], [u8; 6]),
        from: Ipv4Addr,
        to: SocketAddrV4,
    ) -> Ticks {
        let source = from.into();
        let hop = Hop { ifindex: 1, vlan: None, source_mac, destination_mac, source, mtu: 1500 };
        let udp_checksum = UdpChecksum::Compute;
        let subscriber = Subscriber { udp_checksum, ..Subscriber::new(to.into()) };
        let template = Template::new(40_000, &subscriber, &hop).expect("both are IPv4");
        Ticks { template, slot: [0; 128] }
    }

    /// From the left end of `lab` to its right end.
    pub fn between(lab: &Lab) -> Ticks {
        let to = SocketAddrV4::new(lab.right.ipv4(), TICK_PORT);
        Ticks::new((lab.left.mac(), lab.right.mac()), lab.left.ipv4(), to)
    }

    /// The frame of a tick.
    pub fn frame(&mut self, payload: &[u8]) -> &[u8] {
        let written = self.template.write(&Datagram::NONE, payload, &mut self.slot);
        &self.slot[..written.expect("it fits")]
    }
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
    let mut text = head(state, (listen, target), "format = \"nanonet\"", orders_per_s);
    for symbol in symbols {
        text += &instrument(symbol);
        text += &rule(&format!("below-{symbol}"), symbol, "1000.00", "price + 1 tick");
    }
    text
}

/// The state file, a feed, a target for orders of a format, and limits.
pub fn head(
    state: &str,
    (listen, target): (&str, &str),
    format: &str,
    orders_per_s: u32,
) -> String {
    format!(
        "state = \"{state}\"\n\
         [[feed]]\nname = \"ticks\"\nprotocol = \"nanonet\"\nlisten = \"{listen}\"\n\
         [[target]]\nname = \"exchange\"\n{format}\naddress = \"{target}\"\n\
         [limits]\nquantity = 100\nnotional = \"1000000.00\"\ncollar_percent = 5\n\
         orders_per_s = {orders_per_s}\nposition = 4000000000\nfeed_age_ms = 1000\n"
    )
}

/// An instrument.
pub fn instrument(symbol: &str) -> String {
    format!("[[instrument]]\nsymbol = \"{symbol}\"\ntick = \"0.01\"\n")
}

/// A rule that buys one symbol below a price, at another.
pub fn rule(name: &str, symbol: &str, below: &str, price: &str) -> String {
    format!(
        "[[rule]]\nname = \"{name}\"\nfeed = \"ticks\"\ninstruments = [\"{symbol}\"]\n\
         when = \"price < {below}\"\n\
         order = {{ target = \"exchange\", side = \"buy\", quantity = \"100\", \
         price = \"{price}\" }}\n"
    )
}
