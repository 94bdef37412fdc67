//! The optimiser: the same verdicts from fewer tests.
//!
//! * [`numbers`]: numbers are folded; a division by a constant 0 is an error
//! * [`blocks`]: tests whose outcome does not matter, and slots that nobody reads, are dropped;
//!   alternatives that ask the same field stand together
//! * [`thread`]: an exit goes past the tests whose outcome is known on it
//!
//! Exact for every packet that the unoptimised program does not leave early. That one rejects where
//! a load is not wholly captured, even if the test of it does not matter; here such a test is gone
//! with its loads, and the packet passes when the rest accepts it (`ip or not ip` on ten bytes).
//! What the unoptimised program accepts is never rejected. It has to be so: libpcap's optimiser
//! drops tests, too, and its test suite asks for the verdicts that come of it. It does not always
//! drop the same, so that a cut packet may pass in one of them only.

mod blocks;
mod numbers;
mod thread;

use crate::error::Result;
use crate::ir::{BLOCKS_MAX, Program};

/// How often the passes may run.
const ROUNDS_MAX: usize = 24;
/// How many blocks they may visit, over all rounds: a bound of the time that does not depend on
/// how busy the machine is, so that one text always gives one program.
const VISITS_MAX: usize = 2 * BLOCKS_MAX;

/// Optimises in place.
pub(crate) fn optimize(program: &mut Program) -> Result<()> {
    if !program.may_optimize {
        return Ok(());
    }
    numbers::fold_numbers(program)?;
    let mut visits = 0;
    for _ in 0..ROUNDS_MAX {
        visits += program.order().len();
        if visits > VISITS_MAX {
            break;
        }
        let mut changed = blocks::simplify(program);
        changed |= blocks::drop_dead_sets(program);
        changed |= blocks::group(program);
        changed |= thread::thread(program);
        if !changed {
            break;
        }
    }
    numbers::prefer_any_bit(program);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::{ErrorKind, Filter, Options};

    fn blocks(text: &str) -> usize {
        let filter = Filter::compile(text, &Options::default()).unwrap();
        filter.program().order().len()
    }

    #[test]
    fn known_outcomes_are_not_tested_again() {
        // Two verdicts; ethertype, protocol.
        assert_eq!(blocks("ip proto 6"), 4);
        assert_eq!(blocks("ip and ip proto 6 and ip"), 4);
        // A frame of IPv6 is not asked whether it is one of IPv4.
        assert_eq!(blocks("ip or ip6"), 4);
    }

    #[test]
    fn tests_that_do_not_matter_are_dropped() {
        assert_eq!(blocks("ip or not ip"), 1);
        assert_eq!(blocks("len >= 0 or 1 = 1"), 1);
    }

    #[test]
    fn what_never_matches_is_refused() {
        for text in ["ip and arp", "1 = 2", "tcp and not ip and not ip6"] {
            let error = Filter::compile(text, &Options::default()).unwrap_err();
            assert_eq!(error.kind, ErrorKind::RejectsAll, "{text}");
            let plain = Options { optimize: false, ..Options::default() };
            assert!(Filter::compile(text, &plain).is_ok());
        }
    }

    /// The length that IEX-TP tells lies behind what is there, its version does not.
    #[test]
    fn nothing_is_loaded_earlier_than_before() {
        let mut packet = vec![0; 50];
        packet[12] = 8;
        packet[14] = 0x45;
        packet[23] = 17;
        packet[34..40].copy_from_slice(&[103, 32, 1, 1, 1, 0]);
        for optimize in [false, true] {
            let options = Options { optimize, ..Options::default() };
            let filter = Filter::compile("iex.symbol == A or udp port 26400", &options).unwrap();
            assert_ne!(filter.matches(&packet, 200), 0, "optimize: {optimize}");
        }
    }

    #[test]
    fn a_computed_division_by_zero_is_found() {
        let error = Filter::compile("ip[0] / (3 - 3) = 1", &Options::default()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Value);
    }
}
