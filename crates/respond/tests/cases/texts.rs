//! Texts of random targets and limits.

use crate::common::Random;
use tickwire_market::Value;
use tickwire_respond::NUMBER_MAX;

/// The most parts of a template.
const PARTS_MAX: u64 = 7;

/// A price as it is written in a configuration of `scale` decimals.
pub fn money(raw: i64, scale: u32) -> String {
    Value::Price { raw: raw.into(), decimals: scale }.to_string()
}

/// One to four targets, and how many decimals the prices of their orders have at most.
pub fn targets(random: &mut Random) -> (Vec<String>, u32) {
    let (mut targets, mut most) = (Vec::new(), 0);
    for place in 0..1 + random.below(4) {
        let (format, decimals) = match random.below(4) {
            0 => ("format = \"nanonet\"".to_owned(), 2),
            1 => ("format = \"nanonet-big\"".to_owned(), 2),
            _ => {
                let (text, decimals) = template(random);
                (format!("format = \"hex\"\ntemplate = '{text}'"), decimals)
            }
        };
        most = decimals.max(most);
        let address = format!("192.168.1.{}:{}", place + 1, 9_000 + place);
        targets
            .push(format!("[[target]]\nname = \"{place}\"\n{format}\naddress = \"{address}\"\n"));
    }
    (targets, most)
}

/// A template, and how many decimals its prices have at most.
fn template(random: &mut Random) -> (String, u32) {
    let mut decimals = 0;
    let mut parts = Vec::new();
    for _ in 0..1 + random.below(PARTS_MAX) {
        let width = 1 + random.below(8);
        let order = random.of(&["le", "be"]);
        parts.push(match random.below(9) {
            0 => format!("{{symbol:{}}}", 1 + random.below(12)),
            1 | 2 => {
                let of = random.of(&[0, 2, 2, 2, 3, 4, 6, 9]);
                decimals = of.max(decimals);
                format!("{{price:{width}{order}.{of}}}")
            }
            3 => format!("{{quantity:{width}{order}{}}}", random.of(&["", " max 99", " max 100"])),
            4 => format!("{{number:8{order}}}"),
            5 => format!("{{time:8{order}}}"),
            6 => format!("{{clordid:{}{}}}", 13 + random.below(8), random.of(&["", "nul"])),
            7 => random.of(&["{side:B/S}", "{side:42/53/54}"]).to_owned(),
            _ => (0..random.below(20))
                .fold("00".to_owned(), |text, _| format!("{text} {:02x}", random.below(256))),
        });
    }
    (parts.join(" "), decimals)
}

/// Limits for all orders and of all instruments.
pub fn limits(random: &mut Random, scale: u32) -> String {
    let per_s = random.of(&[1, 2, 2, 3, 5, 10, 1_000, 20_000]);
    let mut text =
        format!("[limits]\norders_per_s = {per_s}\n{}", instrument_limits(random, scale));
    if random.one_in(5) {
        let mut time = || format!("{:02}:{:02}", random.below(24), random.below(30));
        let (open, close) = (time(), time());
        if open != close {
            text += &format!("hours = \"{open}-{close}\"\n");
            let sign = random.of(&["+", "-"]);
            let (hours, minutes) = (random.below(15), random.of(&[0, 30, 45]));
            text += &format!("utc_offset = \"{sign}{hours:02}:{minutes:02}\"\n");
        }
    }
    text
}

/// Some limits of an instrument. What is not said is as in `[limits]`, or at its default.
pub fn instrument_limits(random: &mut Random, scale: u32) -> String {
    let unit = 10_i64.pow(scale - 2);
    let mut text = String::new();
    if !random.one_in(4) {
        let quantity = random.of(&[50, 100, 119, 120, 300, u32::MAX, u32::MAX]);
        text += &format!("quantity = {quantity}\n");
    }
    if random.one_in(2) {
        let raw = unit * (1 + random.of(&[9, 9_999, 29_999, 1_i64 << 36])) - random.below(2) as i64;
        text += &format!("notional = \"{}\"\n", money(raw.max(1), scale));
    } else {
        text += &format!(
            "notional = \"{}\"\n",
            money(unit.saturating_mul(1 << 40).min(NUMBER_MAX), scale)
        );
    }
    if !random.one_in(4) {
        let wide = if random.one_in(20) { "1000" } else { "838.8607" };
        let all = ["0.0001", "1", "2.5", "5", "10", "50", "100", "300", wide];
        text += &format!("collar_percent = \"{}\"\n", random.of(&all));
    }
    let position = random.of(&[119, 500, 2_000, 20_000, u32::MAX, u32::MAX]);
    text + &format!("position = {position}\n")
}
