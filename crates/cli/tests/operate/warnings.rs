//! What the mode in force cannot do for a subscriber is said where he is added, and in the status.

use super::*;
use crate::common::{Folder, Ran, run};
use tickwire_lab::require_root;

fn ctl(socket: &str, args: &[&str]) -> Ran {
    run(&[&["ctl", "--control", socket, "replicate"], args].concat()).expect_code(0)
}

/// Mode xdp was chosen when nobody subscribed.
#[test]
fn whom_mode_xdp_does_not_reach_is_warned_of() {
    require_root!("whom_mode_xdp_does_not_reach_is_warned_of");
    let lab = quiet_lab();
    let folder = Folder::new("operate-warned");
    let socket = folder.file("control");
    let near = format!("{}:{PORT_FIRST}", lab.left.ipv4());
    let args = ["--subscriber", &near, "--control", &socket, "--summary", "json"];
    let running = start(&lab.right, &args);
    let local = format!("{}:{PORT_FIRST}", lab.right.ipv4());
    let added = ctl(&socket, &["add", &local]);
    assert!(added.text().contains("added to feed itch"), "{added:?}");
    let cure = "no_egress: start again with --mode af_xdp or auto";
    assert!(added.stderr.contains(cure), "{added:?}");
    let status = ctl(&socket, &["status"]);
    assert!(status.text().contains("mode xdp") && status.text().contains(cure), "{status:?}");
    let (_, metrics) = ask(&socket, "GET /metrics", "");
    assert!(metrics.contains("tickwire_replicate_warnings 1"), "{metrics}");
    ctl(&socket, &["remove", &local]);
    let status = ctl(&socket, &["status", "--json"]).summary();
    assert_eq!(status.get("warnings"), None, "all is well again: {status}");
    assert_eq!(stop(running)["port"], "xdp");
}

/// So many that a burst of their copies does not fit into the ring of a veth.
#[test]
fn more_subscribers_than_the_ring_has_room_for_are_warned_of() {
    require_root!("more_subscribers_than_the_ring_has_room_for_are_warned_of");
    let lab = quiet_lab();
    let folder = Folder::new("operate-crowded");
    let socket = folder.file("control");
    let near = format!("{}:{PORT_FIRST}", lab.left.ipv4());
    let args = ["--subscriber", &near, "--control", &socket, "--summary", "json"];
    let running = start(&lab.right, &args);
    for number in 1..16 {
        let added = add(&socket, &format!("{}:{}", lab.left.ipv4(), PORT_FIRST + number));
        assert_eq!(added.get("warnings"), None, "{added}");
    }
    let added = add(&socket, &format!("{}:{}", lab.left.ipv4(), PORT_FIRST + 16));
    let text = added["warnings"][0].as_str().expect("a warning");
    for part in ["17 copies of each datagram", "room for 256 frames", "start again with it"] {
        assert!(text.contains(part), "no '{part}' in {text}");
    }
    let status = ctl(&socket, &["status"]);
    assert!(status.text().contains("17 copies of each datagram"), "{status:?}");
    assert_eq!(stop(running)["port"], "xdp");
}
