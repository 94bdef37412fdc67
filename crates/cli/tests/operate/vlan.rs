//! A feed that arrives at a VLAN interface.

use super::*;
use std::net::Ipv4Addr;
use tickwire_lab::{require_root, say_skipped};

const VLAN: u16 = 5;
/// On both ends of the VLAN.
const FAR: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 1);
const NEAR: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 2);
/// What is refused is refused within this time.
const SETTLE: Duration = Duration::from_secs(2);

/// Makes a VLAN interface over `end`, with `address`; its name. None without the 8021q driver.
fn vlan(end: &End, address: Ipv4Addr) -> Option<String> {
    let name = format!("{}.{VLAN}", end.name());
    let mut links = end.links().expect("netlink");
    links.create_vlan(&name, end.index().expect("an index"), VLAN).ok()?;
    links.set_up(&name, true).expect("up");
    let index = links.state(&name).expect("its state").index;
    links.add_address(index, address.into(), 24).expect("an address");
    Some(name)
}

/// What takes it delivers all; what does not says so. `auto` and `udp` take it.
#[test]
fn a_feed_arrives_at_a_vlan_interface() {
    require_root!("a_feed_arrives_at_a_vlan_interface");
    for mode in ["auto", "xdp", "af_xdp", "udp"] {
        let lab = quiet_lab();
        let (Some(name), Some(_)) = (vlan(&lab.right, NEAR), vlan(&lab.left, FAR)) else {
            return say_skipped("a_feed_arrives_at_a_vlan_interface", "it needs the 8021q driver");
        };
        let receiver = UdpReceiver::bind(&lab.left, FAR, PORT_FIRST).expect("a free port");
        let (listen, to) = (format!("{NEAR}:5000,name=itch"), format!("{FAR}:{PORT_FIRST}"));
        let args = ["replicate", "-i", &name, "--listen", &listen, "--mode", mode];
        let args = [&args[..], &["--subscriber", &to, "--summary", "json"]].concat();
        let command = command(&args);
        let mut running = Running::of(lab.right.spawn(command).expect("the binary starts"));
        if mode != "auto" && mode != "udp" {
            let settled = Instant::now() + SETTLE;
            while Instant::now() < settled && running.child.try_wait().is_ok_and(|e| e.is_none()) {
                std::thread::sleep(Duration::from_millis(10));
            }
            if running.child.try_wait().expect("our child").is_some() {
                running.finish().expect_message(1, &["; "]);
                continue;
            }
        }
        running.wait_for("ready");
        lab.left.run(|| {
            let socket = UdpSocket::bind((FAR, 0)).expect("a socket");
            for _ in 0..50 {
                socket.send_to(&[100; 100], (NEAR, 5000)).expect("sent");
            }
        });
        assert_eq!(arrived(&receiver, 50), [100; 50], "{mode}");
        stop(running);
    }
}
