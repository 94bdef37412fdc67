//! The choice of a port on real interfaces.

use std::time::{Duration, Instant};
use tickwire_capture::af_xdp::{Selection, UdpDestination};
use tickwire_capture::auto::{Opened, Options, PortChoice, open};
use tickwire_capture::{PortError, Received};
use tickwire_frame::Batch;
use tickwire_lab::{Lab, LabConfig, Numbered, Schedule, require_root, send_packet};

const LIMIT: Duration = Duration::from_secs(3);

fn lab(queues: u32) -> Lab {
    Lab::veth(LabConfig { queues, ipv6: false, ..LabConfig::default() }).unwrap()
}

fn open_right(lab: &Lab, choice: PortChoice, options: &Options) -> Result<Opened, PortError> {
    lab.right.run(|| open(choice, "right0", options))
}

/// Whether the ports together receive `count` frames.
fn receives(opened: &mut Opened, count: usize) -> bool {
    let deadline = Instant::now() + LIMIT;
    let mut seen = 0;
    while seen < count && Instant::now() < deadline {
        for port in &mut opened.ports {
            let mut batch = Batch::new();
            if port.receive(&mut batch).unwrap() == Received::Frames {
                seen += batch.len();
            } else {
                port.wait(Duration::from_millis(1)).unwrap();
            }
        }
    }
    seen == count
}

fn send(lab: &Lab, count: u64) {
    let packets = Numbered { flows: 16, ..Numbered::between(&lab.left, &lab.right) };
    send_packet(&lab.left, &packets, &Schedule::flood(count)).unwrap();
}

/// The right end has an address: everything would be taken away from the host.
#[test]
fn an_interface_of_the_host_gets_af_packet_unless_asked_otherwise() {
    require_root!("an_interface_of_the_host_gets_af_packet_unless_asked_otherwise");
    let lab = lab(1);
    // Nobody listens to what is sent, and the kernel answers that.
    let everything = Options { outgoing: false, ..Options::default() };
    let mut opened = open_right(&lab, PortChoice::Auto, &everything).unwrap();
    assert_eq!(opened.mode.port, "af_packet");
    assert!(opened.mode.why.contains("the host has addresses on right0"), "{}", opened.mode);
    send(&lab, 10);
    assert!(receives(&mut opened, 10));
    drop(opened);

    let mut opened = open_right(&lab, PortChoice::AfXdp, &everything).unwrap();
    assert_eq!((opened.mode.port, opened.mode.mode.as_str()), ("af_xdp", "copy"));
    send(&lab, 10);
    assert!(receives(&mut opened, 10));
}

#[test]
fn a_selected_feed_is_taken_from_an_interface_of_the_host() {
    require_root!("a_selected_feed_is_taken_from_an_interface_of_the_host");
    let lab = lab(2);
    let port = UdpDestination { address: None, port: Some(5000) };
    let options = Options { selection: Selection::Udp(vec![port]), ..Options::default() };
    let mut opened = open_right(&lab, PortChoice::Auto, &options).unwrap();
    assert_eq!(opened.mode.port, "af_xdp", "{}", opened.mode);
    assert_eq!(opened.ports.len(), 2, "one for each queue");
    assert_eq!(opened.interface.name, "right0");
    send(&lab, 100);
    assert!(receives(&mut opened, 100));
}

/// A queue that is taken already: the attempt fails, and its reason is passed on.
#[test]
fn what_af_xdp_said_is_the_reason_for_af_packet() {
    require_root!("what_af_xdp_said_is_the_reason_for_af_packet");
    let lab = lab(1);
    let port = UdpDestination { address: None, port: Some(5000) };
    let options = Options {
        selection: Selection::Udp(vec![port]),
        queues: Some(vec![7]),
        ..Options::default()
    };
    let opened = open_right(&lab, PortChoice::Auto, &options).unwrap();
    assert_eq!(opened.mode.port, "af_packet");
    assert!(
        opened.mode.why.contains("af_xdp failed: bind to queue 7 of right0"),
        "{}",
        opened.mode
    );
    let error = open_right(&lab, PortChoice::AfXdp, &options).unwrap_err().to_string();
    assert!(error.contains("ethtool -l right0"), "{error}");
}

#[test]
fn a_foreign_program_is_left_alone() {
    require_root!("a_foreign_program_is_left_alone");
    let lab = lab(1);
    let port = UdpDestination { address: None, port: Some(5000) };
    let options = Options { selection: Selection::Udp(vec![port]), ..Options::default() };
    let first = open_right(&lab, PortChoice::Auto, &options).unwrap();
    assert_eq!(first.mode.port, "af_xdp");
    let second = open_right(&lab, PortChoice::Auto, &options).unwrap();
    assert_eq!(second.mode.port, "af_packet");
    assert!(second.mode.why.contains("an XDP program of somebody else is on right0"));
}

#[test]
fn loopback_gets_af_packet() {
    require_root!("loopback_gets_af_packet");
    let lab = lab(1);
    let opened = lab.right.run(|| open(PortChoice::Auto, "lo", &Options::default())).unwrap();
    assert_eq!(opened.mode.port, "af_packet");
    assert!(opened.mode.why.contains("loopback"), "{}", opened.mode);
}

/// All rights are given up on a thread of its own, which changes no other thread.
#[test]
fn without_rights_the_text_says_which_and_how_to_get_them() {
    require_root!("without_rights_the_text_says_which_and_how_to_get_them");
    let lab = lab(1);
    let error = lab.right.run(|| {
        let none = rustix::thread::CapabilitySet::empty();
        let sets =
            rustix::thread::CapabilitySets { effective: none, permitted: none, inheritable: none };
        rustix::thread::set_capabilities(None, sets).unwrap();
        open(PortChoice::Auto, "right0", &Options::default()).unwrap_err().to_string()
    });
    assert!(error.contains("CAP_NET_RAW") && error.contains("sudo setcap cap_net_raw"), "{error}");
}

#[test]
fn a_wrong_name_lists_the_interfaces_of_the_namespace() {
    require_root!("a_wrong_name_lists_the_interfaces_of_the_namespace");
    let lab = lab(1);
    let error = lab.right.run(|| open(PortChoice::Auto, "eth9", &Options::default())).unwrap_err();
    assert!(error.to_string().contains("there are: lo, right0"), "{error}");
}
