//! Every capture of the corpus through the command: exit code, exact ledger, tcpdump's count.
//!
//! Needs `TICKWIRE_CORPUS`; tcpdump is optional. What is missing is said on stderr.

mod common;

use common::{Ran, run};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

fn captures() -> Vec<PathBuf> {
    let Ok(root) = std::env::var("TICKWIRE_CORPUS") else {
        eprintln!("SKIPPED: the corpus: TICKWIRE_CORPUS is not set");
        return Vec::new();
    };
    // Cargo runs tests in the folder of the crate; a relative path is meant from the workspace.
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut folders = vec![workspace.join(root)];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("list {}: {error}", folder.display()));
        for entry in entries {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().is_some_and(|n| n.to_string_lossy().contains(".pcap")) {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(found.len() > 1000, "the corpus has only {} captures", found.len());
    found
}

/// Runs `check` over all paths on every core; panics of a check end the test.
fn for_each(paths: &[PathBuf], check: impl Fn(&Path) + Sync) {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(path) = paths.get(next.fetch_add(1, Relaxed)) {
                    check(path);
                }
            });
        }
    });
}

/// How many packets tcpdump counts, and whether it found the file whole. `None` without tcpdump.
fn tcpdump_count(path: &Path) -> Option<(u64, bool)> {
    let output = Command::new("tcpdump").args(["--count", "-r"]).arg(path).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // Nothing is printed when the file cannot be opened.
    let count = text.split_whitespace().next().map_or(0, |word| word.parse().expect("a count"));
    Some((count, output.status.success()))
}

/// The summary adds up, and the exit code is 1 exactly when there is an error with a name.
fn account(path: &Path, ran: Ran) -> u64 {
    let file = path.display();
    if ran.code == Some(1) && ran.stdout.is_empty() {
        // Refused at once: no capture file.
        assert!(ran.stderr.contains(&file.to_string()), "{file}: {ran:?}");
        return 0;
    }
    let summary = ran.summary();
    assert_eq!(ran.text().lines().count(), 1, "{file}: {ran:?}");
    assert_eq!(summary["difference"], 0, "{file}: {summary}");
    assert_eq!(summary["received"], summary["delivered"], "{file}: {summary}");
    let networks = ["ipv4", "ipv6", "arp", "other_network", "not_decoded"];
    let count = |name: &&str| summary["protocols"][name].as_u64().unwrap_or(0);
    let counted: u64 = networks.iter().map(count).sum();
    assert_eq!(summary["received"], counted, "{file}: every packet is counted once: {summary}");
    match (ran.code, &summary["error"]) {
        (Some(0), Value::Null) => assert!(ran.stderr.is_empty(), "{file}: {ran:?}"),
        (Some(1), Value::String(error)) => {
            assert!(ran.stderr.contains(error), "{file}: {ran:?}");
            assert!(error.contains(&file.to_string()), "{file}: {error}");
        }
        _ => panic!("{file}: exit code and error do not go together: {ran:?}"),
    }
    summary["received"].as_u64().expect("a count")
}

#[test]
fn every_capture_is_accounted_for() {
    let captures = captures();
    if captures.is_empty() {
        return;
    }
    let has_tcpdump = Command::new("tcpdump").arg("--version").output().is_ok();
    if !has_tcpdump {
        eprintln!("SKIPPED: counts against tcpdump: it is not installed (apt-get install tcpdump)");
    }
    for_each(&captures, |path| {
        let name = path.display().to_string();
        let ran = run(&["capture", "-r", &name, "-q", "--summary", "json"]);
        let code = ran.code;
        let received = account(path, ran);
        if has_tcpdump {
            let (count, is_whole) = tcpdump_count(path).expect("tcpdump runs");
            assert_eq!(received, count, "{name}");
            assert_eq!(code == Some(0), is_whole, "{name}");
        }
    });
}

/// What is printed is one line or object a packet, and the same ledger.
#[test]
fn every_capture_is_printed() {
    let captures = captures();
    let found = AtomicUsize::new(0);
    for_each(&captures, |path| {
        let name = path.display().to_string();
        let ran = run(&["capture", "-r", &name, "--json", "--summary", "json"]);
        if ran.stdout.is_empty() {
            return;
        }
        let mut objects = 0;
        let (mut malformed, mut not_decoded) = (0, 0);
        for line in ran.text().lines() {
            let object: Value = serde_json::from_str(line)
                .unwrap_or_else(|error| panic!("{name}: {error}: {line}"));
            malformed += u64::from(object["fault"]["cause"] == "packet");
            not_decoded += u64::from(object["next"]["kind"] == "link_type");
            objects += 1;
        }
        let summary = ran.summary();
        assert_eq!(summary["difference"], 0, "{name}: {summary}");
        assert_eq!(summary["delivered"], objects - 1, "{name}: {summary}");
        // Counting takes a short way for common packets, printing never: they find the same.
        let counts = summary["malformed"].as_object().expect("an object").values();
        let counted: u64 = counts.filter_map(Value::as_u64).sum();
        assert_eq!(counted, malformed, "{name}: {summary}");
        let of_other_links = summary["protocols"]["not_decoded"].as_u64().unwrap_or(0);
        assert_eq!(of_other_links, not_decoded, "{name}: {summary}");
        found.fetch_add(malformed as usize, Relaxed);
    });
    let found = found.into_inner();
    assert!(captures.is_empty() || found > 200, "only {found} malformed packets in the corpus");
}
