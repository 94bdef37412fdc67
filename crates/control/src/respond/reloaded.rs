//! What a reload changed, in words.

use super::types::ReloadView;
use std::fmt;

/// Names that are listed; others are only counted.
const NAMES_MAX: usize = 8;

/// On one line: `2 rules (1 in the kernel, 1 in user space), 1 before; added: crossed`.
impl fmt::Display for ReloadView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rules {
            1 => f.write_str("1 rule")?,
            rules => write!(f, "{rules} rules")?,
        }
        if let Some(in_kernel) = self.rules_in_kernel {
            let others = self.rules.saturating_sub(in_kernel);
            write!(f, " ({in_kernel} in the kernel, {others} in user space)")?;
        }
        write!(f, ", {} before", self.rules_before)?;
        if self.limits {
            f.write_str("; other limits for all orders together")?;
        }
        if self.reordered {
            f.write_str("; another order of rules")?;
        }
        for (what, names) in [
            ("added", &self.added),
            ("changed", &self.changed),
            ("removed", &self.removed),
            ("other limits", &self.instruments),
            ("another age", &self.feeds),
            ("now in the kernel", &self.into_kernel),
            ("now in user space", &self.out_of_kernel),
        ] {
            if names.is_empty() {
                continue;
            }
            let (shown, rest) = names.split_at(names.len().min(NAMES_MAX));
            write!(f, "; {what}: {}", shown.join(", "))?;
            if !rest.is_empty() {
                write!(f, " and {} more", rest.len())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_another_is_named() {
        let view = ReloadView { rules_before: 1, rules: 1, ..ReloadView::default() };
        assert_eq!(view.to_string(), "1 rule, 1 before");
        let view = ReloadView {
            rules_before: 1,
            rules: 12,
            rules_in_kernel: Some(9),
            added: (0..10).map(|number| format!("r{number}")).collect(),
            limits: true,
            out_of_kernel: vec!["MSFT".to_owned()],
            ..ReloadView::default()
        };
        assert_eq!(
            view.to_string(),
            "12 rules (9 in the kernel, 3 in user space), 1 before; other limits for all orders \
             together; added: r0, r1, r2, r3, r4, r5, r6, r7 and 2 more; now in user space: MSFT"
        );
    }
}
