//! Every format against the views of `market`, which know nothing of holes.

use super::*;
use crate::order::{Intent, Side};
use proptest::prelude::*;
use tickwire_market::{Ascii, Code, NulText, Price, nanonet, ouch42, ouch50};

/// Buy 100 AAPL at 100.00, with prices of four decimals.
const ORDER: Order = Order {
    intent: Intent {
        rule: 0,
        instrument: 0,
        target: 0,
        side: Side::Buy,
        price: 1_000_000,
        quantity: 100,
    },
    symbol: *b"AAPL    ",
    number: 35,
    at_ns: 0x0102_0304_0506_0708,
};

const SCALE: Scale = Scale(4);

fn order(side: Side, price: i64, quantity: u32) -> Order {
    Order { intent: Intent { side, price, quantity, ..ORDER.intent }, ..ORDER }
}

fn encode(format: &Format, order: &Order) -> Result<Vec<u8>, Reason> {
    let mut out = [0xee; ORDER_BYTES_MAX];
    let len = Encoder::new(format, SCALE).encode(order, &mut out)?;
    assert!(out[len..].iter().all(|byte| *byte == 0xee), "written beyond its end");
    Ok(out[..len].to_vec())
}

#[test]
fn the_documented_order_of_nanonet_byte_for_byte() {
    let little = encode(&Format::nanonet(ByteOrder::Little), &ORDER).unwrap();
    let expected = b"AAPL    \x10\x27\0\0\x64\0\0\0\0\x08\x07\x06\x05\x04\x03\x02\x01\
                     0000000000013\0\0\0";
    assert_eq!(little, expected);
    let big = encode(&Format::nanonet(ByteOrder::Big), &ORDER).unwrap();
    let expected = b"AAPL    \0\0\x27\x10\0\0\0\x64\0\x01\x02\x03\x04\x05\x06\x07\x08\
                     0000000000013\0\0\0";
    assert_eq!(big, expected);
}

proptest! {
    #[test]
    fn nanonet_is_what_its_view_reads(cents: u32, quantity: u32, number: u64, side in 0..3_usize) {
        let side = [Side::Buy, Side::Sell, Side::SellShort][side];
        let order = Order { number, ..order(side, i64::from(cents) * 100, quantity) };
        let bytes = encode(&Format::nanonet(ByteOrder::Little), &order).unwrap();
        let read = nanonet::little::Order::parse(&bytes).unwrap();
        let id = client_order_id(number);
        let expected = nanonet::little::OrderBuilder::new()
            .symbol(Ascii(order.symbol))
            .price(Price(cents))
            .quantity(quantity)
            .side(if side == Side::Buy { nanonet::BUY } else { nanonet::SELL })
            .timestamp(order.at_ns)
            .client_order_id(NulText::new(std::str::from_utf8(&id).unwrap()).unwrap());
        prop_assert_eq!(read.to_builder(), expected);
        prop_assert_eq!(order_number(read.client_order_id().text()), Some(number));
        let bytes = encode(&Format::nanonet(ByteOrder::Big), &order).unwrap();
        let read = nanonet::big::Order::parse(&bytes).unwrap();
        prop_assert_eq!((read.price(), read.quantity()), (Price(cents), quantity));
        prop_assert_eq!(read.timestamp(), order.at_ns);
    }

    #[test]
    fn ouch_is_what_its_views_read(price in 0..=2_000_000_000_u32, shares in 1..1_000_000_u32) {
        for (side, letter) in [(Side::Buy, b'B'), (Side::Sell, b'S'), (Side::SellShort, b'T')] {
            let order = order(side, i64::from(price), shares);
            let settings = Ouch42 { firm: "LIME".into(), ..Ouch42::default() };
            let bytes = encode(&Format::ouch42(&settings).unwrap(), &order).unwrap();
            let expected = ouch42::EnterOrderBuilder::new()
                .order_token(Ascii(*b"0000000000013 "))
                .buy_sell(Code(letter))
                .shares(shares)
                .stock(Ascii(order.symbol))
                .price(Price(price))
                .time_in_force(ouch42::IMMEDIATE_OR_CANCEL)
                .firm(Ascii(*b"LIME"))
                .display(Code(b'Y'))
                .capacity(Code(b'P'))
                .intermarket_sweep_eligibility(Code(b'N'))
                .minimum_quantity(0)
                .cross_type(Code(b'N'))
                .customer_type(Code(b' '));
            prop_assert_eq!(bytes, expected.as_bytes());

            let settings = Ouch50 { appendage: b"\x05\x02LIME".to_vec(), ..Ouch50::default() };
            let bytes = encode(&Format::ouch50(&settings).unwrap(), &order).unwrap();
            let expected = ouch50::EnterOrderBuilder::new()
                .side(Code(letter))
                .quantity(shares)
                .symbol(Ascii(order.symbol))
                .price(Price(u64::from(price)))
                .time_in_force(Code(b'3'))
                .display(Code(b'Y'))
                .capacity(Code(b'P'))
                .inter_market_sweep_eligibility(Code(b'N'))
                .cross_type(Code(b'N'))
                .cl_ord_id(Ascii(*b"0000000000013 "));
            let mut buffer = [0; 64];
            let mut expected = expected.with_appendage(&mut buffer).unwrap();
            expected.push(ouch50::tag::FIRM, Ascii(*b"LIME")).unwrap();
            prop_assert_eq!(bytes, expected.finish());
        }
    }

    #[test]
    fn a_template_of_nanonet_is_nanonet(price in 0..20_000_i64, quantity: u32, number: u64) {
        let text = "{symbol:8} {price:4le.2} {quantity:4le} {side:00/01}\n {time:8le} \
                    {clordid:16nul}";
        let format = Format::template(text).unwrap();
        prop_assert_eq!(&format, &Format::nanonet(ByteOrder::Little));
        let order = Order { number, ..order(Side::Sell, price, quantity) };
        let expected = if price % 100 == 0 { Ok(41) } else { Err(Reason::NotRepresentable) };
        prop_assert_eq!(encode(&format, &order).map(|bytes| bytes.len()), expected);
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let nanonet = Format::nanonet(ByteOrder::Little);
    let ouch = Format::ouch42(&Ouch42::default()).unwrap();
    let cents_max = i64::from(u32::MAX) * 100;
    for (format, price, quantity, fits) in [
        (&nanonet, 1_000_000, u32::MAX, true),
        (&nanonet, 1_000_001, 1, false),
        (&nanonet, cents_max, 1, true),
        (&nanonet, cents_max + 100, 1, false),
        (&nanonet, -100, 1, false),
        (&ouch, 2_000_000_000, 999_999, true),
        (&ouch, 2_000_000_001, 1, false),
        (&ouch, 1, 1_000_000, false),
        (&ouch, i64::MAX, 1, false),
    ] {
        let encoded = encode(format, &order(Side::Buy, price, quantity)).map(|_| ());
        let expected = if fits { Ok(()) } else { Err(Reason::NotRepresentable) };
        assert_eq!(encoded, expected, "{price} × {quantity}");
    }
    let encoder = Encoder::new(&nanonet, SCALE);
    assert_eq!(encoder.encode(&ORDER, &mut [0; 40]), Err(Reason::TooLong));
    assert_eq!(encoder.encode(&ORDER, &mut [0; 41]), Ok(41));
}

#[test]
fn templates_write_bytes_text_and_numbers() {
    let format = Format::template(
        "8A \"NEW \" 0d0A {side:B/S/T}{symbol:4}{symbol:9}{price:9text.2}{quantity:5text}\
         {number:3be}{quantity:2le max 100}{price:8be.0}{clordid:14}",
    )
    .unwrap();
    assert_eq!(format.decimals(), 2);
    let order = ORDER;
    let bytes = encode(&format, &order).unwrap();
    let expected = b"\x8aNEW \r\nBAAPLAAPL     000100.0000100\0\0\x23\x64\0\0\0\0\0\0\0\0\x64\
                     0000000000013 ";
    assert_eq!(bytes, expected, "{}", bytes.escape_ascii());
    for wrong in [
        Order { symbol: *b"GOOGL   ", ..order },
        Order { number: 1 << 24, ..order },
        self::order(Side::Buy, 1_000_000, 101),
        self::order(Side::Buy, 1_005_000, 100),
        self::order(Side::Buy, 10_000_000_000, 100),
    ] {
        assert_eq!(encode(&format, &wrong), Err(Reason::NotRepresentable), "{wrong:?}");
    }
    let short =
        encode(&Format::template("{side:B/S/53}").unwrap(), &self::order(Side::SellShort, 1, 1));
    assert_eq!(short.unwrap(), b"S");
}

#[test]
fn every_scale_is_exact_or_refused() {
    let format = Format::template("{price:8be.4}").unwrap();
    let encode = |scale, price| {
        let mut out = [0; 8];
        let order = order(Side::Buy, price, 1);
        Encoder::new(&format, Scale(scale))
            .encode(&order, &mut out)
            .map(|_| u64::from_be_bytes(out))
    };
    assert_eq!(encode(0, 12), Ok(120_000));
    assert_eq!(encode(2, 12), Ok(1_200));
    assert_eq!(encode(4, 12), Ok(12));
    assert_eq!(encode(9, 1_200_000), Ok(12));
    assert_eq!(encode(9, 1_200_001), Err(Reason::NotRepresentable));
    assert_eq!(encode(0, i64::MAX), Err(Reason::NotRepresentable));
}

#[test]
fn template_errors_point_at_the_word() {
    let errors = [
        ("{symbol:8} {prize:4le.2}", "prize", "unknown hole \"prize\""),
        ("{symbol:0}", "0", "its width is 1 to 64 bytes"),
        ("{symbol}", "symbol", "its width is 1 to 64 bytes"),
        ("{clordid:12}", "12", "its width is 13 to 64 bytes"),
        ("{price:4le}", "4le", "a price says its decimals"),
        ("{price:4le.10}", "10", "0 to 9 decimals"),
        ("{quantity:4le.2}", "2", "only a price has decimals"),
        ("{quantity:4}", "4", "le, be or text"),
        ("{quantity:9be}", "9be", "1 to 8 bytes wide"),
        ("{price:3text.2}", "3text.2", "4 to 21 bytes wide"),
        ("{quantity:4be min 3}", "min", "only `max N`"),
        ("{quantity:4be max}", "max", "is missing"),
        ("{quantity:4be max 1.5}", "1.5", "at most 0 decimals"),
        ("{price:4be.2 max 99999999999999999999}", "99999999999999999999", "more than 64 bits"),
        ("{side:B/S} {side:B}", "B", "what is written to buy"),
        ("{clordid:14 more}", "more", "one word too many"),
        ("{side:B/S more}", "more", "one word too many"),
        ("41 4 {symbol:8}", "4", "pairs of hexadecimal digits"),
        ("41 +4", "+4", "pairs of hexadecimal digits"),
        ("\"é\"", "é", "printable ASCII"),
        ("41\n{symbol:8", "{", "no } closes it"),
        ("41 \"ABC", "\"", "no \" closes it"),
        (" ", " ", "an empty template"),
    ];
    for (text, word, message) in errors {
        let error = Format::template(text).unwrap_err();
        assert!(error.message.contains(message), "{text}: {error}");
        assert_eq!(&text[error.span.clone()], word, "{text}: {error}");
    }
    let text = "41\n{symbol:8} {prize:4le.2}";
    assert_eq!(
        Format::template(text).unwrap_err().render(text),
        "unknown hole \"prize\": there are symbol, side, price, quantity, number, time, clordid\n  \
         {symbol:8} {prize:4le.2}\n              ^^^^^"
    );
    let long = "{symbol:64}".repeat(9);
    assert!(Format::template(&long).unwrap_err().message.contains("has 576 bytes"));
    assert!(Format::template(&" ".repeat(5000)).unwrap_err().message.contains("at most 4096"));
}

proptest! {
    #[test]
    fn no_text_and_no_order_panics(
        text in "([{}:./\" ]|symbol|price|quantity|side|clordid|le|be|text|[0-9a-f]{1,4}){0,12}",
        price: i64, quantity: u32, number: u64, scale in 0..=9_u32,
    ) {
        match Format::template(&text) {
            Err(error) => prop_assert!(error.render(&text).contains('^')),
            Ok(format) => {
                let order = Order { number, ..order(Side::Sell, price, quantity) };
                let mut out = [0; ORDER_BYTES_MAX];
                if let Ok(len) = Encoder::new(&format, Scale(scale)).encode(&order, &mut out) {
                    prop_assert_eq!(len, format.order_bytes());
                }
            }
        }
    }
}

#[test]
fn settings_of_ouch_that_are_none() {
    let firm = Format::ouch42(&Ouch42 { firm: "LIMES".into(), ..Ouch42::default() });
    assert_eq!(firm.unwrap_err(), OuchError::Firm);
    let display = Format::ouch42(&Ouch42 { display: 'é', ..Ouch42::default() }).unwrap_err();
    assert_eq!(display.to_string(), "display is one character of the specification, such as 'Y'");
    let appendage = |bytes: &[u8]| {
        Format::ouch50(&Ouch50 { appendage: bytes.to_vec(), ..Ouch50::default() }).unwrap_err()
    };
    assert!(matches!(appendage(b"\x05\x02LIM"), OuchError::Appendage(_)));
    assert_eq!(appendage(&[0; 500]), OuchError::AppendageTooLong(500));
}
