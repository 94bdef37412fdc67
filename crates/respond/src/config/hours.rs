//! Times of day in a configuration.

use crate::settings::Hours;

const S_NS: u64 = 1_000_000_000;

/// `09:30-16:00`, with an en dash as well.
///
/// # Errors
/// What it should look like.
pub(super) fn hours(text: &str, utc_offset_s: i32) -> Result<Hours, String> {
    let bounds = text.split_once(['-', '–']);
    let bounds = bounds.and_then(|(open, close)| Some((time_s(open)?, time_s(close)?)));
    match bounds {
        Some((open_s, close_s)) if open_s != close_s => {
            let (open_ns, close_ns) = (u64::from(open_s) * S_NS, u64::from(close_s) * S_NS);
            Ok(Hours { open_ns, close_ns, utc_offset_s })
        }
        _ => Err(format!("hours: {text:?} are no hours: write them such as \"09:30-16:00\"")),
    }
}

/// `-05:00`, in seconds.
///
/// # Errors
/// What it should look like.
pub(super) fn offset(text: &str) -> Result<i32, String> {
    let (sign, time) = match text.strip_prefix('-') {
        Some(time) => (-1, time),
        None => (1, text.strip_prefix('+').unwrap_or("")),
    };
    let offset = time_s(time).map(|seconds| sign * seconds as i32);
    offset.ok_or_else(|| {
        format!("utc_offset: {text:?} is no offset: write it such as \"-05:00\" or \"+00:00\"")
    })
}

/// `HH:MM`, in seconds since midnight.
fn time_s(text: &str) -> Option<u32> {
    let part = |text: &str, max: u32| {
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u32>().ok().filter(|value| digits && *value <= max)
    };
    let (hours, minutes) = text.split_once(':')?;
    Some((part(hours, 23)? * 60 + part(minutes, 59)?) * 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_read() {
        let (open_ns, close_ns) = (34_200 * S_NS, 57_600 * S_NS);
        let expected = Hours { open_ns, close_ns, utc_offset_s: -18_000 };
        assert_eq!(hours("09:30-16:00", offset("-05:00").unwrap()), Ok(expected));
        assert_eq!(hours("09:30–16:00", -18_000), Ok(expected));
        assert_eq!(offset("+05:30"), Ok(19_800));
        for text in ["", "9:30-16:00", "09:30", "24:00-01:00", "09:30-09:30", "09:30-16:00-17:00"] {
            assert!(hours(text, 0).unwrap_err().contains("09:30-16:00"), "{text}");
        }
        for text in ["", "05:00", "-5", "+24:00", "--05:00"] {
            assert!(offset(text).unwrap_err().contains("-05:00"), "{text}");
        }
    }
}
