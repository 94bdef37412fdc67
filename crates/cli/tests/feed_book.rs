//! `tickwire feed book`: what is bid and offered, from each message once and in order.

mod common;

use common::{Folder, market_corpus, pcap, run, udp_frame};
use serde_json::{Value, json};
use tickwire_market::iex::{deep_plus, tp};
use tickwire_market::itch50::{
    AddOrderBuilder, OrderDeleteBuilder, StockDirectoryBuilder, SystemEventBuilder,
};
use tickwire_market::moldudp64::{PacketBuilder, Session};
use tickwire_market::{Ascii, Code, Price};

const SESSION: Session = Ascii(*b"SESSION   ");

fn directory() -> Vec<u8> {
    let directory = StockDirectoryBuilder::new().stock_locate(7);
    directory.stock(Ascii::new("AAPL").expect("short")).as_bytes().to_vec()
}

fn add(reference: u64, side: u8, price: u32) -> Vec<u8> {
    let add = AddOrderBuilder::new().stock_locate(7).order_reference_number(reference);
    let add = add.buy_sell_indicator(Code(side)).shares(100).price(Price(price));
    add.stock(Ascii::new("AAPL").expect("short")).as_bytes().to_vec()
}

fn delete(reference: u64) -> Vec<u8> {
    let delete = OrderDeleteBuilder::new().stock_locate(7);
    delete.order_reference_number(reference).as_bytes().to_vec()
}

/// A packet of a line, by the last byte of its group.
fn packet(line: u8, first: u64, messages: &[Vec<u8>]) -> Vec<u8> {
    let mut buffer = [0; 1472];
    let mut packet = PacketBuilder::new(&mut buffer, SESSION, first).expect("room");
    messages.iter().for_each(|message| packet.push(message).expect("room"));
    let mut frame = udp_frame(packet.finish());
    frame[30..34].copy_from_slice(&[239, 1, 1, line]);
    frame
}

/// The only book of a capture, one packet a millisecond, and what was said.
fn book(test: &str, frames: &[Vec<u8>], more: &[&str]) -> (Value, String) {
    let folder = Folder::new(test);
    let file = folder.with("feed.pcap", &pcap(frames));
    let args = [&["feed", "book", "-r", file.as_str(), "--format=json"], more].concat();
    let ran = run(&args).expect_code(0);
    (ran.summary(), ran.stderr)
}

fn prices(book: &Value, side: &str) -> Vec<String> {
    let levels = book[side].as_array().expect("levels");
    levels.iter().map(|level| level["price"].as_str().expect("text").to_owned()).collect()
}

#[test]
fn two_lines_make_one_book_and_late_messages_take_their_place() {
    let frames = [
        packet(1, 1, &[directory(), add(1, b'B', 10_000)]),
        packet(2, 1, &[directory(), add(1, b'B', 10_000)]),
        // The order that this deletes comes later, on the other line.
        packet(1, 4, &[delete(2), add(3, b'S', 10_100)]),
        packet(2, 3, &[add(2, b'B', 10_050), delete(2), add(3, b'S', 10_100)]),
    ];
    let (book, said) = book("late", &frames, &[]);
    assert_eq!(
        (prices(&book, "bids"), prices(&book, "offers")),
        (vec!["1.0000".into()], vec!["1.0100".into()])
    );
    assert_eq!(
        (&book["symbol"], &book["stale"], &book["crossed"]),
        (&json!("AAPL"), &json!(false), &json!(false))
    );
    assert!(!said.contains("unresolved") && !said.contains("missing"), "{said}");
}

#[test]
fn what_never_comes_makes_books_stale() {
    let frames = [
        packet(1, 1, &[directory(), add(1, b'B', 10_000)]),
        packet(1, 4, &[delete(2)]),
        packet(1, 5, &[add(3, b'S', 10_100)]),
    ];
    let (stale, said) = book("stale", &frames, &["--hold", "1ms"]);
    assert_eq!((&stale["stale"], prices(&stale, "offers")), (&json!(true), vec!["1.0100".into()]));
    assert!(said.contains("messages that never came") && said.contains("D 1"), "{said}");
}

#[test]
fn who_joins_late_does_not_know_what_rested_before() {
    let frames = [packet(1, 7, &[directory(), add(1, b'B', 10_000)])];
    let (stale, said) = book("late-join", &frames, &[]);
    assert_eq!(stale["stale"], json!(true));
    assert!(said.contains("joined at message 7: what rested before is in no book"), "{said}");
    // With the first message of the day all is known, whatever came before.
    let begin = SystemEventBuilder::new().event_code(Code(b'O')).as_bytes().to_vec();
    let frames = [packet(1, 7, &[begin, directory(), add(1, b'B', 10_000)])];
    let (fresh, _) = book("begins", &frames, &[]);
    assert_eq!(fresh["stale"], json!(false));
}

#[test]
fn a_book_is_stale_while_something_is_waited_for_and_until_it_is_cleared() {
    let frames = [
        packet(1, 1, &[directory(), add(1, b'B', 10_000)]),
        packet(2, 1, &[directory(), add(1, b'B', 10_000)]),
        // 3 is passed over on both lines, and comes late on one.
        packet(1, 4, &[add(4, b'B', 10_100)]),
        packet(2, 4, &[add(4, b'B', 10_100)]),
        packet(1, 5, &[add(5, b'B', 10_200)]),
        packet(2, 3, &[add(3, b'B', 10_050)]),
        packet(1, 6, &[add(6, b'B', 10_300)]),
    ];
    let folder = Folder::new("waits");
    let file = folder.with("feed.pcap", &pcap(&frames));
    let args = ["feed", "book", "-r", &file, "--format", "json", "--every", "1ms"];
    let ran = run(&[&args[..], &["--hold", "10s"]].concat()).expect_code(0);
    let books = ran.text().lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let shown: Vec<_> = books.map(|book| (book["stale"] == true, prices(&book, "bids"))).collect();
    let waits = shown.iter().position(|(stale, _)| *stale).expect("stale in between");
    assert_eq!(shown[waits].1, ["1.0000"], "as it was before: {shown:?}");
    let (stale, bids) = shown.last().expect("a book");
    assert_eq!((*stale, bids.len()), (false, 5), "{shown:?}");
}

/// DEEP+ says when a book is empty: then it is known again, and others are not.
#[test]
fn a_cleared_book_is_fresh_again() {
    let symbol = |name: &str| Ascii::new(name).expect("short");
    let add = |name: &str, id: u64| {
        let add = deep_plus::AddOrderBuilder::new().side(Code(b'8')).symbol(symbol(name));
        add.order_id(id).size(100).price(Price(10_000)).as_bytes().to_vec()
    };
    let clear = deep_plus::ClearBookBuilder::new().symbol(symbol("A")).as_bytes().to_vec();
    let segment = |first: u64, messages: &[Vec<u8>]| {
        let mut buffer = [0; 1000];
        let header = tp::HeaderBuilder::new().first_message_sequence_number(first);
        let header = header.message_protocol_id(tp::protocol::DEEP_PLUS_1_0);
        let mut segment = tp::SegmentBuilder::new(&mut buffer, header).expect("room");
        messages.iter().for_each(|message| segment.push(message).expect("room"));
        let mut frame = udp_frame(segment.finish());
        frame[30..34].copy_from_slice(&[239, 1, 1, 1]);
        frame
    };
    let frames = [
        segment(1, &[add("A", 1), add("B", 2)]),
        segment(5, &[add("A", 3)]),
        segment(6, &[add("B", 4)]),
        segment(7, &[clear, add("A", 5)]),
        segment(9, &[add("B", 6)]),
    ];
    let folder = Folder::new("cleared");
    let file = folder.with("feed.pcap", &pcap(&frames));
    let args = ["feed", "book", "-r", &file, "--format", "json", "--hold", "1ms"];
    let ran = run(&[&args[..], &["--protocol", "deepplus"]].concat()).expect_code(0);
    let books = ran.text().lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let stale: Vec<_> = books.map(|book| (book["symbol"].clone(), book["stale"].clone())).collect();
    assert_eq!(stale, [(json!("A"), json!(false)), (json!("B"), json!(true))]);
}

#[test]
fn books_in_between_and_of_one_symbol() {
    let frames: Vec<_> = (0..5)
        .map(|at| packet(1, 1 + at, &[add(at + 1, b'B', 10_000 + 100 * at as u32)]))
        .collect();
    let folder = Folder::new("every");
    let file = folder.with("feed.pcap", &pcap(&frames));
    let args = ["feed", "book", "-r", &file, "--symbol", "AAPL", "--depth", "1", "--every", "2ms"];
    let ran = run(&[&args[..], &["--format", "levels"]].concat()).expect_code(0);
    let lines: Vec<_> = ran.text().lines().filter(|line| line.starts_with("AAPL")).collect();
    assert_eq!(lines.last(), Some(&"AAPL|B|10400|100"));
    assert!(lines.len() >= 3 && lines.is_sorted(), "{lines:?}");
    let args = ["feed", "book", "-r", &file, "--every", "0"];
    run(&args).expect_message(2, &["--every", "above 0"]);
}

#[test]
fn a_symbol_without_a_book_is_an_error_that_names_its_neighbours() {
    let folder = Folder::new("symbol");
    let frames = [packet(1, 1, &[directory(), add(1, b'B', 10_000)])];
    let file = folder.with("feed.pcap", &pcap(&frames));
    let of = |symbols: &[&str]| {
        let symbols = symbols.iter().flat_map(|symbol| ["--symbol", symbol]).collect::<Vec<_>>();
        run(&[&["feed", "book", "-r", &file], &symbols[..]].concat())
    };
    of(&["aapl"]).expect_message(1, &["no book of aapl; did you mean AAPL?"]);
    of(&["NOPE"]).expect_message(1, &["no book of NOPE, of 1 symbols", "without --symbol"]);
    let some = of(&["AAPL", "AAP"]).expect_code(0);
    assert_eq!(some.text().lines().count(), 2, "{some:?}");
    assert!(some.stderr.contains("no book of AAP; did you mean AAPL?"), "{}", some.stderr);
}

#[test]
fn the_final_book_of_ritch() {
    let Some(levels) = market_corpus("itch/RITCH.levels.txt") else { return };
    let expected = std::fs::read(levels).expect("levels");
    for name in ["ex20101224.TEST_ITCH_50", "ex20101224.TEST_ITCH_50.binaryfile"] {
        let Some(file) = market_corpus(&format!("itch/{name}")) else { return };
        let ran = run(&["feed", "book", "-r", &file, "--format", "levels"]).expect_code(0);
        let text = ran.text().trim_end().as_bytes();
        assert!(text == expected.trim_ascii_end(), "{name} is another book");
        assert!(ran.stderr.contains("117") && ran.stderr.contains("D 94, E 18, U 2, X 3"));
    }
}
