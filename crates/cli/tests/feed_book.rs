//! `tickwire feed book`: what is bid and offered, from each message once and in order.

mod common;

use common::{Folder, market_corpus, pcap, run, udp_frame};
use serde_json::{Value, json};
use tickwire_market::itch50::{AddOrderBuilder, OrderDeleteBuilder, StockDirectoryBuilder};
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
