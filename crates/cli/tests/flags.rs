//! The command line: exit codes, messages with their cure, help, man pages, completions.

mod common;

use common::{Folder, pcap_of, run};

/// One row a message: what the user types, the exit code, and what the message has to say.
const REFUSED: &[(&[&str], i32, &[&str])] = &[
    (&[], 2, &["Usage: tickwire <COMMAND>"]),
    (&["capture"], 2, &["-i IF", "-r FILE", "tickwire capture -D"]),
    (&["capture", "-i", "x", "-r", "y"], 2, &["cannot be used with"]),
    (&["feed", "stats"], 2, &["--read <FILE>"]),
    (&["feed", "gaps", "-i", "x", "-r", "y"], 2, &["cannot be used with"]),
    (&["feed", "stats", "-r", "/nonexistent/f"], 1, &["/nonexistent/f", "check the name"]),
    (&["feed", "stats", "-r", "x", "udp", "and"], 1, &["filter is refused", "\n  udp and\n"]),
    (&["filter", "dump", "tcp", "port", "htpt"], 1, &["\n  tcp port htpt\n  ^^^^"]),
    (&["capture", "-i", "x", "udp", "and"], 1, &["filter is refused", "\n  udp and\n"]),
    (&["capture", "-r", "x", "-F", "y", "udp"], 2, &["cannot be used with"]),
    (&["capture", "-r", "x", "-F", "/nonexistent/f"], 1, &["/nonexistent/f", "check the name"]),
    (&["filter", "dump", "ip6 ip"], 1, &["filter is refused", "\n  ip6 ip\n      ^^"]),
    (&["filter", "dump", "--as", "perl", "ip"], 2, &["classic, ebpf, native"]),
    (&["filter", "dump", "--link-type", "pigeon", "ip"], 2, &["EN10MB"]),
    (&["filter", "dump", "--link-type", "RAW", "vlan 5"], 1, &["RAW"]),
    (&["filter", "dump", "ip broadcast"], 1, &["netmask"]),
    (&["filter", "dump", "--as", "ebpf", "ether[40000] = 1"], 1, &["32760 bytes"]),
    (&["filter", "explain", "outboundd"], 1, &["\n  outboundd\n  ^^^^^^^^^"]),
    (&["filter", "test", "ip"], 2, &["--read <FILE>"]),
    (&["filter", "test", "ip", "-r", "/nonexistent/file"], 1, &["/nonexistent/file"]),
    (&["capture", "-i", "x", "--port", "file"], 2, &["-r FILE"]),
    (&["capture", "-r", "x", "--port", "af_xdp"], 2, &["-i IF", "leave --port out"]),
    (&["capture", "-r", "x", "--port", "pigeon"], 2, &["auto, af_xdp, af_packet, file"]),
    (&["capture", "-r", "x", "-w", "-", "--json"], 2, &["-w - and --json", "leave --json out"]),
    (&["capture", "-r", "x", "-w", "-", "--print"], 2, &["-w - and --print"]),
    (&["capture", "-r", "x", "-w", "-", "--summary", "json"], 2, &["-w - and --summary json"]),
    (&["capture", "-r", "x", "--print"], 2, &["--write <FILE>"]),
    (&["capture", "-r", "x", "-q", "--json"], 2, &["cannot be used with"]),
    (&["capture", "-r", "x", "-w", "y", "-W", "3"], 2, &["-C SIZE", "--rotate-packets N"]),
    (&["capture", "-r", "x", "-w", "-", "-C", "1"], 2, &["cannot be rotated"]),
    (&["capture", "-r", "x", "-w", "y", "-C", "0"], 2, &["0 bytes hold no packet"]),
    (&["capture", "-r", "x", "-w", "y", "-C", "1 ton"], 2, &["no unit", "500k, 64m, 2g"]),
    (&["capture", "-r", "x", "-w", "y", "-G", "0.5"], 2, &["whole seconds"]),
    (&["capture", "-r", "x", "-c", "-1"], 2, &["'-1' for '--count <N>'", "a whole number"]),
    (&["capture", "-r", "x", "-s", "-1"], 2, &["'-1' for '--snaplen <BYTES>'", "number of bytes"]),
    (&["capture", "-r", "x", "-w", "y", "-C", "-1"], 2, &["millions of bytes"]),
    (&["capture", "-r", "x", "-w", "y", "-G", "-1"], 2, &["500ms, 10s, 5m, 1h"]),
    (&["capture", "-r", "x", "--duration", "-3"], 2, &["500ms, 10s, 5m, 1h"]),
    (&["capture", "-i", "x", "--queues", "-1"], 2, &["0,2,4-7"]),
    (&["capture", "-i", "x", "-B", "0"], 2, &["KiB"]),
    (&["capture", "-r", "x", "--duration", "1 fortnight"], 2, &["500ms, 10s, 5m, 1h"]),
    (&["capture", "-r", "x", "-s", "300000"], 2, &["the most is 262144 bytes"]),
    (&["capture", "-i", "x", "--queues", "0"], 2, &["0 queues receive nothing"]),
    (&["capture", "-i", "x", "--queues", "4000000000"], 2, &["the most is 256"]),
    (&["capture", "-i", "x", "--queues", "0-300"], 2, &["the most is 256"]),
    (&["capture", "-i", "x", "--queues", "1,4294967296"], 2, &["no interface has a queue"]),
    (&["capture", "-i", "x", "--join", "10.0.0.1"], 2, &["no multicast group", "233.54.12.111"]),
    (&["capture", "-i", "x", "--join", "feed"], 2, &["233.54.12.111"]),
    (&["capture", "-i", "x", "--queues", "3-1"], 2, &["'3-1' is no range", "0,2,4-7"]),
    (&["capture", "-i", "x", "--cores", "1,1"], 2, &["1 is in the list twice"]),
    (
        &["capture", "-r", "x", "-w", "y", "--format", "pcap", "--comment", "c"],
        2,
        &["no place for a comment", "--format pcapng"],
    ),
    (&["capture", "-r", "/nonexistent/file"], 1, &["/nonexistent/file", "check the name"]),
    (&["capture", "-r", "/"], 1, &["open /", "name of a file in it"]),
    (&["capture", "-i", "nosuchinterface"], 1, &["nosuchinterface"]),
    (&["generate"], 2, &["--to <ADDR:PORT>"]),
    (&["generate", "--to", "10.0.0.1"], 2, &["--to"]),
    (&["generate", "--to", "10.0.0.1:0"], 2, &["port 0"]),
    (&["generate", "--to", "127.0.0.1:9", "--rate", "0"], 2, &["above 0", "or max"]),
    (&["generate", "--to", "127.0.0.1:9", "-c", "1.5"], 2, &["packets are whole"]),
    (&["generate", "--to", "127.0.0.1:9", "--size", "9"], 2, &["9 bytes", "20 to 8948"]),
    (
        &["generate", "--to", "127.0.0.1:9", "--message", "trade", "--size", "9"],
        2,
        &["152 to 8948", "--size"],
    ),
    (&["generate", "--to", "127.0.0.1:9", "-i", "lo"], 2, &["routing table", "--port af_packet"]),
    (&["generate", "--to", "127.0.0.1:9", "--vlan", "5"], 2, &["--vlan", "--port af_packet"]),
    (&["generate", "--to", "127.0.0.1:9", "--source", "::1"], 2, &["one is IPv4"]),
    (&["generate", "--to", "127.0.0.1:9", "--source", "192.0.2.7"], 1, &["no address of this"]),
    (&["generate", "--to", "127.0.0.1:9", "--source", "x"], 2, &["10.0.0.1:4000"]),
    (&["generate", "--to", "127.0.0.1:9", "--dst-mac", "x"], 2, &["02:00:00:00:00:01"]),
    (&["generate", "--to", "255.255.255.255:9"], 1, &["broadcasts are not sent"]),
    (&["generate", "--to", "239.1.1.1:9", "-i", "nosuch"], 1, &["nosuch", "there are: "]),
    (
        &["generate", "--to", "10.0.0.1:9", "--port", "af_packet", "--dst-mac", "2:0:0:0:0:1"],
        2,
        &["-i IF"],
    ),
    (
        &["generate", "--to", "127.0.0.2:9", "--port", "af_packet"],
        1,
        &["this machine itself", "--port udp"],
    ),
    (&["generate", "--to", "127.0.0.1:9", "--packets", "/nonexistent/f"], 1, &["/nonexistent/f"]),
    (
        &["generate", "--to", "127.0.0.1:9", "--packets", "f", "--size", "60"],
        2,
        &["cannot be used"],
    ),
    (
        &["generate", "--to", "127.0.0.1:9", "--packets", "f", "--port", "af_xdp"],
        2,
        &["tickwire replay FILE"],
    ),
    (&["latency"], 2, &["--to <ADDR:PORT>"]),
    (&["latency", "--reflect", "127.0.0.1:9", "--to", "127.0.0.1:9"], 2, &["cannot be used with"]),
    (&["latency", "--echo", "192.0.2.7:9"], 1, &["192.0.2.7:9", "ip addr"]),
    (&["latency", "--to", "127.0.0.1:9", "--rate", "max"], 2, &["times mean nothing", "--rate"]),
    (&["latency", "--to", "127.0.0.1:9", "--flows", "2"], 2, &["leave --flows out"]),
    (&["latency", "--to", "239.1.1.1:9"], 2, &["group does not answer", "--subscriber"]),
    (&["latency", "--to", "127.0.0.1:9", "--size", "60"], 2, &["152 to 8948"]),
    (&["latency", "--to", "127.0.0.1:9", "--subscriber", "192.0.2.7:9"], 1, &["192.0.2.7:9"]),
    (&["replay"], 2, &["<FILE>"]),
    (&["replay", "x"], 2, &["-i IF", "--to ADDR:PORT"]),
    (
        &["replay", "/nonexistent/f", "--to", "127.0.0.1:9"],
        1,
        &["/nonexistent/f", "check the name"],
    ),
    (&["replay", "x", "--to", "127.0.0.1:9", "udp", "and"], 1, &["\n  udp and\n"]),
    (&["replay", "x", "--to", "127.0.0.1:9", "--port", "af_xdp"], 2, &["one of --to and --port"]),
    (&["replay", "x", "-i", "lo", "--port", "udp"], 2, &["--to ADDR:PORT"]),
    (&["replay", "x", "-i", "lo", "--ttl", "3"], 2, &["as they were captured", "--ttl"]),
    (&["replay", "x", "-i", "lo", "--speed", "0"], 2, &["above 0"]),
    (&["replay", "x", "-i", "lo", "--speed", "2", "--rate", "5"], 2, &["cannot be used with"]),
    (&["replay", "-", "--to", "127.0.0.1:9", "--loop", "2"], 1, &["pipe", "leave --loop out"]),
    (&["man", "cook"], 2, &["no command 'cook'", "capture"]),
    (&["completions", "cmd.exe"], 2, &["bash", "zsh", "fish"]),
];

#[test]
fn every_refusal_says_why_and_what_to_do() {
    for (args, code, words) in REFUSED {
        run(args).expect_message(*code, words);
    }
}

#[test]
fn a_file_is_not_overwritten_by_itself() {
    let folder = Folder::new("same-file");
    let bytes = pcap_of(3);
    let file = folder.with("a.pcap", &bytes);
    run(&["capture", "-r", &file, "-w", &file]).expect_message(2, &["same file", "another one"]);
    assert_eq!(std::fs::read(&file).expect("still there"), bytes);
}

#[test]
fn a_comment_needs_pcapng() {
    let folder = Folder::new("comment");
    let file = folder.with("a.pcap", &pcap_of(1));
    let copy = folder.file("b.pcap");
    run(&["capture", "-r", &file, "-w", &copy, "--comment", "why"])
        .expect_message(2, &["will be a pcap file", "--format pcapng"]);
}

#[test]
fn a_core_that_is_not_there_is_named() {
    let folder = Folder::new("cores");
    let file = folder.with("a.pcap", &pcap_of(1));
    run(&["capture", "-r", &file, "-q", "--cores", "4095"])
        .expect_message(1, &["core 4095", "taskset"]);
}

#[test]
fn help_is_grouped_and_has_examples() {
    for command in ["capture", "generate", "latency", "replay"] {
        let help = run(&[command, "--help"]).expect_code(0);
        assert!(help.text().contains("Examples:"), "{command}");
        for line in help.text().lines() {
            assert!(line.chars().count() <= 100, "{line}");
        }
    }
    let help = run(&["capture", "--help"]).expect_code(0);
    for words in ["Input:", "Output:", "Capture file:", "Limits:", "Engine:", "Examples:"] {
        assert!(help.text().contains(words), "no {words} in {}", help.text());
    }
    assert!(run(&["--help"]).expect_code(0).text().contains("Exit codes:"));
    assert!(run(&["--version"]).expect_code(0).text().starts_with("tickwire "));
}

#[test]
fn man_pages_are_complete() {
    let folder = Folder::new("man");
    let out = folder.file("pages");
    run(&["man", "--out", &out]).expect_code(0);
    let page = |name: &str| std::fs::read_to_string(format!("{out}/{name}.1")).expect("a page");
    assert!(page("tickwire").contains(".SH NAME"));
    let capture = page("tickwire-capture");
    assert!(capture.contains(".TH") && capture.contains("Examples"), "{capture}");
    assert!(capture.contains("\\-\\-rotate\\-packets"), "{capture}");
    assert!(page("tickwire-filter-dump").contains("\\-\\-link\\-type"));
    assert!(page("tickwire-ctl-replicate-add").contains("\\-\\-lease\\-s"));
    let printed = run(&["man", "capture"]).expect_code(0);
    assert_eq!(printed.text(), capture);
    run(&["man", "--out", "/proc/nowhere"]).expect_message(1, &["/proc/nowhere", "may write to"]);
}

#[test]
fn completions_are_for_their_shell() {
    for (shell, words) in [
        ("bash", "complete -F _tickwire"),
        ("zsh", "#compdef tickwire"),
        ("fish", "complete -c tickwire"),
        ("elvish", "edit:completion"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let script = run(&["completions", shell]).expect_code(0);
        assert!(script.text().contains(words), "{shell}");
        assert!(script.text().contains("rotate-packets"), "{shell}");
    }
}

#[test]
fn interfaces_are_listed() {
    let list = run(&["capture", "-D"]).expect_code(0);
    assert!(list.text().lines().any(|line| line.contains("  lo ")), "{}", list.text());
}
