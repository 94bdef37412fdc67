//! Messages on standard output.

use super::schema::Schemas;
use super::text::{self, Origin};
use crate::capture::{Output, Trouble};
use tickwire_frame::Reason;
use tickwire_market::{Message, Session};

/// Prints messages to standard output, a batch of packets at a time.
#[derive(Debug)]
pub struct Printer {
    json: bool,
    output: Output,
    text: String,
    /// How many messages are still wanted.
    left: u64,
    origin: Origin,
    /// Why nothing is printed any more.
    closed: Option<Reason>,
    trouble: Trouble,
}

impl Printer {
    /// At most `count` messages to `output`; what goes wrong there goes to `trouble`.
    pub fn new(json: bool, count: Option<u64>, output: Output, trouble: Trouble) -> Printer {
        Printer {
            json,
            output,
            text: String::new(),
            left: count.unwrap_or(u64::MAX),
            origin: Origin { at_ns: 0, session: Session::Unnamed },
            closed: None,
            trouble,
        }
    }

    /// The packet whose messages follow.
    #[inline]
    pub fn begin(&mut self, at_ns: u64, session: Session) {
        self.origin = Origin { at_ns, session };
    }

    /// Whether nothing more is wanted.
    #[inline]
    pub fn is_done(&self) -> bool {
        self.left == 0 || self.closed.is_some()
    }

    /// A message.
    pub fn message(&mut self, message: &Message<'_>, schemas: &Schemas) {
        if self.is_done() {
            return;
        }
        self.left -= 1;
        let write = if self.json { text::object } else { text::line };
        let written = write(&mut self.text, &self.origin, message, schemas);
        // The only errors are those of the target, and a String has none.
        debug_assert!(written.is_ok());
    }

    /// Writes out what was printed; why not, when it did not all go out.
    pub fn flush(&mut self) -> Option<Reason> {
        if self.closed.is_none()
            && let Err(stuck) = self.output.write(self.text.as_bytes())
        {
            self.closed = Some(stuck.reason);
            match stuck.error {
                Some(error) => {
                    self.trouble.set(format!("cannot write to standard output: {error}"));
                }
                None if stuck.reason == Reason::OutputClosed => self.trouble.output_closed(),
                None => {}
            }
        }
        self.text.clear();
        self.closed
    }
}
