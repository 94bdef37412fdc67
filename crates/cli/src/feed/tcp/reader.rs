//! What a connection is of, and its messages.

use super::{Bound, Counts, Ends};
use std::net::SocketAddr;
use tickwire_decode::stream::Piece;
use tickwire_market::Protocol;
use tickwire_market::stream::{
    Connection, Item, Sessions, Verdict, Way, recognise, recognise_at_last,
};

/// The most memory that is kept until it is known what a connection is.
const UNKNOWN_BYTES_MAX: usize = 64 << 10;

/// What keeping a piece takes beside its bytes.
const PIECE_BYTES: usize = 64;

/// So often a stream may begin with something else, when its own beginning was not captured: the
/// first segments may be rests of messages.
const BEGINNINGS_MAX: u32 = 8;

/// When a segment came, and which packet of its file it was in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At {
    pub(super) ns: u64,
    pub(super) number: u64,
}

/// What was found in a connection.
#[derive(Debug)]
pub(super) struct Found<'a> {
    /// The protocol of the connection: of one with two sides, that of the server.
    pub(super) protocol: Protocol,
    /// Where the server is, as far as that can be told.
    pub(super) server: SocketAddr,
    pub(super) at: At,
    pub(super) item: Item<'a>,
}

/// Where everything goes.
pub(super) struct Output<'a, V> {
    pub(super) sessions: &'a mut Sessions,
    pub(super) counts: &'a mut Counts,
    pub(super) visit: V,
}

/// Reads the streams of a connection.
#[derive(Debug)]
pub(super) struct Reader {
    state: State,
    ends: Ends,
    /// What the user says of it.
    bound: Option<Bound>,
    has_begun: [bool; 2],
    /// Who asked for the connection.
    client: Option<Way>,
}

#[derive(Debug)]
enum State {
    Unknown(Unknown),
    Known(Connection),
    /// It is none of ours.
    Foreign,
}

/// What waits until it is known what the connection is.
#[derive(Debug, Default)]
struct Unknown {
    pieces: Vec<(Way, At, Kept)>,
    bytes: usize,
    /// The first bytes of each direction, and whether a hole is behind them.
    begins: [(Vec<u8>, bool); 2],
    /// Whether the connection was captured from its beginning.
    is_whole: bool,
    /// How often a stream began with something else.
    beginnings: u32,
    segments: u64,
}

/// A piece that waits.
#[derive(Debug)]
enum Kept {
    Begin(bool),
    Data(Box<[u8]>),
    Gap(u64),
}

impl Reader {
    pub(super) fn new(ends: Ends, bound: Option<Bound>) -> Reader {
        let state = State::Unknown(Unknown::default());
        Reader { state, ends, bound, has_begun: [false; 2], client: None }
    }

    pub(super) fn ends(&self) -> Ends {
        self.ends
    }

    pub(super) fn bound(&self) -> Option<Bound> {
        self.bound
    }

    pub(super) fn is_known(&self) -> bool {
        matches!(self.state, State::Known(_))
    }

    pub(super) fn is_foreign(&self) -> bool {
        matches!(self.state, State::Foreign)
    }

    /// The connection was asked for in this direction.
    pub(super) fn opened_by(&mut self, client: Way) {
        self.client = Some(client);
    }

    /// All of a segment was read.
    pub(super) fn end_of_segment(&mut self) {
        if let State::Unknown(unknown) = &mut self.state {
            unknown.segments += 1;
        }
    }

    /// What comes next in a direction.
    pub(super) fn piece(
        &mut self,
        way: Way,
        piece: Piece<'_>,
        at: At,
        output: &mut Output<'_, impl FnMut(Found<'_>)>,
    ) {
        if let Piece::Begin { .. } = piece {
            if self.has_begun[way as usize] {
                // The ports are used again, by a connection that may be of anything.
                self.leave(at, output);
            }
            self.has_begun[way as usize] = true;
        }
        let server = self.server();
        match &mut self.state {
            State::Foreign => {}
            State::Known(connection) => read(connection, server, way, piece, at, output),
            State::Unknown(unknown) => {
                unknown.keep(way, piece, at);
                self.decide(output);
            }
        }
    }

    /// Nothing more comes of this connection.
    pub(super) fn leave(&mut self, at: At, output: &mut Output<'_, impl FnMut(Found<'_>)>) {
        if let State::Unknown(unknown) = &self.state {
            let last = recognise_at_last(unknown.begins());
            self.settle(last, output);
        }
        let (state, server) = (State::Unknown(Unknown::default()), self.server());
        if let State::Known(mut connection) = std::mem::replace(&mut self.state, state) {
            for way in [Way::Forth, Way::Back] {
                let end = Piece::End { is_reset: false };
                read(&mut connection, server, way, end, at, output);
            }
        }
        self.has_begun = [false; 2];
    }

    fn decide(&mut self, output: &mut Output<'_, impl FnMut(Found<'_>)>) {
        let State::Unknown(unknown) = &mut self.state else { return };
        let protocol = match (self.bound, recognise(unknown.begins())) {
            (Some((protocol, _)), _) | (None, Verdict::Is(protocol)) => Some(protocol),
            (None, Verdict::No) if unknown.may_begin_again() => return unknown.begin_again(),
            (None, Verdict::No) => None,
            (None, Verdict::Undecided) if unknown.bytes <= UNKNOWN_BYTES_MAX => return,
            (None, Verdict::Undecided) => recognise_at_last(unknown.begins()),
        };
        self.settle(protocol, output);
    }

    /// It is of this protocol, or of none. What waited is read.
    fn settle(
        &mut self,
        protocol: Option<Protocol>,
        output: &mut Output<'_, impl FnMut(Found<'_>)>,
    ) {
        let server = self.server();
        let State::Unknown(unknown) = std::mem::replace(&mut self.state, State::Foreign) else {
            return;
        };
        let Some(protocol) = protocol else {
            output.counts.disowned_segments += unknown.segments;
            return;
        };
        output.counts.connections += 1;
        let mut connection = Connection::new(protocol);
        for (way, at, kept) in unknown.pieces {
            let piece = match &kept {
                Kept::Begin(is_whole) => Piece::Begin { is_whole: *is_whole },
                Kept::Data(bytes) => Piece::Data(bytes),
                Kept::Gap(bytes) => Piece::Gap(*bytes),
            };
            read(&mut connection, server, way, piece, at, output);
        }
        self.state = State::Known(connection);
    }

    /// The end that the user has bound, or that did not ask for the connection, or that has the
    /// lower port.
    fn server(&self) -> SocketAddr {
        let [one, other] = self.ends;
        match (self.bound, self.client) {
            (Some((_, Some(server))), _) => server,
            (_, Some(Way::Forth)) => other,
            (_, Some(Way::Back)) => one,
            (_, None) => {
                if one.port() <= other.port() {
                    one
                } else {
                    other
                }
            }
        }
    }
}

impl Unknown {
    fn begins(&self) -> [&[u8]; 2] {
        [&self.begins[0].0, &self.begins[1].0]
    }

    fn keep(&mut self, way: Way, piece: Piece<'_>, at: At) {
        let (begin, has_hole) = &mut self.begins[way as usize];
        let kept = match piece {
            Piece::Begin { is_whole } => {
                self.is_whole |= is_whole;
                Kept::Begin(is_whole)
            }
            Piece::Data(bytes) => {
                self.bytes += bytes.len();
                if !*has_hole {
                    begin.extend_from_slice(bytes);
                }
                Kept::Data(bytes.into())
            }
            Piece::Gap(bytes) => {
                // Where the very beginning is missing, what follows is as good a one.
                *has_hole = !begin.is_empty();
                self.is_whole &= *has_hole;
                Kept::Gap(bytes)
            }
            Piece::End { .. } => return,
        };
        self.bytes += PIECE_BYTES;
        self.pieces.push((way, at, kept));
    }

    fn may_begin_again(&self) -> bool {
        !self.is_whole && self.beginnings < BEGINNINGS_MAX
    }

    /// What came so far was the rest of a message: what comes next may begin with one.
    fn begin_again(&mut self) {
        let (beginnings, segments) = (self.beginnings + 1, self.segments);
        *self = Unknown { beginnings, segments, ..Unknown::default() };
    }
}

fn read(
    connection: &mut Connection,
    server: SocketAddr,
    way: Way,
    piece: Piece<'_>,
    at: At,
    output: &mut Output<'_, impl FnMut(Found<'_>)>,
) {
    let Output { sessions, counts, visit } = output;
    let protocol = connection.protocol();
    let mut skipped = 0;
    let mut each = |item: Item<'_>| match item {
        Item::Skipped(bytes) => skipped += bytes,
        item => visit(Found { protocol, server, at, item }),
    };
    match piece {
        Piece::Data(bytes) => connection.data(way, bytes, sessions, &mut each),
        Piece::Begin { is_whole } => {
            connection.lose(way, &mut each);
            connection.begin(way, is_whole);
        }
        Piece::Gap(bytes) => {
            counts.stream_gaps += 1;
            counts.stream_gap_bytes += bytes;
            connection.lose(way, &mut each);
        }
        Piece::End { .. } => connection.lose(way, &mut each),
    }
    counts.skipped_bytes += skipped;
}
