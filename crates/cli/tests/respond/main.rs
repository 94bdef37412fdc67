//! `tickwire respond`: the documented run of the older responder, and the brakes, from the outside.
//! In private namespaces.
//!
//! Needs root; says so loudly where it is missing.

#[path = "../common/mod.rs"]
mod common;
mod reload;
mod xdp;

use common::{Folder, Running, ask, command, run};
use serde_json::Value;
use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tickwire_capture::{FilePort, Port, Received};
use tickwire_frame::Batch;
use tickwire_lab::{End, Lab, LabConfig, UdpReceiver, require_root};
use tickwire_market::{Ascii, Price, nanonet};

/// Ticks of the documented run.
const TICKS: u64 = 1_000;
/// Nothing in these tests takes longer to arrive.
const ARRIVAL: Duration = Duration::from_secs(20);
/// Where orders go.
const ORDER_PORT: u16 = nanonet::ORDER_PORT;
const FEED_PORT: u16 = 8_080;
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);

/// The text of `docs/examples/nanonet.toml`.
fn example() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/examples/nanonet.toml");
    std::fs::read_to_string(path).expect("the example")
}

/// One way to run it.
#[derive(Clone, Copy, Debug)]
struct Run {
    mode: &'static str,
    big: bool,
    multicast: bool,
    over: Over,
}

/// What ticks come and orders leave over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    Udp,
    /// TCP of the kernel, both.
    Tcp,
    /// Ticks over UDP, orders over TCP in user space.
    UserTcp,
}

impl Run {
    fn feed(&self, lab: &Lab) -> SocketAddr {
        let ip = if self.multicast { GROUP } else { lab.right.ipv4() };
        (ip, FEED_PORT).into()
    }

    /// The example with other addresses.
    fn config(&self, lab: &Lab, folder: &Folder) -> String {
        let example = example();
        let order = if self.big { "nanonet-big" } else { "nanonet" };
        let feed = if self.over == Over::Tcp { "tcp" } else { "udp" };
        let listen = format!("listen = \"{}\"\ntransport = \"{feed}\"", self.feed(lab));
        let transport = match self.over {
            Over::Udp => "transport = \"udp\"",
            Over::Tcp => "transport = \"tcp\"",
            Over::UserTcp => "transport = \"tcp\"\nstack = \"user\"",
        };
        let state = folder.file("state");
        let (target, state) = (SocketAddr::from((lab.left.ipv4(), ORDER_PORT)), state);
        let replaced = [
            ("/var/lib/tickwire/nanonet.state", state.clone()),
            ("protocol = \"nanonet\"", format!("protocol = \"{order}\"")),
            ("format = \"nanonet\"", format!("format = \"{order}\"")),
            ("listen = \"239.1.1.1:8080\"", listen),
            ("transport = \"udp\"               # or \"tcp\"", transport.to_owned()),
            ("192.168.1.100:9999", target.to_string()),
        ];
        replaced.iter().fold(example, |text, (from, to)| {
            assert!(text.contains(from), "the example has no {from}");
            text.replace(from, to)
        })
    }

    fn tick(&self, number: u64, cents: u32) -> [u8; 24] {
        let (symbol, price) = (Ascii::new("AAPL").expect("short"), Price(cents));
        let timestamp = 1_700_000_000_000_000_000 + number * 1_000_000;
        macro_rules! tick {
            ($order:ident) => {
                *nanonet::$order::MarketDataBuilder::new()
                    .symbol(symbol)
                    .price(price)
                    .quantity(500)
                    .timestamp(timestamp)
                    .as_bytes()
            };
        }
        if self.big { tick!(big) } else { tick!(little) }
    }

    /// What an order says: symbol, price, quantity, side, client order id.
    fn read(&self, order: &[u8]) -> (String, u32, u32, u8, String) {
        macro_rules! read {
            ($order:ident) => {{
                let order = nanonet::$order::Order::parse(order).expect("41 bytes");
                let (symbol, id) =
                    (order.symbol().to_string(), order.client_order_id().to_string());
                (symbol, order.price().0, order.quantity(), order.side(), id)
            }};
        }
        if self.big { read!(big) } else { read!(little) }
    }
}

fn lab() -> Lab {
    // With GRO, an end takes what the other's XDP program redirects to it.
    let config = LabConfig { ipv6: false, gro: true, ..LabConfig::default() };
    let lab = Lab::veth(config).expect("a lab");
    lab.wait_quiet().expect("links that are up");
    // Who sends to a group needs a route to it.
    lab.left.run(|| {
        let ip = |args: &[&str]| {
            let ran = std::process::Command::new("ip").args(args).status().expect("ip(8)");
            assert!(ran.success(), "ip {args:?}");
        };
        ip(&["route", "add", "239.0.0.0/8", "dev", lab.left.name()]);
    });
    lab
}

fn start(lab: &Lab, config: &str, control: &str, mode: &str) -> Running {
    let args = ["respond", "-i", lab.right.name(), "--mode", mode, "--summary", "json"];
    let files = ["--config", config, "--control", control];
    let all: Vec<&str> = args.into_iter().chain(files).collect();
    let running = Running::of(lab.right.spawn(command(&all)).expect("the binary starts"));
    running.wait_for("ready");
    running
}

fn ctl(control: &str, args: &[&str]) -> common::Ran {
    let path = control;
    run(&[&["ctl", "--control", path, "respond"], args].concat())
}

fn status(control: &str) -> Value {
    ctl(control, &["status", "--json"]).expect_code(0).summary()
}

/// Sends ticks of these prices, a millisecond apart.
enum Sender {
    Udp(UdpSocket, SocketAddr),
    Tcp(TcpStream),
}

impl Sender {
    fn open(lab: &Lab, run: &Run) -> Sender {
        let to = run.feed(lab);
        lab.left.run(|| match run.over == Over::Tcp {
            true => Sender::Tcp(TcpStream::connect(to).expect("the feed listens")),
            false => Sender::Udp(UdpSocket::bind((lab.left.ipv4(), 0)).expect("a port"), to),
        })
    }

    fn send(&mut self, tick: &[u8]) {
        match self {
            Sender::Udp(socket, to) => assert_eq!(socket.send_to(tick, *to).expect("sent"), 24),
            Sender::Tcp(stream) => {
                // Cut anywhere: a stream has no messages.
                let (head, tail) = tick.split_at(7);
                stream.write_all(head).and_then(|()| stream.write_all(tail)).expect("sent");
            }
        }
    }
}

enum Sink {
    Udp(UdpReceiver),
    Tcp(TcpListener, Option<TcpStream>),
}

impl Sink {
    fn open(lab: &Lab, run: &Run) -> Sink {
        let ip = lab.left.ipv4();
        match run.over != Over::Udp {
            true => {
                let listen = || TcpListener::bind((ip, ORDER_PORT)).expect("a port");
                Sink::Tcp(lab.left.run(listen), None)
            }
            false => Sink::Udp(UdpReceiver::bind(&lab.left, ip, ORDER_PORT).expect("a port")),
        }
    }

    /// The next order; none within `patience`.
    fn next(&mut self, patience: Duration) -> Option<Vec<u8>> {
        let mut order = vec![0; 41];
        match self {
            Sink::Udp(receiver) => {
                let socket = receiver.socket();
                socket.set_read_timeout(Some(patience)).expect("a time limit");
                let mut buffer = [0; 2_000];
                let len = socket.recv(&mut buffer).ok()?;
                order = buffer[..len].to_vec();
            }
            Sink::Tcp(listener, stream) => {
                let stream =
                    stream.get_or_insert_with(|| listener.accept().expect("it connects").0);
                stream.set_read_timeout(Some(patience)).expect("a time limit");
                stream.read_exact(&mut order).ok()?;
            }
        }
        Some(order)
    }
}

/// A thousand ticks at 99.99 give a thousand orders, and ticks at 100.00 none. The orders.
fn documented(run: Run) -> Vec<Vec<u8>> {
    let (lab, folder) = (
        lab(),
        Folder::new(&format!("respond-{run:?}").replace([' ', '{', '}', ':', ',', '"'], "")),
    );
    let (config, control) = (folder.file("config"), folder.file("control"));
    std::fs::write(&config, run.config(&lab, &folder)).expect("a file");
    let mut sink = Sink::open(&lab, &run);
    let running = start(&lab, &config, &control, run.mode);
    if run.over != Over::Udp {
        let until = Instant::now() + ARRIVAL;
        while status(&control)["targets"][0]["ready"] != true {
            assert!(Instant::now() < until, "not connected: {}", status(&control));
        }
    }
    let mut sender = Sender::open(&lab, &run);
    let (mut ids, mut orders) = (HashSet::new(), Vec::new());
    for number in 0..TICKS {
        let began = Instant::now();
        sender.send(&run.tick(number, 9_999));
        let order = sink.next(ARRIVAL).unwrap_or_else(|| panic!("no order for {number}: {run:?}"));
        let (symbol, cents, quantity, side, id) = run.read(&order);
        assert_eq!((symbol.as_str(), cents, quantity, side), ("AAPL", 10_000, 100, nanonet::BUY));
        assert!(ids.insert(id.clone()), "{id} came twice");
        orders.push(order);
        // A tick a millisecond: the limit of the example is 1,200 orders a second.
        std::thread::sleep(Duration::from_millis(1).saturating_sub(began.elapsed()));
    }
    for number in TICKS..TICKS + 10 {
        sender.send(&run.tick(number, 10_000));
    }
    // The same tick again: answered before.
    sender.send(&run.tick(TICKS - 1, 9_999));
    assert_eq!(sink.next(Duration::from_millis(300)), None);
    let block = ctl(&control, &["status"]).expect_code(0);
    assert!(block.text().contains("Responses Sent: 1000\n"), "{}", block.text());
    assert!(block.text().contains("Errors: 0\n"), "{}", block.text());
    let in_kernel = if run.mode == "xdp" { TICKS.into() } else { Value::Null };
    assert_eq!(status(&control)["kernel"]["orders"], in_kernel);
    let feed = &status(&control)["feeds"][0];
    assert_eq!((&feed["messages"], &feed["malformed"]), (&(TICKS + 11).into(), &0.into()));
    let summary = running.stop();
    assert_eq!(summary["responses_sent"], TICKS, "{summary}");
    assert_eq!(summary["difference"], 0, "{summary}");
    assert_eq!(summary["refused"], serde_json::json!({ "duplicate_trigger": 1 }), "{summary}");
    if run.over == Over::UserTcp {
        assert_eq!(resets(&lab.right), 0, "the kernel has seen segments of ours");
    }
    orders
}

#[test]
fn the_documented_run_over_af_xdp_and_a_group() {
    require_root!("the_documented_run_over_af_xdp_and_a_group");
    documented(Run { mode: "af_xdp", big: false, multicast: true, over: Over::Udp });
}

#[test]
fn the_documented_run_over_af_xdp_the_other_order_of_bytes() {
    require_root!("the_documented_run_over_af_xdp_the_other_order_of_bytes");
    documented(Run { mode: "af_xdp", big: true, multicast: false, over: Over::Udp });
}

#[test]
fn the_documented_run_over_sockets() {
    require_root!("the_documented_run_over_sockets");
    documented(Run { mode: "udp", big: false, multicast: false, over: Over::Udp });
    documented(Run { mode: "udp", big: true, multicast: true, over: Over::Udp });
}

#[test]
fn the_documented_run_over_tcp() {
    require_root!("the_documented_run_over_tcp");
    documented(Run { mode: "auto", big: false, multicast: false, over: Over::Tcp });
    documented(Run { mode: "auto", big: true, multicast: false, over: Over::Tcp });
}

/// Segments that the kernel of a place answered with a RST.
fn resets(place: &End) -> u64 {
    let snmp = place.run(|| std::fs::read_to_string("/proc/thread-self/net/snmp"));
    let snmp = snmp.expect("counters of TCP");
    let mut lines = snmp.lines().filter(|line| line.starts_with("Tcp:"));
    let at = lines.next().and_then(|names| names.split(' ').position(|name| name == "OutRsts"));
    let value = lines.next().and_then(|values| values.split(' ').nth(at?));
    value.expect("OutRsts").parse().expect("a number")
}

#[test]
fn the_documented_run_over_tcp_in_user_space() {
    require_root!("the_documented_run_over_tcp_in_user_space");
    documented(Run { mode: "af_xdp", big: false, multicast: true, over: Over::UserTcp });
    documented(Run { mode: "auto", big: true, multicast: false, over: Over::UserTcp });
}

/// With the kill switch on nothing leaves, not after a restart either; once it is reset and enabled
/// orders go on, with other numbers, and nothing is answered again.
#[test]
fn the_kill_switch_outlives_the_process() {
    require_root!("the_kill_switch_outlives_the_process");
    let run = Run { mode: "af_xdp", big: false, multicast: false, over: Over::Udp };
    let (lab, folder) = (lab(), Folder::new("respond-kill"));
    let (config, control) = (folder.file("config"), folder.file("control"));
    std::fs::write(&config, run.config(&lab, &folder)).expect("a file");
    let mut sink = Sink::open(&lab, &run);
    let mut sender = Sender::open(&lab, &run);
    let mut running = start(&lab, &config, &control, run.mode);
    sender.send(&run.tick(0, 9_999));
    let first = run.read(&sink.next(ARRIVAL).expect("an order")).4;
    let ordered = Instant::now();
    ctl(&control, &["kill"]).expect_code(0);
    sender.send(&run.tick(1, 9_999));
    assert_eq!(sink.next(Duration::from_millis(200)), None);
    assert_eq!(status(&control)["refused"]["kill_switch"], 1);
    ctl(&control, &["enable"]).expect_message(1, &["kill switch", "reset --kill-switch"]);
    // As if the machine had lost it.
    running.signal(rustix::process::Signal::KILL);
    running.finish();
    let _ = std::fs::remove_file(&control);
    running = start(&lab, &config, &control, run.mode);
    sender.send(&run.tick(2, 9_999));
    assert_eq!(sink.next(Duration::from_millis(200)), None);
    assert_eq!(status(&control)["killed"], true);
    ctl(&control, &["reset", "--kill-switch"]).expect_code(0);
    sender.send(&run.tick(3, 9_999));
    assert_eq!(sink.next(Duration::from_millis(200)), None, "it is not enabled yet");
    ctl(&control, &["enable"]).expect_code(0);
    // Answered before the first process was killed.
    sender.send(&run.tick(0, 9_999));
    assert_eq!(sink.next(Duration::from_millis(200)), None);
    // The second after the last order of the first process counts as full.
    std::thread::sleep(Duration::from_secs(1).saturating_sub(ordered.elapsed()));
    sender.send(&run.tick(4, 9_999));
    let got = sink.next(ARRIVAL);
    let order = run.read(&got.unwrap_or_else(|| panic!("no order: {}", status(&control))));
    assert_ne!(order.4, first);
    let summary = running.stop();
    assert_eq!(summary["responses_sent"], 1, "{summary}");
}

#[test]
fn a_configuration_that_means_nothing_is_refused_before_anything_is_opened() {
    let folder = Folder::new("respond-config");
    let config = folder.file("config");
    let example = example();
    let check = |text: String| {
        std::fs::write(&config, text).expect("a file");
        run(&["respond", "-i", "lo", "--config", &config, "--check"])
    };
    check(example.clone()).expect_code(0);
    let cases = [
        ("price < 100.00", "prise < 100.00", "price"),
        ("target = \"exchange\"", "target = \"exchang\"", "exchange"),
        ("[limits]", "[limit]", "limit"),
        ("price < 100.00", "price < 100.001", "100.001"),
    ];
    for (from, to, word) in cases {
        assert!(example.contains(from));
        check(example.replace(from, to)).expect_message(1, &["line", word]);
    }
    run(&["respond", "-i", "lo"]).expect_message(2, &["--config"]);
    // TCP in user space: what can be told without a network.
    let udp = "transport = \"udp\"               # or \"tcp\"";
    let user = example.replace(udp, "transport = \"tcp\"\nstack = \"user\"");
    check(user.clone()).expect_code(0);
    check(example.replace(udp, "stack = \"user\"")).expect_message(1, &["line", "remove it"]);
    let stream = "listen = \"127.0.0.1:8080\"\ntransport = \"tcp\"";
    let over_tcp = user.replace("listen = \"239.1.1.1:8080\"", stream);
    check(over_tcp).expect_message(1, &["target exchange", "feed ticks", "over TCP", "kernel"]);
    std::fs::write(&config, user).expect("a file");
    let flags = ["respond", "--config", &config, "--check"];
    run(&flags).expect_message(1, &["no feed of exchange has one", "-i"]);
    let udp = run(&[&flags[..], &["-i", "lo", "--mode", "udp"]].concat());
    udp.expect_message(1, &["needs mode af_xdp", "leave out --mode udp", "kernel"]);
}

/// A target that cannot be spoken with over the port of a worker is refused before anything is
/// armed.
#[test]
fn a_target_in_user_space_is_one_that_the_worker_reaches() {
    require_root!("a_target_in_user_space_is_one_that_the_worker_reaches");
    let lab = Lab::veth(LabConfig { ipv6: false, queues: 2, ..LabConfig::default() });
    let (lab, folder) = (lab.expect("a lab"), Folder::new("respond-home"));
    let run = Run { mode: "auto", big: false, multicast: false, over: Over::UserTcp };
    let (file, there) = (folder.file("config"), format!("{}:9999", lab.left.ipv4()));
    let config = run.config(&lab, &folder);
    assert!(config.contains(&there), "{config}");
    let refused = |address: &str, flags: &[&str]| {
        std::fs::write(&file, config.replace(&there, address)).expect("a file");
        let args = ["respond", "-i", lab.right.name(), "--config", &file, "--duration", "1s"];
        let command = command(&[&args[..], flags].concat());
        let running = Running::of(lab.right.spawn(command).expect("the binary starts"));
        running.finish()
    };
    let here = format!("{}:9999", lab.right.ipv4());
    let cases: [(&str, &[&str], &[&str]); 3] = [
        (&here, &[], &["address of this machine", "kernel"]),
        ("127.0.0.9:9999", &[], &["address of this machine", "kernel"]),
        (&there, &["--queues", "1"], &["all 2 queues", "leave out --queues", "kernel"]),
    ];
    for (address, flags, words) in cases {
        refused(address, flags).expect_message(1, words);
    }
    let add = |args: &[&str]| {
        let ran = std::process::Command::new("ip").args(args).status().expect("ip(8)");
        assert!(ran.success(), "ip {args:?}");
    };
    lab.right.run(|| {
        add(&["link", "add", "other0", "type", "veth", "peer", "name", "other1"]);
        add(&["link", "set", "other1", "up"]);
        add(&["link", "set", "other0", "up"]);
        add(&["addr", "add", "10.99.0.1/24", "dev", "other0"]);
    });
    let words = ["does not lead by", lab.right.name(), "ip route get", "kernel"];
    refused("10.99.0.2:9999", &[]).expect_message(1, &words);
    // And one that is only not there is waited for.
    refused("10.77.0.99:9999", &[]).expect_code(0);
}

/// When an order of a capture arrived, in nanoseconds since 1970, and its client order id.
fn arrivals(path: &str) -> Vec<(u64, String)> {
    let mut port = FilePort::open(path).expect("a capture");
    let mut orders = Vec::new();
    loop {
        let mut batch = Batch::new();
        if port.receive(&mut batch).expect("whole") != Received::Frames {
            return orders;
        }
        for frame in batch.iter() {
            let payload = &frame.bytes[frame.bytes.len() - 41..];
            let order = nanonet::little::Order::parse(payload).expect("an order");
            orders.push((frame.timestamp.as_nanos(), order.client_order_id().to_string()));
        }
    }
}

/// Ticks as fast as they can be sent, all of which would be answered; `done` ends it.
fn flood(lab: &Lab, run: Run, first: u64, done: &AtomicBool) {
    let (socket, to) =
        (lab.left.run(|| UdpSocket::bind("0.0.0.0:0").expect("a port")), run.feed(lab));
    let until = Instant::now() + ARRIVAL;
    for number in first.. {
        if done.load(Relaxed) || Instant::now() > until {
            return;
        }
        let _ = socket.send_to(&run.tick(number, 9_999), to);
    }
}

fn unlimited(config: &str) -> String {
    let config = config.replace("orders_per_s = 1200", "orders_per_s = 1000000");
    config.replace("position = 200000", "position = 4000000000")
}

/// Under a flood that is answered as fast as it can be, nothing leaves later than a millisecond
/// after the call of the kill switch has returned; SIGKILL under the same flood repeats nothing.
#[test]
fn the_kill_switch_acts_at_once_and_sigkill_repeats_nothing() {
    require_root!("the_kill_switch_acts_at_once_and_sigkill_repeats_nothing");
    for mode in ["af_xdp", "udp", "xdp"] {
        let run = Run { mode, big: false, multicast: false, over: Over::Udp };
        let (lab, folder) = (lab(), Folder::new(&format!("respond-flood-{mode}")));
        let (config, control) = (folder.file("config"), folder.file("control"));
        std::fs::write(&config, unlimited(&run.config(&lab, &folder))).expect("a file");
        let file = folder.file("orders.pcapng");
        let filter = format!("udp dst port {ORDER_PORT}");
        // The kernel says when each order arrived.
        let from = ["capture", "-i", lab.left.name(), "--port", "af_packet", "-B", "65536"];
        let capture = [&from[..], &["-w", &file, &filter]].concat();
        let capture = Running::of(lab.left.spawn(command(&capture)).expect("the binary starts"));
        capture.wait_for("^C");
        // Somebody has to be there: a closed port would answer with ICMP.
        let _sink = Sink::open(&lab, &run);
        let done = AtomicBool::new(false);
        let running = start(&lab, &config, &control, run.mode);
        let killed_ns = std::thread::scope(|scope| {
            scope.spawn(|| flood(&lab, run, 0, &done));
            std::thread::sleep(Duration::from_millis(500));
            // As if the process had been lost; the next one goes on with the same flood.
            running.signal(rustix::process::Signal::KILL);
            running.finish();
            let _ = std::fs::remove_file(&control);
            let running = start(&lab, &config, &control, run.mode);
            // The second after the last order counts as full.
            let until = Instant::now() + ARRIVAL;
            while status(&control)["responses_sent"].as_u64() < Some(1_000) {
                assert!(Instant::now() < until, "no orders: {}", status(&control));
            }
            let (head, body) = ask(&control, "POST /v1/kill", "");
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
        assert_eq!(late, 0, "of {} orders over {mode}", orders.len());
        assert!(orders.len() > 1_000, "only {} orders over {mode}", orders.len());
        let ids: HashSet<&String> = orders.iter().map(|(_, id)| id).collect();
        assert_eq!(ids.len(), orders.len(), "an order twice over {mode}");
    }
}

/// `tickwire latency --tick-to-trade` against `tickwire respond`: each tick has its order, and each
/// field of each order is right.
#[test]
fn tick_to_trade_is_measured_and_looked_at() {
    require_root!("tick_to_trade_is_measured_and_looked_at");
    for (mode, big) in [("af_xdp", false), ("udp", true), ("xdp", false)] {
        let run = Run { mode, big, multicast: true, over: Over::Udp };
        let (lab, folder) = (lab(), Folder::new(&format!("respond-latency-{mode}")));
        let (config, control) = (folder.file("config"), folder.file("control"));
        std::fs::write(&config, unlimited(&run.config(&lab, &folder))).expect("a file");
        let running = start(&lab, &config, &control, mode);
        let (to, orders) = (run.feed(&lab).to_string(), format!("{}:9999", lab.left.ipv4()));
        let order = if big { "big" } else { "little" };
        let measure = |more: &[&str]| {
            let flags = ["latency", "--tick-to-trade", "--functional", "--to", &to];
            let end = ["--subscriber", &orders, "--byte-order", order, "--rate", "1000", "-c"];
            let all = [&flags[..], &end, &["1500", "--json"], more].concat();
            Running::of(lab.left.spawn(command(&all)).expect("the binary starts")).finish()
        };
        let report = measure(&["-i", lab.left.name()]);
        let report = report.expect_code(0).summary();
        let counts = ["sent", "received", "lost", "duplicates", "foreign", "wrong"];
        let counts = counts.map(|name| report[name].as_u64().unwrap_or(99));
        assert_eq!(counts, [1_500, 1_500, 0, 0, 0, 0], "{report}");
        assert_eq!(report["measured"], "tick_to_trade");
        let latency = &report["latency_ns"];
        let [min, p50, max] = ["min", "p50", "max"].map(|name| latency[name].as_u64().unwrap());
        assert!(min <= p50 && p50 <= max && latency["jitter"] == max - min, "{report}");
        // With the kill switch on no order comes, which is said.
        ctl(&control, &["kill"]).expect_code(0);
        measure(&["--linger", "100ms", "-i", lab.left.name()])
            .expect_message(1, &["no order came", "tickwire respond"]);
        running.stop();
    }
}
