//! FIX tag=value framing (FIX Trading Community, *FIX TagValue Encoding*; FIX 4.2, FIX 4.4 and
//! FIXT 1.1 volume 2): whole messages out of a stream of bytes, their fields, and a builder.
//!
//! A message ends where BodyLength (9) says, never where `10=` is found: data fields may hold
//! anything, separators too. A message whose BodyLength or CheckSum is wrong, or whose first
//! fields are not 8, 9 and 35, is *garbled*: it is named, skipped, and does not count in the
//! session. Here is no session: sequence numbers and logons are read by whoever needs them.
//!
//! What fields are called, and which a message has, says a [`dictionary`] given at run time.

mod builder;
pub mod dictionary;
mod fields;
mod numbers;
mod session;

pub use builder::{BuildError, MessageBuilder};
pub use fields::{BadField, DATA_FIELDS, Field, Fields};
pub use numbers::is_number;
pub use session::{CompId, SessionId, Sessions};

/// The separator behind each field.
pub const SOH: u8 = 1;

/// The longest body that is waited for. A longer one is garbled: a peer must not make us keep
/// bytes without end.
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// The separator behind BeginString (8) comes within so many bytes, or the message is garbled.
pub const BEGIN_STRING_BYTES_MAX: usize = 16;

/// The most digits of a BodyLength, leading zeros included.
pub const BODY_LENGTH_DIGITS_MAX: usize = 12;

/// How far behind the end that a wrong BodyLength claims a CheckSum field is looked for.
pub const RESYNC_BYTES_MAX: usize = 8 << 10;

/// How every message begins.
const BEGIN: &[u8] = b"8=FIX";

/// Bytes of `10=nnn␁`.
const TRAILER_LEN: usize = 7;

/// Why a message is garbled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Garbled {
    /// It does not begin with `8=FIX`.
    #[error("it does not begin with 8=FIX: the peer sends something else, or bytes were lost")]
    BeginString,
    /// 9 is not the second field, or no number, or beyond [`BODY_BYTES_MAX`].
    #[error("BodyLength (9) is not the second field, or no number of at most 1048576")]
    BodyLength,
    /// No `10=nnn␁` where the body ends.
    #[error(
        "no CheckSum (10) of 3 digits where BodyLength (9) ends the body: one of them is wrong"
    )]
    BodyEnd,
    /// The sum of the bytes is another.
    #[error("CheckSum (10) is {said:03}, the bytes sum to {sum:03}: bytes were damaged")]
    CheckSum {
        /// What the message says.
        said: u16,
        /// What its bytes sum to, modulo 256.
        sum: u8,
    },
    /// 35 is not the third field.
    #[error("MsgType (35) is not the third field: the peer breaks the order of the header")]
    MsgType,
}

impl Garbled {
    /// A name for counters, the same in logs, metrics and tests.
    pub const fn reason(&self) -> &'static str {
        match self {
            Garbled::BeginString => "fix_begin_string",
            Garbled::BodyLength => "fix_body_length",
            Garbled::BodyEnd => "fix_body_end",
            Garbled::CheckSum { .. } => "fix_checksum",
            Garbled::MsgType => "fix_msg_type",
        }
    }
}

/// What a stream begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framed<'a> {
    /// A whole message with the right length and sum; the next begins after
    /// [`bytes`](Message::bytes).
    Message(Message<'a>),
    /// More bytes are needed: call again with these and those that follow.
    Incomplete,
    /// No message. The next may begin after `skip` bytes, which is at least 1.
    Garbled {
        /// What is wrong.
        cause: Garbled,
        /// Bytes to leave out.
        skip: usize,
    },
}

/// Finds the first message of a stream.
///
/// A garbled message with a wrong BodyLength is skipped up to the first CheckSum field at or after
/// the end that it claims, as QuickFIX does: what a wrong length has swallowed is not taken
/// for messages of its own. What is waited for is bounded: [`BODY_BYTES_MAX`] and
/// [`RESYNC_BYTES_MAX`].
pub fn frame(bytes: &[u8]) -> Framed<'_> {
    match header(bytes) {
        Header::Incomplete => Framed::Incomplete,
        Header::Garbled(cause) => Framed::Garbled { cause, skip: to_begin_string(bytes) },
        Header::Body { from, to } => body(bytes, from, to),
    }
}

/// Messages and garbled pieces one after the other; ends where more bytes are needed, and
/// [`rest`](Frames::rest) is then what must be kept.
#[derive(Clone, Debug)]
pub struct Frames<'a> {
    rest: &'a [u8],
}

impl<'a> Frames<'a> {
    /// Of the stream `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Frames { rest: bytes }
    }

    /// What has not been read.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<Message<'a>, Garbled>;

    fn next(&mut self) -> Option<Self::Item> {
        match frame(self.rest) {
            Framed::Incomplete => None,
            Framed::Message(message) => {
                self.rest = &self.rest[message.bytes.len()..];
                Some(Ok(message))
            }
            Framed::Garbled { cause, skip } => {
                self.rest = &self.rest[skip..];
                Some(Err(cause))
            }
        }
    }
}

/// What the first two fields say.
enum Header {
    Incomplete,
    Garbled(Garbled),
    /// The body is `bytes[from..to]`, if they are there.
    Body {
        from: usize,
        to: usize,
    },
}

fn header(bytes: &[u8]) -> Header {
    let known = bytes.len().min(BEGIN.len());
    if bytes[..known] != BEGIN[..known] {
        return Header::Garbled(Garbled::BeginString);
    }
    let begin = &bytes[..bytes.len().min(BEGIN_STRING_BYTES_MAX)];
    let Some(end) = begin.iter().position(|&byte| byte == SOH) else {
        return match begin.len() {
            BEGIN_STRING_BYTES_MAX => Header::Garbled(Garbled::BeginString),
            _ => Header::Incomplete,
        };
    };
    let field = &bytes[end + 1..];
    let Some(digits) = field.strip_prefix(b"9=") else {
        return match b"9=".starts_with(field) {
            true => Header::Incomplete,
            false => Header::Garbled(Garbled::BodyLength),
        };
    };
    let mut length = 0;
    for (at, &byte) in digits.iter().enumerate().take(BODY_LENGTH_DIGITS_MAX + 1) {
        match byte {
            b'0'..=b'9' if at < BODY_LENGTH_DIGITS_MAX && length <= BODY_BYTES_MAX => {
                length = length * 10 + usize::from(byte - b'0');
            }
            SOH if at > 0 && length <= BODY_BYTES_MAX => {
                let from = end + 1 + 2 + at + 1;
                return Header::Body { from, to: from + length };
            }
            _ => return Header::Garbled(Garbled::BodyLength),
        }
    }
    Header::Incomplete
}

/// The message whose body is `bytes[from..to]`.
fn body(bytes: &[u8], from: usize, to: usize) -> Framed<'_> {
    let Some(trailer) = bytes.get(to..to + TRAILER_LEN) else { return Framed::Incomplete };
    let said = match *trailer {
        [b'1', b'0', b'=', a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', SOH]
            if bytes[to - 1] == SOH =>
        {
            u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0')
        }
        _ => return body_end(bytes, to),
    };
    let len = to + TRAILER_LEN;
    let sum = check_sum(&bytes[..to]);
    if said != u16::from(sum) {
        return Framed::Garbled { cause: Garbled::CheckSum { said, sum }, skip: len };
    }
    if !bytes[from..to].starts_with(b"35=") {
        return Framed::Garbled { cause: Garbled::MsgType, skip: len };
    }
    Framed::Message(Message { bytes: &bytes[..len], body: &bytes[from..to] })
}

/// What to skip when there is no CheckSum field at `to`, where the body is said to end.
fn body_end(bytes: &[u8], to: usize) -> Framed<'_> {
    let cause = Garbled::BodyEnd;
    let window = &bytes[to - 1..];
    let mut places = window.windows(4).take(RESYNC_BYTES_MAX);
    let Some(at) = places.position(|place| place == b"\x0110=") else {
        return match window.len() >= RESYNC_BYTES_MAX + 3 {
            true => Framed::Garbled { cause, skip: to - 1 + RESYNC_BYTES_MAX },
            false => Framed::Incomplete,
        };
    };
    let value = to - 1 + at + 4;
    match bytes[value..].iter().take(TRAILER_LEN).position(|&byte| byte == SOH) {
        Some(digits) => Framed::Garbled { cause, skip: value + digits + 1 },
        None if bytes.len() - value >= TRAILER_LEN => Framed::Garbled { cause, skip: value },
        None => Framed::Incomplete,
    }
}

/// Bytes before the next field that begins, or may turn out to begin, a message; at least 1.
fn to_begin_string(bytes: &[u8]) -> usize {
    let begins = |at: &usize| {
        let field = &bytes[*at..];
        let known = field.len().min(BEGIN.len());
        bytes[at - 1] == SOH && field[..known] == BEGIN[..known]
    };
    (1..bytes.len()).find(begins).unwrap_or(bytes.len())
}

/// MsgType (35) of bytes that begin as a message does, as its third field; `None` of others.
pub(crate) fn msg_type(bytes: &[u8]) -> Option<&[u8]> {
    bytes.splitn(4, |&byte| byte == SOH).nth(2)?.strip_prefix(b"35=")
}

/// The sum of all bytes, modulo 256.
pub fn check_sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum: u8, &byte| sum.wrapping_add(byte))
}

/// A whole message with the right length and sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    bytes: &'a [u8],
    body: &'a [u8],
}

impl<'a> Message<'a> {
    /// All of it, from `8=` to the separator behind CheckSum.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// From `35=` to the separator before CheckSum: what BodyLength counts.
    pub fn body(&self) -> &'a [u8] {
        self.body
    }

    /// MsgType (35): `D`, `AE`.
    pub fn msg_type(&self) -> &'a [u8] {
        let value = &self.body[3..];
        let len = value.iter().position(|&byte| byte == SOH).unwrap_or(value.len());
        &value[..len]
    }

    /// All fields in their order, 8, 9 and 10 too.
    pub fn fields(&self) -> Fields<'a> {
        Fields::new(self.bytes)
    }

    /// The value of the first field with that tag.
    pub fn get(&self, tag: u32) -> Option<&'a [u8]> {
        self.fields().flatten().find(|field| field.tag == tag).map(|field| field.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A heartbeat of FIX 4.4.
    const BEAT: &[u8] = b"8=FIX.4.4\x019=5\x0135=0\x0110=163\x01";

    /// A message as it is said to be, without a look at whether it is: the sum is right.
    fn said(begin: &str, body_length: &str, body: &str) -> Vec<u8> {
        let text = format!("8={begin}|9={body_length}|{body}").replace('|', "\x01");
        let sum = check_sum(text.as_bytes());
        [text.as_bytes(), format!("10={sum:03}\x01").as_bytes()].concat()
    }

    fn messages(stream: &[u8]) -> Vec<Result<&[u8], Garbled>> {
        Frames::new(stream).map(|item| item.map(|message| message.bytes())).collect()
    }

    /// `garbled` before a message is skipped, for this cause, and nothing of the message is.
    fn skipped(garbled: &[u8], cause: Garbled) {
        let stream = [garbled, BEAT].concat();
        assert_eq!(messages(&stream), [Err(cause), Ok(BEAT)], "{}", garbled.escape_ascii());
    }

    #[test]
    fn what_is_garbled_is_named_and_skipped() {
        skipped(b"garbage\x01", Garbled::BeginString);
        skipped(b"58=FIXED\x01", Garbled::BeginString);
        skipped(&said("FAST.4.4", "5", "35=0|"), Garbled::BeginString);
        skipped(&said("FIX.4.4.of.a.later.day", "5", "35=0|"), Garbled::BeginString);
        for length in ["", "x", "-5", "5x", " 5", "1048577", "9999999999999", "0000000000005"] {
            skipped(&said("FIX.4.4", length, "35=0|"), Garbled::BodyLength);
        }
        skipped(b"8=FIX.4.4\x0135=0\x019=5\x0110=163\x01", Garbled::BodyLength);
        for length in ["0", "4", "1"] {
            skipped(&said("FIX.4.4", length, "35=0|"), Garbled::BodyEnd);
        }
        for sum in ["", "1", "16", "1630", "x63", "16x"] {
            let head = b"8=FIX.4.4\x019=5\x0135=0\x0110=";
            skipped(&[head, sum.as_bytes(), b"\x01"].concat(), Garbled::BodyEnd);
        }
        for said in [162, 256, 999] {
            let head = b"8=FIX.4.4\x019=5\x0135=0\x0110=";
            let cause = Garbled::CheckSum { said, sum: 163 };
            skipped(&[head, said.to_string().as_bytes(), b"\x01"].concat(), cause);
        }
        skipped(&said("FIX.4.4", "10", "34=1|35=0|"), Garbled::MsgType);
        skipped(&said("FIX.4.4", "0", ""), Garbled::MsgType);
    }

    /// As the session scripts of QuickFIX want it (`2m`): a length that is too long combines the
    /// message with the next, and both are ignored.
    #[test]
    fn a_length_that_is_too_long_swallows_the_next_message() {
        for length in ["6", "12", "20"] {
            let stream = [&said("FIX.4.4", length, "35=0|"), BEAT, BEAT].concat();
            assert_eq!(messages(&stream), [Err(Garbled::BodyEnd), Ok(BEAT)], "{length}");
        }
    }

    #[test]
    fn leading_zeros_and_data_are_no_fault() {
        let zeros = said("FIXT.1.1", "000000000005", "35=0|");
        assert_eq!(messages(&zeros), [Ok(&zeros[..])]);
        let data = said("FIX.4.4", "23", "35=0|95=11|96=|10=000|8=F|");
        assert_eq!(messages(&data), [Err(Garbled::BodyEnd)]);
        let data = said("FIX.4.4", "26", "35=0|95=11|96=|10=000|8=F|");
        assert_eq!(messages(&data), [Ok(&data[..])]);
    }

    #[test]
    fn a_message_that_is_not_whole_is_waited_for() {
        for len in 0..BEAT.len() {
            assert_eq!(frame(&BEAT[..len]), Framed::Incomplete, "{len}");
        }
        let garbage = b"garbage\x018=FI";
        let mut frames = Frames::new(garbage);
        assert_eq!(frames.by_ref().collect::<Vec<_>>(), [Err(Garbled::BeginString)]);
        assert_eq!(frames.rest(), b"8=FI");
    }

    #[test]
    fn what_is_waited_for_is_bounded() {
        let claims = |length: usize, more: usize| {
            [format!("8=FIX.4.4\x019={length}\x0135=0\x01").into_bytes(), vec![b'x'; more]].concat()
        };
        let longest = claims(BODY_BYTES_MAX, BODY_BYTES_MAX - 5);
        assert_eq!(frame(&longest), Framed::Incomplete);
        assert_eq!(frame(&claims(5, RESYNC_BYTES_MAX + 1)), Framed::Incomplete);
        let Framed::Garbled { cause, skip } = frame(&claims(5, RESYNC_BYTES_MAX + 2)) else {
            panic!("waits on")
        };
        assert_eq!((cause, skip), (Garbled::BodyEnd, 18 + RESYNC_BYTES_MAX));
    }

    #[test]
    fn every_text_names_cause_and_cure() {
        let text = Garbled::CheckSum { said: 7, sum: 8 }.to_string();
        assert_eq!(text, "CheckSum (10) is 007, the bytes sum to 008: bytes were damaged");
        let causes = [
            Garbled::BeginString,
            Garbled::BodyLength,
            Garbled::BodyEnd,
            Garbled::CheckSum { said: 7, sum: 8 },
            Garbled::MsgType,
        ];
        let mut reasons = causes.map(|cause| cause.reason()).to_vec();
        reasons.dedup();
        assert_eq!(reasons.len(), 5);
    }
}
