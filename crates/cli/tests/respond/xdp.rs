//! Mode `xdp`: what is its own. (What it has in common with the other modes is tested with them.)

use super::*;
use rustix::process::Signal;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use tickwire_capture::bpf::{Words, pins};
use tickwire_capture::netdev;
use tickwire_lab::Offload;

/// The bytes of an order that are not the same in every run: its time and its number.
const CHANGING: std::ops::Range<usize> = 17..41;
/// No order comes any more when none has come for so long.
const SILENCE: Duration = Duration::from_millis(100);

/// A configuration in a lab.
pub struct Rig {
    pub lab: Lab,
    pub folder: Folder,
    pub run: Run,
    pub config: String,
    pub control: String,
}

impl Rig {
    /// As many orders as it takes.
    pub fn new(test: &str) -> Rig {
        let run = Run { mode: "xdp", big: false, multicast: false, over: Over::Udp };
        let (lab, folder) = (lab(), Folder::new(&format!("respond-xdp-{test}")));
        let (config, control) = (folder.file("config"), folder.file("control"));
        std::fs::write(&config, unlimited(&run.config(&lab, &folder))).expect("a file");
        Rig { lab, folder, run, config, control }
    }

    pub fn start(&self, mode: &str) -> Running {
        let _ = std::fs::remove_file(&self.control);
        start(&self.lab, &self.config, &self.control, mode)
    }

    pub fn ends(&self) -> (Sender, Sink) {
        (Sender::open(&self.lab, &self.run), Sink::open(&self.lab, &self.run))
    }

    /// Where the words of a run have their name, as the state file says it.
    fn pin(&self) -> PathBuf {
        let state = std::fs::canonicalize(self.folder.file("state")).expect("a state file");
        let fnv = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        let hash = state.as_os_str().as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, fnv);
        pins::folder().expect("a file system of eBPF").join(format!("respond-{hash:016x}"))
    }

    /// Whether a program is attached where the feed comes in.
    fn is_attached(&self) -> bool {
        let index = self.lab.right.index().expect("an interface");
        self.lab.right.run(|| netdev::xdp_attached(index)).expect("netlink answers").is_some()
    }

    /// Sends ticks, one after the other, until one is answered: its number, and the order.
    fn until_answered(&self, sender: &mut Sender, sink: &mut Sink, first: u64) -> (u64, Vec<u8>) {
        let until = Instant::now() + ARRIVAL;
        for number in first.. {
            sender.send(&self.run.tick(number, 9_999));
            if let Some(order) = sink.next(SILENCE) {
                return (number, order);
            }
            assert!(Instant::now() < until, "no order: {}", status(&self.control));
        }
        unreachable!("there are more numbers")
    }
}

/// What a test that failed has left in the kernel goes with its folder.
impl Drop for Rig {
    fn drop(&mut self) {
        if Path::new(&self.folder.file("state")).exists() {
            let _ = std::fs::remove_file(self.pin());
        }
    }
}

/// The orders of the documented run in mode `xdp` are those of mode `af_xdp`, byte by byte.
fn the_same_orders(big: bool, multicast: bool) {
    let [kernel, user] = ["xdp", "af_xdp"].map(|mode| {
        let mut orders = documented(Run { mode, big, multicast, over: Over::Udp });
        orders.iter_mut().for_each(|order| order[CHANGING].fill(0));
        orders
    });
    assert_eq!(kernel.len(), TICKS as usize);
    assert!(kernel == user);
}

#[test]
fn the_documented_run_in_the_kernel() {
    require_root!("the_documented_run_in_the_kernel");
    the_same_orders(false, true);
}

#[test]
fn the_documented_run_in_the_kernel_the_other_order_of_bytes() {
    require_root!("the_documented_run_in_the_kernel_the_other_order_of_bytes");
    the_same_orders(true, false);
}

/// A rule that leaves over TCP trades beside one in the kernel, on the same feed.
#[test]
fn rules_in_the_kernel_and_in_user_space_trade_side_by_side() {
    require_root!("rules_in_the_kernel_and_in_user_space_trade_side_by_side");
    const SESSION_PORT: u16 = 9_997;
    let rig = Rig::new("mixed");
    let more = format!(
        "[[target]]\nname = \"session\"\nformat = \"nanonet\"\ntransport = \"tcp\"\n\
             address = \"{}:{SESSION_PORT}\"\n\
             [[instrument]]\nsymbol = \"MSFT\"\ntick = \"0.01\"\n\
             [[rule]]\nname = \"over-tcp\"\nfeed = \"ticks\"\ninstruments = [\"MSFT\"]\n\
             when = \"price < 100.00\"\norder = {{ target = \"session\", side = \"sell\", \
             quantity = \"7\", price = \"price\" }}\n",
        rig.lab.left.ipv4()
    );
    let log = rig.folder.file("audit");
    let config = rig.run.config(&rig.lab, &rig.folder) + &more;
    let config = format!("audit = {{ path = \"{log}\" }}\n{config}");
    std::fs::write(&rig.config, config).expect("a file");
    let explained = run(&["respond", "explain", &rig.config]).expect_code(0);
    let modes: Vec<&str> = explained
        .text()
        .lines()
        .filter(|line| line.contains("mode xdp") || line.contains("user space"))
        .collect();
    assert_eq!(modes, ["  mode xdp", "  user space: its orders leave over TCP"]);
    let listener = || TcpListener::bind((rig.lab.left.ipv4(), SESSION_PORT)).expect("a port");
    let mut session = Sink::Tcp(rig.lab.left.run(listener), None);
    let (mut sender, mut sink) = rig.ends();
    let running = rig.start("xdp");
    running.wait_for("2 rules (1 in the kernel, 1 in user space)");
    let until = Instant::now() + ARRIVAL;
    while status(&rig.control)["targets"][1]["ready"] != true {
        assert!(Instant::now() < until, "not connected: {}", status(&rig.control));
    }
    for number in 0..20 {
        let mut tick = rig.run.tick(number, 9_999);
        sender.send(&tick);
        let order = rig.run.read(&sink.next(ARRIVAL).expect("an order"));
        assert_eq!((order.0.as_str(), order.1, order.2), ("AAPL", 10_000, 100));
        tick[..8].copy_from_slice(b"MSFT    ");
        sender.send(&tick);
        let order = rig.run.read(&session.next(ARRIVAL).expect("an order"));
        assert_eq!((order.0.as_str(), order.1, order.2), ("MSFT", 9_999, 7));
    }
    let now = status(&rig.control);
    assert_eq!((&now["packets_processed"], &now["responses_sent"]), (&40.into(), &40.into()));
    assert_eq!((&now["kernel"]["orders"], &now["feeds"][0]["messages"]), (&20.into(), &40.into()));
    assert_eq!((&now["targets"][0]["way"], &now["mode"]), (&"xdp".into(), &"xdp".into()));
    let (_, metrics) = ask(&rig.control, "GET /metrics", "");
    for line in ["tickwire_respond_orders_total 40\n", "tickwire_respond_kernel_orders_total 20\n"]
    {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    let stats = ctl(&rig.control, &["stats", "--json"]).expect_code(0).summary();
    for (rule, net) in [(0, 2_000), (1, -140)] {
        let (tally, position) = (&stats["rules"][rule], &stats["positions"][rule]);
        assert_eq!((&tally["orders"], &position["net"]), (&20.into(), &net.into()), "{stats}");
    }
    let peers = ctl(&rig.control, &["connections", "--json"]).expect_code(0).summary();
    assert_eq!(peers["connections"][1]["packets"], 40, "{peers}");
    running.stop();
    // The log has what both sides decided, and knows whose order each was.
    let log = run(&["respond", "audit", "--json", &log]).expect_code(0);
    let orders = log.text().lines().filter(|line| line.contains("\"ordered\""));
    let orders: Vec<Value> = orders.map(|line| line.parse().expect("JSON")).collect();
    let of_kernel = orders.iter().filter(|order| order["rule"] == "below-100").count();
    assert_eq!((orders.len(), of_kernel), (40, 20), "{orders:?}");
}

#[test]
fn what_the_kernel_cannot_run_is_refused_with_the_reason() {
    let (folder, example) = (Folder::new("respond-xdp-refused"), example());
    let check = |(from, to): (&str, &str), flags: &[&str]| {
        assert!(example.contains(from), "{from}");
        let file = folder.with("config", example.replace(from, to).as_bytes());
        run(&[&["respond", "-i", "lo", "--config", &file, "--check"], flags].concat())
    };
    let (same, xdp) = (("[limits]", "[limits]"), ["--mode", "xdp"]);
    let ran = check(same, &xdp).expect_code(0);
    assert!(ran.stderr.contains("(1 in the kernel, 0 in user space)"), "{}", ran.stderr);
    let ran = check(same, &[]).expect_code(0);
    assert!(ran.stderr.contains("(1 could run in the kernel: --mode xdp)"), "{}", ran.stderr);
    check(("\"udp\"               # or", "\"tcp\"               # or"), &xdp)
        .expect_message(1, &["rule \"below-100\": its orders leave over TCP", "--mode af_xdp"]);
    check(("[limits]", "[xdp]\nlease_ms = 9\n[limits]"), &xdp)
        .expect_message(1, &["line", "lease_ms = 9", "10 to 10000"]);
    check(same, &["--lease-ms", "50"]).expect_message(2, &["--lease-ms", "--mode xdp"]);
    run(&["respond", "--lease-ms", "10001"]).expect_message(2, &["10 to 10000"]);
}

/// When the process stops, no order is written after its lease; when it goes on, so does trading.
#[test]
fn a_process_that_hangs_does_not_trade() {
    require_root!("a_process_that_hangs_does_not_trade");
    const LEASE_NS: u64 = 100_000_000;
    let rig = Rig::new("lease");
    let (mut sender, mut sink) = rig.ends();
    let running = rig.start("xdp");
    let (mut number, _) = rig.until_answered(&mut sender, &mut sink, 0);
    running.signal(Signal::STOP);
    let stat = format!("/proc/{}/stat", running.child.id());
    let until = Instant::now() + ARRIVAL;
    while !std::fs::read_to_string(&stat).expect("it is there").contains(") T ") {
        assert!(Instant::now() < until, "it does not stop");
    }
    let stopped_ns = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos();
    let last_ns = stopped_ns as u64 + LEASE_NS;
    let (mut written, began) = (Vec::new(), Instant::now());
    while began.elapsed() < Duration::from_millis(400) {
        number += 1;
        sender.send(&rig.run.tick(number, 9_999));
        if let Some(order) = sink.next(Duration::from_millis(1)) {
            let order = nanonet::little::Order::parse(&order).expect("an order").timestamp();
            written.push(order);
        }
    }
    // The kernel's clock is as near to ours as two looks at it.
    let late = written.iter().filter(|at_ns| **at_ns > last_ns + 1_000_000).count();
    assert_eq!(late, 0, "{written:?} after {last_ns}");
    running.signal(Signal::CONT);
    rig.until_answered(&mut sender, &mut sink, number + 1);
    let now = status(&rig.control);
    assert!(now["refused"]["lease_expired"].as_u64() > Some(0), "{now}");
    assert!(now["kernel"]["lease_left_ms"].as_u64() > Some(0), "{now}");
    assert_eq!(now["kernel"]["lease_ms"], 100);
    running.stop();
}

/// What was answered outlives SIGKILL, whatever mode comes next; nothing of ours stays attached.
#[test]
fn sigkill_repeats_nothing_in_any_mode() {
    require_root!("sigkill_repeats_nothing_in_any_mode");
    const ANSWERED: u64 = 50;
    for next in ["xdp", "af_xdp", "udp"] {
        let rig = Rig::new(&format!("sigkill-{next}"));
        let (mut sender, mut sink) = rig.ends();
        let running = rig.start("xdp");
        let mut ids = HashSet::new();
        for number in 0..ANSWERED {
            sender.send(&rig.run.tick(number, 9_999));
            ids.insert(rig.run.read(&sink.next(ARRIVAL).expect("an order")).4);
        }
        assert!(rig.is_attached());
        running.signal(Signal::KILL);
        running.finish();
        let until = Instant::now() + ARRIVAL;
        while rig.is_attached() {
            assert!(Instant::now() < until, "the program outlived its process");
        }
        let running = rig.start(next);
        for number in 0..ANSWERED {
            sender.send(&rig.run.tick(number, 9_999));
        }
        assert_eq!(sink.next(SILENCE), None);
        let now = status(&rig.control);
        assert_eq!(now["refused"], serde_json::json!({ "duplicate_trigger": ANSWERED }), "{next}");
        // The second after the last order counts as full.
        let (last, order) = rig.until_answered(&mut sender, &mut sink, ANSWERED);
        ids.insert(rig.run.read(&order).4);
        assert_eq!(ids.len() as u64, ANSWERED + 1, "{next}");
        running.stop();
        // What ended in good order is in the file alone.
        let running = rig.start("udp");
        sender.send(&rig.run.tick(last, 9_999));
        assert_eq!(sink.next(SILENCE), None, "{next}");
        assert_eq!(status(&rig.control)["refused"], serde_json::json!({ "duplicate_trigger": 1 }));
        running.stop();
    }
}

/// The link of the feed goes down and comes back; then its interface is deleted and made again.
#[test]
fn a_link_that_goes_away_and_comes_back() {
    require_root!("a_link_that_goes_away_and_comes_back");
    let rig = Rig::new("link");
    let (mut sender, mut sink) = rig.ends();
    let running = rig.start("xdp");
    let (number, _) = rig.until_answered(&mut sender, &mut sink, 0);
    rig.lab.right.set_up(false).expect("down");
    let until = Instant::now() + ARRIVAL;
    while status(&rig.control)["targets"][0]["ready"] == true {
        assert!(Instant::now() < until, "{}", status(&rig.control));
    }
    rig.lab.right.set_up(true).expect("up");
    rig.lab.wait_running().expect("a link");
    let (number, _) = rig.until_answered(&mut sender, &mut sink, number + 1);
    rig.lab.delete_link().expect("deleted");
    running.wait_for("right0 is gone; waiting for it to come back");
    rig.lab.create_link().expect("created");
    running.wait_for("right0 is back");
    rig.until_answered(&mut sender, &mut sink, number + 1);
    assert!(status(&rig.control)["kernel"]["orders"].as_u64() > Some(2));
    running.stop();
}

/// A target behind another interface: orders are redirected there as soon as it takes such frames.
#[test]
fn orders_leave_by_another_interface() {
    require_root!("orders_leave_by_another_interface");
    let rig = Rig::new("branch");
    let (near, far) = rig.lab.branch().expect("another link");
    let gro = |on| far.set_offload(Offload::Gro, on).expect("GRO");
    gro(false);
    let config = std::fs::read_to_string(&rig.config).expect("a file");
    let (here, there) = (format!("{}:{ORDER_PORT}", rig.lab.left.ipv4()), far.ipv4());
    assert!(config.contains(&here));
    let config = config.replace(&here, &format!("{there}:{ORDER_PORT}"));
    std::fs::write(&rig.config, config).expect("a file");
    let mut sink = Sink::Udp(UdpReceiver::bind(&far, there, ORDER_PORT).expect("a port"));
    let mut sender = Sender::open(&rig.lab, &rig.run);
    let running = rig.start("xdp");
    running.wait_for("takes no frames that XDP programs redirect to it");
    sender.send(&rig.run.tick(0, 9_999));
    assert_eq!(sink.next(SILENCE), None);
    let now = status(&rig.control);
    assert_eq!(now["refused"], serde_json::json!({ "no_egress": 1 }), "{now}");
    assert_eq!(now["targets"][0]["unsent"], now["refused"], "{now}");
    assert_eq!((&now["errors"], &now["warnings"].as_array().map(Vec::len)), (&1.into(), &Some(1)));
    gro(true);
    let (number, _) = rig.until_answered(&mut sender, &mut sink, 1);
    for number in number + 1..number + 101 {
        sender.send(&rig.run.tick(number, 9_999));
        let order = rig.run.read(&sink.next(ARRIVAL).expect("an order"));
        assert_eq!((order.0.as_str(), order.1), ("AAPL", 10_000));
    }
    assert_eq!(status(&rig.control)["targets"][0]["way"], "xdp");
    near.set_up(false).expect("down");
    let until = Instant::now() + ARRIVAL;
    for number in number + 200.. {
        sender.send(&rig.run.tick(number, 9_999));
        if status(&rig.control)["refused"]["no_route"].as_u64() > Some(0) {
            break;
        }
        assert!(Instant::now() < until, "{}", status(&rig.control));
    }
    running.stop();
}

/// Without what a killed process has left in the kernel nothing is sent: nobody knows what was
/// answered.
#[test]
fn what_was_left_in_the_kernel_is_needed() {
    require_root!("what_was_left_in_the_kernel_is_needed");
    let rig = Rig::new("pin");
    let (mut sender, mut sink) = rig.ends();
    let running = rig.start("xdp");
    rig.until_answered(&mut sender, &mut sink, 0);
    assert!(rig.pin().exists());
    running.signal(Signal::KILL);
    running.finish();
    let refused = |mode: &str| {
        let args = ["respond", "-i", rig.lab.right.name(), "--config", &rig.config];
        let all = [&args[..], &["--mode", mode, "--duration", "1s"]].concat();
        let ran = Running::of(rig.lab.right.spawn(command(&all)).expect("it starts")).finish();
        ran.expect_message(1, &["cannot be read", "see at the exchange", "move both files away"]);
    };
    // Damaged, then gone.
    let words = Words::open(&rig.pin()).expect("they are there");
    let magic =
        words.words().iter().find(|word| word.load(Relaxed).to_le_bytes()[..5] == *b"twxdp");
    let magic = magic.expect("its mark");
    let was = magic.swap(7, Relaxed);
    refused("xdp");
    magic.store(was, Relaxed);
    let aside = rig.folder.file("state.aside");
    std::fs::copy(rig.folder.file("state"), &aside).expect("a copy");
    std::fs::remove_file(rig.pin()).expect("removed");
    refused("udp");
    // Another boot: nothing can be there any more, and the copy has to do.
    let mut bytes = std::fs::read(&aside).expect("a copy");
    let at = bytes.len() - 8;
    bytes[at] ^= 2;
    std::fs::write(rig.folder.file("state"), bytes).expect("a file");
    let running = rig.start("xdp");
    assert!(running.said().contains("the machine was restarted"), "{}", running.said());
    rig.until_answered(&mut sender, &mut sink, 100);
    running.stop();
    assert!(!rig.pin().exists());
}

/// When user space does not read what was decided, the kernel stops trading until somebody says
/// that it may go on.
#[test]
fn trading_stops_when_nobody_reads_what_was_decided() {
    require_root!("trading_stops_when_nobody_reads_what_was_decided");
    /// More than the ring holds.
    const RECORDS: usize = 16 * (1 << 20) / 80 + 20_000;
    let rig = Rig::new("ring");
    let config = std::fs::read_to_string(&rig.config).expect("a file");
    let config = config.replace("[limits]", "[xdp]\nlease_ms = 10000\n[limits]");
    std::fs::write(&rig.config, config).expect("a file");
    let (mut sender, mut sink) = rig.ends();
    let running = rig.start("xdp");
    let (number, _) = rig.until_answered(&mut sender, &mut sink, 0);
    let until = Instant::now() + ARRIVAL;
    while status(&rig.control)["kernel"]["stopped"] == false {
        assert!(Instant::now() < until, "{}", status(&rig.control));
        running.signal(Signal::STOP);
        for _ in 0..RECORDS {
            // Answered: refused each time, and said each time.
            sender.send(&rig.run.tick(number, 9_999));
        }
        running.signal(Signal::CONT);
    }
    running.wait_for("found no room, so responding was switched off");
    let now = status(&rig.control);
    assert_eq!((&now["enabled"], &now["responses_sent"]), (&false.into(), &1.into()), "{now}");
    assert!(now["kernel"]["lost_records"].as_u64() > Some(0), "{now}");
    assert_eq!(now["warnings"].as_array().map(Vec::len), Some(2), "{now}");
    sender.send(&rig.run.tick(number + 1, 9_999));
    assert_eq!(sink.next(SILENCE), None);
    ctl(&rig.control, &["enable"]).expect_code(0);
    rig.until_answered(&mut sender, &mut sink, number + 1);
    assert_eq!(status(&rig.control)["kernel"]["stopped"], false);
    running.stop();
}
