//! Conditions under construction: pieces of the graph whose exits are still open.

use crate::ir::{Block, BlockId, End, NumberId, Program, Slot, Test};

/// Which exit of a block.
#[derive(Clone, Copy, Debug)]
enum Exit {
    Yes,
    No,
    Jump,
}

type Exits = Vec<(BlockId, Exit)>;

/// A condition: a constant, or code with open exits.
#[derive(Debug)]
pub(crate) enum Fragment {
    /// Always this.
    Always(bool),
    /// Code.
    Code(Code),
}

#[derive(Debug)]
pub(crate) struct Code {
    entry: BlockId,
    yes: Exits,
    no: Exits,
}

/// Builds the graph. No recursion: any number of conditions may be joined.
impl Program {
    /// A single test.
    pub(crate) fn test(&mut self, test: Test) -> Fragment {
        let end = End::Branch { test, yes: BlockId(0), no: BlockId(0) };
        let entry = self.add(Block { sets: Vec::new(), end });
        let (yes, no) = (vec![(entry, Exit::Yes)], vec![(entry, Exit::No)]);
        Fragment::Code(Code { entry, yes, no })
    }

    /// Sets slots; always true.
    pub(crate) fn sets(&mut self, sets: Vec<(Slot, NumberId)>) -> Fragment {
        let entry = self.add(Block { sets, end: End::Jump(BlockId(0)) });
        Fragment::Code(Code { entry, yes: vec![(entry, Exit::Jump)], no: Vec::new() })
    }

    /// The end of the whole program, as for a load that fails.
    pub(crate) fn reject(&mut self) -> Fragment {
        let entry = self.add(Block { sets: Vec::new(), end: End::Return(false) });
        Fragment::Code(Code { entry, yes: Vec::new(), no: Vec::new() })
    }

    /// The loop `body`: where it is true it starts again, where it is false the loop is done
    /// (always true).
    pub(crate) fn repeat(&mut self, body: Fragment) -> Fragment {
        match body {
            Fragment::Always(_) => Fragment::Always(true),
            Fragment::Code(Code { entry, yes, no }) => {
                self.patch(yes, entry);
                Fragment::Code(Code { entry, yes: no, no: Vec::new() })
            }
        }
    }

    /// Runs `body`, and as long as it does not hold and `step` does, again. True where `body` holds
    /// at last, false where `step` does not.
    pub(crate) fn search(&mut self, body: Fragment, step: Fragment) -> Fragment {
        match (body, step) {
            (Fragment::Code(body), Fragment::Code(step)) => {
                self.patch(body.no, step.entry);
                self.patch(step.yes, body.entry);
                Fragment::Code(Code { entry: body.entry, yes: body.yes, no: step.no })
            }
            (body, _) => body,
        }
    }

    /// `left`, and if it holds, `right`.
    pub(crate) fn and(&mut self, left: Fragment, right: Fragment) -> Fragment {
        match (left, right) {
            (Fragment::Always(false), _) | (_, Fragment::Always(false)) => Fragment::Always(false),
            (Fragment::Always(true), other) | (other, Fragment::Always(true)) => other,
            (Fragment::Code(left), Fragment::Code(right)) => {
                self.patch(left.yes, right.entry);
                let no = join(left.no, right.no);
                Fragment::Code(Code { entry: left.entry, yes: right.yes, no })
            }
        }
    }

    /// `left`, and if it does not hold, `right`.
    pub(crate) fn or(&mut self, left: Fragment, right: Fragment) -> Fragment {
        match (left, right) {
            (Fragment::Always(true), _) | (_, Fragment::Always(true)) => Fragment::Always(true),
            (Fragment::Always(false), other) | (other, Fragment::Always(false)) => other,
            (Fragment::Code(left), Fragment::Code(right)) => {
                self.patch(left.no, right.entry);
                let yes = join(left.yes, right.yes);
                Fragment::Code(Code { entry: left.entry, yes, no: right.no })
            }
        }
    }

    /// `yes` where the condition holds, else `no`.
    pub(crate) fn choose(&mut self, condition: Fragment, yes: Fragment, no: Fragment) -> Fragment {
        match (condition, yes, no) {
            (Fragment::Always(true), yes, _) => yes,
            (Fragment::Always(false), _, no) => no,
            (Fragment::Code(test), Fragment::Code(yes), Fragment::Code(no)) => {
                self.patch(test.yes, yes.entry);
                self.patch(test.no, no.entry);
                let (yes_exits, no_exits) = (join(yes.yes, no.yes), join(yes.no, no.no));
                Fragment::Code(Code { entry: test.entry, yes: yes_exits, no: no_exits })
            }
            // One side is constant: `and` and `or` do.
            (test, Fragment::Always(true), no) => self.or(test, no),
            (test, Fragment::Always(false), no) => self.and(not(test), no),
            (test, yes, Fragment::Always(false)) => self.and(test, yes),
            (test, yes, Fragment::Always(true)) => self.or(not(test), yes),
        }
    }

    /// All of them, in order.
    pub(crate) fn all(&mut self, parts: impl IntoIterator<Item = Fragment>) -> Fragment {
        parts.into_iter().fold(Fragment::Always(true), |left, right| self.and(left, right))
    }

    /// Any of them, in order.
    pub(crate) fn any(&mut self, parts: impl IntoIterator<Item = Fragment>) -> Fragment {
        parts.into_iter().fold(Fragment::Always(false), |left, right| self.or(left, right))
    }

    /// Closes the open exits with the two verdicts and sets the entry.
    pub(crate) fn close(&mut self, condition: Fragment) {
        let accept = self.add(Block { sets: Vec::new(), end: End::Return(true) });
        let reject = self.add(Block { sets: Vec::new(), end: End::Return(false) });
        match condition {
            Fragment::Always(verdict) => self.entry = if verdict { accept } else { reject },
            Fragment::Code(Code { entry, yes, no }) => {
                self.patch(yes, accept);
                self.patch(no, reject);
                self.entry = entry;
            }
        }
    }

    fn patch(&mut self, exits: Exits, to: BlockId) {
        for (block, exit) in exits {
            match (&mut self.blocks[block.0 as usize].end, exit) {
                (End::Branch { yes, .. }, Exit::Yes) => *yes = to,
                (End::Branch { no, .. }, Exit::No) => *no = to,
                (End::Jump(target), Exit::Jump) => *target = to,
                (end, exit) => debug_assert!(false, "{end:?} has no exit {exit:?}"),
            }
        }
    }
}

/// The opposite.
pub(crate) fn not(condition: Fragment) -> Fragment {
    match condition {
        Fragment::Always(verdict) => Fragment::Always(!verdict),
        Fragment::Code(Code { entry, yes, no }) => Fragment::Code(Code { entry, yes: no, no: yes }),
    }
}

/// The shorter is appended to the longer, so that many joins stay cheap.
fn join(left: Exits, right: Exits) -> Exits {
    let (mut long, short) = if left.len() >= right.len() { (left, right) } else { (right, left) };
    long.extend(short);
    long
}
