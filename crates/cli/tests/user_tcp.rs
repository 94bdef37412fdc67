//! TCP in user space against another TCP, in memory, with a clock of its own: lines that lose,
//! double and swap, ends of all kinds, and no allocation for an order.

#[allow(dead_code)]
#[path = "../src/respond/user_tcp/connection.rs"]
mod connection;
#[path = "../../frame/tests/counting/mod.rs"]
mod counting;
#[allow(dead_code)]
#[path = "../src/respond/user_tcp/device.rs"]
mod device;
#[path = "../src/respond/user_tcp/segment.rs"]
mod segment;
#[path = "../src/respond/user_tcp/testing.rs"]
mod testing;

use connection::Connection;
use counting::allocations;
use segment::Segment;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use testing::{Far, IFINDEX, MTU, PORT, Ring, hop};
use tickwire_capture::routes::{Hop, Vlan};
use tickwire_frame::LinkType;
use tickwire_fuzz::random::Random;

/// Rounds of a test, at most.
const ROUNDS_MAX: usize = 200_000;

/// Both ends, and the line between them.
struct World {
    near: Connection,
    ring: Ring,
    far: Far,
    born: Instant,
    now: Instant,
    /// Allocations of the near end.
    allocated: u64,
    /// What the near end sends at once arrives the other way round.
    swaps: bool,
}

impl World {
    fn of(near: &str, far: &str, buffer_bytes: usize) -> World {
        let (near, far): (IpAddr, SocketAddr) = (near.parse().unwrap(), far.parse().unwrap());
        let born = Instant::now();
        World {
            near: Connection::new(&hop(near, None), PORT, far, born),
            ring: Ring::new(),
            far: Far::listen(far, buffer_bytes),
            born,
            now: born,
            allocated: 0,
            swaps: false,
        }
    }

    fn new() -> World {
        World::of("10.0.0.2", "10.0.0.1:9999", 1 << 16)
    }

    /// A while passes; `line` says how often each packet arrives.
    fn round(&mut self, ms: u64, mut line: impl FnMut() -> usize) {
        self.now += Duration::from_millis(ms);
        let mut frames = self.ring.take();
        if self.swaps {
            frames.reverse();
        }
        frames = frames.iter().flat_map(|frame| vec![frame.clone(); line()]).collect();
        for frame in self.far.exchange(&frames, self.now - self.born) {
            for _ in 0..line() {
                let segment = Segment::parse(LinkType::ETHERNET, &frame).expect("a segment");
                self.act(|near, ring, now| near.receive(segment.packet, ring, now));
            }
        }
        self.act(|near, ring, now| near.transmit(ring, now));
    }

    /// Does something with the near end, and counts what it allocates.
    fn act<R>(&mut self, act: impl FnOnce(&mut Connection, &mut Ring, Instant) -> R) -> R {
        let before = allocations();
        let done = act(&mut self.near, &mut self.ring, self.now);
        self.allocated += allocations() - before;
        done
    }

    fn connect(&mut self) {
        for _ in 0..5 {
            self.round(1, || 1);
        }
        assert!(self.near.is_up());
    }

    /// What the other end has got.
    fn far_read(&mut self) -> Vec<u8> {
        let mut bytes = vec![0; 1 << 16];
        let read = self.far.socket().recv_slice(&mut bytes).unwrap_or(0);
        bytes[..read].to_vec()
    }
}

/// The kind of the error that reading gives.
fn error_of(read: std::io::Result<usize>) -> ErrorKind {
    read.expect_err("an error").kind()
}

#[test]
fn bytes_arrive_once_and_in_order_over_a_line_that_loses_doubles_and_swaps() {
    for (near, far) in [("10.0.0.2", "10.0.0.1:9999"), ("2001:db8::2", "[2001:db8::1]:9999")] {
        for seed in 1..=4 {
            let (mut world, mut random) = (World::of(near, far, 4_096), Random::new(seed));
            let ours: Vec<u8> = (0..150_000).map(|_| random.next_bits() as u8).collect();
            let theirs: Vec<u8> = (0..80_000).map(|_| random.next_bits() as u8).collect();
            let (mut sent, mut said) = (0, 0);
            let (mut got, mut heard) = (Vec::new(), Vec::new());
            for round in 0.. {
                assert!(round < ROUNDS_MAX, "{} and {} bytes arrived", got.len(), heard.len());
                // Each packet arrives once, mostly; or not at all, or twice.
                world.round(20, || [1, 1, 1, 1, 1, 1, 1, 1, 0, 2][random.below(10)]);
                world.swaps = random.below(4) == 0;
                if world.near.is_up() {
                    sent += world.near.write(&ours[sent..]).unwrap_or(0);
                    said += world.far.socket().send_slice(&theirs[said..]).unwrap_or(0);
                }
                got.extend(world.far_read());
                let mut bytes = [0; 700];
                while let Ok(read @ 1..) = world.near.read(&mut bytes) {
                    heard.extend_from_slice(&bytes[..read]);
                }
                if (got.len(), heard.len()) == (ours.len(), theirs.len()) {
                    break;
                }
            }
            assert!(got == ours && heard == theirs, "other bytes with seed {seed}");
        }
    }
}

#[test]
fn what_never_left_is_known() {
    // The ring is full.
    let mut world = World::new();
    world.connect();
    world.ring.room = 0;
    assert_eq!(world.near.write(&[1; 3_000]).unwrap(), 3_000);
    world.near.transmit(&mut world.ring, world.now);
    assert_eq!(world.near.unsent_bytes(), 3_000);
    world.ring.room = 2;
    world.near.transmit(&mut world.ring, world.now);
    assert_eq!(world.near.unsent_bytes(), 3_000 - 2 * (MTU - 40));
    world.round(1, || 1);
    assert_eq!(world.near.unsent_bytes(), 0);
    // What was lost on the way has left all the same.
    world.near.write_all(&[1; 100]).unwrap();
    world.round(1, || 1);
    world.round(2_000, || 0);
    assert_eq!(world.near.unsent_bytes(), 0);

    // The other end takes no more than fits into its buffer.
    let mut world = World::of("10.0.0.2", "10.0.0.1:9999", 1_000);
    world.connect();
    assert_eq!(world.near.write(&[1; 1_500]).unwrap(), 1_500);
    for _ in 0..10 {
        world.round(1, || 1);
    }
    assert_eq!(world.near.unsent_bytes(), 500);
    assert_eq!(world.far_read().len(), 1_000);
    for _ in 0..10 {
        world.round(1_000, || 1);
    }
    assert_eq!((world.near.unsent_bytes(), world.far_read().len()), (0, 500));
}

#[test]
fn ends_are_told_as_a_socket_of_the_kernel_tells_them() {
    let mut byte = [0];
    // In order, by the other end: what it said before comes first.
    let mut world = World::new();
    world.connect();
    assert_eq!(error_of(world.near.read(&mut byte)), ErrorKind::WouldBlock);
    world.far.socket().send_slice(b"x").unwrap();
    world.far.socket().close();
    (0..5).for_each(|_| world.round(1, || 1));
    assert_eq!((world.near.read(&mut byte).unwrap(), byte), (1, *b"x"));
    assert_eq!(world.near.read(&mut byte).unwrap(), 0);
    world.near.close();
    (0..5).for_each(|_| world.round(1, || 1));
    assert!(world.near.is_over());
    assert_eq!(world.near.read(&mut byte).unwrap(), 0);

    // By us: what was taken still arrives.
    let mut world = World::new();
    world.connect();
    world.near.write_all(b"last").unwrap();
    world.near.close();
    (0..3).for_each(|_| world.round(1, || 1));
    assert_eq!(world.far_read(), b"last");
    assert!(!world.far.socket().may_recv());

    // At once, by either end.
    let mut world = World::new();
    world.connect();
    world.far.socket().abort();
    (0..2).for_each(|_| world.round(1, || 1));
    assert!(world.near.is_over());
    assert_eq!(error_of(world.near.read(&mut byte)), ErrorKind::ConnectionReset);
    let mut world = World::new();
    world.connect();
    world.near.write_all(b"never").unwrap();
    world.near.abort();
    (0..2).for_each(|_| world.round(1, || 1));
    assert!(!world.far.socket().is_active() && world.far_read().is_empty());

    // Nobody listens.
    let mut world = World::new();
    world.far.socket().abort();
    (0..3).for_each(|_| world.round(1, || 1));
    assert!(world.near.is_over() && !world.near.is_up());
}

#[test]
fn a_peer_that_falls_silent_is_gone_and_one_that_has_nothing_to_say_is_not() {
    let mut world = World::new();
    world.connect();
    (0..600).for_each(|_| world.round(100, || 1));
    assert!(world.near.is_up(), "a quiet minute ended it");
    (0..140).for_each(|_| world.round(100, || 0));
    assert_eq!(error_of(world.near.read(&mut [0])), ErrorKind::TimedOut);
}

#[test]
fn frames_follow_the_way_and_leave_by_no_other() {
    let mut world = World::new();
    let vlan = Some(Vlan { protocol: 0x8100, id: 9 });
    let other = Hop { destination_mac: [6; 6], ..hop("10.0.0.2".parse().unwrap(), vlan) };
    world.near.follow(&other);
    world.near.transmit(&mut world.ring, world.now);
    let frame = world.ring.take().pop().expect("a SYN");
    assert_eq!(frame[..18], [&[6; 6][..], &[2; 6], &[0x81, 0, 0, 9, 8, 0]].concat());
    assert!(world.near.take_pushed() && !world.near.take_pushed());

    let mut world = World::new();
    world.near.follow(&Hop { ifindex: IFINDEX + 1, ..other });
    world.near.transmit(&mut world.ring, world.now);
    assert!(world.ring.take().is_empty() && !world.near.take_pushed());
}

/// What comes may be anything: no panic, no more than one answer to each, and time goes on.
#[test]
fn hostile_frames_break_nothing() {
    let mut random = Random::new(11);
    for (near, far) in [("10.0.0.2", "10.0.0.1:9999"), ("2001:db8::2", "[2001:db8::1]:9999")] {
        for _ in 0..200 {
            let mut world = World::of(near, far, 1 << 16);
            world.connect();
            world.near.write_all(&[1; 300]).unwrap();
            world.far.socket().send_slice(&[2; 300]).unwrap();
            world.round(1, || 0);
            world.far.socket().send_slice(&[3; 300]).unwrap();
            let frames = world.far.exchange(&[], world.now - world.born);
            for frame in frames.iter().cycle().take(50) {
                let mut hostile = frame.clone();
                for _ in 0..random.below(4) {
                    let at = random.below(hostile.len());
                    hostile[at] = random.next_bits() as u8;
                }
                hostile.truncate(hostile.len() - random.below(3) * random.below(40));
                // As a frame it is refused, mostly; as a packet whose checksum is right it is not.
                let _ = Segment::parse(LinkType::ETHERNET, &hostile);
                world.act(|near, ring, now| {
                    near.receive(&hostile[14..], ring, now);
                    assert!(ring.take().len() <= 1);
                    near.transmit(ring, now);
                });
                let _ = world.near.read(&mut [0; 1_000]);
                world.now += Duration::from_millis(random.below(500) as u64);
                world.ring.take();
            }
        }
    }
}

#[test]
fn nothing_is_allocated_for_an_order_or_a_segment() {
    let mut world = World::new();
    world.connect();
    let order = |world: &mut World| {
        world.act(|near, _, _| near.write_all(&[7; 49])).unwrap();
        world.round(1, || 1);
        world.far.socket().send_slice(&[8; 66]).unwrap();
        world.far_read();
        world.round(1, || 1);
        let mut report = [0; 100];
        assert_eq!(world.act(|near, _, _| near.read(&mut report)).unwrap(), 66);
    };
    order(&mut world);
    world.allocated = 0;
    (0..1_000).for_each(|_| order(&mut world));
    assert_eq!(world.allocated, 0);
}
