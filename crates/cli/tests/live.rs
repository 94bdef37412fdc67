//! Live captures on a veth pair in private namespaces: exact ledgers, ^C, privileges.
//!
//! Needs root; says so loudly where it is missing.

mod common;

use common::{Folder, Ran, Running, command, run};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};
use tickwire_lab::{
    Lab, LabConfig, Numbered, Schedule, SenderReport, UdpReceiver, require_root, send_udp,
};

const PORTS: [&str; 2] = ["af_packet", "af_xdp"];

/// A graceful stop takes no longer, with the time that a busy machine adds.
const STOP_MS_MAX: u64 = 2000;

/// A pair on which not one frame passes that the test did not send.
fn quiet_lab() -> Lab {
    Lab::veth(LabConfig { ipv6: false, ..LabConfig::default() }).expect("a lab")
}

/// Starts a capture on the right end, and waits until it receives.
fn start(lab: &Lab, args: &[&str]) -> Running {
    let args = [&["capture", "-i", lab.right.name()], args].concat();
    let running = Running::of(lab.right.spawn(command(&args)).expect("the binary starts"));
    running.wait_for("capturing on right0");
    running
}

/// Sends `count` numbered packets from the left end.
fn send(lab: &Lab, count: u64) -> SenderReport {
    let packets = Numbered::between(&lab.left, &lab.right);
    // Without a receiver, its kernel would answer with ICMP, which is captured, too.
    let (address, port) = (lab.right.ipv4(), packets.port);
    let _receiver = UdpReceiver::bind(&lab.right, address, port).expect("a free port");
    let report = send_udp(&lab.left, &packets, &Schedule::paced(count, 50_000.0)).expect("sent");
    assert_eq!((report.sent, report.difference()), (count, 0));
    report
}

/// Presses ^C once all is received, and waits for the end.
fn interrupt(running: Running) -> Ran {
    std::thread::sleep(Duration::from_millis(200));
    let pressed = Instant::now();
    running.signal(Signal::INT);
    let ran = running.finish().expect_code(130);
    let took = pressed.elapsed();
    assert!(took < Duration::from_millis(STOP_MS_MAX), "the stop took {took:?}");
    ran
}

fn expect_exact(summary: &Value, count: u64) {
    assert_eq!(summary["received"], count, "{summary}");
    assert_eq!(summary["delivered"], count, "{summary}");
    assert_eq!(summary["difference"], 0, "{summary}");
    assert_eq!(summary["protocols"], json!({"ipv4": count, "udp": count}), "{summary}");
}

#[test]
fn an_interrupted_capture_ends_with_an_exact_ledger() {
    require_root!("an_interrupted_capture_ends_with_an_exact_ledger");
    for port in PORTS {
        let lab = quiet_lab();
        let running = start(&lab, &["--port", port, "-q", "--summary", "json"]);
        send(&lab, 20_000);
        let ran = interrupt(running);
        assert_eq!(ran.text().lines().count(), 1, "{ran:?}");
        let summary = ran.summary();
        expect_exact(&summary, 20_000);
        assert_eq!(summary["port"], port);
        assert!(
            summary["kernel"].as_object().is_some_and(|kernel| !kernel.is_empty()),
            "{summary}"
        );
        let queues = summary["queues"].as_array().expect("queues");
        assert_eq!((queues.len(), &queues[0]["received"]), (1, &json!(20_000)), "{summary}");
    }
}

#[test]
fn a_live_capture_is_written_and_printed_through_the_queue() {
    require_root!("a_live_capture_is_written_and_printed_through_the_queue");
    for port in PORTS {
        let lab = quiet_lab();
        let folder = Folder::new(&format!("live-{port}"));
        let file = folder.file("a.pcapng");
        let running = start(&lab, &["--port", port, "-w", &file, "--print", "--summary", "json"]);
        send(&lab, 5_000);
        let ran = interrupt(running);
        expect_exact(&ran.summary(), 5_000);
        assert_eq!(ran.text().lines().count(), 5_001);
        let read = run(&["capture", "-r", &file, "-q", "--summary", "json"]).expect_code(0);
        expect_exact(&read.summary(), 5_000);
    }
}

#[test]
fn count_and_duration_end_a_live_capture() {
    require_root!("count_and_duration_end_a_live_capture");
    for port in PORTS {
        let lab = quiet_lab();
        let running = start(&lab, &["--port", port, "-c", "100", "--summary", "json"]);
        send(&lab, 1_000);
        let ran = running.finish().expect_code(0);
        expect_exact(&ran.summary(), 100);
        assert_eq!(ran.text().lines().count(), 101);

        let running = start(&lab, &["--port", port, "--duration", "200ms", "--summary", "json"]);
        let summary = running.finish().expect_code(0).summary();
        assert_eq!((&summary["received"], &summary["difference"]), (&json!(0), &json!(0)));
        assert!(summary["seconds"].as_f64().is_some_and(|s| (0.2..2.0).contains(&s)), "{summary}");
    }
}

/// What a person would otherwise only learn from a counter of the summary.
#[test]
fn a_deleted_interface_is_not_silent() {
    require_root!("a_deleted_interface_is_not_silent");
    for port in PORTS {
        let lab = quiet_lab();
        let running = start(&lab, &["--port", port, "-q", "--summary", "json"]);
        lab.right.set_up(false).expect("down");
        running.wait_for("tickwire: link of right0 is down");
        lab.right.set_up(true).expect("up");
        running.wait_for("tickwire: link of right0 is up after ");
        lab.delete_link().expect("deleted");
        running.wait_for("tickwire: right0 is gone; waiting for it to come back");
        lab.create_link().expect("created");
        running.wait_for("tickwire: right0 is back (index ");
        send(&lab, 100);
        expect_exact(&interrupt(running).summary(), 100);
    }
}

#[test]
fn sigterm_is_a_clean_stop() {
    require_root!("sigterm_is_a_clean_stop");
    let lab = quiet_lab();
    let running = start(&lab, &["--port", "af_packet", "-q", "--summary", "json"]);
    running.signal(Signal::TERM);
    assert_eq!(running.finish().expect_code(0).summary()["difference"], 0);
}

/// A limit of memory that the queue does not fit into: an error with its cure, no abort.
#[test]
fn too_little_memory_is_an_error_not_an_abort() {
    require_root!("too_little_memory_is_an_error_not_an_abort");
    let lab = quiet_lab();
    let mut command = Command::new("prlimit");
    // Room for the binary and the ring of the port, none for 64 MiB more.
    command.args(["--as=100000000", env!("CARGO_BIN_EXE_tickwire")]);
    command.args(["capture", "-i", "right0", "--port", "af_packet"]);
    command.stdin(std::process::Stdio::null());
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let ran = Running::of(lab.right.spawn(command).expect("prlimit of util-linux")).finish();
    ran.expect_message(1, &["64 MiB", "memory", "ulimit -v"]);
}

/// A reader that stalls keeps neither the receiver nor the end waiting.
#[test]
fn a_stalled_reader_does_not_hold_up_the_stop() {
    require_root!("a_stalled_reader_does_not_hold_up_the_stop");
    let lab = quiet_lab();
    let args = ["capture", "-i", "right0", "--port", "af_packet"];
    let mut child = lab.right.spawn(command(&args)).expect("the binary starts");
    let stdout = child.stdout.take();
    let running = Running::of(child);
    running.wait_for("capturing on right0");
    send(&lab, 5_000);
    let ran = interrupt(running);
    drop(stdout);
    for words in ["received               5,000", "stopped", "every packet is accounted for"] {
        assert!(ran.stderr.contains(words), "no '{words}' in {}", ran.stderr);
    }
}

/// What a user without any privilege is told.
#[test]
fn without_privileges_the_message_has_the_cure() {
    require_root!("without_privileges_the_message_has_the_cure");
    // The build folder may be closed to others.
    let folder = Folder::new("nobody");
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).expect("it is our folder");
    let binary = folder.file("tickwire");
    std::fs::copy(env!("CARGO_BIN_EXE_tickwire"), &binary).expect("room for a copy");
    let lab = quiet_lab();
    for port in ["auto", "af_packet", "af_xdp"] {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all"]);
        command.args([&binary, "capture", "-i", "right0", "--port", port]);
        command.stdin(std::process::Stdio::null());
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let ran = Running::of(lab.right.spawn(command).expect("setpriv of util-linux")).finish();
        ran.expect_message(1, &["CAP_NET_RAW"]);
    }
}

#[test]
fn an_unknown_interface_is_answered_with_those_there_are() {
    require_root!("an_unknown_interface_is_answered_with_those_there_are");
    let lab = quiet_lab();
    let args = ["capture", "-i", "left0", "--port", "af_packet"];
    let ran = Running::of(lab.right.spawn(command(&args)).expect("the binary starts")).finish();
    ran.expect_message(1, &["left0", "right0"]);
}
