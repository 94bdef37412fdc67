//! `tickwire respond` with sessions to `tickwire lab exchange`: OUCH 4.2 and 5.0 over SoupBinTCP,
//! FIX 4.2 and 4.4. Connections that break on purpose, restarts. Over loopback, without privileges;
//! and with TCP in user space in private namespaces, which needs root and says so loudly where it
//! is missing.

mod common;

use common::{Folder, Running, command, run};
use serde_json::Value;
use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};
use tickwire_lab::{Lab, LabConfig, require_root};
use tickwire_market::{Ascii, Price, nanonet};
use tickwire_respond::format::order_number;

/// Orders before the restart, and again after it. `TICKWIRE_ORDERS` has another number.
const ORDERS: u64 = 2_500;
/// Orders before a process is killed.
const KILLED_ORDERS: u64 = 600;
/// Nothing in these tests takes longer.
const PATIENCE: Duration = Duration::from_secs(45);

struct Session {
    format: &'static str,
    settings: &'static str,
}

const SESSIONS: [Session; 4] = [
    Session { format: "ouch42", settings: "login = { username = \"me\", password = \"secret\" }" },
    Session { format: "ouch50", settings: "login = { username = \"me\", password = \"secret\" }" },
    Session {
        format: "fix42",
        settings: "fix = { sender_comp_id = \"US\", target_comp_id = \"THEM\" }",
    },
    Session {
        format: "fix44",
        settings: "fix = { sender_comp_id = \"US\", target_comp_id = \"THEM\" }",
    },
];

/// Where the two sides of a session are, which says whose TCP ours is spoken with.
enum Place {
    /// Both on the loopback: the kernel's.
    Loopback,
    /// Each in a namespace, the exchange on the left: our own.
    Lab(Box<Lab>),
}

impl Place {
    fn lab() -> Place {
        let lab = Lab::veth(LabConfig { ipv6: false, ..LabConfig::default() }).expect("a lab");
        lab.wait_quiet().expect("links that are up");
        Place::Lab(Box::new(lab))
    }

    fn start_exchange(&self, mut command: Command) -> Running {
        match self {
            Place::Loopback => Running::start(&mut command),
            Place::Lab(lab) => Running::of(lab.left.spawn(command).expect("the binary starts")),
        }
    }

    fn exchange_ip(&self) -> Ipv4Addr {
        match self {
            Place::Loopback => Ipv4Addr::LOCALHOST,
            Place::Lab(lab) => lab.left.ipv4(),
        }
    }

    /// Where ticks go.
    fn feed(&self) -> SocketAddr {
        match self {
            Place::Loopback => (Ipv4Addr::LOCALHOST, free_port()).into(),
            Place::Lab(lab) => (lab.right.ipv4(), 8_080).into(),
        }
    }

    fn sender(&self) -> UdpSocket {
        let bind = || UdpSocket::bind((self.exchange_ip(), 0)).expect("a free port");
        match self {
            Place::Loopback => bind(),
            Place::Lab(lab) => lab.left.run(bind),
        }
    }

    fn orders(&self) -> u64 {
        match self {
            Place::Loopback => ORDERS,
            Place::Lab(_) => ORDERS / 2,
        }
    }

    fn stack(&self) -> &'static str {
        match self {
            Place::Loopback => "kernel",
            Place::Lab(_) => "user",
        }
    }

    fn respond(&self, config: &str, control: &str) -> Running {
        let files = ["respond", "--summary", "json", "--config", config, "--control", control];
        let running = match self {
            Place::Loopback => {
                Running::start(&mut command(&[&files[..], &["--mode", "udp"]].concat()))
            }
            Place::Lab(lab) => {
                let mode = ["--mode", "af_xdp", "-i", lab.right.name()];
                let command = command(&[&files[..], &mode].concat());
                Running::of(lab.right.spawn(command).expect("the binary starts"))
            }
        };
        running.wait_for("ready");
        running
    }
}

fn config(session: &Session, folder: &Folder, place: &Place, ends: [SocketAddr; 2]) -> String {
    let (Session { format, settings }, state) = (session, folder.file("state"));
    let ([feed, exchange], stack) = (ends, place.stack());
    let audit = folder.file("audit");
    format!(
        "state = \"{state}\"\n\
         audit = {{ path = \"{audit}\" }}\n\
         [[feed]]\nname = \"ticks\"\nprotocol = \"nanonet\"\nlisten = \"{feed}\"\n\
         [[target]]\nname = \"exchange\"\nformat = \"{format}\"\naddress = \"{exchange}\"\n\
         stack = \"{stack}\"\n{settings}\n\
         [[instrument]]\nsymbol = \"AAPL\"\ntick = \"0.01\"\n\
         [[rule]]\nname = \"below\"\nfeed = \"ticks\"\nwhen = \"price < 100.00\"\n\
         order = {{ target = \"exchange\", side = \"buy\", quantity = \"100\", \
         price = \"price + 1 tick\" }}\n\
         [limits]\nquantity = 100\nnotional = \"10000.00\"\norders_per_s = 100000\n\
         in_flight = 4000\nposition = 100000000\nfeed_age_ms = 1000\n"
    )
}

struct Exchange {
    running: Running,
    address: SocketAddr,
}

impl Exchange {
    fn start(place: &Place, format: &str, orders: &str, faults: &[&str]) -> Exchange {
        let listen = format!("{}:0", place.exchange_ip());
        let base = ["lab", "exchange", "--listen", &listen, "--format", format];
        let all = [&base[..], &["--orders", orders], faults].concat();
        let running = place.start_exchange(command(&all));
        running.wait_for("; ^C stops");
        let said = running.said();
        let address = said.split(" at ").nth(1).and_then(|rest| rest.split(' ').next());
        let address = address.expect("an address").parse().expect("one of a port");
        Exchange { running, address }
    }
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.local_addr().expect("bound").port()
}

fn status(control: &str) -> Value {
    run(&["ctl", "--control", control, "respond", "status", "--json"]).expect_code(0).summary()
}

fn wait_ready(control: &str) {
    let until = Instant::now() + PATIENCE;
    while status(control)["targets"][0]["ready"] != true {
        assert!(Instant::now() < until, "not logged in: {}", status(control));
        std::thread::sleep(Duration::from_millis(20));
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

/// Numbers of the orders that the exchange took.
fn accepted(orders: &str) -> Vec<u64> {
    let text = std::fs::read_to_string(orders).expect("the orders");
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let number = |line: Value| {
        let id = line["client_order_id"].as_str().expect("an id").trim().to_owned();
        order_number(id.as_bytes()).unwrap_or_else(|| panic!("{id} is none of ours"))
    };
    lines.filter(|line| line["answer"] == "accepted").map(number).collect()
}

/// Sends ticks until the responder has sent so many orders; those that were refused while there was
/// no connection are sent again, as ticks of their own.
fn send(control: &str, socket: &UdpSocket, feed: SocketAddr, first: &mut u64, orders: u64) {
    let until = Instant::now() + PATIENCE;
    loop {
        let sent = status(control)["responses_sent"].as_u64().expect("a count");
        if sent >= orders {
            return;
        }
        assert!(Instant::now() < until, "too slow: {}", status(control));
        for _ in 0..(orders - sent).min(200) {
            socket.send_to(&tick(*first), feed).expect("sent");
            *first += 1;
            if first.is_multiple_of(20) {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

/// Waits until it is known of every order what became of it.
fn settle(control: &str) {
    let until = Instant::now() + PATIENCE;
    loop {
        let stats = run(&["ctl", "--control", control, "respond", "stats", "--json"]);
        let stats = stats.expect_code(0).summary();
        let positions = stats["positions"].as_array().expect("a list");
        if positions.iter().all(|one| one["open_buy"] == 0) {
            return;
        }
        assert!(Instant::now() < until, "not settled: {stats}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Each order that the log has arrived once, or is named in it as one that did not; in spite of
/// `faults` and a restart.
fn each_order_once(session: &Session, place: &Place, faults: &[&str]) {
    let name = format!("respond-{}-{}{}", session.format, place.stack(), faults.concat());
    let folder = Folder::new(&name.replace([' ', '%'], ""));
    let (orders, control) = (folder.file("orders"), folder.file("control"));
    let all = [&["--fill", "100%"], faults].concat();
    let exchange = Exchange::start(place, session.format, &orders, &all);
    let (feed, socket) = (place.feed(), place.sender());
    let file = folder.file("config");
    std::fs::write(&file, config(session, &folder, place, [feed, exchange.address]))
        .expect("a file");
    let wanted = std::env::var("TICKWIRE_ORDERS").map(|text| text.parse().expect("a number"));
    let wanted = wanted.unwrap_or(place.orders());
    let (mut next, mut sent) = (0, 0);
    for _ in 0..2 {
        let running = place.respond(&file, &control);
        wait_ready(&control);
        send(&control, &socket, feed, &mut next, wanted);
        settle(&control);
        let summary = running.stop();
        assert_eq!(summary["difference"], 0, "{summary}");
        sent += summary["responses_sent"].as_u64().expect("a count");
    }
    let summary = exchange.running.stop();
    let errors = ["duplicates", "sequence_errors", "bad_orders", "protocol_errors", "errors"];
    assert!(errors.iter().all(|name| summary[name] == 0), "{summary}");
    assert!(faults.is_empty() || summary["cuts"].as_u64() > Some(2), "{summary}");
    let taken = accepted(&orders);
    let unique: HashSet<u64> = taken.iter().copied().collect();
    assert_eq!(unique.len(), taken.len(), "an order twice");
    let log = run(&["respond", "audit", &folder.file("audit"), "--json"]).expect_code(0);
    let (mut ordered, mut unsent) = (HashSet::new(), HashSet::new());
    for line in log.text().lines() {
        let entry: Value = serde_json::from_str(line).expect("JSON");
        match entry["what"].as_str() {
            Some("ordered") => _ = ordered.insert(entry["order"].as_u64().expect("a number")),
            Some("unsent") => _ = unsent.insert(entry["order"].as_u64().expect("a number")),
            _ => {}
        }
    }
    assert_eq!(ordered.len() as u64, sent, "the log has every order");
    let both = unique.intersection(&unsent).count();
    assert_eq!(both, 0, "{both} orders arrived that were called unsent");
    let lost = ordered.difference(&unique).filter(|number| !unsent.contains(number)).count();
    assert_eq!(lost, 0, "{lost} of {} orders are neither there nor named", ordered.len());
    assert!(!faults.is_empty() || unsent.is_empty(), "{} unsent", unsent.len());
}

#[test]
fn ouch_42_orders_arrive_once() {
    each_order_once(&SESSIONS[0], &Place::Loopback, &[]);
    each_order_once(&SESSIONS[0], &Place::Loopback, &["--disconnect-every", "300"]);
}

#[test]
fn ouch_50_orders_arrive_once() {
    each_order_once(&SESSIONS[1], &Place::Loopback, &[]);
    each_order_once(&SESSIONS[1], &Place::Loopback, &["--disconnect-every", "300"]);
}

#[test]
fn fix_42_orders_arrive_once() {
    each_order_once(&SESSIONS[2], &Place::Loopback, &[]);
    each_order_once(&SESSIONS[2], &Place::Loopback, &["--disconnect-every", "300"]);
}

#[test]
fn fix_44_orders_arrive_once() {
    each_order_once(&SESSIONS[3], &Place::Loopback, &[]);
    each_order_once(&SESSIONS[3], &Place::Loopback, &["--disconnect-every", "300"]);
}

#[test]
fn ouch_42_orders_arrive_once_over_tcp_in_user_space() {
    require_root!("ouch_42_orders_arrive_once_over_tcp_in_user_space");
    each_order_once(&SESSIONS[0], &Place::lab(), &[]);
    each_order_once(&SESSIONS[0], &Place::lab(), &["--disconnect-every", "300"]);
}

#[test]
fn ouch_50_orders_arrive_once_over_tcp_in_user_space() {
    require_root!("ouch_50_orders_arrive_once_over_tcp_in_user_space");
    each_order_once(&SESSIONS[1], &Place::lab(), &[]);
    each_order_once(&SESSIONS[1], &Place::lab(), &["--disconnect-every", "300"]);
}

#[test]
fn fix_42_orders_arrive_once_over_tcp_in_user_space() {
    require_root!("fix_42_orders_arrive_once_over_tcp_in_user_space");
    each_order_once(&SESSIONS[2], &Place::lab(), &[]);
    each_order_once(&SESSIONS[2], &Place::lab(), &["--disconnect-every", "300"]);
}

#[test]
fn fix_44_orders_arrive_once_over_tcp_in_user_space() {
    require_root!("fix_44_orders_arrive_once_over_tcp_in_user_space");
    each_order_once(&SESSIONS[3], &Place::lab(), &[]);
    each_order_once(&SESSIONS[3], &Place::lab(), &["--disconnect-every", "300"]);
}

/// Gaps and positions are reset by their names, positions only while nothing is sent; all of it is
/// in the log. The settings in force are what the file says.
#[test]
fn what_a_person_knows_better_is_reset_by_name() {
    let folder = Folder::new("respond-reset");
    let control = folder.file("control");
    let place = Place::Loopback;
    let exchange = Exchange::start(&place, "fix42", &folder.file("orders"), &[]);
    let (feed, socket, file) = (place.feed(), place.sender(), folder.file("config"));
    let text = config(&SESSIONS[2], &folder, &place, [feed, exchange.address]);
    std::fs::write(&file, &text).expect("a file");
    let running = place.respond(&file, &control);
    wait_ready(&control);
    let ctl = |args: &[&str]| run(&[&["ctl", "--control", &control, "respond"], args].concat());
    let mut next = 0;
    send(&control, &socket, feed, &mut next, 2);
    let stats = || ctl(&["stats", "--json"]).expect_code(0).summary();
    let until = Instant::now() + PATIENCE;
    while status(&control)["feeds"][0]["messages"] != next {
        assert!(Instant::now() < until, "{next} messages, and {}", status(&control));
    }
    assert_eq!(stats()["positions"][0]["open_buy"], 100 * next);
    assert_eq!(status(&control)["feeds"][0]["stale"], false);

    ctl(&["reset", "--positions"]).expect_message(1, &["orders may be sent", "respond disable"]);
    assert_ne!(stats()["positions"], serde_json::json!([]));
    ctl(&["disable"]).expect_code(0);
    ctl(&["reset", "--positions"]).expect_code(0);
    assert_eq!(stats()["positions"], serde_json::json!([]));
    ctl(&["enable"]).expect_code(0);
    let reset = ctl(&["reset", "--gaps", "--json"]).expect_code(0).summary();
    assert_eq!((&reset["feeds"][0]["messages"], &reset["enabled"]), (&0.into(), &true.into()));

    let shown = ctl(&["config"]).expect_code(0);
    let settings: toml::Table = text.parse().expect("TOML");
    assert_eq!(shown.text().parse(), Ok(settings.clone()));
    let object = ctl(&["config", "--json"]).expect_code(0).summary();
    assert_eq!(object, serde_json::to_value(&settings).expect("JSON"));

    running.stop();
    exchange.running.stop();
    let log = run(&["respond", "audit", &folder.file("audit"), "--json"]).expect_code(0);
    for mark in ["disabled", "positions_reset", "enabled", "gaps_reset"] {
        assert!(log.text().contains(&format!("\"{mark}\"")), "no {mark} in {}", log.text());
    }
}

/// The process is killed while the exchange has orders that it has said nothing of. The next one
/// finds out what became of each: what is held is what was executed, to the share.
fn nothing_is_lost_with_the_process(session: &Session, place: &Place) {
    let Session { format, settings } = session;
    let name = format!("respond-killed-{format}-{}-{}", place.stack(), settings.len());
    let folder = Folder::new(&name);
    let (orders, control) = (folder.file("orders"), folder.file("control"));
    let silent = (KILLED_ORDERS / 2).to_string();
    let faults = ["--fill", "100%", "--silent-after", &silent];
    let exchange = Exchange::start(place, format, &orders, &faults);
    let (feed, socket, file) = (place.feed(), place.sender(), folder.file("config"));
    let text = config(session, &folder, place, [feed, exchange.address]);
    std::fs::write(&file, text).expect("a file");
    let running = place.respond(&file, &control);
    wait_ready(&control);
    let mut next = 0;
    send(&control, &socket, feed, &mut next, KILLED_ORDERS);
    running.signal(rustix::process::Signal::KILL);
    running.finish();
    let _ = std::fs::remove_file(&control);

    let running = place.respond(&file, &control);
    wait_ready(&control);
    settle(&control);
    send(&control, &socket, feed, &mut next, 50);
    settle(&control);
    let stats = run(&["ctl", "--control", &control, "respond", "stats", "--json"]);
    let held = stats.expect_code(0).summary()["positions"][0]["net"].clone();
    running.stop();
    let summary = exchange.running.stop();
    let taken = accepted(&orders).len() as u64;
    assert!(taken >= KILLED_ORDERS / 2 + 50, "{taken} orders");
    assert_eq!(held, 100 * taken);
    let errors = ["duplicates", "sequence_errors", "bad_orders", "protocol_errors", "errors"];
    assert!(errors.iter().all(|name| summary[name] == 0), "{summary}");
    let asked = summary["status_requests"].as_u64().expect("a count");
    assert_eq!(asked > 0, format.starts_with("fix"), "{summary}");
}

#[test]
fn nothing_is_lost_with_the_process_of_an_ouch_session() {
    nothing_is_lost_with_the_process(&SESSIONS[0], &Place::Loopback);
    nothing_is_lost_with_the_process(&SESSIONS[1], &Place::Loopback);
}

#[test]
fn nothing_is_lost_with_the_process_of_a_fix_session() {
    nothing_is_lost_with_the_process(&SESSIONS[2], &Place::Loopback);
    nothing_is_lost_with_the_process(&SESSIONS[3], &Place::Loopback);
    let settings = "fix = { sender_comp_id = \"US\", target_comp_id = \"THEM\", \
                    reset_on_logon = true }";
    for format in ["fix42", "fix44"] {
        nothing_is_lost_with_the_process(&Session { format, settings }, &Place::Loopback);
    }
}

/// Nobody tells the exchange that the process is gone: its end of the connection stays open.
#[test]
fn nothing_is_lost_with_the_process_and_its_stack() {
    require_root!("nothing_is_lost_with_the_process_and_its_stack");
    for session in [&SESSIONS[1], &SESSIONS[3]] {
        nothing_is_lost_with_the_process(session, &Place::lab());
    }
}
