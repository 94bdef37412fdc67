//! Messages in order, for who cannot use them otherwise.

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// It was the next one: it was handed on, and those behind it that had waited for it.
    Next,
    /// Others are missing before it: it waits for them.
    Waits,
    /// It came before, or was given up.
    Old,
    /// It is too far ahead, or longer than there is room for: give up what is missing, and come
    /// again.
    NoRoom,
}

/// A message, or none, that waits in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Empty,
    /// A message of so many bytes.
    Waits(u16),
    /// It will not come.
    GivenUp,
}

/// Holds messages back until all before them have come, or are given up. Each has a place of the
/// same size; all memory is taken at the start.
#[derive(Clone, Debug)]
pub struct InOrder {
    slots: Box<[Slot]>,
    bytes: Box<[u8]>,
    message_bytes_max: usize,
    next: u64,
    waiting: usize,
}

impl InOrder {
    /// `next` is the number of the first message; up to `messages_max` messages behind a gap are
    /// held, of up to `message_bytes_max` bytes each (at most 65 535).
    pub fn new(next: u64, messages_max: usize, message_bytes_max: usize) -> Self {
        let (messages_max, message_bytes_max) =
            (messages_max.max(1), message_bytes_max.min(0xffff));
        InOrder {
            slots: vec![Slot::Empty; messages_max].into(),
            bytes: vec![0; messages_max * message_bytes_max].into(),
            message_bytes_max,
            next,
            waiting: 0,
        }
    }

    /// The number of the message that is waited for.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// How many messages wait for others.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Begins again with another number: what waits is dropped.
    pub fn restart(&mut self, next: u64) {
        self.slots.fill(Slot::Empty);
        (self.next, self.waiting) = (next, 0);
    }

    /// A message came; hands on what is in order now.
    #[inline]
    pub fn push(
        &mut self,
        sequence: u64,
        message: &[u8],
        mut hand_on: impl FnMut(u64, &[u8]),
    ) -> Place {
        if sequence == self.next {
            hand_on(sequence, message);
            self.step();
            self.drain(hand_on);
            return Place::Next;
        }
        let Some(ahead) = sequence.checked_sub(self.next) else { return Place::Old };
        if ahead >= self.slots.len() as u64 || message.len() > self.message_bytes_max {
            return Place::NoRoom;
        }
        let slot = self.slot(sequence);
        if self.slots[slot] != Slot::Empty {
            return Place::Old;
        }
        let start = slot * self.message_bytes_max;
        self.bytes[start..start + message.len()].copy_from_slice(message);
        self.slots[slot] = Slot::Waits(message.len() as u16);
        self.waiting += 1;
        Place::Waits
    }

    /// The messages from `first` to `last` will not come, as far as they have not; hands on what
    /// is in order now. When that is further ahead than there is room for, the messages before
    /// that are still missing are given up as well. How many were given up.
    pub fn give_up(&mut self, first: u64, last: u64, mut hand_on: impl FnMut(u64, &[u8])) -> u64 {
        let (room, mut given_up) = (self.slots.len() as u64, 0);
        while last >= self.next && last - self.next >= room {
            let skipped = if self.waiting == 0 { last - room + 1 - self.next } else { 1 };
            // The slots in between are empty: nothing waits, or only the next one is missing.
            given_up += skipped;
            self.next += skipped;
            self.drain(&mut hand_on);
        }
        for sequence in first.max(self.next)..=last {
            let slot = self.slot(sequence);
            if self.slots[slot] == Slot::Empty {
                self.slots[slot] = Slot::GivenUp;
                given_up += 1;
            }
        }
        self.drain(hand_on);
        given_up
    }

    fn slot(&self, sequence: u64) -> usize {
        (sequence % self.slots.len() as u64) as usize
    }

    fn step(&mut self) {
        let slot = self.slot(self.next);
        self.slots[slot] = Slot::Empty;
        self.next = self.next.wrapping_add(1);
    }

    fn drain(&mut self, mut hand_on: impl FnMut(u64, &[u8])) {
        loop {
            let slot = self.slot(self.next);
            match self.slots[slot] {
                Slot::Empty => return,
                Slot::GivenUp => {}
                Slot::Waits(len) => {
                    let start = slot * self.message_bytes_max;
                    hand_on(self.next, &self.bytes[start..start + usize::from(len)]);
                    self.waiting -= 1;
                }
            }
            self.step();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was handed on: numbers, each with the message that belongs to it.
    #[derive(Default)]
    struct Out(Vec<u64>);

    impl Out {
        fn hand_on(&mut self, sequence: u64, message: &[u8]) {
            assert_eq!(message, text(sequence).as_bytes());
            self.0.push(sequence);
        }
    }

    fn text(sequence: u64) -> String {
        "x".repeat(sequence as usize % 7) + &sequence.to_string()
    }

    fn push(order: &mut InOrder, out: &mut Out, sequence: u64) -> Place {
        order.push(sequence, text(sequence).as_bytes(), |n, message| out.hand_on(n, message))
    }

    fn give_up(order: &mut InOrder, out: &mut Out, first: u64, last: u64) -> u64 {
        order.give_up(first, last, |n, message| out.hand_on(n, message))
    }

    #[test]
    fn messages_wait_for_those_before_them() {
        let (mut order, mut out) = (InOrder::new(5, 4, 20), Out::default());
        assert_eq!(push(&mut order, &mut out, 5), Place::Next);
        assert_eq!(push(&mut order, &mut out, 8), Place::Waits);
        assert_eq!(push(&mut order, &mut out, 9), Place::Waits);
        for (sequence, place) in [(8, Place::Old), (5, Place::Old), (10, Place::NoRoom)] {
            assert_eq!(push(&mut order, &mut out, sequence), place, "{sequence}");
        }
        assert_eq!((order.next(), order.waiting(), &out.0[..]), (6, 2, &[5][..]));
        assert_eq!(push(&mut order, &mut out, 7), Place::Waits);
        assert_eq!(push(&mut order, &mut out, 6), Place::Next);
        assert_eq!((order.next(), order.waiting()), (10, 0));
        assert_eq!(order.push(11, &[0; 21], |_, _| panic!("in order")), Place::NoRoom);
        assert_eq!(out.0, [5, 6, 7, 8, 9]);
    }

    #[test]
    fn what_is_given_up_is_not_waited_for() {
        let (mut order, mut out) = (InOrder::new(1, 8, 20), Out::default());
        for sequence in [3, 4, 7] {
            push(&mut order, &mut out, sequence);
        }
        assert_eq!(give_up(&mut order, &mut out, 5, 6), 2);
        assert_eq!((order.next(), push(&mut order, &mut out, 6)), (1, Place::Old));
        assert_eq!(give_up(&mut order, &mut out, 0, 4), 2);
        assert_eq!((order.next(), &out.0[..]), (8, &[3, 4, 7][..]));
        push(&mut order, &mut out, 10);
        let mut again = order.clone();
        again.restart(20);
        assert_eq!((again.waiting(), push(&mut again, &mut Out::default(), 20)), (0, Place::Next));
        assert_eq!((again.next(), again.waiting()), (21, 0));
        // Far ahead: 8 and 9 are missing before it.
        assert_eq!(give_up(&mut order, &mut out, 1_000, 1_009), 2 + 999);
        assert_eq!((order.next(), order.waiting(), &out.0[3..]), (1_010, 0, &[10][..]));
        assert_eq!(push(&mut order, &mut out, 1_010), Place::Next);
    }
}
