//! What the payload of a numbered packet says: its number, in one of two forms, or market data
//! that is made from the number. Pure.

use std::ops::Range;
use tickwire_market::nanonet::{big, little};
use tickwire_market::{Ascii, Price, hft_tick};

/// First word of the payload of a numbered packet.
pub const MAGIC: u32 = u32::from_be_bytes(*b"tkwr");
/// Bytes of such a payload that are not pattern: magic, sequence number, time.
pub const NUMBER_BYTES: usize = 20;

/// Length of a trade message in bytes, as the round-trip benchmark of AF_XDP replicators sends it.
pub const TRADE_BYTES: usize = 152;
/// Where its sequence number is: ten ASCII digits, zero padded.
const TRADE_DIGITS: Range<usize> = 38..48;
/// One more than the highest number that ten digits hold; numbers begin again at 0 there.
pub const TRADE_NUMBERS: u64 = 10_000_000_000;
/// The message with number 0; longer payloads end in blanks, which JSON allows.
const TRADE: &[u8; TRADE_BYTES] = b"{\"type\":\"trade\",\"symbol\":\"AAPL\",\"id\":\"\
    0000000000\",\"price\":\"227.5100\",\"size\":100,\"side\":\"buy\",\"venue\":\"XNAS\",\
    \"currency\":\"USD\",\"condition\":\"@\",\"tape\":\"C\"}";

/// The form of a payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Message {
    /// [`MAGIC`], the number and the time of sending (nanoseconds since the Unix epoch), 4 + 8 + 8
    /// bytes, big-endian; then a pattern.
    #[default]
    Numbered,
    /// A trade in JSON, [`TRADE_BYTES`] long, with ten digits of the number at offset 38.
    Trade,
    /// Market data of NanoNet, least significant byte first. Symbol, price (99.50 to 100.49) and
    /// quantity depend on the number, which itself is not in it.
    Nanonet,
    /// The same, most significant byte first.
    NanonetBig,
    /// A tick of the HFT filter, made from the number, which itself is not in it.
    HftTick,
    /// NanoNet's market data of one symbol, least significant byte first, whose prices run through
    /// [`TICK_NUMBERS`] cents below 100.00. What is read is an order that answers it a cent above.
    Tick,
    /// The same, most significant byte first.
    TickBig,
}

/// Ticks begin again after so many: their numbers are what is left of the price.
pub const TICK_NUMBERS: u64 = 4_000;
/// The lowest price of a tick, in cents.
const TICK_CENTS_MIN: u32 = 10_000 - TICK_NUMBERS as u32;
/// The symbol of ticks.
pub const TICK_SYMBOL: Ascii<8> = Ascii(*b"AAPL    ");

/// The symbols of NanoNet's market data.
const SYMBOLS: [&[u8; 8]; 4] = [b"AAPL    ", b"MSFT    ", b"NVDA    ", b"TSLA    "];

/// A number that looks like chance, from a sequence number (SplitMix64).
fn mixed(sequence: u64) -> u64 {
    let mut z = sequence.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

/// Symbol, price in cents and quantity of NanoNet's message `sequence`.
fn quote(sequence: u64) -> (Ascii<8>, Price<u32, 2>, u32) {
    let mixed = mixed(sequence);
    let symbol = Ascii(*SYMBOLS[mixed as usize % SYMBOLS.len()]);
    let cents = 9_950 + (mixed >> 16) as u32 % 100;
    (symbol, Price(cents), 100 * (1 + (mixed >> 48) as u32 % 10))
}

/// The tick of number `sequence`.
fn tick(sequence: u64) -> hft_tick::TickBuilder {
    let mixed = mixed(sequence);
    hft_tick::TickBuilder::new()
        .instrument_id(1 + mixed as u32 % 64)
        .kind((mixed >> 8) as u8 % 3)
        .side((mixed >> 16) as u8 % 2)
        .price(99.5 + ((mixed >> 24) as u8 % 100) as f32 / 100.0)
        .quantity((1 + (mixed >> 32) as u8 % 100) as f32)
}

impl Message {
    /// The shortest payload that holds it, in bytes.
    pub const fn bytes_min(self) -> usize {
        match self {
            Message::Numbered => NUMBER_BYTES,
            Message::Trade => TRADE_BYTES,
            Message::Nanonet | Message::NanonetBig => little::MarketData::LEN,
            Message::Tick | Message::TickBig => little::MarketData::LEN,
            Message::HftTick => hft_tick::Tick::LEN,
        }
    }

    /// Whether a payload can be longer than [`bytes_min`](Self::bytes_min).
    pub const fn can_be_longer(self) -> bool {
        matches!(self, Message::Numbered | Message::Trade)
    }

    /// Appends `bytes` of payload with number and time 0.
    ///
    /// # Panics
    /// When that is less than [`bytes_min`](Self::bytes_min).
    pub fn put(self, payload: &mut Vec<u8>, bytes: usize) {
        assert!(bytes >= self.bytes_min(), "{bytes} bytes for a {self:?} message");
        match self {
            Message::Numbered => {
                let start = payload.len();
                payload.extend_from_slice(&MAGIC.to_be_bytes());
                payload.resize(start + NUMBER_BYTES, 0);
                payload.extend((start + NUMBER_BYTES..start + bytes).map(|at| at as u8));
            }
            Message::Trade => {
                payload.extend_from_slice(TRADE);
                payload.resize(payload.len() + bytes - TRADE_BYTES, b' ');
            }
            _ => {
                let start = payload.len();
                payload.resize(start + bytes, 0);
                self.write(&mut payload[start..], 0, 0);
            }
        }
    }

    /// What differs between two payloads, in bytes from their start. Begins at an even offset, so
    /// that checksums can be summed up from parts.
    pub(crate) const fn number(self) -> Range<usize> {
        match self {
            Message::Numbered => 4..NUMBER_BYTES,
            Message::Trade => TRADE_DIGITS,
            _ => 0..self.bytes_min(),
        }
    }

    /// Writes number and time of sending into a payload made by [`put`](Self::put).
    ///
    /// # Panics
    /// When it is shorter than [`bytes_min`](Self::bytes_min).
    #[inline]
    pub fn write(self, payload: &mut [u8], sequence: u64, sent_ns: u64) {
        match self {
            Message::Numbered => {
                payload[4..12].copy_from_slice(&sequence.to_be_bytes());
                payload[12..NUMBER_BYTES].copy_from_slice(&sent_ns.to_be_bytes());
            }
            Message::Trade => {
                let mut rest = sequence;
                for digit in payload[TRADE_DIGITS].iter_mut().rev() {
                    *digit = b'0' + (rest % 10) as u8;
                    rest /= 10;
                }
            }
            Message::Nanonet => {
                let (symbol, price, quantity) = quote(sequence);
                let data = little::MarketDataBuilder::new().symbol(symbol).price(price);
                let data = data.quantity(quantity).timestamp(sent_ns);
                payload[..little::MarketData::LEN].copy_from_slice(data.as_bytes());
            }
            Message::NanonetBig => {
                let (symbol, price, quantity) = quote(sequence);
                let data = big::MarketDataBuilder::new().symbol(symbol).price(price);
                let data = data.quantity(quantity).timestamp(sent_ns);
                payload[..big::MarketData::LEN].copy_from_slice(data.as_bytes());
            }
            Message::Tick => {
                let data = little::MarketDataBuilder::new().symbol(TICK_SYMBOL);
                let data = data.price(tick_price(sequence)).quantity(500).timestamp(sent_ns);
                payload[..little::MarketData::LEN].copy_from_slice(data.as_bytes());
            }
            Message::TickBig => {
                let data = big::MarketDataBuilder::new().symbol(TICK_SYMBOL);
                let data = data.price(tick_price(sequence)).quantity(500).timestamp(sent_ns);
                payload[..big::MarketData::LEN].copy_from_slice(data.as_bytes());
            }
            Message::HftTick => {
                payload[..hft_tick::Tick::LEN].copy_from_slice(tick(sequence).as_bytes());
            }
        }
    }

    /// After how many numbers a message begins again at 0; `None` when it never does.
    pub const fn numbers(self) -> Option<u64> {
        match self {
            Message::Trade => Some(TRADE_NUMBERS),
            Message::Tick | Message::TickBig => Some(TICK_NUMBERS),
            _ => None,
        }
    }

    /// Reads the number of a payload, below [`numbers`](Self::numbers); of ticks that of the order
    /// which answers one. `None` when it is no such message, or cut, and of market data that
    /// nobody answers, which has none.
    #[inline]
    pub fn read(self, payload: &[u8]) -> Option<u64> {
        match self {
            Message::Numbered => {
                let (magic, rest) = payload.get(..NUMBER_BYTES)?.split_first_chunk()?;
                (u32::from_be_bytes(*magic) == MAGIC).then_some(())?;
                Some(u64::from_be_bytes(*rest.first_chunk()?))
            }
            Message::Trade => {
                let digits = payload.get(..TRADE_BYTES)?.get(TRADE_DIGITS)?;
                digits.iter().try_fold(0, |number, &digit| {
                    digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0'))
                })
            }
            Message::Tick => tick_number(little::Order::parse(payload).ok()?.price()),
            Message::TickBig => tick_number(big::Order::parse(payload).ok()?.price()),
            Message::Nanonet | Message::NanonetBig | Message::HftTick => None,
        }
    }
}

fn tick_price(sequence: u64) -> Price<u32, 2> {
    Price(TICK_CENTS_MIN + (sequence % TICK_NUMBERS) as u32)
}

/// The number of the tick that an order answers a cent above.
fn tick_number(price: Price<u32, 2>) -> Option<u64> {
    let number = price.0.checked_sub(TICK_CENTS_MIN + 1)?;
    Some(u64::from(number)).filter(|number| *number < TICK_NUMBERS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for message in [Message::Numbered, Message::Trade] {
            let mut payload = Vec::new();
            message.put(&mut payload, message.bytes_min() + 9);
            for sequence in [0, 1, 1234, TRADE_NUMBERS - 1] {
                message.write(&mut payload, sequence, 77);
                assert_eq!(message.read(&payload), Some(sequence));
            }
            assert_eq!(payload.len(), message.bytes_min() + 9);
            assert_eq!(message.number().start % 2, 0);
            for cut in 0..message.bytes_min() {
                assert_eq!(message.read(&payload[..cut]), None, "{cut}");
            }
        }
    }

    #[test]
    fn an_order_tells_which_tick_it_answers() {
        let mut payload = vec![0; 24];
        for sequence in [0, 1, TICK_NUMBERS - 1, TICK_NUMBERS, 123_456] {
            Message::Tick.write(&mut payload, sequence, 77);
            let price = little::MarketData::parse(&payload).unwrap().price();
            assert!(price.0 < 10_000);
            let order = little::OrderBuilder::new().price(Price(price.0 + 1));
            assert_eq!(Message::Tick.read(order.as_bytes()), Some(sequence % TICK_NUMBERS));
            Message::TickBig.write(&mut payload, sequence, 77);
            assert_eq!(big::MarketData::parse(&payload).unwrap().price(), price);
            let order = big::OrderBuilder::new().price(Price(price.0 + 1));
            assert_eq!(Message::TickBig.read(order.as_bytes()), Some(sequence % TICK_NUMBERS));
        }
        for cents in [0, TICK_CENTS_MIN, 10_001] {
            let order = little::OrderBuilder::new().price(Price(cents));
            assert_eq!(Message::Tick.read(order.as_bytes()), None, "{cents}");
        }
        assert_eq!(Message::Tick.read(&payload), None);
    }

    /// The benchmark clients that this message is for read ten digits at offset 38 of 152 bytes.
    #[test]
    fn the_trade_is_as_its_readers_expect() {
        let mut payload = Vec::new();
        Message::Trade.put(&mut payload, TRADE_BYTES);
        Message::Trade.write(&mut payload, 42, 0);
        assert_eq!((payload.len(), &payload[38..48]), (152, &b"0000000042"[..]));
        let text = String::from_utf8(payload).unwrap();
        assert!(text.starts_with("{\"type\":\"trade\"") && text.ends_with("\"}"), "{text}");
        Message::Trade.write(&mut text.clone().into_bytes(), u64::MAX, 0);
    }

    #[test]
    fn numbers_of_trades_begin_again() {
        let mut payload = Vec::new();
        Message::Trade.put(&mut payload, TRADE_BYTES);
        Message::Trade.write(&mut payload, TRADE_NUMBERS + 5, 0);
        assert_eq!(Message::Trade.read(&payload), Some(5));
    }

    #[test]
    fn market_data_is_made_from_the_number() {
        for message in [Message::Nanonet, Message::NanonetBig, Message::HftTick] {
            let mut payload = Vec::new();
            message.put(&mut payload, message.bytes_min());
            let first = payload.clone();
            message.write(&mut payload, 1, 77);
            assert_ne!(payload, first);
            message.write(&mut payload, 0, 0);
            assert_eq!((payload.clone(), message.read(&payload)), (first, None));
        }
        let (mut cheap, mut payload) = (0, vec![0; 24]);
        for number in 0..1_000 {
            Message::Nanonet.write(&mut payload, number, number);
            let data = little::MarketData::parse(&payload).unwrap();
            assert!((9_950..10_050).contains(&data.price().0), "{data:?}");
            assert_eq!((data.quantity() % 100, data.timestamp()), (0, number));
            cheap += usize::from(data.price().0 < 10_000);
            let (symbol, price) = (data.symbol(), data.price());
            Message::NanonetBig.write(&mut payload, number, number);
            let data = big::MarketData::parse(&payload).unwrap();
            assert_eq!((data.symbol(), data.price()), (symbol, price));
            Message::HftTick.write(&mut payload, number, number);
            let tick = hft_tick::Tick::parse(&payload).unwrap();
            assert!((99.5..100.5).contains(&tick.price()) && tick.quantity() >= 1.0);
            assert!((1..=64).contains(&tick.instrument_id()) && tick.kind() < 3 && tick.side() < 2);
        }
        assert!((400..600).contains(&cheap), "{cheap}");
    }

    #[test]
    fn other_payloads_have_no_number() {
        assert_eq!(Message::Numbered.read(&[0; 60]), None);
        assert_eq!(Message::Trade.read(&[b'x'; 200]), None);
    }
}
