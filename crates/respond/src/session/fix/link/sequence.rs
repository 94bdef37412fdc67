//! Numbers: what came too early or too late, what is missing on either side.

use super::{Application, Gap, Link, Next, reason};
use crate::session::Close;
use crate::session::fix::head::{Head, number as whole};
use crate::session::fix::outgoing::{Again, Full};
use crate::session::fix::time;
use tickwire_market::fix::Message;

impl Link {
    /// A message that is not the next: what is between is asked for.
    pub(super) fn too_high(
        &mut self,
        message: &Message<'_>,
        number: u64,
        now_ns: u64,
        application: &mut dyn Application,
    ) -> Result<(), Close> {
        if message.msg_type() == b"2" {
            // Answered at once, or both sides would wait for each other.
            self.resend(message, number, now_ns, application)?;
        }
        self.ahead.keep(number, message.bytes());
        match &mut self.gap {
            Some(gap) => gap.seen = gap.seen.max(number),
            None => self.ask(number, now_ns)?,
        }
        Ok(())
    }

    /// Asks for all from the next on: what comes after `seen` is on its way, and comes again.
    pub(super) fn ask(&mut self, seen: u64, now_ns: u64) -> Result<(), Close> {
        let tries = self.gap.map_or(0, |gap| gap.tries) + 1;
        self.gap = Some(Gap { seen, asked_ns: now_ns, tries });
        self.counts.resends_asked += 1;
        let expected = self.out.expected();
        Ok(self.out.message(now_ns, "2", &[(7, &expected), (16, &0)])?)
    }

    /// A message that came before, or seems to.
    pub(super) fn too_low(
        &mut self,
        message: &Message<'_>,
        head: &Head<'_>,
        number: u64,
        now_ns: u64,
    ) -> Result<(), Close> {
        if !head.is_duplicate {
            return Err(self.number_too_low(number, now_ns));
        }
        self.counts.duplicates += 1;
        match self.duplicate_fault(message, head) {
            Some((reason::SENDING_TIME, _)) => {
                self.reject(message, number, reason::SENDING_TIME, None, now_ns)?;
                let text = "OrigSendingTime (122) is after SendingTime (52)";
                Err(self.shut_out(now_ns, text.to_owned()))
            }
            Some((reason, tag)) => self.reject(message, number, reason, Some(&tag), now_ns),
            None => Ok(()),
        }
    }

    /// What is wrong with a message that says that it may be a duplicate.
    pub(super) fn duplicate_fault(
        &self,
        message: &Message<'_>,
        head: &Head<'_>,
    ) -> Option<(u16, u32)> {
        if message.msg_type() == b"4" {
            return None;
        }
        let Some(first_time) = head.first_time else { return Some((reason::MISSING, 122)) };
        let (Some(first), Some(sent)) =
            (time::parse(first_time), head.sending_time.and_then(time::parse))
        else {
            return Some((reason::FORMAT, 122));
        };
        (first > sent).then_some((reason::SENDING_TIME, 122))
    }

    pub(super) fn number_too_low(&mut self, number: u64, now_ns: u64) -> Close {
        self.counts.sequence_errors += 1;
        let expected = self.out.expected();
        let text = format!("MsgSeqNum too low, expecting {expected} but received {number}");
        self.shut_out(now_ns, text)
    }

    /// The peer misses something: what is to be sent again is, and a gap fill stands for the rest.
    pub(super) fn resend(
        &mut self,
        message: &Message<'_>,
        number: u64,
        now_ns: u64,
        application: &mut dyn Application,
    ) -> Result<(), Close> {
        let get = |tag| message.get(tag).and_then(whole);
        let (Some(first), Some(last)) = (get(7), get(16)) else {
            let tag = if get(7).is_none() { 7 } else { 16 };
            return self.reject(message, number, reason::MISSING, Some(&tag), now_ns);
        };
        let newest = self.out.next() - 1;
        // 0 is infinity.
        let last = if last == 0 { newest } else { last.min(newest) };
        if first == 0 || first > last {
            return self.reject(message, number, reason::OUT_OF_RANGE, Some(&7), now_ns);
        }
        self.counts.resends_answered += 1;
        // It may have been on its way while one before it was answered. Then the peer has gone on
        // since, and has handled what came behind that answer, or was sent again with it.
        let is_repeated = first < self.answered;
        let mut at = first;
        while at <= last {
            let next = application.next_again(at, last, is_repeated, now_ns);
            let until = match next {
                Next::Send(number) | Next::StopBefore(number) => number.clamp(at, last),
                Next::Fill => last + 1,
            };
            if until > at {
                let fill = Again { number: at, at_ns: now_ns };
                self.out.again(now_ns, "4", fill, &[(36, &until), (123, &"Y")])?;
            }
            at = until;
            match next {
                Next::StopBefore(_) => break,
                // Without room the rest waits: the peer sees that it is missing, and asks again.
                Next::Send(_) => match application.send_again(at, &mut self.out, now_ns) {
                    Ok(()) => at += 1,
                    Err(Full) => break,
                },
                Next::Fill => {}
            }
        }
        self.answered = self.answered.max(at);
        // A TestRequest that the peer missed was filled in, and will not be answered.
        if self.test.is_some_and(|(_, id)| (first..at).contains(&id)) {
            self.send_test(now_ns)?;
        }
        Ok(())
    }

    /// SequenceReset with GapFillFlag (123): has a number of its own, and stands for more.
    pub(super) fn gap_fill(
        &mut self,
        message: &Message<'_>,
        number: u64,
        now_ns: u64,
    ) -> Result<(), Close> {
        match message.get(36).and_then(whole) {
            None => self.reject(message, number, reason::MISSING, Some(&36), now_ns),
            Some(next) if next <= number => {
                self.reject(message, number, reason::OUT_OF_RANGE, None, now_ns)
            }
            Some(next) => {
                self.out.set_expected(next);
                Ok(())
            }
        }
    }

    /// SequenceReset without it: what is missing will never come. Its own number counts nothing.
    pub(super) fn sequence_reset(
        &mut self,
        message: &Message<'_>,
        number: u64,
        now_ns: u64,
    ) -> Result<(), Close> {
        match message.get(36).and_then(whole) {
            None => self.reject(message, number, reason::MISSING, Some(&36), now_ns),
            Some(next) if next < self.out.expected() => {
                self.reject(message, number, reason::OUT_OF_RANGE, None, now_ns)
            }
            Some(next) => {
                self.counts.resets += 1;
                self.out.set_expected(next);
                self.ahead.forget_before(next);
                if self.gap.is_some_and(|gap| gap.seen < next) {
                    self.gap = None;
                }
                Ok(())
            }
        }
    }
}
