//! What can be done without privileges.

use super::*;
use crate::common::Folder;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use tickwire_lab::require_root;

/// Starts a replicator as nobody.
fn start_as_nobody(near: &End, folder: &Folder, args: &[&str]) -> Running {
    // The build folder may be closed to others.
    let open = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(folder.path(), open).expect("it is our folder");
    let binary = folder.file("tickwire");
    std::fs::copy(env!("CARGO_BIN_EXE_tickwire"), &binary).expect("room for a copy");
    let listen = format!("{}:5000,name=itch", near.ipv4());
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all"]);
    command.args([&binary, "replicate", "-i", near.name(), "--listen", &listen]).args(args);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let running = Running::of(near.spawn(command).expect("setpriv of util-linux"));
    running.wait_for("ready");
    running
}

/// The kernel does not ask for us, but it does when a datagram is sent; and it says that it does.
#[test]
fn without_privileges_too_a_neighbour_that_does_not_answer_is_counted() {
    require_root!("without_privileges_too_a_neighbour_that_does_not_answer_is_counted");
    let lab = quiet_lab();
    let folder = Folder::new("operate-nobody");
    let socket = folder.file("control");
    let dead = Ipv4Addr::from(u32::from(lab.left.ipv4()) & !0xff | 250);
    let receiver = bind(&lab.left, 0);
    let [live, dead_one] = [lab.left.ipv4(), dead].map(|ip| format!("{ip}:{PORT_FIRST}"));
    let args = ["--control", &socket, "--subscriber", &live, "--subscriber", &dead_one];
    let args = [&args[..], &["--summary", "json"]].concat();
    let running = start_as_nobody(&lab.right, &folder, &args);
    running.wait_for("CAP_NET_ADMIN");
    let mut sent = 0;
    let counted = |list: &[Value]| list[1]["account"]["discarded"]["no_neighbour"].as_u64();
    wait_until("the dead one is counted", || {
        send(&lab.left, &lab.right, &[9; 10]);
        sent += 10;
        counted(&list(&socket)) >= Some(100)
    });
    assert_eq!(arrived(&receiver, sent), vec![9; sent]);

    // It comes to life: the kernel is made to ask again.
    let mut links = lab.left.links().expect("netlink");
    let index = lab.left.index().expect("an index");
    links.add_address(index, dead.into(), 24).expect("an address");
    let revived = UdpReceiver::bind(&lab.left, dead, PORT_FIRST).expect("a free port");
    revived.socket().set_nonblocking(true).expect("an option");
    wait_until("the dead one is back", || {
        send(&lab.left, &lab.right, &[9]);
        sent += 1;
        revived.socket().recv(&mut [0; 9]).is_ok()
    });
    let summary = stop(running);
    assert_eq!(summary["port"], "udp", "{summary}");
    let [live, dead] = [0, 1].map(|n| &summary["feeds"][0]["subscribers"][n]);
    assert_eq!((&live["copied"], &live["discarded"]), (&json!(sent), &json!({})), "{summary}");
    assert_eq!(dead["offered"], json!(sent), "{summary}");
}
