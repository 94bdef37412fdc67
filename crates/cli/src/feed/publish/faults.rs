//! What goes wrong with packets on a line, on purpose: seeded, so that two runs are the same.

use crate::table::{count, counts, reasons};
use crate::units::parse_fraction;
use arrayvec::ArrayVec;
use clap::Args;
use serde_json::{Map, Value};
use std::fmt;
use tickwire_frame::{Counters, FRAMES_MAX};

/// What goes wrong, and how often.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Faults")]
pub struct FaultArgs {
    /// Lose this part of the packets: 1%, 0.5%, 0.01; for all lines, or once for each, in their
    /// order. What a line loses does not depend on the others
    #[arg(long, value_name = "PART", value_parser = parse_fraction)]
    pub loss: Vec<f64>,

    /// Send this part of the packets twice
    #[arg(long, value_name = "PART", value_parser = parse_fraction, default_value = "0")]
    #[arg(hide_default_value = true)]
    pub duplicate: f64,

    /// Send this part of the packets after the one that follows them
    #[arg(long, value_name = "PART", value_parser = parse_fraction, default_value = "0")]
    #[arg(hide_default_value = true)]
    pub reorder: f64,

    /// Where chance starts: the same number makes the same faults
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}

impl FaultArgs {
    /// The faults of each of `lines` lines, or why the flags do not say them.
    pub fn of_lines(&self, lines: usize) -> Result<Vec<Faults>, String> {
        if self.loss.len() > 1 && self.loss.len() != lines {
            return Err(format!(
                "--loss is given {} times for {lines} lines: give it once for all of them, or once \
                 for each",
                self.loss.len()
            ));
        }
        let loss = |line: usize| self.loss.get(line).or(self.loss.first()).copied().unwrap_or(0.0);
        let faults = |line: usize| {
            let probabilities = [loss(line), self.duplicate, self.reorder];
            let sum: f64 = probabilities.iter().sum();
            if sum > 1.0 {
                return Err("--loss, --duplicate and --reorder are more than 100% together".into());
            }
            // Seeds one apart make unrelated numbers: that is what the generator is made for.
            Ok(Faults { probabilities, chance: Chance(self.seed.wrapping_add(line as u64)) })
        };
        (0..lines).map(faults).collect()
    }
}

/// What becomes of a packet on a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is sent.
    Sent,
    /// It is not sent.
    Lost,
    /// It is sent twice.
    Doubled,
    /// It is sent after the next one.
    Overtaken,
}

/// Decides what becomes of the packets of a line.
#[derive(Clone, Debug)]
pub struct Faults {
    /// Of being lost, doubled, overtaken.
    probabilities: [f64; 3],
    chance: Chance,
}

impl Faults {
    /// Nothing but loss.
    pub fn of_loss(loss: f64, seed: u64) -> Faults {
        Faults { probabilities: [loss, 0.0, 0.0], chance: Chance(seed) }
    }

    /// What becomes of the next packet.
    pub fn fate(&mut self) -> Fate {
        let mut dice = self.chance.next();
        for (probability, fate) in
            self.probabilities.iter().zip([Fate::Lost, Fate::Doubled, Fate::Overtaken])
        {
            if dice < *probability {
                return fate;
            }
            dice -= probability;
        }
        Fate::Sent
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// The same `seed` makes the same numbers.
    pub fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    /// A number from 0 up to, but not, 1: 53 bits are what an `f64` holds exactly.
    pub fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// What became of the packets of a line: in the end `offered + doubled = sent + lost + Σ refused`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LineCounts {
    /// Packets that were to be sent.
    pub offered: u64,
    /// Packets that left, those that were sent again too.
    pub sent: u64,
    /// Packets that were lost on purpose.
    pub lost: u64,
    /// Packets that were to be sent twice on purpose.
    pub doubled: u64,
    /// Packets that were overtaken on purpose.
    pub overtaken: u64,
    /// Packets that the system did not take.
    pub refused: Counters,
}

impl LineCounts {
    /// For an object that scripts read.
    pub fn to_json(&self) -> Map<String, Value> {
        let LineCounts { offered, sent, lost, doubled, overtaken, refused } = self;
        let numbers = [
            ("offered", offered),
            ("sent", sent),
            ("lost", lost),
            ("doubled", doubled),
            ("overtaken", overtaken),
        ];
        let numbers = numbers.map(|(name, number)| (name.to_owned(), Value::from(*number)));
        let refused = ("refused".to_owned(), Value::Object(counts(refused)));
        numbers.into_iter().chain([refused]).collect()
    }

    /// For people.
    pub fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, what) in [
            (self.sent, "sent"),
            (self.lost, "lost on purpose"),
            (self.doubled, "sent twice"),
            (self.overtaken, "overtaken"),
        ] {
            if number > 0 || what == "sent" {
                count(f, "", number, what)?;
            }
        }
        reasons(f, &self.refused)
    }
}

/// The most packets that a batch becomes: all of them twice, and one that was held.
pub const ARRANGED_MAX: usize = 2 * FRAMES_MAX + 1;

/// The packets of a batch as they are sent on a line.
pub type Arranged<'a> = ArrayVec<&'a [u8], ARRANGED_MAX>;

/// Puts the packets of a line in the order in which they are sent.
#[derive(Debug)]
pub struct Line {
    faults: Faults,
    /// A packet of an earlier batch that waits for the next one to overtake it; none when empty.
    held: Vec<u8>,
    /// The same, after this batch.
    next_held: Vec<u8>,
    /// What became of them; `sent` and `refused` are the sender's to count.
    pub counts: LineCounts,
}

impl Line {
    /// Before the first packet.
    pub fn new(faults: Faults) -> Line {
        let (held, next_held, counts) = (Vec::new(), Vec::new(), LineCounts::default());
        Line { faults, held, next_held, counts }
    }

    /// What is sent when `packets`, a batch at most, are due. Call [`settle`](Self::settle) when
    /// that is done.
    pub fn arrange<'a>(&'a mut self, packets: &[&'a [u8]]) -> Arranged<'a> {
        let Line { faults, held, next_held, counts } = self;
        let mut waiting = (!held.is_empty()).then_some(&held[..]);
        let mut arranged = Arranged::new();
        for &packet in packets {
            counts.offered += 1;
            match faults.fate() {
                Fate::Lost => {
                    counts.lost += 1;
                    continue;
                }
                Fate::Overtaken if waiting.is_none() => {
                    counts.overtaken += 1;
                    waiting = Some(packet);
                    continue;
                }
                Fate::Doubled => {
                    counts.doubled += 1;
                    arranged.push(packet);
                }
                Fate::Overtaken | Fate::Sent => {}
            }
            arranged.push(packet);
            arranged.extend(waiting.take());
        }
        next_held.clear();
        next_held.extend_from_slice(waiting.unwrap_or_default());
        arranged
    }

    /// What was arranged has been sent.
    pub fn settle(&mut self) {
        std::mem::swap(&mut self.held, &mut self.next_held);
        self.next_held.clear();
    }

    /// The packet that nothing overtakes any more, if there is one; given once.
    pub fn take_held(&mut self) -> Option<Vec<u8>> {
        Some(std::mem::take(&mut self.held)).filter(|held| !held.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(loss: &[f64], duplicate: f64, reorder: f64) -> FaultArgs {
        FaultArgs { loss: loss.to_vec(), duplicate, reorder, seed: 7 }
    }

    /// What is sent of 10,000 packets.
    fn sent(faults: Faults) -> (Vec<u32>, LineCounts) {
        let (mut line, mut sent) = (Line::new(faults), Vec::new());
        let number = |packet: &[u8]| u32::from_be_bytes(packet.try_into().unwrap());
        let numbers: Vec<_> = (0..10_000_u32).map(u32::to_be_bytes).collect();
        for batch in numbers.chunks(7) {
            let batch: Vec<&[u8]> = batch.iter().map(|number| &number[..]).collect();
            sent.extend(line.arrange(&batch).into_iter().map(number));
            line.settle();
        }
        sent.extend(line.take_held().as_deref().map(number));
        (sent, line.counts)
    }

    #[test]
    fn nothing_goes_wrong_unless_asked() {
        let faults = args(&[], 0.0, 0.0).of_lines(1).unwrap().remove(0);
        let (sent, counts) = sent(faults);
        assert!(sent.into_iter().eq(0..10_000));
        assert_eq!((counts.offered, counts.lost), (10_000, 0));
    }

    #[test]
    fn lines_lose_as_much_as_asked_and_not_the_same() {
        let faults = args(&[0.01], 0.0, 0.0);
        let [a, b] = &faults.of_lines(2).unwrap()[..] else { panic!("two lines") };
        let ((a, counts), (b, _)) = (sent(a.clone()), sent(b.clone()));
        assert!((60..=140).contains(&counts.lost), "{counts:?}");
        assert_eq!(a.len() as u64, 10_000 - counts.lost);
        assert_ne!(a, b);
        let again = faults.of_lines(2).unwrap().remove(0);
        assert_eq!(sent(again).0, a);
        let all = args(&[1.0, 0.0], 0.0, 0.0).of_lines(2).unwrap();
        assert_eq!(all.into_iter().map(|faults| sent(faults).0.len()).sum::<usize>(), 10_000);
    }

    #[test]
    fn doubled_and_overtaken_packets_are_all_there() {
        let faults = args(&[], 0.1, 0.1).of_lines(1).unwrap().remove(0);
        let (mut sent, counts) = sent(faults);
        assert_eq!(sent.len() as u64, 10_000 + counts.doubled);
        assert!(counts.doubled > 800 && counts.overtaken > 700, "{counts:?}");
        let overtaken = sent.windows(2).filter(|pair| pair[0] > pair[1]).count() as u64;
        assert_eq!(overtaken, counts.overtaken);
        sent.sort_unstable();
        sent.dedup();
        assert!(sent.into_iter().eq(0..10_000));
    }

    #[test]
    fn flags_that_contradict_themselves_are_refused() {
        let error = args(&[0.1, 0.2], 0.0, 0.0).of_lines(3).unwrap_err();
        assert!(error.contains("2 times for 3 lines"), "{error}");
        assert!(args(&[0.5], 0.3, 0.3).of_lines(1).unwrap_err().contains("100%"));
    }
}
