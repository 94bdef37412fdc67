//! A connection: the segments of both directions in order.

use super::reader::{At, Found, Output, Reader};
use super::{Bound, Ends};
use tickwire_decode::TcpFlags;
use tickwire_decode::stream::{self, Follower};
use tickwire_market::stream::Way;

/// A segment, and what it acknowledges.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment<'a> {
    /// What is sent.
    pub(super) sent: stream::Segment<'a>,
    /// The acknowledgment number.
    pub(super) acknowledgment: u32,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    followers: [Follower; 2],
    reader: Reader,
    /// When its last segment came.
    at: At,
}

impl Connection {
    pub(super) fn new(ends: Ends, bound: Option<Bound>) -> Connection {
        let (followers, at) = (Default::default(), At::default());
        Connection { followers, reader: Reader::new(ends, bound), at }
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.followers.iter().map(Follower::held_bytes).sum()
    }

    pub(super) fn is_foreign(&self) -> bool {
        self.reader.is_foreign()
    }

    /// Whether it is read and has not ended.
    pub(super) fn is_followed(&self) -> bool {
        self.reader.is_known() && !self.has_ended()
    }

    fn has_ended(&self) -> bool {
        self.followers.iter().all(Follower::has_ended)
    }

    /// When its last segment came.
    pub(super) fn latest(&self) -> At {
        self.at
    }

    /// The higher, the more is lost when it is forgotten.
    pub(super) fn worth(&self) -> (bool, At) {
        (!self.has_ended() && !self.is_foreign(), self.at)
    }

    pub(super) fn segment(
        &mut self,
        way: Way,
        segment: &Segment<'_>,
        at: At,
        output: &mut Output<'_, impl FnMut(Found<'_>)>,
    ) {
        self.at = at;
        let flags = segment.sent.flags;
        let is_syn = flags.contains(TcpFlags::SYN);
        if self.is_foreign() {
            if !is_syn {
                return;
            }
            // Perhaps the next connection between these ports is one of ours.
            *self = Connection::new(self.reader.ends(), self.reader.bound());
            self.at = at;
        }
        let Connection { followers, reader, .. } = self;
        if is_syn {
            let is_answer = flags.contains(TcpFlags::ACK);
            reader.opened_by(if is_answer { way.other() } else { way });
        }
        if flags.contains(TcpFlags::ACK) {
            let other = way.other();
            followers[other as usize].acknowledge(segment.acknowledgment, |piece| {
                reader.piece(other, piece, at, output);
            });
        }
        followers[way as usize].segment(&segment.sent, |piece| {
            reader.piece(way, piece, at, output);
        });
        reader.end_of_segment();
        if reader.is_foreign() {
            *followers = Default::default();
        }
    }

    /// What waits behind holes is read, though more may come.
    pub(super) fn give_up(&mut self, output: &mut Output<'_, impl FnMut(Found<'_>)>) {
        let Connection { followers, reader, at } = self;
        for way in [Way::Forth, Way::Back] {
            followers[way as usize].finish(|piece| reader.piece(way, piece, *at, output));
        }
    }

    /// Nothing more comes.
    pub(super) fn finish(&mut self, output: &mut Output<'_, impl FnMut(Found<'_>)>) {
        self.give_up(output);
        self.reader.leave(self.at, output);
    }
}
