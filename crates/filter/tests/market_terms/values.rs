//! Values that are not in the text, and numbers that are text in the packet.

use super::{add, frame, mold, options, refused, segment};
use tickwire_filter::native::Native;
use tickwire_filter::{Filter, Options};
use tickwire_frame::{Batch, Frame, Timestamp};

type Holds = fn(i128, i128) -> bool;

/// A decimal number in units of its 30th decimal, for small ones.
fn exact(text: &str) -> Option<i128> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = format!("{whole}{fraction:0<30}");
    let are_digits = all.bytes().all(|byte| byte.is_ascii_digit());
    let any = !whole.is_empty() || !fraction.is_empty();
    (any && are_digits).then(|| sign * all.parse::<i128>().unwrap())
}

#[test]
fn numbers_of_fix_have_an_order() {
    let values = [
        "0",
        "-0",
        "0.0",
        "-0.00",
        "1",
        "01",
        "-1",
        "9",
        "10",
        "00010.00",
        "99.5",
        "99.50",
        "100",
        "100.",
        ".5",
        "-.5",
        "100.25",
        "100.250000001",
        "-100.25",
        "1000",
        "0.000001",
        "12345678",
        "",
        "-",
        ".",
        "-.",
        "1e3",
        "+1",
        "1.2.3",
        "AAPL",
        "1 ",
        "10-",
        "--1",
    ];
    let wanted = ["0", "-0.0", "-1", "9.99", "10", "100.25", "-100.25"];
    let compare: [(&str, Holds); 4] =
        [("<", |a, b| a < b), ("<=", |a, b| a <= b), (">", |a, b| a > b), (">=", |a, b| a >= b)];
    let packets: Vec<_> = values
        .iter()
        .map(|value| {
            let body = format!("35=D\x0138={value}\x0144={value}\x01");
            let text = format!("8=FIX.4.4\x019={}\x01{body}10=000\x01", body.len());
            (exact(value), segment(text.as_bytes()))
        })
        .collect();
    let verdicts = |text: &str| {
        let filter = Filter::compile(text, &options()).unwrap();
        let native = Native::compile(filter.program()).unwrap();
        let mut batch = Batch::new();
        packets.iter().for_each(|(_, packet)| batch.push(Frame::new(packet, Timestamp::ZERO)));
        let mask = native.select(&batch);
        let of = |(_, packet): &(_, Vec<u8>)| filter.matches(packet, packet.len() as u32) != 0;
        let verdicts: Vec<bool> = packets.iter().map(of).collect();
        let same = verdicts.iter().enumerate().all(|(at, verdict)| mask.contains(at) == *verdict);
        assert!(same, "{text}: native code says {mask:?}");
        verdicts
    };
    for wanted in wanted {
        let number = exact(wanted).unwrap();
        for (relation, holds) in compare {
            let text = format!("fix.44 {relation} {wanted}");
            let expected =
                packets.iter().map(|(value, _)| value.is_some_and(|it| holds(it, number)));
            assert_eq!(verdicts(&text), expected.collect::<Vec<_>>(), "{text}");
        }
        let text = format!("fix.38 in {{{wanted}..1000.1, AAPL, 12345678}}");
        let high = exact("1000.1").unwrap();
        let expected = packets.iter().zip(values).map(|((value, _), text)| {
            let is_in = value.is_some_and(|it| (number..=high).contains(&it));
            is_in || ["AAPL", "12345678"].contains(&text)
        });
        assert_eq!(verdicts(&text), expected.collect::<Vec<_>>(), "{text}");
    }
}

#[test]
fn lists_of_symbols_come_from_files() {
    let folder = std::env::temp_dir().join(format!("tickwire-symbols-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = |text: &str| {
        let path = folder.join("symbols.txt");
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let resolving = Options { resolve: true, ..options() };
    let compiled = |text: &str| Filter::compile(text, &resolving);
    let passes = |filter: &Filter, symbol: &str, price| {
        let packet = frame(false, 26477, &mold(&[add(symbol, price)]));
        filter.matches(&packet, packet.len() as u32) != 0
    };
    let path = file("# my symbols\nAAPL\nMSFT # a comment\n\n\"BRK A\"\nBAC#\n");
    let filter = compiled(&format!("itch.stock in @{path} and itch.price > 0")).unwrap();
    for (symbol, wanted) in [
        ("AAPL", true),
        ("MSFT", true),
        ("BRK A", true),
        ("BAC#", true),
        ("BAC", false),
        ("#", false),
    ] {
        assert_eq!(passes(&filter, symbol, 1), wanted, "{symbol}");
    }
    let path = file("1.5\n2..3\n");
    let filter = compiled(&format!("itch.price in @\"{path}\"")).unwrap();
    let prices = [14_999, 15_000, 19_999, 20_000, 30_000, 30_001];
    let passed = prices.map(|price| passes(&filter, "AAPL", price));
    assert_eq!(passed, [false, true, false, true, true, false]);

    // As many as there are, within the time and the size that a filter may have.
    let name = |number: u32| {
        let letter = |at: u32| char::from(b'A' + (number / 26_u32.pow(at) % 26) as u8);
        (0..if number.is_multiple_of(9) { 5 } else { 4 }).map(letter).collect::<String>()
    };
    let many: Vec<_> = (0..12_000).map(|number| name(number * 31)).collect();
    let path = file(&many.join("\n"));
    let filter = compiled(&format!("itch.stock in @{path}")).unwrap();
    for number in (0..12_000).step_by(997) {
        assert!(passes(&filter, &many[number], 1), "{}", many[number]);
    }
    assert!(!passes(&filter, "ZZZZZZ", 1) && !passes(&filter, "A", 1));

    for (text, line) in [
        ("AAPL\nTOOLONGSYM\n", "line 2: 'TOOLONGSYM' is too long"),
        ("AAPL MSFT", "line 1: a blank is in the value"),
        ("\n\"AAPL", "line 2: a quotation mark is missing"),
        ("\"A\" B", "line 1: something follows"),
        ("# nothing", "is empty; write one value a line"),
    ] {
        let path = file(text);
        let text = format!("udp and itch.stock in @{path}");
        let error = compiled(&text).map(drop).unwrap_err();
        assert!(error.message.contains(line), "{error}");
        assert_eq!(text[error.span.clone()], format!("@{path}"));
    }
    let error = compiled("itch.stock in @/no/such/file").map(drop).unwrap_err();
    assert!(error.message.contains("/no/such/file: No such file"), "{error}");
    assert!(refused(&format!("itch.stock in @{path}")).message.contains("not read here"));
    std::fs::remove_dir_all(&folder).unwrap();
}
