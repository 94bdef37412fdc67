//! NewOrderSingle (35=D): bytes that are always the same, and what differs between them.
//!
//! Numbers are written as they are, without zeros in front, so that every peer reads them; what
//! stands between is copied. The order of fields within header and body is free, so what has no
//! fixed length stands behind what has.

use super::settings::{FixSettings, FixSettingsError};
use super::time::{TIME_BYTES, TimeText};
use crate::format::{CLIENT_ORDER_ID_BYTES, client_order_id};
use crate::order::{Order, Scale, Side};
use tickwire_frame::Reason;
use tickwire_market::fix::{SOH, check_sum};

/// Room that an order needs, however short it turns out.
pub(super) const ORDER_ROOM_BYTES: usize = 1024;

/// A body has at least 100 bytes, so that its length always has three digits.
const BODY_BYTES_MAX: usize = 999;

/// The most digits of a number of 64 bits, with a sign and a point.
const NUMBER_BYTES_MAX: usize = 22;

/// The bytes of orders of one session.
#[derive(Clone, Debug)]
pub(super) struct NewOrderSingle {
    /// `8=…|9=`
    begin: Box<[u8]>,
    /// `|35=D|49=…|56=…|34=`
    header: Box<[u8]>,
    /// `|21=1|40=2|…|11=`
    body: Box<[u8]>,
    /// What a price loses: 10 to the power of the decimals of the scale that orders have not.
    unit: i64,
    decimals: usize,
    times: TimeText,
}

impl NewOrderSingle {
    /// Of orders whose prices have that `scale`.
    ///
    /// # Errors
    /// When they are longer than a message of [`BODY_BYTES_MAX`] bytes.
    pub fn new(settings: &FixSettings, scale: Scale) -> Result<Self, FixSettingsError> {
        let text = |fields: &[(u32, String)]| -> String {
            fields.iter().map(|(tag, value)| format!("\x01{tag}={value}")).collect()
        };
        let begin = format!("8={}\x019=", settings.version.begin_string());
        let (sender, target) = (&settings.sender, &settings.target);
        let more = text(&settings.header_fields);
        let header = format!("\x0135=D\x0149={sender}\x0156={target}{more}\x0134=");
        let body = format!("\x0140=2{}\x0111=", text(&settings.order_fields));
        let holes = "|43=Y|52=|122=|54=1|60=|38=|44=|55=|".len()
            + 3 * TIME_BYTES
            + CLIENT_ORDER_ID_BYTES
            + 3 * NUMBER_BYTES_MAX
            + 8;
        if header.len() + body.len() + holes > BODY_BYTES_MAX {
            return Err(FixSettingsError::OrderTooLong);
        }
        let decimals = settings.price_decimals.min(scale.0);
        Ok(NewOrderSingle {
            begin: begin.into_bytes().into(),
            header: header.into_bytes().into(),
            body: body.into_bytes().into(),
            unit: 10_i64.pow(scale.0 - decimals),
            decimals: decimals as usize,
            times: TimeText::new(),
        })
    }

    /// Writes `order` as message `number` over the start of `out`: how many bytes it took. `again`
    /// is the time at which it is sent once more, which makes it a possible duplicate.
    ///
    /// # Errors
    /// [`Reason::NotRepresentable`] when its price has more decimals than orders of the session, or
    /// its symbol is none.
    #[inline]
    pub fn write(
        &mut self,
        order: &Order,
        number: u64,
        again: Option<u64>,
        out: &mut [u8; ORDER_ROOM_BYTES],
    ) -> Result<usize, Reason> {
        let intent = &order.intent;
        let symbol = order.symbol.trim_ascii_end();
        if intent.price % self.unit != 0 || symbol.is_empty() || symbol.contains(&SOH) {
            return Err(Reason::NotRepresentable);
        }
        let decided = *self.times.write(order.at_ns);
        let mut text = Text { out, at: 0 };
        text.put(&self.begin);
        let length_at = text.at;
        text.put(b"000");
        // BodyLength counts from behind the separator that `header` begins with.
        let from = text.at + 1;
        text.put(&self.header);
        text.number(number, 0);
        if let Some(now_ns) = again {
            text.put(b"\x0143=Y\x01122=");
            text.put(&decided);
            text.put(b"\x0152=");
            text.put(self.times.write(now_ns));
        } else {
            text.put(b"\x0152=");
            text.put(&decided);
        }
        text.put(&self.body);
        text.put(&client_order_id(order.number));
        text.put(b"\x0154=");
        text.put(side_code(intent.side).as_bytes());
        text.put(b"\x0160=");
        text.put(&decided);
        text.put(b"\x0138=");
        text.number(u64::from(intent.quantity), 0);
        text.put(b"\x0144=");
        if intent.price < 0 {
            text.put(b"-");
        }
        text.number((intent.price / self.unit).unsigned_abs(), self.decimals);
        text.put(b"\x0155=");
        text.put(symbol);
        text.put(b"\x01");
        let length = (text.at - from) as u32;
        let digit = |unit: u32| b'0' + (length / unit % 10) as u8;
        text.out[length_at..length_at + 3].copy_from_slice(&[digit(100), digit(10), digit(1)]);
        let sum = check_sum(&text.out[..text.at]);
        let sum = [b'0' + sum / 100, b'0' + sum / 10 % 10, b'0' + sum % 10];
        text.put(b"10=");
        text.put(&sum);
        text.put(b"\x01");
        Ok(text.at)
    }
}

/// Side (54).
pub(crate) fn side_code(side: Side) -> &'static str {
    match side {
        Side::Buy => "1",
        Side::Sell => "2",
        Side::SellShort => "5",
    }
}

/// Writes over the start of `out`. All that it is given fits: [`NewOrderSingle::new`] sees to it.
struct Text<'a> {
    out: &'a mut [u8; ORDER_ROOM_BYTES],
    at: usize,
}

impl Text<'_> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.out[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }

    /// A number, its last digits behind a point: `99.5`, `0.05`.
    #[inline]
    fn number(&mut self, mut number: u64, decimals: usize) {
        let mut digits = [b'0'; NUMBER_BYTES_MAX];
        let mut at = digits.len();
        let mut written = 0;
        while number > 0 || written <= decimals {
            if written == decimals && decimals > 0 {
                at -= 1;
                digits[at] = b'.';
            }
            at -= 1;
            digits[at] = b'0' + (number % 10) as u8;
            number /= 10;
            written += 1;
        }
        self.put(&digits[at..]);
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::FixVersion;
    use super::*;
    use crate::order::Intent;
    use proptest::prelude::*;
    use tickwire_market::fix::{Framed, frame};

    fn order(price: i64, quantity: u32, symbol: &[u8; 8]) -> Order {
        let side = Side::Buy;
        let intent = Intent { rule: 0, instrument: 0, target: 0, side, price, quantity };
        Order { intent, symbol: *symbol, number: 33, at_ns: 1_795_253_400_012_000_000 }
    }

    fn written(settings: &FixSettings, scale: u32, order: &Order, again: Option<u64>) -> String {
        let mut out = [0; ORDER_ROOM_BYTES];
        let mut orders = NewOrderSingle::new(settings, Scale(scale)).unwrap();
        let len = orders.write(order, 1000, again, &mut out).unwrap();
        String::from_utf8(out[..len].to_vec()).unwrap().replace('\x01', "|")
    }

    #[test]
    fn an_order_byte_for_byte() {
        let mut settings = FixSettings::new(FixVersion::Fix42, "TW", "XCH");
        settings.header_fields.push((50, "DESK".to_owned()));
        let text = written(&settings, 2, &order(10_000, 100, b"AAPL    "), None);
        let expected = "8=FIX.4.2|9=146|35=D|49=TW|56=XCH|50=DESK|34=1000|52=20261121-09:30:00.012|\
            40=2|21=1|59=0|11=0000000000011|54=1|60=20261121-09:30:00.012|38=100|44=100.00|55=AAPL|\
            10=";
        assert_eq!(text.split_at(expected.len()).0, expected);
        let again = Some(1_795_253_401_000_000_000);
        let mut short = order(-5, 1, b"BRK.A   ");
        short.intent.side = Side::SellShort;
        let text = written(&settings, 2, &short, again);
        let times = "|34=1000|43=Y|122=20261121-09:30:00.012|52=20261121-09:30:01.000|";
        assert!(text.contains(times), "{text}");
        let body = "|54=5|60=20261121-09:30:00.012|38=1|44=-0.05|55=BRK.A|";
        assert!(text.contains(body), "{text}");
    }

    #[test]
    fn what_cannot_be_written_exactly_is_refused() {
        let settings = FixSettings::new(FixVersion::Fix44, "TW", "XCH");
        let mut orders = NewOrderSingle::new(&settings, Scale(4)).unwrap();
        let mut write = |order: &Order| orders.write(order, 1, None, &mut [0; ORDER_ROOM_BYTES]);
        assert!(write(&order(100, 1, b"A       ")).is_ok());
        for (price, symbol) in [(101, b"A       "), (100, b"        "), (100, b"A\x01      ")] {
            assert_eq!(write(&order(price, 1, symbol)), Err(Reason::NotRepresentable));
        }
    }

    #[test]
    fn the_longest_order_fits_and_a_longer_one_is_refused() {
        let mut settings = FixSettings::new(FixVersion::Fix44, "TW", "XCH");
        let fits = |settings: &FixSettings| NewOrderSingle::new(settings, Scale(0)).is_ok();
        while fits(&settings) {
            settings.order_fields.push((1, "x".to_owned()));
        }
        assert_eq!(settings.check(Scale(2)), Err(FixSettingsError::OrderTooLong));
        settings.order_fields.pop();
        let mut longest = order(i64::MIN, u32::MAX, b"ABCDEFGH");
        longest.number = u64::MAX;
        let mut orders = NewOrderSingle::new(&settings, Scale(0)).unwrap();
        let mut out = [0; ORDER_ROOM_BYTES];
        let len = orders.write(&longest, u64::MAX, Some(u64::MAX), &mut out).unwrap();
        let Framed::Message(message) = frame(&out[..len]) else { panic!("no message") };
        assert_eq!(message.get(44), Some(&b"-9223372036854775808"[..]));
    }

    proptest! {
        /// Whatever is written is a message, and says what the order does.
        #[test]
        fn any_order_is_a_message(
            price: i64, quantity: u32, number: u64, sequence: u64, at_ns: u64, decimals in 0_u32..9,
        ) {
            let mut settings = FixSettings::new(FixVersion::Fix44, "TW", "XCH");
            settings.price_decimals = decimals;
            let mut orders = NewOrderSingle::new(&settings, Scale(decimals)).unwrap();
            let mut order = order(price, quantity, b"AAPL    ");
            (order.number, order.at_ns) = (number, at_ns);
            let mut out = [0; ORDER_ROOM_BYTES];
            let len = orders.write(&order, sequence, None, &mut out).unwrap();
            let Framed::Message(message) = frame(&out[..len]) else { panic!("no message") };
            prop_assert_eq!(message.bytes().len(), len);
            let get = |tag| std::str::from_utf8(message.get(tag).unwrap()).unwrap().to_owned();
            prop_assert_eq!(get(34).parse(), Ok(sequence));
            prop_assert_eq!(get(38).parse(), Ok(quantity));
            let (whole, part) = get(44).split_once('.').map_or((get(44), String::new()),
                |(whole, part)| (whole.to_owned(), part.to_owned()));
            prop_assert_eq!(part.len(), decimals as usize);
            prop_assert_eq!((whole + &part).parse(), Ok(price));
        }
    }
}
