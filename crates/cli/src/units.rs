//! Numbers with units: parsed from flags, formatted for people.

use std::time::Duration;

/// A time with its unit: `500ms`, `10s`, `5m`, `1h`; bare numbers are seconds.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    const CURE: &str = "write a number with a unit: 500ms, 10s, 5m, 1h";
    let digits = text.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().map_err(|_| CURE.to_owned())?;
    let seconds = match unit.trim() {
        "us" => number * 1e-6,
        "ms" => number * 1e-3,
        "" | "s" => number,
        "m" | "min" => number * 60.0,
        "h" => number * 3600.0,
        unit => return Err(format!("there is no unit '{unit}'; {CURE}")),
    };
    Duration::try_from_secs_f64(seconds).map_err(|_| "that is too long".to_owned())
}

/// A time that is not 0: `500ms`, `10s`, `5m`, `1h`.
pub fn parse_period(text: &str) -> Result<Duration, String> {
    let period = parse_duration(text)?;
    if period.is_zero() { Err("it has to be above 0: 500ms, 10s".to_owned()) } else { Ok(period) }
}

/// A time in whole seconds, at least one: `60`, `5m`, `1h`.
pub fn parse_seconds(text: &str) -> Result<u64, String> {
    let time = parse_duration(text)?;
    match (time.as_secs(), time.subsec_nanos()) {
        (seconds @ 1.., 0) => Ok(seconds),
        _ => Err("write whole seconds, 1 or more: 60, 5m, 1h".to_owned()),
    }
}

/// A size of a file as tcpdump's `-C` takes it: bare numbers are millions of bytes, and `k`, `m`,
/// `g` (powers of 1024) say otherwise.
pub fn parse_file_size(text: &str) -> Result<u64, String> {
    const CURE: &str = "write millions of bytes (10), or a size with a unit: 500k, 64m, 2g";
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| CURE.to_owned())?;
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" => 1_000_000,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        unit => return Err(format!("there is no unit '{unit}'; {CURE}")),
    };
    match number.checked_mul(factor) {
        Some(0) => Err(format!("0 bytes hold no packet; {CURE}")),
        Some(bytes) => Ok(bytes),
        None => Err("that is more than any file holds".to_owned()),
    }
}

/// A list of small numbers with ranges: `0,2,4-7`. Duplicates are refused.
pub fn parse_list(text: &str) -> Result<Vec<usize>, String> {
    const CURE: &str = "write numbers and ranges: 0,2,4-7";
    /// More than any machine has of queues or cores: a limit for ranges such as `0-999999999`.
    const LIST_ITEMS_MAX: usize = 4096;
    let mut list = Vec::new();
    for part in text.split(',') {
        let number = |text: &str| text.trim().parse::<usize>().map_err(|_| CURE.to_owned());
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (number(first)?, number(last)?),
            None => (number(part)?, number(part)?),
        };
        if first > last {
            return Err(format!("'{part}' is no range; {CURE}"));
        }
        list.extend((first..=last).take(LIST_ITEMS_MAX + 1));
        if list.len() > LIST_ITEMS_MAX {
            return Err(format!("that is more than {LIST_ITEMS_MAX} numbers"));
        }
    }
    let mut sorted = list.clone();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("{} is in the list twice", pair[0])),
        None => Ok(list),
    }
}

/// A count in groups of three: `1,234,567`.
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number with a decimal prefix and three digits: `3.46 M`, `999`, `12.0 k`.
pub fn scaled(value: f64) -> String {
    const STEPS: [(f64, &str); 4] = [(1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")];
    for (step, prefix) in STEPS {
        if value >= step {
            return format!("{}{prefix}", three_digits(value / step));
        }
    }
    if value.fract() == 0.0 { format!("{value:.0}") } else { three_digits(value) }
}

/// A time in nanoseconds with its unit and three digits: `812 ns`, `12.3 µs`, `1.50 ms`, `2.00 s`.
pub fn nanos(time_ns: u64) -> String {
    match time_ns {
        0..1_000 => format!("{time_ns} ns"),
        1_000..1_000_000 => format!("{} µs", three_digits(time_ns as f64 / 1e3)),
        1_000_000..1_000_000_000 => format!("{} ms", three_digits(time_ns as f64 / 1e6)),
        _ => format!("{} s", three_digits(time_ns as f64 / 1e9)),
    }
}

/// A positive number with a decimal prefix: `1000`, `1.5k`, `2M`.
pub fn parse_number(text: &str) -> Result<f64, String> {
    const CURE: &str = "write a number: 1000, 50k, 1.5M";
    let (digits, factor) = match text.char_indices().next_back() {
        Some((at, 'k' | 'K')) => (&text[..at], 1e3),
        Some((at, 'm' | 'M')) => (&text[..at], 1e6),
        Some((at, 'g' | 'G')) => (&text[..at], 1e9),
        _ => (text, 1.0),
    };
    match digits.trim().parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => Ok(number * factor),
        Ok(_) => Err(format!("it has to be above 0; {CURE}")),
        Err(_) => Err(CURE.to_owned()),
    }
}

/// A part of a whole, from 0 to 1: `1%`, `0.5%`, `0.01`.
pub fn parse_fraction(text: &str) -> Result<f64, String> {
    let (number, whole) = match text.strip_suffix('%') {
        Some(number) => (number, 100.0),
        None => (text, 1.0),
    };
    match number.trim().parse::<f64>() {
        Ok(number) if (0.0..=whole).contains(&number) => Ok(number / whole),
        Ok(_) => Err("a part is from 0 to 100%".to_owned()),
        Err(_) => Err("write a part: 1%, 0.5%, 0.01".to_owned()),
    }
}

/// A number of packets: `1000`, `50k`, `1.5M`.
pub fn parse_count(text: &str) -> Result<u64, String> {
    let count = parse_number(text)?;
    if count < 1.0 || count.fract() != 0.0 {
        return Err("packets are whole: 1, 1000, 50k, 1.5M".to_owned());
    }
    Ok(count as u64)
}

fn three_digits(value: f64) -> String {
    match value {
        _ if value >= 99.95 => format!("{value:.0}"),
        _ if value >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("10"), Ok(Duration::from_secs(10)));
        assert_eq!(parse_duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
        assert!(parse_duration("10 parsecs").unwrap_err().contains("no unit 'parsecs'"));
        assert!(parse_duration("soon").unwrap_err().contains("500ms"));
        assert!(parse_duration("-1s").is_err());
        assert!(parse_duration("99999999999999999999h").unwrap_err().contains("too long"));
    }

    #[test]
    fn whole_seconds() {
        assert_eq!(parse_seconds("60"), Ok(60));
        assert_eq!(parse_seconds("1h"), Ok(3600));
        for text in ["0", "0.5", "1500ms", "x"] {
            assert!(parse_seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(parse_file_size("10"), Ok(10_000_000));
        assert_eq!(parse_file_size("64M"), Ok(64 << 20));
        assert_eq!(parse_file_size("2g"), Ok(2 << 30));
        assert!(parse_file_size("0").unwrap_err().contains("no packet"));
        assert!(parse_file_size("3 apples").unwrap_err().contains("no unit"));
        assert!(parse_file_size("99999999999g").is_err());
    }

    #[test]
    fn lists() {
        assert_eq!(parse_list("0"), Ok(vec![0]));
        assert_eq!(parse_list("6,0-2,4"), Ok(vec![6, 0, 1, 2, 4]));
        assert!(parse_list("0-2,1").unwrap_err().contains("1 is in the list twice"));
        assert!(parse_list("2-0").is_err());
        assert!(parse_list("").is_err());
        assert!(parse_list("0-99999999999").unwrap_err().contains("more than 4096"));
        assert!(parse_list("a").unwrap_err().contains("0,2,4-7"));
    }

    #[test]
    fn numbers_with_prefixes() {
        assert_eq!(parse_number("1.5M"), Ok(1.5e6));
        assert_eq!(parse_number("0.5"), Ok(0.5));
        assert_eq!(parse_count("50k"), Ok(50_000));
        for text in ["0", "-1", "inf", "nan", "", "k", "fast", "µ"] {
            assert!(parse_number(text).is_err(), "{text}");
        }
        assert!(parse_count("0.5").unwrap_err().contains("whole"));
        assert!(parse_count("1.0001k").is_err());
    }

    #[test]
    fn fractions() {
        assert_eq!((parse_fraction("1%"), parse_fraction("0.5")), (Ok(0.01), Ok(0.5)));
        assert_eq!((parse_fraction("0"), parse_fraction("100%")), (Ok(0.0), Ok(1.0)));
        for text in ["-1%", "101%", "1.1", "nan", "", "%", "much"] {
            assert!(parse_fraction(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_for_people() {
        let times = [0, 999, 1_000, 12_345, 999_999, 1_500_000, 2_000_000_000];
        let texts = ["0 ns", "999 ns", "1.00 µs", "12.3 µs", "1000 µs", "1.50 ms", "2.00 s"];
        assert_eq!(times.map(nanos), texts);
    }

    #[test]
    fn numbers_for_people() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_000), "1,000");
        assert_eq!(grouped(12_345_678), "12,345,678");
        assert_eq!(scaled(0.0), "0");
        assert_eq!(scaled(999.0), "999");
        assert_eq!(scaled(0.25), "0.25");
        assert_eq!(scaled(3_456_789.0), "3.46 M");
        assert_eq!(scaled(99_960.0), "100 k");
    }
}
