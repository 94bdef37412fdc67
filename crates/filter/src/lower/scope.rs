//! How far an encapsulation reaches.
//!
//! In libpcap's meaning `vlan` shifts all that comes after it in the text: `vlan 5 or ip` looks for
//! IP behind a tag even in frames that have none, and so does `not vlan and ip`. In the scoped
//! meaning it reaches as far as its own `and`: the other side of an `or` and what comes after a
//! `not` begin where the encapsulation began.

use super::Lowerer;
use super::fragment::{Fragment, not};
use crate::ast::{Expr, Joint};
use crate::error::{Result, Span};

/// Something that is probably not meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// What it means, and what to do about it.
    pub message: String,
    /// Where.
    pub span: Span,
}

/// What has shifted the offsets, and over which word.
pub(super) struct Leak {
    over: &'static str,
    span: Span,
}

impl Lowerer<'_> {
    pub(super) fn negation(&mut self, inner: &Expr) -> Result<Fragment> {
        let before = self.layout;
        let condition = not(self.expr(inner)?);
        self.leave(before, "not", &inner.span);
        Ok(condition)
    }

    pub(super) fn chain(&mut self, first: &Expr, rest: &[(Joint, Expr)]) -> Result<Fragment> {
        let before = self.layout;
        let (mut left, mut done) = self.run(first, rest)?;
        while let Some((joint, right)) = rest.get(done) {
            done += 1;
            left = match joint {
                Joint::And => {
                    let right = self.expr(right)?;
                    self.program.and(left, right)
                }
                Joint::Or => {
                    let shifted = self.layout;
                    self.leave(before, "or", &first.span);
                    let (condition, more) = self.run(right, &rest[done..])?;
                    done += more;
                    if self.layout != shifted {
                        self.leave(before, "or", &right.span);
                    }
                    self.program.or(left, condition)
                }
            };
        }
        Ok(left)
    }

    /// Leaves the branch in which the offsets may have been shifted.
    fn leave(&mut self, before: super::Layout, over: &'static str, span: &Span) {
        if self.layout == before {
            return;
        }
        if self.options.scoped {
            self.layout = before;
        } else {
            self.leak = Some(Leak { over, span: span.clone() });
        }
    }

    /// The next test after a leak is one that looks at shifted offsets.
    pub(super) fn warn_of_leak(&mut self) {
        let Some(Leak { over, span }) = self.leak.take() else { return };
        let message = format!(
            "this is looked for behind the encapsulation at {}..{}, although '{over}' stands \
             between them; put it in front of the encapsulation, or choose scoped encapsulation",
            span.start, span.end
        );
        self.warnings.push(Warning { message, span: self.span.clone() });
    }
}

#[cfg(test)]
mod tests {
    use crate::{Filter, Options};

    fn frame(tagged: bool) -> Vec<u8> {
        let mut bytes = vec![0; 12];
        if tagged {
            bytes.extend([0x81, 0, 0, 5]);
        }
        bytes.extend([0x08, 0, 0x45]);
        bytes.resize(60, 0);
        bytes
    }

    fn verdicts(text: &str, scoped: bool) -> (bool, bool, usize) {
        let options = Options { scoped, ..Options::default() };
        let filter = Filter::compile(text, &options).unwrap();
        let pass = |tagged| filter.matches(&frame(tagged), 60) != 0;
        (pass(false), pass(true), filter.warnings().len())
    }

    #[test]
    fn the_other_side_of_an_or() {
        assert_eq!(verdicts("vlan 6 or ip", false), (false, true, 1));
        assert_eq!(verdicts("vlan 6 or ip", true), (true, false, 0));
        assert_eq!(verdicts("(ip or vlan 6) and ip", false), (false, false, 1));
        assert_eq!(verdicts("(ip or vlan 6) and ip", true), (true, false, 0));
        // Where every branch shifts alike, what comes after is shifted in either meaning.
        assert_eq!(verdicts("(vlan 5 or vlan 6) and ip", true), (false, true, 0));
    }

    #[test]
    fn after_a_not() {
        assert_eq!(verdicts("not vlan and ip", false), (false, false, 1));
        assert_eq!(verdicts("not vlan and ip", true), (true, false, 0));
    }

    #[test]
    fn what_is_meant_is_not_warned_of() {
        for text in ["vlan and ip", "ip or vlan", "ip and not vlan", "tcp or udp and port 80"] {
            let filter = Filter::compile(text, &Options::default()).unwrap();
            assert!(filter.warnings().is_empty(), "{text}");
        }
    }
}
