//! Filters as people and scripts use them: `tickwire filter`, and filters of a capture.
//!
//! What needs root, `tcpdump` or the corpus says loudly when that is missing.

mod common;

use common::{Folder, Ran, Running, command, pcap, pcap_of, run, udp_frame};
use rustix::process::Signal;
use serde_json::json;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tickwire_capture::Port;
use tickwire_capture::af_packet::{AfPacket, AfPacketConfig};
use tickwire_lab::{Lab, LabConfig, Numbered, Schedule, UdpReceiver, require_root, send_udp};

/// Expressions of which libpcap makes only one program, whatever its version.
const SIMPLE: &[&str] = &[
    "",
    "ip",
    "arp",
    "ip6",
    "not arp",
    "less 100",
    "greater 100",
    "len > 100",
    "ether proto 0x88f7",
    "ip proto 17",
    "ip[0] & 0xf > 5",
    "ether host 1:2:3:4:5:6",
];

/// What tcpdump counts, we count.
const EXPRESSIONS: &[&str] = &[
    "ip",
    "tcp",
    "udp port 53",
    "not tcp",
    "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
    "portrange 1-1023",
    "host 10.0.0.1 or net 192.168.0.0/16",
    "icmp or arp",
    "ip6 and udp",
    "vlan and ip",
    "multicast",
    "greater 100 and not port 80",
    "ip[6:2] & 0x1fff != 0",
];

/// Whether tcpdump can be run; says so when it cannot.
fn has_tcpdump(test: &str) -> bool {
    let has = Command::new("tcpdump").arg("--version").output().is_ok();
    if !has {
        eprintln!("SKIPPED: {test}: tcpdump is not installed");
    }
    has
}

fn dump(args: &[&str]) -> String {
    let args = [&["filter", "dump"], args].concat();
    run(&args).expect_code(0).text().to_owned()
}

#[test]
fn a_listing_is_as_tcpdump_prints_it() {
    let folder = Folder::new("listing");
    let file = folder.with("a.pcap", &pcap_of(1));
    let has_tcpdump = has_tcpdump("a_listing_is_as_tcpdump_prints_it");
    for expression in SIMPLE {
        for form in ["-d", "-dd", "-ddd"] {
            let ours = dump(&[form, "--snaplen", "65535", expression]);
            if !has_tcpdump {
                continue;
            }
            let mut tcpdump = Command::new("tcpdump");
            let out = tcpdump.args(["-r", &file, form, expression]).output().expect("it runs");
            let theirs = String::from_utf8(out.stdout).expect("text");
            // The snap length is that of the file.
            assert_eq!(without_snaplen(&ours), without_snaplen(&theirs), "{form} {expression}");
        }
    }
}

/// The same text, whatever an accepted packet returns.
fn without_snaplen(listing: &str) -> String {
    let lines = listing.lines().map(|line| {
        let returns = ["ret ", "{ 0x6,", "6 0 0"].iter().any(|word| line.contains(word));
        let rejects = line.ends_with(" 0") || line.contains("#0 ") || line.ends_with("#0");
        let rejects = rejects || line.contains("0x00000000 }");
        if returns && !rejects { "accept\n".to_owned() } else { format!("{line}\n") }
    });
    lines.collect()
}

#[test]
fn the_three_forms_are_tcpdumps() {
    assert_eq!(
        dump(&["ip"]),
        "(000) ldh      [12]\n(001) jeq      #0x800           jt 2\tjf 3\n\
         (002) ret      #262144\n(003) ret      #0\n"
    );
    assert_eq!(dump(&["-d", "ip"]), dump(&["--as", "classic", "ip"]));
    let c = "{ 0x28, 0, 0, 0x0000000c },\n{ 0x15, 0, 1, 0x00000800 },\n\
             { 0x6, 0, 0, 0x00000060 },\n{ 0x6, 0, 0, 0x00000000 },\n";
    assert_eq!(dump(&["-dd", "--snaplen", "96", "ip"]), c);
    assert_eq!(dump(&["-ddd", "ip"]), "4\n40 0 0 12\n21 0 1 2048\n6 0 0 262144\n6 0 0 0\n");
    assert_eq!(dump(&["--link-type", "RAW", "ip"]).lines().next(), Some("(000) ldb      [0]"));
    assert!(dump(&["-O", "ip and ip"]).lines().count() > dump(&["ip and ip"]).lines().count());
    let broadcast = dump(&["--netmask", "255.255.255.0", "ip broadcast"]);
    assert!(broadcast.contains("#0xff"), "{broadcast}");
    assert!(dump(&["--as", "ebpf", "ip"]).contains("exit"));
    assert!(dump(&["--as", "native", "ip"]).lines().count() > 5);
}

/// A MoldUDP64 payload with one ITCH order delete for each of `orders`.
fn deletes(orders: &[u64]) -> Vec<u8> {
    let mut payload = b"000010059B".to_vec();
    payload.extend(1000u64.to_be_bytes());
    payload.extend((orders.len() as u16).to_be_bytes());
    for order in orders {
        payload.extend([0, 19, b'D', 0, 7, 0, 0, 0, 0, 0, 0, 0, 1]);
        payload.extend(order.to_be_bytes());
    }
    payload
}

#[test]
fn fields_of_market_data_are_listed_explained_and_asked() {
    let listed = run(&["filter", "fields", "itch.sto"]).expect_code(0);
    let mut lines = listed.text().lines();
    assert!(lines.next().is_some_and(|line| line.starts_with("itch.stock_locate ")));
    assert!(lines.all(|line| line.starts_with("itch.stock") && line.contains("text of 8")));
    let error = run(&["filter", "fields", "fox"]).expect_code(1).stderr.clone();
    assert!(error.contains("itch, moldudp64"), "{error}");

    let frames = [deletes(&[5, 6]), deletes(&[7]), deletes(&[]), vec![0; 30]];
    let file = Folder::new("fields");
    let frames: Vec<Vec<u8>> = frames.iter().map(|payload| udp_frame(payload)).collect();
    let file = file.with("a.pcap", &pcap(&frames));
    let bound = |bindings: &[&str], text: &str| {
        let args = [&["filter", "test", "-r", file.as_str(), text], bindings].concat();
        let ran = run(&args).expect_code(0);
        ran.text().lines().map(|line| u8::from(line != "0")).collect::<Vec<_>>()
    };
    let verdicts = |text| bound(&[], text);
    assert_eq!(bound(&["--bind", "26400=itch50"], "itch.type == D"), [1, 1, 0, 0]);
    assert_eq!(bound(&["--bind", "239.9.9.9:26400=itch50"], "itch.type == D"), [0; 4]);
    run(&["filter", "explain", "--bind", "9=morse", "udp"])
        .expect_message(2, &["moldudp64, iextp"]);
    let bind = ["capture", "-r", &file, "--json", "itch.type == D", "--bind"];
    for (binding, packets) in [("26400=moldudp64", 2), ("26401=moldudp64", 0)] {
        let captured = run(&[&bind[..], &[binding]].concat()).expect_code(0);
        assert_eq!(captured.text().lines().count(), packets, "{binding}");
    }
    let lines = Folder::new("field-list");
    let list = lines.with("numbers.txt", b"7 # seven\n100..200\n");
    let words = format!("itch.order_reference_number in @{list}");
    assert_eq!(bound(&[], &words), [0, 1, 0, 0]);
    run(&["filter", "explain", &words]).expect_code(0);
    let feed = ["feed", "decode", "-r", &file, "itch.type == D", "--bind"];
    for (binding, messages) in [("26400=itch50", 3), ("26401=itch50", 0)] {
        let decoded = run(&[&feed[..], &[binding]].concat()).expect_code(0);
        assert_eq!(decoded.text().lines().count(), messages, "{binding}");
    }
    assert_eq!(verdicts("itch.type == \"D\" and itch.order_reference_number > 5"), [1, 1, 0, 0]);
    assert_eq!(verdicts("udp port 26400 and itch.order_reference_number in 0..5"), [1, 0, 0, 0]);
    assert_eq!(verdicts("all(itch.order_reference_number > 5)"), [0, 1, 0, 0]);
    assert_eq!(verdicts("moldudp64.session == 000010059B"), [1, 1, 1, 0]);
    assert_eq!(verdicts("not itch.type == D"), [0, 0, 1, 1]);
    let captured = run(&["capture", "-r", &file, "--json", "itch.order_reference_number == 7"]);
    assert_eq!(captured.expect_code(0).text().lines().count(), 1);

    let explained = run(&["filter", "explain", "udp and itch.stock == AAPL"]).expect_code(0);
    for part in ["├─ udp\n  └─ itch.stock == AAPL", "every message", "native ("] {
        assert!(explained.text().contains(part), "{part}: {}", explained.text());
    }
    let error = run(&["filter", "explain", "udp and itch.stok == AAPL"]).expect_code(1);
    let expected = "  udp and itch.stok == AAPL\n          ^^^^^^^^^";
    assert!(error.stderr.contains(expected), "{}", error.stderr);
    assert!(error.stderr.contains("did you mean 'itch.stock'?"), "{}", error.stderr);
}

#[test]
fn every_packet_gets_one_verdict() {
    let folder = Folder::new("verdicts");
    let file = folder.with("a.pcap", &pcap_of(200));
    let verdicts = |args: &[&str]| {
        let ran = run(&[&["filter", "test", "-r", &file], args].concat()).expect_code(0);
        ran.text().lines().map(|line| line.parse::<u32>().expect("a number")).collect::<Vec<_>>()
    };
    assert_eq!(verdicts(&["udp"]), [262_144; 200]);
    assert_eq!(verdicts(&["--snaplen", "96", "udp", "and", "ip"]), [96; 200]);
    // As libpcap does, the snap length of the file, where that is another.
    let mut bytes = pcap_of(2);
    bytes[16..20].copy_from_slice(&1500u32.to_le_bytes());
    let short_snap = folder.with("b.pcap", &bytes);
    let ran = run(&["filter", "test", "-r", &short_snap, "udp"]).expect_code(0);
    assert_eq!(ran.text(), "1500\n1500\n");
    assert_eq!(verdicts(&["arp"]), [0; 200]);
    assert_eq!(verdicts(&[]), [262_144; 200]);
    // Packet n carries n % 100 bytes behind 42 of headers.
    let short = verdicts(&["less", "91"]);
    assert_eq!(short.iter().filter(|&&verdict| verdict > 0).count(), 100);
    // In front of the words, and from a file with a comment.
    let filter = folder.with("f", b"udp # the feed\n and len < 92\n");
    assert_eq!(verdicts(&["-F", &filter]), short);
}

#[test]
fn explain_shows_the_tree_the_program_and_what_is_easily_mistaken() {
    let ran = run(&["filter", "explain", "not vlan and tcp port 80 or 81"]).expect_code(0);
    for words in [
        "link type   EN10MB",
        "  or\n  ├─ and\n  │  ├─ not\n  │  │  └─ vlan\n  │  └─ tcp port 80\n  └─ tcp port 81\n",
        "[12:2] Equal 0x8100",
        "af_packet   kernel: classic BPF",
        "af_xdp      kernel: eBPF in XDP",
        "user space  ",
        "beware",
        "scoped encapsulation",
    ] {
        assert!(ran.text().contains(words), "no '{words}' in {}", ran.text());
    }
    let scoped = run(&["filter", "explain", "--scoped", "not vlan and ip"]).expect_code(0);
    assert!(!scoped.text().contains("beware"), "{}", scoped.text());
    let plain = run(&["filter", "explain", "udp"]).expect_code(0);
    assert!(!plain.text().contains("beware"), "{}", plain.text());
    let live = run(&["filter", "explain", "outbound and udp"]).expect_code(0);
    // Its lines are as long as a terminal is wide.
    let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in ["nowhere", "in part (XDP does not know", "interpreter (only it"] {
        assert!(flat(live.text()).contains(words), "no '{words}' in {}", live.text());
    }
    let looped = run(&["filter", "explain", "ip6 protochain 6"]).expect_code(0);
    assert!(flat(looped.text()).contains("in part (it loops"), "{}", looped.text());
    let field = run(&["filter", "explain", "itch.stock == AAPL and udp port 26477"]).expect_code(0);
    for words in [
        "classic BPF cannot loop): what it cannot decide passes",
        "in part (it looks at every message of a packet, XDP at up to 16)",
        "search (\"AAPL \"), native",
    ] {
        assert!(flat(field.text()).contains(words), "no '{words}' in {}", field.text());
    }
}

#[test]
fn a_capture_keeps_what_the_filter_selects() {
    let folder = Folder::new("selects");
    let file = folder.with("a.pcap", &pcap_of(500));
    let summary = |args: &[&str]| {
        let all = [&["capture", "-r", &file, "-q", "--summary", "json"], args].concat();
        run(&all).expect_code(0).summary()
    };
    let some = summary(&["less", "91"]);
    assert_eq!((&some["received"], &some["selected"]), (&json!(500), &json!(250)), "{some}");
    assert_eq!(some["discarded"], json!({"not_selected": 250}), "{some}");
    assert_eq!((&some["delivered"], &some["difference"]), (&json!(250), &json!(0)));
    let none = summary(&["arp"]);
    assert_eq!((&none["selected"], &none["received"]), (&json!(0), &json!(500)), "{none}");
    let counted = summary(&["-c", "60", "less 91"]);
    assert_eq!(counted["selected"], 60, "{counted}");
    assert_eq!(counted["difference"], 0, "{counted}");

    // A filter sees packets whole, whatever -s keeps of them.
    let cut = summary(&["-s", "20", "udp"]);
    assert_eq!(cut["selected"], 500, "{cut}");
    let copy = folder.file("b.pcap");
    run(&["capture", "-r", &file, "-w", &copy, "less", "91"]).expect_code(0);
    let read = run(&["capture", "-r", &copy, "-q", "--summary", "json"]).expect_code(0).summary();
    assert_eq!(read["received"], 250);
}

#[test]
fn captures_of_the_corpus_are_selected_as_tcpdump_does() {
    let test = "captures_of_the_corpus_are_selected_as_tcpdump_does";
    let Some(corpus) = std::env::var_os("TICKWIRE_CORPUS").map(PathBuf::from) else {
        eprintln!("SKIPPED: {test}: TICKWIRE_CORPUS is not set");
        return;
    };
    if !has_tcpdump(test) {
        return;
    }
    let folder = corpus.join("tcpdump");
    let mut compared = 0;
    for name in [
        "QinQpcap.pcap",
        "bgp-addpath.pcap",
        "dns_udp.pcap",
        "mptcp.pcap",
        "dhcpv6-mud.pcap",
        "print-flags.pcap",
        "icmpv6.pcap",
    ] {
        let Some(path) = find(&folder, name) else { continue };
        for expression in EXPRESSIONS {
            let mut tcpdump = Command::new("tcpdump");
            let out = tcpdump.args(["-n", "-t", "-q", "-w", "-", "-r", &path, expression]).output();
            let out = out.expect("tcpdump runs");
            if !out.status.success() {
                continue;
            }
            let theirs = records_in(&out.stdout);
            let ours = run(&["filter", "test", "-r", &path, expression]).expect_code(0);
            let ours = ours.text().lines().filter(|line| *line != "0").count();
            assert_eq!(ours, theirs, "{expression} over {name}");
            compared += 1;
        }
    }
    assert!(compared > 20, "only {compared} were compared: is the corpus whole?");
}

/// The records of a pcap file in memory.
fn records_in(pcap: &[u8]) -> usize {
    let mut count = 0;
    let mut rest = pcap.get(24..).unwrap_or_default();
    while let Some(len) = rest.get(8..12) {
        let len = u32::from_le_bytes([len[0], len[1], len[2], len[3]]) as usize;
        rest = rest.get(16 + len..).unwrap_or_default();
        count += 1;
    }
    count
}

fn find(folder: &std::path::Path, name: &str) -> Option<String> {
    let path = folder.join(name);
    if path.is_file() {
        return Some(path.display().to_string());
    }
    let entries = std::fs::read_dir(folder).ok()?;
    entries.flatten().filter(|entry| entry.path().is_dir()).find_map(|e| find(&e.path(), name))
}

// Live.

const PORTS: [&str; 2] = ["af_packet", "af_xdp"];

fn start(lab: &Lab, args: &[&str]) -> Running {
    let args = [&["capture", "-i", lab.right.name()], args].concat();
    let running = Running::of(lab.right.spawn(command(&args)).expect("the binary starts"));
    running.wait_for("capturing on right0");
    running
}

fn interrupt(running: Running) -> Ran {
    std::thread::sleep(Duration::from_millis(300));
    running.signal(Signal::INT);
    running.finish().expect_code(130)
}

fn quiet_lab() -> Lab {
    Lab::veth(LabConfig { ipv6: false, ..LabConfig::default() }).expect("a lab")
}

#[test]
fn a_live_capture_is_filtered_where_it_says() {
    require_root!("a_live_capture_is_filtered_where_it_says");
    for port in PORTS {
        let lab = quiet_lab();
        let packets = Numbered::between(&lab.left, &lab.right);
        let wanted = format!("udp dst port {}", packets.port);
        let running = start(&lab, &["--port", port, "-q", "--summary", "json", &wanted]);
        let other = start(&lab, &["--port", "af_packet", "-q", "--summary", "json", "udp port 9"]);
        let _receiver =
            UdpReceiver::bind(&lab.right, lab.right.ipv4(), packets.port).expect("a free port");
        let schedule = Schedule::paced(1_000, 20_000.0);
        assert_eq!(send_udp(&lab.left, &packets, &schedule).expect("sent").sent, 1_000);
        let summary = interrupt(running).summary();
        assert_eq!((&summary["selected"], &summary["difference"]), (&json!(1_000), &json!(0)));
        let mode = summary["mode"].as_str().unwrap_or_default().to_owned();
        assert!(mode.contains("filter in the kernel"), "{summary}");
        if port == "af_packet" {
            // AF_XDP takes the frames away before packet sockets see them.
            let other = interrupt(other).summary();
            assert_eq!(other["selected"], 0, "{other}");
            assert_eq!(other["received"], 0, "the kernel rejects them: {other}");
        }
    }
}

/// SIGHUP reads the filter again. Both texts select every packet of the flood, so all have to come.
/// TICKWIRE_SWAPS asks for more swaps.
#[test]
fn a_filter_is_swapped_under_load_without_a_loss() {
    require_root!("a_filter_is_swapped_under_load_without_a_loss");
    const RATE_PPS: f64 = 20_000.0;
    /// A worker looks for another filter every 100 ms.
    const SWAP: Duration = Duration::from_millis(110);
    let wanted = std::env::var("TICKWIRE_SWAPS").map_or(20, |text| text.parse().expect("a number"));
    // A third more than needed: the machine may be busy.
    let count = (f64::from(wanted as u32) * SWAP.as_secs_f64() * RATE_PPS * 1.35) as u64;
    for port in PORTS {
        let lab = quiet_lab();
        let folder = Folder::new(&format!("swap-{port}"));
        let packets = Numbered::between(&lab.left, &lab.right);
        let texts = [format!("udp dst port {}", packets.port), "udp or icmp".to_owned()];
        let filter = folder.with("filter", texts[0].as_bytes());
        let args = ["--port", port, "-q", "--summary", "json", "-F", &filter];
        let running = start(&lab, &args);
        let _receiver =
            UdpReceiver::bind(&lab.right, lab.right.ipv4(), packets.port).expect("a free port");
        let swaps = std::thread::scope(|scope| {
            let sender =
                scope.spawn(|| send_udp(&lab.left, &packets, &Schedule::paced(count, RATE_PPS)));
            let mut swaps = 0;
            while !sender.is_finished() {
                swaps += 1;
                std::fs::write(&filter, &texts[swaps % 2]).expect("room");
                running.signal(Signal::HUP);
                std::thread::sleep(SWAP);
            }
            assert_eq!(sender.join().expect("no panic").expect("sent").sent, count);
            swaps
        });
        assert!(swaps >= wanted, "only {swaps} swaps");
        let ran = interrupt(running);
        let summary = ran.summary();
        for key in ["received", "selected", "delivered"] {
            assert_eq!(summary[key], count, "{key}, {port}: {summary}");
        }
        assert_eq!(summary["difference"], 0);
        let said = ran.stderr.matches("filter replaced: udp").count();
        println!("{port}: {swaps} swaps, {said} said, {count} packets, none lost");
        assert!(said >= swaps / 2, "{said} of {swaps} are said: {}", ran.stderr);
    }
}

/// A swap changes what is selected; a text that is no filter changes nothing, and is said.
#[test]
fn sighup_replaces_the_filter_and_a_bad_one_is_refused() {
    require_root!("sighup_replaces_the_filter_and_a_bad_one_is_refused");
    for port in PORTS {
        let lab = quiet_lab();
        let folder = Folder::new(&format!("hup-{port}"));
        let packets = Numbered::between(&lab.left, &lab.right);
        let filter = folder.with("filter", b"arp # nothing of the test\n");
        let args = ["--port", port, "-q", "--summary", "json", "-F", &filter];
        let running = start(&lab, &args);
        let _receiver =
            UdpReceiver::bind(&lab.right, lab.right.ipv4(), packets.port).expect("a free port");
        let send = |count| {
            let schedule = Schedule::paced(count, 20_000.0);
            assert_eq!(send_udp(&lab.left, &packets, &schedule).expect("sent").sent, count);
            std::thread::sleep(Duration::from_millis(300));
        };
        let swap = |text: &str, said: &str| {
            std::fs::write(&filter, text).expect("room");
            running.signal(Signal::HUP);
            running.wait_for(said);
            // Workers take it over at their next tick.
            std::thread::sleep(Duration::from_millis(300));
        };
        send(100);
        swap("udp\n", "filter replaced: udp");
        send(1_000);
        swap("udp porrt 5", "the filter before stays in force");
        send(10);
        let ran = interrupt(running);
        let summary = ran.summary();
        assert_eq!((&summary["selected"], &summary["difference"]), (&json!(1_010), &json!(0)));
        assert!(ran.stderr.contains("\n  udp porrt 5\n      ^^^^^"), "{}", ran.stderr);
    }
}

/// `ip broadcast` takes the netmask of the interface; direction is known on packet sockets.
#[test]
fn what_an_interface_knows_is_used() {
    require_root!("what_an_interface_knows_is_used");
    let lab = quiet_lab();
    let packets = Numbered::between(&lab.left, &lab.right);
    let args = ["--port", "af_packet", "-q", "--summary", "json"];
    let inbound = start(&lab, &[&args[..], &["inbound and udp and not ip broadcast"]].concat());
    let outbound = start(&lab, &[&args[..], &["outbound and udp"]].concat());
    let _receiver =
        UdpReceiver::bind(&lab.right, lab.right.ipv4(), packets.port).expect("a free port");
    let schedule = Schedule::paced(100, 20_000.0);
    assert_eq!(send_udp(&lab.left, &packets, &schedule).expect("sent").sent, 100);
    assert_eq!(interrupt(inbound).summary()["selected"], 100);
    assert_eq!(interrupt(outbound).summary()["selected"], 0);
}

/// The kernel takes the outer tag out of a frame before packet sockets see it, and XDP does not: a
/// filter means the same on both.
#[test]
fn a_tagged_frame_is_selected_alike_on_every_port() {
    require_root!("a_tagged_frame_is_selected_alike_on_every_port");
    const COUNT: u64 = 50;
    let untagged = udp_frame(b"tick");
    let tagged = [&untagged[..12], &[0x81, 0, 0, 5], &untagged[12..]].concat();
    for port in PORTS {
        for (filter, selected) in [("vlan 5 and udp", COUNT), ("udp", COUNT), ("vlan 6", 0)] {
            let lab = quiet_lab();
            let running = start(&lab, &["--port", port, "-q", "--summary", "json", filter]);
            lab.left.run(|| {
                let config = AfPacketConfig { tx_slots: 256, ..AfPacketConfig::new("left0") };
                let mut sender = AfPacket::open(&config, 1).expect("a socket").remove(0);
                for _ in 0..COUNT {
                    let sent = sender.transmit(&[&tagged, &untagged]).expect("sent");
                    assert_eq!(sent.accepted, 2);
                }
            });
            let summary = interrupt(running).summary();
            assert_eq!(summary["selected"], selected, "{filter} on {port}: {summary}");
            assert_eq!(summary["difference"], 0, "{summary}");
        }
    }
}
