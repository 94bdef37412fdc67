//! A feed over lossy lines, a client that asks for what was lost, and a server that answers, also
//! over lossy lines: seeded, and without a clock.

mod common;

use common::{Random, corpus};
use std::collections::BTreeMap;
use tickwire_market::arbitrate::{Arbiter, Settings};
use tickwire_market::iex::gap_fill::{self, HeaderBuilder};
use tickwire_market::itch50::Message;
use tickwire_market::moldudp64::{Packet, PacketBuilder, Session, end_of_session, heartbeat};
use tickwire_market::packet::{self, Packet as AnyPacket};
use tickwire_market::protocol::Protocol;
use tickwire_market::recovery::{
    self, Action, Client, File, InOrder, Memory, Place, Rates, Refusal, Responder, Source,
    Unanswered,
};
use tickwire_market::sequence::{New, Numbers, Range, Rules, What};

const US: u64 = 1_000;
const MS: u64 = 1_000 * US;

/// Where a datagram goes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum To {
    /// From the feed, on a line.
    Line(usize),
    /// To a server.
    Server(usize),
    /// From a server.
    Client,
}

/// What happens to datagrams.
#[derive(Clone, Copy)]
struct Network {
    /// One of so many is lost.
    lost_one_in: u64,
    /// One of so many comes twice.
    twice_one_in: u64,
    /// How long it takes, at most.
    delay_ns_max: u64,
}

/// Datagrams on their way, by the time at which they arrive.
struct Wire {
    network: Network,
    random: Random,
    flying: BTreeMap<(u64, u64), (To, Vec<u8>)>,
    sent: u64,
}

impl Wire {
    fn send(&mut self, at_ns: u64, to: To, bytes: &[u8]) {
        let Network { lost_one_in, twice_one_in, delay_ns_max } = self.network;
        if self.random.one_in(lost_one_in) {
            return;
        }
        for _ in 0..1 + u64::from(self.random.one_in(twice_one_in)) {
            let arrives = at_ns + 1 + self.random.below(delay_ns_max);
            self.sent += 1;
            self.flying.insert((arrives, self.sent), (to, bytes.to_vec()));
        }
    }
}

fn session() -> Session {
    Session::new("SIMULATION").unwrap()
}

/// A message that says which it is.
fn message(sequence: u64) -> Vec<u8> {
    let mut bytes = sequence.to_be_bytes().to_vec();
    bytes.resize(8 + sequence as usize % 40, sequence as u8);
    bytes
}

/// A client with everything it needs.
struct Receiver {
    arbiter: Arbiter<packet::Session>,
    client: Client,
    order: InOrder,
    /// The next message that is expected to be handed on.
    next: u64,
    skipped: u64,
}

impl Receiver {
    fn new(servers: usize, in_order: usize) -> Self {
        let rules = Rules { from_first: true, ..Rules::default() };
        Receiver {
            arbiter: Arbiter::new(Settings { rules, ..Settings::default() }),
            client: Client::new(recovery::Settings::moldudp64(servers)),
            order: InOrder::new(1, in_order, 64),
            next: 1,
            skipped: 0,
        }
    }

    fn receive(&mut self, at_ns: u64, to: To, datagram: &[u8]) {
        let packet = AnyPacket::parse(Protocol::Itch50, datagram).unwrap();
        let numbers = Numbers::of(&packet).unwrap();
        let (new, whole) = match to {
            To::Line(line) => (self.arbiter.receive(line, &numbers, at_ns, 0), Range::before(1, 1)),
            _ => {
                let new = self.arbiter.receive_answer(&numbers, at_ns, 0);
                (new, Range::before(packet.first(), packet.next()))
            }
        };
        let fresh = match new {
            New::All => Range::before(packet.first(), packet.next()).into_iter().collect(),
            New::Some => self.arbiter.fresh().to_vec(),
            New::None => Vec::new(),
        };
        for message in packet.messages().map(Result::unwrap) {
            if fresh.iter().any(|range| range.contains(message.sequence)) {
                let next = &mut self.next;
                let place = self.order.push(message.sequence, message.bytes, |sequence, bytes| {
                    hand_on(next, sequence, bytes);
                });
                assert!(matches!(place, Place::Next | Place::Waits), "{place:?}");
            }
        }
        match whole {
            Some(range) => self.client.answered(range, at_ns),
            None => fresh.iter().for_each(|range| self.client.came(*range)),
        }
        self.want(at_ns);
    }

    /// What is told of is wanted.
    fn want(&mut self, at_ns: u64) {
        for event in self.arbiter.events() {
            if let What::Gap(gap) = event.what {
                assert_eq!(self.client.want(gap.range, at_ns), None);
            }
        }
    }

    fn poll(&mut self, at_ns: u64, wire: &mut Wire) {
        self.arbiter.tick(at_ns);
        self.want(at_ns);
        while let Some(action) = self.client.poll(at_ns) {
            match action {
                Action::Ask { server, ranges } => {
                    let request = recovery::moldudp64_request(session(), ranges[0]);
                    wire.send(at_ns, To::Server(server), &request.to_bytes());
                }
                Action::GiveUp(range, _) => {
                    let session = packet::Session::Moldudp64(session());
                    self.arbiter.give_up(session, range, at_ns);
                    let next = &mut self.next;
                    for event in self.arbiter.events() {
                        let What::Lost(gap, _) = event.what else { continue };
                        let Range { first, last } = gap.range;
                        self.skipped += self.order.give_up(first, last, |sequence, bytes| {
                            hand_on(next, sequence, bytes);
                        });
                    }
                }
            }
        }
    }
}

/// In order, once, and the right one.
fn hand_on(next: &mut u64, sequence: u64, bytes: &[u8]) {
    assert!(sequence >= *next, "{sequence} after {next}");
    assert_eq!(bytes, message(sequence));
    *next = sequence + 1;
}

/// Sends `last` messages over two lines, with servers that know them; returns the receiver when
/// nothing is on its way any more, and its clock.
fn run(seed: u64, network: Network, last: u64, servers: &[bool]) -> (Receiver, u64) {
    let mut random = Random(seed);
    let mut wire = Wire { network, random: Random(!seed), flying: BTreeMap::new(), sent: 0 };
    let mut receiver = Receiver::new(servers.len(), 1 << 14);
    let mut memory = Memory::new(1, 1 << 20, 1 << 16);
    let responder = |seed| Responder::new(session(), Rates::default(), seed);
    let mut responders: Vec<_> = (0..servers.len() as u64).map(responder).collect();
    let (mut at_ns, mut ends, mut out) = (0, 0, [0; 700]);
    while ends < 200 || !wire.flying.is_empty() {
        at_ns += 20 * US;
        if memory.next() <= last {
            let mut buffer = [0; 700];
            let mut packet = PacketBuilder::new(&mut buffer, session(), memory.next()).unwrap();
            for _ in 0..=random.below(8) {
                let message = message(memory.next());
                packet.push(&message).unwrap();
                memory.push(&message).unwrap();
            }
            let packet = packet.finish();
            (0..2).for_each(|line| wire.send(at_ns, To::Line(line), packet));
        } else if at_ns % (5 * MS) == 0 {
            let packet = match ends {
                0 => heartbeat(session(), memory.next()),
                _ => end_of_session(session(), memory.next()),
            };
            (0..2).for_each(|line| wire.send(at_ns, To::Line(line), &packet));
            ends += 1;
        }
        while let Some(entry) = wire.flying.first_entry()
            && entry.key().0 <= at_ns
        {
            let ((arrives, _), (to, bytes)) = entry.remove_entry();
            let To::Server(server) = to else {
                receiver.receive(arrives, to, &bytes);
                continue;
            };
            if servers[server]
                && let Ok(answer) = responders[server].answer(1, &bytes, &memory, arrives, &mut out)
            {
                wire.send(arrives, To::Client, answer);
            }
        }
        receiver.poll(at_ns, &mut wire);
        assert!(at_ns < 60_000 * MS, "seed {seed}: it does not end");
    }
    (receiver, memory.next())
}

const LOSSY: Network = Network { lost_one_in: 20, twice_one_in: 30, delay_ns_max: 300 * US };

#[test]
fn every_message_comes_once_and_in_order() {
    for seed in 0..12 {
        // The second server is dead in half of the runs.
        let (receiver, end) = run(seed, LOSSY, 5_000, &[true, seed % 2 == 0]);
        assert_eq!((receiver.next, receiver.skipped, receiver.order.waiting()), (end, 0, 0));
        let (_, stream) = receiver.arbiter.current().unwrap();
        assert_eq!((stream.missing_messages(), stream.ended()), (0, Some(end)), "seed {seed}");
        assert_eq!(stream.counts().received, end - 1);
        let counts = receiver.client.counts();
        assert!(counts.requests > 0 && stream.counts().retransmitted > 0, "seed {seed}");
        assert_eq!(counts.wanted, counts.answered + counts.came, "seed {seed}");
    }
}

#[test]
fn without_a_server_what_is_lost_is_given_up_by_name() {
    for seed in 0..4 {
        let (receiver, end) = run(seed, LOSSY, 3_000, &[false, false]);
        let (_, stream) = receiver.arbiter.current().unwrap();
        let counts = stream.counts();
        assert!(counts.lost > 0 && !receiver.arbiter.is_stale());
        assert_eq!((counts.received + counts.lost, counts.retransmitted), (end - 1, 0));
        assert_eq!(receiver.skipped, counts.lost, "seed {seed}");
        assert_eq!(receiver.client.counts().given_up, counts.lost, "seed {seed}");
    }
}

#[test]
fn a_file_is_served_from_end_to_end() {
    let Some(folder) = corpus("market/itch", "a_file_is_served_from_end_to_end") else { return };
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let with_lengths = File::new(read("ex20101224.TEST_ITCH_50.binaryfile"), None);
    let without = File::new(read("ex20101224.TEST_ITCH_50"), Some(Message::len_of));
    assert_eq!((with_lengths.next(), without.next()), (12_013, 12_013));
    assert!(with_lengths.messages(1).eq(without.messages(1)));
    let mut responder = Responder::new(session(), Rates::default(), 1);
    let mut client = Client::new(recovery::Settings::moldudp64(1));
    assert_eq!(client.want(Range { first: 1, last: 12_013 }, 0), None);
    let (mut at_ns, mut out, mut bytes, mut given_up) = (0, [0; 1_472], 0, Vec::new());
    loop {
        at_ns += MS;
        let request = match client.poll(at_ns) {
            Some(Action::Ask { ranges, .. }) => recovery::moldudp64_request(session(), ranges[0]),
            Some(Action::GiveUp(range, why)) => {
                given_up.push((range.first, range.last, why));
                continue;
            }
            None => match client.deadline_ns() {
                Some(deadline_ns) => {
                    at_ns = deadline_ns;
                    continue;
                }
                None => break,
            },
        };
        let request = request.to_bytes();
        let Ok(answer) = responder.answer(1, &request, &with_lengths, at_ns, &mut out) else {
            continue;
        };
        let answer = Packet::parse(answer).unwrap();
        bytes += answer.messages().map(|message| message.unwrap().bytes.len()).sum::<usize>();
        let range = Range::before(answer.sequence_number(), answer.next_sequence()).unwrap();
        client.answered(range, at_ns);
    }
    let total: usize = with_lengths.messages(1).map(<[u8]>::len).sum();
    assert_eq!((bytes, client.counts().answered), (total, 12_012));
    // The one behind the last message was never sent.
    assert_eq!(given_up, [(12_013, 12_013, Unanswered::Tries)]);
    assert_eq!(responder.answers().refused(Refusal::NotSent), 5);
}

#[test]
fn a_request_of_iex_is_written_as_it_is_read() {
    let ranges = [Range { first: 5, last: 9 }, Range { first: 12, last: 12 }];
    let header = HeaderBuilder::new().channel_id(1).session_id(7);
    let mut out = [0; 64];
    let len = recovery::iex_request(&mut out, header, &ranges).unwrap();
    let request = gap_fill::Request::parse(&out[..len]).unwrap();
    assert_eq!(request.header().request_type(), gap_fill::request_type::SEQUENCE);
    assert!(request.ranges().map(|range| (range.first, range.last)).eq([(5, 9), (12, 12)]));
    let error = recovery::iex_request(&mut out[..40], header, &ranges).unwrap_err();
    assert_eq!(error.reason(), "no_room");
    assert!(recovery::iex_request(&mut [0; 4096], header, &[ranges[0]; 33]).is_err());
}
