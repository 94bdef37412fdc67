//! One direction of a stream, cut into messages.

use super::soup;
use crate::fix::{self, Framed, Garbled};
use crate::protocol::Protocol;
use crate::soupbintcp;

/// How a message of FIX begins.
const BEGIN: &[u8] = b"8=FIX";

/// The most bytes that are kept to find out whether a message begins in them: behind a hole, a
/// longer one is not found.
const SEARCHED_BYTES_MAX: usize = soupbintcp::PACKET_BYTES_MAX;

/// What a stream consists of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unit<'a> {
    Fix(fix::Message<'a>),
    /// Without the length before it.
    Soup(&'a [u8]),
    Garbled,
    /// A message whose end is missing.
    Cut,
    /// Bytes left out to find the next message.
    Skipped(u64),
}

/// Cuts one direction into messages. Keeps the beginning of one until its end has come.
#[derive(Clone, Debug)]
pub(super) struct Framer {
    protocol: Protocol,
    kept: Vec<u8>,
    /// Whether what is kept begins with a message; else the next is looked for.
    in_step: bool,
}

impl Framer {
    /// Of a stream that begins with a message if it is `whole`.
    pub(super) fn new(protocol: Protocol, whole: bool) -> Framer {
        Framer { protocol, kept: Vec::new(), in_step: whole }
    }

    /// The bytes behind those before.
    pub(super) fn data(&mut self, bytes: &[u8], visit: &mut impl FnMut(Unit<'_>)) {
        if self.kept.is_empty() {
            let read = self.cut(bytes, visit);
            self.kept.extend_from_slice(&bytes[read..]);
            return;
        }
        let mut kept = std::mem::take(&mut self.kept);
        kept.extend_from_slice(bytes);
        let read = self.cut(&kept, visit);
        kept.drain(..read);
        self.kept = kept;
    }

    /// What comes next does not follow what came before; at the end, nothing comes.
    pub(super) fn lose(&mut self, visit: &mut impl FnMut(Unit<'_>)) {
        if !self.kept.is_empty() {
            visit(if self.in_step { Unit::Cut } else { Unit::Skipped(self.kept.len() as u64) });
            self.kept.clear();
        }
        self.in_step = false;
    }

    /// Cuts `bytes` into messages, as far as they are there; how many bytes that took.
    fn cut(&mut self, bytes: &[u8], visit: &mut impl FnMut(Unit<'_>)) -> usize {
        let mut read = 0;
        loop {
            if !self.in_step {
                let skipped = self.find(&bytes[read..]);
                if skipped > 0 {
                    visit(Unit::Skipped(skipped as u64));
                    read += skipped;
                }
            }
            if !self.in_step || read == bytes.len() {
                return read;
            }
            let rest = &bytes[read..];
            let taken = match self.protocol {
                Protocol::Fix => self.fix_message(rest, visit),
                _ => soup_packet(rest, visit),
            };
            if taken == 0 && self.in_step {
                return read;
            }
            read += taken;
        }
    }

    /// The first message of `rest`; how many bytes it takes, 0 when more are needed, or when nobody
    /// knows where the next begins.
    fn fix_message(&mut self, rest: &[u8], visit: &mut impl FnMut(Unit<'_>)) -> usize {
        match fix::frame(rest) {
            Framed::Incomplete => 0,
            Framed::Message(message) => {
                visit(Unit::Fix(message));
                message.bytes().len()
            }
            Framed::Garbled { cause, skip } => {
                visit(Unit::Garbled);
                self.in_step = !matches!(cause, Garbled::BeginString | Garbled::BodyLength);
                if self.in_step { skip } else { 0 }
            }
        }
    }

    /// Looks for the beginning of a message; how many bytes are before it or, when there is none
    /// yet, certainly before any.
    fn find(&mut self, bytes: &[u8]) -> usize {
        let (before, found) = match self.protocol {
            Protocol::Fix => find_fix(bytes),
            protocol => soup::find(protocol, bytes),
        };
        self.in_step = found;
        let kept = bytes.len() - before;
        if found { before } else { before + kept.saturating_sub(SEARCHED_BYTES_MAX) }
    }
}

fn soup_packet(rest: &[u8], visit: &mut impl FnMut(Unit<'_>)) -> usize {
    let mut frames = soupbintcp::Frames::new(rest);
    match frames.next() {
        Some(packet) => {
            visit(Unit::Soup(packet));
            rest.len() - frames.rest().len()
        }
        None => 0,
    }
}

/// Where a whole message begins, and that there is one; or from where on there may be one.
fn find_fix(bytes: &[u8]) -> (usize, bool) {
    let begins = |at: usize| {
        let field = &bytes[at..];
        let known = field.len().min(BEGIN.len());
        (at == 0 || bytes[at - 1] == fix::SOH) && field[..known] == BEGIN[..known]
    };
    let mut may_begin = None;
    for at in (0..bytes.len()).filter(|&at| begins(at)) {
        match fix::frame(&bytes[at..]) {
            Framed::Message(_) => return (at, true),
            Framed::Incomplete => may_begin = may_begin.or(Some(at)),
            Framed::Garbled { .. } => {}
        }
    }
    (may_begin.unwrap_or(bytes.len()), false)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEAT: &str = "8=FIX.4.4|9=5|35=0|10=163|";

    /// `;` after each message, `?` for what is garbled, `/` for what is cut, `-7-` for skipped.
    fn framed(protocol: Protocol, whole: bool, pieces: &[Option<&[u8]>]) -> String {
        let (mut framer, mut text) = (Framer::new(protocol, whole), String::new());
        let mut visit = |unit: Unit<'_>| match unit {
            Unit::Fix(message) => text += &format!("{};", message.msg_type().escape_ascii()),
            Unit::Soup(packet) => text += &format!("{};", packet.escape_ascii()),
            Unit::Garbled => text.push('?'),
            Unit::Cut => text.push('/'),
            Unit::Skipped(bytes) => text += &format!("-{bytes}-"),
        };
        for piece in pieces {
            match piece {
                Some(bytes) => framer.data(bytes, &mut visit),
                None => framer.lose(&mut visit),
            }
        }
        framer.lose(&mut visit);
        text
    }

    fn fix(whole: bool, pieces: &[&str]) -> String {
        let pieces: Vec<_> = pieces.iter().map(|piece| piece.replace('|', "\x01")).collect();
        let lost = |piece: &String| piece == "LOST";
        let pieces = pieces.iter().map(|piece| (!lost(piece)).then_some(piece.as_bytes()));
        framed(Protocol::Fix, whole, &pieces.collect::<Vec<_>>())
    }

    #[test]
    fn messages_of_fix_are_whole_wherever_tcp_cuts() {
        for at in 0..BEAT.len() {
            let (a, b) = BEAT.split_at(at);
            assert_eq!(fix(true, &[a, b, BEAT]), "0;0;", "{at}");
            assert_eq!(fix(true, &[BEAT, a]), if at == 0 { "0;" } else { "0;/" }, "{at}");
        }
        let single: Vec<String> = BEAT.repeat(2).chars().map(String::from).collect();
        let single: Vec<_> = single.iter().map(String::as_str).collect();
        assert_eq!(fix(true, &single), "0;0;");
    }

    #[test]
    fn behind_a_hole_the_next_message_of_fix_is_found() {
        assert_eq!(fix(true, &["8=FIX.4.4|9=5", "LOST", "=0|10=163|", BEAT]), "/-10-0;");
        // Garbled in step, but only skipped when nobody knows where messages begin.
        let wrong = "8=FIX.4.4|9=5|35=0|10=164|";
        assert_eq!(fix(true, &[wrong, BEAT]), "?0;");
        // Once, wherever TCP cuts.
        assert_eq!(fix(true, &["garb", "age|8=", "x|", BEAT]), "?-4--4--4-0;");
        assert_eq!(fix(true, &["8=FIX.4.4|9=x|35=0", "|10=0|", BEAT]), "?-18--6-0;");
        assert_eq!(fix(false, &[wrong, BEAT]), "-26-0;");
        // The text of another field, cut where it looks like a beginning.
        let text = "8=FIXED|10=000|";
        assert_eq!(fix(true, &[BEAT, "LOST", text, BEAT, BEAT]), "0;-15-0;0;");
        for at in 0..BEAT.len() {
            let (a, b) = BEAT.split_at(at);
            assert_eq!(fix(false, &["58=x|", a, b, BEAT]).replace('-', ""), "50;0;", "{at}");
        }
    }

    #[test]
    fn packets_of_soupbintcp_are_whole_wherever_tcp_cuts() {
        let stream = b"\0\x01H\0\x03Sab\0\x01Z";
        for at in 0..=stream.len() {
            let (a, b) = stream.split_at(at);
            let text = framed(Protocol::Ouch50, true, &[Some(a), Some(b), Some(b"\0")]);
            assert_eq!(text, "H;Sab;Z;/");
        }
    }
}
