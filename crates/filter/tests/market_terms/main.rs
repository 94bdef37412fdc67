//! Fields of market data as users write them: what they mean, and what is said of mistakes.

mod places;
mod values;

use tickwire_filter::fields;
use tickwire_filter::{ErrorKind, Filter, FilterError, Options};
use tickwire_market::iex::{self, tp};
use tickwire_market::moldudp64::{self, PacketBuilder};
use tickwire_market::{
    Ascii, Code, Price, SinceMidnight, UnixTime, itch50, mdp3, ouch42, ouch50, sbe, umdf,
};

/// An Ethernet frame of UDP over IPv4.
fn frame(tagged: bool, port: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![1, 0, 0x5e, 1, 2, 3, 2, 0, 0, 0, 0, 1];
    if tagged {
        bytes.extend([0x81, 0, 0, 5]);
    }
    bytes.extend([8, 0, 0x45, 0]);
    bytes.extend((28 + payload.len() as u16).to_be_bytes());
    bytes.extend([0, 0, 0x40, 0, 4, 17, 0, 0, 10, 0, 0, 1, 239, 1, 1, 1, 0x30, 0x39]);
    bytes.extend(port.to_be_bytes());
    bytes.extend((8 + payload.len() as u16).to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(payload);
    bytes
}

fn add(stock: &str, price: u32) -> Vec<u8> {
    let add = itch50::AddOrderBuilder::new()
        .timestamp(SinceMidnight(34_200_000_000_000))
        .buy_sell_indicator(Code(b'B'))
        .shares(100)
        .stock(Ascii::new(stock).unwrap())
        .price(Price(price));
    add.as_bytes().to_vec()
}

fn delete() -> Vec<u8> {
    itch50::OrderDeleteBuilder::new().order_reference_number(1 << 40).as_bytes().to_vec()
}

fn session() -> moldudp64::Session {
    Ascii::new("000010059B").unwrap()
}

fn mold(messages: &[Vec<u8>]) -> Vec<u8> {
    let mut buffer = [0; 1400];
    let mut packet = PacketBuilder::new(&mut buffer, session(), 1_000).unwrap();
    messages.iter().for_each(|message| packet.push(message).unwrap());
    packet.finish().to_vec()
}

fn options() -> Options {
    Options { resolve: false, ..Options::default() }
}

fn passes(text: &str, frame: &[u8]) -> bool {
    match Filter::compile(text, &options()) {
        Ok(filter) => filter.matches(frame, frame.len() as u32) != 0,
        Err(error) => panic!("{}", error.render(text)),
    }
}

fn refused(text: &str) -> FilterError {
    let error = Filter::compile(text, &options()).map(|_| panic!("{text} is a filter"));
    error.unwrap_err()
}

#[track_caller]
fn check(frame: &[u8], expected: &[(&str, bool)]) {
    for (text, verdict) in expected {
        assert_eq!(passes(text, frame), *verdict, "{text}");
    }
}

#[test]
fn one_message_has_to_make_all_of_it_true() {
    let packet =
        frame(false, 26477, &mold(&[add("AAPL", 1_005_000), add("MSFT", 4_000_000), delete()]));
    check(
        &packet,
        &[
            (r#"itch.stock == "AAPL""#, true),
            ("itch.stock == AAPL and udp port 26477", true),
            (r#"itch.stock == "AAPL" and itch.type in {"A","F"}"#, true),
            (r#"itch.stock == "AAPL" and itch.price > 100.5"#, false),
            (r#"itch.stock == "AAPL" and itch.price >= 100.5"#, true),
            ("itch.stock == AAPL and itch.stock == MSFT", false),
            ("udp port 26477 and itch.price > 100.5", true),
            ("udp port 1 and itch.price > 100.5", false),
            ("tcp or itch.price in {0.0001, 399.5..400.5}", true),
            ("itch.price in 100.5..100.5", true),
            ("itch.stock < AAPM and itch.stock >= A", true),
            (r#"itch.timestamp == "09:30:00""#, true),
            (r#"itch.timestamp > "09:30:00""#, false),
            ("itch.order_reference_number == 1099511627776", true),
            ("itch.order_reference_number > 1099511627776", false),
            (r#"moldudp64.session == "000010059B" and itch.type == D"#, true),
            ("moldudp64.sequence == 1002 and itch.type == D", true),
            ("moldudp64.sequence == 1001 and itch.type == D", false),
            ("moldudp64.sequence_number == 1000 and itch.type == D", true),
            ("moldudp64.sequence > 1002", false),
            ("moldudp64.message_count == 3", true),
            ("iex.symbol == AAPL or iex.type == Q", false),
        ],
    );
}

#[test]
fn a_field_that_a_message_lacks_is_false_whatever_is_asked() {
    let packet = frame(false, 1, &mold(&[delete()]));
    check(
        &packet,
        &[
            ("itch.stock == AAPL", false),
            ("itch.stock != AAPL", false),
            ("not itch.stock == AAPL", true),
            ("not itch.stock != AAPL", true),
            ("itch.type == D and not itch.price < 1", true),
        ],
    );
}

#[test]
fn all_is_about_every_message() {
    let one = frame(false, 1, &mold(&[add("AAPL", 1), add("AAPL", 2)]));
    let two = frame(false, 1, &mold(&[add("AAPL", 1), delete()]));
    let none = frame(false, 1, &moldudp64::heartbeat(session(), 7));
    check(&one, &[("all(itch.stock == AAPL)", true), ("not all(itch.price == 0.0001)", true)]);
    check(&two, &[("all(itch.stock == AAPL)", false), ("all(itch.type in {A, D})", true)]);
    check(&none, &[("all(itch.type == A)", false), ("all(not itch.type == A)", false)]);
    check(&two, &[("itch.type == D and all(moldudp64.sequence >= 1000)", true)]);
    check(&two, &[("(itch.type == D or tcp) and all(itch.stock == AAPL or itch.type == D)", true)]);
}

#[test]
fn packets_without_messages_are_evaluated_once() {
    let heartbeat = frame(false, 1, &moldudp64::heartbeat(session(), 7));
    let end = frame(false, 1, &moldudp64::end_of_session(session(), 9));
    check(
        &heartbeat,
        &[
            ("moldudp64.session == 000010059B", true),
            ("moldudp64.session == 000010059B and not itch.type == A", true),
            ("moldudp64.message_count == 0 and moldudp64.sequence == 7", true),
            ("itch.type == A", false),
        ],
    );
    check(&end, &[("moldudp64.message_count == 65535 and moldudp64.sequence == 9", true)]);
    let dns = frame(
        false,
        53,
        &[0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3, b'w', b'w', b'w', 0, 0, 1, 0, 1, 0],
    );
    let text =
        frame(false, 514, b"<134>Nov 21 11:00:00 host program: a line of syslog, which is text");
    for other in [dns, text] {
        check(
            &other,
            &[
                ("moldudp64.session >= A", false),
                ("moldudp64.sequence >= 0", false),
                ("not itch.type == A", true),
                ("udp or itch.type == A", true),
            ],
        );
    }
}

#[test]
fn what_is_cut_ends_the_packet_and_what_came_before_counts() {
    let packet = frame(false, 1, &mold(&[add("AAPL", 1), add("MSFT", 1)]));
    let cut = &packet[..packet.len() - 1];
    check(cut, &[("itch.stock == AAPL", true), ("itch.stock == MSFT", false)]);
    check(cut, &[("all(itch.stock == AAPL)", true)]);
    // Inside the headers a cut rejects, as `port` rejects it.
    check(&packet[..50], &[("itch.stock == AAPL", false), ("not itch.stock == AAPL", false)]);
    // What follows the datagram is no message.
    let mut payload = mold(&[add("AAPL", 1)]);
    payload[19] = 2;
    let mut padded = frame(false, 1, &payload);
    padded.extend(36u16.to_be_bytes());
    padded.extend(add("MSFT", 1));
    check(&padded, &[("itch.stock == AAPL", true), ("itch.stock == MSFT", false)]);
}

#[test]
fn headers_are_looked_for_where_the_text_has_come() {
    let plain = frame(false, 1, &mold(&[add("AAPL", 1)]));
    let tagged = frame(true, 1, &mold(&[add("AAPL", 1)]));
    let text = "itch.stock == AAPL or (vlan 5 and itch.stock == AAPL)";
    check(
        &plain,
        &[("itch.stock == AAPL", true), ("vlan and itch.stock == AAPL", false), (text, true)],
    );
    check(
        &tagged,
        &[("itch.stock == AAPL", false), ("vlan and itch.stock == AAPL", true), (text, true)],
    );
}

#[test]
fn iex_in_its_own_byte_order() {
    let quote = iex::tops::QuoteUpdateBuilder::new()
        .symbol(Ascii::new("ZIEXT").unwrap())
        .bid_size(300)
        .bid_price(Price(-5_000))
        .ask_price(Price(1_005_000));
    let header = tp::HeaderBuilder::new()
        .message_protocol_id(tp::protocol::TOPS_1_6)
        .session_id(46)
        .first_message_sequence_number(0xffff_ffff);
    let mut buffer = [0; 200];
    let mut segment = tp::SegmentBuilder::new(&mut buffer, header).unwrap();
    segment.push(quote.as_bytes()).unwrap();
    segment.push(quote.as_bytes()).unwrap();
    let packet = frame(false, 10377, segment.finish());
    check(
        &packet,
        &[
            (r#"iex.symbol == "ZIEXT""#, true),
            ("iex.symbol in {AAPL, MSFT, ZIEX, ZIEXU, F, G}", false),
            ("iex.bid_price == -0.5 and iex.bid_price < 0", true),
            ("iex.bid_price in -1..-0.5", true),
            ("iex.bid_price in { -0.6 .. -0.5001 }", false),
            ("iex.ask_price > 100.4999 and iex.ask_price < 100.5001", true),
            ("iex.bid_size in {1, 300}", true),
            ("iex.bid_size > 300 or iex.bid_size < 300", false),
            ("iextp.session_id == 46 and iextp.message_protocol_id == 0x8003", true),
            ("iextp.sequence == 4294967296", true),
            ("iextp.sequence > 4294967296", false),
            ("itch.type == Q or moldudp64.sequence >= 0", false),
        ],
    );
}

#[test]
fn sbe_behind_the_framing_of_cme_and_of_b3() {
    let message = |template: u16, schema: u16| {
        let header = sbe::MessageHeaderBuilder::new().template_id(template).schema_id(schema);
        [&header.block_length(11).version(9).as_bytes()[..], &[0; 11]].concat()
    };
    let sent = UnixTime(1_700_000_000_000_000_000);
    let mut buffer = [0; 400];
    let header = mdp3::PacketHeaderBuilder::new().msg_seq_num(7).sending_time(sent);
    let mut packet = mdp3::PacketBuilder::new(&mut buffer, &header).unwrap();
    packet.push(&message(48, 1)).unwrap();
    packet.push(&message(46, 1)).unwrap();
    let cme = frame(false, 14310, packet.finish());
    let header = umdf::PacketHeaderBuilder::new().sequence_number(9).sending_time(sent);
    let mut packet = umdf::PacketBuilder::new(&mut buffer, &header).unwrap();
    packet.push(&message(50, 2)).unwrap();
    let b3 = frame(false, 10001, packet.finish());
    check(
        &cme,
        &[
            ("sbe.template_id == 46", true),
            ("sbe.template_id == 47 or umdf.sequence_number > 0", false),
            ("sbe.template_id in {46, 47} and sbe.version >= 9 and mdp3.msg_seq_num == 7", true),
            ("all(sbe.schema_id == 1 and sbe.block_length == 11)", true),
            ("mdp3.sending_time == \"2023-11-14T22:13:20Z\"", true),
        ],
    );
    check(&b3, &[("sbe.template_id == 50 and umdf.sequence_number == 9", true)]);
    check(&b3, &[("sbe.template_id == 46 or mdp3.msg_seq_num >= 0", false)]);
}

/// A frame of TCP over IPv4, padded to the least length.
fn segment(payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0];
    bytes.extend((44 + payload.len() as u16).to_be_bytes());
    bytes.extend([0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    bytes.extend([0x30, 0x39, 0x23, 0x82, 0, 0, 0, 1, 0, 0, 0, 1, 0x60, 0x18, 1, 0, 0, 0, 0, 0]);
    bytes.extend([1; 4]);
    bytes.extend(payload);
    bytes.resize(bytes.len().max(60), 0);
    bytes
}

#[test]
fn fix_by_the_numbers_of_its_fields() {
    let message = |body: &str| {
        let body = body.replace('|', "\x01");
        let text = format!("8=FIX.4.4\x019={}\x01{body}", body.len());
        let sum: u32 = text.bytes().map(u32::from).sum();
        format!("{text}10={:03}\x01", sum % 256)
    };
    let order = message("35=D|34=2|49=ME|11=7|55=AAPL|54=1|38=100|58=a 35=8|");
    let beat = message("35=0|34=3|49=ME|");
    let stream = format!("{order}{beat}");
    let framed = tickwire_market::fix::Frames::new(stream.as_bytes()).count();
    assert_eq!(framed, 2, "both are messages to the market crate");
    let both = segment(stream.as_bytes());
    check(
        &both,
        &[
            ("fix.35 == \"D\"", true),
            ("fix.35 == D and fix.55 == AAPL and tcp port 9090", true),
            ("fix.35 == 0 and fix.55 == AAPL", false),
            ("fix.35 == 0 and not fix.55 == AAPL", true),
            ("fix.35 in {8, AE}", false),
            ("fix.58 == \"a 35=8\"", true),
            ("fix.5 == AAPL or fix.49 == M or fix.49 == MEX", false),
            ("fix.35 != D", true),
            ("fix.55 != AAPL", false),
            ("all(fix.49 == ME)", true),
            ("all(fix.35 == D)", false),
        ],
    );
    let cut = &both[..both.len() - 1];
    check(cut, &[("fix.35 == D", true), ("fix.35 == 0", false)]);
    let ack = segment(b"");
    check(&ack, &[("fix.35 == D", false), ("not fix.35 == D", true)]);
    check(&segment(&stream.as_bytes()[1..]), &[("fix.35 == D", false)]);
    let error = refused("fix.55 > 100");
    assert!(error.message.contains("'fix.55' is no number in FIX 4.2"), "{error}");
    assert!(refused("fix.38 > lots").message.contains("'lots' is no number"));
    assert!(refused("fix.38 in 5..4.5").message.contains("begins above its end"));
    assert!(refused("fix.55 in A..B").message.contains("no ranges"));
    assert!(refused("fix.035 == D").message.contains("is no field"));
}

#[test]
fn ouch_over_soupbintcp_in_both_directions() {
    let stock = Ascii::new("AAPL").unwrap();
    let enter = ouch42::EnterOrderBuilder::new().shares(100).stock(stock).price(Price(1_005_000));
    let packet = |letter: u8, message: &[u8]| {
        [&(1 + message.len() as u16).to_be_bytes()[..], &[letter], message].concat()
    };
    let orders = [packet(b'R', b""), packet(b'U', enter.as_bytes())].concat();
    check(
        &segment(&orders),
        &[
            ("ouch42.stock == AAPL and ouch42.type == O", true),
            ("ouch42.price > 100.4 and ouch42.shares == 100", true),
            ("ouch42.shares < 100 or ouch50.symbol == AAPL", false),
            ("ouch42.type == R or itch.stock == AAPL", false),
        ],
    );
    let accepted = ouch42::AcceptedBuilder::new().stock(stock);
    let answers = packet(b'S', accepted.as_bytes());
    check(&segment(&answers), &[("ouch42.stock == AAPL and ouch42.type == A", true)]);
    // An inbound message of the same letter would be another.
    check(&segment(&packet(b'U', accepted.as_bytes())), &[("ouch42.stock == AAPL", false)]);
}

#[test]
fn a_name_with_dots_is_a_host_unless_it_is_compared() {
    for text in ["host itch.stock", "itch.stock", "host a or itch.stock", "src itch.stock and udp"]
    {
        let error = refused(text);
        let syntax = text == "itch.stock";
        let kind = if syntax { ErrorKind::Syntax } else { ErrorKind::Resolve };
        assert_eq!(error.kind, kind, "{text}: {error}");
    }
    assert!(refused("tcp and itch.stock").message.contains("lacks its comparison"));
    check(&frame(false, 1, &[0; 30]), &[("host 10.0.0.1 and not itch.stock == AAPL", true)]);
}

#[test]
fn mistakes_are_pointed_at() {
    let cases: [(&str, &str, &str); 23] = [
        ("itch.stok == AAPL", "itch.stok", "did you mean 'itch.stock'"),
        ("itch.symbol == AAPL", "itch.symbol", "'tickwire filter fields itch' lists"),
        ("ITCH.stock == AAPL", "ITCH.stock", "did you mean 'itch.stock'"),
        ("MOLDUDP64.SEQUENCE > 1", "MOLDUDP64.SEQUENCE", "did you mean 'moldudp64.sequence'"),
        (
            "moldudp64.sequence >= 18446744073709551616",
            "18446744073709551616",
            "holds 0 to 18446744073709551615",
        ),
        ("ip proto 42949672960000000000", "42949672960000000000", "overflows 32 bits"),
        ("tcp[4:4] = 0x100000000", "0x100000000", "number 0x100000000 overflows 32 bits"),
        ("itchy.stock == AAPL", "itchy.stock", "did you mean 'itch.stock'"),
        ("udp and example.com == 3", "example.com", "is no field; 'tickwire filter fields' lists"),
        ("itch.price > 1.00001", "1.00001", "has 5 decimals; the field has 4"),
        ("itch.price > abc", "abc", "is no price"),
        ("itch.price > 500000", "500000", "holds 0.0000 to 429496.7295"),
        ("itch.stock_locate == 70000", "70000", "holds 0 to 65535"),
        ("itch.stock == TOOLONGSYM", "TOOLONGSYM", "at most 8 characters"),
        ("itch.type == AB", "AB", "one character"),
        (r#"itch.timestamp > "9:30""#, r#""9:30""#, "no time of day"),
        ("itch.price in 5..4", "5", "begins above its end"),
        ("itch.price in 5", "5", "a range such as"),
        ("itch.price == ", "", "expected a value"),
        ("itch.price in {1, 2", "", "expected ',' or '}'"),
        (r#"itch.stock == "AAPL"#, "\"", "no quotation mark"),
        ("all(tcp)", "all(tcp)", "name a field"),
        ("all(itch.type == A and all(itch.type == A))", "all(itch.type == A)", "inside 'all'"),
    ];
    for (text, word, message) in cases {
        let error = refused(text);
        assert_eq!(&text[error.span.clone()], word, "{text}: {error}");
        assert!(error.message.contains(message), "{text}: {error}");
    }
    assert_eq!(refused("tcp port 42949672950").kind, ErrorKind::Value);
}

#[test]
fn what_the_kernel_decides_is_all_but_the_loop() {
    let compile = |text: &str| Filter::compile(text, &options()).unwrap();
    for text in ["moldudp64.session == 000010059B", "iextp.session_id == 46 and udp port 10377"] {
        assert!(compile(text).xdp_part().unwrap().rest.is_none(), "{text}");
        assert!(compile(text).classic_part().unwrap().rest.is_none(), "{text}");
    }
    let filter =
        compile("udp port 26477 and moldudp64.session == 000010059B and itch.stock == AAPL");
    assert_eq!(filter.xdp().unwrap_err().reason(), "messages");
    assert!(filter.classic().unwrap_err().message.contains("cannot loop"));
    let part = filter.classic_part().unwrap();
    assert!(part.rest.unwrap().contains("every message"));
    let run = |port, payload: &[u8]| {
        let bytes = frame(false, port, payload);
        let packet = tickwire_filter::Packet::whole(&bytes);
        tickwire_filter::classic::run(&part.program, &packet) != 0
    };
    assert!(run(26477, &mold(&[add("AAPL", 1)])) && run(26477, &mold(&[add("MSFT", 1)])));
    assert!(!run(26478, &mold(&[add("AAPL", 1)])) && !run(26477, &[7; 40]));
    let other = moldudp64::heartbeat(Ascii::new("other").unwrap(), 7);
    assert!(!run(26477, &other));
}

#[test]
fn every_field_of_every_message_is_a_name() {
    for (types, prefix) in [
        (ouch42::Inbound::TYPES, "ouch42"),
        (ouch42::Outbound::TYPES, "ouch42"),
        (ouch50::Inbound::TYPES, "ouch50"),
        (ouch50::Outbound::TYPES, "ouch50"),
        (itch50::Message::TYPES, "itch"),
        (iex::tops::Message::TYPES, "iex"),
        (iex::deep::Message::TYPES, "iex"),
        (iex::deep_plus::Message::TYPES, "iex"),
    ] {
        for (letter, _, fields) in types {
            for field in fields.iter() {
                let name = format!("{prefix}.{}", field.name);
                let found = fields::list(&name);
                let has = |of: &str| of == "every message" || of.contains(char::from(*letter));
                assert!(found.iter().any(|info| info.name == name && has(&info.of)), "{name}");
                // A value of the field itself is always a value for it.
                let zeros = vec![0; field.offset + field.len];
                let value = field.value(&zeros).unwrap();
                let text = match value {
                    tickwire_market::Value::Text(_) => format!("{name} == \"\""),
                    tickwire_market::Value::SinceMidnight(_) => format!("{name} == 0"),
                    tickwire_market::Value::UnixTime(_) => format!("{name} == 0"),
                    value => format!("{name} == {value}"),
                };
                assert!(Filter::compile(&text, &options()).is_ok(), "{text}");
            }
        }
    }
}

#[test]
fn long_lists_of_symbols() {
    let symbol = |n: u32| format!("S{n:03}");
    let list: Vec<String> = (0..1000).step_by(2).map(symbol).collect();
    let text = format!("itch.stock in {{{}}}", list.join(","));
    let filter = Filter::compile(&text, &options()).unwrap();
    for n in 0..1000 {
        let packet = frame(false, 1, &mold(&[delete(), add(&symbol(n), 1)]));
        assert_eq!(filter.matches(&packet, 100) != 0, n % 2 == 0, "{n}");
    }
}
