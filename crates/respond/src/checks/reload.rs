//! Other limits and rules while it runs.

use super::Checks;
use crate::memory::Keys;
use crate::rate::CoolDowns;
use crate::settings::{Settings, SettingsError};
use std::sync::atomic::Ordering::Relaxed;

impl Checks<'_> {
    /// Goes on with other limits and rules, of the same feeds, targets and instruments. Positions,
    /// numbers and the orders of the last second stay; which rule sent the last order of an
    /// instrument is forgotten, as over a restart: all did.
    ///
    /// # Errors
    /// [`SettingsError`]: then nothing has changed.
    ///
    /// # Panics
    /// When feeds, targets or instruments are others.
    pub fn reload(&mut self, settings: &Settings) -> Result<(), SettingsError> {
        settings.check()?;
        let memory = self.memory;
        assert!(memory.keys() == Keys::of(settings), "another configuration");
        let last_ns = |instrument| memory.last_sent_ns(instrument).load(Relaxed);
        self.cool_downs = CoolDowns::new(settings, last_ns);
        self.rate.set_limit(settings.limits.orders_per_s);
        self.limits = settings.limits;
        self.instruments.clone_from(&settings.instruments);
        self.age_ns_max = settings.feeds.iter().map(|feed| feed.age_ns_max).collect();
        self.rules = settings.rules.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Moment;
    use super::*;
    use crate::memory::Memory;
    use crate::order::{Intent, Side};
    use crate::settings::{FeedSettings, GapPolicy, Limits, RuleSettings, TargetSettings};
    use crate::triggers::Trigger;
    use std::sync::atomic::AtomicU64;
    use tickwire_frame::Reason;
    use tickwire_market::Protocol;

    const NOW_NS: u64 = 1_800_000_000_000_000_000;

    fn settings() -> Settings {
        Settings {
            feeds: vec![FeedSettings {
                name: "feed".to_owned(),
                protocol: Protocol::Itch50,
                age_ns_max: 1_000,
                silence_ns_max: None,
                gap: GapPolicy::Refuse,
            }],
            instruments: vec![crate::settings::tests_instrument(*b"A       ")],
            rules: vec![RuleSettings::default()],
            targets: vec![TargetSettings { name: "target".to_owned(), acknowledges: false }],
            limits: Limits { orders_per_s: 100, ..Limits::default() },
        }
    }

    #[test]
    fn what_was_sent_stays_and_limits_are_the_new_ones() {
        let before = settings();
        let words: Vec<_> = (0..Keys::of(&before).words()).map(|_| AtomicU64::new(0)).collect();
        let memory = Memory::create(&words, &Keys::of(&before));
        let mut checks = Checks::new(&before, memory).unwrap();
        let send = |checks: &mut Checks<'_>, rule: u16, sequence: u64| {
            let intent = Intent {
                rule,
                instrument: 0,
                target: 0,
                side: Side::Buy,
                price: 100,
                quantity: 10,
            };
            let at = Moment {
                feed: 0,
                trigger: Trigger::Numbered { session: 1, sequence },
                is_stale: false,
                is_halted: false,
                reference: Some(100),
                received_ns: NOW_NS - 500,
                now_ns: NOW_NS + sequence,
            };
            let order = checks.decide(&intent, &at)?;
            checks.commit(&order, &at);
            Ok::<u64, Reason>(order.number)
        };
        let first = send(&mut checks, 0, 1).unwrap();
        assert_eq!(send(&mut checks, 1, 2), Err(Reason::NotConfigured));

        // Which rule sent it is not known any more: both did.
        let mut after = settings();
        after.rules = vec![RuleSettings { cool_down_ns: 5 }, RuleSettings { cool_down_ns: 5 }];
        checks.reload(&after).unwrap();
        assert_eq!(send(&mut checks, 1, 1), Err(Reason::DuplicateTrigger));
        assert_eq!(send(&mut checks, 1, 5), Err(Reason::CoolDown));
        assert_eq!(send(&mut checks, 1, 6), Ok(first + 1));

        // Two have left in this second, and twenty are held.
        let limit = |change: fn(&mut Settings)| {
            let mut settings = settings();
            change(&mut settings);
            settings
        };
        for (changed, reason) in [
            (limit(|s| s.limits.orders_per_s = 2), Reason::OrderRate),
            (limit(|s| s.instruments[0].position_max = 29), Reason::PositionMax),
            (limit(|s| s.instruments[0].quantity_max = 9), Reason::QuantityMax),
            (limit(|s| s.feeds[0].age_ns_max = 499), Reason::StaleFeed),
        ] {
            checks.reload(&changed).unwrap();
            assert_eq!(send(&mut checks, 0, 7), Err(reason));
        }
        let mut wrong = settings();
        wrong.limits.orders_per_s = u32::MAX;
        assert!(checks.reload(&wrong).is_err());
        assert_eq!(send(&mut checks, 0, 7), Err(Reason::StaleFeed), "nothing has changed");
        checks.reload(&before).unwrap();
        assert_eq!(send(&mut checks, 0, 7), Ok(first + 2));
    }
}
