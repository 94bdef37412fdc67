//! What values of fields look like, by the type that a dictionary gives them.

/// The type of a field (FIX 4.4, volume 1, *Data Types*).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// A whole number: INT, LENGTH, NUMINGROUP, SEQNUM, DAYOFMONTH.
    Int,
    /// A decimal number: FLOAT, PRICE, PRICEOFFSET, QTY, AMT, PERCENTAGE.
    Float,
    /// One character.
    Char,
    /// `Y` or `N`.
    Boolean,
    /// Any text: STRING, CURRENCY, EXCHANGE, COUNTRY and types that are not known here.
    String,
    /// Several words with one space between them.
    MultipleValueString,
    /// Any bytes, behind their length.
    Data,
    /// `YYYYMMDD-HH:MM:SS`, with decimals of a second or without.
    UtcTimestamp,
    /// `HH:MM:SS`, with decimals of a second or without.
    UtcTimeOnly,
    /// `YYYYMMDD`: UTCDATEONLY, UTCDATE, LOCALMKTDATE, DATE.
    Date,
    /// `YYYYMM`, `YYYYMMDD` or `YYYYMMw1`.
    MonthYear,
}

impl Type {
    /// By its name in a dictionary.
    pub(super) fn named(name: &str) -> Self {
        match name {
            "INT" | "LENGTH" | "NUMINGROUP" | "SEQNUM" | "DAYOFMONTH" => Type::Int,
            "FLOAT" | "PRICE" | "PRICEOFFSET" | "QTY" | "AMT" | "PERCENTAGE" => Type::Float,
            "CHAR" => Type::Char,
            "BOOLEAN" => Type::Boolean,
            "MULTIPLEVALUESTRING" | "MULTIPLESTRINGVALUE" | "MULTIPLECHARVALUE" => {
                Type::MultipleValueString
            }
            "DATA" | "XMLDATA" => Type::Data,
            "UTCTIMESTAMP" | "TIME" => Type::UtcTimestamp,
            "UTCTIMEONLY" => Type::UtcTimeOnly,
            "UTCDATEONLY" | "UTCDATE" | "LOCALMKTDATE" | "DATE" => Type::Date,
            "MONTHYEAR" => Type::MonthYear,
            _ => Type::String,
        }
    }

    /// Whether `value`, which is not empty, looks like one of the type.
    pub fn accepts(self, value: &[u8]) -> bool {
        match self {
            Type::Int => digits(value.strip_prefix(b"-").unwrap_or(value)),
            Type::Float => is_float(value.strip_prefix(b"-").unwrap_or(value)),
            Type::Char => value.len() == 1,
            Type::Boolean => matches!(value, b"Y" | b"N"),
            Type::String | Type::MultipleValueString | Type::Data => true,
            Type::Date => is_date(value),
            Type::UtcTimeOnly => is_time(value),
            Type::UtcTimestamp => value.split_at_checked(8).is_some_and(|(date, rest)| {
                is_date(date) && rest.strip_prefix(b"-").is_some_and(is_time)
            }),
            Type::MonthYear => match value.split_at_checked(6) {
                Some((month, b"")) => is_month(month),
                Some((month, &[b'w', b'1'..=b'5'])) => is_month(month),
                Some((_, &[_, _])) => is_date(value),
                _ => false,
            },
        }
    }
}

fn digits(value: &[u8]) -> bool {
    !value.is_empty() && value.iter().all(u8::is_ascii_digit)
}

/// Digits with at most one point among them.
fn is_float(value: &[u8]) -> bool {
    let points = value.iter().filter(|&&byte| byte == b'.').count();
    let others = value.iter().filter(|byte| byte.is_ascii_digit()).count();
    points <= 1 && others > 0 && points + others == value.len()
}

/// A number of two digits that is within `range`.
fn two(value: &[u8], range: std::ops::RangeInclusive<u8>) -> bool {
    let &[tens @ b'0'..=b'9', ones @ b'0'..=b'9'] = value else { return false };
    range.contains(&((tens - b'0') * 10 + (ones - b'0')))
}

fn is_month(value: &[u8]) -> bool {
    value.len() == 6 && digits(&value[..4]) && two(&value[4..], 1..=12)
}

fn is_date(value: &[u8]) -> bool {
    value.len() == 8 && is_month(&value[..6]) && two(&value[6..], 1..=31)
}

/// Seconds may be 60, a leap second; decimals as many as a peer likes, up to picoseconds.
fn is_time(value: &[u8]) -> bool {
    let (time, decimals) = value.split_at(value.len().min(8));
    let &[h1, h2, b':', m1, m2, b':', s1, s2] = time else { return false };
    let is_whole = two(&[h1, h2], 0..=23) && two(&[m1, m2], 0..=59) && two(&[s1, s2], 0..=60);
    let fits = |digits_only: &[u8]| digits(digits_only) && digits_only.len() <= 12;
    is_whole && (decimals.is_empty() || decimals.strip_prefix(b".").is_some_and(fits))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: &str, good: &[&str], bad: &[&str]) {
        let kind = Type::named(kind);
        let accepts = |value: &&&str| kind.accepts(value.as_bytes());
        assert_eq!(good.iter().filter(accepts).count(), good.len(), "{kind:?} {good:?}");
        assert_eq!(bad.iter().filter(accepts).collect::<Vec<_>>(), [&""; 0], "{kind:?}");
    }

    #[test]
    fn values_look_like_their_types() {
        check("INT", &["0", "-7", "007"], &["", "-", "+7", "7.0", "x"]);
        check(
            "QTY",
            &["0", "-0.5", "002000.00", ".5", "5."],
            &["", ".", "+200.00", "1e5", "1.2.3"],
        );
        check("CHAR", &["1", " "], &["", "12"]);
        check("BOOLEAN", &["Y", "N"], &["", "y", "1"]);
        check("STRING", &["any"], &[]);
        check("UNHEARD-OF", &["any"], &[]);
        check(
            "UTCTIMESTAMP",
            &["20261121-09:30:00", "20261121-23:59:60.123456789"],
            &[
                "",
                "20261121",
                "20261121-09:30",
                "20261121-24:00:00",
                "20261321-09:30:00",
                "20261121-09:30:00.",
                "20261121-09:30:00.x",
                "2026112109:30:00",
            ],
        );
        check("UTCTIMEONLY", &["09:30:00", "09:30:00.5"], &["9:30:00", "09-30-00"]);
        check("LOCALMKTDATE", &["20261121"], &["20261100", "20261132", "2026112", "2026-11-21"]);
        check("MONTHYEAR", &["202611", "20261121", "202611w5"], &["202613", "202611w6", "2026"]);
        check("MONTHYEAR", &[], &["202600", "20261100", "202611w", "202613w1"]);
    }
}
