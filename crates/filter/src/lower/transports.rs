//! How packets of market data are told, and how to go from one message to the next.

use super::Lowerer;
use super::fragment::{Fragment, not};
use super::market::{Origin, UDP_BYTES, Walk};
use crate::error::Result;
use crate::fields::Transport;
use crate::ir::{Compare, Number, NumberId, Op, Size, Slot, Test};

/// MoldUDP64: bytes of its header, the count that is none, bytes in front of a message.
const MOLD_BYTES: u32 = 20;
const MOLD_END: u32 = 0xffff;
const PREFIX_BYTES: u32 = 2;
/// IEX-TP: bytes of its header, its version, and the ids of the feeds that are known.
const TP_BYTES: u32 = 40;
const TP_VERSION: u32 = 1;
const TP_PROTOCOLS: [u32; 3] = [0x8003, 0x8004, 0x8005];
/// SBE: bytes of the message header, and the highest byte of a time of sending: the years from 1999
/// to 2100 in nanoseconds.
const SBE_BYTES: u32 = 8;
const SENT_HIGHEST: (u32, u32) = (0x0d, 0x39);
/// More messages than a datagram has room for, where nothing counts them.
const UNCOUNTED: u32 = 0xffff;
/// The encoding that UMDF gives to SBE 1.0.
const UMDF_SBE: u32 = 0xeb50;

/// How a transport puts SBE messages into packets.
struct SbePacket {
    /// Bytes of its header, and where in it the time of sending begins.
    header: u32,
    sent: u32,
    /// Bytes in front of a message, which the length at their begin counts too.
    prefix: u32,
    schema: u32,
}

fn sbe_packet(transport: Transport) -> SbePacket {
    match transport {
        Transport::Umdf => SbePacket { header: 16, sent: 8, prefix: 4, schema: 2 },
        _ => SbePacket { header: 12, sent: 4, prefix: 2, schema: 1 },
    }
}

impl Lowerer<'_> {
    /// [`Transport::MoldUdp64`]; `udp` is where the UDP header begins.
    pub(super) fn is_moldudp64(&mut self, udp: Origin) -> Fragment {
        let header = udp.plus(UDP_BYTES);
        let len = self.load_from(udp.plus(4), Size::Half);
        let long = self.compare(len, Compare::GreaterEqual, UDP_BYTES + MOLD_BYTES);
        let words = [(0, Size::Half), (2, Size::Word), (6, Size::Word)];
        let mut printable = Fragment::Always(true);
        for (offset, size) in words {
            let word = self.load_from(header.plus(offset), size);
            let word = self.printable(word, size);
            printable = self.program.and(printable, word);
        }
        let count = self.load_from(header.plus(18), Size::Half);
        let none = self.compare(count, Compare::Equal, 0);
        let ended = self.compare(count, Compare::Equal, MOLD_END);
        let before = UDP_BYTES + MOLD_BYTES + PREFIX_BYTES;
        let has_first = self.compare(len, Compare::GreaterEqual, before);
        let first = self.load_from(header.plus(MOLD_BYTES), Size::Half);
        let first = self.program.binary_const(Op::Add, first, before);
        let fits =
            self.program.test(Test { left: len, compare: Compare::GreaterEqual, right: first });
        let fits = self.program.and(has_first, fits);
        let plausible = self.program.any([none, ended, fits]);
        self.program.all([long, printable, plausible])
    }

    /// Whether every byte is one of `' '..='~'`. Borrows and carries between bytes come only from
    /// bytes that fail.
    fn printable(&mut self, word: NumberId, size: Size) -> Fragment {
        let every = |byte: u32| (byte * 0x0101_0101) & size.max();
        let above = self.program.binary_const(Op::Add, word, every(0x01));
        let below = self.program.binary_const(Op::Sub, word, every(0x20));
        let either = self.program.intern(Number::Binary(Op::Or, above, below));
        let any = self.program.intern(Number::Binary(Op::Or, either, word));
        not(self.compare(any, Compare::AnyBit, every(0x80)))
    }

    /// [`Transport::IexTp`].
    pub(super) fn is_iextp(&mut self, udp: Origin) -> Fragment {
        let header = udp.plus(UDP_BYTES);
        let len = self.load_from(udp.plus(4), Size::Half);
        let long = self.compare(len, Compare::GreaterEqual, UDP_BYTES + TP_BYTES);
        let version = self.load_from(header, Size::Byte);
        let version = self.compare(version, Compare::Equal, TP_VERSION);
        let protocol = self.load_from(header.plus(2), Size::Half);
        let known = TP_PROTOCOLS.map(|id| u32::from((id as u16).swap_bytes()));
        let right = self.program.list(&known);
        let known = self.program.test(Test { left: protocol, compare: Compare::In, right });
        let payload = self.little_half(header.plus(12));
        let needed = self.program.binary_const(Op::Add, payload, UDP_BYTES + TP_BYTES);
        let fits =
            self.program.test(Test { left: len, compare: Compare::GreaterEqual, right: needed });
        // The last byte of the header: the time of sending, which is none before 1970.
        let sent = self.load_from(header.plus(TP_BYTES - 1), Size::Byte);
        let sent = not(self.compare(sent, Compare::AnyBit, 0x80));
        self.program.all([long, version, known, fits, sent])
    }

    /// [`Transport::Mdp3`] and [`Transport::Umdf`].
    pub(super) fn is_sbe(&mut self, transport: Transport, udp: Origin) -> Fragment {
        let SbePacket { header: bytes, sent, prefix, schema } = sbe_packet(transport);
        let header = udp.plus(UDP_BYTES);
        let (frame, message) = (header.plus(bytes), header.plus(bytes + prefix));
        let len = self.load_from(udp.plus(4), Size::Half);
        let least = UDP_BYTES + bytes + prefix + SBE_BYTES;
        let long = self.compare(len, Compare::GreaterEqual, least);
        let sent = self.load_from(header.plus(sent + 7), Size::Byte);
        let from = self.compare(sent, Compare::GreaterEqual, SENT_HIGHEST.0);
        let to = not(self.compare(sent, Compare::GreaterEqual, SENT_HIGHEST.1));
        let size = self.little_half(frame);
        let behind = self.program.binary_const(Op::Add, size, UDP_BYTES + bytes);
        let fits =
            self.program.test(Test { left: len, compare: Compare::GreaterEqual, right: behind });
        let block = self.little_half(message);
        let needed = self.program.binary_const(Op::Add, block, prefix + SBE_BYTES);
        let has_block =
            self.program.test(Test { left: size, compare: Compare::GreaterEqual, right: needed });
        let known = self.load_from(message.plus(4), Size::Half);
        let known = self.compare(known, Compare::Equal, u32::from((schema as u16).swap_bytes()));
        let encoding = match transport {
            Transport::Umdf => {
                let encoding = self.little_half(frame.plus(2));
                self.compare(encoding, Compare::Equal, UMDF_SBE)
            }
            _ => Fragment::Always(true),
        };
        self.program.all([long, from, to, encoding, known, has_block, fits])
    }

    /// Two bytes, the last one first.
    fn little_half(&mut self, origin: Origin) -> NumberId {
        let half = self.load_from(origin, Size::Half);
        self.swapped(half, Size::Half)
    }

    /// A number with its bytes turned round.
    pub(super) fn swapped(&mut self, number: NumberId, size: Size) -> NumberId {
        let moves: &[(Op, u32, u32)] = match size {
            Size::Byte => return number,
            Size::Half => &[(Op::Shr, 8, 0xff), (Op::Shl, 8, 0xff00)],
            Size::Word => &[
                (Op::Shr, 24, 0xff),
                (Op::Shr, 8, 0xff00),
                (Op::Shl, 8, 0x00ff_0000),
                (Op::Shl, 24, 0xff00_0000),
            ],
        };
        let parts = moves.iter().map(|(op, by, mask)| {
            let moved = self.program.binary_const(*op, number, *by);
            self.program.binary_const(Op::And, moved, *mask)
        });
        let parts: Vec<NumberId> = parts.collect();
        let first = parts[0];
        parts[1..]
            .iter()
            .fold(first, |sum, part| self.program.intern(Number::Binary(Op::Or, sum, *part)))
    }

    /// Puts a walk before the first message, and finds the end of the last: what follows the
    /// datagram, or was not captured, is none.
    pub(super) fn before_messages(
        &mut self,
        transport: Transport,
        walk: &Walk,
    ) -> Result<Fragment> {
        if transport.is_stream() {
            return self.before_stream(walk);
        }
        let [udp, end] = self.places()?;
        let begin = self.slot_number(udp);
        let udp = Origin { base: Some(begin), fixed: 0 };
        let header = udp.plus(UDP_BYTES);
        let bytes = match transport {
            Transport::MoldUdp64 => MOLD_BYTES,
            Transport::IexTp => TP_BYTES,
            _ => sbe_packet(transport).header,
        };
        let next = self.program.binary_const(Op::Add, begin, UDP_BYTES + bytes);
        let behind = match transport {
            Transport::IexTp => {
                let payload = self.little_half(header.plus(12));
                self.program.intern(Number::Binary(Op::Add, next, payload))
            }
            _ => {
                let len = self.load_from(udp.plus(4), Size::Half);
                self.program.intern(Number::Binary(Op::Add, begin, len))
            }
        };
        let ends = self.ends(behind, end);
        let counted = self.first_number(transport, walk, header);
        let zero = self.program.literal(0);
        let begins = self.program.sets(vec![(walk.len, zero), (walk.next, next)]);
        let left = match transport {
            Transport::IexTp => {
                let count = self.little_half(header.plus(14));
                self.program.sets(vec![(walk.left, count)])
            }
            Transport::MoldUdp64 => {
                let count = self.load_from(header.plus(18), Size::Half);
                let ended = self.compare(count, Compare::Equal, MOLD_END);
                let sets = [zero, count].map(|count| self.program.sets(vec![(walk.left, count)]));
                let [none, some] = sets;
                self.program.choose(ended, none, some)
            }
            _ => {
                let many = self.program.literal(UNCOUNTED);
                self.program.sets(vec![(walk.left, many)])
            }
        };
        Ok(self.program.all([ends, counted, begins, left]))
    }

    /// The messages end at `behind`, or where less was captured, there.
    pub(super) fn ends(&mut self, behind: NumberId, end: Slot) -> Fragment {
        let captured = self.program.intern(Number::CapturedLen);
        let test = Test { left: captured, compare: Compare::GreaterEqual, right: behind };
        let whole = self.program.test(test);
        let ends = [behind, captured].map(|number| self.program.sets(vec![(end, number)]));
        let [whole_ends, cut_ends] = ends;
        self.program.choose(whole, whole_ends, cut_ends)
    }

    fn first_number(&mut self, transport: Transport, walk: &Walk, header: Origin) -> Fragment {
        if !self.counts() {
            return Fragment::Always(true);
        }
        let words = match transport {
            Transport::MoldUdp64 => [10, 14].map(|at| self.word(header.plus(at))),
            Transport::IexTp => {
                let words = [28, 24].map(|at| self.word(header.plus(at)));
                words.map(|word| self.swapped(word, Size::Word))
            }
            // Messages are not numbered, or only in themselves.
            _ => return Fragment::Always(true),
        };
        self.program.sets(walk.sequence.into_iter().zip(words).collect())
    }

    fn word(&mut self, origin: Origin) -> NumberId {
        self.load_from(origin, Size::Word)
    }

    /// Goes to the next message; false where there is none that is whole.
    pub(super) fn next_message(
        &mut self,
        transport: Transport,
        walk: &Walk,
        first: bool,
    ) -> Result<Fragment> {
        match transport {
            Transport::Fix => return self.next_fix(walk),
            Transport::SoupBinTcp => return self.next_soup(walk),
            _ => {}
        }
        let [_, end] = self.places()?;
        let [end, next, left] = [end, walk.next, walk.left].map(|slot| self.slot_number(slot));
        let any = self.compare(left, Compare::Greater, 0);
        // The least that is there, where the message begins in it, and where it ends.
        let begin = Origin { base: Some(next), fixed: 0 };
        let (least, prefix, behind, right) = match transport {
            Transport::MoldUdp64 | Transport::IexTp => {
                let length = match transport {
                    Transport::MoldUdp64 => self.load_from(begin, Size::Half),
                    _ => self.little_half(begin),
                };
                let body = self.program.binary_const(Op::Add, next, PREFIX_BYTES);
                let behind = self.program.intern(Number::Binary(Op::Add, body, length));
                (PREFIX_BYTES, PREFIX_BYTES, behind, Fragment::Always(true))
            }
            _ => {
                let prefix = sbe_packet(transport).prefix;
                let size = self.little_half(begin);
                let right = self.compare(size, Compare::GreaterEqual, prefix + SBE_BYTES);
                let behind = self.program.intern(Number::Binary(Op::Add, next, size));
                (prefix + SBE_BYTES, prefix, behind, right)
            }
        };
        let enough = self.program.binary_const(Op::Add, next, least);
        let enough =
            self.program.test(Test { left: end, compare: Compare::GreaterEqual, right: enough });
        let whole =
            self.program.test(Test { left: end, compare: Compare::GreaterEqual, right: behind });
        let go = self.step(transport, walk, prefix, behind);
        let go = self.program.all([any, enough, right, whole, go]);
        if first || !self.counts() {
            return Ok(go);
        }
        let counted = self.count(walk);
        Ok(self.program.and(go, counted))
    }

    /// To the message behind `prefix` bytes that ends at `behind`.
    fn step(
        &mut self,
        transport: Transport,
        walk: &Walk,
        prefix: u32,
        behind: NumberId,
    ) -> Fragment {
        let [next, left, at] = [walk.next, walk.left, walk.at].map(|slot| self.slot_number(slot));
        let body = self.program.binary_const(Op::Add, next, prefix);
        let length = self.program.intern(Number::Binary(Op::Sub, behind, body));
        let len = self.slot_number(walk.len);
        let beyond = self.program.intern(Number::Binary(Op::Add, at, len));
        let less = self.program.binary_const(Op::Sub, left, 1);
        // In this order: what is computed from a slot comes before the slot is set.
        let sets =
            vec![(walk.len, length), (walk.at, body), (walk.next, beyond), (walk.left, less)];
        let go = self.program.sets(sets);
        if transport != Transport::Umdf {
            return go;
        }
        // A message in another encoding has none of the fields.
        let encoding = self.little_half(Origin { base: Some(next), fixed: 2 });
        let is_sbe = self.compare(encoding, Compare::Equal, UMDF_SBE);
        let zero = self.program.literal(0);
        let skip = vec![(walk.len, zero), (walk.at, body), (walk.next, behind), (walk.left, less)];
        let skip = self.program.sets(skip);
        self.program.choose(is_sbe, go, skip)
    }

    /// The number of the next message: two words, with a carry.
    fn count(&mut self, walk: &Walk) -> Fragment {
        let [high, low] = walk.sequence;
        let [high_now, low_now] = walk.sequence.map(|slot| self.slot_number(slot));
        let low_next = self.program.binary_const(Op::Add, low_now, 1);
        let high_next = self.program.binary_const(Op::Add, high_now, 1);
        let low_set = self.program.sets(vec![(low, low_next)]);
        let carries = self.compare(low_now, Compare::Equal, 0);
        let high_set = self.program.sets(vec![(high, high_next)]);
        let same = self.program.sets(Vec::new());
        let carried = self.program.choose(carries, high_set, same);
        self.program.and(low_set, carried)
    }
}
