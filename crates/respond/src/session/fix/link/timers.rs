//! Heartbeats out, heartbeats missed, and answers that do not come.

use super::{
    LOGON_MS_MAX, LOGOUT_MS_MAX, Link, RESEND_MS_MAX, RESEND_TRIES_MAX, State, reason, stop,
};
use crate::session::Close;
use crate::session::fix::head::number as whole;
use crate::session::fix::outgoing::Full;
use std::str;
use tickwire_market::fix::Message;

/// The longest TestReqID (112) that is sent back.
const TEST_ID_BYTES_MAX: usize = 512;

impl Link {
    pub fn tick(&mut self, now_ns: u64) -> Result<(), Close> {
        match &mut self.state {
            State::Disconnected => return Ok(()),
            State::Connecting { since_ns } => {
                if since(since_ns, now_ns) > ms(LOGON_MS_MAX) {
                    let why =
                        format!("no Logon came within {LOGON_MS_MAX} ms: is it a FIX gateway?");
                    return Err(Close { why, reconnect: true });
                }
                return Ok(());
            }
            State::LoggingOut { since_ns } => {
                if since(since_ns, now_ns) > ms(LOGOUT_MS_MAX) {
                    return Err(stop("the peer does not answer our Logout"));
                }
            }
            State::Established => {}
        }
        self.tick_gap(now_ns)?;
        self.tick_silence(now_ns)
    }

    pub(super) fn tick_gap(&mut self, now_ns: u64) -> Result<(), Close> {
        let Some(gap) = &mut self.gap else { return Ok(()) };
        if since(&mut gap.asked_ns, now_ns) <= ms(RESEND_MS_MAX) {
            return Ok(());
        }
        let (seen, tries) = (gap.seen, gap.tries);
        if tries < RESEND_TRIES_MAX {
            return self.ask(seen, now_ns);
        }
        let expected = self.out.expected();
        let text = format!("message {expected} was asked for {tries} times and did not come");
        Err(self.shut_out(now_ns, text))
    }

    /// Heartbeats out, and what to do about those that do not come.
    pub(super) fn tick_silence(&mut self, now_ns: u64) -> Result<(), Close> {
        // A reasonable transmission time, says the specification: a fifth.
        let patience_ns = self.heartbeat_ns + self.heartbeat_ns / 5;
        if let Some((asked_ns, _)) = &mut self.test {
            if since(asked_ns, now_ns) > patience_ns {
                let s = 2 * patience_ns / 1_000_000_000;
                let why = format!("the peer is silent, and answers no TestRequest ({s} s)");
                self.state = State::Disconnected;
                return Err(Close { why, reconnect: true });
            }
        } else if since(&mut self.heard_ns, now_ns) > patience_ns {
            self.send_test(now_ns)?;
        }
        if since(&mut self.out.at_ns, now_ns) >= self.heartbeat_ns {
            self.out.message(now_ns, "0", &[])?;
        }
        Ok(())
    }

    pub(super) fn heartbeat(&mut self, message: &Message<'_>) {
        let answers = message.get(112).and_then(whole);
        if self.test.is_some_and(|(_, id)| answers == Some(id)) {
            (self.test, self.is_synchronising) = (None, false);
        }
    }

    pub(super) fn test_request(
        &mut self,
        message: &Message<'_>,
        number: u64,
        now_ns: u64,
    ) -> Result<(), Close> {
        let id = message.get(112).and_then(|id| str::from_utf8(id).ok());
        match id {
            None => self.reject(message, number, reason::MISSING, Some(&112), now_ns),
            Some(id) if id.is_empty() || id.len() > TEST_ID_BYTES_MAX => {
                self.reject(message, number, reason::OUT_OF_RANGE, Some(&112), now_ns)
            }
            Some(id) => Ok(self.out.message(now_ns, "0", &[(112, &id)])?),
        }
    }

    pub(super) fn send_test(&mut self, now_ns: u64) -> Result<(), Full> {
        let id = self.out.next();
        self.test = Some((now_ns, id));
        self.out.message(now_ns, "1", &[(112, &id)])
    }
}

const fn ms(ms: u64) -> u64 {
    ms * 1_000_000
}

/// How long ago `then` was. A clock that went back begins to count from there.
fn since(then: &mut u64, now_ns: u64) -> u64 {
    *then = now_ns.min(*then);
    now_ns - *then
}
