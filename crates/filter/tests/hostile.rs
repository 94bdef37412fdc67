//! Hostile filter texts: an error or a filter, never a panic, never long.

use std::time::Duration;

use tickwire_filter::generate::market::FieldExpressions;
use tickwire_filter::generate::{Expressions, Packets, Random};
use tickwire_filter::names::{keywords, services};
use tickwire_filter::{COMPILE_MS_MAX, FIELD_VALUES_MAX, Filter, Options, TEXT_BYTES_MAX, link};

const TEXTS: usize = if cfg!(debug_assertions) { 20_000 } else { 200_000 };

const TRIES_MAX: usize = 5;

/// The promise is for a release build; a debug build is that much slower.
const SLOWEST: Duration = Duration::from_millis(if cfg!(debug_assertions) {
    50 * COMPILE_MS_MAX
} else {
    COMPILE_MS_MAX
});

/// How many: `TICKWIRE_HOSTILE_TEXTS`, for long runs.
fn count() -> usize {
    let asked = std::env::var("TICKWIRE_HOSTILE_TEXTS").ok();
    asked.and_then(|count| count.parse().ok()).unwrap_or(TEXTS)
}

struct Texts {
    random: Random,
    expressions: Expressions,
    fields: FieldExpressions,
    words: Vec<&'static str>,
}

impl Texts {
    fn new(seed: u64) -> Texts {
        let symbols = [
            "(",
            ")",
            "[",
            "]",
            ":",
            "/",
            "+",
            "-",
            "*",
            "%",
            "&",
            "|",
            "^",
            "<<",
            ">>",
            "=",
            "!=",
            "<",
            ">",
            "<=",
            ">=",
            "!",
            "&&",
            "||",
            "0",
            "1",
            "255",
            "4294967295",
            "0x",
            "08",
            "10.0.0.1",
            "1.2",
            "::1",
            "fe80::/10",
            "a:b:c:d:e:f",
            "$ff",
            "\\tcp",
            "25-smtp",
            "-",
            "host.invalid.",
            "tcp-syn",
            "icmptype",
            "ä",
            "\0",
            "\\",
            "'",
            "999999999999",
            "{",
            "}",
            ",",
            "..",
            "in",
            "all",
            "itch.stock",
            "itch.price",
            "iex.timestamp",
            "moldudp64.sequence",
            "no.field",
            "\"AAPL\"",
            "\"",
            "1.5",
            "1..9",
            "-5",
            "18446744073709551615",
            "4294967296",
        ];
        let words = keywords::keywords().chain(symbols).chain(services::names().take(20)).collect();
        let (expressions, fields) = (Expressions::new(seed), FieldExpressions::new(seed));
        Texts { random: Random::new(seed), expressions, fields, words }
    }

    fn text(&mut self) -> String {
        match self.random.below(4) {
            0 => {
                let mut text = match self.random.one_in(2) {
                    true => self.fields.tree().to_string(),
                    false => self.expressions.expression(),
                };
                for _ in 0..1 + self.random.below(4) {
                    self.damage(&mut text);
                }
                text
            }
            1 => {
                let bytes = (0..self.random.below(60)).map(|_| self.random.below(256) as u8);
                String::from_utf8_lossy(&bytes.collect::<Vec<u8>>()).into_owned()
            }
            _ => {
                let words: Vec<&str> = (0..1 + self.random.below(24))
                    .map(|_| self.words[self.random.below(self.words.len())])
                    .collect();
                words.join(if self.random.below(7) == 0 { "" } else { " " })
            }
        }
    }

    fn damage(&mut self, text: &mut String) {
        let boundaries: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        if boundaries.is_empty() {
            return;
        }
        let at = boundaries[self.random.below(boundaries.len())];
        match self.random.below(3) {
            0 => text.truncate(at),
            1 => {
                text.remove(at);
            }
            _ => text.insert_str(at, self.words[self.random.below(self.words.len())]),
        }
    }
}

/// Processor time of this thread: other processes may take the processor away meanwhile.
fn now() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn compile(text: &str, options: &Options) -> Option<Filter> {
    // The fastest of a few: caches are shared too.
    let mut spent = Duration::MAX;
    let mut result = Filter::compile("", options);
    for _ in 0..TRIES_MAX {
        let start = now();
        result = Filter::compile(text, options);
        spent = spent.min(now() - start);
        if spent < SLOWEST {
            break;
        }
    }
    assert!(spent < SLOWEST, "{spent:?} for {} bytes: {:.200}", text.len(), text);
    match result {
        Ok(filter) => Some(filter),
        Err(error) => {
            assert!(!error.to_string().is_empty());
            assert!(error.span.end <= text.len(), "{error:?} in {text:?}");
            let _ = error.render(text);
            None
        }
    }
}

#[test]
fn no_text_panics_or_takes_long() {
    let mut texts = Texts::new(21);
    let mut packets = Packets::new(22);
    let links =
        ["EN10MB", "RAW", "IEEE802_11_RADIO", "SUNATM", "PFLOG", "MTP2", "PPP", "LINUX_SLL2"];
    let mut compiled = 0;
    for at in 0..count() {
        let text = texts.text();
        let options = Options {
            link_type: link::by_name(links[at % links.len()]).unwrap(),
            optimize: at % 3 > 0,
            linux_extensions: at % 5 == 0,
            resolve: false,
            bindings: Default::default(),
            ..Options::default()
        };
        let Some(filter) = compile(&text, &options) else { continue };
        compiled += 1;
        let (bytes, wire_len) = packets.packet();
        filter.matches(&bytes, wire_len);
        let _ = filter.classic();
    }
    assert!(compiled > count() / 50, "only {compiled} compiled");
}

#[test]
fn large_texts_are_bounded() {
    let fill = |unit: &str, last: &str| {
        let mut text = unit.repeat((TEXT_BYTES_MAX - last.len()) / unit.len());
        text += last;
        text
    };
    let ports: String = (1..220).map(|port| format!("port {port} or ")).collect();
    let texts = [
        fill("tcp or ", "udp"),
        fill("itch.stock == A or ", "udp"),
        fill("not all(itch.stock == A) and ", "udp"),
        fill("vlan and itch.price in {1,2,3..4} or ", "udp"),
        format!("itch.stock in {{{}}}", vec!["ABCDEFGH"; FIELD_VALUES_MAX].join(",")),
        format!("itch.{} == 1", "x".repeat(60_000)),
        format!("itch.price == {}", "1".repeat(60_000)),
        fill("not ", "ip"),
        fill("(", "ip"),
        fill("ip or (", "ip"),
        fill("1+", "1=1"),
        fill("-", "1=1"),
        fill("ip[", "0"),
        fill("vlan and ", "ip"),
        fill("mpls and ", "ip"),
        fill("vxlan or ", "ip"),
        fill("geneve and ", "ip"),
        fill("protochain 6 or ", "ip"),
        fill("host 1.2.3.4 and not ", "ip"),
        fill("a", "b"),
        fill("1", "1"),
        fill("host a:b:c:d:e:", ""),
        fill("::1 ", ""),
        fill("ip proto 1 or tcp port 5 and ", "ip"),
        fill("wlan host 1:2:3:4:5:6 or ", "ip"),
        fill("len % 3 + ", "1 = 1"),
        format!("{ports}port 1"),
        (1..8_000).fold("port 0".to_owned(), |text, port| text + &format!(" or {port}")),
        format!("port in {{{}}}", fill("1-8,", "")),
        (0..4_000).fold("host 1.2.3.4".to_owned(), |t, n| {
            t + &format!(" or 1.2.{}.{}", n / 256, n % 256)
        }),
        fill("tcp port 1 or udp port 2 or ", "ip"),
    ];
    for text in texts {
        for optimize in [false, true] {
            if let Some(filter) =
                compile(&text, &Options { optimize, resolve: false, ..Options::default() })
            {
                filter.matches(&[0; 64], 64);
                let _ = filter.classic();
            }
        }
    }
}
