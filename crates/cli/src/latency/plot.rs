//! A distribution as text: one bar a percentile, times on a logarithmic scale.
//!
//! ```text
//!        50 %  6.21 µs  ██████████████▍
//!      99.9 %  17.3 µs  ███████████████████████▌
//!                       1 µs           10 µs           100 µs
//! ```
//!
//! Each row is ten times as rare as the one above it (90, 99, 99.9 %, …), so that the tail takes
//! as much room as it deserves. Rows that so few packets cannot tell apart are left out.

use crate::send::distribution::Distribution;
use crate::units::nanos;
use std::fmt::Write;

/// The percentiles that have a row, and how many packets it takes for one to lie beyond it.
const ROWS: [(f64, u64); 11] = [
    (0.0, 2),
    (25.0, 4),
    (50.0, 2),
    (75.0, 4),
    (90.0, 10),
    (95.0, 20),
    (99.0, 100),
    (99.9, 1_000),
    (99.99, 10_000),
    (99.999, 100_000),
    (100.0, 1),
];
/// Columns in front of the bars.
const LABEL_CHARS: usize = 24;
/// The narrowest and the widest bar that is drawn.
const BAR_CHARS_MIN: usize = 20;
const BAR_CHARS_MAX: usize = 100;
/// Room for the last label of the axis.
const AXIS_LABEL_CHARS: usize = 8;
/// Eighths of a character.
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/// The plot, at most `width` columns wide; nothing when no time was entered.
pub fn plot(times: &Distribution, width: usize) -> String {
    let (low, high) = (times.at_percent(0.0).max(1), times.at_percent(100.0).max(1));
    if times.count() == 0 {
        return String::new();
    }
    let scale = Scale {
        first: low.ilog10(),
        last: (high - 1).max(1).ilog10() + 1,
        chars: width
            .saturating_sub(LABEL_CHARS + AXIS_LABEL_CHARS)
            .clamp(BAR_CHARS_MIN, BAR_CHARS_MAX),
    };
    let mut text = String::new();
    for (percent, _) in ROWS.into_iter().filter(|&(_, packets)| times.count() >= packets) {
        let time_ns = times.at_percent(percent);
        let label = match percent {
            0.0 => "min".to_owned(),
            100.0 => "max".to_owned(),
            percent => format!("{percent} %"),
        };
        let _ = writeln!(text, "{label:>11} {:>9}  {}", nanos(time_ns), scale.bar(time_ns));
    }
    text + &scale.axis()
}

/// Powers of ten over a number of columns.
struct Scale {
    first: u32,
    last: u32,
    chars: usize,
}

impl Scale {
    /// Where a time is, in eighths of a column.
    fn eighths(&self, time_ns: u64) -> usize {
        let decades = f64::from(self.last.max(self.first + 1) - self.first);
        let share = ((time_ns.max(1) as f64).log10() - f64::from(self.first)) / decades;
        (share.clamp(0.0, 1.0) * self.chars as f64 * 8.0).round() as usize
    }

    fn bar(&self, time_ns: u64) -> String {
        let eighths = self.eighths(time_ns).max(1);
        "█".repeat(eighths / 8) + EIGHTHS[eighths % 8]
    }

    fn axis(&self) -> String {
        let mut text = " ".repeat(LABEL_CHARS - 1);
        for decade in self.first..=self.last.max(self.first + 1) {
            let time_ns = 10u64.saturating_pow(decade);
            let at = LABEL_CHARS - 1 + self.eighths(time_ns) / 8;
            let label = nanos(time_ns).replace(".00", "").replace(".0", "");
            // Decades may be closer than their labels.
            if text.chars().count() < at || decade == self.first {
                text.extend(std::iter::repeat_n(' ', at.saturating_sub(text.chars().count())));
                text.push_str(&label);
            }
        }
        text + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1,000 packets: 900 at 2 µs, 90 at 5 µs, 9 at 40 µs, one at 900 µs.
    fn known() -> Distribution {
        let mut times = Distribution::default();
        for (time_ns, count) in [(2_000, 900), (5_000, 90), (40_000, 9), (900_000, 1)] {
            times.add(time_ns, count);
        }
        times
    }

    #[test]
    fn a_known_distribution_is_drawn() {
        let expected = [
            "        min   2.00 µs  ████▉",
            "       25 %   2.00 µs  ████▉",
            "       50 %   2.00 µs  ████▉",
            "       75 %   2.00 µs  ████▉",
            "       90 %   2.00 µs  ████▉",
            "       95 %   5.00 µs  ███████████▎",
            "       99 %   5.00 µs  ███████████▎",
            "     99.9 %   40.0 µs  █████████████████████████▋",
            "        max    900 µs  ███████████████████████████████████████████████▎",
            "                       1 µs            10 µs           100 µs          1 ms",
        ];
        assert_eq!(plot(&known(), 80).lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn it_fits_any_terminal() {
        for width in [0, 20, 52, 80, 133, 1000] {
            for line in plot(&known(), width).lines() {
                assert!(line.chars().count() <= width.max(LABEL_CHARS + 28), "{width}: {line}");
            }
        }
        let mut one = Distribution::default();
        one.add(1, 1);
        assert!(plot(&one, 80).starts_with("        max"), "{}", plot(&one, 80));
        assert_eq!(plot(&Distribution::default(), 80), "");
    }
}
