//! Changes of the table under load: in force for the next packet, and nobody else notices.

use super::*;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;
use tickwire_capture::Port;
use tickwire_capture::af_xdp::{AfXdp, AfXdpConfig};
use tickwire_capture::routes::Hop;
use tickwire_capture::udp::{SenderConfig, UdpConfig, UdpPort, UdpSender};
use tickwire_engine::{Control, Engine, Idle, Job, Role, Select, Worker};
use tickwire_frame::{LinkType, Reason};
use tickwire_lab::require_root;
use tickwire_replicate::{DatagramFanOut, Feed, FrameFanOut, Open, Path, Subscriber, Table};

const CHANGES: u64 = if cfg!(debug_assertions) { 200 } else { 1000 };
/// Subscribers that nobody touches, and those who come and go by turns.
const UNTOUCHED: u16 = 16;
const TOUCHED: u16 = 4;
/// Packets that are on their way when a change is made, and as many that are sent right after it.
const BURST: u64 = 8;

/// An engine in this process, on the right end, and the table that it follows.
struct Replicator {
    table: Table,
    engine: Engine,
    control: Arc<Control>,
    path: Path,
}

fn frames(lab: &Lab, table: &Table) -> (Box<dyn Port>, Box<dyn Job>) {
    let mut port =
        AfXdp::open(&AfXdpConfig::new(lab.right.name()), &[0]).expect("a port").remove(0);
    let way = (lab.right.index().expect("an index"), port.transmitter().expect("the first"));
    let broken = |error| panic!("{error}");
    (Box::new(port), Box::new(FrameFanOut::new(table.view(), 0, None, [way], broken)))
}

fn sockets(feed: SocketAddr, table: &Table) -> (Box<dyn Port>, Box<dyn Job>) {
    let port = UdpPort::open(&UdpConfig { ethernet: true, ..UdpConfig::new(feed) });
    let open: Open<UdpSender> = Box::new(|feed, subscriber| {
        let config = SenderConfig::new(feed.listen, subscriber.address);
        UdpSender::open(&config).map_err(|_| Reason::TxRefused)
    });
    let job = DatagramFanOut::new(table.view(), 0, None, open, Box::new(|_| true));
    (Box::new(port.expect("a socket")), Box::new(job))
}

impl Replicator {
    fn start(lab: &Lab, mode: &str) -> Replicator {
        let listen = SocketAddr::new(lab.right.ipv4().into(), 5000);
        let mut table = Table::new(1, LinkType::ETHERNET);
        table.add_feed(Feed::new("itch", listen)).expect("a feed");
        let path = Ok(Hop {
            ifindex: lab.right.index().expect("an index"),
            vlan: None,
            source_mac: lab.right.mac(),
            destination_mac: lab.left.mac(),
            source: IpAddr::from(lab.right.ipv4()),
            mtu: 1500,
        });
        let control = Arc::new(Control::new(None, Some(Duration::from_secs(120))));
        let engine = lab.right.run(|| {
            let (port, job) =
                if mode == "udp" { sockets(listen, &table) } else { frames(lab, &table) };
            let (name, select, role) = (mode.into(), Select::everything(), Role::Source);
            let worker = Worker { name, port, select, job, core: None, idle: Idle::Sleep, role };
            Engine::start(vec![worker], Arc::clone(&control)).expect("an engine")
        });
        Replicator { table, engine, control, path }
    }

    fn add(&mut self, address: SocketAddr) {
        let (subscriber, now) = (Subscriber::new(address), Instant::now());
        self.table.add_with_path("itch", subscriber, self.path, now).expect("room for one");
    }

    fn remove(&mut self, address: SocketAddr) {
        self.table.remove("itch", address).expect("it is there");
    }
}

/// Sends `BURST` packets from `first` on, as fast as they go.
fn burst(lab: &Lab, copies: &Copies, first: u64) {
    let packets = Numbered { first, ..copies.packets.clone() };
    let report = send_udp(&lab.left, &packets, &Schedule::flood(BURST)).expect("sent");
    assert_eq!((report.sent, report.difference()), (BURST, 0), "{report}");
}

/// Waits until `subscriber` has all numbers below `sent`.
fn wait_for(receiver: &CopyReceiver, subscriber: usize, sent: u64, context: &str) {
    let deadline = Instant::now() + PATIENCE;
    while receiver.reached(subscriber) < sent {
        assert!(Instant::now() < deadline, "{context}: subscriber {subscriber}, number {sent}");
        std::thread::sleep(Duration::from_micros(20));
    }
}

/// What a subscriber who comes and goes must have, and must not have.
#[derive(Default)]
struct Expected {
    wanted: Vec<u64>,
    unwanted: Vec<u64>,
}

fn many_changes(mode: &str) {
    let lab = quiet_lab();
    let copies = copies(&lab, UNTOUCHED + TOUCHED, 2 * BURST * CHANGES);
    let copies = Copies { ages: true, ..copies };
    let receiver = CopyReceiver::start(&lab.left, copies.clone()).expect("a receiver");
    let mut replicator = Replicator::start(&lab, mode);
    let address = |place: u16| SocketAddr::new(lab.left.ipv4().into(), PORT_FIRST + place);
    (0..UNTOUCHED).for_each(|place| replicator.add(address(place)));
    let mut expected: Vec<_> = (0..TOUCHED).map(|_| Expected::default()).collect();
    let (mut present, mut took) = ([false; TOUCHED as usize], Vec::new());
    for change in 0..CHANGES {
        let turn = (change % u64::from(TOUCHED)) as usize;
        let place = usize::from(UNTOUCHED) + turn;
        let before = 2 * BURST * change;
        burst(&lab, &copies, before);
        let started = Instant::now();
        present[turn] = !present[turn];
        match present[turn] {
            true => replicator.add(address(place as u16)),
            false => replicator.remove(address(place as u16)),
        }
        burst(&lab, &copies, before + BURST);
        let sent = before + 2 * BURST;
        let numbers = before + BURST..sent;
        if present[turn] {
            wait_for(&receiver, place, before + BURST + 1, mode);
            took.push(started.elapsed());
            expected[turn].wanted.extend(numbers);
        } else {
            expected[turn].unwanted.extend(numbers);
        }
        wait_for(&receiver, usize::from(UNTOUCHED) - 1, sent, mode);
    }
    lab.wait_quiet().expect("quiet");
    replicator.control.stop();
    let outcome = replicator.engine.join();
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    assert_eq!(outcome.ledger.delivered, copies.count, "{:?}", outcome.ledger);
    let report = receiver.finish().expect("a port");
    for check in &report.subscribers[..usize::from(UNTOUCHED)] {
        assert!(check.is_perfect(), "{mode}: {check}");
    }
    for (expected, place) in expected.iter().zip(usize::from(UNTOUCHED)..) {
        let check = &report.subscribers[place];
        let faults = (check.duplicates, check.out_of_order, check.corrupted, check.beyond);
        assert_eq!(faults, (0, 0, 0, 0), "{mode}: {check}");
        let has = |number: &u64| report.age_ns(place, *number).is_some();
        assert!(expected.wanted.iter().all(has), "{mode}: an addition was late; {check}");
        assert!(!expected.unwanted.iter().any(has), "{mode}: a removal was late; {check}");
    }
    took.sort_unstable();
    eprintln!(
        "{mode}: {CHANGES} changes, 0 lost by {UNTOUCHED} others; from an addition to the first \
         copy {:?}, {:?} at most",
        took[took.len() / 2],
        took[took.len() - 1]
    );
}

#[test]
fn changes_under_load_cost_the_others_nothing() {
    require_root!("changes_under_load_cost_the_others_nothing");
    let _cores = one_at_a_time();
    modes().filter(|&mode| mode != "xdp").for_each(many_changes);
}
