//! `tickwire respond` with TCP in user space against a socket of the kernel: outages of the link
//! and of the peer, checksums that were left to hardware, the kill switch. In private namespaces.
//!
//! Needs root; says so loudly where it is missing.

mod common;

use common::{Folder, Running, ask, command, run};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tickwire_capture::{FilePort, Port, Received};
use tickwire_decode::{Ethernet, Ipv4, Tcp, TcpFlags};
use tickwire_frame::Batch;
use tickwire_lab::{Lab, LabConfig, Offload, require_root};
use tickwire_market::{Ascii, Price, nanonet};

/// Nothing in these tests takes longer to arrive.
const ARRIVAL: Duration = Duration::from_secs(20);
const ORDER_BYTES: usize = 41;

/// A responder on the right, and what it needs.
struct World {
    lab: Lab,
    folder: Folder,
    feed: SocketAddr,
    target: SocketAddr,
    sender: UdpSocket,
    next: u64,
}

impl World {
    fn new(name: &str) -> World {
        let lab = Lab::veth(LabConfig { ipv6: false, ..LabConfig::default() }).expect("a lab");
        lab.wait_quiet().expect("links that are up");
        let sender = lab.left.run(|| UdpSocket::bind("0.0.0.0:0").expect("a port"));
        let (feed, target) = ((lab.right.ipv4(), 8_080).into(), (lab.left.ipv4(), 9_999).into());
        World { lab, folder: Folder::new(name), feed, target, sender, next: 0 }
    }

    fn config(&self) -> String {
        let (World { feed, target, .. }, state) = (self, self.folder.file("state"));
        let text = format!(
            "state = \"{state}\"\n\
             [[feed]]\nname = \"ticks\"\nprotocol = \"nanonet\"\nlisten = \"{feed}\"\n\
             [[target]]\nname = \"exchange\"\nformat = \"nanonet\"\naddress = \"{target}\"\n\
             transport = \"tcp\"\nstack = \"user\"\n\
             [[instrument]]\nsymbol = \"AAPL\"\ntick = \"0.01\"\n\
             [[rule]]\nname = \"below\"\nfeed = \"ticks\"\nwhen = \"price < 100.00\"\n\
             order = {{ target = \"exchange\", side = \"buy\", quantity = \"100\", \
             price = \"price + 1 tick\" }}\n\
             [limits]\nquantity = 100\nnotional = \"10000.00\"\norders_per_s = 1000000\n\
             position = 4000000000\nfeed_age_ms = 1000\n"
        );
        let file = self.folder.file("config");
        std::fs::write(&file, text).expect("a file");
        file
    }

    fn start(&self) -> Running {
        let control = self.folder.file("control");
        let _ = std::fs::remove_file(&control);
        let args =
            ["respond", "-i", self.lab.right.name(), "--mode", "af_xdp", "--summary", "json"];
        let files = ["--config", &self.config(), "--control", &control];
        let command = command(&[&args[..], &files].concat());
        let running = Running::of(self.lab.right.spawn(command).expect("the binary starts"));
        running.wait_for("ready");
        running
    }

    fn ctl(&self, what: &str) -> Value {
        let control = self.folder.file("control");
        run(&["ctl", "--control", &control, "respond", what, "--json"]).expect_code(0).summary()
    }

    /// Until `is_so` of what `ctl respond` shows.
    fn wait(&self, what: &str, is_so: impl Fn(&Value) -> bool) {
        let until = Instant::now() + ARRIVAL;
        while !is_so(&self.ctl(what)) {
            assert!(Instant::now() < until, "{}", self.ctl(what));
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn listen(&self) -> TcpListener {
        self.lab.left.run(|| TcpListener::bind(self.target).expect("a port"))
    }

    fn send_tick(&mut self) {
        self.sender.send_to(&tick(self.next), self.feed).expect("sent");
        self.next += 1;
    }

    /// A tick is answered on `stream`.
    fn trade(&mut self, stream: &mut TcpStream) {
        self.wait("status", |status| status["targets"][0]["ready"] == true);
        self.send_tick();
        stream.set_read_timeout(Some(ARRIVAL)).expect("a time limit");
        let mut order = [0; ORDER_BYTES];
        stream.read_exact(&mut order).expect("an order");
        let order = nanonet::little::Order::parse(&order).expect("41 bytes");
        assert_eq!((order.price().0, order.quantity()), (10_000, 100));
    }
}

fn tick(number: u64) -> [u8; 24] {
    *nanonet::little::MarketDataBuilder::new()
        .symbol(Ascii::new("AAPL").expect("short"))
        .price(Price(9_999))
        .quantity(500)
        .timestamp(1_700_000_000_000_000_000 + number)
        .as_bytes()
}

#[test]
fn a_session_outlives_outages_of_the_link_and_of_its_peer() {
    require_root!("a_session_outlives_outages_of_the_link_and_of_its_peer");
    let mut world = World::new("respond-outages");
    let running = world.start();
    running.wait_for("connection refused; connecting again");
    let listener = world.listen();
    let (mut stream, _) = listener.accept().expect("a connection");
    world.trade(&mut stream);

    // The kernel leaves checksums to a card that is not there.
    world.lab.left.set_offload(Offload::TransmitChecksum, true).expect("an offload");
    stream.write_all(b"nothing of interest").expect("sent");
    world.wait("connections", |list| {
        let connections = list["connections"].as_array().expect("a list");
        connections.iter().any(|one| one["of"] == "exchange" && one["bytes"] == 19)
    });
    world.trade(&mut stream);

    // The link goes and comes; the connection stays.
    world.lab.left.set_up(false).expect("down");
    world.wait("status", |status| status["targets"][0]["ready"] == false);
    world.lab.left.set_up(true).expect("up");
    world.lab.wait_running().expect("links that are up");
    world.trade(&mut stream);

    // The peer goes in good order, then with a RST, and comes back each time.
    drop(stream);
    let (mut stream, _) = listener.accept().expect("another connection");
    world.trade(&mut stream);
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).expect("no lingering");
    drop(stream);
    let (mut stream, _) = listener.accept().expect("a third connection");
    world.trade(&mut stream);
    for why in ["the other end closed the connection", "connection reset"] {
        running.wait_for(&format!("{why}; connecting again"));
    }
    let summary = running.stop();
    assert_eq!((&summary["responses_sent"], &summary["difference"]), (&5.into(), &0.into()));
    // The session ends in good order: the stream does, too.
    assert_eq!(stream.read(&mut [0]).expect("a FIN"), 0);
}

/// One direction of a connection as it was captured: its bytes, and when each part was complete.
#[derive(Default)]
struct Stream {
    first: u32,
    bytes: Vec<u8>,
    /// So many bytes were there, and when, in nanoseconds since 1970.
    came: Vec<(usize, u64)>,
}

/// When an order of a capture was there whole, in nanoseconds since 1970, and its client order id.
fn arrivals(path: &str) -> Vec<(u64, String)> {
    let (mut port, mut streams) = (FilePort::open(path).expect("a capture"), HashMap::new());
    loop {
        let mut batch = Batch::new();
        if port.receive(&mut batch).expect("whole") != Received::Frames {
            break;
        }
        for frame in batch.iter() {
            let packet = Ethernet::parse(frame.bytes).expect("Ethernet").payload();
            let tcp = Tcp::parse(Ipv4::parse(packet).expect("IPv4").payload()).expect("TCP");
            let stream: &mut Stream = streams.entry(tcp.source_port()).or_default();
            if tcp.flags().contains(TcpFlags::SYN) {
                stream.first = tcp.sequence().wrapping_add(1);
            }
            // What was sent again is not new.
            let known = stream.bytes.len();
            let at = tcp.sequence().wrapping_sub(stream.first) as usize;
            if let Some(new) = known.checked_sub(at).and_then(|old| tcp.payload().get(old..)) {
                stream.bytes.extend_from_slice(new);
                stream.came.push((stream.bytes.len(), frame.timestamp.as_nanos()));
            }
        }
    }
    let mut orders = Vec::new();
    for stream in streams.values() {
        let mut came = stream.came.iter();
        let mut last = (0, 0);
        for (number, order) in stream.bytes.chunks_exact(ORDER_BYTES).enumerate() {
            while last.0 < (number + 1) * ORDER_BYTES {
                last = *came.next().expect("bytes came");
            }
            let order = nanonet::little::Order::parse(order).expect("an order");
            orders.push((last.1, order.client_order_id().to_string()));
        }
    }
    orders
}

/// Under a flood that is answered as fast as it can be, nothing new leaves later than a millisecond
/// after the call of the kill switch has returned; SIGKILL under the same flood repeats nothing.
#[test]
fn the_kill_switch_acts_at_once_and_sigkill_repeats_nothing() {
    require_root!("the_kill_switch_acts_at_once_and_sigkill_repeats_nothing");
    let world = World::new("respond-user-flood");
    let (lab, file) = (&world.lab, world.folder.file("orders.pcapng"));
    let filter = format!("tcp dst port {}", world.target.port());
    let capture = ["capture", "-i", lab.left.name(), "--port", "af_packet", "-w", &file, &filter];
    let capture = command(&[&capture[..], &["-B", "65536"]].concat());
    let capture = Running::of(lab.left.spawn(capture).expect("the binary starts"));
    capture.wait_for("^C");
    let listener = world.listen();
    let done = AtomicBool::new(false);
    let until = Instant::now() + ARRIVAL;
    let goes_on = || !done.load(Relaxed) && Instant::now() < until;
    let ready = |status: &Value| status["targets"][0]["ready"] == true;
    let running = world.start();
    let killed_ns = std::thread::scope(|scope| {
        // Takes all orders. Of a process that was lost no FIN comes.
        scope.spawn(|| {
            let (mut streams, mut some) = (Vec::new(), [0; 1 << 16]);
            listener.set_nonblocking(true).expect("one that does not wait");
            while goes_on() {
                if let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true).expect("one that does not wait");
                    streams.push(stream);
                }
                let taken = streams.iter_mut().any(|stream| stream.read(&mut some).is_ok());
                if !taken {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        });
        scope.spawn(|| {
            for number in (0..).take_while(|_| goes_on()) {
                let _ = world.sender.send_to(&tick(number), world.feed);
            }
        });
        world.wait("status", ready);
        std::thread::sleep(Duration::from_millis(500));
        // As if the process had been lost; the next one goes on with the same flood.
        running.signal(rustix::process::Signal::KILL);
        running.finish();
        let running = world.start();
        world.wait("status", ready);
        std::thread::sleep(Duration::from_millis(500));
        let (head, body) = ask(&world.folder.file("control"), "POST /v1/kill", "");
        let killed = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        assert!(head.contains("200"), "{head} {body}");
        std::thread::sleep(Duration::from_millis(200));
        done.store(true, Relaxed);
        let summary = running.stop();
        assert!(summary["refused"]["kill_switch"].as_u64() > Some(0), "{summary}");
        assert_eq!(summary["difference"], 0, "{summary}");
        killed.as_nanos() as u64
    });
    capture.signal(rustix::process::Signal::TERM);
    capture.finish().expect_code(0);
    let orders = arrivals(&file);
    let late = orders.iter().filter(|(at_ns, _)| *at_ns > killed_ns + 1_000_000).count();
    assert_eq!(late, 0, "of {} orders", orders.len());
    assert!(orders.len() > 1_000, "only {} orders", orders.len());
    let ids: HashSet<&String> = orders.iter().map(|(_, id)| id).collect();
    assert_eq!(ids.len(), orders.len(), "an order twice");
}
