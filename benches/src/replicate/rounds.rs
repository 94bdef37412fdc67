//! Figures of contenders that took turns, and their ratios within the rounds.

use std::fmt;

/// One figure a round for each contender.
#[derive(Debug, Default)]
pub struct Rounds {
    figures: Vec<(&'static str, Vec<f64>)>,
}

/// The middle of some figures, and how far they go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} ({:.3} to {:.3})", self.median, self.min, self.max)
    }
}

impl Rounds {
    /// Enters what the turn of `name` in this round showed.
    pub fn enter(&mut self, name: &'static str, figure: f64) {
        match self.figures.iter_mut().find(|(known, _)| *known == name) {
            Some((_, figures)) => figures.push(figure),
            None => self.figures.push((name, vec![figure])),
        }
    }

    fn of(&self, name: &str) -> Option<&[f64]> {
        self.figures.iter().find(|(known, _)| *known == name).map(|(_, figures)| &figures[..])
    }

    pub fn spread(&self, name: &str) -> Option<Spread> {
        spread(self.of(name)?.to_vec())
    }

    /// Of the figures of `ours` over those of `theirs` in the same rounds; none if one has not
    /// been in all of them.
    pub fn ratio(&self, ours: &str, theirs: &str) -> Option<Spread> {
        let (ours, theirs) = (self.of(ours)?, self.of(theirs)?);
        if ours.len() != theirs.len() {
            return None;
        }
        spread(ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect())
    }
}

fn spread(mut figures: Vec<f64>) -> Option<Spread> {
    figures.sort_unstable_by(f64::total_cmp);
    let (&min, &max) = (figures.first()?, figures.last()?);
    let middle = figures.len() / 2;
    let below = if figures.len().is_multiple_of(2) { middle - 1 } else { middle };
    Some(Spread { median: f64::midpoint(figures[below], figures[middle]), min, max })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_within_a_round() {
        let mut rounds = Rounds::default();
        for (ours, theirs) in [(2.0, 1.0), (30.0, 10.0), (8.0, 2.0), (5.0, 1.0)] {
            rounds.enter("ours", ours);
            rounds.enter("theirs", theirs);
        }
        let ratio = rounds.ratio("ours", "theirs").unwrap();
        assert_eq!(ratio, Spread { median: 3.5, min: 2.0, max: 5.0 });
        assert_eq!(rounds.spread("theirs").unwrap().median, 1.5);
        rounds.enter("theirs", 1.0);
        assert_eq!(rounds.ratio("ours", "theirs"), None);
        assert_eq!(rounds.ratio("ours", "nobody"), None);
    }
}
