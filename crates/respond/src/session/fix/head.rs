//! What the session needs of each message.

use tickwire_market::fix::{BadField, Message};

/// The session's fields of a message.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Head<'m> {
    /// MsgSeqNum (34).
    pub number: Option<u64>,
    /// SenderCompID (49).
    pub sender: Option<&'m [u8]>,
    /// TargetCompID (56).
    pub target: Option<&'m [u8]>,
    /// SendingTime (52).
    pub sending_time: Option<&'m [u8]>,
    /// PossDupFlag (43).
    pub is_duplicate: bool,
    /// OrigSendingTime (122).
    pub first_time: Option<&'m [u8]>,
    /// The first field that is none.
    pub bad: Option<BadField<'m>>,
}

impl<'m> Head<'m> {
    pub fn of(message: &Message<'m>) -> Self {
        let mut head = Head::default();
        for field in message.fields() {
            let field = match field {
                Ok(field) => field,
                Err(bad) => {
                    head.bad = head.bad.or(Some(bad));
                    continue;
                }
            };
            let text = match field.tag {
                34 => {
                    head.number = head.number.or_else(|| number(field.value));
                    continue;
                }
                43 => {
                    head.is_duplicate = field.value == b"Y";
                    continue;
                }
                49 => &mut head.sender,
                52 => &mut head.sending_time,
                56 => &mut head.target,
                122 => &mut head.first_time,
                _ => continue,
            };
            *text = text.or(Some(field.value));
        }
        head
    }
}

/// A whole number, which may have zeros in front.
pub(super) fn number(text: &[u8]) -> Option<u64> {
    let plain = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| plain)?.parse().ok()
}
