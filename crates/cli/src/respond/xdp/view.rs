//! What the control plane sees of rules in the kernel.

use super::Kernel;
use super::watch::monotonic_ns;
use tickwire_control::respond::types::{KernelView, StatusView};
use tickwire_respond::xdp::KernelCounts;

const MS_NS: u64 = 1_000_000;

impl Kernel {
    /// Adds what the kernel did to what user space did.
    pub fn add_to(&self, status: &mut StatusView) {
        let counts = self.state.counts();
        for (feed, [others, ticks]) in self.plan().feeds().iter().zip(&counts.ticks) {
            status.packets_processed += ticks;
            status.feeds[usize::from(feed.number)].messages += others + ticks;
        }
        status.responses_sent += counts.orders;
        for (reason, count) in counts.refused.iter().filter(|(_, count)| *count > 0) {
            *status.refused.entry(reason.to_string()).or_default() += count;
        }
        if counts.lost > 0 {
            status.warnings.push(format!(
                "{} records of orders and refusals in the kernel were lost: tickwire did not read \
                 them in time",
                counts.lost
            ));
        }
        let view = self.view(&counts);
        if view.lease_left_ms == 0 {
            status.warnings.push(
                "the lease of the rules in the kernel has run out, so they do not trade: this \
                 process did not renew it in time; is the machine too busy?"
                    .to_owned(),
            );
        }
        status.kernel = Some(view);
    }

    fn view(&self, counts: &KernelCounts) -> KernelView {
        let left_ns = self.state.lease_until_ns().saturating_sub(monotonic_ns());
        let plan = self.plan();
        let others = counts.ticks.iter().map(|[others, _]| others).sum();
        KernelView {
            rules: plan.kernel_rules() as u64,
            rules_in_user_space: plan.user_space_rules() as u64,
            lease_ms: self.lease.as_millis() as u64,
            lease_left_ms: left_ns / MS_NS,
            intents: counts.intents,
            orders: counts.orders,
            other_ticks: others,
            busy_ticks: counts.busy,
            lost_records: counts.lost,
            stopped: counts.stopped,
        }
    }
}
