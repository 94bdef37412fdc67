//! Files of messages without packets around them: how they are told, and how they are cut.

use crate::exit::say;
use std::net::{Ipv4Addr, SocketAddr};
use tickwire_capture::file::{Found, Records};
use tickwire_frame::LinkType;
use tickwire_market::binaryfile::{self, BinaryFile};
use tickwire_market::recognise::guess;
use tickwire_market::{Error, Protocol, fast, itch50, moldudp64};

/// Each record is a message of ITCH 5.0. The numbers are none of pcap's list, nor ever will be.
pub const ITCH50: LinkType = LinkType(0xff50);
/// Each record is a packet of MoldUDP64.
pub const MOLDUDP64: LinkType = LinkType(0xff64);
/// Each record is a message of MICEX' FAST feed.
pub const FAST_MICEX: LinkType = LinkType(0xff74);

/// The longest message of FAST that is looked for the end of, in bytes.
const FAST_BYTES_MAX: usize = 1 << 16;

/// What a file is that is no capture, by its first bytes.
pub fn look(first: &[u8]) -> Option<Box<dyn Records>> {
    let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    match guess(nowhere, first) {
        Some(Protocol::FastMicex) => return Some(Box::new(FastMicex)),
        Some(Protocol::Itch50) => return Some(Box::new(Moldudp64)),
        _ if continues(first).is_some() => return Some(Box::new(Moldudp64)),
        _ => {}
    }
    let lacks_lengths = binaryfile::lacks_lengths(first, itch50::Message::len_of);
    if lacks_lengths {
        say("tickwire: the lengths in the file are all 0; its messages are cut by their types, \
             which only works while all types are known\n");
    }
    let has_lengths = || {
        let mut messages = BinaryFile::new(first);
        let message = messages.next()?.ok()?;
        let len = itch50::Message::len_of(*message.first()?)?;
        (message.len() >= len).then_some(())
    };
    (lacks_lengths || has_lengths().is_some())
        .then(|| Box::new(Itch50 { lacks_lengths }) as Box<dyn Records>)
}

/// Whether a packet of MoldUDP64 is there, whatever its messages and its session are, and behind
/// it the beginning of the next one.
fn continues(first: &[u8]) -> Option<()> {
    let packet = moldudp64::Packet::parse(first).ok()?;
    let mut messages = packet.messages();
    let is_whole = messages.by_ref().all(|message| message.is_ok_and(|it| !it.bytes.is_empty()));
    let next = moldudp64::Packet::parse(messages.rest()).ok()?;
    let has_begun = packet.sequence_number() > 0;
    let follows =
        next.session() == packet.session() && next.sequence_number() == packet.next_sequence();
    (is_whole && has_begun && follows).then_some(())
}

/// BinaryFILE, with its lengths or, where they are all 0, by the types.
#[derive(Debug)]
struct Itch50 {
    lacks_lengths: bool,
}

impl Records for Itch50 {
    fn name(&self) -> &'static str {
        "BinaryFILE"
    }

    fn link(&self) -> LinkType {
        ITCH50
    }

    fn find(&self, data: &[u8], is_all: bool) -> Result<Found, (String, &'static str)> {
        if let [0, 0] = data
            && !is_all
        {
            return Ok(Found::Need(data.len() + 1));
        }
        let mut messages = match self.lacks_lengths {
            true => BinaryFile::by_type(data, itch50::Message::len_of),
            false => BinaryFile::new(data),
        };
        match messages.next() {
            Some(Ok(message)) => Ok(Found::Record { skip: 2, len: message.len() }),
            Some(Err(Error::Truncated { needed, .. })) => Ok(Found::Need(needed)),
            Some(Err(error)) => Err((error.to_string(), "the messages before it are good")),
            None if !messages.has_ended() => Ok(Found::Need(2)),
            None if data[2..].iter().all(|&byte| byte == 0) => Ok(Found::End),
            None => Err((
                "a length of 0 ends the file, and more follows".to_owned(),
                "several files in one have to be cut apart",
            )),
        }
    }
}

/// Packets of MoldUDP64 without datagrams: each begins where the messages of the one before end.
#[derive(Debug)]
struct Moldudp64;

impl Records for Moldudp64 {
    fn name(&self) -> &'static str {
        "MoldUDP64 packets"
    }

    fn link(&self) -> LinkType {
        MOLDUDP64
    }

    fn find(&self, data: &[u8], is_all: bool) -> Result<Found, (String, &'static str)> {
        let rest = Ok(Found::Record { skip: 0, len: data.len() });
        let Ok(packet) = moldudp64::Packet::parse(data) else {
            return if is_all { rest } else { Ok(Found::Need(moldudp64::Header::LEN)) };
        };
        let mut messages = packet.messages();
        match messages.by_ref().find_map(Result::err) {
            None => Ok(Found::Record { skip: 0, len: data.len() - messages.rest().len() }),
            // The last packet may be cut: it gives what it has, and is counted as cut.
            Some(_) if is_all => rest,
            Some(Error::Truncated { needed, available, .. }) => {
                Ok(Found::Need(data.len() + needed.saturating_sub(available).max(1)))
            }
            Some(error) => Err((error.to_string(), "the packets before it are good")),
        }
    }
}

/// Messages of FAST: a new one begins where the two templates of its start are.
#[derive(Debug)]
struct FastMicex;

impl Records for FastMicex {
    fn name(&self) -> &'static str {
        "FAST messages"
    }

    fn link(&self) -> LinkType {
        FAST_MICEX
    }

    fn find(&self, data: &[u8], is_all: bool) -> Result<Found, (String, &'static str)> {
        let looked_at = &data[..data.len().min(FAST_BYTES_MAX)];
        let first = fast::recorded(looked_at).next().unwrap_or_default();
        let ends = first.len() < looked_at.len() || is_all;
        match first.len() {
            FAST_BYTES_MAX => Err((
                format!("no message of FAST is as long as {FAST_BYTES_MAX} bytes"),
                "the file is damaged from here on",
            )),
            0 => Ok(Found::Need(1)),
            len if ends => Ok(Found::Record { skip: 0, len }),
            _ => Ok(Found::Need(data.len() + 1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tickwire_market::Ascii;

    fn name(first: &[u8]) -> Option<&'static str> {
        look(first).map(|records| records.name())
    }

    /// The lengths of the records of a file of which more and more is there.
    fn records(first: &[u8], file: &[u8]) -> Vec<usize> {
        let (records, mut lens) = (look(first).unwrap(), Vec::new());
        let (mut at, mut there) = (0, 0);
        loop {
            let is_all = there >= file.len();
            // As the port does: a file that ends between two records has ended.
            if is_all && at == file.len() {
                return lens;
            }
            match records.find(&file[at..there.min(file.len())], is_all).unwrap() {
                Found::Record { skip, len } => {
                    at += skip + len;
                    lens.push(len);
                    assert!(at <= there);
                }
                Found::Need(more) => {
                    assert!(at + more > there, "{at} {more} {there}");
                    there = at + more;
                }
                Found::End => return lens,
            }
        }
    }

    #[test]
    fn files_are_told_by_their_first_bytes() {
        let event = itch50::SystemEventBuilder::new();
        let with = [&[0, 12], &event.as_bytes()[..]].concat();
        let without = [&[0, 0], &event.as_bytes()[..]].concat().repeat(2);
        assert_eq!((name(&with), name(&without)), (Some("BinaryFILE"), Some("BinaryFILE")));
        assert_eq!((name(b"\0\x0cXtra-long-mes"), name(b"")), (None, None));
        assert_eq!((name(&with[..13]), name(b"#!/bin/sh\n")), (None, None));
        let beat = moldudp64::heartbeat(Ascii(*b"SESSION   "), 1);
        assert_eq!(name(&beat), Some("MoldUDP64 packets"));
        assert_eq!(name(b"\xc0\xf8\xe0\xca\x81abc"), Some("FAST messages"));
        assert_eq!(records(&with, &with.repeat(3)), [12; 3]);
        assert_eq!(records(&without, &without.repeat(3)), [12; 6]);
        assert_eq!(records(&with, &[&with[..], &[0, 0, 0]].concat()), [12]);
        assert_eq!(records(&beat, &beat.repeat(3)), [20; 3]);
        let other = b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\x01\0\x02??";
        let next = b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02\0\x09\0\x02??\0\x02?";
        assert_eq!((name(other), name(&[0; 64])), (None, None));
        let both = [&other[..], next].concat();
        assert_eq!(records(&both, &both), [24, 27]);
        let fast = b"\xc0\xf8\xe0\xca\x81abc".repeat(3);
        assert_eq!(records(&fast, &fast), [8; 3]);
    }

    #[test]
    fn what_follows_the_end_of_a_file_is_not_passed_over() {
        let event = itch50::SystemEventBuilder::new();
        let with = [&[0, 12], &event.as_bytes()[..]].concat();
        let (what, _) = look(&with).unwrap().find(b"\0\0\0\x0cS", true).unwrap_err();
        assert!(what.contains("more follows"), "{what}");
    }
}
