//! Aligned columns under a heading.

use std::io::IsTerminal;

/// Rows of cells under a heading: text to the left, numbers to the right.
#[derive(Debug)]
pub struct Columns {
    heading: &'static [&'static str],
    rows: Vec<Vec<String>>,
}

/// Whether standard output takes colours: a terminal, and NO_COLOR is not set.
pub fn has_colour() -> bool {
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stdout().is_terminal() && !no_colour
}

impl Columns {
    /// No rows yet.
    pub fn new(heading: &'static [&'static str]) -> Self {
        Columns { heading, rows: Vec::new() }
    }

    /// Adds a row, with a cell for each word of the heading.
    pub fn row(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.heading.len());
        self.rows.push(cells);
    }

    /// The lines; the heading in bold where there are colours.
    pub fn text(&self, colour: bool) -> String {
        let chars = |text: &str| text.chars().count();
        let widths: Vec<_> = (0..self.heading.len())
            .map(|at| {
                let cells = self.rows.iter().map(|row| chars(&row[at])).max().unwrap_or(0);
                cells.max(chars(self.heading[at]))
            })
            .collect();
        let is_number = |at: usize| {
            let digits = |cell: &String| cell.chars().all(|c| c.is_ascii_digit() || c == ',');
            !self.rows.is_empty() && self.rows.iter().all(|row| digits(&row[at]))
        };
        let line = |cells: &mut dyn Iterator<Item = &str>| {
            let mut line = String::new();
            for (at, cell) in cells.enumerate() {
                let (width, gap) = (widths[at], if at == 0 { "" } else { "  " });
                line += gap;
                if is_number(at) {
                    line += &format!("{cell:>width$}");
                } else {
                    line += &format!("{cell:<width$}");
                }
            }
            line.trim_end().to_owned()
        };
        let heading = line(&mut self.heading.iter().copied());
        let mut text =
            if colour { format!("\x1b[1m{heading}\x1b[0m\n") } else { format!("{heading}\n") };
        for row in &self.rows {
            text += &line(&mut row.iter().map(String::as_str));
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_left_numbers_right_no_spaces_at_the_end() {
        let mut columns = Columns::new(&["WHO", "COUNT", "NOTE"]);
        columns.row(vec!["a".into(), "5".into(), "slow".into()]);
        columns.row(vec!["long-name".into(), "1,000".into(), String::new()]);
        let text = "WHO        COUNT  NOTE\na              5  slow\nlong-name  1,000\n";
        assert_eq!(columns.text(false), text);
        assert!(columns.text(true).starts_with("\x1b[1mWHO        COUNT  NOTE\x1b[0m\n"));
        assert_eq!(Columns::new(&["A", "B"]).text(false), "A  B\n");
    }
}
