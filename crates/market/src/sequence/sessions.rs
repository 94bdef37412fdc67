//! A bounded table of sessions, of which one is nearly always the current one.

/// Something for each session. Memory of a session that was driven out is used again.
#[derive(Clone, Debug)]
pub(crate) struct Sessions<S, T> {
    slots: Vec<Slot<S, T>>,
    current: usize,
    max: usize,
    turns: u64,
}

#[derive(Clone, Debug)]
struct Slot<S, T> {
    session: S,
    /// The turn in which it was the current one for the last time.
    turn: u64,
    state: T,
}

impl<S: Copy + PartialEq, T> Sessions<S, T> {
    /// None of at most `max`, which is at least 1.
    pub(crate) fn new(max: usize) -> Self {
        let max = max.max(1);
        Sessions { slots: Vec::with_capacity(max), current: 0, max, turns: 0 }
    }

    /// Where that session is, which becomes the current one.
    #[inline]
    pub(crate) fn place(&mut self, session: S) -> Option<usize> {
        if self.slots.get(self.current).is_none_or(|slot| slot.session != session) {
            let place = self.slots.iter().position(|slot| slot.session == session)?;
            self.turn(place);
        }
        Some(self.current)
    }

    /// What is at a place that was just given.
    #[inline]
    pub(crate) fn at(&mut self, place: usize) -> &mut T {
        &mut self.slots[place].state
    }

    /// That session, which stays or does not become the current one.
    pub(crate) fn peek(&mut self, session: S) -> Option<&mut T> {
        self.slots.iter_mut().find(|slot| slot.session == session).map(|slot| &mut slot.state)
    }

    /// A place for a session that is not there: a new one, or that of the one which has not been
    /// current for longest, whose state is left in it. It becomes the current one.
    pub(crate) fn add(&mut self, session: S, new: impl FnOnce() -> T) -> (usize, Option<S>) {
        let oldest = self.slots.iter().enumerate().min_by_key(|(_, slot)| slot.turn);
        let place = match oldest {
            Some((place, _)) if self.slots.len() >= self.max => place,
            _ => self.slots.len(),
        };
        let old = match self.slots.get_mut(place) {
            Some(slot) => Some(std::mem::replace(&mut slot.session, session)),
            None => {
                self.slots.push(Slot { session, turn: 0, state: new() });
                None
            }
        };
        self.turn(place);
        (place, old)
    }

    pub(crate) fn current(&self) -> Option<(S, &T)> {
        self.slots.get(self.current).map(|slot| (slot.session, &slot.state))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (S, &T)> + Clone {
        self.slots.iter().map(|slot| (slot.session, &slot.state))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (S, &mut T)> {
        self.slots.iter_mut().map(|slot| (slot.session, &mut slot.state))
    }

    #[inline(never)]
    fn turn(&mut self, place: usize) {
        self.turns += 1;
        self.current = place;
        self.slots[place].turn = self.turns;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_that_was_silent_for_longest_makes_room() {
        let mut sessions: Sessions<char, u32> = Sessions::new(2);
        assert!(sessions.is_empty() && sessions.place('a').is_none());
        assert_eq!(sessions.add('a', || 1), (0, None));
        assert_eq!(sessions.add('b', || 2), (1, None));
        assert_eq!(sessions.place('a'), Some(0));
        assert_eq!(sessions.add('c', || 3), (1, Some('b')));
        assert_eq!((sessions.place('b'), *sessions.at(1)), (None, 2));
        assert_eq!(sessions.peek('a'), Some(&mut 1));
        assert_eq!(sessions.current(), Some(('c', &2)));
        assert!(sessions.iter().eq([('a', &1), ('c', &2)]));
    }
}
