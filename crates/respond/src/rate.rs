//! How many orders a second, and how long a rule is silent after one.

use crate::settings::Settings;

const S_NS: u64 = 1_000_000_000;

/// A window that slides: no second, wherever it begins, has more orders than allowed. Exact,
/// because the times of that many orders are kept.
#[derive(Clone, Debug)]
pub(crate) struct Rate {
    /// When the last orders were sent: a power of two of them, at least the limit.
    sent_ns: Vec<u64>,
    /// How many were sent: modulo that power of two, the place of the next one.
    next: usize,
    limit: usize,
}

impl Rate {
    /// After a restart it is not known how many orders went out in the second before `last_ns`,
    /// when the last one did: as many as could.
    pub(crate) fn new(orders_per_s: u32, last_ns: u64) -> Self {
        let limit = orders_per_s as usize;
        Rate { sent_ns: vec![last_ns; limit.next_power_of_two()], next: 0, limit }
    }

    /// Allows so many from now on. Orders before those whose times are kept are taken for as late
    /// as the oldest of these: they are none later.
    pub(crate) fn set_limit(&mut self, orders_per_s: u32) {
        let (limit, known) = (orders_per_s as usize, self.sent_ns.len());
        self.limit = limit;
        if limit > known {
            self.sent_ns.rotate_left(self.next & (known - 1));
            self.next = 0;
            let more = limit.next_power_of_two() - known;
            self.sent_ns.splice(..0, std::iter::repeat_n(self.sent_ns[0], more));
        }
    }

    /// Whether one more can be sent at `now_ns`: a second must have passed since the oldest. A
    /// clock that went back has it wait until it has caught up.
    #[inline]
    pub(crate) fn allows(&self, now_ns: u64) -> bool {
        let oldest_ns = self.sent_ns[self.place(self.next.wrapping_sub(self.limit))];
        self.limit > 0 && (oldest_ns == 0 || now_ns.saturating_sub(oldest_ns) >= S_NS)
    }

    #[inline]
    pub(crate) fn sent(&mut self, now_ns: u64) {
        let place = self.place(self.next);
        self.sent_ns[place] = now_ns;
        self.next = self.next.wrapping_add(1);
    }

    #[inline]
    fn place(&self, number: usize) -> usize {
        number & (self.sent_ns.len() - 1)
    }
}

/// When each rule sent its last order for each instrument.
#[derive(Clone, Debug)]
pub(crate) struct CoolDowns {
    instruments: usize,
    /// Of each rule: for how long, and where its times begin.
    rules: Vec<(u64, usize)>,
    sent_ns: Vec<u64>,
}

impl CoolDowns {
    /// After a restart it is not known which rule sent the last order of an instrument: all did.
    pub(crate) fn new(settings: &Settings, last_ns: impl Fn(usize) -> u64) -> Self {
        let instruments = settings.instruments.len();
        let mut sent_ns = Vec::new();
        let mut rules = Vec::with_capacity(settings.rules.len());
        for rule in &settings.rules {
            rules.push((rule.cool_down_ns, sent_ns.len()));
            if rule.cool_down_ns > 0 {
                sent_ns.extend((0..instruments).map(&last_ns));
            }
        }
        CoolDowns { instruments, rules, sent_ns }
    }

    /// Whether it is long enough ago: exactly the cool-down is.
    #[inline]
    pub(crate) fn allows(&self, rule: usize, instrument: usize, now_ns: u64) -> bool {
        debug_assert!(instrument < self.instruments);
        let (cool_down_ns, from) = self.rules[rule];
        if cool_down_ns == 0 {
            return true;
        }
        let sent_ns = self.sent_ns[from + instrument];
        sent_ns == 0 || now_ns.saturating_sub(sent_ns) >= cool_down_ns
    }

    #[inline]
    pub(crate) fn sent(&mut self, rule: usize, instrument: usize, now_ns: u64) {
        let (cool_down_ns, from) = self.rules[rule];
        if cool_down_ns > 0 {
            self.sent_ns[from + instrument] = now_ns;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::RuleSettings;

    #[test]
    fn no_second_has_more_orders_than_allowed() {
        let mut rate = Rate::new(2, 0);
        for (now_ns, allowed) in [
            (S_NS, true),
            (S_NS + 400, true),
            (S_NS + 400, false),
            (2 * S_NS - 1, false),
            (2 * S_NS, true),
            (2 * S_NS + 399, false),
            (2 * S_NS + 400, true),
            // The clock went back.
            (S_NS, false),
        ] {
            assert_eq!(rate.allows(now_ns), allowed, "{now_ns}");
            if allowed {
                rate.sent(now_ns);
            }
        }
        assert!(!Rate::new(0, 0).allows(u64::MAX));
    }

    #[test]
    fn a_limit_that_changes_forgets_no_order() {
        let mut rate = Rate::new(3, 0);
        [S_NS, S_NS + 10, S_NS + 20, 2 * S_NS].into_iter().for_each(|at| rate.sent(at));
        rate.set_limit(2);
        assert!(!rate.allows(2 * S_NS + 19) && rate.allows(2 * S_NS + 20));
        rate.set_limit(4);
        assert!(!rate.allows(2 * S_NS - 1) && rate.allows(2 * S_NS));
        rate.sent(2 * S_NS + 20);
        // Those before the four that are known are taken for as late as the oldest.
        rate.set_limit(6);
        for (now_ns, allowed) in [(2 * S_NS + 9, false), (2 * S_NS + 10, true)] {
            assert_eq!(rate.allows(now_ns), allowed, "{now_ns}");
        }
        (0..3).for_each(|_| rate.sent(2 * S_NS + 30));
        assert!(!rate.allows(2 * S_NS + 19) && rate.allows(2 * S_NS + 20));
        rate.set_limit(0);
        assert!(!rate.allows(u64::MAX));
        rate.set_limit(1);
        assert!(!rate.allows(3 * S_NS + 29) && rate.allows(3 * S_NS + 30));
    }

    #[test]
    fn after_a_restart_the_second_before_it_counts_as_full() {
        let rate = Rate::new(3, 5 * S_NS);
        assert!(!rate.allows(6 * S_NS - 1) && rate.allows(6 * S_NS));
    }

    #[test]
    fn a_rule_cools_down_for_each_instrument() {
        let rules = [0, 10, 20].map(|cool_down_ns| RuleSettings { cool_down_ns });
        let instrument = crate::settings::tests_instrument(*b"A       ");
        let instruments = vec![instrument; 2];
        let settings = Settings { rules: rules.to_vec(), instruments, ..Settings::default() };
        let mut cool_downs = CoolDowns::new(&settings, |instrument| 100 * instrument as u64);
        assert!(cool_downs.allows(0, 1, 100) && cool_downs.allows(1, 0, 0));
        assert!(!cool_downs.allows(1, 1, 109) && cool_downs.allows(1, 1, 110));
        assert!(!cool_downs.allows(2, 1, 119) && cool_downs.allows(2, 1, 120));
        cool_downs.sent(1, 1, 130);
        cool_downs.sent(0, 1, 130);
        assert!(!cool_downs.allows(1, 1, 139) && cool_downs.allows(1, 1, 140));
        assert!(cool_downs.allows(1, 0, 131) && cool_downs.allows(2, 1, 131));
        assert!(cool_downs.allows(0, 1, 130));
    }
}
