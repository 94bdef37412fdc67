//! The state file: what can happen to it.

use super::*;
use crate::common::{Folder, run};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::process::{Command, Stdio};
use tickwire_lab::require_root;
use tickwire_replicate::Subscriber;
use tickwire_replicate::state::{self, Saved};

#[test]
fn what_is_no_file_is_refused_and_not_waited_for() {
    let folder = Folder::new("operate-pipe");
    let pipe = folder.file("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RWXU, 0).expect("a pipe");
    for state in [&pipe, "/dev/null"] {
        let args = ["replicate", "--listen", "127.0.0.1:5000", "--state", state, "--check"];
        run(&args).expect_message(1, &[state, "no regular file", "choose another place"]);
    }
}

/// A feed got another name: its subscribers wait in the file until it has the old one again.
#[test]
fn subscribers_of_a_feed_that_is_gone_stay_in_the_file() {
    let folder = Folder::new("operate-renamed");
    let (socket, file) = (folder.file("control"), folder.file("state"));
    let saved = |feed: &str, address: &str| Saved {
        feed: feed.into(),
        subscriber: Subscriber::new(address.parse().expect("an address")),
    };
    let before = [saved("old", "127.0.0.1:7001"), saved("old", "127.0.0.1:7002")];
    state::save(file.as_ref(), &before).expect("saved");
    let listen = "127.0.0.1:0";
    let feed = UdpSocket::bind(listen).and_then(|socket| socket.local_addr()).expect("a port");
    let feed = format!("{feed},name=itch");
    let args = ["replicate", "--mode", "udp", "--listen", &feed, "--control", &socket];
    let args = [&args[..], &["--state", &file, "--summary", "json"]].concat();
    let running = Running::start(&mut command(&args));
    running.wait_for("subscribers of feed old stay in the state file and get nothing: 2, until");
    running.wait_for("ready");
    add(&socket, "127.0.0.1:7003");
    running.signal(Signal::TERM);
    running.finish().expect_code(0);
    let after = state::load(file.as_ref()).expect("a good file").expect("it is there");
    assert_eq!(after, [&[saved("itch", "127.0.0.1:7003")], &before[..]].concat());
}

/// The change is in force, so it is a success; that a restart would forget it, is said.
#[test]
fn a_change_that_cannot_be_kept_is_made_and_warned_of() {
    let folder = Folder::new("operate-not-kept");
    let (socket, file) = (folder.file("control"), folder.file("new/state"));
    let place = folder.path().join("new");
    std::fs::create_dir(&place).expect("a folder");
    let listen = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    let feed = format!("{},name=itch", listen.expect("a port"));
    let args = ["replicate", "--mode", "udp", "--listen", &feed, "--control", &socket];
    let args = [&args[..], &["--state", &file, "--summary", "json"]].concat();
    let running = Running::start(&mut command(&args));
    running.wait_for("ready");
    std::fs::remove_dir(&place).expect("removed");
    let words = ["a restart would forget the last changes", "choose another place"];
    let added = add(&socket, "127.0.0.1:7003");
    let text = added["warnings"][0].as_str().expect("a warning");
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
    let remove = ["ctl", "--control", &socket, "replicate", "remove", "127.0.0.1:7003"];
    let removed = run(&remove).expect_code(0);
    assert!(removed.stderr.contains(words[0]), "{removed:?}");
    running.wait_for(words[0]);
    let (_, status) = ask(&socket, "GET /v1/status", "");
    assert!(status.contains(words[0]), "{status}");
    // It is tried again by itself.
    std::fs::create_dir(&place).expect("a folder");
    running.wait_for("is whole again");
    let (_, status) = ask(&socket, "GET /v1/status", "");
    assert!(!status.contains("warnings"), "{status}");
    running.signal(Signal::TERM);
    running.finish().expect_code(0);
    assert_eq!(state::load(file.as_ref()).expect("a good file"), Some(Vec::new()));
}

/// A disk of 64 KiB, on which the file and the next one do not both find room. What was kept before
/// stays whole.
#[test]
fn a_full_disk_costs_no_subscriber_and_no_file() {
    require_root!("a_full_disk_costs_no_subscriber_and_no_file");
    let folder = Folder::new("operate-full");
    let (socket, disk) = (folder.file("control"), folder.file("disk"));
    std::fs::create_dir(&disk).expect("a folder");
    let listen = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    let feed = format!("{},name=itch", listen.expect("a port"));
    let script = "mount -t tmpfs -o size=64k tmpfs \"$0\" && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", script, &disk]);
    command.args([env!("CARGO_BIN_EXE_tickwire"), "replicate", "--mode", "udp", "--listen", &feed]);
    command.args(["--control", &socket, "--state", &format!("{disk}/state")]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let running = Running::start(&mut command);
    running.wait_for("ready");
    let filter = format!("udp{}", " and udp".repeat(500));
    let mut kept = 0;
    let warning = loop {
        assert!(kept < 64, "the disk is never full");
        let body = json!({"address": format!("127.0.0.1:{}", 7000 + kept), "filter": filter});
        let (status, answer) = ask(&socket, &format!("POST {SUBSCRIBERS}"), &body.to_string());
        assert!(status.contains("201"), "{status}: {answer}");
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        match answer["warnings"][0].as_str() {
            Some(warning) => break warning.to_owned(),
            None => kept += 1,
        }
    };
    assert!(warning.contains("No space left"), "{warning}");
    assert_eq!(list(&socket).len(), kept + 1, "all are in force");
    // Seen from inside, where the small disk is.
    let inside = format!("/proc/{}/root{disk}/state", running.child.id());
    let loaded = state::load(inside.as_ref()).expect("the last good file").expect("it is there");
    assert_eq!(loaded.len(), kept, "as it was before");
    let (status, _) = ask(&socket, &format!("DELETE {SUBSCRIBERS}/127.0.0.1:7000"), "");
    assert!(status.contains("20"), "{status}");
    running.signal(Signal::TERM);
    running.finish().expect_code(0);
}
