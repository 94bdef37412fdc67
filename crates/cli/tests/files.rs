//! Captures from files, as a user and a script see them.

mod common;

use common::{
    Folder, Running, command, pcap, pcap_of, pcapng_of_two_links, run, run_with_input, udp_frame,
};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::process::Stdio;
use std::time::Duration;

/// Runs a quiet capture, and gives its summary.
fn quiet(file: &str) -> Value {
    run(&["capture", "-r", file, "-q", "--summary", "json"]).expect_code(0).summary()
}

#[test]
fn the_summary_is_one_object_that_adds_up() {
    let folder = Folder::new("summary");
    let file = folder.with("a.pcap", &pcap_of(1000));
    let ran = run(&["capture", "-r", &file, "-q", "--summary", "json"]).expect_code(0);
    assert_eq!(ran.text().lines().count(), 1);
    assert!(ran.stderr.is_empty(), "{}", ran.stderr);
    let summary = ran.summary();
    for (key, value) in [
        ("received", json!(1000)),
        ("selected", json!(1000)),
        ("delivered", json!(1000)),
        ("discarded", json!({})),
        ("difference", json!(0)),
        ("port", json!("file")),
        ("malformed", json!({})),
        ("protocols", json!({"ipv4": 1000, "udp": 1000})),
        ("received_bytes", json!(1000 * 42 + 10 * 4950)),
    ] {
        assert_eq!(summary[key], value, "{key}");
    }
    assert!(summary["seconds"].is_f64() && summary["mode"].is_string(), "{summary}");
    assert!(summary.get("kernel").is_none() && summary.get("queues").is_none(), "{summary}");
}

#[test]
fn the_text_summary_goes_to_standard_error() {
    let folder = Folder::new("text");
    let file = folder.with("a.pcap", &pcap_of(1234));
    let ran = run(&["capture", "-r", &file, "-q"]).expect_code(0);
    assert!(ran.stdout.is_empty());
    for words in ["received               1,234", "every packet is accounted for", "packets/s"] {
        assert!(ran.stderr.contains(words), "no '{words}' in {}", ran.stderr);
    }
}

#[test]
fn the_object_is_the_last_line_after_packets() {
    let folder = Folder::new("last-line");
    let file = folder.with("a.pcap", &pcap_of(10));
    let ran = run(&["capture", "-r", &file, "--json", "--summary", "json"]).expect_code(0);
    assert_eq!(ran.text().lines().count(), 11);
    assert_eq!(ran.summary()["delivered"], 10);
    for line in ran.text().lines() {
        serde_json::from_str::<Value>(line).expect("JSON on every line");
    }
}

#[test]
fn count_is_exact() {
    let folder = Folder::new("count");
    let file = folder.with("a.pcap", &pcap_of(500));
    for count in [0u64, 1, 63, 64, 65, 499, 500, 501] {
        let args = ["capture", "-r", &file, "-c", &count.to_string(), "--summary", "json"];
        let ran = run(&args).expect_code(0);
        assert_eq!(ran.summary()["received"], count.min(500), "-c {count}");
        assert_eq!(ran.text().lines().count() as u64, count.min(500) + 1, "-c {count}");
    }
}

#[test]
fn a_copy_is_the_same_packets() {
    let folder = Folder::new("copy");
    let original = pcap_of(3000);
    let file = folder.with("a.pcap", &original);
    let (pcapng, back) = (folder.file("b.pcapng"), folder.file("c.pcap"));
    let ran = run(&["capture", "-r", &file, "-w", &pcapng, "--summary", "json"]).expect_code(0);
    let summary = ran.summary();
    assert_eq!((&summary["delivered"], &summary["difference"]), (&json!(3000), &json!(0)));
    assert_eq!(summary["written"]["files"], 1);
    let size = std::fs::metadata(&pcapng).expect("it was written").len();
    assert_eq!(summary["written"]["bytes"], size);
    run(&["capture", "-r", &pcapng, "-w", &back]).expect_code(0);
    assert!(std::fs::read(&back).expect("it was written") == original, "the copy differs");
}

#[test]
fn pipes_work_on_both_ends() {
    let original = pcap_of(2000);
    let args = ["capture", "-r", "-", "-w", "-", "--format", "pcap"];
    let ran = run_with_input(&args, &original).expect_code(0);
    assert!(ran.stdout == original, "the copy differs");
    assert!(ran.stderr.contains("2,000"), "{}", ran.stderr);
}

#[test]
fn print_and_write_at_once() {
    let folder = Folder::new("print");
    let file = folder.with("a.pcap", &pcap_of(70));
    let copy = folder.file("b.pcap");
    let ran = run(&["capture", "-r", &file, "-w", &copy, "--print"]).expect_code(0);
    assert_eq!(ran.text().lines().count(), 70);
    assert_eq!(quiet(&copy)["received"], 70);
}

#[test]
fn snaplen_keeps_the_first_bytes() {
    let folder = Folder::new("snaplen");
    let file = folder.with("a.pcap", &pcap(&[udp_frame(&[7; 200])]));
    let copy = folder.file("b.pcap");
    run(&["capture", "-r", &file, "-w", &copy, "-s", "60"]).expect_code(0);
    let bytes = std::fs::read(&copy).expect("it was written");
    assert_eq!(bytes.len(), 24 + 16 + 60);
    assert_eq!(bytes[32..40], [60, 0, 0, 0, 242, 0, 0, 0], "captured and original length");
    // A cut packet is not a malformed one.
    assert_eq!(quiet(&copy)["malformed"], json!({}));
}

#[test]
fn rotation_makes_a_ring_of_files() {
    let folder = Folder::new("rotation");
    let file = folder.with("a.pcap", &pcap_of(100));
    let ring = folder.file("ring.pcap");
    let args = ["--rotate-packets", "10", "-W", "3", "--summary", "json"];
    let ran = run(&[&["capture", "-r", &file, "-w", &ring], &args[..]].concat()).expect_code(0);
    let written = &ran.summary()["written"];
    assert_eq!((&written["files"], &written["rotated_away"]), (&json!(10), &json!(70)));
    let names = std::fs::read_dir(folder.path()).expect("the folder");
    let names = names.map(|entry| entry.expect("an entry").path().display().to_string());
    let kept: Vec<String> = names.filter(|name| name.contains("ring")).collect();
    assert_eq!(kept.len(), 3, "{kept:?}");
    for name in kept {
        assert_eq!(quiet(&name)["received"], 10, "{name}");
    }
}

#[test]
fn a_truncated_file_gives_every_whole_packet_and_then_the_error() {
    let folder = Folder::new("truncated");
    let mut bytes = pcap_of(100);
    bytes.truncate(bytes.len() - 5);
    let file = folder.with("a.pcap", &bytes);
    let ran = run(&["capture", "-r", &file, "-q", "--summary", "json"]).expect_code(1);
    let summary = ran.summary();
    assert_eq!((&summary["delivered"], &summary["difference"]), (&json!(99), &json!(0)));
    assert!(summary["error"].as_str().expect("an error").contains("ends after"), "{summary}");
    assert!(ran.stderr.contains("cut short"), "{}", ran.stderr);
}

#[test]
fn what_is_no_capture_is_refused() {
    let folder = Folder::new("no-capture");
    let file = folder.with("a.txt", b"Dear reader, this is a letter.");
    run(&["capture", "-r", &file]).expect_message(1, &["44 65 61 72", "pcap and pcapng"]);
    run_with_input(&["capture", "-r", "-"], b"Dear reader").expect_message(1, &["standard input"]);
}

#[test]
fn malformed_packets_are_counted_by_reason() {
    let folder = Folder::new("malformed");
    let mut beyond = udp_frame(&[1, 2, 3]);
    beyond[17] = 250;
    let file = folder.with("a.pcap", &pcap(&[udp_frame(b"well"), beyond, vec![1, 2, 3]]));
    let summary = quiet(&file);
    let expected = json!({"truncated_ethernet": 1, "ipv4_length_beyond_packet": 1});
    assert_eq!(summary["malformed"], expected);
    assert_eq!((&summary["delivered"], &summary["difference"]), (&json!(3), &json!(0)));
}

/// `| head`: the reader leaves after a few lines.
#[test]
fn a_reader_that_leaves_ends_it_quietly() {
    let folder = Folder::new("head");
    let file = folder.with("a.pcap", &pcap_of(50_000));
    let mut child = command(&["capture", "-r", &file]).spawn().expect("the binary starts");
    let mut first = [0; 100];
    let mut stdout = child.stdout.take().expect("a pipe");
    stdout.read_exact(&mut first).expect("some lines");
    drop(stdout);
    let ran = Running::of(child).finish().expect_code(0);
    assert!(ran.stderr.contains("output_closed"), "{}", ran.stderr);
    assert!(ran.stderr.contains("every packet is accounted for"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("roken pipe"), "{}", ran.stderr);
}

#[test]
fn a_full_disk_is_a_failure_with_its_name() {
    let folder = Folder::new("full");
    let file = folder.with("a.pcap", &pcap_of(50));
    let full = std::fs::File::options().write(true).open("/dev/full").expect("/dev/full");
    let mut command = command(&["capture", "-r", &file]);
    let ran = Running::start(command.stdout(Stdio::from(full))).finish().expect_code(1);
    assert!(ran.stderr.contains("disk_full"), "{}", ran.stderr);
    assert!(ran.stderr.contains("cannot write to standard output"), "{}", ran.stderr);
    assert!(ran.stderr.contains("every packet is accounted for"), "{}", ran.stderr);
}

/// `2>&1 | head`, or a log file on a full disk: `eprintln!` would panic.
#[test]
fn nobody_who_hears_what_is_said_is_no_failure() {
    let folder = Folder::new("deaf");
    let file = folder.with("a.pcap", &pcap_of(50));
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let full = || std::fs::File::options().write(true).open("/dev/full").expect("/dev/full").into();
    for (stderr, code, args) in [
        (writer.into(), 0, &["capture", "-r", &file][..]),
        (full(), 0, &["capture", "-r", &file]),
        (full(), 1, &["capture", "-r", "/nonexistent"]),
        (full(), 2, &["capture"]),
    ] {
        let stderr: Stdio = stderr;
        let ran = Running::start(command(args).stderr(stderr)).finish().expect_code(code);
        let lines = ran.text().lines().count();
        assert_eq!(lines, if code == 0 { 50 } else { 0 }, "{args:?}");
    }
}

#[test]
fn a_capture_file_that_cannot_be_written_is_refused() {
    let folder = Folder::new("unwritable");
    let file = folder.with("a.pcap", &pcap_of(5));
    run(&["capture", "-r", &file, "-w", "/dev/full"]).expect_message(1, &["/dev/full", "space"]);
    run(&["capture", "-r", &file, "-w", "/nonexistent/b.pcap"])
        .expect_message(1, &["/nonexistent/b.pcap"]);
}

#[test]
fn a_copy_keeps_the_names_of_interfaces() {
    let folder = Folder::new("names");
    let file = folder.with("a.pcapng", &pcapng_of_two_links());
    let copy = folder.file("b.pcapng");
    run(&["capture", "-r", &file, "-w", &copy]).expect_code(0);
    let bytes = std::fs::read(&copy).expect("it was written");
    assert!(bytes.windows(4).any(|four| four == b"eth9"));
    assert_eq!(quiet(&copy)["protocols"], json!({"ipv4": 2, "udp": 2}));
}

#[test]
fn a_pcap_file_refuses_a_second_link_type_by_name() {
    let folder = Folder::new("links");
    let file = folder.with("a.pcapng", &pcapng_of_two_links());
    let copy = folder.file("b.pcap");
    let ran = run(&["capture", "-r", &file, "-w", &copy, "--summary", "json"]).expect_code(1);
    let summary = ran.summary();
    assert_eq!(summary["discarded"], json!({"other_link_type": 1}));
    assert_eq!((&summary["delivered"], &summary["difference"]), (&json!(1), &json!(0)));
    for words in ["1 packet is not in", "--format pcapng"] {
        assert!(ran.stderr.contains(words), "no '{words}' in {}", ran.stderr);
    }
}

/// ^C while a pipe gives nothing.
#[test]
fn an_interrupt_ends_a_silent_pipe() {
    let running = Running::start(
        command(&["capture", "-r", "-", "-q", "--summary", "json"]).stdin(Stdio::piped()),
    );
    std::thread::sleep(Duration::from_millis(300));
    running.signal(Signal::INT);
    let summary = running.finish().expect_code(130).summary();
    assert_eq!((&summary["received"], &summary["difference"]), (&json!(0), &json!(0)));
}

/// The terminal goes away: what was captured is settled and written, as tcpdump does.
#[test]
fn a_hangup_ends_it_with_the_account() {
    // Whoever runs the tests may ignore hangups (nohup), and we respect what we inherit.
    let mut fresh = std::process::Command::new("env");
    fresh.args(["--default-signal=HUP", env!("CARGO_BIN_EXE_tickwire")]);
    fresh.args(["capture", "-r", "-", "-q", "--summary", "json"]);
    fresh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = Running::start(&mut fresh);
    let mut stdin = running.child.stdin.take().expect("a pipe");
    stdin.write_all(&pcap_of(3)).expect("it reads");
    std::thread::sleep(Duration::from_millis(300));
    running.signal(Signal::HUP);
    assert_eq!(running.finish().expect_code(0).summary()["delivered"], 3);
}

/// Opening a FIFO waits for its reader, and nothing else looks at ^C meanwhile. A shell starts what
/// it puts in the background with ^C ignored.
#[test]
fn an_interrupt_ends_the_wait_for_the_reader_of_a_fifo() {
    let folder = Folder::new("fifo");
    let (file, fifo) = (folder.with("a.pcap", &pcap_of(3)), folder.file("fifo"));
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    let kind = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, fifo.as_str(), kind, mode, 0).expect("a FIFO");
    let binary = env!("CARGO_BIN_EXE_tickwire");
    let script = format!("trap '' INT; exec {binary} capture -r {file} -w {fifo}");
    let mut shell = std::process::Command::new("sh");
    let running = Running::start(shell.args(["-c", &script]).stdin(Stdio::null()));
    std::thread::sleep(Duration::from_millis(500));
    running.signal(Signal::INT);
    assert_eq!(running.finish().code, None, "killed");
}

/// Over the limit of `ulimit -f` the kernel would kill us in the middle of a record.
#[test]
fn a_limit_of_file_sizes_is_a_loss_with_a_name() {
    let folder = Folder::new("fsize");
    let (file, copy) = (folder.with("a.pcap", &pcap_of(5000)), folder.file("b.pcap"));
    let binary = env!("CARGO_BIN_EXE_tickwire");
    let script = format!("ulimit -f 64; exec {binary} capture -r {file} -w {copy} --summary json");
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &script]).stdin(Stdio::null());
    let ran = Running::start(shell.stdout(Stdio::piped()).stderr(Stdio::piped())).finish();
    let ran = ran.expect_code(1);
    let (written, lost) = (&ran.summary()["delivered"], &ran.summary()["discarded"]);
    assert!(ran.stderr.contains("File too large"), "{}", ran.stderr);
    assert_eq!(ran.summary()["difference"], 0);
    assert_eq!(lost["write_failed"].as_u64(), written.as_u64().map(|written| 5000 - written));
    assert_eq!(&quiet(&copy)["delivered"], written, "whole records, and no part of one");
}
